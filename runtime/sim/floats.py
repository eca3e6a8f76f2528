"""Number formats of the vector unit and the cube in numpy, fast and exact.

* fp16 → fp32/fp64 by an integer trick: the 15 magnitude bits of a half, shifted to the place of a float's
  mantissa and exponent, are the value times a power of two (subnormals included), so one multiplication
  finishes the work. Exponent 31 (inf, nan) would come out finite; where it occurs numpy converts.
* A *rounded* fp16 result saturates at ±65504, as on chips in saturation mode (310, 310P and 910 have no
  other; davinci.md §3.7). That holds for arithmetic, fp32 → fp16 conversion and L0C copies, also when an
  operand was infinite. NaN stays NaN. Instructions that only pass bits on (max, min, abs, relu, select,
  moves) keep inf. fp32 results are plain IEEE.
* vrec and vrsqrt are tables of about 9 bits on the chip: the true value rounded down to a 9-bit
  significand, and one unit lower when a reciprocal root is exactly representable (§3.7, from the
  published samples)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

F16_MAX = 65504.0
_HIGH = np.float32(F16_MAX)
_LOW = np.float32(-F16_MAX)
_ZERO = np.float32(0)
_INFINITE = np.float32(np.inf)
_FEW = 600  # and those below which its cast to fp16 is, unless results are subnormal
_SMALL = 1500  # elements below which numpy's own conversion is as fast
_MASK32 = np.array([0x8FFFE000], np.uint32).view(np.int32)[0]
_MASK64 = np.array([0x81FFFC0000000000], np.uint64).view(np.int64)[0]
_SCALE32 = np.float32(2.0**112)
_SCALE64 = np.float64(2.0**1008)
_EXPONENT = np.int32(0x7F800000)
_OVERFLOW = np.int32(0x47000000)  # exponent of 2^15
_LEAST = np.int32(0x38800000)  # 2^-14
_MAGIC = np.int32(0x06C00000)  # times 1.5 · 2^13
_BIAS = np.int16(-15360)  # 113 << 10, the difference of the exponent biases (and the hidden bit), modulo 2^16

DTYPES: dict[str, np.dtype[Any]] = {
    "f16": np.dtype("<f2"),
    "f32": np.dtype("<f4"),
    "s8": np.dtype("i1"),
    "u8": np.dtype("u1"),
    "s16": np.dtype("<i2"),
    "u16": np.dtype("<u2"),
    "s32": np.dtype("<i4"),
    "u32": np.dtype("<u4"),
    "bf16": np.dtype("<u2"),  # as bits: numpy has no such type
    "s64": np.dtype("<i8"),
}

BF16_MAX = 0x7F7F  # bits of the largest finite bf16


def has_special(bits: Array) -> bool:
    """Whether an int16 view of halves holds an inf or a nan."""
    return bool((bits & 0x7FFF).max(initial=0) >= 0x7C00)


def has_nan(bits: Array) -> bool:
    """Whether an int16 view of halves holds a nan."""
    return bool((bits & 0x7FFF).max(initial=0) > 0x7C00)


def half_to_single(half: Array) -> Array:
    """A new fp32 array of the values of `half`."""
    if half.size < _SMALL:
        return half.astype(np.float32)
    bits = half.view(np.int16)
    if has_special(bits):
        return half.astype(np.float32)
    wide = bits.astype(np.int32)
    wide <<= 13
    wide &= _MASK32
    single = wide.view(np.float32)
    single *= _SCALE32
    return single


def half_to_double(half: Array, out: Array) -> None:
    """Writes the values of `half` to the fp64 array `out` of the same shape."""
    if half.size < _SMALL:
        out[...] = half
        return
    bits = half.view(np.int16)
    if has_special(bits):
        out[...] = half
        return
    wide = out.view(np.int64)
    wide[...] = bits
    wide <<= 42
    wide &= _MASK64
    out *= _SCALE64


def saturate(single: Array) -> Array:
    """Clamps an fp32 array in place to the finite fp16 range; nan stays."""
    return single.clip(_LOW, _HIGH, out=single)  # np.maximum with a scalar takes three times as long


def rectify(single: Array) -> Array:
    """Negative values of a float array and -0 become +0, in place; nan stays."""
    single.clip(_ZERO, _INFINITE, out=single)
    single += _ZERO
    return single


def store_half(single: Array, out: Array) -> None:
    """Rounds fp32 values to fp16 (nearest even, saturating) into `out`; `single` may be changed.

    With b = 1.5 · 2^(e+13) for a value of exponent e (at least -14, where subnormals begin), |x| + b has the
    significand of the half, rounded by the addition itself, in its low bits.  numpy's cast takes 2.5 ns per
    element, and 30 where results are subnormal; this takes about 1.
    """
    if single.size < _FEW:
        out[...] = saturate(single)
        return
    bits = single.view(np.int32)
    exponent = bits & _EXPONENT
    if exponent.max() >= _OVERFLOW:  # might round to more than 65504, or inf, or nan
        saturate(single)
        if exponent.max() == _EXPONENT and bool(np.isnan(single).any()):
            out[...] = single
            return
        exponent = bits & _EXPONENT
    exponent.clip(_LEAST, _EXPONENT, out=exponent)
    magic = exponent + _MAGIC
    rounded = np.abs(single)
    rounded += magic.view(np.float32)
    significand = rounded.view(np.int32)
    significand -= magic
    exponent >>= 13
    significand += exponent
    half = significand.astype(np.int16)
    half -= _BIAS
    half |= (bits >> 16).astype(np.int16) & np.int16(-32768)
    out[...] = half.view(np.float16)


def order_key(bits: Array) -> Array:
    """int16 numbers in the order of the halves whose bits they are (and back: the map is its own inverse)."""
    sign = bits >> 15
    sign &= 0x7FFF
    sign ^= bits
    return sign


def from_bits(bits: int, dtype: str) -> Any:
    """The scalar of `dtype` whose raw bits are the low bits of a 64-bit operand."""
    kind = DTYPES[dtype]
    mask = (1 << 8 * kind.itemsize) - 1
    return np.frombuffer((bits & mask).to_bytes(kind.itemsize, "little"), kind)[0]


def coarse_down(value: Array) -> Array:
    """`value` (fp64, ≥ 0) rounded down to a 9-bit significand; inf and nan stay."""
    mantissa, exponent = np.frexp(value)  # mantissa in [0.5, 1)
    return np.where(np.isfinite(value), np.ldexp(np.floor(mantissa * 512.0), exponent - 9), value)


def reciprocal(wide: Array) -> Array:
    """vrec of fp64 values."""
    return np.copysign(coarse_down(np.abs(1.0 / wide)), wide)


def reciprocal_root(wide: Array) -> Array:
    """vrsqrt of fp64 values; zero gives inf, a negative operand nan."""
    true = 1.0 / np.sqrt(wide + 0.0)  # + 0.0: -0 counts as 0
    exact = np.frexp(true)[0] == 0.5  # only powers of two have a root that is exactly representable
    return np.where(exact, true * (511 / 512), coarse_down(true))


def bf16_to_single(bits: Array) -> Array:
    """fp32 values of bf16 bits (uint16)."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def single_to_bf16(single: Array, suffix: str = "r") -> Array:
    """bf16 bits of fp32 values, rounded as vconv's suffix says; beyond the largest it saturates, nan stays."""
    bits = np.ascontiguousarray(single, np.float32).view(np.uint32)
    magnitude, negative = bits & 0x7FFFFFFF, (bits >> 31).astype(np.bool_)
    kept, lost = magnitude >> 16, magnitude & 0xFFFF
    match suffix:
        case "f":
            up = negative & (lost != 0)
        case "c":
            up = ~negative & (lost != 0)
        case "a":
            up = lost >= 0x8000
        case "z":
            up = np.zeros(lost.shape, np.bool_)
        case _:
            up = (lost > 0x8000) | ((lost == 0x8000) & (kept & 1 == 1))
    rounded = np.minimum(kept + up, BF16_MAX)
    nan = magnitude > 0x7F800000
    rounded = np.where(nan, kept | 0x40, rounded)
    return (rounded | (bits >> 16 & 0x8000)).astype(np.uint16)


def to_hf32(single: Array) -> Array:
    """fp32 values rounded to HF32, which has 10 bits of fraction, nearest even; inf and nan stay."""
    bits = np.ascontiguousarray(single, np.float32).view(np.uint32)
    rounded = (bits + 0xFFF + (bits >> 13 & 1)) & np.uint32(0xFFFFE000)
    return np.where(bits & 0x7F800000 == 0x7F800000, bits, rounded).astype(np.uint32).view(np.float32)
