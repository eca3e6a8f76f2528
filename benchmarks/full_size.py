"""Full-size models: compile, simulate, compare with onnxruntime in f32, one row each.

    python benchmarks/full_size.py [--models bert_base,yolov8n] [--soc Ascend310P3] [--json out.json] [--worst 5]

The models are built once by `full_size_models.py` with fixed seeds into build/benchmarks; they are not part of the
repository.  Each is measured in a process of its own.  Columns: largest error over all outputs, relative to each
output's range, and its root mean square; tasks on the AI CPU (0 expected) and on the AI Core; seconds to compile and
peak memory of compiling; seconds to load the file; seconds of one inference on the simulator (function, the second
run) and of its timing; peak memory of all; cycles, microseconds at the chip's clock, ratio to the roofline bound
(`run.py`); the share of cycles in tasks that the scalar unit bounds (at most 2 % is the aim).

Below the table stand each model's slowest kinds of tasks (the same kernel counts once, with the number of its
launches), each with what bounds it and the ratio to its own bound.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))
from full_size_models import FULL_SIZE  # noqa: E402
from run import gathered_bytes, model_macs, roofline  # noqa: E402

FOLDER = Path(__file__).resolve().parent.parent / "build" / "benchmarks"
SCALAR_SHARE = 0.02  # issue 4, point 3


def model_file(name: str) -> Path:
    """The model, built once by a process of its own (so that building it is not measured)."""
    path = FOLDER / f"full_{name}.onnx"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        script = (
            "import onnx, full_size_models as m; "
            f"onnx.save(m.FULL_SIZE[{name!r}](), {str(path) + '.part'!r}, format='protobuf')"
        )
        subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent)
        Path(f"{path}.part").rename(path)
    return path


def inputs_of(session: Any, largest_id: int = 1000) -> dict[str, np.ndarray]:
    """Normal numbers; ids below 1000, or below 2 where they choose between two kinds."""
    rng = np.random.default_rng(7)
    feed: dict[str, np.ndarray] = {}
    for tensor in session.get_inputs():
        if tensor.type == "tensor(int64)":
            top = 2 if "type" in tensor.name else largest_id
            feed[tensor.name] = rng.integers(0, top, tensor.shape).astype(np.int64)
        else:
            feed[tensor.name] = rng.standard_normal(tensor.shape, dtype=np.float32)
    return feed


def measure(name: str, soc: str, worst: int) -> dict[str, Any]:
    """One model on one SoC, in this process."""
    path = model_file(name)
    from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
    from ascend_mlir.runtime.session import InferenceSession

    om_path = FOLDER / f"full_{name}.om"
    start = time.perf_counter()
    compiled = compile_model(path, CompileOptions(soc=soc, name=name))
    compiled.write(om_path)
    result: dict[str, Any] = {
        "model": name, "soc": soc, "compile_s": time.perf_counter() - start, "compile_mb": _peak(),
        "phases": dict(compiled.seconds),
    }  # fmt: skip
    om = compiled.om
    start = time.perf_counter()
    session = InferenceSession(om_path)
    result["load_s"] = time.perf_counter() - start
    feed = inputs_of(session)
    start = time.perf_counter()
    session.run(None, feed)
    result["first_s"] = time.perf_counter() - start
    start = time.perf_counter()
    outputs = session.run(None, feed)
    result["function_s"] = time.perf_counter() - start
    start = time.perf_counter()
    report = session.report
    result["timing_s"] = time.perf_counter() - start
    result["peak_mb"] = _peak()
    om_path.unlink()
    import onnx

    model = onnx.load(path)
    bound = roofline(om, report, model_macs(model), gathered_bytes(model))
    scalar = sum(task.cycles for task in report.tasks if task.bound(report.soc)[0] == "scalar")
    cpu = sum(task.task_type != "AI_CORE" for task in report.tasks)
    result |= {
        "cycles": report.cycles, "latency_us": report.latency_us, "bound_ratio": report.cycles / bound,
        "aicpu": cpu, "aicore": len(report.tasks) - cpu, "scalar_share": scalar / report.cycles,
        "instructions": sum(report.counts.values()), "worst": _worst(report, worst),
    }  # fmt: skip
    return result | _errors(path, feed, outputs)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _worst(report: Any, count: int) -> list[dict[str, Any]]:
    """The kernels that take most cycles."""
    kinds: dict[Any, list[Any]] = defaultdict(list)
    for task in report.tasks:
        kinds[task.op_type, task.blocks, task.cycles // 100].append(task)
    ranked = sorted(kinds.values(), key=lambda tasks: -sum(task.cycles for task in tasks))
    rows: list[dict[str, Any]] = []
    for tasks in ranked[:count]:
        first = tasks[0]
        bound, share = first.bound(report.soc)
        rows.append(
            {
                "type": first.op_type, "launches": len(tasks), "nodes": list(first.nodes[:3]), "bound": bound,
                "busy": share, "share": sum(task.cycles for task in tasks) / report.cycles, "cycles": first.cycles,
            }
        )  # fmt: skip
    return rows


def _errors(path: Path, feed: dict[str, np.ndarray], outputs: list[np.ndarray]) -> dict[str, float]:
    """Largest and root mean square difference to onnxruntime in f32, relative to each output's range."""
    import onnxruntime

    wanted = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feed)
    largest = mean = 0.0
    for got, want in zip(outputs, wanted, strict=True):
        spread = max(float(want.max()) - float(want.min()), 1e-9)
        difference = np.abs(got.astype(np.float64) - want) / spread
        largest = max(largest, float(difference.max()))
        mean = max(mean, float(np.sqrt(np.mean(difference**2))))
    return {"error": largest, "error_rms": mean}


COLUMNS = (
    ("model", "{model}"), ("error/range", "{error:.1e}"), ("rms", "{error_rms:.1e}"), ("AI CPU", "{aicpu}"),
    ("AI Core", "{aicore}"), ("compile s", "{compile_s:.1f}"), ("MB", "{compile_mb:.0f}"), ("load s", "{load_s:.2f}"),
    ("function s", "{function_s:.2f}"), ("timing s", "{timing_s:.2f}"), ("peak MB", "{peak_mb:.0f}"),
    ("instr", "{instructions}"), ("cycles", "{cycles}"), ("us", "{latency_us:.0f}"), ("x bound", "{bound_ratio:.2f}"),
    ("scalar", "{scalar_share:.1%}"),
)  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """The results as aligned text, and the slowest tasks of each model."""
    cells = [[title for title, _ in COLUMNS]]
    cells += [[form.format(**row) for _, form in COLUMNS] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
    for row in rows:
        lines += ["", f"{row['model']}, most cycles:"]
        lines += [
            f"  {w['share']:6.1%}  {w['launches']:3} x {w['cycles']:8} cycles  {w['bound']:>8} {w['busy']:4.0%}  "
            f"{w['type']}  ({', '.join(w['nodes'])}…)"
            for w in row["worst"]
        ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--models", default=",".join(FULL_SIZE))
    parser.add_argument("--soc", default="Ascend310P3")
    parser.add_argument("--worst", type=int, default=5, help="slowest kernels to list per model")
    parser.add_argument("--json", metavar="OUT")
    parser.add_argument("--one", metavar="MODEL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.soc, args.worst)))
        return 0
    rows: list[dict[str, Any]] = []
    failed = 0
    for name in args.models.split(","):
        command = [sys.executable, __file__, "--one", name, "--soc", args.soc, "--worst", str(args.worst)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            failed += 1
            print(f"{name} failed:\n{done.stderr.strip()[-3000:]}", file=sys.stderr)
            continue
        rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
        print(f"{name}: {rows[-1]['compile_s']:.1f} s, {rows[-1]['cycles']} cycles", file=sys.stderr)
    print(table(rows))
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    missed = [r["model"] for r in rows if r["aicpu"] or r["scalar_share"] > SCALAR_SHARE]
    if missed:
        print(f"\nbeside the aim (AI CPU tasks, or more than 2 % scalar-bound): {', '.join(missed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
