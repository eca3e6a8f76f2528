"""What a user sees when something goes wrong: a code, a message, what was expected, what to do. Never a
traceback.

`ASCEND_TRACEBACK=1` shows where an error came from all the same: for those who work on the compiler.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TextIO

from ..runtime.errors import AscendError

INTERNAL_ERROR: Final = "E19999"
MAX_NOTE_LINES: Final = 30
TRACEBACK_VARIABLE: Final = "ASCEND_TRACEBACK"
WORK_PATH: Final = "ASCEND_WORK_PATH"


OTHER_NUMBER: Final = re.compile(r"E(13|19)0([0-2]\d|3[01])$")
"""Errors that the public tool renumbered: E19000 to E19030 became E13000 to E13031."""
TWO_NUMBERS: Final = {"E10501": "EZ0501", "EZ0501": "E10501"}
"""Errors with a second number in the family of operator libraries."""


def other_number(code: str) -> str:
    """The number that a code had before, or got later; empty for codes with one number."""
    if code in TWO_NUMBERS:
        return TWO_NUMBERS[code]
    found = OTHER_NUMBER.match(code)
    return f"E{'19' if found[1] == '13' else '13'}0{found[2]}" if found else ""


def describe(error: AscendError) -> str:
    """The error block in the form of the public tool: code and message, then cause and remedy, indented."""
    lines = [f"{error.code}: {error.message}"]
    if other_number(error.code):
        lines.append(f"        Also Known As: {other_number(error.code)}, in {_versions(error.code)}.")
    if error.expected:
        lines.append(f"        Possible Cause: expected {error.expected}.")
    if error.hint:
        lines.append(f"        Solution: {_sentence(error.hint)}")
    return "\n".join(lines)


def _versions(code: str) -> str:
    if code in TWO_NUMBERS:
        return "the family of operator libraries"
    return (
        "versions of the public tool up to 8.1"
        if code.startswith("E13")
        else "newer versions of the public tool"
    )


def _sentence(text: str) -> str:
    capital = text[:1].upper() + text[1:]
    return capital if capital.endswith((".", "!", "?")) else f"{capital}."


def as_user_error(error: Exception) -> AscendError:
    """Any exception as something to show. What is not ours, xDSL's or the system's is an internal error."""
    from xdsl.utils.exceptions import DiagnosticException, ParseError, VerifyException

    match error:
        case AscendError():
            return error
        case ParseError():
            return AscendError("E10041", f"the text cannot be parsed:\n{error}")
        case VerifyException() | DiagnosticException():
            return AscendError("E10041", f"the IR is not valid: {_with_notes(error)}")
        case OSError():
            return AscendError(
                "E13001", f"{error.filename or 'file'}: {error.strerror or error}", hint="check the path"
            )
        case MemoryError():
            return AscendError("E10044", "out of memory", hint="free memory, or use a smaller model or batch")
        case _:
            return AscendError(
                INTERNAL_ERROR,
                f"Internal Error! {type(error).__name__}: {_with_notes(error)}",
                hint=f"this is a mistake of the tool; {_report_hint(error)}",
            )


def _report_hint(error: BaseException) -> str:
    """Writes down what is needed to find a mistake of our own, and says where."""
    path = write_crash_report(error)
    where = (
        f"the details are in {path}: report it with that file" if path else "report it with the command line"
    )
    return f"{where}, and with the model if you can ({TRACEBACK_VARIABLE}=1 shows where it happened)"


def write_crash_report(error: BaseException) -> Path | None:
    """The details of an internal error in a new file, in the folder of `ASCEND_WORK_PATH` or among temporary files. It
    holds names and the command line, never the model's numbers. None where no file can be written."""
    import platform
    import tempfile

    folder = os.environ.get(WORK_PATH)
    lines = [
        "ascend-mlir: an internal error",
        f"command: {' '.join(sys.argv)}",
        f"python: {platform.python_version()} on {platform.platform()}",
        *(f"{name}: {_version(name)}" for name in ("ascend-mlir", "xdsl", "onnx", "numpy", "protobuf")),
        "",
        *(line.rstrip("\n") for line in traceback.format_exception(error)),
        "",
    ]
    try:
        number, name = tempfile.mkstemp(prefix="atc_crash_", suffix=".txt", dir=folder)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write("\n".join(lines))
    except OSError:
        return None
    return Path(name)


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _with_notes(error: BaseException) -> str:
    text = "\n".join([str(error), *getattr(error, "__notes__", ())])
    lines = text.splitlines()
    if len(lines) > MAX_NOTE_LINES:
        lines = [*lines[:MAX_NOTE_LINES], f"… {len(lines) - MAX_NOTE_LINES} more lines"]
    return "\n".join(lines)


def show(error: Exception, stream: TextIO | None = None) -> None:
    """Print the error block, with the traceback when asked for."""
    out = stream if stream is not None else sys.stderr
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error, file=out)
    print(describe(as_user_error(error)), file=out)


def guarded(main: Callable[[Sequence[str] | None], int], args: Sequence[str] | None) -> int:
    """Run a tool's main function; an exception becomes an error block on stderr and exit status 1."""
    try:
        return main(args)
    except BrokenPipeError:
        # The reader of our output is gone (`ascend-opt … | head`): leave quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        show(error)
        return 1
