"""A picture of a graph: boxes in rows from top to bottom, so that every arrow points down (`layered.py`). Plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from .layered import Place, layout

MAX_BOXES: Final = 300
"""Boxes that a page can show; of a larger graph the first ones are drawn."""
WIDTH, HEIGHT, GAP_Y, MARGIN = 190, 38, 26, 14
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
    names = {box.name for box in shown}
    edges = [(name, box.name) for box in shown for name in box.inputs if name in names]
    found = layout(dict.fromkeys(names_in_order(shown), float(WIDTH)), edges, longest=MAX_BOXES)
    width = round(found.width) + 2 * MARGIN
    height = len(found.layers) * (HEIGHT + GAP_Y) + GAP_Y
    parts = [
        f'<svg class="structure" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'style="width:{width}px;height:{height}px" aria-label="structure of the model">'
    ]
    parts += [_edge(route) for route in found.routes.values()]
    for box in shown:
        place = found.boxes[box.name]
        parts.append(_box(box, round(place.x - place.width / 2) + MARGIN, _top(place)))
    return "".join([*parts, "</svg>"])


def names_in_order(boxes: Sequence[Box]) -> list[str]:
    """Names of the boxes, each once."""
    return list(dict.fromkeys(box.name for box in boxes))


def _top(place: Place) -> int:
    return GAP_Y + place.layer * (HEIGHT + GAP_Y)


def _edge(route: Sequence[Place]) -> str:
    """From the bottom of a box to the top of another, past the boxes of the layers between them."""
    x, y = round(route[0].x) + MARGIN, _top(route[0]) + HEIGHT
    path = f"M{x} {y}"
    for place in route[1:]:
        right, top = round(place.x) + MARGIN, _top(place)
        middle = (y + top) // 2
        path += f"C{x} {middle} {right} {middle} {right} {top}"
        x, y = right, top
        if not place.key:  # a point of the edge: straight through its layer
            y += HEIGHT
            path += f"V{y}"
    return f'<path class="edge" d="{path}"/>'


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
