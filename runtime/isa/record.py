"""The machine-code record: 64 bytes, fixed width, little-endian, one field per operand (see docs/decisions/0001).

    0  u16 opcode
    2  u8  type index (position in the row's `types`, 255 when it has none)
    3  u8  format version (1)
    4  u32 register bits: bit i = slot i is a register, bit 8+j = field j is a register
    8  slots, 8 bytes each: the row's addresses, then its scalars
       address: i32 immediate, u8 base register + 1, u8 index register + 1, u8 memory space, u8 zero
       scalar:  i64 immediate, or the register number when its register bit is set
    …  fields, 2 bytes each: unsigned, or signed when the row's range is; the register number when the bit is set
    …  zeros up to 64

The address is immediate + base register + index register.  A kernel image is a 32-byte header (magic "DVKI", u32
version, u32 record count, u32 argument count, u32 body-op count, 12 zero bytes), the records, then one u16 body-op
number per record (65535 = none): which op of the kernel's group an instruction came from (decision D18).
"""

from __future__ import annotations

RECORD_BYTES = 64
VERSION = 1
MAGIC = b"DVKI"
HEADER_BYTES = 32
REGISTERS = 64
NO_TYPE = 255
NO_BODY_OP = 65535
FIRST_SLOT = 8
SLOT_BYTES = 8
FIELD_BIT = 8  # bit of field 0 in the register word
