"""Pass nn-border-types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ..dialects import nn
from ..runtime.errors import AscendError
from .provenance import node_names
from .rewriting import main_block, main_function


@dataclass(frozen=True)
class NNBorderTypesPass(ModulePass):
    """Give inputs and outputs of the model other element types (`--input_fp16_nodes`, `--output_type`).

    before  func @main(%x : tensor<4xf32>) -> tensor<4xf32> { %y = nn.relu %x ; return %y }
    after   func @main(%x : tensor<4xf16>) -> tensor<4xf16> {          // inputs=0:f16 outputs=0:f16
              %0 = nn.cast %x : f16 to f32 ; %y = nn.relu %0 ; %1 = nn.cast %y : f32 to f16 ; return %1 }

    Entries are position:type. What the model computes does not change: the casts stand at its border, and vanish
    where a pass behind this one computes in the type that the caller hands over anyway.
    """

    name = "nn-border-types"

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        last = block.last_op
        assert isinstance(last, ReturnOp)
        for index, dtype in _entries(self.inputs, len(block.args), "input"):
            _input(block, index, dtype)
        for index, dtype in _entries(self.outputs, len(last.operands), "output"):
            _output(block, last, index, dtype)
        types = [a.type for a in block.args], [v.type for v in last.operands]
        main_function(op).properties["function_type"] = FunctionType.from_lists(*types)


def _entries(words: Sequence[str], count: int, what: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for word in words:
        index, _, dtype = word.partition(":")
        if not index.isdecimal() or int(index) >= count:
            raise AscendError(
                "E10014",
                f"the model has no {what} {index!r}",
                expected=f"position:type, positions below {count}",
            )
        found.append((int(index), dtype))
    return found


def _input(block: Block, index: int, dtype: str) -> None:
    argument = block.args[index]
    old = nn.dtype_of(argument)
    if old == dtype:
        return
    users = [(use.operation, use.index) for use in argument.uses]
    new = Rewriter.replace_value_with_new_type(argument, nn.tensor_type(nn.shape_of(argument), dtype))
    cast = nn.CastOp(new, old)
    first = block.first_op
    assert first is not None
    cast.location = users[0][0].location if users else first.location  # a model input has no node of its own
    block.insert_op_before(cast, first)
    for user, position in users:
        user.operands[position] = cast.output


def _output(block: Block, last: ReturnOp, index: int, dtype: str) -> None:
    value = last.operands[index]
    if nn.dtype_of(value) == dtype:
        return
    cast = nn.CastOp(value, dtype)
    if not isinstance(value.owner, Block) and node_names(value.owner):
        cast.location = value.owner.location
    block.insert_op_before(cast, last)
    last.operands[index] = cast.output
