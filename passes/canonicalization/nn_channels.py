"""Rule of nn-decompose: a channel shuffle is a 1×1 convolution by a matrix of zeros and ones.

ShuffleNet splits, transposes and joins channels between its convolutions (reshape, transpose, reshape,
slice). In NC1HWC0 the channels are lanes, and moving lanes is the slowest thing the machine does; the cube
does it exactly (a product with one) at the speed of a small convolution, and where the next op is a
convolution anyway, the matrix goes into its weights and nothing is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...dialects.blobs import Blob
from ...dialects.dtypes import Array
from ..rewriting import Builder, Rule, constant_of, only_use, simplify_blob, users

_STEPS = (nn.ReshapeOp, nn.TransposeOp, nn.SliceOp)
LANES = 16
"""Channels of a block (C0 of f16): where a cut or seam is free."""
MAX_WIDENING = 4
"""A convolution may read this many times its channels rather than wait for a copy of them."""
MAX_PIECES = 4
_MAX_ELEMENTS = 1 << 22
"""Index arrays up to this size are followed through the chain."""


def channel_selection(op: Operation, build: Builder) -> SSAValue | None:
    """A chain of reshapes, transpositions and slices that only picks and orders whole channels."""
    if not isinstance(op, _STEPS) or any(isinstance(u, _STEPS) for u in users(op.output)):
        return None
    chain = _chain(op)
    if not any(isinstance(o, nn.TransposeOp) for o in chain):
        return None
    source = chain[0].operands[0]
    shape, result = nn.shape_of(source), nn.shape_of(op.output)
    if len(shape) != 4 or len(result) != 4 or shape[0] != 1 or result[0] != 1 or shape[2:] != result[2:]:
        return None
    if min(shape) < 1 or prod(shape) > _MAX_ELEMENTS:
        return None
    order = _picked_channels(chain, shape)
    matrix = None if order is None else selection_matrix(order, shape[1], nn.dtype_of(source))
    if matrix is None:
        return None
    build.absorb(*chain[:-1])
    return build(nn.ConvOp(source, build.constant(matrix.apply("reshape", (*matrix.shape, 1, 1)))))


def _chain(op: Operation) -> list[Operation]:
    """The rearranging ops that lead to op, first one first."""
    chain = [op]
    while isinstance(chain[0].operands[0].owner, _STEPS):
        chain.insert(0, chain[0].operands[0].owner)
    return chain


def _picked_channels(chain: Sequence[Operation], shape: tuple[int, ...]) -> list[int] | None:
    """For each channel of the result the channel of the source it is, None where positions move too."""
    index = np.arange(prod(shape), dtype=np.int32).reshape(shape)
    for op in chain:
        index = _apply(op, index)
    positions = shape[2] * shape[3]
    rows = index.reshape(index.shape[1], positions)
    first = rows[:, 0]
    if np.any(first % positions) or np.any(rows != first[:, None] + np.arange(positions, dtype=np.int32)):
        return None
    return [int(c) for c in first // positions]


def _apply(op: Operation, index: Array) -> Array:
    if isinstance(op, nn.TransposeOp):
        return index.transpose(nn.ints(op.perm))
    if isinstance(op, nn.SliceOp):
        starts, sizes, steps = (nn.ints(a) for a in (op.starts, op.sizes, op.steps))
        rows = [a + s * np.arange(n) for a, n, s in zip(starts, sizes, steps, strict=True)]
        return index[np.ix_(*rows)]
    return index.reshape(nn.shape_of(op.results[0]))


def selection_matrix(order: Sequence[int], channels: int, dtype: str) -> Blob | None:
    """[len(order), channels] with a one at (i, order[i]), as a blob expression; None where the order is no
    transposition."""
    for inner in range(1, channels + 1):
        if channels % inner:
            continue
        shuffled = np.arange(channels).reshape(channels // inner, inner).T.reshape(-1)
        start = int(np.flatnonzero(shuffled == order[0])[0])
        if shuffled[start : start + len(order)].tolist() == list(order):
            rows = identity(channels, dtype).apply("reshape", (channels // inner, inner, channels))
            rows = rows.apply("transpose", (1, 0, 2)).apply("reshape", (channels, channels))
            return rows.apply("slice", (start, 0), (len(order), channels), (1, 1))
    return None


def identity(size: int, dtype: str) -> Blob:
    """The unit matrix: ones every size + 1 elements."""
    ones = Blob.splat(1.0, (size, 1), dtype).apply("pad", (0, 0), (0, size), 0.0)
    flat = ones.apply("reshape", (size * (size + 1),)).apply("slice", (0,), (size * size,), (1,))
    return flat.apply("reshape", (size, size))


def selection_into_weights(op: Operation, build: Builder) -> SSAValue | None:
    """conv(select(x)): the selection goes into the weights when nobody else reads it."""
    if not isinstance(op, nn.ConvOp) or op.group.value.data != 1:
        return None
    inner, weight = op.input.owner, constant_of(op.weight)
    if weight is None or not isinstance(inner, nn.ConvOp) or not only_use(op.input):
        return None
    matrix = constant_of(inner.weight)
    if matrix is None or not _is_selection(matrix):
        return None
    build.absorb(inner)
    rows = weight.apply("transpose", (0, 2, 3, 1)).apply("matmul", matrix.apply("reshape", matrix.shape[:2]))
    new_weight = build.constant(simplify_blob(rows.apply("transpose", (0, 3, 1, 2))))
    operands = [inner.input, new_weight, *op.operands[2:]]
    return build(
        nn.ConvOp.create(operands=operands, properties=dict(op.properties), result_types=[op.output.type])
    )


def slice_into_weights(op: Operation, build: Builder) -> SSAValue | None:
    """conv(channels a to b of x), cut inside a block: the other channels get weights of zero, and nothing is
    copied."""
    if not isinstance(op, nn.ConvOp) or op.group.value.data != 1:
        return None
    inner, weight = op.input.owner, constant_of(op.weight)
    if weight is None or not isinstance(inner, nn.SliceOp):
        return None
    starts, sizes, shape = nn.ints(inner.starts), nn.ints(inner.sizes), nn.shape_of(inner.input)
    cut = [i for i in range(4) if sizes[i] != shape[i] or nn.ints(inner.steps)[i] != 1]
    if cut != [1] or nn.ints(inner.steps)[1] != 1 or shape[1] > MAX_WIDENING * sizes[1]:
        return None
    end = starts[1] + sizes[1]
    if starts[1] % LANES == 0 and (end % LANES == 0 or end == shape[1]):
        return None  # whole blocks: a view
    build.absorb(inner)
    wide = weight.apply("pad", (0, starts[1], 0, 0), (0, shape[1] - end, 0, 0), 0.0)
    operands = [inner.input, build.constant(wide), *op.operands[2:]]
    return build(
        nn.ConvOp.create(operands=operands, properties=dict(op.properties), result_types=[op.output.type])
    )


def concat_into_convolutions(op: Operation, build: Builder) -> SSAValue | None:
    """conv(concat(a, b)) whose seam is inside a block is conv(a) + conv(b): the second adds the first in its
    epilogue."""
    if not isinstance(op, nn.ConvOp) or op.group.value.data != 1:
        return None
    joined, weight = op.input.owner, constant_of(op.weight)
    if weight is None or not isinstance(joined, nn.ConcatOp) or joined.axis.value.data != 1:
        return None
    channels = [nn.shape_of(v)[1] for v in joined.inputs]
    if len(channels) > MAX_PIECES or all(c % LANES == 0 for c in channels[:-1]):
        return None
    if any(not isinstance(u, nn.ConvOp) or u.group.value.data != 1 for u in users(joined.output)):
        return None
    build.absorb(joined)
    total: SSAValue | None = None
    start, kernel = 0, weight.shape
    for value, count in zip(joined.inputs, channels, strict=True):
        part = weight.apply("slice", (0, start, 0, 0), (kernel[0], count, *kernel[2:]), (1, 1, 1, 1))
        start += count
        operands = [value, build.constant(part)]
        if total is None:
            operands += op.operands[2:]
        piece = build(
            nn.ConvOp.create(operands=operands, properties=dict(op.properties), result_types=[op.output.type])
        )
        total = piece if total is None else build(nn.AddOp(total, piece))
    return total


def _is_selection(blob: Blob) -> bool:
    """Made by `selection_matrix`: an expression of splats and moves only."""
    moves = {"reshape", "transpose", "slice", "pad", "splat"}
    while blob.op in moves and blob.inputs:
        blob = blob.inputs[0]
    return blob.op == "splat" and blob.values == (1.0,)


RULES: list[Rule] = [channel_selection]
FOLD: list[Rule] = [selection_into_weights, slice_into_weights, concat_into_convolutions]
