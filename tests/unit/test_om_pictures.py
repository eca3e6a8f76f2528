"""Offline models as JSON, as pictures, and side by side."""

from __future__ import annotations

import dataclasses
import json
import re
from itertools import pairwise
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest
from ascend_mlir.runtime.om.model import OmKernel, OmModel, WeightPayload
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.om.writer import om_bytes, write_om
from ascend_mlir.runtime.page.layered import LONGEST, layout
from ascend_mlir.runtime.page.structure import Box, structure_svg
from ascend_mlir.tools.ascend_translate import main
from ascend_mlir.tools.om_diff import Change, differences
from ascend_mlir.tools.om_json import om_json
from ascend_mlir.tools.om_picture import dot_text, picture_of
from ascend_mlir.tools.om_svg import svg_text
from browser import browser, browser_path
from om_foreign import changed, compress
from om_samples import ADD, ADD_DONE, LOAD_DONE, WEIGHT, add_model, conv_model

SLOWER = ADD.replace("vadd.f16 ub[0x200]", "pipe_barrier pipe=V\nvadd.f16 ub[0x200]")


def ready(code: str = ADD) -> OmModel:
    return add_model(code.format(load_done=LOAD_DONE, add_done=ADD_DONE))


def test_an_edge_goes_round_the_boxes_between() -> None:
    """A shortcut past two operators: its line is never inside a box that it does not begin or end at."""
    names = ("a", "b", "c", "d", "e")
    reads = {"b": ("a",), "c": ("b",), "d": ("c", "a"), "e": ("d", "a")}
    svg = structure_svg([Box(name, "Relu", "b-ddr", name, reads.get(name, ())) for name in names])
    tree = ElementTree.fromstring(svg)
    boxes = [
        tuple(int(rect.get(key, "")) for key in ("x", "y", "width", "height")) for rect in tree.iter("rect")
    ]
    assert len(boxes) == len(names) and len({y for _, y, _, _ in boxes}) == len(names)
    edges = [path.get("d", "") for path in tree.iter("path")]
    assert len(edges) == 6
    for edge in edges:
        stops = [(int(x), int(y)) for x, y in re.findall(r"(\d+) (\d+)(?=[CVM]|$)", edge)]
        inside = [
            (stop, box)
            for stop in stops
            for box in [(x, y, x + width, y + height) for x, y, width, height in boxes]
            if box[0] < stop[0] < box[2] and box[1] < stop[1] < box[3]
        ]
        between = [
            stop
            for stop in stops
            if any(y <= stop[1] <= y + h and x < stop[0] < x + w for x, y, w, h in boxes)
        ]
        assert inside == [] and len(between) == 2  # where it begins and where it ends


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(words))
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.om", tmp_path / "b.om"
    for path, code in zip(paths, (ADD, SLOWER), strict=True):
        write_om(ready(code), path)
    return paths


# ---------------------------------------------------------------------------------------------------- JSON
def test_json_says_what_the_file_holds() -> None:
    data = om_bytes(conv_model())
    found = json.loads(json.dumps(om_json(data), allow_nan=False))
    (model,) = found["models"]
    assert [row["name"] for row in model["partitions"]][:2] == ["MODEL_INOUT_INFO", "MODEL_DEF"]
    assert model["definition"]["attr"]["soc_version"] == {"s": "Ascend310P3"}
    (graph,) = model["definition"]["graph"]
    conv = next(op for op in graph["op"] if op["name"] == "layer1.conv+relu")
    assert conv["attr"]["_datadump_original_op_names"]["list"]["s"] == ["conv", "relu"]
    assert model["definition"]["attr"]["blob"] == {"bt": {"hex": "ff00"}}
    assert [kernel["bytes"] for kernel in model["kernels"]] == [320, 32]
    assert [step["operator"] for step in model["schedule"]] == ["layer1.conv+relu", "pool"]
    assert model["schedule"][0]["cycles"] is None and model["note"]  # its kernels are noise


def test_json_has_the_cycles_of_what_can_be_timed() -> None:
    (model,) = om_json(om_bytes(ready()))["models"]  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]
    (step,) = model["schedule"]  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript, reportGeneralTypeIssues]
    assert step["cycles"] > 100


def test_json_of_compressed_attributes_has_their_names() -> None:
    text = json.dumps(om_json(changed(om_bytes(conv_model()), compress), cycles=False))
    assert '"_datadump_original_op_names"' in text and "\\u0000" not in text


# ------------------------------------------------------------------------------------------------- pictures
def test_dot_has_every_operator_edge_and_task() -> None:
    text = dot_text(picture_of(conv_model(), [100, 50]))
    assert text.startswith('digraph "sample" {') and text.count("{") == text.count("}")
    assert '"input x" -> "layer1.conv+relu"' in text and '"pool" -> "output probabilities"' in text
    assert "f16 36×4×16×16 FRACTAL_Z conv.weight" in text
    assert '"task 0" -> "task 1"' in text and "cycles 100 to 150" in text


def test_names_are_quoted() -> None:
    model = conv_model()
    odd = dataclasses.replace(model.inputs[0], name='a"b\\<c>&')
    conv = dataclasses.replace(model.graph[0], inputs=('a"b\\<c>&:0', *model.graph[0].inputs[1:]))
    picture = picture_of(dataclasses.replace(model, inputs=(odd,), graph=(conv, model.graph[1])))
    assert '"input a\\"b\\\\<c>&" ->' in dot_text(picture)
    assert 'a"b\\<c>&' in "".join(ElementTree.fromstring(svg_text(picture)).itertext())


def test_svg_is_complete_and_needs_nothing_else() -> None:
    text = svg_text(picture_of(conv_model(), [100, 50]))
    root = ElementTree.fromstring(text)
    shown = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    for word in (
        "FusedConvBNReLU",
        "pool",
        "x",
        "probabilities",
        "schedule",
        "conv_7c1e",
        "task 0, 8 blocks, 100 cycles",
    ):
        assert word in shown, word
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text) and "<script" not in text
    assert text == svg_text(picture_of(conv_model(), [100, 50]))


LONG = "encoder/layer.11/attention/self/query/MatMul_to_the_left_of_the_second_Residual_Wm"
OVERFLOW = """
[...document.querySelectorAll('g')].filter((g) => g.querySelector(':scope > rect[rx]')).flatMap((g) => {
  const box = g.querySelector('rect').getBBox();
  return [...g.querySelectorAll('text')].filter((text) => {
    const place = text.getBBox();
    return place.x + place.width > box.x + box.width || place.y + place.height > box.y + box.height + 1;
  }).map((text) => text.textContent);
})
"""


@pytest.mark.skipif(browser_path() is None, reason="no browser")
def test_svg_is_legible_in_a_browser_without_a_network(tmp_path: Path) -> None:
    model = conv_model()
    pool = dataclasses.replace(model.graph[1], name=LONG, type="W" * 60)
    output = dataclasses.replace(model.outputs[0], source=f"{LONG}:0")
    picture = picture_of(
        dataclasses.replace(model, graph=(model.graph[0], pool), outputs=(output,)), [10, 20]
    )
    path = tmp_path / "model.svg"
    path.write_text(svg_text(picture), encoding="utf-8")
    with browser(tmp_path / "profile") as tab:
        tab.open(path, 1400, 900)
        assert tab.requests() == [path.as_uri()] and tab.complaints() == []
        assert tab.value("document.querySelectorAll('rect[rx]').length") == 4
        assert tab.value(OVERFLOW) == []


def test_boxes_do_not_overlap() -> None:
    rng = Random(4)
    widths = {f"n{i}": float(rng.choice((80, 200, 270))) for i in range(120)}
    edges = [
        (f"n{rng.randrange(max(0, i - 15), i)}", f"n{i}")
        for i in range(1, 120)
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    found = layout(widths, edges)
    for row in found.layers:
        placed = sorted(row, key=lambda place: place.x)
        for one, other in pairwise(placed):
            assert other.x - other.width / 2 >= one.x + one.width / 2 + 1
    for (source, target), route in found.routes.items():
        layers = [place.layer for place in route]
        assert (route[0].key, route[-1].key) == (source, target)
        assert layers == list(range(layers[0], layers[0] + len(layers))) and len(layers) <= LONGEST + 1
    assert set(found.routes) | set(found.long) == set(edges)


def test_an_edge_over_many_layers_is_named_instead() -> None:
    chain = [(f"n{i}", f"n{i + 1}") for i in range(20)]
    found = layout({f"n{i}": 100.0 for i in range(21)}, [*chain, ("n0", "n20")])
    assert found.long == (("n0", "n20"),) and ("n0", "n1") in found.routes


# ----------------------------------------------------------------------------------------------------- diff
def changes(one: OmModel, other: OmModel) -> dict[tuple[str, str], Change]:
    return {(change.section, change.name): change for change in differences(one, other)}


def test_no_difference() -> None:
    assert differences(conv_model(), read_om(om_bytes(conv_model()))) == ()


def test_numbers_of_weights() -> None:
    other = WEIGHT.copy()
    other[3] += 2
    model = ready()
    weight = dataclasses.replace(model.weights[0], payload=WeightPayload.of(other.tobytes()))
    found = changes(model, dataclasses.replace(model, weights=(weight,)))
    assert list(found) == [("weights", "w")]
    assert found["weights", "w"].detail == "1 of 128 numbers differ, by 2 at most"
    nan = other.copy()
    nan[5] = np.nan
    broken = dataclasses.replace(weight, payload=WeightPayload.of(nan.tobytes()))
    detail = changes(model, dataclasses.replace(model, weights=(broken,)))["weights", "w"].detail
    assert detail == "2 of 128 numbers differ, by 2 at most"


def test_every_section() -> None:
    one = conv_model()
    renamed = dataclasses.replace(one.graph[1], name="pool2", type="MaxPool")
    other = dataclasses.replace(
        one,
        name="other",
        inputs=(dataclasses.replace(one.inputs[0], format="ND"),),
        outputs=(dataclasses.replace(one.outputs[0], source="pool2:0"),),
        graph=(one.graph[0], renamed),
        kernels=(one.kernels[0], OmKernel("new", bytes(32))),
        tasks=(dataclasses.replace(one.tasks[0], block_dim=4), one.tasks[1]),
        weights=one.weights[:2],
        attrs={**one.attrs, "atc_version": "2"},
    )
    found = changes(one, other)
    assert found["model", "name"].after == "other" and found["model", "atc_version"].before == "0.1.0"
    assert "NCHW" in found["inputs", "x"].before and "ND" in found["inputs", "x"].after
    assert found["graph", "pool"].kind == "removed" and found["graph", "pool2"].kind == "added"
    assert found["weights", "conv.bias_copy"].kind == "removed"
    assert found["code", "unused_0"].kind == "removed" and found["code", "new"].kind == "added"
    assert "4 blocks" in found["schedule", "layer1.conv+relu"].after
    assert found["schedule", "pool"].kind == "removed" and found["schedule", "pool2"].kind == "added"


def test_diff_of_code_and_cycles(pair: tuple[Path, Path], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("--diff", *map(str, pair)) == 1
    shown = capfdbinary.readouterr().out.decode()
    assert re.search(r"0 lines gone, 1 new, from: S +pipe_barrier", shown)
    assert re.search(r"all tasks: \d+ → \d+  \(\+\d", shown)
    assert run("--diff", str(pair[0]), str(pair[0])) == 0
    assert b"no difference" in capfdbinary.readouterr().out


def test_diff_for_programs(pair: tuple[Path, Path], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("--diff", "--json", "--no-cycles", *map(str, pair)) == 1
    found = json.loads(capfdbinary.readouterr().out)
    assert not found["same"] and [change["section"] for change in found["changes"]] == ["code"]


@pytest.mark.parametrize("action", ["--to-json", "--to-dot", "--to-svg", "--om-to-mlir"])
def test_from_path_and_from_standard_input(
    pair: tuple[Path, Path], action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = tmp_path / "one", tmp_path / "two"
    assert run(action, str(pair[0]), "-o", str(outputs[0])) == 0
    with pair[0].open("rb") as stream:
        monkeypatch.setattr("sys.stdin", type("In", (), {"buffer": stream}))
        assert run(action, "-o", str(outputs[1])) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes() != b""
