"""The compiler as `ascend-opt` runs it, pass by pass from text, and as `atc` runs it are one compiler."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import ascend_mlir
import numpy as np
import pytest
from ascend_mlir.lowering import pipelines
from ascend_mlir.passes import PASSES
from ascend_mlir.passes.davinci_pipeline import PIPELINE
from ascend_mlir.tools.ascend_opt import AscendOptMain
from ascend_mlir.tools.ascend_translate import main as ascend_translate
from walkthrough_model import main as write_walkthrough

STOPS = pipelines.STOPS


def ascend_opt(*words: str) -> str:
    """The tool in this process: its imports would be most of the time of a process of its own."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        AscendOptMain("", words).run()
    return output.getvalue()


def translate(*words: str) -> None:
    with pytest.raises(SystemExit) as end:
        ascend_translate(words)
    assert end.value.code == 0


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The walkthrough's model as text of every level, with source nodes."""
    folder = tmp_path_factory.mktemp("stages")
    write_walkthrough(folder / "block.onnx")
    for stop in STOPS:
        text = ascend_opt(str(folder / "block.onnx"), f"--compile-to={stop}", "--print-debuginfo")
        (folder / f"{stop}.mlir").write_text(text)
    return folder


def test_all_passes_of_the_pipelines_are_registered() -> None:
    assert {name for names in pipelines.PIPELINES.values() for name in names} <= set(PASSES)


def test_text_and_memory_run_the_same_kernel_passes() -> None:
    """`KERNEL` is for text, `PIPELINE` for the product; registers are assigned while encoding there."""
    assert (*(name for name, _ in PIPELINE), "davinci-allocate-registers") == pipelines.KERNEL


@pytest.mark.parametrize("stop", STOPS)
def test_every_level_prints_and_parses(stages: Path, stop: str) -> None:
    file = stages / f"{stop}.mlir"
    assert ascend_opt(str(file), "--print-debuginfo") == file.read_text()
    generic = stages / f"{stop}.generic.mlir"
    generic.write_text(ascend_opt(str(file), "--print-debuginfo", "--print-op-generic"))
    assert ascend_opt(str(generic), "--print-debuginfo") == file.read_text()


@pytest.mark.parametrize("start", STOPS[:-1])
def test_compilation_starts_at_every_level(stages: Path, start: str) -> None:
    words = (str(stages / f"{start}.mlir"), "--print-debuginfo", "--weights", str(stages / "block.onnx"))
    for stop in STOPS[STOPS.index(start) : -1]:
        assert ascend_opt(*words, f"--compile-to={stop}") == (stages / f"{stop}.mlir").read_text(), stop
    made = ascend_opt(*words, "--compile-to=om").replace(f'om.model "{start}"', 'om.model "block"')
    expected = (stages / "om.mlir").read_text()
    assert made.replace(f'"{start}"', '"block"') == expected


def test_the_bytes_are_those_of_the_product(stages: Path) -> None:
    om = stages / "block.om"
    translate("--emit-om", str(stages / "om.mlir"), "--weights", str(stages / "block.onnx"), "-o", str(om))
    compiled = pipelines.compile_model(stages / "block.onnx", pipelines.CompileOptions())
    assert om.read_bytes() == compiled.bytes


def test_the_kernel_of_the_walkthrough_computes_the_block(stages: Path) -> None:
    """What the davinci tests start from, put in place of the generated kernel, gives the same outputs."""
    text = (Path(__file__).parents[1] / "filecheck/walkthrough/Inputs/kernel.mlir").read_text()
    kernel = text[text.index("  davinci.kernel") : text.rindex("}")]
    passes = [*pipelines.NN, *pipelines.ASCEND, *pipelines.DAVINCI]
    passes.remove("ascend-split-bias")  # the kernel of the walkthrough takes its bias in f32
    wide = stages / "wide_bias.mlir"
    wide.write_text(ascend_opt(str(stages / "block.onnx"), "-p", ",".join(passes), "--print-debuginfo"))
    module = ascend_opt(str(wide))
    generated = re.search(r"  davinci\.kernel @(conv_add_relu_\w+)\(.*?\n  }\n", module, re.DOTALL)
    assert generated is not None
    replaced = stages / "replaced.mlir"
    replaced.write_text(module.replace(generated[0], kernel.replace("@conv_add_relu", f"@{generated[1]}")))
    weights = ("--weights", str(stages / "block.onnx"))
    om = stages / "replaced.om.mlir"
    om.write_text(ascend_opt(str(replaced), "--compile-to=om", *weights))
    translate("--emit-om", str(om), *weights, "-o", str(stages / "replaced.om"))

    compiled = pipelines.compile_model(stages / "block.onnx", pipelines.CompileOptions())
    compiled.write(stages / "generated.om")
    random = np.random.default_rng(0)
    feeds = {name: random.standard_normal((1, 64, 56, 56)).astype(np.float32) for name in ("x", "res")}
    sessions = [ascend_mlir.InferenceSession(stages / name) for name in ("replaced.om", "generated.om")]
    ours, theirs = (session.run(None, feeds)[0] for session in sessions)
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-3, atol=2e-3
    )  # other steps of k: f32 sums round elsewhere
