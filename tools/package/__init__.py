"""ascend-mlir: an open compiler for Ascend NPUs and an instruction-level simulator of the DaVinci AI Core.

    import ascend_mlir

    ascend_mlir.compile("resnet18.onnx", soc_version="Ascend310P3", output="resnet18.om")
    session = ascend_mlir.InferenceSession("resnet18.om")
    (scores,) = session.run(None, {"image": image})

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from ascend_mlir.lowering.pipelines import CompiledModel
    from ascend_mlir.lowering.profiles import CompiledProfiles
    from ascend_mlir.runtime.errors import AscendError, UnsupportedOpError
    from ascend_mlir.runtime.session import InferenceSession
    from onnx import ModelProto

# The simulator multiplies small tiles, where a second BLAS thread costs more than it brings. numpy reads this
# when it is imported; whoever has set it decides.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__all__ = ["AscendError", "InferenceSession", "UnsupportedOpError", "compile"]

_LAZY = {
    "AscendError": "errors",
    "InferenceSession": "session",
    "UnsupportedOpError": "errors",
}


@overload
def compile(
    model: str | PathLike[str] | bytes | ModelProto,
    soc_version: str = "Ascend310P3",
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    output: str | PathLike[str] | None = None,
    output_names: Sequence[str] | None = None,
    precision: str = "force_fp16",
) -> CompiledModel: ...


@overload
def compile(
    model: str | PathLike[str] | bytes | ModelProto,
    soc_version: str = "Ascend310P3",
    *,
    input_shapes: Sequence[Mapping[str, Sequence[int]]],
    output: str | PathLike[str] | None = None,
    output_names: Sequence[str] | None = None,
    precision: str = "force_fp16",
) -> CompiledProfiles: ...


def compile(
    model: str | PathLike[str] | bytes | ModelProto,
    soc_version: str = "Ascend310P3",
    *,
    input_shapes: Mapping[str, Sequence[int]] | Sequence[Mapping[str, Sequence[int]]] | None = None,
    output: str | PathLike[str] | None = None,
    output_names: Sequence[str] | None = None,
    precision: str = "force_fp16",
) -> CompiledModel | CompiledProfiles:
    """Compile an ONNX model (path, bytes or message). With `output` the `.om` is written to that path too.

    `input_shapes` gives sizes to inputs that the model leaves open; a list of such mappings makes one model that
    takes all of these sizes. The result's `.om` describes the offline model and `.write(path)` writes it.
    """
    from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
    from ascend_mlir.lowering.profiles import compile_shapes

    options = CompileOptions(
        soc=soc_version,
        output_names=tuple(output_names) if output_names is not None else None,
        precision=precision,
    )
    if input_shapes is None or isinstance(input_shapes, Mapping):
        shapes = _sizes(input_shapes) if input_shapes is not None else None
        compiled = compile_model(model, replace(options, input_shapes=shapes))
    else:
        compiled = compile_shapes(model, options, list(map(_sizes, input_shapes)))
    if output is not None:
        compiled.write(output)
    return compiled


def _sizes(shapes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in shapes.items()}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ascend-mlir")
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.runtime.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
