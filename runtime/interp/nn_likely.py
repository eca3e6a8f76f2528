"""Which values the tensors of a model are likely to hold: the `nn` level on samples instead of arrays.

A bound that holds for every input says nothing after a few layers: a sum of 4608 products is at most 4608 times the
largest, and never that large. So each tensor is stood for by `COUNT` numbers drawn from it. Elementwise ops compute on them
with the semantics of the interpreter, so that x·x knows that both are the same; sums and products of matrices draw from
the normal distribution that a sum of many tends to, with mean and deviation from the sample and the norms of the real
weights. Inputs of floats are drawn from a normal distribution of mean 0 and deviation 1. A batch norm with stored
statistics says more than the estimate in front of it: what it gives has the mean and deviation that it was trained to.

The estimate repeats: every draw is seeded by the number of its op.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import Any, Final

import numpy as np
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from ...dialects import dtypes, nn
from ...dialects.blobs import Blob
from ...dialects.dtypes import Array
from ...dialects.nn_attrs import NNOp
from ..weights import WeightStore
from . import nn_elementwise

COUNT: Final = 512
"""Numbers that stand for a tensor."""
EXTREMES: Final = 8
"""So many of them are a constant's smallest number, and so many its largest: one channel can be what overflows."""
DRAWN: Final = 128
"""Numbers that a maximum or a product is taken of, however long the axis is."""
MOST_WEIGHTS: Final = 1 << 24
"""Elements of a constant up to which its extremes are looked for, and an expression is computed."""
MOST_ROWS: Final = 1 << 20
"""Elements of a matrix that its columns' norms are taken of: of a larger one every n-th row."""
MASK: Final = 60000.0
"""What stands for a number that only has to be large (-1e9, inf) because it takes something out: masks may saturate."""
F16_MAX: Final = 65504.0
_NO_NUMBER: Final = 1e30
"""From here on a constant stands for infinity."""


@dataclass
class LikelyValues:
    """Samples of values, forward through a block. A value that nothing is known of has none."""

    store: WeightStore
    samples: dict[SSAValue, Array | None] = field(default_factory=dict[SSAValue, "Array | None"])
    masks: set[SSAValue] = field(default_factory=set[SSAValue])
    """Values of which the large ones come from a mask."""
    number: int = 0

    def run(self, block: Block) -> None:
        """Samples for everything in the block but what weights are read as wholes."""
        for op in block.ops:
            self.number += 1
            if isinstance(op, NNOp):
                with np.errstate(all="ignore"):
                    self.samples[op.results[0]] = self._sample(op)

    def of(self, value: SSAValue) -> Array | None:
        """The sample of a value, `COUNT` numbers of its numpy type (f64 for floats)."""
        if value not in self.samples:
            owner = value.owner
            if isinstance(owner, nn.ConstantOp):
                self.samples[value] = self._constant(owner.blob)
            else:
                index = value.index if isinstance(value, BlockArgument) else 0
                self.samples[value] = _input(nn.dtype_of(value), index)
        return self.samples[value]

    @property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.number)

    def _constant(self, blob: Blob) -> Array | None:
        """Some of a constant's numbers; None for what is too large an expression to compute for this."""
        if blob.op != "source" and prod(blob.shape) > MOST_WEIGHTS:
            return None
        flat = self.store.evaluate(blob).reshape(-1)
        if not flat.size or flat.dtype.kind not in "fiub":
            return None
        drawn = flat[np.random.default_rng(flat.size).integers(0, flat.size, COUNT)]
        found = drawn.astype(np.float64) if flat.dtype.kind == "f" else drawn.copy()
        if flat.size <= MOST_WEIGHTS and flat.dtype.kind != "b":
            found[:EXTREMES], found[EXTREMES : 2 * EXTREMES] = flat.min(), flat.max()
        return found

    def is_mask(self, op: Operation, index: int) -> bool:
        """Whether large numbers of an operand take something out: added below, selected, or multiplied with 0 and ±1."""
        value = op.operands[index]
        sample = self.of(value)
        if sample is None or sample.dtype.kind != "f":
            return False
        large = sample[np.abs(sample) > F16_MAX]
        from_constant = isinstance(value.owner, nn.ConstantOp) and large.size > 0
        if value not in self.masks and not from_constant:
            return False
        if isinstance(op, nn.MulOp):
            other = self.of(op.operands[1 - index])
            return other is not None and bool(np.isin(other, (-1, 0, 1)).all())
        if not isinstance(op, _TAKING_OUT):
            return False
        return value in self.masks or bool(np.all((large < 0) | (large > _NO_NUMBER)))

    # ------------------------------------------------------------------------------------------------ ops
    def _sample(self, op: NNOp) -> Array | None:
        special = _SPECIAL.get(type(op))
        if special is not None:
            return special(self, op)
        if isinstance(op, nn.BitCastOp):
            return None
        if isinstance(op, nn.MOVE_OPS):
            return self._moved(op)
        if type(op) not in nn_elementwise.SEMANTICS:
            return None
        operands = [self.of(value) for value in op.operands]
        known = [operand for operand in operands if operand is not None]
        if len(known) < len(operands):
            return None
        if any(self.is_mask(op, index) for index in range(len(known))):
            self.masks.add(op.results[0])
            known = [np.clip(sample, -MASK, MASK) if sample.dtype.kind == "f" else sample for sample in known]
        result = np.asarray(nn_elementwise.SEMANTICS[type(op)](*known, **dict[str, Any](op.values)))
        if op.results[0] in self.masks:
            result = np.clip(result, -MASK, MASK)
        kind = dtypes.numpy_dtype(nn.dtype_of(op.results[0]))
        return result.astype(np.float64 if kind.kind in "fV" else kind)

    def _moved(self, op: NNOp) -> Array | None:
        """Of several operands each gives a share; a border may hold what the operand does not."""
        sources = list(op.operands[:1]) if isinstance(op, nn.GatherOp) else list(op.operands)
        found = [self.of(value) for value in sources]
        known = [sample for sample in found if sample is not None]
        if len(known) < len(found):
            return None
        if any(value in self.masks for value in sources):
            self.masks.add(op.results[0])
        if isinstance(op, nn.PadOp) and op.value is not None:
            return self._padded(op, known[0], op.value.value.data)
        if len(known) > 1:
            turn = np.arange(COUNT) % len(known)
            return np.choose(turn, known) if len(known) <= 32 else known[0]
        return known[0]

    def _padded(self, op: nn.PadOp, sample: Array, value: float) -> Array:
        """Some numbers are the border's; a very low one stands for minus infinity."""
        if value == 0.0 or sample.dtype.kind != "f":
            return sample
        if value < -F16_MAX or abs(value) > _NO_NUMBER:
            self.masks.add(op.results[0])
            value = max(min(value, MASK), -MASK)
        found = sample.copy()
        found[:EXTREMES] = value
        return found

    def cast(self, op: NNOp) -> Array | None:
        """The same numbers; those that no whole number stands for become 0."""
        sample = self.of(op.operands[0])
        if sample is None or nn.dtype_of(op.results[0]) not in _CASTS:
            return None
        kind = dtypes.numpy_dtype(nn.dtype_of(op.results[0]))
        if kind.kind not in "iub":
            return sample.astype(np.float64)
        return np.nan_to_num(sample).astype(kind)

    def ranked(self, op: NNOp) -> Array | None:
        """Any of the row: the best of many are among them.  Positions are numbers below its length."""
        assert isinstance(op, nn.TopKOp)
        if op.positions is None:
            return self.of(op.input)
        return self._rng.integers(0, nn.shape_of(op.input)[-1], COUNT).astype(np.int32)

    def state(self, op: NNOp) -> Array | None:
        """Hidden states of a recurrence: the hyperbolic tangent and the gates keep them within 1."""
        return np.tanh(self._rng.standard_normal(COUNT))

    def reduced(self, op: NNOp) -> Array | None:
        """Sums of as many as the axes hold; maxima and products of at most `DRAWN`."""
        assert isinstance(op, nn.ReduceOp)
        sample = self.of(op.input)
        if sample is None:
            return None
        shape = nn.shape_of(op.input)
        count = max(prod(shape[axis] for axis in nn.ints(op.axes)), 1)
        kind = op.kind.data
        values = sample.astype(np.float64)
        if kind in ("sum", "mean", "l1", "sum_square", "l2"):
            inner = {"l1": np.abs, "sum_square": np.square, "l2": np.square}.get(kind)
            total = self._total(inner(values) if inner is not None else values, count)
            return (
                np.sqrt(np.maximum(total, 0)) if kind == "l2" else total / count if kind == "mean" else total
            )
        drawn = self._rng.choice(values, (COUNT, min(count, DRAWN)))
        if kind in ("max", "min"):
            return drawn.max(1) if kind == "max" else drawn.min(1)
        return drawn.prod(1) if kind == "prod" else None

    def _total(self, values: Array, count: float) -> Array:
        """Sums of `count` values drawn from a sample."""
        noise = self._rng.standard_normal(COUNT)
        return count * values.mean() + sqrt(count) * values.std() * noise

    def along(self, op: NNOp) -> Array | None:
        """Softmax and its logarithm, of what an axis of `DRAWN` entries holds."""
        sample = self.of(op.operands[0])
        if sample is None:
            return None
        drawn = self._rng.choice(sample, (COUNT, DRAWN))
        shifted = drawn - drawn.max(1, keepdims=True)
        if isinstance(op, nn.LogSoftmaxOp):
            return shifted[:, 0] - np.log(np.exp(shifted).sum(1))
        return np.exp(shifted[:, 0]) / np.exp(shifted).sum(1)

    def normalised(self, op: NNOp) -> Array | None:
        """Mean 0 and deviation 1, times scale, plus bias."""
        result = self._rng.standard_normal(COUNT)
        scale, bias = self.of(op.operands[1]), self.of(op.operands[2]) if len(op.operands) > 2 else 0.0
        return None if scale is None or bias is None else result * scale + bias

    def window(self, op: NNOp) -> Array | None:
        """What pools and LRN give stays within what they read."""
        return self.of(op.operands[0])

    def product(self, op: NNOp) -> Array | None:
        """A sum of products: with the sums and norms of the real columns if one operand is a weight."""
        lhs, rhs = op.operands[:2]
        weight = (
            rhs
            if isinstance(rhs.owner, nn.ConstantOp)
            else lhs
            if isinstance(lhs.owner, nn.ConstantOp)
            else None
        )
        data = lhs if weight is not lhs else rhs
        sample = self.of(data)
        if sample is None:
            return None
        values = sample.astype(np.float64)
        channels: Array | None = None
        if weight is None:
            other = self.of(rhs)
            if other is None:
                return None
            total = self._total(values * self._rng.permutation(other), _inner_size(op))
        else:
            sums, norms = self._columns(op, weight)
            channels = self._rng.integers(0, sums.size, COUNT)
            channels[:EXTREMES] = norms.argmax()
            channels[EXTREMES : 2 * EXTREMES] = np.abs(sums).argmax()
            noise = self._rng.standard_normal(COUNT)
            total = values.mean() * sums[channels] + values.std() * norms[channels] * noise
        return total if len(op.operands) < 3 else self._biased(total, op.operands[2], channels)

    def _biased(self, total: Array, bias: SSAValue, channels: Array | None) -> Array | None:
        owner = bias.owner
        if (
            channels is not None
            and isinstance(owner, nn.ConstantOp)
            and prod(owner.blob.shape) > channels.max()
        ):
            flat = self.store.evaluate(owner.blob).reshape(-1)
            return total + flat[channels % flat.size]
        sample = self.of(bias)
        return None if sample is None else total + sample

    def _columns(self, op: NNOp, weight: SSAValue) -> tuple[Array, Array]:
        """Sum and norm of the weights behind each output channel."""
        owner = weight.owner
        assert isinstance(owner, nn.ConstantOp)
        array = self.store.evaluate(owner.blob)
        if isinstance(op, nn.ConvOp):
            rows = array.reshape(array.shape[0], -1)
            axis, taken = 1, 1.0
        elif isinstance(op, nn.ConvTransposeOp):
            rows = (
                array.reshape(array.shape[0], array.shape[1], -1)
                .transpose(1, 0, 2)
                .reshape(array.shape[1], -1)
            )
            axis, taken = 1, float(prod(nn.ints(op.strides)))
        else:
            assert isinstance(op, nn.MatMulOp)
            is_left = weight is op.lhs
            turned = (op.trans_a is not None) if is_left else (op.trans_b is not None)
            rows = (
                array.reshape(-1, array.shape[-1])
                if array.ndim < 3
                else array.reshape(-1, *array.shape[-2:])[0]
            )
            axis, taken = (1 if is_left != turned else 0), 1.0
        if axis == 0 and rows.size > MOST_ROWS:
            step = -(-rows.size // MOST_ROWS)
            rows, taken = rows[::step], taken / step
        wide = rows.astype(np.float32, copy=False)
        squares = np.einsum("ij,ij->j" if axis == 0 else "ij,ij->i", wide, wide)
        return wide.sum(axis) / taken, np.sqrt(squares / taken)


def _inner_size(op: NNOp) -> int:
    """Products that one element of the result sums up."""
    if isinstance(op, nn.MatMulOp):
        shape = nn.shape_of(op.lhs)
        return shape[-2 if op.trans_a is not None else -1]
    return prod(nn.shape_of(op.operands[1])[1:])


def _input(dtype: str, index: int) -> Array | None:
    """An input's likely values: floats around 0, bytes of all values, small whole numbers."""
    rng = np.random.default_rng(1000 + index)
    if dtype in _FLOATS:
        return rng.standard_normal(COUNT)
    if dtype == "bool":
        return rng.integers(0, 2, COUNT).astype(np.bool_)
    limits = {"u8": (0, 256), "i8": (-128, 128), "i32": (0, 128), "i64": (0, 128)}
    if dtype not in limits:
        return None
    return rng.integers(*limits[dtype], COUNT).astype(dtypes.numpy_dtype(dtype))


_FLOATS: Final = frozenset({"f16", "bf16", "f32", "f64"})
_CASTS: Final = _FLOATS | {"bool", "i32", "i64", "u8", "i8"}
_TAKING_OUT: Final = (nn.AddOp, nn.SubOp, nn.WhereOp, nn.MaxOp, nn.MinOp)
_SPECIAL: Final[dict[type[Operation], Callable[[LikelyValues, NNOp], Array | None]]] = {
    nn.CastOp: LikelyValues.cast,
    nn.ReduceOp: LikelyValues.reduced,
    nn.TopKOp: LikelyValues.ranked,
    nn.RecurrenceOp: LikelyValues.state,
    nn.SoftmaxOp: LikelyValues.along,
    nn.LogSoftmaxOp: LikelyValues.along,
    nn.LayerNormOp: LikelyValues.normalised,
    nn.InstanceNormOp: LikelyValues.normalised,
    nn.BatchNormOp: LikelyValues.normalised,
    nn.LRNOp: LikelyValues.window,
    nn.MaxPoolOp: LikelyValues.window,
    nn.AvgPoolOp: LikelyValues.window,
    nn.MatMulOp: LikelyValues.product,
    nn.ConvOp: LikelyValues.product,
    nn.ConvTransposeOp: LikelyValues.product,
}
