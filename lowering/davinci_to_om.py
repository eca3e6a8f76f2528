"""From kernels, launches and a memory plan to an offline model.

One task per launch, its arguments device addresses (region base + offset) in the kernel's argument order:
inputs, weights, outputs, workspace.  Weights are payloads that are packed while the file is written; equal
bytes share one place.  The graph that viewers show is that of the compiled model: one operator per task, with
the names of the source nodes it stands for, and one per view, which has no task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeAlias

from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.hints import isa

from ..dialects import ascend, davinci, nn, nn_attrs
from ..dialects.layouts import Format
from ..passes.plan_memory import MemoryPlan, is_constant
from ..runtime.aicpu.definition import CpuDefinition, TensorSpec
from ..runtime.errors import AscendError
from ..runtime.om import format as f
from ..runtime.om.model import (
    ATTR_LIST_INPUTS,
    ATTR_LIST_OUTPUTS,
    ATTR_NARROWED,
    ATTR_REASON,
    ATTR_SIZED,
    KERNEL_TYPE_AI_CPU,
    KERNEL_TYPE_NONE,
    MEMCPY,
    Address,
    AttrValue,
    OmDesc,
    OmGraphOp,
    OmKernel,
    OmModel,
    OmTask,
    OmTensor,
    OmWeight,
    WeightPayload,
    place_weights,
)
from ..runtime.soc import Soc
from ..runtime.weights import WeightStore
from .nn_to_ascend import NARROWED

_VIEW_TYPES = {"ascend.view": "Reshape", "ascend.slice_view": "Slice", "ascend.concat_view": "ConcatD"}


def describe(value: SSAValue) -> OmDesc:
    """The tensor descriptor of a value."""
    layout = ascend.layout_of(value)
    shape = ascend.shape_of(value)
    origin = "NCHW" if len(shape) == 4 and layout.format is not Format.ND else "ND"
    return OmDesc(
        ascend.dtype_of(value),
        shape,
        ascend.physical_shape_of(value),
        layout.format.value,
        origin,
        ascend.bytes_of(value),
    )


@dataclass
class _Names:
    """Unique operator names."""

    used: dict[str, int] = field(default_factory=dict[str, int])

    def fresh(self, wanted: str) -> str:
        number = self.used.get(wanted, 0)
        self.used[wanted] = number + 1
        return wanted if number == 0 else self.fresh(f"{wanted}_{number}")


_TaskOp: TypeAlias = davinci.LaunchOp | davinci.LaunchAicpuOp | ascend.CopyOp


class _Emitter:
    """Collects the parts of an `OmModel` from the main function."""

    def __init__(self, module: ModuleOp, store: WeightStore, soc: Soc) -> None:
        self.store, self.soc = store, soc
        self.function = next(op for op in module.body.block.ops if isinstance(op, FuncOp))
        self.plan = MemoryPlan(self.function)
        self.names = _Names()
        self.producer: dict[SSAValue, str] = {}
        self.graph: list[OmGraphOp] = []
        self.weights: dict[SSAValue, OmWeight] = {}
        self.tasks: list[tuple[_TaskOp, int]] = []

    def emit(self, kernels: Mapping[str, bytes], name: str) -> OmModel:
        inputs = self._inputs()
        for op in self.function.body.block.ops:
            self._visit(op)
        placed = dict(zip(self.weights, place_weights(self.weights.values()), strict=True))
        tasks = tuple(self._task(launch, index, placed) for launch, index in self.tasks)
        used = {task.kernel for task in tasks if task.is_ai_core}
        outputs = self._outputs()
        lists = {
            ATTR_NARROWED: NARROWED,
            ATTR_SIZED: nn_attrs.SIZED,
            ATTR_LIST_INPUTS: nn_attrs.LIST_INPUTS,
            ATTR_LIST_OUTPUTS: nn_attrs.LIST_OUTPUTS,
        }
        attrs: dict[str, AttrValue] = {
            name: tuple(found)
            for name, key in lists.items()
            if (found := _strings(self.function.attributes.get(key)))
        }
        attrs |= dict.fromkeys((f.ATTR_COMPILER, f.ATTR_OPERATORS), f"ascend-mlir {version('ascend-mlir')}")
        if self.plan.memory_size > self.soc.memory_bytes:
            raise AscendError(
                "E13023",
                f"the model needs {self.plan.memory_size} bytes of device memory",
                expected=f"at most {self.soc.memory_bytes} bytes on {self.soc.name}",
            )
        return OmModel(
            name=name,
            soc=self.soc.name,
            inputs=inputs,
            outputs=outputs,
            memory_size=self.plan.memory_size,
            weights=tuple(placed.values()),
            kernels=tuple(OmKernel(k, kernels[k]) for k in sorted(used)),
            tasks=tasks,
            graph=tuple(self.graph),
            attrs=attrs,
        )

    def _inputs(self) -> tuple[OmTensor, ...]:
        names = _strings(self.function.attributes.get("input_names"))
        tensors: list[OmTensor] = []
        for i, argument in enumerate(self.function.body.block.args):
            name = self.names.fresh(names[i] if i < len(names) else f"input_{i}")
            self.producer[argument] = f"{name}:0"
            tensors.append(
                OmTensor(
                    name,
                    ascend.dtype_of(argument),
                    ascend.shape_of(argument),
                    ascend.bytes_of(argument),
                    self.plan.offset(argument),
                )
            )
        return tuple(tensors)

    def _outputs(self) -> tuple[OmTensor, ...]:
        names = _strings(self.function.attributes.get("output_names"))
        last = self.function.body.block.last_op
        assert isinstance(last, ReturnOp)
        tensors: list[OmTensor] = []
        for i, value in enumerate(last.operands):
            name = names[i] if i < len(names) else f"output_{i}"
            empty = 0 in ascend.shape_of(value)
            if is_constant(self._root(value)) and not empty:
                raise AscendError(
                    "E19999", f"output {name} is a constant", expected="an output that depends on an input"
                )
            tensors.append(
                OmTensor(
                    name,
                    ascend.dtype_of(value),
                    ascend.shape_of(value),
                    ascend.bytes_of(value),
                    0 if empty else self.plan.offset(value),
                    source=self.producer[value],
                )
            )
        return tuple(tensors)

    # ------------------------------------------------------------------ operators
    def _visit(self, op: Operation) -> None:
        if isinstance(op, nn.ConstantOp):
            if op.output.uses.get_length():
                self._weight(op)
        elif isinstance(op, davinci.LaunchOp):
            label = op.attributes.get("label")
            kind = label.data if isinstance(label, StringAttr) else "Kernel"
            sources = [name.data for name in op.sources]
            self.tasks.append((op, len(self.graph)))
            prefetched = op.attributes.get("prefetch")  # arguments of the task, but no inputs of the operator
            count = prefetched.value.data if isinstance(prefetched, IntegerAttr) else 0
            self._node(op, kind, sources, list(op.inputs)[: len(op.inputs) - count])
        elif isinstance(op, davinci.LaunchAicpuOp):
            self.tasks.append((op, len(self.graph)))
            self._node(
                op, op.kernel.data, [name.data for name in op.sources], list(op.inputs), op.reason.data
            )
        elif isinstance(op, ascend.CopyOp):
            self.tasks.append((op, len(self.graph)))
            self._node(op, "MemcpyAsync", [], [op.source])
        elif op.name in _VIEW_TYPES:
            self._node(op, _VIEW_TYPES[op.name], [], list(op.operands))
        elif not isinstance(op, ReturnOp):
            raise ValueError(f"{op.name} in a lowered function")

    def _node(
        self, op: Operation, kind: str, sources: list[str], operands: list[SSAValue], reason: str = ""
    ) -> None:
        name = self.names.fresh(sources[-1] if sources else kind)
        for i, result in enumerate(op.results):
            self.producer[result] = f"{name}:{i}"
        attrs: dict[str, AttrValue] = {}
        if sources:
            attrs |= {f.ATTR_SOURCES: tuple(sources), f.ATTR_FUSED: len(sources) > 1}
        if reason:
            attrs[ATTR_REASON] = reason
        task = isinstance(op, davinci.LaunchOp)
        if isinstance(op, davinci.LaunchOp):
            kernel = op.kernel.string_value()
            attrs |= {f.ATTR_KERNEL_NAME: kernel, f.ATTR_BLOCKS: self._blocks[kernel]}
        self.graph.append(
            OmGraphOp(
                name,
                kind,
                tuple(self.producer[v] for v in operands),
                tuple(map(describe, operands)),
                tuple(map(describe, op.results)),
                attrs,
                input_offsets=tuple(
                    0 if is_constant(self._root(v)) else self.plan.offset(v) for v in operands
                ),
                output_offsets=tuple(
                    0 if is_constant(self._root(v)) else self.plan.offset(v) for v in op.results
                ),
                workspace_offsets=tuple(self.plan.workspace_offsets(op)) if task else (),
                workspace_bytes=tuple(int(v) for v in op.workspace.get_values()) if task else (),
            )
        )

    def _root(self, value: SSAValue) -> SSAValue:
        return self.plan.aliases.place(value).root

    def _weight(self, op: nn.ConstantOp) -> None:
        blob = op.blob
        name = self.names.fresh(_leading_key(blob))
        layout = ascend.layout_of(op.output)
        shape = ascend.shape_of(op.output)
        payload = WeightPayload.measured(lambda: self.store.evaluate(blob).tobytes())
        self.producer[op.output] = f"{name}:0"
        self.weights[op.output] = OmWeight(
            name,
            blob.dtype,
            shape,
            ascend.physical_shape_of(op.output),
            layout.format.value,
            payload,
            origin_format="NCHW" if len(shape) == 4 else "ND",
        )

    def _task(self, launch: _TaskOp, index: int, placed: Mapping[SSAValue, OmWeight]) -> OmTask:
        if isinstance(launch, ascend.CopyOp):
            places = (self._address(launch.result, placed), self._address(launch.source, placed))
            args = (*places, ascend.bytes_of(launch.source))
            return OmTask(MEMCPY, 1, args, op_index=index, kernel_type=KERNEL_TYPE_NONE)
        args = [self._address(value, placed) for value in (*launch.inputs, *launch.outputs)]
        sources = _body_sources(launch)
        if isinstance(launch, davinci.LaunchAicpuOp):
            definition = _definition(launch).to_bytes()
            return OmTask(
                launch.kernel.data,
                1,
                tuple(args),
                op_index=index,
                kernel_type=KERNEL_TYPE_AI_CPU,
                kernel_ext_info=definition,
                sources=sources,
            )
        args += [Address("feature_map", offset) for offset in self.plan.workspace_offsets(launch)]
        kernel = launch.kernel.string_value()
        return OmTask(
            kernel,
            self._blocks[kernel],
            tuple(args),
            op_index=index,
            sources=sources,
        )

    def _address(self, value: SSAValue, placed: Mapping[SSAValue, OmWeight]) -> Address:
        place = self.plan.aliases.place(value)
        if is_constant(place.root):
            return Address("weights", placed[place.root].offset + place.offset)
        return Address("feature_map", self.plan.offset(value))

    @property
    def _blocks(self) -> dict[str, int]:
        module = self.function.parent_op()
        assert isinstance(module, ModuleOp)
        if not hasattr(self, "_blocks_cache"):
            self._blocks_cache = {
                op.sym_name.data: op.blocks.value.data
                for op in module.body.block.ops
                if isinstance(op, davinci.KernelOp)
            }
        return self._blocks_cache


def _definition(launch: davinci.LaunchAicpuOp) -> CpuDefinition:
    """What the library kernel is told."""
    inputs, outputs = (
        tuple(TensorSpec(ascend.dtype_of(v), ascend.shape_of(v)) for v in values)
        for values in (launch.inputs, launch.outputs)
    )
    settings = {name: nn.to_python(value) for name, value in launch.settings.data.items()}
    return CpuDefinition(launch.kernel.data, inputs, outputs, settings)


def _body_sources(launch: davinci.LaunchOp | davinci.LaunchAicpuOp) -> tuple[tuple[str, ...], ...]:
    """The source nodes of each body op of the kernel (decision D18)."""
    known = launch.attributes.get("body_sources")
    if isa(known, ArrayAttr[ArrayAttr[StringAttr]]):
        return tuple(tuple(name.data for name in names) for names in known)
    return (tuple(name.data for name in launch.sources),)


def _leading_key(blob: nn.Blob) -> str:
    """What a person would call the tensor: the source that all other operands were folded into."""
    while blob.op != "source":
        if not blob.inputs:
            return "const"
        blob = blob.inputs[0]
    return str(blob.args[0])


def _strings(attribute: Attribute | None) -> list[str]:
    return [s.data for s in attribute] if isa(attribute, ArrayAttr[StringAttr]) else []


def emit_om(
    module: ModuleOp,
    store: WeightStore,
    soc: Soc,
    kernels: Mapping[str, bytes],
    name: str,
    *,
    blobs: dict[str, nn.BlobAttr] | None = None,
) -> OmModel:
    """The offline model of a module at level davinci.

    Args:
        kernels: machine code by kernel name.
        name: model name (its file stem).
        blobs: receives the expression behind each weight, by its name in the model.
    """
    emitter = _Emitter(module, store, soc)
    model = emitter.emit(kernels, name)
    if blobs is not None:
        for value, weight in emitter.weights.items():
            if isinstance(value.owner, nn.ConstantOp):
                blobs[weight.name] = nn.BlobAttr(value.owner.blob)
    return model
