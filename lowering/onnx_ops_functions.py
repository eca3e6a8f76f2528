"""ONNX functions of one value that are formulas of other operators: one row each.

They are computed in f32 whatever the model's type is (f64 in f64, by the AI CPU), and rounded once at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from ..dialects import nn
from . import formulas
from .formulas import Term
from .onnx_node import Node, Value
from .onnx_ops import HANDLERS, Handler, onnx_op

FUNCTIONS: dict[str, Callable[[Term], Term]] = {
    "Acos": formulas.acos,
    "Acosh": formulas.acosh,
    "Asin": formulas.asin,
    "Asinh": formulas.asinh,
    "Atanh": formulas.atanh,
    "Cosh": formulas.cosh,
    "Mish": formulas.mish,
    "Sinh": formulas.sinh,
    "Softsign": formulas.softsign,
    "Tan": formulas.tan,
}
"""ONNX operator → formula. A row here and one of `FUNCTIONS` in `benchmarks/accuracy.py`, which tests it, are all that a
further function needs."""


@dataclass(frozen=True)
class _Imported(Term):
    """A term while a model is imported: ops of level nn that stay in f32."""

    node: Node
    value: Value

    def _made(self, make: Callable[..., nn.NNOp], *args: Term | float, **attributes: float | None) -> Term:
        operands = [
            arg.value if isinstance(arg, _Imported) else self.node.scalar(float(cast(float, arg)), self.value)
            for arg in args
        ]
        return _Imported(self.node, self.node.precise(make, self.value, *operands, **attributes))

    def plus(self, other: Term | float) -> Term:
        return self._made(nn.AddOp, other)

    def minus(self, other: Term | float) -> Term:
        return self._made(nn.SubOp, other)

    def times(self, other: Term | float) -> Term:
        if other == 1.0:
            return self
        return self._made(nn.MulOp, other)

    def over(self, other: Term) -> Term:
        return self._made(nn.DivOp, other)

    def least(self, bound: float) -> Term:
        return self._made(nn.ClipOp, min=bound, max=None)

    def most(self, bound: float) -> Term:
        return self._made(nn.ClipOp, min=None, max=bound)

    def exp(self) -> Term:
        return self._made(nn.ExpOp)

    def log(self) -> Term:
        return self._made(nn.LogOp)

    def sqrt(self) -> Term:
        return self._made(nn.SqrtOp)

    def size(self) -> Term:
        return self._made(nn.AbsOp)

    def sign(self) -> Term:
        return self._made(nn.SignOp)

    def sin(self) -> Term:
        return self._made(nn.SinOp)

    def cos(self) -> Term:
        return self._made(nn.CosOp)

    def atan(self) -> Term:
        return self._made(nn.AtanOp)

    def number(self, value: float) -> Term:
        return _Imported(self.node, self.node.scalar(value, self.value))


def computed(node: Node, formula: Callable[[Term], Term]) -> Value:
    """The formula of the node's first operand."""
    x = node.input(0)
    result = formula(_Imported(node, x if x.dtype == "f64" else node.cast(x, "f32")))
    assert isinstance(result, _Imported)
    return node.cast(result.value, x.dtype)


def _handler(formula: Callable[[Term], Term]) -> Handler:
    return lambda node: computed(node, formula)


HANDLERS.update({("", name, 1): _handler(formula) for name, formula in FUNCTIONS.items()})


@onnx_op("Swish")
def swish(node: Node) -> Value:
    alpha = node.float("alpha", 1.0)
    return computed(node, lambda x: x * formulas.sigmoid(x * alpha))
