"""The vector part of an attention kernel: from scores in L0C to probabilities in f16, and the result's last division.

The scores stand transposed, keys × query rows, in the order of FRACTAL_NZ: a fractal column holds 16 query rows as lanes,
one row of 64 bytes (f32) per key.

    [query fractal][key][16 query rows]

So the softmax runs over *rows* of lanes: a maximum is `vmax` of whole repeats onto one repeat (four keys), the largest is
subtracted with a repeat stride of 0, and no lane ever meets another.  Keys that are padding are left out of the maximum;
what the exponential makes of them is multiplied by values, and by ones, that are zero there.
"""

from __future__ import annotations

import numpy as np

from ..dialects.nn_roots import HIDDEN
from ..runtime.soc import Soc
from .attention_problem import AttentionProblem
from .attention_schedule import AttentionSchedule
from .cube_problem import FRACTAL, UNIT
from .kernel_builder import Index, KernelBuilder, Linear, Ref

WIDE = 2 * FRACTAL  # bytes of a fractal of f32
REPEAT = 256  # bytes of an operand that one repeat reads
_LEAST = -3.4e38  # below every score
_TINY = 1e-30  # a sum of probabilities is 1 at least, or 0 where no key is seen
_MOST = 255
_ONE = 0x3C00  # 1.0 in f16


def single(value: float) -> int:
    """Raw bits of a number as f32."""
    return int(np.array(value, dtype=np.float32).view(np.uint32))


class Softmax:
    """Emits instructions for one block of query rows; `q` below is how many fractals of them there are."""

    def __init__(
        self, kb: KernelBuilder, problem: AttentionProblem, schedule: AttentionSchedule, soc: Soc
    ) -> None:
        self.kb, self.p, self.s, self.soc = kb, problem, schedule, soc

    # ------------------------------------------------------------------ whole tiles
    def _whole(
        self, mnemonic: str, dtype: str, q: Index, keys: Index, *operands: tuple[Ref, int], **values: Index
    ) -> None:
        """An instruction over [q][keys] fractals; operands with the bytes that a fractal takes in each."""
        kb, s = self.kb, self.s
        per = max(1, _MOST // (s.k * 4))  # query fractals that one instruction can do
        for part in kb.few(1 if s.q <= per else kb.ceil_div(q, per)):
            count = q if s.q <= per else kb.min(per, kb.sub(q, kb.mul(part, per)))
            first = kb.mul(part, per)
            places = [base + self._fractals(first, keys, size) for base, size in operands]
            kb.op(
                mnemonic, dtype, *places, repeat=self._product(kb.mul(count, 4), keys),
                limits={"repeat": min(per, s.q) * s.k * 4}, extents=None, **values,
            )  # fmt: skip

    def _product(self, a: Index, b: Index) -> Index:
        return (
            self.kb.mul(a, b)
            if isinstance(a, int) or isinstance(b, int)
            else self.kb.mul(self.kb.value(a), self.kb.value(b))
        )

    def _fractals(self, first: Index, keys: Index, size: int) -> Linear:
        """Byte offset of a query fractal."""
        kb = self.kb
        if isinstance(keys, int):
            return kb.linear(0, (first, keys * size))
        return kb.linear(0, (self._product(first, keys), size))

    # ------------------------------------------------------------------ scores
    def mask(self, scores: Ref, mask: Ref, q: Index, keys: Index) -> None:
        """scores · scale + mask, f32."""
        self._scale(scores, q, keys)
        self._whole("vaxpy", "f32f16f16", q, keys, (scores, WIDE), (mask, FRACTAL), scalar=_ONE, src_rep=4)
        if not self.p.zero_empty:  # hidden keys alike: a query that sees none gets equal shares of all
            bound = self._number(2 * HIDDEN)
            self._whole(
                "vmax", "f32", q, keys, (scores, WIDE), (scores, WIDE), (bound, 0), src1_blk=0, src1_rep=0,
            )  # fmt: skip

    def _scale(self, scores: Ref, q: Index, keys: Index) -> None:
        if self.p.scale != 1.0:
            self._whole("vmuls", "f32", q, keys, (scores, WIDE), (scores, WIDE), scalar=single(self.p.scale))

    def _number(self, value: float) -> Ref:
        """A block of one number."""
        block = self.kb.alloc("ub", UNIT)
        self.kb.op("vector_dup", "f32", block, value=single(value), repeat=1, mask_lo=0xFF, mask_hi=0)
        return block

    def begin_maximum(self, q: Index) -> Ref:
        """Four rows of lanes per query fractal, below every score; with `zero_empty` above those of hidden keys, which
        then are 0 behind the exponential."""
        kb, s = self.kb, self.s
        largest = kb.alloc("ub", s.q * REPEAT)
        kb.op(
            "vector_dup",
            "f32",
            largest,
            value=single(HIDDEN if self.p.zero_empty else _LEAST),
            repeat=q,
            limits={"repeat": s.q},
        )
        return largest

    def take_maximum(self, largest: Ref, scores: Ref, q: Index, keys: Index, last: Index) -> None:
        """Onto four rows: the maximum over the real keys of a tile of `keys` fractals; `last` says that it ends the keys."""
        kb, s = self.kb, self.s
        missing = (-self.p.keys) % 16
        whole: Index = kb.mul(keys, 4)
        rest = (16 - missing) % 4 if missing else 0
        if missing:
            whole = kb.sub(whole, kb.mul(last, (missing + 3) // 4))
        for i in kb.few(q):
            own, column = largest + kb.linear(0, (i, REPEAT)), scores + self._fractals(i, keys, WIDE)
            kb.op(
                "vmax", "f32", own, column, own, repeat=whole, dst_rep=0, src1_rep=0, limits={"repeat": s.k * 4},
            )  # fmt: skip
            if not rest:
                continue
            place = column + (kb.linear(0, (whole, REPEAT)))
            kb.op(
                "vmax", "f32", own, place, own, repeat=last, dst_rep=0, src1_rep=0, mask_lo=(1 << 16 * rest) - 1, mask_hi=0,
                limits={"repeat": 1},
            )  # fmt: skip

    def end_maximum(self, largest: Ref, q: Index) -> Ref:
        """The maximum of the four rows, in all four of them; of scores without a mask, which are scaled later, scaled."""
        kb, s = self.kb, self.s
        factor = self.p.scale if self.p.mask_strides is None else 1.0
        for rows in (2, 1):
            kb.op(
                "vmax", "f32", largest, largest, largest + rows * 2 * UNIT, repeat=q, mask_lo=(1 << 16 * rows) - 1, mask_hi=0,
                limits={"repeat": s.q},
            )  # fmt: skip
        spread = kb.alloc("ub", s.q * REPEAT)
        for half in range(2):  # a row is two blocks: one of them into four rows at a time
            kb.op(
                "vmuls", "f32", spread + half * UNIT, largest + half * UNIT, scalar=single(factor), repeat=q, dst_blk=2,
                src_blk=0, mask_lo=(1 << 32) - 1, mask_hi=0, limits={"repeat": s.q},
            )  # fmt: skip
        return spread

    def probabilities(self, scores: Ref, largest: Ref, q: Index, keys: Index) -> Ref:
        """e^(score - largest) in f16, at most 1: divided by their sum at the end."""
        kb, s = self.kb, self.s
        if self.p.mask_strides is None:
            self._scale(scores, q, keys)
        for i in kb.few(q):
            column = scores + self._fractals(i, keys, WIDE)
            kb.op(
                "vsub", "f32", column, column, largest + kb.linear(0, (i, REPEAT)), repeat=kb.mul(keys, 4), src1_rep=0,
                limits={"repeat": s.k * 4},
            )  # fmt: skip
        powers = kb.alloc("ub", s.q * s.k * FRACTAL)
        if self.soc.core.supports("vexp", "f32"):
            self._whole("vexp", "f32", q, keys, (scores, WIDE), (scores, WIDE))
        self._whole("vconv", "f322f16", q, keys, (powers, FRACTAL), (scores, WIDE), dst_rep=4)
        if not self.soc.core.supports("vexp", "f32"):
            self._halves("vexp", q, keys, powers)
        return powers

    def _halves(self, mnemonic: str, q: Index, keys: Index, tile: Ref) -> None:
        """An f16 instruction in place: two repeats a fractal."""
        kb, s = self.kb, self.s
        for i in kb.few(q):
            own = tile + self._fractals(i, keys, FRACTAL)
            kb.op(mnemonic, "f16", own, own, repeat=kb.mul(keys, 2), limits={"repeat": s.k * 2})

    # ------------------------------------------------------------------ result
    def divide(self, result: Ref, sums: Ref, q: Index) -> None:
        """result[value column][query row] /= sum of the row, which stands in all 16 lanes of `sums`."""
        kb, s = self.kb, self.s
        limits = {"repeat": s.q * 4}
        repeat = kb.mul(q, 4)
        if self.p.zero_empty:
            kb.op("vadds", "f32", sums, sums, scalar=single(_TINY), repeat=repeat, limits=limits)
        if self.soc.core.supports("vdiv", "f32"):
            kb.op(
                "vdiv",
                "f32",
                sums,
                self._number(1.0),
                sums,
                repeat=repeat,
                src0_blk=0,
                src0_rep=0,
                limits=limits,
            )
            inverse = sums
        else:
            inverse = self._reciprocal(sums, repeat, limits)
        for column in range(self.p.e1):
            own = result + kb.linear(0, (q, column * WIDE))
            kb.op("vmul", "f32", own, own, inverse, repeat=repeat, limits=limits)

    def _reciprocal(self, sums: Ref, repeat: Index, limits: dict[str, int]) -> Ref:
        """1 / sums by Newton's steps r ← r·(2 - d·r) from 9 bits to 36."""
        kb, s = self.kb, self.s
        guess, error = kb.alloc("ub", s.q * WIDE), kb.alloc("ub", s.q * WIDE)
        kb.op("vrec", "f32", guess, sums, repeat=repeat, limits=limits)
        for _ in range(2):
            kb.op("vmul", "f32", error, sums, guess, repeat=repeat, limits=limits)
            kb.op("vmuls", "f32", error, error, scalar=single(-1.0), repeat=repeat, limits=limits)
            kb.op("vadds", "f32", error, error, scalar=single(2.0), repeat=repeat, limits=limits)
            kb.op("vmul", "f32", guess, guess, error, repeat=repeat, limits=limits)
        return guess
