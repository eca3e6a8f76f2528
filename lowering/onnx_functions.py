"""Operators that are functions: bodies from the ONNX standard, attribute references of model-local ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TypeProto, helper

from ..dialects import dtypes
from .onnx_node import Value


class FunctionSchema(Protocol):
    """The part of `onnx.defs.OpSchema` that onnx's type stubs do not declare."""

    has_function: bool
    has_context_dependent_function: bool
    function_opset_versions: Sequence[int]
    context_dependent_function_opset_versions: Sequence[int]

    def get_function_with_opset_version(self, version: int) -> bytes: ...
    def get_context_dependent_function_with_opset_version(
        self, version: int, node: bytes, types: Sequence[bytes]
    ) -> bytes: ...


def standard_function(
    node: NodeProto, domain: str, opset: int, operands: Sequence[Value | None]
) -> FunctionProto | None:
    """The body that ONNX gives an operator as of this opset, None if it is a primitive."""
    if not onnx.defs.has(node.op_type, opset, domain):
        return None
    schema = onnx.defs.get_schema(node.op_type, opset, domain)
    functions = cast(FunctionSchema, schema)  # the stubs are incomplete, the attributes exist
    if functions.has_function:
        version = _newest(functions.function_opset_versions, opset)
        return _parsed(functions.get_function_with_opset_version(version), schema)
    if functions.has_context_dependent_function:
        version = _newest(functions.context_dependent_function_opset_versions, opset)
        types = [_type_of(operand).SerializeToString() for operand in operands]
        body = functions.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), types
        )
        return _parsed(body, schema)
    return None


def _newest(versions: Sequence[int], opset: int) -> int:
    return max([version for version in versions if version <= opset] or versions)


def _parsed(body: bytes, schema: onnx.defs.OpSchema) -> FunctionProto | None:
    function = FunctionProto.FromString(body)
    if not function.node:
        return None
    named = {attribute.name for attribute in function.attribute_proto}
    for name, attribute in schema.attributes.items():
        if name not in named and attribute.default_value.name:
            function.attribute_proto.append(attribute.default_value)
    return function


def _type_of(operand: Value | None) -> TypeProto:
    if operand is None:
        return TypeProto()
    if operand.items is not None:
        first = operand.items[0] if operand.items else operand
        same = operand.items and all(item.shape == first.shape for item in operand.items)
        element = helper.make_tensor_type_proto(
            dtypes.DTYPES[first.dtype].onnx, first.shape if same else None
        )
        return helper.make_sequence_type_proto(element)
    return helper.make_tensor_type_proto(dtypes.DTYPES[operand.dtype].onnx, operand.shape)


def bound_body(function: FunctionProto, attributes: Mapping[str, AttributeProto]) -> list[NodeProto]:
    """The body with references to the caller's attributes replaced by their values."""
    values = {attribute.name: attribute for attribute in function.attribute_proto}
    values.update(attributes)
    return [_bound(node, values) for node in function.node]


def _bound(node: NodeProto, values: Mapping[str, AttributeProto]) -> NodeProto:
    has_graph = any(attribute.HasField("g") for attribute in node.attribute)
    if not has_graph and not any(attribute.ref_attr_name for attribute in node.attribute):
        return node
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            copy.attribute.append(_bound_graph(attribute, values))
        elif attribute.ref_attr_name in values:
            value = AttributeProto()
            value.CopyFrom(values[attribute.ref_attr_name])
            value.name = attribute.name
            copy.attribute.append(value)
    return copy


def _bound_graph(attribute: AttributeProto, values: Mapping[str, AttributeProto]) -> AttributeProto:
    if not attribute.HasField("g"):
        return attribute
    copy = AttributeProto()
    copy.CopyFrom(attribute)
    nodes = [_bound(node, values) for node in attribute.g.node]
    del copy.g.node[:]
    copy.g.node.extend(nodes)
    return copy
