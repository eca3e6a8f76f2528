"""`davinci-sink-scalars`: scalar values are computed right before their first use, so that fewer are alive.

The cure for want of registers: there is no spilling, and a product that is computed once at the start of
a loop body keeps its register until its last use. Recomputing costs two cycles each time, so the
pipeline only runs this pass when `davinci-allocate-registers` found no register.

    %p = arith.muli %i, %c512 : index                 scf.for %j = ... {
    scf.for %j = ... {                          →       %p = arith.muli %i, %c512 : index
      %o = davinci.offset 0 + %p * 1                    %o = davinci.offset 0 + %p * 1
      davinci.copy_gm_to_ubuf %t, %x[%o], ...           davinci.copy_gm_to_ubuf %t, %x[%o], ...
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation
from xdsl.passes import ModulePass

from ..dialects.davinci import KernelOp, OffsetOp
from .davinci_program import kernels


def sink_scalars(kernel: KernelOp) -> None:
    """Moves offsets and scalar arithmetic of `kernel` down to their uses, users first."""
    order = {op: number for number, op in enumerate(kernel.walk())}
    for op in sorted(order, key=lambda entry: -order[entry]):
        movable = isinstance(op, OffsetOp) or op.name.startswith("arith.")
        if movable and not isinstance(op, arith.ConstantOp) and op.parent is not None:
            _sink(op, op.parent)


def _sink(op: Operation, home: Block) -> None:
    chains = [_chain(use.operation, home) for use in op.results[0].uses]
    if not chains:
        return
    depth = 0
    while all(len(chain) > depth + 1 for chain in chains) and len({chain[depth] for chain in chains}) == 1:
        if len({chain[depth + 1].parent for chain in chains}) > 1:
            break  # different arms of an if
        depth += 1
    block = chains[0][depth].parent
    assert block is not None
    users = {chain[depth] for chain in chains}
    first = next(user for user in block.ops if user in users)
    op.detach()
    block.insert_op_before(op, first)


def _chain(user: Operation, home: Block) -> list[Operation]:
    """The ops around `user` inside `home`, outermost first, itself last."""
    chain = [user]
    while chain[-1].parent is not home:
        parent = chain[-1].parent_op()
        assert parent is not None
        chain.append(parent)
    return chain[::-1]


@dataclass(frozen=True)
class DavinciSinkScalarsPass(ModulePass):
    """See the module docstring."""

    name = "davinci-sink-scalars"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            sink_scalars(kernel)
