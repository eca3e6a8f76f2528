"""ONNX NonMaxSuppression and MaxRoiPool.

Suppression takes the best box of each class, again and again, each time without those that it covers.
All images and classes take their step at the same time: a step is a row of `boxes` for each of them, on the AI Core,
in f32. Only putting the rows that were found one after the other is left to the AI CPU: how many there
are depends on data (decision 0020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_gather import picked
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
LOWEST_HALF = -65504.0
"""What no element of an image is below, in either float type that it may be computed in."""
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


@onnx_op("MaxRoiPool")
def max_roi_pool(node: Node) -> Value:
    """The largest element of each bin of each region: along the width, then along the height, by masks over the positions. An empty
    bin gives 0."""
    x, rois = node.input(0), node.input(1)
    require(constraints.image_rank, x.shape)
    count, (_, channels, height, width) = rois.shape[0], x.shape
    bins = node.ints("pooled_shape")
    require(constraints.spatial_list, "pooled_shape", bins, 2)
    require(constraints.work_is_small, count * channels * height * width * bins[1])
    wide = node.cast(rois, "f32")
    batches = node.cast(node.reshape(slice_axis(node, wide, 1, 0, 1), (count,)), "i32")
    corners = node.precise(nn.MulOp, wide, node.scalar(node.float("spatial_scale", 1.0), wide))
    images = picked(node, x, batches, 0)
    empty: Value | None = None
    for axis in (1, 0):  # the width first; what is left of it is turned behind the height
        low, high = _bin_ends(node, corners, axis, bins[axis], x.shape[2 + axis])
        own = node.reshape(node.precise(nn.LessEqualOp, high, low), (count, 1, *_column(bins[axis], axis)))
        empty = own if empty is None else node.emit(nn.OrOp, empty, own)
        place = positions(node, x.shape[2 + axis], 3, 2, "f32")
        ends = (node.reshape(value, (count, bins[axis], 1)) for value in (low, high))
        inside = node.emit(
            nn.AndOp,
            node.precise(nn.GreaterEqualOp, place, next(ends)),
            node.precise(nn.LessOp, place, next(ends)),
        )
        mask = node.reshape(inside, (count, 1, 1, *inside.shape[1:]))
        rows = node.reshape(images, (*images.shape[:3], 1, images.shape[3]))
        given = node.emit(nn.WhereOp, mask, rows, node.scalar(LOWEST_HALF, rows))
        images = node.emit(nn.TransposeOp, node.emit(nn.ReduceOp, given, "max", (4,)), (0, 1, 3, 2))
    assert empty is not None
    return node.emit(nn.WhereOp, empty, node.scalar(0.0, images), images)


def _column(count: int, axis: int) -> tuple[int, int]:
    return (count, 1) if axis == 0 else (1, count)


def _bin_ends(node: Node, corners: Value, axis: int, bins: int, size: int) -> tuple[Value, Value]:
    """First position of each bin and the one behind its last, f32 [regions, bins]; corners hold x before y. Quotients of whole
    numbers are taken half a step away from where they would jump."""

    def number(make: Callable[..., nn.NNOp], value: Value, by: Value | float) -> Value:
        return node.precise(make, value, by if isinstance(by, Value) else node.scalar(by, value))

    def rounded(column: int) -> Value:
        """To the nearest whole number, halves away from zero."""
        value = slice_axis(node, corners, 1, column, 1)
        up = node.precise(nn.FloorOp, number(nn.AddOp, node.precise(nn.AbsOp, value), 0.5))
        return number(nn.MulOp, up, node.precise(nn.SignOp, value))

    begin, end = rounded(2 - axis), rounded(4 - axis)
    extent = number(nn.MaxOp, number(nn.AddOp, number(nn.SubOp, end, begin), 1.0), 1.0)
    found: list[Value] = []
    for first, more in ((0, 0.5), (1, bins - 0.5)):
        numbers = node.constant(np.arange(first, first + bins, dtype=np.float32)[None])
        whole = number(nn.AddOp, number(nn.MulOp, extent, numbers), more)
        place = number(nn.AddOp, node.precise(nn.FloorOp, number(nn.MulOp, whole, 1.0 / bins)), begin)
        found.append(node.precise(nn.ClipOp, place, min=0.0, max=float(size)))
    return found[0], found[1]
