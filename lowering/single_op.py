"""One operator of the public tool's operator library as a model: a descriptor → ONNX.

A descriptor (`--singleop`) names an operator by its type there (`MatMulV2`), and describes its operands and results:
element type, format, shape, value if constant. `operator_model` writes the same computation with ONNX nodes, so that
everything behind the importer is shared with models. Inputs keep the descriptor's names, shapes and types. Where a
descriptor's format is NHWC, operators on pictures are wrapped in transposes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final, cast

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ..dialects.dtypes import Array
from ..runtime.errors import AscendError

OPSET: Final = 20
FORMATS: Final = {
    "NCHW": 0,
    "NHWC": 1,
    "ND": 2,
    "NC1HWC0": 3,
    "FRACTAL_Z": 4,
    "FRACTAL_NZ": 29,
    "RESERVED": 40,
}
"""Formats by the number that file names of operators use."""
PLAIN_FORMATS: Final = ("NCHW", "NHWC", "ND", "RESERVED")
TYPES: Final[dict[str, tuple[int, int]]] = {
    "float": (0, TensorProto.FLOAT),
    "float32": (0, TensorProto.FLOAT),
    "float16": (1, TensorProto.FLOAT16),
    "fp16": (1, TensorProto.FLOAT16),
    "half": (1, TensorProto.FLOAT16),
    "int8": (2, TensorProto.INT8),
    "int32": (3, TensorProto.INT32),
    "uint8": (4, TensorProto.UINT8),
    "int16": (6, TensorProto.INT16),
    "uint16": (7, TensorProto.UINT16),
    "uint32": (8, TensorProto.UINT32),
    "int64": (9, TensorProto.INT64),
    "uint64": (10, TensorProto.UINT64),
    "double": (11, TensorProto.DOUBLE),
    "bool": (12, TensorProto.BOOL),
    "UNDEFINED": (28, TensorProto.UNDEFINED),
}
"""Element types: the number that file names of operators use, and ONNX's."""


@dataclass(frozen=True)
class TensorDesc:
    """An operand or result. `value` is set for constants."""

    name: str
    dtype: str
    format: str
    shape: tuple[int, ...]
    value: tuple[float, ...] | None = None
    group: str = ""
    """Name of the variadic operand it belongs to."""

    @property
    def is_absent(self) -> bool:
        """An optional operand that is left out."""
        return self.dtype == "UNDEFINED" or self.format == "RESERVED"

    @property
    def onnx_type(self) -> int:
        """`TensorProto.DataType`."""
        return TYPES[self.dtype][1]

    @property
    def text(self) -> str:
        """As it stands in a file name: type, format and sizes."""
        return "_".join(map(str, (TYPES[self.dtype][0], FORMATS[self.format], *self.shape)))


@dataclass(frozen=True)
class OpDesc:
    """One operator of the file."""

    type: str
    name: str
    inputs: tuple[TensorDesc, ...]
    outputs: tuple[TensorDesc, ...]
    attrs: dict[str, Any] = field(default_factory=dict[str, Any])

    def file_name(self, index: int) -> str:
        """Without suffix: the name, or position, type and descriptions."""
        return self.name or "_".join(
            [str(index), self.type, *(desc.text for desc in (*self.inputs, *self.outputs))]
        )


@dataclass
class Graph:
    """The ONNX graph of one operator while it is written."""

    op: OpDesc
    nodes: list[NodeProto] = field(default_factory=list[NodeProto])
    constants: dict[str, Array] = field(default_factory=dict[str, Array])

    def emit(self, kind: str, *operands: str, outputs: int = 1, **attrs: Any) -> str:
        """A node; its first result."""
        number = len(self.nodes)
        names = [f"{kind}_{number}_{i}" if i else f"{kind}_{number}" for i in range(outputs)]
        last = max((i for i, name in enumerate(operands) if name), default=-1)
        node_name = (
            self.op.name or self.op.type if not number else f"{self.op.name or self.op.type}/{kind}_{number}"
        )
        self.nodes.append(helper.make_node(kind, list(operands[: last + 1]), names, node_name, **attrs))
        return names[0]

    def constant(self, array: Array) -> str:
        """A constant operand."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = array
        return name

    def ints(self, values: Sequence[int]) -> str:
        """A row of numbers: axes, sizes."""
        return self.constant(np.array(values, np.int64))

    def operand(self, index: int) -> str:
        """The name of an operand, "" for one that is left out."""
        inputs = self.op.inputs
        return inputs[index].name if index < len(inputs) and not inputs[index].is_absent else ""

    def desc(self, index: int) -> TensorDesc:
        """An operand that must be there."""
        if index >= len(self.op.inputs) or self.op.inputs[index].is_absent:
            raise wrong_op(self.op, f"operand {index} is missing", f"{self.op.type} takes it")
        return self.op.inputs[index]

    def known(self, index: int, attribute: str) -> list[int]:
        """Numbers that come as a constant operand, or as an attribute in the operators of older versions."""
        if attribute in self.op.attrs:
            value = self.op.attrs[attribute]
            return [int(v) for v in flat(value)]
        desc = self.desc(index)
        if desc.value is None:
            raise wrong_op(
                self.op, f"operand {desc.name!r} is no constant", '"is_const": true with "const_value"'
            )
        return [int(v) for v in desc.value]

    def attr(self, name: str, default: Any) -> Any:
        """An attribute's value."""
        return self.op.attrs.get(name, default)

    def scalar(self, value: float, like: int = 0) -> str:
        """A number in the element type of an operand."""
        dtype = helper.tensor_dtype_to_np_dtype(self.desc(like).onnx_type)
        return self.constant(np.array(value, dtype))


def flat(value: Any) -> list[Any]:
    """A number or nested lists of numbers as one list."""
    if not isinstance(value, list | tuple):
        return [value]
    return [item for part in cast("list[Any]", value) for item in flat(part)]


def wrong_op(op: OpDesc, what: str, expected: str, code: str = "E10027") -> AscendError:
    """An error of a descriptor, with the operator it stands in."""
    return AscendError(
        code,
        f"operator {op.name or op.type!r} ({op.type}): {what}",
        expected=expected,
        hint="correct the file of --singleop",
    )


def operator_model(op: OpDesc) -> onnx.ModelProto:
    """The model of one operator: its operands are inputs (constants: initialisers), its results outputs."""
    from .single_op_table import OPERATORS

    graph = Graph(op)
    results = OPERATORS[op.type](graph)
    names = [desc.name for desc in op.outputs]
    for desc, result in zip(op.outputs, results, strict=False):
        graph.nodes.append(
            helper.make_node("Cast", [result], [desc.name], f"{desc.name}/type", to=desc.onnx_type)
        )
    made = names[: len(results)]
    present = [desc for desc in op.inputs if not desc.is_absent]
    values = {
        desc.name: np.array(desc.value, helper.tensor_dtype_to_np_dtype(desc.onnx_type)).reshape(desc.shape)
        for desc in present
        if desc.value is not None
    }
    used = {name for node in graph.nodes for name in node.input}
    proto = helper.make_graph(
        graph.nodes,
        op.name or op.type,
        [helper.make_tensor_value_info(d.name, d.onnx_type, d.shape) for d in present if d.value is None],
        [helper.make_tensor_value_info(name, op.outputs[i].onnx_type, None) for i, name in enumerate(made)],
        [numpy_helper.from_array(a, n) for n, a in {**values, **graph.constants}.items() if n in used],
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    _check_shapes(op, model)
    return model


def _check_shapes(op: OpDesc, model: onnx.ModelProto) -> None:
    """The results must have the shapes that the descriptor says."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        text = str(error).strip().splitlines()[-1]
        raise wrong_op(
            op, f"its operands do not fit: {text}", "shapes that the operator can combine"
        ) from error
    for desc, output in zip(op.outputs, inferred.graph.output, strict=False):
        dims = [dim.dim_value for dim in output.type.tensor_type.shape.dim]
        is_known = output.type.tensor_type.HasField("shape") and all(dims)
        if is_known and tuple(dims) != desc.shape and prod(dims) != 0:
            raise wrong_op(
                op,
                f"output {desc.name!r} has shape {list(desc.shape)}",
                f"{dims}, which follows from the operands",
            )
