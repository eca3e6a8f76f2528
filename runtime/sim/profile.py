"""The per-operator summary, in the columns that Ascend profilers print (op_summary), as CSV and as a
table."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from typing import TYPE_CHECKING

from .report import Report, TaskReport

if TYPE_CHECKING:
    from rich.table import Table

_PIPE_COLUMNS = {"M": "mac", "V": "vec", "S": "scalar", "MTE1": "mte1", "MTE2": "mte2", "MTE3": "mte3"}

COLUMNS = (
    "Op Name", "OP Type", "Task Type", "Task Start Time(us)", "Task Duration(us)", "Block Dim",
    "aicore_time(us)", "total_cycles",
    *(f"{name}_{kind}" for name in _PIPE_COLUMNS.values() for kind in ("time(us)", "ratio")),
    "main_mem_read_bw(GB/s)", "main_mem_write_bw(GB/s)", "l2_read_bw(GB/s)", "l2_write_bw(GB/s)",
    "instructions", "bound", "roofline_ratio", "longest_wait", "unsourced timing", "Source Nodes", "Reason",
)  # fmt: skip


def rows(report: Report) -> Iterable[dict[str, str]]:
    """One row per task, values as text."""
    start = 0
    for task in report.tasks:
        yield _row(report, task, start)
        start += task.cycles


def _row(report: Report, task: TaskReport, start: int) -> dict[str, str]:
    soc = report.soc
    row = {
        "Op Name": task.name,
        "OP Type": task.op_type,
        "Task Type": task.task_type,
        "Task Start Time(us)": f"{soc.microseconds(start):.3f}",
        "Task Duration(us)": f"{soc.microseconds(task.cycles):.3f}",
        "Block Dim": str(task.blocks),
        "Source Nodes": " ".join(task.nodes),
        "Reason": task.reason,
    }
    timing = task.timing
    if timing is None:
        return row
    core_cycles = timing.cycles - timing.launch
    seconds = soc.microseconds(timing.cycles) * 1e-6
    row["aicore_time(us)"] = f"{soc.microseconds(core_cycles):.3f}"
    row["total_cycles"] = str(sum(block.end - block.start for block in timing.blocks))
    for pipe, name in _PIPE_COLUMNS.items():
        ratio = task.pipe_ratio(pipe)
        row[f"{name}_ratio"] = f"{ratio:.3f}"
        row[f"{name}_time(us)"] = f"{soc.microseconds(core_cycles) * ratio:.3f}"
    moved = {
        "main_mem_read": timing.ddr_read,
        "main_mem_write": timing.ddr_write,
        "l2_read": timing.l2_read,
        "l2_write": timing.l2_write,
    }
    row |= {f"{name}_bw(GB/s)": f"{amount / seconds / 1e9:.2f}" for name, amount in moved.items()}
    bound, ratio = task.bound(soc)
    waiting, on, cycles = task.longest_wait()
    row["instructions"] = str(timing.instructions)
    row["bound"] = bound
    row["roofline_ratio"] = f"{ratio:.3f}"
    row["longest_wait"] = f"{waiting} for {on}: {cycles}" if cycles else ""
    row["unsourced timing"] = " ".join(task.unsourced(soc))
    return row


def csv_text(report: Report) -> str:
    """The summary as CSV."""
    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(report))
    return out.getvalue()


def table(report: Report, count: int | None = None) -> Table:
    """The summary for a terminal: the `count` slowest tasks (all when None), what bounds them, and the
    total."""
    from rich.table import Table

    title = (
        f"{report.soc.name}: {report.latency_us:.1f} us, {report.cycles} cycles, {len(report.tasks)} tasks"
    )
    view = Table(title=title)
    for name, justify in (
        ("op", "left"),
        ("type", "left"),
        ("us", "right"),
        ("share", "right"),
        ("cores", "right"),
    ):
        view.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    for name in ("cube", "vector", "MTE1", "MTE2", "MTE3", "scalar"):
        view.add_column(name, justify="right")
    view.add_column("bound")
    view.add_column("waits")
    for task in report.tasks if count is None else report.slowest(count):
        view.add_row(*_cells(report, task))
    return view


def _cells(report: Report, task: TaskReport) -> list[str]:
    soc = report.soc
    share = task.cycles / report.cycles if report.cycles else 0.0
    head = [task.name, task.op_type, f"{soc.microseconds(task.cycles):.1f}", f"{share:.0%}", str(task.blocks)]
    if task.timing is None:
        return [*head, *([""] * 6), task.task_type, task.reason]
    pipes = [f"{task.pipe_ratio(pipe):.0%}" for pipe in ("M", "V", "MTE1", "MTE2", "MTE3", "S")]
    bound, ratio = task.bound(soc)
    waiting, on, cycles = task.longest_wait()
    return [*head, *pipes, f"{bound} {ratio:.0%}", f"{waiting} for {on}" if cycles else ""]
