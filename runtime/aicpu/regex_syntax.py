"""Regular expressions in RE2's syntax → a tree. `regex.py` runs it.

ONNX defines RegexFullMatch by RE2 (https://github.com/google/re2/wiki/Syntax), which leaves out what cannot be
matched in linear time: back references, look-around, possessive repetition. Python's `re` has them and reads
other things differently (`\\d`, `$`, `\\Z`), so the syntax is parsed here. Not supported of RE2: scripts
(`\\p{Greek}`), since Python's Unicode data has none, and `\\C`, a byte.

A pattern comes from a model file: nesting and repetition are bounded, and everything wrong is a `RegexError`
that says where.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from .regex_classes import Ranges, category, folded, negated, posix, single, union

MAX_PATTERN: Final = 4096
"""Characters of a pattern."""
MAX_NESTING: Final = 64
MAX_REPEAT: Final = 1000
"""RE2's limit: of one count, and of the product of nested ones."""
_OVERFLOW: Final = 8
"""Digits above which RE2 takes a count for literal text."""


class RegexError(ValueError):
    """A pattern that is not RE2's, or beyond the bounds above."""


@dataclass(frozen=True)
class Chars:
    """One character out of a set."""

    ranges: Ranges


@dataclass(frozen=True)
class Assertion:
    """A place, no character: `begin`, `end`, `begin_line`, `end_line`, `boundary`, `no_boundary`."""

    kind: str


@dataclass(frozen=True)
class Sequence:
    """One after the other; empty: nothing."""

    items: tuple[Tree, ...]


@dataclass(frozen=True)
class Choice:
    """One of them."""

    items: tuple[Tree, ...]


@dataclass(frozen=True)
class Repeat:
    """At least `low` times, at most `high` (None: any number). Greed does not matter for a full match."""

    item: Tree
    low: int
    high: int | None


Tree: TypeAlias = Chars | Assertion | Sequence | Choice | Repeat

_PERL: Final = {"d": posix("digit"), "s": union(single(*"\t\n\f\r ")), "w": posix("word")}
_CONTROLS: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PLACES: Final = {"A": "begin", "z": "end", "b": "boundary", "B": "no_boundary"}
_OCTAL: Final = "01234567"
_NOT_NEWLINE: Final = negated(single("\n"))
_ANY: Final = negated(())


@dataclass(frozen=True)
class _Flags:
    fold: bool = False
    lines: bool = False
    dot_all: bool = False


def parse(pattern: str) -> Tree:
    """The tree of a pattern."""
    if len(pattern) > MAX_PATTERN:
        raise RegexError(f"a pattern of {len(pattern)} characters; at most {MAX_PATTERN}")
    parser = _Parser(pattern)
    tree = parser.choice(0)
    if parser.rest:
        raise parser.error("no group is open", ")")
    return tree


def _check_counts(tree: Tree, left: int = MAX_REPEAT) -> bool:
    """Whether the counts of nested repetitions stay below RE2's limit together."""
    match tree:
        case Repeat(item, low, high):
            count = low if high is None else high
            left = left // count if count > 0 else left
            return left > 0 and _check_counts(item, left)
        case Sequence(items) | Choice(items):
            return all(_check_counts(item, left) for item in items)
        case _:
            return True


class _Parser:
    """Recursive descent; `at` is the next character."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.flags = _Flags()

    # ------------------------------------------------------------------------------------------ characters

    @property
    def rest(self) -> bool:
        return self.at < len(self.pattern)

    def peek(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def take(self, text: str) -> bool:
        if not self.peek(text):
            return False
        self.at += len(text)
        return True

    def next(self, what: str) -> str:
        if not self.rest:
            raise self.error(f"the pattern ends in {what}")
        self.at += 1
        return self.pattern[self.at - 1]

    def error(self, what: str, where: str = "") -> RegexError:
        place = f" ({where!r})" if where else ""
        return RegexError(f"{what} at character {self.at} of the pattern{place}")

    # ------------------------------------------------------------------------------------------ structure

    def choice(self, depth: int) -> Tree:
        """Alternatives up to the end of the group; flags set inside hold until there."""
        if depth > MAX_NESTING:
            raise self.error(f"groups nested deeper than {MAX_NESTING}")
        outside, items = self.flags, [self.sequence(depth)]
        while self.take("|"):
            items.append(self.sequence(depth))
        self.flags = outside
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def sequence(self, depth: int) -> Tree:
        items: list[Tree] = []
        repeatable = False  # whether a repetition may follow
        while self.rest and not self.peek("|") and not self.peek(")"):
            counts = self.counts()
            if counts is not None:
                if not repeatable:
                    raise self.error("nothing to repeat")
                items[-1] = self.repeated(items[-1], *counts)
                repeatable = False
                continue
            found = self.atom(depth)
            items += found
            repeatable = bool(items)  # flags leave nothing: what stood before them is repeated
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def repeated(self, item: Tree, low: int, high: int | None) -> Tree:
        tree = Repeat(item, low, high)
        if max(low, high or 0) > MAX_REPEAT or (high is not None and high < low):
            raise self.error(f"a repetition of {low} to {high} times; at most {MAX_REPEAT}")
        if max(low, high or 0) > 1 and not _check_counts(tree):
            raise self.error(f"nested repetitions of more than {MAX_REPEAT} times together")
        return tree

    def counts(self) -> tuple[int, int | None] | None:
        """A repetition operator, None where there is none (a brace may be literal)."""
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        found: tuple[int, int | None] | None = None
        for sign, pair in simple.items():
            if self.take(sign):
                found = pair
                break
        if found is None and self.peek("{"):
            found = self.braces()
        if found is not None:
            self.take("?")  # as few as possible: the same for a full match
        return found

    def braces(self) -> tuple[int, int | None] | None:
        end = self.pattern.find("}", self.at)
        body = self.pattern[self.at + 1 : end] if end > 0 else ""
        first, comma, second = body.partition(",")
        if not _is_count(first) or (second and not _is_count(second)):
            return None
        self.at = end + 1
        return int(first), (int(second) if second else None) if comma else int(first)

    def atom(self, depth: int) -> list[Tree]:
        sign = self.next("an atom")
        match sign:
            case "(":
                return self.group(depth)
            case "[":
                return [Chars(self.character_class())]
            case ".":
                return [Chars(_ANY if self.flags.dot_all else _NOT_NEWLINE)]
            case "^":
                return [Assertion("begin_line" if self.flags.lines else "begin")]
            case "$":
                return [Assertion("end_line" if self.flags.lines else "end")]
            case "\\":
                return self.escape()
            case _:
                return [self.literal(sign)]

    def literal(self, character: str) -> Tree:
        ranges = single(character)
        return Chars(folded(ranges) if self.flags.fold else ranges)

    # ------------------------------------------------------------------------------------------ groups

    def group(self, depth: int) -> list[Tree]:
        """Behind "(": a group of some kind, or flags alone, which leave nothing."""
        outside = self.flags
        if self.take("?P<") or self.take("?<"):
            name = self.pattern[self.at :].partition(">")[0]
            if not name.replace("_", "a").isalnum() or not self.take(f"{name}>"):
                raise self.error("no name of a group (or a look-behind, which RE2 does not have)")
        elif self.take("?") and not self.flag_group():
            return []
        tree = self.choice(depth + 1)
        if not self.take(")"):
            raise self.error("a group is not closed")
        self.flags = outside
        return [tree]

    def flag_group(self) -> bool:
        """Flags behind "(?"; whether a group follows (":") or nothing does (")")."""
        value, flags, seen = True, self.flags, True
        while True:
            sign = self.next("flags")
            match sign:
                case ":" | ")" if seen:
                    self.flags = flags
                    return sign == ":"
                case "i":
                    flags = replace(flags, fold=value)
                case "m":
                    flags = replace(flags, lines=value)
                case "s":
                    flags = replace(flags, dot_all=value)
                case "U":
                    pass  # swaps greed
                case "-" if value:
                    value, seen = False, False
                    continue
                case _:
                    raise self.error("no group of RE2 (look-around and back references are not)", f"(?{sign}")
            seen = True

    # ------------------------------------------------------------------------------------------ escapes

    def escape(self) -> list[Tree]:
        """Behind a backslash, outside of a class."""
        if self.take("Q"):
            text, _, _ = self.pattern[self.at :].partition("\\E")
            self.at += len(text)
            self.take("\\E")
            return [self.literal(character) for character in text]
        for letter, kind in _PLACES.items():
            if self.take(letter):
                return [Assertion(kind)]
        ranges = self.perl_class()
        return [Chars(ranges)] if ranges is not None else [self.literal(self.escaped())]

    def perl_class(self) -> Ranges | None:
        """`\\d`, `\\pL` and their like, behind the backslash."""
        letter = self.pattern[self.at : self.at + 1]
        if letter.lower() in _PERL:
            self.at += 1
            return self.cased(_PERL[letter.lower()], letter.isupper())
        if letter not in ("p", "P") or not letter:
            return None
        self.at += 1
        is_negated, name = letter == "P", self.next("a class")
        if name == "{":
            name, closed, _ = self.pattern[self.at :].partition("}")
            self.at += len(name) + len(closed)
            is_negated ^= name.startswith("^")
            name = name.removeprefix("^") if closed else ""
        ranges = category(name)
        if ranges is None:
            raise self.error("no general category of Unicode; scripts are not known", name)
        return self.cased(ranges, is_negated)

    def cased(self, ranges: Ranges, is_negated: bool) -> Ranges:
        """A class, or all but it; where case does not matter, all but what differs from it in case only."""
        ranges = folded(ranges) if self.flags.fold else ranges
        return negated(ranges) if is_negated else ranges

    def escaped(self) -> str:
        """One character behind a backslash."""
        sign = self.next("an escape")
        if sign in _CONTROLS:
            return _CONTROLS[sign]
        if sign == "x":
            return self.hexadecimal()
        if sign in _OCTAL and (sign == "0" or self.pattern[self.at : self.at + 1] in set(_OCTAL)):
            digits = sign
            while len(digits) < 3 and self.pattern[self.at : self.at + 1] in set(_OCTAL):
                digits += self.next("an octal number")
            return chr(int(digits, 8))
        if sign.isascii() and not sign.isalnum():
            return sign
        raise self.error("no escape of RE2 (back references are not)", f"\\{sign}")

    def hexadecimal(self) -> str:
        if self.take("{"):
            digits, closed, _ = self.pattern[self.at :].partition("}")
            self.at += len(digits) + len(closed)
            is_valid = bool(closed) and 0 < len(digits) <= 6
        else:
            digits = self.pattern[self.at : self.at + 2]
            self.at += len(digits)
            is_valid = len(digits) == 2
        if (
            not is_valid
            or any(d not in "0123456789abcdefABCDEF" for d in digits)
            or int(digits, 16) > 0x10FFFF
        ):
            raise self.error("no hexadecimal character", digits[:8])
        return chr(int(digits, 16))

    # ------------------------------------------------------------------------------------------ classes

    def character_class(self) -> Ranges:
        """Behind "["; a bracket that stands first is one of the characters."""
        is_negated, first = self.take("^"), True
        found: list[Ranges] = []
        while first or not self.take("]"):
            first = False
            if not self.rest:
                raise self.error("a class is not closed")
            found.append(self.class_item())
        return self.cased(union(*found), is_negated)

    def class_item(self) -> Ranges:
        if self.peek("[:") and self.pattern.find(":]", self.at + 2) > 0:
            end = self.pattern.find(":]", self.at + 2)
            name = self.pattern[self.at + 2 : end]
            ranges = posix(name.removeprefix("^"))
            if not ranges:
                raise self.error("no class of characters", name[:16])
            self.at = end + 2
            return self.cased(ranges, name.startswith("^"))
        if self.take("\\"):
            ranges = self.perl_class()
            if ranges is not None:
                return ranges
            self.at -= 1
        low = self.class_character()
        high = low
        if self.peek("-") and not self.peek("-]") and self.at + 1 < len(self.pattern):
            self.at += 1
            high = self.class_character()
        if high < low:
            raise self.error("a range ends before it begins", f"{low}-{high}")
        return ((ord(low), ord(high)),)

    def class_character(self) -> str:
        return self.escaped() if self.take("\\") else self.next("a class")


def _is_count(text: str) -> bool:
    """Digits without a leading zero, as RE2 reads them."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _OVERFLOW
    return is_number and (text == "0" or not text.startswith("0"))
