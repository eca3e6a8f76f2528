"""Same program, same figures: outputs and cycles do not depend on runs, modes, processes, threads or order."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.runtime.sim.device import Device
from ascend_mlir.runtime.soc import load_soc

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "digits"
BATCH = 8


@pytest.fixture(scope="module")
def om() -> bytes:
    shapes = {"image": (BATCH, 1, 8, 8)}
    return bytes(compile_model(FOLDER / "digits.onnx", CompileOptions(input_shapes=shapes)).bytes)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.load(FOLDER / "digits_test.npz")["images"][:BATCH].astype(np.float32)


def _outputs(session: InferenceSession, image: np.ndarray) -> bytes:
    return b"".join(np.asarray(array).tobytes() for array in session.run(None, {"image": image}))


def _figures(session: InferenceSession) -> list[object]:
    """Cycles, busy cycles of each pipe, counts and stalls of every task."""
    timings = [task.timing for task in session.report.tasks]
    return [(t.cycles, t.busy, t.stalls, t.counts, t.ddr_read) for t in timings if t is not None]


def test_modes_agree_and_runs_repeat(om: bytes, image: np.ndarray) -> None:
    function_only, timing_only = InferenceSession(om), InferenceSession(om)
    outputs, figures = _outputs(function_only, image), _figures(timing_only)
    assert len(figures) > 5
    assert _figures(InferenceSession(om, timing=False)) == figures
    both, reversed_ = InferenceSession(om), InferenceSession(om)
    assert _outputs(both, image) == outputs and _figures(both) == figures
    assert _figures(reversed_) == figures and _outputs(reversed_, image) == outputs
    assert _outputs(both, image) == outputs  # a second run finds other bytes on chip
    assert _outputs(both, -image) != outputs and _outputs(both, image) == outputs


def test_checking_for_hazards_changes_nothing(om: bytes, image: np.ndarray) -> None:
    plain, checked = InferenceSession(om), InferenceSession(om, sanitize=True)
    assert _outputs(plain, image) == _outputs(checked, image)
    assert _figures(plain) == _figures(checked)


@pytest.mark.parametrize("seed", [0, 1])
def test_random_orders_of_a_whole_model_agree(om: bytes, image: np.ndarray, seed: int) -> None:
    session = InferenceSession(om, order_seed=seed)
    expected = _outputs(InferenceSession(om), image)
    assert [_outputs(session, image) for _ in range(2)] == [expected] * 2  # each run takes other orders


@pytest.mark.parametrize("workers", [2, 3])
def test_processes_agree(om: bytes, image: np.ndarray, workers: int) -> None:
    results: list[bytes] = []
    for count in (1, workers):
        model = read_om(om)
        device = Device(load_soc(model.soc), workers=count)
        device.load(model)
        results.append(b"".join(array.tobytes() for array in device.run([image]).outputs))
        device.close()
    assert results[0] == results[1]


_SCRIPT = """
import hashlib, sys
import numpy as np
from ascend_mlir.runtime.session import InferenceSession
session = InferenceSession(sys.argv[1])
outputs = session.run(None, {"image": np.load(sys.argv[2])})
print(hashlib.sha256(b"".join(a.tobytes() for a in outputs)).hexdigest(), session.report.cycles)
"""


def test_threads_of_the_blas_agree(om: bytes, image: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "m.om").write_bytes(om)
    np.save(tmp_path / "x.npy", image)
    session = InferenceSession(om)
    digest = hashlib.sha256(_outputs(session, image)).hexdigest()
    for threads in ("1", "4"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(tmp_path / "m.om"), str(tmp_path / "x.npy")],
            env={**os.environ, **dict.fromkeys(names, threads), "PYTHONHASHSEED": threads},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [digest, str(session.report.cycles)]
