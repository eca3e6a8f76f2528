"""Texts in device memory: one slot of 256 bytes for each element of a string tensor (decision 0030).

A slot is the length of the text in bytes (u32, little-endian) and then the text in UTF-8, the rest zero. All
elements have one size, so shapes, views, offsets and moves work as for numbers, a slot of zeros is the empty
text, and two texts are equal if their slots are. The price is a limit: 252 bytes of UTF-8. A longer text is
refused where it appears, it is never cut off.

numpy knows a slot as `V256` (bytes without a meaning); callers and kernels see arrays of `str` objects.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

SLOT_BYTES: Final = 256
LENGTH_BYTES: Final = 4
MOST_BYTES: Final = SLOT_BYTES - LENGTH_BYTES
"""The longest text, in bytes of UTF-8."""
SLOT: Final = np.dtype(f"V{SLOT_BYTES}")
TEXT_KINDS: Final = "OUST"
"""numpy kinds of arrays that may hold texts: objects, fixed and variable width strings, bytes."""


class TextError(ValueError):
    """A text that has no slot, or a slot that holds no text."""


def encode(texts: Array) -> Array:
    """An array of texts (`str`, or `bytes` that are UTF-8) as slots; TextError for anything else."""
    flat = np.asarray(texts).reshape(-1)
    slots = np.zeros((flat.size, SLOT_BYTES), np.uint8)
    for row, item in zip(slots, flat.tolist(), strict=True):
        data = _bytes_of(item)
        row[:LENGTH_BYTES] = np.frombuffer(len(data).to_bytes(LENGTH_BYTES, "little"), np.uint8)
        row[LENGTH_BYTES : LENGTH_BYTES + len(data)] = np.frombuffer(data, np.uint8)
    return slots.view(SLOT).reshape(np.shape(texts))


def _bytes_of(item: object) -> bytes:
    if isinstance(item, bytes):
        item = _decoded(item)  # bytes that are no text would come back as an error of the device
    if not isinstance(item, str):
        raise TextError(f"an element of type {type(item).__name__} where a text is expected")
    try:
        data = item.encode()
    except UnicodeEncodeError as error:
        raise TextError(f"a text with half of a surrogate pair: {error.reason}") from error
    if len(data) > MOST_BYTES:
        raise TextError(f"a text of {len(data)} bytes ({item[:24]!r}…); the longest has {MOST_BYTES}")
    return data


def decode(slots: Array) -> Array:
    """Slots as an array of `str` objects; TextError for a slot that nothing of ours wrote."""
    rows = np.ascontiguousarray(slots).reshape(-1).view(np.uint8).reshape(-1, SLOT_BYTES)
    texts = np.empty(len(rows), object)
    lengths = np.ascontiguousarray(rows[:, :LENGTH_BYTES]).view("<u4").reshape(-1).tolist()
    for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        if length > MOST_BYTES:
            raise TextError(f"a slot says that its text has {length} bytes; the longest has {MOST_BYTES}")
        texts[place] = _decoded(row[LENGTH_BYTES : LENGTH_BYTES + length].tobytes())
    return texts.reshape(slots.shape)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise TextError(f"bytes that are no UTF-8: {data[:24]!r}") from error


def slots_of(array: Array) -> Array:
    """Texts of a caller as slots; slots and numbers as they are."""
    return encode(array) if array.dtype.kind in TEXT_KINDS else array


def unpickled(array: Array) -> Array:
    """An array of `str` objects in the form that files take (numpy's fixed-width strings); others as they are.

    numpy strips NUL characters from the end of such strings."""
    return array.astype(np.str_) if array.dtype == object else array


def type_name(array: Array) -> str:
    """What a person reads as the type of an array."""
    return "string" if array.dtype.kind in "OU" else array.dtype.name
