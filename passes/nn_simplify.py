"""Pass nn-simplify."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from ..dialects import nn
from ..dialects.nn_attrs import EXACT
from .canonicalization import nn_arithmetic, nn_linear, nn_movement
from .nn_fold_constants import fold
from .rewriting import apply_rules, main_block


@dataclass(frozen=True)
class NNSimplifyPass(ModulePass):
    """Remove what computes nothing and merge what one op can do: rules of `canonicalization/nn_*.py`, to a
    fixpoint.

    before  %0 = nn.add %x, %zero ; %1 = nn.transpose %0 perm [0, 2, 1] ; %2 = nn.transpose %1 perm [0, 2, 1]
    after   uses of %2 are uses of %x

    Also: reshape of reshape, constant pads into convolutions and pools, constant factors and terms after a
    convolution or matmul into its weight and bias, chains of casts, identical ops once, dead code.
    """

    name = "nn-simplify"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rules = [fold, *nn_movement.RULES, *nn_arithmetic.RULES, *nn_linear.RULES]
        apply_rules(op, rules)
        while merge_equal(op):
            apply_rules(op, rules)


def merge_equal(module: ModuleOp) -> bool:
    """Ops with the same operands and properties are one op (common subexpressions)."""
    seen: dict[tuple[object, ...], Operation] = {}
    changed = False
    for op in list(main_block(module).ops):
        if not isinstance(op, nn.NNOp | nn.ConstantOp):
            continue
        properties = tuple(sorted((k, v) for k, v in op.properties.items()))
        key = (
            op.name,
            tuple(op.operands),
            tuple(map(str, properties)),
            op.results[0].type,
            EXACT in op.attributes,
        )
        first = seen.setdefault(key, op)
        if first is op:
            continue
        op.results[0].replace_all_uses_with(first.results[0])
        op.detach()
        op.erase()
        changed = True
    return changed
