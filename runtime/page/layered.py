"""Where the boxes of a directed graph go: layers from top to bottom, few crossings, straight lines where they fit.

The method is that of Sugiyama, Tagawa and Toda (1981), in its plainest form. A box stands one layer below the lowest
of those it reads from. An edge over several layers passes through a point in each, and points are ordered with
the boxes. Orders come from means of neighbours, a few times down and up; positions from the same means, kept apart by
the widths.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

GAP: Final = 28
POINT: Final = 14
"""Room for a line between boxes."""
SWEEPS: Final = 4
LONGEST: Final = 8
"""Layers that a drawn edge may span: a longer one is named at its end instead."""


@dataclass
class Place:
    """A box or a point of an edge; `x` is its middle."""

    key: str
    layer: int
    width: float
    x: float = 0.0
    above: list[Place] = field(default_factory=list["Place"])
    below: list[Place] = field(default_factory=list["Place"])


@dataclass(frozen=True)
class Layout:
    """Middles of the boxes, the points of each drawn edge from its source to its target, and the edges that are
    too long."""

    layers: tuple[tuple[Place, ...], ...]
    boxes: Mapping[str, Place]
    routes: Mapping[tuple[str, str], tuple[Place, ...]]
    long: tuple[tuple[str, str], ...]
    width: float


def layer_of(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of each box. Edges that lead backwards in a cycle do not count."""
    readers: dict[str, list[str]] = {key: [] for key in keys}
    missing = dict.fromkeys(keys, 0)
    for source, target in edges:
        readers[source].append(target)
        missing[target] += 1
    layers = dict.fromkeys(keys, 0)
    ready = [key for key in keys if not missing[key]]
    for key in ready:  # grows while it is read
        for target in readers[key]:
            layers[target] = max(layers[target], layers[key] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    return layers


def layout(widths: Mapping[str, float], edges: Sequence[tuple[str, str]], longest: int = LONGEST) -> Layout:
    """Places for boxes of these widths. Edges over more than `longest` layers get no route."""
    distinct = [edge for edge in dict.fromkeys(edges) if edge[0] != edge[1]]
    layers = layer_of(list(widths), distinct)
    _pull_down(layers, distinct)
    boxes = {key: Place(key, layers[key], width) for key, width in widths.items()}
    rows: list[list[Place]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for place in boxes.values():
        rows[place.layer].append(place)
    routes: dict[tuple[str, str], tuple[Place, ...]] = {}
    long: list[tuple[str, str]] = []
    for source, target in distinct:
        first, last = boxes[source], boxes[target]
        if not 0 < last.layer - first.layer <= longest:
            long.append((source, target))
            continue
        points = [Place("", layer, POINT) for layer in range(first.layer + 1, last.layer)]
        for point in points:
            rows[point.layer].append(point)
        route = (first, *points, last)
        for one, other in itertools.pairwise(route):
            one.below.append(other)
            other.above.append(one)
        routes[source, target] = route
    _order(rows)
    _position(rows)
    width = max((place.x + place.width / 2 for row in rows for place in row), default=0.0)
    return Layout(tuple(map(tuple, rows)), boxes, routes, tuple(long), width)


def _pull_down(layers: dict[str, int], edges: Sequence[tuple[str, str]]) -> None:
    """Boxes that read nothing stand just above the first that reads them."""
    has_source = {target for _, target in edges}
    nearest: dict[str, int] = {}
    for source, target in edges:
        nearest[source] = min(nearest.get(source, layers[target]), layers[target])
    for key, layer in nearest.items():
        if key not in has_source:
            layers[key] = max(layers[key], layer - 1)


def _order(rows: Sequence[list[Place]]) -> None:
    for row in rows:
        for position, place in enumerate(row):
            place.x = position
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            row.sort(key=lambda place: _mean(place.above if down else place.below, place.x))
            for position, place in enumerate(row):
                place.x = position


def _mean(neighbours: Sequence[Place], otherwise: float) -> float:
    return sum(place.x for place in neighbours) / len(neighbours) if neighbours else otherwise


def _position(rows: Sequence[list[Place]]) -> None:
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            _spread(row, [_mean(place.above if down else place.below, place.x) for place in row])
    left = min((place.x - place.width / 2 for row in rows for place in row), default=0.0)
    for row in rows:
        for place in row:
            place.x -= left


def _spread(row: Sequence[Place], wanted: Sequence[float]) -> None:
    """Middles as near to the wanted ones as the order allows: neighbours that would overlap move together, to the
    mean of what they want."""
    offsets = [0.0]
    for one, other in itertools.pairwise(row):
        offsets.append(offsets[-1] + (one.width + other.width) / 2 + GAP)
    blocks: list[tuple[float, int]] = []  # mean of (wanted - offset), how many places
    for place in range(len(row)):
        mean, count = wanted[place] - offsets[place], 1
        while blocks and blocks[-1][0] >= mean:
            before, size = blocks.pop()
            mean, count = (mean * count + before * size) / (count + size), count + size
        blocks.append((mean, count))
    position = 0
    for mean, count in blocks:
        for place in range(position, position + count):
            row[place].x = mean + offsets[place]
        position += count
