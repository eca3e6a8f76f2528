"""The shape that all instruction ops share: operands, properties, one printer and one parser.

    davinci.vadd f16 %d[%o], %a[128], %b, repeat %n, src1_rep 0, mask_lo 65535, bytes [14336, 14336, 256]

First the data type, then the address operands (buffer or kernel argument, with a byte offset in brackets), then the
values that differ from their defaults: constants or `index` values.  `bytes` gives the extent of each address
operand; it is left out when the fields are constants, because then the ISA table knows it.  The attribute `disjoint` on a
store says that no two executions of it in one kernel write the same bytes: its generator knows, sync insertion could not
always prove it (the last tile is shorter), and the simulator's hazard check would see it if it were wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from xdsl.dialects.builtin import DenseArrayBase, IndexType, StringAttr, i64
from xdsl.ir import SSAValue
from xdsl.irdl import AttrSizedOperandSegments, IRDLOperation, opt_prop_def, prop_def, var_operand_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from ..runtime.isa.extents import extents as table_extents
from ..runtime.isa.model import Field, Instruction, Scalar, StateField
from ..runtime.isa.table import TABLE, state_fields

Value = int | SSAValue
INTS = DenseArrayBase.constr(i64)
_INDEX = IndexType()
DISJOINT = "disjoint"
"""Attribute of a store whose executions never write the same bytes."""


def value_specs(row: Instruction) -> tuple[Scalar | Field | StateField, ...]:
    """All value operands of a row: scalars that it reads, fields, then the state it reads."""
    return (*(spec for spec in row.scalars if spec.register != "w"), *row.fields, *state_fields(row))


class InstructionOp(IRDLOperation):
    """Base of all instruction ops; `ROW` is its line of the instruction table."""

    MNEMONIC: ClassVar[str] = ""

    bases = var_operand_def()
    offsets = var_operand_def(IndexType)
    values = var_operand_def(IndexType)
    dtype = prop_def(StringAttr)
    static_offsets = prop_def(INTS)
    static_values = prop_def(INTS)
    dynamic_offsets = prop_def(INTS)  # which address operands have an offset in `offsets`
    dynamic_values = prop_def(INTS)  # which values stand in `values`
    bytes = opt_prop_def(INTS)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        dtype: str,
        addresses: Sequence[tuple[SSAValue, Value]],
        values: Mapping[str, Value],
        extents: Sequence[int] | None = None,
    ) -> None:
        row = TABLE[self.MNEMONIC]
        fixed, dynamic, operands = _split(row, values)
        offsets = [offset for _, offset in addresses]
        super().__init__(
            operands=[
                [base for base, _ in addresses],
                [o for o in offsets if not isinstance(o, int)],
                operands,
            ],
            result_types=[_INDEX] if row.loads else [],
            properties={
                "dtype": StringAttr(dtype),
                "static_offsets": DenseArrayBase.from_list(
                    i64, [o if isinstance(o, int) else 0 for o in offsets]
                ),
                "static_values": DenseArrayBase.from_list(i64, fixed),
                "dynamic_offsets": DenseArrayBase.from_list(
                    i64, [i for i, o in enumerate(offsets) if not isinstance(o, int)]
                ),
                "dynamic_values": DenseArrayBase.from_list(i64, dynamic),
                "bytes": DenseArrayBase.from_list(i64, list(extents)) if extents is not None else None,
            },
        )

    @property
    def row(self) -> Instruction:
        return TABLE[self.MNEMONIC]

    @property
    def addresses(self) -> list[tuple[SSAValue, Value]]:
        """(base, byte offset) per address operand, in table order."""
        dynamic = dict(zip((int(i) for i in self.dynamic_offsets.get_values()), self.offsets, strict=True))
        return [
            (base, dynamic.get(i, int(fixed)))
            for i, (base, fixed) in enumerate(zip(self.bases, self.static_offsets.get_values(), strict=True))
        ]

    @property
    def named_values(self) -> dict[str, Value]:
        """Every scalar, field and state value by name."""
        dynamic = dict(zip((int(i) for i in self.dynamic_values.get_values()), self.values, strict=True))
        fixed = self.static_values.get_values()
        return {spec.name: dynamic.get(i, int(fixed[i])) for i, spec in enumerate(value_specs(self.row))}

    def value(self, name: str) -> Value:
        return self.named_values[name]

    def extents(self) -> tuple[int, ...]:
        """Bytes touched from each address operand (an upper bound when values are dynamic)."""
        if self.bytes is not None:
            return tuple(int(b) for b in self.bytes.get_values())
        named = self.named_values
        return table_extents(
            self.row, self.dtype.data, {k: v for k, v in named.items() if isinstance(v, int)}
        )

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        row = TABLE[cls.MNEMONIC]
        dtype = parser.parse_identifier("data type") if row.types else ""
        addresses: list[tuple[SSAValue, Value]] = []
        for i, _ in enumerate(row.addresses):
            if i:
                parser.parse_punctuation(",")
            base = _parse_base(parser)
            offset: Value = 0
            if parser.parse_optional_punctuation("[") is not None:
                offset = _parse_value(parser)
                parser.parse_punctuation("]")
            addresses.append((base, offset))
        known = {spec.name: spec for spec in value_specs(row)}
        values: dict[str, Value] = {}
        extents: list[int] | None = None
        while not row.addresses or parser.parse_optional_punctuation(",") is not None:
            name = parser.parse_identifier("operand name")
            listed = None
            if name == "bytes":  # extents in brackets; store_scalar also has a field of that name
                listed = parser.parse_optional_comma_separated_list(
                    parser.Delimiter.SQUARE, parser.parse_integer
                )
            if listed is not None:
                extents = listed
            elif name in known:
                values[name] = _parse_named(parser, known[name])
            else:
                parser.raise_error(f"davinci.{cls.MNEMONIC} has no operand {name}; it has {', '.join(known)}")
            if not row.addresses and parser.parse_optional_punctuation(",") is None:
                break
        op = cls(dtype, addresses, values, extents)
        op.attributes.update(parser.parse_optional_attr_dict())
        return op

    def print(self, printer: Printer) -> None:
        if self.row.types:
            printer.print_string(f" {self.dtype.data}")
        for i, (base, offset) in enumerate(self.addresses):
            printer.print_string(", " if i else " ")
            printer.print_ssa_value(base)
            if isinstance(offset, SSAValue) or offset:
                printer.print_string("[")
                _print_value(printer, offset)
                printer.print_string("]")
        named = self.named_values
        separator = ", " if self.row.addresses else " "
        for spec in value_specs(self.row):
            value = named[spec.name]
            if isinstance(value, int) and value == spec.default:
                continue
            printer.print_string(f"{separator}{spec.name} ")
            separator = ", "
            choices = spec.choices if isinstance(spec, Field) else ()
            if isinstance(value, int) and choices:
                printer.print_string(choices[value])
            else:
                _print_value(printer, value)
        if self.bytes is not None:
            printer.print_string(", bytes [" + ", ".join(str(int(b)) for b in self.bytes.get_values()) + "]")
        printer.print_op_attributes(self.attributes)

    def verify_(self) -> None:
        row = self.row
        if row.types and self.dtype.data not in row.types:
            raise VerifyException(
                f"{self.MNEMONIC} data type: expected one of {', '.join(row.types)}, got {self.dtype.data}"
            )
        if len(self.bases) != len(row.addresses):
            raise VerifyException(
                f"{self.MNEMONIC}: expected {len(row.addresses)} address operands, got {len(self.bases)}"
            )
        from .davinci import space_of

        for spec, base in zip(row.addresses, self.bases, strict=True):
            space = space_of(base)
            if space not in spec.spaces:
                raise VerifyException(
                    f"{self.MNEMONIC} {spec.name}: expected memory {' or '.join(spec.spaces)}, got {space}"
                )
        self._verify_values()

    def _verify_values(self) -> None:
        dynamic = False
        for spec in value_specs(self.row):
            value = self.named_values[spec.name]
            if isinstance(spec, StateField) and spec.machine_only and value != spec.default:
                raise VerifyException(
                    f"{self.MNEMONIC} {spec.name}: expected {spec.default}, only machine code may set it"
                )
            if not isinstance(value, int):
                dynamic = True
                continue
            if not isinstance(spec, Scalar) and not spec.low <= value <= spec.high:
                raise VerifyException(
                    f"{self.MNEMONIC} {spec.name}: expected {spec.low} to {spec.high}, got {value}"
                )
        if dynamic and self.row.addresses and self.bytes is None:
            raise VerifyException(
                f"{self.MNEMONIC}: expected `bytes` (an extent per address) when a value is dynamic"
            )


def _split(row: Instruction, values: Mapping[str, Value]) -> tuple[list[int], list[int], list[SSAValue]]:
    """(static values, indices of dynamic ones, their operands); unknown or missing names are our own bug."""
    specs = value_specs(row)
    unknown = set(values) - {spec.name for spec in specs}
    if unknown:
        raise ValueError(f"{row.mnemonic} has no operand {', '.join(sorted(unknown))}")
    fixed: list[int] = []
    dynamic: list[int] = []
    operands: list[SSAValue] = []
    for i, spec in enumerate(specs):
        value = values.get(spec.name, spec.default)
        if value is None:
            raise ValueError(f"{row.mnemonic}: operand {spec.name} is missing")
        if isinstance(value, int):
            fixed.append(value)
        else:
            fixed.append(0)
            dynamic.append(i)
            operands.append(value)
    return fixed, dynamic, operands


def _parse_base(parser: Parser) -> SSAValue:
    """A buffer or kernel argument, which is defined above: its type is not written again."""
    operand = parser.parse_unresolved_operand()
    known = parser.ssa_values.get(operand.operand_name)
    if known is None or operand.index >= len(known):
        parser.raise_error("buffer used before its definition", operand.span)
    return known[operand.index]


def _parse_value(parser: Parser) -> Value:
    operand = parser.parse_optional_operand(_INDEX)
    return operand if operand is not None else parser.parse_integer()


def _parse_named(parser: Parser, spec: Scalar | Field | StateField) -> Value:
    if isinstance(spec, Field) and spec.choices:
        name = parser.parse_optional_identifier()
        if name is not None:
            if name not in spec.choices:
                parser.raise_error(f"{spec.name}: expected one of {', '.join(spec.choices)}, got {name}")
            return spec.choices.index(name)
    return _parse_value(parser)


def _print_value(printer: Printer, value: Value) -> None:
    if isinstance(value, int):
        printer.print_string(str(value))
    else:
        printer.print_ssa_value(value)
