"""Fused operators of domain com.microsoft that onnxruntime's optimizer and exporters write: each as what was fused."""

from __future__ import annotations

from math import sqrt

import numpy as np

from ..dialects import nn
from ..dialects.dtypes import numpy_dtype
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_gather import picked
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_moves import slice_axis
from .onnx_ops_products import scaled

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
    """alpha · A' · B', the last two axes exchanged where asked for."""
    operands: list[Value] = []
    for index, name in enumerate(("transA", "transB")):
        value, batch = node.input(index), node.int(f"transBatch{name[-1]}", 0)
        require(constraints.attribute_is_zero, f"transBatch{name[-1]}", batch)
        if node.int(name, 0) and value.rank > 1:
            order = (*range(value.rank - 2), value.rank - 1, value.rank - 2)
            value = node.emit(nn.TransposeOp, value, order)
        operands.append(value)
    return scaled(node, node.emit(nn.MatMulOp, *operands), node.float("alpha", 1.0))


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


# --------------------------------------------------------------------------------------------------- attention
@onnx_op("Attention", domain=DOMAIN)
def attention(node: Node) -> Value:
    """Attention with the weights of queries, keys and values in one matrix [width, 3·inner]."""
    for index, name in ((4, "past"), (5, "attention_bias"), (6, "past_sequence_length")):
        require(constraints.operand_is_left_out, name, node.get(index) is None)
    require(constraints.output_is_unused, "present", node.uses_output(1))
    x, weight = node.input(0), node.input(1)
    batch, rows, _ = x.shape
    heads, inner = node.int("num_heads"), weight.shape[1] // 3
    require(constraints.attribute_is_zero, "qkv_hidden_sizes", int(node.has("qkv_hidden_sizes")))
    require(constraints.attribute_is_zero, "do_rotary", node.int("do_rotary", 0))
    require(constraints.divides, "inner width", inner, heads)
    size = inner // heads
    product = _with_bias(node, node.emit(nn.MatMulOp, x, weight), 2)

    def part(index: int) -> Value:
        own = node.reshape(slice_axis(node, product, 2, index * inner, inner), (batch, rows, heads, size))
        return node.emit(nn.TransposeOp, own, (0, 2, 1, 3))

    q, k, v = (part(i) for i in range(3))
    scale = node.float("scale", 0.0) or 1 / sqrt(size)
    scores = node.emit(nn.MatMulOp, q, k, trans_b=True)
    scores = node.emit(nn.MulOp, scores, node.scalar(scale, scores))
    scores = _masked(node, scores, batch, rows)
    result = node.emit(nn.MatMulOp, node.emit(nn.SoftmaxOp, scores, 3), v)
    return node.reshape(node.emit(nn.TransposeOp, result, (0, 2, 1, 3)), (batch, rows, inner))


def _masked(node: Node, scores: Value, batch: int, rows: int) -> Value:
    """mask_filter_value added where the mask is 0, and behind the diagonal of a causal model."""
    low, mask = node.float("mask_filter_value", -10000.0), node.get(3)
    if mask is not None:
        require(constraints.mask_of_positions, mask.shape, (batch, rows))
        kept = node.cast(node.reshape(mask, (batch, 1, 1, rows)), scores.dtype)
        missing = node.emit(nn.SubOp, node.scalar(1.0, kept), kept)
        scores = node.emit(nn.AddOp, scores, node.emit(nn.MulOp, missing, node.scalar(low, kept)))
    if node.int("unidirectional", 0):
        kind = numpy_dtype(scores.dtype)
        above = np.triu(np.full((rows, rows), max(low, -60000.0), kind), 1)
        scores = node.emit(nn.AddOp, scores, node.constant(above[None, None]))
    return scores


@onnx_op("RotaryEmbedding", domain=DOMAIN)
def rotary_embedding(node: Node) -> Value:
    """Pairs of elements turned by the angles of their position; [batch, rows, heads·size] or [batch, heads, rows, size]."""
    x, places, cosines = node.input(0), node.input(1), node.input(2)
    half, flat = cosines.shape[1], x.rank == 3
    rotated = node.int("rotary_embedding_dim", 0)
    require(constraints.attribute_is_zero, "rotary_embedding_dim", rotated)
    require(constraints.attribute_is_zero, "is_packed_batching", node.int("is_packed_batching", 0))
    if flat:
        shape = (x.shape[0], x.shape[1], x.shape[2] // (2 * half), 2 * half)
        images = node.emit(nn.TransposeOp, node.reshape(x, shape), (0, 2, 1, 3))
    else:
        images = x
    batch, heads, rows, _ = images.shape
    if places.rank == 1:  # an offset
        first = int(node.known(1, "position_ids").reshape(-1)[0])
        places = node.constant(np.arange(first, first + rows, dtype=np.int64)[None])
    cos, sin = (
        node.reshape(picked(node, node.input(i), places, 0), (places.shape[0], 1, rows, half)) for i in (2, 3)
    )
    pairs = node.int("interleaved", 0)
    split = node.reshape(images, (batch, heads, rows, *((half, 2) if pairs else (2, half))))
    axis = 4 if pairs else 3
    one, other = (
        node.reshape(slice_axis(node, split, axis, i, 1), (batch, heads, rows, half)) for i in (0, 1)
    )
    low = node.emit(nn.SubOp, node.emit(nn.MulOp, one, cos), node.emit(nn.MulOp, other, sin))
    high = node.emit(nn.AddOp, node.emit(nn.MulOp, one, sin), node.emit(nn.MulOp, other, cos))
    turned = [node.reshape(v, (*v.shape[:3], *((half, 1) if pairs else (1, half)))) for v in (low, high)]
    whole = node.reshape(node.emit(nn.ConcatOp, turned, axis), images.shape)
    return node.reshape(node.emit(nn.TransposeOp, whole, (0, 2, 1, 3)), x.shape) if flat else whole
