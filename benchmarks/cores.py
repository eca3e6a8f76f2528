"""Which tasks do not use all cores of the chip (`make cores`).

    python benchmarks/cores.py [--socs Ascend310P3] [--models resnet50,…] [--folder ../shared/models] [--all]

The promise (decision D6): every task with at least 8 granules of output uses all cores.  A granule is the least unit
that is whole 32-byte pieces of the output's layout: one position of a C1 plane in NC1HWC0, one row of a fractal column
in FRACTAL_NZ, 32 bytes of a row-major tensor.

A task with 8 or more of the multiples that its generator hands out (decision 0013, the attribute `granules` of the
kernel) and fewer blocks than min(cores, granules) leaves cores idle: it is listed, and the exit status is 1.  So is a
task of few granules that reads much on few cores (reductions to few numbers, whose work is not in the output).

A task whose output has 8 granules or more, but fewer of its generator's multiples than cores, is *coarse*: it is counted,
with its share of the cycles, and listed with `--all`.  A multiple suits the tiles (D6) as long as such tasks are short; one of
`LONGEST` cycles or more makes the exit status 1, too.

A recurrence has as many granules as independent sequences and directions (decision 0027): each step needs the whole state of
the step before, and blocks do not communicate.  Such tasks on fewer cores than the chip has are counted and listed apart.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from xdsl.dialects.builtin import IntegerAttr  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))
from ascend_mlir.dialects import ascend, davinci  # noqa: E402
from ascend_mlir.lowering.pipelines import CompiledModel, CompileOptions, compile_model  # noqa: E402
from ascend_mlir.runtime.errors import UnsupportedOpError  # noqa: E402
from ascend_mlir.runtime.session import InferenceSession  # noqa: E402
from ascend_mlir.runtime.soc import load_soc  # noqa: E402
from models import MODELS  # noqa: E402

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "models"
FEWEST = 8
"""Granules from which a task must use all cores (as far as it has granules for them)."""
LONGEST = 3000
"""Cycles of a coarse task from which a finer cut would be worth more than it costs: ten times the launch of a kernel."""
READ = 1024
"""Granules read from which a task of few results counts as work for all cores: 32 KB, what one core loads in the
300 cycles that the second launch of a split reduction costs."""


@dataclass(frozen=True)
class Task:
    """One launch: what it writes and reads in granules, and how many blocks share it."""

    model: str
    label: str
    engine: str
    kernel: str
    shapes: str
    written: int  # least units of the output
    read: int
    blocks: int
    granules: int
    cores: int
    cycles: int
    share: float

    @property
    def is_idle(self) -> bool:
        """Cores without work although the generator could give them some."""
        return self.granules >= FEWEST and self.blocks < min(self.cores, self.granules)

    @property
    def is_chain(self) -> bool:
        """Steps that need all of the step before: only whole sequences can go to other cores."""
        return self.engine == "recurrence" and self.blocks < self.cores and not self.is_idle

    @property
    def is_coarse(self) -> bool:
        """Fewer granules than cores of an output that has more units."""
        few = self.blocks < min(self.cores, self.written)
        return self.written >= FEWEST and few and not self.is_idle and not self.is_chain

    @property
    def is_lone_reduction(self) -> bool:
        """Few results of much data on few cores."""
        return self.written < FEWEST and self.read // READ * FEWEST > self.blocks < min(
            self.cores, self.granules
        )


def tasks_of(name: str, compiled: CompiledModel) -> Iterator[Task]:
    """The launches of a compiled model, in order."""
    report = InferenceSession(compiled.bytes).report
    cores = load_soc(compiled.om.soc).cores
    kernels = {op.sym_name.data: op for op in compiled.module.walk() if isinstance(op, davinci.KernelOp)}
    launches = [op for op in compiled.module.walk() if isinstance(op, davinci.LaunchOp | ascend.CopyOp)]
    total = max(1, report.cycles)
    for launch, entry in zip(launches, report.tasks, strict=True):
        if not isinstance(launch, davinci.LaunchOp):
            continue
        written = max(ascend.granules_of(value) for value in launch.outputs)
        read = max((ascend.granules_of(value) for value in launch.inputs), default=0)
        granules = kernels[launch.kernel.string_value()].attributes["granules"]
        assert isinstance(granules, IntegerAttr)
        shapes = (
            f"{' '.join(_text(v) for v in launch.inputs)} -> {' '.join(_text(v) for v in launch.outputs)}"
        )
        yield Task(
            name, entry.op_type, getattr(launch.attributes.get("engine"), "data", "?"), launch.kernel.string_value(), shapes,
            written, read, entry.blocks, granules.value.data, cores, entry.cycles, entry.cycles / total,
        )  # fmt: skip


def _text(value: Any) -> str:
    sizes = "x".join(map(str, ascend.shape_of(value)))
    return f"{ascend.layout_of(value).format}[{sizes}]{ascend.dtype_of(value)}"


# --------------------------------------------------------------------------------------------------- models
def compiled_models(names: list[str], folder: Path, soc: str) -> Iterator[tuple[str, CompiledModel]]:
    """The benchmark's networks and every model file of the folder, with the input sizes stored beside it."""
    for name in MODELS:
        if not names or name in names:
            model = MODELS[name]()
            yield name, compile_model(model.SerializeToString(), CompileOptions(soc=soc, name=name))
    for path in sorted(folder.glob("*/*.onnx")):
        if names and path.stem not in names:
            continue
        try:
            yield path.stem, compile_file(path, soc)
        except UnsupportedOpError as error:
            print(f"{path.stem}: not compiled ({error.items[0].requirement})", file=sys.stderr)


def compile_file(path: Path, soc: str) -> CompiledModel:
    stored = np.load(path.with_suffix(".npz"))
    model = onnx.load(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    feed = {name: stored[f"in_{k}"] for k, name in enumerate(inputs)}
    shapes, values = {name: array.shape for name, array in feed.items()}, dict[str, Any]()
    while True:
        try:
            options = CompileOptions(soc=soc, name=path.stem, input_shapes=shapes, input_values=values)
            return compile_model(path, options)
        except UnsupportedOpError as error:
            wanted = {name for item in error.items for name in item.inputs} - set(values)
            if not wanted:
                raise
            values |= {name: feed[name] for name in wanted}


# --------------------------------------------------------------------------------------------------- report
def show(tasks: list[Task]) -> None:
    for task in sorted(tasks, key=lambda t: -t.cycles):
        print(
            f"  {task.cycles:>8} cycles {task.share:6.1%}  blocks {task.blocks:>2}  "
            f"{task.granules:>5} granules of {task.written:>7} units  {task.engine:6} {task.model}: {task.kernel}  {task.shapes}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--models", default="", help="names, default: all")
    parser.add_argument("--socs", default="Ascend310P3")
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--all", action="store_true", help="list coarse tasks, too")
    args = parser.parse_args()
    failed = False
    for soc in args.socs.split(","):
        names = [name for name in args.models.split(",") if name]
        tasks: list[Task] = []
        for name, compiled in compiled_models(names, args.folder, soc):
            tasks += tasks_of(name, compiled)
        idle, coarse = [task for task in tasks if task.is_idle], [task for task in tasks if task.is_coarse]
        lone = [task for task in tasks if task.is_lone_reduction]
        due = sum(task.written >= FEWEST for task in tasks)
        total = max(1, sum(task.cycles for task in tasks))
        print(f"{soc}: {len(tasks)} tasks, {due} with at least {FEWEST} granules, {len(idle)} of them leave cores idle that they could use "
              f"({sum(t.cycles for t in idle) / total:.2%} of {total} cycles)")  # fmt: skip
        show(idle)
        long = [task for task in coarse if task.cycles >= LONGEST]
        print(f"{soc}: {len(coarse)} have fewer of their generator's multiples (decision 0013) than cores "
              f"({sum(t.cycles for t in coarse) / total:.2%} of the cycles), the longest of them "
              f"{max((t.cycles for t in coarse), default=0)} cycles, {len(long)} at least {LONGEST}")  # fmt: skip
        show(coarse if args.all else long)
        print(f"{soc}: {len(lone)} tasks of few results read {READ} granules or more on too few cores "
              f"({sum(t.cycles for t in lone) / total:.2%} of the cycles)")  # fmt: skip
        show(lone)
        chains = [task for task in tasks if task.is_chain]
        print(
            f"{soc}: {len(chains)} recurrences of fewer sequences than cores ({sum(t.cycles for t in chains) / total:.2%} of the cycles)"
        )
        show(chains)
        failed = failed or bool(idle or long or lone)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
