"""Selection by comparison: what gathers, scatters and rankings have in common.

The AI Core has no gather from device memory. An index i picks element i of a row by a mask that is true where
the positions 0, 1, … equal i: `where(mask, row, neutral)` reduced along the row. Nothing is rounded that the
row's own type does not round, and the masks live on the chip only, inside one fused kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Final

import numpy as np

from ..dialects import dtypes, nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value

LOWEST: Final[dict[str, float]] = {
    "bool": 0, "i8": -128, "u8": 0, "i32": -(2**31), "i64": -(2**31), "u32": 0, "u64": 0, "i16": -(2**15), "u16": 0,
}  # fmt: skip
"""What loses every comparison. 64-bit integers are computed in 32 bits (decision D13)."""
HIGHEST: Final[dict[str, float]] = {
    "bool": 1, "i8": 127, "u8": 255, "i32": 2**31 - 1, "i64": 2**31 - 1, "u32": 2**32 - 1, "u64": 2**63, "i16": 2**15 - 1,
    "u16": 2**16 - 1,
}  # fmt: skip


def lowest(value: Value) -> float:
    """What no element of the type is below."""
    return -inf if value.is_float else LOWEST[value.dtype]


def highest(value: Value) -> float:
    """What no element of the type is above."""
    return inf if value.is_float else HIGHEST[value.dtype]


def positions(node: Node, count: int, rank: int, axis: int, dtype: str = "i32") -> Value:
    """0, 1, … along one axis of a tensor of some rank, 1 elsewhere."""
    shape = [count if i == axis else 1 for i in range(rank)]
    return node.constant(np.arange(count, dtype=dtypes.numpy_dtype(dtype)).reshape(shape))


def wrapped(node: Node, indices: Value, length: int) -> Value:
    """Indices as i32, negative ones counted from the end. One that lies outside takes the nearest position, as rows by
    address do (`move_gather`); of those that are known it is refused."""
    if indices.array is not None:
        require(constraints.indices_are_inside, indices.array.reshape(-1).tolist(), length)
    index = node.cast(indices, "i32")
    if index.array is not None:
        return node.constant(np.where(index.array < 0, index.array + length, index.array).astype(np.int32))
    index = node.emit(nn.ClipOp, index, min=float(-length), max=float(length - 1))
    below = node.emit(nn.ClipOp, index, min=-1.0, max=0.0)
    return node.emit(nn.SubOp, index, node.emit(nn.MulOp, below, node.scalar(length, index)))


def moved_last(node: Node, value: Value, axis: int) -> Value:
    """The axis behind all others."""
    if axis == value.rank - 1:
        return value
    return node.emit(nn.TransposeOp, value, (*(i for i in range(value.rank) if i != axis), axis))


def moved_back(node: Node, value: Value, axis: int) -> Value:
    """Undoes `moved_last`."""
    if axis == value.rank - 1:
        return value
    last = value.rank - 1
    return node.emit(nn.TransposeOp, value, (*range(axis), last, *range(axis, last)))


def inserted(node: Node, value: Value, axis: int) -> Value:
    """A further axis of size 1."""
    return node.reshape(value, (*value.shape[:axis], 1, *value.shape[axis:]))


def chosen(node: Node, mask: Value, values: Value, *, precise: bool = False) -> Value:
    """The one element per row that the mask names: `mask` and `values` broadcast to [..., row], exactly one true
    in each row (none gives zero, or the lowest integer)."""
    emit = node.precise if precise else node.emit
    if values.is_float:
        picked = emit(nn.WhereOp, mask, values, node.scalar(0.0, values))
        return emit(nn.ReduceOp, picked, "sum", (picked.rank - 1,))
    picked = node.emit(nn.WhereOp, mask, values, node.scalar(lowest(values), values))
    return node.emit(nn.ReduceOp, picked, "max", (picked.rank - 1,))


def elements_at(node: Node, x: Value, indices: Value, axis: int) -> Value:
    """GatherElements: out[…, j, …] = x[…, indices[…, j, …], …]; other axes of the indices may be shorter."""
    require(constraints.work_is_small, prod(indices.shape) * x.shape[axis])
    sizes = [x.shape[i] if i == axis else indices.shape[i] for i in range(x.rank)]
    part = x if tuple(sizes) == tuple(x.shape) else node.emit(nn.SliceOp, x, [0] * x.rank, sizes)
    row, wanted = moved_last(node, part, axis), moved_last(node, wrapped(node, indices, x.shape[axis]), axis)
    rank = x.rank + 1
    mask = node.emit(nn.EqualOp, inserted(node, wanted, x.rank), positions(node, x.shape[axis], rank, x.rank))
    return moved_back(node, chosen(node, mask, inserted(node, row, x.rank - 1)), axis)


def linear(node: Node, indices: Value, dims: Sequence[int]) -> Value:
    """Tuples of indices [..., k] into dimensions as positions in them taken together, i32 [count]."""
    count, depth = prod(indices.shape[:-1]), len(dims)
    tuples = node.reshape(node.cast(indices, "i32"), (count, depth))
    total: Value | None = None
    for i, dim in enumerate(dims):
        column = node.reshape(node.emit(nn.SliceOp, tuples, (0, i), (count, 1)), (count,))
        step = prod(dims[i + 1 :])
        part = wrapped(node, column, dim)
        part = part if step == 1 else node.emit(nn.MulOp, part, node.scalar(step, part))
        total = part if total is None else node.emit(nn.AddOp, total, part)
    return total if total is not None else node.constant(np.zeros(count, np.int32))


def rows_at(node: Node, table: Value, wanted: Value) -> Value:
    """Rows of a table [length, width] of integers, by positions [count]."""
    length, width = table.shape
    count = wanted.shape[0]
    require(constraints.work_is_small, count * length * width)
    mask = node.emit(nn.EqualOp, node.reshape(wanted, (count, 1, 1)), positions(node, length, 3, 2))
    columns = node.reshape(node.emit(nn.TransposeOp, table, (1, 0)), (1, width, length))
    return chosen(node, mask, columns)


def combined(node: Node, x: Value, mask: Value, updates: Value, reduction: str) -> Value:
    """Elements of x joined with the updates that the mask gives them: `mask` is [..., positions, updates],
    `updates` broadcasts to it, x is [..., positions]."""
    rank = mask.rank
    if reduction == "none":
        found = node.emit(nn.ReduceOp, node.cast(mask, "f16"), "max", (rank - 1,))
        return node.emit(nn.WhereOp, node.cast(found, "bool"), chosen(node, mask, updates), x)
    neutral = {"add": 0.0, "mul": 1.0, "max": lowest(x), "min": highest(x)}[reduction]
    kind, make = {
        "add": ("sum", nn.AddOp), "mul": ("prod", nn.MulOp), "max": ("max", nn.MaxOp), "min": ("min", nn.MinOp),
    }[reduction]  # fmt: skip
    given = node.emit(nn.WhereOp, mask, updates, node.scalar(neutral, updates))
    return node.emit(make, x, node.emit(nn.ReduceOp, given, kind, (rank - 1,)))
