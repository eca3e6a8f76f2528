"""ONNX's own node tests, imported and computed by the reference interpreter.

Shapes, axes and the like arrive as inputs there; a model has them as constants, so they are made
initialisers where the importer asks for it. Every case of an operator with a handler must give ONNX's
result or be refused for a reason listed here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import pytest
from ascend_mlir.lowering.onnx_importer import ImportedModel, import_onnx
from ascend_mlir.lowering.onnx_ops import supported_ops
from ascend_mlir.passes.rewriting import main_function
from ascend_mlir.runtime.border import Given, shapes_of
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.model import SIZE_SUFFIX
from ascend_mlir.runtime.texts import SLOT, slots_of
from onnx import TensorProto, numpy_helper

from .onnx_models import run

REASONS = (
    "has ONNX element type",  # strings, 8-bit and smaller floats, 4-bit integers
    "input rank 3 or 4",  # 3-D images
    "expected: a tensor",  # values that are no arrays
    "Inputs must be tensors",
    "Numbers must be finite",
    "training mode",
    "Indices is used",
    "'start' depends on the data",  # the node tests of Range keep it open
    "trip count",  # a Range whose bounds are inputs is a Loop of unknown length
    "'num_mel_bins' depends on the data",
    "is a sequence",
    "input 0 of 0 is missing",  # an empty optional
    "mode = max",  # RoiAlign
    "no parser is registered",  # inside function bodies
)
RANDOM = ("bernoulli", "dropout", "training_dropout", "randomuniform", "randomnormal")
"""Their numbers follow from no portable seed."""
IMPRECISE = ("bf16", "bfloat16")
"""Results of ONNX's own bf16 references are rounded at other places."""


@lru_cache(maxsize=1)
def cases() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    names = {name for _, name, _ in supported_ops()}
    return {case.name: case for case in found if all(node.op_type in names for node in case.model.graph.node)}


def arrays(values: Sequence[Any]) -> list[Given]:
    return [given(value) for value in values]


def given(value: Any) -> Given:
    """A tensor, a list of them, or nothing."""
    if isinstance(value, list):
        return [slots_of(np.asarray(item)) for item in value]
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
    return None if array is None else slots_of(np.asarray(array))


def flat(values: Sequence[Given]) -> list[np.ndarray]:
    """The tensors of lists one by one, as an offline model has them."""
    return [
        item
        for value in values
        for item in (value if isinstance(value, list) else [] if value is None else [value])
    ]


def imported_case(model: onnx.ModelProto, inputs: list[Given]) -> tuple[ImportedModel, list[np.ndarray]]:
    """The model as it is, or with all inputs but the first as initialisers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for value, array in zip(model.graph.input, inputs, strict=False):
        shapes |= shapes_of(value.name, array)
    try:
        return import_onnx(model, input_shapes=shapes), flat(inputs)
    except AscendError as error:
        if "depends on the data" not in str(error):
            raise
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    free: list[Given] = []
    for index, (value, array) in enumerate(zip(model.graph.input, inputs, strict=True)):
        if not isinstance(array, np.ndarray) or (index == 0 and len(inputs) > 1):
            free.append(array)
            continue
        fixed.graph.initializer.append(numpy_helper.from_array(array, value.name))
        del shapes[value.name]
    return import_onnx(fixed, input_shapes=shapes), flat(free)


def trimmed(imported: ImportedModel, results: list[np.ndarray]) -> list[np.ndarray]:
    """Results whose size depends on data, cut to it, as the session does."""
    names = [name.data for name in main_function(imported.module).attributes["output_names"]]  # type: ignore[attr-defined]
    by_name = dict(zip(names, results, strict=True))
    found: list[np.ndarray] = []
    for name in imported.output_names:
        array, shape = by_name[name], by_name.get(name + SIZE_SUFFIX)
        found.append(array if shape is None else array.reshape(-1)[: int(np.prod(shape))].reshape(shape))
    return found


def check(case: Any) -> str:
    """Empty if the case passes, else the reason of the refusal."""
    try:
        inputs, expected = (arrays(values) for values in case.data_sets[0])
    except (TypeError, ValueError):
        return "expected: a tensor"
    try:
        imported, feed = imported_case(case.model, inputs)
    except AscendError as error:
        return str(error)
    for actual, wanted in zip(trimmed(imported, run(imported, *feed)), flat(expected), strict=True):
        assert actual.shape == wanted.shape and actual.dtype == wanted.dtype
        if wanted.dtype == SLOT:
            assert wanted.tobytes() == actual.tobytes()
            continue
        is_half = wanted.dtype.itemsize == 2 and wanted.dtype.kind not in "iu"
        kind = np.bool_ if wanted.dtype == np.bool_ else np.float64
        tolerance = 2e-2 if any(word in case.name for word in IMPRECISE) else 2e-3 if is_half else 1e-5
        np.testing.assert_allclose(actual.astype(kind), wanted.astype(kind), rtol=1e-3, atol=tolerance)
    return ""


FAMILIES = (
    "conv", "pool", "resize|upsample", "reduce", "norm",
    "pad|slice|split|concat|gather|tile|expand|transpose",
    "reshape|squeeze|flatten|depth|shape|size|constant|range", "cast",
    "softmax|gemm|matmul|attention|rotary", "",
)  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_node_cases(family: str) -> None:
    words = family.split("|")
    earlier = [word for other in FAMILIES[: FAMILIES.index(family)] for word in other.split("|")]
    wrong: list[str] = []
    passed = 0
    for name, case in cases().items():
        if any(word in name for word in RANDOM):
            continue
        if not any(word in name for word in words) or any(word in name for word in earlier):
            continue
        try:
            reason = check(case)
        except AssertionError as error:
            wrong.append(f"{name}: {str(error)[:300]}")
            continue
        passed += not reason
        if reason and not any(known in reason for known in REASONS):
            wrong.append(f"{name}: {reason}")
    assert not wrong, "\n".join(wrong)
    assert passed > 10
