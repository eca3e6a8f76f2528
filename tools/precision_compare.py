"""`atc precision-compare MODEL.onnx MODEL.om`: how far the offline model is from its source, and from where on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..runtime.errors import AscendError
from .command_line import FOUND_SOMETHING, OK, CommandParser, print_json, source_model, write_page
from .tensor_distance import COSINE_LIMIT, RELATIVE_LIMIT, Distance

if TYPE_CHECKING:
    from ..runtime.om.model import OmTensor
    from .layer_compare import Array, LayerDistance, NodeRange

HEADS: Final = "cosine#, relative#, max error#, mean error#, psnr#, ssim#, top1#, top5#"


def run_command(words: Sequence[str]) -> int:
    """The sub-command: 0 if all outputs are within the limits, 1 if not."""
    parser = CommandParser(
        "precision-compare",
        "Runs an offline model on the simulator and its source in onnxruntime, and compares what comes out.",
        "atc precision-compare resnet18.onnx resnet18.om --input=image.npy --layer_level --report=compare.html",
    )
    parser.add_argument("model", help="source model (ONNX)")
    parser.add_argument("om", help="offline model made of it (.om)")
    parser.add_argument(
        "--input", action="append", default=[], help=".npz, or [name=]FILE[,…]; without it random numbers"
    )
    parser.add_argument(
        "--source_input",
        "--source-input",
        action="append",
        default=[],
        help="the source's own inputs, if others",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    parser.add_argument(
        "--layer_level", "--layer-level", action="store_true", help="compare every fused operator as well"
    )
    parser.add_argument(
        "--cosine", type=float, default=COSINE_LIMIT, help="outputs must be above (default 0.99)"
    )
    parser.add_argument(
        "--relative", type=float, default=RELATIVE_LIMIT, help="outputs must be below (default 0.05)"
    )
    parser.add_argument("--report", help="HTML page (default: none, which - says too)")
    arguments = parser.parse_args(words)
    result = compare(
        source_model(arguments.model),
        Path(arguments.om),
        inputs=arguments.input,
        source_inputs=arguments.source_input,
        seed=arguments.seed,
        is_layered=arguments.layer_level,
        limits=(arguments.cosine, arguments.relative),
    )
    if arguments.report and arguments.report != "-":
        write_page(Path(arguments.report), result.page())
    if arguments.json:
        print_json(result.as_json())
    else:
        print("\n".join(result.lines()))
    return OK if result.is_good else FOUND_SOMETHING


class Comparison:
    """What was found. `outputs` are by name; `layers` are in the order in which the device computes them."""

    def __init__(
        self,
        name: str,
        soc: str,
        outputs: Mapping[str, Distance],
        layers: Sequence[LayerDistance],
        limits: tuple[float, float],
        leaving: Sequence[NodeRange] = (),
    ) -> None:
        self.name, self.soc = name, soc
        self.leaving = list(leaving)
        self.outputs = dict(outputs)
        self.layers = list(layers)
        self.limits = limits

    @property
    def is_good(self) -> bool:
        """Whether every output is within the limits; inner deviations matter only if an output is not."""
        return all(found.is_good(*self.limits) for found in self.outputs.values())

    @property
    def first_bad(self) -> LayerDistance | None:
        """The first operator outside the limits."""
        return next(
            (layer for layer in self.layers if layer.distance and not layer.distance.is_good(*self.limits)),
            None,
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, for scripts; figures that are no numbers are null."""
        bad = self.first_bad
        return {
            "model": self.name,
            "soc_version": self.soc,
            "ok": self.is_good,
            "limits": {"cosine": self.limits[0], "relative": self.limits[1]},
            "outputs": [{"name": name, **_figures(found)} for name, found in self.outputs.items()],
            "first_bad": bad.name if bad is not None else None,
            "leaving_fp16": [
                {"node": found.node, "low": found.low, "high": found.high, "readers": list(found.readers)}
                for found in self.leaving
            ],
            "layers": [
                {
                    "name": layer.name,
                    "type": layer.type,
                    "nodes": list(layer.nodes),
                    "tensor": layer.tensor,
                    "shape": list(layer.shape),
                    **(_figures(layer.distance) if layer.distance else {}),
                    **({"note": layer.note} if layer.note else {}),
                }
                for layer in self.layers
            ],
        }

    def lines(self) -> list[str]:
        """The report as text."""
        lines = [f"{self.name} on {self.soc}", f"  {'':<30}{_heads()}"]
        for name, found in self.outputs.items():
            mark = "" if found.is_good(*self.limits) else "  <- outside the limits"
            lines.append(f"  {name[-29:]:<30}{_row(found)}{mark}")
        if self.layers:
            lines += ["", "operators, in the order of the device:"]
            for layer in self.layers:
                text = _row(layer.distance) if layer.distance else layer.note
                mark = "  <- outside" if layer.distance and not layer.distance.is_good(*self.limits) else ""
                lines.append(f"  {layer.name[-29:]:<30}{text}{mark}")
            bad = self.first_bad
            if bad is not None:
                lines += [
                    "",
                    f"first outside the limits: {bad.name} ({bad.type}), nodes {', '.join(bad.nodes)}",
                ]
                lines.append(
                    f"  to keep it in f32: a line with each of these names in the file of --keep_dtype: {', '.join(bad.nodes)}"
                )
            lines += self._leaving_lines()
        return [*lines, "", "within the limits" if self.is_good else "NOT within the limits"]

    def _leaving_lines(self) -> list[str]:
        if not self.leaving:
            return []
        lines = ["", "values that fp16, which ends at 65504, does not hold:"]
        lines += [
            f"  node {found.node!r}: from {found.low:.4g} to {found.high:.4g}" for found in self.leaving
        ]
        names = dict.fromkeys(name for found in self.leaving for name in (found.node, *found.readers))
        return [*lines, f"  to keep them in f32: these names in the file of --keep_dtype: {', '.join(names)}"]

    def page(self) -> str:
        """The report as a page."""
        from ..runtime.page.tables import Cell, Section, columns, table_page

        def cells(found: Distance | None) -> tuple[Cell, ...]:
            if found is None:
                return (Cell(""),) * 8
            bad = not found.is_good(*self.limits)
            return tuple(Cell(_text(value), is_bad=bad and i < 2) for i, value in enumerate(_values(found)))

        sections = [
            Section(
                "outputs", "Outputs", columns=columns(f"output, {HEADS}"),
                rows=tuple((Cell(name), *cells(found)) for name, found in self.outputs.items()),
            )
        ]  # fmt: skip
        if self.layers:
            rows = tuple(
                (
                    Cell(layer.name),
                    Cell(layer.type),
                    *cells(layer.distance),
                    Cell(layer.tensor or layer.note),
                    Cell(", ".join(layer.nodes)),
                )
                for layer in self.layers
            )
            text = "Each fused operator beside the tensor of the source model that it stands for, in the order of the device."
            sections.append(
                Section(
                    "layers",
                    "Operators",
                    text,
                    columns=columns(f"operator, type, {HEADS}, tensor, nodes"),
                    rows=rows,
                )
            )
        bad = self.first_bad
        facts = [
            ("outputs", "within the limits" if self.is_good else "NOT within the limits"),
            ("limits", f"cosine above {self.limits[0]}, relative error below {self.limits[1]}"),
            (
                "first operator outside",
                bad.name if bad is not None else "none" if self.layers else "not asked (--layer_level)",
            ),
            *(
                (f"beyond fp16: {found.node}", f"values from {found.low:.4g} to {found.high:.4g}")
                for found in self.leaving
            ),
        ]
        return table_page(self.name, f"on {self.soc}, against its source", facts, [], sections)


def _values(found: Distance) -> tuple[float | None, ...]:
    return (
        found.cosine, found.relative, found.max_error, found.mean_error, found.psnr, found.ssim, found.top1, found.top5,
    )  # fmt: skip


NAMES: Final = ("cosine", "relative", "max_error", "mean_error", "psnr", "ssim", "top1", "top5")


def _figures(found: Distance) -> dict[str, float | None]:
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in zip(NAMES, _values(found), strict=True)
    }


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.6f}" if 1e-3 <= abs(value) < 1e3 else f"{value:.3g}"


def _heads() -> str:
    return "".join(f"{name:>12}" for name in NAMES)


def _row(found: Distance) -> str:
    return "".join(f"{_text(value):>12}" for value in _values(found))


def compare(
    model: Path,
    om_path: Path,
    *,
    inputs: Sequence[str] = (),
    source_inputs: Sequence[str] = (),
    seed: int = 0,
    is_layered: bool = False,
    limits: tuple[float, float] = (COSINE_LIMIT, RELATIVE_LIMIT),
) -> Comparison:
    """Runs both and compares."""
    from ..runtime.session import InferenceSession
    from .atc_run import read_inputs
    from .layer_compare import Source, compare_layers, leaving_fp16, matching_feed, random_feed, without_parts
    from .tensor_distance import distance

    if not om_path.is_file():
        raise AscendError(
            "E13000", f"{om_path} does not exist", expected="an offline model (.om)", hint="check the path"
        )
    session = InferenceSession(om_path)
    source = Source(model, every_tensor=is_layered)
    sets = session.input_sets
    feed = read_inputs(sets, _parts(inputs)) if inputs else random_feed(sets[0], seed)
    session.choose(feed)
    om = session.om
    source_feed = _source_feed(source, source_inputs) if source_inputs else matching_feed(om, source, feed)
    expected = source.run(source_feed)
    names = [entry.name for entry in session.get_outputs()]
    outputs: dict[str, Distance] = {}
    for name, array in zip(names, session.run(names, feed), strict=True):
        reference = _reference(name, source, expected)
        if reference.size != array.size:
            raise AscendError(
                "EH0001", f"output {name!r} has shape {list(array.shape)}, the source's {list(reference.shape)}",
                expected="the same size", hint="compare with the model that the file was made of",
            )  # fmt: skip
        outputs[name] = distance(array, reference.reshape(array.shape))
    layers = without_parts(list(compare_layers(om, source, feed, expected))) if is_layered else []
    leaving = leaving_fp16(source, expected, layers)
    return Comparison(om_path.name, om.soc, outputs, layers, limits, leaving)


def _parts(words: Sequence[str]) -> list[str]:
    return [part for word in words for part in word.split(",")]


def _reference(name: str, source: Any, expected: Mapping[str, Array]) -> Array:
    if name in expected:
        return expected[name]
    node, _, index = name.rpartition(":")
    tensors = source.tensors_of(node)
    if index.isdecimal() and int(index) < len(tensors) and tensors[int(index)] in expected:
        return expected[tensors[int(index)]]
    raise AscendError(
        "EH0001", f"the source model has no output {name!r}", expected=", ".join(source.outputs),
        hint="--layer_level compares outputs that were cut out with --out_nodes as well",
    )  # fmt: skip


def _source_feed(source: Any, words: Sequence[str]) -> dict[str, Array]:
    """The source's own inputs, by name."""
    from .atc_run import read_inputs

    kinds = {
        "float": "f32",
        "float16": "f16",
        "double": "f64",
        "uint8": "u8",
        "int8": "i8",
        "int32": "i32",
        "int64": "i64",
        "bool": "bool",
    }
    tensors = [
        _tensor(entry.name, kinds[entry.type[7:-1]], tuple(int(size) for size in entry.shape))
        for entry in source.session.get_inputs()
    ]
    return read_inputs([tensors], _parts(words))


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> OmTensor:
    """An input of the source as `read_inputs` wants it."""
    from math import prod

    from ..runtime.element_types import NUMPY
    from ..runtime.om.model import OmTensor

    return OmTensor(name, dtype, shape, prod(shape) * NUMPY[dtype].itemsize, 0)
