"""`atc` mode 0: check the flags in the order the public tool does, compile, write the `.om`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..runtime.errors import AscendError
from .atc_flags import BY_NAME, PRECISION_V2, REFUSED, ParsedFlags
from .atc_shapes import parse_input_shape, parse_out_nodes

if TYPE_CHECKING:
    from ..lowering.pipelines import CompileOptions
    from ..runtime.om.model import AttrValue

DEFAULT_SOC: Final = "Ascend310P3"
ONNX: Final = "5"
MAX_PATH: Final = 4096
NOT_STORED: Final = frozenset({"output", "log", "display_model_info"})
"""Flags that do not change the model are left out of the stored command line: equal models, equal bytes."""


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
        flags.append(f"--framework={ONNX}")
    if "soc_version" not in names:
        flags.append(f"--soc_version={DEFAULT_SOC}")
    return flags


def convert(flags: ParsedFlags) -> Path:
    """Compile as the flags say; returns the path written."""
    _check_supported(flags)
    model = _check_required(flags)
    target = output_path(flags.get("output"))
    options = compile_options(flags)

    from ..lowering.pipelines import compile_model
    from ..runtime.om.writer import write_om

    compiled = compile_model(model, options)
    om = replace(compiled.om, attrs={**compiled.om.attrs, **_stored_attrs(flags)})
    write_om(om, target)
    if flags.get("display_model_info") == "1":
        from .atc_info import info_text

        print(info_text(om, target))
    return target


def _check_supported(flags: ParsedFlags) -> None:
    mode = flags.get("mode", "0")
    if mode != "0":
        raise AscendError("E10055", f"--mode={mode} is not supported yet", expected="--mode=0 or --mode=6")
    refused = flags.with_effect(REFUSED)
    if refused:
        names = ", ".join(f"--{name} ({BY_NAME[name].help})" for name in refused)
        raise AscendError(
            "E10055",
            f"not supported yet: {names}",
            expected="only flags that 'atc --help' does not mark with (x)",
            hint="leaving the flag out gives another model than it asks for, so it is not ignored",
        )
    if "precision_mode" in flags and "precision_mode_v2" in flags:
        raise AscendError(
            "E10056", "--precision_mode and --precision_mode_v2 exclude each other", hint="keep one"
        )


def _check_required(flags: ParsedFlags) -> Path:
    from ..runtime.soc import compile_target

    if "framework" not in flags:
        raise AscendError("E10007", "--framework is required", expected="--framework=5 (ONNX)")
    for name in ("soc_version", "output", "model"):
        if name not in flags:
            raise AscendError(
                "E10054",
                f"The required parameter --{name} is empty",
                expected=f"--{name}={BY_NAME[name].help.upper().split(',')[0].replace(' ', '_')}",
                hint="a value with ';' or spaces needs double quotes",
            )
    if flags.get("framework") != ONNX:
        raise AscendError(
            "E10001",
            f"Value {flags.get('framework')} for parameter --framework is not supported yet",
            expected="5 (ONNX)",
            hint="export the model to ONNX",
        )
    compile_target(flags.get("soc_version"))
    return model_path(flags.get("model"))


def model_path(text: str) -> Path:
    """The model file, which must be there and hold something."""
    path = Path(text)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise AscendError(
            "E13000", f"Value {text} for parameter --model is invalid: it {what}", expected="an ONNX file"
        )
    if not path.stat().st_size:
        raise AscendError("E10041", f"the model file {text} is empty", expected="an ONNX file")
    return path


def output_path(text: str) -> Path:
    """Where the `.om` goes; checked before the work, so that nobody waits for nothing."""
    if len(os.fsencode(text)) > MAX_PATH:
        raise AscendError("E10021", f"--output has {len(text)} characters", expected=f"at most {MAX_PATH}")
    if text.endswith(("/", os.sep)) or Path(text).name in ("", ".", ".."):
        raise AscendError("E10022", f"--output={text} holds no file name", expected="folder/name")
    target = Path(f"{text}.om")
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK) or target.is_dir():
        raise AscendError(
            "E13004",
            f"cannot write {str(target)!r}",
            expected="a path in a folder that may be written",
            hint="check --output and the permissions of its folder",
        )
    return target


def compile_options(flags: ParsedFlags) -> CompileOptions:
    """What the flags mean for the compiler."""
    from ..lowering.pipelines import CompileOptions

    formats = ("NCHW", "NCDHW", "ND")
    if flags.get("input_format", "NCHW") not in formats:
        raise AscendError(
            "E10001",
            f"Value {flags.get('input_format')} for parameter --input_format is invalid",
            expected=f"one of {', '.join(formats)} for ONNX",
        )
    v2 = flags.get("precision_mode_v2", "fp16")
    return CompileOptions(
        soc=flags.get("soc_version", DEFAULT_SOC),
        input_shapes=parse_input_shape(flags.get("input_shape")) if "input_shape" in flags else None,
        output_names=parse_out_nodes(flags.get("out_nodes")) if "out_nodes" in flags else None,
        precision=flags.get("precision_mode", PRECISION_V2[v2]),
        keep_dtype=_names_in_file("keep_dtype", flags.get("keep_dtype")) if "keep_dtype" in flags else (),
    )


def _names_in_file(flag: str, text: str) -> tuple[str, ...]:
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AscendError(
            "E10410", f"cannot read --{flag}={text}", expected="a text file, one name per line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def _stored_attrs(flags: ParsedFlags) -> dict[str, AttrValue]:
    from importlib.metadata import version

    words = [
        f"--{name}={Path(value).name if name == 'model' else value}"
        for name, value in flags.values.items()
        if name not in NOT_STORED
    ]
    return {
        "atc_version": f"ascend-mlir {version('ascend-mlir')}",
        "atc_cmdline": " ".join(["atc", *words]),
        "framework_type": flags.get("framework", ONNX),
    }
