"""What global memory holds before a task of a model, read off the graph in the file.

The hazard check can then also say that a kernel computes with bytes that nobody wrote, leaves bytes of its
result unwritten, or stores undefined ones (decisions D8 to D10).
"""

from __future__ import annotations

from ..om.model import OmGraphOp, OmModel, OmTask
from .gm_state import GmRange


def task_ranges(model: OmModel, task: OmTask) -> list[GmRange] | None:
    """Ranges of the operator of `task`; None without a graph, or if several tasks share the operator."""
    if not model.graph or sum(other.op_index == task.op_index for other in model.tasks) > 1:
        return None  # what one of several launches leaves to the next is not in the graph
    op = model.graph[task.op_index]
    if len(op.input_offsets) != len(op.input_descs) or len(op.output_offsets) != len(op.output_descs):
        return None
    base = model.feature_map_base
    found: dict[int, GmRange] = {}
    for weight in model.weights:
        start = model.weight_base + weight.offset
        found[start] = GmRange(start, weight.size, name=weight.name)
    for place, (offset, desc) in enumerate(zip(op.input_offsets, op.input_descs, strict=True)):
        if op.inputs[place] and not _is_weight(model, op, place) and desc.size:
            found[base + offset] = GmRange(base + offset, desc.size, name=op.inputs[place])
    for offset, size in zip(op.workspace_offsets, op.workspace_bytes, strict=True):
        found[base + offset] = GmRange(base + offset, size, defined=False, name="workspace")
    for place, (offset, desc) in enumerate(zip(op.output_offsets, op.output_descs, strict=True)):
        at = base + offset
        in_place = at in found and found[at].defined
        found[at] = GmRange(at, desc.size, defined=in_place, result=True, name=f"{op.name}:{place}")
    return list(found.values())


def _is_weight(model: OmModel, op: OmGraphOp, place: int) -> bool:
    producer = op.inputs[place].rsplit(":", 1)[0]
    return any(weight.name == producer for weight in model.weights)
