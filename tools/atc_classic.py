"""`atc --flag=value …`: the command line of the public tool, from its first line of output to its exit status.

`--mode` decides what is done; what the tool prints around it is the same for all modes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .diagnostics import as_user_error, describe, show

if TYPE_CHECKING:
    from .atc_flags import ParsedFlags

START: Final = "ATC start working now, please wait for a moment."
SUCCESS: Final = "ATC run success, welcome to the next use."
FAILURE: Final = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"


def convert_command(words: Sequence[str]) -> int:
    """`atc convert MODEL.onnx [flags]`."""
    from .atc_convert import expand_convert

    return classic(expand_convert(words))


def classic(words: Sequence[str]) -> int:
    """A command line of flags only."""
    from .atc_flags import IGNORED, UsageError, help_text, parse_flags

    try:
        flags = parse_flags(words)
    except UsageError as error:
        print(f"ERROR: {error.message}", file=sys.stderr)
        print(FAILURE)
        return 1
    except Exception as error:
        return _failed(error)
    if "help" in flags:
        print(help_text())
        return 0
    print(START)
    print("...", flush=True)
    try:
        _dispatch(flags)
    except Exception as error:
        return _failed(error)
    print(SUCCESS)
    ignored = flags.with_effect(IGNORED)
    if ignored:
        names = ", ".join(f"--{name}" for name in ignored)
        print(f"W10001: {names}: accepted for compatibility, without effect here.")
    return 0


def _dispatch(flags: ParsedFlags) -> None:
    mode = flags.get("mode", "0")
    if mode == "6":
        from .atc_info import display

        display(flags)
        return
    from .atc_convert import convert

    convert(flags)


def _failed(error: Exception) -> int:
    print(FAILURE)
    if as_user_error(error).code == "E19999":
        show(error, sys.stdout)  # with the traceback when the user asked for it
    else:
        print(describe(as_user_error(error)))
    return 1
