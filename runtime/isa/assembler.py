"""Assembly text → kernel image.  Reads what `disassembler.py` prints, and what people write by hand.

    .kernel args=3                                   ; body_ops may be left out
    arg r1, number=0
    loop r4, 7
      vadd.f16 ub[0x100+r3+r4], ub[r5], ub[0], repeat=56, dst_blk=1 ; op 2
    end_loop
    end

A program for a split chip names its core type, `.kernel args=3 core=aic`; two of them, `core=aic` and then
`core=aiv vectors=2`, are a mixed kernel with so many vector cores beside each cube core.

Address and pipe in front of a mnemonic are ignored, so is everything behind `;` or `#` except `op N`.
Numbers are decimal or 0x hexadecimal; a field that names choices (`pipe=V`, `condition=lt`) takes the
name or the number. Errors name the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import AscendError
from .decode import Mixed
from .encode import encode_image, encode_mixed
from .model import CORE_TYPES
from .record import (
    MAX_ARGUMENTS,
    MAX_VECTORS,
    NO_BODY_OP,
    AddressOperand,
    Operand,
    Record,
    Reg,
    illegal,
    resolve,
)
from .table import TABLE

_PREFIX = re.compile(r"[0-9a-fA-F]{4,}\s+(?:S|V|M|MTE1|MTE2|MTE3|FIX)\s+(?=\S)")
_HEAD = re.compile(
    r"\.kernel\s+args=([0-9]+)(?:\s+body_ops=([0-9]+))?(?:\s+core=(\w+))?(?:\s+vectors=([0-9]+))?"
)
_BODY_OP = re.compile(r"\bop\s+([0-9]+)\b")
_ADDRESS = re.compile(r"(\w+)\[([^\]]*)\]")
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_REGISTER = re.compile(r"r([0-9]+)")
_DIGITS = 20  # of the longest 64-bit number, sign included


class _Bad(Exception):
    pass


@dataclass
class _Part:
    """One program: what its `.kernel` line says, and its instructions."""

    args: int = 0
    body_ops: int | None = None
    core: str = CORE_TYPES[0]
    vectors: int | None = None
    line: int = 0
    records: list[Record] = field(default_factory=list[Record])

    def image(self) -> bytes:
        return encode_image(self.records, self.args, self.body_ops, self.core)


def assemble(text: str) -> bytes:
    """The kernel image that `text` describes, or an `AscendError` naming the line."""
    parts = [_Part()]
    for number, line in enumerate(text.splitlines(), 1):
        code, _, comment = line.replace("#", ";").partition(";")
        code = code.strip()
        if not code:
            continue
        try:
            match = _HEAD.fullmatch(code)
            if match:
                part = _head(match, number)
                if parts[-1].records:
                    parts.append(part)
                else:
                    parts[-1] = part
                continue
            parts[-1].records.append(
                _instruction(_PREFIX.sub("", code, count=1) if _PREFIX.match(code) else code, comment)
            )
        except _Bad as bad:
            raise AscendError("E42002", f"assembly line {number}: {bad}", hint=code) from None
    if len(parts) == 1 and parts[0].vectors is None:
        return parts[0].image()
    return _mixed(parts)


def _mixed(parts: list[_Part]) -> bytes:
    if [part.core for part in parts] != ["aic", "aiv"] or parts[0].vectors is not None:
        found = ", ".join(f"core={part.core}" for part in parts)
        raise AscendError(
            "E42002",
            f"assembly line {parts[-1].line}: the text holds programs for {found}",
            expected="one program, or core=aic and then core=aiv with `vectors`",
        )
    vectors = MAX_VECTORS if parts[1].vectors is None else parts[1].vectors
    return encode_mixed(Mixed(parts[0].image(), parts[1].image(), vectors))


def _head(match: re.Match[str], line: int) -> _Part:
    count, body = _integer(match[1]), _integer(match[2]) if match[2] else None
    if count > MAX_ARGUMENTS:
        raise _Bad(f"{count} arguments; at most {MAX_ARGUMENTS} are allowed")
    if body is not None and body > NO_BODY_OP:
        raise _Bad(f"{body} body ops; at most {NO_BODY_OP} are allowed")
    core = match[3] or CORE_TYPES[0]
    if core not in CORE_TYPES:
        raise _Bad(f"no core type is called {core}: {', '.join(CORE_TYPES)}")
    return _Part(count, body, core, _integer(match[4]) if match[4] else None, line)


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
