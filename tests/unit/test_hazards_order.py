"""Random legal orders: they give the same bytes exactly when the hazard check is content."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.order import run_kernel_random
from ascend_mlir.runtime.soc import load_soc
from sim_kernels import ADD_RELU, MATMUL, program, rules

P3 = load_soc("Ascend310P3")
_IN0, _IN1, _OUT, _END = 0, 1 << 18, 2 << 18, 3 << 18
ARGS = (_IN0, _IN1, _OUT)


def _memory() -> bytearray:
    values = np.random.default_rng(1).standard_normal(_END // 2).astype(np.float16)
    values[_OUT // 2 :] = 0
    return bytearray(values.tobytes())


def _results(text: str, blocks: int, seeds: range) -> tuple[bytes, list[bytes]]:
    kernel = program(text)
    straight = _memory()
    run_kernel(P3, kernel, straight, ARGS, blocks)
    others: list[bytes] = []
    for seed in seeds:
        gm = _memory()
        run_kernel_random(P3, kernel, gm, ARGS, blocks, seed=seed)
        others.append(bytes(gm))
    return bytes(straight), others


@pytest.mark.parametrize(("text", "blocks"), [(MATMUL, 2), (ADD_RELU, 4)])
def test_every_legal_order_of_a_clean_kernel_gives_the_same_bytes(text: str, blocks: int) -> None:
    straight, others = _results(text, blocks, range(8))
    assert straight != bytes(_memory())
    assert all(other == straight for other in others)


@pytest.mark.parametrize(
    "pair", ["src=MTE2, dst=V", "src=V, dst=MTE3", "src=V, dst=MTE2", "src=MTE3, dst=V", "pipe=V"]
)
def test_a_missing_pair_of_flags_shows_in_some_order(pair: str) -> None:
    """The mutants that the hazard check reports really go wrong."""
    text = "\n".join(line for line in ADD_RELU.splitlines() if pair not in line)
    assert rules(text, 4)
    straight, others = _results(text, 4, range(12))
    assert any(other != straight for other in others)


def test_scalar_loads_wait_for_what_they_need() -> None:
    text = (
        "vector_dup.s32 ub[0], 3, repeat=1\nset_flag src=V, dst=S, event=0\nwait_flag src=V, dst=S, event=0\n"
        "load_scalar r5, ub[0], bytes=4\nmov r6, 0\nvector_dup.f16 ub[0x100], 0, repeat=1\nloop r7, r5\n"
        "pipe_barrier pipe=V\nvadds.f16 ub[0x100], ub[0x100], 0x3C00, repeat=1\nend_loop\n"
        "set_flag src=V, dst=MTE3, event=0\nwait_flag src=V, dst=MTE3, event=0\n"
        "copy_ubuf_to_gm gm[0+r2], ub[0x100], bursts=1, length=8"
    )
    straight, others = _results(text, 1, range(4))
    assert np.frombuffer(straight, np.float16)[_OUT // 2] == 3.0
    assert all(other == straight for other in others)
