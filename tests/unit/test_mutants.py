"""The mutation test (`benchmarks/mutants.py`): damaged synchronisation is reported, and the tools can tell."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ascend_mlir.runtime.sim.program import Program
from ascend_mlir.runtime.soc import load_soc
from sim_kernels import ADD_RELU, ARGS, MATMUL, program

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
P3 = load_soc("Ascend310P3")


def _module(name: str) -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


mutants, sync_mutants, order_proof = (_module(n) for n in ("mutants", "sync_mutants", "order_proof"))


@pytest.fixture(scope="module")
def kernels() -> list[object]:
    return [case for name in ("softmax", "layernorm", "digits") for case in mutants.cases_of(name)]


def test_no_mutant_of_a_compiled_kernel_is_missed(kernels: list[object]) -> None:
    results = [mutants.judge_kernel(case, orders=3, limit=6) for case in kernels]
    name, whole = mutants.summary(results)[-1]
    assert name == f"all, {len(kernels)} kernels" and len(kernels) >= 5
    assert (whole.missed, whole.false) == (0, 0), [note for result in results for note in result.notes]
    assert whole.reported > 30 and whole.differing > 20
    assert whole.mutants == whole.reported + whole.implied + whole.harmless


def test_a_blind_hazard_check_is_caught(kernels: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "check_task", lambda *_: [])
    softmax = next(case for case in kernels if case.model == "softmax")
    total = mutants.judge_kernel(softmax, orders=2, limit=8).total()
    assert total.missed > 0 and total.reported == 0


def _proof(before: str, after: str) -> str:
    """What can be proven of the second program, as `mutants.Judge.proof` does for one block."""
    first, second = program(before), program(after)
    a, b = (order_proof.order_of(p, P3, ARGS, 0, 1) for p in (first, second))
    if b.problems or not order_proof.same_work(first, a, second, b):
        return ""
    if order_proof.implied(a, b):
        return "implied"
    return "" if order_proof.broken(b, order_proof.needed(first, P3, a)) else "harmless"


FILL = "vector_dup.f16 ub[{at}], 0, repeat=1\n"
BARRIER = "pipe_barrier pipe=V\n"


@pytest.mark.parametrize(
    ("second", "extra", "proof"),
    [
        (0x0, "", ""),  # both write the same bytes
        (0x200, "", "harmless"),  # they do not: the barrier ordered more than is needed
        (0x0, BARRIER, "implied"),  # another barrier is left
    ],
)
def test_proofs(second: int, extra: str, proof: str) -> None:
    tail = extra + FILL.format(at=second)
    assert _proof(FILL.format(at=0) + BARRIER + tail, FILL.format(at=0) + tail) == proof


def test_misused_flags_are_never_proven() -> None:
    pair = "set_flag src=V, dst=MTE3, event=0\nwait_flag src=V, dst=MTE3, event=0\n"
    assert _proof(pair, "") == "implied"
    assert _proof(pair, pair.splitlines()[0]) == _proof(pair, pair.splitlines()[1]) == ""
    assert _proof(pair + pair, pair + pair) == ""  # the second set may overtake the first wait


def _records(kernel: Program) -> list[str]:
    return [record.mnemonic for record in kernel.records]


@pytest.mark.parametrize("text", [ADD_RELU, MATMUL])
def test_every_sync_instruction_is_mutated(text: str) -> None:
    kernel = program(text)
    order = order_proof.order_of(kernel, P3, ARGS, 0, 1)
    assert order.problems == [] and order_proof.broken(order, order_proof.needed(kernel, P3, order)) == []
    made = list(sync_mutants.mutants_of(kernel, order.pairs, order.events))
    count = {kind: sum(mutant.kind == kind for mutant in made) for kind in sync_mutants.KINDS}
    names = _records(kernel)
    assert count["barrier deleted"] == names.count("pipe_barrier")
    assert count["set earlier"] == names.count("set_flag") - 1  # only arithmetic stands before the first
    assert count["wait later"] == names.count("wait_flag") - 1  # only `end` is behind the last
    assert count["pair deleted"] == len(sync_mutants.groups_of(order.pairs))
    assert count["events merged"] == sum(len(ids) == 2 for ids in order.events.values())
    kept = [record.row.family for record in kernel.records].count("sync")
    for mutant in made:
        sync = [record.row.family for record in mutant.program.records].count("sync")
        assert sync < kept if "deleted" in mutant.kind else sync == kept
