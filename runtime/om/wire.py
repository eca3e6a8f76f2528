"""Protobuf bytes are looked over before they are decoded.

A decoder builds an object for every message it meets, and two bytes are enough for one: a few megabytes can ask
for gigabytes. `scan` walks the bytes once, without building anything. It checks that every tag, length and number
lies inside its message, that messages are not nested without end, and that what the decoder will build stays
within `BASE + FACTOR · size` bytes. It also says at which byte the parts that errors are about begin: nodes of a graph,
tasks of a list.

Wire format: https://protobuf.dev/programming-guides/encoding. A message is a run of fields; a field is a tag
(number · 8 + kind) and a value: 0 a varint (7 bits a byte, least significant first), 1 eight bytes, 5 four bytes,
2 a length and as many bytes. Kinds 3 and 4 (groups) are in no file of this format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from .format import OmError

MAX_DEPTH: Final = 100
"""Messages inside each other: where protobuf's own decoders stop."""

BASE: Final = 16 << 20
FACTOR: Final = 16
"""Bytes that decoding may take beside those of the message: honest files are
estimated at up to 10 times their size, a bomb of empty messages at 100 times."""

SCALAR_COST: Final = 24
"""A number of a list: 8 bytes where it is decoded, a Python integer where it is read."""
TEXT_COST: Final = 64

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_TEXTS: Final = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


@dataclass(frozen=True)
class _Field:
    """What the scan must know of a field: its message, if it is one, and what one more of it costs."""

    name: str
    message: _Message | None
    is_text: bool


@dataclass
class _Message:
    """A message type: its fields by number and the bytes that an object of it takes."""

    cost: int
    fields: dict[int, _Field] = field(default_factory=dict[int, "_Field"])


@dataclass(frozen=True)
class Places:
    """Where parts begin, in bytes of the partition, by the path of field names that leads to them."""

    starts: Mapping[tuple[str, ...], tuple[int, ...]]

    def start(self, path: tuple[str, ...], index: int) -> int:
        """The first byte of the index-th part under that path, or 0 when there is none."""
        found = self.starts.get(path, ())
        return found[index] if 0 <= index < len(found) else 0


_KNOWN: Final[dict[str, _Message]] = {}


def _described(descriptor: Descriptor) -> _Message:
    """A message type as the scan sees it; types may contain themselves."""
    known = _KNOWN.get(descriptor.full_name)
    if known is not None:
        return known
    apart = sum(found.containing_oneof is None for found in descriptor.fields)
    made = _Message(32 + 8 * (apart + 2 * len(descriptor.oneofs)))
    _KNOWN[descriptor.full_name] = made
    for found in descriptor.fields:
        inner = found.message_type
        made.fields[found.number] = _Field(
            found.name, _described(inner) if inner is not None else None, found.type in _TEXTS
        )
    return made


class _Scan:
    """One walk. `depth` 1 is the outermost message."""

    def __init__(self, data: bytes, partition: str, paths: tuple[tuple[str, ...], ...]) -> None:
        self.data, self.partition = data, partition
        self.left = BASE + FACTOR * len(data)
        self.starts: dict[tuple[str, ...], list[int]] = {path: [] for path in paths}
        self.longest = max(map(len, paths), default=0)

    def error(self, message: str, at: int, expected: str = "a protobuf message") -> OmError:
        return OmError(message, partition=self.partition, offset=at, expected=expected)

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """Value and the byte behind it."""
        data, value, shift = self.data, 0, 0
        for place in range(at, min(end, at + 10)):
            byte = data[place]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, place + 1
            shift += 7
        raise self.error("a number runs past its end", at)

    def message(self, at: int, end: int, kind: _Message, path: tuple[str, ...], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self.error(f"messages lie more than {MAX_DEPTH} deep in each other", at)
        data, fields = self.data, kind.fields
        while at < end:
            start = at
            tag = data[at]
            at += 1
            if tag >= 0x80:
                tag, at = self.varint(start, end)
            wire, known = tag & 7, fields.get(tag >> 3)
            if tag < 8:
                raise self.error("a field has number 0", start)
            if wire == _BYTES:
                size, at = self.varint(at, end) if at >= end or data[at] >= 0x80 else (data[at], at + 1)
                if size > end - at:
                    raise self.error(f"a field of {size} bytes runs past the end of its message", start)
                if known is not None:
                    self.inside(start, at, at + size, known, path, depth)
                at += size
            elif wire == _VARINT:
                if at < end and data[at] < 0x80:
                    at += 1
                else:
                    _, at = self.varint(at, end)
                self.left -= SCALAR_COST
            elif wire in (_EIGHT, _FOUR):
                at += 8 if wire == _EIGHT else 4
                if at > end:
                    raise self.error("a number runs past its end", start)
                self.left -= SCALAR_COST
            else:
                raise self.error(f"a field is of wire type {wire}", start)
            if self.left < 0:
                raise self.error(
                    f"decoding {len(data)} bytes would take more than {BASE + FACTOR * len(data)} bytes of memory",
                    start,
                    "an honest graph",
                )

    def inside(self, start: int, at: int, end: int, known: _Field, path: tuple[str, ...], depth: int) -> None:
        """A field with a length: a message, a text, or a list of numbers without tags."""
        inner = known.message
        if inner is None:
            self.left -= TEXT_COST if known.is_text else SCALAR_COST * (end - at)
            return
        self.left -= inner.cost
        if depth <= self.longest:
            path = (*path, known.name)
            if path in self.starts:
                self.starts[path].append(start)
        self.message(at, end, inner, path, depth + 1)


def scan(data: bytes, kind: type[Message], partition: str, paths: tuple[tuple[str, ...], ...] = ()) -> Places:
    """Check the bytes of a message of that kind and find where the parts under `paths` begin.

    Raises:
        OmError: with the byte at which the first thing is wrong.
    """
    walk = _Scan(data, partition, paths)
    descriptor = cast(Descriptor, kind.DESCRIPTOR)  # or the C one, which is the same to Python
    walk.message(0, len(data), _described(descriptor), (), 1)
    return Places({path: tuple(found) for path, found in walk.starts.items()})
