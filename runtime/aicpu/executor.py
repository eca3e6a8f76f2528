"""Runs one AI CPU task on device memory."""

from __future__ import annotations

from collections.abc import Sequence

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
    # before anything is computed: what a file asks for is no larger than its memory
    windows = [
        _window(memory, address, spec, task.kernel)
        for address, spec in zip(words[len(operands) :], definition.outputs, strict=True)
    ]
    results = _results(task.kernel, operands, definition)
    for window, spec, result in zip(windows, definition.outputs, results, strict=True):
        _store(window, spec, result, task.kernel)


def _results(kernel: str, operands: Sequence[Array], definition: CpuDefinition) -> list[Array]:
    """What the kernel makes of its operands. A definition may ask for what its operands do not allow (an axis, a
    type, an operand too few): that is a mistake in the file, as a text too long for its slot is one of the data."""
    try:
        with np.errstate(all="ignore"):
            results = KERNELS[kernel].compute(operands, definition.settings, definition.outputs)
    except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, MemoryError) as error:
        raise AscendError(
            "E43010",
            f"AI CPU kernel {kernel} found {error}",
            expected="operands and attributes that fit each other",
        ) from error
    if len(results) != len(definition.outputs):
        raise AscendError(
            "E43010",
            f"AI CPU kernel {kernel} makes {len(results)} results",
            expected=f"{len(definition.outputs)}, as in its definition",
        )
    return results


def _store(window: Array, spec: TensorSpec, result: Array, kernel: str) -> None:
    kind = NUMPY[spec.dtype]
    if result.dtype != kind or result.nbytes > spec.byte_size:
        raise AscendError(
            "E43008",
            f"AI CPU kernel {kernel} made {result.dtype.name}{list(result.shape)}",
            expected=f"at most {kind.name}{list(spec.shape)}",
        )
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
