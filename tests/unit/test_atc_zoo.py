"""Command lines as public model collections give them: all are understood, and those of ONNX models compile."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
import zoo_commands as zoo
from ascend_mlir.runtime.om.profiles import OmProfiles
from ascend_mlir.runtime.om.reader import read_offline, read_om
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.tools.atc import main
from ascend_mlir.tools.atc_classic import FAILURE, SUCCESS
from ascend_mlir.tools.atc_flags import parse_flags

COMPILED = zoo.lines(zoo.COMPILED)
PROFILES = zoo.lines(zoo.PROFILES)
REFUSED = zoo.lines(zoo.REFUSED)


def run(line: str) -> tuple[int, str]:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit) as done:
        main(zoo.words(line))
    assert isinstance(done.value.code, int)
    return done.value.code, text.getvalue()


def test_there_are_enough() -> None:
    assert len(COMPILED) + len(PROFILES) + len(REFUSED) >= 60


@pytest.mark.parametrize(
    "line", [*COMPILED, *PROFILES, *REFUSED], ids=lambda line: zoo.value_of(zoo.words(line), "model")
)
def test_parses(line: str) -> None:
    flags = parse_flags(zoo.words(line))
    assert flags.get("model").endswith(".onnx") and len(flags.values) >= 5


def converted(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a command line makes, of a model made for it."""
    monkeypatch.chdir(folder)
    words = zoo.words(line)
    zoo.prepare(folder, words)
    status, text = run(line)
    assert status == 0 and SUCCESS in text, text
    return Path(zoo.value_of(words, "output") + ".om")


@pytest.mark.parametrize("line", COMPILED, ids=lambda line: zoo.value_of(zoo.words(line), "model"))
def test_compiles(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    om = read_om(converted(line, tmp_path, monkeypatch))
    words = zoo.words(line)
    assert om.soc.endswith(zoo.value_of(words, "soc_version"))
    if "--insert_op_conf" in line:
        assert om.inputs[0].dtype == "u8"
    if "--output_type=FP16" in line or ":FP16" in line:
        assert {tensor.dtype for tensor in om.outputs} == {"f16"}
    if "--input_fp16_nodes" in line:
        assert [tensor.dtype for tensor in om.inputs].count("f16") == 1


SIZES = {
    "en_bert": ("dims", ((1, 64, 1, 64), (4, 128, 4, 128))),
    "yolov3_dy": ("image", ((320, 320), (640, 640))),
    "resnet_dy": ("batch", ((1,), (4,), (8,), (16,))),
    "lens": ("dims", tuple((a, b) for a in (1, 2, 3) for b in (1, 2, 3))),
}


@pytest.mark.parametrize("line", PROFILES, ids=lambda line: zoo.value_of(zoo.words(line), "model"))
def test_compiles_for_several_sizes(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = converted(line, tmp_path, monkeypatch)
    found = read_offline(path)
    assert isinstance(found, OmProfiles)
    assert (found.kind, found.sizes) == SIZES[path.stem]
    assert om_bytes(found) == path.read_bytes()


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: zoo.value_of(zoo.words(line), "model"))
def test_refused_with_a_reason(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / zoo.value_of(zoo.words(line), "model")).write_bytes(b"\x08\x08")
    status, text = run(line)
    assert status == 1 and FAILURE in text
    assert "E10036" in text or "E10001: --auto_tune_mode" in text
    assert not list(tmp_path.glob("*.om"))
