"""The flags of `atc`: one table, and the parser with the public tool's rules.

Every flag that the public tool documents is known here. `effect` says what this compiler does with it: it
is *used*, it is *ignored* (it concerns hardware, caches or debugging aids that do not exist here; a note
says so), or it is *refused* because ignoring it would give another model than the user asked for.

Parsing: `--name=value` or `--name value`; `-name` as `--name`; hyphens in a name are underscores;
unambiguous prefixes of a name will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ..runtime.errors import AscendError
from .atc_commands import help_lines

Effect: TypeAlias = Literal["used", "ignored", "refused"]
USED: Final = "used"
IGNORED: Final = "ignored"
REFUSED: Final = "refused"


@dataclass(frozen=True)
class Flag:
    """One flag. `choices` are checked while parsing (E10001); `truth` flags are true or false (E10005)."""

    name: str
    group: str
    help: str
    effect: Effect = IGNORED
    choices: tuple[str, ...] = ()
    truth: bool = False


def _flags(group: str, *rows: tuple[str, str] | tuple[str, str, Effect] | Flag) -> list[Flag]:
    return [
        row if isinstance(row, Flag) else Flag(row[0], group, row[1], row[2] if len(row) == 3 else IGNORED)
        for row in rows
    ]


_BINARY = ("0", "1")
PRECISION_MODES: Final = (
    "force_fp16",
    "force_fp32",
    "cube_fp16in_fp32out",
    "allow_fp32_to_fp16",
    "must_keep_origin_dtype",
    "allow_mix_precision",
    "allow_mix_precision_fp16",
    "allow_mix_precision_bf16",
    "allow_fp32_to_bf16",
)
PRECISION_V2: Final[Mapping[str, str]] = {
    "fp16": "force_fp16",
    "origin": "must_keep_origin_dtype",
    "cube_fp16in_fp32out": "force_fp32",
    "mixed_float16": "allow_mix_precision",
    "mixed_bfloat16": "allow_mix_precision_bf16",
    "mixed_hif8": "mixed_hif8",
    "cube_hif8": "cube_hif8",
}

FLAGS: Final[tuple[Flag, ...]] = (
    *_flags(
        "General",
        Flag("help", "General", "show this text", USED),
        Flag(
            "mode",
            "General",
            "0: model to .om (default)",
            USED,
            ("0", "1", "3", "5", "6", "7", "30"),
        ),
    ),
    *_flags(
        "Input",
        ("model", "model file", USED),
        ("weight", "weight file (Caffe only)"),
        Flag("framework", "Input", "5: ONNX", USED, ("0", "1", "3", "5")),
        ("input_format", "layout of the inputs: NCHW, NCDHW, ND", USED),
        ("input_shape", 'sizes of the inputs, "name1:n1,c1,h1,w1;name2:n2,c2,h2,w2"', USED),
        ("input_shape_range", "size ranges of the inputs (deprecated)", REFUSED),
        ("input_hint_shape", "typical sizes of dynamic inputs", REFUSED),
        ("dynamic_batch_size", 'batch sizes, "1,2,4"', REFUSED),
        ("dynamic_image_size", 'image sizes, "416,416;832,832"', REFUSED),
        ("dynamic_dims", 'profiles of all open dimensions, "20,20;40,40"', REFUSED),
        ("singleop", "single-operator description (JSON)", REFUSED),
        ("om", "offline model, for modes 1, 5 and 6", USED),
    ),
    *_flags(
        "Output",
        ("output", "output path without suffix; .om is added", USED),
        ("output_type", 'element type of the outputs, "FP32" or "node:0:FP16"', REFUSED),
        ("out_nodes", 'outputs of the model, "node1:0;node2:0" or names of graph outputs', USED),
        ("check_report", "file for the pre-check result"),
        ("json", "JSON output, for modes 1 and 5"),
        ("host_env_os", "operating system of the host"),
        ("host_env_cpu", "processor of the host"),
        Flag("external_weight", "Output", "0: weights inside the .om", choices=("0", "1", "2")),
        Flag("save_original_model", "Output", "also save the graph as imported", truth=True),
    ),
    *_flags(
        "Target",
        ("soc_version", "chip, such as Ascend310P3", USED),
        ("core_type", "AiCore or VectorCore"),
        ("aicore_num", "number of cores to use"),
        Flag("virtual_type", "Target", "1: may run on a part of a chip", choices=_BINARY),
    ),
    *_flags(
        "Feature",
        ("insert_op_conf", "AIPP configuration file", REFUSED),
        ("input_fp16_nodes", 'inputs taken as float16, "name1;name2"', REFUSED),
        ("is_input_adjust_hw_layout", "input_fp16_nodes in NC1HWC0"),
        ("is_output_adjust_hw_layout", "out_nodes in float16 and NC1HWC0", REFUSED),
        ("op_name_map", "operator names of custom Caffe layers"),
        Flag("is_weight_clip", "Feature", "clip weights into float16 range", choices=_BINARY),
        ("enable_scope_fusion_passes", "TensorFlow scope fusion rules"),
        ("cluster_config", "multi-device configuration"),
        ("hccl_sub_comm_config", "multi-device communication groups"),
    ),
    *_flags(
        "Precision",
        Flag(
            "precision_mode",
            "Precision",
            "how float32 is computed (default force_fp16)",
            USED,
            PRECISION_MODES,
        ),
        Flag(
            "precision_mode_v2",
            "Precision",
            "the same, newer names (default fp16)",
            USED,
            tuple(PRECISION_V2),
        ),
        ("keep_dtype", "file with names of operators that keep their element type", USED),
        ("modify_mixlist", "lists for mixed precision"),
        ("customize_dtypes", "element types of single operators"),
        ("op_precision_mode", "precision mode of single operators"),
        Flag(
            "op_select_implmode",
            "Precision",
            "high_performance or high_precision",
            choices=(
                "high_performance",
                "high_precision",
                "high_performance_for_all",
                "high_precision_for_all",
            ),
        ),
        ("optypelist_for_implmode", "operator types of op_select_implmode"),
        ("allow_hf32", "use HF32"),
        Flag("quant_dumpable", "Precision", "keep quantisation operators apart", choices=_BINARY),
    ),
    *_flags(
        "Performance",
        ("fusion_switch_file", "fusion rules to switch off"),
        ("optimization_switch", "passes to switch on or off"),
        Flag("enable_small_channel", "Performance", "few input channels", choices=_BINARY),
        Flag(
            "buffer_optimize",
            "Performance",
            "on-chip buffer planning",
            choices=("l2_optimize", "l1_optimize", "off_optimize"),
        ),
        Flag("enable_compress_weight", "Performance", "compress weights", truth=True),
        ("compress_weight_conf", "layers whose weights are compressed"),
        Flag("sparsity", "Performance", "2-of-4 sparsity", choices=_BINARY),
        ("compression_optimize_conf", "quantisation inside the tool"),
        Flag("disable_reuse_memory", "Performance", "1: do not reuse memory", choices=_BINARY),
        Flag("enable_single_stream", "Performance", "one stream only", truth=True),
        ("multi_stream_parallel_mode", "distribution over streams"),
        Flag("ac_parallel_enable", "Performance", "AI CPU beside AI Core", choices=_BINARY),
        Flag("tiling_schedule_optimize", "Performance", "tiling on the device", choices=_BINARY),
        ("static_model_ops_lower_limit", "least size of a static sub-graph"),
        ("h2d_overlapped_with_compute", "overlap copies with computing"),
        Flag(
            "topo_sorting_mode",
            "Performance",
            "order of operators",
            choices=("0", "1", "2", "3"),
        ),
        ("oo_level", "optimisation level"),
        Flag("oo_constant_folding", "Performance", "fold constants", truth=True),
        Flag("oo_dead_code_elimination", "Performance", "remove dead operators", truth=True),
        Flag("jit_compile", "Performance", "compile kernels", choices=("0", "1", "2")),
        Flag("atomic_clean_policy", "Performance", "when to clear memory", choices=_BINARY),
        Flag("enable_attr_compression", "Performance", "compress attribute names", truth=True),
        ("mdl_bank_path", "tuned sub-graphs"),
        ("op_bank_path", "tuned operators"),
        ("auto_tune_mode", "removed by the public tool", REFUSED),
        Flag("deterministic", "Performance", "same bits every run", choices=_BINARY),
        Flag("deterministic_level", "Performance", "", choices=("0", "1", "2", "3")),
        Flag(
            "shape_generalized_build_mode",
            "Performance",
            "deprecated",
            choices=("shape_precise", "shape_generalized"),
        ),
        ("raw_ge_options", "engine options (JSON)"),
        ("raw_ge_options_ignore_unsupported", "engine options: skip unknown ones"),
        ("build_config", "build command template"),
        ("cal_conf", "calibration"),
        ("target", "old name of the platform"),
        ("device_id", "device"),
    ),
    *_flags(
        "Debug",
        Flag("op_compiler_cache_mode", "Debug", "kernel cache", choices=("disable", "enable", "force")),
        ("op_compiler_cache_dir", "folder of the kernel cache"),
        Flag("op_debug_level", "Debug", "kernel files to keep", choices=("0", "1", "2", "3", "4")),
        ("op_debug_config", "kernel debug options"),
        ("debug_dir", "folder of the kernel files"),
        Flag("status_check", "Debug", "overflow checks in kernels", choices=_BINARY),
        Flag("dump_mode", "Debug", "with mode 1: shapes too", choices=_BINARY),
        Flag("display_model_info", "Debug", "print sizes of the model", USED, _BINARY),
        Flag("export_compile_stat", "Debug", "fusion statistics", choices=("0", "1", "2")),
        Flag(
            "log",
            "Debug",
            "null, debug, info, warning, error",
            USED,
            ("null", "debug", "info", "warning", "error"),
        ),
    ),
)
BY_NAME: Final = {flag.name: flag for flag in FLAGS}


class UsageError(AscendError):
    """The command line cannot be taken apart: said on stderr before the usual failure text."""

    def __init__(self, message: str) -> None:
        super().__init__("E10014", message, hint="try 'atc --help'")


@dataclass
class ParsedFlags:
    """Values by flag name, as written."""

    values: dict[str, str] = field(default_factory=dict[str, str])

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str, default: str = "") -> str:
        """The value, or a default when the flag was not given."""
        return self.values.get(name, default)

    def with_effect(self, effect: Effect) -> list[str]:
        """Names of the given flags that have this effect."""
        return [name for name in self.values if BY_NAME[name].effect == effect]


def parse_flags(args: Sequence[str]) -> ParsedFlags:
    """Take the command line apart. Raises `UsageError` for its form and E10001, E10004, E10005 for values."""
    parsed = ParsedFlags()
    rest = iter(args)
    for word in rest:
        name, equals, value = _split(word)
        flag = _find(name)
        if flag.name == "help":
            parsed.values["help"] = ""
            continue
        if not equals:
            value = _next_value(flag, rest)
        _check_value(flag, value)
        parsed.values[flag.name] = value
    return parsed


def _split(word: str) -> tuple[str, str, str]:
    body = word.removeprefix("--") if word.startswith("--") else word[1:]
    if (
        not word.startswith("-")
        or not body
        or (not word.startswith("--") and len(body.partition("=")[0]) < 2)
    ):
        hint = "; a value with ';' or spaces needs double quotes" if not word.startswith("-") else ""
        raise UsageError(f"'{word}' is not a flag{hint}")
    name, equals, value = body.partition("=")
    return name.replace("-", "_"), equals, value


def _find(name: str) -> Flag:
    if name == "h":
        return BY_NAME["help"]
    if name in BY_NAME:
        return BY_NAME[name]
    found = [flag for flag in FLAGS if flag.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"--{flag.name}" for flag in found)
        raise UsageError(f"command line flag '{name}' is ambiguous: {names}")
    raise UsageError(f"unknown command line flag '{name}'")


def _next_value(flag: Flag, rest: Iterable[str]) -> str:
    value = next(iter(rest), None)
    if value is None:
        raise UsageError(f"flag '{flag.name}' is missing its argument; flag description: {flag.help}")
    return value


def _check_value(flag: Flag, value: str) -> None:
    if not value:
        raise AscendError(
            "E10004",
            f"Value for --{flag.name} is empty",
            expected="a value directly behind '='",
            hint="remove the space after '=', and quote values that hold ';'",
        )
    if flag.truth and value.lower() not in ("true", "false"):
        raise AscendError("E10005", f"Value {value} for --{flag.name} is invalid", expected="true or false")
    if flag.choices and value not in flag.choices:
        valid = " ".join(f"[{choice}]" for choice in flag.choices)
        if flag.name == "log":
            raise AscendError("E10010", f"Value {value} for --log is invalid", expected=f"one of {valid}")
        raise AscendError(
            "E10001",
            f"Value {value} for parameter --{flag.name} is invalid. Reason: "
            f"The value is not within the range of values. The valid range is {valid} .",
            expected=f"one of {valid}",
        )


def help_text() -> str:
    """All flags by group, those without effect marked."""
    lines = [
        "usage: atc --model=MODEL --framework=5 --output=OUTPUT --soc_version=SOC [--flag=value …]",
        "       atc COMMAND …",
        "",
        "Commands (each has --help):",
        *help_lines(),
        "",
        "Flags may be shortened while unambiguous. (-): accepted without effect, (x): not supported yet.",
    ]
    marks = {USED: "   ", IGNORED: "(-)", REFUSED: "(x)"}
    group = ""
    for flag in FLAGS:
        if flag.group != group:
            group = flag.group
            lines += ["", f"{group}:"]
        choices = f" [{'|'.join(flag.choices)}]" if flag.choices and len(flag.choices) <= 5 else ""
        lines.append(f"  {marks[flag.effect]} --{flag.name:<33} {flag.help}{choices}")
    return "\n".join(lines)
