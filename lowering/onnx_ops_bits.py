"""ONNX operators on the bits of integers."""

from __future__ import annotations

from ..dialects import dtypes, nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import HANDLERS, onnx_op
from .onnx_ops_elementwise import element_type

HANDLERS.update(
    {
        ("", "BitwiseAnd", 1): lambda node: node.emit(nn.BitAndOp, node.input(0), node.input(1)),
        ("", "BitwiseOr", 1): lambda node: node.emit(nn.BitOrOp, node.input(0), node.input(1)),
        ("", "BitwiseXor", 1): lambda node: node.emit(nn.BitXorOp, node.input(0), node.input(1)),
        ("", "BitwiseNot", 1): lambda node: node.emit(nn.BitNotOp, node.input(0)),
    }
)

_IN_32_BITS = frozenset({"i8", "u8", "i32"})
SHIFT_BITS = 5
"""Bits of a shift distance below 32."""


@onnx_op("BitShift")
def bit_shift(node: Node) -> Value:
    """x << y and x >> y; a negative distance is a large one, as its bits are read unsigned. Up to 32 bits these are
    products and floor divisions by a power of two; wider and unsigned types are kernels of the AI CPU."""
    x, distance = node.input(0), node.input(1)
    left = node.word("direction", "", ("LEFT", "RIGHT")) == "LEFT"
    if x.dtype not in _IN_32_BITS:
        kernel = "ShiftLeft" if left else "ShiftRight"
        shape = _broadcast(x, distance)
        return node.emit(nn.CpuKernelOp, [x, distance], kernel, shape, x.dtype)
    wide, count = node.cast(x, "i32"), node.cast(distance, "i32")
    width = 8 * dtypes.size_of(x.dtype)
    inside = node.emit(nn.ClipOp, count, min=0.0, max=30.0)
    power = _power_of_two(node, inside)
    if left:
        moved = node.emit(nn.MulOp, wide, power)
        last = node.emit(nn.MulOp, wide, node.scalar(-(2**31), wide))  # the lowest bit becomes the sign
        beyond = node.scalar(0, wide)
    else:
        rest = node.emit(nn.ModOp, wide, power)
        moved = node.emit(nn.DivOp, node.emit(nn.SubOp, wide, rest), power)
        last = node.emit(nn.ClipOp, wide, min=-1.0, max=0.0)  # only the sign is left
        beyond = last
    if width == 32:
        is_last = node.emit(nn.EqualOp, count, node.scalar(31, count))
        moved = node.emit(nn.WhereOp, is_last, last, moved)
    is_beyond = node.emit(nn.GreaterOp, count, node.scalar(width - 1, count))
    is_beyond = node.emit(nn.OrOp, is_beyond, node.emit(nn.LessOp, count, node.scalar(0, count)))
    return node.cast(node.emit(nn.WhereOp, is_beyond, beyond, moved), x.dtype)


def _broadcast(x: Value, y: Value) -> tuple[int, ...]:
    from ..dialects.nn_shapes import broadcast

    return tuple(broadcast(x.shape, y.shape))


def _power_of_two(node: Node, count: Value) -> Value:
    """2 ** count for 0 ≤ count ≤ 30: the product of 2 ** (2 ** b) over the bits b that are set."""
    power: Value | None = None
    for bit in range(SHIFT_BITS):
        is_set = node.cast(node.emit(nn.BitAndOp, count, node.scalar(1 << bit, count)), "bool")
        factor = node.emit(nn.WhereOp, is_set, node.scalar(2 ** (1 << bit), count), node.scalar(1, count))
        power = factor if power is None else node.emit(nn.MulOp, power, factor)
    assert power is not None
    return power


@onnx_op("BitCast")
def bit_cast(node: Node) -> Value:
    """The same bytes read as another type of the same width."""
    x, target = node.input(0), element_type(node.int("to"), "the result")
    require(constraints.same_width, x.dtype, target)
    if x.dtype == target:
        return x
    return node.emit(nn.BitCastOp, x, target)
