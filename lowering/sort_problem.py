"""What a sort group computes, in proposals: lists that grow by merging, and what of them must fit UB.

A proposal is 8 elements; instructions order proposals by element 4 (the key), stable, and move the others along.  16
proposals make a group, the least list.  A block of a row is sorted in UB: groups by `vbitsort`, then merges of two to four
lists (`levels`).  A list is never longer than what the result can need of it (`keep`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from ..dialects import ascend, dtypes, nn
from ..dialects.nn_shapes import SORT_BLOCK, SORT_GROUP
from ..runtime.isa.extents import PROPOSAL
from ..runtime.soc import Soc

KEY: Final = 4
"""Element of a proposal that is compared."""
PLACES: Final = (0, 1, 2, 3, 5)
"""Elements of a proposal for what is carried along, in the order of the planes."""
MOST_REPEATS: Final = 255
_MOST_ROWS = 255  # rows of a tile: repeats of one instruction
_BLOCK_STEP = 256
_REPEAT_BYTES = 256


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def whole(count: int) -> int:
    """Elements in whole groups."""
    return ceil_div(count, SORT_GROUP) * SORT_GROUP


@dataclass(frozen=True)
class SortProblem:
    """Sizes in elements, as `nn.SortOp` says."""

    dtype: str
    rows: int
    length: int
    count: int  # whole groups
    block: int
    pieces: int
    positions: bool
    carried: int

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return dtypes.size_of(self.dtype)

    @property
    def proposal(self) -> int:
        """Bytes of a proposal."""
        return PROPOSAL * self.size

    @property
    def list_length(self) -> int:
        """Proposals of a sorted block."""
        return whole(self.block)

    @property
    def blocks(self) -> int:
        """Blocks of a row."""
        return ceil_div(self.length, self.block)

    @property
    def piece_blocks(self) -> int:
        return self.blocks // self.pieces

    @property
    def last(self) -> int:
        """Elements of the last block of a row."""
        return self.length - (self.blocks - 1) * self.block

    @property
    def keep(self) -> int:
        """Proposals that a list needs at most."""
        return min(self.count, self.list_length)

    @property
    def passes(self) -> int:
        """How often the blocks of a piece are gone through: each time the best of all come out."""
        return ceil_div(self.count, self.list_length)

    @property
    def numbered(self) -> bool:
        """Whether proposals carry the number of their block."""
        return self.positions and self.blocks > 1

    @property
    def planes(self) -> tuple[int, ...]:
        """Elements of a proposal that the result holds."""
        return (KEY, *PLACES[: self.positions + self.numbered + self.carried])


@dataclass(frozen=True)
class SortSchedule:
    """Pieces of rows that a core sorts side by side, and the cores."""

    rows: int
    blocks: int

    def as_dict(self) -> dict[str, int | str]:
        """The schedule attribute."""
        return dict(asdict(self))


@dataclass(frozen=True)
class Merge:
    """Some neighbouring lists become one at the place of the first; `repeat` times, one behind the other."""

    lists: tuple[tuple[int, int], ...]  # (first proposal, proposals)
    repeat: int = 1

    @property
    def first(self) -> int:
        return self.lists[0][0]

    @property
    def total(self) -> int:
        return sum(length for _, length in self.lists)


def levels(length: int, keep: int) -> Iterator[tuple[Merge, ...]]:
    """The merges that make one list of sorted groups, level by level: each reads what the one before wrote, so that two
    buffers take turns.  No list is left over, as a copy would cost as much as a merge."""
    lists = [(first, SORT_GROUP) for first in range(0, length, SORT_GROUP)]
    while len(lists) > 1:
        merges: list[Merge] = []
        at = 0
        for size in _shares(len(lists)):
            merges.append(Merge(tuple(lists[at : at + size])))
            at += size
        yield tuple(_repeated(merges))
        lists = [(merge.first, min(merge.total, keep)) for merge in merges]


def _shares(count: int) -> list[int]:
    """How many lists go into each merge: fours, and no merge of one."""
    fours, rest = divmod(count, 4)
    if rest == 1:
        return [*[4] * (fours - 1), 3, 2]
    return [4] * fours + ([rest] if rest else [])


def _repeated(merges: list[Merge]) -> Iterator[Merge]:
    """Merges of four lists of one length, each right behind the one before, are one instruction."""
    at = 0
    while at < len(merges):
        first = merges[at]
        length = first.lists[0][1]
        count = 0
        for merge in merges[at:]:
            begin = first.first + 4 * length * count
            if merge.lists != tuple((begin + i * length, length) for i in range(4)):
                break
            count += 1
        yield Merge(first.lists, max(1, count))
        at += max(1, count)


def root_of(group: ascend.GroupOp) -> nn.SortOp:
    """The group's only op."""
    return ascend.only_op(group, nn.SortOp)


def problem_of(op: nn.SortOp) -> SortProblem:
    """The geometry of a sort."""
    keys = op.inputs[0]
    rows, length = nn.shape_of(keys)
    positions = op.positions is not None
    return SortProblem(
        nn.dtype_of(keys), rows, length, whole(op.count.value.data), op.block.value.data, op.pieces.value.data,
        positions, len(op.inputs) - 1 - positions,
    )  # fmt: skip


def ub_bytes(p: SortProblem, rows: int) -> int:
    """Bytes of UB: proposals as they are made, two lists that take turns, what is kept, rows that come and go.  Buffers
    inside a loop have two slots; what stands before it has its own."""
    plane, several = rows * p.list_length * p.size, p.blocks > 1
    sorted_lists = 3 * rows * p.list_length * p.proposal
    kept = 3 * p.keep * p.proposal if several else 0
    again = 2 * p.list_length * p.proposal if p.passes > 1 else 0
    rows_in = (1 + p.carried) * plane * (3 if several else 2)
    numbers = p.positions * p.list_length * p.size + p.numbered * 2 * (plane + _REPEAT_BYTES)
    rows_out = len(p.planes) * rows * p.keep * p.size * (4 if p.passes > 1 else 2)
    return sorted_lists + kept + again + rows_in + numbers + rows_out


def schedule_of(p: SortProblem, soc: Soc) -> SortSchedule | None:
    """As many rows at once as fit, so that their groups are sorted by one instruction, and cores share them."""
    room, granules = soc.core.buffers["ub"].size, p.rows * p.pieces
    blocks = min(soc.cores, granules)
    if ub_bytes(p, 1) > room:
        return None
    if p.blocks > 1:
        return SortSchedule(1, blocks)
    most = min(ceil_div(granules, blocks), _MOST_ROWS, MOST_REPEATS * SORT_GROUP // p.list_length)
    return SortSchedule(max(r for r in range(1, max(1, most) + 1) if ub_bytes(p, r) <= room), blocks)


def refusal(p: SortProblem, soc: Soc) -> str | None:
    """Why no kernel sorts this; None if one does."""
    if not all(soc.core.supports(name, p.dtype) for name in ("vbitsort", "vmrgsort4", "vconcat", "vextract")):
        return f"{soc.name} sorts no {p.dtype}"
    if p.blocks > SORT_BLOCK:
        return f"{p.length} elements of a row are more than {SORT_BLOCK} blocks of {p.block}"
    if schedule_of(p, soc) is None:
        return f"a block of {p.block} elements does not fit UB"
    return None


def block_of(
    dtype: str, rows: int, length: int, count: int, soc: Soc, *, pieces: int = 1, positions: bool = True, carried: int = 0
) -> int:  # fmt: skip
    """The longest block that fits UB, evened out; blocks of several are whole groups."""
    for most in range(SORT_BLOCK, 0, -_BLOCK_STEP):
        blocks = ceil_div(length, most)
        blocks = ceil_div(blocks, pieces) * pieces
        block = length if blocks == 1 else whole(ceil_div(length, blocks))
        p = SortProblem(dtype, rows, length, whole(count), block, pieces, positions, carried)
        if p.blocks % pieces == 0 and ub_bytes(p, 1) <= soc.core.buffers["ub"].size:
            return block
    return 0
