"""Which instructions of a kernel must wait for which: dependences on byte ranges, for `davinci-insert-sync`.

A dependence says: when `a` is complete, `b` may start; in the same execution of `block` (`distance` 0) or
`distance` executions later.  Executions of a block are counted over the whole kernel, whatever loops are
around it, so one dependence between neighbouring executions orders all later ones too.

* Accesses of one buffer meet in their deepest common block.  Order in one execution is a forward dependence.
  What is carried climbs from there to the home block of the buffer: the first loop that touches the bytes
  again carries it at distance 1; if none does, the home block carries it at the depth of the ring, because
  each execution of the home block begins a fresh instance in the next slot.
* A ring may be filled one execution ahead: the load of the next slot and the use of this one meet one execution later,
  the use and the load of the slot after it depth - 1 executions later, and never in the same one.
* Different buffers may share bytes (lifetimes that do not overlap): forward, and distance 1 in the common
  block.
* In one pipe only read-after-write and write-after-write count; instructions of a pipe read in issue order
  (D7).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import gcd

from xdsl.ir import SSAValue

from ..dialects.davinci import AllocOp, BufferType
from ..dialects.davinci_instruction import DISJOINT, InstructionOp
from ..runtime.soc import CoreType
from .davinci_operands import values_of
from .davinci_program import UNBOUNDED, Access, BlockNode, Item, Program, Variable, common_block

_COMPARE_MASK = "CMPMASK"  # the one register of the vector unit that ops of this level read


@dataclass(frozen=True, slots=True)
class Dependence:
    """`b` waits for `a`, `distance` executions of `block` later."""

    block: BlockNode
    distance: int
    a: Item
    b: Item


def may_overlap(
    a: Access, b: Access, fixed: int, carry: BlockNode | None = None, slot_of: BlockNode | None = None
) -> bool:
    """Whether the bytes may meet: variables of blocks at depth ≤ `fixed` have one value, others any two
    values.

    With `carry`, `b` runs one or more iterations of that loop after `a`.  With `slot_of`, both see the same
    value of the ring counters of that block.
    """
    if (a.only or b.only) and _never_both(a, b, fixed, carry):
        return False
    low = high = b.constant - a.constant
    divisor = 0
    pitch = _common_pitch(a, b)
    inner_low = inner_high = low  # the same without whole pitches
    for variable, ca, cb in _paired_terms(a, b):
        if variable.block.depth <= fixed or (slot_of is variable.block and not variable.iterates):
            if ca == cb:
                continue
            spread, unit = _scaled(variable, cb - ca), cb - ca
        elif variable.block is carry and variable.iterates and ca == cb:
            step = ca * variable.scale
            most = (variable.high - variable.low) // variable.scale
            far = step * most if most < UNBOUNDED >> 20 else (UNBOUNDED if step > 0 else -UNBOUNDED)
            spread = (step, far) if step > 0 else (far, step)
            if most == 0:
                return False
            unit = step
        else:
            (al, ah), (bl, bh) = _scaled(variable, -ca), _scaled(variable, cb)
            spread, unit = (al + bl, ah + bh), gcd(ca, cb) * variable.scale
        divisor = gcd(divisor, unit)
        low, high = low + spread[0], high + spread[1]
        if pitch and unit % pitch:
            inner_low, inner_high = inner_low + spread[0], inner_high + spread[1]
    if low >= a.extent or high <= -b.extent:
        return False
    if pitch and _aligned(a, b):
        first = inner_low // pitch * pitch
        if inner_low - first >= (a.piece or a.extent) and inner_high <= first + pitch - (b.piece or b.extent):
            return False
    if divisor > 1:
        rest = (b.constant - a.constant) % divisor
        if _aligned(a, b) and rest >= a.extent and divisor - rest >= b.extent:
            return False
    return True


def _never_both(a: Access, b: Access, fixed: int, carry: BlockNode | None) -> bool:
    """Whether the loop iterations in which a and b do something exclude each other."""
    if a.only is not None and b.only is not None and a.only[0] is b.only[0]:
        variable, first = a.only
        second = b.only[1]
        if variable.block is carry:
            return second <= first
        return variable.block.depth <= fixed and first != second
    if b.only is not None and b.only[0].block is carry:
        return b.only[1] <= b.only[0].low  # b runs in a later iteration than a: not in the first
    return a.only is not None and a.only[0].block is carry and a.only[1] >= a.only[0].high


def _common_pitch(a: Access, b: Access) -> int:
    """The distance of bursts that both have; one without gaps counts as a single burst if it is short."""
    if a.pitch and b.pitch:
        return a.pitch if a.pitch == b.pitch else 0
    pitch = a.pitch or b.pitch
    return pitch if (a.extent if b.pitch else b.extent) <= pitch else 0


def _aligned(a: Access, b: Access) -> bool:
    """Whether loop variables of both count from 0, so that distances are multiples of their scales."""
    return all(v.low % v.scale == 0 for v, _ in (*a.terms, *b.terms) if v.scale > 1 and v.low > -UNBOUNDED)


def _paired_terms(a: Access, b: Access) -> Iterator[tuple[Variable, int, int]]:
    if a.terms == b.terms:
        for variable, scale in a.terms:
            yield variable, scale, scale
        return
    second = dict(b.terms)
    for variable, scale in a.terms:
        yield variable, scale, second.pop(variable, 0)
    for variable, scale in second.items():
        yield variable, 0, scale


def _scaled(variable: Variable, scale: int) -> tuple[int, int]:
    if scale == 0:
        return 0, 0
    ends = (variable.low * scale, variable.high * scale)
    return max(min(ends), -UNBOUNDED), min(max(ends), UNBOUNDED)


class Dependences:
    """All dependences of a kernel whose buffers have addresses."""

    def __init__(self, program: Program, core: CoreType) -> None:
        self.program = program
        self.core = core
        self._found: dict[tuple[object, ...], dict[tuple[Item, Item], None]] = {}
        self.counters: dict[tuple[BlockNode, int], SSAValue] = {
            (node, program.depths[counter]): counter for counter, node in program.homes.items()
        }
        owners: dict[object, list[Access]] = {}
        for item in program.instructions:
            for access in program.accesses(item):
                owners.setdefault(access.owner, []).append(access)
            self._compare_mask(item, owners)
        for owner, accesses in owners.items():
            if any(access.writes for access in accesses):
                self._same_buffer(owner, accesses)
        self._shared_bytes(owners)

    def _compare_mask(self, item: Item, owners: dict[object, list[Access]]) -> None:
        """CMPMASK is a register that vcmp writes and vsel reads: bytes of their own."""
        op = item.op
        if not isinstance(op, InstructionOp):
            return
        reads, writes = _COMPARE_MASK in op.row.reads, _COMPARE_MASK in op.row.writes
        if reads or writes:
            access = Access(item, "cmpmask", "cmpmask", 0, (), 16, reads, writes, 0, 16)
            owners.setdefault("cmpmask", []).append(access)

    # ------------------------------------------------------------------ one buffer
    def _same_buffer(self, owner: object, accesses: list[Access]) -> None:
        home, depth = self.program.root, 1
        if isinstance(owner, AllocOp):
            home = self.program.home(owner)
            depth = owner.ring_depth if "ring" in owner.attributes else 1
        for position, y in enumerate(accesses):
            self._forward(accesses[:position], y, home)
            self._carried(accesses[: position + 1], y, home, depth)

    def _forward(self, earlier: list[Access], y: Access, home: BlockNode) -> None:
        for x in reversed(earlier):
            if not (x.writes or y.writes) or x.item is y.item or x.low >= y.high or y.low >= x.high:
                continue
            block, ix, iy = common_block(x.item, y.item)
            if (
                ix is iy or x.phase != y.phase
            ):  # different slots; the first load (before the loop) is ordered by its use
                continue
            if self._conflict(x, y) and self._meets_later(x, y, block, home):
                self._add(block, 0, x.item, y.item)
            if (
                x.writes
                and x.key == y.key
                and x.item.block is y.item.chain[min(x.item.block.depth, y.item.block.depth)].block
            ):
                return  # everything before x is ordered with y through x

    @staticmethod
    def _meets_later(x: Access, y: Access, block: BlockNode, home: BlockNode) -> bool:
        """Whether y may touch bytes of x in the same execution of `block` or a later one."""
        if may_overlap(x, y, block.depth):
            return True
        level: BlockNode = block
        while level.depth > home.depth:
            if level.is_loop and may_overlap(x, y, level.depth - 1, level):
                return True
            assert level.parent is not None
            level = level.parent.block
        return home.repeats and may_overlap(x, y, 0, None, home)

    def _carried(self, upto: list[Access], y: Access, home: BlockNode, depth: int) -> None:
        done: dict[object, list[int]] = {}
        for x in upto:
            if not (x.writes or y.writes) or x.low >= y.high or y.low >= x.high:
                continue
            block, ix, iy = common_block(x.item, y.item)
            if x is y and DISJOINT in x.item.op.attributes:
                continue
            if not (_inside(x.item, home) and _inside(y.item, home)):
                continue  # the first load of a ring, before its loop
            if x.phase != y.phase:
                self._carried_ahead(x, y, home, depth)
                continue
            same = x.key == y.key
            if same and block.depth in done.get(x.key, ()):
                continue
            if self._conflict(y, x):
                self._climb(y, x, block, home, depth)
            if (
                ix is iy and x is not y and self._conflict(x, y)
            ):  # one instruction, or different arms of an if
                self._climb(x, y, block, home, depth)
            if same and x.writes and x.item.block is block and x is not y:
                done.setdefault(x.key, []).append(block.depth)

    def _carried_ahead(self, x: Access, y: Access, home: BlockNode, depth: int) -> None:
        """Accesses of one ring in different phases: they meet when their executions are as far apart as their slots."""
        if not may_overlap(x, y, 0, None, home):
            return
        for first, later in ((x, y), (y, x)):
            if self._conflict(first, later):
                self._add(home, (first.phase - later.phase) % depth, first.item, later.item)

    def _climb(self, first: Access, later: Access, block: BlockNode, home: BlockNode, depth: int) -> None:
        level = block
        while level.depth > home.depth:
            if level.is_loop and may_overlap(first, later, level.depth - 1, level):
                self._add(level, 1, first.item, later.item)
                return
            assert level.parent is not None
            level = level.parent.block
        if home.repeats and may_overlap(first, later, 0, None, home):
            self._add(home, depth, first.item, later.item)

    # ------------------------------------------------------------------ buffers that share bytes
    def _shared_bytes(self, owners: dict[object, list[Access]]) -> None:
        allocs: list[tuple[AllocOp, str, int, int]] = []
        for owner in owners:
            if not isinstance(owner, AllocOp) or owner.address is None:
                continue
            buffer = owner.result.type
            assert isinstance(buffer, BufferType)
            start = owner.address.value.data
            allocs.append((owner, buffer.space.data, start, start + buffer.size.data))
        for (a, space_a, low_a, high_a), (b, space_b, low_b, high_b) in combinations(allocs, 2):
            if space_a == space_b and low_a < high_b and low_b < high_a:
                for x in owners[a]:
                    for y in owners[b]:
                        self._shared_pair(x, y)

    def _shared_pair(self, x: Access, y: Access) -> None:
        if x.item.start > y.item.start:
            x, y = y, x
        if not (x.writes or y.writes) or x.item is y.item or x.low >= y.high or y.low >= x.high:
            return
        block, ix, iy = common_block(x.item, y.item)
        if not may_overlap(x, y, -1):
            return
        if ix is not iy and self._conflict(x, y):
            self._add(block, 0, x.item, y.item)
        if block.repeats:
            if self._conflict(y, x):
                self._add(block, 1, y.item, x.item)
            if ix is iy and self._conflict(x, y):
                self._add(block, 1, x.item, y.item)

    # ------------------------------------------------------------------ what counts
    def _conflict(self, a: Access, b: Access) -> bool:
        """Whether b must wait for a."""
        if a.item.pipe != b.item.pipe:
            return a.writes or b.writes
        if not a.writes or a.item.pipe == "S":
            return False
        return not (a.item.pipe == "M" and self._overlapping_mads(a, b))

    def _overlapping_mads(self, a: Access, b: Access) -> bool:
        """Accumulation into one large tile: its first fractals are done when the next mad begins (SoC
        data)."""
        return a.key == b.key and all(
            self._least_fractals(access.item) >= self.core.mad_overlap_fractals for access in (a, b)
        )

    def _least_fractals(self, item: Item) -> int:
        op = item.op
        assert isinstance(op, InstructionOp)
        count, named = 1, values_of(op)
        for name in ("m", "n"):
            value = named[name]
            least = value if isinstance(value, int) else self.program.range_of(value)[0]
            count *= -(-max(0, least) // 16)
        return count

    def _add(self, block: BlockNode, distance: int, a: Item, b: Item) -> None:
        self._found.setdefault((block, distance, a.pipe, b.pipe, a.guard), {})[a, b] = None

    def __iter__(self) -> Iterator[Dependence]:
        """The dependences that no other one of the same block, distance, pipes and condition contains."""
        for (block, distance, *_), pairs in self._found.items():
            assert isinstance(block, BlockNode) and isinstance(distance, int)
            for a, b in _latest_earliest(list(pairs), block):
                yield Dependence(block, distance, a, b)


def _inside(item: Item, block: BlockNode) -> bool:
    return item.block.depth >= block.depth and item.chain[block.depth].block is block


def _certain(item: Item, block: BlockNode) -> bool:
    """Whether `item` runs at least once in each execution of `block`."""
    return all(inner.block.always for inner in item.chain[block.depth + 1 :])


def _latest_earliest(pairs: list[tuple[Item, Item]], block: BlockNode) -> list[tuple[Item, Item]]:
    """Drops (a, b) when a later a and an earlier b are kept: a flag behind a carries all before it."""
    pairs.sort(key=lambda pair: (-pair[0].start, pair[1].start))
    kept: list[tuple[Item, Item]] = []
    earliest = UNBOUNDED
    for a, b in pairs:
        if b.start >= earliest:
            continue
        kept.append((a, b))
        if _certain(a, block) and _certain(b, block):
            earliest = b.start
    return kept
