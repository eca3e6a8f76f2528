"""The kernel of one group through all passes and the simulator: packed operands, hazards, random orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ascend_mlir.dialects import ascend
from ascend_mlir.dialects.davinci import KernelOp
from ascend_mlir.dialects.dtypes import numpy_dtype
from ascend_mlir.lowering.ascend_to_davinci import workspace_of
from ascend_mlir.passes.davinci_pipeline import lower_kernel
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.order import run_kernel_random
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.soc import Soc
from numpy.typing import NDArray

Arrays = list[NDArray[Any]]


def memory_of(
    group: ascend.GroupOp, arrays: Arrays, scratch: Sequence[int] = ()
) -> tuple[NDArray[np.uint8], list[int]]:
    """Device memory with the operands packed, the bytes of the result and of the workspace 0xFF, and the addresses."""
    at, parts, args = 512, [bytes(512)], list[int]()
    images = [ascend.layout_of(v).pack(a).tobytes() for v, a in zip(group.inputs, arrays, strict=True)]
    for image in (*images, *(b"\xff" * size for size in (ascend.bytes_of(group.outputs[0]), *scratch))):
        args.append(at)
        parts.append(image + bytes(-(len(image) + 32) % 512 + 32))
        at += len(parts[-1])
    return np.frombuffer(b"".join(parts), np.uint8).copy(), args


def run_group(
    group: ascend.GroupOp, kernel: KernelOp, arrays: Arrays, soc: Soc, order: int | None = None
) -> NDArray[np.float32]:
    """The result, of floats, as f32. Fails on a hazard, on padding of the result that is not zero (D9), and where a random order of
    seed `order` gives other bytes."""
    kernel.verify()
    blocks, image = kernel.blocks.value.data, lower_kernel(kernel, soc)
    memory, args = memory_of(group, arrays, workspace_of(kernel))
    assert not check_task(soc, load_program(image), args, blocks)
    again = memory.copy()
    run_kernel(soc, image, memory, args, blocks)
    out = group.outputs[0]
    at, kind, layout = args[len(arrays)], numpy_dtype(ascend.dtype_of(out)), ascend.layout_of(out)
    raw = memory[at : at + ascend.bytes_of(out)].view(kind)
    got = layout.unpack(raw, ascend.shape_of(out)).astype(np.float32)
    np.testing.assert_array_equal(raw, layout.pack(got.astype(kind)).reshape(-1))
    if order is not None:
        run_kernel_random(soc, image, again, args, blocks, seed=order)
        np.testing.assert_array_equal(memory, again)
    return got
