"""Matrices in FRACTAL_NZ as dense rows that are too long for UB (the scores of a vocabulary).

A tile is 16 rows of some column blocks: whole fractals, one load.  Of each row it holds a run of whole blocks at
a constant distance, which one store puts side by side, at any byte of GM.  What is left of a row, less than a
block, is stored as a block with the row's last 32 bytes (`tails.row_ends`), so nothing is written twice with
different bytes and no row waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ..dialects.layouts import Format, Layout
from .kernel_builder import Index, KernelBuilder, Ref
from .move_problem import Grid
from .tails import BLOCK, MAX_GAP, UbRows, ceil_div, dma, row_ends

ROWS = 16
"""Rows of a fractal."""
TILE_COLUMNS = 64
"""Column blocks of a tile: 32 KB, twice in UB."""


@dataclass(frozen=True)
class LongRows:
    """`batch` matrices of `rows` rows of `row_bytes` bytes."""

    batch: int
    rows: int
    row_bytes: int

    @property
    def groups(self) -> int:
        return ceil_div(self.rows, ROWS)

    @property
    def column_bytes(self) -> int:
        """From one column block to the next."""
        return self.groups * ROWS * BLOCK

    @property
    def grid(self) -> Grid:
        """Groups of 16 rows; a kernel block takes whole matrices, or all of them, where others end inside of a block."""
        if self.batch == 1 or self.rows * self.row_bytes % BLOCK == 0:
            return Grid((self.batch, self.groups))
        return Grid((self.batch, self.groups), self.batch * self.groups)


def long_rows_of(source: Layout, result: Layout, shape: Sequence[int], size: int) -> LongRows | None:
    """The change from FRACTAL_NZ to ND; None if it is another one, or rows are no longer than a block."""
    if source.format is not Format.FRACTAL_NZ or result != Layout(Format.ND) or source.c0 * size != BLOCK:
        return None
    found = LongRows(prod(shape[:-2]), shape[-2], shape[-1] * size)
    return found if found.row_bytes >= 2 * BLOCK and found.column_bytes // BLOCK <= MAX_GAP else None


def emit_long_rows(kb: KernelBuilder, m: LongRows, src: Ref, dst: Ref) -> None:
    """The loops over groups of rows and tiles of columns."""
    whole, step = m.row_bytes // BLOCK, m.column_bytes // BLOCK
    columns = ceil_div(m.row_bytes, BLOCK)
    with m.grid.tiles(kb) as (item, group):
        count: Index = ROWS if m.rows % ROWS == 0 else kb.min(ROWS, kb.sub(m.rows, kb.mul(group, ROWS)))
        matrix = src + kb.linear(0, (item, columns * m.column_bytes), (group, ROWS * BLOCK))
        first = dst + kb.linear(0, (item, m.rows * m.row_bytes), (group, ROWS * m.row_bytes))
        with kb.loop(ceil_div(whole, TILE_COLUMNS)) as t:
            most = min(TILE_COLUMNS, whole)
            taken = most if whole % most == 0 else kb.min(most, kb.sub(whole, kb.mul(t, most)))
            tile = kb.alloc("ub", most * ROWS * BLOCK, depth=2)
            of = matrix + kb.linear(0, (t, most * m.column_bytes))
            dma(
                kb, "copy_gm_to_ubuf", tile, of, taken, ROWS,
                dst_step=ROWS, src_step=step, max_bursts=most,
            )  # fmt: skip
            with kb.loop(count) as r:
                to = first + kb.linear(0, (t, most * BLOCK), (r, m.row_bytes))
                row = tile + kb.linear(0, (r, BLOCK))
                dma(kb, "copy_ubuf_to_gm", to, row, taken, 1, dst_step=1, src_step=ROWS, max_bursts=most)
        if m.row_bytes % BLOCK:
            _emit_ends(kb, m, matrix + (whole - 1) * m.column_bytes, first, count)


def _emit_ends(kb: KernelBuilder, m: LongRows, last: Ref, first: Ref, count: Index) -> None:
    """The last 32 bytes of each row: out of its last two blocks, at `last` and one column further."""
    pairs = kb.alloc("ub", ROWS * 2 * BLOCK, depth=2)
    for half in (0, 1):
        of = last + half * m.column_bytes
        dma(kb, "copy_gm_to_ubuf", pairs + half * BLOCK, of, ROWS, 1, dst_step=2, src_step=1)
    ends = row_ends(kb, UbRows(pairs, 2), ROWS, row_bytes=BLOCK + m.row_bytes % BLOCK, lanes=16)
    with kb.loop(count) as r:
        to = first + kb.linear(m.row_bytes - BLOCK, (r, m.row_bytes))
        dma(kb, "copy_ubuf_to_gm", to, ends + kb.linear(0, (r, BLOCK)), 1, 1)
