"""The hazard check of a whole model: what `sanitize=True` adds to a session.

The order of a kernel's instructions does not depend on its data, so each kernel is checked once, for the
arguments of its first task; a kernel that reads its control flow from memory cannot be checked beforehand
and says so.
"""

from __future__ import annotations

from .errors import AscendError
from .om.model import OmModel, OmTask
from .sim.device import Device
from .sim.gm_ranges import task_ranges
from .sim.hazards import Hazard, check_task
from .sim.workers import can_fork, passed, processors

SHOWN = 8
"""Hazards printed per kernel; one mistake tends to show in many places."""

_MANY = 1500
"""Instructions in all kernels from which it pays to check in several processes."""


def check_model(device: Device) -> None:
    """Raise E43200 for the first kernel of the loaded model with an order that flags and barriers do not
    ensure."""
    model = device.model
    if model is None:
        raise AscendError("E43005", "no model is loaded")
    firsts: dict[str, OmTask] = {}
    for task in model.tasks:
        if task.is_ai_core:
            firsts.setdefault(task.kernel, task)
    tasks = list(firsts.values())
    sizes = [len(device.kernels[task.kernel].program.records) for task in tasks]
    processes = min(processors(), len(tasks)) if sum(sizes) >= _MANY and can_fork() else 1
    fine: set[int] = set()
    if processes > 1:
        largest = sorted(
            range(len(tasks)), key=lambda number: -sizes[number]
        )  # so that processes end together
        done = passed(
            len(tasks), lambda number: not _hazards(device, model, tasks[largest[number]]), processes
        )
        fine = {largest[number] for number in done}
    for number, task in enumerate(tasks):
        hazards = _hazards(device, model, task) if number not in fine else []
        if hazards:
            lines = [str(hazard) for hazard in hazards[:SHOWN]]
            more = [f"and {len(hazards) - SHOWN} more"] if len(hazards) > SHOWN else []
            raise AscendError(
                "E43200",
                "\n  ".join([f"kernel {task.kernel}{_of(task)} depends on luck:", *lines, *more]),
                expected="a flag or barrier between two instructions that touch the same bytes",
            )


def _of(task: OmTask) -> str:
    """The source nodes of a task, for a message."""
    names = list(dict.fromkeys(name for names in task.sources for name in names))
    return f" (of {', '.join(names)})" if names else ""


def _hazards(device: Device, model: OmModel, task: OmTask) -> list[Hazard]:
    """What the check finds in a task's kernel."""
    program = device.kernels[task.kernel].program
    return check_task(device.soc, program, model.arg_words(task), task.block_dim, task_ranges(model, task))
