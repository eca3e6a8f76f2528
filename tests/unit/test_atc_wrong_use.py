"""Everything a user can get wrong: one message with its code, exit status 1, and no file left behind.

The situations are tables. Each starts from a command line that works and changes one thing.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ascend_mlir.tools.atc import main
from ascend_mlir.tools.atc_classic import FAILURE, START
from ascend_mlir.tools.atc_flag_table import FLAGS
from onnx import TensorProto, helper, numpy_helper

FLAGS_WITH_CHOICES = [flag.name for flag in FLAGS if flag.choices]
TRUTHS = [flag.name for flag in FLAGS if flag.truth]
WHOLE = [flag.name for flag in FLAGS if flag.whole]


def network(*, kind: str = "Relu", domain: str = "", shape: Any = (1, 3, 16, 16)) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv_1", pads=[1, 1, 1, 1]),
        helper.make_node(kind, ["c"], ["y"], "last_1", domain=domain),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASCEND_TRACEBACK", raising=False)
    monkeypatch.delenv("ASCEND_WORK_PATH", raising=False)
    onnx.save(network(), tmp_path / "m.onnx")
    return tmp_path


USUAL = {"framework": "5", "model": "m.onnx", "output": "m", "soc_version": "Ascend310P3"}


def command(changes: str) -> list[str]:
    """The usual flags with changes: `name=value` replaces or adds, `-name` takes away; separated by blanks."""
    flags = dict(USUAL)
    for word in changes.split(" "):
        name, equals, value = word.partition("=")
        if name.startswith("-"):
            flags.pop(name[1:], None)
        elif equals:
            flags[name] = value
    return [f"--{name}={value}" for name, value in flags.items()]


def wrong(words: list[str], code: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs atc, which must fail with that code, once, and leave nothing."""
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(SystemExit) as done:
        main(words)
    assert done.value.code == 1
    out, err = capsys.readouterr()
    assert FAILURE in out and "Traceback" not in out + err
    assert out.count(f"\n{code}: ") == 1, out
    assert sorted(path.name for path in folder.rglob("*")) == before
    return out


# ------------------------------------------------------------------------------- values, by kind of flag


@pytest.mark.parametrize("name", FLAGS_WITH_CHOICES)
def test_a_value_out_of_range(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "E10010" if name == "log" else "E10001"
    out = wrong(command(f"{name}=nonsense"), code, folder, capsys)
    assert f"--{name}" in out and "expected" in out and START not in out


@pytest.mark.parametrize("name", TRUTHS)
def test_neither_true_nor_false(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "true or false" in wrong(command(f"{name}=perhaps"), "E10005", folder, capsys)


@pytest.mark.parametrize("name", WHOLE)
def test_no_whole_number(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a whole number" in wrong(command(f"{name}=1.5"), "E10003", folder, capsys)


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.name != "help"], ids=lambda flag: flag.name)
def test_empty_value(flag: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = wrong([f"--{flag.name}="], "E10004", folder, capsys)
    assert f"--{flag.name}" in out and "remove the space" in out.lower()


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.name != "help"], ids=lambda flag: flag.name)
def test_missing_argument(flag: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([f"--{flag.name}"])
    out, err = capsys.readouterr()
    assert done.value.code == 1 and FAILURE in out
    assert err.startswith(f"ERROR: flag '{flag.name}' is missing its argument; flag description: ")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--soc_verison=Ascend310P3"], "did you mean --soc_version?"),
        (["--inputshape=x:1"], "did you mean --input_shape?"),
        (["--output_path=x"], "unknown command line flag 'output_path'"),
        (["m.onnx"], "'m.onnx' is not a flag"),
        (["--model=m.onnx", "y:1,2"], "a value with ';' or spaces needs double quotes"),
        (["analize", "m.onnx"], "'analize' is not a flag"),
        (["convret", "m.onnx"], "did you mean the command convert?"),
        (["--dynamic=1"], "ambiguous: --dynamic_batch_size, --dynamic_image_size, --dynamic_dims"),
        (["-m=m.onnx"], "'-m=m.onnx' is not a flag"),
    ],
)
def test_words_that_are_no_flags(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(words)
    out, err = capsys.readouterr()
    assert done.value.code == 1 and FAILURE in out and text in err and err.startswith("ERROR: ")


# ------------------------------------------------------------------------------- flags together

AIPP = "aipp_op { aipp_mode: static input_format: RGB888_U8 }"
SITUATIONS: list[tuple[str, str, str]] = [
    ("-framework", "E10007", "--framework"),
    ("-soc_version", "E10054", "--soc_version"),
    ("-output", "E10054", "--output"),
    ("-model", "E10054", "--model"),
    ("soc_version=Ascend310P", "E10001", "did you mean Ascend310P3"),
    ("soc_version=Ascend31OP3", "E10001", "did you mean Ascend310P3"),
    ("soc_version=Ascend910B3", "E10001", "split-core"),
    ("model=nowhere.onnx", "E13000", "E19000"),
    ("model=M.onnx", "E13000", "m.onnx"),
    ("model=.", "E13000", "is a folder"),
    ("framework=0", "E10008", "--weight"),
    ("output=folder/", "E10022", "file name"),
    ("output=..", "E10022", "file name"),
    (f"output={'x' * 5000}", "E10021", "4096"),
    ("output=/proc/nope/x", "E13004", "/proc/nope/x.om"),
    ("output=m.onnx/x", "E13004", "m.onnx"),
    ("input_format=NHWC", "E10001", "NCHW, NCDHW, ND"),
    ("input_shape=x", "E10002", "name1:n1"),
    ("input_shape=x:1,3,16", "E10049", "4 dimensions"),
    ("input_shape=x:1,3,16,17", "E10050", "16"),
    ("input_shape=y:1,3,16,16", "E10016", "'y'"),
    ("input_shape=conv_1:1,3,16,16", "E10017", "one of x"),
    ("input_fp16_nodes=conv_1", "E10017", "one of x"),
    ("input_shape=x:1,3,16,16;x:1", "E10002", "twice"),
    ("input_shape=x:a,b", "E10002", "'a'"),
    ("input_shape=x:0,3,16,16", "E10011", "size 0"),
    ("input_shape=x:-1,3,16,16", "E10011", "open"),
    ("input_shape=x:-1~8,3,16,16", "E10011", "(-1)"),
    ("input_shape=x:8~1,3,16,16", "E10002", "ends before it begins"),
    ("input_shape=x:1~8,3,16~64,16", "E10036", "392 combinations"),
    ("input_shape_range=x:[1~8,3,-1,16]", "E10011", "--input_shape_range leaves"),
    ("input_shape_range=x:[1~8,3,16,16", "E10002", "'[1'"),
    ("input_shape_range=x:[1~8,3,16,16] input_shape=x:1,3,16,16", "E10009", "exclude"),
    ("input_shape_range=x:[1~8,3,16,16] insert_op_conf=aipp.cfg", "E10001", "AIPP"),
    ("input_shape_range=x:[1~8,3,16,16] dynamic_batch_size=1,2", "E10009", "exclude"),
    ("input_hint_shape=0:[1,3,16,16] dynamic_batch_size=1,2", "E10009", "exclude"),
    ("dynamic_batch_size=1,2", "E10040", "-1"),
    ("dynamic_batch_size=1,2 dynamic_dims=1;2", "E10009", "exclude"),
    ("dynamic_batch_size=1,x input_shape=x:-1,3,16,16", "E10003", "digits"),
    ("dynamic_batch_size=1 input_shape=x:-1,3,16,16", "E10035", "at least 2"),
    (
        f"dynamic_batch_size={','.join(map(str, range(1, 120)))} input_shape=x:-1,3,16,16",
        "E10036",
        "at most 100",
    ),
    ("dynamic_batch_size=0,2 input_shape=x:-1,3,16,16", "E10038", "positive"),
    ("dynamic_batch_size=2,2 input_shape=x:-1,3,16,16", "E10039", "twice"),
    ("dynamic_batch_size=1,2 input_shape=x:1,-1,16,16", "E10018", "first place"),
    ("dynamic_batch_size=1,8 input_shape=x:-1,3,16,16", "E10050", "16"),
    ("dynamic_batch_size=1,8 input_shape=y:-1,3,16,16", "E10016", "'y'"),
    ("dynamic_image_size=32,32,1;64,64,1 input_shape=x:1,3,-1,-1", "E10020", "height,width"),
    ("dynamic_image_size=32,32;64,64 input_shape=x:1,-1,16,16", "E10019", "height or width"),
    ("dynamic_image_size=32,32;64,64 input_shape=x:1,3,-1,16", "E10019", "both or neither"),
    ("dynamic_image_size=32,32;64,64 input_shape=x:1,3,-1,-1", "E10050", "16"),
    ("dynamic_dims=1;2 input_shape=x:-1,3,16,16", "E10001", "input_format=ND"),
    ("dynamic_dims=1;2,3 input_shape=x:-1,3,16,16 input_format=ND", "E10037", "unequal"),
    ("dynamic_dims=1,2;2,3 input_shape=x:-1,3,16,16 input_format=ND", "E10045", "as many"),
    ("dynamic_dims=1;4 input_shape=x:-1,3,16,16 input_format=ND insert_op_conf=aipp.cfg", "E10001", "AIPP"),
    ("out_nodes=nowhere:0", "E10016", "nowhere"),
    ("out_nodes=conv_1:7", "E10016", "conv_1:7"),
    ("out_nodes=;", "E10003", "node1:0"),
    ("output_type=FP17", "E10001", "FP32, FP16"),
    ("output_type=conv_1:0:FP16", "E10003", "--out_nodes"),
    ("output_type=conv_1:0:FP16 out_nodes=last_1:0", "E10016", "conv_1:0"),
    ("input_fp16_nodes=z", "E10016", "'z'"),
    ("input_fp16_nodes=x;x", "E10003", "twice"),
    ("input_fp16_nodes=x insert_op_conf=aipp.cfg", "E10034", "x"),
    ("is_input_adjust_hw_layout=maybe", "E10005", "true"),
    ("is_input_adjust_hw_layout=true,true input_fp16_nodes=x", "E10014", "one value per name"),
    ("is_input_adjust_hw_layout=true input_fp16_nodes=x", "E10055", "NC1HWC0"),
    ("is_output_adjust_hw_layout=true out_nodes=last_1:0", "E10055", "NC1HWC0"),
    ("insert_op_conf=nowhere.cfg", "E13000", "nowhere.cfg"),
    ("op_name_map=nowhere.txt", "E13001", "E19001"),
    ("op_name_map=bad_map.txt", "E10003", "line 1"),
    ("keep_dtype=nowhere.txt", "E10410", "nowhere.txt"),
    ("modify_mixlist=list.json", "E10001", "mixed"),
    ("modify_mixlist=no.json precision_mode=allow_mix_precision", "E10032", "JSON"),
    ("modify_mixlist=list.json precision_mode=allow_mix_precision", "E10003", "black-list"),
    ("customize_dtypes=bad_map.txt", "E10003", "OutputDtype"),
    ("customize_dtypes=custom_bad.txt", "E10055", "int4"),
    ("op_precision_mode=modes.ini", "E10001", "fastest"),
    ("optypelist_for_implmode=Gelu", "E10058", "--op_select_implmode"),
    ("precision_mode=force_fp16 precision_mode_v2=fp16", "E10056", "keep one"),
    ("precision_mode=must_keep_origin_dtype", "E10055", "f16 only"),
    ("precision_mode_v2=mixed_bfloat16", "E10055", "bf16"),
    ("fusion_switch_file=nowhere.cfg", "E13001", "nowhere.cfg"),
    ("fusion_switch_file=bad_switch.cfg", "E10003", "line 2"),
    ("fusion_switch_file=no.json", "E10032", "JSON"),
    ("fusion_switch_file=list.json", "E10032", "Switch"),
    ("optimization_switch=A:perhaps", "E10003", "Name1:on"),
    ("enable_compress_weight=true compress_weight_conf=x", "E10047", "exclude"),
    ("compress_weight_conf=nowhere.cfg", "E10410", "nowhere.cfg"),
    ("auto_tune_mode=RL", "E10001", "taken out"),
    ("auto_tune_mode=RL,GA", "E10001", "leave it out"),
    ("deterministic_level=2", "E10058", "--deterministic=1"),
    ("host_env_os=windows", "E10001", "linux"),
    ("host_env_cpu=mips", "E10001", "x86_64"),
    ("core_type=Core", "E10001", "AiCore"),
    ("aicore_num=99", "E10001", "1 to 8"),
    ("aicore_num=x|", "E10001", "1 to 8"),
    ("aicore_num=4|7", "E10001", "1 to 8"),
    ("aicore_num=0", "E10001", "1 to 8"),
    ("debug_dir=nowhere op_debug_level=1", "E13000", "no such folder"),
    ("debug_dir=m.onnx", "E13000", "no such folder"),
    ("mode=1", "E10004", "--json"),
    ("mode=1 json=o.json -model", "E10004", "--om"),
    ("mode=1 json=o.json -framework", "E10007", "--framework"),
    ("mode=1 json=o.json framework=1", "E10001", "MindSpore"),
    ("mode=1 json=m.onnx/o.json om=m.om", "E13004", "o.json"),
    ("mode=1 json=o.json om=nowhere.om", "E13000", "nowhere.om"),
    ("mode=3 -model", "E10054", "--model"),
    ("mode=5 json=o.json", "E10004", "--om"),
    ("mode=5 json=o.json om=m.pbtxt", "E13000", "m.pbtxt"),
    ("mode=5 json=o.json om=m.onnx", "E10001", "ge_proto"),
    ("mode=5 json=o.json om=bad_map.txt", "E10041", "bad_map.txt"),
    ("mode=6", "E10054", "--om"),
    ("mode=6 om=m.onnx", "E10057", "--framework"),
    ("mode=6 om=m.onnx -framework", "E10041", "IMOD"),
    ("mode=6 om=nowhere.om -framework", "E13001", "nowhere.om"),
    ("mode=7", "E10055", "om2"),
    ("mode=30", "E10055", "Ascend035"),
]
FILES = {
    "aipp.cfg": AIPP,
    "bad_map.txt": "no colon here: or: two\n",
    "list.json": "[1, 2]",
    "no.json": '{"Switch": ',
    "custom_bad.txt": "conv_1::InputDtype:float16,OutputDtype:int4\n",
    "modes.ini": "[ByOpType]\nSigmoid=fastest\n",
    "bad_switch.cfg": "ConvBatchnormFusionPass:off\nTbeEltwiseFusionPass:maybe\n",
}


def test_there_are_enough() -> None:
    assert len(SITUATIONS) + len(DAMAGED) >= 80


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s[0][:60])
def test_flags_that_do_not_fit(
    situation: tuple[str, str, str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, code, text = situation
    for name, content in FILES.items():
        (folder / name).write_text(content)
    assert text.lower() in wrong(command(changes), code, folder, capsys).lower()


# ------------------------------------------------------------------------------- AIPP

AIPP_MISTAKES = {
    "aipp_op { aipp_mode: static": "line",
    "": "nothing",
    "op { }": "holds op",
    "aipp_mode: static": "outside of any block",
    "aipp_op { input_format: RGB888_U8 }": "aipp_mode",
    "aipp_op { aipp_mode: static }": "input_format",
    "aipp_op { aipp_mode: static input_format: RGB }": "RGB888_U8",
    f"{AIPP[:-1]} mean_chn_O: 1 }}": "mean_chn_",
    f"{AIPP[:-1]} mean_chn_0: 1.5 }}": "a whole number",
    f"{AIPP[:-1]} mean_chn_0: 300 }}": "0 to 255",
    f"{AIPP[:-1]} matrix_r0c0: 40000 }}": "-32768",
    f"{AIPP[:-1]} csc_switch: maybe }}": "true or false",
    f"{AIPP[:-1]} related_input_rank: 3 }}": "number of inputs",
    f"{AIPP[:-1]} src_image_size_w: 1 src_image_size_h: 8 }}": "2 to 4096",
    f"{AIPP[:-1]} src_image_size_w: 16 }}": "both",
    f"{AIPP[:-1]} crop: true }}": "src_image_size_w",
    f"{AIPP[:-1]} src_image_size_w: 20 src_image_size_h: 20 }}": "the model's input",
    f"{AIPP[:-1]} src_image_size_w: 20 src_image_size_h: 20 crop: true load_start_pos_w: 8 crop_size_w: 16 }}": "leaves the picture",
    f"{AIPP[:-1]} src_image_size_w: 16 src_image_size_h: 16 padding: true left_padding_size: 33 }}": "0 to 32",
    f"{AIPP[:-1]} src_image_size_w: 16 src_image_size_h: 16 resize: true }}": "resize_output_w",
    f"{AIPP[:-1]} ax_swap_switch: true }}": "fourth channel",
    f"{AIPP[:-1]} rotation_angle: 90 }}": "reserved",
    "aipp_op { aipp_mode: static input_format: YUV400_U8 csc_switch: true }": "one channel",
    "aipp_op { aipp_mode: static input_format: YUV400_U8 }": "N × C × H × W",
    "aipp_op { aipp_mode: static input_format: YUV420SP_U8 src_image_size_w: 15 src_image_size_h: 16 }": "even",
    f"{AIPP} {AIPP}": "same input",
}  # fmt: skip


@pytest.mark.parametrize("text", AIPP_MISTAKES, ids=lambda text: text[-40:])
def test_aipp_configurations(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "aipp.cfg").write_text(text)
    out = wrong(command("insert_op_conf=aipp.cfg"), "E10052", folder, capsys)
    assert AIPP_MISTAKES[text] in out and "Solution: Correct the file" in out


def test_dynamic_aipp(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "aipp.cfg").write_text("aipp_op { aipp_mode: dynamic max_src_image_size: 1000 }")
    assert "static" in wrong(command("insert_op_conf=aipp.cfg"), "E10055", folder, capsys)


# ------------------------------------------------------------------------------- damaged and foreign files


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")


def _cut(share: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(len(path.read_bytes()) * share)])


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _model(**kwargs: Any) -> Callable[[Path], object]:
    return lambda path: onnx.save(network(**kwargs), path)


def _edited(edit: Callable[[onnx.ModelProto], object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        model = network()
        edit(model)
        path.write_bytes(model.SerializeToString())

    return make


def _external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"


def _cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "y"


TF = b"\x0a\x10\x0a\x01x\x12\x0bPlaceholder" + bytes(20)
DAMAGED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "empty": (_bytes(b""), "E10041", "empty"),
    "cut at 10%": (_cut(0.1), "E10041", "truncated"),
    "cut at 50%": (_cut(0.5), "E10041", "truncated"),
    "cut at 99%": (_cut(0.99), "E10041", "truncated"),
    "zeros": (_bytes(bytes(1000)), "E10041", "not an ONNX model"),
    "ones": (_bytes(b"\xff" * 1000), "E10041", "not an ONNX model"),
    "text": (_bytes(b"hello"), "E10041", "text file"),
    "Git LFS pointer": (_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "E10041", "LFS"),
    "web page": (_bytes(b"<!DOCTYPE html><html></html>"), "E10041", "text file"),
    "PyTorch": (_zip, "E10041", "torch.onnx.export"),
    "old PyTorch": (_bytes(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."), "E10041", "torch.onnx.export"),
    "TensorFlow": (_bytes(TF), "E10041", "tf2onnx"),
    "TensorFlow Lite": (_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(50)), "E10041", "tf2onnx"),
    "Keras": (_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50)), "E10041", "tf2onnx"),
    "Caffe": (_bytes(b'name: "net"\nlayer {\n  name: "conv1"\n}\n'), "E10041", "Caffe"),
    "safetensors": (_bytes(b"\x40\x00\x00\x00\x00\x00\x00\x00" + b'{"w":{"dtype":"F32"}}'), "E10041", "weights only"),
    "gzip": (_bytes(gzip.compress(b"x" * 100)), "E10041", "Unpack"),
    "offline model": (_bytes(b"IMOD" + bytes(300)), "E10041", "atc run"),
    "no graph": (_bytes(onnx.ModelProto(ir_version=8).SerializeToString()), "E16004", "graph"),
    "no outputs": (_edited(lambda m: m.graph.ClearField("output")), "E16001", "output"),
    "unknown operator": (_model(kind="Frobnicate", domain="custom"), "E13010", "last_1"),
    "misspelt operator": (_model(kind="Reluu"), "E13010", "E19010"),
    "open size": (_model(shape=("n", 3, 16, 16)), "E10011", "x:1,3,16,16"),
    "missing weights": (_edited(_external), "E13003", "weights.bin"),
    "operand from nowhere": (_edited(_cycle), "E10041", "'y'"),
    "two nodes, one tensor": (_edited(lambda m: m.graph.node[1].output.__setitem__(0, "c")), "E10041", "'c'"),
    "weight of wrong size": (_edited(lambda m: m.graph.initializer[0].dims.__setitem__(0, 9)), "E10041", "972 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_models(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, code, text = DAMAGED[case]
    damage(folder / "m.onnx")
    assert text in wrong(command(""), code, folder, capsys)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("mode", ["mode=6", "mode=1 json=o.json"])
def test_damaged_offline_models(
    mode: str, share: float, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(command(""))
    capsys.readouterr()
    _cut(share)(folder / "m.om")
    out = wrong(command(f"{mode} om=m.om -framework -model"), "E10041", folder, capsys)
    assert "byte" in out


def test_integers_cannot_become_f16(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["f"], "cast_1", to=TensorProto.FLOAT))
    model.graph.node[1].input[0] = "f"
    onnx.save(model, folder / "m.onnx")
    assert "an input of floats" in wrong(command("input_fp16_nodes=x"), "E10001", folder, capsys)


def test_content_decides_and_a_note_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(command("framework=1"))
    assert done.value.code == 0 and (folder / "m.om").is_file()
    assert "W10001: --framework=1 means a MindSpore model; the file is ONNX" in capsys.readouterr().out


def test_debug_shows_where(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(command("log=debug input_shape=y:1"))
    out = capsys.readouterr().out
    assert "E10016" in out and "TraceBack (most recent call last):" in out and "onnx_inputs.py" in out


def test_a_crash_of_our_own_writes_a_report(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setenv("ASCEND_WORK_PATH", str(folder))
    monkeypatch.setattr("ascend_mlir.lowering.pipelines.compile_model", fail)
    with pytest.raises(SystemExit) as done:
        main(command(""))
    out = capsys.readouterr().out
    (report,) = folder.glob("atc_crash_*.txt")
    assert done.value.code == 1 and "E19999: Internal Error! ZeroDivisionError: a mistake of ours" in out
    assert str(report) in out and "Traceback" not in out
    text = report.read_text()
    assert "in fail" in text and "ascend-mlir" in text and not (folder / "m.om").exists()
