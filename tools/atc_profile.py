"""`atc profile MODEL.om`: where the time of an offline model goes, operator by operator; nothing is run for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from .om_command_line import OK, OmParser, offline_profiles, print_json, writable

if TYPE_CHECKING:
    from ..runtime.sim.report import Report

WIDTH: Final = 150


def run_command(words: Sequence[str]) -> int:
    """The sub-command."""
    parser = OmParser(
        "profile",
        "Predicts how long each operator of an offline model takes and what bounds it, by the timing model.",
        "atc profile resnet18.om --top 5 --csv op_summary.csv --html profile.html",
    )
    parser.add_argument("model", help="offline model (.om)")
    parser.add_argument(
        "--top", type=int, default=10, help="operators that are listed, slowest first (0: all)"
    )
    parser.add_argument("--csv", help="table of all operators, with the profiler's columns")
    parser.add_argument("--html", help="page with timeline, roofline, operators, memory")
    parser.add_argument("--trace", help="trace of every instruction for ui.perfetto.dev (.json)")
    arguments = parser.parse_args(words)
    paths = [writable(text) for text in (arguments.csv, arguments.html, arguments.trace)]

    from ..runtime.session import InferenceSession

    session = InferenceSession(offline_profiles(arguments.model, arguments.part))
    if session.profiles is not None:
        print(
            f"note: profile {session.profile} of {session.profiles.describe()}; --part takes another",
            file=sys.stderr,
        )
    report = session.detailed_report if paths[0] or paths[1] else session.report
    for path, write in zip(
        paths, (session.write_profile, session.write_report, session.write_trace), strict=True
    ):
        if path is not None:
            write(path)
    if arguments.json:
        print_json({"model": arguments.model, **as_json(report)})
        return OK
    from rich.console import Console

    from ..runtime.sim.profile import table

    terminal = sys.stdout.isatty()
    console = Console() if terminal else Console(width=WIDTH, no_color=True, force_terminal=False)
    console.print(table(report, arguments.top or None, plain=not terminal))
    for kind, (count, cycles) in by_type(report).items():
        print(f"{kind:24} {count:5} tasks {cycles:10} cycles {cycles / max(1, report.cycles):7.1%}")
    return OK


def by_type(report: Report) -> dict[str, tuple[int, int]]:
    """Tasks and cycles of each type of operator, greatest first."""
    found: dict[str, tuple[int, int]] = {}
    for task in report.tasks:
        count, cycles = found.get(task.op_type, (0, 0))
        found[task.op_type] = count + 1, cycles + task.cycles
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def as_json(report: Report) -> dict[str, Any]:
    """Everything that is known, for scripts."""
    tasks: list[dict[str, Any]] = []
    start = 0
    for number, task in enumerate(report.tasks):
        bound, share = task.bound(report.soc)
        tasks.append(
            {
                "task": number,
                "operator": task.name,
                "type": task.op_type,
                "processor": task.task_type,
                "nodes": list(task.nodes),
                "blocks": task.blocks,
                "start_cycle": start,
                "cycles": task.cycles,
                "microseconds": report.soc.microseconds(task.cycles),
                "bound": bound,
                "utilisation": share,
            }
        )
        start += task.cycles
    types = {kind: {"tasks": count, "cycles": cycles} for kind, (count, cycles) in by_type(report).items()}
    return {
        "soc": report.soc.name,
        "cycles": report.cycles,
        "latency_us": report.latency_us,
        "basis": report.soc.timing["basis"],
        "types": types,
        "tasks": tasks,
    }
