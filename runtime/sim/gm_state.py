"""Definedness of global memory during a task, and the order of the GM accesses of one block."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .gm_conflicts import GmAccess, merge, touch

Bytes: TypeAlias = NDArray[np.uint8]
_SPARE = 64  # a store may run behind the end of its tensor (decision D8)
_UNWRITTEN, _DEFINED, _UNDEFINED = 0, 1, 2


@dataclass(frozen=True)
class GmRange:
    """Bytes [base, base+size) of GM: `defined` before the task?  `result`: must be written, and
    defined, by it."""

    base: int
    size: int
    defined: bool = True
    result: bool = False
    name: str = ""


class GmState:
    """What one block knows about GM: ranges that are defined, and bytes it wrote itself."""

    def __init__(self, ranges: Sequence[GmRange]) -> None:
        self._ranges = sorted(ranges, key=lambda item: item.base)
        self._bases = [item.base for item in self._ranges]
        self._bytes: dict[int, bytearray] = {}
        self._culprits: dict[int, int] = {}

    def _range(self, address: int) -> int:
        """Number of the range that starts at or before `address`, -1 when there is none."""
        return bisect_right(self._bases, address) - 1

    def _table(self, number: int) -> bytearray:
        table = self._bytes.get(number)
        if table is None:
            table = self._bytes[number] = bytearray(self._ranges[number].size + _SPARE)
        return table

    def read(self, access: GmAccess) -> Bytes | None:
        """Definedness of the bytes that are read, in order; None when all are defined."""
        number = self._range(access.start)
        here = self._ranges[number] if number >= 0 else None
        if (
            here is not None
            and here.defined
            and number not in self._bytes
            and access.end <= here.base + here.size
        ):
            return None
        pieces = access.pieces
        parts = [self._piece(access.start + start, pieces.length) for start in pieces.starts()]
        found = np.concatenate(parts)
        return None if found.all() else found

    def _piece(self, start: int, length: int) -> Bytes:
        result = np.zeros(length, np.uint8)
        number = self._range(start)
        if number < 0:
            return result
        here = self._ranges[number]
        known = max(0, min(length, here.base + here.size + _SPARE - start))
        offset = start - here.base
        if number in self._bytes:
            written = np.frombuffer(self._bytes[number], np.uint8)[offset : offset + known]
        else:
            written = np.zeros(known, np.uint8)
        result[:known] = written == _DEFINED
        if here.defined:
            inside = max(0, min(length, here.base + here.size - start))
            result[:inside] |= written[:inside] == _UNWRITTEN
        if known < length and number + 1 < len(self._ranges) and self._bases[number + 1] < start + length:
            cut = self._bases[number + 1] - start
            result[cut:] |= self._piece(start + cut, length - cut)
        return result

    def write(self, access: GmAccess, values: Bytes | None) -> None:
        """A store; `values` None = all bytes defined."""
        number = self._range(access.start)
        if number < 0:
            return
        here, pieces = self._ranges[number], access.pieces
        if here.defined and values is None:
            return
        table = np.frombuffer(self._table(number), np.uint8)
        offset = access.start - here.base
        marks = None if values is None else np.where(values != 0, _DEFINED, _UNDEFINED).astype(np.uint8)
        if marks is not None and offset < here.size:
            self._culprits[number] = access.record
        span = pieces.span
        if offset + span <= len(table) and pieces.pitch >= pieces.length and pieces.sheets == 1:
            view = np.ndarray((pieces.bursts, pieces.length), np.uint8, table.data, offset, (pieces.pitch, 1))
            view[...] = _DEFINED if marks is None else marks.reshape(pieces.bursts, pieces.length)
            return
        for i, start in enumerate(pieces.starts()):
            part = table[offset + start :][: pieces.length]
            cut = i * pieces.length
            part[...] = _DEFINED if marks is None else marks[cut : cut + len(part)]

    def undefined_results(self) -> Iterator[tuple[int, int, int]]:
        """(record, low, high) of results into which undefined bytes were stored and not overwritten."""
        for number, record in self._culprits.items():
            here = self._ranges[number]
            if not here.result:
                continue
            bad = np.flatnonzero(np.frombuffer(self._bytes[number], np.uint8)[: here.size] == _UNDEFINED)
            if bad.size:
                yield record, here.base + int(bad[0]), here.base + int(bad[-1]) + 1


def unordered(
    log: Sequence[tuple[int, int, tuple[int, ...], GmAccess]],
) -> Iterator[tuple[GmAccess, GmAccess, int, int, str]]:
    """Pairs of GM accesses of one block that touch common bytes in no guaranteed order.

    An entry is (pipe, number in its pipe, clock of the pipe at its start, access), in program order.
    """
    writes = [item for item in log if item[3].write]
    if not writes:
        return
    written = merge(np.array([(item[3].start, item[3].end) for item in writes], np.int64))
    low = np.array([item[3].start for item in log], np.int64)
    high = np.array([item[3].end for item in log], np.int64)
    at = np.searchsorted(written[:, 1], low, side="right")  # first written hull that ends behind the start
    hit = (at < len(written)) & (written[np.minimum(at, len(written) - 1), 0] < high)
    near = [log[i] for i in np.flatnonzero(hit).tolist()]
    low, high = low[hit], high[hit]
    pipe = np.array([item[0] for item in near])
    number = np.array([item[1] for item in near])
    stores = np.array([item[3].write for item in near])
    for j, (own_pipe, _, clock, access) in enumerate(near):
        meets = (low[:j] < access.end) & (high[:j] > access.start) & (stores[:j] | access.write)
        if not meets.any():
            continue
        unknown = number[:j] > np.array(clock)[pipe[:j]]
        free = (pipe[:j] == own_pipe) & ~stores[:j]  # WAR in one pipe
        for i in np.flatnonzero(meets & unknown & ~free).tolist():
            earlier = near[i][3]
            if own_pipe == 0 and near[i][0] == 0:
                continue  # the scalar unit runs one after the other
            if earlier.atomic and access.atomic:
                continue
            place = touch(earlier, access)
            if place is not None:
                rule = "WAR" if not earlier.write else "WAW" if access.write else "RAW"
                yield earlier, access, *place, rule
