"""Kernels whose result has a size that depends on data.

Each comes in two calls with the setting `result`: -1 gives the shape of results 0, 1, … as a row of numbers,
0 and up the result itself, which fills the front of its space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .definition import TensorSpec
from .kernel import Array, Compute, CpuKernel, Settings, integer, kind_of


def _sized(function: Callable[[Sequence[Array], Settings], list[Array]]) -> Compute:
    def compute(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
        results = function(operands, settings)
        wanted = integer(settings, "result")
        if wanted < 0:
            return [np.array(results[-1 - wanted].shape, np.int64)]
        return [results[wanted].astype(kind_of(outputs[0]))]

    return compute


def _non_zero(operands: Sequence[Array], settings: Settings) -> list[Array]:
    return [np.array(np.nonzero(operands[0]), np.int64).reshape(operands[0].ndim, -1)]


def _compress(operands: Sequence[Array], settings: Settings) -> list[Array]:
    x, condition = operands
    if "axis" not in settings:
        x = x.reshape(-1)
    return [np.compress(condition, x, axis=integer(settings, "axis"))]


def _unique(operands: Sequence[Array], settings: Settings) -> list[Array]:
    """Values, first positions, positions in the values, counts; in order of value or of appearance."""
    x = operands[0]
    axis = integer(settings, "axis") if "axis" in settings else None
    values, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if integer(settings, "unsorted"):
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        values = np.take(values, order, axis if axis is not None else 0)
        first, counts, inverse = first[order], counts[order], rank[inverse]
    return [values, *(part.astype(np.int64) for part in (first, inverse, counts))]


KERNELS = {
    "NonZero": CpuKernel(_sized(_non_zero), 4),
    "Compress": CpuKernel(_sized(_compress), 4),
    "Unique": CpuKernel(_sized(_unique), 40),
}
