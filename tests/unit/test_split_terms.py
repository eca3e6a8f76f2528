"""Networks in two terms: how exact they are, and which stay in one. Kernels: test_{cube,move,vector}_kernel."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.interp.nn_roots import from_terms, to_terms
from ascend_mlir.runtime.session import InferenceSession
from onnx import TensorProto, helper, numpy_helper

SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]


def random(shape, seed=0, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def test_terms_hold_22_bits():
    x = random((1, 4, 50, 50))
    error = np.abs(from_terms(to_terms(x)) - x)
    assert (error <= np.abs(x) * 2.0**-22 + 2.0**-25).all()


def network(size, *, batch=1, first=5, last=20, breaks=False, blocks=True):
    """conv relu pool, a residual block, a shortcut block, a last convolution."""
    weights: dict[str, np.ndarray] = {}
    nodes = []

    def conv(x, cin, cout, kernel, stride=1):
        name = f"w{len(weights)}"
        weights[name] = random((cout, cin, kernel, kernel), len(weights), (cin * kernel * kernel) ** -0.5)
        weights[name + "b"] = random((cout,), 50 + len(weights), 0.1)
        pad = kernel // 2
        out = f"c{len(nodes)}"
        nodes.append(
            helper.make_node("Conv", [x, name, name + "b"], [out], strides=[stride] * 2, pads=[pad] * 4)
        )
        return out

    def node(kind, *inputs, **attributes):
        out = f"n{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    y = node("Relu", conv("x", 3, first, 5, 2))
    if breaks:
        y = node("Sigmoid", y)
    y = node("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    if blocks:
        z = conv(node("Relu", conv(y, first, first, 3)), first, first, 3)
        y = node("Relu", node("Add", z, y))
        z = conv(node("Relu", conv(y, first, last, 3, 2)), last, last, 3)
        y = node("Relu", node("Add", z, conv(y, first, last, 1, 2)))
    y = conv(y, last if blocks else first, 7, 3)
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in (y,)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, 3, *size))]
    graph = helper.make_graph(
        nodes, "net", inputs, shapes, [numpy_helper.from_array(v, k) for k, v in weights.items()]
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def error(model, soc, x):
    onnxruntime = pytest.importorskip("onnxruntime")
    (want,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    compiled = compile_model(model, CompileOptions(soc=soc))
    (got,) = InferenceSession(compiled.bytes, sanitize=True).run(None, {"x": x})
    return compiled, float(np.abs(got - want).max() / np.ptp(want))


def labels(compiled):
    return [op.attributes["label"].data for op in compiled.module.walk() if op.name == "davinci.launch"]


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize(("size", "batch"), [((32, 32), 1), ((23, 30), 2)])
def test_small_network(soc, size, batch):
    """Only the last store rounds to 11 bits."""
    compiled, off = error(network(size, batch=batch), soc, random((batch, 3, *size), 9))
    assert off <= 2.0**-11
    assert "ConvAddTermsReluToTerms" in labels(compiled)


def test_lost_bits_are_lost():
    """Behind an op that has no form in terms nothing is split."""
    model = network((32, 32), breaks=True)
    compiled = compile_model(model, CompileOptions())
    assert not any("Terms" in label for label in labels(compiled))


def test_large_tensors_stay_as_they_are():
    compiled = compile_model(network((320, 320), first=64), CompileOptions())
    assert not any("Terms" in label for label in labels(compiled))


def test_shallow_networks_stay_as_they_are():
    compiled = compile_model(network((32, 32), blocks=False), CompileOptions())
    assert not any("Terms" in label for label in labels(compiled))


def test_same_bytes():
    model = network((32, 32))
    assert compile_model(model, CompileOptions()).bytes == compile_model(model, CompileOptions()).bytes
