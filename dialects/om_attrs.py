"""Attributes of the `om` dialect: each carries one plain dataclass of `runtime/om/model.py`."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects import builtin
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FloatAttr, IntegerAttr, StringAttr, f32, i1, i64
from xdsl.ir import Attribute, Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from ..runtime.om.model import AttrValue, OmGraphOp, OmKernel, OmTask, OmTensor, OmWeight
from . import om_syntax as syntax


@irdl_attr_definition
class TensorAttr(Data[OmTensor]):
    """A model input or output."""

    name = "om.tensor"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> OmTensor:
        with parser.in_angle_brackets():
            return syntax.parse_tensor(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            syntax.print_tensor(printer, self.data)


@irdl_attr_definition
class WeightAttr(Data[OmWeight]):
    """A constant without its bytes."""

    name = "om.constant"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> OmWeight:
        with parser.in_angle_brackets():
            return syntax.parse_weight(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            syntax.print_weight(printer, self.data)


@irdl_attr_definition
class KernelAttr(Data[OmKernel]):
    """A kernel image."""

    name = "om.image"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> OmKernel:
        with parser.in_angle_brackets():
            return syntax.parse_kernel(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            syntax.print_kernel(printer, self.data)


@irdl_attr_definition
class NodeAttr(Data[OmGraphOp]):
    """An operator of the graph, without its attributes."""

    name = "om.operator"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> OmGraphOp:
        with parser.in_angle_brackets():
            return syntax.parse_node(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            syntax.print_node(printer, self.data)


@irdl_attr_definition
class TaskAttr(Data[OmTask]):
    """A launch."""

    name = "om.launch"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> OmTask:
        with parser.in_angle_brackets():
            return syntax.parse_task(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            syntax.print_task(printer, self.data)


@irdl_attr_definition
class BytesAttr(Data[bytes]):
    """An attribute value that is not text."""

    name = "om.bytes"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> bytes:
        with parser.in_angle_brackets():
            return syntax.parse_octets(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_bytes_literal(self.data)


@irdl_attr_definition
class FileAttr(Data[str]):
    """`#om.file<"model.om">`: the bytes stand in the weight region of that file, at the same offset."""

    name = "om.file"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> str:
        with parser.in_angle_brackets():
            return syntax.parse_text(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string_literal(self.data)


def parse_attrs(parser: Parser) -> DictionaryAttr | None:
    return parser.parse_optional_attr_dict_with_keyword()


def print_attrs(printer: Printer, attrs: DictionaryAttr | None) -> None:
    if attrs is not None and attrs.data:
        printer.print_op_attributes(attrs.data, print_keyword=True)


def dictionary(entries: Mapping[str, AttrValue]) -> DictionaryAttr | None:
    return DictionaryAttr({key: _attribute(value) for key, value in entries.items()}) if entries else None


def _attribute(value: AttrValue) -> Attribute:
    match value:
        case bool():
            return IntegerAttr(int(value), i1)
        case int():
            return IntegerAttr(value, i64)
        case float():
            return FloatAttr(value, f32)
        case str():
            return StringAttr(value)
        case bytes():
            return BytesAttr(value)
        case tuple():
            return ArrayAttr([_attribute(item) for item in value])


def values(attrs: DictionaryAttr | None) -> dict[str, AttrValue]:
    return {key: _value(attr) for key, attr in sorted(attrs.data.items())} if attrs is not None else {}


def _value(attr: Attribute) -> AttrValue:
    match attr:
        case IntegerAttr():
            return bool(attr.value.data) if attr.type == i1 else attr.value.data
        case FloatAttr():
            return attr.value.data
        case StringAttr() | BytesAttr():
            return attr.data
        case builtin.BytesAttr():  # what xDSL's parser makes of a text with characters beyond ASCII
            return attr.data.decode()
        case ArrayAttr():
            return tuple(_value(item) for item in attr)  # pyright: ignore[reportReturnType]
        case _:
            raise VerifyException(f"expected a number, a text or a list of them, got {attr}")
