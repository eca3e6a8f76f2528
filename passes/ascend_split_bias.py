"""Pass ascend-split-bias: a constant bias of a cube group is stored as the two f16 terms that the cube adds.

The bias enters the accumulator as one more product, ones times two rows of f16 numbers whose sum is the f32 bias to 22 bits
(`lowering/cube_bias.py`).  Split here, the terms go from GM to L1 as they are; a bias that is computed at run time is split
by the vector unit at the start of each kernel instead.

before
    %b = nn.constant #nn.blob<"b" : tensor<64xf32> | pack NC1HWC0 16 1> : tensor<64xf32, NC1HWC0>
    %y = ascend.group "Conv" (%x, %w, %b) engine cube { ^0(%0, %1, %2: tensor<64xf32>): nn.conv %0, %1, %2 ... }
after
    %b = nn.constant #nn.blob<"b" ... | two_terms | pack NC1HWC0 16 1> : tensor<1x64x1x2xf16, NC1HWC0>
    %y = ascend.group "Conv" (%x, %w, %b) engine cube { ^0(%0, %1, %2: tensor<1x64x1x2xf16>):
        %3 = nn.sum_terms %2 : tensor<64xf32>; nn.conv %0, %1, %3 ... }

A block of 16 channels then is [h × 16][l × 16], the first two rows of its fractal.

Before: layouts are assigned.  After: the same values, but for bits below the 22nd of a bias.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import BlockArgument
from xdsl.passes import ModulePass

from ..dialects import ascend, nn
from ..dialects.layouts import Format
from .rewriting import main_block


@dataclass(frozen=True)
class AscendSplitBiasPass(ModulePass):
    """See the module docstring."""

    name = "ascend-split-bias"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        for group in [op for op in block.ops if isinstance(op, ascend.GroupOp)]:
            if group.engine_name is ascend.Engine.CUBE:
                _split(group)
        for constant in [op for op in block.ops if isinstance(op, nn.ConstantOp)]:
            if not any(True for _ in constant.output.uses):
                constant.detach()
                constant.erase()


def _split(group: ascend.GroupOp) -> None:
    root = next(op for op in group.body.block.ops if isinstance(op, nn.ConvOp | nn.MatMulOp))
    bias = root.bias
    if not isinstance(bias, BlockArgument) or ascend.dtype_of(bias) != "f32":
        return
    outer = group.operands[bias.index]
    layout = ascend.layout_of(outer)
    constant = outer.owner
    if (
        not isinstance(constant, nn.ConstantOp)
        or layout.format is not Format.NC1HWC0
        or len(list(bias.uses)) != 1
    ):
        return
    terms = constant.blob.inputs[0].apply("two_terms").apply("pack", "NC1HWC0", layout.c0, 1)
    logical = nn.tensor_type((1, ascend.shape_of(bias)[0], 1, 2), "f16")
    made = nn.ConstantOp(terms, ascend.with_layout(logical, layout))
    made.location = constant.location
    constant.parent_block().insert_op_before(made, constant)  # pyright: ignore[reportOptionalMemberAccess]
    group.operands[bias.index] = made.output
    block = group.body.block
    argument = block.insert_arg(logical, bias.index)
    total = nn.SumTermsOp(argument)
    total.location = root.location
    block.insert_op_before(total, root)
    bias.replace_all_uses_with(total.output)
    block.erase_arg(bias)
