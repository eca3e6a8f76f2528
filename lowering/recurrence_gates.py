"""The vector part of a recurrence: from a step's product in UB to its new state.

Lanes stand as [column fractal][sequence][16 columns], dense in f32: a gate is a run of `lanes` of them, so that one
instruction does all gates that are alike; σ and tanh share the exponential.  A step waits for each of its instructions,
so what need not wait for the product is done before it.
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
    def negate(self, parts: Ref, logistic: int, tanh: int) -> None:
        """What e^-x of σ and e^-2x of tanh need of the parts, before the product is there: -x and -2·x."""
        if logistic:
            self.scalar("vmuls", parts, parts, -1.0, logistic)
        if tanh:
            self.scalar("vmuls", parts + logistic * 4, parts + logistic * 4, -2.0, tanh)

    def add_product(self, parts: Ref, product: Ref, gates: int, factor: float = 1.0) -> None:
        """parts += factor · product of some gates.

        A fractal of it has 16 rows of lanes, of which `rows` belong to sequences: four rows are a repeat.
        """
        inside, outside = {"rep": 2 * self.rows}, {"rep": WIDE // UNIT}
        for first in range(0, self.rows, 4):
            count = min(4, self.rows - first)
            own, place = parts + first * 2 * UNIT, product + first * 2 * UNIT
            lanes = {"mask_lo": low_lanes(count * C0), "mask_hi": 0} if count * C0 < _LANES else {}
            steps = {"repeat": gates * self.p.h1, "dst_rep": inside["rep"]}
            if factor in (1.0, -1.0):
                steps |= {"src0_rep": inside["rep"], "src1_rep": outside["rep"]}
                self.kb.op(
                    "vadd" if factor > 0 else "vsub",
                    "f32",
                    own,
                    own,
                    place,
                    limits=None,
                    extents=None,
                    **steps,
                    **lanes,
                )
            else:
                steps |= {"src_rep": outside["rep"], "scalar": single(factor)}
                self.kb.op("vaxpy", "f32", own, place, limits=None, extents=None, **steps, **lanes)

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

    def divide(self, dst: Ref, above: Ref | None, below: Ref, count: int) -> None:
        """dst ← above / below, or 1 / below; without a division Newton's steps r ← r·(2 - below·r), from 9 bits to 36."""
        if self.soc.core.supports("vdiv", "f32"):
            if above is None:
                self.each("vdiv", "f32", count, (dst, 4), (self.one, 0), (below, 4), src0_blk=0, src0_rep=0)
            else:
                self.binary("vdiv", dst, above, below, count)
            return
        guess, error = self.temporary(count), self.temporary(count)
        self.each("vrec", "f32", count, (guess, 4), (below, 4))
        for _ in range(2):
            self.binary("vmul", error, below, guess, count)
            self.scalar("vmuls", error, error, -1.0, count)
            self.scalar("vadds", error, error, 2.0, count)
            self.binary("vmul", guess, guess, error, count)
        if above is None:
            self.scalar("vmuls", dst, guess, 1.0, count)
        else:
            self.binary("vmul", dst, above, guess, count)

    def activate(self, x: Ref, logistic: int, tanh: int) -> None:
        """In place: σ(x) = 1 / (1 + e) of the first `logistic` lanes, which hold -x, e = e^-x; tanh(x) = (1 - e) / (1 + e)
        of the `tanh` lanes behind them, which hold -2·x, e = e^-2x."""
        count, behind = logistic + tanh, x + logistic * 4
        self.exponential(x, count)
        below = self.temporary(count)
        self.scalar("vadds", below, x, 1.0, count)
        if tanh:
            self.each("vsub", "f32", tanh, (behind, 4), (self.one, 0), (behind, 4), src0_blk=0, src0_rep=0)
        if logistic:
            self.divide(x, None, below, logistic)
        if tanh:
            self.divide(behind, behind, below + logistic * 4, tanh)

    # ------------------------------------------------------------------ steps
    def prepare(self, parts: Ref) -> None:
        """What can be done to the parts (f32) of a step before the one in front of it is finished."""
        n = self.lanes
        self.negate(
            parts,
            *{"lstm": (3 * n, n), "gru": (2 * n, n), "reset_gru": (2 * n, n), "rnn": (0, n)}[self.p.kind],
        )

    def step(self, parts: Ref, product: Ref, state: Ref, cell: Ref) -> None:
        """state ← h of this step, cell ← c; prepared parts are overwritten."""
        gate = self.p.h1 * WIDE  # bytes of the product
        n = self.lanes
        match self.p.kind:
            case "lstm":
                self.add_product(parts, product, 3, -1.0)
                self.add_product(parts + 3 * n * 4, product + 3 * gate, 1, -2.0)
                self._lstm(parts, state, cell)
            case "gru":
                self.add_product(parts, product, 2, -1.0)
                self.add_product(parts + 3 * n * 4, product + 2 * gate, 1)
                self._gru(parts, state)
            case _:
                self.add_product(parts, product, 1, -2.0)
                self.activate(parts, 0, n)
                self.scalar("vmuls", state, parts, 1.0, n)

    def _lstm(self, gates: Ref, state: Ref, cell: Ref) -> None:
        """Gates i, o, f, c."""
        n = self.lanes
        enter, leave, keep, new = (gates + i * n * 4 for i in range(4))
        self.activate(gates, 3 * n, n)
        self.binary("vmul", cell, cell, keep, n)
        self.binary("vmul", new, new, enter, n)
        self.binary("vadd", cell, cell, new, n)
        self.scalar("vmuls", new, cell, -2.0, n)
        self.activate(new, 0, n)
        self.binary("vmul", state, leave, new, n)

    def _gru(self, gates: Ref, state: Ref) -> None:
        """Gates z, r; the part of h, and its product with the bias: new = tanh(part + r·product)."""
        n = self.lanes
        update, reset, new, inner = (gates + i * n * 4 for i in range(4))
        self.activate(gates, 2 * n, 0)
        self.binary("vmul", inner, inner, reset, n)
        self.each("vaxpy", "f32", n, (new, 4), (inner, 4), scalar=single(-2.0))
        self._mix(update, new, state)

    def reset(self, parts: Ref, product: Ref, state: Ref) -> Ref:
        """r · h in f16, for the product of the last gate; z is left in the parts."""
        n = self.lanes
        self.add_product(parts, product, 2, -1.0)
        self.activate(parts, 2 * n, 0)
        gated, half = self.temporary(n), self.kb.alloc("ub", n * 2)
        self.binary("vmul", gated, parts + n * 4, state, n)
        self.narrow(half, gated, n)
        return half

    def finish_reset(self, parts: Ref, product: Ref, state: Ref) -> None:
        """The rest of such a step, with that product."""
        new = parts + 2 * self.lanes * 4
        self.add_product(new, product, 1, -2.0)
        self._mix(parts, new, state)

    def _mix(self, update: Ref, new: Ref, state: Ref) -> None:
        """new ← tanh, state ← new + z·(state - new)"""
        n = self.lanes
        self.activate(new, 0, n)
        self.binary("vsub", state, state, new, n)
        self.binary("vmul", state, state, update, n)
        self.binary("vadd", state, state, new, n)
