"""Files that `atc` writes beside the `.om`: kernels and what was fused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
import pytest
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.tools.atc import main

from .test_atc_meaning import network


def atc(*words: str) -> None:
    with pytest.raises(SystemExit) as done:
        main(["convert", "m.onnx", *words])
    assert done.value.code == 0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASCEND_WORK_PATH", raising=False)
    onnx.save(network(), "m.onnx")
    return tmp_path


def test_kernel_files_are_those_of_the_model() -> None:
    atc("--op_debug_level=1")
    om = read_om("m.om")
    assert sorted(path.name for path in Path("kernel_meta").iterdir()) == sorted(
        f"{kernel.name}{suffix}" for kernel in om.kernels for suffix in (".o", ".json", ".s")
    )
    for kernel in om.kernels:
        path = Path("kernel_meta", kernel.name)
        told = json.loads(path.with_suffix(".json").read_text())
        assert path.with_suffix(".o").read_bytes() == kernel.code
        assert assemble(path.with_suffix(".s").read_text()) == kernel.code
        assert told["sha256"] == hashlib.sha256(kernel.code).hexdigest()
        assert told["kernelName"] == kernel.name
        tasks = [task for task in om.tasks if task.kernel == kernel.name]
        assert told["blockDim"] == max(task.block_dim for task in tasks)
        assert [launch["op"] for launch in told["launches"]] == [om.graph[t.op_index].name for t in tasks]
        assert all(launch["nodes"] for launch in told["launches"])


def test_levels_and_folder() -> None:
    for level, suffixes in (("0", set[str]()), ("3", {".o", ".json"}), ("4", {".o", ".json", ".s"})):
        Path(level).mkdir()
        atc(f"--op_debug_level={level}", f"--debug_dir={level}")
        assert {path.suffix for path in Path(level).iterdir()} == suffixes
    assert not Path("kernel_meta").exists()


def test_the_model_is_the_same_with_and_without(folder: Path) -> None:
    atc("--output=a")
    assert sorted(path.name for path in folder.iterdir()) == ["a.om", "m.onnx"]
    atc("--output=b", "--op_debug_level=4", "--export_compile_stat=2")
    assert Path("a.om").read_bytes() == Path("b.om").read_bytes()


def test_what_was_fused() -> None:
    atc("--export_compile_stat=1")
    (found,) = json.loads(Path("fusion_result.json").read_text()).values()
    assert found["graph_fusion"]["nn-fold-batch-norm"]["effect_times"] == 1
    om = read_om("m.om")
    several = [op.type for op in om.graph if op.attrs.get("_datadump_is_multiop")]
    assert {kind: row["effect_times"] for kind, row in found["ub_fusion"].items()} == {
        kind: several.count(kind) for kind in several
    }
    atc("--export_compile_stat=1", "--oo_level=O1")
    (less,) = json.loads(Path("fusion_result.json").read_text()).values()
    assert "nn-fold-batch-norm" not in less["graph_fusion"]


def test_folder_of_reports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_WORK_PATH", str(folder / "work"))
    atc("--export_compile_stat=1")
    assert len(list(folder.glob("work/FE/*/fusion_result.json"))) == 1
