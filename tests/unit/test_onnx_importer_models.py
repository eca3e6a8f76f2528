"""Published and exported CNNs of ../shared/models: imported, interpreted, compared with onnxruntime's
outputs.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ascend_mlir.lowering.onnx_importer import import_onnx

from .onnx_models import run

MODELS = Path(__file__).parents[3] / "shared" / "models"
CNNS = re.compile(
    r"(mnist|super_resolution|candy|ultraface|fastestdet|yunet|micro_kws_m_fp32|resnet18\.|mobilenet_v2|convnext|yolov8n)"
)
FILES = sorted(path for path in MODELS.glob("*/*.onnx") if CNNS.match(path.name))
TOLERANCE = {"candy.onnx": 2e-3}
"""Relative to the largest output; candy's instance norms over 50 000 positions differ in the order of f32
sums.
"""

pytestmark = pytest.mark.shared


@pytest.mark.skipif(not FILES, reason="../shared/models is absent")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_model(path: Path) -> None:
    data = np.load(path.with_suffix(".npz"))
    inputs = {str(name): data[f"in_{i}"] for i, name in enumerate(data["input_names"])}
    imported = import_onnx(path, input_shapes={name: array.shape for name, array in inputs.items()})
    assert imported.output_names == tuple(str(name) for name in data["output_names"])
    results = run(imported, *(inputs[name] for name in imported.input_names))
    for i, result in enumerate(results):
        if f"out_{i}" in data:
            actual, expected = result, data[f"out_{i}"]
        else:
            assert result.shape == tuple(data[f"out_{i}_shape"])
            actual, expected = result.reshape(-1)[data[f"out_{i}_idx"]], data[f"out_{i}_val"]
        assert actual.shape == expected.shape and actual.dtype == expected.dtype
        limit = TOLERANCE.get(path.name, 1e-4) * max(float(np.abs(expected).max()), 1e-6)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)
