"""What a cube kernel works on at a time: an item of the batch, a slab of A in L1, a tile of the result."""

from __future__ import annotations

from dataclasses import dataclass

from .kernel_builder import Index, Linear, Ref


@dataclass(frozen=True)
class Slab:
    """A piece of A in L1 for some output rows; sizes may be run-time values."""

    buffer: Ref | None  # None: streamed with the k loop
    first_row: Index  # first input row (by positions: first position of A)
    in_rows: Index
    pad_top: Index
    pad_bottom: Index
    pad_left: Index
    pad_right: Index | None  # None: by the schedule's pitch
    width: Index  # fm_width
    positions: Index  # output positions of the slab
    position0: Index  # first output position in the plane
    rows: Index  # output rows (by positions: fractals of them)


@dataclass(frozen=True)
class Item:
    """One batch·group item: byte offsets of its operands."""

    a: Linear
    b: Linear
    c: Linear
    c_plane0: Index  # first output plane, counted from the tensor's first
    k_steps: Index
    columns: Index  # columns of this core
    bias: Ref | None  # in L0B, unless tiles of columns load their own


@dataclass(frozen=True)
class Tile:
    """One output tile: n and m ranges."""

    column0: Index  # first plane within the group
    columns: Index
    column_in_core: Index
    m0: Index  # first position within the slab
    m: Index
    m16: Index
    position: Index  # first position within the plane
    rows: Index  # output rows of the slab: with a pitch, the tile is its slab
