"""The nodes of a graph as MODEL_DEF has them: `OmModel` → operators, descriptors, attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import format as f
from . import ge_ir_pb2 as ge
from .consistency import InconsistentModelError
from .model import AttrValue, OmDesc, OmGraphOp, OmModel, OmTensor, OmWeight


def output_node_names(model: OmModel) -> list[str]:
    """Names of the outputs as the public tool writes them for ONNX models: "producer:output:name"."""
    return [f"{x.source or f'{f.OP_OUTPUT}:{i}'}:{x.name}" for i, x in enumerate(model.outputs)]


def definition(
    model: OmModel, weight_size: int, attrs: Mapping[str, AttrValue], derived: Mapping[str, AttrValue]
) -> ge.ModelDef:
    """MODEL_DEF without a graph: `attrs` as the model has them, `derived` beside those that follow from its fields."""
    message = ge.ModelDef(name=model.name, version=f.IR_VERSION, custom_version=f.PLATFORM_VERSION)
    from_fields: dict[str, AttrValue] = {
        **f.UNUSED_RESOURCES,
        f.ATTR_MEMORY_SIZE: model.memory_size,
        f.ATTR_WEIGHT_SIZE: weight_size,
        f.ATTR_STREAM_NUM: model.stream_num,
        f.ATTR_FEATURE_MAP_BASE: model.feature_map_base,
        f.ATTR_WEIGHT_BASE: model.weight_base,
        f.ATTR_SOC: model.soc,
        f.ATTR_MACHINE_CODE: model.machine_code,
    }
    clash = f.DERIVED_ATTRS & set(attrs)
    if clash:
        raise InconsistentModelError(f"model attributes {sorted(clash)} are derived by the container")
    set_attrs(message.attr, {**attrs, **from_fields, **derived})
    return message


def graph_id_base(model: OmModel) -> int:
    """The node id of the first operator: inputs and constants come before."""
    return len(model.inputs) + len(model.weights)


def fill_graph(graph: ge.GraphDef, model: OmModel, first_id: int = 0) -> None:
    """The whole graph of a model: its border by name, all nodes."""
    graph.input.extend(f"{tensor.name}:0" for tensor in model.inputs)
    graph.output.extend(tensor.source for tensor in model.outputs if tensor.source)
    weights = {weight.name: weight for weight in model.weights}
    nodes = [data_node(i, tensor) for i, tensor in enumerate(model.inputs)]
    nodes += [const_node(weight) for weight in model.weights]
    nodes += [_compute_node(op, weights) for op in model.graph]
    nodes.append(_output_node(model))
    add_nodes(graph, nodes, first_id)


def add_nodes(graph: ge.GraphDef, nodes: Sequence[ge.OpDef], first_id: int = 0) -> None:
    """Nodes in order: ids count up, edges are listed at both ends."""
    by_name: dict[str, ge.OpDef] = {}
    for number, node in enumerate(nodes, first_id):
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
    graph.op.extend(nodes)


def data_node(index: int, tensor: OmTensor) -> ge.OpDef:
    """Input number `index` of the graph."""
    node = ge.OpDef(name=tensor.name, type=f.OP_DATA, output_i=[tensor.offset])
    set_attrs(node.attr, {f.ATTR_INDEX: index})
    node.input.append("")  # an input that no node feeds: tools read its shape
    node.input_desc.append(io_desc(tensor))
    node.output_desc.append(io_desc(tensor))
    return node


def const_node(weight: OmWeight) -> ge.OpDef:
    """A constant, its bytes in the weight region."""
    node = ge.OpDef(name=weight.name, type=f.OP_CONST)
    desc = desc_of(
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
    set_attrs(node.attr, op.attrs)
    edges = [edge for edge in op.inputs if not edge.endswith(":-1")]
    for edge, described in zip(edges, op.input_descs, strict=True):
        desc = desc_of(described)
        weight = weights.get(edge.rpartition(":")[0])
        if weight is not None:
            desc.data_offset = weight.offset
        node.is_input_const.append(weight is not None)
        node.input_desc.append(desc)
    node.output_desc.extend(desc_of(described) for described in op.output_descs)
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
        node.input_desc.append(io_desc(tensor))
        node.is_input_const.append(False)
    return node


def io_desc(tensor: OmTensor) -> ge.TensorDescriptor:
    """Of a model input or output."""
    return desc_of(
        OmDesc(tensor.dtype, tensor.shape, tensor.shape, tensor.format, tensor.format, tensor.size)
    )


def desc_of(described: OmDesc) -> ge.TensorDescriptor:
    """Of a tensor on an edge."""
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
    set_attrs(
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


def set_attrs(target: Mapping[str, ge.AttrDef], values: Mapping[str, AttrValue]) -> None:
    """Writes attributes into a map of a message."""
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
