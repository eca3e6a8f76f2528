"""`davinci` kernels → machine code: one record per instruction, loops stay loops.

Scalar `arith` becomes instructions of the scalar unit, `scf` its structured control flow, an address operand
a slot of immediate + base register + index register.  State operands (mask, FMATRIX, …) are not encoded: by
now `set_*` instructions have written the registers.  Kernel arguments are read once, at the start.

The kernel must have gone through `davinci-lower-addresses` (and everything before it).
"""

from __future__ import annotations

from typing import TypeAlias

from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Block, Operation, SSAValue

from ..dialects.davinci import (
    AllocOp,
    BlockIdxOp,
    BlockNumOp,
    BreakIfOp,
    CounterOp,
    InductionOp,
    KernelOp,
    OffsetOp,
    RingNextOp,
    space_of,
)
from ..dialects.davinci_instruction import InstructionOp, Value
from ..passes.davinci_allocate_registers import (
    Registers,
    assign_registers,
    has_primary,
    inductions_of,
    is_carrier,
    source_of,
)
from ..passes.davinci_operands import addresses_of, terms_of, values_of
from ..passes.davinci_program import constant_of, counts_up
from ..runtime.errors import AscendError
from ..runtime.isa.encode import encode_image
from ..runtime.isa.record import AddressOperand, Operand, Record, Reg

_ALU: dict[type[Operation], str] = {
    arith.AddiOp: "add",
    arith.SubiOp: "sub",
    arith.MuliOp: "mul",
    arith.FloorDivSIOp: "div",
    arith.DivUIOp: "div",  # index values that are divided are never negative
    arith.DivSIOp: "div",
    arith.RemUIOp: "rem",
    arith.RemSIOp: "rem",
    arith.MinSIOp: "min",
    arith.MinUIOp: "min",
    arith.MaxSIOp: "max",
    arith.MaxUIOp: "max",
    arith.AndIOp: "and",
    arith.OrIOp: "or",
    arith.XOrIOp: "xor",
    arith.ShLIOp: "shl",
    arith.ShRUIOp: "shr",
    arith.ShRSIOp: "shr",
}
# predicate → (instruction, operands swapped, result inverted)
_COMPARE: dict[int, tuple[str, bool, bool]] = {
    0: ("eq", False, False),
    1: ("eq", False, True),
    2: ("lt", False, False),
    3: ("lt", True, True),
    4: ("lt", True, False),
    5: ("lt", False, True),
    6: ("lt", False, False),
    7: ("lt", True, True),
    8: ("lt", True, False),
    9: ("lt", False, True),
}
_Scalars: TypeAlias = "tuple[Operand, ...]"


class _Coder:
    def __init__(self, kernel: KernelOp, registers: Registers) -> None:
        self.records: list[Record] = []
        self.registers = registers
        for number, argument in enumerate(kernel.body.block.args):
            if argument in registers.of:
                self._emit("arg", (self._reg(argument),), {"number": number})

    def _emit(self, mnemonic: str, scalars: _Scalars = (), fields: dict[str, Operand] | None = None) -> None:
        self.records.append(Record(mnemonic, "", (), scalars, fields or {}))

    def _reg(self, value: SSAValue) -> Reg:
        return Reg(self.registers.of[value])

    def _operand(self, value: Value) -> Operand:
        if isinstance(value, int):
            return value
        value = source_of(value)
        number = constant_of(value)
        return self._reg(value) if number is None else number

    # ------------------------------------------------------------------ structure
    def block(self, block: Block) -> None:
        for op in block.ops:
            match op:
                case InstructionOp():
                    self._instruction(op)
                case scf.ForOp():
                    self._loop(op)
                case scf.IfOp():
                    self._if(op)
                case BreakIfOp():
                    self._emit("break_if", (self._operand(op.condition),))
                case RingNextOp():
                    if op.counter in self.registers.of:
                        self._ring_next(op)
                case AllocOp() | OffsetOp() | InductionOp() | arith.ConstantOp() | scf.YieldOp():
                    pass
                case _ if op in self.registers.live:
                    self._scalar(op)
                case _:
                    pass

    def _loop(self, op: scf.ForOp) -> None:
        if counts_up(op):
            self._counted(op)
            return
        index = self._reg(op.body.block.args[0])
        low, high, step = (self._operand(value) for value in (op.lb, op.ub, op.step))
        counter = Reg(self.registers.hidden[op])
        trip: Operand
        if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
            trip = max(0, -(-(high - low) // step))
        else:  # ceil((high - low) / step), in the register that then counts
            trip = counter
            self._emit("sub", (counter, high, low))
            if step != 1:
                self._emit("add", (counter, counter, step))
                self._emit("sub", (counter, counter, 1))
                self._emit("div", (counter, counter, step))
        self._emit("loop", (counter, trip))
        self._emit("mul", (index, counter, step))
        self._emit("add", (index, index, low))
        self.block(op.body.block)
        self._emit("end_loop")

    def _counted(self, op: scf.ForOp) -> None:
        """A loop from 0 by 1; its primary induction is the machine's index, the others are added to at the end."""
        inductions = [i for i in inductions_of(op) if i in self.registers.live]
        scalars: _Scalars
        if has_primary(op):
            first = inductions.pop(0)
            scalars = (
                self._reg(first.result), self._operand(op.ub), self._operand(first.start), first.step.value.data,
            )  # fmt: skip
        else:
            scalars = (self._reg(op.body.block.args[0]), self._operand(op.ub))
        for induction in inductions:
            if induction.carried is None:
                self._emit("mov", (self._reg(induction.result), self._operand(induction.start)))
        self._emit("loop", scalars)
        self.block(op.body.block)
        for induction in inductions:
            if not is_carrier(induction):
                register = self._reg(source_of(induction.result))
                self._emit("add", (register, register, induction.step.value.data))
        self._emit("end_loop")

    def _if(self, op: scf.IfOp) -> None:
        self._emit("if", (self._operand(op.cond),))
        self.block(op.true_region.block)
        if op.false_region.blocks and len(op.false_region.block.ops) > 1:
            self._emit("else")
            self.block(op.false_region.block)
        self._emit("end_if")

    # ------------------------------------------------------------------ scalars
    def _ring_next(self, op: RingNextOp) -> None:
        counter, depth = self._reg(op.counter), op.depth.value.data
        if depth == 2:
            self._emit("xor", (counter, counter, 1))
            return
        self._emit("add", (counter, counter, 1))
        self._emit("rem", (counter, counter, depth))

    def _scalar(self, op: Operation) -> None:
        mnemonic = _ALU.get(type(op))
        if mnemonic is not None:
            a, b = op.operands
            self._emit(mnemonic, (self._reg(op.results[0]), self._operand(a), self._operand(b)))
            return
        match op:
            case BlockIdxOp():
                self._emit("block_idx", (self._reg(op.result),))
            case BlockNumOp():
                self._emit("block_num", (self._reg(op.result),))
            case CounterOp():
                self._emit("mov", (self._reg(op.result), op.start.value.data))
            case arith.CmpiOp():
                self._compare(op)
            case arith.SelectOp():
                self._select(op)
            case arith.CeilDivSIOp() | arith.CeilDivUIOp():
                result, a, b = self._reg(op.result), self._operand(op.lhs), self._operand(op.rhs)
                self._emit("add", (result, a, b))
                self._emit("sub", (result, result, 1))
                self._emit("div", (result, result, b))
            case arith.IndexCastOp() | arith.ExtUIOp() | arith.ExtSIOp() | arith.TruncIOp():
                pass
            case _:
                raise AscendError(
                    "E40013", f"no machine instruction for {op.name}", hint="only index arithmetic has one"
                )

    def _compare(self, op: arith.CmpiOp) -> None:
        mnemonic, swapped, inverted = _COMPARE[op.predicate.value.data]
        a, b = self._operand(op.lhs), self._operand(op.rhs)
        result = self._reg(op.result)
        self._emit(mnemonic, (result, b, a) if swapped else (result, a, b))
        if inverted:
            self._emit("xor", (result, result, 1))

    def _select(self, op: arith.SelectOp) -> None:
        """Constants: no - (no - yes) · condition; else the scalar unit's own if."""
        result, condition = self._reg(op.result), self._operand(op.cond)
        yes, no = self._operand(op.lhs), self._operand(op.rhs)
        if isinstance(yes, int) and isinstance(no, int):
            self._emit("mul", (result, condition, yes - no))
            if no:
                self._emit("add", (result, result, no))
            return
        self._emit("if", (condition,))
        self._emit("mov", (result, yes))
        self._emit("else")
        self._emit("mov", (result, no))
        self._emit("end_if")

    # ------------------------------------------------------------------ instructions
    def _instruction(self, op: InstructionOp) -> None:
        row = op.row
        named = values_of(op)
        addresses = (
            [self._address(base, offset) for base, offset in addresses_of(op)] if row.addresses else []
        )
        written = iter(op.results)  # of a load: the register that gets the value
        scalars = [
            self._reg(next(written)) if spec.register == "w" else self._operand(named[spec.name])
            for spec in row.scalars
        ]
        fields = {spec.name: self._operand(named[spec.name]) for spec in row.fields}
        body_op = op.attributes.get("body_op")
        number = body_op.value.data if isinstance(body_op, IntegerAttr) else None
        self.records.append(Record(row.mnemonic, op.dtype.data, addresses, scalars, fields, number))

    def _address(self, base: SSAValue, offset: Value) -> AddressOperand:
        immediate, registers = 0, list[int]()
        owner = base.owner
        if space_of(base) == "gm":
            registers.append(self._reg(base).number)
        elif isinstance(owner, AllocOp) and owner.address is not None:
            immediate = owner.address.value.data
        else:
            raise AscendError(
                "E40011",
                f"a {space_of(base)} buffer has no address",
                hint="run davinci-allocate-buffers first",
            )
        if isinstance(offset, int):
            immediate += offset
        else:
            constant, terms = _slot(offset)
            immediate += constant
            for term in terms:
                operand = self._operand(term)
                if isinstance(operand, int):
                    immediate += operand
                else:
                    registers.append(operand.number)
        if len(registers) > 2:
            raise AscendError(
                "E40014", "an address has too many terms", hint="run davinci-lower-addresses first"
            )
        first, second = (*registers, None, None)[:2]
        return AddressOperand(space_of(base), immediate, first, second)


def _slot(offset: SSAValue) -> tuple[int, list[SSAValue]]:
    """(constant, registers) of a lowered offset."""
    owner = offset.owner
    if not isinstance(owner, OffsetOp):
        return 0, [offset]
    constant, terms = terms_of(owner)
    if any(scale != 1 for _, scale in terms):
        raise AscendError("E40014", "an offset has a scaled term", hint="run davinci-lower-addresses first")
    return constant, [value for value, _ in terms]


def kernel_records(kernel: KernelOp) -> list[Record]:
    """The instructions of `kernel`, `end` last."""
    coder = _Coder(kernel, assign_registers(kernel))
    coder.block(kernel.body.block)
    coder.records.append(Record("end"))
    return coder.records


def encode_kernel(kernel: KernelOp) -> bytes:
    """The kernel image of `kernel`."""
    return encode_image(kernel_records(kernel), len(kernel.body.block.args))
