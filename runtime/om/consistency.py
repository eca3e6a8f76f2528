"""Whether an `OmModel` makes sense: the rules every offline model obeys, checked before it is written and
after it was read."""

from __future__ import annotations

from collections.abc import Sequence

from . import format as f
from .model import ALIGNMENT, Address, OmModel, OmTask, OmWeight


class InconsistentModelError(ValueError):
    """The model description contradicts itself: a bug of the compiler when writing, a damaged file when
    reading."""


def check(model: OmModel) -> None:
    """Raise `InconsistentModelError` unless the model is consistent: unique names, known types, sizes,
    offsets and addresses within their region."""
    names = [x.name for x in model.inputs] + [x.name for x in model.weights] + [x.name for x in model.graph]
    _unique("graph node", names)
    _unique("output", [x.name for x in model.outputs])
    _unique("kernel", [x.name for x in model.kernels])
    for tensor in (*model.inputs, *model.outputs):
        _known(tensor.name, tensor.dtype, tensor.format)
        if tensor.offset < 0 or tensor.offset + tensor.size > model.memory_size:
            raise InconsistentModelError(
                f"tensor {tensor.name!r} lies outside the feature map of {model.memory_size} bytes"
            )
    for weight in model.weights:
        _check_weight(weight)
    _check_overlap(model)
    _check_regions(model)
    kernels = {kernel.name for kernel in model.kernels}
    for index, task in enumerate(model.tasks):
        _check_task(model, index, task, kernels)
    _check_edges(model)


def _unique(what: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name or name in seen:
            raise InconsistentModelError(f"{what} name {name!r} is empty or used twice")
        seen.add(name)


def _known(name: str, dtype: str, format: str) -> None:
    if dtype not in f.BY_NAME:
        raise InconsistentModelError(f"{name!r} has element type {dtype!r}, which the container cannot hold")
    primary, _, sub = format.partition(":")
    if primary not in f.FORMATS or (sub and not sub.isdecimal()):
        raise InconsistentModelError(f"{name!r} has unknown format {format!r}")


def _check_weight(weight: OmWeight) -> None:
    _known(weight.name, weight.dtype, weight.format)
    if weight.offset < ALIGNMENT or weight.offset % ALIGNMENT:
        raise InconsistentModelError(
            f"weight {weight.name!r} lies at {weight.offset}, not at a multiple of {ALIGNMENT} above 0"
        )
    count = f.BY_NAME[weight.dtype].size
    for extent in weight.storage_shape:
        count *= extent
    if count != weight.size:
        raise InconsistentModelError(
            f"weight {weight.name!r} has {weight.size} bytes, its storage shape says {count}"
        )


def _check_regions(model: OmModel) -> None:
    first, second = sorted(
        ((model.feature_map_base, model.memory_size), (model.weight_base, model.weight_size)),
        key=lambda r: r[0],
    )
    if first[0] < 0 or first[0] + first[1] >= second[0] or second[0] + second[1] > f.MAX_UINT64:
        raise InconsistentModelError("the feature-map and weight regions overlap or leave the address space")


def _check_overlap(model: OmModel) -> None:
    end, last = ALIGNMENT, ""
    shared: dict[int, OmWeight] = {}
    for weight in sorted(model.weights, key=lambda w: w.offset):
        owner = shared.setdefault(weight.offset, weight)
        if owner is not weight:
            if (owner.size, owner.payload.digest) != (weight.size, weight.payload.digest):
                raise InconsistentModelError(
                    f"weights {owner.name!r} and {weight.name!r} share an offset but not their bytes"
                )
            continue
        if weight.offset < end:
            raise InconsistentModelError(f"weights {last!r} and {weight.name!r} overlap")
        end, last = weight.offset + weight.size, weight.name


def _check_task(model: OmModel, index: int, task: OmTask, kernels: set[str]) -> None:
    where = f"task {index} ({task.kernel})"
    if task.is_copy:
        _check_copy(model, where, task)
    if task.is_ai_core and task.kernel not in kernels:
        raise InconsistentModelError(f"{where} launches a kernel that the model does not hold")
    if not 1 <= task.block_dim <= f.MAX_UINT32:
        raise InconsistentModelError(f"{where} has block dim {task.block_dim}")
    if model.graph and not 0 <= task.op_index < len(model.graph):
        raise InconsistentModelError(f"{where} names operator {task.op_index} of {len(model.graph)}")
    sizes_began = False
    for arg in task.args:
        if isinstance(arg, int):
            sizes_began = True
            if not 0 <= arg <= f.MAX_UINT64:
                raise InconsistentModelError(f"{where} has an argument of more than 64 bits: {arg}")
        elif sizes_began:
            raise InconsistentModelError(f"{where} has an address behind a size")
        elif model.address(model.word(arg)) != arg:
            raise InconsistentModelError(f"{where} has an address outside its region: {arg}")


def _check_copy(model: OmModel, where: str, task: OmTask) -> None:
    """A copy stays inside its regions and writes the feature map."""
    sizes = {"feature_map": model.memory_size, "weights": model.weight_size}
    match task.args:
        case (Address(region="feature_map") as target, Address() as source, int() as size) if size > 0:
            pass
        case _:
            raise InconsistentModelError(f"{where} is a copy with arguments {task.args}")
    for place in (target, source):
        if not 0 <= place.offset <= sizes[place.region] - size:
            raise InconsistentModelError(f"{where} copies {size} bytes at {place.offset} of {place.region}")


def _check_edges(model: OmModel) -> None:
    outputs = {x.name: 1 for x in (*model.inputs, *model.weights)}
    outputs |= {op.name: len(op.output_descs) for op in model.graph}
    used = [(op.name, edge) for op in model.graph for edge in op.inputs if edge]
    used += [(f"output {tensor.name}", tensor.source) for tensor in model.outputs if model.graph]
    for user, edge in used:
        producer, _, index = edge.rpartition(":")
        if not index.lstrip("-").isdecimal() or not -1 <= int(index) < outputs.get(producer, -1):
            raise InconsistentModelError(f"{user} reads {edge!r}, which no node of the graph produces")
    for op in model.graph:
        data_edges = [edge for edge in op.inputs if not edge.endswith(":-1")]
        if len(data_edges) != len(op.input_descs):
            raise InconsistentModelError(
                f"{op.name} has {len(data_edges)} inputs and {len(op.input_descs)} input descriptions"
            )
