"""`atc` mode 0: check the flags in the order the public tool does, compile, write the `.om`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..runtime.errors import AscendError
from .atc_checks import DEFAULT_SOC, ONNX_FRAMEWORK, check_flags, check_required, output_path
from .atc_flags import ParsedFlags
from .atc_options import compile_options
from .atc_profiles import ProfileChoice, profile_choice
from .atc_progress import QUIET, formats_of, profiles_text, summary_text, watching
from .atc_side_files import check_side_files, write_side_files

if TYPE_CHECKING:
    from ..lowering.pipelines import CompiledModel, CompileOptions
    from ..runtime.om.model import AttrValue, OmModel
    from ..runtime.om.profiles import OmProfiles
    from .atc_progress import Progress

NOT_STORED: Final = frozenset(
    {
        "output", "log", "display_model_info", "check_report", "json", "mode", "save_original_model", "op_debug_level",
        "debug_dir", "export_compile_stat",
    }
)  # fmt: skip
"""Flags that do not change the model are left out of the stored command line: equal models, equal bytes."""
FILES: Final = frozenset(
    {
        "model", "weight", "insert_op_conf", "op_name_map", "keep_dtype", "modify_mixlist", "customize_dtypes",
        "op_precision_mode", "fusion_switch_file", "compress_weight_conf", "singleop",
    }
)  # fmt: skip
"""Flags that name files: the folder they were in does not change the model either."""

MOST_WARNINGS: Final = 8
"""Nodes that are told of one by one."""


def expand_convert(words: Sequence[str]) -> list[str]:
    """`atc convert MODEL.onnx [flags]` as an ordinary command line: framework, output, SoC have defaults."""
    flags: list[str] = []
    models: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            models.append(word)
            continue
        flags.append(word)
        if "=" not in word and word not in ("--help", "--h"):
            flags += [value for value in [next(rest, None)] if value is not None]
    if len(models) > 1:
        raise AscendError("E10014", f"atc convert takes one model, got {', '.join(models)}")
    names = {flag.lstrip("-").partition("=")[0].replace("-", "_") for flag in flags if flag.startswith("-")}
    if models:
        flags.insert(0, f"--model={models[0]}")
        if "output" not in names:
            flags.append(f"--output={Path(models[0]).with_suffix('')}")
    if "framework" not in names:
        flags.append(f"--framework={ONNX_FRAMEWORK}")
    if "soc_version" not in names:
        flags.append(f"--soc_version={DEFAULT_SOC}")
    return flags


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote: the file, what is in it, and the compiled model, or the model of each profile."""

    target: Path
    om: OmModel | OmProfiles
    models: tuple[CompiledModel, ...]


def convert(flags: ParsedFlags, *, is_silent: bool = False) -> Conversion:
    """Compiles as the flags say. `is_silent`: nothing goes to standard output."""
    model = check_required(flags)
    check_flags(flags)
    target = output_path(flags.get("output"))
    check_side_files(flags)
    options = compile_options(flags)

    from ..runtime.om.writer import write_om

    with watching(flags) as progress:
        done = _compiled(flags, model, replace(options, watch=progress), target)
        strangers = done.models[0].strangers
        if strangers:
            flags.note(
                f"{', '.join(strangers)}: no node of the model has that name; nothing is kept in f32 for it"
            )
        progress("latency", "timing model")
        is_short = is_silent or flags.get("log", "info") in QUIET
        summary = "" if is_short else _summary(done, progress)
        progress("write", target.name)
        write_om(done.om, target)
        write_side_files(flags, done.models)
        progress.done()
    note_ranges(flags, done.models[-1])
    if flags.get("save_original_model").lower() == "true":
        save_original(model, options, target)
    if flags.get("display_model_info") == "1" and not is_silent:
        from .atc_info import info_text

        print(info_text(done.om, target))
    if summary:
        print(summary)
    return done


def _compiled(flags: ParsedFlags, model: Path, options: CompileOptions, target: Path) -> Conversion:
    from ..lowering.pipelines import compile_model

    choice = profile_choice(flags)
    if choice is not None:
        return _compiled_profiles(flags, model, options, target, choice)
    compiled = compile_model(model, options)
    om = replace(compiled.om, attrs={**compiled.om.attrs, **stored_attrs(flags)})
    return Conversion(target, om, (compiled,))


def _compiled_profiles(
    flags: ParsedFlags, model: Path, options: CompileOptions, target: Path, choice: ProfileChoice
) -> Conversion:
    from ..lowering.profiles import compile_profiles

    compiled = compile_profiles(model, options, choice.kind, choice.sizes, choice.order, choice.shapes)
    stored = stored_attrs(flags)
    branches = tuple(replace(branch, attrs={**branch.attrs, **stored}) for branch in compiled.om.branches)
    models = tuple(replace(model, om=om) for model, om in zip(compiled.models, branches, strict=True))
    return Conversion(target, replace(compiled.om, branches=branches), models)


def _summary(done: Conversion, progress: Progress) -> str:
    from ..runtime.om.model import OmModel

    if isinstance(done.om, OmModel):
        return summary_text(done.models[0], done.om, done.target, progress)
    return profiles_text(done.om, done.target, progress)


def conversion_json(done: Conversion) -> dict[str, object]:
    """What the summary says, for scripts; of several profiles a list, each with its sizes."""
    from ..runtime.om.model import OmModel

    seconds = {
        phase: sum(model.seconds.get(phase, 0.0) for model in done.models) for phase in done.models[0].seconds
    }
    found: dict[str, object] = {"output": str(done.target)}
    if isinstance(done.om, OmModel):
        return {**found, **_model_json(done.om, done.models[0]), "seconds": seconds}
    profiles = [
        {"sizes": list(sizes), **_model_json(om, compiled)}
        for sizes, om, compiled in zip(done.om.sizes, done.om.branches, done.models, strict=True)
    ]
    kind = {"kind": done.om.kind, "inputs": list(done.om.order)}
    return {**found, "soc_version": done.om.branches[0].soc, **kind, "profiles": profiles, "seconds": seconds}


def _model_json(om: OmModel, compiled: CompiledModel) -> dict[str, object]:
    from ..runtime.profiling import task_cycles
    from ..runtime.soc import load_soc

    cycles = sum(task_cycles(om))
    return {
        "soc_version": om.soc,
        **compiled.counts,
        "ai_cpu_tasks": sum(task.is_ai_cpu for task in om.tasks),
        "formats": formats_of(om),
        "weight_size": om.weight_size,
        "memory_size": om.memory_size,
        "cycles": cycles,
        "latency_us": load_soc(om.soc).microseconds(cycles),
    }


def note_ranges(flags: ParsedFlags, compiled: CompiledModel) -> None:
    """A line for each node that is likely to leave fp16, the first of many."""
    found = compiled.warnings
    for warning in found[:MOST_WARNINGS]:
        flags.note(str(warning))
    if len(found) > MOST_WARNINGS:
        names = ", ".join(repr(warning.node) for warning in found[MOST_WARNINGS:])
        flags.note(f"{len(found) - MOST_WARNINGS} more nodes are likely to leave fp16: {names}")
    if found:
        flags.note(
            "these ranges are estimated from the weights for inputs of mean 0 and deviation 1; "
            "atc precision-compare --layer_level measures them with your inputs"
        )


def save_original(model: Path, options: CompileOptions, target: Path) -> None:
    """The graph as it was imported, at level nn, beside the `.om`."""
    from ..lowering.onnx_importer import import_onnx

    imported = import_onnx(
        model, input_shapes=options.input_shapes, output_names=options.output_names, op_types=options.op_types
    )
    target.with_name(f"{target.stem}_original.mlir").write_text(str(imported.module) + "\n", encoding="utf-8")


def stored_attrs(flags: ParsedFlags) -> dict[str, AttrValue]:
    """Model attributes that say how the file was made."""
    from importlib.metadata import version

    words = [
        f"--{name}={Path(value).name if name in FILES else value}"
        for name, value in flags.values.items()
        if name not in NOT_STORED
    ]
    return {
        "atc_version": f"ascend-mlir {version('ascend-mlir')}",
        "atc_cmdline": " ".join(["atc", *words]),
        "framework_type": ONNX_FRAMEWORK,
    }
