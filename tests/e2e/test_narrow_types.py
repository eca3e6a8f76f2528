"""Types that no instruction takes, where their values fit one that does: 2- and 4-bit integers, sums of 64 bits."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from ascend_mlir.runtime.onnx_backend import AscendBackend
from onnx import TensorProto, helper

PARTS = {
    "INT4": ml_dtypes.int4, "UINT4": ml_dtypes.uint4, "INT2": ml_dtypes.int2, "UINT2": ml_dtypes.uint2,
}  # fmt: skip
OTHERS = {
    "FLOAT": np.float32, "FLOAT16": np.float16, "INT32": np.int32, "INT8": np.int8, "UINT8": np.uint8, "INT64": np.int64,
}  # fmt: skip


def run(nodes, inputs, outputs, feed, opset=25):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, t, v.shape) for (n, t), v in zip(inputs, feed, strict=True)],
        [helper.make_tensor_value_info(n, t, None) for n, t in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    for chip in ("Ascend310P3", "Ascend310"):
        prepared = type("Backend", (AscendBackend,), {"soc": chip}).prepare(model)
        (result,) = prepared.run(feed)
        assert prepared.engine_counts["aicpu"] == 0
        yield result


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("part", PARTS)
def test_parts_of_bytes(part: str, other: str) -> None:
    kind, wide = PARTS[part], OTHERS[other]
    codes = getattr(TensorProto, part), getattr(TensorProto, other)
    every = np.arange(16 if "4" in part else 4, dtype=np.uint8).repeat(3).view(kind)
    node = helper.make_node("Cast", ["x"], ["y"], to=codes[1])
    for got in run([node], [("x", codes[0])], [("y", codes[1])], [every]):
        np.testing.assert_array_equal(got, every.astype(np.int8).astype(wide))
    numbers = np.array([-200, -129, -20, -9.7, -8, -1.2, 0, 0.9, 3, 7.6, 8, 15, 17, 127, 250, 300])
    if wide in (np.int32, np.int64):
        numbers = np.concatenate([numbers, [2**31 - 1, -(2**31), 70000, -70001]])
    x = (numbers if np.issubdtype(wide, np.floating) else numbers.astype(np.int64)).astype(wide)
    node = helper.make_node("Cast", ["x"], ["y"], to=codes[0])
    whole = np.trunc(x.astype(np.float64)).astype(np.int64)
    wanted = whole.astype(np.uint8).view(kind).astype(np.int8)
    for got in run([node], [("x", codes[1])], [("y", codes[0])], [x]):
        np.testing.assert_array_equal(got.astype(np.int8), wanted)


@pytest.mark.parametrize("target", ["INT8", "UINT8"])
def test_whole_numbers_keep_their_low_bits(target: str) -> None:
    x = np.array([0, 1, -1, 127, 128, 255, 256, 2049, -4465, 70001, -70001, 2**31 - 1, -(2**31)], np.int32)
    node = helper.make_node("Cast", ["x"], ["y"], to=getattr(TensorProto, target))
    for got in run([node], [("x", TensorProto.INT32)], [("y", getattr(TensorProto, target))], [x]):
        np.testing.assert_array_equal(got, x.astype(OTHERS[target]))


def test_sums_that_are_only_compared() -> None:
    """x - 5 + 3 < k at the ends of 32 bits, where the sums do not fit."""
    x = np.array([-(2**31), -(2**31) + 1, -7, 0, 9, 10, 11, 2**31 - 2, 2**31 - 1], np.int64)
    const = [helper.make_node("Constant", [], [n], value_ints=[v]) for n, v in (("a", 5), ("b", 3), ("k", 8))]
    nodes = [
        *const,
        helper.make_node("Sub", ["x", "a"], ["s"]),
        helper.make_node("Add", ["b", "s"], ["t"]),
        helper.make_node("Less", ["t", "k"], ["y"]),
    ]
    for got in run(nodes, [("x", TensorProto.INT64)], [("y", TensorProto.BOOL)], [x]):
        np.testing.assert_array_equal(got, x - 5 + 3 < 8)


def test_sums_that_are_given_out_keep_their_bits() -> None:
    """The same sum as an output needs more than 32 bits: the AI CPU's."""
    x = np.array([-(2**31), 2**31 - 1], np.int64)
    nodes = [
        helper.make_node("Constant", [], ["a"], value_ints=[5]),
        helper.make_node("Sub", ["x", "a"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.INT64, [2])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    prepared = AscendBackend.prepare(model)
    np.testing.assert_array_equal(prepared.run([x])[0], x - 5)
    assert prepared.engine_counts["aicpu"] == 1
