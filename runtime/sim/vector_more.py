"""Vector instructions that are not lane by lane: reductions, compare and select, transposes, gather.

Reductions sum as a balanced binary tree over adjacent lanes of a block, then over blocks (inactive lanes
add nothing), in fp32 with one rounding at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

_COMPARE: tuple[Callable[..., Any], ...] = (
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
    index = _lane_elements(address, dtype, len(active), blk=blk, rep=rep)
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


def make_reduce(record: Decoded, soc: Soc) -> Executor:
    """vcadd, vcmax, vcmin, vcgadd, vcgmax, vcgmin, vcpadd."""
    rules = Rules(record, soc)
    dtype = DTYPES[record.dtype]
    lanes = 256 // dtype.itemsize
    function = {"vcadd": _whole_sum, "vcpadd": _pair_sum, "vcmax": _extreme, "vcmin": _extreme}.get(
        record.mnemonic, _block
    )
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
        function(record.mnemonic, values, active, target, v["dst_rep"])

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


def _whole_sum(name: str, values: Array, active: _Active, target: Array, step: int) -> None:
    sums = tree_sum(active.or_else(_wide(values), np.float32(0)))
    _write(target, _rounded(sums, target.dtype)[:, None], step, active.keep_repeat(1))


def _pair_sum(name: str, values: Array, active: _Active, target: Array, step: int) -> None:
    wide = active.or_else(_wide(values), np.float32(0))
    sums = wide[:, 0::2] + wide[:, 1::2]
    _write(target, _rounded(sums, target.dtype), step * 128 // target.itemsize, active.pairs)


def _extreme(name: str, values: Array, active: _Active, target: Array, step: int) -> None:
    """Pairs (value, lane); the lowest lane wins ties."""
    wide = active.or_else(_wide(values), _worst(target.dtype, name))
    lane: Array = np.argmax(wide, axis=1) if name == "vcmax" else np.argmin(wide, axis=1)
    row = np.arange(len(values))
    if not active.full:  # all active lanes may hold the worst value
        lane = np.where(active.lanes[row, lane], lane, np.argmax(active.lanes, axis=1))
    pairs = np.empty((len(values), 2), target.dtype)
    pairs[:, 0] = values[row, lane]
    index: Array = lane.astype(np.uint16 if target.itemsize == 2 else np.uint32)
    pairs[:, 1] = index.view(target.dtype)
    _write(target, pairs, 2 * step, active.keep_repeat(2))


def _worst(dtype: np.dtype[Any], name: str) -> Any:
    if dtype.kind == "f":
        return np.float32(-np.inf if name.endswith("max") else np.inf)
    info = np.iinfo(dtype)
    return info.min if name.endswith("max") else info.max


def _block(name: str, values: Array, active: _Active, target: Array, step: int) -> None:
    """One result per block of 32 bytes."""
    neutral = np.float32(0) if name == "vcgadd" else _worst(target.dtype, name)
    grid = active.or_else(_wide(values), neutral).reshape(len(values), 8, -1)
    if name == "vcgadd":
        result = _rounded(tree_sum(grid), target.dtype)
    else:
        result = np.max(grid, axis=2) if name == "vcgmax" else np.min(grid, axis=2)
    _write(target, result, 8 * step, active.blocks)


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
        result = _COMPARE[v["condition"]](sources[0], other)
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
    """vsel (bits of CMPMASK, again for each repeat) and vselv (bits from UB, contiguous)."""
    unit = VectorUnit(record, soc, ("dst", "src0", "src1"))
    rules, lanes = unit.rules, unit.lanes
    word = np.dtype(np.uint16 if lanes == 128 else np.uint32)
    condition = Operand(
        np.dtype(np.uint8), 1, 8, BLOCK // word.itemsize
    )  # a byte per lane, repeats contiguous
    plans: dict[tuple[Ints, State], Plan] = {}
    streamed = record.mnemonic == "vselv"

    def chosen(core: Core, addresses: Ints, repeats: int) -> Array:
        if not streamed:
            return np.tile(core.cmpmask[:lanes].view(np.uint8), repeats)
        size = repeats * lanes // 8
        rules.check_range(3, addresses[3], size, lanes // 8)
        return np.unpackbits(core.ub[addresses[3] : addresses[3] + size], bitorder="little")

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        key = (fields, state)
        plan = plans.get(key)
        if plan is None:
            plan = plans[key] = unit.make(fields, state, (condition,))
        if not plan.repeats:
            return
        unit.check(plan, addresses[:3])
        bits = chosen(core, addresses, plan.repeats)
        if plan.rewrites:
            one = unit.single(fields, state, (condition,))
            for repeat in range(plan.repeats):
                at = moved(plan, addresses[:3], repeat)
                _select(core.ub, one, at, bits[repeat * lanes :], word)
            return
        _select(core.ub, plan, addresses[:3], bits, word)

    return run


def _select(ub: Array, plan: Plan, addresses: Ints, bits: Array, word: np.dtype[Any]) -> None:
    for piece in plan.pieces:
        dst, first, second = (piece_view(ub, at, word, piece, n) for n, at in enumerate(addresses))
        condition = piece_view(bits, 0, np.dtype(np.bool_), piece, 3)
        dst[...] = np.where(condition, first, second)
    if plan.elements:
        dst, first, second = (element_view(ub, at, word) for at in addresses)
        places = plan.elements
        picked = np.where(bits[places[3]].view(np.bool_), first[places[1]], second[places[2]])
        dst[places[0]] = picked


def _lane_elements(address: int, dtype: np.dtype[Any], repeats: int, *, blk: int, rep: int) -> Array:
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
        _transpose_rows(views[0], views[1], v)

    return square if record.mnemonic == "vtranspose" else rows


def _transpose_rows(dst: Array, src: Array, v: dict[str, int]) -> None:
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


_PATTERNS = {1: (0, 2), 2: (1, 2), 3: (0, 4), 4: (1, 4), 5: (2, 4), 6: (3, 4)}


def make_gather(record: Decoded, soc: Soc) -> Executor:
    """vreduce (compress by a fixed pattern), vgather and vscatter (by byte offsets)."""
    rules = Rules(record, soc)
    gathers = record.mnemonic == "vgather"
    dtype = DTYPES[record.dtype]
    lanes = 256 // dtype.itemsize

    def compress(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields, state)
        repeats, _ = repeats_of(v, lanes)
        active = active_lanes(repeats, lanes, state)
        sizes = extents(record.row, record.dtype, v)
        if not active.size or not sizes[1]:
            return
        rules.check_range(1, addresses[1], sizes[1])
        values = gather_lanes(core, addresses[1], v, dtype, active)
        first, step = _PATTERNS[v["pattern"]]
        packed = values[:, first::step][active[:, first::step]]
        rules.check_range(0, addresses[0], packed.nbytes)
        element_view(core.ub, addresses[0], dtype)[: packed.size] = packed

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

    return compress if record.mnemonic == "vreduce" else indirect


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
        places = _lane_elements(
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
