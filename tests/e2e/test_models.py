"""Whole models: ONNX file → compiler → `.om` bytes → simulator with the hazard check, against onnxruntime.

The models of ../shared are there in CI; elsewhere these tests skip, visibly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from ascend_mlir.runtime.onnx_backend import AscendBackend

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"

CHIP = "Ascend310P3"
REAL = (
    "mnist_cntk",
    "mnist_pytorch",
    "super_resolution",
    "candy",
    "ultraface_rfb320",
    "fastestdet",
    "yunet_n_640",
    "micro_kws_m_fp32",
)
TINY = tuple(
    f"{m}.{s}"
    for m in ("resnet18", "mobilenet_v2", "convnext", "yolov8n")
    for s in ("legacy", "dynamo", "old")
)
OTHER_CHIPS = (
    "mnist_cntk",
    "ultraface_rfb320",
    "yunet_n_640",
    "micro_kws_m_fp32",
    "resnet18.legacy",
    "mobilenet_v2.legacy",
)
CASES = [(name, CHIP) for name in (*REAL, *TINY)] + [
    (n, c) for n in OTHER_CHIPS for c in ("Ascend310", "Ascend910A")
]


def model_path(name: str) -> Path:
    for folder in ("real", "tiny"):
        path = SHARED / folder / f"{name}.onnx"
        if path.exists():
            return path
    pytest.skip(f"{name}.onnx is not there: ../shared is absent")


def agree(stored, k: int, got: np.ndarray) -> None:
    """At most 5 % of the root mean square, no value further off than 15 % of the peak (the harness's tolerance)."""
    if f"out_{k}" in stored:
        want = stored[f"out_{k}"]
        assert got.shape == want.shape
    else:
        want = stored[f"out_{k}_val"]
        assert got.shape == tuple(stored[f"out_{k}_shape"])
        got = got.ravel()[stored[f"out_{k}_idx"]]
    assert got.dtype == want.dtype
    error = got.astype(np.float64) - want.astype(np.float64)
    assert np.isfinite(error).all()
    assert np.sqrt((error**2).mean()) <= 0.05 * np.sqrt((want.astype(np.float64) ** 2).mean())
    assert np.abs(error).max() <= 0.15 * np.abs(want).max()


@pytest.mark.shared
@pytest.mark.parametrize(("name", "soc"), CASES)
def test_model(name: str, soc: str) -> None:
    path = model_path(name)
    backend = type("Backend", (AscendBackend,), {"soc": soc, "sanitize": True})
    prepared = backend.prepare(onnx.load(path))
    files = [path.with_suffix(".npz")]
    if soc == CHIP:
        files.append(path.with_suffix(".alt.npz"))
    for file in files:
        if not file.exists():
            continue
        stored = np.load(file)
        got = prepared.run([stored[f"in_{k}"] for k in range(len(stored["input_names"]))])
        for k, array in enumerate(got):
            agree(stored, k, np.asarray(array))
    assert prepared.engine_counts["aicpu"] == 0
    assert prepared.engine_counts["aicore"] > 0


@pytest.mark.shared
@pytest.mark.parametrize("soc", ["Ascend310P3", "Ascend310", "Ascend910A"])
@pytest.mark.parametrize("name", ["resnet18.legacy", "resnet18.dynamo", "resnet18.old"])
def test_resnet_is_exact(name: str, soc: str) -> None:
    """Largest error against onnxruntime at most 1e-3 of the output range, for both sizes of the batch."""
    path = model_path(name)
    prepared = type("Backend", (AscendBackend,), {"soc": soc}).prepare(onnx.load(path))
    for file in (path.with_suffix(".npz"), path.with_suffix(".alt.npz")):
        with np.load(file) as stored:
            (got,) = prepared.run([stored["in_0"]])
            want = stored["out_0"].astype(np.float64)
        assert np.abs(got - want).max() <= 1e-3 * (want.max() - want.min())
