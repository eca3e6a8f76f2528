"""Pass nn-infer-shapes."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp, NoneAttr, TensorType
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ..dialects import nn
from ..dialects.nn_shapes import ShapeError
from .rewriting import main_block, main_function


@dataclass(frozen=True)
class NNInferShapesPass(ModulePass):
    """Recompute every result shape from its operands, so that unknown dims vanish where they follow from
    others.

    before  %y = nn.conv %x, %w … : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x?x?xf32>
    after   %y = nn.conv %x, %w … : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32>

    Ops whose shape is chosen (reshape, expand, resize) keep it. The function's result types follow.
    """

    name = "nn-infer-shapes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        for inner in block.ops:
            infer(inner)
        function, last = main_function(op), block.last_op
        assert last is not None
        results = [v.type for v in last.operands]
        function.properties["function_type"] = FunctionType.from_lists([a.type for a in block.args], results)


def infer(op: Operation) -> None:
    """Set the result type of one op where its shape function knows more."""
    if not isinstance(op, nn.NNOp) or op.RESULT_SHAPE_IS_FREE:
        return
    try:
        shape = type(op).SHAPE(*(nn.shape_of(v) for v in op.operands), **op.values)
    except ShapeError:
        return  # the verifier says it better
    old = nn.tensor(op.results[0])
    if shape != old.get_shape() and isinstance(old.encoding, NoneAttr):
        Rewriter.replace_value_with_new_type(op.results[0], TensorType(old.element_type, shape))
