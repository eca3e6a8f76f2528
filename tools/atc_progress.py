"""What a user sees while a model is compiled, and the summary behind it.

On a terminal: a live view of the phases, the pass at work, the slowest pass so far, kernels done, memory. In a pipe: one
plain line per phase, on standard error like the live view, so that standard output holds what the public tool prints there.
`--log=debug` writes a line per pass; `--log=error` and `--log=warning` keep quiet.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from .atc_flags import ParsedFlags

if TYPE_CHECKING:
    from ..lowering.pipelines import CompiledModel
    from ..runtime.om.model import OmModel
    from ..runtime.om.profiles import OmProfiles

PHASES: Final[Mapping[str, str]] = {
    "import": "reading the model",
    "nn": "simplifying and fusing",
    "ascend": "layouts and schedules",
    "generate": "generating kernels",
    "kernels": "instructions, flags, registers",
    "om": "addresses and weights",
    "latency": "predicting the latency",
    "write": "writing the file",
}
QUIET: Final = ("error", "warning")
REFRESH: Final = 8
"""Pictures a second of the live view."""
MIB: Final = 1 << 20
SLOWER: Final = 1.02
"""Time per picture, against a smaller batch, from which a batch is told to be slower."""


@dataclass
class Progress:
    """Listens to the compiler (`CompileOptions.watch`) and keeps the times. `show` is told of each change."""

    show: Callable[[Progress], None] = lambda progress: None
    now: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """Time of each phase that has begun."""
    slowest: tuple[str, float] = ("", 0.0)
    phase: str = ""
    step: str = ""
    _phase_began: float = 0.0
    _step_began: float = 0.0

    def __call__(self, phase: str, step: str) -> None:
        """A step begins, which ends the one before it."""
        moment = self.now()
        self._end(moment)
        if phase != self.phase:
            self._phase_began = moment
        self.phase, self.step, self._step_began = phase, step, moment
        self.seconds.setdefault(phase, 0.0)
        self.show(self)

    def done(self) -> None:
        """The last step ends."""
        self._end(self.now())
        self.phase = self.step = ""
        self.show(self)

    def _end(self, moment: float) -> None:
        if not self.phase:
            return
        taken = moment - self._step_began
        self.seconds[self.phase] += taken
        name = self.step if self.phase in ("nn", "ascend", "generate") else PHASES.get(self.phase, self.phase)
        if taken > self.slowest[1] and self.phase != "kernels":
            self.slowest = (name, taken)

    def elapsed(self, phase: str) -> float:
        """Time of a phase so far."""
        running = self.now() - self._step_began if phase == self.phase else 0.0
        return self.seconds.get(phase, 0.0) + running


def peak_bytes() -> int:
    """The most memory that this process has used."""
    unit = 1 if sys.platform == "darwin" else 1024  # kilobytes everywhere else
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def watching(flags: ParsedFlags, stream: TextIO | None = None) -> Generator[Progress]:
    """A progress that shows itself in the way that fits the output."""
    out = stream if stream is not None else sys.stderr
    level = flags.get("log", "info")
    if level in QUIET:
        yield Progress()
    elif out.isatty() and level != "debug":
        with _live(out) as progress:
            yield progress
    else:
        progress = Progress(show=_Lines(out, every_pass=level == "debug"))
        yield progress
        progress.done()


class _Lines:
    """One line per phase when it ends, or one per pass."""

    def __init__(self, stream: TextIO, *, every_pass: bool) -> None:
        self.stream, self.every_pass = stream, every_pass
        self.last = ""

    def __call__(self, progress: Progress) -> None:
        if self.every_pass and progress.step:
            print(f"[DEBUG] {progress.phase}: {progress.step}", file=self.stream)
        if self.last and self.last != progress.phase:
            seconds = progress.seconds[self.last]
            print(f"[INFO] {PHASES.get(self.last, self.last)}: {seconds:.2f} s", file=self.stream, flush=True)
        self.last = progress.phase


@contextmanager
def _live(stream: TextIO) -> Generator[Progress]:
    from rich.console import Console
    from rich.live import Live

    progress = Progress()
    console = Console(file=stream)
    with Live(
        get_renderable=lambda: picture(progress), console=console, refresh_per_second=REFRESH, transient=True
    ):
        yield progress
        progress.done()


def picture(progress: Progress) -> Any:
    """The live view."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for phase, text in PHASES.items():
        is_now, began = phase == progress.phase, phase in progress.seconds
        mark = ">" if is_now else "+" if began else " "
        style = "bold" if is_now else "" if began else "dim"
        time_text = f"{progress.elapsed(phase):.1f} s" if began else ""
        table.add_row(mark, text, time_text, progress.step if is_now else "", style=style)
    name, seconds = progress.slowest
    slowest = f"slowest: {name} {seconds:.1f} s" if name else ""
    table.add_row("", f"memory {peak_bytes() // MIB} MiB", "", slowest, style="dim")
    return table


# --------------------------------------------------------------------------------------------- summary


def formats_of(om: OmModel) -> dict[str, int]:
    """How many tensors lie in each format."""
    return dict(sorted(Counter(desc.format for op in om.graph for desc in op.output_descs).items()))


def summary_text(compiled: CompiledModel, om: OmModel, target: Path, progress: Progress) -> str:
    """What became of the model, in a few lines. It is made before the file is written: a mistake here leaves none."""
    from ..runtime.profiling import task_cycles
    from ..runtime.soc import load_soc

    counts = compiled.counts
    soc = load_soc(om.soc)
    cycles = sum(task_cycles(om))
    chain = " -> ".join(
        f"{counts[key]} {key}" for key in ("nodes", "groups", "kernels", "tasks") if key in counts
    )
    cpu = sum(task.is_ai_cpu for task in om.tasks)
    lines = [
        f"  model    {chain}" + (f", {cpu} on the AI CPU" if cpu else ""),
        f"  formats  {', '.join(f'{key} {count}' for key, count in formats_of(om).items())}; "
        f"{counts.get('trans_data', 0)} TransData left",
        f"  memory   weights {om.weight_size} B, tensors {om.memory_size} B",
        f"  latency  {soc.microseconds(cycles):.1f} us predicted ({cycles} cycles on {om.soc})",
        *_last_lines(target, progress),
    ]
    return "\n".join(lines)


def _last_lines(target: Path, progress: Progress) -> tuple[str, str]:
    seconds = sum(progress.seconds.values())
    name, slowest = progress.slowest
    return (
        f"  compiled in {seconds:.1f} s, slowest: {name} {slowest:.1f} s, peak memory {peak_bytes() // MIB} MiB",
        f"  output   {target}",
    )


def profiles_text(profiles: OmProfiles, target: Path, progress: Progress) -> str:
    """The same of a model of several sizes: a line per profile. Where a larger batch takes longer per picture, the line
    says so: a larger batch is not always faster on these chips."""
    from ..runtime.profiling import task_cycles
    from ..runtime.soc import load_soc

    soc = load_soc(profiles.branches[0].soc)
    lines, best = list[str](), float("inf")
    for sizes, om in zip(profiles.sizes, profiles.branches, strict=True):
        latency = soc.microseconds(sum(task_cycles(om)))
        each = latency / sizes[0]
        text = f"  {profiles.kind:8} {','.join(map(str, sizes)):>9}  {len(om.tasks)} tasks, {latency:.1f} us predicted"
        if profiles.kind == "batch":
            text += f", {each:.1f} us each"
            if each > best * SLOWER:
                text += "  (slower than a smaller batch)"
            best = min(best, each)
        lines.append(text)
    memory = profiles.branches[0].memory_size
    lines.append(f"  memory   weights {profiles.weight_size} B, tensors {memory} B, for all profiles")
    return "\n".join([*lines, *_last_lines(target, progress)])
