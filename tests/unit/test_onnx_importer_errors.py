"""What a user does wrong, and what is wrong with files: always a code and a sentence, never a traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from ascend_mlir.lowering.onnx_importer import import_onnx
from ascend_mlir.runtime.errors import AscendError
from onnx import TensorProto, helper, numpy_helper

from .onnx_models import model, run


def relu(shape: list[int | str | None] | None, name: str = "image") -> onnx.ModelProto:
    return model([helper.make_node("Relu", [name], ["y"])], {name: shape}, ["y"])


def refused(code: str, *args: object, **kwargs: object) -> AscendError:
    with pytest.raises(AscendError) as error:
        import_onnx(*args, **kwargs)  # type: ignore[arg-type]
    assert error.value.code == code, str(error.value)
    return error.value


def test_open_dimension_names_input_and_flag() -> None:
    error = refused("E10011", relu(["batch", 3, "height", 8]))
    assert "'image'" in error.message and "dimension 0 (batch)" in error.message
    assert '--input_shape "image:1,3,<height>,8"' in error.hint


def test_unknown_rank() -> None:
    error = refused("E10011", relu(None))
    assert "rank" in error.message


def test_given_shapes_close_open_dimensions() -> None:
    imported = import_onnx(relu(["n", 3]), input_shapes={"image": (2, 3)})
    assert imported.inputs[0].shape == (2, 3)


def test_one_symbol_holds_for_all_inputs() -> None:
    proto = model([helper.make_node("Add", ["a", "b"], ["y"])], {"a": ["n", 3], "b": ["n", 3]}, ["y"])
    imported = import_onnx(proto, input_shapes={"a": (5, 3)})
    assert [item.shape for item in imported.inputs] == [(5, 3), (5, 3)]
    refused("E10050", proto, input_shapes={"a": (5, 3), "b": (6, 3)})


def test_unknown_input_name_proposes_a_near_one() -> None:
    error = refused("E10016", relu(["n", 3]), input_shapes={"imago": (1, 3)})
    assert "did you mean 'image'?" in error.hint


def test_wrong_rank_size_and_value() -> None:
    assert "2 dimensions" in refused("E10049", relu(["n", 3]), input_shapes={"image": (1, 3, 4)}).expected
    assert "dimension 1" in refused("E10050", relu(["n", 3]), input_shapes={"image": (1, 4)}).message
    refused("E10011", relu(["n", 3]), input_shapes={"image": (-1, 3)})
    refused("E10011", relu(["n", 3]), input_shapes={"image": (0, 3)})


def test_inputs_that_are_no_tensors() -> None:
    proto = relu([2])
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    refused("EZ3002", proto)  # strings are tensors, but no operand of Relu
    proto.graph.input[0].type.CopyFrom(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    )
    refused("E13025", proto)


def test_missing_directory_empty_and_foreign_files(tmp_path: Path) -> None:
    refused("E13000", tmp_path / "no.onnx")
    refused("E13000", tmp_path)
    path = tmp_path / "m.onnx"
    path.write_bytes(b"")
    refused("E10041", path)
    path.write_text('{"not": "a model"}')
    refused("E10041", path)
    path.write_bytes(bytes(range(256)) * 10)
    refused("E10041", path)
    path.write_bytes(onnx.ModelProto(ir_version=8).SerializeToString())
    refused("E16004", path)


def weighty(tmp_path: Path) -> tuple[Path, np.ndarray]:
    w = np.random.default_rng(3).normal(size=(64, 32)).astype(np.float32)
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [2, 64]}, ["y"], weights={"w": w})
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return path, w


def test_truncated_anywhere(tmp_path: Path) -> None:
    path, _ = weighty(tmp_path)
    data = path.read_bytes()
    for end in (1, 7, 20, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(AscendError):
            import_onnx(path)


def test_weights_are_mapped_from_the_model_file(tmp_path: Path) -> None:
    path, w = weighty(tmp_path)
    imported = import_onnx(path)
    loaded = imported.weights.evaluate(imported.weights.blob("w"))
    assert isinstance(loaded.base, np.memmap)
    x = np.ones((2, 64), np.float32)
    np.testing.assert_allclose(run(imported, x)[0], x @ w, rtol=1e-5, atol=1e-5)


def test_external_data(tmp_path: Path) -> None:
    path, w = weighty(tmp_path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    imported = import_onnx(str(path))
    x = np.ones((2, 64), np.float32)
    np.testing.assert_allclose(run(imported, x)[0], x @ w, rtol=1e-5, atol=1e-5)
    data = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(data[:100])
    assert "has 100 bytes" in refused("E13003", path).message
    (tmp_path / "weights.bin").unlink()
    assert "does not exist" in refused("E13003", path).message
    refused("E13003", onnx.load(path, load_external_data=False))


def test_external_data_outside_the_folder(tmp_path: Path) -> None:
    path, _ = weighty(tmp_path)
    proto = onnx.load(path)
    onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "../secret.bin")
    proto.graph.initializer[0].ClearField("raw_data")
    path.write_bytes(proto.SerializeToString())
    assert "outside" in refused("E13003", path).message


def test_initializer_of_the_wrong_length() -> None:
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], {"x": [4]}, ["y"])
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    tensor.dims[0] = 5
    proto.graph.initializer.append(tensor)
    assert "20 bytes" in refused("E10041", proto).expected


def test_tensor_computed_twice() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["y"])]
    assert "'y'" in refused("E10041", model(nodes, {"x": [1]}, ["y"])).message


def test_missing_output_and_operand() -> None:
    assert "'y'" in refused("E10041", model([], {"x": [1]}, ["y"])).message
    refused("E10041", model([helper.make_node("Relu", ["gone"], ["y"])], {"x": [1]}, ["y"]))
    empty = onnx.ModelProto()
    empty.opset_import.append(helper.make_opsetid("", 21))
    refused("E16004", empty)


def test_which_code_a_refusal_has() -> None:
    """An operator that nobody knows, one whose kernels do not do it, a file that is no model: the worst is the code."""
    unknown = helper.make_node("Frobnicate", ["x"], ["a"], domain="custom")
    too_much = helper.make_node("Softmax", ["x"], ["b"], axis=7)
    gone = helper.make_node("Relu", ["nowhere"], ["c"])
    for nodes, code in (
        ([too_much], "EZ3002"), ([gone], "E10041"), ([too_much, gone], "E10041"), ([too_much, gone, unknown], "E13010"),
    ):  # fmt: skip
        refused(code, model(nodes, {"x": [1, 4]}, [nodes[-1].output[0]]))


def test_several_versions_of_the_default_domain() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {"x": [1]}, ["y"])
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 9))
    assert "9" in refused("E16005", proto).message


def test_a_name_that_is_no_input() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"], "relu")], {"x": [1]}, ["y"])
    for name, code in (("relu", "E10017"), ("rely", "E10016")):
        with pytest.raises(AscendError) as caught:
            import_onnx(proto, input_shapes={name: (1,)})
        assert caught.value.code == code and caught.value.expected == "one of x"


def test_recursive_function() -> None:
    function = helper.make_function(
        "local", "Loop", ["a"], ["b"], [helper.make_node("Loop", ["a"], ["b"], domain="local")],
        [helper.make_opsetid("local", 1)],
    )  # fmt: skip
    proto = model(
        [helper.make_node("Loop", ["x"], ["y"], domain="local")], {"x": [1]}, ["y"], functions=[function]
    )
    proto.opset_import.append(helper.make_opsetid("local", 1))
    assert "calls itself" in str(refused("E10041", proto))
