"""Chooses the tiles of a cube kernel: a grid of candidates that fit, ranked by a model of the pipes (`cube_cost.py`).

The limits (L0A, L0B, L0C, L1, UB, event ids) come from the SoC file.  For long groups the finalists are then
timed on the simulator's timing model (`cube_kernel.choose_schedule`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from math import prod

import numpy as np

from ..runtime.soc import Soc
from .cube_bias import bias_bytes
from .cube_image import image_ub_bytes
from .cube_problem import FRACTAL, UNIT, CubeProblem, ceil_div

ACCUMULATOR = 1024  # bytes of an f32 fractal in L0C
_RANKED = 300
RESIDENT, STREAM = "resident", "stream"
_PITCH_LIMIT = 240  # positions of a padded row: the repeat stride of its zeroing has 8 bits
_TILE_LIMIT = 127  # fractals of an output tile: two vector repeats each, at most 255 repeats


Candidate = tuple[int, int, int, int, int, int, int, int, int, str, int, int, int, int, int]
"""The fields of a `CubeSchedule`, in order."""


@dataclass(frozen=True)
class CubeSchedule:
    """Sizes in fractals unless named otherwise.

    items × rows × columns blocks share the work: batch·group items, output rows (or positions, 16 at a time), N planes.
    """

    split_items: int
    split_rows: int
    split_columns: int
    rows: int  # output rows (by positions: fractals of them) of a slab
    m: int
    n: int
    k: int  # k of one L0 step
    k_load: int  # k of one L1 load of weights (a multiple of k)
    k_piece: int  # k of one L1 load of A: all of it, or some planes at a time so that the cube starts early
    weights: str  # "resident": all k of the core's columns stay in L1; "stream": loaded per step
    slab_depth: int
    weight_depth: int
    pitch: int = (
        0  # positions of an output row on chip, a tile's rows then begin at multiples of it; 0: no gap
    )
    strip: int = 0  # output rows per img2col instruction when there is a pitch
    l0_depth: int = 2  # slots of L0A and L0B
    prefetch: tuple[int, ...] = ()  # units of 32 bytes of later groups' weights that each core reads per slab
    prefetch_from: tuple[int, ...] = ()  # byte offsets into those weights

    @property
    def blocks(self) -> int:
        return self.split_items * self.split_rows * self.split_columns

    def as_dict(self) -> dict[str, int | str]:
        """What `choose_schedule` decides; prefetches come later."""
        return {k: v for k, v in asdict(self).items() if not k.startswith("prefetch")}


@dataclass(frozen=True)
class Behind:
    """What a kernel does besides the product.

    `vector_passes`: vector instructions per output fractal; `residual`: a full-size operand is read; `ub_tiles`: tiles
    that live in UB at once; `bias`: there is one; `bias_in_terms`: it is stored as the cube needs it.
    """

    vector_passes: int = 2
    residual: bool = False
    ub_tiles: int = 2
    bias: bool = False
    bias_in_terms: bool = False


def turns(p: CubeProblem, s: CubeSchedule) -> int:
    """Slabs that one core computes at most."""
    return ceil_div(p.items * p.groups, s.split_items) * ceil_div(
        ceil_div(row_units(p), s.split_rows), s.rows
    )


def free_l1(p: CubeProblem, s: CubeSchedule, soc: Soc, bias: bool) -> int:
    """Bytes of L1 that nothing uses."""
    columns = ceil_div(p.n1, s.split_columns)
    slabs = slab_positions(p, s.rows) * s.k_piece // p.window.taps * UNIT * s.slab_depth
    resident = s.weights == RESIDENT
    weights = (p.k_steps * columns if resident else s.weight_depth * s.k_load * s.n) * FRACTAL
    own = bias_bytes(bias_planes(p, s), in_terms=True)["l1"] if bias else 0
    return soc.core.buffers["l1"].size - slabs - weights - own


def slab_positions(problem: CubeProblem, rows: int) -> int:
    """Positions of A in L1 for `rows` output rows (by positions: fractals of 16)."""
    if problem.by_positions:
        return problem.columns_under(rows * 16)
    window = problem.window
    needed = min((rows - 1) * window.stride_h + window.reach_h, problem.height)
    return needed * problem.width


def row_units(problem: CubeProblem) -> int:
    """How many row units the output has: rows, or fractals of positions."""
    return ceil_div(problem.out_width, 16) if problem.by_positions else problem.out_height


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


def bias_planes(p: CubeProblem, s: CubeSchedule) -> int:
    """Planes of the bias that one core holds in L1 at most."""
    return _bias_planes(p, (s.split_items, s.split_rows, s.split_columns))


def _bias_planes(p: CubeProblem, split: tuple[int, int, int]) -> int:
    if p.groups == 1:
        return ceil_div(p.n1, split[2])
    return min(p.c_planes, ceil_div(p.groups, split[0]) * p.n1) if p.items == 1 else p.c_planes


def rank(problem: CubeProblem, soc: Soc, behind: Behind) -> list[tuple[float, CubeSchedule]]:
    """The schedules that fit, cheapest first, with their estimated cycles (the best few hundred of thousands)."""
    from .cube_cost import CubeCost, merit

    found = list(_candidates(problem, soc, behind))
    if not found:
        raise ValueError("no cube schedule fits the on-chip memories")
    names = [field.name for field in fields(CubeSchedule)]
    table = np.array([[int(v == RESIDENT) if isinstance(v, str) else v for v in c] for c in found]).T
    columns = dict(zip(names, table, strict=False))  # what is decided later has no column
    cost = CubeCost(problem, soc, behind)
    costs = cost(columns)
    # estimates that err in different ways take turns; stable: equal costs keep the order of enumeration
    task = float(costs.min())
    estimates = [merit(c, cost.instructions(), task) for c in (costs, cost(columns, filled=True))]
    orders = [np.argsort(values, kind="stable")[:_RANKED] for values in estimates]
    order = dict.fromkeys(int(i) for pair in zip(*orders, strict=True) for i in pair)
    return [(float(costs[i]), CubeSchedule(*found[i])) for i in order]


def ddr_balance(problem: CubeProblem, soc: Soc, behind: Behind, s: CubeSchedule) -> tuple[float, float]:
    """(bytes that DDR could move beside this schedule's work, bytes of its own that everything waits for)."""
    from .cube_cost import CubeCost

    cost = CubeCost(problem, soc, behind)
    values = {k: int(v == RESIDENT) if isinstance(v, str) else v for k, v in s.as_dict().items()}
    idle, waiting = cost.balance({k: np.array([v]) for k, v in values.items()})
    return max(0.0, float(idle[0])) * cost.ddr, max(0.0, float(waiting[0])) * cost.ddr


def finalists(ranked: list[tuple[float, CubeSchedule]], count: int) -> list[CubeSchedule]:
    """The best schedule of each of the first `count` different splits and tiles."""
    seen: dict[tuple[int, ...], CubeSchedule] = {}
    for _, s in ranked:
        seen.setdefault(
            (s.split_items, s.split_rows, s.split_columns, s.m, s.n, s.k, s.pitch, s.strip, s.l0_depth), s
        )
        if len(seen) == count:
            break
    return list(seen.values())


def _candidates(p: CubeProblem, soc: Soc, behind: Behind) -> Iterator[Candidate]:
    size = {space: soc.core.buffers[space].size for space in ("l1", "l0a", "l0b", "l0c", "ub")}
    for split in _splits(p, soc.cores):
        units, columns = ceil_div(row_units(p), split[1]), ceil_div(p.n1, split[2])
        bias = {"l1": 0, "ub": 0}
        if behind.bias:
            bias = bias_bytes(_bias_planes(p, split), in_terms=behind.bias_in_terms)
        l1 = size["l1"] - bias["l1"]
        ub = size["ub"] - bias["ub"] - (image_ub_bytes(p.image_channels) if p.image_channels else 0)
        for n in _n_tiles(columns):
            for rows, m, pitch, strip in _row_tiles(p, units, n):
                fractals = m * n
                if (
                    fractals * ACCUMULATOR * 2 > size["l0c"]
                    or fractals * FRACTAL * behind.ub_tiles > ub - n * 64 - 1024
                    or fractals > _TILE_LIMIT
                ):
                    continue
                free = (
                    size["l0a"] // FRACTAL - behind.bias * m,
                    size["l0b"] // FRACTAL - behind.bias * 2 * n,
                )
                for depth in (2, 3) if soc.core.event_ids >= 3 + 2 * behind.bias else (2,):
                    k = min(p.k_steps, 255 // max(n, 1), free[0] // depth // m, free[1] // depth // n)
                    if k < 1:
                        continue
                    tile = (rows, m, n, k, strip > 0)
                    for placed in _placements(p, split, tile, columns, l1, soc.core.event_ids):
                        yield (*placed, pitch, strip, depth)


def _n_tiles(columns: int) -> list[int]:
    tiles = {min(columns, t) for t in (4, 8, 16, 32)}
    tiles |= {ceil_div(columns, parts) for parts in (1, 2, 3, 4, 6, 8) if ceil_div(columns, parts) <= 32}
    return sorted(tiles)


def row_pitches(p: CubeProblem) -> list[tuple[int, int]]:
    """(pitch, strip) choices of a window: img2col is fastest when the positions of one instruction lie in one output row.

    Rows padded to whole fractals give one row per instruction, rows padded to half fractals two; the padding costs cube
    and vector time.  (0, 0) lets positions run on from row to row.
    """
    whole, half = ceil_div(p.out_width, 16) * 16, ceil_div(p.out_width, 8) * 8
    return (
        [(0, 0)]
        + ([(whole, 1)] if whole <= _PITCH_LIMIT else [])
        + ([(half, 2)] if half < whole <= _PITCH_LIMIT else [])
    )


def _row_tiles(p: CubeProblem, units: int, n: int) -> Iterator[tuple[int, int, int, int]]:
    """(rows of a slab, m, pitch, strip): whole rows per tile where they fit, else pieces of one row."""
    most = min(64, _TILE_LIMIT // n)
    if p.by_positions:
        for m in sorted({min(units, most, t) for t in (2, 4, 7, 8, 12, 16, 24, 32)} | {min(units, most)}):
            if m >= 1:
                yield m, m, 0, 0
        return
    for pitch, strip in row_pitches(p):
        step = max(1, strip)
        yield from _row_strips(units, most, step, pitch or p.out_width, pitch)
        if pitch == p.out_width and pitch % 16 == 0 and pitch // 16 <= most:
            # rows of whole fractals: a slab may hold several tiles
            for rows in sorted({ceil_div(units, parts) for parts in (1, 2, 4)} - {1}):
                yield rows, pitch // 16, pitch, 1
    if ceil_div(p.out_width, 16) > min(12, most):
        for m in {most, *(ceil_div(ceil_div(p.out_width, 16), parts) for parts in (2, 3, 4, 6))}:
            if 1 <= m <= most:
                yield 1, m, 0, 0


def _row_strips(
    units: int, most: int, step: int, width: int, pitch: int
) -> Iterator[tuple[int, int, int, int]]:
    """Tiles of whole output rows, each `width` positions long, loaded `step` at a time."""
    whole = [r for r in range(1, units + 1) if ceil_div(ceil_div(r, step) * step * width, 16) <= most]
    picks = (
        {
            whole[-1],
            *whole[:4],
            *(ceil_div(units, parts) for parts in (1, 2, 3, 4) if ceil_div(units, parts) in whole),
        }
        if whole
        else set[int]()
    )
    for rows in sorted(picks):
        yield rows, ceil_div(ceil_div(rows, step) * step * width, 16), pitch, step if pitch else 0


def _placements(
    p: CubeProblem,
    split: tuple[int, int, int],
    tile: tuple[int, int, int, int, bool],
    columns: int,
    l1: int,
    ids: int,
) -> Iterator[tuple[int, int, int, int, int, int, int, int, int, str, int, int]]:
    """Where A and B lie in L1.  Each slot of a ring that MTE2 fills takes one event id back from MTE1."""
    rows, m, n, k, strips = tile
    taps = p.window.taps
    all_weights = p.k_steps * columns * FRACTAL
    one_tile = split[1] * rows >= row_units(p) and p.items * p.groups <= split[0]
    whole = {p.k1 // parts for parts in range(2, 7) if p.k1 % parts == 0}  # pieces of equal size
    for planes in sorted({1, 2, 4, 8, 16, p.k1} | whole):
        if planes > p.k1:
            break
        k_piece = planes * taps
        step = min(k, k_piece)
        if strips:  # k of a strip must be constant: only then are strips in L0A provably apart
            step = _divisor(k_piece, step, always=True)
        elif k_piece < p.k_steps or step * 4 > k_piece:  # few steps: no short last one
            step = _divisor(k_piece, step)
        k_load = min(k_piece, max(step, 24 * 1024 // (n * FRACTAL) // step * step))
        if strips:
            k_load = step * _divisor(k_piece // step, k_load // step, always=True)
            if p.k_steps % k_piece:
                continue
        piece = slab_positions(p, rows) * planes * UNIT
        alone = planes == p.k1 and one_tile
        whole_k = (1,) if alone else (4, 3, 2, 1) if p.groups > 1 else (3, 2, 1)
        pieces = ceil_div(p.k1, planes)
        for depth in whole_k if planes == p.k1 else _come_round((ids - 2, ids // 2, 3, 2), pieces):
            if depth >= ids:
                continue
            for load in dict.fromkeys((k_load, k_piece if planes < p.k1 else k_load)):
                weights = load * n * FRACTAL
                if piece * depth + all_weights <= l1 and columns <= n * 64 and not alone:
                    yield (*split, rows, m, n, step, load, k_piece, RESIDENT, depth, 1)
                loads = ceil_div(k_piece, load)
                ring = next(
                    (
                        d
                        for d in _come_round((6, 5, 4, 3, 2), loads if loads > 1 else pieces)
                        if piece * depth + weights * d <= l1 and depth + d <= ids
                    ),
                    0,
                )
                if ring:
                    yield (*split, rows, m, n, step, load, k_piece, STREAM, depth, ring)


@cache
def _come_round(depths: tuple[int, ...], turns: int) -> list[int]:
    """Slots of a ring that takes `turns` steps: fewer, if they then come round and need no counter (`davinci-tile-rings`)."""
    best = ([d for d in range(depth, (depth - 1) // 2, -1) if d > 1 and turns % d == 0] for depth in depths)
    return list(
        dict.fromkeys(found[0] if found else depth for found, depth in zip(best, depths, strict=True))
    )


def _divisor(total: int, most: int, *, always: bool = False) -> int:
    """The largest divisor of `total` up to `most`, unless it wastes more than half of `most`."""
    best = max(d for d in range(1, most + 1) if total % d == 0)
    return best if always or best * 2 > most else most
