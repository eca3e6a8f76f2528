"""Reading and building instruction ops quickly.

The passes of this level look at every instruction several times, and the general accessors of xDSL unpack
arrays and check constraints each time (15 to 100 µs).  These do the same on the stored properties; what is
equal for many ops kept: arrays of integers by their bytes, properties of flags and barriers by their values.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache

from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, i32, i64
from xdsl.ir import Attribute, Block, SSAValue

from ..dialects.davinci import OffsetOp, index
from ..dialects.davinci_instruction import InstructionOp, Value, value_specs
from ..dialects.davinci_isa import OP_BY_MNEMONIC
from ..runtime.isa.extents import extents as table_extents
from ..runtime.isa.table import TABLE


@cache
def _numbers(data: bytes, code: str) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)


@cache
def dense(numbers: tuple[int, ...]) -> Attribute:
    """`array<i64: …>`."""
    return DenseArrayBase.from_list(i64, numbers)


@cache
def _segments(numbers: tuple[int, ...]) -> Attribute:
    return DenseArrayBase.from_list(i32, numbers)


@cache
def _integer(number: int) -> Attribute:
    return IntegerAttr(number, i64)


def _array(op: InstructionOp | OffsetOp, name: str) -> tuple[int, ...]:
    attribute = op.properties[name]
    assert isinstance(attribute, DenseArrayBase)
    return _numbers(attribute.data.data, "q")


def _segment_sizes(op: InstructionOp) -> tuple[int, ...]:
    attribute = op.properties["operandSegmentSizes"]
    assert isinstance(attribute, DenseArrayBase)
    return _numbers(attribute.data.data, "i")


@cache
def _names(mnemonic: str) -> tuple[str, ...]:
    return tuple(spec.name for spec in value_specs(TABLE[mnemonic]))


def addresses_of(op: InstructionOp) -> list[tuple[SSAValue, Value]]:
    """(base, byte offset) per address operand: `op.addresses`."""
    bases, offsets, _ = _segment_sizes(op)
    operands = tuple(op.operands)
    found: list[tuple[SSAValue, Value]] = list(
        zip(operands[:bases], _array(op, "static_offsets"), strict=True)
    )
    for place, offset in zip(_array(op, "dynamic_offsets"), operands[bases : bases + offsets], strict=True):
        found[place] = (operands[place], offset)
    return found


def offset_operands(op: InstructionOp) -> dict[int, SSAValue]:
    """Base of each address whose offset is an operand, by operand number of the offset."""
    bases = _segment_sizes(op)[0]
    operands = tuple(op.operands)
    return {bases + i: operands[place] for i, place in enumerate(_array(op, "dynamic_offsets"))}


def values_of(op: InstructionOp) -> dict[str, Value]:
    """Every scalar, field and state value by name: `op.named_values`."""
    found: dict[str, Value] = dict(zip(_names(op.MNEMONIC), _array(op, "static_values"), strict=True))
    dynamic = _array(op, "dynamic_values")
    if dynamic:
        names = _names(op.MNEMONIC)
        first = sum(_segment_sizes(op)[:2])
        for place, value in zip(dynamic, tuple(op.operands)[first:], strict=True):
            found[names[place]] = value
    return found


def dynamic_values_of(op: InstructionOp) -> list[tuple[int, SSAValue]]:
    """(number among the value operands, operand) of the values that are not constants."""
    dynamic = _array(op, "dynamic_values")
    if not dynamic:
        return []
    first = sum(_segment_sizes(op)[:2])
    return list(zip(dynamic, tuple(op.operands)[first:], strict=True))


def extents_of(op: InstructionOp) -> tuple[int, ...]:
    """Bytes touched from each address operand: `op.extents()`."""
    if op.properties.get("bytes") is not None:
        return _array(op, "bytes")
    return _constant_extents(op.MNEMONIC, op.dtype.data, _array(op, "static_values"))


@cache
def _constant_extents(mnemonic: str, dtype: str, values: tuple[int, ...]) -> tuple[int, ...]:
    return table_extents(TABLE[mnemonic], dtype, dict(zip(_names(mnemonic), values, strict=True)))


def terms_of(op: OffsetOp) -> tuple[int, list[tuple[SSAValue, int]]]:
    """(constant, [(value, scale)]): `op.linear`."""
    constant = op.properties["constant"]
    assert isinstance(constant, IntegerAttr)
    return constant.value.data, list(zip(tuple(op.operands), _array(op, "scales"), strict=True))


# ------------------------------------------------------------------------------------------------ building


def set_addresses(op: InstructionOp, addresses: Sequence[tuple[SSAValue, Value]]) -> None:
    """Replaces the address operands in place."""
    values = tuple(op.operands)[sum(_segment_sizes(op)[:2]) :]
    offsets = [offset for _, offset in addresses if not isinstance(offset, int)]
    op.operands = [*(base for base, _ in addresses), *offsets, *values]
    fixed = tuple(offset if isinstance(offset, int) else 0 for _, offset in addresses)
    dynamic = tuple(i for i, (_, offset) in enumerate(addresses) if not isinstance(offset, int))
    op.properties["static_offsets"] = dense(fixed)
    op.properties["dynamic_offsets"] = dense(dynamic)
    op.properties["operandSegmentSizes"] = _segments((len(addresses), len(offsets), len(values)))


def offset_op(constant: int, terms: Sequence[tuple[SSAValue, int]]) -> OffsetOp:
    """`OffsetOp(constant, terms)`."""
    return OffsetOp.create(
        operands=[value for value, _ in terms],
        result_types=[index],
        properties={"constant": _integer(constant), "scales": dense(tuple(scale for _, scale in terms))},
    )


@cache
def _properties(mnemonic: str, values: tuple[tuple[str, int], ...]) -> Mapping[str, Attribute]:
    return OP_BY_MNEMONIC[mnemonic]("", [], dict(values)).properties


@cache
def _dynamic_place(mnemonic: str, name: str) -> Attribute:
    return dense((_names(mnemonic).index(name),))


def plain_instruction(kind: type[InstructionOp], values: Mapping[str, Value]) -> InstructionOp:
    """An instruction without addresses; more than one value that is an operand takes the slow way."""
    operands = [value for value in values.values() if not isinstance(value, int)]
    if len(operands) > 1:
        return kind("", [], values)
    constants = tuple((name, value if isinstance(value, int) else 0) for name, value in values.items())
    properties = dict(_properties(kind.MNEMONIC, constants))
    for name, value in values.items():
        if not isinstance(value, int):
            properties["dynamic_values"] = _dynamic_place(kind.MNEMONIC, name)
            properties["operandSegmentSizes"] = _segments((0, 0, 1))
    return kind.create(operands=operands, properties=properties)


@cache
def _overflow(kind: type[arith.AddiOp | arith.MuliOp]) -> Mapping[str, Attribute]:
    zero = arith.ConstantOp(IntegerAttr(0, index)).result
    return kind(zero, zero).properties


def arithmetic(
    kind: type[arith.AddiOp | arith.MuliOp], a: SSAValue, b: SSAValue
) -> arith.AddiOp | arith.MuliOp:
    """`kind(a, b)` on index values."""
    return kind.create(operands=[a, b], result_types=[index], properties=dict(_overflow(kind)))


class Constants:
    """`arith.constant`s at the top of a kernel, one per number."""

    def __init__(self, top: Block) -> None:
        self.top = top
        self._made: dict[int, SSAValue] = {}
        for op in top.ops:
            if type(op) is arith.ConstantOp and isinstance(number := op.properties["value"], IntegerAttr):
                self._made.setdefault(number.value.data, op.result)

    def __call__(self, number: int) -> SSAValue:
        """The constant `number`, made at need in front of everything else."""
        if number not in self._made:
            op = arith.ConstantOp(IntegerAttr(number, index))
            first = self.top.first_op
            self.top.add_op(op) if first is None else self.top.insert_op_before(op, first)
            self._made[number] = op.result
        return self._made[number]
