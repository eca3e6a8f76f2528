"""The loader's fuzzer: damaged and hostile offline models, made from small ones that this project compiles.

    python benchmarks/fuzz_loader.py [--files 300000] [--seed 0] [--json OUT]

`loader_mutations.py` has the kinds of damage. A file that is accepted is also loaded on the device, which decodes its
kernels. What must hold of every file:

* it loads, or ends in one `AscendError`; a rejection of the reader names code, partition and byte;
* what was accepted can be written, and what was written is read and written as the same bytes;
* it is loaded or refused in less than `LIMIT_SECONDS` of processor time;
* the process grows by less than `LIMIT_BASE` + `LIMIT_FACTOR` times its size.

Batches run in processes of their own, one at a time, under a limit of address space. A file that breaks a rule is
kept (`--keep FOLDER`) and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import onnx
from ascend_mlir.runtime.device_memory import device_memory
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om.container import read_container
from ascend_mlir.runtime.om.format import OmError
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.profiles import OmProfiles
from ascend_mlir.runtime.om.reader import read_offline
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.runtime.session import InferenceSession
from loader_mutations import MUTATIONS

BATCH = 5000
LIMIT_SECONDS = 2.0
LIMIT_BASE = 64 << 20
LIMIT_FACTOR = 32
"""Growth of the process by one file: decoding is held to 16 MiB and 16 times the graph (`runtime/om/wire.py`); Python
rounds up, and keeps what it has."""
ADDRESS_SPACE = 6 << 30
DEVICE_BYTES = 64 << 20
"""Device memory up to which an accepted model is loaded on the device too."""


class SlowError(Exception):
    """A file took too long."""


@dataclass
class Outcome:
    """What became of the files of one kind."""

    files: int = 0
    accepted: int = 0
    rejected: int = 0
    on_device: int = 0
    slowest: float = 0.0
    growth: int = 0
    failures: list[str] = field(default_factory=list[str])

    def add(self, other: Outcome) -> None:
        self.files += other.files
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.on_device += other.on_device
        self.slowest = max(self.slowest, other.slowest)
        self.growth = max(self.growth, other.growth)
        self.failures += other.failures


# ---------------------------------------------------------------------------------------------- seeds
def sample_seeds() -> list[bytes]:
    """Two models made by hand, and the forms in which other tools write them."""
    from om_foreign import bundle, changed, compress, file, partitions_of
    from om_samples import ADD, ADD_DONE, LOAD_DONE, add_model, conv_model

    conv = om_bytes(conv_model())
    add = om_bytes(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)))
    return [
        conv,
        add,
        file([partitions_of(add)], wide=False),
        changed(conv, compress),
        file([partitions_of(add)] * 2),
        bundle([add]),
    ]


def compiled_seeds() -> list[bytes]:
    """Small networks: convolutions, products, a node of the AI CPU, and a model of three batch sizes."""
    import numpy as np
    from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
    from ascend_mlir.lowering.profiles import compile_profiles
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)

    def network(nodes: list[object], shape: list[object], **weights: np.ndarray) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
        graph = helper.make_graph(nodes, "small", [x], [y], tensors)  # pyright: ignore[reportArgumentType]
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def compiled(nodes: list[object], shape: list[object], **weights: np.ndarray) -> bytes:
        return compile_model(network(nodes, shape, **weights), CompileOptions(name="small")).bytes

    def noise(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * 0.1).astype(np.float32)

    conv = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("GlobalAveragePool", ["b"], ["y"], name="pool"),
    ]
    dense = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="product"),
        helper.make_node("Softmax", ["a"], ["y"], name="softmax"),
    ]
    cpu = [
        helper.make_node("CumSum", ["x", "axis"], ["a"], name="sum"),
        helper.make_node("Tanh", ["a"], ["y"], name="tanh"),
    ]
    batches = [(1,), (2,), (5,)]
    several = compile_profiles(
        network(dense, ["n", 32], w=noise(32, 24)), CompileOptions(name="small"), "batch", batches, ["x"],
        [{"x": (*batch, 32)} for batch in batches],
    )  # fmt: skip
    return [
        compiled(conv, [1, 16, 8, 8], w=noise(16, 16, 3, 3)),
        compiled(dense, [4, 32], w=noise(32, 24)),
        compiled(cpu, [4, 20], axis=np.array(1)),
        om_bytes(several.om),
    ]


# ------------------------------------------------------------------------------------------------ files
def load(data: bytes) -> tuple[OmModel | OmProfiles | None, bool]:
    """Read a file as a user would, the last model of several, all profiles of one: the model if it was accepted, and
    whether it was loaded on the device.

    Raises:
        AssertionError: an error that does not say where.
    """
    try:
        count = len(read_container(data).blocks)
        model = read_offline(data, digests=False, part=count - 1 if count > 1 else None)
    except OmError as error:
        assert error.partition and error.offset is not None, f"a rejection must say where: {error.message}"
        return None, False
    branches = model.branches if isinstance(model, OmProfiles) else (model,)
    for branch in branches:
        device_memory(branch)
    if branches[0].memory_size + branches[0].weight_size > DEVICE_BYTES:
        return model, False
    try:
        InferenceSession(model)
    except AscendError:
        return model, False
    return model, True


def check_written(model: OmModel | OmProfiles) -> None:
    """What is accepted can be written; what is written is read and written as the same bytes."""
    written = om_bytes(model)
    assert om_bytes(read_offline(written, digests=False)) == written, "it is not read as it was written"


def _too_slow(number: int, frame: object) -> None:
    raise SlowError(f"more than {LIMIT_SECONDS} s of processor time")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_file(outcome: Outcome, data: bytes) -> bool:
    """Load one file and keep account; whether it broke a rule."""
    outcome.files += 1
    before, began = _peak(), time.process_time()
    signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
    broken, growth = "", 0
    try:
        model, on_device = load(data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcome.slowest = max(outcome.slowest, time.process_time() - began)
        growth = _peak() - before
        if model is None:
            outcome.rejected += 1
        else:
            outcome.accepted += 1
            outcome.on_device += on_device
            check_written(model)
    except Exception:
        broken = traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    outcome.growth = max(outcome.growth, growth)
    if growth > LIMIT_BASE + LIMIT_FACTOR * len(data):
        broken += f"{len(data)} bytes took {growth} bytes of memory"
    if broken:
        outcome.failures.append(broken)
    return bool(broken)


def run_batch(job: tuple[int, int, str]) -> tuple[dict[str, Outcome], float]:
    """`count` files of all kinds, drawn from one seed; with the peak of the process in MB."""
    seed, count, keep = job
    rng = random.Random(seed)
    kinds, shares = list(MUTATIONS), [share for _, share in MUTATIONS.values()]
    outcomes = {kind: Outcome() for kind in kinds}
    for number in range(count):
        kind = rng.choices(kinds, shares)[0]
        data = MUTATIONS[kind][0](rng, SEEDS)
        if run_file(outcomes[kind], data) and keep:
            Path(keep).mkdir(parents=True, exist_ok=True)
            (Path(keep) / f"{kind.replace(' ', '_')}_{seed}_{number}.om").write_bytes(data)
    return outcomes, _peak() / 2**20


SEEDS: list[bytes] = []


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def table(outcomes: dict[str, Outcome]) -> str:
    """A row per kind."""
    columns = f"{'kind':20}{'files':>9}{'rejected':>10}{'accepted':>10}{'on device':>11}{'broken':>8}{'slowest s':>11}{'growth MB':>11}"
    lines, everything = [columns], Outcome()
    for kind, outcome in [*outcomes.items(), ("all", everything)]:
        if outcome is not everything:
            everything.add(outcome)
        lines.append(
            f"{kind:20}{outcome.files:9}{outcome.rejected:10}{outcome.accepted:10}{outcome.on_device:11}"
            f"{len(outcome.failures):8}{outcome.slowest:11.3f}{outcome.growth / 2**20:11.1f}"
        )
    return "\n".join(lines)


def distinct(failures: Sequence[str]) -> str:
    """Failures by how often they came."""
    return "\n".join(f"{count} times:\n{text}" for text, count in Counter(failures).most_common(20))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", default="", help="folder for the files that break a rule")
    parser.add_argument("--json", metavar="OUT")
    args = parser.parse_args()
    SEEDS[:] = [*sample_seeds(), *compiled_seeds()]
    print(f"{len(SEEDS)} seeds of {min(map(len, SEEDS))} to {max(map(len, SEEDS))} bytes", flush=True)
    began, outcomes, peak = time.perf_counter(), {kind: Outcome() for kind in MUTATIONS}, 0.0
    jobs = [
        (args.seed * 1_000_003 + part, min(BATCH, args.files - part * BATCH), args.keep)
        for part in range(-(-args.files // BATCH))
    ]
    with multiprocessing.get_context("fork").Pool(1, _limit, maxtasksperchild=1) as pool:
        for found, megabytes in pool.imap(run_batch, jobs, chunksize=1):
            peak = max(peak, megabytes)
            for kind, outcome in found.items():
                outcomes[kind].add(outcome)
            done = sum(outcome.files for outcome in outcomes.values())
            broken = sum(len(outcome.failures) for outcome in outcomes.values())
            print(
                f"{done} files, {broken} broken, {time.perf_counter() - began:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    failures = [failure for outcome in outcomes.values() for failure in outcome.failures]
    print(table(outcomes))
    print(
        f"{time.perf_counter() - began:.0f} s; peak of a process {peak:.0f} MB; limits: {LIMIT_SECONDS} s of processor time and "
        f"{LIMIT_BASE >> 20} MB + {LIMIT_FACTOR} times the file of growth a file"
    )
    print(distinct(failures))
    if args.json:
        rows = {kind: vars(outcome) for kind, outcome in outcomes.items()}
        Path(args.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
