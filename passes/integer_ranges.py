"""Between which numbers the values of an integer tensor lie: intervals, forward through the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Final, TypeAlias

from xdsl.dialects.builtin import DenseArrayBase
from xdsl.ir import BlockArgument, Operation, SSAValue

from ..dialects import nn
from .rewriting import constant_of, scalar_of, small_value

Interval: TypeAlias = tuple[int, int]

INT32: Final[Interval] = (-(2**31), 2**31 - 1)
INT64: Final[Interval] = (-(2**63), 2**63 - 1)
VALUE_RANGE: Final = "value_range"
"""Attribute of a constant: its smallest and largest value, set by who has seen the numbers."""
_TYPES: Final[dict[str, Interval]] = {
    "bool": (0, 1),
    "i8": (-128, 127),
    "u8": (0, 255),
    "i16": (-(2**15), 2**15 - 1),
    "u16": (0, 2**16 - 1),
    "i32": INT32,
    "u32": (0, 2**32 - 1),
    "i64": INT64,
    "u64": (0, 2**64 - 1),
    "f16": (-65504, 65504),
}


def inside(range_: Interval, of: Interval) -> bool:
    """Whether one interval lies in another."""
    return of[0] <= range_[0] and range_[1] <= of[1]


@dataclass
class Ranges:
    """Intervals of values, found when asked for."""

    known: dict[SSAValue, Interval] = field(default_factory=dict[SSAValue, Interval])

    def of(self, value: SSAValue) -> Interval:
        """The interval of a value; that of its type where nothing better is known."""
        if value not in self.known:
            self.known[value] = self._find(value)
        return self.known[value]

    def _find(self, value: SSAValue) -> Interval:
        own = _TYPES.get(nn.dtype_of(value), INT64)
        if isinstance(value, BlockArgument):
            return INT32 if own == INT64 else own  # the session refuses other values of a narrowed input
        op = value.owner
        assert isinstance(op, Operation)
        if isinstance(op, nn.ConstantOp):
            return _constant(op, own)
        if isinstance(op, nn.CastOp):
            source = self.of(op.input)
            return source if nn.dtype_of(op.input) in _TYPES and inside(source, own) else own
        if isinstance(op, nn.ArgReduceOp):
            return 0, max(nn.shape_of(op.input)[op.axis.value.data] - 1, 0)
        if isinstance(op, nn.TopKOp):
            return self.of(op.input) if op.positions is None else (0, nn.shape_of(op.input)[-1] - 1)
        found = self._computed(op)
        return found if found is not None and inside(found, own) else own

    def _computed(self, op: Operation) -> Interval | None:
        if isinstance(op, nn.WhereOp):
            return _hull(self.of(op.on_true), self.of(op.on_false))
        if isinstance(op, nn.BitCastOp):
            return None
        if isinstance(op, nn.MOVE_OPS):
            return self._moved(op)
        if isinstance(op, nn.ReduceOp):
            return _reduced(op, self.of(op.input))
        if isinstance(op, nn.ClipOp):
            return _clipped(op, self.of(op.input))
        if isinstance(op, nn.PowOp):
            return _power(self.of(op.lhs), scalar_of(op.rhs))
        if type(op) in _BINARY:
            return _BINARY[type(op)](self.of(op.operands[0]), self.of(op.operands[1]))
        return _UNARY[type(op)](self.of(op.operands[0])) if type(op) in _UNARY else None

    def _moved(self, op: Operation) -> Interval:
        sources = op.operands[:1] if isinstance(op, nn.GatherOp) else op.operands
        found = [self.of(value) for value in sources]
        if isinstance(op, nn.PadOp) and op.value is not None:
            found.append((int(op.value.value.data), int(op.value.value.data)))
        return min(low for low, _ in found), max(high for _, high in found)


def _constant(op: nn.ConstantOp, own: Interval) -> Interval:
    given = op.attributes.get(VALUE_RANGE)
    if isinstance(given, DenseArrayBase):
        low, high = (int(v) for v in given.get_values())
        return low, high
    blob = constant_of(op.output)
    number = scalar_of(op.output)
    if number is not None:
        return int(number), int(number)
    values = small_value(blob) if blob is not None else None
    if values is None or not values.size:
        return own
    return int(values.min()), int(values.max())


def _hull(a: Interval, b: Interval) -> Interval:
    return min(a[0], b[0]), max(a[1], b[1])


def _product(a: Interval, b: Interval) -> Interval:
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def _largest(a: Interval) -> int:
    return max(abs(a[0]), abs(a[1]))


def _bits(a: Interval, b: Interval) -> Interval:
    """Operations on bits stay inside the smallest power of two around both operands."""
    size = 1 << max(v.bit_length() if v >= 0 else (-v - 1).bit_length() for v in (*a, *b))
    return (0 if min(a[0], b[0]) >= 0 else -size), size - 1


_BINARY: Final[dict[type[Operation], Callable[[Interval, Interval], Interval]]] = {
    nn.AddOp: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    nn.SubOp: lambda a, b: (a[0] - b[1], a[1] - b[0]),
    nn.MulOp: _product,
    nn.DivOp: lambda a, b: (-_largest(a), _largest(a)),
    nn.ModOp: lambda a, b: (-_largest(b), _largest(b)),
    nn.MaxOp: lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    nn.MinOp: lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    nn.BitAndOp: _bits,
    nn.BitOrOp: _bits,
    nn.BitXorOp: _bits,
}
_UNARY: Final[dict[type[Operation], Callable[[Interval], Interval]]] = {
    nn.NegOp: lambda a: (-a[1], -a[0]),
    nn.AbsOp: lambda a: (0, _largest(a)),
    nn.SignOp: lambda a: (-1, 1),
    nn.ReluOp: lambda a: (max(a[0], 0), max(a[1], 0)),
    nn.BitNotOp: lambda a: (-a[1] - 1, -a[0] - 1),
}


def _reduced(op: nn.ReduceOp, values: Interval) -> Interval | None:
    shape = nn.shape_of(op.input)
    count = prod(shape[axis] for axis in nn.ints(op.axes))
    match op.kind.data:
        case "max" | "min":
            return values
        case "sum":
            return min(values[0] * count, 0), max(values[1] * count, 0)
        case "mean":
            return values
        case "l1":
            return 0, _largest(values) * count
        case "sum_square":
            return 0, _largest(values) ** 2 * count
        case _:
            return None


def _clipped(op: nn.ClipOp, values: Interval) -> Interval:
    low, high = values
    if op.min is not None:
        low, high = max(low, int(op.min.value.data)), max(high, int(op.min.value.data))
    if op.max is not None:
        low, high = min(low, int(op.max.value.data)), min(high, int(op.max.value.data))
    return low, high


def _power(base: Interval, exponent: float | None) -> Interval | None:
    if exponent is None or exponent != int(exponent) or not 0 <= exponent <= 64:
        return None
    bound = _largest(base) ** int(exponent)
    return -bound, bound
