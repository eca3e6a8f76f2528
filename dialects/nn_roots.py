"""Ops that combine positions: convolutions, products, windows, reductions, normalisations.

Convolutions and products are the work of the cube unit (16×16×16 multiply-accumulates per cycle in f16,
accumulated in f32); windows, reductions and normalisations are vector work. All spatial ops are
two-dimensional, NCHW; one-dimensional models are imported with H = 1. Pads are always explicit, [top, left,
bottom, right]: auto_pad and ceil mode end at import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import StringAttr, TensorType, UnitAttr
from xdsl.ir import SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from . import nn_shapes
from .nn_attrs import FLOAT, INT, INTS, NNOp, dtype_of
from .nn_elementwise import UnaryOp, Value

HIDDEN = -30000.0
"""Scores of attention below this belong to keys that a mask hides: f16 holds -65504 for what the model calls minus infinity
or -3.4e38."""
REDUCE_KINDS = ("sum", "mean", "max", "min", "prod", "sum_square", "l1", "l2", "log_sum", "log_sum_exp")


@irdl_op_definition
class ConvOp(NNOp):
    """Cross-correlation of input [N, C, H, W] with weight [O, C/group, kh, kw]; depthwise is group = C."""

    name = "nn.conv"
    SHAPE = staticmethod(nn_shapes.conv)
    ELEMENT_RULE: ClassVar = "bias"
    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    strides = prop_def(INTS)
    pads = prop_def(INTS)
    dilations = prop_def(INTS)
    group = prop_def(INT)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self,
        input: Value,
        weight: Value,
        bias: Value | None = None,
        *,
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
        group: int = 1,
    ) -> None:
        self._setup(
            [input, weight, bias],
            {"strides": tuple(strides), "pads": tuple(pads), "dilations": tuple(dilations), "group": group},
        )


@irdl_op_definition
class ConvTransposeOp(NNOp):
    """Transposed convolution; weight [C, O/group, kh, kw]. Positive pads crop, output_padding extends
    bottom and right.
    """

    name = "nn.conv_transpose"
    SHAPE = staticmethod(nn_shapes.conv_transpose)
    ELEMENT_RULE: ClassVar = "bias"
    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    strides = prop_def(INTS)
    pads = prop_def(INTS)
    dilations = prop_def(INTS)
    output_padding = prop_def(INTS)
    group = prop_def(INT)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self,
        input: Value,
        weight: Value,
        bias: Value | None = None,
        *,
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
        output_padding: Sequence[int] = (0, 0),
        group: int = 1,
    ) -> None:
        self._setup(
            [input, weight, bias],
            {
                "strides": tuple(strides),
                "pads": tuple(pads),
                "dilations": tuple(dilations),
                "output_padding": tuple(output_padding),
                "group": group,
            },
        )


@irdl_op_definition
class MatMulOp(NNOp):
    """[…, m, k] × […, k, n], leading dims broadcast; the flags say which operand is stored transposed."""

    name = "nn.matmul"
    SHAPE = staticmethod(nn_shapes.matmul)
    ELEMENT_RULE: ClassVar = "bias"
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    trans_a: UnitAttr | None = opt_prop_def(UnitAttr)
    trans_b: UnitAttr | None = opt_prop_def(UnitAttr)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self,
        lhs: Value,
        rhs: Value,
        bias: Value | None = None,
        *,
        trans_a: bool = False,
        trans_b: bool = False,
    ) -> None:
        self._setup([lhs, rhs, bias], {"trans_a": trans_a, "trans_b": trans_b})


@irdl_op_definition
class AttentionOp(NNOp):
    """softmax(scale · query · keyᵀ + maskᵀ) · value over the last two dims; the softmax runs over the keys.

    query […, heads, m, d], key […, heads / r, n, d], value […, heads / r, n, e]: r neighbouring heads of the query share
    one head of keys and values. The mask is added to the scaled scores and stored keys first, […, n, m], as the kernel
    holds them (decision 0026); its leading dims broadcast. A score below `HIDDEN` is that of a hidden key: with
    `zero_empty` a query that sees no key at all gets zeros, else the mean of all values.
    """

    name = "nn.attention"
    SHAPE = staticmethod(nn_shapes.attention)
    query = operand_def(TensorType)
    key = operand_def(TensorType)
    value = operand_def(TensorType)
    mask = opt_operand_def(TensorType)
    scale = prop_def(FLOAT)
    zero_empty: UnitAttr | None = opt_prop_def(UnitAttr)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self,
        query: Value,
        key: Value,
        value: Value,
        mask: Value | None = None,
        *,
        scale: float = 1.0,
        zero_empty: bool = False,
    ) -> None:
        self._setup([query, key, value, mask], {"scale": float(scale), "zero_empty": zero_empty})


@irdl_op_definition
class RecurrenceOp(NNOp):
    """LSTM, GRU or RNN over `steps` steps: what depends on the state, in one kernel (decision 0027).

    parts [steps · batch, directions · groups · hidden] is X·Wᵀ + b of all steps; weight [directions · gates · hidden, hidden]
    multiplies the state. Groups of columns, each of `hidden`: of an LSTM the gates i, o, f, c of ONNX; of an RNN its only
    gate; of a GRU z, r, h and the recurrent bias of h, with the gates z, r, h. Kind `gru` resets h · Rᵀ with its bias,
    `reset_gru` resets h before its product, and has the groups z, r, h.
    `initial` [batch, directions · hidden] is h before the first step, zero if left out; an LSTM's has the columns of its
    memory c behind those of h. Direction `reverse` begins with the last step; `bidirectional` is forward, then reverse.

    The result is h of all steps, [steps · batch, directions · hidden]; with `last_cell` followed by `batch` rows of the
    memory after an LSTM's last step.
    """

    name = "nn.recurrence"
    SHAPE = staticmethod(nn_shapes.recurrence)
    WORDS: ClassVar = {"kind": tuple(nn_shapes.RECURRENCES), "direction": tuple(nn_shapes.DIRECTIONS)}
    parts = operand_def(TensorType)
    weight = operand_def(TensorType)
    initial = opt_operand_def(TensorType)
    kind = prop_def(StringAttr)
    direction = prop_def(StringAttr)
    steps = prop_def(INT)
    last_cell: UnitAttr | None = opt_prop_def(UnitAttr)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self,
        parts: Value,
        weight: Value,
        initial: Value | None = None,
        *,
        kind: str,
        direction: str = "forward",
        steps: int,
        last_cell: bool = False,
    ) -> None:
        self._setup(
            [parts, weight, initial],
            {"kind": kind, "direction": direction, "steps": steps, "last_cell": last_cell},
        )


@irdl_op_definition
class MaxPoolOp(UnaryOp):
    """Maximum over a window; padding never wins. With `terms` operand and result are numbers in two terms
    (`nn_terms`), whose maximum is not that of each term."""

    name = "nn.max_pool"
    SHAPE = staticmethod(nn_shapes.pool)
    kernel = prop_def(INTS)
    strides = prop_def(INTS)
    pads = prop_def(INTS)
    dilations = prop_def(INTS)
    terms: UnitAttr | None = opt_prop_def(UnitAttr)

    def __init__(
        self,
        input: Value,
        *,
        kernel: Sequence[int],
        strides: Sequence[int],
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
        terms: bool = False,
    ) -> None:
        self._setup(
            [input],
            {
                "kernel": tuple(kernel),
                "strides": tuple(strides),
                "pads": tuple(pads),
                "dilations": tuple(dilations),
                "terms": terms,
            },
        )


@irdl_op_definition
class AvgPoolOp(UnaryOp):
    """Mean over a window, of its positions within the input or, with `count_include_pad`, of all.

    What ceil mode adds at the end never counts, so an importer writes such a pool as `nn.pad` and a pool
    without the flag.
    """

    name = "nn.avg_pool"
    SHAPE = staticmethod(nn_shapes.pool)
    kernel = prop_def(INTS)
    strides = prop_def(INTS)
    pads = prop_def(INTS)
    dilations = prop_def(INTS)
    count_include_pad: UnitAttr | None = opt_prop_def(UnitAttr)

    def __init__(
        self,
        input: Value,
        *,
        kernel: Sequence[int],
        strides: Sequence[int],
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
        count_include_pad: bool = False,
    ) -> None:
        self._setup(
            [input],
            {
                "kernel": tuple(kernel),
                "strides": tuple(strides),
                "pads": tuple(pads),
                "dilations": tuple(dilations),
                "count_include_pad": count_include_pad,
            },
        )


@irdl_op_definition
class ReduceOp(UnaryOp):
    """Reduction over `axes` (ascending, from the front); global pooling is a mean or max over H and W."""

    name = "nn.reduce"
    SHAPE = staticmethod(nn_shapes.reduce)
    WORDS: ClassVar = {"kind": REDUCE_KINDS}
    kind = prop_def(StringAttr)
    axes = prop_def(INTS)
    keepdims: UnitAttr | None = opt_prop_def(UnitAttr)

    def __init__(self, input: Value, kind: str, axes: Sequence[int], keepdims: bool = False) -> None:
        self._setup([input], {"kind": kind, "axes": tuple(axes), "keepdims": keepdims})


@irdl_op_definition
class ArgReduceOp(UnaryOp):
    """Position (i64) of the largest or smallest element along an axis, the first or, with `last`, the last
    one.
    """

    name = "nn.arg_reduce"
    SHAPE = staticmethod(nn_shapes.arg_reduce)
    ELEMENT_RULE: ClassVar = "any"
    WORDS: ClassVar = {"kind": ("max", "min")}
    kind = prop_def(StringAttr)
    axis = prop_def(INT)
    keepdims: UnitAttr | None = opt_prop_def(UnitAttr)
    last: UnitAttr | None = opt_prop_def(UnitAttr)

    def __init__(
        self, input: Value, kind: str, axis: int, keepdims: bool = False, last: bool = False
    ) -> None:
        self._setup([input], {"kind": kind, "axis": axis, "keepdims": keepdims, "last": last}, dtype="i64")


@irdl_op_definition
class TopKOp(UnaryOp):
    """The `count` largest elements of each row of the last axis in falling order, or with `smallest` the smallest in rising
    order; with `positions` where they stand (i32). Of equal elements the first comes first; NaN is the lowest score."""

    name = "nn.top_k"
    SHAPE = staticmethod(nn_shapes.top_k)
    ELEMENT_RULE: ClassVar = "any"
    count = prop_def(INT)
    smallest: UnitAttr | None = opt_prop_def(UnitAttr)
    positions: UnitAttr | None = opt_prop_def(UnitAttr)

    def __init__(self, input: Value, count: int, *, smallest: bool = False, positions: bool = False) -> None:
        self._setup(
            [input],
            {"count": count, "smallest": smallest, "positions": positions},
            dtype="i32" if positions else None,
        )

    def verify_(self) -> None:
        super().verify_()
        wanted = "i32" if self.positions is not None else dtype_of(self.input)
        if dtype_of(self.output) != wanted:
            raise VerifyException(f"expected result of element type {wanted}, got {dtype_of(self.output)}")


@irdl_op_definition
class SortOp(NNOp):
    """Rows [R, n] of keys in falling order, as one kernel does it; the first `count` of each, rounded up to 16. Equal keys keep
    their order, NaN is as low as minus infinity.

    A row is taken in blocks of `block` elements, the last one shorter, and may be cut into `pieces` of equally many blocks:
    each piece gives its own `count`, one behind the other. Result [planes, R, pieces · count]: plane 0 holds the keys. With
    `positions` the first operand behind the keys names the places of a block (0, 1, …, as many as the block rounded up to
    16); the planes are those names and, if a row has several blocks, the number of the block. Further operands [R, n] are
    carried along, a plane each. What a row lacks to whole lists of 16 is minus infinity."""

    name = "nn.sort"
    SHAPE = staticmethod(nn_shapes.sort)
    inputs = var_operand_def(TensorType)
    count = prop_def(INT)
    block = prop_def(INT)
    pieces = prop_def(INT)
    positions: UnitAttr | None = opt_prop_def(UnitAttr)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self, inputs: Sequence[SSAValue], *, count: int, block: int, pieces: int = 1, positions: bool = False
    ) -> None:
        self._setup(
            [list(inputs)], {"count": count, "block": block, "pieces": pieces, "positions": positions}
        )


class _AlongAxisOp(UnaryOp):
    """Shape kept, computed along one axis (from the front)."""

    SHAPE = staticmethod(nn_shapes.along_axis)
    axis = prop_def(INT)

    def __init__(self, input: Value, axis: int) -> None:
        self._setup([input], {"axis": axis})


@irdl_op_definition
class SoftmaxOp(_AlongAxisOp):
    """e^(x - max) over its sum."""

    name = "nn.softmax"


@irdl_op_definition
class LogSoftmaxOp(_AlongAxisOp):
    """Logarithm of softmax, computed without underflow."""

    name = "nn.log_softmax"


@irdl_op_definition
class LayerNormOp(NNOp):
    """(x - mean) / sqrt(variance + epsilon) over all axes from `axis` on, times scale, plus bias."""

    name = "nn.layer_norm"
    SHAPE = staticmethod(nn_shapes.layer_norm)
    input = operand_def(TensorType)
    scale = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    axis = prop_def(INT)
    epsilon = prop_def(FLOAT)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self, input: Value, scale: Value, bias: Value | None = None, *, axis: int, epsilon: float = 1e-5
    ) -> None:
        self._setup([input, scale, bias], {"axis": axis, "epsilon": float(epsilon)})


@irdl_op_definition
class InstanceNormOp(NNOp):
    """Normalises each channel of each sample over its positions; scale and bias per channel."""

    name = "nn.instance_norm"
    SHAPE = staticmethod(nn_shapes.per_channel)
    input = operand_def(TensorType)
    scale = operand_def(TensorType)
    bias = operand_def(TensorType)
    epsilon = prop_def(FLOAT)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, input: Value, scale: Value, bias: Value, *, epsilon: float = 1e-5) -> None:
        self._setup([input, scale, bias], {"epsilon": float(epsilon)})


@irdl_op_definition
class BatchNormOp(NNOp):
    """scale · (x - mean) / sqrt(variance + epsilon) + bias with stored statistics; folded into a
    convolution where one precedes.
    """

    name = "nn.batch_norm"
    SHAPE = staticmethod(nn_shapes.per_channel)
    ELEMENT_RULE: ClassVar = "first"
    input = operand_def(TensorType)
    scale = operand_def(TensorType)
    bias = operand_def(TensorType)
    mean = operand_def(TensorType)
    variance = operand_def(TensorType)
    epsilon = prop_def(FLOAT)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self, input: Value, scale: Value, bias: Value, mean: Value, variance: Value, *, epsilon: float = 1e-5
    ) -> None:
        self._setup([input, scale, bias, mean, variance], {"epsilon": float(epsilon)})


@irdl_op_definition
class LRNOp(UnaryOp):
    """x / (bias + alpha/size · sum of squares over `size` neighbouring channels)^beta."""

    name = "nn.lrn"
    size = prop_def(INT)
    alpha = prop_def(FLOAT)
    beta = prop_def(FLOAT)
    bias = prop_def(FLOAT)

    def __init__(self, input: Value, *, size: int, alpha: float, beta: float, bias: float) -> None:
        self._setup([input], {"size": size, "alpha": float(alpha), "beta": float(beta), "bias": float(bias)})


ROOT_OPS: tuple[type[NNOp], ...] = (
    ConvOp, ConvTransposeOp, MatMulOp, AttentionOp, RecurrenceOp, MaxPoolOp, AvgPoolOp, ReduceOp, ArgReduceOp, TopKOp, SortOp,
    SoftmaxOp, LogSoftmaxOp, LayerNormOp, InstanceNormOp, BatchNormOp, LRNOp,
)  # fmt: skip
"""All ops of this file."""
