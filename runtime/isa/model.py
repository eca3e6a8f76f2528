"""What an instruction is: the record types of the one instruction table.

A DaVinci core fetches one scalar stream; the scalar unit runs scalar instructions itself and pushes every
other instruction into the in-order queue of its pipe (davinci.md §2.2).  An instruction names

* *addresses*: bytes in one of the memories (gm, l1, l0a, l0b, l0c, ub, bt, fb), read, written or both;
* *scalars*: 64-bit values (an fp16 factor, a mask half, a loop bound);
* *fields*: small integers with a range and a unit (repeat counts, strides, burst counts);
* *state*: special registers that it reads.  In the `davinci` dialect state values are operands of the
  instruction (decision D4); in machine code `set_*` instructions write the registers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SPACES = ("gm", "l1", "l0a", "l0b", "l0c", "ub", "bt", "fb")
"""Memories; the position is the code in machine code. bt (bias table) and fb (parameters of the fixpipe) are
in the cube core of split chips only."""

PIPES = ("S", "V", "M", "MTE1", "MTE2", "MTE3", "FIX")
"""Pipes; the position is the code in set_flag and wait_flag. FIX is in the cube core of split chips only."""

BARRIER_SCOPES = (*PIPES[:6], "ALL", *PIPES[6:])
"""What a pipe_barrier may name, by code. ALL was 6 before there was FIX, and old images must not change."""

CORE_TYPES = ("coupled", "aic", "aiv")
"""Kinds of cores; the position is the code in the header of a kernel image (decision 0012)."""

VECTOR_REGISTERS = {
    "CMPMASK": "128 bits, one per lane: what vcmp found, what vsel selects by",
    "RSVD_CNT": "number of elements that the last vreduce or vreducev wrote",
    "MAX_MIN_CNT": "bits 31:0: the value that the last vcmax or vcmin found in all its repeats",
    "VMS4_SR": "how many proposals of each list the last repeat of vmrgsort4 took: 13 bits per list",
}
"""Registers that an instruction of pipe V writes beside its operands, as `writes` and `reads` of the rows say."""


def barrier_pipes(code: int) -> tuple[int, ...]:
    """Positions in `PIPES` of the pipes that a pipe_barrier with this code orders."""
    scope = BARRIER_SCOPES[code]
    return tuple(range(len(PIPES))) if scope == "ALL" else (PIPES.index(scope),)


@dataclass(frozen=True)
class Address:
    """An address operand: `spaces` it may point into, and how the bytes are used: "r", "w" or "rw"."""

    name: str
    access: str
    spaces: tuple[str, ...]
    doc: str = ""

    @property
    def reads(self) -> bool:
        return "r" in self.access

    @property
    def writes(self) -> bool:
        return "w" in self.access


@dataclass(frozen=True)
class Scalar:
    """A 64-bit operand: an immediate (two's complement, or raw float bits of the instruction's type) or a register."""

    name: str
    doc: str = ""
    default: int | None = None
    register: str = ""  # "w": must be a register and is written; "rw": read and written; "": value


@dataclass(frozen=True)
class Field:
    """A 16-bit operand with the hardware's range; `default` None means it must be given."""

    name: str
    low: int
    high: int
    unit: str = ""
    doc: str = ""
    default: int | None = None
    choices: tuple[str, ...] = ()  # names of the values 0, 1, … when the field is an enumeration
    intrinsic: str = ""  # key of the SoC file's map that values other than the default need

    @property
    def signed(self) -> bool:
        return self.low < 0


@dataclass(frozen=True)
class StateField:
    """One value of a special register that instructions read; `bits` 64 for mask halves, else small."""

    name: str
    low: int
    high: int
    default: int
    doc: str = ""
    machine_only: bool = False  # the dialect knows the default only


@dataclass(frozen=True)
class StateGroup:
    """Special registers written together by one `set_*` instruction."""

    name: str
    setter: str
    fields: tuple[StateField, ...]


@dataclass(frozen=True)
class Instruction:
    """One row of the table."""

    mnemonic: str
    opcode: int
    pipe: str
    doc: str
    formula: str
    addresses: tuple[Address, ...] = ()
    scalars: tuple[Scalar, ...] = ()
    fields: tuple[Field, ...] = ()
    state: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    intrinsic: str = ""  # key of the SoC file's intrinsic × dtype map; "" = on every chip
    timing: str = ""  # key of the SoC file's timing table
    source: str = ""
    family: str = ""
    faults: tuple[str, ...] = field(default=())
    reads: tuple[str, ...] = ()  # of VECTOR_REGISTERS
    writes: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[Scalar | Field, ...]:
        """Scalars, then fields: the order of `static_values` in the dialect."""
        return (*self.scalars, *self.fields)

    @property
    def touches_data(self) -> bool:
        """Whether the scalar unit meets memory or a register of the vector unit here."""
        return self.family == "scalar" and bool(self.addresses or self.reads)

    @property
    def loads(self) -> bool:
        """Whether a scalar register gets a value that depends on data."""
        return self.touches_data and any("w" in scalar.register for scalar in self.scalars)
