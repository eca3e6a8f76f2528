"""Attention and rotary embedding of domain com.microsoft, as products, softmax and moves."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from ..dialects import nn
from ..dialects.dtypes import numpy_dtype
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_gather import picked
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_moves import slice_axis

DOMAIN = "com.microsoft"
LEAST = -60000.0
"""What f16 adds as a mask behind the diagonal at most: with another mask on top it still orders what is below."""


@onnx_op("Attention", domain=DOMAIN)
def attention(node: Node) -> list[Value]:
    """Attention with the weights of queries, keys and values in one matrix [width, q + k + v]; output 1 holds the keys and
    values of all positions, past ones in front."""
    require(constraints.operand_is_left_out, "past_sequence_length", node.get(6) is None)
    require(constraints.attribute_is_zero, "do_rotary", node.int("do_rotary", 0))
    shared = node.int("past_present_share_buffer", 0)
    require(constraints.attribute_is_zero, "past_present_share_buffer", shared)
    x, weight, past = node.input(0), node.input(1), node.get(4)
    heads = node.int("num_heads")
    sizes = node.ints("qkv_hidden_sizes", (weight.shape[1] // 3,) * 3)
    require(constraints.spatial_list, "qkv_hidden_sizes", sizes, 3)
    product = node.emit(nn.MatMulOp, x, weight)
    if node.get(2) is not None:
        product = node.emit(nn.AddOp, product, node.input(2))
    parts: list[Value] = []
    for index, inner in enumerate(sizes):
        own = apart(node, slice_axis(node, product, 2, sum(sizes[:index]), inner), heads)
        if past is not None and index:
            before = slice_axis(node, past, 0, index - 1, 1)
            own = node.emit(nn.ConcatOp, [node.reshape(before, past.shape[1:]), own], 2)
        parts.append(own)
    q, k, v = parts
    scale = node.float("scale", 0.0) or 1 / sqrt(sizes[0] // heads)
    masks = [*masks_of(node, node.get(3), q, k), node.get(5)]
    result = attended(node, q, k, v, scale, [mask for mask in masks if mask is not None])
    result = together(node, result)
    if not node.uses_output(1):
        return [result]
    both = [node.reshape(value, (1, *value.shape)) for value in (k, v)]
    return [result, node.emit(nn.ConcatOp, both, 0)]


def apart(node: Node, value: Value, heads: int) -> Value:
    """[batch, rows, heads · size] as [batch, heads, rows, size]."""
    batch, rows, inner = value.shape
    require(constraints.divides, "inner width", inner, heads)
    return node.emit(nn.TransposeOp, node.reshape(value, (batch, rows, heads, inner // heads)), (0, 2, 1, 3))


def together(node: Node, value: Value) -> Value:
    """[batch, heads, rows, size] as [batch, rows, heads · size]."""
    batch, heads, rows, size = value.shape
    return node.reshape(node.emit(nn.TransposeOp, value, (0, 2, 1, 3)), (batch, rows, heads * size))


def attended(
    node: Node, q: Value, k: Value, v: Value, scale: float, masks: Sequence[Value], softcap: float = 0.0
) -> Value:
    """softmax(scale · Q · Kᵀ + masks) · V, all [batch, heads, rows, size]; `softcap` bounds the scores by c · tanh(x / c)."""
    scores = node.emit(nn.MatMulOp, q, k, trans_b=True)
    scores = node.emit(nn.MulOp, scores, node.scalar(scale, scores))
    if softcap:
        inner = node.emit(nn.TanhOp, node.emit(nn.MulOp, scores, node.scalar(1 / softcap, scores)))
        scores = node.emit(nn.MulOp, inner, node.scalar(softcap, scores))
    for mask in masks:
        scores = node.emit(nn.AddOp, scores, mask)
    return node.emit(nn.MatMulOp, node.emit(nn.SoftmaxOp, scores, 3), v)


def masks_of(node: Node, mask: Value | None, q: Value, k: Value, past: int | None = None) -> list[Value]:
    """What is added to the scores: mask_filter_value where the mask is 0, and behind the diagonal of a causal model, which
    begins `past` positions to the right (by default so many as keys are more than queries)."""
    low, (batch, _, rows, _), total = node.float("mask_filter_value", -10000.0), q.shape, k.shape[2]
    found: list[Value] = []
    if mask is not None:
        found.append(node.emit(nn.MulOp, *_missing(node, _kept(node, mask, (batch, rows, total)), low, q)))
    if node.int("unidirectional", 0):
        start = 1 + (total - rows if past is None else past)
        above = np.triu(np.full((rows, total), max(low, LEAST), numpy_dtype(q.dtype)), start)
        above[-1] = (
            0  # onnxruntime leaves the last row out, which sees everything where keys are the queries'
        )
        found.append(node.constant(above[None, None]))
    return found


def _missing(node: Node, kept: Value, low: float, like: Value) -> tuple[Value, Value]:
    """1 where nothing is kept, and what is added there."""
    kept = node.cast(kept, like.dtype)
    return node.emit(nn.SubOp, node.scalar(1.0, kept), kept), node.scalar(low, kept)


def added_where_not(node: Node, kept: Value, like: Value) -> Value:
    """A mask that takes out what is not kept."""
    return node.emit(nn.MulOp, *_missing(node, kept, LEAST, like))


def _kept(node: Node, mask: Value, sizes: tuple[int, int, int]) -> Value:
    """1 or true where a position counts, to be broadcast over scores [batch, heads, rows, total]. A mask holds a number for
    each position, or for each entry of the batch where its positions end and, behind those, where they begin; of a mask
    with 3 · batch + 2 numbers the first are the ends."""
    batch, rows, total = sizes
    require(constraints.mask_of_positions, mask.shape, sizes)
    if mask.rank > 1:
        shape = (batch, 1, *((1,) if mask.rank == 2 else (rows,)), total)
        return node.emit(nn.ClipOp, node.reshape(mask, shape), min=0.0, max=1.0)
    places = node.constant(np.arange(total, dtype=numpy_dtype(mask.dtype))[None, None, None])
    ends = node.reshape(slice_axis(node, mask, 0, 0, batch), (batch, 1, 1, 1))
    kept = node.emit(nn.LessOp, places, ends)
    if mask.shape[0] != 2 * batch:
        return kept
    begins = node.reshape(slice_axis(node, mask, 0, batch, batch), (batch, 1, 1, 1))
    return node.emit(nn.AndOp, kept, node.emit(nn.GreaterEqualOp, places, begins))


@onnx_op("RotaryEmbedding", domain=DOMAIN)
def rotary_embedding(node: Node) -> Value:
    """Pairs of elements turned by the angles of their position; [batch, rows, heads·size] or [batch, heads, rows, size]. With
    `rotary_embedding_dim` only so many elements of each head turn."""
    x, places, cosines = node.input(0), node.input(1), node.input(2)
    half, flat = cosines.shape[1], x.rank == 3
    require(constraints.attribute_is_zero, "is_packed_batching", node.int("is_packed_batching", 0))
    images = x
    if flat:
        heads = node.int("num_heads", 0) or x.shape[2] // (2 * half)
        shape = (x.shape[0], x.shape[1], heads, x.shape[2] // heads)
        images = node.emit(nn.TransposeOp, node.reshape(x, shape), (0, 2, 1, 3))
    places = _places(node, places, images.shape[2])
    whole = turned(node, images, places, node.input(2), node.input(3), pairs=bool(node.int("interleaved", 0)))
    return together(node, whole) if flat else whole


def turned(node: Node, images: Value, places: Value, cosines: Value, sines: Value, *, pairs: bool) -> Value:
    """Pairs of elements of [batch, heads, rows, size] turned by the angles of `places` [batch or 1, rows] in tables
    [positions, pairs]: neighbours, or elements half of the turning part apart."""
    batch, heads, rows, size = images.shape
    half = cosines.shape[1]
    cos, sin = (
        node.reshape(picked(node, table, places, 0), (places.shape[0], 1, rows, half))
        for table in (cosines, sines)
    )
    turning = slice_axis(node, images, 3, 0, 2 * half)
    split = node.reshape(turning, (batch, heads, rows, *((half, 2) if pairs else (2, half))))
    axis = 4 if pairs else 3
    one, other = (
        node.reshape(slice_axis(node, split, axis, i, 1), (batch, heads, rows, half)) for i in (0, 1)
    )
    low = node.emit(nn.SubOp, node.emit(nn.MulOp, one, cos), node.emit(nn.MulOp, other, sin))
    high = node.emit(nn.AddOp, node.emit(nn.MulOp, one, sin), node.emit(nn.MulOp, other, cos))
    parts = [node.reshape(v, (*v.shape[:3], *((half, 1) if pairs else (1, half)))) for v in (low, high)]
    whole = node.reshape(node.emit(nn.ConcatOp, parts, axis), turning.shape)
    if size > 2 * half:
        rest = slice_axis(node, images, 3, 2 * half, size - 2 * half)
        whole = node.emit(nn.ConcatOp, [whole, rest], 3)
    return whole


def _places(node: Node, places: Value, rows: int) -> Value:
    """A position for each row; a single number is that of the first row."""
    if places.rank > 1:
        return places
    if places.array is not None:
        first = int(places.array.reshape(-1)[0])
        return node.constant(np.arange(first, first + rows, dtype=np.int64)[None])
    first = node.reshape(node.cast(places, "i32"), (1, 1))
    return node.emit(nn.AddOp, first, node.constant(np.arange(rows, dtype=np.int32)[None]))
