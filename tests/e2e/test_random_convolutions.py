"""Random chains of convolutions against onnxruntime, hazard check on: shapes that nobody would think of.

The first convolution of a chain reads an f32 picture, later ones f16 tensors, so both ways into the cube are met; sizes,
strides, pads, dilations, groups and activations vary.  The named cases are what random runs found wrong once.
"""

from __future__ import annotations

import random

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir import InferenceSession
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from onnx import TensorProto, helper, numpy_helper

SOCS = ("Ascend310P3", "Ascend310", "Ascend910A")
Layer = tuple[
    int, int, int, int, int, list[int], int, str
]  # kh, kw, stride h and w, dilation, pads, channels out (0: depthwise), activation

FOUND: dict[str, tuple[tuple[int, int, int, int], list[Layer]]] = {
    "pad beyond the last column": ((3, 17, 38, 48), [(2, 2, 3, 3, 1, [0, 0, 0, 0], 100, "Relu")]),
    "picture of one piece": ((1, 12, 2, 12), [(1, 3, 2, 2, 2, [0, 2, 0, 2], 40, "Relu")]),
    "picture with odd rows": ((1, 7, 3, 11), [(7, 7, 1, 1, 1, [3, 2, 1, 0], 64, "HardSwish")]),
    "ring of one turn": (
        (1, 4, 14, 8),
        [(1, 1, 3, 3, 1, [0, 0, 0, 0], 100, ""), (7, 7, 3, 3, 1, [3, 3, 3, 3], 0, "HardSwish")],
    ),
}


def _model(
    shape: tuple[int, int, int, int], layers: list[Layer], rng: np.random.Generator
) -> onnx.ModelProto:
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    x, channels = "x", shape[1]
    for number, (kh, kw, sh, sw, dilation, pads, wanted, activation) in enumerate(layers):
        groups, out = (1, wanted) if wanted else (channels, channels)
        inner = channels // groups
        weight = rng.standard_normal((out, inner, kh, kw)) / np.sqrt(inner * kh * kw)
        weights += [
            numpy_helper.from_array(weight.astype(np.float32), f"w{number}"),
            numpy_helper.from_array(rng.standard_normal(out).astype(np.float32), f"b{number}"),
        ]
        nodes.append(
            helper.make_node(
                "Conv", [x, f"w{number}", f"b{number}"], [f"c{number}"], kernel_shape=[kh, kw], strides=[sh, sw],
                pads=pads, dilations=[dilation, dilation], group=groups,
            )
        )  # fmt: skip
        x, channels = f"c{number}", out
        if activation:
            nodes.append(helper.make_node(activation, [x], [f"a{number}"]))
            x = f"a{number}"
    graph = helper.make_graph(
        nodes, "chain", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def _check(shape: tuple[int, int, int, int], layers: list[Layer], soc: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = _model(shape, layers, rng)
    x = rng.standard_normal(shape).astype(np.float32)
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    compiled = compile_model(model, CompileOptions(soc=soc))
    got = InferenceSession(compiled.bytes, sanitize=True).run(None, {"x": x})[0]
    np.testing.assert_allclose(got, want, rtol=0, atol=8e-3 * max(float(np.abs(want).max()), 1e-3))


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("case", FOUND)
def test_what_was_found(case: str, soc: str) -> None:
    _check(*FOUND[case], soc, 0)


def _random_chain(rng: random.Random) -> tuple[tuple[int, int, int, int], list[Layer]]:
    shape = (
        rng.choice([1, 1, 2, 3]),
        rng.choice([1, 3, 3, 4, 12, 17, 32]),
        rng.randint(1, 40),
        rng.randint(1, 48),
    )
    height, width, layers = shape[2], shape[3], list[Layer]()
    for number in range(rng.choice([1, 2, 3])):
        kh, kw = rng.choice([(1, 1), (3, 3), (3, 3), (5, 5), (7, 7), (1, 3), (3, 1), (2, 2)])
        stride, dilation = rng.choice([1, 1, 2, 3]), rng.choice([1, 1, 1, 2])
        reach = (kh - 1) * dilation + 1, (kw - 1) * dilation + 1
        pads = [rng.randint(0, reach[i % 2] // 2) for i in range(4)]
        sizes = height + pads[0] + pads[2] - reach[0], width + pads[1] + pads[3] - reach[1]
        if min(sizes) < 0:
            break
        height, width = sizes[0] // stride + 1, sizes[1] // stride + 1
        out = 0 if number and rng.random() < 0.3 else rng.choice([1, 8, 16, 17, 40, 64, 100])
        layers.append(
            (
                kh,
                kw,
                stride,
                stride,
                dilation,
                pads,
                out,
                rng.choice(["", "Relu", "Sigmoid", "LeakyRelu", "HardSwish"]),
            )
        )
    return shape, layers


@pytest.mark.parametrize("seed", range(18))
def test_random_chain(seed: int) -> None:
    shape, layers = _random_chain(random.Random(seed))
    if not layers:
        pytest.skip("the first kernel is larger than its picture")
    _check(shape, layers, SOCS[seed % 3], seed)
