"""ONNX normalisations and softmax."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op


@onnx_op("BatchNormalization", since=7)
def batch_norm(node: Node) -> Value | list[Value]:
    require(constraints.per_channel_statistics, node.int("spatial", 1))
    if node.int("training_mode", 0):
        return _batch_norm_training(node)
    for index in range(1, len(node.proto.output)):
        require(constraints.output_is_unused, str(index), node.uses_output(index))
    parameters = [node.input(i) for i in range(5)]
    return node.emit(nn.BatchNormOp, *parameters, epsilon=node.float("epsilon", 1e-5))


def _batch_norm_training(node: Node) -> list[Value]:
    """Statistics of the batch itself, and the running ones moved towards them."""
    x, scale, bias, old_mean, old_variance = (node.input(i) for i in range(5))
    axes = (0, *range(2, x.rank))
    shape = (1, x.shape[1], *(1,) * (x.rank - 2))
    mean = node.precise(nn.ReduceOp, x, "mean", axes, keepdims=True)
    centred = node.precise(nn.SubOp, x, mean)
    variance = node.precise(
        nn.ReduceOp, node.precise(nn.MulOp, centred, centred), "mean", axes, keepdims=True
    )
    deviation = node.precise(nn.AddOp, variance, node.scalar(node.float("epsilon", 1e-5), x))
    normal = node.precise(nn.MulOp, centred, node.precise(nn.RsqrtOp, deviation))
    scaled = node.precise(nn.MulOp, normal, node.reshape(scale, shape))
    momentum = node.float("momentum", 0.9)
    moved: list[Value] = []
    for old, new in ((old_mean, mean), (old_variance, variance)):
        kept = node.precise(nn.MulOp, old, node.scalar(momentum, old))
        own = node.precise(nn.MulOp, node.reshape(new, old.shape), node.scalar(1 - momentum, old))
        moved.append(node.precise(nn.AddOp, kept, own))
    return [node.precise(nn.AddOp, scaled, node.reshape(bias, shape)), *moved]


@onnx_op("InstanceNormalization")
def instance_norm(node: Node) -> Value:
    operands = [node.input(i) for i in range(3)]
    return node.emit(nn.InstanceNormOp, *operands, epsilon=node.float("epsilon", 1e-5))


@onnx_op("LayerNormalization", domain="com.microsoft")
@onnx_op("LayerNormalization")
def layer_norm(node: Node) -> list[Value]:
    x = node.input(0)
    axis = node.axis(node.int("axis", -1), x.rank)
    epsilon = node.float("epsilon", 1e-5)
    result = node.emit(nn.LayerNormOp, x, node.input(1), node.get(2), axis=axis, epsilon=epsilon)
    if node.uses_output(1) or node.uses_output(2):
        return [result, *_statistics(node, x, tuple(range(axis, x.rank)), epsilon)]
    return [result]


def _statistics(node: Node, x: Value, axes: tuple[int, ...], epsilon: float) -> list[Value]:
    """Mean and 1 / sqrt(variance + epsilon), for the few models that ask for them."""
    mean = node.emit(nn.ReduceOp, x, "mean", axes, keepdims=True)
    centred = node.emit(nn.SubOp, x, mean)
    squares = node.emit(nn.MulOp, centred, centred)
    variance = node.emit(nn.ReduceOp, squares, "mean", axes, keepdims=True)
    return [mean, node.emit(nn.RsqrtOp, node.emit(nn.AddOp, variance, node.scalar(epsilon, x)))]


def _normalized_groups(node: Node, groups: int) -> Value:
    """Each group normalised alone: the groups take the place of the channels."""
    x = node.input(0)
    require(constraints.divides, "channels", x.shape[1], groups)
    rows = node.reshape(x, (x.shape[0], groups, prod(x.shape[1:]) // groups))
    ones, zeros = node.scalar(1.0, x, (groups,)), node.scalar(0.0, x, (groups,))
    normal = node.emit(nn.InstanceNormOp, rows, ones, zeros, epsilon=node.float("epsilon", 1e-5))
    return node.reshape(normal, x.shape)


def _affine(node: Node, x: Value, scale: Value, bias: Value) -> Value:
    shape = (-1, *(1,) * (x.rank - 2))
    columns = [node.reshape(p, (p.shape[0], *shape[1:])) for p in (scale, bias)]
    return node.emit(nn.AddOp, node.emit(nn.MulOp, x, columns[0]), columns[1])


@onnx_op("GroupNormalization", since=21)
def group_norm(node: Node) -> Value:
    normal = _normalized_groups(node, node.int("num_groups"))
    return _affine(node, normal, node.input(1), node.input(2))


@onnx_op("GroupNormalization", since=18)
def group_norm_18(node: Node) -> Value:
    """Before opset 21 scale and bias were per group."""
    groups = node.int("num_groups")
    normal = _normalized_groups(node, groups)
    per_group = normal.shape[1] // groups
    parameters = [
        node.reshape(
            node.emit(nn.ExpandOp, node.reshape(node.input(i), (groups, 1)), (groups, per_group)),
            (groups * per_group,),
        )
        for i in (1, 2)
    ]
    return _affine(node, normal, parameters[0], parameters[1])


@onnx_op("LRN")
def lrn(node: Node) -> Value:
    return node.emit(
        nn.LRNOp,
        node.input(0),
        size=node.int("size"),
        alpha=node.float("alpha", 1e-4),
        beta=node.float("beta", 0.75),
        bias=node.float("bias", 1.0),
    )


@onnx_op("LpNormalization")
def lp_norm(node: Node) -> Value:
    x = node.input(0)
    kind = "l1" if node.int("p", 2) == 1 else "l2"
    axis = node.axis(node.int("axis", -1), x.rank)
    length = node.emit(nn.ReduceOp, x, kind, (axis,), keepdims=True)
    is_zero = node.emit(nn.EqualOp, length, node.scalar(0.0, x))  # a zero vector stays zero
    return node.emit(nn.DivOp, x, node.emit(nn.WhereOp, is_zero, node.scalar(1.0, x), length))


@onnx_op("MeanVarianceNormalization")
def mean_variance_norm(node: Node) -> Value:
    """(x - mean) / sqrt(variance), without scale and with the standard's epsilon of 1e-9."""
    x = node.input(0)
    axes = tuple(sorted(node.axis(axis, x.rank) for axis in node.ints("axes", (0, 2, 3))))
    mean = node.emit(nn.ReduceOp, x, "mean", axes, keepdims=True)
    centred = node.emit(nn.SubOp, x, mean)
    squares = node.emit(nn.MulOp, centred, centred)
    variance = node.emit(nn.ReduceOp, squares, "mean", axes, keepdims=True)
    deviation = node.emit(nn.SqrtOp, variance)
    return node.emit(nn.DivOp, centred, node.emit(nn.AddOp, deviation, node.scalar(1e-9, x)))


def _softmax(make: Callable[..., nn.NNOp]) -> Callable[[Node], Value]:
    def handler(node: Node) -> Value:
        x = node.input(0)
        return node.emit(make, x, node.axis(node.int("axis", -1), x.rank))

    return handler


def _softmax_flat(make: Callable[..., nn.NNOp]) -> Callable[[Node], Value]:
    """Before opset 13 the tensor was seen as a matrix, cut before `axis`."""

    def handler(node: Node) -> Value:
        x = node.input(0)
        axis = node.axis(node.int("axis", 1), x.rank)
        if prod(x.shape[axis + 1 :]) == 1:
            return node.emit(make, x, axis)
        matrix = node.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))
        return node.reshape(node.emit(make, matrix, 1), x.shape)

    return handler


onnx_op("Softmax", since=13)(_softmax(nn.SoftmaxOp))
onnx_op("LogSoftmax", since=13)(_softmax(nn.LogSoftmaxOp))
onnx_op("Softmax")(_softmax_flat(nn.SoftmaxOp))
onnx_op("LogSoftmax")(_softmax_flat(nn.LogSoftmaxOp))
