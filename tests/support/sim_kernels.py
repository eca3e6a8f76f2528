"""Hand-written kernels for the simulator's tests, and shorthand to run the checks on them."""

from __future__ import annotations

from collections.abc import Sequence

from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.sim.gm_state import GmRange
from ascend_mlir.runtime.sim.hazards import Hazard, check_task
from ascend_mlir.runtime.sim.program import Program, load_program
from ascend_mlir.runtime.soc import load_soc

IN0, IN1, OUT = 1 << 32, 2 << 32, 3 << 32
ARGS = (IN0, IN1, OUT)

# C[256×256 per block] in 2 row tiles, k = 4 steps of 64; everything in rings of two, event ids from the
# ring counter.
MATMUL = """
.kernel args=3
arg r0, number=0
arg r1, number=1
arg r2, number=2
block_idx r3
mul r4, r3, 0x20000
add r0, r0, r4
mul r4, r3, 0x10000
add r2, r2, r4
mov r6, 0
set_flag src=MTE1, dst=MTE2, event=0
set_flag src=MTE1, dst=MTE2, event=1
set_flag src=M, dst=MTE1, event=0
set_flag src=M, dst=MTE1, event=1
set_flag src=V, dst=M, event=0
set_flag src=MTE3, dst=V, event=0
loop r10, 2
  wait_flag src=V, dst=M, event=0
  mul r12, r10, 0x10000
  add r13, r0, r12
  loop r5, 4
    mul r7, r6, 0x8000
    mul r8, r5, 0x4000
    wait_flag src=MTE1, dst=MTE2, event=r6
    copy_gm_to_cbuf l1[0+r7], gm[0+r13+r8], bursts=1, length=512
    copy_gm_to_cbuf l1[0x4000+r7], gm[0+r1+r8], bursts=1, length=512
    set_flag src=MTE2, dst=MTE1, event=r6
    wait_flag src=MTE2, dst=MTE1, event=r6
    wait_flag src=M, dst=MTE1, event=r6
    load2d.f16 l0a[0+r7], l1[0+r7], repeat=32
    load2d.f16 l0b[0+r7], l1[0x4000+r7], repeat=32
    set_flag src=MTE1, dst=MTE2, event=r6
    set_flag src=MTE1, dst=M, event=r6
    wait_flag src=MTE1, dst=M, event=r6
    eq r9, r5, 0
    mad.f32f16f16 l0c[0], l0a[0+r7], l0b[0+r7], m=128, k=64, n=128, init=r9
    set_flag src=M, dst=MTE1, event=r6
    xor r6, r6, 1
  end_loop
  set_flag src=M, dst=V, event=0
  wait_flag src=M, dst=V, event=0
  wait_flag src=MTE3, dst=V, event=0
  copy_matrix_cc_to_ubuf.f322f16 ub[0], l0c[0], bursts=1, length=64
  set_flag src=V, dst=M, event=0
  pipe_barrier pipe=V
  vrelu.f16 ub[0], ub[0], repeat=128
  set_flag src=V, dst=MTE3, event=0
  wait_flag src=V, dst=MTE3, event=0
  mul r12, r10, 0x8000
  copy_ubuf_to_gm gm[0+r2+r12], ub[0], bursts=1, length=1024
  set_flag src=MTE3, dst=V, event=0
end_loop
wait_flag src=MTE1, dst=MTE2, event=0
wait_flag src=MTE1, dst=MTE2, event=1
wait_flag src=M, dst=MTE1, event=0
wait_flag src=M, dst=MTE1, event=1
wait_flag src=V, dst=M, event=0
wait_flag src=MTE3, dst=V, event=0
end
"""

# out = relu(in0 + in1), 8 tiles of 4 KB per block, two slots
ADD_RELU = """
.kernel args=3
arg r0, number=0
arg r1, number=1
arg r2, number=2
block_idx r3
mul r3, r3, 0x8000
mov r6, 0
set_flag src=V, dst=MTE2, event=0
set_flag src=V, dst=MTE2, event=1
set_flag src=MTE3, dst=V, event=0
set_flag src=MTE3, dst=V, event=1
loop r5, 8
  mul r7, r5, 0x1000
  add r7, r7, r3
  mul r8, r6, 0x1000
  add r9, r0, r7
  add r10, r1, r7
  add r11, r2, r7
  wait_flag src=V, dst=MTE2, event=r6
  copy_gm_to_ubuf ub[0+r8], gm[0+r9], bursts=1, length=128
  copy_gm_to_ubuf ub[0x2000+r8], gm[0+r10], bursts=1, length=128
  set_flag src=MTE2, dst=V, event=r6
  wait_flag src=MTE2, dst=V, event=r6
  wait_flag src=MTE3, dst=V, event=r6
  vadd.f16 ub[0x4000+r8], ub[0+r8], ub[0x2000+r8], repeat=16
  set_flag src=V, dst=MTE2, event=r6
  pipe_barrier pipe=V
  vrelu.f16 ub[0x4000+r8], ub[0x4000+r8], repeat=16
  set_flag src=V, dst=MTE3, event=r6
  wait_flag src=V, dst=MTE3, event=r6
  copy_ubuf_to_gm gm[0+r11], ub[0x4000+r8], bursts=1, length=128
  set_flag src=MTE3, dst=V, event=r6
  xor r6, r6, 1
end_loop
wait_flag src=V, dst=MTE2, event=0
wait_flag src=V, dst=MTE2, event=1
wait_flag src=MTE3, dst=V, event=0
wait_flag src=MTE3, dst=V, event=1
end
"""


def ranges(out_bytes: int) -> list[GmRange]:
    """Two defined inputs of 4 MB and one result."""
    return [
        GmRange(IN0, 4 << 20, name="in0"),
        GmRange(IN1, 4 << 20, name="in1"),
        GmRange(OUT, out_bytes, defined=False, result=True, name="out"),
    ]


def program(text: str) -> Program:
    """A kernel; a text without head gets one, and an `end`."""
    if ".kernel" not in text:
        text = f".kernel args=3\narg r0, number=0\narg r1, number=1\narg r2, number=2\n{text}\nend\n"
    return load_program(assemble(text))


def hazards(
    text: str, blocks: int = 1, gm: Sequence[GmRange] | None = None, soc: str = "Ascend310P3"
) -> list[Hazard]:
    return check_task(load_soc(soc), program(text), ARGS, blocks, gm)


def rules(
    text: str, blocks: int = 1, gm: Sequence[GmRange] | None = None, soc: str = "Ascend310P3"
) -> list[str]:
    """The rules that the kernel breaks, sorted."""
    return sorted({hazard.rule for hazard in hazards(text, blocks, gm, soc)})
