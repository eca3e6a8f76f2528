"""Inverse circular functions, Fourier transforms, and other ONNX operators that are sums with constant factors."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, prod

import numpy as np

from ..dialects import nn
from ..dialects.dtypes import Array, numpy_dtype
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_elementwise import element_type
from .onnx_ops_moves import slice_axis
from .onnx_ops_strings import positions, texts_of

SMALL_PRODUCT = 1 << 22
"""Pairs of elements up to which a product with constants is summed in f32 by the vector unit, exactly as it says; the
cube multiplies f16."""

# -------------------------------------------------------------------------------------- Fourier transforms


def times_constant(node: Node, x: Value, matrix: Array) -> Value:
    """x [..., k] · matrix [k, n]."""
    inner, columns = matrix.shape
    weight = matrix.astype(np.float32)
    if prod(x.shape) * columns > SMALL_PRODUCT or not x.is_float:
        flat = node.reshape(x, (prod(x.shape[:-1]), inner))
        product = node.emit(nn.MatMulOp, flat, node.cast(node.constant(weight), x.dtype))
        return node.reshape(product, (*x.shape[:-1], columns))
    own = node.reshape(x, (prod(x.shape[:-1]), 1, inner))
    other = node.constant(np.ascontiguousarray(weight.T)[None])
    terms = node.precise(nn.MulOp, own, node.cast(other, x.dtype))
    return node.reshape(node.precise(nn.ReduceOp, terms, "sum", (2,)), (*x.shape[:-1], columns))


def _fourier_matrix(length: int, parts: int, inverse: bool, onesided: bool, given: int) -> tuple[Array, int]:
    """[given · parts, results · 2 or 1] for a row of (real, imaginary) pairs, and how many results there are."""
    if inverse and onesided:
        used = min(given, length // 2 + 1)
        turn = 2 * pi * np.outer(np.arange(given), np.arange(length)) / length
        factor = np.where((np.arange(given) == 0) | (2 * np.arange(given) == length), 1.0, 2.0)
        factor = np.where(np.arange(given) < used, factor, 0.0)[:, None] / length
        rows = np.stack([np.cos(turn) * factor, -np.sin(turn) * factor], 1)[:, :parts]
        return rows.reshape(given * parts, length), length
    count = length // 2 + 1 if onesided else length
    turn = 2 * pi * np.outer(np.arange(given), np.arange(count)) / length
    cosine, sine = np.cos(turn), np.sin(turn) * (1 if inverse else -1)
    scale = 1 / length if inverse else 1.0
    inside = (np.arange(given) < length)[:, None, None, None] * scale
    pairs = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], 1)[:, :parts]
    return (pairs * inside).reshape(given * parts, count * 2), count


def _transformed(node: Node, x: Value, axis: int, length: int, *, inverse: bool, onesided: bool) -> Value:
    """The transform of x [..., axis, ..., real and imaginary part]."""
    order = [*(i for i in range(x.rank - 1) if i != axis), axis, x.rank - 1]
    row = x if order == list(range(x.rank)) else node.precise(nn.TransposeOp, x, order)
    lead, given, parts = row.shape[:-2], row.shape[-2], row.shape[-1]
    matrix, count = _fourier_matrix(length, parts, inverse, onesided, given)
    flat = times_constant(node, node.reshape(row, (*lead, given * parts)), matrix)
    result = node.reshape(flat, (*lead, count, 1 if inverse and onesided else 2))
    if order == list(range(x.rank)):
        return result
    return node.precise(nn.TransposeOp, result, [order.index(i) for i in range(x.rank)])


def _length(node: Node, index: int, default: int) -> int:
    return int(node.known(index, "dft_length").reshape(-1)[0]) if node.get(index) is not None else default


def _dft(node: Node, axis: int) -> Value:
    x = node.input(0)
    axis = node.axis(axis, x.rank)
    inverse, onesided = bool(node.int("inverse", 0)), bool(node.int("onesided", 0))
    default = 2 * (x.shape[axis] - 1) if inverse and onesided else x.shape[axis]
    return _transformed(node, x, axis, _length(node, 1, default), inverse=inverse, onesided=onesided)


@onnx_op("DFT", since=17)
def dft_17(node: Node) -> Value:
    return _dft(node, node.int("axis", 1))


@onnx_op("DFT", since=20)
def dft(node: Node) -> Value:
    return _dft(node, int(node.known(2, "axis").reshape(-1)[0]) if node.get(2) is not None else -2)


@onnx_op("STFT")
def stft(node: Node) -> Value:
    """Frames side by side, weighted by the window, transformed."""
    x, window = node.input(0), node.get(2)
    step = int(node.known(1, "frame_step").reshape(-1)[0])
    size = window.shape[0] if window is not None else x.shape[1]
    size = _length(node, 3, size)
    count = 1 + (x.shape[1] - size) // step
    shape = (x.shape[0], size, x.shape[2])
    pieces = [node.precise(nn.SliceOp, x, (0, i * step, 0), shape) for i in range(count)]
    frames = [node.reshape(piece, (shape[0], 1, *shape[1:])) for piece in pieces]
    whole = node.precise(nn.ConcatOp, frames, 1) if count > 1 else frames[0]
    if window is not None:
        whole = node.precise(nn.MulOp, whole, node.reshape(window, (1, 1, size, 1)))
    return _transformed(node, whole, 2, size, inverse=False, onesided=bool(node.int("onesided", 1)))


@onnx_op("MelWeightMatrix")
def mel_weight_matrix(node: Node) -> Value:
    """Triangles on the mel scale over the bins of a spectrum; all its operands are numbers that are known."""
    bands, length, rate = (int(node.known(i, "size").reshape(-1)[0]) for i in range(3))
    low, high = (float(node.known(i, "frequency").reshape(-1)[0]) for i in (3, 4))

    def mel(frequency: float) -> float:
        return 2595 * float(np.log10(1 + frequency / 700))

    steps = np.arange(bands + 2) * ((mel(high) - mel(low)) / (bands + 2)) + mel(low)
    bins = np.floor((length + 1) * (700 * (np.power(10, steps / 2595) - 1)) / rate).astype(np.int64)
    matrix = np.zeros((length // 2 + 1, bands), np.float64)
    for band in range(bands):
        first, middle, last = bins[band : band + 3]
        if middle == first:
            matrix[middle, band] = 1
        else:
            matrix[first : middle + 1, band] = np.arange(middle - first + 1) / (middle - first)
        if last > middle:
            matrix[middle:last, band] = (last - np.arange(middle, last)) / (last - middle)
    code = node.int("output_datatype", 1)
    return node.constant(matrix.astype(numpy_dtype(element_type(code, "the result"))))


# ------------------------------------------------------------------------------------------------- others


@onnx_op("ReverseSequence")
def reverse_sequence(node: Node) -> Value:
    """The first entries of each sequence in reverse order; the lengths are known."""
    x = node.input(0)
    time, batch = node.int("time_axis", 0), node.int("batch_axis", 1)
    rows: list[Value] = []
    for entry, length in enumerate(node.known_ints(1, "sequence_lens")):
        row = slice_axis(node, x, batch, entry, 1)
        starts = [length - 1 if i == time else 0 for i in range(x.rank)]
        sizes = [length if i == time else size for i, size in enumerate(row.shape)]
        steps = [-1 if i == time else 1 for i in range(x.rank)]
        pieces = [node.emit(nn.SliceOp, row, starts, sizes, steps)]
        if length < x.shape[time]:
            pieces.append(slice_axis(node, row, time, length, x.shape[time] - length))
        rows.append(pieces[0] if len(pieces) == 1 else node.emit(nn.ConcatOp, pieces, time))
    return rows[0] if len(rows) == 1 else node.emit(nn.ConcatOp, rows, batch)


@onnx_op("Col2Im")
def col_to_image(node: Node) -> Value:
    """Each element of the block is an image of its own, spread by the strides and shifted; their sum."""
    x = node.input(0)
    image, block = node.known_ints(1, "image_shape"), node.known_ints(2, "block_shape")
    rank = len(image)
    strides, dilations = node.ints("strides", (1,) * rank), node.ints("dilations", (1,) * rank)
    pads = node.ints("pads", (0,) * (2 * rank))
    full = [size + pads[i] + pads[i + rank] for i, size in enumerate(image)]
    count = [(full[i] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1 for i in range(rank)]
    batch, channels = x.shape[0], x.shape[1] // prod(block)
    taps = node.reshape(x, (batch, channels, prod(block), *count))
    total: Value | None = None
    for number in range(prod(block)):
        place = np.unravel_index(number, block)
        part = node.reshape(slice_axis(node, taps, 2, number, 1), (batch, channels, *count))
        part = _spread(node, part, count, strides)
        shift = [int(place[i]) * dilations[i] for i in range(rank)]
        after = [full[i] - shift[i] - part.shape[2 + i] for i in range(rank)]
        part = node.emit(nn.PadOp, part, (0, 0, *shift, 0, 0, *after))
        total = part if total is None else node.emit(nn.AddOp, total, part)
    assert total is not None
    return node.emit(nn.SliceOp, total, (0, 0, *pads[:rank]), (batch, channels, *image))


def _spread(node: Node, x: Value, count: Sequence[int], strides: Sequence[int]) -> Value:
    """Zeros between the elements of every spatial axis."""
    for axis, (size, stride) in enumerate(zip(count, strides, strict=True), start=2):
        if stride == 1 or size == 1:
            continue
        lead, tail = x.shape[: axis + 1], x.shape[axis + 1 :]
        flat = node.reshape(x, (prod(lead), 1, prod(tail)))
        padded = node.emit(nn.PadOp, flat, (0, 0, 0, 0, stride - 1, 0))
        wide = node.reshape(padded, (*lead[:-1], size * stride, *tail))
        x = slice_axis(node, wide, axis, 0, (size - 1) * stride + 1)
    return x


@onnx_op("TfIdfVectorizer")
def tf_idf(node: Node) -> Value:
    """Counts of n-grams: for each length and distance, windows of the row are compared with all of the pool."""
    x, words = node.input(0), texts_of(node, "pool_strings")
    if x.size is not None:  # what the row does not fill are empty texts: no match, unless one is looked for
        is_row = prod(x.shape[:-1]) == 1 and bool(words) and "" not in words
        require(constraints.rest_counts_nothing, is_row)
    first_place = {word: place for place, word in reversed(list(enumerate(words)))}
    pool = tuple(first_place[word] for word in words) if words else node.ints("pool_int64s")
    if words:  # a text is its first place in the pool from here on
        x = positions(node, x, words)
    rows = node.reshape(x, (1, *x.shape)) if x.rank == 1 else x
    starts = node.ints("ngram_counts")
    places, first, last = node.ints("ngram_indexes"), node.int("min_gram_length"), node.int("max_gram_length")
    ends = (*starts[1:], len(pool))
    width, length, batch = max(places) + 1, rows.shape[1], rows.shape[0]
    base, total = 0, None
    numbers = node.cast(rows, "i32")
    for size, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
        grams = np.array(pool[start:end], np.int32).reshape(-1, size)
        own, base = places[base : base + len(grams)], base + len(grams)
        if not first <= size <= last or not len(grams):
            continue
        table = np.zeros((len(grams), width), np.float32)
        table[np.arange(len(grams)), list(own)] = 1
        for skip in range(node.int("max_skip_count") + 1 if size > 1 else 1):
            found = _matches(node, numbers, grams, skip + 1, length, batch)
            if found is None:
                continue
            part = times_constant(node, found, table)
            total = part if total is None else node.precise(nn.AddOp, total, part)
    result = total if total is not None else node.constant(np.zeros((batch, width), np.float32))
    mode = node.word("mode", "TF", ("TF", "IDF", "TFIDF"))
    if mode == "IDF":
        result = node.precise(nn.ClipOp, result, min=0.0, max=1.0)
    if mode != "TF" and node.has("weights"):
        weights = np.zeros(width, np.float32)
        weights[list(places)] = node.floats("weights")
        result = node.precise(nn.MulOp, result, node.constant(weights[None]))
    return node.reshape(result, (width,)) if x.rank == 1 else result


def _matches(node: Node, rows: Value, grams: Array, step: int, length: int, batch: int) -> Value | None:
    """How often each n-gram stands in each row with a distance of `step`, f32 [batch, grams]."""
    count = length - (grams.shape[1] - 1) * step
    if count <= 0:
        return None
    is_match: Value | None = None
    for i in range(grams.shape[1]):
        piece = node.reshape(slice_axis(node, rows, 1, i * step, count), (batch, 1, count))
        equal = node.emit(nn.EqualOp, piece, node.constant(np.ascontiguousarray(grams[None, :, i : i + 1])))
        is_match = equal if is_match is None else node.emit(nn.AndOp, is_match, equal)
    assert is_match is not None
    return node.precise(nn.ReduceOp, node.cast(is_match, "f32"), "sum", (2,))
