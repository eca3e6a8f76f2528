"""`make isa`: writes `dialects/davinci_isa.py`, one op class per row of the instruction table.

python -m ascend_mlir.tools.generate_isa [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..runtime.isa.model import Instruction
from ..runtime.isa.table import INSTRUCTIONS

_TARGET = Path(__file__).resolve().parent.parent / "dialects" / "davinci_isa.py"

_HEAD = '''"""One op per machine instruction.  GENERATED from runtime/isa by `make isa`: do not edit."""

from __future__ import annotations

from typing import ClassVar

from xdsl.irdl import irdl_op_definition

from .davinci_instruction import InstructionOp
'''

# Control flow and scalar arithmetic are scf and arith in the dialect, so these rows have no op of their own.
_SCALAR_ONLY = ("control",)
_SCALAR_KEPT = ("load_scalar", "store_scalar")


def has_op(row: Instruction) -> bool:
    """Whether the row is an op of the dialect (else it appears only in machine code)."""
    if row.family == "scalar":
        return row.mnemonic == "store_scalar"
    return row.family not in _SCALAR_ONLY


def class_name(row: Instruction) -> str:
    return "".join(part.capitalize() for part in row.mnemonic.split("_")) + "Op"


def source() -> str:
    """The text of the generated module."""
    parts = [_HEAD]
    rows = [row for row in INSTRUCTIONS if has_op(row)]
    for row in rows:
        doc = f"{row.doc}: {row.formula}" if row.formula else row.doc
        text = doc.replace('"""', "'''").replace("\\", "\\\\")
        parts.append(
            f'\n\n@irdl_op_definition\nclass {class_name(row)}(InstructionOp):\n    """Pipe {row.pipe}. {text}"""  # noqa: E501\n\n'
            f'    name = "davinci.{row.mnemonic}"\n    MNEMONIC: ClassVar[str] = "{row.mnemonic}"\n'
        )
    names = "".join(f"    {class_name(row)},\n" for row in rows)
    parts.append(f"\n\nINSTRUCTION_OPS: list[type[InstructionOp]] = [\n{names}]\n")
    parts.append(
        "OP_BY_MNEMONIC: dict[str, type[InstructionOp]] = {op.MNEMONIC: op for op in INSTRUCTION_OPS}\n"
    )
    return "".join(parts)


def main() -> int:
    text = source()
    if "--check" in sys.argv[1:]:
        if _TARGET.read_text(encoding="utf-8") != text:
            print(f"{_TARGET.name} is not current: run `make isa`", file=sys.stderr)
            return 1
        return 0
    _TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
