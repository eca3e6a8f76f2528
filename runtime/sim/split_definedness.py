"""Which bytes hold a value after the moves of split chips (see `definedness.py` for the rule).

Moves carry undefined bytes along; a converted element is defined when all its bytes were.  What a padded copy adds is
a value, what it leaves between there and the end of the block is not.  Parameters of the fixpipe are computed with: an
undefined one is an error, which the caller reports.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..isa.extents import BLOCK, operand_types, result_c0, type_size
from .definedness import OnChip, Step
from .split_geometry import (
    align_blocks,
    fixpipe_blocks,
    fixpipe_source_bytes,
    matrices,
    nd2nz_blocks,
    square_sources,
    square_targets,
    turn_squares,
)

Bytes = NDArray[np.uint8]

SPLIT_CARRIES = frozenset(("nd2nz", "align", "table", "squares", "fill", "fixpipe"))


def load_from_gm(memory: OnChip, step: Step, source: Bytes | None) -> None:
    """nd2nz or a padded copy; `source` are the bytes in the order of the pieces, None when all are defined."""
    v, dtype = step.values, step.dtype
    if step.prints[0].count == 0:
        return
    if step.row.family == "nd2nz":
        blocks = nd2nz_blocks(dtype, v)
        made = np.ones((*blocks.shape[:2], blocks.shape[2] * BLOCK), np.uint8)
        if source is not None:
            length = v["d_value"] * type_size(dtype)
            made[:, :, :length] = source.reshape(*blocks.shape[:2], length)
    else:
        blocks = align_blocks(step.row, dtype, v)
        size, length = type_size(dtype), v["length"]
        made = np.zeros((blocks.shape[0], blocks.shape[1] * BLOCK), np.uint8)
        left = v["left"] * size
        made[:, : left + length + v["right"] * size] = 1
        if source is not None:
            made[:, left : left + length] = source.reshape(-1, length)
    index = blocks.reshape(-1) + step.at[0] // BLOCK
    memory.store(step.spaces[0], index, made.reshape(-1, BLOCK))


def stored_to_gm(memory: OnChip, step: Step) -> Bytes | None:
    """Definedness of what a padded copy or the fixpipe stores, in the order of the pieces; None when all of it."""
    v = step.values
    if memory.first_undefined(step.spaces[1], step.at[1], step.prints[1]) < 0:
        return None
    if step.row.family == "align":
        rows = memory.rows(step.spaces[1], align_blocks(step.row, step.dtype, v) + step.at[1] // BLOCK)
        marks = rows.reshape(v["bursts"], -1)[:, : v["length"]]
    else:
        marks = _fixpipe_order(_fixpipe_elements(memory, step), step)
    return None if marks.all() else np.ascontiguousarray(marks).reshape(-1)


def _fixpipe_elements(memory: OnChip, step: Step) -> Bytes:
    """(matrices, m, n): whether the accumulator of each element is defined."""
    v = step.values
    size = type_size(operand_types(step.row, step.dtype)[1])
    one = fixpipe_source_bytes(step.row, step.dtype, v)[:, :, None] + np.arange(size) + step.at[1]
    found = np.zeros((matrices(v), v["m"], v["n"]), np.uint8)
    view = memory.view["l0c"]
    for matrix in range(len(found)):
        at = one + matrix * v.get("src_nd_stride", 0) * 256 * size
        if at.max() < len(view):  # an access outside the buffer is another fault's business
            found[matrix] = view[at].min(axis=2)
    return found


def _fixpipe_order(elements: Bytes, step: Step) -> Bytes:
    """Bytes of the result in the order in which they are stored."""
    v = step.values
    size = type_size(operand_types(step.row, step.dtype)[0])
    if not v.get("nz2nd", 0):
        c0 = result_c0(size, v.get("split", 0))
        _, m, n = elements.shape
        elements = elements.reshape(m, n // c0, c0).transpose(1, 0, 2)
    return np.repeat(np.ascontiguousarray(elements).reshape(-1), size)


def carry_on_chip(memory: OnChip, step: Step) -> bool:
    """A move between memories of the core; True if looking once is enough."""
    if step.prints[0].count == 0:
        return True
    if step.row.family == "fill" or memory.first_undefined(step.spaces[1], step.at[1], step.prints[1]) < 0:
        memory.define(step.spaces[0], step.at[0], step.prints[0])
        return True
    match step.row.family:
        case "table":
            _table(memory, step)
        case "squares":
            size = type_size(step.dtype)
            rows = memory.rows("l1", square_sources(step.dtype, step.values) + step.at[1] // BLOCK)
            turned = turn_squares(rows.reshape(*rows.shape[:3], BLOCK // size, size), size)
            targets = square_targets(step.dtype, step.values).reshape(-1, 1) * 16 + np.arange(16)
            made = np.ascontiguousarray(turned).reshape(-1, BLOCK)
            memory.store(step.spaces[0], targets.reshape(-1) + step.at[0] // BLOCK, made)
        case _:
            blocks = fixpipe_blocks(step.row, step.dtype, step.values).reshape(-1)
            made = _fixpipe_order(_fixpipe_elements(memory, step), step)
            memory.store("l1", blocks + step.at[0] // BLOCK, made.reshape(-1, BLOCK))
    return False


def _table(memory: OnChip, step: Step) -> None:
    source = memory.copy_of(step.spaces[1], step.at[1], step.prints[1])
    if step.dtype and "2" in step.dtype and step.dtype not in ("f32", "s32"):
        source = np.repeat(source.reshape(-1, 2).min(axis=1), 4)
    memory.store(step.spaces[0], np.arange(source.size // BLOCK) + step.at[0] // BLOCK, source)


def undefined_parameter(memory: OnChip, step: Step) -> int:
    """Address of an undefined byte among the parameters of a fixpipe instruction, -1 when there is none."""
    return memory.first_undefined("fb", step.at[2], step.prints[2])
