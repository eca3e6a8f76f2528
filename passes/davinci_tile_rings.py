"""`davinci-tile-rings`: a loop that goes round its rings a whole number of times becomes a nest whose indices are the slots.

A ring counter costs two scalar instructions per turn (add, remainder) and one multiplication per buffer.  Where the trip
count is a multiple of the number of slots, every execution of the loop starts at slot 0, so the slot is the index of an inner
loop, and addresses are linear in loop indices: `davinci-reduce-strength` makes moving pointers of them.

    scf.for %i = 0 to 16 {                        scf.for %o = 0 to 4 {
      davinci.offset 0 + %c * 8192                  scf.for %s = 0 to 4 {
      davinci.offset 64 + %i * 512        →           davinci.offset 0 + %s * 8192
      ...                                             davinci.offset 64 + %o * 2048 + %s * 512
      davinci.ring_next %c depth 4                    ...

Rings of several depths nest if each depth divides the next one.  A ring that a short loop goes round only in part (3 of 6
slots) has the rest of its counter in the block around, where it may come round in turn.

Before: sync is inserted (it reasons about counters).  After: the same slots in the same order; counters that remain belong
to loops of other trip counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import scf
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.passes import ModulePass

from ..dialects.davinci import BreakIfOp, CounterOp, KernelOp, OffsetOp, RingNextOp, index
from .davinci_double_buffer import insert_at_end, insert_at_start
from .davinci_operands import Constants, offset_op, terms_of
from .davinci_program import constant_of, counts_up, is_inside, kernels

_Place = tuple[SSAValue, int]  # a loop index and what it counts in executions of the innermost body


class _Tiler:
    def __init__(self, kernel: KernelOp) -> None:
        self.top = kernel.body.block
        self._constant = Constants(self.top)
        self._counters: dict[tuple[int, Block], SSAValue] = {}

    def tile(self, loop: scf.ForOp) -> None:
        """Makes a nest of `loop` if some of its rings come round."""
        trip, body = constant_of(loop.ub), loop.body.block
        if trip is None or trip < 1 or not counts_up(loop):
            return
        if any(isinstance(op, BreakIfOp) for op in loop.walk()):  # it would leave the innermost loop only
            return
        rings = [op for op in body.ops if isinstance(op, RingNextOp) and _is_private(op, body)]
        depths = _chain({op.depth.value.data for op in rings}, trip)
        parts = [
            op for op in rings if trip > 1 and op.depth.value.data % trip == 0 and op.depth.value.data > trip
        ]
        around = loop.parent
        assert around is not None
        places: list[_Place] = [(body.args[0], 1)]
        if depths:
            places = self._nest(loop, trip, depths)
            _replace(body.args[0], places, body)
        for op in rings:
            depth = op.depth.value.data
            if depth in depths:
                _drop(op, [place for place in places if place[1] < depth], body)
            elif op in parts:
                _drop(op, [*places, (self._counter(depth // trip, around), trip)], body)

    def _counter(self, depth: int, block: Block) -> SSAValue:
        """A counter that advances once per execution of `block`."""
        if (depth, block) not in self._counters:
            made = CounterOp(0)
            insert_at_start(made, self.top)
            insert_at_end(RingNextOp(made.result, depth), block)
            self._counters[depth, block] = made.result
        return self._counters[depth, block]

    def _nest(self, loop: scf.ForOp, trip: int, depths: list[int]) -> list[_Place]:
        """Replaces `loop` by a nest around its body, whose argument becomes the innermost index; innermost place first."""
        body, parent = loop.body.block, loop.parent
        assert parent is not None
        sizes = [
            *depths,
            *([trip] if trip > depths[-1] else []),
        ]  # executions of the body per round of each level
        loop.body.detach_block(body)
        places: list[_Place] = [(body.args[0], 1)]
        inner, count = body, 1
        for number, size in enumerate(sizes):
            made = scf.ForOp(
                self._constant(0), self._constant(size // count), self._constant(1), [], Region(inner)
            )
            count = size
            if number == len(sizes) - 1:
                parent.insert_op_before(made, loop)
            else:
                inner = Block([made, scf.YieldOp()], arg_types=[index])
                places.append((inner.args[0], size))
        loop.detach()
        loop.erase()
        return places


def _drop(op: RingNextOp, places: list[_Place], body: Block) -> None:
    """The counter that `op` advances is the sum of `places`."""
    counter = op.counter.owner
    assert isinstance(counter, CounterOp)
    op.detach()
    op.erase()
    _replace(counter.result, places, body)
    counter.detach()
    counter.erase()


def _is_private(op: RingNextOp, body: Block) -> bool:
    """The counter starts at 0 and only this loop uses it."""
    counter = op.counter.owner
    return (
        isinstance(counter, CounterOp)
        and counter.start.value.data == 0
        and all(is_inside(use.operation, body) for use in counter.result.uses)
        and sum(isinstance(use.operation, RingNextOp) for use in counter.result.uses) == 1
    )


def _chain(depths: Iterable[int], trip: int) -> list[int]:
    """Depths of which each divides the next one, and all the trip count; ascending."""
    found: list[int] = []
    for depth in sorted(depths):
        if trip % depth == 0 and (not found or depth % found[-1] == 0):
            found.append(depth)
    return found


def _replace(value: SSAValue, places: list[_Place], body: Block) -> None:
    """Uses of `value` become uses of the sum of `places`: terms of an offset where it was one."""
    if places == [(value, 1)]:
        return
    total: OffsetOp | None = None
    for use in list(value.uses):
        user = use.operation
        if isinstance(user, OffsetOp):
            _expand(user, value, places)
            continue
        if places[1:]:
            if total is None:
                total = offset_op(0, places)
                insert_at_start(total, body)
            user.operands[use.index] = total.result
        else:
            user.operands[use.index] = places[0][0]


def _expand(user: OffsetOp, value: SSAValue, places: list[_Place]) -> None:
    constant, terms = terms_of(user)
    parent = user.parent
    if parent is None:
        return  # a second use by the same op: it has been replaced
    scale = sum(s for v, s in terms if v is value)
    kept = [(v, s) for v, s in terms if v is not value]
    made = offset_op(constant, [*kept, *((v, s * scale) for v, s in places)])
    parent.insert_op_before(made, user)
    user.result.replace_all_uses_with(made.result)
    user.detach()
    user.erase()


def tile_rings(kernel: KernelOp) -> None:
    """Nests the loops of `kernel` that go round their rings a whole number of times, innermost first."""
    tiler = _Tiler(kernel)
    for loop in [op for op in kernel.walk(reverse=True) if isinstance(op, scf.ForOp)]:
        tiler.tile(loop)


@dataclass(frozen=True)
class DavinciTileRingsPass(ModulePass):
    """See the module docstring."""

    name = "davinci-tile-rings"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            tile_rings(kernel)
