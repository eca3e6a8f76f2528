"""Decoder, assembler and executor on anything: a program runs, is rejected with place and reason, or stops with a fault.

`benchmarks/fuzz.py` does the same with 200 000 programs.
"""

from __future__ import annotations

import importlib
import random
import sys
import tracemalloc
from pathlib import Path
from types import ModuleType

import pytest
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.isa.model import Instruction
from ascend_mlir.runtime.isa.record import Record
from ascend_mlir.runtime.isa.table import INSTRUCTIONS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def _module(name: str) -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


fuzz_programs, fuzz = _module("fuzz_programs"), _module("fuzz")


@pytest.mark.parametrize("kind", list(fuzz_programs.strategies()))
def test_any_program(kind: str) -> None:
    @settings(max_examples=120, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(fuzz_programs.strategies()[kind], st.integers(0, 11))
    def programs(program: bytes | str, choice: int) -> None:
        assert fuzz_programs.run_program(program, choice) in ("runs", "rejected", "stopped")

    programs()


@pytest.mark.parametrize(
    "row", [r for r in INSTRUCTIONS if r.family != "control"], ids=lambda row: row.mnemonic
)
def test_each_instruction(row: Instruction) -> None:
    """Twice in a row, on every chip, with plausible and wild operands."""
    rng = random.Random(row.mnemonic)
    for choice in range(24):
        record = fuzz_programs.random_record(row, rng)
        core = fuzz_programs.CORES[choice % 4]
        image = fuzz_programs.image_of([record, record, Record("end")], core)
        assert fuzz_programs.run_program(image, choice // 4) in ("runs", "rejected", "stopped")


@pytest.mark.parametrize("program", [fuzz_programs.ADD, fuzz_programs.CUBE, fuzz_programs.MIXED])
def test_the_undamaged_programs_run(program: str) -> None:
    assert {fuzz_programs.run_program(program, choice) for choice in range(12)} == {"runs"}


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        "vadd.f16 ub[0], ub[0], repeat=1",
        "loop r1, 3",
        b"",
        b"DVKI" + bytes(28),
        ".kernel args=300\nend",
        f".kernel args={10**12}\nend",
        ".kernel args=1 body_ops=70000\nend",
        "mov r1, " + "9" * 5000,
        "mov r" + "1" * 5000 + ", 1",
        "mov r1, 1 ; op 70000",
        "mov r1, 99999999999999999999",
        "mov r1, \u0663",  # a digit, but none of ours
    ],
)
def test_rejections_say_where_and_why(bad: str | bytes) -> None:
    assert fuzz_programs.run_program(bad, 0) == "rejected"


@pytest.mark.parametrize(
    "text",
    [
        "copy_matrix_cc_to_ubuf.f16 ub[0], l0c[0], bursts=4095, length=65535",
        "copy_matrix_ubuf_to_cc.f32 l0c[0], ub[0], bursts=4095, length=65535",
        "broadcast_ub_to_cc.f32 l0c[0], ub[0], bursts=255, length=255, dst_gap=255",
        "load3d.f16 l0a[0], l1[0], m_extent=65535, k_extent=65520, channels=65535",
        "load2d.f16 l0a[0], l1[0], repeat=255, src_stride=65535",
        "copy_gm_to_ubuf ub[0], gm[0], bursts=4095, length=65535, src_gap=65535",
        "vadd.f16 ub[0], ub[0], ub[0], repeat=255, dst_blk=255, dst_rep=255",
        "mad.f32f16f16 l0c[0], l0a[0], l0b[0], m=4095, k=4095, n=4095, init=1",
        ".kernel args=0 core=aic\ncopy_matrix_cc_to_gm.f32 gm[0], l0c[0], fb[0], 4095, n=4095, m=65535, "
        "src_stride=65520, nz2nd=1",
        ".kernel args=0 core=aic\ncopy_gm_to_cbuf_multi_nd2nz.f32 l1[0], gm[0], nd_num=4095, n_value=16384, "
        "d_value=65535, src_d=1, dst_c0_stride=1",
        ".kernel args=0 core=aic\nload2d_transpose.f32 l0a[0], l1[0], repeat=255, dst_gap=65535, frac_gap=65535",
        ".kernel args=0 core=aiv\ncopy_gm_to_ubuf_align.f32 ub[0], gm[0], 2097151, 0, 0, bursts=4095",
    ],
)
def test_huge_operands_stop_before_they_cost_memory(text: str) -> None:
    tracemalloc.start()
    try:
        assert fuzz_programs.run_program(f"{text}\nend", 1) == "stopped"
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_leading_zeros_are_decimal() -> None:
    assert assemble("mov r1, 0010\nend") == assemble("mov r1, 10\nend")


def test_a_batch_counts_what_became_of_its_programs() -> None:
    batch = fuzz.run_batch(("plausible programs", 5, 40))
    assert batch.failures == [] and 0 < batch.ends.total() <= 40
    assert batch.peak_mb > 0 and 0 < batch.slowest < fuzz.LIMIT_SECONDS
