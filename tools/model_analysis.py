"""What a model consists of and what its layers will cost: nodes with sizes, parameters and multiplications, joined with
the tasks that compute them and their predicted cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from onnx import NodeProto

    from ..lowering.pipelines import CompiledModel, CompileOptions
    from ..runtime.sim.report import Report

SOURCES: Final = "_datadump_original_op_names"
"""Attribute of a graph operator: the nodes of the source model that it stands for."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layer:
    """A node of the source model. `task` is the operator of the offline model that computes it, "" where nothing of it is
    left; its cycles are those of the whole operator."""

    name: str
    type: str
    shape: tuple[int, ...] | None
    parameters: int
    macs: int
    task: str = ""
    engine: str = ""
    cycles: int = 0
    bound: str = ""


@dataclass(frozen=True)
class GroupCost:
    """An operator of the offline model: what it computes, where, and what bounds it."""

    name: str
    type: str
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    engine: str = ""
    cycles: int = 0
    share: float = 0.0
    bound: str = ""


@dataclass(frozen=True)
class Analysis:
    """All of it, in the model's order."""

    name: str
    soc: str
    layers: tuple[Layer, ...]
    groups: tuple[GroupCost, ...]
    cycles: int
    latency_us: float
    weight_bytes: int
    memory_bytes: int
    counts: Mapping[str, int]

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiplications of convolutions and matrix products, one inference."""
        return sum(layer.macs for layer in self.layers)


def analyze(path: Path, options: CompileOptions) -> Analysis:
    """Compiles the model and puts together what is known of it."""
    from ..lowering.onnx_file import read_model
    from ..lowering.onnx_importer import node_name
    from ..lowering.pipelines import compile_model
    from ..runtime.session import InferenceSession

    compiled = compile_model(path, options)
    session = InferenceSession(compiled.om)
    groups = _groups(compiled, session.report)
    by_node = {node: group for group in groups for node in group.nodes}
    model = read_model(path).model
    layers = tuple(
        _layer(
            node, node_name(node, index), compiled.shapes, by_node, {t.name for t in model.graph.initializer}
        )
        for index, node in enumerate(model.graph.node)
    )
    return Analysis(
        path.name,
        compiled.om.soc,
        layers,
        groups,
        session.report.cycles,
        session.report.latency_us,
        compiled.om.weight_size,
        compiled.om.memory_size,
        compiled.counts,
    )


def _groups(compiled: CompiledModel, report: Report) -> tuple[GroupCost, ...]:
    om = compiled.om
    costs: dict[int, list[Any]] = {}
    for task, cost in zip(om.tasks, report.tasks, strict=True):
        costs.setdefault(task.op_index, []).append(cost)
    found: list[GroupCost] = []
    for index, op in enumerate(om.graph):
        tasks = costs.get(index, [])
        cycles = sum(task.cycles for task in tasks)
        slowest = max(tasks, key=lambda task: task.cycles, default=None)
        bound, ratio = slowest.bound(report.soc) if slowest is not None else ("", 0.0)
        names = op.attrs.get(SOURCES, ())
        found.append(
            GroupCost(
                op.name,
                op.type,
                tuple(str(name) for name in names) if isinstance(names, tuple) else (),
                tuple(source.rpartition(":")[0] for source in op.inputs),
                _engine(slowest) if slowest is not None else "view",
                cycles,
                cycles / report.cycles if report.cycles else 0.0,
                f"{bound} {ratio:.0%}" if ratio else bound,
            )
        )
    return tuple(found)


def _engine(task: Any) -> str:
    if task.timing is None:
        return "AI CPU" if task.task_type == "AI_CPU" else str(task.task_type).lower()
    if task.timing.busy.get("M"):
        return "cube"
    return "vector" if task.timing.busy.get("V") else "move"


def _layer(
    node: NodeProto, name: str, shapes: Shapes, by_node: Mapping[str, GroupCost], weights: set[str]
) -> Layer:
    group = by_node.get(name)
    own = [shapes[operand] for operand in node.input if operand in weights and operand in shapes]
    shape = shapes.get(node.output[0]) if node.output else None
    base = Layer(name, node.op_type, shape, sum(prod(s) for s in own), macs_of(node, shapes))
    if group is None:
        return base
    return Layer(
        base.name,
        base.type,
        base.shape,
        base.parameters,
        base.macs,
        group.name,
        group.engine,
        group.cycles,
        group.bound,
    )


def macs_of(node: NodeProto, shapes: Shapes) -> int:
    """Multiplications of a node that is a product; 0 for the others and where sizes are not known."""
    operands = [shapes.get(name) for name in node.input]
    result = shapes.get(node.output[0]) if node.output else None
    if result is None or len(operands) < 2 or operands[0] is None or operands[1] is None:
        return 0
    first, second = operands[0], operands[1]
    match node.op_type:
        case "Conv" | "ConvInteger":
            return prod(result) * prod(second[1:])
        case "ConvTranspose":
            return prod(first) * prod(second[1:])
        case "MatMul" | "MatMulInteger":
            return prod(result) * first[-1]
        case "Gemm":
            turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            return prod(result) * first[0 if turned else -1]
        case _:
            return 0
