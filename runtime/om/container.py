"""The outermost layer of a `.om` file: header, partition table, partitions, and several models in one file.

Nothing in a partition is interpreted here. Partitions are views of the mapped file: a file of any size costs
the memory of its table.

A file holds several models in two ways. A model of dynamic shapes repeats table and partitions `model_num` times
behind one header: the first block is the root graph, the others are its parts of known shape. A bundle holds
whole files, each in a partition of its own.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from ..errors import AscendError
from . import format as f

Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview"
Block: TypeAlias = Mapping[int, memoryview]
"""The partitions of one model by number."""

_TABLE: Final = "table"


@dataclass(frozen=True)
class Header:
    """The fields of the header that say something; `dynamic`: shapes are known only when the model runs."""

    name: str
    version: int
    ir_version: int
    model_type: int
    model_num: int
    dynamic: bool
    platform_version: str


@dataclass(frozen=True)
class Container:
    """The file taken apart: one block of partitions for each model."""

    header: Header
    blocks: tuple[Block, ...]

    @property
    def partitions(self) -> Block:
        """The partitions of the first model: of the only one, in most files."""
        return self.blocks[0]


def release(data: memoryview) -> None:
    """Give back the pages of the mapped file that `data` is a view of; they are read again when they are used."""
    mapped = data.obj
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def require(block: Block, which: f.Partition) -> memoryview:
    """A partition that must be there."""
    if which not in block:
        raise f.OmError(
            f"it holds no {which.name} partition",
            partition=_TABLE,
            offset=f.HEADER_SIZE,
            expected="an offline model with graph and tasks",
        )
    return block[which]


def read_container(source: Source) -> Container:
    """Header and partition tables, checked."""
    return _container(_open(source))


def _container(data: memoryview) -> Container:
    header, length, wide = _header(data)
    if length != len(data) - f.HEADER_SIZE:
        raise f.OmError(
            f"the header announces {length} bytes after itself, the file has {len(data) - f.HEADER_SIZE}",
            offset=184 if wide else 76,
        )
    body = data[f.HEADER_SIZE :]
    if header.model_type == f.TYPE_BUNDLE:
        return _bundle(header, body)
    blocks: list[Block] = []
    at = 0
    for number in range(header.model_num):
        where = _TABLE if header.model_num == 1 else f"{_TABLE} of model {number}"
        block, at = _block(body, at, wide, where)
        blocks.append(block)
    if at != len(body):
        raise f.OmError(
            f"{len(body) - at} bytes behind the last partition", partition=_TABLE, offset=f.HEADER_SIZE + at
        )
    return Container(header, tuple(blocks))


def _header(data: memoryview) -> tuple[Header, int, bool]:
    """The header, the number of bytes behind it and whether tables have 64-bit rows."""
    if len(data) < f.HEADER_SIZE:
        raise f.OmError(
            f"{len(data)} bytes are less than a header", expected=f"at least {f.HEADER_SIZE} bytes"
        )
    (magic, headsize, version, _, length, encrypted, _, kind, _, name, _, _, ir_version, models, *rest) = (
        f.HEADER.unpack_from(data)
    )
    platform, _, model_length, _, unknown_shape, _ = rest
    if magic != f.MAGIC:
        raise f.OmError("it does not begin with IMOD", expected="a .om file written by atc")
    if headsize != f.HEADER_SIZE:
        raise f.OmError(f"header size {headsize}", offset=4, expected=str(f.HEADER_SIZE))
    if version not in (f.VERSION_1, f.VERSION_2):
        raise f.OmError(f"header version {version:#x}", offset=8, expected="1.0 or 2.0")
    if encrypted:
        raise f.OmError("the model is encrypted", offset=80, expected="a model that is not")
    if kind not in (f.TYPE_IR_MODEL, f.TYPE_STANDARD, f.TYPE_BUNDLE):
        named = f" ({f.MODEL_TYPES[kind]})" if kind < len(f.MODEL_TYPES) else ""
        raise f.OmError(
            f"model type {kind}{named}", offset=82, expected="a plain model (0 or 1) or a bundle (5)"
        )
    current = version == f.VERSION_2
    count = models if current else 1  # version 1 has another field there
    if not 1 <= count <= f.MAX_BUNDLED:
        raise f.OmError(f"it announces {count} models", offset=156, expected=f"1 to {f.MAX_BUNDLED}")
    wide = current and model_length != 0
    if kind == f.TYPE_BUNDLE:
        model_length = max(0, model_length - f.HEADER_SIZE)  # bundles count their header
    header = Header(
        _text(name),
        version,
        ir_version,
        kind,
        count,
        current and (count > 1 or bool(unknown_shape)) and kind != f.TYPE_BUNDLE,
        _text(platform) if current else "",
    )
    return header, model_length if wide else length, wide


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode(errors="replace")


def _open(source: Source) -> memoryview:
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).cast("B")
    path = Path(source)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if not size:
                raise f.OmError(f"{str(path)!r} is empty", expected="a .om file")
            return memoryview(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise AscendError(
            "E13001",
            f"cannot open {str(path)!r}: {reason or error}",
            expected="a readable .om file",
            hint="check the path",
        ) from error


@dataclass(frozen=True)
class _Row:
    """A row of a table; `at` is its place in the file."""

    number: int
    offset: int
    size: int
    at: int


def _rows(body: memoryview, start: int, wide: bool, most: int, where: str) -> tuple[list[_Row], int]:
    """The table that stands at `start` of the body, and where it ends there."""
    head, row = (f.TABLE_HEAD_64, f.TABLE_ROW_64) if wide else (f.TABLE_HEAD_32, f.TABLE_ROW_32)
    file_offset = f.HEADER_SIZE + start
    if len(body) - start < head.size:
        raise f.OmError("it ends before the partition table", partition=where, offset=file_offset)
    (count,) = head.unpack_from(body, start)
    if not 1 <= count <= most:
        raise f.OmError(f"{count} partitions", partition=where, offset=file_offset, expected=f"1 to {most}")
    first = start + head.size
    end = first + count * row.size
    if end > len(body):
        raise f.OmError(
            f"it ends inside a table of {count} rows", partition=where, offset=file_offset + head.size
        )
    places = range(first, end, row.size)
    rows: list[_Row] = []
    for at in places:
        number, offset, size = row.unpack_from(body, at)
        rows.append(_Row(number, offset, size, f.HEADER_SIZE + at))
    return rows, end


def _block(body: memoryview, start: int, wide: bool, where: str) -> tuple[Block, int]:
    """The partitions whose table stands at `start`, and where the last one ends."""
    rows, first = _rows(body, start, wide, f.MAX_PARTITIONS, where)
    found: dict[int, memoryview] = {}
    running = 0
    for row in rows:
        name = f.partition_name(row.number)
        if row.offset != running:
            raise f.OmError(
                f"partition {name} starts at {row.offset}",
                partition=where,
                offset=row.at,
                expected=str(running),
            )
        if row.size > len(body) - first - running:
            raise f.OmError(f"partition {name} runs past the end", partition=where, offset=row.at)
        if row.number in found:
            raise f.OmError(f"partition {name} stands twice", partition=where, offset=row.at)
        found[row.number] = body[first + running : first + running + row.size]
        running += row.size
    return found, first + running


def _bundle(header: Header, body: memoryview) -> Container:
    """Whole files in partitions; offsets count from the table's first byte, table included."""
    rows, end = _rows(body, 0, True, f.MAX_BUNDLED, _TABLE)
    blocks: list[Block] = []
    for row in rows:
        name = f.partition_name(row.number)
        if row.offset != end or row.size > len(body) - end:
            raise f.OmError(
                f"partition {name} of {row.size} bytes starts at {row.offset}",
                partition=_TABLE,
                offset=row.at,
                expected=f"{end}, and at most {len(body) - end} bytes",
            )
        if row.number == f.Partition.BUNDLE_MODEL_INFO:
            blocks += _bundled(body[end : end + row.size], len(blocks))
        end += row.size
    if not blocks:
        raise f.OmError("the bundle holds no model", partition=_TABLE, offset=f.HEADER_SIZE)
    return Container(header, tuple(blocks))


def _bundled(data: memoryview, number: int) -> tuple[Block, ...]:
    header, _, _ = _header(data)
    if header.model_type == f.TYPE_BUNDLE:
        raise f.OmError(f"model {number} of the bundle is a bundle", offset=82, expected="a plain model")
    return _container(data).blocks
