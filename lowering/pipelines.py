"""The compiler as a list of phases, and the call that runs all of them in one process.

Read top to bottom this is the order of compilation; each entry is a pass that `ascend-opt` runs alone.
Compilation can start and stop at any level (`ascend-opt --compile-to=…`).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass, PassPipeline

from ..runtime.errors import AscendError
from ..runtime.soc import Soc, compile_target

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..dialects.dtypes import Array
    from ..dialects.nn import BlobAttr
    from ..runtime.om.model import OmModel
    from ..runtime.weights import WeightStore

NN: Final = (
    "nn-infer-shapes",
    "nn-fold-constants",
    "nn-fold-batch-norm",
    "nn-simplify",
    "nn-keep-infinities",
    "nn-narrow-types",
    "nn-decompose",
    "nn-simplify",
    "nn-convert-precision",
    "nn-simplify",
    "nn-split-terms",
    "nn-fuse-groups",
)
ASCEND: Final = (
    "convert-nn-to-ascend",
    "check-supported",
    "ascend-assign-layouts",
    "ascend-split-bias",
    "ascend-split-reductions",
    "ascend-choose-schedule",
    "ascend-prefetch-weights",
)
DAVINCI: Final = ("ascend-to-davinci",)
KERNEL: Final = (
    "davinci-double-buffer",
    "davinci-hoist-scalars",
    "davinci-allocate-buffers",
    "davinci-insert-sync",
    "davinci-materialize-state",
    "davinci-tile-rings",
    "davinci-lower-addresses",
    "davinci-reduce-strength",
    "davinci-allocate-registers",
)
MEMORY: Final = ("plan-memory",)

PIPELINES: Final[dict[str, list[str]]] = {
    "nn": list(NN),
    "nn-to-ascend": list(ASCEND),
    "ascend-to-davinci": list(DAVINCI),
    "davinci-to-code": list(KERNEL),
    "plan-memory": list(MEMORY),
}
"""Named pipelines of `ascend-opt --pipeline`."""

_STEPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("nn", NN), ("ascend", ASCEND), ("davinci", DAVINCI), ("code", (*KERNEL, *MEMORY)),
)  # fmt: skip
"""Where text can stop, and the passes that lead there; "code" is level davinci as it is encoded."""

STOPS: Final = ("nn", "ascend", "davinci", "code", "om")
"""What `ascend-opt --compile-to` takes; "om" is an emitter behind "code", no pass: it needs the weights."""


def pipeline_until(stop: str, start: str = "") -> list[str]:
    """All passes up to a stop, for a module that is at `start` ("" = imported, else what `level_of` says)."""
    names = [name for name, _ in _STEPS]
    begin = names.index(start) + 1 if start else 0
    end = len(names) if stop == "om" else names.index(stop) + 1
    return [name for _, passes in _STEPS[begin:end] for name in passes]


def level_of(module: ModuleOp) -> str:
    """The stop that a module has reached: "" when it is imported only (no groups), "nn" when it is fused."""
    from ..dialects.davinci import AllocOp, KernelOp

    top = list(module.body.block.ops)
    names = {op.name for function in top if isinstance(function, FuncOp) for op in function.walk()}
    kernels = [op for op in top if isinstance(op, KernelOp)]
    if any(op.name == "om.model" for op in top):
        return "om"
    if any(isinstance(op, AllocOp) and op.address is not None for kernel in kernels for op in kernel.walk()):
        return "code"
    if kernels:
        return "davinci"
    if any(name.startswith("ascend.") for name in names):
        return "ascend"
    return "nn" if "nn.group" in names else ""


@dataclass(frozen=True)
class CompileOptions:
    """What a user may choose.

    Args:
        soc: chip to compile for.
        input_shapes: sizes of inputs that the model leaves open.
        input_values: inputs that become constants (shapes, axes, … that a model takes as inputs).
        output_names: tensors to stop at; None: the model's outputs.
        precision: `--precision_mode` value.
        keep_dtype: source nodes that keep the model's data type.
        verify: verify the module after each phase.
    """

    soc: str = "Ascend310P3"
    input_shapes: Mapping[str, tuple[int, ...]] | None = None
    input_values: Mapping[str, Array] | None = None
    output_names: tuple[str, ...] | None = None
    precision: str = "force_fp16"
    keep_dtype: tuple[str, ...] = ()
    verify: bool = False
    name: str = ""


@dataclass(frozen=True)
class CompiledModel:
    """The offline model and what the compiler can tell about it."""

    om: OmModel
    module: ModuleOp = field(repr=False)
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the `.om` file."""
        from ..runtime.om.writer import write_om

        write_om(self.om, Path(path))

    @cached_property
    def bytes(self) -> bytes:
        """The file's bytes."""
        from ..runtime.om.writer import om_bytes

        return om_bytes(self.om)


def _load_pass(name: str) -> type[ModulePass]:
    from importlib import import_module

    from ..passes import PASSES

    module, attribute = PASSES[name]
    relative = module if module.startswith(".") else f".{module}"
    package = __name__.rpartition(".lowering.")[0] + ".passes"
    found = getattr(import_module(relative, package), attribute)
    assert issubclass(found, ModulePass)
    return found


def nn_passes(options: CompileOptions) -> list[ModulePass]:
    """The passes of level nn with the settings that follow from the options."""
    made: list[ModulePass] = []
    for name in NN:
        kind = _load_pass(name)
        if name == "nn-convert-precision":
            made.append(kind(**_precision(options)))
        else:
            made.append(kind())
    return made


def _precision(options: CompileOptions) -> dict[str, object]:
    """Settings of nn-convert-precision; which statistics stay in f32 follows from the module's target."""
    if options.precision in ("force_fp32", "must_keep_origin_dtype", "cube_fp16in_fp32out"):
        raise AscendError(
            "E10055", f"--precision_mode={options.precision} is not supported yet",
            expected="force_fp16, allow_fp32_to_fp16 or allow_mix_precision",
        )  # fmt: skip
    return {"compute": "f16", "keep": tuple(options.keep_dtype)}


class _Clock:
    """Seconds per phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def mark(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._start
        self._start = now


def compile_model(
    source: ModelProto | Path | str | bytes | PathLike[str], options: CompileOptions
) -> CompiledModel:
    """Compiles an ONNX model to an offline model; what the user can change raises AscendError."""
    from .onnx_importer import import_onnx

    soc = compile_target(options.soc)
    clock = _Clock()
    name = options.name or (Path(str(source)).stem if isinstance(source, str | Path) else "model")
    with _rare_collections():
        imported = import_onnx(
            _source(source),
            input_shapes=options.input_shapes,
            output_names=options.output_names,
            input_values=options.input_values,
        )
        clock.mark("import")
        return compile_module(imported.module, imported.weights, soc, options, name=name, clock=clock)


@contextmanager
def _rare_collections() -> Generator[None, None, None]:
    """IR is full of reference cycles that live as long as the compilation: searching them for garbage every 700
    objects, Python's default, costs a tenth of the compile time (measured on ResNet-50)."""
    thresholds = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _source(source: ModelProto | Path | str | bytes | PathLike[str]) -> ModelProto | Path:
    if isinstance(source, bytes):
        import onnx

        return onnx.load_from_string(source)
    if isinstance(source, str | PathLike):
        return Path(source)
    return source


def compile_module(
    module: ModuleOp,
    store: WeightStore,
    soc: Soc,
    options: CompileOptions,
    *,
    name: str = "model",
    clock: _Clock | None = None,
) -> CompiledModel:
    """Compiles a module at level nn."""
    from xdsl.dialects.builtin import StringAttr

    from .davinci_to_om import emit_om

    clock = clock or _Clock()
    module.attributes["ascend.target"] = StringAttr(soc.name)
    context = Context()
    _run(context, module, nn_passes(options), options.verify)
    clock.mark("nn")
    _run(context, module, [_load_pass(p)() for p in ASCEND], options.verify)
    clock.mark("ascend")
    _run(context, module, [_load_pass(p)() for p in DAVINCI], options.verify)
    clock.mark("generate")
    kernels = machine_code(module, soc)
    clock.mark("kernels")
    om = emit_om(module, store, soc, kernels, name)
    clock.mark("om")
    return CompiledModel(om, module, clock.seconds)


def machine_code(module: ModuleOp, soc: Soc) -> dict[str, bytes]:
    """Kernel images by name; each kernel is lowered alone and keeps its readable form in the module."""
    from ..dialects.davinci import KernelOp
    from ..passes.davinci_pipeline import lower_kernel
    from .ascend_to_davinci import sources_of_kernels
    from .refusals import Refusals

    kernels = [op for op in module.body.block.ops if isinstance(op, KernelOp)]
    refusals, sources = Refusals(), sources_of_kernels(module)
    images: dict[str, bytes] = {}
    for kernel in kernels:
        name = kernel.sym_name.data
        with refusals.around(kernel, sources.get(name, name)):
            images[name] = lower_kernel(kernel, soc)
    refusals.raise_all()
    return images


def encoded_module(module: ModuleOp, store: WeightStore, name: str) -> ModuleOp:
    """Level om of a module that all passes have run on (stop "code"): what `ascend-opt` does last."""
    from ..dialects.davinci import KernelOp
    from ..dialects.om import model_to_om
    from .ascend_to_davinci import target_of
    from .davinci_to_code import encode_kernel
    from .davinci_to_om import emit_om

    kernels = [op for op in module.body.block.ops if isinstance(op, KernelOp)]
    images = {kernel.sym_name.data: encode_kernel(kernel) for kernel in kernels}
    blobs: dict[str, BlobAttr] = {}
    model = emit_om(module, store, target_of(module), images, name, blobs=blobs)
    return ModuleOp([model_to_om(model, blobs)])


def _run(context: Context, module: ModuleOp, passes: Sequence[ModulePass], verify: bool) -> None:
    PassPipeline(tuple(passes)).apply(context, module)
    if verify:
        module.verify()
