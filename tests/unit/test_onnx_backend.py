"""The `onnx.backend` class: compiled once per set of shapes, through real `.om` bytes, with the engines
counted.

Compiler and device are replaced: this is about what lies between them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.errors import UnsupportedOpError
from ascend_mlir.runtime.om.model import OmModel, OmTensor
from ascend_mlir.runtime.onnx_backend import AscendBackend
from ascend_mlir.runtime.soc import Soc
from onnx import TensorProto, helper


class Compiler(ModuleType):
    """Makes a model without tasks that has the graph's inputs, at the sizes asked for."""

    CompileOptions = SimpleNamespace

    def __init__(self) -> None:
        super().__init__("pipelines")
        self.options: list[Any] = []

    def compile_model(self, source: Any, options: Any) -> object:
        self.options.append(options)
        shapes = options.input_shapes
        used = [name for name in shapes if name != "unused"]
        inputs = tuple(
            OmTensor(n, "f32", shapes[n], int(np.prod(shapes[n])) * 4, i * 512) for i, n in enumerate(used)
        )
        outputs = tuple(OmTensor(v.name, "f32", (1,), 4, 2048) for v in source.graph.output)
        return SimpleNamespace(om=OmModel("m", options.soc, inputs, outputs, 4096))


class Device:
    def __init__(self, soc: Soc, order_seed: int | None = None, *, timing: bool = True) -> None:
        self.soc = soc

    def load(self, model: OmModel) -> None:
        self.outputs = len(model.outputs)

    def run(self, inputs: Sequence[np.ndarray[Any, Any]]) -> SimpleNamespace:
        total = np.array([sum(float(array.sum()) for array in inputs)], np.float32)
        return SimpleNamespace(outputs=[total] * self.outputs, report=None)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    fake, device = Compiler(), ModuleType("device")
    device.__dict__["Device"] = Device
    monkeypatch.setitem(sys.modules, "ascend_mlir.lowering.pipelines", fake)
    monkeypatch.setitem(sys.modules, "ascend_mlir.runtime.sim.device", device)
    monkeypatch.delenv("ASCEND_SOC", raising=False)
    return fake


def add_model(*names: str) -> Any:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in names]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    node = helper.make_node("Sum", [name for name in names if name != "unused"], ["y"])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    return helper.make_model(helper.make_graph([node], "g", values, [out], [weight]))


def test_compiled_once_per_shape(compiler: Compiler) -> None:
    prepared = AscendBackend.prepare(add_model("a", "b"))
    assert prepared.run([np.ones(2, np.float32), np.ones(2, np.float32)])[0] == 4
    assert prepared.run([np.ones(2, np.float32), np.zeros(2, np.float32)])[0] == 2
    assert prepared.run({"b": np.ones(5, np.float32), "a": np.ones(5, np.float32)})[0] == 10
    assert [options.input_shapes for options in compiler.options] == [
        {"a": (2,), "b": (2,)},
        {"a": (5,), "b": (5,)},
    ]
    assert prepared.engine_counts == {"aicore": 0, "aicpu": 0}


def test_an_input_nobody_reads_is_not_fed(compiler: Compiler) -> None:
    (result,) = AscendBackend.run_model(
        add_model("a", "unused"), [np.ones(3, np.float32), np.ones(3, np.float32)]
    )
    assert result == 3


def test_chip_by_environment(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_SOC", "Ascend910A")
    AscendBackend.run_model(add_model("a"), [np.ones(3, np.float32)])
    assert compiler.options[0].soc == "Ascend910A"


def test_single_node(compiler: Compiler) -> None:
    node = helper.make_node("Sum", ["a", "b"], ["y"])
    arrays = [np.ones(2, np.float32), np.ones(2, np.float32)]
    assert AscendBackend.run_node(node, arrays, outputs_info=[(np.float32, (2,))])[0] == 4


def test_devices() -> None:
    assert AscendBackend.supports_device("CPU") and AscendBackend.supports_device("NPU:0")
    assert not AscendBackend.supports_device("CUDA")


def test_a_sequence_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match=r"'a'.*sequence"):
        AscendBackend.prepare(add_model("a")).run([[np.ones(3, np.float32), np.ones(2, np.float32)]])
