"""Attribute compression, undone.

The public tool shortens attributes unless told otherwise: the name of an attribute of an operator or tensor becomes a
zero byte and the digits of its index in a dictionary (base 127, least significant first, each digit plus one), a text
becomes its index in another dictionary. Both dictionaries are attributes of the model. We write no such files; those
of others must be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.internal.containers import MessageMap

from . import format as f
from . import ge_ir_pb2 as ge

ATTR_VERSION: Final = "om_compress_version"
ATTR_NAMES: Final = "attr_name_enum"
ATTR_TEXTS: Final = "attr_value_enum"
ATTR_IS_TEXT: Final = "attrs_use_string_value"
KNOWN_VERSION: Final = 1
MOST: Final = 16
"""Bytes of expanded names and texts for each byte of the graph, beside 16 MiB: a dictionary of one long text and
many references to it is a bomb."""
BASE: Final = 127
MOST_DIGITS: Final = 9


def expand(message: ge.ModelDef, dictionary: ge.ModelDef | None = None, starts: Sequence[int] = ()) -> None:
    """Give attributes their names and texts back, in place; nothing happens to a model that is not compressed.

    In a file of several models only the first carries the dictionaries: `dictionary`. `starts` are the bytes at
    which nodes begin, all graphs in a row.
    """
    source = dictionary if dictionary is not None else message
    if ATTR_VERSION not in source.attr:
        return
    version = source.attr[ATTR_VERSION].i
    if version != KNOWN_VERSION:
        raise _error(f"attributes are compressed by method {version}", str(KNOWN_VERSION))
    names = [_decoded(name) for name in source.attr[ATTR_NAMES].list.s] if ATTR_NAMES in source.attr else []
    texts = list(source.attr[ATTR_TEXTS].list.s) if ATTR_TEXTS in source.attr else []
    flags = list(source.attr[ATTR_IS_TEXT].list.b) if ATTR_IS_TEXT in source.attr else []
    if len(flags) != len(names):
        raise _error(f"{len(names)} names of attributes and {len(flags)} marks of texts", "as many")
    expander = _Expander(names, texts, flags, (16 << 20) + MOST * message.ByteSize())
    for position, op in enumerate(op for graph in message.graph for op in graph.op):
        try:
            expander.node(op)
        except f.OmError as error:
            raise error.at(starts[position] if position < len(starts) else 0) from None
    for key in (ATTR_VERSION, ATTR_NAMES, ATTR_TEXTS, ATTR_IS_TEXT):
        message.attr.pop(key, None)


def _error(message: str, expected: str) -> f.OmError:
    return f.OmError(message, partition="MODEL_DEF", expected=expected)


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise _error(f"the name of an attribute is {name!r}", "UTF-8") from error


def index_of(name: str) -> int:
    """The index behind a compressed name, or -1 where there is none."""
    if not 1 < len(name) <= MOST_DIGITS + 1 or name[0] != "\0":
        return -1
    index = 0
    for place, digit in enumerate(name[1:]):
        index += (ord(digit) - 1) * BASE**place
    return index


class _Expander:
    """The dictionaries at work; `left` bytes may still come out of them."""

    def __init__(
        self, names: Sequence[str], texts: Sequence[bytes], flags: Sequence[bool], left: int
    ) -> None:
        self.names, self.texts, self.flags, self.left = names, texts, flags, left

    def node(self, op: ge.OpDef) -> None:
        """All attributes of a node: its own, those of its tensors, those of its value."""
        self.attributes(op.attr)
        for desc in (*op.input_desc, *op.output_desc):
            self.attributes(desc.attr)
        if "value" in op.attr and op.attr["value"].WhichOneof("value") == "t":
            self.attributes(op.attr["value"].t.desc.attr)

    def attributes(self, attrs: MessageMap[str, ge.AttrDef]) -> None:
        """One map of attributes; a plain name stays."""
        for short in [name for name in attrs if name.startswith("\0")]:
            index = index_of(short)
            if not 0 <= index < len(self.names):
                raise _error(
                    f"attribute {short[:20]!r} is not in the dictionary", f"an index below {len(self.names)}"
                )
            name = self.names[index]
            self.spend(len(name))
            value = ge.AttrDef()
            value.CopyFrom(attrs[short])
            del attrs[short]
            if self.flags[index]:
                self.text(name, value)
            attrs[name].CopyFrom(value)

    def text(self, name: str, value: ge.AttrDef) -> None:
        """An index becomes the text it stands for; a list of indices, texts."""
        if value.WhichOneof("value") == "i":
            value.s = self.looked_up(name, value.i)
        elif value.WhichOneof("value") == "list":
            found = [self.looked_up(name, index) for index in value.list.i]
            value.list.Clear()
            value.list.s.extend(found)
            value.list.val_type = ge.AttrDef.ListValue.VT_LIST_STRING

    def looked_up(self, name: str, index: int) -> bytes:
        if not 0 <= index < len(self.texts):
            raise _error(f"attribute {name!r} stands for text {index}", f"an index below {len(self.texts)}")
        self.spend(len(self.texts[index]))
        return self.texts[index]

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _error("its compressed attributes are out of all proportion", "an honest dictionary")
