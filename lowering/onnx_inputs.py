"""The model's inputs with all sizes fixed: what the file declares, completed by what the user gives."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, TensorShapeProto, ValueInfoProto

from ..dialects import dtypes
from ..dialects.nn_shapes import Shape
from ..runtime.errors import AscendError, Refusal, UnsupportedOpError


@dataclass(frozen=True)
class InputType:
    """One input of the model."""

    name: str
    shape: Shape
    dtype: str


def model_inputs(graph: GraphProto, given: Mapping[str, Sequence[int]]) -> list[InputType]:
    """Inputs that are not initialisers. A symbolic size that the user fixes for one input holds for all."""
    initializers = {tensor.name for tensor in graph.initializer}
    initializers |= {tensor.values.name for tensor in graph.sparse_initializer}
    inputs = [value for value in graph.input if value.name not in initializers]
    check_input_names(
        given, [value.name for value in inputs], {node.name for node in graph.node} | initializers
    )
    symbols: dict[str, int] = {}
    for value in inputs:
        if value.name in given:
            _check_given(value, tuple(given[value.name]), symbols)
    types = [_dtype(value) for value in inputs]
    shapes = [_fixed_shape(value, given, symbols, inputs) for value in inputs]
    return [InputType(v.name, shape, dtype) for v, shape, dtype in zip(inputs, shapes, types, strict=True)]


def check_input_names(given: Collection[str], names: Sequence[str], others: Collection[str]) -> None:
    """Names that a user gave for inputs are inputs: E10017 where one is something else in the model, a node or a weight,
    E10016 where it is nothing."""
    for name in given:
        if name in names:
            continue
        near = difflib.get_close_matches(name, names, 1)
        raise AscendError(
            "E10017" if name in others else "E10016",
            f"{name!r} is no input of the model" if name in others else f"input {name!r} is not in the model",
            expected=f"one of {', '.join(names)}",
            hint=f"did you mean {near[0]!r}?" if near else "",
        )


def _dtype(value: ValueInfoProto) -> str:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "unknown"
        raise _unsupported(value, f"its kind is {kind.removesuffix('_type')}", "Inputs must be tensors")
    name = dtypes.name_of_onnx(value.type.tensor_type.elem_type)
    if name is None:
        actual = f"it has ONNX element type {value.type.tensor_type.elem_type}"
        raise _unsupported(value, actual, f"Element types are {', '.join(dtypes.DTYPES)}")
    return name


def _unsupported(
    value: ValueInfoProto, actual: str, requirement: str, code: str = "E13025"
) -> UnsupportedOpError:
    return UnsupportedOpError([Refusal(value.name, "Input", requirement, actual)], code=code)


def _dims(value: ValueInfoProto) -> list[TensorShapeProto.Dimension] | None:
    """Declared dimensions, None if not even the rank is declared."""
    tensor = value.type.tensor_type
    return list(tensor.shape.dim) if tensor.HasField("shape") else None


def declared_shape(graph: GraphProto, name: str) -> Shape | None:
    """The shape that a graph declares for a tensor it computes; None where it leaves something open."""
    for value in (*graph.output, *graph.value_info):
        dims = _dims(value) if value.name == name else None
        if dims is not None and all(_is_fixed(dim) for dim in dims):
            return tuple(dim.dim_value for dim in dims)
    return None


def _text(dims: Sequence[TensorShapeProto.Dimension]) -> str:
    return (
        "["
        + ", ".join(dim.dim_param or (str(dim.dim_value) if _is_fixed(dim) else "?") for dim in dims)
        + "]"
    )


def _is_fixed(dim: TensorShapeProto.Dimension) -> bool:
    # some exporters write -1 for a size that is open; 0 is a size (empty axes), unless the user gives
    # another one
    return dim.HasField("dim_value") and dim.dim_value >= 0


def _check_given(value: ValueInfoProto, shape: Shape, symbols: dict[str, int]) -> None:
    declared = _dims(value)
    if any(size == 0 for size in shape) and not any(size < 0 for size in shape):
        fixed = [dim.dim_value == 0 for dim in declared or () if dim.HasField("dim_value")]
        if not any(fixed):
            raise _unsupported(value, f"shape {list(shape)} is given", "Inputs must have elements", "E10011")
    empty = {i for i, dim in enumerate(declared or ()) if dim.HasField("dim_value") and dim.dim_value == 0}
    if any(size < 0 or (size == 0 and i not in empty) for i, size in enumerate(shape)):
        raise AscendError(
            "E10011",
            f"shape {list(shape)} given for input {value.name!r} has a size that is not positive",
            expected="positive sizes",
            hint="open sizes (-1) and ranges are not compiled yet: give numbers",
        )
    dims = declared
    if dims is None:
        return
    if len(dims) != len(shape):
        raise AscendError(
            "E10049",
            f"shape {list(shape)} given for input {value.name!r} has {len(shape)} dimensions",
            expected=f"{len(dims)} dimensions, {_text(dims)}",
        )
    for index, (dim, size) in enumerate(zip(dims, shape, strict=True)):
        is_open = not _is_fixed(dim) or dim.dim_value == 0
        fixed = symbols.get(dim.dim_param, size) if is_open else dim.dim_value
        if fixed != size:
            raise AscendError(
                "E10050",
                f"size {size} given for dimension {index} of input {value.name!r}",
                expected=f"{fixed}, as in {_text(dims)}",
                hint="only open dimensions of a model can be set",
            )
        if dim.dim_param and not _is_fixed(dim):
            symbols[dim.dim_param] = size


def _fixed_shape(
    value: ValueInfoProto,
    given: Mapping[str, Sequence[int]],
    symbols: Mapping[str, int],
    inputs: Sequence[ValueInfoProto],
) -> Shape:
    if value.name in given:
        return tuple(given[value.name])
    dims = _dims(value)
    if dims is None:
        raise _open_error(value, "its rank", inputs)
    shape: list[int] = []
    for index, dim in enumerate(dims):
        size = dim.dim_value if _is_fixed(dim) else symbols.get(dim.dim_param)
        if size is None:
            symbol = f" ({dim.dim_param})" if dim.dim_param else ""
            raise _open_error(value, f"dimension {index}{symbol} of {_text(dims)}", inputs)
        shape.append(size)
    return tuple(shape)


def _open_error(value: ValueInfoProto, what: str, inputs: Sequence[ValueInfoProto]) -> AscendError:
    """Proposes the whole flag, with 1 for open leading sizes and a question mark elsewhere."""
    parts = [f"{item.name}:{_proposal(item)}" for item in inputs if _is_open(item)]
    return AscendError(
        "E10011",
        f"input {value.name!r} leaves {what} open",
        expected="a fixed size for every dimension",
        hint=f'give --input_shape "{";".join(parts)}"',
    )


def _is_open(value: ValueInfoProto) -> bool:
    dims = _dims(value)
    return dims is None or not all(_is_fixed(dim) for dim in dims)


def _proposal(value: ValueInfoProto) -> str:
    dims = _dims(value)
    if dims is None:
        return "..."
    return ",".join(
        str(dim.dim_value) if _is_fixed(dim) else ("1" if index == 0 else f"<{dim.dim_param or 'size'}>")
        for index, dim in enumerate(dims)
    )
