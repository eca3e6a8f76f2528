"""The cube core of split chips: format changes on the way in, bias table, fixpipe on the way out (opcodes 0x58..0x6f).

The vector unit is on another core, so results leave L0C through the *fixpipe* (pipe FIX), which converts, applies ReLU
and rearranges while it stores to device memory or L1.  Parameters per channel stand in the fixpipe buffer (fb), biases
per channel in the bias table (bt); both are filled from L1.  Data comes from device memory as rows and becomes
fractals on the way into L1 (nd2nz).

Where the chip takes the place of a table from a register (FPC) or a selection from a control bit (HF32, initial value
of C), the instruction here has an operand or a type: the operand makes the bytes it reads visible (decision 0012).
"""

from __future__ import annotations

from .model import Address, Field, Instruction, Scalar

_BYTES = ("f16", "bf16", "f32", "s8", "u8", "s16", "u16", "s32", "u32")
_CASTS = ("f322f16", "f322bf16", "f322s8", "f322u8", "s322f16", "s322s8", "s322u8")
_QUANT = ("scalar", "vector")


def _fixpipe(
    opcode: int, name: str, dst: str, types: tuple[str, ...], intrinsic: str, timing: str
) -> Instruction:
    to_gm = dst == "gm"
    return Instruction(
        name,
        opcode,
        "FIX",
        f"accumulators L0C → {dst}, converted and rearranged",
        "element (i, j) = relu?(convert(src[((j//16)·src_stride + i)·16 + j%16])); to dst[(i·dst_stride + j)] with nz2nd, "
        "else to dst[j//C0 · 32·dst_stride bytes + i·C0 + j%C0], C0 = 32 B of the result (16 for unsplit 32-bit results)",
        addresses=(
            Address("dst", "w", (dst,)),
            Address("src", "r", ("l0c",)),
            Address("table", "r", ("fb",), "64-bit parameters, one per column; read when quant = vector"),
        ),
        scalars=(Scalar("dst_stride", "elements of a row (nz2nd), else 32 B between columns of fractals"),),
        fields=(
            Field("n", 0, 4095, "columns", "0 = no-op; a multiple of 16 (8 with split) unless nz2nd"),
            Field("m", 0, 65535, "rows", "0 = no-op; at most 8192 with nz2nd"),
            Field(
                "src_stride", 0, 65535, "rows", "distance of neighbouring fractal columns; a multiple of 16"
            ),
            Field("quant", 0, 1, "", "parameter from QUANT_PRE or, per column, from fb", 0, _QUANT),
            Field("relu", 0, 1, "", "negative results become 0", default=0),
            *(
                (
                    Field("split", 0, 1, "", "f32: columns of 8 instead of 16", default=0),
                    Field("nz2nd", 0, 1, "", "rows instead of fractals", default=0),
                )
                if to_gm
                else ()
            ),
        ),
        state=("quant_pre", "nd_para", "atomic") if to_gm else ("quant_pre",),
        types=types,
        intrinsic=intrinsic,
        timing=timing,
        family="fixpipe",
        source="[ASC Fixpipe][ASC-IMPL fixpipe_v2][cceapi copy_matrix_cc_to_gm] §3.5; parameters as in DEQSCALE §3.1",
        faults=(
            "L0C not 64-byte aligned, fb not 128-byte aligned",
            "n, m or src_stride not as the fields say",
            "a parameter whose sign bit (46) is not that of the result type",
            "split of other types than f32, or with nz2nd",
        ),
    )


def _table(
    opcode: int, name: str, dst: str, unit: int, types: tuple[str, ...], intrinsic: str
) -> Instruction:
    bias = dst == "bt"
    return Instruction(
        name,
        opcode,
        "MTE1" if bias else "FIX",
        f"L1 → {'bias table' if bias else 'fixpipe buffer'}"
        + (", to fp32 where the type says so" if bias else ""),
        f"dst[i] = convert?(src[i]), i < {unit} B · length of the source",
        addresses=(Address("dst", "w", (dst,)), Address("src", "r", ("l1",))),
        fields=(Field("length", 0, 65535, f"{unit} B", "bytes of the source; 0 = no-op"),),
        types=types,
        intrinsic=intrinsic,
        timing="l1_to_bt" if bias else "l1_to_fb",
        family="table",
        source=f"[ASC DataCopy][ASC-IMPL copy_cbuf_to_{'bt' if bias else 'fbuf'}] §3.1; one burst",
        faults=(f"{dst} not {64 if bias else 128}-byte aligned",),
    )


SPLIT_ROWS: tuple[Instruction, ...] = (
    Instruction(
        "copy_gm_to_cbuf_multi_nd2nz",
        0x58,
        "MTE2",
        "matrices of rows GM → fractal columns in L1",
        "for i < nd_num, n < n_value, d < d_value: dst[i·dst_nd_stride + d%C0 elements + (n·dst_n_stride + "
        "d//C0·dst_c0_stride)·32 B] = src[i·src_nd_stride + n·src_d + d]; the last d//C0 is filled up with zeros",
        addresses=(Address("dst", "w", ("l1",)), Address("src", "r", ("gm",))),
        fields=(
            Field("nd_num", 0, 4095, "", "matrices; 0 = no-op"),
            Field("n_value", 0, 16384, "rows", "0 = no-op"),
            Field("d_value", 0, 65535, "elements", "columns; 0 = no-op"),
            Field("src_nd_stride", 0, 65535, "elements", "distance of matrices", default=0),
            Field("src_d", 1, 65535, "elements", "distance of rows"),
            Field("dst_c0_stride", 1, 16384, "32 B", "distance of fractal columns"),
            Field("dst_n_stride", 1, 16384, "32 B", "distance of rows", default=1),
            Field("dst_nd_stride", 0, 65535, "elements", "distance of matrices", default=0),
        ),
        types=_BYTES,
        intrinsic="data_move_out2l1_nd2nz",
        timing="gm_to_l1",
        family="nd2nz",
        source="[ASC DataCopy ND2NZ][cceapi copy_gm_to_cbuf_multi_nd2nz] §3.6",
        faults=("L1 not 32-byte aligned", "destination elements overlap"),
    ),
    Instruction(
        "copy_cbuf_to_gm",
        0x59,
        "MTE3",
        "burst copy l1 → gm",
        "for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]",
        addresses=(Address("dst", "w", ("gm",)), Address("src", "r", ("l1",))),
        fields=(
            Field("bursts", 0, 4095, "", "number of bursts; 0 = no-op"),
            Field("length", 0, 65535, "32 B", "length of a burst"),
            Field("src_gap", 0, 65535, "32 B", "source gap, tail to head", default=0),
            Field("dst_gap", 0, 65535, "32 B", "destination gap, tail to head", default=0),
        ),
        intrinsic="data_move_l12out",
        timing="l1_to_gm",
        family="dma",
        source="[cceapi copy_cbuf_to_gm] §3.1",
    ),
    _table(0x5A, "copy_cbuf_to_bt", "bt", 64, ("f32", "s32", "f162f32", "bf162f32"), "data_move_l12bt"),
    _table(0x5B, "copy_cbuf_to_fbuf", "fb", 128, (), "fix_pipe_l12fb"),
    Instruction(
        "load2d_transpose",
        0x5C,
        "MTE1",
        "transposed squares L1 → L0A or L0B: 16×16 of 16- and 32-bit types, 32×32 of 8-bit types",
        "for i < repeat: square = src[S·(base ± i·src_stride) …], S = its bytes; its transpose as fractals: fractal g to "
        "dst[512·(i·(dst_gap + 1) + g·(frac_gap + 1)) …]; in memory a square of 8-bit types is two fractals one below the "
        "other, of 32-bit types two side by side",
        addresses=(Address("dst", "w", ("l0a", "l0b")), Address("src", "r", ("l1",))),
        fields=(
            Field("base", 0, 65535, "squares", "index of the first square", default=0),
            Field("repeat", 0, 255, "", "number of squares; 0 = no-op"),
            Field("src_stride", 0, 65535, "squares", "distance of source squares, head to head", default=1),
            Field(
                "dst_gap",
                0,
                65535,
                "512 B",
                "from the end of a square's first fractal to the next square",
                default=0,
            ),
            Field("frac_gap", 0, 65535, "512 B", "between the fractals of a square", default=0),
            Field("decrement", 0, 1, "", "walk the source backwards", default=0),
        ),
        types=_BYTES,
        intrinsic="data_move_transpose_l12l0a",
        timing="load2d",
        family="squares",
        source="[ASC LoadDataWithTranspose] §3.2; order of the two fractals of a square: as the layouts of §4 have them",
        faults=("L0 address not 512-byte aligned", "fractals of one instruction overlap in L0"),
    ),
    Instruction(
        "set_l1_2d",
        0x5D,
        "MTE2",
        "fills blocks of L1 with one 16-bit or 32-bit value",
        "for i < repeat: dst[32·i·(blocks + dst_gap) … + 32·blocks] = value",
        addresses=(Address("dst", "w", ("l1",)),),
        scalars=(Scalar("value", "raw bits of the type"),),
        fields=(
            Field("repeat", 0, 32767, "", "0 = no-op"),
            Field("blocks", 0, 32767, "32 B", default=1),
            Field("dst_gap", 0, 32767, "32 B", "tail to head", default=0),
        ),
        types=("f16", "f32", "s16", "s32", "u16", "u32"),
        intrinsic="set_l1",
        timing="l1_fill",
        family="fill",
        source="[ASC Fill][ASC-IMPL create_cbuf_matrix] §3.4",
    ),
    _fixpipe(
        0x5E, "copy_matrix_cc_to_gm", "gm", ("f16", "f32", "s32", *_CASTS), "fix_pipe_l0c2out", "l0c_to_gm"
    ),
    _fixpipe(0x5F, "copy_matrix_cc_to_cbuf", "l1", _CASTS, "fix_pipe_l0c2l1", "l0c_to_l1"),
    Instruction(
        "mad_bias",
        0x61,
        "M",
        "matrix multiply-accumulate that starts at the biases in bt",
        "C[i, j] = bias[j] + Σk A[i, k]·B[k, j]; layouts as mad",
        addresses=(
            Address("c", "w", ("l0c",)),
            Address("a", "r", ("l0a",)),
            Address("b", "r", ("l0b",)),
            Address("bias", "r", ("bt",), "one accumulator per column"),
        ),
        fields=(
            Field("m", 0, 4095, "rows", "0 = no-op"),
            Field("k", 0, 4095, "elements", "0 = no-op"),
            Field("n", 0, 4095, "columns", "0 = no-op"),
        ),
        types=("f32f16f16", "f32bf16bf16", "f32f32f32", "h322f32", "s32s8s8"),
        intrinsic="mmad",
        timing="mad",
        family="cube",
        source="[ASC Mmad cmatrixSource] §3.4; D22",
        faults=("bt not 64-byte aligned", "others as mad"),
    ),
)

SPLIT_STATE_ROWS: tuple[Instruction, ...] = tuple(
    Instruction(
        name,
        opcode,
        "S",
        doc,
        ", ".join(f"{spec.name} = the operand" for spec in (*scalars, *fields)),
        scalars=scalars,
        fields=fields,
        timing="set_register",
        family="state",
        source=source,
    )
    for name, opcode, doc, scalars, fields, source in (
        (
            "set_quant_pre",
            0x36,
            "parameter of the fixpipe for all columns: bits 31:13 fp32 factor (1-8-10), 35:32 shift - 1 and 36 whether to "
            "shift first, 45:37 signed offset, 46 signed result",
            (Scalar("quant_pre", "64 bits"),),
            (),
            "[ASC SetFixPipeConfig][ASC SetDeqScale] §3.1, §3.5",
        ),
        (
            "set_nd_para",
            0x37,
            "matrices per fixpipe instruction with nz2nd",
            (),
            (
                Field("nd_num", 0, 65535, "", "matrices"),
                Field("src_nd_stride", 0, 512, "fractals"),
                Field("dst_nd_stride", 0, 65535, "elements"),
            ),
            "[cceapi set_nd_para] §3.5",
        ),
        (
            "set_mov_pad_val",
            0x38,
            "value of the elements that copy_gm_to_ubuf_align adds",
            (Scalar("mov_pad", "raw bits of one element"),),
            (),
            "[ASC DataCopyPad] §3.1, §3.8",
        ),
    )
)

ALIGN_ROWS: tuple[Instruction, ...] = (
    Instruction(
        "copy_gm_to_ubuf_align",
        0x46,
        "MTE2",
        "bursts of any number of bytes GM → UB, padded to whole blocks",
        "for i < bursts: block row = left·pad, src[i·(length + src_gap) … + length], right·pad, then undefined bytes up to "
        "the end of its last block; rows lie dst_gap blocks apart",
        addresses=(Address("dst", "w", ("ub",)), Address("src", "r", ("gm",))),
        scalars=(
            Scalar("length", "bytes of a burst, at most 2097151"),
            Scalar("src_gap", "bytes, tail to head"),
            Scalar("dst_gap", "32 B, tail to head"),
        ),
        fields=(
            Field("bursts", 0, 4095, "", "0 = no-op"),
            Field("left", 0, 32, "elements", "at most 32 B", default=0),
            Field("right", 0, 32, "elements", "at most 32 B", default=0),
        ),
        state=("mov_pad",),
        types=_BYTES,
        intrinsic="data_move_pad",
        timing="gm_to_ub",
        family="align",
        source="[ASC DataCopyPad][ASC-IMPL copy_gm_to_ubuf_align_b8] §3.1",
        faults=("UB not 32-byte aligned", "more than 32 bytes of padding on a side"),
    ),
    Instruction(
        "copy_ubuf_to_gm_align",
        0x47,
        "MTE3",
        "bursts of any number of bytes UB → GM",
        "for i < bursts: dst[i·(length + dst_gap) … + length] = the first `length` bytes of a block row of src; rows lie "
        "src_gap blocks apart",
        addresses=(Address("dst", "w", ("gm",)), Address("src", "r", ("ub",))),
        scalars=(
            Scalar("length", "bytes of a burst, at most 2097151"),
            Scalar("src_gap", "32 B, tail to head"),
            Scalar("dst_gap", "bytes, tail to head"),
        ),
        fields=(Field("bursts", 0, 4095, "", "0 = no-op"),),
        state=("atomic",),
        types=_BYTES,
        intrinsic="data_move_pad",
        timing="ub_to_gm",
        family="align",
        source="[ASC DataCopyPad][cceapi copy_ubuf_to_gm_align] §3.1",
        faults=("UB not 32-byte aligned", "accumulating a length that is no multiple of the type"),
    ),
)
