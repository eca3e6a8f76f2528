"""The weight store: binds the keys of blob expressions to arrays and computes expressions on demand.

Nothing here is kept: a source opens its array (memory-mapped where it is a file) when an expression is
evaluated and lets go of it afterwards, so compiling a 6 GB model needs the memory of its largest single
weight (invariant 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dialects import dtypes
from ..dialects.blobs import BLOB_OPS, MAX_DENSE_ELEMENTS, Blob
from ..dialects.dtypes import Array
from ..dialects.nn_shapes import Shape
from .errors import AscendError


@dataclass(frozen=True)
class Source:
    """One key's array: shape and type known, values read when asked for."""

    shape: Shape
    dtype: str
    load: Callable[[], Array]

    @staticmethod
    def of_array(array: Array) -> Source:
        """An array already in memory."""
        return Source(array.shape, dtypes.name_of_numpy(array.dtype), lambda: array)

    @staticmethod
    def of_file(path: Path, offset: int, shape: Shape, dtype: str) -> Source:
        """Little-endian elements inside a file, mapped."""
        return Source(shape, dtype, lambda: map_file(path, offset, shape, dtype))


def map_file(path: Path, offset: int, shape: Shape, dtype: str) -> Array:
    """A read-only view of elements in a file (np.memmap cannot be empty)."""
    kind = dtypes.numpy_dtype(dtype)
    if 0 in shape:
        return np.empty(shape, kind)
    try:
        return np.memmap(path, kind, mode="r", offset=offset, shape=shape or (1,)).reshape(shape)
    except (OSError, ValueError) as error:
        raise AscendError(
            "E13003",
            f"cannot read weights from {path}: {error}",
            expected=f"{int(np.prod(shape)) * kind.itemsize} bytes at offset {offset}",
            hint="keep the model's external data files beside the model, complete and unchanged",
        ) from error


class WeightStore:
    """Keys → sources. `evaluate` is the only way from an expression to numbers."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._sources

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def bind(self, key: str, source: Source) -> Blob:
        """Binds a key; a key means one array for ever (equal texts are equal weights)."""
        bound = self._sources.setdefault(key, source)
        if bound is not source:
            raise ValueError(f"weight key {key!r} is bound twice")
        return self.blob(key)

    def blob(self, key: str) -> Blob:
        """The leaf expression of a key."""
        source = self._sources[key]
        return Blob.source(key, source.shape, source.dtype)

    def add(self, key: str, array: Array) -> Blob:
        """A computed constant: written out if small, else kept under a fresh key derived from `key`."""
        flat = array.reshape(-1)
        is_text = array.dtype == dtypes.numpy_dtype("str")  # bytes of a model's texts are no IR either
        if flat.size and not is_text and (flat.size <= MAX_DENSE_ELEMENTS or bool(np.all(flat == flat[0]))):
            return Blob.dense(array)
        return self.bind(self.fresh_key(key), Source.of_array(array))

    def fresh_key(self, key: str) -> str:
        """The key, or one derived from it if it is taken."""
        fresh, number = key, 1
        while fresh in self._sources:
            fresh, number = f"{key}.{number}", number + 1
        return fresh

    def evaluate(self, blob: Blob) -> Array:
        """The numbers of an expression. Leaves may be read-only views; intermediate arrays die here."""
        if blob.op == "source":
            return self._load(blob)
        kind = dtypes.numpy_dtype(blob.dtype)
        if blob.op == "splat":
            return np.full(blob.shape, blob.values[0]).astype(kind)
        if blob.op == "dense":
            return np.asarray(blob.values).astype(kind).reshape(blob.shape)
        arrays = [self.evaluate(operand) for operand in blob.inputs]
        result = BLOB_OPS[blob.op].evaluate(arrays, blob.args)
        return result if result.dtype == kind else result.astype(kind)

    def _load(self, blob: Blob) -> Array:
        key = str(blob.args[0])
        source = self._sources.get(key)
        if source is None:
            raise AscendError(
                "E13003",
                f"weight {key!r} is not bound",
                expected=f"a key of the weight store ({len(self)} keys)",
                hint="give the model or its weight file with --weights",
            )
        if (source.shape, source.dtype) != (blob.shape, blob.dtype):
            raise AscendError(
                "E13025",
                f"weight {key!r} is {source.dtype}{list(source.shape)}",
                expected=f"{blob.dtype}{list(blob.shape)}",
            )
        return source.load()

    @staticmethod
    def of_npz(path: Path) -> WeightStore:
        """Binds every array of an .npz file (`--weights FILE`), each read when needed."""
        store = WeightStore()
        with np.load(path) as arrays:
            for key in arrays.files:
                array: Array = arrays[key]
                store.bind(key, _npz_source(path, key, array.shape, dtypes.name_of_numpy(array.dtype)))
        return store


def _npz_source(path: Path, key: str, shape: Shape, dtype: str) -> Source:
    def load() -> Array:
        with np.load(path) as arrays:
            return arrays[key]

    return Source(shape, dtype, load)
