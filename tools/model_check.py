"""Which nodes of a model can be compiled, what computes them, why not, and what would help: without compiling it.

The model is imported, its graph is brought to groups, and each group is asked whether there is a generator for it
(`lowering/refusals.py`). Whatever is refused is collected; a node that cannot even be imported is replaced by a
placeholder and the rest is checked all the same. What only a generator finds (a tile that fits no buffer) is found
with `is_deep`, which generates every kernel.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..runtime.errors import AscendError, Refusal, UnsupportedOpError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto
    from xdsl.dialects.builtin import ModuleOp

    from ..lowering.onnx_importer import ImportedModel
    from ..lowering.pipelines import CompileOptions

BATCH_GUESS: Final = 1
IMAGE_GUESS: Final = 224
LENGTH_GUESS: Final = 128


@dataclass(frozen=True)
class NodeCheck:
    """One node. `engine` is "cube", "vector", "move" or "aicpu"; "" where nothing is left of the node on the device, or
    where the model holds nodes that cannot be imported and nothing is known beyond that."""

    name: str
    type: str
    engine: str = ""
    reason: str = ""
    requirement: str = ""
    remedy: str = ""
    code: str = ""
    """The public tool's number for the reason."""

    @property
    def is_supported(self) -> bool:
        """Whether it can be compiled."""
        return not self.reason


@dataclass(frozen=True)
class ModelCheck:
    """All nodes, in the model's order. `guessed` are sizes that were assumed for open inputs. `error` is what is wrong
    with the model as a whole."""

    name: str
    soc: str
    opset: int
    nodes: tuple[NodeCheck, ...]
    guessed: Mapping[str, tuple[int, ...]]
    error: AscendError | None = None

    @property
    def failed(self) -> tuple[NodeCheck, ...]:
        """The nodes that cannot be compiled."""
        return tuple(node for node in self.nodes if not node.is_supported)

    @property
    def is_supported(self) -> bool:
        """Whether nothing stands against compiling the model."""
        return self.error is None and not self.failed

    def by_type(self) -> list[tuple[str, int, int]]:
        """Operator type, nodes, and how many of them cannot be compiled; the worst first."""
        total = Counter(node.type for node in self.nodes)
        bad = Counter(node.type for node in self.failed)
        return sorted(
            ((kind, n, bad[kind]) for kind, n in total.items()), key=lambda row: (-row[2], -row[1], row[0])
        )


def check_file(path: Path, options: CompileOptions, *, is_deep: bool = False) -> ModelCheck:
    """Checks a model file. A file that is no model at all is an AscendError."""
    from ..lowering.onnx_file import read_model
    from ..lowering.onnx_importer import import_onnx, node_name
    from ..lowering.pipelines import rare_collections

    model = read_model(path).model
    guessed = guessed_shapes(model, options.input_shapes or {})
    options = replace(options, input_shapes={**(options.input_shapes or {}), **guessed})
    names = [node_name(node, i) for i, node in enumerate(model.graph.node)]
    refusals: list[Refusal] = []
    engines: dict[str, str] = {}
    error: AscendError | None = None
    try:
        with rare_collections():
            imported = import_onnx(
                path,
                input_shapes=options.input_shapes,
                output_names=options.output_names,
                op_types=options.op_types,
            )
            engines, refusals = _groups(imported, options)
        if is_deep and not refusals:
            refusals = _deep(path, options)
    except UnsupportedOpError as failure:
        refusals = list(failure.items)
    except AscendError as failure:
        error = failure
    found = {name: item for item in refusals for name in _names_in(item.node, names)}
    nodes = tuple(
        _node(node, name, engines.get(name, ""), found.get(name))
        for node, name in zip(model.graph.node, names, strict=True)
    )
    lost = [item for item in refusals if not any(name in found for name in _names_in(item.node, names))]
    nodes += tuple(_node_of(item) for item in lost)
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    return ModelCheck(path.name, options.soc, opset, nodes, guessed, error)


def _names_in(text: str, known: Sequence[str]) -> list[str]:
    """The nodes that a refusal is about: one name, or several of a group."""
    if text in known:
        return [text]
    parts = [part for part in text.split(", ") if part in set(known)]
    if parts:
        return parts
    outer = [name for name in known if text.startswith(f"{name}/")]  # a node of a function or branch
    return outer[:1]


def _node(proto: NodeProto, name: str, engine: str, refusal: Refusal | None) -> NodeCheck:
    kind = f"{proto.domain}::{proto.op_type}" if proto.domain not in ("", "ai.onnx") else proto.op_type
    if refusal is None:
        return NodeCheck(name, kind, engine)
    return _refused(name, kind, refusal, proto.op_type)


def _node_of(refusal: Refusal) -> NodeCheck:
    """What is refused without being a node: an input, an initialiser, an output."""
    return _refused(refusal.node, refusal.op, refusal, refusal.op)


def _refused(name: str, kind: str, item: Refusal, op_type: str) -> NodeCheck:
    return NodeCheck(name, kind, "", item.actual, item.requirement, remedy_of(item, op_type), item.code)


# --------------------------------------------------------------------------------------------- groups


def _groups(imported: ImportedModel, options: CompileOptions) -> tuple[dict[str, str], list[Refusal]]:
    """Engine by node, and the groups that no generator computes."""
    from xdsl.context import Context
    from xdsl.dialects.builtin import StringAttr

    from ..lowering.pipelines import ASCEND, border_options, load_pass, nn_passes
    from ..lowering.refusals import unsupported_groups
    from ..passes.rewriting import main_block

    options = border_options(imported, options)
    module = imported.module
    module.attributes["ascend.target"] = StringAttr(options.soc)
    for step in (*nn_passes(options), load_pass(ASCEND[0])()):
        step.apply(Context(), module)
    return _engine_by_node(module), unsupported_groups(list(main_block(module).ops))


def _deep(path: Path, options: CompileOptions) -> list[Refusal]:
    """What the generators refuse: the model is compiled, and thrown away."""
    from ..lowering.pipelines import compile_model

    try:
        compile_model(path, options)
    except UnsupportedOpError as failure:
        return list(failure.items)
    return []


def _engine_by_node(module: ModuleOp) -> dict[str, str]:
    """Engine by source node; where several kernels compute one node the busier kind is named."""
    from ..dialects import ascend
    from ..passes.rewriting import main_block

    order = ("move", "vector", "aicpu", "sort", "recurrence", "attention", "cube")
    found: dict[str, str] = {}
    for op in main_block(module).ops:
        if not isinstance(op, ascend.GroupOp):
            continue
        engine = op.engine_name.value
        for name in op.source_names:
            if name not in found or order.index(engine) > order.index(found[name]):
                found[name] = engine
    return found


# --------------------------------------------------------------------------------------------- open sizes


def guessed_shapes(model: ModelProto, given: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Sizes for inputs that the model leaves open and the user did not give: only good for a look at the operators."""
    from ..runtime.border import MARK

    weights = {tensor.name for tensor in model.graph.initializer}
    symbols: dict[str, int] = {}
    """Sizes that have a name are the same wherever the name stands."""
    values = [value for value in model.graph.input if value.name not in weights]
    for value in values:
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, given.get(value.name, ()), strict=False):
            if dim.dim_param:
                symbols[dim.dim_param] = size
    found: dict[str, tuple[int, ...]] = {}
    for value in values:
        name, tensor = value.name, value.type.tensor_type
        if value.type.HasField("sequence_type") and value.name not in given:  # a list of one
            name, tensor = f"{value.name}{MARK}0", value.type.sequence_type.elem_type.tensor_type
            found |= {} if name in given else {value.name: (1,)}
        if name in given or not tensor.HasField("shape"):
            continue
        dims = list(tensor.shape.dim)
        if all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims):
            continue
        sizes: list[int] = []
        for index, dim in enumerate(dims):
            guess = (
                dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else _guess(index, len(dims))
            )
            sizes.append(symbols.setdefault(dim.dim_param, guess) if dim.dim_param else guess)
        found[name] = tuple(sizes)
    return found


def _guess(index: int, rank: int) -> int:
    if index == 0:
        return BATCH_GUESS
    if rank == 4:
        return 3 if index == 1 else IMAGE_GUESS
    return LENGTH_GUESS


# --------------------------------------------------------------------------------------------- remedies

_NO_PARSER: Final = re.compile(r"no parser is registered for (.*)::(\d+)::(\w+)")
_REMEDIES: Final = (
    (r"depends on the data", "fix the sizes (--input_shape) and fold constants, for example with onnxsim; or cut the model"
     " in front of the node with --out_nodes and compute the rest on the host"),
    (r"element type|computes in f16", "cast to float32 or float16 in front of the node"),
    (r"sequence", "replace the sequence by Concat or Split: export without lists of tensors"),
    (r"size is fixed|open size", "give fixed sizes with --input_shape"),
    (r"load3d|outside \d+ to", "split the convolution: strides up to 63, filters and dilations up to 255"),
    (r"[Ii]ndices", "make the indices constants of the model, or gather on the host"),
    (r"multiplies f16", "leave the precision mode at force_fp16 for this node"),
    (r"finite", "replace infinite constants by -65504 or 65504"),
    (r"large|exceed|fit", "use a smaller batch or split the tensor in front of the node"),
)  # fmt: skip


def remedy_of(refusal: Refusal, op_type: str) -> str:
    """What a user can do about a refusal."""
    found = _NO_PARSER.search(refusal.actual)
    if found is not None:
        return _unknown_operator(found[1], int(found[2]), op_type)
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, f"{refusal.actual} {refusal.requirement}"):
            return remedy
    if refusal.inputs:
        return f"make {', '.join(refusal.inputs)} constants of the model"
    return "cut the model in front of the node with --out_nodes, or report the node with its shapes"


def _unknown_operator(domain: str, opset: int, op_type: str) -> str:
    from ..lowering.onnx_ops import supported_ops

    names = sorted({name for _, name, _ in supported_ops()})
    if op_type in names and domain in ("", "ai.onnx"):
        return f"export the model with an opset below {opset}"
    near = difflib.get_close_matches(op_type, names, 1, 0.75)
    if near:
        return f"if it does what {near[0]} does: --op_name_map=FILE with the line {op_type}:{near[0]}"
    if domain not in ("", "ai.onnx"):
        return "a custom operator: give it as an ONNX function in the model, or write it with ONNX's own operators"
    return "write it with other operators, or cut the model with --out_nodes and compute the rest on the host"
