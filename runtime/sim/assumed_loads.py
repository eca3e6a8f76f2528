"""What scalar loads return where a kernel is followed without its data: for cycles and for hazards.

Control flow, counts and operands other than addresses must not come from memory then; a kernel in which they do
needs the values of a run (`loads.py`).  A gather is different: what it loads is only ever part of an address.  Its
n-th load in block b of B is taken to be the number n·B + b: each index names a row of its own, so no row is found in
L2 because another index named it before.  That is the dearest case, it is the same in every mode, and it does
not depend on what the memory happens to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from ..errors import AscendError
from ..isa.record import Decoded, Operand, Reg
from .program import If, Loop, Node, Program


def steered_by_data(program: Program) -> bool:
    """Whether a loaded scalar reaches more than addresses: a loop, a condition, or an operand of an instruction."""
    try:
        _follow(program.body, frozenset())
    except _SteeredError:
        return True
    return False


class _SteeredError(Exception):
    """A value of the data decides."""


def _follow(nodes: Sequence[Node], tainted: frozenset[int]) -> frozenset[int]:
    """The registers behind `nodes` that hold what depends on data; before them it is those of `tainted`."""
    for node in nodes:
        match node:
            case Loop():
                _refuse((node.trip, node.start, node.step), tainted)
                while (around := tainted | _follow(node.body, tainted - {node.index})) != tainted:
                    tainted = around
                tainted -= {node.index}
            case If():
                _refuse((node.condition,), tainted)
                tainted = _follow(node.then, tainted) | _follow(node.otherwise, tainted)
            case Decoded():
                tainted = _step(node, tainted)
    return tainted


def _step(record: Decoded, tainted: frozenset[int]) -> frozenset[int]:
    pairs = list(zip(record.row.scalars, record.scalars, strict=True))
    reads = [value for spec, value in pairs if spec.register != "w"]
    follows = record.row.family == "scalar" and not record.row.addresses  # arithmetic
    if not follows:
        _refuse((*reads, *record.fields), tainted)
    depends = record.row.loads or (follows and _depends(reads, tainted))
    for spec, value in pairs:
        if "w" in spec.register and isinstance(value, Reg):
            tainted = tainted | {value.number} if depends else tainted - {value.number}
    return tainted


def _depends(values: Sequence[Operand], tainted: frozenset[int]) -> bool:
    return any(isinstance(value, Reg) and value.number in tainted for value in values)


def _refuse(values: Sequence[Operand], tainted: frozenset[int]) -> None:
    if _depends(values, tainted):
        raise _SteeredError


def loaded_values(
    program: Program, block: int, blocks: int, loads: Sequence[int] | None, what: str
) -> Callable[[], int]:
    """Gives the values of a block's scalar loads one after the other.

    Args:
        loads: the values of a run; None: those that are assumed.
        what: of the kernel, that depends on data when they cannot be assumed ("time", "order").
    """
    if loads is not None:
        return iter(loads).__next__
    if not program.reads_data:
        return refused(what)  # never asked
    known = _STEERED.get(program.digest)
    if known is None:
        known = steered_by_data(program)
        if program.digest:
            _STEERED[program.digest] = known
    return refused(what) if known else count(block, blocks).__next__


_STEERED: dict[str, bool] = {}


def refused(what: str) -> Callable[[], int]:
    """Stands where the values of a run are needed and not given."""

    def missing() -> int:
        raise AscendError(
            "E43102",
            f"the kernel reads scalars from memory, so its {what} depends on data",
            hint="run it with function, or pass the values it read (`loads`)",
        )

    return missing
