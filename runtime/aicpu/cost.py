"""How long an AI CPU task takes: a start, then the slower of bytes and operations. Numbers in the SoC file."""

from __future__ import annotations

from math import ceil, prod

from ..om.model import OmTask
from ..soc import Soc
from .definition import CpuDefinition
from .library import KERNELS


def cycles(soc: Soc, task: OmTask) -> int:
    """AI Core clock cycles of one task."""
    rates = soc.timing["ai_cpu"]
    definition = CpuDefinition.from_bytes(task.kernel_ext_info)
    tensors = (*definition.inputs, *definition.outputs)
    moved = sum(spec.byte_size for spec in tensors)
    elements = max((prod(spec.shape) for spec in tensors), default=0)
    operations = elements * KERNELS[task.kernel].work
    busy = max(moved / rates["bytes_per_cycle"], operations / rates["operations_per_cycle"])
    return int(rates["launch_cycles"]) + ceil(busy)
