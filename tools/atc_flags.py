"""Takes the command line of `atc` apart by the public tool's rules, with the flags of `atc_flag_table.py`.

`--name=value` or `--name value`; `-name` as `--name`; hyphens in a name are underscores; unambiguous prefixes of
a name will do; a later value replaces an earlier one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..runtime.errors import AscendError
from .atc_commands import COMMANDS, help_lines
from .atc_flag_table import BY_NAME, FLAGS, IGNORED, REFUSED, USED, Effect, Flag

TRUE: Final = frozenset({"1", "t", "true", "y", "yes"})
FALSE: Final = frozenset({"0", "f", "false", "n", "no"})


class UsageError(AscendError):
    """The command line cannot be taken apart: said on stderr before the usual failure text."""

    def __init__(self, message: str) -> None:
        super().__init__("E10014", message, hint="try 'atc --help'")


@dataclass
class ParsedFlags:
    """Values by flag name, as written."""

    values: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])
    """What the user should know after the work: printed behind the line of success, as the public tool prints warnings."""

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str, default: str = "") -> str:
        """The value, or a default when the flag was not given."""
        return self.values.get(name, default)

    def note(self, text: str, code: str = "W10001") -> None:
        """One line for the user."""
        line = f"{code}: {text}"
        if line not in self.notes:
            self.notes.append(line)

    def with_effect(self, effect: Effect) -> list[str]:
        """Names of the given flags that have this effect."""
        return [name for name in self.values if BY_NAME[name].effect == effect]


def parse_flags(args: Sequence[str]) -> ParsedFlags:
    """Take the command line apart. Raises `UsageError` for its form and E10001, E10004, E10005 for values."""
    parsed = ParsedFlags()
    rest = iter(args)
    for word in rest:
        name, equals, value = _split(word)
        flag = _find(name)
        if flag.name == "help":
            parsed.values["help"] = ""
            continue
        if not equals:
            value = _next_value(flag, rest)
        _check_value(flag, value)
        parsed.values[flag.name] = value
    return parsed


def _split(word: str) -> tuple[str, str, str]:
    body = word.removeprefix("--") if word.startswith("--") else word[1:]
    if (
        not word.startswith("-")
        or not body
        or (not word.startswith("--") and len(body.partition("=")[0]) < 2)
    ):
        hint = "; a value with ';' or spaces needs double quotes" if not word.startswith("-") else ""
        near = difflib.get_close_matches(word, [command.name for command in COMMANDS], 1)
        raise UsageError(
            f"'{word}' is not a flag{f'; did you mean the command {near[0]}?' if near else hint}"
        )
    name, equals, value = body.partition("=")
    return name.replace("-", "_"), equals, value


def _find(name: str) -> Flag:
    if name == "h":
        return BY_NAME["help"]
    if name in BY_NAME:
        return BY_NAME[name]
    found = [flag for flag in FLAGS if flag.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"--{flag.name}" for flag in found)
        raise UsageError(f"command line flag '{name}' is ambiguous: {names}")
    near = difflib.get_close_matches(name, BY_NAME, 1)
    raise UsageError(f"unknown command line flag '{name}'{f'; did you mean --{near[0]}?' if near else ''}")


def _next_value(flag: Flag, rest: Iterable[str]) -> str:
    value = next(iter(rest), None)
    if value is None:
        raise UsageError(f"flag '{flag.name}' is missing its argument; flag description: {flag.help}")
    return value


def _check_value(flag: Flag, value: str) -> None:
    if not value:
        raise AscendError(
            "E10004",
            f"Value for --{flag.name} is empty",
            expected="a value directly behind '='",
            hint="remove the space after '=', and quote values that hold ';'",
        )
    if flag.truth and value.lower() not in TRUE | FALSE:
        raise AscendError(
            "E10005", f"Value {value} for parameter --{flag.name} is invalid", expected="true or false"
        )
    if flag.whole and not value.removeprefix("-").isdecimal():
        raise AscendError(
            "E10003", f"Value {value} for parameter --{flag.name} is invalid", expected="a whole number"
        )
    if flag.choices and value not in flag.choices:
        valid = " ".join(f"[{choice}]" for choice in flag.choices)
        if flag.name == "log":
            raise AscendError(
                "E10010", f"Value {value} for parameter --log is invalid", expected=f"one of {valid}"
            )
        near = difflib.get_close_matches(value, flag.choices, 1)
        raise AscendError(
            "E10001",
            f"Value {value} for parameter --{flag.name} is invalid. Reason: "
            f"The value is not within the range of values. The valid range is {valid} .",
            expected=f"one of {valid}",
            hint=f"did you mean {near[0]}?" if near else "",
        )


def help_text() -> str:
    """All flags by group, those without effect marked."""
    lines = [
        "usage: atc --model=MODEL --framework=5 --output=OUTPUT --soc_version=SOC [--flag=value …]",
        "       atc COMMAND …",
        "",
        "Commands (each has --help):",
        *help_lines(),
        "",
    ]
    return "\n".join(lines) + "\n" + flags_text()


def flags_text() -> str:
    """The flags alone."""
    lines = [
        "Flags may be shortened while unambiguous. (-): accepted without effect, (x): not supported yet."
    ]
    marks = {USED: "   ", IGNORED: "(-)", REFUSED: "(x)"}
    group = ""
    for flag in FLAGS:
        if flag.group != group:
            group = flag.group
            lines += ["", f"{group}:"]
        choices = f" [{'|'.join(flag.choices)}]" if flag.choices and len(flag.choices) <= 5 else ""
        lines.append(f"  {marks[flag.effect]} --{flag.name:<33} {flag.help}{choices}")
    return "\n".join(lines)
