"""Gather without a gather instruction for device memory, in the way that suits indices and table:

* indices that are known and a few runs with a constant step: slices, side by side;
* rows of whole 32-byte blocks: `nn.gather` of rows, a DMA from the address that an index makes (`move_gather`).
  A table of weights gets such rows by padding, and the result is cut;
* other numbers: a product on the cube.  Row i of the matrix [index count, table length] is 1 where the index is and
  0 elsewhere.  Every product but one is with 0, so the result is the table's value, rounded to f16 as all weights
  are;
* other integers: comparisons, exactly.

An index outside of the axis takes the nearest entry in all of them (decision 0029).
"""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_selection import rows_at, wrapped

MAX_RUNS: Final = 64
"""Slices that one gather may become."""
MOST_OPERANDS: Final = 24
"""Pieces that one kernel puts side by side."""
MAX_MATRIX: Final = 1 << 26
"""Elements of a selection matrix."""
WHOLE_BLOCKS: Final = {"f32": 16, "f16": 16, "i64": 8, "i32": 8, "i8": 32, "u8": 32, "bool": 32}
"""Elements of which rows are made that are whole 32-byte blocks: f32 may become f16, i64 may become i32."""
MOST_PADDING: Final = 4
"""Times that padded rows may be as long as the rows of a table of weights."""


def picked(node: Node, x: Value, indices: Value, axis: int) -> Value:
    """Entries of an axis; a gather that is neither case stays one (and is refused later)."""
    length = x.shape[axis]
    if 0 in (*x.shape, *indices.shape):
        return node.emit(nn.GatherOp, x, indices, axis)
    if x.dtype == "str" and indices.array is None:
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return node.emit(nn.CpuKernelOp, [x, indices], "Gather", shape, "str", axis=axis)
    if indices.array is not None:
        require(constraints.indices_are_inside, indices.array.reshape(-1).tolist(), length)
        flat = [int(i) % length for i in indices.array.reshape(-1)]
        found = runs(flat)
        if len(found) <= MAX_RUNS:
            return _sliced(node, x, indices, axis, found)
    if indices.dtype in ("i32", "i64") and _row_padding(x, indices, axis) is not None:
        return _addressed(node, x, indices, axis)
    if x.is_float and indices.dtype in ("i32", "i64") and prod(indices.shape) * length <= MAX_MATRIX:
        return _multiplied(node, x, indices, axis)
    if (
        indices.array is None
        and indices.dtype in ("i32", "i64")
        and prod(x.shape) * prod(indices.shape) <= MAX_MATRIX
    ):
        return _compared(node, x, indices, axis)
    return node.emit(nn.GatherOp, x, indices, axis)


def _row_padding(x: Value, indices: Value, axis: int) -> int | None:
    """Elements that make the rows of the table whole blocks; None where gathering rows is not the way."""
    unit = WHOLE_BLOCKS.get(x.dtype)
    if unit is None:
        return None
    row = prod(x.shape) // x.shape[axis]
    padding = -row % unit
    known = x.array is not None or x.blob is not None
    worth = known and row + padding <= MOST_PADDING * row
    return padding if not padding or worth or prod(indices.shape) * prod(x.shape) > MAX_MATRIX else None


def _addressed(node: Node, x: Value, indices: Value, axis: int) -> Value:
    """Rows of the table, each from its address."""
    length = x.shape[axis]
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    front = node.emit(nn.TransposeOp, x, (axis, *(i for i in range(x.rank) if i != axis))) if axis else x
    table = node.reshape(front, (length, prod(rest)))
    padding = _row_padding(x, indices, axis)
    if padding:
        table = node.emit(nn.PadOp, table, (0, 0, 0, padding))
    found = node.emit(nn.GatherOp, table, node.reshape(indices, (prod(indices.shape),)), 0)
    if padding:
        found = node.emit(nn.SliceOp, found, (0, 0), (prod(indices.shape), prod(rest)))
    return _axis_back(node, node.reshape(found, (*indices.shape, *rest)), indices.rank, axis)


def _compared(node: Node, x: Value, indices: Value, axis: int) -> Value:
    """Integers by comparison: each is one element of its column, exactly."""
    length = x.shape[axis]
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    front = node.emit(nn.TransposeOp, x, (axis, *(i for i in range(x.rank) if i != axis))) if axis else x
    wanted = node.reshape(wrapped(node, indices, length), (prod(indices.shape),))
    found = rows_at(node, node.reshape(front, (length, prod(rest))), wanted)
    result = node.reshape(found, (*indices.shape, *rest))
    return _axis_back(node, result, indices.rank, axis)


def _axis_back(node: Node, result: Value, before: int, axis: int) -> Value:
    """The axes of the indices stand in front; they belong in place of the axis."""
    if not axis:
        return result
    order = (*range(before, before + axis), *range(before), *range(before + axis, result.rank))
    return node.emit(nn.TransposeOp, result, order)


def runs(indices: list[int]) -> list[tuple[int, int, int]]:
    """(first, count, step) of consecutive pieces with one step that is not 0."""
    found: list[tuple[int, int, int]] = []
    for index in indices:
        if found:
            first, count, step = found[-1]
            last = first + (count - 1) * step
            if index != last and (count == 1 or index - last == step):
                found[-1] = (first, count + 1, index - last)
                continue
        found.append((index, 1, 1))
    return found


def _sliced(node: Node, x: Value, indices: Value, axis: int, found: list[tuple[int, int, int]]) -> Value:
    pieces: list[Value] = []
    for first, count, step in found:
        starts = [first if i == axis else 0 for i in range(x.rank)]
        sizes = [count if i == axis else size for i, size in enumerate(x.shape)]
        steps = [step if i == axis else 1 for i in range(x.rank)]
        whole = tuple(sizes) == tuple(x.shape) and step == 1
        pieces.append(x if whole else node.emit(nn.SliceOp, x, starts, sizes, steps))
    while len(pieces) > MOST_OPERANDS:
        groups = [pieces[i : i + MOST_OPERANDS] for i in range(0, len(pieces), MOST_OPERANDS)]
        pieces = [group[0] if len(group) == 1 else node.emit(nn.ConcatOp, group, axis) for group in groups]
    joined = pieces[0] if len(pieces) == 1 else node.emit(nn.ConcatOp, pieces, axis)
    return node.reshape(joined, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _multiplied(node: Node, x: Value, indices: Value, axis: int) -> Value:
    length, count = x.shape[axis], prod(indices.shape)
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    front = node.emit(nn.TransposeOp, x, (axis, *(i for i in range(x.rank) if i != axis))) if axis else x
    table = node.reshape(front, (length, prod(rest)))
    wanted = wrapped(node, node.reshape(indices, (count, 1)), length)
    positions = node.builder.constant(f"{node.name}/positions", np.arange(length, dtype=np.int32)[None, :])
    chosen = node.emit(nn.EqualOp, wanted, positions)
    result = node.emit(nn.MatMulOp, node.cast(chosen, x.dtype), table)
    result = node.reshape(result, (*indices.shape, *rest))
    return _axis_back(node, result, indices.rank, axis)
