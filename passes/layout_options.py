"""In which layouts each op of the ascend level may run: the rules that layout assignment chooses from.

This file is the other half of `docs/layouts.md`: what is listed here is what the generators accept.
An `Option` gives a layout for every operand and result of one op, says whether it is a kernel or only a view
of bytes, and what it costs in modelled cycles. TransData between options is not counted here but by the
solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from xdsl.ir import Attribute, Operation, SSAValue

from ..dialects import ascend, nn
from ..dialects.layouts import ND, Format, Layout, Shape
from .rewriting import constant_of, users

C0 = 16
"""Lanes of an f16 block; f32 vectors for the cube's bias use it too (decision D12)."""
NC1HWC0 = Layout(Format.NC1HWC0, C0)
NZ = Layout(Format.FRACTAL_NZ, C0)
NHWC = Layout(Format.NHWC)
"""Only between a blocked tensor and a transposition: [N, C, H, W] stored as NHWC is [N, H, W, C]
row-major."""

LAUNCH_CYCLES = 1000
"""What a further task costs at least: launch and the drain of the pipes around it."""
TRANSFER_BYTES = 64
"""Bytes per cycle of a kernel that streams; kernels that rearrange lanes reach half of it."""


class How(StrEnum):
    """What becomes of the op."""

    KERNEL = "kernel"
    VIEW = "view"


@dataclass(frozen=True)
class Option:
    """One way to run an op; `operands` holds the layouts of constants too."""

    operands: tuple[Layout, ...]
    result: Layout
    cost: float
    how: How = How.KERNEL


def trans_data_cost(value: SSAValue, layout: Layout) -> float:
    """Cycles to write a tensor once more in another layout."""
    dtype, shape = ascend.dtype_of(value), ascend.shape_of(value)
    moved = layout.byte_size(shape, dtype) + ND.byte_size(shape, dtype)
    return LAUNCH_CYCLES + 2 * moved / TRANSFER_BYTES


def options(op: Operation, *, border_casts: bool = False) -> list[Option]:
    """All ways to run an op of the main function, never empty."""
    if border_casts and isinstance(op, ascend.GroupOp) and is_border_cast(op):
        return [*_group_options(op), *_cast_and_move(op)]
    if isinstance(op, ascend.GroupOp):
        return _group_options(op)
    handler = _ALIASES.get(type(op))
    if handler is None:
        raise ValueError(f"expected a group, reshape, slice or concat, got {op.name}")
    return list(handler(op))


# ------------------------------------------------------------------------------------------------- views


def _candidates(value: SSAValue) -> list[Layout]:
    """Layouts a value may have between kernels."""
    shape = ascend.shape_of(value)
    out = [ND]
    if ascend.dtype_of(value) != "f16" or -1 in shape:
        return out
    if len(shape) == 4:
        out.append(NC1HWC0)
    if len(shape) >= 2:
        out.append(NZ)
    return out


def _typed(value: SSAValue, layout: Layout) -> Attribute:
    return ascend.with_layout(value.type, layout)


def _reshape(op: Operation) -> Iterator[Option]:
    source, result = op.operands[0], op.results[0]
    for a in _candidates(source):
        for b in _candidates(result):
            if (a, b) == (ND, ND) or ascend.can_view(_typed(source, a), _typed(result, b)):
                yield Option((a,), b, 0.0, How.VIEW)


def _bytes(values: Sequence[SSAValue], layout: Layout) -> int:
    return sum(layout.byte_size(ascend.shape_of(v), ascend.dtype_of(v)) for v in values)


def _move_cost(values: Sequence[SSAValue], layout: Layout) -> float:
    return LAUNCH_CYCLES + 2 * _bytes(values, layout) / TRANSFER_BYTES


def _slice(op: Operation) -> Iterator[Option]:
    assert isinstance(op, nn.SliceOp)
    starts, steps, sizes = nn.ints(op.starts), nn.ints(op.steps), ascend.shape_of(op.output)
    dense = all(s == 1 or n == 1 for s, n in zip(steps, sizes, strict=True))
    for layout in _candidates(op.input):
        whole, piece = _typed(op.input, layout), _typed(op.output, layout)
        if dense and ascend.piece_offset(whole, starts, piece) is not None:
            yield Option((layout,), layout, 0.0, How.VIEW)
        elif layout == ND or (layout == NC1HWC0 and _keeps_blocks(op)):
            yield Option((layout,), layout, _move_cost([op.output, op.output], layout))


def _keeps_blocks(op: nn.SliceOp) -> bool:
    """Channels are cut at whole blocks of C0 or not at all."""
    starts, sizes, steps = nn.ints(op.starts), nn.ints(op.sizes), nn.ints(op.steps)
    channels = ascend.shape_of(op.input)[1]
    if min(steps) < 1:
        return False
    if sizes[1] == channels:
        return True
    ends_whole = sizes[1] % C0 == 0 or starts[1] + sizes[1] == channels
    return steps[1] == 1 and starts[1] % C0 == 0 and ends_whole


def _concat(op: Operation) -> Iterator[Option]:
    assert isinstance(op, nn.ConcatOp)
    axis, pieces = op.axis.value.data, list(op.inputs)
    placeable = _placeable(op)
    for layout in _candidates(op.output):
        own = tuple(layout for _ in pieces)
        if placeable and _side_by_side(op, layout):
            yield Option(own, layout, 0.0, How.VIEW)
        aligned = axis != 1 or all(ascend.shape_of(p)[1] % C0 == 0 for p in pieces[:-1])
        if layout == ND or (layout == NC1HWC0 and aligned):
            yield Option(own, layout, _move_cost([*pieces, op.output], layout))


def _side_by_side(op: nn.ConcatOp, layout: Layout) -> bool:
    """In this layout the operands are whole consecutive pieces of the result, with no row that a store could
    run over."""
    axis, position, rank = op.axis.value.data, 0, len(ascend.shape_of(op.output))
    for piece in op.inputs:
        starts = [position if i == axis else 0 for i in range(rank)]
        typ = _typed(piece, layout)
        if ascend.piece_offset(_typed(op.output, layout), starts, typ) is None:
            return False
        if not ascend.rows_end_in_blocks(typ):
            return False
        position += ascend.shape_of(piece)[axis]
    return True


def _placeable(op: nn.ConcatOp) -> bool:
    """Each operand is made by a group, once, and has no other home: no other concat, not a model output."""
    if len(set(op.inputs)) != len(op.inputs):
        return False
    for value in op.inputs:
        if not isinstance(value.owner, ascend.GroupOp):
            return False
        others = [u for u in users(value) if u is not op]
        if any(isinstance(u, nn.ConcatOp) or u.name == "func.return" for u in others):
            return False
    return all(u.name != "nn.concat" for u in users(op.output))


_ALIASES: dict[type[Operation], Callable[[Operation], Iterator[Option]]] = {
    nn.ReshapeOp: _reshape,
    nn.SliceOp: _slice,
    nn.ConcatOp: _concat,
}

# ------------------------------------------------------------------------------------------------- groups


def _group_options(op: ascend.GroupOp) -> list[Option]:
    found = list(_BY_ENGINE.get(op.engine_name, _dense)(op))
    if not found:
        raise ValueError(f"no layout for group {op.label.data} on engine {op.engine.data}")
    return found


def _dense(op: ascend.GroupOp) -> Iterator[Option]:
    """Row-major throughout."""
    cost = LAUNCH_CYCLES + _bytes([*op.inputs, *op.outputs], ND) / TRANSFER_BYTES
    yield Option(tuple(ND for _ in op.inputs), ND, cost)


def root_of(op: ascend.GroupOp) -> Operation:
    """The convolution or matmul of a cube group, the first op of others."""
    ops = [inner for inner in op.body.block.ops if isinstance(inner, nn.NNOp)]
    return next((o for o in ops if isinstance(o, nn.ConvOp | nn.MatMulOp)), ops[0])


def _cube(op: ascend.GroupOp) -> Iterator[Option]:
    root = root_of(op)
    layout = NC1HWC0 if isinstance(root, nn.ConvOp) else NZ
    result = ascend.shape_of(op.outputs[0])
    operands = [layout for _ in op.inputs]
    cast = root.operands[0].owner
    for i, (value, arg) in enumerate(zip(op.inputs, op.body.block.args, strict=True)):
        if isinstance(cast, nn.CastOp) and arg is cast.input:
            operands[i] = ND  # a picture in f32, converted while it is loaded
        elif isinstance(root, nn.ConvOp) and arg is root.weight:
            operands[i] = Layout(Format.FRACTAL_Z, C0, root.group.value.data)
        elif isinstance(root, nn.MatMulOp) and arg is root.rhs and _packs_as_weight(value, root):
            operands[i] = Layout(Format.FRACTAL_Z, C0)
        elif arg in root.operands[:2]:
            continue
        elif arg in root.operands[2:] or ascend.shape_of(value) != result:
            operands[i] = NC1HWC0  # a vector over the channels, padded to whole blocks
    yield Option(tuple(operands), layout, 0.0)


def _matrices(op: ascend.GroupOp) -> Iterator[Option]:
    yield Option(tuple(NZ for _ in op.inputs), NZ, 0.0)


def _packs_as_weight(value: SSAValue, root: nn.MatMulOp) -> bool:
    return constant_of(value) is not None and len(ascend.shape_of(value)) == 2 and root.trans_b is None


def _vector(op: ascend.GroupOp) -> Iterator[Option]:
    ops = [inner for inner in op.body.block.ops if isinstance(inner, nn.NNOp)]
    windows = any(isinstance(o, nn.MaxPoolOp | nn.AvgPoolOp) for o in ops)
    if not windows:
        yield from _dense(op)
    space = _iteration_space(op)
    if all(_blocked_type(v, space) for v in (*op.inputs, *op.outputs)):
        if len(space) == 4 and _fits_channels(op, space, ops):
            yield _uniform(op, NC1HWC0, space)
        if len(space) >= 2 and not windows and _fits_columns(op, space, ops):
            yield _uniform(op, NZ, space)
    elif windows:
        raise ValueError(f"pools compute in f16, got {op.label.data}")


def is_border_cast(op: ascend.GroupOp) -> bool:
    """A conversion between f32 and f16 and nothing else."""
    ops = [inner for inner in op.body.block.ops if isinstance(inner, nn.NNOp)]
    if len(ops) != 1 or not isinstance(ops[0], nn.CastOp):
        return False
    return {ascend.dtype_of(op.inputs[0]), ascend.dtype_of(op.outputs[0])} == {"f16", "f32"}


def _cast_and_move(op: ascend.GroupOp) -> Iterator[Option]:
    """Dense f32 on one side, blocked f16 on the other."""
    inward = ascend.dtype_of(op.outputs[0]) == "f16"
    half, full = (op.outputs[0], op.inputs[0]) if inward else (op.inputs[0], op.outputs[0])
    if NC1HWC0 in _candidates(half):
        cost = LAUNCH_CYCLES + 2 * (_bytes([half], NC1HWC0) + _bytes([full], ND)) / TRANSFER_BYTES
        yield Option((ND,), NC1HWC0, cost) if inward else Option((NC1HWC0,), ND, cost)


def _blocked_type(value: SSAValue, space: Shape) -> bool:
    """f16 tensors; f32 only as a small operand (a scale that stayed f32), also with 16 lanes."""
    dtype = ascend.dtype_of(value)
    return dtype == "f16" or (
        dtype == "f32" and ascend.shape_of(value) != space and constant_of(value) is not None
    )


def _uniform(op: ascend.GroupOp, layout: Layout, space: Shape) -> Option:
    """One layout for all tensors; in FRACTAL_NZ vectors over the columns are padded vectors."""
    operands = tuple(NC1HWC0 if layout == NZ and ascend.shape_of(v) != space else layout for v in op.inputs)
    cost = LAUNCH_CYCLES + _bytes([*op.inputs, *op.outputs], layout) / TRANSFER_BYTES
    return Option(operands, layout, cost)


def _iteration_space(op: ascend.GroupOp) -> Shape:
    shapes = [ascend.shape_of(v) for v in (*op.inputs, *op.outputs)]
    rank = max(len(s) for s in shapes)
    return tuple(max(s[i] for s in shapes if len(s) == rank) for i in range(rank))


def _fits_channels(op: ascend.GroupOp, space: Shape, ops: Sequence[Operation]) -> bool:
    """Every tensor has all channels (a lane cannot be broadcast); reductions run over H and W only."""
    if any(isinstance(o, nn.ReduceOp) and not _over_positions(o) for o in ops):
        return False
    tensors = [ascend.shape_of(v) for v in (*op.inputs, *op.outputs)]
    full = space[1] > 1 or any(isinstance(o, nn.MaxPoolOp | nn.AvgPoolOp) for o in ops)
    return full and all(len(s) == 4 and s[1] == space[1] for s in tensors)


def _over_positions(op: nn.ReduceOp) -> bool:
    shape = nn.shape_of(op.input)
    return all(a >= 2 or shape[a] == 1 for a in nn.ints(op.axes))


def _fits_columns(op: ascend.GroupOp, space: Shape, ops: Sequence[Operation]) -> bool:
    """Elementwise on full tensors and constant vectors over the columns."""
    if any(isinstance(o, nn.ReduceOp) for o in ops) or ascend.shape_of(op.outputs[0]) != space:
        return False
    for value in op.inputs:
        shape = ascend.shape_of(value)
        is_row = shape[-1:] == space[-1:] and all(s == 1 for s in shape[:-1]) and len(shape) < 4
        if shape != space and not (is_row and constant_of(value) is not None):
            return False
    return True


def _move(op: ascend.GroupOp) -> Iterator[Option]:
    inner = root_of(op)
    if isinstance(inner, nn.ToTermsOp):
        yield from _cast_and_move(op)
        return
    cost = _move_cost([*op.inputs, *op.outputs], ND)
    yield Option(tuple(ND for _ in op.inputs), ND, cost)
    pair = TransposePair.of(op)
    if pair is not None:
        yield from pair.views()
        return
    if isinstance(inner, nn.TransposeOp):
        yield from _channels_last(op, inner)
    same = all(
        ascend.dtype_of(v) == "f16" and len(ascend.shape_of(v)) == 4 for v in (*op.inputs, *op.outputs)
    )
    if same and _keeps_lanes(inner):
        cost = _move_cost([*op.inputs, *op.outputs], NC1HWC0) - 0.5 * LAUNCH_CYCLES
        yield Option(tuple(NC1HWC0 for _ in op.inputs), NC1HWC0, cost)


@dataclass(frozen=True)
class TransposePair:
    """A transposition with the reshape before or after it: together they may be no movement at all.

    In FRACTAL_NZ the heads of attention are blocks of columns, and NC1HWC0 is the FRACTAL_NZ of positions by
    channels.
    """

    source: SSAValue
    result: SSAValue
    perm: tuple[int, ...]
    via: tuple[int, ...] | None

    @staticmethod
    def of(op: ascend.GroupOp) -> TransposePair | None:
        """From a group that holds both ops."""
        ops = [inner for inner in op.body.block.ops if isinstance(inner, nn.NNOp)]
        if len(ops) != 2:
            return None
        first, second = ops
        if isinstance(first, nn.ReshapeOp) and isinstance(second, nn.TransposeOp):
            return TransposePair(op.inputs[0], op.outputs[0], nn.ints(second.perm), nn.shape_of(first.output))
        if isinstance(first, nn.TransposeOp) and isinstance(second, nn.ReshapeOp):
            return TransposePair(op.inputs[0], op.outputs[0], nn.ints(first.perm), None)
        return None

    def views(self) -> Iterator[Option]:
        """Options without a kernel."""
        sources = _candidates(self.source)
        if len(ascend.shape_of(self.source)) == 4 and _only_blocked(self.source.owner):
            sources.append(NHWC)
        for a in sources:
            for b in _candidates(self.result):
                types = _typed(self.source, a), _typed(self.result, b)
                if ascend.can_view(*types, self.perm, self.via):
                    yield Option((a,), b, 0.0, How.VIEW)


def _channels_last(op: ascend.GroupOp, inner: nn.TransposeOp) -> Iterator[Option]:
    """NCHW to NHWC behind a blocked tensor: the TransData that ends the blocked format writes that order at
    once."""
    perm = nn.ints(inner.perm)
    if ascend.dtype_of(op.inputs[0]) != "f16":
        return
    if perm == (0, 2, 3, 1) and _only_blocked(op.inputs[0].owner):
        yield Option((NHWC,), ND, 0.0, How.VIEW)
    following = users(op.outputs[0])
    if perm == (0, 3, 1, 2) and following and all(_only_blocked(u) for u in following):
        yield Option((ND,), NHWC, 0.0, How.VIEW)


def _only_blocked(op: object) -> bool:
    """A kernel that never runs on row-major tensors."""
    if not isinstance(op, ascend.GroupOp):
        return False
    windows = any(isinstance(o, nn.MaxPoolOp | nn.AvgPoolOp) for o in op.body.block.ops)
    return op.engine_name is ascend.Engine.CUBE or windows


def _keeps_lanes(op: Operation) -> bool:
    """Whole 32-byte units move: no lane changes its place."""
    if isinstance(op, nn.PadOp):
        pads = nn.ints(op.pads)
        fills = op.value is not None and op.value.value.data != 0  # the lanes behind the last channel stay 0
        return not (pads[1] or pads[5]) and not (fills and nn.shape_of(op.input)[1] % C0)
    if isinstance(op, nn.ResizeOp):
        return op.mode.data == "nearest" and nn.shape_of(op.input)[1] == nn.shape_of(op.output)[1]
    if isinstance(op, nn.DepthToSpaceOp):
        return op.mode.data == "DCR" and nn.shape_of(op.output)[1] % C0 == 0
    if isinstance(op, nn.SpaceToDepthOp):
        return nn.shape_of(op.input)[1] % C0 == 0
    return False


_BY_ENGINE: dict[ascend.Engine, Callable[[ascend.GroupOp], Iterator[Option]]] = {
    ascend.Engine.CUBE: _cube,
    ascend.Engine.ATTENTION: _matrices,
    ascend.Engine.RECURRENCE: _matrices,
    ascend.Engine.VECTOR: _vector,
    ascend.Engine.MOVE: _move,
}
