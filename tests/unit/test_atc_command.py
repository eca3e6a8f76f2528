"""`atc` from the command line to exit status: messages, codes, and no file left behind after an error.

The compiler behind it is replaced by one that returns a sample model, so that these tests are about the tool.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.tools.atc import main
from ascend_mlir.tools.atc_classic import FAILURE, START, SUCCESS
from om_samples import conv_model


@dataclass
class Options:
    soc: str = "Ascend310P3"
    input_shapes: Any = None
    output_names: Any = None
    precision: str = "force_fp16"
    keep_dtype: tuple[str, ...] = ()
    input_types: Any = field(default_factory=dict)
    output_types: Any = field(default_factory=dict)
    op_types: Any = field(default_factory=dict)
    aipp: str = ""
    without: frozenset[str] = frozenset()
    cores: int = 0
    reuse_memory: bool = True
    watch: Any = field(default=None, compare=False)


class FakeCompiler(ModuleType):
    """Stands in for `lowering.pipelines`."""

    CompileOptions = Options

    def __init__(self) -> None:
        super().__init__("pipelines")
        self.options: Options | None = None
        self.error: Exception | None = None

    def compile_model(self, source: object, options: Options) -> object:
        self.options = options
        if self.error is not None:
            raise self.error
        return type(
            "CompiledModel", (), {"om": conv_model(), "counts": {}, "strangers": (), "warnings": ()}
        )()


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> FakeCompiler:
    fake = FakeCompiler()
    monkeypatch.setitem(sys.modules, "ascend_mlir.lowering.pipelines", fake)
    monkeypatch.setattr(
        "ascend_mlir.runtime.profiling.task_cycles", lambda model: (1234,)
    )  # its kernels are no code
    return fake


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x09not looked at")
    return path


def atc(*words: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(words))
    assert isinstance(done.value.code, int)
    return done.value.code


def usual(model: Path, *more: str) -> list[str]:
    return [
        "--framework=5",
        f"--model={model}",
        f"--output={model.parent / 'net'}",
        "--soc_version=Ascend310P3",
        *more,
    ]


def test_success(compiler: FakeCompiler, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc(*usual(model, "--input_shape=x:1,64,56,56", "--log=error")) == 0
    assert capsys.readouterr().out.splitlines() == [START, "...", SUCCESS]
    assert compiler.options == Options(input_shapes={"x": (1, 64, 56, 56)})
    om = read_om(model.parent / "net.om")
    assert om.attrs["framework_type"] == "5"
    assert (
        om.attrs["atc_cmdline"]
        == "atc --framework=5 --model=net.onnx --soc_version=Ascend310P3 --input_shape=x:1,64,56,56"
    )


def test_same_model_same_bytes_under_another_name(compiler: FakeCompiler, model: Path) -> None:
    assert atc(*usual(model)) == 0
    assert atc(*usual(model)[:2], f"--output={model.parent / 'other'}", "--soc_version=Ascend310P3") == 0
    assert (model.parent / "net.om").read_bytes() == (model.parent / "other.om").read_bytes()


def test_flags_without_effect_are_named(
    compiler: FakeCompiler, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert atc(*usual(model, "--enable_small_channel=1", "--op_select_implmode=high_performance")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "W10001: --enable_small_channel: accepted for compatibility, without effect here: "
        "convolutions of few channels always use the layout for them"
    )


def test_options_reach_the_compiler(compiler: FakeCompiler, model: Path) -> None:
    keep = model.parent / "keep.txt"
    keep.write_text("conv1\n\nOpType::Relu\n")
    words = [f"--keep_dtype={keep}", "--out_nodes=a:0;b:1", "--precision_mode_v2=origin"]
    words += ["--aicore_num=4", "--disable_reuse_memory=1"]
    assert atc(*usual(model, *words)) == 0
    assert compiler.options == Options(
        output_names=("a:0", "b:1"),
        precision="must_keep_origin_dtype",
        keep_dtype=("conv1", "OpType::Relu"),
        cores=4,
        reuse_memory=False,
    )


def test_convert_fills_in_the_usual_flags(compiler: FakeCompiler, model: Path) -> None:
    assert atc("convert", str(model), "--soc_version", "Ascend910A") == 0
    assert compiler.options is not None and compiler.options.soc == "Ascend910A"
    assert (model.parent / "net.om").is_file()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--soc_version=Ascend310P"], "E10001"),
        (["--framework=3", "--input_format=NHWC"], "E10001"),
        (["--model=missing.onnx"], "E13000"),
        (["--output=folder/"], "E10022"),
        (["--output=" + "x" * 5000], "E10021"),
        (["--output=/proc/nope/x"], "E13004"),
        (["--input_shape=x"], "E10002"),
        (["--input_shape=x:-1,3"], "E10011"),
        (["--input_format=NHWC"], "E10001"),
        (["--keep_dtype=missing.txt"], "E10410"),
        (["--precision_mode=force_fp16", "--precision_mode_v2=fp16"], "E10056"),
        (["--dynamic_batch_size=1,2"], "E10040"),
        (["--insert_op_conf=aipp.cfg"], "E13000"),
        (["--mode=1"], "E10004"),
        (["--mode=7"], "E10055"),
        (["--framework=9"], "E10001"),
    ],
)
def test_errors(
    compiler: FakeCompiler, model: Path, capsys: pytest.CaptureFixture[str], change: list[str], code: str
) -> None:
    assert atc(*usual(model), *change) == 1
    out, err = capsys.readouterr()
    assert FAILURE in out and f"\n{code}: " in out and err == ""
    assert "Traceback" not in out
    assert sorted(path.name for path in model.parent.iterdir()) == ["net.onnx"]


@pytest.mark.parametrize("missing", ["framework", "soc_version", "output", "model"])
def test_required_flags(model: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    words = [word for word in usual(model) if not word.startswith(f"--{missing}=")]
    assert atc(*words) == 1
    out = capsys.readouterr().out
    assert ("E10007" if missing == "framework" else "E10054") in out and f"--{missing}" in out


def test_empty_model(compiler: FakeCompiler, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write_bytes(b"")
    assert atc(*usual(model)) == 1
    assert "E10041" in capsys.readouterr().out


def test_error_of_the_compiler(
    compiler: FakeCompiler, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler.error = AscendError("E10016", "input 'y' is not in the model", expected="x", hint="rename it")
    assert atc(*usual(model)) == 1
    assert capsys.readouterr().out.splitlines()[-4:] == [
        FAILURE,
        "E10016: input 'y' is not in the model",
        "        Possible Cause: expected x.",
        "        Solution: Rename it.",
    ]


def test_bug_of_the_compiler_is_no_traceback(
    compiler: FakeCompiler, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASCEND_TRACEBACK", raising=False)
    compiler.error = KeyError("oops")
    assert atc(*usual(model)) == 1
    out = capsys.readouterr().out
    assert "E19999: Internal Error! KeyError: 'oops'" in out and "Traceback" not in out


def test_unknown_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert atc("--nonsense=1") == 1
    out, err = capsys.readouterr()
    assert err == "ERROR: unknown command line flag 'nonsense'\n"
    assert out == f"{FAILURE}\n"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert atc("--h") == 0
    assert "--soc_version" in capsys.readouterr().out


def test_mode_6(compiler: FakeCompiler, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc(*usual(model)) == 0
    capsys.readouterr()
    assert atc("--mode=6", f"--om={model.parent / 'net.om'}") == 0
    out = capsys.readouterr().out
    assert "system   info: atc_version[ascend-mlir" in out and "weight_data_size[74752 B]" in out
    assert atc("--mode=6", f"--om={model.parent / 'net.om'}", "--framework=5") == 1
    assert "E10057" in capsys.readouterr().out
