"""ONNX tensors as weight sources: raw or typed fields, mapped external files, or ranges of the model file."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, numpy_helper

from ..dialects import dtypes
from ..dialects.dtypes import Array
from ..dialects.nn_shapes import Shape
from ..runtime import texts
from ..runtime.errors import AscendError
from ..runtime.weights import Source, map_file
from . import onnx_constraints as constraints
from .onnx_constraints import require


def array_of(tensor: TensorProto) -> Array:
    """An embedded tensor as an array."""
    dtype = element_type_of(tensor)
    try:
        if dtype == "str":
            return texts.encode(np.array(tensor.string_data, object)).reshape(tuple(tensor.dims))
        return np.asarray(numpy_helper.to_array(tensor)).astype(dtypes.numpy_dtype(dtype), copy=False)
    except (ValueError, TypeError) as error:
        raise AscendError(
            "E10041",
            f"tensor {tensor.name!r} does not hold the data of its shape {list(tensor.dims)}: {error}",
            hint="export the model again",
        ) from error


def element_type_of(tensor: TensorProto) -> str:
    """Element type by name."""
    name = dtypes.name_of_onnx(tensor.data_type)
    if name is None:
        require(constraints.element_type_is_known, f"tensor {tensor.name!r}", tensor.data_type)
        raise AssertionError
    return name


def source_of(tensor: TensorProto, path: Path | None, raw: dict[str, tuple[int, int]]) -> Source:
    """Where an initialiser's values lie; nothing is read yet."""
    shape, dtype = tuple(tensor.dims), element_type_of(tensor)
    if dtype == "str" and (tensor.data_location == TensorProto.EXTERNAL or tensor.HasField("raw_data")):
        require(constraints.texts_are_embedded, tensor.name)
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external(tensor, path, shape, dtype)
    place = raw.get(tensor.name)
    if place is not None and path is not None:
        offset, length = place
        _check_length(tensor.name, length, shape, dtype)
        return Source.of_file(path, offset, shape, dtype)
    _check_embedded(tensor, shape, dtype)
    return Source(shape, dtype, lambda: array_of(tensor))


def _check_embedded(tensor: TensorProto, shape: Shape, dtype: str) -> None:
    """Raw data has the size of the shape, typed fields one entry per element."""
    if tensor.HasField("raw_data"):
        _check_length(tensor.name, len(tensor.raw_data), shape, dtype)
        return
    typed = (tensor.float_data, tensor.double_data, tensor.int64_data, tensor.uint64_data, tensor.int32_data)
    count = len(tensor.string_data) if dtype == "str" else max(len(field) for field in typed)
    if count != prod(shape):
        _check_length(tensor.name, count * dtypes.size_of(dtype), shape, dtype)


def _check_length(name: str, length: int, shape: Shape, dtype: str) -> None:
    needed = prod(shape) * dtypes.size_of(dtype)
    if length != needed:
        raise AscendError(
            "E10041",
            f"weight {name!r} holds {length} bytes",
            expected=f"{needed} bytes for {dtype}{list(shape)}",
            hint="export the model again",
        )


def _external(tensor: TensorProto, path: Path | None, shape: Shape, dtype: str) -> Source:
    info = external_data_helper.ExternalDataInfo(tensor)
    if path is None:
        raise AscendError(
            "E13003",
            f"weight {tensor.name!r} lies in the external file {info.location!r}",
            expected="a model given by its path, beside which the file is found",
        )
    base = path.parent.resolve()
    file = (base / info.location).resolve()
    if not file.is_relative_to(base):
        raise AscendError(
            "E13003",
            f"weight {tensor.name!r} points to {info.location!r}, outside the model's folder",
            expected="external data beside the model",
        )
    offset, needed = info.offset or 0, prod(shape) * dtypes.size_of(dtype)
    if not file.is_file() or file.stat().st_size < offset + needed:
        state = "does not exist" if not file.is_file() else f"has {file.stat().st_size} bytes"
        raise AscendError(
            "E13003",
            f"external data file {file} of weight {tensor.name!r} {state}",
            expected=f"{needed} bytes at offset {offset}",
            hint="keep the model's external data files beside the model, complete and unchanged",
        )
    return Source(shape, dtype, lambda: map_file(file, offset, shape, dtype))


def sparse_array(tensor: onnx.SparseTensorProto) -> Array:
    """A sparse tensor written out."""
    values, indices = array_of(tensor.values), array_of(tensor.indices)
    dense = np.zeros(tuple(tensor.dims), values.dtype)
    flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dense.shape)
    dense.reshape(-1)[flat] = values
    return dense
