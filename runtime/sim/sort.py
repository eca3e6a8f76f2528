"""Executors of the instructions on region proposals: sort, merge, and single elements in and out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..isa.extents import PROPOSAL, extents, type_size
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array
from .vector import element_view

if TYPE_CHECKING:
    from .memory import Core

_SCORE = 4
_GROUP = 16
_COUNT_BITS = 13  # of each list in VMS4_SR


def sort_keys(scores: Array) -> Array:
    """Numbers that grow as scores fall; nan comes last."""
    wide = -scores.astype(np.float64)
    return np.where(np.isnan(wide), np.inf, wide)


def make_sort(record: Decoded, soc: Soc) -> Executor:
    """vbitsort, vmrgsort4, vconcat and vextract."""
    rules = Rules(record, soc)
    dtype = DTYPES[record.dtype]

    def check(addresses: Ints, v: dict[str, int]) -> None:
        sizes = extents(record.row, record.dtype, v)
        for operand, size in enumerate(sizes):
            if not size:
                continue
            rules.check_range(operand, addresses[operand], size)
            distance = addresses[operand] - addresses[0]
            if operand and -size < distance < sizes[0]:
                rules.fault(record.row.addresses[operand].name, "overlaps the destination")

    def proposals(core: Core, address: int, count: int) -> Array:
        if not count:  # an empty list may have any address: nothing has checked it
            return np.zeros((0, PROPOSAL), dtype)
        return element_view(core.ub, address, dtype)[: count * PROPOSAL].reshape(count, PROPOSAL)

    def sort(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        check(addresses, v)
        source = proposals(core, addresses[1], v["repeat"] * _GROUP).reshape(-1, _GROUP, PROPOSAL)
        order = np.argsort(sort_keys(source[:, :, _SCORE]), axis=1, kind="stable")
        result = np.take_along_axis(source, order[:, :, None], axis=1)
        proposals(core, addresses[0], v["repeat"] * _GROUP)[...] = result.reshape(-1, PROPOSAL)

    def merge(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        lengths = merge_lengths(v)
        if v["valid"] not in (3, 7, 15):
            rules.fault("valid", f"{v['valid']}: 3, 7 or 15 name the lists that exist")
        if v["repeat"] > 1:
            step = lengths[0] * PROPOSAL * type_size(record.dtype)
            behind = all(b - a == step for a, b in pairwise(addresses[1:]))
            if v["valid"] != 15 or len(set(lengths)) > 1 or not behind:
                rules.fault("repeat", "more than 1 needs four equally long lists, one behind the other")
        check(addresses, v)
        total = sum(lengths)
        for repeat in range(v["repeat"]):
            far = repeat * total * PROPOSAL * type_size(record.dtype)
            lists = [proposals(core, addresses[1 + i] + far, n) for i, n in enumerate(lengths)]
            result, heads = _merged(lists, suspend=v["suspend"] == 1)
            core.merged = sum(head << _COUNT_BITS * place for place, head in enumerate(heads))
            proposals(core, addresses[0] + far, len(result))[...] = result

    def element(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        check(addresses, v)
        count = v["repeat"] * _GROUP
        if not count:
            return
        packed, single = (0, 1) if record.mnemonic == "vconcat" else (1, 0)
        column = proposals(core, addresses[packed], count)[:, v["position"]]
        values = element_view(core.ub, addresses[single], dtype)[:count]
        target, source = (column, values) if packed == 0 else (values, column)
        target[...] = source

    return {"vbitsort": sort, "vmrgsort4": merge}.get(record.mnemonic, element)


def merge_lengths(v: dict[str, int]) -> list[int]:
    """Proposals of each list that exists."""
    return [v[f"length{i}"] for i in range(4) if v["valid"] >> i & 1]


def _merged(lists: Sequence[Array], *, suspend: bool) -> tuple[Array, list[int]]:
    """What comes out, and how much of each list.

    As the unit does it: always the highest head, the first list on a tie (lists need not be sorted).
    """
    which, places = merged_order([values[:, _SCORE] for values in lists], suspend=suspend)
    return taken(lists, which, places), np.bincount(which, minlength=len(lists)).tolist()


def taken(lists: Sequence[Array], which: NDArray[np.int64], places: NDArray[np.int64]) -> Array:
    """The elements at `places` of the lists `which`."""
    starts = np.cumsum([0, *(len(values) for values in lists[:-1])])
    return np.concatenate(lists)[starts[which] + places]


def merged_order(scores: Sequence[Array], *, suspend: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List and place in it of each merged element, in order."""
    keys = [sort_keys(values) for values in scores]
    if all(bool((values[1:] >= values[:-1]).all()) for values in keys):
        return _order_of_sorted(keys, suspend=suspend)
    plain = [values.tolist() for values in keys]
    heads = [0] * len(plain)
    order: list[tuple[int, int]] = []
    for _ in range(sum(len(values) for values in plain)):
        if suspend and any(head == len(key) for head, key in zip(heads, plain, strict=True)):
            break
        open_lists = [i for i, key in enumerate(plain) if heads[i] < len(key)]
        best = min(open_lists, key=lambda i: plain[i][heads[i]])
        order.append((best, heads[best]))
        heads[best] += 1
    found = np.array(order, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _order_of_sorted(
    keys: Sequence[NDArray[np.float64]], *, suspend: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`merged_order` of lists that are sorted: a stable sort of one list behind the other."""
    ends = np.cumsum([len(values) for values in keys])
    order = np.argsort(np.concatenate(keys), kind="stable")
    which = np.searchsorted(ends, order, side="right")
    places = order - np.concatenate(([0], ends[:-1]))[which]
    if suspend:
        empty = any(not len(values) for values in keys)
        last = 0 if empty else 1 + min(int(np.flatnonzero(order == end - 1)[0]) for end in ends)
        which, places = which[:last], places[:last]
    return which, places
