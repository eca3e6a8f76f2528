"""Independent definitions of the split chips' number rules: plain Python, one element at a time, exact fractions."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

FORMATS = {
    "f16": (11, -14, 65504.0),
    "bf16": (8, -126, 3.3895313892515355e38),
    "f32": (24, -126, 3.4028234663852886e38),
}
"""Bits of the significand, least exponent of a normal number, largest finite number."""
LIMITS = {"s8": (-128, 127), "u8": (0, 255), "s16": (-(1 << 15), (1 << 15) - 1), "s32": (-(1 << 31), (1 << 31) - 1),
          "s64": (-(1 << 63), (1 << 63) - 1)}  # fmt: skip


def whole(value: Fraction, mode: str) -> int:
    """`value` as an integer; r and none: halves to even."""
    match mode:
        case "f":
            return math.floor(value)
        case "c":
            return math.ceil(value)
        case "z":
            return math.trunc(value)
        case "a":
            sign = -1 if value < 0 else 1
            return sign * math.floor(abs(value) + Fraction(1, 2))
        case _:
            return round(value)


def rounded(value: Fraction, kind: str, mode: str) -> float:
    """`value` as a number of a float format, saturating."""
    bits, least, largest = FORMATS[kind]
    if value == 0:
        return 0.0
    exponent = max(_exponent(value), least)
    unit = Fraction(2) ** (exponent - bits + 1)
    result = whole(value / unit, mode) * unit
    return float(max(min(result, Fraction(largest)), -Fraction(largest)))


def _exponent(value: Fraction) -> int:
    """e with 2^e ≤ |value| < 2^(e+1)."""
    size = abs(value)
    guess = size.numerator.bit_length() - size.denominator.bit_length()
    while Fraction(2) ** guess > size:
        guess -= 1
    while Fraction(2) ** (guess + 1) <= size:
        guess += 1
    return guess


def to_float(value: float | int, kind: str, mode: str) -> float:
    """A conversion to f16, bf16 or f32; infinities saturate in the two narrow formats, nan stays."""
    if isinstance(value, float) and math.isnan(value):
        return value
    if isinstance(value, float) and math.isinf(value):
        return value if kind == "f32" else math.copysign(FORMATS[kind][2], value)
    result = rounded(Fraction(value), kind, mode)
    return math.copysign(result, value) if isinstance(value, float) else result


def to_integer(value: float | int, kind: str, mode: str) -> int:
    """A conversion to an integer type: saturates, nan is 0."""
    low, high = LIMITS[kind]
    if isinstance(value, float):
        if math.isnan(value):
            return 0
        if math.isinf(value):
            return high if value > 0 else low
    return max(low, min(high, whole(Fraction(value), mode)))


def single(value: float | Fraction) -> float:
    """Rounded to fp32, nearest even (finite values)."""
    if isinstance(value, float) and not math.isfinite(value):
        return value
    exact = Fraction(value)
    if exact == 0:
        return 0.0
    bits, least, largest = FORMATS["f32"]
    exponent = max(_exponent(exact), least)
    unit = Fraction(2) ** (exponent - bits + 1)
    result = round(exact / unit) * unit
    return math.copysign(math.inf, exact) if abs(result) > Fraction(largest) else float(result)


def bf16_value(bits: int) -> float:
    """The number that 16 bits of bf16 are."""
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def hf32(value: float) -> float:
    """fp32 with 10 bits of fraction, nearest even."""
    if value == 0 or not math.isfinite(value):
        return value
    unit = Fraction(2) ** (max(_exponent(Fraction(value)), -126) - 10)
    result = round(Fraction(value) / unit) * unit
    return math.copysign(math.inf, value) if abs(result) >= Fraction(2) ** 128 else float(result)


def parameter(scale: float, *, shift: int = 0, offset: int = 0, signed: bool = False) -> int:
    """A 64-bit parameter of the fixpipe; `shift` 0 = none."""
    bits = struct.unpack("<I", struct.pack("<f", scale))[0]
    word = bits | (offset & 0x1FF) << 37 | int(signed) << 46
    return word | (shift - 1) << 32 | 1 << 36 if shift else word


def quantised(value: float | int, word: int, to: str, relu: bool) -> float | int:
    """One element through the fixpipe with a parameter."""
    scale = struct.unpack("<f", struct.pack("<I", word & 0xFFFFE000))[0]
    if isinstance(value, int) and word >> 36 & 1:
        value = max(-32768, min(32767, value >> ((word >> 32 & 15) + 1)))
    product = (
        single(Fraction(single(float(value))) * Fraction(scale))
        if math.isfinite(value)
        else float(value) * scale
    )
    if relu and product < 0:
        product = 0.0
    if to == "f16":
        return to_float(product, "f16", "r")
    if math.isnan(product):
        product = 0.0
    clamped = max(-256.0, min(255.0, product))
    offset = (word >> 37 & 0x1FF) - (512 if word >> 45 & 1 else 0)
    low, high = LIMITS[to]
    return max(low, min(high, round(Fraction(clamped)) + offset))
