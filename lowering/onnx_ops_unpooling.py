"""Positions of maxima in windows, and putting them back."""

from __future__ import annotations

from math import inf, prod

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_windows import Window
from .onnx_selection import chosen, positions


def maxima_positions(
    node: Node, x: Value, window: Window, pads: tuple[int, ...], out: tuple[int, ...]
) -> Value:
    """Where the maximum of each window of an image [N, C, H, W] lies in the whole tensor, i64 [N, C, *out]: the
    windows' elements side by side, the first largest wins. Positions are whole numbers in f32."""
    batch, channels, height, width = x.shape
    top, left, bottom, right = pads
    padded = node.precise(nn.PadOp, x, (0, 0, top, left, 0, 0, bottom, right), "constant", -inf)
    pieces: list[Value] = []
    places: list[np.ndarray] = []  # type: ignore[type-arg]
    rows, cols = (np.arange(out[i]) * window.strides[i] - pads[i] for i in range(2))
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            down, across = i * window.dilations[0], j * window.dilations[1]
            piece = node.precise(
                nn.SliceOp, padded, (0, 0, down, across), (batch, channels, *out), (1, 1, *window.strides)
            )
            pieces.append(node.reshape(piece, (batch * channels, 1, prod(out))))
            spot = (rows + down)[:, None], (cols + across)[None, :]
            by_column = bool(node.int("storage_order", 0))
            place = spot[1] * height + spot[0] if by_column else spot[0] * width + spot[1]
            places.append(place.reshape(1, -1))
    taps = node.precise(nn.ConcatOp, pieces, 1) if len(pieces) > 1 else pieces[0]
    best = node.precise(nn.ReduceOp, taps, "max", (1,), keepdims=True)
    is_best = node.precise(nn.EqualOp, taps, best)
    table = np.stack(places, 1).astype(np.float32)
    far = node.scalar(float(height * width), node.constant(table))
    found = node.precise(nn.WhereOp, is_best, node.constant(table), far)
    place = node.cast(node.precise(nn.ReduceOp, found, "min", (1,), keepdims=True), "i32")
    shift = np.arange(batch * channels, dtype=np.int32).reshape(-1, 1, 1) * (height * width)
    whole = node.emit(nn.AddOp, place, node.constant(shift))
    return node.reshape(node.cast(whole, "i64"), (batch, channels, *out))


@onnx_op("MaxUnpool")
def max_unpool(node: Node) -> Value:
    """Each value at its position, zero elsewhere; a larger size that is asked for adds zeros at the ends."""
    x, indices = node.input(0), node.input(1)
    rank = x.rank - 2
    kernel, strides = node.ints("kernel_shape"), node.ints("strides", (1,) * rank)
    pads = node.ints("pads", (0,) * (2 * rank))
    size = [(x.shape[2 + i] - 1) * strides[i] + kernel[i] - pads[i] - pads[i + rank] for i in range(rank)]
    planes, count, room = x.shape[0] * x.shape[1], prod(x.shape[2:]), prod(size)
    require(constraints.work_is_small, planes * count * room)
    shift = np.arange(planes, dtype=np.int32).reshape(-1, 1) * room
    place = node.reshape(node.cast(indices, "i32"), (planes, count))
    place = node.emit(nn.SubOp, place, node.constant(shift))
    mask = node.emit(nn.EqualOp, node.reshape(place, (planes, 1, count)), positions(node, room, 3, 1))
    result = node.reshape(chosen(node, mask, node.reshape(x, (planes, 1, count))), (*x.shape[:2], *size))
    if node.get(2) is None:
        return result
    wanted = node.known_ints(2, "output_shape")
    after = [wanted[2 + i] - size[i] for i in range(rank)]
    return node.emit(nn.PadOp, result, (*(0,) * x.rank, 0, 0, *after)) if any(after) else result
