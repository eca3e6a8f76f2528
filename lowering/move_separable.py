"""Separable maps → work for the generators: boxes where runs are long or aligned, put-together rows
elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from .move_load import Fold, Quotient, RowAxis, Window
from .move_maps import AxisMap, Rule, Segment, Separable
from .move_problem import Axis, Box, dense_strides, normalize
from .move_rowwise import Input, Piece, Rowwise

MAX_BOXES = 8  # each box is a loop nest of its own in the code
MAX_PIECES = 16


def boxes_of(s: Separable) -> list[Box] | None:
    """The map as affine boxes, each normalized; None when a rule is in the way or there are too many."""
    outs, steps = dense_strides(s.out), dense_strides(s.sources[0])
    if len(s.sources) > 1:
        return _concat_boxes(s)
    boxes = [Box(())]
    finished: list[Box] = []  # fills: they span all of the axes that follow
    for axis, pieces in enumerate(s.maps):
        if isinstance(pieces, Rule):
            return None
        grown: list[Box] = []
        for box in boxes:
            for p in pieces:
                one = Axis(p.count, outs[axis], p.step * steps[axis])
                out, src = box.out_base + p.out * outs[axis], box.src_base + p.src * steps[axis]
                if p.source >= 0:
                    grown.append(Box((*box.axes, one), out, src))
                    continue
                rest = (Axis(e, o, 0) for e, o in zip(s.out[axis + 1 :], outs[axis + 1 :], strict=True))
                finished.append(Box((*box.axes, one, *rest), out, 0, -1))
        boxes = grown
        if len(boxes) + len(finished) > MAX_BOXES:
            return None
    found = [*boxes, *finished]
    return [replace(box, axes=_filled(box)) for box in found]


def _filled(box: Box) -> tuple[Axis, ...]:
    """Normalized axes; the steps of a fill do not matter, so that neighbours join as the output lets them."""
    if box.source >= 0:
        return normalize(box.axes)
    return normalize(Axis(a.extent, a.out, a.out) for a in box.axes)


def _concat_boxes(s: Separable) -> list[Box]:
    """One box per operand of a concatenation."""
    outs = dense_strides(s.out)
    at = next(i for i, m in enumerate(s.maps) if not isinstance(m, Rule) and len(m) > 1)
    pieces = s.maps[at]
    assert not isinstance(pieces, Rule)
    boxes: list[Box] = []
    for piece in pieces:
        shape = s.sources[piece.source]
        steps = dense_strides(shape)
        axes = [Axis(e, o, i) for e, o, i in zip(s.out, outs, steps, strict=True)]
        axes[at] = Axis(piece.count, outs[at], steps[at] * piece.step)
        base = piece.src * steps[at]
        boxes.append(Box(normalize(axes), piece.out * outs[at], base, piece.source))
    return boxes


# ------------------------------------------------------------------------------------------------------ rows
def rowwise_of(s: Separable, last: int, size: int) -> Rowwise | None:
    """The map with rows along axis `last`; axes behind it must be kept as they are."""
    unit = prod(s.out[last + 1 :])
    if not all(s.keeps(axis) for axis in range(last + 1, len(s.out))):
        return None
    pieces = _pieces(s.maps[last], s.sources[0][last], s.out[last])
    if pieces is None:
        return None
    rows: list[list[RowAxis]] = [[] for _ in s.sources]
    bases = [0] * len(s.sources)
    padded = any(p.source < 0 for p in _segments_of(s.maps[last]))
    for axis in range(last):
        for number, shape in enumerate(s.sources):
            stride = prod(shape[axis + 1 :])
            found = _row_axes(s.maps[axis], s.out[axis], shape[axis], stride)
            if found is None:
                return None
            axes, base = found
            rows[number] += axes
            bases[number] += base
            padded = padded or any(isinstance(a, Window) for a in axes)
    rows = _merged(rows)
    widths = [shape[last] for shape in s.sources]
    if len(s.sources) == 1 and len(pieces) == 1 and _is_run(pieces[0]) and pieces[0].count == s.out[last]:
        bases[0] += pieces[0].src * unit  # a range of the row: load just that
        widths[0] = pieces[0].count
        pieces = [replace(pieces[0], src=0)]
    inputs = tuple(
        Input(tuple(r), w, b, argument=i) for i, (r, w, b) in enumerate(zip(rows, widths, bases, strict=True))
    )
    extents = tuple(a.extent for a in rows[0])
    fill = s.fill if padded else None
    return Rowwise(extents, s.out[last], inputs, tuple(pieces), size, unit, fill)


def _is_run(piece: Piece) -> bool:
    return piece.quotient is None and piece.src_step == 1 and piece.out_step == 1 and piece.out == 0


def _merged(rows: list[list[RowAxis]]) -> list[list[RowAxis]]:
    """Neighbouring plain axes joined where that holds for all inputs; at least one axis."""
    merged: list[list[RowAxis]] = [[] for _ in rows]
    for column in zip(*rows, strict=True):
        before = [m[-1] if m else None for m in merged]
        if column[0].extent == 1 and all(isinstance(a, Axis) for a in column):
            continue
        joins = all(
            isinstance(a, Axis) and isinstance(b, Axis) and b.src == a.extent * a.src
            for a, b in zip(column, before, strict=True)
        )
        for m, axis, old in zip(merged, column, before, strict=True):
            if joins and old is not None:
                m[-1] = Axis(old.extent * axis.extent, 0, axis.src)
            else:
                m.append(axis)
    return [m or [Axis(1, 0, 0)] for m in merged]


def _segments_of(axis: AxisMap) -> tuple[Segment, ...]:
    return () if isinstance(axis, Rule) else axis


def _row_axes(axis: AxisMap, extent: int, size: int, stride: int) -> tuple[list[RowAxis], int] | None:
    """(row axes, base element) of an outer axis."""
    if isinstance(axis, Rule):
        if axis.kind == "repeat":
            times = axis.values[0]
            return [Axis(extent // times, 0, stride), Axis(times, 0, 0)], 0
        if axis.kind == "quotient":
            return [Quotient(extent, 0, stride, *axis.values)], 0
        return [Fold(extent, 0, stride, axis.values[0], size, axis.kind)], 0
    real = [p for p in axis if p.source >= 0]
    if len(real) != 1:
        return None
    piece = real[0]
    if len(axis) == 1:
        return [Axis(piece.count, 0, piece.step * stride)], piece.src * stride
    if piece.step != 1:
        return None
    return [Window(extent, 0, stride, piece.out, piece.count)], piece.src * stride


def _pieces(axis: AxisMap, size: int, extent: int) -> list[Piece] | None:
    """Pieces of the row axis itself."""
    if isinstance(axis, Rule):
        if axis.kind == "repeat":
            times = axis.values[0]
            return [Piece(0, size, d, out_step=times) for d in range(times)] if times <= MAX_PIECES else None
        if axis.kind == "quotient":
            scale, add, den, most = axis.values
            return [Piece(0, extent, 0, quotient=Quotient(extent, 0, 1, scale, add, den, most))]
        axis = fold_segments(axis.kind, axis.values[0], size, extent - size - axis.values[0])
    found = [Piece(p.source, p.count, p.out, p.src, 1, p.step) for p in axis if p.source >= 0]
    return found if len(found) <= MAX_PIECES else None


def fold_segments(kind: str, before: int, size: int, after: int) -> tuple[Segment, ...]:
    """A pad that repeats the input, as segments."""
    if kind == "edge":
        parts = (Segment(0, before, 0, 0), Segment(before, size), Segment(before + size, after, size - 1, 0))
    elif kind == "reflect":
        parts = (
            Segment(0, before, before, -1),
            Segment(before, size),
            Segment(before + size, after, size - 2, -1),
        )
    else:
        parts = (Segment(0, before, size - before), Segment(before, size), Segment(before + size, after))
    return tuple(p for p in parts if p.count)
