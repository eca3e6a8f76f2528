"""Session, container and simulator together on a hand-written kernel: bytes of a file in, outputs out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.writer import om_bytes, write_om
from ascend_mlir.runtime.session import InferenceSession
from om_samples import ADD, ADD_DONE, LOAD_DONE, WEIGHT, add_model


def test_from_file_to_outputs(tmp_path: Path) -> None:
    write_om(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), tmp_path / "add.om")
    session = InferenceSession(tmp_path / "add.om", sanitize=True)
    x = np.full((2, 64), 0.5, np.float16)
    (y,) = session.run(["y"], {"x": x})
    assert np.array_equal(y, x + WEIGHT.reshape(2, 64))


def test_a_model_larger_than_the_device() -> None:
    model = replace(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), memory_size=1 << 38)
    model = replace(model, weight_base=1 << 50)
    data = om_bytes(replace(model, tasks=()))
    with pytest.raises(AscendError, match="bytes of device memory") as caught:
        InferenceSession(data)
    assert caught.value.code == "E13023"


def test_the_file_may_go_once_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "add.om"
    write_om(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), path)
    session = InferenceSession(path)
    path.unlink()
    assert session.run(None, {"x": np.zeros((2, 64), np.float16)})[0][1, 63] == 127


@pytest.mark.parametrize(
    "change", [{"load_done": "", "add_done": ADD_DONE}, {"load_done": LOAD_DONE, "add_done": ""}]
)
def test_sanitizer_finds_a_missing_flag(change: dict[str, str]) -> None:
    data = om_bytes(add_model(ADD.format(**change)))
    with pytest.raises(AscendError) as caught:
        InferenceSession(data, sanitize=True)
    assert caught.value.code == "E43200" and "kernel add" in caught.value.message


def test_report_trace_and_table(tmp_path: Path) -> None:
    session = InferenceSession(
        om_bytes(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE))), trace=tmp_path / "run.json"
    )
    assert session.report.cycles > 0 and session.report.latency_us > 0
    assert session.report.busiest_pipes()
    session.write_profile(tmp_path / "ops.csv")
    assert "Op Name" in (tmp_path / "ops.csv").read_text()
    assert not (tmp_path / "run.json").exists()
    session.run(None, {"x": np.zeros((2, 64), np.float16)})
    events = json.loads((tmp_path / "run.json").read_text())["traceEvents"]
    assert {"vadd", "copy_gm_to_ubuf", "copy_ubuf_to_gm"} <= {event["name"] for event in events}
