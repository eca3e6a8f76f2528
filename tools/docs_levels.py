"""`docs/dialects.md` and `docs/passes.md`: what the levels can say, and what happens to it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, cast

from xdsl.ir import Operation, ParametrizedAttribute
from xdsl.irdl import (
    AllOf,
    AnyOf,
    AttrConstraint,
    BaseAttr,
    EqAttrConstraint,
    IRDLOperation,
    OpDef,
    OptOperandDef,
    OptPropertyDef,
    ParamAttrConstraint,
    VarConstraint,
    VarOperandDef,
    VarResultDef,
)
from xdsl.passes import ModulePass

from ..dialects import DIALECTS
from ..dialects.davinci_instruction import InstructionOp
from ..lowering import pipelines
from ..passes import PASSES
from .docs_markdown import code, document, prose, sentence, table
from .universe import load_dialect, load_pass

_EXAMPLES: Final = Path(__file__).resolve().parent.parent / "tests" / "filecheck" / "dialects"
_KINDS: Final = {
    "FloatAttr": "number",
    "IntegerAttr": "integer",
    "DenseArrayBase": "list of integers",
    "StringAttr": "word",
    "UnitAttr": "flag",
    "TensorType": "tensor",
    "IndexType": "index",
    "BufferType": "!davinci.buffer",
    "SymbolRefAttr": "symbol",
    "SymbolNameConstraint": "symbol",
    "ArrayOfConstraint": "list",
}


# ------------------------------------------------------------------------------------------------ dialects


def dialects_document() -> str:
    """The text of `docs/dialects.md`."""
    intro = (
        "Examples are taken from the tests in `tests/filecheck/dialects`. `?` marks what may be absent, `*` "
        "what may repeat.\n"
    )
    parts = [part for name in DIALECTS for part in _dialect(name)]
    return document("Dialects", "dialects/", [intro, *parts])


def _dialect(name: str) -> Iterator[str]:
    dialect = load_dialect(name)
    examples = _examples(name)
    yield f"## {name}\n"
    yield prose(import_module(f"..dialects.{DIALECTS[name][0]}", __package__).__doc__)
    for attribute in dialect.attributes:
        sigil = "!" if name == "davinci" else "#"
        yield f"### {sigil}{attribute.name}\n\n{prose(attribute.__doc__)}{_fields(attribute)}"
    instructions: list[type[InstructionOp]] = []
    for op in dialect.operations:
        if issubclass(op, InstructionOp):
            instructions.append(op)
            continue
        yield _op(op, examples.get(op.name))
    if instructions:
        yield _instructions(instructions)


def _fields(attribute: type[Any]) -> str:
    if not issubclass(attribute, ParametrizedAttribute):
        return ""
    words = [name for name, _ in attribute.get_irdl_definition().parameters]
    return f"\nParameters: {', '.join(code(word) for word in words)}.\n" if words else ""


def _examples(dialect: str) -> dict[str, str]:
    """The first use of each op in the dialect's test of valid ops."""
    found: dict[str, str] = {}
    text = (_EXAMPLES / dialect / "ops.mlir").read_text(encoding="utf-8")
    for line in text.splitlines():
        use = re.match(rf"\s*(?:%[\w:]+(?:, %\w+)* = )?({dialect}\.\w+)\b", line)
        if use is not None:
            found.setdefault(use[1], line.strip() + (" … }" if line.rstrip().endswith("{") else ""))
    return found


def _op(op: type[Operation], example: str | None) -> str:
    lines = [f"### {op.name}\n", prose(op.__doc__)]
    if issubclass(op, IRDLOperation):
        definition = op.get_irdl_definition()
        words: dict[str, tuple[str, ...]] = getattr(op, "WORDS", {})
        lines += [_members(definition, words)]
    if example is not None:
        lines.append(f"    {example}\n")
    return "\n".join(line for line in lines if line)


def _members(definition: OpDef, words: dict[str, tuple[str, ...]]) -> str:
    rows: list[tuple[str, str, str]] = []
    for name, operand in definition.operands:
        mark = (
            "?" if isinstance(operand, OptOperandDef) else "*" if isinstance(operand, VarOperandDef) else ""
        )
        rows.append(("operand", code(name) + mark, _range_name(operand.constr)))
    for name, given in definition.properties.items():
        kind = " ".join(words[name]) if name in words else _constraint(given.constr)
        rows.append(("property", code(name) + ("?" if isinstance(given, OptPropertyDef) else ""), kind))
    rows += [("region", code(name), "one block") for name, _ in definition.regions]
    for name, result in definition.results:
        mark = "*" if isinstance(result, VarResultDef) else ""
        rows.append(("result", code(name) + mark, _range_name(result.constr)))
    return table(("", "name", "kind"), rows)


def _range_name(constraint: object) -> str:
    """The element constraint of an operand or result, in a word."""
    inner = getattr(constraint, "constraint", constraint)
    return _constraint(getattr(inner, "constr", inner))


def _constraint(constraint: object) -> str:
    if isinstance(constraint, BaseAttr):
        return _kind(cast(BaseAttr[Any], constraint).attr)
    if isinstance(constraint, ParamAttrConstraint):
        typed = cast(ParamAttrConstraint[Any], constraint)
        name = _kind(typed.base_attr)
        parameters = [p.attr for p in typed.param_constrs if isinstance(p, EqAttrConstraint)]
        is_numbers = name == "list of integers" and any(str(p) == "f64" for p in parameters)
        return "list of numbers" if is_numbers else name
    if isinstance(constraint, VarConstraint):
        return _constraint(cast(VarConstraint[Any], constraint).constraint)
    if isinstance(constraint, AnyOf | AllOf):
        parts = cast(Sequence[AttrConstraint[Any]], cast(Any, constraint).attr_constrs)
        return " or ".join(_constraint(part) for part in parts)
    return _KINDS.get(type(constraint).__name__, "any")


def _kind(kind: type[Any]) -> str:
    return _KINDS.get(kind.__name__, f"#{kind.name}" if hasattr(kind, "name") else kind.__name__)


def _instructions(ops: Iterable[type[InstructionOp]]) -> str:
    from ..runtime.isa.table import TABLE, state_fields

    rows: list[tuple[str, ...]] = []
    for op in ops:
        row = TABLE[op.MNEMONIC]
        values = [spec.name for spec in (*row.scalars, *row.fields)]
        rows.append(
            (
                f"[`{op.name}`](isa.md#{row.mnemonic})",
                ", ".join(f"{a.name} ({' '.join(a.spaces)})" for a in row.addresses),
                ", ".join(values),
                ", ".join(spec.name for spec in state_fields(row)),
            )
        )
    from ..dialects import davinci_instruction

    return "\n".join(
        [
            "### Instruction ops\n",
            prose(davinci_instruction.__doc__),
            table(("op", "addresses", "values", "state, as operands"), rows),
        ]
    )


# -------------------------------------------------------------------------------------------------- passes


def passes_document() -> str:
    """The text of `docs/passes.md`."""
    lines = [
        "`ascend-opt FILE -p 'pass-name{option=value},pass-name'` runs passes, `--pipeline=NAME` a named",
        "pipeline, `--compile-to=LEVEL` everything up to a level, from whatever level the input is at.\n",
        "## Pipelines\n",
        table(("pipeline", "passes"), _pipelines()),
    ]
    parts = ["\n".join(lines)]
    for name, (module, _) in PASSES.items():
        parts.append(_pass(name, module))
    return document("Passes", "passes/ and lowering/", parts)


def _pipelines() -> Iterator[tuple[str, str]]:
    for name, passes in pipelines.PIPELINES.items():
        yield code(name), ", ".join(f"[{word}](#{word})" for word in passes)


def _pass(name: str, module: str) -> str:
    kind = load_pass(name)
    own = inspect.cleandoc(kind.__doc__ or "")
    text = inspect.getmodule(kind).__doc__ if own.startswith("See the module") else own
    file = f"{module.removeprefix('..').replace('.', '/')}.py"
    file = file if module.startswith("..") else f"passes/{file}"
    body = re.sub(rf"^(Pass|Lowering) {name}: |^`{name}`: ", "", text or "")
    body = body[:1].upper() + body[1:]
    return "\n".join([f"## {name}\n", f"[{file}](../{file})\n", prose(body), table(*_options(kind))])


def _options(kind: type[ModulePass]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    notes = _field_notes(kind)
    for field in dataclasses.fields(kind):
        if field.name == "name":
            continue
        default = field.default if field.default is not dataclasses.MISSING else "required"
        shown = "" if default in (None, "", ()) else str(default)
        note = sentence(notes.get(field.name))
        rows.append((code(field.name.replace("_", "-")), str(field.type), shown, note))
    return ("option", "type", "default", ""), rows


def _field_notes(kind: type[ModulePass]) -> dict[str, str]:
    """The strings that stand under the fields of a class: Python keeps no record of them."""
    notes: dict[str, str] = {}
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind)))
    body = cast(ast.ClassDef, tree.body[0]).body
    for field, text in pairwise(body):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            notes[field.target.id] = str(cast(ast.Constant, cast(ast.Expr, text).value).value)
    return notes
