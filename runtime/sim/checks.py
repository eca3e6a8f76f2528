"""Checks that every executor makes: field ranges (registers may hold anything), alignment, buffer bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ..isa.model import BARRIER_SCOPES, PIPES, Field
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


def absent_operand(record: Decoded, soc: Soc) -> str:
    """The first operand in a memory that the core does not have, "" when there is none."""
    for address, place in zip(record.row.addresses, record.addresses, strict=True):
        if place.space != "gm" and place.space not in soc.core.buffers:
            return address.name
    return ""


def _field_reason(record: Decoded, soc: Soc, spec: Field, value: int) -> str:
    """Why this chip does not have a value of a field, "" when it does."""
    if value == spec.default or soc.core.supports(spec.intrinsic, record.dtype):
        return ""
    shown = spec.choices[value] if spec.choices else value
    return f"{soc.name} does not have {record.mnemonic} with {spec.name} = {shown}"


def chip_reason(record: Decoded, soc: Soc) -> str:
    """Why this chip does not have the instruction, "" when it does; asked once per kernel, before it runs."""
    core, row = soc.core, record.row
    which = f"{soc.name}'s {core.name.upper()} core" if soc.is_split else soc.name
    if soc.is_split and absent_operand(record, soc):  # the path says more than the name of the instruction
        spaces = " → ".join(dict.fromkeys(place.space for place in reversed(record.addresses)))
        return f"{which} has no path {spaces}: its memories are gm, {', '.join(core.buffers)}"
    if row.family == "cross" and not core.cross_core_flags:
        return f"{which} has no flags between cores"
    if not core.supports(row.intrinsic, record.dtype):
        return f"{which} does not have {row.mnemonic}{' for ' + record.dtype if record.dtype else ''}"
    if absent_operand(record, soc):
        return f"{which} has no such memory: it has gm, {', '.join(core.buffers)}"
    if row.pipe != "S" and row.pipe not in core.pipes:
        return f"{which} has no pipe {row.pipe}: its pipes are S, {', '.join(core.pipes)}"
    if record.mnemonic == "set_mask_count" and not core.has_counter_mode:
        return f"{which} has no counter mode"
    for spec, value in zip(row.fields, record.fields, strict=True):
        if not isinstance(value, int):
            continue
        if spec.intrinsic and (reason := _field_reason(record, soc, spec, value)):
            return f"{spec.name}: {reason}"
        if spec.name == "event" and value >= core.event_ids:
            return f"event {value}: {soc.name} has {core.event_ids} ids per pair of pipes"
        if is_pipe(spec) and (reason := pipe_reason(record, value, soc)):
            return f"{spec.name}: {reason}"
    return ""


def is_pipe(spec: Field) -> bool:
    """Whether a field names a pipe."""
    return spec.choices in (PIPES, BARRIER_SCOPES)


def pipe_reason(record: Decoded, value: int, soc: Soc) -> str:
    """Why the core cannot do what the instruction asks of pipe number `value` of its field."""
    choices = BARRIER_SCOPES if record.mnemonic == "pipe_barrier" else PIPES
    pipe = choices[value]
    if record.row.family == "cross" and pipe == "S":
        return "a flag for other cores is set behind work of a pipe, not of S"
    if pipe in ("S", "ALL", *soc.core.pipes):
        return ""
    which = f"{soc.name}'s {soc.core.name.upper()} core" if soc.is_split else soc.name
    return f"{which} has no pipe {pipe}: its pipes are S, {', '.join(soc.core.pipes)}"
