"""Executors of instructions on blocks that VA registers name: one repeat of eight blocks after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..isa.extents import extents, repeats_of
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array, from_bits, half_to_single
from .footprint import scattered, vnchwconv_blocks
from .vector import element_view
from .vector_more import COMPARE, active_lanes, transpose_rows
from .vector_ops import ELEMENTWISE

if TYPE_CHECKING:
    from .memory import Core

PREFIX = "scatter_"


def make_scatter(record: Decoded, soc: Soc) -> Executor:
    """All scatter_ instructions but scatter_vnchwconv."""
    rules = Rules(record, soc)
    dtype = DTYPES[record.dtype]
    lanes = 256 // dtype.itemsize
    name = record.mnemonic.removeprefix(PREFIX)
    operands = [address.name for address in record.row.addresses]

    def compute(core: Core, picked: list[Array], chosen: Array, scalars: Ints, condition: int) -> None:
        """One repeat: `picked` are the active lanes of the operands, changed in place where written."""
        if name == "vcmp":
            first, second = (half_to_single(p) if p.dtype == np.float16 else p for p in picked)
            core.cmpmask[:lanes][chosen] = COMPARE[condition](first, second)
        elif name == "vsel":
            picked[0][...] = np.where(core.cmpmask[:lanes][chosen], picked[1], picked[2])
        elif name == "vector_mov":
            picked[0][...] = picked[1]
        else:
            scalar: Any = from_bits(scalars[0], record.dtype) if scalars else None
            ELEMENTWISE[name](picked[0], picked[1:], scalar)

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = {"repeat": 1, **rules.values(fields, state)}
        repeats, _ = repeats_of(v, lanes)
        active = active_lanes(repeats, lanes, state[:2])
        if not bool(active.any()):
            return
        places: list[Array] = []
        for operand, (spec, size) in enumerate(
            zip(operands, extents(record.row, record.dtype, v), strict=True)
        ):
            rules.check_range(operand, addresses[operand], size)
            places.append(
                (addresses[operand] + scattered(v, spec, dtype.itemsize, repeats)) // dtype.itemsize
            )
        ub = element_view(core.ub, 0, dtype)
        for repeat in range(repeats):
            chosen = active[repeat]
            index = [place[repeat][chosen] for place in places]
            picked = [ub[numbers] for numbers in index]
            compute(core, picked, chosen, scalars, v.get("condition", 0))
            if name != "vcmp":
                ub[index[0]] = picked[0]

    return run


def make_scatter_transpose(record: Decoded, soc: Soc) -> Executor:
    """scatter_vnchwconv: rows are the blocks of two pairs of VA registers."""
    rules = Rules(record, soc)
    word = np.dtype(f"u{DTYPES[record.dtype].itemsize}")

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields, state)
        for name in ("dst_va", "src_va"):
            if v[name] % 2:
                rules.fault(name, f"VA{v[name]} is not the first register of a pair")
        if not v["repeat"]:
            return
        for operand, size in enumerate(extents(record.row, record.dtype, v)):
            rules.check_range(operand, addresses[operand], size)
        blocks = core.ub[: len(core.ub) // 32 * 32].reshape(-1, 32).view(word)
        to, source = (
            vnchwconv_blocks(v, side) + at // 32 for side, at in zip(("dst", "src"), addresses, strict=True)
        )
        values = blocks[source]
        rows = blocks[to]
        transpose_rows(rows, values, v)
        for repeat in range(v["repeat"]):
            if word.itemsize > 1:
                blocks[to[repeat]] = rows[repeat]
            else:  # the other half of a row stays, also where an earlier repeat has written it
                low = 16 * v["dst_high"]
                blocks[to[repeat], low : low + 16] = rows[repeat][:, low : low + 16]

    return run
