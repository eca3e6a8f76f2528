"""Rewriting `nn` with provenance: what the passes of this level share.

A pass is a list of rules. A rule looks at one op and either returns the value that replaces its result, built
with the `Builder` it was given, or None. The driver repeats until nothing changes and removes what has no use
any more. Every op a rule builds stands before the op it replaces and carries its source names (decision D18);
a rule that swallows a neighbour names it with `absorb`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import (
    ModuleOp,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from ..dialects import dtypes, nn
from ..dialects.blobs import BLOB_OPS, MAX_DENSE_ELEMENTS, Blob, numpy_scalar
from ..dialects.dtypes import Array
from ..dialects.nn_attrs import EXACT
from .provenance import fuse_locations

# ----------------------------------------------------------------------------------------- builder and driver


class Builder:
    """Inserts ops before the one that is being replaced."""

    def __init__(self, anchor: Operation):
        self.anchor = anchor
        self.location = anchor.location
        self.added: list[Operation] = []

    def absorb(self, *others: Operation) -> None:
        """What is built from here on also stands for these ops."""
        self.location = fuse_locations((*others, self.anchor))

    def __call__(self, op: Operation) -> SSAValue:
        """Insert an op; its (first) result."""
        block = self.anchor.parent
        assert block is not None
        block.insert_op_before(op, self.anchor)
        op.location = self.location
        self.added.append(op)
        return op.results[0]

    def constant(self, blob: Blob) -> SSAValue:
        return self(nn.ConstantOp(simplify_blob(blob)))

    def scalar(self, value: float, dtype: str, shape: Sequence[int] = ()) -> SSAValue:
        return self.constant(Blob.splat(value, tuple(shape), dtype))


Rule: TypeAlias = Callable[[Operation, Builder], SSAValue | None]
MAX_ROUNDS = 50


def main_block(module: ModuleOp) -> Block:
    """The body of `@main`."""
    for op in module.body.block.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == "main":
            return op.body.block
    raise ValueError("expected a function @main")


def main_function(module: ModuleOp) -> FuncOp:
    function = main_block(module).parent_op()
    assert isinstance(function, FuncOp)
    return function


def apply_rules(module: ModuleOp, rules: Sequence[Rule], *, rounds: int = MAX_ROUNDS) -> bool:
    """Rewrite the main function until no rule applies (or `rounds` sweeps); whether anything changed."""
    block, changed = main_block(module), False
    for _ in range(rounds):
        if not _sweep(block, rules):
            break
        changed = True
    remove_dead(block)
    return changed


def _sweep(block: Block, rules: Sequence[Rule]) -> bool:
    changed = False
    for op in list(block.ops):
        if op.parent is None or not op.results:
            continue
        if not any(r.uses.get_length() for r in op.results):
            continue
        for rule in rules:
            build = Builder(op)
            value = rule(op, build)
            if value is None:
                for new in reversed(build.added):  # a rule may find out late that it does not apply
                    new.detach()
                    new.erase()
                continue
            if EXACT in op.attributes:
                for new in build.added:
                    if isinstance(new, nn.CastOp):  # marked only where it is asked to keep infinities
                        continue
                    new.attributes[EXACT] = op.attributes[EXACT]
            _replace(op, value)
            changed = True
            break
    return changed


def _replace(op: Operation, value: SSAValue) -> None:
    result = op.results[0]
    if value.name_hint is None:
        value.name_hint = result.name_hint
    result.replace_all_uses_with(value)
    op.detach()
    op.erase()


def remove_dead(block: Block) -> None:
    """Remove ops whose results nobody uses; every op of nn and ascend is pure."""
    for op in list(reversed(list(block.ops))):
        if not op.results or op.name.split(".")[0] not in ("nn", "ascend"):
            continue
        if not any(r.uses.get_length() for r in op.results):
            op.detach()
            op.erase()


def only_use(value: SSAValue) -> bool:
    return value.uses.get_length() == 1


def users(value: SSAValue) -> list[Operation]:
    return [use.operation for use in value.uses]


# ------------------------------------------------------------------------------------------------- constants


def constant_of(value: SSAValue | None) -> Blob | None:
    """The blob of a constant, None for anything else."""
    owner = value.owner if value is not None else None
    return owner.blob if isinstance(owner, nn.ConstantOp) else None


def scalar_of(value: SSAValue) -> float | None:
    """The number if a value is one number everywhere."""
    blob = constant_of(value)
    if blob is None:
        return None
    if blob.is_splat:
        return float(blob.values[0])
    small = small_value(blob)
    if small is not None and small.size and bool(np.all(small == small.reshape(-1)[0])):
        return float(small.reshape(-1)[0])
    return None


def small_value(blob: Blob) -> Array | None:
    """The values of a constant that needs no weight store and is small enough to be text, else None."""
    if prod(blob.shape) > MAX_DENSE_ELEMENTS:
        return None
    if blob.op == "splat":
        return np.full(blob.shape, numpy_scalar(blob.values[0], blob.dtype))
    if blob.op == "dense":
        return np.array(blob.values, dtypes.numpy_dtype(blob.dtype)).reshape(blob.shape)
    if blob.op not in BLOB_OPS:
        return None
    arrays = [small_value(b) for b in blob.inputs]
    known = [a for a in arrays if a is not None]
    if len(known) != len(arrays):
        return None
    return BLOB_OPS[blob.op].evaluate(known, blob.args)


_SHAPE_ONLY = frozenset({"transpose", "reshape", "expand", "slice", "flip"})
_ELEMENTWISE = frozenset(
    {"cast", "neg", "abs", "sqrt", "rsqrt", "reciprocal", "square", "relu", "exp", "log"}
)


def simplify_blob(blob: Blob) -> Blob:
    """Tiny expressions become their values; a rearranged or mapped splat stays a splat; chains of reshapes
    become one."""
    if blob.op not in BLOB_OPS:
        return blob
    source = blob.inputs[0]
    if source.is_splat and blob.op in _SHAPE_ONLY:
        return Blob.splat(source.values[0], blob.shape, blob.dtype)
    if blob.op == "reshape":
        if source.shape == blob.shape:
            return source
        if source.op == "reshape":
            return simplify_blob(source.inputs[0].apply("reshape", blob.shape))
    if blob.op == "cast" and source.dtype == blob.dtype:
        return source
    if blob.op in _ELEMENTWISE and source.is_splat:
        return _map_splat(blob)
    if all(b.is_splat for b in blob.inputs) and blob.op in (
        "add",
        "sub",
        "mul",
        "div",
        "max",
        "min",
        "pow",
        "mul0",
    ):
        return _map_splat(blob)
    value = small_value(blob) if blob.op != "pack" else None
    return blob if value is None else Blob.dense(np.ascontiguousarray(value).reshape(blob.shape))


def _map_splat(blob: Blob) -> Blob:
    arrays = [np.full((1,) * len(b.shape), numpy_scalar(b.values[0], b.dtype)) for b in blob.inputs]
    if blob.op == "mul0":
        value = arrays[0].reshape(-1) * arrays[1].reshape(-1)
    else:
        value = BLOB_OPS[blob.op].evaluate(arrays, blob.args)
    return Blob.splat(value.reshape(-1)[0].item(), blob.shape, blob.dtype)


# ------------------------------------------------------------------------------------------------- shapes


def is_float(value: SSAValue) -> bool:
    return dtypes.is_float(nn.dtype_of(value))


def channel_vector(value: SSAValue, rank: int, axis: int = 1) -> Blob | None:
    """The blob [C] of a constant that varies along one axis of a rank-`rank` tensor only (aligned at the last
    axis)."""
    blob = constant_of(value)
    if blob is None:
        return None
    shape = (1,) * (rank - len(blob.shape)) + blob.shape
    if len(shape) != rank or any(s != 1 for i, s in enumerate(shape) if i != axis):
        return None
    return simplify_blob(blob.apply("reshape", (shape[axis],)))
