"""A move as plain numbers: which input element becomes which output element.

Every op that only moves elements is a list of boxes.  In a box, output position `out_base + Σ i_d · out_d`
takes input position `src_base + Σ i_d · src_d` (in elements, of the physical arrays); a box without source
is filled.  The boxes of one op cover its output once.  So transposes, slices, expansions, concatenations
and changes of format differ only in their strides, and the generators look at nothing else: which axis has
stride 1 in the output, which in the input.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd, prod

from .kernel_builder import Index, KernelBuilder, Ref
from .tails import BLOCK, MAX_REPEAT, ceil_div, is_packed


@dataclass(frozen=True)
class Axis:
    """`extent` steps of `out` elements in the output and `src` elements in the input."""

    extent: int
    out: int
    src: int


@dataclass(frozen=True)
class Box:
    """One affine piece of a move; `source` is the number of the input, -1 for a fill."""

    axes: tuple[Axis, ...]
    out_base: int = 0
    src_base: int = 0
    source: int = 0

    @property
    def elements(self) -> int:
        return prod(axis.extent for axis in self.axes)


def normalize(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Outermost first by output stride, without axes of one step, neighbours merged where both sides allow
    it.
    """
    kept = sorted((a for a in axes if a.extent != 1), key=lambda a: (-a.out, -a.extent))
    merged: list[Axis] = []
    for axis in kept:
        if merged:
            last = merged[-1]
            if last.out == axis.extent * axis.out and last.src == axis.extent * axis.src:
                merged[-1] = Axis(last.extent * axis.extent, axis.out, axis.src)
                continue
        merged.append(axis)
    return tuple(merged)


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def aligned_steps(step_bytes: int) -> int:
    """Fewest steps that make whole 32-byte blocks."""
    return BLOCK // gcd(step_bytes, BLOCK) if step_bytes else 1


@dataclass(frozen=True)
class Grid:
    """Tiles of a kernel as a box of indices, outermost first; blocks take whole multiples of `unit` tiles.

    A block runs its tiles in order: what one tile's last store spills behind the tile, the next one
    overwrites.  So only the borders between blocks must lie at multiples of 32 output bytes.
    """

    counts: tuple[int, ...]
    unit: int = 1

    @property
    def total(self) -> int:
        return prod(self.counts)

    @property
    def parallel(self) -> int:
        """Parts that may go to different blocks."""
        return ceil_div(self.total, self.unit)

    def blocks(self, cores: int) -> int:
        return max(1, min(cores, self.parallel))

    @contextmanager
    def tiles(self, kb: KernelBuilder) -> Generator[list[Index]]:
        """The loop over this block's tiles; gives the index along each dimension."""
        first, count = kb.partition(self.parallel)
        start = kb.mul(first, self.unit)
        trips = kb.mul(count, self.unit)
        if self.total % self.unit:
            trips = kb.sub(kb.min(kb.mul(kb.add(first, count), self.unit), self.total), start)
        with kb.loop(trips) as i:
            rest = kb.add(start, i)
            indices: list[Index] = []
            inner = [n for n in self.counts if n > 1]
            for number, n in enumerate(reversed(inner)):
                outermost = number == len(inner) - 1
                indices.append(rest if outermost else kb.rem(rest, n))
                rest = rest if outermost else kb.div(rest, n)
            found = iter(reversed(indices))
            yield [next(found) if n > 1 else 0 for n in self.counts]


@dataclass(frozen=True)
class DenseTiles:
    """Tiles that are runs of dense output rows: the grid, byte strides of its indices, and how rows must
    end.
    """

    grid: Grid
    strides: tuple[int, ...]
    exact: bool


def dense_tiles(
    counts: Sequence[int], strides: Sequence[int], sizes: Sequence[int], *, row_bytes: int, lanes: int
) -> DenseTiles:
    """Which blocks may take which tiles.

    Args:
        counts, strides: the indices of a tile, outermost first, and their output strides in bytes.
        sizes: row counts that tiles may have (0: none such).
    """
    steps = [s for s, n in zip(strides, counts, strict=True) if n > 1]
    if all(s % BLOCK == 0 for s in steps):
        grid = Grid(tuple(counts))
        odd = row_bytes % BLOCK != 0 and any(n % lanes for n in sizes)
        return DenseTiles(grid, tuple(strides), odd and grid.total > 1 and not is_packed(row_bytes, lanes))
    if is_packed(row_bytes, lanes):
        return DenseTiles(Grid(tuple(counts), prod(counts)), tuple(strides), exact=False)
    unit = 1
    for count, stride in reversed(list(zip(counts, strides, strict=True))):
        if stride % BLOCK == 0:
            break
        if unit * count == prod(counts):
            unit *= aligned_steps(stride)
            break
        unit *= count
    return DenseTiles(Grid(tuple(counts), min(unit, prod(counts))), tuple(strides), exact=True)


def fill_blocks(kb: KernelBuilder, to: Ref, value: int, size: int, count: int, step: int = 1) -> None:
    """Fills `count` blocks, `step` blocks apart, with elements of `size` bytes that have the bits `value`.

    Wide elements are filled one 16-bit half at a time under a lane mask.
    """
    halves = max(1, size // 2)
    if size == 1:
        value = (value & 0xFF) * 0x101
    if len({value >> 16 * h & 0xFFFF for h in range(halves)}) == 1:
        halves = 1
    for half in range(halves):
        part, whole = value >> 16 * half & 0xFFFF, count // 8
        with kb.loop(whole // MAX_REPEAT) as i:
            if whole >= MAX_REPEAT:
                at = to + kb.linear(0, (i, MAX_REPEAT * 8 * step * BLOCK))
                _fill_lanes(kb, at, part, MAX_REPEAT, step, range(half, 128, halves))
        done = whole // MAX_REPEAT * MAX_REPEAT
        if whole > done:
            _fill_lanes(kb, to + done * 8 * step * BLOCK, part, whole - done, step, range(half, 128, halves))
        if count % 8:
            lanes = range(half, count % 8 * 16, halves)
            _fill_lanes(kb, to + whole * 8 * step * BLOCK, part, 1, step, lanes)


def _fill_lanes(kb: KernelBuilder, to: Ref, part: int, repeat: int, step: int, lanes: range) -> None:
    bits = sum(1 << i for i in lanes)
    low, high = signed_bits(bits & (1 << 64) - 1), signed_bits(bits >> 64)
    kb.op(
        "vector_dup",
        "u16",
        to,
        value=part,
        repeat=repeat,
        dst_blk=step,
        dst_rep=8 * step,
        mask_lo=low,
        mask_hi=high,
    )


def signed_bits(bits: int) -> int:
    """64 bits as the signed number that attributes hold."""
    return bits - (1 << 64) if bits >> 63 else bits
