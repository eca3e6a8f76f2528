"""ONNX operators that rearrange elements."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np

from ..dialects import nn
from ..dialects.nn_move import PAD_MODES
from ..runtime import texts
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_gather import picked
from .onnx_node import Node, Value
from .onnx_ops import onnx_op


@onnx_op("Transpose")
def transpose(node: Node) -> Value:
    x = node.input(0)
    perm = node.ints("perm", tuple(reversed(range(x.rank))))
    return x if perm == tuple(range(x.rank)) else node.emit(nn.TransposeOp, x, perm)


@onnx_op("Concat", since=4)
def concat(node: Node) -> Value:
    return concat_along(node, node.int("axis"))


def concat_along(node: Node, along: int) -> Value:
    """All operands one after the other."""
    operands = node.inputs()
    axis = node.axis(along, operands[0].rank)
    # empty operands take no part, whatever their element type was declared as
    filled = [value for value in operands if value.shape[axis] != 0] or operands[:1]
    return filled[0] if len(filled) == 1 else node.emit(nn.ConcatOp, filled, axis=axis)


def slice_axis(node: Node, x: Value, axis: int, start: int, size: int) -> Value:
    """A contiguous piece of one axis."""
    starts = [start if i == axis else 0 for i in range(x.rank)]
    sizes = [size if i == axis else dim for i, dim in enumerate(x.shape)]
    return x if sizes == list(x.shape) else node.emit(nn.SliceOp, x, starts, sizes)


def _pieces(node: Node, x: Value, axis: int, sizes: list[int]) -> list[Value]:
    if sum(sizes) != x.shape[axis]:
        require(constraints.fits, f"split {sizes} of a dimension of {x.shape[axis]}")
    bounds = pairwise(accumulate(sizes, initial=0))
    return [slice_axis(node, x, axis, start, end - start) for start, end in bounds]


@onnx_op("Split")
def split(node: Node) -> list[Value]:
    """Sizes from an attribute (until opset 12), from an input, or equal parts (the last may be smaller)."""
    x = node.input(0)
    axis = node.axis(node.int("axis", 0), x.rank)
    if node.get(1) is not None:
        return _pieces(node, x, axis, list(node.known_ints(1, "split")))
    if node.has("split"):
        return _pieces(node, x, axis, list(node.ints("split")))
    count = node.int("num_outputs", len(node.proto.output))
    part = -(-x.shape[axis] // count)
    sizes = [max(min(part, x.shape[axis] - i * part), 0) for i in range(count)]
    return _pieces(node, x, axis, sizes)


def _slice(
    node: Node, starts: tuple[int, ...], ends: tuple[int, ...], axes: tuple[int, ...], steps: tuple[int, ...]
) -> Value:
    x = node.input(0)
    first, count, step = [0] * x.rank, list(x.shape), [1] * x.rank
    positive = [node.axis(axis, x.rank) for axis in axes]
    require(constraints.groups_share_axes, positive, x.rank)
    for axis, start, end, stride in zip(positive, starts, ends, steps, strict=True):
        if stride == 0:
            require(constraints.fits, "a slice with step 0")
        picked = range(x.shape[axis])[slice(start, end, stride)]
        first[axis], count[axis], step[axis] = picked.start if len(picked) else 0, len(picked), stride
    if count == list(x.shape) and all(s == 1 for s in step):
        return x
    return node.emit(nn.SliceOp, x, first, count, step)


@onnx_op("Slice")
def slice_attributes(node: Node) -> Value:
    starts, ends = node.ints("starts"), node.ints("ends")
    return _slice(node, starts, ends, node.ints("axes", tuple(range(len(starts)))), (1,) * len(starts))


@onnx_op("Slice", since=10)
def slice_(node: Node) -> Value:
    starts, ends = node.known_ints(1, "starts"), node.known_ints(2, "ends")
    axes = node.known_ints(3, "axes") if node.get(3) is not None else tuple(range(len(starts)))
    steps = node.known_ints(4, "steps") if node.get(4) is not None else (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        require(
            constraints.fits, f"{len(starts)} starts, {len(ends)} ends, {len(axes)} axes, {len(steps)} steps"
        )
    return _slice(node, starts, ends, axes, steps)


def padded(node: Node, pads: tuple[int, ...], value: float) -> Value:
    """The first operand with borders."""
    x = node.input(0)
    mode = node.word("mode", "constant", PAD_MODES)
    return x if not any(pads) else node.emit(nn.PadOp, x, pads, mode, value)


@onnx_op("Pad", since=2)
def pad_attributes(node: Node) -> Value:
    return padded(node, node.ints("pads"), node.float("value", 0.0))


@onnx_op("Pad", since=11)
def pad(node: Node) -> Value:
    rank = node.input(0).rank
    pads = node.known_ints(1, "pads")
    given = node.known(2, "constant_value").reshape(-1)[:1] if node.get(2) is not None else np.zeros(1)
    if given.dtype == texts.SLOT:
        require(constraints.pads_with_nothing, not any(given.tobytes()))
        given = np.zeros(1)
    value = float(given[0])
    if node.get(3) is None:
        return padded(node, pads, value)
    axes = [node.axis(axis, rank) for axis in node.known_ints(3, "axes")]
    require(constraints.groups_share_axes, axes, rank)
    full = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        full[axis], full[axis + rank] = pads[i], pads[i + len(axes)]
    return padded(node, tuple(full), value)


@onnx_op("DepthToSpace")
def depth_to_space(node: Node) -> Value:
    mode = node.word("mode", "DCR", ("DCR", "CRD"))
    return node.emit(nn.DepthToSpaceOp, node.input(0), node.int("blocksize"), mode)


@onnx_op("SpaceToDepth")
def space_to_depth(node: Node) -> Value:
    """DCR, the only order before opset 28, puts the block index outermost in the channels; CRD innermost."""
    x, block = node.input(0), node.int("blocksize")
    if node.word("mode", "DCR", ("DCR", "CRD")) == "DCR":
        return node.emit(nn.SpaceToDepthOp, x, block)
    require(constraints.image_rank, x.shape)
    batch, channels, height, width = x.shape
    require(constraints.divides, "height", height, block)
    require(constraints.divides, "width", width, block)
    split = node.reshape(x, (batch, channels, height // block, block, width // block, block))
    moved = node.emit(nn.TransposeOp, split, (0, 1, 3, 5, 2, 4))
    return node.reshape(moved, (batch, channels * block * block, height // block, width // block))


@onnx_op("Gather")
def gather(node: Node) -> Value:
    x, indices = node.input(0), node.input(1)
    axis = node.axis(node.int("axis", 0), x.rank)
    if indices.array is not None:
        require(constraints.indices_are_inside, indices.array.reshape(-1).tolist(), x.shape[axis])
    if indices.array is not None and indices.rank == 0 and x.array is None:
        # one entry of an axis is a piece, not a gather: cheaper everywhere below
        position = int(indices.array) % max(x.shape[axis], 1)
        piece = slice_axis(node, x, axis, position, 1)
        return node.reshape(piece, (*x.shape[:axis], *x.shape[axis + 1 :]))
    if indices.array is not None and (x.array is not None or x.blob is not None):
        return node.emit(nn.GatherOp, x, indices, axis)
    return picked(node, x, indices, axis)


@onnx_op("Crop")
def crop(node: Node) -> Value:
    """Cuts borders [left, top, right, bottom] off, or a size `scale` from (left, top) (experimental, gone
    since opset 10).
    """
    x = node.input(0)
    require(constraints.image_rank, x.shape)
    border = node.ints("border")
    require(constraints.spatial_list, "border", border, 4)
    left, top, right, bottom = border
    height, width = x.shape[2] - top - bottom, x.shape[3] - left - right
    if node.has("scale"):
        height, width = node.ints("scale")
    return node.emit(nn.SliceOp, x, (0, 0, top, left), (*x.shape[:2], height, width))
