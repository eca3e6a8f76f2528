"""Executors of the instructions on region proposals: sort, merge, and single elements in and out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

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
    order = merged_order([values[:, _SCORE] for values in lists], suspend=suspend)
    taken = [lists[which][place] for which, place in order]
    heads = [sum(which == number for which, _ in order) for number in range(len(lists))]
    return np.array(taken) if taken else np.zeros((0, PROPOSAL), lists[0].dtype), heads


def merged_order(scores: Sequence[Array], *, suspend: bool) -> list[tuple[int, int]]:
    """(list, place in it) of the merged elements, in order."""
    keys = [sort_keys(values).tolist() for values in scores]
    heads = [0] * len(keys)
    order: list[tuple[int, int]] = []
    for _ in range(sum(len(values) for values in scores)):
        if suspend and any(head == len(key) for head, key in zip(heads, keys, strict=True)):
            break
        open_lists = [i for i, key in enumerate(keys) if heads[i] < len(key)]
        best = min(open_lists, key=lambda i: keys[i][heads[i]])
        order.append((best, heads[best]))
        heads[best] += 1
    return order
