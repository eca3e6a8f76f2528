"""ONNX operators that pick or place single elements: gathers, scatters, rankings."""

from __future__ import annotations

from math import prod

import numpy as np

from ..dialects import nn
from ..dialects.blobs import Blob
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_gather import picked
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_selection import (
    combined,
    elements_at,
    inserted,
    linear,
    moved_back,
    moved_last,
    positions,
    wrapped,
)

REDUCTIONS = ("none", "add", "mul", "max", "min")


@onnx_op("GatherElements")
def gather_elements(node: Node) -> Value:
    x, indices = node.input(0), node.input(1)
    return elements_at(node, x, indices, node.axis(node.int("axis", 0), x.rank))


@onnx_op("GatherND")
def gather_nd(node: Node) -> Value:
    """Tuples of indices are positions in the first dimensions taken together; batches shift them."""
    x, indices = node.input(0), node.input(1)
    batches, depth = node.int("batch_dims", 0), indices.shape[-1]
    batch, dims, rest = x.shape[:batches], x.shape[batches : batches + depth], x.shape[batches + depth :]
    place = linear(node, indices, dims)
    if batches:
        count = prod(indices.shape[batches:-1])
        shift = np.repeat(np.arange(prod(batch), dtype=np.int32) * prod(dims), count)
        place = node.emit(nn.AddOp, place, node.constant(shift))
    table = node.reshape(x, (prod(batch) * prod(dims), prod(rest)))
    return node.reshape(picked(node, table, place, 0), (*indices.shape[:-1], *rest))


@onnx_op("ScatterElements", "Scatter")
def scatter_elements(node: Node) -> Value:
    x, indices, updates = (node.input(i) for i in range(3))
    axis = node.axis(node.int("axis", 0), x.rank)
    reduction = node.word("reduction", "none", REDUCTIONS)
    length = x.shape[axis]
    require(constraints.work_is_small, prod(indices.shape) * length)
    sizes = [length if i == axis else indices.shape[i] for i in range(x.rank)]
    part = x if tuple(sizes) == tuple(x.shape) else node.emit(nn.SliceOp, x, [0] * x.rank, sizes)
    wanted = moved_last(node, wrapped(node, indices, length), axis)
    mask = node.emit(
        nn.EqualOp, inserted(node, wanted, x.rank - 1), positions(node, length, x.rank + 1, x.rank - 1)
    )
    given = inserted(node, moved_last(node, updates, axis), x.rank - 1)
    result = moved_back(node, combined(node, moved_last(node, part, axis), mask, given, reduction), axis)
    return _with_rest(node, x, result)


def _with_rest(node: Node, x: Value, part: Value) -> Value:
    """The first elements of every axis replaced by `part`."""
    for axis in reversed(range(x.rank)):
        size, whole = part.shape[axis], x.shape[axis]
        if size == whole:
            continue
        starts = [size if i == axis else 0 for i in range(x.rank)]
        sizes = [whole - size if i == axis else part.shape[i] for i in range(x.rank)]
        part = node.emit(nn.ConcatOp, [part, node.emit(nn.SliceOp, x, starts, sizes)], axis)
    return part


@onnx_op("ScatterND")
def scatter_nd(node: Node) -> Value:
    x, indices, updates = (node.input(i) for i in range(3))
    reduction = node.word("reduction", "none", REDUCTIONS)
    depth = indices.shape[-1]
    dims, rest = x.shape[:depth], x.shape[depth:]
    length, width, count = prod(dims), prod(rest), prod(indices.shape[:-1])
    table, rows = node.reshape(x, (length, width)), node.reshape(updates, (count, width))
    place = linear(node, indices, dims)
    if place.array is not None and reduction == "none":
        source = np.arange(length)
        source[place.array] = length + np.arange(count)
        joined = node.emit(nn.ConcatOp, [table, rows], 0)
        return node.reshape(picked(node, joined, node.constant(source.astype(np.int64)), 0), x.shape)
    mask = node.emit(nn.EqualOp, node.reshape(place, (1, count)), positions(node, length, 2, 0))
    if x.is_float and reduction in ("none", "add"):
        product = node.emit(nn.MatMulOp, node.cast(mask, x.dtype), rows)
        if reduction == "add":
            return node.reshape(node.emit(nn.AddOp, table, product), x.shape)
        found = node.emit(nn.ReduceOp, node.cast(mask, "f16"), "max", (1,), keepdims=True)
        return node.reshape(node.emit(nn.WhereOp, node.cast(found, "bool"), product, table), x.shape)
    require(constraints.work_is_small, length * width * count)
    columns = node.reshape(node.emit(nn.TransposeOp, rows, (1, 0)), (1, width, count))
    wide = node.reshape(mask, (length, 1, count))
    if reduction == "none":  # the mask must have the width too, for its own reduction
        wide = node.emit(nn.ExpandOp, wide, (length, width, count))
    return node.reshape(combined(node, table, wide, columns, reduction), x.shape)


@onnx_op("TensorScatter")
def tensor_scatter(node: Node) -> Value:
    """Rows of an update written into a cache from a position on, one position per batch."""
    cache, update = node.input(0), node.input(1)
    axis = node.axis(node.int("axis", -2), cache.rank)
    is_circular = node.word("mode", "linear", ("linear", "circular")) == "circular"
    length, count, batch = cache.shape[axis], update.shape[axis], cache.shape[0]
    first = node.get(2)
    start = node.cast(first, "i32") if first is not None else node.constant(np.zeros(batch, np.int32))
    place = node.emit(nn.AddOp, node.reshape(start, (batch, 1)), positions(node, count, 2, 1))
    if is_circular:
        place = node.emit(nn.ModOp, place, node.scalar(length, place))
    rank = cache.rank
    shape = (batch, *(1,) * (rank - 2), 1, count)
    mask = node.emit(nn.EqualOp, node.reshape(place, shape), positions(node, length, rank + 1, rank - 1))
    given = inserted(node, moved_last(node, update, axis), rank - 1)
    kept = moved_last(node, cache, axis)
    full = node.emit(nn.ExpandOp, mask, (*kept.shape[:-1], length, count))
    return moved_back(node, combined(node, kept, full, given, "none"), axis)


@onnx_op("TopK")
def top_k(node: Node) -> list[Value]:
    """The best of each row, and where they stood; an axis that is not the last is brought there."""
    x = node.input(0)
    axis = node.axis(node.int("axis", -1), x.rank)
    count = int(node.known(1, "k").reshape(-1)[0]) if node.opset >= 10 else node.int("k")
    require(constraints.row_is_sortable, x.shape[axis])
    shape = tuple(count if i == axis else size for i, size in enumerate(x.shape))
    if 0 in shape:
        return [node.expression(Blob.splat(0, shape, dtype)) for dtype in (x.dtype, "i64")]
    row, smallest = moved_last(node, x, axis), not node.int("largest", 1)
    values = node.precise(nn.TopKOp, row, count, smallest=smallest)
    indices = node.precise(nn.TopKOp, row, count, smallest=smallest, positions=True)
    return [moved_back(node, values, axis), moved_back(node, node.cast(indices, "i64"), axis)]
