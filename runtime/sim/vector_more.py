"""Vector instructions that are not lane by lane: reductions, compare and select, transposes, gather.

Reductions sum as a balanced binary tree over adjacent lanes of a block, then over blocks (inactive lanes
add nothing), in fp32 with one rounding at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..isa.extents import extents, repeats_of
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array, from_bits, half_to_single, saturate, store_half
from .vector import VectorUnit, element_view, moved, piece_view
from .vector_plan import BLOCK, Operand, Plan

if TYPE_CHECKING:
    from .memory import Core

COMPARE: tuple[Callable[..., Any], ...] = (
    np.equal,
    np.not_equal,
    np.less,
    np.greater,
    np.less_equal,
    np.greater_equal,
)


def _lane_grid(ub: Array, address: int, dtype: np.dtype[Any], repeats: int, *, blk: int, rep: int) -> Array:
    """(repeats, 8 blocks, elements) view of a source."""
    size = dtype.itemsize
    return np.ndarray((repeats, 8, BLOCK // size), dtype, ub, address, (rep * BLOCK, blk * BLOCK, size))


def active_lanes(repeats: int, lanes: int, state: State) -> Array:
    """(repeats, lanes) booleans: which lanes take part."""
    (high, low), (count,) = state
    if count >= 0:
        return (np.arange(repeats * lanes) < count).reshape(repeats, lanes)
    bits = (high & (1 << 64) - 1) << 64 | low & (1 << 64) - 1
    one = np.unpackbits(np.frombuffer(bits.to_bytes(16, "little"), np.uint8), bitorder="little")[:lanes]
    return np.broadcast_to(one.astype(np.bool_), (repeats, lanes))


def gather_lanes(core: Core, address: int, v: dict[str, int], dtype: np.dtype[Any], active: Array) -> Array:
    """(repeats, lanes) values of the source; lanes outside UB are inactive (the hull was checked)."""
    blk, rep = v.get("src_blk", 1), v["src_rep"]
    lanes = active.shape[1]
    end = address + ((len(active) - 1) * rep + 7 * blk + 1) * BLOCK
    if end <= len(core.ub):
        return _lane_grid(core.ub, address, dtype, len(active), blk=blk, rep=rep).reshape(len(active), lanes)
    index = lane_elements(address, dtype, len(active), blk=blk, rep=rep)
    return element_view(core.ub, 0, dtype).take(index, mode="clip")


def tree_sum(values: Array) -> Array:
    """Sum over the last axis (a power of two long): adjacent pairs, then pairs of pairs, …"""
    while values.shape[-1] > 1:
        values = values[..., 0::2] + values[..., 1::2]
    return values[..., 0]


def _wide(values: Array) -> Array:
    return half_to_single(values) if values.dtype == np.float16 else values


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    if dtype != np.float16:
        return values
    half = np.empty(values.shape, np.float16)
    store_half(values, half)
    return half


@dataclass(frozen=True)
class _Active:
    """Lanes that take part (repeats, lanes), and which results exist; None where all do."""

    lanes: Array
    full: bool
    repeats: Array | None
    pairs: Array | None
    blocks: Array | None

    @staticmethod
    def of(lanes: Array, per_block: int) -> _Active:
        if bool(lanes.all()):
            return _Active(lanes, True, None, None, None)
        blocks = np.logical_or.reduce(lanes.reshape(len(lanes), 8, per_block), axis=2)
        pairs = lanes[:, 0::2] | lanes[:, 1::2]
        return _Active(lanes, False, np.logical_or.reduce(lanes, axis=1), pairs, blocks)

    def or_else(self, values: Array, neutral: Any) -> Array:
        """`values` with `neutral` in the inactive lanes."""
        return values if self.full else np.where(self.lanes, values, neutral)

    def keep_repeat(self, width: int) -> Array | None:
        """Which of `width` results per repeat exist."""
        return None if self.repeats is None else np.repeat(self.repeats[:, None], width, axis=1)


_Reduction: TypeAlias = "Callable[[str, Array, _Active, Array, dict[str, int]], Array | None]"


def make_reduce(record: Decoded, soc: Soc) -> Executor:
    """vcadd, vcmax, vcmin, vcgadd, vcgmax, vcgmin, vcpadd."""
    rules = Rules(record, soc)
    dtype = DTYPES[record.dtype]
    lanes = 256 // dtype.itemsize
    function: _Reduction = {
        "vcadd": _whole_sum,
        "vcpadd": _pair_sum,
        "vcmax": _extreme,
        "vcmin": _extreme,
    }.get(record.mnemonic, _block)
    align = {"vcadd": 1, "vcmax": 2, "vcmin": 2}.get(record.mnemonic, 8) * dtype.itemsize
    plans: dict[tuple[Ints, State], tuple[dict[str, int], _Active, Ints]] = {}

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        key = (fields, state)
        found = plans.get(key)
        if found is None:
            v = rules.values(fields, state)
            repeats, _ = repeats_of(v, lanes)
            active = _Active.of(active_lanes(repeats, lanes, state), BLOCK // dtype.itemsize)
            found = plans[key] = (v, active, extents(record.row, record.dtype, v))
        v, active, sizes = found
        if not sizes[1]:
            return
        rules.check_range(0, addresses[0], sizes[0], align)
        rules.check_range(1, addresses[1], sizes[1])
        values = gather_lanes(core, addresses[1], v, dtype, active.lanes)
        target = element_view(core.ub, addresses[0], dtype)
        found = function(record.mnemonic, values, active, target, v)
        if found is not None:
            core.found = (record.mnemonic, found if active.repeats is None else found[active.repeats])

    return run


def _write(target: Array, values: Array, step: int, keep: Array | None) -> None:
    """Row r of `values` (repeats, width) to target[r·step …] where `keep` (None: all); later rows win."""
    repeats, width = values.shape
    if step >= width or repeats == 1:
        size = target.itemsize
        view = np.ndarray((repeats, width), target.dtype, target, 0, (step * size, size))
        if keep is None:
            view[...] = values
        else:
            view[keep] = values[keep]
        return
    for repeat in range(repeats):
        row = target[repeat * step : repeat * step + width]
        chosen = ... if keep is None else keep[repeat]
        row[chosen] = values[repeat][chosen]


def _whole_sum(name: str, values: Array, active: _Active, target: Array, v: dict[str, int]) -> None:
    sums = tree_sum(active.or_else(_wide(values), np.float32(0)))
    _write(target, _rounded(sums, target.dtype)[:, None], v["dst_rep"], active.keep_repeat(1))


def _pair_sum(name: str, values: Array, active: _Active, target: Array, v: dict[str, int]) -> None:
    wide = active.or_else(_wide(values), np.float32(0))
    sums = wide[:, 0::2] + wide[:, 1::2]
    _write(target, _rounded(sums, target.dtype), v["dst_rep"] * 128 // target.itemsize, active.pairs)


def _extreme(name: str, values: Array, active: _Active, target: Array, v: dict[str, int]) -> Array:
    """Pairs (value, lane), or (lane, value); the lowest lane wins ties.  Returns the values."""
    wide = active.or_else(_wide(values), _worst(target.dtype, name))
    lane: Array = np.argmax(wide, axis=1) if name == "vcmax" else np.argmin(wide, axis=1)
    row = np.arange(len(values))
    if not active.full:  # all active lanes may hold the worst value
        lane = np.where(active.lanes[row, lane], lane, np.argmax(active.lanes, axis=1))
    pairs = np.empty((len(values), 2), target.dtype)
    pairs[:, v["order"]] = values[row, lane]
    index: Array = lane.astype(np.uint16 if target.itemsize == 2 else np.uint32)
    pairs[:, 1 - v["order"]] = index.view(target.dtype)
    _write(target, pairs, 2 * v["dst_rep"], active.keep_repeat(2))
    return pairs[:, v["order"]]


def extreme_bits(found: tuple[str, Array] | None) -> int:
    """MAX_MIN_CNT: raw bits of what the last vcmax or vcmin found in all its repeats, 0 when it had no lane."""
    if found is None or not found[1].size:
        return 0
    wide = _wide(found[1])
    best = found[1][np.argmax(wide) if found[0] == "vcmax" else np.argmin(wide)]
    return int.from_bytes(best.tobytes(), "little")


def _worst(dtype: np.dtype[Any], name: str) -> Any:
    if dtype.kind == "f":
        return np.float32(-np.inf if name.endswith("max") else np.inf)
    info = np.iinfo(dtype)
    return info.min if name.endswith("max") else info.max


def _block(name: str, values: Array, active: _Active, target: Array, v: dict[str, int]) -> None:
    """One result per block of 32 bytes."""
    neutral = np.float32(0) if name == "vcgadd" else _worst(target.dtype, name)
    grid = active.or_else(_wide(values), neutral).reshape(len(values), 8, -1)
    if name == "vcgadd":
        result = _rounded(tree_sum(grid), target.dtype)
    else:
        result = np.max(grid, axis=2) if name == "vcgmax" else np.min(grid, axis=2)
        if grid.dtype.kind == "f":  # of two zeros the positive one is the greater
            zero = result == 0
            if zero.any():
                signs = np.signbit(grid[zero])
                equal = grid[zero] == 0
                negative = (signs | ~equal).all(axis=1) if name == "vcgmax" else (signs & equal).any(axis=1)
                result[zero] = np.where(negative, np.float32(-0.0), np.float32(0))
    _write(target, result, 8 * v["dst_rep"], active.blocks)


def make_compare(record: Decoded, soc: Soc) -> Executor:
    """vcmp (to CMPMASK), vcmpv and vcmpvs (bits to UB), set_cmpmask and get_cmpmask."""
    rules = Rules(record, soc)
    if record.mnemonic in ("set_cmpmask", "get_cmpmask"):
        return _make_cmpmask_copy(rules)
    dtype = DTYPES[record.dtype]
    lanes = 256 // dtype.itemsize
    to_register = record.mnemonic == "vcmp"
    plans: dict[tuple[Ints, State], tuple[dict[str, int], Ints]] = {}

    def source(core: Core, operand: int, address: int, v: dict[str, int], extent: int) -> Array:
        rules.check_range(operand, address, extent)
        name = record.row.addresses[operand].name
        grid = _lane_grid(
            core.ub, address, dtype, v.get("repeat", 1), blk=v[f"{name}_blk"], rep=v.get(f"{name}_rep", 0)
        )
        return _wide(grid.reshape(-1, lanes))

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        key = (fields, state)
        found = plans.get(key)
        if found is None:
            v = rules.values(fields, state)
            found = plans[key] = (v, extents(record.row, record.dtype, v))
        v, sizes = found
        if v.get("repeat", 1) == 0:
            return
        if record.dtype == "s32" and v["condition"]:
            rules.fault("condition", "integers are compared for equality only")
        first = 0 if to_register else 1
        sources = [source(core, n, addresses[n], v, sizes[n]) for n in range(first, len(addresses))]
        other = sources[1] if len(sources) > 1 else from_bits(scalars[0], record.dtype)
        result = COMPARE[v["condition"]](sources[0], other)
        if to_register:
            active = active_lanes(1, lanes, state)[0]
            core.cmpmask[:lanes][active] = result[0][active]
            return
        rules.check_range(0, addresses[0], sizes[0], 16 if dtype.itemsize == 2 else 8)
        core.ub[addresses[0] : addresses[0] + sizes[0]] = np.packbits(result.reshape(-1), bitorder="little")

    return run


def _make_cmpmask_copy(rules: Rules) -> Executor:
    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        rules.check_range(0, addresses[0], 16)
        bits = core.ub[addresses[0] : addresses[0] + 16]
        if rules.record.mnemonic == "set_cmpmask":
            core.cmpmask[...] = np.unpackbits(bits, bitorder="little").astype(np.bool_)
        else:
            bits[...] = np.packbits(core.cmpmask, bitorder="little")

    return run


def make_select(record: Decoded, soc: Soc) -> Executor:
    """vsel (bits of CMPMASK, again for each repeat), vselv and vselvs (bits from UB, contiguous)."""
    unit = VectorUnit(record, soc, [a.name for a in record.row.addresses if a.name != "bits"])
    rules, lanes = unit.rules, unit.lanes
    word_name = "u16" if lanes == 128 else "u32"
    word = DTYPES[word_name]
    condition = Operand(
        np.dtype(np.uint8), 1, 8, BLOCK // word.itemsize
    )  # a byte per lane, repeats contiguous
    plans: dict[tuple[Ints, State], Plan] = {}
    streamed = record.mnemonic != "vsel"
    tensors = len(unit.names)

    def chosen(core: Core, addresses: Ints, repeats: int) -> Array:
        if not streamed:
            return np.tile(core.cmpmask[:lanes].view(np.uint8), repeats)
        size = repeats * lanes // 8
        at = addresses[tensors]
        rules.check_range(tensors, at, size, lanes // 8)
        return np.unpackbits(core.ub[at : at + size], bitorder="little")

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        key = (fields, state)
        plan = plans.get(key)
        if plan is None:
            plan = plans[key] = unit.make(fields, state, (condition,))
        if not plan.repeats:
            return
        unit.check(plan, addresses[:tensors])
        bits = chosen(core, addresses, plan.repeats)
        other = from_bits(scalars[0], word_name) if scalars else None
        if plan.rewrites:
            one = unit.single(fields, state, (condition,))
            for repeat in range(plan.repeats):
                at = moved(plan, addresses[:tensors], repeat)
                _select(core.ub, one, at, bits[repeat * lanes :], word, other)
            return
        _select(core.ub, plan, addresses[:tensors], bits, word, other)

    return run


def _select(ub: Array, plan: Plan, addresses: Ints, bits: Array, word: np.dtype[Any], other: Any) -> None:
    """`other` is the scalar where there is no third tensor."""
    for piece in plan.pieces:
        views = [piece_view(ub, at, word, piece, n) for n, at in enumerate(addresses)]
        condition = piece_view(bits, 0, np.dtype(np.bool_), piece, len(addresses))
        views[0][...] = np.where(condition, *views[1:], *(() if other is None else (other,)))
    if plan.elements:
        places = plan.elements
        picked = [element_view(ub, at, word)[index] for at, index in zip(addresses, places, strict=False)]
        condition = bits[places[len(addresses)]].view(np.bool_)
        result = np.where(condition, *picked[1:], *(() if other is None else (other,)))
        element_view(ub, addresses[0], word)[places[0]] = result


def lane_elements(address: int, dtype: np.dtype[Any], repeats: int, *, blk: int, rep: int) -> Array:
    """Element numbers in UB of all lanes (repeats, lanes)."""
    per_block = BLOCK // dtype.itemsize
    lane = np.arange(8 * per_block)
    inside = lane // per_block * blk * per_block + lane % per_block
    return address // dtype.itemsize + np.arange(repeats)[:, None] * rep * per_block + inside


def make_transpose(record: Decoded, soc: Soc) -> Executor:
    """vtranspose and vnchwconv."""
    rules = Rules(record, soc)
    plans: dict[Ints, tuple[dict[str, int], Ints]] = {}
    dtype = DTYPES[record.dtype]

    def square(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        for operand in range(2):
            rules.check_range(operand, addresses[operand], 512)
        source = core.ub[addresses[1] : addresses[1] + 512].view(np.uint16).reshape(16, 16).T.copy()
        core.ub[addresses[0] : addresses[0] + 512].view(np.uint16).reshape(16, 16)[...] = source

    def rows(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        found = plans.get(fields)
        if found is None:
            v = rules.values(fields)
            found = plans[fields] = (v, extents(record.row, record.dtype, v))
        v, sizes = found
        if not v["repeat"]:
            return
        for operand in range(2):
            rules.check_range(operand, addresses[operand], sizes[operand])
        size = dtype.itemsize
        views = [
            np.ndarray(
                (v["repeat"], 16, BLOCK // size),
                np.dtype(f"u{size}"),
                core.ub,
                addresses[operand],
                (v[f"{side}_rep"] * BLOCK, v[f"{side}_row_stride"] * BLOCK, size),
            )
            for operand, side in enumerate(("dst", "src"))
        ]
        transpose_rows(views[0], views[1], v)

    return square if record.mnemonic == "vtranspose" else rows


def transpose_rows(dst: Array, src: Array, v: dict[str, int]) -> None:
    values = src.copy()
    repeats = len(values)
    size = values.itemsize
    if size == 1:  # 16 rows × 16 bytes of one half of each block
        half = values[:, :, 16:] if v["src_high"] else values[:, :, :16]
        turned = half.transpose(0, 2, 1)
        target = dst[:, :, 16:] if v["dst_high"] else dst[:, :, :16]
    elif size == 2:
        turned, target = values.transpose(0, 2, 1), dst
    else:  # 8 columns of 16 rows: column j becomes destination rows 2j and 2j + 1
        turned, target = values.transpose(0, 2, 1).reshape(repeats, 16, 8), dst
    for repeat in range(repeats) if v["dst_rep"] * BLOCK < 512 and repeats > 1 else ():
        target[repeat] = turned[repeat]
    if not (v["dst_rep"] * BLOCK < 512 and repeats > 1):
        target[...] = turned


def make_gather(record: Decoded, soc: Soc) -> Executor:
    """vgather and vscatter (by byte offsets)."""
    rules = Rules(record, soc)
    gathers = record.mnemonic == "vgather"
    dtype = DTYPES[record.dtype]
    lanes = 256 // dtype.itemsize

    def indirect(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields, state)
        repeats, _ = repeats_of(v, lanes)
        active = active_lanes(repeats, lanes, state)
        if not active.size or not bool(active.any()):
            return
        sizes = extents(record.row, record.dtype, v)
        for operand in range(3):  # the table's extent, 0, is its alignment
            rules.check_range(operand, addresses[operand], sizes[operand])
        row, lane = np.nonzero(active)
        at = addresses[1 if gathers else 2]
        words = core.ub[at : at + sizes[1 if gathers else 2]].view(np.uint32)
        offsets = words[row * lanes + lane].astype(np.int64)
        if bool((offsets % dtype.itemsize).any()):
            rules.fault("offset", f"a byte offset is not a multiple of {dtype.itemsize}")
        table, data = (2, 0) if gathers else (0, 1)
        rules.check_range(table, addresses[table], int(offsets.max()) + dtype.itemsize)
        places = row * (v["dst_rep" if gathers else "src_rep"] * BLOCK // dtype.itemsize) + lane
        far = element_view(core.ub, addresses[table], dtype)
        near = element_view(core.ub, addresses[data], dtype)
        if gathers:
            near[places] = far[offsets // dtype.itemsize]
        else:
            far[offsets // dtype.itemsize] = near[places]

    return indirect


def make_ramp(record: Decoded, soc: Soc) -> Executor:
    """vci: scalar + i, i counting active positions from 0 over all repeats."""
    unit = VectorUnit(record, soc)
    dtype = DTYPES[record.dtype]

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        plan = unit.plan(fields, state)
        if not plan.repeats:
            return
        unit.check(plan, addresses)
        v = unit.rules.values(fields, state)
        active = active_lanes(plan.repeats, unit.lanes, state).reshape(-1)
        places = lane_elements(
            addresses[0], dtype, plan.repeats, blk=v["dst_blk"] or 1, rep=v["dst_rep"]
        ).reshape(-1)
        start = from_bits(scalars[0], record.dtype)
        ramp = (
            np.float64(start) + np.arange(len(places))
            if dtype.kind == "f"
            else int(start) + np.arange(len(places))
        )
        values = saturate(ramp.astype(np.float32)) if dtype == np.float16 else ramp
        element_view(core.ub, 0, dtype)[places[active]] = values[active].astype(dtype)

    return run
