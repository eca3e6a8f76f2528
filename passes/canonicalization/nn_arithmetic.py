"""Rules for elementwise ops: neutral operands, powers, bounds, signs."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ...dialects.blobs import Blob
from ...dialects.nn_attrs import EXACT
from ..rewriting import Builder, Rule, constant_of, is_float, only_use, scalar_of


def _unchanged(op: Operation, value: SSAValue) -> bool:
    return value.type == op.results[0].type


def neutral(op: Operation, build: Builder) -> SSAValue | None:
    """x + 0, x - 0, x · 1, x / 1, and the same with operands exchanged."""
    if not isinstance(op, nn.AddOp | nn.SubOp | nn.MulOp | nn.DivOp):
        return None
    unit = 0.0 if isinstance(op, nn.AddOp | nn.SubOp) else 1.0
    if scalar_of(op.rhs) == unit and _unchanged(op, op.lhs):
        return op.lhs
    commutes = isinstance(op, nn.AddOp | nn.MulOp)
    if commutes and scalar_of(op.lhs) == unit and _unchanged(op, op.rhs):
        return op.rhs
    return None


def constant_right(op: Operation, build: Builder) -> SSAValue | None:
    """Commutative ops have their constant on the right: fewer cases everywhere below."""
    if not isinstance(op, nn.CommutativeOp):
        return None
    if constant_of(op.lhs) is None or constant_of(op.rhs) is not None:
        return None
    return build(type(op)(op.rhs, op.lhs))


def power(op: Operation, build: Builder) -> SSAValue | None:
    """Powers with an exponent that a few cheap instructions compute."""
    if not isinstance(op, nn.PowOp):
        return None
    exponent = scalar_of(op.rhs)
    if exponent is None or not _unchanged(op, op.lhs):
        return None
    if exponent == 1.0:
        return op.lhs
    if exponent == 2.0:
        return build(nn.MulOp(op.lhs, op.lhs))
    if exponent == 3.0:
        return build(nn.MulOp(build(nn.MulOp(op.lhs, op.lhs)), op.lhs))
    if not is_float(op.lhs):
        return None
    by_exponent: dict[float, type[nn.UnaryOp]] = {0.5: nn.SqrtOp, -1.0: nn.ReciprocalOp, -0.5: nn.RsqrtOp}
    kind = by_exponent.get(exponent)
    return None if kind is None else build(kind(op.lhs))


def division(op: Operation, build: Builder) -> SSAValue | None:
    """Division by a float constant multiplies by its reciprocal (the vector unit of 310 has no division);
    1/x; x/sqrt(y)."""
    if isinstance(op, nn.ReciprocalOp) and isinstance(op.input.owner, nn.SqrtOp):
        build.absorb(op.input.owner)
        return build(nn.RsqrtOp(op.input.owner.input))
    if not isinstance(op, nn.DivOp) or not is_float(op.rhs):
        return None
    blob = constant_of(op.rhs)
    if blob is not None and EXACT not in op.attributes:  # the reciprocal is rounded once more
        return build(nn.MulOp(op.lhs, build.constant(blob.apply("reciprocal"))))
    if isinstance(op.rhs.owner, nn.SqrtOp):
        build.absorb(op.rhs.owner)
        return build(nn.MulOp(op.lhs, build(nn.RsqrtOp(op.rhs.owner.input))))
    if scalar_of(op.lhs) == 1.0 and _unchanged(op, op.rhs):
        return build(nn.ReciprocalOp(op.rhs))
    return None


def subtraction(op: Operation, build: Builder) -> SSAValue | None:
    """x - constant adds the negative: one form for what goes into biases. 0 - x is a negation. x - x of whole
    numbers is 0."""
    if not isinstance(op, nn.SubOp):
        return None
    if not is_float(op.rhs):
        zero = Blob.splat(0, nn.shape_of(op.output), nn.dtype_of(op.output))
        return build.constant(zero) if op.lhs is op.rhs else None
    blob = constant_of(op.rhs)
    if blob is not None:
        return build(nn.AddOp(op.lhs, build.constant(blob.apply("neg"))))
    if scalar_of(op.lhs) == 0.0 and _unchanged(op, op.rhs):
        return build(nn.NegOp(op.rhs))
    return None


def bounds(op: Operation, build: Builder) -> SSAValue | None:
    """max and min with one number are clips; clips of clips are one; a clip at zero is a relu."""
    if isinstance(op, nn.MaxOp | nn.MinOp) and is_float(op.lhs) and _unchanged(op, op.lhs):
        bound = scalar_of(op.rhs)
        if bound is None or bound != bound:  # noqa: PLR0124 - NaN wins in max and min
            return None
        low, high = (bound, None) if isinstance(op, nn.MaxOp) else (None, bound)
        return build(nn.ClipOp(op.lhs, low, high))
    if not isinstance(op, nn.ClipOp | nn.ReluOp):
        return None
    inner = op.input.owner
    if isinstance(op, nn.ReluOp) and isinstance(inner, nn.ReluOp):
        return op.input
    if not isinstance(op, nn.ClipOp):
        return None
    low, high = _limits(op)
    if (low, high) == (-inf, inf):
        return op.input
    if (low, high) == (0.0, inf):
        return build(nn.ReluOp(op.input))
    if not isinstance(inner, nn.ClipOp | nn.ReluOp):
        return None
    below, above = _limits(inner) if isinstance(inner, nn.ClipOp) else (0.0, inf)
    if low > above or high < below:
        return None
    build.absorb(inner)
    low, high = max(low, below), min(high, above)
    return build(nn.ClipOp(inner.input, None if low == -inf else low, None if high == inf else high))


def _limits(op: nn.ClipOp) -> tuple[float, float]:
    low = -inf if op.min is None else op.min.value.data
    high = inf if op.max is None else op.max.value.data
    return low, high


_JOIN: dict[type[Operation], str] = {nn.AddOp: "add", nn.MulOp: "mul"}


def chained_constants(op: Operation, build: Builder) -> SSAValue | None:
    """(x + a) + b and (x · a) · b with constants combine them (float: the constants are added in their own
    type)."""
    if not isinstance(op, nn.AddOp | nn.MulOp):
        return None
    outer, inner = constant_of(op.rhs), op.lhs.owner
    if outer is None or type(inner) is not type(op) or not isinstance(inner, nn.AddOp | nn.MulOp):
        return None
    first = constant_of(inner.rhs)
    if first is None or inner.lhs.type != op.output.type or inner.output.uses.get_length() != 1:
        return None
    if max(len(first.shape), len(outer.shape)) == 0 or _outer_product(first, outer):
        return None
    build.absorb(inner)
    return build(type(op)(inner.lhs, build.constant(first.apply(_JOIN[type(op)], outer))))


def _outer_product(a: Blob, b: Blob) -> bool:
    joined = a.apply("add", b).shape
    return joined not in (a.shape, b.shape)


def double(op: Operation, build: Builder) -> SSAValue | None:
    """-(-x), abs(abs x), not(not x)."""
    kinds: dict[type[Operation], Callable[[nn.UnaryOp, nn.UnaryOp], SSAValue]] = {
        nn.NegOp: lambda outer, inner: inner.input,
        nn.NotOp: lambda outer, inner: inner.input,
        nn.AbsOp: lambda outer, inner: outer.input,
    }
    pick = kinds.get(type(op))
    if pick is None or not isinstance(op, nn.UnaryOp):
        return None
    inner = op.input.owner
    return pick(op, inner) if type(inner) is type(op) and isinstance(inner, nn.UnaryOp) else None


def gelu(op: Operation, build: Builder) -> SSAValue | None:
    """x · (erf(x / sqrt 2) + 1) · 0.5, in either order of the products: kernels have a better way than
    through erf."""
    if not isinstance(op, nn.MulOp) or op.lhs.type != op.output.type:
        return None
    factors = _product(op)
    halves = [v for v in factors if _near(scalar_of(v), 0.5)]
    tails = [v for v in factors if isinstance(v.owner, nn.AddOp) and scalar_of(v.owner.rhs) == 1.0]
    if len(factors) != 3 or len(halves) != 1 or len(tails) != 1:
        return None
    x = next(v for v in factors if v is not halves[0] and v is not tails[0])
    tail = tails[0].owner
    assert isinstance(tail, nn.AddOp)
    erf = tail.lhs.owner
    if not isinstance(erf, nn.ErfOp):
        return None
    scaled = erf.input.owner
    if not isinstance(scaled, nn.MulOp) or scaled.lhs is not x or not _near(scalar_of(scaled.rhs), 0.5**0.5):
        return None
    build.absorb(scaled, erf, tail)
    return build(nn.GeluOp(x))


def _product(op: nn.MulOp) -> list[SSAValue]:
    """The three factors of (a · b) · c."""
    for inner, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        if isinstance(inner.owner, nn.MulOp) and only_use(inner):
            return [inner.owner.lhs, inner.owner.rhs, other]
    return []


def _near(value: float | None, wanted: float) -> bool:
    return value is not None and abs(value - wanted) < 1e-4


RULES: list[Rule] = [
    gelu,
    constant_right,
    neutral,
    power,
    division,
    subtraction,
    bounds,
    chained_constants,
    double,
]
