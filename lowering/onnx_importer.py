"""ONNX model → `nn` module.

The walk goes once over the nodes that the wanted outputs need. Each becomes `nn` ops through its handler
(`onnx_ops.py`), through the model's own function of that name, or through the body that ONNX itself gives
the operator. Every op carries the name of its node. Whatever cannot be imported is collected, and all of it
is reported at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import FunctionProto, GraphProto, NodeProto
from xdsl.dialects.builtin import DenseArrayBase, FunctionType, ModuleOp, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from ..dialects import dtypes, nn
from ..dialects.blobs import Blob
from ..dialects.dtypes import Array
from ..dialects.nn_attrs import LIST_INPUTS, LIST_OUTPUTS, SIZED, name_list
from ..dialects.nn_shapes import Shape, ShapeError
from ..passes.integer_ranges import VALUE_RANGE
from ..passes.provenance import location_of
from ..runtime.border import Entry
from ..runtime.errors import NO_KERNEL, NO_PARSER, NOT_LOADED, AscendError, Refusal, UnsupportedOpError
from ..runtime.om.model import SIZE_SUFFIX
from ..runtime.weights import Source, WeightStore
from . import onnx_constraints as constraints
from .onnx_constraints import RefusedError, require, requirement_of
from .onnx_file import ModelFile, read_model
from .onnx_functions import bound_body, standard_function
from .onnx_inputs import InputType, declared_shape, model_inputs
from .onnx_lists import check_values, flat_outputs, list_texts, with_tensor_inputs
from .onnx_node import Node, Value, may_be_known
from .onnx_ops import find_handler
from .onnx_tensors import source_of, sparse_array
from .onnx_texts import check_texts
from .onnx_types import InferredTypes

_MISFITS = (ShapeError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError, VerifyException)
"""What a handler may run into when attributes and operands contradict each other: a refusal, not a crash."""
_OF_SEQUENCES = frozenset(
    {
        "Identity", "If", "Loop", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt", "SequenceConstruct",
        "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "ConcatFromSequence",
    }
)  # fmt: skip
_OF_ANY_SIZE = ("Identity", "If", "TfIdfVectorizer")
"""Take tensors whose size depends on data, or say themselves why not."""
OPERAND_IS_THERE = "every operand must be computed before it is used"
NO_RECURSION = "functions must not call themselves"
_CODES = {
    requirement_of(constraints.operator_is_known): NO_PARSER,
    OPERAND_IS_THERE: NOT_LOADED,
    NO_RECURSION: NOT_LOADED,
}
"""What is not `NO_KERNEL`."""
MAX_FUNCTION_DEPTH = 32
"""Functions that call each other deeper than this are taken for a cycle."""


@dataclass(frozen=True)
class ImportedModel:
    """An `nn` module with what is needed to run it."""

    module: ModuleOp
    weights: WeightStore
    inputs: tuple[InputType, ...]
    output_names: tuple[str, ...]
    nodes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Operator type by node name, for the nodes of the main graph."""
    shapes: Mapping[str, Shape] = field(default_factory=dict[str, Shape])
    """Sizes of the tensors of the main graph; the largest possible where they depend on data."""

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.inputs)


def import_onnx(
    model: onnx.ModelProto | Path | str,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    output_names: Sequence[str] | None = None,
    input_values: Mapping[str, Array] | None = None,
    op_types: Mapping[str, str] | None = None,
) -> ImportedModel:
    """Imports a model with all sizes fixed; anything wrong with it or with the arguments is an AscendError.

    `output_names` may name any tensors of the graph (or `node:index`) to cut the model there.
    `input_values` turns inputs into constants: shapes, axes and the like that a model takes as inputs.
    `op_types` renames operators (`--op_name_map`): a custom name to the standard operator it stands for.
    """
    file = ModelFile(model) if isinstance(model, onnx.ModelProto) else read_model(Path(model))
    if op_types:
        file = replace(file, model=_renamed(file.model, op_types))
    try:
        return _import(file, input_shapes or {}, output_names, input_values or {})
    except (UnicodeError, TypeError) as error:  # protobuf hands out bytes where a name is not UTF-8
        raise AscendError(
            "E10041", f"the model is malformed: {error}", hint="download or export the model again"
        ) from error


def _import(
    file: ModelFile,
    input_shapes: Mapping[str, Sequence[int]],
    output_names: Sequence[str] | None,
    input_values: Mapping[str, Array],
) -> ImportedModel:
    opsets = _opsets(file.model)
    _check_graph(file.model)
    file, input_shapes, entries = with_tensor_inputs(file, input_shapes)
    check_values(entries, input_values)
    inputs = model_inputs(file.model.graph, input_shapes)
    importer = _Importer(file, opsets, inputs, input_values)
    importer.list_inputs = list_texts([entry for entry in entries if entry.name not in input_values])
    return importer.run(_wanted(file.model.graph, output_names))


def _renamed(model: onnx.ModelProto, op_types: Mapping[str, str]) -> onnx.ModelProto:
    """The model with other operator types; what is renamed belongs to ONNX's own operators from then on."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type in op_types:
            node.op_type = op_types[node.op_type]
            node.domain = ""
    return copy


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    versions = {item.version for item in model.opset_import if item.domain in ("", "ai.onnx")}
    if len(versions) > 1:
        found = ", ".join(map(str, sorted(versions)))
        raise AscendError(
            "E16005",
            f"the model names several versions of ONNX's own operators: {found}",
            expected="one of them",
        )
    opsets = {("" if item.domain == "ai.onnx" else item.domain): item.version for item in model.opset_import}
    opsets.setdefault("", 1 if not opsets else onnx.defs.onnx_opset_version())
    return opsets


def _check_graph(model: onnx.ModelProto) -> None:
    if not model.HasField("graph"):
        raise AscendError("E16004", "the model holds no graph", expected="an ONNX model with a graph")
    if not model.graph.output:
        raise AscendError("E16001", "the model has no outputs", expected="at least one output")
    defined = [name for node in model.graph.node for name in node.output if name]
    if len(set(defined)) != len(defined):
        twice = next(name for name in defined if defined.count(name) > 1)
        raise AscendError(
            "E10041", f"tensor {twice!r} is computed by two nodes", expected="one node per tensor"
        )


def _wanted(graph: GraphProto, names: Sequence[str] | None) -> list[str]:
    if not names:
        return [output.name for output in graph.output]
    by_node = {
        f"{node_name(node, i)}:{k}": output
        for i, node in enumerate(graph.node)
        for k, output in enumerate(node.output)
    }
    known = {output for node in graph.node for output in node.output if output}
    known |= {value.name for value in graph.input}
    unknown = [name for name in names if name not in known and name not in by_node]
    if unknown:
        raise AscendError(
            "E10016",
            f"output {unknown[0]!r} is not in the model",
            expected=f"a tensor or node:index, such as {', '.join(output.name for output in graph.output)}",
            hint=_did_you_mean(unknown[0], (*by_node, *known)),
        )
    return [name if name in known else by_node[name] for name in names]


def _did_you_mean(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else ""


def node_name(node: NodeProto, index: int) -> str:
    """A node's own name, or its operator and position."""
    return node.name or f"{node.op_type}_{index}"


@dataclass
class _Scope:
    """Names visible while a graph or function body is walked."""

    values: dict[str, Value]
    opsets: Mapping[str, int]
    outer: _Scope | None = None
    prefix: str = ""
    caller: str = ""
    """Set in bodies of ONNX's own functions: their nodes carry the name of the node they stand for."""
    depth: int = 0

    def find(self, name: str) -> Value | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return None


class _Importer:
    """State of one import; the `Builder` of its nodes."""

    def __init__(
        self,
        file: ModelFile,
        opsets: Mapping[str, int],
        all_inputs: Sequence[InputType],
        given: Mapping[str, Array],
    ) -> None:
        self.file = file
        self.graph = file.model.graph
        inputs = [item for item in all_inputs if item.name not in given]
        self.inputs = tuple(inputs)
        self.list_inputs: list[str] = []
        self.store = WeightStore()
        self.block = Block(arg_types=[nn.tensor_type(item.shape, item.dtype) for item in inputs])
        self.refusals: list[Refusal] = []
        self.functions = {(f.domain, f.name, f.overload): f for f in file.model.functions}
        self.inferred = InferredTypes(file.model, all_inputs)
        self.scope = _Scope({}, opsets)
        for item, argument in zip(inputs, self.block.args, strict=True):
            argument.name_hint = _hint(item.name)
            value = Value(item.name, item.shape, item.dtype, ssa=argument)
            if 0 in item.shape:  # no elements: known without seeing any
                value.array = np.empty(item.shape, dtypes.numpy_dtype(item.dtype))
            self.scope.values[item.name] = value
        for item in all_inputs:
            if item.name in given:
                self.scope.values[item.name] = self._given(item, given[item.name])

    def _given(self, item: InputType, array: Array) -> Value:
        """An input whose value the user fixed."""
        if array.shape != item.shape or array.dtype != dtypes.numpy_dtype(item.dtype):
            raise AscendError(
                "E10050",
                f"the value given for input {item.name!r} is {array.dtype.name}{list(array.shape)}",
                expected=f"{item.dtype}{list(item.shape)}",
            )
        value = self.constant(item.name, array)
        value.array = array
        return value

    def run(self, wanted: Sequence[str]) -> ImportedModel:
        self._walk_graph(self.graph, self.scope, wanted)
        if self.refusals:
            raise UnsupportedOpError(self.refusals)
        entries, names, results = self._results(wanted)
        values = [self.ssa(result) for result in results]
        sizes = {i: self.ssa(r.size) for i, r in enumerate(results) if r.size is not None}
        self.block.add_op(ReturnOp(*values, *sizes.values()))
        signature = FunctionType.from_lists(
            [argument.type for argument in self.block.args], [v.type for v in (*values, *sizes.values())]
        )
        main = FuncOp("main", signature, Region(self.block))
        main.attributes["input_names"] = name_list([item.name for item in self.inputs])
        main.attributes["output_names"] = name_list([*names, *(f"{names[i]}{SIZE_SUFFIX}" for i in sizes)])
        if sizes:
            main.attributes[SIZED] = name_list([names[i] for i in sizes])
        for key, texts in ((LIST_INPUTS, self.list_inputs), (LIST_OUTPUTS, list_texts(entries))):
            if texts:
                main.attributes[key] = name_list(texts)
        nodes = {node_name(node, i): node.op_type for i, node in enumerate(self.graph.node)}
        shapes = {name: value.shape for name, value in self.scope.values.items() if value.items is None}
        return ImportedModel(ModuleOp([main]), self.store, self.inputs, tuple(names), nodes, shapes)

    def _results(self, wanted: Sequence[str]) -> tuple[list[Entry], list[str], list[Value]]:
        """The model's outputs as callers see them, and the tensors that these are."""
        found: list[Value] = []
        for name in wanted:
            result = self.scope.find(name)
            if result is None:
                raise AscendError(
                    "E10041", f"no node computes the output {name!r}", expected="a complete graph"
                )
            found.append(result)
        try:
            entries, names, results = flat_outputs(wanted, found)
        except RefusedError as error:
            self._refuse(error.actual, "Output", error)
            raise UnsupportedOpError(self.refusals) from error
        if len(set(names)) < len(names):
            raise AscendError(
                "E10041", "an output has the name of an element of a list", expected="other names"
            )
        return entries, names, results

    # ------------------------------------------------------------------------------------------ graphs

    def _walk_graph(self, graph: GraphProto, scope: _Scope, wanted: Sequence[str]) -> None:
        self._bind_initializers(graph, scope)
        self._walk(list(graph.node), scope, wanted)

    def _bind_initializers(self, graph: GraphProto, scope: _Scope) -> None:
        is_main = graph is self.graph
        raw = self.file.raw if is_main else {}
        for tensor in graph.initializer:
            try:
                source = source_of(tensor, self.file.path, raw)
            except RefusedError as error:
                self._refuse(tensor.name, "initializer", error)
                scope.values[tensor.name] = Value(tensor.name, (), "f32", missing=True)
                continue
            scope.values[tensor.name] = self.weight(scope.prefix + tensor.name, source)
        for sparse in graph.sparse_initializer:
            array = sparse_array(sparse)
            scope.values[sparse.values.name] = self.constant(scope.prefix + sparse.values.name, array)

    def weight(self, key: str, source: Source) -> Value:
        """An array of the model: small ones are read now, the others when their bytes are wanted."""
        value = Value(key, source.shape, source.dtype)
        if may_be_known(source.shape, source.dtype):
            value.array = source.load()
        if value.array is not None and (not value.is_float or value.array.size == 1):
            return self.constant(key, value.array)
        value.blob = self.store.bind(self.store.fresh_key(key), source)
        return value

    def _walk(self, nodes: Sequence[NodeProto], scope: _Scope, wanted: Sequence[str]) -> None:
        needed = set(wanted)
        live: list[tuple[int, NodeProto]] = []
        for index, node in reversed(list(enumerate(nodes))):
            if needed.isdisjoint(node.output):
                continue
            live.append((index, node))
            needed.update(_reads(node))
        used = frozenset(needed)
        for index, node in reversed(live):
            self._import_node(node, self._name(node, index, scope), scope, used)

    def _name(self, node: NodeProto, index: int, scope: _Scope) -> str:
        return scope.caller or scope.prefix + node_name(node, index)

    # ------------------------------------------------------------------------------------------ nodes

    def _import_node(self, proto: NodeProto, name: str, scope: _Scope, used: frozenset[str]) -> None:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        opset = scope.opsets.get(domain, 1)
        try:
            operands = [self._operand(operand, scope) for operand in proto.input]
            attributes = {attribute.name: attribute for attribute in proto.attribute}
            node = Node(proto, name, opset, operands, _NodeBuilder(self, scope, name), used, attributes)
            outputs = self._outputs(node, domain, scope)
            if outputs is None:
                return self._skip(proto, scope)
        except RefusedError as error:
            self._refuse(name, proto.op_type, error)
            return self._skip(proto, scope)
        except _MISFITS as error:
            self._refuse(name, proto.op_type, RefusedError(requirement_of(constraints.fits), str(error)))
            return self._skip(proto, scope)
        missing = [output for output in proto.output[len(outputs) :] if output in used]
        if missing:
            _, actual = constraints.output_is_unused(missing[0], used=True)
            self._refuse(
                name, proto.op_type, RefusedError(requirement_of(constraints.output_is_unused), actual)
            )
            return self._skip(proto, scope)
        for output, value in zip(proto.output, outputs, strict=False):
            if output:
                self._bind(output, value, scope)
        return None

    def _outputs(self, node: Node, domain: str, scope: _Scope) -> Sequence[Value] | None:
        """The node's values; None where an operand is already missing."""
        proto, opset = node.proto, node.opset
        is_blind = any(operand is not None and operand.missing for operand in node.operands)
        local = self.functions.get((proto.domain, proto.op_type, proto.overload))
        if local is not None:
            return None if is_blind else self._call(node, local, scope, f"{node.name}/", "")
        for operand in node.operands:
            if operand is not None and operand.size is not None and proto.op_type not in _OF_ANY_SIZE:
                require(constraints.size_is_fixed, operand.name)
            is_list = operand is not None and (operand.items is not None or operand.absent)
            if operand is not None and is_list and proto.op_type not in _OF_SEQUENCES:
                require(constraints.no_sequence, operand.name)
        handler = find_handler(domain, proto.op_type, opset)
        if handler is not None:
            if is_blind:
                return None
            check_texts(proto, domain, node.operands)
            result = handler(node)
            return [result] if isinstance(result, Value) else result
        function = standard_function(proto, domain, opset, node.operands)
        if function is None:
            raise RefusedError(
                requirement_of(constraints.operator_is_known),
                constraints.operator_is_known(domain, proto.op_type, opset)[1],
            )
        return None if is_blind else self._call(node, function, scope, scope.prefix, node.name)

    def _operand(self, name: str, scope: _Scope) -> Value | None:
        if not name:
            return None
        value = scope.find(name)
        if value is None:
            raise RefusedError(OPERAND_IS_THERE, f"operand {name!r} is not")
        return value

    def _bind(self, output: str, value: Value, scope: _Scope) -> None:
        ssa = value.ssa
        if ssa is not None and ssa.name_hint is None:
            ssa.name_hint = _hint(output)
        scope.values[output] = value

    def _refuse(self, name: str, op_type: str, error: RefusedError) -> None:
        needed = self._inputs_behind(error.value) if error.value is not None else ()
        code = _CODES.get(error.requirement, NO_KERNEL)
        refusal = Refusal(name, op_type, error.requirement, error.actual, needed, code)
        if refusal not in self.refusals:
            self.refusals.append(refusal)

    def _inputs_behind(self, value: Value) -> tuple[str, ...]:
        """Names of the model inputs that a value is computed from."""
        found: set[int] = set()
        seen: set[SSAValue] = set()
        stack = [value.ssa] if value.ssa is not None else []
        while stack:
            item = stack.pop()
            if item in seen:
                continue
            seen.add(item)
            if isinstance(item, BlockArgument):
                found |= {item.index} if item.block is self.block else set()
            elif isinstance(item.owner, Operation):
                stack += item.owner.operands
        return tuple(self.inputs[index].name for index in sorted(found))

    def _skip(self, proto: NodeProto, scope: _Scope) -> None:
        """Goes on with typed placeholders, so that later nodes are checked too."""
        for output in proto.output:
            if output:
                scope.values[output] = self.inferred.placeholder(output, scope.outer is None)

    # ------------------------------------------------------------------------------------------ functions

    def _call(
        self, node: Node, function: FunctionProto, scope: _Scope, prefix: str, caller: str
    ) -> list[Value]:
        if scope.depth >= MAX_FUNCTION_DEPTH:
            raise RefusedError(NO_RECURSION, f"{function.name} calls itself")
        body = bound_body(function, node.attributes)
        values = {
            name: value
            for name, value in zip(function.input, node.operands, strict=False)
            if value is not None
        }
        opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in function.opset_import}
        inner = _Scope(values, {**scope.opsets, **opsets}, None, prefix, caller, scope.depth + 1)
        for name in list(function.input)[len(node.operands) :]:
            body = [_without_operand(item, name) for item in body]
        before = len(self.refusals)
        self._walk(body, inner, list(function.output))
        results = [inner.find(name) for name in function.output]
        if len(self.refusals) > before:
            return [self.inferred.placeholder(name, scope.outer is None) for name in node.proto.output]
        return _given_out(node, results)

    def subgraph(self, graph: GraphProto, scope: _Scope, name: str, values: Sequence[Value]) -> list[Value]:
        """The body of a loop with its inputs bound, or a branch of an If."""
        bound = {item.name: value for item, value in zip(graph.input, values, strict=False)}
        inner = _Scope(bound, scope.opsets, scope, f"{name}/", scope.caller, scope.depth + 1)
        wanted = [output.name for output in graph.output]
        self._walk_graph(graph, inner, wanted)
        results = [inner.find(output) for output in wanted]
        return [value for value in results if value is not None]

    # ------------------------------------------------------------------------------------------ values

    def ssa(self, value: Value) -> SSAValue:
        """The value in the IR; a constant becomes an op when first used."""
        if value.ssa is None:
            assert value.blob is not None
            op = nn.ConstantOp(value.blob)
            op.location = location_of([value.name])
            op.output.name_hint = _hint(value.name)
            _note_range(op, value)
            self.block.add_op(op)
            value.ssa = op.output
        return value.ssa

    def insert(self, op: nn.NNOp, name: str) -> Value:
        op.verify_()  # a contradiction is reported for its node, not for the finished module
        op.location = location_of([name])
        self.block.add_op(op)
        result = op.results[0]
        return Value(name, nn.shape_of(result), nn.dtype_of(result), ssa=result)

    def constant(self, name: str, array: Array) -> Value:
        """A computed constant; small ones stay known."""
        blob = self.store.add(name, array)
        value = Value(name, blob.shape, blob.dtype, blob=blob)
        value.array = array if may_be_known(blob.shape, blob.dtype) else None
        return value

    def expression(self, name: str, blob: Blob) -> Value:
        value = Value(name, blob.shape, blob.dtype, blob=blob)
        if blob.is_splat and may_be_known(blob.shape, blob.dtype):
            value.array = self.store.evaluate(blob)
        return value


@dataclass(frozen=True)
class _NodeBuilder:
    """The importer as one node sees it."""

    importer: _Importer
    scope: _Scope
    name: str

    def ssa(self, value: Value) -> SSAValue:
        return self.importer.ssa(value)

    def insert(self, op: nn.NNOp, name: str) -> Value:
        return self.importer.insert(op, name)

    def constant(self, name: str, array: Array) -> Value:
        return self.importer.constant(name, array)

    def expression(self, name: str, blob: Blob) -> Value:
        return self.importer.expression(name, blob)

    def weight(self, key: str, source: Source) -> Value:
        return self.importer.weight(key, source)

    def declared(self, name: str) -> Shape | None:
        is_main = self.scope is self.importer.scope  # names inside of functions and branches are their own
        return declared_shape(self.importer.graph, name) if is_main else None

    def subgraph(self, graph: GraphProto, values: Sequence[Value] = (), suffix: str = "") -> list[Value]:
        return self.importer.subgraph(graph, self.scope, self.name + suffix, values)


def _reads(node: NodeProto) -> set[str]:
    """Names a node reads, those captured by its branches included."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            inner = {output.name for output in graph.output}
            for item in graph.node:
                inner |= _reads(item)
            names |= inner
    return names


def _note_range(op: nn.ConstantOp, value: Value) -> None:
    """64-bit constants say between which numbers they lie: that decides whether 32 bits will do."""
    array = value.array
    if value.dtype == "i64" and array is not None and array.size and not value.is_written_out:
        op.attributes[VALUE_RANGE] = DenseArrayBase.from_list(i64, [int(array.min()), int(array.max())])


def _given_out(node: Node, results: Sequence[Value | None]) -> list[Value]:
    """A function's results in their places. One that its body leaves out may stand before one that it has, as long as
    nobody uses it."""
    found: list[Value] = []
    for index, value in enumerate(results):
        if value is None and node.uses_output(index):
            break
        found.append(value if value is not None else Value("", (), "f32", missing=True))
    return found


def _without_operand(node: NodeProto, name: str) -> NodeProto:
    """In a function body, an operand that the call leaves out is an empty name."""
    if name not in node.input:
        return node
    copy = NodeProto()
    copy.CopyFrom(node)
    operands = ["" if operand == name else operand for operand in node.input]
    del copy.input[:]
    copy.input.extend(operands)
    return copy


def _hint(name: str) -> str | None:
    """An ONNX name as an SSA name, so that a dump can be read beside the model."""
    cleaned = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    if not cleaned:
        return None
    return cleaned if not cleaned[0].isdigit() else f"v{cleaned}"
