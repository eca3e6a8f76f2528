"""Constants and groups of `nn`.

`nn.group` is what fusion makes: a region that stands for one kernel, with the names of the model's nodes it
replaces. Its block arguments are plain tensors, so the body reads like any other nn code and nothing
outside is visible in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from xdsl.dialects.builtin import ArrayAttr, NoneAttr, StringAttr, TensorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    lazy_traits_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import ConstantLike, IsolatedFromAbove, IsTerminator, Pure, SingleBlockImplicitTerminator
from xdsl.utils.exceptions import VerifyException

from . import dtypes
from .blobs import Blob
from .nn_attrs import BlobAttr, name_list, tensor, tensor_type


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A weight or small constant, by expression: `nn.constant #nn.blob<"fc.w" : tensor<10x4xf32> |
    transpose [1, 0]>`.
    """

    name = "nn.constant"
    value = prop_def(BlobAttr)
    output = result_def(TensorType)
    traits = traits_def(Pure(), ConstantLike())

    def __init__(self, value: Blob, result_type: Attribute | None = None) -> None:
        super().__init__(
            properties={"value": BlobAttr(value)},
            result_types=[result_type or tensor_type(value.shape, value.dtype)],
        )

    @property
    def blob(self) -> Blob:
        return self.value.data

    def verify_(self) -> None:
        result = tensor(self.output)
        if result.element_type != dtypes.ir_type(self.blob.dtype):
            raise VerifyException(
                f"expected result of element type {self.blob.dtype}, got {result.element_type}"
            )
        # With a layout the type keeps the logical shape while a packed blob has the physical one.
        if isinstance(result.encoding, NoneAttr) and result.get_shape() != self.blob.shape:
            raise VerifyException(
                f"expected result of shape {list(self.blob.shape)}, got {list(result.get_shape())}"
            )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_attribute(self.value)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.output.type)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        value = parser.parse_attribute()
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        return cls.create(
            properties={"value": value}, attributes=attributes, result_types=[parser.parse_type()]
        )


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends the body of a group with its results."""

    name = "nn.yield"
    arguments = var_operand_def()
    traits = lazy_traits_def(lambda: (IsTerminator(), Pure()))

    assembly_format = "($arguments^ `:` type($arguments))? attr-dict"

    def __init__(self, *arguments: SSAValue | Operation) -> None:
        super().__init__(operands=[arguments])


@irdl_op_definition
class GroupOp(IRDLOperation):
    """Nodes that become one kernel."""

    name = "nn.group"
    inputs = var_operand_def(TensorType)
    outputs = var_result_def(TensorType)
    kind = prop_def(StringAttr)
    sources = prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")
    traits = lazy_traits_def(lambda: (Pure(), IsolatedFromAbove(), SingleBlockImplicitTerminator(YieldOp)))

    def __init__(
        self,
        kind: str,
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        body: Region | None = None,
        sources: Sequence[str] = (),
    ) -> None:
        region = body if body is not None else Region(Block(arg_types=[value.type for value in inputs]))
        super().__init__(
            operands=[inputs],
            result_types=[result_types],
            properties={"kind": StringAttr(kind), "sources": name_list(sources)},
            regions=[region],
        )

    @property
    def source_names(self) -> tuple[str, ...]:
        return tuple(name.data for name in self.sources)

    def verify_(self) -> None:
        block = self.body.block
        expected = [value.type for value in self.inputs]
        actual = [arg.type for arg in block.args]
        if expected != actual:
            raise VerifyException(
                f"expected block arguments of the operand types {_types(expected)}, got {_types(actual)}"
            )
        last = block.last_op
        if not isinstance(last, YieldOp):
            raise VerifyException(
                f"expected nn.yield at the end of the body, got {last.name if last else 'nothing'}"
            )
        yielded = [value.type for value in last.arguments]
        results = [value.type for value in self.outputs]
        if yielded != results:
            raise VerifyException(
                f"expected nn.yield of the result types {_types(results)}, got {_types(yielded)}"
            )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.kind.data)
        printer.print_string(" (")
        printer.print_list(self.inputs, printer.print_operand)
        printer.print_string(") from [")
        printer.print_list(self.source_names, printer.print_string_literal)
        printer.print_string("] ")
        printer.print_region(self.body)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_function_type(self.inputs.types, self.outputs.types)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        kind = parser.parse_str_literal()
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_keyword("from")
        sources = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_str_literal)
        region = parser.parse_region()
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        signature = parser.parse_function_type()
        inputs = parser.resolve_operands(operands, signature.inputs.data, parser.pos)
        return cls.create(
            operands=inputs,
            result_types=signature.outputs.data,
            properties={"kind": StringAttr(kind), "sources": name_list(sources)},
            attributes=attributes,
            regions=[region],
        )


def _types(types: Sequence[Attribute]) -> str:
    return f"({', '.join(map(str, types))})"
