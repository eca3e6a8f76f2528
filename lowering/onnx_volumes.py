"""Convolutions and pools of volumes [N, C, D, H, W] as work on planes.

A convolution is the sum of one planar convolution per tap along the depth; the planes that a tap sees are a
batch. A maximum or a mean over a box is one over its rows of planes: the number of elements that count is the
product of those along each axis, with padding left out or counted alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from ..dialects import nn
from ..dialects.nn_shapes import Shape
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value

VOLUME_RANK: Final = 5
"""Rank of a batch of volumes."""
MAX_ROW: Final = 256
"""Elements of a plane up to which it is one row of the pool along the depth: a row lies in UB, 16 channels
wide and in f32."""


@dataclass(frozen=True)
class Axis:
    """A pool's geometry along one axis; `extra` is what ceil mode adds at the end."""

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int
    extra: int


def _axes(node: Node, size: Shape, kernel_shape: tuple[int, ...] | None = None) -> list[Axis]:
    count = len(size)
    lists = {
        name: node.ints(name, default)
        for name, default in (
            ("kernel_shape", kernel_shape),
            ("strides", (1,) * count),
            ("dilations", (1,) * count),
            ("pads", (0,) * (2 * count)),
        )
    }
    for name, values in lists.items():
        require(constraints.spatial_list, name, values, 2 * count if name == "pads" else count)
    mode = node.string("auto_pad", "NOTSET")
    require(constraints.padding_mode, mode)
    ceil = bool(node.int("ceil_mode", 0))
    axes: list[Axis] = []
    for i in range(count):
        kernel, stride, dilation = lists["kernel_shape"][i], lists["strides"][i], lists["dilations"][i]
        extent = dilation * (kernel - 1) + 1
        before, after = lists["pads"][i], lists["pads"][i + count]
        if mode == "VALID":
            before = after = 0
        elif mode != "NOTSET":
            total = max((-(-size[i] // stride) - 1) * stride + extent - size[i], 0)
            before = total // 2 if mode == "SAME_UPPER" else total - total // 2
            after = total - before
        extra = 0 if not ceil or mode.startswith("SAME") else _extra(size[i], before, after, extent, stride)
        axes.append(Axis(kernel, stride, before, after, dilation, extra))
    return axes


def _extra(size: int, before: int, after: int, extent: int, stride: int) -> int:
    """A window must begin inside the input or its leading padding."""
    padded = size + before + after
    count = -(-(padded - extent) // stride) + 1
    if (count - 1) * stride >= size + before:
        count -= 1
    return max((count - 1) * stride + extent - padded, 0)


def sums_volume(node: Node, x: Value) -> Value:
    """The sum over each window of a pool of rank 5, padding and what ceil mode adds as zeros."""
    axes = _axes(node, x.shape[2:])
    after = (a.after + a.extra for a in axes)
    x = node.emit(nn.PadOp, x, (0, 0, *(a.before for a in axes), 0, 0, *after))
    plain = [Axis(a.kernel, a.stride, 0, 0, a.dilation, 0) for a in axes]
    mean = _boxes(node, x, plain, average=True, counts=False)
    return node.emit(nn.MulOp, mean, node.scalar(float(prod(a.kernel for a in axes)), x))


def pool_volume(node: Node, *, average: bool) -> Value:
    """MaxPool or AveragePool of rank 5."""
    x = node.input(0)
    axes = _axes(node, x.shape[2:])
    real = any(a.before or a.after for a in axes)
    counts = average and bool(node.int("count_include_pad", 0)) and real
    if counts and any(a.extra for a in axes):
        # the model's own padding counts, what ceil mode adds does not
        x = node.emit(nn.PadOp, x, (0, 0, *(a.before for a in axes), 0, 0, *(a.after for a in axes)))
        axes = [Axis(a.kernel, a.stride, 0, 0, a.dilation, a.extra) for a in axes]
        counts = False
    return _boxes(node, x, axes, average=average, counts=counts)


def _boxes(node: Node, x: Value, axes: list[Axis], *, average: bool, counts: bool) -> Value:
    """Over rows and columns, then over the depth."""
    n, c, depth, height, width = x.shape
    none = Axis(1, 1, 0, 0, 1, 0)
    planes = node.reshape(x, (n, c * depth, height, width))
    planes = _pool(node, planes, (axes[1], axes[2]), average=average, counts=counts)
    rows, columns = planes.shape[2:]
    if rows * columns <= MAX_ROW:
        depths = node.reshape(planes, (n, c, depth, rows * columns))
        result = _pool(node, depths, (axes[0], none), average=average, counts=counts)
        return node.reshape(result, (n, c, result.shape[2], rows, columns))
    turned = node.emit(nn.TransposeOp, node.reshape(planes, (n, c, depth, rows, columns)), (0, 1, 3, 2, 4))
    depths = node.reshape(turned, (n, c * rows, depth, columns))
    result = _pool(node, depths, (axes[0], none), average=average, counts=counts)
    split = node.reshape(result, (n, c, rows, result.shape[2], columns))
    return node.emit(nn.TransposeOp, split, (0, 1, 3, 2, 4))


def _pool(node: Node, x: Value, axes: tuple[Axis, Axis], *, average: bool, counts: bool) -> Value:
    settings = {
        "kernel": tuple(a.kernel for a in axes),
        "strides": tuple(a.stride for a in axes),
        "pads": (*(a.before for a in axes), *(a.after + a.extra for a in axes)),
        "dilations": tuple(a.dilation for a in axes),
    }
    if average:
        return node.emit(nn.AvgPoolOp, x, **settings, count_include_pad=counts)
    return node.emit(nn.MaxPoolOp, x, **settings)


def conv_volume(node: Node) -> Value:
    """Conv of rank 5."""
    x, weight = node.input(0), node.input(1)
    n, channels, depth, height, width = x.shape
    taps = weight.shape[2]
    deep, *flat = _axes(node, (depth, height, width), weight.shape[2:])
    planes = node.emit(nn.TransposeOp, x, (0, 2, 1, 3, 4))
    if deep.before or deep.after:
        planes = node.emit(nn.PadOp, planes, (0, deep.before, 0, 0, 0, 0, deep.after, 0, 0, 0))
    count = (planes.shape[1] - deep.dilation * (taps - 1) - 1) // deep.stride + 1
    step = (1, deep.stride if count > 1 else 1, 1, 1, 1)

    def seen(tap: int) -> Value:
        start, size = (0, tap * deep.dilation, 0, 0, 0), (n, count, channels, height, width)
        return node.emit(nn.SliceOp, planes, start, size, step)

    return _sum_of_taps(node, nn.ConvOp, seen, weight, flat)


def _sum_of_taps(
    node: Node, op: type[nn.ConvOp | nn.ConvTransposeOp], seen: Callable[[int], Value], weight: Value, flat: Sequence[Axis],
    **more: tuple[int, ...],
) -> Value:  # fmt: skip
    """Convolutions of the planes [n, count, c, h, w] that each tap of the depth sees, added up: [n, c, count, h, w]."""
    first, second, taps, *kernel = weight.shape
    total: Value | None = None
    n = count = 0
    for tap in range(taps):
        planes = seen(tap)
        n, count = planes.shape[:2]
        part = node.emit(nn.SliceOp, weight, (0, 0, tap, 0, 0), (first, second, 1, *kernel))
        product = node.emit(
            op,
            node.reshape(planes, (n * count, *planes.shape[2:])),
            node.reshape(part, (first, second, *kernel)),
            node.get(2) if tap == 0 else None,
            strides=tuple(a.stride for a in flat),
            pads=(*(a.before for a in flat), *(a.after for a in flat)),
            dilations=tuple(a.dilation for a in flat),
            group=node.int("group", 1),
            **more,
        )
        total = product if total is None else node.emit(nn.AddOp, total, product)
    assert total is not None
    result = node.reshape(total, (n, count, *total.shape[1:]))
    return node.emit(nn.TransposeOp, result, (0, 2, 1, 3, 4))


def conv_transpose_volume(node: Node) -> Value:
    """ConvTranspose of rank 5: along the depth the planes stand `stride` apart with zeros between them, and each tap is a
    planar transposed convolution of the planes that it sees."""
    x, weight = node.input(0), node.input(1)
    n, channels, depth, height, width = x.shape
    taps = weight.shape[2]
    deep, *flat = _transposed_axes(node, (depth, height, width), weight.shape[2:])
    spread = _spread(node, node.emit(nn.TransposeOp, x, (0, 2, 1, 3, 4)), deep)
    count = spread.shape[1] - deep.dilation * (taps - 1)

    def seen(tap: int) -> Value:
        start = (0, (taps - 1 - tap) * deep.dilation, 0, 0, 0)
        return node.emit(nn.SliceOp, spread, start, (n, count, channels, height, width))

    extra = tuple(a.extra for a in flat)
    return _sum_of_taps(node, nn.ConvTransposeOp, seen, weight, flat, output_padding=extra)


def _spread(node: Node, planes: Value, axis: Axis) -> Value:
    """[n, depth, …] with `stride` - 1 planes of zeros behind each plane, and as many around as the taps reach."""
    n, depth, *rest = planes.shape
    none = (0,) * len(rest)
    if axis.stride > 1:
        apart = node.reshape(planes, (n, depth, 1, *rest))
        apart = node.emit(nn.PadOp, apart, (0, 0, 0, *none, 0, 0, axis.stride - 1, *none))
        planes = node.reshape(apart, (n, depth * axis.stride, *rest))
    reach = axis.dilation * (axis.kernel - 1)
    before, after = reach - axis.before, reach - axis.after + axis.extra - (axis.stride - 1)
    pads = (0, max(before, 0), *none, 0, max(after, 0), *none)
    if any(pads):
        planes = node.emit(nn.PadOp, planes, pads)
    first, size = max(-before, 0), planes.shape[1] - max(-before, 0) - max(-after, 0)
    if size == planes.shape[1]:
        return planes
    return node.emit(nn.SliceOp, planes, (0, first, *none), (n, size, *rest))


def _transposed_axes(node: Node, size: Shape, kernel: tuple[int, ...]) -> list[Axis]:
    """Geometry of a transposed convolution; `extra` is the output padding."""
    count = len(size)
    mode = node.string("auto_pad", "NOTSET")
    require(constraints.padding_mode, mode)
    strides, dilations = node.ints("strides", (1,) * count), node.ints("dilations", (1,) * count)
    extra, pads = node.ints("output_padding", (0,) * count), node.ints("pads", (0,) * (2 * count))
    wanted = node.ints("output_shape", ())[-count:] if node.has("output_shape") else ()
    for name, values, number in (
        ("strides", strides, count), ("dilations", dilations, count), ("output_padding", extra, count),
        ("pads", pads, 2 * count), ("output_shape", wanted or kernel, count),
    ):  # fmt: skip
        require(constraints.spatial_list, name, values, number)
    axes: list[Axis] = []
    for i in range(count):
        before, after, more = pads[i], pads[i + count], extra[i]
        if mode == "VALID" or wanted or mode.startswith("SAME"):
            before = after = 0
        if wanted or mode.startswith("SAME"):
            full = (size[i] - 1) * strides[i] + more + dilations[i] * (kernel[i] - 1) + 1
            surplus = full - (wanted[i] if wanted else size[i] * strides[i])
            small = max(surplus, 0) // 2
            before, after = (small, max(surplus, 0) - small)
            if mode != "SAME_UPPER":
                before, after = after, before
            more += max(-surplus, 0)
        axes.append(Axis(kernel[i], strides[i], before, after, dilations[i], more))
    return axes
