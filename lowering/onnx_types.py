"""Types of values behind a refused node, so that the rest of the model can still be checked.

Only asked when something was refused: ONNX's own shape inference runs once over the model with the input
sizes put in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import onnx
from onnx import ValueInfoProto
from xdsl.ir import Block

from ..dialects import dtypes, nn
from .onnx_inputs import InputType
from .onnx_node import Value


class InferredTypes:
    """Value name → type, where ONNX's shape inference finds one."""

    def __init__(self, model: onnx.ModelProto, inputs: Sequence[InputType]) -> None:
        self._model = model
        self._inputs = {item.name: item for item in inputs}

    @cached_property
    def _types(self) -> dict[str, ValueInfoProto]:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for value in model.graph.input:
            if value.name in self._inputs:
                item = self._inputs[value.name]
                value.CopyFrom(
                    onnx.helper.make_tensor_value_info(item.name, dtypes.DTYPES[item.dtype].onnx, item.shape)
                )
        try:
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        except Exception:
            inferred = model.graph
        return {value.name: value for value in (*inferred.value_info, *inferred.output)}

    def placeholder(self, name: str, is_main: bool) -> Value:
        """A typed stand-in for a value that was not computed; a missing one where its type is unknown."""
        found = self._types.get(name) if is_main else None
        if found is None or not found.type.HasField("tensor_type"):
            return Value(name, (), "f32", missing=True)
        tensor = found.type.tensor_type
        dtype = dtypes.name_of_onnx(tensor.elem_type)
        dims = [dim.dim_value for dim in tensor.shape.dim]
        if dtype is None or not tensor.HasField("shape") or any(dim <= 0 for dim in dims):
            return Value(name, (), "f32", missing=True)
        stand_in = Block(arg_types=[nn.tensor_type(dims, dtype)]).args[0]
        return Value(name, tuple(dims), dtype, ssa=stand_in)
