"""Changes of format as moves."""

from __future__ import annotations

from collections.abc import Sequence

from ..dialects.layouts import Format, Layout, ceil_div
from .move_problem import Axis, normalize
from .move_transpose import Transposition


def trans_data_moves(
    source: Layout, result: Layout, shape: Sequence[int], src_size: int, out_size: int
) -> Transposition:
    """[N, C, H, W] between row-major and NC1HWC0."""
    n, c, h, w = shape
    plane = h * w
    c0 = result.c0 or source.c0
    c1 = ceil_div(c, c0)
    size = min(src_size, out_size)
    sizes = {"src_size": src_size, "out_size": out_size}
    if result.format is Format.NC1HWC0:
        outer = (Axis(n, c1 * plane * c0, c * plane), Axis(c1, plane * c0, c0 * plane))
        return Transposition(
            tuple(a for a in outer if a.extent > 1 or a is outer[1]), Axis(plane, c0, 1), (Axis(c0, 1, plane),), size, **sizes, lanes_total=c
        )
    outer = (Axis(n, c * plane, c1 * plane * c0), Axis(c1, c0 * plane, plane * c0))
    return Transposition(
        tuple(a for a in outer if a.extent > 1 or a is outer[1]), Axis(c0, plane, 1), (Axis(plane, 1, c0),), size, **sizes, columns_total=c
    )
