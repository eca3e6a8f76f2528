"""What the flags of a command line require of each other and of the machine, before anything is read or compiled.

The order is the public tool's: the chip, the output, the model, then flag by flag.
"""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path
from typing import Final

from ..runtime.errors import AscendError
from .atc_content import CAFFE, MINDSPORE, OFFLINE, ONNX, TENSORFLOW, UNKNOWN, content_of
from .atc_flag_table import BY_NAME, REFUSED
from .atc_flags import ParsedFlags
from .atc_profiles import HINT, profile_choice

DEFAULT_SOC: Final = "Ascend310P3"
ONNX_FRAMEWORK: Final = "5"
MAX_PATH: Final = 4096
FRAMEWORKS: Final = {kind.framework: kind for kind in (CAFFE, MINDSPORE, TENSORFLOW, ONNX)}
FORMATS: Final = ("NCHW", "NCDHW", "ND")
FAMILIES: Final = {"Ascend310P": "Ascend310P3", "Ascend910": "Ascend910A"}
"""Names of families, given where a chip is asked for."""


def check_flags(flags: ParsedFlags) -> None:
    """Everything that can be told from the values alone."""
    profile_choice(flags)
    if HINT in flags:
        flags.note(f"--{HINT}: sizes are known when the model is compiled, a hint was not used")
    _check_refused(flags)
    _check_pairs(flags)
    _check_machine(flags)
    if flags.get("input_format", "NCHW") not in FORMATS:
        raise AscendError(
            "E10001",
            f"Value {flags.get('input_format')} for parameter --input_format is invalid",
            expected=f"one of {', '.join(FORMATS)} for ONNX",
            hint="the inputs keep the layout they have in the model",
        )


def _check_refused(flags: ParsedFlags) -> None:
    if "auto_tune_mode" in flags:
        raise AscendError(
            "E10001",
            "--auto_tune_mode was taken out of the public tool",
            expected="no such flag",
            hint="leave it out: schedules come from cost models here",
        )
    refused = flags.with_effect(REFUSED)
    if refused:
        names = ", ".join(f"--{name} ({BY_NAME[name].help})" for name in refused)
        raise AscendError(
            "E10055",
            f"not supported yet: {names}",
            expected="only flags that 'atc --help' does not mark with (x)",
            hint="leaving the flag out gives another model than it asks for, so it is not ignored",
        )


def _check_pairs(flags: ParsedFlags) -> None:
    for first, second in (("enable_compress_weight", "compress_weight_conf"),):
        if first in flags and second in flags:
            raise AscendError("E10047", f"--{first} and --{second} exclude each other", hint="keep one")
    for name, partner in (
        ("is_input_adjust_hw_layout", "input_fp16_nodes"),
        ("is_output_adjust_hw_layout", "out_nodes"),
    ):
        _check_layout(flags, name, partner)
    if flags.get("deterministic_level", "0") != "0" and flags.get("deterministic") != "1":
        raise AscendError(
            "E10058",
            "--deterministic_level needs --deterministic=1",
            expected="--deterministic=1",
            hint="add it",
        )
    if "compress_weight_conf" in flags and not Path(flags.get("compress_weight_conf")).is_file():
        raise AscendError(
            "E10410", f"--compress_weight_conf={flags.get('compress_weight_conf')} does not exist"
        )
    if "weight" in flags and flags.get("framework") != CAFFE.framework:
        flags.note("--weight: it is for Caffe models and was not used")


def _check_layout(flags: ParsedFlags, name: str, partner: str) -> None:
    from .atc_shapes import parse_names, parse_out_nodes, parse_truths

    if name not in flags:
        return
    wanted = parse_truths(name, flags.get(name))
    if partner not in flags:
        flags.note(f"--{name}: without --{partner} it has no effect")
        return
    parse = (
        parse_out_nodes(flags.get(partner))
        if partner == "out_nodes"
        else parse_names(partner, flags.get(partner))
    )
    if len(parse) != len(wanted):
        raise AscendError(
            "E10014",
            f"--{name} has {len(wanted)} values for {len(parse)} names of --{partner}",
            expected="one value per name",
        )
    if any(wanted):
        raise AscendError(
            "E10055",
            f"--{name}: inputs and outputs in NC1HWC0 are not supported yet",
            expected="false",
            hint="leave the flag out: the layout is changed on the device",
        )


def _check_machine(flags: ParsedFlags) -> None:
    for name, valid in (
        ("host_env_os", ("linux", "minios")),
        ("host_env_cpu", ("x86_64", "aarch64", "arm64", "arm")),
        ("core_type", ("AiCore", "VectorCore")),
    ):
        if name in flags and flags.get(name) not in valid:
            raise AscendError(
                "E10001",
                f"Value {flags.get(name)} for parameter --{name} is invalid",
                expected=f"one of {', '.join(valid)}",
            )
    if flags.get("core_type") == "VectorCore":
        flags.note("--core_type=VectorCore: kernels are made for the AI cores, which compute the same")
    cores_of(flags)


def cores_of(flags: ParsedFlags) -> int:
    """`--aicore_num`: "n", or "n|" as chips with one kind of core take it; 0 without the flag."""
    from ..runtime.soc import load_soc

    if "aicore_num" not in flags:
        return 0
    text = flags.get("aicore_num")
    count = text.removesuffix("|")
    most = load_soc(soc_of(flags)).cores
    if not count.isdecimal() or not 1 <= int(count) <= most:
        raise AscendError(
            "E10001",
            f"Value {text} for parameter --aicore_num is invalid",
            expected=f'1 to {most}, or "{most}|"',
        )
    return int(count)


def soc_of(flags: ParsedFlags) -> str:
    """`--soc_version`, with the prefix that users leave out."""
    from ..runtime.soc import soc_names

    name = flags.get("soc_version", DEFAULT_SOC)
    if name not in soc_names() and f"Ascend{name}" in soc_names():
        flags.note(f"--soc_version={name}: taken as Ascend{name}")
        return f"Ascend{name}"
    return name


def check_required(flags: ParsedFlags, *, needs_output: bool = True) -> Path:
    """The flags a compilation cannot do without; the model's path."""
    if "framework" not in flags:
        raise AscendError(
            "E10007",
            "The required parameter --framework is empty",
            expected="--framework=5 (ONNX)",
            hint="add it",
        )
    for name in ("soc_version", *(("output",) if needs_output else ()), "model"):
        if name not in flags:
            raise AscendError(
                "E10054",
                f"The required parameter --{name} is empty",
                expected=f"--{name}={BY_NAME[name].help.upper().split(',')[0].replace(' ', '_')}",
                hint="a value with ';' or spaces needs double quotes",
            )
    if flags.get("framework") == CAFFE.framework and "weight" not in flags:
        raise AscendError(
            "E10008", "--weight is empty and --framework is 0 (Caffe)", expected="--weight=NAME.caffemodel",
            hint="models of Caffe are not supported yet: convert the model to ONNX and give --framework=5",
        )  # fmt: skip
    check_soc(flags)
    path = model_path(flags.get("model"))
    check_content(flags, path)
    return path


def check_soc(flags: ParsedFlags) -> None:
    """The chip must be one that models can be compiled for."""
    from ..runtime.soc import compile_target, soc_names

    name = soc_of(flags)
    if name in soc_names():
        compile_target(name)
        return
    near = FAMILIES.get(name) or next(iter(difflib.get_close_matches(name, soc_names(), 1)), "")
    raise AscendError(
        "E10001",
        f"Value {name} for parameter --soc_version is invalid. Reason: there is no such chip here",
        expected=f"one of {', '.join(soc_names())}",
        hint=f"{name} is a family of chips: did you mean {near}?"
        if name in FAMILIES
        else f"did you mean {near}?",
    )


def model_path(text: str) -> Path:
    """The model file, which must be there and hold something."""
    path = Path(text)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        near = difflib.get_close_matches(path.name, _names_beside(path), 1)
        raise AscendError(
            "E13000",
            f"Value {text} for parameter --model is invalid: it {what}",
            expected="an ONNX file",
            hint=f"there is {str(path.parent / near[0])!r}" if near else "check the path",
        )
    if not path.stat().st_size:
        raise AscendError(
            "E10041",
            f"the model file {text} is empty",
            expected="an ONNX file",
            hint="download or export it again",
        )
    if not os.access(path, os.R_OK):
        raise AscendError("E13001", f"the model file {text} may not be read", hint="check its permissions")
    return path


def _names_beside(path: Path) -> list[str]:
    try:
        return [other.name for other in path.parent.iterdir() if other.is_file()]
    except OSError:
        return []


def check_content(flags: ParsedFlags, path: Path) -> None:
    """The file's content decides what it is; a number of --framework that says otherwise gets a note."""
    found = content_of(path)
    asked = FRAMEWORKS[flags.get("framework", ONNX_FRAMEWORK)]
    if found is ONNX:
        if asked is not ONNX:
            flags.note(
                f"--framework={asked.framework} means {asked.name}; the file is ONNX and was read as ONNX"
            )
        return
    if found is UNKNOWN and asked is ONNX:
        return  # its reader says what is wrong
    kind = asked if found is UNKNOWN else found
    code = "E10041" if asked is ONNX or found is OFFLINE else "E10001"
    raise AscendError(
        code,
        f"the model file {path} is {found.name}" if found is not UNKNOWN
        else f"Value {asked.framework} for parameter --framework: {asked.name} is not supported yet",
        expected="an ONNX model (--framework=5), the one format that can be compiled",
        hint=kind.remedy or "export the model to ONNX",
    )  # fmt: skip


def output_path(text: str) -> Path:
    """Where the `.om` goes; checked before the work, so that nobody waits for nothing."""
    if len(os.fsencode(text)) > MAX_PATH:
        raise AscendError("E10021", f"--output has {len(text)} characters", expected=f"at most {MAX_PATH}")
    if text.endswith(("/", os.sep)) or Path(text).name in ("", ".", ".."):
        raise AscendError("E10022", f"--output={text} holds no file name", expected="folder/name")
    target = Path(text) if text.endswith(".om") else Path(f"{text}.om")
    check_writable(target, "output")
    return target


def check_writable(target: Path, flag: str) -> None:
    """A file of that name could be made."""
    folder = target.parent
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        is_possible = folder.is_dir() and not target.is_dir()
        if is_possible:
            with tempfile.TemporaryFile(
                dir=folder
            ):  # permissions do not tell of file systems that take no files
                pass
    except OSError:  # also a name that no file system takes
        is_possible = False
    if not is_possible:
        raise AscendError(
            "E13004",
            f"cannot write {str(target)!r}",
            expected="a path in a folder that may be written",
            hint=f"check --{flag} and the permissions of its folder",
        )
