"""Pass ascend-to-davinci: every group and TransData becomes a launch of a kernel; equal ones share it.

before
    %y = ascend.group "ConvRelu" (%x, %w, %b) engine cube schedule #ascend.schedule<…> { … } : …
after
    davinci.kernel @conv_relu_7c1e09ab(%0 : !davinci.gm, …) blocks 8 { … }
    %y = davinci.launch @conv_relu_7c1e09ab(%x, %w, %b) workspace [] from ["conv1", "relu1"] : …

A kernel's identity (decision D17) is the digest of the group without names, weights and addresses: operand and result
types with their layouts, the body, the schedule, the SoC and the compiler version.  So the twelve equal layers of a
BERT compile one layer's kernels.  Views stay: they cost no task and the memory planner resolves them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeAlias

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue
from xdsl.passes import ModulePass

from ..dialects import ascend, davinci, nn
from ..passes.ai_cpu import kernel_of, reason_of
from ..passes.attach_target import target_of
from ..passes.provenance import node_names
from ..runtime.soc import Soc
from .refusals import Refusals

Compute: TypeAlias = ascend.GroupOp | ascend.TransDataOp

_SCRATCH = "workspace"
"""Attribute of a generated kernel: byte sizes of the scratch tensors that follow its outputs."""


def generate(op: Compute, soc: Soc, name: str) -> davinci.KernelOp:
    """The kernel of an op, by the generator of its engine (imported when first needed)."""
    if isinstance(op, ascend.TransDataOp) or op.engine_name is ascend.Engine.MOVE:
        from . import move_kernel

        return move_kernel.generate(op, soc, name)
    if op.engine_name is ascend.Engine.CUBE:
        from . import cube_kernel

        return cube_kernel.generate(op, soc, name)
    if op.engine_name is ascend.Engine.VECTOR:
        from . import vector_kernel

        return vector_kernel.generate(op, soc, name)
    if op.engine_name is ascend.Engine.ATTENTION:
        from . import attention_kernel

        return attention_kernel.generate(op, soc, name)
    if op.engine_name is ascend.Engine.RECURRENCE:
        from . import recurrence_kernel

        return recurrence_kernel.generate(op, soc, name)
    if op.engine_name is ascend.Engine.SORT:
        from . import sort_kernel

        return sort_kernel.generate(op, soc, name)
    raise ValueError(f"no kernel generator for engine {op.engine_name}")


def identity(op: Compute, soc: Soc) -> str:
    """Hex digest of everything that decides a kernel's code."""
    parts = [version("ascend-mlir"), soc.name, op.name]
    parts += [str(value.type) for value in (*op.operands, *op.results)]
    if isinstance(op, ascend.GroupOp):
        parts += [op.engine.data, str(op.schedule.data)]
        numbers: dict[SSAValue, int] = {value: i for i, value in enumerate(op.body.block.args)}
        for inner in op.body.block.ops:
            parts.append(inner.name)
            parts += [f"{name}={value}" for name, value in sorted(inner.properties.items())]
            parts += [str(numbers[value]) for value in inner.operands]
            parts += [str(value.type) for value in inner.results]
            for value in inner.results:
                numbers[value] = len(numbers)
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def kernel_name(op: Compute, digest: str) -> str:
    """`conv_relu_7c1e09ab`: what it does, for people, and which variant."""
    label = op.label.data if isinstance(op, ascend.GroupOp) else "TransData"
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", label).lower()
    return re.sub(r"[^a-z0-9_]", "_", words) + "_" + digest[:8]


@dataclass
class KernelLibrary:
    """Kernels made so far, by identity."""

    soc: Soc
    kernels: dict[str, davinci.KernelOp] = field(default_factory=dict[str, davinci.KernelOp])

    def get(self, op: Compute) -> davinci.KernelOp:
        digest = identity(op, self.soc)
        kernel = self.kernels.get(digest)
        if kernel is None:
            kernel = generate(op, self.soc, kernel_name(op, digest))
            self.kernels[digest] = kernel
        return kernel


def workspace_of(kernel: davinci.KernelOp) -> tuple[int, ...]:
    """Byte sizes of the scratch tensors of a kernel."""
    attribute = kernel.attributes.get(_SCRATCH)
    from xdsl.dialects.builtin import DenseArrayBase

    return tuple(int(v) for v in attribute.get_values()) if isinstance(attribute, DenseArrayBase) else ()


def lower_function(function: FuncOp, library: KernelLibrary) -> None:
    """Replaces the groups of one function by launches."""
    refusals = Refusals()
    for op in list(function.body.block.ops):
        if isinstance(op, ascend.GroupOp | ascend.TransDataOp):
            with refusals.around(op):
                _launch(op, library)
    refusals.raise_all()


def sources_of_kernels(module: ModuleOp) -> dict[str, str]:
    """Kernel name → the nodes of the model that its launches stand for."""
    found: dict[str, dict[str, None]] = {}
    for op in module.walk():
        if isinstance(op, davinci.LaunchOp):
            names = found.setdefault(op.kernel.string_value(), {})
            names.update(dict.fromkeys(name.data for name in op.sources))
    return {kernel: ", ".join(names) for kernel, names in found.items()}


def _cpu_launch(op: ascend.GroupOp) -> davinci.LaunchAicpuOp:
    """A task of the AI CPU: the group's only op is a kernel of its library."""
    inner = next(item for item in op.body.block.ops if isinstance(item, nn.NNOp))
    settings = {name: value for name, value in inner.properties.items() if name != "kernel"}
    operands = [op.inputs[value.index] for value in inner.operands if isinstance(value, BlockArgument)]
    launch = davinci.LaunchAicpuOp(
        kernel_of(inner),
        operands,
        [v.type for v in op.outputs],
        settings,
        reason_of(inner) or "",
        op.source_names,
    )
    launch.attributes["label"] = op.label
    launch.attributes["engine"] = op.engine
    return launch


def _launch(op: Compute, library: KernelLibrary) -> None:
    if isinstance(op, ascend.GroupOp) and op.engine_name is ascend.Engine.AICPU:
        return _replace(op, _cpu_launch(op))
    kernel = library.get(op)
    sources = op.source_names if isinstance(op, ascend.GroupOp) else tuple(node_names(op))
    launch = davinci.LaunchOp(
        kernel.sym_name.data, op.operands, [value.type for value in op.results], workspace_of(kernel), sources
    )
    launch.attributes["label"] = op.label if isinstance(op, ascend.GroupOp) else StringAttr("TransData")
    if isinstance(op, ascend.GroupOp) and any(node_names(inner) for inner in op.body.block.ops):
        launch.attributes["body_sources"] = _body_sources(op, sources)
    if isinstance(op, ascend.GroupOp) and (count := len(op.schedule.sequence("prefetch"))):
        launch.attributes["prefetch"] = IntegerAttr(count, i64)
    launch.attributes["engine"] = op.engine if isinstance(op, ascend.GroupOp) else StringAttr("move")
    return _replace(op, launch)


def _replace(op: Compute, launch: davinci.LaunchOp | davinci.LaunchAicpuOp) -> None:
    launch.location = op.location
    block = op.parent_block()
    assert block is not None
    block.insert_op_before(launch, op)
    for old, new in zip(op.results, launch.results, strict=True):
        new.name_hint = old.name_hint
        old.replace_all_uses_with(new)
    op.detach()
    op.erase()


def _body_sources(group: ascend.GroupOp, sources: Sequence[str]) -> ArrayAttr[ArrayAttr[StringAttr]]:
    """Which nodes each op of a group stands for, by its number in the body; all of them where it is not known."""
    names = [node_names(inner) or sources for inner in list(group.body.block.ops)[:-1]]
    return ArrayAttr(ArrayAttr(StringAttr(name) for name in each) for each in names)


@dataclass(frozen=True)
class AscendToDavinciPass(ModulePass):
    """See the module docstring."""

    name = "ascend-to-davinci"

    soc: str = ""
    """SoC to generate for; default: the module's target."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        library = KernelLibrary(target_of(op, self.soc))
        first = op.body.block.first_op
        for function in [f for f in op.body.block.ops if isinstance(f, FuncOp)]:
            lower_function(function, library)
        for kernel in library.kernels.values():
            if first is None:
                op.body.block.add_op(kernel)
            else:
                op.body.block.insert_op_before(kernel, first)
