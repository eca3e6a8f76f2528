"""Pass nn-narrow-types."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from .integer_ranges import INT32, Ranges, inside
from .rewriting import constant_of, main_block, remove_dead, simplify_blob

_MOVES = (*(op for op in nn.MOVE_OPS if op is not nn.ResizeOp), nn.CastOp, nn.CpuKernelOp)
"""What needs no arithmetic: bytes move whatever they mean; casts are what this pass inserts."""
_SMALLER = {"bf16": "f32", "i64": "i32"}
_SMALL = (-(2**27), 2**27)
"""What sums are made with and compared with."""
_CUT = 2**30
"""Beyond this, and up to six small numbers less, a number is on the same side of each small one."""
_SUMS = 5


@dataclass(frozen=True)
class NNNarrowTypesPass(ModulePass):
    """Compute in a type that the chip's instructions take, where that changes no result.

    before  %s = nn.add %ids, %one : tensor<8xi64>          (%ids: positions, or an input)
    after   %0 = nn.cast %ids : … -> tensor<8xi32> ; %1 = nn.add %0, %one32 : tensor<8xi32>
            %s = nn.cast %1 : … -> tensor<8xi64>

    * i64 becomes i32 where the values of all operands and of the result are proven to fit (`integer_ranges`):
      model inputs are checked by the session when they are given, the rest follows. Where they are not proven the
      op stays, and is left to the AI CPU with that reason. A sum with a small number that is only compared with small
      numbers is made of an operand cut off at ±2^30.
    * bf16 becomes f32, which holds all of it; only the casts at the borders are work for the AI CPU, and a value
      between two ops is not rounded to bf16.
    """

    name = "nn-narrow-types"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        _Narrowing(block, Ranges()).run()
        remove_dead(block)


@dataclass
class _Narrowing:
    block: Block
    ranges: Ranges
    versions: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    """Value → the same in the smaller type."""

    def run(self) -> None:
        for op in list(self.block.ops):
            if isinstance(op, nn.CastOp):
                self._cast(op)
            elif isinstance(op, nn.NNOp) and not isinstance(op, _MOVES):
                if isinstance(op, nn.AddOp | nn.SubOp) and nn.dtype_of(op.output) == "i64":
                    self._cut_off(op)
                if self._narrows(op):
                    self._rebuild(op)

    def _cut_off(self, op: nn.AddOp | nn.SubOp) -> None:
        """Bounds for operands of a sum that does not fit 32 bits, if they make no difference to those who read it."""
        ranges = [self.ranges.of(value) for value in op.operands]
        if inside(self.ranges.of(op.output), INT32) or not all(inside(r, INT32) for r in ranges):
            return
        large = [i for i, r in enumerate(ranges) if not inside(r, _SMALL)]
        if len(large) != 1 or not self._is_only_compared(op.output):
            return
        bounded = nn.ClipOp(op.operands[large[0]], -float(_CUT), float(_CUT))
        bounded.location = op.location
        self.block.insert_op_before(bounded, op)
        op.operands[large[0]] = bounded.output
        self.ranges.known.pop(op.output, None)
        self._rebuild(bounded)

    def _is_only_compared(self, value: SSAValue, sums: int = _SUMS) -> bool:
        """Whether all who read the value, moved or in a few further sums, compare it with small numbers."""
        for use in value.uses:
            user = use.operation
            moves = isinstance(user, nn.ReshapeOp | nn.TransposeOp | nn.ExpandOp)
            if not moves and not isinstance(user, nn.CompareOp | nn.AddOp | nn.SubOp):
                return False
            if not moves and not inside(self.ranges.of(user.operands[1 - use.index]), _SMALL):
                return False
            left = sums if moves else sums - 1
            if not isinstance(user, nn.CompareOp) and not (
                left and self._is_only_compared(user.results[0], left)
            ):
                return False
        return True

    def _narrows(self, op: nn.NNOp) -> bool:
        values = (*op.operands, *op.results)
        kinds = {nn.dtype_of(value) for value in values}
        if "bf16" in kinds:
            return True
        if "i64" not in kinds or (isinstance(op, nn.ArgReduceOp) and nn.dtype_of(op.input) != "i64"):
            return False
        wide = [value for value in values if nn.dtype_of(value) == "i64"]
        return all(inside(self.ranges.of(value), INT32) for value in wide)

    def _cast(self, op: nn.CastOp) -> None:
        """A cast from a value that exists in the smaller type starts there."""
        smaller = self.versions.get(op.input)
        if smaller is None:
            return
        if nn.dtype_of(op.output) == nn.dtype_of(smaller):
            op.output.replace_all_uses_with(smaller)
        elif nn.dtype_of(op.input) == "i64" or nn.dtype_of(op.output) in ("f16", "f32"):
            op.operands[0] = smaller

    def _rebuild(self, op: nn.NNOp) -> None:
        operands = [
            self._small(value, op) if nn.dtype_of(value) in _SMALLER else value for value in op.operands
        ]
        result = op.results[0]
        dtype = nn.dtype_of(result)
        keeps = isinstance(op, nn.ArgReduceOp) or dtype not in _SMALLER
        kind = result.type if keeps else nn.tensor_type(nn.shape_of(result), _SMALLER[dtype])
        new = type(op).create(
            operands=operands,
            properties=dict(op.properties),
            attributes=dict(op.attributes),
            result_types=[kind],
        )
        new.location = op.location
        self.block.insert_op_before(new, op)
        value = new.results[0]
        value.name_hint = result.name_hint
        if not keeps:
            back = nn.CastOp(value, dtype)
            back.location = op.location
            self.block.insert_op_before(back, op)
            self.versions[back.output] = value
            value = back.output
        if dtype == "i64":
            self.ranges.known[value] = self.ranges.of(result)
        result.replace_all_uses_with(value)
        op.detach()
        op.erase()

    def _small(self, value: SSAValue, user: Operation) -> SSAValue:
        made = self.versions.get(value)
        if made is not None:
            return made
        target, blob = _SMALLER[nn.dtype_of(value)], constant_of(value)
        new: Operation = (
            nn.CastOp(value, target)
            if blob is None
            else nn.ConstantOp(simplify_blob(blob.apply("cast", target)))
        )
        owner = value.owner
        if isinstance(owner, Operation):
            new.location = owner.location
            self.block.insert_op_after(new, owner)
        else:
            new.location = user.location
            first = self.block.first_op
            assert first is not None
            self.block.insert_op_before(new, first)
        self.versions[value] = new.results[0]
        return new.results[0]
