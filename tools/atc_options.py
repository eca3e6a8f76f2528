"""What the flags of `atc` mean for the compiler: `ParsedFlags` → `CompileOptions`."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.errors import AscendError
from .atc_checks import cores_of, soc_of
from .atc_flags import ParsedFlags
from .atc_precision import kept_nodes, precision_mode, text_of
from .atc_profiles import RANGE, profile_choice
from .atc_shapes import parse_input_ranges, parse_input_shape, parse_names, parse_out_nodes, parse_output_type
from .atc_switches import switched_off

if TYPE_CHECKING:
    from ..lowering.pipelines import CompileOptions


def compile_options(flags: ParsedFlags) -> CompileOptions:
    """Options of a compilation; values that cannot be are AscendErrors."""
    from ..lowering.pipelines import CompileOptions

    out_nodes = parse_out_nodes(flags.get("out_nodes")) if "out_nodes" in flags else ()
    types = parse_output_type(flags.get("output_type"), out_nodes) if "output_type" in flags else {}
    return CompileOptions(
        soc=soc_of(flags),
        input_shapes=_fixed_shapes(flags),
        output_names=out_nodes or None,
        precision=precision_mode(flags),
        keep_dtype=kept_nodes(flags),
        input_types=dict.fromkeys(_fp16_inputs(flags), "f16"),
        output_types=types,
        op_types=_op_names(flags),
        aipp=aipp_text(flags),
        without=switched_off(flags),
        cores=cores_of(flags),
        reuse_memory=flags.get("disable_reuse_memory", "0") == "0",
    )


def inspection_options(flags: ParsedFlags) -> CompileOptions:
    """The same for commands that look at a model in one size: of several profiles the largest, with a note."""
    options = compile_options(flags)
    choice = profile_choice(flags)
    if choice is None:
        return options
    counts = [sum(map(prod, shapes.values())) for shapes in choice.shapes]
    largest = counts.index(max(counts))
    sizes = ",".join(map(str, choice.sizes[largest]))
    flags.note(f"of {len(choice.sizes)} profiles the largest was looked at: {choice.kind} {sizes}")
    return replace(options, input_shapes=choice.shapes[largest])


def _fixed_shapes(flags: ParsedFlags) -> dict[str, tuple[int, ...]] | None:
    """Sizes by input; those of the first profile where there are several."""
    choice = profile_choice(flags)
    if choice is not None:
        return choice.shapes[0]
    flag = RANGE if RANGE in flags else "input_shape"
    text = flags.get(flag)
    if flag == RANGE or "~" in text:  # ranges of one size each
        ranges = parse_input_ranges(flag, text)
        return {name: tuple(extents.low for extents in shape) for name, shape in ranges.items()}
    return parse_input_shape(text) if flag in flags else None


def _fp16_inputs(flags: ParsedFlags) -> tuple[str, ...]:
    return (
        parse_names("input_fp16_nodes", flags.get("input_fp16_nodes")) if "input_fp16_nodes" in flags else ()
    )


def _op_names(flags: ParsedFlags) -> dict[str, str]:
    """`--op_name_map`: a custom operator and the operator it stands for, `Custom:Standard`, one pair a line."""
    if "op_name_map" not in flags:
        return {}
    path = flags.get("op_name_map")
    found: dict[str, str] = {}
    for number, line in enumerate(text_of("op_name_map", path).splitlines(), 1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        name, _, standard = text.partition(":")
        if not name.strip() or not standard.strip() or ":" in standard:
            raise AscendError(
                "E10003", f"--op_name_map={path} is malformed in line {number}: {text!r}",
                expected="CustomOperator:StandardOperator",
            )  # fmt: skip
        found[name.strip()] = standard.strip()
    return found


def aipp_text(flags: ParsedFlags) -> str:
    """The configuration of --insert_op_conf, which can be read; empty without the flag."""
    if "insert_op_conf" not in flags:
        return ""
    path = Path(flags.get("insert_op_conf"))
    if not path.is_file():
        raise AscendError(
            "E13000", f"Value {path} for parameter --insert_op_conf is invalid: it does not exist",
            expected="an AIPP configuration file", hint="check the path",
        )  # fmt: skip
    text = text_of("insert_op_conf", str(path))
    from ..passes.aipp_config import parse_aipp

    ops = parse_aipp(text)
    named = [op.related_input_name for op in ops if op.related_input_name]
    if named:
        flags.note(
            f"related_input_name ({', '.join(named)}) is for Caffe: the input is the one of related_input_rank"
        )
    return text
