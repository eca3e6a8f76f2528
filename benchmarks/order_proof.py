"""Which orders a kernel's flags and barriers ensure, proven by reachability: no clocks, no hazard check.

A run of one block is a list of events in dispatch order.  Instructions that touch memory ("work") and waits
are nodes of a graph, an edge a→b says "a is complete before b starts", and the set of all nodes before a
node is one Python integer, a bit per node.  The edges are the machine's rules (decision 0005):

* work and waits stand behind the waits and barriers of their own pipe that were dispatched before them;
* a set_flag stands behind everything its pipe was given before it, the wait that takes the flag behind the
  set; a wait of the scalar unit holds back every pipe, because the scalar unit dispatches;
* the scalar unit runs one after the other.

With that, two kernels with the same work can be compared (`implied`): does the second ensure all that the
first does?  If not, it may still ensure what is *needed* (`needed`, `broken`): the order of any two
instructions of which one writes a byte that the other touches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ascend_mlir.runtime.isa.model import PIPES, barrier_pipes
from ascend_mlir.runtime.isa.record import Decoded
from ascend_mlir.runtime.isa.table import state_fields
from ascend_mlir.runtime.sim.footprint import footprints
from ascend_mlir.runtime.sim.program import Program
from ascend_mlir.runtime.sim.translate import DEFAULT_FUEL, Translator, operands_text, value_text
from ascend_mlir.runtime.soc import Soc

SCALAR = PIPES.index("S")


class Event(NamedTuple):
    """One dispatched instruction: number of its record, its operands as the machine captures them."""

    number: int
    addresses: tuple[int, ...]
    fields: tuple[int, ...]
    state: tuple[tuple[int, ...], ...]

    def shape(self, program: Program) -> tuple[object, ...]:
        """What the instruction is and does, whatever its number."""
        record = program.records[self.number]
        return record.mnemonic, record.dtype, self.addresses, self.fields, self.state


def run_events(program: Program, args: Sequence[int], block: int, blocks: int) -> list[Event]:
    """Everything but scalar arithmetic that one block dispatches, in order."""
    numbers = {record.address: number for number, record in enumerate(program.records)}
    events: list[Event] = []

    def log(number: int, addresses: Any, scalars: Any, fields: Any, state: Any) -> None:
        events.append(Event(number, addresses, fields, state))

    def emit(record: Decoded) -> list[str]:
        lines = [f"log({numbers[record.address]}, {operands_text(record)})"]
        if record.row.loads:
            lines.append(f"{value_text(record.scalars[0])} = load()")
        return lines

    def load() -> int:
        raise ValueError("the kernel reads scalars from memory: its order depends on data")

    parameters = "args, block_idx, block_num, fuel, log, load"
    Translator(emit, parameters=parameters).compile(program, {})(
        tuple(args), block, blocks, DEFAULT_FUEL, log, load
    )
    return events


@dataclass
class Order:
    """What one block ensures.  `before[i]` are the nodes before the i-th work instruction."""

    work: list[Event] = field(default_factory=list[Event])
    before: list[int] = field(default_factory=list[int])
    problems: list[str] = field(default_factory=list[str])  # event ids used against the rules
    pairs: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])  # records of a set and its wait
    events: dict[tuple[int, int], set[int]] = field(default_factory=dict[tuple[int, int], set[int]])


class _Builder:
    """Adds events; works have the low bits, waits those from `first_wait` on."""

    def __init__(self, program: Program, event_ids: int, works: int) -> None:
        self.program = program
        self.event_ids = event_ids
        self.next_wait = works
        self.order = Order()
        self.gate = [0] * len(PIPES)  # complete before the pipe's next instruction starts
        self.given = [0] * len(PIPES)  # dispatched to the pipe so far, and what was before that
        self.flags: dict[tuple[int, int, int], tuple[int, int]] = {}
        self.waited: dict[tuple[int, int, int], int] = {}

    def add(self, event: Event) -> None:
        record = self.program.records[event.number]
        match record.mnemonic:
            case "set_flag":
                self._set(event)
            case "wait_flag":
                self._wait(event)
            case "pipe_barrier":
                (pipe,) = event.fields
                chosen = barrier_pipes(pipe)
                known = 0
                for p in chosen:
                    known |= self.gate[p] | self.given[p]
                for p in chosen:
                    self.gate[p] |= known
            case _:
                self._work(event, PIPES.index(record.row.pipe))

    def _work(self, event: Event, pipe: int) -> None:
        before = self.gate[pipe] | (self.given[pipe] if pipe == SCALAR else 0)
        self.given[pipe] |= before | 1 << len(self.order.work)
        self.order.work.append(event)
        self.order.before.append(before)

    def _key(self, event: Event) -> tuple[int, int, int]:
        src, dst, number = event.fields
        if not 0 <= number < self.event_ids:
            self.order.problems.append(f"event {number}")
        self.order.events.setdefault((src, dst), set()).add(number)
        return src, dst, number

    def _set(self, event: Event) -> None:
        key = self._key(event)
        src, dst, _ = key
        known = self.gate[src] | self.given[src]
        if key in self.flags:
            self.order.problems.append("set twice")
        elif dst not in (src, SCALAR) and self.waited.get(key, 0) & ~known:
            self.order.problems.append("set may overtake the last wait")
        self.flags[key] = (event.number, known)

    def _wait(self, event: Event) -> None:
        key = self._key(event)
        dst = key[1]
        bit = 1 << self.next_wait
        self.next_wait += 1
        if key not in self.flags:
            self.order.problems.append("wait without set")
            return
        number, known = self.flags.pop(key)
        self.order.pairs.add((number, event.number))
        for pipe in range(len(PIPES)) if dst == SCALAR else (dst,):
            self.gate[pipe] |= known
        self.given[dst] |= bit | self.gate[dst]
        self.waited[key] = bit


def order_of(program: Program, soc: Soc, args: Sequence[int], block: int, blocks: int) -> Order:
    """The order that one block's flags and barriers ensure."""
    events = run_events(program, args, block, blocks)
    works = sum(program.records[event.number].row.family != "sync" for event in events)
    builder = _Builder(program, soc.core.event_ids, works)
    for event in events:
        builder.add(event)
    builder.order.problems += ["flag left set"] * len(builder.flags)
    return builder.order


def same_work(a: Program, first: Order, b: Program, second: Order) -> bool:
    """Whether two runs execute the same instructions on the same operands in the same sequence."""
    return len(first.work) == len(second.work) and all(
        x.shape(a) == y.shape(b) for x, y in zip(first.work, second.work, strict=True)
    )


def implied(first: Order, second: Order) -> bool:
    """Whether `second` ensures every order of two works that `first` does."""
    works = (1 << len(first.work)) - 1
    return all(not x & works & ~y for x, y in zip(first.before, second.before, strict=True))


class _Span(NamedTuple):
    """One operand: a hull and the touched bytes in it, as bits from `low`."""

    space: str
    low: int
    high: int
    touched: int
    reads: bool
    writes: bool


def _gm_bits(record: Decoded, values: dict[str, int]) -> tuple[int, int]:
    """(offset of the first byte, touched bytes) of the GM operand of a DMA or a scalar access."""
    row = record.row
    if row.family == "scalar":
        return 0, (1 << values["bytes"]) - 1
    if row.family == "load":  # whole fractals
        step = -values["src_stride"] if values["decrement"] else values["src_stride"]
        places = {values["base"] + i * step for i in range(values["repeat"])}
        first = min(places, default=0)
        return 512 * first, sum((1 << 512) - 1 << 512 * (place - first) for place in places)
    gap = values["dst_gap" if row.addresses[0].spaces == ("gm",) else "src_gap"]
    burst, pitch = (1 << 32 * values["length"]) - 1, 32 * (values["length"] + gap)
    return 0, sum(burst << i * pitch for i in range(values["bursts"]))


def _spans(program: Program, event: Event) -> Iterator[_Span]:
    record = program.records[event.number]
    row = record.row
    values = {spec.name: value for spec, value in zip(row.fields, event.fields, strict=True)}
    flat = [value for group in event.state for value in group]
    values |= {spec.name: value for spec, value in zip(state_fields(row), flat, strict=True)}
    if any(address.space == "gm" for address in record.addresses):
        # Only the core's side is asked for; gaps of the other would make a huge hull.
        far = ("src_gap", "src_stride", "base") if row.addresses[0].spaces != ("gm",) else ("dst_gap",)
        prints = footprints(row, record.dtype, values | {name: 0 for name in far if name in values})
    else:
        prints = footprints(row, record.dtype, values)
    for spec, place, at, footprint in zip(
        row.addresses, record.addresses, event.addresses, prints, strict=True
    ):
        if place.space == "gm":
            offset, touched = _gm_bits(record, values)
        else:
            offset, touched = footprint.low, footprint.byte_bits if footprint.count else 0
        if touched:
            low = at + offset
            high = low + touched.bit_length()
            yield _Span(place.space, low, high, touched, spec.reads, spec.writes)


def _meet(a: _Span, b: _Span) -> bool:
    if a.space != b.space or a.low >= b.high or b.low >= a.high:
        return False
    low = min(a.low, b.low)
    return bool(a.touched << (a.low - low) & b.touched << (b.low - low))


def _atomic(program: Program, event: Event) -> bool:
    row = program.records[event.number].row
    return "atomic" in row.state and event.state[row.state.index("atomic")][0] != 0


def _free_mads(program: Program, a: Event, b: Event, least: int) -> bool:
    """Mads of at least `least` fractals keep their own order on L0C."""
    for event in (a, b):
        record = program.records[event.number]
        if record.row.family != "cube":
            return False
        size = dict(zip((spec.name for spec in record.row.fields), event.fields, strict=True))
        if -(-size["m"] // 16) * -(-size["n"] // 16) < least:
            return False
    return True


def needed(program: Program, soc: Soc, order: Order) -> list[tuple[int, int]]:
    """Pairs of works (earlier, later) that share a byte which one of them writes, exceptions left out."""
    spans = [list(_spans(program, event)) for event in order.work]
    pipes = [PIPES.index(program.records[event.number].row.pipe) for event in order.work]
    found: list[tuple[int, int]] = []
    for j, later in enumerate(spans):
        for i in range(j):
            if pipes[i] == pipes[j] == SCALAR:
                continue
            war_is_free = pipes[i] in (pipes[j], SCALAR)  # read before a later instruction can write
            for a in spans[i]:
                for b in later:
                    if not (a.writes or (b.writes and not war_is_free)) or not _meet(a, b):
                        continue
                    first, second = order.work[i], order.work[j]
                    if a.writes and _free_mads(program, first, second, soc.core.mad_overlap_fractals):
                        continue
                    if a.space == "gm" and _atomic(program, first) and _atomic(program, second):
                        continue
                    found.append((i, j))
    return sorted(set(found))


def broken(order: Order, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of `pairs` that nothing orders."""
    return [(i, j) for i, j in pairs if not order.before[j] >> i & 1]
