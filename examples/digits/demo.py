"""The whole way in one minute: a trained network → `.om` → simulator, beside onnxruntime.

    python examples/digits/demo.py [FOLDER]

compiles `digits.onnx` for Ascend310P3, reads every test image through the simulator and says how exact and
how fast the chip would be. The files it writes (default folder: `demo`) are the `.om`, a report to open in a
browser, a trace for https://ui.perfetto.dev and a table with a row per operator.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ascend_mlir
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
SOC = "Ascend310P3"
BATCH = 40


def by_onnxruntime(images: NDArray[Any]) -> NDArray[Any]:
    """Scores in float32 on this machine's processor."""
    import onnxruntime

    session = onnxruntime.InferenceSession(HERE / "digits.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": images})
    return np.asarray(scores)


def by_simulator(session: ascend_mlir.InferenceSession, images: NDArray[Any]) -> NDArray[Any]:
    """Scores of the compiled model, batch by batch."""
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return np.concatenate([session.run(None, {"image": batch})[0] for batch in batches])


def main() -> None:
    """Compile, run, compare, say where the files are."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    folder.mkdir(parents=True, exist_ok=True)
    om, trace, table = folder / "digits.om", folder / "digits.trace.json", folder / "digits.operators.csv"
    page = folder / "digits.report.html"

    test = np.load(HERE / "digits_test.npz")
    images, labels = test["images"], test["labels"]
    print(f"compiling digits.onnx for {SOC}, batches of {BATCH} …")
    ascend_mlir.compile(HERE / "digits.onnx", SOC, input_shapes={"image": (BATCH, 1, 8, 8)}, output=om)

    print(f"running {len(images)} test images on the simulator …")
    session = ascend_mlir.InferenceSession(om)
    simulated, exact = by_simulator(session, images), by_onnxruntime(images)
    report = session.report

    counts = session.engine_counts
    print()
    print("                    simulator   onnxruntime")
    print(f"accuracy          {accuracy(simulated, labels):>11.2%} {accuracy(exact, labels):>13.2%}")
    largest, scale = np.abs(simulated - exact).max(), np.abs(exact).max()
    print(f"largest difference of a score {largest:.4f} (scores up to {scale:.1f})")
    print()
    print(f"one batch of {BATCH}: {report.cycles} cycles, {report.latency_us:.1f} µs predicted on {SOC}")
    print(f"tasks: {counts['aicore']} on the AI Core, {counts['aicpu']} on the AI CPU")
    busiest = report.busiest_pipes()[:3]
    print(f"busiest pipes: {', '.join(f'{pipe} {share:.1%}' for pipe, share in busiest)}")

    session.write_trace(trace)
    session.write_profile(table)
    session.write_report(page)
    print()
    for path, what in (
        (om, "offline model"),
        (page, "where the cycles went: open in a browser"),
        (trace, "open in https://ui.perfetto.dev"),
        (table, "a row per operator"),
    ):
        print(f"{path}  ({what})")


def accuracy(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Share of images whose highest score is the right digit."""
    return float((scores.argmax(1) == labels).mean())


if __name__ == "__main__":
    main()
