"""The `.om` files of real models: written, read, written again; twice; as text; and in Netron (`make containers`).

    python benchmarks/containers.py [--folder ../shared/models] [--models bert.legacy,…] [--no-viewer]

For every model of the folder that compiles:

* file:   reading and writing gives the same bytes;
* text:   so does the way over the text of level om (`ascend-translate --om-to-mlir`, `--emit-om`);
* runs:   two compilations in processes with other hash seeds give the same file;
* viewer: Netron's page in a headless Chromium shows every node with its name and type, every weight with its shape
  and bytes, and no edge that dangles (`tests/support/netron_page.py` has the rules).

The exit status is 1 when one of them does not hold.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from ascend_mlir.dialects.om import model_to_om, om_to_model, payloads_of
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.tools.ascend_translate import model_of_text
from cores import SHARED, compile_file

SECONDS = 300
"""Time that Netron has to draw a model, on a machine that does other things."""
COLUMNS = ("file", "text", "runs", "viewer")


@dataclass
class Row:
    """A model: its size, and what held (`yes`), did not, or was not asked."""

    name: str
    size: int
    nodes: int
    weights: int
    held: dict[str, str] = field(default_factory=dict[str, str])


def compile_all(folder: Path, names: list[str], target: Path) -> None:
    """Every model of the folder that compiles, as a file in `target`; what does not is said."""
    for path in sorted(folder.glob("*/*.onnx")):
        if names and path.stem not in names:
            continue
        try:
            compile_file(path, "Ascend310P3").write(target / f"{path.stem}.om")
        except AscendError as error:
            print(f"{path.stem}: not compiled ({error.message.splitlines()[0]})", flush=True)


def _compile_apart(args: argparse.Namespace, target: Path, seed: str) -> str:
    """`compile_all` in a process whose sets and dictionaries are ordered otherwise; what it said."""
    target.mkdir()
    words = [
        sys.executable,
        __file__,
        "--folder",
        str(args.folder),
        "--models",
        args.models,
        "--compile",
        str(target),
    ]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
    )
    return done.stdout


def checked(path: Path, again: Path) -> tuple[Row, OmModel]:
    """All checks but the viewer's."""
    data = path.read_bytes()
    model = read_om(path)
    row = Row(path.stem, len(data), len(model.graph), len(model.weights))
    text = str(model_to_om(model))
    from_text = om_to_model(model_of_text(text, path.stem), payloads_of(model))
    row.held["file"] = "yes" if om_bytes(model) == data else "NO"
    row.held["text"] = "yes" if om_bytes(from_text) == data else "NO"
    row.held["runs"] = "yes" if again.is_file() and again.read_bytes() == data else "NO"
    return row, model


def view(rows: list[Row], models: list[OmModel], folder: Path) -> None:
    """Every file in Netron, one after the other in one browser."""
    import netron
    from browser import browser
    from netron_page import problems, served, show

    for row, model in zip(rows, models, strict=True):
        address = served(folder / f"{row.name}.om")
        try:
            with tempfile.TemporaryDirectory() as profile, browser(Path(profile), 2 * SECONDS) as tab:
                found = problems(show(tab, address, SECONDS), model)
        except TimeoutError as error:
            found = [str(error)]
        finally:
            netron.stop(address)
        row.held["viewer"] = "yes" if not found else "NO"
        for problem in found[:5]:
            print(f"{row.name}: {problem}", flush=True)


def can_view() -> bool:
    """Whether Netron and a browser are here."""
    from importlib.util import find_spec

    from browser import browser_path

    return find_spec("netron") is not None and browser_path() is not None


def table(rows: list[Row]) -> str:
    """A row for each model."""
    lines = [
        f"{'model':28}{'bytes':>10}{'nodes':>7}{'weights':>9}" + "".join(f"{name:>8}" for name in COLUMNS)
    ]
    for row in rows:
        held = "".join(f"{row.held.get(name, '-'):>8}" for name in COLUMNS)
        lines.append(f"{row.name:28}{row.size:10}{row.nodes:7}{row.weights:9}{held}")
    counts = [sum(row.held.get(name) == "yes" for row in rows) for name in COLUMNS]
    return "\n".join([*lines, f"{f'{len(rows)} models':54}" + "".join(f"{count:8}" for count in counts)])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--models", default="", help="names, default: all")
    parser.add_argument("--no-viewer", action="store_true")
    parser.add_argument("--compile", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.compile:
        compile_all(args.folder, [name for name in args.models.split(",") if name], args.compile)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        one, other = Path(scratch) / "one", Path(scratch) / "other"
        print(_compile_apart(args, one, "1"), end="", flush=True)
        _compile_apart(args, other, "2")
        found = [checked(path, other / path.name) for path in sorted(one.glob("*.om"))]
        rows, models = [row for row, _ in found], [model for _, model in found]
        if args.no_viewer or not can_view():
            print("Netron or a browser is not here: the viewer was not asked" if not args.no_viewer else "")
        else:
            view(rows, models, one)
    print(table(rows))
    return any(held == "NO" for row in rows for held in row.held.values()) or not rows


if __name__ == "__main__":
    sys.exit(main())
