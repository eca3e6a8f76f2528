"""Rules around convolutions and matmuls: constant factors and terms go into weight and bias, transposes into
flags."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...dialects.blobs import Blob
from ...dialects.nn_attrs import EXACT
from ..nn_fold_batch_norm import scale_linear
from ..rewriting import Builder, Rule, channel_vector, constant_of, only_use, scalar_of


def affine_into_linear(op: Operation, build: Builder) -> SSAValue | None:
    """conv(x) · k, conv(x) + c with constants per channel (or one number); a matmul's channels are its
    columns."""
    if not isinstance(op, nn.AddOp | nn.MulOp) or op.lhs.type != op.output.type or not only_use(op.lhs):
        return None
    linear = op.lhs.owner
    if not isinstance(linear, nn.ConvOp | nn.ConvTransposeOp | nn.MatMulOp):
        return None
    shape = nn.shape_of(op.output)
    axis = len(shape) - 1 if isinstance(linear, nn.MatMulOp) else 1
    vector = _vector(op.rhs, len(shape), axis, shape[axis])
    if vector is None:
        return None
    factor, offset = (vector, None) if isinstance(op, nn.MulOp) else (None, vector)
    return scale_linear(linear, factor, offset, op, build)


def _vector(value: SSAValue, rank: int, axis: int, channels: int) -> Blob | None:
    number, blob = scalar_of(value), constant_of(value)
    if blob is None:
        return None
    if number is not None:
        return Blob.splat(number, (channels,), blob.dtype)
    vector = channel_vector(value, rank, axis)
    return vector if vector is not None and vector.shape == (channels,) else None


def matmul_bias(op: Operation, build: Builder) -> SSAValue | None:
    """A bias that is no constant vector [N] is an addition of its own; [1, N] is [N]."""
    if not isinstance(op, nn.MatMulOp) or op.bias is None:
        return None
    columns = nn.shape_of(op.output)[-1]
    blob = constant_of(op.bias)
    if blob is not None and blob.shape == (columns,):
        return None
    build.absorb(op)
    vector = _vector(op.bias, len(nn.shape_of(op.output)), len(nn.shape_of(op.output)) - 1, columns)
    if vector is not None:
        return build(_matmul(op, op.lhs, op.rhs, build.constant(vector)))
    return build(nn.AddOp(build(_matmul(op, op.lhs, op.rhs, None)), op.bias))


def _matmul(
    op: nn.MatMulOp, lhs: SSAValue, rhs: SSAValue, bias: SSAValue | None, **flags: bool
) -> nn.MatMulOp:
    trans_a = flags.get("trans_a", op.trans_a is not None)
    trans_b = flags.get("trans_b", op.trans_b is not None)
    return nn.MatMulOp(lhs, rhs, bias, trans_a=trans_a, trans_b=trans_b)


def scale_upwards(op: Operation, build: Builder) -> SSAValue | None:
    """A factor behind a transposition or reshape is applied before it, where it may reach the weights of a
    matmul.

    Attention scales its queries and keys after it has split them into heads: the factor belongs to the
    projection.
    """
    if not isinstance(op, nn.MulOp) or scalar_of(op.rhs) is None or op.lhs.type != op.output.type:
        return None
    inner = op.lhs.owner
    if not isinstance(inner, nn.TransposeOp | nn.ReshapeOp) or not only_use(op.lhs):
        return None
    if not isinstance(inner.input.owner, nn.TransposeOp | nn.ReshapeOp | nn.MatMulOp | nn.ConvOp | nn.AddOp):
        return None
    blob = constant_of(op.rhs)
    assert blob is not None
    factor = build.constant(
        Blob.splat(blob.values[0] if blob.is_splat else scalar_of(op.rhs) or 0.0, (), blob.dtype)
    )
    scaled = build(nn.MulOp(inner.input, factor))
    if isinstance(inner, nn.TransposeOp):
        return build(nn.TransposeOp(scaled, nn.ints(inner.perm)))
    return build(nn.ReshapeOp(scaled, nn.shape_of(op.output)))


def _swaps_last_two(value: SSAValue) -> SSAValue | None:
    """The operand of a transposition of the last two dims."""
    owner = value.owner
    if not isinstance(owner, nn.TransposeOp):
        return None
    perm = list(nn.ints(owner.perm))
    rank = len(perm)
    return owner.input if rank >= 2 and perm == [*range(rank - 2), rank - 1, rank - 2] else None


def heads_transposed(op: Operation, build: Builder) -> SSAValue | None:
    """matmul(q, k) with k brought to [.., d, keys] at once: bring it to [.., keys, d] and read it transposed.

    [n, keys, heads, d] by perm [0, 2, 3, 1] becomes perm [0, 2, 1, 3], which moves whole rows, and `trans_b`.
    """
    if not isinstance(op, nn.MatMulOp):
        return None
    for i, value in enumerate((op.lhs, op.rhs)):
        owner = value.owner
        if not isinstance(owner, nn.TransposeOp):
            continue
        perm = list(nn.ints(owner.perm))
        rank = len(perm)
        if rank < 3 or perm[-2] != rank - 1 or perm[:-2] == list(range(rank - 2)):
            continue
        moved = build(nn.TransposeOp(owner.input, [*perm[:-2], perm[-1], perm[-2]]))
        lhs, rhs = (moved, op.rhs) if i == 0 else (op.lhs, moved)
        flags = {"trans_a": op.trans_a is None} if i == 0 else {"trans_b": op.trans_b is None}
        return build(_matmul(op, lhs, rhs, op.bias, **flags))
    return None


def transposed_operand(op: Operation, build: Builder) -> SSAValue | None:
    """matmul(a, transpose b) reads b as it is stored; a constant is stored the way it is read."""
    if not isinstance(op, nn.MatMulOp):
        return None
    trans_a, trans_b = op.trans_a is not None, op.trans_b is not None
    for value, is_lhs in ((op.lhs, True), (op.rhs, False)):
        flag = trans_a if is_lhs else trans_b
        blob = constant_of(value)
        if blob is not None and flag:
            rank = len(blob.shape)
            swapped = build.constant(blob.apply("transpose", (*range(rank - 2), rank - 1, rank - 2)))
            lhs, rhs = (swapped, op.rhs) if is_lhs else (op.lhs, swapped)
            off = {"trans_a": False} if is_lhs else {"trans_b": False}
            return build(_matmul(op, lhs, rhs, op.bias, **off))
        source = _swaps_last_two(value)
        if blob is None and source is not None:
            lhs, rhs = (source, op.rhs) if is_lhs else (op.lhs, source)
            on = {"trans_a": not flag} if is_lhs else {"trans_b": not flag}
            return build(_matmul(op, lhs, rhs, op.bias, **on))
    return None


def flat_matmul(op: Operation, build: Builder) -> SSAValue | None:
    """A batch of rows times one constant matrix is one matrix product: the leading dims of lhs are rows."""
    if not isinstance(op, nn.MatMulOp) or op.trans_a is not None:
        return None
    a, b = nn.shape_of(op.lhs), nn.shape_of(op.rhs)
    if constant_of(op.rhs) is None or len(a) < 3 or len(b) != 2 or -1 in a:
        return None
    rows = 1
    for s in a[:-1]:
        rows *= s
    flat = build(nn.ReshapeOp(op.lhs, (rows, a[-1])))
    product = build(_matmul(op, flat, op.rhs, op.bias))
    return build(nn.ReshapeOp(product, nn.shape_of(op.output)))


def is_outer_product(op: nn.MatMulOp) -> bool:
    """Whether each element of the result is one product: columns times rows."""
    shape = nn.shape_of(op.lhs)
    return len(shape) > 1 and shape[-2 if op.trans_a is not None else -1] == 1 and op.bias is None


def outer_product(op: Operation, build: Builder) -> SSAValue | None:
    """Columns times rows that must not be rounded (`nn-keep-infinities`) are no work for the cube, which knows f16 only."""
    if not isinstance(op, nn.MatMulOp) or EXACT not in op.attributes or not is_outer_product(op):
        return None
    column, row = op.lhs, op.rhs
    if op.trans_a is not None:
        shape = nn.shape_of(column)
        column = build(nn.ReshapeOp(column, (*shape[:-2], shape[-1], 1)))
    if op.trans_b is not None:
        shape = nn.shape_of(row)
        row = build(nn.ReshapeOp(row, (*shape[:-2], 1, shape[-2])))
    return build(nn.MulOp(column, row))


RULES: list[Rule] = [
    matmul_bias,
    transposed_operand,
    heads_transposed,
    affine_into_linear,
    flat_matmul,
    scale_upwards,
]
