"""The device: loads an offline model or a single kernel image and runs it.

    run_kernel(load_soc("Ascend310P3"), image, gm, args=(0, 512, 1024), blocks=8)

runs one kernel on `gm`, a bytearray or uint8 array whose first byte has device address 0. `Device` does
the same for a whole model, which it sees only as the contents of its file: regions, kernels as bytes,
tasks with argument words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ..errors import AscendError
from ..om.model import SPARE, OmModel, OmTask, OmTensor, stored_weights
from ..soc import Soc, load_soc
from .executors import FunctionKernel, function_kernel
from .fault import SimulatorFault
from .floats import Array
from .memory import Core, GlobalMemory, Region
from .program import Program
from .translate import DEFAULT_FUEL, wrap

GmBytes: TypeAlias = bytearray | Array

_NUMPY = {
    "f16": np.dtype("<f2"),
    "f32": np.dtype("<f4"),
    "i8": np.dtype("i1"),
    "u8": np.dtype("u1"),
    "i16": np.dtype("<i2"),
    "i32": np.dtype("<i4"),
    "i64": np.dtype("<i8"),
    "bool": np.dtype("?"),
}


def run_kernel(
    soc: Soc,
    image: bytes | Program,
    gm: GmBytes,
    args: Sequence[int],
    blocks: int = 1,
    *,
    allocations: Sequence[tuple[int, int]] = (),
    name: str = "",
    fuel: int = DEFAULT_FUEL,
) -> None:
    """Runs all blocks of a kernel on `gm` in place.  `allocations` (start, size) narrow what it may touch."""
    data = np.frombuffer(gm, np.uint8) if isinstance(gm, bytearray) else gm.reshape(-1).view(np.uint8)
    kernel = function_kernel(image, soc)
    core = Core(soc, GlobalMemory([Region(0, data)], allocations))
    with np.errstate(all="ignore"):
        run_blocks(kernel, core, args, range(blocks), blocks, name=name, fuel=fuel)


def run_blocks(
    kernel: FunctionKernel,
    core: Core,
    args: Sequence[int],
    which: range,
    blocks: int,
    *,
    name: str = "",
    fuel: int = DEFAULT_FUEL,
) -> None:
    """Runs some blocks of a launch one after the other on one simulated core."""
    needed = kernel.program.image.n_args
    if len(args) < needed:
        raise AscendError("E43002", f"kernel {name} takes {needed} arguments, the task passes {len(args)}")
    words = tuple(wrap(arg) for arg in args)
    core.l1.mirrored = kernel.mirrored
    for block in which:
        try:
            kernel.run(core, words, block, blocks, fuel)
        except SimulatorFault as fault:
            raise fault.placed(name, block) from None


@dataclass
class RunResult:
    """Outputs in model order and by name, and what the run was asked to report."""

    outputs: list[Array]
    names: list[str]
    report: Any = None

    def __getitem__(self, name: str) -> Array:
        return self.outputs[self.names.index(name)]


AiCpu: TypeAlias = Callable[[OmTask, GlobalMemory, tuple[int, ...]], None]
"""Runs one AI CPU task: (task, device memory, argument words)."""


@dataclass
class Device:
    """A simulated chip with one loaded model."""

    soc: Soc
    model: OmModel | None = None
    ai_cpu: AiCpu | None = None
    memory: GlobalMemory = field(default_factory=lambda: GlobalMemory(()))
    kernels: dict[str, FunctionKernel] = field(default_factory=dict[str, FunctionKernel])

    def load(self, model: OmModel) -> None:
        """Reserves memory, copies weights, translates every kernel; checks all rules that need no run."""
        if model.soc != self.soc.name:
            self.soc = load_soc(model.soc)
        features = np.zeros(model.memory_size + SPARE, np.uint8)
        weights = np.zeros(model.weight_size, np.uint8)
        for weight in stored_weights(model):
            weights[weight.offset : weight.offset + weight.size] = np.frombuffer(
                weight.payload.load(), np.uint8
            )
        regions = [
            Region(model.feature_map_base, features),
            Region(model.weight_base, weights, writable=False),
        ]
        self.memory = GlobalMemory(regions)
        self.model = model
        self.kernels = {}
        for kernel in model.kernels:
            try:
                self.kernels[kernel.name] = function_kernel(kernel.code, self.soc)
            except SimulatorFault as fault:
                raise fault.placed(kernel.name, 0) from None
        for task in model.tasks:
            if not task.is_ai_cpu and task.kernel not in self.kernels:
                raise AscendError(
                    "E43003", f"a task launches {task.kernel}: no such kernel in model {model.name}"
                )
            if task.is_ai_cpu and self.ai_cpu is None:
                raise AscendError("E43004", f"AI CPU kernel {task.kernel} is not available to this device")

    def run(self, inputs: Mapping[str, Array] | Sequence[Array]) -> RunResult:
        """One inference.  Inputs by name or in order, as the model declares them."""
        model = self._loaded()
        self._copy_inputs(model, inputs)
        core = Core(self.soc, self.memory)
        with np.errstate(all="ignore"):
            for task in model.tasks:
                words = model.arg_words(task)
                if task.is_ai_cpu:
                    assert self.ai_cpu is not None  # load checked it
                    self.ai_cpu(task, self.memory, words)
                else:
                    kernel = self.kernels[task.kernel]
                    run_blocks(kernel, core, words, range(task.block_dim), task.block_dim, name=task.kernel)
        return RunResult([self._output(tensor) for tensor in model.outputs], [t.name for t in model.outputs])

    def _loaded(self) -> OmModel:
        if self.model is None:
            raise AscendError("E43005", "no model is loaded")
        return self.model

    def _copy_inputs(self, model: OmModel, inputs: Mapping[str, Array] | Sequence[Array]) -> None:
        features = self.memory.regions[0].data
        named = (
            inputs
            if isinstance(inputs, Mapping)
            else dict(zip((t.name for t in model.inputs), inputs, strict=False))
        )
        for tensor in model.inputs:
            if tensor.name not in named:
                raise AscendError("E43006", f"input {tensor.name} is missing")
            raw = np.ascontiguousarray(named[tensor.name]).reshape(-1).view(np.uint8)
            if raw.size != tensor.size:
                expected = f"{tensor.size} bytes ({tensor.dtype} {tensor.shape})"
                raise AscendError("E43006", f"input {tensor.name} has {raw.size} bytes", expected=expected)
            features[tensor.offset : tensor.offset + tensor.size] = raw

    def _output(self, tensor: OmTensor) -> Array:
        data = self.memory.regions[0].data[tensor.offset : tensor.offset + tensor.size]
        return data.copy().view(_NUMPY[tensor.dtype]).reshape(tensor.shape)
