"""Whole numbers of 32 bits as digits of 11 bits that f16 holds, and f32 numbers as whole ones in their order."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ...dialects import nn
from ...runtime.soc import Soc
from ..rewriting import Builder

DIGIT = 11
"""Bits of a digit: f16 holds all whole numbers up to 2^11."""
_MASK = (1 << DIGIT) - 1
_SIGN = -(2**31)


def _bits(value: SSAValue, mask: int, build: Builder) -> SSAValue:
    return build(nn.BitAndOp(value, build.scalar(mask, "i32", (1, 1))))


def _between(value: SSAValue, low: int, high: int, build: Builder) -> SSAValue:
    above = build(nn.MaxOp(value, build.scalar(low, "i32", (1, 1))))
    return build(nn.MinOp(above, build.scalar(high, "i32", (1, 1))))


def times(value: SSAValue, factor: int, build: Builder) -> SSAValue:
    """An i32 times a number."""
    return value if factor == 1 else build(nn.MulOp(value, build.scalar(factor, "i32", (1, 1))))


def split(whole: SSAValue, soc: Soc, build: Builder) -> list[SSAValue]:
    """Three f16 digits of i32 numbers, the lowest first; the highest, of 10 bits, has the sign."""
    converts = soc.core.supports("vconv", "s322f32")
    found = [build(nn.CastOp(_bits(whole, _MASK, build), "f16"))]
    for first, mask in ((DIGIT, _MASK << DIGIT), (2 * DIGIT, -(1 << 2 * DIGIT))):
        if converts:
            wide = build(nn.CastOp(_bits(whole, mask, build), "f32"))  # exact: at most 11 bits are not zero
            digit = build(nn.MulOp(wide, build.scalar(2.0**-first, "f32")))
        else:
            digit = _digit_by_bits(whole, first, build)
        found.append(build(nn.CastOp(digit, "f16")))
    return found


def _digit_by_bits(whole: SSAValue, first: int, build: Builder) -> SSAValue:
    """A digit from bit `first` on for chips that neither shift integers nor convert large ones: a bit alone is 0 or more than
    what it is worth in the digit, so a minimum gives that."""
    last = min(first + DIGIT, 31)
    digit = times(_between(whole, -1, 0, build), 1 << 31 - first, build) if last == 31 else None
    for bit in range(first, last):
        worth = build.scalar(1 << bit - first, "i32", (1, 1))
        part = build(nn.MinOp(_bits(whole, 1 << bit, build), worth))
        digit = part if digit is None else build(nn.AddOp(digit, part))
    assert digit is not None
    return digit


def joined(digits: Sequence[SSAValue], build: Builder) -> SSAValue:
    """The inverse of `split`."""
    parts = [
        times(build(nn.CastOp(digit, "i32")), 1 << DIGIT * number, build)
        for number, digit in enumerate(digits)
    ]
    return build(nn.AddOp(build(nn.AddOp(parts[0], parts[1])), parts[2]))


def ordered_bits(rows: SSAValue, build: Builder) -> SSAValue:
    """Whole numbers in the order of f32 numbers: their bits; of negative ones the magnitude's, negated.  -0 equals 0."""
    bits = build(nn.BitCastOp(rows, "i32"))
    return _signed(_bits(bits, -1 - _SIGN, build), _between(bits, -1, 0, build), build)


def number_of(whole: SSAValue, build: Builder) -> SSAValue:
    """The inverse of `ordered_bits`; zeros are positive."""
    below = _between(whole, -1, 0, build)
    size = _signed(whole, below, build)
    return build(nn.BitCastOp(build(nn.BitOrOp(size, _bits(below, _SIGN, build))), "f32"))


def _signed(size: SSAValue, below: SSAValue, build: Builder) -> SSAValue:
    """`size` where `below` is 0, its negative where that is -1."""
    sign = build(nn.AddOp(times(below, 2, build), build.scalar(1, "i32", (1, 1))))
    return build(nn.MulOp(size, sign))
