"""Fused operators of domain com.microsoft, against onnxruntime, which defines them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from ascend_mlir.runtime.errors import UnsupportedOpError
from ascend_mlir.runtime.onnx_backend import AscendBackend
from onnx import helper, numpy_helper

RNG = np.random.default_rng(5)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


ANGLES = np.outer(np.arange(20), 100.0 ** (-np.arange(8) / 8)).astype(np.float32)
MASK = (RNG.random((2, 9)) > 0.3).astype(np.int32)
CASES: dict[str, tuple[str, list[np.ndarray], list[np.ndarray | None], dict[str, Any]]] = {
    "gelu": ("Gelu", [f32(3, 40)], [], {}),
    "fast-gelu": ("FastGelu", [f32(3, 40)], [], {}),
    "fast-gelu-bias": ("FastGelu", [f32(3, 40)], [f32(40)], {}),
    "quick-gelu": ("QuickGelu", [f32(3, 40)], [], {"alpha": 1.5}),
    "bias-gelu": ("BiasGelu", [f32(3, 40)], [f32(40)], {}),
    "matmul": ("FusedMatMul", [f32(2, 7, 5), f32(2, 7, 6)], [], {"transA": 1, "alpha": 0.5}),
    "matmul-weight": ("FusedMatMul", [f32(4, 5)], [f32(6, 5)], {"transB": 1}),
    "layer-norm": ("LayerNormalization", [f32(2, 9, 32)], [f32(32), f32(32)], {"axis": -1}),
    "simplified": ("SimplifiedLayerNormalization", [f32(2, 9, 32)], [f32(32)], {"epsilon": 1e-6}),
    "skip": ("SkipLayerNormalization", [f32(2, 9, 32), f32(2, 9, 32)], [f32(32), f32(32), f32(32)], {}),
    "skip-plain": ("SkipLayerNormalization", [f32(2, 9, 32), f32(2, 9, 32)], [f32(32)], {}),
    "skip-simplified": (
        "SkipSimplifiedLayerNormalization", [f32(2, 9, 32), f32(2, 9, 32)], [f32(32)], {"epsilon": 1e-6},
    ),
    "attention": ("Attention", [f32(2, 9, 32)], [f32(32, 96) / 6, f32(96)], {"num_heads": 4}),
    "attention-causal": (
        "Attention", [f32(2, 9, 32)], [f32(32, 96) / 6, f32(96)], {"num_heads": 4, "unidirectional": 1},
    ),
    "attention-mask": ("Attention", [f32(2, 9, 32)], [f32(32, 96) / 6, f32(96), MASK], {"num_heads": 4}),
    "rotary": (
        "RotaryEmbedding", [f32(2, 3, 5, 16)], [np.array([[4, 5, 6, 7, 8], [0, 1, 2, 3, 4]]), np.cos(ANGLES), np.sin(ANGLES)], {},
    ),
    "rotary-flat": (
        "RotaryEmbedding", [f32(1, 5, 48)], [np.array([2]), np.cos(ANGLES), np.sin(ANGLES)], {},
    ),
    "rotary-pairs": (
        "RotaryEmbedding", [f32(1, 3, 5, 16)], [np.array([0]), np.cos(ANGLES), np.sin(ANGLES)], {"interleaved": 1},
    ),
}  # fmt: skip
STANDARD = {"LayerNormalization", "SimplifiedLayerNormalization"}  # onnxruntime has them in ai.onnx, since 1


def model(op: str, inputs: list[np.ndarray], constants: list[np.ndarray | None], attributes: dict[str, Any]):
    names = [f"x{i}" for i in range(len(inputs))]
    weights = [numpy_helper.from_array(c, f"w{i}") for i, c in enumerate(constants) if c is not None]
    domain = "" if op in STANDARD else "com.microsoft"
    node = helper.make_node(op, names + [w.name for w in weights], ["y"], domain=domain, **attributes)
    code = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(n, code(v.dtype), v.shape)
            for n, v in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("y", 1, None)],
        weights,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), names


@pytest.mark.parametrize("name", CASES)
def test_against_onnxruntime(name: str) -> None:
    made, names = model(*CASES[name])
    inputs = CASES[name][1]
    session = onnxruntime.InferenceSession(made.SerializeToString())
    (wanted,) = session.run(None, dict(zip(names, inputs, strict=True)))
    prepared = type("Backend", (AscendBackend,), {"sanitize": True}).prepare(made)
    (got,) = prepared.run(inputs)
    assert prepared.engine_counts["aicpu"] == 0
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=4e-3, atol=4e-3 * float(np.abs(wanted).max()))


WEIGHT, BIAS = f32(32, 96) / 6, f32(96)
PAST = f32(2, 2, 4, 6, 8)
FORMS: dict[str, tuple[str, list[np.ndarray | None], int, dict[str, Any]]] = {
    # operator, operands (None: left out), of which so many are constants behind the first, attributes
    "matmul-batch": ("FusedMatMul", [f32(7, 2, 5), f32(2, 5, 6)], 0, {"transBatchA": 1}),
    "matmul-batches": (
        "FusedMatMul", [f32(5, 2, 3, 7), f32(6, 2, 3, 5)], 0, {"transBatchA": 1, "transA": 1, "transBatchB": 1, "transB": 1, "alpha": 2.0},
    ),
    "matmul-both": ("FusedMatMul", [f32(3, 5, 4), f32(3, 6, 5)], 0, {"transA": 1, "transB": 1}),
    "matmul-vector": ("FusedMatMul", [f32(3, 4, 5), f32(5)], 0, {"alpha": -1.0}),
    "gelu-images": ("Gelu", [f32(2, 3, 4, 5) * 4], 0, {}),
    "fast-gelu-computed": ("FastGelu", [f32(2, 3, 40), f32(40)], 0, {}),
    "quick-gelu-plain": ("QuickGelu", [f32(2, 7, 24) * 3], 0, {}),
    "bias-gelu-computed": ("BiasGelu", [f32(2, 3, 40), f32(40)], 0, {}),
    "layer-norm-plain": ("LayerNormalization", [f32(2, 9, 32), f32(32)], 1, {"epsilon": 1e-3}),
    "layer-norm-axis": ("LayerNormalization", [f32(2, 5, 6), f32(5, 6), f32(5, 6)], 2, {"axis": 1}),
    "skip-one": ("SkipLayerNormalization", [f32(2, 9, 32), f32(1, 9, 32), f32(32), f32(32)], 2, {"epsilon": 1e-5}),
    "skip-flat": ("SkipLayerNormalization", [f32(2, 9, 32), f32(9, 32), f32(32), f32(32), f32(32)], 3, {}),
    "skip-bias-only": ("SkipLayerNormalization", [f32(2, 9, 32), f32(2, 9, 32), f32(32), None, f32(32)], 3, {}),
    "attention-scale": ("Attention", [f32(2, 9, 32), WEIGHT, BIAS], 2, {"num_heads": 4, "scale": 0.2}),
    "attention-ends": ("Attention", [f32(2, 9, 32), WEIGHT, BIAS, np.array([9, 5], np.int32)], 2, {"num_heads": 4}),
    "attention-begins": (
        "Attention", [f32(2, 9, 32), WEIGHT, BIAS, np.array([9, 7, 0, 3], np.int32)], 2, {"num_heads": 4},
    ),
    "attention-rows": (
        "Attention", [f32(2, 9, 32), WEIGHT, BIAS, (RNG.random((2, 9, 9)) > 0.3).astype(np.int32)], 2, {"num_heads": 4},
    ),
    "attention-mask-causal": (
        "Attention", [f32(2, 9, 32), WEIGHT, BIAS, MASK], 2, {"num_heads": 4, "unidirectional": 1, "mask_filter_value": -3.4e38},
    ),
    "attention-past": ("Attention", [f32(2, 3, 32), WEIGHT, BIAS, None, PAST], 2, {"num_heads": 4}),
    "attention-past-causal": (
        "Attention", [f32(2, 3, 32), WEIGHT, BIAS, None, PAST], 2, {"num_heads": 4, "unidirectional": 1},
    ),
    "attention-past-one": (
        "Attention", [f32(2, 1, 32), WEIGHT, BIAS, MASK[:, :7], PAST], 2, {"num_heads": 4, "unidirectional": 1},
    ),
    "attention-scores": ("Attention", [f32(2, 9, 32), WEIGHT, BIAS, None, None, f32(2, 4, 9, 9)], 2, {"num_heads": 4}),
    "attention-scores-shared": (
        "Attention", [f32(2, 9, 32), WEIGHT, BIAS, MASK, None, f32(1, 4, 9, 9)], 2, {"num_heads": 4},
    ),
    "attention-widths": (
        "Attention", [f32(2, 9, 32), f32(32, 2 * 24 + 40) / 6, f32(88)], 2, {"num_heads": 4, "qkv_hidden_sizes": [24, 24, 40]},
    ),
    "rotary-part": (
        "RotaryEmbedding", [f32(2, 5, 60), np.array([3]), np.cos(ANGLES[:, :4]), np.sin(ANGLES[:, :4])], 3,
        {"rotary_embedding_dim": 8, "num_heads": 3},
    ),
    "rotary-part-pairs": (
        "RotaryEmbedding", [f32(2, 3, 5, 20), np.array([[4, 5, 6, 7, 8], [0, 1, 2, 3, 4]]), np.cos(ANGLES), np.sin(ANGLES)], 2,
        {"rotary_embedding_dim": 16, "num_heads": 3, "interleaved": 1},
    ),
    "rotary-computed-start": (
        "RotaryEmbedding", [f32(1, 5, 48), np.array([7]), np.cos(ANGLES), np.sin(ANGLES)], 2, {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_forms_against_onnxruntime(name: str) -> None:
    """Operands left out, computed or of other shapes; of attention with a past also what it keeps."""
    op, operands, constants, attributes = FORMS[name]
    present = [f"x{i}" if value is not None else "" for i, value in enumerate(operands)]
    fixed = set([i for i, value in enumerate(operands) if value is not None][1 : 1 + constants])
    if op == "RotaryEmbedding":
        fixed = {len(operands) - 1 - i for i in range(constants)}
    elif op in ("SkipLayerNormalization",):
        fixed = {i for i in range(2, len(operands)) if operands[i] is not None}
    code = helper.np_dtype_to_tensor_dtype
    outputs = ["y", "present"] if name.startswith("attention-past") else ["y"]
    node = helper.make_node(
        op, present, outputs, domain="" if op in STANDARD else "com.microsoft", **attributes
    )
    given = {f"x{i}": value for i, value in enumerate(operands) if value is not None and i not in fixed}
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(n, code(v.dtype), v.shape) for n, v in given.items()],
        [helper.make_tensor_value_info(n, 1, None) for n in outputs],
        [numpy_helper.from_array(operands[i], f"x{i}") for i in sorted(fixed)],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    wanted = onnxruntime.InferenceSession(made.SerializeToString()).run(None, given)
    prepared = type("Backend", (AscendBackend,), {"sanitize": True}).prepare(made)
    got = prepared.run(list(given.values()))
    assert prepared.engine_counts["aicpu"] == 0
    for one, other in zip(got, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=4e-3, atol=4e-3 * float(np.abs(other).max()))


def test_attention_without_bias() -> None:
    """onnxruntime 1.31 crashes on it; it is attention with a bias of zeros."""
    x = f32(2, 9, 32)
    results = [
        AscendBackend.prepare(model("Attention", [x], constants, {"num_heads": 4})[0]).run([x])[0]
        for constants in ([WEIGHT], [WEIGHT, np.zeros(96, np.float32)])
    ]
    np.testing.assert_allclose(*results, rtol=1e-3, atol=1e-3)


def test_what_is_rare_is_refused() -> None:
    angles = [np.array([0]), np.cos(ANGLES), np.sin(ANGLES)]
    made, _ = model("RotaryEmbedding", [f32(1, 3, 5, 16)], [*angles], {"is_packed_batching": 1})
    with pytest.raises(UnsupportedOpError, match="is_packed_batching = 1"):
        AscendBackend.prepare(made).run([f32(1, 3, 5, 16)])
