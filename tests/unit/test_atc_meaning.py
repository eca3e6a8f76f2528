"""Flags that mean something do it: element types, precision, switched-off rules, renamed operators, and the other modes."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.runtime.isa.disassembler import disassemble
from ascend_mlir.runtime.om.reader import read_container, read_definition, read_om
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.tools.ascend_opt import main as ascend_opt
from ascend_mlir.tools.atc import main
from google.protobuf import text_format
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]


def network(relu: str = "Relu") -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    weights = {
        "w": rng.normal(size=(16, 3, 3, 3)).astype(np.float32) * 0.2,
        "scale": rng.normal(size=16).astype(np.float32),
        "bias": rng.normal(size=16).astype(np.float32),
        "mean": rng.normal(size=16).astype(np.float32),
        "var": rng.uniform(0.5, 2, size=16).astype(np.float32),
        "fc": rng.normal(size=(16, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["n"], "norm"),
        helper.make_node(relu, ["n"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["m"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Sigmoid", ["m"], ["s"], "sigmoid"),
        helper.make_node("Mul", ["m", "s"], ["u"], "mul"),
        helper.make_node("GlobalAveragePool", ["u"], ["g"], "mean_pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "fc"], ["y"], "fc"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def atc(*words: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(network(), "m.onnx")
    return tmp_path / "m.onnx"


def ran(words: list[str], x: Array) -> Array:
    assert atc("convert", "m.onnx", "--output=m", *words) == 0
    session = InferenceSession("m.om")
    return session.run(None, {"x": x})[0]


def picture() -> Array:
    return np.random.default_rng(2).normal(size=(1, 3, 16, 16)).astype(np.float32)


def expected(x: Array, tensor: str = "") -> Array:
    proto = network()
    if tensor:
        proto.graph.output[0].name = tensor
    return onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )[0]


def tasks() -> int:
    return len(read_om("m.om").tasks)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--precision_mode=force_fp32"],
        ["--precision_mode=allow_fp32_to_fp16"],
        ["--precision_mode_v2=cube_fp16in_fp32out"],
        ["--precision_mode_v2=mixed_float16"],
        ["--op_select_implmode=high_precision"],
        ["--op_select_implmode=high_precision", "--optypelist_for_implmode=Sigmoid,Mul"],
        ["--op_select_implmode=high_precision_for_all"],
        ["--fusion_switch_file=off.json"],
        ["--oo_level=O1"],
        ["--buffer_optimize=off_optimize"],
        ["--optimization_switch=ConvBatchnormFusionPass:off"],
        ["--aicore_num=1"],
        ["--aicore_num=3|", "--disable_reuse_memory=1"],
        ["--soc_version=Ascend310", "--precision_mode=force_fp32"],
        ["--soc_version=Ascend910A", "--precision_mode=force_fp32"],
    ],
    ids=lambda words: " ".join(words) or "usual",
)
def test_same_result_by_another_way(words: list[str], model: Path) -> None:
    Path("off.json").write_text('{"Switch":{"GraphFusion":{"ALL":"off"},"UBFusion":{"ALL":"off"}}}')
    x = picture()
    wanted = expected(x)
    assert np.abs(ran(words, x) - wanted).max() <= 4e-3 * np.abs(wanted).max()


def test_fusion_that_is_switched_off_makes_more_tasks(model: Path) -> None:
    x = picture()
    ran([], x)
    usual = tasks()
    Path("off.cfg").write_text("TbeEltwiseFusionPass:off\n")
    ran(["--fusion_switch_file=off.cfg"], x)
    vector = tasks()
    Path("off.json").write_text('{"Switch":{"UBFusion":{"ALL":"off","TbeEltwiseFusionPass":"on"}}}')
    ran(["--fusion_switch_file=off.json"], x)
    cube = tasks()
    ran(["--oo_level=O1"], x)
    assert tasks() > max(vector, cube) >= min(vector, cube) > usual


def kept(words: list[str]) -> set[str]:
    """Element types in which the kernel with the sigmoid multiplies."""
    ran(words, picture())
    om = read_om("m.om")
    (task,) = [task for task in om.tasks if any("sigmoid" in names for names in task.sources)]
    kernel = om.kernel(task.kernel)
    assert kernel is not None
    return {word.partition(".")[2] for word in disassemble(kernel.code).split() if word.startswith("vmul.")}


@pytest.mark.parametrize(
    ("flag", "content"),
    [
        ("keep_dtype", "sigmoid\nmul\n"),
        ("keep_dtype", "OpType::Sigmoid\nOpType::Mul\n"),
        ("op_precision_mode", "[ByNodeName]\nsigmoid=high_precision\nmul=high_precision\n"),
        ("op_precision_mode", "Sigmoid=high_precision\nMul=high_precision\n"),
        (
            "customize_dtypes",
            "OpType::Sigmoid:InputDtype:float32,OutputDtype:float32\nmul::InputDtype:float32,OutputDtype:float32\n",
        ),
    ],
)
def test_operators_that_keep_f32(
    flag: str, content: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kept([]) == {"f16"}
    Path("list.txt").write_text(content)
    assert kept([f"--{flag}=list.txt"]) == {"f32"}


@pytest.mark.parametrize("names", ["sigmoid;mul", "OpType::Sigmoid; OpType::Mul", "sigmoid,OpType::Mul"])
def test_names_of_operators_that_keep_f32(names: str, model: Path) -> None:
    assert kept([f"--keep_original_precision={names}"]) == {"f32"}


def test_no_names_to_keep(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc("convert", "m.onnx", "--keep_original_precision=;") == 1
    assert "E10003" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["keep_dtype", "customize_dtypes", "op_precision_mode"])
def test_a_name_that_is_not_in_the_model_gets_a_note(
    flag: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "keep_dtype": "{}\n",
        "customize_dtypes": "{}::InputDtype:float32,OutputDtype:float32\n",
        "op_precision_mode": "[ByNodeName]\n{}=high_precision\n",
    }
    for name, is_noted in (("sigmiod", True), ("sigmoid", False)):
        Path("names.txt").write_text(texts[flag].format(name))
        ran([f"--{flag}=names.txt"], picture())
        assert (f"{name}: no node of the model" in capsys.readouterr().out) == is_noted


def test_black_list(model: Path) -> None:
    Path("list.json").write_text('{"black-list": {"to-add": ["Sigmoid", "Mul"]}}')
    assert kept(["--precision_mode=allow_mix_precision", "--modify_mixlist=list.json"]) == {"f32"}


def test_a_matrix_product_cannot_be_kept_and_a_note_says_so(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.txt").write_text("OpType::Conv2D\n")
    assert atc("convert", "m.onnx", "--keep_dtype=list.txt") == 0
    assert "W10001: OpType::Conv" in capsys.readouterr().out


def test_types_at_the_border(model: Path) -> None:
    x = picture()
    words = ["--input_fp16_nodes=x", "--out_nodes=pool:0;fc:0", "--output_type=fc:0:FP16"]
    assert atc("convert", "m.onnx", *words) == 0
    session = InferenceSession("m.om")
    assert [item.type for item in session.get_inputs()] == ["tensor(float16)"]
    first, second = session.run(None, {"x": x.astype(np.float16)})
    assert (first.dtype, second.dtype) == (np.float32, np.float16)
    assert np.abs(first - expected(x, "m")).max() < 1e-2 and np.abs(second - expected(x)).max() < 1e-2
    assert atc("convert", "m.onnx", "--output_type=INT32") == 0
    (whole,) = InferenceSession("m.om").run(None, {"x": x})
    assert whole.dtype == np.int32 and np.abs(whole - np.trunc(expected(x))).max() <= 1


def test_renamed_operator(model: Path) -> None:
    onnx.save(network("MyRelu"), "m.onnx")
    assert atc("convert", "m.onnx") == 1
    Path("map.txt").write_text("MyRelu:Relu\n")
    assert np.abs(ran(["--op_name_map=map.txt"], picture()) - expected(picture())).max() < 1e-2


def test_folder_of_a_file_does_not_change_the_model(model: Path) -> None:
    """Determinism: the same command with files elsewhere gives the same bytes."""
    Path("list.txt").write_text("sigmoid\n")
    Path("other").mkdir()
    (Path("other") / "list.txt").write_text("sigmoid\n")
    ran(["--keep_dtype=list.txt"], picture())
    first = Path("m.om").read_bytes()
    ran(["--keep_dtype=other/list.txt"], picture())
    assert Path("m.om").read_bytes() == first


@pytest.mark.parametrize("cores", [1, 3, 8])
def test_kernels_use_as_many_cores_as_allowed(cores: int, model: Path) -> None:
    ran([f"--aicore_num={cores}"], picture())
    assert max(task.block_dim for task in read_om("m.om").tasks) == cores


def test_memory_that_is_not_used_again(model: Path) -> None:
    """Bytes of any two tensors are apart; with reuse they are not, and the region is smaller."""
    ran([], picture())
    usual = read_om("m.om").memory_size
    ran(["--disable_reuse_memory=1"], picture())
    om = read_om("m.om")
    assert om.memory_size > usual
    places = sorted(
        (offset, desc.size)
        for op in om.graph
        if op.type not in ("Reshape", "Slice", "ConcatD")
        for offset, desc in zip(op.output_offsets, op.output_descs, strict=True)
    )
    assert len(places) > 2
    assert all(a + size <= b for (a, size), (b, _) in pairwise(places))


def test_original_graph_beside_the_model(model: Path) -> None:
    assert atc("convert", "m.onnx", "--save_original_model=true") == 0
    text = Path("m_original.mlir").read_text()
    assert "nn.batch_norm" in text and "nn.max_pool" in text
    with pytest.raises(SystemExit) as done:  # it is text that the compiler's own tools read
        ascend_opt(["m_original.mlir", "-p", "nn-fold-batch-norm", "-o", "folded.mlir"])
    assert done.value.code in (0, None) and "nn.batch_norm" not in Path("folded.mlir").read_text()


# ------------------------------------------------------------------------------- modes


def test_offline_model_as_json(model: Path) -> None:
    assert atc("convert", "m.onnx") == 0
    assert atc("--mode=1", "--om=m.om", "--json=m.json") == 0
    data = json.loads(Path("m.json").read_text())
    attrs = {entry["key"]: entry["value"] for entry in data["attr"]}
    assert {"soc_version", "atc_version", "atc_cmdline", "memory_size", "weight_size", "stream_num"} <= set(
        attrs
    )
    ops = data["graph"][0]["op"]
    assert not [name for op in ops for name in ("workspace", "workspace_bytes") if name in op]
    om = read_om("m.om")
    assert {op.name for op in om.graph} <= {op["name"] for op in ops}
    assert any(entry["key"] == "_datadump_original_op_names" for op in ops for entry in op.get("attr", []))


def test_source_model_as_json(model: Path) -> None:
    assert atc("--mode=1", "--framework=5", "--model=m.onnx", "--json=m.json", "--dump_mode=1") == 0
    graph = json.loads(Path("m.json").read_text())["graph"]
    assert [node["op_type"] for node in graph["node"]][:3] == ["Conv", "BatchNormalization", "Relu"]
    shapes = {
        v["name"]: [d["dim_value"] for d in v["type"]["tensor_type"]["shape"]["dim"]]
        for v in graph["value_info"]
    }
    assert shapes["m"] == [1, 16, 8, 8]


def test_graph_dump_as_json(model: Path) -> None:
    assert atc("convert", "m.onnx") == 0
    message, _ = read_definition(read_container("m.om"), 0)
    Path("ge_proto_0.txt").write_text(text_format.MessageToString(message))
    assert atc("--mode=5", "--om=ge_proto_0.txt", "--json=five.json") == 0
    assert atc("--mode=1", "--om=m.om", "--json=one.json") == 0
    assert Path("five.json").read_text() == Path("one.json").read_text()


def test_check_writes_a_report(model: Path) -> None:
    words = [
        "--mode=3",
        "--framework=5",
        "--model=m.onnx",
        "--soc_version=Ascend310P3",
        "--check_report=sub/check.json",
    ]
    assert atc(*words) == 0
    found = json.loads(Path("sub/check.json").read_text())
    assert (found["result"], found["total"], found["pass"], found["fail"]) == ("success", 9, 9, 0)
    assert found["op"][0] == {"name": "conv", "type": "Conv", "result": "success", "cause": []}
    assert not list(Path().glob("*.om"))


def test_check_of_a_model_that_cannot_be_compiled(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(network("MyRelu"), "m.onnx")
    assert atc("--mode=3", "--framework=5", "--model=m.onnx", "--soc_version=Ascend310P3") == 1
    found = json.loads(Path("check_result.json").read_text())
    (bad,) = [op for op in found["op"] if op["result"] == "failed"]
    assert found["fail"] == 1 and bad["name"] == "relu" and bad["cause"][0]["code"] == "E13010"
    assert "MyRelu node 'relu'" in capsys.readouterr().out
