"""Operators on integers, truth values and indices through the whole compiler and the simulator, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.runtime.errors import UnsupportedOpError
from ascend_mlir.runtime.onnx_backend import AscendBackend
from onnx import helper, numpy_helper

CHIPS = ("Ascend310P3", "Ascend310", "Ascend910A")
RNG = np.random.default_rng(11)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float16).astype(np.float32)


def i64(low: int, high: int, *shape: int) -> np.ndarray:
    return RNG.integers(low, high, shape).astype(np.int64)


def i32(low: int, high: int, *shape: int) -> np.ndarray:
    return RNG.integers(low, high, shape).astype(np.int32)


def u8(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def weights(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


DISTINCT = RNG.permutation(2 * 3 * 17).astype(np.float32).reshape(2, 3, 17)
CASES: dict[str, tuple[str, list[np.ndarray], list[np.ndarray], dict[str, Any]]] = {
    "gather-elements": ("GatherElements", [f32(3, 7, 5), i64(-7, 7, 3, 4, 5)], [], {"axis": 1}),
    "gather-nd": ("GatherND", [f32(4, 5, 6), i64(-4, 4, 3, 2)], [], {}),
    "gather-nd-ints": ("GatherND", [i32(-(2**31), 2**31, 4, 5), i64(0, 4, 7, 2)], [], {}),
    "gather-ints": ("Gather", [i32(-(2**31), 2**31, 9, 3), i64(-9, 9, 4)], [], {}),
    "gather-rows": ("Gather", [f32(9, 48), i64(-9, 9, 2, 5)], [], {}),
    "gather-rows-ints": ("Gather", [i32(-(2**31), 2**31, 9, 16), i32(-9, 9, 40)], [], {}),
    "gather-middle-axis": ("Gather", [f32(2, 9, 16), i64(-9, 9, 7)], [], {"axis": 1}),
    "scatter-elements": ("ScatterElements", [f32(3, 9), np.array([[4, 1], [0, 8]]), f32(2, 2)], [], {"axis": 1}),
    "scatter-add": ("ScatterElements", [f32(3, 9), i64(0, 9, 2, 4), f32(2, 4)], [], {"axis": 1, "reduction": "add"}),
    "scatter-nd": ("ScatterND", [f32(5, 6), np.array([[3], [1]]), f32(2, 6)], [], {}),
    "scatter-nd-known": ("ScatterND", [f32(5, 6)], [np.array([[3], [1]]), f32(2, 6)], {}),
    "arg-max": ("ArgMax", [f32(4, 33)], [], {"axis": 1}),
    "arg-min-last": ("ArgMin", [f32(4, 33)], [], {"axis": 0, "select_last_index": 1}),
    "arg-max-ints": ("ArgMax", [i32(-(2**30), 2**30, 4, 9)], [], {"axis": 1}),
    "top-k": ("TopK", [DISTINCT], [np.array([4])], {"axis": 2}),
    "top-k-ties": ("TopK", [np.array([[1, 3, 3, 2, 3]], np.float32)], [np.array([4])], {}),
    "top-k-smallest": ("TopK", [DISTINCT], [np.array([2])], {"axis": 1, "largest": 0}),
    "cum-sum": ("CumSum", [f32(3, 37)], [np.array(1)], {}),
    "cum-sum-reverse": ("CumSum", [i32(-(2**31), 2**31, 3, 11)], [np.array(1)], {"reverse": 1, "exclusive": 1}),
    "shift-left": ("BitShift", [u8(3, 17), RNG.integers(0, 9, (3, 17)).astype(np.uint8)], [], {"direction": "LEFT"}),
    "shift-right": ("BitShift", [u8(3, 17), RNG.integers(0, 9, (3, 17)).astype(np.uint8)], [], {"direction": "RIGHT"}),
    "bit-and": ("BitwiseAnd", [i32(-(2**31), 2**31, 5, 7), i32(-(2**31), 2**31, 7)], [], {}),
    "bit-xor": ("BitwiseXor", [u8(5, 7), u8(5, 7)], [], {}),
    "bit-not": ("BitwiseNot", [i32(-(2**31), 2**31, 5, 7)], [], {}),
    "pow-ints": ("Pow", [i32(-5, 6, 4, 5), i32(0, 6, 4, 5)], [], {}),
    "trilu-i64": ("Trilu", [i64(-(2**31), 2**31, 5, 6)], [], {"upper": 0}),
    "where-i64": ("Where", [RNG.random((4, 1)) > 0.5, i64(-9, 9, 4, 6), i64(-9, 9, 6)], [], {}),
    "compare-i64": ("Less", [i64(-(2**31), 2**31, 4, 6), i64(-(2**31), 2**31, 1, 6)], [], {}),
    "add-i64": ("Add", [i64(-(2**40), 2**40, 4, 6), i64(-(2**40), 2**40, 4, 6)], [], {}),
    "quantize": ("QuantizeLinear", [f32(3, 17)], [np.float32(0.03), np.uint8(100)], {}),
    "quantize-axis": ("QuantizeLinear", [f32(3, 17)], [np.abs(f32(3)) / 50 + np.float32(0.01), i64(-9, 9, 3).astype(np.int8)], {"axis": 0}),
    "dequantize": ("DequantizeLinear", [u8(3, 17)], [np.float32(0.03), np.uint8(100)], {}),
    "dynamic-quantize": ("DynamicQuantizeLinear", [f32(3, 17)], [], {}),
    "matmul-integer": ("MatMulInteger", [u8(5, 300), u8(300, 7)], [np.uint8(3), np.uint8(128)], {}),
    "conv-integer": ("ConvInteger", [u8(1, 3, 7, 6), u8(4, 3, 3, 3)], [np.uint8(9)], {"pads": [1, 1, 1, 1]}),
    "lstm": (
        "LSTM", [f32(5, 2, 8)], [weights(2, 64, 8), weights(2, 64, 16), weights(2, 128)], {"hidden_size": 16, "direction": "bidirectional"},
    ),
    "gru": ("GRU", [f32(5, 1, 8)], [weights(1, 48, 8), weights(1, 48, 16), weights(1, 96)], {"hidden_size": 16, "linear_before_reset": 1}),
    "gru-short-rows": (
        "GRU",
        [f32(20, 1, 4)],
        [weights(2, 12, 4), weights(2, 12, 4)],
        {"hidden_size": 4, "direction": "bidirectional"},
    ),
    "rnn-reverse": ("RNN", [f32(4, 3, 8)], [weights(1, 16, 8), weights(1, 16, 16)], {"hidden_size": 16, "direction": "reverse"}),
    "grid-sample": ("GridSample", [f32(1, 3, 5, 6), np.clip(f32(1, 4, 3, 2), -1.2, 1.2)], [], {"padding_mode": "reflection"}),
    "grid-sample-cubic": (
        "GridSample", [f32(1, 3, 5, 6), np.clip(f32(1, 4, 3, 2), -0.7, 0.7)], [], {"mode": "cubic", "padding_mode": "border"},
    ),
    "einsum": ("Einsum", [f32(2, 3, 5), f32(2, 5, 4)], [], {"equation": "bij,bjk->bik"}),
    "einsum-diagonal": ("Einsum", [f32(3, 4, 4)], [], {"equation": "...ii->...i"}),
    "non-zero": ("NonZero", [np.array([[0, 1, 0], [2, 0, 3]], np.float32)], [], {}),
    "max-pool-indices": (
        "MaxPool", [RNG.permutation(192).astype(np.float32).reshape(2, 3, 4, 8)], [], {"kernel_shape": [2, 2], "strides": [2, 2]},
    ),
    "asinh": ("Asinh", [f32(2, 33)], [], {}),
    "acos": ("Acos", [np.clip(f32(2, 33), -1, 1)], [], {}),
}  # fmt: skip
OUTPUTS = {"TopK": 2, "DynamicQuantizeLinear": 3, "LSTM": 3, "GRU": 2, "RNN": 2}
ON_THE_AI_CPU = {"add-i64", "non-zero"}
NOT_ON = {
    # a mask of bytes, one per row, needs counter mode
    "scatter-nd": ("Ascend310", "Ascend910A"),
}
OFF_BY_ONE = {("dynamic-quantize", "Ascend310"), ("quantize", "Ascend310")}
"""310 divides by Newton steps and rounds through f16."""
OPSETS = {
    "GridSample": 20,
    "BitwiseAnd": 18,
    "BitwiseXor": 18,
    "BitwiseNot": 18,
    "ScatterElements": 18,
    "ScatterND": 18,
}


def build(case: str) -> tuple[onnx.ModelProto, list[np.ndarray]]:
    op, inputs, constants, attributes = CASES[case]
    names = [f"x{i}" for i in range(len(inputs))]
    initializers = [numpy_helper.from_array(np.asarray(c), f"c{i}") for i, c in enumerate(constants)]
    count = 2 if case == "max-pool-indices" else OUTPUTS.get(op, 1)
    outputs = [f"y{i}" for i in range(count)]
    node = helper.make_node(op, [*names, *(t.name for t in initializers)], outputs, name=case, **attributes)
    graph = helper.make_graph(
        [node],
        case,
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for n, x in zip(names, inputs, strict=True)
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        initializers,
    )
    opset = OPSETS.get(op, 17)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model, inputs


@pytest.mark.parametrize("soc", CHIPS)
@pytest.mark.parametrize("case", CASES)
def test_typed_operator(case: str, soc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_SOC", soc)
    monkeypatch.setenv("ASCEND_SANITIZE", "1")
    model, inputs = build(case)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {f"x{i}": x for i, x in enumerate(inputs)})
    prepared = AscendBackend.prepare(model)
    if soc in NOT_ON.get(case, ()):
        with pytest.raises(UnsupportedOpError, match=case):
            prepared.run(inputs)
        return
    found = prepared.run(inputs)
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        if want.dtype.kind == "f":
            np.testing.assert_allclose(got, want, rtol=4e-3, atol=4e-3)
        elif (case, soc) in OFF_BY_ONE:
            assert np.abs(got.astype(int) - want.astype(int)).max() <= 1
        else:
            np.testing.assert_array_equal(got, want)
    assert bool(prepared.engine_counts["aicpu"]) == (case in ON_THE_AI_CPU)


@pytest.mark.parametrize("soc", CHIPS)
@pytest.mark.parametrize("width", [64, 50, 3])
def test_lookup_in_a_table_of_weights(width: int, soc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are no whole blocks are padded, and very short ones are chosen by a product: the numbers are the table's."""
    monkeypatch.setenv("ASCEND_SOC", soc)
    monkeypatch.setenv("ASCEND_SANITIZE", "1")
    table = f32(40, width)
    given = [helper.make_tensor_value_info("i", onnx.TensorProto.INT64, (3, 5))]
    graph = helper.make_graph(
        [helper.make_node("Gather", ["w", "i"], ["y"])], "lookup", given, [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(table, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    indices = i64(-40, 40, 3, 5)
    got = AscendBackend.prepare(model).run([indices])[0]
    assert np.array_equal(got, table[indices])
