"""Einsum and determinants: products of tensors by letters."""

from __future__ import annotations

from math import prod

import numpy as np

from ..dialects import dtypes, nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op

FLOATS = ("f16", "f32", "f64", "bf16")


def _letters(node: Node, term: str, rank: int, free: list[str]) -> list[str]:
    """The letters of one operand; an ellipsis stands for the leading letters of `free` that are left."""
    term = term.replace(" ", "")
    if "..." not in term:
        return list(term)
    before, _, after = term.partition("...")
    count = rank - len(before) - len(after)
    return [*before, *free[len(free) - count :], *after]


def _diagonal(node: Node, x: Value, letters: list[str]) -> tuple[Value, list[str]]:
    """A letter twice takes the diagonal: everything else is masked away and summed."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first, second = [i for i, item in enumerate(letters) if item == letter][:2]
            size = x.shape[first]
            shape = [size if i in (first, second) else 1 for i in range(x.rank)]
            mask = node.constant(np.eye(size, dtype=np.bool_).reshape(shape))
            x = node.emit(nn.WhereOp, mask, x, node.scalar(0, x))
            x = node.emit(nn.ReduceOp, x, "sum", (second,))
            letters = [item for i, item in enumerate(letters) if i != second]
    return x, letters


def _summed(node: Node, x: Value, letters: list[str], kept: set[str]) -> tuple[Value, list[str]]:
    axes = tuple(i for i, letter in enumerate(letters) if letter not in kept)
    if not axes:
        return x, letters
    return node.emit(nn.ReduceOp, x, "sum", axes), [item for item in letters if item in kept]


def _ordered(node: Node, x: Value, letters: list[str], order: list[str]) -> Value:
    perm = [letters.index(letter) for letter in order]
    return x if perm == list(range(len(perm))) else node.emit(nn.TransposeOp, x, perm)


def _product(
    node: Node, a: tuple[Value, list[str]], b: tuple[Value, list[str]], kept: set[str]
) -> tuple[Value, list[str]]:
    """Two operands as one batched matrix product: shared letters that are kept are batches, others the inner
    dimension."""
    (x, own), (y, other) = _summed(node, *a, kept | set(b[1])), _summed(node, *b, kept | set(a[1]))
    sizes = dict(zip(own, x.shape, strict=True)) | {
        letter: size for letter, size in zip(other, y.shape, strict=True) if size != 1 or letter not in own
    }
    batch = [letter for letter in own if letter in other and letter in kept]
    inner = [letter for letter in own if letter in other and letter not in kept]
    left = [letter for letter in own if letter not in other]
    right = [letter for letter in other if letter not in own]

    def shaped(value: Value, letters: list[str], groups: tuple[list[str], list[str]]) -> Value:
        turned = _ordered(node, value, letters, [*batch, *groups[0], *groups[1]])
        found = dict(zip(letters, value.shape, strict=True))
        shape = [*(found[item] for item in batch), *(prod(found[item] for item in group) for group in groups)]
        return node.reshape(turned, shape)

    lhs, rhs = shaped(x, own, (left, inner)), shaped(y, other, (inner, right))
    if inner:
        result = node.emit(nn.MatMulOp, lhs, rhs)
    else:  # an outer product has no sum
        result = node.emit(nn.MulOp, lhs, rhs)
    letters = [*batch, *left, *right]
    dims = [max(result.shape[i], 1) for i in range(len(batch))]
    return node.reshape(result, (*dims, *(sizes[item] for item in (*left, *right)))), letters


@onnx_op("Einsum")
def einsum(node: Node) -> Value:
    equation = node.string("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    operands = node.inputs()
    require(constraints.word_is_known, "element type", operands[0].dtype, FLOATS)
    unused = [
        chr(code)
        for code in range(ord("A"), ord("A") + 64)
        if chr(code).isalpha() and chr(code) not in equation
    ]
    most = max(v.rank - len(t.replace("...", "")) for t, v in zip(terms, operands, strict=True))
    free = unused[: max(most, 0)]
    letters = [_letters(node, term, value.rank, free) for term, value in zip(terms, operands, strict=True)]
    every = [item for own in letters for item in own]
    if arrow:
        wanted = _letters(node, right, len(right.replace("...", "")) + len(free), free)
    else:
        wanted = [*free, *sorted(item for item in set(every) if every.count(item) == 1 and item not in free)]
    parts = [_diagonal(node, value, own) for value, own in zip(operands, letters, strict=True)]
    value, own = parts[0]
    for i, part in enumerate(parts[1:], start=1):
        later = {item for other in parts[i + 1 :] for item in other[1]}
        value, own = _product(node, (value, own), part, set(wanted) | later)
    value, own = _summed(node, value, own, set(wanted))
    return _ordered(node, value, own, wanted)


MAX_DETERMINANT = 4


@onnx_op("Det")
def determinant(node: Node) -> Value:
    """By minors of the first row, in f32."""
    x = node.input(0)
    size = x.shape[-1]
    require(constraints.small_matrix, size, MAX_DETERMINANT)
    lead = x.shape[:-2]
    wide = node.cast(x, "f32") if x.dtype in ("f16", "bf16") else x

    def entry(row: int, column: int) -> Value:
        starts = (*(0,) * len(lead), row, column)
        return node.reshape(node.precise(nn.SliceOp, wide, starts, (*lead, 1, 1)), lead)

    def minor(row: int, columns: tuple[int, ...]) -> Value:
        if len(columns) == 1:
            return entry(row, columns[0])
        total: Value | None = None
        for i, column in enumerate(columns):
            rest = minor(row + 1, tuple(c for c in columns if c != column))
            part = node.precise(nn.MulOp, entry(row, column), rest)
            if total is None:
                total = part
            else:
                total = node.precise(nn.SubOp if i % 2 else nn.AddOp, total, part)
        assert total is not None
        return total

    return node.cast(minor(0, tuple(range(size))), x.dtype)


assert set(FLOATS) <= set(dtypes.DTYPES)
