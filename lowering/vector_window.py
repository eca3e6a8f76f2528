"""Pooling: windows over the planes of NC1HWC0.

A tile is some output rows of one plane.  Its slab of input rows lies in UB with the padding it needs around
it, so that every window is complete: rows and columns outside the plane hold the neutral element.  The window
is taken in two steps, along the width and then along the height (kw + kh instructions instead of kw·kh); a
stride of the window is the block stride of the instruction, because one position is one 32-byte block of 16
channels.  Means are summed in f32 and scaled by 1/(positions that count), which differs at the borders and is
a product of a row and a column factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product

from ..dialects import nn
from .kernel_builder import Index, KernelBuilder, Ref
from .vector_program import SIZES
from .vector_space import Space, Window
from .vector_tiles import BLOCK, LANES, Count, Tile, TileEmitter, Value
from .vector_transfer import ub_buffer

LAST_PLACES = 2048.0
"""More than a number is in units of its last place: a difference of one place outweighs the number."""
NEUTRAL = {"max": float("-inf"), "mean": 0.0}


@dataclass(frozen=True)
class Scales:
    """Factors of a mean: one for all windows, or a block per output row and per output column (f32)."""

    factor: float
    rows: Ref | None = None
    columns: Ref | None = None


def window_scales(kb: KernelBuilder, window: Window) -> Scales | None:
    """Tables of 1/count in UB, made once per kernel."""
    if window.kind != "mean":
        return None
    distinct = [set(c) for c in window.counts]
    if all(len(d) == 1 for d in distinct):
        return Scales(1.0 / (window.counts[0][0] * window.counts[1][0]))
    tables: list[Ref] = []
    for counts in window.counts:
        table = ub_buffer(kb, len(counts) * LANES * SIZES["f32"])
        start = 0
        for count, run in groupby(counts):
            length = len(list(run))
            emitter = TileEmitter(kb, Tile(1, 1, Count.of(length * LANES), 0, 0))
            at = Value(table + start * LANES * SIZES["f32"], "f32", False, True, 0)
            emitter.apply("vector_dup", "f32", at, [], 1.0 / max(count, 1))
            start += length
        tables.append(table)
    return Scales(0.0, *tables)


@dataclass(frozen=True)
class _Slab:
    """Input rows in UB: `rows` (at most `limit`) of `width` positions, padding included."""

    ref: Ref
    rows: Index
    limit: int
    width: int


def pool_windows(
    emitter: TileEmitter,
    space: Space,
    outer: Sequence[Index],
    row: Index,
    target: Value,
    scales: Scales | None,
) -> None:
    """The tile's output rows, starting at output row `row`, into `target`."""
    window = space.window
    assert window is not None
    kb, tile = emitter.kb, emitter.tile
    if window.term_planes:
        _pool_terms(emitter, space, window, outer, row, target)
        return
    slab = _load_slab(emitter, space, window, _plane(kb, space, outer), row)
    dtype = "f16"
    if window.kind == "mean":
        dtype = "f32"
        slab = _widen(kb, slab)
    out_width = space.dims[-1]
    pitch = out_width * LANES * SIZES[dtype]
    joined, joined_pitch = _along_width(kb, window, slab, dtype, out_width)
    total = target.ref if dtype == "f16" else ub_buffer(kb, tile.rows_limit * pitch)
    _along_height(emitter, window, joined, joined_pitch, total, pitch, dtype, out_width)
    if dtype == "f16":
        return
    sums = Value(total, "f32", True, True, pitch)
    assert scales is not None
    if scales.rows is None or scales.columns is None:
        emitter.apply("vmuls", "f32", sums, [sums], scales.factor)
    else:
        block = LANES * SIZES["f32"]
        by_row = Value(scales.rows + kb.linear(0, (row, block)), "f32", True, False, block, uniform=True)
        emitter.apply("vmul", "f32", sums, [sums, by_row])
        emitter.apply(
            "vmul", "f32", sums, [sums, Value(scales.columns, "f32", tile.rows_limit == 1, True, 0)]
        )
    emitter.apply("vconv", "f322f16", target, [sums])


def _span(taps: int, stride: int, dilation: int, outputs: int) -> int:
    """Input positions that `outputs` windows reach."""
    return (outputs - 1) * stride + (taps - 1) * dilation + 1


def _pool_terms(
    emitter: TileEmitter, space: Space, window: Window, outer: Sequence[Index], row: Index, target: Value
) -> None:
    """The maximum of numbers in two terms, h + l with |l| at most half a last place of h (`nn_terms`).

    The largest h wins, and among equal ones the largest l. So one plane of the result is the maximum over the
    window of (h - top)·2048 + own, where top is the maximum of h and own the plane's own term: where h = top
    this is own, elsewhere at least |h| below.  For the planes that hold h it gives top again.
    """
    kb, tile = emitter.kb, emitter.tile
    plane = _plane(kb, space, outer)
    term = kb.rem(plane, nn.TERMS * window.term_planes)
    first = kb.add(kb.sub(plane, term), kb.rem(term, window.term_planes))
    own = _load_slab(emitter, space, window, plane, row)
    high = _load_slab(emitter, space, window, first, row)
    out_width = space.dims[-1]
    pitch, columns = out_width * BLOCK, out_width * LANES
    joined, joined_pitch = _along_width(kb, window, high, "f16", out_width)
    top = ub_buffer(kb, tile.rows_limit * pitch)
    _along_height(emitter, window, joined, joined_pitch, top, pitch, "f16", out_width)
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.strides, window.dilations
    line = high.width * BLOCK
    candidate = ub_buffer(kb, tile.rows_limit * pitch)
    for number, (y, x) in enumerate(product(range(kh), range(kw))):
        tap, step = y * dh * line + x * dw * BLOCK, sh * line
        here = candidate if number else target.ref
        emitter.rows2d(
            "vsub", "f16", [(here, pitch), (high.ref + tap, step), (top, pitch)], columns, steps=(1, sw, 1)
        )
        emitter.rows2d("vmuls", "f16", [(here, pitch), (here, pitch)], columns, LAST_PLACES)
        emitter.rows2d(
            "vadd", "f16", [(here, pitch), (here, pitch), (own.ref + tap, step)], columns, steps=(1, 1, sw)
        )
        if number:
            emitter.rows2d("vmax", "f16", [(target.ref, pitch), (target.ref, pitch), (here, pitch)], columns)


def _load_slab(emitter: TileEmitter, space: Space, window: Window, plane: Index, row: Index) -> _Slab:
    kb, tile = emitter.kb, emitter.tile
    (height, width), (kh, kw) = window.size, window.kernel
    limit = _span(kh, window.strides[0], window.dilations[0], tile.rows_limit)
    needed = _span(kw, window.strides[1], window.dilations[1], space.dims[-1])
    rows = kb.add(kb.mul(tile.rows, window.strides[0]), limit - tile.rows_limit * window.strides[0])
    first = kb.sub(kb.mul(row, window.strides[0]), window.before[0])  # may be negative
    begin = kb.max(first, 0) if window.before[0] else first
    end = kb.min(kb.add(first, rows), height)
    above, loaded = kb.sub(begin, first), kb.sub(end, begin)
    left = window.before[1]
    inside = min(width, needed - left)
    ref = ub_buffer(kb, limit * needed * BLOCK, depth=2)
    source = kb.args[window.operand] + kb.linear(0, (plane, height * width * BLOCK), (begin, width * BLOCK))
    target = ref + kb.linear(left * BLOCK, (above, needed * BLOCK))
    most = min(limit, height)
    kb.op(
        "copy_gm_to_ubuf",
        "",
        target,
        source,
        limits={"bursts": most},
        bursts=loaded,
        length=inside,
        src_gap=width - inside,
        dst_gap=needed - inside,
    )
    slab = _Slab(ref, rows, limit, needed)
    _pad(kb, window, slab, above, kb.add(above, loaded), left, left + inside)
    return slab


def _plane(kb: KernelBuilder, space: Space, outer: Sequence[Index]) -> Index:
    """Index of the (n, c1) plane."""
    total: Index = 0
    for index, extent in zip(outer, space.dims[:-2], strict=True):
        total = kb.add(kb.mul(total, extent), index)
    return total


def _pad(
    kb: KernelBuilder, window: Window, slab: _Slab, above: Index, below: Index, left: int, right: int
) -> None:
    """Fills rows before `above` and from `below` on, and the columns outside left … right."""
    value = NEUTRAL[window.kind]
    line = slab.width * BLOCK
    row = TileEmitter(kb, Tile(1, 1, Count.of(slab.width * LANES), 0, 0))
    reach = (window.size[0] - 1) + window.before[
        0
    ]  # last slab row that is inside, seen from the plane's top pad
    if window.before[0]:
        with kb.loop(above) as r:
            row.apply(
                "vector_dup",
                "f16",
                Value(slab.ref + kb.linear(0, (r, line)), "f16", False, True, 0),
                [],
                value,
            )
    last = _last_row(window)
    if last > reach:
        with kb.loop(kb.sub(slab.rows, below)) as r:
            at = slab.ref + kb.linear(0, (r, line), (below, line))
            row.apply("vector_dup", "f16", Value(at, "f16", False, True, 0), [], value)
    emitter = TileEmitter(
        kb, Tile(slab.rows, slab.limit, Count.of(slab.width * LANES), slab.width * LANES, LANES)
    )
    whole = Value(slab.ref, "f16", True, True, line)
    for start, stop in ((0, left), (right, slab.width)):
        if stop > start:
            emitter.fill(whole, value, start * LANES, stop * LANES)


def _last_row(window: Window) -> int:
    """The last padded input row that any window touches (the bottom padding follows from the output's
    height)."""
    return _span(window.kernel[0], window.strides[0], window.dilations[0], window.outputs) - 1


def _widen(kb: KernelBuilder, slab: _Slab) -> _Slab:
    wide = ub_buffer(kb, slab.limit * slab.width * LANES * 4)
    columns = slab.width * LANES
    emitter = TileEmitter(kb, Tile(slab.rows, slab.limit, Count.of(columns), columns, LANES))
    emitter.apply(
        "vconv",
        "f162f32",
        Value(wide, "f32", True, True, columns * 4),
        [Value(slab.ref, "f16", True, True, columns * 2)],
    )
    return _Slab(wide, slab.rows, slab.limit, slab.width)


def _along_width(
    kb: KernelBuilder, window: Window, slab: _Slab, dtype: str, out_width: int
) -> tuple[Ref, int]:
    """Joins the kw columns of each window: (address, row pitch)."""
    kw, stride, dilation = window.kernel[1], window.strides[1], window.dilations[1]
    block = LANES * SIZES[dtype]
    source_pitch = slab.width * block
    if kw == 1 and stride == 1:
        return slab.ref, source_pitch
    pitch = out_width * block
    out = ub_buffer(kb, slab.limit * pitch)
    emitter = TileEmitter(
        kb, Tile(slab.rows, slab.limit, Count.of(out_width * LANES), out_width * LANES, LANES)
    )
    columns = out_width * LANES
    if kw == 1:
        emitter.rows2d(
            "vadds", dtype, [(out, pitch), (slab.ref, source_pitch)], columns, 0.0, steps=(1, stride)
        )
        return out, pitch
    join = "vmax" if window.kind == "max" else "vadd"
    second = (slab.ref + dilation * block, source_pitch)
    emitter.rows2d(
        join, dtype, [(out, pitch), (slab.ref, source_pitch), second], columns, steps=(1, stride, stride)
    )
    if kw > 2:
        with kb.loop(kw - 2) as k:
            tap = slab.ref + kb.linear(2 * dilation * block, (k, dilation * block))
            emitter.rows2d(
                join, dtype, [(out, pitch), (out, pitch), (tap, source_pitch)], columns, steps=(1, 1, stride)
            )
    return out, pitch


def _along_height(
    emitter: TileEmitter,
    window: Window,
    source: Ref,
    source_pitch: int,
    out: Ref,
    pitch: int,
    dtype: str,
    out_width: int,
) -> None:
    kb = emitter.kb
    kh, step = window.kernel[0], window.strides[0] * source_pitch
    columns, tap = out_width * LANES, window.dilations[0] * source_pitch
    if kh == 1:
        emitter.rows2d("vadds", dtype, [(out, pitch), (source, step)], columns, 0.0)
        return
    join = "vmax" if window.kind == "max" else "vadd"
    emitter.rows2d(join, dtype, [(out, pitch), (source, step), (source + tap, step)], columns)
    if kh > 2:
        with kb.loop(kh - 2) as k:
            at = source + kb.linear(2 * tap, (k, tap))
            emitter.rows2d(join, dtype, [(out, pitch), (out, pitch), (at, step)], columns)
