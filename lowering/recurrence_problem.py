"""What a recurrence computes, in fractals: the steps of an LSTM, GRU or RNN whose input products are known.

All operands and the result lie in FRACTAL_NZ: planes of 16 columns, each a run of rows of 32 bytes.  A row of parts or
of the result is one step of one sequence; rows of a step are neighbours, so a step of some sequences is one copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from ..dialects import ascend, nn
from ..dialects.nn_shapes import DIRECTIONS, RECURRENCES
from ..runtime.soc import Soc
from .cube_problem import C0, FRACTAL, UNIT, ceil_div

WIDE: Final = 2 * FRACTAL
"""Bytes of a fractal of f32."""
_MOST_FIELD = 65535  # rows that a gap can span
_MOST_REPEATS = 255
_SMALL_WEIGHT = 32  # fractals whose product is not worth parts
_SPARE_ROWS = 4  # rows of lanes in one repeat of f32: fewer per core save nothing
_STEP_CYCLES = 550
"""What a step takes at least, roughly: a chain of some forty instructions that wait for each other."""
_PASSES = 10  # of the vector unit over all gates
_REPEAT_LANES = 64
_WRITTEN_CYCLES = 3800
"""What a step takes as three or four tasks, nearly all of it launches and latency: 3360 (LSTM, one row, 128 hidden,
Ascend310P3) to 5000 (two directions, 256 hidden)."""
_LOAD_RATE = 128  # bytes per cycle, L1 → L0B
_MEMORY_RATE = 34  # bytes per cycle, measured: the weight comes to L1 once


@dataclass(frozen=True)
class RecurrenceProblem:
    """Sizes in elements; `h1` in fractals of 16."""

    kind: str
    is_reverse: bool  # begins with the last step; of two directions the second does
    directions: int
    steps: int
    batch: int
    hidden: int
    has_initial: bool
    last_cell: bool

    @property
    def h1(self) -> int:
        return self.hidden // C0

    @property
    def groups(self) -> int:
        """Groups of columns of the parts."""
        return RECURRENCES[self.kind][0]

    @property
    def gates(self) -> int:
        return RECURRENCES[self.kind][1]

    @property
    def resets_first(self) -> bool:
        """Whether the last gate's product is of another state: a GRU that resets before it."""
        return self.kind == "reset_gru"

    @property
    def n1(self) -> int:
        """Fractals of columns of the product of one step."""
        return self.gates * self.h1

    @property
    def in_rows(self) -> int:
        """Rows of a plane of the parts, padding included."""
        return ceil_div(self.steps * self.batch, C0) * C0

    @property
    def batch_rows(self) -> int:
        """Rows of a plane of the initial state, padding included."""
        return ceil_div(self.batch, C0) * C0

    @property
    def used_rows(self) -> int:
        return (self.steps + self.last_cell) * self.batch

    @property
    def out_rows(self) -> int:
        """Rows of a plane of the result, padding included."""
        return ceil_div(self.used_rows, C0) * C0


@dataclass(frozen=True)
class RecurrenceSchedule:
    """Sequences of a tile, the tiles of one direction, the pieces in which the weight comes to L0B, and its slots there."""

    rows: int
    tiles: int
    pieces: int
    slots: int
    blocks: int

    @property
    def is_resident(self) -> bool:
        """Whether the weight stays in L0B for all steps."""
        return self.pieces == self.slots

    def as_dict(self) -> dict[str, int | str]:
        """The schedule attribute."""
        return dict(asdict(self))


def root_of(group: ascend.GroupOp) -> nn.RecurrenceOp:
    """The group's only op."""
    return ascend.only_op(group, nn.RecurrenceOp)


def problem_of(op: nn.RecurrenceOp) -> RecurrenceProblem:
    """The geometry of a recurrence."""
    direction, steps = op.direction.data, op.steps.value.data
    return RecurrenceProblem(
        op.kind.data, direction == "reverse", DIRECTIONS[direction], steps, nn.shape_of(op.parts)[0] // steps,
        nn.shape_of(op.weight)[1], op.initial is not None, op.last_cell is not None,
    )  # fmt: skip


def ub_bytes(p: RecurrenceProblem, rows: int) -> int:
    """Bytes of UB: the product as it comes from L0C, parts in f16 and f32, what the gates need, states."""
    lanes = p.h1 * rows * C0
    product = p.n1 * WIDE
    parts = p.groups * lanes * (2 * 2 + 4)
    gates = 3 * p.gates * lanes * 4
    states = lanes * (2 * 4 + 3 * 4 + 3 * 2 + 2 * 2)
    return product + parts + gates + states + p.h1 * FRACTAL + 4 * UNIT


def _pieces(p: RecurrenceProblem, l0b: int) -> tuple[int, int] | None:
    """(pieces of the weight, slots of L0B), slots dividing pieces: as many slots as pieces if the weight stays there.

    Pieces let copies run beside products; a small weight is one.  Thirds of them are a gate of a GRU each."""
    if p.n1 * p.h1 <= _SMALL_WEIGHT and not p.resets_first:
        return 1, 1
    for slots in (3,) if p.resets_first else (4, 3, 2):
        for count in range(slots, p.n1 + 1, slots):
            size = p.n1 // count * p.h1
            if p.n1 % count == 0 and size * FRACTAL <= l0b // slots and size <= _MOST_REPEATS:
                return count, slots
    return None


def schedule_of(p: RecurrenceProblem, soc: Soc) -> RecurrenceSchedule | None:
    """Sequences spread over the cores that a direction has, at least four (a repeat of lanes) and at most 16 at a time."""
    size = {name: buffer.size for name, buffer in soc.core.buffers.items()}
    pieces = _pieces(p, size["l0b"])
    if (
        pieces is None
        or (p.n1 + 2) * p.h1 * FRACTAL > size["l1"]
        or p.h1 * FRACTAL > size["l0a"]
        or p.n1 * WIDE > size["l0c"]
        or p.n1 > _MOST_REPEATS
    ):
        return None
    share = ceil_div(p.batch, max(1, soc.cores // p.directions))
    for most in range(min(C0, max(_SPARE_ROWS, share)), 0, -1):
        tiles = ceil_div(p.batch, most)
        rows = ceil_div(p.batch, tiles)
        if ub_bytes(p, rows) <= size["ub"]:
            return RecurrenceSchedule(rows, tiles, *pieces, min(soc.cores, p.directions * tiles))
    return None


def refusal(p: RecurrenceProblem, socs: Sequence[Soc]) -> str | None:
    """Why a recurrence is written out step by step instead; None if one kernel does it on all of these chips.

    The one place that decides: the importer asks before it makes the op.  On one of the chips it must be faster.
    """
    if p.steps < 2:
        return "there is one step only"
    if max(p.in_rows, p.out_rows) > _MOST_FIELD:
        return "there are more steps than a copy can skip"
    cycles: list[float] = []
    for soc in socs:
        schedule = schedule_of(p, soc)
        if schedule is None:
            return "weight and states do not fit the memories of a core"
        cycles.append(estimate(p, schedule, soc))
    if min(cycles) > p.directions * p.steps * _WRITTEN_CYCLES:
        return "its steps take longer on the cores that can share them than as tasks for all cores"
    return None


def estimate(p: RecurrenceProblem, s: RecurrenceSchedule, soc: Soc) -> float:
    """Cycles of the kernel, roughly."""
    weight = p.n1 * p.h1 * FRACTAL
    streamed = 0 if s.is_resident else weight
    repeats = p.n1 * s.rows * C0 / _REPEAT_LANES
    step = _STEP_CYCLES + _PASSES * repeats + streamed / _LOAD_RATE
    return ceil_div(p.directions * s.tiles, soc.cores) * (weight / _MEMORY_RATE + p.steps * step)
