"""Where the time of a loaded model goes: its tasks one after the other on the timing model, as report,
table or trace.

Time depends on the instructions and not on the data, so nothing is run for it. The L2 cache is cold before
the first task and passes from task to task. A trace keeps every event and is made anew when it is asked
for.
"""

from __future__ import annotations

from pathlib import Path

from .om.model import OmModel, OmTask
from .sim.device import Device
from .sim.gm_model import cold_l2
from .sim.profile import csv_text
from .sim.report import Report, TaskReport
from .sim.timing import TaskTiming, time_task
from .sim.trace import TracedTask, write_trace

ATTR_REASON = "_ascend_mlir_aicpu_reason"
"""Attribute of a graph operator: why the AI CPU computes it."""


def report_of(device: Device, model: OmModel) -> Report:
    """Cycles of every task and what bounds it."""
    report = Report(device.soc)
    for task, timing in zip(model.tasks, _timings(device, model, trace=False), strict=True):
        report.tasks.append(_task_report(model, task, timing))
    return report


def _timings(device: Device, model: OmModel, *, trace: bool) -> list[TaskTiming | None]:
    l2 = cold_l2(device.soc)
    timings: list[TaskTiming | None] = []
    for task in model.tasks:
        if not task.is_ai_core:
            timings.append(None)
            continue
        program = device.kernels[task.kernel].program
        words = model.arg_words(task)
        timings.append(time_task(device.soc, program, words, task.block_dim, l2, trace=trace))
    return timings


def _task_report(model: OmModel, task: OmTask, timing: TaskTiming | None) -> TaskReport:
    node = model.graph[task.op_index] if model.graph else None
    return TaskReport(
        name=node.name if node is not None else task.kernel,
        op_type=node.type if node is not None else "Kernel",
        blocks=task.block_dim,
        timing=timing,
        task_type="AI_CPU" if task.is_ai_cpu else "MEMCPY" if task.is_copy else "AI_CORE",
        nodes=tuple(dict.fromkeys(name for names in task.sources for name in names)),
        reason=str(node.attrs.get(ATTR_REASON, "")) if node is not None else "",
    )


def write_profile(report: Report, path: Path) -> None:
    """The table of operators as CSV."""
    path.write_text(csv_text(report), encoding="utf-8")


def write_model_trace(device: Device, model: OmModel, path: Path) -> None:
    """A trace of every instruction for https://ui.perfetto.dev."""
    start = 0
    traced: list[TracedTask] = []
    for task, timing in zip(model.tasks, _timings(device, model, trace=True), strict=True):
        if timing is None:
            continue
        name = model.graph[task.op_index].name if model.graph else task.kernel
        program = device.kernels[task.kernel].program
        traced.append(TracedTask(name, program, timing, start, dict(enumerate(task.sources))))
        start += timing.cycles
    with path.open("w", encoding="utf-8") as stream:
        write_trace(stream, device.soc, traced)
