"""Runs put one behind the other at any byte: the output is shared, not each run.

Twenty-four runs of 132 bytes are too short to be shared by eight cores one by one.  So each core gets a range of the
output and writes what lies in it, run after run.  Ranges meet at whole 32-byte blocks, where a run of the output is cut
at least 32 bytes from both of its ends: a part then ends exactly with a DMA of its last 32 bytes, loaded from the
very byte where they begin (as in `move_runs`).  Two runs that meet inside of a block are one core's, which writes them in
order.  Less than 32 bytes are written as 32: what it spoils is written again by the runs behind it, which are
the same core's, or lies behind the tensor (D8).

All places are known, so each core's part of the code is its own: `scf.if` by the block's number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from .kernel_builder import KernelBuilder, Ref
from .move_problem import Box
from .move_runs import fill_buffer
from .tails import BLOCK, dma

PART = 8 * BLOCK
"""Bytes of the output that a core gets at least."""
TILE = 16384
"""Bytes of one copy."""
MOST_RUNS = 64
MOST_BYTES = 65536
"""Runs, and bytes of a core's range, up to which the copies are written out."""


@dataclass(frozen=True)
class Part:
    """Bytes [`start`, `start` + `length`) of the output, from byte `at` of a source (-1: the fill)."""

    source: int
    start: int
    length: int
    at: int


@dataclass(frozen=True)
class Placed:
    """What each kernel block writes, in order; `fill`: bits of an element of `size` bytes."""

    parts: tuple[tuple[Part, ...], ...]
    granules: int
    size: int
    fill: int


def placed_of(boxes: Sequence[Box], size: int, fill: int, cores: int) -> Placed | None:
    """The ranges of at most `cores` blocks; None for boxes of several runs, or runs that are too many."""
    if len(boxes) > MOST_RUNS or any(prod(a.extent for a in box.axes[:-1]) != 1 for box in boxes):
        return None
    runs = sorted(
        (
            Part(b.source, b.out_base * size, b.axes[-1].extent * size, b.src_base * size)
            for b in boxes
        ),
        key=lambda run: run.start,
    )  # fmt: skip
    total = runs[-1].start + runs[-1].length
    if not 2 * PART <= total <= cores * MOST_BYTES:
        return None
    count = min(cores, total // PART)
    borders = [0, *(_border(runs, total * i // count) for i in range(1, count)), total]
    kept = [0]
    for border in borders[1:]:
        if border - kept[-1] >= BLOCK:
            kept.append(border)
    kept[-1] = total
    ranges = [
        tuple(part for run in runs if (part := _inside(run, low, high)) is not None)
        for low, high in pairwise(kept)
    ]
    return Placed(tuple(ranges), total // PART, size, fill)


def _border(runs: Sequence[Part], wanted: int) -> int:
    """The nearest whole block where the output may be cut; 0 if there is none near."""
    wanted = wanted // BLOCK * BLOCK
    steps = sorted(range(-3 * BLOCK, 4 * BLOCK, BLOCK), key=abs)
    return next((wanted + step for step in steps if _may_cut(runs, wanted + step)), 0)


def _may_cut(runs: Sequence[Part], border: int) -> bool:
    for run in runs:
        before, behind = border - run.start, run.start + run.length - border
        cut = behind > 0 or run.length < BLOCK  # a short run is written as a whole block
        if 0 < before < BLOCK and cut:
            return False
    return True


def _inside(run: Part, low: int, high: int) -> Part | None:
    start, end = max(run.start, low), min(run.start + run.length, high)
    if start >= end:
        return None
    return Part(run.source, start, end - start, run.at + start - run.start)


def emit_placed(kb: KernelBuilder, work: Placed, srcs: Sequence[Ref], dst: Ref) -> None:
    """One `scf.if` per block with its copies."""
    kb.note_granules(work.granules)
    fills = [part.length for parts in work.parts for part in parts if part.source < 0]
    fill = fill_buffer(kb, work.fill, work.size, max(1, min(TILE, max(fills)) // BLOCK)) if fills else None
    for number, parts in enumerate(work.parts):
        if len(work.parts) == 1:
            _emit(kb, parts, srcs, dst, fill)
            return
        with kb.when(kb.equal(kb.block_idx, number)):
            _emit(kb, parts, srcs, dst, fill)


def _emit(kb: KernelBuilder, parts: Sequence[Part], srcs: Sequence[Ref], dst: Ref, fill: Ref | None) -> None:
    for part in parts:
        done = 0
        while part.length - done >= BLOCK:
            step = min(TILE, (part.length - done) // BLOCK * BLOCK)
            _copy(kb, part, done, step // BLOCK, srcs, dst, fill)
            done += step
        if done < part.length:  # the part ends inside of a block
            _copy(kb, part, max(0, part.length - BLOCK), 1, srcs, dst, fill)


def _copy(
    kb: KernelBuilder, part: Part, done: int, blocks: int, srcs: Sequence[Ref], dst: Ref, fill: Ref | None
) -> None:
    held = fill
    if part.source >= 0:
        held = kb.alloc("ub", blocks * BLOCK)
        dma(kb, "copy_gm_to_ubuf", held, srcs[part.source] + (part.at + done), 1, blocks)
    assert held is not None
    dma(kb, "copy_ubuf_to_gm", dst + (part.start + done), held, 1, blocks)
