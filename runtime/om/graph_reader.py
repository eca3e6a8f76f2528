"""The MODEL_DEF partition → inputs, outputs, weights, operators and model attributes of an `OmModel`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from . import format as f
from . import ge_ir_pb2 as ge
from .model import AttrValue, OmDesc, OmGraphOp, OmTensor, OmWeight, WeightPayload
from .wire import Places

GRAPH: Final = ("graph",)
OP: Final = ("graph", "op")
ATTR: Final = ("attr",)
"""Paths of fields that `read_definition` finds the places of."""

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class ModelAttrs:
    """Model attributes: those that are fields of `OmModel`, and the others."""

    soc: str
    machine_code: str
    memory_size: int
    weight_size: int
    feature_map_base: int
    weight_base: int
    output_names: tuple[str, ...]
    other: Mapping[str, AttrValue]


@dataclass(frozen=True)
class Graph:
    """The nodes, sorted by what they are. A weight comes with its offset and size in the region; its payload
    is still empty. `output_names` are those of the outputs as MODEL_INOUT_INFO has them, `op_by_id` the operators'
    positions by node id, `end_id` that of the output node, `starts` the byte at which a part stands, by kind and position."""

    inputs: tuple[OmTensor, ...]
    outputs: tuple[OmTensor, ...]
    weights: tuple[tuple[OmWeight, int, int], ...]
    ops: tuple[OmGraphOp, ...]
    output_names: tuple[str, ...]
    op_by_id: Mapping[int, int]
    end_id: int
    starts: Mapping[tuple[str, int], int]


def _error(message: str, expected: str = "") -> f.OmError:
    return f.OmError(message, partition="MODEL_DEF", expected=expected)


def read_model_attrs(message: ge.ModelDef) -> ModelAttrs:
    """The model's attributes; absent numbers read as 0, absent texts as empty."""
    attrs = {key: read_attr(key, message.attr[key]) for key in sorted(message.attr)}

    def number(key: str) -> int:
        value = attrs.get(key, 0)
        if not isinstance(value, int) or not 0 <= value <= f.MAX_UINT64:
            raise _error(f"model attribute {key} is {value!r}", "a number of bytes")
        return value

    def text(key: str) -> str:
        value = attrs.get(key, "")
        if not isinstance(value, str):
            raise _error(f"model attribute {key} is {value!r}", "text")
        return value

    names = attrs.get(f.ATTR_OUT_NAMES, ())
    if not isinstance(names, tuple):
        raise _error(f"model attribute {f.ATTR_OUT_NAMES} is {names!r}", "a list of texts")
    if len(shown := tuple(name for name in names if isinstance(name, str))) != len(names):
        raise _error(f"model attribute {f.ATTR_OUT_NAMES} is {names!r}", "a list of texts")
    return ModelAttrs(
        soc=text(f.ATTR_SOC),
        machine_code=text(f.ATTR_MACHINE_CODE),
        memory_size=number(f.ATTR_MEMORY_SIZE),
        weight_size=number(f.ATTR_WEIGHT_SIZE),
        feature_map_base=number(f.ATTR_FEATURE_MAP_BASE),
        weight_base=number(f.ATTR_WEIGHT_BASE),
        output_names=shown,
        other={key: value for key, value in attrs.items() if key not in f.DERIVED_ATTRS},
    )


def read_graph(graph: ge.GraphDef, output_names: Sequence[str], places: Places, first: int = 0) -> Graph:
    """A graph. Inputs are ordered by their attribute `index`, everything else as it stands. `first` is the position of
    its first node among all of the file."""
    nodes = [(node, places.start(OP, position)) for position, node in enumerate(graph.op, first)]
    ids = {node.id for node, _ in nodes}
    if len(ids) != len(nodes):
        raise _error("two nodes have the same id", "an id for each node")
    data = [item for item in nodes if item[0].type == f.OP_DATA]
    data.sort(key=lambda item: _index(item[0]))
    constants = [item for item in nodes if item[0].type == f.OP_CONST]
    sinks = [item for item in nodes if item[0].type == f.OP_OUTPUT]
    ops = [item for item in nodes if item[0].type not in (f.OP_DATA, f.OP_CONST, f.OP_OUTPUT)]
    if len(sinks) != 1:
        raise _error(f"{len(sinks)} {f.OP_OUTPUT} nodes", "one")
    sink, sink_start = sinks[0]
    names = tuple(output_names) or tuple(
        f"output_{i}_{'_'.join(edge.rpartition(':')[::2])}" for i, edge in enumerate(sink.input)
    )
    groups = (("inputs", data), ("weights", constants), ("graph", ops))
    starts = {(kind, position): start for kind, group in groups for position, (_, start) in enumerate(group)}
    return Graph(
        inputs=tuple(_located(_input, index, item) for index, item in enumerate(data)),
        outputs=_located(lambda _, node: _outputs(node, names), 0, (sink, sink_start)),
        weights=tuple(_located(_weight, index, item) for index, item in enumerate(constants)),
        ops=tuple(_located(_op, index, item) for index, item in enumerate(ops)),
        output_names=names,
        op_by_id={node.id: position for position, (node, _) in enumerate(ops)},
        end_id=sink.id,
        starts={**starts, **{("outputs", i): sink_start for i in range(len(sink.input))}},
    )


def _located(make: Callable[[int, ge.OpDef], _Part], index: int, item: tuple[ge.OpDef, int]) -> _Part:
    """What is wrong with a node is said with its place."""
    node, start = item
    try:
        return make(index, node)
    except f.OmError as error:
        raise error.at(start) from None


def _index(node: ge.OpDef) -> int:
    place = node.attr.get(f.ATTR_INDEX)
    return place.i if place is not None and place.WhichOneof("value") == "i" else -1


def _input(index: int, node: ge.OpDef) -> OmTensor:
    if _index(node) != index or len(node.output_desc) != 1 or len(node.output_i) != 1:
        raise _error(f"input {node.name!r} is incomplete", f"index {index}, one description and one offset")
    return _io_tensor(node.name, node.output_desc[0], node.output_i[0], "")


def _outputs(sink: ge.OpDef, names: Sequence[str]) -> tuple[OmTensor, ...]:
    count = len(sink.input_desc)
    if not len(sink.input) == len(sink.input_i) == len(names) == count:
        raise _error(
            f"{count} outputs, {len(sink.input)} edges, {len(sink.input_i)} offsets and {len(names)} names"
        )
    outputs: list[OmTensor] = []
    for index, shown in enumerate(names):
        edge = sink.input[index]
        name = shown.removeprefix(f"{edge or f'{f.OP_OUTPUT}:{index}'}:")
        outputs.append(_io_tensor(name, sink.input_desc[index], sink.input_i[index], edge))
    return tuple(outputs)


def _io_tensor(name: str, desc: ge.TensorDescriptor, offset: int, source: str) -> OmTensor:
    described = _desc(name, desc)
    return OmTensor(name, described.dtype, described.shape, described.size, offset, described.format, source)


def _weight(_: int, node: ge.OpDef) -> tuple[OmWeight, int, int]:
    if node.attr[f.ATTR_VALUE].WhichOneof("value") != "t" if f.ATTR_VALUE in node.attr else True:
        raise _error(f"constant {node.name!r} has no value")
    desc = node.attr[f.ATTR_VALUE].t.desc
    described = _desc(node.name, desc)
    payload = WeightPayload(0, "", bytes)
    weight = OmWeight(
        node.name,
        described.dtype,
        described.shape,
        described.storage_shape,
        described.format,
        payload,
        0,
        described.origin_format,
    )
    return weight, desc.data_offset, desc.weight_size


def _op(_: int, node: ge.OpDef) -> OmGraphOp:
    return OmGraphOp(
        name=node.name,
        type=node.type,
        inputs=tuple(node.input),
        input_descs=tuple(_desc(node.name, desc) for desc in node.input_desc),
        output_descs=tuple(_desc(node.name, desc) for desc in node.output_desc),
        attrs={key: read_attr(key, node.attr[key]) for key in sorted(node.attr)},
        input_offsets=tuple(node.input_i),
        output_offsets=tuple(node.output_i),
        workspace_offsets=tuple(node.workspace),
        workspace_bytes=tuple(node.workspace_bytes),
    )


def _desc(owner: str, desc: ge.TensorDescriptor) -> OmDesc:
    element = f.BY_PROTO.get(desc.dtype)
    if element is None:
        raise _error(f"{owner!r} has element type {desc.dtype}", "a type this loader knows")
    storage = tuple(desc.shape.dim)
    if any(extent < 0 for extent in storage):
        raise _error(f"{owner!r} has an open shape {storage[:8]}", "static shapes")
    shape = storage
    if f.ATTR_ORIGIN_SHAPE in desc.attr:
        origin = read_attr(f.ATTR_ORIGIN_SHAPE, desc.attr[f.ATTR_ORIGIN_SHAPE])
        if not isinstance(origin, tuple):
            raise _error(f"{owner!r} has origin shape {origin!r}", "a list of numbers")
        shape = tuple(extent for extent in origin if isinstance(extent, int))
    origin_format = desc.layout
    if f.ATTR_ORIGIN_FORMAT in desc.attr:
        name = read_attr(f.ATTR_ORIGIN_FORMAT, desc.attr[f.ATTR_ORIGIN_FORMAT])
        origin_format = name if isinstance(name, str) else desc.layout
    for name in (desc.layout, origin_format):
        if not f.is_format(name):
            raise _error(f"{owner!r} has format {name!r}", "a format this loader knows")
    return OmDesc(element.name, shape, storage, desc.layout, origin_format, desc.size)


def read_attr(key: str, attr: ge.AttrDef) -> AttrValue:
    """The value of an attribute; kinds that nothing here understands (graphs, functions) are an error."""
    match attr.WhichOneof("value"):
        case "s":
            return _text(attr.s)
        case "i":
            return attr.i
        case "f":
            return attr.f
        case "b":
            return attr.b
        case "bt":
            return attr.bt
        case "list":
            return _read_list(key, attr.list)
        case "list_list_int":
            return tuple(tuple(row.list_i) for row in attr.list_list_int.list_list_i)
        case kind:
            raise _error(f"attribute {key!r} is of kind {kind}", "a number, a text or a list of them")


def _read_list(key: str, values: ge.AttrDef.ListValue) -> AttrValue:
    kinds = ge.AttrDef.ListValue
    if values.val_type == kinds.VT_LIST_INT:
        return tuple(values.i)
    if values.val_type == kinds.VT_LIST_STRING:
        return tuple(_text(value) for value in values.s)
    if values.val_type == kinds.VT_LIST_FLOAT:
        return tuple(values.f)
    if values.val_type == kinds.VT_LIST_BOOL:
        return tuple(values.b)
    if values.val_type == kinds.VT_LIST_BYTES:
        return tuple(values.bt)
    raise _error(f"attribute {key!r} is a list of kind {values.val_type}", "numbers or texts")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _error(f"text {value!r} is not UTF-8") from error
