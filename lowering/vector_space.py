"""The iteration space of a fused vector group and how each operand covers it.

All full-shape operands of a group share one layout (docs/layouts.md), so the physical dimensions of
that layout are the loops: row-major for ND; N, C1, H, W and the C0 lanes for NC1HWC0; batch, N1, M and lanes
for FRACTAL_NZ.  Neighbouring dimensions along which every operand behaves alike (varies or is broadcast,
reduced or not) are one loop.  The innermost loop is the *column* dimension, contiguous in memory; the one
around it is the *row* dimension; the others are *outer*.  A value that varies along columns and rows is a
full tile, along rows only one value (ND) or one 16-lane block (blocked layouts) per row, along columns only
one row for all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import cast as narrow

from xdsl.ir import BlockArgument, Operation, SSAValue

from ..dialects import ascend, dtypes, nn
from ..dialects.layouts import Format, Layout
from ..runtime.errors import AscendError
from ..runtime.soc import Soc
from .vector_expand import chip_type, expand
from .vector_program import Mask, Node, Program, preserves_zero


@dataclass(frozen=True)
class Operand:
    """A kernel argument: element type in GM and on the chip, and its mask over the collapsed dims."""

    argument: int
    gm_type: str
    mask: Mask = ()


@dataclass(frozen=True)
class Window:
    """A pooling: windows of one operand's planes. Sizes are (height, width); counts say how many positions of
    a window enter a mean, per output row and column (empty for a maximum)."""

    operand: int
    kind: str  # "max" or "mean"
    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    before: tuple[int, int]  # pads above and left
    counts: tuple[tuple[int, ...], tuple[int, ...]]
    outputs: int  # output rows
    term_planes: int = 0  # planes of one term when the operand is in terms (`nn_terms`), else 0


@dataclass
class Space:
    """`dims` collapsed extents, outermost first, in units of `lanes` (ND: elements); `results` node per
    result."""

    dims: list[int]
    lanes: int  # 16 for blocked layouts, 0 for ND
    reduced: bool  # the column dimension is reduced
    program: Program
    nodes: list[Node]
    operands: list[Operand]
    results: list[tuple[int, Operand]]
    lane_tail: int = 0  # valid lanes of the last C1 block when the group must write zeros there, else 0
    row_tail: int = 0  # FRACTAL_NZ: valid positions of the column dim when padding rows must be zeroed
    lane_dim: int = -1  # collapsed dim that counts C1 (or N1) blocks
    window: Window | None = None

    @property
    def columns(self) -> int:
        """Elements of the column dimension, lanes included."""
        return self.dims[-1] * max(1, self.lanes)

    @property
    def rows(self) -> int:
        return self.dims[-2] if len(self.dims) > 1 else 1

    def strides(self, mask: Mask) -> list[int]:
        """Element stride of each collapsed dim in an operand with this mask; 0 where it is broadcast."""
        out = [0] * len(self.dims)
        step = max(1, self.lanes)
        for i in reversed(range(len(self.dims))):
            if mask[i]:
                out[i] = step
                step *= self.dims[i]
        return out

    def varies(self, mask: Mask) -> tuple[bool, bool, bool]:
        """(along outer dims, along rows, along columns)."""
        rows = len(self.dims) > 1 and mask[-2]
        return any(mask[:-2]), rows, mask[-1]


def _aligned(shape: Sequence[int], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + tuple(shape)


def _physical(layout: Layout, shape: Sequence[int]) -> list[tuple[int, int]]:
    """(logical dim, extent) of the physical dims without the lanes; NZ rows are one dim with their
    padding."""
    if layout.format is Format.ND:
        return [(i, s) for i, s in enumerate(shape)]
    digits = layout.digits(shape)[:-1]
    if layout.format is Format.NC1HWC0:
        return [(d.dim, d.extent) for d in digits]
    if layout.format is Format.FRACTAL_NZ:
        *outer, m1, m0 = digits
        return [*((d.dim, d.extent) for d in outer), (m0.dim, m1.extent * m0.extent)]
    raise AscendError("E40021", f"vector groups do not take layout {layout}")


def _reduced_axes(group: ascend.GroupOp) -> set[int]:
    found: set[tuple[int, ...]] = set()
    for op in group.body.block.ops:
        if isinstance(op, nn.ReduceOp):
            found.add(tuple(nn.ints(op.axes)))
        elif isinstance(op, nn.SoftmaxOp | nn.LogSoftmaxOp):
            found.add((op.axis.value.data,))
        elif isinstance(op, nn.LayerNormOp):
            found.add(tuple(range(op.axis.value.data, len(nn.shape_of(op.input)))))
        elif isinstance(op, nn.InstanceNormOp):
            found.add(tuple(range(2, len(nn.shape_of(op.input)))))
    if len(found) > 1:
        raise AscendError("E40022", f"one vector group reduces over one set of axes, got {sorted(found)}")
    return set(found.pop()) if found else set()


def _per_channel(group: ascend.GroupOp) -> set[SSAValue]:
    """Outer values of rank-1 operands that belong to dim 1 (numpy would align them with the last one)."""
    outer = dict(zip(group.body.block.args, group.inputs, strict=True))
    found: set[SSAValue] = set()
    for op in group.body.block.ops:
        if isinstance(op, nn.InstanceNormOp | nn.BatchNormOp):
            for v in op.operands[1:]:
                if isinstance(v, BlockArgument):
                    found.add(outer[v])
    return found


def _is_pool(op: Operation, layout: Layout) -> bool:
    """Pools, and reductions over the height alone, which are windows of one column."""
    if isinstance(op, nn.ReduceOp) and layout.format is Format.NC1HWC0:
        kinds = op.kind.data in ("mean", "max", "sum") and op.keepdims is not None
        return kinds and nn.ints(op.axes) == (2,) and isinstance(op.input, BlockArgument)
    return isinstance(op, nn.MaxPoolOp | nn.AvgPoolOp)


class _Analysis:
    """Builds the program on the physical dims, then collapses them."""

    def __init__(self, group: ascend.GroupOp, soc: Soc) -> None:
        self.group, self.soc = group, soc
        self.layout = self._group_layout()
        self.pool = next((op for op in group.body.block.ops if _is_pool(op, self.layout)), None)
        pooled = self.pool.operands[0] if self.pool is not None else None
        self.pooled = (
            -1
            if pooled is None
            else next((i for i, a in enumerate(group.body.block.args) if a is pooled), -1)
        )
        if self.pool is not None and self.pooled < 0:
            raise AscendError("E40021", "a pooling group pools one of its operands")
        operands = [v for i, v in enumerate(group.inputs) if i != self.pooled]
        self.per_channel = _per_channel(group)
        self.blocked = self.layout.format is not Format.ND
        shapes = [ascend.shape_of(v) for v in (*operands, *group.outputs)]
        shapes += [nn.shape_of(v) for op in group.body.block.ops for v in op.results]
        self.rank = max(len(s) for s in shapes)
        whole = [_aligned(s, self.rank) for s in shapes if len(s) == self.rank]
        if not self.blocked:
            inputs = [ascend.shape_of(v) for v in operands]
            whole = [_aligned(s, self.rank) for s in inputs] + whole
        self.shape = tuple(max(s[i] for s in whole) for i in range(self.rank))
        self.physical = _physical(self.layout, self.shape)
        self.axes = set[int]() if isinstance(self.pool, nn.ReduceOp) else _reduced_axes(group)
        self.reduced = [d in self.axes for d, _ in self.physical]

    def _group_layout(self) -> Layout:
        values: list[SSAValue] = [*self.group.outputs, *self.group.inputs]
        layouts = [ascend.layout_of(v) for v in values if len(ascend.shape_of(v)) > 1]
        blocked = [item for item in layouts if item.format is not Format.ND]
        for wanted in (Format.FRACTAL_NZ, Format.NC1HWC0):
            for item in blocked:
                if item.format is wanted:
                    return item
        return layouts[0] if layouts else ascend.layout_of(values[0])

    def mask_of(self, value: SSAValue) -> Mask:
        shape = ascend.shape_of(value)
        if self.blocked and len(shape) == 1 and ascend.layout_of(value).format is not Format.ND:
            channel = self.rank - 1 if self.layout.format is Format.FRACTAL_NZ else 1
            return tuple(d == channel and e > 1 for d, e in self.physical)
        if len(shape) == 1 and value in self.per_channel:
            return tuple(d == 1 and e > 1 for d, e in self.physical)
        full = _aligned(shape, self.rank)
        return tuple(full[d] > 1 and e > 1 for d, e in self.physical)

    def program(self) -> tuple[Program, list[int]]:
        """The expanded body and the node of each result."""
        program = Program(self.soc, [e for _, e in self.physical], self.reduced)
        block = self.group.body.block
        nodes: dict[SSAValue, int] = {}
        for i, (argument, value) in enumerate(zip(block.args, self.group.inputs, strict=True)):
            if i == self.pooled:
                continue
            nodes[argument] = program.load(i, chip_type(ascend.dtype_of(value)), self.mask_of(value))
        for number, op in enumerate(block.ops):
            program.body_op = number
            if isinstance(op, nn.YieldOp):
                return program, [nodes[v] for v in op.operands]
            if op is self.pool:
                full = tuple(e > 1 for _, e in self.physical)
                nodes[op.results[0]] = program.window(self.pooled, full)
                continue
            if isinstance(op, nn.ConstantOp):
                nodes[op.output] = program.splat(_constant(op), chip_type(nn.dtype_of(op.output)))
                continue
            nodes[op.results[0]] = expand(program, narrow(nn.NNOp, op), [nodes[v] for v in op.operands])
        raise AscendError("E40021", "a vector group has no nn.yield")


def _constant(op: nn.ConstantOp) -> float:
    if not op.blob.values:
        raise AscendError("E40021", f"a vector group holds a constant of unknown value {op.blob.text}")
    return float(op.blob.values[0])


def analyse(group: ascend.GroupOp, soc: Soc) -> Space:
    """Iteration space and program of a group."""
    found = _Analysis(group, soc)
    program, results = found.program()
    lane_tail, row_tail = _padding(found)
    if lane_tail and preserves_zero(program, results):
        lane_tail = 0
    if row_tail and preserves_zero(program, results, len(found.physical) - 1):
        row_tail = 0
    lane_physical = _channel_dim(found) if lane_tail else -1
    results = _zero_padding(found, program, results, lane_tail, row_tail)
    keep, dims = _collapse(found, program)
    mask = _collapser(keep)
    operands = [
        Operand(i, ascend.dtype_of(v), () if i == found.pooled else mask(found.mask_of(v)))
        for i, v in enumerate(group.inputs)
    ]
    nodes = [Node(n.op, n.dtype, n.args, n.imm, mask(n.mask), n.optype, n.body_op) for n in program.nodes]
    outputs = [
        (node, Operand(len(operands) + i, ascend.dtype_of(v), nodes[node].mask))
        for i, (node, v) in enumerate(zip(results, group.outputs, strict=True))
    ]
    reduced = [any(found.reduced[p] for p in group_) for group_ in keep]
    if any(reduced[:-1]):
        raise AscendError(
            "E40022",
            f"reduction over {sorted(found.axes)} of {list(found.shape)} in {found.layout}",
            expected="reduced axes that are the innermost dimensions of the layout",
        )
    lane_dim = next((i for i, g in enumerate(keep) if lane_physical in g), -1)
    return Space(
        dims,
        found.layout.c0 if found.blocked else 0,
        reduced[-1],
        program,
        nodes,
        operands,
        outputs,
        lane_tail,
        row_tail,
        lane_dim,
        _window(found),
    )


def _window(found: _Analysis) -> Window | None:
    pool = found.pool
    if pool is None:
        return None
    shape, out = nn.shape_of(pool.operands[0]), nn.shape_of(pool.results[0])
    if isinstance(pool, nn.ReduceOp):
        height, ones = shape[2], (1,) * shape[3]
        scale = {"mean": (height,), "sum": (1,)}.get(pool.kind.data)
        tables = (scale, ones) if scale else ((), ())
        kind, one = "mean" if scale else "max", (1, 1)
        return Window(found.pooled, kind, (height, shape[3]), (height, 1), one, one, (0, 0), tables, 1)
    assert isinstance(pool, nn.MaxPoolOp | nn.AvgPoolOp)
    kernel, strides, pads, dilations = (
        nn.ints(a) for a in (pool.kernel, pool.strides, pool.pads, pool.dilations)
    )
    counts: list[tuple[int, ...]] = []
    if isinstance(pool, nn.AvgPoolOp):
        wide = pool.count_include_pad is not None
        for d in (0, 1):
            low, high = (-pads[d], shape[2 + d] + pads[2 + d]) if wide else (0, shape[2 + d])
            starts = [o * strides[d] - pads[d] for o in range(out[2 + d])]
            counts.append(
                tuple(sum(low <= s + t * dilations[d] < high for t in range(kernel[d])) for s in starts)
            )
    pair = (counts[0], counts[1]) if counts else ((), ())
    kind = "mean" if counts else "max"
    in_terms = isinstance(pool, nn.MaxPoolOp) and pool.terms is not None
    if in_terms and shape[1] % (nn.TERMS * found.layout.c0):
        raise AscendError("E40021", f"terms of {shape[1]} channels that are no whole blocks")
    return Window(
        found.pooled,
        kind,
        (shape[2], shape[3]),
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (pads[0], pads[1]),
        pair,
        out[2],
        shape[1] // (nn.TERMS * found.layout.c0) if in_terms else 0,
    )


def _padding(found: _Analysis) -> tuple[int, int]:
    """(valid lanes of the last block, valid rows of a matrix); 0 where there is no padding."""
    if not found.blocked:
        return 0, 0
    c0 = found.layout.c0
    if found.layout.format is Format.NC1HWC0:
        return found.shape[1] % c0, 0
    rows = found.shape[-2] if found.rank > 1 else 1
    return found.shape[-1] % c0, rows if rows % 16 else 0


def _channel_dim(found: _Analysis) -> int:
    channel = 1 if found.layout.format is Format.NC1HWC0 else found.rank - 1
    return next(i for i, (d, _) in enumerate(found.physical) if d == channel)


def _zero_padding(found: _Analysis, program: Program, results: list[int], lanes: int, rows: int) -> list[int]:
    """ANDs the results with masks of valid lanes and rows: 0xffff or 0, whatever the lane holds (decision
    D9)."""
    if not lanes and not rows:
        return results
    channel = _channel_dim(found)
    out: list[int] = []
    for result in results:
        node = result
        if lanes:
            varies = tuple(i == channel and e > 1 for i, (_, e) in enumerate(found.physical))
            node = program.binary(
                "vand", node, program.lanes("lanes", varies, node), fold=False, optype="u16"
            )
        if rows:
            last = len(found.physical) - 1
            varies = tuple(i == last for i in range(len(found.physical)))
            node = program.binary("vand", node, program.lanes("rows", varies, node), fold=False, optype="u16")
        out.append(node)
    return out


def _collapse(found: _Analysis, program: Program) -> tuple[list[list[int]], list[int]]:
    """Groups of physical dims that are one loop, and their extents."""
    loads = [n.mask for n in program.nodes if n.op in ("load", "lanes", "window")]
    if found.pool is not None:
        if found.layout.format is not Format.NC1HWC0:
            raise AscendError("E40021", f"pooling in layout {found.layout}", expected="NC1HWC0")
        merged = len({m[:2] for m in loads if any(m[:2])}) <= 1
        lead = [[0, 1]] if merged else [[0], [1]]
        keep = [*lead, [2], [3]]
        return keep, [prod(found.physical[p][1] for p in group) for group in keep]
    keep: list[list[int]] = []
    signature: tuple[object, ...] | None = None
    for i, (_, extent) in enumerate(found.physical):
        if extent == 1:
            continue
        mine = (found.reduced[i], *(m[i] for m in loads))
        if keep and mine == signature:
            keep[-1].append(i)
        else:
            keep.append([i])
            signature = mine
    if not keep:
        keep = [[len(found.physical) - 1]] if found.physical else [[]]
    return keep, [prod(found.physical[p][1] for p in group) for group in keep]


class _collapser:
    def __init__(self, keep: list[list[int]]) -> None:
        self.keep = keep

    def __call__(self, mask: Mask) -> Mask:
        return tuple(any(mask[p] for p in group) for group in self.keep)


def element_bytes(gm_type: str) -> int:
    return dtypes.size_of(gm_type)
