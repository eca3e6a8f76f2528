"""Reductions along the rows of a tile: many rows at once, no loop over rows or lanes.

A row is folded in halves by ordinary vadd/vmax with one repeat per row, until one block is left.  In a
blocked layout its 16 lanes are 16 channels: done.  In ND the lanes are joined by vcgadd/vcgmax/vcgmin, 8 rows
per repeat, which leaves one packed element per row; it is spread again to a block of equal lanes, because
that is what later instructions can broadcast.  Folding first is what makes it fast: a whole-repeat reduction
costs 7 cycles per repeat, a vadd one.  Where a chip has no vcgadd for f32, rows are folded to one repeat and
vcadd joins its 64 lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

from .kernel_builder import Ref
from .vector_program import NEUTRAL, REDUCTIONS, SIZES, raw_bits
from .vector_tiles import BLOCK, LANES, MAX_STRIDE, REPEAT_BYTES, Count, Tile, TileEmitter, Value, mask_bits
from .vector_transfer import expand, packed_buffer, ub_buffer


@dataclass(frozen=True)
class _Rows:
    """`length` bytes of each row, rows `pitch` bytes apart."""

    ref: Ref
    pitch: int
    length: int


@dataclass(frozen=True)
class RowReduction:
    """One reduction of all rows of a tile to per-row block values."""

    emitter: TileEmitter
    op: str
    dtype: str

    @property
    def join(self) -> str:
        return REDUCTIONS[self.op]

    @property
    def group_op(self) -> str:
        return {"vadd": "vcgadd", "vmax": "vcgmax", "vmin": "vcgmin"}[self.join]

    def run(self, source: Value, columns: int, padded: int, *, in_place: bool) -> Value:
        """`columns` of `padded` elements per row count; the padding is set to the neutral element in
        `source`."""
        emitter, size = self.emitter, SIZES[self.dtype]
        tile = emitter.tile
        if padded > columns:
            emitter.fill(source, NEUTRAL[self.op], columns, padded)
        rows = _Rows(source.ref, source.pitch or padded * size, padded * size)
        if tile.lanes:
            block = LANES * size
            rows = self._fold(rows, block, block, in_place=in_place)
            return Value(rows.ref, self.dtype, True, False, block, uniform=False)
        if emitter.soc.core.supports(self.group_op, self.dtype):
            packed = self._join_blocks(self._fold(rows, BLOCK, BLOCK, in_place=in_place))
        else:
            rows = self._fold(rows, BLOCK, REPEAT_BYTES, in_place=in_place)
            packed = self._join_repeats(rows) if self.op == "reduce_sum" else self._join_single_lanes(rows)
        blocks = expand(emitter.kb, packed, self.dtype, tile.rows, tile.rows_limit)
        return Value(blocks, self.dtype, True, False, LANES * size)

    def _fold(self, rows: _Rows, unit: int, stop: int, *, in_place: bool) -> _Rows:
        """Halves rows until at most `stop` bytes are left, which end up in rows `stop` apart."""
        emitter, size = self.emitter, SIZES[self.dtype]
        if rows.length <= stop:
            near = (
                rows.pitch // BLOCK <= MAX_STRIDE
                if stop == REPEAT_BYTES
                else rows.pitch == stop and emitter.counter
            )
            return rows if near and not emitter.tile.lanes else self._copied(rows, stop)
        while rows.length > stop:
            half = max(stop, -(-(rows.length // unit) // 2) * unit)
            upper = rows.length - half
            target = rows
            if half == stop:
                target = _Rows(self._defined(stop), stop, stop)
            elif not in_place:
                target = _Rows(ub_buffer(emitter.kb, emitter.tile.rows_limit * half), half, half)
            operands = [(target.ref, target.pitch), (rows.ref, rows.pitch), (rows.ref + half, rows.pitch)]
            emitter.rows2d(self.join, self.dtype, operands, upper // size)
            if target is not rows and half > upper:
                rest = [(target.ref + upper, target.pitch), (rows.ref + upper, rows.pitch)]
                emitter.rows2d("vadds", self.dtype, rest, (half - upper) // size, 0.0)
            rows, in_place = _Rows(target.ref, target.pitch, half), True
        return rows

    def _copied(self, rows: _Rows, pitch: int) -> _Rows:
        out = self._defined(pitch)
        operands = [(out, pitch), (rows.ref, rows.pitch)]
        self.emitter.rows2d("vadds", self.dtype, operands, rows.length // SIZES[self.dtype], 0.0)
        return _Rows(out, pitch, rows.length)

    def _defined(self, pitch: int) -> Ref:
        """A buffer of rows `pitch` apart; without counter mode the rows behind the last are filled, because
        the lanes of 8 rows are joined at once."""
        kb, limit = self.emitter.kb, self.emitter.tile.rows_limit
        repeats = -(-limit * pitch // REPEAT_BYTES)
        out = ub_buffer(kb, repeats * REPEAT_BYTES)
        if pitch == BLOCK and not self.emitter.counter:
            kb.op("vector_dup", self.dtype, out, repeat=repeats, value=raw_bits(NEUTRAL[self.op], self.dtype))
        return out

    def _join_blocks(self, rows: _Rows) -> Ref:
        """One block per row → one packed element per row."""
        kb, tile = self.emitter.kb, self.emitter.tile
        packed = packed_buffer(kb, tile.rows_limit, self.dtype)
        lanes = BLOCK // SIZES[self.dtype]
        if self.emitter.counter:
            count, limits = kb.mul(tile.rows, lanes), {"count": tile.rows_limit * lanes}
            kb.op(self.group_op, self.dtype, packed, rows.ref, limits=limits, repeat=1, count=count)
        else:
            limits = {"repeat": -(-tile.rows_limit // 8)}
            kb.op(
                self.group_op, self.dtype, packed, rows.ref, limits=limits, repeat=kb.ceil_div(tile.rows, 8)
            )
        return packed

    def _sum_lanes(self, rows: _Rows, into: Ref, first: int, last: int) -> None:
        """The sum of lanes first … last-1 of each row, packed."""
        kb, tile = self.emitter.kb, self.emitter.tile
        limits, step = {"repeat": tile.rows_limit}, rows.pitch // BLOCK
        kb.op(
            "vcadd",
            self.dtype,
            into,
            rows.ref,
            limits=limits,
            extents=None,
            repeat=tile.rows,
            src_rep=step,
            **mask_bits(first, last),
        )

    def _join_repeats(self, rows: _Rows) -> Ref:
        packed = packed_buffer(self.emitter.kb, self.emitter.tile.rows_limit, self.dtype)
        self._sum_lanes(rows, packed, 0, rows.length // SIZES[self.dtype])
        return packed

    def _join_single_lanes(self, rows: _Rows) -> Ref:
        """Without vcgmax for the type: rows are folded to one block, its lanes taken out one by one as sums
        of one lane each, and joined."""
        kb, tile = self.emitter.kb, self.emitter.tile
        rows = self._fold(rows, BLOCK, BLOCK, in_place=False)
        run = TileEmitter(kb, Tile(1, 1, Count.of(-(-tile.rows_limit // LANES) * LANES), 0, 0))
        total, part = (
            Value(packed_buffer(kb, tile.rows_limit, self.dtype), self.dtype, False, True, 0)
            for _ in range(2)
        )
        for lane in range(BLOCK // SIZES[self.dtype]):
            into = part if lane else total
            run.apply("vector_dup", self.dtype, into, [], 0.0)
            self._sum_lanes(rows, into.ref, lane, lane + 1)
            if lane:
                run.apply(self.join, self.dtype, total, [total, part])
        return total.ref


def reduce_rows(
    emitter: TileEmitter, op: str, source: Value, columns: int, padded: int, *, in_place: bool
) -> Value:
    """The reduction of each row as a per-row block value."""
    return RowReduction(emitter, op, source.dtype).run(source, columns, padded, in_place=in_place)
