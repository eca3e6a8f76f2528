"""ONNX operators on strings: kernels of the AI CPU's library (decision 0030).

Moves of strings (Reshape, Concat, Slice, Transpose) need nothing here: a text is an element of 256 bytes.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..dialects import nn
from ..dialects.dtypes import size_of
from ..dialects.nn_attrs import PyAttr
from ..runtime.aicpu.regex import RegexError, full_matcher
from ..runtime.aicpu.strings import MOST_PIECES, MOST_SPACE
from ..runtime.texts import MOST_BYTES
from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_cpu import sized


@onnx_op("StringConcat")
def string_concat(node: Node) -> Value:
    x, y = node.input(0), node.input(1)
    shape = np.broadcast_shapes(x.shape, y.shape)
    return node.emit(nn.CpuKernelOp, [x, y], "StringConcat", shape, "str")


@onnx_op("StringSplit")
def string_split(node: Node) -> list[Value]:
    """Pieces of each text, and how many there are."""
    x = node.input(0)
    delimiter, most = node.string("delimiter", ""), node.int("maxsplit", -1)
    _require_text("delimiter", delimiter)
    pieces = MOST_PIECES if delimiter else MOST_BYTES // 2 + 1  # white space between any two
    if delimiter:
        pieces = MOST_BYTES // len(delimiter.encode()) + 1
    pieces = min(pieces, most + 1) if most >= 0 else pieces
    require(constraints.pieces_are_bounded, prod(x.shape) * pieces * size_of("str"), MOST_SPACE)
    settings: dict[str, PyAttr] = {} if most < 0 else {"most": most}
    if delimiter:
        settings["delimiter"] = delimiter
    found = [sized(node, [x], "StringSplit", (*x.shape, pieces), "str", 0, **settings)]
    if len(node.proto.output) > 1:
        found.append(node.emit(nn.CpuKernelOp, [x], "StringSplit", x.shape, "i64", result=1, **settings))
    return found


@onnx_op("StringNormalizer")
def string_normalizer(node: Node) -> Value:
    """Without stop words each text stays, so the size is known."""
    x = node.input(0)
    require(constraints.row_of_texts, x.shape)
    action = node.word("case_change_action", "NONE", ("NONE", "LOWER", "UPPER"))
    stop = texts_of(node, "stopwords")
    settings: dict[str, PyAttr] = {} if action == "NONE" else {"case": action.lower()}
    if not stop and 0 not in x.shape:
        return node.emit(nn.CpuKernelOp, [x], "StringNormalizer", x.shape, "str", result=0, **settings)
    if stop:
        settings["words"] = stop
    if not node.int("is_case_sensitive", 0):
        settings["folds"] = True
    space = (*x.shape[:-1], max(x.shape[-1], 1))  # one empty text where nothing is left
    return sized(node, [x], "StringNormalizer", space, "str", 0, **settings)


@onnx_op("RegexFullMatch")
def regex_full_match(node: Node) -> Value:
    x, pattern = node.input(0), node.string("pattern")
    try:
        full_matcher(pattern)
    except RegexError as error:
        require(constraints.pattern_is_linear, str(error))
    return node.emit(nn.CpuKernelOp, [x], "RegexFullMatch", x.shape, "bool", pattern=pattern)


def positions(node: Node, x: Value, words: tuple[str, ...]) -> Value:
    """Where each text stands in a list, i32; -1 for one that does not."""
    return node.emit(nn.CpuKernelOp, [x], "StringPositions", x.shape, "i32", words=words)


def texts_of(node: Node, name: str) -> tuple[str, ...]:
    """A list attribute of texts; none of them may be longer than a text can be."""
    if not node.has(name):
        return ()
    found = tuple(item.decode("utf-8", "replace") for item in node.attributes[name].strings)
    for text in found:
        _require_text(name, text)
    return found


def _require_text(name: str, text: str) -> None:
    if len(text.encode()) > MOST_BYTES:
        require(constraints.texts_fit, f"{name} has one of {len(text.encode())}")
