"""Fused operators of domain com.microsoft that onnxruntime's optimizer and exporters write: each as what was fused."""

from __future__ import annotations

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_products import product_of, scaled

DOMAIN = "com.microsoft"


def _with_bias(node: Node, value: Value, index: int) -> Value:
    """A value plus an operand that may be left out."""
    bias = node.get(index)
    return value if bias is None else node.emit(nn.AddOp, value, bias)


@onnx_op("Gelu", domain=DOMAIN)
def gelu(node: Node) -> Value:
    return node.emit(nn.GeluOp, node.input(0), "none")


@onnx_op("BiasGelu", domain=DOMAIN)
def bias_gelu(node: Node) -> Value:
    return node.emit(nn.GeluOp, _with_bias(node, node.input(0), 1), "none")


@onnx_op("FastGelu", domain=DOMAIN)
def fast_gelu(node: Node) -> Value:
    return node.emit(nn.GeluOp, _with_bias(node, node.input(0), 1), "tanh")


@onnx_op("FusedMatMul", domain=DOMAIN)
def fused_matmul(node: Node) -> Value:
    """alpha · A' · B', the last two axes exchanged where asked for; `transBatch`: the rows stand in front of the batch."""
    operands: list[Value] = []
    for index, name in enumerate(("transA", "transB")):
        value = node.input(index)
        if node.int(f"transBatch{name[-1]}", 0) and value.rank > 2:
            order = (*range(1, value.rank - 1), 0, value.rank - 1)
            value = node.emit(nn.TransposeOp, value, order)
        if node.int(name, 0) and value.rank > 1:
            order = (*range(value.rank - 2), value.rank - 1, value.rank - 2)
            value = node.emit(nn.TransposeOp, value, order)
        operands.append(value)
    return scaled(node, product_of(node, *operands), node.float("alpha", 1.0))


# ---------------------------------------------------------------------------------------------- normalisations
def _root_mean_square(node: Node, x: Value, scale: Value, axis: int) -> Value:
    """x / √(mean of x² + epsilon) · scale, in f32."""
    wide, axes = node.cast(x, "f32"), tuple(range(axis, x.rank))
    mean = node.precise(nn.ReduceOp, node.precise(nn.MulOp, wide, wide), "mean", axes, keepdims=True)
    shifted = node.precise(nn.AddOp, mean, node.scalar(node.float("epsilon", 1e-5), wide))
    normal = node.precise(nn.MulOp, wide, node.precise(nn.RsqrtOp, shifted))
    return node.cast(node.precise(nn.MulOp, normal, node.cast(scale, "f32")), x.dtype)


@onnx_op("SimplifiedLayerNormalization")
@onnx_op("SimplifiedLayerNormalization", domain=DOMAIN)
def simplified_layer_norm(node: Node) -> Value:
    require(constraints.output_is_unused, "inv_std_var", node.uses_output(1))
    x = node.input(0)
    return _root_mean_square(node, x, node.input(1), node.axis(node.int("axis", -1), x.rank))


def _statistics_are_unused(node: Node) -> None:
    for index, name in ((1, "mean"), (2, "inv_std_var")):
        require(constraints.output_is_unused, name, node.uses_output(index))


@onnx_op("SkipLayerNormalization", domain=DOMAIN)
def skip_layer_norm(node: Node) -> list[Value]:
    """Normalised sum of input, skip and bias; the sum is output 3."""
    _statistics_are_unused(node)
    total = _with_bias(node, node.emit(nn.AddOp, node.input(0), node.input(1)), 4)
    epsilon = node.float("epsilon", 1e-12)
    normal = node.emit(
        nn.LayerNormOp, total, node.input(2), node.get(3), axis=total.rank - 1, epsilon=epsilon
    )
    return [normal, total, total, total]


@onnx_op("SkipSimplifiedLayerNormalization", domain=DOMAIN)
def skip_simplified_layer_norm(node: Node) -> list[Value]:
    _statistics_are_unused(node)
    total = _with_bias(node, node.emit(nn.AddOp, node.input(0), node.input(1)), 3)
    return [_root_mean_square(node, total, node.input(2), total.rank - 1), total, total, total]
