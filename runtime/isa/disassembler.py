"""Kernel image → text that people read and `assembler.py` turns back into the same bytes.

One line per instruction: address, pipe, mnemonic with type, addresses, scalars, fields that differ from
their default, and behind `;` the number of the kernel's body op it came from. Loop and if bodies are
indented. A mixed kernel is the program of the cube core, then that of its vector cores.

    .kernel args=3 body_ops=2
    0000  S     arg              r1, number=0
    0040  MTE2  copy_gm_to_ubuf  ub[0x0], gm[0x0+r1], bursts=1, length=112   ; op 0
"""

from __future__ import annotations

from .decode import Image, decode_image, split_mixed
from .model import Field
from .record import AddressOperand, Decoded, Operand, Reg


def disassemble(image: bytes) -> str:
    """The text of a whole kernel image."""
    mixed = split_mixed(image)
    if mixed is None:
        return listing(decode_image(image))
    return listing(decode_image(mixed.cube)) + listing(decode_image(mixed.vector), mixed.vectors)


def listing(image: Image, vectors: int = 0) -> str:
    """The text of a decoded program; `vectors` when it is the second part of a mixed kernel."""
    core = "" if image.core == "coupled" else f" core={image.core}"
    beside = f" vectors={vectors}" if vectors else ""
    lines = [f".kernel args={image.n_args} body_ops={image.n_body_ops}{core}{beside}"]
    depth = 0
    for record in image.records:
        if record.mnemonic in ("end_loop", "end_if", "else"):
            depth -= 1
        text = f"{record.address:04x}  {record.row.pipe:4}  {'  ' * depth}{instruction_text(record)}"
        lines.append(text if record.body_op is None else f"{text:<70}  ; op {record.body_op}")
        if record.mnemonic in ("loop", "if", "else"):
            depth += 1
    return "\n".join(lines) + "\n"


def instruction_text(record: Decoded) -> str:
    """Mnemonic and operands of one instruction."""
    name = f"{record.mnemonic}.{record.dtype}" if record.dtype else record.mnemonic
    operands = [_address_text(address) for address in record.addresses]
    operands += [str(scalar) for scalar in _given(record)]
    operands += [
        f"{spec.name}={_field_text(spec, value)}"
        for spec, value in zip(record.row.fields, record.fields, strict=True)
        if value != spec.default
    ]
    return f"{name:16} {', '.join(operands)}".rstrip()


def _given(record: Decoded) -> tuple[Operand, ...]:
    """The scalars without those at the end that have their default."""
    count = len(record.scalars)
    while count and record.scalars[count - 1] == record.row.scalars[count - 1].default:
        count -= 1
    return record.scalars[:count]


def _address_text(address: AddressOperand) -> str:
    parts = [f"{address.offset:#x}"]
    if address.base is not None:
        parts.append(f"r{address.base}")
    if address.idx is not None:
        # "+r0" stands for the base alone; an index without a base keeps its place by a dash
        parts += ["-"] * (address.base is None) + [f"r{address.idx}"]
    return f"{address.space}[{'+'.join(parts)}]"


def _field_text(spec: Field, value: Operand) -> str:
    if isinstance(value, Reg) or not spec.choices:
        return str(value)
    return spec.choices[value]
