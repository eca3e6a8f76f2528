"""What every op of the `nn` dialect shares: the blob attribute, one textual form, one verifier.

All ops but group and constant print alike, so that a dump of a model reads like a list of layers:

    %y = nn.conv %x, %w, %b strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<…>, …) -> …
    %z = nn.relu %y : tensor<…>

Properties follow the operands as `name value` in the order in which the class defines them; a value's
spelling follows from its kind (`[1, 2]`, `1`, `1.0e-05`, a word; a flag is its bare name). One type stands
for all if all are equal.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, Self, TypeAlias, cast

from xdsl.dialects.builtin import (
    AnyFloat,
    ArrayAttr,
    BytesAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
    UnitAttr,
    f64,
    i1,
    i64,
)
from xdsl.ir import Attribute, Data, Operation, SSAValue
from xdsl.irdl import AttrConstraint, BaseAttr, IRDLOperation, irdl_attr_definition
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from . import dtypes
from .blobs import BLOB_OPS, Blob, BlobArg, number_text
from .nn_shapes import Shape, ShapeError

PRECISE = "precise"
"""Attribute of an op that would lose too much in f16: nn-convert-precision keeps it in f32 where the chip has the
instructions."""
EXACT = "exact"
"""As `PRECISE`, but what rewriting makes of the op keeps it: order and equality of numbers are asked for, which f16
would change."""
EXPONENTS = "exponents"
"""Attribute of a product whose numbers lie outside of what f16 holds, [data, weight]: nn-convert-precision multiplies data ·
2^-data by weight · 2^-weight and the result by what is missing, in f32. The first counts where the product is to be f32."""
SIZED = "sized_outputs"
"""Attribute of the main function: outputs whose size depends on data. Each has a further output with its real
shape, named with `SIZE_SUFFIX`."""

LIST_INPUTS, LIST_OUTPUTS = "list_inputs", "list_outputs"
"""Attributes of the main function: inputs and outputs as callers see them, in the words of `runtime/border.py`."""

AnyTensorType: TypeAlias = TensorType[Attribute]
PyAttr: TypeAlias = bool | int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
"""A property as a Python value."""

INT = IntegerAttr.constr(i64)
FLOAT = FloatAttr.constr(f64)
INTS = DenseArrayBase.constr(i64)
FLOATS = DenseArrayBase.constr(f64)
TEXT: AttrConstraint[StringAttr | BytesAttr] = BaseAttr(StringAttr) | BaseAttr(BytesAttr)
"""To xDSL a literal with escapes, and so one beyond ASCII, is bytes."""
TEXTS = ArrayAttr.constr(TEXT)
# The constraint objects above are what `prop_def` takes; the kinds below are what the parser asks for.
_WORD_VALUES = {"inf": math.inf, "neg_inf": -math.inf, "nan": math.nan}


# ----------------------------------------------------------------------------------------------- types


def tensor(value: SSAValue) -> TensorType[Attribute]:
    """The tensor type of a value; nn and ascend have no others."""
    assert isinstance(value.type, TensorType)
    return cast(
        AnyTensorType, value.type
    )  # `isa` on a generic costs 50 µs, and this is asked for every operand


def is_known_tensor(kind: Attribute) -> bool:
    """Whether a type is a tensor with an element type of the table."""
    return isinstance(kind, TensorType) and dtypes.is_known_ir(cast(AnyTensorType, kind).element_type)


def shape_of(value: SSAValue) -> Shape:
    """Logical shape."""
    return tensor(value).get_shape()


def dtype_of(value: SSAValue) -> str:
    """Element type by name (`f16`)."""
    return dtypes.name_of_ir(tensor(value).element_type)


def tensor_type(shape: Sequence[int], dtype: str) -> TensorType[Attribute]:
    """`((1, 3), "f16")` → `tensor<1x3xf16>`."""
    return TensorType(dtypes.ir_type(dtype), shape)


# ---------------------------------------------------------------------------------------------- values


def to_attribute(value: PyAttr) -> Attribute:
    """Python value → property. An empty tuple is a list of integers."""
    if isinstance(value, bool):
        return UnitAttr()
    if isinstance(value, int):
        return IntegerAttr(value, i64)
    if isinstance(value, float):
        return FloatAttr(value, f64)
    if isinstance(value, str):
        return StringAttr(value)
    if any(isinstance(item, str) for item in value):
        return name_list([str(item) for item in value])
    if any(isinstance(item, float) for item in value):
        return DenseArrayBase.from_list(f64, [float(item) for item in value])
    return DenseArrayBase.from_list(i64, [int(item) for item in value])


def to_python(attribute: Attribute) -> PyAttr:
    """Property → Python value; the inverse of `to_attribute`."""
    if isinstance(attribute, UnitAttr):
        return True
    if isinstance(attribute, StringAttr):
        return attribute.data
    if isinstance(attribute, BytesAttr):
        return attribute.data.decode()
    if isinstance(attribute, ArrayAttr):
        items = cast(ArrayAttr[Attribute], attribute)
        return tuple(str(to_python(item)) for item in items)
    if isinstance(attribute, IntegerAttr):
        return cast(IntegerAttr, attribute).value.data
    if isinstance(attribute, FloatAttr):
        return cast(FloatAttr[AnyFloat], attribute).value.data
    if isinstance(attribute, DenseArrayBase):
        # the cast stands for "of integers or of f64": both have the same accessor
        return tuple(cast(DenseArrayBase[IntegerType], attribute).get_values())
    raise TypeError(f"not a property of nn: {attribute}")


def ints(attribute: DenseArrayBase[IntegerType]) -> tuple[int, ...]:
    """The integers of a list property (`ints(op.strides)`)."""
    return tuple(attribute.get_values())


# ------------------------------------------------------------------------------------------------ blob


@irdl_attr_definition
class BlobAttr(Data[Blob]):
    """A weight by reference: `#nn.blob<"fc.w" : tensor<10x4xf32> | transpose [1, 0]>`."""

    name = "nn.blob"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Blob:
        with parser.in_angle_brackets():
            return _parse_blob(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.data.text)


def _parse_blob(parser: AttrParser) -> Blob:
    blob = _parse_leaf(parser)
    while parser.parse_optional_punctuation("|") is not None:
        name = parser.parse_keyword_in(BLOB_OPS, " as an operation of a blob")
        args: list[BlobArg | Blob] = []
        while (arg := _parse_optional_argument(parser)) is not None:
            args.append(arg)
        try:
            blob = blob.apply(name, *args)
        except (ValueError, IndexError) as error:
            parser.raise_error(f"blob operation {name}: {error}")
    return blob


def _parse_leaf(parser: AttrParser) -> Blob:
    key = parser.parse_optional_str_literal()
    if key is not None:
        return Blob.source(key, *_parse_blob_type(parser))
    kind = parser.parse_keyword_in(("splat", "dense"), " as the start of a blob")
    if kind == "splat":
        value = parse_number(parser)
        return Blob.splat(value, *_parse_blob_type(parser))
    values = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: parse_number(parser))
    shape, dtype = _parse_blob_type(parser)
    if len(values) != math.prod(shape):
        parser.raise_error(f"expected {math.prod(shape)} values, got {len(values)}")
    return Blob("dense", shape, dtype, values=tuple(values))


def _parse_blob_type(parser: AttrParser) -> tuple[Shape, str]:
    parser.parse_punctuation(":")
    parsed = parser.parse_type()
    if not isa(parsed, TensorType[Attribute]) or not dtypes.is_known_ir(parsed.element_type):
        parser.raise_error(f"expected a tensor type, got {parsed}")
    return parsed.get_shape(), dtypes.name_of_ir(parsed.element_type)


def _parse_optional_argument(parser: AttrParser) -> BlobArg | Blob | None:
    if parser.parse_optional_punctuation("(") is not None:
        blob = _parse_blob(parser)
        parser.parse_punctuation(")")
        return blob
    if (number := parser.parse_optional_number()) is not None:
        return number
    if (word := parser.parse_optional_identifier_or_str_literal()) is not None:
        return _WORD_VALUES.get(word, word)
    items = parser.parse_optional_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
    return None if items is None else tuple(items)


def parse_number(parser: AttrParser) -> float:
    """A number, or the words inf, neg_inf, nan."""
    word = parser.parse_optional_keyword_in(_WORD_VALUES)
    return parser.parse_number() if word is None else _WORD_VALUES[word]


# --------------------------------------------------------------------------------------------- op base


class NNOp(IRDLOperation, ABC):
    """Base of the ops that compute one tensor from tensors."""

    SHAPE: ClassVar[Callable[..., Shape]]
    """From `nn_shapes`: operand shapes by position, properties by name."""
    RESULT_SHAPE_IS_FREE: ClassVar[bool] = False
    """The result shape is chosen, not computed (reshape, expand, resize): it is the shape function's last
    operand.
    """
    ELEMENT_RULE: ClassVar[Literal["same", "bool", "where", "first", "bias", "any"]] = "same"
    """same: one element type; bool: one for operands, i1 for the result; where: i1, then one; first: the
    result has the first operand's; bias: like same, but a third operand may be f32 (it is added to the f32
    accumulator); any: not tied."""
    WORDS: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Allowed words of string properties."""

    def _setup(
        self,
        operands: Sequence[SSAValue | Operation | Sequence[SSAValue] | None],
        properties: Mapping[str, PyAttr | None] | None = None,
        *,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
    ) -> None:
        """Initialises the op; result shape and element type are inferred where not given. A False flag is
        left out.
        """
        given = {
            name: value
            for name, value in (properties or {}).items()
            if value is not None and value is not False
        }
        flat = [SSAValue.get(v) for v in _flatten(operands)]
        result_shape = self._infer(flat, given, shape)
        IRDLOperation.__init__(
            self,
            operands=list(operands),
            properties={name: to_attribute(value) for name, value in given.items()},
            result_types=[TensorType(self._infer_element(flat, dtype), result_shape)],
        )

    @classmethod
    def _infer(
        cls, operands: Sequence[SSAValue], attrs: Mapping[str, PyAttr], shape: Sequence[int] | None
    ) -> Shape:
        shapes = [shape_of(v) for v in operands]
        if cls.RESULT_SHAPE_IS_FREE:
            assert shape is not None
            shapes.append(tuple(shape))
        return cls.SHAPE(*shapes, **attrs)

    @classmethod
    def _infer_element(cls, operands: Sequence[SSAValue], dtype: str | None) -> Attribute:
        if dtype is not None:
            return dtypes.ir_type(dtype)
        if cls.ELEMENT_RULE == "bool":
            return i1
        return tensor(operands[-1] if cls.ELEMENT_RULE == "where" else operands[0]).element_type

    @property
    def values(self) -> dict[str, PyAttr]:
        """All properties that are set, as Python values."""
        return {name: to_python(attribute) for name, attribute in self.properties.items()}

    def verify_(self) -> None:
        for value in (*self.operands, *self.results):
            if not is_known_tensor(value.type):
                raise VerifyException(f"expected tensors of a known element type, got {value.type}")
        self._verify_words()
        self._verify_elements()
        self._verify_shape()

    def _verify_words(self) -> None:
        for name, allowed in self.WORDS.items():
            word = self.properties.get(name)
            if isinstance(word, StringAttr) and word.data not in allowed:
                raise VerifyException(f"expected {name} to be one of {', '.join(allowed)}, got {word.data}")

    def _verify_elements(self) -> None:
        operands = [dtype_of(v) for v in self.operands]
        result = dtype_of(self.results[0])
        rule = self.ELEMENT_RULE
        if rule == "where" and operands[0] != "bool":
            raise VerifyException(f"expected a condition of element type bool, got {operands[0]}")
        tied = {"where": operands[1:], "first": operands[:1], "bias": operands[:2]}.get(rule, operands)
        if rule == "bias" and operands[2:] not in ([], tied[:1], ["f32"]):
            raise VerifyException(f"expected bias of element type {tied[0]} or f32, got {operands[2]}")
        if rule != "any" and len(set(tied)) > 1:
            raise VerifyException(f"expected operands of one element type, got {', '.join(tied)}")
        expected = "bool" if rule == "bool" else tied[0] if tied else result
        if rule == "bias" and (expected, result) == ("f16", "f32"):
            return  # what the accumulator holds
        if rule != "any" and result != expected:
            raise VerifyException(f"expected result of element type {expected}, got {result}")

    def _verify_shape(self) -> None:
        actual = shape_of(self.results[0])
        try:
            expected = self._infer(self.operands, self.values, actual)
        except ShapeError as error:
            raise VerifyException(str(error)) from error
        except (TypeError, ValueError) as error:  # a property of the wrong kind or missing
            raise VerifyException(f"properties do not fit {self.name}: {error}") from error
        compatible = len(actual) == len(expected) and all(
            a == e or -1 in (a, e) for a, e in zip(actual, expected, strict=True)
        )
        if not compatible:
            raise VerifyException(f"expected result of shape {list(expected)}, got {list(actual)}")

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.operands, printer.print_operand)
        self._print_properties(printer)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        types = [value.type for value in (*self.operands, *self.results)]
        if self.operands and len(set(types)) == 1:
            printer.print_attribute(types[0])
            return
        with printer.in_parens():
            printer.print_list(types[:-1], printer.print_attribute)
        printer.print_string(" -> ")
        printer.print_attribute(types[-1])

    def _print_properties(self, printer: Printer) -> None:
        for name in self.get_irdl_definition().properties:
            attribute = self.properties.get(name)
            if attribute is None:
                continue
            printer.print_string(f" {name}")
            value = to_python(attribute)
            if value is not True:
                printer.print_string(f" {_value_text(attribute, value)}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        pos = parser.pos
        unresolved = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        operands = unresolved or []
        properties: dict[str, Attribute] = {}
        kinds = _property_kinds(cls)
        while (name := parser.parse_optional_keyword_in(kinds)) is not None:
            properties[name] = _parse_property(parser, kinds[name])
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        input_types, result_type = _parse_signature(parser, len(operands))
        if len(input_types) != len(operands):
            parser.raise_error(f"expected {len(operands)} operand types, got {len(input_types)}", pos)
        resolved = [parser.resolve_operand(o, t) for o, t in zip(operands, input_types, strict=True)]
        return cls.create(
            operands=resolved, properties=properties, attributes=attributes, result_types=[result_type]
        )


def _flatten(
    operands: Sequence[SSAValue | Operation | Sequence[SSAValue] | None],
) -> list[SSAValue | Operation]:
    flat: list[SSAValue | Operation] = []
    for item in operands:
        if isinstance(item, SSAValue | Operation):
            flat.append(item)
        elif item is not None:
            flat.extend(item)
    return flat


def _value_text(attribute: Attribute, value: PyAttr) -> str:
    """A property as `parse` reads it: words stand bare, other texts in quotes."""
    if isinstance(value, str):
        return value if value.isascii() and value.isidentifier() else str(attribute)
    if isinstance(attribute, ArrayAttr):
        return str(cast(ArrayAttr[Attribute], attribute))
    if isinstance(value, tuple):
        return f"[{', '.join(number_text(item) for item in value if not isinstance(item, str))}]"
    return number_text(value)


def _parse_signature(parser: Parser, count: int) -> tuple[list[Attribute], Attribute]:
    types = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
    if types is None:
        shared = parser.parse_type()
        return [shared] * count, shared
    parser.parse_punctuation("->")
    return list(types), parser.parse_type()


_KINDS: dict[type[IRDLOperation], dict[str, str]] = {}


def _property_kinds(cls: type[IRDLOperation]) -> dict[str, str]:
    """Property name → how its value is spelled, read off the constraints once per class."""
    if cls not in _KINDS:
        definition = cls.get_irdl_definition()
        _KINDS[cls] = {name: _kind(prop.constr) for name, prop in definition.properties.items()}
    return _KINDS[cls]


def _kind(constraint: AttrConstraint[Attribute]) -> str:
    bases: set[type[Attribute]] = constraint.get_bases() or set()
    if constraint in (FLOATS, TEXTS):
        return "floats" if constraint == FLOATS else "texts"
    for base, kind in ((UnitAttr, "flag"), (IntegerAttr, "int"), (FloatAttr, "float"), (StringAttr, "word")):
        if base in bases:
            return kind
    return "ints"


def _parse_quoted(parser: Parser) -> str | None:
    """A literal. One with escapes (quotes, letters beyond ASCII) is bytes to xDSL."""
    text = parser.parse_optional_str_literal()
    data = parser.parse_optional_bytes_literal() if text is None else None
    return data.decode() if data is not None else text


def _parse_property(parser: Parser, kind: str) -> Attribute:
    if kind == "flag":
        return UnitAttr()
    if kind == "int":
        return IntegerAttr(parser.parse_integer(), i64)
    if kind == "float":
        return FloatAttr(float(parse_number(parser)), f64)
    if kind == "word":
        text = _parse_quoted(parser)
        return StringAttr(parser.parse_identifier() if text is None else text)
    if kind == "texts":
        return to_attribute(to_python(parser.parse_attribute()))
    numbers = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: parse_number(parser))
    if kind == "floats":
        return DenseArrayBase.from_list(f64, [float(n) for n in numbers])
    return DenseArrayBase.from_list(i64, [int(n) for n in numbers])


def name_list(names: Sequence[str]) -> ArrayAttr[StringAttr]:
    """Names as an array attribute."""
    return ArrayAttr([StringAttr(name) for name in names])
