"""Fills the template: one HTML file with everything in it, the same bytes for the same model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..device_memory import DeviceMemory
from ..sim.profile import pipe_columns
from ..sim.report import Report
from . import content
from .charts import memory_svg, roofline_svg
from .templates import fill, part, ready
from .timeline import timeline_data


def script_json(data: Any) -> str:
    """JSON that may stand inside a script element: no text of a model can close it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def page_text(report: Report, memory: DeviceMemory | None, notes: Sequence[str]) -> str:
    """The page of a report with details.  `notes` are further lines about the run."""
    timeline = timeline_data(report)
    hot = content.hot_tasks(report)
    return fill(
        "report.html",
        script=part("report.js"),
        data=ready(script_json(timeline)),
        exact=timeline["exact"],
        model=report.model,
        soc=report.soc.name,
        facts=content.facts(report),
        bounds=content.bound_shares(report),
        pipes=content.pipe_shares(report),
        pipe_names=tuple(pipe_columns(report.soc).values()),
        split=report.soc.is_split,
        columns=content.operator_columns(),
        operators=content.operators(report),
        roofline=ready(roofline_svg(report)),
        memory=ready(memory_svg(report, memory)),
        high_water=content.high_water(report, memory),
        hot=content.hot_instructions(report, waits=False),
        waits=content.hot_instructions(report, waits=True),
        hot_tasks=hot,
        left_out=len(report.tasks) - len(hot),
        stalls=content.stall_rows(report),
        marks=content.marks(report),
        basis=content.chip_note(report.soc),
        notes=notes,
    )
