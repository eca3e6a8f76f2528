"""Which bytes the instructions of split chips touch (see `footprint.py`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..isa.extents import BLOCK, FRACTAL, extents, operand_types, type_size
from ..isa.model import Instruction
from .byte_sets import EMPTY, Footprint, Values, active_lanes, from_blocks, from_bytes, lane_footprint, solid
from .split_geometry import (
    align_blocks,
    fill_blocks,
    fixpipe_blocks,
    fixpipe_source_bytes,
    matrices,
    nd2nz_blocks,
    square_sources,
    square_targets,
)


def _nd2nz(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    return from_blocks(nd2nz_blocks(dtype, v)), EMPTY


def _align(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    if not v["bursts"] or not v["length"]:
        return EMPTY, EMPTY
    ub = from_blocks(align_blocks(row, dtype, v))
    return (ub, EMPTY) if row.pipe == "MTE2" else (EMPTY, ub)


def _fixpipe(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    number = matrices(v)
    if 0 in (v["m"], v["n"], number):
        return EMPTY, EMPTY, EMPTY
    size = type_size(operand_types(row, dtype)[1])
    one = from_bytes((fixpipe_source_bytes(row, dtype, v).reshape(-1, 1) + np.arange(size)).astype(np.int64))
    if number > 1:
        step = v["src_nd_stride"] * 256 * size
        mask = np.zeros((number - 1) * step + one.high, np.bool_)
        for matrix in range(number):
            mask[matrix * step + one.low : matrix * step + one.high] |= one.byte_mask
        one = from_bytes(np.flatnonzero(mask))
    to_l1 = row.addresses[0].spaces == ("l1",)
    dst = from_blocks(fixpipe_blocks(row, dtype, v)) if to_l1 else EMPTY
    return dst, one, solid(8 * v["n"] if v["quant"] else 0)


def _hulls(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    """What moves without gaps."""
    return tuple(solid(size) for size in extents(row, dtype, v))


def _squares(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    per_fractal = FRACTAL // BLOCK
    targets = square_targets(dtype, v)[:, :, None] * per_fractal + np.arange(per_fractal)
    return from_blocks(targets), from_blocks(square_sources(dtype, v))


def _fill(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    return (from_blocks(fill_blocks(v)),)


COMPRESSED = {1: (0, 2), 2: (1, 2), 3: (0, 4), 4: (1, 4), 5: (2, 4), 6: (3, 4), 7: (0, 1)}
"""Pattern of vreducev2 → (first lane, step)."""


def _split_vector(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    size = type_size(dtype)
    match row.mnemonic:
        case "vbrcb" | "vgatherb":
            repeats = np.arange(v["repeat"], dtype=np.int64)[:, None]
            dst = from_blocks(repeats * v["dst_rep"] + np.arange(8) * (v["dst_blk"] or 1))
            if row.mnemonic == "vbrcb":
                return dst, solid(8 * v["repeat"] * size)
            # Which blocks of the table are read depends on data: its first one stands for it.
            return dst, solid(32 * v["repeat"]), solid(BLOCK if v["repeat"] else 0)
        case "vbitsort32":
            return _hulls(row, dtype, v)
        case "vmrgsort4v2":
            lengths = [v[f"length{i}"] * (v["valid"] >> i & 1) * 8 for i in range(4)]
            whole, repeat = sum(lengths), np.arange(v["repeat"])
            lists = (from_bytes((repeat[:, None] * whole + np.arange(n)).astype(np.int64)) for n in lengths)
            return solid(v["repeat"] * whole), *lists
        case _:
            lanes = 256 // size
            active = active_lanes(v, lanes)
            if v["pattern"]:
                first, step = COMPRESSED[v["pattern"]]
                active = active & (np.arange(lanes) % step == first)
            source = lane_footprint(active, size, v["src_blk"], v["src_rep"])
            if v["pattern"]:
                return solid(int(np.count_nonzero(active)) * size), source, EMPTY
            # How many lanes a bit tensor keeps depends on data: all of them, at most.
            at = np.arange(len(active))[:, None] * v["bits_rep"] * BLOCK + np.arange(lanes // 8)
            return solid(int(np.count_nonzero(active)) * size), source, from_bytes(at.astype(np.int64))


SPLIT_FOOTPRINTS: dict[str, Callable[[Instruction, str, Values], tuple[Footprint, ...]]] = {
    "nd2nz": _nd2nz,
    "align": _align,
    "fixpipe": _fixpipe,
    "table": _hulls,
    "squares": _squares,
    "fill": _fill,
    "vector_split": _split_vector,
}
"""Family → footprints of its operands."""
