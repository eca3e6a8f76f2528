"""Chrome/Perfetto traces: one process per core, one track per pipe, flags as arrows, tasks apart.

Open the file with https://ui.perfetto.dev or chrome://tracing.  Times are microseconds of the simulated
clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

from ..isa.disassembler import instruction_text
from ..isa.model import PIPES
from ..soc import Soc
from .program import Program
from .timing import BlockTiming, TaskTiming

Json: TypeAlias = dict[str, Any]
_TASKS = "tasks"
_TASK_PROCESS = 10_000  # above any core number


@dataclass(frozen=True)
class TracedTask:
    """A task to show: its program, its timing (`time_task(…, trace=True)`), its start, and source names per
    body op."""

    name: str
    program: Program
    timing: TaskTiming
    start: int = 0
    nodes: Mapping[int, Sequence[str]] | None = None


def trace_events(soc: Soc, tasks: Sequence[TracedTask]) -> Iterator[Json]:
    """The events of the JSON format, one at a time."""
    cores = sorted({block.core for task in tasks for block in task.timing.blocks})
    yield from _names(cores)
    flow = 0
    for task in tasks:
        yield {
            "ph": "X", "pid": _TASK_PROCESS, "tid": 0, "name": task.name, "cat": "task",
            "ts": soc.microseconds(task.start), "dur": soc.microseconds(task.timing.cycles),
            "args": {"cycles": task.timing.cycles, "blocks": len(task.timing.blocks)},
        }  # fmt: skip
        for number, block in enumerate(task.timing.blocks):
            yield from _block_events(soc, task, number, block, flow)
            flow += len(block.events)


def _names(cores: Sequence[int]) -> Iterator[Json]:
    yield {"ph": "M", "name": "process_name", "pid": _TASK_PROCESS, "args": {"name": _TASKS}}
    for core in cores:
        yield {"ph": "M", "name": "process_name", "pid": core, "args": {"name": f"core {core}"}}
        for number, pipe in enumerate(PIPES):
            yield {"ph": "M", "name": "thread_name", "pid": core, "tid": number, "args": {"name": pipe}}
            yield {
                "ph": "M",
                "name": "thread_sort_index",
                "pid": core,
                "tid": number,
                "args": {"sort_index": number},
            }


def _block_events(soc: Soc, task: TracedTask, number: int, block: BlockTiming, flow: int) -> Iterator[Json]:
    open_flags: dict[int, tuple[int, int, int]] = {}
    texts: dict[int, Json] = {}
    for place, event in enumerate(block.events):
        start, end = task.start + event.start, task.start + event.end
        shown = texts.get(event.record)
        if shown is None:
            shown = texts[event.record] = _description(task, event.record)
        yield {
            "ph": "X", "pid": block.core, "tid": event.pipe, "name": shown["name"], "cat": shown["cat"],
            "ts": soc.microseconds(start), "dur": soc.microseconds(end - start),
            "args": {**shown["args"], "block": number, "cycles": end - start},
        }  # fmt: skip
        if event.flag < 0:
            continue
        known = open_flags.pop(event.flag, None)
        if known is None:
            open_flags[event.flag] = (end, event.pipe, flow + place)
            continue
        set_at, set_pipe, identity = known
        arrow = {"cat": "flag", "name": "flag", "id": identity, "pid": block.core}
        yield {**arrow, "ph": "s", "tid": set_pipe, "ts": soc.microseconds(set_at)}
        yield {**arrow, "ph": "f", "bp": "e", "tid": event.pipe, "ts": soc.microseconds(end)}


def _description(task: TracedTask, number: int) -> Json:
    record = task.program.records[number]
    args: Json = {"address": f"{record.address:04x}", "instruction": instruction_text(record)}
    names = task.nodes.get(record.body_op) if task.nodes and record.body_op is not None else None
    if names:
        args["nodes"] = list(names)
    return {"name": record.mnemonic, "cat": record.row.family, "args": args}


def write_trace(file: IO[str], soc: Soc, tasks: Sequence[TracedTask]) -> None:
    """The whole file, event by event (a model has hundreds of thousands)."""
    file.write('{"displayTimeUnit": "ns", "traceEvents": [')
    for number, event in enumerate(trace_events(soc, tasks)):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(event))
    file.write("\n]}\n")
