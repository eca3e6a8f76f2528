"""An offline model against its source model: outputs, and each fused operator with the tensor of the source that it stands for.

The source runs in onnxruntime with every tensor as an output; the offline model runs on the simulator task by task, and
what an operator wrote is read from device memory behind its last task, in its physical format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..dialects.layouts import Format, Layout, ceil_div, default_c0
from ..dialects.nn_terms import TERMS
from ..runtime.element_types import NUMPY
from ..runtime.errors import AscendError
from ..runtime.om.model import OmDesc, OmGraphOp, OmModel, OmTensor
from ..runtime.session import describe
from ..runtime.texts import slots_of
from .model_analysis import SOURCES
from .tensor_distance import Distance, distance

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Array: TypeAlias = NDArray[Any]
F16_MAX: Final = 65504.0
_ENDLESS: Final = 1e30


CONVERSION, CAST, VIEW = "TransData", "Cast", "Reshape"
"""Operators of the offline model that hold the numbers of what they read, unless a node of the source is such a cast."""


@dataclass(frozen=True)
class LayerDistance:
    """One operator of the offline model beside a tensor of the source. Without a counterpart `distance` is None; `note`
    says why, or what had to be done to compare them."""

    name: str
    type: str
    nodes: tuple[str, ...]
    tensor: str = ""
    shape: tuple[int, ...] = ()
    distance: Distance | None = None
    note: str = ""


@dataclass(frozen=True)
class NodeRange:
    """A node of the source whose values leave fp16; `readers` are the nodes that read them."""

    node: str
    low: float
    high: float
    readers: tuple[str, ...] = ()


class Source:
    """The source model in onnxruntime."""

    def __init__(self, path: Path, *, every_tensor: bool) -> None:
        import onnx

        self.model: ModelProto = onnx.load(str(path))  # pyright: ignore[reportUnknownMemberType] - its hint is half known
        self.outputs = [output.name for output in self.model.graph.output]
        if every_tensor:
            known = set(self.outputs)
            for node in self.model.graph.node:
                for name in node.output:
                    if name and name not in known:
                        self.model.graph.output.append(onnx.ValueInfoProto(name=name))
                        known.add(name)
        self.session = _onnxruntime(self.model)

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name."""
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(None, dict(feed)), strict=True))

    @cached_property
    def _nodes(self) -> dict[str, NodeProto]:
        from ..lowering.onnx_importer import node_name

        return {node_name(node, index): node for index, node in enumerate(self.model.graph.node)}

    def tensors_of(self, node_name: str) -> list[str]:
        """What a node computes."""
        node = self._nodes.get(node_name)
        return [name for name in node.output if name] if node is not None else []

    def type_of(self, node_name: str) -> str:
        """The operator of a node."""
        node = self._nodes.get(node_name)
        return node.op_type if node is not None else ""

    def readers_of(self, tensor: str) -> list[str]:
        """The nodes that read a tensor."""
        from ..lowering.onnx_importer import node_name as name_of

        nodes = enumerate(self.model.graph.node)
        return [name_of(node, index) for index, node in nodes if tensor in node.input]


def leaving_fp16(
    source: Source, expected: Mapping[str, Array], layers: Sequence[LayerDistance]
) -> list[NodeRange]:
    """Nodes of operators that are wrong, or that nothing could be compared with, whose values fp16 does not hold.

    What a kernel computes between its operators is never in memory, so it is the source's values that are looked at.
    Infinities, and the -3.4e38 of masks, are meant to saturate.
    """
    found: dict[str, NodeRange] = {}
    for layer in layers:
        if layer.distance is not None and layer.distance.is_good():
            continue
        for node in layer.nodes:
            for tensor in source.tensors_of(node):
                values = expected.get(tensor)
                if values is None or values.dtype.kind != "f":
                    continue
                numbers = values[np.abs(values) < _ENDLESS]
                if numbers.size and np.abs(numbers).max() > F16_MAX:
                    low, high = float(numbers.min()), float(numbers.max())
                    found[node] = NodeRange(node, low, high, tuple(source.readers_of(tensor)))
    return list(found.values())


def _onnxruntime(model: ModelProto) -> Any:
    try:
        onnxruntime: Any = import_module("onnxruntime")  # it has no type hints
    except ImportError as error:
        raise AscendError(
            "E40020", "comparing needs the Python package onnxruntime", hint="pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )  # every tensor as it is stated
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its own exception types are not public
        text = str(error).strip().splitlines()[0]
        raise AscendError(
            "E10041", f"onnxruntime does not load the source model: {text}", expected="a valid model"
        ) from error


def matching_feed(om: OmModel, source: Source, feed: Mapping[str, Array]) -> dict[str, Array]:
    """The source's inputs in its own types: an offline model may take f16 where its source takes f32."""
    found: dict[str, Array] = {}
    by_name = {tensor.name: tensor for tensor in om.inputs}
    for entry in source.session.get_inputs():
        tensor = by_name.get(entry.name)
        if tensor is None:
            raise AscendError(
                "EH0001",
                f"the offline model has no input {entry.name!r}",
                expected=", ".join(by_name),
                hint="compare with the model that it was made of",
            )
        if tensor.dtype == "u8" and "uint8" not in entry.type:
            raise AscendError(
                "EH0001",
                f"input {entry.name!r} of the offline model is a picture for AIPP, {describe(tensor)}",
                expected="the type of the source model",
                hint="compare a file that is converted without --insert_op_conf, or give --source_input",
            )
        kind = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}.get(
            entry.type
        )
        found[entry.name] = feed[entry.name] if kind is None else feed[entry.name].astype(kind)
    return found


def random_feed(inputs: Sequence[OmTensor], seed: int) -> dict[str, Array]:
    """Numbers for inputs that nobody gave: small floats, zeros and ones for integers (they are valid indices)."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for tensor in inputs:
        dtype = np.dtype(NUMPY[tensor.dtype])
        if tensor.dtype == "str":
            found[tensor.name] = np.full(tensor.shape, "text", object)
        elif tensor.dtype == "u8":
            found[tensor.name] = rng.integers(0, 256, tensor.shape).astype(dtype)
        elif dtype.kind == "f":
            found[tensor.name] = rng.standard_normal(tensor.shape).astype(dtype)
        else:
            found[tensor.name] = rng.integers(0, 2, tensor.shape).astype(dtype)
    return found


def compare_layers(
    om: OmModel, source: Source, feed: Mapping[str, Array], expected: Mapping[str, Array]
) -> Iterator[LayerDistance]:
    """Runs the offline model task by task; one entry per operator that has tasks, in their order."""
    from ..runtime.sim.device import Device
    from ..runtime.soc import load_soc

    device = Device(load_soc(om.soc))
    device.load(om)
    device.write_inputs({name: slots_of(array) for name, array in feed.items()})
    last = {task.op_index: number for number, task in enumerate(om.tasks)}
    known = {tensor.name: tensor.name for tensor in om.inputs if tensor.name in feed}
    expected = {**feed, **expected}
    views = [index for index, op in enumerate(om.graph) if op.type == VIEW]
    with np.errstate(all="ignore"):
        for number, task in enumerate(om.tasks):
            device.run_task(number)
            if last[task.op_index] == number:
                while views and views[0] < task.op_index:
                    view = om.graph[views.pop(0)]
                    known[view.name] = known.get(view.inputs[0].rpartition(":")[0], "")
                yield _compared(
                    om.graph[task.op_index], device.memory.regions[0].data, source, expected, known
                )


def without_parts(layers: Sequence[LayerDistance]) -> list[LayerDistance]:
    """Operators that compute a part of what a later operator completes are not far from it: what counts is the last.

    A sum over a concatenation, for example, is computed piece by piece, and an LSTM step by step; each piece carries the
    name of the whole node.
    """
    return [_part(layer, layers[index + 1 :]) for index, layer in enumerate(layers)]


def _part(layer: LayerDistance, later: Sequence[LayerDistance]) -> LayerDistance:
    if layer.distance is None or layer.distance.is_good():
        return layer
    whole = [
        other
        for other in later
        if other.distance is not None
        and other.distance.is_good()
        and (other.tensor == layer.tensor or (layer.nodes and layer.nodes[-1] in other.nodes))
    ]
    if not whole:
        return layer
    return replace(
        layer, distance=None, note=f"a part of {whole[-1].tensor}, which {whole[-1].name} completes"
    )


def _compared(
    op: OmGraphOp, memory: Array, source: Source, expected: Mapping[str, Array], known: dict[str, str]
) -> LayerDistance:
    """`known` has the tensor that each operator before stands for, by its name, and gets this one's."""
    names = op.attrs.get(SOURCES, ())
    nodes = tuple(str(name) for name in names) if isinstance(names, tuple) else ()
    if not op.output_descs or not op.output_offsets:
        return LayerDistance(op.name, op.type, nodes)
    desc, offset = op.output_descs[0], op.output_offsets[0]
    base = LayerDistance(op.name, op.type, nodes, shape=desc.shape)
    if _is_conversion(op, nodes, source):
        read = known.get(op.inputs[0].rpartition(":")[0], "") if op.inputs else ""
        candidates = [read] if read else []
    else:
        candidates = _candidates(op, nodes, desc, source, expected)
    if not candidates:
        return replace(base, note="no tensor of the source has this size")
    found = read_tensor(memory, desc, offset)
    if found is None:
        return replace(base, tensor=candidates[0], note=f"format {desc.format} cannot be read back")
    compared = [_beside(base, desc, found, name, expected[name]) for name in candidates]
    best = next((layer for layer in compared if layer.distance and layer.distance.is_good()), compared[0])
    known[op.name] = best.tensor
    return best


def _is_conversion(op: OmGraphOp, nodes: Sequence[str], source: Source) -> bool:
    """Whether an operator holds the numbers of what it reads: it carries the names of who reads it."""
    return op.type == CONVERSION or (op.type == CAST and CAST not in map(source.type_of, nodes))


def _beside(base: LayerDistance, desc: OmDesc, found: Array, tensor: str, reference: Array) -> LayerDistance:
    """A tensor of the device beside one of the source that it may stand for."""
    layer = replace(base, tensor=tensor)
    if is_in_terms(desc, reference.shape):
        near = distance(sum_of_terms(found, reference.shape[1]), reference)
        return replace(layer, shape=reference.shape, distance=near, note="the sum of its two terms")
    if reference.size != found.size:
        return replace(base, note="no tensor of the source has this size")
    near = distance(found, reference.reshape(desc.shape))
    if reference.shape == desc.shape or near.is_good() or desc.dtype == "str":
        return replace(layer, distance=near)
    ordered = distance(np.sort(found, axis=None), np.sort(reference, axis=None))
    if not ordered.is_good():
        return replace(layer, distance=near)
    return replace(layer, distance=ordered, note="the same numbers in another order, compared by size")


def is_in_terms(desc: OmDesc, shape: Sequence[int]) -> bool:
    """Whether a tensor of the device holds a tensor of the source in two f16 terms (decision 0010): as the blocks of
    channels [h; l; h], each with or without those that fill up a block of the layout."""
    if desc.dtype != "f16" or len(desc.shape) != len(shape) or len(shape) < 2:
        return False
    c0 = default_c0(desc.dtype)
    blocks = {TERMS * shape[1], TERMS * ceil_div(shape[1], c0) * c0}
    return desc.shape[0] == shape[0] and desc.shape[1] in blocks and desc.shape[2:] == tuple(shape[2:])


def sum_of_terms(array: Array, channels: int) -> Array:
    """h + l of blocks of channels [h; l; h]."""
    block = array.shape[1] // TERMS
    wide = array.astype(np.float32)
    return wide[:, :channels] + wide[:, block : block + channels]


def _candidates(
    op: OmGraphOp, nodes: Sequence[str], desc: OmDesc, source: Source, expected: Mapping[str, Array]
) -> list[str]:
    """The tensors that an operator may stand for, the likeliest first: what its last node computes, or one before it of
    the same shape."""
    order = [op.name, *reversed(nodes)] if op.name in nodes else list(reversed(nodes))
    names = [name for node in order for name in source.tensors_of(node) if name in expected]
    count = int(np.prod(desc.shape))
    same = [n for n in names if expected[n].shape == desc.shape or is_in_terms(desc, expected[n].shape)]
    sized = [name for name in names[:1] if expected[name].size == count]
    return list(dict.fromkeys([*sized, *same]))


def read_tensor(memory: Array, desc: OmDesc, offset: int) -> Array | None:
    """A tensor of device memory as the array it stands for; None for formats of weights."""
    if desc.dtype not in NUMPY:
        return None
    data = memory[offset : offset + desc.size].copy().view(NUMPY[desc.dtype])
    if desc.format == "NHWC" and len(desc.shape) == 4:
        n, c, h, w = desc.shape
        return data[: n * h * w * c].reshape(n, h, w, c).transpose(0, 3, 1, 2)
    if desc.format in ("ND", "NCHW", "NHWC"):
        count = int(np.prod(desc.shape))
        return data[:count].reshape(desc.shape) if data.size == count else _pitched(data, desc)
    formats = {"NC1HWC0": Format.NC1HWC0, "FRACTAL_NZ": Format.FRACTAL_NZ}
    if desc.format not in formats:
        return None
    layout = Layout(formats[desc.format], default_c0(desc.dtype))
    return layout.unpack(data, desc.shape)


def _pitched(data: Array, desc: OmDesc) -> Array | None:
    """Rows with a pitch."""
    rows = int(np.prod(desc.shape[:-1]))
    if not desc.shape or not rows or data.size % rows:
        return None
    return data.reshape(rows, -1)[:, : desc.shape[-1]].reshape(desc.shape)
