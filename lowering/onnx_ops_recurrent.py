"""LSTM, GRU and RNN: one op where a kernel does all steps (`onnx_recurrence`), else written out step by step.

What does not depend on the state is one product for all steps: X·Wᵀ + b. Each step then adds H·Rᵀ and applies its
gates. Sequences of different lengths keep their state, and give zeros, behind their end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from ..dialects import nn
from . import onnx_constraints as constraints
from . import onnx_recurrence
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_ops_control import stacked
from .onnx_ops_moves import slice_axis

LOG = logging.getLogger(__name__)
Function: TypeAlias = Callable[[Node, Value], Value]


def _scaled_tanh(alpha: float, beta: float, node: Node, x: Value) -> Value:
    inner = node.emit(nn.MulOp, x, node.scalar(beta, x))
    return node.emit(nn.MulOp, node.emit(nn.TanhOp, inner), node.scalar(alpha, x))


def _linear(alpha: float, beta: float, node: Node, x: Value) -> Value:
    return node.emit(nn.AddOp, node.emit(nn.MulOp, x, node.scalar(alpha, x)), node.scalar(beta, x))


def _thresholded(alpha: float, beta: float, node: Node, x: Value) -> Value:
    above = node.emit(nn.GreaterOp, x, node.scalar(alpha, x))
    return node.emit(nn.WhereOp, above, x, node.scalar(0.0, x))


def _softsign(node: Node, x: Value) -> Value:
    size = node.emit(nn.AddOp, node.emit(nn.AbsOp, x), node.scalar(1.0, x))
    return node.emit(nn.DivOp, x, size)


_PLAIN: dict[str, Callable[..., nn.NNOp]] = {
    "sigmoid": nn.SigmoidOp, "tanh": nn.TanhOp, "relu": nn.ReluOp, "softplus": nn.SoftplusOp,
}  # fmt: skip
_DEFAULTS = {
    "leakyrelu": (0.01, 0.0), "elu": (1.0, 0.0), "hardsigmoid": (0.2, 0.5), "scaledtanh": (1.0, 1.0),
    "affine": (1.0, 0.0), "thresholdedrelu": (1.0, 0.0),
}  # fmt: skip
LANES = 16
"""Channels of a plane: gates of whole planes are pieces of memory."""
NAMES = (*_PLAIN, *_DEFAULTS, "softsign")


def _emit(make: Callable[..., nn.NNOp], node: Node, x: Value, **attrs: float) -> Value:
    return node.emit(make, x, **attrs)


def _function(name: str, alpha: float | None, beta: float | None) -> Function:
    word = name.lower()
    require(constraints.word_is_known, "activations", word, NAMES)
    if word in _PLAIN:
        return partial(_emit, _PLAIN[word])
    if word == "softsign":
        return _softsign
    a, b = _DEFAULTS[word]
    a, b = a if alpha is None else alpha, b if beta is None else beta
    match word:
        case "leakyrelu":
            return partial(_emit, nn.LeakyReluOp, alpha=a)
        case "elu":
            return partial(_emit, nn.EluOp, alpha=a)
        case "hardsigmoid":
            return partial(_emit, nn.HardSigmoidOp, alpha=a, beta=b)
        case "scaledtanh":
            return partial(_scaled_tanh, a, b)
        case "affine":
            return partial(_linear, a, b)
        case _:
            return partial(_thresholded, a, b)


def _functions(node: Node, defaults: Sequence[str], directions: int) -> list[list[Function]]:
    """Activation functions of each direction; alpha and beta are given for those that take them, in order."""
    attribute = node.attributes.get("activations")
    names = [s.decode() for s in attribute.strings] if attribute is not None else list(defaults) * directions
    alphas, betas = list(node.floats("activation_alpha", ())), list(node.floats("activation_beta", ()))
    made: list[Function] = []
    for name in names:
        takes = name.lower() in _DEFAULTS
        takes_beta = name.lower() in ("hardsigmoid", "scaledtanh", "affine")
        alpha = alphas.pop(0) if takes and alphas else None
        beta = betas.pop(0) if takes_beta and betas else None
        made.append(_function(name, alpha, beta))
    count = len(defaults)
    return [made[i * count : (i + 1) * count] for i in range(directions)]


@dataclass
class Cell:
    """One direction of one layer. Shapes: input part [steps, batch, gates·hidden], recurrent weight
    [gates·hidden, hidden]. With `channels` the vectors of a step are images of one position, [1, n, 1, 1]: the product is a
    convolution, whose kernel adds what does not depend on the state, and gates are planes of its result."""

    node: Node
    hidden: int
    parts: Value
    recurrent: Value
    recurrent_bias: Value | None
    functions: list[Function]
    peepholes: Value | None = None
    channels: bool = False

    def shaped(self, value: Value) -> Value:
        """A vector [n] or a row [1, n] as the step computes with it."""
        if not self.channels:
            return value
        shape = (1, value.shape[-1], 1, 1)
        if value.blob is not None and value.blob.is_splat:
            return self.node.expression(nn.Blob.splat(value.blob.values[0], shape, value.dtype))
        return self.node.reshape(value, shape)

    def part_of(self, value: Value, first: int, count: int) -> Value:
        """Columns of some gates."""
        axis = 1 if self.channels else value.rank - 1
        return slice_axis(self.node, value, axis, first * self.hidden, count * self.hidden)

    def gate(self, value: Value, number: int) -> Value:
        """Columns of one gate."""
        return self.part_of(value, number, 1)

    def recurrence(self, state: Value, first: int = 0, count: int | None = None) -> Value:
        """state · Rᵀ for some of the gates."""
        weight = self.recurrent
        if count is not None:
            weight = slice_axis(self.node, weight, 0, first * self.hidden, count * self.hidden)
        if self.channels:
            return self.node.emit(nn.ConvOp, state, self.node.reshape(weight, (*weight.shape, 1, 1)))
        return self.node.emit(nn.MatMulOp, state, weight, trans_b=True)

    def add(self, a: Value, b: Value) -> Value:
        return self.node.emit(nn.AddOp, a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self.node.emit(nn.MulOp, a, b)

    def apply(self, number: int, value: Value) -> Value:
        """An activation function, after the optional clipping of its input."""
        if self.node.has("clip"):
            bound = self.node.float("clip")
            value = self.node.emit(nn.ClipOp, value, min=-bound, max=bound)
        return self.functions[number](self.node, value)


def _rnn_step(cell: Cell, part: Value, states: list[Value]) -> list[Value]:
    return [cell.apply(0, cell.add(part, cell.recurrence(states[0])))]


def _gru_step(cell: Cell, part: Value, states: list[Value]) -> list[Value]:
    """Gates z, r, h."""
    node, state = cell.node, states[0]
    if node.int("linear_before_reset", 0):
        whole = cell.recurrence(state)
        if cell.recurrent_bias is not None:
            whole = cell.add(whole, cell.shaped(cell.recurrent_bias))
        update = cell.apply(0, cell.add(cell.gate(part, 0), cell.gate(whole, 0)))
        reset = cell.apply(0, cell.add(cell.gate(part, 1), cell.gate(whole, 1)))
        inner = cell.mul(reset, cell.gate(whole, 2))
    else:
        gates = cell.recurrence(state, 0, 2)
        update = cell.apply(0, cell.add(cell.gate(part, 0), cell.gate(gates, 0)))
        reset = cell.apply(0, cell.add(cell.gate(part, 1), cell.gate(gates, 1)))
        inner = cell.recurrence(cell.mul(reset, state), 2, 1)
    new = cell.apply(1, cell.add(cell.gate(part, 2), inner))
    return [cell.add(new, cell.mul(update, node.emit(nn.SubOp, state, new)))]


def _is_zero(value: Value) -> bool:
    """Whether it is the state before the first step, if the model gives none."""
    return value.blob is not None and value.blob.is_splat and not any(value.blob.values)


def _lstm_step(cell: Cell, part: Value, states: list[Value]) -> list[Value]:
    """Gates i, o, f, c; peepholes i, o, f."""
    node, (state, memory) = cell.node, states
    gates = part if _is_zero(state) else cell.add(part, cell.recurrence(state))

    def seen(number: int, value: Value, by: Value) -> Value:
        if cell.peepholes is None:
            return value
        hole = slice_axis(node, cell.peepholes, 0, number * cell.hidden, cell.hidden)
        return cell.add(value, cell.mul(cell.shaped(hole), by))

    enter = cell.apply(0, seen(0, cell.gate(gates, 0), memory))
    if node.int("input_forget", 0):
        keep = node.emit(nn.SubOp, node.scalar(1.0, enter), enter)
    else:
        keep = cell.apply(0, seen(2, cell.gate(gates, 2), memory))
    new = cell.add(cell.mul(keep, memory), cell.mul(enter, cell.apply(1, cell.gate(gates, 3))))
    leave = cell.apply(0, seen(1, cell.gate(gates, 1), new))
    return [cell.mul(leave, cell.functions[2](node, new)), new]


@dataclass(frozen=True)
class Kind:
    """What tells the three operators apart."""

    gates: int
    states: int
    functions: tuple[str, ...]
    step: Callable[[Cell, Value, list[Value]], list[Value]]


KINDS = {
    "RNN": Kind(1, 1, ("Tanh",), _rnn_step),
    "GRU": Kind(3, 1, ("Sigmoid", "Tanh"), _gru_step),
    "LSTM": Kind(4, 2, ("Sigmoid", "Tanh", "Tanh"), _lstm_step),
}


def _entry(node: Node, value: Value, number: int) -> Value:
    """Entry of the first axis."""
    return node.reshape(slice_axis(node, value, 0, number, 1), value.shape[1:])


def _cell(node: Node, kind: Kind, number: int, x: Value, functions: list[Function]) -> Cell:
    steps, batch, width = x.shape
    weight, recurrent = _entry(node, node.input(1), number), _entry(node, node.input(2), number)
    hidden, columns = recurrent.shape[1], recurrent.shape[0]
    flat = node.emit(nn.MatMulOp, node.reshape(x, (steps * batch, width)), weight, trans_b=True)
    own_bias: Value | None = None
    bias = node.get(3)
    if bias is not None:
        row = _entry(node, bias, number)
        first, own_bias = slice_axis(node, row, 0, 0, columns), slice_axis(node, row, 0, columns, columns)
        if not (kind.gates == KINDS["GRU"].gates and node.int("linear_before_reset", 0)):
            first, own_bias = node.emit(nn.AddOp, first, own_bias), None
        flat = node.emit(nn.AddOp, flat, first)
    peepholes = node.get(7) if kind.states > 1 else None
    holes = None if peepholes is None else _entry(node, peepholes, number)
    parts = node.reshape(flat, (steps, batch, columns))
    # only where the sum is an op of its own: elsewhere it begins the kernel of the activations
    is_lstm = kind.states > 1
    channels = is_lstm and batch == 1 and hidden % LANES == 0 and _lengths(node, steps) is None
    return Cell(node, hidden, parts, recurrent, own_bias, functions, holes, channels)


def _lengths(node: Node, steps: int) -> Value | None:
    """Lengths of the sequences if they differ from the number of steps."""
    lengths = node.get(4)
    if lengths is None or (lengths.array is not None and bool(np.all(lengths.array == steps))):
        return None
    return node.reshape(node.cast(lengths, "i32"), (lengths.shape[0], 1))


def _run(
    node: Node, kind: Kind, cell: Cell, states: list[Value], backwards: bool, lengths: Value | None
) -> tuple[list[Value], list[Value]]:
    """States of every step in the order of the steps, and the last states."""
    steps = cell.parts.shape[0]
    outputs: dict[int, Value] = {}
    states = [cell.shaped(state) for state in states]
    for step in reversed(range(steps)) if backwards else range(steps):
        new = kind.step(cell, cell.shaped(_entry(node, cell.parts, step)), states)
        if lengths is None:
            states, outputs[step] = new, new[0]
            continue
        inside = node.emit(nn.GreaterOp, lengths, node.scalar(step, lengths))
        outputs[step] = node.emit(nn.WhereOp, inside, new[0], node.scalar(0.0, new[0]))
        states = [node.emit(nn.WhereOp, inside, a, b) for a, b in zip(new, states, strict=True)]
    rows = (cell.parts.shape[1], cell.hidden)
    every = [node.reshape(outputs[step], rows) for step in range(steps)]
    return every, [node.reshape(state, rows) for state in states]


@onnx_op("RNN", "GRU", "LSTM", since=7)
def recurrent(node: Node) -> list[Value]:
    kind = KINDS[node.op_type]
    direction = node.word("direction", "forward", ("forward", "reverse", "bidirectional"))
    count = 2 if direction == "bidirectional" else 1
    is_batch_first = bool(node.int("layout", 0))
    x = node.input(0)
    if is_batch_first:
        x = node.emit(nn.TransposeOp, x, (1, 0, 2))
    steps, batch, _ = x.shape
    functions = _functions(node, kind.functions, count)
    lengths = _lengths(node, steps)
    reason = onnx_recurrence.refusal_of(node, x, has_lengths=lengths is not None)
    if reason is None:
        return onnx_recurrence.recurrence(node, x, is_batch_first=is_batch_first)
    LOG.debug("%s is written out: %s", node.name, reason)
    require(constraints.steps_are_few, steps)
    every: list[list[Value]] = []
    last: list[list[Value]] = []
    for number in range(count):
        cell = _cell(node, kind, number, x, functions[number])
        states = [
            _initial(node, i, number, (batch, cell.hidden), is_batch_first, x) for i in range(kind.states)
        ]
        backwards = direction == "reverse" or number == 1
        outputs, states = _run(node, kind, cell, states, backwards, lengths)
        every.append(outputs)
        last.append(states)
    results = [_sequence(node, every, is_batch_first)]
    for i in range(kind.states):
        results.append(stacked(node, [states[i] for states in last], 1 if is_batch_first else 0))
    return results


def _initial(
    node: Node, state: int, number: int, shape: tuple[int, int], is_batch_first: bool, like: Value
) -> Value:
    given = node.get(5 + state)
    if given is None:
        return node.scalar(0.0, like, shape)
    if is_batch_first:
        given = node.emit(nn.TransposeOp, given, (1, 0, 2))
    return _entry(node, given, number)


def _sequence(node: Node, every: list[list[Value]], is_batch_first: bool) -> Value:
    """[steps, directions, batch, hidden], or [batch, steps, directions, hidden]."""
    rows = [stacked(node, list(step), 0) for step in zip(*every, strict=True)]
    whole = stacked(node, rows, 0)
    return node.emit(nn.TransposeOp, whole, (2, 0, 1, 3)) if is_batch_first else whole
