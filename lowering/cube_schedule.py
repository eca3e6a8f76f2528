"""Chooses the tiles of a cube kernel: a small grid of candidates, ranked by a model of the pipes.

The pipes of a core run side by side, so a schedule costs about the largest of cube, MTE1 (L1 → L0), MTE2 (GM → L1)
and vector time, plus what cannot overlap: the first loads, the last store, and an overhead per tile and instruction
(without which tiny tiles tie when memory bounds; spike lessons §8).  DDR is shared by all cores, so its time counts
the bytes of the whole task once.

The numbers come from the SoC file; the limits (L0A, L0B, L0C, L1, UB) too.  For long groups the finalists are then
timed on the simulator's timing model (`cube_kernel.choose_schedule`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import prod

from ..runtime.soc import Soc
from .cube_problem import FRACTAL, UNIT, CubeProblem, ceil_div

_ACCUMULATOR = 1024  # bytes of an f32 fractal in L0C
_TILE_LIMIT = 127  # fractals of an output tile: two vector repeats each, at most 255 repeats


@dataclass(frozen=True)
class CubeSchedule:
    """Sizes in fractals unless named otherwise.

    items × rows × columns blocks share the work: batch·group items, output rows (positions when flat), N planes.
    """

    split_items: int
    split_rows: int
    split_columns: int
    rows: int  # output rows (flat: fractals of positions) of a slab
    m: int
    n: int
    k: int  # k of one L0 step
    k_load: int  # k of one L1 load of weights (a multiple of k)
    k_piece: int  # k of one L1 load of A: all of it, or some planes at a time so that the cube starts early
    weights: str  # "resident": all k of the core's columns stay in L1; "stream": loaded per step
    slab_depth: int
    weight_depth: int

    @property
    def blocks(self) -> int:
        return self.split_items * self.split_rows * self.split_columns

    def as_dict(self) -> dict[str, int | str]:
        return asdict(self)


def slab_positions(problem: CubeProblem, rows: int) -> int:
    """Positions of A in L1 for `rows` output rows (flat: rows are fractals of 16 positions)."""
    if problem.flat and problem.window.is_point:
        return min(rows * 16, ceil_div(problem.width, 16) * 16)
    window = problem.window
    needed = min((rows - 1) * window.stride_h + window.reach_h, problem.height)
    return needed * problem.width


def row_units(problem: CubeProblem) -> int:
    """How many row units the output has: rows, or fractals of positions when flat."""
    return ceil_div(problem.out_width, 16) if problem.window.is_point else problem.out_height


def _splits(problem: CubeProblem, cores: int) -> list[tuple[int, int, int]]:
    """(items, rows, columns) splits that use as many cores as any split can (decision D6)."""
    items, rows, columns = problem.items * problem.groups, row_units(problem), problem.n1
    splits = [
        (i, r, c)
        for i in _sensible(items, cores)
        for r in _sensible(rows, cores // i)
        for c in _sensible(columns, cores // (i * r))
    ]
    most = max(prod(split) for split in splits)
    return [split for split in splits if prod(split) == most]


def _sensible(extent: int, cores: int) -> list[int]:
    """Split counts up to `cores` that do not leave a core without work: powers of two, divisors and the maximum."""
    most = max(1, min(extent, cores))
    return sorted({s for s in range(1, most + 1) if s == most or s & (s - 1) == 0 or extent % s == 0})


class _Cost:
    """Cycle estimates of one problem on one SoC."""

    def __init__(self, problem: CubeProblem, soc: Soc, vector_passes: int, residual: bool) -> None:
        self.p = problem
        self.soc = soc
        self.vector_passes = vector_passes
        self.residual = residual
        memory, l0 = soc.timing["gm"], soc.timing["l0"]
        self.l2 = float(memory["l2_read_rate"])
        self.ddr = float(memory["ddr_read_rate"]) * soc.cores
        self.latency = float(memory["read_latency"] + memory["miss_cycles"] + memory["write_latency"])
        self.l0a, self.l0b = float(l0["l0a_rate"]), float(l0["l0b_rate"])
        self.span, self.per_row, self.floor = float(l0["load3d_span"]), float(l0["l0a_rows"]), float(l0["l0a_floor"])
        self.l0c = float(soc.timing["path"]["l0c_to_ub"]["rate"])
        self.mad_overhead = float(soc.timing["cube"]["overhead"])

    def __call__(self, s: CubeSchedule) -> float:
        p, window = self.p, self.p.window
        items = ceil_div(p.items * p.groups, s.split_items)
        units = ceil_div(row_units(p), s.split_rows)
        columns = ceil_div(p.n1, s.split_columns)
        slabs = ceil_div(units, s.rows)
        positions = s.rows * 16 if window.is_point else s.rows * p.out_width
        tiles_m = ceil_div(min(positions, p.positions), s.m * 16)
        tiles_n = ceil_div(columns, s.n)
        m_real = ceil_div(ceil_div(min(positions, p.positions), tiles_m), 16)
        n_real = columns / tiles_n
        m_sum = self._rows_of_fractals(s, units) * items * tiles_n
        steps = ceil_div(p.k_steps, s.k_piece) * ceil_div(s.k_piece, s.k_load) * ceil_div(s.k_load, s.k)
        tiles = items * slabs * tiles_m * tiles_n
        rows_spanned = 1 if window.is_point else max(1, ceil_div(m_real * 16, max(1, p.out_width)))
        a_rate = self._a_rate(rows_spanned)
        k_real = p.k_steps / steps
        step_mte1 = k_real * (m_real * FRACTAL / a_rate + n_real * FRACTAL / self.l0b) + 2
        cube = m_sum * n_real * p.k_steps + tiles * self.mad_overhead * steps
        mte1 = p.k_steps * (m_sum * FRACTAL / a_rate + tiles * n_real * FRACTAL / self.l0b) + 2 * tiles * steps
        step = max(step_mte1, m_real * n_real * k_real + self.mad_overhead)
        weight_bytes = p.k_steps * columns * FRACTAL
        reloads = items if s.weights == "resident" and p.groups > 1 else 1
        if s.weights == "stream":
            reloads = items * slabs * tiles_m
        slab_bytes = slab_positions(p, s.rows) * p.k1 * UNIT
        pieces = ceil_div(p.k_steps, s.k_piece)
        loads = pieces * ceil_div(s.k_piece, s.k_load)
        slab_loads = items * slabs * (tiles_m * tiles_n if pieces > 1 else 1)
        out_bytes = items * slabs * min(positions, p.positions) * columns * UNIT
        traffic = weight_bytes * reloads + slab_bytes * slab_loads + (out_bytes if self.residual else 0)
        # a ring slot is free again when its contents are consumed: each turn pays the latency once
        rate = self.l2 if reloads > 1 else min(self.l2, self.ddr * s.split_rows * s.split_items / s.blocks)
        turn_b = self.latency + s.k_load * n_real * FRACTAL / rate + s.k_load / s.k * step
        turn_a = self.latency + slab_bytes / pieces / self.l2 + steps / pieces * step
        ring_b = tiles * loads * turn_b / s.weight_depth if s.weights == "stream" else 0.0
        ring_a = (tiles * pieces if pieces > 1 else items * slabs) * turn_a / s.slab_depth
        mte2 = max(traffic / self.l2 + 16 * (slab_loads * pieces + tiles * loads), ring_a, ring_b)
        scalar = tiles * (steps * 45 + loads * 30 + pieces * 40 + 120) * 1.5
        vector = m_sum * n_real * (_ACCUMULATOR * 2 / self.l0c + 2 * self.vector_passes) + tiles * 60
        mte3 = out_bytes / self.l2 + tiles * 20
        ddr = self._ddr_bytes() / self.ddr
        piece = slab_bytes * s.k_piece // p.k_steps
        first = (min(piece, 1 << 17) + min(weight_bytes, s.k_load * s.n * FRACTAL)) * s.blocks / self.ddr
        last = m_real * n_real * FRACTAL * s.blocks / self.ddr
        # pipes overlap, but not perfectly: a little of each remains
        parts = (cube, mte1, mte2, vector, mte3, ddr, scalar)
        return max(parts) + 0.05 * sum(parts) + first + last + self.latency

    def _rows_of_fractals(self, s: CubeSchedule, units: int) -> int:
        """Fractals of m that one core computes for one item and one column tile, tails of slabs and tiles included."""
        width = 16 if self.p.window.is_point else self.p.out_width
        full, rest = divmod(units, s.rows)

        def slab(rows: int) -> int:
            whole, tail = divmod(min(rows * width, self.p.positions), s.m * 16)
            return whole * s.m + ceil_div(tail, 16)

        return full * slab(s.rows) + (slab(rest) if rest else 0)

    def _a_rate(self, rows: int) -> float:
        """load3d into L0A slows down with the stride and the output rows it spans (davinci.md §3.9)."""
        stride = self.p.window.stride_w
        if rows <= 1 and stride == 1:
            return self.l0a
        if stride not in (1, 2, 4, 8):
            return self.floor
        spread = 2 * (stride - 1) + (rows if rows > 1 else 0) + self.per_row
        return max(self.floor, min(self.l0a, self.span // spread))

    def _ddr_bytes(self) -> int:
        p = self.p
        weights = p.groups * p.k_steps * p.n1 * FRACTAL * (1 if not any(p.b_batch) else p.items)
        planes_in = prod(p.batch) * p.a_planes * p.a_plane * UNIT
        planes_out = prod(p.batch) * p.c_planes * p.c_plane * UNIT
        return weights + planes_in + planes_out * (2 if self.residual else 1)


def rank(
    problem: CubeProblem, soc: Soc, vector_passes: int = 2, residual: bool = False, ub_tiles: int = 2
) -> list[tuple[float, CubeSchedule]]:
    """All schedules that fit, cheapest first, with their estimated cycles.

    Args:
        vector_passes: vector instructions per output fractal behind the cube.
        residual: a full-size operand is read behind the cube.
        ub_tiles: tiles that live in UB at once.
    """
    cost = _Cost(problem, soc, vector_passes, residual)
    found = [(cost(candidate), candidate) for candidate in _candidates(problem, soc, ub_tiles)]
    if not found:
        raise ValueError("no cube schedule fits the on-chip memories")
    return sorted(found, key=lambda entry: entry[0])  # stable: equal costs keep the order of enumeration


def finalists(ranked: list[tuple[float, CubeSchedule]], count: int) -> list[CubeSchedule]:
    """The best schedule of each of the first `count` different splits and tiles."""
    seen: dict[tuple[int, ...], CubeSchedule] = {}
    for _, s in ranked:
        seen.setdefault((s.split_items, s.split_rows, s.split_columns, s.m, s.n, s.k), s)
        if len(seen) == count:
            break
    return list(seen.values())


def _candidates(p: CubeProblem, soc: Soc, ub_tiles: int) -> Iterator[CubeSchedule]:
    size = {space: soc.core.buffers[space].size for space in ("l1", "l0a", "l0b", "l0c", "ub")}
    for split in _splits(p, soc.cores):
        units, columns = ceil_div(row_units(p), split[1]), ceil_div(p.n1, split[2])
        for n in _n_tiles(columns):
            for rows, m in _row_tiles(p, units, n):
                tile = m * n
                bias = columns * 64 * (1 + ceil_div(m, 8) * 8) + n * 64 + 1024
                if tile * _ACCUMULATOR * 2 > size["l0c"] or tile * FRACTAL * ub_tiles > size["ub"] - bias or tile > _TILE_LIMIT:
                    continue
                k = min(p.k_steps, 255 // max(n, 1), size["l0a"] // 2 // FRACTAL // m, size["l0b"] // 2 // FRACTAL // n)
                if k < 1:
                    continue
                yield from _placements(p, split, rows, m, n, k, columns, size["l1"], soc.core.event_ids)


def _n_tiles(columns: int) -> list[int]:
    tiles = {min(columns, t) for t in (4, 8, 16, 32)}
    tiles |= {ceil_div(columns, parts) for parts in (1, 2, 3, 4, 6, 8) if ceil_div(columns, parts) <= 32}
    return sorted(tiles)


def _row_tiles(p: CubeProblem, units: int, n: int) -> Iterator[tuple[int, int]]:
    """(rows of a slab, m): whole rows per tile where they fit, else pieces of one row."""
    most = min(64, _TILE_LIMIT // n)
    if p.window.is_point:
        for m in sorted({min(units, most, t) for t in (2, 4, 7, 8, 12, 16, 24, 32)} | {min(units, most)}):
            if m >= 1:
                yield m, m
        return
    whole = [r for r in range(1, units + 1) if ceil_div(r * p.out_width, 16) <= most]
    picks = {whole[-1], *whole[:4], *(ceil_div(units, parts) for parts in (1, 2, 3, 4) if ceil_div(units, parts) in whole)} if whole else set[int]()
    for rows in sorted(picks):
        yield rows, ceil_div(rows * p.out_width, 16)
    if not whole or ceil_div(p.out_width, 16) > 12:
        for m in {most, *(ceil_div(ceil_div(p.out_width, 16), parts) for parts in (2, 3, 4, 6))}:
            if 1 <= m <= most:
                yield 1, m


def _placements(
    p: CubeProblem, split: tuple[int, int, int], rows: int, m: int, n: int, k: int, columns: int, l1: int, ids: int
) -> Iterator[CubeSchedule]:
    """Where A and B lie in L1.  Each slot of a ring that MTE2 fills takes one event id back from MTE1."""
    taps = p.window.taps
    all_weights = p.k_steps * columns * FRACTAL
    one_tile = split[1] * rows >= row_units(p) and p.items * p.groups <= split[0]
    for planes in sorted({1, 2, 4, 8, 16, p.k1}):
        if planes > p.k1:
            break
        k_piece = planes * taps
        step = min(k, k_piece)
        if k_piece < p.k_steps or step * 4 > k_piece:  # few steps: no short last one
            step = _divisor(k_piece, step)
        k_load = min(k_piece, max(step, 24 * 1024 // (n * FRACTAL) // step * step))
        piece, weights = slab_positions(p, rows) * planes * UNIT, k_load * n * FRACTAL
        alone = planes == p.k1 and one_tile
        for depth in (1,) if alone else (2, 1) if planes == p.k1 else (ids - 2, ids // 2, 3, 2):
            if depth >= ids:
                continue
            if piece * depth + all_weights <= l1 and columns <= n * 64 and not alone:
                yield CubeSchedule(*split, rows, m, n, step, k_load, k_piece, "resident", depth, 1)
            ring = next((d for d in (6, 5, 4, 3, 2) if piece * depth + weights * d <= l1 and depth + d <= ids), 0)
            if ring:
                yield CubeSchedule(*split, rows, m, n, step, k_load, k_piece, "stream", depth, ring)


def _divisor(total: int, most: int) -> int:
    """The largest divisor of `total` up to `most`, unless it wastes more than half of `most`."""
    best = max(d for d in range(1, most + 1) if total % d == 0)
    return best if best * 2 > most else most
