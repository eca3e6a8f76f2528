"""`atc --mode=1` (offline model or source model → JSON) and `--mode=5` (graph dump as text → JSON).

The JSON is the protobuf message field by field, with the names of its fields, as the public tool writes it: maps become
lists of key and value, in order of their keys; floats are text (%g); what only a loader needs is left out of an offline
model. Weights stay out: an offline model keeps them in a partition of its own, and of a source model bytes above a few
hundred are left where they are.
"""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..runtime.errors import AscendError
from .atc_checks import check_content, check_writable, model_path
from .atc_flags import ParsedFlags

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

MAX_BYTES: Final = 1024
"""Longer byte strings are named by their size."""
LEFT_OUT: Final = frozenset(
    {
        "output", "data_offset", "data", "workspace", "workspace_bytes", "memory_size", "weight_size", "size", "bt",
        "quantize_factor",
    }
)  # fmt: skip
"""Fields of an offline model that the public tool does not write (ge-compiler.md §5). Attributes of these names stay."""


def write_json(flags: ParsedFlags) -> None:
    """Mode 1."""
    target = _target(flags)
    if "om" in flags:
        _write(target, _offline_model(Path(flags.get("om"))), LEFT_OUT)
    else:
        _write(target, _source_model(flags))


def write_graph_json(flags: ParsedFlags) -> None:
    """Mode 5: a dump of the graph engine (`ge_proto_*.txt`)."""
    from google.protobuf import text_format

    from ..runtime.om import ge_ir_pb2 as ge

    target = _target(flags)
    path = _existing_om(flags, 5)
    if path.suffix != ".txt":
        raise AscendError(
            "E10001", f"Value {path} for parameter --om is invalid", expected="a graph dump ge_proto_*.txt",
            hint="the .pbtxt dumps hold an ONNX graph: a viewer opens them",
        )  # fmt: skip
    message = ge.ModelDef()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), message, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise AscendError(
            "E10041", f"{path} is not a graph dump: {error}", expected="text in protobuf's own form"
        ) from error
    _write(target, message, LEFT_OUT)


def _target(flags: ParsedFlags) -> Path:
    if "json" not in flags:
        raise AscendError(
            "E10004", "The required parameter --json is empty", expected="--json=OUTPUT.json", hint="add it"
        )
    target = Path(flags.get("json"))
    check_writable(target, "json")
    return target


def _existing_om(flags: ParsedFlags, mode: int) -> Path:
    if "om" not in flags:
        raise AscendError(
            "E10004",
            "The required parameter --om is empty",
            expected=f"--om=FILE with --mode={mode}",
            hint="add it",
        )
    path = Path(flags.get("om"))
    if not path.is_file():
        raise AscendError(
            "E13000", f"Value {path} for parameter --om is invalid: it does not exist", hint="check the path"
        )
    return path


def _offline_model(path: Path) -> Message:
    from ..runtime.om.reader import read_container, read_definition

    if not path.is_file():
        raise AscendError(
            "E13000", f"Value {path} for parameter --om is invalid: it does not exist", hint="check the path"
        )
    message, _ = read_definition(read_container(path), 0)
    return message


def _source_model(flags: ParsedFlags) -> Message:
    from ..lowering.onnx_file import read_model

    if "model" not in flags:
        raise AscendError(
            "E10004",
            "The required parameter --om is empty",
            expected="--om=MODEL.om, or --model and --framework=5",
        )
    if "framework" not in flags:
        raise AscendError("E10007", "--framework is required beside --model", expected="--framework=5 (ONNX)")
    if flags.get("framework") == "1":
        raise AscendError("E10001", "--framework=1 (MindSpore) has no JSON form", expected="0, 3 or 5")
    path = model_path(flags.get("model"))
    check_content(flags, path)
    model = read_model(path).model
    if flags.get("dump_mode") == "1":
        import onnx

        try:
            model = onnx.shape_inference.infer_shapes(model)
        except onnx.shape_inference.InferenceError as error:
            raise AscendError(
                "E10041", f"shapes cannot be inferred: {error}", expected="a valid model"
            ) from error
    return model


def _write(target: Path, message: Message, left_out: Container[str] = ()) -> None:
    text = json.dumps(as_json(message, left_out), indent=2, ensure_ascii=False)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise AscendError("E13004", f"cannot write {str(target)!r}: {error.strerror}") from error


def as_json(message: Message, left_out: Container[str] = ()) -> dict[str, Any]:
    """The fields of a message that are set, by name."""
    return {
        field.name: _field(field, value, left_out)
        for field, value in message.ListFields()
        if field.name not in left_out
    }


def _field(field: FieldDescriptor, value: Any, left_out: Container[str]) -> Any:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        kind = entry.fields_by_name["value"]
        return [{"key": key, "value": _value(kind, value[key], left_out)} for key in sorted(value)]
    if _is_repeated(field):
        return [_value(field, item, left_out) for item in value]
    return _value(field, value, left_out)


def _is_repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def _value(field: FieldDescriptor, value: Any, left_out: Container[str]) -> Any:
    if field.message_type is not None:
        return as_json(value, left_out)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, float):
        return f"{value:g}"  # JSON has no infinities
    return value


def _bytes(value: bytes) -> str:
    if len(value) > MAX_BYTES:
        return f"({len(value)} bytes)"
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        from google.protobuf.text_encoding import CEscape

        return CEscape(value, as_utf8=False)
