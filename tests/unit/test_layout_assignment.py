"""Layout assignment: the same outputs when every tensor is its packed bytes, few TransData, and a true
minimum."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from ascend_mlir.dialects import ascend, nn
from ascend_mlir.dialects.layouts import ND
from ascend_mlir.lowering.onnx_importer import import_onnx
from ascend_mlir.passes.layout_options import Option, options, trans_data_cost
from ascend_mlir.passes.layout_solver import Problem, needs_detour
from ascend_mlir.passes.rewriting import main_block
from ascend_mlir.runtime.interp.ascend import run_module as run_bytes
from ascend_mlir.runtime.interp.nn import run_module
from ascend_mlir.tools.universe import load_pass
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"
NN = [
    "nn-infer-shapes",
    "nn-fold-constants",
    "nn-fold-batch-norm",
    "nn-simplify",
    "nn-decompose",
    "nn-simplify",
]
HALF = ["nn-convert-precision", "nn-simplify", "nn-fuse-groups", "check-nn"]
TO_ASCEND = ["convert-nn-to-ascend", "ascend-assign-layouts", "check-ascend"]

pytestmark = pytest.mark.skipif(not MODELS.exists(), reason="needs ../shared")


def apply(module: ModuleOp, names: list[str]) -> None:
    for name in names:
        load_pass(name)().apply(Context(), module)
        module.verify()


def load(name: str):
    path = next(MODELS.glob(f"*/{name}.onnx"))
    sample = np.load(path.with_suffix(".npz"))
    inputs = [sample[f"in_{k}"] for k in range(len(sample["input_names"]))]
    names = [str(n) for n in sample["input_names"]]
    shapes = {n: a.shape for n, a in zip(names, inputs, strict=True)}
    return import_onnx(path, input_shapes=shapes), inputs


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "trans_data", "groups"),
    [
        ("mnist_cntk", 2, 7),
        ("mnist_pytorch", 0, 5),
        ("micro_kws_m_fp32", 2, 12),
        ("resnet18.legacy", 1, 25),
        ("mobilenet_v2.dynamo", 1, 56),
        ("convnext.old", 33, 72),
        ("yolov8n.legacy", 10, 90),
        ("bert.legacy", 33, 47),  # three of them around embedding lookups as products
        ("fastestdet", 7, 104),
    ],
)
def test_models(name: str, trans_data: int, groups: int) -> None:
    model, inputs = load(name)
    expected = run_module(model.module, inputs, model.weights)
    apply(model.module, NN)
    for want, got in zip(expected, run_module(model.module, inputs, model.weights), strict=True):
        scale = float(np.abs(want).max())
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * scale)
    apply(model.module, HALF)
    halved = run_module(model.module, inputs, model.weights)
    for want, got in zip(expected, halved, strict=True):
        assert float(np.abs(got - want).max()) <= 2e-2 * float(np.abs(want).max())
    apply(model.module, TO_ASCEND)
    for want, got in zip(halved, run_bytes(model.module, inputs, model.weights), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=1e-7)  # numpy sums in the order of the strides
    kinds = Counter(op.name for op in model.module.walk())
    assert kinds["ascend.trans_data"] <= trans_data
    assert kinds["ascend.group"] <= groups


def cost(ops: list[Operation], chosen: dict[Operation, Option], problem: Problem) -> float:
    """The objective, written without variables."""
    total = sum(option.cost for option in chosen.values())
    wanted = {
        (value, layout)
        for op in ops
        for value, layout in zip(op.operands, chosen[op].operands, strict=True)
        if value not in problem.constants
    }
    wanted |= {(value, ND) for value in problem.results}
    for value, layout in wanted:
        owner = value.owner
        home = chosen[owner].result if isinstance(owner, Operation) else ND
        if home != layout:
            total += trans_data_cost(value, layout)
            total += trans_data_cost(value, ND) if needs_detour(home, layout) else 0.0
    return total


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mnist_cntk", "mnist_pytorch", "super_resolution", "micro_kws_m_fp32"])
def test_minimum(name: str) -> None:
    """No combination of options is cheaper (small models: all of them are tried)."""
    model, _ = load(name)
    apply(model.module, [*NN, *HALF, "convert-nn-to-ascend"])
    block = main_block(model.module)
    ops: list[Operation] = [o for o in block.ops if isinstance(o, nn.NNOp | ascend.GroupOp)]
    constants = {o.results[0] for o in block.ops if isinstance(o, nn.ConstantOp)}
    last = block.last_op
    assert last is not None
    problem = Problem(ops, {o: options(o) for o in ops}, set(constants), last.operands)
    best = cost(ops, problem.solve(), problem)
    choices = [problem.options[o] for o in ops]
    for combination in product(*choices):
        assert cost(ops, dict(zip(ops, combination, strict=True)), problem) >= best - 1.0
