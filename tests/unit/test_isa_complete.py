"""Every intrinsic that the public platform files list for a chip is a row of the table or named as absent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ascend_mlir.runtime.isa.absent import ABSENT
from ascend_mlir.runtime.isa.table import INSTRUCTIONS
from ascend_mlir.runtime.soc import load_soc

FACTS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "davinci.md"
CHIPS = ("Ascend310", "Ascend310P3", "Ascend910A", "Ascend910B1")
# What the SoC file lists beyond the vendor's column, each with its own source beside it.
ELSEWHERE = {"f162f32", "bf162f32", "bf16", "f32bf16bf16"}
ABSENT_TEXT = " ".join(name for entry in ABSENT for name in entry.names)
# The file's words for what the table calls otherwise, or has in one row.
SAME = {"max": "scalar max", "min": "scalar min"}
L0B = {
    "data_move_l12l0b": "data_move_l12l0a", "data_move_out2l0b": "data_move_out2l0a",
    "data_move_transpose_l12l0b": "data_move_transpose_l12l0a", "set_l0a": "set_2d", "set_l0b": "set_2d",
}  # fmt: skip
# What the vendor lists part by part is one instruction: the fixpipe.
CONVERSIONS = {f"fix_pipe_pre_conv_{part}" for part in ("cast", "dequant", "quant", "requant")}
FIXPIPE = {"fix_pipe_post_transform_func_list", "fix_pipe_post_transform_nz2nd", "fix_pipe_pre_act_func_list",
           "fix_pipe_pre_act_normal_relu", "fix_pipe_pre_conv_func_list", "fix_pipe_unit_list"}  # fmt: skip
SKIPPED = {
    "f162f16", "f162f32",  # mmad: no third operand type, no description
    "s8", "u8", "u8s8", "s4", "f16u2", "f16f16u2", "b8u2", "s32u8u2", "s32s4s4",  # mmad: short names, 4 and 2 bits
    "f16f16f16", "f32f32f32",  # vmla, vaxpy: other names of f16 and f32
    "f162s4", "f322s4", "s322s4", "f322f32", "s4s4",
    "s64", "u64",  # scalars: rows without a type
}  # fmt: skip


def _listed() -> Iterator[tuple[str, str, set[str]]]:
    """(intrinsic, chip, types) of appendix A."""
    text = FACTS.read_text(encoding="utf-8")
    for line in text[text.index("## Appendix A") :].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or not re.fullmatch(r"\w+", cells[0]) or cells[0] == "intrinsic":
            continue
        for chip, types in zip(CHIPS, cells[1:5], strict=True):
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
    rows |= dict.fromkeys(CONVERSIONS, rows["fix_pipe_l0c2out"]) | {name: set[str]() for name in FIXPIPE}
    missing = sorted(n for n in names if L0B.get(n, n) not in rows and not _known(n))
    assert missing == []
    for name, chip, listed in _listed():
        types = listed
        have = rows.get(L0B.get(name, name))
        if have is None or name.startswith("data_move") or not have:
            continue  # moves of bytes have no type
        if name in ("vbrcb", "vgatherb"):  # listed with the type of each operand
            types = {kind[: len(kind) // 2] for kind in types}
        if name.startswith("fix_pipe_l0c2"):  # listed by the type in L0C
            have = {kind[:3] for kind in have} | ({"f16"} if name == "fix_pipe_l0c2l1" else set())  # absent
        wanted = types - SKIPPED - have
        other_names = ELSEWHERE
        if name in ("set_l0a", "set_l0b"):
            wanted -= {
                "f32",
                "s16",
                "s32",
                "u16",
                "u32",
            }  # 16 bits are 16 bits; 32-bit values are named as absent
        if name in ("scatter_vmla", "scatter_vaxpy"):
            other_names = other_names | {"f16", "f32"}  # listed as f16f16f16 and f32f32f32
            wanted -= {"f32f16f16"}  # named as absent
        if name == "vbi" and chip == "Ascend910B1":
            wanted -= {"f32"}  # named as absent
        if name == "vshl":
            wanted -= {"f16", "f32"}  # named as absent
        assert not wanted, (name, chip, wanted)
        for core in load_soc(chip).core_types.values():
            extra = core.intrinsics.get(name, frozenset[str]()) - types - other_names
            if name.startswith("fix_pipe") or (chip == "Ascend910B1" and name.startswith("vcmpvs")):
                continue  # conversions are rows of their own there; [ASC CompareScalar] has more types
            assert not extra, (name, chip, extra)
