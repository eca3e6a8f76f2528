"""Where the time of a loaded model goes: its tasks one after the other on the timing model, as report,
table or trace.

Time depends on the instructions and not on the data, so nothing is run for it. The L2 cache is cold before
the first task and passes from task to task. A trace keeps every event and is made anew when it is asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from .aicpu.cost import cycles
from .device_memory import device_memory
from .om.model import ATTR_NARROWED, ATTR_REASON, OmModel, OmTask
from .sim.detail import TaskDetail, task_detail
from .sim.device import Device
from .sim.gm_model import cold_l2
from .sim.program import Program, load_program
from .sim.report import Report, TaskReport
from .sim.segments import shortened
from .sim.timing import TaskTiming, time_task
from .sim.trace import TracedTask, write_trace
from .soc import Soc, load_soc

KEPT_SEGMENTS = 400_000
"""Busy times of pipes that a report keeps one by one, about 100 bytes each; further tasks share as many again."""


def report_of(device: Device, model: OmModel, *, detail: bool = False) -> Report:
    """Cycles of every task and what bounds it; with `detail` also what each instruction did."""
    report = Report(device.soc, model=model.name)
    kept = 0
    for task, timing in zip(
        model.tasks, _timings(device.soc, _programs(device), model, trace=detail), strict=True
    ):
        found = None
        if timing is not None and detail:
            found = task_detail(device.soc, device.kernels[task.kernel].program, timing)
            if kept > KEPT_SEGMENTS:
                found.tracks = shortened(found.tracks, max(1, KEPT_SEGMENTS // len(model.tasks)))
            kept += sum(len(segments) for segments in found.tracks.values())
            for block in timing.blocks:
                block.events.clear()  # a model has hundreds of thousands; what matters is in the detail
        report.tasks.append(_task_report(device.soc, model, task, timing, found))
    return report


def task_cycles(model: OmModel) -> tuple[int, ...]:
    """Cycles of each task of one inference, from the kernels alone: no memory is reserved, so weights may be of any size."""
    model.require_machine_code()
    soc = load_soc(model.soc)
    programs = {kernel.name: load_program(kernel.code) for kernel in model.kernels}
    found: list[int] = []
    for task, timing in zip(model.tasks, _timings(soc, programs, model, trace=False), strict=True):
        other = cycles(soc, task) if task.is_ai_cpu else 0
        found.append(other if timing is None else timing.cycles)
    return tuple(found)


def _programs(device: Device) -> dict[str, Program]:
    return {name: kernel.program for name, kernel in device.kernels.items()}


def _timings(
    soc: Soc, programs: Mapping[str, Program], model: OmModel, *, trace: bool
) -> Iterator[TaskTiming | None]:
    l2 = cold_l2(soc)
    for task in model.tasks:
        if task.is_ai_core:
            words = model.arg_words(task)
            yield time_task(soc, programs[task.kernel], words, task.block_dim, l2, trace=trace)
        else:
            yield None


def _task_report(
    soc: Soc, model: OmModel, task: OmTask, timing: TaskTiming | None, detail: TaskDetail | None
) -> TaskReport:
    node = model.graph[task.op_index] if model.graph else None
    return TaskReport(
        name=node.name if node is not None else task.kernel,
        op_type=node.type if node is not None else "Kernel",
        blocks=task.block_dim,
        timing=timing,
        task_type="AI_CPU" if task.is_ai_cpu else "MEMCPY" if task.is_copy else "AI_CORE",
        nodes=tuple(dict.fromkeys(name for names in task.sources for name in names)),
        reason=str(node.attrs.get(ATTR_REASON, "")) if node is not None else "",
        stream=task.stream,
        inputs=node.input_descs if node is not None else (),
        outputs=node.output_descs if node is not None else (),
        workspace=sum(node.workspace_bytes) if node is not None else 0,
        body=task.sources,
        detail=detail,
        other_cycles=cycles(soc, task) if task.is_ai_cpu else 0,
    )


def write_profile(report: Report, path: Path) -> None:
    """The table of operators as CSV."""
    from .sim.profile import csv_text

    path.write_text(csv_text(report), encoding="utf-8")


def write_page(report: Report, model: OmModel, path: Path, *, hazards_checked: bool) -> None:
    """The HTML page of a report with details."""
    from .page.render import page_text

    text = page_text(report, device_memory(model), _notes(report, model, hazards_checked))
    path.write_text(text, encoding="utf-8")


def _notes(report: Report, model: OmModel, hazards_checked: bool) -> list[str]:
    """What a reader of the figures should know about this run."""
    kernels = len({task.kernel for task in model.tasks if task.is_ai_core})
    notes = [
        f"Hazards: {kernels} kernels were checked, every order that their flags and barriers allow gives the same bytes."
        if hazards_checked
        else "Hazards: not checked in this run (atc run --sanitize does)."
    ]
    for task in report.tasks:
        if task.timing is None:
            time = (
                f"{report.soc.microseconds(task.cycles):.1f} µs"
                if task.cycles
                else "its time is not modelled"
            )
            reason = f": {task.reason}" if task.reason else ""
            notes.append(f"{task.task_type} task {task.name}, {time}{reason}")
    narrowed = model.attrs.get(ATTR_NARROWED, ())
    if isinstance(narrowed, tuple) and narrowed:
        notes.append(f"64-bit inputs of which the cores see 32 bits: {', '.join(map(str, narrowed))}")
    return notes


def write_model_trace(device: Device, model: OmModel, path: Path) -> None:
    """A trace of every instruction for https://ui.perfetto.dev."""
    with path.open("w", encoding="utf-8") as stream:
        write_trace(stream, device.soc, _traced(device, model))


def _traced(device: Device, model: OmModel) -> Iterator[TracedTask]:
    """Task after task: only one task's events are in memory at a time."""
    start = 0
    for task, timing in zip(
        model.tasks, _timings(device.soc, _programs(device), model, trace=True), strict=True
    ):
        if timing is None:
            start += cycles(device.soc, task) if task.is_ai_cpu else 0
            continue
        program = device.kernels[task.kernel].program
        report = _task_report(device.soc, model, task, timing, task_detail(device.soc, program, timing))
        bound, share = report.bound(device.soc)
        args = {"type": report.op_type, "bound": f"{bound} {share:.0%}", "nodes": list(report.nodes)}
        occupancies = report.detail.occupancies if report.detail is not None else ()
        sources = dict(enumerate(task.sources))
        yield TracedTask(report.name, program, timing, start, sources, args, occupancies)
        start += timing.cycles
