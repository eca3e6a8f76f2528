"""How full device memory is, task by task: from the operators' offsets and sizes in the file's graph.

A range is live from the task that writes it to the last one that reads it; model inputs from the start, model
outputs to the end, workspace while its task runs. Views share bytes, so lives are byte ranges and no tensors: what
is written anew ends the life of the bytes that were there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .om.model import OmGraphOp, OmModel


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes.  `live[i]` while task i runs, of which `workspace[i]`; `planned` is the region the file asks for."""

    planned: int
    weights: int
    live: tuple[int, ...]
    workspace: tuple[int, ...]

    @property
    def peak(self) -> int:
        return max(self.live, default=0)


@dataclass
class _Life:
    low: int
    high: int
    start: int
    last: int


class _Region:
    """The feature-map region: current and ended lives."""

    def __init__(self) -> None:
        self.current: list[_Life] = []
        self.ended: list[_Life] = []

    def write(self, low: int, size: int, task: int) -> None:
        high, kept = low + size, list[_Life]()
        for life in self.current:
            if life.high <= low or high <= life.low:
                kept.append(life)
                continue
            # Bytes that this task reads and writes count once: their old life ends before it.
            cut = _Life(max(life.low, low), min(life.high, high), life.start, min(life.last, task - 1))
            self.ended.append(cut)
            if life.low < low:
                kept.append(_Life(life.low, low, life.start, life.last))
            if high < life.high:
                kept.append(_Life(high, life.high, life.start, life.last))
        self.current = [*kept, _Life(low, high, task, task)]

    def read(self, low: int, size: int, task: int) -> None:
        for life in self.current:
            if life.low < low + size and low < life.high:
                life.last = max(life.last, task)

    def live(self, tasks: int) -> list[int]:
        found = [0] * tasks
        for life in (*self.ended, *self.current):
            for task in range(max(life.start, 0), min(life.last, tasks - 1) + 1):
                found[task] += life.high - life.low
        return found


def device_memory(model: OmModel) -> DeviceMemory | None:
    """None when the file has no graph, or one without offsets."""
    if not model.graph or not model.tasks:
        return None
    operators = [model.graph[task.op_index] for task in model.tasks]
    if any(len(op.output_offsets) != len(op.output_descs) for op in operators):
        return None
    region, weights = _Region(), frozenset(weight.name for weight in model.weights)
    for tensor in model.inputs:
        region.write(tensor.offset, tensor.size, -1)
    workspace: list[int] = []
    for number, op in enumerate(operators):
        for offset, size in _reads(op, weights):
            region.read(offset, size, number)
        for offset, desc in zip(op.output_offsets, op.output_descs, strict=True):
            region.write(offset, desc.size, number)
        for offset, size in zip(op.workspace_offsets, op.workspace_bytes, strict=True):
            region.write(offset, size, number)
        workspace.append(sum(op.workspace_bytes))
    for tensor in model.outputs:
        region.read(tensor.offset, tensor.size, len(operators))
    return DeviceMemory(
        model.memory_size, model.weight_size, tuple(region.live(len(operators))), tuple(workspace)
    )


def _reads(op: OmGraphOp, weights: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Offset and size of what the operator reads in the feature-map region."""
    if len(op.input_offsets) != len(op.input_descs):
        return
    for name, offset, desc in zip(op.inputs, op.input_offsets, op.input_descs, strict=True):
        if name and name.rsplit(":", 1)[0] not in weights:
            yield offset, desc.size
