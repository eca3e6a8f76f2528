"""What the page says, as plain text and numbers: the template only lays it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..device_memory import DeviceMemory
from ..isa.disassembler import instruction_text
from ..sim.detail import InstructionCost
from ..sim.profile import pipe_columns
from ..sim.report import Report, TaskReport
from ..soc import Soc
from .charts import bound_class, quantity, size_text
from .timeline import body_nodes

HOT: Final = 24
"""Instructions in each list of the whole model."""

HOT_OF_TASK: Final = 6
SHOWN_TASKS: Final = 40
"""Tasks, slowest first, whose instructions are listed one by one."""


@dataclass(frozen=True)
class Operator:
    """A row of the table; `numbers` are what its columns sort by, `marked` says that some timing has no source."""

    number: int
    name: str
    type: str
    nodes: str
    task_type: str
    bound: str
    css: str
    cells: tuple[tuple[str, float], ...]
    pipes: tuple[float, ...]
    waits: str
    marked: str
    reason: str


@dataclass(frozen=True)
class Hot:
    """An instruction of a task: `share` of the time of all cores of its type, `of_pipe` of its pipe's busy time."""

    task: int
    name: str
    address: str
    pipe: str
    text: str
    nodes: str
    count: int
    cycles: int
    waited: int
    share: float
    of_pipe: float
    marked: str


@dataclass(frozen=True)
class HotTask:
    """The instructions with the most cycles of one task."""

    number: int
    name: str
    shapes: str
    rows: tuple[Hot, ...]


@dataclass(frozen=True)
class Mark:
    """An instruction whose cycles no source gives: what was taken, and how much of the run it is."""

    name: str
    taken: str
    tasks: int
    cycles: int
    share: float


@dataclass(frozen=True)
class HighWater:
    """The most that any task needs of a memory."""

    name: str
    size: str
    reach: str
    share: float
    live: str
    task: str


def operator_columns() -> tuple[str, ...]:
    """Heads of the numeric columns of `Operator.cells`."""
    return ("µs", "share", "cores", "roof", "Gop/s", "DDR GB/s", "L2 GB/s", "UB KB", "L1 KB", "L0C KB")


def operators(report: Report) -> list[Operator]:
    """A row per task."""
    return [_operator(report, number, task) for number, task in enumerate(report.tasks)]


def _operator(report: Report, number: int, task: TaskReport) -> Operator:
    soc = report.soc
    bound, ratio = task.bound(soc)
    waiting, on, cycles = task.longest_wait()
    marks = task.unsourced(soc)
    return Operator(
        number=number,
        name=task.name,
        type=task.op_type,
        nodes=", ".join(task.nodes),
        task_type=task.task_type,
        bound=f"{bound} {ratio:.0%}" if task.timing is not None else bound,
        css=bound_class(bound),
        cells=tuple(_cells(report, task)),
        pipes=tuple(task.pipe_ratio(pipe) for pipe in pipe_columns(soc)),
        waits=f"{waiting} for {on}" if cycles else "",
        marked="; ".join(f"{name}: {taken}" for name, taken in marks.items()),
        reason=task.reason,
    )


def _cells(report: Report, task: TaskReport) -> Iterator[tuple[str, float]]:
    """Text and sorting value of each column; -1 stands for "not known"."""
    soc = report.soc
    share = task.cycles / report.cycles if report.cycles else 0.0
    yield f"{soc.microseconds(task.cycles):.1f}", task.cycles
    yield f"{share:.1%}", share
    yield str(task.blocks), task.blocks
    position = task.position(soc)
    if position is None or task.detail is None:
        yield from [("", -1.0)] * 7
        return
    if position.operations:
        yield f"{position.ratio:.0%}", position.ratio
        yield f"{position.achieved / 1e9:.0f}", position.achieved
    else:
        yield from [("–", -1.0)] * 2
    for memory in ("DDR", "L2"):
        speed = position.bytes_per_second[memory]
        yield f"{speed / 1e9:.1f}", speed
    for space in ("ub", "l1", "l0c"):
        reach = task.detail.reach.get(space, 0)
        yield f"{reach / 1024:.0f}", reach


def _hot(report: Report, number: int, cost: InstructionCost) -> Hot:
    task = report.tasks[number]
    record = cost.record
    timing = task.timing
    assert timing is not None  # it has instructions
    known: dict[str, str] = report.soc.timing["unsourced"]
    window = report.cycles * report.soc.counts[cost.core]
    busy = sum(block.busy.get(cost.pipe, 0) for block in timing.blocks if block.kind == cost.core)
    return Hot(
        task=number,
        name=task.name,
        address=f"{record.address:04x}",
        pipe=cost.pipe,
        text=" ".join(instruction_text(record).split()),
        nodes=", ".join(body_nodes(task, record.body_op)),
        count=cost.count,
        cycles=cost.cycles,
        waited=cost.waited,
        share=(cost.cycles or cost.waited) / window if window else 0.0,
        of_pipe=cost.cycles / busy if busy else 0.0,
        marked=known.get(record.row.timing, ""),
    )


def hot_instructions(report: Report, *, waits: bool) -> list[Hot]:
    """The instructions of the model with the most cycles, or the flags and barriers with the longest waits."""
    found = [
        (cost.waited if waits else cost.cycles, number, cost)
        for number, task in enumerate(report.tasks)
        if task.detail is not None
        for cost in task.detail.instructions
    ]
    found.sort(key=lambda entry: (-entry[0], entry[1], entry[2].number))
    return [_hot(report, number, cost) for amount, number, cost in found[:HOT] if amount]


def hot_tasks(report: Report) -> list[HotTask]:
    """The slowest tasks with their instructions."""
    order = sorted(range(len(report.tasks)), key=lambda number: (-report.tasks[number].cycles, number))
    found: list[HotTask] = []
    for number in order[:SHOWN_TASKS]:
        task = report.tasks[number]
        if task.detail is None:
            continue
        costs = sorted(task.detail.instructions, key=lambda cost: (-cost.cycles, cost.number))
        rows = tuple(_hot(report, number, cost) for cost in costs[:HOT_OF_TASK] if cost.cycles)
        found.append(HotTask(number, task.name, _shapes(task), rows))
    return found


def _shapes(task: TaskReport) -> str:
    def texts(tensors: Sequence[object]) -> str:
        return ", ".join(str(tensor) for tensor in tensors)

    read = [f"{t.dtype}[{','.join(map(str, t.storage_shape))}] {t.format}" for t in task.inputs]
    made = [f"{t.dtype}[{','.join(map(str, t.storage_shape))}] {t.format}" for t in task.outputs]
    return f"{texts(read)} → {texts(made)}" if made else ""


def marks(report: Report) -> list[Mark]:
    """Instructions whose timing no source covers, by how much of the run hangs on them."""
    known: dict[str, str] = report.soc.timing["unsourced"]
    cycles: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    taken: dict[str, str] = {}
    for task in report.tasks:
        if task.detail is None:
            continue
        here: set[str] = set()
        for cost in task.detail.instructions:
            row = cost.record.row
            if row.timing in known:
                cycles[row.mnemonic] += cost.cycles
                taken[row.mnemonic] = known[row.timing]
                here.add(row.mnemonic)
        tasks.update(here)
    busy = report.busy.total()
    return [
        Mark(name, taken[name], tasks[name], cycles[name], cycles[name] / busy if busy else 0.0)
        for name in sorted(taken, key=lambda name: (-cycles[name], name))
    ]


def high_water(report: Report, memory: DeviceMemory | None) -> list[HighWater]:
    """One row per memory that the model uses."""
    rows: list[HighWater] = []
    for space, buffer in report.soc.memories.items():
        reach = [task.detail.reach.get(space, 0) if task.detail else 0 for task in report.tasks]
        most = max(reach, default=0)
        if not most:
            continue
        number = reach.index(most)
        live = max(
            curve.peak
            for task in report.tasks
            if task.detail is not None and (curve := task.detail.curve(space)) is not None
        )
        task = f"{number} {report.tasks[number].name}"
        rows.append(
            HighWater(
                space.upper(),
                size_text(buffer.size),
                size_text(most),
                most / buffer.size,
                size_text(live),
                task,
            )
        )
    if memory is not None and memory.planned:
        number = memory.live.index(memory.peak)
        task = f"{number} {report.tasks[number].name}"
        planned = size_text(memory.planned)
        rows.append(HighWater("GM region", planned, planned, 1.0, size_text(memory.peak), task))
        most = max(memory.workspace, default=0)
        number = memory.workspace.index(most)
        task = f"{number} {report.tasks[number].name}" if most else ""
        rows.append(
            HighWater("GM workspace", "", size_text(most), most / memory.planned, size_text(most), task)
        )
        weights = size_text(memory.weights)
        rows.append(HighWater("GM weights", weights, weights, 1.0, weights, ""))
    return rows


def bound_shares(report: Report) -> list[tuple[str, str, float, int]]:
    """(resource, CSS class, share of the model's time, tasks) in which it is the bound, largest first."""
    cycles: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    for task in report.tasks:
        bound = task.bound(report.soc)[0]
        cycles[bound] += task.cycles
        tasks[bound] += 1
    return [
        (bound, bound_class(bound), count / report.cycles if report.cycles else 0.0, tasks[bound])
        for bound, count in cycles.most_common()
    ]


def pipe_shares(report: Report) -> list[tuple[str, str, float]]:
    """(pipe, CSS class, busy share of all cores over the whole time), in the profiler's order."""
    soc, busy = report.soc, report.busy
    windows = {pipe: report.cycles * soc.cores_with(pipe) or 1 for pipe in pipe_columns(soc)}
    return [
        (name, f"p-{pipe.lower()}", busy[pipe] / windows[pipe]) for pipe, name in pipe_columns(soc).items()
    ]


def stall_rows(report: Report) -> list[tuple[str, str, int, float]]:
    """(pipe, pipe it waited for, cycles, share of all cores' time): the longest ones."""
    window = report.cycles * sum(report.soc.counts.values()) or 1
    found = [(pair, cycles) for pair, cycles in report.stalls.most_common() if cycles]
    return [(waiting, on, cycles, cycles / window) for (waiting, on), cycles in found[:10]]


def facts(report: Report) -> list[tuple[str, str]]:
    """The figures at the top of the page."""
    soc = report.soc
    macs = sum(task.detail.macs.total() for task in report.tasks if task.detail is not None)
    seconds = report.latency_us * 1e-6
    counts = Counter(task.task_type for task in report.tasks)
    rows = [
        ("predicted", f"{report.latency_us:.1f} µs"),
        ("cycles", f"{report.cycles:,}".replace(",", " ")),
        ("tasks", ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items())),
        ("instructions", f"{sum(report.counts.values()):,}".replace(",", " ")),
    ]
    if seconds:
        rows.append(
            (
                "DDR traffic",
                f"{quantity(report.ddr_bytes, 'B')}, {quantity(report.ddr_bytes / seconds, 'B/s')}",
            )
        )
        if macs:
            rows.append(
                ("multiply-accumulates", f"{quantity(macs, '')}, {quantity(2 * macs / seconds, 'op/s')}")
            )
    cores = ", ".join(f"{count} {kind.upper()} cores" for kind, count in soc.counts.items())
    rows.append(
        ("chip", f"{soc.name}: {cores if soc.is_split else f'{soc.cores} cores'}, {soc.clock_mhz} MHz")
    )
    return rows


def chip_note(soc: Soc) -> str:
    """What the timing of the chip rests on, as its SoC file says."""
    return str(soc.timing["basis"])
