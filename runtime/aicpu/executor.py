"""Runs one AI CPU task on device memory."""

from __future__ import annotations

import numpy as np

from ..element_types import NUMPY
from ..errors import AscendError
from ..om.model import OmTask
from ..sim.memory import GlobalMemory, Region
from .definition import CpuDefinition, TensorSpec
from .kernel import Array
from .library import KERNELS


def check(task: OmTask) -> None:
    """Refuses a task that names no kernel of the library or whose definition cannot be read (E43004, E43007)."""
    if task.kernel not in KERNELS:
        raise AscendError(
            "E43004",
            f"AI CPU kernel {task.kernel} is not in the library",
            expected=", ".join(sorted(KERNELS)),
        )
    definition = CpuDefinition.from_bytes(task.kernel_ext_info)
    tensors = len(definition.inputs) + len(definition.outputs)
    if definition.kernel != task.kernel or len(task.args) != tensors:
        raise AscendError(
            "E43007",
            f"the task of AI CPU kernel {task.kernel} has {len(task.args)} arguments",
            expected=f"{tensors}, as in its definition of {definition.kernel}",
        )


def run(task: OmTask, memory: GlobalMemory, words: tuple[int, ...]) -> None:
    """Reads the operands, calls the kernel, writes the results; a result may fill less than its space (a size
    that depends on data), never more."""
    definition = CpuDefinition.from_bytes(task.kernel_ext_info)
    operands = [
        _window(memory, address, spec, task.kernel).view(NUMPY[spec.dtype]).reshape(spec.shape)
        for address, spec in zip(words, definition.inputs, strict=False)
    ]
    with np.errstate(all="ignore"):
        results = KERNELS[task.kernel].compute(operands, definition.settings, definition.outputs)
    for address, spec, result in zip(words[len(operands) :], definition.outputs, results, strict=True):
        _store(memory, address, spec, result, task.kernel)


def _store(memory: GlobalMemory, address: int, spec: TensorSpec, result: Array, kernel: str) -> None:
    kind = NUMPY[spec.dtype]
    if result.dtype != kind or result.nbytes > spec.byte_size:
        raise AscendError(
            "E43008",
            f"AI CPU kernel {kernel} made {result.dtype.name}{list(result.shape)}",
            expected=f"at most {kind.name}{list(spec.shape)}",
        )
    window = _window(memory, address, spec, kernel)
    raw = np.ascontiguousarray(result).reshape(-1).view(np.uint8)
    window[: raw.size] = raw
    window[raw.size :] = 0


def _window(memory: GlobalMemory, address: int, spec: TensorSpec, kernel: str) -> Array:
    """The bytes of a tensor in device memory."""
    region = _region(memory, address, spec.byte_size)
    if region is None:
        raise AscendError(
            "E43009",
            f"AI CPU kernel {kernel} was given address {address:#x} for {spec.byte_size} bytes",
            expected="bytes inside the model's memory",
        )
    start = address - region.base
    return region.data[start : start + spec.byte_size]


def _region(memory: GlobalMemory, address: int, size: int) -> Region | None:
    for region in memory.regions:
        if region.base <= address and address + size <= region.end:
            return region
    return None
