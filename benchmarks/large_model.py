"""How much memory a large model takes: conversion, and writing and reading a file above 4 GiB.

    python benchmarks/large_model.py [--gib 6] [--folder /tmp]

Makes a multi-layer perceptron whose random float32 weights, 256 MiB each, stand in an external data file; converts it
with `atc` in a process of its own; reads the `.om`; then writes and reads an `.om` above 4 GiB. Prints the peak
resident memory of each process (`ru_maxrss`: pages of mapped files count while they are mapped). Everything is made in
`--folder` and removed afterwards. The exit status is 1 when a peak is above `LIMIT`.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

LIMIT = int(1.5 * 2**30)
NARROW, WIDE = 4096, 16384
WEIGHT_BYTES = NARROW * WIDE * 4

READ = """
import sys
from ascend_mlir.runtime.om.reader import read_om
model = read_om(sys.argv[1], digests=sys.argv[2] == "digests")
print(len(model.weights), "weights of", sum(weight.size for weight in model.weights), "bytes")
"""
WRITE = """
import sys, hashlib
from dataclasses import replace
from ascend_mlir.runtime.om.model import OmModel, OmWeight, WeightPayload, place_weights
from ascend_mlir.runtime.om.writer import write_om
SIZE = 1 << 28
def payload(number):
    load = lambda: number.to_bytes(8, "little") * (SIZE // 8)
    return WeightPayload.measured(load)
weights = place_weights(OmWeight(f"w{i}", "u8", (SIZE,), (SIZE,), "ND", payload(i)) for i in range(int(sys.argv[2])))
write_om(OmModel("large", "Ascend310P3", (), (), 512, weights=weights), sys.argv[1])
"""
WORKING = """
import sys
from ascend_mlir.tools.ascend_translate import main
main(sys.argv[1:])
"""


def make_model(path: Path, layers: int) -> None:
    """The ONNX file, and `weights.bin` beside it."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    x = "x"
    with (path.parent / "weights.bin").open("wb") as stream:
        for layer in range(layers):
            shape = (NARROW, WIDE) if layer % 2 == 0 else (WIDE, NARROW)
            tensor = TensorProto(name=f"w{layer}", data_type=TensorProto.FLOAT, dims=shape)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", "weights.bin"),
                ("offset", stream.tell()),
                ("length", WEIGHT_BYTES),
            ):
                tensor.external_data.add(key=key, value=str(value))
            for _ in range(16):  # in pieces: this process must not be the largest
                piece = rng.standard_normal(NARROW * WIDE // 16, np.float32) * np.float32(0.02)
                stream.write(piece.tobytes())
            weights.append(tensor)
            nodes.append(helper.make_node("MatMul", [x, tensor.name], [f"p{layer}"], name=f"product{layer}"))
            x = "y" if layer == layers - 1 else f"r{layer}"
            nodes.append(helper.make_node("Relu", [f"p{layer}"], [x], name=f"relu{layer}"))
    out = NARROW if layers % 2 == 0 else WIDE
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, NARROW])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, out])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def peak_of(words: list[str]) -> tuple[int, float, str]:
    """Peak resident bytes of a command, its seconds and what it printed; a fresh process measures it, because the
    greatest child of a process counts for ever."""
    code = (
        "import resource, subprocess, sys, time; t = time.perf_counter()\n"
        "r = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "sys.stderr.write(r.stdout + r.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, time.perf_counter() - t)\n"
        "sys.exit(r.returncode)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}:\n{done.stderr}")
    peak, seconds = done.stdout.split()
    return int(peak), float(seconds), done.stderr.strip()


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--gib", type=float, default=6)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    args = parser.parse_args()
    layers = max(1, round(args.gib * 2**30 / WEIGHT_BYTES))
    peaks: list[int] = []

    def measured(what: str, words: list[str], size: Path | None = None) -> str:
        peak, seconds, said = peak_of(words)
        peaks.append(peak)
        length = f", {size.stat().st_size} bytes" if size else ""
        print(f"{what}: peak {peak / 2**20:.0f} MiB, {seconds:.0f} s{length}", flush=True)
        return said

    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        began = time.perf_counter()
        make_model(folder / "large.onnx", layers)
        size = (folder / "weights.bin").stat().st_size
        print(
            f"{layers} weights, {size} bytes of external data, made in {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        atc = [sys.executable, "-c", "from ascend_mlir.tools.atc import main; main()"]
        om = folder / "large.om"
        measured(
            "atc convert", [*atc, "convert", str(folder / "large.onnx"), f"--output={folder / 'large'}"], om
        )
        (folder / "weights.bin").unlink()
        measured("read, with digests", [sys.executable, "-c", READ, str(om), "digests"])
        text, again = folder / "large.mlir", folder / "again.om"
        measured("--om-to-mlir", [sys.executable, "-c", WORKING, "--om-to-mlir", str(om), "-o", str(text)])
        measured(
            "--emit-om",
            [sys.executable, "-c", WORKING, "--emit-om", str(text), "--weights", str(om), "-o", str(again)],
        )
        print("the same bytes" if digest(om) == digest(again) else "OTHER BYTES")
        om.unlink()
        again.unlink()
        measured("write above 4 GiB", [sys.executable, "-c", WRITE, str(om), "18"], om)
        print(measured("read above 4 GiB, with digests", [sys.executable, "-c", READ, str(om), "digests"]))
        measured("read above 4 GiB, without", [sys.executable, "-c", READ, str(om), "none"])
    print(
        f"limit {LIMIT / 2**20:.0f} MiB; peak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB"
    )
    return int(max(peaks) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
