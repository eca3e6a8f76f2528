"""vconv of split chips: bf16 and 64-bit integers, rounding modes to f16 and f32, rounding to whole numbers.

A suffix rounds to the next value of the result type: r nearest even, a nearest with ties away from zero, f down, c up,
z towards zero.  Results saturate (f16 and bf16 at their largest finite value), nan stays nan and is 0 in integers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..isa.extents import split_conversion
from .floats import DTYPES, Array, bf16_to_single, single_to_bf16

Convert = Callable[[Array], Array]

_LARGEST = {"f16": 0x7BFF, "f32": 0x7F7FFFFF}  # bits
_LIMIT64 = 2.0**63


def half_away(values: Array) -> Array:
    """Whole numbers next to `values`, halves away from zero."""
    whole = np.trunc(values)
    return np.where(np.abs(values - whole) >= 0.5, whole + np.copysign(1.0, values), whole)


WHOLE: dict[str, Convert] = {
    "r": np.rint,
    "": np.rint,
    "f": np.floor,
    "c": np.ceil,
    "a": half_away,
    "z": np.trunc,
}


def to_float(values: Array, kind: str, suffix: str) -> Array:
    """fp64 values rounded to `kind` (f16 or f32) as `suffix` says."""
    dtype = DTYPES[kind]
    bits_type = np.dtype(f"u{dtype.itemsize}")
    limit = float(np.finfo(dtype).max)
    if kind == "f16":  # saturation mode; fp32 results are plain IEEE
        values = np.clip(values, -limit, limit)
    nearest = values.astype(dtype)
    if suffix in ("r", ""):
        return nearest
    magnitude = np.abs(nearest)
    beyond = magnitude.astype(np.float64) > np.abs(values)
    low = (magnitude.view(bits_type) - beyond).astype(bits_type)  # magnitude rounded towards zero
    exact = low.view(dtype).astype(np.float64) == np.abs(values)
    negative = np.signbit(values)
    match suffix:
        case "z":
            up = np.zeros(values.shape, np.bool_)
        case "f":
            up = negative & ~exact
        case "c":
            up = ~negative & ~exact
        case _:  # a
            high = (low + 1).astype(bits_type).view(dtype).astype(np.float64)
            up = ~exact & (np.abs(values) - low.view(dtype) >= high - np.abs(values))
    rounded = np.minimum((low + up).astype(bits_type), _LARGEST[kind]).astype(bits_type).view(dtype)
    rounded = np.where(negative, -rounded, rounded)
    return np.where(np.isfinite(values), rounded, nearest)


def _wide_to_single(value: int, suffix: str) -> float:
    """A 64-bit integer rounded to fp32: integers, because fp64 has too few bits."""
    magnitude, negative = abs(value), value < 0
    lost = max(0, magnitude.bit_length() - 24)
    kept, rest = magnitude >> lost, magnitude & (1 << lost) - 1
    half = 1 << lost >> 1
    match suffix:
        case "z":
            up = False
        case "f":
            up = negative and rest > 0
        case "c":
            up = not negative and rest > 0
        case "a":
            up = lost > 0 and rest >= half
        case _:
            up = lost > 0 and (rest > half or (rest == half and kept & 1 == 1))
    result = float(kept + up) * 2.0**lost
    return -result if negative else result


def _to_integer(values: Array, kind: str, suffix: str) -> Array:
    """fp64 values to integers, saturating."""
    whole = WHOLE[suffix](values)
    whole = np.where(np.isnan(whole), 0.0, whole)
    if kind == "s64":  # its limits are not exact in fp64
        high, low = whole >= _LIMIT64, whole < -_LIMIT64
        inside = np.where(high | low, 0.0, whole).astype(np.int64)
        limits = np.iinfo(np.int64)
        return np.where(high, limits.max, np.where(low, limits.min, inside))
    info = np.iinfo(DTYPES[kind])
    return np.clip(whole, info.min, info.max)


def split_conversion_of(dtype: str) -> Convert:
    """The function of arrays for a conversion of `rows_split_vector.SPLIT_VCONV_TYPES`."""
    source, target = split_conversion(dtype)
    suffix = dtype.removeprefix(f"{source}2{target}")

    def wide(values: Array) -> Array:
        return bf16_to_single(values).astype(np.float64) if source == "bf16" else values.astype(np.float64)

    if (source, target) == ("s64", "f32"):
        return lambda v: np.array([_wide_to_single(int(x), suffix) for x in v.ravel()], np.float32).reshape(
            v.shape
        )
    if source in ("s32", "s64") and target in ("s16", "s32", "s64"):
        info = np.iinfo(DTYPES[target])
        return lambda v: np.clip(v.astype(np.int64), info.min, info.max)
    if (source, target) == ("f32", "f32"):
        return lambda v: WHOLE[suffix](wide(v))
    if target == "bf16":
        return lambda v: single_to_bf16(v, suffix)
    if target in ("f16", "f32"):
        return lambda v: to_float(wide(v), target, suffix)
    return lambda v: _to_integer(wide(v), target, suffix)
