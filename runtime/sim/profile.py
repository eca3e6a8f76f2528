"""The per-operator summary, in the columns that Ascend profilers print (op_summary), as CSV and as a
table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from typing import TYPE_CHECKING, Final

from ..soc import Soc
from .detail import TaskDetail
from .report import Report, TaskReport
from .roofline import position_of, roofs_of
from .timing import TaskTiming

if TYPE_CHECKING:
    from rich.table import Table

PIPE_COLUMNS: Final = {
    "V": "vec",
    "M": "mac",
    "S": "scalar",
    "MTE1": "mte1",
    "MTE2": "mte2",
    "MTE3": "mte3",
}
"""Pipe → what the profiler's columns call it, in the profiler's order."""

_SPLIT_COLUMNS: Final = {
    "aic": {"M": "mac", "S": "scalar", "MTE1": "mte1", "MTE2": "mte2", "FIX": "fixpipe"},
    "aiv": {"V": "vec", "S": "scalar", "MTE2": "mte2", "MTE3": "mte3"},
}
"""The same for each core type of a split chip, whose columns start with the type."""

_ON_CHIP: Final = ("ub", "l1", "l0a", "l0b", "l0c")
_OF_SPLIT_CHIPS: Final = ("bt", "fb")
_MEMORIES: Final = {"l2": ("l2_read", "l2_write"), "main_mem": ("ddr_read", "ddr_write")}
_MAC_TYPES: Final = {"mac_fp16_ratio": ("f16",), "mac_int8_ratio": ("s8", "u8")}
_VECTOR_TYPES: Final = {"vec_fp32_ratio": "f32", "vec_fp16_ratio": "f16", "vec_int32_ratio": "s32"}
NOT_KNOWN: Final = "N/A"
"""What the profiler writes where a counter says nothing: here what the model has no idea of."""

_BEFORE: Final = (
    "Device_id", "Model Name", "Model ID", "Task ID", "Stream ID", "Infer ID", "Op Name", "OP Type", "OP State",
    "Task Type", "Task Start Time(us)", "Task Duration(us)", "Task Wait Time(us)", "Block Dim", "Mix Block Dim",
    "HF32 Eligible", "Input Shapes", "Input Data Types", "Input Formats", "Output Shapes", "Output Data Types",
    "Output Formats", "Context ID", "aicore_time(us)",
)  # fmt: skip
_COUPLED: Final = (
    "total_cycles", *(f"{name}_{kind}" for name in PIPE_COLUMNS.values() for kind in ("time(us)", "ratio")),
    "icache_miss_rate", "memory_bound",
)  # fmt: skip
_SPLIT: Final = tuple(
    name
    for core, pipes in _SPLIT_COLUMNS.items()
    for name in (
        *(("aiv_time(us)",) if core == "aiv" else ()),
        f"{core}_total_cycles",
        *(f"{core}_{pipe}_{kind}" for pipe in pipes.values() for kind in ("time(us)", "ratio")),
        f"{core}_icache_miss_rate",
    )
)
_AFTER: Final = (
    *_MAC_TYPES, *_VECTOR_TYPES, "vec_misc_ratio",
    *(f"{name}_{way}_bw(GB/s)" for name in (*_ON_CHIP[:2], *_MEMORIES, *_ON_CHIP[2:]) for way in ("read", "write")),
    "cube_utilization(%)",
)  # fmt: skip
OF_THE_PROFILER: Final = (*_BEFORE, *_COUPLED, *_AFTER)
"""Columns of op_summary (atc-cli.md §5.5): the task, PipeUtilization, ArithmeticUtilization, Memory, MemoryL0."""

OF_THE_SIMULATOR: Final = (
    "instructions", "operations", "intensity(op/DDR byte)", "achieved(Gop/s)", "attainable(Gop/s)", "roofline_ratio",
    "bound", "bound_ratio", *(f"{name}_high_water(bytes)" for name in _ON_CHIP), "workspace(bytes)", "longest_wait",
    "unsourced timing", "Source Nodes", "Reason",
)  # fmt: skip
"""What no profiler knows."""

COLUMNS: Final = (*OF_THE_PROFILER, *OF_THE_SIMULATOR)
SPLIT_COLUMNS: Final = (
    *_BEFORE, *_SPLIT, *_AFTER, *OF_THE_SIMULATOR, *(f"{name}_high_water(bytes)" for name in _OF_SPLIT_CHIPS)
)  # fmt: skip
"""The columns on chips with cube and vector cores: pipes by type of core, the fixpipe among them."""


def pipe_columns(soc: Soc) -> dict[str, str]:
    """Pipe → its name in views of a whole task: `PIPE_COLUMNS`, and the fixpipe where there is one."""
    more = {"FIX": "fixpipe"} if soc.cores_with("FIX") else {}
    return PIPE_COLUMNS | more


def rows(report: Report) -> Iterable[dict[str, str]]:
    """One row per task, values as text.

    Ratios are fractions of the time of the cores that worked; bandwidths are bytes over the task's duration. What
    needs a traced run (arithmetic by type, on-chip bandwidths, roofline, high-water marks) is N/A without one.
    """
    start = 0
    for number, task in enumerate(report.tasks):
        yield _task_columns(report, number, task, start) | _core_columns(report.soc, task)
        start += task.cycles


def _task_columns(report: Report, number: int, task: TaskReport, start: int) -> dict[str, str]:
    soc = report.soc
    row = {
        "Device_id": "0",
        "Model Name": report.model,
        "Task ID": str(number),
        "Stream ID": str(task.stream),
        "Op Name": task.name,
        "OP Type": task.op_type,
        "OP State": "static",
        "Task Type": _task_type(soc, task),
        "Task Start Time(us)": f"{soc.microseconds(start):.3f}",
        "Task Duration(us)": f"{soc.microseconds(task.cycles):.3f}",
        "Task Wait Time(us)": "0.000",  # the model starts a task when the last one ends
        "Block Dim": str(task.blocks),
        "Mix Block Dim": str(_mixed_with(task)),
        "HF32 Eligible": "NO",
        "workspace(bytes)": str(task.workspace),
        "Source Nodes": " ".join(task.nodes),
        "Reason": task.reason,
    }
    for way, tensors in (("Input", task.inputs), ("Output", task.outputs)):
        row[f"{way} Shapes"] = ";".join(",".join(map(str, tensor.storage_shape)) for tensor in tensors)
        row[f"{way} Data Types"] = ";".join(_TYPE_NAMES.get(tensor.dtype, tensor.dtype) for tensor in tensors)
        row[f"{way} Formats"] = ";".join(tensor.format for tensor in tensors)
    return row


def _task_type(soc: Soc, task: TaskReport) -> str:
    """AI_CORE and what else the file says; on split chips by the cores that worked."""
    if not soc.is_split or not task.kinds:
        return task.task_type
    return "MIX_AIC" if len(task.kinds) > 1 else {"aic": "AI_CORE", "aiv": "AI_VECTOR_CORE"}[min(task.kinds)]


def _mixed_with(task: TaskReport) -> int:
    """Vector cores' parts of a mixed launch."""
    if task.timing is None or len(task.kinds) < 2:
        return 0
    return sum(block.kind == "aiv" for block in task.timing.blocks)


_TYPE_NAMES: Final = {
    "f16": "FLOAT16", "f32": "FLOAT", "f64": "DOUBLE", "bf16": "DT_BF16", "bool": "BOOL",
    **{f"{kind}{bits}": f"{name}{bits}" for kind, name in (("i", "INT"), ("u", "UINT")) for bits in (8, 16, 32, 64)},
}  # fmt: skip


def _core_columns(soc: Soc, task: TaskReport) -> dict[str, str]:
    timing = task.timing
    if timing is None:
        return {}
    core_cycles = timing.cycles - timing.launch
    seconds = soc.microseconds(timing.cycles) * 1e-6
    if soc.is_split:
        row = {name: text for kind in task.kinds for name, text in _split_columns(soc, task, timing, kind)}
    else:
        row = {
            "aicore_time(us)": f"{soc.microseconds(core_cycles):.3f}",
            "total_cycles": str(sum(block.end - block.start for block in timing.blocks)),
        }
        row |= dict(_pipes(soc, task, core_cycles, PIPE_COLUMNS))
        computing = max(task.pipe_ratio("M"), task.pipe_ratio("V"))
        if computing:
            row["memory_bound"] = f"{task.pipe_ratio('MTE2') / computing:.3f}"
    for name, counters in _MEMORIES.items():
        for way, counter in zip(("read", "write"), counters, strict=True):
            row[f"{name}_{way}_bw(GB/s)"] = f"{getattr(timing, counter) / seconds / 1e9:.2f}"
    bound, ratio = task.bound(soc)
    waiting, on, cycles = task.longest_wait()
    row["instructions"] = str(timing.instructions)
    row["bound"] = bound
    row["bound_ratio"] = f"{ratio:.3f}"
    row["longest_wait"] = f"{waiting} for {on}: {cycles}" if cycles else ""
    row["unsourced timing"] = " ".join(task.unsourced(soc))
    if task.detail is not None:
        row |= _detail_columns(soc, task, timing, task.detail, seconds)
    return row


def _pipes(
    soc: Soc, task: TaskReport, cycles: int, columns: Mapping[str, str], kind: str = ""
) -> Iterator[tuple[str, str]]:
    """Time and ratio of each pipe, of cores of type `kind` when one is given."""
    prefix = f"{kind}_" if kind else ""
    for pipe, name in columns.items():
        ratio = task.pipe_ratio(pipe, kind)
        yield f"{prefix}{name}_ratio", f"{ratio:.3f}"
        yield f"{prefix}{name}_time(us)", f"{soc.microseconds(cycles) * ratio:.3f}"


def _split_columns(soc: Soc, task: TaskReport, timing: TaskTiming, kind: str) -> Iterator[tuple[str, str]]:
    """What the cores of type `kind` did.  Their time ends with their last block; ratios are of the task's, as everywhere."""
    blocks = [block for block in timing.blocks if block.kind == kind]
    name = "aicore_time(us)" if kind == "aic" else "aiv_time(us)"
    yield name, f"{soc.microseconds(max(block.end for block in blocks) - timing.launch):.3f}"
    yield f"{kind}_total_cycles", str(sum(block.end - block.start for block in blocks))
    yield from _pipes(soc, task, timing.cycles - timing.launch, _SPLIT_COLUMNS[kind], kind)


def _detail_columns(
    soc: Soc, task: TaskReport, timing: TaskTiming, detail: TaskDetail, seconds: float
) -> dict[str, str]:
    cubes, vectors = task.window("M") or 1, task.window("V") or 1
    cube, vector = detail.busy_by_type("M"), detail.busy_by_type("V")
    row: dict[str, str] = {}
    for column, kinds in _MAC_TYPES.items():
        share = sum(cycles for dtype, cycles in cube.items() if any(kind in dtype for kind in kinds))
        row[column] = f"{share / cubes:.3f}"
    for column, kind in _VECTOR_TYPES.items():
        row[column] = f"{vector[kind] / vectors:.3f}"
    others = vector.total() - sum(vector[kind] for kind in _VECTOR_TYPES.values())
    row["vec_misc_ratio"] = f"{others / vectors:.3f}"
    for space in _ON_CHIP:
        row[f"{space}_read_bw(GB/s)"] = f"{detail.traffic[space, 'r'] / seconds / 1e9:.2f}"
        row[f"{space}_write_bw(GB/s)"] = f"{detail.traffic[space, 'w'] / seconds / 1e9:.2f}"
    for space in (*_ON_CHIP, *(_OF_SPLIT_CHIPS if soc.is_split else ())):
        row[f"{space}_high_water(bytes)"] = str(detail.reach.get(space, 0))
    position = position_of(soc, timing, detail)
    row["operations"] = str(position.operations)
    row["achieved(Gop/s)"] = f"{position.achieved / 1e9:.2f}"
    if position.operations:
        row["attainable(Gop/s)"] = f"{position.attainable / 1e9:.2f}"
        row["roofline_ratio"] = f"{position.ratio:.3f}"
        intensity = position.intensity["DDR"]
        row["intensity(op/DDR byte)"] = NOT_KNOWN if intensity is None else f"{intensity:.3f}"
    if detail.macs:
        peak = roofs_of(soc).peaks["cube int8" if "int8" in position.unit else "cube f16"]
        row["cube_utilization(%)"] = f"{200 * detail.macs.total() / seconds / peak:.2f}"
    return row


def csv_text(report: Report) -> str:
    """The summary as CSV."""
    out = StringIO()
    columns = SPLIT_COLUMNS if report.soc.is_split else COLUMNS
    writer = csv.DictWriter(out, columns, restval=NOT_KNOWN, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(report))
    return out.getvalue()


def table(report: Report, count: int | None = None, *, plain: bool = False) -> Table:
    """The summary for a terminal: the `count` slowest tasks (all when None), what bounds them, and the
    total.  `plain` has no frame: for a pipe or a file."""
    from rich import box
    from rich.table import Table

    title = (
        f"{report.soc.name}: {report.latency_us:.1f} us, {report.cycles} cycles, {len(report.tasks)} tasks"
    )
    frame = None if plain else box.HEAVY_HEAD
    view = Table(title=title, title_justify="left", box=frame, pad_edge=not plain)
    view.add_column("op", overflow="fold")
    view.add_column("type", overflow="fold")
    fixpipe = ("fixpipe",) if report.soc.cores_with("FIX") else ()
    for name in (
        "us",
        "share",
        "cores",
        "cube",
        "vector",
        "MTE1",
        "MTE2",
        "MTE3",
        *fixpipe,
        "scalar",
        "DDR GB/s",
    ):
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
    timing = task.timing
    fixpipe = ("FIX",) if soc.cores_with("FIX") else ()
    if timing is None:
        return [*head, *([""] * (8 if fixpipe else 7)), task.task_type, task.reason]
    pipes = [f"{task.pipe_ratio(pipe):.0%}" for pipe in ("M", "V", "MTE1", "MTE2", "MTE3", *fixpipe, "S")]
    speed = (timing.ddr_read + timing.ddr_write) / (soc.microseconds(timing.cycles) * 1e3)
    bound, ratio = task.bound(soc)
    waiting, on, cycles = task.longest_wait()
    waits = f"{waiting} for {on}" if cycles else ""
    return [*head, *pipes, f"{speed:.0f}", f"{bound} {ratio:.0%}", waits]
