"""Elementwise ops on a tile of the cube's result in UB: which there are, their instructions and what they cost.

All are f16 and run over the whole tile [columns][m16][16]; a per-channel operand is read column by column with stride 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..dialects import ascend, nn
from ..runtime.soc import Soc
from . import cube_terms
from .cube_problem import UNIT, CubeGroup
from .cube_tile import Tile
from .kernel_builder import Index, Ref

if TYPE_CHECKING:
    from .cube_epilogue import Epilogue


def half(value: float) -> int:
    """Raw bits of a number as f16."""
    return int(np.array(value, dtype=np.float16).view(np.uint16))


def scalar_of(value: SSAValue) -> float | None:
    """The number behind a scalar constant of the body, else None."""
    op = value.owner
    if isinstance(op, nn.ConstantOp) and op.blob.is_splat:
        return float(op.blob.values[0])
    return None


def ub_tiles(found: CubeGroup, soc: Soc) -> int:
    """Tiles that live in UB at once: two for the result, two per loaded tile, one per temporary."""
    if cube_terms.in_terms(found):
        return cube_terms.ub_tiles(found)
    shape = ascend.shape_of(found.root.output)
    inside = {result for op in (found.root, *found.epilogue) for result in op.results}
    full = {
        v for op in found.epilogue for v in op.operands if v not in inside and ascend.shape_of(v) == shape
    }
    temporaries = sum(
        _TEMPORARIES.get(type(op), 0)
        + (not soc.core.supports("vdiv", "f16")) * 2 * isinstance(op, nn.SigmoidOp)
        for op in found.epilogue
    )
    kept = sum(_used_later(op.operands[0], op) for op in found.epilogue if op.operands)
    return 2 + 2 * len(full) + temporaries + kept


def is_relu(op: Operation) -> bool:
    """max(x, 0), perhaps with an upper limit: the copy out of L0C does the first part."""
    return isinstance(op, nn.ReluOp) or (isinstance(op, nn.ClipOp) and op.values.get("min") == 0.0)


def vector_passes(found: CubeGroup) -> int:
    """About how many vector instructions each fractal of a tile takes after it has left L0C (a ReLU goes with the copy)."""
    ops = [op for op in found.epilogue if not isinstance(op, nn.ConstantOp | nn.CastOp)]
    fused = bool(ops) and is_relu(ops[0])
    return sum(_PASSES.get(type(op), 1) for op in ops) - fused


class TileOps:
    """Elementwise ops on one f16 tile in UB."""

    def __init__(self, epilogue: Epilogue, tile: Tile, values: dict[SSAValue, Ref]) -> None:
        self.e, self.tile, self.values = epilogue, tile, values
        self.kb = epilogue.kb
        self.repeat = self.kb.mul(self.kb.div(tile.m16, 8), tile.columns)
        self.most = epilogue.s.m * epilogue.s.n * 2

    def emit(self, op: Operation) -> Ref:
        """Emits `op`; the result is written over the tile when nothing needs the old value."""
        handler = _HANDLERS.get(type(op))
        if handler is None:
            raise ValueError(f"no cube epilogue for {op.name}")
        return handler(self, op)

    def target(self, op: Operation) -> Ref:
        """In place when a whole-tile operand dies here, else a fresh buffer."""
        for value in op.operands:
            held = self.values.get(value)
            if held is not None and self.e.operands.get(value) != "channel" and not _used_later(value, op):
                return held
        return self.temporary()

    def temporary(self) -> Ref:
        return self.kb.alloc("ub", self.e.tile_bytes)

    def op(self, mnemonic: str, dst: Ref, *sources: Ref, **values: Index) -> None:
        self.kb.op(
            mnemonic,
            "f16",
            dst,
            *sources,
            repeat=self.repeat,
            limits={"repeat": self.most},
            extents=None,
            **values,
        )

    def scalar(self, mnemonic: str, dst: Ref, source: Ref, number: float) -> None:
        """dst = source ∘ number; by a filled block where the chip lacks the scalar form."""
        if self.kb.soc.core.supports(mnemonic, "f16"):
            self.op(mnemonic, dst, source, scalar=half(number))
            return
        block = self.kb.alloc("ub", UNIT)
        self.kb.op("vector_dup", "f16", block, value=half(number), repeat=1, mask_lo=0xFFFF, mask_hi=0)
        self.op(mnemonic.removesuffix("s"), dst, source, block, src1_blk=0, src1_rep=0)

    def channels(self, mnemonic: str, dst: Ref, source: Ref, vector: Ref, swapped: bool = False) -> None:
        """dst = source ∘ per-channel vector, one instruction per column."""
        kb, s = self.kb, self.e.s
        with kb.loop(self.tile.columns) as column:
            step = kb.linear(0, (kb.mul(column, self.tile.m16), UNIT))
            one = vector + kb.linear(0, (column, UNIT))
            operands = (one, source + step) if swapped else (source + step, one)
            still: dict[str, Index] = (
                {"src0_blk": 0, "src0_rep": 0} if swapped else {"src1_blk": 0, "src1_rep": 0}
            )
            kb.op(
                mnemonic,
                "f16",
                dst + step,
                *operands,
                repeat=kb.div(self.tile.m16, 8),
                limits={"repeat": s.m * 2},
                extents=None,
                **still,
            )


def _before(a: Operation, b: Operation) -> bool:
    return a.is_before_in_block(b)


def _binary(mnemonic: str, scalar_form: str) -> Callable[[TileOps, Operation], Ref]:
    def emit(t: TileOps, op: Operation) -> Ref:
        a, b = op.operands
        numbers = scalar_of(a), scalar_of(b)
        if numbers[1] is None and numbers[0] is not None and mnemonic != "vsub":
            a, b, numbers = b, a, (numbers[1], numbers[0])
        kinds = t.e.operands
        if kinds.get(a) == "channel" and mnemonic != "vsub":
            a, b = b, a
        swapped = kinds.get(a) == "channel"
        dst = t.target(op)
        if numbers[1] is not None:
            t.scalar(scalar_form, dst, t.values[a], -numbers[1] if mnemonic == "vsub" else numbers[1])
        elif numbers[0] is not None:  # scalar - x
            t.scalar("vmuls", dst, t.values[b], -1.0)
            t.scalar("vadds", dst, dst, numbers[0])
        elif swapped:
            t.channels(mnemonic, dst, t.values[b], t.values[a], swapped=True)
        elif kinds.get(b) == "channel":
            t.channels(mnemonic, dst, t.values[a], t.values[b])
        else:
            t.op(mnemonic, dst, t.values[a], t.values[b])
        return dst

    return emit


def _used_later(value: SSAValue, op: Operation) -> bool:
    return any(use.operation is not op and not _before(use.operation, op) for use in value.uses)


def _relu(t: TileOps, op: Operation) -> Ref:
    dst = t.target(op)
    t.op("vrelu", dst, t.values[op.operands[0]])
    return dst


def _clip(t: TileOps, op: Operation) -> Ref:
    assert isinstance(op, nn.ClipOp)
    dst, source = t.target(op), t.values[op.operands[0]]
    low, high = op.values.get("min"), op.values.get("max")
    if t.e.fused_relu and op is t.e.ops[0]:  # the copy out of L0C did it
        low = None
    if isinstance(low, float) and low > -65504:
        if not low:
            t.op("vrelu", dst, source)
        else:
            t.scalar("vmaxs", dst, source, low)
        source = dst
    if isinstance(high, float) and high < 65504:
        t.scalar("vmins", dst, source, high)
        source = dst
    if source.base is not dst.base:
        t.scalar("vadds", dst, source, 0.0)
    return dst


def _leaky_relu(t: TileOps, op: Operation) -> Ref:
    assert isinstance(op, nn.LeakyReluOp)
    alpha = op.alpha.value.data
    source = t.values[op.operands[0]]
    dst = t.target(op)
    if t.kb.soc.core.supports("vlrelu", "f16"):
        t.op("vlrelu", dst, source, scalar=half(alpha))
        return dst
    scaled = t.temporary()
    t.scalar("vmuls", scaled, source, alpha)
    t.op("vmax" if alpha <= 1 else "vmin", dst, source, scaled)
    return dst


def _sigmoid_into(t: TileOps, dst: Ref, source: Ref) -> None:
    """e^min(x, 0) / (1 + e^-|x|): neither exponential overflows f16, and small results keep their relative accuracy."""
    numerator = t.temporary()
    t.scalar("vmins", numerator, source, 0.0)
    t.op("vexp", numerator, numerator)
    t.op("vabs", dst, source)
    t.scalar("vmuls", dst, dst, -1.0)
    t.op("vexp", dst, dst)
    t.scalar("vadds", dst, dst, 1.0)
    if t.kb.soc.core.supports("vdiv", "f16"):
        t.op("vdiv", dst, numerator, dst)
        return
    _reciprocal_into(t, dst)
    t.op("vmul", dst, numerator, dst)


def _gate_into(t: TileOps, dst: Ref, source: Ref) -> None:
    """1 / (1 + e^-x), for a product with x: there an absolute error of 2^-16 does not matter."""
    t.scalar("vmuls", dst, source, -1.0)
    t.op("vexp", dst, dst)
    t.scalar("vadds", dst, dst, 1.0)
    _reciprocal_into(t, dst)


def _reciprocal_into(t: TileOps, dst: Ref) -> None:
    """dst = 1 / dst, with a Newton step where there is no division."""
    if t.kb.soc.core.supports("vdiv", "f16"):
        one = t.kb.alloc("ub", UNIT)
        t.kb.op("vector_dup", "f16", one, value=half(1.0), repeat=1, mask_lo=0xFFFF, mask_hi=0)
        t.op("vdiv", dst, one, dst, src0_blk=0, src0_rep=0)
        return
    guess, error = t.temporary(), t.temporary()
    t.op("vrec", guess, dst)  # r ← r·(2 - d·r)
    t.op("vmul", error, dst, guess)
    t.scalar("vmuls", error, error, -1.0)
    t.scalar("vadds", error, error, 2.0)
    t.op("vmul", dst, guess, error)


def _sigmoid(t: TileOps, op: Operation) -> Ref:
    dst = t.target(op)
    gates = all(
        isinstance(use.operation, nn.MulOp) and op.operands[0] in use.operation.operands
        for use in op.results[0].uses
    )
    (_gate_into if gates else _sigmoid_into)(t, dst, t.values[op.operands[0]])
    return dst


def _hard_sigmoid_into(t: TileOps, dst: Ref, source: Ref, alpha: float, beta: float) -> None:
    t.scalar("vmuls", dst, source, alpha)
    t.scalar("vadds", dst, dst, beta)
    t.op("vrelu", dst, dst)
    t.scalar("vmins", dst, dst, 1.0)


def _hard_sigmoid(t: TileOps, op: Operation) -> Ref:
    assert isinstance(op, nn.HardSigmoidOp)
    dst = t.target(op)
    _hard_sigmoid_into(t, dst, t.values[op.operands[0]], op.alpha.value.data, op.beta.value.data)
    return dst


def _hard_swish(t: TileOps, op: Operation) -> Ref:
    source, gate = t.values[op.operands[0]], t.temporary()
    _hard_sigmoid_into(t, gate, source, 1 / 6, 0.5)
    dst = t.target(op)
    t.op("vmul", dst, source, gate)
    return dst


def _prelu(t: TileOps, op: Operation) -> Ref:
    """max(x, 0) + slope · min(x, 0)."""
    source, negative, dst = t.values[op.operands[0]], t.temporary(), t.target(op)
    t.scalar("vmins", negative, source, 0.0)
    slope = scalar_of(op.operands[1])
    if slope is not None:
        t.scalar("vmuls", negative, negative, slope)
    elif t.e.operands.get(op.operands[1]) == "channel":
        t.channels("vmul", negative, negative, t.values[op.operands[1]])
    else:
        t.op("vmul", negative, negative, t.values[op.operands[1]])
    t.op("vrelu", dst, source)
    t.op("vadd", dst, dst, negative)
    return dst


def _same(t: TileOps, op: Operation) -> Ref:
    return t.values[op.operands[0]]


_HANDLERS: dict[type[Operation], Callable[[TileOps, Operation], Ref]] = {
    nn.AddOp: _binary("vadd", "vadds"),
    nn.SubOp: _binary("vsub", "vadds"),
    nn.MulOp: _binary("vmul", "vmuls"),
    nn.MaxOp: _binary("vmax", "vmaxs"),
    nn.MinOp: _binary("vmin", "vmins"),
    nn.ReluOp: _relu,
    nn.ClipOp: _clip,
    nn.LeakyReluOp: _leaky_relu,
    nn.SigmoidOp: _sigmoid,
    nn.HardSigmoidOp: _hard_sigmoid,
    nn.HardSwishOp: _hard_swish,
    nn.PreluOp: _prelu,
    nn.CastOp: _same,
}

_TEMPORARIES: dict[type[Operation], int] = {
    nn.HardSwishOp: 1,
    nn.PreluOp: 1,
    nn.LeakyReluOp: 1,
    nn.SigmoidOp: 1,
    nn.MulOp: 1,
}

_PASSES: dict[type[Operation], int] = {
    nn.ClipOp: 2,
    nn.SigmoidOp: 9,
    nn.HardSigmoidOp: 4,
    nn.HardSwishOp: 5,
    nn.PreluOp: 4,
    nn.LeakyReluOp: 2,
}

SUPPORTED: tuple[type[Operation], ...] = (*_HANDLERS, nn.ConstantOp)
"""Ops that may stand behind a cube root."""
