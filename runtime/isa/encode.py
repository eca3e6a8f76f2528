"""Records → kernel image bytes (layout: `record.py`).  Refuses what the decoder would refuse."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ..errors import AscendError
from .decode import Mixed, decode_image, split_mixed
from .model import CORE_TYPES, SPACES
from .record import (
    FIELD_BIT,
    FIRST_SLOT,
    HEADER_BYTES,
    MAGIC,
    MIXED,
    NO_BODY_OP,
    NO_TYPE,
    RECORD_BYTES,
    SLOT_BYTES,
    VERSION,
    AddressOperand,
    Decoded,
    Record,
    Reg,
    illegal,
    resolve,
)

_SPACE_CODE = {space: code for code, space in enumerate(SPACES)}


def _address_bytes(operand: AddressOperand) -> bytes:
    base = 0 if operand.base is None else operand.base + 1
    index = 0 if operand.idx is None else operand.idx + 1
    return struct.pack("<iBBBB", operand.offset, base, index, _SPACE_CODE[operand.space], 0)


def encode_decoded(decoded: Decoded) -> bytes:
    """The 64 bytes of one instruction whose operands are known to be legal."""
    row = decoded.row
    registers = 0
    slots = [_address_bytes(address) for address in decoded.addresses]
    for operand in decoded.scalars:
        if isinstance(operand, Reg):
            registers |= 1 << len(slots)
            slots.append(struct.pack("<q", operand.number))
        else:
            slots.append(struct.pack("<q", operand))
    fields = bytearray()
    for position, (spec, value) in enumerate(zip(row.fields, decoded.fields, strict=True)):
        if isinstance(value, Reg):
            registers |= 1 << (FIELD_BIT + position)
            fields += struct.pack("<H", value.number)
        else:
            fields += struct.pack("<h" if spec.signed else "<H", value)
    kind = row.types.index(decoded.dtype) if row.types else NO_TYPE
    head = struct.pack("<HBBI", row.opcode, kind, VERSION, registers)
    return (head + b"".join(slots) + bytes(fields)).ljust(RECORD_BYTES, b"\0")


def encode(records: Iterable[Record | Decoded]) -> bytes:
    """The records alone, 64 bytes each, without image header."""
    return b"".join(encode_decoded(_legal(number, record)) for number, record in enumerate(records))


def encode_image(
    records: Iterable[Record | Decoded],
    n_args: int,
    n_body_ops: int | None = None,
    core: str = CORE_TYPES[0],
) -> bytes:
    """A whole kernel image.  `n_body_ops` defaults to one more than the highest body-op number used."""
    items = [_legal(number, record) for number, record in enumerate(records)]
    body = [NO_BODY_OP if item.body_op is None else item.body_op for item in items]
    used = max((number + 1 for number in body if number != NO_BODY_OP), default=0)
    count = used if n_body_ops is None else n_body_ops
    kind = CORE_TYPES.index(core)
    header = struct.pack("<4sIIIII8x", MAGIC, VERSION, len(items), n_args, count, kind)
    assert len(header) == HEADER_BYTES
    image = header + b"".join(map(encode_decoded, items)) + struct.pack(f"<{len(body)}H", *body)
    decode_image(image)  # the checks of the whole (nesting, counts) hold here too
    return image


def encode_mixed(mixed: Mixed) -> bytes:
    """The image of a mixed kernel from those of its parts."""
    n_args = max(struct.unpack_from("<I", part, 12)[0] for part in (mixed.cube, mixed.vector))
    head = struct.pack("<4s7I", MAGIC, VERSION, 0, n_args, 0, MIXED, len(mixed.cube), mixed.vectors)
    image = head + mixed.cube + mixed.vector
    split_mixed(image)  # its checks hold here too
    return image


def _legal(number: int, record: Record | Decoded) -> Decoded:
    decoded = resolve(record) if isinstance(record, Record) else record
    reason = decoded if isinstance(decoded, str) else illegal(decoded)
    if reason or isinstance(decoded, str):
        raise AscendError("E42003", f"instruction {number} cannot be encoded: {reason}")
    return decoded


def _check_layout() -> None:
    """Every row of the table must fit into a record and the register word."""
    from .table import INSTRUCTIONS

    for row in INSTRUCTIONS:
        slots = len(row.addresses) + len(row.scalars)
        if (
            FIRST_SLOT + SLOT_BYTES * slots + 2 * len(row.fields) > RECORD_BYTES
            or slots > FIELD_BIT
            or len(row.fields) > 32 - FIELD_BIT
        ):
            raise ValueError(f"{row.mnemonic} does not fit into a record")


_check_layout()
