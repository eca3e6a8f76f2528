"""ONNX sequences and optionals. They are lists while a model is imported; only tensors are computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_control import stacked
from .onnx_ops_elementwise import element_type
from .onnx_ops_moves import slice_axis


def _sequence(node: Node, items: Sequence[Value]) -> Value:
    return Value(node.name, (), "f32", items=list(items))


def _items(node: Node, index: int = 0) -> list[Value]:
    value = node.input(index)
    require(constraints.is_sequence, value.name, value.items is not None)
    return list(value.items or ())


def _position(node: Node, index: int, length: int) -> int:
    position = int(node.known(index, "position").reshape(-1)[0])
    require(constraints.position_is_inside, position, length)
    return position + length if position < 0 else position


@onnx_op("SequenceConstruct")
def sequence_construct(node: Node) -> Value:
    return _sequence(node, node.inputs())


@onnx_op("SequenceEmpty")
def sequence_empty(node: Node) -> Value:
    dtype = element_type(node.int("dtype"), "the sequence") if node.has("dtype") else "f32"
    return Value(node.name, (), dtype, items=[])


@onnx_op("SequenceInsert")
def sequence_insert(node: Node) -> Value:
    items = _items(node)
    place = len(items)
    if node.get(2) is not None:
        place = int(node.known(2, "position").reshape(-1)[0])
        require(constraints.position_is_inside, place, len(items) + 1)
        place = place + len(items) if place < 0 else place
    return _sequence(node, [*items[:place], node.input(1), *items[place:]])


@onnx_op("SequenceErase")
def sequence_erase(node: Node) -> Value:
    items = _items(node)
    place = _position(node, 1, len(items)) if node.get(1) is not None else len(items) - 1
    return _sequence(node, [*items[:place], *items[place + 1 :]])


@onnx_op("SequenceAt")
def sequence_at(node: Node) -> Value:
    items = _items(node)
    return items[_position(node, 1, len(items))]


@onnx_op("SequenceLength")
def sequence_length(node: Node) -> Value:
    return node.constant(np.array(len(_items(node)), np.int64))


@onnx_op("ConcatFromSequence")
def concat_from_sequence(node: Node) -> Value:
    items = _items(node)
    if node.int("new_axis", 0):
        return stacked(node, items, node.axis(node.int("axis"), items[0].rank + 1))
    axis = node.axis(node.int("axis"), items[0].rank)
    return items[0] if len(items) == 1 else node.emit(nn.ConcatOp, items, axis)


@onnx_op("SplitToSequence")
def split_to_sequence(node: Node) -> Value:
    x = node.input(0)
    axis = node.axis(node.int("axis", 0), x.rank)
    length, keeps = x.shape[axis], True
    if node.get(1) is None:
        sizes, keeps = [1] * length, bool(node.int("keepdims", 1))
    elif node.input(1).rank:
        sizes = list(node.known_ints(1, "split"))
    else:
        part = node.known_ints(1, "split")[0]
        sizes = [min(part, length - start) for start in range(0, length, part)]
    if sum(sizes) != length:
        require(constraints.fits, f"split {sizes} of a dimension of {length}")
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    pieces = [slice_axis(node, x, axis, start, size) for start, size in zip(starts, sizes, strict=True)]
    if not keeps:
        pieces = [node.reshape(p, (*x.shape[:axis], *x.shape[axis + 1 :])) for p in pieces]
    return _sequence(node, pieces)


@onnx_op("Optional")
def optional(node: Node) -> Value:
    """What is there is the element itself."""
    given = node.get(0)
    return Value(node.name, (), "f32", absent=True) if given is None else given


@onnx_op("OptionalGetElement")
def optional_get_element(node: Node) -> Value:
    given = node.input(0)
    require(constraints.holds_something, given.name, not given.absent)
    return given


@onnx_op("OptionalHasElement")
def optional_has_element(node: Node) -> Value:
    given = node.get(0)
    return node.constant(np.array(given is not None and not given.absent))
