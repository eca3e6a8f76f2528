"""Bytes of a `.om` file → `OmModel`.

A file is data from outside: every length, offset, count and reference is checked before it is used, and
whatever is wrong ends in one `OmError` that says in which partition and at which byte. Weights stay in the
file (memory-mapped) until somebody asks for their bytes.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from struct import Struct
from typing import TypeAlias, TypeVar

from google.protobuf.message import DecodeError

from ..errors import AscendError
from . import format as f
from . import ge_ir_pb2 as ge
from . import task_pb2 as domi
from .consistency import InconsistentModelError, check
from .graph_reader import Graph, read_graph, read_model_attrs
from .model import KERNEL_TYPE_NONE, MEMCPY, Arg, OmKernel, OmModel, OmTask, OmTensor, OmWeight, WeightPayload

_Message = TypeVar("_Message", ge.ModelDef, domi.ModelTaskDef, domi.TaskSources)
Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview"


@dataclass(frozen=True)
class Container:
    """The file taken apart, partitions by number, nothing interpreted yet."""

    name: str
    version: int
    ir_version: int
    partitions: Mapping[int, memoryview]

    def partition(self, which: f.Partition) -> memoryview:
        """A partition that must be there."""
        if which not in self.partitions:
            raise f.OmError(
                f"it holds no {which.name} partition", expected="an offline model with graph and tasks"
            )
        return self.partitions[which]


def read_container(source: Source) -> Container:
    """Header and partition table, checked."""
    data = _open(source)
    if len(data) < f.HEADER_SIZE:
        raise f.OmError(
            f"{len(data)} bytes are less than a header", expected=f"at least {f.HEADER_SIZE} bytes"
        )
    (magic, headsize, version, _, length, encrypted, _, kind, _, name, _, _, ir_version, models, *rest) = (
        f.HEADER.unpack_from(data)
    )
    if magic != f.MAGIC:
        raise f.OmError("it does not begin with IMOD", expected="a .om file written by atc")
    if headsize != f.HEADER_SIZE:
        raise f.OmError(f"header size {headsize}", offset=4, expected=str(f.HEADER_SIZE))
    if version not in (f.VERSION_1, f.VERSION_2):
        raise f.OmError(f"header version {version:#x}", offset=8, expected="1.0 or 2.0")
    if encrypted:
        raise f.OmError("the model is encrypted", offset=80)
    if kind not in (0, 1):
        raise f.OmError(f"model type {kind}", offset=82, expected="a plain model (0 or 1)")
    body, unknown_shape = rest[2], rest[4]
    wide = version == f.VERSION_2 and body != 0
    if version == f.VERSION_2 and (models != 1 or unknown_shape):
        raise f.OmError(
            f"it holds {models} models or dynamic shapes", offset=156, expected="one static model"
        )
    announced = body if wide else length
    if announced != len(data) - f.HEADER_SIZE:
        raise f.OmError(
            f"the header announces {announced} bytes after itself, the file has {len(data) - f.HEADER_SIZE}",
            offset=184 if wide else 76,
        )
    partitions = _partitions(data[f.HEADER_SIZE :], wide)
    return Container(name.split(b"\0")[0].decode(errors="replace"), version, ir_version, partitions)


def _open(source: Source) -> memoryview:
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).cast("B")
    path = Path(source)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if not size:
                raise f.OmError(f"{str(path)!r} is empty", expected="a .om file")
            return memoryview(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ))
    except OSError as error:
        raise AscendError(
            "E13001",
            f"cannot open {str(path)!r}: {error.strerror or error}",
            expected="a readable .om file",
            hint="check the path",
        ) from error


def _partitions(body: memoryview, wide: bool) -> dict[int, memoryview]:
    head, row = (f.TABLE_HEAD_64, f.TABLE_ROW_64) if wide else (f.TABLE_HEAD_32, f.TABLE_ROW_32)
    if len(body) < head.size:
        raise f.OmError("it ends before the partition table", partition="table")
    (count,) = head.unpack_from(body)
    if not 1 <= count <= f.MAX_PARTITIONS:
        raise f.OmError(f"{count} partitions", partition="table", expected=f"1 to {f.MAX_PARTITIONS}")
    payload = head.size + count * row.size
    if payload > len(body):
        raise f.OmError(f"it ends inside a table of {count} rows", partition="table", offset=head.size)
    found: dict[int, memoryview] = {}
    running = 0
    for index in range(count):
        at = head.size + index * row.size
        number, offset, size = row.unpack_from(body, at)
        if offset != running:
            raise f.OmError(
                f"partition {f.partition_name(number)} starts at {offset}",
                partition="table",
                offset=at,
                expected=str(running),
            )
        if size > len(body) - payload - offset:
            raise f.OmError(
                f"partition {f.partition_name(number)} runs past the end", partition="table", offset=at
            )
        if number in found:
            raise f.OmError(
                f"partition {f.partition_name(number)} stands twice", partition="table", offset=at
            )
        found[number] = body[payload + offset : payload + offset + size]
        running += size
    if payload + running != len(body):
        raise f.OmError(f"{len(body) - payload - running} bytes behind the last partition", partition="table")
    return found


def read_om(source: Source, *, digests: bool = True) -> OmModel:
    """Read a file (by path) or its bytes. Without `digests` the weights' contents are not looked at until
    they are used."""
    container = read_container(source)
    message = _parse(ge.ModelDef, container.partition(f.Partition.MODEL_DEF), f.Partition.MODEL_DEF)
    if len(message.graph) != 1:
        raise f.OmError(f"{len(message.graph)} graphs", partition="MODEL_DEF", expected="one graph")
    attrs = read_model_attrs(message)
    graph = read_graph(message, attrs.output_names)
    region = container.partitions.get(f.Partition.WEIGHTS_DATA, memoryview(b""))
    if attrs.weight_size != len(region):
        raise f.OmError(
            f"weight region of {len(region)} bytes", partition="WEIGHTS_DATA", expected=str(attrs.weight_size)
        )
    model = OmModel(
        name=message.name,
        soc=attrs.soc,
        inputs=graph.inputs,
        outputs=graph.outputs,
        memory_size=attrs.memory_size,
        weights=tuple(
            _weight(weight, offset, size, region, digests) for weight, offset, size in graph.weights
        ),
        kernels=_kernels(container.partitions.get(f.Partition.TBE_KERNELS, memoryview(b""))),
        graph=graph.ops,
        attrs=attrs.other,
        feature_map_base=attrs.feature_map_base,
        weight_base=attrs.weight_base,
        machine_code=attrs.machine_code,
    )
    if model.weight_size != len(region):
        raise f.OmError(
            f"its weights need {model.weight_size} bytes", partition="WEIGHTS_DATA", expected=str(len(region))
        )
    _check_inout(container.partitions.get(f.Partition.MODEL_INOUT_INFO), model, attrs.output_names)
    tasks = _parse(domi.ModelTaskDef, container.partition(f.Partition.TASK_INFO), f.Partition.TASK_INFO)
    return _checked(_with_tasks(model, tasks, graph))


def _checked(model: OmModel) -> OmModel:
    try:
        check(model)
    except InconsistentModelError as error:
        raise f.OmError(str(error), partition="MODEL_DEF") from error
    return model


def _parse(kind: Callable[[], _Message], data: memoryview | bytes, partition: f.Partition) -> _Message:
    message = kind()
    try:
        message.ParseFromString(bytes(data))
    except (DecodeError, ValueError) as error:
        raise f.OmError(
            "it cannot be decoded", partition=partition.name, expected="a protobuf message"
        ) from error
    return message


def _weight(weight: OmWeight, offset: int, size: int, region: memoryview, digests: bool) -> OmWeight:
    if offset < 0 or size < 0 or offset + size > len(region):
        raise f.OmError(
            f"weight {weight.name!r} of {size} bytes at {offset} leaves the region of {len(region)} bytes",
            partition="WEIGHTS_DATA",
            offset=max(offset, 0),
        )
    data = region[offset : offset + size]
    digest = hashlib.sha256(data).hexdigest() if digests else ""
    return replace(weight, offset=offset, payload=WeightPayload(size, digest, lambda: data))


def _kernels(store: memoryview) -> tuple[OmKernel, ...]:
    kernels: list[OmKernel] = []
    at = 0
    while at < len(store):
        magic, name_size, code_size = _unpack(f.KERNEL_ITEM, store, at, "TBE_KERNELS")
        if magic != f.KERNEL_MAGIC:
            raise f.OmError(
                "a kernel does not begin with its magic number", partition="TBE_KERNELS", offset=at
            )
        start = at + f.KERNEL_ITEM.size
        if name_size + code_size > len(store) - start:
            raise f.OmError("a kernel runs past the end", partition="TBE_KERNELS", offset=at)
        name = _text(store[start : start + name_size], "TBE_KERNELS", start)
        kernels.append(OmKernel(name, bytes(store[start + name_size : start + name_size + code_size])))
        at = start + name_size + code_size
    return tuple(kernels)


def _with_tasks(model: OmModel, message: domi.ModelTaskDef, graph: Graph) -> OmModel:
    announced = (message.memory_size, message.weight_size, message.base_addr, message.weight_addr)
    expected = (model.memory_size, model.weight_size, model.feature_map_base, model.weight_base)
    if announced != expected:
        raise f.OmError(
            f"its regions {announced} are not the model's", partition="TASK_INFO", expected=str(expected)
        )
    tasks = tuple(_task(model, index, task, graph) for index, task in enumerate(message.task))
    return replace(model, tasks=tasks)


def _task(model: OmModel, index: int, task: domi.TaskDef, graph: Graph) -> OmTask:
    if task.type == f.TASK_MEMCPY and task.HasField("memcpy_async"):
        return _copy(model, index, task, graph)
    if task.type != f.TASK_KERNEL or not task.HasField("kernel"):
        raise f.OmError(
            f"task {index} has type {task.type}",
            partition="TASK_INFO",
            expected="kernel launches (0) and copies (13)",
        )
    kernel = task.kernel
    if kernel.args_size != len(kernel.args) or len(kernel.args) % f.WORD_BYTES:
        raise f.OmError(
            f"task {index} has {len(kernel.args)} bytes of arguments, announces {kernel.args_size}",
            partition="TASK_INFO",
            expected="whole 64-bit words",
        )
    if kernel.kernel_ext_info_size != len(kernel.kernel_ext_info):
        raise f.OmError(
            f"task {index} announces another size of its extra information", partition="TASK_INFO"
        )
    op_index = kernel.context.op_index - graph.first_op_id
    if not 0 <= op_index < max(len(graph.ops), 1):
        raise f.OmError(f"task {index} names node {kernel.context.op_index}", partition="TASK_INFO")
    sources = _parse(domi.TaskSources, task.private_def, f.Partition.TASK_INFO)
    return OmTask(
        kernel=kernel.kernel_name,
        block_dim=kernel.block_dim,
        args=_args(model, index, kernel),
        op_index=op_index,
        stream=task.stream_id,
        kernel_type=kernel.context.kernel_type,
        kernel_ext_info=kernel.kernel_ext_info,
        sources=tuple(tuple(entry.node) for entry in sources.body_op),
    )


def _copy(model: OmModel, index: int, task: domi.TaskDef, graph: Graph) -> OmTask:
    copy = task.memcpy_async
    target, source = model.address(copy.dst), model.address(copy.src)
    op_index = copy.op_index - graph.first_op_id
    if target is None or source is None or copy.dst_max < copy.count:
        raise f.OmError(f"task {index} copies outside the model's regions", partition="TASK_INFO")
    if not 0 <= op_index < max(len(graph.ops), 1):
        raise f.OmError(f"task {index} names node {copy.op_index}", partition="TASK_INFO")
    args = (target, source, copy.count)
    return OmTask(MEMCPY, 1, args, op_index, task.stream_id, kernel_type=KERNEL_TYPE_NONE)


def _args(model: OmModel, index: int, kernel: domi.KernelDef) -> tuple[Arg, ...]:
    starts = range(0, len(kernel.args), f.WORD_BYTES)
    words = [int.from_bytes(kernel.args[at : at + f.WORD_BYTES], "little") for at in starts]
    addresses = kernel.context.args_count
    if addresses > len(words):
        raise f.OmError(
            f"task {index} has {len(words)} arguments, {addresses} of them addresses", partition="TASK_INFO"
        )
    args: list[Arg] = []
    for word in words[:addresses]:
        address = model.address(word)
        if address is None:
            raise f.OmError(f"task {index} has an address in no region: {word:#x}", partition="TASK_INFO")
        args.append(address)
    return (*args, *words[addresses:])


def _check_inout(info: memoryview | None, model: OmModel, output_names: tuple[str, ...]) -> None:
    """The summary of inputs and outputs must say what the graph says: tools read one or the other."""
    if info is None:
        return
    expected = {
        kind: tensors
        for kind, tensors in (
            (f.TLV_INPUTS, list(model.inputs)),
            (f.TLV_OUTPUTS, [replace(t, name=n) for t, n in zip(model.outputs, output_names, strict=True)]),
        )
        if tensors
    }
    at = 0
    found: dict[int, list[OmTensor]] = {}
    while at < len(info):
        kind, size = _unpack(f.TLV, info, at, "MODEL_INOUT_INFO")
        start = at + f.TLV.size
        if size > len(info) - start:
            raise f.OmError("a block runs past the end", partition="MODEL_INOUT_INFO", offset=at)
        if kind in (f.TLV_INPUTS, f.TLV_OUTPUTS):
            found[kind] = _io_records(info[start : start + size], start)
        at = start + size
    plain = {kind: [replace(t, offset=0, source="") for t in tensors] for kind, tensors in expected.items()}
    if found != plain:
        raise f.OmError("inputs and outputs are not those of the graph", partition="MODEL_INOUT_INFO")


def _io_records(value: memoryview, base: int) -> list[OmTensor]:
    (count,) = _unpack(f.COUNT, value, 0, "MODEL_INOUT_INFO", base)
    at = f.COUNT.size
    tensors: list[OmTensor] = []
    for _ in range(count):
        size, format, dtype, *lengths = _unpack(f.IO_RECORD, value, at, "MODEL_INOUT_INFO", base)
        start = at + f.IO_RECORD.size
        if sum(lengths) > len(value) - start or lengths[1] % f.WORD_BYTES:
            raise f.OmError(
                "a tensor record runs past its block", partition="MODEL_INOUT_INFO", offset=base + at
            )
        name = _text(value[start : start + lengths[0]], "MODEL_INOUT_INFO", base + start)
        dims = value[start + lengths[0] : start + lengths[0] + lengths[1]]
        element, layout = f.BY_RUNTIME.get(dtype), f.format_name(format)
        if element is None or layout is None:
            raise f.OmError(
                f"tensor {name!r} has dtype {dtype}, format {format}",
                partition="MODEL_INOUT_INFO",
                offset=base + at,
            )
        shape = tuple(
            int.from_bytes(dims[i : i + f.WORD_BYTES], "little", signed=True)
            for i in range(0, len(dims), f.WORD_BYTES)
        )
        tensors.append(OmTensor(name, element.name, shape, size, 0, layout))
        at = start + sum(lengths)
    if at != len(value):
        raise f.OmError("bytes behind the last tensor record", partition="MODEL_INOUT_INFO", offset=base + at)
    return tensors


def _unpack(layout: Struct, data: memoryview, at: int, partition: str, base: int = 0) -> tuple[int, ...]:
    if layout.size > len(data) - at:
        raise f.OmError("it ends inside a record", partition=partition, offset=base + at)
    return layout.unpack_from(data, at)


def _text(data: memoryview, partition: str, offset: int) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise f.OmError("a name is not UTF-8", partition=partition, offset=offset) from error
