"""Predicted throughput beside what was published for real chips.

    python benchmarks/published.py [--models resnet18,vgg16] [--socs Ascend310P3] [--json OUT]

Samples per second of one chip: batch / predicted latency of one inference, all inputs and outputs in device
memory, as the published figures are meant (model execution only).  Networks are those of `models.py` with
seeded weights, compiled with the default options (f16 compute, f32 at the borders); each row is a process of
its own.  Published figures: `published-performance.md` of the shared reference, fp16 rows, which names the
README of each.  A card of four Ascend310 is published as a whole: a chip is a quarter of it.

What is not the same: real measurements with AIPP take uint8 pixels and normalise on the device, here the
input is f32, four times the bytes; several used a tuner; clocks of the cards and versions of the vendor's
compiler are not stated.  Nothing in the timing model is fitted to these numbers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
FOLDER = Path(__file__).resolve().parent.parent / "build" / "benchmarks"

PUBLISHED: dict[tuple[str, str], tuple[str, dict[int, float]]] = {
    ("resnet18", "Ascend310P3"): (
        "built-in/cv/Resnet18_for_PyTorch, AIPP",
        {1: 2865, 4: 6822, 8: 9450, 16: 9706, 32: 9678, 64: 9817, 128: 9828, 256: 9804},
    ),
    ("resnet18", "Ascend310"): (
        "contrib/cv/classfication/ResNet18, card / 4",
        {1: 3151 / 4, 4: 4413 / 4, 8: 5784 / 4, 16: 6039 / 4, 32: 5502 / 4},
    ),
    ("resnet50", "Ascend310P3"): ("built-in/cv/Resnet50_Pytorch_Infer, AIPP", {64: 4250}),
    ("vgg16", "Ascend310P3"): (
        "contrib/cv/classfication/VGG16",
        {1: 466, 4: 1057, 8: 1188, 16: 1425, 32: 1339, 64: 1430},
    ),
    ("vgg16", "Ascend310"): (
        "contrib/cv/classfication/VGG16, card / 4",
        {1: 461 / 4, 4: 834 / 4, 8: 947 / 4, 16: 1041 / 4, 32: 1076 / 4, 64: 936 / 4},
    ),
    ("mobilenet_v2", "Ascend310P3"): ("built-in/cv/MobileNetV2_for_Pytorch, AIPP", {4: 7072}),
}
"""(network, chip) → source and samples per second by batch.  For ResNet-50 and MobileNetV2 on Ascend310 no
figure is known."""

EXPLAINED: dict[tuple[str, str, int], str] = {
    ("resnet50", "Ascend310P3", 64): (
        "64 pictures at once outgrow the 16 MB L2: a layer writes up to 100 MB to DDR and the next reads it back at 136 B/cycle "
        "(predicted: 3600 per second for 8 pictures, 2570 for 16).  The compiler takes a whole batch through one layer after the "
        "other; the vendor's presumably cuts it into slices that stay in L2 (its buffer_optimize)"
    ),
}
"""Why a ratio lies at or outside 0.5 to 2."""

MISSING = "NOT EXPLAINED"


def model_file(name: str) -> Path:
    """The network with an open batch size, built once by a process of its own."""
    path = FOLDER / f"{name}_batched.onnx"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        script = f"import onnx, models; onnx.save(models.BATCHED[{name!r}]('batch'), {str(path)!r})"
        subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent)
    return path


def predict(name: str, soc: str, batch: int) -> dict[str, Any]:
    """Compile for one batch size and ask the timing model."""
    from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
    from ascend_mlir.runtime.session import InferenceSession

    options = CompileOptions(soc=soc, name=name, input_shapes={"x": (batch, 3, 224, 224)})
    report = InferenceSession(compile_model(model_file(name), options).bytes).report
    shares: dict[str, int] = {}
    for task in report.tasks:
        if task.timing is not None:
            bound = task.bound(report.soc)[0]
            shares[bound] = shares.get(bound, 0) + task.timing.cycles
    worst = max(shares, key=lambda bound: shares[bound])
    return {
        "cycles": report.cycles,
        "us": report.latency_us,
        "fps": batch / report.latency_us * 1e6,
        "bound": worst,
        "bound_share": shares[worst] / report.cycles,
        "tasks": len(report.tasks),
        "instructions": sum(report.counts.values()),
    }


def _row(name: str, soc: str, batch: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", name, soc, str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    known = {"model": name, "soc": soc, "batch": batch, "published": PUBLISHED[name, soc][1][batch]}
    if done.returncode:
        return known | {"error": "".join(done.stderr.strip().splitlines()[-1:])}
    return known | json.loads(done.stdout.strip().splitlines()[-1])


HEAD = f"{'network':14}{'chip':12}{'batch':>6}{'published':>10}{'predicted':>10}{'ratio':>7}  mostly bound by"


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    start = f"{row['model']:14}{row['soc']:12}{row['batch']:6}{row['published']:10.0f}"
    if "error" in row:
        return f"{start}  {row['error']}"
    ratio = row["fps"] / row["published"]
    text = f"{start}{row['fps']:10.0f}{ratio:7.2f}  {row['bound']} ({row['bound_share']:.0%} of the time)"
    why = "" if 0.505 <= ratio <= 1.98 else EXPLAINED.get((row["model"], row["soc"], row["batch"]), MISSING)
    return f"{text}\n    why: {why}" if why else text


def unexplained(row: dict[str, Any]) -> bool:
    """Whether a ratio lies outside and nobody has said why, or there is none."""
    return "error" in row or MISSING in line(row)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--models", default="resnet18,resnet50,vgg16,mobilenet_v2")
    parser.add_argument("--socs", default="Ascend310P3,Ascend310")
    parser.add_argument("--batches", default="", help="only these")
    parser.add_argument("--json", metavar="OUT")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "SOC", "BATCH"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(predict(args.one[0], args.one[1], int(args.one[2]))))
        return 0
    only = {int(word) for word in args.batches.split(",") if word}
    rows: list[dict[str, Any]] = []
    print(HEAD)
    for name in args.models.split(","):
        for soc in args.socs.split(","):
            source, figures = PUBLISHED.get((name, soc), ("no published figure", {}))
            print(f"{name} on {soc}: {source}")
            for batch in figures:
                if not only or batch in only:
                    rows.append(_row(name, soc, batch))
                    print(line(rows[-1]), flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return any(unexplained(row) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
