"""Types and attributes of the `ascend` dialect: layout, engine, schedule, and what can be asked of a laid-out tensor.

Everything that reads the level (passes, generators, the device's interpreter) asks here for shape, element type,
bytes and physical dimensions of a value; `ascend.py` has the ops and offers these names as its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

from xdsl.dialects.builtin import (
    NoneAttr,
    TensorType,
)
from xdsl.ir import Attribute, Data, SSAValue
from xdsl.irdl import (
    irdl_attr_definition,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from . import dtypes
from .layouts import ND, Format, Layout

ScheduleValue: TypeAlias = int | str | tuple[int, ...] | tuple[str, ...]


class Engine(StrEnum):
    """Who runs a group."""

    CUBE = "cube"
    VECTOR = "vector"
    MOVE = "move"
    SORT = "sort"
    ATTENTION = "attention"
    RECURRENCE = "recurrence"
    AICPU = "aicpu"


# ------------------------------------------------------------------------------------------------- attributes


@irdl_attr_definition
class LayoutAttr(Data[Layout]):
    """`#ascend.layout<NC1HWC0, c0 = 16>`: the encoding of a tensor type. `groups` and `pitch` print when they
    are not the default."""

    name = "ascend.layout"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Layout:
        with parser.in_angle_brackets():
            name = parser.parse_identifier()
            if name not in {f.value for f in Format}:
                parser.raise_error(f"expected one of {', '.join(Format)}, got {name}")
            fields = {"c0": 0, "groups": 1, "pitch": 0}
            while parser.parse_optional_punctuation(","):
                key = parser.parse_identifier()
                if key not in fields:
                    parser.raise_error(f"expected c0, groups or pitch, got {key}")
                parser.parse_punctuation("=")
                fields[key] = parser.parse_integer()
            try:
                return Layout(Format(name), **fields)
            except ValueError as error:
                parser.raise_error(str(error))

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.data))


@irdl_attr_definition
class ScheduleAttr(Data[tuple[tuple[str, ScheduleValue], ...]]):
    """`#ascend.schedule<rows = 2, double = [l0a, ub], path = "fast">`: ordered choices of a generator, empty
    until one is made."""

    name = "ascend.schedule"

    @staticmethod
    def of(values: Mapping[str, int | str | Sequence[int] | Sequence[str]]) -> ScheduleAttr:
        """From a dictionary; its order is kept."""
        return ScheduleAttr(tuple((k, _schedule_value(v)) for k, v in values.items()))

    @property
    def values(self) -> dict[str, ScheduleValue]:
        return dict(self.data)

    def integer(self, key: str, default: int = 0) -> int:
        """An integer choice, or its default."""
        value = self.values.get(key, default)
        if not isinstance(value, int):
            raise TypeError(f"schedule {key} is not an integer: {value}")
        return value

    def sequence(self, key: str) -> tuple[int, ...]:
        """A list of integers, empty by default."""
        value = self.values.get(key, ())
        if isinstance(value, int | str):
            raise TypeError(f"schedule {key} is not a list: {value}")
        return tuple(int(v) for v in value)

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[tuple[str, ScheduleValue], ...]:
        def entry() -> tuple[str, ScheduleValue]:
            key = parser.parse_identifier()
            parser.parse_punctuation("=")
            return key, _parse_schedule_value(parser)

        entries = parser.parse_comma_separated_list(parser.Delimiter.ANGLE, entry)
        if len({k for k, _ in entries}) != len(entries):
            parser.raise_error("expected each schedule key once")
        return tuple(entries)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_list(
                self.data, lambda kv: printer.print_string(f"{kv[0]} = {_schedule_text(kv[1])}")
            )


def _schedule_value(value: int | str | Sequence[int] | Sequence[str]) -> ScheduleValue:
    if isinstance(value, int | str):
        return value
    items = tuple(value)
    numbers = tuple(int(i) for i in items if not isinstance(i, str))
    words = tuple(i for i in items if isinstance(i, str))
    if numbers and words:
        raise TypeError(f"a schedule list holds integers or words, not both: {items}")
    return words or numbers


def _parse_schedule_scalar(parser: AttrParser) -> int | str:
    number = parser.parse_optional_integer(allow_boolean=False)
    if number is not None:
        return number
    text = parser.parse_optional_str_literal()
    return parser.parse_identifier() if text is None else text


def _parse_schedule_value(parser: AttrParser) -> ScheduleValue:
    items = parser.parse_optional_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: _parse_schedule_scalar(parser)
    )
    if items is None:
        return _parse_schedule_scalar(parser)
    numbers = tuple(i for i in items if isinstance(i, int))
    words = tuple(i for i in items if isinstance(i, str))
    if numbers and words:
        parser.raise_error("expected a list of integers or of words, not both")
    return words or numbers


def _schedule_text(value: ScheduleValue) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value if value.isidentifier() else f'"{value}"'
    return "[" + ", ".join(map(_schedule_text, value)) + "]"


EMPTY_SCHEDULE = ScheduleAttr(())

# ----------------------------------------------------------------------------------------------- type helpers


def tensor(value: SSAValue | Attribute) -> TensorType:
    """The type of a value as a tensor type; anything else is our own bug."""
    typ = value.type if isinstance(value, SSAValue) else value
    assert isa(typ, TensorType)
    return typ


def layout_of(value: SSAValue | Attribute) -> Layout:
    """The physical format of a tensor: its encoding, ND without one."""
    encoding = tensor(value).encoding
    return encoding.data if isinstance(encoding, LayoutAttr) else ND


def with_layout(typ: Attribute, layout: Layout) -> TensorType:
    """The same logical tensor type in a layout; dense ND is written as no encoding."""
    old = tensor(typ)
    encoding = NoneAttr() if layout == ND else LayoutAttr(layout)
    return TensorType(old.element_type, old.shape, encoding)


def logical(typ: Attribute) -> TensorType:
    """The type without its encoding, as block arguments of groups carry it."""
    return with_layout(typ, ND)


def shape_of(value: SSAValue | Attribute) -> tuple[int, ...]:
    return tuple(tensor(value).get_shape())


def dtype_of(value: SSAValue | Attribute) -> str:
    """Element type by name."""
    return dtypes.name_of_ir(tensor(value).element_type)


def bytes_of(value: SSAValue | Attribute) -> int:
    """Bytes in memory, padding included."""
    return layout_of(value).byte_size(shape_of(value), dtype_of(value))


def granules_of(value: SSAValue | Attribute) -> int:
    """Units of a tensor that cores may share out (decision D6)."""
    return layout_of(value).granules(shape_of(value), dtype_of(value))


def physical_shape_of(value: SSAValue | Attribute) -> tuple[int, ...]:
    return layout_of(value).physical_shape(shape_of(value), dtypes.size_of(dtype_of(value)))


def check_tensor(what: str, value: SSAValue) -> None:
    """The layout can hold the shape."""
    if -1 in shape_of(value):
        return
    try:
        physical_shape_of(value)
    except ValueError as error:
        raise VerifyException(f"{what}: {error}") from error
