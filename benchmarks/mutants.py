"""The mutation test of the hazard check: does it report every kernel whose synchronisation was damaged?

    python benchmarks/mutants.py [--models resnet18,softmax] [--orders 20] [--jobs 2] [--json OUT [--resume]]

The kernels of compiled models are mutated (`sync_mutants.py` says how), one static sync instruction at a time.
Each mutant is judged three times, by code that shares nothing but the decoder:

* *reported*: the hazard check (`runtime/sim/hazards.py`) finds a hazard or a misused flag;
* *proven redundant* (`order_proof.py`): every block still executes the same work, no flag is misused, and
  either what is left implies every order that was there ("implied"), or, the weaker claim, every two
  instructions that share a byte which one of them writes are still in order ("harmless");
* *outputs differ*: device memory after one of N seeded random orders (`runtime/sim/order.py`) is not what the
  kernel leaves behind, or the run faults ("stopped").

Missed = neither reported nor proven redundant, or outputs differ without a report.  False = the kernel as
compiled is reported, differs in some order or has an unordered pair; or a mutant that is proven redundant is
reported.  Both must be 0: the exit status says so.

OUT is written after every kernel; with `--resume` a run that was stopped goes on, and kernels whose bytes are known
from it are not judged again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import models
import onnx
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.sim.assumed_loads import steered_by_data
from ascend_mlir.runtime.sim.device import Device, run_blocks
from ascend_mlir.runtime.sim.executors import FunctionKernel, function_kernel
from ascend_mlir.runtime.sim.gm_ranges import task_ranges
from ascend_mlir.runtime.sim.gm_state import GmRange
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.memory import Core, GlobalMemory, Region
from ascend_mlir.runtime.sim.order import random_kernel
from ascend_mlir.runtime.sim.program import Program
from ascend_mlir.runtime.soc import Soc, load_soc
from order_proof import Order, broken, implied, needed, order_of, same_work
from sync_mutants import KINDS, Mutant, mutants_of

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "models"
SEED = 11


def _softmax() -> onnx.ModelProto:
    g = models.GraphBuilder("softmax")
    return g.model({"x": (64, 200)}, [g.node("Softmax", ["x"], axis=-1)])


def _layernorm() -> onnx.ModelProto:
    g = models.GraphBuilder("layernorm")
    scale, bias = (g.weight(g.rng.standard_normal(200)) for _ in range(2))
    return g.model({"x": (64, 200)}, [g.node("LayerNormalization", ["x", scale, bias], axis=-1)])


def _attention(queries: int, keys: int, masked: bool) -> onnx.ModelProto:
    """Two heads of width 40 as exporters write them."""
    g = models.GraphBuilder("attention")
    shapes = {"q": (1, 2, queries, 40), "k": (1, 2, 40, keys), "v": (1, 2, keys, 40)}
    scores = g.node("MatMul", ["q", "k"])
    if masked:
        shapes["mask"] = (1, 1, queries, keys)
        scores = g.node("Add", [scores, "mask"])
    return g.model(shapes, [g.node("MatMul", [g.node("Softmax", [scores], axis=-1), "v"])])


def _top_k(rows: int, length: int, count: int) -> onnx.ModelProto:
    """The best of rows, and where they stood as floats."""
    g = models.GraphBuilder("top_k")
    g.weights.append(onnx.numpy_helper.from_array(np.array([count]), "k"))
    g.nodes.append(onnx.helper.make_node("TopK", ["x", "k"], ["best", "places"], name="top_k"))
    return g.model({"x": (rows, length)}, ["best", g.node("Cast", ["places"], to=onnx.TensorProto.FLOAT)])


_BUILT = {
    "softmax": _softmax,
    "layernorm": _layernorm,
    "attention": lambda: _attention(90, 77, True),
    "attention_long": lambda: _attention(260, 1300, False),  # keys in pieces
    "top_k_rows": lambda: _top_k(40, 300, 10),
    "top_k_pieces": lambda: _top_k(1, 5000, 16),
    "top_k_passes": lambda: _top_k(1, 5000, 5000),  # blocks through the workspace
}
DEFAULT = (
    "resnet18.legacy",
    "mobilenet_v2.legacy",
    "digits",
    "softmax",
    "layernorm",
    "attention",
    "attention_long",
    "top_k_rows",
    "top_k_pieces",
    "top_k_passes",
)


def model_path(name: str) -> Path:
    """The file of a model: built here, the example, or one of the shared folder (`tiny/NAME`, `real/NAME`)."""
    if name == "digits":
        return ROOT / "examples" / "digits" / "digits.onnx"
    if name not in _BUILT:
        folders = [folder / f"{name}.onnx" for folder in (SHARED / "tiny", SHARED / "real")]
        return next((path for path in folders if path.exists()), folders[0])
    path = ROOT / "build" / "benchmarks" / f"mutants_{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(_BUILT[name](), path)
    return path


def _feed(path: Path) -> dict[str, np.ndarray]:
    """Inputs by name: those beside a shared model, else seeded random numbers."""
    graph = onnx.load(path, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    stored = path.with_suffix(".npz")
    if stored.exists():
        with np.load(stored) as arrays:
            return {value.name: arrays[f"in_{i}"] for i, value in enumerate(inputs)}
    rng = np.random.default_rng(SEED)
    sizes = [[d.dim_value or 4 for d in value.type.tensor_type.shape.dim] for value in inputs]
    return {v.name: rng.standard_normal(n).astype(np.float32) for v, n in zip(inputs, sizes, strict=True)}


@dataclass(frozen=True)
class Case:
    """A kernel with what its first task finds in device memory."""

    model: str
    name: str
    soc: Soc
    program: Program
    args: tuple[int, ...]
    blocks: int
    ranges: list[GmRange] | None
    regions: tuple[Region, ...]

    def memory(self) -> GlobalMemory:
        """Device memory as it is before the task; weights are shared, the rest is a copy."""
        regions = [Region(r.base, r.data.copy() if r.writable else r.data, r.writable) for r in self.regions]
        return GlobalMemory(regions, [(r.base, r.size) for r in self.ranges or ()])


@dataclass
class Tally:
    """Figures of one kernel, of one kind of mutant, or of all."""

    mutants: int = 0
    reported: int = 0
    implied: int = 0
    harmless: int = 0
    differing: int = 0
    stopped: int = 0
    missed: int = 0
    false: int = 0

    def add(self, other: Tally) -> None:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Result:
    """What became of one kernel and its mutants."""

    model: str
    kernel: str
    digest: str
    orders: int
    limit: int
    kinds: dict[str, Tally] = field(default_factory=dict[str, Tally])
    rules: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])
    skipped: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    def total(self) -> Tally:
        whole = Tally()
        for tally in self.kinds.values():
            whole.add(tally)
        return whole

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        kinds = {kind: asdict(tally) for kind, tally in self.kinds.items()}
        return {**vars(self), "kinds": kinds, "rules": dict(self.rules)}

    @staticmethod
    def read(plain: dict[str, Any]) -> Result:
        """What `plain` wrote."""
        kinds = {kind: Tally(**tally) for kind, tally in plain["kinds"].items()}
        return Result(**{**plain, "kinds": kinds, "rules": Counter(plain["rules"])})


def cases_of(name: str, soc_name: str = "Ascend310P3") -> list[Case]:
    """Every distinct kernel of a model, at the moment its first task runs."""
    path = model_path(name)
    feed = _feed(path)
    options = CompileOptions(soc=soc_name, name=name, input_shapes={n: a.shape for n, a in feed.items()})
    om = read_om(compile_model(path, options).bytes)
    device = Device(load_soc(soc_name), workers=1)
    device.load(om)
    device.write_inputs({tensor.name: feed[tensor.name] for tensor in om.inputs})
    cases: dict[str, Case] = {}
    for number, task in enumerate(om.tasks):
        if task.is_ai_core and task.kernel not in cases:
            words, ranges = tuple(om.arg_words(task)), task_ranges(om, task)
            program = device.kernels[task.kernel].program
            regions = tuple(Region(r.base, r.data.copy(), r.writable) for r in device.memory.regions)
            cases[task.kernel] = Case(
                name, task.kernel, device.soc, program, words, task.block_dim, ranges, regions
            )
        device.run_task(number)
    return list(cases.values())


def _after(case: Case, kernel: FunctionKernel, order: Sequence[int]) -> bytes:
    """The task's results, blocks in the given order; nothing on chip is zero by luck.

    Behind a result are spare bytes that a store may run into with whatever was on chip (decision D8): they are not compared.
    """
    memory = case.memory()
    core = Core(case.soc, memory)
    core.ub[...] = np.random.default_rng(SEED).integers(0, 256, core.ub.size)
    with np.errstate(all="ignore"):
        for block in order:
            run_blocks(kernel, core, case.args, range(block, block + 1), case.blocks)
    region = memory.regions[0]
    results = [r for r in case.ranges or () if r.result]
    if not results:
        return region.data.tobytes()
    return b"".join(region.data[r.base - region.base :][: r.size].tobytes() for r in results)


def _in_random_orders(case: Case, program: Program, straight: bytes, orders: int) -> str:
    """ "differ", "stopped" (a fault) or "same"."""
    kernel = random_kernel(program, case.soc, SEED)
    rng = np.random.default_rng(SEED)
    for _ in range(orders):
        try:
            if _after(case, kernel, rng.permutation(case.blocks).tolist()) != straight:
                return "differ"
        except AscendError:
            return "stopped"
    return "same"


class Judge:
    """One kernel: what it guarantees, and verdicts on its mutants."""

    def __init__(self, case: Case, orders: int) -> None:
        self.case = case
        self.orders = orders
        self.straight = _after(case, function_kernel(case.program, case.soc), range(case.blocks))
        self.blocks = [self._order(case.program, block) for block in range(case.blocks)]
        self.needed = [needed(case.program, case.soc, order) for order in self.blocks]

    def _order(self, program: Program, block: int) -> Order:
        return order_of(program, self.case.soc, self.case.args, block, self.case.blocks)

    def hazards(self, program: Program) -> list[str]:
        """Rules that the hazard check says are broken."""
        case = self.case
        try:
            found = check_task(case.soc, program, case.args, case.blocks, case.ranges)
        except AscendError as error:
            return [str(error)]
        return [hazard.rule for hazard in found]

    def flaws(self) -> list[str]:
        """What is wrong with the kernel as compiled: must be nothing."""
        found = [f"reported: {rule}" for rule in self.hazards(self.case.program)]
        for order, pairs in zip(self.blocks, self.needed, strict=True):
            found += [*order.problems, *(f"unordered pair {pair}" for pair in broken(order, pairs))]
        outputs = _in_random_orders(self.case, self.case.program, self.straight, self.orders)
        return found if outputs == "same" else [*found, f"outputs {outputs} in a random order"]

    def proof(self, program: Program) -> str:
        """ "implied", "harmless" or "" when the order is not proven to be enough."""
        best = "implied"
        for block, (first, pairs) in enumerate(zip(self.blocks, self.needed, strict=True)):
            second = self._order(program, block)
            if second.problems or not same_work(self.case.program, first, program, second):
                return ""
            if not implied(first, second):
                best = "harmless"
                if broken(second, pairs):
                    return ""
        return best

    def verdict(self, mutant: Mutant, result: Result) -> Tally:
        rules = self.hazards(mutant.program)
        result.rules.update(set(rules))
        proof = self.proof(mutant.program)
        outputs = _in_random_orders(self.case, mutant.program, self.straight, self.orders)
        missed = not rules and (not proof or outputs != "same")
        false = bool(rules and proof)
        if missed or false or (proof and outputs != "same"):
            kind = "missed" if missed else "false" if false else "proof is wrong"
            result.notes.append(f"{kind}: {mutant.kind} at {mutant.what}: {rules} {proof} {outputs}")
        return Tally(
            mutants=1,
            reported=bool(rules),
            implied=proof == "implied",
            harmless=proof == "harmless",
            differing=outputs == "differ",
            stopped=outputs == "stopped",
            missed=missed,
            false=false,
        )


def judge_kernel(case: Case, orders: int, limit: int = 0) -> Result:
    """All mutants of a kernel (or an even choice of `limit` of them)."""
    began = time.perf_counter()
    result = Result(case.model, case.name, case.program.digest, orders, limit)
    if steered_by_data(case.program):
        result.skipped.append("scalars from memory steer the kernel: its order depends on data")
        return result
    judge = Judge(case, orders)
    flaws = judge.flaws()
    result.kinds["as compiled"] = Tally(false=len(flaws))
    result.notes += [f"as compiled: {flaw}" for flaw in flaws]
    pairs = set[tuple[int, int]]().union(*(order.pairs for order in judge.blocks))
    events: dict[tuple[int, int], set[int]] = {}
    for order in judge.blocks:
        for pair, numbers in order.events.items():
            events.setdefault(pair, set()).update(numbers)
    chosen: dict[str, Mutant] = {}
    for mutant in mutants_of(case.program, pairs, events, result.skipped.append):
        if mutant.program.digest != case.program.digest:
            chosen.setdefault(mutant.program.digest, mutant)
    mutants = list(chosen.values())
    if limit and len(mutants) > limit:
        mutants = [mutants[i * len(mutants) // limit] for i in range(limit)]
    for mutant in mutants:
        result.kinds.setdefault(mutant.kind, Tally()).add(judge.verdict(mutant, result))
    result.seconds = time.perf_counter() - began
    return result


_CASES: list[Case] = []  # forked processes inherit it


def _job(job: tuple[int, int, int]) -> Result:
    number, orders, limit = job
    return judge_kernel(_CASES[number], orders, limit)


COLUMNS = tuple(Tally.__dataclass_fields__)


def table(rows: Sequence[tuple[str, Tally]]) -> str:
    """Aligned text."""
    lines = [f"{'':46}" + "".join(f"{name:>10}" for name in COLUMNS)]
    for name, tally in rows:
        lines.append(f"{name:46}" + "".join(f"{value:>10}" for value in asdict(tally).values()))
    return "\n".join(lines)


def summary(results: Sequence[Result]) -> list[tuple[str, Tally]]:
    """A row for each kind, then each model, then all."""
    rows: dict[str, Tally] = {kind: Tally() for kind in ("as compiled", *KINDS)}
    for result in results:
        for kind, tally in result.kinds.items():
            rows[kind].add(tally)
    for result in results:
        rows.setdefault(f"model {result.model}", Tally()).add(result.total())
    whole = Tally()
    for result in results:
        whole.add(result.total())
    return [*rows.items(), (f"all, {len(results)} kernels", whole)]


def _judge_all(orders: int, limit: int, jobs: int, out: Path | None, resume: bool) -> list[Result]:
    """Results of all cases, in their order; every one is printed and kept in `out` as soon as it is there."""
    known: dict[tuple[str, int, int], Result] = {}
    if resume and out is not None and out.exists():
        for plain in json.loads(out.read_text(encoding="utf-8")):
            result = Result.read(plain)
            known[result.digest, result.orders, result.limit] = result
    keys = [(case.program.digest, orders, limit) for case in _CASES]
    missing = [number for number, key in enumerate(keys) if key not in known]
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        for result in pool.imap(_job, [(number, orders, limit) for number in missing]):
            known[result.digest, orders, limit] = result
            print(table([(f"{result.model} {result.kernel}", result.total())]).splitlines()[1], flush=True)
            for note in (*result.notes, *result.skipped):
                print("  " + note)
            if out is not None:
                fresh = out.with_suffix(".part")
                fresh.write_text(json.dumps([r.plain() for r in known.values()], indent=1), encoding="utf-8")
                fresh.replace(out)
    return [
        replace(known[key], model=case.model, kernel=case.name)
        for key, case in zip(keys, _CASES, strict=True)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--models", default=",".join(n for n in DEFAULT if model_path(n).exists()))
    parser.add_argument("--soc", default="Ascend310P3")
    parser.add_argument("--orders", type=int, default=20, help="random orders per mutant")
    parser.add_argument("--limit", type=int, default=0, help="mutants per kernel, 0: all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", metavar="OUT")
    parser.add_argument("--resume", action="store_true", help="take from OUT what is already there")
    args = parser.parse_args()
    for name in args.models.split(","):
        try:
            _CASES.extend(cases_of(name, args.soc))
        except AscendError as error:
            print(f"{name}: {error}".splitlines()[0])
    results = _judge_all(
        args.orders, args.limit, args.jobs, Path(args.json) if args.json else None, args.resume
    )
    rows = summary(results)
    print(table(rows))
    rules = Counter[str]()
    for result in results:
        rules.update(result.rules)
    print("reported as: " + ", ".join(f"{rule} {count}" for rule, count in rules.most_common()))
    print(
        f"not made: {sum(len(r.skipped) for r in results)}; {sum(r.seconds for r in results):.0f} s of processor"
    )
    last = rows[-1][1]
    return 1 if last.missed or last.false else 0


if __name__ == "__main__":
    sys.exit(main())
