"""ONNX NonMaxSuppression: the best box of each class, again and again, each time without those that it covers.

All images and classes take their step at the same time: a step is a row of `boxes` for each of them, on the AI Core,
in f32. Only putting the rows that were found one after the other is left to the AI CPU: how many there
are depends on data (decision 0020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_control import stacked
from .onnx_ops_cpu import sized
from .onnx_ops_moves import slice_axis
from .onnx_selection import positions

GONE = -3.0e38
"""Score of a box that is chosen or covered."""
LEAST = -1.0e38
"""What every score that counts is above."""
TINY = 1e-30
"""Instead of an area of 0, to divide by."""


@dataclass(frozen=True)
class _Boxes:
    """Corners with low ≤ high and areas, [batch, 1 or class, box] or for one box each [batch, class, 1]."""

    low: tuple[Value, Value]
    high: tuple[Value, Value]
    area: Value

    @property
    def parts(self) -> tuple[Value, ...]:
        return (*self.low, *self.high, self.area)


def _boxes(node: Node, given: Value) -> _Boxes:
    """[batch, box, 4] as two corners in any order (y, x, y, x) or as centre and size (x, y, width, height)."""
    batch, count = given.shape[:2]
    wide = node.cast(given, "f32")
    columns = [node.reshape(slice_axis(node, wide, 2, i, 1), (batch, 1, count)) for i in range(4)]
    half = node.scalar(0.5, wide)
    low: list[Value] = []
    high: list[Value] = []
    for i in (0, 1):
        one, other = columns[i], columns[i + 2]
        if node.int("center_point_box", 0):
            size = node.precise(nn.MulOp, other, half)
            one, other = node.precise(nn.SubOp, one, size), node.precise(nn.AddOp, one, size)
        low.append(node.precise(nn.MinOp, one, other))
        high.append(node.precise(nn.MaxOp, one, other))
    sides = [node.precise(nn.SubOp, b, a) for a, b in zip(low, high, strict=True)]
    return _Boxes((low[0], low[1]), (high[0], high[1]), node.precise(nn.MulOp, *sides))


def _chosen(node: Node, boxes: _Boxes, mask: Value) -> _Boxes:
    """The box that the mask names in each row."""
    zero = node.scalar(0.0, boxes.area)
    found = [
        node.precise(nn.ReduceOp, node.precise(nn.WhereOp, mask, part, zero), "sum", (2,), keepdims=True)
        for part in boxes.parts
    ]
    return _Boxes((found[0], found[1]), (found[2], found[3]), found[4])


def _covered(node: Node, boxes: _Boxes, best: _Boxes, threshold: Value) -> Value:
    """Whether intersection over union with the best box is above the threshold."""
    sides = [
        node.precise(
            nn.ClipOp,
            node.precise(
                nn.SubOp, node.precise(nn.MinOp, own[1], other[1]), node.precise(nn.MaxOp, own[0], other[0])
            ),
            min=0.0,
            max=None,
        )
        for own, other in zip(
            zip(boxes.low, boxes.high, strict=True), zip(best.low, best.high, strict=True), strict=True
        )
    ]
    common = node.precise(nn.MulOp, *sides)
    union = node.precise(nn.SubOp, node.precise(nn.AddOp, boxes.area, best.area), common)
    union = node.precise(nn.ClipOp, union, min=TINY, max=None)
    return node.precise(nn.GreaterOp, node.precise(nn.DivOp, common, union), threshold)


def _number(node: Node, index: int, what: str, default: float) -> float:
    return default if node.get(index) is None else float(node.known(index, what).reshape(-1)[0])


@onnx_op("NonMaxSuppression")
def non_max_suppression(node: Node) -> Value:
    """Rows (batch, class, box), of each class in the order of falling scores."""
    given, scores = node.input(0), node.cast(node.input(1), "f32")
    batch, classes, count = scores.shape
    steps = min(int(_number(node, 2, "max_output_boxes_per_class", 0)), count)
    if not steps:
        return node.constant(np.zeros((0, 3), np.int64))
    require(constraints.steps_are_few, steps)
    require(constraints.work_is_small, prod(scores.shape) * steps)
    boxes = _boxes(node, given)
    threshold = node.scalar(_number(node, 3, "iou_threshold", 0.0), scores)
    gone = node.scalar(GONE, scores)
    least = _number(node, 4, "score_threshold", LEAST)
    counts = node.precise(nn.GreaterOp, scores, node.scalar(max(least, LEAST), scores))
    scores = node.precise(nn.WhereOp, counts, scores, gone)
    places = positions(node, count, 3, 2, "f32")
    found: list[Value] = []
    for step in range(steps):
        top = node.precise(nn.ReduceOp, scores, "max", (2,), keepdims=True)
        left = node.precise(nn.GreaterOp, top, node.scalar(LEAST, top))
        largest = node.precise(nn.GreaterEqualOp, scores, top)
        best = node.precise(nn.WhereOp, largest, places, node.scalar(float(count), places))
        best = node.precise(nn.ReduceOp, best, "min", (2,), keepdims=True)
        found.append(node.cast(node.precise(nn.WhereOp, left, best, node.scalar(-1.0, best)), "i32"))
        if step == steps - 1:
            break
        mask = node.precise(nn.EqualOp, places, best)
        covered = _covered(node, boxes, _chosen(node, boxes, mask), threshold)
        scores = node.precise(nn.WhereOp, node.emit(nn.OrOp, covered, mask), gone, scores)
    return _rows(node, found, (batch, classes, steps))


def _rows(node: Node, found: Sequence[Value], shape: tuple[int, int, int]) -> Value:
    """All rows there may be, and of these the ones with a box."""
    count = prod(shape)
    steps = stacked(node, [node.reshape(v, (count // shape[2],)) for v in found])
    box = node.reshape(node.emit(nn.TransposeOp, steps, (1, 0)), (count,))
    keeps = node.emit(nn.GreaterEqualOp, box, node.scalar(0, box))
    image, kind, _ = np.indices(shape, np.int32).reshape(3, count)
    columns = stacked(node, [node.constant(image), node.constant(kind), box])
    rows = node.cast(node.emit(nn.TransposeOp, columns, (1, 0)), "i64")
    return sized(node, [rows, keeps], "Compress", (count, 3), "i64", 0, axis=0)
