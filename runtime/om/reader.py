"""Bytes of a `.om` file → `OmModel`.

A file is data from outside: every length, offset, count and reference is checked before it is used, and
whatever is wrong ends in one `OmError` that says in which partition and at which byte. Weights stay in the
file (memory-mapped) until somebody asks for their bytes; what is decoded stays within a small multiple of the
file's size (`wire.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from struct import Struct
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from . import format as f
from . import ge_ir_pb2 as ge
from . import task_pb2 as domi
from .compression import expand
from .consistency import InconsistentModelError, check
from .container import Block, Container, Source, read_container, release, require
from .graph_reader import ATTR, GRAPH, OP, Graph, read_graph, read_model_attrs
from .model import (
    KERNEL_TYPE_NONE,
    MEMCPY,
    Arg,
    OmKernel,
    OmModel,
    OmPartition,
    OmTask,
    OmTensor,
    OmWeight,
    WeightPayload,
)
from .wire import Places, scan

__all__ = [
    "Container",
    "Source",
    "read_container",
    "read_definition",
    "read_kernels",
    "read_om",
    "read_tasks",
]

_Message = TypeVar("_Message", ge.ModelDef, domi.ModelTaskDef, domi.TaskSources)
_TASK: Final = ("task",)
_HASHED_AT_ONCE: Final = 16 << 20


def read_definition(container: Container, part: int = 0) -> tuple[ge.ModelDef, Places]:
    """The graph of one model of the file, attributes as they were before compression, and where its nodes begin."""
    message, places = _definition(container.blocks[part])
    dictionary, dictionary_places = message, places
    if part and f.Partition.MODEL_DEF in container.blocks[0]:  # only the first model has the dictionary
        dictionary, dictionary_places = _definition(container.blocks[0])
    try:
        expand(message, dictionary, places.starts[OP])
    except f.OmError as error:
        raise error.at(dictionary_places.start(ATTR, 0)) from None
    return message, places


def _definition(block: Block) -> tuple[ge.ModelDef, Places]:
    data = bytes(require(block, f.Partition.MODEL_DEF))
    return _parse(ge.ModelDef, data, f.Partition.MODEL_DEF, (GRAPH, OP, ATTR))


def read_tasks(block: Block) -> tuple[domi.ModelTaskDef, Places]:
    """The tasks of one model, and where each begins."""
    data = bytes(require(block, f.Partition.TASK_INFO))
    return _parse(domi.ModelTaskDef, data, f.Partition.TASK_INFO, (_TASK,))


def read_om(source: Source, *, digests: bool = True, part: int | None = None) -> OmModel:
    """Read a file (by path) or its bytes. Without `digests` the weights' contents are not looked at until
    they are used. Of a file that holds several models, `part` says which."""
    container = read_container(source)
    number = _chosen(container, part)
    block = container.blocks[number]
    message, places = read_definition(container, number)
    if len(message.graph) != 1:
        raise f.OmError(f"{len(message.graph)} graphs", partition="MODEL_DEF", offset=0, expected="one graph")
    try:
        attrs = read_model_attrs(message)
    except f.OmError as error:
        raise error.at(places.start(ATTR, 0)) from None
    try:
        graph = read_graph(message, attrs.output_names, places)
    except f.OmError as error:
        raise error.at(places.start(GRAPH, 0)) from None
    region = block.get(f.Partition.WEIGHTS_DATA, memoryview(b""))
    if attrs.weight_size != len(region):
        raise f.OmError(
            f"weight region of {len(region)} bytes",
            partition="WEIGHTS_DATA",
            offset=len(region),
            expected=str(attrs.weight_size),
        )
    kernels, kernel_starts = read_kernels(block)
    model = OmModel(
        name=message.name,
        soc=attrs.soc,
        inputs=graph.inputs,
        outputs=graph.outputs,
        memory_size=attrs.memory_size,
        weights=tuple(
            _weight(weight, offset, size, region, digests) for weight, offset, size in graph.weights
        ),
        kernels=kernels,
        graph=graph.ops,
        attrs=attrs.other,
        feature_map_base=attrs.feature_map_base,
        weight_base=attrs.weight_base,
        machine_code=attrs.machine_code,
        other=tuple(
            OmPartition(kind, bytes(content))
            for kind, content in sorted(block.items())
            if kind not in f.UNDERSTOOD
        ),
    )
    if model.weight_size != len(region):
        raise f.OmError(
            f"its weights need {model.weight_size} bytes",
            partition="WEIGHTS_DATA",
            offset=len(region),
            expected=str(len(region)),
        )
    _check_inout(block.get(f.Partition.MODEL_INOUT_INFO), model, graph.output_names)
    tasks, task_places = read_tasks(block)
    return _checked(_with_tasks(model, tasks, graph, task_places), graph, task_places, kernel_starts)


def _chosen(container: Container, part: int | None) -> int:
    """Which model of the file is meant."""
    count = len(container.blocks)
    if container.header.dynamic and count == 1:
        raise f.OmError("its shapes are known only when it runs", offset=193, expected="a static model")
    if part is None and count > 1:
        raise f.OmError(
            f"it holds {count} models",
            offset=156,
            expected="one model",
            hint=f"say which one is meant: 0 to {count - 1}",
        )
    if not 0 <= (part or 0) < count:
        raise f.OmError(f"it has no model {part}", offset=156, expected=f"0 to {count - 1}")
    return part or 0


def _checked(model: OmModel, graph: Graph, tasks: Places, kernels: tuple[int, ...]) -> OmModel:
    """The rules of every offline model; what breaks one is said with its place in the file."""
    try:
        check(model)
    except InconsistentModelError as error:
        kind, position = error.place
        if kind == "tasks":
            place = tasks.start(_TASK, position)
            raise f.OmError(str(error), partition="TASK_INFO", offset=place) from error
        if kind == "kernels":
            raise f.OmError(str(error), partition="TBE_KERNELS", offset=kernels[position]) from error
        place = graph.starts.get(error.place, 0)
        raise f.OmError(str(error), partition="MODEL_DEF", offset=place) from error
    return model


def _parse(
    kind: type[_Message],
    data: bytes,
    partition: f.Partition,
    paths: tuple[tuple[str, ...], ...] = (),
    base: int = 0,
) -> tuple[_Message, Places]:
    message = kind()
    places = scan(data, kind, partition.name, paths)
    try:
        message.ParseFromString(data)
    except (DecodeError, ValueError) as error:  # what is left: texts that are not UTF-8
        raise f.OmError(
            f"it cannot be decoded: {error}",
            partition=partition.name,
            offset=base,
            expected="a protobuf message",
        ) from error
    return message, places


def _weight(weight: OmWeight, offset: int, size: int, region: memoryview, digests: bool) -> OmWeight:
    if offset < 0 or size < 0 or offset + size > len(region):
        raise f.OmError(
            f"weight {weight.name!r} of {size} bytes at {offset} leaves the region of {len(region)} bytes",
            partition="WEIGHTS_DATA",
            offset=max(offset, 0),
        )
    data = region[offset : offset + size]
    digest = _digest(data) if digests else ""
    return replace(weight, offset=offset, payload=WeightPayload(size, digest, lambda: data))


def _digest(data: memoryview) -> str:
    """sha256, in pieces whose pages are given back: a file is larger than memory more often than not."""
    state = hashlib.sha256()
    for at in range(0, len(data), _HASHED_AT_ONCE):
        state.update(data[at : at + _HASHED_AT_ONCE])
        if len(data) > _HASHED_AT_ONCE:
            release(data)
    return state.hexdigest()


def read_kernels(block: Block) -> tuple[tuple[OmKernel, ...], tuple[int, ...]]:
    """The kernel images of one model and where each begins."""
    store = block.get(f.Partition.TBE_KERNELS, memoryview(b""))
    kernels: list[OmKernel] = []
    starts: list[int] = []
    at = 0
    while at < len(store):
        magic, name_size, code_size = _unpack(f.KERNEL_ITEM, store, at, "TBE_KERNELS")
        if magic != f.KERNEL_MAGIC:
            raise f.OmError(
                "a kernel does not begin with its magic number", partition="TBE_KERNELS", offset=at
            )
        starts.append(at)
        start = at + f.KERNEL_ITEM.size
        if name_size + code_size > len(store) - start:
            raise f.OmError("a kernel runs past the end", partition="TBE_KERNELS", offset=at)
        name = _text(store[start : start + name_size], "TBE_KERNELS", start)
        kernels.append(OmKernel(name, bytes(store[start + name_size : start + name_size + code_size])))
        at = start + name_size + code_size
    return tuple(kernels), tuple(starts)


def _with_tasks(model: OmModel, message: domi.ModelTaskDef, graph: Graph, places: Places) -> OmModel:
    announced = (message.memory_size, message.weight_size, message.base_addr, message.weight_addr)
    expected = (model.memory_size, model.weight_size, model.feature_map_base, model.weight_base)
    if announced != expected:
        raise f.OmError(
            f"its regions {announced} are not the model's",
            partition="TASK_INFO",
            offset=0,
            expected=str(expected),
        )
    tasks: list[OmTask] = []
    for index, task in enumerate(message.task):
        try:
            tasks.append(_task(model, index, task, graph))
        except f.OmError as error:
            raise error.at(places.start(_TASK, index)) from None
    return replace(model, tasks=tuple(tasks))


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
    try:
        sources, _ = _parse(domi.TaskSources, task.private_def, f.Partition.TASK_INFO)
    except f.OmError as error:  # its bytes count from the task's private_def
        raise f.OmError(f"the sources of task {index}: {error.what}", partition="TASK_INFO") from None
    return OmTask(
        kernel=kernel.kernel_name,
        block_dim=kernel.block_dim,
        args=_args(model, index, kernel),
        op_index=_operator(index, kernel.context.op_index, graph),
        stream=task.stream_id,
        kernel_type=kernel.context.kernel_type,
        kernel_ext_info=kernel.kernel_ext_info,
        sources=tuple(tuple(entry.node) for entry in sources.body_op),
    )


def _operator(index: int, node: int, graph: Graph) -> int:
    """The operator that a task computes; a model without a graph has none, and its tasks name the place behind
    inputs and constants."""
    if not graph.ops and node == len(graph.inputs) + len(graph.weights):
        return 0
    if node not in graph.op_by_id:
        raise f.OmError(f"task {index} names node {node}, which is no operator", partition="TASK_INFO")
    return graph.op_by_id[node]


def _copy(model: OmModel, index: int, task: domi.TaskDef, graph: Graph) -> OmTask:
    copy = task.memcpy_async
    target, source = model.address(copy.dst), model.address(copy.src)
    if target is None or source is None or copy.dst_max < copy.count:
        raise f.OmError(f"task {index} copies outside the model's regions", partition="TASK_INFO")
    args = (target, source, copy.count)
    op_index = _operator(index, copy.op_index, graph)
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


def _check_inout(info: memoryview | None, model: OmModel, names: tuple[str, ...]) -> None:
    """The summary of inputs and outputs must say what the graph says: tools read one or the other."""
    if info is None:
        return
    expected = {
        kind: tensors
        for kind, tensors in (
            (f.TLV_INPUTS, list(model.inputs)),
            (f.TLV_OUTPUTS, [replace(t, name=n) for t, n in zip(model.outputs, names, strict=True)]),
        )
        if tensors
    }
    at, found = 0, dict[int, list[OmTensor]]()
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
        raise f.OmError(
            "inputs and outputs are not those of the graph", partition="MODEL_INOUT_INFO", offset=0
        )


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
