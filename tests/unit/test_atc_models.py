"""Models and flags that do not fit each other, through the real importer: one message with its code, nothing
written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ascend_mlir.tools.atc import main
from ascend_mlir.tools.atc_classic import FAILURE
from onnx import TensorProto, helper, numpy_helper


def save(
    path: Path, node: onnx.NodeProto, shape: list[Any], extra: list[onnx.TensorProto] | None = None
) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [x], [y], extra or [])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)]
    )
    onnx.save(model, path)


RELU = helper.make_node("Relu", ["x"], ["y"], "relu_node")


def convert(tmp_path: Path, *words: str) -> int:
    usual = [
        "--framework=5",
        "--soc_version=Ascend310P3",
        f"--model={tmp_path / 'm.onnx'}",
        f"--output={tmp_path / 'm'}",
    ]
    with pytest.raises(SystemExit) as done:
        main([*usual, *words])
    assert isinstance(done.value.code, int)
    return done.value.code


def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, *texts: str) -> None:
    out, err = capsys.readouterr()
    assert FAILURE in out and f"\n{code}: " in out, out
    assert all(text in out for text in texts), out
    assert "Traceback" not in out + err and out.count(f"\n{code}: ") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx"]


@pytest.mark.parametrize(
    "case",
    [
        ([1, 4], "--input_shape=y:1,4", "E10016", "'y'"),
        ([1, 4], "--input_shape=x:1,4,1", "E10049", "x"),
        ([1, 4], "--input_shape=x:1,5", "E10050", "5"),
        (["n", 4], "--log=error", "E10011", "'x'"),
        ([1, 4], "--out_nodes=nowhere:0", "E10016", "nowhere"),
    ],
)
def test_shapes_and_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: tuple[list[Any], str, str, str]
) -> None:
    shape, flag, code, text = case
    save(tmp_path / "m.onnx", RELU, shape)
    assert convert(tmp_path, flag) == 1
    check(tmp_path, capsys, code, text)


def test_unknown_operator_is_named_with_its_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "m.onnx", helper.make_node("Frobnicate", ["x"], ["y"], "frob_1", domain="custom"), [1, 4])
    assert convert(tmp_path) == 1
    check(tmp_path, capsys, "E13010", "Frobnicate", "frob_1")


def test_attribute_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weight = numpy_helper.from_array(np.ones((4, 4, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv_1", auto_pad="SOMEHOW")
    save(tmp_path / "m.onnx", node, [1, 4, 8, 8], [weight])
    assert convert(tmp_path) == 1
    out, _ = capsys.readouterr()
    assert "conv_1" in out and "EZ3002" in out and "E19999" not in out and "Traceback" not in out


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_model(tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float) -> None:
    weight = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    save(tmp_path / "m.onnx", helper.make_node("MatMul", ["x", "w"], ["y"], "mm"), [1, 64], [weight])
    data = (tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(data[: int(len(data) * share)])
    assert convert(tmp_path) == 1
    check(tmp_path, capsys, "E10041")


@pytest.mark.parametrize("content", [b"", b"not a model", b"IMOD" + bytes(300), bytes(1000), b"{}"])
def test_not_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert convert(tmp_path) == 1
    out, _ = capsys.readouterr()
    assert "\nE1" in out and "E19999" not in out
