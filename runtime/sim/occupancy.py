"""How full the on-chip memories are while a block runs.

A piece of 32 bytes is *live* from the start of the instruction that writes it to the end of the last one that
reads it before it is written anew; what is written and never read is live while it is written. Accesses to the
same bytes come in the same order in the program as in time (that is what flags and barriers are for), so one
pass over the program is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.extents import BLOCK
from .byte_sets import Footprint

Ints: TypeAlias = NDArray[np.int64]


class Touch(NamedTuple):
    """One operand of one executed instruction.  `keeps`: the old contents still matter (it reads them, or
    writes only part of a piece)."""

    space: str
    at: int
    footprint: Footprint
    keeps: bool
    writes: bool
    start: int
    end: int


@dataclass(frozen=True)
class Curve:
    """Live bytes as steps: `live[i]` from `times[i]` on; `peak` is their maximum."""

    times: Ints
    live: Ints

    @property
    def peak(self) -> int:
        return int(self.live.max()) if self.live.size else 0

    def sampled(self, start: int, end: int, count: int) -> list[int]:
        """The greatest value in each of `count` equal parts of [start, end)."""
        edges: Ints = start + np.arange(count + 1, dtype=np.int64) * (end - start) // count
        first: list[int] = (np.searchsorted(self.times, edges[:-1], side="right") - 1).tolist()
        last: list[int] = np.searchsorted(self.times, edges[1:], side="left").tolist()
        return [
            int(self.live[max(low, 0) : high].max()) if max(low, 0) < high else 0
            for low, high in zip(first, map(max, last, (low + 1 for low in first)), strict=True)
        ]


@dataclass(frozen=True)
class Occupancy:
    """Live bytes per memory over the time of block `block`, from the launch of its task."""

    block: int
    curves: Mapping[str, Curve]


class _Memory:
    """Birth and last use of every 32-byte piece of one memory, and the lives that have ended."""

    def __init__(self, size: int) -> None:
        pieces = -(-size // BLOCK)
        self.born = np.full(pieces, -1, np.int64)
        self.last = np.full(pieces, -1, np.int64)
        self.ended: list[Ints] = []  # rows of (born, last, pieces)

    def touch(self, touch: Touch) -> None:
        first = touch.at // BLOCK + touch.footprint.first
        where: slice | Ints = slice(first, first + touch.footprint.count)
        if touch.footprint.blocks is not None:
            where = first + np.flatnonzero(touch.footprint.blocks)
        if not touch.keeps:
            self._end(self.born[where], self.last[where])
            self.born[where] = touch.start
            self.last[where] = touch.end
            return
        born = self.born[where]
        born[born < 0] = touch.start
        self.born[where] = born
        self.last[where] = np.maximum(self.last[where], touch.end)

    def _end(self, born: Ints, last: Ints) -> None:
        """Note the lives that end; neighbours of equal life are one row."""
        if not born.size:
            return
        change = np.flatnonzero((born[1:] != born[:-1]) | (last[1:] != last[:-1])) + 1
        edges = np.concatenate(([0], change, [born.size]))
        rows = np.stack([born[edges[:-1]], last[edges[:-1]], np.diff(edges)])
        self.ended.append(rows[:, rows[0] >= 0])

    def curve(self) -> Curve:
        """All lives as steps."""
        self._end(self.born, self.last)
        rows = np.concatenate(self.ended, axis=1) if self.ended else np.zeros((3, 0), np.int64)
        times = np.concatenate([rows[0], rows[1]])
        change = np.concatenate([rows[2], -rows[2]]) * BLOCK
        order = np.argsort(times, kind="stable")
        times, live = times[order], np.cumsum(change[order])
        final = np.flatnonzero(np.append(times[1:] != times[:-1], True)) if times.size else np.arange(0)
        return Curve(times[final], live[final])


def occupancy(block: int, sizes: Mapping[str, int], touches: Iterable[Touch]) -> Occupancy:
    """`touches` in program order; `sizes` are the bytes of each memory."""
    memories: dict[str, _Memory] = {}
    for touch in touches:
        memory = memories.get(touch.space)
        if memory is None:
            memory = memories[touch.space] = _Memory(sizes[touch.space])
        memory.touch(touch)
    return Occupancy(block, {space: memories[space].curve() for space in sorted(memories)})
