"""Forms of operators that the backend suite has one case of, or none: volumes, windows with holes, long rows, cropped
resizing, powers of integers. Against onnxruntime, or onnx's reference where that has no kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.runtime.session import InferenceSession
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = NDArray[Any]
RNG = np.random.default_rng(5)


def both(
    op: str,
    feed: Mapping[str, Array],
    weights: Mapping[str, Array],
    *,
    order: Sequence[str],
    opset: int = 19,
    **attrs: Any,
) -> tuple[Array, Array]:
    """The simulator's result, hazards checked, and the expected one."""
    kind = helper.np_dtype_to_tensor_dtype
    node = helper.make_node(op, list(order), ["y"], op.lower(), **attrs)
    first = next(iter(feed.values()))
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, kind(array.dtype), array.shape) for name, array in feed.items()],
        [helper.make_tensor_value_info("y", kind(first.dtype), None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        want = session.run(None, dict(feed))[0]
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        want = ReferenceEvaluator(model).run(None, dict(feed))[0]
    compiled = compile_model(model, CompileOptions())
    got = InferenceSession(om_bytes(compiled.om), sanitize=True).run(None, dict(feed))[0]
    assert got.shape == want.shape and got.dtype == want.dtype
    return got, want


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def is_close(got: Array, want: Array, limit: float = 4e-3) -> bool:
    return bool(np.abs(got - want).max() <= limit * max(float(np.abs(want).max()), 1e-3))


@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"strides": [2, 2, 2], "output_padding": [1, 0, 1]},
        {"strides": [3, 1, 2], "pads": [1, 0, 1, 2, 1, 0]},
        {"dilations": [2, 1, 1], "pads": [3, 1, 1, 2, 1, 1]},
        {"group": 2, "strides": [2, 1, 1], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2, 2], "output_shape": [7, 9, 8]},
    ],
    ids=str,
)
def test_transposed_convolution_of_volumes(attrs: dict[str, Any]) -> None:
    out = 3 if attrs.get("group", 1) == 2 else 6
    weights = {"w": floats(4, out, 3, 3, 2) * 0.3, "b": floats(6)}
    got, want = both("ConvTranspose", {"x": floats(2, 4, 3, 4, 4)}, weights, order=("x", "w", "b"), **attrs)
    assert is_close(got, want)


@pytest.mark.parametrize(
    ("shape", "attrs"),
    [
        ((1, 3, 5000), {"kernel_shape": [7], "strides": [3], "pads": [3, 2]}),
        ((1, 17, 3000), {"kernel_shape": [40], "dilations": [3]}),
        ((1, 2, 4001), {"kernel_shape": [31], "dilations": [4], "strides": [6], "pads": [9, 5]}),
        ((1, 4, 50, 600), {"kernel_shape": [12, 9], "pads": [3, 4, 5, 2]}),
        (
            (1, 4, 50, 600),
            {"kernel_shape": [5, 6], "dilations": [6, 4], "strides": [4, 8], "pads": [4, 5, 1, 0]},
        ),
        (
            (1, 4, 40, 40),
            {"kernel_shape": [3, 3], "dilations": [2, 3], "strides": [2, 3], "pads": [1, 1, 1, 1]},
        ),
        ((1, 4, 40, 40), {"kernel_shape": [3, 1], "dilations": [2, 1], "strides": [4, 2], "ceil_mode": 1}),
    ],
    ids=str,
)
def test_wide_windows(shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    got, want = both("MaxPool", {"x": floats(*shape)}, {}, order=("x",), **attrs)
    assert np.abs(got - want).max() < 4e-3


@pytest.mark.parametrize("counts", [0, 1])
def test_means_of_windows_with_holes(counts: int) -> None:
    attrs = {"kernel_shape": [3, 2], "dilations": [2, 4], "strides": [2, 2], "pads": [2, 1, 1, 1]}
    got, want = both(
        "AveragePool", {"x": floats(1, 5, 21, 30)}, {}, order=("x",), count_include_pad=counts, **attrs
    )
    assert is_close(got, want)


@pytest.mark.parametrize(
    "attrs",
    [
        {"kernel_shape": [2, 3, 2]},
        {"kernel_shape": [3, 2, 2], "strides": [2, 1, 2], "pads": [1, 0, 1, 0, 1, 1], "p": 3},
        {"kernel_shape": [2, 2, 3], "strides": [2, 2, 2], "p": 1},
    ],
    ids=str,
)
def test_sums_of_powers_of_volumes(attrs: dict[str, Any]) -> None:
    got, want = both("LpPool", {"x": floats(1, 3, 7, 8, 9)}, {}, order=("x",), opset=18, **attrs)
    assert is_close(got, want)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("roi", [(0.2, 0.1, 0.9, 0.7), (-0.25, 0.4, 1.15, 0.6), (0.6, 0.8, 0.1, 0.3)])
def test_cropped_resizing(mode: str, roi: tuple[float, ...]) -> None:
    weights = {
        "roi": np.array([0, 0, *roi[:2], 1, 1, *roi[2:]], np.float32),
        "none": np.zeros(0, np.float32),
        "sizes": np.array([1, 3, 7, 5], np.int64),
    }
    got, want = both(
        "Resize", {"x": floats(1, 3, 6, 9)}, weights, order=("x", "roi", "none", "sizes"), mode=mode,
        coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=4.5,
    )  # fmt: skip
    assert is_close(got, want)


def test_powers_of_integers_by_floats() -> None:
    base = np.array([3, -2, 1, -1, 7, 4, 9, -1, 1, 5, 10, 46341, 2, -3, 1000, 6, 0, -1, 0], np.int32)
    power = np.array(
        [19, 31, 40, 5, -1, 0.5, 1.5, -3, -2, 0, 9, 1, 30, 3, 0.3333333, 1.25, 32, 64, 0], np.float32
    )
    got, _ = both("Pow", {"x": base, "p": power}, {}, order=("x", "p"), opset=15)
    want = [int(float(b) ** float(p)) for b, p in zip(base, power, strict=True)]
    want[14] = 9  # 1000^0.3333333 = 9.9999977
    assert got.tolist()[:14] == want[:14] and got.tolist()[15:] == want[15:] and got[14] in (9, 10)


def test_powers_of_integers_by_large_integers() -> None:
    base = np.array([0, 1, -1, -1, 2, -3, 0, 0], np.int32)
    power = np.array([32, 64, 33, 1000, 30, 19, 0, 2**31 - 1], np.int32)
    got, want = both("Pow", {"x": base, "p": power}, {}, order=("x", "p"), opset=15)
    assert got.tolist() == want.tolist() == [0, 1, -1, 1, 2**30, -(3**19), 1, 0]


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_regions(mode: str) -> None:
    rois = np.array([[0, 0, 9, 7], [2.5, 1.2, 6.8, 5.1], [-3, 4, 20, 9], [1, 1, 1.4, 1.2]], np.float32)
    weights = {"rois": rois, "which": np.array([0, 1, 0, 1], np.int64)}
    attrs = {"output_height": 3, "output_width": 4, "sampling_ratio": 2, "spatial_scale": 0.9, "mode": mode}
    got, want = both(
        "RoiAlign", {"x": floats(2, 5, 10, 12)}, weights, order=("x", "rois", "which"), opset=16, **attrs
    )
    assert is_close(got, want)


def test_a_branch_of_another_shape_asks_for_the_condition() -> None:
    """The refusal names the input whose value would decide."""
    from ascend_mlir.runtime.errors import UnsupportedOpError

    def branch(name: str, shape: list[int]) -> onnx.GraphProto:
        value = numpy_helper.from_array(np.zeros(shape, np.float32), name)
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, shape)
        return helper.make_graph(
            [helper.make_node("Identity", [name], [f"{name}_out"])], name, [], [out], [value]
        )

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("a", [2]), else_branch=branch("b", [3]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [value("c", TensorProto.BOOL, [])], [value("y", TensorProto.FLOAT, None)]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(UnsupportedOpError) as failure:
        compile_model(model, CompileOptions())
    assert failure.value.items[0].inputs == ("c",)


@pytest.mark.parametrize("chip", ["Ascend310P3", "Ascend310", "Ascend910A"])
@pytest.mark.parametrize(("count", "axis", "last"), [(33, 1, 0), (2049, 1, 1), (4001, 0, 0)])
def test_places_of_extremes_that_f16_cannot_tell_apart(chip: str, count: int, axis: int, last: int) -> None:
    """A computed f32 value: an extreme rounded to f16 equals none of them, and f16 has no odd number beyond 2048."""
    shape = (3, count) if axis else (count, 3)
    x = RNG.standard_normal(shape).astype(np.float32)
    line = x if axis else x.T
    line[0, count - 2 :] = 7.0, 7.0 + 2.0**-18
    line[1, [5, count - 4]] = 8.0
    line[2, count // 2 | 1] = 9.0
    nodes = [
        helper.make_node("Mul", ["x", "k"], ["v"], "times"),
        helper.make_node("ArgMax", ["v"], ["y"], "arg", axis=axis, keepdims=0, select_last_index=last),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
        [numpy_helper.from_array(np.float32(1.25), "k")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    compiled = compile_model(model, CompileOptions(soc=chip, keep_dtype=("times", "arg")))
    got = InferenceSession(om_bytes(compiled.om), sanitize=True).run(None, {"x": x})[0]
    assert got.tolist() == [count - 1, count - 4 if last else 5, count // 2 | 1]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("hidden", [32, 24])
@pytest.mark.parametrize("more", [False, True])
def test_lstm_of_one_row(direction: str, hidden: int, more: bool) -> None:
    """Rows of whole planes are computed as images of one position, others as matrices."""
    count = 2 if direction == "bidirectional" else 1
    weights = {
        "w": floats(count, 4 * hidden, 20) / 5,
        "r": floats(count, 4 * hidden, hidden) / 6,
        "b": floats(count, 8 * hidden) / 3,
    }
    if more:
        weights |= {
            "h": floats(count, 1, hidden),
            "c": floats(count, 1, hidden),
            "p": floats(count, 3 * hidden) / 2,
        }
    order = ("x", "w", "r", "b", "", "h", "c", "p") if more else ("x", "w", "r", "b")
    got, want = both(
        "LSTM", {"x": floats(6, 1, 20)}, weights, order=order, hidden_size=hidden, direction=direction
    )
    assert is_close(got, want)


def test_maxima_of_regions_of_whole_positions() -> None:
    rois = np.array(
        [
            [0, 0, 0, 9, 7],
            [1, 2, 1, 7, 6],
            [0, -3, 4, 20, 9],
            [1, 1, 1, 1, 1],
            [0, 5.5, 2.5, 6.5, 9],
            [1, 30, 30, 40, 40],
        ],
        np.float32,
    )
    for scale in (1.0, 0.7):
        got, want = both(
            "MaxRoiPool",
            {"x": floats(2, 5, 10, 12)},
            {"r": rois},
            order=("x", "r"),
            pooled_shape=[3, 4],
            spatial_scale=scale,
        )
        assert is_close(got, want, 1e-3)
    x, r = floats(2, 5, 10, 12), rois[:4]
    got, want = both("MaxRoiPool", {"x": x, "r": r}, {}, order=("x", "r"), pooled_shape=[2, 3])
    assert is_close(got, want, 1e-3)
