"""What the compiled file promises: the same bytes for the same input, and code that does not grow with the image."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from onnx import TensorProto, helper, numpy_helper

COMPILE = "import sys, ascend_mlir; ascend_mlir.compile(sys.argv[1], 'Ascend310P3', output=sys.argv[2])"


def network(size: int) -> onnx.ModelProto:
    """Convolution, ReLU and pool on one image of 16 channels."""
    weight = np.random.default_rng(0).standard_normal((32, 16, 3, 3)).astype(np.float32) * 0.1
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, size, size])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "network", [x], [y], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Python's hashes differ between the two, as they do between machines."""
    onnx.save(network(28), tmp_path / "m.onnx")
    digests: set[str] = set()
    for seed in ("1", "2"):
        output = tmp_path / f"{seed}.om"
        command = [sys.executable, "-c", COMPILE, str(tmp_path / "m.onnx"), str(output)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        digests.add(sha256(output.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_code_does_not_grow_with_the_image() -> None:
    """256 times the pixels may choose another schedule, but no loop is unrolled for them."""
    small, large = (
        sum(len(kernel.code) for kernel in compile_model(network(size), CompileOptions()).om.kernels)
        for size in (56, 896)
    )
    assert large < 1.25 * small
