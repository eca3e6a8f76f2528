"""Values of `--input_shape` and `--out_nodes`: the small languages inside flag values."""

from __future__ import annotations

from ..runtime.errors import AscendError

_FORM = '"name1:n1,c1,h1,w1;name2:n2,c2,h2,w2", quoted'


def parse_input_shape(text: str) -> dict[str, tuple[int, ...]]:
    """Sizes by input name. A name may hold colons (the last one counts); nothing after it means a scalar."""
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
        shapes[name] = tuple(_extent(name, dim.strip()) for dim in dims.split(",")) if dims.strip() else ()
    return shapes


def _extent(name: str, text: str) -> int:
    if text == "-1" or "~" in text:
        raise AscendError(
            "E10011",
            f"--input_shape leaves a dimension of {name!r} open ({text})",
            expected="a positive number: models of open size are not supported yet",
            hint="give a size for every dimension",
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


def parse_out_nodes(text: str) -> tuple[str, ...]:
    """`"node1:0;node2:1"` or names of graph outputs, in order."""
    names = tuple(piece.strip() for piece in text.strip().strip(";").split(";"))
    if not all(names):
        raise AscendError(
            "E10003", f"Value {text!r} for --out_nodes is malformed", expected='"node1:0;node2:0"'
        )
    return names
