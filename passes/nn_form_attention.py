"""Pass nn-form-attention."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TypeGuard

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from ..dialects.nn_attrs import EXACT
from ..dialects.nn_shapes import Shape
from ..lowering.attention_problem import refusal
from ..runtime.soc import Soc, compile_target
from .nn_fold_constants import fold
from .nn_keep_infinities import PASSING, is_infinite
from .rewriting import Builder, apply_rules, constant_of, is_float, only_use, scalar_of

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class NNFormAttentionPass(ModulePass):
    """Products around a softmax become one op where one kernel computes them: the scores then never leave the core.

    before  %s = nn.matmul %q, %k trans_b ; %c = nn.mul %s, %scale ; %b = nn.add %c, %mask
            %p = nn.softmax %b axis 3 ; %y = nn.matmul %p, %v
    after   %t = nn.transpose %mask perm [0, 1, 3, 2]
            %y = nn.attention %q, %k, %v, %t scale 0.125

    Exporters write this form, and the importers of Attention operators make it. Scale and mask may be left out, there may be
    several, in any order; heads of keys and values that were repeated for groups of query heads are read
    unrepeated; rows that are set to zero behind the softmax are set to zero behind the product. What the kernel
    cannot do stays as it is: `attention_problem.refusal` decides.
    """

    name = "nn-form-attention"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = op.attributes.get("ascend.target")
        soc = compile_target(target.data) if isinstance(target, StringAttr) else None
        apply_rules(op, [Former(soc).rule])
        apply_rules(op, [fold])


@dataclass
class _Scores:
    """What stands between the softmax and the product of queries and keys, from there upwards."""

    product: nn.MatMulOp
    scale: float = 1.0
    masks: list[tuple[SSAValue, float]] = field(default_factory=list[tuple[SSAValue, float]])
    passed: list[Operation] = field(default_factory=list[Operation])


@dataclass(frozen=True)
class Former:
    """The rule, for one chip."""

    soc: Soc | None

    def rule(self, op: Operation, build: Builder) -> SSAValue | None:
        """The product of probabilities and values is where an attention ends."""
        if not isinstance(op, nn.MatMulOp) or op.trans_a is not None or op.bias is not None:
            return None
        shares = _shares(op.lhs)
        if shares is None:
            return None
        scores = _scores(shares.softmax.input)
        if scores is None:
            LOG.debug("no attention: no product before a softmax")
            return None
        chain = [*scores.passed, *shares.passed, scores.product]
        if any(EXACT in inner.attributes for inner in chain):
            return None
        build.absorb(*chain)
        formed = self._attention(op, scores, build, guarded=shares.guarded)
        if formed is None:
            return None
        reason = refusal(formed, self.soc)
        if reason is not None:
            LOG.debug("no attention: %s", reason)
            return None
        if shares.empty is None:
            return formed.output
        zero = build.scalar(0.0, nn.dtype_of(formed.output), (1,) * len(nn.shape_of(formed.output)))
        return build(nn.WhereOp(shares.empty, zero, formed.output))

    def _attention(
        self, op: nn.MatMulOp, scores: _Scores, build: Builder, *, guarded: bool
    ) -> nn.AttentionOp | None:
        product = scores.product
        query, key, value = product.lhs, product.rhs, op.rhs
        ranks = {len(nn.shape_of(v)) for v in (query, key, value)}
        if len(ranks) != 1 or min(ranks) < 3 or nn.shape_of(query)[:-2] != nn.shape_of(key)[:-2]:
            return None
        if nn.shape_of(key)[:-2] != nn.shape_of(value)[:-2]:
            return None
        if product.trans_b is None:
            key = _as_rows(key, build)
        if op.trans_b is not None:
            value = _as_rows(value, build)
        keys, values = _unrepeated(key), _unrepeated(value)
        if keys is not None and values is not None and nn.shape_of(keys)[:-1] == nn.shape_of(values)[:-1]:
            key, value = keys, values
        mask = self._mask(scores, nn.shape_of(product.output), build)
        empty = guarded and any(_may_be_infinite(value) for value, _ in scores.masks)
        scale = scores.scale
        if scale != 1.0 and _reaches_weights(query):  # nn-simplify takes the factor there
            query, scale = build(nn.MulOp(query, build.scalar(scale, nn.dtype_of(query)))), 1.0
        formed = nn.AttentionOp(query, key, value, mask, scale=scale, zero_empty=empty)
        build(formed)
        return formed

    def _mask(self, scores: _Scores, shape: Shape, build: Builder) -> SSAValue | None:
        """The sum of what is added to the scores, keys first, with all keys and queries."""
        total: SSAValue | None = None
        for value, factor in scores.masks:
            own = nn.shape_of(value)
            mask = (
                value
                if len(own) == len(shape)
                else build(nn.ReshapeOp(value, (1,) * (len(shape) - len(own)) + own))
            )
            if factor != 1.0:
                mask = build(nn.MulOp(mask, build.scalar(factor, nn.dtype_of(mask))))
            total = mask if total is None else build(nn.AddOp(total, mask))
        if total is None:
            return None
        turned = build(_turned(total))
        whole = (*nn.shape_of(turned)[:-2], shape[-1], shape[-2])
        return turned if nn.shape_of(turned) == whole else build(nn.ExpandOp(turned, whole))


def _turned(value: SSAValue) -> nn.TransposeOp:
    """The last two dims exchanged."""
    rank = len(nn.shape_of(value))
    return nn.TransposeOp(value, [*range(rank - 2), rank - 1, rank - 2])


def _reaches_weights(value: SSAValue) -> bool:
    """Whether a factor of this value can be one of constant weights: only moves and a bias lie between."""
    while only_use(value):
        owner = value.owner
        if isinstance(owner, nn.TransposeOp | nn.ReshapeOp):
            value = owner.input
        elif isinstance(owner, nn.AddOp) and constant_of(owner.rhs) is not None:
            value = owner.lhs
        else:
            return isinstance(owner, nn.MatMulOp) and constant_of(owner.rhs) is not None
    return False


def _as_rows(value: SSAValue, build: Builder) -> SSAValue:
    """A matrix that is stored [d, n] as [n, d]: what it was made of, where that is there."""
    outer = value.owner
    if isinstance(outer, nn.ReshapeOp) and isinstance(outer.input.owner, nn.TransposeOp):
        turn = outer.input.owner
        rank = len(nn.shape_of(turn.output))
        source = turn.input.owner
        if nn.ints(turn.perm) == (*range(rank - 2), rank - 1, rank - 2) and isinstance(source, nn.ReshapeOp):
            rows = (*nn.shape_of(value)[:-2], *reversed(nn.shape_of(value)[-2:]))
            if nn.shape_of(source.input) == rows and nn.shape_of(turn.input)[-2:] == rows[-2:]:
                return source.input
    return build(_turned(value))


@dataclass
class _Shares:
    """What stands between the softmax and the product with the values."""

    softmax: nn.SoftmaxOp
    passed: list[Operation]
    empty: SSAValue | None = None  # rows that are set to zero
    guarded: bool = False  # what is no number is set to zero: rows in which every score is minus infinity


def _shares(value: SSAValue) -> _Shares | None:
    """The softmax over the last axis that only this product reads, and what is set to zero behind it."""
    owner = value.owner
    if not only_use(value):
        return None
    if not isinstance(owner, nn.WhereOp):
        return _Shares(owner, [owner]) if _is_over_keys(owner) else None
    condition, zero, shares = owner.operands
    softmax, test = shares.owner, condition.owner
    if scalar_of(zero) != 0.0 or not _is_over_keys(softmax):
        return None
    if isinstance(test, nn.IsNanOp) and test.operands[0] is shares and shares.uses.get_length() == 2:
        return _Shares(softmax, [softmax, test, owner], guarded=True) if only_use(condition) else None
    if nn.shape_of(condition)[-1:] == (1,) and only_use(shares):
        return _Shares(softmax, [softmax, owner], empty=condition)
    return None


def _is_over_keys(op: Operation | Block) -> TypeGuard[nn.SoftmaxOp]:
    return isinstance(op, nn.SoftmaxOp) and op.axis.value.data == len(nn.shape_of(op.input)) - 1


def _may_be_infinite(mask: SSAValue) -> bool:
    """Whether an infinite constant, or a number from outside, reaches the mask."""
    stack, seen = [mask], set[SSAValue]()
    while stack:
        value = stack.pop()
        if value in seen or not is_float(value):
            continue
        seen.add(value)
        if isinstance(value, BlockArgument) or is_infinite(value):
            return True
        if isinstance(value.owner, PASSING):
            stack += value.owner.operands
    return False


def _scores(value: SSAValue) -> _Scores | None:
    """Sums and factors up to a product that nothing else reads."""
    passed: list[Operation] = []
    masks: list[tuple[SSAValue, float]] = []
    scale = 1.0
    while only_use(value):
        owner = value.owner
        if isinstance(owner, nn.MatMulOp):
            if owner.trans_a is not None or owner.bias is not None:
                return None
            return _Scores(owner, scale, masks, passed)
        if (
            isinstance(owner, nn.MulOp)
            and scalar_of(owner.rhs) is not None
            and owner.lhs.type == owner.output.type
        ):
            scale, value = scale * (scalar_of(owner.rhs) or 0.0), owner.lhs
        elif isinstance(owner, nn.AddOp) and (step := _addition(owner)) is not None:
            value, mask = step
            masks.append((mask, scale))
        else:
            return None
        passed.append(owner)
    return None


def _addition(op: nn.AddOp) -> tuple[SSAValue, SSAValue] | None:
    """(scores, mask): the scores come from a product by sums and factors and are as large as the sum."""
    for scores, mask in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        fits = scores.type == op.output.type and only_use(scores)
        if fits and _leads_to_product(scores) and nn.shape_of(mask)[-1:] == nn.shape_of(scores)[-1:]:
            return scores, mask
    return None


def _leads_to_product(value: SSAValue) -> bool:
    owner = value.owner
    while isinstance(owner, nn.MulOp | nn.AddOp):
        owner = next((v.owner for v in owner.operands if v.type == value.type and not _is_plain(v)), None)
    return isinstance(owner, nn.MatMulOp)


def _is_plain(value: SSAValue) -> bool:
    return not isinstance(value.owner, nn.MatMulOp | nn.MulOp | nn.AddOp)


def _unrepeated(value: SSAValue) -> SSAValue | None:
    """[…, groups, n, d] of a value that repeats each of its heads: a reshape of an expansion of a new axis of 1."""
    merge = value.owner
    if not isinstance(merge, nn.ReshapeOp) or not isinstance(merge.input.owner, nn.ExpandOp):
        return None
    expand = merge.input.owner
    shape, wide, narrow = nn.shape_of(value), nn.shape_of(expand.output), nn.shape_of(expand.input)
    if (
        len(wide) != len(shape) + 1
        or len(narrow) != len(wide)
        or wide[:-4] != shape[:-3]
        or wide[-2:] != shape[-2:]
    ):
        return None
    if narrow != (*wide[:-3], 1, *wide[-2:]) or not isinstance(expand.input.owner, nn.ReshapeOp):
        return None
    source = expand.input.owner.input
    return source if nn.shape_of(source) == (*wide[:-3], *wide[-2:]) else None
