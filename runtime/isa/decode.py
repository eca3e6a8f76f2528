"""Kernel image bytes → validated instructions.

The bytes come from a file, so nothing about them is trusted: magic, version, sizes, opcodes, types,
ranges of immediates, register numbers, memory spaces, zero padding and the nesting of loops and ifs are
all checked here, and each rejection is one `AscendError` with the record's offset and the reason. What
depends on the chip or on register values is checked by the simulator.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..errors import AscendError
from .model import CORE_TYPES, SPACES, Instruction
from .record import (
    FIELD_BIT,
    FIRST_SLOT,
    HEADER_BYTES,
    MAGIC,
    MAX_ARGUMENTS,
    MAX_DEPTH,
    MAX_RECORDS,
    MAX_VECTORS,
    MIXED,
    NO_BODY_OP,
    NO_TYPE,
    RECORD_BYTES,
    SLOT_BYTES,
    VERSION,
    AddressOperand,
    Decoded,
    Operand,
    Reg,
    illegal,
)
from .table import BY_OPCODE


@dataclass(frozen=True)
class Image:
    """A validated program: instructions in order (the last is `end`), numbers of arguments and body ops, and
    the type of core it is made for."""

    records: tuple[Decoded, ...]
    n_args: int
    n_body_ops: int
    core: str = CORE_TYPES[0]


@dataclass(frozen=True)
class Mixed:
    """The two images of a mixed kernel, and how many vector cores work beside each cube core."""

    cube: bytes
    vector: bytes
    vectors: int


def split_mixed(data: bytes) -> Mixed | None:
    """The parts of a mixed kernel image (each still to be decoded), None for any other image."""
    if len(data) < HEADER_BYTES:
        return None
    magic, version, count, n_args, n_body, core, size, vectors = struct.unpack_from("<4s7I", data)
    if magic != MAGIC or version != VERSION or core != MIXED:
        return None
    if count or n_body:
        raise _error(0, f"{count} records and {n_body} body ops; a mixed image has those of its parts only")
    if not 1 <= vectors <= MAX_VECTORS:
        raise _error(0, f"{vectors} vector cores beside a cube core; 1 to {MAX_VECTORS} are possible")
    if not HEADER_BYTES <= size <= len(data) - 2 * HEADER_BYTES:
        raise _error(0, f"the first part has {size} of {len(data)} bytes")
    mixed = Mixed(data[HEADER_BYTES : HEADER_BYTES + size], data[HEADER_BYTES + size :], vectors)
    most = 0
    for part, wanted in ((mixed.cube, "aic"), (mixed.vector, "aiv")):
        (args, kind) = struct.unpack_from("<I4xI", part, 12)
        if kind != CORE_TYPES.index(wanted):
            raise _error(0, f"a part is of core type {kind}, expected {CORE_TYPES.index(wanted)} ({wanted})")
        most = max(most, args)
    if n_args != most:
        raise _error(0, f"{n_args} arguments, the parts take {most}")
    return mixed


class _Bad(Exception):
    pass


def decode_image(data: bytes) -> Image:
    """The kernel image `data`, or an `AscendError` saying at which byte it is wrong and why."""
    if len(data) < HEADER_BYTES:
        raise _error(0, f"{len(data)} bytes are too few for the {HEADER_BYTES}-byte header")
    magic, version, count, n_args, n_body, core = struct.unpack_from("<4sIIIII", data)
    if (
        reason := _magic_reason(magic, version)
        or _core_reason(core)
        or _size_reason(data, count, n_args, n_body)
    ):
        raise _error(0, reason)
    table_at = HEADER_BYTES + count * RECORD_BYTES
    body_ops = struct.unpack_from(f"<{count}H", data, table_at)
    records: list[Decoded] = []
    for number in range(count):
        body_op = body_ops[number]
        offset = HEADER_BYTES + number * RECORD_BYTES
        if body_op != NO_BODY_OP and body_op >= n_body:
            raise _error(
                table_at + 2 * number, f"body op {body_op} of record {number}: the kernel has {n_body}"
            )
        try:
            record = _decode_record(
                data[offset : offset + RECORD_BYTES], number, None if body_op == NO_BODY_OP else body_op
            )
        except _Bad as bad:
            raise _error(offset, str(bad)) from None
        records.append(record)
    _check_arguments(records, n_args)
    _check_nesting(records)
    return Image(tuple(records), n_args, n_body, CORE_TYPES[core])


def _error(offset: int, reason: str) -> AscendError:
    where = f"byte {offset:#x}" + (f", instruction {offset - HEADER_BYTES:04x}" if offset else ", the header")
    hint = "the file is damaged or made by another version"
    return AscendError("E42001", f"kernel image is not valid at {where}: {reason}", hint=hint)


def _magic_reason(magic: bytes, version: int) -> str:
    if magic != MAGIC:
        return f"it starts with {magic!r}, not {MAGIC!r}"
    if version != VERSION:
        return f"format version {version}, this simulator reads {VERSION}"
    return ""


def _core_reason(core: int) -> str:
    if core == MIXED:
        return "it is a mixed kernel, expected a program for one core type"
    if core >= len(CORE_TYPES):
        return f"core type {core}; there are 0 to {MIXED}"
    return ""


def _size_reason(data: bytes, count: int, n_args: int, n_body: int) -> str:
    if not 1 <= count <= MAX_RECORDS:
        return f"{count} records; 1 to {MAX_RECORDS} are allowed"
    if n_args > MAX_ARGUMENTS:
        return f"{n_args} arguments; at most {MAX_ARGUMENTS} are allowed"
    if n_body > NO_BODY_OP:
        return f"{n_body} body ops; at most {NO_BODY_OP} are allowed"
    if any(data[24:HEADER_BYTES]):
        return "reserved bytes are not zero"
    expected = HEADER_BYTES + count * (RECORD_BYTES + 2)
    return "" if len(data) == expected else f"{len(data)} bytes, {count} records need {expected}"


def _decode_record(data: bytes, number: int, body_op: int | None) -> Decoded:
    opcode, kind, version, registers = struct.unpack_from("<HBBI", data)
    row = BY_OPCODE.get(opcode)
    if row is None:
        raise _Bad(f"unknown opcode {opcode:#06x}")
    if version != VERSION:
        raise _Bad(f"record version {version}, expected {VERSION}")
    dtype = _type_name(row, kind)
    slots = len(row.addresses) + len(row.scalars)
    scalar_bits = ((1 << len(row.scalars)) - 1) << len(row.addresses)
    field_bits = ((1 << len(row.fields)) - 1) << FIELD_BIT
    if registers & ~(scalar_bits | field_bits):
        raise _Bad(f"register bits {registers:#x} name operands that {row.mnemonic} does not have")
    addresses = tuple(_address(data, FIRST_SLOT + SLOT_BYTES * i) for i in range(len(row.addresses)))
    scalars: list[Operand] = []
    for slot in range(len(row.addresses), slots):
        (value,) = struct.unpack_from("<q", data, FIRST_SLOT + SLOT_BYTES * slot)
        scalars.append(Reg(value) if registers >> slot & 1 else value)
    at = FIRST_SLOT + SLOT_BYTES * slots
    fields: list[Operand] = []
    for position, spec in enumerate(row.fields):
        is_register = registers >> (FIELD_BIT + position) & 1
        (value,) = struct.unpack_from(
            "<h" if spec.signed and not is_register else "<H", data, at + 2 * position
        )
        fields.append(Reg(value) if is_register else value)
    if any(data[at + 2 * len(row.fields) :]):
        raise _Bad("bytes behind the last operand are not zero")
    decoded = Decoded(row, dtype, addresses, tuple(scalars), tuple(fields), number * RECORD_BYTES, body_op)
    if reason := illegal(decoded):
        raise _Bad(f"{row.mnemonic}: {reason}")
    return decoded


def _type_name(row: Instruction, kind: int) -> str:
    if not row.types:
        if kind != NO_TYPE:
            raise _Bad(f"{row.mnemonic} has no type, the record says {kind}")
        return ""
    if kind >= len(row.types):
        raise _Bad(f"{row.mnemonic} has {len(row.types)} types, the record says {kind}")
    return row.types[kind]


def _address(data: bytes, at: int) -> AddressOperand:
    offset, base, index, space, zero = struct.unpack_from("<iBBBB", data, at)
    if space >= len(SPACES) or zero:
        raise _Bad(f"memory space {space}, reserved byte {zero}")
    return AddressOperand(SPACES[space], offset, base - 1 if base else None, index - 1 if index else None)


def _check_arguments(records: list[Decoded], n_args: int) -> None:
    for record in records:
        if record.mnemonic == "arg" and isinstance(record.fields[0], int) and record.fields[0] >= n_args:
            raise _error(
                HEADER_BYTES + record.address, f"argument {record.fields[0]}: the kernel has {n_args}"
            )


def _check_nesting(records: list[Decoded]) -> None:
    """Loops and ifs pair up, break_if is in a loop, `end` is the last record and the only one."""
    open_blocks: list[str] = []
    for record in records:
        reason = _nesting_reason(record, open_blocks, record is records[-1])
        if reason:
            raise _error(HEADER_BYTES + record.address, reason)


def _nesting_reason(record: Decoded, stack: list[str], last: bool) -> str:
    name = record.mnemonic
    if last != (name == "end"):
        return "the last record must be `end`" if last else "`end` before the last record"
    match name:
        case "loop" | "if":
            stack.append(name)
            return "" if len(stack) <= MAX_DEPTH else f"more than {MAX_DEPTH} loops and ifs inside each other"
        case "else":
            if not stack or stack[-1] != "if":
                return "`else` without `if`"
            stack[-1] = "else"
        case "end_loop":
            if not stack or stack.pop() != "loop":
                return "`end_loop` without `loop`"
        case "end_if":
            if not stack or stack.pop() not in ("if", "else"):
                return "`end_if` without `if`"
        case "break_if":
            if "loop" not in stack:
                return "`break_if` outside a loop"
        case "end":
            return f"`{stack[-1]}` is not closed" if stack else ""
        case _:
            pass
    return ""
