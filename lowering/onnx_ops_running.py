"""ONNX running sums and products: after step k, element i holds the 2^k elements that end at it."""

from __future__ import annotations

from collections.abc import Callable

from ..dialects import nn
from .onnx_node import Node, Value
from .onnx_ops import Handler, onnx_op
from .onnx_ops_cpu import running

_ON_THE_CORE = frozenset({"f16", "f32", "bf16", "i32"})


def _along(x: Value, axis: int, before: int, after: int) -> tuple[int, ...]:
    """Pads of one axis."""
    pads = [0] * (2 * x.rank)
    pads[axis], pads[axis + x.rank] = before, after
    return tuple(pads)


def _running(kernel: str, make: Callable[..., nn.NNOp], neutral: float) -> Handler:
    def handler(node: Node) -> Value:
        x = node.input(0)
        if x.dtype not in _ON_THE_CORE or x.rank == 0 or 0 in x.shape:
            return running(node, kernel)
        axis = node.axis(int(node.known(1, "axis").reshape(-1)[0]), x.rank)
        sign = -1 if node.int("reverse", 0) else 1

        def shifted(value: Value, by: int) -> Value:
            pads = (by, -by) if sign > 0 else (-by, by)
            return node.precise(nn.PadOp, value, _along(value, axis, *pads), "constant", neutral)

        total = shifted(x, 1) if node.int("exclusive", 0) else x
        step = 1
        while step < x.shape[axis]:
            total = node.precise(make, total, shifted(total, step))
            step *= 2
        return total

    return handler


onnx_op("CumSum")(_running("CumSum", nn.AddOp, 0.0))
onnx_op("CumProd")(_running("CumProd", nn.MulOp, 1.0))
