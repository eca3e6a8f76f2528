"""A picture of a graph: boxes in rows from top to bottom, so that every arrow points down. Plain SVG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

MAX_BOXES: Final = 300
"""Boxes that a page can show; of a larger graph the first ones are drawn."""
WIDTH, HEIGHT, GAP_X, GAP_Y = 190, 38, 14, 26
LETTERS: Final = 25
"""Characters that fit into a box."""


@dataclass(frozen=True)
class Box:
    """An operator: two lines of text, a CSS class for its colour, a title, and the names of those it reads."""

    name: str
    label: str
    css: str
    title: str
    inputs: tuple[str, ...]


def structure_svg(boxes: Sequence[Box]) -> str:
    """The picture of the first `MAX_BOXES` boxes; they come in an order in which producers are first."""
    shown = list(boxes[:MAX_BOXES])
    rank: dict[str, int] = {}
    rows: dict[int, list[Box]] = defaultdict(list)
    for box in shown:
        rank[box.name] = 1 + max((rank[name] for name in box.inputs if name in rank), default=-1)
        rows[rank[box.name]].append(box)
    width = max((len(row) for row in rows.values()), default=1) * (WIDTH + GAP_X) + GAP_X
    height = len(rows) * (HEIGHT + GAP_Y) + GAP_Y
    places = {
        box.name: ((width - len(row) * (WIDTH + GAP_X) + GAP_X) // 2 + column * (WIDTH + GAP_X), GAP_Y + number * (HEIGHT + GAP_Y))
        for number, row in rows.items()
        for column, box in enumerate(row)
    }  # fmt: skip
    parts = [
        f'<svg class="structure" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'style="width:{width}px;height:{height}px" aria-label="structure of the model">'
    ]
    parts += [
        _arrow(places[name], places[box.name]) for box in shown for name in box.inputs if name in places
    ]
    parts += [_box(box, *places[box.name]) for box in shown]
    return "".join([*parts, "</svg>"])


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + WIDTH // 2, start[1] + HEIGHT
    x2, y2 = end[0] + WIDTH // 2, end[1]
    middle = (y1 + y2) // 2
    return f'<path class="edge" d="M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}"/>'


def _box(box: Box, x: int, y: int) -> str:
    return (
        f'<g class="box"><title>{escape(box.title)}</title>'
        f'<rect class="{box.css}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x + 8}" y="{y + 16}">{escape(_short(box.label))}</text>'
        f'<text class="tick" x="{x + 8}" y="{y + 31}">{escape(_short(box.name))}</text></g>'
    )


def _short(text: str) -> str:
    """The end of a name says more than its beginning."""
    return text if len(text) <= LETTERS else f"…{text[-LETTERS + 1 :]}"
