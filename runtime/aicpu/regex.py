"""Full matches of regular expressions by RE2, whose language ONNX's RegexFullMatch has (PyPI `google-re2`, the extra `text`).

RE2 does not backtrack: its time is linear in the text, its memory has a limit. A file is hostile input, and Python's own
`re` can be kept busy for years by thirty characters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from ..errors import AscendError

MAX_MEMORY: Final = 1 << 20
"""Bytes of a compiled pattern."""


class RegexError(ValueError):
    """No pattern of RE2, or one that is too large."""


@lru_cache(maxsize=16)
def full_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a whole text is of the pattern; RegexError where it is none, E40020 without the package."""
    try:
        re2: Any = import_module("re2")
    except ImportError as error:
        raise AscendError(
            "E40020",
            "RegexFullMatch needs the Python package google-re2",
            hint="pip install 'ascend-mlir[text]', or pip install google-re2",
        ) from error
    options = re2.Options()
    options.max_mem, options.log_errors = MAX_MEMORY, False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        (reason,) = error.args
        raise RegexError(reason.decode() if isinstance(reason, bytes) else str(reason)) from error
    return lambda text: compiled.fullmatch(text) is not None
