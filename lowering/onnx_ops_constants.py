"""ONNX constants."""

from __future__ import annotations

import numpy as np

from . import onnx_constraints as constraints
from .onnx_constraints import require
from .onnx_node import Node, Value
from .onnx_ops import onnx_op
from .onnx_tensors import source_of, sparse_array
from .onnx_texts import text_array


@onnx_op("Constant")
def constant(node: Node) -> Value:
    attributes = node.attributes
    if "value" in attributes:
        # some exporters keep all weights in such nodes; their tensors are named after the node's output
        return node.builder.weight(node.proto.output[0], source_of(attributes["value"].t, None, {}))
    if "value_float" in attributes:
        return node.constant(np.array(attributes["value_float"].f, np.float32))
    if "value_floats" in attributes:
        return node.constant(np.array(attributes["value_floats"].floats, np.float32))
    if "value_int" in attributes:
        return node.constant(np.array(attributes["value_int"].i, np.int64))
    if "value_ints" in attributes:
        return node.constant(np.array(attributes["value_ints"].ints, np.int64))
    if "value_string" in attributes or "value_strings" in attributes:
        return node.constant(text_array(next(iter(attributes.values()))))
    if "sparse_value" in attributes:
        return node.constant(sparse_array(attributes["sparse_value"].sparse_tensor))
    require(constraints.tensors_only, ", ".join(attributes) or "value")
    raise AssertionError
