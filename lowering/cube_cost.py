"""What a cube schedule costs: estimates for all candidates at once, as numpy columns.

The pipes of a core run side by side, so a schedule costs about the largest of cube, MTE1 (L1 → L0), MTE2 (GM → L1),
vector, MTE3 and scalar time, plus what cannot overlap: the first loads and the last store.  DDR is shared by all
cores, so its time counts the bytes of the whole task once.  A ring slot is free again when its contents are consumed,
so every turn of a ring pays the memory's latency once.  All rates and latencies come from the SoC file.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..runtime.soc import Soc
from .cube_image import vector_cycles
from .cube_problem import FRACTAL, UNIT, CubeProblem, ceil_div
from .cube_schedule import ACCUMULATOR, Behind, row_units

Column: TypeAlias = NDArray[Any]

# Per step, img2col strip, load of weights, tile, slab and kernel: cycles of the scalar unit, and instructions of a core.
# Fitted to 270 generated kernels (the layers of ResNet-50, MobileNetV2 and the YOLO-like net), median error 10 % and 8 %.
_BUSY = (12.8, 4.2, 15.1, 62.3, 15.7, 0.3)
_COUNTS = (10.4, 2.0, 9.6, 41.8, 9.0, 3.6)
_CREDITS = (
    3  # loads in flight while resident weights are filled (sync insertion gives them a small ring of flags)
)
_IMPERFECT = 0.05  # share of the shorter pipes that does not overlap, fitted to the timing model

_WEIGHTS = ((45_000, 0.1), (0, 0.5))
"""From so many cycles of a task on: what the number of a core's instructions counts for when its schedules are compared.
At 0.5 a tenth less is worth a twentieth of the cycles: large tiles have few instructions, each costs fetch, energy and
simulation, and leaves the scalar unit less to run ahead.  Long tasks (large batches) have few per cycle as it is."""


def merit(cycles: Column | float, instructions: Column | float, task: float) -> Any:
    """What schedules are compared by, less is better: cycles × instructions of a core ^ weight; `task`: cycles it takes about."""
    weight = next(weight for least, weight in _WEIGHTS if task >= least)
    return cycles * instructions**weight


def _ceil(a: Column, b: Column | int) -> Column:
    return -(-a // b)


def activations_in_l2(problem: CubeProblem, soc: Soc) -> bool:
    """Whether input and output are taken to be in L2: another task has just written the one, or used the bytes of the
    other.  A quarter is left for weights that pass through."""
    return _activation_bytes(problem) <= soc.l2_bytes * 3 // 4


def _activation_bytes(p: CubeProblem) -> int:
    planes = p.a_planes * p.a_plane + p.c_planes * p.c_plane
    return prod(p.batch) * planes * UNIT


class CubeCost:
    """Cycle estimates of one problem on one SoC; call it with the columns of the candidates."""

    def __init__(self, problem: CubeProblem, soc: Soc, behind: Behind) -> None:
        self.p = problem
        self.vector_passes, self.residual, self.bias = behind.vector_passes, behind.residual, behind.bias
        self.warm = activations_in_l2(problem, soc)
        memory, l0 = soc.timing["gm"], soc.timing["l0"]
        self.l2 = float(memory["l2_read_rate"])
        self.ddr = float(memory["ddr_read_rate"]) * soc.cores
        self.miss, self.hit = (
            float(memory["read_latency"] + memory["miss_cycles"]),
            float(memory["read_latency"]),
        )
        self.latency = self.miss + float(memory["write_latency"])
        self.l0a, self.l0b = float(l0["l0a_rate"]), float(l0["l0b_rate"])
        self.span, self.per_row, self.floor = (
            float(l0["load3d_span"]),
            float(l0["l0a_rows"]),
            float(l0["l0a_floor"]),
        )
        self.l0c = float(soc.timing["path"]["l0c_to_ub"]["rate"])
        self.mad_overhead = float(soc.timing["cube"]["overhead"])
        # from the last load to the product, from the product to the next load, flags between them
        self.step_latency = float(l0["load3d_fixed"] + soc.timing["cube"]["fixed"] + 4)

    def __call__(self, s: Mapping[str, Column], *, filled: bool = False) -> Column:
        """Estimated cycles.  With `filled` the first loads of a ring count as waiting for nothing: nearer to the truth for short
        kernels, further from it for long ones."""
        p, self.filled = self.p, filled
        self.blocks = s["split_items"] * s["split_rows"] * s["split_columns"]
        self.items = _ceil(np.array(p.items * p.groups), s["split_items"])
        self.units = _ceil(np.array(row_units(p)), s["split_rows"])
        self.columns = _ceil(np.array(p.n1), s["split_columns"])
        self.slabs = _ceil(self.units, s["rows"])
        width = 16 if p.by_positions else np.where(s["pitch"] > 0, s["pitch"], p.out_width)
        self.most = p.positions if p.by_positions else p.out_height * width
        self.positions = np.minimum(s["rows"] * width, self.most)
        own = 16 if p.by_positions else p.out_width
        self.real = np.minimum(s["rows"] * own, p.positions)
        rows = np.minimum(s["rows"], np.maximum(1, s["m"] * 16 // np.maximum(1, s["pitch"])))  # of a tile
        self.strips = np.where(s["strip"] > 0, _ceil(rows, np.maximum(1, s["strip"])), 1)
        self.tiles_m, self.tiles_n = _ceil(self.positions, s["m"] * 16), _ceil(self.columns, s["n"])
        self.m = _ceil(_ceil(self.positions, self.tiles_m), 16)
        self.n = self.columns / self.tiles_n
        self.tiles = self.items * self.slabs * self.tiles_m * self.tiles_n
        self.pieces = _ceil(np.array(p.k_steps), s["k_piece"])
        self.loads = self.pieces * _ceil(s["k_piece"], s["k_load"])
        self.steps = self.loads * _ceil(s["k_load"], s["k"])
        self.m_sum = self._fractals_of_m(s, width) * self.items * self.tiles_n
        pipes = self._pipes(s)
        first, last = self._ends(s)
        drain = self.steps / self.pieces * self.step  # what is left to do when the last piece of A has come
        return np.maximum.reduce(pipes) + _IMPERFECT * sum(pipes) + first + drain + last + self.latency

    def instructions(self) -> Column:
        """Instructions that one core executes, of the candidates estimated last."""
        return self._scalar(_COUNTS)

    def balance(self, s: Mapping[str, Column]) -> tuple[Column, Column]:
        """(cycles in which neither DDR nor a core's MTE2 has anything to do, cycles in which all wait for DDR)."""
        self(s)
        cube, core, _, _, *others = self._pipes(s)
        busy = np.maximum.reduce([cube, core, self.moved, *others])
        ddr = self._ddr_bytes() / self.ddr
        return busy - np.maximum(self.moved, ddr), ddr - busy

    def _pipes(self, s: Mapping[str, Column]) -> list[Column]:
        p = self.p
        rate = self._a_rate(s)
        k = p.k_steps / self.steps
        step_mte1 = k * (self.m * FRACTAL / rate + self.n * FRACTAL / self.l0b) + 1 + self.strips
        step_cube = self.m * self.n * k + self.mad_overhead
        # L0A and L0B are rings: a step's loads wait for the product that used the slot
        ring = (step_mte1 + step_cube + self.step_latency) / s["l0_depth"]
        step = self.step = np.maximum.reduce([step_mte1, step_cube, ring])
        cube = self.m_sum * self.n * (p.k_steps + self.bias) + self.tiles * self.mad_overhead * (
            self.steps + self.bias
        )
        mte1 = (
            p.k_steps * (self.m_sum * FRACTAL / rate + self.tiles * self.n * FRACTAL / self.l0b)
            + (1 + self.strips) * self.tiles * self.steps
        )
        scalar = self._scalar(_BUSY)
        vector = self.m_sum * self.n * (ACCUMULATOR / self.l0c + 2 * self.vector_passes) + self.tiles * 60
        stored = self._stored()
        if p.image_channels:
            converted = self.items * self.slabs * self._slab_bytes(s) / UNIT
            vector = vector + converted * vector_cycles(p.image_channels)
            stored = stored + converted * UNIT
        mte3 = stored / self.l2 + self.tiles * 20
        ddr = np.full(stored.shape, self._ddr_bytes() / self.ddr)
        core = np.maximum.reduce([cube, mte1, self.tiles * self.steps * step])
        # weights come from DDR during the first turn only: the others do not overlap with it
        turns = self.items * self.slabs * self.tiles_m if p.groups == 1 else np.ones_like(self.items)
        return [cube, core, ddr + core * (turns - 1) / turns, self._mte2(s, step), vector, mte3, scalar]

    def _scalar(self, rates: tuple[float, ...]) -> Column:
        """What the loop nest costs the scalar unit, by the number of times each level runs."""
        step, strip, load, tile, slab, kernel = rates
        counted = (
            self.steps * (step + np.where(self.strips > 1, strip * self.strips, 0)) + self.loads * load + tile
        )
        return self.tiles * counted + self.items * self.slabs * slab + kernel

    def _mte2(self, s: Mapping[str, Column], step: Column) -> Column:
        p = self.p
        resident = s["weights"] == 1
        weights = p.k_steps * self.columns * FRACTAL
        reloads = np.where(
            resident, self.items if p.groups > 1 else 1, self.items * self.slabs * self.tiles_m
        )
        slab = self._slab_bytes(s)
        slab_loads = self.items * self.slabs * np.where(self.pieces > 1, self.tiles_m * self.tiles_n, 1)
        traffic = weights * reloads + slab * slab_loads + (self._stored() if self.residual else 0)
        once = np.minimum(self.l2, self.ddr * s["split_rows"] * s["split_items"] / self.blocks)
        rate = np.where(reloads > 1, self.l2, once)
        turn_b = (
            np.where(reloads > 1, self.hit, self.miss)
            + s["k_load"] * self.n * FRACTAL / rate
            + s["k_load"] / s["k"] * step
        )
        turn_a = (
            (self.hit if self.warm else self.miss)
            + slab / self.pieces / self.l2
            + self.steps / self.pieces * step
        )
        filled = self.tiles_n * self.loads * (self.items if p.groups > 1 else 1)  # loads of the first pass
        free = 1.0 if self.filled else 0.0
        ring_b = turn_b * np.where(
            resident,
            np.maximum(0, filled / _CREDITS - free * (p.groups == 1)),
            np.maximum(0, self.tiles * self.loads / s["weight_depth"] - free),
        )
        turns = np.where(self.pieces > 1, self.tiles * self.pieces, self.items * self.slabs)
        ring_a = np.maximum(0, turns / s["slab_depth"] - free) * turn_a
        # loaded one turn ahead: a turn waits for its load only, not for the use of the slot as well
        ahead = (self.pieces == 1) & (s["slab_depth"] > 1)
        load = (self.hit if self.warm else self.miss) + slab / self.l2
        later = np.maximum(0, turns - free * s["slab_depth"])
        together = ahead & ~resident & (s["k_load"] == p.k_steps) & (p.groups > 1)
        load = np.where(together, self.miss + (slab + weights) / rate, load)
        ring_a = np.where(ahead, later * load / np.maximum(1, s["slab_depth"] - 1), ring_a)
        ring_b = np.where(together, 0.0, ring_b)
        moved = self.moved = traffic / self.l2 + 16 * (slab_loads * self.pieces + self.tiles * self.loads)
        return np.maximum(moved, ring_a + ring_b)  # one queue in order: waits for slots of either ring add up

    def _ends(self, s: Mapping[str, Column]) -> tuple[Column, Column]:
        """Cycles of the first loads and of the last store, which nothing overlaps."""
        piece = self._slab_bytes(s) * s["k_piece"] // self.p.k_steps
        weights = np.minimum(self.p.k_steps * self.columns, s["k_load"] * s["n"]) * FRACTAL
        load = np.minimum(piece, 1 << 17)
        if self.warm:
            return load / self.l2 + weights * self.blocks / self.ddr, self.m * self.n * FRACTAL / self.l2
        return (load + weights) * self.blocks / self.ddr, self.m * self.n * FRACTAL * self.blocks / self.ddr

    def _slab_bytes(self, s: Mapping[str, Column]) -> Column:
        p = self.p
        if p.window.is_point:
            positions = np.minimum(s["rows"] * 16, ceil_div(p.width, 16) * 16)
        elif p.is_line:
            positions = np.minimum(s["rows"] * 16, ceil_div(p.out_width, 16) * 16) - 1
            positions = np.minimum(positions * p.window.stride_w + p.window.reach_w, p.width)
        else:
            positions = np.minimum((s["rows"] - 1) * p.window.stride_h + p.window.reach_h, p.height) * p.width
        if p.image_channels:
            return positions * UNIT
        return positions * p.k1 * UNIT

    def _stored(self) -> Column:
        return self.items * self.slabs * self.real * self.columns * UNIT

    def _fractals_of_m(self, s: Mapping[str, Column], width: Column | int) -> Column:
        """Fractals of m that one core computes for one item and one column tile, tails of slabs and tiles included."""

        def slab(rows: Column) -> Column:
            whole, tail = np.divmod(np.minimum(rows * width, self.most), s["m"] * 16)
            return whole * s["m"] + _ceil(tail, 16)

        full, rest = np.divmod(self.units, s["rows"])
        return full * slab(s["rows"]) + slab(rest)

    def _a_rate(self, s: Mapping[str, Column]) -> Column:
        """load3d into L0A slows down with the stride and the output rows it spans (davinci.md §3.9)."""
        stride = self.p.window.stride_w
        rows = (
            np.ones_like(self.m)
            if self.p.by_positions
            else np.where(
                s["strip"] > 0, s["strip"], np.maximum(1, _ceil(self.m * 16, max(1, self.p.out_width)))
            )
        )
        if stride not in (1, 2, 4, 8):
            return np.full(rows.shape, self.floor)
        spread = 2 * (stride - 1) + np.where(rows > 1, rows, 0) + self.per_row
        slowed = np.maximum(self.floor, np.minimum(self.l0a, self.span // spread))
        return np.where((rows <= 1) & (stride == 1), self.l0a, slowed)

    def _ddr_bytes(self) -> int:
        p = self.p
        weights = p.groups * p.k_steps * p.n1 * FRACTAL * (1 if not any(p.b_batch) else p.items)
        if self.warm:
            return weights
        residual = prod(p.batch) * p.c_planes * p.c_plane * UNIT if self.residual else 0
        return weights + _activation_bytes(p) + residual
