"""`davinci-lower-addresses`: linear offsets become what an address slot can hold.

A slot is immediate + base register + index register.  For a kernel argument the base register holds its
address, so one register is left for the offset; on chip the buffer's address is part of the immediate and two
are left.  Each `davinci.offset` is rewritten to `constant + %a * 1` or `constant + %a * 1 + %b * 1`; products
and partial sums are computed once, as far outside as their values are known: one multiplication per variable
and one addition per loop.

    davinci.offset 128 + %i * 512 + %j * 64           %p = arith.muli %i, %c512     // at the start of %i's
    loop →      %q = arith.muli %j, %c64      // at the start of %j's loop %s = arith.addi %p, %q        // GM
    only davinci.offset 128 + %s * 1

Before: sync is inserted.  After: every offset used by an instruction has scales of 1 only, and few enough
terms.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.davinci import CounterOp, KernelOp, OffsetOp, RingNextOp, index, space_of
from ..dialects.davinci_instruction import InstructionOp
from .davinci_double_buffer import insert_at_start
from .davinci_operands import arithmetic, offset_op, offset_operands, terms_of
from .davinci_program import constant_of, kernels

_IMMEDIATE = 1 << 31
_Place = tuple[Block, int, int]  # block, number of the op behind which (-1: at the start), sequence number


class _Lowerer:
    def __init__(self, kernel: KernelOp) -> None:
        self.kernel = kernel
        self.numbers: dict[Operation, int] = {}
        self.ops: list[Operation] = []
        self.depths: dict[Block, int] = {}
        self.homes: dict[SSAValue, Block] = {}
        self.offsets: list[OffsetOp] = []
        self._constants: dict[int, SSAValue] = {}
        self._products: dict[tuple[SSAValue, int], SSAValue] = {}
        self._sums: dict[tuple[SSAValue, SSAValue], SSAValue] = {}
        self._places: dict[SSAValue, _Place] = {}
        self._last: dict[tuple[Block, int], Operation] = {}
        self._made = 0
        self._scan(kernel.body.block, 0)

    def _scan(self, block: Block, depth: int) -> None:
        self.depths[block] = depth
        for op in block.ops:
            self.numbers[op] = len(self.ops)
            self.ops.append(op)
            if isinstance(op, OffsetOp):
                self.offsets.append(op)
            elif isinstance(op, RingNextOp):
                self.homes[op.counter] = block
            for region in op.regions:
                for inner in region.blocks:
                    self._scan(inner, depth + 1)

    # ------------------------------------------------------------------ where values are known
    def _place(self, value: SSAValue) -> _Place:
        """Where `value` is known: behind which op of which block."""
        found = self._places.get(value)
        if found is None:
            owner = value.owner
            if value in self.homes:
                found = (self.homes[value], -1, 0)  # a running counter is current from the start of its block
            elif isinstance(owner, Block | CounterOp):
                block = value.owner if isinstance(value.owner, Block) else self.kernel.body.block
                found = (block, -1, 0)
            else:
                block = owner.parent
                assert block is not None
                found = (block, self.numbers[owner], 0)
            self._places[value] = found
        return found

    def _insert(self, op: Operation, place: _Place) -> SSAValue:
        """Puts `op` where everything at `place` is known; keeps the order of what is inserted at one
        place."""
        block, number, _ = place
        last = self._last.get((block, number))
        if last is not None:
            block.insert_op_after(op, last)
        elif number < 0:
            insert_at_start(op, block)
        else:
            block.insert_op_after(op, self.ops[number])
        self._last[block, number] = op
        self._made += 1
        value = op.results[0]
        self._places[value] = (block, number, self._made)
        return value

    def _later(self, a: SSAValue, b: SSAValue) -> _Place:
        """The place of the later of two values that are both known at some point."""
        pa, pb = self._place(a), self._place(b)
        da, db = self.depths[pa[0]], self.depths[pb[0]]
        if da != db:
            return pa if da > db else pb
        return max(pa, pb, key=lambda place: place[1:])

    # ------------------------------------------------------------------ values
    def _constant(self, number: int) -> SSAValue:
        if number not in self._constants:
            op = arith.ConstantOp(IntegerAttr(number, index))
            insert_at_start(op, self.kernel.body.block)
            self._constants[number] = op.result
            self._places[op.result] = (self.kernel.body.block, -1, 0)
            self._last.setdefault((self.kernel.body.block, -1), op)  # products go behind the constants
        return self._constants[number]

    def _product(self, value: SSAValue, scale: int) -> SSAValue:
        if scale == 1:
            return value
        key = (value, scale)
        if key not in self._products:
            op = arithmetic(arith.MuliOp, value, self._constant(scale))
            self._products[key] = self._insert(op, self._place(value))
        return self._products[key]

    def _sum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        if (a, b) not in self._sums:
            self._sums[a, b] = self._insert(arithmetic(arith.AddiOp, a, b), self._later(a, b))
        return self._sums[a, b]

    def _parts(self, offset: OffsetOp) -> tuple[int, list[SSAValue]]:
        """(constant, values to add), the values ordered by where they are known, outermost first."""
        constant, terms = terms_of(offset)
        scales: dict[SSAValue, int] = {}
        for value, scale in terms:
            number = constant_of(value)
            if number is not None:
                constant += number * scale
            else:
                scales[value] = scales.get(value, 0) + scale
        values = sorted((v for v, s in scales.items() if s), key=self._order)
        return constant, [self._product(value, scales[value]) for value in values]

    def _fold(self, parts: list[SSAValue], limit: int) -> None:
        while len(parts) > limit:
            parts[:2] = [self._sum(parts[0], parts[1])]

    def address(self, offset: OffsetOp, registers: int) -> SSAValue:
        """The same offset with at most `registers` terms of scale 1."""
        constant, parts = self._parts(offset)
        if not -_IMMEDIATE <= constant < _IMMEDIATE:
            parts.insert(0, self._constant(constant))
            constant = 0
        self._fold(parts, registers)
        op = offset_op(constant, [(part, 1) for part in parts])
        assert offset.parent is not None
        offset.parent.insert_op_before(op, offset)
        return op.result

    def value(self, offset: OffsetOp) -> SSAValue:
        """The offset as a scalar, for a use that is not an address."""
        constant, parts = self._parts(offset)
        self._fold(parts, 1)
        if not parts:
            return self._constant(constant)
        return self._sum(parts[0], self._constant(constant)) if constant else parts[0]

    def _order(self, value: SSAValue) -> tuple[int, int, int]:
        block, number, sequence = self._place(value)
        return self.depths[block], number, sequence


def lower_addresses(kernel: KernelOp) -> None:
    """Rewrites the offsets of `kernel` for the machine's address slots."""
    lowerer = _Lowerer(kernel)
    for offset in lowerer.offsets:
        _lower_uses(offset, lowerer)


def _lower_uses(offset: OffsetOp, lowerer: _Lowerer) -> None:
    made: dict[int, SSAValue] = {}
    for use in list(offset.result.uses):
        registers = _registers(use.operation, use.index)
        if registers not in made:
            made[registers] = lowerer.address(offset, registers) if registers else lowerer.value(offset)
        use.operation.operands[use.index] = made[registers]
    offset.detach()
    offset.erase()


def _registers(user: Operation, operand: int) -> int:
    """Registers that the address slot at `operand` has for the offset; 0 when it is not an address."""
    if not isinstance(user, InstructionOp):
        return 0
    base = offset_operands(user).get(operand)
    if base is None:
        return 0
    return 1 if space_of(base) == "gm" else 2


@dataclass(frozen=True)
class DavinciLowerAddressesPass(ModulePass):
    """See the module docstring."""

    name = "davinci-lower-addresses"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            lower_addresses(kernel)
