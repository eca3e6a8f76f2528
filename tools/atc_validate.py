"""`atc validate MODEL.om CASE.npz…`: runs recorded cases and compares the outputs with those recorded.

A case is an `.npz` file that holds an array for each input and for each output that is to be compared, by name.
Numbers agree when `|got - want| <= atol + rtol * max|want|`; integers and booleans must be equal. The default leaves
room for fp16 arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..runtime.errors import AscendError
from .om_command_line import FOUND_SOMETHING, OK, OmParser, offline_profiles, print_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..runtime.session import InferenceSession

    Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Compared:
    """One output of one case. `worst` is the greatest difference, `limit` what was allowed, `cosine` that of the
    angle between both as vectors (1 where both are zero)."""

    case: str
    output: str
    agrees: bool
    worst: float
    limit: float
    cosine: float
    note: str = ""


def run_command(words: Sequence[str]) -> int:
    """The sub-command: 0 if every output of every case agrees."""
    parser = OmParser(
        "validate",
        "Runs recorded cases on the simulator and compares the outputs. A case is an .npz file with an array for each "
        "input and each expected output, by name.",
        "atc validate resnet18.om cases/*.npz --rtol 0.02",
    )
    parser.add_argument("model", help="offline model (.om)")
    parser.add_argument("cases", nargs="+", metavar="case", help="recorded inputs and outputs (.npz)")
    parser.add_argument(
        "--rtol", type=float, default=0.02, help="of the largest expected number (default 0.02)"
    )
    parser.add_argument("--atol", type=float, default=1e-3, help="beside that (default 0.001)")
    arguments = parser.parse_args(words)

    from ..runtime.session import InferenceSession

    session = InferenceSession(offline_profiles(arguments.model, arguments.part))
    cases = [
        (name, _case(session, Path(name))) for name in arguments.cases
    ]  # all are read before the first run
    found = [
        result
        for name, case in cases
        for result in compare(session, name, case, arguments.rtol, arguments.atol)
    ]
    failed = [result for result in found if not result.agrees]
    if arguments.json:
        outputs = [
            {**asdict(result), "worst": _number(result.worst), "cosine": _number(result.cosine)}
            for result in found
        ]
        print_json({"model": arguments.model, "ok": not failed, "cases": len(cases), "outputs": outputs})
    else:
        for result in found:
            print(_line(result))
        print(f"{len(found) - len(failed)} of {len(found)} outputs agree in {len(cases)} cases")
    return FOUND_SOMETHING if failed else OK


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _line(result: Compared) -> str:
    verdict = "agrees" if result.agrees else "DIFFERS"
    numbers = f"worst {result.worst:.4g} of {result.limit:.4g} allowed, cosine {result.cosine:.6f}"
    return f"{verdict:8} {result.case}: {result.output}: {result.note or numbers}"


def _case(session: InferenceSession, path: Path) -> dict[str, Array]:
    """The arrays of a case: all inputs, and at least one output."""
    if not path.is_file():
        raise AscendError("E13000", f"the case {path} does not exist", expected="an .npz file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise AscendError("E13005", f"{path} is not an .npz file: {error}") from error
    inputs = [argument.name for argument in session.get_inputs()]
    outputs = [argument.name for argument in session.get_outputs()]
    missing = [name for name in inputs if name not in arrays]
    if missing or not any(name in arrays for name in outputs):
        raise AscendError(
            "EH0001",
            f"{path} lacks {', '.join(missing) or 'every output'}",
            expected=f"inputs {', '.join(inputs)} and some of the outputs {', '.join(outputs)}",
        )
    return arrays


def compare(
    session: InferenceSession, name: str, case: Mapping[str, Array], rtol: float, atol: float
) -> list[Compared]:
    """Run one case and compare every output that it holds."""
    wanted = [argument.name for argument in session.get_outputs() if argument.name in case]
    got = session.run(wanted, {argument.name: case[argument.name] for argument in session.get_inputs()})
    return [
        _compared(name, output, array, case[output], rtol, atol)
        for output, array in zip(wanted, got, strict=True)
    ]


def _compared(case: str, output: str, got: Array, want: Array, rtol: float, atol: float) -> Compared:
    if got.shape != want.shape:
        note = f"shape {list(got.shape)}, expected {list(want.shape)}"
        return Compared(case, output, False, np.inf, 0.0, 0.0, note)
    if got.dtype.kind not in "fc" and want.dtype.kind not in "fc":
        wrong = int(np.count_nonzero(got != want))
        note = f"{wrong} of {want.size} values differ" if wrong else "equal"
        return Compared(case, output, not wrong, float(wrong), 0.0, 1.0, note)
    one, other = (array.astype(np.float64).reshape(-1) for array in (got, want))
    finite = np.isfinite(one) & np.isfinite(other)
    odd = int(np.count_nonzero(~finite & ~((one == other) | (np.isnan(one) & np.isnan(other)))))
    limit = atol + rtol * float(np.abs(other[finite]).max(initial=0.0))
    worst = np.inf if odd else float(np.abs(one[finite] - other[finite]).max(initial=0.0))
    length = float(np.linalg.norm(one[finite]) * np.linalg.norm(other[finite]))
    cosine = float(one[finite] @ other[finite]) / length if length else 1.0
    note = f"{odd} numbers are not finite in one of both" if odd else ""
    return Compared(case, output, worst <= limit, worst, limit, cosine, note)
