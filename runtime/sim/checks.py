"""Checks that every executor makes: field ranges (registers may hold anything), alignment, buffer bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ..isa.model import Field
from ..isa.record import Decoded
from ..soc import Soc
from .fault import SimulatorFault

if TYPE_CHECKING:
    from .memory import Core

Ints: TypeAlias = tuple[int, ...]
State: TypeAlias = tuple[Ints, ...]
Executor: TypeAlias = Callable[["Core", Ints, Ints, Ints, State], Any]
"""(core, addresses, scalars, fields, state groups): does one instruction.  State is passed, not looked up, so
that a caller may delay the call (the machine captures state at issue)."""


class Rules:
    """The rules for one instruction of a kernel on one chip."""

    def __init__(self, record: Decoded, soc: Soc) -> None:
        self.record = record
        self.soc = soc

    def fault(self, operand: str, rule: str) -> NoReturn:
        raise SimulatorFault(self.record, operand, rule)

    def check_fields(self, fields: Ints) -> None:
        """Every field must be in the range of its table row."""
        for spec, value in zip(self.record.row.fields, fields, strict=True):
            if not spec.low <= value <= spec.high:
                self.fault(spec.name, f"{value} is outside {spec.low}..{spec.high}")
            if spec.intrinsic and (reason := _field_reason(self.record, self.soc, spec, value)):
                self.fault(spec.name, reason)

    def values(self, fields: Ints, state: State = ()) -> dict[str, int]:
        """Checked fields and state values by name."""
        self.check_fields(fields)
        from ..isa.table import state_fields

        named = {spec.name: value for spec, value in zip(self.record.row.fields, fields, strict=True)}
        flat = [value for group in state for value in group]
        named |= {spec.name: value for spec, value in zip(state_fields(self.record.row), flat, strict=True)}
        return named

    def check_range(self, operand: int, address: int, extent: int, align: int = 32) -> None:
        """On-chip operand number `operand` touches [address, address + extent)."""
        space = self.record.addresses[operand].space
        name = self.record.row.addresses[operand].name
        if address % align:
            self.fault(name, f"{space} address {address:#x} is not {align}-byte aligned")
        size = self.soc.core.buffers[space].size
        if address < 0 or address + extent > size:
            self.fault(
                name, f"bytes {address:#x}..{address + extent:#x} are outside {space} ({size:#x} bytes)"
            )


def _field_reason(record: Decoded, soc: Soc, spec: Field, value: int) -> str:
    """Why this chip does not have a value of a field, "" when it does."""
    if value == spec.default or soc.core.supports(spec.intrinsic, record.dtype):
        return ""
    shown = spec.choices[value] if spec.choices else value
    return f"{soc.name} does not have {record.mnemonic} with {spec.name} = {shown}"


def chip_reason(record: Decoded, soc: Soc) -> str:
    """Why this chip does not have the instruction, "" when it does; asked once per kernel, before it runs."""
    core = soc.core
    row = record.row
    if not core.supports(row.intrinsic, record.dtype):
        return f"{soc.name} does not have {row.mnemonic}{' for ' + record.dtype if record.dtype else ''}"
    if record.mnemonic == "set_mask_count" and not core.has_counter_mode:
        return f"{soc.name} has no counter mode"
    for spec, value in zip(row.fields, record.fields, strict=True):
        if spec.intrinsic and isinstance(value, int) and (reason := _field_reason(record, soc, spec, value)):
            return f"{spec.name}: {reason}"
        if spec.name == "event" and isinstance(value, int) and value >= core.event_ids:
            return f"event {value}: {soc.name} has {core.event_ids} ids per pair of pipes"
    return ""
