"""Ops of `nn` on numbers in two terms: an f32 value as the sum of two f16 values, so that the cube can multiply it.

The cube of 310, 310P and 910 multiplies f16, which keeps 11 bits of a number. x = h + l with h = f16(x) and
l = f16(x - h) keeps 22. With weights in two terms as well, k = u + v, a product is three:

    x·k ≈ h·u + l·u + h·v        (l·v is below the last bit)

which is one convolution on three times as many input channels. So a tensor in terms is one f16 tensor of three
blocks of channels, [h; l; h], and its weights are [u; u; v]: the accumulator adds the three products in f32.

A bias is a vector of f32 numbers that the cube can add as one more product, ones times its two terms: `nn.sum_terms` says
so in the group's body (`ascend-split-bias`).

The other ops stand behind a convolution whose result stays f32 (`nn.conv` of f16 operands with an f32 result: what
the accumulator holds); `nn.max_pool` has a flag for operands in terms. `nn-split-terms` makes them.
"""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from . import nn_shapes
from .nn_attrs import NNOp
from .nn_elementwise import Value

TERMS = 3
"""Blocks of channels of a tensor in terms: h, l and h once more, for the second term of the weights."""


@irdl_op_definition
class ToTermsOp(NNOp):
    """[N, C, …] in f32 → [N, 3·C, …] in f16: h = f16(x), l = f16(x - h), and h again."""

    name = "nn.to_terms"
    SHAPE = staticmethod(nn_shapes.to_terms)
    ELEMENT_RULE: ClassVar = "any"
    input = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, input: Value) -> None:
        self._setup([input], dtype="f16")


@irdl_op_definition
class AddTermsOp(NNOp):
    """lhs + h + l of an f32 tensor [N, C, …] and a tensor in terms [N, 3·C, …]: a residual addition."""

    name = "nn.add_terms"
    SHAPE = staticmethod(nn_shapes.add_terms)
    ELEMENT_RULE: ClassVar = "first"
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, lhs: Value, rhs: Value) -> None:
        self._setup([lhs, rhs])


@irdl_op_definition
class SumTermsOp(NNOp):
    """[1, C, 1, 2] in f16 → [C] in f32: h + l of each channel of a bias."""

    name = "nn.sum_terms"
    SHAPE = staticmethod(nn_shapes.sum_terms)
    ELEMENT_RULE: ClassVar = "any"
    input = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, input: Value) -> None:
        self._setup([input], dtype="f32")


TERM_OPS = (ToTermsOp, AddTermsOp, SumTermsOp)

__all__ = ["TERMS", "TERM_OPS", "AddTermsOp", "SumTermsOp", "ToTermsOp"]
