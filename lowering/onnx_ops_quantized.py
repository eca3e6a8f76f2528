"""ONNX quantization. Rounding decides the last bit, so everything up to it stays in f32; products of integers are
exact sums in f32 lanes (below 2^24), joined in 32-bit integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np
from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import SSAValue

from ..dialects import dtypes, nn
from ..dialects.nn_attrs import EXACT
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_elementwise import element_type
from .onnx_ops_moves import slice_axis
from .onnx_ops_windows import as_image, back, window_of

BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "u8": (0, 255), "i8": (-128, 127), "u16": (0, 65535), "i16": (-32768, 32767), "u4": (0, 15), "i4": (-8, 7),
    "u2": (0, 3), "i2": (-2, 1),
}  # fmt: skip
EXACT_TERMS: Final = 256
"""Products of two 8-bit numbers and their zero points, each below 2^16, whose sum f32 holds."""


def _per_axis(node: Node, parameter: Value, x: Value, axis: int, block: int) -> Value:
    """Scale or zero point under the shape it broadcasts from."""
    if block:
        return parameter
    if parameter.rank == 0 or prod(parameter.shape) == 1:
        return node.reshape(parameter, ())
    return node.reshape(parameter, [parameter.shape[0] if i == axis else 1 for i in range(x.rank)])


def _blocks(node: Node, x: Value, axis: int, block: int) -> Value:
    """The axis cut into blocks."""
    return node.reshape(x, (*x.shape[:axis], x.shape[axis] // block, block, *x.shape[axis + 1 :]))


def _shared(node: Node, x: Value, parameter: Value, axis: int, block: int) -> Value:
    """A parameter per block, beside the blocks of x."""
    value = _per_axis(node, parameter, x, axis, block)
    return node.reshape(value, (*value.shape[: axis + 1], 1, *value.shape[axis + 1 :])) if block else value


def quantized(node: Node, x: Value, scale: Value, zero: Value | None, dtype: str) -> Value:
    """saturate(round(x / scale) + zero)"""
    ratio = node.precise(nn.DivOp, node.cast(x, "f32"), node.cast(scale, "f32"))
    if dtype not in BOUNDS:
        return node.cast(ratio, dtype)
    return _rounded(node, ratio, zero, dtype)


def _rounded(node: Node, ratio: Value, zero: Value | None, dtype: str) -> Value:
    value = node.precise(nn.RoundOp, ratio)
    if zero is not None:
        value = node.precise(nn.AddOp, value, node.cast(zero, "f32"))
    low, high = BOUNDS[dtype]
    value = node.precise(nn.ClipOp, value, min=low, max=high)
    if dtype in ("u8", "i8"):
        return node.cast(value, dtype)
    return node.cast(node.cast(value, "i32"), dtype)


def _kept_exact(*values: Value | None) -> None:
    """Marks what scales and zero points are computed from: an error in a scale moves many results by one."""
    stack = [value.ssa for value in values if value is not None and value.ssa is not None]
    seen: set[SSAValue] = set()
    while stack:
        item = stack.pop()
        owner = item.owner
        if item in seen or not isinstance(owner, _COMPUTED):
            continue
        seen.add(item)
        owner.attributes[EXACT] = UnitAttr()
        stack += owner.operands


_COMPUTED = (*nn.ELEMENTWISE_OPS, nn.ReduceOp, nn.ReshapeOp, nn.SliceOp)


@onnx_op("QuantizeLinear")
def quantize_linear(node: Node) -> Value:
    x, scale, zero = node.input(0), node.input(1), node.get(2)
    _kept_exact(scale, zero)
    dtype = zero.dtype if zero is not None else "u8"
    if node.has("output_dtype") and node.int("output_dtype"):
        dtype = element_type(node.int("output_dtype"), "the result")
    axis = node.axis(node.int("axis", 1), max(x.rank, 2)) if scale.rank else 0
    block = node.int("block_size", 0)
    parts = _blocks(node, x, axis, block) if block else x
    zero = None if zero is None else _shared(node, x, zero, axis, block)
    result = quantized(node, parts, _shared(node, x, scale, axis, block), zero, dtype)
    return node.reshape(result, x.shape)


@onnx_op("DequantizeLinear")
def dequantize_linear(node: Node) -> Value:
    x, scale, zero = node.input(0), node.input(1), node.get(2)
    dtype = scale.dtype
    if node.has("output_dtype") and node.int("output_dtype"):
        dtype = element_type(node.int("output_dtype"), "the result")
    axis = node.axis(node.int("axis", 1), max(x.rank, 2)) if scale.rank else 0
    block = node.int("block_size", 0)
    value = node.cast(_blocks(node, x, axis, block) if block else x, "f32")
    if zero is not None and not (zero.array is not None and not zero.array.astype(np.float32).any()):
        value = node.precise(nn.SubOp, value, node.cast(_shared(node, x, zero, axis, block), "f32"))
    value = node.precise(nn.MulOp, value, node.cast(_shared(node, x, scale, axis, block), "f32"))
    return node.cast(node.reshape(value, x.shape), dtype)


@onnx_op("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Node) -> list[Value]:
    """The range of x, with 0 in it, on 0 to 255."""
    x = node.input(0)
    axes = tuple(range(x.rank))
    zero = node.scalar(0.0, x)
    high, low = (
        node.precise(make, node.reshape(node.precise(nn.ReduceOp, x, kind, axes), ()), zero)
        for kind, make in (("max", nn.MaxOp), ("min", nn.MinOp))
    )
    scale = node.precise(nn.DivOp, node.precise(nn.SubOp, high, low), node.scalar(255.0, x))
    start = node.precise(nn.DivOp, node.precise(nn.NegOp, low), scale)
    point = _rounded(node, start, None, "u8")
    return [quantized(node, x, scale, point, "u8"), scale, point]


# ---------------------------------------------------------------------------------------- products of integers


def _without_zero(node: Node, x: Value, zero: Value | None, axis: int) -> Value:
    """x - zero point, whole numbers in f32."""
    value = node.cast(x, "f32")
    if zero is None:
        return value
    if prod(zero.shape) == 1:
        zero = node.reshape(zero, ())
    elif zero.rank == 1:
        zero = node.reshape(zero, [zero.shape[0] if i == axis else 1 for i in range(x.rank)])
    return node.precise(nn.SubOp, value, node.cast(zero, "f32"))


def integer_product(node: Node, lhs: Value, rhs: Value) -> Value:
    """lhs [..., m, k] · rhs [..., k, n] of whole numbers in f32 below 2^8 in size, as i32."""
    rows, inner, columns = lhs.shape[-2], lhs.shape[-1], rhs.shape[-1]
    require(constraints.work_is_small, prod(lhs.shape[:-1]) * inner * columns)
    left = node.reshape(lhs, (*lhs.shape[:-2], rows, 1, inner))
    turned = node.emit(nn.TransposeOp, rhs, (*range(rhs.rank - 2), rhs.rank - 1, rhs.rank - 2))
    right = node.reshape(turned, (*rhs.shape[:-2], 1, columns, inner))
    total: Value | None = None
    for start in range(0, inner, EXACT_TERMS):
        count = min(EXACT_TERMS, inner - start)
        a, b = (slice_axis(node, v, v.rank - 1, start, count) for v in (left, right))
        part = node.precise(nn.ReduceOp, node.precise(nn.MulOp, a, b), "sum", (max(a.rank, b.rank) - 1,))
        part = node.precise(nn.CastOp, part, "i32")
        total = part if total is None else node.emit(nn.AddOp, total, part)
    assert total is not None
    return total


def _matrices(node: Node, lhs: Value, rhs: Value) -> tuple[Value, Value]:
    a = node.reshape(lhs, (1, *lhs.shape)) if lhs.rank == 1 else lhs
    return a, node.reshape(rhs, (*rhs.shape, 1)) if rhs.rank == 1 else rhs


@onnx_op("MatMulInteger")
def matmul_integer(node: Node) -> Value:
    lhs, rhs = _matrices(node, node.input(0), node.input(1))
    a = _without_zero(node, lhs, node.get(2), lhs.rank - 2)
    b = _without_zero(node, rhs, node.get(3), rhs.rank - 1)
    return integer_product(node, a, b)


@onnx_op("QLinearMatMul")
def qlinear_matmul(node: Node) -> Value:
    lhs, rhs = node.input(0), node.input(3)
    a = _without_zero(node, lhs, node.input(2), lhs.rank - 2)
    b = _without_zero(node, rhs, node.input(5), rhs.rank - 1)
    product = node.cast(integer_product(node, a, b), "f32")
    return _requantized(
        node, product, [node.input(1), node.input(4), node.input(6)], node.input(7), rhs.rank - 1
    )


def _requantized(node: Node, product: Value, scales: Sequence[Value], zero: Value, axis: int) -> Value:
    first, second, out = (_scale_along(node, scale, product.rank, axis) for scale in scales)
    factor = node.precise(nn.DivOp, node.precise(nn.MulOp, first, second), out)
    return _rounded(
        node,
        node.precise(nn.MulOp, product, factor),
        _scale_along(node, zero, product.rank, axis),
        zero.dtype,
    )


def _scale_along(node: Node, value: Value, rank: int, axis: int) -> Value:
    wide = node.cast(value, "f32")
    if prod(value.shape) == 1:
        return node.reshape(wide, ())
    return node.reshape(wide, [prod(value.shape) if i == axis else 1 for i in range(rank)])


def _integer_conv(node: Node, x: Value, weight: Value, rank: int) -> Value:
    """Convolution of whole numbers in f32: the windows are columns of a product."""
    window = window_of(node, x.shape, weight.shape[2:], rank)
    groups = node.int("group", 1)
    batch, channels, height, width = x.shape
    top, left, bottom, right = window.pads
    padded = node.precise(nn.PadOp, x, (0, 0, top, left, 0, 0, bottom, right)) if any(window.pads) else x
    extents = [d * (k - 1) + 1 for d, k in zip(window.dilations, window.kernel, strict=True)]
    out = [
        (size + a + b - extent) // stride + 1
        for size, a, b, extent, stride in zip(
            (height, width), (top, left), (bottom, right), extents, window.strides, strict=True
        )
    ]
    pieces: list[Value] = []
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            starts = (0, 0, i * window.dilations[0], j * window.dilations[1])
            piece = node.precise(nn.SliceOp, padded, starts, (batch, channels, *out), (1, 1, *window.strides))
            pieces.append(node.reshape(piece, (batch, channels, 1, prod(out))))
    taps = len(pieces)
    stacked = node.precise(nn.ConcatOp, pieces, 2) if taps > 1 else pieces[0]
    columns = node.reshape(stacked, (batch, groups, channels // groups * taps, prod(out)))
    filters = node.reshape(weight, (1, groups, weight.shape[0] // groups, channels // groups * taps))
    return node.reshape(integer_product(node, filters, columns), (batch, weight.shape[0], *out))


@onnx_op("ConvInteger")
def conv_integer(node: Node) -> Value:
    rank = node.input(0).rank
    x = as_image(node, _without_zero(node, node.input(0), node.get(2), 1))
    weight = as_image(node, _without_zero(node, node.input(1), node.get(3), 0))
    return back(node, _integer_conv(node, x, weight, rank), rank)


@onnx_op("QLinearConv")
def qlinear_conv(node: Node) -> Value:
    rank = node.input(0).rank
    x = as_image(node, _without_zero(node, node.input(0), node.input(2), 1))
    weight = as_image(node, _without_zero(node, node.input(3), node.input(5), 0))
    product = _integer_conv(node, x, weight, rank)
    bias = node.get(8)
    if bias is not None:
        product = node.emit(nn.AddOp, product, node.reshape(bias, (1, bias.shape[0], 1, 1)))
    scales = [node.input(1), node.input(4), node.input(6)]
    result = _requantized(node, node.cast(product, "f32"), scales, node.input(7), 1)
    return back(node, result, rank)


assert set(BOUNDS) <= set(dtypes.DTYPES)
