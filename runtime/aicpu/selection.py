"""Kernels that select, so that the size of their result depends on data (`kernel.sized`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import texts
from .kernel import Array, CpuKernel, Settings, integer, sized


def _non_zero(operands: Sequence[Array], settings: Settings) -> list[Array]:
    x = operands[0]
    x = texts.decode(x) != "" if x.dtype == texts.SLOT else x
    return [np.array(np.nonzero(x), np.int64).reshape(x.ndim, -1)]


def _compress(operands: Sequence[Array], settings: Settings) -> list[Array]:
    x, condition = operands
    if "axis" not in settings:
        x = x.reshape(-1)
    return [np.compress(condition, x, axis=integer(settings, "axis"))]


def _unique(operands: Sequence[Array], settings: Settings) -> list[Array]:
    """Values, first positions, positions in the values, counts; in order of value or of appearance."""
    x, is_text = operands[0], operands[0].dtype == texts.SLOT
    axis = integer(settings, "axis") if "axis" in settings else None
    x = texts.decode(x).astype(np.str_) if is_text else x  # numpy sorts no objects along an axis
    values, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if integer(settings, "unsorted"):
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        values = np.take(values, order, axis if axis is not None else 0)
        first, counts, inverse = first[order], counts[order], rank[inverse]
    values = texts.encode(values) if is_text else values
    return [values, *(part.astype(np.int64) for part in (first, inverse, counts))]


KERNELS = {
    "NonZero": CpuKernel(sized(_non_zero), 4),
    "Compress": CpuKernel(sized(_compress), 4),
    "Unique": CpuKernel(sized(_unique), 40),
}
