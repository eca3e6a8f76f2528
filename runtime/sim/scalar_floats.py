"""fp32 numbers in the low half of scalar registers: each function takes registers and returns bits 31:0.

Results are plain IEEE, as those of the vector unit in fp32; maximum and minimum give nan when an operand is nan.
"""

from __future__ import annotations

import math
import struct

_NAN = 0x7FC00000


def _value(bits: int) -> float:
    number: float = struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0]
    return number


def _bits(number: float) -> int:
    bits: int = struct.unpack("<I", struct.pack("<f", number))[0]
    return bits


def fabs(a: int) -> int:
    """|a|: the sign bit goes."""
    return a & 0x7FFFFFFF


def fsqrt(a: int) -> int:
    """The root: that of fp64, rounded again, is the correctly rounded one (53 ≥ 2 · 24 + 2 bits)."""
    number = _value(a)
    if math.isnan(number) or number < 0:
        return _NAN
    return _bits(math.sqrt(number))


def fmax(a: int, b: int) -> int:
    """The greater number; of two zeros the positive one."""
    return _pick(a, b, 1)


def fmin(a: int, b: int) -> int:
    """The lesser number; of two zeros the negative one."""
    return _pick(a, b, -1)


def _pick(a: int, b: int, sign: int) -> int:
    first, second = _value(a), _value(b)
    if math.isnan(first) or math.isnan(second):
        return _NAN
    if first == second:  # differ at most in the sign of zero
        return (a & b if sign > 0 else a | b) & 0xFFFFFFFF
    return (a if (first > second) == (sign > 0) else b) & 0xFFFFFFFF
