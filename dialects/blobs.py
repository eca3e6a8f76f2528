"""Weights as expressions (D14).

A weight never enters the IR as numbers: `nn.constant` carries an expression over source keys, evaluated
when its bytes are needed.

    "conv1.weight" : tensor<64x3x7x7xf32> | mul0 ("bn1.k" : tensor<64xf32>) | cast f16 | pack FRACTAL_Z 16 1

A chain starts at a leaf (`"key" : type`, `splat 0.0 : type`, `dense [1, 2] : type`) and runs through
operations of `BLOB_OPS`; further operands of an operation stand in parentheses. Shape and element type of
every step are known without loading data; two blobs are equal if their texts are. Values are bound and
computed by `runtime/weights.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from . import dtypes, nn_shapes
from .dtypes import Array
from .nn_shapes import Shape

BlobArg: TypeAlias = int | float | str | tuple[int, ...]
"""An argument of a blob operation: number, word or list of integers."""

MAX_DENSE_ELEMENTS = 64
"""Above this a constant is a source of the weight store, not text (shared decision of the nn level)."""


@dataclass(frozen=True, eq=False)
class Blob:
    """One node of a weight expression. `op` is `source`, `splat`, `dense` or a key of `BLOB_OPS`."""

    op: str
    shape: Shape
    dtype: str
    args: tuple[BlobArg, ...] = ()
    inputs: tuple[Blob, ...] = ()
    values: tuple[int | float, ...] = field(default=())

    @staticmethod
    def source(key: str, shape: Shape, dtype: str) -> Blob:
        """A named array of the weight store."""
        return Blob("source", shape, dtype, (key,))

    @staticmethod
    def splat(value: float, shape: Shape, dtype: str) -> Blob:
        """One value everywhere; it stays one value until it is packed."""
        return Blob("splat", shape, dtype, values=(_element(value, dtype),))

    @staticmethod
    def dense(array: Array) -> Blob:
        """A few values written out (an array of one value becomes a splat)."""
        dtype = dtypes.name_of_numpy(array.dtype)
        flat = array.reshape(-1)
        if flat.size > 0 and bool(np.all(flat == flat[0])):
            return Blob.splat(flat[0].item(), array.shape, dtype)
        if flat.size > MAX_DENSE_ELEMENTS:
            raise ValueError(f"expected at most {MAX_DENSE_ELEMENTS} elements written out, got {flat.size}")
        return Blob("dense", array.shape, dtype, values=tuple(_element(v, dtype) for v in flat.tolist()))

    def apply(self, op: str, *args: BlobArg | Blob) -> Blob:
        """This blob sent through one operation; blob arguments become further operands."""
        inputs = (self, *(arg for arg in args if isinstance(arg, Blob)))
        plain = tuple(arg for arg in args if not isinstance(arg, Blob))
        shape, dtype = BLOB_OPS[op].infer(inputs, plain)
        return Blob(op, shape, dtype, plain, inputs)

    @property
    def is_splat(self) -> bool:
        return self.op == "splat"

    @property
    def byte_size(self) -> int:
        return math.prod(self.shape) * dtypes.size_of(self.dtype)

    def sources(self) -> set[str]:
        """Keys of all source leaves."""
        if self.op == "source":
            return {str(self.args[0])}
        return set[str]().union(*(blob.sources() for blob in self.inputs))

    @cached_property
    def text(self) -> str:
        """The printed expression: identity, hash and syntax in one."""
        if self.op == "source":
            return f"{_quoted(str(self.args[0]))} : {_type_text(self)}"
        if self.op == "splat":
            return f"splat {number_text(self.values[0])} : {_type_text(self)}"
        if self.op == "dense":
            return f"dense [{', '.join(map(number_text, self.values))}] : {_type_text(self)}"
        words = [_argument_text(arg) for arg in self.args] + [f"({blob.text})" for blob in self.inputs[1:]]
        return " ".join([f"{self.inputs[0].text} | {self.op}", *words])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text


def _element(value: float, dtype: str) -> int | float:
    """The value as the element type holds it (equal bytes have equal texts), in its shortest decimal."""
    scalar = numpy_scalar(value, dtype)
    return float(str(scalar)) if dtypes.is_float(dtype) else scalar.item()


def numpy_scalar(value: float, dtype: str) -> Any:
    """A 0-d element of the named type."""
    return np.asarray(value).astype(dtypes.numpy_dtype(dtype))[()]


def _quoted(text: str) -> str:
    """A string literal of MLIR: quotes, backslashes and control characters escaped."""
    return '"' + "".join(f"\\{ord(c):02X}" if c in '"\\' or c < " " else c for c in text) + '"'


def number_text(value: float) -> str:
    """A number as the MLIR lexer reads it back: `1.0e-05`, never `1e-05`; infinities and NaN are words."""
    if isinstance(value, bool | int):
        return str(int(value))
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "neg_inf"
    text = repr(float(value))
    mantissa, exponent, power = text.partition("e")
    return mantissa + ("" if "." in mantissa else ".0") + exponent + power


def _argument_text(arg: BlobArg) -> str:
    if isinstance(arg, tuple):
        return f"[{', '.join(map(str, arg))}]"
    if isinstance(arg, str):
        return arg if arg.isidentifier() else _quoted(arg)
    return number_text(arg)


def _type_text(blob: Blob) -> str:
    dims = "".join(f"{dim}x" for dim in blob.shape)
    return f"tensor<{dims}{dtypes.ir_type(blob.dtype)}>"


# ------------------------------------------------------------------------------------------ operations

Args: TypeAlias = Sequence[BlobArg]
Typed: TypeAlias = tuple[Shape, str]


@dataclass(frozen=True)
class BlobOp:
    """What an operation does to shape and type, and to values."""

    infer: Callable[[Sequence[Blob], Args], Typed]
    evaluate: Callable[[Sequence[Array], Args], Array]


def _ints(arg: BlobArg) -> tuple[int, ...]:
    if not isinstance(arg, tuple):
        raise ValueError(f"expected a list of integers, got {arg}")
    return arg


def _int(arg: BlobArg) -> int:
    if not isinstance(arg, int):
        raise ValueError(f"expected an integer, got {arg}")
    return arg


def _move(shape: Callable[[Shape, Args], Shape], evaluate: Callable[[Array, Args], Array]) -> BlobOp:
    """An operation that moves elements: the type stays."""
    return BlobOp(
        lambda inputs, args: (shape(inputs[0].shape, args), inputs[0].dtype),
        lambda arrays, args: evaluate(arrays[0], args),
    )


def in_single(function: Callable[..., Array], arrays: Sequence[Array]) -> Array:
    """Computes half types in f32 and rounds once; everything else in its own type."""
    dtype = arrays[0].dtype
    if dtype.itemsize != 2 or dtype.kind in "iu":
        return function(*arrays)
    with np.errstate(over="ignore"):
        return function(*(array.astype(np.float32) for array in arrays)).astype(dtype)


def _unary(function: Callable[[Array], Array]) -> BlobOp:
    return BlobOp(
        lambda inputs, args: (inputs[0].shape, inputs[0].dtype),
        lambda arrays, args: in_single(function, arrays[:1]),
    )


def _infer_binary(inputs: Sequence[Blob], args: Args) -> Typed:
    if inputs[0].dtype != inputs[1].dtype:
        raise ValueError(f"expected operands of one type, got {inputs[0].dtype} and {inputs[1].dtype}")
    return nn_shapes.broadcast(inputs[0].shape, inputs[1].shape), inputs[0].dtype


def _binary(function: Callable[[Array, Array], Array]) -> BlobOp:
    return BlobOp(_infer_binary, lambda arrays, args: in_single(function, arrays))


def _infer_axis0(inputs: Sequence[Blob], args: Args) -> Typed:
    if inputs[1].shape != inputs[0].shape[:1]:
        raise ValueError(
            f"expected one factor per row, got {list(inputs[1].shape)} for {list(inputs[0].shape)}"
        )
    return inputs[0].shape, inputs[0].dtype


def _scale_rows(weight: Array, scale: Array) -> Array:
    return weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))


def _slices(args: Args) -> tuple[slice, ...]:
    starts, sizes, steps = (_ints(arg) for arg in args)
    return tuple(_slice(*bounds) for bounds in zip(starts, sizes, steps, strict=True))


def _slice(start: int, size: int, step: int) -> slice:
    end = start + size * step
    return slice(start, end, step) if end >= 0 else slice(start, None, step)


def _pad(array: Array, args: Args) -> Array:
    before, after = _ints(args[0]), _ints(args[1])
    value = args[2] if len(args) > 2 else 0
    return np.pad(array, list(zip(before, after, strict=True)), constant_values=value)


def _positions(arrays: Sequence[Array], args: Args) -> Array:
    """Each element of a row plus its position."""
    return arrays[0] + np.arange(arrays[0].shape[0], dtype=arrays[0].dtype)


def _infer_cast(inputs: Sequence[Blob], args: Args) -> Typed:
    if args[0] not in dtypes.DTYPES:
        raise ValueError(f"expected an element type, got {args[0]}")
    return inputs[0].shape, str(args[0])


def _cast(arrays: Sequence[Array], args: Args) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):  # f32 beyond f16 becomes inf, as on the chip
        return arrays[0].astype(dtypes.numpy_dtype(str(args[0])), copy=False)


def _unpack(arrays: Sequence[Array], args: Args) -> Array:
    """Bytes [..., n] as numbers of so many bits each, the lowest bits first: [..., n · 8 / bits]."""
    bits = _int(args[0])
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = (arrays[0][..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return parts.reshape(*arrays[0].shape[:-1], -1)


def _two_terms(arrays: Sequence[Array], args: Args) -> Array:
    """[C] → [1, C, 1, 2]: h = f16(x), l = f16(x - h); what is beyond the largest f16 is left to the second term,
    and ends at twice that: an infinite term would make the sum no number."""
    high = np.clip(arrays[0], -65504, 65504).astype(np.float16)
    low = np.clip(arrays[0] - high.astype(arrays[0].dtype), -65504, 65504).astype(np.float16)
    return np.stack([high, low], axis=-1).reshape(1, -1, 1, 2)


def _layout(args: Args) -> Any:
    from . import layouts

    fmt, c0, groups = str(args[0]), _int(args[1]), _int(args[2]) if len(args) > 2 else 1
    return layouts.Layout(layouts.Format(fmt), c0=c0, groups=groups)


def _interpolate(arrays: Sequence[Array], args: Args) -> Array:
    """Rows resampled; of a unit matrix these are the weights of an interpolation."""
    from ..runtime.interp.nn_move import interpolation_matrix, source_positions

    result, mode, coordinate, scale, cubic, exclude, antialias = args
    size = arrays[0].shape[0]
    matrix = interpolation_matrix(
        source_positions(size, _int(result), float(scale), str(coordinate)),  # type: ignore[arg-type]
        size,
        scale=float(scale),  # type: ignore[arg-type]
        mode=str(mode),
        a=float(cubic),  # type: ignore[arg-type]
        exclude_outside=bool(exclude),
        antialias=bool(antialias),
    )
    return np.tensordot(matrix, arrays[0], axes=1).astype(arrays[0].dtype)


BLOB_OPS: dict[str, BlobOp] = {
    "interpolate": BlobOp(
        lambda inputs, args: ((_int(args[0]), *inputs[0].shape[1:]), inputs[0].dtype), _interpolate
    ),
    "positions": BlobOp(lambda inputs, args: (inputs[0].shape, inputs[0].dtype), _positions),
    "transpose": _move(
        lambda shape, args: nn_shapes.transpose(shape, perm=_ints(args[0])),
        lambda array, args: array.transpose(_ints(args[0])),
    ),
    "reshape": _move(
        lambda shape, args: nn_shapes.reshape(shape, _ints(args[0])),
        lambda array, args: array.reshape(_ints(args[0])),
    ),
    "expand": _move(
        lambda shape, args: nn_shapes.expand(shape, _ints(args[0])),
        lambda array, args: np.broadcast_to(array, _ints(args[0])),
    ),
    "slice": _move(
        lambda shape, args: nn_shapes.slice_(
            shape, starts=_ints(args[0]), sizes=_ints(args[1]), steps=_ints(args[2])
        ),
        lambda array, args: array[_slices(args)],
    ),
    "flip": _move(lambda shape, args: shape, lambda array, args: np.flip(array, _ints(args[0]))),
    "pad": _move(lambda shape, args: nn_shapes.pad(shape, pads=(*_ints(args[0]), *_ints(args[1]))), _pad),
    "concat": BlobOp(
        lambda inputs, args: (
            nn_shapes.concat(*(blob.shape for blob in inputs), axis=_int(args[0])),
            inputs[0].dtype,
        ),
        lambda arrays, args: np.concatenate(arrays, axis=_int(args[0])),
    ),
    "sum": _move(
        lambda shape, args: nn_shapes.reduce(shape, axes=_ints(args[0])),
        lambda array, args: array.sum(axis=_ints(args[0]), dtype=array.dtype),
    ),
    "matmul": BlobOp(
        lambda inputs, args: (nn_shapes.matmul(inputs[0].shape, inputs[1].shape), inputs[0].dtype),
        lambda arrays, args: in_single(np.matmul, arrays),
    ),
    "cast": BlobOp(_infer_cast, _cast),
    "unpack": BlobOp(
        lambda inputs, args: (
            (*inputs[0].shape[:-1], inputs[0].shape[-1] * 8 // _int(args[0])),
            inputs[0].dtype,
        ),
        _unpack,
    ),
    "two_terms": BlobOp(lambda inputs, args: ((1, *inputs[0].shape, 1, 2), "f16"), _two_terms),
    "add": _binary(np.add),
    "sub": _binary(np.subtract),
    "mul": _binary(np.multiply),
    "div": _binary(np.divide),
    "max": _binary(np.maximum),
    "min": _binary(np.minimum),
    "pow": _binary(np.power),
    "mul0": BlobOp(_infer_axis0, lambda arrays, args: in_single(_scale_rows, arrays)),
    "neg": _unary(np.negative),
    "abs": _unary(np.abs),
    "exp": _unary(np.exp),
    "log": _unary(np.log),
    "sqrt": _unary(np.sqrt),
    "rsqrt": _unary(lambda x: (1 / np.sqrt(x)).astype(x.dtype)),
    "reciprocal": _unary(lambda x: (1 / x).astype(x.dtype)),
    "floor": _unary(np.floor),
    "ceil": _unary(np.ceil),
    "tanh": _unary(np.tanh),
    "square": _unary(np.square),
    "relu": _unary(lambda x: np.maximum(x, x.dtype.type(0))),
    "pack": BlobOp(
        lambda inputs, args: (tuple(_layout(args).physical_shape(inputs[0].shape)), inputs[0].dtype),
        lambda arrays, args: _layout(args).pack(arrays[0]),
    ),
}
"""Operations by name; a new one is one row (also for plug-ins)."""
