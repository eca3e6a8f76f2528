"""Every elementwise op the vector generator expands, on each SoC: errors in ulps of f16, or absolute where a
chip without f32 functions computes in f16."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.dialects import nn
from ascend_mlir.dialects.layouts import ND
from vector_cases import Case, check, random

SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]
UNARY = {
    "relu": nn.ReluOp,
    "neg": nn.NegOp,
    "abs": nn.AbsOp,
    "exp": nn.ExpOp,
    "sigmoid": nn.SigmoidOp,
    "tanh": nn.TanhOp,
    "erf": nn.ErfOp,
    "floor": nn.FloorOp,
    "ceil": nn.CeilOp,
    "round": nn.RoundOp,
    "sign": nn.SignOp,
    "sin": nn.SinOp,
    "cos": nn.CosOp,
    "atan": nn.AtanOp,
    "softplus": nn.SoftplusOp,
    "hard_swish": nn.HardSwishOp,
    "gelu": nn.GeluOp,
    "gelu_tanh": lambda x: nn.GeluOp(x, "tanh"),
    "leaky_relu": lambda x: nn.LeakyReluOp(x, 0.1),
    "elu": lambda x: nn.EluOp(x, 1.0),
    "celu": lambda x: nn.CeluOp(x, 1.5),
    "selu": lambda x: nn.SeluOp(x, 1.67, 1.05),
    "hard_sigmoid": lambda x: nn.HardSigmoidOp(x, 0.2, 0.5),
    "clip": lambda x: nn.ClipOp(x, -1.0, 2.0),
    "cast_i32": lambda x: nn.CastOp(x, "i32"),
    "cast_bool": lambda x: nn.CastOp(x, "bool"),
    "cast_f32": lambda x: nn.CastOp(x, "f32"),
}
POSITIVE = {"log": nn.LogOp, "sqrt": nn.SqrtOp, "rsqrt": nn.RsqrtOp, "reciprocal": nn.ReciprocalOp}
BINARY = {
    "add": nn.AddOp,
    "sub": nn.SubOp,
    "mul": nn.MulOp,
    "div": nn.DivOp,
    "max": nn.MaxOp,
    "min": nn.MinOp,
    "prelu": nn.PreluOp,
    "equal": nn.EqualOp,
    "less": nn.LessOp,
    "less_equal": nn.LessEqualOp,
    "greater": nn.GreaterOp,
    "greater_equal": nn.GreaterEqualOp,
}
LOGIC = {"and": nn.AndOp, "or": nn.OrOp, "xor": nn.XorOp}
COARSE = {
    "softplus": 5e-3,
    "elu": 1e-5,
    "celu": 5e-5,
    "selu": 1e-4,
}  # absolute, on chips without f32 functions


def run(op, inputs, dtypes, soc, **bounds):
    case = Case([(x.shape, d, ND) for x, d in zip(inputs, dtypes, strict=True)], lambda a, x: a(op(*x)))
    case.simulate = True
    check(case, inputs, soc, **bounds)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("name", UNARY)
def test_unary(soc, name):
    absolute = COARSE.get(name, 0.0) if soc == "Ascend310" else 0.0
    run(UNARY[name], [random((7, 50), "f16", 1, -8, 8)], ["f16"], soc, ulps=4, absolute=absolute)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("name", POSITIVE)
def test_positive(soc, name):
    run(POSITIVE[name], [random((7, 50), "f16", 1, 0.01, 50)], ["f16"], soc)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_binary(soc, name, dtype):
    x, y = random((7, 50), dtype, 1), random((7, 50), dtype, 2)
    y[::2] = x[::2]
    run(BINARY[name], [x, y], [dtype] * 2, soc)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("name", LOGIC)
def test_logic(soc, name):
    run(LOGIC[name], [random((7, 50), "bool", 1), random((7, 50), "bool", 2)], ["bool"] * 2, soc)


@pytest.mark.parametrize("soc", SOCS)
def test_is_nan(soc):
    x = random((7, 50), "f16", 1)
    x[::3, ::5], x[1::3, ::5] = np.nan, np.inf
    run(nn.IsNanOp, [x], ["f16"], soc)


@pytest.mark.parametrize("exponent", [2.0, 0.5, -0.5, 3.0, -1.0])
def test_power_of_a_constant(exponent):
    from ascend_mlir.dialects.blobs import Blob

    def build(a, x):
        return a(nn.PowOp(x[0], a(nn.ConstantOp(Blob.splat(exponent, (), "f16")))))

    case = Case([((7, 50), "f16", ND)], build)
    case.simulate = True
    check(case, [random((7, 50), "f16", 1, 0.1, 4)])
