"""Is the order of a kernel's instructions guaranteed, or does it only happen to be right?

Pipes run side by side.  Between two of them only flags and barriers make order, and even inside one pipe
the next instruction may start before its predecessor has finished writing: only writing what was read
before (WAR) is free there (decision D7).  The simulator executes in program order, so it must prove that
every other order the flags allow gives the same bytes.  This is that proof, run once per kernel, for the
first, a middle and the last block.

Vector clocks: every instruction has a number in its pipe; clock c[p][q] says which instructions of q are
known to be complete before p's next one starts.  set_flag sends p's clock along, wait_flag takes the
elementwise maximum, a barrier makes a pipe know itself.  A wait is an event as well: a flag may be set
again only by a pipe that knows its last wait, or the set could overtake the wait.

An *access* is an instruction with concrete on-chip addresses.  Which accesses disturb each other is found
out when one is first seen; from then on the check of an instruction is a comparison of a few numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from ..errors import AscendError
from ..isa.disassembler import instruction_text
from ..isa.model import BARRIER_SCOPES, PIPES, barrier_pipes
from ..isa.record import Decoded, Reg
from ..soc import Soc
from .access import Access, AccessIndex, disturbances, statics_of
from .assumed_loads import loaded_values
from .definedness import CARRIES, OnChip, Step, carry, compute, parameters
from .gm_conflicts import GmAccess, Meeting, cross_block, gaps
from .gm_state import GmRange, GmState
from .gm_state import unordered as gm_unordered
from .program import Program
from .split_definedness import (
    SPLIT_CARRIES,
    carry_on_chip,
    load_from_gm,
    stored_to_gm,
    undefined_parameter,
)
from .translate import DEFAULT_FUEL, STATE_NAMES, Translator, address_text, tuple_text, value_text

EVENTS = 16
Clock: TypeAlias = tuple[int, ...]
_ZERO: Clock = (0,) * len(PIPES)
_MOST = 100  # hazards per check: more say nothing new


@dataclass(frozen=True)
class Hazard:
    """A broken rule: both instructions (the second may be missing), where, and which rule."""

    rule: str
    first: str
    second: str
    space: str
    low: int
    high: int
    block: int
    note: str = ""

    def __str__(self) -> str:
        place = f" on {self.space}[{self.low:#x}..{self.high:#x}]" if self.space else ""
        pair = f"{self.first} / {self.second}" if self.second else self.first
        return f"{self.rule}{place}, block {self.block}: {pair}{': ' + self.note if self.note else ''}"


def merge(c: Clock, f: Clock) -> Clock:
    """Elementwise maximum; `f` may be a flag, which carries its set's record behind the clock."""
    a, b, d, e, g, h, i = c
    return (
        a if a > f[0] else f[0],
        b if b > f[1] else f[1],
        d if d > f[2] else f[2],
        e if e > f[3] else f[3],
        g if g > f[4] else f[4],
        h if h > f[5] else f[5],
        i if i > f[6] else f[6],
    )


Known: TypeAlias = "dict[int, Clock]"
"""What is known to be complete of other streams: stream → clock of its pipes."""


def join_known(parts: Sequence[Known]) -> Known:
    """All that several know; the result is never changed, so it may be one of them."""
    joined = parts[0]
    for part in parts[1:]:
        if part is joined or not part:
            continue
        joined = {**joined, **{s: merge(joined[s], c) if s in joined else c for s, c in part.items()}}
    return joined


def merge_known(c: tuple[Any, ...], f: tuple[Any, ...]) -> tuple[Any, ...]:
    """As `merge`, for clocks that end with what is known of other streams."""
    width = len(PIPES)
    return (*merge(c[:width], f), join_known([c[width], f[width]]))


class BlockCheck:
    """What the generated function of one block talks to."""

    def __init__(self, soc: Soc, program: Program, block: int, gm: GmState | None) -> None:
        self.program = program
        self.block = block
        self.statics = statics_of(program)
        self.memory = OnChip(soc)
        self.gm = gm
        self.index = AccessIndex(soc.core.mad_overlap_fractals)
        self.log: list[tuple[Access, int, Clock, GmAccess]] = []
        self.hazards: dict[tuple[object, ...], Hazard] = {}
        self.events = soc.core.event_ids
        self.clashed: set[tuple[int, int]] = set()

    def text(self, number: int) -> str:
        record = self.program.records[number]
        return f"{record.address:04x} {instruction_text(record)}"

    def report(
        self,
        rule: str,
        first: int,
        second: int | None = None,
        place: tuple[str, int, int] = ("", 0, 0),
        note: str = "",
    ) -> None:
        """Keep the first hazard of its kind between two records."""
        key = (rule, first, second, place[0])
        if key in self.hazards or len(self.hazards) >= _MOST:
            return
        then = "" if second is None else self.text(second)
        self.hazards[key] = Hazard(rule, self.text(first), then, *place, self.block, note)

    # -- called by the generated code
    # ---------------------------------------------------------------------------

    def make(self, number: int, key: tuple[Any, ...]) -> Access:
        """First sight of an instruction with these addresses and operands."""
        access = self.statics[number].access(key)
        self.statics_table(number)[key] = access
        self.index.add(access)
        return access

    def statics_table(self, number: int) -> dict[tuple[Any, ...], Access]:
        """The accesses of record `number` seen so far in this block."""
        return self.index.tables.setdefault(number, {})

    def clash(self, later: Access, earlier: Access) -> None:
        """`later` needs `earlier`, and nothing orders them: report each pair of records once."""
        if (earlier.number, later.number) in self.clashed:
            return
        self.clashed.add((earlier.number, later.number))
        for rule, space, low, high in disturbances(earlier, later, self.index.overlap_fractals):
            same = " in one pipe: a pipe_barrier is missing" if earlier.pipe == later.pipe else ""
            self.report(rule, earlier.number, later.number, (space, low, high), f"nothing orders them{same}")

    def settle(self, access: Access) -> None:
        """Definedness of what an on-chip instruction reads and writes."""
        step, row = access.step(), access.static.record.row
        if row.family in CARRIES:
            problems, once = parameters(self.memory, step), carry(self.memory, step)
        elif row.family in SPLIT_CARRIES:
            self._check_parameters(access, step)
            problems, once = [], carry_on_chip(self.memory, step)
        else:
            problems, once = compute(self.memory, step)
        for problem in problems:
            name = row.addresses[problem.operand].name
            place = (problem.space, problem.address, problem.address + 1)
            self.report("undefined", access.number, None, place, f"computes with undefined bytes ({name})")
        access.epoch = self.memory.epoch if once else -1

    def _check_parameters(self, access: Access, step: Step) -> None:
        """The fixpipe computes with its parameters."""
        if step.row.family != "fixpipe" or not step.prints[2].count:
            return
        found = undefined_parameter(self.memory, step)
        if found >= 0:
            place = ("fb", found, found + 1)
            self.report("undefined", access.number, None, place, "computes with undefined bytes (table)")

    def gm_access(self, access: Access, order: int, clock: Clock, address: int, atomic: int) -> None:
        """A DMA between GM and the core, or a scalar access to GM."""
        pieces = access.pieces
        if pieces is None or not pieces.bursts:
            return
        write = access.static.gm_writes
        seen = GmAccess(access.number, address + pieces.offset, pieces, write, atomic)
        self.log.append((access, order, clock, seen))
        if write:
            self._store(access, seen)
        else:
            self._load(access, seen)

    def _load(self, access: Access, seen: GmAccess) -> None:
        row = access.static.record.row
        source = None if self.gm is None else self.gm.read(seen)
        if row.family == "scalar":
            if source is not None and not source.all():
                self.report(
                    "undefined",
                    access.number,
                    None,
                    ("gm", seen.start, seen.end),
                    "loads an undefined scalar",
                )
            return
        if row.family in SPLIT_CARRIES:
            load_from_gm(self.memory, access.step(), source)
            return
        if source is None:
            if access.epoch != self.memory.epoch:
                self.memory.define(access.spaces[0], access.at[0], access.prints[0])
                access.epoch = self.memory.epoch
            return
        rows = source.reshape(-1, 32)
        carry(self.memory, access.step(), rows)
        access.epoch = -1

    def _store(self, access: Access, seen: GmAccess) -> None:
        if access.static.record.row.family in SPLIT_CARRIES:
            step = access.step()
            self._check_parameters(access, step)
            if self.gm is not None:
                self.gm.write(seen, stored_to_gm(self.memory, step))
            return
        whole = access.epoch == self.memory.epoch
        if not whole and len(access.at) > 1:
            found = self.memory.first_undefined(access.spaces[1], access.at[1], access.prints[1])
            whole = found < 0
            access.epoch = self.memory.epoch if whole else -1
        if self.gm is None:
            return
        if whole or len(access.at) < 2:
            self.gm.write(seen, None)
        else:
            self.gm.write(seen, self.memory.copy_of(access.spaces[1], access.at[1], access.prints[1]))

    def no_set(self, number: int, index: int) -> None:
        self.report("wait without set", number, note=f"no set of event {index % EVENTS} stands before it")

    def twice(self, number: int, flag: Clock) -> None:
        self.report("flag set twice", flag[-1], number, note="no wait between them")

    def overtakes(self, number: int, wait: int) -> None:
        self.report(
            "set overtakes wait",
            wait,
            number,
            note="nothing says that the wait is over when the flag is set again",
        )

    def event_range(self, number: int, event: int) -> int:
        self.report("event id", number, note=f"event {event}: this core has 0..{self.events - 1}")
        return event & EVENTS - 1

    def finish(self, flags: list[Clock | None]) -> None:
        """The end of the block: flags must be clear, GM accesses ordered, results defined."""
        for flag in flags:
            if flag is not None:
                self.report("flag left set", flag[-1], note="no wait consumes it before the kernel ends")
        width = len(PIPES)  # behind them stands what is known of other cores
        log = [(a.pipe, n, c[:width], g) for a, n, c, g in self.log]
        for earlier, later, low, high, rule in gm_unordered(log):
            self.report(rule, earlier.record, later.record, ("gm", low, high), "nothing orders them")
        self.finish_results()

    def finish_results(self) -> None:
        """Report undefined bytes in results, once all that is stored has been stored."""
        if self.gm is not None:
            for record, low, high in self.gm.undefined_results():
                self.report(
                    "undefined", record, None, ("gm", low, high), "stores undefined bytes into a result"
                )


class _Emitter:
    """Lines of the check function."""

    def __init__(self, soc: Soc, program: Program, *, together: bool) -> None:
        self.together = together  # clocks also say what is known of other cores
        self.numbers = {record.address: number for number, record in enumerate(program.records)}
        self.events = soc.core.event_ids
        self.statics = statics_of(program)
        self.used: list[int] = []

    def emit(self, record: Decoded) -> list[str]:
        number = self.numbers[record.address]
        match record.mnemonic:
            case "set_flag":
                return self._set(record, number)
            case "wait_flag":
                return self._wait(record, number)
            case "pipe_barrier":
                return self._barrier(record)
            case "ffts_cross_core_sync":
                return self._cross_set(record, number)
            case "wait_flag_dev":
                return self._cross_wait(record, number)
            case _:
                return self._access(record, number)

    def _access(self, record: Decoded, number: int) -> list[str]:
        static, pipe = self.statics[number], record.row.pipe
        self.used.append(number)
        lines = [
            f"k = {tuple_text(static.key_text())}",
            f"x = I{number}(k) or N{number}(k)",
            f"n_{pipe} += 1",
            "for o in x.near:",
            f"    if o.last > c_{pipe}[o.pipe]: check.clash(x, o)",
            f"x.last = n_{pipe}",
        ]
        if static.gm_operand is None:
            lines.append("if x.epoch != memory.epoch: check.settle(x)")
        else:
            address = address_text(record.addresses[static.gm_operand])
            atomic = f"{STATE_NAMES['atomic']}[0]" if "atomic" in record.row.state else "0"
            lines.append(f"check.gm_access(x, n_{pipe}, c_{pipe}, {address}, {atomic})")
        if record.row.loads:
            lines.append(f"{value_text(record.scalars[0])} = load()")
        return lines

    def _flag(self, record: Decoded, number: int) -> tuple[str, str, list[str]]:
        src, dst, event = record.fields
        if not isinstance(src, int) or not isinstance(dst, int):
            raise AscendError(
                "E43101", f"{record.mnemonic} at {record.address:04x} takes its pipes from registers"
            )
        base = (src * len(PIPES) + dst) * EVENTS
        if isinstance(event, int) and 0 <= event < self.events:
            return PIPES[src], PIPES[dst], [f"i = {base + event}"]
        text = value_text(event)
        lines = [
            f"i = {text}",
            f"if not 0 <= i < {self.events}: i = check.event_range({number}, i)",
            f"i += {base}",
        ]
        return PIPES[src], PIPES[dst], lines

    def _set(self, record: Decoded, number: int) -> list[str]:
        src, dst, lines = self._flag(record, number)
        clock = [f"c_{src}[{i}]" for i in range(len(PIPES) + self.together)]
        clock[PIPES.index(src)] = f"n_{src}"
        lines.append(f"if F[i] is not None: check.twice({number}, F[i])")
        # What the scalar unit dispatches behind its own wait cannot overtake it.
        if dst not in (src, "S"):
            lines.append(f"elif W[i] > c_{src}[{PIPES.index(dst)}]: check.overtakes({number}, R[i])")
        return [*lines, f"F[i] = ({', '.join(clock)}, {number})"]

    def _wait(self, record: Decoded, number: int) -> list[str]:
        _, dst, lines = self._flag(record, number)
        # The scalar unit dispatches: what it waits for, everything dispatched later has waited for.
        known = PIPES if dst == "S" else (dst,)
        return [
            *lines,
            "f = F[i]",
            f"if f is None: check.no_set({number}, i)",
            "else:",
            *(f"    c_{pipe} = merge(c_{pipe}, f)" for pipe in known),
            "    F[i] = None",
            f"n_{dst} += 1; W[i] = n_{dst}; R[i] = {number}",
        ]

    def _barrier(self, record: Decoded) -> list[str]:
        place = record.fields[0]
        if isinstance(place, Reg):
            raise AscendError(
                "E43101", f"pipe_barrier at {record.address:04x} takes its pipe from a register"
            )
        if BARRIER_SCOPES[place] == "ALL":
            now = ", ".join(f"n_{pipe}" for pipe in PIPES)
            if self.together:
                now += f", join([{', '.join(f'c_{pipe}[{len(PIPES)}]' for pipe in PIPES)}])"
            return [f"{' = '.join(f'c_{pipe}' for pipe in PIPES)} = ({now})"]
        (place,) = barrier_pipes(place)
        pipe = PIPES[place]
        return [f"c_{pipe} = c_{pipe}[:{place}] + (n_{pipe},) + c_{pipe}[{place + 1}:]"]

    def _cross_set(self, record: Decoded, number: int) -> list[str]:
        pipe, mode, flag = record.fields
        if not isinstance(pipe, int) or not isinstance(mode, int):
            raise AscendError(
                "E43101", f"{record.mnemonic} at {record.address:04x} takes its pipe or mode from a register"
            )
        name = PIPES[pipe]
        clock = f"c_{name}[:{pipe}] + (n_{name},) + c_{name}[{pipe + 1}:]"
        return [f"check.cross_set({number}, {mode}, {value_text(flag)}, {clock})"]

    def _cross_wait(self, record: Decoded, number: int) -> list[str]:
        # The wait stops the scalar unit: whatever is dispatched later knows what the set knew.
        return [
            f"while (held := check.cross_wait({number}, {value_text(record.fields[0])})): yield held",
            *(f"c_{pipe} = check.learn(c_{pipe})" for pipe in PIPES),
        ]


@dataclass
class _Kernels:
    check: Callable[..., None]
    trace_gm: Callable[..., None]


_MADE: dict[tuple[str, int, bool], tuple[Soc, _Kernels]] = {}


def compile_check(soc: Soc, program: Program, *, together: bool = False) -> _Kernels:
    """The check functions of a program; `together`: for streams that order each other by cross-core flags."""
    key = (program.digest, id(soc.core), together)
    made = _MADE.get(key)
    if made is not None:
        return made[1]
    emitter = _Emitter(soc, program, together=together)
    parameters = "args, block_idx, block_num, fuel, check, memory, load"

    def frame() -> tuple[list[str], list[str]]:
        used = sorted(set(emitter.used))  # records that touch memory
        before = [
            f"F = [None] * {len(PIPES) ** 2 * EVENTS}",
            f"W = [0] * {len(PIPES) ** 2 * EVENTS}; R = [0] * {len(PIPES) ** 2 * EVENTS}",
            f"{' = '.join(f'n_{pipe}' for pipe in PIPES)} = 0",
            f"{' = '.join(f'c_{pipe}' for pipe in PIPES)} = {(*_ZERO, {}) if together else _ZERO}",
            *(f"I{n} = check.statics_table({n}).get; N{n} = partial(check.make, {n})" for n in used),
        ]
        return before, ["check.finish(F)"]

    translator = Translator(emitter.emit, parameters=parameters, frame=frame)
    names = {"partial": partial, "merge": merge_known if together else merge, "join": join_known}
    run = translator.compile(program, names)
    kernels = _Kernels(run, _compile_gm(program))
    _MADE[key] = (soc, kernels)
    return kernels


def _compile_gm(program: Program) -> Callable[..., None]:
    """A function that only lists the GM accesses: cheap enough for every block."""
    statics = statics_of(program)
    numbers = {record.address: number for number, record in enumerate(program.records)}

    def emit(record: Decoded) -> list[str]:
        lines: list[str] = []
        static = statics.get(numbers[record.address])
        if static is not None and static.gm_operand is not None:
            address = address_text(record.addresses[static.gm_operand])
            atomic = f"{STATE_NAMES['atomic']}[0]" if "atomic" in record.row.state else "0"
            lines.append(f"log(({static.number}, {address}, {atomic}, {tuple_text(static.value_text())}))")
        if record.row.loads:
            lines.append(f"{value_text(record.scalars[0])} = load()")
        return lines

    return Translator(emit, parameters="args, block_idx, block_num, fuel, log, load").compile(program, {})


def gm_accesses(
    program: Program, args: Sequence[int], block: int, blocks: int, loads: Sequence[int] | None = None
) -> list[GmAccess]:
    """Every GM access of one block, in program order."""
    statics = statics_of(program)
    raw: list[tuple[int, int, int, tuple[Any, ...]]] = []
    key = (program.digest, 0)
    made = _GM_MADE.get(key)
    if made is None:
        made = _GM_MADE[key] = _compile_gm(program)
    made(args, block, blocks, DEFAULT_FUEL, raw.append, loaded_values(program, block, blocks, loads, "order"))
    found: list[GmAccess] = []
    for number, address, atomic, values in raw:
        static = statics[number]
        pieces = static.pieces(values)
        if pieces.bursts:
            found.append(GmAccess(number, address + pieces.offset, pieces, static.gm_writes, atomic))
    return found


_GM_MADE: dict[tuple[str, int], Callable[..., None]] = {}


def check_block(
    soc: Soc,
    program: Program,
    args: Sequence[int],
    block: int,
    blocks: int,
    *,
    gm_ranges: Sequence[GmRange] | None = None,
    loads: Sequence[int] | None = None,
) -> list[Hazard]:
    """Hazards inside one block."""
    soc = soc.seen_by(program.core)
    check = BlockCheck(soc, program, block, None if gm_ranges is None else GmState(gm_ranges))
    kernels = compile_check(soc, program)
    loaded = loaded_values(program, block, blocks, loads, "order")
    kernels.check(args, block, blocks, DEFAULT_FUEL, check, check.memory, loaded)
    return list(check.hazards.values())


def check_task(
    soc: Soc,
    program: Program,
    args: Sequence[int],
    blocks: int,
    gm_ranges: Sequence[GmRange] | None = None,
    *,
    loads: Sequence[Sequence[int]] | None = None,
    every_block: bool = False,
) -> list[Hazard]:
    """All broken ordering rules of a task.

    `gm_ranges` says what GM holds before the task and which ranges are its results (None: all is defined).
    `loads[b]` are the values of block b's scalar loads, for kernels that are steered by any (`assumed_loads.py`).  Kernels whose
    cores synchronise are checked with all their streams at once, and `loads` goes by stream (`hazards_cores.py`).
    """
    if program.runs_together:
        from .hazards_cores import check_streams  # it imports this module

        return unique(check_streams(soc, program, args, blocks, gm_ranges, loads=loads))
    chosen = range(blocks) if every_block else sorted({0, blocks // 2, blocks - 1})
    hazards: list[Hazard] = []
    for block in chosen:
        of_block = None if loads is None else loads[block]
        hazards += check_block(soc, program, args, block, blocks, gm_ranges=gm_ranges, loads=of_block)
    every = [
        gm_accesses(program, args, b, blocks, None if loads is None else loads[b]) for b in range(blocks)
    ]
    hazards += _between_blocks(program, every)
    for result in gm_ranges or ():
        hazards += unwritten(every, result)
    return unique(hazards)


def unwritten(blocks: Sequence[Sequence[GmAccess]], result: GmRange) -> Iterator[Hazard]:
    """A result that not all bytes are written of."""
    missing = gaps(blocks, result.base, result.base + result.size) if result.result else None
    if missing is not None:
        note = "no block writes these bytes"
        yield Hazard("result not written", result.name, "", "gm", *missing, 0, note)


def _between_blocks(program: Program, blocks: Sequence[Sequence[GmAccess]]) -> Iterator[Hazard]:
    for meeting in cross_block(blocks):
        first = _who(program, blocks[meeting.first_block], meeting, write=meeting.rule == "write-write")
        second = _who(program, blocks[meeting.second_block], meeting, write=True)
        note = f"blocks {meeting.first_block} and {meeting.second_block} are never ordered"
        rule = f"{meeting.rule} between blocks"
        yield Hazard(rule, first, second, "gm", meeting.low, meeting.high, meeting.first_block, note)


def _who(program: Program, accesses: Sequence[GmAccess], meeting: Meeting, write: bool) -> str:
    """The first access of a block that touches the bytes of the meeting."""
    for access in accesses:
        if access.write != write or access.start >= meeting.high or access.end <= meeting.low:
            continue
        pieces = access.pieces
        place = (meeting.low - access.start) % pieces.pitch if pieces.bursts > 1 else 0
        if place < pieces.length or place + meeting.high - meeting.low > pieces.pitch:
            record = program.records[access.record]
            return f"{record.address:04x} {instruction_text(record)}"
    return ""


def unique(hazards: Sequence[Hazard]) -> list[Hazard]:
    seen: Counter[tuple[str, str, str, str]] = Counter()
    kept: list[Hazard] = []
    for hazard in hazards:
        key = (hazard.rule, hazard.first, hazard.second, hazard.space)
        seen[key] += 1
        if seen[key] == 1:
            kept.append(hazard)
    return kept
