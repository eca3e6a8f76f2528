"""MultiHeadAttention and GroupQueryAttention of domain com.microsoft: attention of parts that are projected already."""

from __future__ import annotations

from math import prod, sqrt

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_microsoft_attention import added_where_not, apart, attended, masks_of, together, turned
from .onnx_ops_moves import slice_axis

DOMAIN = "com.microsoft"


@onnx_op("MultiHeadAttention", domain=DOMAIN)
def multi_head_attention(node: Node) -> list[Value]:
    """Queries [batch, rows, width] with keys and values of the same form, of the form [batch, heads, rows, size], or both, or
    all three, in one tensor with an axis for them. Outputs 1 and 2 are keys and values with the past in front."""
    for index, name in ((8, "past_sequence_length"), (9, "cache_indirection")):
        require(constraints.operand_is_left_out, name, node.get(index) is None)
    require(constraints.output_is_unused, "qk", node.uses_output(3))
    q, k, v = _parts(node, node.int("num_heads"))
    before = 0
    if node.get(6) is not None:
        before = node.input(6).shape[2]
        k, v = (node.emit(nn.ConcatOp, [node.input(i), new], 2) for i, new in ((6, k), (7, v)))
    scale = node.float("scale", 0.0) or 1 / sqrt(q.shape[3])
    masks = [*masks_of(node, node.get(4), q, k, before), node.get(5)]
    result = attended(node, q, k, v, scale, [mask for mask in masks if mask is not None])
    return [together(node, result), k, v]


def _parts(node: Node, heads: int) -> list[Value]:
    """Queries, keys and values as [batch, heads, rows, size], with their shares of the bias."""
    q, bias = node.input(0), node.get(3)
    if q.rank == 5:
        given = [_entry(node, q, i) for i in range(3)]
    elif node.input(1).rank == 5:
        given = [q, *(_entry(node, node.input(1), i) for i in range(2))]
    else:
        given = [q, node.input(1), node.input(2)]
    parts: list[Value] = []
    place = 0
    for value in given:
        if value.rank == 4:  # keys and values of another sequence, which are complete
            parts.append(value)
            continue
        width = value.shape[2]
        own = None if bias is None else slice_axis(node, bias, 0, place, width)
        place += width
        parts.append(apart(node, value if own is None else node.emit(nn.AddOp, value, own), heads))
    return parts


def _entry(node: Node, packed: Value, number: int) -> Value:
    """[batch, rows, heads · size] of [batch, rows, heads, parts, size]."""
    batch, rows, heads, _, size = packed.shape
    return node.reshape(slice_axis(node, packed, 3, number, 1), (batch, rows, heads * size))


@onnx_op("GroupQueryAttention", domain=DOMAIN)
def group_query_attention(node: Node) -> list[Value]:
    """Causal attention with fewer heads of keys and values than of queries, and a cache. Outputs 1 and 2 are the cache
    with the new keys and values; what lies behind them is zero, or what was there."""
    _check_settings(node)
    heads, groups = node.int("num_heads"), node.int("kv_num_heads")
    q, k, v = _group_parts(node, heads, groups)
    rows = q.shape[2]
    total = int(node.known_ints(6, "total_sequence_length")[0])
    ends = node.reshape(node.cast(node.input(5), "i32"), (prod(node.input(5).shape), 1))
    before = _before(node, ends, rows, total)
    if node.int("do_rotary", 0):
        places = _rotary_places(node, before, rows)
        pairs = bool(node.int("rotary_interleaved", 0))
        q, k = (turned(node, x, places, node.input(7), node.input(8), pairs=pairs) for x in (q, k))
    past = [node.get(3), node.get(4)]
    k, v = (_cached(node, old, new, before, total) for old, new in zip(past, (k, v), strict=True))
    masks = [_causal(node, before, ends, rows, k)]
    if node.get(10) is not None:
        masks.append(node.input(10))
    scale = node.float("scale", 0.0) or 1 / sqrt(q.shape[3])
    every = [_repeated(node, x, heads // groups) for x in (k, v)]
    result = attended(node, q, every[0], every[1], scale, masks, node.float("softcap", 0.0))
    return [together(node, result), k, v]


def _check_settings(node: Node) -> None:
    """What is refused: softmax with a further summand, scores as an output, caches of integers."""
    require(constraints.attribute_is_zero, "smooth_softmax", max(node.int("smooth_softmax", 0), 0))
    for name in ("qk_output", "kv_cache_bit_width"):
        require(constraints.attribute_is_zero, name, node.int(name, 0))
    require(constraints.operand_is_left_out, "head_sink", node.get(11) is None)
    require(constraints.output_is_unused, "output_qk", node.uses_output(3))


def _group_parts(node: Node, heads: int, groups: int) -> tuple[Value, Value, Value]:
    q = node.input(0)
    require(constraints.divides, "num_heads", heads, groups)
    if node.get(1) is not None:
        k, v = (apart(node, node.input(i), groups) for i in (1, 2))
        return apart(node, q, heads), k, v
    whole = apart(node, q, heads + 2 * groups)
    firsts = ((0, heads), (heads, groups), (heads + groups, groups))
    q, k, v = (slice_axis(node, whole, 1, *part) for part in firsts)
    return q, k, v


def _before(node: Node, ends: Value, rows: int, total: int) -> Value:
    """How many positions of each sequence lie before the new ones, i32 [batch or 1, 1]: none in a prompt; the length of
    the only sequence is the total one."""
    if rows == total:
        return node.constant(np.zeros((1, 1), np.int32))
    if ends.shape[0] == 1:
        return node.constant(np.full((1, 1), total - rows, np.int32))
    return node.emit(nn.AddOp, ends, node.constant(np.full((1, 1), 1 - rows, np.int32)))


def _rotary_places(node: Node, before: Value, rows: int) -> Value:
    """The position of each row, [batch or 1, rows]."""
    given = node.get(9)
    row = node.constant(np.arange(rows, dtype=np.int32)[None])
    return node.emit(nn.AddOp, before, row) if given is None else given


def _cached(node: Node, old: Value | None, new: Value, before: Value, total: int) -> Value:
    """The cache with new rows behind what each sequence has; it is as long as it was, or as all positions."""
    batch, groups, rows, size = new.shape
    length = 0 if old is None else old.shape[2]
    if old is None or not length:
        if rows != total:
            require(constraints.fits, f"{rows} new rows of {total} positions without a past")
        return new
    if before.array is not None and before.array.size == 1:
        start = int(before.array.reshape(-1)[0])
        end = start + rows
        pieces = [slice_axis(node, old, 2, 0, start)] if start else []
        pieces.append(new)
        if length > end:
            pieces.append(slice_axis(node, old, 2, end, length - end))
        return node.emit(nn.ConcatOp, pieces, 2) if len(pieces) > 1 else new
    if rows != 1:
        require(constraints.fits, f"{rows} new rows for {batch} sequences of lengths that depend on data")
    most = max(length, total)
    if most > length:
        old = node.emit(nn.PadOp, old, (0, 0, 0, 0, 0, 0, most - length, 0))
    places = node.constant(np.arange(most, dtype=np.int32).reshape(1, 1, most, 1))
    here = node.emit(nn.EqualOp, places, node.reshape(before, (before.shape[0], 1, 1, 1)))
    whole = (batch, groups, most, size)
    return node.emit(nn.WhereOp, node.emit(nn.ExpandOp, here, whole), node.emit(nn.ExpandOp, new, whole), old)


def _causal(node: Node, before: Value, ends: Value, rows: int, k: Value) -> Value:
    """What is added to the scores: each row sees the positions up to its own, and at most `local_window_size` of them; rows
    of a prompt behind the end of their sequence see those up to the end."""
    total, window = k.shape[2], node.int("local_window_size", -1)
    places = node.constant(np.arange(total, dtype=np.int32).reshape(1, 1, 1, total))
    row = node.constant(np.arange(rows, dtype=np.int32).reshape(1, 1, rows, 1))
    own = node.emit(nn.AddOp, row, node.reshape(before, (before.shape[0], 1, 1, 1)))
    kept = node.emit(nn.LessEqualOp, places, own)
    if rows > 1 and ends.shape[0] > 1:
        inside = node.emit(nn.LessEqualOp, places, node.reshape(ends, (ends.shape[0], 1, 1, 1)))
        kept = node.emit(nn.AndOp, kept, inside)
    if window > 0:
        first = node.emit(nn.SubOp, own, node.constant(np.array(window, np.int32)))
        kept = node.emit(nn.AndOp, kept, node.emit(nn.GreaterOp, places, first))
    if kept.array is not None:
        low = np.where(kept.array, 0, -60000.0).astype(np.float32 if k.dtype == "f32" else np.float16)
        return node.constant(low)
    return added_where_not(node, kept, k)


def _repeated(node: Node, value: Value, times: int) -> Value:
    """Each head for so many heads of queries."""
    batch, groups, rows, size = value.shape
    if times == 1:
        return value
    wide = node.reshape(value, (batch, groups, 1, rows, size))
    wide = node.emit(nn.ExpandOp, wide, (batch, groups, times, rows, size))
    return node.reshape(wide, (batch, groups * times, rows, size))
