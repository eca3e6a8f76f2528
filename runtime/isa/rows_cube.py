"""The cube: C[m, n] += A[m, k] · B[k, n] on 16×16×(32 B) fractals (opcodes 0x60..0x6f).

A lies in L0A as Zz [M1][K1][16][k0], B in L0B as Zn [K1][N1][16][k0], C in L0C as Nz [N1][M1][16][16].
Sizes need not be multiples of 16: the outer counts are the rounded-up ones and bytes outside m, k, n are not used.
In `h322f32` A and B are fp32 that the cube rounds to HF32 (10 bits of fraction, nearest even) first [ASC SetHF32Mode].
`m` = 1 switches to GEMV: A is then a plain vector of k elements.  One mad is fp32(C + exact sum), rounded once (D22).
"""

from __future__ import annotations

from .model import Address, Field, Instruction

CUBE_ROWS: tuple[Instruction, ...] = (
    Instruction(
        "mad",
        0x60,
        "M",
        "matrix multiply-accumulate",
        "C[((no·M1+mo)·16+mi)·16+ni] = (init ? 0 : C) + Σk A[((mo·K1+ko)·16+mi)·k0+ki]·B[((ko·N1+no)·16+ni)·k0+ki]",
        addresses=(Address("c", "rw", ("l0c",)), Address("a", "r", ("l0a",)), Address("b", "r", ("l0b",))),
        fields=(
            Field("m", 0, 4095, "rows", "of A and C; 0 = no-op, 1 = GEMV"),
            Field("k", 0, 4095, "elements", "columns of A, rows of B; 0 = no-op"),
            Field("n", 0, 4095, "columns", "of B and C; 0 = no-op"),
            Field("init", 0, 1, "", "1: C starts at 0; 0: accumulates", default=0),
        ),
        types=(
            "f32f16f16",
            "f16f16f16",
            "s32s8s8",
            "s32u8s8",
            "s32u8u8",
            "u32u8u8",
            "f32bf16bf16",
            "f32f32f32",
            "h322f32",
        ),
        intrinsic="mmad",
        timing="mad",
        family="cube",
        source="[CSIM generic_mad][ASC Mmad] §3.4; D22",
        faults=(
            "L0A/L0B not 512-byte aligned, L0C not 1024-byte aligned (512 for f16)",
            "undefined bytes inside m, k, n",
        ),
    ),
)
