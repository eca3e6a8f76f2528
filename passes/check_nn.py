"""Pass check-nn."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from ..dialects import nn
from .provenance import node_names
from .rewriting import main_block

COMPOSITES = (
    nn.SoftmaxOp,
    nn.LogSoftmaxOp,
    nn.LayerNormOp,
    nn.InstanceNormOp,
    nn.BatchNormOp,
    nn.LRNOp,
    nn.ConvTransposeOp,
    nn.HardSigmoidOp,
    nn.HardSwishOp,
)
ALIASES = (nn.ReshapeOp, nn.SliceOp, nn.ConcatOp)
_MAX_SHOWN = 20


@dataclass(frozen=True)
class CheckNNPass(ModulePass):
    """What the nn level promises when it is done, before `convert-nn-to-ascend`; fails with all violations at
    once.

    * Every op of the main function is a constant, an `nn.group`, or a reshape, slice or concat.
    * No composite op is left that nn-decompose resolves; reductions keep their dims and are of kind sum, max,
      min or prod.
    * Elementwise operands have equal rank or rank 0.
    * A group has one result, and every argument is used.
    """

    name = "check-nn"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        problems: list[str] = []
        for inner in main_block(op).ops:
            if isinstance(inner, nn.GroupOp):
                problems += check_group(inner)
            elif not isinstance(inner, nn.ConstantOp | ReturnOp | nn.ReshapeOp | nn.SliceOp | nn.ConcatOp):
                problems.append(f"{describe(inner)}: expected to be in a group")
        fail("nn", problems)


def check_group(group: nn.GroupOp) -> list[str]:
    """Violations of one group."""
    where = f'group "{group.kind.data}" {list(group.source_names)}'
    problems = [f"{where}: {text}" for text in check_body(group.body.block)]
    if len(group.outputs) != 1:
        problems.append(f"{where}: expected one result, got {len(group.outputs)}")
    return problems


def check_body(block: Block) -> list[str]:
    """Violations inside the body of a group, of either level."""
    problems = [f"argument {a.index} is not used" for a in block.args if not a.uses.get_length()]
    for op in block.ops:
        if isinstance(op, nn.GroupOp):
            problems.append("a group inside a group")
        if isinstance(op, COMPOSITES):
            problems.append(f"{describe(op)}: expected to be decomposed")
        if isinstance(op, nn.ReduceOp):
            problems += _check_reduce(op)
        if isinstance(op, nn.BinaryOp | nn.WhereOp):
            ranks = {len(nn.shape_of(v)) for v in op.operands} - {0}
            if len(ranks) > 1:
                problems.append(f"{describe(op)}: expected operands of equal rank, got {sorted(ranks)}")
    return problems


def _check_reduce(op: nn.ReduceOp) -> list[str]:
    problems: list[str] = []
    if op.keepdims is None:
        problems.append(f"{describe(op)}: expected keepdims")
    if op.kind.data not in ("sum", "max", "min", "prod"):
        problems.append(f"{describe(op)}: expected kind sum, max, min or prod, got {op.kind.data}")
    return problems


def describe(op: Operation) -> str:
    """An op for a message: its name and the model's nodes."""
    names = node_names(op)
    return f"{op.name} ({', '.join(names)})" if names else op.name


def fail(level: str, problems: list[str]) -> None:
    """Raise with all violations, the first ones spelled out."""
    if not problems:
        return
    rest = len(problems) - _MAX_SHOWN
    shown = problems[:_MAX_SHOWN] + ([f"and {rest} more"] if rest > 0 else [])
    raise PassFailedException(f"level {level} breaks its promises:\n  " + "\n  ".join(shown))
