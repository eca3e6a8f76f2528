"""ONNX functions of one value that are formulas of other operators: one row each.

They are computed in f32 whatever the model's type is (f64 in f64, by the AI CPU), and rounded once at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ..dialects import nn
from . import formulas
from .formulas import Term
from .onnx_node import Node, Value
from .onnx_ops import HANDLERS, Handler

Formula: TypeAlias = (
    Callable[[Term], Term] | Callable[[Term, float], Term] | Callable[[Term, float, float], Term]
)


@dataclass(frozen=True)
class Function:
    """A formula of a term and the node's attributes, which are numbers, with their defaults."""

    formula: Formula
    attributes: Mapping[str, float] = field(default_factory=dict[str, float])
    domain: str = ""


FUNCTIONS: dict[str, Function] = {
    "Acos": Function(formulas.acos),
    "Acosh": Function(formulas.acosh),
    "Asin": Function(formulas.asin),
    "Asinh": Function(formulas.asinh),
    "Atanh": Function(formulas.atanh),
    "Cosh": Function(formulas.cosh),
    "Mish": Function(formulas.mish),
    "QuickGelu": Function(formulas.swish, {"alpha": 1.702}, "com.microsoft"),
    "ScaledTanh": Function(
        lambda x, alpha, beta: formulas.tanh(x * beta) * alpha, {"alpha": 1.0, "beta": 1.0}
    ),
    "Sinh": Function(formulas.sinh),
    "Softsign": Function(formulas.softsign),
    "Swish": Function(formulas.swish, {"alpha": 1.0}),
    "Tan": Function(formulas.tan),
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


def _handler(function: Function) -> Handler:
    def handle(node: Node) -> Value:
        x = node.input(0)
        term = _Imported(node, x if x.dtype == "f64" else node.cast(x, "f32"))
        numbers = (node.float(name, default) for name, default in function.attributes.items())
        result = cast(Callable[..., Term], function.formula)(term, *numbers)  # as many as the row names
        assert isinstance(result, _Imported)
        return node.cast(result.value, x.dtype)

    return handle


HANDLERS.update({(row.domain, name, 1): _handler(row) for name, row in FUNCTIONS.items()})
