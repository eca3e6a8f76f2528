"""Bank conflicts of UB, on chips that document them (910B; timing.md §2.3).

Consecutive blocks of 32 bytes lie in consecutive bank groups, and a group serves one row per cycle.  A repeat whose
sources need a group twice, or whose destination does, takes so many cycles more; where the unit is slower than that
anyway, nothing is lost.  That explains the measured 2.1 cycles per repeat of additions whose sources have the same
address modulo 512.  Not modelled: a read and a write that meet in one bank (it depends on how far the pipe has come).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..isa.extents import BLOCK, lanes_of, operand_types, type_size
from ..isa.model import Instruction

_REGULAR = frozenset(
    ("vector_binary", "vector_unary", "vector_scalar", "vector_dup", "vector_conv", "vector_select")
)


def group_name(operand: int) -> str:
    """Name under which the cost of an instruction finds the bank group of an operand's address."""
    return f"group{operand}"


def bank_operands(row: Instruction) -> tuple[str, ...]:
    """Strides that decide about conflicts; empty for instructions whose lanes do not lie in regular blocks."""
    if row.family not in _REGULAR:
        return ()
    names = {field.name for field in row.fields}
    wanted = (f"{address.name}_{kind}" for address in row.addresses for kind in ("blk", "rep"))
    return tuple(name for name in wanted if name in names)


def repeat_cycles(row: Instruction, dtype: str, v: Mapping[str, int], repeats: int, groups: int) -> list[int]:
    """Cycles of each repeat that the busiest bank group needs, reads and writes apart."""
    types = operand_types(row, dtype)
    lanes = lanes_of(types)
    needed = {True: np.zeros((repeats, groups), np.int64), False: np.zeros((repeats, groups), np.int64)}
    for number, (address, kind) in enumerate(zip(row.addresses, types, strict=True)):
        if address.name == "bits":
            continue
        blocks = np.arange(lanes * type_size(kind) // BLOCK) * v.get(f"{address.name}_blk", 1)
        starts = np.arange(repeats) * v.get(f"{address.name}_rep", 8) + v[group_name(number)]
        distinct = np.unique(blocks)  # a stride of 0 reads one block for all
        at = (starts[:, None] + distinct) % groups
        rows = np.broadcast_to(np.arange(repeats)[:, None], at.shape)
        for writes in (True, False):
            if address.writes if writes else address.reads:
                np.add.at(needed[writes], (rows, at), 1)
    return np.maximum(needed[True], needed[False]).max(axis=1).tolist() if repeats else []


def conflict_cycles(cycles: Sequence[int], own: int) -> int:
    """What all repeats lose when the unit itself takes `own` cycles per repeat."""
    return sum(max(0, each - own) for each in cycles)
