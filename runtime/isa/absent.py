"""What real cores have and the instruction table has not, with the reason: the honest end of `docs/isa.md`.

Names are those of the public platform files and kernel libraries.  "Not public" means that a platform file
lists name and data types, but nothing says what the instruction computes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Absent:
    """Instructions that share a reason."""

    names: tuple[str, ...]
    chips: str
    reason: str


ABSENT: tuple[Absent, ...] = (
    Absent(
        ("vmergech", "vrpac", "viou", "vaadd", "rpn_cor", "rpn_cor_diag"),
        "310, 910, 310P",
        "box helpers: names and types are public, semantics are not",
    ),
    Absent(
        ("depthwise_conv", "winograd variants of mmad"),
        "310P",
        "semantics are not public; grouped convolutions run as `mad` on block-diagonal weights",
    ),
    Absent(
        ("mad with s4, u2 or b8u2 operands",),
        "310P, in part 310 and 910",
        "4-bit and 2-bit formats come with quantised models, which are not compiled yet",
    ),
    Absent(
        ("scatter_vconv", "scatter_vmulconv", "scatter_vmla and scatter_vaxpy of f32f16f16"),
        "310, 910, 310P",
        "nothing says how an operand narrower than the others lies in the blocks of its VA register",
    ),
    Absent(
        ("vcmpv_* and vcmpvs_* as six instructions each",),
        "all",
        "one instruction each with a field `condition`; the SoC files' row of `eq` stands for all six",
    ),
    Absent(
        ("vcbd", "vdp", "vshl of f16 and f32"),
        "310P",
        "names and types are public, but not what happens to the lanes: overflow of narrowing, order, rounding",
    ),
    Absent(
        ("dequantising types of copy_matrix_cc_to_ubuf other than s322f16",),
        "310",
        "the kernel libraries that use them are those of 910 and 310P; nothing says that 310 has them",
    ),
    Absent(
        ("data_move_l0c2ub of s16 and u16",),
        "310, 910, 310P",
        "the cube has no such accumulators; `f16` moves the same bytes",
    ),
    Absent(
        ("PAD_MODE1..8 of GM→L1",),
        "310, 910, 310P",
        "how far each mode spreads or shrinks a block is public (mssanitizer), which register holds the padding value is not",
    ),
    Absent(
        ("load3d (version 2) to UB", "the compact mode of load3dv1 (csize)"),
        "310P; 310, 910, 310P",
        "the kernel library calls them, but nothing says how the result lies in UB, or the 4 channels in L1",
    ),
    Absent(
        ("the second FMATRIX register",),
        "310, 910, 310P",
        "`set_fmatrix_b` and load3d with `fmatrix` b are rows, but the library of 310P refuses them (it gives load3d no such "
        "argument); cores that have it say so by `fmatrix_b` in their SoC file",
    ),
    Absent(
        ("set_l3d_rpt", "load3d of 32-bit types"),
        "310P, 910B",
        "repeats of img2col: one instruction per slice is enough, loops stay loops",
    ),
    Absent(
        (
            "fix_pipe_pre_act_scalar_relu",
            "fix_pipe_pre_act_vector_relu",
            "fix_pipe_support_multiple_output",
            "fix_pipe_l0c2l1 of f16 accumulators",
            "8-bit results of the fixpipe as fractals in half a column (n no multiple of 32)",
        ),
        "910B",
        "names and types are public, but not how the factor of negative values is made, or where the bytes go",
    ),
    Absent(
        ("fixpipe to s4", "mad_sp", "load2d of sparse matrices"),
        "910B",
        "4-bit types and 4:2 sparsity come with quantised models, which are not compiled yet",
    ),
    Absent(
        (
            "unit flags of mad and fixpipe",
            "kDirectionAlign and cmatrixInitVal of mad",
            "GEMV mode switched off",
            "the rounding mode of HF32 other than nearest even",
            "inf and nan kept in f16 and bf16 results (CTRL bit 48)",
        ),
        "910B",
        "control bits: flags between M and FIX order the same, the others are variants of what exists; to do",
    ),
    Absent(
        (
            "load3d of bf16 and 32-bit types",
            "set_l0a and set_l0b of 32-bit values",
            "gaps of copy_cbuf_to_bt and copy_cbuf_to_fbuf",
            "vbi of f32",
        ),
        "910B",
        "variants that are public in part: the 32-bit rule of load3d and the units of the gaps are not stated; fills of L1 "
        "with 32-bit values exist",
    ),
    Absent(
        ("scalar arithmetic on bf16", "vmins and vmaxs of bf16", "block sums of bf16"),
        "910B",
        "the chip has none: bf16 is converted to f32 for all arithmetic of the vector unit",
    ),
    Absent(
        ("fb0 to fb3 as four buffers",),
        "910B",
        "fb is one memory of their sizes together; which parameter must stand in which part is not public",
    ),
    Absent(
        ("jumps and calls",),
        "all",
        "the chip's own encoding is not public; ours has structured control flow only (decision D3)",
    ),
)
