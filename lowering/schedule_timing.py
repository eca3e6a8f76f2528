"""What a candidate schedule's kernel costs on the timing model: how the finalists of cube and attention groups are judged."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DenseArrayBase

from ..dialects import ascend
from ..dialects.davinci import KernelOp
from ..runtime.soc import Soc


def timed(kernel: KernelOp, group: ascend.GroupOp, soc: Soc, warm: Sequence[bool]) -> tuple[float, float]:
    """(cycles of one launch, instructions of a core) of a kernel of `group`.

    Args:
        warm: for each operand, then each result, whether it is in L2 before, as far as it fits.
    """
    from ..passes.davinci_pipeline import lower_to_records
    from ..runtime.sim.gm_model import cold_l2
    from ..runtime.sim.program import program_of
    from ..runtime.sim.timing import time_task

    address, args, l2 = 0, list[int](), cold_l2(soc)
    for value, is_warm in zip((*group.inputs, *group.outputs), warm, strict=True):
        args.append(address)
        if is_warm:
            l2.touch(address, ascend.bytes_of(value))
        address += -(-(ascend.bytes_of(value) + 32) // 512) * 512
    scratch = kernel.attributes.get("workspace")
    for size in scratch.get_values() if isinstance(scratch, DenseArrayBase) else ():
        args.append(address)
        address += -(-int(size) // 512) * 512
    blocks = kernel.blocks.value.data
    timing = time_task(soc, program_of(lower_to_records(kernel, soc)), args, blocks, l2)
    return timing.cycles, timing.instructions / blocks
