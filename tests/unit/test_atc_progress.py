"""What is said while a model is compiled: lines in a pipe, a live view on a terminal, nothing where that is asked for."""

from __future__ import annotations

import io
from pathlib import Path

import onnx
import pytest
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.profiling import task_cycles
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.tools.atc import main
from ascend_mlir.tools.atc_classic import START, SUCCESS
from ascend_mlir.tools.atc_flags import parse_flags
from ascend_mlir.tools.atc_progress import PHASES, Progress, peak_bytes, picture, watching
from onnx import TensorProto, helper
from rich.console import Console


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def told(progress: Progress) -> None:
    for phase, step in [
        ("import", "m"),
        ("nn", "nn-simplify"),
        ("nn", "nn-fuse-groups"),
        ("kernels", "1/2 k"),
        ("kernels", "2/2 l"),
    ]:
        progress(phase, step)


def test_times_and_the_slowest_pass() -> None:
    moments = iter([0.0, 1.0, 3.0, 8.0, 8.5, 9.5, 9.5])
    progress = Progress(now=lambda: next(moments))
    told(progress)
    progress.done()
    assert progress.seconds == {"import": 1.0, "nn": 7.0, "kernels": 1.5}
    assert progress.slowest == ("nn-fuse-groups", 5.0)


def test_a_line_per_phase_in_a_pipe() -> None:
    out = io.StringIO()
    with watching(parse_flags([]), out) as progress:
        told(progress)
    lines = out.getvalue().splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"[INFO] {PHASES[name]}" for name in ("import", "nn", "kernels")
    ]
    assert all(line.endswith(" s") for line in lines)


def test_a_line_per_pass_for_debug() -> None:
    out = io.StringIO()
    with watching(parse_flags(["--log=debug"]), out) as progress:
        told(progress)
    assert "[DEBUG] nn: nn-fuse-groups" in out.getvalue() and "[DEBUG] kernels: 2/2 l" in out.getvalue()


@pytest.mark.parametrize("level", ["error", "warning"])
def test_quiet(level: str) -> None:
    out = Terminal()
    with watching(parse_flags([f"--log={level}"]), out) as progress:
        told(progress)
    assert out.getvalue() == ""


def test_a_live_view_on_a_terminal() -> None:
    out = Terminal()
    with watching(parse_flags([]), out) as progress:
        told(progress)
        console = Console(file=io.StringIO(), width=120)
        console.print(picture(progress))
        text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[" in out.getvalue()
    assert "2/2 l" in text and "memory" in text and "slowest: " in text
    assert text.index(PHASES["import"]) < text.index(PHASES["kernels"]) < text.index(PHASES["write"])


def test_memory_is_a_size() -> None:
    assert 10 << 20 < peak_bytes() < 1 << 40


def test_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "relu"),
        helper.make_node("Softmax", ["r"], ["y"], "softmax"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 64])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    onnx.save(
        helper.make_model(
            helper.make_graph(nodes, "g", [x], [y]), ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
        ),
        "m.onnx",
    )
    with pytest.raises(SystemExit) as done:
        main(["convert", "m.onnx"])
    out, err = capsys.readouterr()
    assert done.value.code == 0
    lines = out.splitlines()
    assert lines[:2] == [START, "..."] and lines[-1] == SUCCESS
    om = read_om("m.om")
    cycles = InferenceSession("m.om").report.cycles
    assert sum(task_cycles(om)) == cycles
    text = "\n".join(lines[2:-1])
    assert f"2 nodes -> 1 groups -> {len(om.kernels)} kernels -> {len(om.tasks)} tasks" in text
    assert f"({cycles} cycles on Ascend310P3)" in text and "0 TransData left" in text and "m.om" in text
    assert f"weights {om.weight_size} B, tensors {om.memory_size} B" in text
    assert [line.split(":")[0] for line in err.splitlines()] == [f"[INFO] {text}" for text in PHASES.values()]
