"""The machine-code record: 64 bytes, fixed width, little-endian, one field per operand (decision 0001).

    0  u16 opcode
    2  u8  type index (position in the row's `types`, 255 when it has none)
    3  u8  format version (1)
    4  u32 register bits: bit i = slot i is a register, bit 8+j = field j is a register
    8  slots, 8 bytes each: the row's addresses, then its scalars
       address: i32 immediate, u8 base register + 1, u8 index register + 1, u8 memory space, u8 zero
       scalar:  i64 immediate, or the register number when its register bit is set
    …  fields, 2 bytes each: unsigned, or signed when the row's range is; or the register number
    …  zeros up to 64

The address is immediate + base register + index register. A kernel image is a 32-byte header (magic
"DVKI", u32 version, u32 record count, u32 argument count, u32 body-op count, u32 core type, 8 zero bytes),
the records, then one u16 body-op number per record (65535 = none): which op of the kernel's group an
instruction came from (D18). Every bit that has no meaning is zero, so that equal programs are equal bytes.

Core types are 0 coupled, 1 AIC (cube core of a split chip), 2 AIV (vector core), 3 mixed (decision 0012). A
mixed image is a header with no records, the highest argument count of its parts, u32 bytes of the first
part and u32 vector cores beside each cube core instead of the zero bytes, then two whole images: the
program of the cube core and that of its vector cores.

`Record` is the same in Python: what `encode.py` takes, `decode.py` returns and the assembler text shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from .model import SPACES, Instruction
from .table import TABLE

RECORD_BYTES = 64
VERSION = 1
MAGIC = b"DVKI"
MIXED = 3
"""Core type in the header of an image that holds a program for the cube core and one for its vector cores."""

MAX_VECTORS = 2  # vector cores beside a cube core
HEADER_BYTES = 32
REGISTERS = 64
NO_TYPE = 255
NO_BODY_OP = 65535
FIRST_SLOT = 8
SLOT_BYTES = 8
FIELD_BIT = 8  # bit of field 0 in the register word
MAX_RECORDS = 1 << 16
MAX_ARGUMENTS = 256
MAX_DEPTH = 16  # loops and ifs inside each other (Python, which the simulator translates to, stops at 20)


@dataclass(frozen=True, slots=True)
class Reg:
    """A scalar register as an operand."""

    number: int

    def __str__(self) -> str:
        return f"r{self.number}"


Operand: TypeAlias = int | Reg


class AddressOperand(NamedTuple):
    """Byte `offset` + registers `base` and `idx` in memory `space`; a plain tuple of the four will do."""

    space: str
    offset: int = 0
    base: int | None = None
    idx: int | None = None


AddressLike: TypeAlias = AddressOperand | tuple[str, int, int | None, int | None]


@dataclass(frozen=True)
class Record:
    """One instruction to encode.  Fields with a default, and scalars at the end that have one, may be left out; `body_op`
    None = from no op."""

    mnemonic: str
    dtype: str = ""
    addresses: Sequence[AddressLike] = ()
    scalars: Sequence[Operand] = ()
    fields: Mapping[str, Operand] = field(default_factory=dict[str, Operand])
    body_op: int | None = None


@dataclass(frozen=True)
class Decoded:
    """One instruction: operands in the order of its table row, `address` in bytes from the first record."""

    row: Instruction
    dtype: str
    addresses: tuple[AddressOperand, ...]
    scalars: tuple[Operand, ...]
    fields: tuple[Operand, ...]
    address: int = 0
    body_op: int | None = None

    @property
    def mnemonic(self) -> str:
        return self.row.mnemonic

    def field(self, name: str) -> Operand:
        """The field called `name`."""
        for spec, value in zip(self.row.fields, self.fields, strict=True):
            if spec.name == name:
                return value
        raise KeyError(f"{self.mnemonic} has no field {name}")

    def record(self) -> Record:
        """The same as encoder input."""
        named = {spec.name: value for spec, value in zip(self.row.fields, self.fields, strict=True)}
        return Record(self.mnemonic, self.dtype, self.addresses, self.scalars, named, self.body_op)


def _register_reason(number: int | None) -> str:
    if number is not None and not 0 <= number < REGISTERS:
        return f"register {number}: there are {REGISTERS}"
    return ""


def _address_reason(name: str, spaces: tuple[str, ...], operand: AddressOperand) -> str:
    if operand.space not in SPACES:
        return f"{name}: no memory is called {operand.space}"
    if operand.space not in spaces:
        return f"{name} lies in {operand.space}, the instruction takes {' or '.join(spaces)}"
    if not -(1 << 31) <= operand.offset < 1 << 31:
        return f"{name}: immediate {operand.offset} does not fit into 32 bits"
    return _register_reason(operand.base) or _register_reason(operand.idx)


def _scalar_reason(name: str, written: bool, operand: Operand) -> str:
    if isinstance(operand, Reg):
        return _register_reason(operand.number)
    if written:
        return f"{name} is written: it must be a register"
    if not -(1 << 63) <= operand < 1 << 63:
        return f"{name}: {operand} does not fit into 64 bits"
    return ""


def illegal(decoded: Decoded) -> str:
    """Why the table forbids the operands, "" when it allows them; register values are checked at run time."""
    row = decoded.row
    if len(decoded.addresses) != len(row.addresses):
        return f"{row.mnemonic} takes {len(row.addresses)} addresses, not {len(decoded.addresses)}"
    if len(decoded.scalars) != len(row.scalars):
        return f"{row.mnemonic} takes {len(row.scalars)} scalars, not {len(decoded.scalars)}"
    if (decoded.dtype not in row.types) if row.types else decoded.dtype:
        known = " ".join(row.types) or "(none)"
        return f"{row.mnemonic} takes the types {known}, not {decoded.dtype or '(none)'}"
    for address, place in zip(row.addresses, decoded.addresses, strict=True):
        if reason := _address_reason(address.name, address.spaces, place):
            return reason
    for scalar, operand in zip(row.scalars, decoded.scalars, strict=True):
        if reason := _scalar_reason(scalar.name, "w" in scalar.register, operand):
            return reason
    for spec, value in zip(row.fields, decoded.fields, strict=True):
        if isinstance(value, Reg):
            if reason := _register_reason(value.number):
                return reason
        elif not spec.low <= value <= spec.high:
            return f"{spec.name} = {value} is outside {spec.low}..{spec.high}"
    return ""


def resolve(record: Record) -> Decoded | str:
    """`record` with its row and its defaults filled in, or why that is impossible."""
    row = TABLE.get(record.mnemonic)
    if row is None:
        return f"no instruction is called {record.mnemonic}"
    unknown = set(record.fields) - {spec.name for spec in row.fields}
    if unknown:
        return f"{row.mnemonic} has no field {', '.join(sorted(unknown))}"
    values: list[Operand] = []
    for spec in row.fields:
        value = record.fields.get(spec.name, spec.default)
        if value is None:
            return f"{row.mnemonic} needs the field {spec.name}"
        values.append(value)
    addresses = tuple(AddressOperand(*address) for address in record.addresses)
    scalars = list(record.scalars)
    for scalar in row.scalars[len(scalars) :]:
        if scalar.default is None:
            break  # `illegal` says how many there must be
        scalars.append(scalar.default)
    return Decoded(row, record.dtype, addresses, tuple(scalars), tuple(values), 0, record.body_op)
