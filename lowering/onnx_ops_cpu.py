"""ONNX operators that the AI CPU's library computes: sizes that depend on data, and random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..dialects import nn
from ..dialects.nn_attrs import PyAttr
from ..runtime.aicpu.images import CHANNELS, MOST_PIXELS
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_elementwise import element_type, seed_of

# ---------------------------------------------------------------------------------- sizes that depend on data


def sized(
    node: Node,
    operands: Sequence[Value],
    kernel: str,
    space: Sequence[int],
    dtype: str,
    result: int,
    **settings: PyAttr,
) -> Value:
    """Result `result` of a kernel in the largest space it can fill, and a second call that gives its shape."""
    operands = list(operands)
    value = node.emit(nn.CpuKernelOp, operands, kernel, tuple(space), dtype, result=result, **settings)
    shape = node.emit(nn.CpuKernelOp, operands, kernel, (len(space),), "i64", result=-1 - result, **settings)
    value.size = shape
    return value


@onnx_op("NonZero")
def non_zero(node: Node) -> Value:
    x = node.input(0)
    if x.array is not None:
        return node.constant(np.array(np.nonzero(x.array), np.int64).reshape(x.rank, -1))
    require(constraints.has_elements, x.shape)
    return sized(node, [x], "NonZero", (x.rank, prod(x.shape)), "i64", 0)


@onnx_op("Compress", since=9)
def compress(node: Node) -> Value:
    """Entries of an axis (or of the flat tensor) where a row of truth values says so."""
    x, condition = node.input(0), node.input(1)
    axis = node.axis(node.int("axis"), x.rank) if node.has("axis") else None
    if condition.array is not None:
        chosen = np.flatnonzero(condition.array)
        flat = x if axis is not None else node.reshape(x, (prod(x.shape),))
        return node.emit(nn.GatherOp, flat, node.constant(chosen.astype(np.int64)), axis or 0)
    settings = {} if axis is None else {"axis": axis}
    length = prod(x.shape) if axis is None else x.shape[axis]
    most = min(length, condition.shape[0])
    space = (most,) if axis is None else (*x.shape[:axis], most, *x.shape[axis + 1 :])
    return sized(node, [x, condition], "Compress", space, x.dtype, 0, **settings)


@onnx_op("Unique")
def unique(node: Node) -> list[Value]:
    x = node.input(0)
    axis = node.axis(node.int("axis"), x.rank) if node.has("axis") else None
    settings = {} if axis is None else {"axis": axis}
    if not node.int("sorted", 1):
        settings["unsorted"] = True
    count = prod(x.shape) if axis is None else x.shape[axis]
    values = (count,) if axis is None else x.shape
    results = [sized(node, [x], "Unique", values, x.dtype, 0, **settings)]
    for number in range(1, len(node.proto.output)):
        results.append(sized(node, [x], "Unique", (count,), "i64", number, **settings))
    return results


@onnx_op("ImageDecoder")
def image_decoder(node: Node) -> Value:
    """A model that declares the size of the picture has a tensor of that size, and a run with another one is an error."""
    x = node.input(0)
    require(constraints.row_of_bytes, x.shape, x.dtype)
    kind = node.word("pixel_format", "RGB", tuple(CHANNELS))
    shape = node.builder.declared(node.proto.output[0])
    if shape is not None:
        require(constraints.picture_shape, shape, CHANNELS[kind])
        return node.emit(nn.CpuKernelOp, [x], "ImageDecoder", shape, "u8", pixels=kind)
    return sized(node, [x], "ImageDecoder", (1, MOST_PIXELS, CHANNELS[kind]), "u8", 0, pixels=kind)


# -------------------------------------------------------------------------------------------- random numbers


def _drawn(node: Node, kernel: str, shape: Sequence[int], dtype: str, numbers: tuple[float, float]) -> Value:
    return node.emit(nn.CpuKernelOp, [], kernel, tuple(shape), dtype, seed=seed_of(node), numbers=numbers)


def _uniform(node: Node, shape: Sequence[int], dtype: str) -> Value:
    numbers = node.float("low", 0.0), node.float("high", 1.0)
    return _drawn(node, "RandomUniform", shape, dtype, numbers)


def _normal(node: Node, shape: Sequence[int], dtype: str) -> Value:
    numbers = node.float("mean", 0.0), node.float("scale", 1.0)
    return _drawn(node, "RandomNormal", shape, dtype, numbers)


def _type_or(node: Node, default: str) -> str:
    return element_type(node.int("dtype"), "the result") if node.has("dtype") else default


@onnx_op("RandomUniform")
def random_uniform(node: Node) -> Value:
    return _uniform(node, node.ints("shape"), _type_or(node, "f32"))


@onnx_op("RandomUniformLike")
def random_uniform_like(node: Node) -> Value:
    x = node.input(0)
    return _uniform(node, x.shape, _type_or(node, x.dtype))


@onnx_op("RandomNormal")
def random_normal(node: Node) -> Value:
    return _normal(node, node.ints("shape"), _type_or(node, "f32"))


@onnx_op("RandomNormalLike")
def random_normal_like(node: Node) -> Value:
    x = node.input(0)
    return _normal(node, x.shape, _type_or(node, x.dtype))


@onnx_op("Multinomial")
def multinomial(node: Node) -> Value:
    x = node.input(0)
    shape = (x.shape[0], node.int("sample_size", 1))
    return node.emit(nn.CpuKernelOp, [x], "Multinomial", shape, _type_or(node, "i32"), seed=seed_of(node))


# ---------------------------------------------------------------------------------------------- running sums


def running(node: Node, kernel: str) -> Value:
    """CumSum and CumProd of types that only the AI CPU has."""
    x = node.input(0)
    axis = node.axis(int(node.known(1, "axis").reshape(-1)[0]), x.rank)
    settings = {name: True for name in ("exclusive", "reverse") if node.int(name, 0)}
    return node.emit(nn.CpuKernelOp, [x], kernel, x.shape, x.dtype, axis=axis, **settings)
