"""`atc --flag=value …`: the command line of the public tool, from its first line of output to its exit status.

`--mode` decides what is done; what the tool prints around it is the same for all modes.
"""

from __future__ import annotations

import os
import sys
import textwrap
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ..runtime.errors import AscendError
from .diagnostics import TRACEBACK_VARIABLE, as_user_error, describe

if TYPE_CHECKING:
    from .atc_flags import ParsedFlags

MODES: Final = {
    "0": ("atc_convert", "convert"),
    "1": ("atc_json", "write_json"),
    "3": ("atc_check", "check_model"),
    "5": ("atc_json", "write_graph_json"),
    "6": ("atc_info", "display"),
}
"""What each --mode does: module and function."""
NO_MODES: Final = {
    "7": "the format .om2 has no public description",
    "30": "it is for the chips Ascend035, which are not among those that are known here",
}
JSON: Final = "--json"
START: Final = "ATC start working now, please wait for a moment."
SUCCESS: Final = "ATC run success, welcome to the next use."
FAILURE: Final = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"


CONVERT_HELP: Final = """\
usage: atc convert MODEL.onnx [--flag=value …] [--json]

Compiles a model. All flags below are taken; chip (Ascend310P3), framework (5) and output (beside the name of the model)
have defaults. --json, without a value, prints what came of it as JSON instead of text.

example:
  atc convert resnet18.onnx --input_shape="image:1,3,224,224" --soc_version=Ascend310P3
"""


def convert_command(words: Sequence[str]) -> int:
    """`atc convert MODEL.onnx [flags]`."""
    from .atc_convert import expand_convert

    if any(word in ("--help", "-h", "--h") for word in words):
        from .atc_flags import flags_text

        print(f"{CONVERT_HELP}\n{flags_text()}")
        return 0
    if JSON in words:
        return _convert_to_json([word for word in words if word != JSON])
    return classic(expand_convert(words))


def _convert_to_json(words: Sequence[str]) -> int:
    """The conversion for scripts: one JSON document on standard output, whatever happens."""
    from .atc_convert import conversion_json, convert, expand_convert
    from .atc_flags import parse_flags
    from .command_line import print_json

    try:
        flags = parse_flags(expand_convert(words))
        other = next((f"--{name}" for name in ("mode", "singleop") if flags.get(name, "0") != "0"), "")
        if other:
            raise AscendError(
                "E10014", f"{other} does not go with atc convert --json", hint=f"leave {other} out"
            )
        done = convert(flags, is_silent=True)
    except Exception as error:
        failure = as_user_error(error)
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exception(error)
        told = {
            "code": failure.code,
            "message": failure.message,
            "expected": failure.expected,
            "hint": failure.hint,
        }
        print_json({"result": "failed", "error": told})
        return 1
    _note_ignored(flags)
    print_json({"result": "success", **conversion_json(done), "notes": flags.notes})
    return 0


def _note_ignored(flags: ParsedFlags) -> None:
    from .atc_flag_table import BY_NAME, IGNORED

    for name in flags.with_effect(IGNORED):
        flags.note(f"--{name}: accepted for compatibility, without effect here{_why(BY_NAME[name].note)}")


def classic(words: Sequence[str]) -> int:
    """A command line of flags only."""
    from .atc_flags import UsageError, help_text, parse_flags

    try:
        flags = parse_flags(words)
    except UsageError as error:
        print(f"ERROR: {error.message}", file=sys.stderr)
        print(FAILURE)
        return 1
    except Exception as error:
        return _failed(error, is_debug=False)
    if "help" in flags:
        print(help_text())
        return 0
    print(START)
    print("...", flush=True)
    try:
        _dispatch(flags)
    except Exception as error:
        return _failed(error, is_debug=flags.get("log") == "debug")
    print(SUCCESS)
    _note_ignored(flags)
    for line in flags.notes:
        print(line)
    return 0


def _why(note: str) -> str:
    return f": {note}" if note else ""


def _dispatch(flags: ParsedFlags) -> None:
    if "singleop" in flags:
        from .atc_singleop import convert_single_ops

        convert_single_ops(flags)
        return
    mode = flags.get("mode", "0")
    if mode not in MODES:
        raise AscendError(
            "E10055",
            f"--mode={mode} is not supported: {NO_MODES[mode]}",
            expected=f"one of {', '.join(MODES)}",
        )
    module, function = MODES[mode]
    getattr(import_module(f".{module}", __package__), function)(flags)


def _failed(error: Exception, *, is_debug: bool) -> int:
    """The public tool's text of failure; `--log=debug` adds where in this program the error was found."""
    print(FAILURE)
    print(describe(as_user_error(error)))
    if is_debug or os.environ.get(TRACEBACK_VARIABLE):
        print("        TraceBack (most recent call last):")
        for line in traceback.format_exception(error):
            print(textwrap.indent(line.rstrip("\n"), "        "))
    return 1
