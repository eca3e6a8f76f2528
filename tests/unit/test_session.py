"""The session around the device: what it checks, what it hands over, what it gives back.

The device is replaced by one that records what it gets; the simulator has its own tests.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.writer import om_bytes, write_om
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.runtime.soc import Soc
from om_samples import conv_model


class FakeDevice:
    """Stands in for `runtime.sim.device.Device`; the output is the sum of the input."""

    created: ClassVar[list[FakeDevice]] = []

    def __init__(self, soc: Soc, order_seed: int | None = None, *, timing: bool = False) -> None:
        self.soc = soc
        self.seen: list[np.ndarray[Any, Any]] = []
        FakeDevice.created.append(self)

    def load(self, model: OmModel) -> None:
        self.model = model

    def run(self, inputs: Sequence[np.ndarray[Any, Any]]) -> SimpleNamespace:
        self.seen = list(inputs)
        return SimpleNamespace(outputs=[np.full((1, 64), inputs[0].astype(np.float32).sum(), np.float32)])


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("device")
    module.__dict__["Device"] = FakeDevice
    monkeypatch.setitem(sys.modules, "ascend_mlir.runtime.sim.device", module)
    FakeDevice.created.clear()


IMAGE = np.ones((1, 64, 56, 56), np.float16)


def test_described_like_onnxruntime() -> None:
    session = InferenceSession(om_bytes(conv_model()))
    (argument,) = session.get_inputs()
    assert (argument.name, argument.shape, argument.type) == ("x", [1, 64, 56, 56], "tensor(float16)")
    (result,) = session.get_outputs()
    assert (result.name, result.shape, result.type) == ("probabilities", [1, 64], "tensor(float)")
    assert session.engine_counts == {"aicore": 1, "aicpu": 1}


def test_run_from_a_file(tmp_path: Path) -> None:
    write_om(conv_model(), tmp_path / "m.om")
    session = InferenceSession(tmp_path / "m.om")
    (output,) = session.run(["probabilities"], {"x": IMAGE})
    assert output[0, 0] == IMAGE.size
    assert FakeDevice.created[-1].soc.name == "Ascend310P3"


def test_strided_arrays_arrive_whole() -> None:
    session = InferenceSession(om_bytes(conv_model()))
    session.run(None, {"x": IMAGE.transpose(0, 1, 3, 2)})
    assert FakeDevice.created[-1].seen[0].flags.c_contiguous


@pytest.mark.parametrize(
    ("names", "feed", "text"),
    [
        (None, {}, "input 'x' is missing"),
        (None, {"x": IMAGE, "y": IMAGE}, "no input named 'y'"),
        (None, {"x": IMAGE.astype(np.float32)}, "is float32"),
        (None, {"x": IMAGE[:, :1]}, r"\[1, 1, 56, 56\]"),
        (["nope"], {"x": IMAGE}, "no output named 'nope'"),
    ],
)
def test_wrong_feeds(names: list[str] | None, feed: dict[str, Any], text: str) -> None:
    with pytest.raises(AscendError, match=text):
        InferenceSession(om_bytes(conv_model())).run(names, feed)


def test_foreign_machine_code_is_refused() -> None:
    from dataclasses import replace

    with pytest.raises(AscendError, match="are encoded as 'elf'"):
        InferenceSession(om_bytes(replace(conv_model(), machine_code="elf")))
