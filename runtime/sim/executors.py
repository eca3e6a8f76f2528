"""Which executor does which instruction, and the function translation of a whole kernel.

A kernel becomes one Python function whose lines call executors: `x64(core, addresses, scalars, fields,
state)`. Flags and barriers have no effect on values (effects apply in program order, decision D21), so
they leave no line unless an event id comes from a register and must be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..isa.record import Decoded, Reg
from ..soc import Soc
from .checks import (
    Executor,
    Ints,
    Rules,
    State,
    absent_operand,
    chip_reason,
    is_pipe,
    pipe_reason,
)
from .cross import make_cross
from .cube import make_mad
from .fault import SimulatorFault
from .fixpipe import make_fixpipe
from .img2col import make_load3d, make_load3dv1
from .memory import Core
from .move import make_copy, make_l0c_copy, make_load2d, make_load_scalar, make_set_2d, make_store_scalar
from .program import Program, load_program
from .readback import make_readback
from .rearrange import make_compress, make_interpolation, make_padding, make_turn
from .scatter import make_scatter, make_scatter_transpose
from .sort import make_sort
from .split_move import make_align, make_fill, make_nd2nz, make_squares, make_table
from .split_vector import make_split_vector
from .translate import Translator, operands_text, value_text
from .vector import make_elementwise, make_shift_right
from .vector_more import make_compare, make_gather, make_ramp, make_reduce, make_select, make_transpose

Maker = Callable[[Decoded, Soc], Executor]

_BY_FAMILY: dict[str, Maker] = {
    "dma": make_copy,
    "l0c": make_l0c_copy,
    "cube": make_mad,
    "vector_binary": make_elementwise,
    "vector_unary": make_elementwise,
    "vector_scalar": make_elementwise,
    "vector_dup": make_elementwise,
    "vector_conv": make_elementwise,
    "vector_reduce": make_reduce,
    "vector_compare": make_compare,
    "vector_select": make_select,
    "vector_padding": make_padding,
    "vector_scatter": make_scatter,
    "vector_transpose": make_transpose,
    "vector_gather": make_gather,
    "vector_sort": make_sort,
    "cross": make_cross,
    "nd2nz": make_nd2nz,
    "align": make_align,
    "table": make_table,
    "squares": make_squares,
    "fill": make_fill,
    "fixpipe": make_fixpipe,
    "vector_split": make_split_vector,
}
_BY_NAME: dict[str, Maker] = {
    "load2d": make_load2d,
    "load2d_gm": make_load2d,
    "load3d": make_load3d,
    "load3dv1": make_load3dv1,
    "set_2d": make_set_2d,
    "vci": make_ramp,
    "vshr": make_shift_right,
    "vreduce": make_compress,
    "vreducev": make_compress,
    "v4dtrans": make_turn,
    "vbi": make_interpolation,
    "scatter_vnchwconv": make_scatter_transpose,
    "get_rsvd_cnt": make_readback,
    "get_max_min_cnt": make_readback,
    "get_vms4_sr": make_readback,
    "load_scalar": make_load_scalar,
    "store_scalar": make_store_scalar,
}


def make_executor(record: Decoded, soc: Soc) -> Executor:
    """The function that does `record`: call it with (core, addresses, scalars, fields, state)."""
    if record.row.family == "sync":
        return _make_event_check(record, soc)
    return (_BY_NAME.get(record.mnemonic) or _BY_FAMILY[record.row.family])(record, soc)


def _make_event_check(record: Decoded, soc: Soc) -> Executor:
    rules = Rules(record, soc)

    def check(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        rules.check_fields(fields)
        for spec, value in zip(record.row.fields, fields, strict=True):
            if is_pipe(spec) and (reason := pipe_reason(record, value, soc)):
                rules.fault(spec.name, reason)
        if len(fields) == 3 and fields[2] >= soc.core.event_ids:
            rules.fault("event", f"{fields[2]}: {soc.name} has {soc.core.event_ids} ids per pair of pipes")

    return check


@dataclass(frozen=True)
class FunctionKernel:
    """A kernel ready to run: `run(core, args, block_idx, block_num, fuel)` returns the fuel that is left.

    Of a mixed kernel it is the program of the cube core; `partner` is that of its vector cores, which is also told
    its place among them (`run(…, fuel, sub_block_idx)`).
    """

    program: Program
    run: Callable[..., int]
    accumulates: bool  # adds to device memory, which several processes must not do at once
    partner: FunctionKernel | None = None


def executor_name(record: Decoded) -> str:
    """The name of a record's executor in translated kernels."""
    return f"x{record.address}"


def executors_of(program: Program, soc: Soc) -> dict[str, Executor]:
    """Executors by `executor_name`; a fault when the chip lacks an instruction."""
    found: dict[str, Executor] = {}
    for record in program.records:
        if reason := chip_reason(record, soc):
            raise SimulatorFault(record, absent_operand(record, soc), reason)
        if record.row.family in ("control", "state"):
            continue
        if record.row.family == "scalar" and not record.row.touches_data:
            continue
        found[executor_name(record)] = make_executor(record, soc)
    return found


def call_text(record: Decoded, event_ids: int) -> str:
    """The line that executes `record` in a translated kernel; empty when it has no effect on values."""
    if record.mnemonic == "wait_flag_dev":
        return f"while (held := {executor_name(record)}(core, {operands_text(record)})): yield held"
    if record.row.family == "sync" and not any(isinstance(value, Reg) for value in record.fields):
        return ""
    call = f"{executor_name(record)}(core, {operands_text(record)})"
    if record.row.family == "sync":
        event = record.fields[-1]
        others = any(isinstance(value, Reg) for value in record.fields[:-1])
        if len(record.fields) == 3 and isinstance(event, Reg) and not others:
            return f"if not 0 <= {value_text(event)} < {event_ids}: {call}"  # the call is what faults
        return call
    return f"{value_text(record.scalars[0])} = {call}" if record.row.loads else call


def accumulates(program: Program) -> bool:
    """Whether the kernel switches atomic accumulation on."""
    return any(record.mnemonic == "set_atomic" and record.fields[0] != 0 for record in program.records)


_CACHE: dict[tuple[str, str], FunctionKernel] = {}


def function_kernel(image: bytes | Program, soc: Soc) -> FunctionKernel:
    """The translated kernel, once per image and chip."""
    program = image if isinstance(image, Program) else load_program(image)
    key = (program.digest, soc.name)
    found = _CACHE.get(key)
    if found is None:
        partner = None if program.partner is None else function_kernel(program.partner, soc)
        soc = soc.seen_by(program.core)
        namespace: dict[str, Any] = dict(executors_of(program, soc))
        run = Translator(
            lambda record: [line for line in (call_text(record, soc.core.event_ids),) if line]
        ).compile(program, namespace)
        found = _CACHE[key] = FunctionKernel(program, run, accumulates(program), partner)
    return found
