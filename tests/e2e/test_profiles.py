"""Models of several sizes: `atc` makes one file, which gives what onnxruntime gives for each size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ascend_mlir
import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.session import KEPT, InferenceSession
from ascend_mlir.tools.atc import main
from onnx import TensorProto, helper, numpy_helper

TOLERANCE = 4e-3
AIPP = (
    "aipp_op {{ aipp_mode: static input_format: RGB888_U8 {crop} "
    "mean_chn_0: 124 mean_chn_1: 117 mean_chn_2: 104 "
    "var_reci_chn_0: 0.0171248 var_reci_chn_1: 0.0175070 var_reci_chn_2: 0.0174292 }}\n"
)


def picture_net(tmp_path: Path) -> Path:
    """A picture of any size, in any number: convolutions, a residual, ten scores."""
    rng = np.random.default_rng(1)
    weights = {
        "w1": rng.normal(size=(16, 3, 3, 3)) * 0.2,
        "w2": rng.normal(size=(16, 16, 3, 3)) * 0.1,
        "fc": rng.normal(size=(16, 10)) * 0.2,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "conv_1", pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], "relu_1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "conv_2", pads=[1] * 4),
        helper.make_node("Add", ["c", "b"], ["d"], "add"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], "pool"),
        helper.make_node("Flatten", ["e"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "fc"], ["y"], "scores"),
    ]
    return _saved(tmp_path, nodes, {"x": ["n", 3, "h", "w"]}, weights)


def text_net(tmp_path: Path) -> Path:
    """Two inputs of the same open length: an attention in small."""
    rng = np.random.default_rng(2)
    weights = {"w": rng.normal(size=(32, 32)) * 0.2}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["q"], "query"),
        helper.make_node("Transpose", ["x"], ["k"], "key", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["s"], "score"),
        helper.make_node("Add", ["s", "mask"], ["m"], "masked"),
        helper.make_node("Softmax", ["m"], ["p"], "softmax", axis=-1),
        helper.make_node("MatMul", ["p", "x"], ["y"], "value"),
    ]
    return _saved(tmp_path, nodes, {"mask": ["n", 1, "t"], "x": ["n", "t", 32]}, weights)


def _saved(
    folder: Path, nodes: list[Any], inputs: dict[str, list[Any]], weights: dict[str, np.ndarray]
) -> Path:
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def atc(*flags: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(["--model=net.onnx", "--framework=5", "--output=net", "--soc_version=Ascend310P3", *flags])
    assert isinstance(done.value.code, int)
    return done.value.code


def check(om: Path, model: Path, feeds: list[dict[str, np.ndarray]]) -> InferenceSession:
    """Every feed through the one file, hazards checked, against onnxruntime."""
    session = InferenceSession(om, sanitize=True)
    reference = onnxruntime.InferenceSession(str(model))
    for feed in feeds:
        (got,), (want,) = session.run(None, feed), reference.run(None, feed)
        want = np.asarray(want)
        assert got.shape == want.shape
        assert float(np.abs(got - want).max()) <= TOLERANCE * float(np.abs(want).max())
    return session


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def test_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    model = picture_net(tmp_path)
    assert atc("--input_shape=x:-1,3,20,28", "--dynamic_batch_size=1,4,3") == 0
    assert "batch            4  " in capsys.readouterr().out
    session = check(tmp_path / "net.om", model, [{"x": noise(n, 3, 20, 28)} for n in (4, 1, 3, 4)])
    assert session.profile == 1 and session.report.cycles > 0
    (shown,) = session.get_inputs()
    assert shown.shape == [-1, 3, 20, 28]
    with pytest.raises(AscendError, match=r"x\[2, 3, 20, 28\]") as found:
        session.run(None, {"x": noise(2, 3, 20, 28)})
    assert found.value.expected == "batch 1; 4; 3"
    with pytest.raises(AscendError, match="'x' is missing"):
        session.run(None, {})
    session.select(2)
    assert session.om.inputs[0].shape[0] == 3
    with pytest.raises(AscendError, match="no profile 3"):
        session.select(3)


def test_weights_stand_in_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture_net(tmp_path)
    assert atc("--input_shape=x:4,3,20,28") == 0
    one = InferenceSession("net.om").om.weight_size
    assert atc("--input_shape=x:-1,3,20,28", "--dynamic_batch_size=1,4,3") == 0
    found = InferenceSession("net.om").profiles
    assert found is not None and found.weight_size <= 1.2 * one + 1024
    first = Path("net.om").read_bytes()
    assert atc("--input_shape=x:-1,3,20,28", "--dynamic_batch_size=1,4,3") == 0
    assert Path("net.om").read_bytes() == first


def test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = picture_net(tmp_path)
    assert atc("--input_shape=x:2,3,-1,-1", "--dynamic_image_size=16,16;33,20") == 0
    check(tmp_path / "net.om", model, [{"x": noise(2, 3, h, w)} for h, w in ((33, 20), (16, 16))])


def test_dims_in_the_order_of_the_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = text_net(tmp_path)
    shapes = "--input_shape=x:-1,-1,32;mask:-1,1,-1"
    assert atc("--input_format=ND", shapes, "--dynamic_dims=1,16,1,16;3,40,3,40") == 0
    feeds = [{"x": noise(n, t, 32), "mask": noise(n, 1, t)} for n, t in ((3, 40), (1, 16))]
    session = check(tmp_path / "net.om", model, feeds)
    assert session.profiles is not None and session.profiles.order == ("x", "mask")
    assert [arg.name for arg in session.get_inputs()] == ["mask", "x"]
    assert [arg.shape for arg in session.get_inputs()] == [[-1, 1, -1], [-1, -1, 32]]
    with pytest.raises(AscendError, match="no profile"):
        session.run(None, {"x": noise(3, 16, 32), "mask": noise(3, 1, 16)})


@pytest.mark.parametrize("flag", ["input_shape=x:1~5,3,20,28", "input_shape_range=x:[1~5,3,20,28]"])
def test_a_range_is_all_sizes_in_it(flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = picture_net(tmp_path)
    assert atc(f"--{flag}") == 0
    feeds = [{"x": noise(n, 3, 20, 28)} for n in (1, 2, 3, 4, 5)]
    session = check(tmp_path / "net.om", model, feeds)
    assert session.profiles is not None and len(session.profiles.branches) == 5 > KEPT


def test_a_range_of_one_size_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = picture_net(tmp_path)
    assert atc("--input_shape_range=x:[2~2,3,20,28]") == 0
    session = check(tmp_path / "net.om", model, [{"x": noise(2, 3, 20, 28)}])
    assert session.profiles is None and session.profile is None


@pytest.mark.parametrize("kind", ["batch", "image"])
def test_with_aipp(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is bytes; in other sizes it may not be cropped, whose sizes are fixed (E10052)."""
    monkeypatch.chdir(tmp_path)
    model = picture_net(tmp_path)
    crop = ""
    flags = ("--input_shape=x:1,3,-1,-1", "--dynamic_image_size=16,16;24,32")
    sizes = [(1, 24, 32), (1, 16, 16)]
    if kind == "batch":
        crop = "src_image_size_w: 32 src_image_size_h: 24"
        flags = ("--input_shape=x:-1,3,24,32", "--dynamic_batch_size=1,2")
        sizes = [(2, 24, 32), (1, 24, 32)]
    (tmp_path / "aipp.cfg").write_text(AIPP.format(crop=crop))
    assert atc(*flags, "--insert_op_conf=aipp.cfg") == 0
    session = InferenceSession(tmp_path / "net.om", sanitize=True)
    reference = onnxruntime.InferenceSession(str(model))
    mean, scale = np.array([124, 117, 104]), np.array([0.0171248, 0.0175070, 0.0174292])
    for n, h, w in sizes:
        image = np.random.default_rng(h).integers(0, 256, (n, h, w, 3), np.uint8)
        plain = ((image - mean) * scale).transpose(0, 3, 1, 2).astype(np.float32)
        (got,), (want,) = session.run(None, {"x": image}), reference.run(None, {"x": plain})
        assert float(np.abs(got - np.asarray(want)).max()) <= TOLERANCE * float(
            np.abs(np.asarray(want)).max()
        )


def test_aipp_of_one_size_does_not_fit_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture_net(tmp_path)
    (tmp_path / "aipp.cfg").write_text(AIPP.format(crop="src_image_size_w: 32 src_image_size_h: 24"))
    flags = ("--input_shape=x:1,3,-1,-1", "--dynamic_image_size=16,16;24,32", "--insert_op_conf=aipp.cfg")
    assert atc(*flags) == 1
    assert "E10052" in capsys.readouterr().out and not Path("net.om").exists()


def test_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What takes an offline model takes one of several sizes."""
    monkeypatch.chdir(tmp_path)
    model = picture_net(tmp_path)
    assert atc("--input_shape=x:-1,3,20,28", "--dynamic_batch_size=1,2", "--log=error") == 0
    want = onnxruntime.InferenceSession(str(model)).run(None, {"x": noise(2, 3, 20, 28)})[0]
    np.savez("case.npz", x=noise(2, 3, 20, 28), y=np.asarray(want))
    noise(2, 3, 20, 28).tofile("x.bin")

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            main(list(words))
        assert isinstance(done.value.code, int)
        return done.value.code, "".join(capsys.readouterr())

    for words, text in (
        (("run", "net.om", "--input=x.bin"), "profile 1: batch 2, of batch 1; 2"),
        (("run", "net.om", "--part=0"), "output y: float32[1, 10]"),
        (("run", "net.om", "--input=case.npz", "--json"), '"sizes": [\n    2\n  ]'),
        (("verify", "net.om"), "2 profiles (batch 1; 2)"),
        (("verify", "net.om", "--input=x.bin"), "1 outputs from the inputs given"),
        (("validate", "net.om", "case.npz"), "1 of 1 outputs agree"),
        (("benchmark", "net.om"), "net.om, sizes 2, on Ascend310P3"),
        (("profile", "net.om", "--part=1"), "Ascend310P3"),
        (("precision-compare", "net.onnx", "net.om", "--layer_level"), "cosine"),
        (("--mode=6", "--om=net.om"), "--dynamic_batch_size=1,2"),
        (("convert", "net.onnx", "--input_shape=x:-1,3,20,28", "--dynamic_batch_size=1,2", "--json"), '"profiles"'),
    ):  # fmt: skip
        status, out = run(*words)
        assert status == 0 and text in out, (words, out)
    status, out = run("run", "net.om", "--input=net.onnx")
    assert status == 1 and "13440 bytes, float32[2, 3, 20, 28]; 6720 bytes, float32[1, 3, 20, 28]" in out
    status, out = run("compare", "net.om", "net.om")
    assert status == 1 and "2 profiles of sizes" in out and "--part 0 to 1" in out


def test_hints_are_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture_net(tmp_path)
    assert atc("--input_shape=x:1,3,20,28", "--input_hint_shape=0:[1,3,20,28]") == 0
    assert "--input_hint_shape" in "".join(capsys.readouterr())


def test_from_python(tmp_path: Path) -> None:
    model = picture_net(tmp_path)
    shapes = [{"x": (1, 3, 20, 28)}, {"x": (2, 3, 16, 28)}]
    ascend_mlir.compile(model, input_shapes=shapes, output=tmp_path / "net.om")
    session = check(tmp_path / "net.om", model, [{"x": noise(2, 3, 16, 28)}, {"x": noise(1, 3, 20, 28)}])
    assert session.profiles is not None and session.profiles.sizes == ((1, 20), (2, 16))
    for wrong, code in (
        (shapes[:1], "E10035"),
        ([*shapes, {"y": (1,)}], "E10037"),
        ([shapes[0], shapes[0]], "E10039"),
    ):
        with pytest.raises(AscendError) as found:
            ascend_mlir.compile(model, input_shapes=wrong)
        assert found.value.code == code


@pytest.mark.parametrize("command", ["analyze", "op-check", "precheck"])
def test_what_looks_at_one_size_says_which(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture_net(tmp_path)
    with pytest.raises(SystemExit) as done:
        main([command, "net.onnx", "--input_shape=x:-1,3,20,28", "--dynamic_batch_size=1,4,2"])
    assert done.value.code == 0
    assert "of 3 profiles the largest was looked at: batch 4" in "".join(capsys.readouterr())
