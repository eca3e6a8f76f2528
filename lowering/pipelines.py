"""The compiler as a list of phases, and the call that runs all of them in one process.

Read top to bottom this is the order of compilation; each entry is a pass that `ascend-opt` runs alone.
Compilation can start and stop at any level (`ascend-opt --compile-to=…`).
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
    from .fp16_ranges import RangeWarning
    from .onnx_importer import ImportedModel

NN: Final = (
    "nn-infer-shapes",
    "nn-fold-constants",
    "nn-fold-batch-norm",
    "nn-simplify",
    "nn-keep-infinities",
    "nn-narrow-types",
    "nn-form-attention",
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
    if any(op.name in ("om.model", "om.profiles") for op in top):
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
        keep_dtype: source nodes that keep the model's data type, by name or as `OpType::Relu`.
        input_types: element types of inputs by name, where they differ from the model's.
        output_types: element types of outputs by position, -1 for all that are not named.
        op_types: operators that stand for others (`--op_name_map`).
        aipp: text of an AIPP configuration; what it describes is computed on the device, before the first layer.
        without: optional passes that are left out, and "fuse-cube" and "fuse-vector" (see `SWITCHES`).
        cores: cores of the chip that kernels may use; 0: all.
        reuse_memory: whether dead tensors' bytes are used again.
        verify: verify the module after each phase.
        watch: is told of each step: phase, and pass or progress within it.
    """

    soc: str = "Ascend310P3"
    input_shapes: Mapping[str, tuple[int, ...]] | None = None
    input_values: Mapping[str, Array] | None = None
    output_names: tuple[str, ...] | None = None
    precision: str = "force_fp16"
    keep_dtype: tuple[str, ...] = ()
    input_types: Mapping[str, str] = field(default_factory=dict[str, str])
    output_types: Mapping[int, str] = field(default_factory=dict[int, str])
    op_types: Mapping[str, str] = field(default_factory=dict[str, str])
    aipp: str = ""
    without: frozenset[str] = frozenset()
    cores: int = 0
    reuse_memory: bool = True
    verify: bool = False
    name: str = ""
    watch: Callable[[str, str], None] | None = None


@dataclass(frozen=True)
class CompiledModel:
    """The offline model and what the compiler can tell about it."""

    om: OmModel
    module: ModuleOp = field(repr=False)
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    """Wall time per phase."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """What the model became: nodes, ops, groups, conversions, kernels, tasks."""
    removed: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many operators each pass of level nn took away."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]], repr=False)
    """Sizes of the source model's tensors by name."""
    strangers: tuple[str, ...] = ()
    """Names in `CompileOptions.keep_dtype` that no node of the model has."""
    warnings: tuple[RangeWarning, ...] = ()
    """Nodes that are likely to leave the range of the type they are computed in."""

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the `.om` file."""
        from ..runtime.om.writer import write_om

        write_om(self.om, Path(path))

    @cached_property
    def bytes(self) -> bytes:
        """The file's bytes."""
        from ..runtime.om.writer import om_bytes

        return om_bytes(self.om)


def load_pass(name: str) -> type[ModulePass]:
    """The class of a pass by its name."""
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
    settings = {
        "nn-convert-precision": _precision(options),
        "nn-fuse-groups": {
            "cube": "fuse-cube" not in options.without,
            "vector": "fuse-vector" not in options.without,
        },
    }
    return [load_pass(name)(**settings.get(name, {})) for name in NN if name not in options.without]


def _precision(options: CompileOptions) -> dict[str, object]:
    """Settings of nn-convert-precision; which statistics stay in f32 follows from the module's target."""
    if options.precision not in PRECISIONS:
        raise AscendError(
            "E10055", f"--precision_mode={options.precision} is not supported: {NO_PRECISION[options.precision]}",
            expected=", ".join(PRECISIONS),
        )  # fmt: skip
    return {"compute": "f16", "keep": tuple(options.keep_dtype), "keep_vector": PRECISIONS[options.precision]}


PRECISIONS: Final[Mapping[str, bool]] = {
    "force_fp16": False,
    "allow_mix_precision": False,
    "allow_mix_precision_fp16": False,
    "allow_fp32_to_fp16": True,
    "force_fp32": True,
    "cube_fp16in_fp32out": True,
}
"""Whether what the vector unit computes stays in f32.  The cube multiplies f16 in all of them: the chips that models are
compiled for have nothing else for floats."""
NO_PRECISION: Final[Mapping[str, str]] = {
    "must_keep_origin_dtype": "the cube multiplies f16 only",
    "allow_mix_precision_bf16": "the chip has no bf16",
    "allow_fp32_to_bf16": "the chip has no bf16",
    "mixed_hif8": "the chip has no hif8",
    "cube_hif8": "the chip has no hif8",
}
SWITCHES: Final[Mapping[str, str]] = {
    "nn-fold-batch-norm": "BatchNorm into the weights before it",
    "nn-form-attention": "attention in one kernel",
    "nn-split-terms": "first layers of few channels in two f16 terms",
    "ascend-split-reductions": "long reductions in several tasks",
    "ascend-prefetch-weights": "weights of later layers into L2",
    "fuse-cube": "elementwise ops into the kernel of a convolution or matmul",
    "fuse-vector": "elementwise ops and reductions into one kernel",
}
"""What a compilation can do without (`CompileOptions.without`)."""


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
    if options.watch is not None:
        options.watch("import", name)
    with rare_collections():
        imported = import_onnx(
            _source(source),
            input_shapes=options.input_shapes,
            output_names=options.output_names,
            input_values=options.input_values,
            op_types=options.op_types,
        )
        strangers = _strangers(imported, options.keep_dtype)
        options = border_options(imported, options)
        clock.mark("import")
        compiled = compile_module(imported.module, imported.weights, soc, options, name=name, clock=clock)
    counts = {"nodes": len(imported.nodes), **compiled.counts}
    return replace(compiled, counts=counts, shapes=imported.shapes, strangers=strangers)


def _strangers(imported: ImportedModel, names: Sequence[str]) -> tuple[str, ...]:
    from ..passes.provenance import node_names
    from ..passes.rewriting import main_block

    if not names:
        return ()
    known = {name for op in main_block(imported.module).ops for name in node_names(op)} | set(imported.nodes)
    return tuple(name for name in names if "::" not in name and name not in known)


def border_options(imported: ImportedModel, options: CompileOptions) -> CompileOptions:
    """Options that name things of the source model, in the terms of its module; the module's border as they ask."""
    from ..passes.nn_border_types import NNBorderTypesPass
    from ..passes.nn_insert_aipp import NNInsertAippPass
    from .onnx_inputs import check_input_names

    keep = [name for entry in options.keep_dtype for name in _nodes_of(entry, imported.nodes)]
    inputs = {name: i for i, name in enumerate(imported.input_names)}
    check_input_names(options.input_types, list(inputs), imported.nodes)
    for name in options.input_types:
        dtype = imported.inputs[inputs[name]].dtype
        if dtype not in ("f32", "f16"):
            raise AscendError(
                "E10001", f"input {name!r} holds {dtype}: it cannot be f16", expected="an input of floats"
            )
    outputs = dict.fromkeys(range(len(imported.output_names)), options.output_types.get(-1, ""))
    outputs |= options.output_types
    outputs = {index: dtype for index, dtype in outputs.items() if index >= 0 and dtype}
    passes: list[ModulePass] = []
    if options.input_types or options.output_types:
        passes.append(
            NNBorderTypesPass(
                inputs=tuple(f"{inputs[name]}:{dtype}" for name, dtype in options.input_types.items()),
                outputs=tuple(f"{index}:{dtype}" for index, dtype in outputs.items()),
            )
        )
    if options.aipp:
        _check_pictures(options, inputs)
        passes.append(NNInsertAippPass(config=options.aipp))
    _run(Context(), imported.module, passes, options.verify)
    return replace(options, keep_dtype=tuple(keep))


def _check_pictures(options: CompileOptions, inputs: Mapping[str, int]) -> None:
    """An input that AIPP feeds is bytes: it cannot be f16 as well."""
    from ..passes.aipp_config import parse_aipp

    ranks = {op.related_input_rank for op in parse_aipp(options.aipp)}
    for name in options.input_types:
        if inputs[name] in ranks:
            raise AscendError(
                "E10034", f"input {name!r} is fed by AIPP and listed in --input_fp16_nodes",
                expected="one of the two", hint="leave it out of --input_fp16_nodes: AIPP's result is f16 anyway",
            )  # fmt: skip


def _nodes_of(entry: str, nodes: Mapping[str, str]) -> list[str]:
    """`OpType::Relu` stands for all nodes of that type."""
    prefix, colons, kind = entry.partition("::")
    if prefix != "OpType" or not colons:
        return [entry]
    return [name for name, op_type in nodes.items() if op_type == kind]


@contextmanager
def rare_collections() -> Generator[None, None, None]:
    """Fewer searches for garbage: IR is full of reference cycles that live as long as the compilation: searching them for garbage every 700
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
    from ..passes.attach_target import AttachTargetPass
    from .davinci_to_om import emit_om
    from .fp16_ranges import likely_ranges, range_warnings, scale_products

    clock = clock or _Clock()
    ranges = likely_ranges(module, store)
    found: tuple[RangeWarning, ...] = ()
    clock.mark("ranges")
    context = Context()
    target = AttachTargetPass(soc=soc.name, cores=options.cores, reuse_memory=options.reuse_memory)
    target.apply(context, module)
    watch = options.watch or _nobody
    counts, removed = {"ops": _count(module, "nn.")}, Counter[str]()
    for phase, passes in (
        ("nn", nn_passes(options)),
        ("ascend", [load_pass(p)() for p in ASCEND if p not in options.without]),
        ("generate", [load_pass(p)() for p in DAVINCI]),
    ):
        for step in passes:
            watch(phase, step.name)
            before = _count(module, "nn.")
            if step.name == "nn-convert-precision":
                scale_products(module, store, ranges)
            _run(context, module, [step], options.verify)
            if phase == "nn" and step.name != "nn-fuse-groups":
                removed[step.name] += max(0, before - _count(module, "nn."))
            if step.name == "nn-convert-precision":
                found = range_warnings(module, ranges, options.keep_dtype)
        if phase == "ascend":
            counts |= {
                "groups": _count(module, "ascend.group"),
                "trans_data": _count(module, "ascend.trans_data"),
            }
        clock.mark(phase)
    kernels = machine_code(module, soc, watch)
    clock.mark("kernels")
    watch("om", "addresses and weights")
    om = emit_om(module, store, soc, kernels, name)
    clock.mark("om")
    counts |= {"kernels": len(om.kernels), "tasks": len(om.tasks)}
    return CompiledModel(om, module, clock.seconds, counts, +removed, warnings=found)


def _nobody(phase: str, step: str) -> None:
    """Watches nothing."""


def _count(module: ModuleOp, prefix: str) -> int:
    """Ops of the main function whose name begins so; constants are no ops of the model."""
    from ..passes.rewriting import main_block

    names = (op.name for op in main_block(module).ops)
    return sum(name.startswith(prefix) and name != "nn.constant" for name in names)


def machine_code(
    module: ModuleOp, soc: Soc, watch: Callable[[str, str], None] | None = None
) -> dict[str, bytes]:
    """Kernel images by name; each kernel is lowered alone and keeps its readable form in the module."""
    from ..dialects.davinci import KernelOp
    from ..passes.davinci_pipeline import lower_kernel
    from .ascend_to_davinci import sources_of_kernels
    from .refusals import Refusals

    kernels = [op for op in module.body.block.ops if isinstance(op, KernelOp)]
    refusals, sources = Refusals(), sources_of_kernels(module)
    images: dict[str, bytes] = {}
    for number, kernel in enumerate(kernels, 1):
        name = kernel.sym_name.data
        if watch is not None:
            watch("kernels", f"{number}/{len(kernels)} {name}")
        with refusals.around(kernel, sources.get(name, name)):
            images[name] = lower_kernel(kernel, soc)
    refusals.raise_all()
    return images


def encoded_module(module: ModuleOp, store: WeightStore, name: str) -> ModuleOp:
    """Level om of a module that all passes have run on (stop "code"): what `ascend-opt` does last."""
    from ..dialects.davinci import KernelOp
    from ..dialects.om import model_to_om
    from ..passes.attach_target import target_of
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
