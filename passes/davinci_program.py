"""A davinci kernel as a tree of blocks and items, with byte accesses in linear form: what the passes of this
level ask.

Control flow is structured, so program order is one number line.  Every item (an instruction, a loop, an if)
has a `start` and an `end` on it; what stands inside lies between them.  Two items are compared in their
*deepest common block*; the arms of an `scf.if` are blocks of their own, so two items in different arms meet
in the block around it.

An address is `constant + Σ scale · variable`.  A variable is constant during one execution of its block: a
loop variable in the loop's body, the running counter of a ring in the block where the ring advances, any
other value in the block that computes it.  Scalar `arith` that is linear is looked through, the rest gets a
range by intervals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, ModuleOp, StringAttr
from xdsl.ir import Block, BlockArgument, Operation, OpResult, SSAValue

from ..dialects.davinci import (
    AllocOp,
    BlockIdxOp,
    BlockNumOp,
    BreakIfOp,
    CounterOp,
    KernelOp,
    OffsetOp,
    RingNextOp,
    space_of,
)
from ..dialects.davinci_instruction import InstructionOp, value_specs
from ..runtime.errors import AscendError
from ..runtime.isa.extents import operand_types, type_size
from ..runtime.soc import Soc, compile_target
from .davinci_operands import addresses_of, dynamic_values_of, extents_of, terms_of, values_of

UNBOUNDED = 1 << 62
STEP = 16  # room between two items for the flags that go behind the one and before the other
DEFAULT_SOC = "Ascend310P3"
_SWITCHES = ("bursts", "length", "repeat", "m_extent", "k_extent", "m", "k", "n")  # 0: nothing happens

Range = tuple[int, int]
Terms = tuple[tuple["Variable", int], ...]


def target_soc(module: ModuleOp, name: str = "") -> Soc:
    """The SoC that a pass option names, else the one of the module's `ascend.target`, else the default."""
    target = module.attributes.get("ascend.target")
    return compile_target(name or (target.data if isinstance(target, StringAttr) else DEFAULT_SOC))


def kernels(module: ModuleOp) -> Iterator[KernelOp]:
    """The kernels of a module."""
    return (op for op in module.body.block.ops if isinstance(op, KernelOp))


def constant_of(value: SSAValue) -> int | None:
    """The number that `arith.constant` gives, else None."""
    owner = value.owner
    if type(owner) is not arith.ConstantOp:  # quicker than isinstance, and asked very often
        return None
    attribute = owner.properties["value"]
    return attribute.value.data if isinstance(attribute, IntegerAttr) else None


def counts_up(loop: scf.ForOp) -> bool:
    """Whether the loop variable goes from 0 by 1."""
    return constant_of(loop.lb) == 0 and constant_of(loop.step) == 1


def is_inside(op: Operation, block: Block) -> bool:
    """Whether `op` stands in `block`, however deep."""
    return is_inside_block(op.parent, block)


def is_inside_block(inner: Block | None, block: Block) -> bool:
    """Whether `inner` is `block` or stands in it."""
    while inner is not None:
        if inner is block:
            return True
        parent = inner.parent_op()
        inner = parent.parent if parent is not None else None
    return False


@dataclass(eq=False, slots=True)
class BlockNode:
    """One block: the kernel body, a loop body or an arm of an if."""

    block: Block
    parent: Item | None
    depth: int
    is_loop: bool
    repeats: bool  # runs more than once in a kernel: some loop is around its items
    always: bool  # runs at least once whenever the block around it runs
    items: list[Item] = field(default_factory=list["Item"])
    start: int = 0
    end: int = 0
    breaks: list[Item] = field(default_factory=list["Item"])

    @property
    def period(self) -> int:
        """More than any distance inside the block: time of one execution on the line of its executions."""
        return self.end - self.start + STEP


@dataclass(eq=False, slots=True)
class Item:
    """An instruction, a loop or an if; `chain[d]` is the item at depth d that holds it (itself at its own
    depth)."""

    op: Operation
    block: BlockNode
    start: int
    end: int = 0
    pipe: str = ""
    blocks: list[BlockNode] = field(default_factory=list[BlockNode])
    chain: tuple[Item, ...] = ()
    only: tuple[Variable, int] | None = None  # it does something only at this value of a loop variable
    guard: SSAValue | None = None  # the i1 value that says so


@dataclass(eq=False, slots=True)
class Variable:
    """A value that addresses are linear in."""

    number: int
    block: BlockNode
    low: int
    high: int
    iterates: bool = False  # the loop variable of its block
    scale: int = 1  # of a loop variable: its step
    ahead_of: Variable | None = None  # a counter that runs one execution ahead of this one


@dataclass(eq=False, slots=True)
class Access:
    """Bytes [constant + Σ, + extent) of a memory that one instruction reads or writes."""

    item: Item
    memory: object  # an on-chip space, or the kernel argument
    owner: object  # alloc op, or the kernel argument
    constant: int
    terms: Terms
    extent: int
    reads: bool
    writes: bool
    low: int = 0
    high: int = 0
    piece: int = 0  # bursts with gaps: bytes of one burst, and
    pitch: int = 0  # distance of their starts (0: all bytes of the extent)
    only: tuple[Variable, int] | None = None  # happens only when the loop variable has this value
    phase: int = 0  # of a ring: 1 for the slot that the next execution of the home block uses

    @property
    def key(self) -> tuple[int, Terms, int, int, int, tuple[Variable, int] | None, int]:
        return (self.constant, self.terms, self.extent, self.piece, self.pitch, self.only, self.phase)


def common_block(a: Item, b: Item) -> tuple[BlockNode, Item, Item]:
    """The deepest block that holds both, and the items of it that hold a and b."""
    depth = min(a.block.depth, b.block.depth)
    while a.chain[depth].block is not b.chain[depth].block:
        depth -= 1
    return a.chain[depth].block, a.chain[depth], b.chain[depth]


class Program:
    """The tree of one kernel and what is known about its values."""

    def __init__(self, kernel: KernelOp) -> None:
        self.kernel = kernel
        self.nodes: dict[Block, BlockNode] = {}
        self.instructions: list[Item] = []
        self.allocs: list[AllocOp] = []
        self.homes: dict[SSAValue, BlockNode] = {}  # counter → block in which its ring advances
        self.depths: dict[SSAValue, int] = {}  # counter → number of slots
        self._ranges: dict[SSAValue, Range] = {}
        self._variables: dict[SSAValue, Variable] = {}
        self._linear: dict[SSAValue, tuple[int, Terms]] = {}
        self._clock = 0
        self.root = self._block(kernel.body.block, None, 0, is_loop=False, repeats=False, always=True)

    # ------------------------------------------------------------------ tree
    def _block(
        self, block: Block, parent: Item | None, depth: int, *, is_loop: bool, repeats: bool, always: bool
    ) -> BlockNode:
        node = BlockNode(block, parent, depth, is_loop, repeats, always)
        self.nodes[block] = node
        node.start = self._clock = self._clock + STEP
        outer = parent.chain if parent is not None else ()
        for op in block.ops:
            if isinstance(op, InstructionOp):
                item = self._item(op, node, outer)
                item.pipe = op.row.pipe
                self.instructions.append(item)
            elif isinstance(op, scf.ForOp):
                item = self._item(op, node, outer)
                low, _ = self.trip_range(op)
                item.blocks.append(
                    self._block(op.body.block, item, depth + 1, is_loop=True, repeats=True, always=low >= 1)
                )
            elif isinstance(op, scf.IfOp):
                item = self._item(op, node, outer)
                arms = [region.block for region in (op.true_region, op.false_region) if region.blocks]
                item.blocks.extend(
                    self._block(arm, item, depth + 1, is_loop=False, repeats=repeats, always=False)
                    for arm in arms
                )
            elif isinstance(op, BreakIfOp):
                node.breaks.append(self._item(op, node, outer))
                continue
            else:
                self._note(op, node)
                continue
            item.end = self._clock
        node.end = self._clock = self._clock + STEP
        if node.breaks:
            node.always = False
        return node

    def _item(self, op: Operation, node: BlockNode, outer: tuple[Item, ...]) -> Item:
        self._clock += STEP
        item = Item(op, node, self._clock, self._clock)
        item.chain = (*outer, item)
        node.items.append(item)
        return item

    def _note(self, op: Operation, node: BlockNode) -> None:
        if isinstance(op, AllocOp):
            self.allocs.append(op)
        elif isinstance(op, RingNextOp):
            self.homes[op.counter] = node
            self.depths[op.counter] = op.depth.value.data

    def home(self, alloc: AllocOp) -> BlockNode:
        """The block in which a fresh instance of the buffer begins; hoisted rings name it by their
        counter."""
        ring = alloc.attributes.get("ring")
        if ring is not None:
            for counter, node in self.homes.items():
                if isinstance(counter.owner, CounterOp) and counter.owner.attributes.get("ring") == ring:
                    return node
        block = alloc.parent
        assert block is not None
        return self.nodes[block]

    # ------------------------------------------------------------------ ranges
    def trip_range(self, loop: scf.ForOp) -> Range:
        """Least and largest number of iterations."""
        step = constant_of(loop.step) or 1
        (low_lb, high_lb), (low_ub, high_ub) = self.range_of(loop.lb), self.range_of(loop.ub)
        least = -(-(low_ub - high_lb) // step)
        most = UNBOUNDED if UNBOUNDED in (high_ub, -low_lb) else -(-(high_ub - low_lb) // step)
        return max(0, least), max(0, most)

    def range_of(self, value: SSAValue) -> Range:
        """Bounds of a value, ±UNBOUNDED when nothing is known."""
        found = self._ranges.get(value)
        if found is None:
            self._ranges[value] = (-UNBOUNDED, UNBOUNDED)  # a cycle cannot occur; guards against odd IR
            low, high = self._range(value)
            said = value.owner.attributes.get("range") if isinstance(value.owner, Operation) else None
            if isinstance(said, DenseArrayBase):  # the generator knows more
                least, most = (int(bound) for bound in said.get_values())
                low, high = max(low, least), min(high, most)
            found = self._ranges[value] = (max(low, -UNBOUNDED), min(high, UNBOUNDED))
        return found

    def _range(self, value: SSAValue) -> Range:
        if isinstance(value, BlockArgument):
            owner = value.block.parent_op()
            if isinstance(owner, scf.ForOp):
                return self.range_of(owner.lb)[0], max(
                    self.range_of(owner.ub)[1] - 1, self.range_of(owner.lb)[0]
                )
            return (0, UNBOUNDED)
        op = value.owner
        blocks = self.kernel.blocks.value.data
        match op:
            case arith.ConstantOp():
                number = constant_of(value) or 0
                return number, number
            case BlockIdxOp():
                return 0, blocks - 1
            case BlockNumOp():
                return 1, blocks
            case CounterOp():
                return 0, max(0, self.depths.get(value, UNBOUNDED) - 1)
            case OffsetOp():
                constant, terms = terms_of(op)
                low = high = constant
                for term, scale in terms:
                    a, b = _times(self.range_of(term), (scale, scale))
                    low, high = low + a, high + b
                return low, high
            case arith.CmpiOp():
                return 0, 1
            case arith.SelectOp():
                (a, b), (c, d) = self.range_of(op.lhs), self.range_of(op.rhs)
                return min(a, c), max(b, d)
            case _ if isinstance(op, Operation) and len(op.operands) == 2:
                return _binary(op, self.range_of(op.operands[0]), self.range_of(op.operands[1]))
            case _:
                return -UNBOUNDED, UNBOUNDED

    # ------------------------------------------------------------------ linear forms
    def variable(self, value: SSAValue) -> Variable:
        """`value` as a variable of linear forms."""
        found = self._variables.get(value)
        if found is None:
            low, high = self.range_of(value)
            block = self._defining_block(value)
            iterates = isinstance(value, BlockArgument) and block.is_loop
            found = Variable(len(self._variables), block, low, high, iterates)
            if iterates and block.parent is not None and isinstance(block.parent.op, scf.ForOp):
                found.scale = constant_of(block.parent.op.step) or 1
            found.ahead_of = self._ahead_of(value)
            self._variables[value] = found
        return found

    def _ahead_of(self, value: SSAValue) -> Variable | None:
        """The counter of the ring in whose next slot `value` counts."""
        owner = value.owner
        ring = owner.attributes.get("ahead") if isinstance(owner, CounterOp) else None
        if ring is None:
            return None
        for counter in self.homes:
            if isinstance(counter.owner, CounterOp) and counter.owner.attributes.get("ring") == ring:
                return self.variable(counter)
        return None

    def _defining_block(self, value: SSAValue) -> BlockNode:
        if value in self.homes:
            return self.homes[value]
        block = value.block if isinstance(value, BlockArgument) else value.owner.parent_block()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
        return self.nodes.get(block, self.root) if isinstance(block, Block) else self.root

    def linear(self, value: SSAValue) -> tuple[int, Terms]:
        """constant + Σ scale · variable, terms ordered by variable number."""
        found = self._linear.get(value)
        if found is None:
            found = self._linear[value] = self._linear_of(value)
        return found

    def _linear_of(self, value: SSAValue) -> tuple[int, Terms]:
        op = value.owner
        match op:
            case arith.ConstantOp():
                return constant_of(value) or 0, ()
            case OffsetOp():
                constant, parts = terms_of(op)
                return self.combine(constant, [(self.linear(term), scale) for term, scale in parts])
            case arith.AddiOp():
                return self.combine(0, [(self.linear(op.lhs), 1), (self.linear(op.rhs), 1)])
            case arith.SubiOp():
                return self.combine(0, [(self.linear(op.lhs), 1), (self.linear(op.rhs), -1)])
            case arith.MuliOp():
                for factor, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
                    number = constant_of(factor)
                    if number is not None:
                        return self.combine(0, [(self.linear(other), number)])
            case _:
                pass
        return 0, ((self.variable(value), 1),)

    @staticmethod
    def combine(constant: int, parts: list[tuple[tuple[int, Terms], int]]) -> tuple[int, Terms]:
        """constant + Σ scale · form."""
        sums: dict[Variable, int] = {}
        for (base, terms), scale in parts:
            constant += base * scale
            for variable, factor in terms:
                sums[variable] = sums.get(variable, 0) + factor * scale
        return constant, tuple(
            sorted(((v, s) for v, s in sums.items() if s), key=lambda term: term[0].number)
        )

    # ------------------------------------------------------------------ accesses
    def accesses(self, item: Item) -> list[Access]:
        """What an instruction reads and writes; on-chip bytes are absolute, so buffers must have
        addresses."""
        op = item.op
        assert isinstance(op, InstructionOp)
        row = op.row
        if not row.addresses:
            return []
        found: list[Access] = []
        self._note_guard(item)
        for spec, (base, offset), extent in zip(row.addresses, addresses_of(op), extents_of(op), strict=True):
            if extent == 0:
                continue
            constant, terms = (offset, ()) if isinstance(offset, int) else self.linear(offset)
            memory: object = base
            owner: object = base
            if isinstance(base, OpResult) and isinstance(base.op, AllocOp):
                owner, memory = base.op, space_of(base)
                if base.op.address is None:
                    raise AscendError(
                        "E40011",
                        f"a {memory} buffer has no address",
                        hint="run davinci-allocate-buffers first",
                    )
                constant += base.op.address.value.data
            reads = spec.reads and not (
                spec.access == "rw" and row.family == "cube" and values_of(op)["init"] == 1
            )
            low, high = _hull(constant, terms, extent)
            terms, phase = _phase(terms)
            access = Access(
                item, memory, owner, constant, terms, extent, reads, spec.writes, low, high, only=item.only, phase=phase,
            )  # fmt: skip
            found.append(access)
        if row.family in ("dma", "l0c"):
            self._bursts(op, found)
        return found

    def _note_guard(self, item: Item) -> None:
        """Finds out whether the instruction does something only at one value of a loop variable.

        Work of the first iteration is done without peeling: by a count that is 0 later, or in an `scf.if`.
        """
        op = item.op
        assert isinstance(op, InstructionOp)
        for position, value in dynamic_values_of(op):
            select = value.owner
            if value_specs(op.row)[position].name not in _SWITCHES or not isinstance(select, arith.SelectOp):
                continue
            if constant_of(select.rhs) == 0 and (found := self._at_value(select.cond)) is not None:
                item.only, item.guard = found, select.cond
                return
        for holder in item.chain[:-1]:
            branch = holder.op
            if (
                not isinstance(branch, scf.IfOp)
                or item.chain[holder.block.depth + 1].block is not holder.blocks[0]
            ):
                continue
            if (found := self._at_value(branch.cond)) is not None:
                item.only, item.guard = found, branch.cond
                return

    def _at_value(self, condition: SSAValue) -> tuple[Variable, int] | None:
        """(loop variable, value) that the condition asks for: `variable == value`, or a sum of loop variables that is 0."""
        compare = condition.owner
        if not isinstance(compare, arith.CmpiOp) or compare.predicate.value.data != 0:
            return None
        for value, other in ((compare.lhs, compare.rhs), (compare.rhs, compare.lhs)):
            number = constant_of(other)
            if number is None:
                continue
            found = [self.variable(v) for v in _summands(value)]
            counting = [variable for variable in found if variable.iterates]
            if len(found) == 1 and counting:
                return counting[0], number
            if number == 0 and counting and all(self.range_of(v)[0] >= 0 for v in _summands(value)):
                return max(counting, key=lambda variable: variable.block.depth), 0
        return None

    def _bursts(self, op: InstructionOp, accesses: list[Access]) -> None:
        """Notes the gaps between bursts where their distance is a constant (length and gap may both vary)."""
        named = values_of(op)
        bursts = named["bursts"]
        if bursts == 1 or op.MNEMONIC == "broadcast_ub_to_cc" or len(accesses) != 2:
            return
        types = operand_types(op.row, op.dtype.data) if op.row.family == "l0c" else ("", "")
        if any(kind and type_size(kind) == 1 for kind in types):
            return  # rows of bytes in half blocks
        for access, gap, kind in zip(accesses, ("dst_gap", "src_gap"), types, strict=True):
            unit = 256 * type_size(kind) if kind else 32
            gap_unit = unit if access.memory == "l0c" else 32
            pitch, terms = self.combine(
                0, [(self._form(named["length"]), unit), (self._form(named[gap]), gap_unit)]
            )
            if terms:
                continue
            length = named["length"]
            piece = min(
                access.extent, unit * (length if isinstance(length, int) else self.range_of(length)[1])
            )
            if isinstance(bursts, int):
                piece = min(piece, access.extent - (bursts - 1) * pitch)
            if 0 < piece < pitch:
                access.piece, access.pitch = piece, pitch

    def _form(self, value: int | SSAValue) -> tuple[int, Terms]:
        return (value, ()) if isinstance(value, int) else self.linear(value)


def _summands(value: SSAValue) -> list[SSAValue]:
    """The values whose sum `value` is."""
    if isinstance(value.owner, arith.AddiOp):
        return [*_summands(value.owner.lhs), *_summands(value.owner.rhs)]
    return [value]


def _phase(terms: Terms) -> tuple[Terms, int]:
    """The terms in counters of current slots, and how many executions ahead they are."""
    if not any(variable.ahead_of for variable, _ in terms):
        return terms, 0
    found = [(variable.ahead_of or variable, scale) for variable, scale in terms]
    return tuple(sorted(found, key=lambda term: term[0].number)), 1


def _hull(constant: int, terms: Terms, extent: int) -> Range:
    low = high = constant
    for variable, scale in terms:
        a, b = _times((variable.low, variable.high), (scale, scale))
        low, high = low + a, high + b
    return low, high + extent


def _times(a: Range, b: Range) -> Range:
    products = [x * y for x in a for y in b]
    return max(min(products), -UNBOUNDED), min(max(products), UNBOUNDED)


def _binary(op: Operation, a: Range, b: Range) -> Range:
    (al, ah), (bl, bh) = a, b
    match op:
        case arith.AddiOp():
            return al + bl, ah + bh
        case arith.SubiOp():
            return al - bh, ah - bl
        case arith.MuliOp():
            return _times(a, b)
        case arith.MinSIOp() | arith.MinUIOp():
            return min(al, bl), min(ah, bh)
        case arith.MaxSIOp() | arith.MaxUIOp():
            return max(al, bl), max(ah, bh)
        case arith.DivUIOp() | arith.FloorDivSIOp() | arith.DivSIOp() if bl > 0:
            return (al // (bh if al >= 0 else bl)), (
                UNBOUNDED if ah >= UNBOUNDED else ah // (bl if ah >= 0 else bh)
            )
        case arith.CeilDivSIOp() if bl > 0 and al >= 0:
            return 0, UNBOUNDED if ah >= UNBOUNDED else -(-ah // bl)
        case arith.RemUIOp() | arith.RemSIOp() if bl > 0 and al >= 0:
            return 0, min(ah, bh - 1)
        case arith.ShRUIOp() | arith.ShRSIOp() if al >= 0:
            return 0, ah
        case arith.AndIOp() if al >= 0 and bl >= 0:
            return 0, min(ah, bh)
        case _:
            return -UNBOUNDED, UNBOUNDED
