"""Layout of the `.om` container: the one description that writer and reader share.

A file is a 256-byte header, a table of partitions and the partitions back to back. All integers are
little-endian. Current files use a table of 64-bit rows (header field `model_length`), old ones of 32-bit
rows (`length`); stored offsets count from the first byte after the table. Real loaders ignore the offsets
and walk the sizes, viewers seek by offset: only a file without gaps serves both.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..errors import NOT_LOADED, AscendError

MAGIC: Final = 0x444F4D49  # "IMOD" on disk
HEADER_SIZE: Final = 256
VERSION_1: Final = 0x10000000
VERSION_2: Final = 0x20000000
IR_VERSION: Final = 2
PLATFORM_VERSION: Final = "1.0.0.0"
NAME_BYTES: Final = 31

HEADER: Final = struct.Struct("<3I64sI4B32sI32s2I20sB3xQBB62s")
"""magic headsize version | checksum | length | is_encrypt is_checksum modeltype genmode | name | ops |
userdefineinfo | om_ir_version model_num | platform_version | platform_type | model_length |
need_check_os_cpu_info is_unknow_model | reserved"""
assert HEADER.size == HEADER_SIZE

TABLE_HEAD_64: Final = struct.Struct("<I4x")
TABLE_ROW_64: Final = struct.Struct("<I4xQQ")
TABLE_HEAD_32: Final = struct.Struct("<I")
TABLE_ROW_32: Final = struct.Struct("<III")
MAX_PARTITIONS: Final = 8
MAX_BUNDLED: Final = 4096
"""Rows in the table of a bundle, and models behind each other in one file."""

TYPE_IR_MODEL: Final = 0
TYPE_STANDARD: Final = 1
TYPE_BUNDLE: Final = 5
MODEL_TYPES: Final = ("IR model", "standard model", "OM tiny", "flow model", "lite model", "bundle")
"""Header field `modeltype`."""

KERNEL_MAGIC: Final = 0x5D776EFD
KERNEL_ITEM: Final = struct.Struct("<III")  # magic, name length, code length

TLV: Final = struct.Struct("<II")  # type, length
TLV_INPUTS: Final = 0
TLV_OUTPUTS: Final = 1
TLV_PROFILES: Final = {"batch": 2, "image": 3, "dims": 4}
TLV_OUTPUT_SHAPES: Final = 5
TLV_INPUT_ORDER: Final = 6
COUNT: Final = struct.Struct("<I")
IO_RECORD: Final = struct.Struct(
    "<QiiIIII"
)  # bytes, format, dtype, then lengths in bytes of name, dims, dims again, ranges

WORD_BYTES: Final = 8
TASK_KERNEL: Final = 0
TASK_MEMCPY: Final = 13
"""MEMCPY_ASYNC."""
MEMCPY_DEVICE_TO_DEVICE: Final = 3
TASK_LABEL_SET: Final = 9
TASK_LABEL_SWITCH: Final = 23
"""LABEL_SWITCH_BY_INDEX: tasks go on at the label whose number a tensor holds."""
TASK_LABEL_GOTO: Final = 24
MAX_UINT32: Final = (1 << 32) - 1
MAX_UINT64: Final = (1 << 64) - 1


class Partition(IntEnum):
    """What a partition holds. Readers find partitions by this number and keep those they do not know."""

    MODEL_DEF = 0
    WEIGHTS_DATA = 1
    TASK_INFO = 2
    TBE_KERNELS = 3
    CUST_AICPU_KERNELS = 4
    SO_BINS = 5
    FLOW_MODEL = 6
    FLOW_SUBMODEL = 7
    MODEL_INOUT_INFO = 8
    STATIC_TASK_DESC = 9
    DYNAMIC_TASK_DESC = 10
    TASK_PARAM = 11
    TILING_DATA = 12
    PRE_MODEL_DESC = 20
    PRE_MODEL_SQE = 21
    PRE_KERNEL_ARGS = 22
    PRE_MODEL_DESC_EXTEND = 23
    BUNDLE_MODEL_INFO = 24
    BUNDLE_MODEL_VAR_INFO = 25
    CUSTOM_OPS = 26


ORDER: Final = (
    Partition.SO_BINS,
    Partition.CUSTOM_OPS,
    Partition.TILING_DATA,
    Partition.MODEL_INOUT_INFO,
    Partition.MODEL_DEF,
    Partition.WEIGHTS_DATA,
    Partition.TBE_KERNELS,
    Partition.CUST_AICPU_KERNELS,
    Partition.TASK_INFO,
)
"""The order in which the public tool writes partitions; what it does not know stands behind, by number."""

UNDERSTOOD: Final = frozenset(
    {
        Partition.MODEL_INOUT_INFO,
        Partition.MODEL_DEF,
        Partition.WEIGHTS_DATA,
        Partition.TBE_KERNELS,
        Partition.TASK_INFO,
    }
)
"""Partitions that are fields of `OmModel`; others are kept as bytes (`OmModel.other`)."""

MAY_EXCEED_4_GIB: Final = frozenset(
    {Partition.WEIGHTS_DATA, Partition.TBE_KERNELS, Partition.CUST_AICPU_KERNELS}
)


@dataclass(frozen=True)
class ElementType:
    """One element type under its two public numbers: `proto` in the graph, `runtime` everywhere else."""

    name: str
    proto: int
    runtime: int
    size: int
    public: str


ELEMENT_TYPES: Final = (
    ElementType("f32", 1, 0, 4, "DT_FLOAT"),
    ElementType("f16", 2, 1, 2, "DT_FLOAT16"),
    ElementType("i8", 3, 2, 1, "DT_INT8"),
    ElementType("u8", 4, 4, 1, "DT_UINT8"),
    ElementType("i16", 5, 6, 2, "DT_INT16"),
    ElementType("u16", 6, 7, 2, "DT_UINT16"),
    ElementType("i32", 7, 3, 4, "DT_INT32"),
    ElementType("i64", 8, 9, 8, "DT_INT64"),
    ElementType("u32", 9, 8, 4, "DT_UINT32"),
    ElementType("u64", 10, 10, 8, "DT_UINT64"),
    ElementType("bool", 11, 12, 1, "DT_BOOL"),
    ElementType("f64", 12, 11, 8, "DT_DOUBLE"),
    ElementType("bf16", 27, 27, 2, "DT_BFLOAT16"),
    ElementType("c64", 16, 16, 8, "DT_COMPLEX64"),
    ElementType("c128", 17, 17, 16, "DT_COMPLEX128"),
    # whole bytes on the device, whatever the width: only the AI CPU reads these
    ElementType("i4", 28, 29, 1, "DT_INT4"),
    ElementType("i2", 30, 31, 1, "DT_INT2"),
    ElementType("u2", 31, 32, 1, "DT_UINT2"),
    ElementType("f8e5m2", 34, 35, 1, "DT_FLOAT8_E5M2"),
    ElementType("f8e4m3fn", 35, 36, 1, "DT_FLOAT8_E4M3FN"),
    ElementType("f8e8m0", 36, 37, 1, "DT_FLOAT8_E8M0"),
    ElementType("f4e2m1", 39, 40, 1, "DT_FLOAT4_E2M1"),
    # GE has no number for these; ours are far from its own
    ElementType("u4", 1021, 1021, 1, "DT_UINT4"),
    ElementType("f8e4m3fnuz", 1018, 1018, 1, "DT_FLOAT8_E4M3FNUZ"),
    ElementType("f8e5m2fnuz", 1020, 1020, 1, "DT_FLOAT8_E5M2FNUZ"),
)
BY_NAME: Final = {element.name: element for element in ELEMENT_TYPES}
BY_PROTO: Final = {element.proto: element for element in ELEMENT_TYPES}
BY_RUNTIME: Final = {element.runtime: element for element in ELEMENT_TYPES}

_FORMAT_LIST: Final = """
NCHW NHWC ND NC1HWC0 FRACTAL_Z NC1C0HWPAD NHWC1C0 FSR_NCHW FRACTAL_DECONV C1HWNC0
FRACTAL_DECONV_TRANSPOSE FRACTAL_DECONV_SP_STRIDE_TRANS NC1HWC0_C04 FRACTAL_Z_C04 CHWN DECONV_SP_STRIDE8_TRANS HWCN
NC1KHKWHWC0 BN_WEIGHT FILTER_HWCK LOOKUP_LOOKUPS LOOKUP_KEYS LOOKUP_VALUE LOOKUP_OUTPUT LOOKUP_HITS C1HWNCoC0 MD NDHWC
FRACTAL_ZZ FRACTAL_NZ NCDHW DHWCN NDC1HWC0 FRACTAL_Z_3D CN NC DHWNC FRACTAL_Z_3D_TRANSPOSE FRACTAL_ZN_LSTM FRACTAL_Z_G
FORMAT_RESERVED ALL NULL ND_RNN_BIAS FRACTAL_ZN_RNN NYUV NYUV_A NCL FRACTAL_Z_WINO C1HWC0 FRACTAL_NZ_C0_16
FRACTAL_NZ_C0_32 FRACTAL_NZ_C0_2 FRACTAL_NZ_C0_4 FRACTAL_NZ_C0_8
"""
FORMATS: Final = {name: number for number, name in enumerate(_FORMAT_LIST.split())}
"""Format names as they stand in the field `layout`, to their numbers (om-format.md §7): the position in the list."""

FORMAT_NAMES: Final = {number: name for name, number in FORMATS.items()}


def is_format(name: str) -> bool:
    """Whether that is "NAME" or "NAME:sub", the sub-format a number of 16 bits."""
    primary, _, sub = name.partition(":")
    number = sub.isascii() and sub.isdecimal() and len(sub) <= 5 and int(sub) <= 0xFFFF
    return primary in FORMATS and (not sub or number)


def format_word(name: str) -> int:
    """The 32-bit format number of "NAME" or "NAME:sub" (sub = convolution groups for FRACTAL_Z)."""
    primary, _, sub = name.partition(":")
    return FORMATS[primary] | (int(sub) << 8 if sub else 0)


def format_name(word: int) -> str | None:
    """The text form of a 32-bit format number, or None for an unknown one."""
    primary = FORMAT_NAMES.get(word & 0xFF)
    sub = (word >> 8) & 0xFFFF
    return f"{primary}:{sub}" if primary is not None and sub else primary


# Attributes with a meaning for the container.
ATTR_MEMORY_SIZE: Final = "memory_size"
ATTR_WEIGHT_SIZE: Final = "weight_size"
ATTR_STREAM_NUM: Final = "stream_num"
ATTR_FEATURE_MAP_BASE: Final = "task_gen_base_addr"
ATTR_WEIGHT_BASE: Final = "task_gen_weight_addr"
ATTR_SOC: Final = "soc_version"
ATTR_OUT_NAMES: Final = "attr_model_out_nodes_name"
ATTR_SIZES: Final = "om_info_list"
ATTR_MACHINE_CODE: Final = "_ascend_mlir_machine_code"
UNUSED_RESOURCES: Final = {
    "event_num": 0,
    "notify_num": 0,
    "label_num": 0,
    "batch_num": 0,
    "variable_size": 0,
    "task_gen_variable_addr": 0,
    "zero_copy_memory_size": 0,
    "p2p_memory_size": 0,
    "session_scope_memory_size": 0,
    "host_memory_size": 0,
    "host_svm_size": 0,
    "core_type": 0,
}
"""What a static model of ours never has, and loaders ask for (om-format.md §3.4): events, notifications, labels,
variables, memory of other kinds. Core type 0 is the AI Core."""

DERIVED_ATTRS: Final = frozenset(
    {
        *UNUSED_RESOURCES,
        ATTR_MEMORY_SIZE,
        ATTR_WEIGHT_SIZE,
        ATTR_STREAM_NUM,
        ATTR_FEATURE_MAP_BASE,
        ATTR_WEIGHT_BASE,
        ATTR_SOC,
        ATTR_OUT_NAMES,
        ATTR_SIZES,
        ATTR_MACHINE_CODE,
    }
)
"""Model attributes that are fields of `OmModel`; the writer makes them, the reader takes them back."""

ATTR_KERNEL_NAME: Final = "_kernelname"
ATTR_BLOCKS: Final = "tvm_blockdim"
ATTR_SOURCES: Final = "_datadump_original_op_names"
ATTR_FUSED: Final = "_datadump_is_multiop"
ATTR_COMPILER: Final = "compiler_version"
ATTR_OPERATORS: Final = "opp_version"
"""Attributes of operators (their kernel, its blocks, the source nodes, whether these are several) and of models."""

ATTR_INDEX: Final = "index"
ATTR_VALUE: Final = "value"
ATTR_ORIGIN_FORMAT: Final = "origin_format"
ATTR_ORIGIN_FORMAT_INT: Final = "origin_format_for_int"
ATTR_FORMAT_INT: Final = "format_for_int"
ATTR_ORIGIN_SHAPE: Final = "origin_shape"
ATTR_ORIGIN_SHAPE_SET: Final = "origin_shape_initialized"
ATTR_ORIGIN_TYPE: Final = "origin_data_type"
ATTR_STORAGE_SHAPE: Final = "storage_shape"
ATTR_PARENT: Final = "_parent_node_index"
"""In a graph that belongs to a node: which input or output of the node a boundary stands for."""
ATTR_INSERTED: Final = "mbatch-inserted-node"
ATTR_SHAPE_DATA: Final = "_is_multi_batch_shape_data"
ATTR_HOST_TENSOR: Final = "_host_tensor"
ATTR_CASE_NAME: Final = "mbatch-switch-name"
ATTR_ORIGIN_DIMS: Final = "_mbatch_origin_input_dims"
ATTR_OUTPUT_DIMS: Final = "_dynamic_output_dims"
ATTR_BRANCHES: Final = "_batch_num"
ATTR_SIZES_OF: Final = "_pred_value_"
ATTR_ORDER: Final = "user_designate_shape_order"
ATTR_PROFILE_KIND: Final = "mbatch_dynamic_type"
"""Attributes of the graph that chooses a profile of sizes (om-format.md §6.1)."""
PROFILE_KINDS: Final = {"batch": 1, "image": 2, "dims": 3}
SHAPE_DATA: Final = "ascend_mbatch_shape_data"
SHAPE_TABLE: Final = "ascend_mbatch_shape_const"
MAP_INDEX: Final = "ascend_mbatch_shape_mapindex"
CASE: Final = "ascend_mbatch_shape_case"
BRANCH_SUFFIX: Final = "_ascend_mbatch_batch_"
"""Nodes of that graph, and what the nodes of branch j have behind their names, before j."""
MAX_PROFILES: Final = 100

OP_CASE: Final = "Case"
OP_MAP_INDEX: Final = "MapIndex"
OP_DATA: Final = "Data"
OP_CONST: Final = "Const"
OP_OUTPUT: Final = "NetOutput"


DAMAGED: Final = "convert the model again; the file is damaged or was not written by a supported tool"


class OmError(AscendError):
    """A damaged or foreign offline model: which partition, which byte of it, and what was expected there."""

    def __init__(
        self,
        message: str,
        *,
        partition: str = "header",
        offset: int | None = None,
        expected: str = "",
        hint: str = DAMAGED,
    ) -> None:
        super().__init__(
            NOT_LOADED,
            f"invalid om file: {message} (partition {partition}, byte {offset or 0})",
            expected=expected,
            hint=hint,
        )
        self.what = message
        self.partition = partition
        self.offset = 0 if offset is None and partition == "header" else offset

    def at(self, offset: int, partition: str = "") -> OmError:
        """The same error where it did not know its place; itself where it did."""
        if self.offset is not None:
            return self
        return OmError(
            self.what,
            partition=partition or self.partition,
            offset=offset,
            expected=self.expected,
            hint=self.hint,
        )


def partition_name(number: int) -> str:
    """A partition's public name, or its number."""
    return next((known.name for known in Partition if known == number), str(number))
