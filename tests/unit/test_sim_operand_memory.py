"""L0A and L0B keep matrices, links and fractals of the same bytes: whatever was written last must be what is read."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.runtime.sim.cube import FRACTAL, OperandMemory
from ascend_mlir.runtime.sim.memory import L1Memory

COUNT = 24  # fractals
Numbers = np.ndarray


def _numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Numbers:
    return rng.integers(-9, 10, shape).astype(np.float64)


def _fractals(matrix: Numbers, rows: int, cols: int, *, rows_outer: bool) -> Numbers:
    """A matrix cut into fractals in the order of L0A (rows outer) or L0B, from the definition."""
    found: list[Numbers] = []
    pairs = [(r, c) for r in range(rows) for c in range(cols)]
    if not rows_outer:
        pairs = [(r, c) for c in range(cols) for r in range(rows)]
    for row, col in pairs:
        found.append(matrix[row * 16 : row * 16 + 16, col * 16 : col * 16 + 16].reshape(-1))
    return np.array(found)


@pytest.mark.parametrize("rows_outer", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_reads_see_the_last_write(seed: int, rows_outer: bool) -> None:
    """Loads of parts, of wholes and links, reads as matrices of any shape: a list of fractals says what is right."""
    rng = np.random.default_rng(seed)
    memory = OperandMemory(COUNT * FRACTAL, rows_outer=rows_outer)
    l1 = L1Memory(COUNT * FRACTAL)
    right = np.zeros((COUNT, 256))
    for _ in range(400):
        rows, cols = int(rng.choice((1, 2, 4))), int(rng.choice((1, 2, 3)))
        first = int(rng.integers(0, (COUNT - rows * cols) // 2 + 1)) * 2
        part = slice(first, first + rows * cols)
        match rng.integers(0, 6):
            case 0 | 1:
                values = _numbers(rng, (rows * 16, cols * 16))
                turned = bool(rng.integers(0, 4) == 0)
                memory.slot(first, rows, cols, "f16", transposed=turned)[...] = values
                right[part] = _fractals(values, rows, cols, rows_outer=rows_outer)
            case 2:
                right[part] = _numbers(rng, (rows * cols, 256))
                memory.write(first, right[part], "f16")
            case 3:
                data = _numbers(rng, (rows * cols, 256))
                l1.before_write(0, data.size * 2)
                l1.data[: data.size * 2] = data.astype(np.float16).reshape(-1).view(np.uint8)
                l1.refresh(0, data.size * 2)
                memory.link(first, rows * cols, 0, l1)
                right[part] = data
            case 4:
                assert np.array_equal(memory.read(first, rows * cols, "f16"), right[part])
            case _:
                got = memory.matrix(first, rows, cols, "f16")
                assert np.array_equal(_fractals(got, rows, cols, rows_outer=rows_outer), right[part])


def test_bytes_after_halves_after_bytes() -> None:
    """A tile that was read as bytes and is loaded as halves again: nothing of the first load is left."""
    memory = OperandMemory(8 * FRACTAL, rows_outer=True)
    for number in (1.0, 2.0, 3.0):
        memory.slot(0, 2, 2, "f16", transposed=False)[...] = number
        memory.matrix(0, 2, 2, "f16")
        wanted = np.full(256, number, np.float16).view(np.int8)
        assert np.array_equal(memory.read(0, 1, "s8")[0], wanted)
