"""`davinci-allocate-registers`: a machine register for every scalar that lives at run time.

The scalar unit has 64 registers and no stack, and control flow is structured, so a linear scan over program
order is enough: a value lives from its definition to its last use, stretched to the end of every loop that
uses it but does not compute it.  Constants are immediates, `davinci.offset` is part of an address, values
without use are dropped; a running counter keeps its register for the whole kernel.  There is no spilling: a
kernel that needs more fails by name.

    %p = arith.muli %i, %c512 : index      →      %p = arith.muli %i, %c512 {reg = 3 : i64} : index

Before: addresses are lowered.  After: ops have `reg` (loops: of their index), the kernel has
`argument_registers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from xdsl.context import Context
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, ModuleOp, i64
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.davinci import AllocOp, BreakIfOp, CounterOp, InductionOp, KernelOp, OffsetOp, space_of
from ..dialects.davinci_instruction import InstructionOp
from ..runtime.errors import AscendError
from ..runtime.isa.record import REGISTERS
from .davinci_operands import addresses_of, dynamic_values_of
from .davinci_program import counts_up, kernels

_CASTS = (arith.IndexCastOp, arith.ExtUIOp, arith.ExtSIOp, arith.TruncIOp)


def _behind_casts(value: SSAValue) -> SSAValue:
    while type(value.owner) in _CASTS:
        assert isinstance(value.owner, Operation)
        value = value.owner.operands[0]
    return value


def source_of(value: SSAValue) -> SSAValue:
    """The value whose register this one has: behind casts, which are no instruction, and carried inductions."""
    value = _behind_casts(value)
    while isinstance(value.owner, InductionOp) and value.owner.carried is not None:
        value = _behind_casts(value.owner.start)
    return value


def is_carrier(op: InductionOp) -> bool:
    """Whether an inner loop advances this induction."""
    return any(
        isinstance(use.operation, InductionOp) and use.operation.carried is not None for use in op.result.uses
    )


def inductions_of(loop: scf.ForOp) -> list[InductionOp]:
    """The inductions of a loop, the primary one first: they stand at the start of its body."""
    found = [op for op in loop.body.block.ops if isinstance(op, InductionOp)]
    return sorted(found, key=lambda op: op.primary is None)


def has_primary(loop: scf.ForOp) -> bool:
    """Whether one of the inductions takes the place of the loop's index."""
    return any(op.primary is not None for op in inductions_of(loop))


def encoded_values(op: InstructionOp) -> list[SSAValue]:
    """Run-time scalars that the instruction's record names: fields, offsets, kernel arguments; not state."""
    limit = len(op.row.values)
    found = [value for position, value in dynamic_values_of(op) if position < limit]
    for base, offset in addresses_of(op) if op.row.addresses else ():
        if not isinstance(offset, int):
            owner = offset.owner
            found.extend(tuple(owner.operands) if isinstance(owner, OffsetOp) else (offset,))
        if space_of(base) == "gm":
            found.append(base)
    return found


@dataclass
class Registers:
    """The register of each value, and of the hidden index of loops that do not count from 0 by 1."""

    of: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    hidden: dict[scf.ForOp, int] = field(default_factory=dict[scf.ForOp, int])
    live: set[Operation] = field(default_factory=set[Operation])


@dataclass(slots=True)
class _Span:
    value: SSAValue | scf.ForOp
    start: int
    end: int


class _Lifetimes:
    """One pass over the kernel: where each value is defined and last used."""

    def __init__(self, kernel: KernelOp) -> None:
        self.spans: dict[SSAValue | scf.ForOp, _Span] = {}
        self.live: set[Operation] = set()
        self._clock = 0
        self._loop_ends: dict[Block, int] = {}
        self._uses: dict[tuple[SSAValue, Block], int] = {}
        self._encoded: dict[Operation, list[SSAValue]] = {}
        self._mark(kernel)
        self._define(kernel.body.block.args)
        self._walk(kernel.body.block)
        last = self._clock + 2
        for span in self.spans.values():
            if isinstance(span.value, SSAValue) and isinstance(span.value.owner, CounterOp):
                span.start, span.end = 0, last
        for (value, block), time in self._uses.items():
            self._stretch(value, block, time)

    # ------------------------------------------------------------------ what is needed
    def _mark(self, kernel: KernelOp) -> None:
        work: list[SSAValue] = []
        for op in kernel.walk():
            if isinstance(op, InstructionOp):
                self._encoded[op] = encoded_values(op)
                work.extend(self._encoded[op])
            else:
                work.extend(_roots(op))
        while work:
            owner = _behind_casts(work.pop()).owner
            if (
                not isinstance(owner, Operation)
                or owner in self.live
                or isinstance(owner, arith.ConstantOp | AllocOp)
            ):
                continue
            self.live.add(owner)
            work.extend(owner.operands)

    # ------------------------------------------------------------------ spans
    def _define(self, values: Iterable[SSAValue]) -> None:
        for value in values:
            self.spans[value] = _Span(value, self._clock, self._clock)

    def _walk(self, block: Block) -> None:
        for op in block.ops:
            self._clock += 2
            if isinstance(op, InstructionOp):
                self._use(self._encoded[op], block)
                self._define(op.results)
                for value in op.results:  # of a load: written even if nothing reads it
                    self.spans[value].end += 1
            elif isinstance(op, scf.ForOp):
                inductions = [i for i in inductions_of(op) if i in self.live]
                moving = [i.result for i in inductions if i.primary is None and i.carried is None]
                self._define(moving)  # written before the loop reads its trip count and where it starts
                self._clock += 1
                self._use([op.lb, op.ub, op.step, *(i.start for i in inductions)], block)
                self._clock += 1  # the index must not share a register with the trip count
                primary = [i.result for i in inductions if i.primary is not None]
                self._define(primary or op.body.block.args)
                if not counts_up(op):
                    self.spans[op] = _Span(op, self._clock, self._clock)
                    self._use([op.lb, op.step], op.body.block)
                self._walk(op.body.block)
                self._clock += 2
                self._loop_ends[op.body.block] = self._clock
                index = primary or op.body.block.args
                for value in (*index, *moving, *((op,) if not counts_up(op) else ())):
                    self.spans[value].end = self._clock
            elif isinstance(op, scf.IfOp):
                self._use([op.cond], block)
                for region in op.regions:
                    for arm in region.blocks:
                        self._walk(arm)
                        self._clock += 2
            elif isinstance(op, BreakIfOp):
                self._use([op.condition], block)
            elif op in self.live and not isinstance(op, (OffsetOp, InductionOp, *_CASTS)):
                if isinstance(op, arith.CeilDivSIOp | arith.CeilDivUIOp):
                    self._define(op.results)  # written before the operands are read for the last time
                    self._clock += 1
                    self._use(op.operands, block)
                else:
                    self._use(op.operands, block)
                    self._define(op.results)

    def _use(self, values: Iterable[SSAValue], block: Block) -> None:
        for value in values:
            source = source_of(value)
            if type(source.owner) is not arith.ConstantOp:
                self._uses[source, block] = self._clock

    def _stretch(self, value: SSAValue, block: Block, time: int) -> None:
        """The use at `time` keeps the value alive to the end of the outermost loop that does not compute
        it."""
        home = value.owner if isinstance(value.owner, Block) else value.owner.parent
        current: Block | None = block
        while current is not None and current is not home:
            time = max(time, self._loop_ends.get(current, 0))
            parent = current.parent_op()
            current = parent.parent if parent is not None else None
        span = self.spans[value]
        span.end = max(span.end, time)


def _roots(op: Operation) -> Iterator[SSAValue]:
    """Values that an op with effects needs."""
    match op:
        case scf.ForOp():
            yield from (op.lb, op.ub, op.step)
        case scf.IfOp():
            yield op.cond
        case BreakIfOp():
            yield op.condition
        case _:
            return


def assign_registers(kernel: KernelOp) -> Registers:
    """Linear scan over `kernel`, whose addresses are lowered."""
    lifetimes = _Lifetimes(kernel)
    result = Registers(live=lifetimes.live)
    free = list(range(REGISTERS))
    heapify(free)
    active: list[tuple[int, int]] = []  # (end, register)
    spans = [span for span in lifetimes.spans.values() if span.end > span.start]
    for span in sorted(spans, key=lambda s: s.start):
        while active and active[0][0] <= span.start:
            heappush(free, heappop(active)[1])
        if not free:
            raise _too_many(kernel, span)
        register = heappop(free)
        heappush(active, (span.end, register))
        if isinstance(span.value, scf.ForOp):
            result.hidden[span.value] = register
        else:
            result.of[span.value] = register
    return result


def _too_many(kernel: KernelOp, span: _Span) -> AscendError:
    what = span.value.name_hint if isinstance(span.value, SSAValue) else "a loop index"
    return AscendError(
        "E40012",
        f"kernel {kernel.sym_name.data}: no register is left for %{what or '?'}",
        expected=f"at most {REGISTERS} scalars alive at a time",
        hint="use fewer distinct offsets, or compute them inside the loops",
    )


def annotate(kernel: KernelOp, registers: Registers) -> None:
    """Writes the registers into the IR."""
    arguments = kernel.body.block.args
    kernel.attributes["argument_registers"] = DenseArrayBase.from_list(
        i64, [registers.of.get(a, -1) for a in arguments]
    )
    for value, register in registers.of.items():
        if isinstance(value, BlockArgument):
            loop = value.block.parent_op()
            if isinstance(loop, scf.ForOp):
                loop.attributes["reg"] = IntegerAttr(register, i64)
        elif isinstance(value.owner, Operation):
            value.owner.attributes["reg"] = IntegerAttr(register, i64)


@dataclass(frozen=True)
class DavinciAllocateRegistersPass(ModulePass):
    """See the module docstring."""

    name = "davinci-allocate-registers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            annotate(kernel, assign_registers(kernel))
