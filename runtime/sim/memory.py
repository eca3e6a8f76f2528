"""Memories of a simulated core, and the device memory its DMAs reach.

Bytes are numpy uint8 arrays. Three memories also keep *converted forms*, because converting fp16 at every
use would cost more than the arithmetic:

* L1 keeps, beside its bytes, the fp64 values of halves that loads asked for, and whole weight matrices.
* L0A, L0B and L0C hold numbers only (`cube.py`): nothing but the cube reads L0A and L0B.

`GlobalMemory` is a list of regions; an access must lie inside one region and, where the loader declared
allocations, inside one allocation with its spare bytes (decision D8).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ..isa.model import SPACES
from ..isa.record import Decoded
from ..soc import Soc
from .cross import Port
from .cube import FRACTAL, AccumulatorMemory, Link, OperandMemory
from .fault import SimulatorFault
from .floats import Array, half_to_double
from .operand_bytes import OperandBytes
from .vector import Prepared

SPARE_BYTES = 32
_PAGE = 2048


@dataclass(frozen=True)
class Region:
    """Device memory from address `base` on."""

    base: int
    data: Array
    writable: bool = True

    @property
    def end(self) -> int:
        return self.base + len(self.data)


class GlobalMemory:
    """Device memory.  `locate` is the only way in."""

    def __init__(self, regions: Iterable[Region], allocations: Iterable[tuple[int, int]] = ()) -> None:
        self.regions = tuple(regions)
        merged: list[list[int]] = []
        for start, size in sorted(allocations):
            if merged and start < merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], start + size + SPARE_BYTES)
            else:
                merged.append([start, start + size + SPARE_BYTES])
        self._starts = [start for start, _ in merged]
        self._ends = [end for _, end in merged]

    def locate(
        self, record: Decoded, operand: str, address: int, size: int, write: bool
    ) -> tuple[Array, int]:
        """The array and the offset in it of `size` bytes at `address`, or a fault."""
        for region in self.regions:
            if region.base <= address and address + size <= region.base + len(region.data):
                break
        else:
            self._outside(record, operand, address, size)
        if write and not region.writable:
            raise SimulatorFault(record, operand, f"writes to read-only device memory at {address:#x}")
        if self._starts:
            at = bisect_right(self._starts, address) - 1
            if at < 0 or address + size > self._ends[at]:
                self._outside(record, operand, address, size)
        return region.data, address - region.base

    def _outside(self, record: Decoded, operand: str, address: int, size: int) -> NoReturn:
        known = ", ".join(f"{region.base:#x}..{region.end:#x}" for region in self.regions)
        rule = f"{size} bytes at {address:#x} are not inside one allocation of device memory ({known})"
        raise SimulatorFault(record, operand, rule)


class L1Memory:
    """L1: bytes, and the fp64 value of each half (`plane`) where a load asked for it.

    Pages that changed are converted when `values` next needs them, so weights, which only `matrix` serves,
    never are.  GEMM-ready forms of fractals (byte address, rows, columns, order) stay until their bytes
    change; `links` are L0 fractals that still live here.  Whoever writes calls `before_write`, writes the
    bytes, then calls `refresh`.
    """

    def __init__(self, size: int) -> None:
        self._bytes = np.zeros(size + 32, np.uint8)
        self.data = self._bytes[:size]
        self._size = size
        self._plane: Array | None = None
        self._changed = bytearray(-(-size // _PAGE))  # one byte per page: 1 = differs from the plane
        self._padding = -1
        self._matrices: dict[tuple[int, int, int, bool], Array] = {}
        self._starts: list[tuple[int, tuple[int, int, int, bool]]] = []  # of matrices, sorted
        self._longest = 0
        self.links: list[Link] = []

    def values(self, low: int, high: int, padding: int) -> Array:
        """fp64 values of halves, a row per 32 bytes and one of `padding`; those of [low, high) are valid."""
        plane = self._plane
        if plane is None:
            plane = self._plane = np.zeros((self._size // 32 + 1, 16), np.float64)
        changed = self._changed
        at, last = low // _PAGE, -(-high // _PAGE)
        while (at := changed.find(1, at, last)) >= 0:
            end = changed.find(0, at, last)
            end = last if end < 0 else end
            halves = self.data[at * _PAGE : end * _PAGE].view("<f2")
            half_to_double(halves, plane.reshape(-1)[at * _PAGE // 2 : end * _PAGE // 2])
            changed[at:end] = bytes(end - at)
        if padding != self._padding:
            plane[-1] = np.array([padding], np.uint16).view("<f2").astype(np.float64)[0]
            self._padding = padding
        return plane

    def padded_cells(self, bits: int) -> Array:
        """The bytes as rows of 32, and a row filled with a 16-bit value."""
        self._bytes[-32:].view(np.uint16)[...] = bits
        return self._bytes.reshape(-1, 32)

    def matrix(self, at: int, rows: int, cols: int, order: bool) -> Array | None:
        """The GEMM-ready form of the fractals at byte `at`, if it is known."""
        return self._matrices.get((at, rows, cols, order))

    def keep_matrix(self, at: int, rows: int, cols: int, order: bool, values: Array) -> None:
        """Remember a GEMM-ready form until its bytes change."""
        key = (at, rows, cols, order)
        self._matrices[key] = values
        insort(self._starts, (at, key))
        self._longest = max(self._longest, rows * cols * FRACTAL)

    def before_write(self, low: int, high: int) -> None:
        """The bytes [low, high) are about to change."""
        if self.links:
            for link in self.links[:]:
                if link.at < high and low < link.at + link.count * FRACTAL:
                    link.settle()
        if self._starts:
            at = bisect_left(self._starts, (low - self._longest,))
            while at < len(self._starts) and self._starts[at][0] < high:
                key = self._starts[at][1]
                if low < key[0] + key[1] * key[2] * FRACTAL:
                    del self._matrices[key], self._starts[at]
                else:
                    at += 1

    def refresh(self, low: int, high: int) -> None:
        """The bytes [low, high), multiples of 32, have changed."""
        first, end = low // _PAGE, -(-high // _PAGE)
        self._changed[first:end] = b"\1" * (end - first)

    def refresh_bursts(self, at: int, bursts: int, size: int, pitch: int) -> None:
        """The same for `bursts` pieces of `size` bytes, `pitch` apart."""
        if pitch - size < _PAGE:  # no whole page lies between two of them
            self.refresh(at, at + (bursts - 1) * pitch + size)
            return
        for burst in range(bursts):
            self.refresh(at + burst * pitch, at + burst * pitch + size)


class Core:
    """One AI Core: the memories its core type has, and the registers of its vector unit.  Contents survive from
    block to block: undefined."""

    def __init__(self, soc: Soc, gm: GlobalMemory) -> None:
        sizes = dict.fromkeys(SPACES, 0) | {space: b.size for space, b in soc.core.buffers.items()}
        self.gm = gm
        self.ub = np.zeros(sizes["ub"], np.uint8)
        self.l1 = L1Memory(sizes["l1"])
        # Numbers instead of bytes are fast; cubes that also take 32-bit types and bf16 need the bytes.
        operands = OperandBytes if soc.core.supports("mmad", "f32f32f32") else OperandMemory
        self.l0a = operands(sizes["l0a"], rows_outer=True)
        self.l0b = operands(sizes["l0b"], rows_outer=False)
        self.l0c = AccumulatorMemory(sizes["l0c"])
        self.bt = np.zeros(sizes["bt"], np.uint8)
        self.fb = np.zeros(sizes["fb"], np.uint8)
        self.cross: Port | None = None  # when it is part of a launch that synchronises cores
        self.cmpmask = np.zeros(128, np.bool_)
        self.kept = 0  # RSVD_CNT
        self.found: Any = None  # of the last vcmax or vcmin: see `vector_more.extreme_bits`
        self.merged = 0  # VMS4_SR
        self.prepared: dict[object, list[Prepared]] = {}  # views of vector operands on `ub`
