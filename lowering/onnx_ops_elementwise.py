"""ONNX elementwise operators."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import reduce as fold_left

import numpy as np

from ..dialects import dtypes, nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import HANDLERS, Handler, onnx_op

_UNARY: dict[str, Callable[..., nn.NNOp]] = {
    "Relu": nn.ReluOp,
    "Neg": nn.NegOp,
    "Abs": nn.AbsOp,
    "Exp": nn.ExpOp,
    "Log": nn.LogOp,
    "Sqrt": nn.SqrtOp,
    "Reciprocal": nn.ReciprocalOp,
    "Sigmoid": nn.SigmoidOp,
    "Tanh": nn.TanhOp,
    "Erf": nn.ErfOp,
    "Floor": nn.FloorOp,
    "Ceil": nn.CeilOp,
    "Round": nn.RoundOp,
    "Sign": nn.SignOp,
    "Sin": nn.SinOp,
    "Cos": nn.CosOp,
    "Atan": nn.AtanOp,
    "Softplus": nn.SoftplusOp,
    "HardSwish": nn.HardSwishOp,
    "Not": nn.NotOp,
    "IsNaN": nn.IsNanOp,
}
BINARY: dict[str, Callable[..., nn.NNOp]] = {
    "Add": nn.AddOp,
    "Sub": nn.SubOp,
    "Mul": nn.MulOp,
    "Div": nn.DivOp,
    "Pow": nn.PowOp,
    "Equal": nn.EqualOp,
    "Less": nn.LessOp,
    "LessOrEqual": nn.LessEqualOp,
    "Greater": nn.GreaterOp,
    "GreaterOrEqual": nn.GreaterEqualOp,
    "And": nn.AndOp,
    "Or": nn.OrOp,
    "Xor": nn.XorOp,
}
_VARIADIC: dict[str, Callable[..., nn.NNOp]] = {
    "Max": nn.MaxOp,
    "Min": nn.MinOp,
    "Sum": nn.AddOp,
    "Mean": nn.AddOp,
}
_WITH_FLOATS: dict[str, tuple[Callable[..., nn.NNOp], dict[str, float]]] = {
    "LeakyRelu": (nn.LeakyReluOp, {"alpha": 0.01}),
    "Elu": (nn.EluOp, {"alpha": 1.0}),
    "Celu": (nn.CeluOp, {"alpha": 1.0}),
    "Selu": (nn.SeluOp, {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}),
    "HardSigmoid": (nn.HardSigmoidOp, {"alpha": 0.2, "beta": 0.5}),
}


def _unary(make: Callable[..., nn.NNOp]) -> Handler:
    return lambda node: node.emit(make, node.input(0))


def _binary(make: Callable[..., nn.NNOp]) -> Handler:
    return lambda node: node.emit(make, node.input(0), node.input(1))


def _variadic(make: Callable[..., nn.NNOp]) -> Handler:
    return lambda node: fold_left(lambda a, b: node.emit(make, a, b), node.inputs())


def _with_floats(make: Callable[..., nn.NNOp], defaults: dict[str, float]) -> Handler:
    return lambda node: node.emit(
        make, node.input(0), **{name: node.float(name, default) for name, default in defaults.items()}
    )


HANDLERS.update({("", name, 1): _unary(make) for name, make in _UNARY.items()})
HANDLERS.update({("", name, 7): _binary(make) for name, make in BINARY.items()})
HANDLERS["", "PRelu", 7] = _binary(nn.PreluOp)
HANDLERS.update({("", name, 1): _variadic(make) for name, make in _VARIADIC.items()})
HANDLERS.update({("", name, 1): _with_floats(*row) for name, row in _WITH_FLOATS.items()})


EXPONENT_BITS = 5
"""Bits of a computed integer exponent: from 32 on every base but -1, 0 and 1 is beyond 32 bits."""
NEARLY_WHOLE = 2.0**-20
"""Relative distance from a whole number that the f32 power of integers may have by rounding alone."""


@onnx_op("Pow", since=7)
def power(node: Node) -> Value:
    """Floats to any power; integers to integer powers by squaring, exactly."""
    x, y = node.input(0), node.input(1)
    if x.is_float and not y.is_float:
        y = node.cast(y, x.dtype)
    if not x.is_float and y.is_float:
        return _power_of_float(node, x, y)
    if x.is_float or x.dtype not in ("i32", "i64") or y.array is not None:
        return node.emit(nn.PowOp, x, y)
    return _power_by_squaring(node, x, node.cast(y, "i32"))


def _power_by_squaring(node: Node, x: Value, exponent: Value) -> Value:
    """x to an integer power from 0 on, exactly. From 32 on only the powers of -1, 0 and 1 fit: they are those to 2 or 3."""
    odd = node.emit(nn.BitAndOp, exponent, node.scalar(1, exponent))
    is_large = node.emit(nn.GreaterOp, exponent, node.scalar((1 << EXPONENT_BITS) - 1, exponent))
    small = node.emit(nn.AddOp, odd, node.scalar(2, exponent))
    exponent = node.emit(nn.WhereOp, is_large, small, exponent)
    total, square = node.scalar(1, x), x
    for bit in range(EXPONENT_BITS):
        is_set = node.cast(node.emit(nn.BitAndOp, exponent, node.scalar(1 << bit, exponent)), "bool")
        total = node.emit(nn.MulOp, total, node.emit(nn.WhereOp, is_set, square, node.scalar(1, x)))
        square = node.emit(nn.MulOp, square, square)
    return total


def _power_of_float(node: Node, x: Value, y: Value) -> Value:
    """Integers to powers that are given as floats: exactly if those are whole, else cut off towards zero. Of a root
    that is whole f32 gives a little less, so what is as near as f32 can tell counts as whole."""
    base, wide = node.cast(x, "f32"), node.cast(y, "f32")
    size = node.precise(nn.AbsOp, wide)
    exact = _power_by_squaring(node, x, node.cast(size, "i32"))
    rising = node.precise(nn.GreaterEqualOp, wide, node.scalar(0.0, wide))
    is_unit = node.emit(
        nn.LessEqualOp, node.emit(nn.AbsOp, x), node.scalar(1, x)
    )  # 1 and -1 are their own inverses
    exact = node.emit(nn.WhereOp, node.emit(nn.OrOp, rising, is_unit), exact, node.scalar(0, x))
    near = node.precise(nn.PowOp, base, wide)
    nearest = node.precise(nn.RoundOp, near)
    away = node.precise(nn.AbsOp, node.precise(nn.SubOp, near, nearest))
    room = node.precise(nn.MulOp, node.precise(nn.AbsOp, near), node.scalar(NEARLY_WHOLE, near))
    near = node.precise(nn.WhereOp, node.precise(nn.LessEqualOp, away, room), nearest, near)
    is_whole = node.precise(nn.EqualOp, wide, node.precise(nn.FloorOp, wide))
    return node.emit(nn.WhereOp, is_whole, exact, node.cast(near, x.dtype))


@onnx_op("Mean")
def mean(node: Node) -> Value:
    operands = node.inputs()
    total = fold_left(lambda a, b: node.emit(nn.AddOp, a, b), operands)
    return node.emit(nn.MulOp, total, node.scalar(1 / len(operands), total))


@onnx_op("Mod")
def mod(node: Node) -> Value:
    return node.emit(nn.ModOp, node.input(0), node.input(1), fmod=bool(node.int("fmod", 0)))


@onnx_op("Gelu")
def gelu(node: Node) -> Value:
    return node.emit(nn.GeluOp, node.input(0), node.word("approximate", "none", ("none", "tanh")))


@onnx_op("Clip")
def clip_attributes(node: Node) -> Value:
    low = node.float("min", 0.0) if node.has("min") else None
    high = node.float("max", 0.0) if node.has("max") else None
    return _clip(node, low, high)


def _clip(node: Node, low: float | None, high: float | None) -> Value:
    # exporters write the largest float for "no bound"
    limit = float(np.finfo(np.float32).max)
    low = None if low is not None and low <= -limit else low
    high = None if high is not None and high >= limit else high
    if low is None and high is None:
        return node.input(0)
    return node.emit(nn.ClipOp, node.input(0), min=low, max=high)


@onnx_op("Clip", since=11)
def clip(node: Node) -> Value:
    bounds = node.get(1), node.get(2)
    if all(bound is None or bound.array is not None for bound in bounds):
        low, high = (None if b is None or b.array is None else _shortest(b.array) for b in bounds)
        return _clip(node, low, high)
    value = node.input(0)
    for bound, make in zip(bounds, (nn.MaxOp, nn.MinOp), strict=True):
        value = value if bound is None else node.emit(make, value, bound)
    return value


def _shortest(array: np.ndarray) -> float:  # type: ignore[type-arg]
    """A scalar as the decimal its author wrote."""
    return float(str(array.reshape(-1)[0]))


@onnx_op("ThresholdedRelu")
def thresholded_relu(node: Node) -> Value:
    x = node.input(0)
    above = node.emit(nn.GreaterOp, x, node.scalar(node.float("alpha", 1.0), x))
    return node.emit(nn.WhereOp, above, x, node.scalar(0.0, x))


@onnx_op("Where")
def where(node: Node) -> Value:
    return node.emit(nn.WhereOp, node.input(0), node.input(1), node.input(2))


def element_type(code: int, what: str) -> str:
    """ONNX type code → name, refused where there is none."""
    name = dtypes.name_of_onnx(code)
    if name is None:
        require(constraints.element_type_is_known, what, code)
        raise AssertionError
    return name


@onnx_op("Cast", since=6)
def cast(node: Node) -> Value:
    return _cast(node, element_type(node.int("to"), "the result"))


@onnx_op("CastLike")
def cast_like(node: Node) -> Value:
    return _cast(node, node.input(1).dtype)


def _cast(node: Node, target: str) -> Value:
    """Into an 8-bit float the node may ask for other ways than the nearest finite number."""
    x = node.input(0)
    wraps, mode = not node.int("saturate", 1), node.word("round_mode", "up", ("up", "down", "nearest"))
    if not target.startswith("f8") or x.dtype == target or (not wraps and target != "f8e8m0"):
        return node.cast(x, target)
    return node.emit(nn.CpuKernelOp, [x], "Cast", x.shape, target, wraps=wraps, round_mode=mode)


@onnx_op("Identity")
def identity(node: Node) -> Value:
    return node.input(0)


@onnx_op("Dropout")
def dropout(node: Node) -> list[Value]:
    training = node.get(2)
    is_training = training is not None and (training.array is None or bool(training.array.any()))
    ratio = node.get(1)
    if is_training and ratio is not None:  # dropping nothing is what inference does
        is_training = bool(node.known(1, "ratio").any()) or node.known(2, "training_mode").size == 0
    x = node.input(0)
    if is_training:
        return _dropped(node, x, float(node.known(1, "ratio").reshape(-1)[0]) if ratio is not None else 0.5)
    keeps_all = node.expression(nn.Blob.splat(1, x.shape, "bool"))
    return [x, keeps_all]


def _dropped(node: Node, x: Value, ratio: float) -> list[Value]:
    """Elements kept with the probability 1 - ratio, and scaled so that the mean stays."""
    require(constraints.ratio_is_below_one, ratio)
    drawn = node.emit(
        nn.CpuKernelOp, [], "RandomUniform", x.shape, "f32", seed=seed_of(node), numbers=(0.0, 1.0)
    )
    keeps = node.emit(nn.GreaterEqualOp, drawn, node.scalar(ratio, drawn))
    scaled = node.emit(nn.MulOp, x, node.scalar(1 / (1 - ratio), x))
    return [node.emit(nn.WhereOp, keeps, scaled, node.scalar(0.0, x)), keeps]


def seed_of(node: Node) -> int:
    """The node's own seed, or one that follows from its name: the same model gives the same file."""
    if node.has("seed"):
        return zlib.crc32(np.float32(node.float("seed")).tobytes())
    return zlib.crc32(node.name.encode())


@onnx_op("Affine")
def affine(node: Node) -> Value:
    """alpha · x + beta (experimental, gone since opset 10; still in old models)."""
    x = node.input(0)
    scaled = node.emit(nn.MulOp, x, node.scalar(node.float("alpha", 1.0), x))
    return node.emit(nn.AddOp, scaled, node.scalar(node.float("beta", 0.0), x))


@onnx_op("ImageScaler")
def image_scaler(node: Node) -> Value:
    """scale · x + bias[channel] (experimental, gone since opset 10)."""
    x = node.input(0)
    require(constraints.image_rank, x.shape)
    bias = np.asarray(node.floats("bias", ()), dtypes.numpy_dtype(x.dtype)).reshape(-1, 1, 1)
    scaled = node.emit(nn.MulOp, x, node.scalar(node.float("scale", 1.0), x))
    return node.emit(nn.AddOp, scaled, node.constant(bias)) if bias.size else scaled
