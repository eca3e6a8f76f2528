"""Strings during import: the operators that take them, and the attributes that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from onnx import AttributeProto, NodeProto

from ..dialects.dtypes import Array
from ..runtime import texts
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Value

OF_TEXTS: Final = frozenset(
    {
        "Cast", "CastLike", "Compress", "Concat", "ConcatFromSequence", "DepthToSpace", "Equal", "Expand", "Flatten", "Gather",
        "GatherND", "Identity", "If", "Loop", "NonZero", "OneHot", "Optional", "OptionalGetElement", "OptionalHasElement", "Pad",
        "RegexFullMatch", "Reshape", "ReverseSequence", "Scan", "SequenceAt", "SequenceConstruct", "SequenceErase", "SequenceInsert",
        "SequenceLength", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "SplitToSequence", "Squeeze", "StringConcat",
        "StringNormalizer", "StringSplit", "TfIdfVectorizer", "Tile", "Transpose", "Unique", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Handlers that take strings; the standard allows a few more (Scatter, Trilu, Resize), whose handlers compute with numbers."""


def check_texts(proto: NodeProto, domain: str, operands: Sequence[Value | None]) -> None:
    """Refuses a string operand of a node whose handler does not take them, so that no handler has to ask."""
    allowed = not domain and proto.op_type in OF_TEXTS
    for operand in operands:
        if operand is not None:
            require(constraints.takes_texts, operand.name, operand.dtype != "str" or allowed)


def text_array(attribute: AttributeProto) -> Array:
    """The texts of a STRING (shape []) or STRINGS attribute (a row) as slots."""
    if attribute.type == AttributeProto.STRING:
        return texts.encode(np.array(attribute.s, object))
    row = np.empty(len(attribute.strings), object)
    row[:] = list(attribute.strings)
    return texts.encode(row)
