"""com.microsoft operators of exported transformers, in all their forms, against onnxruntime, which defines them."""

from __future__ import annotations

from math import erf
from typing import Any

import numpy as np
import onnxruntime
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.errors import UnsupportedOpError
from ascend_mlir.runtime.onnx_backend import AscendBackend
from onnx import ModelProto, helper, numpy_helper

RNG = np.random.default_rng(11)
Operands = list[np.ndarray | None]


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def i32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


ANGLES = np.outer(np.arange(24), 100.0 ** (-np.arange(8) / 8)).astype(np.float32)
COS, SIN = np.cos(ANGLES), np.sin(ANGLES)
Q, K, V, BIAS = f32(2, 5, 32), f32(2, 7, 32), f32(2, 7, 32), f32(96)
PAST = [f32(2, 4, 3, 8), f32(2, 4, 3, 8)]
MASK = (RNG.random((2, 7)) > 0.3).astype(np.int32)
MHA, GQA = "MultiHeadAttention", "GroupQueryAttention"
HEADS = {"num_heads": 4}
GROUPS = {"num_heads": 4, "kv_num_heads": 2}
ROTARY = {**GROUPS, "do_rotary": 1}


def new(batch: int, rows: int) -> Operands:
    """Queries of 4 heads, keys and values of 2, of 16 numbers each."""
    return [f32(batch, rows, 64), f32(batch, rows, 32), f32(batch, rows, 32)]


def cache(batch: int, length: int) -> Operands:
    return [f32(batch, 2, length, 16), f32(batch, 2, length, 16)]


# operator, operands, which of them are constants, outputs that are compared, attributes
CASES: dict[str, tuple[str, Operands, tuple[int, ...], int, dict[str, Any]]] = {
    "mha": (MHA, [Q, K, V], (), 1, HEADS),
    "mha-self": (MHA, [Q, Q, Q, BIAS], (3,), 3, HEADS),
    "mha-bias-present": (MHA, [Q, K, V, BIAS], (3,), 3, HEADS),
    "mha-scale": (MHA, [Q, K, V], (), 1, {**HEADS, "scale": 0.2}),
    "mha-wide-values": (MHA, [Q, K, f32(2, 7, 48)], (), 1, HEADS),
    "mha-keys-ready": (MHA, [Q, f32(2, 4, 7, 8), f32(2, 4, 7, 8)], (), 1, HEADS),
    "mha-keys-ready-bias": (MHA, [Q, f32(2, 4, 7, 8), f32(2, 4, 7, 8), BIAS], (3,), 1, HEADS),
    "mha-mask": (MHA, [Q, K, V, None, MASK], (), 1, HEADS),
    "mha-mask-ends": (MHA, [Q, K, V, None, i32(7, 4)], (), 1, HEADS),
    "mha-mask-cumulated": (MHA, [Q, K, V, None, i32(7, 4, 0, 5, 10, 0, 7, 14)], (), 1, HEADS),
    "mha-mask-rows": (MHA, [Q, K, V, None, (RNG.random((2, 5, 7)) > 0.3).astype(np.int32)], (), 1, HEADS),
    "mha-mask-low": (MHA, [Q, K, V, None, MASK], (4,), 1, {**HEADS, "mask_filter_value": -3.4e38}),
    "mha-scores": (MHA, [Q, K, V, None, None, f32(1, 4, 5, 7)], (), 1, HEADS),
    "mha-scores-shared": (MHA, [Q, K, V, None, MASK, f32(2, 1, 5, 7)], (), 1, HEADS),
    "mha-causal": (MHA, [Q, Q, Q], (), 1, {**HEADS, "unidirectional": 1}),
    "mha-causal-cross": (MHA, [Q, K, V], (), 1, {**HEADS, "unidirectional": 1}),
    "mha-past": (MHA, [Q, K, V, BIAS, None, None, *PAST], (3,), 3, HEADS),
    "mha-past-causal": (MHA, [Q, Q, Q, None, None, None, *PAST], (), 3, {**HEADS, "unidirectional": 1}),
    "mha-past-one": (
        MHA, [f32(2, 1, 32), f32(2, 1, 32), f32(2, 1, 32), None, MASK[:, :4], None, *PAST], (), 3, HEADS,
    ),
    "attention-cumulated": (
        "Attention", [Q, f32(32, 96) / 6, BIAS, i32(5, 3, 0, 5, 8, 0, 5, 8)], (1, 2), 1, HEADS,
    ),
    "gqa-prompt": (GQA, [*new(2, 6), None, None, i32(5, 3), i32(6)], (6,), 3, GROUPS),
    "gqa-prompt-empty-past": (GQA, [*new(2, 6), *cache(2, 0), i32(5, 3), i32(6)], (6,), 3, GROUPS),
    "gqa-prompt-rotary": (GQA, [*new(2, 6), None, None, i32(5, 3), i32(6), COS, SIN], (6, 7, 8), 3, ROTARY),
    "gqa-prompt-buffer": (GQA, [*new(2, 6), *cache(2, 9), i32(5, 5), i32(6)], (6,), 1, GROUPS),
    "gqa-places": (
        GQA, [*new(1, 6), None, None, i32(5), i32(6), COS, SIN, np.array([[3, 4, 5, 6, 7, 8]])], (6, 7, 8), 3, ROTARY,
    ),
    "gqa-packed": (GQA, [f32(2, 6, 128), None, None, None, None, i32(5, 5), i32(6)], (6,), 3, GROUPS),
    "gqa-one-more": (GQA, [*new(1, 1), *cache(1, 7), i32(7), i32(8), COS, SIN], (6, 7, 8), 3, ROTARY),
    "gqa-one-more-pairs": (
        GQA, [*new(1, 1), *cache(1, 7), i32(7), i32(8), COS, SIN], (6, 7, 8), 3, {**ROTARY, "rotary_interleaved": 1},
    ),
    "gqa-one-more-each": (GQA, [*new(2, 1), *cache(2, 7), i32(7, 5), i32(8), COS, SIN], (6, 7, 8), 1, ROTARY),
    "gqa-one-more-buffer": (GQA, [*new(2, 1), *cache(2, 12), i32(7, 5), i32(8), COS, SIN], (6, 7, 8), 1, ROTARY),
    "gqa-chunk": (GQA, [*new(1, 3), *cache(1, 7), i32(9), i32(10), COS, SIN], (6, 7, 8), 3, ROTARY),
    "gqa-softcap": (GQA, [*new(2, 6), None, None, i32(5, 5), i32(6)], (6,), 1, {**GROUPS, "softcap": 3.0}),
    "gqa-window": (GQA, [*new(2, 6), None, None, i32(5, 5), i32(6)], (6,), 1, {**GROUPS, "local_window_size": 2}),
    "gqa-window-later": (GQA, [*new(1, 1), *cache(1, 7), i32(7), i32(8)], (6,), 1, {**GROUPS, "local_window_size": 3}),
    "gqa-scores": (
        GQA, [*new(2, 6), None, None, i32(5, 5), i32(6), None, None, None, f32(1, 4, 6, 6)], (6,), 1, GROUPS,
    ),
    "gqa-scale": (GQA, [*new(1, 6), None, None, i32(5), i32(6)], (6,), 1, {**GROUPS, "scale": 0.1}),
    "embed": (
        "EmbedLayerNormalization",
        [RNG.integers(0, 10, (2, 6)).astype(np.int32), RNG.integers(0, 2, (2, 6)).astype(np.int32), f32(10, 32), f32(8, 32),
         f32(2, 32), f32(32), f32(32), (RNG.random((2, 6)) > 0.5).astype(np.int32)], (2, 3, 4, 5, 6), 2, {},
    ),
    "embed-places": (
        "EmbedLayerNormalization",
        [RNG.integers(0, 10, (2, 6)).astype(np.int32), None, f32(10, 32), f32(8, 32), None, f32(32), f32(32), None,
         RNG.integers(0, 8, (2, 6)).astype(np.int32)], (2, 3, 5, 6), 3, {"epsilon": 1e-5},
    ),
    "conv-relu": ("FusedConv", [f32(1, 4, 8, 8), f32(6, 4, 3, 3), f32(6)], (1, 2), 1, {"activation": "Relu"}),
    "conv-sum": (
        "FusedConv", [f32(1, 4, 8, 8), f32(6, 4, 3, 3) / 6, f32(6), f32(1, 6, 6, 6)], (1, 2), 1, {"activation": "Relu"},
    ),
    "conv-clip": (
        "FusedConv", [f32(1, 4, 8, 8), f32(6, 4, 3, 3) / 6, f32(6)], (1, 2), 1,
        {"activation": "Clip", "activation_params": [-0.5, 0.7]},
    ),
    "conv-leaky": (
        "FusedConv", [f32(1, 4, 8, 8), f32(6, 4, 3, 3) / 6, f32(6)], (1, 2), 1,
        {"activation": "LeakyRelu", "activation_params": [0.3]},
    ),
    "gemm-leaky": (
        "FusedGemm", [f32(4, 8), f32(8, 6), f32(6)], (1, 2), 1,
        {"activation": "LeakyRelu", "activation_alpha": 0.2, "alpha": 0.5},
    ),
    "gemm-tanh": ("FusedGemm", [f32(4, 8), f32(6, 8), f32(6)], (1, 2), 1, {"activation": "Tanh", "transB": 1}),
}  # fmt: skip
BYTES = {4: 16, 8: 32}
for bits in (4, 8):
    for name, inner, zeros in (
        ("plain", 64, None),
        ("zeros", 64, "u8"),
        ("floats", 64, "f4"),
        ("tail", 80, "u8"),
    ):
        blocks = -(-inner // 32)
        width = -(-blocks * bits // 8)
        zero = {
            None: [], "u8": [RNG.integers(0, 256, 16 * width).astype(np.uint8)],
            "f4": [RNG.uniform(0, 2**bits, 16 * blocks).astype(np.float32)],
        }[zeros]  # fmt: skip
        if (bits, zeros) == (8, "f4"):  # not in onnxruntime
            continue
        CASES[f"bits-{bits}-{name}"] = (
            "MatMulNBits",
            [f32(2, 3, inner), RNG.integers(0, 256, (16, blocks, BYTES[bits])).astype(np.uint8), f32(16 * blocks) / 100, *zero],
            tuple(range(1, 3 + len(zero))), 1, {"K": inner, "N": 16, "bits": bits, "block_size": 32},
        )  # fmt: skip


def build(
    op: str, operands: Operands, fixed: tuple[int, ...], outputs: int, attributes: dict[str, Any]
) -> ModelProto:
    """A model of one node; operands that are no constants are inputs x0, x1, …"""
    code = helper.np_dtype_to_tensor_dtype
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(operands)]
    results = [f"y{i}" for i in range(outputs)]
    if op == GQA and outputs == 1:
        results += ["present_key", "present_value"]
    node = helper.make_node(op, names, results, "node", domain="com.microsoft", **attributes)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info(f"x{i}", code(v.dtype), v.shape) for i, v in enumerate(operands)
         if v is not None and i not in fixed],
        [helper.make_empty_tensor_value_info(f"y{i}") for i in range(outputs)],
        [numpy_helper.from_array(operands[i], f"x{i}") for i in fixed],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def given(operands: Operands, fixed: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {f"x{i}": v for i, v in enumerate(operands) if v is not None and i not in fixed}


@pytest.mark.parametrize("name", CASES)
def test_against_onnxruntime(name: str) -> None:
    op, operands, fixed, outputs, attributes = CASES[name]
    made, inputs = build(op, operands, fixed, outputs, attributes), given(operands, fixed)
    wanted = onnxruntime.InferenceSession(made.SerializeToString()).run(None, inputs)
    prepared = type("Backend", (AscendBackend,), {"sanitize": True}).prepare(made)
    found = prepared.run(list(inputs.values()))
    assert prepared.engine_counts["aicpu"] == 0
    for got, want in zip(found, wanted, strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=4e-3, atol=4e-3 * float(np.abs(want).max()))


def test_packed_heads() -> None:
    """onnxruntime's CPU has no packed forms: the same as apart."""
    parts = f32(2, 5, 4, 3, 8)
    apart = [parts[:, :, :, i].reshape(2, 5, 32) for i in range(3)]
    results = []
    for operands in ([*apart, BIAS], [parts, None, None, BIAS], [apart[0], parts[:, :, :, 1:], None, BIAS]):
        made = build(MHA, operands, (3,), 1, HEADS)
        results.append(AscendBackend.prepare(made).run(list(given(operands, (3,)).values()))[0])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(results[2], results[0], rtol=1e-3, atol=1e-3)


def test_bias_split_gelu() -> None:
    """GPU only in onnxruntime: by its definition."""
    x, bias = f32(2, 5, 64), f32(64)
    got = AscendBackend.prepare(build("BiasSplitGelu", [x, bias], (1,), 1, {})).run([x])[0]
    left, right = np.split(x + bias, 2, -1)
    np.testing.assert_allclose(
        got, left * right * 0.5 * (1 + np.vectorize(erf)(right / np.sqrt(2))), atol=1e-2
    )


REFUSED: dict[str, tuple[str, Operands, tuple[int, ...], dict[str, Any], str]] = {
    "rotary": ("Attention", [Q, f32(32, 96), BIAS], (1, 2), {**HEADS, "do_rotary": 1}, "do_rotary = 1"),
    "mask-4d": ("Attention", [Q, f32(32, 96), BIAS, np.ones((2, 1, 9, 9), np.int32)], (1, 2), HEADS, r"\[2, 1, 9, 9\]"),
    "mask-length": (MHA, [Q, K, V, None, i32(1, 2, 3)], (), HEADS, "mask of shape"),
    "smooth": (GQA, [*new(1, 6), None, None, i32(5), i32(6)], (6,), {**GROUPS, "smooth_softmax": 1}, "smooth_softmax = 1"),
    "total": (GQA, [*new(1, 6), None, None, i32(5), i32(6)], (), GROUPS, "total_sequence_length"),
    "chunks": (GQA, [*new(2, 3), *cache(2, 7), i32(9, 8), i32(10)], (6,), GROUPS, "3 new rows for 2 sequences"),
    "bits": (
        "MatMulNBits", [f32(3, 64), RNG.integers(0, 256, (16, 2, 8)).astype(np.uint8), f32(32)], (1, 2),
        {"K": 64, "N": 16, "bits": 2, "block_size": 32}, "2 bits",
    ),
    "computed-weight": (
        "MatMulNBits", [f32(3, 64), RNG.integers(0, 256, (16, 2, 16)).astype(np.uint8), f32(32)], (2,),
        {"K": 64, "N": 16, "bits": 4, "block_size": 32}, "B is computed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    op, operands, fixed, attributes, text = REFUSED[name]
    made = build(op, operands, fixed, 1, attributes)
    with pytest.raises(UnsupportedOpError, match=text):
        compile_model(made, CompileOptions())
