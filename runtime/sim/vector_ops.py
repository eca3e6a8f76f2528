"""What one lane of each elementwise vector instruction computes, for whole arrays.

Every function gets the destination view (old values in it) and source views, and writes the destination.
fp16 is computed in fp32 and rounded once (decision D22); rounded fp16 results saturate (see `floats.py`).
Integers wrap. `scalar` is a value of the instruction's type.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from ..isa.extents import split_conversion
from ..isa.rows_split_vector import SPLIT_VCONV_TYPES
from .floats import (
    DTYPES,
    F16_MAX,
    Array,
    half_to_single,
    has_nan,
    order_key,
    reciprocal,
    reciprocal_root,
    rectify,
    saturate,
    store_half,
)
from .split_convert import split_conversion_of

Lanes: TypeAlias = Callable[[Array, list[Array], Any], None]
"""(destination, sources, scalar)"""


_FEW = 1000


def _single(values: Array) -> Array:
    """fp32 values of a float view: a new array for fp16, the view itself for fp32."""
    return half_to_single(values) if values.dtype == np.float16 else values


def _store(dst: Array, result: Array) -> None:
    """Rounds fp32 results to the destination's type."""
    if dst.dtype == np.float16:
        store_half(result, dst)
    else:
        dst[...] = result


def _two(function: Callable[..., Any], relu: bool = False) -> Lanes:
    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        if dst.dtype == np.float16:
            result = _single(src[0])
            function(result, _single(src[1]), out=result)
            if relu:
                rectify(result)
            _store(dst, result)
            return
        function(src[0], src[1], out=dst)
        if relu and dst.dtype.kind == "f":
            rectify(dst)
        elif relu:
            np.maximum(dst, 0, out=dst)

    return run


def _pick(function: Callable[..., Any]) -> Lanes:
    """max and min: no rounding, so fp16 needs no saturation.  Of two zeros the positive one is the greater."""

    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        _extreme(function, dst, src[0], src[1])

    return run


def _pick_scalar(function: Callable[..., Any]) -> Lanes:
    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        _extreme(function, dst, src[0], np.asarray(scalar, src[0].dtype))

    return run


def _extreme(function: Callable[..., Any], dst: Array, one: Array, other: Array) -> None:
    if dst.dtype.kind != "f":
        function(one, other, out=dst)
        return
    if dst.dtype == np.float16 and dst.size >= _FEW:  # numpy's own halves are slow, but one call
        bits = [values.view(np.int16) for values in (one, other)]
        if not has_nan(bits[0]) and not has_nan(bits[1]):
            dst.view(np.int16)[...] = order_key(function(order_key(bits[0]), order_key(bits[1])))
            return
    result = function(one, other)
    if not result.all():  # of two zeros numpy takes either
        equal = (one == 0) & (other == 0)
        negative = np.logical_and if function is np.maximum else np.logical_or
        zeros = np.copysign(
            result.dtype.type(0), np.where(negative(np.signbit(one), np.signbit(other)), -1, 1)
        )
        np.copyto(result, zeros, where=equal, casting="same_kind")
    dst[...] = result


def _bits(function: Callable[..., Any]) -> Lanes:
    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        function(*src, out=dst)

    return run


def _one(function: Callable[[Array], Array]) -> Lanes:
    """A function of the fp64 value, rounded once.  For fp16 that is a table of all 65536 results."""

    @cache
    def table() -> Array:
        halves = np.arange(65536, dtype=np.uint16).view(np.float16)
        return np.clip(function(halves.astype(np.float64)), -F16_MAX, F16_MAX).astype(np.float16)

    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        if dst.dtype == np.float16:
            dst[...] = table().take(src[0].view(np.uint16))
        else:
            dst[...] = function(src[0].astype(np.float64))

    return run


def _abs(dst: Array, src: list[Array], scalar: Any) -> None:
    if dst.dtype == np.float16:
        np.bitwise_and(src[0].view(np.uint16), np.uint16(0x7FFF), out=dst.view(np.uint16))
    else:
        np.abs(src[0], out=dst)


def _relu(dst: Array, src: list[Array], scalar: Any) -> None:
    if dst.dtype == np.float16:
        # as int16, negative halves are negative numbers; only a nan with its sign bit set would be lost
        bits = src[0].view(np.int16)
        nan = bool((bits.view(np.uint16) > 0xFC00).any())
        if not nan:
            np.maximum(bits, np.int16(0), out=dst.view(np.int16))
            return
    if dst.dtype.kind == "f":
        dst[...] = rectify(_single(src[0]) + np.float32(0))
    else:
        np.maximum(src[0], 0, out=dst)


def _multiply_add(order: str, relu: bool = False) -> Lanes:
    """vmla dst = a·b + dst; vmadd dst = a·dst + b.  The product of two halves is exact in fp32."""

    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        factor, addend = (src[1], dst) if order == "mla" else (dst, src[1])
        if dst.dtype == np.float16:
            result = np.multiply(_single(src[0]), _single(factor))
            result += _single(addend)
            if relu:
                rectify(result)
            _store(dst, result)
            return
        # fp32: the exact product and sum in fp64, rounded once
        wide = src[0].astype(np.float64) * factor.astype(np.float64) + addend
        dst[...] = rectify(wide) if relu else wide

    return run


def _with_scalar(function: Callable[..., Any]) -> Lanes:
    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        if dst.dtype == np.float16:
            result = _single(src[0])
            function(result, np.float32(scalar), out=result)
            _store(dst, result)
        else:
            function(src[0], scalar, out=dst)

    return run


def _leaky(dst: Array, src: list[Array], scalar: Any) -> None:
    values = _single(src[0])
    scaled = values * np.float32(scalar)
    if dst.dtype == np.float16:
        saturate(scaled)
    dst[...] = np.where(values < 0, scaled, values)


def _axpy(dst: Array, src: list[Array], scalar: Any) -> None:
    if dst.dtype == np.float16:
        result = _single(src[0]) * np.float32(scalar)
        result += _single(dst)
        _store(dst, result)
        return
    dst[...] = src[0].astype(np.float64) * np.float64(scalar) + dst


def _shift(left: bool) -> Lanes:
    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        bits = dst.dtype.itemsize * 8
        amount = int(scalar)
        if left:
            dst[...] = src[0] << dst.dtype.type(amount) if 0 <= amount < bits else 0
        else:
            dst[...] = src[0] >> dst.dtype.type(min(max(amount, 0), bits - 1))
            if amount >= bits and dst.dtype.kind == "u":
                dst[...] = 0

    return run


def _shift_rounding(dst: Array, src: list[Array], scalar: Any) -> None:
    """vshr with `round`: signed values round half up; the last bit shifted out of a long shift is the sign."""
    bits, amount = dst.dtype.itemsize * 8, int(scalar)
    last = src[0] >> dst.dtype.type(min(max(amount - 1, 0), bits - 1)) & 1
    _shift(False)(dst, src, scalar)
    if dst.dtype.kind == "i" and amount > 0:
        dst += last


def _narrow(dst: Array, result: Array) -> None:
    """Rounds fp32 (or exact) results to a narrower type: nearest even, saturating, nan gives 0 in integers."""
    if dst.dtype == np.float16:
        store_half(result, dst)
        return
    info = np.iinfo(dst.dtype)
    whole = np.rint(result)
    dst[...] = np.clip(np.where(np.isnan(whole), 0.0, whole), info.min, info.max)


def _mul_conv(dst: Array, src: list[Array], scalar: Any) -> None:
    _narrow(dst, _single(src[0]) * _single(src[1]))  # the product of two halves is exact in fp32


def _relu_conv(function: Callable[..., Any]) -> Lanes:
    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        wide = [_single(s) if s.dtype.kind == "f" else s.astype(np.float64) for s in src]
        _narrow(dst, rectify(function(*wide)))

    return run


def _dequant(dst: Array, src: list[Array], scalar: Any) -> None:
    """vconv_deq, and vadddeqrelu when there are two sources: exact in fp64, rounded once."""
    total: Array = np.add.reduce([source.astype(np.float64) for source in src]) * np.float64(scalar)
    if len(src) > 1:
        rectify(total)
    dst[...] = np.clip(total, -F16_MAX, F16_MAX)


def _copy(dst: Array, src: list[Array], scalar: Any) -> None:
    dst[...] = src[0]


def _fill(dst: Array, src: list[Array], scalar: Any) -> None:
    dst[...] = scalar


ELEMENTWISE: dict[str, Lanes] = {
    "vadd": _two(np.add),
    "vsub": _two(np.subtract),
    "vmul": _two(np.multiply),
    "vdiv": _two(np.divide),
    "vmax": _pick(np.maximum),
    "vmin": _pick(np.minimum),
    "vand": _bits(np.bitwise_and),
    "vor": _bits(np.bitwise_or),
    "vnot": _bits(np.bitwise_not),
    "vmla": _multiply_add("mla"),
    "vmadd": _multiply_add("madd"),
    "vmaddrelu": _multiply_add("madd", relu=True),
    "vaddrelu": _two(np.add, relu=True),
    "vsubrelu": _two(np.subtract, relu=True),
    "vmulconv": _mul_conv,
    "vaddreluconv": _relu_conv(np.add),
    "vsubreluconv": _relu_conv(np.subtract),
    "vadddeqrelu": _dequant,
    "vconv_deq": _dequant,
    "vabs": _abs,
    "vexp": _one(np.exp),
    "vln": _one(np.log),
    "vsqrt": _one(np.sqrt),
    "vrsqrt": _one(reciprocal_root),
    "vrec": _one(reciprocal),
    "vrelu": _relu,
    "vadds": _with_scalar(np.add),
    "vmuls": _with_scalar(np.multiply),
    "vmaxs": _pick_scalar(np.maximum),
    "vmins": _pick_scalar(np.minimum),
    "vlrelu": _leaky,
    "vaxpy": _axpy,
    "vshl": _shift(True),
    "vshr": _shift(False),
    "vshr rounding": _shift_rounding,
    "vector_dup": _fill,
    "vcopy": _copy,
}


def _half_away(values: Array) -> Array:
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


_ROUND: dict[str, Callable[[Array], Array]] = {
    "r": np.rint,
    "": np.rint,
    "f": np.floor,
    "c": np.ceil,
    "a": _half_away,
    "z": np.trunc,
}


def conversion(dtype: str) -> Lanes:
    """vconv: float → int saturates (nan gives 0), int → float and f32 → f16 round to nearest even."""
    if dtype in SPLIT_VCONV_TYPES:
        return _split(split_conversion_of(dtype))
    source, target = split_conversion(dtype)
    suffix = dtype.removeprefix(f"{source}2{target}")
    if target in ("f16", "f32"):
        return _to_odd if suffix == "o" else _to_float
    info = np.iinfo(DTYPES[target])
    rounding = _ROUND[suffix]

    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        values = rounding(src[0].astype(np.float64))
        values[np.isnan(values)] = 0.0
        dst[...] = np.clip(values, info.min, info.max)

    return run


def _split(convert: Callable[[Array], Array]) -> Lanes:
    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        dst[...] = convert(src[0])

    return run


def _to_float(dst: Array, src: list[Array], scalar: Any) -> None:
    if dst.dtype == np.float32:
        dst[...] = half_to_single(src[0]) if src[0].dtype == np.float16 else src[0]
        return
    if src[0].dtype.itemsize == 1:  # bytes are exact in fp16
        dst[...] = src[0]
        return
    if src[0].dtype == np.int32:
        dst[...] = np.clip(src[0], -65504, 65504)
        return
    store_half(src[0].astype(np.float32), dst)


def _to_odd(dst: Array, src: list[Array], scalar: Any) -> None:
    """fp32 → fp16, Von Neumann: truncate, and set the last bit if anything was lost."""
    values = saturate(src[0].astype(np.float32))
    nearest = values.astype(np.float16)
    back = nearest.astype(np.float32)
    bits = nearest.view(np.uint16)
    beyond = np.abs(back) > np.abs(values)  # rounded away from zero: one step back is the truncated value
    truncated = np.where(beyond, bits - 1, bits)
    odd = np.where(back != values, truncated | 1, bits).astype(np.uint16)
    dst[...] = np.where(np.isnan(values), nearest, odd.view(np.float16))
