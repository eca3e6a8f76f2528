"""`make docs`: writes the documents that follow from the code.

    python -m ascend_mlir.tools.generate_docs [--check]

`docs/isa.md` from the instruction table and the SoC files, `docs/dialects.md` from the op definitions,
`docs/passes.md` from the pass registry, `docs/files.md` from docstrings, `docs/architecture.svg` from the
pipelines, `docs/operators.md` from the importer's handlers.  `--check` writes nothing and fails when one is old: CI runs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from .docs_files import files_document
from .docs_isa import isa_document
from .docs_levels import dialects_document, passes_document
from .docs_operators import operators_document
from .docs_picture import picture

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs"
DOCUMENTS: Final[dict[str, Callable[[], str]]] = {
    "isa.md": isa_document,
    "dialects.md": dialects_document,
    "passes.md": passes_document,
    "files.md": files_document,
    "operators.md": operators_document,
    "architecture.svg": picture,
}


def outdated() -> list[str]:
    """Names of the documents that do not say what the code says."""
    names: list[str] = []
    for name, make in DOCUMENTS.items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != make():
            names.append(name)
    return names


def main(args: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if args is None else args
    if "--check" in words:
        for name in (names := outdated()):
            print(f"docs/{name} is not current: run `make docs`", file=sys.stderr)
        return 1 if names else 0
    for name, make in DOCUMENTS.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
