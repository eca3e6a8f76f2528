"""Changes of format as moves.

ND, NCHW and NHWC are strides of the logical axes.  NC1HWC0 and FRACTAL_NZ cut one axis into blocks of C0
lanes:

* the blocked axis has stride 1 on the row-major side (NHWC, matrices to FRACTAL_NZ, feature maps of one
  pixel): a block is a run of 32 bytes, only the order of blocks changes; the last block is filled up with
  zeros;
* else 16 rows of the row-major side become the lanes of a block: a turn (`move_transpose`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from ..dialects.layouts import ROW_MAJOR, Format, Layout, ceil_div
from .move_problem import Axis, Box, dense_strides, normalize
from .move_rowwise import Input, Piece, Rowwise
from .move_turn import Transposition

FRACTAL_ROWS = 16


@dataclass(frozen=True)
class Columns:
    """Blocks of C0 lanes in another order: whole ones, the zero-filled last ones (`keep` lanes of them),
    zero rows.
    """

    boxes: tuple[Box, ...]
    keep: int = 0
    partial: Box | None = None
    zeros: tuple[Box, ...] = field(default=())


FormatWork = Transposition | Columns | Rowwise | Box


@dataclass(frozen=True)
class _Blocked:
    """A blocked layout: the blocked axis (`lanes` elements of it), and for all other axes extent and
    stride.
    """

    others: tuple[tuple[int, int], ...]  # (logical axis, stride in the blocked array)
    axis: int
    block_stride: int  # elements from block to block
    c0: int


def _row_major(layout: Layout, shape: Sequence[int]) -> tuple[int, ...] | None:
    """Strides of the logical axes."""
    if layout.format not in ROW_MAJOR or layout.pitch:
        return None
    if layout.format is not Format.NHWC:
        return dense_strides(shape)
    n, c, h, w = shape
    del n
    return (c * h * w, 1, w * c, c)


def _blocked(layout: Layout, shape: Sequence[int]) -> _Blocked | None:
    c0 = layout.c0
    if layout.format is Format.NC1HWC0 and len(shape) == 4:
        _, c, h, w = shape
        plane = h * w * c0
        return _Blocked(((0, ceil_div(c, c0) * plane), (2, w * c0), (3, c0)), 1, plane, c0)
    if layout.format is Format.FRACTAL_NZ and len(shape) >= 2:
        m, n = shape[-2:]
        column = ceil_div(m, FRACTAL_ROWS) * FRACTAL_ROWS * c0
        matrix = column * ceil_div(n, c0)
        batch = dense_strides(shape[:-2])
        others = [(i, s * matrix) for i, s in enumerate(batch)]
        return _Blocked((*others, (len(shape) - 2, c0)), len(shape) - 1, column, c0)
    return None


def format_work(
    source: Layout, result: Layout, shape: Sequence[int], src_size: int, out_size: int
) -> FormatWork:
    """How `shape` gets from one layout to the other; different element sizes mean a cast f32 ↔ f16.

    Raises:
        ValueError: not a pair of formats that a kernel exists for.
    """
    shape = tuple(shape)
    if result.format is Format.NC1HWC0 and len(shape) == 1:
        shape = (1, *shape, 1, 1)
    rows, blocked = _row_major(source, shape), _blocked(result, shape)
    if rows is not None and blocked is not None:
        return _to_blocked(rows, blocked, shape, src_size, out_size, result)
    rows, blocked = _row_major(result, shape), _blocked(source, shape)
    if rows is not None and blocked is not None:
        return _from_blocked(rows, blocked, shape, src_size, out_size)
    a, b = _row_major(source, shape), _row_major(result, shape)
    if a is not None and b is not None and src_size == out_size:
        return Box(normalize(Axis(e, o, s) for e, o, s in zip(shape, b, a, strict=True)))
    raise ValueError(f"no kernel from {source} to {result} for {list(shape)}")


def _to_blocked(
    rows: tuple[int, ...],
    blocked: _Blocked,
    shape: tuple[int, ...],
    src_size: int,
    out_size: int,
    result: Layout,
) -> FormatWork:
    c, c0 = shape[blocked.axis], blocked.c0
    outer = [Axis(shape[i], out, rows[i]) for i, out in blocked.others]
    if rows[blocked.axis] == 1 and src_size == out_size == 2:
        return _columns(outer, blocked, shape, result)
    if len(shape) != 4 or blocked.axis != 1:
        raise ValueError(f"no kernel to {result} for {list(shape)}")
    plane = normalize(outer[1:])
    if len(plane) > 1 or (plane and plane[0].src != 1):
        raise ValueError(f"no kernel to {result} with such strides")
    pixels = shape[2] * shape[3]
    blocks = Axis(ceil_div(c, c0), blocked.block_stride, c0 * rows[1])
    batch = (outer[0],) if shape[0] > 1 else ()
    return Transposition(
        (*batch, blocks), Axis(pixels, c0, 1), (Axis(c0, 1, rows[1]),), min(src_size, out_size),
        src_size=src_size, out_size=out_size, lanes_total=c,
    )  # fmt: skip


def _columns(outer: list[Axis], blocked: _Blocked, shape: tuple[int, ...], result: Layout) -> Columns:
    c, c0 = shape[blocked.axis], blocked.c0
    whole, keep = divmod(c, c0)
    lanes = Axis(c0, 1, 1)
    boxes = [Box(normalize((*outer, Axis(whole, blocked.block_stride, c0), lanes)))] if whole else []
    partial = None
    if keep:
        axes = (*normalize(outer), lanes)
        partial = Box(axes, whole * blocked.block_stride, whole * c0)
    zeros: list[Box] = []
    if result.format is Format.FRACTAL_NZ and shape[-2] % FRACTAL_ROWS:
        rest = FRACTAL_ROWS - shape[-2] % FRACTAL_ROWS
        columns = Axis(prod(shape[:-2]) * ceil_div(c, c0), blocked.block_stride, blocked.block_stride)
        zeros = [Box(normalize((columns, Axis(rest * c0, 1, 1))), shape[-2] * c0, 0, -1)]
    return Columns(tuple(boxes), keep, partial, tuple(zeros))


def _from_blocked(
    rows: tuple[int, ...], blocked: _Blocked, shape: tuple[int, ...], src_size: int, out_size: int
) -> FormatWork:
    c, c0 = shape[blocked.axis], blocked.c0
    outer = [Axis(shape[i], rows[i], stride) for i, stride in blocked.others]
    if rows[blocked.axis] == 1 and blocked.block_stride == c0 and src_size != out_size:
        plain = tuple(Axis(a.extent, 0, a.src) for a in normalize(outer)) or (Axis(1, 0, 0),)
        extents = tuple(a.extent for a in plain)
        return Rowwise(extents, c, (Input(plain, c),), (Piece(0, c, 0),), src_size, out_size=out_size)
    if rows[blocked.axis] == 1 and src_size == out_size:
        if blocked.block_stride == c0:  # one pixel: the row is in one piece
            return Box(normalize((*outer, Axis(c, 1, 1))))
        axes = normalize(outer)
        chunks = Axis(ceil_div(c, c0), 0, blocked.block_stride)
        plain = tuple(Axis(a.extent, 0, a.src) for a in axes) or (Axis(1, 0, 0),)
        return Rowwise(
            tuple(a.extent for a in plain), c, (Input(plain, c, chunks=chunks),), (Piece(0, c, 0),), src_size
        )
    if len(shape) != 4 or blocked.axis != 1:
        raise ValueError(f"no kernel from such blocks for {list(shape)}")
    pixels = shape[2] * shape[3]
    blocks = Axis(ceil_div(c, c0), c0 * rows[1], blocked.block_stride)
    batch = (outer[0],) if shape[0] > 1 else ()
    return Transposition(
        (*batch, blocks), Axis(c0, rows[1], 1), (Axis(pixels, 1, c0),), min(src_size, out_size),
        src_size=src_size, out_size=out_size, columns_total=c,
    )  # fmt: skip
