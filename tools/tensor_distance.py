"""How far an array is from the one it should be: the figures that accuracy tools for Ascend print.

Both arrays are compared as f64; texts are the same or not.
A figure that makes no sense for a shape (SSIM of a row, top-5 of four classes) is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..runtime.texts import SLOT, slots_of

Array: TypeAlias = NDArray[Any]

COSINE_LIMIT: Final = 0.99
RELATIVE_LIMIT: Final = 0.05
"""Limits of the public comparison tool: above, and below."""
SSIM_WINDOW: Final = 7
SSIM_K1, SSIM_K2 = 0.01, 0.03
"""Constants of the structural similarity index, as its authors give them."""


@dataclass(frozen=True)
class Distance:
    """Figures of one tensor. `relative` is the norm of the difference over the norm of the reference."""

    cosine: float
    relative: float
    max_error: float
    mean_error: float
    psnr: float | None
    ssim: float | None = None
    top1: float | None = None
    top5: float | None = None
    is_finite: bool = True

    def is_good(self, cosine: float = COSINE_LIMIT, relative: float = RELATIVE_LIMIT) -> bool:
        """Whether both limits are kept."""
        return self.is_finite and self.cosine > cosine and self.relative < relative


def distance(found: Array, expected: Array) -> Distance:
    """The figures; both arrays have the same shape."""
    if SLOT in (found.dtype, expected.dtype) or "O" in (found.dtype.kind, expected.dtype.kind):
        found, expected = _agreement(found, expected)
    a, b = found.astype(np.float64), expected.astype(np.float64)
    same = np.isnan(a) & np.isnan(b) | (a == b)  # infinities that are the same are no difference
    is_finite = bool(np.all(np.isfinite(a) | same))
    a, b = np.where(same & ~np.isfinite(b), 0.0, a), np.where(same & ~np.isfinite(b), 0.0, b)
    if not is_finite or not np.all(np.isfinite(b)):
        return Distance(0.0, np.inf, np.inf, np.inf, None, is_finite=False)
    error = np.abs(a - b)
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    difference = float(np.linalg.norm(a - b))
    if not norms[0] or not norms[1]:
        cosine = 1.0 if norms[0] == norms[1] else 0.0
    else:
        cosine = float(np.dot(a.reshape(-1) / norms[0], b.reshape(-1) / norms[1]))
    relative = difference / norms[1] if norms[1] else (0.0 if not difference else np.inf)
    return Distance(
        min(cosine, 1.0),
        relative,
        float(error.max(initial=0.0)),
        float(error.mean()) if error.size else 0.0,
        _psnr(a, b),
        _ssim(a, b),
        _top(a, b, 1),
        _top(a, b, 5),
    )


def _agreement(found: Array, expected: Array) -> tuple[Array, Array]:
    """Texts as numbers: 1 where they are the same, 0 where not, and ones to compare with."""
    same = slots_of(found) == slots_of(expected)
    return np.asarray(same).astype(np.float64), np.ones(found.shape)


def _span(b: Array) -> float:
    return float(b.max() - b.min()) if b.size else 0.0


def _psnr(a: Array, b: Array) -> float | None:
    """Decibels, against the range of the reference; infinite for equal arrays."""
    square = float(np.mean((a - b) ** 2)) if a.size else 0.0
    if not square:
        return float("inf")
    span = _span(b)
    return 10.0 * float(np.log10(span**2 / square)) if span else None


def _ssim(a: Array, b: Array) -> float | None:
    """The mean structural similarity over windows of 7 × 7 of the last two axes of pictures, N × C × H × W."""
    span = _span(b)
    if a.ndim != 4 or min(a.shape[-2:]) < SSIM_WINDOW or not span:
        return None
    mean_a, mean_b, square_a, square_b, product = (_mean(x) for x in (a, b, a * a, b * b, a * b))
    var_a, var_b, both = square_a - mean_a**2, square_b - mean_b**2, product - mean_a * mean_b
    c1, c2 = (SSIM_K1 * span) ** 2, (SSIM_K2 * span) ** 2
    index = ((2 * mean_a * mean_b + c1) * (2 * both + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return float(index.mean())


def _mean(x: Array) -> Array:
    """The mean of each window, by running sums."""
    size = SSIM_WINDOW
    sums = np.zeros((*x.shape[:-2], x.shape[-2] + 1, x.shape[-1] + 1))
    sums[..., 1:, 1:] = x.cumsum(-2).cumsum(-1)
    box = (
        sums[..., size:, size:]
        - sums[..., :-size, size:]
        - sums[..., size:, :-size]
        + sums[..., :-size, :-size]
    )
    return box / size**2


def _top(a: Array, b: Array, count: int) -> float | None:
    """How often the reference's first class is among the first `count` of the result; rows are samples."""
    if a.ndim != 2 or a.shape[1] <= count or a.shape[1] < 2:
        return None
    wanted = b.argmax(1)
    best = np.argsort(-a, axis=1, kind="stable")[:, :count]
    return float(np.mean([row_wanted in row for row_wanted, row in zip(wanted, best, strict=True)]))
