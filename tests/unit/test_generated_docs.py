"""The generated documents say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest
from ascend_mlir.passes import PASSES
from ascend_mlir.runtime.isa.absent import ABSENT
from ascend_mlir.runtime.isa.table import INSTRUCTIONS
from ascend_mlir.tools import generate_docs
from ascend_mlir.tools.docs_markdown import cell, prose
from ascend_mlir.tools.universe import load_dialect


def test_generated_documents_are_current() -> None:
    assert generate_docs.outdated() == [], "run `make docs`"


def test_check_fails_for_an_old_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_docs, "FOLDER", tmp_path)
    assert generate_docs.main(["--check"]) == 1
    assert "docs/isa.md is not current: run `make docs`" in capsys.readouterr().err
    assert generate_docs.main([]) == 0
    assert generate_docs.main(["--check"]) == 0


def test_every_instruction_op_and_pass_has_a_section() -> None:
    isa = (generate_docs.FOLDER / "isa.md").read_text()
    assert [row.mnemonic for row in INSTRUCTIONS if f"\n### {row.mnemonic}\n" not in isa] == []
    dialects = (generate_docs.FOLDER / "dialects.md").read_text()
    ops = [op.name for name in ("nn", "ascend", "om") for op in load_dialect(name).operations]
    assert [name for name in ops if f"\n### {name}\n" not in dialects] == []
    passes = (generate_docs.FOLDER / "passes.md").read_text()
    assert [name for name in PASSES if f"\n## {name}\n" not in passes] == []


def test_what_is_absent_is_absent() -> None:
    absent = {name for row in ABSENT for name in row.names}
    assert absent & {row.mnemonic for row in INSTRUCTIONS if row.family != "scalar"} == set()


def test_markdown_keeps_types_and_bars() -> None:
    assert cell("a | tensor<4xf16> `b<c>`") == "a \\| tensor&lt;4xf16> `b<c>`"
    assert prose("Text.\n    code\nmore <x>") == "Text.\n\n    code\n\nmore &lt;x>\n"
    assert prose("before  %a<b>\nafter   %c") == "    before  %a<b>\n    after   %c\n".strip() + "\n"
