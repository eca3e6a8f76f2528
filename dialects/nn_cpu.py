"""Operators that only the library of the AI CPU computes (decision D19): by the name of its kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    ArrayAttr,
    BytesAttr,
    DenseArrayBase,
    IntegerAttr,
    StringAttr,
    TensorType,
    UnitAttr,
)
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, opt_prop_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.traits import Pure

from .nn_attrs import FLOATS, INT, TEXT, TEXTS, NNOp, PyAttr
from .nn_shapes import Shape


def _free(*shapes: Shape, **settings: object) -> Shape:
    return shapes[-1]


@irdl_op_definition
class CpuKernelOp(NNOp):
    """A kernel of the AI CPU's library on whole tensors; the properties are its settings.

    The result type is given. Where its size depends on data it is the largest there can be, the kernel fills
    the front, and a second call with `result` -1 - i gives the real shape of result i.
    """

    name = "nn.cpu_kernel"
    SHAPE = staticmethod(_free)
    RESULT_SHAPE_IS_FREE: ClassVar = True
    ELEMENT_RULE: ClassVar = "any"
    inputs = var_operand_def(TensorType)
    kernel = prop_def(StringAttr)
    axis: IntegerAttr | None = opt_prop_def(INT)
    result: IntegerAttr | None = opt_prop_def(INT)
    seed: IntegerAttr | None = opt_prop_def(INT)
    exclusive: UnitAttr | None = opt_prop_def(UnitAttr)
    reverse: UnitAttr | None = opt_prop_def(UnitAttr)
    unsorted: UnitAttr | None = opt_prop_def(UnitAttr)
    wraps: UnitAttr | None = opt_prop_def(UnitAttr)
    round_mode: StringAttr | None = opt_prop_def(StringAttr)
    numbers: DenseArrayBase | None = opt_prop_def(FLOATS)
    pattern: StringAttr | BytesAttr | None = opt_prop_def(TEXT)
    delimiter: StringAttr | BytesAttr | None = opt_prop_def(TEXT)
    case: StringAttr | None = opt_prop_def(StringAttr)
    pixels: StringAttr | None = opt_prop_def(StringAttr)
    folds: UnitAttr | None = opt_prop_def(UnitAttr)
    most: IntegerAttr | None = opt_prop_def(INT)
    words: ArrayAttr[StringAttr | BytesAttr] | None = opt_prop_def(TEXTS)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self, inputs: Sequence[SSAValue], kernel: str, shape: Sequence[int], dtype: str, **settings: PyAttr
    ) -> None:
        self._setup([inputs], {"kernel": kernel, **settings}, shape=shape, dtype=dtype)


CPU_OPS: tuple[type[NNOp], ...] = (CpuKernelOp,)
"""All ops of this file."""
