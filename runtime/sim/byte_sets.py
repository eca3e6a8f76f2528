"""Sets of bytes relative to an address: runs of 32-byte blocks, which of them are touched, which bytes in part.

The hazard check compares them (`overlap`), instructions describe theirs with them (`footprint.py`, `split_footprint.py`), and
the lanes of a vector instruction are one of their kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.extents import (
    BLOCK,
)

Values: TypeAlias = Mapping[str, int]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]

_ALL = (1 << 64) - 1


@dataclass(frozen=True, eq=False)
class Footprint:
    """Blocks [first, first+count) of 32 bytes from the address; `blocks` None = all of them; `bytes` None =
    whole ones."""

    first: int
    count: int
    blocks: Bools | None = None
    bytes: Bools | None = None
    met: dict[tuple[Footprint, int], tuple[int, int] | None] = field(
        default_factory=dict["tuple[Footprint, int]", "tuple[int, int] | None"], repr=False
    )
    """What `overlap` found: (other footprint, its distance) → common bytes."""

    @property
    def low(self) -> int:
        return self.first * BLOCK

    @property
    def high(self) -> int:
        return (self.first + self.count) * BLOCK

    @property
    def solid(self) -> bool:
        return self.blocks is None and self.bytes is None

    @cached_property
    def bits(self) -> int:
        """Touched blocks as an integer, bit i = block first + i."""
        if self.blocks is None:
            return (1 << self.count) - 1
        return int.from_bytes(np.packbits(self.blocks, bitorder="little").tobytes(), "little")

    @cached_property
    def byte_mask(self) -> Bools:
        """Touched bytes of the hull."""
        if self.bytes is not None:
            return self.bytes
        if self.blocks is not None:
            return np.repeat(self.blocks, BLOCK)
        return np.ones(self.count * BLOCK, np.bool_)

    @cached_property
    def byte_bits(self) -> int:
        """Touched bytes of the hull as an integer."""
        return int.from_bytes(np.packbits(self.byte_mask, bitorder="little").tobytes(), "little")


EMPTY = Footprint(0, 0)


def overlap(a: Footprint, at_a: int, b: Footprint, at_b: int) -> tuple[int, int] | None:
    """The common bytes (hull, end exclusive) of `a` placed at `at_a` and `b` at `at_b`, None when there are
    none."""
    low, high = max(at_a + a.low, at_b + b.low), min(at_a + a.high, at_b + b.high)
    if low >= high:
        return None
    if a.solid and b.solid:
        return low, high
    # In a loop the same two shapes meet at ever new addresses; only their distance matters.
    key = (b, at_b - at_a)
    if key in a.met:
        met = a.met[key]
    else:
        met = a.met[key] = _common(a, b, at_b - at_a)
    return None if met is None else (met[0] + at_a, met[1] + at_a)


def _common(a: Footprint, b: Footprint, distance: int) -> tuple[int, int] | None:
    """The common bytes of `a` at 0 and `b` at `distance`: by blocks, and by bytes where that is not exact."""
    if distance % BLOCK == 0:
        at_b = distance // BLOCK + b.first
        base = min(a.first, at_b)
        common = (a.bits << (a.first - base)) & (b.bits << (at_b - base))
        if not common:
            return None
        if a.bytes is None and b.bytes is None:
            return _span(common, base * BLOCK, BLOCK)
    base = min(a.low, distance + b.low)
    common = (a.byte_bits << (a.low - base)) & (b.byte_bits << (distance + b.low - base))
    return _span(common, base, 1) if common else None


def _span(common: int, base: int, unit: int) -> tuple[int, int]:
    first = (common & -common).bit_length() - 1
    return base + first * unit, base + common.bit_length() * unit


def solid(length: int) -> Footprint:
    """`length` bytes from the address."""
    if length <= 0:
        return EMPTY
    if length % BLOCK == 0:
        return Footprint(0, length // BLOCK)
    return from_bytes(np.arange(length))


def from_blocks(index: Ints) -> Footprint:
    """The blocks numbered in `index`, relative to the address; they may be negative and repeat."""
    if index.size == 0:
        return EMPTY
    first, last = int(index.min()), int(index.max())
    blocks = np.zeros(last - first + 1, np.bool_)
    blocks[index.ravel() - first] = True
    return Footprint(first, last - first + 1, None if bool(blocks.all()) else blocks)


def from_bytes(index: Ints) -> Footprint:
    """The bytes numbered in `index`, relative to the address."""
    if index.size == 0:
        return EMPTY
    first, last = int(index.min()) // BLOCK, int(index.max()) // BLOCK
    count = last - first + 1
    mask = np.zeros(count * BLOCK, np.bool_)
    mask[index.ravel() - first * BLOCK] = True
    per_block = mask.reshape(count, BLOCK)
    blocks = per_block.any(axis=1)
    whole = bool((per_block.all(axis=1) == blocks).all())
    touched: Bools | None = None if bool(np.all(blocks)) else np.asarray(blocks, np.bool_)
    return Footprint(first, count, touched, None if whole else mask)


def burst_footprint(bursts: int, length: int, pitch: int) -> Footprint:
    """`bursts` pieces of `length` blocks every `pitch` blocks."""
    if bursts == 0 or length == 0:
        return EMPTY
    if bursts == 1 or pitch == length:
        return Footprint(0, bursts * length)
    return from_blocks(np.arange(bursts)[:, None] * pitch + np.arange(length))


def lane_mask(values: Values, lanes: int) -> Bools:
    """Active lanes of the mask register."""
    high, low = values.get("mask_hi", -1) & _ALL, values.get("mask_lo", -1) & _ALL
    raw = np.frombuffer((high << 64 | low).to_bytes(16, "little"), np.uint8)
    return np.unpackbits(raw, bitorder="little")[:lanes].astype(np.bool_)


def active_lanes(values: Values, lanes: int) -> Bools:
    """(repeats, lanes): which lanes take part; counter mode replaces repeat and mask."""
    count = values.get("count", -1)
    if count >= 0:
        repeats = -(-count // lanes)
        return (np.arange(repeats * lanes) < count).reshape(repeats, lanes)
    return np.broadcast_to(lane_mask(values, lanes), (values.get("repeat", 1), lanes))


def lane_bytes(active: Bools, size: int, blk: int, rep: int) -> Ints:
    """Byte numbers of the active lanes, (n, size): element e of repeat r at r·rep·32 + (e//eb)·blk·32 +
    (e%eb)·size."""
    repeat, lane = np.nonzero(active)
    per_block = BLOCK // size
    at = (repeat * rep + lane // per_block * blk) * BLOCK + lane % per_block * size
    return (at[:, None] + np.arange(size)).astype(np.int64)


def lane_footprint(active: Bools, size: int, blk: int, rep: int) -> Footprint:
    repeats, lanes = active.shape
    if repeats == 0:
        return EMPTY
    per_block = BLOCK // size
    if active.all() and lanes % per_block == 0:
        blocks: int = lanes // per_block
        if blk == 1 and (rep == blocks or repeats == 1):
            return Footprint(0, repeats * blocks)
        rows: Ints = np.arange(repeats, dtype=np.int64)[:, None] * rep
        columns: Ints = np.arange(blocks, dtype=np.int64) * blk
        return from_blocks(rows + columns)
    return from_bytes(lane_bytes(active, size, blk, rep))
