"""ONNX matrix products."""

from __future__ import annotations

from ..dialects import nn
from ..dialects.blobs import Blob
from .onnx_node import Node, Value
from .onnx_ops import onnx_op


def scaled(node: Node, value: Value, factor: float) -> Value:
    """factor · value; into the weight if it is one, nothing for 1."""
    if factor == 1.0:
        return value
    if value.blob is not None and value.array is None:
        return node.expression(value.blob.apply("mul", Blob.splat(factor, (), value.dtype)))
    return node.emit(nn.MulOp, value, node.scalar(factor, value))


@onnx_op("Gemm")
def gemm(node: Node) -> Value:
    """alpha · A' · B' + beta · C."""
    lhs, rhs, addend = node.input(0), node.input(1), node.get(2)
    alpha = node.float("alpha", 1.0)
    flags = {"trans_a": bool(node.int("transA", 0)), "trans_b": bool(node.int("transB", 0))}
    if rhs.blob is not None:
        rhs, alpha = scaled(node, rhs, alpha), 1.0
    product = scaled(node, node.emit(nn.MatMulOp, lhs, rhs, **flags), alpha)
    beta = node.float("beta", 1.0)
    if addend is None or beta == 0.0:
        return product
    return node.emit(nn.AddOp, product, scaled(node, addend, beta))


@onnx_op("MatMul")
def matmul(node: Node) -> Value:
    return product_of(node, node.input(0), node.input(1))


def product_of(node: Node, lhs: Value, rhs: Value) -> Value:
    """A matrix product, of which either side may be a vector."""
    left = node.reshape(lhs, (1, *lhs.shape)) if lhs.rank == 1 else lhs
    right = node.reshape(rhs, (*rhs.shape, 1)) if rhs.rank == 1 else rhs
    product = node.emit(nn.MatMulOp, left, right)
    shape = product.shape[:-1] if rhs.rank == 1 else product.shape
    if lhs.rank == 1:
        row = len(product.shape) - 2
        shape = (*shape[:row], *shape[row + 1 :])
    return node.reshape(product, shape)
