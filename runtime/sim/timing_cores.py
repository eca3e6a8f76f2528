"""How many cycles a launch takes whose cores work together: mixed kernels, kernels with cross-core flags.

Each stream is the timing function of its program.  Streams advance by the time at which they next meet the others, at
a transfer or a cross-core flag; ties go to the lower number, so the figures are the same on every machine.  A stream
that waits for a flag which is not set leaves the queue; the set that completes the flag brings it back.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..soc import Soc
from .assumed_loads import refused
from .costs import costs_of
from .gm_model import GmModel, L2State, cold_l2
from .program import Program
from .streams import CUBE, CrossFlags, Stream, Waiting, blocks_at_once, deadlock, streams_of
from .timing import (
    BlockTiming,
    Event,
    TaskTiming,
    TimingKernel,
    block_timing,
    compile_timing,
)
from .translate import DEFAULT_FUEL


@dataclass
class _Port:
    """A stream's view of the flags: a set passes on the time at which it is seen."""

    flags: CrossFlags[int]
    stream: Stream
    waiting: Waiting | None = None

    def set(self, number: int, mode: int, flag: int, when: int) -> None:
        self.flags.set(self.stream, self.stream.program.records[number], mode, flag, when)

    def take(self, number: int, flag: int) -> int | None:
        found = self.flags.take(self.stream.number, flag)
        self.waiting = None if found is not None else Waiting(self.stream.program.records[number], flag)
        return found


@dataclass
class _Launch:
    """The streams of one launch on their way."""

    soc: Soc
    args: Sequence[int]
    blocks: int
    gm: GmModel
    flags: CrossFlags[int]
    kernels: dict[str, TimingKernel]
    loads: Sequence[Sequence[int]] | None
    heap: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    runs: dict[int, Iterator[int]] = field(default_factory=dict[int, "Iterator[int]"])
    ports: dict[int, _Port] = field(default_factory=dict[int, _Port])
    parked: dict[int, int] = field(default_factory=dict[int, int])
    events: dict[int, list[Event]] = field(default_factory=dict[int, list[Event]])
    places: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    results: dict[int, BlockTiming] = field(default_factory=dict[int, BlockTiming])

    def begin(self, stream: Stream, slot: int, now: int) -> None:
        """Start a stream on the cores of `slot`."""
        number = stream.number
        core = self.soc.first_core(stream.core) + slot
        if len(self.kernels) > 1 and stream.core != CUBE:  # those beside the block's cube core
            core += slot * (self.soc.vectors_per_cube - 1) + stream.sub
        self.places[number] = (core, now)
        self.ports[number] = _Port(self.flags, stream)
        self.events[number] = []
        load = iter(self.loads[number]).__next__ if self.loads is not None else refused("time")
        self.runs[number] = self.kernels[stream.core].run(
            self.args, stream.block, self.blocks, DEFAULT_FUEL, now, self.gm.read, self.gm.write, load,
            self.events[number].append, self.ports[number], stream.sub,
        )  # fmt: skip
        heapq.heappush(self.heap, (now, number))

    def step(self) -> int | None:
        """Advance the earliest stream; its number when it has ended."""
        now, number = heapq.heappop(self.heap)
        try:
            then = next(self.runs[number])
        except StopIteration as stop:
            core, start = self.places[number]
            stream = self.flags.streams[number]
            kernel = self.kernels[stream.core]
            events = self.events.pop(number)
            self.results[number] = block_timing(kernel, core, start, stop.value, events, stream.core)
            del self.runs[number]
            self.wake(now)
            return number
        if then < 0:
            self.parked[number] = now
        else:
            heapq.heappush(self.heap, (then, number))
        self.wake(now)
        return None

    def wake(self, now: int) -> None:
        """Streams whose flag has been set since go on."""
        for number in dict.fromkeys(self.flags.woken):
            waiting = self.ports[number].waiting if number in self.parked else None
            if waiting is not None and self.flags.ready(number, waiting.flag):
                heapq.heappush(self.heap, (max(now, self.parked.pop(number)), number))
        self.flags.woken.clear()

    def stuck(self) -> dict[int, Waiting]:
        """What the parked streams wait for."""
        found: dict[int, Waiting] = {}
        for number in self.parked:
            waiting = self.ports[number].waiting
            assert waiting is not None
            found[number] = waiting
        return found


def time_streams(
    soc: Soc,
    program: Program,
    args: Sequence[int],
    blocks: int,
    l2_state: L2State | None = None,
    *,
    loads: Sequence[Sequence[int]] | None = None,
    trace: bool = False,
) -> TaskTiming:
    """Time a launch whose streams run together; `BlockTiming`s are those of streams, block by block."""
    streams = streams_of(soc, program, blocks)
    launch = costs_of(soc).launch
    gm = GmModel(soc, cold_l2(soc) if l2_state is None else l2_state)
    kernels = {part.core: compile_timing(soc.seen_by(part.core), part, trace=trace) for part in program.parts}
    flags: CrossFlags[int] = CrossFlags(streams, max)
    state = _Launch(soc, args, blocks, gm, flags, kernels, loads)
    at_once = blocks_at_once(soc, program)
    queue = deque(range(min(blocks, at_once), blocks))
    width = len(streams) // blocks if blocks else 1
    open_streams = dict.fromkeys(range(blocks), width)
    slots = {block: block for block in range(min(blocks, at_once))}
    for block, slot in slots.items():
        for stream in streams[block * width : (block + 1) * width]:
            state.begin(stream, slot, launch)
    last = launch
    while state.runs:
        if not state.heap:
            raise deadlock(flags, state.stuck(), blocks - len(queue), blocks)
        ended = state.step()
        if ended is None:
            continue
        last = max(last, state.results[ended].end)
        block = streams[ended].block
        open_streams[block] -= 1
        if open_streams[block] == 0 and queue:
            following = queue.popleft()
            end = max(state.results[number].end for number in range(block * width, (block + 1) * width))
            slots[following] = slots[block]
            for stream in streams[following * width : (following + 1) * width]:
                state.begin(stream, slots[following], end)
    done = [state.results[number] for number in sorted(state.results)]
    return TaskTiming(last, launch, done, gm.ddr_read, gm.ddr_write, gm.l2_read, gm.l2_write)
