"""Bytes of a partition → messages, records, texts; what cannot be read says where."""

from __future__ import annotations

from struct import Struct
from typing import TypeVar

from google.protobuf.message import DecodeError

from . import format as f
from . import ge_ir_pb2 as ge
from . import task_pb2 as domi
from .wire import Places, scan

_Message = TypeVar("_Message", ge.ModelDef, domi.ModelTaskDef, domi.TaskSources)


def parse(
    kind: type[_Message],
    data: bytes,
    partition: f.Partition,
    paths: tuple[tuple[str, ...], ...] = (),
    base: int = 0,
) -> tuple[_Message, Places]:
    message = kind()
    places = scan(data, kind, partition.name, paths)
    try:
        message.ParseFromString(data)
    except (DecodeError, ValueError) as error:  # what is left: texts that are not UTF-8
        raise f.OmError(
            f"it cannot be decoded: {error}",
            partition=partition.name,
            offset=base,
            expected="a protobuf message",
        ) from error
    return message, places


def unpack(layout: Struct, data: memoryview, at: int, partition: str, base: int = 0) -> tuple[int, ...]:
    if layout.size > len(data) - at:
        raise f.OmError("it ends inside a record", partition=partition, offset=base + at)
    return layout.unpack_from(data, at)


def text_of(data: memoryview, partition: str, offset: int) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise f.OmError("a name is not UTF-8", partition=partition, offset=offset) from error
