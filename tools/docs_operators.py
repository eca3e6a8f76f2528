"""`docs/operators.md`: which ONNX operators are imported, what is asked of them, and what the AI CPU computes."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ..lowering import onnx_constraints
from ..lowering.onnx_constraints import requirement_of
from ..lowering.onnx_ops import HANDLERS, Handler, supported_ops
from ..passes.ai_cpu import KERNELS, TYPES
from .docs_markdown import code, document, table

_INTRO = """Every operator with a handler, since which opset version, in which file, and the requirements that the
handler itself asks for by name; each refusal names node, requirement and actual value. Operators that ONNX defines as
functions and that are not listed are expanded through their bodies, model-local functions through theirs. What no
kernel generator takes is refused after import, again by node (`lowering/refusals.py`)."""
_CPU_INTRO = """These two lists are `passes/ai_cpu.py`: an op runs on the AI CPU if one of its element types is in the
first or its kernel is in the second, and never otherwise. Reports name every such task with its reason and its modelled
cost; 64-bit integers stay on the AI Core where their values are proven to fit 32 bits (pass `nn-narrow-types`)."""


def operators_document() -> str:
    """The text of `docs/operators.md`."""
    return document("ONNX operators", "lowering/onnx_ops_*.py and passes/ai_cpu.py", _parts())


def _parts() -> Iterator[str]:
    rows = [_row(*key) for key in supported_ops()]
    yield f"{_INTRO}\n"
    yield table(("operator", "since", "file", "requirements"), rows)
    yield "## On the AI CPU\n"
    yield f"{_CPU_INTRO}\n"
    yield table(("element type", "why"), [(code(name), reason) for name, reason in TYPES.items()])
    yield table(("kernel", "why"), [(code(name), reason) for name, reason in KERNELS.items()])


def _row(domain: str, name: str, since: int) -> tuple[str, int, str, str]:
    handler = HANDLERS[domain, name, since]
    module = sys.modules[handler.__module__]
    file = Path(inspect.getfile(module)).name
    shown = f"{domain}::{name}" if domain else name
    asked = "; ".join(_requirements(handler))
    return shown, since, f"[{Path(file).stem}](../lowering/{file})", asked


def _requirements(handler: Handler) -> list[str]:
    """Sentences of the constraints that the handler, or a function of its module that it calls, names."""
    functions = _functions(handler.__module__)
    names: dict[str, None] = {}
    stack, seen = [handler.__qualname__.split(".")[0]], set[str]()
    while stack:
        current = stack.pop()
        if current in seen or current not in functions:
            continue
        seen.add(current)
        constraints, called = functions[current]
        names.update(dict.fromkeys(constraints))
        stack += called
    return [requirement_of(getattr(onnx_constraints, name)) for name in names]


@lru_cache(maxsize=64)
def _functions(module: str) -> dict[str, tuple[list[str], list[str]]]:
    """Function name → (constraints it names, names it calls) for one module."""
    tree = ast.parse(Path(inspect.getfile(sys.modules[module])).read_text(encoding="utf-8"))
    found: dict[str, tuple[list[str], list[str]]] = {}
    for function in (item for item in tree.body if isinstance(item, ast.FunctionDef)):
        asked: list[str] = []
        called: list[str] = []
        for item in ast.walk(function):
            if (
                isinstance(item, ast.Attribute)
                and isinstance(item.value, ast.Name)
                and item.value.id == "constraints"
            ):
                asked.append(item.attr)
            elif isinstance(item, ast.Name):
                called.append(item.id)
        found[function.name] = (asked, called)
    return found
