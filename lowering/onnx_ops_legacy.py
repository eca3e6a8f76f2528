"""Operators as they were before opset 7, for models of 2017: explicit broadcasting, attributes that later
became inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..dialects import dtypes, nn
from ..dialects.nn_shapes import resolve_reshape
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_elementwise import BINARY
from .onnx_ops_moves import concat_along, padded
from .onnx_ops_norms import batch_norm


def _aligned(node: Node) -> tuple[Value, Value]:
    """`broadcast` with `axis`: the second operand's first axis lies on that axis of the first operand."""
    lhs, rhs = node.input(0), node.input(1)
    if not node.int("broadcast", 0) or not node.has("axis"):
        return lhs, rhs
    trailing = lhs.rank - node.axis(node.int("axis"), lhs.rank) - rhs.rank
    return lhs, node.reshape(rhs, (*rhs.shape, *(1,) * max(trailing, 0)))


def _binary(make: Callable[..., nn.NNOp]) -> Callable[[Node], Value]:
    return lambda node: node.emit(make, *_aligned(node))


for _name, _make in BINARY.items():
    onnx_op(_name)(_binary(_make))


@onnx_op("PRelu")
def prelu(node: Node) -> Value:
    """One slope per channel, without the axes behind it."""
    x, slope = node.input(0), node.input(1)
    if slope.rank == 1 and x.rank > 2:
        slope = node.reshape(slope, (*slope.shape, *(1,) * (x.rank - 2)))
    return node.emit(nn.PreluOp, x, slope)


@onnx_op("BatchNormalization")
def batch_norm_1(node: Node) -> Value | Sequence[Value]:
    """`is_test` was often left out by exporters; a compiler of inference only knows one meaning."""
    return batch_norm(node)


@onnx_op("Reshape")
def reshape(node: Node) -> Value:
    x = node.input(0)
    return node.reshape(x, resolve_reshape(x.shape, node.ints("shape")))


@onnx_op("Concat")
def concat(node: Node) -> Value:
    return concat_along(node, node.int("axis", 1))


@onnx_op("Pad")
def pad(node: Node) -> Value:
    return padded(node, node.ints("paddings"), node.float("value", 0.0))


@onnx_op("Cast")
def cast(node: Node) -> Value:
    """The type was a word: "FLOAT16"."""
    word = node.string("to")
    words = {name.upper(): name for name in _WORDS}
    require(constraints.word_is_known, "to", word, tuple(words))
    return node.cast(node.input(0), _WORDS[words[word.upper()]])


_WORDS = {
    "float": "f32",
    "float16": "f16",
    "double": "f64",
    "int8": "i8",
    "uint8": "u8",
    "int16": "i16",
    "uint16": "u16",
    "int32": "i32",
    "uint32": "u32",
    "int64": "i64",
    "uint64": "u64",
    "bool": "bool",
}
assert set(_WORDS.values()) <= set(dtypes.DTYPES)


@onnx_op("Upsample")
def upsample(node: Node) -> Value:
    from .onnx_ops_resize import upsample_by

    return upsample_by(node, (1.0, 1.0, node.float("height_scale"), node.float("width_scale")))
