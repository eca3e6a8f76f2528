"""Builds a `davinci.kernel`: what all kernel generators share.

Generators write plain loops over tiles with byte buffers and linear offsets; rings, on-chip addresses, flags, state
registers and machine registers come later, from passes.  The builder folds constants, keeps one `arith.constant` per
value at the top of the kernel, and declares the byte extents of operands whose sizes are only known at run time
(`limits` gives the largest value of each such field).

    kb = KernelBuilder("relu_3f", soc, gm_args=2, blocks=8)
    x, y = kb.args
    first, count = kb.partition(granules)            # granules of this block (decision D6)
    with kb.loop(kb.ceil_div(count, 4)) as i:
        tile = kb.alloc("ub", 4096, depth=2)         # a fresh instance each iteration
        rows = kb.min(4, kb.sub(count, kb.mul(i, 4)))
        source = x + kb.linear(0, (first, 1024), (i, 4096))
        kb.op("copy_gm_to_ubuf", "", tile, source, bursts=1, length=kb.mul(rows, 32), limits={"length": 128})
        ...
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, UnitAttr, i64
from xdsl.ir import Block, Operation, Region, SSAValue

from ..dialects.davinci import (
    AllocOp,
    BlockIdxOp,
    CounterOp,
    GmType,
    KernelOp,
    OffsetOp,
    RingNextOp,
    index,
)
from ..dialects.davinci_instruction import DISJOINT, InstructionOp, value_specs
from ..dialects.davinci_isa import OP_BY_MNEMONIC
from ..runtime.isa.extents import extents as table_extents
from ..runtime.isa.table import TABLE
from ..runtime.soc import Soc

_UNROLLED = 4  # trips of a loop that is written out where its body is one instruction


@dataclass(frozen=True)
class Linear:
    """A byte offset: constant + Σ value · scale (decision D2)."""

    constant: int = 0
    terms: tuple[tuple[SSAValue, int], ...] = ()

    def __add__(self, other: Linear | int) -> Linear:
        if isinstance(other, int):
            return Linear(self.constant + other, self.terms)
        merged = dict(self.terms)
        for value, scale in other.terms:
            merged[value] = merged.get(value, 0) + scale
        return Linear(self.constant + other.constant, tuple((v, s) for v, s in merged.items() if s))

    def scaled(self, factor: int) -> Linear:
        return Linear(self.constant * factor, tuple((v, s * factor) for v, s in self.terms if s * factor))


Index = int | SSAValue | Linear
"""An index value: a constant, a value, or a linear form of values that becomes arithmetic only where a field needs it.

Keeping sums and constant multiples symbolic lets every address stay linear in loop variables (decision D2)."""


Range = tuple[float, float]
"""Least and largest value that an index may have; infinite where nothing is known."""

_ANY: Range = (-math.inf, math.inf)


def _floor(value: float, divisor: int) -> float:
    """value // divisor, also of what is infinite (where // gives NaN)."""
    return value // divisor if math.isfinite(value) else value


def _linear(value: Index) -> Linear:
    if isinstance(value, int):
        return Linear(value)
    return value if isinstance(value, Linear) else Linear(0, ((value, 1),))


def _simple(linear: Linear) -> Index:
    """The plainest form of a linear value."""
    if not linear.terms:
        return linear.constant
    if linear.constant == 0 and len(linear.terms) == 1 and linear.terms[0][1] == 1:
        return linear.terms[0][0]
    return linear


@dataclass(frozen=True)
class Ref:
    """An address operand: a buffer or kernel argument and a byte offset into it."""

    base: SSAValue
    offset: Linear = Linear()

    def __add__(self, other: Linear | int) -> Ref:
        return Ref(self.base, self.offset + other)


@dataclass(frozen=True)
class Clock:
    """The counters of rings that advance together: the slot in use and the one that comes next."""

    depth: int
    number: int
    now: SSAValue
    ahead: SSAValue


@dataclass(frozen=True)
class Ring:
    """A ring that is filled one execution ahead of its use (`KernelBuilder.ring`)."""

    first: Ref  # the slot of the first execution: filled before the loop
    now: Ref
    ahead: Ref


class KernelBuilder:
    """Appends ops to one kernel; see the module docstring."""

    def __init__(self, name: str, soc: Soc, gm_args: int, blocks: int) -> None:
        self.soc = soc
        self.kernel = KernelOp(name, [GmType()] * gm_args, blocks)
        self.blocks = blocks
        self._top = self.kernel.body.block
        self._block = self._top
        self._scopes = [self._top]  # the current block and those around it
        self._constants: dict[int, SSAValue] = {}
        self._last_constant: Operation | None = None
        self._offsets: dict[Block, dict[Linear, SSAValue]] = {}
        self._materialized: dict[Block, dict[Linear, SSAValue]] = {}
        self._block_idx: SSAValue | None = None
        self._ranges: dict[tuple[tuple[SSAValue, int], ...], Range] = {}
        self.body_op = 0  # number of the group's op that the next instructions stand for (D18)

    @property
    def args(self) -> list[Ref]:
        """The GM arguments: inputs, weights, outputs, workspace."""
        return [Ref(argument) for argument in self._top.args]

    # ------------------------------------------------------------------ ranges
    def range_of(self, value: Index) -> Range:
        """What `value` may be: shares of blocks and remainders differ by one, and often nothing depends on it."""
        if isinstance(value, int):
            return value, value
        linear = _linear(value)
        known = self._ranges.get(linear.terms)
        if known is not None:
            return known[0] + linear.constant, known[1] + linear.constant
        low = high = float(linear.constant)
        for term, scale in linear.terms:
            ends = [end * scale for end in self._ranges.get(((term, 1),), _ANY)]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def _within(self, value: Index, low: float, high: float) -> Index:
        """Notes the range of `value`; the constant if it can only be one."""
        before = self.range_of(value)
        low, high = max(low, before[0]), min(high, before[1])
        if low == high:
            return int(low)
        linear = _linear(value)
        self._ranges[linear.terms] = (low - linear.constant, high - linear.constant)
        return value

    # ------------------------------------------------------------------ scalars
    def constant(self, value: int) -> SSAValue:
        """The `index` constant `value`, one op per value at the top of the kernel."""
        found = self._constants.get(value)
        if found is not None:
            return found
        op = arith.ConstantOp(IntegerAttr(value, index))
        if self._last_constant is None:
            first = self._top.first_op
            self._top.add_op(op) if first is None else self._top.insert_op_before(op, first)
        else:
            self._top.insert_op_after(op, self._last_constant)
        self._last_constant = op
        self._constants[value] = op.result
        return op.result

    def value(self, operand: Index) -> SSAValue:
        """`operand` as an SSA value; a linear form becomes multiplications and additions in the current block."""
        if isinstance(operand, int):
            return self.constant(operand)
        if not isinstance(operand, Linear):
            return operand
        for block in self._scopes:
            found = self._materialized.get(block, {}).get(operand)
            if found is not None:
                return found
        found = self._from_known(operand) or self._materialize(operand)
        known = self._ranges.get(operand.terms)
        if known is not None and operand.constant == 0 and math.inf not in (-known[0], known[1]):
            assert isinstance(found.owner, Operation)
            found.owner.attributes["range"] = DenseArrayBase.from_list(i64, [int(bound) for bound in known])
        self._materialized.setdefault(self._block, {})[operand] = found
        return found

    def _from_known(self, linear: Linear) -> SSAValue | None:
        """`linear` in one operation: a value that is there, and a constant or another one."""
        if len(linear.terms) < 2:
            return None
        known = {
            form: value for block in self._scopes for form, value in self._materialized.get(block, {}).items()
        }
        for form, value in known.items():
            for kind, rest in (
                (arith.AddiOp, linear + form.scaled(-1)), (arith.SubiOp, form + linear.scaled(-1)),
            ):  # fmt: skip
                other = _simple(rest)
                if isinstance(other, Linear):
                    found = known.get(other)
                    if found is None:
                        continue
                    other = found
                return self._binary(kind, value, other)
            rest = linear + form
            if not rest.terms:
                return self._binary(arith.SubiOp, rest.constant, value)
        return None

    def _materialize(self, linear: Linear) -> SSAValue:
        """constant ± multiple of a sum, as far as it is one: values that differ in those share the sum and the multiple."""
        scales = [scale for _, scale in linear.terms]
        common, sign = math.gcd(*scales), 1 if scales[0] > 0 or len(scales) == 1 else -1
        multiple = Linear(0, tuple((value, scale * sign) for value, scale in linear.terms))
        if common > 1 and multiple != linear:
            product = self.value(multiple)
            if sign < 0:
                return self._binary(arith.SubiOp, linear.constant, product)
            return self._binary(arith.AddiOp, product, linear.constant)
        if common > 1 and len(scales) > 1:
            total = self.value(Linear(0, tuple((value, scale // common) for value, scale in linear.terms)))
            return self._binary(arith.MuliOp, total, common)
        return self._sum(linear)

    def _sum(self, linear: Linear) -> SSAValue:
        total: Index | None = None
        for term, scale in sorted(
            linear.terms, key=lambda entry: entry[1] == -1
        ):  # what is subtracted comes last
            if scale == -1:
                total = self._binary(arith.SubiOp, linear.constant if total is None else total, term)
                continue
            part = term if scale == 1 else self._binary(arith.MuliOp, term, scale)
            total = part if total is None else self._binary(arith.AddiOp, total, part)
        assert isinstance(total, SSAValue), "a linear form without terms is an int"
        begun = linear.terms and all(
            scale == -1 for _, scale in linear.terms
        )  # the constant has been the minuend
        return total if linear.constant == 0 or begun else self._binary(arith.AddiOp, total, linear.constant)

    @property
    def block_idx(self) -> Index:
        """Index of this block; the constant 0 when there is one block."""
        if self.blocks == 1:
            return 0
        if self._block_idx is None:
            op = BlockIdxOp()
            if self._last_constant is not None:
                self._top.insert_op_after(op, self._last_constant)
            elif self._top.first_op is not None:
                self._top.insert_op_before(op, self._top.first_op)
            else:
                self._top.add_op(op)
            self._block_idx = op.result
            self._within(op.result, 0, self.blocks - 1)
        return self._block_idx

    def _binary(self, kind: type[arith.SignlessIntegerBinaryOperation], a: Index, b: Index) -> SSAValue:
        op = kind(self.value(a), self.value(b))
        self._block.add_op(op)
        return op.result

    def add(self, a: Index, b: Index) -> Index:
        return _simple(_linear(a) + _linear(b))

    def sub(self, a: Index, b: Index) -> Index:
        return _simple(_linear(a) + _linear(b).scaled(-1))

    def mul(self, a: Index, b: Index) -> Index:
        if isinstance(b, int):
            return _simple(_linear(a).scaled(b))
        if isinstance(a, int):
            return _simple(_linear(b).scaled(a))
        return self._binary(arith.MuliOp, a, b)

    def div(self, a: Index, b: Index) -> Index:
        """Floor quotient of non-negative values."""
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        if isinstance(b, int) and b == 1:
            return a
        if (
            isinstance(a, Linear)
            and isinstance(b, int)
            and all(n % b == 0 for n in (a.constant, *(s for _, s in a.terms)))
        ):
            return _simple(Linear(a.constant // b, tuple((v, s // b) for v, s in a.terms)))
        low, high = self.range_of(a)
        if isinstance(b, int) and low >= 0 and _floor(low, b) == _floor(high, b):
            return int(low // b)
        quotient = self._binary(arith.DivUIOp, a, b)
        return (
            self._within(quotient, _floor(max(low, 0), b), _floor(high, b))
            if isinstance(b, int)
            else quotient
        )

    def rem(self, a: Index, b: Index) -> Index:
        """Remainder of non-negative values."""
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        if isinstance(b, int):
            low, high = self.range_of(a)
            if low >= 0 and high < b:
                return a
            return 0 if b == 1 else self._within(self._binary(arith.RemUIOp, a, b), 0, b - 1)
        return self._binary(arith.RemUIOp, a, b)

    def min(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        (a_low, a_high), (b_low, b_high) = self.range_of(a), self.range_of(b)
        if a_high <= b_low or b_high <= a_low:
            return a if a_high <= b_low else b
        return self._within(self._binary(arith.MinSIOp, a, b), min(a_low, b_low), min(a_high, b_high))

    def max(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        (a_low, a_high), (b_low, b_high) = self.range_of(a), self.range_of(b)
        if a_low >= b_high or b_low >= a_high:
            return a if a_low >= b_high else b
        return self._within(self._binary(arith.MaxSIOp, a, b), max(a_low, b_low), max(a_high, b_high))

    def ceil_div(self, a: Index, b: int) -> Index:
        return self.div(self.add(a, b - 1), b)

    def less(self, a: Index, b: Index) -> SSAValue:
        """a < b as i1 (signed)."""
        op = arith.CmpiOp(self.value(a), self.value(b), "slt")
        self._block.add_op(op)
        return op.result

    def equal(self, a: Index, b: Index) -> SSAValue:
        op = arith.CmpiOp(self.value(a), self.value(b), "eq")
        self._block.add_op(op)
        return op.result

    def select(self, condition: SSAValue, yes: Index, no: Index) -> SSAValue:
        op = arith.SelectOp(condition, self.value(yes), self.value(no))
        self._block.add_op(op)
        return op.result

    def low_ones(self, count: Index) -> Index:
        """(1 << count) - 1 for 0 ≤ count ≤ 64: a lane mask (shifts count mod 64, so 64 is a case of its own)."""
        if isinstance(count, int):
            bits = (1 << count) - 1
            return bits - (1 << 64) if bits >> 63 else bits
        one = self._binary(arith.ShLIOp, 1, count)
        ones = self.sub(one, 1)
        return self.select(self.less(count, 64), ones, -1)

    def partition(self, granules: Index) -> tuple[Index, Index]:
        """(first, count) of this block's granules: [b·G//B, (b+1)·G//B) (decision D6)."""
        if isinstance(granules, int):
            self.note_granules(granules)
        return self.share(granules, self.block_idx, self.blocks)

    def note_granules(self, count: int) -> None:
        """Says how many granules the kernel's work has (its largest part, if it has several): the attribute `granules`."""
        known = self.kernel.attributes.get("granules")
        most = max(count, known.value.data if isinstance(known, IntegerAttr) else 0)
        self.kernel.attributes["granules"] = IntegerAttr(most, i64)

    def share(self, granules: Index, part: Index, parts: int) -> tuple[Index, Index]:
        """(first, count) of part `part` of `parts`; an even split has a constant count."""
        if parts == 1:
            return 0, granules
        if isinstance(granules, int) and granules % parts == 0:
            return self.mul(part, granules // parts), granules // parts
        first = self.div(self.mul(part, granules), parts)
        last = self.div(self.mul(self.add(part, 1), granules), parts)
        low, high = self.range_of(granules)
        return first, self._within(self.sub(last, first), _floor(low, parts), -_floor(-high, parts))

    # ------------------------------------------------------------------ structure
    @contextmanager
    def loop(self, trip: Index) -> Generator[Index]:
        """`for i in range(trip)`; a constant trip count of 1 makes no loop and gives i = 0."""
        if isinstance(trip, int) and trip == 1:
            yield 0
            return
        zero, one, bound = self.constant(0), self.constant(1), self.value(trip)
        body = Block(arg_types=[index])
        self._within(body.args[0], 0, self.range_of(trip)[1] - 1)
        outer = self._enter(body)
        yield body.args[0]
        self._leave(outer)
        outer.add_op(scf.ForOp(zero, bound, one, [], Region(body)))

    def few(self, trip: Index) -> Iterator[Index]:
        """The indices of a loop; a short one is unrolled: numbers instead of addresses that move."""
        if isinstance(trip, int) and trip <= _UNROLLED:
            yield from range(trip)
            return
        with self.loop(trip) as i:
            yield i

    @contextmanager
    def when(self, condition: SSAValue) -> Generator[None]:
        """`scf.if` without else."""
        body = Block()
        outer = self._enter(body)
        yield
        self._leave(outer)
        outer.add_op(scf.IfOp(condition, [], Region(body)))

    def _enter(self, body: Block) -> Block:
        outer = self._block
        self._block = body
        self._scopes.append(body)
        return outer

    def _leave(self, outer: Block) -> None:
        self._block.add_op(scf.YieldOp())
        self._scopes.pop()
        self._block = outer

    def alloc(self, space: str, size: int, depth: int = 1) -> Ref:
        """A buffer whose fresh instance begins here, each time the enclosing block runs; `depth` instances rotate."""
        # load2d reads whole fractals from 512-byte addresses of L1; everything else there needs 32 [CSIM] §4
        align = 512 if space == "l1" else self.soc.core.buffers[space].align
        op = AllocOp(space, -(-size // align) * align, depth)
        self._block.add_op(op)
        return Ref(op.result)

    def clock(self, depth: int, *, ahead: bool = True) -> Clock:
        """Counters for rings of `depth` slots; `tick` ends the block whose executions they count.  Without `ahead` nothing may
        be filled before its time."""
        number = sum(isinstance(op, CounterOp) for op in self._top.ops)
        counters = (CounterOp(0), CounterOp(1)) if ahead else (CounterOp(0),)
        for step, counter in enumerate(counters):
            counter.attributes["ring"] = IntegerAttr(number + step, i64)
            self._at_top(counter)
        if ahead:
            counters[-1].attributes["ahead"] = IntegerAttr(number, i64)
        return Clock(depth, number, counters[0].result, counters[-1].result)

    def tick(self, clock: Clock) -> None:
        """The rings of `clock` move on: the last ops of their home block."""
        for counter in dict.fromkeys((clock.now, clock.ahead)):
            self._block.add_op(RingNextOp(counter, clock.depth))

    def ring(self, clock: Clock, space: str, size: int) -> Ring:
        """A buffer of `clock.depth` slots.  Unlike `alloc`, whose instance begins in the block that runs, the next instance
        can be filled while this one is in use."""
        align = 512 if space == "l1" else self.soc.core.buffers[space].align
        slot = -(-size // align) * align
        op = AllocOp(space, slot * clock.depth, clock.depth)
        op.attributes |= {"ring": IntegerAttr(clock.number, i64), "slot": IntegerAttr(slot, i64)}
        self._at_top(op)
        now, ahead = (Ref(op.result, Linear(0, ((value, slot),))) for value in (clock.now, clock.ahead))
        return Ring(Ref(op.result), now, ahead)

    def _at_top(self, op: Operation) -> None:
        first = self._top.first_op
        self._top.add_op(op) if first is None else self._top.insert_op_before(op, first)

    # ------------------------------------------------------------------ addresses and instructions
    def linear(self, constant: Index, *terms: tuple[Index, int]) -> Linear:
        """constant + Σ value · scale, folding what is constant."""
        total = _linear(constant)
        for value, scale in terms:
            total += _linear(value).scaled(scale)
        return total

    def scaled(self, a: Index, b: Index, scale: int) -> Linear:
        """a · b · scale; b may be a value."""
        return (
            self.linear(0, (a, b * scale)) if isinstance(b, int) else self.linear(0, (self.mul(a, b), scale))
        )

    def _offset(self, linear: Linear) -> int | SSAValue:
        if not linear.terms:
            return linear.constant
        known = self._offsets.setdefault(self._block, {})
        if linear not in known:
            op = OffsetOp(linear.constant, linear.terms)
            self._block.add_op(op)
            known[linear] = op.result
        return known[linear]

    def op(
        self,
        mnemonic: str,
        dtype: str,
        *addresses: Ref,
        limits: Mapping[str, int] | None = None,
        extents: Sequence[int] | None = None,
        **values: Index,
    ) -> InstructionOp:
        """Emits one instruction.

        Args:
            limits: the largest value of each operand that is not a constant (for the byte extents).
            extents: the byte extents themselves, where the table cannot know them.
        """
        row = TABLE[mnemonic]
        if extents is None and row.addresses and any(not isinstance(v, int) for v in values.values()):
            bound = {spec.name: spec.default for spec in value_specs(row)}
            bound |= {k: v for k, v in values.items() if isinstance(v, int)} | dict(limits or {})
            extents = table_extents(row, dtype, {k: v for k, v in bound.items() if v is not None})
        operands = [(ref.base, self._offset(ref.offset)) for ref in addresses]
        fixed = {name: v if isinstance(v, int) else self.value(v) for name, v in values.items()}
        op = OP_BY_MNEMONIC[mnemonic](dtype, operands, fixed, extents)
        op.attributes["body_op"] = IntegerAttr(self.body_op, i64)
        self._block.add_op(op)
        return op

    def load_scalar(self, source: Ref, size: int) -> Index:
        """The sign-extended number of `size` bytes in UB that the scalar unit loads: a value of the data."""
        return self.op("load_scalar", "", source, bytes=size).results[0]


def mark_disjoint(store: InstructionOp) -> None:
    """Says that no two executions of `store` in its kernel write the same bytes."""
    store.attributes[DISJOINT] = UnitAttr()
