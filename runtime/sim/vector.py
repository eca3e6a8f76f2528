"""Executors of elementwise vector instructions: addressing (`vector_plan`) plus arithmetic (`vector_ops`).

An instruction reads all its sources before it writes, repeat by repeat on the chip and all repeats at
once here. The two agree unless a repeat reads what an earlier one wrote; that is a fault, except for the
documented accumulation (vadd, vsub, vmul, vmax, vmin with a source equal to the destination and repeat
strides 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..isa.extents import lanes_of, operand_types
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array, from_bits
from .vector_ops import ELEMENTWISE, Lanes, conversion
from .vector_plan import BLOCK, Operand, Piece, Plan, make_plan, reads_own_result

if TYPE_CHECKING:
    from .memory import Core

Prepared: TypeAlias = tuple[Array, list[Array], tuple[Array, ...] | None]
"""Destination, sources, and element numbers of the active lanes when these are too ragged for views."""

_MOST_PREPARED = 20_000
_TOKENS = count()
_ACCUMULATES = frozenset(("vadd", "vsub", "vmul", "vmax", "vmin"))
_ORDER_FREE = frozenset(("vmax", "vmin"))  # accumulations that give the same in any order: nothing is rounded


def element_view(data: Array, address: int, dtype: np.dtype[Any]) -> Array:
    """All elements of `data` from byte `address` on."""
    return np.ndarray(((len(data) - address) // dtype.itemsize,), dtype, data, address)


def piece_view(data: Array, address: int, dtype: np.dtype[Any], piece: Piece, operand: int) -> Array:
    """The lanes of `piece` of one operand."""
    return np.ndarray(piece.shape, dtype, data, address + piece.offsets[operand], piece.strides[operand])


class VectorUnit:
    """Plans of one vector instruction whose operands all have repeat (and most of them block) strides."""

    def __init__(self, record: Decoded, soc: Soc, names: Sequence[str] | None = None) -> None:
        self.rules = Rules(record, soc)
        self.record = record
        row = record.row
        self.types = tuple(DTYPES[name] for name in operand_types(row, record.dtype))
        self.lanes = lanes_of(operand_types(row, record.dtype))
        self.names = [address.name for address in row.addresses] if names is None else list(names)
        self._field_at = {spec.name: number for number, spec in enumerate(row.fields)}
        self._plans: dict[tuple[Ints, State], Plan] = {}

    def plan(self, fields: Ints, state: State) -> Plan:
        """The plan for these fields and this mask and count."""
        key = (fields, state)
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = self.make(fields, state)
        return found

    def make(self, fields: Ints, state: State, more: tuple[Operand, ...] = ()) -> Plan:
        """A new plan; `more` operands stand behind those of the instruction."""
        self.rules.check_fields(fields)
        operands: list[Operand] = []
        for number, name in enumerate(self.names):
            blk = self._value(fields, f"{name}_blk", 1)
            if number == 0 and blk == 0:
                blk = 1  # [CSIM]; the documentation forbids a destination block stride of 0
            operands.append(Operand(self.types[number], blk, self._value(fields, f"{name}_rep", 8)))
        mask, total = state if state else ((-1, -1), (-1,))
        operands += more
        return make_plan(operands, self.lanes, self._value(fields, "repeat", 1), (mask[0], mask[1]), total[0])

    def _value(self, fields: Ints, name: str, default: int) -> int:
        at = self._field_at.get(name)
        return default if at is None else fields[at]

    def single(self, fields: Ints, state: State, more: tuple[Operand, ...] = ()) -> Plan:
        """The plan of one repeat, for repeats that must run one after the other."""
        if state and state[1][0] >= 0:
            self.rules.fault("dst_rep", "repeats that write the same blocks are not possible in counter mode")
        at = self._field_at["repeat"]
        one = (*fields[:at], 1, *fields[at + 1 :])
        return self.make(one, state, more) if more else self.plan(one, state)

    def check(self, plan: Plan, addresses: Ints) -> None:
        """Alignment, bounds and overlap."""
        for number in range(len(self.names)):
            self.rules.check_range(number, addresses[number], plan.extents[number])
        for source in range(1, len(self.names)):
            self._check_overlap(plan, addresses, source)

    def _check_overlap(self, plan: Plan, addresses: Ints, source: int) -> None:
        distance = addresses[source] - addresses[0]
        if -plan.extents[source] >= distance or distance >= plan.extents[0]:
            return
        if distance == 0 and plan.repeats <= 1:
            return
        if self.accumulates(plan, addresses, source):
            return
        if reads_own_result(plan, 0, source, distance):
            name = self.record.row.addresses[source].name
            self.rules.fault(
                name, "overlaps the destination: a repeat would read what this instruction wrote before"
            )

    def accumulates(self, plan: Plan, addresses: Ints, source: int) -> bool:
        """The allowed overlap: same address, both repeat strides 0."""
        still = plan.reps[0][0] == 0 and plan.reps[source][0] == 0  # in blocks
        return self.record.mnemonic in _ACCUMULATES and still and addresses[0] == addresses[source]

    def folded(self, ub: Array, plan: Plan, addresses: Ints) -> list[Prepared]:
        """Repeats that accumulate on one place, as steps of one source: all of its repeats, to be folded onto the target."""
        grids = all(piece.shape[0] == plan.repeats and len(piece.shape) > 1 for piece in plan.pieces)
        other = next((3 - n for n in (1, 2) if self.accumulates(plan, addresses, n)), 0)
        if plan.repeats < 2 or not plan.pieces or not grids or not other:
            return []
        views = [
            [piece_view(ub, addresses[n], self.types[n], piece, n) for n in (0, other)]
            for piece in plan.pieces
        ]
        return [(target[0], [source], None) for target, source in views]


def folding(compute: Lanes) -> Lanes:
    """`compute` for two sources; for one, its rows are folded onto the destination, halves at a time."""

    def run(dst: Array, src: list[Array], scalar: Any) -> None:
        if len(src) == 2:
            compute(dst, src, scalar)
            return
        rows = src[0]
        while len(rows) > 1:
            half, last = len(rows) // 2, rows[len(rows) // 2 * 2 :]
            fewer = np.empty_like(rows[: half + len(last)])
            compute(fewer[:half], [rows[:half], rows[half : 2 * half]], scalar)
            fewer[half:] = last
            rows = fewer
        compute(dst, [dst, rows[0]], scalar)

    return run


def make_shift_right(record: Decoded, soc: Soc) -> Executor:
    """vshr: the field `round` chooses what a lane computes."""
    plain = make_elementwise(record, soc)
    rounding = make_elementwise(record, soc, ELEMENTWISE["vshr rounding"])

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        (rounding if fields[-1] else plain)(core, addresses, scalars, fields, state)

    return run


def make_elementwise(record: Decoded, soc: Soc, lanes: Lanes | None = None) -> Executor:
    """Binary, unary, scalar, fill and conversion instructions."""
    unit = VectorUnit(record, soc)
    if lanes is None:
        lanes = conversion(record.dtype) if record.mnemonic == "vconv" else ELEMENTWISE[record.mnemonic]
    compute = folding(lanes) if record.mnemonic in _ORDER_FREE else lanes
    scalar_type = "f16" if "deqscale" in record.row.state else operand_types(record.row, record.dtype)[-1]
    shift = record.mnemonic in ("vshl", "vshr")
    dequant = "deqscale" in record.row.state
    types = unit.types
    scalars_seen: dict[int, Any] = {}
    token = next(_TOKENS)

    def scalar_of(bits: int) -> Any:
        value = bits if shift else from_bits(bits, scalar_type)
        if len(scalars_seen) < 256:
            scalars_seen[bits] = value
        return value

    def prepare(core: Core, addresses: Ints, fields: Ints, state: State) -> list[Prepared]:
        """The plan's views on this core's UB: loops come back to the same addresses again and again."""
        plan = unit.plan(fields, state)
        if not plan.repeats:
            return []
        unit.check(plan, addresses)
        if not plan.rewrites:
            return prepared(core.ub, plan, types, addresses)
        if record.mnemonic in _ORDER_FREE and (folded := unit.folded(core.ub, plan, addresses)):
            return folded
        one = unit.single(fields, state)
        steps: list[Prepared] = []
        for repeat in range(plan.repeats):
            steps += prepared(core.ub, one, types, moved(plan, addresses, repeat))
        return steps

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        if dequant:  # the scale stands in a register; the plan does not depend on it
            scalars, state = state[2], state[:2]
        key = (token, addresses, fields, state)
        steps = core.prepared.get(key)
        if steps is None:
            if len(core.prepared) > _MOST_PREPARED:
                core.prepared.clear()
            steps = core.prepared[key] = prepare(core, addresses, fields, state)
        scalar: Any = None
        if scalars:
            scalar = scalars_seen.get(scalars[0])
            if scalar is None:
                scalar = scalar_of(scalars[0])
        for target, sources, elements in steps:
            if elements is None:
                compute(target, sources, scalar)
            else:
                picked = [view[index] for view, index in zip((target, *sources), elements, strict=True)]
                compute(picked[0], picked[1:], scalar)
                target[elements[0]] = picked[0]

    return run


def prepared(ub: Array, plan: Plan, types: Sequence[np.dtype[Any]], addresses: Ints) -> list[Prepared]:
    """Destination and source views of each piece of a plan, or whole operands and element numbers."""
    steps: list[Prepared] = []
    for piece in plan.pieces:
        views = [piece_view(ub, at, types[n], piece, n) for n, at in enumerate(addresses)]
        steps.append((views[0], views[1:], None))
    if plan.elements:
        whole = [element_view(ub, at, dtype) for dtype, at in zip(types, addresses, strict=True)]
        steps.append((whole[0], whole[1:], plan.elements))
    return steps


def moved(plan: Plan, addresses: Ints, repeat: int) -> Ints:
    """Addresses of one repeat (a plan may have more operands than the instruction has addresses)."""
    return tuple(at + repeat * rep[0] * BLOCK for at, rep in zip(addresses, plan.reps, strict=False))
