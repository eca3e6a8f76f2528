"""The benchmark: compile, simulate and rate the benchmark models (`make bench`).

    python benchmarks/run.py [--models resnet50,conv256] [--socs Ascend310P3] [--json out.json]

Every model is compiled and simulated in a process of its own, so that seconds and peak memory are those of the whole
process.  Columns: seconds to compile, its peak memory, an upper bound of the peak memory of a process that only
simulates (workers included), seconds to load the file (translation of the kernels included), seconds of the first
simulated inference and of the best of the next three, of the first timing run and of the best of the next two, seconds
of the hazard check of all kernels, the ratio of function, timing and check to function and timing (here and below: the
best function run and the first timing run), onnxruntime's seconds on one thread in the same process and the simulator's
ratio to them (no hazard check), largest error relative to the output range, simulated cycles, cube utilisation
(multiply-accumulates of the model over what the cubes could do in these cycles), dynamic instructions, and the ratio to
the roofline bound.

Below the table stands what the seconds depend on (`fit.py`).

The bound of a task is the larger of its cube time and its unavoidable DDR time on all cores.  DDR bytes that cannot be
avoided are: each weight once (in the first task that uses it; of a table only the rows that are looked up), model
inputs and outputs, and other tensors only if they exceed the L2.  The bound of a model is the sum over its tasks.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fit import fit_text  # noqa: E402
from models import MODELS  # noqa: E402

FOLDER = Path(__file__).resolve().parent.parent / "build" / "benchmarks"
MACS_PER_CYCLE = 4096  # f16, davinci.md §1.4
RUNS = 3  # the best counts: other work on the machine only ever adds


def model_macs(model: Any) -> dict[str, int]:
    """Multiply-accumulates by node name."""
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.value_info, *model.graph.output, *model.graph.input)
    }
    shapes |= {t.name: list(t.dims) for t in model.graph.initializer}
    macs: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            macs[node.name] = int(np.prod(shapes[node.output[0]])) * int(np.prod(shapes[node.input[1]][1:]))
        elif node.op_type in ("MatMul", "Gemm"):
            inner = shapes[node.input[0]][-1]
            macs[node.name] = int(np.prod(shapes[node.output[0]])) * inner
    return macs


def gathered_bytes(model: Any) -> dict[str, int]:
    """Bytes (f16) that a node which looks up rows of a constant table must read of it, by node name."""
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.value_info}
    tables = {t.name for t in model.graph.initializer}
    lookups = (n for n in model.graph.node if n.op_type == "Gather" and n.input[0] in tables)
    return {n.name: 2 * int(np.prod(shapes[n.output[0]])) for n in lookups if n.output[0] in shapes}


def roofline(om: Any, report: Any, macs: dict[str, int], rows: dict[str, int] | None = None) -> float:
    """Cycles that no schedule of these tasks can go below; `rows` as `gathered_bytes` gives them."""
    soc = report.soc
    ddr = soc.timing["gm"]["ddr_read_rate"] * soc.cores
    weights = {f"{w.name}:0": w for w in om.weights}
    borders = {f"{t.name}:0" for t in om.inputs} | {t.source for t in om.outputs}
    first: set[int] = set()
    left = dict(macs)  # a node's work counts for the first task that names it
    total = 0.0
    for task, entry in zip(om.tasks, report.tasks, strict=True):
        node = om.graph[task.op_index]
        moved = 0
        most = sum((rows or {}).get(name, 0) for name in dict.fromkeys(entry.nodes)) or soc.memory_bytes
        if node.type in ("TransData", "Cast"):  # carries the names of its neighbour, does none of its work
            left, held = {}, left
        else:
            held = left
        for name, desc in zip(node.inputs, node.input_descs, strict=True):
            weight = weights.get(name)
            if weight is not None:
                moved += 0 if weight.offset in first else min(weight.size, most)
                first.add(weight.offset)
            elif name in borders or desc.size > soc.l2_bytes:
                moved += desc.size
        for i, desc in enumerate(node.output_descs):
            moved += desc.size if f"{node.name}:{i}" in borders or desc.size > soc.l2_bytes else 0
        cube = sum(left.pop(name, 0) for name in dict.fromkeys(entry.nodes)) / MACS_PER_CYCLE / soc.cores
        left = held
        total += max(cube, moved / ddr)
    return total


def model_file(name: str) -> Path:
    """The model as a file, built once by a process of its own (so that building it is not measured)."""
    path = FOLDER / f"{name}.onnx"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        script = f"import onnx, models; onnx.save(models.MODELS[{name!r}](), {str(path)!r})"
        subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent)
    return path


def measure(name: str, soc: str) -> dict[str, Any]:
    """One model on one SoC, in this process."""
    path = model_file(name)
    from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
    from ascend_mlir.runtime.session import InferenceSession

    start = time.perf_counter()
    compiled = compile_model(path, CompileOptions(soc=soc, name=name))
    data = compiled.bytes
    compile_seconds = time.perf_counter() - start
    compile_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ops = Counter(
        sum(1 for _ in op.walk()) for op in compiled.module.body.block.ops if op.name == "davinci.kernel"
    )
    import onnx

    model = onnx.load(path)
    start = time.perf_counter()
    session = InferenceSession(data)
    load_seconds = time.perf_counter() - start
    rng = np.random.default_rng(7)
    feed = {
        i.name: rng.standard_normal(i.shape).astype(np.float16 if i.type == "tensor(float16)" else np.float32)
        for i in session.get_inputs()
    }
    runs: list[float] = []
    timings: list[float] = []
    for _ in range(1 + RUNS):
        start = time.perf_counter()
        outputs = session.run(None, feed)
        runs.append(time.perf_counter() - start)
    for _ in range(RUNS):
        session.__dict__.pop("report", None)  # it is kept
        start = time.perf_counter()
        report = session.report
        timings.append(time.perf_counter() - start)
    start = time.perf_counter()
    session.check_hazards()
    hazard_seconds = time.perf_counter() - start
    peak = simulation_peak(data, name)
    macs = model_macs(model)
    result = {
        "model": name, "soc": soc, "compile_s": compile_seconds, "peak_mb": compile_peak, "sim_peak_mb": peak, "load_s": load_seconds,
        "first_function_s": runs[0], "function_s": min(runs[1:]), "timing_s": timings[0], "timing_again_s": min(timings[1:]),
        "hazard_s": hazard_seconds, "macs": sum(macs.values()),
        "cycles": report.cycles, "latency_us": report.latency_us,
        "cube": sum(macs.values()) / MACS_PER_CYCLE / report.soc.cores / report.cycles,
        "instructions": sum(report.counts.values()), "tasks": len(report.tasks),
        "bound_ratio": report.cycles / roofline(compiled.om, report, macs),
        "largest_kernel_ops": max(ops, default=0), "kernel_ops": dict(sorted(ops.items())),
        "phases": dict(compiled.seconds),
    }  # fmt: skip
    return result | _reference(model, feed, outputs)


PEAK = """
import os, re, sys
from pathlib import Path
import numpy as np
from ascend_mlir.runtime.session import InferenceSession
session = InferenceSession(sys.argv[1])
types = {"tensor(float16)": np.float16}
feed = {i.name: np.ones(i.shape, types.get(i.type, np.float32)) for i in session.get_inputs()}
session.run(None, feed), session.run(None, feed), session.report
workers = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
peaks = [re.search("VmHWM: *([0-9]+)", Path(f"/proc/{p}/status").read_text().replace(chr(9), " ")) for p in ("self", *workers)]
print(sum(int(peak[1]) for peak in peaks if peak) / 1024)
"""  # getrusage would count the parent's memory: exec keeps its high-water mark


def simulation_peak(data: bytes, name: str) -> float:
    """Peak memory in MB of a process that only simulates, and of its workers; what they share counts more than once."""
    path = FOLDER / f"{name}.om"
    path.write_bytes(data)
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _reference(model: Any, feed: dict[str, Any], outputs: Any) -> dict[str, Any]:
    """onnxruntime on one thread, and the largest difference relative to the output range."""
    try:
        import onnxruntime
    except ImportError:
        return {"ort_s": float("nan"), "error": float("nan")}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    session.run(None, feed)
    start = time.perf_counter()
    wanted = session.run(None, feed)
    seconds = time.perf_counter() - start
    errors = [
        float(
            np.abs(got.astype(np.float64) - want.astype(np.float64)).max()
            / max(float(want.max()) - float(want.min()), 1e-9)
        )
        for got, want in zip(outputs, wanted, strict=True)
    ]
    return {"ort_s": seconds, "error": max(errors)}


COLUMNS = (
    ("model", "{model}"), ("soc", "{soc}"), ("compile s", "{compile_s:.2f}"), ("peak MB", "{peak_mb:.0f}"),
    ("sim MB", "{sim_peak_mb:.0f}"), ("load s", "{load_s:.2f}"), ("first s", "{first_function_s:.3f}"), ("function s", "{function_s:.3f}"),
    ("timing s", "{timing_s:.3f}"), ("again s", "{timing_again_s:.3f}"), ("hazard s", "{hazard_s:.3f}"),
    ("checked/not", "{checked_ratio:.2f}"), ("ort s", "{ort_s:.3f}"), ("sim/ort", "{sim_ratio:.1f}"),
    ("error/range", "{error:.1e}"), ("cycles", "{cycles}"), ("us", "{latency_us:.0f}"), ("cube", "{cube:.1%}"),
    ("instr", "{instructions}"), ("tasks", "{tasks}"), ("max ops", "{largest_kernel_ops}"), ("x bound", "{bound_ratio:.2f}"),
)  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """The results as aligned text."""
    cells = [[title for title, _ in COLUMNS]]
    for row in rows:
        seconds = row["function_s"] + row["timing_s"]
        row["sim_ratio"] = seconds / row["ort_s"]
        row["checked_ratio"] = (seconds + row["hazard_s"]) / seconds
        cells.append([form.format(**row) for _, form in COLUMNS])
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--socs", default="Ascend310P3")
    parser.add_argument("--json", metavar="OUT")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "SOC"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one)))
        return 0
    rows: list[dict[str, Any]] = []
    failed = 0
    for soc in args.socs.split(","):
        for name in args.models.split(","):
            done = subprocess.run(
                [sys.executable, __file__, "--one", name, soc], capture_output=True, text=True, check=False
            )
            if done.returncode:
                failed += 1
                print(f"{name} on {soc} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                continue
            rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
    print(table(rows))
    print(fit_text(rows))
    histogram: Counter[str] = Counter()
    for row in rows:
        histogram.update(
            {f"{int(n) // 50 * 50:>3}..{int(n) // 50 * 50 + 49}": c for n, c in row["kernel_ops"].items()}
        )
    print("ops per kernel before encoding: " + ", ".join(f"{k}: {v}" for k, v in sorted(histogram.items())))
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
