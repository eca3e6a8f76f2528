"""The device: loads an offline model or a single kernel image and runs it.

    run_kernel(load_soc("Ascend310P3"), image, gm, args=(0, 512, 1024), blocks=8)

runs one kernel on `gm`, a bytearray or uint8 array whose first byte has device address 0. `Device` does
the same for a whole model, which it sees only as the contents of its file: regions, kernels as bytes,
tasks with argument words.
"""

from __future__ import annotations

import os
import random
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol, TypeAlias

import numpy as np

from ..element_types import NUMPY
from ..errors import AscendError
from ..om.model import SPARE, Address, OmModel, OmTask, OmTensor, stored_weights
from ..soc import Soc, load_soc
from .executors import FunctionKernel, function_kernel
from .fault import SimulatorFault
from .floats import Array
from .gm_ranges import task_ranges
from .launch import run_launch
from .memory import Core, GlobalMemory, Region
from .program import Program, load_program
from .timing import prepare_timing
from .translate import DEFAULT_FUEL, wrap
from .workers import BlockPool, can_fork, processors, shared_bytes

_LONG = 0.1  # seconds that a run takes in one process before others are started: each costs about 10 ms
_SHORT = 200e-6  # seconds; a task this short is not worth spreading

GmBytes: TypeAlias = bytearray | Array


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
    try:
        kernel = function_kernel(image, soc)
    except SimulatorFault as fault:  # what the chip lacks is known before anything runs
        raise fault.placed(name, 0) from None
    memory = GlobalMemory([Region(0, data)], allocations)
    with np.errstate(all="ignore"):
        if kernel.program.runs_together:
            words = checked_words(kernel.program, args, name)
            run_launch(kernel, soc, memory, words, blocks, name=name, fuel=fuel)
            return
        core = Core(soc.seen_by(kernel.program.core), memory)
        run_blocks(kernel, core, args, range(blocks), blocks, name=name, fuel=fuel)


def checked_words(program: Program, args: Sequence[int], name: str) -> tuple[int, ...]:
    """The argument words as signed numbers, or an error when they are too few."""
    if len(args) < program.n_args:
        raise AscendError(
            "E43002", f"kernel {name} takes {program.n_args} arguments, the task passes {len(args)}"
        )
    return tuple(wrap(arg) for arg in args)


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
    words = checked_words(kernel.program, args, name)
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


class AiCpu(Protocol):
    """The processor beside the AI Cores: `runtime/aicpu/executor.py`, or another library."""

    def check(self, task: OmTask) -> None:
        """Refuses a task that it cannot run."""
        ...

    def run(self, task: OmTask, memory: GlobalMemory, words: tuple[int, ...]) -> None:
        """Runs one: (task, device memory, argument words)."""
        ...


def _library() -> AiCpu:
    from ..aicpu import executor

    return executor


@dataclass
class Device:
    """A simulated chip with one loaded model.

    `workers` processes run the blocks of a task; 0 = one for each processor from the moment a run turns out to be long.
    With an `order_seed` every block runs in a random order that its flags and barriers allow (`order.py`),
    and blocks run in a random order as well: results that change with the seed depend on luck.
    With `timing` kernels are also translated for the timing model while a model is loaded.
    """

    soc: Soc
    model: OmModel | None = None
    ai_cpu: AiCpu = field(default_factory=_library)
    memory: GlobalMemory = field(default_factory=lambda: GlobalMemory(()))
    kernels: dict[str, FunctionKernel] = field(default_factory=dict[str, FunctionKernel])
    workers: int = 0
    order_seed: int | None = None
    timing: bool = False
    _views: list[GlobalMemory] = field(default_factory=list[GlobalMemory])
    _pool: BlockPool | None = None
    _cores: dict[str, tuple[int, Core]] = field(default_factory=dict[str, "tuple[int, Core]"])
    """By core type: the core that runs blocks, and the process it belongs to."""
    _alone: set[int] = field(default_factory=set[int])  # tasks too short to spread, or not allowed to
    _rng: random.Random | None = None  # draws orders when `order_seed` is given

    def load(self, model: OmModel) -> None:
        """Reserves memory, copies weights, translates every kernel; checks all rules that need no run."""
        self.close()
        if model.soc != self.soc.name:
            self.soc = load_soc(model.soc)
        self.model = model
        self._cores = {}
        self.kernels = {}
        self._rng = None if self.order_seed is None else random.Random(self.order_seed)
        for kernel in model.kernels:
            try:
                self.kernels[kernel.name] = self._kernel(kernel.code)
            except SimulatorFault as fault:
                raise fault.placed(kernel.name, 0) from None
            if self.timing:
                prepare_timing(self.soc, self.kernels[kernel.name].program)
        for task in model.tasks:
            self._check_task(model, task)
        self._alone = {
            number
            for number, task in enumerate(model.tasks)
            if not task.is_ai_core or task.block_dim < 2 or self._must_stay(self.kernels[task.kernel])
        }
        self.memory = _reserve(model)
        self._views = [self._view(model, task) for task in model.tasks]

    @staticmethod
    def _must_stay(kernel: FunctionKernel) -> bool:
        """Whether all blocks of a launch must run in one process."""
        return kernel.accumulates or kernel.program.runs_together

    def _kernel(self, code: bytes) -> FunctionKernel:
        program = load_program(code)
        if self._rng is None or program.runs_together:
            return function_kernel(program, self.soc)
        from .order import random_kernel  # it imports this module

        return random_kernel(program, self.soc, self._rng.getrandbits(64))

    def _view(self, model: OmModel, task: OmTask) -> GlobalMemory:
        """Device memory as `task` may touch it: the tensors of its operator, as far as the file tells."""
        ranges = task_ranges(model, task) if task.is_ai_core else None
        if ranges is None:
            return self.memory
        return GlobalMemory(self.memory.regions, [(piece.base, piece.size) for piece in ranges])

    def _check_task(self, model: OmModel, task: OmTask) -> None:
        if task.is_ai_cpu:
            self.ai_cpu.check(task)
            return
        if task.is_ai_core and task.kernel not in self.kernels:
            raise AscendError(
                "E43003", f"a task launches {task.kernel}: model {model.name} has no such kernel"
            )

    def run(self, inputs: Mapping[str, Array] | Sequence[Array]) -> RunResult:
        """One inference.  Inputs by name or in order, as the model declares them."""
        model = self._loaded()
        self.write_inputs(inputs)
        started = perf_counter()
        with np.errstate(all="ignore"):
            for number, task in enumerate(model.tasks):
                pool = None if number in self._alone else self._workers(model, perf_counter() - started)
                if pool is None:
                    self.run_task(number)
                    continue
                began = perf_counter()
                pool.run(number, task.block_dim)
                if perf_counter() - began < _SHORT:
                    self._alone.add(number)
        return RunResult([self._output(tensor) for tensor in model.outputs], [t.name for t in model.outputs])

    def run_task(self, number: int) -> None:
        """One task of the loaded model, all blocks in this process; what came before it must have run."""
        model = self._loaded()
        task = model.tasks[number]
        if task.is_copy:
            self._copy(task)
        elif task.is_ai_cpu:
            self.ai_cpu.run(task, self.memory, model.arg_words(task))
        elif self._rng is None or self.kernels[task.kernel].program.runs_together:
            self._run_blocks(number, range(task.block_dim))
        else:
            blocks = list(range(task.block_dim))
            self._rng.shuffle(blocks)
            for block in blocks:
                self._run_blocks(number, range(block, block + 1))

    def _copy(self, task: OmTask) -> None:
        """What the runtime's copy engine does."""
        target, source, size = task.args
        assert isinstance(target, Address) and isinstance(source, Address) and isinstance(size, int)
        features, weights = (region.data for region in self.memory.regions)
        data = features if source.region == "feature_map" else weights
        features[target.offset : target.offset + size] = data[source.offset : source.offset + size]

    def close(self) -> None:
        """Ends the worker processes; the next run starts them again."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _workers(self, model: OmModel, seconds: float) -> BlockPool | None:
        """The processes that share the work of a run which has taken `seconds` so far."""
        if self._rng is not None:
            return None  # one process, one sequence of random numbers: the seed says it all
        if self._pool is None:
            if self.workers == 0 and seconds < _LONG:
                return None
            count = self.workers or min(processors(), max(task.block_dim for task in model.tasks))
            if count < 2 or not can_fork():
                return None
            device = weakref.proxy(self)  # the pool must not keep the device alive

            def work(task: int, blocks: range) -> None:
                device._run_blocks(task, blocks)

            self._pool = BlockPool(work, count - 1)
        return self._pool

    def _run_blocks(self, number: int, blocks: range) -> None:
        try:
            self._blocks(number, blocks)
        except SimulatorFault as fault:
            raise fault.of(_nodes(self._loaded().tasks[number], fault)) from None

    def _blocks(self, number: int, blocks: range) -> None:
        model = self._loaded()
        task = model.tasks[number]
        kernel = self.kernels[task.kernel]
        words = model.arg_words(task)
        with np.errstate(all="ignore"):
            if kernel.program.runs_together:
                signed = checked_words(kernel.program, words, task.kernel)
                view = self._views[number]
                if self._rng is not None:
                    from .order_cores import run_launch_random  # it imports this module

                    program, blocks_all = kernel.program, task.block_dim
                    run_launch_random(
                        program, self.soc, view, signed, blocks_all, name=task.kernel, rng=self._rng
                    )
                    return
                run_launch(
                    kernel, self.soc, view, signed, task.block_dim, name=task.kernel, fuel=DEFAULT_FUEL
                )
                return
            core = self._core_of(kernel.program.core)
            core.gm = self._views[number]
            run_blocks(kernel, core, words, blocks, task.block_dim, name=task.kernel)

    def _core_of(self, core_type: str) -> Core:
        """The core of that type that this process keeps."""
        process = os.getpid()
        known = self._cores.get(core_type)
        if known is None or known[0] != process:
            known = self._cores[core_type] = (process, Core(self.soc.seen_by(core_type), self.memory))
        return known[1]

    def _loaded(self) -> OmModel:
        if self.model is None:
            raise AscendError("E43005", "no model is loaded")
        return self.model

    def write_inputs(self, inputs: Mapping[str, Array] | Sequence[Array]) -> None:
        """Copies the caller's arrays to where the model reads its inputs."""
        model = self._loaded()
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
        return data.copy().view(NUMPY[tensor.dtype]).reshape(tensor.shape)


def _nodes(task: OmTask, fault: SimulatorFault) -> tuple[str, ...]:
    """Source nodes of the instruction that failed, of the whole task when it does not say which op it belongs to."""
    op = fault.record.body_op if fault.record is not None else None
    if op is not None and op < len(task.sources):
        return task.sources[op]
    return tuple(dict.fromkeys(name for names in task.sources for name in names))


def _reserve(model: OmModel) -> GlobalMemory:
    features = shared_bytes(model.memory_size + SPARE)
    weights = np.zeros(model.weight_size, np.uint8)
    for weight in stored_weights(model):
        weights[weight.offset : weight.offset + weight.size] = np.frombuffer(weight.payload.load(), np.uint8)
    regions = [Region(model.feature_map_base, features)]
    regions.append(Region(model.weight_base, weights, writable=False))
    return GlobalMemory(regions)
