"""The hazard check of launches whose cores work together: mixed kernels, kernels with cross-core flags.

All streams run side by side, as `streams.run_together` lets them.  A cross-core set passes on what its pipe knows:
the clock of its own core and all it has learnt of others; the wait joins that into all pipes of its core, because it
stops the scalar unit.  Cores share device memory only, so what is left to ask is whether two streams touch common
bytes there, at least one of them writing, with neither knowing that the other's access is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AscendError
from ..isa.disassembler import instruction_text
from ..isa.model import PIPES
from ..soc import Soc
from .access import Access
from .assumed_loads import refused
from .fault import SimulatorFault
from .gm_conflicts import GmAccess, common, intervals, touch
from .gm_state import GmRange, GmState
from .hazards import BlockCheck, Clock, Hazard, Known, compile_check, join_known, merge, unwritten
from .streams import CrossFlags, Stream, Waiting, blocks_at_once, run_together, streams_of
from .translate import DEFAULT_FUEL

_WIDTH = len(PIPES)


class StreamCheck(BlockCheck):
    """What the generated function of one stream talks to."""

    def __init__(self, stream: Stream, flags: CrossFlags[Known], gm: GmState | None) -> None:
        super().__init__(stream.soc, stream.program, stream.block, gm)
        self.stream = stream
        self.flags = flags
        self.taken: Known = {}

    def cross_set(self, number: int, mode: int, flag: int, clock: tuple[Any, ...]) -> None:
        """A set of this stream: what its pipe knows goes along."""
        record = self.program.records[number]
        known = {**clock[_WIDTH], self.stream.number: clock[:_WIDTH]}
        self.flags.set(self.stream, record, mode, flag, known)

    def cross_wait(self, number: int, flag: int) -> Waiting | None:
        """None when the wait is over; `learn` then knows what came with the flag."""
        found = self.flags.take(self.stream.number, flag)
        if found is None:
            return Waiting(self.program.records[number], flag)
        self.taken = found
        return None

    def learn(self, clock: tuple[Any, ...]) -> tuple[Any, ...]:
        """A pipe's clock after the wait."""
        own = self.taken.get(self.stream.number)
        mine: Clock = clock[:_WIDTH] if own is None else merge(clock[:_WIDTH], own)
        return (*mine, join_known([clock[_WIDTH], self.taken]))

    def finish_results(self) -> None:
        """Results are looked at when all streams have ended."""


def check_streams(
    soc: Soc,
    program: Any,
    args: Sequence[int],
    blocks: int,
    gm_ranges: Sequence[GmRange] | None,
    *,
    loads: Sequence[Sequence[int]] | None = None,
) -> list[Hazard]:
    """All broken ordering rules of a launch whose streams run together."""
    streams = streams_of(soc, program, blocks)
    flags: CrossFlags[Known] = CrossFlags(streams, join_known)
    gm = None if gm_ranges is None else GmState(gm_ranges)
    checks = [StreamCheck(stream, flags, gm) for stream in streams]

    def start(stream: Stream) -> Iterator[Waiting]:
        check = checks[stream.number]
        kernels = compile_check(stream.soc, stream.program, together=True)
        values = refused("order") if loads is None else iter(loads[stream.number]).__next__
        run = kernels.check(args, stream.block, blocks, DEFAULT_FUEL, check, check.memory, values, stream.sub)
        if stream.program.yields:
            yield from run  # pyright: ignore[reportGeneralTypeIssues]: a generator exactly then

    hazards: list[Hazard] = []
    try:
        run_together(flags, start, blocks_at_once(soc, program))
    except SimulatorFault as fault:
        hazards.append(Hazard("cross-core flag", _at(fault), "", "", 0, 0, fault.block or 0, fault.rule))
    hazards += [hazard for check in checks for hazard in check.hazards.values()]
    if not hazards:
        hazards += _left(flags)
    hazards += _between_streams(checks)
    if gm is not None and checks:
        last = BlockCheck(checks[0].stream.soc, program, 0, gm)
        last.finish_results()
        hazards += last.hazards.values()
    written = [[entry[3] for entry in check.log] for check in checks]
    for result in gm_ranges or ():
        hazards += unwritten(written, result)
    return hazards


def _at(fault: SimulatorFault) -> str:
    if fault.record is None:
        raise AscendError("E43102", str(fault))
    return f"{fault.record.address:04x} {instruction_text(fault.record)} ({fault.core or 'every core'})"


def _left(flags: CrossFlags[Known]) -> Iterator[Hazard]:
    for stream, flag, count in flags.left():
        note = f"flag {flag} is set {count} times more than {stream} waits for it"
        yield Hazard("cross-core flag left set", str(stream), "", "", 0, 0, stream.block, note)
    for stream, flag in flags.halves():
        note = f"{stream} sets flag {flag}, other cores of its mode do not"
        yield Hazard("cross-core flag left set", str(stream), "", "", 0, 0, stream.block, note)


Entry = tuple[Access, int, tuple[Any, ...], GmAccess]


def _between_streams(checks: Sequence[StreamCheck]) -> Iterator[Hazard]:
    touched = [intervals([entry[3] for entry in check.log]) for check in checks]
    written = [intervals([entry[3] for entry in check.log if entry[3].write]) for check in checks]
    for first, second in combinations(range(len(checks)), 2):
        if (
            common(written[first], touched[second]) is not None
            or common(touched[first], written[second]) is not None
        ):
            yield from _unordered(checks[first], checks[second])


def _clocks(log: Sequence[Entry], other: int) -> NDArray[np.int64]:
    """(accesses, pipes): what each access knows to be complete of stream `other`."""
    nothing = (0,) * _WIDTH
    rows = [entry[2][_WIDTH].get(other, nothing) for entry in log]
    return np.array(rows, np.int64).reshape(-1, _WIDTH)


def _unordered(a: StreamCheck, b: StreamCheck) -> Iterator[Hazard]:
    """Accesses of two streams to common bytes that no flag orders."""
    low = np.array([entry[3].start for entry in a.log], np.int64)
    high = np.array([entry[3].end for entry in a.log], np.int64)
    pipe = np.array([entry[0].pipe for entry in a.log])
    number = np.array([entry[1] for entry in a.log])
    writes = np.array([entry[3].write for entry in a.log], np.bool_)
    atomic = np.array([entry[3].atomic for entry in a.log])
    a_knows = _clocks(a.log, b.stream.number)
    b_knows = _clocks(b.log, a.stream.number)
    seen: set[tuple[int, int]] = set()
    for place, (access, order, _, met) in enumerate(b.log):
        meets = (low < met.end) & (high > met.start) & (writes | met.write)
        if met.atomic:
            meets &= atomic == 0
        unknown = (number > b_knows[place][pipe]) & (order > a_knows[:, access.pipe])
        for other in np.flatnonzero(meets & unknown).tolist():
            pair = (a.log[other][0].number, access.number)
            common_bytes = None if pair in seen else touch(a.log[other][3], met)
            if common_bytes is None:
                continue
            seen.add(pair)
            rule = "write-write" if writes[other] and met.write else "read-write"
            note = f"{a.stream} and {b.stream}: no cross-core flag orders them"
            first, second = a.text(pair[0]), b.text(pair[1])
            yield Hazard(f"{rule} between cores", first, second, "gm", *common_bytes, a.block, note)
