"""What the hazard check says of instructions that only split chips have: order on a core, and bytes without a value."""

from __future__ import annotations

import pytest
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.sim.gm_state import GmRange
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.program import load_program
from split_programs import B1, OUT, matmul

STORE = f"copy_matrix_cc_to_gm.f322f16 gm[{OUT}], l0c[0], fb[0], 24, n=24, m=20, src_stride=32, nz2nd=1"
MATMUL = matmul("mad.f32f16f16", "f16", 20, 32, 24, STORE)


def found(text: str, ranges: list[GmRange] | None = None) -> list[str]:
    return [str(hazard) for hazard in check_task(B1, load_program(assemble(text)), (), 1, ranges)]


def test_a_product_is_in_order_and_defined() -> None:
    """Rows and columns beyond m and n are never computed, and nobody looks at them."""
    ranges = [
        GmRange(0, 20 * 64),
        GmRange(0x40000, 24 * 64),
        GmRange(OUT, 20 * 48, defined=False, result=True),
    ]
    assert found(MATMUL, ranges) == []


@pytest.mark.parametrize(
    ("src", "dst", "rule", "space"),
    [("MTE2", "MTE1", "RAW", "l1"), ("MTE1", "M", "RAW", "l0a"), ("M", "FIX", "RAW", "l0c")],
)
def test_a_missing_flag(src: str, dst: str, rule: str, space: str) -> None:
    pair = f"set_flag src={src}, dst={dst}, event=0\nwait_flag src={src}, dst={dst}, event=0\n"
    reports = found(MATMUL.replace(pair, ""))
    assert any(
        report.startswith(f"{rule} on {space}[") and "nothing orders them" in report for report in reports
    )


def test_the_next_product_waits_for_the_fixpipe() -> None:
    mad = "mad.f32f16f16 l0c[0], l0a[0], l0b[0], m=20, k=32, n=24, init=1\nend"
    again = MATMUL.rstrip()[: -len("end")] + mad
    assert any(report.startswith("WAR on l0c") for report in found(again))
    flag = "set_flag src=FIX, dst=M, event=0\nwait_flag src=FIX, dst=M, event=0\n"
    assert not any(report.startswith("WAR") for report in found(again.replace(mad, flag + mad)))


def test_parameters_need_a_barrier_and_a_value() -> None:
    """The table of parameters is written by the pipe that reads it."""
    body = STORE.replace("copy_matrix_cc_to_gm.f322f16", "copy_matrix_cc_to_gm.f322s8") + ", quant=vector"
    load = "copy_gm_to_cbuf l1[0x40000], gm[0x60000], bursts=1, length=8\nset_flag src=MTE2, dst=FIX, event=0"
    table = "wait_flag src=MTE2, dst=FIX, event=0\ncopy_cbuf_to_fbuf fb[0], l1[0x40000], length=2\n"
    good = matmul("mad.f32f16f16", "f16", 20, 32, 24, table + "pipe_barrier pipe=FIX\n" + body, more=load)
    assert found(good) == []
    racy = matmul("mad.f32f16f16", "f16", 20, 32, 24, table + body, more=load)
    assert any(
        report.startswith("RAW on fb[") and "pipe_barrier is missing" in report for report in found(racy)
    )
    short = good.replace("l1[0x40000], length=2", "l1[0x40000], length=1")
    assert any(
        "computes with undefined bytes (table)" in report and "on fb[0x80" in report
        for report in found(short)
    )


def test_a_bias_needs_a_value() -> None:
    text = matmul("mad_bias.f32f16f16", "f16", 20, 32, 24, STORE)
    assert any(
        "on bt[0x0" in report and "computes with undefined bytes (bias)" in report for report in found(text)
    )
    load = "copy_gm_to_cbuf l1[0x40000], gm[0x60000], bursts=1, length=4"
    tables = "copy_cbuf_to_bt.f32 bt[0], l1[0x40000], length={}"
    enough = matmul("mad_bias.f32f16f16", "f16", 20, 32, 24, STORE, more=load, tables=tables.format(2))
    assert found(enough) == []
    short = matmul("mad_bias.f32f16f16", "f16", 20, 32, 24, STORE, more=load, tables=tables.format(1))
    assert any("on bt[0x40" in report for report in found(short))


PAD = """
.kernel args=0 core=aiv
copy_gm_to_ubuf_align.f16 ub[0], gm[0], 30, 0, 0, bursts=2{pad}
set_flag src=MTE2, dst=V, event=0
wait_flag src=MTE2, dst=V, event=0
vabs.f16 ub[0x1000], ub[0], repeat=1, dst_rep=2, src_rep=2
end
"""


def test_what_a_padded_copy_leaves_open_has_no_value() -> None:
    """15 halves per row: the sixteenth is undefined unless it is padded."""
    mask = "set_vector_mask 0, {}\nvabs"
    both = PAD.replace("vabs", mask.format(0xFFFFFFFF))
    (report,) = found(both.format(pad=""))
    assert "on ub[0x1e..0x1f]" in report and "computes with undefined bytes (src)" in report
    assert found(both.format(pad=", right=1")) == []
    assert found(PAD.replace("vabs", mask.format(0x7FFF7FFF)).format(pad="")) == []


def test_undefined_elements_travel_through_the_fixpipe() -> None:
    """m = 20 rows are computed; storing 21 stores what nobody computed."""
    ranges = [
        GmRange(0, 20 * 64),
        GmRange(0x40000, 24 * 64),
        GmRange(OUT, 21 * 48, defined=False, result=True),
    ]
    (report,) = found(MATMUL.replace("m=20, src_stride", "m=21, src_stride"), ranges)
    assert (
        "stores undefined bytes into a result" in report
        and f"gm[{OUT + 20 * 48:#x}..{OUT + 21 * 48:#x}]" in report
    )
    rest = [GmRange(0, 20 * 64), GmRange(0x40000, 24 * 64), GmRange(OUT, 30 * 48, defined=False, result=True)]
    assert any("result not written" in report for report in found(MATMUL, rest))


def test_device_memory_that_nobody_wrote() -> None:
    """A matrix that is only partly defined: nd2nz carries it, the product that reads it is reported."""
    ranges = [GmRange(0, 19 * 64), GmRange(0x40000, 24 * 64)]
    assert any("computes with undefined bytes (a)" in report for report in found(MATMUL, ranges))


def test_rows_of_one_line_of_device_memory() -> None:
    """Two padded stores of neighbouring odd pieces do not touch; one byte more and they do."""
    text = """
.kernel args=0 core=aiv
vector_dup.f16 ub[0], 0, repeat=1
set_flag src=V, dst=MTE3, event=0
wait_flag src=V, dst=MTE3, event=0
copy_ubuf_to_gm_align.u8 gm[0], ub[0], 5, 0, 5, bursts=4
copy_ubuf_to_gm_align.u8 gm[5], ub[0], {}, 0, {}, bursts=4
end
"""
    assert found(text.format(5, 5)) == []
    assert any(report.startswith("WAW on gm[0xa..0xb]") for report in found(text.format(6, 4)))
