"""The flags of `atc`: one table.

Every flag that the public tool documents is here. `effect` says what this compiler does with it: it is *used*,
it is *ignored* (it concerns hardware, caches or debugging aids that do not exist here; a note says so), or it
is *refused* because ignoring it would give another model than the user asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Effect: TypeAlias = Literal["used", "ignored", "refused"]
USED: Final = "used"
IGNORED: Final = "ignored"
REFUSED: Final = "refused"


@dataclass(frozen=True)
class Flag:
    """One flag. `choices` are checked while parsing (E10001); `truth` flags are true or false (E10005), `whole`
    flags whole numbers (E10003). `note` says why a flag without effect has none."""

    name: str
    group: str
    help: str
    effect: Effect = IGNORED
    choices: tuple[str, ...] = ()
    truth: bool = False
    whole: bool = False
    note: str = ""


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
            "0: model to .om (default), 1: .om or model to JSON, 3: check only, 5: graph text to JSON, 6: sizes of an .om",
            USED,
            ("0", "1", "3", "5", "6", "7", "30"),
        ),
    ),
    *_flags(
        "Input",
        ("model", "model file", USED),
        ("weight", "weight file (Caffe only)", USED),
        Flag(
            "framework",
            "Input",
            "of the model: 0 Caffe, 1 MindSpore, 3 TensorFlow, 5 ONNX; models of 5 can be compiled",
            USED,
            ("0", "1", "3", "5"),
        ),
        ("input_format", "layout of the inputs: NCHW, NCDHW, ND", USED),
        ("input_shape", 'sizes of the inputs, "name1:n1,c1,h1,w1;name2:n2,c2,h2,w2"', USED),
        ("input_shape_range", "size ranges of the inputs (deprecated: --input_shape takes them)", USED),
        Flag("input_hint_shape", "Input", "typical sizes of dynamic inputs", effect=USED),
        ("dynamic_batch_size", 'batch sizes, "1,2,4"', USED),
        ("dynamic_image_size", 'image sizes, "416,416;832,832"', USED),
        ("dynamic_dims", 'profiles of all open dimensions, "20,20;40,40"', USED),
        ("singleop", "single-operator description (JSON)", USED),
        ("om", "offline model, for modes 1 and 6 (5: graph text)", USED),
    ),
    *_flags(
        "Output",
        ("output", "output path without suffix; .om is added", USED),
        ("output_type", 'element type of the outputs, "FP32" or "node:0:FP16"', USED),
        ("out_nodes", 'outputs of the model, "node1:0;node2:0" or names of graph outputs', USED),
        ("check_report", "file for the pre-check result", USED),
        ("json", "JSON output, for modes 1 and 5", USED),
        ("host_env_os", "operating system of the host", USED),
        ("host_env_cpu", "processor of the host", USED),
        Flag(
            "external_weight",
            "Output",
            "0: weights inside the .om",
            choices=("0", "1", "2"),
            note="weights stay inside the .om: one file is all that a run needs",
        ),
        Flag("save_original_model", "Output", "also save the graph as imported", truth=True, effect=USED),
    ),
    *_flags(
        "Target",
        ("soc_version", "chip, such as Ascend310P3", USED),
        ("core_type", "AiCore or VectorCore", USED),
        ("aicore_num", "number of cores that kernels may use", USED),
        Flag(
            "virtual_type",
            "Target",
            "1: may run on a part of a chip",
            choices=_BINARY,
            note="models use all cores of the chip",
        ),
    ),
    *_flags(
        "Feature",
        ("insert_op_conf", "AIPP configuration file", USED),
        ("input_fp16_nodes", 'inputs taken as float16, "name1;name2"', USED),
        ("is_input_adjust_hw_layout", "input_fp16_nodes in NC1HWC0", USED),
        ("is_output_adjust_hw_layout", "out_nodes in float16 and NC1HWC0", USED),
        ("op_name_map", "operator names of custom Caffe layers", USED),
        Flag(
            "is_weight_clip",
            "Feature",
            "clip weights into float16 range",
            choices=_BINARY,
            note="weights are always clipped to what f16 holds",
        ),
        Flag(
            "enable_scope_fusion_passes",
            "Feature",
            "TensorFlow scope fusion rules",
            note="they are for TensorFlow",
        ),
        Flag("cluster_config", "Feature", "multi-device configuration", note="models run on one device"),
        Flag(
            "hccl_sub_comm_config",
            "Feature",
            "multi-device communication groups",
            note="models run on one device",
        ),
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
        (
            "keep_original_precision",
            'the same as names, "conv1;OpType::Softmax" (not in the public tool)',
            USED,
        ),
        ("modify_mixlist", "lists for mixed precision", USED),
        ("customize_dtypes", "element types of single operators", USED),
        ("op_precision_mode", "precision mode of single operators", USED),
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
            effect=USED,
        ),
        ("optypelist_for_implmode", "operator types of op_select_implmode", USED),
        Flag(
            "allow_hf32",
            "Precision",
            "use HF32",
            truth=True,
            note="the chips that models are compiled for have no HF32",
        ),
        Flag(
            "quant_dumpable",
            "Precision",
            "keep quantisation operators apart",
            choices=_BINARY,
            note="there are no dumps",
        ),
    ),
    *_flags(
        "Performance",
        ("fusion_switch_file", "fusion rules to switch off", USED),
        ("optimization_switch", "passes to switch on or off", USED),
        Flag(
            "enable_small_channel",
            "Performance",
            "few input channels",
            choices=_BINARY,
            note="convolutions of few channels always use the layout for them",
        ),
        Flag(
            "buffer_optimize",
            "Performance",
            "on-chip buffer planning",
            choices=("l2_optimize", "l1_optimize", "l1_and_l2_optimize", "off_optimize"),
            effect=USED,
        ),
        Flag(
            "enable_compress_weight",
            "Performance",
            "compress weights",
            truth=True,
            note="weights are stored uncompressed",
        ),
        Flag(
            "compress_weight_conf",
            "Performance",
            "layers whose weights are compressed",
            note="weights are stored uncompressed",
        ),
        Flag(
            "sparsity",
            "Performance",
            "2-of-4 sparsity",
            choices=_BINARY,
            note="weights are used dense, with the same result",
        ),
        Flag(
            "compression_optimize_conf",
            "Performance",
            "quantisation inside the tool",
            note="the model is not quantised, and as exact as without the flag; quantise it before, as QDQ nodes",
        ),
        Flag(
            "disable_reuse_memory",
            "Performance",
            "1: every tensor has memory of its own",
            USED,
            choices=_BINARY,
        ),
        Flag(
            "enable_single_stream", "Performance", "one stream only", truth=True, note="models use one stream"
        ),
        Flag(
            "multi_stream_parallel_mode",
            "Performance",
            "distribution over streams",
            note="models use one stream",
        ),
        Flag(
            "ac_parallel_enable",
            "Performance",
            "AI CPU beside AI Core",
            choices=_BINARY,
            note="tasks run one after the other",
        ),
        Flag(
            "tiling_schedule_optimize",
            "Performance",
            "tiling on the device",
            choices=_BINARY,
            note="sizes are fixed, and tiles are chosen here",
        ),
        Flag(
            "static_model_ops_lower_limit",
            "Performance",
            "least size of a static sub-graph",
            whole=True,
            note="shapes are static",
        ),
        Flag(
            "h2d_overlapped_with_compute",
            "Performance",
            "overlap copies with computing",
            note="inputs are copied before a run begins",
        ),
        Flag(
            "topo_sorting_mode",
            "Performance",
            "order of operators",
            choices=("0", "1", "2", "3"),
            note="the order follows the model",
        ),
        Flag("oo_level", "Performance", "optimisation level", effect=USED, choices=("O1", "O3")),
        Flag(
            "oo_constant_folding",
            "Performance",
            "fold constants",
            truth=True,
            note="constants are always folded",
        ),
        Flag(
            "oo_dead_code_elimination",
            "Performance",
            "remove dead operators",
            truth=True,
            note="what nobody uses is always left out",
        ),
        Flag(
            "jit_compile",
            "Performance",
            "compile kernels",
            choices=("0", "1", "2"),
            note="kernels are always made for the model",
        ),
        Flag(
            "atomic_clean_policy",
            "Performance",
            "when to clear memory",
            choices=_BINARY,
            note="no kernel needs memory that is cleared",
        ),
        Flag(
            "enable_attr_compression",
            "Performance",
            "compress attribute names",
            truth=True,
            note="attributes keep their names, so that viewers can show them",
        ),
        Flag("mdl_bank_path", "Performance", "tuned sub-graphs", note="schedules come from cost models"),
        Flag("op_bank_path", "Performance", "tuned operators", note="schedules come from cost models"),
        ("auto_tune_mode", "removed by the public tool", REFUSED),
        Flag(
            "deterministic",
            "Performance",
            "same bits every run",
            choices=_BINARY,
            note="every run gives the same bits anyway",
        ),
        Flag(
            "deterministic_level",
            "Performance",
            "1 to 3: how much is the same from run to run",
            choices=("0", "1", "2", "3"),
            note="every run gives the same bits anyway",
        ),
        Flag(
            "shape_generalized_build_mode",
            "Performance",
            "deprecated",
            choices=("shape_precise", "shape_generalized"),
            note="sizes are fixed",
        ),
        Flag(
            "raw_ge_options",
            "Performance",
            "engine options (JSON)",
            note="engine options belong to the public tool",
        ),
        Flag(
            "raw_ge_options_ignore_unsupported",
            "Performance",
            "engine options: skip unknown ones",
            note="engine options belong to the public tool",
        ),
        Flag("build_config", "Performance", "build command template", note="it is for --mode=7"),
        Flag("cal_conf", "Performance", "calibration", note="nothing is quantised here"),
        Flag("target", "Performance", "old name of the platform", note="--soc_version says it"),
        Flag(
            "device_id", "Performance", "device", whole=True, note="nothing is run while a model is compiled"
        ),
    ),
    *_flags(
        "Debug",
        Flag(
            "op_compiler_cache_mode",
            "Debug",
            "kernel cache",
            choices=("disable", "enable", "force"),
            note="there is no kernel cache",
        ),
        Flag("op_compiler_cache_dir", "Debug", "folder of the kernel cache", note="there is no kernel cache"),
        Flag(
            "op_debug_level",
            "Debug",
            "kernel files to keep in --debug_dir: 3: image and description, 1, 2, 4: assembly too",
            USED,
            choices=("0", "1", "2", "3", "4"),
        ),
        Flag(
            "op_debug_config",
            "Debug",
            "kernel debug options",
            note="ascend-translate --disassemble shows the kernels",
        ),
        ("debug_dir", "folder of the kernel files (default kernel_meta)", USED),
        Flag(
            "status_check",
            "Debug",
            "overflow checks in kernels",
            choices=_BINARY,
            note="the simulator checks every run: atc run --sanitize",
        ),
        Flag("dump_mode", "Debug", "with mode 1: shapes too", choices=_BINARY, effect=USED),
        Flag("display_model_info", "Debug", "print sizes of the model", USED, _BINARY),
        Flag(
            "export_compile_stat",
            "Debug",
            "1, 2: write what was fused to fusion_result.json",
            USED,
            choices=("0", "1", "2"),
        ),
        Flag(
            "log",
            "Debug",
            "null, debug, info, warning, error",
            USED,
            ("null", "debug", "info", "warning", "error"),
        ),
    ),
)
BY_NAME: Final[Mapping[str, Flag]] = {flag.name: flag for flag in FLAGS}
