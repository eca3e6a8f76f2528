"""`davinci-reduce-strength`: products of loop indices become pointers that move along.

An address inside a loop is start + index · step.  Computed anew it costs a multiplication and additions per iteration; as an
induction it costs one addition, and nothing if the machine's loop index itself does the counting (its start and step are
operands of `loop`).

    scf.for %i = 0 to 9 {                              %c64 = arith.constant 64 : index
      %p = arith.muli %i, %c512 : index                scf.for %i = 0 to 9 {
      %q = arith.addi %base, %p : index         →        %q = davinci.induction primary %base step 512
      %o = davinci.offset 64 + %q * 1                    %o = davinci.offset 64 + %q * 1

Innermost loops come first: where an inner induction starts is a value of the loop around, and may become one there.  If
the iterations of the inner loop then make just the outer step, one register goes through both (`carried`).  A loop whose
trip count does not pay for the additions before it keeps its products.

Before: addresses are lowered.  After: the same values.  An induction keeps a register for the whole loop: when they run out,
`restore_products` takes the step back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, UnitAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.davinci import BreakIfOp, CounterOp, InductionOp, KernelOp, RingNextOp, index
from .davinci_allocate_registers import is_carrier
from .davinci_double_buffer import insert_at_start
from .davinci_operands import Constants, arithmetic
from .davinci_program import constant_of, counts_up, is_inside, is_inside_block, kernels

_TRIPS = 4  # iterations that a loop of unknown trip count is taken to have


@dataclass(frozen=True)
class _Form:
    """constant + Σ value · scale + iteration · step, the values known before the loop."""

    constant: int
    terms: tuple[tuple[SSAValue, int], ...]
    step: int

    def __add__(self, other: _Form) -> _Form:
        scales = dict(self.terms)
        for value, scale in other.terms:
            scales[value] = scales.get(value, 0) + scale
        terms = tuple((value, scale) for value, scale in scales.items() if scale)
        return _Form(self.constant + other.constant, terms, self.step + other.step)

    def scaled(self, factor: int) -> _Form:
        return _Form(
            self.constant * factor, tuple((v, s * factor) for v, s in self.terms), self.step * factor
        )

    @property
    def work(self) -> int:
        """Operations that compute the start."""
        parts = len(self.terms) + (self.constant != 0)
        return sum(scale != 1 for _, scale in self.terms) + max(0, parts - 1)


class _Reducer:
    def __init__(self, kernel: KernelOp) -> None:
        self.top = kernel.body.block
        self._constant = Constants(self.top)
        self._advances: dict[SSAValue, list[RingNextOp]] = {}
        for op in kernel.walk():
            if isinstance(op, RingNextOp):
                self._advances.setdefault(op.counter, []).append(op)
        self._starts: dict[tuple[Block, _Form], SSAValue] = {}

    # ------------------------------------------------------------------ what is linear in the index
    def _is_known(self, value: SSAValue, body: Block) -> bool:
        """Whether `value` is the same in all iterations of the loop around `body`."""
        if isinstance(value.owner, CounterOp):
            return not any(is_inside(op, body) for op in self._advances.get(value, ()))
        home = value.owner if isinstance(value.owner, Block) else value.owner.parent
        return not is_inside_block(home, body)

    def _form(self, value: SSAValue, body: Block, forms: dict[SSAValue, _Form]) -> _Form | None:
        number = constant_of(value)
        if number is not None:
            return _Form(number, (), 0)
        found = forms.get(value)
        return found if found is not None or not self._is_known(value, body) else _Form(0, ((value, 1),), 0)

    def _forms(self, body: Block) -> dict[SSAValue, _Form]:
        """The values of `body` that are linear in its index and depend on it."""
        forms: dict[SSAValue, _Form] = {body.args[0]: _Form(0, (), 1)}
        for op in body.ops:
            if not isinstance(op, arith.MuliOp | arith.AddiOp | arith.SubiOp) or op.result.type != index:
                continue
            if op.lhs not in forms and op.rhs not in forms:
                continue
            a, b = (self._form(value, body, forms) for value in (op.lhs, op.rhs))
            if a is None or b is None:
                continue
            if isinstance(op, arith.MuliOp):
                if b.step or b.terms:
                    a, b = b, a
                if b.step or b.terms:
                    continue
                form = a.scaled(b.constant)
            else:
                form = a + (b if isinstance(op, arith.AddiOp) else b.scaled(-1))
            if form.step:
                forms[op.result] = form
        return forms

    # ------------------------------------------------------------------ what pays
    def reduce(self, loop: scf.ForOp) -> None:
        """Makes inductions of what pays in `loop`."""
        if not counts_up(loop):
            return
        body = loop.body.block
        forms = self._forms(body)
        linear = {value.owner for value in forms if isinstance(value.owner, Operation)}
        needed = [v for v in forms if any(use.operation not in linear for use in v.uses)]
        counter = body.args[0]
        chains = {value: _chain(value, linear) for value in needed if value is not counter}
        if not chains:
            return
        trips = constant_of(loop.ub) or _TRIPS
        old = trips * len(set[Operation]().union(*chains.values()))
        every = list(chains)
        some = [value for value in every if len(_own(value, chains)) > 1]
        counted = counter in needed
        chosen = min(
            ([], some, every), key=lambda c: self._cost(c, chains, forms, trips, counted) if c else old
        )
        if chosen:
            self._replace(loop, chosen, forms)

    def _cost(
        self,
        chosen: list[SSAValue],
        chains: dict[SSAValue, set[Operation]],
        forms: dict[SSAValue, _Form],
        trips: int,
        counted: bool,
    ) -> int:
        """Scalar instructions of one execution of the loop when `chosen` are inductions."""
        kept = set[Operation]().union(*(chain for value, chain in chains.items() if value not in chosen))
        different = {forms[value] for value in chosen}
        free = bool(chosen) and not kept and not counted
        return (
            trips * (len(kept) + len(different) - free)
            + len(different)
            - free
            + sum(f.work for f in different)
        )

    # ------------------------------------------------------------------ rewriting
    def _replace(self, loop: scf.ForOp, chosen: list[SSAValue], forms: dict[SSAValue, _Form]) -> None:
        body = loop.body.block
        made: dict[_Form, InductionOp] = {}
        for value in chosen:
            form = forms[value]
            if form not in made:
                made[form] = InductionOp(self._start(loop, form), form.step)
            value.replace_all_uses_with(made[form].result)
        for op in reversed([v.owner for v in forms if isinstance(v.owner, Operation)]):
            if not any(True for _ in op.results[0].uses):
                op.detach()
                op.erase()
        for op in reversed(made.values()):
            insert_at_start(op, body)

    def _start(self, loop: scf.ForOp, form: _Form) -> SSAValue:
        """The value of `form` before `loop`, computed as far outside as it is known."""
        if not form.terms:
            return self._constant(form.constant)
        if form.work == 0:
            return form.terms[0][0]
        target = loop
        while isinstance(around := target.parent_op(), scf.ForOp) and all(
            self._is_known(value, around.body.block) for value, _ in form.terms
        ):
            target = around
        block = target.parent
        assert block is not None
        key = (block, _Form(form.constant, form.terms, 0))
        if key not in self._starts or not _stands_before(self._starts[key], target):
            self._starts[key] = self._compute(form, target, block)
        return self._starts[key]

    def _compute(self, form: _Form, before: Operation, block: Block) -> SSAValue:
        parts: list[SSAValue] = []
        for value, scale in form.terms:
            if scale != 1:
                product = arithmetic(arith.MuliOp, value, self._constant(scale))
                block.insert_op_before(product, before)
                parts.append(product.result)
            else:
                parts.append(value)
        if form.constant:
            parts.append(self._constant(form.constant))
        total = parts[0]
        for part in parts[1:]:
            addition = arithmetic(arith.AddiOp, total, part)
            block.insert_op_before(addition, before)
            total = addition.result
        return total


def _stands_before(value: SSAValue, op: Operation) -> bool:
    """Whether `value`, computed in the block of `op`, still exists and is computed before it."""
    owner = value.owner
    return isinstance(owner, Operation) and owner.parent is op.parent and owner.is_before_in_block(op)


def _chain(value: SSAValue, linear: set[Operation]) -> set[Operation]:
    """The linear operations that compute `value`."""
    found: set[Operation] = set()
    work = [value]
    while work:
        owner = work.pop().owner
        if isinstance(owner, Operation) and owner in linear and owner not in found:
            found.add(owner)
            work.extend(owner.operands)
    return found


def _own(value: SSAValue, chains: dict[SSAValue, set[Operation]]) -> set[Operation]:
    """Operations that only `value` needs."""
    others: Iterable[set[Operation]] = (chain for other, chain in chains.items() if other is not value)
    return chains[value].difference(*others)


def _carrier(op: InductionOp, loop: scf.ForOp) -> InductionOp | None:
    """The induction of the loop around where `op` can go on: `loop` makes its step, and nobody needs it afterwards."""
    trip, carrier = constant_of(loop.ub), op.start.owner
    if trip is None or trip < 1 or not isinstance(carrier, InductionOp) or carrier.parent is not loop.parent:
        return None
    uses = [use.operation for use in carrier.result.uses if use.operation is not op]
    same_way = carrier.step.value.data == trip * op.step.value.data
    return carrier if same_way and all(_comes_before(use, loop) for use in uses) else None


def _carry(loop: scf.ForOp) -> None:
    """Chooses which induction is the machine's loop index (if nobody needs the index itself) and carries the others."""
    leaves = any(isinstance(op, BreakIfOp) for op in loop.walk())
    inductions = [op for op in loop.body.block.ops if isinstance(op, InductionOp)]
    carriers = {op: None if leaves else _carrier(op, loop) for op in inductions}
    if not any(True for _ in loop.body.block.args[0].uses):
        free = [op for op in inductions if not is_carrier(op)]
        primary = next((op for op in free if carriers[op] is None), next(iter(free), None))
        if primary is not None:
            primary.properties["primary"] = UnitAttr()
            del carriers[primary]
    for op, carrier in carriers.items():
        if carrier is not None and not is_carrier(carrier):
            op.properties["carried"] = UnitAttr()


def _comes_before(op: Operation, loop: scf.ForOp) -> bool:
    """Whether `op` stands before `loop` in the block of the latter."""
    ancestor: Operation | None = op
    while ancestor is not None and ancestor.parent is not loop.parent:
        ancestor = ancestor.parent_op()
    return ancestor is not None and ancestor.is_before_in_block(loop)


def reduce_strength(kernel: KernelOp) -> None:
    """Makes inductions in the loops of `kernel`, innermost first."""
    reducer = _Reducer(kernel)
    loops = [op for op in kernel.walk(reverse=True, region_first=True) if isinstance(op, scf.ForOp)]
    for loop in loops:
        reducer.reduce(loop)
    for loop in loops:
        _carry(loop)


def restore_products(kernel: KernelOp) -> None:
    """Computes every induction of `kernel` from its loop's index again: it then needs no register of its own."""
    for op in [op for op in kernel.walk() if isinstance(op, InductionOp)]:
        body = op.parent
        assert body is not None
        step = arith.ConstantOp(IntegerAttr(op.step.value.data, index))
        product = arithmetic(arith.MuliOp, body.args[0], step.result)
        total = arithmetic(arith.AddiOp, product.result, op.start)
        body.insert_ops_before([step, product, total], op)
        op.result.replace_all_uses_with(total.result)
        op.detach()
        op.erase()


@dataclass(frozen=True)
class DavinciReduceStrengthPass(ModulePass):
    """See the module docstring."""

    name = "davinci-reduce-strength"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            reduce_strength(kernel)
