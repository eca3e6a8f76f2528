"""Rules of nn-decompose: composites into elementwise ops and reductions, and the normal form of what is left.

A normalisation's sums and the exponentials of a softmax lose too much in f16; the ops that compute them are
marked `precise` (a unit attribute) and nn-convert-precision keeps them in f32 where the chip has f32 vector
instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import BlockArgument, Operation, SSAValue

from ...dialects import nn
from ...dialects.blobs import Blob
from ...dialects.nn_attrs import EXACT, PRECISE
from ..rewriting import Builder, Rule, constant_of, users
from .nn_movement import rebuild

MAX_POOLED_ROW = 256
"""Elements of a row that a pool surely keeps in UB, 16 channels wide and in f32."""
F16_OVERFLOW = 65520.0
"""What rounds to infinity in f16."""


class Precise:
    """Builds ops that are marked to be computed in f32."""

    def __init__(self, build: Builder):
        self.build = build

    def __call__(self, op: Operation) -> SSAValue:
        op.attributes[PRECISE] = UnitAttr()
        return self.build(op)


def _scalar(build: Builder, value: float, like: SSAValue) -> SSAValue:
    return build.scalar(value, nn.dtype_of(like))


def _aligned(build: Builder, value: SSAValue, shape: Sequence[int]) -> SSAValue:
    """A value under another shape of the same size; a constant becomes a constant."""
    if nn.shape_of(value) == tuple(shape):
        return value
    blob = constant_of(value)
    if blob is not None:
        return build.constant(blob.apply("reshape", tuple(shape)))
    return build(nn.ReshapeOp(value, shape))


def _with_axis_last(
    op: nn.UnaryOp, axis: int, build: Builder, kind: Callable[[SSAValue, int], Operation]
) -> SSAValue:
    """The op along the last axis, between two transpositions."""
    rank = len(nn.shape_of(op.input))
    perm = [i for i in range(rank) if i != axis] + [axis]
    inner = build(kind(build(nn.TransposeOp(op.input, perm)), rank - 1))
    return build(nn.TransposeOp(inner, [perm.index(i) for i in range(rank)]))


def softmax(op: Operation, build: Builder) -> SSAValue | None:
    """e^(x - max) / sum; logarithm: (x - max) - log(sum)."""
    if not isinstance(op, nn.SoftmaxOp | nn.LogSoftmaxOp):
        return None
    axis, shape = op.axis.value.data, nn.shape_of(op.input)
    if any(s != 1 for s in shape[axis + 1 :]):
        return _with_axis_last(op, axis, build, type(op))
    precise = Precise(build)
    largest = precise(nn.ReduceOp(op.input, "max", [axis], keepdims=True))
    shifted = precise(nn.SubOp(op.input, largest))
    powers = precise(nn.ExpOp(shifted))
    total = precise(nn.ReduceOp(powers, "sum", [axis], keepdims=True))
    if isinstance(op, nn.SoftmaxOp):
        return precise(nn.DivOp(powers, total))
    return precise(nn.SubOp(shifted, precise(nn.LogOp(total))))


def _normalised(x: SSAValue, axes: Sequence[int], epsilon: float, build: Builder) -> SSAValue:
    """(x - mean) / sqrt(variance + epsilon), the variance from the differences (no cancellation)."""
    precise = Precise(build)
    mean = precise(nn.ReduceOp(x, "mean", axes, keepdims=True))
    centred = precise(nn.SubOp(x, mean))
    square = precise(nn.MulOp(centred, centred))
    variance = precise(nn.ReduceOp(square, "mean", axes, keepdims=True))
    shifted = precise(nn.AddOp(variance, _scalar(build, epsilon, x)))
    return precise(nn.MulOp(centred, precise(nn.RsqrtOp(shifted))))


def layer_norm(op: Operation, build: Builder) -> SSAValue | None:
    """Statistics over the last dims, then scale and bias, all in f32."""
    if not isinstance(op, nn.LayerNormOp):
        return None
    rank = len(nn.shape_of(op.input))
    precise = Precise(build)
    result = _normalised(op.input, range(op.axis.value.data, rank), op.epsilon.value.data, build)
    result = precise(nn.MulOp(result, op.scale))
    return result if op.bias is None else precise(nn.AddOp(result, op.bias))


def instance_norm(op: Operation, build: Builder) -> SSAValue | None:
    """Statistics over the positions of a channel, then scale and bias per channel."""
    if not isinstance(op, nn.InstanceNormOp):
        return None
    shape = nn.shape_of(op.input)
    per_channel = (1, shape[1], *(1,) * (len(shape) - 2))
    precise = Precise(build)
    result = _normalised(op.input, range(2, len(shape)), op.epsilon.value.data, build)
    result = precise(nn.MulOp(result, _aligned(build, op.scale, per_channel)))
    return precise(nn.AddOp(result, _aligned(build, op.bias, per_channel)))


def batch_norm(op: Operation, build: Builder) -> SSAValue | None:
    """With parameters that are computed: nothing to fold."""
    if not isinstance(op, nn.BatchNormOp):
        return None
    shape = nn.shape_of(op.input)
    per_channel = (1, shape[1], *(1,) * (len(shape) - 2))
    scale, bias, mean, variance = (
        _aligned(build, v, per_channel) for v in (op.scale, op.bias, op.mean, op.variance)
    )
    shifted = build(nn.AddOp(variance, _scalar(build, op.epsilon.value.data, variance)))
    factor = build(nn.MulOp(scale, build(nn.RsqrtOp(shifted))))
    return build(nn.AddOp(build(nn.MulOp(build(nn.SubOp(op.input, mean)), factor)), bias))


def lrn(op: Operation, build: Builder) -> SSAValue | None:
    """The sum over neighbouring channels is an average pool over [N·1, C, H·W] as an image."""
    if not isinstance(op, nn.LRNOp):
        return None
    shape, size = nn.shape_of(op.input), op.size.value.data
    if -1 in shape or len(shape) < 3:
        return None
    alpha, beta, bias = (a.value.data for a in (op.alpha, op.beta, op.bias))
    # x is scaled before it is squared: f16 ends at 65504.
    scaled = build(nn.MulOp(op.input, _scalar(build, alpha**0.5, op.input)))
    square = build(nn.MulOp(scaled, scaled))
    before = (size - 1) // 2
    if prod(shape[2:]) > MAX_POOLED_ROW:
        mean = _channel_mean(square, size, before, build)
    else:
        image = build(nn.ReshapeOp(square, (shape[0], 1, shape[1], prod(shape[2:]))))
        pads = (before, 0, size - 1 - before, 0)
        window = nn.AvgPoolOp(image, kernel=(size, 1), strides=(1, 1), pads=pads, count_include_pad=True)
        mean = build(nn.ReshapeOp(build(window), shape))
    base = build(nn.AddOp(mean, _scalar(build, bias, mean)))
    exponent = build(nn.MulOp(build(nn.LogOp(base)), _scalar(build, -beta, base)))
    return build(nn.MulOp(op.input, build(nn.ExpOp(exponent))))


def _channel_mean(x: SSAValue, size: int, before: int, build: Builder) -> SSAValue:
    """The mean over neighbouring channels as a sum of shifted tensors: images too large to be one row of a
    pool."""
    shape, precise = nn.shape_of(x), Precise(build)
    rest = (0,) * (len(shape) - 2)
    padded = build(nn.PadOp(x, (0, before, *rest, 0, size - 1 - before, *rest)))
    total: SSAValue | None = None
    for shift in range(size):
        part = build(nn.SliceOp(padded, (0, shift, *rest), shape))
        total = part if total is None else precise(nn.AddOp(total, part))
    assert total is not None
    return precise(nn.MulOp(total, _scalar(build, 1 / size, x)))


def activations(op: Operation, build: Builder) -> SSAValue | None:
    """Piecewise functions as the few vector instructions they are."""
    handler = _ACTIVATIONS.get(type(op))
    return None if handler is None or not isinstance(op, nn.UnaryOp) else handler(op, op.input, build)


def _hard_sigmoid(op: Operation, x: SSAValue, build: Builder) -> SSAValue:
    assert isinstance(op, nn.HardSigmoidOp)
    line = build(nn.MulOp(x, _scalar(build, op.alpha.value.data, x)))
    return build(nn.ClipOp(build(nn.AddOp(line, _scalar(build, op.beta.value.data, x))), 0.0, 1.0))


def _hard_swish(op: Operation, x: SSAValue, build: Builder) -> SSAValue:
    gate = build(nn.ClipOp(build(nn.AddOp(x, _scalar(build, 3.0, x))), 0.0, 6.0))
    return build(nn.MulOp(build(nn.MulOp(x, _scalar(build, 1 / 6, x))), gate))


_ACTIVATIONS: dict[type[Operation], Callable[[Operation, SSAValue, Builder], SSAValue]] = {
    nn.HardSigmoidOp: _hard_sigmoid,
    nn.HardSwishOp: _hard_swish,
}


def reduce_kinds(op: Operation, build: Builder) -> SSAValue | None:
    """Kinds that are a plain reduction of something elementwise."""
    if not isinstance(op, nn.ReduceOp):
        return None
    kind, axes, keep = op.kind.data, nn.ints(op.axes), op.keepdims is not None
    if kind in ("sum", "mean", "max", "min", "prod"):
        return None
    precise, x = Precise(build), op.input
    if kind in ("sum_square", "l2"):
        total = precise(nn.ReduceOp(precise(nn.MulOp(x, x)), "sum", axes, keepdims=keep))
        return total if kind == "sum_square" else precise(nn.SqrtOp(total))
    if kind == "l1":
        return precise(nn.ReduceOp(build(nn.AbsOp(x)), "sum", axes, keepdims=keep))
    if kind == "log_sum":
        return precise(nn.LogOp(precise(nn.ReduceOp(x, "sum", axes, keepdims=keep))))
    largest = precise(nn.ReduceOp(x, "max", axes, keepdims=True))
    powers = precise(nn.ExpOp(precise(nn.SubOp(x, largest))))
    total = precise(nn.LogOp(precise(nn.ReduceOp(powers, "sum", axes, keepdims=True))))
    result = precise(nn.AddOp(total, largest))
    return result if keep else build(nn.ReshapeOp(result, nn.shape_of(op.output)))


def stable_exponent(op: Operation, build: Builder) -> SSAValue | None:
    """x - max(x) that a model writes out itself: the difference, its exponential and their sum are those of a
    softmax and as precise (marked in place)."""
    if not isinstance(op, nn.SubOp) or PRECISE in op.attributes:
        return None
    largest = op.rhs.owner
    if not isinstance(largest, nn.ReduceOp) or largest.kind.data != "max" or largest.input is not op.lhs:
        return None
    powers = [u for u in users(op.output) if isinstance(u, nn.ExpOp)]
    sums = [u for p in powers for u in users(p.output) if isinstance(u, nn.ReduceOp)]
    logs = [u for s in sums for u in users(s.output) if isinstance(u, nn.LogOp | nn.DivOp)]
    ends = [u for u in users(op.output) if isinstance(u, nn.SubOp)]
    if powers:
        for marked in (largest, op, *powers, *sums, *logs, *ends):
            marked.attributes[PRECISE] = UnitAttr()
    return None


def half_of_input(op: Operation, build: Builder) -> SSAValue | None:
    """The model's own cast of a f32 input to f16. The conversion instruction ends at 65504, IEEE at infinity."""
    if not isinstance(op, nn.CastOp) or (nn.dtype_of(op.input), nn.dtype_of(op.output)) != ("f32", "f16"):
        return None
    if not isinstance(op.input, BlockArgument) or any(isinstance(u, nn.WhereOp) for u in users(op.output)):
        return None
    precise, half = Precise(build), build(nn.CastOp(op.input, "f16"))
    size = precise(nn.AbsOp(op.input))
    beyond = precise(nn.GreaterEqualOp(size, build.scalar(F16_OVERFLOW, "f32")))
    positive = build(nn.GreaterOp(half, build.scalar(0.0, "f16")))
    shape = nn.shape_of(half)
    endless = nn.WhereOp(positive, build.scalar(inf, "f16", shape), build.scalar(-inf, "f16", shape))
    return build(nn.WhereOp(beyond, build(endless), half))


def product(op: Operation, build: Builder) -> SSAValue | None:
    """A product over axes by halves: the vector unit adds across lanes but does not multiply."""
    if not isinstance(op, nn.ReduceOp) or op.kind.data != "prod":
        return None
    shape, axes = nn.shape_of(op.input), nn.ints(op.axes)
    if 0 in shape or -1 in shape:
        return None
    value, precise = op.input, Precise(build)  # ten factors of 4 are beyond f16
    for axis in axes:
        value = combine_along(value, axis, nn.MulOp, precise)
    return precise(nn.ReshapeOp(value, nn.shape_of(op.output)))


def exact_extremes(supported: Callable[[Operation], bool]) -> Rule:
    """A largest or smallest f32 that is compared with the numbers it was taken of, by halves where the chip finds it in f16
    only: rounded, it may equal none of them."""

    def rule(op: Operation, build: Builder) -> SSAValue | None:
        if (
            not isinstance(op, nn.ReduceOp)
            or op.kind.data not in ("max", "min")
            or EXACT not in op.attributes
        ):
            return None
        shape, compared = nn.shape_of(op.input), [u for u in users(op.output) if isinstance(u, nn.CompareOp)]
        if nn.dtype_of(op.input) != "f32" or supported(op) or 0 in shape or -1 in shape:
            return None
        if all(constant_of(v) is not None for u in compared for v in u.operands if v is not op.output):
            return None
        value: SSAValue = op.input
        for axis in nn.ints(op.axes):
            value = combine_along(value, axis, nn.MaxOp if op.kind.data == "max" else nn.MinOp, build)
        return build(nn.ReshapeOp(value, nn.shape_of(op.output)))

    return rule


def combine_along(
    value: SSAValue,
    axis: int,
    make: Callable[[SSAValue, SSAValue], Operation],
    build: Callable[[Operation], SSAValue],
) -> SSAValue:
    """One element along an axis, by halves."""
    while (count := nn.shape_of(value)[axis]) > 1:
        half = count // 2
        low, high = (_part(value, axis, start, half, build) for start in (0, half))
        both = build(make(low, high))
        if count % 2 and half == 1:
            both = build(make(both, _part(value, axis, 2, 1, build)))
        elif count % 2:
            both = build(nn.ConcatOp([both, _part(value, axis, 2 * half, 1, build)], axis))
        value = both
    return value


def _part(
    value: SSAValue, axis: int, start: int, count: int, build: Callable[[Operation], SSAValue]
) -> SSAValue:
    shape = list(nn.shape_of(value))
    starts = [start if i == axis else 0 for i in range(len(shape))]
    shape[axis] = count
    return build(nn.SliceOp(value, starts, shape))


# ------------------------------------------------------------------------------------------------ normal form


def keep_dims(op: Operation, build: Builder) -> SSAValue | None:
    """A reduction keeps its dims as 1: producer and consumer in one group then have one iteration space."""
    if not isinstance(op, nn.ReduceOp) or op.keepdims is not None:
        return None
    kept = nn.ReduceOp(op.input, op.kind.data, nn.ints(op.axes), keepdims=True)
    kept.attributes.update(op.attributes)
    return build(nn.ReshapeOp(build(kept), nn.shape_of(op.output)))


def suffix_axes(op: Operation, build: Builder) -> SSAValue | None:
    """A reduction over other dims than the last ones is one over the last after a transposition."""
    if not isinstance(op, nn.ReduceOp) or op.keepdims is None:
        return None
    axes, shape = nn.ints(op.axes), nn.shape_of(op.input)
    rank = len(shape)
    real = [a for a in axes if shape[a] != 1]
    rest = [i for i in range(rank) if i not in axes and shape[i] != 1]
    if not real or not rest or max(rest) < min(real):
        return None
    perm = [i for i in range(rank) if i not in axes] + list(axes)
    moved = build(nn.TransposeOp(op.input, perm))
    reduced = nn.ReduceOp(moved, op.kind.data, range(rank - len(axes), rank), keepdims=True)
    reduced.attributes.update(op.attributes)
    return build(nn.ReshapeOp(build(reduced), nn.shape_of(op.output)))


def equal_rank(op: Operation, build: Builder) -> SSAValue | None:
    """Operands of elementwise ops get leading 1 dims; constants of one value become rank 0."""
    if not isinstance(op, nn.BinaryOp | nn.WhereOp):
        return None
    rank = len(nn.shape_of(op.results[0]))
    operands: list[SSAValue] = []
    for value in op.operands:
        shape, blob = nn.shape_of(value), constant_of(value)
        if blob is not None and shape and blob.is_splat and _others_give_shape(op, value):
            operands.append(build.constant(Blob.splat(blob.values[0], (), blob.dtype)))
        elif blob is not None and not shape:
            operands.append(value)
        else:
            operands.append(_aligned(build, value, (1,) * (rank - len(shape)) + shape))
    return None if operands == list(op.operands) else build(rebuild(op, operands))


def _others_give_shape(op: Operation, value: SSAValue) -> bool:
    """Some other operand alone has the result's shape."""
    return any(v is not value and nn.shape_of(v) == nn.shape_of(op.results[0]) for v in op.operands)


def crop_first(op: Operation, build: Builder) -> SSAValue | None:
    """A pad with negative entries is a slice, then a pad."""
    if not isinstance(op, nn.PadOp) or op.mode.data != "constant" or min(nn.ints(op.pads), default=0) >= 0:
        return None
    shape, pads = nn.shape_of(op.input), nn.ints(op.pads)
    rank = len(shape)
    before, after = pads[:rank], pads[rank:]
    sizes = [shape[i] + min(before[i], 0) + min(after[i], 0) for i in range(rank)]
    if min(sizes) < 1:
        return None
    piece = build(nn.SliceOp(op.input, [max(-b, 0) for b in before], sizes))
    frame = [max(p, 0) for p in pads]
    value = 0.0 if op.value is None else op.value.value.data
    return build(nn.PadOp(piece, frame, "constant", value)) if any(frame) else piece


def empty(op: Operation, build: Builder) -> SSAValue | None:
    """A tensor without elements is a constant; a concatenation does not see it."""
    if not isinstance(op, nn.NNOp) or isinstance(op, nn.ConstantOp):
        return None
    shape = nn.shape_of(op.results[0])
    if 0 in shape:
        return build.constant(Blob.splat(0, shape, nn.dtype_of(op.results[0])))
    if isinstance(op, nn.ConcatOp) and any(0 in nn.shape_of(v) for v in op.inputs):
        full = [v for v in op.inputs if 0 not in nn.shape_of(v)]
        return full[0] if len(full) == 1 else build(nn.ConcatOp(full, op.axis.value.data))
    return None


def one_row(op: Operation, build: Builder) -> SSAValue | None:
    """[1, K] × constant [K, N] is a 1×1 convolution of one pixel: its NC1HWC0 bytes are the dense row, no
    TransData."""
    if not isinstance(op, nn.MatMulOp) or op.trans_a is not None or op.trans_b is not None:
        return None
    weight = constant_of(op.rhs)
    a, b = nn.shape_of(op.lhs), nn.shape_of(op.rhs)
    if weight is None or len(b) != 2 or prod(a[:-1]) != 1:
        return None
    if op.bias is not None and nn.shape_of(op.bias) != (b[1],):
        return None
    pixel = build(nn.ReshapeOp(op.lhs, (1, b[0], 1, 1)))
    kernel = build.constant(weight.apply("transpose", (1, 0)).apply("reshape", (b[1], b[0], 1, 1)))
    return build(nn.ReshapeOp(build(nn.ConvOp(pixel, kernel, op.bias)), nn.shape_of(op.output)))


def reshape_through_unary(op: Operation, build: Builder) -> SSAValue | None:
    """unary(reshape(x)) computes on x when x's producer could take it into its group: reshape moves
    behind."""
    if (
        not isinstance(op, nn.UnaryOp)
        or type(op) not in _POINTWISE
        or not isinstance(op.input.owner, nn.ReshapeOp)
    ):
        return None
    inner = op.input.owner
    producer = inner.input.owner
    if len(users(op.input)) != 1 or len(users(inner.input)) != 1:
        return None
    if not isinstance(producer, nn.ConvOp | nn.MatMulOp | nn.UnaryOp | nn.BinaryOp):
        return None
    new = type(op).create(
        operands=[inner.input],
        properties=dict(op.properties),
        attributes=dict(op.attributes),
        result_types=[nn.tensor_type(nn.shape_of(inner.input), nn.dtype_of(op.output))],
    )
    return build(nn.ReshapeOp(build(new), nn.shape_of(op.output)))


def reshape_through_elementwise(op: Operation, build: Builder) -> SSAValue | None:
    """Elementwise work on reshaped rows of a flattened matmul is done on the rows: bias, activation, residual
    can then join it.

    matmul [64, 24] → reshape [1, 8, 8, 24] → add c [24]: the addition moves before the reshape. Only from
    lower to higher rank, so that it ends.
    """
    if not isinstance(op, nn.BinaryOp | nn.UnaryOp) or not isinstance(op, nn.ELEMENTWISE_OPS):
        return None
    shape = nn.shape_of(op.results[0])
    sources = [
        v.owner.input
        for v in op.operands
        if isinstance(v.owner, nn.ReshapeOp)
        and len(nn.shape_of(v.owner.input)) < len(shape)
        and nn.shape_of(v) == shape
        and _is_product(v.owner.input)
    ]
    if not sources:
        return None
    target = nn.shape_of(sources[0])
    if target[-1] != shape[-1]:
        return None
    operands: list[SSAValue] = []
    for value in op.operands:
        own = nn.shape_of(value)
        if own == shape:
            operands.append(_aligned(build, _source_of(value, target), target))
        elif prod(own) == 1 and constant_of(value) is not None:
            operands.append(value)
        elif prod(own) == own[-1] == shape[-1] and constant_of(value) is not None:
            operands.append(_aligned(build, value, (1,) * (len(target) - 1) + (own[-1],)))
        else:
            return None
    new = type(op).create(
        operands=operands,
        properties=dict(op.properties),
        attributes=dict(op.attributes),
        result_types=[nn.tensor_type(target, nn.dtype_of(op.results[0]))],
    )
    return build(nn.ReshapeOp(build(new), shape))


def _source_of(value: SSAValue, shape: Sequence[int]) -> SSAValue:
    """What a reshape reads, if it already has the shape."""
    owner = value.owner
    return (
        owner.input if isinstance(owner, nn.ReshapeOp) and nn.shape_of(owner.input) == tuple(shape) else value
    )


def _is_product(value: SSAValue) -> bool:
    """A matmul, or elementwise work on one."""
    owner: object = value.owner
    while isinstance(owner, nn.ELEMENTWISE_OPS):
        owner = owner.operands[0].owner
    return isinstance(owner, nn.MatMulOp)


_POINTWISE: frozenset[type[Operation]] = frozenset(
    {
        nn.ReluOp, nn.SigmoidOp, nn.TanhOp, nn.ClipOp, nn.GeluOp, nn.LeakyReluOp, nn.ExpOp, nn.NegOp,
        nn.AbsOp, nn.ErfOp, nn.SqrtOp, nn.RsqrtOp, nn.LogOp, nn.ReciprocalOp,
    }
)  # fmt: skip

RULES: list[Rule] = [
    empty,
    stable_exponent,
    half_of_input,
    softmax,
    layer_norm,
    instance_norm,
    batch_norm,
    lrn,
    activations,
    reduce_kinds,
    product,
]
"""Composites into parts."""

NORMAL_FORM: list[Rule] = [
    keep_dims,
    suffix_axes,
    equal_rank,
    crop_first,
    one_row,
    reshape_through_unary,
    reshape_through_elementwise,
]
"""What every later pass may rely on."""
