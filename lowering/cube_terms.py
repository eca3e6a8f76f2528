"""What follows the cube when the result is kept in two terms (`nn_terms`): all of it in f32, and no rounding but the last.

The accumulator comes to UB as it is, f32 in the order [columns][m16][16]. A residual arrives as its two terms,
which are added one after the other. Then h = f16(x) and l = f16(x - h), and three stores: planes of h, of l and of
h again. Channels are whole blocks, so there are no padding lanes; the rows of FRACTAL_NZ do not occur (only
convolutions are split).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.ir import Operation

from ..dialects import nn
from .cube_problem import UNIT, CubeGroup
from .kernel_builder import Index, Linear, Ref

if TYPE_CHECKING:
    from .cube_epilogue import Epilogue
    from .cube_tile import Tile

SUPPORTED: tuple[type[Operation], ...] = (nn.AddTermsOp, nn.ReluOp, nn.ToTermsOp)
"""Ops on f32 behind a convolution."""
_NARROW, _WIDE = {"dst_rep": 4, "src_rep": 8}, {"dst_rep": 8, "src_rep": 4}
"""Strides of conversions, in blocks: 64 lanes are 256 bytes of f32 and 128 of f16."""


def in_terms(found: CubeGroup) -> bool:
    """Whether the group's result is stored in terms."""
    return any(isinstance(op, nn.ToTermsOp) for op in found.epilogue)


def ub_tiles(found: CubeGroup) -> int:
    """f16 tiles that live in UB at once: a ring of two for each term, two f32 tiles, two terms per residual."""
    return 2 * 2 + 2 * 2 + 2 * 2 * sum(isinstance(op, nn.AddTermsOp) for op in found.epilogue)


class TermsEpilogue:
    """Emits the vector part of a cube kernel whose result is in terms."""

    def __init__(self, epilogue: Epilogue) -> None:
        self.e, self.kb = epilogue, epilogue.kb
        self.loaded: dict[Operation, tuple[Ref, Ref]] = {}

    def _term(self, number: int) -> int:
        """Byte offset of a term's planes in a tensor of the result's shape."""
        p = self.e.p
        return number * p.c_planes * p.c_plane * UNIT

    def prefetch(self, tile: Tile, offset: Linear) -> None:
        """Loads the terms of residuals, before the cube work of the tile."""
        e = self.e
        for op in e.ops:
            if isinstance(op, nn.AddTermsOp):
                source = e.arguments[op.rhs] + offset
                pair = self.kb.alloc("ub", e.tile_bytes, depth=2), self.kb.alloc("ub", e.tile_bytes, depth=2)
                for number, buffer in enumerate(pair):
                    e.copy_planes("copy_gm_to_ubuf", buffer, source + self._term(number), tile, load=True)
                self.loaded[op] = pair

    def finish(self, tile: Tile, accumulator: Ref, target: Ref) -> None:
        """L0C → UB in f32, the ops, two roundings to f16, UB → GM."""
        e, kb, s = self.e, self.kb, self.e.s
        fractals = kb.mul(kb.div(tile.m16, 16), tile.columns)
        self.repeat, self.most = kb.mul(fractals, 4), s.m * s.n * 4
        wide, part = (kb.alloc("ub", 2 * e.tile_bytes) for _ in range(2))
        kb.op(
            "copy_matrix_cc_to_ubuf", "f32", wide, accumulator, bursts=1, length=fractals, relu=int(e.fused_relu),
            limits={"length": s.m * s.n},
        )  # fmt: skip
        for op in e.ops[1:] if e.fused_relu else e.ops:
            kb.body_op = e.numbers[op]
            if isinstance(op, nn.AddTermsOp):
                self._add(wide, part, self.loaded[op], tile)
            elif isinstance(op, nn.ReluOp):
                self._relu(wide)
        high, low = (kb.alloc("ub", e.tile_bytes, depth=2) for _ in range(2))
        self._op("vconv", "f322f16", high, wide, **_NARROW)
        self._op("vconv", "f162f32", part, high, **_WIDE)
        self._op("vsub", "f32", wide, wide, part)
        self._op("vconv", "f322f16", low, wide, **_NARROW)
        for number, term in enumerate((high, low, high)):
            e.copy_planes("copy_ubuf_to_gm", term, target + self._term(number), tile, load=False)
        kb.body_op = e.numbers[e.found.root]

    def _op(self, mnemonic: str, dtype: str, *operands: Ref, **values: Index) -> None:
        self.kb.op(
            mnemonic,
            dtype,
            *operands,
            repeat=self.repeat,
            limits={"repeat": self.most},
            extents=None,
            **values,
        )

    def _add(self, wide: Ref, part: Ref, terms: tuple[Ref, Ref], tile: Tile) -> None:
        for term in terms:
            self.e.zero_surplus(term, tile)
            self._op("vconv", "f162f32", part, term, **_WIDE)
            self._op("vadd", "f32", wide, wide, part)

    def _relu(self, wide: Ref) -> None:
        if self.kb.soc.core.supports("vrelu", "f32"):
            self._op("vrelu", "f32", wide, wide)
            return
        zero = self.kb.alloc("ub", UNIT)
        self.kb.op("vector_dup", "f32", zero, value=0, repeat=1, mask_lo=0xFF, mask_hi=0)
        self._op("vmax", "f32", wide, wide, zero, src1_blk=0, src1_rep=0)
