"""Rules of nn-decompose: rows of an image that are too long for the chip are cut into pieces.

Sound is an image of one long row. A convolution or a pool needs whole rows of it on the chip, so the row is cut into
pieces that overlap by what a window sees, and the pieces are images of a batch. A pad that repeats the row
needs the row and its reflection side by side, so the ends are cut out and put beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import Operation, SSAValue

from ...dialects import nn
from ..rewriting import Builder, Rule
from .nn_movement import MOST_OPERANDS

LONG_WINDOW = 10240
"""Positions (16 channels each) that the rows of one window may have: a third of L1."""
PIECE = 4096
"""Positions of a piece's rows of one window, if there need not be too many pieces."""
LONG_PAD = 2048
"""Elements of a row that is put together in UB, sixteen rows at a time."""


def _joined(parts: Sequence[SSAValue], axis: int, build: Builder) -> SSAValue:
    """Side by side, in as many steps as the number of operands of a kernel asks for."""
    pieces = list(parts)
    while len(pieces) > 1:
        groups = [pieces[i : i + MOST_OPERANDS] for i in range(0, len(pieces), MOST_OPERANDS)]
        pieces = [_one(group, axis, build) for group in groups]
    return pieces[0]


def _one(parts: Sequence[SSAValue], axis: int, build: Builder) -> SSAValue:
    return parts[0] if len(parts) == 1 else build(nn.ConcatOp(parts, axis))


def in_pieces(
    op: nn.ConvOp | nn.MaxPoolOp | nn.AvgPoolOp,
    kernel: Sequence[int],
    most: int,
    fill: float,
    make: Callable[[SSAValue, tuple[int, int, int, int]], Operation],
    build: Builder,
) -> SSAValue | None:
    """The op on pieces of its rows; `make` applies it to images with the pads that are left."""
    shape, result = nn.shape_of(op.input), nn.shape_of(op.output)
    if -1 in (*shape, *result) or 0 in result:
        return None
    top, left, bottom, right = nn.ints(op.pads)
    stride, dilation = nn.ints(op.strides)[1], nn.ints(op.dilations)[1]
    rows, seen = nn.ints(op.dilations)[0] * (kernel[0] - 1) + 1, dilation * (kernel[1] - 1) + 1
    width = shape[3] + left + right
    if rows * width <= most or seen * rows * 2 > most or result[3] == 1:
        return None
    count = -(-rows * width // min(PIECE, most // 2))
    columns = -(-result[3] // count)  # of a piece's result
    count = -(-result[3] // columns)
    taken = (columns - 1) * stride + seen
    starts = [min(i * columns, result[3] - columns) for i in range(count)]  # the last one sees some again
    pieces: list[SSAValue] = [_piece(op.input, start * stride - left, taken, fill, build) for start in starts]
    done = build(make(_joined(pieces, 0, build), (top, 0, bottom, 0)))
    parts: list[SSAValue] = []
    for i, start in enumerate(starts):
        known = i * columns - start
        at, size = (i * shape[0], 0, 0, known), (*result[:3], columns - known)
        parts.append(build(nn.SliceOp(done, at, size)))
    return _joined(parts, 3, build)


def _piece(x: SSAValue, start: int, count: int, fill: float, build: Builder) -> SSAValue:
    """Columns from `start` on; those outside of the image hold the fill."""
    *outer, width = nn.shape_of(x)
    before, after = max(-start, 0), max(start + count - width, 0)
    size = count - before - after
    part = build(nn.SliceOp(x, (0, 0, 0, start + before), (*outer, size)))
    if not before + after:
        return part
    return build(nn.PadOp(part, (0, 0, 0, before, 0, 0, 0, after), "constant", fill))


def convolution(op: Operation, build: Builder) -> SSAValue | None:
    """conv(x) = pieces of conv(pieces of x)."""
    if not isinstance(op, nn.ConvOp):
        return None

    def make(image: SSAValue, pads: tuple[int, int, int, int]) -> Operation:
        return nn.ConvOp(
            image, op.weight, op.bias, strides=nn.ints(op.strides), pads=pads, dilations=nn.ints(op.dilations),
            group=op.group.value.data,
        )  # fmt: skip

    return in_pieces(op, nn.shape_of(op.weight)[2:], LONG_WINDOW, 0.0, make, build)


def pad(op: Operation, build: Builder) -> SSAValue | None:
    """A row with its reflection, its last element or its other end beside it."""
    if not isinstance(op, nn.PadOp) or op.mode.data == "constant":
        return None
    shape, pads = nn.shape_of(op.input), nn.ints(op.pads)
    rank = len(shape)
    before, after = pads[rank - 1], pads[-1]
    if -1 in shape or shape[-1] + before + after <= LONG_PAD or min(pads) < 0 or not before + after:
        return None
    inner: SSAValue = op.input
    others = [0 if i in (rank - 1, 2 * rank - 1) else p for i, p in enumerate(pads)]
    if any(others):
        inner = build(nn.PadOp(inner, others, op.mode.data))
    length = shape[-1]
    if max(before, after) >= length:
        return None
    first, last = _ends(op.mode.data, length, before, after)
    parts: list[SSAValue | None] = [_run(inner, *first, build), inner, _run(inner, *last, build)]
    return _joined([part for part in parts if part is not None], rank - 1, build)


def _ends(
    mode: str, length: int, before: int, after: int
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(start, count, step) of what stands before the row and behind it."""
    if mode == "reflect":
        return (before, before, -1), (length - 2, after, -1)
    if mode == "edge":
        return (0, before, 0), (length - 1, after, 0)
    return (length - before, before, 1), (0, after, 1)


def _run(x: SSAValue, start: int, count: int, step: int, build: Builder) -> SSAValue | None:
    """`count` elements of the last axis; step 0 repeats one."""
    if not count:
        return None
    *outer, _ = nn.shape_of(x)
    starts, zeros = (*(0 for _ in outer), start), [1] * len(outer)
    size = (*outer, count if step else 1)
    part = build(nn.SliceOp(x, starts, size, (*zeros, step or 1)))
    return part if step else build(nn.ExpandOp(part, (*outer, count)))


RULES: list[Rule] = [convolution, pad]
