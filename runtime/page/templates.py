"""Fills the templates of this folder: one HTML file with style and script in it, the same bytes for the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ..errors import AscendError

_FOLDER: Final = Path(__file__).parent


def fill(template: str, **values: Any) -> str:
    """A page. All text is escaped but what `ready` marks; `style` is the style sheet that the pages share."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise AscendError(
            "E40020",
            "the HTML report needs the Python package jinja2",
            hint="pip install 'ascend-mlir[report]', or pip install jinja2",
        ) from error
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(style=part("report.css"), **values)


def part(name: str) -> Any:
    """A file of this folder as it is."""
    return ready((_FOLDER / name).read_text(encoding="utf-8"))


def ready(text: str) -> Any:
    """Text that is HTML already."""
    try:
        from markupsafe import Markup
    except ImportError:
        return text  # `fill` says what is missing
    return Markup(text)
