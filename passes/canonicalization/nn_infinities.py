"""Rules of nn-decompose for infinities: f16 arithmetic of these chips saturates, f32 arithmetic does not.

`nn-keep-infinities` has seen to it that what reaches these ops is f32; here the ops themselves become right.
"""

from __future__ import annotations

from math import inf, isinf

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...dialects.nn_attrs import EXACT
from ..rewriting import Builder, Rule, constant_of, scalar_of

F32_MAX = 3.4028234663852886e38
_FLOATS = ("f16", "f32")


class _Exact:
    """Builds ops that stay in f32."""

    def __init__(self, build: Builder) -> None:
        self.build = build

    def __call__(self, op: Operation) -> SSAValue:
        op.attributes[EXACT] = UnitAttr()
        return self.build(op)


def _single(value: SSAValue, build: Builder) -> SSAValue:
    """A value in f32; an extreme is taken there too, since f16 results of reductions are stored by sums."""
    owner = value.owner
    if isinstance(owner, nn.ReduceOp) and owner.kind.data in ("max", "min") and nn.dtype_of(value) == "f16":
        wide = build(nn.CastOp(owner.input, "f32"))
        keep = owner.keepdims is not None
        return _Exact(build)(nn.ReduceOp(wide, owner.kind.data, nn.ints(owner.axes), keepdims=keep))
    return value if nn.dtype_of(value) == "f32" else build(nn.CastOp(value, "f32"))


def infinite_comparison(op: Operation, build: Builder) -> SSAValue | None:
    """x == inf where x cut off at the largest number equals it: a difference of infinities would be NaN."""
    if not isinstance(op, nn.CompareOp) or nn.dtype_of(op.lhs) not in _FLOATS:
        return None
    if not any((number := scalar_of(v)) is not None and isinf(number) for v in op.operands):
        return None
    exact = _Exact(build)
    sides: list[SSAValue] = []
    for value in op.operands:
        number = scalar_of(value)
        if number is not None:
            sides.append(build.scalar(min(max(number, -F32_MAX), F32_MAX), "f32"))
        else:
            sides.append(exact(nn.ClipOp(_single(value, build), min=-F32_MAX, max=F32_MAX)))
    return exact(type(op)(*sides))


def float_modulus(op: Operation, build: Builder) -> SSAValue | None:
    """The remainder of floor division where the divisor may be infinite or zero: x mod inf is x, or inf if the
    signs differ; x mod 0 and inf mod y are NaN."""
    if not isinstance(op, nn.ModOp) or op.fmod is not None or EXACT in op.attributes:
        return None
    if nn.dtype_of(op.lhs) not in _FLOATS or constant_of(op.rhs) is not None:
        return None
    exact = _Exact(build)
    x, y = _single(op.lhs, build), _single(op.rhs, build)
    zero = build.scalar(0.0, "f32")
    largest = build.scalar(F32_MAX, "f32")
    is_infinite = build(
        nn.AndOp(
            exact(nn.GreaterOp(exact(nn.AbsOp(y)), largest)),
            exact(nn.LessEqualOp(exact(nn.AbsOp(x)), largest)),
        )
    )
    differ = exact(nn.LessOp(exact(nn.MulOp(exact(nn.SignOp(x)), exact(nn.SignOp(y)))), zero))
    ratio = exact(nn.DivOp(zero, y))
    undefined = exact(nn.AddOp(exact(nn.SubOp(x, x)), exact(nn.SubOp(ratio, ratio))))
    plain = exact(nn.AddOp(exact(nn.ModOp(x, y)), undefined))
    if nn.dtype_of(op.output) != "f32":  # the selection keeps infinities, the conversion would not
        plain = build(nn.CastOp(plain, nn.dtype_of(op.output)))
    return exact(nn.WhereOp(is_infinite, exact(nn.WhereOp(differ, op.rhs, op.lhs)), plain))


def infinite_cast(op: Operation, build: Builder) -> SSAValue | None:
    """f32 to f16 where infinities are looked for behind: the conversion saturates, a selection does not."""
    if not isinstance(op, nn.CastOp) or EXACT not in op.attributes:
        return None
    if (nn.dtype_of(op.input), nn.dtype_of(op.output)) != ("f32", "f16"):
        return None
    exact = _Exact(build)
    value: SSAValue = build(nn.CastOp(op.input, "f16"))
    for compare, sign in ((nn.GreaterOp, 1), (nn.LessOp, -1)):
        is_infinite = exact(compare(op.input, build.scalar(sign * F32_MAX, "f32")))
        value = exact(nn.WhereOp(is_infinite, build.scalar(sign * inf, "f16"), value))
    return value


RULES: list[Rule] = [infinite_comparison, infinite_cast, float_modulus]
"""All rules of this file."""
