"""Instructions with concrete on-chip addresses, and which of them disturb each other.

`Static` is an instruction of the kernel: which operands vary, how to name them in generated code.  `Access`
is one of its executions as far as addresses matter: executions with equal operands share an `Access`.
`AccessIndex` links each new access with the ones it must be ordered against; the exceptions of the machine
are applied here, once:

* reading after reading never matters; in one pipe, writing what was read before (WAR) is free (decision
  D7);
* the scalar unit runs its own loads and stores one after the other, and before it dispatches anything else;
* mads that accumulate on the same tile overlap freely from a number of fractals on (SoC file: 10).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..isa.model import PIPES
from ..isa.record import Decoded, Reg
from ..isa.table import STATE_GROUPS
from .byte_sets import BLOCK, EMPTY, Footprint, overlap
from .definedness import Step
from .footprint import footprints
from .gm_conflicts import Pieces, gm_pieces
from .program import Program
from .translate import STATE_NAMES, address_text, value_text

_PAGE_BITS = 12
_UNKNOWN = (-1, -1)  # no overlap is known yet
_SIZED_BY_SCALARS = frozenset(("align", "fixpipe"))  # whose scalars say which bytes are touched
_SCALAR_PIPE = PIPES.index("S")
_REGISTER = Footprint(0, 1)  # a register of the vector unit is a memory of one block


class Part(NamedTuple):
    """One on-chip operand, or a register of the vector unit: its hull, how it is used, and its exact bytes."""

    space: str
    low: int
    high: int
    reads: bool
    writes: bool
    footprint: Footprint
    at: int


class Access:
    """One instruction with concrete operands.  `last` is its latest number in its pipe; `near` what must be
    before it."""

    __slots__ = (
        "at",
        "epoch",
        "last",
        "near",
        "number",
        "parts",
        "pieces",
        "pipe",
        "prints",
        "spaces",
        "static",
        "values",
    )

    def __init__(
        self, static: Static, at: tuple[int, ...], prints: tuple[Footprint, ...], values: Mapping[str, int]
    ) -> None:
        self.static = static
        self.number = static.number
        self.pipe = static.pipe
        self.at = at
        self.spaces = static.spaces
        self.prints = prints
        self.values = values
        self.pieces: Pieces | None = None
        self.last = 0
        self.epoch = -1
        self.near: list[Access] = []
        self.parts: list[Part] = [
            Part(
                self.spaces[i],
                at[i] + prints[i].low,
                at[i] + prints[i].high,
                static.record.row.addresses[i].reads,
                static.record.row.addresses[i].writes,
                prints[i],
                at[i],
            )
            for i in static.chip
            if prints[i].count
        ]
        self.parts += static.registers

    def step(self) -> Step:
        """The same for the definedness check."""
        record = self.static.record
        return Step(record.row, record.dtype, self.spaces, self.at, self.prints, self.values)


@dataclass
class Static:
    """One memory instruction of a kernel."""

    number: int
    record: Decoded
    setters: frozenset[str]  # special-register instructions that the kernel has
    read_registers: frozenset[str]  # registers of the vector unit that the kernel reads at all
    _prints: dict[tuple[Any, ...], tuple[tuple[Footprint, ...], dict[str, int], Pieces | None]] = field(
        default_factory=dict[tuple[Any, ...], tuple[tuple[Footprint, ...], dict[str, int], Pieces | None]]
    )

    def __post_init__(self) -> None:
        record = self.record
        self.pipe = PIPES.index(record.row.pipe)
        self.spaces = tuple(address.space for address in record.addresses)
        gm = [i for i, space in enumerate(self.spaces) if space == "gm"]
        self.gm_operand = gm[0] if gm else None
        self.gm_writes = bool(gm) and record.row.addresses[gm[0]].writes
        self.chip = tuple(i for i, space in enumerate(self.spaces) if space != "gm")
        named = [(spec.name, v) for spec, v in zip(record.row.fields, record.fields, strict=True)]
        if record.row.family in _SIZED_BY_SCALARS:
            named += [(spec.name, v) for spec, v in zip(record.row.scalars, record.scalars, strict=True)]
        self.fixed = {name: v for name, v in named if isinstance(v, int)}
        self.varying = [(name, v) for name, v in named if isinstance(v, Reg)]
        row = record.row
        self.registers = [
            Part(name, 0, BLOCK, name in row.reads, name in row.writes, _REGISTER, 0)
            for name in sorted({*row.reads, *row.writes} & self.read_registers)
        ]
        self.states = [name for name in record.row.state if STATE_GROUPS[name].setter in self.setters]
        # With an L1 boundary the bytes depend on the source address, not only on the other operands.
        self.wraps = "l1_boundary" in self.states
        for name in record.row.state:
            if name not in self.states:
                self.fixed |= {spec.name: spec.default for spec in STATE_GROUPS[name].fields}

    def value_text(self) -> list[str]:
        """Python expressions of the operands that vary, addresses left out."""
        return [
            *(value_text(value) for _, value in self.varying),
            *(STATE_NAMES[name] for name in self.states),
        ]

    def key_text(self) -> list[str]:
        """On-chip addresses, then `value_text`."""
        return [*(address_text(self.record.addresses[i]) for i in self.chip), *self.value_text()]

    def _known(
        self, values: tuple[Any, ...], source: int | None = None
    ) -> tuple[tuple[Footprint, ...], dict[str, int], Pieces | None]:
        known_as = values if source is None else (*values, source)
        known = self._prints.get(known_as)
        if known is not None:
            return known
        named = dict(self.fixed)
        if source is not None:
            named["src_at"] = source
        named |= {name: value for (name, _), value in zip(self.varying, values, strict=False)}
        for name, state in zip(self.states, values[len(self.varying) :], strict=True):
            named |= {spec.name: v for spec, v in zip(STATE_GROUPS[name].fields, state, strict=True)}
        row = self.record.row
        pieces = None
        local = named
        if self.gm_operand is not None:
            pieces = gm_pieces(row, self.record.dtype, named)
            # The footprint of the GM side is its pieces; here its gaps would only make a huge hull.
            flat = (
                ("base", "src_stride")
                if row.family == "load"
                else ()
                if row.family != "dma"
                else ("dst_gap",)
                if self.gm_writes
                else ("src_gap",)
            )
            local = {**named, **{name: 0 for name in flat if name in named}}
        prints = footprints(row, self.record.dtype, local)
        prints = tuple(EMPTY if i == self.gm_operand else p for i, p in enumerate(prints))
        known = self._prints[known_as] = (prints, named, pieces)
        return known

    def shapes(self, values: tuple[Any, ...]) -> tuple[tuple[Footprint, ...], Mapping[str, int]]:
        """Footprint per operand (empty in GM) and all fields and state by name; `values` as `value_text` says."""
        prints, named, _ = self._known(values)
        return prints, named

    def pieces(self, values: tuple[Any, ...]) -> Pieces:
        """What the instruction touches in GM with these operands."""
        pieces = self._known(values)[2]
        assert pieces is not None  # asked for GM instructions only
        return pieces

    def access(self, key: tuple[Any, ...]) -> Access:
        """A new access; `key` as `key_text` says."""
        count = len(self.chip)
        prints, values, pieces = self._known(key[count:], key[count - 1] if self.wraps else None)
        at = [0] * len(self.spaces)
        for place, address in zip(self.chip, key[:count], strict=True):
            at[place] = address
        access = Access(self, tuple(at), prints, values)
        access.pieces = pieces
        return access


_STATICS: dict[str, dict[int, Static]] = {}


def statics_of(program: Program) -> dict[int, Static]:
    """Record number → its `Static`, for all instructions that touch memory or read a vector register."""
    made = _STATICS.get(program.digest)
    if made is None:
        setters = frozenset(record.mnemonic for record in program.records if record.row.family == "state")
        read = frozenset(name for record in program.records for name in record.row.reads)
        made = {
            number: Static(number, record, setters, read)
            for number, record in enumerate(program.records)
            if record.addresses or record.row.reads
        }
        if program.digest:  # "" is any program that was never encoded
            _STATICS[program.digest] = made
    return made


def disturbances(earlier: Access, later: Access, least: int) -> Iterator[tuple[str, str, int, int]]:
    """(rule, memory, low, high) of each way in which `later` needs `earlier` to be complete.

    Mads of at least `least` fractals need nothing from each other.
    """
    same_pipe = earlier.pipe == later.pipe
    if same_pipe and earlier.pipe == _SCALAR_PIPE:
        return
    free_war = same_pipe or earlier.pipe == _SCALAR_PIPE
    free_raw = accumulate_freely(earlier, later, least)
    for first in earlier.parts:
        for second in later.parts:
            if first.low >= second.high or second.low >= first.high or first.space != second.space:
                continue
            if free_raw if first.writes else free_war or not second.writes:
                continue
            met = overlap(first.footprint, first.at, second.footprint, second.at)
            if met is not None:
                rule = "WAR" if not first.writes else "RAW" if second.reads else "WAW"
                yield rule, first.space, met[0], met[1]


def accumulate_freely(a: Access, b: Access, least: int) -> bool:
    """Whether two instructions are mads so large that the cube keeps them in order by itself."""
    if a.static.record.row.family != "cube" or b.static.record.row.family != "cube":
        return False
    return min(_fractals(a), _fractals(b)) >= least


def _fractals(access: Access) -> int:
    return -(-access.values["m"] // 16) * -(-access.values["n"] // 16)


class AccessIndex:
    """All accesses of a block by memory page."""

    def __init__(self, overlap_fractals: int) -> None:
        self.overlap_fractals = overlap_fractals
        self.tables: dict[int, dict[tuple[Any, ...], Access]] = {}
        self._pages: dict[tuple[str, int], list[Access]] = {}

    def add(self, access: Access) -> None:
        """Link a new access with all that it disturbs or that disturb it, itself included."""
        around: dict[int, Access] = {id(access): access}
        for part in access.parts:
            for page in range(part.low >> _PAGE_BITS, (part.high - 1 >> _PAGE_BITS) + 1):
                here = self._pages.setdefault((part.space, page), [])
                for other in here:
                    around[id(other)] = other
                if not here or here[-1] is not access:
                    here.append(access)
        for other in around.values():
            behind, before = self._link(other, access)
            if behind:
                access.near.append(other)
            if before and other is not access:
                other.near.append(access)

    def _link(self, a: Access, b: Access) -> tuple[bool, bool]:
        """Whether b needs a to be complete when it comes later, and a needs b (see `disturbances`)."""
        same_pipe = a.pipe == b.pipe
        if same_pipe and a.pipe == _SCALAR_PIPE:
            return False, False
        free_war_b = same_pipe or a.pipe == _SCALAR_PIPE
        free_war_a = same_pipe or b.pipe == _SCALAR_PIPE
        free_raw = accumulate_freely(a, b, self.overlap_fractals)
        b_waits = a_waits = False
        for space, low, high, _, writes, footprint, at in a.parts:
            for other in b.parts:
                if low >= other.high or other.low >= high or space != other.space:
                    continue
                b_may = not (free_raw if writes else free_war_b or not other.writes)
                a_may = not (free_raw if other.writes else free_war_a or not writes)
                if not ((b_may and not b_waits) or (a_may and not a_waits)):
                    continue
                key = (other.footprint, other.at - at)
                met = footprint.met.get(key, _UNKNOWN)
                if met is _UNKNOWN:
                    met = overlap(footprint, at, other.footprint, other.at)
                if met is not None:
                    b_waits |= b_may
                    a_waits |= a_may
        return b_waits, a_waits
