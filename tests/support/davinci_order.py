"""An independent judge of sync insertion: runs the records of one block, proves each order by vector clocks.

It knows nothing of the compiler: scalars, loops and flags are executed, every access is compared with all
earlier ones on overlapping bytes.  Slow and simple on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ascend_mlir.runtime.isa.extents import extents
from ascend_mlir.runtime.isa.model import PIPES, barrier_pipes
from ascend_mlir.runtime.isa.record import Record, Reg
from ascend_mlir.runtime.isa.table import STATE_GROUPS, TABLE

ALU = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a // b if b else 0,
    "rem": lambda a, b: a % b if b else 0,
    "min": min,
    "max": max,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << b,
    "shr": lambda a, b: a >> b,
    "lt": lambda a, b: int(a < b),
    "eq": lambda a, b: int(a == b),
}


@dataclass
class Past:
    low: int
    high: int
    pieces: tuple[tuple[int, int], ...]
    pipe: str
    number: int
    writes: bool
    reads: bool
    name: str
    fractals: int


@dataclass
class Judge:
    """`problems` lists every broken rule."""

    args: Sequence[int]
    block: int = 0
    blocks: int = 1
    overlap_fractals: int = 10
    problems: list[str] = field(default_factory=list[str])
    executed: int = 0

    def __post_init__(self) -> None:
        self.registers = [0] * 64
        self.clock = {p: dict.fromkeys(PIPES, 0) for p in PIPES}
        self.count = dict.fromkeys(PIPES, 0)
        self.flags: dict[tuple[str, str, int], dict[str, int]] = {}
        self.waited: dict[tuple[str, str, int], int] = {}
        self.past: dict[str, list[Past]] = {}
        self.state = {f.name: f.default for group in STATE_GROUPS.values() for f in group.fields}

    def value(self, operand: int | Reg) -> int:
        return self.registers[operand.number] if isinstance(operand, Reg) else operand

    def run(self, records: Sequence[Record]) -> list[str]:
        self._span(records, 0, len(records))
        self.problems += [f"left set {key}" for key in self.flags]
        return self.problems

    def _match(
        self, records: Sequence[Record], at: int, opens: tuple[str, ...], closes: tuple[str, ...]
    ) -> int:
        depth = 0
        for i in range(at + 1, len(records)):
            name = records[i].mnemonic
            if depth == 0 and name in closes:
                return i
            depth += name in ("loop", "if")
            depth -= name in ("end_loop", "end_if")
        raise AssertionError("unbalanced")

    def _span(self, records: Sequence[Record], at: int, stop: int) -> bool:
        """Runs records [at, stop); True when a break leaves the loop."""
        while at < stop:
            record = records[at]
            match record.mnemonic:
                case "loop":
                    end = self._match(records, at, ("loop",), ("end_loop",))
                    index = record.scalars[0]
                    given = [self.value(scalar) for scalar in record.scalars[1:]]
                    trip, start, step = (*given, 0, 1) if len(given) == 1 else given
                    for i in range(max(0, trip)):
                        self.registers[index.number] = start + i * step
                        if self._span(records, at + 1, end):
                            break
                    at = end
                case "if":
                    end = self._match(records, at, ("if",), ("else", "end_if"))
                    last = end
                    if records[end].mnemonic == "else":
                        last = self._match(records, end, ("if",), ("end_if",))
                    chosen = (at + 1, end) if self.value(record.scalars[0]) else (end + 1, last)
                    if chosen[0] < chosen[1] and self._span(records, *chosen):
                        return True
                    at = last
                case "break_if":
                    if self.value(record.scalars[0]):
                        return True
                case "end":
                    return False
                case _:
                    self._step(record)
            at += 1
        return False

    def _step(self, record: Record) -> None:
        row = TABLE[record.mnemonic]
        self.executed += 1
        fields = {f.name: self.value(record.fields.get(f.name, f.default)) for f in row.fields}
        if record.mnemonic in ALU:
            dst, a, b = record.scalars
            self.registers[dst.number] = ALU[record.mnemonic](self.value(a), self.value(b))
        elif record.mnemonic in ("mov", "block_idx", "block_num", "arg"):
            values = {"block_idx": self.block, "block_num": self.blocks, "arg": 0}
            result = values.get(record.mnemonic, 0)
            if record.mnemonic == "mov":
                result = self.value(record.scalars[1])
            elif record.mnemonic == "arg":
                result = self.args[fields["number"]]
            self.registers[record.scalars[0].number] = result
        elif row.family == "state":
            for spec, operand in zip(row.scalars, record.scalars, strict=True):
                self.state[spec.name] = self.value(operand)
            self.state.update(fields)
        elif row.family == "sync":
            self._sync(record.mnemonic, fields)
        else:
            self._access(record, fields)

    def _sync(self, name: str, fields: dict[str, int]) -> None:
        if name == "pipe_barrier":
            pipes = [PIPES[p] for p in barrier_pipes(fields["pipe"])]
            for p in pipes:
                for q in pipes:
                    self.clock[p][q] = self.count[q]
            return
        src, dst = PIPES[fields["src"]], PIPES[fields["dst"]]
        key = (src, dst, fields["event"])
        if name == "set_flag":
            if key in self.flags:
                self.problems.append(f"set twice {key}")
            if self.waited.get(key, 0) > self.clock[src][dst]:
                self.problems.append(f"set overtakes wait {key}")
            self.flags[key] = self.clock[src] | {src: self.count[src]}
            return
        carried = self.flags.pop(key, None)
        if carried is None:
            self.problems.append(f"wait without set {key}")
            return
        for pipe, number in carried.items():
            self.clock[dst][pipe] = max(self.clock[dst][pipe], number)
        self.count[dst] += 1
        self.waited[key] = self.count[dst]

    def _access(self, record: Record, fields: dict[str, int]) -> None:
        row = TABLE[record.mnemonic]
        named = fields | self.state
        spans = extents(row, record.dtype, named)
        pipe = row.pipe
        self.count[pipe] += 1
        new: list[tuple[str, Past]] = []
        fractals = -(-fields.get("m", 0) // 16) * -(-fields.get("n", 0) // 16)
        for number, (spec, operand, extent) in enumerate(
            zip(row.addresses, record.addresses, spans, strict=True)
        ):
            space, at, base, index = operand
            at += (self.registers[base] if base is not None else 0) + (
                self.registers[index] if index is not None else 0
            )
            if extent == 0:
                continue
            assert at >= 0
            pieces: tuple[tuple[int, int], ...] = ((at, at + extent),)
            if row.family == "dma":
                gap = fields["dst_gap" if number == 0 else "src_gap"]
                length = fields["length"] * 32
                pitch = length + gap * 32
                pieces = tuple((at + i * pitch, at + i * pitch + length) for i in range(fields["bursts"]))
            past = Past(
                at,
                at + extent,
                pieces,
                pipe,
                self.count[pipe],
                spec.writes,
                spec.reads,
                record.mnemonic,
                fractals,
            )
            self._compare(space, past)
            new.append((space, past))
        if record.mnemonic in ("vcmp", "set_cmpmask", "vsel"):
            writes = record.mnemonic != "vsel"
            past = Past(0, 1, ((0, 1),), pipe, self.count[pipe], writes, not writes, record.mnemonic, 0)
            self._compare("cmpmask", past)
            new.append(("cmpmask", past))
        for space, past in new:
            self.past.setdefault(space, []).append(past)

    def _compare(self, space: str, new: Past) -> None:
        keep: list[Past] = []
        for old in self.past.get(space, ()):
            known = old.number <= self.clock[new.pipe][old.pipe]
            keep.append(old)
            if known or not (old.writes or new.writes) or old.low >= new.high or new.low >= old.high:
                continue
            if old.pipe == new.pipe and (not old.writes or new.pipe == "S"):
                continue
            if (
                old.name == new.name == "mad"
                and old.low == new.low
                and min(old.fractals, new.fractals) >= self.overlap_fractals
            ):
                continue
            if any(a < d and c < b for a, b in old.pieces for c, d in new.pieces):
                self.problems.append(
                    f"{space}: {old.name} #{old.number} / {new.name} #{new.number} at {new.low}"
                )
        self.past[space] = keep
