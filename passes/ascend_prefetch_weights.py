"""Pass ascend-prefetch-weights: tasks that leave DDR idle read the weights of later ones into L2.

At batch 1 each weight is used once, and the last layers of a network wait for DDR, while its first ones keep the cores busy
with little data.  A cube kernel that has time left loads pieces of the weights that come later into bytes of L1 that nobody
reads: what counts is that their lines are in L2 when their own task asks.

before
    %y = ascend.group "Conv" (%x, %w1) engine cube schedule #ascend.schedule<...> { ^0(%a, %k) ... }
    %z = ascend.group "Conv" (%y, %w2) ...
after
    %y = ascend.group "Conv" (%x, %w1, %w2) engine cube schedule #ascend.schedule<..., prefetch = [84],
         prefetch_from = [0]> { ^0(%a, %k, %next) ... }     // per core and slab 84 x 32 bytes; %next has no use

Room is what the cost model finds: cycles in which a core computes and neither DDR nor its MTE2 has anything to do.  Only
kernels of many slabs take part, where a piece is small beside the slab's own load.  The first weights that their task would
wait for come first, as many as stay in L2.

Before: schedules are chosen.  After: the same values; some groups have more operands.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import ascend, nn
from ..runtime.soc import Soc
from .attach_target import target_of
from .rewriting import main_block

_LEAST = 16384  # bytes that are worth an instruction per slab
_LEAST_TURNS = 4  # slabs of a core
_MOST_TARGETS = 4  # operands that a kernel may get
_UNIT = 32
_MOST_UNITS = 65535
_L2_SHARE = 0.6  # of the L2 may hold weights that wait for their task


@dataclass
class _Weights:
    """Constant weights of a group: the bytes that it would wait for, and how many of them earlier groups load."""

    value: SSAValue | None
    worth: int
    done: int = 0

    @property
    def left(self) -> int:
        return self.worth - self.done


@dataclass(frozen=True)
class AscendPrefetchWeightsPass(ModulePass):
    """See the module docstring."""

    name = "ascend-prefetch-weights"

    soc: str = ""
    """SoC to compile for; default: the module's target."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:

        _plan(op, target_of(op, self.soc))


def _plan(module: ModuleOp, soc: Soc) -> None:
    from ..lowering.cube_tuning import traffic

    groups = [op for op in main_block(module).ops if isinstance(op, ascend.GroupOp)]
    cubes = [g for g in groups if g.engine_name is ascend.Engine.CUBE and g.schedule.data]
    uses = [traffic(group, soc) for group in cubes]
    weights = [_weights(group, use.waiting) for group, use in zip(cubes, uses, strict=True)]
    touched = 0  # bytes of activations that were in use before: more than that comes to L2 for the first time
    for number, (group, use) in enumerate(zip(cubes, uses, strict=True)):
        live = sum(ascend.bytes_of(v) for v in (*group.inputs, *group.outputs) if not _constant(v))
        room, touched = use.idle - max(0, live - touched), max(touched, live)
        if use.turns < _LEAST_TURNS:
            continue
        chosen: list[tuple[_Weights, int]] = []
        scratch = use.scratch // use.turns
        for later in _later(weights[number + 1 :], soc):
            units = min(min(room, later.left) // use.loads, scratch, _UNIT * _MOST_UNITS) // _UNIT
            if units * use.loads * _UNIT < _LEAST or len(chosen) == _MOST_TARGETS:
                break
            chosen.append((later, units))
            room, scratch = room - units * use.loads * _UNIT, scratch - units * _UNIT
        if chosen:
            _prefetch(group, chosen)
        for later, units in chosen:
            later.done += units * use.loads * _UNIT


def _weights(group: ascend.GroupOp, waiting: int) -> _Weights:
    root = next(op for op in group.body.block.ops if isinstance(op, nn.ConvOp | nn.MatMulOp))
    for value, arg in zip(group.inputs, group.body.block.args, strict=True):
        if arg is root.operands[1] and _constant(value):
            return _Weights(value, min(ascend.bytes_of(value), waiting))
    return _Weights(None, 0)


def _constant(value: SSAValue) -> bool:
    return isinstance(value.owner, nn.ConstantOp)


def _later(weights: list[_Weights], soc: Soc) -> list[_Weights]:
    """Weights with something left, first needed first, as many as stay in the L2."""
    found: list[_Weights] = []
    total = 0
    for entry in weights:
        total += ascend.bytes_of(entry.value) if entry.value is not None else 0
        if total > soc.l2_bytes * _L2_SHARE:
            break
        if entry.left >= _LEAST:
            found.append(entry)
    return found


def _prefetch(group: ascend.GroupOp, chosen: list[tuple[_Weights, int]]) -> None:
    """Gives `group` the weights as further operands and the amounts in its schedule."""
    values = [entry.value for entry, _ in chosen if entry.value is not None]
    for value in values:
        constant = value.owner
        assert isinstance(constant, nn.ConstantOp)
        if not _before(constant, group):
            block = group.parent_block()
            assert block is not None
            constant.detach()
            block.insert_op_before(constant, group)
        group.body.block.insert_arg(ascend.logical(value.type), len(group.body.block.args))
    group.operands = [*group.inputs, *values]
    amounts = {
        "prefetch": [units for _, units in chosen],
        "prefetch_from": [entry.done for entry, _ in chosen],
    }
    group.schedule = ascend.ScheduleAttr.of({**group.schedule.values, **amounts})


def _before(first: Operation, second: Operation) -> bool:
    return first.parent is not second.parent or first.is_before_in_block(second)
