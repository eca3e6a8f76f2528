"""String tensors: slots in device memory, the kernels of the AI CPU, the borders of a session, and hostile files."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.passes.ai_cpu import TYPES
from ascend_mlir.runtime import texts
from ascend_mlir.runtime.aicpu import executor
from ascend_mlir.runtime.aicpu.definition import CpuDefinition, TensorSpec
from ascend_mlir.runtime.aicpu.library import KERNELS
from ascend_mlir.runtime.errors import AscendError, UnsupportedOpError
from ascend_mlir.runtime.om.model import OmModel, OmTask
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.runtime.sim.memory import GlobalMemory, Region
from ascend_mlir.tools.atc import main
from onnx import TensorProto, helper, numpy_helper


def atc(*words: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(words))
    assert isinstance(done.value.code, int)
    return done.value.code


def row(*items: object) -> np.ndarray:
    found = np.empty(len(items), object)
    found[:] = items
    return found


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, np.ndarray],
    outputs: list[str],
    weights: dict[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    kinds = {
        name: TensorProto.STRING if x.dtype == object else helper.np_dtype_to_tensor_dtype(x.dtype)
        for name, x in inputs.items()
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kinds[name], x.shape) for name, x in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(x, name) for name, x in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def compiled(*args: object) -> OmModel:
    return compile_model(model_of(*args), CompileOptions()).om  # type: ignore[arg-type]


def ran(
    node: onnx.NodeProto, *inputs: np.ndarray, **weights: np.ndarray
) -> tuple[list[np.ndarray], InferenceSession]:
    """The outputs of one node, through the bytes of a file, hazards checked."""
    names = list(dict.fromkeys(name for name in node.input if name not in weights))
    feed = dict(zip(names, inputs, strict=True))
    om = compiled([node], feed, list(node.output), weights)
    session = InferenceSession(om_bytes(om), sanitize=True)
    return session.run(None, feed), session


# ------------------------------------------------------------------------------------------------- slots


def test_texts_come_back_from_their_slots() -> None:
    wanted = np.array([["", "a", "é" * 126], ["\0b\0", "日本語", "😀"]], object)
    slots = texts.encode(wanted)
    assert slots.dtype.itemsize == texts.SLOT_BYTES and slots.shape == (2, 3)
    assert texts.decode(slots).tolist() == wanted.tolist()
    assert texts.decode(np.zeros((), texts.SLOT)).item() == ""


@pytest.mark.parametrize("item", ["é" * 127, 3, None, 1.5, "\ud800", b"\xff"])
def test_what_has_no_slot_is_refused(item: object) -> None:
    with pytest.raises(texts.TextError):
        texts.encode(row(item))


def test_slots_that_nothing_of_ours_wrote_are_refused() -> None:
    slot = np.zeros(texts.SLOT_BYTES, np.uint8)
    slot[:4] = 255
    with pytest.raises(texts.TextError, match="4294967295 bytes"):
        texts.decode(slot.view(texts.SLOT))
    slot[:4], slot[4] = (1, 0, 0, 0), 0xFF
    with pytest.raises(texts.TextError, match="UTF-8"):
        texts.decode(slot.view(texts.SLOT))


# ----------------------------------------------------------------------------------------------- session


def test_a_session_takes_and_gives_arrays_of_texts() -> None:
    node = helper.make_node("StringConcat", ["x", "y"], ["z"], name="join")
    x, y = row("a", "é"), row("b", "")
    (found,), session = ran(node, x, y)
    assert found.dtype == object and found.tolist() == ["ab", "é"]
    first = session.get_inputs()[0]
    assert (first.name, first.type, first.shape) == ("x", "tensor(string)", [2])
    assert session.run(None, {"x": x.astype(np.str_), "y": np.array([b"b", b""])})[0].tolist() == ["ab", "é"]
    (task,) = session.report.tasks
    assert task.task_type == "AI_CPU" and "texts" in task.reason and task.nodes == ("join",)
    with pytest.raises(AscendError, match="'x' holds a text of 300 bytes"):
        session.run(None, {"x": row("a" * 300, ""), "y": y})
    with pytest.raises(AscendError, match=r"'x' is int64\[2\]"):
        session.run(None, {"x": np.array([1, 2]), "y": y})


def test_a_result_that_is_too_long_is_an_error_not_a_part_of_it() -> None:
    node = helper.make_node("StringConcat", ["x", "x"], ["z"])
    with pytest.raises(AscendError, match=r"E43010.*StringConcat.*252"):
        ran(node, row("a" * 127))


def test_a_text_that_is_no_number_is_an_error() -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    for item in ("abc", "", "1_0", "0x10"):
        with pytest.raises(AscendError, match=r"E43010.*is no number"):
            ran(node, row(item))


# ----------------------------------------------------------------------------------------------- kernels


def test_pieces_of_texts() -> None:
    x = np.array([["a b  c", "  a b "], ["", "x"]], object)
    (pieces, counts), session = ran(helper.make_node("StringSplit", ["x"], ["p", "n"]), x)
    assert pieces.tolist() == [[["a", "b", "c"], ["a", "b", ""]], [["", "", ""], ["x", "", ""]]]
    assert counts.tolist() == [[3, 2], [0, 1]]
    assert [arg.name for arg in session.get_outputs()] == ["p", "n"]


def test_pieces_between_delimiters() -> None:
    node = helper.make_node("StringSplit", ["x"], ["p", "n"], delimiter="--", maxsplit=2)
    (pieces, counts), _ = ran(node, row("a--b----c", "", "--"))
    assert pieces.tolist() == [["a", "b", "--c"], ["", "", ""], ["", "", ""]]
    assert counts.tolist() == [3, 1, 2]


def test_the_most_pieces_have_room() -> None:
    (pieces,), _ = ran(helper.make_node("StringSplit", ["x"], ["p"], delimiter=","), row("," * 252))
    assert pieces.shape == (1, 253)
    (pieces,), _ = ran(helper.make_node("StringSplit", ["x"], ["p"]), row(" ".join("a" * 126)))
    assert pieces.shape == (1, 126)


def test_space_for_pieces_is_bounded() -> None:
    x = np.full(1 << 14, "", object)
    with pytest.raises(UnsupportedOpError, match="256 MiB"):
        compiled([helper.make_node("StringSplit", ["x"], ["p"])], {"x": x}, ["p"])
    assert ran(helper.make_node("StringSplit", ["x"], ["p"], maxsplit=1), x)[0][0].shape == (1 << 14, 0)


NORMALIZED = [
    ({}, ["a", "", "B"], ["a", "", "B"]),
    ({"case_change_action": "UPPER"}, ["straße", "é"], ["STRAßE", "É"]),
    ({"case_change_action": "LOWER", "stopwords": ["MONDAY"]}, ["Monday", "Tue", "É"], ["tue", "é"]),
    ({"stopwords": ["monday"], "is_case_sensitive": 1}, ["Monday", "monday"], ["Monday"]),
    ({"stopwords": ["é"]}, ["É", "é"], [""]),
]


@pytest.mark.parametrize(("attributes", "x", "wanted"), NORMALIZED)
def test_normalized_texts(attributes: dict[str, object], x: list[str], wanted: list[str]) -> None:
    node = helper.make_node("StringNormalizer", ["x"], ["y"], **attributes)
    assert ran(node, row(*x))[0][0].tolist() == wanted
    assert ran(node, row(*x)[None])[0][0].tolist() == [wanted]


def test_numbers_as_texts_and_back() -> None:
    numbers = np.array([0.1, -0.0, 1e10, 123456789, np.nan, np.inf, -np.inf], np.float32)
    (found,), _ = ran(helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING), numbers)
    assert found.tolist() == ["0.1", "-0", "1e+10", "1.2345679e+08", "NaN", "INF", "-INF"]
    (back,), _ = ran(helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT), found)
    np.testing.assert_array_equal(back, numbers)
    (whole,), _ = ran(
        helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64), row("9007199254740993", "-3.9", "1e3")
    )
    assert whole.tolist() == [9007199254740993, -3, 1000]
    (flags,), _ = ran(helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BOOL), row("1", "0", "-2"))
    assert flags.tolist() == [True, False, True]


def test_a_pattern_that_re2_does_not_have_is_refused_before_lowering() -> None:
    node = helper.make_node("RegexFullMatch", ["x"], ["y"], name="twice", pattern=r"(a)\1")
    with pytest.raises(UnsupportedOpError, match=r"twice.*back references"):
        compiled([node], {"x": row("a")}, ["y"])


# ------------------------------------------------------------------------------------- moves, other operators


def test_moves_of_texts_need_no_ai_cpu() -> None:
    x = np.array([[f"{i}{j} é" for j in range(5)] for i in range(4)], object)
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"]),
        helper.make_node("Concat", ["t", "t"], ["c"], axis=1),
        helper.make_node("Slice", ["c", "b", "e", "a", "s"], ["y"]),
        helper.make_node("Tile", ["y", "r"], ["z"]),
    ]
    weights = {
        "b": np.array([4, 1]),
        "e": np.array([0, 7]),
        "a": np.array([0, 1]),
        "s": np.array([-2, 3]),
        "r": np.array([1, 2]),
    }
    session = InferenceSession(om_bytes(compiled(nodes, {"x": x}, ["z"], weights)), sanitize=True)
    wanted = np.tile(np.concatenate([x.T, x.T], 1)[4:0:-2, 1:7:3], (1, 2))
    assert session.run(None, {"x": x})[0].tolist() == wanted.tolist()
    assert session.engine_counts["aicpu"] == 0


def test_texts_are_refused_by_name_where_no_operator_takes_them() -> None:
    with pytest.raises(UnsupportedOpError, match=r"sum.*'x' is a string tensor"):
        compiled([helper.make_node("Add", ["x", "x"], ["y"], name="sum")], {"x": row("a")}, ["y"])


def test_texts_that_are_known_are_folded() -> None:
    nodes = [
        helper.make_node("Constant", [], ["k"], value_strings=["a", "é"]),
        helper.make_node("StringConcat", ["k", "k"], ["kk"]),
        helper.make_node("Equal", ["kk", "l"], ["same"]),
        helper.make_node("Where", ["same", "k", "l"], ["w"]),
        helper.make_node("Identity", ["x"], ["y"]),
    ]
    om = compiled(nodes, {"x": row("q")}, ["same", "w", "y"], {"l": row("aa", "b")})
    session = InferenceSession(om_bytes(om))
    assert [found.tolist() for found in session.run(None, {"x": row("q")})] == [
        [True, False],
        ["a", "b"],
        ["q"],
    ]
    assert session.engine_counts["aicpu"] == 0


def test_a_weight_that_is_too_long_is_refused() -> None:
    node = helper.make_node("Equal", ["x", "k"], ["y"], name="same")
    with pytest.raises(AscendError, match="252"):
        compiled([node], {"x": row("a")}, ["y"], {"k": row("b" * 253)})


def test_texts_outside_of_string_data_are_refused() -> None:
    model = model_of([helper.make_node("Equal", ["x", "k"], ["y"])], {"x": row("a")}, ["y"], {"k": row("b")})
    model.graph.initializer[0].raw_data = b"b"
    with pytest.raises(AscendError, match="string_data"):
        compile_model(model, CompileOptions())


def test_the_same_model_has_the_same_bytes() -> None:
    nodes = [
        helper.make_node("StringNormalizer", ["x"], ["a"], stopwords=["q", "é"], case_change_action="LOWER"),
        helper.make_node("RegexFullMatch", ["x"], ["b"], pattern='"é+"'),
        helper.make_node("Equal", ["x", "k"], ["c"]),
    ]
    first, second = (
        om_bytes(compiled(nodes, {"x": row("a", "b")}, ["a", "b", "c"], {"k": row("a", "c")}))
        for _ in range(2)
    )
    assert first == second


# -------------------------------------------------------------------------------------------- the command line


def test_atc_run_reads_and_writes_texts_without_pickles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = row("b é", "c")
    model = model_of(
        [helper.make_node("StringConcat", ["x", "k"], ["y"])], {"x": x}, ["y"], {"k": row("!", "")}
    )
    source, om, out = (str(tmp_path / name) for name in ("m.onnx", "m.om", "out.npz"))
    onnx.save(model, source)
    compile_model(model, CompileOptions()).write(om)
    np.savez(tmp_path / "in.npz", x=x.astype(np.str_))
    assert atc("run", om, "--input", str(tmp_path / "in.npz"), "--output", out) == 0
    assert "output y: string[2]" in capsys.readouterr().out
    with np.load(out, allow_pickle=False) as found:
        assert found["y"].tolist() == ["b é!", "c"]
    assert atc("run", om, "--output", str(tmp_path / "out.bin")) == 0
    assert texts.decode(np.fromfile(tmp_path / "out.bin", texts.SLOT)).tolist() == ["!", ""]
    assert atc("precision-compare", source, om) == 0


# ------------------------------------------------------------------------------------------------ hostile files


def run_task(definition: CpuDefinition, memory: GlobalMemory, words: tuple[int, ...]) -> None:
    task = OmTask(definition.kernel, 1, words, kernel_type=6, kernel_ext_info=definition.to_bytes())
    executor.check(task)
    executor.run(task, memory, words)


VALUES = [
    0,
    1,
    -1,
    7,
    1 << 40,
    -(1 << 62),
    0.5,
    float("nan"),
    "",
    "sum",
    "lower",
    "(a|b)*",
    "(",
    (),
    (0, 1),
    (9,),
    (0.5, 2.0),
    ("a", "é"),
]
NAMES = [
    "axis",
    "axes",
    "result",
    "kind",
    "seed",
    "numbers",
    "pattern",
    "delimiter",
    "words",
    "case",
    "folds",
    "most",
    "fmod",
    "last",
    "min",
]


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("seed", range(4))
def test_definitions_of_any_content_end_in_results_or_errors(seed: int) -> None:
    """Every kernel of the library with operands, types, shapes and settings that need not fit."""
    rng = random.Random(seed)
    memory = GlobalMemory((Region(1 << 20, np.zeros(1 << 17, np.uint8)),))
    memory.regions[0].data[:] = np.frombuffer(rng.randbytes(1 << 17), np.uint8)
    memory.regions[0].data[: 1 << 16] = 0
    memory.regions[0].data[: 1 << 14 : 256] = 3
    kinds = ["str", "str", "i64", "f32", "bool", "u8", "f64", "c64", "i4", "bf16"]

    def spec() -> TensorSpec:
        return TensorSpec(
            rng.choice(kinds), tuple(rng.choice((0, 1, 2, 3, 5)) for _ in range(rng.randint(0, 3)))
        )

    finished = 0
    for _ in range(600):
        inputs = tuple(spec() for _ in range(rng.randint(0, 3)))
        outputs = tuple(spec() for _ in range(rng.choice((1, 1, 1, 0, 2))))
        settings = {name: rng.choice(VALUES) for name in rng.sample(NAMES, rng.randint(0, 4))}
        definition = CpuDefinition(rng.choice(sorted(KERNELS)), inputs, outputs, settings)
        words = tuple((1 << 20) + 512 * rng.randint(0, 150) for _ in (*inputs, *outputs))
        try:
            run_task(definition, memory, words)
            finished += 1
        except AscendError as error:
            assert error.code.startswith("E43"), definition
    assert finished > 10


def test_a_pattern_in_the_file_is_checked_where_it_runs() -> None:
    node = helper.make_node("RegexFullMatch", ["x"], ["y"], pattern="a+")
    om = compiled([node], {"x": row("a")}, ["y"])
    for pattern in ("(a)\\1", "a{1001}", "(" * 300):
        definition = CpuDefinition.from_bytes(om.tasks[0].kernel_ext_info)
        changed = dataclasses.replace(definition, settings={"pattern": pattern}).to_bytes()
        task = dataclasses.replace(om.tasks[0], kernel_ext_info=changed)
        session = InferenceSession(dataclasses.replace(om, tasks=(task,)))
        with pytest.raises(AscendError, match="E43010"):
            session.run(None, {"x": row("a")})


def test_settings_that_are_no_text_are_refused_when_the_file_is_loaded() -> None:
    om = compiled([helper.make_node("RegexFullMatch", ["x"], ["y"], pattern="aaaa")], {"x": row("a")}, ["y"])
    data = om.tasks[0].kernel_ext_info.replace(b"aaaa", b"\xff\xff\xff\xff")
    task = dataclasses.replace(om.tasks[0], kernel_ext_info=data)
    with pytest.raises(AscendError, match="E43007"):
        InferenceSession(dataclasses.replace(om, tasks=(task,)))


def test_the_reason_stands_in_the_table() -> None:
    assert "texts" in TYPES["str"]
