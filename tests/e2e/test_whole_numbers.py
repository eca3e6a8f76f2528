"""Whole numbers of 32 bits to f32 and back, exact on every chip: Ascend310 converts through f16 only, and f16 ends at 2048."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.session import InferenceSession
from onnx import TensorProto, helper

SOCS = ["Ascend310", "Ascend310P3", "Ascend910A"]
EDGES = [
    0,
    1,
    2047,
    2048,
    2049,
    65503,
    65505,
    2**22 - 1,
    2**22,
    2**23 - 1,
    2**23,
    2**23 + 1,
    2**24 + 1,
    2**25 + 3,
    2**31 - 1,
]


def ran(kind: str, x: np.ndarray, to: int, soc: str, **others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    feed = {"x": x, **others}
    attributes = {"to": to} if kind == "Cast" else {}
    graph = helper.make_graph(
        [helper.make_node(kind, list(feed), ["y"], **attributes)], "g",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feed.items()],
        [helper.make_tensor_value_info("y", to, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (want,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    compiled = compile_model(model, CompileOptions(soc=soc, precision="force_fp32"))
    session = InferenceSession(compiled.bytes, sanitize=True)
    (got,) = session.run(None, feed)
    assert session.engine_counts["aicpu"] == 0
    return got, np.asarray(want)


@pytest.mark.parametrize("soc", SOCS)
def test_to_f32(soc: str) -> None:
    rng = np.random.default_rng(0)
    edges = np.array([s * v for v in EDGES for s in (1, -1)] + [-(2**31)])
    drawn = rng.integers(-(2**31), 2**31, 500) >> rng.integers(0, 31, 500)
    got, want = ran("Cast", np.concatenate([edges, drawn]).astype(np.int32), TensorProto.FLOAT, soc)
    assert np.array_equal(got, want)


@pytest.mark.parametrize("soc", SOCS)
def test_from_f32(soc: str) -> None:
    rng = np.random.default_rng(1)
    whole = np.array([v for v in EDGES if v < 2**31 - 1], np.float32)
    near = np.concatenate(
        [whole, np.nextafter(whole, np.float32(0)), np.nextafter(whole, np.float32(np.inf))]
    )
    drawn = (rng.standard_normal(500) * 2.0 ** rng.integers(-3, 29, 500)).astype(np.float32)
    x = np.concatenate([near, -near, drawn, [2147483520.0, 0.5, -0.5, -0.0, 1e-38]]).astype(np.float32)
    got, want = ran("Cast", x, TensorProto.INT32, soc)
    assert np.array_equal(got, want)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("kind", ["Div", "Mod"])
def test_division(kind: str, soc: str) -> None:
    rng = np.random.default_rng(2)
    x = (rng.integers(-(2**31), 2**31, 300) >> rng.integers(0, 31, 300)).astype(np.int32)
    by = (rng.integers(1, 2**31, 300) >> rng.integers(0, 30, 300)).clip(1).astype(np.int32)
    got, want = ran(kind, x, TensorProto.INT32, soc, z=by)
    assert np.array_equal(got, want)


@pytest.mark.parametrize("soc", SOCS)
def test_float_arithmetic_between_integers(soc: str) -> None:
    """Positions halved and rounded down in floats, as exporters write it: f32 in every mode, since f16 ends at 2048."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], "to_float", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "half"], ["h"], "halved"),
        helper.make_node("Floor", ["h"], ["g"], "down"),
        helper.make_node("Cast", ["g"], ["y"], "to_index", to=TensorProto.INT32),
        helper.make_node("Relu", ["f"], ["r"], "beside"),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.INT32, [600])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None), helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
        [helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.arange(-300, 300, dtype=np.int32) * 677
    session = InferenceSession(compile_model(model, CompileOptions(soc=soc)).bytes, sanitize=True)
    halves, _ = session.run(None, {"x": x})
    assert np.array_equal(halves, np.floor(x * 0.5).astype(np.int32))


def test_a_kept_op_reads_what_is_there_in_f32() -> None:
    """An input that another op reads in f16 is not rounded for one that stays in f32."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["a"], "half"), helper.make_node("Mul", ["x", "two"], ["b"], "kept")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("a", "b")],
        [helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.random.default_rng(3).standard_normal(64).astype(np.float32)
    compiled = compile_model(model, CompileOptions(keep_dtype=("kept",)))
    (half, kept) = InferenceSession(compiled.bytes).run(None, {"x": x})
    assert np.array_equal(kept, 2 * x) and not np.array_equal(half, np.maximum(x, 0))
