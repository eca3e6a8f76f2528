"""Indices outside of an axis: the same result in every way to gather and scatter, and a refusal where they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.onnx_backend import AscendBackend
from onnx import ModelProto, helper, numpy_helper

RNG = np.random.default_rng(3)
LENGTH = 6
OUTSIDE = np.array([-1, 5, 6, 9, -6, -7, -100, 1000, 0, 3], np.int64)
NEAREST = np.clip(OUTSIDE, -LENGTH, LENGTH - 1)


def build(op: str, arrays: dict[str, np.ndarray], known: tuple[str, ...], **attributes: Any) -> ModelProto:
    code = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        [helper.make_node(op, list(arrays), ["y"], name="pick", **attributes)],
        "g",
        [helper.make_tensor_value_info(n, code(a.dtype), a.shape) for n, a in arrays.items() if n not in known],
        [helper.make_tensor_value_info("y", code(arrays["x"].dtype), None)],
        [numpy_helper.from_array(arrays[n], n) for n in known],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def run(model: ModelProto, arrays: dict[str, np.ndarray], known: tuple[str, ...] = ()) -> np.ndarray:
    return AscendBackend.prepare(model).run([a for n, a in arrays.items() if n not in known])[0]


@pytest.mark.parametrize("known", [(), ("x",)], ids=["computed", "constant"])
@pytest.mark.parametrize("kind", ["f4", "i4"])
@pytest.mark.parametrize("width", [3, 16], ids=["product", "address"])
def test_gather(width: int, kind: str, known: tuple[str, ...]) -> None:
    table = (RNG.standard_normal((LENGTH, width)) * 50).astype(np.float16).astype(kind)
    arrays = {"x": table, "i": OUTSIDE}
    got = run(build("Gather", arrays, known), arrays, known)
    np.testing.assert_allclose(got, table[NEAREST], rtol=1e-3)


@pytest.mark.parametrize("kind", ["f4", "i4"])
def test_gather_elements(kind: str) -> None:
    table = (RNG.standard_normal((LENGTH, 10)) * 50).astype(np.float16).astype(kind)
    arrays = {"x": table, "i": OUTSIDE[None]}
    got = run(build("GatherElements", arrays, ()), arrays)
    np.testing.assert_allclose(got, np.take_along_axis(table, NEAREST[None], 0), rtol=1e-3)


def test_gather_nd() -> None:
    table = RNG.standard_normal((LENGTH, 2, 3)).astype(np.float16).astype(np.float32)
    pairs = np.stack([OUTSIDE, np.array([0, 1, 5, -3, -2, 0, 1, 1, 0, 1])], 1)
    arrays = {"x": table, "i": pairs}
    want = table[NEAREST, np.clip(pairs[:, 1], -2, 1)]
    np.testing.assert_allclose(run(build("GatherND", arrays, ()), arrays), want, rtol=1e-3)


def test_scatter_elements() -> None:
    """Places apart from each other, so that the order of updates does not matter."""
    table, updates = np.zeros((1, LENGTH), np.float32), np.array([[1, 2, 3]], np.float32)
    arrays = {"x": table, "i": np.array([[9, -50, 2]]), "u": updates}
    got = run(build("ScatterElements", arrays, (), axis=1), arrays)
    np.testing.assert_array_equal(got, [[2, 0, 3, 0, 0, 1]])


@pytest.mark.parametrize("op", ["Gather", "GatherElements", "GatherND"])
def test_a_known_index_is_refused(op: str) -> None:
    index = np.array([[2], [6]])
    for known in (("i",), ("x", "i")):
        arrays = {"x": RNG.standard_normal((LENGTH, 1)).astype(np.float32), "i": index}
        with pytest.raises(AscendError, match="index 6 of an axis of 6"):
            run(build(op, arrays, known), arrays, known)
