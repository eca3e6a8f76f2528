"""Moves whose neighbours in the output are not neighbours in the input: tiles turned by the transpose
instruction.

The input axis with stride 1 is the *column* axis, the output axes inside of it are the *rows*: a tile is
loaded as input rows (each a run along the column axis), `vnchwconv` turns 16×16 elements per repeat, and a
tile is stored as output rows (each a run along the row axes).  NC1HWC0 is such a matrix too: its 16 lanes
are 16 input rows of H·W numbers.

    ND [C, HW] → NC1HWC0:   rows = 16 channels, column = pixels,   output row = 16 lanes of a pixel
    NC1HWC0 → ND [C, HW]:   rows = pixels,      column = 16 lanes, output row = a plane of pixels
    [M, N] → [N, M]:        rows = M,           column = N

Two shapes of tile.  *Dense*: the output rows are whole, one tile is one contiguous run of output, and small
matrices share a tile.  *Split*: the row axis is cut as well, output rows are stored apart
(`tails.store_separate_rows`).

Elements of 4 and 8 bytes move as 16-bit pieces in three turns, because lane and piece must change places:
[j][c, h] → [c, h][j lanes] → [j, h][c lanes] → [c][j, h]; each turn writes with the strides the next one
needs. Bytes have 32 lanes and are turned in four half-block steps (`tails.transpose_blocks`). A cast f32 →
f16 is done on the loaded rows, f16 → f32 on the turned ones, so that the turn always moves fp16.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from .kernel_builder import Index, KernelBuilder, Linear, Ref
from .move_cast import convert, subtract
from .move_problem import Axis, signed_bits
from .move_turn import Plan, TileShape, Transposition, make_grid, needs_exact_ends, rows_aligned
from .tails import (
    BLOCK,
    MAX_GAP,
    MAX_REPEAT,
    UbRows,
    ceil_div,
    dma,
    load_rows,
    store_rows,
    store_separate_rows,
    transpose_blocks,
)


class TransposeEmitter:
    """Emits the loop over tiles of one transposition into a kernel."""

    def __init__(self, kb: KernelBuilder, t: Transposition, plan: Plan, src: Ref, dst: Ref) -> None:
        self.kb, self.t, self.plan = kb, t, plan
        self.shape = TileShape.of(t, plan)
        self.src, self.dst = src, dst
        self.grid = make_grid(t, plan)

    def emit(self) -> None:
        with self.grid.tiles(self.kb) as indices:
            if self.plan.split:
                self._split_tile(indices)
            else:
                self._dense_tile(indices)

    # ------------------------------------------------------------------------------------------ tiles
    def _dense_tile(self, indices: list[Index]) -> None:
        kb, t, plan = self.kb, self.t, self.plan
        outer = list(indices[:-1])
        batch: Index = 1
        if plan.batch > 1:
            outer[-1] = kb.mul(outer[-1], plan.batch)
            batch = _rest(kb, plan.batch, t.outer[-1].extent, outer[-1])
        column = kb.mul(indices[-1], plan.columns)
        columns = _rest(kb, plan.columns, t.column.extent, column)
        places = [*zip(t.outer, outer, strict=True), (t.column, column)]
        src, dst = self._addresses(places)
        last = outer[-1] if outer else 0
        valid = self._valid_rows(last, batch)
        lanes, geometry = self._load(src, t.rows, columns, batch, valid)
        out = kb.alloc(
            "ub", self.shape.out_rows * self.shape.out_pitch * BLOCK, self.shape.out_depth(t, plan)
        )
        self._turn(out, lanes, geometry)
        self._zero_lanes(out, last)
        count: Index = columns if plan.batch == 1 else kb.mul(batch, t.column.extent)
        most = plan.batch * plan.columns
        if t.columns_total:
            count = kb.min(count, kb.sub(t.columns_total, kb.add(kb.mul(last, t.column.extent), column)))
        rows = self._cast_out(out, count)
        row_bytes = self.shape.out_bytes
        if needs_exact_ends(t, plan):
            store_separate_rows(
                kb, dst, rows, count, most, row_bytes=row_bytes, gm_pitch=row_bytes, lanes=t.lanes
            )
            return
        store_rows(kb, dst, rows, count, most, row_bytes=row_bytes, lanes=t.lanes)

    def _split_tile(self, indices: list[Index]) -> None:
        kb, t, plan = self.kb, self.t, self.plan
        fixed, (ci, ri) = list(indices[:-2]), indices[-2:]
        column = kb.mul(ci, plan.columns)
        columns = _rest(kb, plan.columns, t.column.extent, column)
        row = kb.mul(ri, plan.split)
        whole_rows = rows_aligned(t)
        if t.row_count % plan.split and not whole_rows:
            row = kb.min(
                row, t.row_count - plan.split
            )  # the last tile overlaps: rows end exactly where they must
        count = _rest(kb, plan.split, t.row_count, row) if whole_rows else plan.split
        axes = (*t.outer, *t.middle, t.column, t.rows[-1])
        src, dst = self._addresses(list(zip(axes, (*fixed, column, row), strict=True)))
        last = fixed[len(t.outer) - 1] if t.outer else 0
        loaded = (*t.rows[:-1], replace(t.rows[-1], extent=plan.split) if len(t.rows) == 1 else t.rows[-1])
        lanes, geometry = self._load(src, loaded, columns, 1, count)
        out = kb.alloc(
            "ub", self.shape.out_rows * self.shape.out_pitch * BLOCK, self.shape.out_depth(t, plan)
        )
        self._turn(out, lanes, geometry)
        stored: Index = columns
        if t.columns_total:
            stored = kb.min(columns, kb.sub(t.columns_total, kb.add(kb.mul(last, t.column.extent), column)))
        rows = self._cast_out(out, stored, count)
        self._store_split(dst, rows, stored, count)

    def _store_split(self, dst: Ref, rows: UbRows, stored: Index, count: Index) -> None:
        kb, t, plan = self.kb, self.t, self.plan
        pitch, most = t.column.out * t.gm_out, plan.columns
        if isinstance(count, int):
            store_separate_rows(
                kb, dst, rows, stored, most, row_bytes=count * t.gm_out, gm_pitch=pitch, lanes=t.lanes
            )
            return
        length, longest = kb.ceil_div(kb.mul(count, t.gm_out), BLOCK), plan.split * t.gm_out // BLOCK
        if pitch // BLOCK - 1 <= MAX_GAP:
            step = pitch // BLOCK
            dma(
                kb, "copy_ubuf_to_gm", dst, rows.base, stored, length,
                dst_step=step, src_step=rows.pitch, max_bursts=most, max_length=longest,
            )  # fmt: skip
            return
        with kb.loop(stored) as r:
            to, of = dst + kb.linear(0, (r, pitch)), rows.base + kb.linear(0, (r, rows.pitch * BLOCK))
            dma(kb, "copy_ubuf_to_gm", to, of, 1, length, max_length=longest)

    def _addresses(self, places: list[tuple[Axis, Index]]) -> tuple[Ref, Ref]:
        kb, t = self.kb, self.t
        src = kb.linear(t.src_base * t.gm_in, *((i, a.src * t.gm_in) for a, i in places))
        dst = kb.linear(t.out_base * t.gm_out, *((i, a.out * t.gm_out) for a, i in places))
        return self.src + src, self.dst + dst

    def _valid_rows(self, last: Index, batch: Index) -> Index:
        """Input rows of this tile: all, or as many as there are channels left."""
        kb, t = self.kb, self.t
        if t.loaded:
            return t.loaded
        rows = kb.mul(batch, t.row_count)
        if not t.lanes_total:
            return rows
        return kb.min(rows, kb.sub(t.lanes_total, kb.mul(last, t.row_count)))

    # ------------------------------------------------------------------------------------------- load
    def _load(
        self, src: Ref, axes: tuple[Axis, ...], columns: Index, batch: Index, valid: Index
    ) -> tuple[Ref, tuple[int, int, int]]:
        """Input rows into UB; (base, (lane, lane group, batch) steps in blocks) of the 16-bit rows."""
        kb, t, shape = self.kb, self.t, self.shape
        raw = kb.alloc("ub", self.plan.batch * shape.rows * shape.gm_in_pitch * BLOCK, depth=2)
        blocks = kb.div(kb.add(kb.mul(columns, t.gm_in), BLOCK - 1), BLOCK)
        geometry = self._load_matrices(raw, src, axes, blocks, batch, valid)
        if not t.casts_in:
            return raw, geometry
        cast = kb.alloc("ub", self.plan.batch * shape.rows * shape.in_pitch * BLOCK)
        self._cast_in(cast, raw, columns, valid, geometry)
        scale = shape.gm_in_pitch
        lane, group, matrix = (step // scale * shape.in_pitch for step in geometry)
        return cast, (lane, group, matrix)

    def _load_matrices(
        self, raw: Ref, src: Ref, axes: tuple[Axis, ...], blocks: Index, batch: Index, valid: Index
    ) -> tuple[int, int, int]:
        kb, t, shape, plan = self.kb, self.t, self.shape, self.plan
        pitch, lanes, row = shape.gm_in_pitch, t.lanes, axes[-1]
        natural = (pitch, lanes * pitch, shape.rows * pitch)
        if plan.batch == 1:
            return self._load_matrix(raw, src, axes, blocks, valid)
        step = t.outer[-1].src
        count = prod(a.extent for a in axes)
        if len(axes) == 1 and count == shape.rows and step == row.extent * row.src:
            held = load_rows(
                kb, raw, src, valid, blocks=blocks, gm_pitch=row.src * t.gm_in, max_rows=plan.batch * count,
                lanes=lanes, ub_pitch=pitch, max_blocks=pitch,
            )  # fmt: skip
            if held.phases == 1:
                return natural
            return held.phase_step, pitch, count // lanes * pitch
        dense = len(axes) == 1 and row.src * t.gm_in == pitch * BLOCK and step * t.gm_in % BLOCK == 0
        if dense and step * t.gm_in // BLOCK - count * pitch <= MAX_GAP and not t.lanes_total:
            dma(
                kb, "copy_gm_to_ubuf", raw, src, batch, count * pitch,
                dst_step=shape.rows * pitch, src_step=step * t.gm_in // BLOCK, max_bursts=plan.batch,
            )  # fmt: skip
            return natural
        with kb.loop(batch) as o:
            to, of = (
                raw + kb.linear(0, (o, shape.rows * pitch * BLOCK)),
                src + kb.linear(0, (o, step * t.gm_in)),
            )
            here = kb.min(count, kb.sub(valid, kb.mul(o, count))) if t.lanes_total else count
            lane, group, _ = self._load_matrix(to, of, axes, blocks, here)
        return lane, group, shape.rows * pitch

    def _load_matrix(
        self, raw: Ref, src: Ref, axes: tuple[Axis, ...], blocks: Index, valid: Index
    ) -> tuple[int, int, int]:
        kb, t, pitch, lanes = self.kb, self.t, self.shape.gm_in_pitch, self.t.lanes
        row = axes[-1]
        natural = (pitch, lanes * pitch, self.shape.rows * pitch)
        if len(axes) == 1:
            held = load_rows(
                kb, raw, src, valid, blocks=blocks, gm_pitch=row.src * t.gm_in, max_rows=row.extent,
                lanes=lanes, ub_pitch=pitch, max_blocks=pitch,
            )  # fmt: skip
            return natural if held.phases == 1 else (held.phase_step, pitch, self.shape.rows * pitch)
        outer, inner = axes[0], prod(a.extent for a in axes[1:])
        with kb.loop(outer.extent) as i:
            to, of = (
                raw + kb.linear(0, (i, inner * pitch * BLOCK)),
                src + kb.linear(0, (i, outer.src * t.gm_in)),
            )
            if len(axes) > 2:
                self._load_matrix(to, of, axes[1:], blocks, inner)
            elif row.src * t.gm_in % BLOCK == 0:
                load_rows(
                    kb, to, of, row.extent, blocks=blocks, gm_pitch=row.src * t.gm_in, max_rows=row.extent,
                    lanes=lanes, ub_pitch=pitch, max_blocks=pitch,
                )  # fmt: skip
            else:
                with kb.loop(row.extent) as r:
                    one, start = (
                        to + kb.linear(0, (r, pitch * BLOCK)),
                        of + kb.linear(0, (r, row.src * t.gm_in)),
                    )
                    dma(kb, "copy_gm_to_ubuf", one, start, 1, blocks, max_length=pitch)
        return natural

    # ------------------------------------------------------------------------------------------- turn
    def _turn(self, out: Ref, rows: Ref, geometry: tuple[int, int, int]) -> None:
        kb, plan, shape = self.kb, self.plan, self.shape
        if self.t.pieces == 1:
            self._turn_once(out, rows, geometry)
            return
        lane, group, matrix = geometry
        with kb.loop(plan.batch) as o:
            to = out + kb.linear(0, (o, plan.columns * shape.out_pitch * BLOCK))
            self._turn_pieces(to, rows + kb.linear(0, (o, matrix * BLOCK)), lane, group)

    def _turn_once(self, out: Ref, rows: Ref, geometry: tuple[int, int, int]) -> None:
        """(matrix, lane group, column group) nest; the longest of the three is the repeat.

        The last column group may write rows behind its matrix: the next matrix is turned later, or, when
        the repeat runs over matrices, column groups go backwards.
        """
        kb, t, plan, shape = self.kb, self.t, self.plan, self.shape
        lane, group, matrix = geometry
        groups, columns = shape.rows // t.lanes, ceil_div(plan.columns, t.lanes)
        nest = (
            (plan.batch, matrix, plan.columns * shape.out_pitch),
            (groups, group, 1),
            (columns, 1, t.lanes * shape.out_pitch),
        )
        # repeats of one instruction must not write the same blocks
        choices = (1, 2) if plan.columns < t.lanes else (0, 1, 2)
        longest = max(choices, key=lambda d: min(nest[d][0], MAX_REPEAT))
        (repeat, src_rep, dst_rep), loops = nest[longest], [nest[d] for d in (0, 1, 2) if d != longest]
        backwards = longest == 0
        with kb.loop(loops[0][0]) as a, kb.loop(loops[1][0]) as b:
            inner = kb.sub(loops[1][0] - 1, b) if backwards else b
            of = rows + kb.linear(0, (a, loops[0][1] * BLOCK), (inner, loops[1][1] * BLOCK))
            to = out + kb.linear(0, (a, loops[0][2] * BLOCK), (inner, loops[1][2] * BLOCK))
            for start in range(0, repeat, MAX_REPEAT):
                transpose_blocks(
                    kb, t.lanes, to + start * dst_rep * BLOCK, of + start * src_rep * BLOCK,
                    min(MAX_REPEAT, repeat - start),
                    dst_row=shape.out_pitch, src_row=lane, dst_rep=dst_rep, src_rep=src_rep,
                )  # fmt: skip

    def _turn_pieces(self, out: Ref, rows: Ref, lane: int, group: int) -> None:
        """Elements of 4 and 8 bytes: three turns of 16-bit pieces, see the module docstring."""
        kb, plan, shape, q = self.kb, self.plan, self.shape, self.t.pieces
        groups, columns = shape.rows // 16, ceil_div(plan.columns, 16)
        by_row = columns * 16 * q  # blocks of one lane group in the first copy
        by_column = shape.rows * q  # blocks of one column group in the second
        first, second = kb.alloc("ub", groups * by_row * BLOCK), kb.alloc("ub", columns * by_column * BLOCK)
        pieces = ceil_div(plan.columns * q, 16)
        with kb.loop(groups) as g:
            of, to = rows + kb.linear(0, (g, group * BLOCK)), first + kb.linear(0, (g, by_row * BLOCK))
            for start in range(0, pieces, MAX_REPEAT):
                transpose_blocks(
                    kb, 16, to + start * 16 * BLOCK, of + start * BLOCK, min(MAX_REPEAT, pieces - start),
                    dst_row=1, src_row=lane, dst_rep=16, src_rep=1,
                )  # fmt: skip
        with kb.loop(columns) as c:
            for h in range(q):
                of = first + kb.linear(h * BLOCK, (c, 16 * q * BLOCK))
                to = second + kb.linear(h * BLOCK, (c, by_column * BLOCK))
                transpose_blocks(kb, 16, to, of, groups, dst_row=q, src_row=q, dst_rep=16 * q, src_rep=by_row)
            to = out + kb.linear(0, (c, 16 * shape.out_pitch * BLOCK))
            transpose_blocks(
                kb, 16, to, second + kb.linear(0, (c, by_column * BLOCK)), by_column // 16,
                dst_row=shape.out_pitch, src_row=1, dst_rep=1, src_rep=16,
            )  # fmt: skip

    def _zero_lanes(self, out: Ref, last: Index) -> None:
        """Padding lanes of the last C1 (decision D9): one masked fill over its positions."""
        kb, t, plan = self.kb, self.t, self.plan
        rest = t.lanes_total % t.row_count if t.lanes_total else 0
        if not rest:
            return
        groups = t.outer[-1].extent if t.outer else 1
        positions = plan.columns
        lane_bits = ((1 << t.row_count) - 1) & ~((1 << rest) - 1)
        half = sum(lane_bits << (16 * i) for i in range(4))
        half = signed_bits(half)

        def fill() -> None:
            where: Index = kb.mul(kb.sub(groups - 1, last), t.column.extent) if plan.batch > 1 else 0
            base = out + kb.linear(0, (where, BLOCK))
            for start in range(0, positions // 8, MAX_REPEAT):
                kb.op(
                    "vector_dup", "u16", base + start * 8 * BLOCK, value=0,
                    repeat=min(MAX_REPEAT, positions // 8 - start), mask_hi=half, mask_lo=half,
                )  # fmt: skip
            if positions % 8:
                bits = sum(lane_bits << (16 * i) for i in range(positions % 8))
                low, high = bits & (1 << 64) - 1, bits >> 64
                kb.op(
                    "vector_dup", "u16", base + positions // 8 * 8 * BLOCK, value=0, repeat=1,
                    mask_hi=signed_bits(high), mask_lo=signed_bits(low),
                )  # fmt: skip

        if groups == 1:
            fill()
            return
        with kb.when(kb.less(groups - 1 - plan.batch, last)):
            fill()

    # ------------------------------------------------------------------------------------------ casts
    def _cast_in(
        self, cast: Ref, raw: Ref, columns: Index, valid: Index, geometry: tuple[int, int, int]
    ) -> None:
        """f32 rows → f16 rows, only what was loaded (arithmetic on undefined bytes faults, D10)."""
        kb, t, shape = self.kb, self.t, self.shape
        lane, group, matrix = (step // shape.gm_in_pitch for step in geometry)  # in rows of UB
        with kb.loop(valid) as r:
            o, i = (kb.div(r, t.row_count), kb.rem(r, t.row_count)) if self.plan.batch > 1 else (0, r)
            g, i = (kb.div(i, t.lanes), kb.rem(i, t.lanes)) if shape.rows > t.lanes else (0, i)
            place = kb.add(kb.mul(o, matrix), kb.add(kb.mul(g, group), kb.mul(i, lane)))
            to = cast + kb.linear(0, (place, shape.in_pitch * BLOCK))
            of = raw + kb.linear(0, (place, shape.gm_in_pitch * BLOCK))
            convert(kb, "f322f16", to, of, columns, self.plan.columns, dst_size=2, src_size=4)
            if t.loaded:
                self._rest_of_row(to, of, columns, kb.linear(0, (t.loaded * lane, shape.in_pitch * BLOCK)))

    def _rest_of_row(self, high: Ref, row: Ref, columns: Index, step: Linear) -> None:
        """The other terms of a row of which `high` is the first: l = f16(x - h) and h again, `step` bytes apart."""
        kb, most = self.kb, self.plan.columns
        wide = kb.alloc("ub", self.shape.gm_in_pitch * BLOCK)
        convert(kb, "f322f16", high + step + step, row, columns, most, dst_size=2, src_size=4)
        convert(kb, "f162f32", wide, high, columns, most, dst_size=4, src_size=2)
        subtract(kb, row, wide, columns, most)
        convert(kb, "f322f16", high + step, row, columns, most, dst_size=2, src_size=4)

    def _cast_out(self, out: Ref, count: Index, width: Index | None = None) -> UbRows:
        kb, t, shape = self.kb, self.t, self.shape
        rows = UbRows(out, shape.out_pitch)
        if not t.casts_out:
            return rows
        elements = self.plan.split or t.row_count
        pitch = ceil_div(shape.out_bytes, BLOCK)
        wide = kb.alloc("ub", shape.wide_rows(t, self.plan) * pitch * BLOCK, depth=2)
        with kb.loop(count) as r:
            to, of = wide + kb.linear(0, (r, pitch * BLOCK)), out + kb.linear(0, (r, shape.out_pitch * BLOCK))
            convert(
                kb, "f162f32", to, of, elements if width is None else width, elements, dst_size=4, src_size=2
            )
        return UbRows(wide, pitch)


def _rest(kb: KernelBuilder, tile: int, total: int, start: Index) -> Index:
    """Elements of the tile that begins at `start`."""
    if total % tile == 0:
        return tile
    return min(tile, total - start) if isinstance(start, int) else kb.min(tile, kb.sub(total, start))
