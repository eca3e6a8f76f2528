"""Rows of every width: stores touch no foreign byte, padding lanes never enter a sum, rows keep apart."""

from __future__ import annotations

import pytest
from ascend_mlir.dialects import nn
from ascend_mlir.dialects.layouts import ND
from vector_cases import Case, check, random


@pytest.mark.parametrize("width", range(1, 131))
def test_softmax_of_width(width):
    case = Case([((21, width), "f16", ND)], lambda a, x: a(nn.SoftmaxOp(x[0], 1)))
    case.simulate = True
    check(case, [random((21, width), "f16", width)], absolute=1e-6)


@pytest.mark.parametrize("width", range(1, 131))
def test_column_vector_of_width(width):
    """Two outer dims, so that rows end inside a tensor and not only at its end."""
    shapes = [(3, 9, width), (3, 1, width)]
    dtype = "f32" if width % 3 == 0 else "f16"
    case = Case([(s, dtype, ND) for s in shapes], lambda a, x: a(nn.SubOp(*x)))
    case.simulate = True
    check(case, [random(s, dtype, width) for s in shapes])
