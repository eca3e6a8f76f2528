"""Pass nn-convert-precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import TypeAlias

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerType, ModuleOp, StringAttr, f64
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.hints import isa

from ..dialects import nn
from ..dialects.blobs import Blob
from ..dialects.nn_attrs import EXACT, EXPONENTS, PRECISE
from ..runtime.soc import compile_target
from .provenance import node_names
from .rewriting import constant_of, main_block, remove_dead, scalar_of, simplify_blob, users

F16_MAX = 65504.0
F16_TINY = 2.0**-14
"""Smallest normal f16: what an epsilon becomes that would vanish."""
CUBE_EXPONENT = 6
"""By how many powers of two a product that is kept in f32 may exceed f16, where nothing better is known. Only what becomes
subnormal is rounded by them: numbers below 1/256 of an operand whose products leave f16."""
ScaledOp: TypeAlias = nn.ConvOp | nn.ConvTransposeOp | nn.MatMulOp
"""Products, which the cube computes of f16."""
_INTEGER = frozenset({"i64", "i32", "i16", "i8", "u8", "u16", "u32", "u64", "bool"})


@dataclass(frozen=True)
class NNConvertPrecisionPass(ModulePass):
    """Compute an f32 model in f16: the cube of 310, 310P and 910 multiplies f16 only and a f16 tensor is half
    the traffic.

    before  %y = nn.conv %x, %w, %b … : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> …
    after   %0 = nn.cast %x : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf16>
            %w1 = nn.constant #nn.blob<"w" : tensor<4x3x3x3xf32> | cast f16> : tensor<4x3x3x3xf16>
            %1 = nn.conv %0, %w1, %b … : (…f16, …f16, tensor<4xf32>) -> tensor<1x4x6x6xf16>
            %y = nn.cast %1 : (tensor<1x4x6x6xf16>) -> tensor<1x4x6x6xf32>

    The function keeps its types. Biases of convolutions and matmuls stay f32: they are loaded into the f32
    accumulator. Ops marked `precise` (sums of normalisations, softmax) and all sums stay in f32 inside their
    group if the chip has f32 vector instructions, and so do sums with a constant that f16 would make zero of
    (x + 1e-12) and what divides by them. A mean becomes a sum and a multiplication; without f32 the
    multiplication comes first, as an f16 sum ends at 65504.
    """

    name = "nn-convert-precision"

    compute: str = "f16"
    """Type that f32 becomes; f32 leaves the types alone."""
    f32_ops: bool | None = None
    """Statistics in f32; by default each op where the target has the instructions for it (310 has no f32
    exponential)."""
    keep: tuple[str, ...] = ()
    """Source node names that stay in f32. What the cube multiplies is f16 still, scaled by the attribute `exponents`, or
    down by 2^`CUBE_EXPONENT`; its result is scaled back in f32. Window pools do not stay."""
    keep_vector: bool = False
    """Everything but matrix ops and window pools stays in f32 where the target has the instructions."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        support = f32_support(op, self.f32_ops)
        Converter(block, self.compute, support, frozenset(self.keep), keep_vector=self.keep_vector).run()
        remove_dead(block)


_F32_INSTRUCTIONS: dict[type[Operation], tuple[str, ...]] = {
    nn.ExpOp: ("vexp",),
    nn.LogOp: ("vln",),
    nn.SqrtOp: ("vsqrt", "vrsqrt"),
    nn.RsqrtOp: ("vrsqrt", "vsqrt"),
    nn.DivOp: ("vdiv", "vrec"),
    nn.ReciprocalOp: ("vrec", "vdiv"),
}
"""One of these in f32 lets an op be computed in f32; all other ops of statistics need additions and products
only."""


def f32_support(module: ModuleOp, forced: bool | None) -> Callable[[Operation], bool]:
    """Whether an op can be computed in f32 on the module's target; without a target everything can."""
    target = module.attributes.get("ascend.target")
    if forced is not None or not isinstance(target, StringAttr):
        return lambda op: forced is not False
    core = compile_target(target.data).core

    def supported(op: Operation) -> bool:
        names = _F32_INSTRUCTIONS.get(type(op), ("vadd",))
        if isinstance(op, nn.ReduceOp) and op.kind.data in ("max", "min"):
            names = ("vcmax",)  # exact in f16 too
        return any(core.supports(name, "f32") for name in names)

    return supported


@dataclass
class Converter:
    """One sweep; a value may exist in several types, each made once, right behind its definition."""

    block: Block
    compute: str
    f32_ops: Callable[[Operation], bool]
    keep: frozenset[str]
    versions: dict[tuple[SSAValue, str], SSAValue] = field(
        default_factory=dict[tuple[SSAValue, str], SSAValue]
    )

    exact: set[SSAValue] = field(default_factory=set[SSAValue])
    """Values that are computed in f32 because f16 would change what is asked of them."""
    keep_vector: bool = False
    plain: frozenset[Operation] = frozenset()
    """Ops between model inputs and outputs that only move elements: nothing is gained by rounding them."""
    whole: frozenset[Operation] = frozenset()
    """Float arithmetic between integers and integers."""

    def run(self) -> None:
        self.plain = plain_moves(self.block)
        self.whole = between_integers(self.block)
        for op in list(self.block.ops):
            if isinstance(op, nn.ConstantOp):
                continue
            if isinstance(op, ReturnOp):
                self._return(op)
            elif isinstance(op, nn.GatherOp):
                self._narrow_indices(op)
                self._convert(op)
            elif isinstance(op, nn.NNOp):
                self._convert(op)

    def target(self, op: Operation) -> str:
        """The type in which an op that the model states in f32 is computed."""
        if isinstance(op, nn.CpuKernelOp | nn.BitCastOp) or op in self.plain:
            return "f32"
        if isinstance(op, _F16_ONLY):
            return self.compute
        if isinstance(op, nn.TopKOp):
            return self._ranked(op.input)
        if self._is_kept(op) or (self.keep_vector and self.f32_ops(op)):
            return "f32"
        summed = isinstance(op, nn.ReduceOp) and op.kind.data in ("sum", "mean", "prod")
        precise = PRECISE in op.attributes or EXACT in op.attributes or summed or op in self.whole
        if (precise or _needs_its_epsilon(op)) and self.f32_ops(op):
            return "f32"
        return self.compute

    def _ranked(self, value: SSAValue) -> str:
        """The type in which values are ranked: the one they were computed in, as equal halves are no order of what was f32.
        What the model is given is ranked as it is."""
        return "f32" if value in self.exact or self._is_unrounded(value) else self.compute

    def _is_unrounded(self, value: SSAValue) -> bool:
        """Whether a value that the model states in f32 is there in f32: what was computed in another type is not, a copy of it
        in that type changes nothing."""
        made = self.versions.get((value, self.compute))
        is_copy = made is not None and isinstance(made.owner, nn.CastOp) and made.owner.input is value
        return nn.dtype_of(value) == "f32" and constant_of(value) is None and (made is None or is_copy)

    def _is_kept(self, op: Operation) -> bool:
        return bool(self.keep) and not self.keep.isdisjoint(node_names(op))

    def _exponents(self, op: nn.NNOp) -> tuple[int, int]:
        """By which powers of two the data and the weight of a product are scaled down; (0, 0) where they are not."""
        if self.compute != "f16" or nn.dtype_of(op.results[0]) != "f32":
            return 0, 0
        given = op.attributes.get(EXPONENTS)
        data, weight = nn.ints(given) if isa(given, DenseArrayBase[IntegerType]) else (0, 0)
        if self._is_kept(op):
            return data or CUBE_EXPONENT, weight
        return data if self.keep_vector else 0, weight

    def _scaled(self, op: ScaledOp, exponents: tuple[int, int]) -> None:
        """A product of scaled operands, so that f16 holds them and the result; the result is scaled back, and the bias
        added, in f32."""
        data = 0 if constant_of(op.operands[0]) is None else 1
        made: list[Operation] = []

        def add(new: Operation) -> SSAValue:
            made.append(new)
            return new.results[0]

        def times(value: SSAValue, exponent: int) -> SSAValue:
            return add(nn.MulOp(value, add(nn.ConstantOp(Blob.splat(2.0**exponent, (), "f32")))))

        small = self.get(op.operands[data], self.compute, op)
        if exponents[0]:
            small = add(nn.CastOp(times(self.get(op.operands[data], "f32", op), -exponents[0]), self.compute))
        other, blob = op.operands[1 - data], constant_of(op.operands[1 - data])
        if exponents[1] and blob is not None:
            blob = blob.apply("mul", Blob.splat(2.0 ** -exponents[1], (), "f32")).apply("cast", self.compute)
            other = add(nn.ConstantOp(simplify_blob(blob)))
        else:
            other = self.get(other, self.compute, op)
        result = op.results[0]
        product = type(op).create(
            operands=[small, other] if data == 0 else [other, small],
            properties=dict(op.properties),
            result_types=[nn.tensor_type(nn.shape_of(result), self.compute)],
        )
        whole = times(add(nn.CastOp(add(product), "f32")), sum(exponents))
        if len(op.operands) == 3:
            bias = self.get(op.operands[2], "f32", op)
            if not isinstance(op, nn.MatMulOp):
                bias = add(nn.ReshapeOp(bias, (*nn.shape_of(bias), 1, 1)))
            whole = add(nn.AddOp(whole, bias))
        for new in made:
            new.location = op.location
            self.block.insert_op_before(new, op)
        result.replace_all_uses_with(whole)

    def _convert(self, op: nn.NNOp) -> None:
        if isinstance(op, ScaledOp) and any(exponents := self._exponents(op)):
            self._scaled(op, exponents)
            return
        dtype = self.target(op)
        moves = isinstance(op, _MOVES) and not self.exact.isdisjoint(op.operands)
        if moves:  # what must not be rounded is moved as it is
            dtype = "f32"
        if moves or (EXACT in op.attributes and dtype == "f32"):
            self.exact.add(op.results[0])
        if isinstance(op, nn.CastOp):
            op.attributes.pop(PRECISE, None)
            self._cast(op)
            return
        for mark in (PRECISE, EXACT, EXPONENTS):
            op.attributes.pop(mark, None)
        floats = [nn.dtype_of(v) == "f32" for v in op.operands]
        result = op.results[0]
        is_float = nn.dtype_of(result) == "f32"
        if not any(floats) and not is_float:
            return
        if dtype != "f32":
            self._rebuild(op, floats, is_float, dtype)
        else:
            for i, (value, single) in enumerate(zip(list(op.operands), floats, strict=True)):
                if single and not isinstance(op, nn.TopKOp):  # its operand is f32 by itself
                    op.operands[i] = self.get(value, "f32", op)
        self._mean(self._current(result, dtype))

    def _rebuild(self, op: nn.NNOp, floats: list[bool], is_float: bool, dtype: str) -> None:
        operands: list[SSAValue] = []
        for i, (value, single) in enumerate(zip(op.operands, floats, strict=True)):
            is_bias = i == 2 and isinstance(op, nn.ConvOp | nn.ConvTransposeOp | nn.MatMulOp)
            stays = not single or (is_bias and constant_of(value) is not None)
            operands.append(value if stays else self.get(value, dtype, op))
        result = op.results[0]
        result_type = nn.tensor_type(nn.shape_of(result), dtype) if is_float else result.type
        properties = dict(op.properties)
        if isinstance(op, nn.PadOp) and op.value is not None:
            properties["value"] = FloatAttr(_half(op.value.value.data), f64)
        new = type(op).create(
            operands=operands,
            properties=properties,
            attributes=dict(op.attributes),
            result_types=[result_type],
        )
        new.location = op.location
        self.block.insert_op_before(new, op)
        if result.name_hint is not None:
            new.results[0].name_hint = result.name_hint
        if is_float:
            self.versions[result, dtype] = new.results[0]
        else:
            result.replace_all_uses_with(new.results[0])

    def _current(self, result: SSAValue, dtype: str) -> SSAValue:
        return self.versions.get((result, dtype), result)

    def _cast(self, op: nn.CastOp) -> None:
        """From f32: read what there is. To f32: integers keep f32 (f16 is exact to 2048 only)."""
        source, target = nn.dtype_of(op.input), nn.dtype_of(op.output)
        if source == "f32" and (op.input, self.compute) in self.versions:
            op.operands[0] = self.versions[op.input, self.compute]
        if target == "f32" and source in _INTEGER and not self.f32_ops(op) and self.compute != "f32":
            new = nn.CastOp(op.input, self.compute)
            new.location = op.location
            self.block.insert_op_before(new, op)
            self.versions[op.output, self.compute] = new.output
        if nn.dtype_of(op.operands[0]) == target:
            self.versions[op.output, target] = op.operands[0]

    def get(self, value: SSAValue, dtype: str, user: Operation) -> SSAValue:
        """A value in a type: as it is, already made, or converted behind its definition."""
        made = self.versions.get((value, dtype))
        if made is not None:
            return made
        if dtype == "f32" and (value in self.exact or self._is_unrounded(value)):
            return value
        blob = constant_of(value)
        others = [d for (v, d) in self.versions if v is value] if blob is None else []
        if blob is None and nn.dtype_of(value) == dtype and not others:
            return value
        if blob is not None:
            clamp = not isinstance(user, nn.ConvOp | nn.ConvTransposeOp | nn.MatMulOp)
            new: Operation = nn.ConstantOp(half_blob(blob, dtype, clamp=clamp))
            source = value
        else:
            source = self.versions[value, others[0]] if others else value
            new = nn.CastOp(source, dtype)
        self._insert_behind(new, source, user)
        self.versions[value, dtype] = new.results[0]
        return new.results[0]

    def _insert_behind(self, new: Operation, value: SSAValue, user: Operation) -> None:
        owner = value.owner
        if isinstance(owner, Operation):
            new.location = owner.location
            self.block.insert_op_after(new, owner)
            return
        first = self.block.first_op
        assert first is not None
        new.location = user.location  # a model input has no node of its own
        self.block.insert_op_before(new, first)

    def _return(self, op: ReturnOp) -> None:
        for i, value in enumerate(list(op.operands)):
            if nn.dtype_of(value) == "f32":
                op.operands[i] = self.get(value, "f32", op)

    def _mean(self, value: SSAValue) -> None:
        op = value.owner
        if not isinstance(op, nn.ReduceOp) or op.kind.data != "mean":
            return
        dtype = nn.dtype_of(value)
        shape = nn.shape_of(op.input)
        count = prod(shape[a] for a in nn.ints(op.axes))
        factor = nn.ConstantOp(Blob.splat(1.0 / count, (), dtype))
        keep = op.keepdims is not None
        axes = nn.ints(op.axes)
        if dtype == "f32":
            total = nn.ReduceOp(op.input, "sum", axes, keepdims=keep)
            ops: list[Operation] = [factor, total, nn.MulOp(total, factor)]
        else:
            scaled = nn.MulOp(op.input, factor)
            ops = [factor, scaled, nn.ReduceOp(scaled, "sum", axes, keepdims=keep)]
        for new in ops:
            new.location = op.location
            self.block.insert_op_before(new, op)
        for key, made in list(self.versions.items()):
            if made is value:
                self.versions[key] = ops[-1].results[0]
        value.replace_all_uses_with(ops[-1].results[0])
        if value not in [k[0] for k in self.versions]:
            self.versions[value, dtype] = ops[-1].results[0]

    def _narrow_indices(self, op: nn.GatherOp) -> None:
        """Known indices lie inside an axis, so 32 bits hold them (decision D13); others are read as they are."""
        blob = constant_of(op.indices)
        if nn.dtype_of(op.indices) != "i64" or blob is None:
            return
        new = nn.ConstantOp(simplify_blob(blob.apply("cast", "i32")))
        new.location = op.location
        self.block.insert_op_before(new, op)
        op.operands[1] = new.results[0]


_F16_ONLY = (
    nn.ConvOp, nn.ConvTransposeOp, nn.MatMulOp, nn.AttentionOp, nn.RecurrenceOp, nn.MaxPoolOp, nn.AvgPoolOp,
)  # fmt: skip
"""The cube multiplies f16; the kernels of window pools compute in f16."""
_MOVES = (
    nn.ReshapeOp,
    nn.TransposeOp,
    nn.SliceOp,
    nn.ConcatOp,
    nn.PadOp,
    nn.ExpandOp,
    nn.TileOp,
    nn.DepthToSpaceOp,
    nn.SpaceToDepthOp,
)


def between_integers(block: Block) -> frozenset[Operation]:
    """Elementwise ops whose operands come from casts of integers, and constants, only, and whose results become integers again:
    positions divided and rounded down, and their like. f16 would be exact up to 2048."""
    made: set[SSAValue] = set()
    for op in block.ops:
        if isinstance(op, nn.CastOp) and nn.dtype_of(op.output) == "f32":
            found = nn.dtype_of(op.input) in _INTEGER
        else:
            others = [value for value in op.operands if constant_of(value) is None]
            found = isinstance(op, nn.ELEMENTWISE_OPS + _MOVES) and bool(others) and made.issuperset(others)
        if found:
            made.update(op.results)
    needed: set[Operation] = set()
    for op in reversed(list(block.ops)):
        ends = isinstance(op, nn.CastOp) and nn.dtype_of(op.output) in _INTEGER
        if ends or op in needed:
            needed.update(v.owner for v in op.operands if v in made and isinstance(v.owner, Operation))
    return frozenset(op for op in needed if nn.dtype_of(op.results[0]) == "f32")


def plain_moves(block: Block) -> frozenset[Operation]:
    """Moves whose operands are inputs, constants or such moves, and whose results nothing computes with."""
    moved: set[Operation] = set()
    for op in block.ops:
        if isinstance(op, _MOVES) and all(
            isinstance(v, BlockArgument) or isinstance(v.owner, nn.ConstantOp) or v.owner in moved
            for v in op.operands
        ):
            moved.add(op)
    for op in reversed(list(block.ops)):
        if op in moved and not all(isinstance(u, ReturnOp) or u in moved for u in users(op.results[0])):
            moved.discard(op)
    return frozenset(moved)


def _adds_an_epsilon(value: SSAValue) -> bool:
    """Whether a value is a sum with, or a bound by, a number that f16 makes zero of."""
    op = value.owner
    if isinstance(op, nn.AddOp | nn.MaxOp):
        bounds = [scalar_of(operand) for operand in op.operands]
    elif isinstance(op, nn.ClipOp) and op.min is not None:
        bounds = [op.min.value.data]
    else:
        return False
    return any(bound and np.float16(min(abs(bound), F16_MAX)) == 0 for bound in bounds)


def _needs_its_epsilon(op: Operation) -> bool:
    """Whether f16 would make a zero, or 2^-14, of the small number that keeps this op, or the one before it, from
    dividing by zero."""
    if isinstance(op, nn.DivOp):
        return _adds_an_epsilon(op.operands[1])
    if isinstance(op, nn.ReciprocalOp | nn.SqrtOp | nn.RsqrtOp):
        return _adds_an_epsilon(op.operands[0])
    return bool(op.results) and _adds_an_epsilon(op.results[0])


def half_blob(blob: Blob, dtype: str, *, clamp: bool) -> Blob:
    """A constant in another float type. For f16, finite numbers stay finite (masks of -3.4e38) and an epsilon
    stays positive."""
    if dtype != "f16" or blob.dtype == dtype:
        return simplify_blob(blob.apply("cast", dtype))
    if blob.op in ("splat", "dense"):
        values = np.array([_half(float(v)) for v in blob.values], np.float32)
        if blob.op == "splat":
            return Blob.splat(float(values[0]), blob.shape, dtype)
        return Blob.dense(values.astype(np.float16).reshape(blob.shape))
    if clamp:
        low, high = (Blob.splat(v, (), blob.dtype) for v in (-F16_MAX, F16_MAX))
        blob = blob.apply("max", low).apply("min", high)
    return simplify_blob(blob.apply("cast", dtype))


def _half(value: float) -> float:
    if not isfinite(value) or value == 0.0:
        return value
    bounded = min(max(value, -F16_MAX), F16_MAX)
    return np.copysign(F16_TINY, value).item() if np.float16(bounded) == 0 else bounded
