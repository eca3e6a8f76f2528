"""Shape functions of the `nn` dialect: pure, one per op, no IR.

The importer builds result types with them, the verifier checks against them, `nn-infer-shapes` reruns them.
A dimension of -1 is not known before run time (D20) and stays unknown in what depends on it. A refused
combination raises `ShapeError` with a sentence of the form "expected X, got Y".
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...]

DYNAMIC = -1
"""A dimension that is not known at compile time (xDSL's DYNAMIC_INDEX)."""


class ShapeError(ValueError):
    """The operands of an op do not fit each other or its attributes."""


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ShapeError(message)


def _rank(what: str, shape: Shape, rank: int) -> None:
    _expect(len(shape) == rank, f"expected {what} of rank {rank}, got {list(shape)}")


def _same_dim(what: str, left: int, right: int) -> None:
    _expect(left == right or DYNAMIC in (left, right), f"expected {what} to agree, got {left} and {right}")


def element_count(shape: Shape) -> int:
    """Number of elements; -1 if a dimension is unknown."""
    return DYNAMIC if DYNAMIC in shape else prod(shape)


def normalize_axis(axis: int, rank: int) -> int:
    """Axis counted from the front; ONNX allows negative ones."""
    _expect(-rank <= axis < max(rank, 1), f"expected axis in [{-rank}, {rank - 1}], got {axis}")
    return axis + rank if axis < 0 else axis


# ------------------------------------------------------------------------------------------------ elementwise


def same(x: Shape, **_: object) -> Shape:
    """Result has the operand's shape."""
    return x


def broadcast(*shapes: Shape) -> Shape:
    """numpy's rule: align at the last axis, 1 stretches."""
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_broadcast_dim(dims, shapes) for dims in zip(*padded, strict=True))


def _broadcast_dim(dims: Sequence[int], shapes: Sequence[Shape]) -> int:
    known = {dim for dim in dims if dim not in (1, DYNAMIC)}
    _expect(
        len(known) <= 1, f"expected shapes that broadcast, got {' and '.join(str(list(s)) for s in shapes)}"
    )
    if known:
        return known.pop()
    return DYNAMIC if DYNAMIC in dims else 1


def elementwise(*shapes: Shape, **_: object) -> Shape:
    """Broadcast of all operands, attributes do not matter."""
    return broadcast(*shapes)


def prelu(x: Shape, slope: Shape) -> Shape:
    """The slope stretches to the input, never the other way."""
    _expect(broadcast(x, slope) == x, f"expected slope that broadcasts to {list(x)}, got {list(slope)}")
    return x


# ---------------------------------------------------------------------------------------------------- windows


def window_extent(size: int, kernel: int, *, stride: int, padding: int, dilation: int) -> int:
    """Number of positions of a sliding window in one dimension; padding is that of both ends together."""
    if size == DYNAMIC:
        return DYNAMIC
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def _check_window(strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int]) -> None:
    _expect(len(strides) == 2 and min(strides) > 0, f"expected two positive strides, got {list(strides)}")
    _expect(len(pads) == 4, f"expected pads as [top, left, bottom, right], got {list(pads)}")
    _expect(
        len(dilations) == 2 and min(dilations) > 0, f"expected two positive dilations, got {list(dilations)}"
    )


def _slide(
    spatial: Shape,
    kernel: Sequence[int],
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> Shape:
    _check_window(strides, pads, dilations)
    out = tuple(
        window_extent(
            spatial[i], kernel[i], stride=strides[i], padding=pads[i] + pads[i + 2], dilation=dilations[i]
        )
        for i in range(2)
    )
    _expect(
        all(size > 0 or spatial[i] == DYNAMIC for i, size in enumerate(out)),
        f"expected kernel {list(kernel)} to fit the padded input {list(spatial)}, got result {list(out)}",
    )
    return out


def conv(
    x: Shape,
    w: Shape,
    bias: Shape | None = None,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
) -> Shape:
    """x [N, C, H, W], w [O, C/group, kh, kw], bias [O]."""
    _rank("input", x, 4)
    _rank("weight", w, 4)
    _expect(
        group > 0 and w[0] % group == 0, f"expected output channels divisible by group {group}, got {w[0]}"
    )
    _same_dim("input channels and weight channels times group", x[1], w[1] * group)
    if bias is not None:
        _expect(bias == (w[0],), f"expected bias of shape {[w[0]]}, got {list(bias)}")
    return (x[0], w[0], *_slide(x[2:], w[2:], strides=strides, pads=pads, dilations=dilations))


def conv_transpose(
    x: Shape,
    w: Shape,
    bias: Shape | None = None,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],
    group: int,
) -> Shape:
    """x [N, C, H, W], w [C, O/group, kh, kw]: extent (n-1)·stride + dilated kernel - pads +
    output_padding.
    """
    _rank("input", x, 4)
    _rank("weight", w, 4)
    _check_window(strides, pads, dilations)
    _expect(len(output_padding) == 2, f"expected two output paddings, got {list(output_padding)}")
    _expect(
        group > 0 and w[0] % group == 0, f"expected input channels divisible by group {group}, got {w[0]}"
    )
    _same_dim("input channels and weight rows", x[1], w[0])
    channels = w[1] * group
    if bias is not None:
        _expect(bias == (channels,), f"expected bias of shape {[channels]}, got {list(bias)}")
    spatial = tuple(
        DYNAMIC
        if x[2 + i] == DYNAMIC
        else (x[2 + i] - 1) * strides[i]
        + dilations[i] * (w[2 + i] - 1)
        + 1
        - pads[i]
        - pads[i + 2]
        + output_padding[i]
        for i in range(2)
    )
    _expect(
        all(s > 0 or x[2 + i] == DYNAMIC for i, s in enumerate(spatial)),
        f"expected a positive result extent, got {list(spatial)}",
    )
    return (x[0], channels, *spatial)


def pool(
    x: Shape,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    **_: object,
) -> Shape:
    """Sliding window over the last two of four dimensions."""
    _rank("input", x, 4)
    _expect(len(kernel) == 2 and min(kernel) > 0, f"expected two positive kernel sizes, got {list(kernel)}")
    return (*x[:2], *_slide(x[2:], kernel, strides=strides, pads=pads, dilations=dilations))


def to_terms(x: Shape, **_: object) -> Shape:
    """Three blocks of channels for one (`nn_terms`)."""
    _expect(len(x) >= 2, f"expected channels to split, got {list(x)}")
    return (x[0], _scaled(x[1], 3, 1), *x[2:])


def add_terms(x: Shape, terms: Shape, **_: object) -> Shape:
    """A tensor and one in terms of the same shape."""
    expected = to_terms(x)
    _expect(terms == expected, f"expected terms of shape {list(expected)}, got {list(terms)}")
    return x


def sum_terms(x: Shape, **_: object) -> Shape:
    """[1, C, 1, 2]: two terms of each number of a vector."""
    _expect(
        len(x) == 4 and x[0] == x[2] == 1 and x[3] == 2, f"expected two terms [1, C, 1, 2], got {list(x)}"
    )
    return (x[1],)


# ----------------------------------------------------------------------------------------------- contractions


def matmul(
    lhs: Shape, rhs: Shape, bias: Shape | None = None, *, trans_a: bool = False, trans_b: bool = False
) -> Shape:
    """[…, m, k] × […, k, n]; leading dims broadcast. Rank 1 is made rank 2 by the importer."""
    _expect(
        len(lhs) >= 2 and len(rhs) >= 2,
        f"expected operands of rank 2 or more, got {list(lhs)} and {list(rhs)}",
    )
    m, k = _transposed(lhs[-2:], trans_a)
    k2, n = _transposed(rhs[-2:], trans_b)
    _same_dim("contracted dimensions", k, k2)
    result = (*broadcast(lhs[:-2], rhs[:-2]), m, n)
    if bias is not None:
        _expect(
            broadcast(result, bias) == result,
            f"expected bias that broadcasts to {list(result)}, got {list(bias)}",
        )
    return result


def _transposed(matrix: Shape, flip: bool) -> tuple[int, int]:
    rows, columns = matrix
    return (columns, rows) if flip else (rows, columns)


def attention(query: Shape, key: Shape, value: Shape, mask: Shape | None = None, **_: object) -> Shape:
    """[…, heads, m, d] × […, heads / r, n, d] × […, heads / r, n, e] → […, heads, m, e]; mask […, n, m] broadcasts."""
    ranks = {len(query), len(key), len(value)}
    _expect(
        len(ranks) == 1 and len(query) >= 3,
        f"expected query, key and value of one rank from 3 on, got {list(query)}, {list(key)} and {list(value)}",
    )
    heads, rows, width = _heads(query)
    groups, keys, key_width = _heads(key)
    _same_dim("widths of query and key", width, key_width)
    _expect(
        value[:-1] == key[:-1],
        f"expected values for the same heads and keys as {list(key[:-1])}, got {list(value[:-1])}",
    )
    _expect(
        query[:-3] == key[:-3] and groups != 0 and heads % groups == 0,
        f"expected heads of keys that divide those of the query, got {list(query[:-2])} and {list(key[:-2])}",
    )
    scores = (*query[:-2], keys, rows)
    if mask is not None:
        _expect(
            len(mask) == len(query) and mask[-2:] == scores[-2:] and broadcast(scores, mask) == scores,
            f"expected mask that broadcasts to {list(scores)} in its leading dims, got {list(mask)}",
        )
    return (*query[:-1], *value[-1:])


def _heads(matrices: Shape) -> tuple[int, int, int]:
    heads, rows, width = matrices[-3:]
    return heads, rows, width


RECURRENCES = {"lstm": (4, 4, 2), "gru": (4, 3, 1), "reset_gru": (3, 3, 1), "rnn": (1, 1, 1)}
"""Of each kind of recurrence: groups of columns of its parts, gates of its weight, states."""
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def recurrence(
    parts: Shape,
    weight: Shape,
    initial: Shape | None = None,
    *,
    kind: str,
    direction: str,
    steps: int,
    last_cell: bool = False,
) -> Shape:
    """[steps · batch, directions · groups · hidden] × [directions · gates · hidden, hidden] → [steps · batch, directions ·
    hidden], `batch` rows more with `last_cell`; initial [batch, states · directions · hidden]."""
    groups, gates, states = RECURRENCES[kind]
    directions = DIRECTIONS[direction]
    _expect(
        len(parts) == 2 and len(weight) == 2,
        f"expected parts and weight of rank 2, got {list(parts)}, {list(weight)}",
    )
    rows, columns = parts
    _expect(
        steps > 0 and rows % steps == 0, f"expected rows that are a multiple of {steps} steps, got {rows}"
    )
    hidden = weight[1]
    _expect(
        weight[0] == directions * gates * hidden,
        f"expected weight {[directions * gates * hidden, hidden]}, got {list(weight)}",
    )
    _expect(
        columns == directions * groups * hidden,
        f"expected parts with {directions * groups * hidden} columns, got {columns}",
    )
    batch = rows // steps
    if initial is not None:
        _expect(
            initial == (batch, states * directions * hidden),
            f"expected initial state {[batch, states * directions * hidden]}, got {list(initial)}",
        )
    _expect(
        not last_cell or states == RECURRENCES["lstm"][2], f"expected no memory of a {kind}, got last_cell"
    )
    return (rows + batch * last_cell, directions * hidden)


def reduce(x: Shape, *, axes: Sequence[int], keepdims: bool = False, **_: object) -> Shape:
    """Axes count from the front, ascending and distinct."""
    _expect(
        list(axes) == sorted(set(axes)) and all(0 <= axis < len(x) for axis in axes),
        f"expected ascending axes within rank {len(x)}, got {list(axes)}",
    )
    if keepdims:
        return tuple(1 if i in axes else dim for i, dim in enumerate(x))
    return tuple(dim for i, dim in enumerate(x) if i not in axes)


def arg_reduce(x: Shape, *, axis: int, keepdims: bool = False, **_: object) -> Shape:
    """Position of the extreme element along one axis."""
    return reduce(x, axes=(axis,), keepdims=keepdims)


def along_axis(x: Shape, *, axis: int, **_: object) -> Shape:
    """Same shape; the axis must exist, counted from the front."""
    _expect(0 <= axis < len(x), f"expected axis in [0, {len(x) - 1}], got {axis}")
    return x


def layer_norm(x: Shape, scale: Shape, bias: Shape | None = None, *, axis: int, epsilon: float) -> Shape:
    """Normalises over all axes from `axis` on; scale and bias broadcast to those."""
    along_axis(x, axis=axis)
    for name, shape in (("scale", scale), ("bias", bias)):
        if shape is not None:
            _expect(
                broadcast(x, shape) == x, f"expected {name} that broadcasts to {list(x)}, got {list(shape)}"
            )
    return x


def per_channel(x: Shape, *parameters: Shape, **_: object) -> Shape:
    """Normalisation with one parameter per channel (axis 1)."""
    _expect(len(x) >= 2, f"expected input of rank 2 or more, got {list(x)}")
    for shape in parameters:
        _expect(len(shape) == 1, f"expected parameters of rank 1, got {list(shape)}")
        _same_dim("channels and parameters", x[1], shape[0])
    return x


# --------------------------------------------------------------------------------------------- shape and move


def reshape(x: Shape, result: Shape) -> Shape:
    """Same number of elements."""
    counts = element_count(x), element_count(result)
    _expect(
        DYNAMIC in counts or counts[0] == counts[1],
        f"expected result with {counts[0]} elements like {list(x)}, got {list(result)}",
    )
    return result


def resolve_reshape(x: Shape, target: Sequence[int], *, allow_zero: bool = False) -> Shape:
    """ONNX's Reshape: 0 copies the input's dim (unless allow_zero), one -1 takes what is left."""
    dims = [x[i] if dim == 0 and not allow_zero and i < len(x) else dim for i, dim in enumerate(target)]
    _expect(dims.count(-1) <= 1, f"expected at most one -1 in the new shape, got {list(target)}")
    if -1 not in dims:
        return reshape(x, tuple(dims))
    known = prod(dim for dim in dims if dim != -1)
    total = element_count(x)
    _expect(
        known > 0 and total % known == 0,
        f"expected a new shape that divides {total} elements of {list(x)}, got {list(target)}",
    )
    dims[dims.index(-1)] = total // known
    return tuple(dims)


def transpose(x: Shape, *, perm: Sequence[int]) -> Shape:
    """Axis i of the result is axis perm[i] of the input."""
    _expect(sorted(perm) == list(range(len(x))), f"expected a permutation of {len(x)} axes, got {list(perm)}")
    return tuple(x[axis] for axis in perm)


def slice_(x: Shape, *, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> Shape:
    """Element i along an axis is starts + i·steps; all three have one entry per axis; steps may be
    negative.
    """
    _expect(
        len(starts) == len(sizes) == len(steps) == len(x),
        f"expected {len(x)} starts, sizes and steps, got {len(starts)}, {len(sizes)} and {len(steps)}",
    )
    for dim, start, size, step in zip(x, starts, sizes, steps, strict=True):
        last = start + (size - 1) * step
        inside = size == 0 or dim == DYNAMIC or (0 <= start < dim and 0 <= last < dim)
        _expect(
            step != 0 and size >= 0 and inside,
            f"expected slice within {dim}, got {start} + i·{step}, i < {size}",
        )
    return tuple(sizes)


def top_k(x: Shape, *, count: int, smallest: bool = False, positions: bool = False) -> Shape:
    """The last axis becomes `count` long."""
    _expect(len(x) > 0, "expected a row to rank, got a scalar")
    most = count if x[-1] == DYNAMIC else x[-1]
    _expect(0 < count <= most, f"expected a count of 1 to {most}, got {count}")
    return (*x[:-1], count)


SORT_GROUP = 16
"""Proposals that one instruction sorts: a list in a sort kernel is a multiple of them."""
SORT_BLOCK = 2048
"""Longest list that is sorted at once: f16 numbers its places exactly."""
SORT_CARRIED = 5
"""Elements of a proposal that instructions reach, without the key."""


def sort(
    keys: Shape, *others: Shape, count: int, block: int, pieces: int = 1, positions: bool = False
) -> Shape:
    """Rows [R, n] → [planes, R, pieces · count rounded up to 16]; planes are the keys, with `positions` the place in the
    block and (if a row has several) its number, and the rows that are carried along."""
    _rank("keys", keys, 2)
    rows, length = keys
    blocks = -(-length // block)
    places = -(-block // SORT_GROUP) * SORT_GROUP
    _expect(
        0 < block <= min(length, SORT_BLOCK),
        f"expected a block of 1 to {min(length, SORT_BLOCK)}, got {block}",
    )
    _expect(
        blocks == 1 or block % SORT_GROUP == 0, f"expected blocks of a multiple of {SORT_GROUP}, got {block}"
    )
    _expect(pieces > 0 and blocks % pieces == 0, f"expected pieces that share {blocks} blocks, got {pieces}")
    carried = others[1:] if positions else others
    if positions:
        _expect(others[:1] == ((places,),), f"expected {places} places, got {[list(s) for s in others[:1]]}")
    for shape in carried:
        _expect(shape == keys, f"expected carried rows {list(keys)}, got {list(shape)}")
    planes = len(carried) + positions * (1 + (blocks > 1))
    _expect(planes <= SORT_CARRIED, f"expected at most {SORT_CARRIED} planes beside the keys, got {planes}")
    most, wanted = blocks // pieces * places, -(-count // SORT_GROUP) * SORT_GROUP
    _expect(0 < wanted <= most, f"expected a count of 1 to {most}, got {count}")
    return (1 + planes, rows, pieces * wanted)


def concat(*shapes: Shape, axis: int) -> Shape:
    """All dims but `axis` agree."""
    first = shapes[0]
    along_axis(first, axis=axis)
    for shape in shapes[1:]:
        _rank("operands", shape, len(first))
        for i, (left, right) in enumerate(zip(first, shape, strict=True)):
            if i != axis:
                _same_dim(f"dimension {i} of the operands", left, right)
    parts = [shape[axis] for shape in shapes]
    return (*first[:axis], DYNAMIC if DYNAMIC in parts else sum(parts), *first[axis + 1 :])


def pad(x: Shape, *, pads: Sequence[int], mode: str = "constant", **_: object) -> Shape:
    """pads = all begins, then all ends; negative ones crop."""
    rank = len(x)
    _expect(len(pads) == 2 * rank, f"expected {2 * rank} pads, got {len(pads)}")
    result = tuple(DYNAMIC if dim == DYNAMIC else dim + pads[i] + pads[i + rank] for i, dim in enumerate(x))
    _expect(
        all(dim >= 0 or x[i] == DYNAMIC for i, dim in enumerate(result)),
        f"expected pads that leave elements, got result {list(result)}",
    )
    if mode == "reflect":
        fits = all(dim == DYNAMIC or max(pads[i], pads[i + rank]) < max(dim, 1) for i, dim in enumerate(x))
        _expect(fits, f"expected reflected pads smaller than {list(x)}, got {list(pads)}")
    return result


def resize(x: Shape, result: Shape, *, scales: Sequence[float], **_: object) -> Shape:
    """Rank is kept; one scale per axis."""
    _rank("result", result, len(x))
    _expect(len(scales) == len(x), f"expected {len(x)} scales, got {len(scales)}")
    return result


def depth_to_space(x: Shape, *, blocksize: int, **_: object) -> Shape:
    """[N, C·b·b, H, W] → [N, C, H·b, W·b]."""
    _rank("input", x, 4)
    fits = x[1] == DYNAMIC or x[1] % (blocksize * blocksize) == 0
    _expect(fits, f"expected channels divisible by {blocksize * blocksize}, got {x[1]}")
    n, c, h, w = x
    return (n, _scaled(c, 1, blocksize**2), _scaled(h, blocksize, 1), _scaled(w, blocksize, 1))


def space_to_depth(x: Shape, *, blocksize: int) -> Shape:
    """[N, C, H·b, W·b] → [N, C·b·b, H, W]."""
    _rank("input", x, 4)
    n, c, h, w = x
    for size in (h, w):
        fits = size == DYNAMIC or size % blocksize == 0
        _expect(fits, f"expected height and width divisible by {blocksize}, got {h} and {w}")
    return (n, _scaled(c, blocksize**2, 1), _scaled(h, 1, blocksize), _scaled(w, 1, blocksize))


def _scaled(dim: int, times: int, over: int) -> int:
    return DYNAMIC if dim == DYNAMIC else dim * times // over


def gather(x: Shape, indices: Shape, *, axis: int) -> Shape:
    """The axis is replaced by the shape of the indices."""
    along_axis(x, axis=axis)
    return (*x[:axis], *indices, *x[axis + 1 :])


def expand(x: Shape, result: Shape) -> Shape:
    """numpy's broadcast_to."""
    _expect(
        broadcast(x, result) == result, f"expected result that {list(x)} broadcasts to, got {list(result)}"
    )
    return result


def tile(x: Shape, *, repeats: Sequence[int]) -> Shape:
    """Each axis repeated."""
    _expect(len(repeats) == len(x), f"expected {len(x)} repeats, got {len(repeats)}")
    return tuple(DYNAMIC if dim == DYNAMIC else dim * n for dim, n in zip(x, repeats, strict=True))
