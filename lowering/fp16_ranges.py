"""Nodes whose values are likely to leave fp16, found while a model is compiled.

A weight is no estimate: it is looked at, and a product whose weight f16 does not hold is told to scale it.

Before the passes of level nn each node of the model is asked what it is likely to hold (`runtime/interp/nn_likely.py`); behind them
it is known what is computed in f16. A node is told of if both meet: its values end at ±65504 there, without a word from the
chip. It is an estimate, for inputs of about 1: `atc precision-compare --layer_level` measures the same with real inputs.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from math import ceil, isfinite, log2, prod
from typing import Final, TypeAlias

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, i64
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from ..dialects import nn
from ..dialects.dtypes import Array
from ..dialects.nn_attrs import EXPONENTS, NNOp
from ..passes.nn_convert_precision import CUBE_EXPONENT, ScaledOp
from ..passes.provenance import node_names
from ..passes.rewriting import constant_of, main_block, small_value
from ..runtime.interp.nn_likely import F16_MAX, LikelyValues
from ..runtime.weights import WeightStore

F16_NORMAL: Final = 2.0**-14
"""Below it f16 has fewer than 11 bits."""
_RAISING: Final = (
    nn.MulOp, nn.DivOp, nn.PowOp, nn.SqrtOp, nn.RsqrtOp, nn.ReciprocalOp, nn.LogOp, nn.MatMulOp, nn.ConvOp,
    nn.ConvTransposeOp, nn.LayerNormOp, nn.InstanceNormOp, nn.BatchNormOp,
)  # fmt: skip
"""What can make large numbers of small ones."""
_SMALL_WEIGHT: Final = 2.0**-11
"""A weight whose largest number is smaller has many that f16 rounds to a few bits."""
_HEADROOM: Final = 6
"""Powers of two that the largest number of a large weight keeps, so that its small ones keep their bits."""
_TAIL: Final = 0.005
"""Share of the sample on each side that counts as chance."""
_ENDLESS: Final = 1e38
"""What an overflow of f32 counts as."""


@dataclass(frozen=True)
class RangeWarning:
    """A node that computes in f16 with what fp16 does not hold: what it gives, or what it reads from `source`."""

    node: str
    low: float
    high: float
    source: str = ""

    def __str__(self) -> str:
        what = f"reads from {self.source}" if self.source else "gives"
        limit = f"ends at {F16_MAX:.0f}"
        if max(-self.low, self.high) <= F16_MAX:
            limit = f"holds few bits of numbers below {F16_NORMAL:.1g}"
        return (
            f"node {self.node!r} {what} values that are likely to reach from {self.low:.3g} to {self.high:.3g}, but fp16 "
            f"{limit}; --keep_dtype=FILE with a line {self.node} keeps it in fp32"
        )


Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class LikelyRanges:
    """What nodes are likely to give, by name in the model's order; `masks` give large numbers to take something out."""

    results: Mapping[str, Range]
    masks: frozenset[str]
    vanishing: frozenset[str] = frozenset()
    """Nodes that give, or read, numbers too small for f16 which something makes large again."""


def likely_ranges(module: ModuleOp, store: WeightStore) -> LikelyRanges:
    """The ranges of a module as it was imported."""
    block = main_block(module)
    likely = LikelyValues(store)
    likely.run(block)
    found: dict[str, Range] = {}
    masks: set[str] = set()
    for op in block.ops:
        names = node_names(op) if isinstance(op, NNOp) else []
        if names and isinstance(op, nn.CompareOp):
            found[names[-1]] = (0.0, 1.0)  # what it reads is asked for all the same
        if names and nn.dtype_of(op.results[0]) == "f32":
            sample = likely.samples.get(op.results[0])
            found[names[-1]] = (0.0, 0.0) if sample is None else _range(sample)
            if op.results[0] in likely.masks:
                masks.add(names[-1])
    return LikelyRanges(found, frozenset(masks), _vanishing(block, found))


def _vanishing(block: Block, ranges: Mapping[str, Range]) -> frozenset[str]:
    """From the outputs backwards: what is small matters where it is given out, divided by, normalised or multiplied up, and
    so does what it is made of. Added to something of ordinary size it does not."""
    found: set[str] = set()
    order = {name: number for number, name in enumerate(ranges)}
    for op in reversed(list(block.ops)):
        name = _last(op, order)
        is_ended = isinstance(op, ReturnOp)
        is_raised = isinstance(op, _RAISING) and _size(ranges.get(name, (0.0, 0.0))) >= F16_NORMAL
        if not (is_ended or is_raised or name in found):
            continue
        for value in op.operands:
            owner = value.owner
            maker = _last(owner, order) if isinstance(owner, Operation) else ""
            if maker and _is_small(ranges[maker]):
                found |= {maker} if is_ended else {maker, name}
    return frozenset(found)


def _range(sample: Array) -> Range:
    numbers = sample.astype(np.float64)
    numbers = np.clip(numbers[~np.isnan(numbers)], -_ENDLESS, _ENDLESS)
    if not numbers.size:
        return 0.0, 0.0
    low, high = np.quantile(numbers, (_TAIL, 1 - _TAIL))
    return float(low), float(high)


def range_warnings(module: ModuleOp, likely: LikelyRanges, kept: Container[str]) -> tuple[RangeWarning, ...]:
    """The nodes that a module, behind nn-convert-precision, computes in f16 though they leave it; in the model's order."""
    ranges = likely.results
    order = {name: number for number, name in enumerate(ranges)}
    found: dict[str, RangeWarning] = {}
    for op in main_block(module).ops:
        name = _last(op, order)
        if name in found or name in kept or not name or not _is_half(op):
            continue
        loses = _leaves_or_vanishes if name in likely.vanishing else _leaves
        if loses(ranges[name]):
            found[name] = RangeWarning(name, *ranges[name])
            continue
        for value in op.operands:
            source = _source(value)
            large = _large_constant(op, source)
            if large is not None and name not in likely.masks:
                found[name] = RangeWarning(name, *large, "a constant")
            elif isinstance(source, Operation) and loses(ranges.get(_last(source, order), (0.0, 0.0))):
                maker = _last(source, order)
                found[name] = RangeWarning(name, *ranges[maker], repr(maker))
    return tuple(found[name] for name in sorted(found, key=order.__getitem__))


def scale_products(module: ModuleOp, store: WeightStore, likely: LikelyRanges) -> None:
    """Marks products, before nn-convert-precision, whose weight or other operand f16 holds only when it is scaled, or whose
    result it holds only then (`EXPONENTS`)."""
    ranges = likely.results
    order = {name: number for number, name in enumerate(ranges)}
    for op in main_block(module).ops:
        if not isinstance(op, ScaledOp) or nn.dtype_of(op.results[0]) != "f32":
            continue
        weights = [index for index in range(2) if constant_of(op.operands[index]) is not None]
        weight = _weight_exponent(op.operands[weights[0]], store) if weights else 0
        data, made = 0, op.operands[1 if weights == [0] else 0].owner
        read = ranges.get(_last(made, order), (0.0, 0.0)) if isinstance(made, Operation) else (0.0, 0.0)
        given = _size(ranges.get(_last(op, order), (0.0, 0.0)))
        if given > F16_MAX:
            data = max(CUBE_EXPONENT, exponent_of(given / F16_MAX) + 1 - weight)
        elif _is_small(read):
            data = exponent_of(_size(read))
        if data or weight:
            op.attributes[EXPONENTS] = DenseArrayBase.from_list(i64, [data, weight])


def _weight_exponent(value: SSAValue, store: WeightStore) -> int:
    """The power of two that a weight is divided by: 0 for one that f16 holds."""
    blob = constant_of(value)
    assert blob is not None
    if blob.dtype != "f32" or not prod(blob.shape):
        return 0
    array = store.evaluate(blob)
    size = float(max(array.max(), -array.min()))
    if not isfinite(size) or size == 0.0 or _SMALL_WEIGHT <= size <= F16_MAX:
        return 0
    return exponent_of(size) - (_HEADROOM if size > F16_MAX else 0)


def exponent_of(size: float) -> int:
    """The least power of two that is no smaller."""
    return ceil(log2(size))


def _size(values: Range) -> float:
    return max(-values[0], values[1])


def _leaves(values: Range) -> bool:
    return _size(values) > F16_MAX


def _is_small(values: Range) -> bool:
    return 0 < _size(values) < F16_NORMAL


def _leaves_or_vanishes(values: Range) -> bool:
    return _leaves(values) or _is_small(values)


def _last(op: Operation, order: Mapping[str, int]) -> str:
    """A fused op holds what the last of its nodes gives."""
    return max((name for name in node_names(op) if name in order), key=order.__getitem__, default="")


def _is_half(op: Operation) -> bool:
    """Whether an op computes in f16."""
    if not isinstance(op, NNOp) or isinstance(op, nn.CastOp):
        return False
    return "f16" in {nn.dtype_of(value) for value in (*op.operands, *op.results)}


def _source(value: SSAValue) -> Operation | None:
    """What computes a value, in whichever type."""
    owner = value.owner
    while isinstance(owner, nn.CastOp):
        owner = owner.input.owner
    return owner if isinstance(owner, Operation) else None


def _large_constant(op: Operation, source: Operation | None) -> Range | None:
    """The range of an f16 constant that was cut off (`half_blob`), where its size matters: factors and divisors."""
    if not isinstance(op, nn.MulOp | nn.DivOp | nn.PowOp) or not isinstance(source, nn.ConstantOp):
        return None
    values = small_value(source.blob)
    if values is None or values.dtype != np.float16 or not values.size or np.abs(values).max() < F16_MAX:
        return None
    return float(values.min()), float(values.max())
