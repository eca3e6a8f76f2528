"""Cores that work together: images of mixed kernels, cross-core flags, hazards between cores, order, time, paths."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.isa.decode import decode_image, split_mixed
from ascend_mlir.runtime.isa.disassembler import disassemble
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.order import run_kernel_random
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.sim.timing import TaskTiming, time_task
from ascend_mlir.runtime.soc import compile_target, load_soc, soc_names
from split_programs import B1

# The cube core copies 1 KB through L1, its vector cores add 1 to a half each and store it 0x1000 further on.
MIXED = """
.kernel args=0 core=aic
block_idx r1
mul r2, r1, 0x400
copy_gm_to_cbuf l1[0], gm[r2], bursts=1, length=32
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_cbuf_to_gm gm[0x4000+r2], l1[0], bursts=1, length=32
ffts_cross_core_sync pipe=MTE3, mode=group, flag=3
end
.kernel args=0 core=aiv vectors=2
block_idx r1
mul r2, r1, 0x400
sub_block_idx r3
mul r4, r3, 0x200
add r2, r2, r4
wait_flag_dev flag=3
copy_gm_to_ubuf ub[0], gm[0x4000+r2], bursts=1, length=16
set_flag src=MTE2, dst=V, event=0
wait_flag src=MTE2, dst=V, event=0
vadds.f16 ub[0], ub[0], 0x3c00, repeat=2
set_flag src=V, dst=MTE3, event=0
wait_flag src=V, dst=MTE3, event=0
copy_ubuf_to_gm gm[0x8000+r2], ub[0], bursts=1, length=16
end
"""
SET = "ffts_cross_core_sync pipe=MTE3, mode=group, flag=3\n"
WAIT = "wait_flag_dev flag=3\n"


def _memory(blocks: int) -> np.ndarray:
    gm = np.zeros(0x10000, np.uint8)
    values = np.arange(blocks * 512).astype(np.float16)
    gm[: values.nbytes] = values.view(np.uint8)
    return gm


def _hazards(text: str, blocks: int = 1) -> list[str]:
    return [str(hazard) for hazard in check_task(B1, load_program(assemble(text)), (), blocks)]


def _time(text: str, blocks: int = 1) -> TaskTiming:
    return time_task(B1, load_program(assemble(text)), (), blocks)


# --------------------------------------------------------------------------------------------- kernel images


def test_images_name_their_core() -> None:
    image = assemble(MIXED)
    text = disassemble(image)
    assert assemble(text) == image and "core=aic" in text and "core=aiv vectors=2" in text
    program = load_program(image)
    assert (program.core, program.vectors) == ("aic", 2)
    assert program.partner is not None and program.partner.core == "aiv"
    old = assemble(".kernel args=0\nend")
    assert old[20:32] == bytes(12) and load_program(old).core == "coupled"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: struct.pack_into("<I", d, 20, 7), "core type 7"),
        (lambda d: struct.pack_into("<I", d, 28, 3), "3 vector cores"),
        (lambda d: struct.pack_into("<I", d, 24, 1 << 30), "the first part has"),
        (lambda d: struct.pack_into("<I", d, 8, 1), "1 records"),
        (lambda d: struct.pack_into("<I", d, 12, 9), "9 arguments"),
        (lambda d: struct.pack_into("<I", d, 32 + 20, 2), "core type 2, expected 1"),
        (lambda d: struct.pack_into("<I", d, 32 + 20, 3), "core type 3, expected 1"),
    ],
)
def test_damaged_mixed_images_are_refused(change: Callable[[bytearray], None], reason: str) -> None:
    data = bytearray(assemble(MIXED))
    change(data)
    with pytest.raises(AscendError, match=reason) as info:
        load_program(bytes(data))
    assert info.value.code == "E42001"


def test_a_mixed_image_is_not_one_program() -> None:
    image = assemble(MIXED)
    with pytest.raises(AscendError, match="it is a mixed kernel"):
        decode_image(image)
    assert split_mixed(assemble(".kernel args=0\nend")) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (".kernel args=0 core=npu\nend", "no core type is called npu"),
        (
            ".kernel args=0 core=aiv\nend\n.kernel args=0 core=aic\nend",
            "line 3: the text holds programs for core=aiv, core=aic",
        ),
        (".kernel args=0 core=aic\nend\n.kernel args=0 core=aiv vectors=3\nend", "3 vector cores"),
        (".kernel args=0 core=aiv vectors=2\nend", "holds programs for core=aiv"),
    ],
)
def test_assembler_refuses(text: str, reason: str) -> None:
    with pytest.raises(AscendError, match=reason):
        assemble(text)


def test_core_types_and_chips_must_fit() -> None:
    with pytest.raises(AscendError, match="cores of type aic, which Ascend310P3 does not have"):
        run_kernel(load_soc("Ascend310P3"), assemble(".kernel args=0 core=aic\nend"), bytearray(64), ())
    with pytest.raises(AscendError, match="cores of type coupled, which Ascend910B1 does not have"):
        run_kernel(B1, assemble(".kernel args=0\nend"), bytearray(64), ())


def test_the_compiler_refuses_split_chips() -> None:
    split = [name for name in soc_names() if load_soc(name).is_split]
    assert split == ["Ascend910B1", "Ascend910B2", "Ascend910B3", "Ascend910B4"]
    for name in split:
        with pytest.raises(AscendError, match="cannot be compiled for split-core chips yet") as info:
            compile_target(name)
        assert info.value.code == "E10001" and "Ascend310P3" in info.value.expected


@pytest.mark.parametrize(("name", "cubes", "vectors", "mhz", "l2_mb"), [
    ("Ascend910B1", 24, 48, 1850, 192), ("Ascend910B2", 24, 48, 1800, 192),
    ("Ascend910B3", 20, 40, 1800, 192), ("Ascend910B4", 20, 40, 1500, 96),
])  # fmt: skip
def test_chips(name: str, cubes: int, vectors: int, mhz: int, l2_mb: int) -> None:
    soc = load_soc(name)
    assert soc.counts == {"aic": cubes, "aiv": vectors}
    assert (soc.clock_mhz, soc.l2_bytes >> 20, soc.vectors_per_cube) == (mhz, l2_mb, 2)
    assert set(soc.core_types["aic"].buffers) == {"l1", "l0a", "l0b", "l0c", "bt", "fb"}
    assert set(soc.core_types["aiv"].buffers) == {"ub"}


# -------------------------------------------------------------------------------------------- what lacks faults


@pytest.mark.parametrize(
    ("core", "line", "operand", "rule"),
    [
        ("aic", "copy_matrix_cc_to_ubuf.f32 ub[0], l0c[0], bursts=1, length=1", "dst",
         "Ascend910B1's AIC core has no path l0c → ub: its memories are gm, l1, l0a, l0b, l0c, bt, fb"),
        ("aic", "copy_cbuf_to_ubuf ub[0], l1[0], bursts=1, length=1", "dst", "no path l1 → ub"),
        ("aic", "copy_ubuf_to_cbuf l1[0], ub[0], bursts=1, length=1", "src", "no path ub → l1"),
        ("aic", "copy_matrix_ubuf_to_cc.f32 l0c[0], ub[0], bursts=1, length=1", "src", "no path ub → l0c"),
        ("aic", "copy_gm_to_ubuf ub[0], gm[0], bursts=1, length=1", "dst", "no path gm → ub"),
        ("aic", "vadd.f16 ub[0], ub[0x1000], ub[0x2000], repeat=1", "dst", "AIC core has no path ub: its"),
        ("aiv", "copy_gm_to_cbuf l1[0], gm[0], bursts=1, length=1", "dst",
         "Ascend910B1's AIV core has no path gm → l1: its memories are gm, ub"),
        ("aiv", "copy_ubuf_to_cbuf l1[0], ub[0], bursts=1, length=1", "dst", "no path ub → l1"),
        ("aiv", "copy_cbuf_to_ubuf ub[0], l1[0], bursts=1, length=1", "src", "no path l1 → ub"),
        ("aiv", "mad.f32f16f16 l0c[0], l0a[0], l0b[0], m=16, k=16, n=16", "c", "AIV core has no path l0b → l0a → l0c"),
        ("aiv", "load_scalar r1, ub[0], bytes=4\nvci.f16 ub[0], 0, repeat=1", "", "AIV core does not have vci for f16"),
        ("aiv", "vsubrelu.f16 ub[0], ub[0x1000], ub[0x2000], repeat=1", "", "does not have vsubrelu"),
        ("aic", "mad.s32u8u8 l0c[0], l0a[0], l0b[0], m=16, k=32, n=16", "", "does not have mad for s32u8u8"),
        ("aic", "copy_matrix_cc_to_cbuf.f322s8 l1[0], ub[0], fb[0], 1, n=16, m=1, src_stride=16", "src", "takes l0c"),
        ("aic", "set_flag src=V, dst=MTE3, event=0", "", "src: Ascend910B1's AIC core has no pipe V: its pipes are S, M"),
        ("aiv", "pipe_barrier pipe=FIX", "", "pipe: Ascend910B1's AIV core has no pipe FIX"),
        ("aiv", "mov r1, 2\nwait_flag src=r1, dst=V, event=0", "src", "AIV core has no pipe M"),
        ("aiv", "ffts_cross_core_sync pipe=S, mode=all, flag=0", "", "pipe: a flag for other cores is set behind work"),
        ("aiv", "ffts_cross_core_sync pipe=V, mode=all, flag=11", "flag", "11: Ascend910B1 has 11 flags"),
        ("aiv", "set_flag src=V, dst=MTE3, event=8", "", "event 8: Ascend910B1 has 8 ids"),
        ("aic", "set_mask_count 5", "", "AIC core has no counter mode"),
    ],
)  # fmt: skip
def test_what_a_core_lacks_is_a_fault(core: str, line: str, operand: str, rule: str) -> None:
    """With kernel, address, disassembly, operand, rule and limit."""
    with pytest.raises(AscendError) as info:
        run_kernel(B1, assemble(f".kernel args=0 core={core}\n{line}\nend"), bytearray(4096), (), name="k")
    text = str(info.value)
    assert rule in text
    fault = info.value
    if not isinstance(fault, SimulatorFault):  # the assembler knows the memories of an instruction
        assert fault.code == "E42002"
        return
    assert fault.operand == operand and fault.address is not None
    assert "in kernel k, block 0, " in text
    assert f"at {fault.address:04x} {line.splitlines()[-1].split()[0]}" in text


def test_coupled_chips_do_not_have_it() -> None:
    for line, rule in (
        ("ffts_cross_core_sync pipe=V, mode=all, flag=0", "has no flags between cores"),
        (
            "copy_matrix_cc_to_gm.f32 gm[0], l0c[0], fb[0], 16, n=16, m=1, src_stride=16",
            "does not have copy_matrix_cc_to_gm",
        ),
        ("mad.f32bf16bf16 l0c[0], l0a[0], l0b[0], m=16, k=16, n=16", "does not have mad for f32bf16bf16"),
        ("mad_bias.f32f16f16 l0c[0], l0a[0], l0b[0], bt[0], m=16, k=16, n=16", "has no such memory"),
        ("vconv.f322bf16r ub[0], ub[0x1000], repeat=1", "does not have vconv for f322bf16r"),
        ("set_flag src=FIX, dst=M, event=0", "Ascend310P3 has no pipe FIX"),
    ):
        with pytest.raises(SimulatorFault, match=rule):
            run_kernel(load_soc("Ascend310P3"), assemble(f".kernel args=0\n{line}\nend"), bytearray(4096), ())


# ------------------------------------------------------------------------------------------- flags between cores


@pytest.mark.parametrize("blocks", [1, 3])
def test_mixed_kernel(blocks: int) -> None:
    gm = _memory(blocks)
    run_kernel(B1, assemble(MIXED), gm, (), blocks)
    want = (np.arange(blocks * 512).astype(np.float16) + np.float16(1)).astype(np.float16)
    np.testing.assert_array_equal(gm[0x8000 : 0x8000 + blocks * 1024].view(np.float16), want)
    assert _hazards(MIXED, blocks) == []


def test_many_more_blocks_than_cores() -> None:
    """26 blocks on 24 groups of cores: the last two run when the first have ended."""
    wide = MIXED.replace("gm[0x4000+r2]", "gm[0x20000+r2]").replace("gm[0x8000+r2]", "gm[0x40000+r2]")
    gm = np.zeros(0x60000, np.uint8)
    values = np.arange(26 * 512).astype(np.float16)
    gm[: values.nbytes] = values.view(np.uint8)
    run_kernel(B1, assemble(wide), gm, (), 26)
    np.testing.assert_array_equal(
        gm[0x40000 : 0x40000 + values.nbytes].view(np.float16), (values + np.float16(1)).astype(np.float16)
    )
    timing = _time(wide, 26)
    assert len(timing.blocks) == 78
    later = [block for block in timing.blocks[72:] if block.kind == "aic"]
    first = timing.blocks[:3]
    assert {block.start for block in later} == {max(block.end for block in first)}
    assert {block.core for block in later} == {0, 1} and len({block.core for block in timing.blocks}) == 72


def test_a_missing_wait_is_a_race_between_cores() -> None:
    found = _hazards(MIXED.replace(WAIT, ""))
    assert any(
        "read-write between cores on gm[0x4000..0x4200], block 0: 0140 copy_cbuf_to_gm" in hazard
        and "block 0, cube core and block 0, vector core 0: no cross-core flag orders them" in hazard
        for hazard in found
    )
    assert any(
        "cross-core flag left set" in hazard and "flag 3 is set 1 times more" in hazard for hazard in found
    )


def test_a_set_behind_the_wrong_pipe_is_a_race() -> None:
    """The set stands in program order behind the store, but in a pipe that does not wait for it."""
    found = _hazards(MIXED.replace(SET, SET.replace("MTE3", "MTE2")))
    assert len(found) == 1 and "read-write between cores" in found[0]
    outcomes: set[bytes] = set()
    for seed in range(30):
        gm = bytearray(_memory(1).tobytes())
        run_kernel_random(B1, assemble(MIXED.replace(SET, SET.replace("MTE3", "MTE2"))), gm, (), 1, seed=seed)
        outcomes.add(bytes(gm))
    assert len(outcomes) > 1


def test_a_wait_that_is_never_set_is_named() -> None:
    text = MIXED.replace(SET, "")
    named = r"vector core 0, at 0140 wait_flag_dev    flag=3: flag: deadlock: nothing that still runs can set it; "
    named += (
        r"block 0, vector core 0 waits at 0140 for flag 3; block 0, vector core 1 waits at 0140 for flag 3"
    )
    with pytest.raises(SimulatorFault, match="kernel k, block 0, " + named):
        run_kernel(B1, assemble(text), _memory(1), (), name="k")
    with pytest.raises(SimulatorFault, match=named):
        _time(text)
    with pytest.raises(SimulatorFault, match="deadlock"):
        run_kernel_random(B1, assemble(text), bytearray(0x10000), (), 1)
    assert any("cross-core flag" in hazard and "deadlock" in hazard for hazard in _hazards(text))


def test_half_a_set_says_who_is_missing() -> None:
    """Both vector cores must set before the cube core's counter goes up."""
    text = """
.kernel args=0 core=aic
wait_flag_dev flag=1
end
.kernel args=0 core=aiv vectors=2
sub_block_idx r1
if r1
else
  ffts_cross_core_sync pipe=V, mode=group, flag=1
end_if
end
"""
    with pytest.raises(
        SimulatorFault, match="vector core 0 has set flag 1, other cores of its mode have not"
    ):
        run_kernel(B1, assemble(text), bytearray(64), ())


def test_a_barrier_of_all_vector_cores() -> None:
    """Mode all: no block reads its neighbour's result before all have stored theirs."""
    text = """
.kernel args=0 core=aiv
block_idx r1
block_num r2
mul r3, r1, 32
add r4, r1, 1
rem r4, r4, r2
mul r4, r4, 32
copy_gm_to_ubuf ub[0], gm[r3], bursts=1, length=1
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_ubuf_to_gm gm[0x1000+r3], ub[0], bursts=1, length=1
ffts_cross_core_sync pipe=MTE3, mode=all, flag=0
wait_flag_dev flag=0
copy_gm_to_ubuf ub[0x100], gm[0x1000+r4], bursts=1, length=1
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_ubuf_to_gm gm[0x2000+r3], ub[0x100], bursts=1, length=1
end
"""
    gm = np.random.default_rng(0).integers(0, 256, 0x4000).astype(np.uint8)
    rows = gm[: 8 * 32].reshape(8, 32).copy()
    run_kernel(B1, assemble(text), gm, (), 8)
    np.testing.assert_array_equal(gm[0x2000 : 0x2000 + 256].reshape(8, 32), np.roll(rows, -1, axis=0))
    assert _hazards(text, 8) == []
    without = text.replace("ffts_cross_core_sync pipe=MTE3, mode=all, flag=0\nwait_flag_dev flag=0\n", "")
    assert any("read-write between blocks" in hazard for hazard in _hazards(without, 8))
    only_waits_for_others = text.replace("pipe=MTE3, mode=all", "pipe=MTE2, mode=all")
    assert any("read-write between cores" in hazard for hazard in _hazards(only_waits_for_others, 8))
    with pytest.raises(SimulatorFault, match="blocks 48 to 49 have not started: the chip runs 48 at once"):
        run_kernel(B1, assemble(text), gm, (), 50)
    timing = _time(text, 8)
    waits = [block.stalls["S", "CORES"] for block in timing.blocks]
    assert all(wait >= B1.timing["cross_core_cycles"] for wait in waits)


def test_vector_cores_of_a_block() -> None:
    """Mode vectors: the two swap their halves."""
    text = """
.kernel args=0 core=aic
end
.kernel args=0 core=aiv
sub_block_idx r1
mul r2, r1, 32
xor r3, r1, 1
mul r3, r3, 32
copy_gm_to_ubuf ub[0], gm[r2], bursts=1, length=1
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_ubuf_to_gm gm[0x100+r2], ub[0], bursts=1, length=1
ffts_cross_core_sync pipe=MTE3, mode=vectors, flag=4
wait_flag_dev flag=4
copy_gm_to_ubuf ub[32], gm[0x100+r3], bursts=1, length=1
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_ubuf_to_gm gm[0x200+r2], ub[32], bursts=1, length=1
end
"""
    gm = np.arange(1024, dtype=np.uint16).view(np.uint8).copy()
    run_kernel(B1, assemble(text), gm, ())
    np.testing.assert_array_equal(gm[0x200:0x240], np.concatenate([gm[32:64], gm[:32]]))
    assert _hazards(text) == []
    alone = text.split("end\n", 1)[1].replace(" vectors=2", "")
    with pytest.raises(SimulatorFault, match="mode: vectors: a block of this kernel has one kind of core"):
        run_kernel(B1, assemble(alone), gm, ())


def test_a_counter_holds_fifteen() -> None:
    text = """
.kernel args=0 core=aic
loop r1, {sets}
  ffts_cross_core_sync pipe=FIX, mode=group, flag=2
end_loop
end
.kernel args=0 core=aiv
loop r1, {sets}
  wait_flag_dev flag=2
end_loop
end
"""
    run_kernel(B1, assemble(text.format(sets=15)), bytearray(64), ())
    with pytest.raises(SimulatorFault, match="flag: 2 is set more than 15 times before it is waited for"):
        run_kernel(B1, assemble(text.format(sets=16)), bytearray(64), ())


def test_orders_of_a_correct_kernel_agree() -> None:
    outcomes: set[bytes] = set()
    for seed in range(20):
        gm = bytearray(_memory(2).tobytes())
        run_kernel_random(B1, assemble(MIXED), gm, (), 2, seed=seed)
        outcomes.add(bytes(gm))
    straight = _memory(2)
    run_kernel(B1, assemble(MIXED), straight, (), 2)
    assert outcomes == {straight.tobytes()}


def test_faults_say_which_core() -> None:
    text = MIXED.replace("vadds.f16 ub[0], ub[0]", "vadds.f16 ub[16], ub[0]")
    for run in (
        lambda gm: run_kernel(B1, assemble(text), gm, (), 2, name="k"),
        lambda gm: run_kernel_random(B1, assemble(text), gm, (), 2),
    ):
        with pytest.raises(
            SimulatorFault, match=r"block [01], vector core [01], at 0240 vadds.f16 .*: dst: ub address 0x10"
        ):
            run(bytearray(_memory(2).tobytes()))


# -------------------------------------------------------------------------------------------------------- time


def test_time_of_a_mixed_kernel() -> None:
    """The vector cores start when the store is there and the flag has travelled; figures do not change."""
    timing = _time(MIXED)
    cube, first, second = timing.blocks
    assert (cube.kind, first.kind, cube.core, first.core, second.core) == ("aic", "aiv", 0, 24, 25)
    assert set(cube.busy) == {"S", "MTE2", "MTE3"} and set(first.busy) == {"S", "MTE2", "V", "MTE3"}
    waited = first.stalls["S", "CORES"]
    assert first.start + waited >= cube.end + B1.timing["cross_core_cycles"] - 40
    assert timing.cycles == max(first.end, second.end) == _time(MIXED).cycles
    slow = MIXED.replace(
        "copy_cbuf_to_gm",
        "copy_gm_to_cbuf l1[0x1000], gm[0], bursts=1, length=1024\npipe_barrier pipe=ALL\ncopy_cbuf_to_gm",
    )
    assert _time(slow).cycles > timing.cycles


def test_trace_and_report_of_a_mixed_kernel() -> None:
    import io
    import json

    from ascend_mlir.runtime.sim.detail import task_detail
    from ascend_mlir.runtime.sim.profile import csv_text
    from ascend_mlir.runtime.sim.report import Report, TaskReport
    from ascend_mlir.runtime.sim.trace import TracedTask, write_trace

    program = load_program(assemble(MIXED))
    timing = time_task(B1, program, (), 2, trace=True)
    out = io.StringIO()
    write_trace(out, B1, [TracedTask("mixed", program, timing)])
    events = json.loads(out.getvalue())["traceEvents"]
    names = {event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {"tasks", "AIC core 0", "AIC core 1", *(f"AIV core {n}" for n in range(24, 28))}
    slices = [event for event in events if event["ph"] == "X"]
    assert {e["pid"] for e in slices if e["name"] == "vadds"} == {24, 25, 26, 27}
    assert {e["pid"] for e in slices if e["name"] == "copy_cbuf_to_gm"} == {0, 1}
    threads = {(event["pid"], event["args"]["name"]) for event in events if event["name"] == "thread_name"}
    assert (0, "FIX") in threads and (24, "FIX") not in threads and (24, "V") in threads
    detail = task_detail(B1, program, timing)
    ran = {(cost.core, cost.record.mnemonic) for cost in detail.instructions}
    assert ran >= {("aic", "copy_cbuf_to_gm"), ("aic", "ffts_cross_core_sync"), ("aiv", "vadds")}
    assert set(detail.reach) == {"l1", "ub"}
    report = Report(B1, [TaskReport("mixed", "Mixed", 2, timing)])
    assert all(0 <= share <= 1 for share in report.tasks[0].utilisation(B1).values())
    assert 0 < max(share for _, share in report.busiest_pipes()) <= 1
    assert "copy_cbuf_to_gm" in csv_text(report)  # its cycles have no source


def test_kernels_that_read_scalars_take_them_by_stream() -> None:
    text = """
.kernel args=0 core=aic
end
.kernel args=0 core=aiv vectors=1
load_scalar r1, gm[0], bytes=1
loop r2, r1
  vabs.f16 ub[0x1000], ub[0], repeat=1
end_loop
end
"""
    program = load_program(assemble(text))
    with pytest.raises(AscendError, match="E43102"):
        time_task(B1, program, (), 1)
    assert time_task(B1, program, (), 1, loads=[[], [7]]).counts["vabs"] == 7
    assert any("undefined" in str(h) for h in check_task(B1, program, (), 1, loads=[[], [7]]))


def _busy(line: str) -> int:
    text = f".kernel args=0 core=aiv\n{line}\nend"
    return time_task(B1, load_program(assemble(text)), (), 1).busy["V"]


def test_bank_groups_of_ub() -> None:
    """A group serves one row per cycle (timing.md 2.3): the worked examples, and operands in registers."""
    free = _busy("vadd.f32 ub[0], ub[0x8000], ub[0x8100], repeat=64")
    assert (
        _busy("vadd.f32 ub[0], ub[0x8000], ub[0x10000], repeat=64") == free + 64
    )  # the same address modulo 512
    assert (
        _busy("vadd.f32 ub[0], ub[0x8000], ub[0x80e0], repeat=64") == free + 64
    )  # one group in common is enough
    assert _busy("vadds.f32 ub[0], ub[0x8000], 0, repeat=64") == free  # one source: nothing to meet
    for stride, cycles in ((1, 1), (2, 1), (4, 2), (8, 4), (16, 8)):
        one = _busy(f"vadds.f32 ub[0], ub[0x8000], 0, repeat=10, dst_blk={stride}, dst_rep=8")
        assert one == _busy("vadds.f32 ub[0], ub[0x8000], 0, repeat=10") + 10 * (cycles - 1), stride
    # The exponential takes 4 cycles per repeat of halves anyway.
    slow = _busy("vexp.f16 ub[0], ub[0x8000], repeat=10")
    assert _busy("vexp.f16 ub[0], ub[0x8000], repeat=10, dst_blk=8, dst_rep=64") == slow
    assert _busy("vexp.f16 ub[0], ub[0x8000], repeat=10, dst_blk=16, dst_rep=64") == slow + 40
    moving = "mov r1, 0x8000\nmov r2, {}\nmov r3, 64\nvadd.f32 ub[0], ub[r1], ub[r2], repeat=r3"
    assert _busy(moving.format(0x8100)) == free and _busy(moving.format(0x10000)) == free + 64
    # Different repeat strides meet now and then: repeat r has its sources 8·r blocks apart.
    now_and_then = _busy("vadd.f32 ub[0], ub[0x8000], ub[0x8100], repeat=4, src1_rep=16")
    assert now_and_then == _busy("vadd.f32 ub[0], ub[0x8000], ub[0x8100], repeat=4") + 2
    p3 = load_soc("Ascend310P3")
    coupled = ".kernel args=0\nvadd.f32 ub[0], ub[0x8000], ub[0x10000], repeat=64\nend"
    assert time_task(p3, load_program(assemble(coupled)), (), 1).busy["V"] == free  # not documented there
