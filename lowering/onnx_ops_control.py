"""ONNX control flow. Loops are written out; a branch that only the data decides becomes a selection between both."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import RefusedError, require, requirement_of
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_moves import slice_axis


@onnx_op("If")
def if_(node: Node) -> Sequence[Value]:
    condition = node.input(0)
    graphs = [node.attributes[name].g for name in ("then_branch", "else_branch")]
    if condition.array is not None:
        return node.builder.subgraph(graphs[0] if bool(condition.array.reshape(-1)[0]) else graphs[1])
    yes, no = (node.builder.subgraph(graph, suffix=f"/{i}") for i, graph in enumerate(graphs))
    if any(value.missing for value in (*yes, *no)):
        return yes
    for value in (*yes, *no):
        if value.items is not None or value.absent:  # with a known condition only one of them would be there
            _, actual = constraints.no_sequence(value.name)
            raise RefusedError(requirement_of(constraints.no_sequence), actual, condition)
    matches, actual = constraints.branches_match([v.shape for v in yes], [v.shape for v in no])
    if not matches:  # with a known condition only one of them would be there
        raise RefusedError(requirement_of(constraints.branches_match), actual, condition)
    flag = node.reshape(condition, ())
    return [node.emit(nn.WhereOp, flag, a, b) for a, b in zip(yes, no, strict=True)]


MOST_PIECES = 16
"""Pieces shorter than a DMA that one kernel puts side by side; more are joined in steps."""
SHORT_PIECE = 16
"""Elements of a DMA's least unit in f16."""


def stacked(node: Node, values: Sequence[Value], axis: int = 0) -> Value:
    """Tensors side by side along a new axis."""
    rows = [node.reshape(v, (*v.shape[:axis], 1, *v.shape[axis:])) for v in values]
    while len(rows) > MOST_PIECES and prod(rows[0].shape) < SHORT_PIECE:
        groups = [rows[i : i + MOST_PIECES] for i in range(0, len(rows), MOST_PIECES)]
        rows = [group[0] if len(group) == 1 else node.emit(nn.ConcatOp, group, axis) for group in groups]
    return rows[0] if len(rows) == 1 else node.emit(nn.ConcatOp, rows, axis)


@onnx_op("Loop")
def loop(node: Node) -> Sequence[Value]:
    """Body(iteration, condition, carried…) → condition, carried…, scanned…; ends when the condition is false."""
    body = node.attributes["body"].g
    limit = int(node.known(0, "trip count").reshape(-1)[0]) if node.get(0) is not None else None
    going = node.get(1) is None or bool(node.known(1, "condition").reshape(-1)[0])
    carried = [node.input(i) for i in range(2, len(node.operands))]
    scanned: list[list[Value]] = []
    step = 0
    while going and (limit is None or step < limit):
        require(constraints.steps_are_few, step + 1)
        values = [node.constant(np.array(step, np.int64)), node.constant(np.array(True)), *carried]
        flag, *results = node.builder.subgraph(body, values, f"/{step}")
        if any(value.missing for value in results):
            return results
        if flag.array is None:
            require(constraints.loop_free, "Loop")
        going = flag.array is None or bool(flag.array.reshape(-1)[0])
        carried = results[: len(carried)]
        scanned.append(results[len(carried) :])
        step += 1
    if not scanned:
        require(constraints.steps_are_few, 0 if len(body.output) == 1 + len(carried) else -1)
        return carried
    return [*carried, *(stacked(node, column) for column in zip(*scanned, strict=True))]


@onnx_op("Scan", since=9)
def scan(node: Node) -> Sequence[Value]:
    """Body(state…, slice…) → state…, slice…: once per slice of the scanned inputs."""
    body, count = node.attributes["body"].g, node.int("num_scan_inputs")
    operands = node.inputs()
    state, inputs = operands[: len(operands) - count], operands[len(operands) - count :]
    outputs = len(body.output) - len(state)
    axes = [
        node.axis(a, v.rank) for a, v in zip(node.ints("scan_input_axes", (0,) * count), inputs, strict=True)
    ]
    backwards = node.ints("scan_input_directions", (0,) * count)
    steps = inputs[0].shape[axes[0]]
    require(constraints.steps_are_few, steps)
    scanned: list[list[Value]] = []
    for step in range(steps):
        slices: list[Value] = []
        for value, axis, back in zip(inputs, axes, backwards, strict=True):
            piece = slice_axis(node, value, axis, steps - 1 - step if back else step, 1)
            slices.append(node.reshape(piece, (*value.shape[:axis], *value.shape[axis + 1 :])))
        results = node.builder.subgraph(body, [*state, *slices], f"/{step}")
        if any(value.missing for value in results):
            return results
        state = results[: len(state)]
        scanned.append(results[len(state) :])
    columns = [list(column) for column in zip(*scanned, strict=True)]
    places = node.ints("scan_output_axes", (0,) * outputs)
    reverse = node.ints("scan_output_directions", (0,) * outputs)
    joined = [
        stacked(node, column[::-1] if back else column, node.axis(axis, column[0].rank + 1))
        for column, axis, back in zip(columns, places, reverse, strict=True)
    ]
    return [*state, *joined]


@onnx_op("Scan", since=8)
def scan_8(node: Node) -> Sequence[Value]:
    """Before opset 9 everything had a batch dimension in front, and each entry of it was scanned alone."""
    require(constraints.input_is_absent, "sequence_lens", node.get(0) is not None)
    operands = [node.input(i) for i in range(1, len(node.operands))]
    body, count = node.attributes["body"].g, node.int("num_scan_inputs")
    states = len(operands) - count
    backwards = node.ints("directions", (0,) * count)
    entries: list[list[Value]] = []
    for entry in range(operands[0].shape[0]):
        own = [node.reshape(slice_axis(node, v, 0, entry, 1), v.shape[1:]) for v in operands]
        state, inputs = own[:states], own[states:]
        require(constraints.steps_are_few, inputs[0].shape[0])
        scanned: list[list[Value]] = []
        for step in range(inputs[0].shape[0]):
            at = [v.shape[0] - 1 - step if back else step for v, back in zip(inputs, backwards, strict=True)]
            slices = [
                node.reshape(slice_axis(node, v, 0, i, 1), v.shape[1:])
                for v, i in zip(inputs, at, strict=True)
            ]
            results = node.builder.subgraph(body, [*state, *slices], f"/{entry}.{step}")
            if any(value.missing for value in results):
                return results
            state = results[:states]
            scanned.append(results[states:])
        entries.append([*state, *(stacked(node, column) for column in zip(*scanned, strict=True))])
    return [stacked(node, column) for column in zip(*entries, strict=True)]
