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
            "fix_pipe_*",
            "data_move_l12bt",
            "data_move_out2l1_nd2nz",
            "data_move_pad",
            "vbrcb",
            "vcopy",
            "vgatherb",
            "vbitsort32",
            "ffts_cross_core_sync",
            "mad with f32, hf32 or bf16",
        ),
        "910B",
        "the split-core chips have no SoC file yet; see architecture, section 12",
    ),
    Absent(
        ("jumps and calls",),
        "all",
        "the chip's own encoding is not public; ours has structured control flow only (decision D3)",
    ),
)
