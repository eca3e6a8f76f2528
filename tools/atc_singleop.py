"""`atc --singleop=FILE.json`: single operators, one `.om` each, in the folder of `--output`.

The file is a list of operators; its form is the public tool's. All operators are compiled before the first file is
written, so that a mistake in one leaves nothing behind.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from ..lowering.single_op import FORMATS, PLAIN_FORMATS, TYPES, OpDesc, TensorDesc, wrong_op
from ..runtime.errors import NO_TYPE, AscendError, Refusal, UnsupportedOpError
from .atc_checks import check_flags, check_soc, check_writable
from .atc_convert import stored_attrs
from .atc_flags import ParsedFlags
from .atc_options import compile_options
from .atc_side_files import check_side_files, write_side_files

EXCLUDED: Final = ("framework", "insert_op_conf", "model", "input_shape", "out_nodes")
"""Flags that are about models."""
ATTRIBUTE_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "string": (str,),
    "list_bool": (list,),
    "list_int": (list,),
    "list_float": (list,),
    "list_string": (list,),
    "list_list_int": (list,),
    "data_type": (str, int),
}
MAX_OPERATORS: Final = 1000


def convert_single_ops(flags: ParsedFlags) -> list[Path]:
    """Compiles the operators of a file; returns the paths written."""
    _check_companions(flags)
    check_flags(flags)
    check_soc(flags)
    ops = read_single_ops(Path(flags.get("singleop")))
    folder = Path(flags.get("output"))
    check_writable(folder / "x", "output")
    check_side_files(flags)
    options = compile_options(flags)

    from ..lowering.pipelines import compile_model
    from ..lowering.single_op import operator_model
    from ..runtime.om.writer import write_om

    models = [operator_model(op) for op in ops]
    names = [op.file_name(index) for index, op in enumerate(ops)]
    twice = next((name for name, count in Counter(names).items() if count > 1), "")
    if twice:
        raise AscendError(
            "E13009",
            f"two operators are called {twice!r}",
            expected="a name for each",
            hint="change one name",
        )
    compiled = [
        compile_model(model, replace(options, name=name)) for model, name in zip(models, names, strict=True)
    ]
    paths: list[Path] = []
    for name, item in zip(names, compiled, strict=True):
        path = folder / f"{name}.om"
        write_om(replace(item.om, attrs={**item.om.attrs, **stored_attrs(flags)}), path)
        paths.append(path)
    write_side_files(flags, compiled)
    return paths


def _check_companions(flags: ParsedFlags) -> None:
    wrong = [name for name in EXCLUDED if name in flags]
    if flags.get("mode", "0") != "0":
        wrong.append("mode")
    if flags.get("display_model_info", "0") != "0":
        wrong.append("display_model_info")
    if wrong:
        raise AscendError(
            "E10001",
            f"--{wrong[0]} does not go with --singleop",
            expected="--singleop, --output, --soc_version, and flags of precision",
            hint=f"leave --{wrong[0]} out",
        )
    for name in ("soc_version", "output"):
        if name not in flags:
            raise AscendError(
                "E10054",
                f"The required parameter --{name} is empty",
                expected=f"--{name}=… beside --singleop",
                hint="add it",
            )


def read_single_ops(path: Path) -> list[OpDesc]:
    """The operators of a file; every mistake in it is an AscendError."""
    if not path.is_file():
        raise AscendError(
            "E10023", f"Value {path} for parameter --singleop is invalid: it does not exist", expected="a JSON file",
            hint="check the path",
        )  # fmt: skip
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AscendError(
            "E10024", f"cannot read {path}: {error}", expected="a JSON file", hint="check the file"
        ) from error
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AscendError(
            "E10025",
            f"{path} is not JSON: {error}",
            expected="a list of operators",
            hint="check commas and quotes",
        ) from error
    if not isinstance(data, list) or not data or len(cast("list[Any]", data)) > MAX_OPERATORS:
        raise AscendError(
            "E10025",
            f"{path} holds no list of operators",
            expected=f'[{{"op": "Add", …}}], up to {MAX_OPERATORS}',
        )
    ops = [_operator(item, index) for index, item in enumerate(cast("list[Any]", data))]
    _check_known(ops)
    return ops


def _check_known(ops: list[OpDesc]) -> None:
    from ..lowering.single_op_table import OPERATORS

    refusals: list[Refusal] = []
    for op in ops:
        if op.type not in OPERATORS:
            near = difflib.get_close_matches(op.type, OPERATORS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            refusals.append(
                Refusal(
                    op.name or op.type,
                    op.type,
                    f"Single operators are {len(OPERATORS)} types{hint}",
                    "the type is not known",
                    code=NO_TYPE,
                )
            )
    if refusals:
        raise UnsupportedOpError(refusals)


def _operator(item: Any, index: int) -> OpDesc:
    entry = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    kind = entry.get("op")
    if not isinstance(kind, str) or not kind:
        raise AscendError(
            "E10026", f"operator {index} has no type", expected='"op": "Add"', hint="name the operator type"
        )
    name = entry.get("name", "")
    op = OpDesc(kind, str(name) if name else "", (), ())
    if "/" in op.name or op.name in (".", ".."):
        raise wrong_op(op, f"its name {op.name!r} cannot be a file's name", "a name without '/'", "E10026")
    for key in ("input_desc", "output_desc"):
        if not isinstance(entry.get(key, []), list):
            raise wrong_op(op, f"{key} is no list", "a list of descriptions")
    inputs = _descriptions(op, "input", entry.get("input_desc", []))
    outputs = _descriptions(op, "output", entry.get("output_desc", []))
    if not outputs:
        raise wrong_op(op, "it has no output_desc", "at least one output")
    return OpDesc(kind, op.name, inputs, outputs, _attributes(op, entry.get("attr", [])))


def _descriptions(op: OpDesc, what: str, items: list[Any]) -> tuple[TensorDesc, ...]:
    letter = "x" if what == "input" else "y"
    found: list[TensorDesc] = []
    for position, item in enumerate(items):
        entry = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
        name = str(entry.get("name") or f"{letter}{position if len(items) > 1 else ''}")
        desc = TensorDesc(
            name,
            str(entry.get("type", "")),
            str(entry.get("format", "")),
            _shape(op, name, entry.get("shape")),
            _value(entry),
            str(entry.get("dynamic_input", "")),
        )
        if desc.dtype not in TYPES:
            raise wrong_op(op, f"{what} {name!r} has type {desc.dtype!r}", ", ".join(TYPES))
        if desc.format not in FORMATS:
            raise wrong_op(op, f"{what} {name!r} has format {desc.format!r}", ", ".join(FORMATS))
        if desc.format not in PLAIN_FORMATS:
            raise wrong_op(
                op,
                f"{what} {name!r} has format {desc.format}",
                "NCHW, NHWC or ND: others are internal",
                "E10055",
            )
        found.append(desc)
    names = [desc.name for desc in found if not desc.is_absent]
    if len(set(names)) < len(names):
        raise wrong_op(op, f"two {what}s have the same name", "a name for each")
    return tuple(found)


def _shape(op: OpDesc, name: str, value: Any) -> tuple[int, ...]:
    items = cast("list[Any]", value) if isinstance(value, list) else None
    if items is None or not all(isinstance(size, int) and not isinstance(size, bool) for size in items):
        raise wrong_op(op, f"{name!r} has shape {value!r}", "a list of numbers")
    if any(size < 0 for size in items):
        raise wrong_op(
            op, f"{name!r} has an open size, {items}", "fixed sizes: others are not supported yet", "E10055"
        )
    return tuple(int(size) for size in items)


def _value(entry: dict[str, Any]) -> tuple[float, ...] | None:
    value = entry.get("const_value")
    if not entry.get("is_const") or not isinstance(value, list):
        return None
    return tuple(cast("list[float]", value))


def _attributes(op: OpDesc, items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in cast("list[Any]", items) if isinstance(items, list) else [None]:
        entry = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
        name, kind, value = entry.get("name"), entry.get("type"), entry.get("value")
        if not isinstance(name, str) or not name:
            raise wrong_op(op, "an attribute has no name", '{"name": …, "type": …, "value": …}', "E10029")
        if kind not in ATTRIBUTE_TYPES:
            raise wrong_op(op, f"attribute {name!r} has type {kind!r}", ", ".join(ATTRIBUTE_TYPES), "E10029")
        is_bool_for_number = isinstance(value, bool) and kind != "bool"
        if not isinstance(value, ATTRIBUTE_TYPES[kind]) or is_bool_for_number:
            raise wrong_op(op, f"attribute {name!r} has value {value!r}", str(kind), "E10030")
        found[name] = value
    return found
