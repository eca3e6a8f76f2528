"""What no kernel generator computes: found group by group, reported all at once, before anything is emitted.

`unsupported_groups` knows the limits that can be told from types alone. The rest (a tile that fits no buffer, a
stride that no DMA has) is found by the generator itself; `Refusals` turns its complaint into an entry with the
nodes of the model and goes on with the next group.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from xdsl.ir import Operation

from ..dialects import ascend, nn
from ..dialects.ascend import Engine
from ..passes.ai_cpu import kernel_of, reason_of
from ..passes.provenance import node_names
from ..runtime.aicpu.library import KERNELS as CPU_LIBRARY
from ..runtime.errors import AscendError, Refusal, UnsupportedOpError
from ..runtime.isa.table import TABLE

NO_KERNEL = "The AI Core must have a kernel for the operator"
ELEMENT_TYPE = "The AI Core computes in f16, f32, i32, i8, u8 and bool"
CUBE_TYPE = "The cube multiplies f16"
WINDOW = "load3d must be able to walk the windows of a convolution"
EXACT = "Powers and reductions of integers must be exact"

FLOATS = frozenset({"f16", "f32"})
VECTOR_TYPES = frozenset({"f16", "f32", "i32", "i64", "i8", "u8", "bool"})
_FOUND_BY_GENERATORS = ("E2003", "E4001", "E4002")
"""Prefixes of the codes with which generators and kernel passes say that something does not fit."""


def names_of(op: Operation) -> str:
    """The nodes of the model that an op stands for."""
    sources = op.source_names if isinstance(op, ascend.GroupOp) else tuple(node_names(op))
    return ", ".join(sources) or op.name


def refusal(op: Operation, requirement: str, actual: str) -> Refusal:
    """One entry of the report."""
    label = op.label.data if isinstance(op, ascend.GroupOp) else op.name
    return Refusal(names_of(op), label, requirement, actual)


def unsupported_groups(ops: Sequence[Operation]) -> list[Refusal]:
    """Groups that have no generator, or element types that theirs does not take."""
    found: list[Refusal] = []
    for op in ops:
        if isinstance(op, ascend.GroupOp):
            found += _check(op)
    return found


def _check(group: ascend.GroupOp) -> Iterator[Refusal]:
    inner = [
        op for op in group.body.block.ops if isinstance(op, nn.NNOp) and not isinstance(op, nn.ConstantOp)
    ]
    types = {nn.dtype_of(v) for op in inner for v in (*op.operands, *op.results)}
    text = f"{', '.join(dict.fromkeys(op.name.removeprefix('nn.') for op in inner))} on {', '.join(sorted(types))}"
    match group.engine_name:
        case Engine.CUBE:
            roots = [op for op in inner if isinstance(op, nn.ConvOp | nn.MatMulOp)]
            if any(nn.dtype_of(v) != "f16" for op in roots for v in op.operands[:2]):
                yield refusal(group, CUBE_TYPE, text)
            yield from (
                refusal(group, WINDOW, text)
                for op in roots
                if isinstance(op, nn.ConvOp) and (text := _beyond_load3d(op))
            )
        case Engine.VECTOR:
            powers = [op for op in inner if isinstance(op, nn.PowOp) and nn.dtype_of(op.output) not in FLOATS]
            sums = [op for op in inner if isinstance(op, nn.ReduceOp) and nn.dtype_of(op.input) not in FLOATS]
            if powers or sums:
                yield refusal(group, EXACT, text)
            elif types - VECTOR_TYPES:
                yield refusal(group, ELEMENT_TYPE, text)
        case Engine.ATTENTION | Engine.RECURRENCE:
            if types != {"f16"}:
                yield refusal(group, CUBE_TYPE, text)
        case Engine.SORT:
            return  # `sort_problem.refusal` says what it does not take
        case Engine.MOVE:
            if any(isinstance(op, nn.GatherOp) for op in inner):
                return  # `move_gather` says what it does not take
        case Engine.AICPU if len(inner) == 1 and reason_of(inner[0]) and kernel_of(inner[0]) in CPU_LIBRARY:
            return
        case _:
            yield refusal(group, NO_KERNEL, text)


def _beyond_load3d(conv: nn.ConvOp) -> str:
    """What of a convolution's windows has no place in the fields of load3d, empty if all has."""
    sizes = {
        "stride": nn.ints(conv.strides),
        "filter": nn.shape_of(conv.weight)[2:],
        "dilation": nn.ints(conv.dilations),
    }
    fields = {row.name: row for row in TABLE["load3d"].fields}
    for name, (height, width) in sizes.items():
        for limit, size in ((fields[f"{name}_h"], height), (fields[f"{name}_w"], width)):
            if not limit.low <= size <= limit.high:
                return f"{limit.name} is {size}, outside {limit.low} to {limit.high}"
    return ""


@dataclass
class Refusals:
    """Collects what generators cannot do."""

    items: list[Refusal] = field(default_factory=list[Refusal])

    @contextmanager
    def around(self, op: Operation, names: str = "") -> Generator[None]:
        """Runs a generator for one group."""
        try:
            yield
        except AscendError as error:
            if not error.code.startswith(_FOUND_BY_GENERATORS) or isinstance(error, UnsupportedOpError):
                raise
            self._add(op, names, error.message, error)
        except ValueError as error:  # how generators say no; any other kind of error is a bug and stays one
            self._add(op, names, str(error), error)

    def _add(self, op: Operation, names: str, actual: str, error: Exception) -> None:
        found = refusal(op, NO_KERNEL, actual)
        self.items.append(Refusal(names or found.node, found.op, found.requirement, found.actual))
        self.cause = error

    def raise_all(self) -> None:
        """Raises if there is any."""
        if self.items:
            raise UnsupportedOpError(self.items) from self.cause
