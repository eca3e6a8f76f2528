"""A move as plain numbers: which input element becomes which output element.

Every op that only moves elements is a list of boxes.  In a box, output position `out_base + Σ i_d · out_d` takes input
position `src_base + Σ i_d · src_d` (in elements, of the physical arrays); a box without source is filled.  The boxes of
one op cover its output once.  So transposes, slices, expansions, concatenations and changes of format differ only in
their strides, and the generators look at nothing else: which axis has stride 1 in the output, which in the input.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd, prod

from .kernel_builder import Index, KernelBuilder
from .tails import BLOCK, ceil_div


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
    """Outermost first by output stride, without axes of one step, neighbours merged where both sides allow it."""
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

    A block runs its tiles in order: what one tile's last store spills behind the tile, the next one overwrites.  So
    only the borders between blocks must lie at multiples of 32 output bytes.
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
