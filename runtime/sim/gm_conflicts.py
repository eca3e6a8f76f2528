"""Global memory: which accesses meet.

Blocks of one task are never ordered (decision D6), so no block may write a byte that another one reads or
writes. Inside a block two accesses may meet when flags or barriers order them.

Accesses are bursts.  All bursts of a block become intervals in numpy, are merged, and are compared by
sorting: a few milliseconds for a hundred thousand bursts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..isa.extents import BLOCK, FRACTAL, operand_types, result_c0, type_size
from ..isa.model import Instruction
from .byte_sets import Ints, Values
from .split_geometry import matrices


class Pieces(NamedTuple):
    """What an instruction touches in GM, from its address: `bursts` times `length` bytes every `pitch`
    bytes, and all that `sheets` times every `sheet_pitch` bytes."""

    offset: int
    bursts: int
    length: int
    pitch: int
    sheets: int = 1
    sheet_pitch: int = 0

    @property
    def span(self) -> int:
        if not self.bursts:
            return 0
        return (self.sheets - 1) * self.sheet_pitch + (self.bursts - 1) * self.pitch + self.length

    def starts(self) -> list[int]:
        """Distance of each burst from the first, in the order in which bytes are moved."""
        return [
            sheet * self.sheet_pitch + burst * self.pitch
            for sheet in range(self.sheets)
            for burst in range(self.bursts)
        ]


class GmAccess(NamedTuple):
    """One executed access: record number, absolute start, its pieces, and how."""

    record: int
    start: int
    pieces: Pieces
    write: bool
    atomic: int = 0

    @property
    def end(self) -> int:
        return self.start + self.pieces.span


class Meeting(NamedTuple):
    """Two blocks and the bytes of GM where they meet; `rule` says how."""

    rule: str
    low: int
    high: int
    first_block: int
    second_block: int


_SPLIT = frozenset(("nd2nz", "align", "fixpipe"))


def _split_pieces(row: Instruction, dtype: str, v: Values) -> Pieces:
    """The pieces of what only split chips have."""
    if row.family == "nd2nz":
        size = type_size(dtype)
        if 0 in (v["nd_num"], v["n_value"], v["d_value"]):
            return Pieces(0, 0, 0, 0)
        pitch, sheet = v["src_d"] * size, v["src_nd_stride"] * size
        return Pieces(0, v["n_value"], v["d_value"] * size, pitch, v["nd_num"], sheet)
    if row.family == "align":
        gap = v["src_gap"] if row.pipe == "MTE2" else v["dst_gap"]
        if not v["bursts"] or not v["length"]:
            return Pieces(0, 0, 0, 0)
        return Pieces(0, v["bursts"], v["length"], v["length"] + gap)
    m, n, number = v["m"], v["n"], matrices(v)
    if 0 in (m, n, number):
        return Pieces(0, 0, 0, 0)
    size = type_size(operand_types(row, dtype)[0])
    if v["nz2nd"]:
        return Pieces(0, m, n * size, v["dst_stride"] * size, number, v.get("dst_nd_stride", 0) * size)
    c0 = result_c0(size, v["split"])
    return Pieces(0, n // c0, m * c0 * size, v["dst_stride"] * BLOCK)


def gm_pieces(row: Instruction, dtype: str, values: Values) -> Pieces:
    """The pieces of a DMA, fractal load or scalar access."""
    if row.family == "scalar":
        return Pieces(0, 1, values["bytes"], values["bytes"])
    if row.family == "load":
        repeat, stride, base = values["repeat"], values["src_stride"] * FRACTAL, values["base"] * FRACTAL
        start = base - (repeat - 1) * stride if values["decrement"] else base
        return (
            Pieces(start, repeat, FRACTAL, stride)
            if stride
            else Pieces(start, min(1, repeat), FRACTAL, FRACTAL)
        )
    if row.family in _SPLIT:
        return _split_pieces(row, dtype, values)
    gap = values["dst_gap" if row.pipe == "MTE3" else "src_gap"]
    length, bursts = values["length"] * BLOCK, values["bursts"]
    if length == 0 or bursts == 0:
        return Pieces(0, 0, 0, 0)
    if gap == 0:
        return Pieces(0, 1, bursts * length, bursts * length)
    return Pieces(0, bursts, length, length + gap * BLOCK)


def intervals(accesses: Sequence[GmAccess]) -> Ints:
    """All bursts as merged, sorted, disjoint (n, 2) intervals."""
    if not accesses:
        return np.zeros((0, 2), np.int64)
    table = np.array(
        [
            (a.start + sheet * a.pieces.sheet_pitch, a.pieces.bursts, a.pieces.length, a.pieces.pitch)
            for a in accesses
            for sheet in range(a.pieces.sheets)
        ],
        np.int64,
    )
    start, bursts, length, pitch = table[table[:, 1] > 0].T
    total = int(bursts.sum())
    place = np.arange(total) - np.repeat(np.cumsum(bursts) - bursts, bursts)
    low = np.repeat(start, bursts) + place * np.repeat(pitch, bursts)
    return merge(np.stack([low, low + np.repeat(length, bursts)], axis=1))


def merge(spans: Ints) -> Ints:
    """Sorted union of intervals; touching ones become one."""
    if len(spans) < 2:
        return spans
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.flatnonzero(np.concatenate(([True], spans[1:, 0] > reach[:-1])))
    last = np.concatenate((first[1:] - 1, [len(spans) - 1]))
    return np.stack([spans[first, 0], reach[last]], axis=1)


def touch(a: GmAccess, b: GmAccess) -> tuple[int, int] | None:
    """First common interval of two accesses."""
    if max(a.start, b.start) >= min(a.end, b.end):
        return None
    return common(intervals([a]), intervals([b]))


def common(a: Ints, b: Ints) -> tuple[int, int] | None:
    """First common bytes of two sorted disjoint lists."""
    if not len(a) or not len(b):
        return None
    at = np.searchsorted(b[:, 1], a[:, 0], side="right")  # first of b that ends behind the start of a
    inside = np.minimum(at, len(b) - 1)
    hit = np.flatnonzero((at < len(b)) & (b[inside, 0] < a[:, 1]))
    if not hit.size:
        return None
    i = int(hit[0])
    j = int(at[i])
    return int(max(a[i, 0], b[j, 0])), int(min(a[i, 1], b[j, 1]))


def cross_block(blocks: Sequence[Sequence[GmAccess]]) -> list[Meeting]:
    """Where blocks of one task meet: write with write, write with read.  Atomic additions may meet each
    other."""
    plain = [intervals([a for a in block if a.write and not a.atomic]) for block in blocks]
    atomic = [intervals([a for a in block if a.write and a.atomic]) for block in blocks]
    reads = [intervals([a for a in block if not a.write]) for block in blocks]
    meetings = _meet("write-write", plain, plain)
    meetings += _meet("write-write", plain, atomic)
    meetings += _meet("read-write", reads, plain)
    return meetings + _meet("read-write", reads, atomic)


def _meet(rule: str, first: Sequence[Ints], second: Sequence[Ints]) -> list[Meeting]:
    """Overlaps of intervals of different blocks, one per pair of blocks at most."""
    spans = np.concatenate(second) if second else np.zeros((0, 2), np.int64)
    if not len(spans):
        return []
    owners = np.repeat(np.arange(len(second)), [len(part) for part in second])
    order = np.argsort(spans[:, 0], kind="stable")
    spans, owners = spans[order], owners[order]
    reach = np.maximum.accumulate(spans[:, 1])
    found: dict[tuple[int, int], Meeting] = {}
    for block, part in enumerate(first):
        if not len(part):
            continue
        # candidates of interval i: spans that start before its end and whose running reach is behind its
        # start
        last = np.searchsorted(spans[:, 0], part[:, 1], side="left")
        start = np.searchsorted(reach, part[:, 0], side="right")
        for i in np.flatnonzero(start < last).tolist():
            for j in range(int(start[i]), int(last[i])):
                other = int(owners[j])
                low, high = int(max(part[i, 0], spans[j, 0])), int(min(part[i, 1], spans[j, 1]))
                if other == block or low >= high or (block, other) in found or (other, block) in found:
                    continue
                found[block, other] = Meeting(rule, low, high, block, other)
    return list(found.values())


def gaps(blocks: Sequence[Sequence[GmAccess]], low: int, high: int) -> tuple[int, int] | None:
    """First bytes of [low, high) that no block writes."""
    written = merge(
        np.concatenate(
            [intervals([a for a in block if a.write]) for block in blocks] or [np.zeros((0, 2), np.int64)]
        )
    )
    at = low
    for start, end in written.tolist():
        if end <= at:
            continue
        if start > at or at >= high:
            break
        at = end
    if at >= high:
        return None
    behind = written[:, 0][written[:, 0] > at]
    return at, int(min(high, behind[0])) if behind.size else high
