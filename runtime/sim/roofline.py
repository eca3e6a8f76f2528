"""Where a task stands under the roofs of its chip.

The horizontal axis is operations per byte of memory traffic, the vertical one operations per second. A task
cannot be above the peak of the unit that computes it, nor above bandwidth × intensity. Operations are those that
the instructions execute, padding included; time is the task's whole duration, launch included. So the distance to
the roof is what a better schedule, fewer launches and better-filled tiles could win together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..soc import Soc
from .detail import TaskDetail
from .timing import TaskTiming

FRACTAL_SIDE: Final = 16
"""Rows and columns of the cube's product per cycle (davinci.md §1.4)."""


@dataclass(frozen=True)
class Roofs:
    """Peaks of a chip in operations per second, bandwidths in bytes per second, by name."""

    peaks: dict[str, float]
    bandwidths: dict[str, float]


@dataclass(frozen=True)
class Position:
    """A task under the roofs.  `intensity` is operations per byte by memory, None where it moved nothing."""

    unit: str
    operations: int
    achieved: float
    intensity: dict[str, float | None]
    bytes_per_second: dict[str, float]
    attainable: float

    @property
    def ratio(self) -> float:
        """Share of what the lowest roof at this intensity allows; of the bandwidth if nothing is computed."""
        return self.achieved / self.attainable if self.attainable else 0.0


def roofs_of(soc: Soc) -> Roofs:
    """The roofs of a chip, from the numbers of its timing table."""
    hertz = soc.clock_mhz * 1e6
    cubes, vectors, ports = soc.cores_with("M"), soc.cores_with("V"), soc.cores_with("S")
    cube, vector = soc.timing["cube"], soc.timing["vector"]
    mac = 2 * FRACTAL_SIDE * FRACTAL_SIDE
    peaks = {
        "cube f16": mac * cube["kstep_16"] * cubes * hertz,
        "cube int8": mac * cube["kstep_8"] * cubes * hertz,
        "vector f16": vector["vadd"]["f16"][0] / 2 * vectors * hertz,
    }
    gm = soc.timing["gm"]
    rates = {
        # One server for both directions; its rate is given per core of the first type (`gm_model.py`).
        "DDR": max(gm["ddr_read_rate"], gm["ddr_write_rate"]) * soc.cores,
        "L2": (gm["l2_read_rate"] + gm["l2_write_rate"]) * ports,  # a core loads and stores at the same time
    }
    return Roofs(peaks, {name: rate * hertz for name, rate in rates.items()})


def position_of(soc: Soc, timing: TaskTiming, detail: TaskDetail) -> Position:
    """Where a timed task stands."""
    roofs = roofs_of(soc)
    seconds = soc.microseconds(timing.cycles) * 1e-6
    moved = {"DDR": timing.ddr_read + timing.ddr_write, "L2": timing.l2_read + timing.l2_write}
    unit = unit_of(detail)
    limits = [roofs.peaks[unit]] if unit in roofs.peaks else []
    limits += [
        roofs.bandwidths[name] * detail.operations / amount for name, amount in moved.items() if amount
    ]
    return Position(
        unit=unit,
        operations=detail.operations,
        achieved=detail.operations / seconds,
        intensity={name: detail.operations / amount if amount else None for name, amount in moved.items()},
        bytes_per_second={name: amount / seconds for name, amount in moved.items()},
        attainable=min(limits) if detail.operations and limits else 0.0,
    )


def unit_of(detail: TaskDetail) -> str:
    """The peak that counts for a task: of the unit that does most of its operations; "" for pure movement."""
    if not detail.operations:
        return ""
    if 2 * detail.macs.total() >= detail.lanes.total():
        wide = sum(count for dtype, count in detail.macs.items() if "8" in dtype)
        return "cube int8" if 2 * wide > detail.macs.total() else "cube f16"
    return "vector f16"
