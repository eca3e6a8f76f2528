"""Rows that are no whole 32-byte blocks, shared by all cores: mode `runs` of the vector generator.

Rows of 189 fp16 numbers (378 bytes) begin inside of a block, so neighbouring rows share one, and a cut between rows is a
cut inside of a block for 15 rows of 16.  So blocks (cores) do not own rows here but whole blocks of the output, whatever
rows these belong to.  A core walks over the rows that its bytes touch.  In each it stores whole blocks from where its part
of the row begins (the GM side of a DMA may be any byte), and then, if bytes are left, one block more that ends exactly
where the part ends: the numbers of that block are computed a second time.  No store leaves the core's own bytes.

A part of a row must be a block long at least for that.  Where a row ends within a block of a cut, the cut moves by one.
"""

from __future__ import annotations

from ..dialects import dtypes
from ..runtime.soc import Soc
from .kernel_builder import Index, KernelBuilder
from .vector_body import Body, Place
from .vector_space import Space
from .vector_tiles import BLOCK, Count, Tile

SHORTEST = 4
"""Blocks of a row, and of a core's share, from which moved cuts cannot meet."""
LONG_ROW = 4096
"""Bytes of a row from which it is worth tiles of its own, however many rows there are."""


def lines_of(space: Space) -> int:
    """Rows of the whole group."""
    total = space.rows
    for extent in space.dims[:-2]:
        total *= extent
    return total


def can_share_runs(space: Space, soc: Soc) -> bool:
    """Whether mode `runs` takes the group. Parts of rows have any length, so the chip must have counter mode."""
    sizes = {dtypes.size_of(o.gm_type) for _, o in space.results}
    if len(sizes) != 1 or space.reduced or space.lanes or space.window is not None or len(space.dims) < 2:
        return False
    if not soc.core.has_counter_mode or not all(all(o.mask) for _, o in space.results):
        return False
    row = space.columns * sizes.pop()
    if row < LONG_ROW and lines_of(space) > 2 * soc.cores:
        return False  # 24 rows of 600 bytes: 2014 cycles as runs on 8 cores, 1309 as whole rows on 6 (Ascend310P3)
    return row >= SHORTEST * BLOCK and lines_of(space) * row >= SHORTEST * BLOCK * soc.cores


def emit_runs(kb: KernelBuilder, space: Space, body: Body, columns: int) -> None:
    """The loops over rows and tiles of up to `columns` elements."""
    unit = BLOCK // dtypes.size_of(space.results[0][1].gm_type)
    row, total = space.columns, lines_of(space) * space.columns
    body.hoist(Tile(1, 1, Count.of(min(columns, row)), 0, 0), 0)
    first, count = kb.partition(-(-total // unit))
    low, high = _cut(kb, first, unit, row), kb.min(_cut(kb, kb.add(first, count), unit, row), total)
    line = kb.div(low, row)
    with kb.loop(kb.sub(kb.ceil_div(high, row), line)) as t:
        index = kb.add(line, t)
        begin = kb.mul(index, row)
        start, stop = kb.sub(kb.max(low, begin), begin), kb.sub(kb.min(high, kb.add(begin, row)), begin)
        outer: list[Index] = []
        rest = kb.div(index, space.rows)
        for extent in reversed(space.dims[:-2]):
            outer.insert(0, kb.rem(rest, extent))
            rest = kb.div(rest, extent)
        place = kb.rem(index, space.rows)
        length = kb.sub(stop, start)
        whole = kb.mul(kb.div(length, unit), unit)
        with kb.loop(kb.ceil_div(whole, columns)) as i:
            done = kb.mul(i, columns)
            part = Count(kb.min(columns, kb.sub(whole, done)), min(columns, row))
            body.tile(Tile(1, 1, part, 0, 0), Place(outer, place, kb.add(start, done)))
        with kb.when(kb.less(whole, length)):
            body.tile(Tile(1, 1, Count.of(unit), 0, 0), Place(outer, place, kb.sub(stop, unit)))


def _cut(kb: KernelBuilder, block: Index, unit: int, row: int) -> Index:
    """The element at which output block `block` begins, moved by a block where a row ends near to it."""
    at = kb.mul(block, unit)
    if isinstance(at, int) and at % row == 0:
        return at
    before = kb.rem(at, row)
    short_tail = kb.select(kb.less(before, unit), kb.min(1, before), 0)
    short_head = kb.select(kb.less(kb.sub(row, before), unit), 1, 0)
    return kb.add(at, kb.mul(kb.sub(short_tail, short_head), unit))
