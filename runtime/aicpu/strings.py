"""Texts: joining, splitting, cleaning, matching, comparing; casts from and to numbers.

Kernels see slots (`runtime/texts.py`) and work on `str` objects. Where the ONNX text is open they do what
onnxruntime does; the exceptions are in decision 0030.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isinf, isnan
from typing import Any, Final

import numpy as np

from .. import texts
from ..texts import TextError
from .definition import TensorSpec
from .kernel import Array, Compute, CpuKernel, Settings, integer, kind_of, sized, word, words
from .regex import full_matcher

MOST_PIECES: Final = texts.MOST_BYTES + 1
"""Pieces of the longest text that is all delimiters."""
MOST_SPACE: Final = 1 << 28
"""Bytes that all pieces may take."""
_LARGEST: Final = 1 << 64


def _each(function: Callable[..., Any], *operands: Array) -> Array:
    """A function of texts, element by element, broadcast; an array of objects."""
    arrays = np.broadcast_arrays(*operands)
    result = np.empty(arrays[0].shape, object)
    flat = result.reshape(-1)
    for place, items in enumerate(zip(*(array.reshape(-1) for array in arrays), strict=True)):
        flat[place] = function(*items)
    return result


# --------------------------------------------------------------------------------------- joining and splitting


def _joined(left: str, right: str) -> str:
    return left + right


def _concat(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    left, right = map(texts.decode, operands)
    return [texts.encode(_each(_joined, left, right))]


def _pieces(text: str, delimiter: str, most: int) -> list[str]:
    """Between delimiters; without one, between white space, and none around them. At most `most` + 1 if that is
    not negative."""
    if delimiter:
        return text.split(delimiter, most)
    return text.strip().split(None, most)


def _split(operands: Sequence[Array], settings: Settings) -> list[Array]:
    """Result 0: the pieces, an axis more than the texts, as long as the most pieces; 1: how many each text has."""
    x = texts.decode(operands[0])
    delimiter, most = word(settings, "delimiter"), integer(settings, "most", -1)
    lists = [_pieces(text, delimiter, most) for text in x.reshape(-1).tolist()]
    counts = np.array([len(pieces) for pieces in lists], np.int64).reshape(x.shape)
    width = int(counts.max(initial=0))
    if len(lists) * width * texts.SLOT_BYTES > MOST_SPACE:
        raise TextError(f"{len(lists)} texts with {width} pieces each at most: that is too much")
    rows = np.full((len(lists), width), "", object)
    for row, pieces in zip(rows, lists, strict=True):
        row[: len(pieces)] = pieces
    return [texts.encode(rows).reshape(*x.shape, width), counts]


# -------------------------------------------------------------------------------------------------- cleaning


def _cased(text: str, case: str) -> str:
    """Each character becomes one character, as the C library does it: ß has no capital."""
    if case not in ("lower", "upper"):
        return text
    changed = ((c, c.lower() if case == "lower" else c.upper()) for c in text)
    return "".join(new if len(new) == 1 else old for old, new in changed)


def _normalize(operands: Sequence[Array], settings: Settings) -> list[Array]:
    """Takes out stop words (compared in one case with `folds`), then changes the case of the others."""
    x = texts.decode(operands[0])
    case, stop = word(settings, "case"), words(settings, "words")
    compared = (case or "lower") if integer(settings, "folds") else ""
    unwanted = {_cased(item, compared) for item in stop}
    kept = [item for item in x.reshape(-1).tolist() if _cased(item, compared) not in unwanted]
    row = np.array([_cased(item, case) for item in kept] or [""], object)
    return [texts.encode(row.reshape(1, -1) if x.ndim == 2 else row)]


# ------------------------------------------------------------------------------------- matching and comparing


def _full_match(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    matches = full_matcher(word(settings, "pattern"))
    return [_each(matches, texts.decode(operands[0])).astype(np.bool_)]


def _positions(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
    """Where each text stands in the list `words`, -1 for one that does not."""
    places = {text: place for place, text in reversed(list(enumerate(words(settings, "words"))))}

    def place_of(text: str) -> int:
        return places.get(text, -1)

    return [_each(place_of, texts.decode(operands[0])).astype(kind_of(outputs[0]))]


def equal(x: Array, y: Array) -> Array:
    """Whether two arrays of slots hold the same texts."""
    return np.asarray(texts.decode(x) == texts.decode(y)).astype(np.bool_)


# ---------------------------------------------------------------------------------------------------- numbers


def to_texts(x: Array) -> Array:
    """Numbers as texts: eight significant digits, `NaN`, `INF` and `-INF`; truth values are 1 and 0."""
    if x.dtype == texts.SLOT:
        return x
    if x.dtype.kind in "iub" or "int" in x.dtype.name:
        return texts.encode(_each(_whole_text, x))
    if x.dtype.kind == "c":
        raise TextError("a complex number has no text in ONNX")
    return texts.encode(_each(_number_text, x.astype(np.float64)))


def _whole_text(number: int) -> str:
    return str(int(number))


def _number_text(number: float) -> str:
    if isnan(number):
        return "NaN"
    if isinf(number):
        return "INF" if number > 0 else "-INF"
    return f"{number:.8g}"


def to_numbers(slots: Array, kind: np.dtype[Any]) -> Array:
    """Texts as numbers; a text that is none is a TextError, no zero."""
    x = texts.decode(slots)
    if kind.kind in "iub" or "int" in kind.name:
        numbers = _each(_whole, x)
        if kind.kind == "b":
            return numbers.astype(np.bool_)
        wraps = (1 << 64) - 1  # the cast below takes the low bits that the type has
        return _each(wraps.__and__, numbers).astype(np.uint64).astype(kind)
    return _each(_real, x).astype(np.float64).astype(kind)


def _real(text: str) -> float:
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError as error:
        raise TextError(f"{text[:24]!r} is no number") from error


def _whole(text: str) -> int:
    """A whole number; what stands behind the point is cut off."""
    digits = text.strip().removeprefix("-").removeprefix("+")
    if digits.isascii() and digits.isdecimal():
        number = int(text)
    else:
        real = _real(text)
        if not abs(real) < _LARGEST:
            raise TextError(f"{text[:24]!r} is no whole number of 64 bits")
        number = int(real)
    if not -_LARGEST // 2 <= number < _LARGEST:
        raise TextError(f"{text[:24]!r} is no whole number of 64 bits")
    return number


_SIZED: Final[dict[str, tuple[Callable[[Sequence[Array], Settings], list[Array]], float]]] = {
    "StringSplit": (_split, 16),
    "StringNormalizer": (_normalize, 1000),
}
_PLAIN: Final[dict[str, tuple[Compute, float]]] = {
    "StringConcat": (_concat, 500),
    "RegexFullMatch": (_full_match, 5000),
    "StringPositions": (_positions, 500),
}
KERNELS = {name: CpuKernel(sized(function), work) for name, (function, work) in _SIZED.items()} | {
    name: CpuKernel(function, work) for name, (function, work) in _PLAIN.items()
}
