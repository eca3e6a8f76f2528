"""The move generator: kernels for every op that only moves elements.

`ascend.trans_data` and the ops of `ascend.group … engine move` are described as index maps (`move_problem`), whatever
they are called, and made into a kernel by what their strides are:

* neighbours in the output are no neighbours in the input: `move_transpose`.
"""

from __future__ import annotations

from ..dialects import ascend, davinci
from ..dialects.dtypes import size_of
from ..runtime.soc import Soc
from .kernel_builder import KernelBuilder
from .move_formats import trans_data_moves
from .move_transpose import TransposeEmitter, Transposition, choose_plan, make_grid

MoveOp = ascend.GroupOp | ascend.TransDataOp


def choose_schedule(op: MoveOp, soc: Soc) -> dict[str, int | list[int]]:
    """The choices of the generator for `op` on `soc`, by name."""
    move = _transposition(op)
    plan = choose_plan(move, soc)
    return {"batch": plan.batch, "columns": plan.columns, "split": plan.split}


def _transposition(op: MoveOp) -> Transposition:
    assert isinstance(op, ascend.TransDataOp)
    shape, dtype = ascend.shape_of(op.source), ascend.dtype_of(op.source)
    return trans_data_moves(
        ascend.layout_of(op.source), ascend.layout_of(op.result), shape, size_of(dtype), size_of(dtype)
    )


def generate(op: MoveOp, soc: Soc, name: str) -> davinci.KernelOp:
    """The kernel that performs `op`; arguments are the inputs, then the result."""
    move = _transposition(op)
    plan = choose_plan(move, soc)
    kb = KernelBuilder(name, soc, 2, make_grid(move, plan).blocks(soc.cores))
    src, dst = kb.args
    TransposeEmitter(kb, move, plan, src, dst).emit()
    return kb.kernel
