"""Moves inside of rows: pieces of one or several input rows are put together to output rows.

Slices with steps, concatenation and padding at odd columns, resampling, repetition: along the last axis
elements go to places that no DMA can address.  So 16 rows at a time are turned (`vnchwconv`): an element
position becomes a block address, [lane][position] → [position][lane], pieces are copied block by block
(`copy_ubuf_to_ubuf` with gaps), and the result is turned back.  In NC1HWC0 a position (a pixel) is a block
already, the turns fall away.

Rows themselves (the axes outside of the last one) are chosen while loading: their axes may step, repeat or
resample.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod

from ..runtime.soc import Soc
from .kernel_builder import Index, KernelBuilder, Ref
from .move_cast import convert
from .move_load import Quotient, RowAxis, RowSource, Window, load_row_axes, placed, row_elements
from .move_problem import Axis, DenseTiles, dense_tiles, fill_blocks
from .tails import (
    BLOCK,
    MAX_REPEAT,
    UbRows,
    ceil_div,
    dma,
    is_packed,
    pack_unit,
    scratch_blocks,
    store_rows,
    store_separate_rows,
    transpose_blocks,
)

MAX_BURSTS = 4095


@dataclass(frozen=True)
class Piece:
    """Positions `out + i · out_step` of the row come from `src + i · src_step` of input `source`, or its
    resampling.
    """

    source: int
    count: int
    out: int
    src: int = 0
    out_step: int = 1
    src_step: int = 1
    quotient: Quotient | None = None


@dataclass(frozen=True)
class Input:
    """Rows of one input: its row axes (as many as the output has, in output order) and the elements of a
    row.
    """

    axes: tuple[RowAxis, ...]
    width: int
    base: int = 0  # element of position 0 at row 0
    chunks: Axis | None = None  # a row lies in pieces of one block: their number and distance
    argument: int = 0  # which kernel argument


@dataclass(frozen=True)
class Rowwise:
    """`rows` are the extents of the output's row axes, outermost first; a row has `width` positions.

    `unit` elements move together (a pixel of NC1HWC0: 16 lanes); if they are whole blocks nothing is
    turned.  `fill` is the bit pattern of positions that no piece covers.
    """

    rows: tuple[int, ...]
    width: int
    inputs: tuple[Input, ...]
    pieces: tuple[Piece, ...]
    size: int
    unit: int = 1
    fill: int | None = None
    out_size: int = 0  # bytes of an output element where rows are cast on the way (f16 ↔ f32)

    @property
    def direct(self) -> bool:
        """Positions are whole blocks: no turns."""
        return self.unit * self.size % BLOCK == 0

    @property
    def plain(self) -> bool:
        """Output rows are rows of the one input."""
        return len(self.pieces) == 1 and self.pieces[0] == Piece(0, self.width, 0)

    @property
    def packed(self) -> bool:
        """Rows so short that turning back packs them: a lane holds neighbouring rows, not every lanes-th."""
        return not self.direct and not self.plain and is_packed(self.row_bytes, self.lanes)

    @property
    def lanes(self) -> int:
        return BLOCK if self.size == 1 else 16

    @property
    def cells(self) -> int:
        """Blocks per position while pieces are put together."""
        return self.unit * self.size // BLOCK if self.direct else self.unit * max(1, self.size // 2)

    @property
    def row_bytes(self) -> int:
        return self.width * self.unit * (self.out_size or self.size)

    @property
    def casts(self) -> bool:
        return self.out_size not in (0, self.size)


@dataclass(frozen=True)
class RowPlan:
    """A tile takes `steps` of row axis `cut` and everything inside of it; `depth` tiles are in UB at a
    time.
    """

    cut: int
    steps: int
    depth: int = 2


@dataclass(frozen=True)
class _Tile:
    """Sizes of a plan's tile."""

    rows: int  # at most
    held: int  # rows that the UB buffers have room for
    groups: int  # turned groups, or rows in direct mode
    out_pitch: int  # blocks of an output row
    out_cells: int  # blocks of a group of output rows while pieces are put together

    @staticmethod
    def of(m: Rowwise, plan: RowPlan) -> _Tile:
        rows = plan.steps * prod(m.rows[plan.cut + 1 :])
        unit = m.lanes
        if m.direct and m.row_bytes % BLOCK == 0:
            unit = 1
        elif is_packed(m.row_bytes, m.lanes):
            unit = pack_unit(m.lanes)
        held = ceil_div(rows, unit) * unit
        pitch = ceil_div(m.row_bytes, BLOCK)
        cells = m.width * m.cells if m.direct or m.packed else pitch * m.lanes
        return _Tile(rows, held, held if m.direct else held // m.lanes, pitch, cells)

    def ub_blocks(self, m: Rowwise, depth: int) -> int:
        if m.plain:
            raw = ceil_div(m.width * m.unit * m.size, BLOCK) if m.casts else 0
            return self.held * (raw + self.out_pitch) * depth + self._scratch(m)
        taken = self.groups * self.out_cells * (depth if m.direct else 1)
        for source in m.inputs:
            pitch = ceil_div(source.width * m.unit * m.size, BLOCK)
            taken += self.held * pitch * depth
            if not m.direct:
                taken += self.groups * pitch * m.lanes
        if m.packed:
            return taken + depth * self.groups * self.out_cells
        if not m.direct:
            taken += self.held * self.out_pitch * depth
        return taken + self._scratch(m)

    def _scratch(self, m: Rowwise) -> int:
        ways = (False,) if is_packed(m.row_bytes, m.lanes) else (False, True)
        return max(scratch_blocks(m.row_bytes, self.held, m.lanes, separate=s) for s in ways)


def tiles_of(m: Rowwise, plan: RowPlan) -> DenseTiles:
    """The grid: row axes outside the cut one, then tiles along it."""
    steps: list[int] = []
    inside = m.row_bytes
    for extent in reversed(m.rows):
        steps.append(inside)
        inside *= extent
    steps.reverse()
    counts = (*m.rows[: plan.cut], ceil_div(m.rows[plan.cut], plan.steps))
    inner = prod(m.rows[plan.cut + 1 :])
    sizes = (plan.steps * inner, m.rows[plan.cut] % plan.steps * inner)
    strides = (*steps[: plan.cut], steps[plan.cut] * plan.steps)
    return dense_tiles(counts, strides, sizes, row_bytes=m.row_bytes, lanes=m.lanes)


def choose_rows(m: Rowwise, soc: Soc) -> RowPlan | None:
    """Largest tile that fits and keeps all cores busy; None when not even the smallest fits."""
    room = soc.core.buffers["ub"].size * 15 // 16 // BLOCK
    best: tuple[int, RowPlan] | None = None
    for plan in (*_candidates(m), *(RowPlan(p.cut, p.steps, 1) for p in _candidates(m))):
        if plan.depth == 1 and best is not None:
            break
        if _Tile.of(m, plan).ub_blocks(m, plan.depth) > room or _Tile.of(m, plan).out_pitch > MAX_BURSTS:
            continue
        total = min(2 * soc.cores, tiles_of(m, plan).grid.parallel)
        if best is None or total > best[0]:
            best = total, plan
        small = _Tile.of(m, plan).rows * m.row_bytes <= 64 * BLOCK
        if total >= 2 * soc.cores or (total >= soc.cores and small):
            break
    return best[1] if best else None


def _candidates(m: Rowwise) -> list[RowPlan]:
    plans: list[RowPlan] = []
    for cut, extent in enumerate(m.rows):
        step = 1 if m.row_bytes % BLOCK == 0 and m.direct else m.lanes
        sizes = {extent}
        size = 1 << 12
        while size >= 1:
            if size < extent and (size % step == 0 or size < step):
                sizes.add(size)
            size //= 2
        plans += [RowPlan(cut, s) for s in sorted(sizes, reverse=True)]
    return sorted(plans, key=lambda p: -p.steps * prod(m.rows[p.cut + 1 :]))


class RowwiseEmitter:
    """Emits the loop over tiles."""

    def __init__(self, kb: KernelBuilder, m: Rowwise, plan: RowPlan, srcs: Sequence[Ref], dst: Ref) -> None:
        self.kb, self.m, self.plan, self.srcs, self.dst = kb, m, plan, srcs, dst
        self.tile, self.tiles = _Tile.of(m, plan), tiles_of(m, plan)

    def emit(self) -> None:
        kb, m, plan = self.kb, self.m, self.plan
        with self.tiles.grid.tiles(kb) as indices:
            first = kb.mul(indices[-1], plan.steps)
            extent = m.rows[plan.cut]
            count: Index = plan.steps
            if extent % plan.steps:
                count = kb.min(plan.steps, kb.sub(extent, first))
            loaded = [self._load(k, indices[:-1], first, count) for k in range(len(m.inputs))]
            places = zip(self.tiles.strides, (*indices[:-1], indices[-1]), strict=True)
            dst = self.dst + kb.linear(0, *((i, s) for s, i in places))
            total = kb.mul(count, prod(m.rows[plan.cut + 1 :]))
            rows = self._cast(loaded[0], total) if m.plain else self._assemble(loaded)
            if m.packed:
                length = kb.ceil_div(kb.mul(total, m.row_bytes), BLOCK)
                longest = ceil_div(self.tile.rows * m.row_bytes, BLOCK)
                dma(kb, "copy_ubuf_to_gm", dst, rows.base, 1, length, max_length=longest)
            elif self.tiles.exact:
                store_separate_rows(
                    kb,
                    dst,
                    rows,
                    total,
                    self.tile.rows,
                    row_bytes=m.row_bytes,
                    gm_pitch=m.row_bytes,
                    lanes=m.lanes,
                )
            else:
                store_rows(kb, dst, rows, total, self.tile.rows, row_bytes=m.row_bytes, lanes=m.lanes)

    def _cast(self, rows: UbRows, count: Index) -> UbRows:
        """Plain rows in the output's type; only what exists is computed with (D10)."""
        kb, m, pitch = self.kb, self.m, self.tile.out_pitch
        if not m.casts:
            return rows
        out = kb.alloc("ub", self.tile.held * pitch * BLOCK, self.plan.depth)
        with kb.loop(count) as r:
            p, i = (kb.rem(r, rows.phases), kb.div(r, rows.phases)) if rows.phases > 1 else (0, r)
            of = rows.base + kb.linear(0, (p, rows.phase_step * BLOCK), (i, rows.pitch * BLOCK))
            to = out + kb.linear(0, (r, pitch * BLOCK))
            elements = m.width * m.unit
            convert(
                kb, "f322f16" if m.size == 4 else "f162f32", to, of, elements, elements,
                dst_size=m.out_size, src_size=m.size,
            )  # fmt: skip
        return UbRows(out, pitch)

    def _assemble(self, loaded: Sequence[UbRows]) -> UbRows:
        kb, m = self.kb, self.m
        cells = kb.alloc(
            "ub", self.tile.groups * self.tile.out_cells * BLOCK, self.plan.depth if m.direct else 1
        )
        self._fill(cells)
        sources = [r.base if m.direct else self._turn(r) for r in loaded]
        for piece in m.pieces:
            self._copy(cells, sources[piece.source], piece)
        return UbRows(cells, self.tile.out_pitch) if m.direct else self._turn_back(cells)

    def _load(self, k: int, outer: Sequence[Index], first: Index, count: Index) -> UbRows:
        kb, m, plan, source = self.kb, self.m, self.plan, self.m.inputs[k]
        pitch = ceil_div(source.width * m.unit * m.size, BLOCK)
        raw = kb.alloc("ub", self.tile.held * pitch * BLOCK, self.plan.depth)
        axes = [a for i, a in enumerate(source.axes[plan.cut :]) if i == 0 or a.extent > 1]
        if any(isinstance(a, Window) for a in source.axes):
            assert m.fill is not None
            fill_blocks(kb, raw, m.fill, m.size, self.tile.held * pitch)
        rows = RowSource(axes, m.size, pitch)
        if source.chunks is not None:
            axes.append(source.chunks)
            rows = RowSource(axes, m.size, 1)
        else:
            assert row_elements(axes, plan.steps) == self.tile.rows
        most = plan.steps if len(axes) > 1 or m.direct else self.tile.held
        terms: list[tuple[Index, int]] = []
        with ExitStack() as stack:
            for axis, index in zip(source.axes, outer, strict=False):
                terms.append((stack.enter_context(placed(kb, axis, index)), axis.src * m.size))
            start = self.srcs[source.argument] + kb.linear(source.base * m.size, *terms)
            held = load_row_axes(kb, raw, start, rows, first, count, most, lanes=m.lanes)
        if source.chunks is not None:
            return UbRows(raw, pitch)
        if m.direct and not m.plain and held.phases > 1:
            raise ValueError("rows of whole blocks that do not start at whole blocks")
        return held

    # ------------------------------------------------------------------------------------------ turns
    def _turn(self, rows: UbRows) -> Ref:
        """[row][block] → [group][position][lane]."""
        kb, lanes = self.kb, self.m.lanes
        pitch, groups = rows.pitch, self.tile.groups
        out = kb.alloc("ub", groups * pitch * lanes * BLOCK)
        lane, group = (pitch, lanes * pitch) if rows.phases == 1 else (rows.phase_step, pitch)
        if self.m.packed:
            lane, group = groups * pitch, pitch
        if self.m.packed and rows.phases > 1:
            each = groups // rows.phases
            with kb.loop(rows.phases) as p, kb.loop(each) as k:
                to = out + kb.linear(0, (p, pitch * lanes * BLOCK), (k, rows.phases * pitch * lanes * BLOCK))
                of = rows.base + kb.linear(0, (p, rows.phase_step * BLOCK), (k, pitch * BLOCK))
                self._squares(to, of, pitch, 1, each * pitch, lanes, 1)
            return out
        if groups > pitch:
            with kb.loop(pitch) as b:
                to, of = out + kb.linear(0, (b, lanes * BLOCK)), rows.base + kb.linear(0, (b, BLOCK))
                self._squares(to, of, groups, 1, lane, pitch * lanes, group)
            return out
        with kb.loop(groups) as g:
            to = out + kb.linear(0, (g, pitch * lanes * BLOCK))
            self._squares(to, rows.base + kb.linear(0, (g, group * BLOCK)), pitch, 1, lane, lanes, 1)
        return out

    def _turn_back(self, cells: Ref) -> UbRows:
        kb, lanes, tile = self.kb, self.m.lanes, self.tile
        if self.m.packed:
            chunk = tile.groups * tile.out_cells // lanes
            dense = kb.alloc("ub", lanes * chunk * BLOCK, self.plan.depth)
            self._squares(dense, cells, chunk, chunk, 1, 1, lanes)
            return UbRows(dense, 0)
        out = kb.alloc("ub", tile.held * tile.out_pitch * BLOCK, self.plan.depth)
        pitch = tile.out_pitch
        if tile.groups > pitch:
            with kb.loop(pitch) as b:
                to, of = out + kb.linear(0, (b, BLOCK)), cells + kb.linear(0, (b, lanes * BLOCK))
                self._squares(to, of, tile.groups, pitch, 1, lanes * pitch, tile.out_cells)
            return UbRows(out, pitch)
        with kb.loop(tile.groups) as g:
            to, of = (
                out + kb.linear(0, (g, lanes * pitch * BLOCK)),
                cells + kb.linear(0, (g, tile.out_cells * BLOCK)),
            )
            self._squares(to, of, pitch, pitch, 1, 1, lanes)
        return UbRows(out, pitch)

    def _squares(
        self, to: Ref, of: Ref, repeat: int, dst_row: int, src_row: int, dst_rep: int, src_rep: int
    ) -> None:
        for start in range(0, repeat, MAX_REPEAT):
            transpose_blocks(
                self.kb,
                self.m.lanes,
                to + start * dst_rep * BLOCK,
                of + start * src_rep * BLOCK,
                min(MAX_REPEAT, repeat - start),
                dst_row=dst_row,
                src_row=src_row,
                dst_rep=dst_rep,
                src_rep=src_rep,
            )

    # ----------------------------------------------------------------------------------------- pieces
    def _fill(self, cells: Ref) -> None:
        """Fills all positions; pieces are written over it."""
        kb, m = self.kb, self.m
        if m.fill is None or sum(p.count for p in m.pieces) == m.width:
            return
        total = self.tile.groups * self.tile.out_cells
        if m.direct or m.size <= 2:
            fill_blocks(kb, cells, m.fill, m.size, total)
            return
        for half in range(m.size // 2):  # a block holds one half of 16 elements
            fill_blocks(
                kb, cells + half * BLOCK, m.fill >> 16 * half & 0xFFFF, 2, total * 2 // m.size, m.size // 2
            )

    def _copy(self, cells: Ref, source: Ref, piece: Piece) -> None:
        kb, m = self.kb, self.m
        q = m.cells
        pitch = ceil_div(m.inputs[piece.source].width * m.unit * m.size, BLOCK)
        src_group = pitch if m.direct else pitch * m.lanes
        to = cells + piece.out * q * BLOCK
        of = source + piece.src * q * BLOCK
        if piece.quotient is not None:
            self._resample(to, of, piece, src_group)
        elif piece.count == 1 or (piece.src_step == 1 and piece.out_step == 1):
            self._groups(to, of, piece.count * q, src_group)
        elif piece.src_step == 0 and piece.out_step == 1:
            self._repeat(to, of, piece.count, src_group)
        elif piece.src_step > 0:
            self._strided(to, of, piece, src_group)
        else:
            with kb.loop(piece.count) as i:
                near = to + kb.linear(0, (i, piece.out_step * q * BLOCK))
                self._groups(near, of + kb.linear(0, (i, piece.src_step * q * BLOCK)), q, src_group)

    def _groups(self, to: Ref, of: Ref, length: int, src_group: int) -> None:
        """The same `length` blocks of every group."""
        groups = self.tile.groups
        for start in range(0, groups, MAX_BURSTS):
            dma(
                self.kb,
                "copy_ubuf_to_ubuf",
                to + start * self.tile.out_cells * BLOCK,
                of + start * src_group * BLOCK,
                min(MAX_BURSTS, groups - start),
                length,
                dst_step=self.tile.out_cells,
                src_step=src_group,
            )

    def _strided(self, to: Ref, of: Ref, piece: Piece, src_group: int) -> None:
        kb, q, groups = self.kb, self.m.cells, self.tile.groups
        dst_step, src_step = piece.out_step * q, piece.src_step * q
        joins = dst_step * piece.count == self.tile.out_cells and src_step * piece.count == src_group
        if joins and groups * piece.count <= MAX_BURSTS:
            count = groups * piece.count
            dma(kb, "copy_ubuf_to_ubuf", to, of, count, q, dst_step=dst_step, src_step=src_step)
            return
        if groups > piece.count:
            with kb.loop(piece.count) as i:
                near, far = kb.linear(0, (i, dst_step * BLOCK)), kb.linear(0, (i, src_step * BLOCK))
                self._groups(to + near, of + far, q, src_group)
            return
        with kb.loop(groups) as g:
            here, there = (
                to + kb.linear(0, (g, self.tile.out_cells * BLOCK)),
                of + kb.linear(0, (g, src_group * BLOCK)),
            )
            for start in range(0, piece.count, MAX_BURSTS):
                dma(
                    kb,
                    "copy_ubuf_to_ubuf",
                    here + start * dst_step * BLOCK,
                    there + start * src_step * BLOCK,
                    min(MAX_BURSTS, piece.count - start),
                    q,
                    dst_step=dst_step,
                    src_step=src_step,
                )

    def _repeat(self, to: Ref, of: Ref, count: int, src_group: int) -> None:
        """One position over and over: what is there already is copied behind itself, twice as much each
        time.
        """
        q = self.m.cells
        self._groups(to, of, q, src_group)
        done = 1
        while done < count:
            more = min(done, count - done)
            self._groups(to + done * q * BLOCK, to, more * q, self.tile.out_cells)
            done += more

    def _resample(self, to: Ref, of: Ref, piece: Piece, src_group: int) -> None:
        kb, q, quotient = self.kb, self.m.cells, piece.quotient
        assert quotient is not None
        with kb.loop(piece.count) as i:
            at = quotient.source(kb, i)
            near = to + kb.linear(0, (i, piece.out_step * q * BLOCK))
            self._groups(near, of + kb.linear(0, (at, q * BLOCK)), q, src_group)
