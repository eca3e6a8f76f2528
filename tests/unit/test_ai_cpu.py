"""Tasks of the AI CPU: what goes there and why, what a task carries, and what the library refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.passes.ai_cpu import KERNELS as WITHOUT_INSTRUCTION
from ascend_mlir.passes.ai_cpu import LIBRARY, TYPES
from ascend_mlir.runtime.aicpu.definition import CpuDefinition, TensorSpec
from ascend_mlir.runtime.aicpu.library import KERNELS
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.runtime.session import InferenceSession
from onnx import helper


def compiled(
    nodes: list[onnx.NodeProto], inputs: dict[str, np.ndarray], outputs: list[str], opset: int = 20
) -> OmModel:
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for n, x in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return compile_model(model, CompileOptions()).om


def session_of(*args: object, **settings: int) -> InferenceSession:
    return InferenceSession(om_bytes(compiled(*args, **settings)), sanitize=True)  # type: ignore[arg-type]


def test_definition_comes_back_from_its_bytes() -> None:
    one = CpuDefinition(
        "Reduce",
        (TensorSpec("f64", (3, 4)), TensorSpec("i4", ())),
        (TensorSpec("f8e4m3fnuz", (3,)),),
        {"kind": "sum", "axes": (1, 2), "numbers": (0.5, 1.0), "seed": 7, "reverse": True},
    )
    again = CpuDefinition.from_bytes(one.to_bytes())
    assert again == dataclasses.replace(one, settings={**one.settings, "reverse": 1})


def test_bytes_that_are_no_definition_are_refused() -> None:
    with pytest.raises(AscendError, match="E43007"):
        CpuDefinition.from_bytes(b"\xff\xff\xff\xff\x01")


def test_every_kernel_of_the_table_is_in_the_library() -> None:
    assert set(WITHOUT_INSTRUCTION) <= set(KERNELS)
    elementwise = {
        "Cast",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Max",
        "Min",
        "Equal",
        "Where",
        "Reduce",
        "MatMul",
        "BitAnd",
    }
    assert elementwise <= set(LIBRARY.values()) & set(KERNELS)


def test_double_runs_on_the_ai_cpu_and_the_report_says_why() -> None:
    x = np.array([[1.0, 2.5], [1e300, -3.0]])
    session = session_of([helper.make_node("Add", ["x", "x"], ["y"], name="sum")], {"x": x}, ["y"])
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], x + x)
    assert session.engine_counts == {"aicore": 0, "aicpu": 1}
    (task,) = session.report.tasks
    assert task.task_type == "AI_CPU" and task.reason == TYPES["f64"] and task.nodes == ("sum",)
    assert task.cycles > 10_000


def test_profile_and_trace_of_a_model_with_such_a_task(tmp_path: Path) -> None:
    x = np.linspace(-2, 2, 32, dtype=np.float32).astype(ml_dtypes.bfloat16)
    session = session_of([helper.make_node("Mul", ["x", "x"], ["y"], name="square")], {"x": x}, ["y"])
    session.write_profile(tmp_path / "p.csv")
    assert TYPES["bf16"] in (tmp_path / "p.csv").read_text()
    session.write_trace(tmp_path / "t.json")
    starts = [
        event["ts"] for event in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if "ts" in event
    ]
    assert min(starts) > 5  # µs: the cast before it is not free


def test_bfloat16_is_computed_on_the_ai_core_between_casts() -> None:
    x = np.linspace(-2, 2, 32, dtype=np.float32).astype(ml_dtypes.bfloat16)
    nodes = [helper.make_node("Mul", ["x", "x"], ["a"]), helper.make_node("Exp", ["a"], ["y"])]
    session = session_of(nodes, {"x": x}, ["y"])
    (y,) = session.run(None, {"x": x})
    wanted = np.exp(x.astype(np.float32) ** 2)
    np.testing.assert_allclose(y.astype(np.float32), wanted, rtol=2e-2)
    assert y.dtype == x.dtype
    assert session.engine_counts["aicpu"] == 2 and session.engine_counts["aicore"] >= 1


@pytest.mark.parametrize("values", [[[0, 1, 0], [2, 0, 3]], [[0, 0, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]]])
def test_size_that_depends_on_data_is_trimmed(values: list[list[int]]) -> None:
    x = np.array(values, np.int32)
    session = session_of([helper.make_node("NonZero", ["x"], ["y"])], {"x": x}, ["y"])
    assert [item.name for item in session.get_outputs()] == ["y"]
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], np.array(np.nonzero(x), np.int64))


def test_tensor_whose_size_depends_on_data_is_no_operand() -> None:
    x = np.ones((2, 3), np.float32)
    nodes = [
        helper.make_node("NonZero", ["x"], ["i"]),
        helper.make_node("Transpose", ["i"], ["y"], name="turn"),
    ]
    with pytest.raises(AscendError, match=r"turn.*depends on data"):
        compiled(nodes, {"x": x}, ["y"])


def test_unique_in_order_of_appearance() -> None:
    x = np.array([3.0, 1.0, 3.0, 2.0, 1.0], np.float32)
    names = ["values", "first", "inverse", "counts"]
    session = session_of([helper.make_node("Unique", ["x"], names, sorted=0)], {"x": x}, names)
    values, first, inverse, counts = session.run(None, {"x": x})
    np.testing.assert_array_equal(values, [3, 1, 2])
    np.testing.assert_array_equal(first, [0, 1, 3])
    np.testing.assert_array_equal(values[inverse], x)
    np.testing.assert_array_equal(counts, [2, 2, 1])


def test_random_numbers_repeat_and_differ_from_node_to_node() -> None:
    nodes = [
        helper.make_node("RandomUniform", [], [f"y{i}"], name=f"r{i}", shape=[1000], low=-1.0, high=3.0)
        for i in (0, 1)
    ]
    x = np.ones(4, np.float32)
    first, again = (session_of(nodes, {"x": x}, ["y0", "y1"]).run(None, {"x": x}) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], first[1])
    assert first[0].min() >= -1 and first[0].max() <= 3 and abs(first[0].mean() - 1) < 0.2


def test_task_of_an_unknown_kernel_is_refused_when_it_is_loaded() -> None:
    x = np.ones(4)
    om = compiled([helper.make_node("Add", ["x", "x"], ["y"])], {"x": x}, ["y"])
    for change, code in (
        ({"kernel": "Nothing"}, "E43004"),
        ({"kernel": "Mul"}, "E43007"),
        ({"args": ()}, "E43007"),
    ):
        task = dataclasses.replace(om.tasks[0], **change)
        with pytest.raises(AscendError, match=code):
            InferenceSession(dataclasses.replace(om, tasks=(task,)))


def test_address_outside_of_memory_is_refused() -> None:
    x = np.ones(4)
    om = compiled([helper.make_node("Add", ["x", "x"], ["y"])], {"x": x}, ["y"])
    task = dataclasses.replace(om.tasks[0], args=(*om.tasks[0].args[:2], 8))
    session = InferenceSession(dataclasses.replace(om, tasks=(task,)))
    with pytest.raises(AscendError, match="E43009"):
        session.run(None, {"x": x})


SHIFTS = [(x, y) for x in (-128, -5, -1, 0, 1, 77, 127) for y in (-1, 0, 1, 6, 7, 8, 100)]


@pytest.mark.parametrize("kernel", ["ShiftLeft", "ShiftRight"])
def test_shifts_by_any_distance(kernel: str) -> None:
    x, y = (np.array(column, np.int16) for column in zip(*SHIFTS, strict=True))
    spec = (TensorSpec("i16", x.shape),)
    (found,) = KERNELS[kernel].compute([x, y], {}, spec)
    for a, b, got in zip(x.tolist(), y.tolist(), found.tolist(), strict=True):
        distance = b if b >= 0 else 1 << 16
        exact = a << distance if kernel == "ShiftLeft" and distance < 16 else 0
        if kernel == "ShiftRight":
            exact = a >> min(distance, 63)
        assert got == np.array(exact & 0xFFFF, np.uint16).view(np.int16)


def test_narrowed_integers_need_no_ai_cpu_and_refuse_what_they_cannot_hold() -> None:
    x = np.array([1, -5, 2**31 - 1, -(2**31)], np.int64)
    session = session_of([helper.make_node("Max", ["x", "k"], ["y"])], {"x": x, "k": x[::-1].copy()}, ["y"])
    assert session.engine_counts["aicpu"] == 0
    feed = {"x": x, "k": x[::-1].copy()}
    np.testing.assert_array_equal(session.run(None, feed)[0], np.maximum(x, x[::-1]))
    with pytest.raises(AscendError, match="32 bits"):
        session.run(None, {**feed, "x": x * 2})


def test_sums_of_wide_integers_are_exact() -> None:
    x = np.array([2**62, -(2**40) - 1, 3], np.int64)
    session = session_of([helper.make_node("Sub", ["x", "k"], ["y"])], {"x": x, "k": x[::-1].copy()}, ["y"])
    np.testing.assert_array_equal(session.run(None, {"x": x, "k": x[::-1].copy()})[0], x - x[::-1])
    assert session.engine_counts == {"aicore": 0, "aicpu": 1}
