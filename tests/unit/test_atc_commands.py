"""The sub-commands that look at models: op-check, precheck, analyze, precision-compare."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ascend_mlir.tools.atc import main
from ascend_mlir.tools.atc_commands import COMMANDS, Command
from ascend_mlir.tools.layer_compare import LayerDistance, without_parts
from ascend_mlir.tools.tensor_distance import distance
from onnx import TensorProto, helper, numpy_helper

MINE = ("op-check", "precheck", "analyze", "precision-compare")
HELP_SECONDS = 0.3
CHECK_SECONDS = 3.0


def atc(*words: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    assert isinstance(done.value.code, int)
    return done.value.code


def network(*, last: str = "Relu", domain: str = "", size: Any = 16) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(16, 3, 3, 3)).astype(np.float32) * 0.2,
        "w2": rng.normal(size=(10, 16, 1, 1)).astype(np.float32) * 0.2,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "conv_1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu_1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "conv_2"),
        helper.make_node(last, ["c2"], ["r2"], "last_1", domain=domain),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], "pool_1"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten_1"),
        helper.make_node("Softmax", ["f"], ["y"], "softmax_1"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, size, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(network(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_there_and_told_of(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(command.load())
    assert atc("--help") == 0
    assert f"  {command.name} " in capsys.readouterr().out


@pytest.mark.parametrize("name", MINE)
def test_help_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc(name, "--help") == 0
    out = capsys.readouterr().out
    assert f"example:\n  atc {name} " in out and "--json" in out


def test_help_is_quick() -> None:
    """The best of five, in time of the processor: it waits for nothing else, and the machine does other things too."""

    def once() -> float:
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = "import sys; from ascend_mlir.tools.atc import main; sys.argv = ['atc', '--help']; main()"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime

    assert min(once() for _ in range(5)) < HELP_SECONDS


# ------------------------------------------------------------------------------- op-check and precheck


def test_op_check_of_a_good_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc("op-check", model, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["supported"] and found["nodes"] == 7 and found["unsupported"] == 0
    engines = {op["name"]: op.get("engine") for op in found["ops"]}
    assert engines["conv_1"] == "cube" and engines["softmax_1"] == "vector"


def test_op_check_names_what_would_help(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(network(last="Frobnicate", domain="custom", size="h"), model)
    assert atc("op-check", model) == 1
    out = capsys.readouterr().out
    assert '--input_shape="x:2,3,224,16"' in out and "custom::Frobnicate 'last_1'" in out
    assert "no parser is registered" in out and "what would help: a custom operator" in out
    assert "1 of 7 nodes cannot be compiled" in out


def test_op_check_of_a_misspelt_operator(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(network(last="LeakyReLU"), model)
    assert atc("op-check", model, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    (bad,) = [op for op in found["ops"] if not op["supported"]]
    assert bad["name"] == "last_1" and "LeakyReLU:LeakyRelu" in bad["remedy"]


def test_op_check_deep_finds_what_generators_refuse(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc("op-check", model, "--deep", "--json") == 0
    assert json.loads(capsys.readouterr().out)["supported"]


def test_op_check_of_many_nodes_is_quick(tmp_path: Path) -> None:
    """2000 nodes; processor time of the whole command, because the machine is shared."""
    nodes = [
        helper.make_node(
            ("Conv", "Relu", "Sigmoid", "Mul", "Add")[i % 5], _operands(i), [f"t{i}"], f"n{i}", **_pads(i)
        )
        for i in range(2000)
    ]
    weight = numpy_helper.from_array(np.ones((16, 16, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        nodes,
        "deep",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 32, 32])],
        [helper.make_tensor_value_info("t1999", TensorProto.FLOAT, None)],
        [weight],
    )
    path = tmp_path / "deep.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    code = (
        "import sys, time; from ascend_mlir.tools.op_check import run_command; "
        "run_command([sys.argv[1]]); print(time.process_time(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    assert "every node can be compiled" in done.stdout
    assert float(done.stderr.splitlines()[-1]) < CHECK_SECONDS


def _operands(i: int) -> list[str]:
    before = f"t{i - 1}" if i else "x"
    return {0: [before, "w"], 3: [before, f"t{i - 2}"], 4: [before, f"t{i - 5}" if i > 4 else "x"]}.get(
        i % 5, [before]
    )


def _pads(i: int) -> dict[str, Any]:
    return {"pads": [1, 1, 1, 1]} if i % 5 == 0 else {}


def test_precheck(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc("precheck", model, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [check["question"] for check in found["checks"]] == [
        "file",
        "opset",
        "weights",
        "flags",
        "inputs",
        "operators",
        "memory",
    ]
    assert {check["verdict"] for check in found["checks"]} == {"ok"}


@pytest.mark.parametrize(
    ("words", "question", "text"),
    [
        (["nowhere.onnx"], "file", "E13000"),
        (["net.onnx", "--soc_version=Ascend310P"], "flags", "E10001"),
        (["net.onnx", "--input_shape=y:1"], "inputs", "E10016"),
        (["open.onnx"], "inputs", "E10011"),
        (["strange.onnx"], "operators", "last_1"),
        (["external.onnx"], "weights", "weights.bin"),
    ],
)
def test_precheck_finds(
    words: list[str], question: str, text: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(network(size="h"), "open.onnx")
    onnx.save(network(last="Frobnicate", domain="custom"), "strange.onnx")
    onnx.save(
        network(), "external.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    Path("weights.bin").unlink()
    assert atc("precheck", *words, "--json") == 1
    bad = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["verdict"] == "fail"]
    assert question in [check["question"] for check in bad] and any(text in check["detail"] for check in bad)


@pytest.mark.parametrize("name", MINE)
def test_wrong_use_of_a_command(name: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in model.parent.iterdir())
    assert atc(name) == 1 and atc(name, "nowhere.onnx", "nowhere.om") == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert sorted(path.name for path in model.parent.iterdir()) == before


# ------------------------------------------------------------------------------- analyze


def test_analyze(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc("analyze", model, "--json", "--report=page.html") == 0
    found = json.loads(capsys.readouterr().out)
    by_name = {layer["name"]: layer for layer in found["layers"]}
    assert (
        by_name["conv_1"]["macs"] == 2 * 16 * 16 * 16 * 3 * 9 and by_name["conv_1"]["parameters"] == 16 * 27
    )
    assert by_name["conv_2"]["macs"] == 2 * 10 * 16 * 16 * 16 and by_name["relu_1"]["macs"] == 0
    assert by_name["conv_1"]["engine"] == "cube" and by_name["conv_1"]["bound"]
    assert by_name["conv_1"]["shape"] == [2, 16, 16, 16]
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"]) and found["cycles"] > 0
    assert sum(group["cycles"] for group in found["groups"]) == found["cycles"]
    page = Path("page.html").read_text()
    assert "conv_1" in page and "<svg" in page and "http" not in page.replace("http-equiv", "")


# ------------------------------------------------------------------------------- precision-compare


def test_compare(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc("convert", model) == 0
    capsys.readouterr()
    words = ["precision-compare", model, "net.om", "--layer_level", "--json", "--report=compare.html"]
    assert atc(*words) == 0
    found = json.loads(capsys.readouterr().out)
    (output,) = found["outputs"]
    assert (
        output["name"] == "y"
        and output["cosine"] > 0.9999
        and output["top1"] == 1.0
        and output["max_error"] < 1e-3
    )
    assert found["first_bad"] is None
    compared = {layer["tensor"] for layer in found["layers"]}
    assert {"r1", "r2", "y"} <= compared and all(layer.get("cosine", 1) > 0.999 for layer in found["layers"])
    assert "compare.html" in [path.name for path in Path().iterdir()]


def test_compare_names_the_first_operator_that_goes_wrong(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The source gets other weights in its second convolution than the file was made with."""
    assert atc("convert", model) == 0
    other = network()
    weight = numpy_helper.to_array(other.graph.initializer[1])
    other.graph.initializer[1].CopyFrom(numpy_helper.from_array(-weight, "w2"))
    onnx.save(other, "other.onnx")
    capsys.readouterr()
    assert atc("precision-compare", "other.onnx", "net.om", "--layer_level") == 1
    out = capsys.readouterr().out
    assert "first outside the limits: last_1" in out and "conv_2" in out and "NOT within the limits" in out


def test_compare_refuses_what_does_not_fit(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("aipp.cfg").write_text("aipp_op { aipp_mode: static input_format: RGB888_U8 }")
    assert atc("convert", model, "--insert_op_conf=aipp.cfg") == 0
    assert atc("precision-compare", model, "net.om") == 1
    assert "a picture for AIPP" in capsys.readouterr().err


def test_compare_takes_the_source_its_own_input(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("aipp.cfg").write_text(
        "aipp_op { aipp_mode: static input_format: RGB888_U8 var_reci_chn_0: 0.01 var_reci_chn_1: 0.01 var_reci_chn_2: 0.01 }"
    )
    assert atc("convert", model, "--insert_op_conf=aipp.cfg") == 0
    picture = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    np.save("picture.npy", picture)
    np.save("floats.npy", (picture.transpose(0, 3, 1, 2) * np.float32(0.01)).astype(np.float32))
    words = ["precision-compare", model, "net.om", "--input=picture.npy", "--source_input=floats.npy"]
    assert atc(*words) == 0
    assert "within the limits" in capsys.readouterr().out


def test_distances() -> None:
    rng = np.random.default_rng(0)
    b = rng.normal(size=(4, 10)).astype(np.float32)
    same = distance(b, b)
    assert (same.cosine, same.relative, same.max_error, same.top1, same.top5) == (
        pytest.approx(1.0),
        0.0,
        0.0,
        1.0,
        1.0,
    )
    assert same.psnr == float("inf") and same.ssim is None
    turned = distance(-b, b)
    assert (
        turned.cosine == pytest.approx(-1.0)
        and turned.relative == pytest.approx(2.0)
        and not turned.is_good()
    )
    picture = rng.normal(size=(1, 3, 16, 16))
    noisy = distance(picture + 0.01, picture)
    assert noisy.ssim is not None and 0.9 < noisy.ssim < 1.0 and noisy.max_error == pytest.approx(0.01)
    assert noisy.psnr == pytest.approx(20 * np.log10((picture.max() - picture.min()) / 0.01))
    assert not distance(np.array([np.nan, 1.0]), np.array([1.0, 1.0])).is_good()
    assert distance(np.array([np.inf, 1.0]), np.array([np.inf, 1.0])).is_good()


def test_parts_of_a_tensor_are_not_taken_for_mistakes() -> None:
    near, far = distance(np.ones(4), np.ones(4)), distance(-np.ones(4), np.ones(4))
    layers = [
        LayerDistance("a", "Conv", ("shuffle",), "t", (4,), far),
        LayerDistance("b", "Conv", ("shuffle",), "t", (4,), near),
        LayerDistance("c", "Conv", ("wrong",), "u", (4,), far),
        LayerDistance("d", "TransData", ("wrong",), "u", (4,), far),
    ]
    found = without_parts(layers)
    assert found[0].distance is None and "which b completes" in found[0].note
    assert [layer.distance for layer in found[1:]] == [near, far, far]


def test_a_named_size_is_assumed_once(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A state of 2 x batch x 128 beside a batch of rows: 1 for the batch of both."""
    nodes = [helper.make_node("Add", ["rows", "state"], ["y"], "add")]
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", 128])
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, "batch", 128])
    graph = helper.make_graph(
        nodes, "g", [rows, state], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    assert atc("op-check", model, "--json") == 0
    assert json.loads(capsys.readouterr().out)["guessed_shapes"] == {"rows": [1, 128], "state": [2, 1, 128]}


# ------------------------------------------------------------------------------- every command


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_has_an_example_and_json(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([command.name, "--help"])
    out = capsys.readouterr().out
    assert done.value.code == 0 and f"example:\n  atc {command.name} " in out and "--json" in out


def test_convert_for_scripts(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: str) -> tuple[int, dict[str, Any]]:
        with pytest.raises(SystemExit) as done:
            main(["convert", *words, "--json"])
        assert isinstance(done.value.code, int)
        return done.value.code, json.loads(capsys.readouterr().out)

    status, found = told(str(model), f"--output={tmp_path / 'out'}", "--virtual_type=1")
    assert status == 0 and found["result"] == "success" and Path(found["output"]).is_file()
    assert found["tasks"] > 0 and found["cycles"] > 0 and found["weight_size"] > 0
    assert [note for note in found["notes"] if "--virtual_type" in note]
    for words, code in (
        (["nowhere.onnx"], "E13000"),
        ([str(model), "--bogus=1"], "E10014"),
        ([str(model), "--mode=3"], "E10014"),
    ):
        status, found = told(*words)
        assert status == 1 and found["result"] == "failed" and found["error"]["code"] == code


def _chain(depth: int) -> onnx.ModelProto:
    """Small convolutions behind each other: the compiler keeps their numbers in two terms (decision 0010)."""
    rng = np.random.default_rng(3)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    for i in range(depth):
        array = rng.normal(size=(8, 3 if i == 0 else 8, 3, 3)).astype(np.float32) * 0.2
        weights.append(numpy_helper.from_array(array, f"w{i}"))
        source = "x" if i == 0 else f"r{i - 1}"
        nodes.append(helper.make_node("Conv", [source, f"w{i}"], [f"c{i}"], f"conv_{i}", pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"], f"relu_{i}"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info(f"r{depth - 1}", TensorProto.FLOAT, None)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_tensors_in_two_terms_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, om = tmp_path / "chain.onnx", tmp_path / "chain.om"
    onnx.save(_chain(6), path)
    assert atc("convert", path, f"--output={om}", "--log=error") == 0
    capsys.readouterr()
    assert atc("precision-compare", path, om, "--layer_level", "--json") == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    terms = [layer for layer in layers if layer.get("note") == "the sum of its two terms"]
    assert len(terms) >= 4
    for layer in terms:  # f32 but for the last bits: one term alone would be a thousand times as far
        assert layer["relative"] < 1e-5, layer


def test_products_of_open_sizes_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes come from the import, which knows them where ONNX's own inference gives up."""
    shape = helper.make_node("Shape", ["x"], ["s"], "shape_1")
    nodes = [
        shape,
        helper.make_node("Gather", ["s", "zero"], ["n"], "gather_1"),
        helper.make_node("Unsqueeze", ["n", "zero_1"], ["n1"], "unsqueeze_1"),
        helper.make_node("Concat", ["n1", "rest"], ["to"], "concat_1", axis=0),
        helper.make_node("Reshape", ["x", "to"], ["r"], "reshape_1"),
        helper.make_node("MatMul", ["r", "w"], ["y"], "mm_1"),
    ]
    constants = {
        "zero": np.array(0),
        "zero_1": np.array([0]),
        "rest": np.array([4, 8]),
        "w": np.ones((8, 16), np.float32),
    }
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "p", "q"])
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 32])],
        [output],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        value_info=[helper.make_tensor_value_info("r", TensorProto.FLOAT, ["n", "a", "b"])],
    )
    path = tmp_path / "open.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    assert atc("analyze", path, "--input_shape=x:2,32", "--json", "--report=-") == 0
    assert json.loads(capsys.readouterr().out)["macs"] == 2 * 4 * 8 * 16


def _heads() -> onnx.ModelProto:
    """Square products with a transpose behind them: inputs, results and their other orders all have the same size."""
    rng = np.random.default_rng(5)
    nodes = [
        helper.make_node("MatMul", ["x", "wq"], ["q"], "query"),
        helper.make_node("MatMul", ["x", "wk"], ["k"], "key"),
        helper.make_node("Reshape", ["q", "split"], ["q3"], "reshape_q"),
        helper.make_node("Reshape", ["k", "split"], ["k3"], "reshape_k"),
        helper.make_node("Transpose", ["q3"], ["qh"], "transpose_q", perm=[1, 0, 2]),
        helper.make_node("Transpose", ["k3"], ["kh"], "transpose_k", perm=[1, 2, 0]),
        helper.make_node("Mul", ["qh", "scale"], ["qs"], "scale_q"),
        helper.make_node("MatMul", ["qs", "kh"], ["s"], "scores"),
        helper.make_node("Softmax", ["s"], ["y"], "softmax_1"),
    ]
    constants = {
        "wq": rng.normal(size=(32, 32)).astype(np.float32) * 0.3,
        "wk": rng.normal(size=(32, 32)).astype(np.float32) * 0.3,
        "split": np.array([32, 2, 16]),
        "scale": np.array(0.25, np.float32),
    }
    return _model(nodes, constants, [32, 32])


def _model(nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: list[int]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _detector() -> onnx.ModelProto:
    """A convolution whose result is read with the channels last."""
    weight = np.random.default_rng(6).normal(size=(6, 16, 3, 3)).astype(np.float32) * 0.2
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv_1", pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["c"], ["t"], "transpose_1", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["t", "to"], ["y"], "reshape_1"),
    ]
    return _model(nodes, {"w": weight, "to": np.array([1, -1, 2])}, [1, 16, 8, 12])


def _steps() -> onnx.ModelProto:
    """A node that becomes many operators: its steps."""
    rng = np.random.default_rng(7)
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["l", "h"], "lstm_1", hidden_size=16),
        helper.make_node("Squeeze", ["l", "one"], ["y"], "squeeze_1"),
    ]
    weights = {name: rng.normal(size=(1, 64, 16)).astype(np.float32) * 0.3 for name in ("w", "r")}
    return _model(nodes, {**weights, "one": np.array([1])}, [5, 1, 16])


@pytest.mark.parametrize("make", [_heads, _detector, _steps])
def test_no_operator_of_a_good_model_is_named(
    make: Callable[[], onnx.ModelProto], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, om = tmp_path / "m.onnx", tmp_path / "m.om"
    onnx.save(make(), path)
    assert atc("convert", path, f"--output={om}", "--log=error") == 0
    capsys.readouterr()
    assert atc("precision-compare", path, om, "--layer_level", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["first_bad"] is None
    assert sum("relative" in layer for layer in found["layers"]) >= 2
