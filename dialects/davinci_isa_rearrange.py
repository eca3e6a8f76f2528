"""One op per machine instruction, of the vector unit: blocks anywhere, selecting and rearranging lanes.  GENERATED from runtime/isa by `make isa`: do not edit."""

from __future__ import annotations

from typing import ClassVar

from xdsl.irdl import irdl_op_definition

from .davinci_instruction import InstructionOp


@irdl_op_definition
class VselvsOp(InstructionOp):
    """Pipe V. vsel mode 1: lanes of a tensor or a scalar, by one bit per lane streamed from UB, contiguous (the chip takes the scalar from CMPMASK, here it is an operand): dst = bits.bit[lane] ? src : scalar"""  # noqa: E501

    name = "davinci.vselvs"
    MNEMONIC: ClassVar[str] = "vselvs"


@irdl_op_definition
class VreducevOp(InstructionOp):
    """Pipe V. compresses by a bit tensor; packed output, the mask is ignored, in counter mode `count` elements take part; RSVD_CNT tells how many were kept: dst = packed lanes of src whose bit is 1"""  # noqa: E501

    name = "davinci.vreducev"
    MNEMONIC: ClassVar[str] = "vreducev"


@irdl_op_definition
class VpaddingOp(InstructionOp):
    """Pipe V. what continues each block beyond its left or right side: its outermost element (mode 0), its mirror image (mode 1), or the mirror image without the outermost element, a 0 at the far end (mode 2): b = elements per block, side left: dst[i] = src[0] (0), src[b-1-i] (1), i ? src[b-i] : 0 (2); right: dst[i] = src[b-1] (0), src[b-1-i] (1), i < b-1 ? src[b-2-i] : 0 (2)"""  # noqa: E501

    name = "davinci.vpadding"
    MNEMONIC: ClassVar[str] = "vpadding"


@irdl_op_definition
class V4dtransOp(InstructionOp):
    """Pipe V. transposes between channels first and channels last; both sides contiguous: chw_to_hwc: dst[i·channels + c] = src[c·positions + i], else dst[c·positions + i] = src[i·channels + c]; i < positions, c < channels"""  # noqa: E501

    name = "davinci.v4dtrans"
    MNEMONIC: ClassVar[str] = "v4dtrans"


@irdl_op_definition
class VbiOp(InstructionOp):
    """Pipe V. gathers blocks by byte offset, multiplies and adds: bilinear interpolation. Product and sum are rounded in every step; normal mask mode only: for v < v_repeat: dst[v·v_offset …] = Σ h: block[offset[8·(v·h_repeat+h) + b]] · factor, h in order, factor = src1[v·h_repeat+h] (each_block 0) or src1[8·(v·h_repeat+h) + b] (1)"""  # noqa: E501

    name = "davinci.vbi"
    MNEMONIC: ClassVar[str] = "vbi"


@irdl_op_definition
class SetVa0Op(InstructionOp):
    """Pipe S. block numbers of VA0, 16 bits each: entries 0..3 and 4..7, the lowest bits first: VA0[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high"""  # noqa: E501

    name = "davinci.set_va0"
    MNEMONIC: ClassVar[str] = "set_va0"


@irdl_op_definition
class SetVa1Op(InstructionOp):
    """Pipe S. block numbers of VA1, 16 bits each: entries 0..3 and 4..7, the lowest bits first: VA1[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high"""  # noqa: E501

    name = "davinci.set_va1"
    MNEMONIC: ClassVar[str] = "set_va1"


@irdl_op_definition
class SetVa2Op(InstructionOp):
    """Pipe S. block numbers of VA2, 16 bits each: entries 0..3 and 4..7, the lowest bits first: VA2[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high"""  # noqa: E501

    name = "davinci.set_va2"
    MNEMONIC: ClassVar[str] = "set_va2"


@irdl_op_definition
class SetVa3Op(InstructionOp):
    """Pipe S. block numbers of VA3, 16 bits each: entries 0..3 and 4..7, the lowest bits first: VA3[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high"""  # noqa: E501

    name = "davinci.set_va3"
    MNEMONIC: ClassVar[str] = "set_va3"


@irdl_op_definition
class SetVa4Op(InstructionOp):
    """Pipe S. block numbers of VA4, 16 bits each: entries 0..3 and 4..7, the lowest bits first: VA4[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high"""  # noqa: E501

    name = "davinci.set_va4"
    MNEMONIC: ClassVar[str] = "set_va4"


@irdl_op_definition
class SetVa5Op(InstructionOp):
    """Pipe S. block numbers of VA5, 16 bits each: entries 0..3 and 4..7, the lowest bits first: VA5[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high"""  # noqa: E501

    name = "davinci.set_va5"
    MNEMONIC: ClassVar[str] = "set_va5"


@irdl_op_definition
class SetVa6Op(InstructionOp):
    """Pipe S. block numbers of VA6, 16 bits each: entries 0..3 and 4..7, the lowest bits first: VA6[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high"""  # noqa: E501

    name = "davinci.set_va6"
    MNEMONIC: ClassVar[str] = "set_va6"


@irdl_op_definition
class SetVa7Op(InstructionOp):
    """Pipe S. block numbers of VA7, 16 bits each: entries 0..3 and 4..7, the lowest bits first: VA7[i] = bits 16·(i % 4) … + 15 of low (i < 4) or high"""  # noqa: E501

    name = "davinci.set_va7"
    MNEMONIC: ClassVar[str] = "set_va7"


@irdl_op_definition
class ScatterVabsOp(InstructionOp):
    """Pipe V. vabs on the blocks of VA registers: dst = |src|"""  # noqa: E501

    name = "davinci.scatter_vabs"
    MNEMONIC: ClassVar[str] = "scatter_vabs"


@irdl_op_definition
class ScatterVaddOp(InstructionOp):
    """Pipe V. vadd on the blocks of VA registers: dst = src0 + src1"""  # noqa: E501

    name = "davinci.scatter_vadd"
    MNEMONIC: ClassVar[str] = "scatter_vadd"


@irdl_op_definition
class ScatterVaddsOp(InstructionOp):
    """Pipe V. vadds on the blocks of VA registers: dst = src + scalar"""  # noqa: E501

    name = "davinci.scatter_vadds"
    MNEMONIC: ClassVar[str] = "scatter_vadds"


@irdl_op_definition
class ScatterVaxpyOp(InstructionOp):
    """Pipe V. vaxpy on the blocks of VA registers: dst = dst + scalar · src"""  # noqa: E501

    name = "davinci.scatter_vaxpy"
    MNEMONIC: ClassVar[str] = "scatter_vaxpy"


@irdl_op_definition
class ScatterVcmpOp(InstructionOp):
    """Pipe V. vcmp on the blocks of VA registers: CMPMASK[lane] = src0 ? src1"""  # noqa: E501

    name = "davinci.scatter_vcmp"
    MNEMONIC: ClassVar[str] = "scatter_vcmp"


@irdl_op_definition
class ScatterVdivOp(InstructionOp):
    """Pipe V. vdiv on the blocks of VA registers: dst = src0 / src1"""  # noqa: E501

    name = "davinci.scatter_vdiv"
    MNEMONIC: ClassVar[str] = "scatter_vdiv"


@irdl_op_definition
class ScatterVexpOp(InstructionOp):
    """Pipe V. vexp on the blocks of VA registers: dst = e^src, correctly rounded"""  # noqa: E501

    name = "davinci.scatter_vexp"
    MNEMONIC: ClassVar[str] = "scatter_vexp"


@irdl_op_definition
class ScatterVlnOp(InstructionOp):
    """Pipe V. vln on the blocks of VA registers: dst = ln(src), correctly rounded"""  # noqa: E501

    name = "davinci.scatter_vln"
    MNEMONIC: ClassVar[str] = "scatter_vln"


@irdl_op_definition
class ScatterVmaddOp(InstructionOp):
    """Pipe V. vmadd on the blocks of VA registers: dst = src0 · dst + src1"""  # noqa: E501

    name = "davinci.scatter_vmadd"
    MNEMONIC: ClassVar[str] = "scatter_vmadd"


@irdl_op_definition
class ScatterVmaddreluOp(InstructionOp):
    """Pipe V. vmaddrelu on the blocks of VA registers: dst = max(src0 · dst + src1, 0)"""  # noqa: E501

    name = "davinci.scatter_vmaddrelu"
    MNEMONIC: ClassVar[str] = "scatter_vmaddrelu"


@irdl_op_definition
class ScatterVmaxOp(InstructionOp):
    """Pipe V. vmax on the blocks of VA registers: dst = max(src0, src1)"""  # noqa: E501

    name = "davinci.scatter_vmax"
    MNEMONIC: ClassVar[str] = "scatter_vmax"


@irdl_op_definition
class ScatterVmaxsOp(InstructionOp):
    """Pipe V. vmaxs on the blocks of VA registers: dst = max(src, scalar)"""  # noqa: E501

    name = "davinci.scatter_vmaxs"
    MNEMONIC: ClassVar[str] = "scatter_vmaxs"


@irdl_op_definition
class ScatterVminOp(InstructionOp):
    """Pipe V. vmin on the blocks of VA registers: dst = min(src0, src1)"""  # noqa: E501

    name = "davinci.scatter_vmin"
    MNEMONIC: ClassVar[str] = "scatter_vmin"


@irdl_op_definition
class ScatterVminsOp(InstructionOp):
    """Pipe V. vmins on the blocks of VA registers: dst = min(src, scalar)"""  # noqa: E501

    name = "davinci.scatter_vmins"
    MNEMONIC: ClassVar[str] = "scatter_vmins"


@irdl_op_definition
class ScatterVmlaOp(InstructionOp):
    """Pipe V. vmla on the blocks of VA registers: dst = src0 · src1 + dst"""  # noqa: E501

    name = "davinci.scatter_vmla"
    MNEMONIC: ClassVar[str] = "scatter_vmla"


@irdl_op_definition
class ScatterVmulOp(InstructionOp):
    """Pipe V. vmul on the blocks of VA registers: dst = src0 · src1"""  # noqa: E501

    name = "davinci.scatter_vmul"
    MNEMONIC: ClassVar[str] = "scatter_vmul"


@irdl_op_definition
class ScatterVmulsOp(InstructionOp):
    """Pipe V. vmuls on the blocks of VA registers: dst = src · scalar"""  # noqa: E501

    name = "davinci.scatter_vmuls"
    MNEMONIC: ClassVar[str] = "scatter_vmuls"


@irdl_op_definition
class ScatterVrecOp(InstructionOp):
    """Pipe V. vrec on the blocks of VA registers: dst ≈ 1/src, 9-bit significand rounded down"""  # noqa: E501

    name = "davinci.scatter_vrec"
    MNEMONIC: ClassVar[str] = "scatter_vrec"


@irdl_op_definition
class ScatterVreluOp(InstructionOp):
    """Pipe V. vrelu on the blocks of VA registers: dst = max(src, 0)"""  # noqa: E501

    name = "davinci.scatter_vrelu"
    MNEMONIC: ClassVar[str] = "scatter_vrelu"


@irdl_op_definition
class ScatterVrsqrtOp(InstructionOp):
    """Pipe V. vrsqrt on the blocks of VA registers: dst ≈ 1/√src, 9-bit significand rounded down"""  # noqa: E501

    name = "davinci.scatter_vrsqrt"
    MNEMONIC: ClassVar[str] = "scatter_vrsqrt"


@irdl_op_definition
class ScatterVselOp(InstructionOp):
    """Pipe V. vsel on the blocks of VA registers: dst = CMPMASK.bit[lane] ? src0 : src1"""  # noqa: E501

    name = "davinci.scatter_vsel"
    MNEMONIC: ClassVar[str] = "scatter_vsel"


@irdl_op_definition
class ScatterVsqrtOp(InstructionOp):
    """Pipe V. vsqrt on the blocks of VA registers: dst = √src, correctly rounded"""  # noqa: E501

    name = "davinci.scatter_vsqrt"
    MNEMONIC: ClassVar[str] = "scatter_vsqrt"


@irdl_op_definition
class ScatterVsubOp(InstructionOp):
    """Pipe V. vsub on the blocks of VA registers: dst = src0 - src1"""  # noqa: E501

    name = "davinci.scatter_vsub"
    MNEMONIC: ClassVar[str] = "scatter_vsub"


@irdl_op_definition
class ScatterVectorMovOp(InstructionOp):
    """Pipe V. copies active lanes between blocks of VA registers: dst = src"""  # noqa: E501

    name = "davinci.scatter_vector_mov"
    MNEMONIC: ClassVar[str] = "scatter_vector_mov"


@irdl_op_definition
class ScatterVnchwconvOp(InstructionOp):
    """Pipe V. vnchwconv whose rows 0..7 and 8..15 are the blocks of two neighbouring VA registers: as vnchwconv, row i at address + (VA[va + i // 8][i % 8] + r·rep)·32"""  # noqa: E501

    name = "davinci.scatter_vnchwconv"
    MNEMONIC: ClassVar[str] = "scatter_vnchwconv"
