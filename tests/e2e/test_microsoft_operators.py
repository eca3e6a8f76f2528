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


def test_what_is_rare_is_refused() -> None:
    made, _ = model("FusedMatMul", [f32(2, 3, 3), f32(2, 3, 3)], [], {"transBatchA": 1})
    with pytest.raises(UnsupportedOpError, match="transBatchA = 1"):
        AscendBackend.prepare(made).run([f32(2, 3, 3), f32(2, 3, 3)])
