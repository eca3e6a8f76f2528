"""`docs/files.md`: every module with the first sentence of its docstring, in the order of a compilation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .docs_markdown import document, sentence, table

_ROOT: Final = Path(__file__).resolve().parent.parent
_FOLDERS: Final = (
    ("tools", "The commands, and what generates code and documents."),
    ("lowering", "From one level to the next."),
    ("dialects", "What each level can say."),
    ("passes", "One transformation within a level per file, and what they share."),
    ("passes/canonicalization", "Rewrite rules of level nn by subject."),
    ("runtime", "What is true of chips, files and runs, whoever compiled them."),
    ("runtime/isa", "The instruction table and its machine code."),
    ("runtime/om", "The offline model and its container."),
    ("runtime/sim", "The simulator."),
    ("runtime/page", "The HTML report of a run."),
    ("runtime/aicpu", "The AI CPU: a library of kernels beside the AI Core."),
    ("runtime/interp", "Reference semantics of the levels."),
)


def files_document() -> str:
    """The text of `docs/files.md`."""
    return document("Files", "the modules' docstrings", [part for row in _FOLDERS for part in _folder(*row)])


def _folder(name: str, says: str) -> Iterator[str]:
    yield f"## {name}/\n"
    yield f"{says}\n"
    rows: list[tuple[str, str]] = []
    for path in sorted((_ROOT / name).glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if docstring and not path.stem.endswith("_pb2"):
            rows.append((f"[{path.name}](../{name}/{path.name})", sentence(docstring)))
    yield table(("file", ""), rows)
