"""What the sub-commands share: a parser that raises our errors and shows an example, and the flags of `atc` behind it.

A sub-command that takes a source model takes the flags of a conversion too (`--input_shape`, `--soc_version`, `--out_nodes`,
…): what is no option of the command itself goes to the parser of `atc`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from ..runtime.errors import AscendError
from .atc_flags import ParsedFlags, UsageError, parse_flags

OK: Final = 0
FOUND_SOMETHING: Final = 1
"""Exit status of a check that did its work and found what should not be."""


class CommandParser(argparse.ArgumentParser):
    """`--help` ends with an example; wrong use is a `UsageError`."""

    def __init__(self, name: str, description: str, example: str) -> None:
        super().__init__(
            f"atc {name}",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--json", action="store_true", help="print the result as JSON")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}; try '{self.prog} --help'")


def conversion_flags(words: Sequence[str]) -> ParsedFlags:
    """The flags of a conversion among a command's words; the model and what is written belong to the command."""
    flags = parse_flags(words)
    for name in ("model", "output", "mode", "om"):
        if name in flags:
            raise UsageError(f"--{name} is not a flag of this command: the model stands behind its name")
    return flags


def source_model(text: str) -> Path:
    """A source model that is there and is ONNX."""
    from .atc_checks import check_content, model_path

    path = model_path(text)
    check_content(ParsedFlags(), path)
    return path


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def print_notes(flags: ParsedFlags) -> None:
    """Notes of the flags, apart from the result."""
    for line in flags.notes:
        print(line, file=sys.stderr)


def write_page(path: Path, text: str) -> None:
    """An HTML page."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AscendError(
            "E13004", f"cannot write {str(path)!r}: {error.strerror}", expected="a path that may be written"
        ) from error
