"""ONNX operators that change or ask for shapes. On static models all of `Shape` arithmetic ends here."""

from __future__ import annotations

from math import prod

import numpy as np

from ..dialects import dtypes, nn
from ..dialects.blobs import Blob
from ..dialects.nn_shapes import broadcast, resolve_reshape
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op


@onnx_op("Shape")
def shape(node: Node) -> Value:
    dims = node.input(0).shape
    end = node.int("end", len(dims))
    return node.constant(np.array(dims[node.int("start", 0) : end], np.int64))


@onnx_op("Size")
def size(node: Node) -> Value:
    return node.constant(np.array(prod(node.input(0).shape), np.int64))


@onnx_op("Reshape", since=5)
def reshape(node: Node) -> Value:
    x = node.input(0)
    target = node.known_ints(1, "shape")
    return node.reshape(x, resolve_reshape(x.shape, target, allow_zero=bool(node.int("allowzero", 0))))


@onnx_op("Flatten")
def flatten(node: Node) -> Value:
    x = node.input(0)
    axis = node.int("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    return node.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def _axes(node: Node, rank: int) -> list[int]:
    """Axes as an attribute (until opset 12) or as an input."""
    axes = node.known_ints(1, "axes") if node.get(1) is not None else node.ints("axes", ())
    return [node.axis(axis, rank) for axis in axes]


@onnx_op("Squeeze")
def squeeze(node: Node) -> Value:
    x = node.input(0)
    axes = _axes(node, x.rank) or [i for i, dim in enumerate(x.shape) if dim == 1]
    return node.reshape(x, [dim for i, dim in enumerate(x.shape) if i not in axes])


@onnx_op("Unsqueeze")
def unsqueeze(node: Node) -> Value:
    x = node.input(0)
    count = len(node.known_ints(1, "axes") if node.get(1) is not None else node.ints("axes"))
    axes = _axes(node, x.rank + count)
    require(constraints.groups_share_axes, axes, x.rank + count)
    dims = iter(x.shape)
    return node.reshape(x, [1 if i in axes else next(dims) for i in range(x.rank + count)])


@onnx_op("Expand")
def expand(node: Node) -> Value:
    x = node.input(0)
    target = broadcast(x.shape, node.known_ints(1, "shape"))
    if target == tuple(x.shape):
        return x
    if x.blob is not None and x.blob.is_splat:
        return node.expression(Blob.splat(x.blob.values[0], target, x.dtype))
    return node.emit(nn.ExpandOp, x, target)


@onnx_op("Tile", since=6)
def tile(node: Node) -> Value:
    x = node.input(0)
    repeats = node.known_ints(1, "repeats")
    return x if all(n == 1 for n in repeats) else node.emit(nn.TileOp, x, repeats)


@onnx_op("ConstantOfShape")
def constant_of_shape(node: Node) -> Value:
    dims = node.known_ints(0, "shape")
    fill = np.zeros(1, np.float32)
    if node.has("value"):
        from .onnx_tensors import array_of

        fill = array_of(node.attributes["value"].t)
    dtype = dtypes.name_of_numpy(fill.dtype)
    return node.expression(Blob.splat(fill.reshape(-1)[0].item(), dims, dtype))


@onnx_op("Range")
def range_(node: Node) -> Value:
    start, limit, delta = (node.known(i, "bound").reshape(-1)[0] for i in range(3))
    if delta == 0:
        require(constraints.fits, "a range with step 0")
    count = max(int(np.ceil((float(limit) - float(start)) / float(delta))), 0)
    require(constraints.range_is_small, count)
    return node.constant((np.arange(count) * delta + start).astype(start.dtype))


@onnx_op("EyeLike")
def eye_like(node: Node) -> Value:
    x = node.input(0)
    code = node.int("dtype", dtypes.DTYPES[x.dtype].onnx)
    dtype = dtypes.numpy_dtype(dtypes.name_of_onnx(code) or "f32")
    return node.constant(np.eye(x.shape[0], x.shape[1], node.int("k", 0), dtype))
