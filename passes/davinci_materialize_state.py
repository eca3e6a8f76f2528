"""`davinci-materialize-state`: `set_*` instructions where the value of a special register changes.

Until here mask, counter mode, FMATRIX, padding value, DEQSCALE and atomic mode are operands of the
instruction that reads them (decision D4); the machine reads registers, captured when the instruction is
issued.  The pass walks the kernel in program order and keeps what each register group holds.  A kernel starts
with the defaults of the ISA table. At a loop entry only that holds which both the code before and the end of
the body leave; if the whole body wants one value that is known before the loop, it is set there once.

    davinci.vadd f16 %a, %b, %c, repeat 1, mask_hi 0            davinci.set_vector_mask mask_hi 0, mask_lo -1
                                                           →    davinci.vadd f16 %a, %b, %c, repeat 1, mask_hi
                                                           0

After: the state operands are still there but are not encoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import scf
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.davinci import KernelOp
from ..dialects.davinci_instruction import InstructionOp, Value
from ..dialects.davinci_isa import OP_BY_MNEMONIC
from ..runtime.isa.table import STATE_GROUPS
from .davinci_operands import plain_instruction, values_of
from .davinci_program import constant_of, kernels

_Values = tuple[Value, ...]
_State = dict[str, _Values]


def _wanted(op: InstructionOp) -> list[tuple[str, _Values]]:
    """What each register group must hold for `op`; in counter mode the mask plays no part."""
    groups = op.row.state
    if not groups:
        return []
    named = values_of(op)
    wanted = [(name, tuple(named[field.name] for field in STATE_GROUPS[name].fields)) for name in groups]
    wanted.reverse()  # normal mode first, then the mask
    counting = any(name == "count" and values != (-1,) for name, values in wanted)
    return [(name, values) for name, values in wanted if not (counting and name == "mask")]


class _Body:
    """The ops of a block that matter here, with what they want looked up once."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.steps: list[tuple[Operation, list[tuple[str, _Values]], list[_Body]]] = []
        self.wants: dict[str, set[_Values]] = {}
        for op in block.ops:
            if isinstance(op, InstructionOp):
                wanted = _wanted(op)
                for name, values in wanted:
                    self.wants.setdefault(name, set()).add(values)
                if wanted:
                    self.steps.append((op, wanted, []))
            elif isinstance(op, scf.ForOp | scf.IfOp):
                inner = [_Body(region.block) for region in op.regions if region.blocks]
                for body in inner:
                    for name, values in body.wants.items():
                        self.wants.setdefault(name, set()).update(values)
                self.steps.append((op, [], inner))


class _Materializer:
    def __init__(self) -> None:
        self.emit = True

    def run(self, body: _Body, state: _State) -> None:
        """Walks `body` from `state`, which becomes the state behind it."""
        for op, wanted, inner in body.steps:
            for name, values in wanted:
                self._set(name, values, op, state)
            if isinstance(op, scf.ForOp):
                self._loop(op, inner[0], state)
            elif isinstance(op, scf.IfOp):
                self._arms(op, inner, state)

    def _set(self, name: str, values: _Values, before: Operation, state: _State) -> None:
        if state.get(name) == values:
            return
        state[name] = values
        if name == "count" and values != (-1,):
            state.pop("mask", None)  # in counter mode the mask register holds the count
        if not self.emit:
            return
        group = STATE_GROUPS[name]
        fields = {field.name: value for field, value in zip(group.fields, values, strict=True)}
        op = plain_instruction(OP_BY_MNEMONIC[group.setter], fields)
        if isinstance(before, InstructionOp) and "body_op" in before.attributes:
            op.attributes["body_op"] = before.attributes["body_op"]
        block = before.parent
        assert block is not None
        block.insert_op_before(op, before)

    def _loop(self, op: scf.ForOp, body: _Body, state: _State) -> None:
        for name, choices in body.wants.items():
            if len(choices) == 1:
                (values,) = choices
                if all(_known_before(value, op) for value in values):
                    self._set(name, values, op, state)
        entry = dict(state)
        quiet, self.emit = self.emit, False
        while True:  # what holds at the entry shrinks until the back edge agrees
            behind = dict(entry)
            self.run(body, behind)
            agreed = {
                name: values
                for name, values in entry.items()
                if behind.get(name) == values and all(_known_before(value, op) for value in values)
            }
            if agreed == entry:
                break
            entry = agreed
        self.emit = quiet
        if self.emit:
            self.run(body, dict(entry))
        before = dict(state)
        state.clear()
        state.update(
            {
                name: values
                for name, values in behind.items()
                if before.get(name) == values
                or (_surely_runs(op) and all(_known_before(v, op) for v in values))
            }
        )

    def _arms(self, op: scf.IfOp, inner: Iterable[_Body], state: _State) -> None:
        ends: list[_State] = []
        for body in inner:
            end = dict(state)
            self.run(body, end)
            ends.append(end)
        if len(ends) == 1:
            ends.append(dict(state))
        first = ends[0]
        state.clear()
        state.update({name: v for name, v in first.items() if all(end.get(name) == v for end in ends)})


def _surely_runs(loop: scf.ForOp) -> bool:
    low, high = constant_of(loop.lb), constant_of(loop.ub)
    return low is not None and high is not None and low < high


def _known_before(value: Value, loop: Operation) -> bool:
    """Whether `value` is computed outside of `loop`."""
    if isinstance(value, int):
        return True
    return not _inside(value, loop)


def _inside(value: SSAValue, loop: Operation) -> bool:
    block: Block | None = value.block if isinstance(value, BlockArgument) else _block_of(value)
    while block is not None:
        parent = block.parent_op()
        if parent is loop:
            return True
        block = parent.parent if parent is not None else None
    return False


def _block_of(value: SSAValue) -> Block | None:
    owner = value.owner
    return owner.parent if isinstance(owner, Operation) else owner


def materialize_state(kernel: KernelOp) -> None:
    """Emits the `set_*` instructions of `kernel`."""
    state: _State = {name: tuple(f.default for f in group.fields) for name, group in STATE_GROUPS.items()}
    _Materializer().run(_Body(kernel.body.block), state)


@dataclass(frozen=True)
class DavinciMaterializeStatePass(ModulePass):
    """See the module docstring."""

    name = "davinci-materialize-state"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            materialize_state(kernel)
