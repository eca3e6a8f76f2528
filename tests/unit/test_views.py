"""What a traced run shows: cycles per instruction, operations, bytes, memory over time, roofline, table, trace."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ascend_mlir.runtime.device_memory import device_memory
from ascend_mlir.runtime.om.model import OmDesc, OmGraphOp, OmKernel, OmModel, OmTask, OmTensor
from ascend_mlir.runtime.om.writer import write_om
from ascend_mlir.runtime.sim.byte_sets import solid
from ascend_mlir.runtime.sim.detail import TaskDetail, task_detail
from ascend_mlir.runtime.sim.gm_model import L2State
from ascend_mlir.runtime.sim.occupancy import Touch, occupancy
from ascend_mlir.runtime.sim.profile import COLUMNS, OF_THE_PROFILER, csv_text
from ascend_mlir.runtime.sim.report import Report, TaskReport
from ascend_mlir.runtime.sim.roofline import position_of, roofs_of
from ascend_mlir.runtime.sim.timing import TaskTiming, time_task
from ascend_mlir.runtime.sim.trace import TracedTask, trace_events
from ascend_mlir.runtime.soc import load_soc
from om_samples import ADD, ADD_DONE, LOAD_DONE, add_model
from sim_kernels import ADD_RELU, ARGS, MATMUL, program

P3 = load_soc("Ascend310P3")


def _detail(text: str, blocks: int = 1) -> tuple[TaskTiming, TaskDetail]:
    kernel = program(text)
    timing = time_task(P3, kernel, ARGS, blocks, trace=True)
    return timing, task_detail(P3, kernel, timing)


@pytest.mark.parametrize(("text", "blocks"), [(MATMUL, 4), (ADD_RELU, 8), (ADD_RELU, 11)])
def test_instructions_add_up_to_their_pipes(text: str, blocks: int) -> None:
    timing, detail = _detail(text, blocks)
    plain = time_task(P3, program(text), ARGS, blocks)
    assert (timing.cycles, timing.busy, timing.stalls, timing.counts) == (
        plain.cycles,
        plain.busy,
        plain.stalls,
        plain.counts,
    )
    cycles: Counter[str] = Counter()
    waited: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for cost in detail.instructions:
        cycles[cost.pipe] += cost.cycles
        waited[cost.pipe] += cost.waited
        counts[cost.record.mnemonic] += cost.count
    assert counts == timing.counts
    stalls: Counter[str] = Counter()
    for (waiting, _), amount in timing.stalls.items():
        stalls[waiting] += amount
    for pipe in ("V", "M", "MTE1", "MTE2", "MTE3"):
        assert cycles[pipe] == timing.busy.get(pipe, 0)
        assert waited[pipe] == stalls[pipe]
    assert 0 < cycles["S"] < timing.busy["S"]  # the rest is dispatching the other instructions
    for track, segments in detail.tracks.items():
        assert all(a.end <= b.start for a, b in pairwise(segments)), track
    busy = sum(segment.busy for segments in detail.tracks.values() for segment in segments)
    assert busy == sum(timing.busy.values())


def test_scalar_instructions_cost_what_the_table_says() -> None:
    _, detail = _detail("loop r5, 10\nmul r6, r5, 3\nend_loop\nmov r7, 1")
    costs = {cost.record.mnemonic: (cost.count, cost.cycles) for cost in detail.instructions}
    assert costs["mul"] == (10, 20) and costs["mov"] == (1, 2)


def test_waits_of_barriers_count_for_the_pipe_they_hold() -> None:
    text = "vexp.f16 ub[0], ub[0x8000], repeat=10\npipe_barrier pipe=V\nvabs.f16 ub[0], ub[0], repeat=1"
    timing, detail = _detail(text)
    (barrier,) = [cost for cost in detail.instructions if cost.record.mnemonic == "pipe_barrier"]
    assert barrier.pipe == "V" and barrier.cycles == 0
    assert barrier.waited == timing.stalls["V", "V"] > 20


def test_operations_are_counted_by_type() -> None:
    _, detail = _detail(MATMUL, 4)
    mads = [cost.record for cost in detail.instructions if cost.record.mnemonic == "mad"]
    assert len(mads) == 1
    m, k, n = (mads[0].field(name) for name in "mkn")
    assert isinstance(m, int) and isinstance(k, int) and isinstance(n, int)
    assert detail.macs == {"f32f16f16": 4 * 8 * m * k * n}
    _, detail = _detail(
        "vadd.f16 ub[0], ub[0x1000], ub[0x2000], repeat=3\n"
        "vmla.f16 ub[0x4000], ub[0x1000], ub[0x2000], repeat=1\n"
        "vector_dup.f16 ub[0], 0, repeat=5\n"
        "set_vector_mask 0, 0xff\n"
        "vadd.f32 ub[0], ub[0x1000], ub[0x2000], repeat=2"
    )
    assert detail.lanes == {"f16": 3 * 128 + 2 * 128, "f32": 2 * 8}
    assert detail.operations == 640 + 16


def test_bytes_on_chip_and_how_far_they_reach() -> None:
    _, detail = _detail("vadd.f16 ub[0x400], ub[0], ub[0x200], repeat=2\ncopy_gm_to_cbuf l1[0x100], gm[0], bursts=2, "
                        "length=4, dst_gap=2")  # fmt: skip
    assert detail.traffic == {("ub", "r"): 1024, ("ub", "w"): 512, ("l1", "w"): 256}
    assert detail.reach == {"l1": 0x100 + (4 + 2 + 4) * 32, "ub": 0x600}


def test_a_product_that_starts_anew_does_not_read_its_result() -> None:
    text = "mad.f32f16f16 l0c[0], l0a[0], l0b[0], m=16, k=16, n=16, init={init}"
    for init, amount in ((0, 1024), (1, 0)):
        _, detail = _detail(text.format(init=init))
        assert detail.traffic["l0c", "r"] == amount and detail.traffic["l0c", "w"] == 1024


def _touch(at: int, size: int, start: int, end: int, *, keeps: bool = False, writes: bool = True) -> Touch:
    return Touch("ub", at, solid(size), keeps, writes, start, end)


def test_memory_is_live_from_its_write_to_its_last_read() -> None:
    curve = occupancy(0, {"ub": 256}, [
        _touch(0, 64, 10, 20),
        _touch(64, 32, 15, 18),
        _touch(0, 32, 30, 40, keeps=True, writes=False),
        _touch(0, 64, 50, 60),  # ends the first life, is never read
        _touch(64, 32, 70, 80, keeps=True),  # part of a piece: the life goes on
    ]).curves["ub"]  # fmt: skip
    steps = dict(zip(curve.times.tolist(), curve.live.tolist(), strict=True))
    assert steps == {10: 64, 15: 96, 20: 64, 40: 32, 50: 96, 60: 32, 80: 0}
    assert curve.peak == 96
    assert curve.sampled(0, 100, 10) == [0, 96, 64, 64, 32, 96, 32, 32, 0, 0]
    assert occupancy(0, {"ub": 256}, []).curves == {}


def test_occupancy_of_a_kernel() -> None:
    """ADD_RELU has two tiles of each operand in turn; with 8 iterations both are in use."""
    _, detail = _detail(ADD_RELU, 2)
    curve = detail.curve("ub")
    assert curve is not None and curve.peak == detail.reach["ub"] == 2 * 3 * 0x1000
    assert curve.live[-1] == 0


def test_place_under_the_roofs() -> None:
    timing, detail = _detail(ADD_RELU, 8)
    position = position_of(P3, timing, detail)
    roofs = roofs_of(P3)
    assert roofs.peaks["cube f16"] == 2 * 4096 * 8 * 1.06e9  # davinci.md: 16 x 16 x 16 products per cycle
    assert roofs.bandwidths["DDR"] == 17 * 8 * 1.06e9
    assert roofs.bandwidths["L2"] == (114 + 114) * 8 * 1.06e9  # loads and stores side by side
    assert position.unit == "vector f16"
    moved = timing.ddr_read + timing.ddr_write
    assert position.intensity["DDR"] == pytest.approx(detail.operations / moved)
    assert position.attainable == pytest.approx(roofs.bandwidths["DDR"] * detail.operations / moved)
    assert position.achieved == pytest.approx(detail.operations / (timing.cycles / 1.06e9))
    assert 0.3 < position.ratio <= 1
    timing, detail = _detail("copy_gm_to_ubuf ub[0], gm[0], bursts=1, length=128")
    still = position_of(P3, timing, detail)
    assert (still.unit, still.achieved, still.ratio) == ("", 0, 0) and still.bytes_per_second["DDR"] > 0


def test_nothing_is_above_its_roof() -> None:
    """Loads and stores of cached data at the same time move more than either rate alone."""
    text = "\n".join(
        "copy_gm_to_ubuf ub[0], gm[0x1000], bursts=1, length=1024\n"
        "copy_ubuf_to_gm gm[0x40000], ub[0x10000], bursts=1, length=1024"
        for _ in range(20)
    )
    kernel = program(text + "\nvadd.f16 ub[0x20000], ub[0x20000], ub[0x20000], repeat=255")
    timing = time_task(P3, kernel, ARGS, 8, L2State(P3.l2_bytes // 512, warm=True), trace=True)
    position = position_of(P3, timing, task_detail(P3, kernel, timing))
    read = timing.l2_read / (timing.cycles / 1.06e9)
    assert position.bytes_per_second["L2"] > roofs_of(P3).bandwidths["L2"] / 2 > read
    assert position.ratio <= 1


def _report() -> Report:
    desc = OmDesc("f16", (1, 64, 8, 8), (1, 4, 8, 8, 16), "NC1HWC0", "NCHW", 8192)
    tasks: list[TaskReport] = []
    for name, text, blocks in (("matmul", MATMUL, 4), ("add", ADD_RELU, 8)):
        timing, detail = _detail(text, blocks)
        tasks.append(
            TaskReport(
                name, name.title(), blocks, timing, nodes=(f"{name}_0", f"{name}_1"), stream=3, inputs=(desc, desc),
                outputs=(desc,), workspace=512, body=((f"{name}_0",),), detail=detail,
            )
        )  # fmt: skip
    tasks.append(TaskReport("nms", "Nms", 1, None, "AI_CPU", reason="data-dependent", other_cycles=5000))
    return Report(P3, tasks, "m")


def test_table_has_the_columns_of_op_summary() -> None:
    """atc-cli.md 5.5, in its order, and ours behind them."""
    text = csv_text(_report())
    assert text.splitlines()[0].split(",") == list(COLUMNS)
    assert len(set(COLUMNS)) == len(COLUMNS)
    utilisation = "aicore_time(us) total_cycles vec_time(us) vec_ratio mac_time(us) mac_ratio scalar_time(us) scalar_ratio "
    utilisation += "mte1_time(us) mte1_ratio mte2_time(us) mte2_ratio mte3_time(us) mte3_ratio icache_miss_rate memory_bound"
    first = OF_THE_PROFILER.index("aicore_time(us)")
    assert list(OF_THE_PROFILER[first : first + 16]) == utilisation.split()
    matmul, add, nms = csv.DictReader(io.StringIO(text))
    assert (matmul["Model Name"], matmul["Task ID"], add["Task ID"], matmul["Stream ID"]) == (
        "m",
        "0",
        "1",
        "3",
    )
    assert matmul["Input Shapes"] == "1,4,8,8,16;1,4,8,8,16" and matmul["Output Formats"] == "NC1HWC0"
    assert matmul["Input Data Types"] == "FLOAT16;FLOAT16" and matmul["Source Nodes"] == "matmul_0 matmul_1"
    assert float(matmul["mac_fp16_ratio"]) == float(matmul["mac_ratio"]) > 0
    kinds = ("vec_fp32_ratio", "vec_fp16_ratio", "vec_int32_ratio", "vec_misc_ratio")
    assert sum(float(add[kind]) for kind in kinds) == pytest.approx(float(add["vec_ratio"]), abs=0.003)
    seconds = float(add["Task Duration(us)"]) * 1e-6
    read = 2 * 8 * 8 * 0x1000  # two operands, 8 blocks, 8 tiles
    assert float(add["main_mem_read_bw(GB/s)"]) == pytest.approx(read / seconds / 1e9, rel=1e-3)
    assert float(add["ub_write_bw(GB/s)"]) > float(add["l2_read_bw(GB/s)"]) > 0
    assert float(add["memory_bound"]) > 1 > float(add["roofline_ratio"]) > 0
    assert add["ub_high_water(bytes)"] == str(0x6000) and add["l1_high_water(bytes)"] == "0"
    assert matmul["cube_utilization(%)"] != "N/A" and add["cube_utilization(%)"] == "N/A"
    assert nms["Task Duration(us)"] == f"{5000 / 1060:.3f}" and nms["mac_ratio"] == "N/A"
    assert nms["Reason"] == "data-dependent" and nms["icache_miss_rate"] == "N/A"


def test_without_details_the_table_says_so() -> None:
    report = _report()
    bare = Report(P3, [TaskReport("add", "Add", 8, report.tasks[1].timing)])
    (row,) = csv.DictReader(io.StringIO(csv_text(bare)))
    assert row["ub_read_bw(GB/s)"] == row["operations"] == row["roofline_ratio"] == "N/A"
    assert float(row["vec_ratio"]) > 0


def _events(text: str, blocks: int) -> list[dict[str, Any]]:
    kernel = program(text)
    timing = time_task(P3, kernel, ARGS, blocks, trace=True)
    full = task_detail(P3, kernel, timing).occupancies
    tasks = [
        TracedTask("t", kernel, timing, start, {0: ["node"]}, {"type": "T"}, full) for start in (0, 90_000)
    ]
    return json.loads(json.dumps(list(trace_events(P3, tasks))))


def test_trace_has_a_track_per_core_and_pipe_without_overlaps() -> None:
    events = _events(ADD_RELU, 11)
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    blocks: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            start = round(event["ts"] * 1000)
            span = (start, start + round(event["dur"] * 1000))
            tracks[event["pid"], event["tid"]].append(span)
            if event["cat"] == "block":
                blocks[event["pid"]].append(span)
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    assert {pid for pid, _ in names} == set(range(8)) and names[3, 1] == "V"
    assert {track for track in tracks if track[0] < 8} <= set(names)
    for (core, pipe), spans in tracks.items():
        inner = (
            sorted(spans)
            if pipe or core > 8
            else [span for span in sorted(spans) if span not in blocks[core]]
        )
        assert all(a[1] <= b[0] for a, b in pairwise(inner))
        assert all(
            any(low <= a and b <= high for low, high in blocks[core])
            for a, b in inner
            if pipe == 0 and core < 8
        )
    assert {core: len(spans) for core, spans in blocks.items()} == {
        core: 4 if core < 3 else 2 for core in range(8)
    }


def test_arrows_lead_from_set_to_wait() -> None:
    events = _events(ADD_RELU, 2)
    slices = [event for event in events if event["ph"] == "X" and event["pid"] < 8]

    def named(arrow: dict[str, Any]) -> set[str]:
        return {
            s["name"]
            for s in slices
            if (s["pid"], s["tid"]) == (arrow["pid"], arrow["tid"])
            and s["ts"] - 1e-6 <= arrow["ts"] <= s["ts"] + s["dur"] + 1e-6
        }

    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    assert len(starts) == len(ends) == 2 * 2 * program_flags()
    for identity, start in starts.items():
        end = ends[identity]
        assert "set_flag" in named(start) and "wait_flag" in named(end)
        assert start["ts"] <= end["ts"] and start["tid"] != end["tid"] and start["pid"] == end["pid"]


def program_flags() -> int:
    """Flags that one block of ADD_RELU sets."""
    return time_task(P3, program(ADD_RELU), ARGS, 1).counts["set_flag"]


def test_trace_shows_barriers_memory_and_nodes() -> None:
    events = _events(ADD_RELU, 1)
    counters = [event for event in events if event["ph"] == "C"]
    assert {event["name"] for event in counters} == {"ub live bytes"}
    assert max(event["args"]["bytes"] for event in counters) >= 0x3000
    assert counters[-1]["args"]["bytes"] == 0
    (first, *_) = [event for event in events if event.get("name") == "t"]
    assert first["args"]["type"] == "T"
    text = "vabs.f16 ub[0], ub[0x200], repeat=9\npipe_barrier pipe=ALL\nvabs.f16 ub[0], ub[0x200], repeat=1"
    barriers = [event for event in _events(text, 1) if event.get("name") == "pipe_barrier"]
    assert len(barriers) == 2 and barriers[0]["dur"] > 0 and barriers[0]["tid"] == 0


def _op(name: str, reads: list[tuple[int, int]], writes: list[tuple[int, int]], work: int = 0) -> OmGraphOp:
    def descs(ranges: list[tuple[int, int]]) -> tuple[OmDesc, ...]:
        return tuple(OmDesc("i8", (size,), (size,), size=size) for _, size in ranges)

    return OmGraphOp(
        name,
        "Op",
        tuple(f"from{offset}:0" for offset, _ in reads),
        descs(reads),
        descs(writes),
        input_offsets=tuple(offset for offset, _ in reads),
        output_offsets=tuple(offset for offset, _ in writes),
        workspace_offsets=(5000,) if work else (),
        workspace_bytes=(work,) if work else (),
    )


def test_device_memory_over_the_tasks() -> None:
    graph = (
        _op("a", [(0, 100)], [(1000, 200)], work=50),
        _op("b", [(1000, 200)], [(1000, 200)]),  # in place
        _op("c", [(0, 100)], [(2000, 300)]),  # the input lives until here
        _op("d", [(1000, 100), (2000, 300)], [(0, 40)]),  # half of the first result; reuses the input's place
    )
    model = OmModel(
        "m",
        "Ascend310P3",
        (OmTensor("x", "i8", (100,), 100, 0),),
        (OmTensor("y", "i8", (40,), 40, 0),),
        memory_size=6000,
        kernels=(OmKernel("k", b""),),
        tasks=tuple(OmTask("k", 1, (), op_index=i) for i in range(4)),
        graph=graph,
    )
    memory = device_memory(model)
    assert memory is not None
    assert memory.live == (100 + 200 + 50, 100 + 200, 100 + 200 + 300, 200 + 300 + 40)
    assert (memory.workspace, memory.peak, memory.planned) == ((50, 0, 0, 0), 600, 6000)
    assert device_memory(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE))) is None


def test_atc_run_is_quiet_in_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "m.om"
    write_om(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)), path)
    code = "from ascend_mlir.tools.atc import main; main()"
    command = [sys.executable, "-c", code, "run", "--model", str(path), f"--profile={tmp_path / 'p.csv'}"]
    environment = dict(os.environ, FORCE_COLOR="1", COLUMNS="40", TERM="xterm-256color")
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "\x1b" not in done.stdout + done.stderr and not set("│┃━─") & set(done.stdout)
    head = next(line for line in done.stdout.splitlines() if line.startswith("op "))
    columns = "op type us share cores cube vector MTE1 MTE2 MTE3 scalar DDR bound waits"
    assert head.replace("DDR GB/s", "DDR").split() == columns.split()
    with (tmp_path / "p.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["operations"] == "128" and row["ub_high_water(bytes)"] == str(0x200 + 256)
