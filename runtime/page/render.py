"""Fills the template: one HTML file with everything in it, the same bytes for the same model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..device_memory import DeviceMemory
from ..errors import AscendError
from ..sim.profile import pipe_columns
from ..sim.report import Report
from . import content
from .charts import memory_svg, roofline_svg
from .timeline import timeline_data

_FOLDER: Final = Path(__file__).parent


def script_json(data: Any) -> str:
    """JSON that may stand inside a script element: no text of a model can close it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def page_text(report: Report, memory: DeviceMemory | None, notes: Sequence[str]) -> str:
    """The page of a report with details.  `notes` are further lines about the run."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
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
    timeline = timeline_data(report)
    hot = content.hot_tasks(report)
    return environment.get_template("report.html").render(
        style=Markup((_FOLDER / "report.css").read_text(encoding="utf-8")),
        script=Markup((_FOLDER / "report.js").read_text(encoding="utf-8")),
        data=Markup(script_json(timeline)),
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
        roofline=Markup(roofline_svg(report)),
        memory=Markup(memory_svg(report, memory)),
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
