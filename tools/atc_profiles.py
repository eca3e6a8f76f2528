"""Profiles of sizes: `--dynamic_batch_size`, `--dynamic_image_size`, `--dynamic_dims`, and bounded ranges.

The device has fixed sizes: a profile is one set of them, and the model is compiled for each (`lowering/profiles.py`).
A range (`--input_shape_range`, or `1~8` in `--input_shape`) is the profiles of all sizes in it, where they are few
enough. Rules and codes are the public tool's; what they leave open at run time beyond that cannot be compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final

from ..runtime.errors import AscendError
from ..runtime.om.profiles import ProfileKind
from .atc_flags import ParsedFlags
from .atc_shapes import OPEN, Extents, parse_input_ranges, parse_input_shape

BATCH: Final = "dynamic_batch_size"
IMAGE: Final = "dynamic_image_size"
DIMS: Final = "dynamic_dims"
RANGE: Final = "input_shape_range"
HINT: Final = "input_hint_shape"
PROFILE_FLAGS: Final = (BATCH, IMAGE, DIMS)
_KINDS: Final[dict[str, ProfileKind]] = {BATCH: "batch", IMAGE: "image", DIMS: "dims"}
LEAST, MOST = 2, 100
"""Profiles of one model."""


@dataclass(frozen=True)
class ProfileChoice:
    """What a command line asks for: the numbers of each profile, the inputs in the order that it names them, and their
    shapes in each profile."""

    kind: ProfileKind
    sizes: tuple[tuple[int, ...], ...]
    order: tuple[str, ...]
    shapes: tuple[dict[str, tuple[int, ...]], ...]


def profile_choice(flags: ParsedFlags) -> ProfileChoice | None:
    """The profiles that the command line asks for; None where it asks for one model of fixed sizes. What cannot be is an
    AscendError."""
    given = [name for name in (*PROFILE_FLAGS, RANGE) if name in flags]
    if len(given) > 1:
        raise AscendError(
            "E10009", f"--{given[0]} and --{given[1]} exclude each other", hint="keep one of them"
        )
    if HINT in flags and given:
        raise AscendError("E10009", f"--{HINT} and --{given[0]} exclude each other", hint="keep one of them")
    if RANGE in flags or (not given and "~" in flags.get("input_shape", "")):
        return _ranges(flags)
    if not given:
        return None
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
    filled = tuple(_filled(name, shapes, profile) for profile in profiles)
    return ProfileChoice(_KINDS[name], tuple(profiles), tuple(shapes), filled)


def _filled(
    name: str, shapes: dict[str, tuple[int, ...]], profile: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """The shapes of one profile: a batch goes everywhere, height and width to each picture, other numbers in order."""
    rest = iter(profile)
    found: dict[str, tuple[int, ...]] = {}
    for key, shape in shapes.items():
        numbers = iter(profile) if name == IMAGE else rest
        found[key] = tuple(
            (profile[0] if name == BATCH else next(numbers)) if size == OPEN else size for size in shape
        )
    return found


def _ranges(flags: ParsedFlags) -> ProfileChoice | None:
    """A range as the profiles of all sizes in it."""
    name = RANGE if RANGE in flags else "input_shape"
    if RANGE in flags and "input_shape" in flags:
        raise AscendError(
            "E10009", f"--{RANGE} and --input_shape exclude each other", hint="keep --input_shape, which takes ranges"
        )  # fmt: skip
    if "insert_op_conf" in flags:
        raise AscendError(
            "E10001", f"--{name} with a range does not support AIPP", expected="no --insert_op_conf"
        )
    ranges = parse_input_ranges(name, flags.get(name))
    opened = [extents for shape in ranges.values() for extents in shape if extents.low != extents.high]
    count = prod(extents.high - extents.low + 1 for extents in opened)
    if count > MOST:
        raise AscendError(
            "E10036",
            f"--{name} allows {count} combinations of sizes, each of which is compiled",
            expected=f"at most {MOST}",
            hint=f"name the sizes that are used: --{DIMS}, with -1 for the open sizes in --input_shape",
        )
    if count < LEAST:
        return None
    rows = list(product(*(range(extents.low, extents.high + 1) for extents in opened)))
    return ProfileChoice("dims", tuple(rows), tuple(ranges), tuple(_in_range(ranges, row) for row in rows))


def _in_range(ranges: dict[str, tuple[Extents, ...]], row: Sequence[int]) -> dict[str, tuple[int, ...]]:
    rest = iter(row)
    return {
        key: tuple(next(rest) if extents.low != extents.high else extents.low for extents in shape)
        for key, shape in ranges.items()
    }


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
        for key, shape in shapes.items():
            if 0 < shape.count(OPEN) < len(places):
                raise AscendError(
                    "E10019", f"--{IMAGE}: {key!r} leaves one of height and width open",
                    expected="both or neither",
                )  # fmt: skip
    if name == DIMS:
        _check_dims(flags, layout, opened, profiles)


def _check_dims(
    flags: ParsedFlags, layout: str, opened: Sequence[tuple[str, int]], profiles: Sequence[tuple[int, ...]]
) -> None:
    if layout != "ND":
        raise AscendError("E10001", f"--{DIMS} with --input_format={layout}", expected="--input_format=ND")
    if "insert_op_conf" in flags:
        raise AscendError("E10001", f"--{DIMS} does not support AIPP", expected="no --insert_op_conf")
    if len(profiles[0]) != len(opened):
        raise AscendError(
            "E10045",
            f"--input_shape leaves {len(opened)} sizes open, --{DIMS} gives {len(profiles[0])} per profile",
            expected="as many numbers as -1",
        )
