"""Reads an .onnx file without loading its weights.

A model file is one protobuf message; its initialisers' `raw_data` fields are contiguous bytes in it. A
short walk over the wire format finds them, so that weights are mapped from the file where they lie and
protobuf only parses the rest (a 500 MB model costs 1 MB). Weights in external files are mapped as well.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ..runtime.errors import AscendError

SMALL_BYTES = 1024
"""Raw data up to this stays in the message: shapes and scalars are read at import anyway."""

_GRAPH, _INITIALIZER, _RAW_DATA, _NAME = (
    7,
    5,
    9,
    8,
)  # field numbers in onnx.proto: ModelProto, GraphProto, TensorProto ×2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


class WireError(ValueError):
    """The bytes are not a protobuf message."""


@dataclass
class ModelFile:
    """A parsed model, where it came from, and where the removed raw data lies: initialiser name → (offset,
    bytes).
    """

    model: onnx.ModelProto
    path: Path | None = None
    raw: dict[str, tuple[int, int]] = field(default_factory=dict)


def read_model(path: Path) -> ModelFile:
    """Reads a model file; every way in which it can be wrong is an AscendError."""
    if not path.is_file():
        found = "is a directory" if path.is_dir() else "does not exist"
        raise AscendError(
            "E13000", f"model file {path} {found}", expected="an .onnx file", hint="check the path"
        )
    try:
        if path.stat().st_size == 0:
            raise AscendError("E10041", f"model file {path} is empty", expected="an ONNX model")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(data, path)
    except OSError as error:
        raise AscendError("E13001", f"cannot open model file {path}: {error.strerror}") from error


def _parse(data: mmap.mmap, path: Path) -> ModelFile:
    raw: dict[str, tuple[int, int]] = {}
    try:
        stripped = _without_weights(data, raw)
        model = onnx.ModelProto.FromString(stripped)
    except (WireError, DecodeError, RecursionError) as error:
        raise AscendError(
            "E10041",
            f"model file {path} is not an ONNX model or is truncated",
            expected="a complete ONNX protobuf",
            hint="download or export the model again",
        ) from error
    if not model.HasField("graph"):
        raise AscendError(
            "E16004", f"model file {path} holds no ONNX graph", expected="an ONNX model with a graph"
        )
    return ModelFile(model, path, raw)


# ------------------------------------------------------------------------------------------------ wire format


def _varint(data: mmap.mmap, pos: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while pos < end and shift < 70:
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        pos += 1
        if byte < 0x80:
            return value, pos
        shift += 7
    raise WireError("varint runs past the end")


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(field, wire type, start of the field, start of its payload, end) for each field of a message."""
    pos = start
    while pos < end:
        begin = pos
        key, pos = _varint(data, pos, end)
        number, wire = key >> 3, key & 7
        payload = pos
        if wire == _VARINT:
            _, pos = _varint(data, pos, end)
        elif wire == _BYTES:
            length, payload = _varint(data, pos, end)
            pos = payload + length
        elif wire in (_FIXED32, _FIXED64):
            pos += 4 if wire == _FIXED32 else 8
        else:
            raise WireError(f"unknown wire type {wire}")
        if pos > end or number == 0:
            raise WireError("field runs past the end")
        yield number, wire, begin, payload, pos


def _encoded(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    parts = bytearray()
    for value in (number << 3 | _BYTES, len(payload)):
        rest = value
        while rest > 0x7F:
            parts.append(rest & 0x7F | 0x80)
            rest >>= 7
        parts.append(rest)
    return bytes(parts) + payload


def _without_weights(data: mmap.mmap, raw: dict[str, tuple[int, int]]) -> bytes:
    parts: list[bytes] = []
    for number, wire, begin, payload, end in _fields(data, 0, len(data)):
        is_graph = number == _GRAPH and wire == _BYTES
        parts.append(_encoded(number, _slim_graph(data, payload, end, raw)) if is_graph else data[begin:end])
    return b"".join(parts)


def _slim_graph(data: mmap.mmap, start: int, stop: int, raw: dict[str, tuple[int, int]]) -> bytes:
    parts: list[bytes] = []
    for number, wire, begin, payload, end in _fields(data, start, stop):
        is_big = number == _INITIALIZER and wire == _BYTES and end - payload > SMALL_BYTES
        parts.append(_encoded(number, _slim_tensor(data, payload, end, raw)) if is_big else data[begin:end])
    return b"".join(parts)


def _slim_tensor(data: mmap.mmap, start: int, stop: int, raw: dict[str, tuple[int, int]]) -> bytes:
    parts: list[bytes] = []
    name, place = "", None
    for number, _, begin, payload, end in _fields(data, start, stop):
        if number == _NAME:
            name = data[payload:end].decode("utf-8", "replace")
        if number == _RAW_DATA:
            place = (payload, end - payload)
        else:
            parts.append(data[begin:end])
    if place is not None:
        raw[name] = place
    return b"".join(parts)
