"""TopK through the whole compiler and the simulator, with hazards checked, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from ascend_mlir.runtime.onnx_backend import AscendBackend
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

CHIPS = ("Ascend310P3", "Ascend310", "Ascend910A")
Array = NDArray[Any]


def model(x: Array, count: int, before: str = "", **attributes: int) -> ModelProto:
    """TopK of an input, or of what an operator makes of it."""
    given = "y" if before else "x"
    nodes = [helper.make_node(before, ["x"], ["y"])] if before else []
    nodes.append(helper.make_node("TopK", [given, "k"], ["v", "i"], name="best", **attributes))
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("v", kind, None), helper.make_tensor_value_info("i", TensorProto.INT64, None)],
        [numpy_helper.from_array(np.array([count]), "k")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(x: Array, count: int, chip: str = "Ascend310P3", before: str = "", **attributes: int) -> list[Array]:
    """What the simulator gives; it must be what onnxruntime gives, ties included, unless something comes before."""
    made = model(x, count, before, **attributes)
    prepared = type("Backend", (AscendBackend,), {"soc": chip, "sanitize": True}).prepare(made)
    got = list(prepared.run([x]))
    assert prepared.engine_counts["aicpu"] == 0
    if not before:
        wanted = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
    return got


def numbers(shape: tuple[int, ...], kind: Any, seed: int = 0) -> Array:
    """A few hundred different numbers, so that many are equal; integers reach both ends of their type."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(kind)
    if kind.kind == "f":
        return (rng.integers(-300, 300, shape) / 64).astype(kind)
    low, high = max(np.iinfo(kind).min, -(2**31)), min(np.iinfo(kind).max, 2**31 - 1)
    values = rng.integers(low, high, shape, dtype=np.int64, endpoint=True)
    return np.where(rng.random(shape) < 0.2, rng.choice([low, high, 0, 1], shape), values).astype(kind)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int32, np.int64, np.uint8, np.int8])
@pytest.mark.parametrize("largest", [1, 0])
def test_types_and_chips(kind: Any, chip: str, largest: int) -> None:
    if kind in (np.uint8, np.int8):  # onnxruntime has no TopK of bytes
        x = numbers((3, 70), kind)
        values, places = (
            type("B", (AscendBackend,), {"soc": chip, "sanitize": True})
            .prepare(model(x, 9, largest=largest))
            .run([x])
        )
        order = np.argsort(-x.astype(int) if largest else x.astype(int), axis=-1, kind="stable")[:, :9]
        np.testing.assert_array_equal(places, order)
        np.testing.assert_array_equal(values, np.take_along_axis(x, order, -1))
        return
    run(numbers((3, 70), kind), 9, chip, largest=largest)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize(
    ("length", "count"),
    [(1, 1), (17, 1), (17, 17), (4095, 1), (4095, 4095), (4096, 300), (4096, 4096), (8400, 300), (25200, 300), (25200, 5000)],
)  # fmt: skip
def test_lengths(length: int, count: int, kind: Any) -> None:
    run(numbers((1, length), kind), count)


@pytest.mark.parametrize("count", [1, 300])
def test_long_row(count: int) -> None:
    run(numbers((1, 100_000), np.float16), count)
    run(numbers((1, 100_000), np.float32), count, largest=0)


def test_all_of_a_long_row() -> None:
    """49 blocks, so 1200 times two blocks change places."""
    run(numbers((1, 100_000), np.float16), 100_000)


@pytest.mark.parametrize(
    ("shape", "count"),
    [((1, 25200), 300), ((1, 8387), 20), ((3, 4099), 20), ((1, 20000), 1500), ((2, 5000), 5000)],
)
def test_long_rows_by_digits(shape: tuple[int, int], count: int) -> None:
    """Parts of rows first; parts of equal length, filled up, or none; parts of several blocks."""
    run(numbers(shape, np.int32), count)
    run(numbers(shape, np.float32), count, "Ascend910A", largest=0)


@pytest.mark.parametrize("shape", [(8400, 4), (128, 8), (33, 300), (9, 2000), (2, 3, 40)])
def test_many_rows(shape: tuple[int, ...]) -> None:
    run(numbers(shape, np.float32), 3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes(axis: int) -> None:
    run(numbers((20, 30, 40), np.float32), 7, axis=axis)


@pytest.mark.parametrize("chip", CHIPS)
def test_what_is_given_in_f32_is_ranked_in_f32(chip: str) -> None:
    """Numbers that f16 cannot tell apart, or not hold."""
    x = np.array(
        [[1.0, 1.0 + 2**-20, -1e30, 3e38, 1e-40, 0.0, -0.0, -1e-30, 1e-39, 70000.0, 70001.0, -3e38]],
        np.float32,
    )
    run(x, x.size, chip)
    run(x, x.size, chip, largest=0)


@pytest.mark.parametrize("chip", CHIPS)
def test_what_is_computed_in_f16_is_ranked_in_f16(chip: str) -> None:
    """One sort of halves, also where the chip sorts halves only, and no cast before it."""
    x = numbers((1, 500), np.float32)
    values, places = run(x, 20, chip, before="Sigmoid")
    half = (1 / (1 + np.exp(-x))).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(values, -np.sort(-half)[:, :20], rtol=2e-3)
    np.testing.assert_allclose(values, np.take_along_axis(half, places, -1), rtol=2e-3)


def test_signs_of_zero_are_kept() -> None:
    x = np.array([[-0.0, 0.0, -1.0, 0.0, -0.0, 2.0]], np.float16)
    (values, _) = run(x, 6)
    np.testing.assert_array_equal(np.signbit(values), [[False, True, False, False, True, True]])


def test_no_columns_are_no_work() -> None:
    x = np.zeros((3, 5), np.float32)
    values, places = AscendBackend.prepare(model(x, 0)).run([x])
    assert values.shape == places.shape == (3, 0)


def test_too_long_a_row_is_refused_by_name() -> None:
    from ascend_mlir.runtime.errors import UnsupportedOpError

    x = np.zeros((1, (1 << 20) + 1), np.float16)
    with pytest.raises(UnsupportedOpError, match="rows up to 2\\^20 elements"):
        AscendBackend.prepare(model(x, 1)).run([x])
