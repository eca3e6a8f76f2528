"""The network in the repository is the one the example promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "digits"


def test_network_is_valid_and_recognises_digits() -> None:
    import onnxruntime

    onnx.checker.check_model(FOLDER / "digits.onnx", full_check=True)
    test = np.load(FOLDER / "digits_test.npz")
    session = onnxruntime.InferenceSession(FOLDER / "digits.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": test["images"]})
    assert (np.asarray(scores).argmax(1) == test["labels"]).mean() >= 0.97
