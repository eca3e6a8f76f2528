"""Rules of nn-decompose: windows that reach too far for the vector unit's buffer become smaller ones.

A pool's tile is the rows of the image that one row of windows sees. Windows with holes see more than they read; a
maximum over a box is one over its columns of maxima over its rows; and a long row is cut into pieces (`nn_long_rows`).
"""

from __future__ import annotations

from math import gcd
from typing import Any

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ..rewriting import Builder, Rule
from .nn_long_rows import in_pieces

MOST_POSITIONS = 8128
"""Positions of 32 bytes that a pool's tile may have: UB of 256 KiB, less what the kernel keeps for itself. Measured: the
largest tiles that are generated have 8064 to 8116."""


def _positions(op: nn.MaxPoolOp, kernel: tuple[int, ...]) -> int:
    """Of one row of windows: the slab that it sees and the one loaded ahead, joined columns, two results."""
    shape, result = nn.shape_of(op.input), nn.shape_of(op.output)
    dilations, strides = nn.ints(op.dilations), nn.ints(op.strides)
    rows = dilations[0] * (kernel[0] - 1) + 1
    width = strides[1] * (result[3] - 1) + dilations[1] * (kernel[1] - 1) + 1
    return 2 * rows * min(width, shape[3] + sum(nn.ints(op.pads)[1::2])) + rows * result[3] + 2 * result[3]


def sparse_window(op: Operation, build: Builder) -> SSAValue | None:
    """Where stride and dilation share a factor g, only every g-th position is read: take those first."""
    if not isinstance(op, nn.MaxPoolOp | nn.AvgPoolOp) or (
        isinstance(op, nn.MaxPoolOp) and op.terms is not None
    ):
        return None
    shape, result = nn.shape_of(op.input), nn.shape_of(op.output)
    kernel, strides, dilations, pads = (nn.ints(v) for v in (op.kernel, op.strides, op.dilations, op.pads))
    factors = [gcd(s, d) if k > 1 else 1 for s, d, k in zip(strides, dilations, kernel, strict=True)]
    if -1 in shape or max(factors) == 1:
        return None
    starts, sizes, before, after = [0, 0], [0, 0], [0, 0], [0, 0]
    for i, factor in enumerate(factors):
        before[i] = -(-pads[i] // factor)
        starts[i] = before[i] * factor - pads[i]
        sizes[i] = max(-(-(shape[2 + i] - starts[i]) // factor), 0)
        seen = (result[2 + i] - 1) * (strides[i] // factor) + (kernel[i] - 1) * (dilations[i] // factor) + 1
        sizes[i] = min(sizes[i], seen - before[i])
        after[i] = seen - before[i] - sizes[i]
    if min(sizes) < 1:
        return None
    part = build(nn.SliceOp(op.input, (0, 0, *starts), (*shape[:2], *sizes), (1, 1, *factors)))
    settings: dict[str, Any] = {
        "kernel": kernel,
        "strides": tuple(s // f for s, f in zip(strides, factors, strict=True)),
        "pads": (*before, *after),
        "dilations": tuple(d // f for d, f in zip(dilations, factors, strict=True)),
    }
    if isinstance(op, nn.AvgPoolOp):
        return build(nn.AvgPoolOp(part, **settings, count_include_pad=op.count_include_pad is not None))
    return build(nn.MaxPoolOp(part, **settings))


def separate_window(op: Operation, build: Builder) -> SSAValue | None:
    """The maximum over a box that is too large: along the width, then along the height."""
    if not isinstance(op, nn.MaxPoolOp) or op.terms is not None or -1 in nn.shape_of(op.input):
        return None
    kernel, pads = nn.ints(op.kernel), nn.ints(op.pads)
    if min(kernel) == 1 or _positions(op, kernel) <= MOST_POSITIONS:
        return None
    strides, dilations = nn.ints(op.strides), nn.ints(op.dilations)
    x: SSAValue = op.input
    for axis in (1, 0):
        x = build(
            nn.MaxPoolOp(
                x,
                kernel=_only(kernel, axis, 1),
                strides=_only(strides, axis, 1),
                pads=tuple(pad if i % 2 == axis else 0 for i, pad in enumerate(pads)),
                dilations=_only(dilations, axis, 1),
            )
        )
    return x


def _only(values: tuple[int, ...], axis: int, other: int) -> tuple[int, ...]:
    return tuple(value if i == axis else other for i, value in enumerate(values))


def long_window(op: Operation, build: Builder) -> SSAValue | None:
    """Maxima of a row that is too long: of its pieces."""
    if not isinstance(op, nn.MaxPoolOp) or op.terms is not None:
        return None
    kernel = nn.ints(op.kernel)
    if _positions(op, kernel) <= MOST_POSITIONS:
        return None

    def make(image: SSAValue, pads: tuple[int, int, int, int]) -> Operation:
        return nn.MaxPoolOp(
            image, kernel=kernel, strides=nn.ints(op.strides), pads=pads, dilations=nn.ints(op.dilations)
        )

    return in_pieces(op, kernel, MOST_POSITIONS // 6, float("-inf"), make, build)


RULES: list[Rule] = [sparse_window, separate_window, long_window]
