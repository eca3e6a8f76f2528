"""The demo: every test image of the digits network through compiler, file and simulator, and onnxruntime."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_demo(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "digits" / "demo.py"), str(tmp_path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"accuracy\s+([\d.]+)%\s+([\d.]+)%", shown)
    assert found is not None
    simulated, exact = (float(value) for value in found.groups())
    assert simulated >= 97 and abs(simulated - exact) <= 0.5
    difference = re.search(r"largest difference of a score ([\d.]+)", shown)
    assert difference is not None and float(difference[1]) < 0.1
    assert (tmp_path / "digits.om").read_bytes()[:4] == b"IMOD"
    assert json.loads((tmp_path / "digits.trace.json").read_text())["traceEvents"]
    operators = (tmp_path / "digits.operators.csv").read_text().count("\n") - 1
    assert operators > 2
    page = (tmp_path / "digits.report.html").read_text()
    assert page.count('<tr class="task"') == operators
    assert f"{tmp_path / 'digits.report.html'}  (where the cycles went: open in a browser)" in shown
