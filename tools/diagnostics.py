"""What a user sees when something goes wrong: a code, a message, what was expected, what to do. Never a
traceback.

`ASCEND_TRACEBACK=1` shows where an error came from all the same: for those who work on the compiler.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from ..runtime.errors import AscendError

INTERNAL_ERROR: Final = "E19999"
MAX_NOTE_LINES: Final = 30
TRACEBACK_VARIABLE: Final = "ASCEND_TRACEBACK"


def describe(error: AscendError) -> str:
    """The error block in the form of the public tool: code and message, then cause and remedy, indented."""
    lines = [f"{error.code}: {error.message}"]
    if error.expected:
        lines.append(f"        Possible Cause: expected {error.expected}.")
    if error.hint:
        lines.append(f"        Solution: {_sentence(error.hint)}")
    return "\n".join(lines)


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
                hint=f"set {TRACEBACK_VARIABLE}=1 to see where, and report it with the model if you can",
            )


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
