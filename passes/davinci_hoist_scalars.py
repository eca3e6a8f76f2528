"""`davinci-hoist-scalars`: scalar arithmetic is computed once, as far outside of loops as it is known.

The scalar unit takes two cycles per operation and dispatches everything else, so what a loop body
recomputes delays the queues of all pipes. Equal operations of one block become one; a value whose
operands are known outside of the loop moves in front of it, while registers are left (there is no
spilling: only so many may move).

    scf.for %j = ... {                                   %a = arith.muli %n, %c56 : index
      %a = arith.muli %n, %c56 : index            →      scf.for %j = ... {
      davinci.copy_gm_to_cbuf ..., length %a               davinci.copy_gm_to_cbuf ..., length %a

Before: rings are made (their counters are only known inside their home blocks).  After: the same values.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.davinci import CounterOp, KernelOp, OffsetOp, RingNextOp
from .davinci_program import kernels

_MOST_MOVED = (
    40  # values that may move out of loops: 64 registers, conv kernels keep 19..25 alive by themselves
)


class _Hoister:
    def __init__(self, kernel: KernelOp) -> None:
        self.kernel = kernel
        self.depths: dict[Block, int] = {}
        self.homes: dict[SSAValue, Block] = {
            op.counter: op.parent
            for op in kernel.walk()
            if isinstance(op, RingNextOp) and op.parent is not None
        }
        self.known: dict[Block, dict[tuple[object, ...], SSAValue]] = {}
        self.left = _MOST_MOVED

    def run(self, block: Block, path: list[tuple[Block, Operation | None]]) -> None:
        """`path`: the blocks around, outermost first, each with its op that holds the next one."""
        self.depths[block] = len(path)
        self.known[block] = {}
        for op in list(block.ops):
            if op.regions:
                for region in op.regions:
                    for inner in region.blocks:
                        self.run(inner, [*path, (block, op)])
            elif _is_scalar(op):
                self._place(op, [*path, (block, None)])

    def _place(self, op: Operation, path: list[tuple[Block, Operation | None]]) -> None:
        depth = max((self._depth(operand) for operand in op.operands), default=0)
        home = len(path) - 1
        key = (type(op), tuple(op.operands), tuple(op.properties.values()))
        for outer in range(depth, home + 1):
            found = self.known[path[outer][0]].get(key)
            if found is not None:
                op.results[0].replace_all_uses_with(found)
                op.detach()
                op.erase()
                return
        target = self._target(path, depth)
        if target < home and self.left > 0:
            self.left -= 1
            holder = path[target][1]
            assert holder is not None
            op.detach()
            path[target][0].insert_op_before(op, holder)
        else:
            target = home
        self.known[path[target][0]][key] = op.results[0]

    @staticmethod
    def _target(path: list[tuple[Block, Operation | None]], depth: int) -> int:
        """The outermost block from `depth` on that holds a loop around: leaving an if saves nothing."""
        home = len(path) - 1
        return next((outer for outer in range(depth, home) if isinstance(path[outer][1], scf.ForOp)), home)

    def _depth(self, value: SSAValue) -> int:
        owner = value.owner
        if isinstance(owner, CounterOp):
            return self.depths.get(self.homes.get(value, self.kernel.body.block), 0)
        block = owner if isinstance(owner, Block) else owner.parent
        return self.depths.get(block, 0) if block is not None else 0


def _is_scalar(op: Operation) -> bool:
    if isinstance(op, arith.ConstantOp | OffsetOp) or len(op.results) != 1:
        return False
    return op.name.startswith("arith.")


def hoist_scalars(kernel: KernelOp) -> None:
    """Moves scalar arithmetic of `kernel` out of loops."""
    _Hoister(kernel).run(kernel.body.block, [])


@dataclass(frozen=True)
class DavinciHoistScalarsPass(ModulePass):
    """See the module docstring."""

    name = "davinci-hoist-scalars"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            hoist_scalars(kernel)
