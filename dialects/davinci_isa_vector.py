"""One op per machine instruction, of the vector unit.  GENERATED from runtime/isa by `make isa`: do not edit."""

from __future__ import annotations

from typing import ClassVar

from xdsl.irdl import irdl_op_definition

from .davinci_instruction import InstructionOp


@irdl_op_definition
class CopyUbufToUbufOp(InstructionOp):
    """Pipe V. burst copy ub → ub: for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]"""  # noqa: E501

    name = "davinci.copy_ubuf_to_ubuf"
    MNEMONIC: ClassVar[str] = "copy_ubuf_to_ubuf"


@irdl_op_definition
class CopyMatrixCcToUbufOp(InstructionOp):
    """Pipe V. accumulator fractals L0C → UB, with conversion and ReLU; the scale of s322f16 and f162f16 is the half in bits 15:0 of DEQSCALE, other dequantising types take all of it: for i < bursts, j < length: UB fractal = relu?(convert(L0C fractal)); gaps: src in fractals, dst in 32 B; s322s8, s322u8: y = fp32(MCB ? sat16(x >> N) : x) · M, ReLU, sat(offset + round(clamp(y, -256, 255))); s322f16d: f16(y) after ReLU; s322s16: sat16(x >> N), ReLU (parameters of DEQSCALE; ReLU if `relu` or bit 47)"""  # noqa: E501

    name = "davinci.copy_matrix_cc_to_ubuf"
    MNEMONIC: ClassVar[str] = "copy_matrix_cc_to_ubuf"


@irdl_op_definition
class CopyMatrixCcToUbufVdeqOp(InstructionOp):
    """Pipe V. accumulator fractals L0C → UB, each column dequantised by its own parameter (the chip takes the address of the parameters from DEQSCALE, here it is an operand): as copy_matrix_cc_to_ubuf; column n of burst i: s322f16: x · half scales[16·i + n]; s322s8, s322u8: y = fp32(MCB ? sat16(x >> N) : x) · M, ReLU, sat(offset + round(clamp(y, -256, 255))); s322f16d: f16(y) after ReLU; s322s16: sat16(x >> N), ReLU (64-bit parameter scales[16·i + n]; ReLU if `relu`, bit 47 is ignored)"""  # noqa: E501

    name = "davinci.copy_matrix_cc_to_ubuf_vdeq"
    MNEMONIC: ClassVar[str] = "copy_matrix_cc_to_ubuf_vdeq"


@irdl_op_definition
class CopyMatrixUbufToCcOp(InstructionOp):
    """Pipe V. fractals UB → L0C: as copy_matrix_cc_to_ubuf, the other way; gaps: src in 32 B, dst in fractals"""  # noqa: E501

    name = "davinci.copy_matrix_ubuf_to_cc"
    MNEMONIC: ClassVar[str] = "copy_matrix_ubuf_to_cc"


@irdl_op_definition
class BroadcastUbToCcOp(InstructionOp):
    """Pipe V. replicates 16-element vectors of UB over the 16 rows of L0C fractals (bias preload): for i < bursts, j < length: all 16 rows of L0C fractal(i, j) = vector(i, j); src gap 32 B, dst gap fractals"""  # noqa: E501

    name = "davinci.broadcast_ub_to_cc"
    MNEMONIC: ClassVar[str] = "broadcast_ub_to_cc"


@irdl_op_definition
class CopyVectorCcToUbufOp(InstructionOp):
    """Pipe V. first rows of fractals L0C → UB: vectors of 16 elements: for i < bursts, j < length: UB vector(i, j) and row 0 of L0C fractal(i, j); L0C gap in fractals, UB gap in 32 B"""  # noqa: E501

    name = "davinci.copy_vector_cc_to_ubuf"
    MNEMONIC: ClassVar[str] = "copy_vector_cc_to_ubuf"


@irdl_op_definition
class CopyVectorUbufToCcOp(InstructionOp):
    """Pipe V. first rows of fractals UB → L0C, other rows stay: vectors of 16 elements: for i < bursts, j < length: UB vector(i, j) and row 0 of L0C fractal(i, j); L0C gap in fractals, UB gap in 32 B"""  # noqa: E501

    name = "davinci.copy_vector_ubuf_to_cc"
    MNEMONIC: ClassVar[str] = "copy_vector_ubuf_to_cc"


@irdl_op_definition
class VaddOp(InstructionOp):
    """Pipe V. elementwise: dst = src0 + src1"""  # noqa: E501

    name = "davinci.vadd"
    MNEMONIC: ClassVar[str] = "vadd"


@irdl_op_definition
class VsubOp(InstructionOp):
    """Pipe V. elementwise: dst = src0 - src1"""  # noqa: E501

    name = "davinci.vsub"
    MNEMONIC: ClassVar[str] = "vsub"


@irdl_op_definition
class VmulOp(InstructionOp):
    """Pipe V. elementwise: dst = src0 · src1"""  # noqa: E501

    name = "davinci.vmul"
    MNEMONIC: ClassVar[str] = "vmul"


@irdl_op_definition
class VdivOp(InstructionOp):
    """Pipe V. elementwise: dst = src0 / src1"""  # noqa: E501

    name = "davinci.vdiv"
    MNEMONIC: ClassVar[str] = "vdiv"


@irdl_op_definition
class VmaxOp(InstructionOp):
    """Pipe V. elementwise: dst = max(src0, src1)"""  # noqa: E501

    name = "davinci.vmax"
    MNEMONIC: ClassVar[str] = "vmax"


@irdl_op_definition
class VminOp(InstructionOp):
    """Pipe V. elementwise: dst = min(src0, src1)"""  # noqa: E501

    name = "davinci.vmin"
    MNEMONIC: ClassVar[str] = "vmin"


@irdl_op_definition
class VandOp(InstructionOp):
    """Pipe V. elementwise: dst = src0 & src1 on 16-bit lanes"""  # noqa: E501

    name = "davinci.vand"
    MNEMONIC: ClassVar[str] = "vand"


@irdl_op_definition
class VorOp(InstructionOp):
    """Pipe V. elementwise: dst = src0 | src1 on 16-bit lanes"""  # noqa: E501

    name = "davinci.vor"
    MNEMONIC: ClassVar[str] = "vor"


@irdl_op_definition
class VmlaOp(InstructionOp):
    """Pipe V. elementwise: dst = src0 · src1 + dst"""  # noqa: E501

    name = "davinci.vmla"
    MNEMONIC: ClassVar[str] = "vmla"


@irdl_op_definition
class VmaddOp(InstructionOp):
    """Pipe V. elementwise: dst = src0 · dst + src1"""  # noqa: E501

    name = "davinci.vmadd"
    MNEMONIC: ClassVar[str] = "vmadd"


@irdl_op_definition
class VmaddreluOp(InstructionOp):
    """Pipe V. elementwise: dst = max(src0 · dst + src1, 0)"""  # noqa: E501

    name = "davinci.vmaddrelu"
    MNEMONIC: ClassVar[str] = "vmaddrelu"


@irdl_op_definition
class VaddreluOp(InstructionOp):
    """Pipe V. elementwise: dst = max(src0 + src1, 0)"""  # noqa: E501

    name = "davinci.vaddrelu"
    MNEMONIC: ClassVar[str] = "vaddrelu"


@irdl_op_definition
class VsubreluOp(InstructionOp):
    """Pipe V. elementwise: dst = max(src0 - src1, 0)"""  # noqa: E501

    name = "davinci.vsubrelu"
    MNEMONIC: ClassVar[str] = "vsubrelu"


@irdl_op_definition
class VmulconvOp(InstructionOp):
    """Pipe V. elementwise, result in 8 bits: dst = convert(src0 · src1), nearest even, saturating"""  # noqa: E501

    name = "davinci.vmulconv"
    MNEMONIC: ClassVar[str] = "vmulconv"


@irdl_op_definition
class VaddreluconvOp(InstructionOp):
    """Pipe V. elementwise, result in the narrower type: dst = convert(max(src0 + src1, 0)), nearest even, saturating"""  # noqa: E501

    name = "davinci.vaddreluconv"
    MNEMONIC: ClassVar[str] = "vaddreluconv"


@irdl_op_definition
class VsubreluconvOp(InstructionOp):
    """Pipe V. elementwise, result in the narrower type: dst = convert(max(src0 - src1, 0)), nearest even, saturating"""  # noqa: E501

    name = "davinci.vsubreluconv"
    MNEMONIC: ClassVar[str] = "vsubreluconv"


@irdl_op_definition
class VadddeqreluOp(InstructionOp):
    """Pipe V. elementwise, dequantised: dst = max((src0 + src1) · scale, 0), scale = half in bits 15:0 of DEQSCALE; exact, rounded once"""  # noqa: E501

    name = "davinci.vadddeqrelu"
    MNEMONIC: ClassVar[str] = "vadddeqrelu"


@irdl_op_definition
class VabsOp(InstructionOp):
    """Pipe V. elementwise: dst = |src|"""  # noqa: E501

    name = "davinci.vabs"
    MNEMONIC: ClassVar[str] = "vabs"


@irdl_op_definition
class VexpOp(InstructionOp):
    """Pipe V. elementwise: dst = e^src, correctly rounded"""  # noqa: E501

    name = "davinci.vexp"
    MNEMONIC: ClassVar[str] = "vexp"


@irdl_op_definition
class VlnOp(InstructionOp):
    """Pipe V. elementwise: dst = ln(src), correctly rounded"""  # noqa: E501

    name = "davinci.vln"
    MNEMONIC: ClassVar[str] = "vln"


@irdl_op_definition
class VsqrtOp(InstructionOp):
    """Pipe V. elementwise: dst = √src, correctly rounded"""  # noqa: E501

    name = "davinci.vsqrt"
    MNEMONIC: ClassVar[str] = "vsqrt"


@irdl_op_definition
class VrsqrtOp(InstructionOp):
    """Pipe V. elementwise: dst ≈ 1/√src, 9-bit significand rounded down"""  # noqa: E501

    name = "davinci.vrsqrt"
    MNEMONIC: ClassVar[str] = "vrsqrt"


@irdl_op_definition
class VrecOp(InstructionOp):
    """Pipe V. elementwise: dst ≈ 1/src, 9-bit significand rounded down"""  # noqa: E501

    name = "davinci.vrec"
    MNEMONIC: ClassVar[str] = "vrec"


@irdl_op_definition
class VreluOp(InstructionOp):
    """Pipe V. elementwise: dst = max(src, 0)"""  # noqa: E501

    name = "davinci.vrelu"
    MNEMONIC: ClassVar[str] = "vrelu"


@irdl_op_definition
class VnotOp(InstructionOp):
    """Pipe V. elementwise: dst = ~src on 16-bit lanes"""  # noqa: E501

    name = "davinci.vnot"
    MNEMONIC: ClassVar[str] = "vnot"


@irdl_op_definition
class VaddsOp(InstructionOp):
    """Pipe V. vector with scalar: dst = src + scalar"""  # noqa: E501

    name = "davinci.vadds"
    MNEMONIC: ClassVar[str] = "vadds"


@irdl_op_definition
class VmulsOp(InstructionOp):
    """Pipe V. vector with scalar: dst = src · scalar"""  # noqa: E501

    name = "davinci.vmuls"
    MNEMONIC: ClassVar[str] = "vmuls"


@irdl_op_definition
class VmaxsOp(InstructionOp):
    """Pipe V. vector with scalar: dst = max(src, scalar)"""  # noqa: E501

    name = "davinci.vmaxs"
    MNEMONIC: ClassVar[str] = "vmaxs"


@irdl_op_definition
class VminsOp(InstructionOp):
    """Pipe V. vector with scalar: dst = min(src, scalar)"""  # noqa: E501

    name = "davinci.vmins"
    MNEMONIC: ClassVar[str] = "vmins"


@irdl_op_definition
class VlreluOp(InstructionOp):
    """Pipe V. vector with scalar: dst = src ≥ 0 ? src : src · scalar"""  # noqa: E501

    name = "davinci.vlrelu"
    MNEMONIC: ClassVar[str] = "vlrelu"


@irdl_op_definition
class VaxpyOp(InstructionOp):
    """Pipe V. vector with scalar: dst = dst + scalar · src"""  # noqa: E501

    name = "davinci.vaxpy"
    MNEMONIC: ClassVar[str] = "vaxpy"


@irdl_op_definition
class VshlOp(InstructionOp):
    """Pipe V. vector with scalar: dst = src << scalar"""  # noqa: E501

    name = "davinci.vshl"
    MNEMONIC: ClassVar[str] = "vshl"


@irdl_op_definition
class VshrOp(InstructionOp):
    """Pipe V. vector with scalar: dst = src >> scalar (arithmetic for signed types); round 1 and signed: + 1 if the last bit shifted out is 1"""  # noqa: E501

    name = "davinci.vshr"
    MNEMONIC: ClassVar[str] = "vshr"


@irdl_op_definition
class VectorDupOp(InstructionOp):
    """Pipe V. fills lanes with a scalar: dst = value"""  # noqa: E501

    name = "davinci.vector_dup"
    MNEMONIC: ClassVar[str] = "vector_dup"


@irdl_op_definition
class VconvOp(InstructionOp):
    """Pipe V. type conversion; suffix r nearest-even, f floor, c ceil, a half away from zero, z truncate, o odd, none nearest-even when lossy: dst = convert(src); float → int saturates, NaN → 0"""  # noqa: E501

    name = "davinci.vconv"
    MNEMONIC: ClassVar[str] = "vconv"


@irdl_op_definition
class VconvDeqOp(InstructionOp):
    """Pipe V. type conversion of accumulators with a scale: dst = src · scale, scale = half in bits 15:0 of DEQSCALE; f16 saturates"""  # noqa: E501

    name = "davinci.vconv_deq"
    MNEMONIC: ClassVar[str] = "vconv_deq"


@irdl_op_definition
class VcmpOp(InstructionOp):
    """Pipe V. compares one repeat; result in the CMPMASK register: CMPMASK[lane] = src0 ? src1"""  # noqa: E501

    name = "davinci.vcmp"
    MNEMONIC: ClassVar[str] = "vcmp"


@irdl_op_definition
class VcmpvOp(InstructionOp):
    """Pipe V. compares; one bit per lane to UB, LSB first, 16 B (f16) or 8 B (f32) per repeat, contiguous; the mask is ignored: dst.bit[lane] = src0 ? src1"""  # noqa: E501

    name = "davinci.vcmpv"
    MNEMONIC: ClassVar[str] = "vcmpv"


@irdl_op_definition
class VcmpvsOp(InstructionOp):
    """Pipe V. compares with a scalar; bits to UB as vcmpv: dst.bit[lane] = src ? scalar"""  # noqa: E501

    name = "davinci.vcmpvs"
    MNEMONIC: ClassVar[str] = "vcmpvs"


@irdl_op_definition
class SetCmpmaskOp(InstructionOp):
    """Pipe V. loads CMPMASK from 16 bytes of UB: CMPMASK = src[0:16]"""  # noqa: E501

    name = "davinci.set_cmpmask"
    MNEMONIC: ClassVar[str] = "set_cmpmask"


@irdl_op_definition
class GetCmpmaskOp(InstructionOp):
    """Pipe V. stores CMPMASK to 16 bytes of UB: dst[0:16] = CMPMASK"""  # noqa: E501

    name = "davinci.get_cmpmask"
    MNEMONIC: ClassVar[str] = "get_cmpmask"


@irdl_op_definition
class VselOp(InstructionOp):
    """Pipe V. selects by the bits of CMPMASK (mode 0; each repeat reuses them): dst = CMPMASK.bit[lane] ? src0 : src1"""  # noqa: E501

    name = "davinci.vsel"
    MNEMONIC: ClassVar[str] = "vsel"


@irdl_op_definition
class VselvOp(InstructionOp):
    """Pipe V. vsel mode 2: one bit per lane streamed from UB, 16 B (f16) or 8 B (f32) per repeat, contiguous: dst = bits.bit[lane] ? src0 : src1"""  # noqa: E501

    name = "davinci.vselv"
    MNEMONIC: ClassVar[str] = "vselv"


@irdl_op_definition
class VcaddOp(InstructionOp):
    """Pipe V. reduction: dst[repeat·dst_rep] = Σ active lanes"""  # noqa: E501

    name = "davinci.vcadd"
    MNEMONIC: ClassVar[str] = "vcadd"


@irdl_op_definition
class VcmaxOp(InstructionOp):
    """Pipe V. lowest lane wins ties; index as raw u16 (16-bit types) or u32; MAX_MIN_CNT = the value over all repeats: dst[2·repeat·dst_rep] = (max, lane index), or (lane index, max) with `order` index"""  # noqa: E501

    name = "davinci.vcmax"
    MNEMONIC: ClassVar[str] = "vcmax"


@irdl_op_definition
class VcminOp(InstructionOp):
    """Pipe V. lowest lane wins ties; index as raw u16 (16-bit types) or u32; MAX_MIN_CNT = the value over all repeats: dst[2·repeat·dst_rep] = (min, lane index), or (lane index, min) with `order` index"""  # noqa: E501

    name = "davinci.vcmin"
    MNEMONIC: ClassVar[str] = "vcmin"


@irdl_op_definition
class VcgaddOp(InstructionOp):
    """Pipe V. reduction: dst[8·repeat·dst_rep + block] = Σ active lanes of the block"""  # noqa: E501

    name = "davinci.vcgadd"
    MNEMONIC: ClassVar[str] = "vcgadd"


@irdl_op_definition
class VcgmaxOp(InstructionOp):
    """Pipe V. reduction: dst[8·repeat·dst_rep + block] = max of the block"""  # noqa: E501

    name = "davinci.vcgmax"
    MNEMONIC: ClassVar[str] = "vcgmax"


@irdl_op_definition
class VcgminOp(InstructionOp):
    """Pipe V. reduction: dst[8·repeat·dst_rep + block] = min of the block"""  # noqa: E501

    name = "davinci.vcgmin"
    MNEMONIC: ClassVar[str] = "vcgmin"


@irdl_op_definition
class VcpaddOp(InstructionOp):
    """Pipe V. reduction: dst[repeat·dst_rep·(lanes/2) + i] = src[2i] + src[2i+1]"""  # noqa: E501

    name = "davinci.vcpadd"
    MNEMONIC: ClassVar[str] = "vcpadd"


@irdl_op_definition
class VtransposeOp(InstructionOp):
    """Pipe V. one 16×16 transpose of 16-bit elements (512 B contiguous): dst[j][i] = src[i][j]"""  # noqa: E501

    name = "davinci.vtranspose"
    MNEMONIC: ClassVar[str] = "vtranspose"


@irdl_op_definition
class VnchwconvOp(InstructionOp):
    """Pipe V. transposes 16 rows of one 32-byte block each (b16: 16×16); row i of a side lies at its address + i·row_stride; each repeat adds the rep strides: b16: dst_row[j][i] = src_row[i][j]; b32: 8 columns: dst_row[2j + i//8][i%8] = src_row[i][j], i < 16, j < 8; b8: half blocks, see fields"""  # noqa: E501

    name = "davinci.vnchwconv"
    MNEMONIC: ClassVar[str] = "vnchwconv"


@irdl_op_definition
class VreduceOp(InstructionOp):
    """Pipe V. compresses: keeps lanes by pattern 1 even, 2 odd, 3..6 one of every four; packed output; the mask is ignored, in counter mode `count` elements take part; RSVD_CNT tells how many were kept: dst = packed lanes of src with pattern bit"""  # noqa: E501

    name = "davinci.vreduce"
    MNEMONIC: ClassVar[str] = "vreduce"


@irdl_op_definition
class VgatherOp(InstructionOp):
    """Pipe V. gathers elements by byte offset: dst[i] = src[offset[i]]"""  # noqa: E501

    name = "davinci.vgather"
    MNEMONIC: ClassVar[str] = "vgather"


@irdl_op_definition
class VscatterOp(InstructionOp):
    """Pipe V. scatters elements by byte offset; of lanes with the same offset the highest wins: dst[offset[i]] = src[i]"""  # noqa: E501

    name = "davinci.vscatter"
    MNEMONIC: ClassVar[str] = "vscatter"


@irdl_op_definition
class VciOp(InstructionOp):
    """Pipe V. ramp: dst[i] = scalar + i"""  # noqa: E501

    name = "davinci.vci"
    MNEMONIC: ClassVar[str] = "vci"


@irdl_op_definition
class VbitsortOp(InstructionOp):
    """Pipe V. sorts each 16 proposals by falling score, stable: dst[16·r … 16·r+15] = proposals src[16·r … 16·r+15] in falling order of element 4"""  # noqa: E501

    name = "davinci.vbitsort"
    MNEMONIC: ClassVar[str] = "vbitsort"


@irdl_op_definition
class Vmrgsort4Op(InstructionOp):
    """Pipe V. merges 2 to 4 sorted lists of proposals: dst = all proposals of the valid lists in falling order of element 4; with `suspend`, up to the moment when a list is exhausted; repeat r takes the lists 4·r·length behind the first ones"""  # noqa: E501

    name = "davinci.vmrgsort4"
    MNEMONIC: ClassVar[str] = "vmrgsort4"


@irdl_op_definition
class VconcatOp(InstructionOp):
    """Pipe V. writes one element of each 16 proposals: proposal dst[i].element[position] = src[i], i < 16·repeat"""  # noqa: E501

    name = "davinci.vconcat"
    MNEMONIC: ClassVar[str] = "vconcat"


@irdl_op_definition
class VextractOp(InstructionOp):
    """Pipe V. reads one element of each 16 proposals: dst[i] = proposal src[i].element[position], i < 16·repeat"""  # noqa: E501

    name = "davinci.vextract"
    MNEMONIC: ClassVar[str] = "vextract"


@irdl_op_definition
class VbrcbOp(InstructionOp):
    """Pipe V. fills a block with each of 8 elements per repeat; the mask is ignored: block j of repeat r of dst = src[8·r + j] in all its elements, j < 8"""  # noqa: E501

    name = "davinci.vbrcb"
    MNEMONIC: ClassVar[str] = "vbrcb"


@irdl_op_definition
class VcopyOp(InstructionOp):
    """Pipe V. strided copy of active lanes: dst = src"""  # noqa: E501

    name = "davinci.vcopy"
    MNEMONIC: ClassVar[str] = "vcopy"


@irdl_op_definition
class VgatherbOp(InstructionOp):
    """Pipe V. gathers blocks by byte offset; the mask is ignored: block j of repeat r of dst = 32 bytes at src + offset[8·r + j], j < 8"""  # noqa: E501

    name = "davinci.vgatherb"
    MNEMONIC: ClassVar[str] = "vgatherb"


@irdl_op_definition
class Vbitsort32Op(InstructionOp):
    """Pipe V. sorts each 32 scores by falling value, stable, and makes records of them: dst record i of repeat r = (score, index) of the element with rank i among src[32·r … 32·r+31]"""  # noqa: E501

    name = "davinci.vbitsort32"
    MNEMONIC: ClassVar[str] = "vbitsort32"


@irdl_op_definition
class Vmrgsort4v2Op(InstructionOp):
    """Pipe V. merges 2 to 4 sorted lists of records: dst = all records of the valid lists in falling order of the score; with `suspend`, up to the moment when a list is exhausted; repeat r takes the lists 4·r·length behind the first ones"""  # noqa: E501

    name = "davinci.vmrgsort4v2"
    MNEMONIC: ClassVar[str] = "vmrgsort4v2"


@irdl_op_definition
class Vreducev2Op(InstructionOp):
    """Pipe V. compresses: keeps lanes by a bit tensor (pattern 0), 1 even, 2 odd, 3..6 one of every four, 7 all; packed output: dst = packed active lanes of src with pattern bit"""  # noqa: E501

    name = "davinci.vreducev2"
    MNEMONIC: ClassVar[str] = "vreducev2"
