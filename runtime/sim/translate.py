"""Kernel → Python: loops, ifs and scalar arithmetic are the same for function, timing and hazards.

`Translator` writes one Python function per kernel: `for r4 in range(r7):` for a loop, `r5 = r3 + 16` for
a scalar instruction, and whatever lines the caller's `emit` returns for every other instruction. The text
consists of this module's words, of `emit`'s, and of integers that the decoder validated: no string of the
file gets into it. Registers wrap like 64-bit two's complement; a fuel counter bounds every run.

Special registers are local tuples (`s_mask = (hi, lo)`, `s_fmatrix = (w, h, …)`, names in `STATE_NAMES`),
so an instruction captures its state at issue by naming them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isqrt
from typing import Any, TypeAlias

from ..isa.model import Instruction
from ..isa.record import AddressOperand, Decoded, Operand, Reg
from ..isa.table import STATE_GROUPS
from . import scalar_floats
from .fault import SimulatorFault
from .program import If, Loop, Node, Program

Emit: TypeAlias = Callable[[Decoded], Sequence[str]]

STATE_NAMES: dict[str, str] = {name: f"s_{name}" for name in STATE_GROUPS}
_SETTERS = {group.setter: name for name, group in STATE_GROUPS.items()}
DEFAULT_FUEL = 200_000_000  # instructions per block

_BINARY = {
    "add": "{a} + {b}",
    "sub": "{a} - {b}",
    "mul": "{a} * {b}",
    "div": "{a} // {b} if {b} else 0",
    "rem": "{a} % {b} if {b} else 0",
    "min": "{a} if {a} < {b} else {b}",
    "max": "{a} if {a} > {b} else {b}",
    "and": "{a} & {b}",
    "or": "{a} | {b}",
    "xor": "{a} ^ {b}",
    "shl": "{a} << ({b} & 63)",
    "shr": "{a} >> ({b} & 63)",
    "lt": "1 if {a} < {b} else 0",
    "eq": "1 if {a} == {b} else 0",
}
_UNARY = {
    "abs": "abs({a})",
    "sqrt": "isqrt({a}) if {a} > 0 else 0",
    "bcnt0": "64 - ({a} & MASK).bit_count()",
    "bcnt1": "({a} & MASK).bit_count()",
    "clz": "64 - ({a} & MASK).bit_length()",
}
_FLOAT = {name: f"{name}({{a}}, {{b}})" for name in ("fmax", "fmin")} | {
    name: f"{name}({{a}})" for name in ("fabs", "fsqrt")
}
_MAY_OVERFLOW = frozenset(("add", "sub", "mul", "div", "shl", "abs"))


class OutOfFuelError(SimulatorFault):
    """The kernel executed more instructions than a run may."""

    def __init__(self) -> None:
        super().__init__(None, "", f"more than {DEFAULT_FUEL} instructions in one block: an endless loop?")


def wrap(value: int) -> int:
    """`value` as a 64-bit two's complement number."""
    return (value + (1 << 63) & (1 << 64) - 1) - (1 << 63)


def value_text(operand: Operand) -> str:
    """A scalar or field operand as a Python expression."""
    return (
        f"r{operand.number}" if isinstance(operand, Reg) else f"({operand})" if operand < 0 else str(operand)
    )


def address_text(operand: AddressOperand) -> str:
    """The byte address of an operand as a Python expression."""
    parts = [f"r{register}" for register in (operand.base, operand.idx) if register is not None]
    if operand.offset or not parts:
        parts.append(value_text(operand.offset))
    return " + ".join(parts)


def tuple_text(parts: Sequence[str]) -> str:
    """Python text of a tuple of expressions."""
    return f"({', '.join(parts)},)" if parts else "()"


def state_text(row: Instruction) -> str:
    """The special registers that `row` reads, as a tuple of tuples in the row's order."""
    return tuple_text([STATE_NAMES[name] for name in row.state])


def operands_text(record: Decoded) -> str:
    """`addresses, scalars, fields, state`: four tuples, the arguments of every executor."""
    fields = tuple_text([value_text(field) for field in record.fields])
    scalars = tuple_text([value_text(scalar) for scalar in record.scalars if not record.row.loads])
    addresses = tuple_text([address_text(address) for address in record.addresses])
    return f"{addresses}, {scalars}, {fields}, {state_text(record.row)}"


def loop_values(trip: int, start: int, step: int) -> Iterable[int]:
    """The values of a loop's index register: `start`, `start + step`, …, as 64-bit numbers."""
    last = start + max(0, trip - 1) * step
    if step and -(1 << 63) <= last < 1 << 63:
        return range(start, start + max(0, trip) * step, step)
    return (wrap(start + i * step) for i in range(trip))


def _counts(loop: Loop) -> str:
    """The iterable of a loop, as text."""
    if (loop.start, loop.step) == (0, 1):
        return f"range({value_text(loop.trip)})"
    return f"loop_values({value_text(loop.trip)}, {value_text(loop.start)}, {value_text(loop.step)})"


def check_state(record: Decoded, values: tuple[int, ...]) -> tuple[int, ...]:
    """`values` for a special register when they are in range; registers may hold anything."""
    for spec, value in zip(STATE_GROUPS[_SETTERS[record.mnemonic]].fields, values, strict=True):
        if not spec.low <= value <= spec.high:
            raise SimulatorFault(record, spec.name, f"{value} is outside {spec.low}..{spec.high}")
    return values


_NAMES: dict[str, Any] = {
    "loop_values": loop_values,
    **{name: getattr(scalar_floats, name) for name in _FLOAT},
    "wrap": wrap,
    "isqrt": isqrt,
    "MASK": (1 << 64) - 1,
    "LOWEST": -(1 << 63),
    "HIGHEST": (1 << 63) - 1,
    "check_state": check_state,
    "OutOfFuelError": OutOfFuelError,
}


class Translator:
    """Writes the Python function of a kernel.

    `emit(record)` gives the lines of every instruction that is not control flow, scalar arithmetic or a
    special register: memory traffic, cube, vector, sync, and scalar loads (whose lines must assign the
    register) and stores.  `scalar(record)` gives extra lines in front of each scalar or `set_*` instruction,
    and once per iteration of a loop and evaluation of an `if` or `break_if` (timing counts dispatch there).
    The function's parameters are `parameters`, of which `args` (signed 64-bit words), `block_idx`,
    `block_num` and `fuel` are used.  Lines may hold `yield`.  `frame()`, asked when all lines of the body are known, gives the
    lines in front of and behind the body; without it the function returns the fuel left.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        scalar: Emit | None = None,
        parameters: str = "core, args, block_idx, block_num, fuel",
        frame: Callable[[], tuple[Sequence[str], Sequence[str]]] = lambda: ((), ("return fuel",)),
    ) -> None:
        self._emit = emit
        self._scalar = scalar
        self._parameters = parameters
        self._frame = frame
        self._constants: dict[str, Any] = {}

    def source(self, program: Program, name: str = "kernel") -> str:
        """The text of the function."""
        used = {number for record in program.records for number in _registers(record)}
        lines = [f"def {name}({self._parameters}, sub_block_idx=0):"]
        if used:
            lines.append(f"    {' = '.join(f'r{number}' for number in sorted(used))} = 0")
        for group in STATE_GROUPS.values():
            values = tuple_text([str(field.default) for field in group.fields])
            lines.append(f"    {STATE_NAMES[group.name]} = {values}")
        body = [f"    {line}" for line in self._body(program.body)]
        before, behind = self._frame()
        lines += [f"    {line}" for line in before]
        lines += body
        lines += [f"    {line}" for line in behind]
        return "\n".join(lines) + "\n"

    def compile(
        self, program: Program, namespace: Mapping[str, Any], name: str = "kernel"
    ) -> Callable[..., Any]:
        """The function itself.  `namespace` holds what `emit`'s lines name."""
        names = dict(_NAMES)
        text = self.source(program, name)
        names |= self._constants
        names |= namespace
        exec(compile(text, f"<kernel {program.digest[:12]}>", "exec"), names)
        return names[name]

    def _body(self, nodes: tuple[Node, ...]) -> Iterator[str]:
        empty = True
        for node in nodes:
            lines = self._node(node)
            for line in lines:
                empty = False
                yield line
        if empty:
            yield "pass"

    def _node(self, node: Node) -> Iterator[str]:
        if isinstance(node, Loop):
            yield f"for r{node.index} in {_counts(node)}:"
            yield f"    fuel -= {1 + len(node.body)}"
            yield "    if fuel < 0: raise OutOfFuelError()"
            for line in (*self._dispatch(node.record), *self._body(node.body)):
                yield f"    {line}"
        elif isinstance(node, If):
            yield from self._dispatch(node.record)
            yield f"if {value_text(node.condition)}:"
            for line in self._body(node.then):
                yield f"    {line}"
            if node.otherwise:
                yield "else:"
                for line in self._body(node.otherwise):
                    yield f"    {line}"
        elif node.mnemonic == "break_if":
            yield from self._dispatch(node)
            yield f"if {value_text(node.scalars[0])}: break"
        else:
            yield from self._instruction(node)

    def _dispatch(self, record: Decoded) -> Sequence[str]:
        return self._scalar(record) if self._scalar is not None else ()

    def _instruction(self, record: Decoded) -> Iterator[str]:
        if record.row.touches_data or record.row.family not in ("scalar", "state"):
            yield from self._emit(record)
            return
        yield from self._dispatch(record)
        if record.row.family == "state":
            yield from self._set_state(record)
        else:
            yield from _arithmetic(record)

    def _set_state(self, record: Decoded) -> Iterator[str]:
        group = _SETTERS[record.mnemonic]
        operands = (*record.scalars, *record.fields)
        values = tuple_text([value_text(operand) for operand in operands])
        specs = STATE_GROUPS[group].fields
        legal = all(
            isinstance(operand, int) and spec.low <= operand <= spec.high
            for operand, spec in zip(operands, specs, strict=True)
        )
        if legal:
            yield f"{STATE_NAMES[group]} = {values}"
            return
        name = f"record_{record.address}"
        self._constants[name] = record
        yield f"{STATE_NAMES[group]} = check_state({name}, {values})"


def _arithmetic(record: Decoded) -> Iterator[str]:
    target = value_text(record.scalars[0])
    match record.mnemonic:
        case "mov":
            yield f"{target} = {value_text(record.scalars[1])}"
        case "block_idx" | "block_num" | "sub_block_idx":
            yield f"{target} = {record.mnemonic}"
        case "arg":
            number = value_text(record.fields[0])
            yield f"{target} = args[{number}] if 0 <= {number} < len(args) else 0"
        case name:
            operands = [value_text(operand) for operand in record.scalars[1:]]
            form = next(forms[name] for forms in (_UNARY, _BINARY, _FLOAT) if name in forms)
            yield f"{target} = {form.format(**dict(zip('ab', operands, strict=False)))}"
            if name in _MAY_OVERFLOW:
                yield f"if not LOWEST <= {target} <= HIGHEST: {target} = wrap({target})"


def _registers(record: Decoded) -> Iterator[int]:
    for operand in (*record.scalars, *record.fields):
        if isinstance(operand, Reg):
            yield operand.number
    for address in record.addresses:
        for register in (address.base, address.idx):
            if register is not None:
                yield register
