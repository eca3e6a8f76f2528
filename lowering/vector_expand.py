"""nn ops as sequences of vector instructions: one row of `EXPANSIONS` per op.

What a chip lacks is read from its SoC data (`Program.has`), never from its name.  Values are f16 unless
accuracy asks for f32: sums always, and functions that would lose bits in a chain of f16 roundings (sigmoid,
tanh, erf).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast as narrow

from xdsl.ir import Operation

from ..dialects import nn
from ..runtime.errors import AscendError
from . import formulas
from .formulas import Term
from .vector_program import Program, float_to_whole

Expansion = Callable[[Program, nn.NNOp, list[int]], int]

BIG_STEPS = {"f16": (4096.0, 4096.0), "f32": (2.0**75, 2.0**75)}
"""Factors that lift the smallest subnormal to at least 1: a difference becomes a truth value without a
compare."""


def chip_type(dtype: str) -> str:
    """Element type on the chip of a graph type (decision D13)."""
    table = {"f16": "f16", "f32": "f32", "i32": "s32", "i64": "s32", "bool": "f16", "i8": "f16", "u8": "f16"}
    if dtype not in table:
        raise AscendError("E40021", f"vector groups hold no {dtype} data", expected=", ".join(table))
    return table[dtype]


def expand(program: Program, op: nn.NNOp, args: list[int]) -> int:
    """The node that holds the op's result, in the chip type of its element type."""
    found = EXPANSIONS.get(type(op))
    if found is None:
        raise AscendError("E40021", f"the vector generator has no instructions for {op.name}")
    return program.cast(found(program, op, args), chip_type(nn.dtype_of(op.results[0])))


def _unary(name: str) -> Expansion:
    return lambda p, op, a: p.unary(name, a[0])


def _binary(name: str) -> Expansion:
    return lambda p, op, a: p.binary(name, a[0], a[1])


def _in_f32(body: Callable[[Program, int], int]) -> Expansion:
    return lambda p, op, a: body(p, p.wide(a[0]))


def _number(op: Operation, name: str) -> float:
    return float(narrow(float, narrow(nn.NNOp, op).values[name]))


# ------------------------------------------------------------------------------------------ functions
@dataclass(frozen=True)
class Lane(Term):
    """A term of `formulas` as an f32 node of a program."""

    p: Program
    x: int

    def _of(self, other: Term | float) -> int:
        return other.x if isinstance(other, Lane) else self.p.splat(float(narrow(float, other)), "f32")

    def plus(self, other: Term | float) -> Term:
        return Lane(self.p, self.p.add(self.x, self._of(other)))

    def minus(self, other: Term | float) -> Term:
        return Lane(self.p, self.p.sub(self.x, self._of(other)))

    def times(self, other: Term | float) -> Term:
        return Lane(self.p, self.p.mul(self.x, self._of(other)))

    def over(self, other: Term) -> Term:
        if self.p.value_of(self.x) == 1.0:
            return Lane(self.p, self.p.reciprocal(self._of(other)))
        return Lane(self.p, self.p.divide(self.x, self._of(other)))

    def least(self, bound: float) -> Term:
        return Lane(self.p, self.p.maxs(self.x, bound))

    def most(self, bound: float) -> Term:
        return Lane(self.p, self.p.mins(self.x, bound))

    def exp(self) -> Term:
        return Lane(self.p, self.p.exp(self.x))

    def log(self) -> Term:
        return Lane(self.p, self.p.log(self.x))

    def sqrt(self) -> Term:
        return Lane(self.p, self.p.sqrt(self.x))

    def size(self) -> Term:
        return Lane(self.p, self.p.unary("vabs", self.x))

    def sign(self) -> Term:
        return Lane(self.p, _sign(self.p, self.x))

    def number(self, value: float) -> Term:
        return Lane(self.p, self.p.splat(value, "f32"))


def _formula(body: Callable[[Term], Term]) -> Callable[[Program, int], int]:
    """A formula on a node, as f32."""

    def run(p: Program, x: int) -> int:
        result = body(Lane(p, p.wide(x)))
        assert isinstance(result, Lane)
        return result.x

    return run


def _is_single(op: Operation) -> bool:
    """Whether the result keeps 24 bits; for 11 shorter formulas do, whose absolute error is that of f32."""
    return nn.dtype_of(op.results[0]) == "f32"


def _by_result(single: Callable[[Term], Term], half: Callable[[Program, int], int]) -> Expansion:
    """One formula for f32 results, one for f16."""
    exact = _formula(single)
    return lambda p, op, a: exact(p, a[0]) if _is_single(op) else half(p, p.wide(a[0]))


def _sigmoid(p: Program, x: int) -> int:
    return p.reciprocal(p.adds(p.exp(p.muls(x, -1.0)), 1.0))


def _tanh(p: Program, x: int) -> int:
    """(1 - e)/(1 + e) with e = exp(-2|x|), the sign put back: |error| ≤ one ulp of f32 1."""
    e = p.exp(p.muls(p.unary("vabs", x), -2.0))
    size = p.divide(p.adds(p.muls(e, -1.0), 1.0), p.adds(e, 1.0))
    return p.mul(size, _sign(p, x))


def _sign(p: Program, x: int) -> int:
    for step in BIG_STEPS[p.dtype(x)]:
        x = p.muls(x, step)
    return p.mins(p.scalar("vmaxs", x, -1.0), 1.0)


ERFC = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0)
"""erfc(z) ≈ e^(-z²) · poly(t), t = 1/(1 + 0.3275911 z): Abramowitz and Stegun 7.1.26, |error| ≤ 1.5e-7."""


def _erfc_positive(p: Program, z: int) -> int:
    t = p.reciprocal(p.adds(p.muls(z, 0.3275911), 1.0))
    return p.mul(p.polynomial(t, ERFC), p.exp(p.muls(p.mul(z, z), -1.0)))


def _gelu(p: Program, op: nn.NNOp, a: list[int]) -> int:
    x = p.wide(a[0])
    if op.values["approximate"] == "tanh":
        inner = p.mul(x, p.adds(p.muls(p.mul(x, x), 0.044715), 1.0))
        return p.mul(x, _sigmoid(p, p.muls(inner, 2.0 * math.sqrt(2.0 / math.pi))))
    if _is_single(op):
        return _formula(formulas.gelu)(p, x)
    size = p.unary("vabs", x)  # relu(x) - |x| (1 - Phi(|x|)): exact where the result is tiny
    q = p.muls(_erfc_positive(p, p.muls(size, math.sqrt(0.5))), 0.5)
    return p.sub(p.maxs(x, 0.0), p.mul(size, q))


def _softplus(p: Program, x: int) -> int:
    tail = p.log(p.adds(p.exp(p.muls(p.unary("vabs", x), -1.0)), 1.0))
    return p.add(p.maxs(x, 0.0), tail)


def _elu(op: nn.NNOp) -> tuple[float, float, float]:
    """alpha, rate and gamma of gamma · (max(x, 0) + alpha (e^(rate · min(x, 0)) - 1))"""
    alpha = _number(op, "alpha")
    if isinstance(op, nn.CeluOp):
        return alpha, 1 / alpha, 1.0
    return alpha, 1.0, _number(op, "gamma") if isinstance(op, nn.SeluOp) else 1.0


def _elu_like(p: Program, op: nn.NNOp, a: list[int]) -> int:
    alpha, rate, gamma = _elu(op)
    if _is_single(op):
        return p.muls(_formula(lambda x: formulas.elu(x, alpha, rate))(p, a[0]), gamma)
    x = p.wide(a[0])
    low = p.adds(p.exp(p.muls(p.mins(x, 0.0), rate)), -1.0)
    return p.muls(p.add(p.maxs(x, 0.0), p.muls(low, alpha)), gamma)


def _rounded(p: Program, x: int, suffix: str) -> int:
    """To s32 with a rounding mode, through f16 where the chip converts nothing else."""
    if not p.has("vconv", f"{p.dtype(x)}2s32{suffix}"):
        x = p.cast(x, "f16")
    return p.convert(x, f"{p.dtype(x)}2s32{suffix}", "s32")


def _round(suffix: str) -> Expansion:
    """x less what it has beyond the whole number. Large numbers, infinities and NaN have nothing beyond it."""

    def body(p: Program, op: nn.NNOp, a: list[int]) -> int:
        x = a[0]
        most = WHOLE_FROM[p.dtype(x)]
        if _is_clipped(op):
            return p.cast(_rounded(p, x, suffix), p.dtype(x))
        inside = p.mins(p.scalar("vmaxs", x, -most), most)
        if p.dtype(x) == "f32" and not p.has("vconv", f"f322s32{suffix}"):
            whole = _rounded_by_sums(p, inside, suffix)
        else:
            whole = p.cast(_rounded(p, inside, suffix), p.dtype(x))
        return p.sub(x, p.sub(inside, whole))

    return body


WHOLE_FROM = {"f16": 2048.0, "f32": 2.0**23}
"""From here on all numbers of the type are whole."""


def _is_clipped(op: nn.NNOp) -> bool:
    """Whether the result is cut to few values: what is beyond whole numbers of 32 bits does not matter."""
    users = [use.operation for use in op.results[0].uses]
    if len(users) == 1 and isinstance(users[0], nn.AddOp):  # a zero point
        users = [use.operation for use in users[0].results[0].uses]
    return bool(users) and all(isinstance(user, nn.ClipOp) for user in users)


def _rounded_by_sums(p: Program, x: int, suffix: str) -> int:
    """|x| + 2^23 - 2^23 is |x| rounded to a whole number, half to even."""
    size = p.adds(p.adds(p.unary("vabs", x), WHOLE_FROM["f32"]), -WHOLE_FROM["f32"])
    nearest = p.mul(size, _sign(p, x))
    if suffix == "r":
        return nearest
    if suffix == "f":
        return p.sub(nearest, _truth(p, p.maxs(p.sub(nearest, x), 0.0)))
    return p.add(nearest, _truth(p, p.maxs(p.sub(x, nearest), 0.0)))


MOST_FACTORS = 64
"""Whole exponents up to here are products."""


def _pow(p: Program, op: nn.NNOp, a: list[int]) -> int:
    exponent = p.value_of(a[1])
    x = a[0]
    if exponent == 2:
        return p.mul(x, x)
    wide = p.wide(x)
    if exponent == 0.5:
        return p.sqrt(wide)
    if exponent == -0.5:
        return p.rsqrt(wide)
    if exponent is not None and exponent == int(exponent) and 1 <= abs(exponent) <= MOST_FACTORS:
        total = _product(p, wide, int(abs(exponent)))
        return total if exponent > 0 else p.reciprocal(total)
    if exponent is not None and exponent != int(exponent):
        return p.exp(p.mul(p.log(wide), p.wide(a[1])))
    return _any_power(p, wide, p.wide(a[1]))


def _product(p: Program, x: int, factors: int) -> int:
    """x to a whole power, by squares where they are fewer products."""
    if factors <= 8:
        total = x
        for _ in range(factors - 1):
            total = p.mul(total, x)
        return total
    half = _product(p, x, factors // 2)
    square = p.mul(half, half)
    return p.mul(square, x) if factors % 2 else square


LARGE = 1e38


def _any_power(p: Program, x: int, y: int) -> int:
    """e^(y · log|x|) with the sign of x where y is odd; a negative x to a power that is not whole has no answer."""
    to_whole = formulas.TO_WHOLE

    def rest(v: int) -> int:  # distance to the next whole number
        v = p.mins(p.scalar("vmaxs", v, -(2.0**22)), 2.0**22)
        return p.unary("vabs", p.sub(v, p.adds(p.adds(v, to_whole), -to_whole)))

    size = p.unary("vabs", x)
    is_whole = _not(p, _truth(p, rest(y)))
    base = p.binary("vmax", x, p.mul(size, p.adds(p.muls(is_whole, 2.0), -1.0)))
    logarithm = p.scalar("vmaxs", p.log(base), -LARGE)  # 0 to the power of 0 is 1
    is_negative = _truth(p, p.maxs(p.muls(x, -1.0), 0.0))
    is_odd = p.mul(p.muls(rest(p.muls(y, 0.5)), 2.0), is_whole)
    sign = p.adds(p.muls(p.mul(is_negative, is_odd), -2.0), 1.0)
    return p.mul(p.exp(p.mul(logarithm, y)), sign)


def _divide(p: Program, op: nn.NNOp, a: list[int]) -> int:
    if p.dtype(a[0]) != "s32":
        return p.divide(a[0], a[1])
    wide = p.divide(p.wide(a[0]), p.wide(a[1]))
    return _truncate(p, wide)


def _truncate(p: Program, x: int) -> int:
    """To s32, towards zero."""
    dtype = p.dtype(x)
    if p.has("vconv", f"{dtype}2s32z"):
        return p.convert(x, f"{dtype}2s32z", "s32")
    if dtype == "f32":
        return float_to_whole(p, x)
    up = p.convert(p.maxs(x, 0.0), "f162s32f", "s32")
    down = p.convert(p.maxs(p.muls(x, -1.0), 0.0), "f162s32f", "s32")
    return p.sub(up, down)


def _cast(p: Program, op: nn.NNOp, a: list[int]) -> int:
    source, target = nn.dtype_of(op.operands[0]), nn.dtype_of(op.results[0])
    x = a[0]
    if target == "bool" and source != "bool":
        return p.cast(_truth(p, p.unary("vabs", _float(p, x))), "f16")
    if target in ("i32", "i64", "i8", "u8") and source in ("f16", "f32"):
        whole = _truncate(p, x)
        return whole if target in ("i32", "i64") else p.cast(whole, "f16")
    return x


def _float(p: Program, x: int) -> int:
    return p.wide(x) if p.dtype(x) == "s32" else x


def _truth(p: Program, size: int) -> int:
    """min(|d| lifted to ≥ 1, 1): 1 where the non-negative value is not 0."""
    for step in BIG_STEPS[p.dtype(size)]:
        size = p.muls(size, step)
    return p.mins(size, 1.0)


def _compare(kind: str) -> Expansion:
    def body(p: Program, op: nn.NNOp, a: list[int]) -> int:
        x, y = _float(p, a[0]), _float(p, a[1])
        if kind in ("greater", "less_equal"):
            x, y = y, x
        if kind == "equal":
            t = _truth(p, p.unary("vabs", p.sub(x, y)))
        else:  # less: 1 where y - x > 0
            t = _truth(p, p.maxs(p.sub(y, x), 0.0))
        t = p.cast(t, "f16")
        # not (y ≥ x) …: less_equal(x, y) = not less(y, x); greater_equal(x, y) = not less(x, y)
        return p.adds(p.muls(t, -1.0), 1.0) if kind in ("equal", "less_equal", "greater_equal") else t

    return body


def _where(p: Program, op: nn.NNOp, a: list[int]) -> int:
    """By bits: (x & m) | (y & ~m), so that infinities of the branch not taken do no harm."""
    c, x, y = a
    dtype = p.dtype(x)
    minus = p.muls(c, -1.0)
    if dtype == "f16" and p.has("vconv", "f162s16r"):
        m = p.convert(minus, "f162s16r", "u16")
    else:
        x, y = (p.wide(v) if dtype == "f16" else v for v in (x, y))
        m = p.convert(minus, "f162s32r", "s32")
    yes = p.binary("vand", x, m, fold=False, optype="u16")
    no = p.binary("vand", y, p.bit_not(m), fold=False, optype="u16")
    return p.cast(p.binary("vor", yes, no, fold=False, optype="u16"), dtype)


def _bits(*ops: str) -> Expansion:
    """An operation on the bits of whole numbers; bytes, which are f16 on the chip, go through s32."""

    def body(p: Program, op: nn.NNOp, a: list[int]) -> int:
        lanes = [p.cast(x, "s32") for x in a]
        first, *rest = [p.binary(name, *lanes, fold=False, optype="u16") for name in ops]
        return p.binary("vand", first, p.bit_not(rest[0]), fold=False, optype="u16") if rest else first

    return body


def _bit_not(p: Program, op: nn.NNOp, a: list[int]) -> int:
    """All bits inverted: -1 - x, for unsigned bytes 255 - x."""
    if p.dtype(a[0]) == "s32":
        return p.bit_not(a[0])
    return p.adds(p.muls(a[0], -1.0), 255.0 if nn.dtype_of(op.results[0]) == "u8" else -1.0)


def _prelu(p: Program, op: nn.NNOp, a: list[int]) -> int:
    return p.add(p.maxs(a[0], 0.0), p.mul(p.mins(a[0], 0.0), a[1]))


def _leaky(p: Program, op: nn.NNOp, a: list[int]) -> int:
    alpha = _number(op, "alpha")
    if p.has("vlrelu", p.dtype(a[0])):
        return p.scalar("vlrelu", a[0], alpha)
    return p.binary("vmax" if alpha <= 1 else "vmin", a[0], p.muls(a[0], alpha))


def _clip(p: Program, op: nn.NNOp, a: list[int]) -> int:
    x, low, high = a[0], op.values.get("min"), op.values.get("max")
    if low is not None:
        x = p.maxs(x, float(narrow(float, low)))
    return x if high is None else p.mins(x, float(narrow(float, high)))


def _is_nan(p: Program, op: nn.NNOp, a: list[int]) -> int:
    """|x| + 1 is at least 1, infinities included, and only NaN converts to the integer 0."""
    x = p.adds(p.unary("vabs", a[0]), 1.0)
    if not p.has("vconv", f"{p.dtype(x)}2s32c"):
        x = p.cast(x, "f16")
    whole = p.convert(x, f"{p.dtype(x)}2s32c", "s32")
    return _not(p, p.mins(p.cast(whole, "f16"), 1.0))


def _hard_sigmoid(p: Program, op: nn.NNOp, a: list[int]) -> int:
    scaled = p.adds(p.muls(p.wide(a[0]), _number(op, "alpha")), _number(op, "beta"))
    return p.mins(p.maxs(scaled, 0.0), 1.0)


def _hard_swish(p: Program, op: nn.NNOp, a: list[int]) -> int:
    x = p.wide(a[0])
    return p.mul(x, p.mins(p.maxs(p.adds(p.muls(x, 1 / 6), 0.5), 0.0), 1.0))


def _mod(p: Program, op: nn.NNOp, a: list[int]) -> int:
    x, y = p.wide(a[0]), p.wide(a[1])
    q = p.divide(x, y)
    whole = _truncate(p, q) if "fmod" in op.values else _rounded(p, q, "f")
    return p.cast(p.sub(x, p.mul(p.wide(whole), y)), p.dtype(a[0]))


def _not(p: Program, x: int) -> int:
    return p.adds(p.muls(x, -1.0), 1.0)


# ------------------------------------------------------------------------------------------ reductions
def _extent(op: Operation) -> int:
    before, after = nn.shape_of(op.operands[0]), nn.shape_of(op.results[0])
    return math.prod(before) // max(1, math.prod(after))


def _reduce(p: Program, op: nn.NNOp, a: list[int]) -> int:
    kind, x = str(op.values["kind"]), a[0]
    if kind in ("max", "min"):
        return p.reduce(f"reduce_{kind}", x)
    x = p.wide(x)
    match kind:
        case "sum":
            return p.reduce("reduce_sum", x)
        case "mean":
            return p.muls(p.reduce("reduce_sum", x), 1.0 / _extent(op))
        case "sum_square":
            return p.reduce("reduce_sum", p.mul(x, x))
        case "l1":
            return p.reduce("reduce_sum", p.unary("vabs", x))
        case "l2":
            return p.sqrt(p.reduce("reduce_sum", p.mul(x, x)))
        case "log_sum":
            return p.log(p.reduce("reduce_sum", x))
        case "log_sum_exp":
            top = p.reduce("reduce_max", x)
            return p.add(top, p.log(p.reduce("reduce_sum", p.exp(p.sub(x, top)))))
        case _:
            raise AscendError("E40021", f"the vector generator has no reduction {kind}")


def _softmax(p: Program, op: nn.NNOp, a: list[int]) -> int:
    x, top = a[0], p.reduce("reduce_max", a[0])
    if p.has("vexp", "f32"):  # an f16 difference would be off by half an ulp of the largest distance
        e = p.exp(p.sub(p.wide(x), p.wide(top)))
    else:
        e = p.wide(p.exp(p.cast(p.sub(x, top), "f16")))
    return p.mul(e, p.reciprocal(p.reduce("reduce_sum", e)))


def _log_softmax(p: Program, op: nn.NNOp, a: list[int]) -> int:
    shifted = p.sub(p.wide(a[0]), p.wide(p.reduce("reduce_max", a[0])))
    return p.sub(shifted, p.log(p.reduce("reduce_sum", p.exp(shifted))))


def _normalise(p: Program, x: int, count: int, epsilon: float) -> int:
    x = p.wide(x)
    centred = p.sub(x, p.muls(p.reduce("reduce_sum", x), 1.0 / count))
    variance = p.muls(p.reduce("reduce_sum", p.mul(centred, centred)), 1.0 / count)
    return p.mul(centred, p.rsqrt(p.adds(variance, epsilon)))


def _layer_norm(p: Program, op: nn.NNOp, a: list[int]) -> int:
    shape, axis = nn.shape_of(op.operands[0]), int(narrow(int, op.values["axis"]))
    y = p.mul(_normalise(p, a[0], math.prod(shape[axis:]), _number(op, "epsilon")), p.wide(a[1]))
    return p.add(y, p.wide(a[2])) if len(a) > 2 else y


def _instance_norm(p: Program, op: nn.NNOp, a: list[int]) -> int:
    count = math.prod(nn.shape_of(op.operands[0])[2:])
    return p.add(p.mul(_normalise(p, a[0], count, _number(op, "epsilon")), p.wide(a[1])), p.wide(a[2]))


def _batch_norm(p: Program, op: nn.NNOp, a: list[int]) -> int:
    x, scale, bias, mean, variance = (p.wide(v) for v in a)
    factor = p.mul(scale, p.rsqrt(p.adds(variance, _number(op, "epsilon"))))
    return p.add(p.mul(x, factor), p.sub(bias, p.mul(mean, factor)))


EXPANSIONS: dict[type[Operation], Expansion] = {
    nn.ReluOp: lambda p, op, a: p.maxs(a[0], 0.0),
    nn.NegOp: lambda p, op, a: p.muls(a[0], -1.0),
    nn.AbsOp: _unary("vabs"),
    nn.ExpOp: lambda p, op, a: p.exp(a[0]),
    nn.LogOp: lambda p, op, a: p.log(a[0]),
    nn.SqrtOp: lambda p, op, a: p.sqrt(a[0]),
    nn.RsqrtOp: _in_f32(lambda p, x: p.rsqrt(x)),
    nn.ReciprocalOp: lambda p, op, a: p.reciprocal(a[0]),
    nn.SigmoidOp: _in_f32(_sigmoid),
    nn.TanhOp: _by_result(formulas.tanh, _tanh),
    nn.ErfOp: _in_f32(_formula(formulas.erf)),
    nn.GeluOp: _gelu,
    nn.SoftplusOp: _by_result(formulas.softplus, _softplus),
    nn.EluOp: _elu_like,
    nn.CeluOp: _elu_like,
    nn.SeluOp: _elu_like,
    nn.SinOp: _in_f32(_formula(lambda x: x.sin())),
    nn.CosOp: _in_f32(_formula(lambda x: x.cos())),
    nn.AtanOp: _in_f32(_formula(lambda x: x.atan())),
    nn.FloorOp: _round("f"),
    nn.CeilOp: _round("c"),
    nn.RoundOp: _round("r"),
    nn.SignOp: lambda p, op, a: _sign(p, a[0]),
    nn.NotOp: lambda p, op, a: _not(p, a[0]),
    nn.LeakyReluOp: _leaky,
    nn.PreluOp: _prelu,
    nn.ClipOp: _clip,
    nn.HardSigmoidOp: _hard_sigmoid,
    nn.HardSwishOp: _hard_swish,
    nn.IsNanOp: _is_nan,
    nn.CastOp: _cast,
    nn.AddOp: _binary("vadd"),
    nn.SubOp: _binary("vsub"),
    nn.MulOp: _binary("vmul"),
    nn.DivOp: _divide,
    nn.MaxOp: _binary("vmax"),
    nn.MinOp: _binary("vmin"),
    nn.PowOp: _pow,
    nn.ModOp: _mod,
    nn.EqualOp: _compare("equal"),
    nn.LessOp: _compare("less"),
    nn.LessEqualOp: _compare("less_equal"),
    nn.GreaterOp: _compare("greater"),
    nn.GreaterEqualOp: _compare("greater_equal"),
    nn.AndOp: _binary("vmin"),
    nn.OrOp: _binary("vmax"),
    nn.XorOp: lambda p, op, a: p.unary("vabs", p.sub(a[0], a[1])),
    nn.BitAndOp: _bits("vand"),
    nn.BitOrOp: _bits("vor"),
    nn.BitXorOp: _bits("vor", "vand"),  # in one of them and not in both
    nn.BitNotOp: _bit_not,
    nn.WhereOp: _where,
    nn.ReduceOp: _reduce,
    nn.SoftmaxOp: _softmax,
    nn.LogSoftmaxOp: _log_softmax,
    nn.LayerNormOp: _layer_norm,
    nn.InstanceNormOp: _instance_norm,
    nn.BatchNormOp: _batch_norm,
}
