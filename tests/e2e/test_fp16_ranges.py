"""Models whose values leave fp16: `atc` names nodes and ranges, and the flag that it recommends makes them right."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.tools.atc import main
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]
RNG = np.random.default_rng(0)
WIDE = (RNG.standard_normal((64, 64)) * 50).astype(np.float32)
X = RNG.standard_normal((8, 64)).astype(np.float32)


def build(
    nodes: Sequence[NodeProto], weights: Mapping[str, Array], shape: Sequence[int] = (8, 64)
) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def squares() -> onnx.ModelProto:
    """|a²| / 1000: a² reaches 10⁶. (Roots of squares are computed in f32 without being asked.)"""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "proj"),
        helper.make_node("Mul", ["a", "a"], ["b"], "square"),
        helper.make_node("Abs", ["b"], ["c"], "size"),
        helper.make_node("Div", ["c", "k"], ["y"], "scale"),
    ]
    return build(nodes, {"w": WIDE, "k": np.float32(1000)})


def products() -> onnx.ModelProto:
    """A matrix product with a bias that leaves fp16 itself, normalised by its root mean square."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "proj"),
        helper.make_node("Add", ["a", "b"], ["s"], "bias"),
        helper.make_node("Pow", ["s", "two"], ["p"], "power"),
        helper.make_node("ReduceMean", ["p"], ["m"], "mean", axes=[1]),
        helper.make_node("Sqrt", ["m"], ["r"], "rms"),
        helper.make_node("Div", ["s", "r"], ["y"], "norm"),
    ]
    bias = (np.random.default_rng(1).standard_normal(64) * 1e5).astype(np.float32)
    return build(nodes, {"w": WIDE * 60, "b": bias, "two": np.float32(2)})


def convolution() -> onnx.ModelProto:
    """The same by a convolution with bias, brought back by a root and a small factor."""
    weights = {
        "w": (np.random.default_rng(2).standard_normal((8, 4, 3, 3)) * 4e3).astype(np.float32),
        "b": np.linspace(-1e5, 1e5, 8, dtype=np.float32),
        "low": np.float32(1e-3),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["c"], ["a"], "abs"),
        helper.make_node("Sqrt", ["a"], ["r"], "root"),
        helper.make_node("Mul", ["r", "low"], ["y"], "scale"),
    ]
    return build(nodes, weights, (1, 4, 8, 8))


def masked() -> onnx.ModelProto:
    """Scores with masks of -1e9, of -3.4e38 and (mask - 1)·1e9: what they take out may saturate."""
    keep = np.tril(np.ones((8, 64), np.float32))
    weights = {
        "causal": np.where(keep > 0, 0, np.finfo(np.float32).min).astype(np.float32),
        "padding": np.where(np.arange(64) < 60, 1, 0).astype(np.float32),
        "one": np.float32(1),
        "many": np.float32(1e9),
    }
    nodes = [
        helper.make_node("Add", ["x", "causal"], ["a"], "add_causal"),
        helper.make_node("Sub", ["padding", "one"], ["d"], "missing"),
        helper.make_node("Mul", ["d", "many"], ["e"], "minus"),
        helper.make_node("Add", ["a", "e"], ["s"], "add_padding"),
        helper.make_node("Softmax", ["s"], ["y"], "softmax", axis=1),
    ]
    return build(nodes, weights)


def reference(model: onnx.ModelProto, x: Array) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def atc(*words: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    assert isinstance(done.value.code, int)
    return done.value.code


def error(path: str, model: onnx.ModelProto) -> float:
    """Largest, in units of the largest value."""
    x = X if model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 8 else X.reshape(2, 4, 8, 8)[:1]
    want = reference(model, x)
    got = InferenceSession(path).run(None, {"x": x})[0]
    return float(np.abs(got - want).max() / np.abs(want).max())


@pytest.mark.parametrize(
    ("make", "first", "low", "high"),
    [(squares, "square", 0, 2e6), (products, "bias", -5e5, 5e5), (convolution, "conv", -5e5, 5e5)],
)
def test_the_recommended_flag_makes_it_right(
    make: Any, first: str, low: float, high: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    model = make()
    onnx.save(model, "m.onnx")
    assert atc("convert", "m.onnx") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "--keep_dtype=FILE with a line" in line]
    names = [line.split("with a line ")[1].split()[0] for line in lines]
    assert names and names[0] == first, lines
    found = re.search(r"reach from (\S+) to (\S+),", lines[0])
    assert found is not None
    reached = [float(word) for word in found.groups()]
    assert max(map(abs, reached)) > 65504 and all(low <= value <= high for value in reached)
    before = error("m.om", model)
    Path("keep.txt").write_text("\n".join(names))
    assert atc("convert", "m.onnx", "--keep_dtype=keep.txt") == 0
    assert "keeps it in fp32" not in capsys.readouterr().out
    assert not before < 0.1 and error("m.om", model) < 2e-3


def test_masks_raise_no_alarm() -> None:
    compiled = compile_model(masked(), CompileOptions())
    assert not compiled.warnings
    got = InferenceSession(compiled.om).run(None, {"x": X})[0]
    assert np.abs(got - reference(masked(), X)).max() < 2e-3


def test_what_real_inputs_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Small weights: nothing is to be expected. With large inputs the comparison finds node, range and readers."""
    monkeypatch.chdir(tmp_path)
    model = squares()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(WIDE / 50, "w"))
    onnx.save(model, "m.onnx")
    assert atc("convert", "m.onnx") == 0
    assert "keep_dtype" not in capsys.readouterr().out
    np.savez("large.npz", x=X * 60)
    words = ["precision-compare", "m.onnx", "m.om", "--input=large.npz", "--layer_level", "--json"]
    assert atc(*words) == 1
    found, other = json.loads(capsys.readouterr().out)["leaving_fp16"]
    assert (other["node"], other["readers"]) == ("size", ["scale"])
    assert (found["node"], found["readers"]) == ("square", ["size"]) and found["high"] > 65504
    Path("keep.txt").write_text("square\nsize\nscale\n")
    assert atc("convert", "m.onnx", "--keep_dtype=keep.txt") == 0
    capsys.readouterr()
    assert atc(*words) == 0
    assert json.loads(capsys.readouterr().out)["leaving_fp16"] == []


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_what_comes_behind_a_recurrence_is_named(kind: str) -> None:
    """States are within 1; what is made of them is estimated as everything else is."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    rng = np.random.default_rng(4)
    weights: dict[str, Array] = {
        "w": (rng.standard_normal((1, gates * 32, 16)) * 0.3).astype(np.float32),
        "r": (rng.standard_normal((1, gates * 32, 32)) * 0.3).astype(np.float32),
        "large": np.array(3000, np.float32),
        "small": np.array(1e-5, np.float32),
    }
    nodes = [
        helper.make_node(kind, ["x", "w", "r"], ["h"], "state", hidden_size=32),
        helper.make_node("Mul", ["h", "large"], ["m"], "raised"),
        helper.make_node("Mul", ["m", "m"], ["q"], "squared"),
        helper.make_node("Mul", ["q", "small"], ["y"], "lowered"),
    ]
    model = build(nodes, weights, (10, 2, 16))
    found = {warning.node: warning.source for warning in compile_model(model, CompileOptions()).warnings}
    assert found == {"squared": "", "lowered": "'squared'"}
    kept = compile_model(model, CompileOptions(keep_dtype=("raised", "squared", "lowered")))
    assert kept.warnings == ()
    x = rng.standard_normal((10, 2, 16)).astype(np.float32)
    (want,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    (got,) = InferenceSession(kept.bytes).run(None, {"x": x})
    assert np.abs(got - np.asarray(want)).max() <= 4e-3 * np.abs(np.asarray(want)).max()
