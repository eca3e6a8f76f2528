"""Chooses the flags and barriers of a kernel: the decisions of `davinci-insert-sync`, before anything is
emitted.

1. Each dependence between pipes asks for a flag in its block; spans that share a point share a flag.
2. Closing rule: a flag must not be set again before its wait has consumed it, and pipes run ahead of each
other.  So every flag inside a loop needs a way back from its wait to its next set.  Rings of producers and
consumers close themselves; else a counter-flag is added, two deep if it may be (the depth is how far the
producer runs ahead). 3. Dependences inside a pipe that no chain of flags orders get a barrier, as late as
possible, shared where it can be. 4. Transitive reduction: an edge whose every need is also met by the others
is dropped. 5. Event ids: if a pair of pipes needs more than the chip has, edges are merged, rings are
synchronised as if they had fewer slots, ids are shared by flags that follow each other, and at last a flag
becomes a barrier of all pipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from xdsl.ir import Operation, SSAValue

from ..runtime.soc import CoreType
from .davinci_dependences import Dependence
from .davinci_program import BlockNode, Item, Program
from .davinci_sync_order import Edge, Need, Order, barrier, closing, flag, intersecting

_CREDITS = 2  # ids of a flag without a ring: how many tiles its producer may run ahead
_MOST_CREDITS = 4
_MOST_IDS = 8  # deepest ring of ids that is tried; what the chip lacks is saved in step 5
_Span = tuple[int, int, Item, Item]


class Flags:
    """The edges of one kernel, with every need that holds them in place."""

    def __init__(self, program: Program, core: CoreType, dependences: Iterable[Dependence]) -> None:
        self.core = core
        self.order = Order()
        self.needs: list[Need] = []
        self.relaxed: list[str] = []
        self._break_barriers(program.root)
        across: list[Dependence] = []
        inside: list[Dependence] = []
        for dependence in dependences:
            (inside if dependence.a.pipe == dependence.b.pipe else across).append(dependence)
        self._propose(across)
        for edge in list(self.order.edges):
            self._close(edge)
        self._barriers(inside)
        for dependence in across:
            self._keep(self._need(dependence))
        self._reduce()
        self._fit()

    @property
    def edges(self) -> list[Edge]:
        return self.order.edges

    # ------------------------------------------------------------------ 1. flags
    def _break_barriers(self, block: BlockNode) -> None:
        """A loop that may be left early is cut into segments by barriers of all pipes: nothing is set across
        them."""
        if block.breaks:
            self.order.add(barrier(block, "ALL", block.items[0]))
            for item in block.breaks:
                if item is not block.items[0]:
                    self.order.add(barrier(block, "ALL", item))
        for item in block.items:
            for inner in item.blocks:
                self._break_barriers(inner)

    def _need(self, dependence: Dependence) -> Need:
        block, distance, a, b = dependence.block, dependence.distance, dependence.a, dependence.b
        return Need(block, a.pipe, a.end, b.pipe, b.start + distance * block.period, a, b, distance)

    def _keep(self, need: Need) -> None:
        chain = self.order.chain(need)
        assert chain is not None, f"{need.p}->{need.q} is not ordered"
        need.witness = chain
        self.needs.append(need)

    def _propose(self, dependences: list[Dependence]) -> None:
        groups: dict[tuple[BlockNode, int, str, str, SSAValue | None], list[_Span]] = {}
        for dependence in dependences:
            block, a, b = dependence.block, dependence.a, dependence.b
            if block.breaks and self.order.chain(self._need(dependence)) is not None:
                continue
            ia, ib = a.chain[block.depth], b.chain[block.depth]
            if dependence.distance and ia.end <= ib.start:
                ia = block.items[
                    -1
                ]  # loaded ahead: the flag is set only after the wait of this execution has taken the last
            key = (block, dependence.distance, a.pipe, b.pipe, self._guard(dependence))
            groups.setdefault(key, []).append((ia.end, ib.start, ia, ib))
        for key in [key for key in groups if key[4] is not None and (*key[:4], None) in groups]:
            groups[*key[:4], None] += groups.pop(key)  # a flag that is needed in every iteration does it too
        for (block, distance, p, q, guard), spans in groups.items():
            for a, b in _merged(block, distance, spans):
                edge = flag(block, distance, (p, q), a, b)
                self.order.add(edge)
                if guard is not None:
                    self._guarded(edge, guard)

    @staticmethod
    def _guard(dependence: Dependence) -> SSAValue | None:
        """The condition of a flag behind an instruction that only works in one iteration of a loop.

        A flag in every iteration would keep the producer near the consumer long after the work is done.
        """
        guard, only, block = dependence.a.guard, dependence.a.only, dependence.block
        if guard is None or only is None or dependence.distance or not block.repeats:
            return None
        owner = guard.owner
        home = owner.parent if isinstance(owner, Operation) else None
        above: BlockNode | None = block
        while above is not None:
            if above.block is home:
                return guard if only[0].block.depth <= block.depth else None
            above = above.parent.block if above.parent is not None else None
        return None

    def _guarded(self, edge: Edge, guard: SSAValue) -> None:
        """Gives `edge` its condition and a counter-flag of the same condition, which closes both."""
        edge.guard, edge.ids = guard, _CREDITS
        counter = closing(edge, _CREDITS)
        counter.guard, counter.partner, edge.partner = guard, edge, counter
        self.order.add(counter)

    # ------------------------------------------------------------------ 2. closing rule
    def _close(self, edge: Edge) -> None:
        """Makes sure that the flag's next set comes after its wait; adds the counter-flag if nothing else
        does it."""
        if not edge.is_flag or not edge.block.repeats or edge.guard is not None:
            return
        need = self._closing_need(edge)
        if need is None:
            counter = closing(edge, _CREDITS if edge.distance == 0 else 0)
            self.order.add(counter)
            need = self._closing_need(edge)
            assert need is not None
            self.needs.append(need)
            need = self._closing_need(counter)
            assert need is not None
        self.needs.append(need)

    def _closing_need(self, edge: Edge) -> Need | None:
        """What keeps the flag from being set twice: the number of its ids is the least that works."""
        tries = range(1, _MOST_IDS + 1) if edge.distance == 0 else range(1)
        for executions in tries:
            need = Need(
                edge.block,
                edge.q,
                edge.w,
                edge.p,
                edge.s + executions * edge.block.period,
                None,
                None,
                executions,
                owner=edge,
            )
            chain = self.order.chain(need)
            if chain is not None:
                if edge.distance == 0:
                    edge.ids = executions
                need.witness = chain
                return need
        return None

    # ------------------------------------------------------------------ 3. barriers
    def _barriers(self, dependences: list[Dependence]) -> None:
        """Inner blocks first, so that their barriers serve outer needs; in a block by the place of the
        reader."""
        for dependence in sorted(dependences, key=lambda d: (-d.block.depth, d.distance, d.b.start)):
            need = self._need(dependence)
            chain = self.order.chain(need)
            if chain is None:
                item = dependence.b.chain[dependence.block.depth]
                edge = barrier(dependence.block, dependence.a.pipe, item)
                self.order.add(edge)
                chain = (edge,)
            need.witness = chain
            self.needs.append(need)

    # ------------------------------------------------------------------ 4. transitive reduction
    def _reduce(self) -> None:
        candidates = [edge for edge in self.order.edges if edge.p != "ALL" and edge.guard is None]
        candidates.sort(key=lambda edge: (edge.block.depth, not edge.is_flag, -edge.ids))
        for edge in candidates:
            self._try_without(edge)

    def _try_without(self, edge: Edge) -> bool:
        """Drops `edge` if all needs that rest on it are met without it."""
        others: list[tuple[Need, tuple[Edge, ...]]] = []
        for need in self.needs:
            if need.owner is edge or edge not in need.witness:
                continue
            chain = self.order.chain(need, edge)
            if chain is None:
                return False
            others.append((need, chain))
        for need, chain in others:
            need.witness = chain
        self._drop(edge)
        return True

    def _drop(self, edge: Edge) -> None:
        self.order.remove(edge)
        self.needs = [need for need in self.needs if need.owner is not edge]

    # ------------------------------------------------------------------ 5. event ids
    def _fit(self) -> None:
        """Gives every flag its ids; the ladder of section 5 where there are not enough."""
        steps: tuple[Callable[[list[Edge]], str], ...] = (
            self._merge_forward,
            self._share,
            self._lower_ring,
            self._merge_carried,
            self._to_barrier,
        )
        for pair in sorted({(edge.p, edge.q) for edge in self.order.edges if edge.is_flag}):
            while True:
                edges = [edge for edge in self.order.edges if (edge.p, edge.q) == pair]
                if _assign(edges) <= self.core.event_ids:
                    break
                done = next(text for step in steps if (text := step(edges)))
                self.relaxed.append(f"{pair[0]}->{pair[1]}: {done}")
        self._deepen()

    def _deepen(self) -> None:
        """Ids that are left over let the producer of a guarded flag run further ahead."""
        for edge in self.order.edges:
            partner = edge.partner
            if edge.guard is None or partner is None or edge.distance:
                continue
            there, back = self._pair(edge), self._pair(partner)
            while edge.ids < _MOST_CREDITS:
                if max(sum(_ids_of(there)), sum(_ids_of(back))) >= self.core.event_ids:
                    break
                edge.ids += 1
                partner.ids = partner.distance = edge.ids
            _assign(there)
            _assign(back)

    def _pair(self, edge: Edge) -> list[Edge]:
        return [other for other in self.order.edges if (other.p, other.q) == (edge.p, edge.q)]

    def _tighten(self, edge: Edge) -> None:
        """After an edge became stricter: its own closing is looked up anew (others still hold)."""
        self.order.changed()
        self.needs = [need for need in self.needs if need.owner is not edge]
        self._close(edge)

    def _merge_pair(self, edges: list[Edge], distance_of: Callable[[int], bool], text: str) -> str:
        for i, first in enumerate(edges):
            for second in edges[i + 1 :]:
                if (
                    first.block is not second.block
                    or first.distance != second.distance
                    or not distance_of(first.distance)
                ):
                    continue
                if first.group or second.group or first.guard is not second.guard or first.guard is not None:
                    continue
                if first.distance == 0 and max(first.s, second.s) >= min(first.w, second.w):
                    continue
                if second.s > first.s:
                    first.s, first.set_at = second.s, second.set_at
                if second.w < first.w:
                    first.w, first.wait_at = second.w, second.wait_at
                for need in self.needs:
                    need.witness = tuple(first if edge is second else edge for edge in need.witness)
                self._drop(second)
                self._tighten(first)
                return text
        return ""

    def _merge_forward(self, edges: list[Edge]) -> str:
        return self._merge_pair(edges, lambda distance: distance == 0, "flags merged")

    def _merge_carried(self, edges: list[Edge]) -> str:
        return self._merge_pair(edges, lambda distance: distance > 0, "one id for several buffers")

    def _share(self, edges: list[Edge]) -> str:
        """Two flags of a block take one id if each is consumed before the other is set."""
        singles = sorted(
            (e for e in edges if e.ids == 1 and e.distance == 0 and not e.group and e.guard is None),
            key=lambda e: e.s,
        )
        for i, first in enumerate(singles):
            for second in singles[i + 1 :]:
                if first.block is not second.block:
                    continue
                needs = self._sharing_needs(first, second)
                if needs is None:
                    continue
                self.needs += needs
                first.group = second.group = first.s
                return "flags share an id"
        return ""

    def _sharing_needs(self, first: Edge, second: Edge) -> list[Need] | None:
        block = first.block
        wanted = [Need(block, first.q, first.w, first.p, second.s, None, None, 0, owner=first)]
        if block.repeats:
            wanted.append(
                Need(block, first.q, second.w, first.p, first.s + block.period, None, None, 1, owner=second)
            )
        for need in wanted:
            chain = self.order.chain(need)
            if chain is None:
                return None
            need.witness = chain
        return wanted

    def _lower_ring(self, edges: list[Edge]) -> str:
        """The ring of most slots is synchronised as if it had one fewer: its memory stays."""
        deepest = max(edges, key=lambda edge: edge.ids)
        if deepest.ids < 2:
            return ""
        if deepest.guard is not None:
            assert deepest.partner is not None
            for edge in (deepest, deepest.partner):
                edge.ids -= 1
                edge.distance -= edge.distance > 0
            self.order.changed()
            return f"credits lowered to {deepest.ids}"
        rings = [deepest]
        if deepest.distance == 0:  # its ids follow the rings that close it
            rings = [e for n in self.needs if n.owner is deepest for e in n.witness if e.distance > 1]
        for ring in rings:
            ring.distance -= 1
            ring.ids = ring.distance
            self._tighten(ring)
        for edge in list(self.order.edges):
            if edge.is_flag and edge.distance == 0 and edge.ids > 1 and edge.guard is None:
                self._tighten(edge)
        return f"ring lowered to {rings[0].distance}" if rings else ""

    def _to_barrier(self, edges: list[Edge]) -> str:
        """A barrier of all pipes at the place of the wait does all that the flag did."""
        edge = min(edges, key=lambda e: (e.block.depth, -e.ids))
        item, before = edge.wait_at
        wall = Edge(edge.block, 0, "ALL", "ALL", edge.w, edge.w, (item, before), (item, before), 0)
        self.order.add(wall)
        for need in self.needs:
            need.witness = tuple(wall if e is edge else e for e in need.witness)
        self._drop(edge)
        if edge.partner is not None:
            self._drop(edge.partner)
        return "flag replaced by a barrier of all pipes"


def _merged(block: BlockNode, distance: int, spans: list[_Span]) -> list[tuple[Item, Item]]:
    """The (set, wait) places for the spans of one block, distance and pipe pair.

    In loops spans that share a point share a flag, and so do the needs of rings.  What runs once, or is
    carried to the next execution, only gives up spans that contain another: merging would make the pipes wait
    for more.
    """
    if distance == 0 and block.repeats:
        return intersecting(spans)
    if distance > 1:
        return [(max(spans, key=lambda s: s[0])[2], min(spans, key=lambda s: s[1])[3])]
    kept: list[tuple[Item, Item]] = []
    earliest = 1 << 62
    for _, start, a, b in sorted(spans, key=lambda s: (-s[0], s[1])):
        if start < earliest:
            kept.append((a, b))
            earliest = start
    return kept


def _ids_of(edges: list[Edge]) -> list[int]:
    return [edge.ids for edge in edges]


def _assign(edges: list[Edge]) -> int:
    """First free ids in turn, long rings first; returns how many ids the pair needs."""
    used = 0
    groups: dict[int, int] = {}
    for edge in sorted(edges, key=lambda e: (-e.ids, e.s)):
        edge.base = groups.setdefault(edge.group, used) if edge.group else used
        if edge.base == used:
            used += edge.ids
    return used
