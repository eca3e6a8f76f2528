"""The timing model: reference cases, queues, stalls, memory shared between cores, reports and traces."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ascend_mlir.runtime.sim.gm_model import L2State, Server, cold_l2
from ascend_mlir.runtime.sim.profile import COLUMNS, csv_text, table
from ascend_mlir.runtime.sim.report import Report, TaskReport
from ascend_mlir.runtime.sim.timing import TaskTiming, time_task
from ascend_mlir.runtime.sim.trace import TracedTask, write_trace
from ascend_mlir.runtime.soc import load_soc, soc_names
from sim_kernels import ADD_RELU, ARGS, IN0, MATMUL, program

ROOT = Path(__file__).resolve().parents[2]
P3 = load_soc("Ascend310P3")


def _benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("timing_cases", ROOT / "benchmarks" / "timing_cases.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["timing_cases"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.shared
def test_reference_cases() -> None:
    """Every case of the open models, and the GEMMs measured on hardware; profiles of unnamed devices are
    only printed."""
    bench = _benchmark()
    if not bench.CASES.exists():
        pytest.skip(f"{bench.CASES} is not there")
    rows = [*bench.outcomes(), *bench.gemm_outcomes()]
    judged = [row for row in rows if not row.unjudged]
    assert len(judged) >= 37
    assert [(row.name, row.expected, row.ours) for row in judged if not row.close] == []
    trusts = {row.trust for row in rows if row.unjudged}
    assert trusts == {"profiled_unverified", "second_model"}


def _cycles(text: str, **more: object) -> int:
    timing = _time(text, **more)
    return timing.cycles - timing.launch


def _time(text: str, blocks: int = 1, soc: str = "Ascend310P3", *, warm: bool = True) -> TaskTiming:
    chip = load_soc(soc)
    l2 = L2State(chip.l2_bytes // 512, warm=warm)
    return time_task(chip, program(text), ARGS, blocks, l2)


@pytest.mark.parametrize("name", soc_names())
def test_every_instruction_of_a_chip_has_a_cost(name: str) -> None:
    from ascend_mlir.runtime.isa.table import INSTRUCTIONS
    from ascend_mlir.runtime.sim.costs import cost_operands, costs_of, moves_gm

    soc = load_soc(name)
    for row in INSTRUCTIONS:
        if row.pipe == "S":
            continue
        values = dict.fromkeys(cost_operands(row), 1) | ({"n": 32} if row.family == "fixpipe" else {})
        for dtype in row.types or ("",):
            space = row.addresses[0].spaces[0]
            if not any(core.supports(row.intrinsic, dtype) for core in soc.core_types.values()):
                continue
            if moves_gm(row):
                core = space if row.pipe == "MTE2" else "ub"
                assert costs_of(soc).transfer(row, dtype, values, core).bursts >= 1
            else:
                assert costs_of(soc).duration(row, dtype, values, space).busy > 0


def test_a_full_queue_stops_dispatch() -> None:
    """The 34th long instruction of one pipe holds back the one behind it, which would be free to run."""
    long = "vexp.f16 ub[0], ub[0x8000], repeat=100\n"
    few = _cycles(long * 20 + "load2d.f16 l0a[0], l1[0], repeat=1")
    many = _time(long * 60 + "load2d.f16 l0a[0], l1[0], repeat=1")
    assert few == 3 * 2 + 1 + 20 * 400 + 27  # arguments, dispatch, slots, result
    assert many.stalls["S", "V"] > 20 * 400


def test_flags_make_pipes_wait_and_the_wait_is_accounted() -> None:
    text = (
        "load2d.f16 l0a[0], l1[0], repeat=255\nset_flag src=MTE1, dst=M, event=0\n"
        "wait_flag src=MTE1, dst=M, event=0\n"
    )
    timing = _time(text + "mad.f32f16f16 l0c[0], l0a[0], l0b[0], m=16, k=16, n=16, init=1")
    assert timing.stalls["M", "MTE1"] > 500
    assert timing.busy["M"] == 21


def test_loads_of_one_pipe_overlap_their_latency() -> None:
    load = "copy_gm_to_ubuf ub[0], gm[0+r0], bursts=1, length=512\n"
    one, four = _cycles(load), _cycles(load * 4)
    assert four - one == 3 * -(-16384 // 114)


def test_first_touch_pays_ddr_and_the_second_does_not() -> None:
    soc, kernel = P3, program("copy_gm_to_ubuf ub[0], gm[0+r0], bursts=1, length=4096")
    l2 = cold_l2(soc)
    first, second = time_task(soc, kernel, ARGS, 1, l2), time_task(soc, kernel, ARGS, 1, l2)
    assert first.ddr_read == 4096 * 32 and second.ddr_read == 0
    assert first.cycles - second.cycles >= soc.timing["gm"]["miss_cycles"]


def test_l2_forgets_what_was_touched_long_ago() -> None:
    l2 = L2State(capacity_lines=64)
    assert l2.touch(0, 512 * 16) == 16
    assert l2.touch(0, 512 * 16) == 0
    assert l2.touch(1 << 20, 512 * 128) == 128
    assert l2.touch(0, 512 * 16) == 16
    for i in range(20_000):  # generations wrap
        l2.touch(i << 13, 512 * 16)
    assert l2.touch(19_999 << 13, 512 * 16) == 0
    assert l2.touch(0, 512) == 1


def test_strided_touches_count_whole_lines() -> None:
    for bursts in (4, 100):
        l2 = L2State(capacity_lines=1 << 20)
        assert l2.touch_bursts(IN0 + 480, bursts, 64, 4096) == 2 * bursts
        assert l2.touch_bursts(IN0 + 480, bursts, 64, 4096) == 0
        assert l2.touch_bursts(IN0, bursts, 64, 128) == L2State(1 << 20).touch(
            IN0, bursts * 128 - 64
        ) - 2 * -(-bursts * 128 // 4096) + (
            1 if (bursts * 128) % 4096 and (bursts * 128 - 64) % 4096 < 480 else 0
        )


def test_the_ddr_server_serves_late_comers_into_free_windows() -> None:
    server = Server(100.0)
    assert server.take(10_000, 6400) == pytest.approx(10_064, abs=64)
    assert server.take(0, 6400) == pytest.approx(64, abs=64)
    assert server.take(0, 64_000) == pytest.approx(704, abs=64)


def test_cores_share_ddr() -> None:
    text = (
        "block_idx r3\nmul r3, r3, 0x40000\nadd r4, r0, r3\nloop r5, 8\nmul r6, r5, 0x8000\nadd r6, r6, r4\n"
    )
    text += "copy_gm_to_ubuf ub[0], gm[0+r6], bursts=1, length=1024\nend_loop"
    one, eight = _time(text, 1, warm=False), _time(text, 8, warm=False)
    assert eight.ddr_read == 8 * one.ddr_read
    rate = 17 * 8
    start = 300 + 180 + 106  # launch, latency, miss
    assert eight.cycles == pytest.approx(8 * 262144 / rate + start, rel=0.02)
    assert one.cycles == pytest.approx(262144 / 114 + start, rel=0.05)


def test_more_blocks_than_cores_run_in_turn() -> None:
    text = "vexp.f16 ub[0], ub[0x8000], repeat=100"
    assert _cycles(text, blocks=8) < 500
    assert 2 * 420 < _cycles(text, blocks=9) < 900


def test_timing_is_deterministic_and_counts_instructions() -> None:
    a, b = (time_task(P3, program(MATMUL), ARGS, 4) for _ in range(2))
    assert a.cycles == b.cycles and a.stalls == b.stalls
    assert a.counts["mad"] == 4 * 8 and a.counts["copy_gm_to_cbuf"] == 4 * 16 and a.counts["arg"] == 12
    assert 0 < a.busy["M"] < a.cycles * 4


def test_branches_count_only_what_runs() -> None:
    timing = _time("loop r5, 10\nlt r6, r5, 4\nif r6\nvabs.f16 ub[0], ub[0x200], repeat=1\nelse\n"
     "mov r7, 1\nend_if\n"
                   "eq r8, r5, 6\nbreak_if r8\nmov r9, 1\nend_loop")  # fmt: skip
    assert (timing.counts["vabs"], timing.counts["lt"], timing.counts["mov"]) == (4, 7, 3 + 6)


def test_data_dependent_kernels_need_their_scalars() -> None:
    text = "load_scalar r5, ub[0], bytes=4\nloop r6, r5\nvabs.f16 ub[0], ub[0x200], repeat=1\nend_loop"
    with pytest.raises(Exception, match="E43102"):
        _time(text)
    timing = time_task(P3, program(text), ARGS, 1, loads=[[5]])
    assert timing.counts["vabs"] == 5


def _report() -> Report:
    tasks = [
        TaskReport("matmul_0", "MatMul", 4, time_task(P3, program(MATMUL), ARGS, 4), nodes=("fc1", "relu1")),
        TaskReport("add_0", "Add", 8, time_task(P3, program(ADD_RELU), ARGS, 8)),
        TaskReport(
            "nms", "NonMaxSuppression", 1, None, "AI_CPU", reason="data-dependent size", other_cycles=5000
        ),
    ]
    return Report(P3, tasks)


def test_summary_has_the_profilers_columns() -> None:
    report = _report()
    lines = csv_text(report).splitlines()
    assert lines[0].split(",") == list(COLUMNS)
    assert len(lines) == 4 and ",matmul_0,MatMul,static,AI_CORE,0.000," in lines[1]
    assert report.latency_us == pytest.approx(report.cycles / 1060)
    name, share = report.tasks[1].bound(P3)
    assert name in ("DDR", "GM loads") and 0.3 < share <= 1.0
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=200).print(table(report))
    assert "matmul_0" in out.getvalue() and "data-dependent size" in out.getvalue()


def test_every_pipe_is_busy_at_most_all_the_time() -> None:
    for task in _report().tasks[:2]:
        assert all(0 <= share <= 1 for share in task.utilisation(P3).values())


def test_trace_is_valid_json_with_arrows() -> None:
    kernel = program(ADD_RELU)
    timing = time_task(P3, kernel, ARGS, 2, trace=True)
    assert timing.cycles == time_task(P3, kernel, ARGS, 2).cycles
    out = io.StringIO()
    write_trace(out, P3, [TracedTask("add", kernel, timing, nodes={0: ["n"]})])
    events = json.loads(out.getvalue())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X" and event["pid"] < 8]
    assert len([event for event in slices if event["name"] == "vadd"]) == 16
    assert {event["ph"] for event in events} == {"M", "X", "s", "f"}
    starts = {event["id"] for event in events if event["ph"] == "s"}
    assert len(starts) == len([event for event in events if event["ph"] == "f"])
    assert all(event["dur"] >= 0 for event in slices)


def test_guessed_cycles_are_marked() -> None:
    """What no source covers has a name in the SoC file, in the table of operators and in the summary."""
    text = "vmla.f16 ub[0], ub[0x200], ub[0x400], repeat=1\nvadd.f16 ub[0], ub[0x200], ub[0x400], repeat=1"
    report = Report(P3, [TaskReport("mla", "MulAdd", 1, time_task(P3, program(text), ARGS, 1))])
    assert report.unsourced == {"vmla": "result as vmul"}
    line = csv_text(report).splitlines()[1].split(",")
    assert line[COLUMNS.index("unsourced timing")] == "vmla"
    from ascend_mlir.runtime.isa.table import INSTRUCTIONS

    assert set(P3.timing["unsourced"]) <= {row.timing for row in INSTRUCTIONS}
    assert "910B" in P3.timing["basis"]
