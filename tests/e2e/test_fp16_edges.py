"""Constants and values at the edges of fp16: each model is either right, or `atc` names nodes that make it right in f32.

What a chip computes in silence is looked for here: weights beyond 65504, weights and squares so small that f16 keeps few of
their bits, epsilons that f16 makes zero of, borders and tables of large numbers, angles of large positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.lowering.pipelines import CompiledModel, CompileOptions, compile_model
from ascend_mlir.runtime.session import InferenceSession
from onnx import NodeProto, TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)
ROWS, IMAGES = (8, 64), (1, 4, 8, 8)
TOLERANCE = 5e-3


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def number(value: float) -> np.ndarray:
    return np.float32(value)


def node(op: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs.split(), [output], output, **attributes)


SCALED = node("Mul", "x k", "z")
WEIGHT, FILTERS, SELECTED = f32(64, 64) / 8, f32(4, 4, 3, 3), f32(8, 64) > 0
ONES, ZEROS = np.ones(64, np.float32), np.zeros(64, np.float32)
RMS = [
    SCALED, node("Mul", "z z", "q"), node("ReduceMean", "q", "v", axes=[1]), node("Add", "v e", "a"),
    node("Sqrt", "a", "s"), node("Div", "z s", "y"),
]  # fmt: skip
Case = tuple[Sequence[NodeProto], Mapping[str, Any], Sequence[int]]
RIGHT: dict[str, Case] = {
    # computed in f16 by default, and right
    "weights-large": ([SCALED, node("MatMul", "z w", "y")], {"w": WEIGHT * 3e5, "k": number(1e-3)}, ROWS),
    "weight-one-large": (
        [node("MatMul", "x w", "a"), node("Mul", "a k", "y")],
        {"w": np.where(np.arange(4096).reshape(64, 64) == 77, 1e5, WEIGHT).astype(np.float32), "k": number(1e-4)}, ROWS,
    ),
    "filters-large": (
        [SCALED, node("Conv", "z w b", "y", pads=[1] * 4)],
        {"w": FILTERS * 1e5, "b": f32(4), "k": number(1e-3)}, IMAGES,
    ),
    "weights-small": (
        [node("MatMul", "x w", "a"), node("Add", "a b", "y")], {"w": WEIGHT * 1e-3, "b": ONES / 1000}, ROWS,
    ),
    "norm-epsilon-1e-12": (
        [SCALED, node("LayerNormalization", "z s b", "y", epsilon=1e-12)],
        {"k": number(1e-3), "s": ONES, "b": ZEROS}, ROWS,
    ),
    "rms-epsilon-1e-8": (RMS, {"k": number(0.02), "e": number(1e-8)}, ROWS),
    "rms-of-hundreds": (RMS, {"k": number(1000), "e": number(1e-6)}, ROWS),
    "quotient-epsilon-1e-10": (
        [node("Abs", "x", "b"), node("Add", "b e", "a"), node("Div", "x a", "y")], {"e": number(1e-10)}, ROWS,
    ),
    "bound-1e-10": (
        [node("Abs", "x", "b"), node("Clip", "b e", "a"), node("Div", "x a", "y")], {"e": number(1e-10)}, ROWS,
    ),
    "mask-1e9": (
        [node("Where", "c x d", "b"), node("Softmax", "b", "y")], {"c": SELECTED, "d": number(-1e9)}, ROWS,
    ),
    "mask-lowest": (
        [node("Add", "x d", "b"), node("Softmax", "b", "y")],
        {"d": np.where(SELECTED, 0, np.finfo(np.float32).min).astype(np.float32)}, ROWS,
    ),
    "border-lowest": (
        [node("Pad", "x p v", "b"), node("Softmax", "b", "y")], {"p": np.array([0, 1, 0, 1]), "v": number(-3.4e38)}, ROWS,
    ),
    "angles": ([SCALED, node("Sin", "z", "y")], {"k": np.geomspace(1e-4, 1e3, 64, dtype=np.float32)}, ROWS),
    "angles-outer": (
        [node("Reshape", "x shape", "p"), node("MatMul", "p w", "z"), node("Cos", "z", "y")],
        {"shape": np.array([512, 1]), "w": np.geomspace(1e-4, 1e3, 16, dtype=np.float32)[None]}, ROWS,
    ),
}  # fmt: skip
TOLD: dict[str, Case] = {
    # f16 cannot: nodes are named, and right in f32
    "weights-tiny": (
        [node("MatMul", "x w", "a"), node("LayerNormalization", "a s b", "y", epsilon=1e-12)],
        {"w": WEIGHT * 1e-6, "s": ONES, "b": ZEROS}, ROWS,
    ),
    "weights-large-data-tiny": (
        [SCALED, node("MatMul", "z w", "y")], {"w": WEIGHT * 3e5, "k": number(1e-6)}, ROWS,
    ),
    "sum-1e6": ([node("Add", "x k", "a"), node("Div", "a k", "y")], {"k": number(1e6)}, ROWS),
    "bias-1e6": (
        [node("MatMul", "x w", "m"), node("Add", "m k", "a"), node("Sqrt", "a", "y")],
        {"w": WEIGHT, "k": np.linspace(1e5, 1e6, 64, dtype=np.float32)}, ROWS,
    ),
    "divisor-1e-10": ([node("Div", "x d", "a"), node("Mul", "a d", "y")], {"d": number(1e-10)}, ROWS),
    "rms-of-1e-6": (RMS, {"k": number(1e-6), "e": number(1e-14)}, ROWS),
    "factor-1e-7": ([SCALED, node("Mul", "z d", "y")], {"k": number(1e-7), "d": number(1e7)}, ROWS),
    "border-1e6": (
        [node("Pad", "x p v", "z"), node("Mul", "z l", "y")],
        {"p": np.array([0, 1, 0, 1]), "v": number(1e6), "l": number(1e-6)}, ROWS,
    ),
    "joined-1e6": (
        [helper.make_node("Concat", ["x", "c"], ["z"], "z", axis=0), node("Mul", "z l", "y")],
        {"c": np.full((1, 64), 1e6, np.float32), "l": number(1e-6)}, ROWS,
    ),
    "chosen-1e6": (
        [node("Where", "c x d", "z"), node("Mul", "z l", "y")],
        {"c": SELECTED, "d": number(1e6), "l": number(1e-6)}, ROWS,
    ),
    "comparison-1e5": (
        [SCALED, node("Greater", "z t", "g"), node("Cast", "g", "y", to=TensorProto.FLOAT)],
        {"k": number(1.2e5), "t": number(1e5)}, ROWS,
    ),
    "slope-1e5": ([node("PRelu", "x k", "z"), node("Mul", "z l", "y")], {"k": ONES * 1e5, "l": number(1e-5)}, ROWS),
}  # fmt: skip


def build(case: Case) -> onnx.ModelProto:
    nodes, weights, shape = case
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def error(model: onnx.ModelProto, compiled: CompiledModel) -> float:
    """Largest difference, in units of the largest value."""
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    got = InferenceSession(compiled.om).run(None, {"x": x})[0]
    assert np.isfinite(got).all()
    return float(np.abs(got - want).max() / np.abs(want).max())


@pytest.mark.parametrize("soc", ["Ascend310P3", "Ascend310", "Ascend910A"])
@pytest.mark.parametrize("name", RIGHT)
def test_right_without_a_word(name: str, soc: str) -> None:
    model = build(RIGHT[name])
    compiled = compile_model(model, CompileOptions(soc=soc))
    assert not compiled.warnings
    assert error(model, compiled) < TOLERANCE


@pytest.mark.parametrize("name", TOLD)
def test_told_and_right_in_f32(name: str) -> None:
    model = build(TOLD[name])
    named = compile_model(model, CompileOptions())
    assert named.warnings
    for options in (
        CompileOptions(keep_dtype=tuple(w.node for w in named.warnings)),
        CompileOptions(precision="force_fp32"),
    ):
        assert error(model, compile_model(model, options)) < TOLERANCE
    kept = CompileOptions(keep_dtype=tuple(w.node for w in named.warnings))
    assert not compile_model(model, kept).warnings


def test_what_is_added_to_larger_numbers_may_be_small() -> None:
    """A layer scale of 1e-6 (ConvNeXt): what it leaves of a branch does not count in the sum."""
    nodes = [node("MatMul", "x w", "a"), node("Mul", "a k", "b"), node("Add", "x b", "y")]
    model = build((nodes, {"w": WEIGHT, "k": ONES * 1e-6}, ROWS))
    assert not compile_model(model, CompileOptions()).warnings
