"""Element types of model inputs and outputs in numpy and in the words of onnxruntime.

Types of 2 and 4 bits are held one element to a byte, as `ml_dtypes` does; a text is a slot of `texts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import ml_dtypes
import numpy as np

from .texts import SLOT

_ROWS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("f16", np.float16, "float16"),
    ("f32", np.float32, "float"),
    ("f64", np.float64, "double"),
    ("bf16", ml_dtypes.bfloat16, "bfloat16"),
    ("i8", np.int8, "int8"),
    ("u8", np.uint8, "uint8"),
    ("i16", np.int16, "int16"),
    ("u16", np.uint16, "uint16"),
    ("i32", np.int32, "int32"),
    ("u32", np.uint32, "uint32"),
    ("i64", np.int64, "int64"),
    ("u64", np.uint64, "uint64"),
    ("bool", np.bool_, "bool"),
    ("c64", np.complex64, "complex64"),
    ("c128", np.complex128, "complex128"),
    ("i4", ml_dtypes.int4, "int4"),
    ("u4", ml_dtypes.uint4, "uint4"),
    ("i2", ml_dtypes.int2, "int2"),
    ("u2", ml_dtypes.uint2, "uint2"),
    ("f4e2m1", ml_dtypes.float4_e2m1fn, "float4e2m1"),
    ("f8e4m3fn", ml_dtypes.float8_e4m3fn, "float8e4m3fn"),
    ("f8e4m3fnuz", ml_dtypes.float8_e4m3fnuz, "float8e4m3fnuz"),
    ("f8e5m2", ml_dtypes.float8_e5m2, "float8e5m2"),
    ("f8e5m2fnuz", ml_dtypes.float8_e5m2fnuz, "float8e5m2fnuz"),
    ("f8e8m0", ml_dtypes.float8_e8m0fnu, "float8e8m0"),
    ("str", SLOT, "string"),
)

NUMPY: Final[Mapping[str, np.dtype[Any]]] = {name: np.dtype(kind) for name, kind, _ in _ROWS}
"""Element type of an offline model → numpy type."""
ONNX_TYPES: Final[Mapping[str, str]] = {name: word for name, _, word in _ROWS}
"""Element type of an offline model → the word inside `tensor(…)`."""
