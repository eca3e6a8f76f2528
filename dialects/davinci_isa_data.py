"""One op per machine instruction, of data movement, the cube and flags.  GENERATED from runtime/isa by `make isa`: do not edit."""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import IndexType
from xdsl.irdl import irdl_op_definition, result_def

from .davinci_instruction import InstructionOp


@irdl_op_definition
class LoadScalarOp(InstructionOp):
    """Pipe S. scalar load: dst = sign-extended word of `bytes` bytes"""  # noqa: E501

    name = "davinci.load_scalar"
    MNEMONIC: ClassVar[str] = "load_scalar"
    result = result_def(IndexType)


@irdl_op_definition
class StoreScalarOp(InstructionOp):
    """Pipe S. scalar store: word of `bytes` bytes = a"""  # noqa: E501

    name = "davinci.store_scalar"
    MNEMONIC: ClassVar[str] = "store_scalar"


@irdl_op_definition
class SetFlagOp(InstructionOp):
    """Pipe S. queued on pipe src: sets the flag when all earlier work of src is complete: flag[src][dst][event] = 1"""  # noqa: E501

    name = "davinci.set_flag"
    MNEMONIC: ClassVar[str] = "set_flag"


@irdl_op_definition
class WaitFlagOp(InstructionOp):
    """Pipe S. queued on pipe dst: holds everything behind it until the flag is set, then clears it: flag[src][dst][event] = 0"""  # noqa: E501

    name = "davinci.wait_flag"
    MNEMONIC: ClassVar[str] = "wait_flag"


@irdl_op_definition
class PipeBarrierOp(InstructionOp):
    """Pipe S. later instructions of the pipe start after all earlier ones are complete: start(each later instruction of the pipe) ≥ end(each earlier one)"""  # noqa: E501

    name = "davinci.pipe_barrier"
    MNEMONIC: ClassVar[str] = "pipe_barrier"


@irdl_op_definition
class SetVectorMaskOp(InstructionOp):
    """Pipe S. lane mask of vector instructions: bit i of hi:lo is lane i: mask_hi = operand; mask_lo = operand"""  # noqa: E501

    name = "davinci.set_vector_mask"
    MNEMONIC: ClassVar[str] = "set_vector_mask"


@irdl_op_definition
class SetMaskCountOp(InstructionOp):
    """Pipe S. counter mode: the mask holds the total number of elements; -1 returns to normal mode: count = operand"""  # noqa: E501

    name = "davinci.set_mask_count"
    MNEMONIC: ClassVar[str] = "set_mask_count"


@irdl_op_definition
class SetFmatrixOp(InstructionOp):
    """Pipe S. geometry of the feature map for load3d: fm_width = operand; fm_height = operand; pad_left = operand; pad_right = operand; pad_top = operand; pad_bottom = operand"""  # noqa: E501

    name = "davinci.set_fmatrix"
    MNEMONIC: ClassVar[str] = "set_fmatrix"


@irdl_op_definition
class SetFmatrixBOp(InstructionOp):
    """Pipe S. geometry of the feature map for load3d with `fmatrix` 1: fmb_width = operand; fmb_height = operand; fmb_pad_left = operand; fmb_pad_right = operand; fmb_pad_top = operand; fmb_pad_bottom = operand"""  # noqa: E501

    name = "davinci.set_fmatrix_b"
    MNEMONIC: ClassVar[str] = "set_fmatrix_b"


@irdl_op_definition
class SetL13dSizeOp(InstructionOp):
    """Pipe S. L1 boundary of load3d: addresses from there on wrap to 0; 32-byte units for load3dv1, bytes for load3d; 0 = off: l1_boundary = operand"""  # noqa: E501

    name = "davinci.set_l1_3d_size"
    MNEMONIC: ClassVar[str] = "set_l1_3d_size"


@irdl_op_definition
class SetPaddingOp(InstructionOp):
    """Pipe S. value of load3d elements outside the image: pad_value = operand"""  # noqa: E501

    name = "davinci.set_padding"
    MNEMONIC: ClassVar[str] = "set_padding"


@irdl_op_definition
class SetDeqscaleOp(InstructionOp):
    """Pipe S. scale of dequantising L0C copies: deqscale = operand"""  # noqa: E501

    name = "davinci.set_deqscale"
    MNEMONIC: ClassVar[str] = "set_deqscale"


@irdl_op_definition
class SetAtomicOp(InstructionOp):
    """Pipe S. UB→GM copies accumulate: atomic = operand"""  # noqa: E501

    name = "davinci.set_atomic"
    MNEMONIC: ClassVar[str] = "set_atomic"


@irdl_op_definition
class CopyGmToUbufOp(InstructionOp):
    """Pipe MTE2. burst copy gm → ub: for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]"""  # noqa: E501

    name = "davinci.copy_gm_to_ubuf"
    MNEMONIC: ClassVar[str] = "copy_gm_to_ubuf"


@irdl_op_definition
class CopyGmToCbufOp(InstructionOp):
    """Pipe MTE2. burst copy gm → l1: for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]"""  # noqa: E501

    name = "davinci.copy_gm_to_cbuf"
    MNEMONIC: ClassVar[str] = "copy_gm_to_cbuf"


@irdl_op_definition
class CopyUbufToGmOp(InstructionOp):
    """Pipe MTE3. burst copy ub → gm: for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]"""  # noqa: E501

    name = "davinci.copy_ubuf_to_gm"
    MNEMONIC: ClassVar[str] = "copy_ubuf_to_gm"


@irdl_op_definition
class CopyUbufToCbufOp(InstructionOp):
    """Pipe MTE3. burst copy ub → l1: for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]"""  # noqa: E501

    name = "davinci.copy_ubuf_to_cbuf"
    MNEMONIC: ClassVar[str] = "copy_ubuf_to_cbuf"


@irdl_op_definition
class CopyCbufToUbufOp(InstructionOp):
    """Pipe MTE1. burst copy l1 → ub: for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]"""  # noqa: E501

    name = "davinci.copy_cbuf_to_ubuf"
    MNEMONIC: ClassVar[str] = "copy_cbuf_to_ubuf"


@irdl_op_definition
class Load2dOp(InstructionOp):
    """Pipe MTE1. fractals L1 → L0A or L0B: for i < repeat: dst[512·i …] = transpose?(src[512·(base ± i·src_stride) …])"""  # noqa: E501

    name = "davinci.load2d"
    MNEMONIC: ClassVar[str] = "load2d"


@irdl_op_definition
class Load2dGmOp(InstructionOp):
    """Pipe MTE2. fractals GM → L1, L0A or L0B: for i < repeat: dst[512·i …] = src[512·(base ± i·src_stride) …]"""  # noqa: E501

    name = "davinci.load2d_gm"
    MNEMONIC: ClassVar[str] = "load2d_gm"


@irdl_op_definition
class Load3dv1Op(InstructionOp):
    """Pipe MTE1. img2col, version 1: per repeat one fractal of 16 output positions × C0 for one filter tap: row p of a fractal = feature map [c1][leftTopH' + fetch_h·dilation_h][leftTopW' + fetch_w·dilation_w][0:C0], positions step stride_w and wrap at the right padded edge; repeat_mode 0: next tap (kw, kh, c1), 1: next 16 positions and jump fractals further"""  # noqa: E501

    name = "davinci.load3dv1"
    MNEMONIC: ClassVar[str] = "load3dv1"


@irdl_op_definition
class Load3dOp(InstructionOp):
    """Pipe MTE1. img2col, version 2: a slice of the virtual matrix I2C[m][k]: I2C[m][k], m = ho·Wo + wo, k = ((c1·Kh + kh)·Kw + kw)·C0 + c0, = src[c1][ho·stride_h - pad_top + kh·dilation_h][wo·stride_w - pad_left + kw·dilation_w][c0], pad_value outside; to L0A [M1][K1][16][C0], to L0B [M1][K1][C0][16]"""  # noqa: E501

    name = "davinci.load3d"
    MNEMONIC: ClassVar[str] = "load3d"


@irdl_op_definition
class Set2dOp(InstructionOp):
    """Pipe MTE1. fills fractals of L0A or L0B with one 16-bit value: dst[0 … 512·repeat] = value"""  # noqa: E501

    name = "davinci.set_2d"
    MNEMONIC: ClassVar[str] = "set_2d"


@irdl_op_definition
class MadOp(InstructionOp):
    """Pipe M. matrix multiply-accumulate: C[((no·M1+mo)·16+mi)·16+ni] = (init ? 0 : C) + Σk A[((mo·K1+ko)·16+mi)·k0+ki]·B[((ko·N1+no)·16+ni)·k0+ki]"""  # noqa: E501

    name = "davinci.mad"
    MNEMONIC: ClassVar[str] = "mad"


@irdl_op_definition
class FftsCrossCoreSyncOp(InstructionOp):
    """Pipe S. queued on a pipe: this core's set of a flag for other cores, when all earlier work of the pipe is complete: mode all: cores of this type in all blocks set, each of them gets one; vectors: the vector cores of the block; group: the cube core sets, its vector cores get one each; or all its vector cores set, the cube core gets one"""  # noqa: E501

    name = "davinci.ffts_cross_core_sync"
    MNEMONIC: ClassVar[str] = "ffts_cross_core_sync"


@irdl_op_definition
class WaitFlagDevOp(InstructionOp):
    """Pipe S. stops the scalar unit until another core's flag is set, then takes one off its counter: counter[flag] -= 1 as soon as it is not 0"""  # noqa: E501

    name = "davinci.wait_flag_dev"
    MNEMONIC: ClassVar[str] = "wait_flag_dev"


@irdl_op_definition
class SetQuantPreOp(InstructionOp):
    """Pipe S. parameter of the fixpipe for all columns: bits 31:13 fp32 factor (1-8-10), 35:32 shift - 1 and 36 whether to shift first, 45:37 signed offset, 46 signed result: quant_pre = the operand"""  # noqa: E501

    name = "davinci.set_quant_pre"
    MNEMONIC: ClassVar[str] = "set_quant_pre"


@irdl_op_definition
class SetNdParaOp(InstructionOp):
    """Pipe S. matrices per fixpipe instruction with nz2nd: nd_num = the operand, src_nd_stride = the operand, dst_nd_stride = the operand"""  # noqa: E501

    name = "davinci.set_nd_para"
    MNEMONIC: ClassVar[str] = "set_nd_para"


@irdl_op_definition
class SetMovPadValOp(InstructionOp):
    """Pipe S. value of the elements that copy_gm_to_ubuf_align adds: mov_pad = the operand"""  # noqa: E501

    name = "davinci.set_mov_pad_val"
    MNEMONIC: ClassVar[str] = "set_mov_pad_val"


@irdl_op_definition
class CopyGmToUbufAlignOp(InstructionOp):
    """Pipe MTE2. bursts of any number of bytes GM → UB, padded to whole blocks: for i < bursts: block row = left·pad, src[i·(length + src_gap) … + length], right·pad, then undefined bytes up to the end of its last block; rows lie dst_gap blocks apart"""  # noqa: E501

    name = "davinci.copy_gm_to_ubuf_align"
    MNEMONIC: ClassVar[str] = "copy_gm_to_ubuf_align"


@irdl_op_definition
class CopyUbufToGmAlignOp(InstructionOp):
    """Pipe MTE3. bursts of any number of bytes UB → GM: for i < bursts: dst[i·(length + dst_gap) … + length] = the first `length` bytes of a block row of src; rows lie src_gap blocks apart"""  # noqa: E501

    name = "davinci.copy_ubuf_to_gm_align"
    MNEMONIC: ClassVar[str] = "copy_ubuf_to_gm_align"


@irdl_op_definition
class CopyGmToCbufMultiNd2nzOp(InstructionOp):
    """Pipe MTE2. matrices of rows GM → fractal columns in L1: for i < nd_num, n < n_value, d < d_value: dst[i·dst_nd_stride + d%C0 elements + (n·dst_n_stride + d//C0·dst_c0_stride)·32 B] = src[i·src_nd_stride + n·src_d + d]; the last d//C0 is filled up with zeros"""  # noqa: E501

    name = "davinci.copy_gm_to_cbuf_multi_nd2nz"
    MNEMONIC: ClassVar[str] = "copy_gm_to_cbuf_multi_nd2nz"


@irdl_op_definition
class CopyCbufToGmOp(InstructionOp):
    """Pipe MTE3. burst copy l1 → gm: for i < bursts: dst[i·(length+dst_gap)·32 …] = src[i·(length+src_gap)·32 … +length·32]"""  # noqa: E501

    name = "davinci.copy_cbuf_to_gm"
    MNEMONIC: ClassVar[str] = "copy_cbuf_to_gm"


@irdl_op_definition
class CopyCbufToBtOp(InstructionOp):
    """Pipe MTE1. L1 → bias table, to fp32 where the type says so: dst[i] = convert?(src[i]), i < 64 B · length of the source"""  # noqa: E501

    name = "davinci.copy_cbuf_to_bt"
    MNEMONIC: ClassVar[str] = "copy_cbuf_to_bt"


@irdl_op_definition
class CopyCbufToFbufOp(InstructionOp):
    """Pipe FIX. L1 → fixpipe buffer: dst[i] = convert?(src[i]), i < 128 B · length of the source"""  # noqa: E501

    name = "davinci.copy_cbuf_to_fbuf"
    MNEMONIC: ClassVar[str] = "copy_cbuf_to_fbuf"


@irdl_op_definition
class Load2dTransposeOp(InstructionOp):
    """Pipe MTE1. transposed squares L1 → L0A or L0B: 16×16 of 16- and 32-bit types, 32×32 of 8-bit types: for i < repeat: square = src[S·(base ± i·src_stride) …], S = its bytes; its transpose as fractals: fractal g to dst[512·(i·(dst_gap + 1) + g·(frac_gap + 1)) …]; in memory a square of 8-bit types is two fractals one below the other, of 32-bit types two side by side"""  # noqa: E501

    name = "davinci.load2d_transpose"
    MNEMONIC: ClassVar[str] = "load2d_transpose"


@irdl_op_definition
class SetL12dOp(InstructionOp):
    """Pipe MTE2. fills blocks of L1 with one 16-bit or 32-bit value: for i < repeat: dst[32·i·(blocks + dst_gap) … + 32·blocks] = value"""  # noqa: E501

    name = "davinci.set_l1_2d"
    MNEMONIC: ClassVar[str] = "set_l1_2d"


@irdl_op_definition
class CopyMatrixCcToGmOp(InstructionOp):
    """Pipe FIX. accumulators L0C → gm, converted and rearranged: element (i, j) = relu?(convert(src[((j//16)·src_stride + i)·16 + j%16])); to dst[(i·dst_stride + j)] with nz2nd, else to dst[j//C0 · 32·dst_stride bytes + i·C0 + j%C0], C0 = 32 B of the result (16 for unsplit 32-bit results)"""  # noqa: E501

    name = "davinci.copy_matrix_cc_to_gm"
    MNEMONIC: ClassVar[str] = "copy_matrix_cc_to_gm"


@irdl_op_definition
class CopyMatrixCcToCbufOp(InstructionOp):
    """Pipe FIX. accumulators L0C → l1, converted and rearranged: element (i, j) = relu?(convert(src[((j//16)·src_stride + i)·16 + j%16])); to dst[(i·dst_stride + j)] with nz2nd, else to dst[j//C0 · 32·dst_stride bytes + i·C0 + j%C0], C0 = 32 B of the result (16 for unsplit 32-bit results)"""  # noqa: E501

    name = "davinci.copy_matrix_cc_to_cbuf"
    MNEMONIC: ClassVar[str] = "copy_matrix_cc_to_cbuf"


@irdl_op_definition
class MadBiasOp(InstructionOp):
    """Pipe M. matrix multiply-accumulate that starts at the biases in bt: C[i, j] = bias[j] + Σk A[i, k]·B[k, j]; layouts as mad"""  # noqa: E501

    name = "davinci.mad_bias"
    MNEMONIC: ClassVar[str] = "mad_bias"
