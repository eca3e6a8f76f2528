"""Whether an `OmModel` makes sense: the rules every offline model obeys, checked before it is written and
after it was read."""

from __future__ import annotations

from collections.abc import Container, Generator, Mapping, Sequence
from contextlib import contextmanager

from . import format as f
from .model import ALIGNMENT, Address, OmGraphOp, OmModel, OmTask, OmTensor, OmWeight


class InconsistentModelError(ValueError):
    """The model description contradicts itself: a bug of the compiler when writing, a damaged file when
    reading. `place` is the part that does: its kind (the name of a field of `OmModel`) and position."""

    def __init__(self, message: str, place: tuple[str, int] = ("model", 0)) -> None:
        super().__init__(message)
        self.place = place

    def at(self, kind: str, position: int) -> InconsistentModelError:
        """The same with its place."""
        return InconsistentModelError(str(self), (kind, position))


@contextmanager
def _part(kind: str, position: int) -> Generator[None, None, None]:
    """What is wrong inside is wrong with this part."""
    try:
        yield
    except InconsistentModelError as error:
        raise error.at(kind, position) from None


def check(model: OmModel) -> None:
    """Raise `InconsistentModelError` unless the model is consistent: unique names, known types, sizes that
    follow from shapes, offsets and addresses within their region, references to what is there."""
    for kind, parts in (("inputs", model.inputs), ("weights", model.weights), ("graph", model.graph)):
        for position, part in enumerate(parts):
            if not part.name:
                raise InconsistentModelError("a node of the graph has no name", (kind, position))
    _unique_nodes(model)
    _unique("outputs", "output", [x.name for x in model.outputs])
    _unique("kernels", "kernel", [x.name for x in model.kernels])
    _check_regions(model)
    for kind, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        for position, tensor in enumerate(tensors):
            with _part(kind, position):
                _check_tensor(model, tensor)
    for position, weight in enumerate(model.weights):
        with _part("weights", position):
            _check_weight(weight)
    _check_overlap(model)
    _check_graph(model)
    kernels = {kernel.name for kernel in model.kernels}
    for index, task in enumerate(model.tasks):
        with _part("tasks", index):
            _check_task(model, index, task, kernels)
    for partition in model.other:
        if partition.number in f.UNDERSTOOD or not 0 <= partition.number <= f.MAX_UINT32:
            raise InconsistentModelError(f"partition {partition.number} cannot be kept as bytes")


def _unique_nodes(model: OmModel) -> None:
    seen: set[str] = set()
    for kind, parts in (("inputs", model.inputs), ("weights", model.weights), ("graph", model.graph)):
        for position, part in enumerate(parts):
            if part.name in seen:
                raise InconsistentModelError(f"graph node name {part.name!r} is used twice", (kind, position))
            seen.add(part.name)


def _unique(kind: str, what: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names):
        if not name or name in seen:
            raise InconsistentModelError(f"{what} name {name!r} is empty or used twice", (kind, position))
        seen.add(name)


def _bytes_of(name: str, dtype: str, shape: Sequence[int]) -> int:
    """How many bytes a shape means. Bounded while it is computed: a shape of a thousand large extents is no number
    that anybody wants."""
    count = f.BY_NAME[dtype].size
    for extent in shape:
        if extent < 0:
            raise InconsistentModelError(f"{name!r} has an extent of {extent}")
        count *= extent
        if count > f.MAX_UINT64:
            raise InconsistentModelError(f"{name!r} has more than 2^64 bytes")
    return count


def _check_tensor(model: OmModel, tensor: OmTensor) -> None:
    _known(tensor.name, tensor.dtype, tensor.format)
    count = _bytes_of(tensor.name, tensor.dtype, tensor.shape)
    if count != tensor.size:
        raise InconsistentModelError(
            f"tensor {tensor.name!r} has {tensor.size} bytes, its shape says {count}"
        )
    if tensor.offset < 0 or tensor.offset + tensor.size > model.memory_size:
        raise InconsistentModelError(
            f"tensor {tensor.name!r} lies outside the feature map of {model.memory_size} bytes"
        )


def _known(name: str, dtype: str, format: str) -> None:
    if dtype not in f.BY_NAME:
        raise InconsistentModelError(f"{name!r} has element type {dtype!r}, which the container cannot hold")
    if not f.is_format(format):
        raise InconsistentModelError(f"{name!r} has unknown format {format!r}")


def _check_weight(weight: OmWeight) -> None:
    _known(weight.name, weight.dtype, weight.format)
    if weight.offset < ALIGNMENT or weight.offset % ALIGNMENT:
        raise InconsistentModelError(
            f"weight {weight.name!r} lies at {weight.offset}, not at a multiple of {ALIGNMENT} above 0"
        )
    count = _bytes_of(weight.name, weight.dtype, weight.storage_shape)
    _bytes_of(weight.name, weight.dtype, weight.shape)
    if count != weight.size:
        raise InconsistentModelError(
            f"weight {weight.name!r} has {weight.size} bytes, its storage shape says {count}"
        )


def _check_regions(model: OmModel) -> None:
    first, second = sorted(
        ((model.feature_map_base, model.memory_size), (model.weight_base, model.weight_size)),
        key=lambda r: r[0],
    )
    if first[0] < 0 or model.memory_size < 0:
        raise InconsistentModelError("a region has a negative base or size")
    if first[0] + first[1] >= second[0] or second[0] + second[1] > f.MAX_UINT64:
        raise InconsistentModelError("the feature-map and weight regions overlap or leave the address space")


def _check_overlap(model: OmModel) -> None:
    end, last = ALIGNMENT, ""
    shared: dict[int, OmWeight] = {}
    for position, weight in sorted(enumerate(model.weights), key=lambda item: item[1].offset):
        owner = shared.setdefault(weight.offset, weight)
        if owner is not weight:
            if (owner.size, owner.payload.digest) != (weight.size, weight.payload.digest):
                raise InconsistentModelError(
                    f"weights {owner.name!r} and {weight.name!r} share an offset but not their bytes",
                    ("weights", position),
                )
            continue
        if weight.offset < end:
            raise InconsistentModelError(
                f"weights {last!r} and {weight.name!r} overlap", ("weights", position)
            )
        end, last = weight.offset + weight.size, weight.name


def _check_task(model: OmModel, index: int, task: OmTask, kernels: set[str]) -> None:
    where = f"task {index} ({task.kernel})"
    if task.is_copy:
        _check_copy(model, where, task)
    if task.is_ai_core and task.kernel not in kernels:
        raise InconsistentModelError(f"{where} launches a kernel that the model does not hold")
    if not 1 <= task.block_dim <= f.MAX_UINT32:
        raise InconsistentModelError(f"{where} has block dim {task.block_dim}")
    if not 0 <= task.stream < f.MAX_UINT32:
        raise InconsistentModelError(f"{where} is in stream {task.stream}")
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


def _check_graph(model: OmModel) -> None:
    outputs = {x.name: 1 for x in (*model.inputs, *model.weights)}
    outputs |= {op.name: len(op.output_descs) for op in model.graph}
    constants = {weight.name for weight in model.weights}
    computed = {task.op_index for task in model.tasks}
    for position, op in enumerate(model.graph):
        with _part("graph", position):
            for edge in op.inputs:
                _check_edge(op.name, edge, outputs)
            producers = [edge.rpartition(":")[0] for edge in op.inputs if edge and not edge.endswith(":-1")]
            if position not in computed and producers and constants.issuperset(producers):
                constants.add(op.name)  # a view of constants: its bytes are in the weight region
            _check_operator(model, op, constants)
    for position, tensor in enumerate(model.outputs):
        source = tensor.source or (":" if model.graph else "")  # without a graph there is nothing to name
        with _part("outputs", position):
            _check_edge(f"output {tensor.name}", source, outputs, 0)


def _check_edge(user: str, edge: str, outputs: Mapping[str, int], least: int = -1) -> None:
    if not edge:
        return
    producer, _, index = edge.rpartition(":")
    number = (
        int(index) if index == "-1" or (index.isascii() and index.isdecimal() and len(index) < 10) else -2
    )
    if not least <= number < outputs.get(producer, -1):
        raise InconsistentModelError(f"{user} reads {edge!r}, which no node of the graph produces")


def _check_operator(model: OmModel, op: OmGraphOp, constants: Container[str]) -> None:
    data_edges = [edge for edge in op.inputs if not edge.endswith(":-1")]
    if len(data_edges) != len(op.input_descs):
        raise InconsistentModelError(
            f"{op.name} has {len(data_edges)} inputs and {len(op.input_descs)} input descriptions"
        )
    for desc in (*op.input_descs, *op.output_descs):
        _known(op.name, desc.dtype, desc.format)
        _known(op.name, desc.dtype, desc.origin_format)
        _bytes_of(op.name, desc.dtype, desc.shape)
        _bytes_of(op.name, desc.dtype, desc.storage_shape)
    constant_inputs = [edge.rpartition(":")[0] in constants for edge in data_edges]
    constant_outputs = [op.name in constants] * len(op.output_descs)
    places = (
        ("inputs", op.input_offsets, [desc.size for desc in op.input_descs], constant_inputs),
        ("outputs", op.output_offsets, [desc.size for desc in op.output_descs], constant_outputs),
        ("workspaces", op.workspace_offsets, op.workspace_bytes, [False] * len(op.workspace_bytes)),
    )
    for what, offsets, sizes, elsewhere in places:
        told = bool(offsets) or what == "workspaces"  # a graph for viewers only has no offsets of tensors
        if told and len(offsets) != len(sizes):
            raise InconsistentModelError(f"{op.name} has {len(sizes)} {what} and {len(offsets)} offsets")
        for offset, size, constant in zip(offsets, sizes, elsewhere, strict=False):
            if constant:
                continue  # its bytes are in the weight region
            if size < 0 or not 0 <= offset <= model.memory_size - size:
                raise InconsistentModelError(
                    f"{op.name} has {size} bytes of {what} at {offset} of a feature map of {model.memory_size} bytes"
                )
