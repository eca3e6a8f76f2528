"""What a run on a chip with cube and vector cores shows: both sides of a mixed kernel in detail, table, trace, page."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter

import pytest
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.sim.detail import task_detail
from ascend_mlir.runtime.sim.profile import COLUMNS, SPLIT_COLUMNS, csv_text, table
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.sim.report import Report, TaskReport
from ascend_mlir.runtime.sim.roofline import roofs_of
from ascend_mlir.runtime.sim.timing import time_task
from ascend_mlir.runtime.sim.trace import TracedTask, trace_events
from rich.console import Console
from split_programs import B1, OUT, matmul, product_and_epilogue

BLOCKS, M, K, N = 3, 64, 48, 80
ARGS = (0, 0x8000, 0x20000, 0x40000)
STORE = (
    f"copy_matrix_cc_to_gm.f322f16 gm[{OUT}], l0c[0], fb[0], 80, n=80, m=64, src_stride=64, nz2nd=1, relu=1"
)
VECTOR = """
.kernel args=0 core=aiv
copy_gm_to_ubuf ub[0], gm[0], bursts=1, length=64
set_flag src=MTE2, dst=V, event=0
wait_flag src=MTE2, dst=V, event=0
vadds.f16 ub[0], ub[0], 0x3c00, repeat=8
set_flag src=V, dst=MTE3, event=0
wait_flag src=V, dst=MTE3, event=0
copy_ubuf_to_gm gm[0x1000], ub[0], bursts=1, length=64
end
"""


def _task(name: str, text: str, blocks: int) -> tuple[TaskReport, TracedTask]:
    program = load_program(assemble(text))
    timing = time_task(B1, program, ARGS, blocks, trace=True)
    detail = task_detail(B1, program, timing)
    report = TaskReport(name, "Kind", blocks, timing, nodes=(name,), body=((name,),), detail=detail)
    return report, TracedTask(name, program, timing, occupancies=detail.occupancies)


@pytest.fixture(scope="module")
def tasks() -> list[tuple[TaskReport, TracedTask]]:
    """A mixed kernel, one of cube cores, one of vector cores."""
    cube = matmul("mad.f32f16f16", "f16", M, K, N, STORE)
    return [
        _task("mixed", product_and_epilogue(M, K, N), BLOCKS), _task("cube", cube, 1), _task("vector", VECTOR, 2)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def report(tasks: list[tuple[TaskReport, TracedTask]]) -> Report:
    return Report(B1, [task for task, _ in tasks], "model")


def test_instructions_of_both_programs_add_up_to_their_pipes(report: Report) -> None:
    for task in report.tasks:
        assert task.timing is not None and task.detail is not None
        busy: Counter[tuple[str, str]] = Counter()
        for block in task.timing.blocks:
            busy.update({(block.kind, pipe): cycles for pipe, cycles in block.busy.items() if pipe != "S"})
        found: Counter[tuple[str, str]] = Counter()
        counts: Counter[str] = Counter()
        for cost in task.detail.instructions:
            counts[cost.record.mnemonic] += cost.count
            if cost.pipe != "S" and cost.cycles:
                found[cost.core, cost.pipe] += cost.cycles
        assert found == busy and counts == task.timing.counts
        assert sum(s.busy for row in task.detail.tracks.values() for s in row) == sum(
            task.timing.busy.values()
        )
        numbers = [cost.number for cost in task.detail.instructions]
        assert len(set(numbers)) == len(numbers)


def test_memories_of_both_types_of_core(report: Report) -> None:
    mixed, cube, vector = (task.detail for task in report.tasks)
    assert mixed is not None and cube is not None and vector is not None
    assert set(mixed.reach) == {"l1", "l0a", "l0b", "l0c", "ub"}
    assert mixed.reach["l0c"] == M * N * 4 and mixed.reach["ub"] == M * N  # halves, half of the rows
    for space in mixed.reach:
        curve = mixed.curve(space)
        assert curve is not None and 0 < curve.peak <= mixed.reach[space]
    assert mixed.curve("bt") is None
    assert cube.curve("ub") is None and vector.curve("l1") is None and vector.reach == {"ub": 2048}
    assert mixed.macs == {"f32f16f16": BLOCKS * M * K * N}
    assert mixed.lanes == {"f16": 2 * BLOCKS * M * N}  # vmuls and vadds


def test_columns_of_the_split_profiler(report: Report) -> None:
    """op_summary of split chips (atc-cli.md §5.5): pipes by type of core, the fixpipe, N/A where a type did nothing."""
    text = csv_text(report)
    head = text.splitlines()[0].split(",")
    assert head == list(SPLIT_COLUMNS) and len(set(head)) == len(head)
    assert not {"mac_ratio", "total_cycles", "memory_bound"} & set(head) and "aic_mac_ratio" not in COLUMNS
    at = head.index("aicore_time(us)")
    assert head[at + 1 : at + 4] == ["aic_total_cycles", "aic_mac_time(us)", "aic_mac_ratio"]
    assert head.index("aic_fixpipe_ratio") < head.index("aic_icache_miss_rate") < head.index("aiv_time(us)")
    mixed, cube, vector = csv.DictReader(io.StringIO(text))
    assert [row["Task Type"] for row in (mixed, cube, vector)] == ["MIX_AIC", "AI_CORE", "AI_VECTOR_CORE"]
    assert [row["Mix Block Dim"] for row in (mixed, cube, vector)] == [str(2 * BLOCKS), "0", "0"]
    for row in (mixed, cube):
        assert 0 < float(row["aic_fixpipe_ratio"]) < 1 and 0 < float(row["aic_mac_ratio"]) < 1
    assert 0 < float(mixed["aiv_vec_ratio"]) < 1 and 0 < float(mixed["aiv_mte3_ratio"]) < 1
    assert cube["aiv_vec_ratio"] == cube["aiv_time(us)"] == "N/A"
    assert vector["aic_mac_ratio"] == vector["aicore_time(us)"] == vector["aic_total_cycles"] == "N/A"
    timing = report.tasks[0].timing
    assert timing is not None
    for kind in ("aic", "aiv"):
        cycles = sum(block.end - block.start for block in timing.blocks if block.kind == kind)
        assert mixed[f"{kind}_total_cycles"] == str(cycles)
        busy = sum(block.busy["S"] for block in timing.blocks if block.kind == kind)
        cores = BLOCKS * (2 if kind == "aiv" else 1)
        ratio = busy / ((timing.cycles - timing.launch) * cores)
        assert mixed[f"{kind}_scalar_ratio"] == f"{ratio:.3f}"
    for name, kind in (("aicore_time(us)", "aic"), ("aiv_time(us)", "aiv")):
        end = max(block.end for block in timing.blocks if block.kind == kind)
        assert mixed[name] == f"{B1.microseconds(end - timing.launch):.3f}"
    assert mixed["ub_high_water(bytes)"] == str(M * N) and cube["ub_high_water(bytes)"] == "0"
    assert float(mixed["mac_fp16_ratio"]) == pytest.approx(float(mixed["aic_mac_ratio"]), abs=2e-3)


def test_terminal_table_has_the_fixpipe(report: Report) -> None:
    console = Console(width=200, file=io.StringIO())
    aicpu = TaskReport("nms", "Nms", 1, None, "AI_CPU", reason="data-dependent", other_cycles=5000)
    console.print(table(Report(B1, [*report.tasks, aicpu], "model"), plain=True))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert "fixpipe" in lines[1] and sum("AI_CPU" in line for line in lines) == 1


def test_roofs_count_the_cores_of_each_type() -> None:
    roofs = roofs_of(B1)
    assert roofs.peaks["cube f16"] == 2 * 4096 * B1.counts["aic"] * B1.clock_mhz * 1e6
    vadd = B1.timing["vector"]["vadd"]["f16"][0]
    assert roofs.peaks["vector f16"] == vadd / 2 * B1.counts["aiv"] * B1.clock_mhz * 1e6


def test_trace_shows_memories_of_both_types(tasks: list[tuple[TaskReport, TracedTask]]) -> None:
    events = list(trace_events(B1, [traced for _, traced in tasks[:1]]))
    counters = {(event["pid"], event["name"]) for event in events if event["ph"] == "C"}
    assert {name for _, name in counters} == {f"{s} live bytes" for s in ("l1", "l0a", "l0b", "l0c", "ub")}
    assert {pid for pid, name in counters if name.startswith("ub")} <= set(range(24, 24 + 2 * BLOCKS))
    assert {pid for pid, name in counters if name.startswith("l1")} <= set(range(BLOCKS))


def test_page_shows_both_types_of_core(report: Report) -> None:
    pytest.importorskip("jinja2")
    from ascend_mlir.runtime.page.content import high_water, hot_tasks, pipe_shares
    from ascend_mlir.runtime.page.render import page_text

    text = page_text(report, None, [])
    found = re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert data["names"]["0"] == "AIC core 0" and data["names"]["24"] == "AIV core 24"
    live = data["tasks"][0]["live"]
    assert set(live) == {"l1", "l0a", "l0b", "l0c", "ub"} and set(data["sizes"]) >= {*live, "bt", "fb"}
    assert live["ub"][0][1] >= 24 > live["l1"][0][1]  # each with the core of its block
    assert {"0.2", "24.1"} <= set(
        data["tasks"][0]["tracks"]
    )  # M of the first cube core, V of its vector core
    assert {row.name for row in high_water(report, None)} == {"L1", "L0A", "L0B", "L0C", "UB"}
    assert "fixpipe" in {name for name, _, _ in pipe_shares(report)} and "fixpipe stores" in text
    assert {"mad", "vmuls", "vadds"} & {
        row.text.split(".")[0] for task in hot_tasks(report) for row in task.rows
    }
    assert all(0 < row.of_pipe <= 1 for task in hot_tasks(report) for row in task.rows)
