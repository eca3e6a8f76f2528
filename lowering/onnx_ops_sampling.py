"""Sampling of images at computed positions, as products with interpolation weights.

A position between the elements of an axis is a row of weights over that axis: 1 - f and f at its neighbours (four
cubic ones), 0 elsewhere, made by comparing neighbour and position. Rows of several axes multiply; the cube then
multiplies them with the image. Positions and weights are f32, the product is f16 as all products are.
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
from .onnx_ops_moves import slice_axis
from .onnx_selection import positions

CUBIC = -0.75
"""The parameter of the cubic kernel that ONNX fixes for GridSample."""


@dataclass(frozen=True)
class Sampler:
    """How positions on one axis of `size` elements become weights. Positions are f32 [..., count] in elements."""

    node: Node
    size: int
    mode: str = "linear"
    padding: str = "zeros"
    low: float = 0.0
    high: float = 0.0
    """Where reflection turns."""

    def _new(self, make: Callable[..., nn.NNOp], *args: Value | float, **attrs: float) -> Value:
        like = next(arg for arg in args if isinstance(arg, Value))
        values = [self.node.scalar(arg, like) if not isinstance(arg, Value) else arg for arg in args]
        return self.node.precise(make, *values, **attrs)

    def _reflected(self, place: Value) -> Value:
        """Back and forth between the borders."""
        width = self.high - self.low
        if width <= 0:
            return self._new(nn.MulOp, place, 0.0)
        away = self._new(nn.AbsOp, self._new(nn.AddOp, place, -self.low))
        turns = self._new(nn.FloorOp, self._new(nn.MulOp, away, 1.0 / width))
        rest = self._new(nn.SubOp, away, self._new(nn.MulOp, turns, width))
        half = self._new(nn.MulOp, turns, 0.5)
        is_odd = self._new(nn.MulOp, self._new(nn.SubOp, half, self._new(nn.FloorOp, half)), 2.0)
        swing = self._new(nn.SubOp, self._new(nn.MulOp, rest, -2.0), -width)  # high - rest - (low + rest)
        there = self._new(nn.AddOp, rest, self.low)
        return self._new(nn.AddOp, there, self._new(nn.MulOp, is_odd, swing))

    def _inside(self, place: Value) -> Value:
        """Positions beyond the borders, brought back as the padding says."""
        if self.padding == "zeros":
            return place
        if self.padding == "reflection":
            return self._reflected(place)
        below = self._new(nn.LessOp, place, self.low)
        above = self._new(nn.GreaterOp, place, self.high)
        place = self._new(nn.WhereOp, below, self.node.scalar(0.0, place), place)
        return self._new(nn.WhereOp, above, self.node.scalar(float(self.size - 1), place), place)

    def _neighbour(self, index: Value) -> Value:
        """Whole positions beyond the ends."""
        if self.padding == "border":
            return self._new(nn.ClipOp, index, min=0.0, max=float(self.size - 1))
        if self.padding == "reflection":
            return self._new(nn.FloorOp, self._reflected(index))
        return index

    def _taps(self, fraction: Value) -> list[tuple[float, Value]]:
        new, one = self._new, self.node.scalar(1.0, fraction)
        rest = new(nn.SubOp, one, fraction)
        if self.mode == "linear":
            return [(0.0, rest), (1.0, fraction)]

        def inner(t: Value) -> Value:
            """((a + 2) t - (a + 3)) t² + 1"""
            line = new(nn.AddOp, new(nn.MulOp, t, CUBIC + 2), -(CUBIC + 3))
            return new(nn.AddOp, new(nn.MulOp, new(nn.MulOp, line, t), t), 1.0)

        def outer(t: Value) -> Value:
            """((a t - 5a) t + 8a) t - 4a"""
            line = new(nn.AddOp, new(nn.MulOp, t, CUBIC), -5 * CUBIC)
            line = new(nn.AddOp, new(nn.MulOp, line, t), 8 * CUBIC)
            return new(nn.AddOp, new(nn.MulOp, line, t), -4 * CUBIC)

        far_left, far_right = new(nn.AddOp, fraction, 1.0), new(nn.AddOp, rest, 1.0)
        return [(-1.0, outer(far_left)), (0.0, inner(fraction)), (1.0, inner(rest)), (2.0, outer(far_right))]

    def weights(self, place: Value) -> Value:
        """[..., count] → [..., count, size]"""
        place = self._inside(place) if self.mode != "nearest" else self._inside(self._new(nn.RoundOp, place))
        if self.mode == "nearest":
            return self.node.cast(self._at(self._new(nn.FloorOp, place)), "f32")
        total, *others = self.neighbours(place)
        for part in others:
            total = self._new(nn.AddOp, total, part)
        return total

    def neighbours(self, place: Value) -> list[Value]:
        """Weights of each neighbour alone, [..., count, size]; they add up to `weights`."""
        node = self.node
        base = self._new(nn.FloorOp, place)
        found: list[Value] = []
        for shift, weight in self._taps(self._new(nn.SubOp, place, base)):
            column = node.reshape(weight, (*weight.shape, 1))
            at = self._at(self._new(nn.AddOp, base, shift))
            found.append(self._new(nn.WhereOp, at, column, node.scalar(0.0, column)))
        return found

    def _at(self, index: Value) -> Value:
        """Where the row's position is the index."""
        column = self.node.reshape(self._neighbour(index), (*index.shape, 1))
        row = positions(self.node, self.size, index.rank + 1, index.rank, "f32")
        return self.node.precise(nn.EqualOp, column, row)


def _joined(node: Node, rows: Sequence[Value]) -> Value:
    """Weights over several axes, [..., count, size] each → [..., count, product of sizes]."""
    joined = rows[0]
    for row in rows[1:]:
        lead, (a, b) = joined.shape[:-1], (joined.shape[-1], row.shape[-1])
        outer = node.precise(nn.MulOp, node.reshape(joined, (*lead, a, 1)), node.reshape(row, (*lead, 1, b)))
        joined = node.reshape(outer, (*lead, a * b))
    return joined


MODES = {"bilinear": "linear", "bicubic": "cubic"}


@onnx_op("GridSample")
def grid_sample(node: Node) -> Value:
    """The grid holds positions from -1 to 1, the last axis of the image first."""
    x, grid = node.input(0), node.input(1)
    word = node.word("mode", "linear", ("linear", "nearest", "cubic", *MODES))
    padding = node.word("padding_mode", "zeros", ("zeros", "border", "reflection"))
    corners = bool(node.int("align_corners", 0))
    dims, batch, count = x.shape[2:], x.shape[0], prod(grid.shape[1:-1])
    require(constraints.work_is_small, batch * count * prod(dims))
    flat = node.cast(node.reshape(grid, (batch, count, len(dims))), "f32")
    rows: list[Value] = []
    for axis, size in enumerate(dims):
        column = slice_axis(node, flat, 2, len(dims) - 1 - axis, 1)
        place = node.reshape(column, (batch, count))
        scale = (size - 1) / 2 if corners else size / 2
        shift = (size - 1) / 2
        place = node.precise(
            nn.AddOp, node.precise(nn.MulOp, place, node.scalar(scale, place)), node.scalar(shift, place)
        )
        low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
        rows.append(Sampler(node, size, MODES.get(word, word), padding, low, high).weights(place))
    weights = node.cast(_joined(node, rows), x.dtype)
    image = node.reshape(x, (batch, x.shape[1], prod(dims)))
    result = node.emit(nn.MatMulOp, image, weights, trans_b=True)
    return node.reshape(result, (*x.shape[:2], *grid.shape[1:-1]))


@onnx_op("RoiAlign")
def roi_align(node: Node) -> Value:
    """Means of a grid of samples in each bin; the samples' rows of weights are averaged per axis first. The maximum is
    that of the four weighted neighbours of all samples, as ONNX defines it."""
    x, rois, batches = node.input(0), node.input(1), node.input(2)
    ratio = node.int("sampling_ratio", 0)
    require(constraints.fixed_sampling, ratio)
    mode = node.word("mode", "avg", ("avg", "max"))
    default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    word = node.word("coordinate_transformation_mode", default, ("half_pixel", "output_half_pixel"))
    half, scale = word == "half_pixel", node.float("spatial_scale", 1.0)
    count = rois.shape[0]
    corners = node.precise(nn.MulOp, rois, node.scalar(scale, rois))
    corners = node.precise(nn.AddOp, corners, node.scalar(-0.5 if half else 0.0, rois))
    rows: list[list[Value]] = []
    sizes = node.int("output_height", 1), node.int("output_width", 1)
    for first, (size, bins) in enumerate(zip(x.shape[2:], sizes, strict=True)):
        start, end = (slice_axis(node, corners, 1, 1 - first + shift, 1) for shift in (0, 2))
        extent = node.precise(nn.SubOp, end, start)
        if not half:
            extent = node.precise(nn.MaxOp, extent, node.scalar(1.0, extent))
        steps = ((np.arange(bins * ratio) + 0.5) / (bins * ratio)).astype(np.float32)
        place = node.precise(nn.AddOp, start, node.precise(nn.MulOp, extent, node.constant(steps[None, :])))
        parts = _samples(node, place, size)
        if mode == "avg":
            total = node.precise(nn.AddOp, *parts)
            shape = (count, bins, ratio, size)
            parts = [node.emit(nn.ReduceOp, node.reshape(total, shape), "mean", (2,))]
        rows.append([_as(node, part, x, count) for part in parts])
    images = picked(node, x, batches, 0)
    talls = [node.emit(nn.MatMulOp, part, images) for part in rows[0]]
    found = [node.emit(nn.MatMulOp, tall, part, trans_b=True) for tall in talls for part in rows[1]]
    if mode == "avg":
        return found[0]
    best, *others = found
    for other in others:
        best = node.emit(nn.MaxOp, best, other)
    grid = node.reshape(best, (count * x.shape[1], sizes[0], ratio, sizes[1], ratio))
    best = node.emit(nn.ReduceOp, node.emit(nn.ReduceOp, grid, "max", (4,)), "max", (2,))
    return node.reshape(best, (count, x.shape[1], *sizes))


def _samples(node: Node, place: Value, size: int) -> list[Value]:
    """Weights of the two neighbours of each sample, [rois, samples, size]; what lies a whole element outside counts 0."""
    low = node.precise(nn.LessOp, place, node.scalar(-1.0, place))
    high = node.precise(nn.GreaterOp, place, node.scalar(float(size), place))
    inside = node.precise(nn.ClipOp, place, min=0.0, max=float(size - 1))
    outside = node.reshape(node.emit(nn.OrOp, low, high), (*place.shape, 1))
    parts = Sampler(node, size, padding="border", low=0.0, high=size - 1.0).neighbours(inside)
    return [node.precise(nn.WhereOp, outside, node.scalar(0.0, part), part) for part in parts]


def _as(node: Node, rows: Value, like: Value, count: int) -> Value:
    return node.reshape(node.cast(rows, like.dtype), (count, 1, *rows.shape[1:]))


@onnx_op("DeformConv")
def deform_conv(node: Node) -> Value:
    """Each element of the filter reads the image at its own offset; what it reads are columns of a product."""
    x, weight, offset = (node.input(i) for i in range(3))
    require(constraints.image_rank, x.shape)
    batch, channels, height, width = x.shape
    rows, cols = weight.shape[2:]
    out = offset.shape[2:]
    parts, groups = node.int("offset_group", 1), node.int("group", 1)
    taps = rows * cols
    require(constraints.work_is_small, batch * parts * taps * prod(out) * height * width)
    pads, strides = node.ints("pads", (0,) * 4), node.ints("strides", (1, 1))
    dilations = node.ints("dilations", (1, 1))
    moved = node.cast(node.reshape(offset, (batch, parts, taps, 2, *out)), "f32")
    both: list[Value] = []
    for axis, size in enumerate((height, width)):
        own = node.reshape(slice_axis(node, moved, 3, axis, 1), (batch, parts, taps, *out))
        tap = np.arange((rows, cols)[axis]) * dilations[axis]
        tap = np.repeat(tap, cols) if axis == 0 else np.tile(tap, rows)
        place = np.arange(out[axis]) * strides[axis] - pads[axis]
        grid = tap[:, None, None] + (place[None, :, None] if axis == 0 else place[None, None, :])
        base = np.broadcast_to(grid, (taps, *out)).astype(np.float32)
        spot = node.precise(nn.AddOp, own, node.constant(np.ascontiguousarray(base[None, None])))
        both.append(Sampler(node, size).weights(node.reshape(spot, (batch, parts, taps * prod(out)))))
    weights = node.cast(_joined(node, both), x.dtype)
    image = node.reshape(x, (batch, parts, channels // parts, height * width))
    columns = node.emit(nn.MatMulOp, image, weights, trans_b=True)
    mask = node.get(4)
    if mask is not None:
        columns = node.emit(nn.MulOp, columns, node.reshape(mask, (batch, parts, 1, taps * prod(out))))
    columns = node.reshape(columns, (batch, groups, channels // groups * taps, prod(out)))
    filters = node.reshape(weight, (1, groups, weight.shape[0] // groups, channels // groups * taps))
    result = node.reshape(node.emit(nn.MatMulOp, filters, columns), (batch, weight.shape[0], *out))
    bias = node.get(3)
    return (
        result if bias is None else node.emit(nn.AddOp, result, node.reshape(bias, (weight.shape[0], 1, 1)))
    )
