"""Flags and files that say which operators are computed in f32: `--keep_dtype`, `--keep_original_precision`, `--modify_mixlist`,
`--customize_dtypes`, `--op_precision_mode`, `--op_select_implmode` with `--optypelist_for_implmode`.

All of them end in one thing here: names of nodes, or `OpType::` entries, that the compiler keeps in f32
(`CompileOptions.keep_dtype`), and the precision mode. Types that the cube or a window pool
computes stay f16, and a note says so; a product that is named keeps the range of f32 (`nn-convert-precision`).
"""

from __future__ import annotations

import configparser
import json
from pathlib import Path
from typing import Any, Final, cast

from ..runtime.errors import AscendError
from .atc_flag_table import PRECISION_V2
from .atc_flags import ParsedFlags
from .atc_op_types import HIGH_PRECISION, keep_entries

MIXED: Final = frozenset({"allow_mix_precision", "allow_mix_precision_fp16", "allow_mix_precision_bf16"})
F32_MODES: Final = frozenset({"high_precision", "enable_float_32_execution"})
OP_MODES: Final = frozenset(
    {"high_performance", "super_performance", "enable_hi_float_32_execution", "keep_fp16", "support_out_of_bound_index"}
)  # fmt: skip
_F16_ONLY: Final = frozenset(keep_entries(("Conv2D", "MatMul", "Gemm", "Conv2DTranspose", "Pooling")))


def precision_mode(flags: ParsedFlags) -> str:
    """The mode in the older names."""
    if "precision_mode" in flags and "precision_mode_v2" in flags:
        raise AscendError(
            "E10056", "--precision_mode and --precision_mode_v2 exclude each other", hint="keep one"
        )
    mode = flags.get("precision_mode", PRECISION_V2[flags.get("precision_mode_v2", "fp16")])
    if flags.get("op_select_implmode") == "high_precision_for_all" and mode == "force_fp16":
        return "allow_fp32_to_fp16"
    return mode


def kept_nodes(flags: ParsedFlags) -> tuple[str, ...]:
    """All that the flags ask to be kept in f32, each entry once."""
    found = [
        *_keep_dtype(flags),
        *_named(flags),
        *_mixlist(flags),
        *_customized(flags),
        *_op_modes(flags),
        *_implmode(flags),
    ]
    f16_only = [entry for entry in found if entry in _F16_ONLY]
    if f16_only:
        flags.note(
            f"{', '.join(f16_only)}: computed in f16, which is all that their unit does; the rest is kept in f32. "
            "A product whose range leaves f16 is kept by its node's name"
        )
    return tuple(dict.fromkeys(entry for entry in found if entry not in _F16_ONLY))


def text_of(flag: str, path: str, code: str = "E13001") -> str:
    """The text of a file that a flag names."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AscendError(
            code,
            f"cannot read --{flag}={path}: {reason}",
            expected="a readable text file",
            hint="check the path",
        ) from error


def json_of(flag: str, path: str) -> Any:
    """The JSON in a file that a flag names."""
    try:
        return json.loads(text_of(flag, path))
    except (ValueError, RecursionError) as error:
        raise AscendError(
            "E10032",
            f"--{flag}={path} is not JSON: {error}",
            expected="a JSON file",
            hint="check commas and quotes",
        ) from error


def _entry(word: str) -> tuple[str, ...]:
    prefix, colons, kind = word.partition("::")
    return keep_entries([kind]) if colons and prefix == "OpType" else (word,)


def _lines(flag: str, path: str) -> list[str]:
    lines = (line.split("#")[0].strip() for line in text_of(flag, path, "E10410").splitlines())
    return [line for line in lines if line]


def _keep_dtype(flags: ParsedFlags) -> list[str]:
    if "keep_dtype" not in flags:
        return []
    return [entry for line in _lines("keep_dtype", flags.get("keep_dtype")) for entry in _entry(line)]


def _named(flags: ParsedFlags) -> list[str]:
    """`--keep_original_precision="conv1;OpType::Softmax"`: the entries of `--keep_dtype` without a file."""
    if "keep_original_precision" not in flags:
        return []
    text = flags.get("keep_original_precision")
    words = [word.strip() for word in text.replace(",", ";").split(";") if word.strip()]
    if not words:
        raise AscendError(
            "E10003",
            f"Value {text} for parameter --keep_original_precision is invalid",
            expected="names of nodes, or OpType::Type, with semicolons between",
        )
    return [entry for word in words for entry in _entry(word)]


def _mixlist(flags: ParsedFlags) -> list[str]:
    """Operators put on the black list: they may not lose precision."""
    if "modify_mixlist" not in flags:
        return []
    if precision_mode(flags) not in MIXED:
        raise AscendError(
            "E10001",
            "--modify_mixlist needs a mixed precision mode",
            expected="--precision_mode=allow_mix_precision or --precision_mode_v2=mixed_float16",
        )
    path = flags.get("modify_mixlist")
    data = json_of("modify_mixlist", path)
    lists = cast("dict[str, Any]", data) if isinstance(data, dict) else {"": None}
    kept: list[str] = []
    for name, changes in lists.items():
        ok = name in ("black-list", "white-list", "gray-list") and isinstance(changes, dict)
        for action, types in cast("dict[str, Any]", changes).items() if ok else [("", None)]:
            if action not in ("to-add", "to-remove") or not isinstance(types, list):
                raise AscendError(
                    "E10003",
                    f"--modify_mixlist={path} is malformed at {name!r}",
                    expected='{"black-list": {"to-add": ["Type"], "to-remove": []}, "white-list": {…}}',
                )
            if name == "black-list" and action == "to-add":
                kept += keep_entries(str(kind) for kind in cast("list[Any]", types))
    return kept


def _customized(flags: ParsedFlags) -> list[str]:
    """`name::InputDtype:float16,float32,OutputDtype:float16`: f32 for an output keeps the operator in f32."""
    if "customize_dtypes" not in flags:
        return []
    kept: list[str] = []
    for line in _lines("customize_dtypes", flags.get("customize_dtypes")):
        head, _, types = line.partition("::") if not line.startswith("OpType::") else _type_line(line)
        _, is_there, output = types.partition("OutputDtype:")
        if not head or not is_there:
            raise AscendError(
                "E10003",
                f"--customize_dtypes has the line {line!r}",
                expected="name::InputDtype:float16,OutputDtype:float16 or OpType::Type:InputDtype:…",
            )
        wanted = {word.strip() for word in output.split(",") if word.strip()}
        if not wanted <= {"float32", "float", "float16", "fp16", "fp32"}:
            raise AscendError(
                "E10055",
                f"--customize_dtypes asks for {', '.join(sorted(wanted))}",
                expected="float16 or float32",
            )
        if wanted & {"float32", "float", "fp32"}:
            kept += _entry(head)
    return kept


def _type_line(line: str) -> tuple[str, str, str]:
    kind, colon, types = line.removeprefix("OpType::").partition(":")
    return (f"OpType::{kind}" if kind else ""), colon, types


def _op_modes(flags: ParsedFlags) -> list[str]:
    """An ini file: sections [ByOpType] and [ByNodeName], or bare `Type=mode` lines."""
    if "op_precision_mode" not in flags:
        return []
    path = flags.get("op_precision_mode")
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names are case-sensitive
    try:
        parser.read_string("[ByOpType]\n" + text_of("op_precision_mode", path))
    except configparser.Error as error:
        raise AscendError(
            "E10003", f"--op_precision_mode={path} is malformed: {error}", expected="lines Type=mode"
        ) from error
    kept: list[str] = []
    for section in parser.sections():
        for name, mode in parser.items(section):
            if mode not in F32_MODES | OP_MODES:
                raise AscendError(
                    "E10001",
                    f"--op_precision_mode has mode {mode!r} for {name}",
                    expected=", ".join(sorted(F32_MODES | OP_MODES)),
                )
            if mode in F32_MODES:
                kept += [name] if section == "ByNodeName" else keep_entries([name])
    return kept


def _implmode(flags: ParsedFlags) -> list[str]:
    """Types of --optypelist_for_implmode; without it those that high_precision means for the public tool."""
    listed = "optypelist_for_implmode" in flags
    if listed and "op_select_implmode" not in flags:
        raise AscendError(
            "E10058",
            "--optypelist_for_implmode is given without --op_select_implmode",
            expected="both, or neither",
            hint="add --op_select_implmode=high_precision or high_performance",
        )
    if flags.get("op_select_implmode") != "high_precision":
        return []
    names = (
        [word.strip() for word in flags.get("optypelist_for_implmode").split(",")]
        if listed
        else HIGH_PRECISION
    )
    return list(keep_entries(name for name in names if name))
