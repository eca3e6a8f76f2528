"""A kernel as a tree: what the translators (function, timing, hazards) walk.

Machine code is flat, with structured control flow (decision D3); here `loop … end_loop` and `if … else …
end_if` are nodes with bodies. A body is a tuple of `Node`: a `Decoded` instruction (`break_if` included),
a `Loop` or an `If`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from ..isa.decode import Image, decode_image, split_mixed
from ..isa.record import RECORD_BYTES, Decoded, Operand, Record, Reg, resolve


@dataclass(frozen=True)
class Loop:
    """`trip` times `body`; register `index` counts from `start` in steps of `step` and keeps its last value behind the
    loop."""

    record: Decoded
    end: Decoded
    body: tuple[Node, ...]

    @property
    def index(self) -> int:
        operand = self.record.scalars[0]
        assert isinstance(operand, Reg)  # the decoder checked it
        return operand.number

    @property
    def trip(self) -> Operand:
        return self.record.scalars[1]

    @property
    def start(self) -> Operand:
        return self.record.scalars[2]

    @property
    def step(self) -> Operand:
        return self.record.scalars[3]


@dataclass(frozen=True)
class If:
    """`then` when the condition is not 0, else `otherwise` (empty when there is no else)."""

    record: Decoded
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]

    @property
    def condition(self) -> Operand:
        return self.record.scalars[0]


Node: TypeAlias = Decoded | Loop | If


@dataclass(frozen=True)
class Program:
    """A validated kernel and its tree.  `digest` identifies the bytes: translations are cached by it ("" = never).

    A mixed kernel is the program of the cube core; `partner` is the program that `vectors` vector cores beside
    it run in the same block.
    """

    image: Image
    body: tuple[Node, ...]
    digest: str
    partner: Program | None = None
    vectors: int = 0

    @property
    def records(self) -> tuple[Decoded, ...]:
        return self.image.records

    @property
    def core(self) -> str:
        """The type of core that it is made for."""
        return self.image.core

    @property
    def n_args(self) -> int:
        """Argument words that a launch must pass."""
        return max(self.image.n_args, self.partner.n_args if self.partner is not None else 0)

    @property
    def parts(self) -> tuple[Program, ...]:
        """Its programs: itself, and the partner of a mixed kernel."""
        return (self,) if self.partner is None else (self, self.partner)

    @cached_property
    def syncs_cores(self) -> bool:
        """Whether it sets flags for other cores or waits for theirs: its blocks must run together then."""
        return any(record.row.family == "cross" for part in self.parts for record in part.records)

    @cached_property
    def yields(self) -> bool:
        """Whether this program itself waits for other cores: its translations are generators then."""
        return any(record.mnemonic == "wait_flag_dev" for record in self.records)

    @property
    def runs_together(self) -> bool:
        """Whether a launch is more than independent blocks of one program."""
        return self.partner is not None or self.syncs_cores

    @cached_property
    def reads_data(self) -> bool:
        """Whether scalars come from memory or the vector unit: what they steer depends on data (`assumed_loads.py`)."""
        return any(record.row.loads for part in self.parts for record in part.records)


def load_program(image: bytes) -> Program:
    """Decode, validate and structure a kernel image."""
    mixed = split_mixed(image)
    if mixed is not None:
        cube, vector = _program(mixed.cube), _program(mixed.vector)
        digest = hashlib.sha256(image).hexdigest()
        return Program(cube.image, cube.body, digest, vector, mixed.vectors)
    return _program(image)


def _program(image: bytes) -> Program:
    decoded = decode_image(image)
    body, last = _block(decoded.records, 0)
    assert last == len(decoded.records) - 1  # `end`, says the decoder
    return Program(decoded, body, hashlib.sha256(image).hexdigest())


def program_of(records: Sequence[Record]) -> Program:
    """The program of records that are not encoded: what the compiler times while it chooses."""
    decoded: list[Decoded] = []
    for number, record in enumerate(records):
        made = resolve(record)
        assert isinstance(made, Decoded), made
        decoded.append(replace(made, address=number * RECORD_BYTES))
    body, _ = _block(tuple(decoded), 0)
    return Program(Image(tuple(decoded), 0, 0), body, "")


def walk(body: tuple[Node, ...]) -> Iterator[Decoded]:
    """All instructions below `body` that are not loop, if, else or their ends, in program order."""
    for node in body:
        if isinstance(node, Loop):
            yield from walk(node.body)
        elif isinstance(node, If):
            yield from walk(node.then)
            yield from walk(node.otherwise)
        else:
            yield node


def _block(records: tuple[Decoded, ...], at: int) -> tuple[tuple[Node, ...], int]:
    """Nodes from `at` up to the record that closes the block, and that record's number."""
    nodes: list[Node] = []
    while True:
        record = records[at]
        match record.mnemonic:
            case "end" | "end_loop" | "end_if" | "else":
                return tuple(nodes), at
            case "loop":
                body, close = _block(records, at + 1)
                nodes.append(Loop(record, records[close], body))
            case "if":
                then, close = _block(records, at + 1)
                otherwise: tuple[Node, ...] = ()
                if records[close].mnemonic == "else":
                    otherwise, close = _block(records, close + 1)
                nodes.append(If(record, then, otherwise))
            case _:
                nodes.append(record)
                close = at
        at = close + 1
