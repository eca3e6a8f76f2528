"""L0A and L0B as bytes: for cubes that take more types than halves and bytes.

The same interface as `cube.OperandMemory`, which keeps numbers and is much faster, but only for f16 and 8-bit types:
bf16 and the two 32-bit kinds have more values than a half.  Here every read decodes the bytes of the fractals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .floats import DTYPES, Array, bf16_to_single, to_hf32

if TYPE_CHECKING:
    from .memory import L1Memory

FRACTAL = 512
_STORED = {"bf16": "u16", "h32": "f32"}  # kind of operand → what its bytes are


class _Slot(NamedTuple):
    """A matrix that a load is still to fill."""

    first: int
    rows: int
    cols: int
    kind: str
    values: Array


class OperandBytes:
    """L0A (`rows_outer`: fractal = row·cols + col, Zz) or L0B (fractal = col·rows + row, Zn)."""

    def __init__(self, size: int, *, rows_outer: bool) -> None:
        self._rows_outer = rows_outer
        self.data = np.zeros(size, np.uint8)
        self._slot: _Slot | None = None
        self.repeats: dict[object, Any] = {}
        """Always empty: every slot is a new array."""

    def link(self, first: int, count: int, at: int, l1: L1Memory) -> None:
        """Fractals from `first` on become those at byte `at` of L1."""
        self.write_bytes(first, l1.data[at : at + count * FRACTAL])

    def write_bytes(self, first: int, raw: Array) -> None:
        """The bytes of fractals from `first` on."""
        self._fill()
        self.data[first * FRACTAL : first * FRACTAL + raw.size] = raw.reshape(-1)

    def scatter_bytes(self, where: Array, fractals: Array) -> None:
        """Fractals (count, 512) go to the places `where`."""
        self._fill()
        self.data.reshape(-1, FRACTAL)[where] = fractals

    def write(self, first: int, values: Array, kind: str, step: int = 1) -> None:
        """`values` (fractals × elements, numbers) become fractals first, first + step, …"""
        self._fill()
        raw = np.ascontiguousarray(values.astype(DTYPES[_STORED.get(kind, kind)])).view(np.uint8)
        fractals = self.data.reshape(-1, FRACTAL)
        fractals[first : first + (len(raw) - 1) * step + 1 : step] = raw.reshape(-1, FRACTAL)

    def slot(self, first: int, rows: int, cols: int, kind: str, *, transposed: bool) -> Array:
        """A matrix (rows·16, cols·k0) to fill for the fractals from `first` on."""
        self._fill()
        k0 = 32 // DTYPES[kind].itemsize
        values = np.empty((rows * 16, cols * k0), np.float64)
        self._slot = _Slot(first, rows, cols, kind, values)
        return values

    def _fill(self) -> None:
        """What was put into a slot becomes bytes."""
        if self._slot is None:
            return
        first, rows, cols, kind, values = self._slot
        self._slot = None
        blocks = values.reshape(rows, 16, cols, -1)
        order = (0, 2, 1, 3) if self._rows_outer else (2, 0, 1, 3)
        self.write(first, blocks.transpose(order).reshape(rows * cols, -1), kind)

    def matrix(self, first: int, rows: int, cols: int, kind: str) -> Array:
        """The (rows·16, cols·k0) matrix of numbers that lies in the fractals from `first` on."""
        fractals = self.read(first, rows * cols, kind)
        if self._rows_outer:
            ordered = fractals.reshape(rows, cols, 16, -1).transpose(0, 2, 1, 3)
        else:
            ordered = fractals.reshape(cols, rows, 16, -1).transpose(1, 2, 0, 3)
        return np.ascontiguousarray(ordered).reshape(rows * 16, -1)

    def read(self, first: int, count: int, kind: str) -> Array:
        """Fractals as numbers (count, elements)."""
        self._fill()
        raw = self.data[first * FRACTAL : (first + count) * FRACTAL]
        values = raw.view(DTYPES[_STORED.get(kind, kind)]).reshape(count, -1)
        match kind:
            case "bf16":
                return bf16_to_single(values).astype(np.float64)
            case "h32":
                return to_hf32(values).astype(np.float64)
            case "s8" | "u8":
                return values.astype(np.float32)  # sums of bytes are exact there, see `cube.make_mad`
            case _:
                return values.astype(np.float64)
