"""Rules of nn-decompose: reductions of very few numbers each.

The vector unit reduces rows: a repeat makes one number of up to 256 bytes, and rows begin at whole blocks of UB.  Rows of two
numbers (real and imaginary part) fill a sixteenth of a repeat and of UB.  With the reduced axis in front, the parts lie one
behind the other, whatever else the tensor has: cutting them apart costs nothing, and each instruction combines whole
repeats of them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ..rewriting import Builder, Rule
from .nn_composites import Precise

MOST = 4
"""Numbers of one reduction; more of them fill enough of a repeat."""
LEAST = 8192
"""Results from which the transposition is worth its launch."""
RUN = 16
"""Elements that are whole blocks in any type: runs of so many are moved as they are."""
_COMBINE: dict[str, Callable[[SSAValue, SSAValue], Operation]] = {
    "sum": nn.AddOp, "mean": nn.AddOp, "max": nn.MaxOp, "min": nn.MinOp,
}  # fmt: skip
MARGIN = 256
"""Rows added to such as do not end at whole blocks: a fill that all cores share."""


def few_entries(op: Operation, build: Builder) -> SSAValue | None:
    """A reduction along an axis of two to four is elementwise work on its parts."""
    if not isinstance(op, nn.ReduceOp) or op.kind.data not in _COMBINE:
        return None
    shape, dtype = nn.shape_of(op.input), nn.dtype_of(op.input)
    real = [axis for axis in nn.ints(op.axes) if shape[axis] != 1]
    if len(real) != 1 or -1 in shape or dtype not in ("f16", "f32"):
        return None
    count = shape[real[0]]
    if not 2 <= count <= MOST or prod(shape) < LEAST * count:
        return None
    parts = _parts(op.input, real[0], build)
    precise = Precise(build)  # sums are taken in f32, as the reduction would
    while len(parts) > 1:
        pairs = [precise(_COMBINE[op.kind.data](a, b)) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[len(pairs) * 2 :]
    result = parts[0]
    if op.kind.data == "mean":
        result = precise(nn.MulOp(result, build.scalar(1 / count, dtype)))
    return build(nn.ReshapeOp(result, nn.shape_of(op.output)))


def _parts(value: SSAValue, axis: int, build: Builder) -> list[SSAValue]:
    """What lies at each place of the axis, all of one shape."""
    shape = nn.shape_of(value)
    before, count, after = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    if before == 1 or after >= RUN:
        table = build(nn.ReshapeOp(value, (before, count, after)))
        return [build(nn.SliceOp(table, (0, i, 0), (before, 1, after))) for i in range(count)]
    rows = before * after
    table = value
    if after > 1:
        table = build(nn.TransposeOp(build(nn.ReshapeOp(value, (before, count, after))), (0, 2, 1)))
    table = build(nn.ReshapeOp(table, (rows, count)))
    if rows % RUN:  # then each part begins at a whole block, and all cores can turn some of it
        table = build(nn.PadOp(table, (0, 0, -rows % RUN + MARGIN, 0)))
    turned = build(nn.TransposeOp(table, (1, 0)))
    return [build(nn.SliceOp(turned, (i, 0), (1, rows))) for i in range(count)]


RULES: list[Rule] = [few_entries]
"""All rules of this file."""
