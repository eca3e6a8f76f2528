"""Rules of nn-decompose: positions of extremes as comparisons and reductions.

The extreme is found first; the positions of the elements that equal it compete, the smallest wins (or the
largest). Positions are whole numbers in f32 lanes, exact up to 2^24.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...dialects.blobs import Blob
from ...dialects.nn_attrs import EXACT
from ..ai_cpu import reason_of
from ..rewriting import Builder, Rule

MAX_POSITION = 1 << 24
"""Whole numbers that f32 holds."""
MAX_HALF_POSITION = 1 << 11
"""Whole numbers that f16 holds."""
PIECE = 1 << 10
"""Elements of an axis that are compared at once where positions are found in f16."""
F16_MAX, F32_MAX = 65504.0, 3.4028234663852886e38


def extreme_position(supported: Callable[[Operation], bool]) -> Rule:
    """where(x == extreme, position, far), reduced. Chips that find an f32 extreme in f16 only do so in pieces whose
    positions f16 holds."""

    def rule(op: Operation, build: Builder) -> SSAValue | None:
        if not isinstance(op, nn.ArgReduceOp) or reason_of(op) is not None:
            return None
        shape, axis = nn.shape_of(op.input), op.axis.value.data
        if -1 in shape or 0 in shape or shape[axis] > MAX_POSITION:
            return None
        positions = nn.ReduceOp(build.scalar(0.0, "f32", (1,)), "max", (0,))
        if shape[axis] <= MAX_HALF_POSITION or supported(positions):
            return _positions(op, build)
        return _in_pieces(op, build)

    return rule


def _positions(op: nn.ArgReduceOp, build: Builder) -> SSAValue:
    shape, axis = nn.shape_of(op.input), op.axis.value.data
    count = shape[axis]

    def exact(inner: Operation) -> SSAValue:
        inner.attributes[EXACT] = UnitAttr()
        return build(inner)

    x = op.input
    if nn.dtype_of(x) in ("i8", "u8", "bool"):
        x = build(nn.CastOp(x, "f16"))
    best = exact(nn.ReduceOp(x, op.kind.data, [axis], keepdims=True))
    is_best = exact(nn.EqualOp(x, best))
    row = [count if i == axis else 1 for i in range(len(shape))]
    places = build.constant(Blob.splat(0.0, (count,), "f32").apply("positions").apply("reshape", tuple(row)))
    far = build.scalar(-1.0 if op.last is not None else float(count), "f32")
    found = exact(nn.WhereOp(is_best, places, far))
    place = exact(nn.ReduceOp(found, "max" if op.last is not None else "min", [axis], keepdims=True))
    result = build(nn.CastOp(place, "i64"))
    return build(nn.ReshapeOp(result, nn.shape_of(op.output)))


def _in_pieces(op: nn.ArgReduceOp, build: Builder) -> SSAValue | None:
    """The extreme of each piece of the axis and its place, then the piece whose extreme is that of all."""
    shape, axis, kind = nn.shape_of(op.input), op.axis.value.data, op.kind.data
    if nn.dtype_of(op.input) not in ("f16", "f32"):
        return None
    outer = tuple(size for i, size in enumerate(shape) if i != axis)
    rank, count = len(shape), shape[axis]
    order = (*(i for i in range(rank) if i != axis), axis)

    def exact(inner: Operation) -> SSAValue:
        inner.attributes[EXACT] = UnitAttr()
        return build(inner)

    x = op.input if order == tuple(range(rank)) else exact(nn.TransposeOp(op.input, order))
    pieces = -(-count // PIECE)
    surplus = pieces * PIECE - count
    if surplus:
        lowest = -F32_MAX if nn.dtype_of(x) == "f32" else -F16_MAX
        fill = lowest if kind == "max" else -lowest
        pads = ((0,) * (2 * rank - 1)) + (surplus,)
        x = exact(nn.PadOp(x, pads, "constant", fill))
    split = exact(nn.ReshapeOp(x, (*outer, pieces, PIECE)))
    is_last = op.last is not None
    value = exact(nn.ReduceOp(split, kind, [rank]))
    within = build(nn.ArgReduceOp(split, kind, rank, last=is_last))
    piece = build(nn.ArgReduceOp(value, kind, rank - 1, keepdims=True, last=is_last))
    numbers = np.arange(pieces, dtype=np.int64).reshape((1,) * (rank - 1) + (pieces,))
    chosen = build(nn.EqualOp(piece, build.constant(Blob.dense(numbers))))
    whole = build(nn.AddOp(within, build.constant(Blob.dense(numbers * PIECE))))
    none = build.scalar(-1.0, "i64")
    place = build(nn.ReduceOp(build(nn.WhereOp(chosen, whole, none)), "max", [rank - 1]))
    return build(nn.ReshapeOp(place, nn.shape_of(op.output)))
