"""Which schedule a cube group gets, and what it leaves idle: estimates nominate, the timing model decides.

`cube_schedule.rank` orders thousands of candidates by formula; for groups that take long the first few are generated and
timed as they would run, because formulas that leave out how pipes wait for each other miss the best by 5 % on average
(28 shapes, 310P3) and the best of three timed ones by 2 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import SSAValue

from ..dialects import ascend
from ..runtime.soc import Soc
from .cube_cost import activations_in_l2, merit
from .cube_epilogue_ops import ub_tiles, vector_passes
from .cube_kernel import CubeKernel
from .cube_problem import CubeGroup, analyse
from .cube_schedule import Behind, CubeSchedule, ddr_balance, finalists, free_l1, rank, turns
from .schedule_timing import timed

# Estimated cycles from which so many schedules are timed before one is taken: 20 ms each, but seconds for the longest.
_FINALISTS = ((3_000_000, 1), (400_000, 3), (45_000, 10), (5_000, 4), (1_800, 3), (0, 1))


def choose_schedule(group: ascend.GroupOp, soc: Soc) -> dict[str, int | str]:
    """The schedule attribute of a cube group: the cheapest by formula, of long groups the fastest of a few finalists."""
    found = analyse(group)
    ranked = rank(found.problem, soc, _behind(found, soc))
    count = next(count for least, count in _FINALISTS if ranked[0][0] >= least)
    if count == 1:
        return ranked[0][1].as_dict()
    task = min(cycles for cycles, _ in ranked)

    def worth(schedule: CubeSchedule) -> float:
        cycles, instructions = _timed(group, found, schedule, soc)
        return merit(cycles, instructions, task)

    return min(finalists(ranked, count), key=worth).as_dict()


def _behind(found: CubeGroup, soc: Soc) -> Behind:
    return Behind(
        vector_passes(found),
        found.has_residual,
        ub_tiles(found, soc),
        found.bias is not None,
        found.bias_in_terms,
    )


def _timed(group: ascend.GroupOp, found: CubeGroup, schedule: CubeSchedule, soc: Soc) -> tuple[float, float]:
    """Cycles of the kernel with this schedule on the timing model, weights in DDR, activations in L2 if they fit, and the
    instructions of a core."""
    kernel = CubeKernel(group, found, schedule, soc, "candidate").build()
    warm = activations_in_l2(found.problem, soc)
    weights = {found.root.operands[1], found.bias} if found.problem.b_constant else set[SSAValue | None]()
    inner = [*group.body.block.args[: len(group.inputs)], *(None for _ in group.outputs)]
    return timed(kernel, group, soc, [warm and value not in weights for value in inner])


def schedule_of(group: ascend.GroupOp, soc: Soc) -> CubeSchedule:
    """The schedule of a group: what its attribute says, else what the generator would choose."""
    return CubeSchedule(**(group.schedule.values or choose_schedule(group, soc)))  # pyright: ignore[reportArgumentType]


_IDLE_USED = 1.8  # a core is busy longer than its busiest pipe: found by trying on MobileNetV2 and ResNet-50


@dataclass(frozen=True)
class Traffic:
    """How a group uses DDR: bytes that it could load beside its own work, in `loads` pieces (`turns` of them per core, which
    may fill `scratch` bytes of L1), and bytes of its own that everything waits for."""

    idle: int
    waiting: int
    loads: int
    turns: int
    scratch: int


def traffic(group: ascend.GroupOp, soc: Soc) -> Traffic:
    """What `ascend-prefetch-weights` asks."""
    found = analyse(group)
    schedule = schedule_of(group, soc)
    idle, waiting = ddr_balance(found.problem, soc, _behind(found, soc), schedule)
    count = turns(found.problem, schedule)
    if found.image is not None:  # DDR is busy with the picture
        idle = 0
    room = max(0, free_l1(found.problem, schedule, soc, found.bias is not None) - 8192)
    return Traffic(int(idle * _IDLE_USED), int(waiting), schedule.blocks * count, count, room)
