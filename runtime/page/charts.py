"""The drawings of the page as SVG: roofline and memory over time.

Colours are CSS classes (`report.css`), so that both colour schemes of the browser work; every mark has a title that
shows when the pointer rests on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ..device_memory import DeviceMemory
from ..sim.report import Report, TaskReport
from ..sim.roofline import Position, roofs_of

WIDTH: Final = 720


def bound_class(bound: str) -> str:
    """CSS class of a bounding resource."""
    return "b-" + bound.lower().replace(" ", "-").replace("_", "-")


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis: `low` … `high` lie at the pixels `start` … `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Pixel of `value`; beyond the ends it stays at the end."""
        inside = min(max(value, self.low), self.high)
        share = (math.log10(inside) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return round(self.start + share * (self.end - self.start), 1)

    def decades(self) -> Iterator[float]:
        """Powers of ten on the axis."""
        for power in range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1):
            yield 10.0**power


def quantity(value: float, unit: str) -> str:
    """`12.3 Gop/s` of 12.3e9 and "op/s"."""
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def size_text(amount: int) -> str:
    """`256 KB`, of 1024 bytes each, as memories are sized."""
    for unit, factor in (("MB", 1 << 20), ("KB", 1 << 10)):
        if amount >= factor:
            return f"{amount / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{amount} B"


_TOP, _BOTTOM, _LEFT, _RIGHT = 14, 356, 78, WIDTH - 24
_HEIGHT: Final = 400


def roofline_svg(report: Report) -> str:
    """All tasks of the AI Core under the chip's roofs, once by DDR and once by L2 traffic."""
    places = [(number, task, task.position(report.soc)) for number, task in enumerate(report.tasks)]
    points = [(number, task, position) for number, task, position in places if position is not None]
    roofs = roofs_of(report.soc)
    units = {position.unit for _, _, position in points}
    peaks = {
        name: peak
        for name, peak in roofs.peaks.items()
        if name in units or name in ("cube f16", "vector f16")
    }
    x, y = _axes([position for _, _, position in points], peaks, roofs.bandwidths)
    parts = [
        f'<svg class="roofline" viewBox="0 0 {WIDTH} {_HEIGHT}" role="img" aria-label="Roofline">',
        *_grid(x, y),
        *_roof_lines(x, y, peaks, roofs.bandwidths),
    ]
    for memory, bandwidth in roofs.bandwidths.items():
        hidden = "" if memory == "DDR" else " hidden"
        parts.append(f'<g class="points by-{memory.lower()}{hidden}">')
        for number, task, position in sorted(points, key=lambda point: -point[1].cycles):
            parts.append(_point(report, number, task, position, (memory, bandwidth), (x, y)))
        parts.append("</g>")
    parts.append("</svg>")
    return "\n".join(parts)


def _axes(
    positions: Sequence[Position], peaks: dict[str, float], bandwidths: dict[str, float]
) -> tuple[Axis, Axis]:
    """Whole decades around all points, and at least around the ridges of the roofs."""
    across = [value for p in positions for value in p.intensity.values() if value]
    across += [peak / bandwidth for peak in peaks.values() for bandwidth in bandwidths.values()]
    up = [p.achieved for p in positions if p.achieved] + [min(peaks.values()) / 10, max(peaks.values())]

    def ends(values: Sequence[float]) -> tuple[float, float]:
        return 10.0 ** math.floor(math.log10(min(values))), 10.0 ** math.ceil(math.log10(max(values)))

    low, high = ends(across)
    bottom, top = ends(up)
    return Axis(low, high, _LEFT, _RIGHT), Axis(bottom, top, _BOTTOM, _TOP)


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    for value in x.decades():
        at = x.at(value)
        yield f'<line class="grid" x1="{at}" y1="{_TOP}" x2="{at}" y2="{_BOTTOM}"/>'
        yield f'<text class="tick" x="{at}" y="{_BOTTOM + 16}" text-anchor="middle">{quantity(value, "")}</text>'
    for value in y.decades():
        at = y.at(value)
        yield f'<line class="grid" x1="{_LEFT}" y1="{at}" x2="{_RIGHT}" y2="{at}"/>'
        yield f'<text class="tick" x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{quantity(value, "op/s")}</text>'
    middle = (_LEFT + _RIGHT) / 2
    yield f'<text class="axis" x="{middle}" y="{_BOTTOM + 36}" text-anchor="middle">operations per byte</text>'


def _roof_lines(x: Axis, y: Axis, peaks: dict[str, float], bandwidths: dict[str, float]) -> Iterator[str]:
    lowest, highest, fastest = min(peaks.values()), max(peaks.values()), max(bandwidths.values())
    for memory, bandwidth in bandwidths.items():
        low = max(x.low, y.low / bandwidth)
        ridge = min(highest / bandwidth, x.high)
        points = f"{x.at(low)},{y.at(low * bandwidth)} {x.at(ridge)},{y.at(ridge * bandwidth)}"
        yield f'<polyline class="roof by-{memory.lower()}" points="{points}"/>'
        middle = math.sqrt(low * max(low, lowest / bandwidth))  # its label stays below the lowest peak
        slope = math.degrees(
            math.atan2(y.at(ridge * bandwidth) - y.at(low * bandwidth), x.at(ridge) - x.at(low))
        )
        at = f"{x.at(middle)},{y.at(middle * bandwidth)}"
        label = f"{memory} {quantity(bandwidth, 'B/s')}"
        yield (
            f'<text class="rooflabel" text-anchor="middle" dy="-5" '
            f'transform="translate({at}) rotate({slope:.1f})">{label}</text>'
        )
    for name, peak in peaks.items():
        at = y.at(peak)
        yield f'<line class="roof peak" x1="{x.at(peak / fastest)}" y1="{at}" x2="{_RIGHT}" y2="{at}"/>'
        label = f"{name} {quantity(peak, 'op/s')}"
        yield f'<text class="rooflabel" x="{_RIGHT - 4}" y="{at - 5}" text-anchor="end">{label}</text>'


def _point(
    report: Report,
    number: int,
    task: TaskReport,
    position: Position,
    memory: tuple[str, float],
    axes: tuple[Axis, Axis],
) -> str:
    """A circle; where nothing is computed it stands at the left edge, as far below the roof as its bandwidth."""
    name, bandwidth = memory
    x, y = axes
    intensity, speed = position.intensity[name], position.bytes_per_second[name]
    share = task.cycles / report.cycles if report.cycles else 0.0
    radius = round(3 + 14 * math.sqrt(share), 1)
    bound, ratio = task.bound(report.soc)
    said = [f"{number} {task.name} ({task.op_type})", f"{report.soc.microseconds(task.cycles):.1f} µs"]
    if position.operations:
        at = (x.at(intensity) if intensity else x.end, y.at(position.achieved))
        where = f"{intensity:.3g} op/B of {name}" if intensity else f"no {name} traffic"
        said += [where, quantity(position.achieved, "op/s"), f"{position.ratio:.0%} of the roof"]
        kind = "point"
    else:
        at = (x.low, max(x.low * speed, y.low) if speed else y.low)
        at = (x.at(at[0]), y.at(at[1]))
        said += ["no arithmetic", f"{speed / bandwidth:.0%} of the {name} bandwidth"]
        kind = "point moves"
    said.append(f"bound by {bound} {ratio:.0%}")
    title = escape(", ".join(said))
    return (
        f'<circle class="{kind} {bound_class(bound)}" data-task="{number}" cx="{at[0]}" cy="{at[1]}" '
        f'r="{radius}"><title>{title}</title></circle>'
    )


_ROW: Final = 52
_MEMORY_LEFT: Final = 108


def memory_svg(report: Report, memory: DeviceMemory | None) -> str:
    """One strip per memory: high-water mark and live bytes of every task, as a share of the memory's size."""
    strips: list[tuple[str, int, list[int], list[int]]] = []
    for space, buffer in report.soc.memories.items():
        reach = [task.detail.reach.get(space, 0) if task.detail else 0 for task in report.tasks]
        if any(reach):
            strips.append((space.upper(), buffer.size, reach, [_peak(task, space) for task in report.tasks]))
    if memory is not None and memory.planned:
        strips.append(("GM region", memory.planned, list(memory.live), list(memory.workspace)))
    height = _ROW * len(strips) + 28
    parts = [f'<svg class="memory" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Memory over time">']
    for row, (name, size, outer, inner) in enumerate(strips):
        parts += _strip(report, row * _ROW + 6, name, size, (outer, inner))
    parts += _time_axis(report, height - 22)
    return "\n".join([*parts, "</svg>"])


def _peak(task: TaskReport, space: str) -> int:
    curve = task.detail.curve(space) if task.detail is not None else None
    return curve.peak if curve is not None else 0


def _x(report: Report, cycle: int) -> float:
    return round(_MEMORY_LEFT + (WIDTH - 12 - _MEMORY_LEFT) * cycle / max(1, report.cycles), 1)


def _strip(
    report: Report, top: int, name: str, size: int, rows: tuple[list[int], list[int]]
) -> Iterator[str]:
    bottom = top + _ROW - 12
    full = bottom - top
    yield f'<rect class="capacity" x="{_MEMORY_LEFT}" y="{top}" width="{WIDTH - 12 - _MEMORY_LEFT}" height="{full}"/>'
    yield f'<text class="axis" x="{_MEMORY_LEFT - 8}" y="{top + 15}" text-anchor="end">{name}</text>'
    most = max(rows[0])
    said = f"{most / size:.0%} of {size_text(size)}"
    yield f'<text class="tick" x="{_MEMORY_LEFT - 8}" y="{top + 31}" text-anchor="end">{said}</text>'
    for kind, values in zip(("reach", "live"), rows, strict=True):
        start, path = 0, f"M{_MEMORY_LEFT} {bottom}"
        for task, value in zip(report.tasks, values, strict=True):
            level = round(bottom - full * min(1.0, value / size), 1)
            path += f"V{level}H{_x(report, start + task.cycles)}"
            start += task.cycles
        yield f'<path class="{kind}" d="{path}V{bottom}Z"/>'


def _time_axis(report: Report, top: int) -> Iterator[str]:
    total = report.latency_us
    if total <= 0:
        return
    step = 10.0 ** math.floor(math.log10(total))
    step = step / 5 if total / step < 2 else step / 2 if total / step < 5 else step
    for number in range(int(total / step) + 1):
        at = _x(report, round(number * step * report.soc.clock_mhz))
        yield f'<text class="tick" x="{at}" y="{top + 14}" text-anchor="middle">{number * step:g}</text>'
    yield f'<text class="axis" x="{_MEMORY_LEFT - 8}" y="{top + 14}" text-anchor="end">µs</text>'
