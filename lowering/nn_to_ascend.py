"""Lowering convert-nn-to-ascend: who computes each group."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.hints import isa

from ..dialects import ascend, nn
from ..dialects.ascend import Engine
from ..passes.ai_cpu import reason_of
from ..passes.rewriting import main_block, main_function

_MOVES = (
    nn.TransposeOp,
    nn.PadOp,
    nn.DepthToSpaceOp,
    nn.SpaceToDepthOp,
    nn.GatherOp,
    nn.ExpandOp,
    nn.TileOp,
    nn.ReshapeOp,
    nn.BitCastOp,
    nn.SliceOp,
    nn.ConcatOp,
    nn.ToTermsOp,  # alone: a conversion at the border of the model
)
_WIDE = frozenset({"i64", "u64", "f64"})


@dataclass(frozen=True)
class ConvertNNToAscendPass(ModulePass):
    """Every `nn.group` becomes an `ascend.group` with an engine; schedules stay empty, layouts are not chosen
    yet.

    before  %y = nn.group "ConvRelu" (%x, %w) from ["conv1", "relu1"] { ^0(%a, %k): … nn.yield } : (…) -> …
    after   %y = ascend.group "ConvRelu" (%x, %w) engine cube schedule #ascend.schedule<> from ["conv1",
    "relu1"] { … } : …

    Engines: cube for a convolution or matmul, attention for products with the softmax between them,
    recurrence for the steps of an LSTM, GRU or RNN, vector for elementwise ops, reductions and pools, move
    for what only rearranges, sort for the best of rows, AI CPU for what `passes/ai_cpu.py` lists with
    its reason.
    Constants, reshape, slice and concat stay nn ops: `ascend-assign-layouts` turns them into packed constants,
    views or kernels.
    """

    name = "convert-nn-to-ascend"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        for group in [inner for inner in block.ops if isinstance(inner, nn.GroupOp)]:
            body = group.detach_region(group.body)
            new = ascend.GroupOp(
                group.kind.data,
                list(group.inputs),
                [r.type for r in group.outputs],
                engine_of([inner for inner in body.block.ops if isinstance(inner, nn.NNOp)]),
                body,
                sources=group.source_names,
            )
            new.location = group.location
            new.attributes.update(group.attributes)
            block.insert_op_before(new, group)
            for old, result in zip(group.outputs, new.outputs, strict=True):
                result.name_hint = old.name_hint
                old.replace_all_uses_with(result)
            group.detach()
            group.erase()
        _mark_narrowed(main_function(op))


NARROWED = "narrowed_inputs"
"""Attribute of the main function: i64 inputs that are computed with. The cores see 32 bits of them, so the
session refuses values that need more (decision D13: the range must be proven)."""


def _mark_narrowed(function: FuncOp) -> None:
    block = function.body.block
    stack = [
        value
        for op in block.ops
        if isinstance(op, ascend.GroupOp) and op.engine_name is Engine.VECTOR
        for value in op.inputs
        if nn.dtype_of(value) == "i64"
    ]
    found: set[int] = set()
    seen: set[SSAValue] = set()
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, BlockArgument):
            found.add(value.index)
        elif isinstance(value.owner, Operation):
            stack += [v for v in value.owner.operands if nn.dtype_of(v) == "i64"]
    names = function.attributes.get("input_names")
    if found and isa(names, ArrayAttr[StringAttr]):
        function.attributes[NARROWED] = ArrayAttr([names.data[index] for index in sorted(found)])


def engine_of(ops: list[nn.NNOp]) -> Engine:
    """The unit that runs a group of these ops."""
    if len(ops) == 1 and reason_of(ops[0]) is not None:
        return Engine.AICPU
    if any(isinstance(o, nn.ConvOp | nn.MatMulOp) for o in ops):
        return Engine.CUBE
    if isinstance(ops[0], nn.AttentionOp):
        return Engine.ATTENTION
    if isinstance(ops[0], nn.RecurrenceOp):
        return Engine.RECURRENCE
    if isinstance(ops[0], nn.SortOp):
        return Engine.SORT
    if isinstance(ops[0], nn.ResizeOp):
        return Engine.MOVE if ops[0].mode.data == "nearest" else Engine.AICPU
    if isinstance(ops[0], _MOVES):
        return Engine.MOVE
    if all(_is_vector(o) for o in ops):
        return Engine.VECTOR
    return Engine.AICPU


def _is_vector(op: Operation) -> bool:
    """Vector instructions know no 64-bit numbers; a cast between i64 and i32 or a float moves words."""
    if isinstance(op, nn.CastOp):
        return "f64" not in {nn.dtype_of(v) for v in (op.input, op.output)}
    if not isinstance(op, (*nn.ELEMENTWISE_OPS, nn.ReduceOp, nn.MaxPoolOp, nn.AvgPoolOp)):
        return False
    return all(nn.dtype_of(v) not in _WIDE for v in (*op.operands, *op.results))
