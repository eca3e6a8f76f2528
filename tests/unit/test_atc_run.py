"""`atc run`: every kind of input and output file, through the real simulator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.om.writer import write_om
from om_samples import ADD, ADD_DONE, LOAD_DONE, WEIGHT, add_model
from onnx import TensorProto, helper

IMAGE = np.full((2, 64), 0.5, np.float16)


def atc_run(*words: str) -> int:
    from ascend_mlir.tools.atc import main

    with pytest.raises(SystemExit) as done:
        main(["run", *words])
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_om(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), tmp_path / "m.om")
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
    assert np.array_equal(np.load(out)["y"], IMAGE + WEIGHT.reshape(2, 64))
    assert trace.is_file() and table.is_file()
    shown = capsys.readouterr().out
    assert "output y: float16[2, 64]" in shown and "us predicted" in shown


def test_atc_run_as_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc_run(str(model), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["outputs"] == [{"name": "y", "dtype": "float16", "shape": [2, 64]}]
    assert told["cycles"] > 0 and told["latency_us"] > 0 and told["tasks"] == {"aicore": 1, "aicpu": 0}


def test_outputs_whose_size_depends_on_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their sizes are an output of the file that nobody sees."""
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"]), helper.make_node("Relu", ["x"], ["r"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "r")],
    )
    graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    compile_model(model, CompileOptions()).write(tmp_path / "m.om")
    x = np.eye(4, 8, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    assert (
        atc_run(str(tmp_path / "m.om"), f"--input={tmp_path / 'x.npy'}", f"--output={tmp_path / 'o.npz'}")
        == 0
    )
    assert "output y: int64[2, 4]" in capsys.readouterr().out
    found = np.load(tmp_path / "o.npz")
    assert sorted(found.files) == ["r", "y"] and np.array_equal(found["y"], np.stack(x.nonzero()))


@pytest.mark.parametrize("suffix", ["npy", "bin"])
def test_atc_run_single_output(model: Path, suffix: str) -> None:
    out = model.parent / f"out.{suffix}"
    assert atc_run("--om", str(model), "--output", str(out)) == 0
    data = np.load(out) if suffix == "npy" else np.fromfile(out, np.float16).reshape(2, 64)
    assert np.array_equal(data, WEIGHT.reshape(2, 64))


def _outputs(path: Path, *words: str) -> bytes:
    np.save(path.parent / "x.npy", IMAGE)
    out = path.parent / "out.bin"
    assert atc_run(f"--model={path}", f"--input={path.parent / 'x.npy'}", f"--output={out}", *words) == 0
    return out.read_bytes()


def test_atc_run_in_random_order(model: Path) -> None:
    """Flags leave many orders, all with the same result; a model that lacks one depends on the seed."""
    seeds = [f"--seed={seed}" for seed in range(12)]
    assert {_outputs(model, "--order=random", seed) for seed in seeds} == {_outputs(model)}
    racy = model.parent / "racy.om"
    write_om(add_model(ADD.format(load_done="", add_done=ADD_DONE)), racy)
    assert _outputs(racy) == _outputs(racy, "--order=program") == _outputs(model)
    found = [_outputs(racy, "--order=random", seed) for seed in seeds]
    assert any(data != _outputs(model) for data in found)
    assert found == [_outputs(racy, "--order=random", seed) for seed in seeds]
    assert _outputs(racy, "--order=random") == found[0]  # seed 0 when none is given


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--model=missing.om"], "E13000"),
        (["--model={om}", "--input=missing.npy"], "E13000"),
        (["--model={om}", "--input={om}"], "EH0001"),
        (["--model={om}", "--input=a=b"], "EH0001"),
        (["--model={om}", "--input={bad}"], "E13005"),
        (["--model={om}", "--output=/nowhere/x.npz"], "E13004"),
        (["--model={bad}"], "E10041"),
        (["{om}", "--model={om}"], "E10014"),
        (["{om}", "--part=1"], "E10041"),
        (["--nonsense"], "E10014"),
        (["--model={om}", "--order=sideways"], "E10014"),
        (["--model={om}", "--seed=3"], "E10014"),
        ([], "E10014"),
    ],
)
def test_atc_run_errors(model: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str) -> None:
    bad = model.parent / "bad.npz"
    bad.write_bytes(b"garbage" * 100)
    assert atc_run(*[word.format(om=model, bad=bad) for word in words]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"{code}: ") and "Traceback" not in out + err
