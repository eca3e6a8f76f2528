"""Pages made of facts, a picture and tables: what `atc analyze` and `atc precision-compare` write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .templates import fill, ready


@dataclass(frozen=True)
class Column:
    """Head of a column."""

    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Cell:
    """Text of a cell; `is_bad` draws the eye to it."""

    text: str
    is_bad: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page. `picture` is SVG; `legend` names the CSS classes of its colours."""

    id: str
    title: str
    text: str = ""
    picture: str = ""
    legend: tuple[tuple[str, str], ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()


def columns(text: str) -> tuple[Column, ...]:
    """`"name, type, cycles#"`: a # marks numbers."""
    words = [word.strip() for word in text.split(",")]
    return tuple(Column(word.removesuffix("#"), word.endswith("#")) for word in words)


def table_page(
    heading: str,
    subtitle: str,
    facts: Sequence[tuple[str, str]],
    notes: Sequence[str],
    sections: Sequence[Section],
) -> str:
    """The page as one HTML file without scripts: it opens from disk and without a network."""
    shown = [
        {**section.__dict__, "picture": ready(section.picture) if section.picture else ""}
        for section in sections
    ]
    return fill(
        "model.html",
        title=f"{heading} {subtitle}",
        heading=heading,
        subtitle=subtitle,
        facts=facts,
        notes=notes,
        sections=shown,
    )
