"""ONNX reductions."""

from __future__ import annotations

from collections.abc import Callable

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op

_KINDS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceSumSquare": "sum_square",
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
}


def _reduction(kind: str, axes_are_input: bool) -> Callable[[Node], Value]:
    def handler(node: Node) -> Value:
        x = node.input(0)
        if axes_are_input:
            axes = node.known_ints(1, "axes") if node.get(1) is not None else ()
        else:
            axes = node.ints("axes", ())
        if not axes and node.int("noop_with_empty_axes", 0):
            return _elementwise_part(node, kind, x)
        positive = sorted(node.axis(axis, x.rank) for axis in axes) if axes else range(x.rank)
        require(constraints.groups_share_axes, tuple(positive), x.rank)
        if x.rank == 0:
            return _elementwise_part(node, kind, x)
        return node.emit(nn.ReduceOp, x, kind, tuple(positive), keepdims=bool(node.int("keepdims", 1)))

    return handler


def _elementwise_part(node: Node, kind: str, x: Value) -> Value:
    """A reduction over no axis still squares or takes logarithms."""
    parts: dict[str, Callable[[], Value]] = {
        "sum_square": lambda: node.emit(nn.MulOp, x, x),
        "l1": lambda: node.emit(nn.AbsOp, x),
        "l2": lambda: node.emit(nn.AbsOp, x),
        "log_sum": lambda: node.emit(nn.LogOp, x),
    }
    return parts[kind]() if kind in parts else x


for _name, _kind in _KINDS.items():
    onnx_op(_name)(_reduction(_kind, axes_are_input=False))
    onnx_op(_name, since=13 if _name == "ReduceSum" else 18)(_reduction(_kind, axes_are_input=True))


def _arg_reduction(kind: str) -> Callable[[Node], Value]:
    def handler(node: Node) -> Value:
        x = node.input(0)
        return node.emit(
            nn.ArgReduceOp,
            x,
            kind,
            node.axis(node.int("axis", 0), x.rank),
            keepdims=bool(node.int("keepdims", 1)),
            last=bool(node.int("select_last_index", 0)),
        )

    return handler


onnx_op("ArgMax")(_arg_reduction("max"))
onnx_op("ArgMin")(_arg_reduction("min"))
