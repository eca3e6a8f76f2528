"""Which schedule an attention group gets: estimates nominate, the timing model decides, as for the cube (`cube_tuning`)."""

from __future__ import annotations

from ..dialects import ascend
from ..runtime.soc import Soc
from .attention_kernel import AttentionKernel
from .attention_problem import problem_of, root_of
from .attention_schedule import estimate, fitting
from .cube_cost import merit
from .schedule_timing import timed

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
    warm = [True] * (len(group.inputs) + len(group.outputs))
    times = {
        s: timed(AttentionKernel(group, s, soc, "candidate").build(), group, soc, warm)
        for s in ranked[:count]
    }
    task = min(cycles for cycles, _ in times.values())
    return min(times, key=lambda s: merit(*times[s], task)).as_dict()
