"""What the ascend level means, on bytes: every value is its packed buffer, so a wrong view or pack shows as
wrong numbers.

Groups unpack their operands, run their body with the semantics of `nn` and pack the result; views reinterpret
bytes; TransData is unpack and pack. Padding of results is zero, as the chip must leave it (decision D9).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from ...dialects import ascend, dtypes, nn
from ...dialects.dtypes import Array
from ..weights import WeightStore
from .nn import run_block


def to_bytes(array: Array, value: SSAValue) -> Array:
    """A logical array as the buffer of a value's type."""
    return np.ascontiguousarray(ascend.layout_of(value).pack(array)).reshape(-1).view(np.uint8)


def from_bytes(data: Array, value: SSAValue) -> Array:
    """The logical array in a buffer, which may be longer than the tensor."""
    numpy_type = dtypes.numpy_dtype(ascend.dtype_of(value))
    elements = data[: ascend.bytes_of(value)].view(numpy_type)
    return ascend.layout_of(value).unpack(elements, ascend.shape_of(value))


def run_module(
    module: ModuleOp, inputs: Mapping[str, Array] | Sequence[Array], store: WeightStore
) -> list[Array]:
    """The model's outputs; inputs by name or in order."""
    main = next(op for op in module.ops if isinstance(op, FuncOp) and op.sym_name.data == "main")
    if isinstance(inputs, Mapping):
        inputs = [inputs[name.data] for name in main.attributes["input_names"]]  # type: ignore[attr-defined]
    block = main.body.block
    last_use = {operand: op for op in block.ops for operand in op.operands}
    env: dict[SSAValue, Array] = {}
    for arg, array in zip(block.args, inputs, strict=True):
        env[arg] = to_bytes(array, arg)
    for op in block.ops:
        if isinstance(op, ReturnOp):
            return [from_bytes(env[value], value) for value in op.operands]
        env[op.results[0]] = _run(op, [env[v] for v in op.operands], store)
        for value in set(op.operands):
            if last_use[value] is op:
                del env[value]
    raise ValueError("expected a return at the end of the function")


def _run(op: Operation, operands: list[Array], store: WeightStore) -> Array:
    match op:
        case nn.ConstantOp():
            return np.ascontiguousarray(store.evaluate(op.blob)).reshape(-1).view(np.uint8)
        case ascend.GroupOp():
            arrays = [from_bytes(data, v) for data, v in zip(operands, op.inputs, strict=True)]
            return to_bytes(run_block(op.body.block, arrays, store)[0], op.outputs[0])
        case ascend.TransDataOp():
            return to_bytes(from_bytes(operands[0], op.source), op.result)
        case ascend.ViewOp() | ascend.CopyOp():
            return operands[0]
        case ascend.SliceViewOp():
            return operands[0][op.byte_offset :]
        case ascend.ConcatViewOp():
            out = np.zeros(ascend.bytes_of(op.result), np.uint8)
            for data, piece, offset in zip(operands, op.pieces, op.byte_offsets, strict=True):
                out[offset : offset + ascend.bytes_of(piece)] = data[: ascend.bytes_of(piece)]
            return out
        case _:
            raise ValueError(f"expected an op of the ascend level, got {op.name}")
