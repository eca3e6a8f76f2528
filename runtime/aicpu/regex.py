"""Full matches of regular expressions in linear time: all ways through the pattern at once.

A pattern becomes a small program (Thompson's construction): consume a character of a set, go two ways, ask for
a place, accept. A text is read once from front to back with the set of instructions that are reachable so far,
so the work is at most the length of the text times that of the program, whatever the pattern: there is no
backtracking that a hostile model could blow up. Sets that were met before are remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from .regex_classes import Ranges, contains
from .regex_syntax import Assertion, Chars, Choice, RegexError, Repeat, Sequence, Tree, parse

MAX_PROGRAM: Final = 8192
"""Instructions of a pattern; repetitions are written out."""
_REMEMBERED: Final = 2048

_CONSUME, _SPLIT, _ASSERT, _ACCEPT = range(4)


@dataclass(frozen=True)
class _Instruction:
    kind: int
    ranges: Ranges = ()
    place: str = ""
    targets: tuple[int, ...] = ()


@dataclass
class _Compiler:
    """Builds from the end to the beginning: `add(tree, after)` gives the entry of a tree that goes on at `after`."""

    program: list[_Instruction] = field(default_factory=list[_Instruction])

    def emit(self, instruction: _Instruction) -> int:
        if len(self.program) >= MAX_PROGRAM:
            raise RegexError(f"the pattern, with repetitions written out, has more than {MAX_PROGRAM} steps")
        self.program.append(instruction)
        return len(self.program) - 1

    def add(self, tree: Tree, after: int) -> int:
        match tree:
            case Chars(ranges):
                return self.emit(_Instruction(_CONSUME, ranges=ranges, targets=(after,)))
            case Assertion(kind):
                return self.emit(_Instruction(_ASSERT, place=kind, targets=(after,)))
            case Choice(items):
                return self.emit(_Instruction(_SPLIT, targets=tuple(self.add(item, after) for item in items)))
            case Sequence(items):
                for item in reversed(items):
                    after = self.add(item, after)
                return after
            case Repeat():
                return self.repeat(tree, after)

    def repeat(self, tree: Repeat, after: int) -> int:
        entry = after
        if tree.high is None:
            entry = self.emit(_Instruction(_SPLIT, targets=()))
            self.program[entry] = _Instruction(_SPLIT, targets=(self.add(tree.item, entry), after))
        else:
            for _ in range(tree.high - tree.low):  # each of the optional ones may be the last
                entry = self.emit(_Instruction(_SPLIT, targets=(self.add(tree.item, entry), after)))
        for _ in range(tree.low):
            entry = self.add(tree.item, entry)
        return entry


class Regex:
    """A compiled pattern."""

    def __init__(self, pattern: str) -> None:
        compiler = _Compiler()
        accept = compiler.emit(_Instruction(_ACCEPT))
        self._start = frozenset({compiler.add(parse(pattern), accept)})
        self._program = compiler.program
        self._closures: dict[tuple[frozenset[int], frozenset[str]], tuple[tuple[int, ...], bool]] = {}
        self._steps: dict[tuple[tuple[int, ...], str], frozenset[int]] = {}

    def full_match(self, text: str) -> bool:
        """Whether the whole text is one of the pattern's."""
        states = self._start
        for at, character in enumerate(text):
            reached, _ = self._closure(states, _places(text, at))
            states = self._step(reached, character)
            if not states:
                return False
        return self._closure(states, _places(text, len(text)))[1]

    def _step(self, reached: tuple[int, ...], character: str) -> frozenset[int]:
        key = reached, character
        if key not in self._steps:
            if len(self._steps) >= _REMEMBERED:
                self._steps.clear()
            code = ord(character)
            self._steps[key] = frozenset(
                self._program[i].targets[0] for i in reached if contains(self._program[i].ranges, code)
            )
        return self._steps[key]

    def _closure(self, states: frozenset[int], places: frozenset[str]) -> tuple[tuple[int, ...], bool]:
        """Instructions that consume, reachable without a character, and whether the end is."""
        key = states, places
        if key not in self._closures:
            if len(self._closures) >= _REMEMBERED:
                self._closures.clear()
            self._closures[key] = self._reachable(states, places)
        return self._closures[key]

    def _reachable(self, states: frozenset[int], places: frozenset[str]) -> tuple[tuple[int, ...], bool]:
        seen, stack = set(states), list(states)
        consuming: list[int] = []
        accepts = False
        while stack:
            number = stack.pop()
            instruction = self._program[number]
            if instruction.kind == _CONSUME:
                consuming.append(number)
                continue
            accepts |= instruction.kind == _ACCEPT
            if instruction.kind == _ASSERT and instruction.place not in places:
                continue
            for target in instruction.targets:
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
        return tuple(sorted(consuming)), accepts


def _is_word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


def _places(text: str, at: int) -> frozenset[str]:
    """Which assertions hold between two characters."""
    before, behind = text[at - 1 : at] if at else "", text[at : at + 1]
    found = {"boundary" if _is_word(before) != _is_word(behind) else "no_boundary"}
    if not before:
        found.add("begin")
    if not behind:
        found.add("end")
    if not before or before == "\n":
        found.add("begin_line")
    if not behind or behind == "\n":
        found.add("end_line")
    return frozenset(found)


@lru_cache(maxsize=16)
def regex(pattern: str) -> Regex:
    """The compiled pattern; RegexError where it is none."""
    return Regex(pattern)
