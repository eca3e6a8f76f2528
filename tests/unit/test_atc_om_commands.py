"""`atc verify`, `validate`, `compare`, `profile`, `benchmark`: what they say, and their exit status for scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.om.writer import write_om
from ascend_mlir.tools.atc import main
from om_samples import ADD, ADD_DONE, LOAD_DONE, WEIGHT, add_model, conv_model

COMMANDS = ("verify", "validate", "compare", "profile", "benchmark")


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(words))
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.fixture
def om(tmp_path: Path) -> str:
    path = tmp_path / "add.om"
    write_om(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), path)
    return str(path)


@pytest.fixture
def racy(tmp_path: Path) -> str:
    """The same without the flag that makes the vector unit wait for the loads."""
    path = tmp_path / "racy.om"
    write_om(add_model(ADD.format(load_done="", add_done=ADD_DONE)), path)
    return str(path)


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    assert f"example:\n  atc {command} " in shown and "--json" in shown


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("words", [(), ("--nonsense",), ("missing.om", "missing.npz")])
def test_wrong_use(command: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    if command in ("verify", "profile", "benchmark"):
        words = words[:1]
    assert run(command, *words) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("E1") and "Traceback" not in captured.err and not captured.out


def test_help_of_atc_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


def test_commands_do_not_slow_down_the_help() -> None:
    code = (
        "import sys, ascend_mlir.tools.atc; print('numpy' in sys.modules or 'google.protobuf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -------------------------------------------------------------------------------------------------- verify
def test_verify(om: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", om) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split() for line in lines] == [
        ["ok", name] for name in ("container", "model", "device", "hazards", "run")
    ]


def test_verify_quick(om: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--quick", "--json", om) == 0
    found = said(capsys)
    assert found["ok"] and [step["outcome"] for step in found["steps"]] == ["ok"] * 3 + ["not done"] * 2


def test_verify_finds_a_race(racy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", racy) == 1
    shown = capsys.readouterr().out
    assert "failed    hazards: E" in shown and "not done  run: hazards failed" in shown


def test_verify_finds_kernels_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_om(conv_model(), tmp_path / "noise.om")
    assert run("verify", "--json", str(tmp_path / "noise.om")) == 1
    found = said(capsys)
    assert [step["outcome"] for step in found["steps"]] == ["ok", "ok", "failed", "not done", "not done"]
    assert found["steps"][2]["code"].startswith("E")


def test_verify_says_where_a_file_is_damaged(om: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(Path(om).read_bytes())
    data[data.index(b"NetOutput") + 2] ^= 1
    Path(om).write_bytes(bytes(data))
    assert run("verify", om) == 1
    assert "failed    model: E10041: invalid om file" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ validate
@pytest.fixture
def case(tmp_path: Path) -> str:
    x = np.linspace(-4, 4, 128, dtype=np.float16).reshape(2, 64)
    np.savez(tmp_path / "case.npz", x=x, y=x + WEIGHT.reshape(2, 64))
    return str(tmp_path / "case.npz")


def test_validate(om: str, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", om, case, case) == 0
    shown = capsys.readouterr().out
    assert "agrees" in shown and "2 of 2 outputs agree in 2 cases" in shown


def test_validate_finds_a_difference(
    om: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = dict(np.load(case))
    arrays["y"][1, 3] += 20
    np.savez(tmp_path / "other.npz", allow_pickle=False, **arrays)
    assert run("validate", om, case, str(tmp_path / "other.npz"), "--json") == 1
    found = said(capsys)
    assert not found["ok"] and [output["agrees"] for output in found["outputs"]] == [True, False]
    assert found["outputs"][1]["worst"] == 20
    assert run("validate", om, str(tmp_path / "other.npz"), "--rtol", "0.5") == 0


def test_validate_shapes_and_infinities(
    om: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = dict(np.load(case))
    np.savez(tmp_path / "shape.npz", allow_pickle=False, x=arrays["x"], y=arrays["y"].reshape(128))
    assert run("validate", om, str(tmp_path / "shape.npz")) == 1
    assert "shape [2, 64], expected [128]" in capsys.readouterr().out
    arrays["y"][0, 0] = np.inf
    np.savez(tmp_path / "inf.npz", allow_pickle=False, **arrays)
    assert run("validate", om, str(tmp_path / "inf.npz"), "--json") == 1
    (output,) = said(capsys)["outputs"]
    assert output["worst"] is None and "not finite" in output["note"]


def test_a_case_that_lacks_something(
    om: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "bare.npz", y=np.load(case)["y"])
    assert run("validate", om, str(tmp_path / "bare.npz")) == 1
    assert "lacks x" in capsys.readouterr().err


# --------------------------------------------------------------------------------- compare, profile, benchmark
def test_compare(om: str, racy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", om, om) == 0
    assert "no difference" in capsys.readouterr().out
    assert run("compare", om, racy, "--json") == 1
    found = said(capsys)
    assert {change["section"] for change in found["changes"]} == {"code", "cycles"}
    assert found["cycles"][0] > found["cycles"][1]
    assert run("compare", om, racy, "--json", "--no-cycles") == 1
    assert said(capsys)["cycles"] == [None, None]


def test_profile(om: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("profile", om, "--csv", str(tmp_path / "p.csv"), "--trace", str(tmp_path / "t.json")) == 0
    assert "Kernel" in capsys.readouterr().out
    assert (tmp_path / "p.csv").read_text().count("\n") >= 2 and json.loads((tmp_path / "t.json").read_text())
    assert run("profile", om, "--json") == 0
    found = said(capsys)
    assert found["cycles"] == sum(task["cycles"] for task in found["tasks"]) > 100
    assert found["types"] == {"Kernel": {"tasks": 1, "cycles": found["cycles"]}}


def test_profile_writes_nowhere(om: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("profile", om, "--html", str(tmp_path / "none" / "p.html")) == 1
    assert capsys.readouterr().err.startswith("E13004")


def test_benchmark(om: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("benchmark", om, "--json", "--loop", "2") == 0
    found = said(capsys)
    predicted = found["predicted"]
    assert predicted["latency_us"] == pytest.approx(predicted["cycles"] / predicted["clock_mhz"])
    assert predicted["inferences_per_second"] == pytest.approx(1e6 / predicted["latency_us"])
    assert len(found["simulator"]["run_seconds"]) == 2
    assert run("benchmark", om, "--loop", "0", "--max-latency-us", "0.001") == 1
    assert "more than the 0.001 us" in capsys.readouterr().out
    assert run("benchmark", om, "--loop", "-1") == 1
