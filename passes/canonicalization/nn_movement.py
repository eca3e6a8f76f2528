"""Rules for ops that only rearrange: reshape, transpose, slice, concat, pad, expand, cast."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, prod

from xdsl.ir import Operation, SSAValue

from ...dialects import dtypes, nn
from ...dialects.nn_shapes import broadcast
from ..rewriting import Builder, Rule, constant_of, only_use, small_value


def reshape(op: Operation, build: Builder) -> SSAValue | None:
    """Reshape to the same shape, and of a reshape."""
    if not isinstance(op, nn.ReshapeOp):
        return None
    shape = nn.shape_of(op.output)
    if shape == nn.shape_of(op.input):
        return op.input
    inner = op.input.owner
    if not isinstance(inner, nn.ReshapeOp):
        return None
    build.absorb(inner)
    return build(nn.ReshapeOp(inner.input, shape))


def transpose(op: Operation, build: Builder) -> SSAValue | None:
    """Transpose that moves nothing, of a transpose, or of dims of extent 1 only."""
    if not isinstance(op, nn.TransposeOp):
        return None
    perm = nn.ints(op.perm)
    if list(perm) == sorted(perm):
        return op.input
    inner = op.input.owner
    if isinstance(inner, nn.TransposeOp):
        build.absorb(inner)
        first = nn.ints(inner.perm)
        return build(nn.TransposeOp(inner.input, [first[p] for p in perm]))
    shape = nn.shape_of(op.input)
    real = [p for p in perm if shape[p] != 1]
    if real == sorted(real) and -1 not in shape:
        return build(nn.ReshapeOp(op.input, nn.shape_of(op.output)))
    return None


def slices(op: Operation, build: Builder) -> SSAValue | None:
    """Slice of everything, and slice of a slice."""
    if not isinstance(op, nn.SliceOp):
        return None
    starts, sizes, steps = nn.ints(op.starts), nn.ints(op.sizes), nn.ints(op.steps)
    if sizes == nn.shape_of(op.input) and all(s == 1 for s, n in zip(steps, sizes, strict=True) if n > 1):
        return op.input
    inner = op.input.owner
    if not isinstance(inner, nn.SliceOp):
        return None
    build.absorb(inner)
    base, scale = nn.ints(inner.starts), nn.ints(inner.steps)
    new_starts = [b + s * k for b, s, k in zip(base, starts, scale, strict=True)]
    new_steps = [s * k for s, k in zip(steps, scale, strict=True)]
    return build(nn.SliceOp(inner.input, new_starts, sizes, new_steps))


MOST_OPERANDS = 24
"""Tensors that a kernel puts side by side: each address takes a register."""
MOST_PIECES = 16
"""The same for pieces shorter than a DMA."""
SHORT_PIECE = 16
"""Elements of a DMA's least unit in f16."""


def concat(op: Operation, build: Builder) -> SSAValue | None:
    """Concat of one operand, and of concats along the same axis that nobody else reads."""
    if not isinstance(op, nn.ConcatOp):
        return None
    if len(op.inputs) == 1:
        return op.inputs[0]
    axis = op.axis.value.data
    flat: list[SSAValue] = []
    for value in op.inputs:
        inner = value.owner
        if isinstance(inner, nn.ConcatOp) and inner.axis.value.data == axis and only_use(value):
            build.absorb(inner)
            flat.extend(inner.inputs)
        else:
            flat.append(value)
    shortest = min(prod(nn.shape_of(value)[axis:]) for value in flat)
    if len(flat) > (MOST_PIECES if shortest < SHORT_PIECE else MOST_OPERANDS):
        return None  # joined in steps: no kernel takes so many pieces
    return build(nn.ConcatOp(flat, axis)) if len(flat) > len(op.inputs) else None


def joined_slices(op: Operation, build: Builder) -> SSAValue | None:
    """Consecutive pieces of one tensor side by side are one piece (split, then concat with what was computed
    from a part)."""
    if not isinstance(op, nn.ConcatOp):
        return None
    axis = op.axis.value.data
    merged: list[SSAValue] = []
    for value in op.inputs:
        joined = _join(merged[-1], value, axis, build) if merged else None
        if joined is None:
            merged.append(value)
        else:
            merged[-1] = joined
    return build(nn.ConcatOp(merged, axis)) if len(merged) < len(op.inputs) else None


def _join(left: SSAValue, right: SSAValue, axis: int, build: Builder) -> SSAValue | None:
    a, b = left.owner, right.owner
    if not isinstance(a, nn.SliceOp) or not isinstance(b, nn.SliceOp) or a.input is not b.input:
        return None
    if any(s != 1 for s in (*nn.ints(a.steps), *nn.ints(b.steps))):
        return None
    starts, sizes, next_starts = nn.ints(a.starts), nn.ints(a.sizes), nn.ints(b.starts)
    if next_starts != tuple(s + (sizes[i] if i == axis else 0) for i, s in enumerate(starts)):
        return None
    total = [n + (nn.ints(b.sizes)[i] if i == axis else 0) for i, n in enumerate(sizes)]
    return build(nn.SliceOp(a.input, starts, total))


def expand(op: Operation, build: Builder) -> SSAValue | None:
    """Expand to the same shape, and before elementwise ops that broadcast anyway."""
    if isinstance(op, nn.ExpandOp) and nn.shape_of(op.input) == nn.shape_of(op.output):
        return op.input
    if isinstance(op, nn.TileOp) and nn.shape_of(op.input) == nn.shape_of(op.output):
        return op.input
    if not isinstance(op, nn.BinaryOp | nn.WhereOp):
        return None
    operands = list(op.operands)
    for i, value in enumerate(operands):
        inner = value.owner
        if not isinstance(inner, nn.ExpandOp):
            continue
        shapes = [nn.shape_of(v) for v in operands]
        shapes[i] = nn.shape_of(inner.input)
        if broadcast(*shapes) == nn.shape_of(op.results[0]):
            operands[i] = inner.input
    if operands == list(op.operands):
        return None
    if isinstance(op, nn.PreluOp) and nn.shape_of(operands[0]) != nn.shape_of(op.output):
        return None
    return build(rebuild(op, operands))


def rebuild(op: Operation, operands: Sequence[SSAValue]) -> Operation:
    """The same op on other operands; types must agree."""
    return type(op).create(
        operands=list(operands),
        properties=dict(op.properties),
        attributes=dict(op.attributes),
        result_types=[r.type for r in op.results],
    )


def casts(op: Operation, build: Builder) -> SSAValue | None:
    """Cast to the same type; cast of a cast that lost nothing."""
    if not isinstance(op, nn.CastOp):
        return None
    target = nn.dtype_of(op.output)
    if nn.dtype_of(op.input) == target:
        return op.input
    inner = op.input.owner
    if not isinstance(inner, nn.CastOp) or not _widens(nn.dtype_of(inner.input), nn.dtype_of(inner.output)):
        return None
    build.absorb(inner)
    return build(nn.CastOp(inner.input, target))


_EXACT = {
    "f16": {"f32", "f64"},
    "bf16": {"f32", "f64"},
    "f32": {"f64"},
    "i8": {"i16", "i32", "i64", "f16", "f32", "f64"},
    "u8": {"i16", "i32", "i64", "f16", "f32", "f64"},
    "i32": {"i64", "f64"},
    "bool": set(dtypes.DTYPES) - {"f8e8m0"},  # has no zero
}


def _widens(source: str, target: str) -> bool:
    return target in _EXACT.get(source, set())


def has_rows_of_padding(op: nn.ConvOp, height: int, pads: Sequence[int]) -> bool:
    """Whether a row of the result reads padding only: the cube loads real rows or none."""
    extent = nn.ints(op.dilations)[0] * (nn.shape_of(op.weight)[2] - 1) + 1
    last = (nn.shape_of(op.output)[2] - 1) * nn.ints(op.strides)[0] - pads[0]
    return pads[0] >= extent or last >= height


def pad_into_window(op: Operation, build: Builder) -> SSAValue | None:
    """Zero pads of H and W become the pads of a convolution or of an average pool that counts them."""
    if not isinstance(op, nn.ConvOp | nn.AvgPoolOp | nn.MaxPoolOp):
        return None
    pad = op.input.owner
    if not isinstance(pad, nn.PadOp) or pad.mode.data != "constant" or not only_use(op.input):
        return None
    value = pad.value.value.data if pad.value is not None else 0.0
    pads = nn.ints(pad.pads)
    top, left, bottom, right = pads[2], pads[3], pads[6], pads[7]
    if min(pads) < 0 or pads[0] or pads[1] or pads[4] or pads[5]:
        return None
    own = nn.ints(op.pads)
    if isinstance(op, nn.MaxPoolOp) and value != -inf:
        return None
    if isinstance(op, nn.ConvOp | nn.AvgPoolOp) and value != 0.0:
        return None
    if isinstance(op, nn.AvgPoolOp) and not (op.count_include_pad or not any(own)):
        return None
    build.absorb(pad)
    values = dict(op.values)
    values["pads"] = (own[0] + top, own[1] + left, own[2] + bottom, own[3] + right)
    if isinstance(op, nn.ConvOp) and has_rows_of_padding(op, nn.shape_of(pad.input)[2], values["pads"]):
        return None
    if isinstance(op, nn.AvgPoolOp):
        values["count_include_pad"] = True
    new = rebuild(op, [pad.input, *op.operands[1:]])
    new.properties.update({k: nn.to_attribute(v) for k, v in values.items()})
    return build(new)


def empty_pad(op: Operation, build: Builder) -> SSAValue | None:
    """A pad of nothing; a pad that only crops is a slice."""
    if not isinstance(op, nn.PadOp):
        return None
    pads = nn.ints(op.pads)
    if not any(pads):
        return op.input
    if max(pads) > 0 or -1 in nn.shape_of(op.output):
        return None
    rank = len(pads) // 2
    return build(nn.SliceOp(op.input, [-p for p in pads[:rank]], nn.shape_of(op.output)))


def gather_one(op: Operation, build: Builder) -> SSAValue | None:
    """Gather of one known entry, or of consecutive ones, is a slice."""
    if not isinstance(op, nn.GatherOp):
        return None
    blob = constant_of(op.indices)
    values = None if blob is None else small_value(blob)
    if values is None or values.size == 0:
        return None
    axis, shape = op.axis.value.data, list(nn.shape_of(op.input))
    extent = shape[axis]
    index = [int(i) + (extent if i < 0 else 0) for i in values.reshape(-1).tolist()]
    step = index[1] - index[0] if len(index) > 1 else 1
    if step == 0 or any(b - a != step for a, b in pairwise(index)):
        return None
    starts = [index[0] if i == axis else 0 for i in range(len(shape))]
    steps = [step if i == axis else 1 for i in range(len(shape))]
    shape[axis] = len(index)
    piece = build(nn.SliceOp(op.input, starts, shape, steps))
    return build(nn.ReshapeOp(piece, nn.shape_of(op.output)))


def reshape_before_transpose(op: Operation, build: Builder) -> SSAValue | None:
    """Pixel shuffle written out (reshape, transpose, reshape) is a depth_to_space: one move instead of one
    per op."""
    if not isinstance(op, nn.ReshapeOp):
        return None
    middle = op.input.owner
    if not isinstance(middle, nn.TransposeOp) or not only_use(op.input):
        return None
    first = middle.input.owner
    if not isinstance(first, nn.ReshapeOp) or not only_use(middle.input):
        return None
    six, source, result = nn.shape_of(middle.input), nn.shape_of(first.input), nn.shape_of(op.output)
    if len(six) != 6 or len(source) != 4 or len(result) != 4 or -1 in (*six, *source):
        return None
    n, c, h, w = source
    perm = nn.ints(middle.perm)
    if perm == (0, 1, 4, 2, 5, 3) and six[2] == six[3] and six[4:] == (h, w):
        mode, block, depth = "CRD", six[2], six[1]
    elif perm == (0, 3, 4, 1, 5, 2) and six[1] == six[2] and six[4:] == (h, w):
        mode, block, depth = "DCR", six[1], six[3]
    else:
        return None
    if (
        six[0] != n
        or result != (n, depth, h * block, w * block)
        or prod(six) != prod(source)
        or c != depth * block**2
    ):
        return None
    build.absorb(first, middle)
    return build(nn.DepthToSpaceOp(first.input, block, mode))


RULES: list[Rule] = [
    reshape_before_transpose,
    reshape,
    transpose,
    slices,
    joined_slices,
    concat,
    expand,
    casts,
    pad_into_window,
    empty_pad,
    gather_one,
]
