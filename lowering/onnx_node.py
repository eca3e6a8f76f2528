"""What a handler of an ONNX operator sees: the node, its operands as `Value`s, and `emit`.

`emit` is also where shape arithmetic disappears: an op whose operands are all small known arrays is
evaluated on the spot by the reference interpreter and leaves no op behind. Weights stay expressions: moving
or casting one extends its blob.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto
from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Block, SSAValue

from ..dialects import dtypes, nn
from ..dialects.blobs import Blob
from ..dialects.dtypes import Array
from ..dialects.nn_attrs import EXACT
from ..dialects.nn_shapes import Shape, normalize_axis
from ..runtime.interp.nn import evaluate
from ..runtime.weights import Source
from . import onnx_constraints as constraints
from .onnx_constraints import RefusedError, require, requirement_of

T = TypeVar("T")

KNOWN_INTEGERS = 1 << 16
"""Integer tensors up to this many elements are followed through the graph: shapes, indices, masks."""
KNOWN_FLOATS = 64
"""Floats only as far as they can be written out: resize scales and the like; weights stay expressions."""


@dataclass(eq=False)
class Value:
    """An ONNX tensor during import: an SSA value, a weight expression, or a known small array (made an op
    when first needed).
    """

    name: str
    shape: Shape
    dtype: str
    ssa: SSAValue | None = None
    blob: Blob | None = None
    array: Array | None = None
    size: Value | None = None
    """Its real shape, if that depends on data (a row of numbers); `shape` is then the largest there can be."""
    items: list[Value] | None = None
    """The tensors of a sequence, which exists during import only."""
    absent: bool = False
    """An optional that holds nothing."""
    missing: bool = False
    """Its producer was refused and nothing is known about it."""

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_written_out(self) -> bool:
        """Whether its numbers stand in the IR itself."""
        return self.blob is not None and self.blob.op in ("splat", "dense")

    @property
    def is_float(self) -> bool:
        return dtypes.is_float(self.dtype)


def may_be_known(shape: Shape, dtype: str) -> bool:
    """Whether values of this type are followed at compile time."""
    return prod(shape) <= (KNOWN_FLOATS if dtypes.is_float(dtype) else KNOWN_INTEGERS)


class Builder(Protocol):
    """What a node needs from the importer."""

    def ssa(self, value: Value) -> SSAValue: ...
    def insert(self, op: nn.NNOp, name: str) -> Value: ...
    def constant(self, name: str, array: Array) -> Value: ...
    def expression(self, name: str, blob: Blob) -> Value: ...
    def weight(self, key: str, source: Source) -> Value: ...
    def declared(self, name: str) -> Shape | None: ...
    def subgraph(
        self, graph: onnx.GraphProto, values: Sequence[Value] = (), suffix: str = ""
    ) -> list[Value]: ...


@dataclass
class Node:
    """One node with its operands and attributes."""

    proto: NodeProto
    name: str
    opset: int
    operands: Sequence[Value | None]
    builder: Builder
    used_outputs: frozenset[str]
    attributes: Mapping[str, AttributeProto] = field(default_factory=dict[str, AttributeProto])

    @property
    def op_type(self) -> str:
        return self.proto.op_type

    # ------------------------------------------------------------------------------------------ operands

    def get(self, index: int) -> Value | None:
        """Operand, None if left out."""
        return self.operands[index] if index < len(self.operands) else None

    def input(self, index: int) -> Value:
        """Operand that must be there."""
        value = self.get(index)
        if value is None:
            require(constraints.input_is_present, index, len(self.operands))
            raise AssertionError
        return value

    def inputs(self) -> list[Value]:
        """All operands, for variadic operators."""
        return [self.input(i) for i in range(len(self.operands))]

    def known(self, index: int, what: str) -> Array:
        """Operand whose value must be known now."""
        value = self.input(index)
        if value.array is None:
            _, actual = constraints.value_is_known(what, value.name)
            raise RefusedError(requirement_of(constraints.value_is_known), actual, value)
        return value.array

    def known_ints(self, index: int, what: str) -> tuple[int, ...]:
        """Known operand as a tuple of integers."""
        return tuple(int(v) for v in self.known(index, what).reshape(-1))

    def uses_output(self, index: int) -> bool:
        """Whether another node, or the model's outputs, need this output."""
        outputs = self.proto.output
        return index < len(outputs) and outputs[index] in self.used_outputs

    # ------------------------------------------------------------------------------------------ attributes

    def has(self, name: str) -> bool:
        return name in self.attributes

    def int(self, name: str, default: int | None = None) -> int:
        if name in self.attributes:
            return self.attributes[name].i
        return self._default(name, default)

    def float(self, name: str, default: float | None = None) -> float:
        if name in self.attributes:
            # the attribute is an f32: its shortest decimal is what the model's author wrote (0.01, not
            # 0.00999999977)
            return float(str(np.float32(self.attributes[name].f)))
        return self._default(name, default)

    def string(self, name: str, default: str | None = None) -> str:
        if name in self.attributes:
            return self.attributes[name].s.decode("utf-8", "replace")
        return self._default(name, default)

    def ints(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        if name in self.attributes:
            return tuple(self.attributes[name].ints)
        return tuple(self._default(name, default))

    def floats(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        if name in self.attributes:
            return tuple(self.attributes[name].floats)
        return tuple(self._default(name, default))

    def word(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """String attribute with a closed set of values."""
        word = self.string(name, default)
        require(constraints.word_is_known, name, word, allowed)
        return word

    def _default(self, name: str, default: T | None) -> T:
        if default is None:
            require(constraints.attribute_is_present, name)
            raise AssertionError
        return default

    # ------------------------------------------------------------------------------------------ building

    def emit(self, make: Callable[..., nn.NNOp], *args: Any, **attrs: Any) -> Value:
        """Builds an op from Values (also inside lists) and attributes, or folds it."""
        folded = self._fold(make, args, attrs)
        if folded is not None:
            return folded
        op = make(
            *(_map(arg, self.builder.ssa) for arg in args),
            **{k: _map(v, self.builder.ssa) for k, v in attrs.items()},
        )
        return self.builder.insert(op, self.name)

    def precise(self, make: Callable[..., nn.NNOp], *args: Any, **attrs: Any) -> Value:
        """As `emit`, for an op that loses too much in f16: it stays in f32 where the chip can."""
        value = self.emit(make, *args, **attrs)
        if value.ssa is not None and isinstance(value.ssa.owner, nn.NNOp):
            value.ssa.owner.attributes[EXACT] = UnitAttr()
        return value

    def _fold(
        self, make: Callable[..., nn.NNOp], args: Sequence[Any], attrs: Mapping[str, Any]
    ) -> Value | None:
        values = _values((*args, *attrs.values()))
        moved = self._fold_weight(make, args) if len(values) == 1 else None
        known = [value.array for value in values if value.array is not None]
        if not values or len(known) < len(values):
            return moved
        op = make(
            *(_map(arg, _stand_in) for arg in args), **{k: _map(v, _stand_in) for k, v in attrs.items()}
        )
        result = op.results[0]
        if not may_be_known(nn.shape_of(result), nn.dtype_of(result)):
            return moved
        array = evaluate(op, known)
        if moved is None:
            return self.constant(array)
        moved.array = array
        return moved

    def _fold_weight(self, make: Callable[..., nn.NNOp], args: Sequence[Any]) -> Value | None:
        """Views and casts of a weight become part of its expression."""
        value = args[0]
        if not isinstance(value, Value) or value.blob is None or value.blob.op == "dense":
            return None
        if make is nn.ReshapeOp:
            return self.expression(value.blob.apply("reshape", tuple(args[1])))
        if make is nn.TransposeOp:
            return self.expression(value.blob.apply("transpose", tuple(args[1])))
        if make is nn.CastOp and value.is_float and dtypes.is_float(args[1]):
            return self.expression(value.blob.apply("cast", args[1]))
        return None

    def constant(self, array: Array) -> Value:
        """A computed array as a value."""
        return self.builder.constant(self.name, array)

    def scalar(self, value: float, like: Value, shape: Shape = ()) -> Value:
        """A constant of the element type of another value."""
        return self.expression(Blob.splat(value, shape, like.dtype))

    def expression(self, blob: Blob) -> Value:
        """A weight expression as a value."""
        return self.builder.expression(self.name, blob)

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """Same elements, other shape; nothing if the shape is the same."""
        if tuple(shape) == tuple(value.shape):
            return value
        return self.emit(nn.ReshapeOp, value, tuple(shape))

    def cast(self, value: Value, dtype: str) -> Value:
        """Other element type; nothing if it is the same."""
        return value if value.dtype == dtype else self.emit(nn.CastOp, value, dtype)

    def axis(self, axis: int, rank: int) -> int:
        """Axis counted from the front."""
        return normalize_axis(axis, rank)


def _stand_in(value: Value) -> SSAValue:
    return Block(arg_types=[nn.tensor_type(value.shape, value.dtype)]).args[0]


def _map(arg: Any, convert: Callable[[Value], SSAValue]) -> Any:
    if isinstance(arg, Value):
        return convert(arg)
    if isinstance(arg, list):
        items = cast(list[Any], arg)  # a list argument holds Values or integers
        return [_map(item, convert) for item in items]
    return arg


def _values(args: Sequence[Any]) -> list[Value]:
    found: list[Value] = []
    for arg in args:
        if isinstance(arg, Value):
            found.append(arg)
        elif isinstance(arg, list):
            found.extend(_values(cast(list[Any], arg)))
    return found
