"""How long the tasks of an offline model take, for tools that show or compare models."""

from __future__ import annotations

from ..runtime.errors import AscendError
from ..runtime.om.model import OmModel


def cycles_by_task(model: OmModel) -> tuple[tuple[int, ...] | None, str]:
    """Cycles of each task by the timing model, or None and the reason: kernels of another encoding, a chip that the
    simulator does not know."""
    from ..runtime.profiling import task_cycles

    try:
        return task_cycles(model), ""
    except AscendError as error:
        return None, error.message
