"""Offline models as other writers make them: 32-bit tables, several models in a file, compressed attributes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

from ascend_mlir.runtime.om import format as f
from ascend_mlir.runtime.om import ge_ir_pb2 as ge
from ascend_mlir.runtime.om.container import read_container

Partitions = Mapping[int, bytes]


def partitions_of(data: bytes) -> dict[int, bytes]:
    """The partitions of a file of one model."""
    return {number: bytes(content) for number, content in read_container(data).partitions.items()}


def block(partitions: Partitions, wide: bool = True) -> bytes:
    """Table and partitions, back to back."""
    head, row = (f.TABLE_HEAD_64, f.TABLE_ROW_64) if wide else (f.TABLE_HEAD_32, f.TABLE_ROW_32)
    table, offset = head.pack(len(partitions)), 0
    for number, content in partitions.items():
        table += row.pack(number, offset, len(content))
        offset += len(content)
    return table + b"".join(partitions.values())


def file(
    blocks: Sequence[Partitions], *, wide: bool = True, kind: int = 0, models: int | None = None
) -> bytes:
    """A file of one model or, one block behind the other, of several."""
    return header(
        b"".join(block(b, wide) for b in blocks),
        wide=wide,
        kind=kind,
        models=len(blocks) if models is None else models,
    )


def header(
    body: bytes, *, wide: bool = True, kind: int = 0, models: int = 1, length: int | None = None
) -> bytes:
    """A header before a body; `length` other than the body's where a writer counts otherwise."""
    size = len(body) if length is None else length
    words = bytearray(f.HEADER_SIZE)
    struct.pack_into("<3I", words, 0, f.MAGIC, f.HEADER_SIZE, f.VERSION_2)
    struct.pack_into("<I", words, 76, 0 if wide else size)
    words[82] = kind
    words[84:91] = b"foreign"
    struct.pack_into("<II", words, 152, f.IR_VERSION, models)
    struct.pack_into("<Q", words, 184, size if wide else 0)
    return bytes(words) + body


def bundle(files: Sequence[bytes]) -> bytes:
    """Whole files in one: a row for the size of variables, then a row for each; offsets and the length of the file
    count as the public writer counts them there."""
    contents = [(f.Partition.BUNDLE_MODEL_VAR_INFO, bytes(8))]
    contents += [(f.Partition.BUNDLE_MODEL_INFO, data) for data in files]
    offset = f.TABLE_HEAD_64.size + len(contents) * f.TABLE_ROW_64.size
    table = f.TABLE_HEAD_64.pack(len(contents))
    for number, content in contents:
        table += f.TABLE_ROW_64.pack(number, offset, len(content))
        offset += len(content)
    body = table + b"".join(content for _, content in contents)
    return header(body, kind=f.TYPE_BUNDLE, models=1, length=len(body) + f.HEADER_SIZE)


def changed(data: bytes, change: Callable[[ge.ModelDef], None]) -> bytes:
    """The file with its graph changed."""
    parts = partitions_of(data)
    message = ge.ModelDef.FromString(parts[f.Partition.MODEL_DEF])
    change(message)
    parts[f.Partition.MODEL_DEF] = message.SerializeToString(deterministic=True)
    return file([parts])


def short(index: int) -> str:
    """The compressed name of the index-th attribute."""
    digits = ""
    while True:
        digits += chr(index % 127 + 1)
        index //= 127
        if not index:
            return "\0" + digits


def compress(message: ge.ModelDef) -> None:
    """Attributes of operators and tensors as the public tool compresses them; `padding` names put the indices
    above one digit."""
    names = [f"padding_{i}" for i in range(200)]
    texts: list[bytes] = []
    flags = [False] * len(names)
    maps = [op.attr for op in message.graph[0].op]
    maps += [d.attr for op in message.graph[0].op for d in (*op.input_desc, *op.output_desc)]
    for attrs in maps:
        for name in sorted(attrs):
            value = ge.AttrDef()
            value.CopyFrom(attrs[name])
            listed = value.list.val_type == ge.AttrDef.ListValue.VT_LIST_STRING
            is_text = value.WhichOneof("value") == "s" or (value.WhichOneof("value") == "list" and listed)
            if name not in names:
                names.append(name)
                flags.append(is_text)
            elif flags[names.index(name)] != is_text:
                continue  # stays literal
            if is_text:
                found = list(value.list.s) if listed else [value.s]
                texts += [text for text in found if text not in texts]
                if listed:
                    value.list.Clear()
                    value.list.i.extend(texts.index(text) for text in found)
                    value.list.val_type = ge.AttrDef.ListValue.VT_LIST_INT
                else:
                    value.i = texts.index(value.s)
            del attrs[name]
            attrs[short(names.index(name))].CopyFrom(value)
    kinds = ge.AttrDef.ListValue
    message.attr["om_compress_version"].i = 1
    message.attr["attr_name_enum"].list.s.extend(name.encode() for name in names)
    message.attr["attr_name_enum"].list.val_type = kinds.VT_LIST_STRING
    message.attr["attr_value_enum"].list.s.extend(texts)
    message.attr["attr_value_enum"].list.val_type = kinds.VT_LIST_STRING
    message.attr["attrs_use_string_value"].list.b.extend(flags)
    message.attr["attrs_use_string_value"].list.val_type = kinds.VT_LIST_BOOL
