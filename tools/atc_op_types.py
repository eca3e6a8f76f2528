"""Operator types by the names of the public tool (`SoftmaxV2`, `MatMulV2`) and of ONNX (`Softmax`, `MatMul`): its files
name the first, models hold the second."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_SUFFIX: Final = re.compile(r"(V\d+|D)$")
_ALIASES: Final = {
    "Conv2D": ("Conv",),
    "DepthwiseConv2D": ("Conv",),
    "Conv2DTranspose": ("ConvTranspose",),
    "Conv2DBackpropInput": ("ConvTranspose",),
    "MatMul": ("MatMul", "Gemm"),
    "BatchMatMul": ("MatMul",),
    "FullyConnection": ("Gemm",),
    "Pooling": ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    "AvgPool": ("AveragePool", "GlobalAveragePool"),
    "MaxPool": ("MaxPool", "GlobalMaxPool"),
    "LayerNorm": ("LayerNormalization",),
    "BatchNorm": ("BatchNormalization",),
    "BNInference": ("BatchNormalization",),
    "InstanceNorm": ("InstanceNormalization",),
    "GroupNorm": ("GroupNormalization",),
    "RealDiv": ("Div",),
    "FastGelu": ("Gelu",),
    "Gelu": ("Gelu", "Erf"),  # exporters before opset 20 write it around an Erf
    "Swish": ("Sigmoid",),
    "Relu6": ("Clip",),
    "ClipByValue": ("Clip",),
    "ReduceMean": ("ReduceMean",),
    "Select": ("Where",),
    "ResizeBilinear": ("Resize", "Upsample"),
    "ResizeNearestNeighbor": ("Resize", "Upsample"),
    "Rsqrt": ("Sqrt", "Reciprocal"),
    "Power": ("Pow",),
    "Maximum": ("Max",),
    "Minimum": ("Min",),
    "TransData": (),
}
HIGH_PRECISION: Final = (
    "AvgPool", "Gelu", "FastGelu", "LayerNorm", "Softmax", "LogSoftmax", "Sigmoid", "Tanh", "Exp", "Sqrt", "RealDiv",
    "ReduceMean", "Mish", "LRN",
)  # fmt: skip
"""What --op_select_implmode=high_precision means when no types are listed."""


def onnx_types(name: str) -> tuple[str, ...]:
    """The ONNX operators that a type of the public tool stands for; a name without an alias stands for itself."""
    plain = _SUFFIX.sub("", name)
    return _ALIASES.get(name) or _ALIASES.get(plain) or (plain,)


def keep_entries(names: Iterable[str]) -> tuple[str, ...]:
    """Entries of `CompileOptions.keep_dtype` for operator types of either naming, each once."""
    return tuple(dict.fromkeys(f"OpType::{kind}" for name in names for kind in (*onnx_types(name), name)))
