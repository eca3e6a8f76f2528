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
_SMALL = 1500  # elements below which numpy's own conversion is as fast
_MASK32 = np.array([0x8FFFE000], np.uint32).view(np.int32)[0]
_MASK64 = np.array([0x81FFFC0000000000], np.uint64).view(np.int64)[0]
_SCALE32 = np.float32(2.0**112)
_SCALE64 = np.float64(2.0**1008)

DTYPES: dict[str, np.dtype[Any]] = {
    "f16": np.dtype("<f2"),
    "f32": np.dtype("<f4"),
    "s8": np.dtype("i1"),
    "u8": np.dtype("u1"),
    "s16": np.dtype("<i2"),
    "u16": np.dtype("<u2"),
    "s32": np.dtype("<i4"),
    "u32": np.dtype("<u4"),
}


def has_special(bits: Array) -> bool:
    """Whether an int16 view of halves holds an inf or a nan."""
    return bool((bits & 0x7FFF).max(initial=0) >= 0x7C00)


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
    np.minimum(single, _HIGH, out=single)
    return np.maximum(single, _LOW, out=single)


def from_bits(bits: int, dtype: str) -> Any:
    """The scalar of `dtype` whose raw bits are the low bits of a 64-bit operand."""
    kind = DTYPES[dtype]
    mask = (1 << 8 * kind.itemsize) - 1
    return np.frombuffer((bits & mask).to_bytes(kind.itemsize, "little"), kind)[0]


def coarse_down(value: Array) -> Array:
    """`value` (fp64, ≥ 0) rounded down to a 9-bit significand; inf and nan stay."""
    mantissa, exponent = np.frexp(value)  # mantissa in [0.5, 1)
    return np.where(np.isfinite(value), np.ldexp(np.floor(mantissa * 512.0), exponent - 9), value)


def reciprocal(single: Array) -> Array:
    """vrec of an fp32 array."""
    wide = single.astype(np.float64)
    return np.copysign(coarse_down(np.abs(1.0 / wide)), wide).astype(np.float32)


def reciprocal_root(single: Array) -> Array:
    """vrsqrt of an fp32 array; zero gives inf, a negative operand nan."""
    wide = single.astype(np.float64)
    true = 1.0 / np.sqrt(wide + 0.0)  # + 0.0: -0 counts as 0
    exact = np.frexp(true)[0] == 0.5  # only powers of two have a root that is exactly representable
    return np.where(exact, true * (511 / 512), coarse_down(true)).astype(np.float32)
