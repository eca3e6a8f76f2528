"""The HTML report in a real browser: opened from disk without a network, at the width of a desk and of a phone."""

from __future__ import annotations

import csv
import struct
from collections.abc import Iterator
from pathlib import Path

import ascend_mlir
import pytest
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.om.model import Address, OmKernel, OmModel, OmTask
from browser import Tab, browser, browser_path
from split_programs import product_and_epilogue

pytest.importorskip("jinja2")
pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium: apt-get install chromium")

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"
WIDTHS = [(1280, 900), (390, 844)]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the digits network, and its table of operators beside it."""
    folder = tmp_path_factory.mktemp("page")
    ascend_mlir.compile(DIGITS, "Ascend310P3", input_shapes={"image": (40, 1, 8, 8)}, output=folder / "m.om")
    session = ascend_mlir.InferenceSession(folder / "m.om")
    session.write_report(folder / "report.html")
    session.write_profile(folder / "ops.csv")
    return folder / "report.html"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


def test_the_checks_below_would_see_a_request_and_an_error(tab: Tab, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<body><img src='http://example.invalid/x.png'><div style='width:2000px'>x</div>"
        "<script>undefinedName()</script>"
    )
    tab.open(bad, 390, 844)
    assert any(url.startswith("http:") for url in tab.requests())
    assert any("undefinedName" in text for text in tab.complaints())
    assert tab.value(OVERFLOW) > 0


@pytest.mark.parametrize(("width", "height"), WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_opens_alone_and_fits(
    tab: Tab, page: Path, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    with (page.parent / "ops.csv").open() as file:
        tasks = list(csv.DictReader(file))
    tab.open(page, width, height, dark=dark)
    assert tab.value("document.documentElement.dataset.ready") == str(len(tasks)) and tasks
    assert tab.complaints() == []
    assert {url.partition(":")[0] for url in tab.requests()} <= {"file", "data"}
    assert tab.value("document.querySelectorAll('#table tbody tr.task').length") == len(tasks)
    on_core = sum(task["Task Type"] == "AI_CORE" for task in tasks)
    for memory in ("ddr", "l2"):
        assert tab.value(f"document.querySelectorAll('.points.by-{memory} circle.point').length") == on_core
    assert tab.value(OVERFLOW) == 0  # only tables and drawings scroll sideways
    background = tab.value("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark
    picture = tmp_path / "page.png"
    tab.screenshot(picture)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width, height)


PIXELS = """(() => {
  const canvas = document.getElementById("canvas");
  const pen = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(canvas, 0, 0);
  const seen = new Map(), data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  for (let i = 0; i < data.length; i += 4) {
    const key = data[i] + "," + data[i + 1] + "," + data[i + 2];
    seen.set(key, (seen.get(key) || 0) + 1);
  }
  return Object.fromEntries(seen);
})()"""
FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"


def test_timeline_zooms_and_links_lead_to_it(tab: Tab, page: Path) -> None:
    tab.open(page, 1280, 900)
    whole, span = tab.value(PIXELS), tab.value("document.getElementById('span').textContent")
    assert len(whole) > 10
    tab.value("document.getElementById('in').click()")
    tab.value(FRAME)
    assert tab.value("document.getElementById('span').textContent") != span
    assert tab.value(PIXELS) != whole
    tab.value("document.getElementById('all').click()")
    tab.value(FRAME)
    assert tab.value(PIXELS) == whole
    tab.value("document.querySelector('#table a[data-task=\"2\"]').click()")
    tab.value(FRAME)
    assert tab.value("document.getElementById('task').value") == "2" and tab.value(PIXELS) != whole
    assert tab.value("document.querySelectorAll('tr.chosen, circle.chosen').length") == 3
    tab.value("(() => { const all = document.getElementById('cores'); all.value = 'all'; "
              "all.dispatchEvent(new Event('change')); })()")  # fmt: skip
    tab.value(FRAME)
    assert tab.value("document.getElementById('canvas').clientHeight") > 400
    assert tab.complaints() == []


def test_table_sorts_and_filters(tab: Tab, page: Path) -> None:
    tab.open(page, 1280, 900)
    column = "[...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.cells[3].dataset.v))"
    tab.value("document.querySelectorAll('#table th')[3].click()")
    cycles = tab.value(column)
    assert cycles == sorted(cycles, reverse=True) and len(set(cycles)) > 1
    tab.value("document.querySelectorAll('#table th')[3].click()")
    assert tab.value(column) == sorted(cycles)
    tab.value("(() => { const find = document.getElementById('find'); find.value = 'no such operator'; "
              "find.dispatchEvent(new Event('input')); })()")  # fmt: skip
    assert tab.value("document.querySelectorAll('#table tbody tr:not([hidden])').length") == 0


def test_roofline_shows_one_memory_at_a_time(tab: Tab, page: Path) -> None:
    tab.open(page, 1280, 900)
    shown = "[...document.querySelectorAll('.points')].map((g) => getComputedStyle(g).display != 'none')"
    assert tab.value(shown) == [True, False]
    tab.value("document.querySelector('input[value=l2]').click()")
    assert tab.value(shown) == [False, True]
    assert "bound by" in tab.value("document.querySelector('.by-l2 circle title').textContent")


def test_a_fragment_opens_a_task(tab: Tab, page: Path) -> None:
    tab.open(page, 1280, 900, "#task-1")
    assert tab.value("document.getElementById('task').value") == "1"
    assert tab.value("document.getElementById('task-1').open") is True


def test_cube_and_vector_cores_of_a_split_chip(tab: Tab, tmp_path: Path) -> None:
    """A mixed kernel on Ascend910B1: cores under their own names, memories of both types, the fixpipe."""
    args = tuple(Address("feature_map", at) for at in (0, 0x8000, 0x20000, 0x30000))
    kernel = OmKernel("product", assemble(product_and_epilogue(64, 48, 80)))
    model = OmModel(
        "mixed", "Ascend910B1", (), (), 0x40000, (), (kernel,), (OmTask("product", 3, args),)
    )  # fmt: skip
    session = ascend_mlir.InferenceSession(model)
    session.write_report(tmp_path / "report.html")
    tab.open(tmp_path / "report.html", 1280, 900)
    names = tab.value("[...document.getElementById('cores').options].map((option) => option.text)")
    wanted = [*(f"AIC core {n}" for n in range(3)), *(f"AIV core {n}" for n in range(24, 30)), "all cores"]
    assert names == wanted
    one = tab.value("document.getElementById('canvas').clientHeight")
    tab.value("(() => { const all = document.getElementById('cores'); all.value = 'all'; "
              "all.dispatchEvent(new Event('change')); })()")  # fmt: skip
    tab.value(FRAME)
    assert tab.value("document.getElementById('canvas').clientHeight") > 2 * one
    heads = tab.value("[...document.querySelectorAll('#table th')].map((cell) => cell.textContent)")
    assert "fixpipe" in heads
    assert tab.complaints() == [] and tab.value(OVERFLOW) == 0
    tab.screenshot(tmp_path / "split.png")
    assert (tmp_path / "split.png").stat().st_size > 10_000
