"""What one step of a cube kernel loads into L0A and L0B: img2col of a slab of A, fractals of weights (MTE1)."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.soc import Soc
from .cube_problem import FRACTAL, UNIT, CubeProblem
from .cube_schedule import CubeSchedule
from .cube_tile import Slab, Tile
from .kernel_builder import Index, KernelBuilder, Ref


@dataclass(frozen=True)
class StepLoads:
    """`width`: positions between output rows in L0; `most_units`: units of 32 bytes in one plane of a slab at most."""

    kb: KernelBuilder
    p: CubeProblem
    s: CubeSchedule
    soc: Soc
    width: int
    most_units: int

    def a(self, a0: Ref, piece: Ref, slab: Slab, tile: Tile, k0: Index, k: Index, k_total: Index) -> None:
        """k fractals of A from k0 on, of the rows of the tile, L1 → L0A; `piece` holds k_total of them."""
        kb, s, p, window = self.kb, self.s, self.p, self.p.window
        if p.a_transposed:
            for row in kb.few(kb.div(tile.m16, 16)):
                line = kb.add(kb.div(tile.m0, 16), row)
                source = piece + kb.scaled(line, k_total, FRACTAL) + kb.linear(0, (k0, FRACTAL))
                kb.op(
                    "load2d", "f16", a0 + kb.scaled(row, k, FRACTAL), source, repeat=k, transpose=1, limits={"repeat": s.k},
                )  # fmt: skip
            return
        most_planes = p.k1 if slab.buffer is not None else s.k_piece // window.taps
        channels: Index = p.k1 * 16 if slab.buffer is not None else kb.mul(kb.div(k_total, window.taps), 16)
        common: dict[str, Index] = {
            "stride_w": window.stride_w, "stride_h": window.stride_h, "filter_w": window.kw, "filter_h": window.kh,
            "dilation_w": window.dilation_w, "dilation_h": window.dilation_h, "fm_width": slab.width, "fm_height": slab.in_rows,
            "pad_left": slab.pad_left, "pad_right": self._pad_right() if slab.pad_right is None else slab.pad_right,
            "pad_top": slab.pad_top, "pad_bottom": slab.pad_bottom,
        }  # fmt: skip
        reach = self.most_units * most_planes * UNIT
        if self.soc.core.supports("load3d", "f16"):
            if s.strip:
                self._by_strips(
                    a0,
                    piece,
                    slab,
                    tile,
                    kb.mul(k, 16),
                    kb.mul(k0, 16),
                    common | {"channels": channels},
                    reach,
                )
                return
            kb.op(
                "load3d", "f16", a0, piece, m_extent=tile.m16, m_start=tile.m0, k_extent=kb.mul(k, 16), k_start=kb.mul(k0, 16),
                channels=channels, limits=None, extents=(s.m * s.k * FRACTAL, reach), **common,
            )  # fmt: skip
            return
        self._by_rows(a0, piece, tile, k0, k, common, reach)

    def _pad_right(self) -> int:
        """Columns of padding that make an output row as long as the pitch: its surplus positions read padding."""
        window, p = self.p.window, self.p
        if not self.s.pitch:
            return window.right
        reach = (window.kw - 1) * window.dilation_w + 1
        return max(0, (self.width - 1) * window.stride_w + reach - p.width - window.left)

    def _by_strips(
        self,
        a0: Ref,
        piece: Ref,
        slab: Slab,
        tile: Tile,
        k: Index,
        k0: Index,
        common: dict[str, Index],
        reach: int,
    ) -> None:
        """One img2col per strip of output rows; a last strip that is cut reads padding below the image."""
        kb, s = self.kb, self.s
        positions = s.strip * self.width
        whole = s.rows * self.width <= s.m * 16  # the tile is its slab
        strips = kb.ceil_div(slab.rows, s.strip) if whole else kb.div(tile.m, positions)
        for strip in kb.few(1 if s.m * 16 == positions else strips):
            kb.op(
                "load3d", "f16", a0 + kb.scaled(strip, k, positions * UNIT // 16), piece, m_extent=positions,
                m_start=kb.add(tile.m0, kb.mul(strip, positions)), k_extent=k, k_start=k0, limits=None,
                extents=(s.k * positions * UNIT, reach), **common,
            )  # fmt: skip

    def _by_rows(
        self, a0: Ref, piece: Ref, tile: Tile, k0: Index, k: Index, common: dict[str, Index], reach: int
    ) -> None:
        """load3d version 1: sixteen output positions per instruction, filter taps by repeat."""
        kb, s, window = self.kb, self.s, self.p.window
        c1, tap = kb.div(k0, window.taps), kb.rem(k0, window.taps)
        fetch_h, fetch_w = kb.div(tap, window.kw), kb.rem(tap, window.kw)
        for row in kb.few(kb.div(tile.m16, 16)):
            position = kb.add(tile.m0, kb.mul(row, 16))
            if window.is_point:
                left, up = position, 0
            elif self.p.is_line:
                left, up = kb.sub(kb.mul(position, window.stride_w), common["pad_left"]), 0
            else:
                left = kb.sub(kb.mul(kb.rem(position, self.width), window.stride_w), window.left)
                up = kb.sub(kb.mul(kb.div(position, self.width), window.stride_h), common["pad_top"])
            kb.op(
                "load3dv1", "f16", a0 + kb.scaled(row, k, FRACTAL), piece, left_top_w=left, left_top_h=up, fetch_w=fetch_w,
                fetch_h=fetch_h, c1=c1, repeat=k, limits=None, extents=(s.k * FRACTAL, reach), **common,
            )  # fmt: skip

    def b(self, b0: Ref, weights: Ref, base: Index, tile: Tile, inner: Index, k: Index, count: Index) -> None:
        """k fractals of weights of the tile's columns, L1 → L0B; `weights` holds `count` from number `base` on."""
        kb, s, p = self.kb, self.s, self.p
        if p.b_transposed:
            first = kb.scaled(inner, tile.columns, FRACTAL) + kb.linear(0, (base, FRACTAL))
            kb.op(
                "load2d",
                "f16",
                b0,
                weights + first,
                repeat=kb.mul(k, tile.columns),
                limits={"repeat": s.k * s.n},
            )
            return
        # NZ of [K, N] lies in L1 as [columns][k]: transpose 16×16 fractals while loading one k row at a time
        for row in kb.few(k):
            source = weights + kb.linear(0, (kb.add(inner, row), FRACTAL), (base, FRACTAL))
            kb.op(
                "load2d", "f16", b0 + kb.scaled(row, tile.columns, FRACTAL), source, repeat=tile.columns, src_stride=count,
                transpose=1, limits={"repeat": s.n, "src_stride": s.k_load}, extents=(s.n * FRACTAL, s.k_load * s.n * FRACTAL),
            )  # fmt: skip
