"""Sets of characters for regular expressions: sorted ranges of code points, Unicode's categories, case folding."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Ranges of code points, ends included, sorted and apart."""

LAST: Final = sys.maxunicode
_CASED: Final = 0x20000
"""Letters with a case end before: what follows is ideographs."""
_FEW: Final = 64
"""Characters that are looked up one by one."""

_POSIX: Final = {
    "alnum": "09AZaz",
    "alpha": "AZaz",
    "ascii": "\x00\x7f",
    "blank": "\t\t  ",
    "cntrl": "\x00\x1f\x7f\x7f",
    "digit": "09",
    "graph": "!~",
    "lower": "az",
    "print": " ~",
    "punct": "!/:@[`{~",
    "space": "\t\r  ",
    "upper": "AZ",
    "word": "09AZ__az",
    "xdigit": "09AFaf",
}
"""RE2's ASCII classes: ends of ranges, two by two."""


def posix(name: str) -> Ranges:
    """`digit` → its characters; nothing for an unknown name."""
    ends = [ord(character) for character in _POSIX.get(name, "")]
    return tuple(zip(ends[::2], ends[1::2], strict=True))


def single(*characters: str) -> Ranges:
    """A set of one range, or of those given."""
    return union(*(((ord(character), ord(character)),) for character in characters))


def union(*parts: Ranges) -> Ranges:
    """All of them."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for part in parts for pair in part):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def negated(ranges: Ranges) -> Ranges:
    """Every other character."""
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        gaps.append((start, LAST))
    return tuple(gaps)


def contains(ranges: Ranges, code: int) -> bool:
    """Whether a character is one of them."""
    low, high = 0, len(ranges)
    while low < high:
        middle = (low + high) // 2
        if ranges[middle][1] < code:
            low = middle + 1
        else:
            high = middle
    return low < len(ranges) and ranges[low][0] <= code


def _runs(codes: Iterable[int]) -> Ranges:
    """Sorted code points as ranges."""
    found: list[tuple[int, int]] = []
    for code in codes:
        if found and code == found[-1][1] + 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return tuple(found)


_CATEGORIES: Final = "LuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZpCcCfCoCs"
"""Two letters each; unassigned characters (Cn) are in none, as in RE2."""


@lru_cache(maxsize=32)
def category(name: str) -> Ranges | None:
    """`L`, `Lu`, `Any`; None for what is no general category."""
    if name == "Any":
        return ((0, LAST),)
    pairs = (_CATEGORIES[i : i + 2] for i in range(0, len(_CATEGORIES), 2))
    wanted = {pair for pair in pairs if name and pair.startswith(name)}
    if not wanted:
        return None
    return _runs(code for code in range(LAST + 1) if unicodedata.category(chr(code)) in wanted)


@lru_cache(maxsize=1)
def _orbits() -> dict[int, tuple[int, ...]]:
    """Characters that differ in case only, for those that have such neighbours (Unicode's simple folding)."""
    classes: dict[str, list[int]] = {}
    for code in range(_CASED):
        character = chr(code)
        key = character.casefold()
        if len(key) > 1:  # ß is no ss: the simple folding of a character is one character
            key = character.lower()
        if len(key) == 1:
            classes.setdefault(key, []).append(code)
    return {code: tuple(members) for members in classes.values() if len(members) > 1 for code in members}


def folded(ranges: Ranges) -> Ranges:
    """With all that differs from one of them in case only."""
    orbits = _orbits()
    if sum(high - low + 1 for low, high in ranges) <= _FEW:
        codes = [code for low, high in ranges for code in range(low, high + 1) if code in orbits]
    else:
        codes = [code for code in orbits if contains(ranges, code)]
    return union(ranges, tuple((other, other) for code in codes for other in orbits[code]))
