"""Rows whose byte length is not a multiple of 32: the one place that knows how to load, pack and store them.

A DMA of the coupled cores (310, 310P, 910) moves whole 32-byte blocks.  The GM side may start at any byte,
the UB side only at a multiple of 32, and the gaps between bursts are whole blocks on both sides [davinci.md
§3.1].  So rows of 225 fp16 numbers (450 bytes) cannot be loaded by one instruction: but rows r, r+16, r+32
… are 16·450 bytes apart, which *is* whole blocks, whatever the width.  Rows are therefore moved in
*phases*: phase p moves rows p, p+P, p+2P …

Loading.  Reading past a row is harmless (every tensor has 32 spare bytes, D8).  `load_rows` brings each row
to a UB address of its own; with phases the rows lie phase after phase (`UbRows.phases`), so that the loads
of two phases touch separate bytes and need no barrier between them.

Storing.  A store must not write bytes that another block owns (D6), so nobody may run past the end of a row
into something that is already there.  `store_rows` takes dense rows (a run of `row_bytes`·count bytes in
GM) and picks

* whole blocks: one DMA;
* *packed*: short rows (`PACKED_BLOCKS`) are packed in UB first.  The transpose instruction makes an element
  position a block address: [lane][row, element] → [row, element][lane], drop the surplus blocks, transpose
  back.  Needs lanes² rows per tile (`pack_unit`), surplus ones may hold anything;
* *ordered*: phases in rising order; the surplus of a row is overwritten by the row after it, the
  overlapping extents make the sync pass put `pipe_barrier(MTE3)` between them.  The last phase would spoil
  the first one, so its rows end with a block of their own that holds exactly their last 32 bytes
  (`row_ends`, again two transposes).

`store_separate_rows` writes rows with foreign bytes between them (a column range of a wider tensor): every
row ends with such a block.  Rows must be at least 32 bytes long there.

How to use it:

    rows = load_rows(kb, buffer, x + offset, count, blocks=8, gm_pitch=225 * 2, max_rows=256, lanes=16)
    store_rows(kb, y + offset, rows, count, 256, row_bytes=450, lanes=16)

* `lanes` is 32 / element size for 1- and 2-byte elements, and 16 for wider ones (they are moved as 16-bit
  halves).
* In `store_rows` the destination offset must be a multiple of 32 bytes, and `count` a multiple of
  `row_period(row_bytes, lanes)` except where the rows end with the tensor: there the surplus falls into the
  spare bytes.  So split work between blocks and tiles at multiples of `row_period` rows.
* UB rows hold at least `ceil(row_bytes / 32)` blocks each; what lies behind a row in its last block may be
  undefined. The buffer has room for a whole multiple of `lanes` rows.
* `scratch_blocks` says how much UB `store_rows` allocates on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from .kernel_builder import Index, KernelBuilder, Ref

BLOCK = 32
MAX_GAP = 65535
MAX_REPEAT = 255
# Rows up to so many blocks are packed in UB, by lanes; longer ones leave no room for the exploded copy.
PACKED_BLOCKS = {16: 4, 32: 1}


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def row_period(row_bytes: int, lanes: int) -> int:
    """Rows at whose multiples dense rows may be cut between blocks and tiles: the byte offset is whole
    blocks there.
    """
    return 1 if row_bytes % BLOCK == 0 else lanes


def pack_unit(lanes: int) -> int:
    """Rows that are packed together."""
    return lanes * lanes


@dataclass(frozen=True)
class UbRows:
    """Rows in UB: row r at block `(r % phases · per_phase + r // phases) · pitch`."""

    base: Ref
    pitch: int  # blocks
    phases: int = 1
    per_phase: int = 0  # rows per phase; means nothing with one phase

    @property
    def phase_step(self) -> int:
        """Blocks between phases (the rows of a phase are `pitch` apart)."""
        return self.per_phase * self.pitch


def dma(
    kb: KernelBuilder, mnemonic: str, dst: Ref, src: Ref, bursts: Index, length: Index, *,
    dst_step: Index = 0, src_step: Index = 0, max_bursts: int = 0, max_length: int = 0,
) -> None:  # fmt: skip
    """One burst copy with head-to-head steps in blocks; `max_*` bound what is only known at run time."""
    most = bursts if isinstance(bursts, int) else max_bursts
    longest = length if isinstance(length, int) else max_length
    if most == 0 or longest == 0:
        return
    gaps = (kb.sub(src_step, length), kb.sub(dst_step, length)) if most > 1 else (0, 0)
    extents = [
        ((most - 1) * (step if isinstance(step, int) else longest) + longest) * BLOCK
        if most > 1
        else longest * BLOCK
        for step in (dst_step, src_step)
    ]
    kb.op(
        mnemonic,
        "",
        dst,
        src,
        extents=extents,
        bursts=bursts,
        length=length,
        src_gap=gaps[0],
        dst_gap=gaps[1],
    )


def transpose_blocks(
    kb: KernelBuilder, lanes: int, dst: Ref, src: Ref, repeat: Index, *,
    dst_row: int, src_row: int, dst_rep: int = 0, src_rep: int = 0, max_repeat: int = 0,
) -> None:  # fmt: skip
    """`lanes`×`lanes` transposes: source row i is the block at i·src_row, destination row j the block at
    j·dst_row.

    With 1-byte elements a block has 32 lanes and the instruction moves a quarter of the square at a time:
    16 source rows and half of each block.
    """
    limits = {"repeat": max_repeat or MAX_REPEAT}
    if lanes == 16:
        kb.op(
            "vnchwconv", "u16", dst, src, limits=limits, repeat=repeat,
            dst_rep=dst_rep, src_rep=src_rep, dst_row_stride=dst_row, src_row_stride=src_row,
        )  # fmt: skip
        return
    # The upper half first: where its destination rows lie behind a matrix, the next matrix is written over
    # them.
    for column in (1, 0):  # half of a source block: 16 destination rows
        for row in (0, 1):  # 16 source rows: half of a destination block
            to, of = dst + column * 16 * dst_row * BLOCK, src + row * 16 * src_row * BLOCK
            kb.op(
                "vnchwconv", "u8", to, of, limits=limits, repeat=repeat, dst_high=row, src_high=column,
                dst_rep=dst_rep, src_rep=src_rep, dst_row_stride=dst_row, src_row_stride=src_row,
            )  # fmt: skip


def load_phases(gm_pitch: int, max_rows: int, lanes: int) -> int:
    """Phases that `load_rows` uses: 1 or `lanes`, so that lanes of a transpose are evenly spaced in UB
    either way.
    """
    return 1 if gm_pitch % BLOCK == 0 or max_rows == 1 else lanes


def load_rows(
    kb: KernelBuilder,
    dst: Ref,
    src: Ref,
    rows: Index,
    *,
    blocks: Index,
    gm_pitch: int,
    max_rows: int,
    lanes: int,
    ub_pitch: int = 0,
    max_blocks: int = 0,
) -> UbRows:
    """Loads `rows` rows of `blocks` blocks, `gm_pitch` bytes apart, into UB rows of `ub_pitch` blocks.

    `dst` must hold `ceil(max_rows / lanes)·lanes` rows when the rows come in phases.
    """
    widest = blocks if isinstance(blocks, int) else max_blocks
    pitch = ub_pitch or widest
    phases = load_phases(gm_pitch, max_rows, lanes)
    per_phase = ceil_div(max_rows, phases)
    step = phases * gm_pitch // BLOCK
    out = UbRows(dst, pitch, phases, per_phase)
    if max_rows > 1 and step - widest > MAX_GAP:  # too far apart for a burst gap: one DMA per row
        _load_single_rows(kb, out, src, rows, blocks, gm_pitch, widest)
        return out
    with kb.loop(min(phases, max_rows)) as p:
        count = kb.div(kb.sub(kb.add(rows, phases - 1), p), phases)
        to, of = dst + kb.linear(0, (p, out.phase_step * BLOCK)), src + kb.linear(0, (p, gm_pitch))
        dma(
            kb,
            "copy_gm_to_ubuf",
            to,
            of,
            count,
            blocks,
            dst_step=pitch,
            src_step=step,
            max_bursts=per_phase,
            max_length=widest,
        )
    return out


def _load_single_rows(
    kb: KernelBuilder, out: UbRows, src: Ref, rows: Index, blocks: Index, gm_pitch: int, widest: int
) -> None:
    with kb.loop(rows) as r:
        p, i = kb.rem(r, out.phases), kb.div(r, out.phases)
        to = out.base + kb.linear(0, (p, out.phase_step * BLOCK), (i, out.pitch * BLOCK))
        dma(kb, "copy_gm_to_ubuf", to, src + kb.linear(0, (r, gm_pitch)), 1, blocks, max_length=widest)


def scratch_blocks(row_bytes: int, max_rows: int, lanes: int, *, separate: bool = False) -> int:
    """UB blocks that `store_rows` (or `store_separate_rows`) allocates."""
    if row_bytes % BLOCK == 0:
        return 0
    if separate or not is_packed(row_bytes, lanes):
        return ceil_div(max_rows, lanes) * lanes * 4
    blocks = ceil_div(row_bytes, BLOCK)
    rows = ceil_div(max_rows, pack_unit(lanes)) * lanes  # rows of a lane
    elements = row_bytes * lanes // BLOCK
    return rows * (blocks * lanes + elements * 3)


def is_packed(row_bytes: int, lanes: int = 16) -> bool:
    """`store_rows` packs such rows, so UB rows must be given for whole multiples of `pack_unit`."""
    return row_bytes % BLOCK != 0 and ceil_div(row_bytes, BLOCK) <= PACKED_BLOCKS[lanes]


def store_rows(
    kb: KernelBuilder, dst: Ref, rows: UbRows, count: Index, max_count: int, *, row_bytes: int, lanes: int
) -> None:
    """Stores `count` dense rows; see the module docstring for what dst and count must satisfy."""
    if row_bytes % BLOCK == 0:
        _store_whole(kb, dst, rows, count, max_count, row_bytes, row_bytes)
    elif is_packed(row_bytes, lanes):
        packed = pack_rows(kb, rows, max_count, row_bytes=row_bytes, lanes=lanes)
        length = kb.div(kb.add(kb.mul(count, row_bytes), BLOCK - 1), BLOCK)
        dma(kb, "copy_ubuf_to_gm", dst, packed, 1, length, max_length=ceil_div(max_count * row_bytes, BLOCK))
    else:
        _store_ordered(kb, dst, rows, count, max_count, row_bytes, lanes)


def _store_whole(
    kb: KernelBuilder, dst: Ref, rows: UbRows, count: Index, most: int, row_bytes: int, gm_pitch: int
) -> None:
    blocks = row_bytes // BLOCK
    if rows.phases == 1 and rows.pitch == blocks and gm_pitch == row_bytes:
        dma(kb, "copy_ubuf_to_gm", dst, rows.base, 1, kb.mul(count, blocks), max_length=most * blocks)
        return
    _store_phases(kb, dst, rows, count, most, gm_pitch, blocks, rows.phases, min(rows.phases, most))


def _store_phases(
    kb: KernelBuilder,
    dst: Ref,
    rows: UbRows,
    count: Index,
    most: int,
    gm_pitch: int,
    blocks: int,
    phases: int,
    trips: int,
) -> None:
    """Phases 0 … trips-1 of `phases`, `blocks` of each row."""
    step = phases * gm_pitch // BLOCK
    if most > phases and step - blocks > MAX_GAP:
        _store_single_rows(kb, dst, rows, count, gm_pitch, blocks)
        return
    near, far = (rows.phase_step, rows.pitch) if rows.phases > 1 else (rows.pitch, phases * rows.pitch)
    with kb.loop(trips) as p:
        bursts = kb.div(kb.sub(kb.add(count, phases - 1), p), phases)
        to, of = dst + kb.linear(0, (p, gm_pitch)), rows.base + kb.linear(0, (p, near * BLOCK))
        dma(
            kb,
            "copy_ubuf_to_gm",
            to,
            of,
            bursts,
            blocks,
            dst_step=step,
            src_step=far,
            max_bursts=ceil_div(most, phases),
        )


def _store_single_rows(
    kb: KernelBuilder, dst: Ref, rows: UbRows, count: Index, gm_pitch: int, blocks: int
) -> None:
    with kb.loop(count) as r:
        p, i = kb.rem(r, rows.phases), kb.div(r, rows.phases)
        of = rows.base + kb.linear(0, (p, rows.phase_step * BLOCK), (i, rows.pitch * BLOCK))
        dma(kb, "copy_ubuf_to_gm", dst + kb.linear(0, (r, gm_pitch)), of, 1, blocks)


def row_ends(kb: KernelBuilder, rows: UbRows, most: int, *, row_bytes: int, lanes: int) -> Ref:
    """One block per UB row, in the order of the rows in UB, with the row's last 32 bytes.

    The two blocks that hold them are transposed (element position becomes block address), then the right
    `lanes` positions are transposed back.
    """
    total = most if rows.phases == 1 else rows.phases * rows.per_phase
    groups = ceil_div(total, lanes)
    whole, rest = divmod(row_bytes, BLOCK)
    positions = kb.alloc("ub", groups * 2 * lanes * BLOCK)
    ends = kb.alloc("ub", groups * lanes * BLOCK, depth=2)
    for half in (0, 1):
        transpose_blocks(
            kb, lanes, positions + half * lanes * BLOCK, rows.base + (whole - 1 + half) * BLOCK, groups,
            dst_row=1, src_row=rows.pitch, dst_rep=2 * lanes, src_rep=lanes * rows.pitch,
        )  # fmt: skip
    shifted = positions + rest * lanes
    transpose_blocks(kb, lanes, ends, shifted, groups, dst_row=1, src_row=1, dst_rep=lanes, src_rep=2 * lanes)
    return ends


def _store_ordered(
    kb: KernelBuilder, dst: Ref, rows: UbRows, count: Index, most: int, row_bytes: int, lanes: int
) -> None:
    period = lanes
    blocks = ceil_div(row_bytes, BLOCK)
    _store_phases(kb, dst, rows, count, most, row_bytes, blocks, period, min(period - 1, most))
    last, per_phase = kb.div(count, period), most // period
    if per_phase == 0:
        return
    near, far = (rows.phase_step, rows.pitch) if rows.phases > 1 else (rows.pitch, period * rows.pitch)
    first = rows.base + (period - 1) * near * BLOCK
    to, step = dst + (period - 1) * row_bytes, period * row_bytes // BLOCK
    ends = row_ends(kb, rows, most, row_bytes=row_bytes, lanes=lanes)
    tail = ends + (period - 1) * (near // rows.pitch) * BLOCK
    dma(kb, "copy_ubuf_to_gm", to, first, last, blocks - 1, dst_step=step, src_step=far, max_bursts=per_phase)
    dma(
        kb,
        "copy_ubuf_to_gm",
        to + (row_bytes - BLOCK),
        tail,
        last,
        1,
        dst_step=step,
        src_step=far // rows.pitch,
        max_bursts=per_phase,
    )


def store_separate_rows(
    kb: KernelBuilder,
    dst: Ref,
    rows: UbRows,
    count: Index,
    max_count: int,
    *,
    row_bytes: int,
    gm_pitch: int,
    lanes: int,
) -> None:
    """Stores `count` rows of `row_bytes` ≥ 32 bytes that are `gm_pitch` bytes apart, without touching what
    is between.

    `rows` must be one sequence of UB rows for `ceil(max_count / lanes)·lanes` rows; any destination offset
    is allowed.
    """
    if row_bytes < BLOCK:
        raise ValueError(f"separate rows need at least {BLOCK} bytes, got {row_bytes}")
    period = BLOCK // gcd(gm_pitch, BLOCK) if max_count > 1 else 1
    if rows.phases > 1:
        period = rows.phases
    _store_phases(
        kb, dst, rows, count, max_count, gm_pitch, row_bytes // BLOCK, period, min(period, max_count)
    )
    if row_bytes % BLOCK == 0:
        return
    ends = row_ends(kb, rows, max_count, row_bytes=row_bytes, lanes=lanes)
    tails = UbRows(ends, 1, rows.phases, rows.per_phase)
    _store_phases(
        kb, dst + (row_bytes - BLOCK), tails, count, max_count, gm_pitch, 1, period, min(period, max_count)
    )


def pack_rows(kb: KernelBuilder, rows: UbRows, max_count: int, *, row_bytes: int, lanes: int) -> Ref:
    """Packs short rows without gaps: UB rows for whole multiples of `pack_unit(lanes)` → one dense run.

    Lane l takes `per_lane` neighbouring rows; a position of the exploded copy is one element of each of the
    lanes.
    """
    per_lane = ceil_div(max_count, pack_unit(lanes)) * lanes
    blocks, elements = ceil_div(row_bytes, BLOCK), row_bytes * lanes // BLOCK
    exploded = kb.alloc("ub", per_lane * blocks * lanes * BLOCK)
    _explode(kb, rows, exploded, per_lane, blocks, lanes)
    kept = exploded
    if elements != blocks * lanes:
        kept = kb.alloc("ub", per_lane * elements * BLOCK)
        dma(
            kb,
            "copy_ubuf_to_ubuf",
            kept,
            exploded,
            per_lane,
            elements,
            dst_step=elements,
            src_step=blocks * lanes,
        )
    chunk = per_lane * elements // lanes  # blocks of a lane in the dense run
    packed = kb.alloc("ub", lanes * chunk * BLOCK, depth=2)
    for start in range(0, chunk, MAX_REPEAT):
        transpose_blocks(
            kb, lanes, packed + start * BLOCK, kept + start * lanes * BLOCK, min(MAX_REPEAT, chunk - start),
            dst_row=chunk, src_row=1, dst_rep=1, src_rep=lanes,
        )  # fmt: skip
    return packed


def _explode(kb: KernelBuilder, rows: UbRows, exploded: Ref, per_lane: int, blocks: int, lanes: int) -> None:
    """[lane][row][block] → [row][element][lane]."""
    pitch, square = rows.pitch, lanes * BLOCK
    if rows.phases == 1:
        with kb.loop(blocks) as b:
            for start in range(0, per_lane, MAX_REPEAT):
                to = exploded + kb.linear(start * blocks * square, (b, square))
                of = rows.base + kb.linear(start * pitch * BLOCK, (b, BLOCK))
                transpose_blocks(
                    kb, lanes, to, of, min(MAX_REPEAT, per_lane - start),
                    dst_row=1, src_row=per_lane * pitch, dst_rep=blocks * lanes, src_rep=pitch,
                )  # fmt: skip
        return
    per_phase = per_lane // rows.phases  # rows of a lane in each phase; lanes are evenly spaced there
    with kb.loop(rows.phases) as p, kb.loop(blocks) as b:
        to = exploded + kb.linear(0, (p, blocks * square), (b, square))
        of = rows.base + kb.linear(0, (p, rows.phase_step * BLOCK), (b, BLOCK))
        transpose_blocks(
            kb, lanes, to, of, per_phase,
            dst_row=1, src_row=per_phase * pitch, dst_rep=rows.phases * blocks * lanes, src_rep=pitch,
        )  # fmt: skip
