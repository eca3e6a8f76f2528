"""Attention as exporters write it, as one task, against onnxruntime in f32; with the hazard check on."""

from __future__ import annotations

from math import sqrt

import numpy as np
import onnxruntime
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.onnx_backend import AscendBackend
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]


class Graph:
    """Nodes of one model; inputs are arrays, whose values the test feeds."""

    def __init__(self):
        self.nodes, self.weights, self.feed = [], [], {}

    def input(self, array):
        name = f"in{len(self.feed)}"
        self.feed[name] = array
        return name

    def constant(self, array):
        self.weights.append(numpy_helper.from_array(np.asarray(array), f"c{len(self.weights)}"))
        return self.weights[-1].name

    def node(self, kind, inputs, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [f"t{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def model(self, result, opset=17):
        code = helper.np_dtype_to_tensor_dtype
        inputs = [helper.make_tensor_value_info(n, code(a.dtype), a.shape) for n, a in self.feed.items()]
        output = helper.make_tensor_value_info(result, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "attention", inputs, [output], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def f32(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def check(graph, result, soc="Ascend310P3", tasks=1, opset=17):
    """One task of attention (or none), and the result of onnxruntime."""
    made = graph.model(result, opset)
    compiled = compile_model(made, CompileOptions(soc=soc))
    labels = [op.attributes["label"].data for op in compiled.module.walk() if "label" in op.attributes]
    assert labels.count("Attention") == tasks, labels
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, graph.feed)
    backend = type("Backend", (AscendBackend,), {"sanitize": True, "soc": soc})
    (got,) = backend.prepare(made).run(list(graph.feed.values()))
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 3e-3 * np.abs(want).max()


def softmax_attention(graph, q, k, v, width, mask=None, guarded=False):
    """softmax(q · kᵀ / √width + mask) · v as PyTorch writes it."""
    scores = graph.node("MatMul", [q, graph.node("Transpose", [k], perm=[0, 1, 3, 2])])
    scores = graph.node("Div", [scores, graph.constant(np.float32(sqrt(width)))])
    if mask is not None:
        scores = graph.node("Add", [scores, mask])
    shares = graph.node("Softmax", [scores], axis=-1)
    if guarded:
        zero = graph.constant(np.float32(0))
        shares = graph.node("Where", [graph.node("IsNaN", [shares]), zero, shares])
    return graph.node("MatMul", [shares, v])


def heads(graph, rng, queries, keys, width, count=2, batch=1):
    return [graph.input(f32(rng, batch, count, n, width)) for n in (queries, keys, keys)]


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize(
    ("queries", "keys", "width"), [(1, 1, 64), (7, 77, 40), (128, 128, 64), (197, 197, 32)]
)
def test_sizes(queries, keys, width, soc):
    graph = Graph()
    check(
        graph,
        softmax_attention(graph, *heads(graph, np.random.default_rng(0), queries, keys, width), width),
        soc,
    )


@pytest.mark.parametrize("soc", SOCS)
def test_long_rows(soc):
    """2100 keys: scores of a block do not fit UB beside the rest."""
    graph, rng = Graph(), np.random.default_rng(1)
    check(graph, softmax_attention(graph, *heads(graph, rng, 140, 2100, 40, 4), 40), soc)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("kind", ["constant", "computed", "per head", "boolean"])
def test_masks(kind, soc):
    graph, rng = Graph(), np.random.default_rng(2)
    q, k, v = heads(graph, rng, 33, 40, 48, batch=2)
    seen = rng.random((2, 1, 33, 40)) > 0.3
    seen[..., 0] = True
    if kind == "constant":  # causal
        mask = graph.constant(np.triu(np.full((33, 40), -10000, np.float32), 8)[None, None])
    elif kind == "computed":  # BERT: one number per key
        ones = graph.input((rng.random((2, 1, 1, 40)) > 0.3).astype(np.float32))
        missing = graph.node("Sub", [graph.constant(np.float32(1)), ones])
        mask = graph.node("Mul", [missing, graph.constant(np.float32(-10000))])
    elif kind == "per head":  # a bias of positions
        mask = graph.input(f32(rng, 1, 2, 33, 40))
    else:
        low, zero = (graph.constant(np.float32(x)) for x in (np.finfo(np.float32).min, 0))
        mask = graph.node("Where", [graph.input(seen), zero, low])
    check(graph, softmax_attention(graph, q, k, v, 48, mask), soc)


@pytest.mark.parametrize("low", [-np.inf, np.finfo(np.float32).min])
def test_queries_that_see_no_key(low):
    """Zeros behind the test for NaN where the mask is infinite, equal shares where it is finite."""
    graph, rng = Graph(), np.random.default_rng(3)
    q, k, v = heads(graph, rng, 20, 35, 32)
    seen = np.ones((1, 1, 20, 35), bool)
    seen[:, :, 4:6] = False
    mask = graph.node(
        "Where", [graph.input(seen), graph.constant(np.float32(0)), graph.constant(np.float32(low))]
    )
    check(graph, softmax_attention(graph, q, k, v, 32, mask, guarded=True))


@pytest.mark.parametrize("soc", SOCS)
def test_groups_with_a_cache(soc):
    """LLaMA: past keys in front, each head of keys and values repeated for three heads of the query."""
    graph, rng = Graph(), np.random.default_rng(4)
    q = graph.input(f32(rng, 1, 6, 3, 64))
    whole = []
    for _ in range(2):
        past, new = graph.input(f32(rng, 1, 2, 30, 64)), graph.input(f32(rng, 1, 2, 3, 64))
        joined = graph.node("Concat", [past, new], axis=2)
        wide = graph.node("Unsqueeze", [joined, graph.constant(np.array([2]))])
        wide = graph.node("Expand", [wide, graph.constant(np.array([1, 2, 3, 33, 64]))])
        whole.append(graph.node("Reshape", [wide, graph.constant(np.array([1, 6, 33, 64]))]))
    mask = graph.constant(np.triu(np.full((3, 33), -10000, np.float32), 31)[None, None])
    check(graph, softmax_attention(graph, q, *whole, 64, mask), soc)


def test_operator_of_onnx():
    """Attention of opset 23 with groups of heads, causal."""
    graph, rng = Graph(), np.random.default_rng(5)
    q = graph.input(f32(rng, 2, 4, 24, 32))
    k, v = (graph.input(f32(rng, 2, 2, 24, 32)) for _ in range(2))
    check(graph, graph.node("Attention", [q, k, v], is_causal=1), opset=23)


def test_what_stays_in_parts():
    """Somebody else reads the probabilities."""
    graph, rng = Graph(), np.random.default_rng(6)
    q, k, v = heads(graph, rng, 20, 20, 32)
    scores = graph.node("MatMul", [q, graph.node("Transpose", [k], perm=[0, 1, 3, 2])])
    shares = graph.node("Softmax", [scores], axis=-1)
    mean = graph.node("ReduceMean", [shares], axes=[-1], keepdims=1)
    check(graph, graph.node("Add", [graph.node("MatMul", [shares, v]), mean]), tasks=0)


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_random_attention(data):
    draw = data.draw
    graph, rng = Graph(), np.random.default_rng(draw(st.integers(0, 99)))
    queries, keys, width = draw(st.integers(1, 80)), draw(st.integers(1, 120)), draw(st.integers(8, 80))
    count, batch = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    q, k, v = heads(graph, rng, queries, keys, width, count, batch)
    mask = None
    if draw(st.booleans()):
        shape = [draw(st.sampled_from([1, n])) for n in (batch, count, queries)]
        mask = graph.input(f32(rng, *shape, keys))
    check(graph, softmax_attention(graph, q, k, v, width, mask), draw(st.sampled_from(SOCS)))
