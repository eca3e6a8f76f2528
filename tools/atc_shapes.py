"""Values of `--input_shape`, `--out_nodes`, `--output_type` and their like: the small languages inside flag values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..runtime.errors import AscendError

_FORM = '"name1:n1,c1,h1,w1;name2:n2,c2,h2,w2", quoted'
OPEN: Final = -1
"""A dimension that a profile of sizes fills in."""


@dataclass(frozen=True)
class Extents:
    """The sizes a dimension may have."""

    low: int
    high: int


OUTPUT_TYPES: Final = {
    "FP32": "f32",
    "FP16": "f16",
    "INT8": "i8",
    "INT16": "i16",
    "UINT16": "u16",
    "UINT8": "u8",
    "INT32": "i32",
    "INT64": "i64",
    "UINT32": "u32",
    "UINT64": "u64",
    "DOUBLE": "f64",
}
ALL_OUTPUTS: Final = -1


def parse_input_shape(text: str, *, is_open_allowed: bool = False) -> dict[str, tuple[int, ...]]:
    """Sizes by input name. A name may hold colons (the last one counts); nothing after it means a scalar. Open
    sizes are -1 where they are allowed, and an error elsewhere."""
    shapes: dict[str, tuple[int, ...]] = {}
    for part in (piece.strip() for piece in text.strip().strip(";").split(";")):
        name, colon, dims = part.rpartition(":")
        if not colon or not name:
            raise AscendError(
                "E10002",
                f"Value {text!r} for --input_shape is malformed: {part!r} is not name:sizes",
                expected=_FORM,
                hint="a value with ';' needs double quotes",
            )
        if name in shapes:
            raise AscendError("E10002", f"--input_shape names {name!r} twice", expected=_FORM)
        words = [dim.strip() for dim in dims.split(",")] if dims.strip() else []
        is_open = [is_open_allowed and word == "-1" for word in words]
        shapes[name] = tuple(
            OPEN if skip else _extent(name, word) for word, skip in zip(words, is_open, strict=True)
        )
    return shapes


def _extent(name: str, text: str) -> int:
    if text == "-1" or "~" in text:
        raise AscendError(
            "E10011",
            f"--input_shape leaves a dimension of {name!r} open ({text})",
            expected="a positive number, or a flag that says which sizes there are",
            hint="add --dynamic_batch_size, --dynamic_image_size or --dynamic_dims, or give a size",
        )
    if not text.isascii() or not text.isdecimal():
        raise AscendError(
            "E10002",
            f"--input_shape has {text!r} as a size of {name!r}",
            expected=f"positive numbers, as in {_FORM}",
        )
    if int(text) == 0:
        raise AscendError("E10011", f"--input_shape has size 0 for {name!r}", expected="positive numbers")
    return int(text)


def parse_input_ranges(flag: str, text: str) -> dict[str, tuple[Extents, ...]]:
    """Ranges of sizes by input name: `"x:1~8,3,224"`, or `"x:[1~8,3,224]"` as the deprecated flag has them."""
    plain = ";".join(_without_brackets(part) for part in text.strip().strip(";").split(";"))
    lows, highs = (
        ";".join(
            f"{part.rpartition(':')[0]}:{','.join(_end(word, end) for word in part.rpartition(':')[2].split(','))}"
            for part in plain.split(";")
        )
        for end in (0, -1)
    )
    try:
        low, high = parse_input_shape(lows), parse_input_shape(highs)
    except AscendError as error:
        raise AscendError(
            error.code, error.message.replace("--input_shape", f"--{flag}"), expected=error.expected, hint=error.hint
        ) from None  # fmt: skip
    found = {
        name: tuple(Extents(a, b) for a, b in zip(shape, high[name], strict=True))
        for name, shape in low.items()
    }
    for name, shape in found.items():
        if any(extents.high < extents.low for extents in shape):
            raise AscendError(
                "E10002", f"--{flag}: a range of {name!r} ends before it begins", expected="1~8"
            )
    return found


def _without_brackets(part: str) -> str:
    name, _, dims = part.strip().rpartition(":")
    is_bracketed = dims.startswith("[") and dims.endswith("]")
    return f"{name}:{dims[1:-1] if is_bracketed else dims}"


def _end(word: str, end: int) -> str:
    """The first or last size of `a~b`; what is more than that stays as it is, and is told as wrong."""
    sizes = word.split("~")
    return sizes[end].strip() if len(sizes) == 2 else word


def parse_names(flag: str, text: str) -> tuple[str, ...]:
    """Names separated by `;`, none of them empty or twice."""
    names = tuple(piece.strip() for piece in text.strip().strip(";").split(";"))
    if not all(names):
        raise AscendError("E10003", f"Value {text!r} for --{flag} is malformed", expected='"name1;name2"')
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AscendError("E10003", f"--{flag} names {twice!r} twice", expected="every name once")
    return names


def parse_out_nodes(text: str) -> tuple[str, ...]:
    """`"node1:0;node2:1"` or names of graph outputs, in order."""
    names = tuple(piece.strip() for piece in text.strip().strip(";").split(";"))
    if not all(names):
        raise AscendError(
            "E10003", f"Value {text!r} for --out_nodes is malformed", expected='"node1:0;node2:0"'
        )
    return names


def parse_output_type(text: str, out_nodes: Sequence[str]) -> dict[int, str]:
    """Element types by position of the output; `ALL_OUTPUTS` where one word holds for all of them."""
    if ":" not in text:
        return {ALL_OUTPUTS: _type(text.strip())}
    if not out_nodes:
        raise AscendError(
            "E10003",
            f"--output_type={text} names outputs, and --out_nodes is not given",
            expected="--out_nodes with the same names, or one type for all outputs",
        )
    types: dict[int, str] = {}
    for part in text.strip().strip(";").split(";"):
        name, _, word = part.strip().rpartition(":")
        if name not in out_nodes:
            raise AscendError(
                "E10016",
                f"{name!r} of --output_type is not in --out_nodes",
                expected=", ".join(out_nodes),
                hint='the form is "node:index:type", for example "Softmax_0:0:FP16"',
            )
        types[out_nodes.index(name)] = _type(word)
    return types


def _type(word: str) -> str:
    if word not in OUTPUT_TYPES:
        raise AscendError(
            "E10001",
            f"Value {word} for parameter --output_type is invalid",
            expected=f"one of {', '.join(OUTPUT_TYPES)}",
        )
    return OUTPUT_TYPES[word]


def parse_truths(flag: str, text: str) -> tuple[bool, ...]:
    """`"true,false"`."""
    words = [word.strip().lower() for word in text.split(",")]
    if not set(words) <= {"true", "false"}:
        raise AscendError(
            "E10005",
            f"Value {text} for parameter --{flag} is invalid",
            expected='"true" or "false", by commas',
        )
    return tuple(word == "true" for word in words)
