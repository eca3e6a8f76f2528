"""`ascend-translate`: files and text are the same thing in two forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.om.model import OmKernel
from ascend_mlir.runtime.om.writer import write_om
from ascend_mlir.tools.ascend_translate import main
from om_samples import conv_model

PROGRAM = """
.kernel args=2
arg r1, number=0
arg r2, number=1
copy_gm_to_ubuf ub[0], gm[r1], bursts=1, length=2 ; op 0
copy_ubuf_to_gm gm[r2], ub[0], bursts=1, length=2 ; op 1
end
"""


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(words))
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.fixture
def om(tmp_path: Path) -> Path:
    from dataclasses import replace

    model = conv_model()
    kernels = (OmKernel("conv_7c1e", assemble(PROGRAM)), *model.kernels[1:])
    write_om(replace(model, kernels=kernels), tmp_path / "m.om")
    return tmp_path / "m.om"


def test_offline_model_to_text_and_back(om: Path) -> None:
    text, again = om.with_suffix(".mlir"), om.with_name("again.om")
    assert run("--import-om", str(om), "-o", str(text)) == 0
    assert run("--emit-om", str(text), "--weights", str(om), "-o", str(again)) == 0
    assert again.read_bytes() == om.read_bytes()


def test_weights_must_be_given(om: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = om.with_suffix(".mlir")
    assert run("--import-om", str(om), "-o", str(text)) == 0
    assert run("--emit-om", str(text), "-o", str(om.with_name("x.om"))) == 1
    assert "E10058" in capsys.readouterr().err
    assert not om.with_name("x.om").exists()


def test_weights_from_blobs(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", w=np.arange(16, dtype=np.float32))
    (tmp_path / "m.mlir").write_text(
        """
om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.weight "w" : f16 [16] ND bytes 32 at 512 from #nn.blob<"w" : tensor<16xf32> | cast f16>
}
"""
    )
    words = [
        "--emit-om",
        str(tmp_path / "m.mlir"),
        "--weights",
        str(tmp_path / "w.npz"),
        "-o",
        str(tmp_path / "m.om"),
    ]
    assert run(*words) == 0
    assert np.arange(16, dtype=np.float16).tobytes() in (tmp_path / "m.om").read_bytes()


def test_machine_code_to_text_and_back(tmp_path: Path) -> None:
    image, text, again = tmp_path / "k.bin", tmp_path / "k.s", tmp_path / "again.bin"
    image.write_bytes(assemble(PROGRAM))
    assert run("--disassemble", str(image), "-o", str(text)) == 0
    assert run("--assemble", str(text), "-o", str(again)) == 0
    assert again.read_bytes() == image.read_bytes()


def test_listing_of_a_task_names_its_nodes_and_can_be_assembled(om: Path) -> None:
    text, again = om.with_suffix(".s"), om.with_suffix(".bin")
    assert run("--disassemble", str(om), "--task", "0", "-o", str(text)) == 0
    assert "op 0 (conv, bn)" in text.read_text() and "conv_7c1e, 8 blocks" in text.read_text()
    assert run("--assemble", str(text), "-o", str(again)) == 0
    assert again.read_bytes() == assemble(PROGRAM)


def test_listing_of_a_kernel_has_no_names(om: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("--disassemble", str(om), "--kernel", "conv_7c1e") == 0
    shown = capfdbinary.readouterr().out
    assert b"copy_gm_to_ubuf" in shown and b"bn" not in shown


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--disassemble", "{om}", "--kernel", "none"], "E10014"),
        (["--disassemble", "{om}", "--task", "9"], "E10014"),
        (["--import-om", "missing.om"], "E13001"),
        (["--assemble", "{om}"], "E13005"),
        (["--emit-om", "{mlir}"], "E10041"),
        (["--to-json", "{mlir}"], "E10041"),
        (["--to-svg", "missing.om"], "E13001"),
        (["--om-to-mlir", "{om}", "--part", "1"], "E10041"),
        (["--diff", "{om}"], "E10014"),
        (["--to-dot", "{om}", "{om}"], "E10014"),
    ],
)
def test_errors(om: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str) -> None:
    empty = om.with_name("empty.mlir")
    empty.write_text("builtin.module {}")
    assert run(*[word.format(om=om, mlir=empty) for word in words]) == 1
    assert capsys.readouterr().err.startswith(f"{code}: ")
