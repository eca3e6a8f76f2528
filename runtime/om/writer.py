"""`OmModel` → bytes of a `.om` file.

Partitions stand in the order the public tool writes them: MODEL_INOUT_INFO, MODEL_DEF, WEIGHTS_DATA,
TBE_KERNELS, TASK_INFO. Everything but the weights is small and made in memory; weights are streamed one
after the other, so the peak is the largest single weight. The same model gives the same bytes: attribute
maps are serialized in key order, kernels are sorted by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import AscendError
from . import format as f
from . import ge_ir_pb2 as ge
from . import task_pb2 as domi
from .consistency import InconsistentModelError, check
from .container import release
from .model import Address, AttrValue, OmDesc, OmGraphOp, OmModel, OmTask, OmTensor, OmWeight, stored_weights

_AT_ONCE: Final = 16 << 20
"""Bytes of a weight that are written, and hashed, at once."""


def write_om(model: OmModel, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`: to a temporary file beside it first, so that there is never half a file under
    that name."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream_om(model, stream)
        temporary.replace(target)
    except OSError as error:
        raise AscendError(
            "E13004",
            f"cannot write {str(target)!r}: {error.strerror or error}",
            expected="a path in a folder that exists and may be written",
            hint="check --output, the permissions of its folder and the free disk space",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def om_bytes(model: OmModel) -> bytes:
    """The file as bytes (weights included, so for small models and tests)."""
    stream = BytesIO()
    stream_om(model, stream)
    return stream.getvalue()


def stream_om(model: OmModel, stream: BinaryIO) -> None:
    """Write the file to an open binary stream."""
    check(model)
    kernels = _kernel_store(model)
    tasks = _task_info(model)
    other = {partition.number: partition.content for partition in model.other}
    kept = [len(other.get(number, b"")) for number in (f.Partition.CUST_AICPU_KERNELS, f.Partition.SO_BINS)]
    sizes = (model.weight_size, len(kernels), kept[0], len(tasks), kept[1])
    small = {
        **other,
        f.Partition.MODEL_INOUT_INFO: _inout_info(model),
        f.Partition.MODEL_DEF: _model_def(model, sizes),
        f.Partition.TBE_KERNELS: kernels,
        f.Partition.TASK_INFO: tasks,
    }
    order = [*f.ORDER, *sorted(set(other) - set(f.ORDER))]
    lengths = {
        **{number: len(content) for number, content in small.items()},
        f.Partition.WEIGHTS_DATA: model.weight_size,
    }
    rows = [(number, lengths[number]) for number in order if lengths.get(number)]
    for number, size in rows:
        if size > f.MAX_UINT32 and number not in f.MAY_EXCEED_4_GIB:
            raise AscendError(
                "E13023", f"partition {f.partition_name(number)} has {size} bytes", expected="less than 4 GiB"
            )
    table = _table(rows)
    stream.write(_header(model, len(table) + sum(size for _, size in rows)))
    stream.write(table)
    for number, _ in rows:
        if number == f.Partition.WEIGHTS_DATA:
            _stream_weights(model, stream)
        else:
            stream.write(small[number])


def _header(model: OmModel, body: int) -> bytes:
    return f.HEADER.pack(
        f.MAGIC,
        f.HEADER_SIZE,
        f.VERSION_2,
        b"",  # checksum: a signature area, unused
        0,  # 32-bit length: model_length is used
        *(0, 0, 0, 0),  # plain, unchecked, IR model, offline
        model.name.encode()[: f.NAME_BYTES].decode(errors="ignore").encode(),
        0,
        b"",
        f.IR_VERSION,
        1,  # one model
        f.PLATFORM_VERSION.encode(),
        1,
        body,
        *(0, 0),  # no host libraries, static shapes
        b"",
    )


def _table(rows: Sequence[tuple[int, int]]) -> bytes:
    table = bytearray(f.TABLE_HEAD_64.pack(len(rows)))
    offset = 0
    for partition, size in rows:
        table += f.TABLE_ROW_64.pack(partition, offset, size)
        offset += size
    return bytes(table)


def _stream_weights(model: OmModel, stream: BinaryIO) -> None:
    at = 0
    for weight in stored_weights(model):
        stream.write(bytes(weight.offset - at))
        data = memoryview(weight.payload.load()).cast("B")
        digest = hashlib.sha256()
        if len(data) == weight.size:
            for start in range(0, len(data), _AT_ONCE):
                piece = data[start : start + _AT_ONCE]
                digest.update(piece)
                stream.write(piece)
                if len(data) > _AT_ONCE:
                    release(data)  # of a model that was read from a file, as large as that may be
        if len(data) != weight.size or weight.payload.digest not in ("", digest.hexdigest()):
            raise InconsistentModelError(f"weight {weight.name!r} gave other bytes than were measured")
        at = weight.offset + weight.size
    stream.write(bytes(model.weight_size - at))


def _kernel_store(model: OmModel) -> bytes:
    store = bytearray()
    for kernel in sorted(model.kernels, key=lambda k: k.name):
        name = kernel.name.encode()
        store += f.KERNEL_ITEM.pack(f.KERNEL_MAGIC, len(name), len(kernel.code)) + name + kernel.code
    return bytes(store)


def _inout_info(model: OmModel) -> bytes:
    info = bytearray()
    names = output_node_names(model)
    for kind, tensors, shown in (
        (f.TLV_INPUTS, model.inputs, [x.name for x in model.inputs]),
        (f.TLV_OUTPUTS, model.outputs, names),
    ):
        if not tensors:
            continue
        value = bytearray(f.COUNT.pack(len(tensors)))
        for tensor, text in zip(tensors, shown, strict=True):
            value += _io_record(tensor, text.encode())
        info += f.TLV.pack(kind, len(value)) + value
    return bytes(info)


def _io_record(tensor: OmTensor, name: bytes) -> bytes:
    dims = b"".join(extent.to_bytes(8, "little", signed=True) for extent in tensor.shape)
    head = f.IO_RECORD.pack(
        tensor.size,
        f.format_word(tensor.format),
        f.BY_NAME[tensor.dtype].runtime,
        len(name),
        len(dims),
        len(dims),
        0,
    )
    return head + name + dims + dims


def output_node_names(model: OmModel) -> list[str]:
    """Names of the outputs as the public tool writes them for ONNX models: "producer:output:name"."""
    return [f"{x.source or f'{f.OP_OUTPUT}:{i}'}:{x.name}" for i, x in enumerate(model.outputs)]


def _model_def(model: OmModel, sizes: tuple[int, ...]) -> bytes:
    message = ge.ModelDef(name=model.name, version=f.IR_VERSION, custom_version=f.PLATFORM_VERSION)
    derived: dict[str, AttrValue] = {
        **f.UNUSED_RESOURCES,
        f.ATTR_MEMORY_SIZE: model.memory_size,
        f.ATTR_WEIGHT_SIZE: model.weight_size,
        f.ATTR_STREAM_NUM: model.stream_num,
        f.ATTR_FEATURE_MAP_BASE: model.feature_map_base,
        f.ATTR_WEIGHT_BASE: model.weight_base,
        f.ATTR_SOC: model.soc,
        f.ATTR_OUT_NAMES: tuple(output_node_names(model)),
        f.ATTR_SIZES: sizes,
        f.ATTR_MACHINE_CODE: model.machine_code,
    }
    clash = f.DERIVED_ATTRS & set(model.attrs)
    if clash:
        raise InconsistentModelError(f"model attributes {sorted(clash)} are derived by the container")
    _set_attrs(message.attr, {**model.attrs, **derived})
    graph = message.graph.add(name=model.name)
    graph.input.extend(f"{tensor.name}:0" for tensor in model.inputs)
    graph.output.extend(tensor.source for tensor in model.outputs if tensor.source)
    for op in _nodes(model):
        graph.op.append(op)
    return message.SerializeToString(deterministic=True)


def _nodes(model: OmModel) -> Iterator[ge.OpDef]:
    """All nodes of the graph: inputs, constants, operators, outputs; ids count up; edges are listed at both
    ends."""
    nodes = [_data_node(i, tensor) for i, tensor in enumerate(model.inputs)]
    nodes += [_const_node(weight) for weight in model.weights]
    weights = {weight.name: weight for weight in model.weights}
    nodes += [_compute_node(op, weights) for op in model.graph]
    nodes.append(_output_node(model))
    by_name: dict[str, ge.OpDef] = {}
    for number, node in enumerate(nodes):
        node.id = number
        node.has_out_attr = True
        by_name[node.name] = node
    for node in nodes:
        for position, edge in enumerate(node.input):
            if not edge or edge.endswith(":-1"):
                continue
            producer, _, index = edge.rpartition(":")
            node.src_name.append(producer)
            node.src_index.append(int(index))
            if producer in by_name:
                by_name[producer].dst_name.append(node.name)
                by_name[producer].dst_index.append(position)
    yield from nodes


def graph_id_base(model: OmModel) -> int:
    """The node id of the first operator: inputs and constants come before."""
    return len(model.inputs) + len(model.weights)


def _data_node(index: int, tensor: OmTensor) -> ge.OpDef:
    node = ge.OpDef(name=tensor.name, type=f.OP_DATA, output_i=[tensor.offset])
    _set_attrs(node.attr, {f.ATTR_INDEX: index})
    node.input.append("")  # an input that no node feeds: tools read its shape
    node.input_desc.append(_io_desc(tensor))
    node.output_desc.append(_io_desc(tensor))
    return node


def _const_node(weight: OmWeight) -> ge.OpDef:
    node = ge.OpDef(name=weight.name, type=f.OP_CONST)
    desc = _desc(
        OmDesc(
            weight.dtype, weight.shape, weight.storage_shape, weight.format, weight.origin_format, weight.size
        )
    )
    node.output_desc.append(desc)
    value = node.attr[f.ATTR_VALUE].t
    value.desc.CopyFrom(desc)
    value.desc.data_offset = weight.offset
    value.desc.weight_size = weight.size
    return node


def _compute_node(op: OmGraphOp, weights: Mapping[str, OmWeight]) -> ge.OpDef:
    node = ge.OpDef(name=op.name, type=op.type, input=op.inputs)
    node.input_i.extend(op.input_offsets)
    node.output_i.extend(op.output_offsets)
    node.workspace.extend(op.workspace_offsets)
    node.workspace_bytes.extend(op.workspace_bytes)
    _set_attrs(node.attr, op.attrs)
    edges = [edge for edge in op.inputs if not edge.endswith(":-1")]
    for edge, described in zip(edges, op.input_descs, strict=True):
        desc = _desc(described)
        weight = weights.get(edge.rpartition(":")[0])
        if weight is not None:
            desc.data_offset = weight.offset
        node.is_input_const.append(weight is not None)
        node.input_desc.append(desc)
    node.output_desc.extend(_desc(described) for described in op.output_descs)
    return node


def _output_node(model: OmModel) -> ge.OpDef:
    name = f.OP_OUTPUT
    taken = {x.name for x in (*model.inputs, *model.weights, *model.graph)}
    while name in taken:
        name = f"_{name}"
    node = ge.OpDef(name=name, type=f.OP_OUTPUT)
    for tensor in model.outputs:
        node.input.append(tensor.source)
        node.input_i.append(tensor.offset)
        node.input_desc.append(_io_desc(tensor))
        node.is_input_const.append(False)
    return node


def _io_desc(tensor: OmTensor) -> ge.TensorDescriptor:
    return _desc(OmDesc(tensor.dtype, tensor.shape, tensor.shape, tensor.format, tensor.format, tensor.size))


def _desc(described: OmDesc) -> ge.TensorDescriptor:
    element = f.BY_NAME[described.dtype]
    desc = ge.TensorDescriptor(
        dtype=element.proto,  # pyright: ignore[reportArgumentType] - an open enum: our .proto names few of GE's types
        layout=described.format,
        size=described.size,
        device_type="NPU",
        has_out_attr=True,
    )
    desc.shape.SetInParent()  # present even for a scalar: a missing shape means "unknown" to viewers
    desc.shape.dim.extend(described.storage_shape)
    _set_attrs(
        desc.attr,
        {
            f.ATTR_ORIGIN_FORMAT: described.origin_format,
            f.ATTR_ORIGIN_FORMAT_INT: f.format_word(described.origin_format),
            f.ATTR_FORMAT_INT: f.format_word(described.format),
            f.ATTR_ORIGIN_SHAPE_SET: True,
            f.ATTR_ORIGIN_SHAPE: described.shape,
            f.ATTR_STORAGE_SHAPE: described.storage_shape,
            f.ATTR_ORIGIN_TYPE: element.public,
        },
    )
    return desc


def _set_attrs(target: Mapping[str, ge.AttrDef], values: Mapping[str, AttrValue]) -> None:
    for key in sorted(values):
        _set_attr(target[key], values[key])


def _set_attr(attr: ge.AttrDef, value: AttrValue) -> None:
    match value:
        case bool():
            attr.b = value
        case int():
            attr.i = value
        case float():
            attr.f = value
        case str():
            attr.s = value.encode()
        case bytes():
            attr.bt = value
        case tuple():
            _set_list(attr, value)


def _set_list(attr: ge.AttrDef, values: tuple[object, ...]) -> None:
    kinds = ge.AttrDef.ListValue
    first = values[0] if values else 0
    if isinstance(first, tuple):
        attr.list_list_int.SetInParent()
        for row in values:
            assert isinstance(row, tuple)
            attr.list_list_int.list_list_i.add(list_i=row)
        return
    target = attr.list
    for value in values:
        if type(value) is not type(first):
            raise InconsistentModelError(f"attribute list {values!r} mixes types")
    match first:
        case bool():
            target.val_type = kinds.VT_LIST_BOOL
            target.b.extend(v for v in values if isinstance(v, bool))
        case int():
            target.val_type = kinds.VT_LIST_INT
            target.i.extend(v for v in values if isinstance(v, int))
        case float():
            target.val_type = kinds.VT_LIST_FLOAT
            target.f.extend(v for v in values if isinstance(v, float))
        case str():
            target.val_type = kinds.VT_LIST_STRING
            target.s.extend(v.encode() for v in values if isinstance(v, str))
        case bytes():
            target.val_type = kinds.VT_LIST_BYTES
            target.bt.extend(v for v in values if isinstance(v, bytes))
        case _:
            raise InconsistentModelError(f"attribute list {values!r} holds what the container cannot")


def _add_copy(message: domi.ModelTaskDef, number: int, model: OmModel, task: OmTask) -> None:
    target, source, size = (model.word(arg) for arg in task.args)
    entry = message.task.add(id=number, type=f.TASK_MEMCPY, stream_id=task.stream)
    entry.memcpy_async.dst = target
    entry.memcpy_async.dst_max = size
    entry.memcpy_async.src = source
    entry.memcpy_async.count = size
    entry.memcpy_async.kind = f.MEMCPY_DEVICE_TO_DEVICE
    entry.memcpy_async.op_index = graph_id_base(model) + task.op_index


def _task_info(model: OmModel) -> bytes:
    message = domi.ModelTaskDef(
        version=f.PLATFORM_VERSION,
        memory_size=model.memory_size,
        stream_num=model.stream_num,
        weight_size=model.weight_size,
        base_addr=model.feature_map_base,
        weight_addr=model.weight_base,
    )
    first = graph_id_base(model)
    for number, task in enumerate(model.tasks):
        if task.is_copy:
            _add_copy(message, number, model, task)
            continue
        args = b"".join(model.word(a).to_bytes(f.WORD_BYTES, "little") for a in task.args)
        entry = message.task.add(id=number, type=f.TASK_KERNEL, stream_id=task.stream)
        entry.kernel.stub_func = task.kernel
        entry.kernel.kernel_name = task.kernel
        entry.kernel.block_dim = task.block_dim
        entry.kernel.args = args
        entry.kernel.args_size = len(args)
        entry.kernel.kernel_ext_info = task.kernel_ext_info
        entry.kernel.kernel_ext_info_size = len(task.kernel_ext_info)
        entry.kernel.context.kernel_type = task.kernel_type
        entry.kernel.context.op_index = first + task.op_index
        entry.kernel.context.args_count = sum(isinstance(arg, Address) for arg in task.args)
        sources = domi.TaskSources()
        for nodes in task.sources:
            sources.body_op.add(node=nodes)
        entry.private_def = sources.SerializeToString(deterministic=True)
    return message.SerializeToString(deterministic=True)
