"""The configuration of AIPP, the preprocessing of pictures in front of a model: text in protobuf's form → records.

    aipp_op { aipp_mode: static  input_format: RGB888_U8  mean_chn_0: 124  var_reci_chn_0: 0.0171248 }

Keys and defaults are the public tool's. What a model cannot have is an E10052 that names key and value.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from lark import Lark, Token, Transformer, UnexpectedInput

from ..runtime.errors import AscendError

GRAMMAR: Final = r"""
    start: field*
    field: NAME ":" value (";" | ",")? -> scalar
         | NAME ":"? "{" field* "}" (";" | ",")? -> block
    value: NUMBER -> number | STRING -> text | NAME -> word
    NAME: /[A-Za-z_][A-Za-z0-9_]*/
    NUMBER: /[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?f?/
    STRING: /"[^"\n]*"|'[^'\n]*'/
    COMMENT: /#[^\n]*/
    %import common.WS
    %ignore WS
    %ignore COMMENT
"""
FORMATS: Final = {"YUV420SP_U8": 1, "XRGB8888_U8": 4, "RGB888_U8": 3, "YUV400_U8": 1}
"""Formats of pictures, and the channels of their array (C of NHWC)."""
MAX_PADDING: Final = 32
WIDTHS: Final = (2, 4096)
HEIGHTS: Final = (1, 4096)


@dataclass(frozen=True)
class AippOp:
    """One `aipp_op`. Sizes of 0 stand for "as the model's input"."""

    aipp_mode: str = ""
    input_format: str = ""
    related_input_rank: int = 0
    related_input_name: str = ""
    input_edge_idx: int = 0
    max_src_image_size: int = 0
    src_image_size_w: int = 0
    src_image_size_h: int = 0
    crop: bool = False
    load_start_pos_w: int = 0
    load_start_pos_h: int = 0
    crop_size_w: int = 0
    crop_size_h: int = 0
    resize: bool = False
    resize_output_w: int = 0
    resize_output_h: int = 0
    padding: bool = False
    left_padding_size: int = 0
    right_padding_size: int = 0
    top_padding_size: int = 0
    bottom_padding_size: int = 0
    padding_value: float = 0.0
    rotation_angle: int = 0
    single_line_mode: bool = False
    cpadding_value: float = 0.0
    raw_rgbir_to_f16_n: int = 0
    support_rotation: bool = False
    csc_switch: bool = False
    rbuv_swap_switch: bool = False
    ax_swap_switch: bool = False
    matrix: tuple[tuple[int, ...], ...] = ((298, 516, 0), (298, -100, -208), (298, 0, 409))
    input_bias: tuple[int, ...] = (16, 128, 128)
    output_bias: tuple[int, ...] = (16, 128, 128)
    mean: tuple[int, ...] = (0, 0, 0, 0)
    low: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """`min_chn_*`."""
    scale: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """`var_reci_chn_*`."""

    @property
    def is_yuv(self) -> bool:
        """Whether the picture comes as luma and chroma."""
        return self.input_format.startswith("YUV")

    @property
    def colours(self) -> int:
        """Planes behind the unpacking of the picture."""
        return 3 if self.input_format == "YUV420SP_U8" else FORMATS[self.input_format]


_ROWS: Final = {
    **{f"matrix_r{r}c{c}": ("matrix", r * 3 + c) for r in range(3) for c in range(3)},
    **{f"input_bias_{i}": ("input_bias", i) for i in range(3)},
    **{f"output_bias_{i}": ("output_bias", i) for i in range(3)},
    **{f"mean_chn_{i}": ("mean", i) for i in range(4)},
    **{f"min_chn_{i}": ("low", i) for i in range(4)},
    **{f"var_reci_chn_{i}": ("scale", i) for i in range(4)},
}
"""Keys that are elements of a row."""
_ROW_NAMES: Final = ("matrix", "input_bias", "output_bias", "mean", "low", "scale")
_SCALARS: Final = {f.name: f.type for f in fields(AippOp) if f.type in ("str", "int", "bool", "float")}
KEYS: Final = (*_SCALARS, *_ROWS)
_RANGES: Final = {
    "matrix": (-32768, 32767),
    "input_bias": (0, 255),
    "output_bias": (0, 255),
    "mean": (0, 255),
}


@dataclass
class _Block:
    """A block of the text: its name and its entries, in order."""

    name: str
    entries: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])


class _Reader(Transformer[Token, list[Any]]):
    """Tree → blocks."""

    def start(self, items: list[Any]) -> list[Any]:
        return items

    def scalar(self, items: list[Any]) -> tuple[str, Any]:
        return str(items[0]), items[1]

    def block(self, items: list[Any]) -> _Block:
        return _Block(str(items[0]), list(items[1:]))

    def number(self, items: list[Token]) -> int | float:
        text = str(items[0]).removesuffix("f")
        return int(text) if text.lstrip("+-").isdigit() else float(text)

    def text(self, items: list[Token]) -> str:
        return str(items[0])[1:-1]

    def word(self, items: list[Token]) -> bool | str:
        return {"true": True, "false": False}.get(str(items[0]).lower(), str(items[0]))


def parse_aipp(text: str) -> tuple[AippOp, ...]:
    """The records of a configuration, at least one."""
    try:
        tree = Lark(GRAMMAR, parser="lalr", maybe_placeholders=False).parse(text)  # pyright: ignore[reportUnknownMemberType] - lark's hint
    except UnexpectedInput as error:
        raise bad(
            f"line {error.line}, column {error.column} cannot be read", "key: value, in blocks aipp_op { … }"
        ) from error
    items: list[Any] = _Reader().transform(tree)
    strange = [item for item in items if not isinstance(item, _Block) or item.name != "aipp_op"]
    if strange or not items:
        name = strange[0].name if strange and isinstance(strange[0], _Block) else "a key outside of any block"
        raise bad(f"it holds {name if items else 'nothing'}", "blocks aipp_op { … }")
    ops = tuple(_op(item) for item in items)
    ranks = [op.related_input_rank for op in ops]
    if len(set(ranks)) < len(ranks):
        raise bad("two blocks are for the same input", "one aipp_op per related_input_rank")
    return ops


def _op(block: _Block) -> AippOp:
    values: dict[str, Any] = {}
    rows = {name: _flat(getattr(AippOp(), name)) for name in _ROW_NAMES}
    for entry in block.entries:
        if isinstance(entry, _Block):
            raise bad(f"{block.name} holds a block {entry.name}", "key: value")
        key, value = entry
        if key in _ROWS:
            row, index = _ROWS[key]
            rows[row][index] = _number(key, value, row not in ("low", "scale"), _RANGES.get(row))
        elif key in _SCALARS:
            values[key] = _scalar(key, value)
        else:
            near = difflib.get_close_matches(key, KEYS, 1)
            raise bad(f"there is no key {key!r}", f"{near[0]}" if near else "a key of aipp_op")
    matrix = tuple(tuple(rows["matrix"][r * 3 : r * 3 + 3]) for r in range(3))
    values |= {name: tuple(row) for name, row in rows.items()} | {"matrix": matrix}
    return _checked(AippOp(**values))


def _flat(value: tuple[Any, ...]) -> list[Any]:
    found: list[Any] = []
    for row in value:
        found += list(cast("tuple[Any, ...]", row)) if isinstance(row, tuple) else [row]
    return found


def _number(key: str, value: Any, whole: bool, limits: tuple[int, int] | None) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or (whole and int(value) != value):
        raise bad(f"{key} is {value!r}", "a whole number" if whole else "a number")
    if limits is not None and not limits[0] <= value <= limits[1]:
        raise bad(f"{key} is {value}", f"{limits[0]} to {limits[1]}")
    return int(value) if whole else float(value)


def _scalar(key: str, value: Any) -> Any:
    kind = _SCALARS[key]
    if kind == "bool":
        if value in (0, 1):  # True and False are equal to them
            return bool(value)
        raise bad(f"{key} is {value!r}", "true or false")
    if kind == "str":
        return str(value)
    number = _number(key, value, kind == "int", None)
    if kind == "int" and number < 0:
        raise bad(f"{key} is {value}", "0 or more")
    return number


def _checked(op: AippOp) -> AippOp:
    if op.aipp_mode not in ("static", "dynamic"):
        raise bad(f"aipp_mode is {op.aipp_mode!r}", "static")
    if op.aipp_mode == "dynamic":
        raise AscendError(
            "E10055", "aipp_mode: dynamic is not supported yet: its settings come with each picture",
            expected="aipp_mode: static", hint="make one model per setting",
        )  # fmt: skip
    if op.input_format not in FORMATS:
        raise bad(f"input_format is {op.input_format!r}", ", ".join(FORMATS))
    for key, limits in (("src_image_size_w", WIDTHS), ("src_image_size_h", HEIGHTS)):
        size: int = getattr(op, key)
        if size and not limits[0] <= size <= limits[1]:
            raise bad(f"{key} is {size}", f"{limits[0]} to {limits[1]}, or 0")
    if bool(op.src_image_size_w) != bool(op.src_image_size_h):
        raise bad("only one of src_image_size_w and src_image_size_h is given", "both, or neither")
    if not op.src_image_size_w and (op.crop or op.padding or op.resize):
        raise bad(
            "src_image_size_w is 0",
            "the size of the picture: with crop, resize or padding the model's does not tell it",
        )
    _check_parts(op)
    return op


def _check_parts(op: AippOp) -> None:
    for key in ("left_padding_size", "right_padding_size", "top_padding_size", "bottom_padding_size"):
        if not 0 <= getattr(op, key) <= MAX_PADDING:
            raise bad(f"{key} is {getattr(op, key)}", f"0 to {MAX_PADDING}")
    for key in ("rotation_angle", "single_line_mode", "raw_rgbir_to_f16_n", "support_rotation"):
        if getattr(op, key):
            raise bad(f"{key} is {getattr(op, key)}", "0: it is reserved")
    if op.resize and not (op.resize_output_w and op.resize_output_h):
        raise bad("resize is true without resize_output_w and resize_output_h", "both sizes")
    if op.csc_switch and op.input_format == "YUV400_U8":
        raise bad("csc_switch is true for YUV400_U8", "false: there is one channel")
    even = (op.src_image_size_w, op.src_image_size_h, op.load_start_pos_w, op.load_start_pos_h)
    if op.input_format == "YUV420SP_U8" and any(size % 2 for size in even):
        raise bad(
            "a size or start position of YUV420SP_U8 is odd", "even numbers: two pixels share their chroma"
        )
    if op.ax_swap_switch and op.input_format != "XRGB8888_U8":
        raise bad(f"ax_swap_switch is true for {op.input_format}", "false: there is no fourth channel")


def bad(what: str, expected: str) -> AscendError:
    """E10052, the code of everything that is wrong with a configuration."""
    return AscendError(
        "E10052",
        f"the AIPP configuration is wrong: {what}",
        expected=expected,
        hint="correct the file of --insert_op_conf",
    )
