"""Sort kernels: the best elements of rows, in order, with where they stood, by the instructions on region proposals.

One core's program, outermost first:

    pieces of rows (granules)             several at once where a piece is one block
      blocks, the last one first          keys and carried rows GM → UB (MTE2), a block ahead
                                          vconcat: keys, number of the block → proposals; the places stand there
                                          vbitsort: groups of 16; vmrgsort4: lists, level by level
                                          vmrgsort4 with the best so far, which come later in the row
      passes, where more than a block     the blocks' losers again, from the workspace
      is asked for
                                          vextract → planes of the result, UB → GM (MTE3)

Equal keys keep their order because a merge takes the first list first, and lists are merged with their neighbours only.
What is asked of a list is never more than the result needs, so that the best 300 of 25200 stay on the chip.  A full sort
is a bubble sort of blocks: a pass leaves the best block in front, and control flow never depends on data (decision 0032).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, i64
from xdsl.ir import SSAValue

from ..dialects import ascend
from ..dialects.davinci import KernelOp
from ..dialects.nn_shapes import SORT_GROUP
from ..runtime.soc import Soc
from .cube_problem import UNIT
from .kernel_builder import Index, KernelBuilder, Ref, mark_disjoint
from .recurrence_gates import low_lanes
from .sort_problem import (
    KEY,
    MOST_REPEATS,
    PLACES,
    Merge,
    SortProblem,
    SortSchedule,
    ceil_div,
    levels,
    problem_of,
    refusal,
    root_of,
    schedule_of,
)

_REPEAT_BYTES = 256


def choose_schedule(group: ascend.GroupOp, soc: Soc) -> dict[str, int | str]:
    """The schedule attribute of a sort group."""
    problem = problem_of(root_of(group))
    schedule, reason = schedule_of(problem, soc), refusal(problem, soc)
    if schedule is None or reason is not None:
        raise ValueError(f"sort: {reason}")
    return schedule.as_dict()


def generate(group: ascend.GroupOp, soc: Soc, name: str) -> KernelOp:
    """The kernel of a sort group; without a schedule it gets the one that `choose_schedule` takes."""
    values = group.schedule.values or choose_schedule(group, soc)
    return SortKernel(group, SortSchedule(**values), soc, name).build()  # pyright: ignore[reportArgumentType]


def raw(value: float, dtype: str) -> int:
    """Bits of a number."""
    if dtype == "f16":
        return int(np.array(value, np.float16).view(np.uint16))
    return int(np.array(value, np.float32).view(np.uint32))


class SortKernel:
    """Builds one kernel; method order follows the loop nest."""

    def __init__(self, group: ascend.GroupOp, schedule: SortSchedule, soc: Soc, name: str) -> None:
        self.p: SortProblem = problem_of(root_of(group))
        self.s, self.soc = schedule, soc
        self.list_bytes = self.p.list_length * self.p.proposal  # bytes of a list
        self.scratch = self.p.blocks * self.list_bytes if self.p.passes > 1 else 0
        inputs = len(group.inputs)
        self.kb = KernelBuilder(name, soc, inputs + 1 + bool(self.scratch), schedule.blocks)
        rows = list(self.kb.args[:inputs])
        self.keys = rows.pop(0)
        self.names = rows.pop(0) if self.p.positions else None
        self.carried = rows
        self.result = self.kb.args[inputs]
        self.lanes = _REPEAT_BYTES // self.p.size
        self.levels = list(levels(self.p.list_length, self.p.keep))

    def build(self) -> KernelOp:
        kb, p, s = self.kb, self.p, self.s
        size = s.rows * self.list_bytes
        self.raw, *self.lists = (kb.alloc("ub", size) for _ in range(3))
        self._name_places()
        if self.scratch:
            kb.kernel.attributes["workspace"] = DenseArrayBase.from_list(i64, [self.scratch * s.blocks])
            self.work = kb.args[-1] + kb.linear(0, (kb.block_idx, self.scratch))
        first, count = kb.partition(p.rows * p.pieces)
        if p.blocks > 1:
            with kb.loop(count) as number:
                self._long(kb.add(first, number))
            return kb.kernel
        with kb.loop(kb.ceil_div(count, s.rows)) as number:
            rows = kb.min(s.rows, kb.sub(count, kb.mul(number, s.rows)))
            self._short(kb.add(first, kb.mul(number, s.rows)), rows)
        return kb.kernel

    def _name_places(self) -> None:
        """All bytes of the proposals defined, and the places in them for good: sorting reads, but never writes them."""
        kb, p, s = self.kb, self.p, self.s
        self._fill(self.raw, 0.0, s.rows * p.list_length * p.proposal // p.size)
        if self.names is None:
            return
        names = kb.alloc("ub", p.list_length * p.size)
        kb.op("copy_gm_to_ubuf", "", names, self.names, bursts=1, length=p.list_length * p.size // UNIT)
        with kb.loop(s.rows) as row:
            self._element(
                "vconcat", self.raw + kb.linear(0, (row, self.list_bytes)), names, p.list_length, PLACES[0]
            )

    # ------------------------------------------------------------------ rows of one block
    def _short(self, first: Index, rows: Index) -> None:
        """`rows` rows from row `first` on, each of one block."""
        self._load(first, 0, rows)
        found = self._sort(rows)
        self._store(first, rows, found, self.list_bytes, 0)

    # ------------------------------------------------------------------ rows of several blocks
    def _long(self, granule: Index) -> None:
        kb, p = self.kb, self.p
        bytes_kept = p.keep * p.proposal
        best, merged = kb.alloc("ub", bytes_kept), kb.alloc("ub", 2 * bytes_kept)
        self._first_number(kb.rem(granule, p.pieces))
        last = p.piece_blocks - 1
        self._load(granule, last, 1)
        self._copy(best, self._sort(1), p.keep)
        for number in self._each(last):
            block = kb.sub(last - 1, number)
            self._load(granule, block, 1)
            self._better(self._sort(1), best, merged, block)
        self._store(granule, 1, best, bytes_kept, 0)
        if p.passes > 1:
            self._more_passes(granule, best, merged)

    def _each(self, trip: int) -> Iterator[Index]:
        """A loop, or nothing."""
        if trip:
            with self.kb.loop(trip) as number:
                yield number

    def _more_passes(self, granule: Index, best: Ref, merged: Ref) -> None:
        """The best of what is left, again and again: block `pass` of the result."""
        kb, p = self.kb, self.p
        last = p.piece_blocks - 1
        with kb.loop(p.passes - 1) as done:
            self._from_work(best, last)
            with kb.loop(kb.sub(last - 1, done)) as number:
                block = kb.sub(last - 1, number)
                losers = kb.alloc("ub", self.list_bytes, 2)
                self._from_work(losers, block)
                self._better(losers, best, merged, block)
            self._store(granule, 1, best, self.list_bytes, kb.add(done, 1))

    def _better(self, found: Ref, best: Ref, merged: Ref, block: Index) -> None:
        """The best of a block and of those behind it; with further passes the losers take the place of the next block."""
        kb, p = self.kb, self.p
        self._merge(merged, (found, best), (p.keep, p.keep))
        self._copy(best, merged, p.keep)
        if p.passes > 1:
            target = self.work + kb.linear(self.list_bytes, (block, self.list_bytes))
            kb.op(
                "copy_ubuf_to_gm",
                "",
                target,
                merged + self.list_bytes,
                bursts=1,
                length=self.list_bytes // UNIT,
            )

    def _from_work(self, target: Ref, block: Index) -> None:
        source = self.work + self.kb.linear(0, (block, self.list_bytes))
        self.kb.op("copy_gm_to_ubuf", "", target, source, bursts=1, length=self.list_bytes // UNIT)

    def _copy(self, target: Ref, source: Ref, count: int) -> None:
        self.kb.op("copy_ubuf_to_ubuf", "", target, source, bursts=1, length=count * self.p.proposal // UNIT)

    def _first_number(self, piece: Index) -> None:
        """Numbers of the piece's blocks: one more than its last, as each block counts down."""
        kb, p = self.kb, self.p
        if not p.numbered:
            return
        self.number = kb.alloc("ub", _REPEAT_BYTES)
        kb.op("vector_dup", p.dtype, self.number, value=raw(p.piece_blocks, p.dtype), repeat=1)
        if p.pieces > 1:
            with kb.loop(piece):
                self._count(p.piece_blocks)

    def _count(self, by: int) -> None:
        self.kb.op("vadds", self.p.dtype, self.number, self.number, scalar=raw(by, self.p.dtype), repeat=1)

    # ------------------------------------------------------------------ one block
    def _load(self, first: Index, block: Index, rows: Index) -> None:
        """Keys and carried rows of block `block` of the pieces from granule `first` on, into the proposals."""
        kb, p = self.kb, self.p
        for source, place in self._sources():
            is_before_loop = p.blocks > 1 and self._may_be_last(block)
            buffer = kb.alloc("ub", self.s.rows * p.list_length * p.size, 1 if is_before_loop else 2)
            self._load_rows(buffer, source, first, block, rows)
            self._fill_ends(buffer, first, block, rows)
            self._element("vconcat", self.raw, buffer, kb.mul(rows, p.list_length), place)
        if p.numbered:
            self._count(-1)
            numbers = kb.alloc("ub", -(-p.list_length // self.lanes) * _REPEAT_BYTES)
            kb.op(
                "vadds", p.dtype, numbers, self.number, scalar=raw(0.0, p.dtype), src_rep=0,
                repeat=ceil_div(p.list_length, self.lanes),
            )  # fmt: skip
            self._element("vconcat", self.raw, numbers, p.list_length, PLACES[1])

    def _sources(self) -> list[tuple[Ref, int]]:
        """Rows in memory, and their element of a proposal."""
        used = self.p.positions + self.p.numbered
        return [(self.keys, KEY), *((row, PLACES[used + i]) for i, row in enumerate(self.carried))]

    def _load_rows(self, buffer: Ref, source: Ref, first: Index, block: Index, rows: Index) -> None:
        kb, p = self.kb, self.p
        length, row_bytes = ceil_div(p.block * p.size, UNIT), p.length * p.size
        if p.blocks == 1 and row_bytes % UNIT == 0 and p.list_length * p.size == row_bytes:
            kb.op(
                "copy_gm_to_ubuf", "", buffer, source + kb.linear(0, (first, row_bytes)), bursts=1,
                length=kb.mul(rows, length), limits={"length": self.s.rows * length},
            )  # fmt: skip
            return
        if p.blocks == 1:
            with kb.loop(rows) as row:
                target = buffer + kb.linear(0, (row, p.list_length * p.size))
                of = source + kb.linear(0, (first, row_bytes), (row, row_bytes))
                kb.op("copy_gm_to_ubuf", "", target, of, bursts=1, length=length)
            return
        row, piece = kb.div(first, p.pieces), kb.rem(first, p.pieces)
        begin = kb.linear(
            0, (row, row_bytes), (piece, p.piece_blocks * p.block * p.size), (block, p.block * p.size)
        )
        short = ceil_div(p.last * p.size, UNIT)
        if self._may_be_last(block) and p.pieces > 1:
            length = kb.select(self._is_last(first), short, length)
        elif self._may_be_last(block):
            length = short
        kb.op(
            "copy_gm_to_ubuf", "", buffer, source + begin, bursts=1, length=length,
            limits={"length": ceil_div(p.block * p.size, UNIT)},
        )  # fmt: skip

    def _may_be_last(self, block: Index) -> bool:
        """Whether it can be the last block of a row."""
        return isinstance(block, int) and block == self.p.piece_blocks - 1

    def _is_last(self, granule: Index) -> SSAValue:
        return self.kb.equal(self.kb.rem(granule, self.p.pieces), self.p.pieces - 1)

    def _fill_ends(self, buffer: Ref, first: Index, block: Index, rows: Index) -> None:
        """Minus infinity for what the last block lacks to whole groups, and to the length of the others."""
        p = self.p
        if not self._may_be_last(block) or p.last == p.list_length:
            return
        if p.pieces == 1:
            self._fill_end(buffer, rows)
            return
        with self.kb.when(self._is_last(first)):
            self._fill_end(buffer, rows)

    def _fill_end(self, buffer: Ref, rows: Index) -> None:
        kb, p = self.kb, self.p
        begin = p.last // SORT_GROUP * SORT_GROUP
        if p.last > begin:
            mask = low_lanes(SORT_GROUP) - low_lanes(p.last - begin)
            step = (
                p.list_length * p.size // UNIT if self.s.rows > 1 else 0
            )  # a long row has no place in the field
            kb.op(
                "vector_dup", p.dtype, buffer + begin * p.size, value=raw(-math.inf, p.dtype), repeat=rows,
                dst_rep=step, mask_lo=mask, mask_hi=0, limits={"repeat": self.s.rows},
            )  # fmt: skip
            begin += SORT_GROUP
        self._fill(buffer + begin * p.size, -math.inf, p.list_length - begin)

    def _sort(self, rows: Index) -> Ref:
        """Sorted lists of the proposals: groups, then level by level.  Levels whose merges are one instruction per row are one
        for all rows."""
        kb, p = self.kb, self.p
        of, to = self.raw, self.lists[0]
        groups = p.list_length // SORT_GROUP
        with_limit = {"repeat": self.s.rows * groups}
        kb.op("vbitsort", p.dtype, to, of, repeat=kb.mul(rows, groups), limits=with_limit)
        of, to = self.lists
        rest = list(self.levels)
        while rest and self._is_even(rest[0]):
            self._level(of, to, rest.pop(0), rows)
            of, to = to, of
        if rest:
            with kb.loop(rows) as row:
                here, there = (buffer + kb.linear(0, (row, self.list_bytes)) for buffer in (of, to))
                for level in rest:
                    self._level(here, there, level, 1)
                    here, there = there, here
        return self.lists[len(self.levels) % 2]

    def _is_even(self, level: tuple[Merge, ...]) -> bool:
        """Whether the merges of a level take up the whole list, so that those of the next row follow."""
        p = self.p
        only = level[0]
        lengths = {length for _, length in only.lists}
        whole_list = len(only.lists) == 4 and len(lengths) == 1 and only.repeat * only.total == p.list_length
        return len(level) == 1 and whole_list and only.repeat * self.s.rows <= MOST_REPEATS

    def _level(self, of: Ref, to: Ref, level: tuple[Merge, ...], rows: Index) -> None:
        kb, p = self.kb, self.p
        for merge in level:
            self._merge(
                to + merge.first * p.proposal, tuple(of + first * p.proposal for first, _ in merge.lists),
                tuple(length for _, length in merge.lists), kb.mul(rows, merge.repeat), self.s.rows * merge.repeat,
            )  # fmt: skip

    def _merge(
        self, to: Ref, lists: tuple[Ref, ...], lengths: tuple[int, ...], repeat: Index = 1, most: int = 1
    ) -> None:
        """Two to four lists; operands that do not exist stand where the first does, with no length."""
        count = len(lists)
        refs, sizes = (*lists, *(lists[0],) * (4 - count)), (*lengths, *(0,) * (4 - count))
        self.kb.op(
            "vmrgsort4", self.p.dtype, to, *refs, repeat=repeat, length0=sizes[0], length1=sizes[1], length2=sizes[2],
            length3=sizes[3], valid=(1 << count) - 1, limits={"repeat": most},
        )  # fmt: skip

    # ------------------------------------------------------------------ the result
    def _store(self, first: Index, rows: Index, found: Ref, step: int, part: Index) -> None:
        """The best of `rows` lists, `step` bytes apart, plane by plane; `part` counts the passes."""
        kb, p, s = self.kb, self.p, self.s
        plane = p.rows * p.pieces * p.count * p.size
        for number, element in enumerate(p.planes):
            buffer = kb.alloc("ub", s.rows * p.keep * p.size, 2)
            if step == p.keep * p.proposal:
                self._element("vextract", buffer, found, kb.mul(rows, p.keep), element)
            else:
                with kb.loop(rows) as row:
                    of, to = found + kb.linear(0, (row, step)), buffer + kb.linear(0, (row, p.keep * p.size))
                    self._element("vextract", to, of, p.keep, element)
            target = self.result + kb.linear(
                number * plane, (first, p.count * p.size), (part, p.list_length * p.size)
            )
            count = kb.min(p.keep, kb.sub(p.count, kb.mul(part, p.list_length))) if p.passes > 1 else p.keep
            length = (
                kb.mul(kb.mul(rows, count), p.size)
                if isinstance(rows, int)
                else kb.mul(rows, p.keep * p.size)
            )
            store = kb.op(
                "copy_ubuf_to_gm", "", target, buffer, bursts=1, length=kb.div(length, UNIT),
                limits={"length": s.rows * p.keep * p.size // UNIT},
            )  # fmt: skip
            mark_disjoint(store)

    # ------------------------------------------------------------------ instructions
    def _element(self, mnemonic: str, to: Ref, of: Ref, count: Index, element: int) -> None:
        """vconcat or vextract of `count` proposals in whole groups."""
        kb, p = self.kb, self.p
        most = self.s.rows * p.list_length // SORT_GROUP
        kb.op(
            mnemonic,
            p.dtype,
            to,
            of,
            repeat=kb.div(count, SORT_GROUP),
            position=element,
            limits={"repeat": most},
        )

    def _fill(self, target: Ref, value: float, count: int) -> None:
        """`count` elements, in whole repeats and a masked one."""
        kb, p = self.kb, self.p
        whole_repeats, rest = divmod(count, self.lanes)
        for first in range(0, whole_repeats, MOST_REPEATS):
            to = target + first * _REPEAT_BYTES
            repeat = min(MOST_REPEATS, whole_repeats - first)
            kb.op("vector_dup", p.dtype, to, value=raw(value, p.dtype), repeat=repeat)
        if rest:
            low, high = low_lanes(min(rest, 64)), low_lanes(max(0, rest - 64))
            to = target + whole_repeats * _REPEAT_BYTES
            kb.op("vector_dup", p.dtype, to, value=raw(value, p.dtype), repeat=1, mask_lo=low, mask_hi=high)
