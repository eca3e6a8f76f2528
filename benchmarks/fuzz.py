"""The fuzzer: decoder, assembler and executor on random, damaged and plausible programs.

    python benchmarks/fuzz.py [--programs 200000] [--seed 0] [--jobs 2] [--json OUT [--resume]]
    python benchmarks/fuzz.py --atheris [options of libFuzzer]        (where atheris is installed)

hypothesis makes the programs (`fuzz_programs.py` has the kinds and what a program may do).  A batch runs in a
process of its own whose address space is limited, so that a leak or a huge allocation shows as a failure; a
program that takes longer than `LIMIT_SECONDS` of its processor, or `BLOCKED_SECONDS` in all, counts as hung.
Failures are printed smallest first, as hypothesis shrinks them, and make the exit status 1.  OUT is written after
every batch; with `--resume` a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fuzz_programs import Program, run_program, strategies

BATCH = 2500
LIMIT_SECONDS = 10
BLOCKED_SECONDS = 300  # where nothing runs; a busy machine may give a program little of its processors
LIMIT_MB = 300
"""Peak resident memory of a batch: interpreter, numpy and the library are about 110 MB of it, the rest is what 2500
programs leave in caches."""
ADDRESS_SPACE = 3 << 30


class HungError(Exception):
    """A program took too long."""


@dataclass
class Batch:
    """What became of `count` programs of one kind and seed; seconds are those of the processor."""

    kind: str
    seed: int
    count: int
    ends: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    slowest: float = 0.0
    seconds: float = 0.0
    peak_mb: float = 0.0


def _alarm(number: int, frame: object) -> None:
    raise HungError(f"more than {LIMIT_SECONDS} s of processor or {BLOCKED_SECONDS} s")


def _one(batch: Batch, program: Program, choice: int) -> None:
    signal.alarm(BLOCKED_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
    began = time.process_time()
    try:
        batch.ends[run_program(program, choice)] += 1
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        batch.slowest = max(batch.slowest, time.process_time() - began)


def run_batch(job: tuple[str, int, int]) -> Batch:
    """`count` programs of one kind."""
    kind, number, count = job
    batch = Batch(kind, number, count)
    for name in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(name, _alarm)
    began = time.process_time()

    @with_seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies()[kind], st.integers(0, 11))
    def programs(program: Program, choice: int) -> None:
        _one(batch, program, choice)

    try:
        programs()
    except Exception:
        batch.failures.append(traceback.format_exc(limit=-6))
    batch.seconds = time.process_time() - began
    batch.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return batch


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def jobs_of(programs: int, seed: int) -> list[tuple[str, int, int]]:
    """Batches: every kind gets its share."""
    kinds = list(strategies())
    share = -(-programs // len(kinds))
    return [
        (kind, seed * 1_000_003 + 1000 * place + part, min(BATCH, share - part * BATCH))
        for part in range(-(-share // BATCH))
        for place, kind in enumerate(kinds)
    ]


def table(batches: list[Batch]) -> str:
    """A row per kind."""
    lines = [
        f"{'kind':20}{'programs':>10}{'run':>9}{'rejected':>10}{'stopped':>9}{'failed':>8}{'slowest s':>11}{'peak MB':>9}"
    ]
    for kind in [*dict.fromkeys(batch.kind for batch in batches), "all"]:
        chosen = [batch for batch in batches if kind in (batch.kind, "all")]
        ends = sum((batch.ends for batch in chosen), Counter[str]())
        failed = sum(len(batch.failures) for batch in chosen)
        lines.append(
            f"{kind:20}{ends.total() + failed:10}{ends['runs']:9}{ends['rejected']:10}{ends['stopped']:9}{failed:8}"
            f"{max(batch.slowest for batch in chosen):11.2f}{max(batch.peak_mb for batch in chosen):9.0f}"
        )
    return "\n".join(lines)


def _atheris(words: list[str]) -> int:
    """Coverage-guided: the first byte picks the chip, the second image or text."""
    import atheris  # pyright: ignore[reportMissingImports]

    def one(data: bytes) -> None:
        if len(data) > 2:
            run_program(data[2:] if data[1] & 1 else data[2:].decode("latin-1"), data[0])

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *words], one)
    atheris.Fuzz()
    return 0


def _run_all(jobs: list[tuple[str, int, int]], processes: int, out: Path | None, resume: bool) -> list[Batch]:
    """All batches; those that `out` has from an earlier run are not run again."""
    batches: list[Batch] = []
    if resume and out is not None and out.exists():
        rows: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
        known = [Batch(**{**row, "ends": Counter(row["ends"])}) for row in rows]
        batches = [batch for batch in known if (batch.kind, batch.seed, batch.count) in jobs]
    done = {(batch.kind, batch.seed, batch.count) for batch in batches}
    with multiprocessing.get_context("fork").Pool(processes, _limit, maxtasksperchild=1) as pool:
        for batch in pool.imap_unordered(run_batch, [job for job in jobs if job not in done]):
            batches.append(batch)
            print(f"{sum(batch.ends.total() for batch in batches)} programs", file=sys.stderr, flush=True)
            for failure in batch.failures:
                print(f"{batch.kind}:\n{failure}", flush=True)
            if out is not None:
                plain = [{**vars(batch), "ends": dict(batch.ends)} for batch in batches]
                fresh = out.with_suffix(".part")
                fresh.write_text(json.dumps(plain, indent=1), encoding="utf-8")
                fresh.replace(out)
    return batches


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--programs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", metavar="OUT", help="results, written after every batch")
    parser.add_argument("--resume", action="store_true", help="take from OUT what is already there")
    parser.add_argument(
        "--atheris", action="store_true", help="fuzz by coverage instead; the rest is libFuzzer's"
    )
    args, rest = parser.parse_known_args()
    if args.atheris:
        return _atheris(rest)
    if rest:
        parser.error(f"unknown: {' '.join(rest)}")
    jobs = jobs_of(args.programs, args.seed)
    batches = _run_all(jobs, args.jobs, Path(args.json) if args.json else None, args.resume)
    print(table(sorted(batches, key=lambda batch: batch.kind)))
    peak = max(batch.peak_mb for batch in batches)
    seconds = sum(batch.seconds for batch in batches)
    print(
        f"{seconds:.0f} s of processor; limits: {LIMIT_SECONDS} s a program, {LIMIT_MB} MB a batch of {BATCH}"
        f" (address space {ADDRESS_SPACE >> 30} GB)"
    )
    return any(batch.failures for batch in batches) or peak > LIMIT_MB


if __name__ == "__main__":
    sys.exit(main())
