"""ONNX convolutions and pooling: one-dimensional images become two-dimensional with H = 1, auto_pad and
ceil mode become pads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..dialects import nn
from ..dialects.nn_shapes import Shape
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_volumes import VOLUME_RANK, conv_transpose_volume, conv_volume, pool_volume


@dataclass(frozen=True)
class Window:
    """Geometry in two dimensions; pads as [top, left, bottom, right]."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]


def as_image(node: Node, value: Value) -> Value:
    """[N, C, L] → [N, C, 1, L]; images stay."""
    require(constraints.spatial_rank, value.shape)
    return value if value.rank == 4 else node.reshape(value, (*value.shape[:2], 1, value.shape[2]))


def back(node: Node, value: Value, rank: int) -> Value:
    """Undoes `as_image`."""
    return value if rank == 4 else node.reshape(value, (*value.shape[:2], value.shape[3]))


def _spatial(node: Node, name: str, rank: int, default: int) -> tuple[int, ...]:
    count = rank - 2
    values = node.ints(name, (default,) * count)
    require(constraints.spatial_list, name, values, count)
    return (default,) * (2 - count) + values


def _explicit_pads(node: Node, rank: int) -> tuple[int, ...]:
    count = 2 * (rank - 2)
    pads = node.ints("pads", (0,) * count)
    require(constraints.spatial_list, "pads", pads, count)
    return pads if count == 4 else (0, pads[0], 0, pads[1])


def _split(total: int, mode: str) -> tuple[int, int]:
    """SAME_UPPER puts the odd element at the end, SAME_LOWER at the beginning."""
    small, large = total // 2, total - total // 2
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def _auto_pad(node: Node) -> str:
    mode = node.string("auto_pad", "NOTSET")
    require(constraints.padding_mode, mode)
    return mode


def window_of(node: Node, image: Shape, kernel: tuple[int, ...], rank: int) -> Window:
    """Reads strides, dilations and padding of a node with a sliding window."""
    strides = _spatial(node, "strides", rank, 1)
    dilations = _spatial(node, "dilations", rank, 1)
    mode = _auto_pad(node)
    if mode == "NOTSET":
        return Window(kernel, strides, _explicit_pads(node, rank), dilations)
    if mode == "VALID":
        return Window(kernel, strides, (0, 0, 0, 0), dilations)
    before, after = [0, 0], [0, 0]
    for i in range(2):
        extent = dilations[i] * (kernel[i] - 1) + 1
        needed = (-(-image[2 + i] // strides[i]) - 1) * strides[i] + extent - image[2 + i]
        before[i], after[i] = _split(max(needed, 0), mode)
    return Window(kernel, strides, (*before, *after), dilations)


def _kernel(node: Node, rank: int) -> tuple[int, ...]:
    kernel = node.ints("kernel_shape")
    require(constraints.spatial_list, "kernel_shape", kernel, rank - 2)
    return (1,) * (4 - rank) + kernel


def _check_kernel(node: Node, weight: Value) -> None:
    if node.has("kernel_shape"):
        require(constraints.kernel_matches, node.ints("kernel_shape"), weight.shape)


@onnx_op("Conv")
def conv(node: Node) -> Value:
    rank = node.input(0).rank
    if rank == VOLUME_RANK:
        _check_kernel(node, node.input(1))
        return conv_volume(node)
    x, w = as_image(node, node.input(0)), as_image(node, node.input(1))
    _check_kernel(node, node.input(1))
    window = window_of(node, x.shape, w.shape[2:], rank)
    result = node.emit(
        nn.ConvOp,
        x,
        w,
        node.get(2),
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
        group=node.int("group", 1),
    )
    return back(node, result, rank)


@onnx_op("ConvTranspose")
def conv_transpose(node: Node) -> Value:
    rank = node.input(0).rank
    if rank == VOLUME_RANK:
        _check_kernel(node, node.input(1))
        return conv_transpose_volume(node)
    x, w = as_image(node, node.input(0)), as_image(node, node.input(1))
    _check_kernel(node, node.input(1))
    strides = _spatial(node, "strides", rank, 1)
    dilations = _spatial(node, "dilations", rank, 1)
    output_padding = _spatial(node, "output_padding", rank, 0)
    full = [
        (x.shape[2 + i] - 1) * strides[i] + output_padding[i] + dilations[i] * (w.shape[2 + i] - 1) + 1
        for i in range(2)
    ]
    pads, output_padding = _transposed_pads(node, rank, full, x.shape, strides, output_padding)
    result = node.emit(
        nn.ConvTransposeOp,
        x,
        w,
        node.get(2),
        strides=strides,
        pads=pads,
        dilations=dilations,
        output_padding=output_padding,
        group=node.int("group", 1),
    )
    return back(node, result, rank)


def _transposed_pads(
    node: Node,
    rank: int,
    full: Sequence[int],
    image: Shape,
    strides: Sequence[int],
    output_padding: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pads and output padding, from `pads`, from `output_shape` or from auto_pad."""
    mode = _auto_pad(node)
    if node.has("output_shape"):
        shape = node.ints("output_shape")[-(rank - 2) :]
        require(constraints.spatial_list, "output_shape", shape, rank - 2)
        wanted = (1,) * (4 - rank) + shape
    elif mode.startswith("SAME"):
        wanted = tuple(image[2 + i] * strides[i] for i in range(2))
    else:
        return (_explicit_pads(node, rank) if mode == "NOTSET" else (0, 0, 0, 0)), output_padding
    surplus = [full[i] - wanted[i] for i in range(2)]
    halves = [_split(max(s, 0), mode) for s in surplus]
    extended = tuple(output_padding[i] + max(-surplus[i], 0) for i in range(2))
    return (halves[0][0], halves[1][0], halves[0][1], halves[1][1]), extended


def _ceil_extra(window: Window, image: Shape) -> tuple[int, int]:
    """What ceil mode adds at the end of each axis. A window must begin inside the input or its leading
    padding.
    """
    extra = [0, 0]
    for i in range(2):
        extent = window.dilations[i] * (window.kernel[i] - 1) + 1
        stride, before, after = window.strides[i], window.pads[i], window.pads[i + 2]
        padded = image[2 + i] + before + after
        count = -(-(padded - extent) // stride) + 1
        if (count - 1) * stride >= image[2 + i] + before:
            count -= 1
        extra[i] = max((count - 1) * stride + extent - padded, 0)
    return extra[0], extra[1]


def _pool_window(node: Node, x: Value, rank: int) -> tuple[Window, tuple[int, int]]:
    window = window_of(node, x.shape, _kernel(node, rank), rank)
    is_padded = node.string("auto_pad", "NOTSET").startswith("SAME")  # already covers the last positions
    extra = _ceil_extra(window, x.shape) if node.int("ceil_mode", 0) and not is_padded else (0, 0)
    return window, extra


def pool_window(node: Node, x: Value, rank: int) -> tuple[Window, tuple[int, ...]]:
    """Geometry of a pool whose padding is all alike: pads include what ceil mode adds."""
    window, extra = _pool_window(node, x, rank)
    return window, _extended(window.pads, extra)


def _extended(pads: Sequence[int], extra: Sequence[int]) -> tuple[int, ...]:
    return pads[0], pads[1], pads[2] + extra[0], pads[3] + extra[1]


@onnx_op("MaxPool")
def max_pool(node: Node) -> Value | list[Value]:
    rank = node.input(0).rank
    if rank == VOLUME_RANK:
        require(constraints.output_is_unused, "Indices", node.uses_output(1))
        return pool_volume(node, average=False)
    x = as_image(node, node.input(0))
    window, pads = pool_window(node, x, rank)
    result = node.emit(
        nn.MaxPoolOp,
        x,
        kernel=window.kernel,
        strides=window.strides,
        pads=pads,
        dilations=window.dilations,
    )
    if not node.uses_output(1):
        return back(node, result, rank)
    from .onnx_ops_unpooling import maxima_positions

    places = maxima_positions(node, x, window, pads, result.shape[2:])
    return [back(node, result, rank), back(node, places, rank)]


@onnx_op("AveragePool")
def average_pool(node: Node) -> Value:
    rank = node.input(0).rank
    if rank == VOLUME_RANK:
        return pool_volume(node, average=True)
    x = as_image(node, node.input(0))
    window, extra = _pool_window(node, x, rank)
    count_pad = bool(node.int("count_include_pad", 0)) and any(window.pads)
    pads = _extended(window.pads, extra)
    if count_pad and any(extra):
        # the model's own padding counts, what ceil mode adds does not: make the first real and leave the
        # second
        top, left, bottom, right = window.pads
        x = node.emit(nn.PadOp, x, (0, 0, top, left, 0, 0, bottom, right))
        pads, count_pad = (0, 0, *extra), False
    result = node.emit(
        nn.AvgPoolOp,
        x,
        kernel=window.kernel,
        strides=window.strides,
        pads=pads,
        dilations=window.dilations,
        count_include_pad=count_pad,
    )
    return back(node, result, rank)


def _global_pool(kind: str) -> Callable[[Node], Value]:
    def handler(node: Node) -> Value:
        x = node.input(0)
        return node.emit(nn.ReduceOp, x, kind, tuple(range(2, x.rank)), keepdims=True)

    return handler


onnx_op("GlobalAveragePool")(_global_pool("mean"))
onnx_op("GlobalMaxPool")(_global_pool("max"))
