"""Lists at the border of a model: ONNX sequences and optionals that are inputs or outputs (decision 0035).

An offline model has tensors only. A sequence `s` of three is the tensors `s@0`, `s@1`, `s@2`; an optional that holds
something is what it holds; one that holds nothing is no tensor at all. Two attributes of the model say what the
caller gives and gets, in order, where that is more than tensors:

    _ascend_mlir_list_outputs = ["3:s", ":y", "-:o"]        a list of three, a tensor, nothing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from numpy.typing import NDArray

from .errors import AscendError
from .om.format import OmError

Array: TypeAlias = NDArray[Any]
Given: TypeAlias = "Array | list[Array] | None"
"""What a caller gives or gets: a tensor, a list of tensors, or nothing."""

MARK: Final = "@"
NOTHING: Final = -1
MOST: Final = 4096
"""Elements of a list."""


@dataclass(frozen=True)
class Entry:
    """One input or output as the caller sees it: a tensor (`count` None), a list of so many, or `NOTHING`."""

    name: str
    count: int | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The tensors that it consists of."""
        if self.count is None:
            return (self.name,)
        return tuple(f"{self.name}{MARK}{number}" for number in range(max(self.count, 0)))

    def text(self) -> str:
        """As the attribute has it."""
        kind = "" if self.count is None else "-" if self.count == NOTHING else str(self.count)
        return f"{kind}:{self.name}"


def entries_of(attribute: object, tensors: Sequence[str]) -> tuple[Entry, ...]:
    """What the caller sees of these tensors: themselves, where the attribute is missing.

    Raises:
        OmError: the attribute does not fit them.
    """
    if not isinstance(attribute, tuple):
        return tuple(Entry(name) for name in tensors)
    entries = tuple(_entry(str(text)) for text in cast(tuple[object, ...], attribute))
    if [part for entry in entries for part in entry.parts] != list(tensors):
        raise OmError(f"a list attribute names other tensors than {', '.join(tensors)[:80]}")
    return entries


def _entry(text: str) -> Entry:
    kind, colon, name = text.partition(":")
    if colon and kind in ("", "-"):
        return Entry(name, NOTHING if kind else None)
    is_count = kind.isascii() and kind.isdecimal() and len(kind) <= len(str(MOST)) and int(kind) <= MOST
    if not colon or not is_count:
        raise OmError(f"a list attribute has the entry {text[:40]!r}")
    return Entry(name, int(kind))


def flat_feed(entries: Sequence[Entry], feed: Mapping[str, Any]) -> dict[str, Any]:
    """A caller's inputs with the elements of lists one by one (they may be given so, too)."""
    found = dict(feed)
    for entry in entries:
        if entry.count is None or entry.name not in found:
            continue
        given = found.pop(entry.name)
        items = list(cast(Sequence[Any], given)) if isinstance(given, list | tuple) else None
        fits = given is None if entry.count == NOTHING else items is not None and len(items) == entry.count
        if not fits:
            what = "None" if given is None else f"a list of {len(items)}" if items is not None else "a tensor"
            wanted = "None" if entry.count == NOTHING else f"a list of {entry.count} arrays"
            raise AscendError(
                "EH0001",
                f"input {entry.name!r} is {what}",
                expected=f"{wanted}, as the model was compiled for",
            )
        found.update(zip(entry.parts, items or (), strict=True))
    return found


def grouped(entries: Sequence[Entry], arrays: Sequence[Array]) -> list[Any]:
    """Outputs as the caller gets them, from the tensors of all entries in order."""
    rest = iter(arrays)
    found: list[Any] = []
    for entry in entries:
        own = [next(rest) for _ in entry.parts]
        found.append(own[0] if entry.count is None else None if entry.count == NOTHING else own)
    return found


def shapes_of(name: str, value: Given) -> dict[str, tuple[int, ...]]:
    """What a compiler must know of an input: its shape, or the shapes of a list's tensors and how many there are."""
    if value is None:
        return {name: (NOTHING,)}
    if isinstance(value, list):
        return {name: (len(value),)} | {f"{name}{MARK}{i}": item.shape for i, item in enumerate(value)}
    return {name: value.shape}
