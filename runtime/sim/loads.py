"""Kernels whose control flow depends on data: run them once and keep what their scalar loads returned.

Timing and hazards follow the control flow of a kernel without computing anything.  Where loop bounds or
addresses come from memory they need the values; `recording_kernel` runs the function and lists them, block by
block, in the form that `time_task` and `check_task` take as `loads`.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import AscendError
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, State
from .executors import FunctionKernel, executor_name, executors_of, function_kernel
from .memory import Core
from .program import Program
from .translate import Translator, operands_text, value_text


def recording_kernel(program: Program, soc: Soc) -> tuple[FunctionKernel, list[list[int]]]:
    """A kernel for `device.run_blocks`, and the list to which each run of a block appends its loads."""
    if program.runs_together:
        raise AscendError(
            "E43102",
            "the scalar loads of a kernel whose cores work together cannot be recorded",
            hint="pass the values it reads (`loads`), stream by stream",
        )
    soc = soc.seen_by(program.core)
    loads: list[list[int]] = []
    executors = executors_of(program, soc)
    for record in program.records:
        if record.row.loads:
            name = executor_name(record)
            executors[name] = _recorded(executors[name], loads)
    function = Translator(_call).compile(program, executors)

    def run(core: Core, args: Ints, block: int, blocks: int, fuel: int) -> int:
        loads.append([])
        left: int = function(core, args, block, blocks, fuel)
        return left

    return replace(function_kernel(program, soc), run=run), loads


def _call(record: Decoded) -> list[str]:
    call = f"{executor_name(record)}(core, {operands_text(record)})"
    return [f"{value_text(record.scalars[0])} = {call}" if record.row.loads else call]


def _recorded(executor: Executor, loads: list[list[int]]) -> Executor:
    def load(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> int:
        value: int = executor(core, addresses, scalars, fields, state)
        loads[-1].append(value)
        return value

    return load
