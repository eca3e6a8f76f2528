"""Profiles of sizes: `--dynamic_batch_size`, `--dynamic_image_size`, `--dynamic_dims`, and ranges.

Models of open size cannot be compiled yet. What the flags say is checked by the public tool's rules all the same, so
that a mistake in them is told as such; then the refusal names the fixed sizes of the largest profile, ready to use.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from ..runtime.errors import AscendError
from .atc_flags import ParsedFlags
from .atc_shapes import OPEN, parse_input_shape

BATCH: Final = "dynamic_batch_size"
IMAGE: Final = "dynamic_image_size"
DIMS: Final = "dynamic_dims"
RANGE: Final = "input_shape_range"
HINT: Final = "input_hint_shape"
PROFILE_FLAGS: Final = (BATCH, IMAGE, DIMS)
LEAST, MOST = 2, 100
"""Profiles of one model."""


def refuse_dynamic(flags: ParsedFlags) -> None:
    """Raises if the command line asks for sizes that are open at run time: for its mistakes first."""
    given = [name for name in (*PROFILE_FLAGS, RANGE) if name in flags]
    if len(given) > 1:
        raise AscendError(
            "E10009", f"--{given[0]} and --{given[1]} exclude each other", hint="keep one of them"
        )
    if HINT in flags and given:
        raise AscendError("E10009", f"--{HINT} and --{given[0]} exclude each other", hint="keep one of them")
    if HINT in flags or RANGE in flags:
        name = HINT if HINT in flags else RANGE
        raise _unsupported(name, 'give fixed sizes, --input_shape="name:n,c,h,w"')
    if not given:
        return
    (name,) = given
    profiles = _profiles(name, flags.get(name))
    shapes = (
        parse_input_shape(flags.get("input_shape"), is_open_allowed=True) if "input_shape" in flags else {}
    )
    opened = [
        (key, index) for key, shape in shapes.items() for index, size in enumerate(shape) if size == OPEN
    ]
    if not opened:
        raise AscendError(
            "E10040",
            f"--{name} is given, and --input_shape leaves no size open",
            expected="-1 for each open size",
        )
    _check_places(name, flags, shapes, opened, profiles)
    raise _unsupported(name, f'for the largest profile give --input_shape="{_fixed(name, shapes, profiles)}"')


def _unsupported(name: str, hint: str) -> AscendError:
    return AscendError(
        "E10055",
        f"--{name} is not supported yet: models have fixed sizes",
        expected="sizes known to the compiler",
        hint=hint,
    )


def _profiles(name: str, text: str) -> list[tuple[int, ...]]:
    parts = text.strip().strip(";").split("," if name == BATCH else ";")
    words = [[word.strip() for word in part.split(",")] for part in parts]
    if not all(word.removeprefix("-").isdecimal() for row in words for word in row):
        raise AscendError(
            "E10003",
            f"Value {text} for parameter --{name} is invalid",
            expected="digits, commas and semicolons" if name != BATCH else "digits and commas",
        )
    rows = [tuple(int(word) for word in row) for row in words]
    if len(rows) < LEAST:
        raise AscendError("E10035", f"--{name} has {len(rows)} profile", expected=f"at least {LEAST}")
    if len(rows) > MOST:
        raise AscendError("E10036", f"--{name} has {len(rows)} profiles", expected=f"at most {MOST}")
    if name == IMAGE and any(len(row) != 2 for row in rows):
        raise AscendError(
            "E10020", f"Value {text} for parameter --{name} is invalid", expected="height,width;height,width"
        )
    if len({len(row) for row in rows}) > 1:
        raise AscendError(
            "E10037", f"the profiles of --{name} have unequal lengths", expected="one number per open size"
        )
    if any(size <= 0 for row in rows for size in row):
        raise AscendError("E10038", f"--{name} has a size that is not positive", expected="positive numbers")
    if len(set(rows)) < len(rows):
        raise AscendError("E10039", f"--{name} has a profile twice", expected="every profile once")
    return rows


def _check_places(
    name: str,
    flags: ParsedFlags,
    shapes: dict[str, tuple[int, ...]],
    opened: Sequence[tuple[str, int]],
    profiles: Sequence[tuple[int, ...]],
) -> None:
    layout = flags.get("input_format", "NCHW")
    if name == BATCH and any(index != 0 for _, index in opened):
        raise AscendError(
            "E10018", f"--{BATCH} with an open size that is no batch", expected="-1 in the first place only"
        )
    if name == IMAGE:
        if layout not in ("NCHW", "NHWC"):
            raise AscendError("E10001", f"--{IMAGE} with --input_format={layout}", expected="NCHW or NHWC")
        places = (2, 3) if layout == "NCHW" else (1, 2)
        if any(index not in places or len(shapes[key]) != 4 for key, index in opened):
            raise AscendError(
                "E10019",
                f"--{IMAGE} with an open size that is no height or width",
                expected=f"-1 at {places}",
            )
    if name == DIMS:
        if layout != "ND":
            raise AscendError(
                "E10001", f"--{DIMS} with --input_format={layout}", expected="--input_format=ND"
            )
        if "insert_op_conf" in flags:
            raise AscendError("E10001", f"--{DIMS} does not support AIPP", expected="no --insert_op_conf")
        if len(profiles[0]) != len(opened):
            raise AscendError(
                "E10045",
                f"--input_shape leaves {len(opened)} sizes open, --{DIMS} gives {len(profiles[0])} per profile",
                expected="as many numbers as -1",
            )


def _fixed(name: str, shapes: dict[str, tuple[int, ...]], profiles: Sequence[tuple[int, ...]]) -> str:
    """The value of --input_shape with the largest profile in place of the open sizes."""
    largest = max(profiles, key=prod)
    rest = iter(largest)
    parts: list[str] = []
    for key, shape in shapes.items():
        sizes = iter(largest) if name == IMAGE else rest
        filled = [(largest[0] if name == BATCH else next(sizes)) if size == OPEN else size for size in shape]
        parts.append(f"{key}:{','.join(map(str, filled))}")
    return ";".join(parts)
