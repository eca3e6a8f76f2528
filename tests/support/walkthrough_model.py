"""The model of the walkthrough: Conv, BatchNormalization, Add, Relu of a residual block, [1, 64, 56, 56].

    python tests/support/walkthrough_model.py block.onnx

Names and sizes are those of ResNet-18's `layer1.0`; the weights are random with a fixed seed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = [1, 64, 56, 56]
STATISTICS = {"weight": (1.0, 0.2), "bias": (0.0, 0.1), "running_mean": (0.0, 0.1), "running_var": (1.0, 0.2)}


def model() -> onnx.ModelProto:
    random = np.random.default_rng(0)
    weight = random.normal(0.0, 0.05, (64, 64, 3, 3)).astype(np.float32)
    constants = [numpy_helper.from_array(weight, "layer1.0.conv2.weight")]
    for name, (mean, spread) in STATISTICS.items():
        values = random.normal(mean, spread, 64).astype(np.float32)
        constants.append(
            numpy_helper.from_array(
                np.abs(values) if name == "running_var" else values, f"layer1.0.bn2.{name}"
            )
        )
    normalised = [f"layer1.0.bn2.{name}" for name in STATISTICS]
    nodes = [
        helper.make_node(
            "Conv",
            ["x", "layer1.0.conv2.weight"],
            ["y0"],
            name="layer1.0.conv2",
            kernel_shape=[3, 3],
            pads=[1] * 4,
        ),
        helper.make_node("BatchNormalization", ["y0", *normalised], ["y1"], name="layer1.0.bn2"),
        helper.make_node("Add", ["y1", "res"], ["y2"], name="layer1.0.add"),
        helper.make_node("Relu", ["y2"], ["y"], name="layer1.0.relu"),
    ]
    x, residual, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, SHAPE) for n in ("x", "res", "y"))
    graph = helper.make_graph(nodes, "block", [x, residual], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main(path: Path) -> None:
    onnx.save(model(), path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
