"""The vector unit (pipe V, all operands in UB; opcodes 0x70..0xef).

One repeat touches 8 blocks of 32 bytes per operand: 128 lanes of 16 bits or 64 of 32 bits.  Element e of repeat r
lies at byte `r·rep·32 + (e // eb)·blk·32 + (e % eb)·size`, eb = 32/size.  With mixed widths the wider type fixes
the lanes per repeat (64) and the narrow operand occupies 4 whole blocks, so packed data uses rep 8 on the wide and
4 on the narrow side [ASC Cast].  Lane i takes part when mask bit i is 1; inactive lanes keep the old destination.
In counter mode (`count` ≥ 0; 310P, 910B) the first `count` elements take part and `repeat` is derived.
Every instruction computes in fp32 (integers exactly) and rounds once to its result type (D22).
"""

from __future__ import annotations

from .model import Address, Field, Instruction, Scalar

_DST = Address("dst", "w", ("ub",))
_ACC = Address("dst", "rw", ("ub",))
_REPEAT = Field("repeat", 0, 255, "", "0 = no-op")
_STATE = ("mask", "count")
_BINARY = (
    _REPEAT, Field("dst_blk", 0, 255, "32 B", default=1), Field("src0_blk", 0, 255, "32 B", default=1), Field("src1_blk", 0, 255, "32 B", default=1),
    Field("dst_rep", 0, 255, "32 B", default=8), Field("src0_rep", 0, 255, "32 B", default=8), Field("src1_rep", 0, 255, "32 B", default=8),
)
_UNARY = (
    _REPEAT, Field("dst_blk", 0, 65535, "32 B", default=1), Field("src_blk", 0, 65535, "32 B", default=1),
    Field("dst_rep", 0, 255, "32 B", default=8), Field("src_rep", 0, 255, "32 B", default=8),
)
_SRC = Address("src", "r", ("ub",))
_SRC0 = Address("src0", "r", ("ub",))
_SRC1 = Address("src1", "r", ("ub",))
_FLOAT = ("f16", "f32")
_ARITH = ("f16", "f32", "s16", "s32")
_FACTOR = Scalar("scalar", "raw bits of the instruction's type")

VCONV_TYPES = (
    "f162f32", "f322f16", "f322f16o",
    "f162s32a", "f162s32c", "f162s32f", "f162s32r", "f162s32z",
    "f322s32a", "f322s32c", "f322s32f", "f322s32r", "f322s32z",
    "f162s8", "f162s8a", "f162s8c", "f162s8f", "f162s8z", "f162u8", "f162u8a", "f162u8c", "f162u8f", "f162u8z",
    "f162s16r", "f322s16r", "s162f16", "s162f32", "s82f16", "u82f16", "s322f16", "s322f32",
)


def _binary(opcode: int, name: str, formula: str, types: tuple[str, ...], *, accumulate: bool = False, doc: str = "", timing: str = "") -> Instruction:
    return Instruction(
        name, opcode, "V", doc or "elementwise", formula, addresses=(_ACC if accumulate else _DST, _SRC0, _SRC1), fields=_BINARY,
        state=_STATE, types=types, intrinsic=name, timing=timing or name, family="vector_binary", source="[CSIM][ASC] §3.7",
    )


def _unary(opcode: int, name: str, formula: str, types: tuple[str, ...], doc: str = "") -> Instruction:
    return Instruction(
        name, opcode, "V", doc or "elementwise", formula, addresses=(_DST, _SRC), fields=_UNARY, state=_STATE, types=types,
        intrinsic=name, timing=name, family="vector_unary", source="[CSIM][ASC] §3.7",
    )


def _scalar(opcode: int, name: str, formula: str, types: tuple[str, ...], *, accumulate: bool = False) -> Instruction:
    return Instruction(
        name, opcode, "V", "vector with scalar", formula, addresses=(_ACC if accumulate else _DST, _SRC), scalars=(_FACTOR,),
        fields=_UNARY, state=_STATE, types=types, intrinsic=name, timing=name, family="vector_scalar", source="[CSIM][ASC] §3.7",
    )


def _reduce(opcode: int, name: str, formula: str, unit: str, types: tuple[str, ...] = _FLOAT, doc: str = "") -> Instruction:
    return Instruction(
        name, opcode, "V", doc or "reduction", formula, addresses=(_DST, _SRC),
        fields=(_REPEAT, Field("dst_rep", 0, 65535, unit, default=1), Field("src_blk", 0, 65535, "32 B", default=1), Field("src_rep", 0, 255, "32 B", default=8)),
        state=_STATE, types=types, intrinsic=name, timing=name, family="vector_reduce",
        source="[CSIM][ASC reduce notes] §3.7: sums as a balanced tree over adjacent lanes of a block, then over blocks",
    )


VECTOR_ROWS: tuple[Instruction, ...] = (
    _binary(0x70, "vadd", "dst = src0 + src1", _ARITH),
    _binary(0x71, "vsub", "dst = src0 - src1", _ARITH),
    _binary(0x72, "vmul", "dst = src0 · src1", _ARITH),
    _binary(0x73, "vdiv", "dst = src0 / src1", _FLOAT),
    _binary(0x74, "vmax", "dst = max(src0, src1)", _ARITH),
    _binary(0x75, "vmin", "dst = min(src0, src1)", _ARITH),
    _binary(0x76, "vand", "dst = src0 & src1 on 16-bit lanes", ("s16", "u16"), timing="vand"),
    _binary(0x77, "vor", "dst = src0 | src1 on 16-bit lanes", ("s16", "u16"), timing="vand"),
    _binary(0x78, "vmla", "dst = src0 · src1 + dst", ("f16", "f32", "f32f16f16"), accumulate=True),
    _binary(0x79, "vmadd", "dst = src0 · dst + src1", _FLOAT, accumulate=True, timing="vmla"),
    _binary(0x7A, "vmaddrelu", "dst = max(src0 · dst + src1, 0)", _FLOAT, accumulate=True, timing="vmla"),
    _binary(0x7B, "vaddrelu", "dst = max(src0 + src1, 0)", ("f16", "f32", "s16"), timing="vadd"),
    _binary(0x7C, "vsubrelu", "dst = max(src0 - src1, 0)", ("f16", "f32", "s16"), timing="vsub"),
    _unary(0x80, "vabs", "dst = |src|", ("f16", "f32", "s16")),
    _unary(0x81, "vexp", "dst = e^src, correctly rounded", _FLOAT),
    _unary(0x82, "vln", "dst = ln(src), correctly rounded", _FLOAT),
    _unary(0x83, "vsqrt", "dst = √src, correctly rounded", _FLOAT),
    _unary(0x84, "vrsqrt", "dst ≈ 1/√src, 9-bit significand rounded down", _FLOAT),
    _unary(0x85, "vrec", "dst ≈ 1/src, 9-bit significand rounded down", _FLOAT),
    _unary(0x86, "vrelu", "dst = max(src, 0)", ("f16", "f32", "s32")),
    _unary(0x87, "vnot", "dst = ~src on 16-bit lanes", ("s16", "u16")),
    _scalar(0x90, "vadds", "dst = src + scalar", _ARITH),
    _scalar(0x91, "vmuls", "dst = src · scalar", _ARITH),
    _scalar(0x92, "vmaxs", "dst = max(src, scalar)", _ARITH),
    _scalar(0x93, "vmins", "dst = min(src, scalar)", _ARITH),
    _scalar(0x94, "vlrelu", "dst = src ≥ 0 ? src : src · scalar", _FLOAT),
    _scalar(0x95, "vaxpy", "dst = dst + scalar · src", ("f16", "f32", "f32f16f16"), accumulate=True),
    _scalar(0x96, "vshl", "dst = src << scalar", ("s16", "s32", "u16", "u32")),
    _scalar(0x97, "vshr", "dst = src >> scalar (arithmetic for signed types)", ("s16", "s32", "u16", "u32")),
    Instruction(
        "vector_dup", 0x98, "V", "fills lanes with a scalar", "dst = value", addresses=(_DST,), scalars=(Scalar("value", "raw bits of the type"),),
        fields=(_REPEAT, Field("dst_blk", 0, 65535, "32 B", default=1), Field("dst_rep", 0, 255, "32 B", default=8)),
        state=_STATE, types=("f16", "f32", "s16", "u16", "s32", "u32"), timing="vector_dup", family="vector_dup", source="[CSIM][ASC Duplicate] §3.7",
    ),
    Instruction(
        "vconv", 0x99, "V", "type conversion; suffix r nearest-even, f floor, c ceil, a half away from zero, z truncate, o odd, none nearest-even when lossy",
        "dst = convert(src); float → int saturates, NaN → 0", addresses=(_DST, _SRC), fields=_UNARY, state=_STATE, types=VCONV_TYPES,
        intrinsic="vconv", timing="vconv", family="vector_conv", source="[ASC precision_conversion] §3.7",
    ),
    Instruction(
        "vcmp", 0xA0, "V", "compares one repeat; result in the CMPMASK register", "CMPMASK[lane] = src0 ? src1", addresses=(_SRC0, _SRC1),
        fields=(Field("condition", 0, 5, choices=("eq", "ne", "lt", "gt", "le", "ge")), Field("src0_blk", 0, 255, "32 B", default=1), Field("src1_blk", 0, 255, "32 B", default=1)),
        state=_STATE, types=_FLOAT, intrinsic="vcmp", timing="vcmp", family="vector_compare", source="[CSIM][ASC] §3.7",
    ),
    Instruction(
        "vcmpv", 0xA1, "V", "compares; one bit per lane to UB, LSB first, 16 B (f16) or 8 B (f32) per repeat, contiguous; the mask is ignored",
        "dst.bit[lane] = src0 ? src1", addresses=(_DST, _SRC0, _SRC1),
        fields=(Field("condition", 0, 5, choices=("eq", "ne", "lt", "gt", "le", "ge")), _REPEAT, Field("src0_blk", 0, 255, "32 B", default=1), Field("src1_blk", 0, 255, "32 B", default=1),
                Field("src0_rep", 0, 255, "32 B", default=8), Field("src1_rep", 0, 255, "32 B", default=8)),
        types=_FLOAT, intrinsic="vcmpv_eq", timing="vcmp", family="vector_compare", source="[ASC Compare] §3.7",
    ),
    Instruction(
        "vcmpvs", 0xA2, "V", "compares with a scalar; bits to UB as vcmpv", "dst.bit[lane] = src ? scalar", addresses=(_DST, _SRC), scalars=(_FACTOR,),
        fields=(Field("condition", 0, 5, choices=("eq", "ne", "lt", "gt", "le", "ge")), _REPEAT, Field("src_blk", 0, 65535, "32 B", default=1), Field("src_rep", 0, 255, "32 B", default=8)),
        types=_FLOAT, intrinsic="vcmpvs_eq", timing="vcmps", family="vector_compare", source="[ASC CompareScalar] §3.7",
    ),
    Instruction(
        "set_cmpmask", 0xA3, "V", "loads CMPMASK from 16 bytes of UB", "CMPMASK = src[0:16]", addresses=(_SRC,), timing="set_mask", family="vector_compare", source="[ASC SetCmpMask] §3.7",
    ),
    Instruction(
        "vsel", 0xA4, "V", "selects by the bits of CMPMASK (mode 0; each repeat reuses them)", "dst = CMPMASK.bit[lane] ? src0 : src1",
        addresses=(_DST, _SRC0, _SRC1), fields=_BINARY, state=_STATE, types=_FLOAT, intrinsic="vsel", timing="vsel",
        family="vector_select", source="[CSIM][ASC Select] §3.7",
    ),
    Instruction(
        "vselv", 0xA5, "V", "vsel mode 2: one bit per lane streamed from UB, 16 B (f16) or 8 B (f32) per repeat, contiguous",
        "dst = bits.bit[lane] ? src0 : src1", addresses=(_DST, _SRC0, _SRC1, Address("bits", "r", ("ub",))), fields=_BINARY,
        state=_STATE, types=_FLOAT, intrinsic="vselv", timing="vsel", family="vector_select", source="[ASC Select mode 2] §3.7; 310P, 910B",
    ),
    _reduce(0xB0, "vcadd", "dst[repeat·dst_rep] = Σ active lanes", "element"),
    _reduce(0xB1, "vcmax", "dst[2·repeat·dst_rep] = (max, lane index)", "pair", ("f16", "f32", "s16"), "lowest lane wins ties; index as raw u16 (f16) or u32 (f32)"),
    _reduce(0xB2, "vcmin", "dst[2·repeat·dst_rep] = (min, lane index)", "pair", ("f16", "f32", "s16"), "lowest lane wins ties; index as raw u16 (f16) or u32 (f32)"),
    _reduce(0xB3, "vcgadd", "dst[8·repeat·dst_rep + block] = Σ active lanes of the block", "16 B (f16) / 32 B (f32)"),
    _reduce(0xB4, "vcgmax", "dst[8·repeat·dst_rep + block] = max of the block", "16 B (f16) / 32 B (f32)"),
    _reduce(0xB5, "vcgmin", "dst[8·repeat·dst_rep + block] = min of the block", "16 B (f16) / 32 B (f32)"),
    _reduce(0xB6, "vcpadd", "dst[repeat·dst_rep·(lanes/2) + i] = src[2i] + src[2i+1]", "128 B"),
    Instruction(
        "vtranspose", 0xC0, "V", "one 16×16 transpose of 16-bit elements (512 B contiguous)", "dst[j][i] = src[i][j]", addresses=(_DST, _SRC),
        types=("f16", "s16", "u16"), intrinsic="vtranspose", timing="vnchwconv", family="vector_transpose", source="[CSIM][ASC Transpose] §3.7",
    ),
    Instruction(
        "vnchwconv", 0xC1, "V", "transposes 16 rows of one 32-byte block each (b16: 16×16), addresses from VA registers: VA[dst_va], VA[dst_va+1] hold the 16 "
        "destination rows, VA[src_va], VA[src_va+1] the 16 source rows; each repeat adds the rep strides to every address",
        "b16: dst_row[j][i] = src_row[i][j]; b32: 8 columns: dst_row[2j + i//8][i%8] = src_row[i][j], i < 16, j < 8; b8: half blocks, see fields",
        addresses=(Address("dst", "w", ("ub",), "base of the destination rows (VA)"), Address("src", "r", ("ub",), "base of the source rows (VA)")),
        fields=(_REPEAT, Field("dst_rep", 0, 65535, "32 B", default=0), Field("src_rep", 0, 65535, "32 B", default=0),
                Field("dst_row_stride", 0, 65535, "32 B", "distance of neighbouring destination rows"), Field("src_row_stride", 0, 65535, "32 B", "distance of neighbouring source rows"),
                Field("dst_high", 0, 1, "", "b8: write the upper half block", default=0), Field("src_high", 0, 1, "", "b8: read the upper half block", default=0)),
        types=("f16", "f32", "s8", "u8", "s16", "u16", "s32", "u32"), intrinsic="vnchwconv", timing="vnchwconv", family="vector_transpose",
        source="[CSIM scatter_vnchwconv][ASC TransDataTo5HD] §3.7; this encoding gives the rows as base + i·stride instead of 16 VA entries",
    ),
    Instruction(
        "vreduce", 0xC2, "V", "compresses: keeps lanes by pattern 1 even, 2 odd, 3..6 one of every four; packed output",
        "dst = packed lanes of src with pattern bit", addresses=(_DST, _SRC),
        fields=(_REPEAT, Field("pattern", 1, 6), Field("src_blk", 0, 255, "32 B", default=1), Field("src_rep", 0, 255, "32 B", default=8)),
        state=_STATE, types=("f16", "f32", "s16", "s32", "u16", "u32"), intrinsic="vreduce", timing="vreduce", family="vector_gather", source="[ASC GatherMask] §3.7; 310P, 910B",
    ),
    Instruction(
        "vgather", 0xC3, "V", "gathers elements by byte offset", "dst[i] = src[offset[i]]", addresses=(_DST, Address("offset", "r", ("ub",), "u32 byte offsets"), Address("src", "r", ("ub",), "table base; extent = table size")),
        fields=(_REPEAT, Field("dst_rep", 0, 255, "32 B", default=8)), state=_STATE, types=("f16", "f32", "s16", "s32", "u16", "u32"), intrinsic="vgather", timing="vgather",
        family="vector_gather", source="[ASC Gather] §3.7; 310P, 910B",
    ),
    Instruction(
        "vci", 0xC4, "V", "ramp", "dst[i] = scalar + i", addresses=(_DST,), scalars=(_FACTOR,),
        fields=(_REPEAT, Field("dst_blk", 0, 65535, "32 B", default=1), Field("dst_rep", 0, 255, "32 B", default=8)), state=_STATE, types=("f16", "f32", "s16", "s32"), intrinsic="vci", timing="vector_dup",
        family="vector_dup", source="[ASC CreateVecIndex] §3.7; 310P",
    ),
)
