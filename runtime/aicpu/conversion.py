"""Casts between all element types."""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import numpy as np

from .. import texts
from .definition import TensorSpec
from .kernel import Array, CpuKernel, Settings, integer, kind_of, word
from .strings import to_numbers, to_texts

_SATURATING = {
    np.dtype(ml_dtypes.float8_e4m3fn): 448.0,
    np.dtype(ml_dtypes.float8_e4m3fnuz): 240.0,
    np.dtype(ml_dtypes.float8_e5m2): 57344.0,
    np.dtype(ml_dtypes.float8_e5m2fnuz): 57344.0,
}
"""Types whose casts end at their largest number, and that number, unless `wraps` is set."""


def _cast(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    """Any type to any other. Floats round to the nearest, to integers towards zero; wider integers keep their
    low bits; texts are read and written as `strings.py` says."""
    x, kind = operands[0], kind_of(outputs[0])
    if kind == texts.SLOT:
        return [to_texts(x)]
    if x.dtype == texts.SLOT:
        return [to_numbers(x, kind)]
    if kind == np.dtype(ml_dtypes.float8_e8m0fnu):
        return [_power_of_two(x, word(settings, "round_mode", "up"), not integer(settings, "wraps"))]
    if kind in _SATURATING and not integer(settings, "wraps"):
        largest = _SATURATING[kind]
        wide = x.astype(np.float32) if x.dtype.kind not in "fc" else x
        return [np.clip(wide, -largest, largest).astype(kind)]
    real = np.real(x) if x.dtype.kind == "c" and kind.kind != "c" else x
    return [real.astype(kind)]


def _power_of_two(x: Array, mode: str, saturate: bool) -> Array:
    """The 8-bit exponent of f32 numbers, rounded up, down or to the nearest."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    exponent = (bits >> 23) & 0xFF
    fraction = bits & 0x7FFFFF
    up = fraction > 0 if mode == "up" else np.zeros_like(fraction, np.bool_)
    if mode == "nearest":
        guard = (fraction & 0x400000) > 0
        up = guard & (((fraction & 0x3FFFFF) > 0) | (exponent > 0))
    up = up & (exponent != 0xFF)
    if saturate:
        up = up & (exponent != 0xFE)
    return (exponent + up).astype(np.uint8).view(ml_dtypes.float8_e8m0fnu)


KERNELS = {"Cast": CpuKernel(_cast, 2)}
