"""Offline models in Netron: its page, in a headless browser, shows what the file holds.

`benchmarks/containers.py` does the same for every shared model.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ascend_mlir.runtime.om.profiles import OmProfiles
from ascend_mlir.runtime.om.reader import read_offline, read_om
from browser import browser, browser_path
from netron_page import problems, profile_problems, served, show

netron = pytest.importorskip("netron", reason="netron is not installed (pip install '.[dev]')")

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no browser")
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def _fuzz_loader() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("fuzz_loader")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def compiled() -> list[bytes]:
    """Three networks: a convolution, a product, a node of the AI CPU."""
    return _fuzz_loader().compiled_seeds()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_compiled_models_are_shown_whole(compiled: list[bytes], number: int, tmp_path: Path) -> None:
    path = tmp_path / "model.om"
    path.write_bytes(compiled[number])
    model = read_om(path)
    address = served(path)
    try:
        with browser(tmp_path / "profile") as tab:
            shown = show(tab, address)
            assert problems(shown, model) == []
            assert len(shown.drawn) == len(model.inputs) + len(model.graph) + 1
    finally:
        netron.stop(address)
    # the rules find what is wrong: they are asked about another model
    missing = dataclasses.replace(model.graph[0], name="another")
    wrong = dataclasses.replace(model, graph=(missing, *model.graph[1:]))
    found = " ".join(problems(shown, wrong))
    assert "'another' is None" in found and "is not the model's" in found
    if model.weights:
        weight = dataclasses.replace(model.weights[0], storage_shape=(7, 7))
        assert "not [7,7]" in " ".join(
            problems(shown, dataclasses.replace(model, weights=(weight, *model.weights[1:])))
        )


def test_a_model_of_several_sizes_is_shown_whole(compiled: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.om"
    path.write_bytes(compiled[3])
    profiles = read_offline(path)
    assert isinstance(profiles, OmProfiles)
    address = served(path)
    try:
        with browser(tmp_path / "profile") as tab:
            shown = show(tab, address)
    finally:
        netron.stop(address)
    assert profile_problems(shown, profiles) == []
    swapped = dataclasses.replace(profiles, branches=profiles.branches[:0:-1] + profiles.branches[:1])
    assert "_ascend_mbatch_batch_0' is not the model's" in " ".join(profile_problems(shown, swapped))
    fewer = dataclasses.replace(profiles, branches=profiles.branches[:2])
    assert profile_problems(shown, fewer) == ["graphs ['small', 'Batch_0', 'Batch_1', 'Batch_2']"]
