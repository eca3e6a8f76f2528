"""Pass nn-fold-batch-norm."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from ..dialects.blobs import Blob
from .rewriting import Builder, apply_rules, constant_of, only_use, simplify_blob


@dataclass(frozen=True)
class NNFoldBatchNormPass(ModulePass):
    """A batch norm with stored statistics is y = k·x + c per channel: it goes into the weights of the linear
    op before it.

    before  %y = nn.conv %x, %w, %b … ; %z = nn.batch_norm %y, %scale, %bias, %mean, %var epsilon 1.0e-05
    after   %w1 = nn.constant #nn.blob<"w" | mul0 (k)> ; %b1 = nn.constant #nn.blob<b · k + c>
            %z = nn.conv %x, %w1, %b1 …

    k = scale / sqrt(var + epsilon), c = bias - mean · k are blob expressions, so nothing is loaded. Where the
    batch norm stands alone, or the linear op has other uses too, it becomes a multiplication and an addition
    with constants [1, C, 1, 1].
    """

    name = "nn-fold-batch-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_rules(op, [fold_batch_norm])


def fold_batch_norm(op: Operation, build: Builder) -> SSAValue | None:
    """Rule: batch norm of constants into its producer, or into mul and add."""
    if not isinstance(op, nn.BatchNormOp):
        return None
    affine = _affine(op)
    if affine is None:
        return None
    factor, offset = affine
    linear = op.input.owner
    if isinstance(linear, nn.ConvOp | nn.ConvTransposeOp | nn.MatMulOp) and only_use(op.input):
        folded = scale_linear(linear, factor, offset, op, build)
        if folded is not None:
            return folded
    shape = (1, factor.shape[0], *(1,) * (len(nn.shape_of(op.input)) - 2))
    scaled = build(nn.MulOp(op.input, build.constant(factor.apply("reshape", shape))))
    return build(nn.AddOp(scaled, build.constant(offset.apply("reshape", shape))))


def _affine(op: nn.BatchNormOp) -> tuple[Blob, Blob] | None:
    """Factor and offset per channel as expressions."""
    blobs = [constant_of(v) for v in (op.scale, op.bias, op.mean, op.variance)]
    scale, bias, mean, variance = blobs
    if scale is None or bias is None or mean is None or variance is None:
        return None
    if len({b.dtype for b in (scale, bias, mean, variance)}) != 1:
        return None
    epsilon = Blob.splat(op.epsilon.value.data, variance.shape, variance.dtype)
    factor = scale.apply("mul", variance.apply("add", epsilon).apply("rsqrt"))
    return factor, bias.apply("sub", mean.apply("mul", factor))


def scale_linear(
    linear: nn.ConvOp | nn.ConvTransposeOp | nn.MatMulOp,
    factor: Blob | None,
    offset: Blob | None,
    op: Operation,
    build: Builder,
) -> SSAValue | None:
    """`factor · linear(x) + offset` per output channel as one linear op with other constants; None where they
    are not constant."""
    weight = constant_of(linear.weight if not isinstance(linear, nn.MatMulOp) else linear.rhs)
    bias = constant_of(linear.bias)
    if weight is None or (linear.bias is not None and bias is None):
        return None
    given = factor if factor is not None else offset
    if given is None or given.dtype != weight.dtype or not _per_column(linear, op, bias, given.shape[0]):
        return None
    build.absorb(linear)
    if factor is not None:
        weight = _scaled_weight(linear, weight, factor)
        bias = None if bias is None else bias.apply("mul", simplify_blob(factor.apply("cast", bias.dtype)))
    if offset is not None:  # a bias may have stayed f32 beside f16 weights
        bias = offset if bias is None else bias.apply("add", simplify_blob(offset.apply("cast", bias.dtype)))
    new_weight = build.constant(weight)
    new_bias = None if bias is None else build.constant(bias)
    return build(with_constants(linear, new_weight, new_bias))


def _per_column(linear: Operation, op: Operation, bias: Blob | None, channels: int) -> bool:
    """A matmul's columns are the channels only if it is a plain matrix product with bias [N]."""
    if not isinstance(linear, nn.MatMulOp):
        return True
    columns = nn.shape_of(linear.output)[-1]
    if isinstance(op, nn.BatchNormOp) and len(nn.shape_of(linear.output)) != 2:
        return False
    plain = len(nn.shape_of(linear.rhs)) == 2 and channels == columns
    return plain and (bias is None or bias.shape == (columns,))


def _scaled_weight(linear: nn.ConvOp | nn.ConvTransposeOp | nn.MatMulOp, weight: Blob, factor: Blob) -> Blob:
    if isinstance(linear, nn.ConvOp):
        return weight.apply("mul0", simplify_blob(factor))
    if isinstance(linear, nn.MatMulOp):
        return weight.apply("mul0", factor) if linear.trans_b else weight.apply("mul", factor)
    # [C, O/group, kh, kw]: channel o = g · O/group + j sits in rows of group g, column j.
    rows, columns, *kernel = weight.shape
    groups = linear.group.value.data
    split = weight.apply("reshape", (groups, rows // groups, columns, *kernel))
    factors = factor.apply("reshape", (groups, 1, columns, 1, 1))
    return split.apply("mul", factors).apply("reshape", weight.shape)


def with_constants(
    linear: nn.ConvOp | nn.ConvTransposeOp | nn.MatMulOp, weight: SSAValue, bias: SSAValue | None
) -> Operation:
    """The same linear op with other weight and bias."""
    x = linear.lhs if isinstance(linear, nn.MatMulOp) else linear.input
    operands = [x, weight] if bias is None else [x, weight, bias]
    result = type(linear).create(
        operands=operands, properties=dict(linear.properties), result_types=[linear.output.type]
    )
    result.attributes.update(linear.attributes)
    return result
