"""`atc verify MODEL.om`: loads an offline model, checks it, runs it once.

The steps, each resting on those before it: the container (header, table, partitions), the model in it (graph, tasks,
weights, and that they agree), the device (kernels decode for the chip, memory suffices), hazards (every order that
flags and barriers allow gives the same result), and a run. What follows a failed step is not done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..runtime.errors import AscendError
from .om_command_line import FOUND_SOMETHING, OK, OmParser, existing, print_json

if TYPE_CHECKING:
    import argparse

    from ..runtime.om.model import OmModel
    from ..runtime.session import InferenceSession


@dataclass(frozen=True)
class Step:
    """A step and what came of it: `ok`, `failed` or `not done`."""

    name: str
    outcome: str
    detail: str = ""
    code: str = ""
    expected: str = ""


@dataclass
class _Work:
    """What the steps hand on."""

    arguments: argparse.Namespace
    models: tuple[OmModel, ...] = ()
    """One, or one per profile."""
    sessions: tuple[InferenceSession, ...] = ()


def _container(work: _Work) -> str:
    from ..runtime.om.format import partition_name
    from ..runtime.om.reader import read_container

    container = read_container(existing(work.arguments.model))
    names = [partition_name(number) for number in container.partitions]
    count = len(container.blocks)
    return f"{', '.join(names)}{f'; the first of {count} models' if count > 1 else ''}"


def _model(work: _Work) -> str:
    from ..runtime.om.profiles import OmProfiles
    from ..runtime.om.reader import read_offline

    found = read_offline(existing(work.arguments.model), part=work.arguments.part)
    work.models = found.branches if isinstance(found, OmProfiles) else (found,)
    counts = [sum(len(part) for part in parts) for parts in zip(*map(_counted, work.models), strict=True)]
    text = f"{counts[0]} operators, {counts[1]} tasks, {counts[2]} weights agree"
    return (
        f"{len(work.models)} profiles ({found.describe()}), {text}" if isinstance(found, OmProfiles) else text
    )


def _counted(model: OmModel) -> tuple[Sequence[object], ...]:
    return model.graph, model.tasks, model.weights


def _device(work: _Work) -> str:
    from ..runtime.session import InferenceSession

    work.sessions = tuple(map(InferenceSession, work.models))
    kernels = {kernel.name for model in work.models for kernel in model.kernels}
    return f"{len(kernels)} kernels decode for {work.models[0].soc}"


def _hazards(work: _Work) -> str:
    for session in work.sessions:
        session.check_hazards()
    return "every order that flags and barriers allow gives the same result"


def _run(work: _Work) -> str:
    import numpy as np

    from .atc_run import read_inputs

    words = [part for word in work.arguments.input for part in word.split(",")]
    odd, count = list[str](), 0
    for session in _to_run(work, words):
        outputs = session.run(None, read_inputs(session.input_sets, words))
        count += len(outputs)
        odd += [
            f"{int(np.count_nonzero(~np.isfinite(array)))} of {array.size} numbers of {tensor.name} are not finite"
            for tensor, array in zip(session.get_outputs(), outputs, strict=True)
            if array.dtype.kind == "f" and not np.isfinite(array).all()
        ]
    given = "the inputs given" if words else "zeros"
    return "; ".join([f"{count} outputs from {given}", *odd])


def _to_run(work: _Work, words: Sequence[str]) -> Sequence[InferenceSession]:
    """Every profile with zeros; with inputs the one that they fit."""
    if not words or len(work.sessions) == 1:
        return work.sessions
    from ..runtime.session import InferenceSession
    from .atc_run import read_inputs

    whole = InferenceSession(existing(work.arguments.model))
    whole.choose(read_inputs(whole.input_sets, words))
    assert whole.profile is not None
    return [work.sessions[whole.profile]]


_Action: TypeAlias = Callable[[_Work], str]
STEPS: tuple[tuple[str, _Action], ...] = (
    ("container", _container),
    ("model", _model),
    ("device", _device),
    ("hazards", _hazards),
    ("run", _run),
)


def run_command(words: Sequence[str]) -> int:
    """The sub-command: 0 if every step that was asked for succeeds."""
    parser = OmParser(
        "verify",
        "Loads an offline model, checks everything that can be checked, and runs it once on the simulator.",
        "atc verify resnet18.om --input image.npy",
    )
    parser.add_argument("model", help="offline model (.om)")
    parser.add_argument("--input", action="append", default=[], help="as for atc run (default: zeros)")
    parser.add_argument("--quick", action="store_true", help="load and check only: no hazards, no run")
    arguments = parser.parse_args(words)
    existing(arguments.model)
    steps = verify(arguments)
    failed = any(step.outcome == "failed" for step in steps)
    if arguments.json:
        result: dict[str, Any] = {"model": arguments.model, "ok": not failed}
        print_json({**result, "steps": [asdict(step) for step in steps]})
    else:
        for step in steps:
            print(f"{step.outcome:9} {step.name}: {step.detail}")
            if step.expected:
                print(f"          expected {step.expected}")
    return FOUND_SOMETHING if failed else OK


def verify(arguments: argparse.Namespace) -> list[Step]:
    """All steps, in order; one that fails is the last that is done."""
    work, steps, stopped = _Work(arguments), list[Step](), ""
    for name, action in STEPS:
        if stopped or (arguments.quick and name in ("hazards", "run")):
            steps.append(Step(name, "not done", stopped or "--quick"))
            continue
        try:
            steps.append(Step(name, "ok", action(work)))
        except AscendError as error:
            steps.append(Step(name, "failed", f"{error.code}: {error.message}", error.code, error.expected))
            stopped = f"{name} failed"
    return steps
