"""Moves of straight runs: what is contiguous in the output is contiguous in the input (or a fill).

*Aligned boxes*: runs and output steps are whole 32-byte blocks, so everything is DMA bursts, whatever the
order.

*Long runs* of any length and place.  A run's bytes are shared by all blocks at 32-byte borders of the
*output*; the source may start at any byte.  A part ends exactly: after its whole blocks one DMA more copies
its last 32 bytes (loaded from GM at that very byte, so nothing has to be shifted on the core).  Two runs
that meet inside of a 32-byte piece must be written there by the same block: blocks share out every other
run in reverse order, so the end of a run and the start of the next are always the same block's.  Runs that all
begin at whole blocks never meet so: each is shared by as many blocks as it has whole pieces for.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..runtime.soc import Soc
from .kernel_builder import Index, KernelBuilder, Ref
from .move_load import RowSource, load_row_axes
from .move_problem import Axis, Box, Grid, fill_blocks, signed_bits
from .tails import BLOCK, MAX_REPEAT, UbRows, ceil_div, dma, store_separate_rows

TILE_BYTES = 32768
SHORTEST_PART = 64  # bytes of a run that a block gets at least


def is_straight(box: Box) -> bool:
    """The innermost axis is contiguous on both sides (or nothing is read)."""
    last = box.axes[-1] if box.axes else Axis(1, 1, 1)
    return last.out == 1 and (last.src == 1 or box.source < 0)


def is_aligned(box: Box, size: int) -> bool:
    """Runs and output steps are whole blocks."""
    steps = [a.out for a in box.axes[:-1]] + [box.out_base, box.axes[-1].extent if box.axes else 1]
    return all(s * size % BLOCK == 0 for s in steps)


def run_bytes(box: Box, size: int) -> int:
    return (box.axes[-1].extent if box.axes else 1) * size


def fill_buffer(kb: KernelBuilder, value: int, size: int, blocks: int) -> Ref:
    """`blocks` blocks of one element value (its bits), made once."""
    buffer = kb.alloc("ub", blocks * BLOCK)
    fill_blocks(kb, buffer, value, size, blocks)
    return buffer


# ----------------------------------------------------------------------------------------------- aligned
# boxes
def split_long(boxes: Sequence[Box], size: int, cores: int) -> list[Box]:
    """Runs longer than a tile, or longer than leaves every core a part, become an axis of tiles and a rest."""
    out: list[Box] = []
    for box in boxes:
        run = box.axes[-1].extent if box.axes else 1
        outer = box.axes[:-1]
        most = min(TILE_BYTES, _part_bytes(run * size, prod(a.extent for a in outer), cores)) // size
        if run <= most:
            out.append(box)
            continue
        out.append(
            Box(
                (*outer, Axis(run // most, most, most), Axis(most, 1, 1)),
                box.out_base,
                box.src_base,
                box.source,
            )
        )
        if run % most:
            done = run // most * most
            out.append(
                Box((*outer, Axis(run % most, 1, 1)), box.out_base + done, box.src_base + done, box.source)
            )
    return out


def _part_bytes(run: int, runs: int, cores: int) -> int:
    """Whole blocks of a run that one tile takes: all of them where there is a run for each core."""
    parts = ceil_div(cores, runs)
    return max(1, run // (parts * BLOCK)) * BLOCK if parts > 1 else run


def box_grid(box: Box, size: int, cores: int) -> tuple[Grid, int]:
    """Grid of a box and the rows of a tile."""
    outer = [a.extent for a in box.axes[:-1]] or [1]
    rows = max(1, min(outer[-1], TILE_BYTES // max(BLOCK, run_bytes(box, size))))
    while rows > 1:
        tiles = prod(outer[:-1]) * ceil_div(outer[-1], rows)
        if tiles >= 2 * cores or (tiles >= cores and rows * run_bytes(box, size) <= 4096):
            break
        rows = ceil_div(rows, 2)
    return Grid((*outer[:-1], ceil_div(outer[-1], rows))), rows


def emit_aligned(
    kb: KernelBuilder, box: Box, size: int, srcs: Sequence[Ref], dst: Ref, fill: Ref | None, keep: int = 0
) -> None:
    """The loop over the tiles of one aligned box; `fill` holds a tile of the fill value.

    With `keep` a run is one block, of which only the first `keep` elements exist: the rest becomes zero.
    """
    grid, rows = box_grid(box, size, kb.blocks)
    axes = box.axes[:-1] or (Axis(1, 0, 0),)
    last, blocks = axes[-1], ceil_div(run_bytes(box, size), BLOCK)
    with grid.tiles(kb) as indices:
        first = kb.mul(indices[-1], rows)
        count: Index = rows
        if last.extent % rows:
            count = kb.min(rows, kb.sub(last.extent, first))
        outer = list(zip(axes[:-1], indices[:-1], strict=True))
        to = dst + kb.linear(
            box.out_base * size, *((i, a.out * size) for a, i in outer), (first, last.out * size)
        )
        if fill is not None and box.source < 0:
            held = UbRows(fill, blocks)
        else:
            room = rows if rows <= 16 else ceil_div(rows, 16) * 16  # rows may come in 16 phases
            raw = kb.alloc("ub", room * blocks * BLOCK, depth=2)
            of = srcs[box.source] + kb.linear(box.src_base * size, *((i, a.src * size) for a, i in outer))
            held = load_row_axes(kb, raw, of, RowSource((last,), size, blocks), first, count, rows, lanes=16)
            if keep:
                zero_lanes(kb, raw, keep, size, room)
        pitch = last.out * size if last.extent > 1 else run_bytes(box, size)
        store_separate_rows(
            kb, to, held, count, rows, row_bytes=run_bytes(box, size), gm_pitch=pitch, lanes=16
        )


def zero_lanes(kb: KernelBuilder, to: Ref, keep: int, size: int, blocks: int) -> None:
    """Zeros in all elements of each block but the first `keep` (2-byte elements)."""
    if size != 2:
        raise ValueError(f"padding lanes of {size}-byte elements")
    lanes = sum(((1 << 16) - (1 << keep)) << (16 * i) for i in range(8))
    low, high = signed_bits(lanes & (1 << 64) - 1), signed_bits(lanes >> 64)
    whole = blocks // 8
    for start in range(0, whole, MAX_REPEAT):
        repeat = min(MAX_REPEAT, whole - start)
        kb.op("vector_dup", "u16", to + start * 8 * BLOCK, value=0, repeat=repeat, mask_lo=low, mask_hi=high)
    if blocks % 8:
        part = lanes & (1 << 16 * (blocks % 8)) - 1
        low, high = signed_bits(part & (1 << 64) - 1), signed_bits(part >> 64)
        kb.op("vector_dup", "u16", to + whole * 8 * BLOCK, value=0, repeat=1, mask_lo=low, mask_hi=high)


# --------------------------------------------------------------------------------------------------- long
# runs
def long_run_blocks(boxes: Sequence[Box], size: int, soc: Soc) -> int:
    """Blocks that can share the runs; 0 when one is too short even for one."""
    return min(soc.cores, long_run_granules(boxes, size))


def long_run_granules(boxes: Sequence[Box], size: int) -> int:
    """Parts of `SHORTEST_PART` bytes or more of the run that counts: the longest if all begin at whole blocks, else the
    shortest, which all blocks must share."""
    parts = [run_bytes(box, size) // SHORTEST_PART for box in boxes]
    return max(parts) if min(parts) and _begin_aligned(boxes, size) else min(parts)


def _begin_aligned(boxes: Sequence[Box], size: int) -> bool:
    """Whether every run begins at a whole 32-byte block of the output."""
    return all(
        step * size % BLOCK == 0 for box in boxes for step in (box.out_base, *(a.out for a in box.axes[:-1]))
    )


def emit_long_runs(
    kb: KernelBuilder, boxes: Sequence[Box], size: int, srcs: Sequence[Ref], dst: Ref, fill: Ref | None
) -> None:
    """All runs of all boxes; box k holds the runs k, k + K … of the output when there are K boxes."""
    apart = _begin_aligned(boxes, size)
    kb.note_granules(long_run_granules(boxes, size))
    for number, box in enumerate(boxes):
        axes = box.axes[:-1]
        with kb.loop(prod(a.extent for a in axes)) as o:
            rest, outs, ins = o, list[tuple[Index, int]](), list[tuple[Index, int]]()
            for at, axis in enumerate(reversed(axes)):
                outermost = at == len(axes) - 1
                index = rest if outermost else kb.rem(rest, axis.extent)
                rest = rest if outermost else kb.div(rest, axis.extent)
                outs.append((index, axis.out * size))
                ins.append((index, axis.src * size))
            start = kb.add(box.out_base * size, 0)
            for index, step in outs:
                start = kb.add(start, kb.mul(index, step))
            of = None if box.source < 0 else srcs[box.source] + kb.linear(box.src_base * size, *ins)
            length, most = run_bytes(box, size), run_bytes(box, size) // SHORTEST_PART
            if apart and kb.blocks > most:
                with kb.when(kb.less(kb.block_idx, most)):
                    _share_run(kb, start, length, 0, dst, of, fill, most)
            else:
                odd = 0 if apart else kb.rem(kb.add(kb.mul(o, len(boxes)), number), 2)
                _share_run(kb, start, length, odd, dst, of, fill, kb.blocks)


def _share_run(
    kb: KernelBuilder,
    start: Index,
    length: int,
    odd: Index,
    dst: Ref,
    of: Ref | None,
    fill: Ref | None,
    parts: int,
) -> None:
    """This block's part, of `parts`, of the run of `length` bytes at output byte `start`."""
    end = kb.add(start, length)
    first = kb.div(start, BLOCK)
    part = kb.block_idx
    if parts > 1:
        turned = kb.sub(parts - 1, part)
        part = (
            kb.add(part, kb.mul(kb.value(odd), kb.value(kb.sub(turned, part))))
            if not isinstance(odd, int)
            else (turned if odd else part)
        )
    shift, count = kb.share(kb.sub(kb.ceil_div(end, BLOCK), first), part, parts)
    low = kb.max(start, kb.mul(kb.add(first, shift), BLOCK))
    high = kb.min(end, kb.mul(kb.add(kb.add(first, shift), count), BLOCK))
    size = kb.sub(high, low)
    most = TILE_BYTES // BLOCK
    with kb.loop(kb.ceil_div(size, TILE_BYTES)) as i:
        at = kb.add(low, kb.mul(i, TILE_BYTES))
        blocks = kb.min(most, kb.div(kb.sub(high, at), BLOCK))
        held = _piece(kb, of, fill, kb.sub(at, start), blocks, most)
        dma(kb, "copy_ubuf_to_gm", dst + kb.linear(0, (at, 1)), held, 1, blocks, max_length=most)
    last = kb.sub(high, BLOCK)
    held = _piece(kb, of, fill, kb.sub(last, start), 1, 1)
    dma(kb, "copy_ubuf_to_gm", dst + kb.linear(0, (last, 1)), held, 1, 1)


def _piece(kb: KernelBuilder, of: Ref | None, fill: Ref | None, at: Index, blocks: Index, most: int) -> Ref:
    if of is None:
        assert fill is not None
        return fill
    raw = kb.alloc("ub", most * BLOCK, depth=2)
    dma(kb, "copy_gm_to_ubuf", raw, of + kb.linear(0, (at, 1)), 1, blocks, max_length=most)
    return raw
