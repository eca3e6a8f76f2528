"""Where the moves of split chips read and write: one description for values, footprints and definedness.

All results are relative to the operand's address, in blocks of 32 bytes unless a name says bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.extents import BLOCK, FRACTAL, align_row, operand_types, result_c0, square_bytes, type_size
from ..isa.model import Instruction

Values: TypeAlias = Mapping[str, int]
Ints: TypeAlias = NDArray[np.int64]


def nd2nz_blocks(dtype: str, v: Values) -> Ints:
    """(matrices, rows, fractal columns): block of L1 that each 32 bytes of each row go to."""
    size = type_size(dtype)
    matrix = np.arange(v["nd_num"], dtype=np.int64) * (v["dst_nd_stride"] * size // BLOCK)
    row = np.arange(v["n_value"], dtype=np.int64) * v["dst_n_stride"]
    columns = -(-v["d_value"] * size // BLOCK)
    column = np.arange(columns, dtype=np.int64) * v["dst_c0_stride"]
    return matrix[:, None, None] + row[:, None] + column


def align_blocks(row: Instruction, dtype: str, v: Values) -> Ints:
    """(bursts, blocks): block of UB of each burst of a padded copy."""
    blocks = align_row(row, dtype, v) // BLOCK
    gap = v["dst_gap"] if row.pipe == "MTE2" else v["src_gap"]
    return np.arange(v["bursts"], dtype=np.int64)[:, None] * (blocks + gap) + np.arange(blocks)


def matrices(v: Values) -> int:
    """How many matrices a fixpipe instruction stores."""
    return v.get("nd_num", 1) if v.get("nz2nd", 0) else 1


def fixpipe_source_bytes(row: Instruction, dtype: str, v: Values) -> Ints:
    """(m, n): byte of L0C of each element of the first matrix."""
    size = type_size(operand_types(row, dtype)[1])
    i, j = np.arange(v["m"], dtype=np.int64)[:, None], np.arange(v["n"], dtype=np.int64)
    return ((j // 16 * v["src_stride"] + i) * 16 + j % 16) * size


def fixpipe_blocks(row: Instruction, dtype: str, v: Values) -> Ints:
    """(fractal columns, m, blocks of a row): block of L1 that the result goes to."""
    size = type_size(operand_types(row, dtype)[0])
    c0 = result_c0(size, v.get("split", 0))
    per_row = c0 * size // BLOCK
    column = np.arange(v["n"] // c0, dtype=np.int64)[:, None, None] * v["dst_stride"]
    return column + np.arange(v["m"], dtype=np.int64)[:, None] * per_row + np.arange(per_row)


def square_sources(dtype: str, v: Values) -> Ints:
    """(squares, fractals, 16): block of L1 of each row of each fractal."""
    fractals = square_bytes(dtype) // FRACTAL
    step = -v["src_stride"] if v["decrement"] else v["src_stride"]
    square = v["base"] + np.arange(v["repeat"], dtype=np.int64) * step
    fractal = square[:, None] * fractals + np.arange(fractals)
    return fractal[:, :, None] * (FRACTAL // BLOCK) + np.arange(FRACTAL // BLOCK)


def square_targets(dtype: str, v: Values) -> Ints:
    """(squares, fractals): fractal of L0 that each fractal of each transposed square goes to."""
    fractals = square_bytes(dtype) // FRACTAL
    start = np.arange(v["repeat"], dtype=np.int64)[:, None] * (v["dst_gap"] + 1)
    return start + np.arange(fractals) * (v["frac_gap"] + 1)


def turn_squares(rows: NDArray[Any], size: int) -> NDArray[Any]:
    """Transposes squares: (squares, fractals, 16, elements of a row, …) of elements of `size` bytes, and back."""
    count, fractals, lines, elements = rows.shape[:4]
    rest = tuple(range(4, rows.ndim))
    if size == 2:
        return rows.swapaxes(2, 3)
    if size == 1:  # two fractals one below the other: 32 rows of 32
        square = rows.reshape(count, fractals * lines, elements, *rows.shape[4:]).swapaxes(1, 2)
        return square.reshape(rows.shape)
    # two fractals side by side: 16 rows of 2 × 8
    square = rows.transpose(0, 2, 1, 3, *rest).reshape(count, lines, fractals * elements, *rows.shape[4:])
    turned = square.swapaxes(1, 2).reshape(count, lines, fractals, elements, *rows.shape[4:])
    return turned.swapaxes(1, 2)


def fill_blocks(v: Values) -> Ints:
    """(repeat, blocks): blocks of L1 that are filled."""
    start = np.arange(v["repeat"], dtype=np.int64)[:, None] * (v["blocks"] + v["dst_gap"])
    return start + np.arange(v["blocks"])
