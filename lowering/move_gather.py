"""Rows of a table, chosen by indices that stand in memory: an embedding lookup.

The coupled cores gather from UB, not from GM.  What reaches every byte of GM is the address of a DMA, and that
may be a register: the scalar unit loads an index from UB, makes the row's address of it, and the DMA brings the
row.  The data itself never passes through the scalar unit.

    scf.for %j = … { %i = davinci.load_scalar %indices[%j*4], bytes 4        // S waits for the indices once
                     %r = (clamp(%i, -V, V-1) + V) mod V                     // from the end, never outside
                     davinci.copy_gm_to_ubuf %tile[%j*row], %table[%r*row], … }
    davinci.copy_ubuf_to_gm %out[…], %tile, …                                // rows of a tile lie side by side

An index outside of the table is the model's fault; ONNX leaves the result open.  Here it takes the nearest row,
so that no address ever leaves the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from .kernel_builder import Index, KernelBuilder, Ref
from .tails import BLOCK, ceil_div

TILE_BYTES = 32768
"""Rows of one store; two tiles are in UB."""
CHUNK = 2048
"""Indices that are in UB at a time, at most; two chunks are in UB."""


@dataclass(frozen=True)
class Gathered:
    """`count` rows of a table of `length` rows of `row_bytes` bytes; a long row is moved in `pieces` equal ones."""

    length: int
    count: int
    row_bytes: int
    index_bytes: int
    pieces: int = 1

    @property
    def piece_bytes(self) -> int:
        return self.row_bytes // self.pieces

    @property
    def units(self) -> int:
        """What kernel blocks share: pieces of rows."""
        return self.count * self.pieces


def gathered_of(
    table: Sequence[int], indices: Sequence[int], axis: int, sizes: tuple[int, int], cores: int
) -> Gathered:
    """The work of a gather; `sizes` are the bytes of an element and of an index.

    Raises:
        ValueError: rows that are no whole blocks, or are not the table's first axis.
    """
    row_bytes = prod(table[1:]) * sizes[0]
    if axis or row_bytes % BLOCK:
        raise ValueError(f"rows of {row_bytes} bytes along axis {axis} chosen at run time")
    count, blocks = prod(indices), row_bytes // BLOCK
    pieces = max(ceil_div(row_bytes, TILE_BYTES), ceil_div(cores, count))
    pieces = next(n for n in range(min(pieces, blocks), blocks + 1) if blocks % n == 0)
    return Gathered(table[0], count, row_bytes, sizes[1], pieces)


def emit_gathered(kb: KernelBuilder, m: Gathered, table: Ref, indices: Ref, dst: Ref) -> None:
    """The loops over chunks of indices, tiles and rows."""
    size = m.piece_bytes
    rows = max(1, min(TILE_BYTES // size, CHUNK))
    chunk = CHUNK // rows * rows
    first, count = kb.partition(m.units)
    share = ceil_div(m.units, kb.blocks)
    chunk = min(chunk, ceil_div(share, rows) * rows)
    with kb.loop(kb.ceil_div(count, chunk)) as c:
        start = kb.add(first, kb.mul(c, chunk))  # the first unit of the chunk
        units = kb.min(chunk, kb.sub(count, kb.mul(c, chunk)))
        held = _load_indices(kb, m, indices, start, units, chunk)
        with kb.loop(kb.ceil_div(units, rows)) as t:
            tile = kb.alloc("ub", rows * size, depth=2)
            done = kb.mul(t, rows)
            some = kb.min(rows, kb.sub(units, done))
            with kb.loop(some) as j:
                _load_row(kb, m, tile + kb.linear(0, (j, size)), table, held, start, kb.add(done, j))
            blocks = kb.mul(some, size // BLOCK)
            to = dst + kb.linear(0, (start, size), (done, size))
            kb.op(
                "copy_ubuf_to_gm", "", to, tile, bursts=1, length=blocks, limits={"length": rows * size // BLOCK}
            )  # fmt: skip


def _load_indices(
    kb: KernelBuilder, m: Gathered, indices: Ref, start: Index, units: Index, chunk: int
) -> Ref:
    """The indices of a chunk, the one of its first unit at the start of the buffer."""
    row = kb.div(start, m.pieces)
    most = ceil_div(chunk, m.pieces) + (1 if m.pieces > 1 else 0)
    held = kb.alloc("ub", ceil_div(most * m.index_bytes, BLOCK) * BLOCK, depth=2)
    count = kb.sub(kb.add(kb.div(kb.add(start, kb.sub(units, 1)), m.pieces), 1), row)
    per_block = BLOCK // m.index_bytes
    most_blocks = ceil_div(most, per_block)
    length = kb.min(most_blocks, kb.ceil_div(count, per_block))
    source = indices + kb.linear(0, (row, m.index_bytes))
    kb.op(
        "copy_gm_to_ubuf", "", held, source, bursts=1, length=length, limits={"length": most_blocks}
    )  # fmt: skip
    return held


def _load_row(
    kb: KernelBuilder, m: Gathered, to: Ref, table: Ref, held: Ref, start: Index, place: Index
) -> None:
    """One row, or piece of a row: unit `start` + `place`."""
    unit = kb.add(start, place)
    local = kb.sub(kb.div(unit, m.pieces), kb.div(start, m.pieces))
    index = kb.load_scalar(held + kb.linear(0, (local, m.index_bytes)), m.index_bytes)
    inside = kb.max(kb.min(index, m.length - 1), -m.length)
    row = kb.rem(kb.add(inside, m.length), m.length)
    piece = kb.rem(unit, m.pieces)
    source = table + kb.linear(0, (row, m.row_bytes), (piece, m.piece_bytes))
    kb.op("copy_gm_to_ubuf", "", to, source, bursts=1, length=m.piece_bytes // BLOCK)
