"""Pass nn-form-sort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from ..dialects.blobs import Blob
from ..dialects.nn_shapes import SORT_BLOCK
from ..lowering.sort_problem import whole as whole_groups
from ..lowering.sort_schedule import Cut, Rows, cut_of
from ..runtime.soc import Soc
from .ai_cpu import reason_of
from .attach_target import target_of
from .canonicalization.nn_digits import joined, number_of, ordered_bits, split, times
from .integer_ranges import Ranges, inside
from .rewriting import Builder, apply_rules, users

_SMALL = frozenset({"i8", "u8", "bool"})
_HALF_RANGE = (-2048, 2048)
_SHARE = 4
"""Rows are cut before they are sorted by digits if no more than this part of a row is asked for."""


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
    weights: tuple[int, ...]


@dataclass(frozen=True)
class _Digits:
    """Digits of rows, the lowest first, and the names of their places."""

    digits: list[SSAValue]
    names: list[SSAValue]
    weights: tuple[int, ...] = ()  # how many elements a name counts


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
        result = (*shape[:-1], count)
        return self._cut(values, result, build), self._cut(places, result, build)

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
        return values, self._places(found.names, found.weights, values, build)

    # ------------------------------------------------------------------ digits
    def _digits(
        self, rows: SSAValue, count: int, build: Builder, positions: bool, smallest: bool
    ) -> tuple[SSAValue, SSAValue] | None:
        """Whole numbers of 32 bits, and numbers whose bits are such, by their digits."""
        dtype = nn.dtype_of(rows)
        whole = rows if dtype == "i32" else ordered_bits(rows, build)
        if smallest:
            whole = build(nn.SubOp(build.scalar(-1, "i32", (1, 1)), whole))
        found = self._best_by_digits(_Digits(split(whole, self.soc, build), []), count, build, positions)
        if found is None:
            return None
        whole = joined(found.digits, build)
        if smallest:
            whole = build(nn.SubOp(build.scalar(-1, "i32", (1, 1)), whole))
        values = whole if dtype == "i32" else number_of(whole, build)
        places = self._places(found.names, found.weights, values, build)
        return values, places

    def _best_by_digits(self, given: _Digits, count: int, build: Builder, positions: bool) -> _Digits | None:
        """Sorts by digits are sorts of whole rows, so long rows of which little is asked for are cut first: the best of each
        part, then the best of those."""
        rows, length = nn.shape_of(given.digits[0])
        parts = _parts(rows, length, max(SORT_BLOCK, _SHARE * whole_groups(count)))
        if parts == 1:
            return self._by_digits(given, count, build, positions)
        cut = [_in_parts(value, parts, build) for value in (*given.digits, *given.names)]
        each = self._by_digits(_Digits(cut[:3], cut[3:]), count, build, positions)
        if each is None:
            return None
        width = parts * whole_groups(count)
        digits, names = (
            [build(nn.ReshapeOp(v, (rows, width))) for v in vs] for vs in (each.digits, each.names)
        )
        if positions:
            number = build.constant(Blob.dense(np.arange(parts, dtype=np.float16).reshape(1, parts, 1)))
            wide = build(nn.ExpandOp(number, (rows, parts, width // parts)))
            names.append(build(nn.ReshapeOp(wide, (rows, width))))
        rest = self._best_by_digits(_Digits(digits, names), count, build, False)
        weights = (*each.weights, -(-length // parts)) if positions else ()
        return None if rest is None else _Digits(rest.digits, rest.names, weights)

    def _by_digits(self, given: _Digits, count: int, build: Builder, positions: bool) -> _Digits | None:
        """The lowest digit first: each sort keeps the order that the lower digits have."""
        low, middle, high = given.digits
        length = nn.shape_of(low)[-1]
        first = self._sort(low, [middle, high, *given.names], length, build, positions)
        if first is None:
            return None
        low, (middle, high, *carried) = first.keys, first.carried
        second = self._sort(middle, [low, high, *carried, *first.names], length, build, False)
        if second is None:
            return None
        middle, (low, high, *names) = second.keys, second.carried
        last = self._sort(high, [low, middle, *names], count, build, False)
        if last is None:
            return None
        low, middle, *names = last.carried
        return _Digits([low, middle, last.keys], names, first.weights)

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
        weights = (1, cut.block)[:named] if positions else ()
        return _Sorted(planes[0], planes[1 + named :], planes[1 : 1 + named], weights)

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
            inputs.insert(
                1,
                build.constant(
                    Blob.splat(0.0, (whole_groups(cut.block),), nn.dtype_of(keys)).apply("positions")
                ),
            )
        op = nn.SortOp(inputs, count=count, block=cut.block, pieces=cut.pieces, positions=positions)
        whole = build(op)
        number, rows, width = nn.shape_of(whole)
        slices = [build(nn.SliceOp(whole, (i, 0, 0), (1, rows, width))) for i in range(number)]
        return [build(nn.ReshapeOp(plane, (rows, width))) for plane in slices]

    def _places(
        self, names: Sequence[SSAValue], weights: Sequence[int], values: SSAValue, build: Builder
    ) -> SSAValue:
        """Positions in the row: the place in the block, and what comes before."""
        if not names:  # nobody asks for them
            return values
        parts = [
            times(build(nn.CastOp(name, "i32")), weight, build)
            for name, weight in zip(names, weights, strict=True)
        ]
        place = parts[0]
        for part in parts[1:]:
            place = build(nn.AddOp(part, place))
        return place


def _same(a: nn.TopKOp, b: nn.TopKOp) -> bool:
    return a.count == b.count and (a.smallest is None) == (b.smallest is None)


def _parts(rows: int, length: int, longest: int) -> int:
    """In how many parts of at most `longest` a row is cut: equal ones, if there are not many more of them.  A single row can be
    filled up to equal parts; of several, that would be a move of rows that end anywhere."""
    least = -(-length // longest)
    equal = [parts for parts in range(least, 2 * least) if length % parts == 0]
    return equal[0] if equal else least if rows == 1 else 1


def _in_parts(value: SSAValue, parts: int, build: Builder) -> SSAValue:
    """[rows, length] → [rows · parts, length of a part], filled up with minus infinity."""
    rows, length = nn.shape_of(value)
    width = -(-length // parts)
    if parts * width > length:
        value = build(nn.PadOp(value, (0, 0, 0, parts * width - length), "constant", -math.inf))
    return build(nn.ReshapeOp(value, (rows * parts, width)))
