"""What a simulated inference costs: seconds = a · dynamic instructions + b · multiply-accumulates.

Least squares with a, b ≥ 0 over the rows of the benchmark.  Instructions are all that the cores execute, scalar ones
and flags included; multiply-accumulates are the model's; seconds are function and timing together, hazard check off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LIMIT_US, LIMIT_NS = 6.0, 0.06
"""What the project promises of a and b."""


@dataclass(frozen=True)
class Fit:
    """`a` in µs per instruction, `b` in ns per multiply-accumulate, `rest` the seconds left over row by row."""

    a: float
    b: float
    rest: tuple[float, ...]


def fit(instructions: Sequence[float], macs: Sequence[float], seconds: Sequence[float]) -> Fit:
    """The fit; columns are scaled first, since one counts thousands and the other billions."""
    from scipy.optimize import nnls

    matrix = np.column_stack([np.asarray(instructions) * 1e-6, np.asarray(macs) * 1e-9]).astype(np.float64)
    (a, b), _ = nnls(matrix, np.asarray(seconds, np.float64))
    rest = np.asarray(seconds) - matrix @ np.array([a, b])
    return Fit(float(a), float(b), tuple(rest.tolist()))


def fit_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The fit over rows of the benchmark, with what it leaves over."""
    if len(rows) < 3:
        return f"no fit: {len(rows)} rows for two coefficients"
    seconds = [row["function_s"] + row["timing_s"] for row in rows]
    found = fit([row["instructions"] for row in rows], [row["macs"] for row in rows], seconds)
    lines = [
        f"function + timing = {found.a:.2f} us x instructions + {found.b:.4f} ns x multiply-accumulates "
        f"(wanted: at most {LIMIT_US:g} us and {LIMIT_NS:g} ns)"
    ]
    for row, second, rest in zip(rows, seconds, found.rest, strict=True):
        lines.append(
            f"  {row['model']:14} {row['soc']:12} {row['instructions']:>9} instr {row['macs'] / 1e6:>10.1f} M mac "
            f"{second:.3f} s, fit {second - rest:.3f} s, left {rest:+.3f} s"
        )
    return "\n".join(lines)
