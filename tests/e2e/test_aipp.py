"""AIPP on the device: the picture goes in as bytes, and what comes out is what numpy preprocessing and onnxruntime give."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.passes.aipp_config import AippOp, parse_aipp
from ascend_mlir.runtime.session import InferenceSession
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
TOLERANCE = 2e-3
"""Relative to the largest output: f16 has 11 bits, sums of 27 products lose one or two."""

JPEG = [256, 0, 359, 256, -88, -183, 256, 454, 0]
NARROW_TO_YUV = [66, 129, 25, -38, -74, 112, 112, -94, -18]
MEAN = "mean_chn_0: 124 mean_chn_1: 117 mean_chn_2: 104 var_reci_chn_0: 0.0171248 var_reci_chn_1: 0.0175 var_reci_chn_2: 0.0174"
SMALL = "var_reci_chn_0: 0.0039 var_reci_chn_1: 0.0039 var_reci_chn_2: 0.0039"


def matrix(numbers: list[int]) -> str:
    return " ".join(f"matrix_r{i // 3}c{i % 3}: {number}" for i, number in enumerate(numbers))


CROP = "src_image_size_w: 40 src_image_size_h: 36 crop: true load_start_pos_w: 4 load_start_pos_h: 2 crop_size_w: 32 crop_size_h: 32"
PAD = (
    "src_image_size_w: 28 src_image_size_h: 26 padding: true left_padding_size: 1 right_padding_size: 3 "
    "top_padding_size: 2 bottom_padding_size: 4 padding_value: -1.5"
)
RESIZE = "src_image_size_w: 64 src_image_size_h: 64 resize: true resize_output_w: 32 resize_output_h: 32"
CASES = {
    "rgb": (3, f"input_format: RGB888_U8 {MEAN}"),
    "bgr": (3, f"input_format: RGB888_U8 rbuv_swap_switch: true {MEAN}"),
    "crop": (3, f"input_format: RGB888_U8 {CROP} {MEAN}"),
    "minimum": (3, f"input_format: RGB888_U8 min_chn_0: 0.5 min_chn_1: -1.25 min_chn_2: 3 {SMALL}"),
    "pad": (3, f"input_format: RGB888_U8 {PAD} {MEAN}"),
    "resize": (
        3, f"input_format: RGB888_U8 {RESIZE} {SMALL}",
    ),
    "to_yuv": (
        3, f"input_format: RGB888_U8 csc_switch: true {matrix(NARROW_TO_YUV)} output_bias_0: 20 {SMALL}",
    ),
    "xrgb": (3, f"input_format: XRGB8888_U8 ax_swap_switch: true {MEAN}"),
    "xbgr": (3, f"input_format: XRGB8888_U8 ax_swap_switch: true rbuv_swap_switch: true {MEAN}"),
    "four_channels": (4, f"input_format: XRGB8888_U8 {MEAN} mean_chn_3: 7"),
    "nv12": (3, f"input_format: YUV420SP_U8 csc_switch: true {matrix(JPEG)} input_bias_0: 0 {SMALL}"),
    "nv21_crop": (3, f"input_format: YUV420SP_U8 csc_switch: true rbuv_swap_switch: true {CROP} {SMALL}"),
    "yuv_as_it_is": (3, f"input_format: YUV420SP_U8 {SMALL}"),
    "grey": (1, f"input_format: YUV400_U8 {PAD} mean_chn_0: 128 var_reci_chn_0: 0.01"),
}  # fmt: skip


def network(channels: int, size: int = 32) -> onnx.ModelProto:
    rng = np.random.default_rng(3)
    weights = {
        "w": rng.normal(size=(8, channels, 3, 3)).astype(np.float32) * 0.2,
        "b": rng.normal(size=8).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("Relu", ["c"], ["y"], "relu"),
        ],
        "picture",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, channels, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# ------------------------------------------------------------------------------- AIPP in integers, for comparison


def unpacked(op: AippOp, picture: Array) -> Array:
    """Planes in their order: N, channels, H, W, as integers."""
    batch, rows, width, _ = picture.shape
    if op.input_format == "YUV420SP_U8":
        height = rows * 2 // 3
        luma = picture[:, :height].reshape(batch, 1, height, width)
        chroma = picture[:, height:].reshape(batch, height // 2, width // 2, 2)
        chroma = chroma.repeat(2, axis=1).repeat(2, axis=2).transpose(0, 3, 1, 2)
        if op.rbuv_swap_switch:
            chroma = chroma[:, ::-1]
        return np.concatenate([luma, chroma], 1).astype(np.int64)
    planes = picture.transpose(0, 3, 1, 2).astype(np.int64)
    if op.ax_swap_switch:
        planes = planes[:, [1, 2, 3, 0]]
    if op.rbuv_swap_switch:
        planes = planes[:, [2, 1, 0, *range(3, planes.shape[1])]]
    return planes


def converted(op: AippOp, planes: Array) -> Array:
    before = np.array(op.input_bias if op.is_yuv else (0, 0, 0))[:, None, None]
    after = np.array((0, 0, 0) if op.is_yuv else op.output_bias)[:, None, None]
    sums = np.einsum("ij,njhw->nihw", np.array(op.matrix), planes[:, :3] - before)
    return np.clip((sums >> 8) + after, 0, 255)


def halved(planes: Array) -> Array:
    """Bilinear by pixel centres from 64 to 32: the mean of four."""
    return (
        planes[..., 0::2, 0::2] + planes[..., 1::2, 0::2] + planes[..., 0::2, 1::2] + planes[..., 1::2, 1::2]
    ) / 4


def preprocessed(op: AippOp, picture: Array, channels: int) -> Array:
    planes = unpacked(op, picture)
    if op.crop:
        top, left = op.load_start_pos_h, op.load_start_pos_w
        planes = planes[:, :, top : top + op.crop_size_h, left : left + op.crop_size_w]
    if op.csc_switch:
        planes = converted(op, planes)
    values = halved(planes) if op.resize else planes
    values = values[:, :channels].astype(np.float64)
    row = [np.array(numbers[:channels])[:, None, None] for numbers in (op.mean, op.low, op.scale)]
    values = (values - row[0] - row[1]) * row[2]
    if op.padding:
        sides = ((op.top_padding_size, op.bottom_padding_size), (op.left_padding_size, op.right_padding_size))
        values = np.pad(values, ((0, 0), (0, 0), *sides), constant_values=op.padding_value)
    return values.astype(np.float32)


@pytest.mark.parametrize("soc", ["Ascend310P3", "Ascend310", "Ascend910A"])
@pytest.mark.parametrize("case", CASES)
def test_same_as_numpy_and_onnxruntime(case: str, soc: str) -> None:
    channels, body = CASES[case]
    config = f"aipp_op {{ aipp_mode: static related_input_rank: 0 {body} }}"
    model = network(channels)
    (op,) = parse_aipp(config)
    session = InferenceSession(compile_model(model, CompileOptions(soc=soc, aipp=config)).om)
    (entry,) = session.get_inputs()
    assert entry.type == "tensor(uint8)"
    picture = np.random.default_rng(1).integers(0, 256, size=entry.shape).astype(np.uint8)
    (found,) = session.run(None, {"x": picture})
    reference = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = reference.run(None, {"x": preprocessed(op, picture, channels)})
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_two_pictures_and_the_default_matrix() -> None:
    """Blocks for two inputs; the matrix that nobody gives turns narrow YUV into BGR."""
    (op,) = parse_aipp("aipp_op { aipp_mode: static input_format: YUV420SP_U8 csc_switch: true }")
    assert op.matrix == ((298, 516, 0), (298, -100, -208), (298, 0, 409)) and op.input_bias == (16, 128, 128)
    names = ("a", "b")
    graph = helper.make_graph(
        [helper.make_node("Add", [*names], ["y"], "add")],
        "two",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 16, 64]) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    block = "aipp_op {{ aipp_mode: static related_input_rank: {} input_format: {} }}\n"
    config = block.format(0, "RGB888_U8") + block.format(1, "YUV420SP_U8 csc_switch: true")
    session = InferenceSession(compile_model(model, CompileOptions(aipp=config)).om)
    rng = np.random.default_rng(2)
    feed = {
        item.name: rng.integers(0, 256, size=item.shape).astype(np.uint8) for item in session.get_inputs()
    }
    assert [array.shape for array in feed.values()] == [(1, 16, 64, 3), (1, 24, 64, 1)]
    first, second = parse_aipp(config)
    expected = preprocessed(first, feed["a"], 3) + preprocessed(second, feed["b"], 3)
    assert np.array_equal(session.run(None, feed)[0], expected)  # whole numbers below 2048 are exact in f16
