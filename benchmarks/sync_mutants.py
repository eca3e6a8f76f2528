"""Mutants of a kernel's synchronisation, made from its decoded records and encoded again.

Every static sync instruction is worth one mutant of each kind that fits it:

* `pair deleted`: a set and the wait that takes its flag, with all sets and waits they are exchanged with (a
  ring has sets and waits before, in and behind its loop);
* `one pair of a ring deleted`: one set and one wait of such a group only;
* `wait later`, `set earlier`: by one instruction, scalar arithmetic not counted because it waits for nobody;
* `wait past work`, `set before work`: to the far side of the next (the last) instruction of its own pipe, if
  control flow does not stand between them: the harshest move that keeps every flag matched;
* `barrier deleted`;
* `events merged`: one event id of a pair of pipes becomes another; ids in registers are mapped by three scalar
  instructions in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from ascend_mlir.runtime.isa.disassembler import instruction_text
from ascend_mlir.runtime.isa.encode import encode_image
from ascend_mlir.runtime.isa.model import PIPES
from ascend_mlir.runtime.isa.record import REGISTERS, Decoded, Record, Reg, resolve
from ascend_mlir.runtime.sim.program import Program, load_program

KINDS = (
    "pair deleted",
    "one pair of a ring deleted",
    "wait later",
    "wait past work",
    "set earlier",
    "set before work",
    "barrier deleted",
    "events merged",
)
Records = tuple[Decoded, ...]


@dataclass(frozen=True)
class Mutant:
    """A changed kernel; `what` says at which instruction."""

    kind: str
    what: str
    program: Program


def groups_of(pairs: set[tuple[int, int]]) -> list[set[int]]:
    """Records of sets and waits that exchange flags with each other, directly or by others."""
    groups: list[set[int]] = []
    for pair in sorted(pairs):
        met = [group for group in groups if group & set(pair)]
        joined = set(pair).union(*met)
        groups = [group for group in groups if group not in met] + [joined]
    return groups


def _is_arithmetic(record: Decoded) -> bool:
    if record.row.touches_data:
        return False
    return record.row.family in ("scalar", "state")


def _writes(record: Decoded, operand: object) -> bool:
    """Whether the record writes the register `operand` is."""
    if not isinstance(operand, Reg):
        return False
    named = zip(record.row.scalars, record.scalars, strict=True)
    return any("w" in spec.register and value == operand for spec, value in named)


def _step(records: Records, at: int, step: int) -> int | None:
    """The number of the next instruction in direction `step`; None where the kernel ends."""
    event = records[at].field("event")
    place = at + step
    while 0 <= place < len(records):
        record = records[place]
        if record.mnemonic == "end":
            return None
        if not _is_arithmetic(record) or _writes(record, event):
            return place
        place += step
    return None


def _past_work(records: Records, at: int, step: int, pipe: str) -> int | None:
    """The number of the next instruction of `pipe` in direction `step` in the same straight line."""
    place = at + step
    while 0 <= place < len(records):
        record = records[place]
        if record.row.family == "control" or _writes(record, records[at].field("event")):
            return None
        if record.row.family != "sync" and not _is_arithmetic(record) and record.row.pipe == pipe:
            return place
        place += step
    return None


def _moved(records: Records, at: int, to: int) -> Records:
    """Record `at` on the far side of record `to`."""
    rest = records[:at] + records[at + 1 :]
    return (*rest[:to], records[at], *rest[to:])


def _without(records: Records, gone: set[int]) -> Records:
    return tuple(record for number, record in enumerate(records) if number not in gone)


def _made(mnemonic: str, target: int, *operands: Reg | int) -> Decoded:
    record = resolve(Record(mnemonic, scalars=(Reg(target), *operands)))
    assert isinstance(record, Decoded)  # scalar arithmetic without fields
    return record


def _merged(
    records: Records, pair: tuple[int, int], keep: int, gone: int, free: int | None
) -> Records | None:
    """Event id `gone` of a pair of pipes becomes `keep`."""
    made: list[Decoded] = []
    for record in records:
        if record.mnemonic not in ("set_flag", "wait_flag") or record.fields[:2] != pair:
            made.append(record)
            continue
        event = record.field("event")
        if isinstance(event, Reg):
            if free is None:
                return None
            made += [
                _made("eq", free, event, gone),
                _made("mul", free, Reg(free), keep - gone),
                _made("add", free, Reg(free), event),
            ]
            event = Reg(free)
        made.append(replace(record, fields=(*pair, keep if event == gone else event)))
    return tuple(made)


def _free_register(records: Records) -> int | None:
    """A register the kernel does not use."""
    used: set[int] = set()
    for record in records:
        used |= {value.number for value in (*record.scalars, *record.fields) if isinstance(value, Reg)}
        for address in record.addresses:
            used |= {number for number in (address.base, address.idx) if number is not None}
    return next((number for number in reversed(range(REGISTERS)) if number not in used), None)


def _deletions(records: Records, pairs: set[tuple[int, int]]) -> Iterator[tuple[str, int, Records]]:
    for group in groups_of(pairs):
        yield "pair deleted", min(group), _without(records, group)
        inside = [pair for pair in sorted(pairs) if set(pair) <= group]
        if len(inside) > 1:
            for pair in inside:
                yield "one pair of a ring deleted", pair[0], _without(records, set(pair))
    for number, record in enumerate(records):
        if record.mnemonic == "pipe_barrier":
            yield "barrier deleted", number, _without(records, {number})


def _moves(records: Records) -> Iterator[tuple[str, int, Records]]:
    for number, record in enumerate(records):
        if record.mnemonic not in ("set_flag", "wait_flag"):
            continue
        waits = record.mnemonic == "wait_flag"
        step, field = (1, "dst") if waits else (-1, "src")
        pipe = record.field(field)
        assert isinstance(pipe, int)  # the hazard check refuses pipes in registers
        near, far = _step(records, number, step), _past_work(records, number, step, PIPES[pipe])
        if near is not None:
            yield "wait later" if waits else "set earlier", number, _moved(records, number, near)
        if far is not None and far != near:
            yield "wait past work" if waits else "set before work", number, _moved(records, number, far)


def _merges(
    records: Records, events: dict[tuple[int, int], set[int]]
) -> Iterator[tuple[str, int, Records | None]]:
    free = _free_register(records)
    for pair, numbers in sorted(events.items()):
        first = next(
            number
            for number, record in enumerate(records)
            if record.mnemonic == "set_flag" and record.fields[:2] == pair
        )
        for keep, gone in combinations(sorted(numbers), 2):
            yield "events merged", first, _merged(records, pair, keep, gone, free)


def mutants_of(
    program: Program,
    pairs: set[tuple[int, int]],
    events: dict[tuple[int, int], set[int]],
    skipped: Callable[[str], None] = lambda why: None,
) -> Iterator[Mutant]:
    """All mutants.  `pairs` (records of a set and a wait that takes its flag) and `events` (ids by pair of
    pipes) come from a run, because ids may stand in registers."""
    records: Records = program.records
    for kind, at, changed in (
        *_deletions(records, pairs),
        *_moves(records),
        *_merges(records, events),
    ):
        what = f"{records[at].address:04x} {instruction_text(records[at])}"
        if changed is None:
            skipped(f"{kind} at {what}: no register is free")
            continue
        image = encode_image(changed, program.image.n_args, program.image.n_body_ops)
        yield Mutant(kind, what, load_program(image))
