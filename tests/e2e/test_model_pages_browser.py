"""The pages of `atc analyze` and `atc precision-compare` in a real browser: from disk, without a network, on a desk and a phone.

Screenshots are kept where `ASCEND_ARTEFACTS` says, for whoever looks at a run of the tests afterwards.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from ascend_mlir.runtime.page.structure import WIDTH
from ascend_mlir.tools.atc import main
from browser import Tab, browser, browser_path

pytest.importorskip("jinja2")
pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium: apt-get install chromium")

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"
SHAPE = "--input_shape=image:4,1,8,8"
WIDTHS = [(1280, 900), (390, 844)]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def atc(*words: object) -> None:
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    assert done.value.code == 0


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    atc("analyze", DIGITS, SHAPE, f"--report={folder / 'analyze.html'}")
    atc("convert", DIGITS, SHAPE, f"--output={folder / 'm'}")
    atc("precision-compare", DIGITS, folder / "m.om", "--layer_level", f"--report={folder / 'compare.html'}")
    return {name: folder / f"{name}.html" for name in ("analyze", "compare")}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.mark.parametrize(("width", "height"), WIDTHS)
@pytest.mark.parametrize("name", ["analyze", "compare"])
def test_page_opens(
    tab: Tab, pages: dict[str, Path], tmp_path: Path, name: str, width: int, height: int
) -> None:
    tab.open(pages[name], width, height, dark=width < 500)
    assert tab.complaints() == []
    assert {url.partition(":")[0] for url in tab.requests()} <= {"file", "data"}
    assert tab.value(OVERFLOW) == 0  # only tables and the drawing scroll sideways
    assert tab.value("document.querySelectorAll('table').length") >= 2
    assert float(tab.value("parseFloat(getComputedStyle(document.querySelector('td')).fontSize)")) >= 12
    picture = tmp_path / f"{name}-{width}.png"
    tab.screenshot(picture)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width, height)
    if os.environ.get("ASCEND_ARTEFACTS"):
        shutil.copy(picture, os.environ["ASCEND_ARTEFACTS"])


def test_structure_shows_every_operator(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["analyze"], 1280, 900)
    boxes = tab.value("document.querySelectorAll('svg.structure g.box').length")
    rows = tab.value("document.querySelectorAll('#operators tbody tr').length")
    assert boxes == rows > 2
    assert tab.value("document.querySelectorAll('svg.structure path.edge').length") >= boxes - 1
    overlaps = """(() => {
      const all = [...document.querySelectorAll('svg.structure rect')].map((r) => r.getBoundingClientRect());
      const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
      return all.filter((a, i) => all.some((b, j) => i < j && meet(a, b))).length;
    })()"""
    assert tab.value(overlaps) == 0
    assert tab.value("document.querySelector('svg.structure rect').getBoundingClientRect().width") == WIDTH


def test_layers_of_the_comparison_are_all_there(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["compare"], 1280, 900)
    assert tab.value("document.querySelectorAll('#layers tbody tr').length") > 2
    assert tab.value("document.querySelectorAll('td.bad').length") == 0
    assert "within the limits" in tab.value("document.querySelector('.facts').textContent")
