"""`atc analyze MODEL.onnx`: structure, operators, parameters, multiplications, memory, and per layer the engine that will
compute it and what bounds it, as an HTML page, as text, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..runtime.page.charts import bound_class, quantity, size_text
from ..runtime.page.structure import MAX_BOXES, Box, structure_svg
from ..runtime.page.tables import Cell, Section, columns, table_page
from .atc_checks import check_flags, check_soc
from .atc_options import inspection_options
from .command_line import (
    OK,
    CommandParser,
    conversion_flags,
    print_json,
    print_notes,
    source_model,
    write_page,
)
from .model_analysis import Analysis, GroupCost, Layer, analyze

SLOWEST: Final = 10


def run_command(words: Sequence[str]) -> int:
    """The sub-command."""
    parser = CommandParser(
        "analyze",
        "Describes a model and predicts what bounds each layer. Takes the flags of a conversion as well.",
        'atc analyze resnet18.onnx --input_shape="image:1,3,224,224" --report=resnet18.html',
    )
    parser.add_argument("model", help="ONNX model")
    parser.add_argument(
        "--report", help="HTML page (default: MODEL_analysis.html in this folder; - for none)"
    )
    arguments, rest = parser.parse_known_args(words)
    flags = conversion_flags(rest)
    path = source_model(arguments.model)
    check_soc(flags)
    check_flags(flags)
    found = analyze(path, inspection_options(flags))
    page = Path(arguments.report or f"{path.stem}_analysis.html")
    if arguments.report != "-":
        write_page(page, page_text(found))
    if arguments.json:
        print_json(as_json(found))
    else:
        print("\n".join(lines_of(found)))
        if arguments.report != "-":
            print(f"page: {page}")
    print_notes(flags)
    return OK


def as_json(found: Analysis) -> dict[str, Any]:
    """Everything, for scripts."""
    return {
        "model": found.name,
        "soc_version": found.soc,
        "cycles": found.cycles,
        "latency_us": found.latency_us,
        "parameters": found.parameters,
        "macs": found.macs,
        "weight_bytes": found.weight_bytes,
        "memory_bytes": found.memory_bytes,
        "counts": dict(found.counts),
        "layers": [
            {**layer.__dict__, "shape": list(layer.shape) if layer.shape is not None else None}
            for layer in found.layers
        ],
        "groups": [{**g.__dict__, "nodes": list(g.nodes), "inputs": list(g.inputs)} for g in found.groups],
    }


def facts(found: Analysis) -> list[tuple[str, str]]:
    """The figures at the top."""
    seconds = found.latency_us * 1e-6
    return [
        ("predicted latency", f"{found.latency_us:.1f} µs"),
        ("inferences per second", f"{1 / seconds:.0f}" if seconds else "–"),
        ("nodes", str(len(found.layers))),
        ("operators on the device", str(found.counts.get("tasks", len(found.groups)))),
        ("parameters", quantity(found.parameters, "").strip()),
        ("multiplications", quantity(found.macs, "").strip()),
        ("achieved", quantity(2 * found.macs / seconds, "op/s") if seconds else "–"),
        ("weights in the file", size_text(found.weight_bytes)),
        ("memory for tensors", size_text(found.memory_bytes)),
    ]


def lines_of(found: Analysis) -> list[str]:
    """The summary as text."""
    lines = [
        f"{found.name} on {found.soc}",
        *(f"  {name:<24} {value}" for name, value in facts(found)),
        "",
        "slowest:",
    ]
    ranked = sorted(found.groups, key=lambda group: -group.cycles)[:SLOWEST]
    lines += [
        f"  {g.share:>6.1%}  {g.cycles:>9} cycles  {g.engine:<7} {g.bound:<16} {g.name} ({g.type})"
        for g in ranked
    ]
    return lines


def page_text(found: Analysis) -> str:
    """The page."""
    boxes = [Box(g.name, g.type, bound_class(_resource(g)), _title(g), g.inputs) for g in found.groups]
    bounds = {bound_class(_resource(group)): _resource(group) for group in found.groups}
    left_out = len(boxes) - MAX_BOXES
    sections = [
        Section(
            "structure",
            "Structure",
            "Operators of the offline model, coloured by what bounds them; the pointer over a box shows its nodes."
            + (f" {left_out} more are not drawn." if left_out > 0 else ""),
            structure_svg(boxes),
            tuple(sorted(bounds.items())),
        ),
        Section(
            "types",
            "Operators by type",
            columns=columns("type, nodes#, parameters#, multiplications#"),
            rows=tuple(_type_rows(found)),
        ),
        Section(
            "layers",
            "Layers",
            "Nodes of the source model. Cycles are those of the whole operator that a node was fused into; a node without one "
            "was folded at compile time or is a view.",
            columns=columns(
                "node, type, output, parameters#, multiplications#, engine, bound by, operator, cycles#"
            ),
            rows=tuple(_layer_row(layer) for layer in found.layers),
        ),
        Section(
            "operators",
            "Operators of the offline model",
            columns=columns("operator, type, engine, bound by, cycles#, share#, nodes"),
            rows=tuple(_group_row(group) for group in found.groups),
        ),
    ]
    notes = [
        "Cycles are predicted by the timing model of the simulator; atc run --report shows where they go inside an operator."
    ]
    return table_page(found.name, f"on {found.soc}", facts(found), notes, sections)


def _title(group: GroupCost) -> str:
    return f"{group.name}\n{group.engine}, {group.cycles} cycles ({group.share:.1%}), {group.bound}\n{', '.join(group.nodes)}"


def _type_rows(found: Analysis) -> list[tuple[Cell, ...]]:
    totals: dict[str, tuple[int, int, int]] = {}
    for layer in found.layers:
        count, parameters, macs = totals.get(layer.type, (0, 0, 0))
        totals[layer.type] = (count + 1, parameters + layer.parameters, macs + layer.macs)
    ranked = sorted(totals.items(), key=lambda item: (-item[1][2], -item[1][0], item[0]))
    return [(Cell(kind), *(Cell(str(number)) for number in numbers)) for kind, numbers in ranked]


def _layer_row(layer: Layer) -> tuple[Cell, ...]:
    shape = " × ".join(map(str, layer.shape)) if layer.shape is not None else "?"
    texts = (
        layer.name,
        layer.type,
        shape,
        layer.parameters or "",
        layer.macs or "",
        layer.engine,
        layer.bound,
        layer.task,
    )
    return (*(Cell(str(text)) for text in texts), Cell(str(layer.cycles) if layer.task else ""))


def _resource(group: GroupCost) -> str:
    """What bounds an operator, without how much."""
    return group.bound.rpartition(" ")[0] or group.bound


def _group_row(group: GroupCost) -> tuple[Cell, ...]:
    return (
        Cell(group.name),
        Cell(group.type),
        Cell(group.engine, is_bad=group.engine == "AI CPU"),
        Cell(group.bound),
        Cell(str(group.cycles)),
        Cell(f"{group.share:.1%}"),
        Cell(", ".join(group.nodes)),
    )
