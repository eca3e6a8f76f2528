"""LSTM, GRU and RNN as one `nn.recurrence`: what the steps share, brought into the form in which the kernel takes it.

Hidden sizes are padded to whole fractals of 16 with zero weights, which keep the padding lanes of every state at zero.
"""

from __future__ import annotations

from functools import cache

from ..dialects import nn
from ..dialects.nn_shapes import DIRECTIONS, RECURRENCES
from ..runtime.soc import Soc, load_soc, soc_names
from .cube_problem import C0, ceil_div
from .onnx_node import Node, Value
from .onnx_ops_control import stacked
from .onnx_ops_moves import slice_axis
from .recurrence_problem import RecurrenceProblem, refusal

_FUNCTIONS = {
    "lstm": ["sigmoid", "tanh", "tanh"],
    "gru": ["sigmoid", "tanh"],
    "reset_gru": ["sigmoid", "tanh"],
    "rnn": ["tanh"],
}
"""What the kernel computes, ONNX's defaults."""


@cache
def _targets() -> tuple[Soc, ...]:
    """Chips that a model can be compiled for; an import is for all of them."""
    return tuple(soc for soc in map(load_soc, soc_names()) if not soc.is_split)


def refusal_of(node: Node, x: Value, *, has_lengths: bool) -> str | None:
    """Why a node is written out step by step; None if `recurrence` makes one op of it. x [steps, batch, width]."""
    kind, direction = _kind(node), node.string("direction", "forward")
    count = DIRECTIONS[direction]
    attribute = node.attributes.get("activations")
    names = (
        [s.decode().lower() for s in attribute.strings] if attribute is not None else _FUNCTIONS[kind] * count
    )
    if names != _FUNCTIONS[kind] * count:
        return f"activations {names}"
    if node.has("clip") or node.int("input_forget", 0):
        return "clipped or coupled gates"
    if kind == "lstm" and node.get(7) is not None:
        return "peepholes"
    if has_lengths:
        return "sequences of different lengths"
    steps, batch, _ = x.shape
    if steps < 1 or batch < 1:
        return "no steps"
    problem = RecurrenceProblem(
        kind, direction == "reverse", count, steps, batch, _padded(node.input(2).shape[2]), node.get(5) is not None,
        kind == "lstm" and node.uses_output(2),
    )  # fmt: skip
    return refusal(problem, _targets())


def _kind(node: Node) -> str:
    """The kind of `nn.recurrence`."""
    if node.op_type == "GRU" and not node.int("linear_before_reset", 0):
        return "reset_gru"
    return node.op_type.lower()


def _padded(hidden: int) -> int:
    return ceil_div(hidden, C0) * C0


def recurrence(node: Node, x: Value, *, is_batch_first: bool) -> list[Value]:
    """Results of a node that `refusal_of` lets pass: Y, Y_h and, of an LSTM, Y_c."""
    kind, direction = _kind(node), node.string("direction", "forward")
    steps, batch, width = x.shape
    count, hidden = DIRECTIONS[direction], node.input(2).shape[2]
    own = _padded(hidden)
    parts = node.emit(nn.MatMulOp, node.reshape(x, (steps * batch, width)), _weight(node, kind), trans_b=True)
    if node.get(3) is not None:
        parts = node.emit(nn.AddOp, parts, _bias(node, kind))
    gates = RECURRENCES[kind][1]
    recurrent = _pad(
        node, node.reshape(node.input(2), (count, gates, hidden, hidden)), (0, 0, own - hidden, own - hidden)
    )
    last_cell = kind == "lstm" and node.uses_output(2)
    rows = node.emit(
        nn.RecurrenceOp, parts, node.reshape(recurrent, (count * gates * own, own)),
        *_initial(node, kind, is_batch_first=is_batch_first), kind=kind, direction=direction, steps=steps, last_cell=last_cell,
    )  # fmt: skip
    states = slice_axis(node, rows, 0, 0, steps * batch)
    every = slice_axis(node, node.reshape(states, (steps, batch, count, own)), 3, 0, hidden)
    results = [node.emit(nn.TransposeOp, every, (1, 0, 2, 3) if is_batch_first else (0, 2, 1, 3))]
    ends = [0 if direction == "reverse" or number else steps - 1 for number in range(count)]
    results.append(_last(node, every, ends, is_batch_first=is_batch_first))
    if last_cell:
        cells = node.reshape(slice_axis(node, rows, 0, steps * batch, batch), (1, batch, count, own))
        results.append(
            _last(node, slice_axis(node, cells, 3, 0, hidden), [0] * count, is_batch_first=is_batch_first)
        )
    elif kind == "lstm":
        results.append(results[1])  # nobody reads it
    return results


def _last(node: Node, every: Value, ends: list[int], *, is_batch_first: bool) -> Value:
    """The state of each direction at its step: [directions, batch, hidden] of [steps, batch, directions, hidden]."""
    _, batch, _, hidden = every.shape
    found = [
        node.reshape(slice_axis(node, slice_axis(node, every, 0, end, 1), 2, number, 1), (batch, hidden))
        for number, end in enumerate(ends)
    ]
    return stacked(node, found, 1 if is_batch_first else 0)


def _pad(node: Node, value: Value, behind: tuple[int, ...], before: tuple[int, ...] | None = None) -> Value:
    """Zeros around a tensor."""
    pads = (*(before or (0,) * value.rank), *behind)
    return node.emit(nn.PadOp, value, pads) if any(pads) else value


def _weight(node: Node, kind: str) -> Value:
    """W of all directions, [directions · groups · hidden, width]; the group that is no gate gets zeros."""
    weight, hidden = node.input(1), node.input(2).shape[2]
    groups, gates, _ = RECURRENCES[kind]
    count, _, width = weight.shape
    own = _padded(hidden)
    spread = node.reshape(weight, (count, gates, hidden, width))
    return node.reshape(
        _pad(node, spread, (0, groups - gates, own - hidden, 0)), (count * groups * own, width)
    )


def _bias(node: Node, kind: str) -> Value:
    """Both biases; that of a GRU's h which belongs to the product has a group of its own."""
    bias, hidden = node.input(3), node.input(2).shape[2]
    groups, gates, _ = RECURRENCES[kind]
    count, tail = bias.shape[0], _padded(hidden) - hidden
    first, second = (
        node.reshape(slice_axis(node, bias, 1, i * gates * hidden, gates * hidden), (count, gates, hidden))
        for i in range(2)
    )
    if kind == "gru":
        inner = _pad(node, slice_axis(node, second, 1, 2, 1), (0, 0, tail), (0, 3, 0))
        outer = _pad(node, slice_axis(node, second, 1, 0, 2), (0, 2, tail))
        total = node.emit(nn.AddOp, _pad(node, first, (0, 1, tail)), node.emit(nn.AddOp, outer, inner))
    else:
        total = _pad(node, node.emit(nn.AddOp, first, second), (0, 0, tail))
    return node.reshape(total, (count * groups * (hidden + tail),))


def _initial(node: Node, kind: str, *, is_batch_first: bool) -> list[Value]:
    """The states before the first step as one matrix, [batch, states · directions · hidden]; none if all are zero."""
    given = [node.get(5 + i) for i in range(RECURRENCES[kind][2])]
    known = [value for value in given if value is not None and not _is_zero(value)]
    if not known:
        return []
    hidden = node.input(2).shape[2]
    columns: list[Value] = []
    for value in given:
        state = node.scalar(0.0, known[0], known[0].shape) if value is None else value
        if not is_batch_first:
            state = node.emit(nn.TransposeOp, state, (1, 0, 2))
        batch, count, _ = state.shape
        own = _padded(hidden)
        columns.append(node.reshape(_pad(node, state, (0, 0, own - hidden)), (batch, count * own)))
    return columns if len(columns) == 1 else [node.emit(nn.ConcatOp, columns, 1)]


def _is_zero(value: Value) -> bool:
    """Whether a state is known to be zero, also where zeros are expanded to its shape."""
    if value.array is not None:
        return not value.array.any()
    blob = value.blob
    if blob is None and value.ssa is not None and isinstance(value.ssa.owner, nn.ExpandOp):
        source = value.ssa.owner.input.owner
        blob = source.value.data if isinstance(source, nn.ConstantOp) else None
    return blob is not None and blob.op == "splat" and not any(blob.values)
