"""Pass nn-fuse-groups."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from .ai_cpu import reason_of
from .grouping import CubeGrowth, Members, VectorGrowth, is_scalar_constant, is_wide_conv, picture_cast
from .provenance import location_of, node_names
from .rewriting import main_block, remove_dead

LOG = logging.getLogger(__name__)

ALIASES = (nn.ReshapeOp, nn.SliceOp, nn.ConcatOp)
"""Not grouped: layout assignment decides whether they are views or kernels."""
CUBE_ROOTS = (nn.ConvOp, nn.MatMulOp)
_LABELS = {"ConvOp": "Conv", "MatMulOp": "MatMul", "ReduceOp": "Reduce"}
_MAX_LABEL_OPS = 4


@dataclass(frozen=True)
class NNFuseGroupsPass(ModulePass):
    """Decide what is computed in one kernel: every op but constants, reshape, slice and concat goes into one
    `nn.group`.

    before  %0 = nn.conv %x, %w … ; %1 = nn.add %0, %r ; %2 = nn.relu %1
    after   %2 = nn.group "ConvAddRelu" (%x, %w, %r) from [...] { ^0(%a, %k, %c): nn.conv ; nn.add ; nn.relu ;
    nn.yield } : …

    Cube groups: a convolution or matmul with the elementwise ops behind it, as long as the group has one
    result and every further operand has the result's shape or is a constant per channel. Vector groups:
    elementwise ops and reductions on one iteration space, grown backwards while all users of a value are
    inside; a window pool may be the first op. Everything else stands alone. A refusal has a reason code,
    logged, and kept in the group's attribute `refused` with the option `explain`.
    """

    name = "nn-fuse-groups"

    explain: bool = False
    """Keep refusals as an attribute of the groups."""
    fuse: bool = True
    """False: one op per group."""
    cube: bool = True
    """False: nothing joins a convolution or a matmul."""
    vector: bool = True
    """False: elementwise ops and reductions stand alone."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        Fuser(main_block(op), self.explain, self.fuse and self.cube, self.fuse and self.vector).run()


@dataclass
class Fuser:
    """Groups of one block. `group_of` maps each grouped op to its members."""

    block: Block
    explain: bool
    fuse_cube: bool
    fuse_vector: bool
    group_of: dict[Operation, Members] = field(default_factory=dict[Operation, Members])
    groups: list[Members] = field(default_factory=list[Members])

    def run(self) -> None:
        ops = [op for op in self.block.ops if isinstance(op, nn.NNOp)]
        self.order = {op: i for i, op in enumerate(self.block.ops)}
        for op in reversed(
            ops
        ):  # the last convolution before a residual addition takes it: its operand is freshest
            if isinstance(op, CUBE_ROOTS) and reason_of(op) is None:
                self._cube(op)
        for op in reversed(ops):
            if op not in self.group_of and not isinstance(op, ALIASES):
                self._vector_or_alone(op)
        for members in self.groups:
            self._build(members)
        remove_dead(self.block)

    def _cube(self, root: Operation) -> None:
        if root in self.group_of:
            return
        members = Members([root], "cube")
        if self.fuse_cube or is_wide_conv(root):
            CubeGrowth(members, self.order, self.group_of).grow()
            picture = picture_cast(root)
            if picture is not None:
                members.ops.insert(0, picture)
        self._add(members)

    def _vector_or_alone(self, op: Operation) -> None:
        if self.fuse_vector and VectorGrowth.accepts(op):
            home = VectorGrowth.home(op, self.group_of)
            if isinstance(home, Members):
                home.ops.insert(0, op)
                self.group_of[op] = home
                return
            members = Members([op], "vector")
            if home:
                members.refused.append(f"{op.name}: {home}")
            self._add(members)
            return
        self._add(Members([op], "alone"))

    def _add(self, members: Members) -> None:
        self.groups.append(members)
        for op in members.ops:
            self.group_of[op] = members
        for reason in members.refused:
            LOG.debug("not fused: %s", reason)

    def _build(self, members: Members) -> None:
        """Replace the member ops by a group at the place of the last one."""
        ops = sorted(members.ops, key=self.order.__getitem__)
        last = ops[-1]
        inside = {r for op in ops for r in op.results}
        inputs = list(
            dict.fromkeys(
                v
                for op in ops
                for v in op.operands
                if v not in inside and (_takes_numbers(op) or not is_scalar_constant(v))
            )
        )
        block = Block(arg_types=[v.type for v in inputs])
        mapping: dict[SSAValue, SSAValue] = dict(zip(inputs, block.args, strict=True))
        for value, arg in zip(inputs, block.args, strict=True):
            arg.name_hint = value.name_hint
        _copy_body(ops, mapping, block)
        block.add_op(nn.YieldOp(mapping[last.results[0]]))
        names = list(dict.fromkeys(n for op in ops for n in node_names(op)))
        group = nn.GroupOp(label_of(ops), inputs, [last.results[0].type], Region(block), names)
        group.location = location_of(names)
        if self.explain and members.refused:
            group.attributes["refused"] = ArrayAttr([StringAttr(r) for r in members.refused])
        self.block.insert_op_after(group, last)
        group.results[0].name_hint = last.results[0].name_hint
        last.results[0].replace_all_uses_with(group.results[0])
        for op in reversed(ops):
            op.detach()
            op.erase()


def _takes_numbers(op: Operation) -> bool:
    """Whether one number is an operand in memory and not part of the kernel."""
    return isinstance(op, CUBE_ROOTS) or reason_of(op) is not None


def _copy_body(ops: Sequence[Operation], mapping: dict[SSAValue, SSAValue], block: Block) -> None:
    for op in ops:
        for value in op.operands:
            if value in mapping:
                continue
            scalar = value.owner
            assert isinstance(scalar, nn.ConstantOp)
            mapping[value] = _added(nn.ConstantOp(scalar.blob), block).results[0]
        new = type(op).create(
            operands=[mapping[v] for v in op.operands],
            properties=dict(op.properties),
            attributes=dict(op.attributes),
            result_types=[r.type for r in op.results],
        )
        new.location = op.location
        mapping[op.results[0]] = _added(new, block).results[0]


def _added(op: Operation, block: Block) -> Operation:
    block.add_op(op)
    return op


def label_of(ops: Sequence[Operation]) -> str:
    """`ConvAddRelu`; long chains name the first ops and how many follow."""
    words = [type(op).__name__.removesuffix("Op") for op in ops]
    shown = words[:_MAX_LABEL_OPS]
    rest = len(words) - len(shown)
    return "".join(shown) + (f"And{rest}" if rest else "")
