"""How rows are cut for sorting: blocks that fit UB, and pieces for cores that would have none, judged by the timing model."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Block, Region, SSAValue

from ..dialects import ascend, nn
from ..dialects.layouts import ND
from ..dialects.nn_attrs import tensor_type
from ..runtime.soc import Soc
from .schedule_timing import timed
from .sort_problem import block_of, ceil_div, refusal, whole

_LAUNCH_CYCLES = 500
"""What a further task costs beside what its kernel's time says."""


@dataclass(frozen=True)
class Rows:
    """What is to be sorted: the best `count` of `rows` rows of `length` keys, with what is carried along."""

    dtype: str
    rows: int
    length: int
    count: int
    positions: bool
    carried: int


@dataclass(frozen=True)
class Cut:
    """Elements of a block, pieces of a row; with several, what is left of them is sorted once more in one piece."""

    block: int
    pieces: int = 1


def cut_of(r: Rows, soc: Soc) -> Cut | str:
    """The fastest cut, or why there is none."""
    found: dict[Cut, float] = {}
    reason = f"{soc.name} sorts no {r.length} elements of {r.dtype}"
    whole_row = _sorted_in(r, 1, soc)
    if isinstance(whole_row, str):
        return whole_row
    others = [cut for pieces in _pieces(r, soc) if isinstance(cut := _sorted_in(r, pieces, soc), Cut)]
    if not others:
        return whole_row
    for cut in (whole_row, *others):
        found[cut] = _cycles(r, cut, soc)
    return min(found, key=found.__getitem__) if found else reason


def _pieces(r: Rows, soc: Soc) -> list[int]:
    """Cuts that give idle cores something to do, as far as a piece has more elements than it gives."""
    most = soc.cores // r.rows
    return [n for n in dict.fromkeys((most, most // 2)) if n > 1 and 2 * n * whole(r.count) <= r.length]


def _sorted_in(r: Rows, pieces: int, soc: Soc) -> Cut | str:
    from .sort_problem import SortProblem

    block = block_of(
        r.dtype, r.rows, r.length, r.count, soc, pieces=pieces, positions=r.positions, carried=r.carried
    )
    if not block:
        return f"no block of {r.length} elements in {pieces} pieces fits UB"
    p = SortProblem(r.dtype, r.rows, r.length, whole(r.count), block, pieces, r.positions, r.carried)
    reason = refusal(p, soc)
    if reason is None and p.count > p.piece_blocks * p.list_length:
        reason = f"a piece has fewer than {p.count} elements"
    return reason or Cut(block, pieces)


def _cycles(r: Rows, cut: Cut, soc: Soc) -> float:
    """Of the kernel, and of the second one that sorts what the pieces gave."""
    from . import sort_kernel

    group = sort_group(r, cut)
    cycles, _ = timed(
        sort_kernel.generate(group, soc, "candidate"), group, soc, [True] * (len(group.inputs) + 1)
    )
    if cut.pieces == 1:
        return cycles
    named = r.positions * (1 + (ceil_div(r.length, cut.block) > 1))
    rest = Rows(r.dtype, r.rows, cut.pieces * whole(r.count), r.count, False, r.carried + named)
    second = _sorted_in(rest, 1, soc)
    if isinstance(second, str):
        return float("inf")
    return cycles + _LAUNCH_CYCLES + _cycles(rest, second, soc)


def sort_group(r: Rows, cut: Cut) -> ascend.GroupOp:
    """A sort group without operands of a graph, to generate a kernel of."""
    names = [(whole(cut.block),)] if r.positions else []
    shapes = [(r.rows, r.length), *names, *[(r.rows, r.length)] * r.carried]
    types = [tensor_type(shape, r.dtype) for shape in shapes]
    operands: list[SSAValue] = list(Block(arg_types=[ascend.with_layout(t, ND) for t in types]).args)
    body = Block(arg_types=types)
    root = nn.SortOp(body.args, count=r.count, block=cut.block, pieces=cut.pieces, positions=r.positions)
    body.add_ops([root, nn.YieldOp(root.output)])
    return ascend.GroupOp(
        "Sort", operands, [ascend.with_layout(root.output.type, ND)], ascend.Engine.SORT.value, Region(body)
    )
