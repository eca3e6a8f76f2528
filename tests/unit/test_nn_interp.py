"""Reference semantics against definitions written out as loops (ONNX's node tests cover the rest)."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from ascend_mlir.dialects import nn
from ascend_mlir.runtime.interp import nn_elementwise, nn_move, nn_roots
from ascend_mlir.runtime.interp.nn import SEMANTICS, evaluate, run_module
from ascend_mlir.runtime.weights import WeightStore
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.ir import Block
from xdsl.parser import Parser

RNG = np.random.default_rng(5)


def test_every_op_has_a_meaning() -> None:
    structure = {nn.ConstantOp, nn.GroupOp, nn.YieldOp, nn.CastOp, nn.CpuKernelOp}
    assert {op for op in nn.NN.operations if op not in SEMANTICS} == structure


def test_erf() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), [np.inf, -np.inf, np.nan, 0.0]])
    expected = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(nn_elementwise.erf(x), expected, rtol=0, atol=2e-14)


def naive_conv(x: np.ndarray, w: np.ndarray, *, strides, pads, dilations, group) -> np.ndarray:
    x = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])])
    n, _, h, width = x.shape
    o, depth, kh, kw = w.shape
    oh = (h - dilations[0] * (kh - 1) - 1) // strides[0] + 1
    ow = (width - dilations[1] * (kw - 1) - 1) // strides[1] + 1
    y = np.zeros((n, o, oh, ow))
    for b, c, i, j, d, p, q in product(*map(range, (n, o, oh, ow, depth, kh, kw))):
        channel = c // (o // group) * depth + d
        y[b, c, i, j] += (
            w[c, d, p, q]
            * x[b, channel, i * strides[0] + p * dilations[0], j * strides[1] + q * dilations[1]]
        )
    return y


GEOMETRY = {
    "group": st.sampled_from([1, 2, 4]),
    "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "strides": st.tuples(st.integers(1, 3), st.integers(1, 2)),
    "dilations": st.tuples(st.integers(1, 2), st.integers(1, 2)),
    "pads": st.tuples(*[st.integers(0, 2)] * 4),
}


@settings(max_examples=30, deadline=None)
@given(**GEOMETRY)
@pytest.mark.parametrize("limit", [0, 1 << 25], ids=["positions", "patches"])
def test_conv(limit, kernel, **geometry) -> None:
    x, w = RNG.normal(size=(2, 4, 5, 6)), RNG.normal(size=(4, 4 // geometry["group"], *kernel))
    before = nn_roots.IM2COL_ELEMENTS
    nn_roots.IM2COL_ELEMENTS = limit
    try:
        actual = nn_roots.conv(x, w, **geometry)
    finally:
        nn_roots.IM2COL_ELEMENTS = before
    np.testing.assert_allclose(actual, naive_conv(x, w, **geometry), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(**GEOMETRY)
def test_conv_transpose_is_the_adjoint_of_conv(group, kernel, strides, dilations, pads) -> None:
    """<conv(x), y> = <x, conv_transpose(y)> for all x, y: with output padding as what conv's stride left
    over.
    """
    w = RNG.normal(size=(4, 4 // group, *kernel))
    x = RNG.normal(size=(1, 4, 7, 8))
    geometry = {"strides": strides, "pads": pads, "dilations": dilations, "group": group}
    forward = nn_roots.conv(x, w, **geometry)
    y = RNG.normal(size=forward.shape)
    left = tuple(
        (x.shape[2 + i] + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) % strides[i]
        for i in range(2)
    )
    back = nn_roots.conv_transpose(y, w, output_padding=left, **geometry)
    assert back.shape == x.shape
    np.testing.assert_allclose((forward * y).sum(), (x * back).sum(), rtol=1e-9, atol=1e-9)


def test_average_counts() -> None:
    x = np.ones((1, 1, 3, 3))
    window = {"kernel": (2, 2), "strides": (1, 1), "pads": (1, 1, 0, 0), "dilations": (1, 1)}
    np.testing.assert_array_equal(nn_roots.avg_pool(x, **window), np.ones((1, 1, 3, 3)))
    counted = nn_roots.avg_pool(x, **window, count_include_pad=True)
    np.testing.assert_array_equal(counted[0, 0], [[0.25, 0.5, 0.5], [0.5, 1, 1], [0.5, 1, 1]])


def test_integer_arithmetic() -> None:
    a, b = np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])
    np.testing.assert_array_equal(nn_elementwise.div(a, b), [3, -3, -3, 3])
    np.testing.assert_array_equal(nn_elementwise.mod(a, b), [1, 1, -1, -1])
    np.testing.assert_array_equal(nn_elementwise.mod(a, b, fmod=True), [1, -1, 1, -1])


def test_space_and_depth_are_inverse() -> None:
    x = RNG.normal(size=(2, 12, 3, 5))
    y = nn_move.depth_to_space(x, blocksize=2, mode="DCR")
    np.testing.assert_array_equal(nn_move.space_to_depth(y, blocksize=2), x)


def test_half_is_rounded_once() -> None:
    x = np.array([1 + 2**-10], np.float16)
    (argument,) = Block(arg_types=[nn.tensor_type((1,), "f16")]).args
    op = nn.ReduceOp(nn.MulOp(argument, argument), "sum", (0,))
    square = evaluate(nn.MulOp(argument, argument), [x, x])
    assert square.dtype == np.float16
    assert square[0] == np.float16(np.float32(x[0]) ** 2)
    assert evaluate(op, [square]).dtype == np.float16


GROUP = """
func.func @main(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2xf32>) attributes {input_names = ["in"]} {
  %w = nn.constant #nn.blob<splat 2.0 : tensor<3xf32>> : tensor<3xf32>
  %y, %z = nn.group "G" (%x, %w) from ["a"] {
  ^bb0(%a: tensor<2x3xf32>, %b: tensor<3xf32>):
    %0 = nn.mul %a, %b : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
    %1 = nn.reduce %0 kind max axes [1] : (tensor<2x3xf32>) -> tensor<2xf32>
    nn.yield %0, %1 : tensor<2x3xf32>, tensor<2xf32>
  } : (tensor<2x3xf32>, tensor<3xf32>) -> (tensor<2x3xf32>, tensor<2xf32>)
  func.return %y, %z : tensor<2x3xf32>, tensor<2xf32>
}
"""


def test_groups() -> None:
    context = Context()
    for dialect in (Builtin, Func, nn.NN):
        context.load_dialect(dialect)
    module = Parser(context, GROUP).parse_module()
    module.verify()
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y, z = run_module(module, {"in": x}, WeightStore())
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(z, [4, 10])
