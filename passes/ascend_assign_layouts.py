"""Pass ascend-assign-layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from ..dialects import ascend, nn
from ..dialects.ascend import Engine
from ..dialects.layouts import ND, Layout
from .layout_options import How, Option, TransposePair, is_border_cast, options, root_of
from .layout_solver import Problem, needs_detour
from .provenance import location_of, node_names
from .rewriting import constant_of, main_block, only_use, remove_dead, simplify_blob, users


@dataclass(frozen=True)
class AscendAssignLayoutsPass(ModulePass):
    """Choose the physical format of every tensor: least modelled TransData and kernel cost over the whole
    model.

    before  %y = ascend.group "Conv" (%x, %w, %b) engine cube … : (tensor<1x64x56x56xf16>, …) -> …
            %v = nn.reshape %y : …
    after   %x1 = ascend.trans_data %x : … -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
            %w1 = nn.constant #nn.blob<"w" | cast f16 | pack FRACTAL_Z 16 1> : …
            %y = ascend.group "Conv" (%x1, %w1, %b1) engine cube … ; %v = ascend.view %y : …

    What may run in which layout: `layout_options.py` and `docs/layouts.md`. Constants are packed in
    their blob expression and cost nothing. reshape, slice and concat become views where their bytes allow it
    and move kernels elsewhere. Model inputs and outputs are dense; an output that would share its memory with
    a constant, a piece of a computed tensor or another output is copied.
    """

    name = "ascend-assign-layouts"

    border_casts: bool = True
    """Casts between f32 and f16 may change the layout too, as move kernels."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        for group in [o for o in block.ops if isinstance(o, ascend.GroupOp)]:
            join_reshape(group)
        last = block.last_op
        assert isinstance(last, ReturnOp)
        constants = {o.results[0] for o in block.ops if isinstance(o, nn.ConstantOp)}
        ops = [o for o in block.ops if isinstance(o, nn.NNOp | ascend.GroupOp)]
        problem = Problem(
            ops, {o: options(o, border_casts=self.border_casts) for o in ops}, set(constants), last.operands
        )
        chosen = problem.solve()
        Rebuild(block, chosen).run(ops, last)
        remove_dead(block)


@dataclass
class Rebuild:
    """Writes the choice into the IR. `made` knows each original value in each layout that exists by now."""

    block: Block
    chosen: dict[Operation, Option]
    made: dict[tuple[SSAValue, Layout], SSAValue] = field(
        default_factory=dict[tuple[SSAValue, Layout], SSAValue]
    )
    home: dict[SSAValue, Layout] = field(default_factory=dict[SSAValue, Layout])

    def run(self, ops: Sequence[Operation], last: ReturnOp) -> None:
        for op in ops:
            self._op(op, self.chosen[op])
        roots: set[SSAValue] = set()
        for i, value in enumerate(list(last.operands)):
            last.operands[i] = self._own_memory(self.get(value, ND, last), roots, last)
        for op in reversed(ops):
            op.detach()
            op.erase()

    def get(self, value: SSAValue, layout: Layout, user: Operation) -> SSAValue:
        """A value in a layout: packed constant, as produced, or through a TransData behind its definition."""
        made = self.made.get((value, layout))
        if made is not None:
            return made
        blob = constant_of(value)
        if blob is not None:
            new: Operation = self._constant(value, layout)
        else:
            home = self.home.get(value, ND)
            source = self.made.get((value, home), value)
            if home == layout:
                return source
            if needs_detour(home, layout):
                source = self.get(value, ND, user)
            new = ascend.TransDataOp(source, layout)
            new.location = (source.owner if isinstance(source.owner, Operation) else user).location
            self._behind(new, source)
        new.results[0].name_hint = value.name_hint
        self.made[value, layout] = new.results[0]
        return new.results[0]

    def _constant(self, value: SSAValue, layout: Layout) -> Operation:
        blob = constant_of(value)
        owner = value.owner
        assert blob is not None and isinstance(owner, Operation)
        packed = (
            blob
            if layout == ND
            else simplify_blob(blob).apply("pack", layout.format.value, layout.c0, layout.groups)
        )
        new = nn.ConstantOp(packed, ascend.with_layout(value.type, layout))
        new.location = owner.location
        self.block.insert_op_after(new, owner)
        return new

    def _behind(self, new: Operation, value: SSAValue) -> None:
        if isinstance(value.owner, Operation):
            self.block.insert_op_after(new, value.owner)
            return
        first = self.block.first_op
        assert first is not None
        self.block.insert_op_before(new, first)

    def _op(self, op: Operation, option: Option) -> None:
        operands = [self.get(v, want, op) for v, want in zip(op.operands, option.operands, strict=True)]
        result = op.results[0]
        result_type = ascend.with_layout(result.type, option.result)
        new: Operation
        if option.how is How.VIEW:
            new = _view(op, operands, result_type)
        elif isinstance(op, ascend.GroupOp) and TransposePair.of(op) is not None:
            new = _split_pair(op, operands[0], self.block, op)
        elif isinstance(op, ascend.GroupOp):
            formats = {layout.format for layout in (*option.operands, option.result)}
            moves = is_border_cast(op) and len(formats) > 1
            new = ascend.GroupOp(
                op.label.data,
                operands,
                [result_type],
                Engine.MOVE if moves else op.engine.data,
                op.detach_region(op.body),
                schedule=op.schedule,
                sources=op.source_names,
            )
            new.attributes.update(op.attributes)
        else:
            new = move_group(op, operands, result_type)
        if new.parent is None:
            new.location = op.location
            self.block.insert_op_before(new, op)
        new.results[0].name_hint = result.name_hint
        self.home[result] = option.result
        self.made[result, option.result] = new.results[0]

    def _own_memory(self, value: SSAValue, roots: set[SSAValue], last: Operation) -> SSAValue:
        """Model outputs own their buffers (decision D8). Inputs keep their bytes for the whole run: an output
        that is one, or a piece of one, is read from there. A constant is copied by the runtime."""
        root = value
        shared = False
        while isinstance(root.owner, ascend.ViewOp | ascend.SliceViewOp):
            shared = shared or isinstance(root.owner, ascend.SliceViewOp)
            root = root.owner.source
        if isinstance(root, BlockArgument):
            return value
        if constant_of(root) is not None and 0 in ascend.shape_of(value):
            return value  # no bytes
        if constant_of(root) is not None:
            copy: Operation = ascend.CopyOp(value)
            copy.location = (value.owner if isinstance(value.owner, Operation) else last).location
            self.block.insert_op_before(copy, last)
            return copy.results[0]
        shared = shared or root in roots
        shared = shared or any(isinstance(u, ascend.ConcatViewOp) for u in users(root))
        roots.add(root)
        if not shared:
            return value
        copy = move_group(nn.ReshapeOp(value, ascend.shape_of(value)), [value], ascend.tensor(value))
        if isinstance(value.owner, Operation):
            copy.location = value.owner.location
        self.block.insert_op_before(copy, last)
        return copy.results[0]


def join_reshape(group: ascend.GroupOp) -> None:
    """A transposition and the reshape beside it become one group where there is a blocked layout in which
    they move nothing."""
    inner = root_of(group)
    block = group.parent
    if block is None or not isinstance(inner, nn.TransposeOp):
        return
    before, after = group.inputs[0].owner, users(group.outputs[0])
    if isinstance(before, nn.ReshapeOp) and only_use(group.inputs[0]):
        perm = nn.ints(inner.perm)
        pair = TransposePair(before.input, group.outputs[0], perm, nn.shape_of(before.output))
        if _moves_nothing(pair):
            _join(group, before, group, [before, inner])
            return
    if len(after) == 1 and isinstance(after[0], nn.ReshapeOp):
        pair = TransposePair(group.inputs[0], after[0].results[0], nn.ints(inner.perm), None)
        if _moves_nothing(pair):
            _join(group, group, after[0], [inner, after[0]])


def _moves_nothing(pair: TransposePair) -> bool:
    return any(ND not in (*o.operands, o.result) for o in pair.views())


def _join(group: ascend.GroupOp, first: Operation, last: Operation, ops: Sequence[Operation]) -> None:
    """One group for two neighbouring ops, at the place of the second."""
    block = group.parent
    assert block is not None
    body = Block(arg_types=[first.operands[0].type])
    value: SSAValue = body.args[0]
    for op in ops:
        new = type(op).create(
            operands=[value], properties=dict(op.properties), result_types=[op.results[0].type]
        )
        new.location = op.location
        body.add_op(new)
        value = new.results[0]
    body.add_op(nn.YieldOp(value))
    names = dict.fromkeys((*node_names(first), *group.source_names, *node_names(last)))
    joined = ascend.GroupOp(
        group.label.data,
        [first.operands[0]],
        [last.results[0].type],
        group.engine.data,
        Region(body),
        sources=list(names),
    )
    joined.location = location_of(names)
    block.insert_op_after(joined, last)
    joined.results[0].name_hint = last.results[0].name_hint
    last.results[0].replace_all_uses_with(joined.results[0])
    for op in (last, first):
        op.detach()
        op.erase()


def _split_pair(op: ascend.GroupOp, source: SSAValue, block: Block, anchor: Operation) -> Operation:
    """A pair that does move: the reshape is a view of dense bytes, the transposition a kernel."""
    value = source
    made: Operation | None = None
    for inner in [o for o in op.body.block.ops if isinstance(o, nn.ReshapeOp | nn.TransposeOp)]:
        typ = inner.output.type
        made = (
            ascend.ViewOp(value, typ)
            if isinstance(inner, nn.ReshapeOp)
            else move_group(inner, [value], ascend.tensor(typ))
        )
        made.location = op.location
        block.insert_op_before(made, anchor)
        value = made.results[0]
    assert made is not None
    return made


def _view(op: Operation, operands: list[SSAValue], result_type: ascend.TensorType) -> Operation:
    if isinstance(op, nn.SliceOp):
        return ascend.SliceViewOp(operands[0], nn.ints(op.starts), result_type)
    if isinstance(op, nn.ConcatOp):
        return ascend.ConcatViewOp(operands, op.axis.value.data, result_type)
    pair = TransposePair.of(op) if isinstance(op, ascend.GroupOp) else None
    if pair is not None:
        return ascend.ViewOp(operands[0], result_type, pair.perm, pair.via)
    inner = root_of(op) if isinstance(op, ascend.GroupOp) else op
    perm = nn.ints(inner.perm) if isinstance(inner, nn.TransposeOp) else None
    return ascend.ViewOp(operands[0], result_type, perm)


def move_group(op: Operation, operands: Sequence[SSAValue], result_type: ascend.TensorType) -> ascend.GroupOp:
    """A single op as a kernel that moves bytes."""
    block = Block(arg_types=[ascend.logical(v.type) for v in operands])
    inner = type(op).create(
        operands=list(block.args),
        properties=dict(op.properties),
        result_types=[ascend.logical(result_type)],
    )
    inner.location = op.location
    block.add_ops([inner, nn.YieldOp(inner.results[0])])
    label = type(op).__name__.removesuffix("Op")
    return ascend.GroupOp(label, operands, [result_type], Engine.MOVE, Region(block), sources=node_names(op))
