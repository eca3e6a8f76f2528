"""The timeline of the page as compact JSON: what every pipe of every core did, task after task.

A model executes hundreds of thousands of instructions, a page should stay a few megabytes. So the whole report has
a budget of segments, which tracks share by what they need; a track that has more merges its nearest neighbours. A
segment of one instruction is exact. A merged one keeps its first and last cycle, how much of that the pipe was
busy, how many instructions it stands for and the one with the most cycles in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from ..isa.disassembler import instruction_text
from ..isa.model import PIPES
from ..sim.detail import TaskDetail
from ..sim.report import Report, TaskReport
from ..sim.segments import Segment, Tracks, merged
from ..sim.trace import core_name

Json: TypeAlias = dict[str, Any]

SEGMENTS: Final = 120_000
"""Segments on the whole page, about 10 bytes each."""

LEAST: Final = 4
"""Segments that every track may have, however many tasks there are."""

STEPS: Final = 48
"""Points of a memory curve in one task."""


def timeline_data(report: Report) -> Json:
    """All tasks in order; see `_task` for one.  `exact` says whether nothing was merged."""
    wanted = sum(len(segments) for task in report.tasks for segments in _tracks(task).values())
    share = min(1.0, SEGMENTS / wanted) if wanted else 1.0
    kernels: dict[tuple[str, ...], int] = {}
    tasks: list[Json] = []
    start = 0
    for task in report.tasks:
        tasks.append(_task(report, task, start, share, kernels))
        start += task.cycles
    cores = sorted({core for task in report.tasks for core, _ in _tracks(task)})
    kinds = {b.core: b.kind for task in report.tasks if task.timing is not None for b in task.timing.blocks}
    return {
        "clock": report.soc.clock_mhz,
        "cycles": report.cycles,
        "pipes": list(PIPES),
        "cores": cores,
        "names": {str(core): core_name(report.soc, core, kinds[core]) for core in cores},
        "sizes": {space: buffer.size for space, buffer in report.soc.memories.items()},
        "exact": share == 1.0
        and not any(
            segment.times > 1
            for task in report.tasks
            for (_, pipe), row in _tracks(task).items()
            if PIPES[pipe] != "S"
            for segment in row
        ),
        "kernels": [list(texts) for texts in kernels],
        "tasks": tasks,
    }


def _tracks(task: TaskReport) -> Tracks:
    return task.detail.tracks if task.detail is not None else {}


def _task(
    report: Report, task: TaskReport, start: int, share: float, kernels: dict[tuple[str, ...], int]
) -> Json:
    """`tracks`: "core.pipe" → segments as numbers, gap to the last end, length, instruction; a merged one has
    minus its length, and behind it its busy cycles and how many instructions it stands for."""
    bound, ratio = task.bound(report.soc)
    data: Json = {
        "name": task.name,
        "type": task.op_type,
        "start": start,
        "cycles": task.cycles,
        "bound": bound,
        "ratio": round(ratio, 3),
    }
    if task.detail is None:
        return data
    segments = {track: merged(row, max(LEAST, int(len(row) * share))) for track, row in _tracks(task).items()}
    used = sorted({segment.record for row in segments.values() for segment in row})
    row_of = {record: number for number, record in enumerate(used)}
    names, nodes = _texts(task, task.detail, used)
    data["kernel"] = kernels.setdefault(names, len(kernels))
    data["nodes"] = [list(part) for part in dict.fromkeys(nodes)]
    data["of"] = [data["nodes"].index(list(part)) for part in nodes]
    data["tracks"] = {f"{core}.{pipe}": _numbers(row, row_of) for (core, pipe), row in segments.items()}
    if task.timing is not None:
        data["live"] = {}
        for occupancy in task.detail.occupancies:
            block = task.timing.blocks[occupancy.block]
            place = [occupancy.block, block.core, block.start, block.end]
            for space, curve in occupancy.curves.items():
                data["live"][space] = [place, curve.sampled(block.start, block.end, STEPS)]
    return data


def _texts(
    task: TaskReport, detail: TaskDetail, used: Sequence[int]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Address and text of each used record, and the source nodes it stands for."""
    records = {cost.number: cost.record for cost in detail.instructions}
    texts: list[str] = []
    nodes: list[tuple[str, ...]] = []
    for number in used:
        record = records[number]
        texts.append(f"{record.address:04x} {' '.join(instruction_text(record).split())}")
        nodes.append(body_nodes(task, record.body_op))
    return tuple(texts), nodes


def body_nodes(task: TaskReport, body_op: int | None) -> tuple[str, ...]:
    """Source nodes of an op of the kernel's body."""
    return task.body[body_op] if body_op is not None and body_op < len(task.body) else ()


def _numbers(row: Sequence[Segment], place: dict[int, int]) -> list[int]:
    numbers: list[int] = []
    last = 0
    for start, end, busy, times, record in row:
        numbers += [start - last, end - start if times == 1 else start - end, place[record]]
        if times > 1:
            numbers += [busy, times]
        last = end
    return numbers
