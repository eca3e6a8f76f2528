"""`docs/isa.md` says everything about every instruction: a row that lacks something makes this fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ascend_mlir.runtime.isa.model import VECTOR_REGISTERS, Instruction
from ascend_mlir.runtime.isa.table import INSTRUCTIONS, STATE_GROUPS
from ascend_mlir.runtime.soc import CoreType, load_soc, soc_names

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "isa.md").read_text(encoding="utf-8")
SECTIONS = {
    match[1]: match[2]
    for match in re.finditer(r"^### (\w+)\n(.*?)(?=^##)", TEXT + "\n##", re.MULTILINE | re.DOTALL)
}
# `<empty>` marks what the table does not say.
EMPTY = ("", "none", "()")


def _line(text: str, head: str) -> str:
    """What follows `head` on its line."""
    found = re.search(rf"^{head}(.*)$", text, re.MULTILINE)
    assert found, head
    return found[1].strip(" .:")


def _takes_any_word(row: Instruction) -> bool:
    """Whether the row sets a special register to any 64 bits."""
    return any(
        group.setter == row.mnemonic and all(spec.low == -(1 << 63) for spec in group.fields)
        for group in STATE_GROUPS.values()
    )


def _has(core: CoreType, row: Instruction) -> bool:
    """Whether a core has the intrinsic and a memory for each operand (the bias table is on 910B only)."""
    places = [{"gm", *core.buffers} & set(address.spaces) for address in row.addresses]
    return core.supports(row.intrinsic) and all(places)


def test_every_row_has_a_section() -> None:
    assert set(SECTIONS) == {row.mnemonic for row in INSTRUCTIONS}


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_section(row: Instruction) -> None:
    """Operands with units and ranges, a formula, the pipe, types per chip, cycles, faults, and who says so."""
    text = SECTIONS[row.mnemonic]
    assert f"Opcode {row.opcode:#04x}, pipe {row.pipe}. " in text
    assert re.search(r"^    \S", text, re.MULTILINE), "formula"
    for spec in row.addresses:
        assert re.search(
            rf"^\| `{spec.name}` \| address \| {', '.join(spec.spaces)} \| (read|written)", text, re.MULTILINE
        )
    for scalar in row.scalars:
        assert (
            re.search(rf"^\| `{scalar.name}` \| scalar \| 64 bits \|.*\| \S", text, re.MULTILINE)
            and scalar.doc
        )
    for field in row.fields:
        assert re.search(rf"^\| `{field.name}` \| field \| {field.low} … {field.high} \|", text, re.MULTILINE)
        assert field.unit or field.doc or field.choices, f"{field.name}: neither unit nor meaning"
    if not row.addresses and not row.values:
        assert "No operands." in text
    for name in (spec.name for group in row.state for spec in STATE_GROUPS[group].fields):
        assert f"`{name}`" in _line(text, "Reads state")
    for verb, registers in (("Reads", row.reads), ("Writes", row.writes)):
        for register in registers:
            assert register in VECTOR_REGISTERS and f"`{register}`" in _line(text, f"{verb} register")
    assert "Data types" in text and "Timing class" in text
    assert _line(text, "Faults") not in ("", "none") or row.family == "scalar" or _takes_any_word(row)
    assert _line(text, "Source") not in EMPTY


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_types_and_cycles_of_every_chip(row: Instruction) -> None:
    """Each chip either has the row, with types and cycles, or the section says that it has not."""
    text = SECTIONS[row.mnemonic]
    types = text[text.index("Data types") : text.index("Timing class")]
    cycles = text[text.index("Timing class") : text.index("Faults")]
    for name in soc_names():
        types_of_cores = load_soc(name).core_types.values()
        cores = [core for core in types_of_cores if _has(core, row)]
        line = next((line for line in types.splitlines() if re.search(rf"\b{name}\b", line)), types)
        assert ("not on this chip" in line) == (not cores)
        if cores and row.types:
            on_chip = {
                kind for kind in row.types if any(core.supports(row.intrinsic, kind) for core in cores)
            }
            assert on_chip and on_chip <= set(re.findall(r"\w+", line))
    assert re.search(r"[0-9]", cycles), "no number of cycles"


def test_timing_classes_exist() -> None:
    """A class that no SoC file has would silently cost one dispatch."""
    for name in soc_names():
        soc = load_soc(name)
        timing = soc.timing
        known = {*timing["vector"], *timing["path"], "scalar", "scalar_load", "scalar_store", "flag", "barrier",
                 "set_register", "cross", "load2d", "load2d_gm", "load3d", "set_2d", "mad", "set_mask"}  # fmt: skip
        used = {
            row.timing for row in INSTRUCTIONS if any(_has(core, row) for core in soc.core_types.values())
        }
        assert used <= known
