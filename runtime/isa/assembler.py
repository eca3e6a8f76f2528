"""Assembly text → kernel image.  Reads what `disassembler.py` prints, and what people write by hand.

    .kernel args=3                                   ; body_ops may be left out
    arg r1, number=0
    loop r4, 7
      vadd.f16 ub[0x100+r3+r4], ub[r5], ub[0], repeat=56, dst_blk=1 ; op 2
    end_loop
    end

Address and pipe in front of a mnemonic are ignored, so is everything behind `;` or `#` except `op N`.
Numbers are decimal or 0x hexadecimal; a field that names choices (`pipe=V`, `condition=lt`) takes the
name or the number. Errors name the line.
"""

from __future__ import annotations

import re

from ..errors import AscendError
from .encode import encode_image
from .record import (
    MAX_ARGUMENTS,
    NO_BODY_OP,
    AddressOperand,
    Operand,
    Record,
    Reg,
    illegal,
    resolve,
)
from .table import TABLE

_PREFIX = re.compile(r"[0-9a-fA-F]{4,}\s+(?:S|V|M|MTE1|MTE2|MTE3)\s+(?=\S)")
_HEAD = re.compile(r"\.kernel\s+args=([0-9]+)(?:\s+body_ops=([0-9]+))?")
_BODY_OP = re.compile(r"\bop\s+([0-9]+)\b")
_ADDRESS = re.compile(r"(\w+)\[([^\]]*)\]")
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_REGISTER = re.compile(r"r([0-9]+)")
_DIGITS = 20  # of the longest 64-bit number, sign included


class _Bad(Exception):
    pass


def assemble(text: str) -> bytes:
    """The kernel image that `text` describes, or an `AscendError` naming the line."""
    records: list[Record] = []
    head: tuple[int, int | None] = (0, None)
    for number, line in enumerate(text.splitlines(), 1):
        code, _, comment = line.replace("#", ";").partition(";")
        code = code.strip()
        if not code:
            continue
        try:
            match = _HEAD.fullmatch(code)
            if match:
                head = _head(match[1], match[2])
                continue
            records.append(
                _instruction(_PREFIX.sub("", code, count=1) if _PREFIX.match(code) else code, comment)
            )
        except _Bad as bad:
            raise AscendError("E42002", f"assembly line {number}: {bad}", hint=code) from None
    return encode_image(records, head[0], head[1])


def _head(args: str, body_ops: str | None) -> tuple[int, int | None]:
    count, body = _integer(args), _integer(body_ops) if body_ops else None
    if count > MAX_ARGUMENTS:
        raise _Bad(f"{count} arguments; at most {MAX_ARGUMENTS} are allowed")
    if body is not None and body > NO_BODY_OP:
        raise _Bad(f"{body} body ops; at most {NO_BODY_OP} are allowed")
    return count, body


def _instruction(code: str, comment: str) -> Record:
    name, _, rest = code.partition(" ")
    mnemonic, _, dtype = name.partition(".")
    row = TABLE.get(mnemonic)
    if row is None:
        raise _Bad(f"no instruction is called {mnemonic}")
    addresses: list[AddressOperand] = []
    scalars: list[Operand] = []
    fields: dict[str, Operand] = {}
    for word in (part.strip() for part in rest.split(",") if part.strip()):
        key, equals, value = word.partition("=")
        if equals:
            if key.strip() in fields:
                raise _Bad(f"{key.strip()} is given twice")
            fields[key.strip()] = _field(mnemonic, key.strip(), value.strip())
        elif address := _ADDRESS.fullmatch(word):
            addresses.append(_address(address[1], address[2]))
        else:
            scalars.append(_operand(word))
    body_op = _BODY_OP.search(comment)
    number = _integer(body_op[1]) if body_op else None
    if number is not None and number >= NO_BODY_OP:
        raise _Bad(f"body op {number}: the numbers end at {NO_BODY_OP - 1}")
    record = Record(mnemonic, dtype, addresses, scalars, fields, number)
    decoded = resolve(record)
    reason = decoded if isinstance(decoded, str) else illegal(decoded)
    if reason:
        raise _Bad(str(reason))
    return record


def _integer(word: str) -> int:
    if len(word) > _DIGITS:
        raise _Bad(f"{word[:_DIGITS]}… is longer than any 64-bit number")
    return int(word, 16 if "x" in word.lower() else 10)


def _operand(word: str) -> Operand:
    if register := _REGISTER.fullmatch(word):
        return Reg(_integer(register[1]))
    if _NUMBER.fullmatch(word):
        return _integer(word)
    raise _Bad(f"{word!r} is neither a number nor a register")


def _field(mnemonic: str, name: str, word: str) -> Operand:
    spec = next((field for field in TABLE[mnemonic].fields if field.name == name), None)
    if spec is None:
        raise _Bad(f"{mnemonic} has no field {name}")
    return spec.choices.index(word) if word in spec.choices else _operand(word)


def _address(space: str, inside: str) -> AddressOperand:
    offset = 0
    registers: list[int | None] = []
    for part in (piece.strip() for piece in inside.split("+")):
        if part == "-":
            registers.append(None)
            continue
        operand = _operand(part)
        if isinstance(operand, Reg):
            registers.append(operand.number)
        else:
            offset += operand
    if len(registers) > 2:
        raise _Bad(f"{space}[{inside}]: an address has at most two registers")
    base, idx = (*registers, None, None)[:2]
    return AddressOperand(space, offset, base, idx)
