"""What every `nn` op means, in numpy: the reference that folding, tests and translation validation share.

16-bit floats are computed in f32 and rounded once per op; everything else in its own type. This is meaning,
not the machine's arithmetic: the simulator rounds per instruction and reduces in its own order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from ...dialects import dtypes, nn
from ...dialects.dtypes import Array
from ...passes.ai_cpu import kernel_of, reason_of
from ..aicpu.definition import TensorSpec
from ..aicpu.library import KERNELS
from ..texts import SLOT
from ..weights import WeightStore
from . import nn_elementwise, nn_move, nn_roots

Semantics: TypeAlias = Callable[..., Array]
"""Operand arrays by position, properties by name → result. Free result shapes arrive as `result_shape`."""

SEMANTICS: dict[type[Operation], Semantics] = {
    **nn_elementwise.SEMANTICS,
    **nn_roots.SEMANTICS,
    **nn_move.SEMANTICS,
}
"""The ops with one meaning; `nn.cpu_kernel` means what the library's kernel of its name does."""


def evaluate(op: nn.NNOp, operands: Sequence[Array]) -> Array:
    """One op on arrays."""
    attrs: dict[str, Any] = dict(op.values)
    if op.RESULT_SHAPE_IS_FREE:
        attrs["result_shape"] = nn.shape_of(op.results[0])
    result_type = dtypes.numpy_dtype(nn.dtype_of(op.results[0]))
    if isinstance(op, nn.CastOp):
        if reason_of(op) is not None:  # types that numpy has no rules for: what the library does
            spec = TensorSpec(nn.dtype_of(op.output), nn.shape_of(op.output))
            return KERNELS["Cast"].compute(operands, {}, (spec,))[0]
        return nn_elementwise.cast(operands[0], result_type)
    if isinstance(op, nn.BitCastOp):
        return np.ascontiguousarray(operands[0]).view(result_type).reshape(operands[0].shape)
    is_text = any(array.dtype == SLOT for array in operands) and reason_of(op) is not None
    if isinstance(op, nn.CpuKernelOp) or is_text:
        return _library_kernel(op, operands)
    wide = [_widened(array) for array in operands]
    with np.errstate(all="ignore"):
        result = np.asarray(SEMANTICS[type(op)](*wide, **attrs))
        return result if result.dtype == result_type else result.astype(result_type)


def _library_kernel(op: nn.NNOp, operands: Sequence[Array]) -> Array:
    """The result in a space of the result's type: what a size that depends on data leaves free is zero."""
    spec = TensorSpec(nn.dtype_of(op.results[0]), nn.shape_of(op.results[0]))
    settings = {name: value for name, value in op.values.items() if name != "kernel"}
    with np.errstate(all="ignore"):
        (result,) = KERNELS[kernel_of(op)].compute(operands, settings, (spec,))
    if result.shape == spec.shape:
        return result
    space = np.zeros(spec.shape, result.dtype)
    space.reshape(-1)[: result.size] = result.reshape(-1)
    return space


def _widened(array: Array) -> Array:
    is_half = array.dtype.itemsize == 2 and array.dtype.kind not in "iu"
    return array.astype(np.float32) if is_half else array


def run_block(block: Block, inputs: Sequence[Array], store: WeightStore) -> list[Array]:
    """A straight-line block on arrays; a value is freed after its last use."""
    last_use = {operand: op for op in block.ops for operand in op.operands}
    env: dict[SSAValue, Array] = dict(zip(block.args, inputs, strict=True))
    for op in block.ops:
        operands = [env[value] for value in op.operands]
        if isinstance(op, nn.YieldOp | ReturnOp):
            return operands
        for value, result in zip(op.results, _run(op, operands, store), strict=True):
            env[value] = result
        for value in set(op.operands):
            if last_use[value] is op:
                del env[value]
    raise ValueError("expected a terminator at the end of the block")


def _run(op: Operation, operands: Sequence[Array], store: WeightStore) -> list[Array]:
    if isinstance(op, nn.ConstantOp):
        return [store.evaluate(op.blob)]
    if isinstance(op, nn.GroupOp):
        return run_block(op.body.block, operands, store)
    if isinstance(op, nn.NNOp):
        return [evaluate(op, operands)]
    raise ValueError(f"expected an op of the nn level, got {op.name}")


def run_module(
    module: ModuleOp, inputs: Mapping[str, Array] | Sequence[Array], store: WeightStore
) -> list[Array]:
    """The model's outputs; inputs by name or in order."""
    main = next(op for op in module.ops if isinstance(op, FuncOp) and op.sym_name.data == "main")
    if isinstance(inputs, Mapping):
        inputs = [inputs[name.data] for name in main.attributes["input_names"]]  # type: ignore[attr-defined]
    return run_block(main.body.block, inputs, store)
