"""Every intrinsic that the public platform files list for a coupled chip is a row of the table or named as absent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ascend_mlir.runtime.isa.absent import ABSENT
from ascend_mlir.runtime.isa.table import INSTRUCTIONS
from ascend_mlir.runtime.soc import load_soc

FACTS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "davinci.md"
CHIPS = ("Ascend310", "Ascend310P3", "Ascend910A")
ABSENT_TEXT = " ".join(name for entry in ABSENT for name in entry.names)
# The file's words for what the table calls otherwise, or has in one row.
SAME = {"max": "scalar max", "min": "scalar min"}
L0B = {"data_move_l12l0b": "data_move_l12l0a", "data_move_out2l0b": "data_move_out2l0a"}
SKIPPED = {
    "f162f16", "f162f32",  # mmad: no third operand type, no description
    "s8", "u8", "u8s8", "s4", "f16u2", "f16f16u2", "b8u2", "s32u8u2", "s32s4s4",  # mmad: short names, 4 and 2 bits
    "f16f16f16", "f32f32f32",  # vmla, vaxpy: other names of f16 and f32
    "f162s4",
    "s64", "u64",  # scalars: rows without a type
}  # fmt: skip


def _listed() -> Iterator[tuple[str, str, set[str]]]:
    """(intrinsic, chip, types) of appendix A."""
    text = FACTS.read_text(encoding="utf-8")
    for line in text[text.index("## Appendix A") :].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or not re.fullmatch(r"\w+", cells[0]) or cells[0] == "intrinsic":
            continue
        for chip, types in zip(CHIPS, cells[1:4], strict=True):
            if types not in ("–", "true"):
                yield cells[0], chip, set(types.replace('""', "").split())


def _known(name: str) -> bool:
    """Whether the name is accounted for by the list of absent things."""
    if name.startswith(("vcmpv_", "vcmpvs_")):
        return True  # one row with a condition each, see absent
    return name in ABSENT_TEXT.split() or f"{name}," in ABSENT_TEXT


@pytest.mark.shared
def test_every_listed_intrinsic_is_a_row_or_absent() -> None:
    if not FACTS.exists():
        pytest.skip(f"{FACTS} is not there")
    rows: dict[str, set[str]] = {}
    for row in INSTRUCTIONS:
        rows.setdefault(row.intrinsic or row.mnemonic, set()).update(row.types)
        rows.setdefault(row.mnemonic, set()).update(row.types)
    names = {name for name, _, _ in _listed()}
    assert len(names) > 100
    missing = sorted(n for n in names if L0B.get(n, n) not in rows and not _known(n))
    assert missing == []
    for name, chip, types in _listed():
        have = rows.get(L0B.get(name, name))
        if have is None or name.startswith("data_move") or not have:
            continue  # moves of bytes have no type
        wanted = types - SKIPPED - have
        other_names = {"f162f32"}  # f162f32: a row's own type
        if name in ("scatter_vmla", "scatter_vaxpy"):
            other_names |= {"f16", "f32"}  # listed as f16f16f16 and f32f32f32
            wanted -= {"f32f16f16"}  # named as absent
        if name == "vshl":
            wanted -= {"f16", "f32"}  # named as absent
        assert not wanted, (name, chip, wanted)
        extra = load_soc(chip).core.intrinsics.get(name, frozenset[str]()) - types - other_names
        assert not extra, (name, chip, extra)
