"""What a run took and why: one `TaskReport` per task of the model, and their sum.

Bound: the resource with the highest utilisation while the task ran.  On-chip pipes are measured against the
cores that worked; DDR and L2 against the whole chip, because a task on few cores may still fill the memory.
`roofline` is that utilisation without start-up: 1.0 means that the task cannot be faster on this chip
without doing less work on its bounding resource.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..isa.model import PIPES
from ..isa.table import TABLE
from ..om.model import OmDesc
from ..soc import Soc
from .detail import TaskDetail
from .roofline import Position, position_of
from .timing import TaskTiming

RESOURCES = {
    "M": "cube",
    "V": "vector",
    "MTE1": "L1 loads",
    "MTE2": "GM loads",
    "MTE3": "stores",
    "FIX": "fixpipe",
    "S": "scalar",
}


@dataclass(frozen=True)
class TaskReport:
    """One task.  `nodes` are names of source nodes; `op_type` what kind of group it is; `reason` why not on
    the core.  `detail` is there if the timing run was traced."""

    name: str
    op_type: str
    blocks: int
    timing: TaskTiming | None = None
    task_type: str = "AI_CORE"
    nodes: tuple[str, ...] = ()
    reason: str = ""
    other_cycles: int = 0  # a task that is not timed by instruction (AI CPU)
    stream: int = 0
    inputs: tuple[OmDesc, ...] = ()
    outputs: tuple[OmDesc, ...] = ()
    workspace: int = 0  # bytes of GM that only this task uses
    body: tuple[tuple[str, ...], ...] = ()  # source nodes of each op of the kernel's body
    detail: TaskDetail | None = None

    @property
    def cycles(self) -> int:
        return self.other_cycles if self.timing is None else self.timing.cycles

    @property
    def active_cores(self) -> int:
        return 0 if self.timing is None else len({block.core for block in self.timing.blocks})

    @property
    def kinds(self) -> set[str]:
        """Types of the cores that worked: two for a mixed kernel."""
        return set() if self.timing is None else {block.kind for block in self.timing.blocks}

    def window(self, pipe: str, kind: str = "") -> int:
        """Cycles, launch left out, of the working cores of type `kind`, or of all types on which the pipe was busy."""
        if self.timing is None:
            return 0
        blocks = self.timing.blocks
        kinds = {kind} if kind else {block.kind for block in blocks if pipe in block.busy}
        cores = len({block.core for block in blocks if block.kind in kinds})
        return (self.timing.cycles - self.timing.launch) * cores

    def pipe_ratio(self, pipe: str, kind: str = "") -> float:
        """Share of the working cores' time in which `pipe` was busy; of the cores of type `kind` if one is given."""
        window = self.window(pipe, kind)
        if self.timing is None or not window:
            return 0.0
        busy = sum(block.busy.get(pipe, 0) for block in self.timing.blocks if not kind or block.kind == kind)
        return busy / window

    def utilisation(self, soc: Soc) -> dict[str, float]:
        """Busy share of every resource, memories included."""
        if self.timing is None:
            return {}
        shares = {RESOURCES[pipe]: self.pipe_ratio(pipe) for pipe in PIPES}
        window = (self.timing.cycles - self.timing.launch) * soc.cores
        gm = soc.timing["gm"]
        ddr = self.timing.ddr_read / gm["ddr_read_rate"] + self.timing.ddr_write / gm["ddr_write_rate"]
        l2 = self.timing.l2_read / gm["l2_read_rate"], self.timing.l2_write / gm["l2_write_rate"]
        shares["DDR"] = ddr / window if window else 0.0
        every = sum(soc.counts.values()) / soc.cores  # each core has its own port to L2
        shares["L2"] = max(l2) / (window * every) if window else 0.0
        return shares

    def bound(self, soc: Soc) -> tuple[str, float]:
        """The busiest resource and its utilisation."""
        shares = self.utilisation(soc)
        if not shares:
            return self.task_type, 0.0
        name = max(shares, key=lambda key: shares[key])
        return name, shares[name]

    def position(self, soc: Soc) -> Position | None:
        """The place under the chip's roofs; None without a traced timing."""
        if self.timing is None or self.detail is None:
            return None
        return position_of(soc, self.timing, self.detail)

    def unsourced(self, soc: Soc) -> dict[str, str]:
        """Instructions of the task whose cycles no source gives → what stands for them."""
        known: dict[str, str] = soc.timing["unsourced"]
        used = self.timing.counts if self.timing is not None else ()
        return {name: known[TABLE[name].timing] for name in sorted(used) if TABLE[name].timing in known}

    def longest_wait(self) -> tuple[str, str, int]:
        """(waiting pipe, pipe waited for, cycles over all blocks) of the greatest stall.

        The scalar unit waiting for room in a queue only says that it runs ahead: it counts if nothing else
        waits.
        """
        if self.timing is None or not self.timing.stalls:
            return "", "", 0
        ranked = {pair: (pair[0] != "S", cycles) for pair, cycles in self.timing.stalls.items()}
        waiting, on = max(ranked, key=lambda pair: ranked[pair])
        cycles = self.timing.stalls[waiting, on]
        return waiting, on, cycles


@dataclass
class Report:
    """All tasks of one inference, in order; tasks of one stream run one after the other."""

    soc: Soc
    tasks: list[TaskReport] = field(default_factory=list[TaskReport])
    model: str = ""

    @property
    def cycles(self) -> int:
        return sum(task.cycles for task in self.tasks)

    @property
    def latency_us(self) -> float:
        """Predicted latency of the device part of one inference."""
        return self.soc.microseconds(self.cycles)

    @property
    def busy(self) -> Counter[str]:
        """Busy cycles per pipe, summed over tasks and blocks."""
        total: Counter[str] = Counter()
        for task in self.tasks:
            if task.timing is not None:
                total.update(task.timing.busy)
        return total

    @property
    def stalls(self) -> Counter[tuple[str, str]]:
        total: Counter[tuple[str, str]] = Counter()
        for task in self.tasks:
            if task.timing is not None:
                total.update(task.timing.stalls)
        return total

    @property
    def counts(self) -> Counter[str]:
        """Executed instructions by mnemonic."""
        total: Counter[str] = Counter()
        for task in self.tasks:
            if task.timing is not None:
                total.update(task.timing.counts)
        return total

    @property
    def unsourced(self) -> dict[str, str]:
        """Instructions of the run whose cycles no source gives → what stands for them."""
        return {name: text for task in self.tasks for name, text in task.unsourced(self.soc).items()}

    @property
    def ddr_bytes(self) -> int:
        return sum(
            task.timing.ddr_read + task.timing.ddr_write for task in self.tasks if task.timing is not None
        )

    def busiest_pipes(self) -> list[tuple[str, float]]:
        """Pipes by share of the chip's time, busiest first."""
        soc = self.soc
        cores = {pipe: soc.cores_with(pipe) for pipe in PIPES}
        busy = self.busy.most_common() if self.cycles else []
        return [(pipe, cycles / (self.cycles * cores[pipe])) for pipe, cycles in busy]

    def slowest(self, count: int = 10) -> Sequence[TaskReport]:
        return sorted(self.tasks, key=lambda task: -task.cycles)[:count]
