"""`make isa`: writes `dialects/davinci_isa*.py`, one op class per row of the instruction table.

python -m ascend_mlir.tools.generate_isa [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..runtime.isa.model import Instruction
from ..runtime.isa.rows_scatter import SCATTER_ROWS
from ..runtime.isa.rows_select import SELECT_ROWS
from ..runtime.isa.table import INSTRUCTIONS

_FOLDER = Path(__file__).resolve().parent.parent / "dialects"
_INDEX = "davinci_isa.py"
_FILES = {
    "davinci_isa_vector.py": "the vector unit",
    "davinci_isa_data.py": "data movement, the cube and flags",
    "davinci_isa_rearrange.py": "the vector unit: blocks anywhere, selecting and rearranging lanes",
}

_HEAD = '''"""One op per machine instruction, of {unit}.  GENERATED from runtime/isa by `make isa`: do not edit."""

from __future__ import annotations

from typing import ClassVar

from xdsl.irdl import irdl_op_definition

from .davinci_instruction import InstructionOp
'''

_INDEX_HEAD = '''"""All instruction ops.  GENERATED from runtime/isa by `make isa`: do not edit."""

from __future__ import annotations

from .davinci_instruction import InstructionOp
'''

# Control flow and scalar arithmetic are scf and arith in the dialect, so these rows have no op of their own.
_SCALAR_ONLY = ("control",)
_SCALAR_KEPT = ("load_scalar", "store_scalar")


def has_op(row: Instruction) -> bool:
    """Whether the row is an op of the dialect (else it appears only in machine code)."""
    if row.family == "scalar":
        return row.mnemonic in _SCALAR_KEPT
    return row.family not in _SCALAR_ONLY


def class_name(row: Instruction) -> str:
    return "".join(part.capitalize() for part in row.mnemonic.split("_")) + "Op"


def _file_of(row: Instruction) -> str:
    if row in (*SELECT_ROWS, *SCATTER_ROWS):
        return "davinci_isa_rearrange.py"
    return "davinci_isa_vector.py" if row.pipe == "V" else "davinci_isa_data.py"


def _class_text(row: Instruction) -> str:
    doc = f"{row.doc}: {row.formula}" if row.formula else row.doc
    text = doc.replace('"""', "'''").replace("\\", "\\\\")
    result = "    result = result_def(IndexType)\n" if row.loads else ""
    return (
        f'\n\n@irdl_op_definition\nclass {class_name(row)}(InstructionOp):\n    """Pipe {row.pipe}. {text}"""  # noqa: E501\n\n'
        f'    name = "davinci.{row.mnemonic}"\n    MNEMONIC: ClassVar[str] = "{row.mnemonic}"\n{result}'
    )


def sources() -> dict[str, str]:
    """The texts of the generated modules by file name: the classes, and an index of them."""
    rows = [row for row in INSTRUCTIONS if has_op(row)]
    found: dict[str, str] = {}
    imports = ""
    for name, unit in sorted(_FILES.items()):
        own = [row for row in rows if _file_of(row) == name]
        found[name] = _HEAD.format(unit=unit) + "".join(map(_class_text, own))
        if any(row.loads for row in own):  # the one kind of instruction whose op has a result
            found[name] = found[name].replace(
                "from xdsl.irdl import irdl_op_definition",
                "from xdsl.dialects.builtin import IndexType\nfrom xdsl.irdl import irdl_op_definition, result_def",
            )
        names = "".join(f"    {name},\n" for name in sorted(map(class_name, own)))
        imports += f"from .{name.removesuffix('.py')} import (\n{names})\n"
    names = "".join(f"    {class_name(row)},\n" for row in rows)
    found[_INDEX] = (
        _INDEX_HEAD
        + imports
        + f"\nINSTRUCTION_OPS: list[type[InstructionOp]] = [\n{names}]\n"
        + "OP_BY_MNEMONIC: dict[str, type[InstructionOp]] = {op.MNEMONIC: op for op in INSTRUCTION_OPS}\n"
    )
    return found


def main() -> int:
    for name, text in sources().items():
        target = _FOLDER / name
        if "--check" in sys.argv[1:]:
            if not target.exists() or target.read_text(encoding="utf-8") != text:
                print(f"{name} is not current: run `make isa`", file=sys.stderr)
                return 1
        else:
            target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
