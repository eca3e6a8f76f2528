"""Reference semantics of the elementwise ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from xdsl.ir import Operation

from ...dialects import nn
from ...dialects.dtypes import Array


@lru_cache(maxsize=1)
def _erf_table() -> tuple[Array, Array]:
    """erf and its scaled derivative at steps of 1/1024 on [0, 6]; beyond, erf is 1 to the last bit of f64."""
    x = np.arange(6 * 1024 + 2) / 1024
    values = np.array([math.erf(v) for v in x])
    slopes = 2 / math.sqrt(math.pi) * np.exp(-x * x) / 1024
    return values, slopes


def erf(x: Array) -> Array:
    """Error function by cubic Hermite interpolation: error below 1e-14 (numpy has none, and scipy is not a
    dependency).
    """
    values, slopes = _erf_table()
    position = np.minimum(np.abs(x).astype(np.float64), 6.0) * 1024
    safe = np.nan_to_num(position)
    i = safe.astype(np.int64)
    t = safe - i
    t2, t3 = t * t, t * t * t
    result = (
        (2 * t3 - 3 * t2 + 1) * values[i]
        + (t3 - 2 * t2 + t) * slopes[i]
        + (3 * t2 - 2 * t3) * values[i + 1]
        + (t3 - t2) * slopes[i + 1]
    )
    return np.where(np.isnan(x), np.nan, np.copysign(result, x)).astype(x.dtype)


def sigmoid(x: Array) -> Array:
    """Logistic function without overflow."""
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + z), z / (1 + z))


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu(x: Array, alpha: float, gamma: float) -> Array:
    return gamma * elu(x, alpha)


def celu(x: Array, alpha: float) -> Array:
    return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(np.minimum(x, 0) / alpha))


def clip(x: Array, min: float | None = None, max: float | None = None) -> Array:
    low = x if min is None else np.maximum(x, np.asarray(min).astype(x.dtype))
    return low if max is None else np.minimum(low, np.asarray(max).astype(x.dtype))


def gelu(x: Array, approximate: str) -> Array:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + erf(x / np.asarray(math.sqrt(2), x.dtype)))


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """Conversion; a float beyond an integer's range saturates nowhere in ONNX, so any value is right
    there.
    """
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def div(lhs: Array, rhs: Array) -> Array:
    if lhs.dtype.kind not in "iu":
        return np.divide(lhs, rhs)
    nonzero = np.where(rhs == 0, 1, rhs)
    floor = lhs // nonzero
    is_cut_up = (floor < 0) & (
        floor * nonzero != lhs
    )  # towards zero, and no |x| that the least number has not
    return (floor + is_cut_up).astype(lhs.dtype)


def mod(lhs: Array, rhs: Array, fmod: bool = False) -> Array:
    return np.fmod(lhs, rhs) if fmod else np.mod(lhs, rhs)


def power(lhs: Array, rhs: Array) -> Array:
    if lhs.dtype.kind in "iu":
        return np.power(lhs.astype(np.float64), rhs).astype(lhs.dtype)
    return np.power(lhs, rhs.astype(lhs.dtype))


def relu(x: Array) -> Array:
    return np.maximum(x, x.dtype.type(0))


def rsqrt(x: Array) -> Array:
    return 1 / np.sqrt(x)


def reciprocal(x: Array) -> Array:
    return 1 / x


def softplus(x: Array) -> Array:
    return np.logaddexp(x, x.dtype.type(0))


def hard_swish(x: Array) -> Array:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


def leaky_relu(x: Array, alpha: float) -> Array:
    return np.where(x >= 0, x, alpha * x)


def prelu(x: Array, slope: Array) -> Array:
    return np.where(x >= 0, x, slope * x)


SEMANTICS: dict[type[Operation], Callable[..., Array]] = {
    nn.ReluOp: relu,
    nn.NegOp: np.negative,
    nn.AbsOp: np.abs,
    nn.ExpOp: np.exp,
    nn.LogOp: np.log,
    nn.SqrtOp: np.sqrt,
    nn.RsqrtOp: rsqrt,
    nn.ReciprocalOp: reciprocal,
    nn.SigmoidOp: sigmoid,
    nn.TanhOp: np.tanh,
    nn.ErfOp: erf,
    nn.FloorOp: np.floor,
    nn.CeilOp: np.ceil,
    nn.RoundOp: np.rint,
    nn.SignOp: np.sign,
    nn.SinOp: np.sin,
    nn.CosOp: np.cos,
    nn.AtanOp: np.arctan,
    nn.SoftplusOp: softplus,
    nn.HardSwishOp: hard_swish,
    nn.NotOp: np.logical_not,
    nn.IsNanOp: np.isnan,
    nn.LeakyReluOp: leaky_relu,
    nn.EluOp: elu,
    nn.CeluOp: celu,
    nn.SeluOp: selu,
    nn.HardSigmoidOp: hard_sigmoid,
    nn.ClipOp: clip,
    nn.GeluOp: gelu,
    nn.AddOp: np.add,
    nn.SubOp: np.subtract,
    nn.MulOp: np.multiply,
    nn.DivOp: div,
    nn.MaxOp: np.maximum,
    nn.MinOp: np.minimum,
    nn.PowOp: power,
    nn.ModOp: mod,
    nn.PreluOp: prelu,
    nn.EqualOp: np.equal,
    nn.LessOp: np.less,
    nn.LessEqualOp: np.less_equal,
    nn.GreaterOp: np.greater,
    nn.GreaterEqualOp: np.greater_equal,
    nn.AndOp: np.logical_and,
    nn.OrOp: np.logical_or,
    nn.XorOp: np.logical_xor,
    nn.BitAndOp: np.bitwise_and,
    nn.BitOrOp: np.bitwise_or,
    nn.BitXorOp: np.bitwise_xor,
    nn.BitNotOp: np.invert,
    nn.WhereOp: np.where,
}
