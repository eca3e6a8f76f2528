"""Rules of nn-decompose: 8-bit integers and truth values in the types that the vector unit computes in.

f16 holds every integer up to 2048 and f32 up to 2^24 (decision D13), so maxima and pools of 8-bit values are
exact in f16; quotients are exact in f32, truncated.  Sums, differences and products are exact in f32 and are
then wrapped to 8 bits, as integer arithmetic does.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ..rewriting import Builder, Rule
from .nn_composites import Precise

BYTES = frozenset({"i8", "u8"})


def byte_pool(op: Operation, build: Builder) -> SSAValue | None:
    """Pools compute in f16."""
    if not isinstance(op, nn.MaxPoolOp) or nn.dtype_of(op.input) not in BYTES:
        return None
    pool = nn.MaxPoolOp(
        build(nn.CastOp(op.input, "f16")),
        kernel=nn.ints(op.kernel),
        strides=nn.ints(op.strides),
        pads=nn.ints(op.pads),
        dilations=nn.ints(op.dilations),
    )
    return build(nn.CastOp(build(pool), nn.dtype_of(op.input)))


def byte_extreme(op: Operation, build: Builder) -> SSAValue | None:
    """Reductions of 8-bit values and truth values to their largest or smallest."""
    if not isinstance(op, nn.ReduceOp) or op.kind.data not in ("max", "min"):
        return None
    dtype = nn.dtype_of(op.input)
    if dtype not in BYTES and dtype != "bool":
        return None
    value = build(nn.CastOp(op.input, "f16"))
    keep = op.keepdims is not None
    return build(nn.CastOp(build(nn.ReduceOp(value, op.kind.data, nn.ints(op.axes), keepdims=keep)), dtype))


def byte_arithmetic(op: Operation, build: Builder) -> SSAValue | None:
    """x ∘ y in f32; the quotient is cut off, the others wrap."""
    make = _ARITHMETIC.get(type(op))
    if make is None or nn.dtype_of(op.results[0]) not in BYTES:
        return None
    dtype, precise = nn.dtype_of(op.results[0]), Precise(build)
    value = precise(make(*(build(nn.CastOp(v, "f32")) for v in op.operands)))
    if not isinstance(op, nn.DivOp):
        value = _wrapped(value, 128.0 if dtype == "i8" else 0.0, precise)
    return build(nn.CastOp(value, dtype))


def _wrapped(value: SSAValue, bias: float, precise: Precise) -> SSAValue:
    """value - 256 · floor((value + bias) / 256)"""
    scalar = precise.build.scalar
    shifted = precise(nn.MulOp(value, scalar(1 / 256, "f32")))
    if bias:
        shifted = precise(nn.AddOp(shifted, scalar(bias / 256, "f32")))
    turns = precise(nn.FloorOp(shifted))
    return precise(nn.AddOp(value, precise(nn.MulOp(turns, scalar(-256.0, "f32")))))


_ARITHMETIC: dict[type[Operation], Callable[..., Operation]] = {
    nn.AddOp: nn.AddOp,
    nn.SubOp: nn.SubOp,
    nn.MulOp: nn.MulOp,
    nn.DivOp: nn.DivOp,
    nn.NegOp: nn.NegOp,
}

RULES: list[Rule] = [byte_pool, byte_extreme, byte_arithmetic]
