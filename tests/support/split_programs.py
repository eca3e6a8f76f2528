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


def product_and_epilogue(m: int, k: int, n: int) -> str:
    """relu(A · Bᵀ) through device memory, then · 0.5 + 1 on two vector cores, half of the rows each."""
    m1, k1, n1 = m // 16, k // 16, n // 16
    half = m * n * 2 // 2
    return f"""
.kernel args=4 core=aic
arg r0, number=0
arg r1, number=1
arg r2, number=2
block_idx r3
mul r4, r3, {m * k * 2}
add r0, r0, r4
mul r4, r3, {m * n * 2}
add r2, r2, r4
copy_gm_to_cbuf_multi_nd2nz.f16 l1[0], gm[r0], nd_num=1, n_value={m}, d_value={k}, src_d={k}, dst_c0_stride={m}
copy_gm_to_cbuf_multi_nd2nz.f16 l1[0x20000], gm[r1], nd_num=1, n_value={n}, d_value={k}, src_d={k}, dst_c0_stride={n}
set_flag src=MTE2, dst=MTE1, event=0
wait_flag src=MTE2, dst=MTE1, event=0
loop r5, {m1}
  mul r6, r5, {k1 * 512}
  load2d.f16 l0a[r6], l1[0], base=r5, repeat={k1}, src_stride={m1}
end_loop
load2d.f16 l0b[0], l1[0x20000], repeat={n1 * k1}
set_flag src=MTE1, dst=M, event=0
wait_flag src=MTE1, dst=M, event=0
mad.f32f16f16 l0c[0], l0a[0], l0b[0], m={m}, k={k}, n={n}, init=1
set_flag src=M, dst=FIX, event=0
wait_flag src=M, dst=FIX, event=0
copy_matrix_cc_to_gm.f322f16 gm[r2], l0c[0], fb[0], {n}, n={n}, m={m}, src_stride={m}, nz2nd=1, relu=1
ffts_cross_core_sync pipe=FIX, mode=group, flag=5
wait_flag_dev flag=6
end
.kernel args=4 core=aiv vectors=2
arg r0, number=2
arg r1, number=3
block_idx r3
mul r4, r3, {m * n * 2}
sub_block_idx r5
mul r6, r5, {half}
add r4, r4, r6
wait_flag_dev flag=5
copy_gm_to_ubuf ub[0], gm[r0+r4], bursts=1, length={half // 32}
set_flag src=MTE2, dst=V, event=0
wait_flag src=MTE2, dst=V, event=0
set_mask_count {half // 2}
vmuls.f16 ub[0], ub[0], 0x3800, repeat=0
pipe_barrier pipe=V
vadds.f16 ub[0], ub[0], 0x3c00, repeat=0
set_flag src=V, dst=MTE3, event=0
wait_flag src=V, dst=MTE3, event=0
copy_ubuf_to_gm gm[r1+r4], ub[0], bursts=1, length={half // 32}
ffts_cross_core_sync pipe=MTE3, mode=group, flag=6
end
"""
