"""One model of a file, taken apart: the definition, the attributes, the weight region, the kernels.

`reader.py` makes a plain model of it, `profile_reader.py` the branches of a model of several sizes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from . import format as f
from . import ge_ir_pb2 as ge
from .compression import expand
from .consistency import InconsistentModelError, check
from .container import Block, Container, release, require
from .graph_reader import ATTR, GRAPH, OP, Graph, ModelAttrs, read_model_attrs
from .model import AttrValue, OmKernel, OmModel, OmPartition, OmWeight, WeightPayload
from .parsing import parse, text_of, unpack
from .task_reader import TASK
from .wire import Places

_HASHED_AT_ONCE: Final = 16 << 20


@dataclass(frozen=True)
class Parts:
    """What one model of a file holds, decoded as far as it does not depend on a graph."""

    block: Block
    message: ge.ModelDef
    places: Places
    attrs: ModelAttrs
    region: memoryview
    kernels: tuple[OmKernel, ...]
    kernel_starts: tuple[int, ...]
    digests: bool
    _payloads: dict[tuple[int, int], WeightPayload] = field(
        default_factory=dict[tuple[int, int], WeightPayload]
    )

    def model(
        self,
        graph: Graph,
        attrs: Mapping[str, AttrValue],
        kernels: tuple[OmKernel, ...],
        weight_region: int = 0,
    ) -> OmModel:
        """The model that a graph of the file describes, without its tasks."""
        return OmModel(
            name=self.message.name,
            soc=self.attrs.soc,
            inputs=graph.inputs,
            outputs=graph.outputs,
            memory_size=self.attrs.memory_size,
            weights=tuple(self._weight(*found) for found in graph.weights),
            kernels=kernels,
            graph=graph.ops,
            attrs=attrs,
            feature_map_base=self.attrs.feature_map_base,
            weight_base=self.attrs.weight_base,
            machine_code=self.attrs.machine_code,
            other=tuple(
                OmPartition(kind, bytes(content))
                for kind, content in sorted(self.block.items())
                if kind not in f.UNDERSTOOD
            ),
            weight_region=weight_region,
        )

    def _weight(self, weight: OmWeight, offset: int, size: int) -> OmWeight:
        return replace(weight, offset=offset, payload=self.payload(weight.name, offset, size))

    def payload(self, name: str, offset: int, size: int) -> WeightPayload:
        """The bytes of a constant; those that several constants share are hashed once."""
        if offset < 0 or size < 0 or offset + size > len(self.region):
            raise f.OmError(
                f"weight {name!r} of {size} bytes at {offset} leaves the region of {len(self.region)} bytes",
                partition="WEIGHTS_DATA",
                offset=max(offset, 0),
            )
        if (offset, size) not in self._payloads:
            data = self.region[offset : offset + size]
            digest = _digest(data) if self.digests else ""
            self._payloads[offset, size] = WeightPayload(size, digest, lambda: data)
        return self._payloads[offset, size]


def read_parts(container: Container, number: int, digests: bool) -> Parts:
    """One model of the file, taken apart."""
    block = container.blocks[number]
    message, places = read_definition(container, number)
    try:
        attrs = read_model_attrs(message)
    except f.OmError as error:
        raise error.at(places.start(ATTR, 0)) from None
    region = block.get(f.Partition.WEIGHTS_DATA, memoryview(b""))
    if attrs.weight_size != len(region):
        raise f.OmError(
            f"weight region of {len(region)} bytes",
            partition="WEIGHTS_DATA",
            offset=len(region),
            expected=str(attrs.weight_size),
        )
    kernels, starts = read_kernels(block)
    return Parts(block, message, places, attrs, region, kernels, starts, digests)


def read_definition(container: Container, part: int = 0) -> tuple[ge.ModelDef, Places]:
    """The graph of one model of the file, attributes as they were before compression, and where its nodes begin."""
    message, places = _definition(container.blocks[part])
    dictionary, dictionary_places = message, places
    if part and f.Partition.MODEL_DEF in container.blocks[0]:  # only the first model has the dictionary
        dictionary, dictionary_places = _definition(container.blocks[0])
    try:
        expand(message, dictionary, places.starts[OP])
    except f.OmError as error:
        raise error.at(dictionary_places.start(ATTR, 0)) from None
    return message, places


def _definition(block: Block) -> tuple[ge.ModelDef, Places]:
    data = bytes(require(block, f.Partition.MODEL_DEF))
    return parse(ge.ModelDef, data, f.Partition.MODEL_DEF, (GRAPH, OP, ATTR))


def checked(
    model: OmModel, graph: Graph, tasks: Places, kernels: tuple[int, ...], first_task: int = 0
) -> OmModel:
    """The rules of every offline model; what breaks one is said with its place in the file."""
    try:
        check(model)
    except InconsistentModelError as error:
        kind, position = error.place
        if kind == "tasks":
            place = tasks.start(TASK, first_task + position)
            raise f.OmError(str(error), partition="TASK_INFO", offset=place) from error
        if kind == "kernels":
            raise f.OmError(str(error), partition="TBE_KERNELS", offset=kernels[position]) from error
        place = graph.starts.get(error.place, 0)
        raise f.OmError(str(error), partition="MODEL_DEF", offset=place) from error
    return model


def _digest(data: memoryview) -> str:
    """sha256, in pieces whose pages are given back: a file is larger than memory more often than not."""
    state = hashlib.sha256()
    for at in range(0, len(data), _HASHED_AT_ONCE):
        state.update(data[at : at + _HASHED_AT_ONCE])
        if len(data) > _HASHED_AT_ONCE:
            release(data)
    return state.hexdigest()


def read_kernels(block: Block) -> tuple[tuple[OmKernel, ...], tuple[int, ...]]:
    """The kernel images of one model and where each begins."""
    store = block.get(f.Partition.TBE_KERNELS, memoryview(b""))
    kernels: list[OmKernel] = []
    starts: list[int] = []
    at = 0
    while at < len(store):
        magic, name_size, code_size = unpack(f.KERNEL_ITEM, store, at, "TBE_KERNELS")
        if magic != f.KERNEL_MAGIC:
            raise f.OmError(
                "a kernel does not begin with its magic number", partition="TBE_KERNELS", offset=at
            )
        starts.append(at)
        start = at + f.KERNEL_ITEM.size
        if name_size + code_size > len(store) - start:
            raise f.OmError("a kernel runs past the end", partition="TBE_KERNELS", offset=at)
        name = text_of(store[start : start + name_size], "TBE_KERNELS", start)
        kernels.append(OmKernel(name, bytes(store[start + name_size : start + name_size + code_size])))
        at = start + name_size + code_size
    return tuple(kernels), tuple(starts)
