"""`atc --mode=3`: check a model without compiling it, and write what was found (`check_result.json`)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from ..runtime.errors import AscendError, Refusal, UnsupportedOpError
from .atc_checks import check_flags, check_required, check_writable
from .atc_flags import ParsedFlags
from .atc_options import inspection_options
from .diagnostics import WORK_PATH
from .model_check import ModelCheck, check_file

REPORT: Final = "check_result.json"


def check_model(flags: ParsedFlags) -> None:
    """Mode 3. A model that cannot be compiled is an error, after its report is written."""
    path = check_required(flags, needs_output=False)
    check_flags(flags)
    options = inspection_options(flags)
    target = report_path(flags)
    check_writable(target, "check_report")
    found = check_file(path, options)
    for name, shape in found.guessed.items():
        flags.note(
            f"input {name!r} is open: {list(shape)} was assumed; give --input_shape for an exact answer"
        )
    write_report(found, target)
    print(f"{target}: {len(found.nodes)} nodes, {len(found.failed)} cannot be compiled")
    if found.error is not None:
        raise found.error
    if found.failed:
        items = [
            Refusal(node.name, node.type, node.requirement, node.reason, code=node.code)
            for node in found.failed
        ]
        raise UnsupportedOpError(items)


def report_path(flags: ParsedFlags) -> Path:
    """`--check_report`, else in the folder that the public tool's variable names, else here."""
    return (
        Path(flags.get("check_report"))
        if "check_report" in flags
        else Path(os.environ.get(WORK_PATH, "."), REPORT)
    )


def report_json(found: ModelCheck) -> dict[str, Any]:
    """The report in the public tool's form."""
    rows = [
        {
            "name": node.name,
            "type": node.type,
            "result": "success" if node.is_supported else "failed",
            "cause": []
            if node.is_supported
            else [{"code": node.code, "message": f"{node.reason}; {node.requirement}"}],
        }
        for node in found.nodes
    ]
    whole = [{"code": found.error.code, "message": found.error.message}] if found.error is not None else []
    return {
        "name": found.name,
        "result": "success" if found.is_supported else "failed",
        "total": len(rows),
        "pass": len(rows) - len(found.failed),
        "fail": len(found.failed),
        **({"cause": whole} if whole else {}),
        "op": rows,
    }


def write_report(found: ModelCheck, target: Path) -> None:
    """Writes the JSON file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            json.dumps(report_json(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise AscendError("E13004", f"cannot write {str(target)!r}: {error.strerror}") from error
