"""What the AI CPU computes, and why: the one table behind engine `aicpu`.

An op goes there for one of two reasons. Its element type is one that no vector or cube instruction of these
chips takes (`TYPES`), or it is a kernel that no instruction could make (`KERNELS`: sizes that depend on data,
random numbers). Everything else must run on the AI Core or is refused. A new row needs a decision record that
names the missing instruction.
"""

from __future__ import annotations

from typing import Final

from xdsl.ir import Operation

from ..dialects import nn

TYPES: Final[dict[str, str]] = {
    "f64": "no vector or cube instruction takes 64-bit floats",
    "c64": "no instruction takes complex numbers",
    "c128": "no instruction takes complex numbers",
    "bf16": "no conversion instruction of these chips takes bfloat16",
    "f8e4m3fn": "no conversion instruction takes 8-bit floats",
    "f8e4m3fnuz": "no conversion instruction takes 8-bit floats",
    "f8e5m2": "no conversion instruction takes 8-bit floats",
    "f8e5m2fnuz": "no conversion instruction takes 8-bit floats",
    "f8e8m0": "no conversion instruction takes 8-bit floats",
    "f4e2m1": "no conversion instruction takes 4-bit floats",
    "i4": "no vector instruction takes integers below 8 bits",
    "u4": "no vector instruction takes integers below 8 bits",
    "i2": "no vector instruction takes integers below 8 bits",
    "u2": "no vector instruction takes integers below 8 bits",
    "i16": "no conversion instruction leads from 16-bit integers to other types",
    "u16": "no conversion instruction leads from 16-bit integers to other types",
    "u32": "32-bit vector arithmetic is signed",
    "u64": "no vector instruction takes 64-bit integers",
    "i64": "no vector instruction takes 64-bit integers, and the values are not proven to fit 32 bits",
    "str": "no instruction takes texts: what they say is no number of fixed width",
}
"""Element type → why the AI Core does not compute with it."""

KERNELS: Final[dict[str, str]] = {
    "NonZero": "the size of the result depends on data",
    "Compress": "the size of the result depends on data",
    "Unique": "the size of the result depends on data",
    "RandomUniform": "no instruction makes random numbers",
    "RandomNormal": "no instruction makes random numbers",
    "Multinomial": "no instruction makes random numbers",
    "StringConcat": "no instruction takes texts",
    "StringSplit": "no instruction takes texts, and the size of the result depends on data",
    "StringNormalizer": "no instruction takes texts, and the size of the result depends on data",
    "RegexFullMatch": "no instruction takes texts",
    "StringPositions": "no instruction takes texts",
    "ImageDecoder": "no instruction of the AI Core follows a stream of bits (Huffman, arithmetic and dictionary codes)",
}
"""Library kernel → why no kernel generator makes it, whatever the types."""

_ELEMENTWISE = {op: op.__name__.removesuffix("Op") for op in nn.ELEMENTWISE_OPS}
LIBRARY: Final[dict[type[Operation], str]] = {
    **_ELEMENTWISE,
    nn.ReduceOp: "Reduce",
    nn.ArgReduceOp: "ArgReduce",
    nn.TopKOp: "TopK",
    nn.MatMulOp: "MatMul",
}
"""Ops of level nn → library kernel. Which of these names the library has is checked when a group is lowered."""


def reason_of(op: Operation) -> str | None:
    """Why an op is left to the AI CPU; None if the AI Core must take it."""
    if isinstance(op, nn.CpuKernelOp):
        return KERNELS.get(op.kernel.data) or _type_reason(op)
    if type(op) not in LIBRARY:
        return None
    if isinstance(op, nn.CastOp):
        return _cast_reason(op)
    return _type_reason(op)


def kernel_of(op: Operation) -> str:
    """The library kernel of an op with a reason."""
    return op.kernel.data if isinstance(op, nn.CpuKernelOp) else LIBRARY[type(op)]


def _type_reason(op: Operation) -> str | None:
    values = (*op.operands, *op.results)
    if isinstance(op, nn.ArgReduceOp):
        values = (op.input,)  # positions fit 32 bits
    return next((TYPES[dtype] for dtype in map(nn.dtype_of, values) if dtype in TYPES), None)


def _cast_reason(op: nn.CastOp) -> str | None:
    """64-bit integers to and from other types are words that move (decision D13)."""
    kinds = [nn.dtype_of(value) for value in (op.input, op.output)]
    return next((TYPES[dtype] for dtype in kinds if dtype in TYPES and dtype != "i64"), None)
