"""Vector instructions that only split chips have: block broadcast and gather, sorting of records, compression."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..isa.extents import BLOCK, extents, repeats_of
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array
from .sort import merge_lengths, merged_order, sort_keys, taken
from .split_footprint import COMPRESSED
from .vector import element_view
from .vector_more import active_lanes, gather_lanes

if TYPE_CHECKING:
    from .memory import Core

_RECORD = 8  # bytes
_GROUP = 32


def make_split_vector(record: Decoded, soc: Soc) -> Executor:
    """vbrcb, vgatherb, vbitsort32, vmrgsort4v2 and vreducev2."""
    rules = Rules(record, soc)
    match record.mnemonic:
        case "vbrcb":
            return _broadcast(rules)
        case "vgatherb":
            return _gather_blocks(rules)
        case "vbitsort32":
            return _sort(rules)
        case "vmrgsort4v2":
            return _merge(rules)
        case _:
            return _compress(rules)


def _checked(rules: Rules, addresses: Ints, v: dict[str, int], *, apart: bool = False) -> Ints:
    """Extents, after alignment and bounds; `apart`: no source may overlap the destination."""
    row = rules.record.row
    sizes = extents(row, rules.record.dtype, v)
    for operand, size in enumerate(sizes):
        if not size:
            continue
        rules.check_range(operand, addresses[operand], size)
        distance = addresses[operand] - addresses[0]
        if apart and operand and -size < distance < sizes[0]:
            rules.fault(row.addresses[operand].name, "overlaps the destination")
    return sizes


def _block_targets(core: Core, address: int, v: dict[str, int]) -> Ints:
    """Block numbers in UB of the eight destination blocks of each repeat, in order."""
    start = np.arange(v["repeat"])[:, None] * v["dst_rep"] + np.arange(8) * (v["dst_blk"] or 1)
    return tuple((start + address // BLOCK).reshape(-1).tolist())


def _broadcast(rules: Rules) -> Executor:
    dtype = DTYPES[rules.record.dtype]

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        if not v["repeat"]:
            return
        _checked(rules, addresses, v | {"dst_blk": v["dst_blk"] or 1}, apart=True)
        values = element_view(core.ub, addresses[1], dtype)[: 8 * v["repeat"]]
        blocks = np.repeat(values, BLOCK // dtype.itemsize).view(np.uint8).reshape(-1, BLOCK)
        core.ub.reshape(-1, BLOCK)[list(_block_targets(core, addresses[0], v))] = blocks

    return run


def _gather_blocks(rules: Rules) -> Executor:
    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        if not v["repeat"]:
            return
        _checked(rules, addresses, v | {"dst_blk": v["dst_blk"] or 1})
        rules.check_range(2, addresses[2], 0)
        offsets = core.ub[addresses[1] : addresses[1] + 32 * v["repeat"]].view(np.uint32).astype(np.int64)
        if bool((offsets % BLOCK).any()):
            rules.fault("offset", "a byte offset is not a multiple of 32")
        rules.check_range(2, addresses[2], int(offsets.max()) + BLOCK)
        table = core.ub.reshape(-1, BLOCK)
        found = table[(offsets + addresses[2]) // BLOCK]
        table[list(_block_targets(core, addresses[0], v))] = found

    return run


def _records(core: Core, address: int, count: int) -> Array:
    """`count` records from `address` on, as rows of two words."""
    return core.ub[address : address + count * _RECORD].view(np.uint32).reshape(count, 2)


def _scores(records: Array, dtype: np.dtype[np.generic]) -> Array:
    """The scores of records."""
    words = np.ascontiguousarray(records[:, 0])
    return words.astype(np.uint16).view(np.float16) if dtype == np.float16 else words.view(np.float32)


def _sort(rules: Rules) -> Executor:
    dtype = DTYPES[rules.record.dtype]

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        count = v["repeat"] * _GROUP
        if not count:
            return
        _checked(rules, addresses, v, apart=True)
        scores = element_view(core.ub, addresses[1], dtype)[:count]
        index = element_view(core.ub, addresses[2], np.dtype(np.uint32))[:count]
        order = np.argsort(sort_keys(scores.reshape(-1, _GROUP)), axis=1, kind="stable")
        made = np.zeros((v["repeat"], _GROUP, 2), np.uint32)
        words = scores.view(np.uint16 if dtype == np.float16 else np.uint32).astype(np.uint32)
        for column, values in enumerate((words, index)):
            made[:, :, column] = np.take_along_axis(values.reshape(-1, _GROUP), order, axis=1)
        _records(core, addresses[0], count)[...] = made.reshape(-1, 2)

    return run


def _merge(rules: Rules) -> Executor:
    dtype = DTYPES[rules.record.dtype]

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        if v["valid"] not in (3, 7, 15):
            rules.fault("valid", f"{v['valid']}: 3, 7 or 15 name the lists that exist")
        lengths = merge_lengths(v)
        if v["repeat"] > 1:
            behind = all(b - a == lengths[0] * _RECORD for a, b in pairwise(addresses[1:]))
            if v["valid"] != 15 or len(set(lengths)) > 1 or not behind:
                rules.fault("repeat", "more than 1 needs four equally long lists, one behind the other")
        _checked(rules, addresses, v, apart=True)
        for repeat in range(v["repeat"]):
            far = repeat * sum(lengths) * _RECORD
            lists = [_records(core, addresses[1 + i] + far, n) for i, n in enumerate(lengths)]
            which, places = merged_order([_scores(part, dtype) for part in lists], suspend=v["suspend"] == 1)
            merged = taken(lists, which, places)
            if len(merged):
                _records(core, addresses[0] + far, len(merged))[...] = merged

    return run


def _compress(rules: Rules) -> Executor:
    dtype = DTYPES[rules.record.dtype]
    lanes = 256 // dtype.itemsize

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields, state)
        repeats, _ = repeats_of(v, lanes)
        active = active_lanes(repeats, lanes, state)
        sizes = extents(rules.record.row, rules.record.dtype, v)
        if not active.size or not sizes[1]:
            return
        rules.check_range(1, addresses[1], sizes[1])
        if v["pattern"]:
            first, step = COMPRESSED[v["pattern"]]
            kept = active & (np.arange(lanes) % step == first)
        else:
            rules.check_range(2, addresses[2], sizes[2])
            shape, strides = (repeats, lanes // 8), (v["bits_rep"] * BLOCK, 1)
            bits = np.ndarray(shape, np.uint8, core.ub, addresses[2], strides)
            kept = active & np.unpackbits(bits, axis=1, bitorder="little").astype(np.bool_)
        packed = gather_lanes(core, addresses[1], v, dtype, active)[kept]
        rules.check_range(0, addresses[0], packed.nbytes)
        element_view(core.ub, addresses[0], dtype)[: packed.size] = packed

    return run
