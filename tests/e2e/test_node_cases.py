"""Node cases of the ONNX backend suite, and what it does not ask: exact integers, settings as inputs, refusals.

The whole suite runs in `../shared/conformance`; here is a choice of one or two cases for each thing that went
wrong once, compiled and simulated in this process with the hazard check on.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.errors import AscendError, UnsupportedOpError
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.runtime.onnx_backend import AscendBackend, PreparedModel
from onnx import TensorProto, helper, numpy_helper

NODE_CASES = (
    # shapes, axes and sizes that are inputs of the model
    "reduce_sum_negative_axes_keepdims_random", "reduce_l2_do_not_keepdims_example_expanded", "reshape_zero_dim",
    "resize_upsample_sizes_nearest", "resize_downsample_scales_cubic", "slice_neg_steps", "split_zero_size_splits_opset18",
    "constant_pad_axes", "squeeze_negative_axes", "unsqueeze_unsorted_axes", "tile_precomputed", "expand_dim_changed",
    "constantofshape_int_shape_zero", "upsample_nearest", "slice_start_out_of_bounds",
    # nothing to compute: inputs, constants, no elements
    "identity", "constant", "dropout_default_mask", "shape_start_1_end_2", "size", "max_one_input",
    "transpose_all_permutations_0", "reduce_sum_empty_set", "shape_start_greater_than_end", "reshape_allowzero_reordered",
    # weights that are computed, volumes
    "basic_conv_with_padding", "conv_with_autopad_same", "convtranspose_pads", "convtranspose_group_2",
    "convtranspose_dilations", "averagepool_3d_default", "maxpool_3d_dilations",
    "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
    # types
    "maxpool_2d_uint8", "reduce_max_bool_inputs", "div_int8", "div_uint8", "add_uint8", "cast_FLOAT_to_FLOAT16",
    "reduce_prod_default_axes_keepdims_example", "softmax_large_number_expanded", "training_dropout_zero_ratio_mask",
    "gather_negative_indices", "gather_2d_indices", "gather_1",
    # refused once
    "resize_tf_crop_and_resize", "pow_types_int32_float32", "roialign_mode_max", "convtranspose_3d",
)  # fmt: skip
LISTS = (
    "identity_sequence", "identity_opt", "if_seq", "if_opt", "loop13_seq", "loop16_seq_none", "sequence_map_extract_shapes",
    "sequence_map_add_2_sequences_expanded", "sequence_insert_at_front", "split_to_sequence_nokeepdims",
    "optional_get_element_optional_sequence", "optional_has_element_empty_optional_input", "optional_has_element_optional_input",
)  # fmt: skip
"""Sequences and optionals among inputs and outputs."""


@cache
def node_cases() -> dict[str, Any]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name.removeprefix("test_"): case for case in collect_testcases(None)}


def value_of(value: Any) -> Any:
    """A tensor, a list of tensors, or nothing."""
    if isinstance(value, list):
        return [array_of(item) for item in value]
    return None if value is None else array_of(value)


def prepare(model: onnx.ModelProto) -> PreparedModel:
    backend = type("Backend", (AscendBackend,), {"sanitize": True})
    prepared = backend.prepare(model)
    assert isinstance(prepared, PreparedModel)
    return prepared


def array_of(value: Any) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


@pytest.mark.parametrize("name", NODE_CASES)
def test_node(name: str) -> None:
    case = node_cases()[name]
    prepared = prepare(case.model)
    for inputs, outputs in case.data_sets:
        results = prepared.run([array_of(value) for value in inputs])
        for got, expected in zip(results, outputs, strict=True):
            want = array_of(expected)
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            if want.dtype.kind == "f":
                np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-2)
            else:
                np.testing.assert_array_equal(got, want)
    assert prepared.engine_counts["aicpu"] == 0


@pytest.mark.parametrize("name", LISTS)
def test_lists(name: str) -> None:
    case = node_cases()[name]
    for inputs, outputs in case.data_sets:
        results = prepare(case.model).run(list(map(value_of, inputs)))
        for got, want in zip(results, map(value_of, outputs), strict=True):
            assert type(got) is type(want)
            pairs = zip(got, want, strict=True) if isinstance(want, list) else [(got, want)]
            for a, b in pairs:
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2)


def test_a_list_of_unknown_length_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match="its length is open"):
        prepare(node_cases()["identity_sequence"].model).run([])


def one_node(op: str, arrays: Sequence[np.ndarray], result: int, **attributes: Any) -> onnx.ModelProto:
    names = [f"x{i}" for i in range(len(arrays))]
    node = helper.make_node(op, names, ["y"], **attributes)
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, arrays, strict=True)
    ]
    output = helper.make_tensor_value_info("y", result, None)
    graph = helper.make_graph([node], op, inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def run(op: str, *arrays: np.ndarray, result: int, **attributes: Any) -> np.ndarray:
    (got,) = prepare(one_node(op, arrays, result, **attributes)).run(arrays)
    return got


RNG = np.random.default_rng(7)
WORDS = RNG.integers(-(2**31) + 1, 2**31, 257).astype(np.int32)
NEAR = np.concatenate([WORDS[:100], WORDS[100:200] + 1, RNG.integers(-9, 9, 57).astype(np.int32)])
SMALL = RNG.integers(-128, 128, 257).astype(np.int8)


@pytest.mark.parametrize("op", ["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"])
def test_comparison_of_large_integers(op: str) -> None:
    functions = {
        "Equal": np.equal, "Less": np.less, "Greater": np.greater,
        "LessOrEqual": np.less_equal, "GreaterOrEqual": np.greater_equal,
    }  # fmt: skip
    got = run(op, WORDS, NEAR, result=TensorProto.BOOL)
    np.testing.assert_array_equal(got, functions[op](WORDS, NEAR))


def test_integer_quotient_is_cut_off() -> None:
    divisor = np.where(NEAR == 0, 3, NEAR)
    want = np.trunc(WORDS.astype(np.float64) / divisor).astype(np.int32)
    np.testing.assert_array_equal(run("Div", WORDS, divisor, result=TensorProto.INT32), want)


def test_remainder_has_the_sign_of_the_divisor() -> None:
    divisor = np.where(NEAR == 0, 3, NEAR)
    np.testing.assert_array_equal(run("Mod", WORDS, divisor, result=TensorProto.INT32), WORDS % divisor)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_bytes_wrap(op: str) -> None:
    other = np.roll(SMALL, 1)
    want = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}[op](SMALL, other)
    np.testing.assert_array_equal(run(op, SMALL, other, result=TensorProto.INT8), want)


@pytest.mark.parametrize("target", [np.int8, np.uint8, np.bool_, np.float32, np.int64])
def test_cast_of_integers(target: type[np.generic]) -> None:
    code = helper.np_dtype_to_tensor_dtype(np.dtype(target))
    np.testing.assert_array_equal(run("Cast", WORDS, result=code, to=code), WORDS.astype(target))


def test_sum_of_integers_is_exact() -> None:
    table = (WORDS // 512)[:255].reshape(15, 17)
    got = run("ReduceSum", table, np.array([1]), result=TensorProto.INT32, keepdims=0)
    np.testing.assert_array_equal(got, table.sum(1))


def test_size_and_sign_of_integers() -> None:
    np.testing.assert_array_equal(run("Abs", WORDS, result=TensorProto.INT32), np.abs(WORDS))
    np.testing.assert_array_equal(run("Sign", WORDS, result=TensorProto.INT32), np.sign(WORDS))


def test_wide_input_beyond_32_bits_is_refused() -> None:
    wide = np.array([1, -(2**31), 2**31 - 1])
    np.testing.assert_array_equal(run("Cast", wide, result=TensorProto.FLOAT, to=1), wide.astype(np.float32))
    with pytest.raises(AscendError, match="32 bits"):
        run("Cast", wide * 4, result=TensorProto.FLOAT, to=1)
    np.testing.assert_array_equal(run("Identity", wide * 4, result=TensorProto.INT64), wide * 4)


def test_a_pad_may_crop_one_side_and_grow_the_other() -> None:
    image = np.arange(54, dtype=np.float32).reshape(1, 1, 9, 6)
    pads = np.array([0, 0, 1, 0, 0, 0, -1, -1])
    want = np.pad(image, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1, :-1]
    np.testing.assert_array_equal(run("Pad", image, pads, result=TensorProto.FLOAT), want)


def test_rows_of_a_convolution_that_read_padding_only() -> None:
    image = RNG.standard_normal((1, 4, 8, 18)).astype(np.float16).astype(np.float32)
    weight = RNG.standard_normal((5, 4, 1, 1)).astype(np.float16).astype(np.float32)
    model = one_node("Conv", [image, weight], TensorProto.FLOAT, strides=[2, 2], pads=[2, 1, 2, 1])
    model.graph.initializer.append(numpy_helper.from_array(weight, "x1"))
    del model.graph.input[1]
    (got,) = prepare(model).run([image])
    padded = np.pad(image, ((0, 0), (0, 0), (2, 2), (1, 1)))[:, :, ::2, ::2]
    np.testing.assert_allclose(got, np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], padded), atol=2e-2)


def test_resize_to_one_row_takes_the_middle_one() -> None:
    image = np.arange(2 * 18 * 9, dtype=np.float32).reshape(1, 2, 18, 9)
    none = np.zeros(0, np.float32)
    got = run("Resize", image, none, none, np.array([1, 2, 1, 3]), result=TensorProto.FLOAT, mode="nearest")
    np.testing.assert_array_equal(got, image[:, :, 8:9, 1::3])


def test_normalisation_across_channels_of_a_large_image() -> None:
    x = RNG.standard_normal((2, 7, 19, 18)).astype(np.float16).astype(np.float32)
    sums = np.stack([(x[:, max(c - 2, 0) : c + 3] ** 2).sum(1) for c in range(7)], 1)
    got = run("LRN", x, result=TensorProto.FLOAT, size=5, alpha=0.1, beta=0.75, bias=1.0)
    np.testing.assert_allclose(got, x / (1 + 0.02 * sums) ** 0.75, rtol=1e-2, atol=1e-2)


def test_a_reduction_over_a_dim_in_the_middle() -> None:
    x = RNG.standard_normal((1, 2, 3, 4)).astype(np.float16).astype(np.float32)
    got = run("ReduceMean", x, result=TensorProto.FLOAT, axes=[2])
    np.testing.assert_allclose(got, x.mean(2, keepdims=True), atol=1e-3)


def test_a_constant_output_is_copied_by_the_runtime() -> None:
    value = numpy_helper.from_array(np.arange(7, dtype=np.float32), "c")
    nodes = [helper.make_node("Identity", ["c"], ["y"]), helper.make_node("Reshape", ["x", "s"], ["z"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_empty_tensor_value_info("y"), helper.make_empty_tensor_value_info("z")],
        [value, numpy_helper.from_array(np.array([3, 2]), "s")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    prepared = prepare(model)
    y, z = prepared.run([x])
    np.testing.assert_array_equal(y, np.arange(7))
    np.testing.assert_array_equal(z, x.reshape(3, 2))
    assert prepared.engine_counts == {"aicore": 0, "aicpu": 0}
    om = compile_model(model, CompileOptions(verify=True)).om
    assert [task.is_copy for task in read_om(om_bytes(om)).tasks] == [True]
    assert read_om(om_bytes(om)).tasks == om.tasks


def test_settings_are_part_of_the_compiled_model() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    prepared = prepare(one_node("Reshape", [x, np.array([4, 3])], TensorProto.FLOAT))
    for shape in ([4, 3], [2, 6], [-1, 1]):
        (got,) = prepared.run([x, np.array(shape)])
        np.testing.assert_array_equal(got, x.reshape(shape))


def test_all_refusals_come_at_once() -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], [out], name=name)
        for out, name in (("y", "m"), ("z", "n"))
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 2, 3, 3, 3, 3]), ("w", [2, 2, 2, 2, 2, 2]))
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in ("y", "z")]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(UnsupportedOpError) as caught:
        compile_model(model, CompileOptions())
    assert {item.node for item in caught.value.items} == {"m", "n"}
