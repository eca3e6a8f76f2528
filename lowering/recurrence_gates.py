"""The vector part of a recurrence: from a step's product in UB to its new state.

Lanes stand as [column fractal][sequence][16 columns], dense in f32: a gate is a run of `lanes` of them, so that one
instruction does all gates that are alike.  tanh(x) is 2·σ(2x) - 1: gates of both kinds share the exponential.
"""

from __future__ import annotations

from math import factorial

import numpy as np

from ..runtime.soc import Soc
from .cube_problem import C0, UNIT
from .kernel_builder import KernelBuilder, Ref
from .recurrence_problem import WIDE, RecurrenceProblem

_LANES = 64  # of a repeat of f32
_MOST = 255
_BOUND = 80.0  # e^80 and its reciprocal are numbers in f32
_SQUARED = 8  # how often the polynomial of x / 256 is squared


def single(value: float) -> int:
    """Raw bits of a number as f32."""
    return int(np.array(value, dtype=np.float32).view(np.uint32))


def low_lanes(count: int) -> int:
    """A mask of `count` lanes of 64, as a signed number."""
    bits = (1 << count) - 1
    return bits - (1 << 64) if bits >> 63 else bits


class Gates:
    """Emits the instructions of one step; `rows` sequences at once."""

    def __init__(self, kb: KernelBuilder, problem: RecurrenceProblem, rows: int, soc: Soc) -> None:
        self.kb, self.p, self.rows, self.soc = kb, problem, rows, soc
        self.lanes = problem.h1 * rows * C0
        self.one, self.upper, self.lower = (self._block(value) for value in (1.0, _BOUND, -_BOUND))

    def _block(self, value: float) -> Ref:
        """32 bytes of a number, which stand for a whole operand by strides of 0."""
        block = self.kb.alloc("ub", UNIT)
        self.kb.op("vector_dup", "f32", block, value=single(value), repeat=1, mask_lo=0xFF, mask_hi=0)
        return block

    # ------------------------------------------------------------------ whole runs of lanes
    def each(self, mnemonic: str, dtype: str, count: int, *places: tuple[Ref, int], **values: int) -> None:
        """An instruction over `count` lanes; operands with the bytes that a lane takes in each."""
        whole, rest = divmod(count, _LANES)
        for first in range(0, whole, _MOST):
            refs = [ref + first * _LANES * size for ref, size in places]
            self.kb.op(
                mnemonic, dtype, *refs, limits=None, extents=None, repeat=min(_MOST, whole - first), **values
            )
        if rest:
            refs = [ref + whole * _LANES * size for ref, size in places]
            self.kb.op(
                mnemonic,
                dtype,
                *refs,
                limits=None,
                extents=None,
                repeat=1,
                mask_lo=low_lanes(rest),
                mask_hi=0,
                **values,
            )

    def binary(self, mnemonic: str, dst: Ref, a: Ref, b: Ref, count: int) -> None:
        self.each(mnemonic, "f32", count, (dst, 4), (a, 4), (b, 4))

    def scalar(self, mnemonic: str, dst: Ref, source: Ref, value: float, count: int) -> None:
        self.each(mnemonic, "f32", count, (dst, 4), (source, 4), scalar=single(value))

    def fill(self, dst: Ref, value: float, count: int) -> None:
        self.each("vector_dup", "f32", count, (dst, 4), value=single(value))

    def widen(self, dst: Ref, source: Ref, count: int) -> None:
        """f16 → f32"""
        self.each("vconv", "f162f32", count, (dst, 4), (source, 2), src_rep=4)

    def narrow(self, dst: Ref, source: Ref, count: int) -> None:
        """f32 → f16"""
        self.each("vconv", "f322f16", count, (dst, 2), (source, 4), dst_rep=4)

    def temporary(self, count: int) -> Ref:
        return self.kb.alloc("ub", count * 4)

    # ------------------------------------------------------------------ functions
    def add_product(self, parts: Ref, product: Ref, gates: int) -> None:
        """parts += product of some gates.  A fractal of it has 16 rows of lanes, of which `rows` belong to sequences."""
        for first in range(0, self.rows, 4):
            count = min(4, self.rows - first)
            own, place = parts + first * 2 * UNIT, product + first * 2 * UNIT
            mask = {} if count == 4 else {"mask_lo": low_lanes(count * C0), "mask_hi": 0}
            self.kb.op(
                "vadd", "f32", own, place, own, repeat=gates * self.p.h1, dst_rep=2 * self.rows,
                src0_rep=WIDE // UNIT, src1_rep=2 * self.rows, limits=None, extents=None, **mask,
            )  # fmt: skip

    def exponential(self, x: Ref, count: int) -> None:
        """x ← e^x for x ≤ 80; where the chip has none in f32, a polynomial of x/256, squared eight times."""
        self.each("vmin", "f32", count, (x, 4), (self.upper, 0), (x, 4), src0_blk=0, src0_rep=0)
        if self.soc.core.supports("vexp", "f32"):
            self.each("vexp", "f32", count, (x, 4), (x, 4))
            return
        self.each("vmax", "f32", count, (x, 4), (self.lower, 0), (x, 4), src0_blk=0, src0_rep=0)
        self.scalar("vmuls", x, x, 1.0 / (1 << _SQUARED), count)
        power = self.temporary(count)
        self.scalar("vmuls", power, x, 1 / factorial(6), count)
        for k in range(5, 0, -1):
            self.scalar("vadds", power, power, 1 / factorial(k), count)
            self.binary("vmul", power, power, x, count)
        self.scalar("vadds", x, power, 1.0, count)
        for _ in range(_SQUARED):
            self.binary("vmul", x, x, x, count)

    def inverse(self, x: Ref, count: int) -> None:
        """x ← 1 / x; without a division Newton's steps r ← r·(2 - x·r), from 9 bits to 36."""
        if self.soc.core.supports("vdiv", "f32"):
            self.each("vdiv", "f32", count, (x, 4), (self.one, 0), (x, 4), src0_blk=0, src0_rep=0)
            return
        guess, error = self.temporary(count), self.temporary(count)
        self.each("vrec", "f32", count, (guess, 4), (x, 4))
        for _ in range(2):
            self.binary("vmul", error, x, guess, count)
            self.scalar("vmuls", error, error, -1.0, count)
            self.scalar("vadds", error, error, 2.0, count)
            self.binary("vmul", guess, guess, error, count)
        self.scalar("vmuls", x, guess, 1.0, count)

    def activate(self, x: Ref, logistic: int, tanh: int) -> None:
        """In place: σ of the first `logistic` lanes, tanh of the `tanh` lanes behind them."""
        behind = x + logistic * 4
        if logistic:
            self.scalar("vmuls", x, x, -1.0, logistic)
        if tanh:
            self.scalar("vmuls", behind, behind, -2.0, tanh)
        self.exponential(x, logistic + tanh)
        self.scalar("vadds", x, x, 1.0, logistic + tanh)
        self.inverse(x, logistic + tanh)
        if tanh:
            self.scalar("vmuls", behind, behind, 2.0, tanh)
            self.scalar("vadds", behind, behind, -1.0, tanh)

    # ------------------------------------------------------------------ steps
    def step(self, parts: Ref, product: Ref, state: Ref, cell: Ref) -> None:
        """state ← h of this step, cell ← c; parts (f32) are overwritten."""
        match self.p.kind:
            case "lstm":
                self.add_product(parts, product, 4)
                self._lstm(parts, state, cell)
            case "gru":
                self.add_product(parts, product, 2)
                self.add_product(parts + 3 * self.lanes * 4, product + 2 * self.p.h1 * WIDE, 1)
                self._gru(parts, state)
            case _:
                self.add_product(parts, product, 1)
                self.activate(parts, 0, self.lanes)
                self.scalar("vmuls", state, parts, 1.0, self.lanes)

    def _lstm(self, gates: Ref, state: Ref, cell: Ref) -> None:
        """Gates i, o, f, c."""
        n = self.lanes
        enter, leave, keep, new = (gates + i * n * 4 for i in range(4))
        self.activate(gates, 3 * n, n)
        self.binary("vmul", new, new, enter, n)
        self.binary("vmul", cell, cell, keep, n)
        self.binary("vadd", cell, cell, new, n)
        self.scalar("vmuls", new, cell, 1.0, n)
        self.activate(new, 0, n)
        self.binary("vmul", state, leave, new, n)

    def _gru(self, gates: Ref, state: Ref) -> None:
        """Gates z, r; the part of h, and its product with the bias: new = tanh(part + r·product); h = new + z·(h - new)."""
        n = self.lanes
        update, reset, new, inner = (gates + i * n * 4 for i in range(4))
        self.activate(gates, 2 * n, 0)
        self.binary("vmul", inner, inner, reset, n)
        self.binary("vadd", new, new, inner, n)
        self.activate(new, 0, n)
        self.binary("vsub", state, state, new, n)
        self.binary("vmul", state, state, update, n)
        self.binary("vadd", state, state, new, n)
