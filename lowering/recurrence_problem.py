"""What a recurrence computes, in fractals: the steps of an LSTM, GRU or RNN whose input products are known.

All operands and the result lie in FRACTAL_NZ: planes of 16 columns, each a run of rows of 32 bytes.  A row of parts or
of the result is one step of one sequence; rows of a step are neighbours, so a step of some sequences is one copy.
"""

from __future__ import annotations

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
_SPARE_ROWS = 4  # rows of lanes in one repeat of f32: fewer per core save nothing
_STEP_CYCLES = 1500
"""What a step takes beside the loads of its weight, roughly: a chain of some forty instructions."""
_WRITTEN_CYCLES = 3800
"""What a step takes as four tasks (byte_sb_bilstm, 128 hidden, Ascend310P3), nearly all of it launches and latency."""
_LOAD_RATE = 128  # bytes per cycle, L1 → L0B
_MEMORY_RATE = 17  # bytes per cycle that one core gets from DDR: the weight comes to L1 once


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
    """Sequences of a tile, the tiles of one direction, and the pieces in which the weight comes to L0B."""

    rows: int
    tiles: int
    pieces: int
    blocks: int

    def as_dict(self) -> dict[str, int | str]:
        """The schedule attribute."""
        return dict(asdict(self))


def root_of(group: ascend.GroupOp) -> nn.RecurrenceOp:
    """The group's only op."""
    ops = [op for op in group.body.block.ops if isinstance(op, nn.NNOp)]
    if len(ops) != 1 or not isinstance(ops[0], nn.RecurrenceOp):
        raise ValueError(f"recurrence group: expected one recurrence, got {', '.join(op.name for op in ops)}")
    return ops[0]


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


def _pieces(p: RecurrenceProblem, l0b: int) -> int | None:
    """Pieces of the weight: one or two that stay in L0B for all steps, or more that take turns in its halves."""
    for count in range(1, p.n1 + 1):
        size = p.n1 // count * p.h1
        room = l0b if count == 1 else l0b // 2
        if p.n1 % count == 0 and size * FRACTAL <= room and size <= _MOST_REPEATS:
            return count
    return None


def schedule_of(p: RecurrenceProblem, soc: Soc) -> RecurrenceSchedule | None:
    """Sequences spread over the cores that a direction has, at least four (a repeat of lanes) and at most 16 at a time."""
    size = {name: buffer.size for name, buffer in soc.core.buffers.items()}
    pieces = _pieces(p, size["l0b"])
    if (
        pieces is None
        or (p.n1 * p.h1 + p.h1) * FRACTAL > size["l1"]
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
            return RecurrenceSchedule(rows, tiles, pieces, min(soc.cores, p.directions * tiles))
    return None


def refusal(p: RecurrenceProblem, soc: Soc) -> str | None:
    """Why a recurrence is written out step by step instead; None if one kernel does it.

    The one place that decides: the importer asks before it makes the op.
    """
    if p.steps < 2:
        return "there is one step only"
    if max(p.in_rows, p.out_rows) > _MOST_FIELD:
        return "there are more steps than a copy can skip"
    schedule = schedule_of(p, soc)
    if schedule is None:
        return "weight and states do not fit the memories of a core"
    streamed = p.n1 * p.h1 * FRACTAL if schedule.pieces > 2 else 0
    rounds = ceil_div(p.directions * schedule.tiles, soc.cores)
    if rounds * (streamed // _LOAD_RATE + _STEP_CYCLES) > p.directions * _WRITTEN_CYCLES:
        return "loading the weight in every step takes longer than what is saved"
    return None
