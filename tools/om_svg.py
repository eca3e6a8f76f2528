"""A picture of an offline model as SVG: the graph in layers, and beside it the schedule, a bar for each task.

The file needs nothing but itself: it opens in a browser without a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from ..runtime.page.layered import Layout, layout
from .om_picture import COLOURS, Box, Picture, Step

BOX_WIDTH: Final = 280
LETTERS: Final = 40
TITLE_LETTERS: Final = 36
"""Letters that fit in a line of a box: letters of fixed width are 0.6 of the size of the font."""
LINE: Final = 15
BETWEEN: Final = 46
TOP: Final = 64
ROW: Final = 18
BARS: Final = 360
COLUMNS: Final = (0, 34, 250, 370, 600, 650, 720)
"""Where the columns of the schedule begin: number, operator, type, kernel, blocks, start, cycles; bars behind."""

_STYLE: Final = """
svg { background: #ffffff } text { font: 11px system-ui, sans-serif; fill: #1c1c1c }
.title { font-weight: 600; font-size: 12px } .head { font-weight: 600; font-size: 16px } .soft { fill: #555555 }
.box text { font-family: ui-monospace, monospace }
.edge { fill: none; stroke: #8a8a8a; stroke-width: 1.2 } .row:hover rect.back { fill: #fff6cf }
"""


def svg_text(picture: Picture) -> str:
    """The whole file."""
    found = layout(dict.fromkeys((box.key for box in picture.boxes), float(BOX_WIDTH)), _pairs(picture))
    long = _long_edges(found, {box.key: box for box in picture.boxes})
    lines = {box.key: [*box.lines, *long.get(box.key, ())] for box in picture.boxes}
    tops = _tops(found, lines)
    graph_width, graph_height = found.width, tops[-1]
    right = graph_width + 60
    width = right + COLUMNS[-1] + 70 + BARS + 20
    height = max(graph_height, TOP + 44 + ROW * (len(picture.steps) + 2)) + 20
    body = [
        f'<text class="head" x="20" y="26">{escape(picture.name)}</text>',
        f'<text class="soft" x="20" y="46">{escape(picture.summary)}</text>',
        f'<g transform="translate(20 {TOP})">',
        *_edges(found, lines, tops),
        *(_box(found, box, lines[box.key], tops) for box in picture.boxes),
        "</g>",
        f'<g transform="translate({right:.0f} {TOP})">',
        *_schedule(picture.steps),
        "</g>",
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<title>{escape(picture.name)}</title>",
            f"<style>{_STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#8a8a8a"/></marker></defs>',
            *body,
            "</svg>",
            "",
        ]
    )


def _pairs(picture: Picture) -> list[tuple[str, str]]:
    return [(edge.source, edge.target) for edge in picture.edges]


def _long_edges(found: Layout, boxes: dict[str, Box]) -> dict[str, list[str]]:
    """Edges that are not drawn, in words: at the box that they lead to."""
    lines: dict[str, list[str]] = {}
    for source, target in found.long:
        name = (
            boxes[source].lines[0] if boxes[source].kind not in ("input", "output") else boxes[source].title
        )
        lines.setdefault(target, []).append(f"↑ reads {name}")
    return lines


def _height(lines: Sequence[str]) -> int:
    return 12 + LINE * (len(lines) + 1)


def _tops(found: Layout, lines: dict[str, list[str]]) -> list[float]:
    """The upper edge of each layer, and the lower edge of the last."""
    tops = [0.0]
    for row in found.layers:
        highest = max((_height(lines[place.key]) for place in row if place.key), default=0)
        tops.append(tops[-1] + highest + BETWEEN)
    return tops


def _fit(text: str, letters: int = LETTERS) -> str:
    return text if len(text) <= letters else f"{text[: letters // 2 - 1]}…{text[-(letters - letters // 2) :]}"


def _box(found: Layout, box: Box, lines: Sequence[str], tops: Sequence[float]) -> str:
    place = found.boxes[box.key]
    left, top = place.x - place.width / 2, tops[place.layer]
    fill, border = COLOURS[box.kind]
    texts = [
        f'<text x="{left + 8:.0f}" y="{top + 4 + LINE * (i + 1):.0f}"{" class=" + chr(34) + "title" + chr(34) if not i else ""}>'
        f"{escape(_fit(line, LETTERS if i else TITLE_LETTERS))}</text>"
        for i, line in enumerate((box.title, *lines))
    ]
    return (
        f'<g class="box"><title>{escape(box.hint)}</title>'
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{place.width:.0f}" height="{_height(lines)}" rx="5" '
        f'fill="{fill}" stroke="{border}"/>{"".join(texts)}</g>'
    )


def _edges(found: Layout, lines: dict[str, list[str]], tops: Sequence[float]) -> list[str]:
    paths: list[str] = []
    for (source, _), route in found.routes.items():
        x, y = route[0].x, tops[route[0].layer] + _height(lines[source])
        path = f"M{x:.0f} {y:.0f}"
        for place in route[1:]:
            top = tops[place.layer]
            middle = (y + top) / 2
            path += f"C{x:.0f} {middle:.0f} {place.x:.0f} {middle:.0f} {place.x:.0f} {top:.0f}"
            x, y = place.x, top
            if not place.key:  # a point: straight down through its layer
                y = tops[place.layer + 1] - BETWEEN
                path += f"L{x:.0f} {y:.0f}"
        paths.append(f'<path class="edge" d="{path}" marker-end="url(#tip)"/>')
    return paths


def _schedule(steps: Sequence[Step]) -> list[str]:
    """A row for each task, in the order of the file."""
    heads = ("#", "operator", "type", "kernel", "blocks", "start", "cycles")
    out = ['<text class="head" x="0" y="0">schedule</text>']
    out += [
        f'<text class="title" x="{x}" y="{ROW * 1.5:.0f}">{head}</text>'
        for x, head in zip(COLUMNS, heads, strict=True)
    ]
    end = max(((step.start or 0) + (step.cycles or 0) for step in steps), default=0)
    bars = COLUMNS[-1] + 70
    for position, step in enumerate(steps):
        top = ROW * (position + 2)
        fill, border = COLOURS[step.kind]
        cells = (
            str(step.number),
            _fit(step.operator, 32),
            _fit(step.type, 16),
            _fit(step.kernel, 36),
            str(step.blocks),
            "" if step.start is None else str(step.start),
            "" if step.cycles is None else str(step.cycles),
        )
        texts = "".join(
            f'<text x="{x}" y="{top + 13}">{escape(cell)}</text>'
            for x, cell in zip(COLUMNS, cells, strict=True)
        )
        bar = ""
        if step.start is not None and step.cycles is not None and end:
            left, wide = BARS * step.start / end, max(1.0, BARS * step.cycles / end)
            bar = (
                f'<rect x="{bars + left:.1f}" y="{top + 3}" width="{wide:.1f}" height="{ROW - 6}" '
                f'fill="{fill}" stroke="{border}"/>'
            )
        hint = f"{step.operator}\n{step.type}\nkernel {step.kernel}, stream {step.stream}"
        out.append(
            f'<g class="row"><title>{escape(hint)}</title>'
            f'<rect class="back" x="-4" y="{top}" width="{bars + BARS + 8}" height="{ROW}" fill="none" '
            f'pointer-events="all"/>{texts}{bar}</g>'
        )
    return out
