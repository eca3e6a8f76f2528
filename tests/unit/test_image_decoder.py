"""ImageDecoder: pictures on the AI CPU, their size declared or not, damaged and hostile files."""

from __future__ import annotations

import io
import random
import sys
import zlib

import numpy as np
import onnx
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.aicpu.images import MOST_PIXELS
from ascend_mlir.runtime.errors import AscendError, UnsupportedOpError
from ascend_mlir.runtime.session import InferenceSession
from onnx import TensorProto, helper

Image = pytest.importorskip("PIL.Image")

PIXELS = np.random.default_rng(5).integers(0, 256, (12, 20, 3)).astype(np.uint8)
EXACT = ["bmp", "png", "tiff", "ppm"]
"""Formats that keep every pixel."""


def encoded(kind: str, pixels: np.ndarray = PIXELS) -> np.ndarray:
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, format=kind)
        return np.frombuffer(file.getvalue(), np.uint8)


def session_of(length: int, shape: list[int] | None, then: str = "", **attributes: str) -> InferenceSession:
    nodes = [helper.make_node("ImageDecoder", ["x"], ["y"], name="decode", **attributes)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.UINT8, shape)]
    values: list[onnx.ValueInfoProto] = []
    if then:
        nodes += [
            helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT),
            helper.make_node(then, ["z"], ["o"]),
        ]
        values, outputs = outputs, [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [length])
    graph = helper.make_graph(nodes, "g", [x], outputs, value_info=values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return InferenceSession(compile_model(model, CompileOptions()).bytes, sanitize=True)


@pytest.mark.parametrize("kind", EXACT)
def test_pixels_of_exact_formats(kind: str) -> None:
    data = encoded(kind)
    for shape in (None, [12, 20, 3], ["h", "w", 3]):
        (found,) = session_of(data.size, shape).run(None, {"x": data})  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, PIXELS)


@pytest.mark.parametrize("kind", ["jpeg", "jpeg2000", "webp"])
def test_pixels_of_lossy_formats_are_the_decoders(kind: str) -> None:
    data = encoded(kind)
    wanted = np.asarray(Image.open(io.BytesIO(data.tobytes())))
    (found,) = session_of(data.size, None).run(None, {"x": data})
    np.testing.assert_array_equal(found, wanted)


def test_formats_of_pixels() -> None:
    data = encoded("png")
    np.testing.assert_array_equal(
        session_of(data.size, None, pixel_format="BGR").run(None, {"x": data})[0], PIXELS[:, :, ::-1]
    )
    grey = session_of(data.size, None, pixel_format="Grayscale").run(None, {"x": data})[0]
    np.testing.assert_array_equal(grey[:, :, 0], np.asarray(Image.fromarray(PIXELS).convert("L")))
    one = encoded("png", PIXELS[:, :, 0])  # a grey file gives three equal channels
    (found,) = session_of(one.size, None).run(None, {"x": one})
    np.testing.assert_array_equal(found, np.repeat(PIXELS[:, :, :1], 3, 2))


def test_a_declared_size_can_be_computed_with() -> None:
    data = encoded("png")
    session = session_of(data.size, [12, 20, 3], "Relu")
    np.testing.assert_array_equal(session.run(None, {"x": data})[0], PIXELS.astype(np.float32))
    assert session.engine_counts["aicpu"] == 1 and session.engine_counts["aicore"] >= 1
    (task,) = [task for task in session.report.tasks if task.task_type == "AI_CPU"]
    assert "stream of bits" in task.reason
    with pytest.raises(UnsupportedOpError, match="depends on data"):
        session_of(data.size, None, "Relu")


def test_another_size_than_declared_is_an_error() -> None:
    data = encoded("png", PIXELS[:6])
    with pytest.raises(AscendError, match=r"E43010.*6 × 20 pixels; the model says 12 × 20"):
        session_of(data.size, [12, 20, 3]).run(None, {"x": data})
    with pytest.raises(AscendError, match=r"E43010.*no picture"):
        session_of(8, [12, 20, 3]).run(None, {"x": np.zeros(8, np.uint8)})


def test_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnsupportedOpError, match=r"decode.*\[12, 20, 1\] for 3 channels"):
        session_of(10, [12, 20, 1])
    with pytest.raises(UnsupportedOpError, match="pixel_format"):
        session_of(10, None, pixel_format="YUV")


def test_what_is_no_picture_is_an_empty_one() -> None:
    whole = encoded("png")
    for data in (
        np.zeros(64, np.uint8),
        whole[: whole.size // 2],
        np.frombuffer(b"%!PS-Adobe-3.0 EPSF\n", np.uint8),
    ):
        assert session_of(data.size, None).run(None, {"x": data})[0].shape == (0, 0, 3)


def bomb(rows: int, columns: int) -> np.ndarray:
    """A PNG file of few bytes whose header states that many pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    header = columns.to_bytes(4, "big") + rows.to_bytes(4, "big") + bytes((8, 2, 0, 0, 0))
    file = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10000)))
        + chunk(b"IEND", b"")
    )
    return np.frombuffer(file, np.uint8)


@pytest.mark.parametrize("rows", [(MOST_PIXELS >> 10) + 1, 90_000, 1 << 20, 1 << 30])
def test_bombs_are_refused_before_they_are_decoded(rows: int) -> None:
    data = bomb(rows, 1024)
    with pytest.raises(AscendError, match=r"E43010.*ImageDecoder"):
        session_of(data.size, None).run(None, {"x": data})
    with pytest.raises(AscendError, match=r"E43010.*ImageDecoder"):
        session_of(data.size, [12, 20, 3]).run(None, {"x": data})


@pytest.mark.parametrize("kind", [*EXACT, "jpeg", "jpeg2000", "webp"])
def test_damaged_files_end_in_pixels_nothing_or_an_error(kind: str) -> None:
    rng = random.Random(3)
    whole = encoded(kind)
    session = session_of(whole.size, None)
    for _ in range(40):
        data = whole.copy()
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(data.size)] = rng.randrange(256)
        try:
            (found,) = session.run(None, {"x": data})
        except AscendError as error:
            assert error.code == "E43010"
            continue
        assert found.ndim == 3 and found.shape[2] == 3


def test_without_pillow_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded("png")
    session = session_of(data.size, None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(AscendError, match=r"E40020.*pillow"):
        session.run(None, {"x": data})
