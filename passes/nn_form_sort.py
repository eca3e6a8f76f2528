"""Pass nn-form-sort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from ..dialects.blobs import Blob
from ..dialects.nn_shapes import SORT_GROUP
from ..lowering.sort_schedule import Cut, Rows, cut_of
from ..runtime.soc import Soc
from .ai_cpu import reason_of
from .attach_target import target_of
from .integer_ranges import Ranges, inside
from .rewriting import Builder, apply_rules, users

_DIGIT = 11
"""Bits of a digit: f16 holds all whole numbers up to 2^11."""
_DIGIT_MASK = (1 << _DIGIT) - 1
_SIGN = -(2**31)
_SMALL = frozenset({"i8", "u8", "bool"})
_HALF_RANGE = (-2048, 2048)


@dataclass(frozen=True)
class NNFormSortPass(ModulePass):
    """The best of rows become sorts as the kernels do them: of numbers that the sort instructions order, in blocks.

    before  %v = nn.top_k %x count 3 : (tensor<1x40xf16>) -> tensor<1x3xf16>
            %i = nn.top_k %x count 3 positions : (tensor<1x40xf16>) -> tensor<1x3xi32>
    after   %p = nn.constant #nn.blob<splat 0.0 : tensor<48xf16> | positions>
            %s = nn.sort %x, %p count 3 block 40 pieces 1 positions : … -> tensor<2x1x16xf16>
            %v = … slice of plane 0 …; %i = nn.cast of plane 1 …

    Values and positions of the same rows come from one sort. Small integers are sorted as f16. i32, and f32 where the chip
    sorts f16 only, are three digits of 11 bits, sorted one after the other, the lowest first: sorting is stable. The smallest
    are the largest of negated numbers. Long rows are cut for idle cores where that is faster (`sort_schedule`). What the AI
    CPU takes stays nn.top_k.

    Runs behind nn-convert-precision, which says in which type values are ranked.
    """

    name = "nn-form-sort"

    soc: str = ""
    """SoC to form sorts for; default: the module's target."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_rules(op, [Former(target_of(op, self.soc)).rule])


@dataclass(frozen=True)
class _Sorted:
    """The first elements of sorted rows, [rows, whole groups]: keys, carried rows, and the places they had."""

    keys: SSAValue
    carried: list[SSAValue]
    names: list[SSAValue]
    block: int


@dataclass
class Former:
    """The rule, for one chip."""

    soc: Soc
    done: dict[tuple[SSAValue, int, bool], tuple[SSAValue, SSAValue]] = field(
        default_factory=dict[tuple[SSAValue, int, bool], tuple[SSAValue, SSAValue]]
    )

    def rule(self, op: Operation, build: Builder) -> SSAValue | None:
        """Values or positions; who comes second finds what the first has made."""
        if not isinstance(op, nn.TopKOp) or reason_of(op) is not None:
            return None
        key = op.input, op.count.value.data, op.smallest is not None
        if key not in self.done:
            twins = [u for u in users(op.input) if isinstance(u, nn.TopKOp) and _same(u, op)]
            build.absorb(*(u for u in twins if u is not op))
            found = self._best(op, build, positions=any(u.positions is not None for u in twins))
            if found is None:
                return None
            self.done[key] = found
        return self.done[key][op.positions is not None]

    def _best(self, op: nn.TopKOp, build: Builder, *, positions: bool) -> tuple[SSAValue, SSAValue] | None:
        shape, dtype, count = nn.shape_of(op.input), nn.dtype_of(op.input), op.count.value.data
        rows = build(nn.ReshapeOp(op.input, (prod(shape[:-1]), shape[-1])))
        smallest = op.smallest is not None
        is_half = dtype in _SMALL or (dtype == "i32" and inside(Ranges().of(op.input), _HALF_RANGE))
        if is_half:
            rows = build(nn.CastOp(rows, "f16"))
        sorts_alone = is_half or self.soc.core.supports("vbitsort", dtype)
        found = (self._plain if sorts_alone else self._digits)(rows, count, build, positions, smallest)
        if found is None:
            return None
        values, places = found
        values = build(nn.CastOp(values, dtype)) if is_half else values
        return tuple(self._cut(value, (*shape[:-1], count), build) for value in (values, places))  # pyright: ignore[reportReturnType]

    def _cut(self, value: SSAValue, shape: tuple[int, ...], build: Builder) -> SSAValue:
        """Without what filled up the last group."""
        rows, count = nn.shape_of(value)[0], shape[-1]
        return build(nn.ReshapeOp(build(nn.SliceOp(value, (0, 0), (rows, count))), shape))

    def _plain(
        self, rows: SSAValue, count: int, build: Builder, positions: bool, smallest: bool
    ) -> tuple[SSAValue, SSAValue] | None:
        """Rows whose type the instructions order."""
        found = self._sort(build(nn.NegOp(rows)) if smallest else rows, [], count, build, positions)
        if found is None:
            return None
        values = build(nn.NegOp(found.keys)) if smallest else found.keys
        return values, self._places(found.names, found.block, values, build)

    # ------------------------------------------------------------------ digits
    def _digits(
        self, rows: SSAValue, count: int, build: Builder, positions: bool, smallest: bool
    ) -> tuple[SSAValue, SSAValue] | None:
        """Whole numbers of 32 bits by three digits: each sort keeps the order that the lower digits have."""
        dtype = nn.dtype_of(rows)
        whole = rows if dtype == "i32" else _ordered_bits(rows, build)
        if smallest:
            whole = build(nn.SubOp(build.scalar(-1, "i32", (1, 1)), whole))
        low, middle, high = _split(whole, self.soc, build)
        length = nn.shape_of(rows)[-1]
        first = self._sort(low, [middle, high], length, build, positions)
        if first is None:
            return None
        low, (middle, high) = first.keys, first.carried
        second = self._sort(middle, [low, high, *first.names], length, build, False)
        if second is None:
            return None
        middle, (low, high, *names) = second.keys, second.carried
        last = self._sort(high, [low, middle, *names], count, build, False)
        if last is None:
            return None
        low, middle, *names = last.carried
        whole = _joined((low, middle, last.keys), build)
        if smallest:
            whole = build(nn.SubOp(build.scalar(-1, "i32", (1, 1)), whole))
        values = whole if dtype == "i32" else _number_of(whole, build)
        return values, self._places(names, first.block, values, build)

    # ------------------------------------------------------------------ sorts
    def _sort(
        self, keys: SSAValue, carried: Sequence[SSAValue], count: int, build: Builder, positions: bool
    ) -> _Sorted | None:
        rows, length = nn.shape_of(keys)
        cut = cut_of(Rows(nn.dtype_of(keys), rows, length, count, positions, len(carried)), self.soc)
        if not isinstance(cut, Cut):
            return None
        planes = self._planes(keys, carried, count, cut, build, positions)
        named = len(planes) - 1 - len(carried)
        if cut.pieces > 1:
            rest = self._sort(planes[0], planes[1:], count, build, False)
            if rest is None:
                return None
            planes = [rest.keys, *rest.carried]
        return _Sorted(planes[0], planes[1 + named :], planes[1 : 1 + named], cut.block)

    def _planes(
        self,
        keys: SSAValue,
        carried: Sequence[SSAValue],
        count: int,
        cut: Cut,
        build: Builder,
        positions: bool,
    ) -> list[SSAValue]:
        """One sort, taken apart."""
        inputs = [keys, *carried]
        if positions:
            places = -(-cut.block // SORT_GROUP) * SORT_GROUP
            inputs.insert(1, build.constant(Blob.splat(0.0, (places,), nn.dtype_of(keys)).apply("positions")))
        op = nn.SortOp(inputs, count=count, block=cut.block, pieces=cut.pieces, positions=positions)
        whole = build(op)
        number, rows, width = nn.shape_of(whole)
        slices = [build(nn.SliceOp(whole, (i, 0, 0), (1, rows, width))) for i in range(number)]
        return [build(nn.ReshapeOp(plane, (rows, width))) for plane in slices]

    def _places(self, names: Sequence[SSAValue], block: int, values: SSAValue, build: Builder) -> SSAValue:
        """Positions in the row: the place in the block, and the blocks before."""
        if not names:  # nobody asks for them
            return values
        place, *number = (build(nn.CastOp(name, "i32")) for name in names)
        return build(nn.AddOp(_times(number[0], block, build), place)) if number else place


def _same(a: nn.TopKOp, b: nn.TopKOp) -> bool:
    return a.count == b.count and (a.smallest is None) == (b.smallest is None)


def _bits(value: SSAValue, mask: int, build: Builder) -> SSAValue:
    return build(nn.BitAndOp(value, build.scalar(mask, "i32", (1, 1))))


def _between(value: SSAValue, low: int, high: int, build: Builder) -> SSAValue:
    above = build(nn.MaxOp(value, build.scalar(low, "i32", (1, 1))))
    return build(nn.MinOp(above, build.scalar(high, "i32", (1, 1))))


def _times(value: SSAValue, factor: int, build: Builder) -> SSAValue:
    return value if factor == 1 else build(nn.MulOp(value, build.scalar(factor, "i32", (1, 1))))


def _split(whole: SSAValue, soc: Soc, build: Builder) -> list[SSAValue]:
    """Three f16 digits of i32 numbers, the lowest first; the highest, of 10 bits, has the sign."""
    converts = soc.core.supports("vconv", "s322f32")
    found = [build(nn.CastOp(_bits(whole, _DIGIT_MASK, build), "f16"))]
    for first, mask in ((_DIGIT, _DIGIT_MASK << _DIGIT), (2 * _DIGIT, -(1 << 2 * _DIGIT))):
        if converts:
            wide = build(nn.CastOp(_bits(whole, mask, build), "f32"))  # exact: at most 11 bits are not zero
            digit = build(nn.MulOp(wide, build.scalar(2.0**-first, "f32")))
        else:
            digit = _digit_by_bits(whole, first, build)
        found.append(build(nn.CastOp(digit, "f16")))
    return found


def _digit_by_bits(whole: SSAValue, first: int, build: Builder) -> SSAValue:
    """A digit from bit `first` on for chips that neither shift integers nor convert large ones: a bit alone is 0 or more than
    what it is worth in the digit, so a minimum gives that."""
    last = min(first + _DIGIT, 31)
    digit = _times(_between(whole, -1, 0, build), 1 << 31 - first, build) if last == 31 else None
    for bit in range(first, last):
        worth = build.scalar(1 << bit - first, "i32", (1, 1))
        part = build(nn.MinOp(_bits(whole, 1 << bit, build), worth))
        digit = part if digit is None else build(nn.AddOp(digit, part))
    assert digit is not None
    return digit


def _joined(digits: Sequence[SSAValue], build: Builder) -> SSAValue:
    """The inverse of `_split`."""
    parts = [
        _times(build(nn.CastOp(digit, "i32")), 1 << _DIGIT * number, build)
        for number, digit in enumerate(digits)
    ]
    return build(nn.AddOp(build(nn.AddOp(parts[0], parts[1])), parts[2]))


def _ordered_bits(rows: SSAValue, build: Builder) -> SSAValue:
    """Whole numbers in the order of f32 numbers: their bits; of negative ones the magnitude's, negated.  -0 equals 0."""
    bits = build(nn.BitCastOp(rows, "i32"))
    return _signed(_bits(bits, -1 - _SIGN, build), _between(bits, -1, 0, build), build)


def _number_of(whole: SSAValue, build: Builder) -> SSAValue:
    """The inverse of `_ordered_bits`; zeros are positive."""
    below = _between(whole, -1, 0, build)
    size = _signed(whole, below, build)
    return build(nn.BitCastOp(build(nn.BitOrOp(size, _bits(below, _SIGN, build))), "f32"))


def _signed(size: SSAValue, below: SSAValue, build: Builder) -> SSAValue:
    """`size` where `below` is 0, its negative where that is -1."""
    sign = build(nn.AddOp(_times(below, 2, build), build.scalar(1, "i32", (1, 1))))
    return build(nn.MulOp(size, sign))
