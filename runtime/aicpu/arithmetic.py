"""Arithmetic of the AI CPU: elementwise functions, reductions, running sums, products.

Each computes in the operand's own type; integers are exact and wrap as their type does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import texts
from .definition import TensorSpec
from .kernel import Array, Compute, CpuKernel, Settings, integer, integers, kind_of, word
from .strings import equal


def _elementwise(function: Callable[..., Any]) -> Compute:
    """A numpy function of all operands; small floats compute in f32."""

    def compute(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
        if isinstance(function, np.ufunc) and len(operands) != function.nin:
            raise ValueError(
                f"{len(operands)} operands where {function.nin} are expected"
            )  # the next is `out`
        kind = kind_of(outputs[0])
        result = np.asarray(function(*map(_widened, operands)))
        return [result if result.dtype == kind else result.astype(kind)]

    return compute


def _widened(array: Array) -> Array:
    """Floats that numpy does not compute in become f32, integers below 8 bits i32."""
    if array.dtype.kind in "fiubc" or array.dtype == texts.SLOT:
        return array
    name = array.dtype.name
    return array.astype(np.int32 if "int" in name else np.float32)


def _quotient(x: Array, y: Array) -> Array:
    """Whole quotients are cut off towards zero."""
    if x.dtype.kind not in "iu":
        return np.divide(x, y)
    safe = np.where(y == 0, 1, y).astype(x.dtype)
    floor = np.floor_divide(x, safe)
    inexact = (np.remainder(x, safe) != 0) & ((x < 0) != (safe < 0))
    return (floor + inexact).astype(x.dtype)


def _shift(left: bool) -> Callable[[Array, Array], Array]:
    """Shifts by the width of the type or more, negative distances among them, leave 0 (or the sign)."""

    def shift(x: Array, y: Array) -> Array:
        width = 8 * x.dtype.itemsize
        is_beyond = (y >= width) | (y < 0)
        amount = np.where(is_beyond, width - 1, y).astype(x.dtype)
        if left:
            return np.where(is_beyond, 0, np.left_shift(x, amount)).astype(x.dtype)
        rest = -1 * (x < 0) if x.dtype.kind == "i" else np.zeros_like(x)
        return np.where(is_beyond, rest, np.right_shift(x, amount)).astype(x.dtype)

    return shift


def _positive_part(x: Array) -> Array:
    return np.maximum(x, 0)


def _inverse(x: Array) -> Array:
    return 1 / x


def _inverse_root(x: Array) -> Array:
    return 1 / np.sqrt(x)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _equal(x: Array, y: Array) -> Array:
    return equal(x, y) if x.dtype == texts.SLOT else np.equal(x, y)


_FUNCTIONS: dict[str, tuple[Callable[..., Any], float]] = {
    "Add": (np.add, 1),
    "Sub": (np.subtract, 1),
    "Mul": (np.multiply, 1),
    "Div": (_quotient, 4),
    "Max": (np.maximum, 1),
    "Min": (np.minimum, 1),
    "Pow": (np.power, 20),
    "Neg": (np.negative, 1),
    "Abs": (np.abs, 1),
    "Sign": (np.sign, 1),
    "Relu": (_positive_part, 1),
    "Exp": (np.exp, 20),
    "Log": (np.log, 20),
    "Sqrt": (np.sqrt, 8),
    "Rsqrt": (_inverse_root, 12),
    "Reciprocal": (_inverse, 4),
    "Sigmoid": (_sigmoid, 24),
    "Tanh": (np.tanh, 24),
    "Floor": (np.floor, 1),
    "Ceil": (np.ceil, 1),
    "Round": (np.rint, 1),
    "Sin": (np.sin, 20),
    "Cos": (np.cos, 20),
    "Atan": (np.arctan, 20),
    "Not": (np.logical_not, 1),
    "IsNan": (np.isnan, 1),
    "And": (np.logical_and, 1),
    "Or": (np.logical_or, 1),
    "Xor": (np.logical_xor, 1),
    "Equal": (_equal, 1),
    "Less": (np.less, 1),
    "LessEqual": (np.less_equal, 1),
    "Greater": (np.greater, 1),
    "GreaterEqual": (np.greater_equal, 1),
    "Where": (np.where, 1),
    "BitAnd": (np.bitwise_and, 1),
    "BitOr": (np.bitwise_or, 1),
    "BitXor": (np.bitwise_xor, 1),
    "BitNot": (np.invert, 1),
    "ShiftLeft": (_shift(left=True), 1),
    "ShiftRight": (_shift(left=False), 1),
}


def _mod(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    """The remainder of division towards zero (`fmod`) or of floor division."""
    x, y = map(_widened, operands)
    result = np.fmod(x, y) if integer(settings, "fmod") else np.mod(x, y)
    return [result.astype(kind_of(outputs[0]))]


def _clip(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    low, high = settings.get("min"), settings.get("max")
    x = _widened(operands[0])
    if isinstance(low, int | float):
        x = np.maximum(x, np.asarray(low, x.dtype))
    if isinstance(high, int | float):
        x = np.minimum(x, np.asarray(high, x.dtype))
    return [x.astype(kind_of(outputs[0]))]


_REDUCTIONS: dict[str, Callable[[Array, tuple[int, ...]], Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "sum_square": lambda x, axes: np.sum(x * x, axes),
    "l1": lambda x, axes: np.sum(np.abs(x), axes),
    "l2": lambda x, axes: np.sqrt(np.sum(x * x, axes)),
    "log_sum": lambda x, axes: np.log(np.sum(x, axes)),
    "log_sum_exp": lambda x, axes: np.log(np.sum(np.exp(x), axes)),
}


def _reduce(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    x = _widened(operands[0])
    result = _REDUCTIONS[word(settings, "kind")](x, integers(settings, "axes"))
    return [np.asarray(result).astype(kind_of(outputs[0])).reshape(outputs[0].shape)]


def _arg_reduce(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    x, axis = _widened(operands[0]), integer(settings, "axis")
    find = np.argmax if word(settings, "kind") == "max" else np.argmin
    if integer(settings, "last"):
        found = x.shape[axis] - 1 - find(np.flip(x, axis), axis=axis)
    else:
        found = find(x, axis=axis)
    return [np.asarray(found, np.int64).reshape(outputs[0].shape)]


def _top_k(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    """The best of each row of the last axis, or where they stand; the first of equal ones comes first."""
    x, count = _widened(operands[0]), integer(settings, "count")
    if integer(settings, "smallest"):
        order = np.argsort(x, axis=-1, kind="stable")[..., :count]
    else:  # the last of a row turned round is the first of the row
        order = x.shape[-1] - 1 - np.argsort(np.flip(x, -1), axis=-1, kind="stable")[..., ::-1][..., :count]
    found = order if integer(settings, "positions") else np.take_along_axis(operands[0], order, -1)
    return [np.ascontiguousarray(found, kind_of(outputs[0]))]


def _scan(function: Callable[..., Any]) -> Compute:
    """Running sums and products along `axis`, backwards with `reverse`, without the own element with
    `exclusive`."""

    def compute(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
        x, axis = operands[0], integer(settings, "axis")
        backwards = bool(integer(settings, "reverse"))
        values = np.flip(x, axis) if backwards else x
        result = function(values, axis=axis, dtype=x.dtype)
        if integer(settings, "exclusive"):
            first = np.full_like(np.take(values, [0], axis), 1 if function is np.cumprod else 0)
            rest = np.take(result, range(x.shape[axis] - 1), axis)
            result = np.concatenate([first, rest], axis)
        return [np.flip(result, axis) if backwards else result]

    return compute


def _matmul(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    lhs, rhs = map(_widened, operands[:2])
    lhs = np.swapaxes(lhs, -1, -2) if integer(settings, "trans_a") else lhs
    rhs = np.swapaxes(rhs, -1, -2) if integer(settings, "trans_b") else rhs
    result = np.matmul(lhs, rhs)
    if len(operands) > 2:
        result = result + operands[2]
    return [result.astype(kind_of(outputs[0]))]


def _gather(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    """Entries of an axis; an index outside is an error, as in ONNX."""
    return [np.take(operands[0], operands[1].astype(np.int64), integer(settings, "axis"))]


KERNELS = {name: CpuKernel(_elementwise(function), work) for name, (function, work) in _FUNCTIONS.items()} | {
    "Mod": CpuKernel(_mod, 8),
    "Clip": CpuKernel(_clip, 2),
    "Reduce": CpuKernel(_reduce, 2),
    "ArgReduce": CpuKernel(_arg_reduce, 2),
    "TopK": CpuKernel(_top_k, 32),
    "CumSum": CpuKernel(_scan(np.cumsum), 1),
    "CumProd": CpuKernel(_scan(np.cumprod), 1),
    "MatMul": CpuKernel(_matmul, 64),
    "Gather": CpuKernel(_gather, 1),
}
