"""Chrome/Perfetto traces: one process per core, one track per pipe, flags as arrows, tasks apart.

Open the file with https://ui.perfetto.dev or chrome://tracing.  Times are microseconds of the simulated clock,
rounded to nanoseconds.

Instructions of one pipe overlap (the next one starts before the last one's result is there), but slices of one track
must not: a slice begins where its predecessor ends, so the slices of a track add up to the pipe's busy time. When an
instruction really started is in its arguments, in cycles. An arrow leads from each set_flag to the wait_flag that
took the flag. Scalar instructions are no slices: on its track the scalar unit has one per block, from the first
dispatch to the last, with the flags and barriers it ran or waited at inside. Counters show how full the memories of
one core are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias

from ..isa.disassembler import instruction_text
from ..isa.model import PIPES
from ..soc import Soc
from .occupancy import Occupancy
from .program import Program
from .timing import BlockTiming, TaskTiming

Json: TypeAlias = dict[str, Any]
_TASKS = "tasks"
_TASK_PROCESS = 10_000  # above any core number
_COUNTER_STEPS = 200  # points of one counter in one task


@dataclass(frozen=True)
class TracedTask:
    """A task to show: its program, its timing (`time_task(…, trace=True)`), its start, source names per body op,
    further arguments of its slice, and how full the memories were."""

    name: str
    program: Program
    timing: TaskTiming
    start: int = 0
    nodes: Mapping[int, Sequence[str]] | None = None
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    occupancies: Sequence[Occupancy] = ()


class _Clock:
    """Cycles → microseconds of the trace, in whole nanoseconds, so that neighbours meet exactly."""

    def __init__(self, soc: Soc) -> None:
        self._soc = soc

    def at(self, cycle: int) -> float:
        return round(self._soc.microseconds(cycle), 3)

    def slice(self, start: int, end: int) -> Json:
        """`ts` and `dur` of [start, end)."""
        return {"ts": self.at(start), "dur": round(self.at(end) - self.at(start), 3)}


def trace_events(soc: Soc, tasks: Iterable[TracedTask]) -> Iterator[Json]:
    """The events of the JSON format, one at a time; `tasks` may be made while they are written."""
    yield {"ph": "M", "name": "process_name", "pid": _TASK_PROCESS, "args": {"name": _TASKS}}
    clock = _Clock(soc)
    cores: set[int] = set()
    flow = 0
    for task in tasks:
        kinds = {block.core: block.kind for block in task.timing.blocks}
        for core in sorted(set(kinds) - cores):
            cores.add(core)
            yield from _names(soc, core, kinds[core])
        yield {
            "ph": "X", "pid": _TASK_PROCESS, "tid": 0, "name": task.name, "cat": "task",
            **clock.slice(task.start, task.start + task.timing.cycles),
            "args": {"cycles": task.timing.cycles, "blocks": len(task.timing.blocks), **task.args},
        }  # fmt: skip
        free: dict[tuple[int, int], int] = {}
        for number, block in enumerate(task.timing.blocks):
            yield from _block_events(clock, task, number, block, flow, free)
            flow += len(block.events)
        for occupancy in task.occupancies:
            yield from _counters(clock, task, occupancy)


def core_name(soc: Soc, core: int, kind: str) -> str:
    """What a core is called in views."""
    return f"{kind.upper()} core {core}" if soc.is_split else f"core {core}"


def _names(soc: Soc, core: int, kind: str) -> Iterator[Json]:
    yield {"ph": "M", "name": "process_name", "pid": core, "args": {"name": core_name(soc, core, kind)}}
    for number, pipe in enumerate(PIPES):
        if pipe not in ("S", *soc.core_types[kind].pipes):
            continue
        track = {"pid": core, "tid": number}
        yield {"ph": "M", "name": "thread_name", **track, "args": {"name": pipe}}
        yield {"ph": "M", "name": "thread_sort_index", **track, "args": {"sort_index": number}}


def _block_events(
    clock: _Clock,
    task: TracedTask,
    number: int,
    block: BlockTiming,
    flow: int,
    free: dict[tuple[int, int], int],
) -> Iterator[Json]:
    """`free`: (core, pipe) → where its last slice ended."""
    open_flags: dict[int, tuple[int, int, int]] = {}
    busy = block.busy.get("S", 0)
    yield {
        "ph": "X", "pid": block.core, "tid": PIPES.index("S"), "name": f"block {number}", "cat": "block",
        **clock.slice(task.start + block.start, task.start + block.dispatched),
        "args": {"instructions": block.counts.total(), "busy": busy, "cycles": block.dispatched - block.start},
    }  # fmt: skip
    texts: dict[int, Json] = {}
    for place, event in enumerate(block.events):
        track = (block.core, event.pipe)
        start = max(event.start, free.get(track, 0))
        end = free[track] = max(event.end, start)
        shown = texts.get(event.record)
        if shown is None:
            shown = texts[event.record] = _description(task, event.record, block.kind)
        cycles = event.end - event.start
        yield {
            "ph": "X", "pid": block.core, "tid": event.pipe, "name": shown["name"], "cat": shown["cat"],
            **clock.slice(task.start + start, task.start + end),
            "args": {**shown["args"], "block": number, "start": event.start, "cycles": cycles},
        }  # fmt: skip
        if event.flag < 0:
            continue
        # Inside the slices, not on their ends: Perfetto ties an arrow to the slice around its point of time.
        point = task.start + max(start, end - 1)
        known = open_flags.pop(event.flag, None)
        if known is None:
            open_flags[event.flag] = (point, event.pipe, flow + place)
            continue
        set_at, set_pipe, identity = known
        arrow = {"cat": "flag", "name": "flag", "id": identity, "pid": block.core}
        yield {**arrow, "ph": "s", "tid": set_pipe, "ts": clock.at(set_at)}
        yield {**arrow, "ph": "f", "bp": "e", "tid": event.pipe, "ts": clock.at(max(point, set_at))}


def _description(task: TracedTask, number: int, kind: str) -> Json:
    part = next(part for part in task.program.parts if part.core == kind)
    record = part.records[number]
    args: Json = {"address": f"{record.address:04x}", "instruction": instruction_text(record)}
    names = task.nodes.get(record.body_op) if task.nodes and record.body_op is not None else None
    if names:
        args["nodes"] = list(names)
    return {"name": record.mnemonic, "cat": record.row.family, "args": args}


def _counters(clock: _Clock, task: TracedTask, occupancy: Occupancy) -> Iterator[Json]:
    block = task.timing.blocks[occupancy.block]
    for space, curve in occupancy.curves.items():
        values = curve.sampled(block.start, block.end, _COUNTER_STEPS)
        step = max(1, block.end - block.start) / _COUNTER_STEPS
        last = -1
        for number, value in enumerate([*values, 0]):
            if value != last:
                at = clock.at(task.start + block.start + int(number * step))
                head = {"ph": "C", "pid": block.core, "name": f"{space} live bytes", "ts": at}
                yield {**head, "args": {"bytes": value}}
                last = value


def write_trace(file: IO[str], soc: Soc, tasks: Iterable[TracedTask]) -> None:
    """The whole file, event by event (a model has hundreds of thousands)."""
    file.write('{"displayTimeUnit": "ns", "traceEvents": [')
    for number, event in enumerate(trace_events(soc, tasks)):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(event))
    file.write("\n]}\n")
