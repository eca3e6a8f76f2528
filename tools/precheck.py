"""`atc precheck MODEL.onnx`: what will stand in the way of a conversion, question by question, before it is started.

`op-check` looks at the nodes; this looks at everything around them too: the file, its weights, its inputs, the flags, and
the memory of the chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ..runtime.errors import AscendError
from .atc_checks import check_flags, check_soc, soc_of
from .atc_flags import ParsedFlags
from .atc_options import inspection_options
from .command_line import (
    FOUND_SOMETHING,
    OK,
    CommandParser,
    conversion_flags,
    print_json,
    print_notes,
    source_model,
)
from .model_check import check_file

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

    from ..lowering.pipelines import CompileOptions

Verdict: TypeAlias = Literal["ok", "warn", "fail"]
OLDEST, NEWEST = 7, 21
"""Opsets that models usually have and that the operators here were tried with."""
BYTES: Final = {1: 4, 10: 2, 11: 8, 3: 1, 2: 1, 6: 4, 7: 8, 16: 2}


@dataclass(frozen=True)
class Answer:
    """One question and what was found."""

    question: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def run_command(words: Sequence[str]) -> int:
    """The sub-command: 0 if a conversion can be started, 1 if it would fail."""
    parser = CommandParser(
        "precheck",
        "Says what would stand in the way of a conversion: file, weights, inputs, flags, operators, memory.",
        'atc precheck resnet50.onnx --input_shape="image:8,3,224,224" --soc_version=Ascend310P3 --insert_op_conf=aipp.cfg',
    )
    parser.add_argument("model", help="ONNX model")
    parser.add_argument("--deep", action="store_true", help="also generate every kernel")
    arguments, rest = parser.parse_known_args(words)
    flags = conversion_flags(rest)
    answers = check(arguments.model, flags, is_deep=arguments.deep)
    if arguments.json:
        print_json(
            {
                "model": arguments.model,
                "ok": _is_ok(answers),
                "checks": [answer.__dict__ for answer in answers],
            }
        )
    else:
        for answer in answers:
            print(f"{answer.verdict:<5} {answer.question:<10} {answer.detail}")
            if answer.remedy:
                print(f"{'':<16} {answer.remedy}")
    print_notes(flags)
    return OK if _is_ok(answers) else FOUND_SOMETHING


def _is_ok(answers: Sequence[Answer]) -> bool:
    return all(answer.verdict != "fail" for answer in answers)


def check(text: str, flags: ParsedFlags, *, is_deep: bool = False) -> list[Answer]:
    """The answers, as far as one can come: without a readable model there is only the first."""
    from ..lowering.onnx_file import read_model

    try:
        path = source_model(text)
        model = read_model(path).model
    except AscendError as error:
        return [_failed("file", error)]
    answers = [Answer("file", "ok", f"{path.name}: ONNX, {path.stat().st_size} bytes")]
    answers += [_opset(model), _weights(model, path)]
    try:
        check_soc(flags)
        check_flags(flags)
        options = inspection_options(flags)
    except AscendError as error:
        return [*answers, _failed("flags", error)]
    answers.append(Answer("flags", "ok", f"for {soc_of(flags)}, {len(flags.values)} flags"))
    answers.append(_inputs(model, options))
    answers.append(_operators(path, options, is_deep))
    answers.append(_memory(model, options))
    return answers


def _failed(question: str, error: AscendError) -> Answer:
    return Answer(question, "fail", f"{error.code}: {error.message}", error.hint or error.expected)


def _opset(model: ModelProto) -> Answer:
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if OLDEST <= opset <= NEWEST:
        return Answer("opset", "ok", str(opset))
    return Answer(
        "opset",
        "warn",
        f"{opset} is outside {OLDEST} to {NEWEST}",
        "if operators are refused, export with opset 17",
    )


def _weights(model: ModelProto, path: Path) -> Answer:
    """External data must be there, and long enough."""
    from onnx import TensorProto

    total = sum(_size(tensor) for tensor in model.graph.initializer)
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = path.parent / entries.get("location", "")
        need = int(entries.get("offset", "0")) + int(entries.get("length", "0"))
        if not file.is_file() or file.stat().st_size < need:
            what = (
                "is missing" if not file.is_file() else f"has {file.stat().st_size} bytes, {need} are needed"
            )
            return Answer(
                "weights", "fail", f"{file.name} (weight {tensor.name!r}) {what}", "keep it beside the model"
            )
    return Answer("weights", "ok", f"{len(model.graph.initializer)} tensors, {total} bytes")


def _size(tensor: TensorProto) -> int:
    return prod(tensor.dims) * BYTES.get(tensor.data_type, 1)


def _inputs(model: ModelProto, options: CompileOptions) -> Answer:
    from ..lowering.onnx_inputs import model_inputs

    try:
        inputs = model_inputs(model.graph, options.input_shapes or {})
    except AscendError as error:
        return _failed("inputs", error)
    return Answer(
        "inputs", "ok", "; ".join(f"{item.name}: {item.dtype}{list(item.shape)}" for item in inputs)
    )


def _operators(path: Path, options: CompileOptions, is_deep: bool) -> Answer:
    found = check_file(path, options, is_deep=is_deep)
    if found.error is not None:
        return _failed("operators", found.error)
    if found.failed:
        first = found.failed[0]
        detail = f"{len(found.failed)} of {len(found.nodes)} cannot be compiled, first {first.type} {first.name!r}: {first.reason}"
        return Answer(
            "operators", "fail", detail, f"atc op-check {path.name} lists all of them; {first.remedy}"
        )
    cpu = sum(node.engine == "aicpu" for node in found.nodes)
    how = "" if is_deep else " (--deep generates the kernels too)"
    if cpu:
        return Answer(
            "operators", "warn", f"{len(found.nodes)} nodes, {cpu} on the AI CPU, which is slow{how}"
        )
    return Answer("operators", "ok", f"{len(found.nodes)} nodes{how}")


def _memory(model: ModelProto, options: CompileOptions) -> Answer:
    """Weights in f16 against the chip's memory: tensors between layers come on top."""
    from ..runtime.soc import load_soc

    soc = load_soc(options.soc)
    need = sum(_size(tensor) for tensor in model.graph.initializer) // 2
    share = need / soc.memory_bytes
    verdict: Verdict = "ok" if share < 0.8 else "fail" if share > 1 else "warn"
    return Answer(
        "memory", verdict, f"weights of about {need} bytes in f16, {share:.1%} of the chip's memory"
    )
