"""Rules of nn-decompose: integers and truth values in the types that the vector unit computes in, exactly.

f16 holds every integer up to 2048 and f32 up to 2^24 (decision D13), so maxima and pools of 8-bit values are
exact in f16; quotients are exact in f32, truncated.  Sums, differences and products are exact in f32 and are
then wrapped to 8 bits, as integer arithmetic does.  For 32 bits there are s32 instructions: vadd, vsub, vmul,
vmax and vmin; what they do not do is built from them.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ..rewriting import Builder, Rule, scalar_of
from .nn_composites import Precise, combine_along

MAX_POWER = 8
"""Constant exponents up to this are written out as products."""
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


def _wrapped(value: SSAValue, bias: float, precise: Precise, count: int = 256) -> SSAValue:
    """value - count · floor((value + bias) / count)"""
    scalar = precise.build.scalar
    shifted = precise(nn.MulOp(value, scalar(1 / count, "f32")))
    if bias:
        shifted = precise(nn.AddOp(shifted, scalar(bias / count, "f32")))
    turns = precise(nn.FloorOp(shifted))
    return precise(nn.AddOp(value, precise(nn.MulOp(turns, scalar(-float(count), "f32")))))


_ARITHMETIC: dict[type[Operation], Callable[..., Operation]] = {
    nn.AddOp: nn.AddOp,
    nn.SubOp: nn.SubOp,
    nn.MulOp: nn.MulOp,
    nn.DivOp: nn.DivOp,
    nn.NegOp: nn.NegOp,
    nn.AbsOp: nn.AbsOp,
}


def byte_cast(op: Operation, build: Builder) -> SSAValue | None:
    """Wider integers, or the other sign, to 8 bits: the high bits are dropped (the instruction saturates)."""
    if not isinstance(op, nn.CastOp):
        return None
    source, target = nn.dtype_of(op.input), nn.dtype_of(op.output)
    if target not in BYTES or source == target or source not in (*BYTES, "i32", "i64"):
        return None
    precise, value = Precise(build), op.input
    if source == "i64":
        value = build(nn.CastOp(value, "i32"))
    value = _low_bits(value, build) if source in ("i32", "i64") else build(nn.CastOp(value, "f32"))
    value = _wrapped(value, 128.0 if target == "i8" else 0.0, precise)
    return build(nn.CastOp(value, target))


PARTS_OF_BYTES = {"i4": 16, "u4": 16, "i2": 4, "u2": 4}
"""Types that lie in the low bits of a byte, and how many values they have."""
_EXACT_TYPES = frozenset({"f16", "f32", "i8", "u8", "i32", "i64", "bool", *PARTS_OF_BYTES})


def part_cast(op: Operation, build: Builder) -> SSAValue | None:
    """Casts from and to 4 and 2 bits: the byte's bits as a number of 0 to 255, of which the low ones count."""
    if not isinstance(op, nn.CastOp):
        return None
    source, target = nn.dtype_of(op.input), nn.dtype_of(op.output)
    if source == target or not {source, target} <= _EXACT_TYPES or not {source, target} & set(PARTS_OF_BYTES):
        return None
    precise, value = Precise(build), op.input
    if source in PARTS_OF_BYTES:
        count = PARTS_OF_BYTES[source]
        value = build(nn.CastOp(build(nn.BitCastOp(value, "u8")), "f32"))
        value = _wrapped(value, count / 2 if source.startswith("i") else 0.0, precise, count)
    elif source in ("f16", "f32", "i32", "i64"):
        value = _low_bits(value if source == "i32" else build(nn.CastOp(value, "i32")), build)
    if target not in PARTS_OF_BYTES:
        value = _wrapped(value, 0.0, precise) if target == "u8" and source.startswith("i") else value
        return build(nn.CastOp(value, target))
    value = value if nn.dtype_of(value) == "f32" else build(nn.CastOp(value, "f32"))
    value = _wrapped(value, 0.0, precise, PARTS_OF_BYTES[target])
    return build(nn.BitCastOp(build(nn.CastOp(value, "u8")), target))


def _low_bits(value: SSAValue, build: Builder) -> SSAValue:
    """The last 8 bits of an i32, as f32: small enough for chips that convert through f16."""
    return build(nn.CastOp(build(nn.BitAndOp(value, build.scalar(255, "i32"))), "f32"))


def whole_quotient(op: Operation, build: Builder) -> SSAValue | None:
    """x / y towards zero in 32 bits: the f32 quotient, once more for what remains, then off by one at most."""
    if not isinstance(op, nn.DivOp) or nn.dtype_of(op.output) != "i32":
        return None
    precise, x, y = Precise(build), op.lhs, op.rhs

    def quotient(a: SSAValue) -> SSAValue:
        lanes = precise(nn.DivOp(build(nn.CastOp(a, "f32")), build(nn.CastOp(y, "f32"))))
        return build(nn.CastOp(lanes, "i32"))

    def rest(q: SSAValue) -> SSAValue:
        return build(nn.SubOp(x, build(nn.MulOp(q, y))))

    first = quotient(x)
    q = build(nn.AddOp(first, quotient(rest(first))))
    sign_x, sign_y = _sign(x, build), _sign(y, build)
    left = build(nn.MulOp(rest(q), sign_x))  # 0 ≤ left < |y| if q is right
    over = build(nn.SubOp(left, build(nn.MulOp(y, sign_y))))
    over = build(nn.AddOp(over, build.scalar(1, "i32")))
    over = _between(over, 0, 1, build)
    step = build(nn.AddOp(over, _between(left, -1, 0, build)))
    return build(nn.AddOp(q, build(nn.MulOp(step, build(nn.MulOp(sign_x, sign_y))))))


def _between(value: SSAValue, low: int, high: int, build: Builder) -> SSAValue:
    above = build(nn.MaxOp(value, build.scalar(low, "i32")))
    return build(nn.MinOp(above, build.scalar(high, "i32")))


def _sign(value: SSAValue, build: Builder) -> SSAValue:
    return _between(value, -1, 1, build)


def whole_remainder(op: Operation, build: Builder) -> SSAValue | None:
    """x - y · trunc(x / y); the remainder of floor division has the divisor's sign."""
    if not isinstance(op, nn.ModOp) or nn.dtype_of(op.output) != "i32":
        return None
    quotient = build(nn.DivOp(op.lhs, op.rhs))
    rest = build(nn.SubOp(op.lhs, build(nn.MulOp(quotient, op.rhs))))
    if op.fmod is not None:
        return rest
    against = _between(build(nn.MulOp(_sign(rest, build), _sign(op.rhs, build))), -1, 0, build)
    return build(nn.SubOp(rest, build(nn.MulOp(against, op.rhs))))


def whole_unary(op: Operation, build: Builder) -> SSAValue | None:
    """Size, sign and small constant powers of 32-bit integers."""
    if nn.dtype_of(op.results[0]) != "i32":
        return None
    match op:
        case nn.AbsOp():
            return build(nn.MaxOp(op.input, build(nn.MulOp(op.input, build.scalar(-1, "i32")))))
        case nn.SignOp():
            return _sign(op.input, build)
        case nn.PowOp():
            exponent = scalar_of(op.rhs)
            if exponent is None or exponent not in range(1, MAX_POWER + 1):
                return None
            value = op.lhs
            for _ in range(int(exponent) - 1):
                value = build(nn.MulOp(value, op.lhs))
            return value
        case _:
            return None


def whole_comparison(op: Operation, build: Builder) -> SSAValue | None:
    """x < y where max(x, y) - x is not 0, in s32: f32 would take large neighbours for equal."""
    if not isinstance(op, nn.CompareOp) or nn.dtype_of(op.lhs) != "i32":
        return None
    x, y = op.lhs, op.rhs
    if isinstance(op, nn.GreaterOp | nn.LessEqualOp):
        x, y = y, x
    if isinstance(op, nn.EqualOp):
        other = y
    else:
        other = build(nn.MaxOp(x, y))
    differs = build(nn.CastOp(build(nn.SubOp(other, x)), "bool"))
    return differs if isinstance(op, nn.LessOp | nn.GreaterOp) else build(nn.NotOp(differs))


def whole_reduction(op: Operation, build: Builder) -> SSAValue | None:
    """Sums and extremes of 32-bit integers by halves: reductions across lanes are of floats."""
    if not isinstance(op, nn.ReduceOp) or nn.dtype_of(op.input) != "i32":
        return None
    make = _COMBINE.get(op.kind.data)
    shape = nn.shape_of(op.input)
    if make is None or 0 in shape or -1 in shape:
        return None
    value = op.input
    if op.kind.data == "sum_square":
        value = build(nn.MulOp(value, value))
    if op.kind.data == "l1":
        value = build(nn.MaxOp(value, build(nn.MulOp(value, build.scalar(-1, "i32")))))
    for axis in nn.ints(op.axes):
        value = combine_along(value, axis, make, build)
    return build(nn.ReshapeOp(value, nn.shape_of(op.output)))


_COMBINE: dict[str, Callable[[SSAValue, SSAValue], Operation]] = {
    "sum": nn.AddOp,
    "sum_square": nn.AddOp,
    "l1": nn.AddOp,
    "prod": nn.MulOp,
    "max": nn.MaxOp,
    "min": nn.MinOp,
}

RULES: list[Rule] = [
    byte_pool,
    byte_extreme,
    byte_arithmetic,
    byte_cast,
    part_cast,
    whole_quotient,
    whole_remainder,
    whole_unary,
    whole_comparison,
    whole_reduction,
]
