"""Kernels that read scalars from memory, followed without data: only addresses may come from there."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.sim.assumed_loads import steered_by_data
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.sim.timing import time_task
from ascend_mlir.runtime.soc import load_soc

P3 = load_soc("Ascend310P3")
COPY = "copy_gm_to_ubuf ub[0x100], gm[0+r0+{0}], bursts=1, length=1"
LOAD = "load_scalar r5, ub[0], bytes=4"


def kernel(text: str):
    return load_program(assemble(f".kernel args=1\narg r0, number=0\n{text}\nend"))


STEERED = {
    "a trip count": f"{LOAD}\nloop r6, r5\n{COPY.format('r6')}\nend_loop",
    "a condition": f"{LOAD}\nlt r6, r5, 3\nif r6\n{COPY.format('r5')}\nend_if",
    "a count of bursts": f"{LOAD}\ncopy_gm_to_ubuf ub[0x100], gm[0+r0], bursts=1, length=r5",
    "a sum with it": f"{LOAD}\nmul r7, r5, 2\nadd r6, r7, 1\nloop r8, r6\nvabs.f16 ub[0], ub[0], repeat=1\nend_loop",
    "the iteration before": f"mov r6, 0\nloop r7, 2\nif r6\n{COPY.format('r7')}\nend_if\n{LOAD}\nmov r6, r5\nend_loop",
    "one arm of an if": f"mov r6, 1\nif r0\n{LOAD}\nmov r6, r5\nend_if\nloop r8, r6\nvabs.f16 ub[0], ub[0], repeat=1\nend_loop",
}
FREE = {
    "an address": f"{LOAD}\nmul r6, r5, 32\n{COPY.format('r6')}",
    "a register that is written again": f"{LOAD}\nmul r6, r5, 32\n{COPY.format('r6')}\nmov r5, 2\n"
    f"loop r7, r5\n{COPY.format('r7')}\nend_loop",
    "an index of a loop behind it": f"{LOAD}\n{COPY.format('r5')}\nloop r5, 2\n{COPY.format('r5')}\nend_loop\n"
    f"loop r6, r5\n{COPY.format('r6')}\nend_loop",
    "nothing": COPY.format("r0"),
}


@pytest.mark.parametrize("text", STEERED.values(), ids=STEERED)
def test_what_steers_needs_the_values_of_a_run(text):
    program = kernel(text)
    assert steered_by_data(program)
    for follow in (time_task, check_task):
        with pytest.raises(AscendError, match="E43102"):
            follow(P3, program, [4096], 1)


@pytest.mark.parametrize("text", FREE.values(), ids=FREE)
def test_what_is_only_an_address_is_assumed(text):
    program = kernel(text)
    assert not steered_by_data(program)
    assert time_task(P3, program, [4096], 1).cycles > 0


def test_each_load_is_a_row_of_its_own():
    """The cycles are those of distinct rows, in whatever order."""
    program = kernel(
        "block_idx r1\nblock_num r2\nloop r3, 20\nload_scalar r5, ub[0], bytes=4\nmul r6, r5, 4096\n"
        "copy_gm_to_ubuf ub[0x100], gm[0+r0+r6], bursts=1, length=128\nend_loop"
    )
    assumed = time_task(P3, program, [4096], 2).cycles
    rows = np.random.default_rng(0).permutation(40).reshape(2, 20).tolist()
    assert assumed == time_task(P3, program, [4096], 2, loads=rows).cycles
    same = [[0] * 20, [0] * 20]
    assert assumed > time_task(P3, program, [4096], 2, loads=same).cycles
