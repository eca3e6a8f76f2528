"""Reductions of two to four numbers each, as elementwise work on parts (`nn_short_axes`)."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.session import InferenceSession
from onnx import TensorProto, helper, numpy_helper

NUMPY = {
    "ReduceSum": np.sum, "ReduceMean": np.mean, "ReduceMax": np.max, "ReduceMin": np.min,
    "ReduceSumSquare": lambda x, axis, keepdims: np.sum(x * x, axis, keepdims=keepdims),
}  # fmt: skip


def check(
    op: str, shape: tuple[int, ...], axis: int, dtype: int, soc: str = "Ascend310P3", keepdims: int = 0
):
    axes = numpy_helper.from_array(np.array([axis]), "axes")
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "axes"], ["y"], keepdims=keepdims)], "few",
        [helper.make_tensor_value_info("x", dtype, shape)], [helper.make_tensor_value_info("y", dtype, None)], [axes],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    compiled = compile_model(model.SerializeToString(), CompileOptions(soc=soc, verify=True))
    session = InferenceSession(compiled.bytes, sanitize=True)
    kind = np.float16 if dtype == TensorProto.FLOAT16 else np.float32
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float16).astype(kind)
    got = session.run(None, {"x": x})[0]
    want = NUMPY[op](x.astype(np.float64), axis, keepdims=bool(keepdims))
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-3)
    return session.report


@pytest.mark.parametrize("soc", ["Ascend310P3", "Ascend310", "Ascend910A"])
@pytest.mark.parametrize("op", NUMPY)
def test_last_axis(op: str, soc: str):
    check(op, (51, 173, 2), 2, TensorProto.FLOAT, soc)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize(
    "shape, axis",
    [((3, 8200), 0), ((5, 4, 1700), 1), ((9, 3, 1001, 1), 1), ((1024, 4, 9), 1), ((4100, 2, 2), 2)],
)
def test_other_axes(shape: tuple[int, ...], axis: int, dtype: int):
    check("ReduceSum", shape, axis, dtype, keepdims=1)


def test_pairs_are_fast():
    """Rows of two numbers would fill a sixteenth of each repeat: 13 cycles a row instead of a few for sixteen."""
    report = check("ReduceSum", (309, 172, 2), 2, TensorProto.FLOAT)
    assert report.cycles < 20_000
