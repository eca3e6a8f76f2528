"""Element types by name.

Outside xDSL the compiler speaks of element types by short names (`f16`, `i64`, `bool`, …); this module is
the one place that maps a name to its numpy type, its IR type, its ONNX code and its size. DaVinci computes
in f16 and f32 (vector, cube) and s32/s8/u8; 64-bit integers exist at model borders and in shape arithmetic. The
rest is known to the AI CPU only (`passes/ai_cpu.py`); there every element takes whole bytes, those of 2 and 4
bits too, and a text takes a slot (`runtime/texts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    BFloat16Type,
    ComplexType,
    Float4E2M1FNType,
    Float8E4M3FNType,
    Float8E4M3FNUZType,
    Float8E5M2FNUZType,
    Float8E5M2Type,
    Float8E8M0FNUType,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    Signedness,
    bf16,
    f16,
    f32,
    f64,
)
from xdsl.ir import Attribute, TypeAttribute

from ..runtime.texts import SLOT
from .text_type import StringType

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class DType:
    """One element type in its four spellings. IR integers are signless; only unsigned ones say so (`ui8`)."""

    name: str
    numpy: np.dtype[Any]
    ir: TypeAttribute
    onnx: int
    """`onnx.TensorProto.DataType`; spelled as a number because importing onnx takes 0.1 s."""

    @property
    def size(self) -> int:
        """Bytes per element in memory (bool is one byte, D13)."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return isinstance(self.ir, Float16Type | Float32Type | Float64Type | BFloat16Type | _SMALL_FLOATS)


_SMALL_FLOATS = (
    Float4E2M1FNType
    | Float8E4M3FNType
    | Float8E4M3FNUZType
    | Float8E5M2Type
    | Float8E5M2FNUZType
    | Float8E8M0FNUType
)
"""Floats of 8 bits and less."""


def _unsigned(width: int) -> IntegerType:
    return IntegerType(width, Signedness.UNSIGNED)


DTYPES: dict[str, DType] = {
    dtype.name: dtype
    for dtype in (
        DType("f16", np.dtype(np.float16), f16, 10),
        DType("f32", np.dtype(np.float32), f32, 1),
        DType("f64", np.dtype(np.float64), f64, 11),
        DType("bf16", np.dtype(ml_dtypes.bfloat16), bf16, 16),
        DType("i8", np.dtype(np.int8), IntegerType(8), 3),
        DType("u8", np.dtype(np.uint8), _unsigned(8), 2),
        DType("i16", np.dtype(np.int16), IntegerType(16), 5),
        DType("u16", np.dtype(np.uint16), _unsigned(16), 4),
        DType("i32", np.dtype(np.int32), IntegerType(32), 6),
        DType("u32", np.dtype(np.uint32), _unsigned(32), 12),
        DType("i64", np.dtype(np.int64), IntegerType(64), 7),
        DType("u64", np.dtype(np.uint64), _unsigned(64), 13),
        DType("bool", np.dtype(np.bool_), IntegerType(1), 9),
        DType("c64", np.dtype(np.complex64), ComplexType(f32), 14),
        DType("c128", np.dtype(np.complex128), ComplexType(f64), 15),
        DType("f8e4m3fn", np.dtype(ml_dtypes.float8_e4m3fn), Float8E4M3FNType(), 17),
        DType("f8e4m3fnuz", np.dtype(ml_dtypes.float8_e4m3fnuz), Float8E4M3FNUZType(), 18),
        DType("f8e5m2", np.dtype(ml_dtypes.float8_e5m2), Float8E5M2Type(), 19),
        DType("f8e5m2fnuz", np.dtype(ml_dtypes.float8_e5m2fnuz), Float8E5M2FNUZType(), 20),
        DType("u4", np.dtype(ml_dtypes.uint4), _unsigned(4), 21),
        DType("i4", np.dtype(ml_dtypes.int4), IntegerType(4), 22),
        DType("f4e2m1", np.dtype(ml_dtypes.float4_e2m1fn), Float4E2M1FNType(), 23),
        DType("f8e8m0", np.dtype(ml_dtypes.float8_e8m0fnu), Float8E8M0FNUType(), 24),
        DType("u2", np.dtype(ml_dtypes.uint2), _unsigned(2), 25),
        DType("i2", np.dtype(ml_dtypes.int2), IntegerType(2), 26),
        DType("str", SLOT, StringType(), 8),
    )
}
"""Every element type that a model may use, by name."""

_BY_IR: dict[Attribute, str] = {dtype.ir: dtype.name for dtype in DTYPES.values()}
_BY_NUMPY: dict[np.dtype[Any], str] = {dtype.numpy: dtype.name for dtype in DTYPES.values()}
_BY_ONNX: dict[int, str] = {dtype.onnx: dtype.name for dtype in DTYPES.values()}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """`f16` → `np.dtype('float16')`."""
    return DTYPES[name].numpy


def ir_type(name: str) -> TypeAttribute:
    """`bool` → `i1`."""
    return DTYPES[name].ir


def size_of(name: str) -> int:
    """Bytes per element."""
    return DTYPES[name].size


def is_float(name: str) -> bool:
    """Whether the type is a floating point type."""
    return DTYPES[name].is_float


def name_of_ir(element: Attribute) -> str:
    """`i1` → `bool`; a KeyError names a type outside the table (a verifier admits none)."""
    return _BY_IR[element]


def is_known_ir(element: Attribute) -> bool:
    """Whether an IR element type is one of the table."""
    return element in _BY_IR


@lru_cache(maxsize=64)
def name_of_numpy(dtype: npt.DTypeLike) -> str:
    """`np.float16` → `f16`."""
    return _BY_NUMPY[np.dtype(dtype)]


def name_of_onnx(code: int) -> str | None:
    """ONNX data type code → name, None if the type has no place in the compiler (6-bit floats)."""
    return _BY_ONNX.get(code)
