"""Small ONNX models for the importer's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from ascend_mlir.lowering.onnx_importer import ImportedModel, import_onnx
from ascend_mlir.runtime.interp.nn import run_module
from onnx import NodeProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int | str | None] | None],
    outputs: Sequence[str],
    *,
    weights: Mapping[str, np.ndarray] | None = None,
    opset: int = 21,
    **kwargs: Any,
) -> onnx.ModelProto:
    """A float model; shapes of outputs are left open."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **kwargs)


def run(imported: ImportedModel, *inputs: np.ndarray) -> list[np.ndarray]:
    """Verifies the module and computes it with the reference interpreter."""
    imported.module.verify()
    return run_module(imported.module, inputs, imported.weights)


def import_and_run(proto: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    return run(import_onnx(proto), *inputs)


def op_names(imported: ImportedModel) -> list[str]:
    """nn ops in order, constants left out."""
    names = [op.name for op in imported.module.walk()]
    return [name for name in names if name.startswith("nn.") and name != "nn.constant"]
