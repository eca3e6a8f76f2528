"""A generated kernel through all passes and the simulator: bytes, hazards, cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ascend_mlir.dialects.davinci import KernelOp
from ascend_mlir.passes.davinci_pipeline import lower_kernel
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.gm_state import GmRange
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.sim.timing import time_task
from ascend_mlir.runtime.soc import Soc
from numpy.typing import NDArray

SPARE = 32
LINE = 512


@dataclass
class Outcome:
    outputs: list[NDArray[np.uint8]]
    hazards: list[str]
    cycles: int
    image_bytes: int
    bound: float  # cycles that DDR needs for inputs and outputs


def simulate(kernel: KernelOp, soc: Soc, inputs: list[NDArray[Any]], output_bytes: list[int]) -> Outcome:
    """Lowers `kernel` in place and runs it; GM around the tensors is poisoned."""
    blocks = kernel.blocks.value.data
    image = lower_kernel(kernel, soc)
    raws = [np.frombuffer(np.ascontiguousarray(a).tobytes(), np.uint8) for a in inputs]
    sizes = [r.size for r in raws] + output_bytes
    starts, total = list[int](), LINE
    for size in sizes:
        starts.append(total)
        total += -(-(size + SPARE) // LINE) * LINE
    gm = np.full(total, 0xA5, np.uint8)
    for raw, start in zip(raws, starts, strict=False):
        gm[start : start + raw.size] = raw
    program = load_program(image)
    ranges = [
        GmRange(start, size, i < len(raws), i >= len(raws), f"arg{i}")
        for i, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]
    hazards = check_task(soc, program, starts, blocks, ranges)
    allocations = [(start, size + SPARE) for start, size in zip(starts, sizes, strict=True)]
    run_kernel(soc, image, gm, starts, blocks, allocations=allocations)
    timing = time_task(soc, program, starts, blocks)
    for raw, start in zip(raws, starts, strict=False):
        assert np.array_equal(gm[start : start + raw.size], raw), "an input was overwritten"
    outputs = [gm[s : s + n] for s, n in zip(starts[len(raws) :], output_bytes, strict=True)]
    bound = sum(sizes) / (soc.timing["gm"]["ddr_read_rate"] * soc.cores)
    return Outcome(outputs, [str(h) for h in hazards], timing.cycles, len(image), bound)
