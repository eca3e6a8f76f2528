"""Reference semantics of the ops that rearrange elements, and of resampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.ir import Operation

from ...dialects import nn
from ...dialects.dtypes import Array


def slice_(x: Array, *, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> Array:
    for axis, (start, size, step) in enumerate(zip(starts, sizes, steps, strict=True)):
        end = start + size * step
        index = slice(start, end if end >= 0 else None, step) if size else slice(0, 0)
        x = x[(slice(None),) * axis + (index,)]
    return x


def pad(x: Array, *, pads: Sequence[int], mode: str, value: float = 0.0) -> Array:
    rank = x.ndim
    crop = tuple(slice(max(-pads[i], 0), x.shape[i] - max(-pads[i + rank], 0)) for i in range(rank))
    widths = [(max(pads[i], 0), max(pads[i + rank], 0)) for i in range(rank)]
    if mode == "constant":
        return np.pad(x[crop], widths, constant_values=np.asarray(value).astype(x.dtype))
    return np.pad(x[crop], widths, mode=mode)  # type: ignore[call-overload]


def depth_to_space(x: Array, *, blocksize: int, mode: str) -> Array:
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        parts = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, c // (b * b), h * b, w * b)


def space_to_depth(x: Array, *, blocksize: int) -> Array:
    n, c, h, w = x.shape
    b = blocksize
    parts = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * b * b, h // b, w // b)


# ---------------------------------------------------------------------------------------------- resize


def source_positions(
    size: int, result: int, scale: float, coordinate: str, roi: tuple[float, float] = (0.0, 1.0)
) -> Array:
    """For each output index along one axis the (fractional) input index, by ONNX's coordinate modes."""
    x = np.arange(result, dtype=np.float64)
    length = scale * size  # ONNX: the unrounded output length where scales were given
    if coordinate == "asymmetric":
        return x / scale
    if coordinate == "align_corners":
        return np.zeros(result) if length == 1 else x * (size - 1) / (length - 1)
    if coordinate == "tf_crop_and_resize":
        start, end = roi
        if length <= 1:
            return np.full(result, 0.5 * (start + end) * (size - 1))
        return start * (size - 1) + x * (end - start) * (size - 1) / (length - 1)
    if coordinate == "pytorch_half_pixel" and result <= 1:
        return np.zeros(result)
    if coordinate == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    offset = 0.0
    if coordinate == "half_pixel_symmetric":
        offset = size / 2 * (1 - result / length)
    return offset + (x + 0.5) / scale - 0.5


def nearest_index(positions: Array, rounding: str) -> Array:
    """Rounds source positions as the nearest mode says."""
    if rounding == "round_prefer_floor":
        return np.ceil(positions - 0.5)
    if rounding == "round_prefer_ceil":
        return np.floor(positions + 0.5)
    return np.floor(positions) if rounding == "floor" else np.ceil(positions)


def _kernel(distance: Array, mode: str, a: float) -> Array:
    """Weight of a neighbour at this distance."""
    d = np.abs(distance)
    if mode == "linear":
        return np.clip(1 - d, 0, 1)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def interpolation_matrix(
    positions: Array, size: int, *, scale: float, mode: str, a: float, exclude_outside: bool, antialias: bool
) -> Array:
    """[result, size] weights of one axis; neighbours beyond the border count as the border element."""
    stretch = min(scale, 1.0) if antialias else 1.0
    reach = int(np.ceil((1 if mode == "linear" else 2) / stretch))
    base = np.floor(positions).astype(np.int64)
    matrix = np.zeros((len(positions), size))
    rows = np.arange(len(positions))
    for step in range(1 - reach, reach + 1):
        index = base + step
        weight = _kernel((index - positions) * stretch, mode, a)
        if exclude_outside:
            weight = np.where((index < 0) | (index >= size), 0, weight)
        np.add.at(matrix, (rows, np.clip(index, 0, size - 1)), weight)
    return matrix / matrix.sum(axis=1, keepdims=True)


def resize(
    x: Array,
    *,
    result_shape: Sequence[int],
    mode: str,
    coordinate: str,
    nearest: str,
    scales: Sequence[float],
    roi: Sequence[float] | None = None,
    extrapolation: float = 0.0,
    cubic_coeff: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
) -> Array:
    """Axis by axis: picks for nearest, a small matrix for linear and cubic."""
    dtype = x.dtype
    outside = np.zeros((1,) * x.ndim, np.bool_)
    for axis, (size, result, scale) in enumerate(zip(x.shape, result_shape, scales, strict=True)):
        bounds = (roi[axis], roi[axis + len(roi) // 2]) if roi else (0.0, 1.0)
        if size == result and scale == 1.0 and bounds == (0.0, 1.0):
            continue
        positions = source_positions(size, result, scale, coordinate, bounds)
        if coordinate == "tf_crop_and_resize":
            beyond = (positions < 0) | (positions > size - 1)
            outside = outside | beyond.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        if mode == "nearest":
            index = np.clip(nearest_index(positions, nearest), 0, size - 1).astype(np.int64)
            x = np.take(x, index, axis=axis)
        else:
            matrix = interpolation_matrix(
                positions,
                size,
                scale=scale,
                mode=mode,
                a=cubic_coeff,
                exclude_outside=exclude_outside,
                antialias=antialias,
            ).astype(np.float64 if dtype.kind != "f" else dtype)
            x = np.moveaxis(np.tensordot(x, matrix, axes=([axis], [1])), -1, axis)
    result_array = np.where(outside, extrapolation, x) if outside.any() else x
    if dtype.kind in "iu":
        result_array = np.rint(result_array)
    return result_array.astype(dtype)


def reshape(x: Array, *, result_shape: Sequence[int]) -> Array:
    return x.reshape(tuple(result_shape))


def transpose(x: Array, *, perm: Sequence[int]) -> Array:
    return x.transpose(tuple(perm))


def concat(*arrays: Array, axis: int) -> Array:
    return np.concatenate(arrays, axis=axis)


def gather(x: Array, indices: Array, *, axis: int) -> Array:
    """An index outside takes the nearest entry (decision 0029)."""
    length = x.shape[axis]
    return np.take(x, np.clip(indices, -length, max(length - 1, -length)), axis=axis)


def expand(x: Array, *, result_shape: Sequence[int]) -> Array:
    return np.broadcast_to(x, tuple(result_shape))


def tile(x: Array, *, repeats: Sequence[int]) -> Array:
    return np.tile(x, tuple(repeats))


def same_elements(x: Array) -> Array:
    """The bytes are read anew where the result's type is known (`nn.evaluate`)."""
    return x


SEMANTICS: dict[type[Operation], Callable[..., Array]] = {
    nn.ReshapeOp: reshape,
    nn.TransposeOp: transpose,
    nn.SliceOp: slice_,
    nn.ConcatOp: concat,
    nn.PadOp: pad,
    nn.ResizeOp: resize,
    nn.DepthToSpaceOp: depth_to_space,
    nn.SpaceToDepthOp: space_to_depth,
    nn.GatherOp: gather,
    nn.ExpandOp: expand,
    nn.BitCastOp: same_elements,
    nn.TileOp: tile,
}
