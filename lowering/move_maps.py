"""What each op moves: index maps of the `nn` ops that only rearrange elements.

Two forms are enough.  *Affine*: one box of axes with a stride in the output and one in the input
(transpose, expand, depth_to_space, a change of format).  *Separable*: along each axis an own map, made of
pieces (slice, pad, concat, tile) or of a rule for the index (resize, reflection), so that out[i, j, …] =
in[f(i), g(j), …].

A tensor in NC1HWC0 is treated as the row-major [N, C1, H, W, C0] that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Final

import numpy as np
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Operation

from ..dialects import nn
from ..dialects.dtypes import numpy_dtype, size_of
from ..dialects.layouts import Format, Layout, ceil_div
from ..dialects.nn_attrs import ints
from .move_problem import Axis, Box, dense_strides, normalize

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """Positions out … out+count-1 of an axis come from src + i·step of `source` (-1: the fill value)."""

    out: int
    count: int
    src: int = 0
    step: int = 1
    source: int = 0


@dataclass(frozen=True)
class Rule:
    """Input index by arithmetic: `kind` "quotient" (scale, add, den, most), or a padding mode (before,
    size).
    """

    kind: str
    values: tuple[int, ...]


AxisMap = tuple[Segment, ...] | Rule


@dataclass(frozen=True)
class Separable:
    """out[i…] = in[map_0(i_0), …]; the sources have equal rank."""

    out: Shape
    sources: tuple[Shape, ...]
    maps: tuple[AxisMap, ...]
    fill: int = 0

    def keeps(self, axis: int) -> bool:
        """Output and sources are the same along `axis`."""
        extent = self.out[axis]
        same = all(shape[axis] == extent for shape in self.sources)
        return same and self.maps[axis] == (Segment(0, extent),)


@dataclass(frozen=True)
class Move:
    """A whole op: one affine box, or a separable map; `size` bytes per element."""

    size: int
    out_elements: int
    box: Box | None = None
    separable: Separable | None = None


WIDEST: Final = 16
"""Bytes of the largest number (a complex double). What is wider, a text, moves as words."""
WORD: Final = 4


def in_words(move: Move) -> Move:
    """The same move of elements that fit the generators: a wide one is one more axis of words, innermost."""
    count = move.size // WORD
    if move.size <= WIDEST:
        return move
    box, s = move.box, move.separable
    if box is not None:
        axes = (*(Axis(a.extent, a.out * count, a.src * count) for a in box.axes), Axis(count, 1, 1))
        box = Box(normalize(axes), box.out_base * count, box.src_base * count, box.source)
    if s is not None:
        sources = tuple((*shape, count) for shape in s.sources)
        s = Separable((*s.out, count), sources, (*s.maps, identity(count)), s.fill)
    return Move(WORD, move.out_elements * count, box, s)


def physical(shape: Sequence[int], layout: Layout) -> Shape:
    """The row-major shape that the bytes have."""
    return layout.physical_shape(tuple(shape)) if layout.format is not Format.ND else tuple(shape)


def identity(extent: int) -> AxisMap:
    return (Segment(0, extent),)


def affine(out_shape: Sequence[int], src_strides: Sequence[int], size: int, src_base: int = 0) -> Move:
    """Output in row-major order, with an input stride per output axis."""
    axes = (Axis(e, o, s) for e, o, s in zip(out_shape, dense_strides(out_shape), src_strides, strict=True))
    return Move(size, prod(out_shape), box=Box(normalize(axes), src_base=src_base))


# ------------------------------------------------------------------------------------------------- affine ops
def _transpose(op: nn.TransposeOp, src: Shape, out: Shape, size: int) -> Move:
    strides = dense_strides(src)
    return affine(out, [strides[p] for p in ints(op.perm)], size)


def _expand(op: nn.ExpandOp, src: Shape, out: Shape, size: int) -> Move:
    del op
    padded = (1,) * (len(out) - len(src)) + src
    strides = dense_strides(padded)
    return affine(out, [s if e != 1 else 0 for s, e in zip(strides, padded, strict=True)], size)


def _tile(op: nn.TileOp, src: Shape, out: Shape, size: int) -> Move:
    del out
    strides, extents, steps = dense_strides(src), list[int](), list[int]()
    for repeat, extent, stride in zip(ints(op.repeats), src, strides, strict=True):
        extents += [repeat, extent]
        steps += [0, stride]
    return affine(extents, steps, size)


def _depth_to_space(op: nn.DepthToSpaceOp, src: Shape, out: Shape, size: int) -> Move:
    del out
    n, c, h, w = src
    b = op.blocksize.value.data
    left = c // (b * b)
    if op.mode.data == "DCR":
        parts, order = (n, b, b, left, h, w), (0, 3, 4, 1, 5, 2)
    else:
        parts, order = (n, left, b, b, h, w), (0, 1, 4, 2, 5, 3)
    strides = dense_strides(parts)
    return affine([parts[i] for i in order], [strides[i] for i in order], size)


def _space_to_depth(op: nn.SpaceToDepthOp, src: Shape, out: Shape, size: int) -> Move:
    del out
    n, c, h, w = src
    b = op.blocksize.value.data
    parts = (n, c, h // b, b, w // b, b)
    strides = dense_strides(parts)
    order = (0, 3, 5, 1, 2, 4)
    return affine([parts[i] for i in order], [strides[i] for i in order], size)


def _reshape(op: Operation, src: Shape, out: Shape, size: int) -> Move:
    del op, out
    return affine((prod(src),), (1,), size)


# ---------------------------------------------------------------------------------------------- separable ops
def _slice(op: nn.SliceOp, src: Shape, out: Shape, size: int) -> Move:
    triples = zip(ints(op.starts), out, ints(op.steps), strict=True)
    maps = tuple((Segment(0, count, start, step),) for start, count, step in triples)
    return Move(size, prod(out), separable=Separable(out, (src,), maps))


def _fill_bits(op: nn.PadOp, dtype: str) -> int:
    value = op.value.value.data if isinstance(op.value, FloatAttr) else 0.0
    return int.from_bytes(np.asarray(value).astype(numpy_dtype(dtype)).tobytes(), "little")


def _pad_axis(extent: int, before: int, after: int, mode: str) -> AxisMap:
    crop_before, crop_after = max(-before, 0), max(-after, 0)
    kept = extent - crop_before - crop_after
    before, after = max(before, 0), max(after, 0)
    if before == after == 0:
        return (Segment(0, kept, crop_before),)
    if mode != "constant":
        if crop_before or crop_after:
            raise ValueError("a pad that repeats the input and crops the same axis")
        return Rule(mode, (before, extent))
    parts = [Segment(0, before, source=-1), Segment(before, kept, crop_before)]
    parts.append(Segment(before + kept, after, source=-1))
    return tuple(s for s in parts if s.count)


def _pad(op: nn.PadOp, src: Shape, out: Shape, size: int, dtype: str) -> Move:
    pads, rank = ints(op.pads), len(src)
    mode = op.mode.data
    maps = tuple(_pad_axis(e, pads[i], pads[i + rank], mode) for i, e in enumerate(src))
    return Move(size, prod(out), separable=Separable(out, (src,), maps, _fill_bits(op, dtype)))


def _concat(op: nn.ConcatOp, sources: Sequence[Shape], out: Shape, size: int) -> Move:
    axis = op.axis.value.data % len(out)
    parts, at = list[Segment](), 0
    for number, shape in enumerate(sources):
        if shape[axis]:
            parts.append(Segment(at, shape[axis], source=number))
        at += shape[axis]
    maps = tuple(tuple(parts) if i == axis else identity(e) for i, e in enumerate(out))
    return Move(size, prod(out), separable=Separable(out, tuple(sources), maps))


def _quotient(index: list[int], src: int, scale: float) -> AxisMap:
    """The cheapest description of a non-decreasing index list."""
    out = len(index)
    if index == list(range(out)):
        return (Segment(0, out),)
    if out % src == 0 and index == [i // (out // src) for i in range(out)]:
        return Rule("repeat", (out // src,))
    ratios = {(src, out), Fraction(1 / scale).limit_denominator(4096).as_integer_ratio()}
    if out > 1:
        ratios.add((src - 1, out - 1))
    for p, q in sorted(
        ratios
    ):  # position i · p / q, shifted by half a pixel or not, rounded in one of four ways
        for add in (0, q - 1, q, p - 1, p, p - q, p + q - 1, 2 * q - 1):
            for times in (1, 2):
                values = (times * p, add, times * q, src - 1)
                if [min(max(i * times * p + add, 0) // (times * q), src - 1) for i in range(out)] == index:
                    return Rule("quotient", values)
    return _segments(index)


def _segments(index: list[int]) -> AxisMap:
    """Runs of equal steps."""
    parts, start = list[Segment](), 0
    while start < len(index):
        end = start + 1
        step = index[end] - index[start] if end < len(index) else 1
        while end < len(index) and index[end] - index[end - 1] == step:
            end += 1
        parts.append(Segment(start, end - start, index[start], step))
        start = end
    return tuple(parts)


def _resize(op: nn.ResizeOp, src: Shape, out: Shape, size: int) -> Move:
    from ..runtime.interp.nn_move import nearest_index, source_positions

    scales = [float(s) for s in op.scales.get_values()]
    scales += [1.0] * (len(src) - len(scales))
    maps: list[AxisMap] = []
    for extent, result, scale in zip(src, out, scales, strict=True):
        if extent == result and scale == 1.0:
            maps.append(identity(extent))
            continue
        places = nearest_index(source_positions(extent, result, scale, op.coordinate.data), op.nearest.data)
        maps.append(_quotient([int(i) for i in np.clip(places, 0, extent - 1)], extent, scale))
    return Move(size, prod(out), separable=Separable(out, (src,), tuple(maps)))


# --------------------------------------------------------------------------------------------------- formats
_AFFINE: dict[type[Operation], Callable[..., Move]] = {
    nn.TransposeOp: _transpose,
    nn.ExpandOp: _expand,
    nn.TileOp: _tile,
    nn.DepthToSpaceOp: _depth_to_space,
    nn.SpaceToDepthOp: _space_to_depth,
    nn.ReshapeOp: _reshape,
}


def move_of(op: Operation, sources: Sequence[Shape], out: Shape, dtype: str, layout: Layout) -> Move:
    """The move that `op` is, on logical shapes, all tensors in `layout` (ND or NC1HWC0).

    Raises:
        ValueError: the op is none of the moves, or cuts C0 blocks.
    """
    size = size_of(dtype)
    if isinstance(op, nn.DepthToSpaceOp | nn.SpaceToDepthOp) and layout.format is Format.NC1HWC0:
        return _blocked_shuffle(op, sources[0], out, size, layout.c0)
    move = _logical(op, sources, out, dtype, size)
    if layout.format is Format.ND:
        return in_words(move)
    if move.separable is None or layout.format is not Format.NC1HWC0:
        raise ValueError(f"{op.name} on {layout}")
    return Move(size, prod(physical(out, layout)), separable=_blocked(move.separable, layout))


def _logical(op: Operation, sources: Sequence[Shape], out: Shape, dtype: str, size: int) -> Move:
    if isinstance(op, nn.ConcatOp):
        return _concat(op, sources, out, size)
    if isinstance(op, nn.PadOp):
        return _pad(op, sources[0], out, size, dtype)
    if isinstance(op, nn.SliceOp):
        return _slice(op, sources[0], out, size)
    if isinstance(op, nn.ResizeOp):
        return _resize(op, sources[0], out, size)
    build = _AFFINE.get(type(op))
    if build is None:
        raise ValueError(f"{op.name} is no move")
    return build(op, sources[0], out, size)


def _blocked(s: Separable, layout: Layout) -> Separable:
    """[N, C, H, W] → [N, C1, H, W, C0]; C is cut at whole blocks only, except where it ends."""
    n, c, h, w = s.maps
    c0 = layout.c0
    if isinstance(c, Rule):
        raise ValueError("an index rule along C of NC1HWC0")
    if len(c) == 1 and c[0] == Segment(0, s.sources[0][1]):
        c1: AxisMap = identity(ceil_div(s.out[1], c0))
    else:
        c1 = tuple(_block_segment(p, c0, s.sources[p.source][1] if p.source >= 0 else 0, s.out[1]) for p in c)
    shapes = tuple(physical(shape, layout) for shape in s.sources)
    if s.fill and (s.out[1] % c0 or any(p.source < 0 for p in c)):
        raise ValueError("a pad value other than 0 in the padding lanes of NC1HWC0")
    return Separable(physical(s.out, layout), shapes, (n, c1, h, w, identity(c0)), s.fill)


def _block_segment(p: Segment, c0: int, channels: int, total: int) -> Segment:
    ends = p.src + p.count == channels or p.source < 0
    if p.step != 1 or p.out % c0 or p.src % c0 or (p.count % c0 and not (ends and p.out + p.count == total)):
        raise ValueError(f"channels {p.src} to {p.src + p.count} cut a block of {c0}")
    return Segment(p.out // c0, ceil_div(p.count, c0), p.src // c0, 1, p.source)


def _blocked_shuffle(
    op: nn.DepthToSpaceOp | nn.SpaceToDepthOp, src: Shape, out: Shape, size: int, c0: int
) -> Move:
    """Depth to space and back on whole channel blocks: the block index is outermost in the channels."""
    deep = isinstance(op, nn.DepthToSpaceOp)
    n, channels, h, w = (out[0], out[1], src[2], src[3]) if deep else (src[0], src[1], out[2], out[3])
    b = op.blocksize.value.data
    if channels % c0 or (isinstance(op, nn.DepthToSpaceOp) and op.mode.data != "DCR"):
        raise ValueError(f"{op.name} that cuts blocks of {c0} channels")
    c1 = channels // c0
    depth, space = (n, b, b, c1, h, w, c0), (n, c1, h, b, w, b, c0)
    if deep:
        strides, order = dense_strides(depth), (0, 3, 4, 1, 5, 2, 6)
        return affine(space, [strides[i] for i in order], size)
    strides, order = dense_strides(space), (0, 3, 5, 1, 2, 4, 6)
    return affine(depth, [strides[i] for i in order], size)
