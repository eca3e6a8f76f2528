"""How a long reduction is cut into pieces that cores can share: the numbers behind ascend-split-reductions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ..dialects.layouts import BLOCK_BYTES, DTYPE_BYTES, Format, Layout
from ..dialects.nn_shapes import Shape
from ..runtime.soc import Soc

LEAST_ELEMENTS = 1 << 13
"""Elements below which nobody asks whether splitting pays."""
RATE = 0.05
"""Cycles per element and generation of reductions on one core, measured on sums, softmax and LayerNorm of one line of
8192 to 131072 elements on Ascend310P3: 0.04 to 0.24 in all."""
LAUNCH = 900
"""Cycles that each further launch adds there: 300 of the launch, the rest until its first loads are in and its last
stores are out."""
AGAIN = {"rows": 2.0, "split": 1.25}
"""How much longer a core works per element after a split, by how the tiles of the whole lay: rows that were in its
buffer as a whole are now loaded once per generation and once for the results."""
MOST_ELEMENTS = 1 << 13
"""Elements of the pieces that one core makes together: whole rows of a tile, with room for some f32 copies of them in UB."""
START = 256
"""What a tile costs besides its elements, in elements (addresses, flags, the first load): so pieces are not too short."""


@dataclass(frozen=True)
class Pieces:
    """The reduced dims of `shape` (those from `lead` on) as `count` pieces of `length`, in each of `lines` lines."""

    shape: Shape
    lead: int
    lines: int
    count: int
    length: int
    layout: Layout

    @property
    def elements(self) -> int:
        """Elements of the whole, lanes included."""
        return self.lines * self.count * self.length * max(1, self.layout.c0)

    @property
    def piece_axes(self) -> tuple[int, ...]:
        """Dims of the partial results that are joined."""
        return (self.lead, self.lead + 1)

    @property
    def inner_axes(self) -> tuple[int, ...]:
        """Dims inside of a piece."""
        return (self.lead + 1,)

    def is_single(self, shape: Shape) -> bool:
        """One number per line."""
        return all(extent == 1 for extent in shape[self.lead :]) and len(shape) in (
            self.lead,
            len(self.shape),
        )

    def seen(self, shape: Shape) -> Shape | None:
        """A shape of the group in the space of pieces; None where it is neither whole nor single there."""
        if not shape:
            return shape
        if self.is_single(shape):
            return (*shape[: self.lead], 1, 1)
        if len(shape) != len(self.shape) or shape[self.lead :] != self.shape[self.lead :]:
            return None
        return (*shape[: self.lead], self.count, self.length)


def pieces_of(shape: Shape, axes: Shape, layout: Layout, partial: str, soc: Soc) -> Pieces | None:
    """The cut for a reduction of `shape` over `axes` on `soc`; None where there is no cut.

    `partial`: the smallest type of the partial results.
    """
    lead = axes[0]
    if tuple(axes) != tuple(range(lead, len(shape))):
        return None
    reduced = prod(shape[lead:])
    if layout.format is Format.NC1HWC0 and len(shape) == 4 and lead == 2:
        lines, lanes, granule = shape[0] * -(-shape[1] // layout.c0), layout.c0, 1
    elif layout == Layout(Format.ND):
        # partial results of neighbouring pieces share a block of 32 bytes: one core makes all of them (D6)
        lines, lanes, granule = prod(shape[:lead]), 1, BLOCK_BYTES // DTYPE_BYTES[partial]
    else:
        return None
    if lines * reduced * lanes < LEAST_ELEMENTS:
        return None
    count = _count(lines, reduced, lanes, granule, soc.cores)
    if not count and granule == 1:  # no short pieces: long ones, of which a tile holds a part
        count = _count(lines, reduced, lanes, granule, soc.cores, most=reduced * lanes)
    return Pieces(tuple(shape), lead, lines, count, reduced // count, layout) if count else None


def pays(pieces: Pieces, generations: int, whole: bool, plan: Mapping[str, object], soc: Soc) -> bool:
    """Whether two launches per generation, and one for results that are `whole`, beat the `plan` of one for everything.

    One line of softmax in f16 on Ascend310P3: 16384 elements take 3962 cycles whole and 5352 split, 32768 take 7964
    and 6309, 131072 take 26464 and 11112. Four lines of 32768 take 9005 whole, as they fit into UB, and 11022 split.
    """
    blocks, again = plan["blocks"], AGAIN[str(plan["mode"])] if whole or generations > 1 else 1.0
    assert isinstance(blocks, int)
    gain = pieces.elements * RATE * generations * (1 / blocks - again / soc.cores)
    return gain > LAUNCH * (2 * generations - 1 + whole)


def _count(lines: int, reduced: int, lanes: int, granule: int, cores: int, most: int = MOST_ELEMENTS) -> int:
    """The divisor of the reduced extent that shares the work best; 0 if none keeps all cores busy."""
    best, fewest = 0, 0
    for count in range(1, reduced // 2 + 1):
        if reduced % count:
            continue
        if lines * count < cores * granule or (lines > 1 and count % granule):
            continue
        length = reduced // count
        if granule * length * lanes > most:
            continue
        units = -(-lines * count // granule)
        cost = -(-units // cores) * granule * (length * lanes + START) + lines * count * lanes
        if not best or cost < fewest:
            best, fewest = count, cost
    return best
