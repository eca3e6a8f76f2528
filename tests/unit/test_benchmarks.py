"""What the benchmarks compute from their measurements: the fit of simulation seconds, and which ratios need a reason."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fit_finds_the_two_coefficients() -> None:
    """3 µs per instruction and 0.05 ns per multiply-accumulate, from rows of very different size."""
    instructions, macs = (1000, 200_000, 50_000, 400_000), (0, 3_000_000_000, 1_000_000, 4_000_000_000)
    seconds = [n * 3e-6 + m * 0.05e-9 for n, m in zip(instructions, macs, strict=True)]
    found = _module("fit").fit(instructions, macs, seconds)
    assert (found.a, found.b) == (pytest.approx(3), pytest.approx(0.05))
    assert found.rest == pytest.approx([0, 0, 0, 0], abs=1e-9)


def test_fit_has_no_negative_coefficient() -> None:
    found = _module("fit").fit((1000, 2000, 3000), (3e9, 2e9, 1e9), (1.0, 2.0, 3.0))
    assert found.b == 0 and found.a == pytest.approx(1000)
    assert _module("fit").fit((1000, 2000, 3000), (0, 0, 0), (1.0, 1.0, 4.0)).rest != (0, 0, 0)


def test_fit_text_names_every_row_and_the_limits() -> None:
    rows = [
        {"model": f"m{i}", "soc": "Ascend310P3", "instructions": i * 1000, "macs": i * i * 1e9, "function_s": i * 0.01,
         "timing_s": 0.001}
        for i in range(1, 5)
    ]  # fmt: skip
    text = _module("fit").fit_text(rows)
    assert "at most 6 us and 0.06 ns" in text and all(f"m{i} " in text for i in range(1, 5))
    assert _module("fit").fit_text(rows[:2]) == "no fit: 2 rows for two coefficients"


@pytest.mark.parametrize(("ratio", "explained"), [(0.4, False), (0.6, True), (1.0, True), (2.5, False)])
def test_a_ratio_outside_a_half_to_two_needs_a_reason(
    ratio: float, explained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = _module("published")
    row = {"model": "resnet18", "soc": "Ascend310P3", "batch": 4, "published": 100.0, "fps": 100 * ratio,
           "bound": "DDR", "bound_share": 0.5}  # fmt: skip
    assert published.unexplained(row) is not explained
    assert ("NOT EXPLAINED" in published.line(row)) is not explained
    monkeypatch.setitem(published.EXPLAINED, ("resnet18", "Ascend310P3", 4), "the reason")
    assert not published.unexplained(row)
    assert ("why: the reason" in published.line(row)) is not explained


def test_every_reason_belongs_to_a_published_figure() -> None:
    published = _module("published")
    for name, soc, batch in published.EXPLAINED:
        assert batch in published.PUBLISHED[name, soc][1]


def test_stored_ratios_are_explained() -> None:
    """The table in `benchmarks/results` has no ratio outside a half to two without a reason behind it."""
    lines = (BENCHMARKS / "results" / "published.txt").read_text().splitlines()
    ratios = [
        (float(words[5]), line, after)
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if len(words := line.split()) > 5 and words[1].startswith("Ascend") and words[2].isdigit()
    ]
    assert len(ratios) >= 25
    assert [line for ratio, line, after in ratios if not 0.5 <= ratio <= 2 and "why:" not in after] == []
