"""Which schedule an attention group gets: estimates nominate, the timing model decides, as for the cube (`cube_tuning`)."""

from __future__ import annotations

from ..dialects import ascend
from ..runtime.soc import Soc
from .attention_kernel import AttentionKernel
from .attention_problem import AttentionProblem, problem_of, root_of
from .attention_schedule import AttentionSchedule, estimate, fitting
from .cube_cost import merit

_FINALISTS = ((20_000_000, 1), (1_000_000, 3), (0, 4))
"""Estimated cycles from which so many schedules are timed: 0.1 s each of the longest, 10 ms of most."""


def choose_schedule(group: ascend.GroupOp, soc: Soc) -> dict[str, int | str]:
    """The schedule attribute of an attention group: the best of a few finalists by cycles and instructions."""
    problem = problem_of(root_of(group))
    ranked = sorted(fitting(problem, soc), key=lambda s: estimate(problem, s, soc))
    if not ranked:
        raise ValueError("no tiles of the attention fit the memories of a core")
    least = estimate(problem, ranked[0], soc)
    count = next(count for limit, count in _FINALISTS if least >= limit)
    if count == 1:
        return ranked[0].as_dict()
    times = {s: _timed(group, problem, s, soc) for s in ranked[:count]}
    task = min(cycles for cycles, _ in times.values())
    return min(times, key=lambda s: merit(*times[s], task)).as_dict()


def _timed(
    group: ascend.GroupOp, problem: AttentionProblem, schedule: AttentionSchedule, soc: Soc
) -> tuple[float, float]:
    """Cycles of the kernel with its operands in L2 as far as they fit, and instructions of a core."""
    from ..passes.davinci_pipeline import lower_to_records
    from ..runtime.sim.gm_model import cold_l2
    from ..runtime.sim.program import program_of
    from ..runtime.sim.timing import time_task

    kernel = AttentionKernel(group, schedule, soc, "candidate").build()
    address, args, l2 = 0, list[int](), cold_l2(soc)
    for value in (*group.inputs, *group.outputs):
        args.append(address)
        l2.touch(address, ascend.bytes_of(value))
        address += -(-(ascend.bytes_of(value) + 32) // 512) * 512
    timing = time_task(soc, program_of(lower_to_records(kernel, soc)), args, schedule.blocks, l2)
    return timing.cycles, timing.instructions / schedule.blocks
