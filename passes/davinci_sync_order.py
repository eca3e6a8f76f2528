"""What a set of flags and barriers orders: the question that `davinci-insert-sync` asks again and again.

An edge p→q in a block means: behind its set (on pipe p) and before its wait (on pipe q), in the same
execution of the block (`distance` 0) or `distance` executions later.  A set takes effect when all earlier
work of p is complete, so a chain of edges carries everything: complete on p before the first set ⇒ not
started on q before the last wait.

Executions of a block lie on one line of time, one `period` apart.  Then "is b after a?" is the earliest
arrival on b's pipe when leaving a's pipe behind a: Dijkstra over six pipes.  Edges of inner blocks count when
the inner block surely runs, because a line that walks through each inner loop once leaves with its last and
arrives with its first iteration.  Edges of a block that may not run count only for what stands in that same
execution of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from xdsl.ir import SSAValue

from ..runtime.isa.model import PIPES
from .davinci_program import BlockNode, Item

# Places around an item, in time: [.. item][closing wait, set] … [wait, closing set, barrier][item ..]
CLOSING_WAIT, SET = 1, 2
WAIT, CLOSING_SET, BARRIER = -4, -3, -2

Anchor = tuple[Item, bool]  # (item, True = before it)


@dataclass(eq=False, slots=True)
class Edge:
    """A flag (`p` ≠ `q`), a barrier of pipe p (`p` = `q`) or a barrier of all pipes (`p` = "ALL")."""

    block: BlockNode
    distance: int
    p: str
    q: str
    s: int  # time of the set
    w: int  # time of the wait
    set_at: Anchor
    wait_at: Anchor
    ids: int = 1
    base: int = 0  # first of its event ids
    group: int = 0  # flags of one group (not 0) take turns with one id
    guard: SSAValue | None = None  # set and wait only happen when this i1 is true
    partner: Edge | None = None  # the counter-flag of a guarded flag

    @property
    def is_flag(self) -> bool:
        return self.p != self.q

    def __str__(self) -> str:
        return f"{self.p}->{self.q}"


def flag(block: BlockNode, distance: int, pipes: tuple[str, str], a: Item, b: Item) -> Edge:
    """Set behind `a`, wait before `b`, both items of `block`."""
    p, q = pipes
    return Edge(block, distance, p, q, a.end + SET, b.start + WAIT, (a, False), (b, True), max(1, distance))


def barrier(block: BlockNode, p: str, b: Item) -> Edge:
    """A barrier before `b`; `p` may be "ALL"."""
    return Edge(block, 0, p, p, b.start + BARRIER, b.start + BARRIER, (b, True), (b, True), 0)


def closing(edge: Edge, distance: int) -> Edge:
    """The counter-edge of `edge`: set right behind its wait, wait right before its set."""
    (a, a_before), (b, b_before) = edge.wait_at, edge.set_at
    return Edge(
        edge.block,
        distance,
        edge.q,
        edge.p,
        edge.w + 1,
        edge.s - 1,
        (a, a_before),
        (b, b_before),
        max(1, distance),
    )


@dataclass(eq=False, slots=True)
class Need:
    """Something that must stay ordered: complete on p at `t0` ⇒ not started on q at `t1`."""

    block: BlockNode
    p: str
    t0: int
    q: str
    t1: int
    source: Item | None
    target: Item | None
    distance: int
    witness: tuple[Edge, ...] = ()
    owner: Edge | None = None  # the need falls away with this edge


_Arc = tuple[int, int, str, Edge, int]  # set time, wait time, pipe, edge, the only shift allowed (-1 = any)


class Order:
    """The edges of a kernel and what they imply."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self._of_block: dict[BlockNode, list[Edge]] = {}
        self._closures: dict[BlockNode, list[Edge]] = {}
        self._arcs: dict[BlockNode, dict[str, list[_Arc]]] = {}

    def add(self, edge: Edge) -> None:
        self.edges.append(edge)
        self._of_block.setdefault(edge.block, []).append(edge)
        self.changed()

    def remove(self, edge: Edge) -> None:
        self.edges.remove(edge)
        self._of_block[edge.block].remove(edge)
        self.changed()

    def changed(self) -> None:
        """Drops what was derived from the edges."""
        self._closures.clear()
        self._arcs.clear()

    def closure(self, block: BlockNode) -> list[Edge]:
        """Edges of `block` and of the inner blocks that surely run."""
        found = self._closures.get(block)
        if found is None:
            found = [edge for edge in self._of_block.get(block, ()) if edge.guard is None]
            for item in block.items:
                for inner in item.blocks:
                    if inner.always:
                        found += self.closure(inner)
            self._closures[block] = found
        return found

    def _block_arcs(self, block: BlockNode) -> dict[str, list[_Arc]]:
        found = self._arcs.get(block)
        if found is None:
            found = self._arcs[block] = {}
            for edge in self.closure(block):
                _put(found, edge, edge.w + edge.distance * block.period, -1)
        return found

    def _arcs_for(self, need: Need) -> dict[str, list[_Arc]]:
        """Arcs of the block, with those of conditional blocks around source and target."""
        arcs = self._block_arcs(need.block)
        depth = need.block.depth + 1
        extra: dict[str, list[_Arc]] = {}
        if need.source is not None and need.source.guard is not None:
            for edge in self._of_block.get(need.block, ()):
                if edge.guard is need.source.guard and edge.distance == 0:
                    _put(extra, edge, edge.w, 0)
        for item, shift in ((need.source, 0), (need.target, need.distance)):
            for holder in () if item is None else item.chain[depth:]:
                if holder.block.always:
                    continue
                for edge in self.closure(holder.block):
                    if edge.distance == 0:
                        _put(extra, edge, edge.w, shift)
        if not extra:
            return arcs
        return {pipe: arcs.get(pipe, []) + extra.get(pipe, []) for pipe in PIPES}

    def chain(self, need: Need, without: Edge | None = None) -> tuple[Edge, ...] | None:
        """Edges that order `need`, or None."""
        arcs = self._arcs_for(need)
        period, limit, goal, start = need.block.period, need.t1, need.q, need.p
        heap: list[tuple[int, str]] = [(need.t0, start)]
        best: dict[str, int] = {}
        previous: dict[str, tuple[str, Edge]] = {}
        left: set[str] = set()
        while heap:
            time, pipe = heappop(heap)
            if pipe in left:
                continue
            left.add(pipe)
            for s, w, to, edge, only in arcs.get(pipe, ()):
                shift = 0 if s >= time else (time - s + period - 1) // period
                if only >= 0:
                    if shift > only:
                        continue
                    shift = only
                arrival = w + shift * period
                if arrival > limit or edge is without or arrival >= best.get(to, limit + 1):
                    continue
                if to == goal:
                    return _trace(previous, pipe, start, edge)
                if to != start:
                    best[to] = arrival
                    previous[to] = (pipe, edge)
                    heappush(heap, (arrival, to))
        return None


def _put(arcs: dict[str, list[_Arc]], edge: Edge, w: int, only: int) -> None:
    if edge.p != "ALL":
        arcs.setdefault(edge.p, []).append((edge.s, w, edge.q, edge, only))
        return
    for p in PIPES:
        arcs.setdefault(p, []).extend((edge.s, w, q, edge, only) for q in PIPES)


def _trace(previous: dict[str, tuple[str, Edge]], pipe: str, start: str, last: Edge) -> tuple[Edge, ...]:
    chain = [last]
    while pipe != start:
        pipe, edge = previous[pipe]
        chain.append(edge)
    return tuple(reversed(chain))


def intersecting(spans: Sequence[tuple[int, int, Item, Item]]) -> list[tuple[Item, Item]]:
    """Fewest (set item, wait item) pairs for spans (end of a, start of b, a, b): spans with a common point
    share one."""
    result: list[tuple[Item, Item]] = []
    rest = sorted(spans, key=lambda span: span[1])
    while rest:
        first = rest[0][1]
        group = [span for span in rest if span[0] < first]
        latest = max(group, key=lambda span: span[0])
        result.append((latest[2], rest[0][3]))
        rest = [span for span in rest if span[0] >= first]
    return result
