"""Pass nn-fold-constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import dtypes, nn
from ..dialects.blobs import MAX_DENSE_ELEMENTS, Blob
from .rewriting import Builder, apply_rules, constant_of

MAX_EXPANDED_BYTES = 65536
"""A constant may be written out repeatedly up to this size; a larger one stays an expand in front of its
user."""

_UNARY: dict[type[Operation], str] = {
    nn.NegOp: "neg",
    nn.AbsOp: "abs",
    nn.ExpOp: "exp",
    nn.LogOp: "log",
    nn.SqrtOp: "sqrt",
    nn.RsqrtOp: "rsqrt",
    nn.ReciprocalOp: "reciprocal",
    nn.ReluOp: "relu",
}
_BINARY: dict[type[Operation], str] = {
    nn.AddOp: "add",
    nn.SubOp: "sub",
    nn.MulOp: "mul",
    nn.DivOp: "div",
    nn.MaxOp: "max",
    nn.MinOp: "min",
    nn.PowOp: "pow",
}


@dataclass(frozen=True)
class NNFoldConstantsPass(ModulePass):
    """Compute what depends on constants only, as blob expressions: no weight is loaded here (decision D14).

    before  %0 = nn.constant #nn.blob<"w" : tensor<4x8xf32>> : tensor<4x8xf32>
            %1 = nn.transpose %0 perm [1, 0] : (tensor<4x8xf32>) -> tensor<8x4xf32>
    after   %1 = nn.constant #nn.blob<"w" : tensor<4x8xf32> | transpose [1, 0]> : tensor<8x4xf32>

    Values of at most 64 elements that need no weight are evaluated to dense attributes.
    """

    name = "nn-fold-constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_rules(op, [fold])


def fold(op: Operation, build: Builder) -> SSAValue | None:
    """Rule: an op of constants is a constant."""
    if isinstance(op, nn.ConstantOp) or not op.operands:
        return None
    blobs = [constant_of(v) for v in op.operands]
    known = [b for b in blobs if b is not None]
    if len(known) != len(blobs):
        return None
    blob = fold_blobs(op, known)
    return None if blob is None else build.constant(blob)


def fold_blobs(op: Operation, blobs: list[Blob]) -> Blob | None:
    """The expression an op makes of constants; None where blobs have no such operation."""
    kind = type(op)
    if kind in _UNARY:
        return blobs[0].apply(_UNARY[kind])
    if kind in _BINARY and blobs[0].dtype == blobs[1].dtype and not _grows(blobs, op):
        if kind is nn.DivOp and not dtypes.is_float(blobs[0].dtype):
            return None  # integer division truncates, the blob operation does not
        return blobs[0].apply(_BINARY[kind], blobs[1])
    handler = _HANDLERS.get(kind)
    return None if handler is None else handler(op, blobs)


def _grows(blobs: list[Blob], op: Operation) -> bool:
    """Folding an outer product of constants would trade arithmetic for weight bytes."""
    size = prod(nn.shape_of(op.results[0]))
    return size > MAX_DENSE_ELEMENTS and size > 2 * max(prod(b.shape) for b in blobs)


def _transpose(op: Operation, blobs: list[Blob]) -> Blob:
    assert isinstance(op, nn.TransposeOp)
    return blobs[0].apply("transpose", nn.ints(op.perm))


def _reshape(op: Operation, blobs: list[Blob]) -> Blob:
    return blobs[0].apply("reshape", nn.shape_of(op.results[0]))


def _slice(op: Operation, blobs: list[Blob]) -> Blob:
    assert isinstance(op, nn.SliceOp)
    return blobs[0].apply("slice", nn.ints(op.starts), nn.ints(op.sizes), nn.ints(op.steps))


def _expand(op: Operation, blobs: list[Blob]) -> Blob | None:
    shape = nn.shape_of(op.results[0])
    size = prod(shape) * dtypes.size_of(blobs[0].dtype)
    if size > MAX_EXPANDED_BYTES and not blobs[0].is_splat and prod(shape) != prod(blobs[0].shape):
        return None
    return blobs[0].apply("expand", shape)


def _cast(op: Operation, blobs: list[Blob]) -> Blob:
    return blobs[0].apply("cast", nn.dtype_of(op.results[0]))


def _concat(op: Operation, blobs: list[Blob]) -> Blob:
    assert isinstance(op, nn.ConcatOp)
    return blobs[0].apply("concat", op.axis.value.data, *blobs[1:])


def _pad(op: Operation, blobs: list[Blob]) -> Blob | None:
    assert isinstance(op, nn.PadOp)
    pads = nn.ints(op.pads)
    rank = len(pads) // 2
    if op.mode.data != "constant" or min(pads, default=0) < 0:
        return None
    value = op.value.value.data if op.value is not None else 0.0
    return blobs[0].apply("pad", pads[:rank], pads[rank:], value)


def _matmul(op: Operation, blobs: list[Blob]) -> Blob | None:
    assert isinstance(op, nn.MatMulOp)
    if op.trans_a or op.trans_b:
        return None
    product = blobs[0].apply("matmul", blobs[1])
    return product if len(blobs) == 2 else product.apply("add", blobs[2])


def _reduce(op: Operation, blobs: list[Blob]) -> Blob | None:
    assert isinstance(op, nn.ReduceOp)
    if op.kind.data != "sum":
        return None
    return blobs[0].apply("sum", nn.ints(op.axes)).apply("reshape", nn.shape_of(op.results[0]))


_HANDLERS: dict[type[Operation], Callable[[Operation, list[Blob]], Blob | None]] = {
    nn.TransposeOp: _transpose,
    nn.ReshapeOp: _reshape,
    nn.SliceOp: _slice,
    nn.ExpandOp: _expand,
    nn.CastOp: _cast,
    nn.ConcatOp: _concat,
    nn.PadOp: _pad,
    nn.MatMulOp: _matmul,
    nn.ReduceOp: _reduce,
}
