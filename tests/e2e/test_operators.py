"""Single operators through the whole compiler and the simulator, against onnxruntime, on all three chips."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.runtime.onnx_backend import AscendBackend
from onnx import TensorProto, helper, numpy_helper

CHIPS = ("Ascend310P3", "Ascend310", "Ascend910A")
RNG = np.random.default_rng(3)


def weight(*shape: int) -> np.ndarray:
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    return (RNG.standard_normal(shape) / np.sqrt(fan)).astype(np.float32)


CASES = {
    "conv": ("Conv", [(1, 3, 17, 13)], [weight(17, 3, 3, 3), weight(17)], {"pads": [1, 1, 1, 1]}),
    "conv-1d": ("Conv", [(1, 17, 33)], [weight(8, 17, 3)], {"pads": [1, 1]}),
    "conv-same": ("Conv", [(1, 3, 15, 15)], [weight(8, 3, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "conv-wide-stride": ("Conv", [(1, 2, 700)], [weight(10, 2, 300), weight(10)], {"strides": [128], "pads": [50, 90]}),
    "conv-depthwise": ("Conv", [(1, 33, 14, 14)], [weight(33, 1, 3, 3)], {"group": 33, "pads": [1, 1, 1, 1]}),
    "conv-transpose": (
        "ConvTranspose", [(1, 8, 7, 9)], [weight(8, 5, 3, 3)], {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    "gemm": ("Gemm", [(3, 40)], [weight(10, 40), weight(10)], {"transB": 1}),
    "matmul": ("MatMul", [(2, 3, 17, 20), (2, 3, 20, 25)], [], {}),
    "max-pool": ("MaxPool", [(1, 17, 15, 13)], [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "max-pool-ceil": ("MaxPool", [(1, 16, 14, 14)], [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "average-pool": ("AveragePool", [(1, 16, 14, 14)], [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "average-pool-pad": ("AveragePool", [(1, 16, 9, 9)], [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    "global-average": ("GlobalAveragePool", [(3, 17, 7, 7)], [], {}),
    "global-max": ("GlobalMaxPool", [(1, 17, 13, 7)], [], {}),
    "softmax": ("Softmax", [(5, 197)], [], {"axis": -1}),
    "softmax-middle": ("Softmax", [(2, 30, 17)], [], {"axis": 1}),
    "layer-norm": ("LayerNormalization", [(4, 13, 96)], [weight(96), weight(96)], {"axis": -1}),
    "instance-norm": ("InstanceNormalization", [(2, 17, 14, 14)], [weight(17), weight(17)], {}),
    "lrn": ("LRN", [(1, 17, 9, 9)], [], {"size": 5}),
    "add-broadcast": ("Add", [(3, 17, 13), (17, 1)], [], {}),
    "mul-scalar": ("Mul", [(3, 1000), (1,)], [], {}),
    "transpose": ("Transpose", [(3, 17, 5, 33)], [], {"perm": [0, 2, 3, 1]}),
    "concat": ("Concat", [(1, 17, 5, 7), (1, 3, 5, 7)], [], {"axis": 1}),
    "slice": ("Slice", [(3, 17, 33)], [np.array([1, 2]), np.array([3, 30]), np.array([0, 2])], {}),
    "pad": ("Pad", [(1, 3, 13, 7)], [np.array([0, 0, 1, 2, 0, 0, 3, 4])], {"mode": "reflect"}),
    "resize-nearest": ("Resize", [(1, 17, 7, 7)], [np.array([], np.float32), np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest"}),
    "resize-linear": ("Resize", [(1, 5, 7, 7)], [np.array([], np.float32), np.array([1, 1, 2, 2], np.float32)], {"mode": "linear"}),
    "depth-to-space": ("DepthToSpace", [(1, 36, 7, 5)], [], {"blocksize": 3}),
    "reduce-mean": ("ReduceMean", [(3, 17, 40)], [], {"axes": [2], "keepdims": 1}),
    "reduce-max": ("ReduceMax", [(3, 17, 40)], [], {"axes": [1], "keepdims": 0}),
    "reduce-sum-all": ("ReduceSum", [(30, 1700)], [np.array([0, 1])], {"keepdims": 0}),
} | {
    op.lower(): (op, [(2, 17, 9, 9)], [], {})
    for op in ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "HardSwish", "LeakyRelu", "Elu", "Softplus", "Erf", "Floor", "Ceil", "Atan")
}  # fmt: skip


def build(case: str) -> tuple[onnx.ModelProto, list[np.ndarray]]:
    op, shapes, constants, attributes = CASES[case]
    rng = np.random.default_rng(len(case))
    names = [f"x{i}" for i in range(len(shapes))]
    weights = [numpy_helper.from_array(c, f"c{i}") for i, c in enumerate(constants)]
    node = helper.make_node(op, [*names, *(w.name for w in weights)], ["y"], name=case, **attributes)
    graph = helper.make_graph(
        [node],
        case,
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    # values that f16 holds: floor and ceil jump between neighbours
    return model, [rng.standard_normal(s).astype(np.float16).astype(np.float32) for s in shapes]


@pytest.mark.parametrize("soc", CHIPS)
@pytest.mark.parametrize("case", CASES)
def test_operator(case: str, soc: str) -> None:
    model, inputs = build(case)
    backend = type("Backend", (AscendBackend,), {"soc": soc, "sanitize": True})
    prepared = backend.prepare(model)
    (got,) = prepared.run(inputs)
    feed = {f"x{i}": array for i, array in enumerate(inputs)}
    (want,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    peak = max(float(np.abs(want).max()), 1e-2)
    assert float(np.abs(got - want).max()) <= 1e-2 * peak
    assert prepared.engine_counts["aicpu"] == 0
