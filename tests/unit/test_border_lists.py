"""Sequences and optionals among inputs and outputs: lists of tensors, by attributes of the offline model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.border import Entry, entries_of
from ascend_mlir.runtime.errors import AscendError, UnsupportedOpError
from ascend_mlir.runtime.om.format import OmError
from ascend_mlir.runtime.om.model import ATTR_LIST_INPUTS, ATTR_LIST_OUTPUTS
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.onnx_backend import AscendBackend
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.tools.atc import main
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float16).astype(np.float32)


def tensor(name: str, shape: list[Any] | None = None, kind: int = FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def sequence(name: str, shape: list[Any] | None = None) -> ValueInfoProto:
    return helper.make_tensor_sequence_value_info(name, FLOAT, shape)


def optional(name: str, held: onnx.TypeProto) -> ValueInfoProto:
    return helper.make_value_info(name, helper.make_optional_type_proto(held))


def model(
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    weights: Mapping[str, np.ndarray] | None = None,
) -> ModelProto:
    tensors = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def lists_model() -> ModelProto:
    """Puts a tensor behind a list, and gives the list, its last element but rectified, and the tensor in pieces."""
    nodes = [
        helper.make_node("SequenceInsert", ["x", "t"], ["y"], name="more"),
        helper.make_node("SequenceAt", ["y", "last"], ["a"], name="at"),
        helper.make_node("Relu", ["a"], ["z"], name="relu"),
        helper.make_node("SplitToSequence", ["t"], ["s"], name="cut", axis=0),
    ]
    inputs = [sequence("x", ["n", 3]), tensor("t", [2, 3])]
    return model(nodes, inputs, [sequence("y"), tensor("z"), sequence("s")], {"last": np.array(-1)})


SHAPES = {"x@0": (1, 3), "x@1": (4, 3)}


def lists_session(**options: Any) -> InferenceSession:
    compiled = compile_model(lists_model(), CompileOptions(input_shapes=SHAPES))
    return InferenceSession(compiled.bytes, sanitize=True, **options)


def test_a_session_takes_and_gives_lists() -> None:
    session = lists_session()
    assert [(arg.name, arg.type) for arg in session.get_inputs()] == [
        ("x", "seq(tensor(float))"),
        ("t", "tensor(float)"),
    ]
    assert [(arg.name, arg.type) for arg in session.get_outputs()] == [
        ("y", "seq(tensor(float))"),
        ("z", "tensor(float)"),
        ("s", "seq(tensor(float))"),
    ]
    feed = {"x": [array(1, 3), array(4, 3)], "t": array(2, 3)}
    found = session.run(None, feed)
    wanted = ort.InferenceSession(lists_model().SerializeToString()).run(None, feed)
    for ours, theirs in zip(found, wanted, strict=True):
        assert isinstance(ours, list) == isinstance(theirs, list) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    (pieces,) = session.run(["s"], feed)
    assert [piece.shape for piece in pieces] == [(1, 3), (1, 3)]


def test_the_file_says_it_and_tools_see_tensors() -> None:
    session = lists_session(lists=False)
    assert session.om.attrs[ATTR_LIST_INPUTS] == ("2:x", ":t")
    assert session.om.attrs[ATTR_LIST_OUTPUTS] == ("3:y", ":z", "2:s")
    assert [arg.name for arg in session.get_outputs()] == ["y@0", "y@1", "y@2", "z", "s@0", "s@1"]
    feed = {"x@0": array(1, 3), "x@1": array(4, 3), "t": array(2, 3)}
    assert len(session.run(None, feed)) == 6
    assert len(lists_session().run(None, feed)) == 3  # elements may be given one by one


def test_lists_of_another_length_are_errors() -> None:
    session = lists_session()
    for given, what in (([array(1, 3)], "a list of 1"), (array(1, 3), "a tensor"), (None, "None")):
        with pytest.raises(AscendError, match=f"EH0001.*'x' is {what}"):
            session.run(None, {"x": given, "t": array(2, 3)})
    with pytest.raises(AscendError, match="'x@1' is missing"):
        session.run(None, {"x@0": array(1, 3), "t": array(2, 3)})
    with pytest.raises(AscendError, match=r"'x@1' is float32\[1, 3\]"):
        session.run(None, {"x": [array(1, 3), array(1, 3)], "t": array(2, 3)})


def test_a_length_that_is_not_known_is_refused_with_the_flag_that_helps() -> None:
    with pytest.raises(UnsupportedOpError, match=r"(?s)E13025.*'x'.*open.*--input_shape"):
        compile_model(lists_model(), CompileOptions())
    with pytest.raises(AscendError, match=r"E10011.*'x@0' leaves dimension 0"):
        compile_model(lists_model(), CompileOptions(input_shapes={"x": (2,)}))
    same = model([helper.make_node("Identity", ["x"], ["y"])], [sequence("x", [2, 3])], [sequence("y")])
    session = InferenceSession(compile_model(same, CompileOptions(input_shapes={"x": (2,)})).bytes)
    assert [len(found) for found in session.run(None, {"x": [array(2, 3), array(2, 3)]})] == [2]
    with pytest.raises(AscendError, match="E10050"):
        values = {"x@0": array(2, 3)}
        compile_model(same, CompileOptions(input_shapes={"x": (2,)}, input_values=values))


def test_optionals() -> None:
    held = helper.make_tensor_type_proto(FLOAT, [2])
    nodes = [
        helper.make_node("OptionalHasElement", ["x"], ["there"]),
        helper.make_node("Optional", [], ["none"], type=held),
        helper.make_node("Identity", ["x"], ["same"]),
    ]
    outputs = [tensor("there", [], TensorProto.BOOL), optional("none", held), optional("same", held)]
    prepared = AscendBackend.prepare(model(nodes, [optional("x", held)], outputs))
    for given in (array(2), None):
        there, none, same = prepared.run([given])
        assert bool(there) == (given is not None) and none is None
        assert same is None if given is None else np.array_equal(same, given)


def test_an_element_of_nothing_is_refused() -> None:
    held = helper.make_tensor_type_proto(FLOAT, [2])
    node = helper.make_node("OptionalGetElement", ["x"], ["y"], name="take")
    proto = model([node], [optional("x", held)], [tensor("y")])
    with pytest.raises(UnsupportedOpError, match=r"take.*holds nothing"):
        compile_model(proto, CompileOptions(input_shapes={"x": (-1,)}))
    relu = model([helper.make_node("Relu", ["x"], ["y"], name="relu")], [optional("x", held)], [tensor("y")])
    with pytest.raises(UnsupportedOpError, match=r"relu.*optional"):
        compile_model(relu, CompileOptions(input_shapes={"x": (-1,)}))


def test_lists_without_elements() -> None:
    nodes = [helper.make_node("SequenceEmpty", [], ["e"]), helper.make_node("Relu", ["x"], ["y"])]
    proto = model(nodes, [tensor("x", [4])], [sequence("e"), tensor("y")])
    session = InferenceSession(compile_model(proto, CompileOptions()).bytes)
    empty, y = session.run(None, {"x": array(4)})
    assert empty == [] and y.shape == (4,)
    assert session.om.attrs[ATTR_LIST_OUTPUTS] == ("0:e", ":y")


def test_models_of_tensors_say_nothing_of_lists() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], [tensor("x", [4])], [tensor("y")])
    om = compile_model(proto, CompileOptions()).om
    assert ATTR_LIST_INPUTS not in om.attrs and ATTR_LIST_OUTPUTS not in om.attrs


def test_the_backend_compiles_for_the_lengths_it_meets() -> None:
    body = helper.make_graph(
        [helper.make_node("Mul", ["i", "i"], ["o"])], "body", [tensor("i")], [tensor("o")]
    )
    node = helper.make_node("SequenceMap", ["x"], ["y"], body=body)
    prepared = AscendBackend.prepare(model([node], [sequence("x", ["N"])], [sequence("y", ["N"])]))
    for sizes in ((3, 5), (5, 3), (4,), ()):
        x = [array(size) for size in sizes]
        (found,) = prepared.run([x])
        assert len(found) == len(x)
        for a, b in zip(found, x, strict=True):
            np.testing.assert_allclose(a, b * b, rtol=2e-3, atol=1e-3)


def test_names_of_elements_are_taken() -> None:
    nodes = [helper.make_node("SplitToSequence", ["x"], ["y"]), helper.make_node("Relu", ["x"], ["y@0"])]
    with pytest.raises(AscendError, match=r"E10041.*element of a list"):
        compile_model(model(nodes, [tensor("x", [2])], [sequence("y"), tensor("y@0")]), CompileOptions())


HOSTILE: list[tuple[object, ...]] = [
    ("2:x",),
    ("2:x", ":t", ":u"),
    ("3:x", ":t"),
    (":t", "2:x"),
    ("two:x", ":t"),
    ("x", "t"),
    ("99999999999:x", ":t"),
    ("²:x", ":t"),
    ("-:x", ":t"),
    (2, 3),
]


@pytest.mark.parametrize("attribute", HOSTILE)
def test_attributes_that_do_not_fit_are_refused(attribute: tuple[object, ...]) -> None:
    with pytest.raises(OmError):
        entries_of(attribute, ["x@0", "x@1", "t"])
    om = read_om(compile_model(lists_model(), CompileOptions(input_shapes=SHAPES)).bytes)
    damaged = dataclasses.replace(om, attrs={**om.attrs, ATTR_LIST_INPUTS: attribute})
    with pytest.raises(AscendError, match="E10041"):
        InferenceSession(damaged).run(None, {"t": array(2, 3)})  # type: ignore[arg-type]


def test_entries_come_back_from_their_text() -> None:
    entries = (Entry("a"), Entry("b:c", 2), Entry("d", 0), Entry("e", -1))
    parts = [part for entry in entries for part in entry.parts]
    assert parts == ["a", "b:c@0", "b:c@1"]
    assert entries_of(tuple(entry.text() for entry in entries), parts) == entries


def test_atc_runs_a_model_with_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, om, given, out = (tmp_path / name for name in ("m.onnx", "m.om", "in.npz", "out.npz"))
    onnx.save(lists_model(), source)
    words = [f"--model={source}", "--framework=5", "--soc_version=Ascend310P3", f"--output={tmp_path / 'm'}"]

    def atc(*line: str) -> int:
        with pytest.raises(SystemExit) as done:
            main(list(line))
        assert isinstance(done.value.code, int)
        return done.value.code

    assert atc(*words) != 0 and not om.exists()
    assert atc(*words, "--input_shape=x@0:1,3;x@1:4,3") == 0
    np.savez(given, **{"x@0": array(1, 3), "x@1": array(4, 3), "t": array(2, 3)})  # type: ignore[arg-type]
    assert atc("run", str(om), "--input", str(given), "--output", str(out)) == 0
    assert "output y@2: float32[2, 3]" in capsys.readouterr().out
    with np.load(out) as found:
        assert set(found.files) == {"y@0", "y@1", "y@2", "z", "s@0", "s@1"}
        np.testing.assert_array_equal(found["y@2"], array(2, 3))
    assert atc("verify", str(om)) == 0
