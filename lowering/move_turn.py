"""What a turn is and how large its tiles are; `move_transpose` emits it.

A tile in UB is input rows, the same matrix turned, and what the stores need besides: two of each, so that
loads, turns and stores of neighbouring tiles overlap.  Among the tiles that fit the largest is taken that
still leaves every core two of them.  Where tiles do not begin at whole 32-byte blocks of the output, blocks
(cores) can only meet where they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..runtime.soc import Soc
from .move_problem import Axis, Grid, aligned_steps
from .tails import BLOCK, MAX_GAP, MAX_REPEAT, ceil_div, is_packed, pack_unit, scratch_blocks

MAX_DENSE_BYTES = 2048  # an output row of so many bytes is kept whole: 16 columns of it are a tile of 32 KB
LANES_16BIT = 16


@dataclass(frozen=True)
class Transposition:
    """One turn.  `outer` and `rows` are in output order; the last of `rows` has output stride 1.

    `lanes_total`: the rows are the C0 lanes of the last outer axis (C1), and so many channels exist: the
    others are zeros.  `columns_total`: the columns are those lanes, and only so many output rows exist.
    """

    outer: tuple[Axis, ...]
    column: Axis
    rows: tuple[Axis, ...]
    size: int  # bytes of an element while it is turned
    middle: tuple[Axis, ...] = ()  # output axes between column and rows that a tile does not span
    src_size: int = 0
    out_size: int = 0
    out_base: int = 0
    src_base: int = 0
    lanes_total: int = 0
    columns_total: int = 0
    loaded: int = 0
    """Channels that exist in the input when the lanes hold them in two terms (`nn_terms`), else 0."""

    @property
    def lanes(self) -> int:
        return BLOCK if self.size == 1 else LANES_16BIT

    @property
    def pieces(self) -> int:
        """16-bit pieces per element."""
        return max(1, self.size // 2)

    @property
    def row_count(self) -> int:
        return prod(a.extent for a in self.rows)

    @property
    def fits_dense(self) -> bool:
        """Whole output rows fit a tile of the fewest columns."""
        return self.row_count <= max_dense_rows(self.size)

    @property
    def casts_in(self) -> bool:
        return self.src_size not in (0, self.size)

    @property
    def casts_out(self) -> bool:
        return self.out_size not in (0, self.size)

    @property
    def gm_in(self) -> int:
        return self.src_size or self.size

    @property
    def gm_out(self) -> int:
        return self.out_size or self.size


def max_dense_rows(size: int) -> int:
    """Elements of an output row that a dense tile may hold whole."""
    return MAX_DENSE_BYTES // max(2, size)


@dataclass(frozen=True)
class Plan:
    """Sizes of a tile: `batch` steps of the last outer axis (whole matrices), `columns` columns, `split`
    rows (0: all).
    """

    batch: int
    columns: int
    split: int = 0


@dataclass(frozen=True)
class TileShape:
    """A plan's tile in UB, in blocks."""

    rows: int  # input rows, a multiple of the lanes
    in_pitch: int
    gm_in_pitch: int  # blocks of a loaded row (the same without cast)
    out_rows: int
    out_pitch: int
    out_bytes: int  # of an output row in GM

    @staticmethod
    def of(t: Transposition, plan: Plan) -> TileShape:
        count = plan.split or t.row_count
        rows = ceil_div(count, t.lanes) * t.lanes
        columns = ceil_div(plan.columns, t.lanes) * t.lanes
        spill = t.lanes if plan.columns % t.lanes else 0  # the last column group writes behind the matrix
        needed = plan.batch * plan.columns + spill if plan.batch > 1 else columns
        row_bytes = count * t.gm_out
        if is_packed(row_bytes, t.lanes) and not plan.split:
            needed = ceil_div(needed, pack_unit(t.lanes)) * pack_unit(t.lanes)
        return TileShape(
            rows,
            ceil_div(plan.columns * t.size, BLOCK),
            ceil_div(plan.columns * t.gm_in, BLOCK),
            ceil_div(needed, t.lanes) * t.lanes,
            rows * t.size // BLOCK,
            row_bytes,
        )

    def ub_blocks(self, t: Transposition, plan: Plan) -> int:
        taken = 2 * plan.batch * self.rows * self.gm_in_pitch
        taken += self.out_depth(t, plan) * self.out_rows * self.out_pitch
        if t.loaded:
            taken += self.gm_in_pitch
        if t.casts_in:
            taken += plan.batch * self.rows * self.in_pitch
        if t.casts_out:
            taken += self.wide_rows(t, plan) * ceil_div(self.out_bytes, BLOCK) * 2
        if t.pieces > 1:
            taken += 2 * (self.rows + t.lanes) * ceil_div(plan.columns, t.lanes) * t.size * t.lanes // BLOCK
        separate = bool(plan.split)
        most = plan.batch * plan.columns
        return taken + scratch_blocks(self.out_bytes, most, t.lanes, separate=separate)

    def wide_rows(self, t: Transposition, plan: Plan) -> int:
        """Rows of the buffer that holds cast output rows."""
        unit = pack_unit(t.lanes) if is_packed(self.out_bytes, t.lanes) and not plan.split else t.lanes
        return ceil_div(plan.batch * plan.columns, unit) * unit

    def out_depth(self, t: Transposition, plan: Plan) -> int:
        """Two tiles of output rows, unless the vector unit itself reads them."""
        return 1 if t.casts_out or (is_packed(self.out_bytes, t.lanes) and not plan.split) else 2


def is_dense(t: Transposition) -> bool:
    """Output rows follow one another without gaps, in the order of the loops."""
    return not t.middle and t.column.out == t.row_count


def choose_plan(t: Transposition, soc: Soc) -> Plan:
    """Largest tile that fits UB twice and leaves every core two tiles."""
    room = soc.core.buffers["ub"].size * 15 // 16 // BLOCK
    wanted = 2 * soc.cores
    best: tuple[int, Plan] | None = None
    for plan in _candidates(t):
        if best is not None and best[0] >= soc.cores and plan.columns < t.lanes:
            continue  # part of a square is turned for nothing: only where cores would have no tile
        shape = TileShape.of(t, plan)
        if shape.ub_blocks(t, plan) > room or not _encodable(t, shape):
            continue
        total = min(wanted, make_grid(t, plan).parallel)
        if best is None or total > best[0]:
            best = total, plan
        small = plan.batch * plan.columns * shape.out_bytes <= 64 * BLOCK
        if total >= wanted or (total >= soc.cores and small):
            break
    if best is None:
        raise ValueError(f"no tile of {t} fits")
    return best[1]


def _encodable(t: Transposition, shape: TileShape) -> bool:
    """Strides and repeat counts within the fields of vnchwconv."""
    return shape.rows // t.lanes <= MAX_REPEAT and shape.out_rows * shape.out_pitch < MAX_GAP


def _candidates(t: Transposition) -> list[Plan]:
    """Larger tiles first."""
    columns, plans = t.column.extent, list[Plan]()
    whole = is_dense(t) and t.fits_dense
    if whole and t.outer and t.outer[-1].out == columns * t.row_count <= 1 << 14:
        unit = aligned_steps(t.outer[-1].out * t.gm_out)
        batch = t.outer[-1].extent
        while batch > 1:
            plans.append(Plan(batch, columns))
            batch = ceil_div(ceil_div(batch, 2), unit) * unit if batch > unit else 1
    step = max(t.lanes, BLOCK // t.gm_in)
    cuts = [columns] if columns <= 4096 else []
    cut = 2048
    while cut >= step:
        if cut < columns:
            cuts.append(cut)
        cut = cut * 3 // 4 // step * step if cut > step else 0
    if (
        t.columns_total % t.lanes == 0
    ):  # else the last channels of a map may be fewer than a narrow tile's first one
        cuts += [c for c in (8, 4, 2) if c < min(step, columns)]
    row, axes = t.rows[-1].extent, len(t.rows)
    if whole:
        plans += [Plan(1, c) for c in cuts]
        if not rows_aligned(t) or axes > 1:
            return plans
    if axes > 1:
        return [Plan(1, c, t.row_count) for c in cuts if c <= 512]
    splits = [row] if row <= 256 else list[int]()
    splits += [s for s in (256, 224, 192, 160, 128, 112, 96, 64, 48, 32, 16) if s < row]
    pairs = [Plan(1, c, s) for c in cuts for s in splits if c <= 512]
    return plans + sorted(pairs, key=lambda p: -p.columns * p.split / (1 + abs(p.columns - p.split) / 256))


def is_single_row(t: Transposition) -> bool:
    """The output is one row: what a store writes behind its end are spare bytes (D8)."""
    columns = t.columns_total or t.column.extent
    return columns * prod(a.extent for a in (*t.outer, *t.middle)) == 1 and t.gm_out > 1


def rows_aligned(t: Transposition) -> bool:
    """All output rows start at whole blocks, and nothing else begins in the block in which one ends."""
    if is_single_row(t):
        return t.out_base * t.gm_out % BLOCK == 0
    strides = [a.out for a in (*t.outer, t.column, *t.middle)]
    return all(s * t.gm_out % BLOCK == 0 for s in (*strides, t.out_base, t.row_count))


def make_grid(t: Transposition, plan: Plan) -> Grid:
    """Tile indices: outer axes, middle axes, column tiles, row tiles."""
    outer = [a.extent for a in t.outer]
    if plan.batch > 1:
        outer[-1] = ceil_div(outer[-1], plan.batch)
    column_tiles = ceil_div(t.column.extent, plan.columns)
    if not plan.split:
        counts = (*outer, column_tiles)
        return Grid(counts, 1 if starts_aligned(t, plan) else prod(counts))
    middle = [a.extent for a in t.middle]
    counts = (*outer, *middle, column_tiles, ceil_div(t.row_count, plan.split))
    if rows_aligned(t):
        return Grid(counts)
    unit = counts[-1] * column_tiles * prod(middle)
    for axis, count in reversed(list(zip(t.outer, outer, strict=True))):
        if axis.out * t.gm_out % BLOCK == 0:
            return Grid(counts, unit)
        unit *= count
    return Grid(counts, unit)


def starts_aligned(t: Transposition, plan: Plan) -> bool:
    """Every dense tile begins at a whole block; else a store may spill behind the tile, and one block does
    all.
    """
    steps = [a.out for a in t.outer]
    if steps:
        steps[-1] *= plan.batch
    if plan.columns < t.column.extent:
        steps.append(plan.columns * t.row_count)
    return all(s * t.gm_out % BLOCK == 0 for s in (*steps, t.out_base))


def needs_exact_ends(t: Transposition, plan: Plan) -> bool:
    """Blocks meet behind tiles whose last row does not end a period of `tails.row_period`."""
    shape = TileShape.of(t, plan)
    if (
        shape.out_bytes % BLOCK == 0
        or is_packed(shape.out_bytes, t.lanes)
        or make_grid(t, plan).parallel == 1
    ):
        return False
    counts = [plan.batch * plan.columns, t.column.extent % plan.columns]
    if plan.batch > 1:
        counts.append(t.outer[-1].extent % plan.batch * t.column.extent)
    if t.columns_total:
        counts.append(t.columns_total % t.column.extent)
    return any(count % t.lanes for count in counts)


def as_transposition(
    axes: tuple[Axis, ...], size: int, out_base: int = 0, src_base: int = 0
) -> Transposition | None:
    """The turn that a normalized box of axes asks for; None where the innermost output axis has input
    stride 1.
    """
    at = next((i for i, a in enumerate(axes) if a.src == 1), None)
    if at is None or at == len(axes) - 1 or axes[-1].out != 1:
        return None
    return _around(axes[:at], axes[at], axes[at + 1 :], size, out_base, src_base)


def as_single_column(
    axes: tuple[Axis, ...], size: int, out_base: int = 0, src_base: int = 0
) -> Transposition | None:
    """A box without input stride 1, as a turn of one column: a row of 32 bytes is loaded for each element."""
    last = axes[-1]
    return _around(axes[:-1], Axis(1, last.extent, 1), (last,), size, out_base, src_base)


def _around(
    outer: tuple[Axis, ...], column: Axis, rows: tuple[Axis, ...], size: int, out_base: int, src_base: int
) -> Transposition | None:
    """Row axes that do not fit a tile become loops, the outermost one that fits in part is cut in two."""
    most, middle = max_dense_rows(size), list[Axis]()
    if any(a.src <= 0 for a in rows):
        return None
    while len(rows) > 1 and prod(a.extent for a in rows) > most:
        first, rows = rows[0], rows[1:]
        room = most // prod(a.extent for a in rows)
        part = max((d for d in range(1, room + 1) if first.extent % d == 0), default=1)
        middle.append(Axis(first.extent // part, first.out * part, first.src * part))
        if part > 1:
            rows = (Axis(part, first.out, first.src), *rows)
            break
    if middle and prod(a.extent for a in rows) * size < BLOCK:
        return None
    return Transposition(outer, column, rows, size, tuple(middle), out_base=out_base, src_base=src_base)
