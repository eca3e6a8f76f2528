"""Reference semantics of convolutions, products, windows, reductions and normalisations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from xdsl.ir import Operation

from ...dialects import nn
from ...dialects.dtypes import Array
from ...dialects.nn_roots import HIDDEN
from ...dialects.nn_shapes import SORT_GROUP

IM2COL_ELEMENTS = 1 << 25
"""Above this the patches of a convolution are not laid out at once but one kernel position after the
other.
"""


def _padded(x: Array, pads: Sequence[int], value: float = 0) -> Array:
    if not any(pads):
        return x
    return np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])], constant_values=value)


def _window_views(
    x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Iterator[tuple[int, int, Array]]:
    """For each kernel position the elements it meets, [N, C, out_h, out_w], as a view."""
    out = [(x.shape[2 + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1 for i in range(2)]
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilations[0], column * dilations[1]
            yield (
                row,
                column,
                x[
                    :,
                    :,
                    top : top + (out[0] - 1) * strides[0] + 1 : strides[0],
                    left : left + (out[1] - 1) * strides[1] + 1 : strides[1],
                ],
            )


def conv(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
) -> Array:
    """Convolution by BLAS: patches as a matrix, or a sum over kernel positions where that would be too
    large.
    """
    x = _padded(x, pads)
    out_channels, depth, kh, kw = w.shape
    views = list(_window_views(x, (kh, kw), strides, dilations))
    batch, _, out_h, out_w = views[0][2].shape
    if depth == 1 and out_channels == group:
        result = _depthwise(views, w)
    elif kh * kw > 1 and batch * depth * group * kh * kw * out_h * out_w <= IM2COL_ELEMENTS:
        patches = np.stack([view for _, _, view in views], axis=2)  # [N, C, kh·kw, oh, ow]
        columns = patches.reshape(batch, group, depth * kh * kw, out_h * out_w)
        result = np.matmul(w.reshape(group, out_channels // group, -1), columns)
    else:
        result = np.zeros((batch, group, out_channels // group, out_h * out_w), x.dtype)
        for row, column, view in views:
            weight = w[:, :, row, column].reshape(group, out_channels // group, depth)
            result += np.matmul(weight, view.reshape(batch, group, depth, out_h * out_w))
    result = result.reshape(batch, out_channels, out_h, out_w)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def _depthwise(views: Sequence[tuple[int, int, Array]], w: Array) -> Array:
    result = np.zeros(views[0][2].shape, w.dtype)
    for row, column, view in views:
        result += view * w[:, 0, row, column].reshape(-1, 1, 1)
    return result


def conv_transpose(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],
    group: int,
) -> Array:
    """Each input element adds a scaled kernel to the output."""
    batch, channels, height, width = x.shape
    _, depth, kh, kw = w.shape
    full = [
        (size - 1) * strides[i] + dilations[i] * (w.shape[2 + i] - 1) + 1 + max(output_padding[i], 0)
        for i, size in enumerate((height, width))
    ]
    extents = [full[i] - pads[i] - pads[i + 2] for i in range(2)]
    canvas = [max(full[i], pads[i] + extents[i]) for i in range(2)]  # negative pads widen
    result = np.zeros((batch, group * depth, *canvas), x.dtype)
    columns = x.reshape(batch, group, channels // group, height * width)
    weights = w.reshape(group, channels // group, depth, kh, kw)
    for row, column, view in _window_views(result, (kh, kw), strides, dilations):
        part = np.matmul(weights[..., row, column].transpose(0, 2, 1), columns)
        view[:, :, :height, :width] += part.reshape(batch, group * depth, height, width)
    result = _crop(result, pads, extents)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def _crop(x: Array, pads: Sequence[int], extents: Sequence[int]) -> Array:
    before = [max(-pads[0], 0), max(-pads[1], 0)]
    x = np.pad(x, [(0, 0), (0, 0), (before[0], 0), (before[1], 0)])
    top, left = max(pads[0], 0), max(pads[1], 0)
    return x[:, :, top : top + extents[0], left : left + extents[1]]


def matmul(
    lhs: Array, rhs: Array, bias: Array | None = None, *, trans_a: bool = False, trans_b: bool = False
) -> Array:
    product = np.matmul(lhs.swapaxes(-1, -2) if trans_a else lhs, rhs.swapaxes(-1, -2) if trans_b else rhs)
    return product if bias is None else product + bias


def to_terms(x: Array) -> Array:
    """[h; l; h] along the channels: h = f16(x), l = f16(x - h). The chip's f16 ends at 65504."""
    high = np.clip(x, -65504, 65504).astype(np.float16)
    low = (x - high.astype(np.float32)).astype(np.float16)
    return np.concatenate([high, low, high], axis=1)


def from_terms(x: Array) -> Array:
    """h + l, exactly: 22 bits fit in an f32."""
    high, low, _ = np.split(x, 3, axis=1)
    return high.astype(np.float32) + low.astype(np.float32)


def add_terms(lhs: Array, rhs: Array) -> Array:
    high, low, _ = np.split(rhs.astype(lhs.dtype), 3, axis=1)
    return lhs + high + low


def sum_terms(x: Array) -> Array:
    """[1, C, 1, 2] → [C] in f32."""
    return x.astype(np.float32).sum(axis=3).reshape(-1)


def _max_pool_terms(x: Array, pool: Callable[[Array], Array]) -> Array:
    """The largest number, by the largest first term and what the number has beside it."""
    high = pool(np.split(x, 3, axis=1)[0])
    low = pool(from_terms(x)) - high
    return np.concatenate([high, low, high], axis=1)


def max_pool(
    x: Array,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    terms: bool = False,
) -> Array:
    if terms:
        window = partial(max_pool, kernel=kernel, strides=strides, pads=pads, dilations=dilations)
        return _max_pool_terms(x, window)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    views = [view for _, _, view in _window_views(_padded(x, pads, lowest), kernel, strides, dilations)]
    result = views[0].copy()
    for view in views[1:]:
        np.maximum(result, view, out=result)
    return result


def avg_pool(
    x: Array,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    count_include_pad: bool = False,
) -> Array:
    counted = _padded(np.ones((1, 1, *x.shape[2:]), x.dtype), pads, 1 if count_include_pad else 0)
    total = _window_sum(_padded(x, pads), kernel, strides, dilations)
    return total / _window_sum(counted, kernel, strides, dilations)


def _window_sum(x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Array:
    views = [view for _, _, view in _window_views(x, kernel, strides, dilations)]
    result = views[0].copy()
    for view in views[1:]:
        result += view
    return result


def _log_sum_exp(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    safe = np.where(np.isfinite(top), top, 0)
    total = np.log(np.sum(np.exp(x - safe), axis=axis, keepdims=True)) + safe
    return total if keepdims else total.reshape([d for i, d in enumerate(total.shape) if i not in axis])


def _mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    if x.dtype.kind == "f":
        return np.mean(x, axis=axis, keepdims=keepdims)
    return np.trunc(np.mean(x, axis=axis, keepdims=keepdims)).astype(x.dtype)


_REDUCTIONS: dict[str, Callable[[Array, tuple[int, ...], bool], Array]] = {
    "sum": lambda x, axis, keep: np.sum(x, axis=axis, keepdims=keep, dtype=x.dtype),
    "mean": _mean,
    "max": lambda x, axis, keep: np.max(x, axis=axis, keepdims=keep, initial=_lowest(x)),
    "min": lambda x, axis, keep: np.min(x, axis=axis, keepdims=keep, initial=_highest(x)),
    "prod": lambda x, axis, keep: np.prod(x, axis=axis, keepdims=keep, dtype=x.dtype),
    "sum_square": lambda x, axis, keep: np.sum(x * x, axis=axis, keepdims=keep, dtype=x.dtype),
    "l1": lambda x, axis, keep: np.sum(np.abs(x), axis=axis, keepdims=keep, dtype=x.dtype),
    "l2": lambda x, axis, keep: np.sqrt(np.sum(x * x, axis=axis, keepdims=keep, dtype=x.dtype)),
    "log_sum": lambda x, axis, keep: np.log(np.sum(x, axis=axis, keepdims=keep, dtype=x.dtype)),
    "log_sum_exp": _log_sum_exp,
}


def _lowest(x: Array) -> float | bool:
    if x.dtype.kind == "b":
        return False
    return -np.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)


def _highest(x: Array) -> float | bool:
    if x.dtype.kind == "b":
        return True
    return np.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).max)


def reduce(x: Array, *, kind: str, axes: Sequence[int], keepdims: bool = False) -> Array:
    return _REDUCTIONS[kind](x, tuple(axes), keepdims)


def arg_reduce(x: Array, *, kind: str, axis: int, keepdims: bool = False, last: bool = False) -> Array:
    find = np.argmax if kind == "max" else np.argmin
    if not last:
        return find(x, axis=axis, keepdims=keepdims)
    return x.shape[axis] - 1 - find(np.flip(x, axis), axis=axis, keepdims=keepdims)


def softmax(x: Array, *, axis: int) -> Array:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None = None,
    *,
    scale: float,
    zero_empty: bool = False,
) -> Array:
    """As its definition, in f32 at least, rounded once at the end."""
    kind = np.promote_types(query.dtype, np.float32)
    shared = query.shape[-3] // key.shape[-3]
    q, k, v = (x.astype(kind) for x in (query, key, value))
    k, v = (np.repeat(x, shared, axis=-3) for x in (k, v))
    scores = np.matmul(q, np.swapaxes(k, -1, -2)) * kind.type(scale)
    if mask is not None:
        scores = np.maximum(scores + np.swapaxes(mask, -1, -2).astype(kind), kind.type(2 * HIDDEN))
    shares = softmax(scores, axis=scores.ndim - 1)
    if zero_empty:
        shares = np.where(np.max(scores, axis=-1, keepdims=True) > HIDDEN, shares, 0)
    return np.matmul(shares, v).astype(query.dtype)


def recurrence(
    parts: Array,
    weight: Array,
    initial: Array | None = None,
    *,
    kind: str,
    direction: str,
    steps: int,
    last_cell: bool = False,
) -> Array:
    """Step by step in f32 at least; what a step hands on is not rounded in between."""
    wide = np.promote_types(parts.dtype, np.float32)
    hidden, batch = weight.shape[1], parts.shape[0] // steps
    directions = weight.shape[0] // hidden // {"rnn": 1, "lstm": 4}.get(kind, 3)
    before = np.zeros((2, directions, batch, hidden), wide)
    if initial is not None:
        given = initial.reshape(batch, -1, directions, hidden).transpose(1, 2, 0, 3)
        before[: len(given)] = given
    x = parts.astype(wide).reshape(steps, batch, directions, -1)
    r = weight.astype(wide).reshape(directions, -1, hidden)
    every = np.zeros((steps, batch, directions, hidden), wide)
    cells = np.zeros((batch, directions, hidden), wide)
    for d in range(directions):
        h, c = before[:, d]
        backwards = direction == "reverse" or d == 1
        for step in reversed(range(steps)) if backwards else range(steps):
            h, c = _STEPS[kind](x[step, :, d], r[d].T, h, c)
            every[step, :, d] = h
        cells[:, d] = c
    rows = every.reshape(steps * batch, -1)
    return (np.concatenate([rows, cells.reshape(batch, -1)]) if last_cell else rows).astype(parts.dtype)


def _logistic(x: Array) -> Array:
    return 0.5 * np.tanh(0.5 * x) + 0.5


def _lstm(part: Array, weight: Array, h: Array, c: Array) -> tuple[Array, Array]:
    i, o, f, new = np.split(part + h @ weight, 4, axis=-1)
    c = _logistic(f) * c + _logistic(i) * np.tanh(new)
    return _logistic(o) * np.tanh(c), c


def _gru(part: Array, weight: Array, h: Array, c: Array) -> tuple[Array, Array]:
    two = 2 * h.shape[-1]
    product = h @ weight
    z, r = np.split(_logistic(part[:, :two] + product[:, :two]), 2, axis=-1)
    own, bias = np.split(part[:, two:], 2, axis=-1)
    new = np.tanh(own + r * (product[:, two:] + bias))
    return new + z * (h - new), c


def _reset_gru(part: Array, weight: Array, h: Array, c: Array) -> tuple[Array, Array]:
    two = 2 * h.shape[-1]
    z, r = np.split(_logistic(part[:, :two] + h @ weight[:, :two]), 2, axis=-1)
    new = np.tanh(part[:, two:] + (r * h) @ weight[:, two:])
    return new + z * (h - new), c


def _rnn(part: Array, weight: Array, h: Array, c: Array) -> tuple[Array, Array]:
    return np.tanh(part + h @ weight), c


_STEPS = {"lstm": _lstm, "gru": _gru, "reset_gru": _reset_gru, "rnn": _rnn}


def log_softmax(x: Array, *, axis: int) -> Array:
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def _normalized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    mean = np.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    return centred / np.sqrt(variance + np.asarray(epsilon, x.dtype))


def layer_norm(x: Array, scale: Array, bias: Array | None = None, *, axis: int, epsilon: float) -> Array:
    result = _normalized(x, tuple(range(axis, x.ndim)), epsilon) * scale
    return result if bias is None else result + bias


def _channelwise(parameter: Array, like: Array) -> Array:
    return parameter.reshape(-1, *(1,) * (like.ndim - 2))


def instance_norm(x: Array, scale: Array, bias: Array, *, epsilon: float) -> Array:
    result = _normalized(x, tuple(range(2, x.ndim)), epsilon)
    return result * _channelwise(scale, x) + _channelwise(bias, x)


def batch_norm(x: Array, scale: Array, bias: Array, mean: Array, variance: Array, *, epsilon: float) -> Array:
    factor = scale / np.sqrt(variance + np.asarray(epsilon, variance.dtype))
    return (x - _channelwise(mean, x)) * _channelwise(factor, x) + _channelwise(bias, x)


def lrn(x: Array, *, size: int, alpha: float, beta: float, bias: float) -> Array:
    squares = np.pad(x * x, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (x.ndim - 2)])
    channels = x.shape[1]
    total = sum((squares[:, i : i + channels] for i in range(1, size)), squares[:, :channels])
    return x / np.power(bias + alpha / size * total, beta)


def _rank_keys(x: Array) -> Array:
    """Numbers that grow as elements fall in rank; NaN is as low as minus infinity."""
    if x.dtype.kind in "iub":
        return -x.astype(np.int64)
    wide = -x.astype(np.float64)
    return np.where(np.isnan(wide), np.inf, wide)


def top_k(x: Array, *, count: int, smallest: bool = False, positions: bool = False) -> Array:
    keys = _rank_keys(x)
    if smallest:
        keys = np.where(np.isnan(x), np.inf, -keys) if x.dtype.kind == "f" else -keys
    order = np.argsort(keys, axis=-1, kind="stable")[..., :count]
    return order.astype(np.int32) if positions else np.take_along_axis(x, order, axis=-1)


def sort(
    keys: Array, *others: Array, count: int, block: int, pieces: int = 1, positions: bool = False
) -> Array:
    """Planes of lists of whole groups; see `nn.SortOp`."""
    rows, length = keys.shape
    blocks = -(-length // block)
    places = -(-block // SORT_GROUP) * SORT_GROUP
    surplus = ((0, 0), (0, blocks * places - length))
    planes = [np.pad(keys, surplus, constant_values=-np.inf)]
    if positions:
        planes.append(np.tile(others[0], (rows, blocks)))
        if blocks > 1:
            numbers = np.repeat(np.arange(blocks, dtype=keys.dtype), places)
            planes.append(np.broadcast_to(numbers, (rows, blocks * places)))
    planes += [np.pad(x, surplus, constant_values=-np.inf) for x in others[1 if positions else 0 :]]
    shape = (rows, pieces, blocks * places // pieces)
    order = np.argsort(_rank_keys(planes[0].reshape(shape)), axis=-1, kind="stable")
    order = order[..., : -(-count // SORT_GROUP) * SORT_GROUP]
    return np.stack([np.take_along_axis(p.reshape(shape), order, -1).reshape(rows, -1) for p in planes])


SEMANTICS: dict[type[Operation], Callable[..., Array]] = {
    nn.ConvOp: conv,
    nn.ConvTransposeOp: conv_transpose,
    nn.MatMulOp: matmul,
    nn.MaxPoolOp: max_pool,
    nn.ToTermsOp: to_terms,
    nn.AddTermsOp: add_terms,
    nn.SumTermsOp: sum_terms,
    nn.AvgPoolOp: avg_pool,
    nn.ReduceOp: reduce,
    nn.ArgReduceOp: arg_reduce,
    nn.TopKOp: top_k,
    nn.SortOp: sort,
    nn.AttentionOp: attention,
    nn.RecurrenceOp: recurrence,
    nn.SoftmaxOp: softmax,
    nn.LogSoftmaxOp: log_softmax,
    nn.LayerNormOp: layer_norm,
    nn.InstanceNormOp: instance_norm,
    nn.BatchNormOp: batch_norm,
    nn.LRNOp: lrn,
}
