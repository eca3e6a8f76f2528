"""Sequences and optionals among the inputs of an ONNX model become tensors before it is imported.

An input `s` that is a sequence of two is replaced by the inputs `s@0` and `s@1` and a node that makes a sequence of
them, an optional by what it holds, or by a node that makes an empty one (`runtime/border.py` says how the offline
model tells its callers). How many there are follows from the shapes that are given: `s:2` with the declared shape
of an element, or one for each, `s@0:3,4` and `s@1:5,4`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import onnx
from onnx import TypeProto, ValueInfoProto, helper

from ..runtime.border import MARK, MOST, NOTHING, Entry
from ..runtime.errors import AscendError, Refusal, UnsupportedOpError
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_file import ModelFile
from .onnx_node import Value

LENGTH_IS_KNOWN = "Sequences among the inputs have a known length"
HOW = 'give --input_shape "NAME:LENGTH" where the shape of its tensors is declared, or one for each, "NAME@0:…;NAME@1:…"'


def with_tensor_inputs(
    file: ModelFile, shapes: Mapping[str, Sequence[int]]
) -> tuple[ModelFile, dict[str, Sequence[int]], list[Entry]]:
    """The model with tensors only among its inputs, their shapes, and the inputs as callers see them."""
    given = dict(shapes)
    known = {tensor.name for tensor in file.model.graph.initializer}
    entries = [_entry(value, given) for value in file.model.graph.input if value.name not in known]
    changed = {entry.name: entry for entry in entries if entry.count is not None}
    optional = [v for v in file.model.graph.input if v.type.HasField("optional_type")]
    if not changed and not optional:
        return file, given, entries
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    inputs, nodes = list(model.graph.input), list[onnx.NodeProto]()
    del model.graph.input[:]
    for value in inputs:
        if value.name not in changed:
            kind = _held(value.type)
            model.graph.input.append(helper.make_value_info(value.name, kind))
            continue
        given.pop(value.name, None)
        tensors, node = _unpacked(value, changed[value.name])
        model.graph.input.extend(tensors)
        nodes.append(node)
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"  # its place changes, what it is called does not
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return replace(file, model=model), given, entries


def _held(kind: TypeProto) -> TypeProto:
    """What an optional holds; another type as it is."""
    return kind.optional_type.elem_type if kind.HasField("optional_type") else kind


def _entry(value: ValueInfoProto, given: Mapping[str, Sequence[int]]) -> Entry:
    """How many tensors an input is."""
    length = tuple(given.get(value.name, ()))
    if value.type.HasField("optional_type") and length == (NOTHING,):
        return Entry(value.name, NOTHING)
    if not _held(value.type).HasField("sequence_type"):
        return Entry(value.name)
    if len(length) == 1 and 0 <= length[0] <= MOST:
        return Entry(value.name, length[0])
    count = 0
    while f"{value.name}{MARK}{count}" in given and count < MOST:
        count += 1
    if length or not count:
        actual = f"its length is {', '.join(map(str, length))}" if length else "its length is open"
        raise UnsupportedOpError(
            [Refusal(value.name, "Input", f"{LENGTH_IS_KNOWN}: {HOW}", actual)], code="E13025"
        )
    return Entry(value.name, count)


def _unpacked(value: ValueInfoProto, entry: Entry) -> tuple[list[ValueInfoProto], onnx.NodeProto]:
    """The tensors of a list, and the node that makes it of them."""
    held = _held(value.type)
    if entry.count == NOTHING:
        return [], helper.make_node("Optional", [], [value.name], name=value.name, type=held)
    element = TypeProto()
    element.CopyFrom(held.sequence_type.elem_type)
    for dim in element.tensor_type.shape.dim:
        if dim.dim_param:
            dim.ClearField("dim_param")  # the name of a size holds within one tensor of the list
    tensors = [helper.make_value_info(name, element) for name in entry.parts]
    if not tensors:
        kind = element.tensor_type.elem_type
        return [], helper.make_node("SequenceEmpty", [], [value.name], name=value.name, dtype=kind)
    return tensors, helper.make_node("SequenceConstruct", list(entry.parts), [value.name], name=value.name)


def check_values(entries: Sequence[Entry], values: Collection[str]) -> None:
    """Values are given for whole inputs only."""
    for entry in entries:
        if entry.count is not None and any(part in values for part in entry.parts):
            raise AscendError(
                "E10050", f"a value is given for an element of {entry.name!r}", expected="values of tensors"
            )


def list_texts(entries: Sequence[Entry]) -> list[str]:
    """What the offline model says of its border; nothing where it is tensors."""
    return [entry.text() for entry in entries] if any(entry.count is not None for entry in entries) else []


def flat_outputs(
    names: Sequence[str], results: Sequence[Value]
) -> tuple[list[Entry], list[str], list[Value]]:
    """The outputs as callers see them, and the tensors behind them with their names."""
    entries: list[Entry] = []
    tensors: list[Value] = []
    for name, result in zip(names, results, strict=True):
        if result.absent:
            entries.append(Entry(name, NOTHING))
        elif result.items is not None:
            if len(result.items) > MOST or any(
                item.items is not None or item.absent for item in result.items
            ):
                require(constraints.no_sequence, name)
            entries.append(Entry(name, len(result.items)))
            tensors += result.items
        else:
            entries.append(Entry(name))
            tensors.append(result)
    return entries, [part for entry in entries for part in entry.parts], tensors
