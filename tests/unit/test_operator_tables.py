"""What `docs/adding-an-operator.md` asks for is there for every elementwise op: no table was forgotten."""

from __future__ import annotations

from pathlib import Path

from ascend_mlir.dialects import nn
from ascend_mlir.lowering.vector_expand import EXPANSIONS
from ascend_mlir.runtime.interp.nn_elementwise import SEMANTICS

OPS_TEST = Path(__file__).parents[1] / "filecheck" / "dialects" / "nn" / "ops.mlir"


def test_every_elementwise_op_has_a_meaning() -> None:
    missing = [op.name for op in nn.ELEMENTWISE_OPS if op not in SEMANTICS and op is not nn.CastOp]
    assert missing == [], "a row of SEMANTICS in runtime/interp/nn_elementwise.py"


def test_every_elementwise_op_has_vector_instructions_or_is_decomposed() -> None:
    from ascend_mlir.passes.check_nn import COMPOSITES

    missing = [op.name for op in nn.ELEMENTWISE_OPS if op not in EXPANSIONS and op not in COMPOSITES]
    assert missing == [], "a row of EXPANSIONS in lowering/vector_expand.py"


def test_every_op_prints_and_parses_in_a_test() -> None:
    text = OPS_TEST.read_text()
    missing = [op.name for op in nn.NN.operations if f"{op.name} " not in text]
    assert missing == [], f"a line in {OPS_TEST.name}"
