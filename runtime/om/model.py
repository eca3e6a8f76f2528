"""What an offline model says, as plain data: the common ground of compiler, container, simulator and session.

An Ascend device runs a model as a list of *tasks*. Each task launches one *kernel* on a number of cores
(blocks) with a row of 64-bit argument words: device addresses first, then sizes. Before the first launch
the runtime reserves two regions of device memory:

* the **feature map** region: model inputs, outputs and everything between them, each at an offset the
  compiler planned;
* the **weight** region: the constants, copied once from the file.

An address is always region base + offset; the bases are attributes of the model. Nothing in this module
knows about files, protobuf or IR: `writer.py` and `reader.py` turn an `OmModel` into bytes and back,
`dialects/om.py` into IR and back, and both ways are lossless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Literal, TypeAlias

from ..errors import NOT_LOADED, AscendError

Region: TypeAlias = Literal["feature_map", "weights"]
Bytes: TypeAlias = bytes | bytearray | memoryview
Scalar: TypeAlias = bool | int | float | str | bytes
AttrValue: TypeAlias = Scalar | tuple[Scalar, ...] | tuple[tuple[int, ...], ...]
"""An attribute: a scalar, a list of one kind of scalar, or a list of integer lists. `bytes` is for what is
not text."""

ALIGNMENT: Final = 512
"""Every weight (and every tensor in the feature map) starts at a multiple of this; the weight region starts
with as much unused space, because a weight offset of 0 means "the bytes stand in the graph itself"."""

SPARE: Final = 32
"""Bytes kept free after the last weight: a DMA moves whole 32-byte units and may read past the end of a
tensor."""

FEATURE_MAP_BASE: Final = 0x0000_0010_0000_0000
WEIGHT_BASE: Final = 0x0000_0100_0000_0000
"""Default region bases. Far apart and far from zero, so that a wrong address never lands in the other region
by accident."""

MACHINE_CODE: Final = "ascend-mlir.isa.1"
"""Name of the encoding the kernel images hold (our own: the chip's is not public). Stored in the file; a
loader refuses another."""

KERNEL_TYPE_AI_CORE: Final = 2
KERNEL_TYPE_AI_CPU: Final = 6
KERNEL_TYPE_NONE: Final = 10000
"""A copy by the runtime (MEMCPY_ASYNC): no kernel runs."""

ATTR_NARROWED: Final = "_ascend_mlir_narrowed_inputs"
"""Model attribute: 64-bit inputs of which the cores see 32 bits."""

ATTR_REASON: Final = "_ascend_mlir_aicpu_reason"
"""Attribute of a graph operator: why the AI CPU computes it."""

ATTR_SIZED: Final = "_ascend_mlir_sized_outputs"
"""Model attribute: outputs whose size depends on data. What they hold is cut to the shape that another output of
the same name with `SIZE_SUFFIX` gives."""
SIZE_SUFFIX: Final = "@shape"

MEMCPY: Final = "memcpy"
"""What stands for the kernel's name in a copy."""

Resident: TypeAlias = Callable[[], Bytes]


@dataclass(frozen=True)
class Address:
    """A device address: offset bytes into one of the two regions."""

    region: Region
    offset: int


Arg: TypeAlias = Address | int


@dataclass(frozen=True)
class OmTensor:
    """A model input or output as the caller sees it, and where the session copies it.

    `size` is the number of bytes the caller hands over (dense, logical shape). `source` is
    "producer:output" in the graph for an output and empty for an input.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    offset: int
    format: str = "ND"
    source: str = ""


@dataclass(frozen=True)
class OmDesc:
    """A tensor on an edge of the graph. `shape` is logical, `storage_shape` is what lies in memory in format
    `format`."""

    dtype: str
    shape: tuple[int, ...]
    storage_shape: tuple[int, ...]
    format: str = "ND"
    origin_format: str = "ND"
    size: int = 0


@dataclass(frozen=True)
class WeightPayload:
    """The bytes of a weight, not yet there: how many, their sha256 in hex, and a function that makes them
    (pure; called once per write)."""

    size: int
    digest: str
    load: Resident = field(compare=False, repr=False)

    @staticmethod
    def of(data: Bytes) -> WeightPayload:
        """A payload that is in memory already."""
        return WeightPayload(len(data), hashlib.sha256(data).hexdigest(), lambda: data)

    @staticmethod
    def measured(load: Resident) -> WeightPayload:
        """A payload whose size and digest are found by making the bytes once and dropping them again."""
        data = load()
        return WeightPayload(len(data), hashlib.sha256(data).hexdigest(), load)


@dataclass(frozen=True)
class OmWeight:
    """A constant in the weight region. `size` is `payload.size` and the product of `storage_shape` times the
    element size."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    storage_shape: tuple[int, ...]
    format: str
    payload: WeightPayload
    offset: int = 0
    origin_format: str = "ND"

    @property
    def size(self) -> int:
        """Number of bytes in the region."""
        return self.payload.size


@dataclass(frozen=True)
class OmKernel:
    """A kernel image: one program of 32-byte records for the AI Core, found by name."""

    name: str
    code: bytes


@dataclass(frozen=True)
class OmTask:
    """One launch. `args` are addresses first, then sizes.

    `op_index` is the position in `OmModel.graph` of the operator it computes. `sources[i]` are the nodes of
    the source model that op i of the kernel's body stands for. An AI CPU task (`kernel_type` 6) names a
    library kernel and carries its attributes, a serialized operator definition, in `kernel_ext_info`. A copy
    (`kernel_type` 10000) has the arguments destination, source, number of bytes.
    """

    kernel: str
    block_dim: int
    args: tuple[Arg, ...]
    op_index: int = 0
    stream: int = 0
    kernel_type: int = KERNEL_TYPE_AI_CORE
    kernel_ext_info: bytes = b""
    sources: tuple[tuple[str, ...], ...] = ()

    @property
    def is_ai_cpu(self) -> bool:
        """Whether the AI CPU runs it and not the AI Core."""
        return self.kernel_type == KERNEL_TYPE_AI_CPU

    @property
    def is_copy(self) -> bool:
        """Whether the runtime copies bytes and no processor of the chip is busy."""
        return self.kernel_type == KERNEL_TYPE_NONE

    @property
    def is_ai_core(self) -> bool:
        """Whether it launches a kernel of the file."""
        return not self.is_ai_cpu and not self.is_copy


@dataclass(frozen=True)
class OmGraphOp:
    """An operator for people and tools that read the graph. `inputs` are "producer:output", where a
    producer is a model input, a weight or another operator by name; "" is an absent optional input. Data,
    Const and NetOutput nodes are made by the writer."""

    name: str
    type: str
    inputs: tuple[str, ...] = ()
    input_descs: tuple[OmDesc, ...] = ()
    output_descs: tuple[OmDesc, ...] = ()
    attrs: Mapping[str, AttrValue] = field(default_factory=dict[str, AttrValue], hash=False)
    input_offsets: tuple[int, ...] = ()
    output_offsets: tuple[int, ...] = ()
    workspace_offsets: tuple[int, ...] = ()
    workspace_bytes: tuple[int, ...] = ()


@dataclass(frozen=True)
class OmPartition:
    """A partition that nothing here understands (host libraries, tiling data, …), by its public number: kept as it
    is."""

    number: int
    content: bytes


@dataclass(frozen=True)
class OmModel:
    """A whole offline model. `attrs` are further model attributes (atc_cmdline, atc_version,
    framework_type, …); those the container derives (sizes, bases, soc_version, output names) are fields
    here and are not repeated in `attrs`. `other` are partitions that nobody here reads."""

    name: str
    soc: str
    inputs: tuple[OmTensor, ...]
    outputs: tuple[OmTensor, ...]
    memory_size: int
    weights: tuple[OmWeight, ...] = ()
    kernels: tuple[OmKernel, ...] = ()
    tasks: tuple[OmTask, ...] = ()
    graph: tuple[OmGraphOp, ...] = ()
    attrs: Mapping[str, AttrValue] = field(default_factory=dict[str, AttrValue], hash=False)
    feature_map_base: int = FEATURE_MAP_BASE
    weight_base: int = WEIGHT_BASE
    machine_code: str = MACHINE_CODE
    other: tuple[OmPartition, ...] = ()
    weight_region: int = 0
    """Bytes of a weight region that holds other models' weights as well (`profiles.py`); 0: this one's alone."""

    def require_machine_code(self) -> None:
        """An error if the kernels are not of the encoding that this version reads."""
        if self.machine_code != MACHINE_CODE:
            raise AscendError(
                NOT_LOADED,
                f"the kernels of model {self.name!r} are encoded as {self.machine_code!r}",
                expected=MACHINE_CODE,
                hint="convert the model with this version; kernels of the vendor's tools cannot be simulated",
            )

    @cached_property
    def weight_size(self) -> int:
        """Bytes of the weight region: the unused head, the weights, then padding to a whole number of
        512-byte units."""
        own = max((w.offset + w.size for w in self.weights), default=0)
        return max(align_up(own + SPARE) if self.weights else 0, self.weight_region)

    @cached_property
    def stream_num(self) -> int:
        """Number of streams the tasks use (at least one)."""
        return max((task.stream for task in self.tasks), default=0) + 1

    def word(self, arg: Arg) -> int:
        """The 64-bit argument word the machine sees."""
        if isinstance(arg, int):
            return arg
        return (self.feature_map_base if arg.region == "feature_map" else self.weight_base) + arg.offset

    def arg_words(self, task: OmTask) -> tuple[int, ...]:
        """All argument words of a task."""
        return tuple(self.word(arg) for arg in task.args)

    def address(self, word: int) -> Address | None:
        """The region and offset a device address points into, or None. One past the end of a region still
        belongs to it."""
        if 0 <= word - self.feature_map_base <= self.memory_size:
            return Address("feature_map", word - self.feature_map_base)
        if 0 <= word - self.weight_base <= self.weight_size:
            return Address("weights", word - self.weight_base)
        return None

    @cached_property
    def kernel_by_name(self) -> Mapping[str, OmKernel]:
        """The kernel images by name."""
        return {kernel.name: kernel for kernel in self.kernels}

    def kernel(self, name: str) -> OmKernel | None:
        """The kernel image of that name, if the file holds one."""
        return self.kernel_by_name.get(name)


def align_up(size: int, unit: int = ALIGNMENT) -> int:
    """The least multiple of `unit` that is not below `size`."""
    return -(-size // unit) * unit


def place_weights(weights: Iterable[OmWeight]) -> tuple[OmWeight, ...]:
    """Give every weight its offset: in order, each at a multiple of 512, from 512 on; equal bytes share one
    offset.

    Call it before tasks are made, since their arguments hold weight addresses.
    """
    offsets: dict[tuple[int, str], int] = {}
    end = ALIGNMENT
    placed: list[OmWeight] = []
    for weight in weights:
        key = (weight.size, weight.payload.digest)
        if key not in offsets:
            offsets[key] = end
            end = align_up(end + max(weight.size, 1))
        placed.append(replace(weight, offset=offsets[key]))
    return tuple(placed)


def stored_weights(model: OmModel) -> tuple[OmWeight, ...]:
    """One weight per stored byte range, by rising offset: what a loader copies and a writer streams."""
    by_offset: dict[int, OmWeight] = {}
    for weight in model.weights:
        by_offset.setdefault(weight.offset, weight)
    return tuple(by_offset[offset] for offset in sorted(by_offset))
