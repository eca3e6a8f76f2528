"""Programs for the fuzzer: random, damaged and plausible ones, as hypothesis strategies, and what may become of one.

A program is bytes (a kernel image) or text (assembly).  Whatever it is, `run_program` must end in one of three
ways: it runs, it is rejected before it runs, or the machine stops it with a fault; rejections and faults are
`AscendError`s that say where and why.  Anything else that escapes is a bug, and so is a rejection without a
place or a reason.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TypeAlias

import numpy as np
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.isa.decode import Mixed
from ascend_mlir.runtime.isa.disassembler import disassemble
from ascend_mlir.runtime.isa.encode import encode_image, encode_mixed
from ascend_mlir.runtime.isa.model import CORE_TYPES, Field, Instruction
from ascend_mlir.runtime.isa.record import (
    HEADER_BYTES,
    MAGIC,
    RECORD_BYTES,
    VERSION,
    AddressOperand,
    Operand,
    Record,
    Reg,
)
from ascend_mlir.runtime.isa.table import INSTRUCTIONS
from ascend_mlir.runtime.sim.device import run_blocks
from ascend_mlir.runtime.sim.executors import FunctionKernel, function_kernel
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.launch import run_launch
from ascend_mlir.runtime.sim.memory import Core, GlobalMemory, Region
from ascend_mlir.runtime.sim.program import Program as DecodedProgram
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.sim.timing import time_task
from ascend_mlir.runtime.sim.translate import OutOfFuelError
from ascend_mlir.runtime.soc import Soc, load_soc
from hypothesis import strategies as st

Program: TypeAlias = bytes | str
SOCS = [load_soc(name) for name in ("Ascend310", "Ascend310P3", "Ascend910A")]
SPLIT = load_soc("Ascend910B1")  # for programs that name one of its core types
FUEL = 2000  # instructions per block: an endless loop must stop there
GM_BYTES = 1 << 16
ROWS = list(INSTRUCTIONS)

ADD = """
.kernel args=3
arg r0, number=0
arg r1, number=1
block_idx r3
mov r6, 0
set_flag src=V, dst=MTE2, event=0
loop r5, 3
  mul r7, r5, 0x200
  add r9, r0, r7
  wait_flag src=V, dst=MTE2, event=0
  copy_gm_to_ubuf ub[0+r7], gm[0+r9], bursts=1, length=16
  set_flag src=MTE2, dst=V, event=r6
  wait_flag src=MTE2, dst=V, event=r6
  set_vector_mask 0xFF, -1
  vadd.f16 ub[0x4000+r7], ub[0+r7], ub[0x100], repeat=2
  pipe_barrier pipe=V
  vexp.f16 ub[0x4000+r7], ub[0x4000+r7], repeat=2
  set_flag src=V, dst=MTE2, event=0
  eq r8, r5, 9
  break_if r8
end_loop
wait_flag src=V, dst=MTE2, event=0
set_flag src=V, dst=MTE3, event=0
wait_flag src=V, dst=MTE3, event=0
copy_ubuf_to_gm gm[0x1000+r1], ub[0x4000], bursts=2, length=4, src_gap=1
end
"""
CUBE = """
.kernel args=1
set_fmatrix fm_width=8, fm_height=8, pad_left=1, pad_right=1, pad_top=1, pad_bottom=1
copy_gm_to_cbuf l1[0], gm[0], bursts=1, length=128
load2d.f16 l0b[0], l1[0], repeat=4, transpose=1
load2d.f16 l0a[0], l1[0x400], repeat=4
mad.f32f16f16 l0c[0], l0a[0], l0b[0], m=32, k=32, n=32, init=1
copy_matrix_cc_to_ubuf.f322f16 ub[0], l0c[0], bursts=1, length=4
vnchwconv.f16 ub[0x2000], ub[0], dst_row_stride=1, src_row_stride=1, repeat=1
load_scalar r5, ub[0], bytes=2
if r5
  vcadd.f16 ub[0x800], ub[0], repeat=2
else
  vector_dup.f16 ub[0x800], 0, repeat=1
end_if
store_scalar r5, ub[0x900], bytes=4
copy_ubuf_to_gm gm[0], ub[0], bursts=1, length=8
end
"""


MIXED = """
.kernel args=2 core=aic
arg r1, number=0
copy_gm_to_cbuf_multi_nd2nz.f16 l1[0], gm[r1], nd_num=1, n_value=17, d_value=20, src_d=24, dst_c0_stride=32
set_flag src=MTE2, dst=MTE1, event=0
wait_flag src=MTE2, dst=MTE1, event=0
load2d.f16 l0a[0], l1[0], repeat=4
load2d_transpose.f16 l0b[0], l1[0], repeat=4
set_flag src=MTE1, dst=M, event=0
wait_flag src=MTE1, dst=M, event=0
mad.f32f16f16 l0c[0], l0a[0], l0b[0], m=17, k=16, n=16, init=1
set_flag src=M, dst=FIX, event=1
wait_flag src=M, dst=FIX, event=1
copy_matrix_cc_to_gm.f322f16 gm[0x2000], l0c[0], fb[0], 24, n=16, m=17, src_stride=32, relu=1, nz2nd=1
ffts_cross_core_sync pipe=FIX, mode=group, flag=2
wait_flag_dev flag=1
end
.kernel args=2 core=aiv vectors=2
sub_block_idx r2
mul r3, r2, 96
wait_flag_dev flag=2
copy_gm_to_ubuf_align.f16 ub[0], gm[0x2000+r3], 33, 7, 1, bursts=2, left=1
set_flag src=MTE2, dst=V, event=0
wait_flag src=MTE2, dst=V, event=0
vbrcb.f16 ub[0x1000], ub[0], repeat=1
vconv.f162s16c ub[0x2000], ub[0x1000], repeat=1
ffts_cross_core_sync pipe=V, mode=group, flag=1
end
"""


def image_of(records: Sequence[Record], core: str) -> bytes:
    """A program for `core`; "mixed": the same one on both kinds of core."""
    if core == "mixed":
        return encode_mixed(Mixed(image_of(records, "aic"), image_of(records, "aiv"), 2))
    return encode_image(records, 256, core=core)


CORES = (*CORE_TYPES, "mixed")


@cache
def seeds() -> tuple[bytes, ...]:
    """Valid images: two written by hand, and each instruction once with plausible operands."""
    rng = random.Random(1)
    singles: list[bytes] = []
    for row in ROWS:
        if row.family != "control":
            for _ in range(3):
                core = rng.choice(CORES)
                singles.append(image_of([random_record(row, rng), Record("end")], core))
    return assemble(ADD), assemble(CUBE), assemble(MIXED), *singles


def _field_value(spec: Field, rng: random.Random) -> Operand:
    if rng.random() < 0.1:
        return Reg(rng.randrange(8))
    if rng.random() < 0.15:
        return rng.randint(spec.low, spec.high)
    return min(max(rng.choice([0, 1, 1, 2, 3, 8, 16, 32]), spec.low), spec.high)


def _address(spaces: tuple[str, ...], rng: random.Random) -> AddressOperand:
    space = rng.choice(spaces)
    offset = rng.choice([0, 32, 512, 1024, 4096, 8192, 32768, rng.randrange(1 << 18)])
    return AddressOperand(space, offset, rng.randrange(8) if rng.random() < 0.1 else None)


def random_record(row: Instruction, rng: random.Random) -> Record:
    """An instruction that the encoder takes, with plausible and wild operands."""
    scalars: list[Operand] = []
    for scalar in row.scalars:
        wild = rng.choice([0, 1, -1, 7, 300, 0x3C00, rng.getrandbits(63), -rng.getrandbits(63)])
        scalars.append(Reg(rng.randrange(8)) if "w" in scalar.register or rng.random() < 0.2 else wild)
    fields = {spec.name: _field_value(spec, rng) for spec in row.fields}
    addresses = [_address(a.spaces, rng) for a in row.addresses]
    return Record(row.mnemonic, rng.choice(row.types or ("",)), addresses, scalars, fields)


def _plausible(rng: random.Random) -> bytes:
    """Random instructions, now and then in loops and ifs that close."""
    records: list[Record] = []
    open_blocks: list[str] = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.1 and len(open_blocks) < 4:
            opens = rng.choice(["loop", "if"])
            scalars = (
                [Reg(rng.randrange(8)), rng.choice([2, 3, 1 << 40])]
                if opens == "loop"
                else [rng.randrange(2)]
            )
            records.append(Record(opens, scalars=scalars))
            open_blocks.append(opens)
        elif kind < 0.2 and open_blocks:
            records.append(Record(f"end_{open_blocks.pop()}"))
        else:
            row = rng.choice(ROWS)
            if row.family != "control":
                records.append(random_record(row, rng))
    records += [Record(f"end_{name}") for name in reversed(open_blocks)]
    return encode_image([*records, Record("end")], 256)


_EDITS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1 << 14), st.integers(0, 255)), min_size=1, max_size=6
)


def _damaged(seed: int, edits: list[tuple[int, int, int]]) -> bytes:
    """A valid image after a few edits of bits, bytes and records."""
    data = bytearray(seeds()[seed])
    for kind, place, value in edits:
        if not data:
            break
        at = place % len(data)
        record = HEADER_BYTES + place % max(1, (len(data) - HEADER_BYTES) // RECORD_BYTES) * RECORD_BYTES
        match kind:
            case 0:
                data[at] ^= 1 << value % 8
            case 1:
                data[at] = value
            case 2:  # a byte of an operand: more likely to stay valid
                data[min(record + 8 + value % 40, len(data) - 1)] = place >> 6 & 255
            case 3:
                del data[at : at + value]
            case 4:  # a record again
                data[record:record] = data[record : record + RECORD_BYTES]
                _recount(data)
            case _:  # a record less
                del data[record : record + RECORD_BYTES]
                _recount(data)
    return bytes(data)


def _recount(data: bytearray) -> None:
    """Make the header's count and the table behind the records fit the size."""
    count = max(0, (len(data) - HEADER_BYTES) // (RECORD_BYTES + 2))
    if len(data) >= HEADER_BYTES:
        struct.pack_into("<I", data, 8, count)
        del data[HEADER_BYTES + count * (RECORD_BYTES + 2) :]


_CHANGES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 63), st.integers(0, 1 << 20)), min_size=1, max_size=4
)


def _changed(seed: int, changes: list[tuple[int, int, int]]) -> bytes:
    """A kernel that works with a few operands or instructions changed; mostly still valid, so that it runs far."""
    program = load_program(seeds()[seed])
    which = changes[0][2] % len(program.parts)
    records = list(program.parts[which].records)
    for kind, place, value in changes:
        at = place % (len(records) - 1)
        record = records[at]
        rng = random.Random(value)
        if kind == 0 and record.fields:
            fields = list(record.fields)
            fields[value % len(fields)] = _field_value(record.row.fields[value % len(fields)], rng)
            records[at] = replace(record, fields=tuple(fields))
        elif kind == 1 and record.addresses:
            chosen = list(record.addresses)
            chosen[value % len(chosen)] = _address(record.row.addresses[value % len(chosen)].spaces, rng)
            records[at] = replace(record, addresses=tuple(chosen))
        elif kind == 2 and record.scalars:
            scalars: list[Operand] = list(record.scalars)
            scalars[-1] = Reg(value % 8) if value & 8 else value >> 4
            records[at] = replace(record, scalars=tuple(scalars))
        elif kind == 3 and record.row.family != "control":
            del records[at]
        elif kind == 4 and record.row.family != "control":
            records.insert(value % (len(records) - 1), record)
    try:
        parts = [encode_image(part.records, 3, core=part.core) for part in program.parts]
        parts[which] = encode_image(records, 3, core=program.parts[which].core)
        return parts[0] if len(parts) == 1 else encode_mixed(Mixed(*parts, program.vectors))
    except AscendError:  # the encoder refuses what the decoder would
        return seeds()[seed]


def _framed(body: bytes) -> bytes:
    """Random records in an honest frame."""
    count = len(body) // RECORD_BYTES
    head = struct.pack("<4sIIII12x", MAGIC, VERSION, count, 256, 0)
    return head + body[: count * RECORD_BYTES] + b"\xff\xff" * count


_WORDS = sorted(
    {row.mnemonic for row in ROWS}
    | {"ub[0]", "gm[r1+0]", "r5", "0x10", "repeat=", "=V", ",", "[", "-1", "\n"}
)


def _text(seed: int, edits: list[tuple[int, int, int]]) -> str:
    """The text of a valid program after a few edits of characters, words and lines."""
    text = (ADD, CUBE, *(disassemble(image) for image in seeds()[2:]))[seed]
    for kind, place, value in edits:
        at = place % (len(text) + 1)
        match kind:
            case 0 | 1:
                text = text[:at] + chr(value) + text[at + kind :]
            case 2:
                text = text[:at] + _WORDS[value % len(_WORDS)] + text[at:]
            case 3:
                text = text[:at] + text[at + value :]
            case 4:
                text = re.sub(r"\d+", str(value * place), text, count=1 + value % 30)
            case _:
                lines = text.splitlines()
                lines.insert(place % (len(lines) + 1), lines[value % len(lines)] if lines else "")
                text = "\n".join(lines)
    return text


def strategies() -> dict[str, st.SearchStrategy[Program]]:
    """Kind of program → strategy."""
    number = st.integers(0, len(seeds()) - 1)
    return {
        "random bytes": st.binary(max_size=300),
        "random records": st.binary(max_size=4 * RECORD_BYTES).map(_framed),
        "damaged images": st.builds(_damaged, number, _EDITS),
        "changed kernels": st.builds(_changed, st.integers(0, 1), _CHANGES),
        "random text": st.text(max_size=200),
        "damaged text": st.builds(_text, number, _EDITS),
        "plausible programs": st.integers(0, (1 << 62) - 1).map(lambda seed: _plausible(random.Random(seed))),
    }


class BadRejectionError(Exception):
    """A rejection that does not say where or why."""


_PLACES = {
    "E42001": r"at byte 0x[0-9a-f]+(, instruction [0-9a-f]+|, the header): \S",
    "E42002": r"assembly line \d+: \S",
    "E42003": r"instruction \d+ cannot be encoded: \S",
    "E43001": r"in kernel fuzz, block \d+(, (cube core|vector core \d))?, at [0-9a-f]{4,} [a-z].*: \S",
}


def _check_message(error: AscendError) -> None:
    text = str(error)
    if isinstance(error, OutOfFuelError) or "endless loop" in text:
        return  # an endless loop has no single place
    if not re.search(_PLACES.get(error.code, r"(?!)"), text, re.DOTALL):
        raise BadRejectionError(text) from error


def run_program(program: Program, choice: int) -> str:
    """ "runs", "rejected" or "stopped".  `choice` picks the chip and the extra checks."""
    try:
        image = assemble(program) if isinstance(program, str) else program
        decoded = load_program(image)
    except AscendError as error:
        _check_message(error)
        return "rejected"
    soc = SOCS[choice % len(SOCS)] if decoded.core == CORE_TYPES[0] else SPLIT
    gm = np.zeros(GM_BYTES, np.uint8)
    args = tuple(range(0, 256 * 512, 512))
    try:
        kernel = _kernel(decoded, soc)
        memory = GlobalMemory([Region(0, gm)])
        with np.errstate(all="ignore"):
            if decoded.runs_together:
                run_launch(kernel, soc, memory, args, 2, name="fuzz", fuel=FUEL)
            else:
                core = Core(soc.seen_by(decoded.core), memory)
                run_blocks(kernel, core, args, range(2), 2, name="fuzz", fuel=FUEL)
    except AscendError as error:
        _check_message(error)
        return "stopped"
    if not kernel.program.reads_data and choice % 4 == 0:
        _extra_checks(soc, kernel.program, args)
    return "runs"


def _extra_checks(soc: Soc, program: DecodedProgram, args: tuple[int, ...]) -> None:
    """What runs can be timed and checked for hazards."""
    try:
        time_task(soc, program, args, 2)
        check_task(soc, program, args, 2)
    except AscendError as error:
        if error.code != "E43101":  # a pipe in a register: it may run, but cannot be timed or checked
            raise


def _kernel(program: DecodedProgram, soc: Soc) -> FunctionKernel:
    try:
        return function_kernel(program, soc)
    except SimulatorFault as fault:
        raise fault.placed("fuzz", 0) from None
