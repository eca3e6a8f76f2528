"""Pass ascend-split-reductions."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from ..dialects import ascend, dtypes, nn
from ..dialects.blobs import Blob
from ..dialects.layouts import Layout
from ..dialects.nn_shapes import Shape
from ..runtime.soc import Soc
from .attach_target import target_of
from .nn_fuse_groups import label_of
from .provenance import location_of, node_names
from .reduction_pieces import Pieces, pays, pieces_of
from .rewriting import main_block

PARTIAL = {"sum": "sum", "mean": "mean", "max": "max", "min": "min", "sum_square": "sum_square", "l1": "l1"}
"""What the pieces are reduced by, for each kind of reduction …"""
JOIN = {"sum": "sum", "mean": "mean", "max": "max", "min": "min", "sum_square": "sum", "l1": "sum"}
"""… and what their results are joined by. Pieces are equal, so a mean of means is the mean."""


@dataclass(frozen=True)
class AscendSplitReductionsPass(ModulePass):
    """Reductions to fewer lines than the chip has cores: pieces on all cores first, then one launch that joins them
    (decisions D16 and 0009).

    before  %y = ascend.group "CastReduceMulSub" (%x) engine vector … : tensor<1x16x800x800xf16, NC1HWC0> -> …
    after   %p = ascend.view %x : … -> tensor<1x16x640x1000xf16, NC1HWC0>
            %s = ascend.group "CastReduce" (%p) … : … -> tensor<1x16x640x1xf32, NC1HWC0>     all cores: a sum per piece
            %m = ascend.group "ReduceMul" (%s) … : … -> tensor<1x16x1x1xf32, NC1HWC0>        one core: sum of the sums
            %y = ascend.group "CastSub" (%x, %m) … : … -> …                                  all cores: what is whole again

    Blocks of one launch can neither wait for each other nor talk (D6), so what needs a number of all data stands in the
    next launch; the partial results go through memory, in f32 as they were accumulated. A group with two generations of
    reductions (the variance after the mean) is cut twice, and what is needed again is computed again from the group's
    inputs, as a single core with rows longer than its buffer does.

    Before: layouts are assigned, schedules are not. After: the same; a group that is left whole is faster so, or its
    lines cannot be cut evenly into pieces.
    """

    name = "ascend-split-reductions"

    soc: str = ""
    """SoC to split for; default: the module's target."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:

        soc = target_of(op, self.soc)
        for group in list(main_block(op).ops):
            if isinstance(group, ascend.GroupOp) and (pieces := _pieces(group, soc)) is not None:
                _Splitter(group, pieces).run()


def _pieces(group: ascend.GroupOp, soc: Soc) -> Pieces | None:
    """How a group's reduced dims are cut; None where it stays whole."""
    from ..lowering.vector_kernel import choose_schedule

    if group.engine_name is not ascend.Engine.VECTOR or group.schedule.data:
        return None
    ops = [op for op in group.body.block.ops if not isinstance(op, nn.ConstantOp | nn.YieldOp)]
    reductions = [op for op in ops if isinstance(op, nn.ReduceOp)]
    if not reductions or any(op.kind.data not in PARTIAL for op in reductions):
        return None
    if any(not isinstance(op, (*nn.ELEMENTWISE_OPS, nn.ReduceOp)) for op in ops):
        return None
    if any(nn.dtype_of(v) not in ("f16", "f32") for op in reductions for v in (op.input, op.output)):
        return None
    shapes, axes = {nn.shape_of(op.input) for op in reductions}, {nn.ints(op.axes) for op in reductions}
    if len(shapes) > 1 or len(axes) > 1:
        return None
    layout = _layout(group, shapes.copy().pop())
    if layout is None:
        return None
    extremes = any(op.kind.data in ("max", "min") and nn.dtype_of(op.input) == "f16" for op in reductions)
    found = pieces_of(shapes.pop(), axes.pop(), layout, "f16" if extremes else "f32", soc)
    if found is None or not _fits(group, found):
        return None
    generations = _generations(group)
    whole = any(not found.is_single(nn.shape_of(v)) for v in group.yielded)
    plan = choose_schedule(group, soc)
    return found if pays(found, generations, whole, plan, soc) else None


def _generations(group: ascend.GroupOp) -> int:
    """How many reductions stand one behind the other."""
    depth: dict[SSAValue, int] = {}
    for op in group.body.block.ops:
        for value in op.results:
            depth[value] = max((depth.get(v, 0) for v in op.operands), default=0) + isinstance(
                op, nn.ReduceOp
            )
    return max(depth.values())


def _layout(group: ascend.GroupOp, shape: Shape) -> Layout | None:
    """The layout of the full tensors; None where there is no such operand."""
    layouts = {ascend.layout_of(v) for v in group.inputs if ascend.shape_of(v) == shape}
    return layouts.pop() if len(layouts) == 1 else None


def _fits(group: ascend.GroupOp, pieces: Pieces) -> bool:
    """Every value is whole or a single one along the reduced dims, and every operand can be seen in pieces."""
    values = [v for op in group.body.block.ops for v in op.results if not isinstance(op, nn.ConstantOp)]
    if any(pieces.seen(nn.shape_of(v)) is None for v in (*values, *group.body.block.args)):
        return False
    for value in (*group.inputs, *group.outputs):
        if ascend.shape_of(value) and not ascend.can_view(value.type, _piece_type(value, pieces)):
            return False
    return True


def _piece_type(value: SSAValue, pieces: Pieces) -> TensorType:
    shape = pieces.seen(ascend.shape_of(value))
    assert shape is not None
    return ascend.with_layout(TensorType(ascend.tensor(value).element_type, shape), ascend.layout_of(value))


@dataclass
class _Splitter:
    """Replaces one group. `joined` holds the reduced values that exist in memory, in the space of pieces."""

    group: ascend.GroupOp
    pieces: Pieces
    joined: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    partials: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    views: dict[tuple[SSAValue, Shape], SSAValue] = field(
        default_factory=dict[tuple[SSAValue, Shape], SSAValue]
    )

    def run(self) -> None:
        block = self.group.parent_block()
        assert block is not None
        for result, value in zip(self.group.outputs, self.group.yielded, strict=True):
            if self.is_single(value):
                new = self.view(self.join(value), ascend.shape_of(result))
            else:
                new = self._whole(value, result)
            new.name_hint = result.name_hint
            result.replace_all_uses_with(new)
        self.group.detach()
        self.group.erase()

    # ------------------------------------------------------------------------------------------ values
    def is_single(self, value: SSAValue) -> bool:
        """One number per line: what stands behind a reduction, or an operand of that shape."""
        return self.pieces.is_single(nn.shape_of(value))

    def outer(self, value: SSAValue) -> SSAValue:
        """The operand of the group that a block argument stands for."""
        assert isinstance(value, BlockArgument)
        return self.group.inputs[value.index]

    def view(self, value: SSAValue, shape: Shape) -> SSAValue:
        """The same bytes in another shape."""
        if ascend.shape_of(value) == tuple(shape):
            return value
        key = (value, tuple(shape))
        if key not in self.views:
            element = ascend.tensor(value).element_type
            view = ascend.ViewOp(
                value, ascend.with_layout(TensorType(element, shape), ascend.layout_of(value))
            )
            self.views[key] = self.emit(view).results[0]
        return self.views[key]

    def emit(self, op: Operation) -> Operation:
        block = self.group.parent_block()
        assert block is not None
        block.insert_op_before(op, self.group)
        return op

    # ------------------------------------------------------------------------------------------ launches
    def partial(self, reduction: nn.ReduceOp) -> SSAValue:
        """The launch that reduces each piece; its results, in f32 where they were accumulated in f32."""
        if reduction.output not in self.partials:
            part = _Part(self, in_pieces=True)
            source = part.get(reduction.input)
            kind = PARTIAL[reduction.kind.data]
            if kind not in ("max", "min") and nn.dtype_of(source) != "f32":
                source = part.add(nn.CastOp(source, "f32"), reduction).results[0]
            reduced = part.add(nn.ReduceOp(source, kind, self.pieces.inner_axes, keepdims=True), reduction)
            self.partials[reduction.output] = part.finish(reduced.results[0], self.pieces.layout)
        return self.partials[reduction.output]

    def join(self, value: SSAValue) -> SSAValue:
        """The launch that computes a value of one number per line from partial results."""
        if isinstance(value, BlockArgument):
            return self.outer(value)
        if value not in self.joined:
            part = _Part(self, in_pieces=True, joins=True)
            self.joined[value] = part.finish(part.get(value), self.pieces.layout)
        return self.joined[value]

    def _whole(self, value: SSAValue, result: SSAValue) -> SSAValue:
        part = _Part(self, in_pieces=False)
        return part.finish(part.get(value), ascend.layout_of(result))


class _Part:
    """One of the groups that a group becomes.

    `in_pieces`: on shapes with the reduced dims cut. `joins`: reductions are finished here from partial results; else
    numbers per line are operands.
    """

    def __init__(self, splitter: _Splitter, *, in_pieces: bool, joins: bool = False) -> None:
        self.splitter, self.in_pieces, self.joins = splitter, in_pieces, joins
        self.block = Block()
        self.inputs: list[SSAValue] = []
        self.known: dict[SSAValue, SSAValue] = {}

    def get(self, value: SSAValue) -> SSAValue:
        """The value of the old body in this group."""
        if value not in self.known:
            self.known[value] = self._make(value)
        return self.known[value]

    def _make(self, value: SSAValue) -> SSAValue:
        splitter = self.splitter
        if isinstance(value, BlockArgument):
            return self._argument(splitter.outer(value), value)
        op = value.owner
        assert isinstance(op, nn.NNOp | nn.ConstantOp)
        if isinstance(op, nn.ConstantOp):
            return self.add(nn.ConstantOp(Blob.splat(op.blob.values[0], (), op.blob.dtype)), op).results[0]
        if splitter.is_single(value):
            if not self.joins or value in splitter.joined:
                return self._argument(splitter.join(value), value)
            if isinstance(op, nn.ReduceOp):
                return self._joined(op)
        operands = [self.get(v) for v in op.operands]
        shape = self._shape(value)
        new = type(op).create(
            operands=operands,
            properties=dict(op.properties),
            attributes=dict(op.attributes),
            result_types=[TensorType(dtypes.ir_type(nn.dtype_of(value)), shape)],
        )
        return self.add(new, op).results[0]

    def _joined(self, op: nn.ReduceOp) -> SSAValue:
        """The reduction over the pieces, in the type of the old one."""
        partial = self.splitter.partial(op)
        value = self._input(partial)
        axes = self.splitter.pieces.piece_axes
        value = self.add(nn.ReduceOp(value, JOIN[op.kind.data], axes, keepdims=True), op).results[0]
        if nn.dtype_of(value) != nn.dtype_of(op.output):
            value = self.add(nn.CastOp(value, nn.dtype_of(op.output)), op).results[0]
        return value

    def _shape(self, value: SSAValue) -> Shape:
        shape = nn.shape_of(value)
        seen = self.splitter.pieces.seen(shape) if self.in_pieces else shape
        assert seen is not None
        return seen

    def _argument(self, outer: SSAValue, value: SSAValue) -> SSAValue:
        return self._input(self.splitter.view(outer, self._shape(value)))

    def _input(self, outer: SSAValue) -> SSAValue:
        if outer in self.inputs:
            return self.block.args[self.inputs.index(outer)]
        self.inputs.append(outer)
        return self.block.insert_arg(ascend.logical(outer.type), len(self.block.args))

    def add(self, op: Operation, source: Operation) -> Operation:
        op.location = source.location
        self.block.add_op(op)
        return op

    def finish(self, result: SSAValue, layout: Layout) -> SSAValue:
        """Puts the group before the old one; its result."""
        ops = [op for op in self.block.ops if not isinstance(op, nn.ConstantOp)]
        self.block.add_op(nn.YieldOp(result))
        names = list(dict.fromkeys(n for op in ops for n in node_names(op))) or list(
            self.splitter.group.source_names
        )
        made = ascend.GroupOp(
            label_of(ops), self.inputs, [ascend.with_layout(result.type, layout)], ascend.Engine.VECTOR,
            Region(self.block), sources=names,
        )  # fmt: skip
        made.location = location_of(names)
        return self.splitter.emit(made).results[0]
