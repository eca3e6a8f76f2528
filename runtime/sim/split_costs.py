"""Cycles of what only split chips have: the formulas, with the numbers of the SoC file (timing.md §4, davinci.md §3.9).

Rows that are not contiguous move one by one: each starts a new cycle on the side whose port is the slower one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..isa.extents import BLOCK, align_row, extents, operand_types, result_c0, type_size
from ..isa.model import Instruction

Values = Mapping[str, int]

RECORD = 8  # bytes of a record that is sorted
SPLIT_OPERANDS: dict[str, tuple[str, ...]] = {
    "nd2nz": ("nd_num", "n_value", "d_value", "src_nd_stride", "src_d"),
    "align": ("bursts", "length", "src_gap", "dst_gap"),
    "fixpipe": ("n", "m", "src_stride", "dst_stride", "split", "nz2nd", "nd_num", "dst_nd_stride"),
    "table": ("length",),
    "squares": ("repeat",),
    "fill": ("repeat", "blocks", "dst_gap"),
}
"""Names of the operands that the cost of an instruction of a family depends on."""

_DENSE = range(64, 257)  # bytes of a row of a dense matrix that nd2nz moves at the full rate [PY]


def split_operands(row: Instruction) -> tuple[str, ...]:
    """Those that the row has: only stores to device memory have rows and several matrices."""
    names = {spec.name for spec in (*row.scalars, *row.fields)}
    state = {"nd_num", "dst_nd_stride"} if "nd_para" in row.state else set[str]()
    return tuple(name for name in SPLIT_OPERANDS[row.family] if name in names | state)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def split_duration(path: Mapping[str, int], row: Instruction, dtype: str, v: Values) -> tuple[int, int]:
    """(busy, result later) of a move on the core."""
    if row.family == "fixpipe":  # rate in elements per cycle, half of it for 32-bit results [ASC]
        rate = path["rate"] // (2 if type_size(operand_types(row, dtype)[0]) == 4 else 1)
        return max(1, _ceil(v["m"] * _ceil(v["n"], 16) * 16, rate)), path["fixed"]
    (size, *_) = extents(row, dtype, v)
    if row.family == "fill":
        size = v["repeat"] * v["blocks"] * BLOCK
    return max(1, _ceil(size, path["rate"])), path["fixed"]


def split_transfer(
    gm: Mapping[str, Any], rate: int, row: Instruction, dtype: str, v: Values
) -> tuple[int, int, int, int, int, int, int]:
    """The fields of a `Transfer` between device memory and the core, whose port moves `rate` bytes per cycle."""
    nothing = (1, 0, 0, 0, 0, 1, 0)
    match row.family:
        case "nd2nz":
            count, rows, columns = v["nd_num"], v["n_value"], v["d_value"]
            size = type_size(dtype)
            length = columns * size
            if 0 in (count, rows, columns):
                return nothing
            dense = v["src_d"] == columns and length in _DENSE and length % BLOCK == 0
            cycles = (
                max(_ceil(count * rows * length, gm["l2_read_rate"]), _ceil(count * rows * length, rate))
                if dense
                else count * rows * max(_ceil(length, gm["l2_read_rate"]), _ceil(length, rate))
            )
            slots = _slots(gm, count * rows, length, dense)
            return slots, cycles, rows, length, v["src_d"] * size, count, v["src_nd_stride"] * size
        case "align":
            bursts, length = v["bursts"], v["length"]
            if not bursts or not length:
                return nothing
            inward = row.pipe == "MTE2"
            gm_gap, ub_gap = (v["src_gap"], v["dst_gap"]) if inward else (v["dst_gap"], v["src_gap"])
            in_ub = align_row(row, dtype, {**v, "left": 0, "right": 0})
            far = gm["l2_read_rate" if inward else "l2_write_rate"]
            apart = bursts > 1 and (gm_gap > 0 or ub_gap > 0 or in_ub != length)
            whole = _ceil(bursts * length, far), _ceil(bursts * in_ub, rate)
            each = bursts * _ceil(length, far), bursts * _ceil(in_ub, rate)
            return (
                _slots(gm, bursts, length, not apart),
                max(each if apart else whole),
                bursts,
                length,
                length + gm_gap,
                1,
                0,
            )
        case _:
            return _store(gm, rate, row, dtype, v) or nothing


def _store(
    gm: Mapping[str, Any], rate: int, row: Instruction, dtype: str, v: Values
) -> tuple[int, int, int, int, int, int, int] | None:
    """The fixpipe, row by row of 16-rounded fp32 columns, whatever the result type is [PY]."""
    rows_out = v["nz2nd"]
    count = v["nd_num"] if rows_out else 1
    m, n = v["m"], v["n"]
    if 0 in (m, n, count):
        return None
    size = type_size(operand_types(row, dtype)[0])
    row_bytes = _ceil(n, 16) * 16 * 4
    cycles = count * m * max(_ceil(row_bytes, gm["l2_write_rate"]), _ceil(row_bytes, rate))
    slots = _slots(gm, count * m, row_bytes, together=False)
    if rows_out:
        return slots, cycles, m, n * size, v["dst_stride"] * size, count, v["dst_nd_stride"] * size
    c0 = result_c0(size, v["split"])
    return slots, cycles, _ceil(n, c0), m * c0 * size, v["dst_stride"] * BLOCK, 1, 0


def _slots(gm: Mapping[str, Any], bursts: int, length: int, together: bool) -> int:
    """Cycles at the front end of a DMA."""
    per_cycle = gm["issue_bytes_per_cycle"]
    return _ceil(bursts * length, per_cycle) if together else bursts * _ceil(length, per_cycle)
