"""`docs/architecture.svg`: the levels from top to bottom, the passes between them, the files that do it.

Pass names come from `lowering/pipelines.py`, so the picture cannot grow old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from ..lowering import pipelines

WIDTH: Final = 1060
_LEFT, _BOX, _MIDDLE, _RIGHT = 20, 250, 300, 760
_LINE = 17
_STYLE: Final = """
text { font: 13px sans-serif; fill: #1b1f24 } .title { font-weight: bold; font-size: 15px }
.note { fill: #57606a; font-size: 12px } .code { font-family: monospace; font-size: 12px }
.level { fill: #ddf4ff; stroke: #0969da } .file { fill: #fff8c5; stroke: #9a6700 }
.machine { fill: #dafbe1; stroke: #1a7f37 }
.arrow { stroke: #57606a; stroke-width: 1.5; marker-end: url(#tip) }
"""


@dataclass(frozen=True)
class Stage:
    """A box, and what leads from it to the next one."""

    title: str
    says: Sequence[str]
    kind: str = "level"
    step: str = ""
    passes: Sequence[str] = ()
    files: Sequence[str] = field(default_factory=tuple)


STAGES: tuple[Stage, ...] = (
    Stage(
        "model file",
        ["ONNX, opset 1 to current"],
        "file",
        "import",
        (),
        ["lowering/onnx_*.py", "runtime/weights.py"],
    ),
    Stage(
        "nn",
        ["whole-tensor maths, logical shapes", "nn.group: what is fused"],
        step="fold, simplify, f16, fuse",
        passes=pipelines.NN,
        files=[
            "dialects/nn*.py, blobs.py",
            "passes/nn_*.py",
            "passes/canonicalization/",
            "passes/grouping.py",
        ],
    ),
    Stage(
        "nn, fused",
        ["one group = one task to be"],
        step="engines, layouts, schedules",
        passes=pipelines.ASCEND,
        files=["lowering/nn_to_ascend.py", "passes/layout_*.py", "lowering/cube_schedule.py"],
    ),
    Stage(
        "ascend",
        ["where every tensor lies", "engine and schedule of each group"],
        step="generate kernels",
        passes=pipelines.DAVINCI,
        files=[
            "lowering/cube_*.py",
            "lowering/vector_*.py",
            "lowering/move_*.py, tails.py",
            "lowering/kernel_builder.py",
        ],
    ),
    Stage(
        "davinci",
        ["loops, buffers, one op per instruction", "no addresses, no flags yet"],
        step="rings, addresses, flags, registers",
        passes=(*pipelines.KERNEL, *pipelines.MEMORY),
        files=[
            "passes/davinci_*.py",
            "passes/plan_memory.py",
            "runtime/isa/ (one table)",
            "lowering/davinci_to_code.py",
        ],
    ),
    Stage(
        "om",
        ["regions, weights, kernel images, tasks"],
        step="write",
        files=["lowering/davinci_to_om.py", "dialects/om*.py", "runtime/om/"],
    ),
    Stage(
        "file.om",
        ["bytes: all that the simulator sees"],
        "file",
        "load, check, translate",
        (),
        ["runtime/om/reader.py", "runtime/isa/decode.py"],
    ),
    Stage(
        "simulator",
        [
            "function: numbers as on the chip",
            "timing: cycles and why",
            "hazards: is the order guaranteed?",
        ],
        "machine",
        "",
        (),
        ["runtime/sim/", "runtime/socs/*.toml", "runtime/session.py"],
    ),
)


def _text(x: int, y: int, words: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{attribute}>{escape(words)}</text>'


def _wrapped(names: Sequence[str], limit: int = 58) -> list[str]:
    lines: list[str] = []
    for name in names:
        if lines and len(lines[-1]) + len(name) + 2 <= limit:
            lines[-1] += f", {name}"
        else:
            lines.append(name)
    return [f"{line}," for line in lines[:-1]] + lines[-1:]


def _stage(stage: Stage, top: int) -> tuple[list[str], int]:
    """The drawing of a stage and the top of the next one."""
    height = 30 + _LINE * len(stage.says)
    parts = [f'<rect x="{_LEFT}" y="{top}" width="{_BOX}" height="{height}" rx="6" class="{stage.kind}"/>']
    parts.append(_text(_LEFT + 12, top + 21, stage.title, "title"))
    parts += [_text(_LEFT + 12, top + 40 + _LINE * i, line, "note") for i, line in enumerate(stage.says)]
    passes = _wrapped(stage.passes)
    files_end = top + 20 + _LINE * len(stage.files)
    parts += [_text(_RIGHT, top + 20 + _LINE * i, line, "code") for i, line in enumerate(stage.files)]
    if not stage.step:
        return parts, max(top + height, files_end)
    middle = top + 20
    parts.append(_text(_MIDDLE, middle, stage.step))
    parts += [_text(_MIDDLE, middle + _LINE * (i + 1), line, "code") for i, line in enumerate(passes)]
    bottom = max(top + height + 26, middle + _LINE * len(passes) + 26, files_end + 12)
    x = _LEFT + _BOX // 2
    parts.append(f'<line x1="{x}" y1="{top + height}" x2="{x}" y2="{bottom - 5}" class="arrow"/>')
    return parts, bottom


def picture() -> str:
    """The text of `docs/architecture.svg`."""
    parts = [
        _text(_LEFT, 24, "level", "note"),
        _text(_MIDDLE, 24, "step to the next, and its passes", "note"),
        _text(_RIGHT, 24, "files", "note"),
    ]
    top = 36
    for stage in STAGES:
        drawn, top = _stage(stage, top)
        parts += drawn
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 20}" role="img">',
            "<title>ascend-mlir: levels, passes and files (generated by make docs)</title>",
            f"<style>{_STYLE}</style>",
            f'<defs>{tip}<path d="M0,0 L8,4 L0,8 z" fill="#57606a"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{top + 20}" fill="#ffffff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )
