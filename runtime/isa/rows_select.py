"""Selecting, packing and rearranging lanes (pipe V, all operands in UB; opcodes 0xf0..0xf7).

Bits that choose lanes lie in UB as `vcmpv` writes them: one per lane, the lowest first, 16 bytes (16-bit types) or
8 bytes (32-bit types) per repeat.
"""

from __future__ import annotations

from .model import Address, Field, Instruction, Scalar

_DST = Address("dst", "w", ("ub",))
_SRC = Address("src", "r", ("ub",))
_BITS = Address("bits", "r", ("ub",), "one bit per lane")
_REPEAT = Field("repeat", 0, 255, "", "0 = no-op")
_WORDS = ("f16", "f32", "s16", "s32", "u16", "u32")
_BLOCKS = (
    Field("dst_blk", 0, 65535, "32 B", default=1),
    Field("src_blk", 0, 65535, "32 B", default=1),
    Field("dst_rep", 0, 255, "32 B", default=8),
    Field("src_rep", 0, 255, "32 B", default=8),
)

SELECT_ROWS: tuple[Instruction, ...] = (
    Instruction(
        "vselvs",
        0xF0,
        "V",
        "vsel mode 1: lanes of a tensor or a scalar, by one bit per lane streamed from UB, contiguous "
        "(the chip takes the scalar from CMPMASK, here it is an operand)",
        "dst = bits.bit[lane] ? src : scalar",
        addresses=(_DST, _SRC, _BITS),
        scalars=(Scalar("scalar", "raw bits of the instruction's type"),),
        fields=(_REPEAT, *_BLOCKS),
        state=("mask", "count"),
        types=("f16", "f32"),
        intrinsic="vselv",
        timing="vsel",
        family="vector_select",
        source="[ASC Select mode 1][ASC-IMPL dav_m200] §3.7; 310P, 910B",
        faults=("`bits` not aligned to the bytes of a repeat",),
    ),
    Instruction(
        "vreducev",
        0xF1,
        "V",
        "compresses by a bit tensor; packed output, the mask is ignored, in counter mode `count` elements take part; "
        "RSVD_CNT tells how many were kept",
        "dst = packed lanes of src whose bit is 1",
        addresses=(_DST, _SRC, _BITS),
        fields=(
            _REPEAT,
            Field("src_blk", 0, 255, "32 B", default=1),
            Field("src_rep", 0, 255, "32 B", default=8),
            Field("bits_rep", 0, 255, "32 B", "distance of the bits of two repeats; 0 = all use the same", default=1),
        ),
        state=("count",),
        types=_WORDS,
        intrinsic="vreduce",
        timing="vreduce",
        family="vector_gather",
        source="[ASC GatherMask][ASC-IMPL dav_m200] §3.7; 310P, 910B",
        writes=("RSVD_CNT",),
        faults=("destination overlaps source or bits",),
    ),
    Instruction(
        "vpadding",
        0xF2,
        "V",
        "what continues each block beyond its left or right side: its outermost element (mode 0), its mirror image "
        "(mode 1), or the mirror image without the outermost element, a 0 at the far end (mode 2)",
        "b = elements per block, side left: dst[i] = src[0] (0), src[b-1-i] (1), i ? src[b-i] : 0 (2); "
        "right: dst[i] = src[b-1] (0), src[b-1-i] (1), i < b-1 ? src[b-2-i] : 0 (2)",
        addresses=(_DST, _SRC),
        fields=(
            _REPEAT,
            *_BLOCKS,
            Field("pad_mode", 0, 2, "", "0 edge, 1 symmetric, 2 reflected"),
            Field("side", 0, 1, choices=("left", "right")),
        ),
        state=("mask", "count"),
        types=_WORDS,
        intrinsic="vpadding",
        timing="vpadding",
        family="vector_padding",
        source="[ASC VectorPadding] §3.7; 310P",
        faults=("destination overlaps the source in part",),
    ),
    Instruction(
        "v4dtrans",
        0xF3,
        "V",
        "transposes between channels first and channels last; both sides contiguous",
        "chw_to_hwc: dst[i·channels + c] = src[c·positions + i], else dst[c·positions + i] = src[i·channels + c]; "
        "i < positions, c < channels",
        addresses=(_DST, _SRC),
        fields=(
            Field("positions", 0, 4095, "elements", "H·W, a multiple of 32 bytes; 0 = no-op"),
            Field("channels", 0, 4095, "elements", "0 = no-op"),
            Field("chw_to_hwc", 0, 1, "", "1: to channels last, 0: to channels first"),
        ),
        types=("f16", "f32", "s8", "u8", *_WORDS[2:]),
        intrinsic="v4dtrans",
        timing="v4dtrans",
        family="vector_transpose",
        source="[ASC Transpose][TBE] §3.7; 310P",
        faults=("`positions` is not a multiple of 32 bytes", "destination and source overlap"),
    ),
    Instruction(
        "vbi",
        0xF4,
        "V",
        "gathers blocks by byte offset, multiplies and adds: bilinear interpolation. Product and sum are rounded in "
        "every step; normal mask mode only",
        "for v < v_repeat: dst[v·v_offset …] = Σ h: block[offset[8·(v·h_repeat+h) + b]] · factor, h in order, "
        "factor = src1[v·h_repeat+h] (each_block 0) or src1[8·(v·h_repeat+h) + b] (1)",
        addresses=(
            _DST,
            Address("offset", "r", ("ub",), "u32 byte offsets from src0, eight per step"),
            Address("src0", "r", ("ub",), "table base; extent = table size"),
            Address("src1", "r", ("ub",), "factors"),
        ),
        fields=(
            Field("h_repeat", 1, 255, "", "terms of a sum"),
            Field("v_repeat", 1, 255, "", "sums of 128 lanes"),
            Field("each_block", 0, 1, "", "0: one factor per step, 1: one per block", default=0),
            Field("dst_blk", 0, 65535, "32 B", default=1),
            Field("v_offset", 128, 65534, "elements", "distance of two sums, a multiple of 32 bytes", default=128),
        ),
        state=("mask",),
        types=("f16",),
        intrinsic="vbi",
        timing="vbi",
        family="vector_gather",
        source="[ASC BilinearInterpolation][ASC-IMPL dav_m200] §3.7: what the documented steps compute; 310P",
        faults=("an offset is not a multiple of 32", "`v_offset` is not a multiple of 32 bytes",
                "destination overlaps offsets or factors"),
    ),
)  # fmt: skip
