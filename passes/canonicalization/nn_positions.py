"""Rules of nn-decompose: positions of extremes as comparisons and reductions.

The extreme is found first; the positions of the elements that equal it compete, the smallest wins (or the
largest). Positions are whole numbers in f32 lanes, exact up to 2^24.
"""

from __future__ import annotations

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...dialects.blobs import Blob
from ...dialects.nn_attrs import EXACT
from ..ai_cpu import reason_of
from ..rewriting import Builder, Rule

MAX_POSITION = 1 << 24
"""Whole numbers that f32 holds."""


def extreme_position(op: Operation, build: Builder) -> SSAValue | None:
    """where(x == extreme, position, far), reduced."""
    if not isinstance(op, nn.ArgReduceOp) or reason_of(op) is not None:
        return None
    shape, axis = nn.shape_of(op.input), op.axis.value.data
    count = shape[axis]
    if -1 in shape or 0 in shape or count > MAX_POSITION:
        return None

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


RULES: list[Rule] = [extreme_position]
"""All rules of this file."""
