"""Reductions along the rows of a tile: many rows at once, no loop over rows or lanes.

A row is folded in halves by ordinary vadd/vmax with one repeat per row, until one repeat (ND) or one block of
lanes (blocked layouts) is left.  In a blocked layout the 16 lanes are 16 channels: done.  In ND the lanes are
joined by vcadd or vcgmax/vcgmin, which leave one packed element per row, and spread again to a block of equal
lanes, because that is what later instructions can broadcast.
"""

from __future__ import annotations

from .kernel_builder import KernelBuilder, Ref
from .vector_program import NEUTRAL, REDUCTIONS, SIZES, raw_bits
from .vector_tiles import BLOCK, LANES, MAX_STRIDE, REPEAT_BYTES, Count, Tile, TileEmitter, Value, mask_bits
from .vector_transfer import expand, packed_buffer, ub_buffer


def reduce_rows(
    emitter: TileEmitter, op: str, source: Value, columns: int, padded: int, in_place: bool
) -> Value:
    """The reduction of each row as a per-row block value.

    `columns` of `padded` elements per row count; the padding is set to the neutral element in `source`.
    """
    kb, tile = emitter.kb, emitter.tile
    join, size = REDUCTIONS[op], source.size
    if padded > columns:
        emitter.fill(source, NEUTRAL[op], columns, padded)
    unit = LANES * size if tile.lanes else BLOCK
    stop = unit if tile.lanes else REPEAT_BYTES
    work, pitch, left = _fold(emitter, join, source, padded * size, unit, stop, in_place)
    if tile.lanes:
        return _compact(emitter, work, pitch, source.dtype)
    if pitch // BLOCK > MAX_STRIDE:
        work, pitch = _narrow(emitter, work, pitch, source.dtype, left=left, stop=stop), stop
    packed = _join_lanes(kb, op, source.dtype, work, pitch, left, emitter)
    blocks = expand(kb, packed, source.dtype, tile.rows, tile.rows_limit)
    return Value(blocks, source.dtype, True, False, LANES * size)


def _fold(
    emitter: TileEmitter, join: str, source: Value, row: int, unit: int, stop: int, in_place: bool
) -> tuple[Ref, int, int]:
    """Halves rows of `row` bytes until at most `stop` are left: (address, row pitch, bytes left)."""
    kb, tile = emitter.kb, emitter.tile
    work, pitch = source.ref, source.pitch or row
    while row > stop:
        half = max(stop, -(-(row // unit) // 2) * unit)
        upper = row - half
        to, to_pitch = work, pitch
        if not in_place:
            to_pitch = half
            to = ub_buffer(kb, tile.rows_limit * half)
        columns = upper // SIZES[source.dtype]
        emitter.rows2d(join, source.dtype, [(to, to_pitch), (work, pitch), (work + half, pitch)], columns)
        if not in_place and half > upper:
            emitter.rows2d(
                "vadds",
                source.dtype,
                [(to + upper, to_pitch), (work + upper, pitch)],
                (half - upper) // SIZES[source.dtype],
                0.0,
            )
        work, pitch, row, in_place = to, to_pitch, half, True
    return work, pitch, row


def _narrow(emitter: TileEmitter, work: Ref, pitch: int, dtype: str, *, left: int, stop: int) -> Ref:
    """Rows too far apart for a repeat stride are brought together."""
    out = ub_buffer(emitter.kb, emitter.tile.rows_limit * stop)
    emitter.rows2d("vadds", dtype, [(out, stop), (work, pitch)], left // SIZES[dtype], 0.0)
    return out


def _compact(emitter: TileEmitter, work: Ref, pitch: int, dtype: str) -> Value:
    block = LANES * SIZES[dtype]
    if pitch != block:
        out = ub_buffer(emitter.kb, emitter.tile.rows_limit * block)
        emitter.rows2d("vadds", dtype, [(out, block), (work, pitch)], LANES, 0.0)
        work = out
    return Value(work, dtype, True, False, block, uniform=False)


def _join_lanes(
    kb: KernelBuilder, op: str, dtype: str, work: Ref, pitch: int, left: int, emitter: TileEmitter
) -> Ref:
    rows, limit = emitter.tile.rows, emitter.tile.rows_limit
    packed = packed_buffer(kb, limit, dtype)
    lanes = left // SIZES[dtype]
    bound = {"repeat": limit}
    if op == "reduce_sum":
        kb.op(
            "vcadd",
            dtype,
            packed,
            work,
            limits=bound,
            repeat=rows,
            src_rep=pitch // BLOCK,
            extents=None,
            **mask_bits(0, lanes),
        )
        return packed
    name = "vcg" + op.removeprefix("reduce_")
    if not kb.soc.core.supports(name, dtype):
        return _join_single_lanes(emitter, op, dtype, work, pitch, lanes)
    per = BLOCK // SIZES[dtype]
    blocks = left // BLOCK
    # One result per block, each row in a block of its own (the destination unit is 8 results), then one per
    # row.
    step = BLOCK // (8 * SIZES[dtype])
    rough = ub_buffer(kb, -(-limit // 8) * REPEAT_BYTES)
    kb.op(
        "vector_dup", dtype, rough, repeat=-(-limit // 8), value=raw_bits(NEUTRAL[op], dtype)
    )  # rows behind the last
    kb.op(
        name,
        dtype,
        rough,
        work,
        limits=bound,
        repeat=rows,
        dst_rep=step,
        src_rep=pitch // BLOCK,
        extents=None,
        **mask_bits(0, blocks * per),
    )
    _last_lanes(kb, name, dtype, packed, rough, blocks, emitter)
    return packed


def _join_single_lanes(emitter: TileEmitter, op: str, dtype: str, work: Ref, pitch: int, lanes: int) -> Ref:
    """Without vcgmax for the type: rows are folded to one block, its lanes taken out one by one as sums of one
    lane each, and joined."""
    kb, tile = emitter.kb, emitter.tile
    per = BLOCK // SIZES[dtype]
    if lanes > per:  # the tile itself may still be needed
        copy = _narrow(emitter, work, pitch, dtype, left=lanes * SIZES[dtype], stop=REPEAT_BYTES)
        work, pitch = copy, REPEAT_BYTES
    while lanes > per:
        half = -(-(lanes // per) // 2) * per
        emitter.rows2d(
            REDUCTIONS[op],
            dtype,
            [(work, pitch), (work, pitch), (work + half * SIZES[dtype], pitch)],
            lanes - half,
        )
        lanes = half
    count = -(-tile.rows_limit // LANES) * LANES
    run = TileEmitter(kb, Tile(1, 1, Count.of(count), 0, 0))
    total = Value(packed_buffer(kb, tile.rows_limit, dtype), dtype, False, True, 0)
    part = Value(packed_buffer(kb, tile.rows_limit, dtype), dtype, False, True, 0)
    for lane in range(per):
        into = part if lane else total
        run.apply("vector_dup", dtype, into, [], 0.0)
        masks = mask_bits(lane, lane + 1)
        bound = {"repeat": tile.rows_limit}
        kb.op(
            "vcadd",
            dtype,
            into.ref,
            work,
            limits=bound,
            extents=None,
            repeat=tile.rows,
            src_rep=pitch // BLOCK,
            **masks,
        )
        if lane:
            run.apply(REDUCTIONS[op], dtype, total, [total, part])
    return total.ref


def _last_lanes(
    kb: KernelBuilder, name: str, dtype: str, packed: Ref, rough: Ref, blocks: int, emitter: TileEmitter
) -> None:
    """The first `blocks` lanes of each row's block → one packed element per row, 8 rows per repeat."""
    rows, limit = emitter.tile.rows, emitter.tile.rows_limit
    per = BLOCK // SIZES[dtype]
    bits = sum(((1 << blocks) - 1) << (per * i) for i in range(8))
    halves = [(b ^ (1 << 63)) - (1 << 63) for b in (bits >> 64, bits & (2**64 - 1))]
    kb.op(
        name,
        dtype,
        packed,
        rough,
        limits={"repeat": -(-limit // 8)},
        repeat=kb.ceil_div(rows, 8),
        mask_hi=halves[0],
        mask_lo=halves[1],
    )
