"""Bytes of a `.om` file → `OmModel`.

A file is data from outside: every length, offset, count and reference is checked before it is used, and
whatever is wrong ends in one `OmError` that says in which partition and at which byte. Weights stay in the
file (memory-mapped) until somebody asks for their bytes; what is decoded stays within a small multiple of the
file's size (`wire.py`).
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import NOT_LOADED, AscendError
from .block_reader import Parts, checked, read_definition, read_kernels, read_parts
from .container import Container, Source, read_container
from .format import OmError, Partition
from .graph_reader import GRAPH, read_graph
from .inout_reader import check_inout
from .model import OmModel
from .profile_reader import holds_profiles, read_profiles
from .profiles import OmProfiles
from .task_reader import check_regions, read_tasks, tasks_of

__all__ = [
    "Container",
    "Source",
    "read_container",
    "read_definition",
    "read_kernels",
    "read_offline",
    "read_om",
    "read_tasks",
]


def read_offline(source: Source, *, digests: bool = True, part: int | None = None) -> OmModel | OmProfiles:
    """Read a file (by path) or its bytes: a plain model, or all profiles of a model of several sizes. Without
    `digests` the weights' contents are not looked at until they are used. Of a file that holds several models, or
    several profiles, `part` says which one is wanted."""
    container = read_container(source)
    several = len(container.blocks) > 1
    parts = read_parts(container, _chosen(container, part) if several else 0, digests)
    if several or not holds_profiles(parts):
        _chosen(container, part)
        return _plain(parts)
    profiles = read_profiles(parts)
    if part is None:
        return profiles
    if not 0 <= part < len(profiles.branches):
        raise OmError(
            f"it has no profile {part}",
            partition="MODEL_DEF",
            offset=0,
            expected=f"0 to {len(profiles.branches) - 1} ({profiles.describe()})",
            hint="say which one is meant",
        )
    return profiles.branches[part]


def read_om(source: Source, *, digests: bool = True, part: int | None = None) -> OmModel:
    """The same where one plain model is wanted: a file of several needs `part`."""
    found = read_offline(source, digests=digests, part=part)
    if isinstance(found, OmModel):
        return found
    count = len(found.branches)
    raise AscendError(
        NOT_LOADED,
        f"the file holds {count} profiles of sizes, {found.describe()}",
        expected="one model",
        hint=f"say which profile is meant: --part 0 to {count - 1}",
    )


def _plain(parts: Parts) -> OmModel:
    if len(parts.message.graph) != 1:
        raise OmError(
            f"{len(parts.message.graph)} graphs", partition="MODEL_DEF", offset=0, expected="one graph"
        )
    names = parts.attrs.output_names
    try:
        graph = read_graph(parts.message.graph[0], names, parts.places)
    except OmError as error:
        raise error.at(parts.places.start(GRAPH, 0)) from None
    model = parts.model(graph, parts.attrs.other, parts.kernels)
    if model.weight_size != len(parts.region):
        raise OmError(
            f"its weights need {model.weight_size} bytes",
            partition="WEIGHTS_DATA",
            offset=len(parts.region),
            expected=str(len(parts.region)),
        )
    check_inout(parts.block.get(Partition.MODEL_INOUT_INFO), model.inputs, model.outputs, graph.output_names)
    tasks, places = read_tasks(parts.block)
    check_regions(model, tasks)
    model = replace(model, tasks=tasks_of(model, tasks.task, graph, places))
    return checked(model, graph, places, parts.kernel_starts)


def _chosen(container: Container, part: int | None) -> int:
    """Which model of the file is meant."""
    count = len(container.blocks)
    if container.header.dynamic and count == 1:
        raise OmError("its shapes are known only when it runs", offset=193, expected="a static model")
    if part is None and count > 1:
        raise OmError(
            f"it holds {count} models",
            offset=156,
            expected="one model",
            hint=f"say which one is meant: 0 to {count - 1}",
        )
    if not 0 <= (part or 0) < count:
        raise OmError(f"it has no model {part}", offset=156, expected=f"0 to {count - 1}")
    return part or 0
