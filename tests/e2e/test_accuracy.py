"""Elementary functions: the errors that `docs/accuracy.md` promises, on all halves and on samples of floats."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
accuracy = importlib.import_module("accuracy")


@pytest.mark.parametrize("name", accuracy.FUNCTIONS)
def test_all_halves(name: str) -> None:
    found = accuracy.measure(name, "float16", "Ascend310P3")
    assert found.worst <= accuracy.FUNCTIONS[name].half, f"{found.worst} ulps at {found.at}"


@pytest.mark.parametrize("name", accuracy.FUNCTIONS)
def test_floats(name: str) -> None:
    found = accuracy.measure(name, "float32", "Ascend310P3", 40_000)
    assert found.worst <= accuracy.FUNCTIONS[name].single, f"{found.worst} ulps at {found.at}"


def test_an_error_is_found() -> None:
    x = np.array([0.5, 1.0, 2.0], np.float32)
    got = np.sinh(x.astype(np.float64)).astype(np.float32)
    assert accuracy.compare("Sinh", "float32", x, got).worst <= 0.5
    got[1] = np.nextafter(np.nextafter(got[1], np.float32(9)), np.float32(9))
    found = accuracy.compare("Sinh", "float32", x, got)
    assert 1.5 <= found.worst <= 2.5 and found.at == 1.0


def test_the_document_is_current() -> None:
    assert (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8") == accuracy.document()
