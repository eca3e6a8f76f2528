"""Operators of domain com.microsoft around weights: packed in few bits, in tables, or with an activation behind the product."""

from __future__ import annotations

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_gather import picked
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_moves import slice_axis
from .onnx_ops_products import gemm, product_of
from .onnx_ops_windows import conv

DOMAIN = "com.microsoft"


@onnx_op("MatMulNBits", domain=DOMAIN)
def matmul_n_bits(node: Node) -> Value:
    """A · Wᵀ + bias with rows of W in blocks of `block_size` numbers of 4 or 8 bits, each with a scale and a zero point. W is
    made while the file is written: (bits - zero) · scale, in the expression of the weight."""
    require(constraints.operand_is_left_out, "g_idx", node.get(4) is None)
    columns, inner, bits = node.int("N"), node.int("K"), node.int("bits", 4)
    require(constraints.bits_of_weights, bits)
    block = node.int("block_size")
    count = -(-inner // block)
    packed, scale = _blob(node, 1, "B"), _blob(node, 2, "scales")
    dtype = scale.dtype
    numbers = packed.apply("reshape", (columns, count, block * bits // 8)).apply("unpack", bits)
    numbers = numbers.apply("cast", "f32")
    if node.get(3) is None:
        zero = nn.Blob.splat(float(1 << (bits - 1)), (), "f32")
    else:
        zero = _blob(node, 3, "zero_points")
        if zero.dtype == "u8":  # packed as the numbers, each row filled up to whole bytes
            width = -(-count * bits // 8)
            zero = zero.apply("reshape", (columns, width)).apply("unpack", bits)
            zero = zero.apply("slice", (0, 0), (columns, count), (1, 1))
        zero = zero.apply("cast", "f32").apply("reshape", (columns, count, 1))
    scales = scale.apply("cast", "f32").apply("reshape", (columns, count, 1))
    whole = numbers.apply("sub", zero).apply("mul", scales).apply("reshape", (columns, count * block))
    if count * block > inner:
        whole = whole.apply("slice", (0, 0), (columns, inner), (1, 1))
    weight = node.expression(whole.apply("transpose", (1, 0)).apply("cast", dtype))
    product = product_of(node, node.input(0), weight)
    bias = node.get(5)
    return product if bias is None else node.emit(nn.AddOp, product, bias)


def _blob(node: Node, index: int, name: str) -> nn.Blob:
    """The expression of an operand that must be a weight."""
    value = node.input(index)
    require(constraints.is_weight, name, value.blob is not None)
    assert value.blob is not None
    return value.blob


@onnx_op("EmbedLayerNormalization", domain=DOMAIN)
def embed_layer_norm(node: Node) -> list[Value]:
    """The sum of a word's, its position's and its segment's row, normalised; output 1 counts the mask, output 2 is the sum."""
    ids, segments, places = node.input(0), node.get(1), node.get(8)
    batch, rows = ids.shape
    total = picked(node, node.input(2), ids, 0)
    if places is None:
        own = node.reshape(slice_axis(node, node.input(3), 0, 0, rows), (1, rows, total.shape[2]))
    else:
        own = picked(node, node.input(3), places, 0)
    total = node.emit(nn.AddOp, total, own)
    if segments is not None and node.get(4) is not None:
        total = node.emit(nn.AddOp, total, picked(node, node.input(4), segments, 0))
    epsilon = node.float("epsilon", 1e-12)
    normal = node.emit(nn.LayerNormOp, total, node.input(5), node.input(6), axis=2, epsilon=epsilon)
    mask = node.get(7)
    count = node.constant(np.zeros(batch, np.int32))
    if mask is not None and node.uses_output(1):
        count = node.emit(nn.ReduceOp, node.cast(mask, "i32"), "sum", (1,))
    return [normal, count, total]


@onnx_op("BiasSplitGelu", domain=DOMAIN)
def bias_split_gelu(node: Node) -> Value:
    """The left half of the channels of x + bias, times GELU of the right half (a GEGLU)."""
    total = node.emit(nn.AddOp, node.input(0), node.input(1))
    axis, half = total.rank - 1, total.shape[-1] // 2
    left, right = (slice_axis(node, total, axis, i * half, half) for i in range(2))
    return node.emit(nn.MulOp, left, node.emit(nn.GeluOp, right, "none"))


@onnx_op("FusedConv", domain=DOMAIN)
def fused_conv(node: Node) -> Value:
    """A convolution, a tensor Z added to it, and an activation."""
    result, other = conv(node), node.get(3)
    assert isinstance(result, Value)
    if other is not None:
        result = node.emit(nn.AddOp, result, other)
    return _activated(node, result, node.floats("activation_params", ()))


@onnx_op("FusedGemm", domain=DOMAIN)
def fused_gemm(node: Node) -> Value:
    """A Gemm and an activation."""
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    result = gemm(node)
    assert isinstance(result, Value)
    return _activated(node, result, tuple(node.float(name) for name in names if node.has(name)))


def _activated(node: Node, x: Value, given: tuple[float, ...]) -> Value:
    """onnxruntime's activations behind products, with their parameters in its order."""
    known = ("", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid")
    kind = node.word("activation", "", known)
    match kind:
        case "":
            return x
        case "Relu":
            return node.emit(nn.ReluOp, x)
        case "Sigmoid":
            return node.emit(nn.SigmoidOp, x)
        case "Tanh":
            return node.emit(nn.TanhOp, x)
        case "LeakyRelu":
            return node.emit(nn.LeakyReluOp, x, alpha=given[0] if given else 0.01)
        case "Clip":
            low, high = given if len(given) == 2 else (None, None)
            return node.emit(nn.ClipOp, x, min=low, max=high)
        case _:
            alpha, beta = given if len(given) == 2 else (0.2, 0.5)
            return node.emit(nn.HardSigmoidOp, x, alpha=alpha, beta=beta)
