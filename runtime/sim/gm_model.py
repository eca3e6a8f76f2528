"""Global memory as the timing model sees it: one L2 by 512-byte lines and one DDR server for the whole chip.

The first touch of a line pays the DDR server, whose rate is the table's per-core share times the number of
cores; later touches pay only the core's own L2 rate (decision D23).  Reads and writes count alike: a line
that is written comes to L2 as well.  Lines leave L2 in the order of their last touch, in steps of a quarter
of its size: a line is stamped with a generation, a generation ends after a quarter of the capacity has been
filled anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..soc import Soc
from .costs import Transfer

_SEGMENT_BITS = 24  # 16 MB of address space per stamp array: sparse, whatever the device addresses are
_LINE_BITS = 9
_SEGMENT_SHIFT = _SEGMENT_BITS - _LINE_BITS
_SEGMENT_LINES = 1 << _SEGMENT_SHIFT
_GENERATIONS = 4
_LAST_GENERATION = 250
_LOOP_BURSTS = 24  # more bursts than this are handled with numpy
_WINDOW = 64  # cycles per bandwidth window of the server


@dataclass
class L2State:
    """Which lines are in L2; lives from task to task.  `warm` = everything is there (single-instruction
    cases)."""

    capacity_lines: int
    warm: bool = False
    segments: dict[int, bytearray] = field(default_factory=dict[int, bytearray])
    generation: int = 1
    filled: int = 0
    stamps: bytes = b"\1" * _SEGMENT_LINES  # a row of the current generation, to copy from

    def touch(self, start: int, length: int) -> int:
        """Touch the bytes [start, start+length); how many of their lines were missing."""
        if self.warm:
            return 0
        missing, first, last = 0, start >> _LINE_BITS, (start + length - 1) >> _LINE_BITS
        while first <= last:
            number = first >> _SEGMENT_SHIFT
            segment = self.segments.get(number)
            if segment is None:
                segment = self.segments[number] = bytearray(_SEGMENT_LINES)
            low = first & _SEGMENT_LINES - 1
            high = min(_SEGMENT_LINES, low + last - first + 1)
            missing += segment.count(0, low, high)
            segment[low:high] = self.stamps[: high - low]
            first += high - low
        if missing:
            self._fill(missing)
        return missing

    def touch_bursts(self, start: int, bursts: int, length: int, pitch: int) -> int:
        """The same for `bursts` pieces of `length` bytes every `pitch` bytes."""
        if bursts == 1 or pitch - length < 1 << _LINE_BITS:  # such a gap holds no whole line
            return self.touch(start, (bursts - 1) * pitch + length)
        if self.warm:
            return 0
        if bursts <= _LOOP_BURSTS:
            return self._touch_few(start, bursts, length, pitch)
        first = (start + np.arange(bursts, dtype=np.int64) * pitch) >> _LINE_BITS
        last = (start + np.arange(bursts, dtype=np.int64) * pitch + length - 1) >> _LINE_BITS
        reach = np.arange(int((last - first).max()) + 1)
        lines = _distinct(np.minimum(first[:, None] + reach, last[:, None]).ravel())
        missing = 0
        for number in _distinct(lines // _SEGMENT_LINES).tolist():
            segment = self.segments.setdefault(number, bytearray(_SEGMENT_LINES))
            stamps = np.frombuffer(segment, np.uint8)
            inside = lines[lines // _SEGMENT_LINES == number] % _SEGMENT_LINES
            missing += int(np.count_nonzero(stamps[inside] == 0))
            stamps[inside] = self.generation
        if missing:
            self._fill(missing)
        return missing

    def _touch_few(self, start: int, bursts: int, length: int, pitch: int) -> int:
        """`touch` of one piece after the other, written out: most of the time of a timing run is spent here."""
        segments, stamps, total = self.segments, self.stamps, 0
        for at in range(start, start + bursts * pitch, pitch):
            first = at >> _LINE_BITS
            count = (at + length - 1 >> _LINE_BITS) - first + 1
            low = first & _SEGMENT_LINES - 1
            segment = segments.get(first >> _SEGMENT_SHIFT)
            if segment is None or low + count > _SEGMENT_LINES:
                total += self.touch(at, length)
                stamps = self.stamps
                continue
            if count == 1:
                missing = segment[low] == 0
                segment[low] = self.generation
            else:
                missing = segment.count(0, low, low + count)
                segment[low : low + count] = stamps[:count]
            if missing:
                total += missing
                self._fill(missing)
                stamps = self.stamps
        return total

    def _fill(self, lines: int) -> None:
        self.filled += lines
        step = max(1, self.capacity_lines // _GENERATIONS)
        while self.filled >= step:
            self.filled -= step
            self._age()

    def _age(self) -> None:
        """Start a generation; drop the one that is now older than the capacity."""
        self.generation += 1
        oldest = self.generation - _GENERATIONS
        shift = oldest - 1 if self.generation >= _LAST_GENERATION else 0
        for segment in self.segments.values():
            stamps = np.frombuffer(segment, np.uint8)
            stamps[stamps < oldest] = 0
            if shift > 0:
                stamps[stamps > 0] -= np.uint8(shift)
        self.generation -= max(0, shift)
        self.stamps = bytes((self.generation,)) * _SEGMENT_LINES


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted, without repeats.  (np.unique would import numpy.ma: 30 ms.)"""
    ordered = np.sort(values)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]


def cold_l2(soc: Soc) -> L2State:
    """An empty L2 of the chip."""
    return L2State(soc.l2_bytes >> _LINE_BITS)


class Server:
    """The DDR server: so many bytes per window of time, first come first served.

    Windows instead of one `free at` time: blocks reach it in program order, and a store that is queued for
    later must not hold up a load that the same core issues earlier.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._room = rate * _WINDOW
        self._used: list[float] = []
        self._open = 0  # all windows before this one are full

    def take(self, start: int, amount: float) -> int:
        """Cycle at which `amount` bytes asked for at `start` have passed."""
        window = max(start // _WINDOW, self._open)
        used, room = self._used, self._room
        left = amount
        while True:
            if window >= len(used):
                used.extend([0.0] * (window + 64 - len(used)))
            free = room - used[window]
            if left <= free:
                break
            left -= free
            used[window] = room
            if window == self._open:
                self._open += 1
            window += 1
        used[window] += left
        filled = window * _WINDOW + used[window] * _WINDOW / room
        return int(max(filled, start + amount / self.rate)) + 1


class GmModel:
    """What the blocks of one task share: L2, the DDR server and the counters."""

    def __init__(self, soc: Soc, l2: L2State) -> None:
        table: dict[str, Any] = soc.timing["gm"]
        self.l2 = l2
        self._server = Server(table["ddr_read_rate"] * soc.cores)
        self._write_weight = table["ddr_read_rate"] / table["ddr_write_rate"]
        self._line = table["line_bytes"]
        self._miss = table["miss_cycles"]
        self._read_latency = table["read_latency"] + table["fixed_cycles"]
        self._write_latency = table["write_latency"] + table["fixed_cycles"]
        self.ddr_read = self.ddr_write = self.l2_read = self.l2_write = 0

    def read(self, start: int, address: int, cost: Transfer) -> int:
        """End of a load whose front-end slots end at `start`; `cost` has at least one burst."""
        _, port, bursts, length, pitch, sheets, sheet_pitch = cost
        self.l2_read += sheets * bursts * length
        touch = self.l2.touch
        missing = (
            touch(address, length) if bursts == 1 else self.l2.touch_bursts(address, bursts, length, pitch)
        )
        for sheet in range(1, sheets):
            missing += self.l2.touch_bursts(address + sheet * sheet_pitch, bursts, length, pitch)
        if not missing:
            return start + self._read_latency + port
        self.ddr_read += missing * self._line
        delivered = self._server.take(start, missing * self._line)
        return max(delivered, start + port) + self._read_latency + self._miss

    def write(self, start: int, address: int, cost: Transfer) -> int:
        """The same for a store."""
        _, port, bursts, length, pitch, sheets, sheet_pitch = cost
        self.l2_write += sheets * bursts * length
        touch = self.l2.touch
        missing = (
            touch(address, length) if bursts == 1 else self.l2.touch_bursts(address, bursts, length, pitch)
        )
        for sheet in range(1, sheets):
            missing += self.l2.touch_bursts(address + sheet * sheet_pitch, bursts, length, pitch)
        if not missing:
            return start + self._write_latency + port
        self.ddr_write += missing * self._line
        delivered = self._server.take(start, missing * self._line * self._write_weight)
        return max(delivered, start + port) + self._write_latency + self._miss
