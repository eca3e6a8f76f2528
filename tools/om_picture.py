"""What a picture of an offline model shows: its operators and edges, and its tasks in order.

The drawing programs (`om_svg.py`, and Graphviz by way of `dot_text`) share this description. Constants are no boxes of
their own: an operator lists those it reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ..runtime.om.model import OmDesc, OmModel, OmTask, OmWeight

Kind: TypeAlias = Literal["input", "output", "ai_core", "ai_cpu", "copy", "view"]

COLOURS: Final[dict[Kind, tuple[str, str]]] = {
    "input": ("#e6f4ea", "#1e7d34"),
    "output": ("#e6f4ea", "#1e7d34"),
    "ai_core": ("#e8f0fe", "#1a56b8"),
    "ai_cpu": ("#fdeee4", "#b3541e"),
    "copy": ("#f3e8fd", "#7b2fb5"),
    "view": ("#f4f4f4", "#6b6b6b"),
}
"""Fill and border by who does the work; a view is done by nobody."""

MAX_WEIGHTS: Final = 3


@dataclass(frozen=True)
class Box:
    """An operator, an input or an output: what stands in its box, and the whole story for whoever points at it."""

    key: str
    kind: Kind
    title: str
    lines: tuple[str, ...]
    hint: str


@dataclass(frozen=True)
class Edge:
    """A tensor from one box to another."""

    source: str
    target: str
    label: str


@dataclass(frozen=True)
class Step:
    """A task: its place in the schedule. `start` and `cycles` are None when nobody can predict them."""

    number: int
    operator: str
    type: str
    kind: Kind
    kernel: str
    blocks: int
    stream: int
    start: int | None
    cycles: int | None


@dataclass(frozen=True)
class Picture:
    """A model as boxes, edges and steps."""

    name: str
    summary: str
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    steps: tuple[Step, ...]


def shape_text(shape: Iterable[int]) -> str:
    """`1×64×56×56`, or `scalar`"""
    return "×".join(map(str, shape)) or "scalar"


def desc_text(desc: OmDesc) -> str:
    """`f16 1×64×56×56 NC1HWC0`"""
    return f"{desc.dtype} {shape_text(desc.shape)} {desc.format}"


def kind_of(task: OmTask | None) -> Kind:
    """Who does the work of an operator."""
    if task is None:
        return "view"
    return "ai_cpu" if task.is_ai_cpu else "copy" if task.is_copy else "ai_core"


def picture_of(model: OmModel, cycles: Sequence[int] | None = None) -> Picture:
    """The picture of a model; `cycles` are those of its tasks."""
    weights = {weight.name: weight for weight in model.weights}
    tasks: dict[int, list[int]] = {}
    for number, task in enumerate(model.tasks):
        tasks.setdefault(task.op_index, []).append(number)
    boxes = [
        Box(f"input {t.name}", "input", t.name, (f"{t.dtype} {shape_text(t.shape)} {t.format}",), f"{t.size} bytes at {t.offset}")
        for t in model.inputs
    ]  # fmt: skip
    keys = {t.name: f"input {t.name}" for t in model.inputs} | {op.name: op.name for op in model.graph}
    edges: list[Edge] = []
    for position, op in enumerate(model.graph):
        numbers = tasks.get(position, [])
        task = model.tasks[numbers[0]] if numbers else None
        read = [edge.rpartition(":")[0] for edge in op.inputs]
        constants = [weights[name] for name in dict.fromkeys(read) if name in weights]
        lines = [op.name, *map(desc_text, op.output_descs[:2]), *_constants(constants)]
        if task is not None:
            lines.append(_task_line(numbers, task, cycles))
        sources = op.attrs.get("_datadump_original_op_names", ())
        hint = [op.type, op.name]
        if isinstance(sources, tuple) and sources:
            hint.append("stands for " + ", ".join(map(str, sources)))
        if task is not None:
            hint.append(f"kernel {task.kernel}")
        boxes.append(Box(op.name, kind_of(task), op.type, tuple(lines), "\n".join(hint)))
        edges += [
            Edge(keys[name], op.name, desc_text(desc))
            for name, desc in zip(read, op.input_descs, strict=False)
            if name in keys
        ]
    for tensor in model.outputs:
        key = f"output {tensor.name}"
        text = f"{tensor.dtype} {shape_text(tensor.shape)} {tensor.format}"
        boxes.append(Box(key, "output", tensor.name, (text,), f"{tensor.size} bytes at {tensor.offset}"))
        source = tensor.source.rpartition(":")[0]
        if source in keys:
            edges.append(Edge(keys[source], key, text))
    return Picture(model.name, _summary(model, cycles), tuple(boxes), tuple(edges), _steps(model, cycles))


def _constants(constants: Sequence[OmWeight]) -> list[str]:
    lines = [f"• {w.dtype} {shape_text(w.shape)} {w.format} {w.name}" for w in constants[:MAX_WEIGHTS]]
    return (
        [*lines, f"• {len(constants) - MAX_WEIGHTS} more constants"]
        if len(constants) > MAX_WEIGHTS
        else lines
    )


def _task_line(numbers: Sequence[int], task: OmTask, cycles: Sequence[int] | None) -> str:
    parts = [f"task {', '.join(map(str, numbers))}"]
    if task.is_ai_core:
        parts.append(f"{task.block_dim} block{'s' if task.block_dim != 1 else ''}")
    if cycles is not None:
        parts.append(f"{sum(cycles[number] for number in numbers)} cycles")
    return ", ".join(parts)


def _summary(model: OmModel, cycles: Sequence[int] | None) -> str:
    parts = [
        model.soc,
        f"{len(model.graph)} operators",
        f"{len(model.tasks)} tasks",
        f"{len(model.kernels)} kernels",
        f"feature map {model.memory_size} bytes",
        f"weights {model.weight_size} bytes",
    ]
    return ", ".join([*parts, f"{sum(cycles)} cycles"] if cycles is not None else parts)


def _steps(model: OmModel, cycles: Sequence[int] | None) -> tuple[Step, ...]:
    steps: list[Step] = []
    start = 0
    for number, task in enumerate(model.tasks):
        took = cycles[number] if cycles is not None else None
        op = model.graph[task.op_index] if model.graph else None
        name, kind = (op.name, op.type) if op is not None else (task.kernel, "Kernel")
        began = start if took is not None else None
        steps.append(
            Step(number, name, kind, kind_of(task), task.kernel, task.block_dim, task.stream, began, took)
        )
        start += took or 0
    return tuple(steps)


# --------------------------------------------------------------------------------------------------- Graphviz
def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def dot_text(picture: Picture) -> str:
    """The picture in the language of Graphviz: the graph, and beside it the tasks in order."""
    lines = [
        f"digraph {_quoted(picture.name)} {{",
        f"  label={_quoted(f'{picture.name}: {picture.summary}')}; labelloc=t;",
        '  node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=10];',
        '  edge [fontname="sans-serif", fontsize=8, color="#666666"];',
        "  subgraph cluster_graph {",
        '    label="graph";',
    ]
    for box in picture.boxes:
        fill, border = COLOURS[box.kind]
        label = "\n".join([box.title, *box.lines])
        lines.append(
            f"    {_quoted(box.key)} [label={_quoted(label)}, fillcolor={_quoted(fill)}, color={_quoted(border)}, "
            f"tooltip={_quoted(box.hint)}];"
        )
    lines += [
        f"    {_quoted(e.source)} -> {_quoted(e.target)} [label={_quoted(e.label)}];" for e in picture.edges
    ]
    lines += ["  }", "  subgraph cluster_schedule {", '    label="schedule";', "    node [style=filled];"]
    for step in picture.steps:
        fill, border = COLOURS[step.kind]
        time = "" if step.cycles is None else f"\ncycles {step.start} to {(step.start or 0) + step.cycles}"
        label = f"{step.number} {step.operator}\n{step.kernel}, {step.blocks} blocks{time}"
        lines.append(
            f"    {_quoted(f'task {step.number}')} "
            f"[label={_quoted(label)}, fillcolor={_quoted(fill)}, color={_quoted(border)}];"
        )
    numbers = [_quoted(f"task {step.number}") for step in picture.steps]
    lines += [f"    {one} -> {next_one};" for one, next_one in itertools.pairwise(numbers)]
    return "\n".join([*lines, "  }", "}", ""])
