"""Several instruction streams of one launch that run together: mixed kernels, and kernels that synchronise cores.

A launch of a split chip consists of *streams*: one program on one core.  A block of a mixed kernel has a stream on
the cube core and one on each of its vector cores; a block of any other kernel is one stream.  Streams that set and
wait for cross-core flags are Python generators: they yield where they wait for a flag that is not there.

`CrossFlags` are the counters (davinci.md §2.5), the same for every use: what a set passes on to the wait is nothing
when values are computed, a clock when hazards are looked for, a time when cycles are counted.  `run_together` is
the scheduler for the uses that have no time: round robin, each stream as far as it gets, so that the order is the
same on every machine.  It sets flags as early as the program allows, which is what shows a counter that overflows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, NoReturn, TypeVar

from ..errors import AscendError
from ..isa.record import Decoded
from ..isa.rows_cross import CROSS_MODES
from ..soc import Soc
from .fault import SimulatorFault
from .program import Program

T = TypeVar("T")

CUBE, VECTOR = "aic", "aiv"
_ALL, _VECTORS, _GROUP = range(len(CROSS_MODES))


@dataclass(frozen=True, eq=False)
class Stream:
    """One program on one core: its number in the launch, its block, its place among the block's vector cores."""

    number: int
    program: Program
    soc: Soc  # as the core sees it
    block: int
    sub: int = 0

    @property
    def core(self) -> str:
        return self.program.core

    @property
    def name(self) -> str:
        """How messages call the core inside its block; empty when there is only one."""
        if self.core == VECTOR:
            return f"vector core {self.sub}"
        return "cube core" if self.core == CUBE else ""

    def __str__(self) -> str:
        return f"block {self.block}{', ' + self.name if self.name else ''}"


def streams_of(soc: Soc, program: Program, blocks: int) -> list[Stream]:
    """The streams of a launch, block by block, the cube core of a block first."""
    partner = program.partner
    own = soc.seen_by(program.core)
    if partner is None:
        return [Stream(block, program, own, block) for block in range(blocks)]
    if program.vectors > soc.vectors_per_cube:
        raise AscendError(
            "E43007",
            f"the kernel uses {program.vectors} vector cores beside each cube core",
            expected=f"at most {soc.vectors_per_cube}, as {soc.name} has them",
        )
    other = soc.seen_by(partner.core)
    found: list[Stream] = []
    for block in range(blocks):
        found.append(Stream(len(found), program, own, block))
        for sub in range(program.vectors):
            found.append(Stream(len(found), partner, other, block, sub))
    return found


def blocks_at_once(soc: Soc, program: Program) -> int:
    """How many blocks of the kernel the chip runs side by side."""
    return soc.seen_by(program.core).cores


class Waiting(NamedTuple):
    """What a stream yields when it cannot go on: the instruction and the flag it waits for."""

    record: Decoded
    flag: int


@dataclass
class CrossFlags(Generic[T]):
    """The counters of one launch.  `join` makes one out of what several cores passed on."""

    streams: Sequence[Stream]
    join: Callable[[Sequence[T]], T]
    pending: dict[tuple[int, int, str], dict[int, deque[T]]] = field(
        default_factory=dict[tuple[int, int, str], dict[int, "deque[T]"]]
    )
    counters: dict[tuple[int, int], deque[T]] = field(default_factory=dict[tuple[int, int], "deque[T]"])
    woken: list[int] = field(default_factory=list[int])
    """Streams whose counters have gone up since the caller last emptied the list."""

    def __post_init__(self) -> None:
        self._of_type: dict[str, tuple[int, ...]] = {}
        self._of_block: dict[tuple[int, str], tuple[int, ...]] = {}
        for stream in self.streams:
            self._of_type[stream.core] = (*self._of_type.get(stream.core, ()), stream.number)
            key = (stream.block, stream.core)
            self._of_block[key] = (*self._of_block.get(key, ()), stream.number)

    def _parties(self, stream: Stream, record: Decoded, mode: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(streams that must set, streams that get one) for a set of `stream`."""
        if mode == _ALL:
            every = self._of_type[stream.core]
            return every, every
        cubes = self._of_block.get((stream.block, CUBE), ())
        vectors = self._of_block.get((stream.block, VECTOR), ())
        if not cubes or not vectors or (mode == _VECTORS and stream.core != VECTOR):
            who = "one kind of core" if not cubes or not vectors else "this program on a cube core"
            _fault(record, "mode", f"{CROSS_MODES[mode]}: a block of this kernel has {who}", stream)
        if mode == _VECTORS:
            return vectors, vectors
        return (cubes, vectors) if stream.core == CUBE else (vectors, cubes)

    def set(self, stream: Stream, record: Decoded, mode: int, flag: int, what: T) -> None:
        """A set of `stream`; when it is the last one that is needed, the counters of the targets go up."""
        sources, targets = self._parties(stream, record, mode)
        scope = stream.core if mode == _ALL else f"{stream.core} of {stream.block}"
        queues = self.pending.setdefault((mode, flag, scope), {})
        queues.setdefault(stream.number, deque()).append(what)
        limit = stream.soc.core.cross_core_count
        if len(queues[stream.number]) > limit:
            self._overflow(record, stream, flag, limit)
        while all(queues.get(source) for source in sources):
            joined = self.join([queues[source].popleft() for source in sources])
            for target in targets:
                counter = self.counters.setdefault((target, flag), deque())
                counter.append(joined)
                self.woken.append(target)
                if len(counter) > limit:
                    self._overflow(record, stream, flag, limit)

    def _overflow(self, record: Decoded, stream: Stream, flag: int, limit: int) -> NoReturn:
        rule = f"{flag} is set more than {limit} times before it is waited for: its counter holds no more"
        _fault(record, "flag", rule, stream)

    def ready(self, stream: int, flag: int) -> bool:
        """Whether a wait of `stream` for `flag` would go on."""
        return bool(self.counters.get((stream, flag)))

    def take(self, stream: int, flag: int) -> T | None:
        """What the earliest set that is not taken yet passed on; None when there is none."""
        counter = self.counters.get((stream, flag))
        return counter.popleft() if counter else None

    def left(self) -> Iterator[tuple[Stream, int, int]]:
        """(stream, flag, how often) of flags that no wait has consumed."""
        for (number, flag), counter in sorted(self.counters.items()):
            if counter:
                yield self.streams[number], flag, len(counter)

    def halves(self) -> Iterator[tuple[Stream, int]]:
        """(stream, flag) of sets that did not count because other cores of the mode have not set."""
        for (_, flag, _), queues in sorted(self.pending.items()):
            for number, queue in sorted(queues.items()):
                if queue:
                    yield self.streams[number], flag


def _fault(record: Decoded, operand: str, rule: str, stream: Stream) -> NoReturn:
    raise SimulatorFault(record, operand, rule).placed("", stream.block, stream.name)


def deadlock(
    flags: CrossFlags[T], waiting: Mapping[int, Waiting], started: int, blocks: int
) -> SimulatorFault:
    """The fault of a launch in which every stream that is left waits."""
    number, first = min(waiting.items())
    lines = [
        f"{flags.streams[n]} waits at {w.record.address:04x} for flag {w.flag}"
        for n, w in sorted(waiting.items())[:8]
    ]
    halves = [
        f"{stream} has set flag {flag}, other cores of its mode have not" for stream, flag in flags.halves()
    ]
    if started < blocks:
        halves.insert(
            0, f"blocks {started} to {blocks - 1} have not started: the chip runs {started} at once"
        )
    rule = "deadlock: nothing that still runs can set it; " + "; ".join([*lines, *halves[:4]])
    stream = flags.streams[number]
    return SimulatorFault(first.record, "flag", rule).placed("", stream.block, stream.name)


def run_together(flags: CrossFlags[T], start: Callable[[Stream], Iterator[Waiting]], at_once: int) -> None:
    """Run all streams of a launch, `at_once` blocks at a time, round robin."""
    by_block: dict[int, list[Stream]] = {}
    for stream in flags.streams:
        by_block.setdefault(stream.block, []).append(stream)
    queue = deque(sorted(by_block))
    started = 0
    open_streams: dict[int, int] = {}  # block → streams that still run
    runs: dict[int, Iterator[Waiting]] = {}
    waiting: dict[int, Waiting] = {}

    def begin() -> None:
        nonlocal started
        while queue and len(open_streams) < at_once:
            block = queue.popleft()
            started += 1
            open_streams[block] = len(by_block[block])
            for stream in by_block[block]:
                runs[stream.number] = start(stream)

    begin()
    while runs:
        moved = False
        for number in sorted(runs):
            held = waiting.get(number)
            if held is not None and not flags.ready(number, held.flag):
                continue
            moved = True
            try:
                waiting[number] = next(runs[number])
            except StopIteration:
                del runs[number]
                waiting.pop(number, None)
                block = flags.streams[number].block
                open_streams[block] -= 1
                if not open_streams[block]:
                    del open_streams[block]
        begin()
        if runs and not moved:
            raise deadlock(flags, waiting, started, len(by_block))
