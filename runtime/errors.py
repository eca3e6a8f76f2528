"""Errors that a user of the compiler sees: a code, what was wrong, what was expected and what to do. Never
a traceback.

Codes follow the public numbering of the Ascend tool chain where it has one for the situation (E10016: a
named input is not in the model), so that what a user already knows, and has searched for, still applies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


class AscendError(Exception):
    """Something the user can understand and change."""

    def __init__(self, code: str, message: str, *, expected: str = "", hint: str = "") -> None:
        super().__init__(code, message, expected, hint)
        self.code = code
        self.message = message
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.message}"]
        if self.expected:
            parts.append(f"expected: {self.expected}")
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(parts)


NO_PARSER: Final = "E13010"
"""Nothing is known of the operator."""
NO_TYPE: Final = "E10501"
"""The same of an operator of the public tool's own library (`--singleop`)."""
NOT_LOADED: Final = "E10041"
"""The file is damaged, malformed, or something else than it should be."""
NO_KERNEL: Final = "EZ3002"
"""The operator is known, and its kernels do not compute what this node asks for: sizes, types, attributes."""
_WORST: Final = (NO_PARSER, NO_TYPE, NOT_LOADED)


@dataclass(frozen=True)
class Refusal:
    """One node that cannot be compiled: its name, operator, the requirement it misses and what was found
    instead. `inputs` are the model inputs whose values would have to be known."""

    node: str
    op: str
    requirement: str
    actual: str
    inputs: tuple[str, ...] = ()
    code: str = NO_KERNEL


class UnsupportedOpError(AscendError):
    """The model holds nodes that cannot be compiled; all of them are listed at once. The code is that of the worst."""

    def __init__(self, items: Sequence[Refusal], *, code: str = "") -> None:
        self.items = tuple(items)
        found = {item.code for item in self.items}
        code = code or next((worst for worst in _WORST if worst in found), NO_KERNEL)
        lines = [f"{item.op} node {item.node!r}: {item.actual}; {item.requirement}" for item in self.items]
        count = f"{len(self.items)} node{'s' if len(self.items) != 1 else ''} cannot be compiled"
        super().__init__(code, "\n  ".join([count, *lines]))
