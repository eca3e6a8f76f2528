"""The hazard check of a whole model: what `sanitize=True` adds to a session.

The order of a kernel's instructions does not depend on its data, so each kernel is checked once, for the
arguments of its first task; a kernel that reads its control flow from memory cannot be checked beforehand
and says so.
"""

from __future__ import annotations

from .errors import AscendError
from .sim.device import Device
from .sim.gm_ranges import task_ranges
from .sim.hazards import check_task

SHOWN = 8
"""Hazards printed per kernel; one mistake tends to show in many places."""


def check_model(device: Device) -> None:
    """Raise E43200 for the first kernel of the loaded model with an order that flags and barriers do not
    ensure."""
    model = device.model
    if model is None:
        raise AscendError("E43005", "no model is loaded")
    checked: set[str] = set()
    for task in model.tasks:
        if not task.is_ai_core or task.kernel in checked:
            continue
        checked.add(task.kernel)
        program = device.kernels[task.kernel].program
        hazards = check_task(
            device.soc, program, model.arg_words(task), task.block_dim, task_ranges(model, task)
        )
        if hazards:
            lines = [str(hazard) for hazard in hazards[:SHOWN]]
            more = [f"and {len(hazards) - SHOWN} more"] if len(hazards) > SHOWN else []
            raise AscendError(
                "E43200",
                "\n  ".join([f"kernel {task.kernel} depends on luck:", *lines, *more]),
                expected="a flag or barrier between two instructions that touch the same bytes",
            )
