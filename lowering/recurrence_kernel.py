"""Recurrence kernels: all steps of an LSTM, GRU or RNN in one task, states and weight kept on the chip.

One core's program, outermost first:

    tiles of sequences of a direction     weight GM → L1, fractals as the cube takes them; L1 → L0B where it fits
      steps                               parts of the step GM → UB (MTE2), a step ahead
                                          product = h · Rᵀ: h L1 → L0A, pieces of R L1 → L0B (MTE1), mad (M)
                                          L0C → UB, gates, new states (V)
                                          h UB → L1 for the next step, UB → GM (MTE3)

A step depends on the one before, so its time is the latency of this chain.  The columns of a state cannot be shared
among cores, which never communicate within a task (decision D6): cores share directions and sequences (decision 0027).
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import SSAValue

from ..dialects import ascend
from ..dialects.davinci import KernelOp
from ..runtime.soc import Soc
from .cube_problem import C0, FRACTAL, UNIT
from .kernel_builder import Index, KernelBuilder, Linear, Ref, mark_disjoint
from .recurrence_gates import Gates
from .recurrence_problem import WIDE, RecurrenceProblem, RecurrenceSchedule, problem_of, root_of, schedule_of


def choose_schedule(group: ascend.GroupOp, soc: Soc) -> dict[str, int | str]:
    """The schedule attribute of a recurrence group."""
    schedule = schedule_of(problem_of(root_of(group)), soc)
    if schedule is None:
        raise ValueError("recurrence: weight and states do not fit the memories of a core")
    return schedule.as_dict()


def generate(group: ascend.GroupOp, soc: Soc, name: str) -> KernelOp:
    """The kernel of a recurrence group; without a schedule it gets the one that `choose_schedule` takes."""
    values = group.schedule.values or choose_schedule(group, soc)
    return RecurrenceKernel(group, RecurrenceSchedule(**values), soc, name).build()  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class _Tile:
    """Sequences `first` … first + rows of a direction.  The last tile may begin earlier than its own sequences, so that it
    is full: it computes `skip` of its neighbour's again and does not store them."""

    direction: Index
    first: Index
    skip: Index
    is_last: Index


@dataclass(frozen=True)
class _State:
    """What one step leaves to the next."""

    fractals: Ref  # h as the left operand, in L1
    h: Ref  # f32, in UB
    c: Ref
    gated: Ref  # as `fractals`, r · h of a GRU that resets first


class RecurrenceKernel:
    """Builds one kernel; method order follows the loop nest."""

    def __init__(self, group: ascend.GroupOp, schedule: RecurrenceSchedule, soc: Soc, name: str) -> None:
        root = root_of(group)
        self.p: RecurrenceProblem = problem_of(root)
        self.s, self.soc = schedule, soc
        self.kb = KernelBuilder(name, soc, len(group.inputs) + 1, schedule.blocks)
        arguments: dict[SSAValue, Ref] = dict(zip(group.body.block.args, self.kb.args, strict=False))
        self.parts, self.weight = arguments[root.parts], arguments[root.weight]
        self.initial = arguments[root.initial] if root.initial is not None else None
        self.result = self.kb.args[-1]
        self.columns = self.p.n1 // schedule.pieces  # of a piece, in fractals
        self.piece_bytes = self.columns * self.p.h1 * FRACTAL

    def build(self) -> KernelOp:
        kb, p, s = self.kb, self.p, self.s
        self.gates = Gates(kb, p, s.rows, self.soc)
        self.zeros = kb.alloc("ub", p.h1 * FRACTAL)
        self.gates.fill(self.zeros, 0.0, p.h1 * FRACTAL // 4)
        first, count = kb.partition(p.directions * s.tiles)
        with kb.loop(count) as number:
            granule = kb.add(first, number)
            self._sequences(self._tile(granule))
        return kb.kernel

    def _tile(self, granule: Index) -> _Tile:
        kb, p, s = self.kb, self.p, self.s
        if s.tiles == 1:
            return _Tile(granule if p.directions > 1 else 0, 0, 0, 1)
        tile = kb.rem(granule, s.tiles)
        own = kb.mul(tile, s.rows)
        first = kb.min(own, p.batch - s.rows)
        is_last = kb.select(kb.equal(tile, s.tiles - 1), 1, 0)
        return _Tile(kb.div(granule, s.tiles), first, kb.sub(own, first), is_last)

    # ------------------------------------------------------------------ one tile of sequences
    def _sequences(self, tile: _Tile) -> None:
        kb, p, s = self.kb, self.p, self.s
        weight = self._load_weight(tile)
        slots = [kb.alloc("l0b", self.piece_bytes) for _ in range(s.slots)]
        for piece, slot in enumerate(slots):
            self._load_piece(weight, slot, piece)
        state = self._begin(tile)
        with kb.loop(p.steps) as number:
            place = self._position(tile, number)
            parts = self._load_parts(tile, place)
            self._step(parts, state, weight, slots)
            self._hand_on(tile, place, state)
        self._finish(tile, state)

    def _load_weight(self, tile: _Tile) -> Ref:
        """Planes of k, rows of n in GM → [piece][k][n] in L1: fractals lie there as L0B wants them."""
        kb, p, s = self.kb, self.p, self.s
        buffer = kb.alloc("l1", p.n1 * p.h1 * FRACTAL)
        own = self.weight + kb.linear(0, (tile.direction, p.n1 * FRACTAL))
        for piece in range(s.pieces):
            kb.op(
                "copy_gm_to_cbuf", "", buffer + piece * self.piece_bytes, own + piece * self.columns * FRACTAL,
                bursts=p.h1, length=self.columns * C0, src_gap=(p.directions * p.n1 - self.columns) * C0,
            )  # fmt: skip
        return buffer

    def _load_piece(self, weight: Ref, slot: Ref, piece: int) -> None:
        kb, p = self.kb, self.p
        kb.op("load2d", "f16", slot, weight + piece * self.piece_bytes, repeat=self.columns * p.h1)

    def _begin(self, tile: _Tile) -> _State:
        """States before the first step: zero, or the model's."""
        kb, p, s, lanes = self.kb, self.p, self.s, self.gates.lanes
        fractals = kb.alloc("l1", p.h1 * FRACTAL)
        gated = kb.alloc("l1", p.h1 * FRACTAL) if p.resets_first else fractals
        state = _State(fractals, kb.alloc("ub", lanes * 4), kb.alloc("ub", lanes * 4), gated)
        for place in dict.fromkeys((fractals, gated)):
            kb.op("copy_ubuf_to_cbuf", "", place, self.zeros, bursts=1, length=p.h1 * C0)
        if self.initial is None:
            self.gates.fill(state.h, 0.0, lanes)
            self.gates.fill(state.c, 0.0, lanes)
            return state
        planes = p.batch_rows * UNIT
        for number, target in enumerate((state.h, state.c) if p.kind == "lstm" else (state.h,)):
            half = kb.alloc("ub", lanes * 2)
            source = self.initial + kb.linear(
                number * p.directions * p.h1 * planes, (tile.direction, p.h1 * planes), (tile.first, UNIT)
            )
            kb.op(
                "copy_gm_to_ubuf", "", half, source, bursts=p.h1, length=s.rows, src_gap=p.batch_rows - s.rows
            )
            self.gates.widen(target, half, lanes)
            if number == 0:
                self._keep(state.fractals, half)
        return state

    # ------------------------------------------------------------------ one step
    def _position(self, tile: _Tile, number: Index) -> Index:
        """Which step is computed as number `number`."""
        kb, p = self.kb, self.p
        backwards = kb.sub(p.steps - 1, number)
        if p.directions == 1:
            return backwards if p.is_reverse else number
        if isinstance(tile.direction, int):
            return backwards if tile.direction else number
        return kb.select(kb.equal(tile.direction, 1), backwards, number)

    def _load_parts(self, tile: _Tile, place: Index) -> Ref:
        """Parts of the step in f32, as `Gates.step` wants them; the copy runs a step ahead."""
        kb, p, s = self.kb, self.p, self.s
        count, planes = p.groups * self.gates.lanes, p.in_rows * UNIT
        half, wide = kb.alloc("ub", count * 2, 2), kb.alloc("ub", count * 4)
        source = self.parts + kb.linear(
            0, (tile.direction, p.groups * p.h1 * planes), (place, p.batch * UNIT), (tile.first, UNIT)
        )
        kb.op(
            "copy_gm_to_ubuf",
            "",
            half,
            source,
            bursts=p.groups * p.h1,
            length=s.rows,
            src_gap=p.in_rows - s.rows,
        )
        self.gates.widen(wide, half, count)
        self.gates.prepare(wide)
        return wide

    def _step(self, parts: Ref, state: _State, weight: Ref, slots: list[Ref]) -> None:
        gates, pieces = self.gates, self.s.pieces
        if not self.p.resets_first:
            gates.step(parts, self._product(state.fractals, weight, slots, 0, pieces), state.h, state.c)
            return
        first = pieces - pieces // self.p.gates  # of the last gate
        self._keep(
            state.gated, gates.reset(parts, self._product(state.fractals, weight, slots, 0, first), state.h)
        )
        gates.finish_reset(parts, self._product(state.gated, weight, slots, first, pieces), state.h)

    def _product(self, fractals: Ref, weight: Ref, slots: list[Ref], first: int, end: int) -> Ref:
        """h · Rᵀ for some pieces, in UB as it comes from L0C: [column fractal][16 rows].

        A slot that was read gets the next piece of its turn at once: behind the last piece, the first of the next step.
        """
        kb, p, s = self.kb, self.p, self.s
        left = kb.alloc("l0a", p.h1 * FRACTAL)
        kb.op("load2d", "f16", left, fractals, repeat=p.h1)
        sums, product = (kb.alloc(space, (end - first) * self.columns * WIDE) for space in ("l0c", "ub"))
        for piece in range(first, end):
            slot, place = slots[piece % s.slots], (piece - first) * self.columns * WIDE
            kb.op("mad", "f32f16f16", sums + place, left, slot, m=C0, k=p.hidden, n=self.columns * C0, init=1)
            if not s.is_resident:
                self._load_piece(weight, slot, (piece + s.slots) % s.pieces)
            kb.op(
                "copy_matrix_cc_to_ubuf", "f32", product + place, sums + place, bursts=1, length=self.columns
            )
        return product

    def _hand_on(self, tile: _Tile, place: Index, state: _State) -> None:
        """h in f16 to the next step, and to the result."""
        kb, p, lanes = self.kb, self.p, self.gates.lanes
        half = kb.alloc("ub", lanes * 2, 2)
        self.gates.narrow(half, state.h, lanes)
        self._keep(state.fractals, half)
        self._store(tile, half, kb.linear(0, (place, p.batch * UNIT)))

    def _keep(self, fractals: Ref, half: Ref) -> None:
        """Rows behind the sequences stay zero."""
        kb, p, s = self.kb, self.p, self.s
        kb.op("copy_ubuf_to_cbuf", "", fractals, half, bursts=p.h1, length=s.rows, dst_gap=C0 - s.rows)

    def _store(self, tile: _Tile, half: Ref, place: Linear) -> None:
        kb, p, s = self.kb, self.p, self.s
        count = kb.sub(s.rows, tile.skip)
        target = self.result + (
            place
            + kb.linear(0, (tile.direction, p.h1 * p.out_rows * UNIT), (tile.first, UNIT), (tile.skip, UNIT))
        )
        store = kb.op(
            "copy_ubuf_to_gm", "", target, half + kb.linear(0, (tile.skip, UNIT)), bursts=p.h1, length=count,
            src_gap=tile.skip, dst_gap=kb.sub(p.out_rows, count),
            limits={"length": s.rows, "src_gap": s.rows, "dst_gap": p.out_rows},
            extents=None if isinstance(count, int) else (
                ((p.h1 - 1) * p.out_rows + s.rows) * UNIT, p.h1 * s.rows * UNIT
            ),
        )  # fmt: skip
        mark_disjoint(store)

    # ------------------------------------------------------------------ after the last step
    def _finish(self, tile: _Tile, state: _State) -> None:
        """The memory after the last step, if asked for; rows that are padding become zeros (D9)."""
        kb, p, lanes = self.kb, self.p, self.gates.lanes
        if p.last_cell:
            half = kb.alloc("ub", lanes * 2)
            self.gates.narrow(half, state.c, lanes)
            self._store(tile, half, kb.linear(p.steps * p.batch * UNIT))
        padding = p.out_rows - p.used_rows
        if not padding:
            return
        if isinstance(tile.is_last, int):
            self._zero_rows(tile, padding)
            return
        with kb.when(kb.equal(tile.is_last, 1)):
            self._zero_rows(tile, padding)

    def _zero_rows(self, tile: _Tile, padding: int) -> None:
        kb, p = self.kb, self.p
        target = self.result + kb.linear(p.used_rows * UNIT, (tile.direction, p.h1 * p.out_rows * UNIT))
        store = kb.op(
            "copy_ubuf_to_gm",
            "",
            target,
            self.zeros,
            bursts=p.h1,
            length=padding,
            dst_gap=p.out_rows - padding,
        )
        mark_disjoint(store)
