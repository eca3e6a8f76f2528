"""`atc`: the command a user types. Compiles a model to an offline model (`.om`) and runs one on the
simulator.

    atc --framework=5 --model=resnet18.onnx --output=resnet18 --soc_version=Ascend310P3
    --input_shape="image:1,3,224,224" atc convert resnet18.onnx atc run --model=resnet18.om
    --input=image.npy --output=out.npz --trace=trace.json

Command lines written for the public tool work unchanged: same flags and spellings, same messages, same exit
status. Everything heavy is imported when it is needed: `atc --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .diagnostics import as_user_error, describe, guarded, show

if TYPE_CHECKING:
    from .atc_flags import ParsedFlags

START: Final = "ATC start working now, please wait for a moment."
SUCCESS: Final = "ATC run success, welcome to the next use."
FAILURE: Final = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(guarded(_main, sys.argv[1:] if args is None else args))


def _main(args: Sequence[str] | None) -> int:
    words = list(args or ())
    if words[:1] == ["run"]:
        from .atc_run import run_command

        return run_command(words[1:])
    if words[:1] == ["convert"]:
        from .atc_convert import expand_convert

        words = expand_convert(words[1:])
    return _classic(words)


def _classic(words: Sequence[str]) -> int:
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
