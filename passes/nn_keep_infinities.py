"""Pass nn-keep-infinities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from ..dialects.nn_attrs import EXACT
from .rewriting import constant_of, is_float, main_block, scalar_of

PASSING: tuple[type[Operation], ...] = (
    nn.AddOp,
    nn.SubOp,
    nn.MulOp,
    nn.DivOp,
    nn.MaxOp,
    nn.MinOp,
    nn.WhereOp,
    nn.NegOp,
    nn.AbsOp,
    nn.CastOp,
    nn.ReduceOp,
    *(op for op in nn.MOVE_OPS if op is not nn.BitCastOp),
)
"""Through these an infinity comes out as one; the others (exponentials, products of matrices, …) make numbers of
it."""


_SPREADING: tuple[type[Operation], ...] = (*PASSING, nn.SqrtOp, nn.PowOp, nn.LogOp)
"""A logarithm and what makes its operand of sums and products: powers of a spectrum, of which the small ones count."""


@dataclass(frozen=True)
class NNKeepInfinitiesPass(ModulePass):
    """Mark what must stay in f32 because an infinity is looked for, or given out, behind it.

    before  %b = nn.where %mask, %zero, %minus_inf ; %m = nn.reduce %b kind max … ; %e = nn.equal %m, %minus_inf
    after   the same, with the attribute `exact` on where, reduce and equal

    f16 arithmetic saturates at 65504 on these chips; an infinity survives moves, selections and maxima only. Two
    things need it: a comparison with an infinite constant, and a model output that an infinite constant can reach.
    The same is done in front of a logarithm: what f16 makes 0 of, or cuts down to a few bits, lies
    far apart behind it (the power of a quiet sound, 1e-10, is -100 dB).
    """

    name = "nn-keep-infinities"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        infinite = _reached(block)
        wanted: list[SSAValue] = []
        for inner in block.ops:
            if isinstance(inner, nn.CompareOp) and any(is_infinite(v) for v in inner.operands):
                wanted += inner.operands
            elif isinstance(inner, ReturnOp):
                wanted += [value for value in inner.operands if value in infinite]
        _mark(wanted, PASSING)
        logarithms = [inner.output for inner in block.ops if isinstance(inner, nn.LogOp)]
        _mark(logarithms, _SPREADING)


def is_infinite(value: SSAValue) -> bool:
    """A constant that holds an infinity, as far as it is written out."""
    blob = constant_of(value)
    if blob is None:
        return False
    number = scalar_of(value)
    values = blob.values if blob.op == "dense" else () if number is None else (number,)
    return any(isinf(v) for v in values)


def _reached(block: Block) -> set[SSAValue]:
    """Values that an infinite constant can reach unchanged."""
    found: set[SSAValue] = set()
    for op in block.ops:
        if isinstance(op, nn.ConstantOp):
            if is_infinite(op.output):
                found.add(op.output)
        elif isinstance(op, PASSING) and found.intersection(op.operands) and is_float(op.results[0]):
            found.add(op.results[0])
    return found


def _mark(values: Sequence[SSAValue], passing: tuple[type[Operation], ...]) -> None:
    stack, seen = list(values), set[SSAValue]()
    while stack:
        value = stack.pop()
        owner = value.owner
        if value in seen or not isinstance(owner, passing):
            continue
        seen.add(value)
        owner.attributes[EXACT] = UnitAttr()
        stack += owner.operands
