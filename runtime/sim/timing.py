"""How many cycles a task takes, and what every pipe waited for.

The kernel becomes one straight-line Python function on local variables: no event queue, no objects.
Program order is enough because a set_flag stands before its wait (decision D7), so every time is known when
it is needed:

* the scalar unit dispatches one instruction per cycle into the in-order queue of its pipe; a full queue
  (its depth-th last entry has not started yet) stops dispatch for all pipes;
* an instruction starts at max(dispatched, front of the pipe free), blocks the front for its busy time, and
  its result is there a fixed time later, never before that of its predecessor;
* set_flag passes on the time at which all earlier work of its pipe is done; wait_flag holds its pipe until
  then;
* a DMA between GM and the core also meets the other cores: before it, the block yields its start time, and
  the block with the earliest one goes on.  Everything else is private to a core, so the result is
  deterministic.

Times are cycles of the core clock; every number comes from the `[timing]` table of the SoC file
(`costs.py`).
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ..errors import AscendError
from ..isa.extents import BLOCK
from ..isa.model import BARRIER_SCOPES, CORE_TYPES, PIPES, StateField
from ..isa.record import Decoded, Operand, Reg
from ..isa.table import STATE_GROUPS
from ..soc import Soc
from .access import statics_of
from .assumed_loads import loaded_values
from .costs import SECOND_MAP, Costs, Duration, Transfer, cost_operands, costs_of, moves_gm
from .gm_model import GmModel, L2State, cold_l2
from .program import If, Loop, Node, Program
from .translate import DEFAULT_FUEL, STATE_NAMES, Translator, address_text, tuple_text, value_text
from .ub_banks import bank_operands, group_name

EVENTS = 16
OTHER_CORES = "CORES"  # what the scalar unit waits for in a wait for another core's flag
Cost: TypeAlias = "Duration | Transfer"
Run: TypeAlias = "Iterator[int]"


class Event(NamedTuple):
    """One entry of a trace: record number, pipe, start and end; `flag` ≥ 0 links a set with its wait.

    `operands` are the values that vary, as `Static.key_text` (`access.py`) orders them; only memory
    instructions have any.
    """

    record: int
    pipe: int
    start: int
    end: int
    flag: int
    operands: tuple[Any, ...] = ()


@dataclass
class BlockTiming:
    """One block, or one core's part of it: which core ran it and when, per-pipe busy cycles, stalls (waiting pipe, pipe waited for).

    With a trace also `events`, and in `executed` how often each record ran (number → times, control flow left
    out).
    """

    core: int
    start: int
    end: int
    dispatched: int  # when the scalar unit was through
    busy: dict[str, int]
    stalls: dict[tuple[str, str], int]
    counts: Counter[str]
    events: list[Event] = field(default_factory=list[Event])
    executed: Counter[int] = field(default_factory=Counter[int])
    kind: str = CORE_TYPES[0]
    """Type of the core; numbers of cores differ between types as well."""


@dataclass
class TaskTiming:
    """A task: `cycles` from launch to the end of its last block, launch cost included."""

    cycles: int
    launch: int
    blocks: list[BlockTiming]
    ddr_read: int
    ddr_write: int
    l2_read: int
    l2_write: int

    @property
    def busy(self) -> dict[str, int]:
        """Busy cycles per pipe, summed over blocks (a union of intervals per block)."""
        total: Counter[str] = Counter()
        for block in self.blocks:
            total.update(block.busy)
        return dict(total)

    @property
    def stalls(self) -> dict[tuple[str, str], int]:
        """Cycles that pipe a waited for pipe b, summed over blocks; (a, a) is a's own barrier, ("S", p) a
        full queue."""
        total: Counter[tuple[str, str]] = Counter()
        for block in self.blocks:
            total.update(block.stalls)
        return dict(total)

    @property
    def counts(self) -> Counter[str]:
        """Executed instructions by mnemonic, control flow left out."""
        total: Counter[str] = Counter()
        for block in self.blocks:
            total.update(block.counts)
        return total

    @property
    def instructions(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class TimingKernel:
    """A compiled timing function and what is needed to read its result."""

    run: Callable[..., Run]
    queued: tuple[str, ...]  # pipes of the core beside S, which runs what it fetches itself
    stall_pairs: tuple[tuple[str, str], ...]
    regions: tuple[Counter[str], ...]
    region_records: tuple[tuple[int, ...], ...]  # the same instructions by number; empty without a trace


class _Emitter:
    """The lines of each instruction (see the module text); one object per kernel."""

    def __init__(self, costs: Costs, program: Program, queued: Sequence[str], trace: bool) -> None:
        self.costs = costs
        self.queued = queued
        self.trace = trace
        self.statics = statics_of(program) if trace else {}
        self.namespace: dict[str, Any] = {"deque": deque}
        self.stalls: dict[tuple[str, str], str] = {}
        self.numbers = {record.address: number for number, record in enumerate(program.records)}
        self.leaders: dict[int, int] = {}
        self.regions: list[Counter[str]] = []
        self.region_records: list[list[int]] = []
        self._collect(program.body)

    # -- which instructions run equally often -------------------------------------------------------------

    def _collect(self, body: tuple[Node, ...]) -> bool:
        """Give every run of instructions a counter at its first one; True if `body` may leave its loop
        early."""
        region: Counter[str] | None = None
        numbers: list[int] = []
        leaves = False
        for node in body:
            if isinstance(node, Loop):
                self._collect(node.body)
                continue
            if isinstance(node, If):
                inner = self._collect(node.then) | self._collect(node.otherwise)
                leaves |= inner
                region = None if inner else region
                continue
            if node.mnemonic == "break_if":
                leaves, region = True, None
                continue
            if region is None:
                region = Counter()
                self.leaders[node.address] = len(self.regions)
                self.regions.append(region)
                numbers = []
                self.region_records.append(numbers)
            region[node.mnemonic] += 1
            numbers.append(self.numbers[node.address])
        return leaves

    def _count(self, record: Decoded) -> list[str]:
        region = self.leaders.get(record.address)
        return [] if region is None else [f"n{region} += 1"]

    # -- pieces --------------------------------------------------------------------------------------------

    def stall(self, waiting: str, on: str) -> str:
        """The local that sums how long `waiting` waited for `on`."""
        return self.stalls.setdefault((waiting, on), f"w_{waiting}_{on}")

    def scalar(self, record: Decoded) -> list[str]:
        """Scalar work, special registers, and one dispatch per loop iteration or condition."""
        return [*self._count(record), f"ts += {self.costs.scalar(record.row)}"]

    def _dispatch(self, pipe: str, keep: bool = True) -> list[str]:
        """Dispatch into the queue of `pipe`; leaves the start time in `s`."""
        lines = [
            f"ts += {self.costs.dispatch}",
            f"s = q_{pipe}[0]",
            f"if s > ts: {self.stall('S', pipe)} += s - ts; ts = s",
            f"s = f_{pipe} if f_{pipe} > ts else ts",
        ]
        return [*lines, f"q_{pipe}.append(s)"] if keep else lines

    def _finish(self, pipe: str, record: Decoded) -> list[str]:
        """In-order completion at `e` of work started at `s`; busy is a union of intervals."""
        lines = [
            f"if e > d_{pipe}:",
            f"    b_{pipe} += e - (s if s > d_{pipe} else d_{pipe})",
            f"    d_{pipe} = e",
        ]
        return lines + self._event(record, pipe, "s", "e")

    def _event(self, record: Decoded, pipe: str, start: str, end: str, flag: str = "-1") -> list[str]:
        if not self.trace:
            return []
        number = self.numbers[record.address]
        static = self.statics.get(number)
        operands = f", {tuple_text(static.key_text())}" if static is not None else ""
        return [f"trace(({number}, {PIPES.index(pipe)}, {start}, {end}, {flag}{operands}))"]

    def _banks(self, record: Decoded) -> list[tuple[str, int | _Text]]:
        """What decides about conflicts of UB banks: strides, and the bank group of each operand."""
        names = bank_operands(record.row) if self.costs.bank_groups else ()
        if not names:
            return []
        places = [(name, _operand(record, name)) for name in names]
        for number, address in enumerate(record.addresses):
            text = f"({address_text(address)}) // {BLOCK} % {self.costs.bank_groups}"
            fixed = address.base is None and address.idx is None
            place = address.offset // BLOCK % self.costs.bank_groups if fixed else _Text(text)
            places.append((group_name(number), place))
        return places

    def _cost(
        self,
        record: Decoded,
        solve: Callable[[Mapping[str, int]], Cost],
        more: Sequence[tuple[str, int | _Text]] = (),
    ) -> Cost | str:
        """The cost when all its operands are constants, else the text of a cached look-up."""
        wanted = cost_operands(record.row)
        if "fmatrix" in wanted and record.field("fmatrix") == 0:
            wanted = tuple(name for name in wanted if name not in SECOND_MAP)
        pairs = [*((name, _operand(record, name)) for name in wanted), *more]
        names = [name for name, _ in pairs]
        places = [place for _, place in pairs]
        if all(isinstance(place, int) for place in places):
            return solve(
                {name: place for name, place in zip(names, places, strict=True) if isinstance(place, int)}
            )
        number = self.numbers[record.address]
        cache: dict[tuple[int, ...], Cost] = {}

        def look_up(key: tuple[int, ...]) -> Cost:
            cost = cache[key] = solve(dict(zip(names, key, strict=True)))
            return cost

        self.namespace[f"C{number}"] = cache.get
        self.namespace[f"M{number}"] = look_up
        key = tuple_text(
            [str(place) if not isinstance(place, int) else value_text(place) for place in places]
        )
        return f"k = {key}; c = C{number}(k) or M{number}(k)"

    # -- instructions ----------------------------------------------------------------------------------------

    def emit(self, record: Decoded) -> list[str]:
        """The lines of one instruction."""
        row = record.row
        head = self._count(record)
        match row.mnemonic:
            case "set_flag":
                return head + self._set_flag(record)
            case "wait_flag":
                return head + self._wait_flag(record)
            case "pipe_barrier":
                return head + self._barrier(record)
            case _ if row.touches_data:
                return head + self._scalar_memory(record)
            case "ffts_cross_core_sync":
                return head + self._cross_set(record)
            case "wait_flag_dev":
                return head + self._cross_wait(record)
            case _:
                return head + (self._gm(record) if moves_gm(row) else self._work(record))

    def _scalar_memory(self, record: Decoded) -> list[str]:
        lines = [f"s = ts; ts += {self.costs.scalar(record.row)}", *self._event(record, "S", "s", "ts")]
        if record.row.loads:  # behind the event: it may overwrite its own address
            lines.append(f"{value_text(record.scalars[0])} = load()")
        return lines

    def _work(self, record: Decoded) -> list[str]:
        row, pipe = record.row, record.row.pipe
        space = record.addresses[0].space
        cost = self._cost(
            record, lambda values: self.costs.duration(row, record.dtype, values, space), self._banks(record)
        )
        lines = self._dispatch(pipe)
        if isinstance(cost, str):
            lines += [cost, f"f_{pipe} = s + c[0]", f"e = f_{pipe} + c[1]"]
        else:
            lines += [f"f_{pipe} = s + {cost[0]}", f"e = s + {cost[0] + cost[1]}"]
        return lines + self._finish(pipe, record)

    def _gm(self, record: Decoded) -> list[str]:
        row, pipe = record.row, record.row.pipe
        writes = record.addresses[0].space == "gm"
        space = record.addresses[1 if writes else 0].space
        address = address_text(record.addresses[0 if writes else 1])
        if row.mnemonic == "load2d_gm":
            base = value_text(record.field("base"))
            address += f" + {base} * 512" if base != "0" else ""
        cost = self._cost(record, lambda values: self.costs.transfer(row, record.dtype, values, space))
        call = "gm_write" if writes else "gm_read"
        lines = [*self._dispatch(pipe), "yield s"]
        if isinstance(cost, str):
            lines += [
                cost,
                f"f_{pipe} = s + c[0]",
                "if c[2]:",
                f"    e = {call}(f_{pipe}, {address}, c); y = d_{pipe} + c[1]",
                "    if y > e: e = y",
                f"else: e = f_{pipe}",
            ]
        elif isinstance(cost, Transfer) and cost.bursts:
            name = f"T{self.numbers[record.address]}"
            self.namespace[name] = cost
            lines += [
                f"f_{pipe} = s + {cost.slots}",
                f"e = {call}(f_{pipe}, {address}, {name}); y = d_{pipe} + {cost.port}",
                "if y > e: e = y",
            ]
        else:
            lines += [f"e = f_{pipe} = s + 1"]
        return lines + self._finish(pipe, record)

    def _flag(self, record: Decoded) -> tuple[str, str, str]:
        """(src pipe, dst pipe, index of the flag as text).  Pipes must be constants."""
        src, dst, event = record.fields
        if not isinstance(src, int) or not isinstance(dst, int):
            raise AscendError(
                "E43101", f"{record.mnemonic} at {record.address:04x} takes its pipes from registers"
            )
        base = (src * len(PIPES) + dst) * EVENTS
        if isinstance(event, int):
            return PIPES[src], PIPES[dst], str(base + event)
        return PIPES[src], PIPES[dst], f"{base} + ({value_text(event)} & {EVENTS - 1})"

    def _set_flag(self, record: Decoded) -> list[str]:
        src, _, index = self._flag(record)
        flag = self.costs.flag
        if src == "S":
            lines = [f"ts += {self.costs.dispatch}", f"F[{index}] = ts + {flag}"]
            return lines + self._event(record, "S", "ts", f"ts + {flag}", index)
        lines = [
            *self._dispatch(src),
            f"f_{src} = s + {flag}",
            f"F[{index}] = (d_{src} if d_{src} > s else s) + {flag}",
        ]
        return lines + self._event(record, src, "s", f"F[{index}]", index)

    def _wait_flag(self, record: Decoded) -> list[str]:
        src, dst, index = self._flag(record)
        stall = self.stall(dst, src)
        if dst == "S":
            lines = [
                f"ts += {self.costs.dispatch}; x = F[{index}]; y = ts",
                f"if x > ts: {stall} += x - ts; ts = x",
            ]
            return lines + self._event(record, "S", "y", "ts", index)
        lines = [
            *self._dispatch(dst, keep=False),
            f"x = F[{index}]; y = s",
            f"if x > s: {stall} += x - s; s = x",
            f"q_{dst}.append(s); f_{dst} = s + {self.costs.flag}",
        ]
        return lines + self._event(record, dst, "y", f"f_{dst}", index)

    def _barrier(self, record: Decoded) -> list[str]:
        place = record.fields[0]
        if not isinstance(place, int):
            raise AscendError(
                "E43101", f"pipe_barrier at {record.address:04x} takes its pipe from a register"
            )
        pipe = BARRIER_SCOPES[place]
        if pipe == "ALL":
            lines = [f"ts += {self.costs.dispatch}; y = ts"]
            for pipe in self.queued:
                lines.append(f"if d_{pipe} > ts: {self.stall('S', pipe)} += d_{pipe} - ts; ts = d_{pipe}")
            lines += [f"if ts > f_{pipe}: f_{pipe} = ts" for pipe in self.queued]
            return lines + self._event(record, "S", "y", "ts")
        if pipe == "S":
            return [f"ts += {self.costs.dispatch}"]
        return [
            *self._dispatch(pipe),
            f"y = s; x = d_{pipe}",
            f"if x > s: {self.stall(pipe, pipe)} += x - s; s = x",
            f"f_{pipe} = s + {self.costs.barrier}",
            *self._event(record, pipe, "y", f"f_{pipe}"),
        ]

    def _cross_set(self, record: Decoded) -> list[str]:
        pipe, mode, flag = record.fields
        if not isinstance(pipe, int) or not isinstance(mode, int):
            raise AscendError(
                "E43101", f"{record.mnemonic} at {record.address:04x} takes its pipe or mode from a register"
            )
        name = PIPES[pipe]
        seen = f"(d_{name} if d_{name} > s else s) + {self.costs.cross}"
        lines = [
            *self._dispatch(name),
            f"f_{name} = s + {self.costs.flag}",
            f"cross.set({self.numbers[record.address]}, {mode}, {value_text(flag)}, {seen})",
        ]
        return lines + self._event(record, name, "s", f"f_{name}")

    def _cross_wait(self, record: Decoded) -> list[str]:
        stall = self.stall("S", OTHER_CORES)
        number, flag = self.numbers[record.address], value_text(record.fields[0])
        lines = [
            f"ts += {self.costs.dispatch}; y = ts",
            f"while (x := cross.take({number}, {flag})) is None: yield -1",
            f"if x > ts: {stall} += x - ts; ts = x",
        ]
        return lines + self._event(record, "S", "y", "ts")


def _operand(record: Decoded, name: str) -> int | _Text:
    """A field or state value of `record`: a constant, or its Python expression."""
    for spec, value in zip(record.row.fields, record.fields, strict=True):
        if spec.name == name:
            return _constant(value)
    for scalar, value in zip(record.row.scalars, record.scalars, strict=True):
        if scalar.name == name:
            return _constant(value)
    for group in record.row.state:
        fields: tuple[StateField, ...] = STATE_GROUPS[group].fields
        for position, state in enumerate(fields):
            if state.name == name:
                return _Text(f"{STATE_NAMES[group]}[{position}]")
    raise KeyError(name)


class _Text(str):
    """A Python expression made by this module."""

    __slots__ = ()


def _constant(value: Operand) -> int | _Text:
    return _Text(value_text(value)) if isinstance(value, Reg) else value


_KERNELS: dict[tuple[str, int, bool], tuple[Soc, TimingKernel]] = {}


def compile_timing(soc: Soc, program: Program, *, trace: bool = False) -> TimingKernel:
    """The timing function of a kernel on a chip, made once per kernel image."""
    key = (program.digest, id(soc.timing), trace)
    cached = _KERNELS.get(key)
    if cached is not None:
        return cached[1]
    queued = tuple(pipe for pipe in PIPES if pipe in soc.core.pipes)
    emitter = _Emitter(costs_of(soc), program, queued, trace)
    depth = soc.core.queue_depth
    parameters = "args, block_idx, block_num, fuel, ts, gm_read, gm_write, load, trace, cross"

    def frame() -> tuple[list[str], list[str]]:
        names = list(emitter.stalls.values())
        regions = [f"n{number}" for number in range(len(emitter.regions))]
        before = [
            f"F = [0] * {len(PIPES) ** 2 * EVENTS}",
            "s = e = x = y = 0",
            *(f"f_{pipe} = d_{pipe} = ts; b_{pipe} = 0" for pipe in queued),
            *(f"q_{pipe} = deque([0] * {depth}, {depth})" for pipe in queued),
            *([f"{' = '.join(names)} = 0"] if names else []),
            *([f"{' = '.join(regions)} = 0"] if regions else []),
            "yield ts",
        ]
        busy = ", ".join(f"b_{pipe}" for pipe in queued)
        ends = ", ".join(f"d_{pipe}" for pipe in queued)
        return before, [f"return max(ts, {ends}), ts, ({busy},), {tuple_text(names)}, {tuple_text(regions)}"]

    translator = Translator(emitter.emit, scalar=emitter.scalar, parameters=parameters, frame=frame)
    run = translator.compile(program, emitter.namespace)
    records = tuple(tuple(numbers) for numbers in emitter.region_records) if trace else ()
    kernel = TimingKernel(run, queued, tuple(emitter.stalls), tuple(emitter.regions), records)
    if program.digest:
        _KERNELS[key] = (soc, kernel)
    return kernel


def prepare_timing(soc: Soc, program: Program) -> None:
    """Make the timing functions of a kernel before they are needed.  What cannot be timed is refused when it is."""
    for part in program.parts:
        with suppress(AscendError):
            compile_timing(soc.seen_by(part.core), part)


def time_task(
    soc: Soc,
    program: Program,
    args: Sequence[int],
    blocks: int,
    l2_state: L2State | None = None,
    *,
    loads: Sequence[Sequence[int]] | None = None,
    trace: bool = False,
) -> TaskTiming:
    """Time a task of `blocks` blocks.

    `l2_state` (see `cold_l2`) lives from task to task.  `loads[b]` are the values that block b's load_scalar
    instructions returned, in order; needed only if they steer the kernel (`assumed_loads.py`).  `trace` keeps every event.  A kernel
    whose cores work together is timed with all its streams (`timing_cores.py`), and `loads` goes by stream.
    """
    if program.runs_together:
        from .timing_cores import time_streams  # it imports this module

        return time_streams(soc, program, args, blocks, l2_state, loads=loads, trace=trace)
    chip, soc = soc, soc.seen_by(program.core)
    kernel = compile_timing(soc, program, trace=trace)
    costs = costs_of(soc)
    gm = GmModel(chip, cold_l2(chip) if l2_state is None else l2_state)
    results: list[BlockTiming | None] = [None] * blocks
    starts: dict[int, tuple[int, int]] = {}
    events: list[list[Event]] = [[] for _ in range(blocks)]

    def start(block: int, core: int, now: int) -> Run:
        starts[block] = (core, now)
        load = loaded_values(program, block, blocks, None if loads is None else loads[block], "time")
        return kernel.run(
            args, block, blocks, DEFAULT_FUEL, now, gm.read, gm.write, load, events[block].append, None
        )

    active = min(blocks, soc.cores)
    first = chip.first_core(program.core)
    runs = {block: start(block, first + block, costs.launch) for block in range(active)}
    waiting = iter(range(active, blocks))
    heap = [(costs.launch, block) for block in range(active)]
    last = costs.launch
    while heap:
        block = heap[0][1]
        try:
            heapq.heapreplace(heap, (next(runs[block]), block))
        except StopIteration as stop:
            core, began = starts[block]
            timing = results[block] = block_timing(
                kernel, core, began, stop.value, events[block], program.core
            )
            end = timing.end
            last = max(last, end)
            heapq.heappop(heap)
            following = next(waiting, None)
            if following is not None:
                runs[following] = start(following, core, end)
                heapq.heappush(heap, (end, following))
    done = [result for result in results if result is not None]
    return TaskTiming(last, costs.launch, done, gm.ddr_read, gm.ddr_write, gm.l2_read, gm.l2_write)


def block_timing(
    kernel: TimingKernel, core: int, start: int, result: Any, events: list[Any], kind: str
) -> BlockTiming:
    """What the timing function of a block returned, with names."""
    end, dispatched, busy, stalls, regions = result
    counts: Counter[str] = Counter()
    for times, region in zip(regions, kernel.regions, strict=True):
        if times:
            counts.update({name: times * number for name, number in region.items()})
    waits = {pair: cycles for pair, cycles in zip(kernel.stall_pairs, stalls, strict=True) if cycles}
    per_pipe = {pipe: cycles for pipe, cycles in zip(kernel.queued, busy, strict=True) if cycles}
    # The scalar unit works whenever it does not wait: for a full queue, a flag or a barrier.
    per_pipe["S"] = dispatched - start - sum(cycles for (pipe, _), cycles in waits.items() if pipe == "S")
    executed: Counter[int] = Counter()
    for times, numbers in zip(regions, kernel.region_records, strict=False):
        executed.update(dict.fromkeys(numbers, times))
    traced = [Event(*event) for event in events]
    return BlockTiming(core, start, end, dispatched, per_pipe, waits, counts, traced, executed, kind)
