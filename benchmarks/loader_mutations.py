"""Damaged and hostile offline models: what `fuzz_loader.py` feeds the loader.

A mutation takes a random generator and the seeds (whole, valid files) and returns the bytes of one file. The kinds go
from the outside in: bytes of the file, lengths in headers and tables, whole partitions, the wire format of protobuf,
the messages' own fields, and messages built to take much memory or time.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

from ascend_mlir.runtime.om import format as f
from ascend_mlir.runtime.om import ge_ir_pb2 as ge
from ascend_mlir.runtime.om import task_pb2 as domi
from ascend_mlir.runtime.om.container import read_container
from google.protobuf.descriptor import FieldDescriptor

Seeds = Sequence[bytes]
Mutation = Callable[[random.Random, Seeds], bytes]

HOSTILE = (
    0, 1, 2, 3, 7, 8, 12, 24, 31, 255, 256, 511, 512, 4095, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40,
    2**62, 2**63 - 1, 2**63, 2**64 - 512, 2**64 - 1,
)  # fmt: skip
LARGEST_BOMB = 1 << 20
"""Bytes of the largest hostile message: what it asks for is a hundred times as much."""


# ------------------------------------------------------------------------------------------- containers
def partitions(data: bytes) -> dict[int, bytes]:
    """The partitions of the first model of a file."""
    return {number: bytes(content) for number, content in read_container(data).partitions.items()}


def rebuilt(parts: Sequence[tuple[int, bytes]], wide: bool = True) -> bytes:
    """A file of these partitions whose header and table are right."""
    head, row = (f.TABLE_HEAD_64, f.TABLE_ROW_64) if wide else (f.TABLE_HEAD_32, f.TABLE_ROW_32)
    table, offset = head.pack(len(parts)), 0
    for number, content in parts:
        table += row.pack(number, offset, len(content))
        offset += len(content)
    body = table + b"".join(content for _, content in parts)
    header = bytearray(f.HEADER_SIZE)
    struct.pack_into("<3I", header, 0, f.MAGIC, f.HEADER_SIZE, f.VERSION_2)
    struct.pack_into("<I", header, 76, 0 if wide else len(body))
    struct.pack_into("<II", header, 152, f.IR_VERSION, 1)
    struct.pack_into("<Q", header, 184, len(body) if wide else 0)
    return bytes(header) + body


def with_partition(data: bytes, number: int, content: bytes) -> bytes:
    """The file with another content of one partition."""
    return rebuilt([(kind, content if kind == number else old) for kind, old in partitions(data).items()])


def _flipped(rng: random.Random, data: bytes, low: int = 0, high: int | None = None) -> bytes:
    damaged = bytearray(data)
    top = len(damaged) if high is None else high
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        place = rng.randrange(low, max(top, low + 1)) if damaged else 0
        if place < len(damaged):
            damaged[place] = rng.choice(
                (damaged[place] ^ (1 << rng.randrange(8)), rng.randrange(256), 0, 255, 128)
            )
    return bytes(damaged)


# ------------------------------------------------------------------------------------------- mutations
def bit_flips(rng: random.Random, seeds: Seeds) -> bytes:
    """Bytes anywhere in the file, more often in its first kilobytes."""
    data = rng.choice(seeds)
    return _flipped(rng, data, 0, rng.choice((256, 512, 4096, len(data), len(data))))


def truncations(rng: random.Random, seeds: Seeds) -> bytes:
    """A file that ends early, goes on too long, or lacks a piece; with and without a header that says so."""
    data = rng.choice(seeds)
    cut, length = rng.randrange(len(data) + 1), rng.choice((1, 4, 8, 100, 1000))
    data = rng.choice(
        (
            data[:cut],
            data[:cut] + data[cut + length :],
            data + bytes(length),
            data[:cut] + bytes(length) + data[cut:],
        )
    )
    if rng.random() < 0.5 and len(data) >= f.HEADER_SIZE:
        data = data[:184] + struct.pack("<Q", len(data) - f.HEADER_SIZE) + data[192:]
    return data


def hostile_lengths(rng: random.Random, seeds: Seeds) -> bytes:
    """Numbers of header, table, kernel store and tensor records that promise too much or too little."""
    data = bytearray(rng.choice(seeds))
    table = range(f.HEADER_SIZE, f.HEADER_SIZE + 8 + 24 * f.MAX_PARTITIONS, 4)
    places = [76, 80, 82, 152, 156, 184, 188, 192, *table]
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.choice(places)
        old = int.from_bytes(data[place : place + 8], "little")
        new = rng.choice((*HOSTILE, old + 1, old - 1, old * 2)) % 2**64
        width = rng.choice((4, 8))
        data[place : place + width] = (new % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(data)


def hostile_records(rng: random.Random, seeds: Seeds) -> bytes:
    """Numbers inside the partitions that are records: kernels, inputs and outputs."""
    data = rng.choice(seeds)
    parts = partitions(data)
    number = rng.choice(
        [n for n in (f.Partition.TBE_KERNELS, f.Partition.MODEL_INOUT_INFO) if n in parts] or [0]
    )
    content = bytearray(parts[number])
    for _ in range(rng.choice((1, 1, 2))):
        place = (
            rng.randrange(max(len(content) - 8, 1))
            if rng.random() < 0.3
            else rng.choice((0, 4, 8, 12, 16, 20, 24, 28, 32, 36))
        )
        width = rng.choice((1, 4, 8))
        content[place : place + width] = (rng.choice(HOSTILE) % 2 ** (8 * width)).to_bytes(width, "little")
    return with_partition(data, number, bytes(content))


def spliced_partitions(rng: random.Random, seeds: Seeds) -> bytes:
    """Partitions of other models, under other numbers, missing, twice, empty, or in another order."""
    one = list(partitions(rng.choice(seeds)).items())
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(one))
        number, content = one[place]
        match rng.randrange(7):
            case 0:
                other = partitions(rng.choice(seeds))
                one[place] = (number, other.get(number, b""))
            case 1:
                one[place] = (rng.choice((*range(32), 77, 2**32 - 1)), content)
            case 2:
                one.pop(place)
                one = one or [(0, b"")]
            case 3:
                one.append((number, content))
            case 4:
                one[place] = (number, b"")
            case 5:
                rng.shuffle(one)
            case _:
                one[place] = (number, content[: rng.randrange(len(content) + 1)])
    return rebuilt(one, wide=rng.random() < 0.7)


def wire_bytes(rng: random.Random, seeds: Seeds) -> bytes:
    """Bytes of the graph and the tasks, in a file whose header and table are right."""
    data = rng.choice(seeds)
    parts = partitions(data)
    number = rng.choice((f.Partition.MODEL_DEF, f.Partition.MODEL_DEF, f.Partition.TASK_INFO))
    content = parts[number]
    if rng.random() < 0.6:
        content = _flipped(rng, content)
    else:
        at, length = rng.randrange(len(content)), rng.choice((1, 2, 5, 20))
        piece = rng.choice((b"", rng.randbytes(length), content[at : at + length] * 2))
        content = content[:at] + piece + content[at + length :]
    return with_partition(data, number, content)


# -------------------------------------------------------------------------------------- fields of messages
def _value(rng: random.Random, field: FieldDescriptor, old: Any) -> Any:
    """Another value for a field of a plain type."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(
            ("", "x", "x:0", "x:-1", ":", "a:99999999999", str(old)[:-1], f"{old}x", "é\0", "w" * 300)
        )
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.choice((b"", b"\xff", bytes(8), rng.randbytes(20), bytes(old)[:-1]))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return not old
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return rng.choice((0.0, float("nan"), float("inf"), -1.0))
    number = rng.choice((*HOSTILE, int(old) + 1, int(old) - 1, -1))
    bits = (
        32
        if field.type in (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM)
        else 64
    )
    number %= 2**bits
    signed = field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM)
    return number - 2**bits if signed and number >= 2 ** (bits - 1) else number


def _change(rng: random.Random, message: Any) -> None:
    """Walk down to a random field and change it: another value, no value, twice."""
    for _ in range(12):
        fields = message.ListFields()
        if not fields:
            return
        field, held = rng.choice(fields)
        if rng.random() < 0.08:
            message.ClearField(field.name)
            return
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key = rng.choice(sorted(held))
            if rng.random() < 0.3:
                del held[key]
                return
            message = held[key]
        elif field.is_repeated:
            place = rng.randrange(len(held))
            if rng.random() < 0.15:
                del held[place]
                return
            if rng.random() < 0.15:
                held.extend([held[rng.randrange(len(held))]])
                return
            if field.message_type is None:
                held[place] = _value(rng, field, held[place])
                return
            message = held[place]
        elif field.message_type is None:
            setattr(message, field.name, _value(rng, field, held))
            return
        else:
            message = held


def changed_fields(rng: random.Random, seeds: Seeds) -> bytes:
    """A graph or a list of tasks that is sound as a message and says something else."""
    data = rng.choice(seeds)
    number, kind = rng.choice(
        ((f.Partition.MODEL_DEF, ge.ModelDef), (f.Partition.TASK_INFO, domi.ModelTaskDef))
    )
    message = kind.FromString(partitions(data)[number])
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change(rng, message)
    return with_partition(data, number, message.SerializeToString(deterministic=True))


# ------------------------------------------------------------------------------------------------- bombs
def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _many(rng: random.Random, size: int) -> bytes:
    """Empty things: nodes, descriptions, attributes, texts, graphs, numbers."""
    unit, path = rng.choice(
        (
            (b"\x32\x00", (7,)),  # nodes of a graph
            (b"\x8a\x02\x00", (7, 6)),  # input descriptions
            (b"\x52\x00", (7, 6)),  # attributes
            (b"\x2a\x00", (7, 6)),  # edges
            (b"\x3a\x00", ()),  # graphs
            (b"\x5a\x00", ()),  # attributes of the model
            (b"\x42\x00", (11, 2, 1)),  # descriptions in a list
            (b"\x0a\x00", (11, 2, 14)),  # lists of numbers
            (b"\xc2\xf2\x04\x00", (7,)),  # fields that nobody knows
        )
    )
    content = unit * (size // len(unit))
    for number in reversed(path):
        content = _field(number, content)
    return content


def _deep(rng: random.Random, size: int) -> bytes:
    """Graphs in attributes of graphs, and values in values, as deep as the bytes allow."""
    content = b""
    step = rng.choice(((13, 11, 2), (10, 2, 2), (1, 10, 11, 2)))
    for _ in range(rng.choice((20, 60, 101, 300, 3000))):
        for number in step:
            content = _field(number, content)
        if len(content) > size:
            break
    return _field(7, content) if rng.random() < 0.5 else _field(11, _field(1, b"k") + _field(2, content))


def _packed(rng: random.Random, size: int) -> bytes:
    """One list of very many small or one-byte-too-long numbers."""
    digit = rng.choice((b"\x00", b"\x01", b"\xff\x01", b"\x80\x80\x01", b"\xff" * 9 + b"\x01", b"\xff" * 12))
    node = _field(1, b"n") + _field(rng.choice((28, 29, 30, 31)), digit * (size // len(digit)))
    return _field(7, _field(6, node))


def _dictionary(rng: random.Random, size: int) -> bytes:
    """Compressed attributes whose dictionary is one long text."""
    message = ge.ModelDef()
    message.attr["om_compress_version"].i = 1
    message.attr["attr_name_enum"].list.s.append(b"n" * rng.choice((1, 1000)))
    message.attr["attr_value_enum"].list.s.append(b"y" * (size // 2))
    message.attr["attrs_use_string_value"].list.b.append(True)
    for _ in range(rng.choice((1, 30))):
        node = message.graph.add().op.add() if not message.graph else message.graph[0].op.add()
        node.attr["\0\1"].list.i.extend([0] * (size // 60))
    return message.SerializeToString()


def bombs(rng: random.Random, seeds: Seeds) -> bytes:
    """Messages that ask for much memory or time; alone, or behind a real graph, which takes them as more of itself."""
    size = (
        rng.choice((1000, 10_000, 100_000, LARGEST_BOMB))
        if rng.random() < 0.2
        else rng.choice((200, 2000, 20_000))
    )
    content = rng.choice((_many, _many, _deep, _packed, _dictionary))(rng, size)
    data = rng.choice(seeds)
    number = rng.choice((f.Partition.MODEL_DEF, f.Partition.MODEL_DEF, f.Partition.TASK_INFO))
    if rng.random() < 0.5:
        content = partitions(data)[number] + content
    return with_partition(data, number, content)


def random_bytes(rng: random.Random, seeds: Seeds) -> bytes:
    """Noise, alone or behind a real header."""
    noise = rng.randbytes(rng.choice((0, 3, 255, 256, 300, 1000)))
    return noise if rng.random() < 0.5 else rng.choice(seeds)[: rng.choice((4, 256, 264, 384))] + noise


MUTATIONS: dict[str, tuple[Mutation, int]] = {
    "bit flips": (bit_flips, 3),
    "truncations": (truncations, 2),
    "hostile lengths": (hostile_lengths, 3),
    "hostile records": (hostile_records, 2),
    "spliced partitions": (spliced_partitions, 3),
    "wire bytes": (wire_bytes, 4),
    "changed fields": (changed_fields, 8),
    "bombs": (bombs, 2),
    "random bytes": (random_bytes, 1),
}
"""Every kind of damage, and its share of the files."""
