"""Random programs: whenever the hazard check is content, every legal order gives the same bytes.

Programs are made clean by putting a flag or a barrier where a hazard is reported, until none is; then some
sync instructions are taken out again.  The judge (`order.py`) shares no clock and no flag logic with it.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.hazards import Hazard, check_task
from ascend_mlir.runtime.sim.order import run_kernel_random
from ascend_mlir.runtime.soc import load_soc
from sim_kernels import program

P3 = load_soc("Ascend310P3")
SIZE = 1 << 16
ARGS = (0, SIZE, 2 * SIZE)
HEAD = 3  # records in front of the body: three arguments
RECORD = 64


def _work(rng: random.Random) -> tuple[str, str]:
    """(pipe, text) of one instruction on a small piece of UB or L1, so that operands often meet."""
    ub, other, third = (32 * rng.randrange(24) for _ in range(3))
    l1 = 32 * rng.randrange(12)
    length, gap, bursts = rng.randint(1, 4), rng.randint(0, 2), rng.randint(1, 3)
    shape = f"bursts={bursts}, length={length}, dst_gap={gap}, src_gap={rng.randint(0, 2)}"
    strides = f"dst_blk={rng.randint(1, 3)}, src_blk={rng.randint(1, 2)}, dst_rep=8, src_rep=8"
    match rng.randrange(9):
        case 0:
            return "MTE2", f"copy_gm_to_ubuf ub[{ub}], gm[{32 * rng.randrange(64)}+r0], {shape}"
        case 1:
            return "MTE2", f"copy_gm_to_cbuf l1[{l1}], gm[{32 * rng.randrange(64)}+r0], {shape}"
        case 2:
            return "MTE3", f"copy_ubuf_to_gm gm[{32 * rng.randrange(24)}+r2], ub[{ub}], {shape}"
        case 3:
            return "MTE3", f"copy_ubuf_to_cbuf l1[{l1}], ub[{ub}], {shape}"
        case 4:
            return "MTE1", f"copy_cbuf_to_ubuf ub[{ub}], l1[{l1}], {shape}"
        case 5:
            return "V", f"vadd.s16 ub[{ub}], ub[{other}], ub[{third}], repeat=1"
        case 6:
            return "V", f"vadds.s16 ub[{ub}], ub[{other}], 3, repeat=1, {strides}"
        case 7:
            return "V", f"vector_dup.s16 ub[{ub}], {rng.randrange(99)}, repeat=1, dst_blk={rng.randint(1, 3)}"
        case _:
            return "V", f"vcadd.f16 ub[{ub}], ub[{other}], repeat=1"


def _legal_work(rng: random.Random) -> tuple[str, str]:
    """The same without what the machine refuses (an operand that overlaps the result, say)."""
    while True:
        work = _work(rng)
        try:
            run_kernel(P3, program(work[1]), bytearray(3 * SIZE), ARGS)
        except SimulatorFault:
            continue
        return work


def _hazards(lines: list[str]) -> list[Hazard]:
    return check_task(P3, program("\n".join(lines)), ARGS, 1)


def _line(text: str) -> int:
    """Line number in the body of a hazard's instruction."""
    return int(text.split(maxsplit=1)[0], 16) // RECORD - HEAD


def _with_pipe(line: str) -> str:
    return line.split(" ;")[1]


def _make_clean(work: list[tuple[str, str]]) -> list[str] | None:
    """The instructions with sync added until nothing is reported, None if event ids run out."""
    lines = [f"{text} ;{pipe}" for pipe, text in work]
    events: dict[tuple[str, str], int] = {}
    for _ in range(200):
        found = [hazard for hazard in _hazards(lines) if hazard.rule in ("RAW", "WAR", "WAW")]
        if not found:
            return lines
        first, second = _line(found[0].first), _line(found[0].second)
        src, dst = _with_pipe(lines[first]), _with_pipe(lines[second])
        if src == dst:
            lines.insert(second, f"pipe_barrier pipe={dst} ;sync")
            continue
        event = events[src, dst] = events.get((src, dst), -1) + 1
        if event >= P3.core.event_ids:
            return None
        flag = f"src={src}, dst={dst}, event={event} ;sync"
        lines.insert(second, f"wait_flag {flag}")
        lines.insert(first + 1, f"set_flag {flag}")
    return None


def _same_in_all_orders(lines: list[str], seeds: int) -> bool:
    kernel = program("\n".join(lines))
    rng = np.random.default_rng(0)
    start = rng.integers(0, 100, 3 * SIZE // 2, dtype=np.int16).view(np.uint8).tobytes()
    straight = bytearray(start)
    run_kernel(P3, kernel, straight, ARGS)
    for seed in range(seeds):
        gm = bytearray(start)
        run_kernel_random(P3, kernel, gm, ARGS, seed=seed)
        if gm != straight:
            return False
    return True


STORE_ALL = [
    ("MTE3", f"copy_ubuf_to_gm gm[{0x4000 + 1024 * i}+r2], ub[{1024 * i}], bursts=1, length=32")
    for i in range(2)
]


@pytest.mark.parametrize("seed", range(25))
def test_clean_programs_are_independent_of_order(seed: int) -> None:
    rng = random.Random(seed)
    work = [_legal_work(rng) for _ in range(rng.randint(4, 14))] + STORE_ALL
    lines = _make_clean(work)
    if lines is None:
        pytest.skip("out of event ids")
    assert _same_in_all_orders(lines, 6)
    sync = [i for i, line in enumerate(lines) if line.endswith(";sync")]
    for place in rng.sample(sync, min(4, len(sync))):
        drop = {place}
        if "_flag" in lines[place]:  # both halves of a flag
            words = lines[place].split(" ", 1)[1]
            drop = {i for i in sync if lines[i].endswith(words)}
        rest = [line for i, line in enumerate(lines) if i not in drop]
        if not _hazards(rest):
            assert _same_in_all_orders(rest, 6)


def test_a_racy_program_differs_in_some_order() -> None:
    """The judge is not blind."""
    text = [
        "vector_dup.s16 ub[0], 7, repeat=1",
        "vadds.s16 ub[0x200], ub[0], 1, repeat=1",
        "set_flag src=V, dst=MTE3, event=0",
        "wait_flag src=V, dst=MTE3, event=0",
        "copy_ubuf_to_gm gm[0+r2], ub[0x200], bursts=1, length=8",
    ]
    assert {hazard.rule for hazard in _hazards(text)} == {"RAW"}
    assert not _same_in_all_orders(text, 12)
