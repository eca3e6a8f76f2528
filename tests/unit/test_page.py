"""The HTML report as text: what is in it, that it stands alone, and that it stays small."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ascend_mlir.runtime import profiling
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.writer import om_bytes, write_om
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.runtime.sim.detail import task_detail
from ascend_mlir.runtime.sim.report import Report, TaskReport
from ascend_mlir.runtime.sim.segments import Segment, merged
from ascend_mlir.runtime.sim.timing import time_task
from ascend_mlir.runtime.soc import load_soc
from hypothesis import given
from hypothesis import strategies as st
from om_samples import ADD, ADD_DONE, LOAD_DONE, add_model
from sim_kernels import ADD_RELU, ARGS, MATMUL, program

pytest.importorskip("jinja2")
from ascend_mlir.runtime.page import timeline
from ascend_mlir.runtime.page.content import marks
from ascend_mlir.runtime.page.render import page_text
from ascend_mlir.runtime.page.timeline import timeline_data

P3 = load_soc("Ascend310P3")
EVIL = "</script><img src=x onerror=alert(1)>\u2028\"'&"


def _report(*kernels: tuple[str, str, int], extra: tuple[TaskReport, ...] = ()) -> Report:
    tasks: list[TaskReport] = []
    for name, text, blocks in kernels:
        kernel = program(text)
        timing = time_task(P3, kernel, ARGS, blocks, trace=True)
        detail = task_detail(P3, kernel, timing)
        tasks.append(TaskReport(name, "Kind", blocks, timing, nodes=(name,), body=((name,),), detail=detail))
    return Report(P3, [*tasks, *extra], "model")


def _usual() -> Report:
    nms = TaskReport("nms", "Nms", 1, None, "AI_CPU", reason="data-dependent", other_cycles=5000)
    return _report(("matmul", MATMUL, 4), ("add", ADD_RELU, 8), extra=(nms,))


class _Reader(HTMLParser):
    """Counts elements, collects addresses, and checks that elements are closed in order."""

    VOID = frozenset(("meta", "link", "input", "br", "img", "line", "rect", "polyline", "path"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.seen[tag] += 1
        for word in (named.get("class") or "").split():
            self.seen[f"{tag}.{word}"] += 1
        self.addresses += [value for key in ("src", "href") if (value := named.get(key))]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def test_page_has_every_task_once_and_needs_no_network() -> None:
    report = _usual()
    text = page_text(report, None, ["a note"])
    reader = _Reader(text)
    assert reader.open == []
    assert reader.seen["tr.task"] == 3
    assert reader.seen["circle.point"] == 2 * 2  # tasks of the core, by two memories
    assert reader.seen["svg"] == 2 and reader.seen["canvas"] == 1 and reader.seen["details.hottask"] == 2
    assert all(address.startswith(("#", "data:")) for address in reader.addresses)
    assert re.findall(r"https?://|@import|url\(", text) == []
    assert "default-src 'none'" in text
    for said in ("a note", "data-dependent", "Nothing is calibrated on a chip", "pipe_barrier"):
        assert said in text
    data = json.loads(reader.scripts[0])
    assert [task["name"] for task in data["tasks"]] == ["matmul", "add", "nms"]
    assert data["exact"] is True and "tracks" not in data["tasks"][2]


def test_page_is_the_same_every_time(tmp_path: Path) -> None:
    """In this process and in others, whatever the seed of their hash tables."""
    write_om(_add_model(), tmp_path / "m.om")
    InferenceSession(tmp_path / "m.om").write_report(tmp_path / "here.html")
    code = (
        "import sys, ascend_mlir as a; a.InferenceSession(sys.argv[1]).write_report(sys.argv[2])"
        "; a.InferenceSession(sys.argv[1]).write_profile(sys.argv[2] + '.csv')"
    )
    digests: set[str] = set()
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.html"
        command = [sys.executable, "-c", code, str(tmp_path / "m.om"), str(out)]
        subprocess.run(command, check=True, env=dict(os.environ, PYTHONHASHSEED=seed))
        assert out.read_bytes() == (tmp_path / "here.html").read_bytes()
        digests.add(hashlib.sha256(Path(f"{out}.csv").read_bytes()).hexdigest())
    assert len(digests) == 1


def _add_model() -> OmModel:
    return add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE))


def test_names_cannot_leave_their_place() -> None:
    text = page_text(_report((EVIL, ADD_RELU, 2)), None, [EVIL])
    reader = _Reader(text)
    assert reader.open == [] and reader.seen["img"] == 0 and reader.seen["script"] == 2
    assert json.loads(reader.scripts[0])["tasks"][0]["name"] == EVIL
    assert "&lt;/script&gt;" in text and "<img" not in text


def test_page_says_which_timing_has_no_source() -> None:
    text = "vmla.f16 ub[0], ub[0x200], ub[0x400], repeat=4\nvadd.f16 ub[0], ub[0x200], ub[0x400], repeat=1"
    guessed, known = _report(("mla", text, 1)), _report(("exp", "vexp.f16 ub[0], ub[0x800], repeat=1", 1))
    (mark,) = marks(guessed)
    assert (mark.name, mark.taken, mark.tasks) == ("vmla", "result as vmul", 1)
    assert mark.cycles == next(
        c.cycles for c in guessed.tasks[0].detail.instructions if c.record.mnemonic == "vmla"
    )  # type: ignore[union-attr]
    assert 0 < mark.share < 1 and marks(known) == []
    assert "timing without a source: vmla: result as vmul" in page_text(guessed, None, [])
    assert "Every instruction of this run has cycles from a source" in page_text(known, None, [])
    assert P3.timing["basis"] in unescape(page_text(known, None, []))


def test_hazard_note_says_what_was_checked(tmp_path: Path) -> None:
    data = om_bytes(_add_model())
    for sanitize, said in (
        (True, "Hazards: 1 kernels were checked"),
        (False, "Hazards: not checked in this run"),
    ):
        InferenceSession(data, sanitize=sanitize).write_report(tmp_path / "p.html")
        assert said in (tmp_path / "p.html").read_text()


def test_without_jinja2_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    write_om(_add_model(), tmp_path / "m.om")
    session = InferenceSession(tmp_path / "m.om")
    with pytest.raises(AscendError, match="jinja2") as caught:
        session.write_report(tmp_path / "p.html")
    assert caught.value.code == "E40020" and "pip install" in caught.value.hint
    from ascend_mlir.tools.atc import main

    with pytest.raises(SystemExit) as done:
        main(["run", f"--model={tmp_path / 'm.om'}", f"--report={tmp_path / 'p.html'}"])
    assert done.value.code == 1 and "E40020" in capsys.readouterr().err


def _decoded(numbers: list[int]) -> list[Segment]:
    """What report.js reads: `used` numbers in place of records."""
    rows: list[Segment] = []
    at, i = 0, 0
    while i < len(numbers):
        start, length = at + numbers[i], numbers[i + 1]
        at = start + abs(length)
        one = length >= 0
        rows.append(
            Segment(
                start, at, length if one else numbers[i + 3], 1 if one else numbers[i + 4], numbers[i + 2]
            )
        )
        i += 3 if one else 5
    return rows


def _tracks(data: dict[str, Any]) -> dict[str, list[Segment]]:
    return {key: _decoded(numbers) for key, numbers in data["tasks"][0]["tracks"].items()}


def test_timeline_holds_every_instruction() -> None:
    report = _report(("add", ADD_RELU, 8))
    detail = report.tasks[0].detail
    assert detail is not None
    data = timeline_data(report)
    tracks = _tracks(data)
    assert len(tracks) == 8 * 4  # S, V, MTE2, MTE3
    for (core, pipe), spans in detail.tracks.items():
        assert [row[:2] for row in tracks[f"{core}.{pipe}"]] == [(s.start, s.end) for s in spans]
    texts = [data["kernels"][0][used] for *_, used in tracks["0.1"]]
    assert [text.split()[1] for text in texts[:2]] == ["vadd.f16", "vrelu.f16"]


def test_timeline_keeps_to_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    report = _report(("add", ADD_RELU, 8))
    whole = _tracks(timeline_data(report))
    monkeypatch.setattr(timeline, "SEGMENTS", 60)
    data = timeline_data(report)
    short = _tracks(data)
    assert data["exact"] is False
    assert sum(map(len, short.values())) < sum(map(len, whole.values()))
    for key, rows in short.items():
        assert len(rows) <= max(timeline.LEAST, 60)
        assert sum(row[2] for row in rows) == sum(row[2] for row in whole[key])
        assert (rows[0][0], rows[-1][1]) == (whole[key][0][0], whole[key][-1][1])


PARTS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 3)), min_size=1)


@given(PARTS, st.integers(1, 20), st.integers(1, 20))
def test_merging_keeps_time_and_order(parts: list[tuple[int, int, int]], limit: int, again: int) -> None:
    exact: list[Segment] = []
    at = 0
    for gap, length, record in parts:
        exact.append(Segment(at + gap, at + gap + length, length, 1, record))
        at += gap + length
    once = merged(exact, limit)
    for found, most in ((once, limit), (merged(once, again), again)):
        assert len(found) <= most
        assert sum(segment.busy for segment in found) == sum(length for _, length, _ in parts)
        assert sum(segment.times for segment in found) == len(parts)
        assert (found[0].start, found[-1].end) == (exact[0].start, exact[-1].end)
        assert all(a.end <= b.start for a, b in pairwise(found))
        assert all(segment.busy <= segment.end - segment.start for segment in found)
    if len(exact) <= limit:
        assert once == exact


def test_reports_of_long_runs_keep_few_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept per task has a bound too: the first tasks are exact, the rest is merged."""
    data = om_bytes(replace(_add_model(), tasks=_add_model().tasks * 5))
    whole = InferenceSession(data).detailed_report
    monkeypatch.setattr(profiling, "KEPT_SEGMENTS", 5)
    short = InferenceSession(data).detailed_report

    def lengths(report: Report) -> list[int]:
        details = [task.detail for task in report.tasks]
        return [sum(map(len, detail.tracks.values())) for detail in details if detail is not None]

    assert lengths(whole) == [5] * 5 and lengths(short) == [5, 5, 4, 4, 4]
    assert timeline_data(whole)["exact"] is True and timeline_data(short)["exact"] is False
    assert short.cycles == whole.cycles
