"""Programs for the cores of Ascend910B1, and shorthand to run them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.soc import load_soc

B1 = load_soc("Ascend910B1")
Array = np.ndarray[Any, np.dtype[Any]]
OUT = 1 << 19  # where programs of `run` put their results
GM_BYTES = 1 << 20


def run(
    text: str, inputs: Mapping[int, Array], size: int, *, blocks: int = 1, check: bool = True, fill: int = 0
) -> Array:
    """The `size` bytes of device memory from OUT on, after a program that finds `inputs` at their addresses."""
    image = assemble(text)
    gm = np.full(GM_BYTES, fill, np.uint8)
    for at, array in inputs.items():
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        gm[at : at + raw.size] = raw
    if check:
        assert [str(hazard) for hazard in check_task(B1, load_program(image), (), blocks)] == []
    run_kernel(B1, image, gm, (), blocks, name="test")
    return gm[OUT : OUT + size].copy()


def on_vector_core(body: str, inputs: Mapping[int, Array], size: int, *, source: int = 0x20000) -> Array:
    """Runs vector instructions: UB 0… holds `inputs` (UB address → array), UB[source:] is stored."""
    lines = [".kernel args=0 core=aiv"]
    memory: dict[int, Array] = {}
    at = 0
    for address, array in inputs.items():
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        memory[at] = raw
        lines.append(f"copy_gm_to_ubuf_align.u8 ub[{address}], gm[{at}], {raw.size}, 0, 0, bursts=1")
        at += -(-raw.size // 512) * 512
    lines += ["set_flag src=MTE2, dst=V, event=0", "wait_flag src=MTE2, dst=V, event=0", body]
    lines += ["set_flag src=V, dst=MTE3, event=0", "wait_flag src=V, dst=MTE3, event=0"]
    lines += [f"copy_ubuf_to_gm_align.u8 gm[{OUT}], ub[{source}], {size}, 0, 0, bursts=1", "end"]
    return run("\n".join(lines), memory, size)


BYTES = {"f16": 2, "bf16": 2, "f32": 4, "s8": 1, "u8": 1}


def matmul(
    mad: str, operand: str, m: int, k: int, n: int, store: str, *, more: str = "", tables: str = ""
) -> str:
    """The cube core's program: A (m × k) at 0 and B (n × k, that is transposed) at 0x40000, then `store`.

    `more` stands behind the load of A and B into L1, `tables` where MTE1 has waited for that.
    """
    size = BYTES[operand]
    k0 = 32 // size
    m1, k1, n1 = -(-m // 16), -(-k // k0), -(-n // 16)
    biased = mad.startswith("mad_bias")
    operands = f"l0c[0], l0a[0], l0b[0]{', bt[0]' if biased else ''}, m={m}, k={k}, n={n}{'' if biased else ', init=1'}"
    return f"""
.kernel args=0 core=aic
copy_gm_to_cbuf_multi_nd2nz.{operand} l1[0], gm[0], nd_num=1, n_value={m}, d_value={k}, src_d={k}, dst_c0_stride={m1 * 16}
copy_gm_to_cbuf_multi_nd2nz.{operand} l1[0x20000], gm[0x40000], nd_num=1, n_value={n}, d_value={k}, src_d={k}, dst_c0_stride={n1 * 16}
{more}
set_flag src=MTE2, dst=MTE1, event=0
wait_flag src=MTE2, dst=MTE1, event=0
{tables}
loop r5, {m1}
  mul r6, r5, {k1 * 512}
  load2d.{operand} l0a[r6], l1[0], base=r5, repeat={k1}, src_stride={m1}
end_loop
load2d.{operand} l0b[0], l1[0x20000], repeat={n1 * k1}
set_flag src=MTE1, dst=M, event=0
wait_flag src=MTE1, dst=M, event=0
{mad} {operands}
set_flag src=M, dst=FIX, event=0
wait_flag src=M, dst=FIX, event=0
{store}
end
"""
