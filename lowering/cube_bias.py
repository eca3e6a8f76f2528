"""The bias of a cube kernel as one more step of the product: ones times the bias.

A tile's accumulator begins as A₁ · B₁, where A₁ is two columns of ones and B₁ two rows of f16 numbers whose sum is the
f32 bias to 22 bits: the rounded bias and what the rounding left.  Broadcasting the bias into L0C would be the vector
unit's work; that unit runs in order, so the broadcast for the next tile would stand behind the epilogue of this one and
the cube would wait for both.  As a product the bias costs the cube m·n fractals per tile and the vector unit nothing.

    terms: GM → L1, one fractal [k][n] per 16 channels (rows 2 … 15 of k stay undefined: k = 2), L1 → L0B with transpose;
    the ones are made in L0A by `set_2d`, once per kernel.

A constant bias is stored in terms (`ascend-split-bias`).  One that is computed at run time comes as f32: GM → UB, split by
the vector unit, UB → L1.
"""

from __future__ import annotations

import numpy as np

from .cube_problem import FRACTAL, UNIT
from .kernel_builder import Index, KernelBuilder, Ref

TERMS = 2  # f16 numbers whose sum is the bias: 22 bits, the result keeps 11
_PLANES = 255  # planes split at a time: repeats of one instruction
_F32 = 2 * UNIT  # bytes of the f32 bias of one plane (16 channels)
_SPLIT = TERMS * UNIT  # bytes of its terms
_ONE = int(np.array(1.0, np.float16).view(np.uint16))
_LANES = 0xFFFF  # 16 lanes per repeat: one plane


def bias_bytes(planes: int, *, in_terms: bool) -> dict[str, int]:
    """On-chip bytes that a core needs for the bias of `planes` planes, but for L0."""
    return {"l1": planes * FRACTAL, "ub": 0 if in_terms else min(planes, _PLANES) * (2 * _F32 + _SPLIT)}


class CubeBias:
    """The bias of the planes that one core computes, stored in terms."""

    def __init__(self, kb: KernelBuilder, bias: Ref, m: int, most: int) -> None:
        """`m`: fractals of rows of a tile; `most`: planes of one core at most."""
        self.kb = kb
        self.bias = bias
        self.ones = kb.alloc("l0a", m * FRACTAL)
        kb.op("set_2d", "f16", self.ones, value=_ONE, repeat=m)
        self.fractals = kb.alloc("l1", most * FRACTAL)
        self.most = most

    def fetch(self, first: Index, planes: Index) -> None:
        """Asks GM for planes [first, first + planes): before the loads that take longer."""
        source = self.bias + self.kb.linear(0, (first, _SPLIT))
        self.kb.op(
            "copy_gm_to_cbuf", "", self.fractals, source, bursts=planes, length=TERMS, dst_gap=16 - TERMS, limits={"bursts": self.most},
        )  # fmt: skip

    def split(self) -> None:
        """Makes fractals in L1 of what was fetched: they are there."""

    def load(self, first: Index, planes: Index, most: int, depth: int) -> Ref:
        """Fractals [first, first + planes) of this core in L0B."""
        kb = self.kb
        buffer = kb.alloc("l0b", most * FRACTAL, depth)
        source = self.fractals + kb.linear(0, (first, FRACTAL))
        kb.op("load2d", "f16", buffer, source, repeat=planes, transpose=1, limits={"repeat": most})
        return buffer

    def begin(self, accumulator: Ref, loaded: Ref, m: Index, planes: Index, most: tuple[int, int]) -> None:
        """The accumulator of `m` rows × `planes` columns begins at the bias; `most`: fractals of both."""
        kb = self.kb
        kb.op(
            "mad", "f32f16f16", accumulator, self.ones, loaded, m=m, k=TERMS, n=kb.mul(planes, 16), init=1,
            limits={"m": most[0] * 16, "n": most[1] * 16},
        )  # fmt: skip


class WideBias(CubeBias):
    """The same for a bias in f32: the vector unit splits it."""

    def __init__(self, kb: KernelBuilder, bias: Ref, m: int, most: int) -> None:
        super().__init__(kb, bias, m, most)
        self.wide = kb.alloc("ub", min(most, _PLANES) * _F32)

    def fetch(self, first: Index, planes: Index) -> None:
        """GM → UB of planes [first, first + planes), if they are split at once."""
        self.first, self.planes = first, planes
        if self.most <= _PLANES:
            self._copy(first, planes)

    def _copy(self, first: Index, count: Index) -> None:
        self.kb.op(
            "copy_gm_to_ubuf", "", self.wide, self.bias + self.kb.linear(0, (first, _F32)), bursts=1,
            length=self.kb.mul(count, 2), limits={"length": 2 * min(self.most, _PLANES)},
        )  # fmt: skip

    def split(self) -> None:
        """What was fetched → fractals in L1; at most 255 planes at a time."""
        kb, most, planes = self.kb, min(self.most, _PLANES), self.planes
        chunks = kb.ceil_div(planes, _PLANES) if self.most > _PLANES else 1
        with kb.loop(chunks) as chunk:
            done = kb.mul(chunk, _PLANES)
            count = kb.min(_PLANES, kb.sub(planes, done)) if self.most > _PLANES else planes
            wide, back, split = self.wide, kb.alloc("ub", most * _F32), kb.alloc("ub", most * _SPLIT)
            if self.most > _PLANES:
                self._copy(kb.add(self.first, done), count)
            for term in range(TERMS):
                if term:
                    self._vector("vconv", "f162f32", count, back, split + (term - 1) * UNIT)
                    self._vector("vsub", "f32", count, wide, wide, back)
                self._vector("vconv", "f322f16", count, split + term * UNIT, wide)
            kb.op(
                "copy_ubuf_to_cbuf", "", self.fractals + kb.linear(0, (done, FRACTAL)), split, bursts=count, length=TERMS,
                dst_gap=16 - TERMS, limits={"bursts": most},
            )  # fmt: skip

    def _vector(self, mnemonic: str, dtype: str, count: Index, *operands: Ref) -> None:
        """One instruction with a plane per repeat, 16 lanes: f32 planes are 64 bytes apart, those of terms 96."""
        names = ("dst", "src") if len(operands) == 2 else ("dst", "src0", "src1")
        types = {
            "dst": dtype[-3:],
            "src": dtype[:3],
            "src0": "f32",
            "src1": "f32",
        }  # f322f16: from f32 to f16
        steps: dict[str, Index] = {
            f"{name}_rep": (_F32 if types[name] == "f32" else _SPLIT) // UNIT for name in names
        }
        self.kb.op(
            mnemonic, dtype, *operands, repeat=count, mask_lo=_LANES, mask_hi=0, limits={"repeat": min(self.most, _PLANES)},
            extents=None, **steps,
        )  # fmt: skip
