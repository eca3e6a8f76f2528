"""`atc run`: run an offline model on the simulator and say how long it would have taken.

Inputs are files: one `.npz` with an array per input (by name, or in order as `arr_0`, `arr_1`, …), or one
file per input, in the order of the model's inputs or as `name=file`. `.npy` holds an array, anything else
raw bytes in the input's own type. No `--input` means zeros.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..runtime.errors import AscendError
from .atc_flags import UsageError
from .om_command_line import OK, OmParser, existing, offline_profiles, print_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..runtime.om.model import OmTensor
    from ..runtime.session import InferenceSession

    Array: TypeAlias = NDArray[Any]


SLOWEST: Final = 10
"""Operators in the table that is printed; the file of --profile has all."""


WIDTH: Final = 150


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = OmParser(
        "run",
        "Runs an offline model on the simulator; its outputs, what it took and where the time went.",
        "atc run resnet18.om --input=image.npy --output=scores.npz --report=run.html",
    )
    parser.add_argument("place", nargs="?", metavar="model", help="offline model (.om)")
    parser.add_argument("--model", "--om", help="the same")
    parser.add_argument(
        "--input", action="append", default=[], help=".npz, or [name=]FILE[,…] (.npy or raw bytes)"
    )
    parser.add_argument("--output", help=".npz, or .npy or raw .bin when there is one output")
    parser.add_argument("--trace", help="Chrome/Perfetto trace (.json)")
    parser.add_argument("--profile", help="table of operators (.csv)")
    parser.add_argument("--report", help="timeline, roofline, operators, memory as a page (.html)")
    parser.add_argument("--sanitize", action="store_true", help="check the run for hazards")
    parser.add_argument(
        "--order",
        choices=("program", "random"),
        default="program",
        help="random: run instructions in an order drawn from those that flags and barriers allow",
    )
    parser.add_argument("--seed", type=int, help="of --order=random, 0 if not given")
    arguments = parser.parse_args(words)
    if (arguments.place is None) == (arguments.model is None):
        parser.error("one offline model is needed" if arguments.model is None else "two offline models")
    arguments.model = arguments.model or arguments.place
    return arguments


def run_command(words: Sequence[str]) -> int:
    """The sub-command; errors go to the caller."""
    arguments = _arguments(words)
    if arguments.seed is not None and arguments.order != "random":
        raise UsageError("--seed is for --order=random")
    model = existing(arguments.model)
    for path in (arguments.output, arguments.trace, arguments.profile, arguments.report):
        _check_writable(path)

    from ..runtime.session import InferenceSession

    seed = (arguments.seed or 0) if arguments.order == "random" else None
    om = offline_profiles(str(model), arguments.part)
    session = InferenceSession(om, sanitize=arguments.sanitize, trace=arguments.trace, order_seed=seed)
    feed = read_inputs(session.input_sets, [part for word in arguments.input for part in word.split(",")])
    outputs = session.run(None, feed)
    if arguments.output:
        write_outputs(Path(arguments.output), [arg.name for arg in session.get_outputs()], outputs)
    if arguments.profile:
        session.write_profile(arguments.profile)
    if arguments.report:
        session.write_report(arguments.report)
    if not arguments.input and session.om.inputs:
        print("note: no --input, zeros were used", file=sys.stderr)
    if arguments.json:
        print_json({"model": arguments.model, **as_json(session, outputs)})
    else:
        _summary(session, outputs)
    return OK


def as_json(session: InferenceSession, outputs: Sequence[Array]) -> dict[str, Any]:
    """What a run gave and took, for scripts; the numbers themselves are in the file of --output."""
    report = session.report
    return {
        "soc": session.om.soc,
        **profile_json(session),
        "outputs": [
            {"name": arg.name, "dtype": array.dtype.name, "shape": list(array.shape)}
            for arg, array in zip(session.get_outputs(), outputs, strict=True)
        ],
        "cycles": report.cycles,
        "latency_us": report.latency_us,
        "basis": report.soc.timing["basis"],
        "unsourced": list(report.unsourced),
        "tasks": session.engine_counts,
    }


def profile_json(session: InferenceSession) -> dict[str, Any]:
    """The profile that ran, where the model has several."""
    if session.profiles is None or session.profile is None:
        return {}
    return {"profile": session.profile, "sizes": list(session.profiles.sizes[session.profile])}


def _check_writable(text: str | None) -> None:
    if text and not Path(text).parent.is_dir():
        raise AscendError("E13004", f"cannot write {text!r}", expected="a path in a folder that exists")


def read_inputs(sets: Sequence[Sequence[OmTensor]], words: Sequence[str]) -> dict[str, Array]:
    """Arrays by input name. `sets` are the model's inputs, or those of each profile: names are the same, and raw bytes
    belong to the one that they fill. Zeros are those of the first."""
    import numpy as np

    from ..runtime.element_types import NUMPY

    inputs = sets[0]
    if not words:
        return {tensor.name: np.zeros(tensor.shape, NUMPY[tensor.dtype]) for tensor in inputs}
    if len(words) == 1 and words[0].endswith(".npz"):
        return _from_npz(inputs, _existing(words[0]))
    by_name = {tensor.name: tensor for tensor in inputs}
    if len(words) > len(inputs):
        raise AscendError("EH0001", f"{len(words)} input files for {len(inputs)} inputs")
    feed: dict[str, Array] = {}
    for position, word in enumerate(words):
        name, equals, path = word.rpartition("=")
        if equals and name not in by_name:
            raise AscendError("EH0001", f"the model has no input named {name!r}", expected=", ".join(by_name))
        index = inputs.index(by_name[name]) if equals else position
        feed[inputs[index].name] = _from_file([tensors[index] for tensors in sets], _existing(path))
    return feed


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise AscendError("E13000", f"input file {text} does not exist")
    return path


def _from_npz(inputs: Sequence[OmTensor], path: Path) -> dict[str, Array]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise AscendError("E13005", f"{path} is not an .npz file: {error}") from error
    return {
        tensor.name: arrays[key]
        for position, tensor in enumerate(inputs)
        for key in [tensor.name if tensor.name in arrays else f"arr_{position}"]
        if key in arrays
    }


def _from_file(tensors: Sequence[OmTensor], path: Path) -> Array:
    import numpy as np

    from ..runtime.element_types import NUMPY
    from ..runtime.session import describe

    if path.suffix == ".npy":
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise AscendError("E13005", f"{path} is not an .npy file: {error}") from error
    data = path.read_bytes()
    tensor = next((tensor for tensor in tensors if tensor.size == len(data)), None)
    if tensor is None:
        sizes = dict.fromkeys(f"{tensor.size} bytes, {describe(tensor)}" for tensor in tensors)
        raise AscendError(
            "EH0001",
            f"{path} has {len(data)} bytes for input {tensors[0].name!r}",
            expected="; ".join(sizes),
        )
    return np.frombuffer(data, NUMPY[tensor.dtype]).reshape(tensor.shape)


def write_outputs(path: Path, names: Sequence[str], arrays: Sequence[Array]) -> None:
    """All outputs as `.npz`, or a single one as `.npy` or raw bytes."""
    import numpy as np

    if path.suffix != ".npz" and len(arrays) != 1:
        raise AscendError(
            "EH0001", f"{len(arrays)} outputs do not fit in {path}", expected="a path ending in .npz"
        )
    try:
        if path.suffix == ".npz":
            named: dict[str, Any] = dict(zip(names, arrays, strict=True))
            np.savez(path, allow_pickle=False, **named)
        elif path.suffix == ".npy":
            np.save(path, arrays[0], allow_pickle=False)
        else:
            path.write_bytes(arrays[0].tobytes())
    except OSError as error:
        raise AscendError("E13004", f"cannot write {str(path)!r}: {error.strerror or error}") from error


def _table(session: InferenceSession) -> None:
    from rich.console import Console

    from ..runtime.sim.profile import table

    # Fifteen columns: where nobody has said how wide the output is, they get the room they need.
    terminal = sys.stdout.isatty()
    console = Console() if terminal else Console(width=WIDTH, no_color=True, force_terminal=False)
    console.print(table(session.report, SLOWEST, plain=not terminal))


def _summary(session: InferenceSession, outputs: Sequence[Array]) -> None:
    for arg, array in zip(session.get_outputs(), outputs, strict=True):
        print(f"output {arg.name}: {array.dtype.name}{list(array.shape)}")
    _table(session)
    report = session.report
    counts = session.engine_counts
    print(f"{session.om.soc}: {report.cycles} cycles, {report.latency_us:.1f} us predicted")
    if session.profiles is not None and session.profile is not None:
        numbers = ",".join(map(str, session.profiles.sizes[session.profile]))
        print(
            f"profile {session.profile}: {session.profiles.kind} {numbers}, of {session.profiles.describe()}"
        )
    print(f"timing: {report.soc.timing['basis']}")
    if report.unsourced:
        print(f"no source at all for the cycles of: {', '.join(report.unsourced)}")
    print(f"tasks: {counts['aicore']} on the AI Core, {counts['aicpu']} on the AI CPU")
