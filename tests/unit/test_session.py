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


class Report:
    cycles = 1000
    microseconds = 1.5

    def write_trace(self, path: Path) -> None:
        path.write_text("[]")

    def write_op_summary(self, path: Path) -> None:
        path.write_text("Op Name\n")

    def pipe_shares(self) -> dict[str, float]:
        return {"M": 0.5}


class FakeDevice:
    """Stands in for `runtime.sim.device.Device`; the output is the sum of the input."""

    created: ClassVar[list[FakeDevice]] = []

    def __init__(self, soc: Soc) -> None:
        self.soc = soc
        self.seen: list[np.ndarray[Any, Any]] = []
        FakeDevice.created.append(self)

    def load(self, model: OmModel) -> None:
        self.model = model

    def run(self, inputs: Sequence[np.ndarray[Any, Any]]) -> SimpleNamespace:
        self.seen = list(inputs)
        return SimpleNamespace(
            outputs=[np.full((1, 64), inputs[0].astype(np.float32).sum(), np.float32)], report=Report()
        )


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


def test_run_from_a_file_with_trace(tmp_path: Path) -> None:
    write_om(conv_model(), tmp_path / "m.om")
    session = InferenceSession(tmp_path / "m.om", trace=tmp_path / "t.json")
    (output,) = session.run(["probabilities"], {"x": IMAGE})
    assert output[0, 0] == IMAGE.size
    assert session.report.cycles == 1000
    assert (tmp_path / "t.json").is_file()
    assert FakeDevice.created[-1].soc.name == "Ascend310P3"


def test_strided_arrays_arrive_whole() -> None:
    session = InferenceSession(om_bytes(conv_model()))
    session.run(None, {"x": IMAGE.transpose(0, 1, 3, 2)})
    assert FakeDevice.created[-1].seen[0].flags.c_contiguous


def test_there_is_no_report_before_a_run() -> None:
    with pytest.raises(AscendError, match="before the first run"):
        _ = InferenceSession(om_bytes(conv_model())).report


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


def atc_run(*words: str) -> int:
    from ascend_mlir.tools.atc import main

    with pytest.raises(SystemExit) as done:
        main(["run", *words])
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_om(conv_model(), tmp_path / "m.om")
    return tmp_path / "m.om"


@pytest.mark.parametrize("kind", ["named.npz", "ordered.npz", "x.npy", "x.bin", "x=x.npy"])
def test_atc_run_reads_every_kind_of_input(
    model: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = model.parent
    np.savez(folder / "named.npz", x=IMAGE)
    np.savez(folder / "ordered.npz", IMAGE)
    np.save(folder / "x.npy", IMAGE)
    IMAGE.tofile(folder / "x.bin")
    word = f"x={folder / 'x.npy'}" if "=" in kind else str(folder / kind)
    out, trace, table = folder / "out.npz", folder / "t.json", folder / "ops.csv"
    words = [
        f"--model={model}",
        f"--input={word}",
        f"--output={out}",
        f"--trace={trace}",
        f"--profile={table}",
    ]
    assert atc_run(*words) == 0
    assert np.load(out)["probabilities"][0, 0] == IMAGE.size
    assert trace.is_file() and table.is_file()
    shown = capsys.readouterr().out
    assert "output probabilities: float32[1, 64]" in shown and "1000 cycles, 1.5 us" in shown


@pytest.mark.parametrize("suffix", ["npy", "bin"])
def test_atc_run_single_output(model: Path, suffix: str) -> None:
    out = model.parent / f"out.{suffix}"
    assert atc_run("--om", str(model), "--output", str(out)) == 0
    data = np.load(out) if suffix == "npy" else np.fromfile(out, np.float32).reshape(1, 64)
    assert not data.any()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--model=missing.om"], "E13000"),
        (["--model={om}", "--input=missing.npy"], "E13000"),
        (["--model={om}", "--input={om}"], "EH0001"),
        (["--model={om}", "--input=a=b"], "EH0001"),
        (["--model={om}", "--input={bad}"], "E13005"),
        (["--model={om}", "--output=/nowhere/x.npz"], "E13004"),
        (["--model={bad}"], "E10001"),
        (["--nonsense"], "E10014"),
        ([], "E10014"),
    ],
)
def test_atc_run_errors(model: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str) -> None:
    bad = model.parent / "bad.npz"
    bad.write_bytes(b"garbage" * 100)
    assert atc_run(*[word.format(om=model, bad=bad) for word in words]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"{code}: ") and "Traceback" not in out + err
