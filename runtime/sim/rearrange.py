"""Executors that pack, pad, turn and gather lanes: vreduce, vreducev, vpadding, v4dtrans and vbi."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..isa.extents import extents, repeats_of
from ..isa.record import Decoded
from ..soc import Soc
from .byte_sets import lane_mask
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array, half_to_single, saturate
from .footprint import PATTERNS, padding_sources
from .vector import VectorUnit, element_view
from .vector_more import active_lanes, gather_lanes, lane_elements

if TYPE_CHECKING:
    from .memory import Core

_FULL = (-1, -1)


def _check_apart(rules: Rules, addresses: Ints, sizes: Ints) -> None:
    """The destination must not overlap a source: the unit reads while it writes."""
    for operand in range(1, len(addresses)):
        distance = addresses[operand] - addresses[0]
        if sizes[operand] and -sizes[operand] < distance < sizes[0]:
            rules.fault(rules.record.row.addresses[operand].name, "overlaps the destination")


def make_compress(record: Decoded, soc: Soc) -> Executor:
    """vreduce (keeps lanes by a fixed pattern) and vreducev (by a bit tensor); both count what they keep."""
    rules = Rules(record, soc)
    dtype = DTYPES[record.dtype]
    lanes = 256 // dtype.itemsize

    def kept(core: Core, addresses: Ints, v: dict[str, int], active: Array) -> Array:
        if record.mnemonic == "vreduce":
            first, step = PATTERNS[v["pattern"]]
            return active & (np.arange(lanes) % step == first)
        at = addresses[2] + np.arange(len(active))[:, None] * v["bits_rep"] * 32 + np.arange(lanes // 8)
        return active & np.unpackbits(core.ub[at], axis=1, bitorder="little").view(np.bool_)

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields, state)
        repeats, _ = repeats_of(v, lanes)
        active = active_lanes(repeats, lanes, (_FULL, *state))
        if not active.size:
            core.kept = 0
            return
        sizes = extents(record.row, record.dtype, v)
        for operand in range(1, len(addresses)):
            rules.check_range(operand, addresses[operand], sizes[operand])
        chosen = kept(core, addresses, v, active)
        values = gather_lanes(core, addresses[1], v, dtype, active)[chosen]
        rules.check_range(0, addresses[0], values.nbytes)
        _check_apart(rules, addresses, (values.nbytes, *sizes[1:]))
        element_view(core.ub, addresses[0], dtype)[: values.size] = values
        core.kept = values.size

    return run


def make_padding(record: Decoded, soc: Soc) -> Executor:
    """vpadding: what continues each block beyond one of its sides."""
    unit = VectorUnit(record, soc)
    dtype = np.dtype(f"u{DTYPES[record.dtype].itemsize}")
    width = 32 // dtype.itemsize

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        plan = unit.plan(fields, state)
        if not plan.repeats:
            return
        v = unit.rules.values(fields, state)
        unit.check(plan, addresses)
        active = active_lanes(plan.repeats, unit.lanes, state)
        source = padding_sources(width, v["pad_mode"], v["side"])
        lane = np.arange(unit.lanes)
        wanted = source[lane % width]
        sides = [
            lane_elements(at, dtype, plan.repeats, blk=v[f"{name}_blk"], rep=v[f"{name}_rep"])
            for name, at in (("dst", addresses[0]), ("src", addresses[1]))
        ]
        if not v["dst_blk"]:  # as everywhere: a destination block stride of 0 counts as 1
            sides[0] = lane_elements(addresses[0], dtype, plan.repeats, blk=1, rep=v["dst_rep"])
        ub = element_view(core.ub, 0, dtype)
        from_lane = lane - lane % width + np.maximum(wanted, 0)
        values = np.where(wanted >= 0, ub.take(sides[1][:, from_lane], mode="clip"), 0)
        for repeat in range(plan.repeats) if plan.rewrites else ():
            ub[sides[0][repeat][active[repeat]]] = values[repeat][active[repeat]]
        if not plan.rewrites:
            ub[sides[0][active]] = values[active]

    return run


def make_turn(record: Decoded, soc: Soc) -> Executor:
    """v4dtrans: channels first to channels last, or back."""
    rules = Rules(record, soc)
    size = DTYPES[record.dtype].itemsize

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        positions, channels = v["positions"], v["channels"]
        if not positions or not channels:
            return
        if positions * size % 32:
            rules.fault("positions", f"{positions} elements of {size} bytes are no multiple of 32 bytes")
        volume = positions * channels * size
        for operand in range(2):
            rules.check_range(operand, addresses[operand], volume)
        _check_apart(rules, addresses, (volume, volume))
        shape = (channels, positions) if v["chw_to_hwc"] else (positions, channels)
        word = np.dtype(f"u{size}")
        source, target = (element_view(core.ub, at, word)[: volume // size] for at in addresses[::-1])
        target[...] = source.reshape(shape).T.reshape(-1)

    return run


def make_interpolation(record: Decoded, soc: Soc) -> Executor:
    """vbi: sums of gathered blocks times factors, product and sum rounded to fp16 in every step."""
    rules = Rules(record, soc)

    def check(core: Core, addresses: Ints, v: dict[str, int], active: Array) -> Array:
        """The element numbers in UB of the lanes (v, h, 128) that are gathered."""
        sizes = extents(record.row, record.dtype, v)
        if v["v_offset"] % 16:
            rules.fault("v_offset", f"{v['v_offset']} elements are no multiple of 32 bytes")
        for operand, size in enumerate(sizes):  # the table's extent, 0, is its alignment
            rules.check_range(operand, addresses[operand], size)
        _check_apart(rules, addresses, sizes)
        blocks = active.reshape(8, 16).any(axis=1)
        steps = v["v_repeat"] * v["h_repeat"]
        words = element_view(core.ub, addresses[1], np.dtype(np.uint32))
        index = np.arange(steps * 8).reshape(steps, 8)[:, blocks]
        offsets = np.zeros((steps, 8), np.int64)
        offsets[:, blocks] = words[index]
        if bool((offsets % 32).any()):
            rules.fault("offset", "a byte offset is not a multiple of 32")
        rules.check_range(2, addresses[2], int(offsets.max()) + 32)
        first = (addresses[2] + offsets) // 2
        lanes = first[:, :, None] + np.arange(16)
        return lanes.reshape(v["v_repeat"], v["h_repeat"], 128)

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields, state)
        active = lane_mask(v, 128)
        if not bool(active.any()):
            return
        places = check(core, addresses, v, active)
        halves = element_view(core.ub, 0, np.dtype("<f2"))
        shape = (v["v_repeat"], v["h_repeat"])
        number = np.arange(shape[0] * shape[1]).reshape(*shape, 1) + addresses[3] // 2
        if v["each_block"]:
            number = (number - addresses[3] // 2) * 8 + np.arange(128) // 16 + addresses[3] // 2
        factors = halves.take(np.broadcast_to(number, (*shape, 128)), mode="clip")
        total = _products(halves[places], factors)
        target = lane_elements(
            addresses[0], halves.dtype, shape[0], blk=v["dst_blk"] or 1, rep=v["v_offset"] // 16
        )
        for row in range(shape[0]):  # in order: with a small distance of the sums later ones win
            halves[target[row][active]] = total[row][active]

    return run


def _products(values: Array, factors: Array) -> Array:
    """Σ over the second axis, one step after the other, each rounded to fp16 and saturating."""
    products = _half(half_to_single(values) * half_to_single(factors))
    total = products[:, 0]
    for step in range(1, products.shape[1]):
        total = _half(half_to_single(total) + half_to_single(products[:, step]))
    return total


def _half(single: Array) -> Array:
    return saturate(single).astype(np.float16)
