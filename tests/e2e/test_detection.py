"""NonMaxSuppression on boxes as a detector gives them, against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from ascend_mlir.runtime.onnx_backend import AscendBackend
from onnx import TensorProto, helper, numpy_helper


def model(shape: tuple[int, int, int], limit: int, iou: float, score: float | None, centre: int):
    batch, _, count = shape
    numbers = {"limit": np.array([limit]), "iou": np.array([iou], np.float32)}
    if score is not None:
        numbers["score"] = np.array([score], np.float32)
    node = helper.make_node(
        "NonMaxSuppression", ["boxes", "scores", *numbers], ["rows"], center_point_box=centre
    )
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [batch, count, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, list(shape)),
        ],
        [helper.make_tensor_value_info("rows", TensorProto.INT64, None)],
        [numpy_helper.from_array(v, k) for k, v in numbers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


@pytest.mark.parametrize(
    "centre, score, chip",
    [(0, None, "Ascend310P3"), (1, 0.4, "Ascend310P3"), (0, 2.0, "Ascend310P3"), (0, None, "Ascend310")],
)
def test_non_max_suppression(centre: int, score: float | None, chip: str) -> None:
    shape = (2, 3, 41)
    rng = np.random.default_rng(3)
    corner, size = rng.uniform(0, 400, (2, 41, 2)), rng.uniform(20, 200, (2, 41, 2))
    boxes = np.concatenate([corner, size if centre else corner + size], 2).astype(np.float32)
    boxes[0, 5] = boxes[0, 6]  # the same box twice
    if not centre:
        boxes[1, 3] = boxes[1, 3][[2, 3, 0, 1]]  # corners the other way round
    scores = rng.random(shape).astype(np.float32)
    made = model(shape, 4, 0.3, score, centre)
    (wanted,) = onnxruntime.InferenceSession(made.SerializeToString()).run(
        None, {"boxes": boxes, "scores": scores}
    )
    prepared = type("Backend", (AscendBackend,), {"soc": chip, "sanitize": True}).prepare(made)
    (got,) = prepared.run([boxes, scores])
    np.testing.assert_array_equal(got, wanted)
    assert wanted.shape == ((0, 3) if score == 2.0 else (24, 3)) or score == 0.4
