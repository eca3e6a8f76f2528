"""Pass nn-split-terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from ..dialects.blobs import Blob
from ..dialects.layouts import ceil_div
from ..runtime.soc import Soc
from .attach_target import TARGET, target_of
from .rewriting import constant_of, main_block, only_use, remove_dead, simplify_blob, users

C0 = 16
"""Channels of a block; terms are whole blocks, so that each is a run of planes."""
MAX_TAPS = 16
"""Positions of a pool's window: each takes four instructions."""


@dataclass(frozen=True)
class NNSplitTermsPass(ModulePass):
    """Convolutions that cost little more than their launch compute with 22 instead of 11 bits.

    before  %d = nn.conv %p, %v, %b … : (…8x16x16xf16, …8x8x1x1xf16, …8xf32) -> …8x16x16xf16
            %s = nn.add %d, %p : …8x16x16xf16 ; %t = nn.relu %s : …8x16x16xf16
    after   %6 = nn.conv %p, %4, %5 … : (…48x16x16xf16, …16x48x1x1xf16, …16xf32) -> …16x16x16xf32
            %7 = nn.add_terms %6, %p : (…16x16x16xf32, …48x16x16xf16) -> …16x16x16xf32
            %8 = nn.relu %7 : …16x16x16xf32 ; %t = nn.to_terms %8 : (…f32) -> …48x16x16xf16

    In f16 each layer rounds its weights and its result to 11 bits, and the residual sum once more. The errors of
    the first layers of a narrow network pass through all the others: nothing averages them out. Such layers are
    also where the cube idles, because launch and memory latency are most of their time. So a tensor that a
    cheap convolution reads is kept in two terms (`nn_terms`): its producer rounds once, to 22 bits, and the
    convolution multiplies three times as many input channels.

    A convolution is cheap if its tensors in terms fit L1 and what terms add (products, bytes of weights from DDR,
    bytes of tensors from L2) takes no longer than `latencies` tasks that do nothing: launch, a read, a write. It
    is decided from shapes and the SoC's numbers; nothing is calibrated. Terms begin where an f32 tensor becomes
    f16 and go on as long as everything on the way has them, convolutions with additions and ReLU, max pools:
    bits that were lost once are lost. So networks whose first layers are large, or are no such chain, stay as
    they are, and so do those of fewer than `depth` such convolutions.
    Before: `nn-convert-precision`. A module without target, or with f32 convolutions, stays as it is.
    """

    name = "nn-split-terms"

    latencies: float = 3.0
    """What terms may add to a task, in times of a task that does nothing."""
    depth: int = 4
    """Convolutions that must read terms before any does: the errors of fewer layers do not add up to much."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if TARGET not in op.attributes:
            return
        block = main_block(op)
        found = _Candidates(block, _Budget(target_of(op), self.latencies))
        found.settle()
        if found.readers() < self.depth:
            return
        _Rewriter(block, found).run()
        remove_dead(block)


# -------------------------------------------------------------------------------------------------- decision


def whole(channels: int) -> int:
    """Channels with those that fill the last block."""
    return ceil_div(channels, C0) * C0


@dataclass(frozen=True)
class _Budget:
    """What is cheap on a chip."""

    soc: Soc
    latencies: float

    def allows(self, conv: nn.ConvOp, residual: bool) -> bool:
        """Whether the convolution, its operands and its result in terms stay within the budget."""
        timing, cores = self.soc.timing, self.soc.cores
        memory = timing["gm"]
        rates = {
            name: float(memory[name]) * cores for name in ("ddr_read_rate", "l2_read_rate", "l2_write_rate")
        }
        cin, taps = nn.shape_of(conv.input)[1], prod(nn.shape_of(conv.weight)[2:])
        batch, cout, *size = nn.shape_of(conv.output)
        positions, columns = batch * prod(size), whole(cout)
        more = whole(nn.TERMS * cin) - whole(cin)  # channels that are added; none where the padding lanes do
        inputs = 2 * more * batch * prod(nn.shape_of(conv.input)[2:])
        stored = 2 * (nn.TERMS - 1) * columns * positions
        if max(inputs, stored) * nn.TERMS // (nn.TERMS - 1) > self.soc.core.buffers["l1"].size:
            return False
        fractals = ceil_div(positions, C0) * (columns // C0) * (more // C0) * taps
        read = inputs + residual * stored // 2  # the second h is for products only
        added = fractals / cores + 2 * columns * more * taps / rates["ddr_read_rate"]
        added += read / rates["l2_read_rate"] + stored / rates["l2_write_rate"]
        idle = sum(memory[name] for name in ("read_latency", "miss_cycles", "write_latency"))
        return added <= self.latencies * (timing["launch_cycles"] + idle)


@dataclass(frozen=True)
class _Chain:
    """A convolution with the residual addition and the ReLU behind it."""

    conv: nn.ConvOp
    ops: tuple[Operation, ...]
    """The convolution and what follows it, each the only user of the one before."""
    residual: SSAValue | None

    @property
    def result(self) -> SSAValue:
        return self.ops[-1].results[0]


@dataclass
class _Candidates:
    """Which values are kept in terms (`makers`), and which convolutions are cheap."""

    block: Block
    budget: _Budget
    cheap: set[Operation] = field(default_factory=set[Operation])
    chains: dict[SSAValue, _Chain] = field(default_factory=dict[SSAValue, _Chain])
    makers: dict[SSAValue, _Chain | Operation] = field(default_factory=dict[SSAValue, "_Chain | Operation"])

    def settle(self) -> None:
        """Take everything that could be in terms, then drop what does not fit until all the rest does."""
        taken: set[Operation] = set()
        for op in reversed(
            list(self.block.ops)
        ):  # the last convolution before an addition takes it, as in fusion
            if isinstance(op, nn.ConvOp) and _is_plain(op):
                chain = _chain(op, taken)
                if not self.budget.allows(op, chain.residual is not None):
                    continue
                self.cheap.add(op)
                taken.update(chain.ops)
                self.makers[chain.result] = chain
            elif _is_pool(op) or _is_border(op):
                self.makers[op.results[0]] = op
        changed = True
        while changed:
            bad = [v for v, maker in self.makers.items() if not self._fits(v, maker)]
            changed = bool(bad)
            for value in bad:
                del self.makers[value]

    def readers(self) -> int:
        """How many convolutions will read terms."""
        return sum(op.operands[0] in self.makers for op in self.cheap)

    def _fits(self, value: SSAValue, maker: _Chain | Operation) -> bool:
        if isinstance(maker, _Chain):
            sources = [maker.conv.input] if maker.residual is None else [maker.conv.input, maker.residual]
            return all(v in self.makers for v in sources) and self._is_wanted(value)
        if isinstance(maker, nn.MaxPoolOp):
            return maker.input in self.makers and self._is_wanted(value)
        return any(u in self.cheap and self.chain_of(u) is not None for u in users(value))

    def chain_of(self, conv: Operation) -> _Chain | None:
        """The chain behind a convolution if its result is kept in terms."""
        for maker in self.makers.values():
            if isinstance(maker, _Chain) and maker.conv is conv:
                return maker
        return None

    def _is_wanted(self, value: SSAValue) -> bool:
        """Read by a cheap convolution, or on the way to one."""
        for user in users(value):
            if user in self.cheap and user.operands[0] is value:
                return True
            if isinstance(user, nn.MaxPoolOp) and user.results[0] in self.makers:
                return True
            if any(
                isinstance(m, _Chain) and m.residual is value and user in m.ops for m in self.makers.values()
            ):
                return True
        return False


def _is_plain(conv: nn.ConvOp) -> bool:
    """f16 with constant weights that are known in f32, ungrouped, of known size."""
    weight, bias = constant_of(conv.weight), constant_of(conv.bias)
    known = weight is not None and weight.op == "cast" and weight.inputs[0].dtype == "f32"
    f16 = nn.dtype_of(conv.input) == nn.dtype_of(conv.output) == "f16"
    plain_bias = conv.bias is None or (bias is not None and bias.dtype == "f32")
    sizes = (*nn.shape_of(conv.input), *nn.shape_of(conv.output))
    return known and f16 and plain_bias and conv.group.value.data == 1 and min(sizes) > 0


def _chain(conv: nn.ConvOp, taken: set[Operation]) -> _Chain:
    ops: list[Operation] = [conv]
    residual: SSAValue | None = None
    while only_use(ops[-1].results[0]):
        (user,) = users(ops[-1].results[0])
        if user in taken or (ops[1:] and isinstance(ops[-1], nn.ReluOp)):
            break
        if isinstance(user, nn.AddOp) and residual is None and _same_shape(user):
            residual = user.rhs if user.lhs is ops[-1].results[0] else user.lhs
        elif not isinstance(user, nn.ReluOp):
            break
        ops.append(user)
    return _Chain(conv, tuple(ops), residual)


def _same_shape(op: nn.AddOp) -> bool:
    return (
        nn.shape_of(op.lhs) == nn.shape_of(op.rhs)
        and constant_of(op.lhs) is None
        and constant_of(op.rhs) is None
    )


def _is_pool(op: Operation) -> bool:
    return (
        isinstance(op, nn.MaxPoolOp)
        and nn.dtype_of(op.input) == "f16"
        and prod(nn.ints(op.kernel)) <= MAX_TAPS
        and op.terms is None
    )


def _is_border(op: Operation) -> bool:
    """An f32 tensor that becomes f16, of so few channels that a block has lanes for all terms."""
    if not isinstance(op, nn.CastOp) or len(nn.shape_of(op.output)) != 4:
        return False
    types = nn.dtype_of(op.input), nn.dtype_of(op.output)
    return types == ("f32", "f16") and nn.TERMS * nn.shape_of(op.output)[1] <= C0


# --------------------------------------------------------------------------------------------------- rewriting


@dataclass
class _Rewriter:
    """One sweep. `terms[v]` is v in terms; its channels are whole blocks, except where a conversion made them."""

    block: Block
    found: _Candidates
    terms: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])

    def run(self) -> None:
        ends = {m.ops[-1]: m for m in self.found.makers.values() if isinstance(m, _Chain)}
        for op in list(self.block.ops):
            if op in ends:
                self._chain(ends[op])
            elif isinstance(op, nn.ConvOp) and op in self.found.cheap and self.found.chain_of(op) is None:
                if op.input in self.terms:
                    self._replace(op.output, self._conv(op, op, wide=False))
            elif op.results and self.found.makers.get(op.results[0]) is op:
                self._pool(op) if isinstance(op, nn.MaxPoolOp) else self._border(op)

    def _add(self, op: Operation, origin: Operation, anchor: Operation) -> SSAValue:
        op.location = origin.location
        self.block.insert_op_before(op, anchor)
        return op.results[0]

    def _replace(self, old: SSAValue, new: SSAValue) -> None:
        new.name_hint = old.name_hint
        old.replace_all_uses_with(new)

    def _keep(self, value: SSAValue, terms: SSAValue) -> None:
        """Remember the terms; who does not read terms gets the first one."""
        self.terms[value] = terms
        terms.name_hint = value.name_hint
        owner = terms.owner
        assert isinstance(owner, Operation)
        shape = nn.shape_of(value)
        first = nn.SliceOp(terms, (0,) * len(shape), shape)
        first.location = owner.location
        self.block.insert_op_after(first, owner)
        value.replace_all_uses_with(first.output)
        self.terms[first.output] = terms

    def _chain(self, chain: _Chain) -> None:
        anchor = chain.ops[-1]
        value = self._conv(chain.conv, anchor, wide=True)
        for op in chain.ops[1:]:
            if isinstance(op, nn.AddOp):
                assert chain.residual is not None
                other = op.rhs if op.lhs.owner in chain.ops else op.lhs
                value = self._add(nn.AddTermsOp(value, self.terms[other]), op, anchor)
            else:
                value = self._add(nn.ReluOp(value), op, anchor)
        self._keep(chain.result, self._add(nn.ToTermsOp(value), anchor, anchor))

    def _conv(self, conv: nn.ConvOp, anchor: Operation, *, wide: bool) -> SSAValue:
        """The convolution on operands in terms where there are; `wide`: result f32, channels whole blocks."""
        x = self.terms.get(conv.input, conv.input)
        weight = constant_of(conv.weight)
        assert weight is not None
        if x is not conv.input:
            weight = split_weight(weight, nn.shape_of(x)[1] // nn.TERMS)
        bias = constant_of(conv.bias)
        if wide:
            weight = _padded(weight, 0, whole(weight.shape[0]))
            bias = None if bias is None else _padded(bias, 0, weight.shape[0])
        operands = [x, self._add(nn.ConstantOp(simplify_blob(weight)), conv, anchor)]
        if bias is not None:
            operands.append(self._add(nn.ConstantOp(simplify_blob(bias)), conv, anchor))
        shape = nn.shape_of(conv.output)
        new = nn.ConvOp.create(
            operands=operands,
            properties=dict(conv.properties),
            attributes=dict(conv.attributes),
            result_types=[nn.tensor_type((shape[0], weight.shape[0], *shape[2:]), "f32" if wide else "f16")],
        )
        return self._add(new, conv, anchor)

    def _pool(self, op: nn.MaxPoolOp) -> None:
        window = {k: nn.ints(getattr(op, k)) for k in ("kernel", "strides", "pads", "dilations")}
        pooled = nn.MaxPoolOp(self.terms[op.input], **window, terms=True)
        self._keep(op.output, self._add(pooled, op, op))

    def _border(self, op: Operation) -> None:
        after = op.next_op
        assert after is not None
        self.terms[op.results[0]] = self._add(nn.ToTermsOp(op.operands[0]), op, after)


def split_weight(weight: Blob, channels: int) -> Blob:
    """[u; u; v] along the input channels, each padded to `channels`: u = f16(k), v = f16(k - u)."""
    exact = weight.inputs[0]
    rest = exact.apply("sub", weight.apply("cast", "f32")).apply("cast", "f16")
    first, second = (_padded(part, 1, channels) for part in (weight, rest))
    return first.apply("concat", 1, first, second)


def _padded(blob: Blob, axis: int, size: int) -> Blob:
    """Zeros behind, up to `size` along an axis."""
    if blob.shape[axis] == size:
        return blob
    after = tuple(size - n if i == axis else 0 for i, n in enumerate(blob.shape))
    return blob.apply("pad", (0,) * len(after), after)
