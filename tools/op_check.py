"""`atc op-check MODEL.onnx`: which nodes can be compiled, what computes them, why not, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .atc_checks import check_soc
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
from .model_check import ModelCheck, NodeCheck, check_file

SHOWN: Final = 50
"""Nodes that are listed one by one; --json has all."""


def run_command(words: Sequence[str]) -> int:
    """The sub-command: 0 if every node can be compiled, 1 if not."""
    parser = CommandParser(
        "op-check",
        "Says which nodes of a model can be compiled, without compiling it. Takes the flags of a conversion as well.",
        'atc op-check yolo.onnx --input_shape="images:1,3,640,640" --soc_version=Ascend310P3',
    )
    parser.add_argument("model", help="ONNX model")
    parser.add_argument(
        "--deep", action="store_true", help="also generate every kernel: slower, finds everything"
    )
    arguments, rest = parser.parse_known_args(words)
    flags = conversion_flags(rest)
    path = source_model(arguments.model)
    check_soc(flags)
    found = check_file(path, inspection_options(flags), is_deep=arguments.deep)
    if arguments.json:
        print_json(as_json(found))
    else:
        print("\n".join(lines_of(found)))
    print_notes(flags)
    return OK if found.is_supported else FOUND_SOMETHING


def as_json(found: ModelCheck) -> dict[str, Any]:
    """Everything that is known, for scripts."""
    return {
        "model": found.name,
        "soc_version": found.soc,
        "opset": found.opset,
        "supported": found.is_supported,
        "nodes": len(found.nodes),
        "unsupported": len(found.failed),
        "guessed_shapes": {name: list(shape) for name, shape in found.guessed.items()},
        "error": {"code": found.error.code, "message": found.error.message} if found.error else None,
        "types": [{"type": kind, "nodes": total, "unsupported": bad} for kind, total, bad in found.by_type()],
        "ops": [_node_json(node) for node in found.nodes],
    }


def _node_json(node: NodeCheck) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": node.name, "type": node.type, "supported": node.is_supported}
    if node.engine:
        entry["engine"] = node.engine
    if not node.is_supported:
        entry |= {
            "code": node.code,
            "reason": node.reason,
            "requirement": node.requirement,
            "remedy": node.remedy,
        }
    return entry


def lines_of(found: ModelCheck) -> list[str]:
    """The report as text."""
    count = len(found.nodes)
    lines = [f"{found.name}: {count} nodes, opset {found.opset}, for {found.soc}"]
    for name, shape in found.guessed.items():
        sizes = ",".join(map(str, shape))
        lines.append(f'  input {name!r} is open; assumed --input_shape="{name}:{sizes}"')
    lines += ["", f"  {'operator':<28} {'nodes':>6} {'no':>5}"]
    lines += [f"  {kind:<28} {total:>6} {bad or '':>5}" for kind, total, bad in found.by_type()]
    for node in found.failed[:SHOWN]:
        lines += [
            "",
            f"  {node.type} {node.name!r}",
            f"    why: {node.reason} ({node.requirement}) [{node.code}]",
            f"    what would help: {node.remedy}",
        ]
    if len(found.failed) > SHOWN:
        lines.append(f"  … and {len(found.failed) - SHOWN} more (--json lists all)")
    if found.error is not None:
        lines += ["", f"  {found.error.code}: {found.error.message}", f"    {found.error.hint}"]
    if found.error is not None:
        return [*lines, "", "the model cannot be compiled as it is"]
    verdict = (
        "every node can be compiled"
        if found.is_supported
        else f"{len(found.failed)} of {count} nodes cannot be compiled"
    )
    return [*lines, "", verdict]
