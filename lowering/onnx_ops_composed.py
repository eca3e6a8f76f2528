"""ONNX operators that are rare enough to be composed of `nn` ops right here."""

from __future__ import annotations

from math import inf, prod

import numpy as np
from xdsl.ir import BlockArgument

from ..dialects import dtypes, nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_windows import as_image, back, pool_window
from .onnx_volumes import VOLUME_RANK, sums_volume


@onnx_op("IsInf")
def is_inf(node: Node) -> Value:
    """Infinities are there to be found only if nothing on the way has saturated them; without that, no answer."""
    x = node.input(0)
    found: Value | None = None
    for name, number in (("detect_positive", inf), ("detect_negative", -inf)):
        if node.int(name, 1):
            require(constraints.is_model_input, x.name, x.ssa is None or isinstance(x.ssa, BlockArgument))
            equal = node.emit(nn.EqualOp, x, node.scalar(number, x))
            found = equal if found is None else node.emit(nn.OrOp, found, equal)
    return found if found is not None else node.expression(nn.Blob.splat(0, x.shape, "bool"))


@onnx_op("Trilu")
def trilu(node: Node) -> Value:
    """Upper or lower triangle of the last two axes; the mask is a constant."""
    x = node.input(0)
    diagonal = int(node.known(1, "k").reshape(-1)[0]) if node.get(1) is not None else 0
    ones = np.ones(x.shape[-2:], np.bool_)
    mask = np.triu(ones, diagonal) if node.int("upper", 1) else np.tril(ones, diagonal)
    return node.emit(nn.WhereOp, node.constant(mask), x, node.scalar(0, x))


@onnx_op("OneHot")
def one_hot(node: Node) -> Value:
    """Indices against a row of numbers; negative ones count from the end."""
    indices, values = node.input(0), node.input(2)
    depth = int(node.known(1, "depth").reshape(-1)[0])
    axis = node.axis(node.int("axis", -1), indices.rank + 1)
    index = node.reshape(indices, (*indices.shape[:axis], 1, *indices.shape[axis:]))
    shape = [depth if i == axis else 1 for i in range(indices.rank + 1)]
    kind = dtypes.numpy_dtype(indices.dtype)
    found: Value | None = None
    for first in (0, -depth):  # no sum of an index that might not fit
        row = node.constant(np.arange(first, first + depth, dtype=kind).reshape(shape))
        equal = node.emit(nn.EqualOp, index, row)
        found = equal if found is None else node.emit(nn.OrOp, found, equal)
        if kind.kind == "u":
            break
    off, on = (node.reshape(node.emit(nn.SliceOp, values, (i,), (1,)), ()) for i in (0, 1))
    return node.emit(nn.WhereOp, found, on, off)


@onnx_op("Hardmax", since=13)
def hardmax(node: Node) -> Value:
    """1 at the first largest element, else 0."""
    x = node.input(0)
    axis = node.axis(node.int("axis", -1), x.rank)
    best = node.emit(nn.ArgReduceOp, x, "max", axis, keepdims=True)
    shape = [x.shape[axis] if i == axis else 1 for i in range(x.rank)]
    row = node.constant(np.arange(x.shape[axis], dtype=np.int64).reshape(shape))
    return node.cast(node.emit(nn.EqualOp, best, row), x.dtype)


@onnx_op("LpPool")
def lp_pool(node: Node) -> Value:
    """(sum of |x|^p over the window)^(1/p): an average over all positions, times their number."""
    rank = node.input(0).rank
    power = node.int("p", 2)
    if rank == VOLUME_RANK:
        x = node.input(0)
        raised = node.emit(nn.PowOp, node.emit(nn.AbsOp, x), node.scalar(float(power), x))
        return node.emit(nn.PowOp, sums_volume(node, raised), node.scalar(1 / power, x))
    x = as_image(node, node.input(0))
    window, pads = pool_window(node, x, rank)
    raised = node.emit(nn.PowOp, node.emit(nn.AbsOp, x), node.scalar(float(power), x))
    mean = node.emit(
        nn.AvgPoolOp,
        raised,
        kernel=window.kernel,
        strides=window.strides,
        pads=pads,
        dilations=window.dilations,
        count_include_pad=True,
    )
    total = node.emit(nn.MulOp, mean, node.scalar(float(prod(window.kernel)), x))
    return back(node, node.emit(nn.PowOp, total, node.scalar(1 / power, x)), rank)


@onnx_op("GlobalLpPool")
def global_lp_pool(node: Node) -> Value:
    x = node.input(0)
    power = node.int("p", 2)
    raised = node.emit(nn.PowOp, node.emit(nn.AbsOp, x), node.scalar(float(power), x))
    total = node.emit(nn.ReduceOp, raised, "sum", tuple(range(2, x.rank)), keepdims=True)
    return node.emit(nn.PowOp, total, node.scalar(1 / power, x))
