"""`davinci-insert-sync`: set_flag, wait_flag and pipe_barrier from true dependences on byte ranges.

The pipes of a core run ahead of each other; only flags order them, and inside one pipe issue order is not
completion order.  This pass finds what must be ordered (`davinci_dependences`), chooses the fewest flags that
order it (`davinci_sync_flags`, judged by `davinci_sync_order`) and emits them.

    scf.for %i = ... {                                      davinci.set_flag src V, dst MTE2, event 0      //
    primed davinci.copy_gm_to_ubuf %t, %x[%o], ...               scf.for %i = ... { davinci.vrelu f16 %t, %t,
    ...                           davinci.wait_flag src V, dst MTE2, event 0 }
    davinci.copy_gm_to_ubuf %t, %x[%o], ... davinci.set_flag src MTE2, dst V, event 0 →
    davinci.wait_flag src MTE2, dst V, event 0 davinci.vrelu f16 %t, %t, ... davinci.set_flag src V, dst MTE2,
    event 0 } davinci.wait_flag src V, dst MTE2, event 0     // drained

Before: buffers have addresses.  After: every dependence is ordered, sets and waits are balanced on every
path, a set stands before its wait, no flag is left set.  What had to be given up for want of event ids stands
in the kernel's attribute `sync_relaxed`.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.davinci import KernelOp, index
from ..dialects.davinci_instruction import InstructionOp
from ..dialects.davinci_isa import PipeBarrierOp, SetFlagOp, WaitFlagOp
from ..runtime.isa.model import BARRIER_SCOPES, PIPES
from ..runtime.soc import Soc
from .davinci_dependences import Dependences
from .davinci_double_buffer import Rings, insert_at_start
from .davinci_operands import arithmetic, plain_instruction
from .davinci_program import Program, kernels, target_soc
from .davinci_sync_flags import Flags
from .davinci_sync_order import Anchor, Edge

_SCOPE_CODE = {name: code for code, name in enumerate(BARRIER_SCOPES)}


def _flag_op(kind: type[InstructionOp], edge: Edge, event: int | SSAValue) -> InstructionOp:
    return plain_instruction(kind, {"src": PIPES.index(edge.p), "dst": PIPES.index(edge.q), "event": event})


class _Emitter:
    """Puts the chosen edges into the kernel."""

    def __init__(self, kernel: KernelOp, first: Operation) -> None:
        self.kernel = kernel
        self.first = first  # primes go before it
        self.rings: Rings | None = None
        self._events: dict[tuple[Block, int, int], SSAValue] = {}
        self._bases: dict[int, SSAValue] = {}
        self._placed: list[tuple[Anchor, int, Operation]] = []
        self._primes: list[Operation] = []
        self._drains: list[Operation] = []

    def emit(self, edges: list[Edge]) -> None:
        for edge in edges:
            if not edge.is_flag:
                self._placed.append(
                    (edge.wait_at, edge.w, plain_instruction(PipeBarrierOp, {"pipe": _SCOPE_CODE[edge.p]}))
                )
                continue
            for kind, place, time in ((SetFlagOp, edge.set_at, edge.s), (WaitFlagOp, edge.wait_at, edge.w)):
                op: Operation = _flag_op(kind, edge, self._event(edge))
                if edge.guard is not None:
                    op = scf.IfOp(edge.guard, [], [op, scf.YieldOp()])
                self._placed.append((place, time, op))
            for event in range(edge.base, edge.base + (edge.ids if edge.distance else 0)):
                self._primes.append(_flag_op(SetFlagOp, edge, event))
                self._drains.append(_flag_op(WaitFlagOp, edge, event))
        self._insert()

    def _event(self, edge: Edge) -> int | SSAValue:
        """The id: a constant, or base + counter of the ring."""
        if edge.ids == 1:
            return edge.base
        key = (edge.block.block, edge.ids, edge.base)
        if key not in self._events:
            self.rings = self.rings or Rings(self.kernel)
            counter = self.rings.counter(edge.block.block, edge.ids)
            value: SSAValue = counter.result
            if edge.base:
                add = arithmetic(arith.AddiOp, value, self._base(edge.base))
                insert_at_start(add, edge.block.block)
                value = add.result
            self._events[key] = value
        return self._events[key]

    def _base(self, value: int) -> SSAValue:
        if value not in self._bases:
            op = arith.ConstantOp(IntegerAttr(value, index))
            insert_at_start(op, self.kernel.body.block)
            self._bases[value] = op.result
        return self._bases[value]

    def _insert(self) -> None:
        """In time order; behind an item the cursor moves along, before it plain insertion keeps the order."""
        top = self.kernel.body.block
        for op in self._primes:
            top.insert_op_before(op, self.first)
        for op in self._drains:
            top.add_op(op)
        behind: dict[Operation, Operation] = {}
        for (item, before), _, op in sorted(self._placed, key=lambda entry: entry[1]):
            block = item.op.parent
            assert block is not None
            if before:
                block.insert_op_before(op, item.op)
            else:
                block.insert_op_after(op, behind.get(item.op, item.op))
                behind[item.op] = op


def insert_sync(kernel: KernelOp, soc: Soc, program: Program | None = None) -> None:
    """Orders the pipes of `kernel`, whose buffers have addresses."""
    program = program or Program(kernel)
    flags = Flags(program, soc.core, Dependences(program, soc.core))
    if not flags.edges:
        return
    _Emitter(kernel, _first_wait(program, flags.edges)).emit(flags.edges)
    if flags.relaxed:
        kernel.attributes["sync_relaxed"] = ArrayAttr([StringAttr(text) for text in flags.relaxed])


def _first_wait(program: Program, edges: list[Edge]) -> Operation:
    """The first op of the kernel body in or before which something is waited for: what is ahead of it need not wait for
    the dispatch of the first flags."""
    waits = {edge.wait_at[0] for edge in edges}
    for item in program.root.items:
        if item.blocks or item in waits:
            return item.op
    return program.root.items[-1].op


@dataclass(frozen=True)
class DavinciInsertSyncPass(ModulePass):
    """See the module docstring."""

    name = "davinci-insert-sync"
    soc: str = ""
    """SoC whose event ids and barrier exceptions hold; default: the module's `ascend.target`."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        soc = target_soc(op, self.soc)
        for kernel in kernels(op):
            insert_sync(kernel, soc)
