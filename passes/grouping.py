"""What may share a kernel: the rules behind nn-fuse-groups.

A cube kernel holds its result tile in L0C and then in UB; elementwise work on it is free of memory traffic as
long as each further operand is a tile of the same shape or a vector over the channels (decision D16). A
vector kernel runs over one iteration space in phases that are cut at reductions: all its values have either
the full shape or the shape after the reduction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import BlockArgument, Operation, SSAValue

from ..dialects import nn
from ..dialects.nn_shapes import Shape
from ..lowering.cube_epilogue_ops import SUPPORTED as EPILOGUE_OPS
from ..lowering.cube_terms import SUPPORTED as TERM_EPILOGUE
from .ai_cpu import reason_of
from .rewriting import constant_of, users

MAX_EPILOGUE = 16
"""Ops behind a cube root; each needs UB for a temporary at worst."""
MAX_TENSOR_OPERANDS = 2
"""Full tiles that an epilogue may load."""
CUBE_LANES = 16
"""Channels of one plane of NC1HWC0."""
MAX_VECTOR_OPS = 24
MAX_VECTOR_OPERANDS = 8

FLOATS = frozenset({"f16", "f32"})
WINDOWS = (nn.MaxPoolOp, nn.AvgPoolOp)


@dataclass
class Members:
    """Ops that will be one group, and why it did not grow further."""

    ops: list[Operation]
    kind: str
    refused: list[str] = field(default_factory=list[str])


def is_elementwise(op: Operation) -> bool:
    return isinstance(op, nn.ELEMENTWISE_OPS)


def is_scalar_constant(value: SSAValue) -> bool:
    """One number: it becomes part of the kernel."""
    blob = constant_of(value)
    return (
        blob is not None
        and len(set(nn.shape_of(value))) <= 1
        and set(nn.shape_of(value)) <= {1}
        and blob.is_splat
    )


def _is_vector_over(value: SSAValue, shape: Shape, axis: int) -> bool:
    """[1, …, C, …, 1] along one axis of a shape."""
    own = nn.shape_of(value)
    return len(own) == len(shape) and all(s == 1 or (i == axis and s == shape[i]) for i, s in enumerate(own))


def picture_cast(root: Operation) -> Operation | None:
    """The cast in front of a convolution of few channels that reads a model input in f32 and has no other user.

    The convolution's kernel then converts what it loads (`lowering/cube_image.py`): NC1HWC0 of a picture is mostly padding.
    """
    cast = root.operands[0].owner
    if not isinstance(root, nn.ConvOp) or not isinstance(cast, nn.CastOp) or root.group.value.data != 1:
        return None
    _, channels, height, width = nn.shape_of(cast.input)
    kernel = nn.shape_of(root.weight)[2:]
    point = kernel == (1, 1) and set(nn.ints(root.strides)) == {1} and not any(nn.ints(root.pads))
    fits = channels <= CUBE_LANES and height * width > CUBE_LANES and not point
    from_input = isinstance(cast.input, BlockArgument) and users(cast.output) == [root]
    types = nn.dtype_of(cast.input), nn.dtype_of(cast.output)
    return cast if fits and from_input and types == ("f32", "f16") else None


@dataclass
class CubeGrowth:
    """Grow a cube group forwards from its root; keep the longest prefix with exactly one result."""

    members: Members
    order: dict[Operation, int]
    taken: dict[Operation, Members]

    def grow(self) -> None:
        root = self.members.ops[0]
        if is_wide_conv(root):
            self.members.ops = terms_chain(root)
            return
        ops, best = [root], 1
        shape = nn.shape_of(root.results[0])
        while len(ops) <= MAX_EPILOGUE:
            candidate = self._next(ops, shape)
            if candidate is None:
                break
            ops.append(candidate)
            if self._results(ops) == 1:
                best = len(ops)
        for op in ops[best:]:
            self.members.refused.append(f"{op.name}: other-use")
        self.members.ops = ops[:best]

    def _next(self, ops: list[Operation], shape: Shape) -> Operation | None:
        inside: set[SSAValue] = {r for op in ops for r in op.results}
        after = {u for v in inside for u in users(v) if u not in ops}
        for op in sorted(after, key=lambda o: self.order.get(o, 1 << 30)):
            reason = self._refusal(op, inside, shape)
            if reason is None:
                return op
            text = f"{op.name}: {reason}"
            if text not in self.members.refused:
                self.members.refused.append(text)
        return None

    def _refusal(self, op: Operation, inside: set[SSAValue], shape: Shape) -> str | None:
        if not is_elementwise(op) or not op.results:
            return "not-elementwise"
        if not isinstance(op, EPILOGUE_OPS):
            return "no-tile-form"
        if op in self.taken:
            return "in-other-group"
        if nn.shape_of(op.results[0]) != shape:
            return "shape-changes"
        if nn.dtype_of(op.results[0]) != "f16" or any(nn.dtype_of(v) != "f16" for v in op.operands):
            return "type"
        axis = len(shape) - 1 if isinstance(self.members.ops[0], nn.MatMulOp) else 1
        outside = [v for v in op.operands if v not in inside and not is_scalar_constant(v)]
        for value in outside:
            if nn.shape_of(value) == shape:
                continue
            if not _is_vector_over(value, shape, axis):
                return "operand-broadcast"
            if constant_of(value) is None:
                return "operand-per-channel-computed"
        return None

    def _results(self, ops: list[Operation]) -> int:
        members = set(ops)
        results = [r for op in ops for r in op.results if any(u not in members for u in users(r))]
        tensors = {
            v for op in ops[1:] for v in op.operands if v.owner not in members and constant_of(v) is None
        }
        return len(results) if len(tensors) <= MAX_TENSOR_OPERANDS else 99


def is_wide_conv(op: Operation) -> bool:
    """A convolution whose result is the f32 accumulator: only its own kernel can read that (`nn_terms`)."""
    return isinstance(op, nn.ConvOp) and (nn.dtype_of(op.input), nn.dtype_of(op.output)) == ("f16", "f32")


def terms_chain(conv: Operation) -> list[Operation]:
    """The convolution and the ops on f32 behind it, up to the one that stores terms."""
    ops = [conv]
    while not isinstance(ops[-1], nn.ToTermsOp):
        following = users(ops[-1].results[0])
        if len(following) != 1 or not isinstance(following[0], TERM_EPILOGUE):
            break
        ops.append(following[0])
    return ops


class VectorGrowth:
    """Grow vector groups backwards: an op joins the group that holds all users of its result."""

    @staticmethod
    def accepts(op: Operation) -> bool:
        if reason_of(op) is not None:
            return False
        if isinstance(op, (nn.ReduceOp, *WINDOWS)):
            return nn.dtype_of(op.results[0]) in FLOATS
        if not is_elementwise(op):
            return False
        return all(nn.dtype_of(v) not in ("i64", "f64", "u64") for v in (*op.operands, *op.results))

    @staticmethod
    def home(op: Operation, group_of: dict[Operation, Members]) -> Members | str:
        """The group to join, or the reason why there is none."""
        homes = {id(group_of[u]): group_of[u] for u in users(op.results[0]) if u in group_of}
        if len(homes) != 1 or any(u not in group_of for u in users(op.results[0])):
            return "several-users" if homes else ""
        home = next(iter(homes.values()))
        if home.kind != "vector":
            return "user-not-vector"
        reason = VectorGrowth.refusal(op, home)
        return reason if reason is not None else home

    @staticmethod
    def refusal(op: Operation, home: Members) -> str | None:
        ops = [op, *home.ops]
        if len(ops) > MAX_VECTOR_OPS:
            return "too-many-ops"
        if any(isinstance(o, WINDOWS) for o in home.ops):
            return "window-must-be-first"
        reduces = [o for o in ops if isinstance(o, nn.ReduceOp)]
        if isinstance(op, WINDOWS) and any(nn.dtype_of(r) != "f16" for o in ops for r in o.results):
            return "window-computes-in-f16"
        if isinstance(op, WINDOWS) and reduces:
            return "window-before-reduction"
        axes = {_real_axes(o) for o in reduces}
        if len(axes) > 1:
            return "reduction-axes-differ"
        space = _space(ops)
        if space is None:
            return "shapes-differ"
        small = {nn.shape_of(o.results[0]) for o in ops} - {space}
        reduced = {tuple(1 if i in a else s for i, s in enumerate(space)) for a in axes}
        if small and not reduced and len(small) == 1 and _follows_reduction(op, space, small):
            reduced = small  # the reduction joins next, with the axes that make this shape
        if not small <= reduced:
            return "shapes-differ"
        last = home.ops[-1].results[0]
        if nn.shape_of(last) in small and nn.dtype_of(last) not in FLOATS:
            return "reduced-result-is-no-float"
        inside = {r for o in ops for r in o.results}
        outside = {v for o in ops for v in o.operands if v not in inside and not is_scalar_constant(v)}
        return "too-many-operands" if len(outside) > MAX_VECTOR_OPERANDS else None


def _follows_reduction(op: Operation, space: Shape, small: set[Shape]) -> bool:
    """An elementwise op on reduced values whose reduction runs over the space and can join the same group."""
    if not is_elementwise(op) or {nn.shape_of(op.results[0])} != small:
        return False
    for value in op.operands:
        owner = value.owner
        if isinstance(owner, nn.ReduceOp):
            if nn.shape_of(owner.input) == space and {nn.shape_of(value)} == small:
                return True
        elif (
            isinstance(owner, Operation) and users(value) == [op] and _follows_reduction(owner, space, small)
        ):
            return True
    return False


def _real_axes(op: nn.ReduceOp) -> tuple[int, ...]:
    shape = nn.shape_of(op.input)
    return tuple(a for a in nn.ints(op.axes) if shape[a] != 1)


def _space(ops: list[Operation]) -> Shape | None:
    """The iteration space: the shape that all values are, up to dims of 1; None when there is no such."""
    shapes = [nn.shape_of(o.input) for o in ops if isinstance(o, nn.ReduceOp)]
    shapes += [nn.shape_of(o.results[0]) for o in ops]
    rank = len(shapes[0])
    if any(len(s) != rank for s in shapes):
        return None
    space = tuple(max(s[i] for s in shapes) for i in range(rank))
    fits = all(a in (1, b) for s in shapes for a, b in zip(s, space, strict=True))
    return space if fits else None
