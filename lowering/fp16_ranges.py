"""Nodes whose values are likely to leave fp16, found while a model is compiled.

Before the passes of level nn each node of the model is asked what it is likely to hold (`runtime/interp/nn_likely.py`); behind them
it is known what is computed in f16. A node is told of if both meet: its values end at ±65504 there, without a word from the
chip. It is an estimate, for inputs of about 1: `atc precision-compare --layer_level` measures the same with real inputs.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from ..dialects import nn
from ..dialects.dtypes import Array
from ..dialects.nn_attrs import NNOp
from ..passes.provenance import node_names
from ..passes.rewriting import main_block, small_value
from ..runtime.interp.nn_likely import F16_MAX, LikelyValues
from ..runtime.weights import WeightStore

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
        return (
            f"node {self.node!r} {what} values that are likely to reach from {self.low:.3g} to {self.high:.3g}, but fp16 "
            f"ends at {F16_MAX:.0f}; --keep_dtype=FILE with a line {self.node} keeps it in fp32"
        )


Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class LikelyRanges:
    """What nodes are likely to give, by name in the model's order; `masks` give large numbers to take something out."""

    results: Mapping[str, Range]
    masks: frozenset[str]


def likely_ranges(module: ModuleOp, store: WeightStore) -> LikelyRanges:
    """The ranges of a module as it was imported."""
    block = main_block(module)
    likely = LikelyValues(store)
    likely.run(block)
    found: dict[str, Range] = {}
    masks: set[str] = set()
    for op in block.ops:
        names = node_names(op) if isinstance(op, NNOp) else []
        if names and nn.dtype_of(op.results[0]) == "f32":
            sample = likely.samples.get(op.results[0])
            found[names[-1]] = (0.0, 0.0) if sample is None else _range(sample)
            if op.results[0] in likely.masks:
                masks.add(names[-1])
    return LikelyRanges(found, frozenset(masks))


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
        if _leaves(ranges[name]):
            found[name] = RangeWarning(name, *ranges[name])
            continue
        for value in op.operands:
            source = _source(value)
            large = _large_constant(op, source)
            if large is not None and name not in likely.masks:
                found[name] = RangeWarning(name, *large, "a constant")
            elif isinstance(source, Operation) and _leaves(ranges.get(_last(source, order), (0.0, 0.0))):
                maker = _last(source, order)
                found[name] = RangeWarning(name, *ranges[maker], repr(maker))
    return tuple(found[name] for name in sorted(found, key=order.__getitem__))


def _leaves(values: Range) -> bool:
    return max(-values[0], values[1]) > F16_MAX


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
