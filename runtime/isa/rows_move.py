"""Data movement: DMA bursts (MTE2, MTE3, MTE1), fractal loads and img2col into L0 (MTE1), L0C copies (V).

Dequantising L0C copies take 64-bit parameters, one in DEQSCALE or 16 per burst from UB: bits 31:13 are those of an
fp32 factor M (bits 12:0 are ignored), 35:32 are N - 1, 36 is MCB, 45:37 a signed offset, 46 says signed result, 47
ReLU [ASC SetDeqScale, DataCopy].

A burst copy moves `bursts` pieces of `length` units; between pieces it skips `src_gap` and `dst_gap` units,
tail to head.  `bursts` = 0 is a no-op.  [CSIM generic_dma; AKG cce_params.h for the field widths]
"""

from __future__ import annotations

from .model import Address, Field, Instruction, Scalar

_WORDS = ("f16", "f32", "s8", "u8", "s16", "u16", "s32", "u32", "bf16")


def _burst(unit: str = "32 B", gap: str = "32 B") -> tuple[Field, ...]:
    return (
        Field("bursts", 0, 4095, "", "number of bursts; 0 = no-op"),
        Field("length", 0, 65535, unit, "length of a burst"),
        Field("src_gap", 0, 65535, gap, "source gap, tail to head", default=0),
        Field("dst_gap", 0, 65535, gap, "destination gap, tail to head", default=0),
    )


def _copy(
    opcode: int,
    name: str,
    pipe: str,
    src: str,
    dst: str,
    intrinsic: str,
    timing: str,
    state: tuple[str, ...] = (),
) -> Instruction:
    return Instruction(
        name,
        opcode,
        pipe,
        f"burst copy {src} → {dst}",
        "for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]",
        addresses=(Address("dst", "w", (dst,)), Address("src", "r", (src,))),
        fields=_burst(),
        state=state,
        intrinsic=intrinsic,
        timing=timing,
        family="dma",
        source="[CSIM generic_dma] §3.1",
        faults=("on-chip address not 32-byte aligned", "range outside the buffer or the tensor's allocation"),
    )


_LOAD2D_FIELDS = (
    Field("base", 0, 65535, "512 B", "index of the first fractal", default=0),
    Field("repeat", 0, 255, "", "number of fractals; 0 = no-op"),
    Field(
        "src_stride",
        0,
        65535,
        "512 B",
        "distance of source fractals, head to head; 0 reads one again",
        default=1,
    ),
    Field("transpose", 0, 1, "", "transpose each 16×16 fractal of 16-bit elements", default=0),
    Field("decrement", 0, 1, "", "walk the source backwards", default=0),
)

_BOUNDARY_FAULTS = ("`l1_boundary` is no multiple of 32 bytes, beyond L1 or not above the source address",)

_FILTER = (
    Field("stride_w", 1, 63, "columns", default=1),
    Field("stride_h", 1, 63, "rows", default=1),
    Field("filter_w", 1, 511, "taps", default=1),
    Field("filter_h", 1, 511, "taps", default=1),
    Field("dilation_w", 1, 255, "columns", "distance of taps", default=1),
    Field("dilation_h", 1, 255, "rows", "distance of taps", default=1),
)

_FRACTALS = (
    Field("bursts", 0, 4095, "", "number of bursts; 0 = no-op"),
    Field("length", 0, 65535, "fractals"),
    Field("src_gap", 0, 65535, "fractals", default=0),
    Field("dst_gap", 0, 65535, "32 B", default=0),
    Field("relu", 0, 1, "", "1: negative results become 0", default=0),
    Field(
        "store",
        0,
        2,
        "",
        "8-bit results: a row of 16 in the low or the high half of a block, or two fractals side by side in whole blocks",
        default=0,
        choices=("low", "high", "whole"),
    ),
)
_DEQUANT = (
    "s322s8, s322u8: y = fp32(MCB ? sat16(x >> N) : x) · M, ReLU, sat(offset + round(clamp(y, -256, 255))); "
    "s322f16d: f16(y) after ReLU; s322s16: sat16(x >> N), ReLU"
)
_DEQUANT_FAULTS = (
    "`store` other than low with a result that is not 8 bits wide",
    "`store` whole with an odd `length`",
    "bit 46 differs from the sign of the type",
    "ReLU with an offset other than -128 (s8) or 0 (u8)",
)

MOVE_ROWS: tuple[Instruction, ...] = (
    _copy(0x40, "copy_gm_to_ubuf", "MTE2", "gm", "ub", "data_move_out2ub", "gm_to_ub"),
    _copy(0x41, "copy_gm_to_cbuf", "MTE2", "gm", "l1", "data_move_out2l1", "gm_to_l1"),
    _copy(0x42, "copy_ubuf_to_gm", "MTE3", "ub", "gm", "data_move_ub2out", "ub_to_gm", ("atomic",)),
    _copy(0x43, "copy_ubuf_to_cbuf", "MTE3", "ub", "l1", "data_move_ub2l1", "ub_to_l1"),
    _copy(0x44, "copy_cbuf_to_ubuf", "MTE1", "l1", "ub", "data_move_l12ub", "l1_to_ub"),
    _copy(0x45, "copy_ubuf_to_ubuf", "V", "ub", "ub", "data_move_ub2ub", "ub_to_ub"),
    Instruction(
        "load2d",
        0x48,
        "MTE1",
        "fractals L1 → L0A or L0B",
        "for i < repeat: dst[512·i …] = transpose?(src[512·(base ± i·src_stride) …])",
        addresses=(Address("dst", "w", ("l0a", "l0b")), Address("src", "r", ("l1",))),
        fields=_LOAD2D_FIELDS,
        types=_WORDS,
        intrinsic="data_move_l12l0a",
        timing="load2d",
        family="load",
        source="[CSIM load_2d][ASC LoadData] §3.2",
        faults=("L0 address not 512-byte aligned", "transpose of a type that is not 16 bits wide"),
    ),
    Instruction(
        "load2d_gm",
        0x49,
        "MTE2",
        "fractals GM → L1, L0A or L0B",
        "for i < repeat: dst[512·i …] = src[512·(base ± i·src_stride) …]",
        addresses=(Address("dst", "w", ("l1", "l0a", "l0b")), Address("src", "r", ("gm",))),
        fields=tuple(f for f in _LOAD2D_FIELDS if f.name != "transpose"),
        types=_WORDS,
        intrinsic="data_move_out2l0a",
        timing="load2d_gm",
        family="load",
        source="[CSIM load_2d] §3.2",
    ),
    Instruction(
        "load3dv1",
        0x4A,
        "MTE1",
        "img2col, version 1: per repeat one fractal of 16 output positions × C0 for one filter tap",
        "row p of a fractal = feature map [c1][leftTopH' + fetch_h·dilation_h][leftTopW' + fetch_w·dilation_w][0:C0], "
        "positions step stride_w and wrap at the right padded edge; repeat_mode 0: next tap (kw, kh, c1), "
        "1: next 16 positions and jump fractals further",
        addresses=(Address("dst", "w", ("l0a", "l0b", "ub")), Address("src", "r", ("l1",))),
        fields=(
            Field("fetch_w", 0, 254, "taps", "the first tap", default=0),
            Field("fetch_h", 0, 254, "taps", "the first tap", default=0),
            Field("left_top_w", -255, 32767, "columns", "of the first position; negative in the padding"),
            Field("left_top_h", -255, 32767, "rows", "of the first position; negative in the padding"),
            Field("c1", 0, 4095, "C0 channels", "the first channel block", default=0),
            *_FILTER,
            Field("jump", 1, 127, "512 B", default=1),
            Field("repeat_mode", 0, 1, "", "0: next tap, 1: next 16 positions", default=0),
            Field("repeat", 0, 255, "", "fractals; 0 = no-op"),
        ),
        state=("fmatrix", "padding", "l1_boundary"),
        types=("f16", "s8", "u8"),
        intrinsic="load3dv1",
        timing="load3d",
        family="load",
        source="[CSIM field layout][ASC LoadData3Dv1][ASC SetLoadDataBoundary] §3.3",
        faults=("`left_top_w` is no filter position of the padded row", *_BOUNDARY_FAULTS),
    ),
    Instruction(
        "load3d",
        0x4B,
        "MTE1",
        "img2col, version 2: a slice of the virtual matrix I2C[m][k]",
        "I2C[m][k], m = ho·Wo + wo, k = ((c1·Kh + kh)·Kw + kw)·C0 + c0, = src[c1][ho·stride_h - pad_top + kh·dilation_h]"
        "[wo·stride_w - pad_left + kw·dilation_w][c0], pad_value outside; to L0A [M1][K1][16][C0], to L0B [M1][K1][C0][16]",
        addresses=(Address("dst", "w", ("l0a", "l0b")), Address("src", "r", ("l1",))),
        fields=(
            Field("m_extent", 0, 65535, "rows", "0 = no-op"),
            Field("k_extent", 0, 65535, "elements", "multiple of C0"),
            Field("m_start", 0, 65535, "rows", "multiple of 16", default=0),
            Field("k_start", 0, 65535, "elements", "multiple of C0", default=0),
            *_FILTER,
            Field("channels", 1, 65535, "elements", "channels of the feature map in L1"),
            Field("transpose", 0, 1, "", "1: fractals [K1][M1][C0][16]; 16-bit types to L0A", default=0),
            Field(
                "fmatrix",
                0,
                1,
                "",
                "which registers hold the geometry",
                default=0,
                choices=("a", "b"),
                intrinsic="fmatrix_b",
            ),
        ),
        state=("fmatrix", "padding", "fmatrix_b", "l1_boundary"),
        types=("f16", "s8", "u8"),
        intrinsic="load3d",
        timing="load3d",
        family="load",
        source="[ASC LoadData3Dv2][ASC-EX load3d.py][ASC SetLoadDataBoundary] §3.3",
        faults=(
            "`k_start` or `k_extent` is no multiple of C0, `m_start` none of 16",
            "`transpose` of 8-bit types or to L0B",
            "the slice is larger than L0 or lies beyond the matrix",
            *_BOUNDARY_FAULTS,
        ),
    ),
    Instruction(
        "set_2d",
        0x4C,
        "MTE1",
        "fills fractals of L0A or L0B with one 16-bit value",
        "dst[0 … 512·repeat] = value",
        addresses=(Address("dst", "w", ("l0a", "l0b")),),
        scalars=(Scalar("value", "raw 16-bit value"),),
        fields=(Field("repeat", 0, 255, "512 B"),),
        types=("f16",),
        timing="set_2d",
        family="load",
        source="[ASC Fill] §3.4",
    ),
    Instruction(
        "copy_matrix_cc_to_ubuf",
        0x50,
        "V",
        "accumulator fractals L0C → UB, with conversion and ReLU; the scale of s322f16 and f162f16 is the half in bits 15:0 "
        "of DEQSCALE, other dequantising types take all of it",
        "for i < bursts, j < length: UB fractal = relu?(convert(L0C fractal)); gaps: src in fractals, dst in 32 B; "
        f"{_DEQUANT} (parameters of DEQSCALE; ReLU if `relu` or bit 47)",
        addresses=(Address("dst", "w", ("ub",)), Address("src", "r", ("l0c",))),
        fields=_FRACTALS,
        state=("deqscale",),
        types=(
            "f16",
            "f32",
            "s32",
            "f322f16",
            "s322f16",
            "u32",
            "f162f16",
            "s322s8",
            "s322u8",
            "s322f16d",
            "s322s16",
        ),
        intrinsic="data_move_l0c2ub",
        timing="l0c_to_ub",
        family="l0c",
        source="[CSIM generic_copy_matrix][ASC DataCopy][ASC-IMPL dav_m200] §3.1, arithmetic §3.5; M, the product and its "
        "operand are fp32, nearest even; which two fractals `store` whole joins (neighbours of a burst) is inferred",
        faults=_DEQUANT_FAULTS,
    ),
    Instruction(
        "copy_matrix_cc_to_ubuf_vdeq",
        0x55,
        "V",
        "accumulator fractals L0C → UB, each column dequantised by its own parameter (the chip takes the address of the "
        "parameters from DEQSCALE, here it is an operand)",
        "as copy_matrix_cc_to_ubuf; column n of burst i: s322f16: x · half scales[16·i + n]; "
        f"{_DEQUANT} (64-bit parameter scales[16·i + n]; ReLU if `relu`, bit 47 is ignored)",
        addresses=(
            Address("dst", "w", ("ub",)),
            Address("src", "r", ("l0c",)),
            Address("scales", "r", ("ub",), "32 bytes (s322f16) or 128 bytes per burst"),
        ),
        fields=_FRACTALS,
        types=("s322f16", "s322s8", "s322u8", "s322f16d", "s322s16"),
        intrinsic="data_move_l0c2ub_vdeq",
        timing="l0c_to_ub",
        family="l0c",
        source="[ASC DataCopy][ASC-IMPL dav_m200] §3.1, arithmetic §3.5",
        faults=(*_DEQUANT_FAULTS, "parameters of one burst with different MCB"),
    ),
    Instruction(
        "copy_matrix_ubuf_to_cc",
        0x51,
        "V",
        "fractals UB → L0C",
        "as copy_matrix_cc_to_ubuf, the other way; gaps: src in 32 B, dst in fractals",
        addresses=(Address("dst", "w", ("l0c",)), Address("src", "r", ("ub",))),
        fields=(
            Field("bursts", 0, 4095, "", "number of bursts; 0 = no-op"),
            Field("length", 0, 65535, "fractals"),
            Field("src_gap", 0, 65535, "32 B", default=0),
            Field("dst_gap", 0, 65535, "fractals", default=0),
        ),
        types=("f16", "f32", "s32", "f162f32"),
        intrinsic="data_move_l0c2ub",
        timing="ub_to_l0c",
        family="l0c",
        source="[CSIM][ASC-IMPL] §3.1",
    ),
    Instruction(
        "broadcast_ub_to_cc",
        0x52,
        "V",
        "replicates 16-element vectors of UB over the 16 rows of L0C fractals (bias preload)",
        "for i < bursts, j < length: all 16 rows of L0C fractal(i, j) = vector(i, j); src gap 32 B, dst gap fractals",
        addresses=(Address("dst", "w", ("l0c",)), Address("src", "r", ("ub",))),
        fields=(
            Field("bursts", 0, 255, "", "number of bursts; 0 = no-op"),
            Field("length", 0, 255, "vectors"),
            Field("src_gap", 0, 255, "32 B", default=0),
            Field("dst_gap", 0, 255, "fractals", default=0),
        ),
        types=("f16", "f32", "s32", "f162f32"),
        intrinsic="broadcast_ub_to_cc",
        timing="ub_to_l0c",
        family="l0c",
        source="[CSIM signature][ASC BroadCastVecToMM] §3.4",
    ),
    *(
        Instruction(
            name,
            opcode,
            "V",
            f"first rows of fractals {way}: vectors of 16 elements",
            "for i < bursts, j < length: UB vector(i, j) and row 0 of L0C fractal(i, j); L0C gap in fractals, UB gap in 32 B",
            addresses=(Address("dst", "w", (to,)), Address("src", "r", (source,))),
            fields=(
                Field("bursts", 0, 4095, "", "number of bursts; 0 = no-op"),
                Field("length", 0, 65535, "vectors"),
                Field("src_gap", 0, 65535, "fractals" if source == "l0c" else "32 B", default=0),
                Field("dst_gap", 0, 65535, "fractals" if to == "l0c" else "32 B", default=0),
            ),
            types=("f16", "f32", "s32"),
            intrinsic="data_move_l0c2ub",
            timing=timing,
            family="l0c",
            source="[CSIM generic_copy_vector] §3.1",
        )
        for name, opcode, way, to, source, timing in (
            ("copy_vector_cc_to_ubuf", 0x53, "L0C → UB", "ub", "l0c", "l0c_to_ub"),
            ("copy_vector_ubuf_to_cc", 0x54, "UB → L0C, other rows stay", "l0c", "ub", "ub_to_l0c"),
        )
    ),
)
