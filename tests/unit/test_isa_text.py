"""Encoder, decoder, assembler and disassembler: every instruction of the table survives the round trip."""

from __future__ import annotations

import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.isa.decode import decode_image
from ascend_mlir.runtime.isa.disassembler import disassemble
from ascend_mlir.runtime.isa.encode import encode, encode_image
from ascend_mlir.runtime.isa.model import Field, Instruction
from ascend_mlir.runtime.isa.record import HEADER_BYTES, RECORD_BYTES, AddressOperand, Operand, Record, Reg
from ascend_mlir.runtime.isa.table import INSTRUCTIONS
from ascend_mlir.runtime.sim.program import If, Loop, load_program, walk
from hypothesis import given, settings
from hypothesis import strategies as st

REGISTER = st.builds(Reg, st.integers(0, 63))
NUMBER = st.none() | st.integers(0, 63)
WORD = st.integers(-(1 << 63), (1 << 63) - 1)
STRUCTURE = {"end", "loop", "end_loop", "if", "else", "end_if", "break_if"}
PLAIN = [row for row in INSTRUCTIONS if row.mnemonic not in STRUCTURE]


def field_value(spec: Field, row: Instruction) -> st.SearchStrategy[Operand]:
    high = 2 if row.mnemonic == "arg" else spec.high
    return st.integers(spec.low, high) | REGISTER


@st.composite
def records(draw: st.DrawFn) -> Record:
    row = draw(st.sampled_from(PLAIN))
    addresses = [
        AddressOperand(
            draw(st.sampled_from(a.spaces)),
            draw(st.integers(-(1 << 31), (1 << 31) - 1)),
            draw(NUMBER),
            draw(NUMBER),
        )
        for a in row.addresses
    ]
    scalars = [draw(REGISTER if "w" in s.register else WORD | REGISTER) for s in row.scalars]
    fields = {f.name: draw(field_value(f, row)) for f in row.fields}
    return Record(
        row.mnemonic,
        draw(st.sampled_from(row.types or ("",))),
        addresses,
        scalars,
        fields,
        draw(st.none() | st.integers(0, 9)),
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(records(), max_size=12))
def test_round_trip(items: list[Record]) -> None:
    wrapped = [
        Record("loop", scalars=[Reg(1), 3, Reg(2), -64]),
        Record("if", scalars=[Reg(2)]),
        *items,
        Record("else"),
        Record("break_if", scalars=[Reg(5)]),
        Record("end_if"),
        Record("end_loop"),
        Record("end"),
    ]
    image = encode_image(wrapped, 3, 12)
    decoded = decode_image(image)
    for record, back in zip(wrapped, decoded.records, strict=True):
        assert back.mnemonic == record.mnemonic and back.dtype == record.dtype
        assert list(back.addresses) == list(record.addresses) and list(back.scalars) == list(record.scalars)
        assert back.record().fields == record.fields and back.body_op == record.body_op
    assert encode_image([r.record() for r in decoded.records], 3, 12) == image
    assert assemble(disassemble(image)) == image
    assert image[HEADER_BYTES : HEADER_BYTES + RECORD_BYTES * len(wrapped)] == encode(wrapped)


def test_scalars_with_a_default_may_be_left_out() -> None:
    """At the end of the list, in records and in text."""
    plain, moving = Record("loop", scalars=[Reg(1), 3]), Record("loop", scalars=[Reg(1), 3, 0, 512])
    tail = [Record("end_loop"), Record("end")]
    image = encode_image([plain, *tail], 0)
    assert decode_image(image).records[0].scalars == (Reg(1), 3, 0, 1)
    assert image == encode_image([Record("loop", scalars=[Reg(1), 3, 0, 1]), *tail], 0)
    assert "loop             r1, 3\n" in disassemble(image)
    assert "loop             r1, 3, 0, 512\n" in disassemble(encode_image([moving, *tail], 0))
    with pytest.raises(AscendError, match="4 scalars"):
        encode_image([Record("loop", scalars=[Reg(1)]), *tail], 0)


def test_every_row_round_trips() -> None:
    for row in PLAIN:
        for dtype in row.types or ("",):
            record = Record(
                row.mnemonic, dtype, [AddressOperand(a.spaces[0], 64, 1, 2) for a in row.addresses],
                [Reg(3) for _ in row.scalars], {f.name: f.low for f in row.fields}, 0,
            )  # fmt: skip
            image = encode_image([record, Record("end")], 1)
            assert assemble(disassemble(image)) == image


HAND = """
; a comment
.kernel args=2
arg r1, number=0      # another
loop r4, 7
  vadd.f16 ub[0x100+r3+r4], ub[r5], ub[0], repeat=56, dst_blk=1 ; op 2
  if r1
    set_flag src=V, dst=MTE3, event=r4
  end_if
end_loop
end
"""


def test_hand_written_text() -> None:
    image = assemble(HAND)
    program = load_program(image)
    loop = program.body[1]
    assert isinstance(loop, Loop) and loop.index == 4 and loop.trip == 7
    branch = loop.body[1]
    assert isinstance(branch, If) and not branch.otherwise
    assert [r.mnemonic for r in walk(program.body)] == ["arg", "vadd", "set_flag"]
    assert loop.body[0].body_op == 2
    assert decode_image(image).n_body_ops == 3
    text = disassemble(image)
    assert "00a0" not in text and "0080  V       vadd.f16" in text and "; op 2" in text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("frob r1", "no instruction is called frob"),
        ("vadd.f16 ub[0], ub[0], repeat=1", "takes 3 addresses"),
        ("vadd.u8 ub[0], ub[0], ub[0], repeat=1", "takes the types"),
        ("vadd.f16 l1[0], ub[0], ub[0], repeat=1", "dst lies in l1"),
        ("vadd.f16 ub[0], ub[0], ub[0], repeat=256", "repeat = 256 is outside 0..255"),
        ("vadd.f16 ub[0], ub[0], ub[0]", "needs the field repeat"),
        ("mov 3, r1", "must be a register"),
        ("mov r64, r1", "there are 64"),
        ("set_flag src=V, dst=M, event=0, event=1", "given twice"),
        ("add r1, r2, x", "neither a number nor a register"),
    ],
)
def test_bad_text(line: str, reason: str) -> None:
    with pytest.raises(AscendError, match=reason) as info:
        assemble(f".kernel args=0\n{line}\nend\n")
    assert info.value.code == "E42002" and "line 2" in info.value.message


def patched(image: bytes, at: int, value: bytes) -> bytes:
    return image[:at] + value + image[at + len(value) :]


GOOD = assemble(".kernel args=1\narg r1, number=0\nvadd.f16 ub[0], ub[r1], ub[0], repeat=1\nend\n")
ADD = HEADER_BYTES + RECORD_BYTES


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "too few"),
        (patched(GOOD, 0, b"ELF!"), "it starts with"),
        (patched(GOOD, 4, b"\x07"), "format version 7"),
        (patched(GOOD, 8, b"\xff\xff\xff\x7f"), "records"),
        (GOOD[:-1], "need"),
        (GOOD + b"\0", "need"),
        (patched(GOOD, 25, b"\1"), "reserved"),
        (patched(GOOD, ADD, b"\xfe\xfe"), "unknown opcode"),
        (patched(GOOD, ADD + 2, b"\x09"), "has 4 types"),
        (patched(GOOD, ADD + 3, b"\x02"), "record version 2"),
        (patched(GOOD, ADD + 4, b"\x01"), "register bits"),
        (patched(GOOD, ADD + 12, b"\x41"), "register 64"),
        (patched(GOOD, ADD + 14, b"\x00"), "dst lies in gm"),
        (patched(GOOD, ADD + 14, b"\x09"), "memory space 9"),
        (patched(GOOD, ADD + 15, b"\x01"), "reserved byte"),
        (patched(GOOD, ADD + 33, b"\x01"), "repeat = 257"),
        (patched(GOOD, ADD + 63, b"\x01"), "behind the last operand"),
        (patched(GOOD, len(GOOD) - 4, b"\x05\x00"), "body op 5"),
        (patched(GOOD, 12, b"\x00"), "argument 0"),
        (patched(GOOD, ADD, encode([Record("end")])), "before the last"),
        (patched(GOOD, ADD, encode([Record("end_loop")])), "without `loop`"),
        (patched(GOOD, ADD, encode([Record("else")])), "without `if`"),
        (patched(GOOD, ADD, encode([Record("loop", scalars=[Reg(1), 1])])), "not closed"),
        (patched(GOOD, ADD, encode([Record("break_if", scalars=[1])])), "outside a loop"),
    ],
)
def test_damaged_images_are_refused(image: bytes, reason: str) -> None:
    with pytest.raises(AscendError, match=reason) as info:
        decode_image(image)
    assert info.value.code == "E42001"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_changed_byte_gives_a_program_or_one_error(at: int, value: int) -> None:
    try:
        image = decode_image(patched(GOOD, at, bytes([value])))
    except AscendError:
        return
    assert image.records[-1].mnemonic == "end"
