"""Runs the timing cases of ../shared/reference/timing_cases.json (910B numbers) through our timing model.

    python benchmarks/timing_cases.py [path to timing_cases.json]

Each case becomes an assembly program for the core of Ascend910B1 that has its pipes, with a set_flag behind
the producer and a wait_flag before the consumer of every dependence between pipes.

Judged are the cases of open cost models: one pipe within 2 % or 2 cycles, several pipes within 10 % of the
corrected figure where the file gives one (queued DMAs of the reference pay the whole latency each; hardware
pipelines them).  The two GEMMs measured on hardware are held to 10 % as well.  Not judged, only shown with
the reason: profiles of a device that nobody names, which contradict the cost model's own figures for the
same instruction, and a GEMM of a second model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.sim.gm_model import L2State
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.sim.timing import TaskTiming, time_task
from ascend_mlir.runtime.soc import load_soc

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT.parent / "shared" / "reference" / "timing_cases.json"
CHIP = load_soc("Ascend910B1")

_NAMES = ("add", "adds", "mul", "max", "mins", "rsqrt", "exp")
_VECTOR = {"vdup": "vector_dup", **{name: f"v{name}" for name in _NAMES}}
_TYPES = {"fp16": "f16", "fp32": "f32", "int32": "s32", "int16": "s16"}
_THREE = {"vadd", "vsub", "vmul", "vdiv", "vmax", "vmin"}
_SCALAR = {"vadds", "vmuls", "vmins", "vmaxs"}
_VECTOR_CORE = {"copy_gm_ub", "copy_ub_gm"}  # and whatever runs on V


@dataclass(frozen=True)
class Outcome:
    """A case: expected and our cycles, the share it may be off; `unjudged` says why it is only shown."""

    name: str
    trust: str
    expected: int
    ours: int
    share: float
    note: str = ""
    unjudged: str = ""

    @property
    def off(self) -> float:
        return (self.ours - self.expected) / self.expected

    @property
    def allowed(self) -> float:
        """Cycles it may be off."""
        return max(2, self.share * self.expected)

    @property
    def close(self) -> bool:
        return abs(self.ours - self.expected) <= self.allowed


def _burst_copy(bursts: int, length: int, gm_gap: int, core_gap: int, *, store: bool) -> str:
    shape = f"bursts={bursts}, length={length}"
    if store:
        return f"copy_ubuf_to_gm gm[0], ub[0], {shape}, src_gap={core_gap}, dst_gap={gm_gap}"
    return f"copy_gm_to_ubuf ub[0], gm[0], {shape}, src_gap={gm_gap}, dst_gap={core_gap}"


def _nd2nz(entry: Mapping[str, Any]) -> str:
    rows, columns = entry["rows"], entry["cols"]
    pitch = entry.get("src_row_elems", columns)
    shape = f"nd_num=1, n_value={rows}, d_value={columns}, src_d={pitch}, dst_c0_stride={rows}"
    return f"copy_gm_to_cbuf_multi_nd2nz.f16 l1[0], gm[0], {shape}"


def instruction(entry: Mapping[str, Any]) -> str:
    """Assembly text of one entry of a case."""
    op = entry["op"]
    match op:
        case "barrier":
            return f"pipe_barrier pipe={entry['pipe']}"
        case "copy_gm_ub" | "copy_ub_gm":
            store = op == "copy_ub_gm"
            gaps = (entry["dst_gap"], entry["src_gap"]) if store else (entry["src_gap"], entry["dst_gap"])
            return _burst_copy(entry["bursts"], entry["burst_blocks32B"], *gaps, store=store)
        case "nd2nz_gm_l1":
            return _nd2nz(entry)
        case "load2d_l0a" | "load2d_l0b":
            return f"load2d.f16 {op[-3:]}[0], l1[0], repeat={entry['fractals']}"
        case "load3d_l0a":
            m, k = entry["m"], entry["k"]
            return f"load3d.f16 l0a[0], l1[0], m_extent={m}, k_extent={k}, channels={k}"
        case "mad":
            kind = "f32f16f16" if entry["dtype"] == "fp16" else "s32s8s8"
            return (
                f"mad.{kind} l0c[0], l0a[0], l0b[0], m={entry['m']}, k={entry['k']}, n={entry['n']}, init=1"
            )
        case "fixpipe_l0c_gm":
            m, n = entry["m"], entry["n"]
            stride = -(-m // 16) * 16
            return f"copy_matrix_cc_to_gm.f32 gm[0], l0c[0], fb[0], {n}, n={n}, m={m}, src_stride={stride}, nz2nd=1"
        case _:
            name = _VECTOR.get(op, op)
            held = entry.get("operands_ub") or ("0x0", "0x8000", "0x10100")  # no bank group twice
            sources = (
                f", ub[{held[1]}], ub[{held[2]}]"
                if name in _THREE
                else ""
                if name == "vector_dup"
                else ", ub[0x8000]"
            )
            scalar = ", 0" if name in _SCALAR or name == "vector_dup" else ""
            return f"{name}.{_TYPES[entry['dtype']]} ub[0]{sources}{scalar}, repeat={entry['repeat']}"


def program_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """The whole case: dependences between pipes as flags, event ids in turn."""
    pipe = {entry["i"]: entry["pipe"] for entry in entries}
    core = "aiv" if any(e["pipe"] == "V" or e["op"] in _VECTOR_CORE for e in entries) else "aic"
    used: dict[tuple[str, str], int] = {}
    sets: dict[int, list[str]] = {}
    waits: dict[int, list[str]] = {}
    for entry in entries:
        for dep in entry["deps"]:
            pair = (pipe[dep], pipe[entry["i"]])
            number = used[pair] = used.get(pair, -1) + 1
            text = f"src={pair[0]}, dst={pair[1]}, event={number % 8}"
            sets.setdefault(dep, []).append(f"set_flag {text}")
            waits.setdefault(entry["i"], []).append(f"wait_flag {text}")
    lines = [f".kernel args=0 core={core}"]
    if any(entry["op"] == "load3d_l0a" for entry in entries):
        lines.append(
            "set_fmatrix fm_width=1024, fm_height=1, pad_left=0, pad_right=0, pad_top=0, pad_bottom=0"
        )
    for entry in entries:
        lines += [*waits.get(entry["i"], ()), instruction(entry), *sets.get(entry["i"], ())]
    return "\n".join([*lines, "end"])


def cycles(entries: Sequence[Mapping[str, Any]]) -> int:
    """Cycles of a case with every line in L2 and no launch cost."""
    program = load_program(assemble(program_text(entries)))
    timing = time_task(CHIP, program, (), 1, L2State(CHIP.l2_bytes // 512, warm=True))
    return timing.cycles - timing.launch


GEMM = """
.kernel args=0 core=aic
mov r6, 0
mov r7, 0
mov r8, 0
set_flag src=MTE1, dst=MTE2, event=0
set_flag src=MTE1, dst=MTE2, event=1
set_flag src=M, dst=MTE1, event=0
set_flag src=M, dst=MTE1, event=1
set_flag src=FIX, dst=M, event=0
set_flag src=FIX, dst=M, event=1
loop r1, {tiles}
  mul r11, r8, 0x20000
  wait_flag src=FIX, dst=M, event=r8
  loop r2, {loads}
    mul r9, r6, 0x30000
    wait_flag src=MTE1, dst=MTE2, event=r6
    copy_gm_to_cbuf l1[0+r9], gm[0], bursts=1, length=2048
    copy_gm_to_cbuf l1[0x10000+r9], gm[0], bursts=1, length=4096
    set_flag src=MTE2, dst=MTE1, event=r6
    wait_flag src=MTE2, dst=MTE1, event=r6
    loop r3, 4
      mul r10, r7, 0x8000
      wait_flag src=M, dst=MTE1, event=r7
      load2d.f16 l0a[0+r10], l1[0+r9], repeat=32
      load2d.f16 l0b[0+r10], l1[0x10000+r9], repeat=64
      set_flag src=MTE1, dst=M, event=r7
      wait_flag src=MTE1, dst=M, event=r7
      mad.f32f16f16 l0c[0+r11], l0a[0+r10], l0b[0+r10], m=128, k=64, n=256, init=1
      set_flag src=M, dst=MTE1, event=r7
      xor r7, r7, 1
    end_loop
    set_flag src=MTE1, dst=MTE2, event=r6
    xor r6, r6, 1
  end_loop
  set_flag src=M, dst=FIX, event=r8
  wait_flag src=M, dst=FIX, event=r8
  copy_matrix_cc_to_gm.f32 gm[0], l0c[0+r11], fb[0], 512, n=256, m=128, src_stride=128, nz2nd=1
  set_flag src=FIX, dst=M, event=r8
  xor r8, r8, {flip}
end_loop
wait_flag src=MTE1, dst=MTE2, event=0
wait_flag src=MTE1, dst=MTE2, event=1
wait_flag src=M, dst=MTE1, event=0
wait_flag src=M, dst=MTE1, event=1
wait_flag src=FIX, dst=M, event=0
wait_flag src=FIX, dst=M, event=1
end
"""
"""One core of a GEMM, base tile 128 x 64 x 256 (m, k, n), four k tiles per GM load.  All is double buffered
but L0C, which one tile fills.  GM loads run at the plain rate: the hardware's busy times (85 B/cycle) leave
no room for the per-row rounding of the nd2nz formula."""


def gemm(m: int, k: int, n: int, *, two_tiles: bool) -> TaskTiming:
    """One core's share of a GEMM.  `two_tiles`: the store of a tile overlaps the next tile's mads."""
    tiles = m // 128 * (n // 256)
    text = GEMM.format(tiles=tiles, loads=k // 256, flip=int(two_tiles))
    return time_task(CHIP, load_program(assemble(text)), (), 1, L2State(CHIP.l2_bytes // 512, warm=True))


def gemm_outcomes(path: Path = CASES) -> list[Outcome]:
    """The GEMMs of one core: two measured on hardware, one of another model."""
    data = json.loads(path.read_text(encoding="utf-8"))
    rows: list[Outcome] = []
    for case in data["hardware"]:
        if "problem" in case:
            size = case["problem"]
            ours = gemm(size["m"] // 4, size["k"], size["n"] // 6, two_tiles=False)
            expected = round(case["time_ms"] * 1.85e6)
            rows.append(Outcome(case["name"], case["trust"], expected, ours.cycles, 0.1))
    for case in data["second_model"]:
        size = case["problem"]
        ours = gemm(size["m"], size["k"], size["n"], two_tiles=True)
        busy = case["busy"]["gm_to_l1"]
        why = f"another model; its GM loads alone are busy for {busy} cycles"
        rows.append(Outcome(case["name"], case["trust"], case["cycles"], ours.cycles, 0.1, "", why))
    return rows


def _unjudged(case: Mapping[str, Any], ours: int, latency: int) -> str:
    """Why a profile is only shown, with what would explain the difference."""
    (entry,) = case["program"]
    if "latency" in case.get("note", ""):
        slots = entry["bursts"] * entry["burst_blocks32B"] * 32 // 512
        return f"transfer only: ours without latency and issue slots {ours - latency - slots}"
    if case.get("operands_ub"):  # timing.md 2.3: one more cycle per repeat, which is in ours
        return "unnamed device; sources share UB bank groups"
    return "unnamed device; the cost model's own figure differs"


def outcomes(path: Path = CASES) -> list[Outcome]:
    """Every program case of the file.  Where the reference serialises DMAs, its corrected figure is the
    truth."""
    rows = list[Outcome]()
    data = json.loads(path.read_text(encoding="utf-8"))
    corrected = {
        c["name"]: c["cycles_overlap_variant"] for c in data["cases"] if "cycles_overlap_variant" in c
    }
    for case in [*data["cases"], *(case for case in data["hardware"] if "program" in case)]:
        name, held = case["name"], case.get("operands_ub")
        program = [{**entry, "operands_ub": held} for entry in case["program"]]
        # The serialised pair of loads has its corrected figure under the name of its multi-pipe twin.
        expected = corrected.get(name, corrected.get(f"{name}_mp", case["cycles"]))
        note = "corrected" if expected != case["cycles"] else ""
        share = 0.1 if case.get("mode") == "multi_pipe" else 0.02
        ours = cycles(program)
        unjudged = (
            _unjudged(case, ours, data["gm_read_latency"]) if case["trust"] == "profiled_unverified" else ""
        )
        rows.append(Outcome(name, case["trust"], expected, ours, share, note, unjudged))
    return rows


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else CASES
    rows = [*outcomes(path), *gemm_outcomes(path)]
    print(f"{'case':36} {'trust':20} {'expected':>8} {'ours':>8} {'error':>7} {'allowed':>8}  verdict")
    for row in rows:
        verdict = f"not judged: {row.unjudged}" if row.unjudged else "within" if row.close else "OUTSIDE"
        note = f" ({row.note})" if row.note else ""
        numbers = f"{row.expected:8} {row.ours:8} {row.off:7.1%} {row.allowed:8.0f}"
        print(f"{row.name:36} {row.trust:20} {numbers}  {verdict}{note}")
    judged = [row for row in rows if not row.unjudged]
    outside = [row for row in judged if not row.close]
    print(f"{len(judged)} cases judged, {len(outside)} outside, {len(rows) - len(judged)} only shown")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
