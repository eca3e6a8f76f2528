"""Kernels for fused vector groups: `generate` and `choose_schedule`.

One generator for every group of elementwise, broadcast, select, cast and reduction ops: `vector_space.py`
finds the loops and the program, `vector_tiles.py` covers a tile with instructions, this module cuts the
iteration space into tiles and blocks and walks over it.  Four ways to tile (schedule key `mode`):

* `flat`: all operands cover the whole space; it is one run of elements, cut at multiples of 128.
* `rows`: tiles of whole rows.
* `split`: rows that are longer than UB: a tile is a piece of one row.  A reduction then takes one pass over
  the row per phase (decision D16): partial results accumulate in UB, what a later phase needs is recomputed
  from GM.
* `runs`: few rows that are no whole 32-byte blocks, cut at any block of the output (`vector_runs.py`).

Loaded and stored tiles rotate in rings of two, so that DMA of the next tile overlaps the arithmetic of this
one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ..dialects import ascend, dtypes
from ..dialects.davinci import AllocOp, KernelOp
from ..dialects.davinci_instruction import InstructionOp
from ..dialects.davinci_isa import OP_BY_MNEMONIC
from ..runtime.errors import AscendError
from ..runtime.soc import Soc
from .kernel_builder import Index, KernelBuilder, Ref
from .move_problem import aligned_steps
from .vector_body import Body, Place
from .vector_runs import can_share_runs, emit_runs
from .vector_space import Operand, Space, analyse
from .vector_tiles import BLOCK, LANES, MAX_REPEAT, Count, Tile

GROUP = 128  # elements: what blocks and flat tiles are multiples of
BURST_BYTES = 16384  # a DMA of this size reaches full bandwidth [ASC performance guide]
RESERVE = 2048  # bytes of UB left for alignment
TILES_PER_BLOCK = 4  # enough for load, compute and store to overlap

Schedule = dict[str, int | list[int] | str]


def generate(group: ascend.GroupOp, soc: Soc, name: str) -> KernelOp:
    """The kernel of one vector group; follows the group's schedule, or chooses one."""
    space = analyse(group, soc)
    values = dict(group.schedule.values)
    plan = _plan_of(values) if "mode" in values else _choose(space, soc)
    return _build(space, soc, name, plan)


def choose_schedule(group: ascend.GroupOp, soc: Soc) -> Schedule:
    """Tile sizes and block count, as attributes that a person or a tuner may edit."""
    plan = _choose(analyse(group, soc), soc)
    return {"mode": plan.mode, "rows": plan.rows, "columns": plan.columns, "blocks": plan.blocks}


@dataclass(frozen=True)
class Plan:
    """`rows` x `columns` per tile (columns: elements, whole rows in mode `rows`)."""

    mode: str
    rows: int
    columns: int
    blocks: int


def _plan_of(values: dict[str, ascend.ScheduleValue]) -> Plan:
    numbers = {k: v for k, v in values.items() if isinstance(v, int)}
    return Plan(str(values["mode"]), numbers["rows"], numbers["columns"], numbers["blocks"])


# ------------------------------------------------------------------------------------------ choosing
def padded_columns(space: Space) -> int:
    """Elements of a whole row in UB: whole blocks for every element type of the group."""
    unit = BLOCK if any(o.gm_type in ("bool", "i8", "u8") for o in _all_operands(space)) else LANES
    return -(-space.columns // unit) * unit


def _all_operands(space: Space) -> list[Operand]:
    return [*space.operands, *(o for _, o in space.results)]


def row_granule(space: Space) -> int:
    """Rows at whose multiples tiles and blocks may be cut, so that stores are whole blocks (decision D6)."""
    granule = 1
    for _, operand in space.results:
        _, rows, cols = space.varies(operand.mask)
        size = dtypes.size_of(operand.gm_type)
        if cols and not space.lanes and rows and space.columns * size % BLOCK:
            granule = max(granule, aligned_steps(space.columns * size))
        elif not cols and not space.lanes and rows:
            granule = max(granule, BLOCK // size)
    return granule


def outer_unit(space: Space) -> int:
    """Outer indices at whose multiples blocks may be cut: stores of neighbouring ones in between share a block of GM, and
    one core stores them in order. That is all of them where stores run past their end: what is packed before it is
    stored ends with a whole block, counted from a start inside of one."""
    unit = 1
    for _, operand in space.results:
        outer, rows, cols = space.varies(operand.mask)
        if not space.lanes and outer:
            row = (space.columns if cols else 1) * dtypes.size_of(operand.gm_type)
            own = aligned_steps(row * (space.rows if rows else 1))
            exact = cols and rows and row > BLOCK
            unit = max(unit, own if exact or own == 1 else prod(space.dims[:-2]))
    return unit


def is_ordered(space: Space) -> bool:
    """Whether stores of neighbouring outer indices share a block of GM."""
    return outer_unit(space) > 1


def _choose(space: Space, soc: Soc) -> Plan:
    if len(space.dims) == 1 and not space.reduced:
        return _choose_flat(space, soc)
    outer = 1
    for d in space.dims[:-2]:
        outer *= d
    full_results = all(space.varies(o.mask)[2] for _, o in space.results)
    aligned = space.lanes > 0 or all(
        space.columns * dtypes.size_of(o.gm_type) % BLOCK == 0 for _, o in space.results
    )
    lines = outer * space.rows
    long = lines < TILES_PER_BLOCK * soc.cores and space.columns >= 4096
    few = (long or lines < soc.cores) and full_results and aligned
    if space.window is not None or space.reduced or not few:
        plan = _choose_rows(space, soc, outer)
        if (plan is None or plan.blocks < soc.cores) and can_share_runs(space, soc):
            plan = _choose_runs(space, soc)
        if plan is not None:
            return plan
        if space.window is not None:
            raise AscendError("E40023", "one row of windows does not fit UB")
    return _choose_split(space, soc, outer, aligned or (outer * space.rows == 1))


def _choose_flat(space: Space, soc: Soc) -> Plan:
    unit = run_unit(space, soc)
    groups = -(-space.columns // unit)
    blocks = min(soc.cores, groups)
    most = _repeat_limit(space, soc)
    columns = _largest(space, soc, lambda c: Plan("flat", 1, c, blocks), GROUP, most)
    share = -(-groups // blocks) * unit
    wanted = max(BURST_BYTES // 2, -(-share // (TILES_PER_BLOCK * unit)) * unit)
    return Plan("flat", 1, min(columns, wanted, share), blocks)


def run_unit(space: Space, soc: Soc) -> int:
    """Elements at whose multiples a run is cut: whole repeats, or, where each core would not get one and counter mode
    takes any count, whole 32-byte blocks of all results (decision D6)."""
    if -(-space.columns // GROUP) >= soc.cores or not soc.core.has_counter_mode:
        return GROUP
    return max(space.lanes, BLOCK // min(dtypes.size_of(o.gm_type) for _, o in space.results))


def _repeat_limit(space: Space, soc: Soc) -> int:
    """Elements of a run: without counter mode one instruction has at most 255 repeats."""
    if soc.core.has_counter_mode:
        return 1 << 20
    wide = any(n.dtype in ("f32", "s32") for n in space.nodes)
    return MAX_REPEAT * (64 if wide else 128) // GROUP * GROUP


def _choose_rows(space: Space, soc: Soc, outer: int) -> Plan | None:
    granule, unit = row_granule(space), outer_unit(space)
    cores = soc.cores if unit == 1 else min(soc.cores, -(-outer // unit))
    rows = space.rows
    if rows <= granule and rows <= MAX_REPEAT:
        plan = Plan("rows", rows, space.columns, min(cores, outer))
        return plan if _fits(space, soc, plan) else _fewer_rows(space, soc, granule, outer)
    most = min(MAX_REPEAT // granule * granule or granule, -(-rows // granule) * granule)
    best = _largest(space, soc, lambda r: Plan("rows", r, space.columns, 1), granule, most)
    if best == 0:
        return _fewer_rows(space, soc, granule, outer)
    row_bytes = space.columns * 2
    share = max(1, outer * rows // (cores * TILES_PER_BLOCK))
    wanted = max(share, -(-BURST_BYTES // row_bytes))
    wanted = min(wanted, max(1, outer * rows // cores))
    best = max(granule, min(best, -(-wanted // granule) * granule))
    while best > granule and outer * -(-rows // best) < cores:
        best -= granule
    divisors = [r for r in range(best, best // 2, -1) if rows % r == 0 and r % granule == 0]
    best = divisors[0] if divisors else best
    return Plan("rows", best, space.columns, min(cores, outer * -(-rows // best)))


def _choose_runs(space: Space, soc: Soc) -> Plan:
    most = -(-space.columns // GROUP) * GROUP
    return Plan(
        "runs", 1, _largest(space, soc, lambda c: Plan("runs", 1, c, soc.cores), GROUP, most), soc.cores
    )


def _fewer_rows(space: Space, soc: Soc, granule: int, outer: int) -> Plan | None:
    """Rows so long that not even a granule fits: single rows, one core when stores touch."""
    plan = Plan("rows", 1, space.columns, soc.cores if granule == 1 and not is_ordered(space) else 1)
    if space.rows == 1:
        plan = Plan("rows", 1, space.columns, min(plan.blocks, outer))
    return plan if _fits(space, soc, plan) else None


def _choose_split(space: Space, soc: Soc, outer: int, aligned: bool) -> Plan:
    if not space.reduced and not all(space.varies(o.mask)[2] for _, o in space.results):
        raise AscendError("E40022", "a result that does not vary along rows longer than UB")
    columns = _largest(space, soc, lambda c: Plan("split", 1, c, 1), GROUP, _repeat_limit(space, soc))
    if columns == 0:
        raise AscendError("E40023", "no tile of the vector group fits UB")
    items = outer * space.rows
    if not space.reduced:
        unit = run_unit(space, soc)
        columns = min(columns, -(-space.columns // unit) * unit)
        while columns > unit and (
            items * -(-space.columns // columns)
            < (TILES_PER_BLOCK if columns > BURST_BYTES // 2 else 1) * soc.cores
        ):
            columns = -(-columns // (2 * unit)) * unit
        items *= -(-space.columns // columns)
    # lines are stored one by one: a number per line would run into the next core's block of 32 bytes
    shared = space.reduced and row_granule(space) > 1
    single = not aligned or shared or is_ordered(space)
    return Plan("split", 1, columns, 1 if single else min(soc.cores, items))


def _largest(space: Space, soc: Soc, plan_of: Callable[[int], Plan], unit: int, most: int) -> int:
    """Largest multiple of `unit` up to `most` that fits UB; 0 if none."""
    most = max(unit, most // unit * unit)
    budget = soc.core.buffers["ub"].size - RESERVE
    least, probe = _probe(space, soc, plan_of(unit)), min(most, unit * 8)
    slope = (_probe(space, soc, plan_of(probe)) - least) / max(unit, probe - unit)
    room = most if slope <= 0 else unit + int((budget - least) / slope)
    size = min(most, max(unit, room // unit * unit))
    while size >= unit:
        if _probe(space, soc, plan_of(size)) <= budget:
            return size
        size = min(size - unit, int(size * 0.9) // unit * unit)
    return 0


def _fits(space: Space, soc: Soc, plan: Plan) -> bool:
    return _probe(space, soc, plan) <= soc.core.buffers["ub"].size - RESERVE


def ub_bytes(kernel: KernelOp) -> int:
    """Bytes of all allocations in UB."""
    return sum(op.result.type.size.data * op.ring_depth for op in kernel.walk() if isinstance(op, AllocOp))


# ------------------------------------------------------------------------------------------ building
class _Probe(KernelBuilder):
    """Counts the buffers of a plan without making instructions: what tile search asks many times."""

    _nothing = OP_BY_MNEMONIC["pipe_barrier"]("", [], {"pipe": 1})

    def op(
        self,
        mnemonic: str,
        dtype: str,
        *addresses: Ref,
        limits: Mapping[str, int] | None = None,
        extents: Sequence[int] | None = None,
        **values: Index,
    ) -> InstructionOp:
        return self._nothing


def _probe(space: Space, soc: Soc, plan: Plan) -> int:
    """UB that a plan's buffers take at once, rings included (an upper bound: lifetimes are not looked at)."""
    kb = _Probe("probe", soc, len(space.operands) + len(space.results), plan.blocks)
    return ub_bytes(_emit(kb, space, plan))


def _build(space: Space, soc: Soc, name: str, plan: Plan) -> KernelOp:
    return _emit(KernelBuilder(name, soc, len(space.operands) + len(space.results), plan.blocks), space, plan)


def _emit(kb: KernelBuilder, space: Space, plan: Plan) -> KernelOp:
    body = Body(kb, space)
    if plan.mode == "flat":
        _flat(kb, space, body, plan)
    elif plan.mode == "rows":
        _rows(kb, space, body, plan)
    elif plan.mode == "runs":
        emit_runs(kb, space, body, plan.columns)
    else:
        _split(kb, space, body, plan)
    return kb.kernel


def _flat(kb: KernelBuilder, space: Space, body: Body, plan: Plan) -> None:
    total, unit = space.columns, run_unit(space, kb.soc)
    groups, tail = -(-total // unit), total % unit
    body.hoist(Tile(1, 1, Count.of(LANES), 0, space.lanes), 0)
    first, count = kb.partition(groups)
    step = plan.columns // unit
    with kb.loop(kb.ceil_div(count, step)) as i:
        at = kb.add(first, kb.mul(i, step))
        mine = kb.min(step, kb.sub(count, kb.mul(i, step)))
        n: Index = kb.mul(mine, unit)
        has_tail: Index = 0
        whole = mine
        if tail:
            n = kb.min(n, kb.sub(total, kb.mul(at, unit)))
            has_tail = flag(kb, kb.add(at, mine), groups)
            whole = kb.sub(mine, has_tail)
        columns = Count(n, min(plan.columns, total), whole, tail, has_tail)
        place = Place([], 0, kb.mul(at, unit))
        body.tile(Tile(1, 1, columns, 0, space.lanes), place)


def flag(kb: KernelBuilder, a: Index, b: Index) -> Index:
    """1 if a = b else 0."""
    if isinstance(a, int) and isinstance(b, int):
        return int(a == b)
    return kb.select(kb.equal(a, b), 1, 0)


def _outer(kb: KernelBuilder, space: Space, index: Index) -> list[Index]:
    """Indices of the outer dims of a linear index."""
    found: list[Index] = []
    for extent in reversed(space.dims[:-2]):
        found.insert(0, kb.rem(index, extent))
        index = kb.div(index, extent)
    return found


def _items(space: Space, inner: int) -> int:
    total = inner
    for d in space.dims[:-2]:
        total *= d
    return total


def _share(kb: KernelBuilder, items: int, unit: int) -> tuple[Index, Index]:
    """(first, count) of this block's items: whole units, of which only the last may be short (decision D6)."""
    first, count = kb.partition(-(-items // unit))
    start, most = kb.mul(first, unit), kb.mul(count, unit)
    if items % unit:
        most = kb.min(most, kb.sub(items, start))
    return start, most


def _rows(kb: KernelBuilder, space: Space, body: Body, plan: Plan) -> None:
    step = min(plan.rows, space.rows)
    tiles = -(-space.rows // step)
    padded = padded_columns(space)
    columns = Count.of(space.columns)
    body.hoist(Tile(step, step, columns, padded, space.lanes), padded)
    unit = outer_unit(space)
    first, count = _share(kb, _items(space, tiles), unit * tiles if unit > 1 else 1)
    with kb.loop(count) as t:
        index = kb.add(first, t)
        row = kb.mul(kb.rem(index, tiles), step)
        rows: Index = step
        if space.rows % step:
            rows = kb.min(step, kb.sub(space.rows, row))
        place = Place(_outer(kb, space, kb.div(index, tiles)), row, 0)
        body.tile(Tile(rows, step, columns, padded, space.lanes), place)


def _split(kb: KernelBuilder, space: Space, body: Body, plan: Plan) -> None:
    pieces = -(-space.columns // plan.columns)
    tail = space.columns % GROUP

    def piece(j: Index) -> tuple[Tile, Index]:
        start = kb.mul(j, plan.columns)
        n: Index = (
            kb.min(plan.columns, kb.sub(space.columns, start))
            if space.columns % plan.columns
            else plan.columns
        )
        has_tail = flag(kb, j, pieces - 1) if tail else 0
        limit = min(plan.columns, space.columns)
        columns = Count(n, limit, kb.div(n, GROUP), tail, has_tail)
        return Tile(1, 1, columns, 0, space.lanes), start

    body.hoist(Tile(1, 1, Count.of(min(plan.columns, space.columns)), 0, space.lanes), 0)
    inner = 1 if space.reduced else pieces
    first, count = kb.partition(_items(space, space.rows * inner))
    with kb.loop(count) as t:
        index = kb.add(first, t)
        line = kb.div(index, inner)
        outer = _outer(kb, space, kb.div(line, space.rows))
        row = kb.rem(line, space.rows)
        if space.reduced:
            body.phases(pieces, piece, outer, row)
        else:
            tile, start = piece(kb.rem(index, inner))
            body.tile(tile, Place(outer, row, start))


__all__: Sequence[str] = ("Plan", "Ref", "choose_schedule", "generate")
