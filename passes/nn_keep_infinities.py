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
from .canonicalization.nn_linear import is_outer_product
from .rewriting import constant_of, is_float, main_block, scalar_of, users

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


_OF_SQUARES: tuple[type[Operation], ...] = (
    nn.AddOp, nn.SubOp, nn.MulOp, nn.DivOp, nn.MaxOp, nn.MinOp, nn.ClipOp, nn.AbsOp, nn.CastOp, nn.ReduceOp, nn.WhereOp,
)  # fmt: skip
"""What may lie between squares and the root of their sum."""
_OF_POSITIONS: tuple[type[Operation], ...] = (nn.AddOp, nn.SubOp, nn.MulOp, nn.DivOp, nn.NegOp, nn.CastOp)
"""What makes the angle of a sine of a position."""


@dataclass(frozen=True)
class NNKeepInfinitiesPass(ModulePass):
    """Mark what must stay in f32 because an infinity is looked for, or given out, behind it.

    before  %b = nn.where %mask, %zero, %minus_inf ; %m = nn.reduce %b kind max … ; %e = nn.equal %m, %minus_inf
    after   the same, with the attribute `exact` on where, reduce and equal

    f16 arithmetic saturates at 65504 on these chips; an infinity survives moves, selections and maxima only. Two
    things need it: a comparison with an infinite constant, and a model output that an infinite constant can reach.
    The same is done in front of a logarithm: what f16 makes 0 of, or cuts down to a few bits, lies
    far apart behind it (the power of a quiet sound, 1e-10, is -100 dB). So are the squares whose sum a root is taken of
    (an RMSNorm's or a length's: 300² is beyond f16, 0.001² nearly 0), with what divides by the root; and positions
    times frequencies in front of a sine, which f16 knows to 0.25 from 512 on, as far as they come from inputs alone.
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
        for inner in block.ops:
            if isinstance(inner, nn.SqrtOp | nn.RsqrtOp):
                _mark_statistic(inner)
            elif isinstance(inner, nn.SinOp | nn.CosOp):
                for marked in _positions(inner.input) or ():
                    marked.attributes[EXACT] = UnitAttr()


def _mark_statistic(root: nn.UnaryOp) -> None:
    """A root of squares: the squares, what lies between, the root and what divides by it."""
    squares = _squares(root.input)
    if squares is None:
        return
    for op in (*squares, root, *_dividing(root.output)):
        op.attributes[EXACT] = UnitAttr()


def _dividing(root: SSAValue) -> list[Operation]:
    """Quotients by a root, products with a reciprocal one: they end in numbers of ordinary size."""
    found: list[Operation] = []
    for op in users(root):
        if isinstance(op, nn.MulOp | nn.DivOp | nn.MaxOp | nn.AddOp | nn.ReciprocalOp | nn.ClipOp):
            found.append(op)
            if not isinstance(op, nn.MulOp | nn.DivOp):  # bounds of the divisor
                found += _dividing(op.results[0])
    return found


def _squares(value: SSAValue) -> list[Operation] | None:
    """The ops from the squares that a value is made of up to it; None if it is not made of squares. What is squared may
    itself be of any size and is not looked at."""
    op = value.owner
    if not isinstance(op, Operation) or isinstance(op, nn.ConstantOp):
        return None
    if isinstance(op, nn.MulOp) and op.lhs is op.rhs:
        return [op]
    if isinstance(op, nn.PowOp) and scalar_of(op.rhs) == 2.0:
        return [op]
    if isinstance(op, nn.ReduceOp) and op.kind.data == "sum_square":
        return [op]
    if not isinstance(op, (*_OF_SQUARES, *nn.MOVE_OPS)):
        return None
    behind = [found for operand in op.operands if (found := _squares(operand)) is not None]
    return [*(inner for found in behind for inner in found), op] if behind else None


def _positions(value: SSAValue) -> list[Operation] | None:
    """The ops that make a value of inputs and constants by sums, products and moves; None if there are others."""
    op = value.owner
    if isinstance(op, Block | nn.ConstantOp):
        return []
    outer = isinstance(op, nn.MatMulOp) and is_outer_product(op)
    if not (outer or isinstance(op, (*_OF_POSITIONS, *nn.MOVE_OPS))):
        return None
    found: list[Operation] = [op]
    for operand in op.operands:
        behind = _positions(operand)
        if behind is None:
            return None
        found += behind
    return found


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
