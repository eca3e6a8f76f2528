"""The importer: structure, folding, functions, names."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from ascend_mlir.dialects import nn
from ascend_mlir.lowering.onnx_importer import import_onnx
from ascend_mlir.lowering.onnx_ops import supported_ops
from ascend_mlir.passes.provenance import KEEP_LOCATION, location_of, node_names
from ascend_mlir.runtime.errors import AscendError, UnsupportedOpError
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.func import FuncOp
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from .onnx_models import FLOAT, import_and_run, model, op_names, run

RNG = np.random.default_rng(11)


def node(op: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def test_signature_and_names() -> None:
    proto = model([node("Relu", "x", "y")], {"x": [2, 3]}, ["y"])
    imported = import_onnx(proto)
    (main,) = [op for op in imported.module.ops if isinstance(op, FuncOp)]
    assert [str(t) for t in main.function_type.inputs] == ["tensor<2x3xf32>"]
    assert str(main.attributes["input_names"]) == '["x"]'
    assert imported.input_names == ("x",) and imported.output_names == ("y",)
    assert imported.inputs[0].shape == (2, 3) and imported.inputs[0].dtype == "f32"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (TensorProto.FLOAT16, "f16"),
        (TensorProto.INT64, "i64"),
        (TensorProto.BOOL, "i1"),
        (TensorProto.UINT8, "ui8"),
    ],
)
def test_input_types_are_kept(code: int, name: str) -> None:
    proto = model([node("Identity", "x", "y")], {"x": [2]}, ["y"])
    proto.graph.input[0].type.tensor_type.elem_type = code
    (main,) = [op for op in import_onnx(proto).module.ops if isinstance(op, FuncOp)]
    assert [str(t) for t in main.function_type.inputs] == [f"tensor<2x{name}>"]


def test_node_names_are_locations() -> None:
    nodes = [node("Relu", "x", "a"), helper.make_node("Abs", ["a"], ["y"], name="layer/abs")]
    imported = import_onnx(model(nodes, {"x": [2]}, ["y"]))
    names = [node_names(op) for op in imported.module.walk() if op.name.startswith("nn.")]
    assert names == [["Relu_0"], ["layer/abs"]]


def test_replacing_an_op_keeps_its_names() -> None:
    class ReluToAbs(RewritePattern):
        @op_type_rewrite_pattern
        def match_and_rewrite(self, op: nn.ReluOp, rewriter: PatternRewriter) -> None:
            rewriter.replace(op, nn.AbsOp(op.input))

    imported = import_onnx(model([node("Relu", "x", "y")], {"x": [2]}, ["y"]))
    PatternRewriteWalker(ReluToAbs(), listener=KEEP_LOCATION).rewrite_module(imported.module)
    (op,) = [op for op in imported.module.walk() if op.name == "nn.abs"]
    assert node_names(op) == ["Relu_0"]


def test_several_names() -> None:
    op = nn.ConstantOp(nn.Blob.splat(0, (), "f32"))
    assert node_names(op) == []
    op.location = location_of(["a", "b", "a"])
    assert node_names(op) == ["a", "b"]


def test_shape_arithmetic_leaves_nothing() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axis", "n1"),
        node("Concat", "n1 rest", "target", axis=0),
        node("Reshape", "x target", "y"),
    ]
    weights = {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1])}
    imported = import_onnx(model(nodes, {"x": [2, 3, 4]}, ["y"], weights=weights))
    assert op_names(imported) == ["nn.reshape"]
    assert len(imported.weights) == 0


def test_resize_scale_arithmetic_folds() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s two four", "hw"),
        node("Cast", "hw", "f", to=FLOAT),
        node("Mul", "f factor", "scaled"),
        node("Floor", "scaled", "floored"),
        node("Cast", "floored", "i", to=TensorProto.INT64),
        node("Slice", "s zero two", "nc"),
        node("Concat", "nc i", "sizes", axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"]),
    ]
    weights = {
        "zero": np.array([0]),
        "two": np.array([2]),
        "four": np.array([4]),
        "factor": np.array([2.0, 2.0], np.float32),
    }
    imported = import_onnx(model(nodes, {"x": [1, 1, 3, 4]}, ["y"], weights=weights))
    assert op_names(imported) == ["nn.resize"]
    assert run(imported, np.zeros((1, 1, 3, 4), np.float32))[0].shape == (1, 1, 6, 8)


def test_constant_condition_chooses_a_branch() -> None:
    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph(
            [node(op, "x", "r")], op, [], [helper.make_tensor_value_info("r", FLOAT, None)]
        )

    nodes = [
        node("Size", "x", "n"),
        node("Greater", "n limit", "many"),
        node("If", "many", "y", then_branch=branch("Neg"), else_branch=branch("Abs")),
    ]
    for limit, expected in ((1, "nn.neg"), (100, "nn.abs")):
        imported = import_onnx(model(nodes, {"x": [2, 3]}, ["y"], weights={"limit": np.array(limit)}))
        assert op_names(imported) == [expected]


def branches(*ops: str) -> dict[str, onnx.GraphProto]:
    """Branches that apply one operator each to the outer x."""
    made = [
        helper.make_graph([node(op, "x", "r")], op, [], [helper.make_tensor_value_info("r", FLOAT, None)])
        for op in ops
    ]
    return dict(zip(("then_branch", "else_branch"), made, strict=True))


def conditional(**graphs: onnx.GraphProto) -> onnx.ModelProto:
    """If the sum of x is positive."""
    nodes = [
        node("ReduceSum", "x", "s", keepdims=0),
        node("Greater", "s zero", "c"),
        node("If", "c", "y", **graphs),
    ]
    return model(nodes, {"x": [2]}, ["y"], weights={"zero": np.array(0, np.float32)})


def test_open_condition_selects_between_both_branches() -> None:
    imported = import_onnx(conditional(**branches("Neg", "Abs")))
    for x, wanted in (([1.0, 2.0], [-1.0, -2.0]), ([-3.0, 1.0], [3.0, 1.0])):
        np.testing.assert_array_equal(run(imported, np.array(x, np.float32))[0], wanted)


def test_open_condition_with_branches_of_other_shapes_is_refused() -> None:
    with pytest.raises(UnsupportedOpError) as error:
        import_onnx(conditional(**branches("Neg", "Shape")))
    assert [(i.op, i.node) for i in error.value.items] == [("If", "If_2")]
    assert "same shapes" in error.value.items[0].requirement


def test_local_function_with_attribute_reference() -> None:
    inner = node("LeakyRelu", "a", "b")
    reference = onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    inner.attribute.append(reference)
    function = helper.make_function(
        "local",
        "Twice",
        ["a"],
        ["c"],
        [inner, node("Add", "b b", "c")],
        [helper.make_opsetid("", 21)],
        ["slope"],
    )
    call = helper.make_node("Twice", ["x"], ["y"], domain="local", name="call", slope=0.5)
    proto = model([call], {"x": [2]}, ["y"], functions=[function])
    proto.opset_import.append(helper.make_opsetid("local", 1))
    imported = import_onnx(proto)
    np.testing.assert_array_equal(run(imported, np.array([-2.0, 1.0], np.float32))[0], [-2.0, 2.0])
    names = [node_names(op) for op in imported.module.walk() if op.name.startswith("nn.")]
    assert names == [["call/LeakyRelu_0"], ["call/Add_1"]]


def test_standard_function_carries_the_callers_name() -> None:
    proto = model(
        [helper.make_node("RMSNormalization", ["x", "s"], ["y"], name="norm")],
        {"x": [2, 4]},
        ["y"],
        weights={"s": np.ones(4, np.float32)},
        opset=23,
    )
    imported = import_onnx(proto)
    names = {name for op in imported.module.walk() if op.name.startswith("nn.") for name in node_names(op)}
    assert "norm" in names
    x = RNG.normal(size=(2, 4)).astype(np.float32)
    expected = x / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(run(imported, x)[0], expected, rtol=1e-5, atol=1e-6)


def test_outputs_can_be_cut() -> None:
    nodes = [node("Relu", "x", "a"), node("Foo", "a", "b"), node("Abs", "b", "y")]
    proto = model(nodes, {"x": [2]}, ["y"])
    for name in ("a", "Relu_0:0"):
        imported = import_onnx(proto, output_names=[name])
        assert op_names(imported) == ["nn.relu"] and imported.output_names == ("a",)
    with pytest.raises(AscendError, match="E10016"):
        import_onnx(proto, output_names=["nowhere"])


def test_all_refusals_at_once() -> None:
    nodes = [
        node("Foo", "x", "a"),
        helper.make_node("MaxPool", ["v"], ["b", "i"], name="pool", kernel_shape=[2, 2, 2]),
        node("Cast", "i", "c", to=FLOAT),
        node("Add", "b c", "d"),
        node("Bar", "d", "e"),
    ]
    with pytest.raises(UnsupportedOpError) as error:
        import_onnx(model(nodes, {"x": [1, 1, 4, 4], "v": [1, 1, 4, 4, 4]}, ["a", "e"]))
    assert [(item.op, item.node) for item in error.value.items] == [
        ("Foo", "Foo_0"),
        ("MaxPool", "pool"),
        ("Bar", "Bar_4"),
    ]
    assert error.value.code == "E13010"
    assert "output Indices is used" in str(error.value)


def test_contradicting_operands_are_refused() -> None:
    weights = {"w": np.zeros((4, 3, 3, 3), np.float32)}
    with pytest.raises(UnsupportedOpError, match="input channels"):
        import_onnx(model([node("Conv", "x w", "y")], {"x": [1, 2, 8, 8]}, ["y"], weights=weights))


def test_scalar_weights_and_views_are_expressions() -> None:
    nodes = [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t", "m"), node("Mul", "m half", "y")]
    weights = {"w": RNG.normal(size=(20, 10)).astype(np.float32), "half": np.array(0.5, np.float32)}
    imported = import_onnx(model(nodes, {"x": [3, 10]}, ["y"], weights=weights))
    texts = [op.blob.text for op in imported.module.walk() if isinstance(op, nn.ConstantOp)]
    assert texts == ['"w" : tensor<20x10xf32> | transpose [1, 0]', "splat 0.5 : tensor<f32>"]


def test_gemm_scales_go_into_the_weight() -> None:
    weights = {"w": RNG.normal(size=(5, 10)).astype(np.float32), "c": RNG.normal(size=5).astype(np.float32)}
    proto = model(
        [node("Gemm", "x w c", "y", alpha=0.5, beta=2.0, transB=1)], {"x": [3, 10]}, ["y"], weights=weights
    )
    imported = import_onnx(proto)
    assert op_names(imported) == ["nn.matmul", "nn.add"]
    x = RNG.normal(size=(3, 10)).astype(np.float32)
    np.testing.assert_allclose(
        run(imported, x)[0], 0.5 * x @ weights["w"].T + 2 * weights["c"], rtol=1e-5, atol=1e-6
    )


def test_one_dimensional_convolution() -> None:
    w = RNG.normal(size=(4, 3, 5)).astype(np.float32)
    proto = model(
        [node("Conv", "x w", "y", pads=[2, 2], strides=[2])], {"x": [1, 3, 9]}, ["y"], weights={"w": w}
    )
    (y,) = import_and_run(proto, np.ones((1, 3, 9), np.float32))
    assert y.shape == (1, 4, 5)
    np.testing.assert_allclose(y[0, :, 2], w.sum(axis=(1, 2)), rtol=1e-5, atol=1e-5)


def test_removed_operators() -> None:
    nodes = [
        node("ImageScaler", "x", "a", scale=2.0, bias=[1.0, 2.0]),
        node("Crop", "a", "b", border=[1, 0, 0, 1]),
        node("Affine", "b", "c", alpha=3.0, beta=1.0),
        node("Upsample", "c", "y", scales=[1.0, 1.0, 2.0, 2.0]),
    ]
    x = RNG.normal(size=(1, 2, 3, 3)).astype(np.float32)
    (y,) = import_and_run(model(nodes, {"x": [1, 2, 3, 3]}, ["y"], opset=7), x)
    scaled = 2 * x + np.array([1, 2], np.float32).reshape(1, 2, 1, 1)
    expected = (3 * scaled[:, :, :2, 1:] + 1).repeat(2, 2).repeat(2, 3)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-5)


def test_initializers_listed_as_inputs_and_typed_fields() -> None:
    proto = model([node("Add", "x w", "y")], {"x": [3], "w": [3]}, ["y"])
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]))
    imported = import_onnx(proto)
    assert imported.input_names == ("x",)
    np.testing.assert_array_equal(run(imported, np.ones(3, np.float32))[0], [2, 3, 4])


def test_half_model() -> None:
    w = RNG.normal(size=(70, 8)).astype(np.float16)
    proto = model(
        [node("MatMul", "x w", "m"), node("Softmax", "m", "y")], {"x": [2, 70]}, ["y"], weights={"w": w}
    )
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    x = RNG.normal(size=(2, 70)).astype(np.float16)
    (y,) = import_and_run(proto, x)
    assert y.dtype == np.float16
    product = (x.astype(np.float32) @ w.astype(np.float32)).astype(np.float16).astype(np.float32)
    e = np.exp(product - product.max(axis=1, keepdims=True))
    np.testing.assert_allclose(y, e / e.sum(axis=1, keepdims=True), atol=1e-3)


def test_ceil_mode_counts_only_the_models_padding() -> None:
    attributes = {
        "kernel_shape": [3, 3],
        "strides": [2, 2],
        "pads": [1, 1, 1, 1],
        "ceil_mode": 1,
        "count_include_pad": 1,
    }
    imported = import_onnx(model([node("AveragePool", "x", "y", **attributes)], {"x": [1, 1, 4, 4]}, ["y"]))
    (y,) = run(imported, np.ones((1, 1, 4, 4), np.float32))
    np.testing.assert_allclose(y[0, 0, :, 0], np.array([4, 6, 2]) / np.array([9, 9, 6]), rtol=1e-6)


def test_supported_operators_are_listed() -> None:
    listed = {(domain, name) for domain, name, _ in supported_ops()}
    assert {("", "Conv"), ("", "Resize"), ("", "LayerNormalization"), ("", "Crop")} <= listed


def test_tensor_of_the_graph_input_is_an_output() -> None:
    proto = model([node("Dropout", "x", "y")], {"x": [2]}, ["y"])
    np.testing.assert_array_equal(import_and_run(proto, np.ones(2, np.float32))[0], [1, 1])


def test_known_output_is_a_constant() -> None:
    proto = model([node("Shape", "x", "y")], {"x": [2, 5]}, ["y"])
    np.testing.assert_array_equal(import_and_run(proto, np.ones((2, 5), np.float32))[0], [2, 5])


def test_sparse_initializer() -> None:
    proto = model([node("Add", "x w", "y")], {"x": [4]}, ["y"])
    values = numpy_helper.from_array(np.array([5.0, 7.0], np.float32), "w")
    indices = numpy_helper.from_array(np.array([1, 3]), "i")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    np.testing.assert_array_equal(import_and_run(proto, np.zeros(4, np.float32))[0], [0, 5, 0, 7])


def test_broadcasting_before_opset_7() -> None:
    weights = {"c": np.array([1.0, 2.0], np.float32)}
    proto = model(
        [node("Add", "x c", "y", broadcast=1, axis=1)], {"x": [1, 2, 3]}, ["y"], weights=weights, opset=6
    )
    (y,) = import_and_run(proto, np.zeros((1, 2, 3), np.float32))
    np.testing.assert_array_equal(y[0], [[1, 1, 1], [2, 2, 2]])
