"""ONNX Resize and Upsample in all their versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor

import numpy as np

from ..dialects import dtypes, nn
from ..dialects.dtypes import Array
from ..dialects.nn_move import COORDINATE_MODES, NEAREST_MODES, RESIZE_MODES
from ..runtime.interp.nn_move import interpolation_matrix, nearest_index, source_positions
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_selection import moved_back, moved_last


def upsample_by(node: Node, scales: Sequence[float]) -> Value:
    """Opset 7 to 10: positions are output / scale, nearest rounds down."""
    x = node.input(0)
    require(constraints.spatial_list, "scales", [int(s) for s in scales], x.rank)
    mode = node.string("mode", "nearest")
    shape = tuple(floor(dim * scale) for dim, scale in zip(x.shape, scales, strict=True))
    return node.emit(
        nn.ResizeOp,
        x,
        shape,
        scales=tuple(scales),
        mode="linear" if mode in ("linear", "bilinear") else "nearest",
        coordinate="asymmetric",
        nearest="floor",
    )


@onnx_op("Upsample", since=7)
def upsample_attributes(node: Node) -> Value:
    return upsample_by(node, node.floats("scales"))


@onnx_op("Upsample", since=9)
@onnx_op("Resize", since=10)
def upsample(node: Node) -> Value:
    return upsample_by(node, [float(v) for v in node.known(1, "scales").reshape(-1)])


_POLICIES: dict[str, Callable[[Sequence[float]], float]] = {"not_larger": min, "not_smaller": max}


def _target(node: Node, x: Value, axes: Sequence[int]) -> tuple[list[int], list[float]]:
    """Result shape and scale of every axis, from scales or sizes."""
    shape, scales = list(x.shape), [1.0] * x.rank
    by_size = node.get(3)
    if by_size is not None and by_size.shape != (0,):
        sizes = node.known_ints(3, "sizes")
        require(constraints.spatial_list, "sizes", sizes, len(axes))
        policy = node.word("keep_aspect_ratio_policy", "stretch", ("stretch", *_POLICIES))
        factors = [size / max(x.shape[axis], 1) for size, axis in zip(sizes, axes, strict=True)]
        if policy in _POLICIES:
            factor = _POLICIES[policy](factors)
            factors = [factor] * len(axes)
            sizes = tuple(floor(factor * x.shape[axis] + 0.5) for axis in axes)
        for axis, size, factor in zip(axes, sizes, factors, strict=True):
            shape[axis], scales[axis] = size, factor
        return shape, scales
    given = [float(v) for v in node.known(2, "scales").reshape(-1)]
    require(constraints.spatial_list, "scales", [int(s) for s in given], len(axes))
    for axis, scale in zip(axes, given, strict=True):
        shape[axis], scales[axis] = floor(x.shape[axis] * scale), scale
    return shape, scales


def _region(node: Node, rank: int, axes: Sequence[int]) -> tuple[float, ...]:
    """Begin and end of the part that tf_crop_and_resize reads, per axis, as fractions."""
    region = [0.0] * rank + [1.0] * rank
    given = [float(v) for v in node.known(1, "roi").reshape(-1)]
    for i, axis in enumerate(axes):
        region[axis], region[axis + rank] = given[i], given[i + len(axes)]
    return tuple(region)


def _cropped(
    node: Node, x: Value, mode: str, target: tuple[Sequence[int], Sequence[float], Sequence[float]]
) -> Value:
    """tf_crop_and_resize: a product with a matrix of weights along each axis; what lies outside of the image is
    the extrapolation value."""
    rank = x.rank
    outside = np.zeros((1,) * rank, np.bool_)
    for axis, (size, scale) in enumerate(zip(target[0], target[1], strict=True)):
        bounds = target[2][axis], target[2][axis + rank]
        length = x.shape[axis]
        if size == length and scale == 1.0 and bounds == (0.0, 1.0):
            continue
        places = source_positions(length, size, scale, "tf_crop_and_resize", bounds)
        places = places.astype(np.float32).astype(
            np.float64
        )  # the region is f32, whose last bit decides no tie
        beyond = (places < 0) | (places > length - 1)
        outside = outside | beyond.reshape([-1 if i == axis else 1 for i in range(rank)])
        matrix = _weights(node, np.clip(places, 0, length - 1), length, scale, mode)
        turned = moved_last(node, x, axis)
        weights = node.constant(np.ascontiguousarray(matrix.T).astype(dtypes.numpy_dtype(x.dtype)))
        x = moved_back(node, node.emit(nn.MatMulOp, turned, weights), axis)
    if not outside.any():
        return x
    given = node.scalar(node.float("extrapolation_value", 0.0), x)
    return node.emit(nn.WhereOp, node.constant(np.broadcast_to(outside, x.shape).copy()), given, x)


def _weights(node: Node, places: Array, size: int, scale: float, mode: str) -> Array:
    """[result, size] for positions within an axis."""
    if mode == "nearest":
        picked = nearest_index(places, node.word("nearest_mode", "round_prefer_floor", NEAREST_MODES))
        return np.eye(size)[np.clip(picked, 0, size - 1).astype(np.int64)]
    return interpolation_matrix(
        places, size, scale=scale, mode=mode, a=node.float("cubic_coeff_a", -0.75),
        exclude_outside=bool(node.int("exclude_outside", 0)), antialias=bool(node.int("antialias", 0)),
    )  # fmt: skip


@onnx_op("Resize", since=11)
def resize(node: Node) -> Value:
    x = node.input(0)
    axes = [node.axis(axis, x.rank) for axis in node.ints("axes", tuple(range(x.rank)))]
    shape, scales = _target(node, x, axes)
    mode = node.word("mode", "nearest", RESIZE_MODES)
    coordinate = node.word("coordinate_transformation_mode", "half_pixel", COORDINATE_MODES)
    crops = coordinate == "tf_crop_and_resize"
    if tuple(shape) == x.shape and not crops and all(s == 1.0 for s in scales):
        return x
    if crops and x.is_float:
        return _cropped(node, x, mode, (tuple(shape), scales, _region(node, x.rank, axes)))
    return node.emit(
        nn.ResizeOp,
        x,
        tuple(shape),
        scales=tuple(scales),
        mode=mode,
        coordinate=coordinate,
        nearest=node.word("nearest_mode", "round_prefer_floor", NEAREST_MODES),
        roi=_region(node, x.rank, axes) if crops else None,
        extrapolation=node.float("extrapolation_value", 0.0) if crops else None,
        cubic_coeff=node.float("cubic_coeff_a", -0.75) if mode == "cubic" else None,
        exclude_outside=bool(node.int("exclude_outside", 0)),
        antialias=bool(node.int("antialias", 0)),
    )
