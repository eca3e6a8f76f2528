"""Rule of nn-decompose: linear and cubic resizing is a product with a constant matrix along each axis.

The cube is fast enough that a dense product with a banded matrix costs less than gathering rows and mixing
them in the vector unit; and it needs no kernel of its own. The matrix is a blob expression: the resampled
rows of a unit matrix.
"""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...dialects.blobs import Blob
from ...runtime.interp.nn_move import nearest_index, source_positions
from ..rewriting import Builder, Rule
from .nn_channels import identity

MAX_MATRIX = 1 << 22
"""Elements of an interpolation matrix; a larger one stays a resize."""


def resize(op: Operation, build: Builder) -> SSAValue | None:
    """[.., H, W] → Mh · x · Mwᵗ for what changes of the last two axes."""
    if not isinstance(op, nn.ResizeOp) or op.mode.data == "nearest":
        return None
    if op.coordinate.data == "tf_crop_and_resize" or nn.dtype_of(op.input) not in ("f32", "f16"):
        return None
    shape, result = nn.shape_of(op.input), nn.shape_of(op.output)
    rank = len(shape)
    scales = [float(s) for s in op.scales.get_values()]
    changed = [i for i in range(rank) if shape[i] != result[i] or scales[i] != 1.0]
    if rank < 2 or min(shape) < 1 or any(i < rank - 2 for i in changed):
        return None
    if any(shape[i] * result[i] > MAX_MATRIX for i in changed):
        return None
    x = op.input
    for axis in changed:
        matrix = _matrix(op, axis, shape[axis], result[axis], scales[axis])
        if axis == rank - 1:
            x = build(nn.MatMulOp(x, build.constant(matrix.apply("transpose", (1, 0)))))
        else:
            x = build(nn.MatMulOp(build.constant(matrix), x))
    return x


def _matrix(op: nn.ResizeOp, axis: int, size: int, result: int, scale: float) -> Blob:
    """Interpolation weights [result, size] of one axis."""
    cubic = -0.75 if op.cubic_coeff is None else op.cubic_coeff.value.data
    flags = int(op.exclude_outside is not None), int(op.antialias is not None)
    rows = identity(size, nn.dtype_of(op.input))
    return rows.apply("interpolate", result, op.mode.data, op.coordinate.data, scale, cubic, *flags)


def one_pick(op: Operation, build: Builder) -> SSAValue | None:
    """Nearest to a single element along an axis is a slice; what is left resizes the other axes."""
    if not isinstance(op, nn.ResizeOp) or op.mode.data != "nearest" or op.roi is not None:
        return None
    shape, result = nn.shape_of(op.input), nn.shape_of(op.output)
    scales = [float(s) for s in op.scales.get_values()]
    single = [i for i, size in enumerate(result) if size == 1 and shape[i] > 1]
    if not single or op.coordinate.data == "tf_crop_and_resize":
        return None
    starts, sizes = [0] * len(shape), list(shape)
    for i in single:
        positions = source_positions(shape[i], 1, scales[i], op.coordinate.data)
        picked = int(nearest_index(positions, op.nearest.data)[0])
        starts[i], sizes[i], scales[i] = min(max(picked, 0), shape[i] - 1), 1, 1.0
    piece = build(nn.SliceOp(op.input, starts, sizes))
    if tuple(sizes) == result:
        return piece
    rest = nn.ResizeOp(
        piece,
        result,
        scales=tuple(scales),
        mode="nearest",
        coordinate=op.coordinate.data,
        nearest=op.nearest.data,
    )
    return build(rest)


RULES: list[Rule] = [one_pick, resize]
