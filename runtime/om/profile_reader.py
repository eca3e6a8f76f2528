"""A file of several profiles → `OmProfiles`: the root graph that chooses, then a model per branch.

What is read is checked against what it repeats: the numbers of the profiles stand in `Case`, in the table that
`MapIndex` searches and in MODEL_INOUT_INFO; branches stand in MODEL_DEF as graphs and in TASK_INFO between labels.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from . import format as f
from . import ge_ir_pb2 as ge
from . import task_pb2 as domi
from .block_reader import Parts, checked
from .consistency import InconsistentModelError
from .graph_reader import GRAPH, OP, Graph, read_attr, read_graph
from .inout_reader import InOut, check_inout
from .model import AttrValue, OmModel, OmTensor
from .parsing import unpack
from .profiles import OmProfiles, ProfileKind, check_profiles, with_region
from .task_reader import TASK, check_regions, read_tasks, tasks_of
from .wire import Places

_KINDS: dict[int, ProfileKind] = {1: "batch", 2: "image", 3: "dims"}
_INFO = "MODEL_INOUT_INFO"


@dataclass(frozen=True)
class _Root:
    """What the root graph says: the choice, and the border as a caller sees it."""

    kind: ProfileKind
    sizes: tuple[tuple[int, ...], ...]
    order: tuple[str, ...]
    table: int
    case_id: int
    output_names: tuple[str, ...]
    graph: Graph


def holds_profiles(parts: Parts) -> bool:
    """Whether the model has a graph per profile."""
    graphs = parts.message.graph
    return len(graphs) > 1 and any(node.type == f.OP_CASE for node in graphs[0].op)


def read_profiles(parts: Parts) -> OmProfiles:
    """All profiles of a model."""
    root = _root(parts)
    tasks, task_places = read_tasks(parts.block)
    ranges = _branch_tasks(tasks, task_places, len(root.sizes), root.case_id)
    branches: list[OmModel] = []
    position = len(parts.message.graph[0].op)
    for number, (first, last) in enumerate(ranges):
        graph = _branch_graph(parts, number, position, root.output_names)
        position += len(parts.message.graph[number + 1].op)
        model = parts.model(graph, _branch_attrs(parts, number), (), len(parts.region))
        check_regions(model, tasks)
        model = replace(model, tasks=tasks_of(model, tasks.task[first:last], graph, task_places, first))
        launched = {task.kernel for task in model.tasks if task.is_ai_core}
        model = replace(model, kernels=tuple(k for k in parts.kernels if k.name in launched))
        branches.append(checked(model, graph, task_places, parts.kernel_starts, first))
    profiles = OmProfiles(root.kind, root.sizes, root.order, root.table, tuple(branches))
    with _said_of_the_root(parts):
        check_profiles(profiles)
        _check_border(profiles, root)
    if profiles.weight_size != len(parts.region):
        raise f.OmError(
            f"weights and table need {profiles.weight_size} bytes",
            partition="WEIGHTS_DATA",
            offset=len(parts.region),
            expected=str(len(parts.region)),
        )
    _check_info(parts, profiles, root)
    return with_region(profiles)


@contextmanager
def _said_of_the_root(parts: Parts) -> Generator[None, None, None]:
    try:
        yield
    except InconsistentModelError as error:
        raise f.OmError(str(error), partition="MODEL_DEF", offset=parts.places.start(GRAPH, 0)) from error


# --------------------------------------------------------------------------------------------- the root graph


def _root(parts: Parts) -> _Root:
    message = parts.message
    try:
        graph = read_graph(message.graph[0], parts.attrs.output_names, parts.places)
        return _choice(parts, graph)
    except f.OmError as error:
        raise error.at(parts.places.start(GRAPH, 0)) from None


def _choice(parts: Parts, graph: Graph) -> _Root:
    nodes = [node for node in parts.message.graph[0].op if node.type == f.OP_CASE]
    if [op.type for op in graph.ops] != [f.OP_MAP_INDEX, f.OP_CASE] or len(graph.weights) != 1:
        raise _error("the root graph is no choice of a profile", "MapIndex, Case and a table")
    (case,) = nodes
    attrs = {key: read_attr(key, case.attr[key]) for key in sorted(case.attr)}
    count = len(parts.message.graph) - 1
    if not 0 < count <= f.MAX_PROFILES or attrs.get(f.ATTR_BRANCHES) != count:
        raise _error(f"{count} branches, Case announces {attrs.get(f.ATTR_BRANCHES)!r}", "as many")
    kind, order = attrs.get(f.ATTR_PROFILE_KIND), attrs.get(f.ATTR_ORDER)
    if not isinstance(kind, int) or kind not in _KINDS or not isinstance(order, tuple):
        raise _error(f"profiles of kind {kind!r}", "1 to 3, and the order of the inputs")
    names = tuple(name for name in order if isinstance(name, str))
    sizes = tuple(_row(attrs.get(f"{f.ATTR_SIZES_OF}{number}")) for number in range(count))
    if [f"Batch_{number}" for number in range(count)] != list(case.subgraph_name):
        raise _error("Case does not name the graphs of its branches", "Batch_0, Batch_1, …")
    table, offset, size = graph.weights[0]
    row = b"".join(number.to_bytes(4, "little", signed=True) for numbers in sizes for number in numbers)
    if bytes(parts.payload(table.name, offset, size).load()) != row:
        raise _error(f"table {table.name!r} does not hold the numbers of Case", f"{len(row)} bytes of them")
    plain = tuple(name.removeprefix(f"{f.CASE}:{i}:") for i, name in enumerate(parts.attrs.output_names))
    return _Root(_KINDS[kind], sizes, names, offset, case.id, plain, graph)


def _row(value: AttrValue | None) -> tuple[int, ...]:
    numbers = tuple(n for n in value if isinstance(n, int)) if isinstance(value, tuple) else ()
    if not numbers or not all(-(1 << 31) <= number < 1 << 31 for number in numbers):
        raise _error(f"a profile has the numbers {value!r}", "numbers of 32 bits")
    return numbers


def _error(message: str, expected: str) -> f.OmError:
    return f.OmError(message, partition="MODEL_DEF", expected=expected)


def _check_border(profiles: OmProfiles, root: _Root) -> None:
    """The root's inputs and outputs are those of the largest profile, and the numbers that choose."""
    largest = profiles.branches[profiles.largest]
    count = len(profiles.sizes[0])
    numbers = OmTensor(f.SHAPE_DATA, "i32", (count,), 4 * count, 0)
    if root.graph.inputs != (*largest.inputs, numbers):
        raise InconsistentModelError("the root's inputs are not those of the largest profile")
    shown = [replace(tensor, source="") for tensor in root.graph.outputs]
    if shown != [replace(tensor, source="") for tensor in largest.outputs]:
        raise InconsistentModelError("the root's outputs are not those of the largest profile")


# -------------------------------------------------------------------------------------------------- branches


def _branch_attrs(parts: Parts, number: int) -> dict[str, AttrValue]:
    """The model's attributes and those that only this branch has."""
    own = parts.message.graph[number + 1].attr
    return {**parts.attrs.other, **{key: read_attr(key, own[key]) for key in sorted(own)}}


def _branch_graph(parts: Parts, number: int, first: int, names: tuple[str, ...]) -> Graph:
    graph = ge.GraphDef()
    graph.CopyFrom(parts.message.graph[number + 1])
    suffix = f"{f.BRANCH_SUFFIX}{number}"
    try:
        if graph.name != f"Batch_{number}":
            raise _error(f"branch {number} is called {graph.name!r}", f"Batch_{number}")
        for position, node in enumerate(graph.op, first):
            _rename(node, suffix, parts.places.start(OP, position))
        sinks = [node for node in graph.op if node.type == f.OP_OUTPUT]
        edges = list(sinks[0].input) if len(sinks) == 1 else []
        if len(edges) != len(names):
            raise _error(f"branch {number} has {len(edges)} outputs", str(len(names)))
        shown = [f"{edge or f'{f.OP_OUTPUT}:{i}'}:{names[i]}" for i, edge in enumerate(edges)]
        return read_graph(graph, shown, parts.places, first)
    except f.OmError as error:
        raise error.at(parts.places.start(GRAPH, number + 1)) from None


def _rename(node: ge.OpDef, suffix: str, place: int) -> None:
    """Takes the branch's suffix from a node and its edges."""
    producers = [edge.rpartition(":")[0] for edge in node.input if edge]
    if not all(name.endswith(suffix) for name in (node.name, *producers)):
        raise _error(
            f"node {node.name!r} or one it reads is no node of {suffix!r}", "nodes of one branch"
        ).at(place)
    node.name = node.name.removesuffix(suffix)
    for position, edge in enumerate(node.input):
        producer, colon, output = edge.rpartition(":")
        if colon:
            node.input[position] = f"{producer.removesuffix(suffix)}:{output}"


def _branch_tasks(message: domi.ModelTaskDef, places: Places, count: int, case: int) -> list[tuple[int, int]]:
    """Where each branch's tasks begin and end in the list; E10041 unless labels stand as they must."""
    entries = message.task
    starts = [index for index, task in enumerate(entries) if task.type == f.TASK_LABEL_SET]
    wrong = f.OmError(
        "labels do not divide the tasks into branches",
        partition="TASK_INFO",
        offset=places.start(TASK, starts[0] if starts else 0),
        expected=f"a switch, {count} branches that end with a goto, and a last label",
    )
    if len(starts) != count + 1 or starts[0] != 1 or starts[-1] != len(entries) - 1:
        raise wrong
    switch = entries[0].label_switch_by_index
    if entries[0].type != f.TASK_LABEL_SWITCH or switch.label_max != count or switch.op_index != case:
        raise wrong
    for number, start in enumerate(starts):
        if entries[start].label_set.label_id != number:
            raise wrong
        goto = entries[starts[number + 1] - 1] if number < count else None
        if goto is not None and (
            goto.type != f.TASK_LABEL_GOTO or goto.label_goto_ex.label_id != count or goto is entries[start]
        ):
            raise wrong
    return [(starts[number] + 1, starts[number + 1] - 1) for number in range(count)]


# ------------------------------------------------------------------------------------------ MODEL_INOUT_INFO


def _check_info(parts: Parts, profiles: OmProfiles, root: _Root) -> None:
    largest = profiles.branches[profiles.largest]
    inputs = [
        replace(tensor, shape=shape) for tensor, shape in zip(largest.inputs, profiles.shapes, strict=True)
    ]
    names = parts.attrs.output_names
    info = parts.block.get(f.Partition.MODEL_INOUT_INFO)
    found = check_inout(info, (*inputs, root.graph.inputs[-1]), largest.outputs, names)
    if info is None:
        return
    shapes = [
        ",".join(map(str, (number, i, *tensor.shape)))
        for number, branch in enumerate(profiles.branches)
        for i, tensor in enumerate(branch.outputs)
    ]
    if (
        _numbers(found, profiles.kind) != profiles.sizes
        or _texts(found, f.TLV_INPUT_ORDER) != list(profiles.order)
        or _texts(found, f.TLV_OUTPUT_SHAPES) != shapes
    ):
        raise f.OmError("profiles are not those of the graph", partition=_INFO, offset=0)


def _numbers(found: InOut, kind: ProfileKind) -> tuple[tuple[int, ...], ...]:
    data, base = found.other.get(f.TLV_PROFILES[kind], (memoryview(b""), 0))
    (count,) = unpack(f.COUNT, data, 0, _INFO, base)
    at = f.COUNT.size
    lengths = [1] * min(count, f.MAX_PROFILES)
    if kind != "batch":
        lengths = [unpack(f.COUNT, data, at + i * f.COUNT.size, _INFO, base)[0] for i in range(len(lengths))]
        at += f.COUNT.size * len(lengths)
    if count > f.MAX_PROFILES or len(data) - at != sum(lengths) * f.WORD_BYTES:
        raise f.OmError(f"{count} profiles in {len(data)} bytes", partition=_INFO, offset=base)
    rows: list[tuple[int, ...]] = []
    for length in lengths:
        ends = range(at, at + length * f.WORD_BYTES, f.WORD_BYTES)
        rows.append(tuple(int.from_bytes(data[i : i + f.WORD_BYTES], "little") for i in ends))
        at += length * f.WORD_BYTES
    return tuple(rows)


def _texts(found: InOut, kind: int) -> list[str]:
    data, base = found.other.get(kind, (memoryview(b""), 0))
    if not len(data):
        return []
    (count,) = unpack(f.COUNT, data, 0, _INFO, base)
    at, texts = f.COUNT.size * (1 + count), list[str]()
    if at > len(data):
        raise f.OmError(f"{count} texts in {len(data)} bytes", partition=_INFO, offset=base)
    for i in range(count):
        (length,) = unpack(f.COUNT, data, f.COUNT.size * (1 + i), _INFO, base)
        if length > len(data) - at:
            raise f.OmError("a text runs past its block", partition=_INFO, offset=base + at)
        texts.append(bytes(data[at : at + length]).decode(errors="replace"))
        at += length
    if at != len(data):
        raise f.OmError("bytes behind the last text", partition=_INFO, offset=base + at)
    return texts
