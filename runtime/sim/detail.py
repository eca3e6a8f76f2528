"""What a task did, instruction by instruction: from the events of one traced run of the timing model.

Everything here is read off `TaskTiming.events` and the decoded kernel, so it costs nothing unless somebody asks
for it, and it needs nothing but the bytes of the `.om`:

* cycles, executions and waits of every instruction (`InstructionCost`);
* operations: multiply-accumulates of the cube and lane operations of the vector unit, as executed, by type;
* bytes read and written per on-chip memory, and the highest byte touched in each (`reach`);
* how full each memory is over time, for one block (`occupancy.py`);
* the times in which each pipe of each core was busy (`segments.py`), the scalar unit as one segment per block.

The cycles of an instruction are those by which it extended the busy time of its pipe: work that overlaps with
its predecessor's tail counts once, so the instructions of a pipe add up to the pipe's busy cycles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..isa.extents import BLOCK, lanes_of, operand_types
from ..isa.model import PIPES, SPACES
from ..isa.record import Decoded
from ..soc import Soc
from .access import Static, statics_of
from .byte_sets import Footprint, active_lanes
from .costs import costs_of
from .occupancy import Curve, Occupancy, Touch, occupancy
from .program import Program
from .segments import Segment, Tracks
from .timing import BlockTiming, Event, TaskTiming

_TWO_OPERATIONS = frozenset(("vmla", "vaxpy", "vmadd", "vmaddrelu"))  # a product and a sum per lane
_ARITHMETIC = frozenset(
    f"vector_{kind}" for kind in ("binary", "unary", "scalar", "conv", "select", "reduce", "compare")
)
"""Families whose lanes count as operations; filling, transposing, gathering and sorting move data."""


@dataclass
class InstructionCost:
    """All executions of one record of the kernel, in all blocks.

    `number` counts the records of all programs of a mixed kernel, `core` is the type of core that ran it.  `cycles` are
    those by which it extended its pipe's busy time, `waited` those a flag or barrier held its pipe.
    """

    number: int
    record: Decoded
    pipe: str  # flags and barriers count for the pipe that they hold
    core: str
    count: int = 0
    cycles: int = 0
    waited: int = 0


@dataclass
class TaskDetail:
    """See the module text.  `traffic` is bytes by (memory, "r" or "w"), `reach` bytes from the memory's start."""

    instructions: list[InstructionCost]
    macs: Counter[str] = field(default_factory=Counter[str])
    lanes: Counter[str] = field(default_factory=Counter[str])
    traffic: Counter[tuple[str, str]] = field(default_factory=Counter["tuple[str, str]"])
    reach: dict[str, int] = field(default_factory=dict[str, int])
    occupancies: list[Occupancy] = field(default_factory=list[Occupancy])
    """Of one block for each type of core that takes part."""
    tracks: Tracks = field(default_factory=dict[tuple[int, int], Sequence[Segment]])

    @property
    def operations(self) -> int:
        """Arithmetic operations: two per multiply-accumulate, one or two per lane of a vector instruction."""
        return 2 * self.macs.total() + self.lanes.total()

    def curve(self, space: str) -> Curve | None:
        """How full a memory was; None when it was not used."""
        found = (occupancy.curves.get(space) for occupancy in self.occupancies)
        return next((curve for curve in found if curve is not None), None)

    def busy_by_type(self, pipe: str) -> Counter[str]:
        """Cycles of `pipe` by data type of its instructions."""
        found: Counter[str] = Counter()
        for cost in self.instructions:
            if cost.pipe == pipe and cost.cycles:
                found[cost.record.dtype] += cost.cycles
        return found


class _Shape(NamedTuple):
    """An instruction with all operands but its addresses: what every execution of it has in common."""

    parts: tuple[
        tuple[int, str, bool, bool, Footprint], ...
    ]  # place of address, memory, keeps, writes, bytes
    macs: int
    lanes: int
    traffic: tuple[tuple[tuple[str, str], int], ...]


class _Reader:
    """Goes through the events of one program of a task; its records count from `first` on."""

    def __init__(self, soc: Soc, program: Program, first: int) -> None:
        self.first = first
        costs = costs_of(soc)
        self.flag, self.barrier = costs.flag, costs.barrier
        self.records = program.records
        self.statics = statics_of(program)
        self.costs = {
            n: InstructionCost(first + n, record, record.row.pipe, program.core)
            for n, record in enumerate(program.records)
        }
        self.shapes: dict[tuple[int, tuple[Any, ...]], _Shape] = {}
        self.times: Counter[tuple[int, tuple[Any, ...]]] = Counter()
        self.reach: dict[str, int] = {}
        self.tracks: dict[tuple[int, int], list[Segment]] = {}

    def block(self, block: BlockTiming) -> None:
        """Add what one block did."""
        done = [0] * len(PIPES)
        for event in block.events:
            static = self.statics.get(event.record)
            if static is None or event.flag >= 0:
                self._wait(event)
                continue
            self._work(block.core, event, done)
            count = len(static.chip)
            shape = self._shape(static, event.operands[count:])
            for place, space, _, _, footprint in shape.parts:
                top = event.operands[place] + footprint.high
                if top > self.reach.get(space, 0):
                    self.reach[space] = top

    def _wait(self, event: Event) -> None:
        cost = self.costs[event.record]
        cycles = event.end - event.start
        if cost.record.mnemonic == "set_flag":
            return
        if PIPES[event.pipe] != "S":
            cycles -= self.flag if cost.record.mnemonic == "wait_flag" else self.barrier
        cost.pipe = PIPES[event.pipe]
        cost.waited += cycles

    def _work(self, core: int, event: Event, done: list[int]) -> None:
        _, pipe, start, end, *_ = event
        start = max(start, done[pipe])
        if end <= start:
            return
        done[pipe] = end
        self.costs[event.record].cycles += end - start
        segment = Segment(start, end, end - start, 1, self.first + event.record)
        self.tracks.setdefault((core, pipe), []).append(segment)

    def _shape(self, static: Static, values: tuple[Any, ...]) -> _Shape:
        key = (static.number, values)
        self.times[key] += 1
        shape = self.shapes.get(key)
        if shape is None:
            shape = self.shapes[key] = _shape(static, values)
        return shape

    def touches(self, block: BlockTiming) -> list[Touch]:
        """The on-chip accesses of a block in program order."""
        found: list[Touch] = []
        for event in block.events:
            static = self.statics.get(event.record)
            if static is None or event.flag >= 0:
                continue
            shape = self.shapes[static.number, event.operands[len(static.chip) :]]
            for place, space, keeps, writes, footprint in shape.parts:
                found.append(
                    Touch(space, event.operands[place], footprint, keeps, writes, event.start, event.end)
                )
        return found


def _shape(static: Static, values: tuple[Any, ...]) -> _Shape:
    prints, named = static.shapes(values)
    record = static.record
    parts: list[tuple[int, str, bool, bool, Footprint]] = []
    traffic: Counter[tuple[str, str]] = Counter()
    for place, operand in enumerate(static.chip):
        address, footprint = record.row.addresses[operand], prints[operand]
        if not footprint.count:
            continue
        space = static.spaces[operand]
        starts_anew = record.row.family == "cube" and address.writes and bool(named.get("init", 1))
        keeps = (address.reads and not starts_anew) or footprint.bytes is not None
        parts.append((place, space, keeps, address.writes, footprint))
        amount = _bytes(footprint)
        if address.reads and not starts_anew:
            traffic[space, "r"] += amount
        if address.writes:
            traffic[space, "w"] += amount
    macs = named["m"] * named["k"] * named["n"] if record.row.family == "cube" else 0
    return _Shape(tuple(parts), macs, _lanes(record, named), tuple(traffic.items()))


def _bytes(footprint: Footprint) -> int:
    if footprint.solid:
        return footprint.count * BLOCK
    return int(np.count_nonzero(footprint.byte_mask))


def _lanes(record: Decoded, values: Mapping[str, int]) -> int:
    if record.row.family not in _ARITHMETIC or "repeat" not in values:
        return 0
    lanes = lanes_of(operand_types(record.row, record.dtype))
    active = int(np.count_nonzero(active_lanes(values, lanes)))
    return active * (2 if record.mnemonic in _TWO_OPERATIONS else 1)


def _scalar_segment(block: BlockTiming, costs: Sequence[InstructionCost]) -> Segment:
    """What the scalar unit did in a block, as one segment: it works between its waits, an instruction a cycle or
    two, and takes part in all of them."""
    own = [cost for cost in costs if cost.pipe == "S" and cost.cycles] or costs
    most = max(own, key=lambda cost: cost.cycles)
    times = block.counts.total()
    return Segment(block.start, block.dispatched, block.busy.get("S", 0), times, most.number)


def task_detail(soc: Soc, program: Program, timing: TaskTiming) -> TaskDetail:
    """The detail of a task that was timed with `trace=True`; of a mixed kernel that of all its cores."""
    detail = TaskDetail([])
    tracks: dict[tuple[int, int], list[Segment]] = {}
    first = 0
    for part in program.parts:
        _add_part(soc.seen_by(part.core), part, first, timing, detail, tracks)
        first += len(part.records)
    detail.reach = {space: detail.reach[space] for space in SPACES if space in detail.reach}
    detail.tracks = dict(sorted(tracks.items()))
    return detail


def _add_part(
    soc: Soc,
    program: Program,
    first: int,
    timing: TaskTiming,
    detail: TaskDetail,
    tracks: dict[tuple[int, int], list[Segment]],
) -> None:
    """Add what one program did, on the cores of its type."""
    reader = _Reader(soc, program, first)
    scalar_cycles = costs_of(soc).scalar
    blocks = {number: block for number, block in enumerate(timing.blocks) if block.kind == program.core}
    for block in blocks.values():
        reader.block(block)
        for number, count in block.executed.items():
            cost = reader.costs[number]
            cost.count += count
            row = cost.record.row
            # Other scalar instructions are no events; loads and stores of scalars are.
            if row.pipe == "S" and row.family in ("scalar", "state") and not row.addresses:
                cost.cycles += count * scalar_cycles(row)
    costs = [cost for cost in reader.costs.values() if cost.count]
    detail.instructions += costs
    for key, count in reader.times.items():
        shape, dtype = reader.shapes[key], reader.records[key[0]].dtype
        if shape.macs:
            detail.macs[dtype] += shape.macs * count
        if shape.lanes:
            detail.lanes[dtype] += shape.lanes * count
        for where, amount in shape.traffic:
            detail.traffic[where] += amount * count
    detail.reach |= reader.reach
    for block in blocks.values():
        reader.tracks.setdefault((block.core, PIPES.index("S")), []).append(_scalar_segment(block, costs))
    tracks |= reader.tracks
    if blocks:
        number = max(blocks, key=lambda n: len(blocks[n].events))
        sizes = {space: buffer.size for space, buffer in soc.core.buffers.items()}
        detail.occupancies.append(occupancy(number, sizes, reader.touches(timing.blocks[number])))
