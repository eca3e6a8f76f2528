"""Pass plan-memory: an address for every tensor of the feature-map region, dead tensors' bytes used again.

A launch reads and writes tensors at fixed offsets from the region's base.  Views (decision D11) have no bytes
of their own: a view or slice lies inside its source, the operands of a `concat_view` lie inside its result.
What is left, the *roots*, live from the task that writes them to the last task that reads any of their
aliases; two roots whose lives do not overlap may share bytes.  A model input lives from the start to its last reader:
the session copies the caller's array there before every run.  A model output lives until the end.  Every root starts at a
multiple of 512 and has
32 spare bytes behind it (D8). In a module with `ascend.tensors_apart` (see attach-target) no bytes are used twice.

before
    %y = davinci.launch @relu_1(%x) workspace [] from ["relu"] : …
after
    %y = davinci.launch @relu_1(%x) workspace [] from ["relu"] {offsets = array<i64: 512>, workspace_offsets =
    array<i64>} : … and on the function: argument_offsets, memory_size
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import ascend, davinci, nn
from .attach_target import APART

ALIGNMENT = 512
SPARE = 32


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: inside which root, at which byte."""

    root: SSAValue
    offset: int


@dataclass
class _Root:
    size: int
    first: int
    last: int
    offset: int = -1


@dataclass
class Aliases:
    """Which tensors share bytes in one function."""

    function: FuncOp
    _inside: dict[SSAValue, Place] = field(default_factory=dict[SSAValue, Place])

    def __post_init__(self) -> None:
        for op in self.function.body.block.ops:
            if isinstance(op, ascend.ViewOp):
                self._inside[op.result] = Place(op.source, 0)
            elif isinstance(op, ascend.SliceViewOp):
                self._inside[op.result] = Place(op.source, op.byte_offset)
            elif isinstance(op, ascend.ConcatViewOp):
                for piece, offset in zip(op.pieces, op.byte_offsets, strict=True):
                    owner = self.place(piece)
                    self._inside[owner.root] = Place(op.result, offset - owner.offset)

    def place(self, value: SSAValue) -> Place:
        """Root and byte offset of a tensor."""
        offset = 0
        while value in self._inside:
            step = self._inside[value]
            value, offset = step.root, offset + step.offset
        return Place(value, offset)


def is_constant(value: SSAValue) -> bool:
    return isinstance(value.owner, nn.ConstantOp)


class MemoryPlan:
    """Offsets of all roots and workspaces of one function."""

    def __init__(self, function: FuncOp) -> None:
        self.function = function
        self.aliases = Aliases(function)
        self._roots: dict[SSAValue, _Root] = {}
        self._workspaces: dict[Operation, list[_Root]] = {}
        self._collect()
        roots = [*self._roots.values(), *(w for ws in self._workspaces.values() for w in ws)]
        module = function.parent_op()
        if module is not None and APART in module.attributes:
            for root in roots:  # all live at all times
                root.first, root.last = 0, len(list(function.body.block.ops)) + 1
        self.memory_size = _assign(roots)

    def offset(self, value: SSAValue) -> int:
        """Byte offset of a tensor in the feature-map region."""
        place = self.aliases.place(value)
        return self._roots[place.root].offset + place.offset

    def workspace_offsets(self, launch: davinci.LaunchOp) -> list[int]:
        return [root.offset for root in self._workspaces.get(launch, [])]

    def _collect(self) -> None:
        block = self.function.body.block
        end = len(list(block.ops)) + 1
        for argument in block.args:
            self._roots[argument] = _Root(_bytes(argument), 0, 0)
        for time, op in enumerate(block.ops, start=1):
            if isinstance(op, davinci.LaunchOp | davinci.LaunchAicpuOp):
                for result in op.outputs:
                    self._touch(result, time)
            if isinstance(op, davinci.LaunchOp):
                sizes = [int(size) for size in op.workspace.get_values()]
                self._workspaces[op] = [_Root(size, time, time) for size in sizes]
            if isinstance(op, ascend.CopyOp):
                self._touch(op.result, time)
            if isinstance(op, davinci.LaunchOp | davinci.LaunchAicpuOp | ascend.CopyOp | ReturnOp):
                for operand in op.operands:
                    self._touch(operand, end if isinstance(op, ReturnOp) else time)

    def _touch(self, value: SSAValue, time: int) -> None:
        root = self.aliases.place(value).root
        if is_constant(root):
            return
        found = self._roots.get(root)
        if found is None:
            self._roots[root] = _Root(_bytes(root), time, time)
        else:
            found.first, found.last = min(found.first, time), max(found.last, time)


def _bytes(value: SSAValue) -> int:
    return ascend.bytes_of(value)


def _assign(roots: list[_Root]) -> int:
    """First fit, largest first; returns the size of the region."""
    placed: list[_Root] = []
    for root in sorted(roots, key=lambda r: (-r.size, r.first, r.last)):
        size = _aligned(root)
        offset = 0
        for other in sorted(
            (p for p in placed if p.first <= root.last and root.first <= p.last), key=lambda p: p.offset
        ):
            if offset + size <= other.offset:
                break
            offset = max(offset, other.offset + _aligned(other))
        root.offset = offset
        placed.append(root)
    return max((root.offset + _aligned(root) for root in placed), default=0)


def _aligned(root: _Root) -> int:
    return -(-(root.size + SPARE) // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class PlanMemoryPass(ModulePass):
    """See the module docstring."""

    name = "plan-memory"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in [f for f in op.body.block.ops if isinstance(f, FuncOp)]:
            plan = MemoryPlan(function)
            function.attributes["argument_offsets"] = _array(
                [plan.offset(a) for a in function.body.block.args]
            )
            function.attributes["memory_size"] = IntegerAttr(plan.memory_size, i64)
            for launch in function.body.block.ops:
                if isinstance(launch, davinci.LaunchOp):
                    launch.attributes["offsets"] = _array([plan.offset(v) for v in launch.outputs])
                    launch.attributes["workspace_offsets"] = _array(plan.workspace_offsets(launch))
                elif isinstance(launch, davinci.LaunchAicpuOp):
                    launch.attributes["offsets"] = _array([plan.offset(v) for v in launch.outputs])


def _array(values: list[int]) -> DenseArrayBase:
    return DenseArrayBase.from_list(i64, values)
