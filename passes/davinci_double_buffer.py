"""`davinci-double-buffer`: an alloc of depth D becomes a ring of D slots with a running counter.

A tile with one slot makes load and use take turns; with D slots the load of tile n+1 runs while tile n is
used.  The counter is a running scalar, not a function of the loop variables, because a ring goes on across
outer iterations and inner trip counts vary; so there is no unrolling and no parity branch.

    scf.for %i = ... {
      %t = davinci.alloc depth 2 : !davinci.buffer<ub, 4096>
      davinci.copy_gm_to_ubuf %t, %x[%o], ...
    }
becomes
    %t = davinci.alloc depth 2 {ring = 0, slot = 4096} : !davinci.buffer<ub, 8192>
    %c = davinci.counter 0 {ring = 0}
    scf.for %i = ... {
      %s = davinci.offset 0 + %c * 4096
      davinci.copy_gm_to_ubuf %t[%s], %x[%o], ...
      davinci.ring_next %c depth 2
    }

Rings that turn together get slots of one size where the memories have room: counter · slot is then one product for all.

Before: buffers stand in their home block.  After: rings stand at the top of the kernel; the block that
advances the counter of the same `ring` number is their home.  A buffer in the kernel body has one instance,
so its depth is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import IsTerminator

from ..dialects.davinci import AllocOp, BufferType, CounterOp, KernelOp, OffsetOp, RingNextOp
from ..dialects.davinci_instruction import InstructionOp
from ..runtime.soc import Soc
from .davinci_operands import addresses_of, offset_op, set_addresses, terms_of
from .davinci_program import is_inside, is_inside_block, kernels, target_soc


def insert_at_start(op: Operation, block: Block) -> None:
    """Puts `op` before everything else of `block`."""
    first = block.first_op
    block.add_op(op) if first is None else block.insert_op_before(op, first)


def insert_at_end(op: Operation, block: Block) -> None:
    """Puts `op` at the end of `block`, before its terminator."""
    last = block.last_op
    if last is not None and last.has_trait(IsTerminator):
        block.insert_op_before(op, last)
    else:
        block.add_op(op)


class Rings:
    """The ring counters of a kernel: one per (block, number of slots), made at first need."""

    def __init__(self, kernel: KernelOp) -> None:
        self.kernel = kernel
        self._counters: dict[tuple[Block, int], CounterOp] = {}
        self._next = 0
        for op in kernel.walk():
            if isinstance(op, RingNextOp) and op.parent is not None:
                counter = op.counter.owner
                if isinstance(counter, CounterOp) and "ahead" not in counter.attributes:
                    self._counters[op.parent, op.depth.value.data] = counter
            if isinstance(op, CounterOp):
                self._next += 1

    def counter(self, block: Block, depth: int) -> CounterOp:
        """The counter that advances once per execution of `block`, modulo `depth`."""
        found = self._counters.get((block, depth))
        if found is None:
            found = CounterOp(0)
            found.attributes["ring"] = IntegerAttr(self._next, i64)
            self._next += 1
            insert_at_start(found, self.kernel.body.block)
            insert_at_end(RingNextOp(found.result, depth), block)
            self._counters[block, depth] = found
        return found


def double_buffer(kernel: KernelOp, soc: Soc) -> None:
    """Makes rings of all allocs of `kernel` that ask for more than one slot."""
    top = kernel.body.block
    allocs = [op for op in kernel.walk() if isinstance(op, AllocOp)]
    asked = [alloc for alloc in allocs if alloc.ring_depth > 1 and "ring" not in alloc.attributes]
    for alloc in asked:
        if alloc.parent is top:
            alloc.depth = None
    rings = [alloc for alloc in asked if alloc.ring_depth > 1]
    if not rings:
        return
    pitches = _pitches(allocs, rings, soc)
    slots = _Slots(kernel)
    for alloc in rings:
        slots.make_ring(alloc, pitches[alloc])


def _bytes(alloc: AllocOp, soc: Soc) -> tuple[str, int]:
    """Memory of a buffer and its aligned size (of one slot, before it is a ring)."""
    buffer = alloc.result.type
    assert isinstance(buffer, BufferType)
    space = buffer.space.data
    align = soc.core.buffers[space].align
    return space, -(-buffer.size.data // align) * align


def _pitches(allocs: list[AllocOp], rings: list[AllocOp], soc: Soc) -> dict[AllocOp, int]:
    """Bytes from slot to slot: of rings with one counter the largest slot, while everything fits side by side."""
    pitches = {alloc: _bytes(alloc, soc)[1] for alloc in rings}
    free = {space: buffer.size for space, buffer in soc.core.buffers.items()}
    for alloc in allocs:
        space, size = _bytes(alloc, soc)
        free[space] -= size * (alloc.ring_depth if alloc in pitches else 1)
    together: dict[tuple[Block | None, int], list[AllocOp]] = {}
    for alloc in rings:
        together.setdefault((alloc.parent, alloc.ring_depth), []).append(alloc)
    for (_, depth), group in together.items():
        align = max(soc.core.buffers[_bytes(alloc, soc)[0]].align for alloc in group)
        largest = -(-max(pitches[alloc] for alloc in group) // align) * align
        for alloc in sorted(group, key=lambda entry: -pitches[entry]):
            space = _bytes(alloc, soc)[0]
            more = (largest - pitches[alloc]) * depth
            if more <= free[space]:
                free[space] -= more
                pitches[alloc] = largest
    return pitches


class _Slots:
    """Turns allocs into rings; equal offsets into slots are computed once."""

    def __init__(self, kernel: KernelOp) -> None:
        self.top = kernel.body.block
        self.rings = Rings(kernel)
        self._made: dict[tuple[int | SSAValue, SSAValue, int], SSAValue] = {}

    def make_ring(self, alloc: AllocOp, slot: int) -> None:
        buffer, home = alloc.result.type, alloc.parent
        assert isinstance(buffer, BufferType) and home is not None
        counter = self.rings.counter(home, alloc.ring_depth)
        hoisted = AllocOp(buffer.space.data, slot * alloc.ring_depth, alloc.ring_depth)
        hoisted.result.name_hint = alloc.result.name_hint
        hoisted.location = alloc.location
        hoisted.attributes.update(alloc.attributes)
        hoisted.attributes["ring"] = counter.attributes["ring"]
        hoisted.attributes["slot"] = IntegerAttr(slot, i64)
        for user in dict.fromkeys(use.operation for use in list(alloc.result.uses)):
            assert isinstance(user, InstructionOp)
            addresses = [
                (hoisted.result, self._in_slot(offset, alloc, counter.result, slot))
                if base is alloc.result
                else (base, offset)
                for base, offset in addresses_of(user)
            ]
            set_addresses(user, addresses)
        alloc.detach()
        alloc.erase()
        insert_at_start(hoisted, self.top)

    def _in_slot(self, offset: int | SSAValue, alloc: AllocOp, counter: SSAValue, slot: int) -> SSAValue:
        """`offset` + counter · slot, computed inside the home block, where the counter is current."""
        key = (offset, counter, slot)
        found = self._made.get(key)
        if found is not None:
            return found
        home = alloc.parent
        assert home is not None
        if isinstance(offset, int):
            new = offset_op(offset, [(counter, slot)])
            home.insert_op_before(new, alloc)
        else:
            owner = offset.owner
            constant, terms = terms_of(owner) if isinstance(owner, OffsetOp) else (0, [(offset, 1)])
            new = offset_op(constant, [*terms, (counter, slot)])
            if isinstance(owner, Operation) and owner.parent is not None and is_inside(owner, home):
                owner.parent.insert_op_after(new, owner)
            elif isinstance(owner, Block) and is_inside_block(owner, home):
                insert_at_start(new, owner)
            else:
                home.insert_op_before(new, alloc)
        self._made[key] = new.result
        return new.result


@dataclass(frozen=True)
class DavinciDoubleBufferPass(ModulePass):
    """See the module docstring."""

    name = "davinci-double-buffer"
    soc: str = ""
    """SoC whose alignments hold; default: the module's `ascend.target`."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        soc = target_soc(op, self.soc)
        for kernel in kernels(op):
            double_buffer(kernel, soc)
