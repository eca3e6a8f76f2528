"""Pass nn-form-attention."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects import nn
from ..dialects.nn_attrs import EXACT
from ..dialects.nn_shapes import Shape
from ..lowering.attention_problem import refusal
from ..runtime.soc import Soc, compile_target
from .nn_fold_constants import fold
from .rewriting import Builder, apply_rules, only_use, scalar_of

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
        found = _softmax_before(op.lhs)
        if found is None:
            return None
        softmax, empty = found
        scores = _scores(softmax.input)
        if scores is None:
            LOG.debug("no attention: no product before %s", softmax.name)
            return None
        chain = [*scores.passed, softmax, scores.product]
        if any(EXACT in inner.attributes for inner in chain):
            return None
        build.absorb(*chain)
        formed = self._attention(op, scores, build)
        if formed is None:
            return None
        reason = refusal(formed, self.soc)
        if reason is not None:
            LOG.debug("no attention: %s", reason)
            return None
        if empty is None:
            return formed.output
        zero = build.scalar(0.0, nn.dtype_of(formed.output), (1,) * len(nn.shape_of(formed.output)))
        return build(nn.WhereOp(empty, zero, formed.output))

    def _attention(self, op: nn.MatMulOp, scores: _Scores, build: Builder) -> nn.AttentionOp | None:
        product = scores.product
        query, key, value = product.lhs, product.rhs, op.rhs
        ranks = {len(nn.shape_of(v)) for v in (query, key, value)}
        if len(ranks) != 1 or min(ranks) < 3 or nn.shape_of(query)[:-2] != nn.shape_of(key)[:-2]:
            return None
        if nn.shape_of(key)[:-2] != nn.shape_of(value)[:-2]:
            return None
        if product.trans_b is None:
            key = build(_turned(key))
        if op.trans_b is not None:
            value = build(_turned(value))
        keys, values = _unrepeated(key), _unrepeated(value)
        if keys is not None and values is not None and nn.shape_of(keys)[:-1] == nn.shape_of(values)[:-1]:
            key, value = keys, values
        mask = self._mask(scores, nn.shape_of(product.output), build)
        formed = nn.AttentionOp(query, key, value, mask, scale=scores.scale)
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


def _softmax_before(value: SSAValue) -> tuple[nn.SoftmaxOp, SSAValue | None] | None:
    """The softmax over the last axis whose only use this is, and which rows are set to zero behind it."""
    owner, empty = value.owner, None
    if isinstance(owner, nn.WhereOp) and only_use(value):
        rows, zero, other = owner.operands
        if scalar_of(zero) != 0.0 or nn.shape_of(rows)[-1:] != (1,) or not only_use(other):
            return None
        owner, empty = other.owner, rows
    elif not only_use(value):
        return None
    if not isinstance(owner, nn.SoftmaxOp) or owner.axis.value.data != len(nn.shape_of(owner.input)) - 1:
        return None
    return owner, empty


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
