"""`atc benchmark MODEL.om`: latency and throughput as predicted, and how long the simulator took, apart from it.

Predicted are the cycles of the timing model over the chip's clock; they depend on the instructions alone, so that one
prediction is exact and repeated ones are equal. Wall time is that of this computer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from .om_command_line import FOUND_SOMETHING, OK, OmParser, offline_profiles, print_json


def run_command(words: Sequence[str]) -> int:
    """The sub-command: 1 if a limit that was given is exceeded."""
    parser = OmParser(
        "benchmark",
        "Predicts latency and throughput from cycles and clock, and measures the simulator apart from it.",
        "atc benchmark resnet18.om --max-latency-us 2000 --json",
    )
    parser.add_argument("model", help="offline model (.om)")
    parser.add_argument("--loop", type=int, default=1, help="runs on the simulator (default 1; 0: none)")
    parser.add_argument("--input", action="append", default=[], help="as for atc run (default: zeros)")
    parser.add_argument("--max-latency-us", type=float, help="exit status 1 when more is predicted")
    arguments = parser.parse_args(words)
    if arguments.loop < 0:
        parser.error("--loop is a number of runs")
    measured = measure(arguments.model, arguments.part, arguments.loop, arguments.input)
    limit = arguments.max_latency_us
    exceeded = limit is not None and any(found["predicted"]["latency_us"] > limit for found in measured)
    if arguments.json:
        several = {"model": arguments.model, "profiles": measured}
        print_json({**(several if len(measured) > 1 else measured[0]), "ok": not exceeded})
    else:
        print("\n".join(line for found in measured for line in lines_of(found)))
        if exceeded:
            print(f"more than the {limit} us that --max-latency-us allows")
    return FOUND_SOMETHING if exceeded else OK


def measure(name: str, part: int | None, loop: int, inputs: Sequence[str]) -> list[dict[str, Any]]:
    """Prediction and wall time of a model: of each profile where it has several and no input says which."""
    from ..runtime.session import InferenceSession
    from .atc_run import profile_json, read_inputs

    session = InferenceSession(offline_profiles(name, part))
    feed = read_inputs(session.input_sets, [word for words in inputs for word in words.split(",")])
    if inputs or session.profiles is None:
        session.choose(feed)
        which = session.profile if session.profile is not None else part
        return [{"model": name, **profile_json(session), **_measured(name, which, feed, loop)}]
    found: list[dict[str, Any]] = []
    for number in range(len(session.profiles.branches)):
        session.select(number)
        zeros = read_inputs(session.input_sets, ())
        found.append({"model": name, **profile_json(session), **_measured(name, number, zeros, loop)})
    return found


def _measured(name: str, part: int | None, feed: Mapping[str, Any], loop: int) -> dict[str, Any]:
    from ..runtime.session import InferenceSession

    began = time.perf_counter()
    session = InferenceSession(offline_profiles(name, part))
    loaded = time.perf_counter()
    report = session.report
    timed = time.perf_counter()
    runs: list[float] = []
    for _ in range(loop):
        start = time.perf_counter()
        session.run(None, feed)
        runs.append(time.perf_counter() - start)
    kinds = ("AI_CORE", "AI_CPU", "MEMCPY")
    cycles = {kind: sum(task.cycles for task in report.tasks if task.task_type == kind) for kind in kinds}
    return {
        "soc": session.om.soc,
        "predicted": {
            "cycles": report.cycles,
            "cycles_by_processor": cycles,
            "latency_us": report.latency_us,
            "inferences_per_second": 1e6 / report.latency_us if report.latency_us else None,
            "clock_mhz": report.soc.clock_mhz,
            "ddr_bytes": report.ddr_bytes,
            "tasks": len(report.tasks),
            "basis": report.soc.timing["basis"],
        },
        "simulator": {
            "load_seconds": loaded - began,
            "timing_seconds": timed - loaded,
            "run_seconds": runs,
        },
    }


def lines_of(found: dict[str, Any]) -> list[str]:
    """The result for people."""
    predicted, simulator = found["predicted"], found["simulator"]
    rate = predicted["inferences_per_second"]
    parts = [f"{kind} {cycles}" for kind, cycles in predicted["cycles_by_processor"].items() if cycles]
    which = f", sizes {','.join(map(str, found['sizes']))}," if "sizes" in found else ""
    lines = [
        f"{found['model']}{which} on {found['soc']}: {predicted['latency_us']:.1f} us predicted, "
        f"{predicted['cycles']} cycles ({', '.join(parts)}), {predicted['tasks']} tasks",
    ]
    if rate is not None:
        lines.append(
            f"one after the other: {rate:.1f} inferences per second, {predicted['ddr_bytes'] * rate / 1e9:.2f} GB/s of DDR"
        )
    lines += [
        f"timing: {predicted['basis']}",
        f"simulator on this computer: load {simulator['load_seconds']:.2f} s, timing {simulator['timing_seconds']:.2f} s",
    ]
    runs = simulator["run_seconds"]
    if runs:
        lines[-1] += f", run {min(runs):.2f} s (best of {len(runs)})"
    return lines
