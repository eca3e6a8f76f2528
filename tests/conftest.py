"""Tests marked `shared` need the folder of models and programs beside the checkout; elsewhere they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED.is_dir():
        return
    missing = pytest.mark.skip(reason=f"{SHARED.name} folder is not there")
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(missing)
