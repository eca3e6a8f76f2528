"""Where the lanes of a vector instruction lie: repeats, strides, mask and counter mode as numpy views.

Element e of repeat r of an operand lies at byte r·rep·32 + (e // eb)·blk·32 + (e % eb)·size, eb = 32 /
size. The active lanes of all repeats are cut into a few *pieces*, each a regular grid that is one strided
numpy view per operand (a single one-dimensional view in the ordinary contiguous case). A mask too ragged
for that becomes one list of element numbers per operand. Plans depend on fields, mask and count only, so
a kernel makes each once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .floats import Array

BLOCK = 32
_MAX_PIECES = 6


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of a vector instruction: element type and strides in blocks.

    Blocks are 32 bytes, except for the one operand that is not in UB: a byte per lane (select conditions).
    """

    dtype: np.dtype[Any]
    blk: int
    rep: int
    block: int = BLOCK


@dataclass(frozen=True, slots=True)
class Piece:
    """A grid of lanes: its shape, and per operand the offset from the address and the strides, in bytes."""

    shape: tuple[int, ...]
    offsets: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run an instruction: `pieces`, or `elements` (numbers relative to the address) per operand.

    `extents` are the bytes touched from each address.  `reps` describes one repeat of each operand in blocks:
    (distance of repeats, distance of blocks, number of blocks).  `rewrites`: repeats write the same blocks.
    """

    repeats: int
    pieces: tuple[Piece, ...]
    elements: tuple[Array, ...]
    extents: tuple[int, ...]
    reps: tuple[tuple[int, int, int], ...]
    rewrites: bool


def lane_runs(mask: tuple[int, int], lanes: int) -> list[tuple[int, int]]:
    """Runs [first, end) of set bits among the first `lanes` of (hi, lo)."""
    bits = (mask[0] & (1 << 64) - 1) << 64 | mask[1] & (1 << 64) - 1
    bits &= (1 << lanes) - 1
    runs: list[tuple[int, int]] = []
    at = 0
    while bits >> at:
        rest = bits >> at
        at += (rest & -rest).bit_length() - 1
        free = ~(bits >> at)
        length = (free & -free).bit_length() - 1
        runs.append((at, at + length))
        at += length
    return runs


def segments(
    repeat: int, mask: tuple[int, int], count: int, lanes: int
) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """(first repeat, repeats, lane runs): one segment, or in counter mode whole repeats and the tail."""
    if count < 0:
        runs = lane_runs(mask, lanes)
        return [(0, repeat, runs)] if repeat and runs else []
    full, tail = divmod(count, lanes)
    found: list[tuple[int, int, list[tuple[int, int]]]] = []
    if full:
        found.append((0, full, [(0, lanes)]))
    if tail:
        found.append((full, 1, [(0, tail)]))
    return found


def make_plan(
    operands: Sequence[Operand], lanes: int, repeat: int, mask: tuple[int, int], count: int
) -> Plan:
    """The plan for `repeat` repeats of `lanes` lanes, or for `count` elements when it is ≥ 0."""
    parts = segments(repeat, mask, count, lanes)
    repeats = sum(part[1] for part in parts)
    pieces: list[Piece] = []
    for first, number, runs in parts:
        for run in runs:
            pieces += _pieces(operands, first, number, run)
    pieces = _joined(pieces, operands)
    ends = [max((run[1] for run in part[2]), default=0) for part in parts]
    extents = tuple(_extent(operand, parts, ends) for operand in operands)
    last = max(ends, default=0)
    reps = tuple((o.rep, o.blk, -(-last * o.dtype.itemsize // o.block)) for o in operands)
    written = _block_numbers(reps[0], repeats)
    rewrites = len(np.unique(written)) < written.size
    if len(pieces) <= _MAX_PIECES:
        return Plan(repeats, tuple(pieces), (), extents, reps, rewrites)
    elements = tuple(_elements(operand, parts) for operand in operands)
    return Plan(repeats, (), elements, extents, reps, rewrites)


def _block_numbers(rep: tuple[int, int, int], repeats: int) -> Array:
    """Blocks touched, counted from the address: (repeats, blocks)."""
    return np.arange(repeats)[:, None] * rep[0] + np.arange(rep[2]) * rep[1]


def _span(operand: Operand, lanes: int) -> int:
    """Bytes from the start of a repeat to the end of its last block."""
    per_block = operand.block // operand.dtype.itemsize
    return ((-(-lanes // per_block) - 1) * operand.blk + 1) * operand.block if lanes else 0


def _extent(operand: Operand, parts: list[tuple[int, int, list[tuple[int, int]]]], ends: list[int]) -> int:
    return max(
        (
            (first + number - 1) * operand.rep * operand.block + _span(operand, end)
            for (first, number, _), end in zip(parts, ends, strict=True)
        ),
        default=0,
    )


def _pieces(operands: Sequence[Operand], first: int, repeats: int, run: tuple[int, int]) -> list[Piece]:
    low, high = run
    widths = [operand.block // operand.dtype.itemsize for operand in operands]
    cell = min(widths)  # lanes that lie in one block of every operand
    if all(operand.blk == 1 for operand in operands) or low // cell == (high - 1) // cell:
        return [_flat(operands, first, repeats, low, high)]
    if cell != max(widths):  # mixed widths with block strides: one piece per cell
        edges = [low, *range((low // cell + 1) * cell, high, cell), high]
        return [_flat(operands, first, repeats, a, b) for a, b in pairwise(edges)]
    found: list[Piece] = []
    whole_low, whole_high = -(-low // cell) * cell, high // cell * cell
    if low < whole_low:
        found.append(_flat(operands, first, repeats, low, whole_low))
    if whole_low < whole_high:
        blocks = (whole_high - whole_low) // cell
        offsets = tuple(first * o.rep * o.block + whole_low // cell * o.blk * o.block for o in operands)
        strides = tuple((o.rep * o.block, o.blk * o.block, o.dtype.itemsize) for o in operands)
        found.append(Piece((repeats, blocks, cell), offsets, strides))
    if whole_high < high:
        found.append(_flat(operands, first, repeats, whole_high, high))
    return found


def _flat(operands: Sequence[Operand], first: int, repeats: int, low: int, high: int) -> Piece:
    """Lanes [low, high) that lie next to each other in every operand."""
    offsets: list[int] = []
    for o in operands:
        per_block = o.block // o.dtype.itemsize
        offsets.append(
            first * o.rep * o.block + low // per_block * o.blk * o.block + low % per_block * o.dtype.itemsize
        )
    strides = tuple((o.rep * o.block, o.dtype.itemsize) for o in operands)
    return Piece((repeats, high - low), tuple(offsets), strides)


def _joined(pieces: list[Piece], operands: Sequence[Operand]) -> list[Piece]:
    """Pieces with fewer dimensions where lanes follow each other, tails joined to what they continue."""
    sizes = [operand.dtype.itemsize for operand in operands]
    flat: list[Piece] = []
    for piece in pieces:
        shape, strides = piece.shape, list(piece.strides)
        if shape[0] == 1:
            shape, strides = shape[1:], [s[1:] for s in strides]
        elif len(shape) == 2 and all(s[0] == shape[1] * size for s, size in zip(strides, sizes, strict=True)):
            shape, strides = (shape[0] * shape[1],), [(size,) for size in sizes]
        made = Piece(shape, piece.offsets, tuple(strides))
        last = flat[-1] if flat else None
        if last is not None and len(shape) == 1 and len(last.shape) == 1:
            ends = tuple(at + last.shape[0] * size for at, size in zip(last.offsets, sizes, strict=True))
            if ends == made.offsets:
                flat[-1] = Piece((last.shape[0] + shape[0],), last.offsets, last.strides)
                continue
        flat.append(made)
    return flat


def _elements(operand: Operand, parts: list[tuple[int, int, list[tuple[int, int]]]]) -> Array:
    size = operand.dtype.itemsize
    per_block = operand.block // size
    found: list[Array] = []
    for first, number, runs in parts:
        lanes = np.concatenate([np.arange(low, high) for low, high in runs])
        inside = lanes // per_block * (operand.blk * per_block) + lanes % per_block
        start = (first + np.arange(number)) * (operand.rep * per_block)
        found.append((start[:, None] + inside).reshape(-1))
    return np.concatenate(found)


def reads_own_result(plan: Plan, dst: int, src: int, distance: int) -> bool:
    """Whether a repeat would read bytes that an earlier repeat of the same instruction wrote.

    `dst` and `src` are operand numbers, `distance` = source address - destination address.  Inside one repeat
    the operands may coincide but not overlap in part.
    """
    written = _block_numbers(plan.reps[dst], plan.repeats)
    read = _block_numbers(plan.reps[src], plan.repeats) + distance // BLOCK
    low = int(min(written.min(), read.min()))
    first_writer = np.full(int(max(written.max(), read.max())) - low + 1, plan.repeats)
    repeats = np.arange(plan.repeats)[:, None]
    np.minimum.at(first_writer, written - low, np.broadcast_to(repeats, written.shape))
    writer = first_writer[read - low]
    if bool((writer < repeats).any()):
        return True
    same = (writer == repeats).any(axis=1)
    return bool((same & (written[:, 0] != read[:, 0])).any())
