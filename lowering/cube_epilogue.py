"""What follows the cube while a tile is in UB: f32 → f16, elementwise ops, zero padding, store.

The tile leaves L0C as [columns][m16][16] (NZ order), which is contiguous in UB, so an elementwise op is one vector
instruction over the whole tile.  A per-channel operand is one 32-byte block per column: it is read with block and
repeat stride 0, one instruction per column.  A full-size operand (a residual) is loaded into the same order before
the cube starts, its surplus rows are zeroed, because arithmetic on undefined bytes is a fault (decision D10).

Padding channels and padding rows of FRACTAL_NZ must be zero in GM (D9).  Weights and biases are zero there, so only
an op with f(0) ≠ 0 (or a bias under padding rows) needs the masked `vector_dup` at the end.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.ir import Operation, SSAValue

from ..dialects import ascend, nn
from . import cube_terms
from .cube_epilogue_ops import TileOps, is_relu, scalar_of
from .cube_problem import FRACTAL, UNIT, CubeGroup, CubeProblem
from .cube_schedule import CubeSchedule
from .cube_tile import Tile
from .kernel_builder import Index, KernelBuilder, Linear, Ref, mark_disjoint
from .tails import MAX_REPEAT

_ZERO_KEEPING = (
    nn.ReluOp, nn.LeakyReluOp, nn.PreluOp, nn.HardSwishOp, nn.TanhOp, nn.AbsOp, nn.NegOp, nn.MulOp, nn.CastOp, nn.EluOp,
    nn.SeluOp, nn.CeluOp, nn.GeluOp, nn.ErfOp, nn.SqrtOp, nn.SignOp,
)  # fmt: skip
_TENSOR_SUMS = (nn.AddOp, nn.SubOp, nn.MaxOp, nn.MinOp)


def preserves_zero(op: Operation) -> bool:
    """f(0, 0) = 0: padding stays zero through the op."""
    if isinstance(op, _ZERO_KEEPING):
        return True
    if isinstance(op, nn.ClipOp):
        low, high = op.values.get("min"), op.values.get("max")
        return not (isinstance(low, float) and low > 0) and not (isinstance(high, float) and high < 0)
    if isinstance(op, _TENSOR_SUMS):
        scalars = [s for s in map(scalar_of, op.operands) if s is not None]
        return not any(scalars)
    return isinstance(op, nn.ConstantOp)


class Epilogue:
    """Emits the vector part of a cube kernel."""

    def __init__(
        self,
        kb: KernelBuilder,
        problem: CubeProblem,
        schedule: CubeSchedule,
        found: CubeGroup,
        arguments: Mapping[SSAValue, Ref],
    ) -> None:
        self.kb, self.p, self.s, self.found = kb, problem, schedule, found
        self.arguments = arguments
        block = found.root.parent_block()
        assert block is not None
        self.numbers = {op: number for number, op in enumerate(block.ops)}
        kb.body_op = self.numbers[found.root]
        self.shape = ascend.shape_of(found.root.output)
        self.ops = [op for op in found.epilogue if not isinstance(op, nn.ConstantOp)]
        alone = found.root.output.uses.get_length() == 1  # nobody needs what the ReLU of the copy loses
        self.fused_relu = bool(self.ops) and is_relu(self.ops[0]) and alone
        self.operands = self._operands()
        self.loaded: dict[SSAValue, Ref] = {}
        self.terms = cube_terms.TermsEpilogue(self) if cube_terms.in_terms(found) else None
        self.zero_lanes = problem.channels_out % 16 != 0 and not all(preserves_zero(op) for op in self.ops)
        padded_rows = problem.rows % 16 != 0 and problem.c_plane > problem.rows
        self.zero_rows = padded_rows and (
            found.bias is not None or not all(preserves_zero(op) for op in self.ops)
        )

    @staticmethod
    def is_wide(group: ascend.GroupOp) -> bool:
        """Whether the result is f32."""
        return ascend.dtype_of(group.outputs[0]) == "f32"

    def _operands(self) -> dict[SSAValue, str]:
        """Block arguments that the epilogue reads: "full" tiles or "channel" vectors."""
        kinds: dict[SSAValue, str] = {}
        for op in self.ops:
            for value in op.operands:
                if value in self.arguments:
                    kinds[value] = "full" if ascend.shape_of(value) == self.shape else "channel"
        return kinds

    @property
    def tile_bytes(self) -> int:
        return self.s.m * self.s.n * FRACTAL

    # ------------------------------------------------------------------ operands
    def prefetch(self, tile: Tile, offset: Linear, plane: Index) -> None:
        """Loads of operands, issued before the cube work of the tile."""
        kb, s = self.kb, self.s
        if self.terms is not None:
            self.terms.prefetch(tile, offset)
            return
        self.loaded = {}
        for value, kind in self.operands.items():
            source = self.arguments[value]
            if kind == "channel":
                buffer = kb.alloc("ub", s.n * UNIT, depth=2)
                kb.op(
                    "copy_gm_to_ubuf", "", buffer, source + kb.linear(0, (plane, UNIT)), bursts=1, length=tile.columns,
                    limits={"length": s.n},
                )  # fmt: skip
            else:
                buffer = kb.alloc("ub", self.tile_bytes, depth=2)
                self.copy_planes("copy_gm_to_ubuf", buffer, source + offset, tile, load=True)
            self.loaded[value] = buffer

    def copy_planes(self, mnemonic: str, buffer: Ref, gm: Ref, tile: Tile, *, load: bool) -> None:
        """Moves the m real positions of every column between a plane in GM and the tile in UB."""
        kb, s, p = self.kb, self.s, self.p
        if s.pitch and s.pitch != p.out_width:
            self._copy_rows(mnemonic, buffer, gm, tile, load=load)
            return
        surplus, gap = kb.sub(tile.m16, tile.m), kb.sub(p.c_plane, tile.m)
        in_gm = ((s.n - 1) * p.c_plane + s.m * 16) * UNIT
        in_gm = min(in_gm, ((s.n - 1) * p.c_plane + p.c_plane) * UNIT)
        pair = (buffer, gm) if load else (gm, buffer)
        sizes = (self.tile_bytes, in_gm) if load else (in_gm, self.tile_bytes)
        least_m = tile.m if isinstance(tile.m, int) else 1
        if p.c_plane - least_m <= 65535:
            gaps: dict[str, Index] = (
                {"src_gap": gap, "dst_gap": surplus} if load else {"src_gap": surplus, "dst_gap": gap}
            )
            self._copy(mnemonic, pair, load, None, sizes, bursts=tile.columns, length=tile.m, **gaps)
            return
        for column in kb.few(tile.columns):
            ub = buffer + (
                kb.linear(0, (column, tile.m16 * UNIT))
                if isinstance(tile.m16, int)
                else kb.linear(0, (kb.mul(column, tile.m16), UNIT))
            )
            plane = gm + kb.linear(0, (column, p.c_plane * UNIT))
            one = (ub, plane) if load else (plane, ub)
            self._copy(mnemonic, one, load, {"length": s.m * 16}, None, bursts=1, length=tile.m)

    def _copy_rows(self, mnemonic: str, buffer: Ref, gm: Ref, tile: Tile, *, load: bool) -> None:
        """The same where rows in UB lie `pitch` positions apart: one burst per output row, gaps only on chip.

        Whole planes follow each other in both memories, so they go together; else every column is a copy of its own.
        """
        kb, s, p = self.kb, self.s, self.p
        gap: dict[str, Index] = {"dst_gap" if load else "src_gap": s.pitch - p.out_width}
        if isinstance(tile.rows, int) and tile.rows == p.out_height and tile.rows * s.pitch % 16 == 0:
            pair = (buffer, gm) if load else (gm, buffer)
            bursts = kb.mul(tile.columns, tile.rows)
            limits = {"bursts": s.n * tile.rows}
            self._copy(mnemonic, pair, load, limits, None, bursts=bursts, length=p.out_width, **gap)
            return
        for column in kb.few(tile.columns):
            ub = buffer + kb.linear(0, (kb.mul(column, tile.m16), UNIT))
            plane = gm + kb.linear(0, (column, p.c_plane * UNIT))
            pair = (ub, plane) if load else (plane, ub)
            self._copy(
                mnemonic, pair, load, {"bursts": s.rows}, None, bursts=tile.rows, length=p.out_width, **gap
            )

    def _copy(
        self,
        mnemonic: str,
        pair: tuple[Ref, Ref],
        load: bool,
        limits: dict[str, int] | None,
        extents: tuple[int, int] | None,
        **values: Index,
    ) -> None:
        """One DMA; every tile is stored once, to bytes of its own."""
        op = self.kb.op(mnemonic, "", *pair, limits=limits, extents=extents, **values)
        if not load:
            mark_disjoint(op)

    # ------------------------------------------------------------------ the tile
    def finish(self, tile: Tile, accumulator: Ref, target: Ref, plane: Index) -> None:
        """L0C → UB, the ops, zero padding, UB → GM."""
        kb, s = self.kb, self.s
        if self.terms is not None:
            self.terms.finish(tile, accumulator, target)
            return
        out = kb.alloc("ub", self.tile_bytes, depth=2)
        fractals = kb.mul(kb.div(tile.m16, 16), tile.columns)
        kb.op(
            "copy_matrix_cc_to_ubuf", "f322f16", out, accumulator, bursts=1, length=fractals, relu=int(self.fused_relu),
            limits={"length": s.m * s.n},
        )  # fmt: skip
        self._zero_surplus(tile)
        values: dict[SSAValue, Ref] = dict(self.loaded)
        values[self.found.root.output] = out
        rest = self.ops
        if self.fused_relu and isinstance(rest[0], nn.ReluOp):
            values[rest[0].results[0]] = out
            rest = rest[1:]
        for op in rest:
            kb.body_op = self.numbers[op]
            values[op.results[0]] = TileOps(self, tile, values).emit(op)
        result = values[self.ops[-1].results[0]] if self.ops else out
        if self.zero_lanes:
            self._zero_channels(result, tile, plane)
        if self.zero_rows:
            self._zero_rows(result, tile)
        self.copy_planes("copy_ubuf_to_gm", result, target, tile, load=False)
        kb.body_op = self.numbers[self.found.root]

    def _zero_surplus(self, tile: Tile) -> None:
        """Rows m … m16 of loaded tiles, and those between output rows, were not loaded: make them zero."""
        for value, buffer in self.loaded.items():
            if self.operands[value] == "full":
                self.zero_surplus(buffer, tile)

    def zero_surplus(self, buffer: Ref, tile: Tile) -> None:
        """The same for one tile."""
        if self.s.pitch:
            self._zero_gaps(buffer, tile)
        whole = isinstance(tile.m, int) and tile.m % 16 == 0
        if not whole and (not self.s.pitch or self.s.pitch % 16):
            self._zero_tail_rows(buffer, tile, tile.m)

    def _zero_gaps(self, buffer: Ref, tile: Tile) -> None:
        """Zeroes the surplus positions behind every output row (fewer than 16, so at most two instructions a column)."""
        kb, s, p = self.kb, self.s, self.p
        gap = s.pitch - p.out_width
        for part in range(0, gap, 8):
            low, high = self._row_mask(min(gap - part, 8))
            for column in kb.few(tile.columns):
                start = kb.linear((p.out_width + part) * UNIT, (kb.mul(column, tile.m16), UNIT))
                kb.op(
                    "vector_dup", "f16", buffer + start, value=0, repeat=tile.rows, dst_rep=s.pitch, mask_lo=low,
                    mask_hi=high, limits={"repeat": s.rows},
                )  # fmt: skip

    def _zero_tail_rows(self, buffer: Ref, tile: Tile, first: Index) -> None:
        """Zeroes rows first … m16 (fewer than 16) of every column: two instructions of at most 8 rows."""
        kb, s = self.kb, self.s
        rows = kb.sub(tile.m16, first)
        size = (s.n * s.m * 16) * UNIT
        if isinstance(rows, int):
            low_rows, high_rows = min(rows, 8), max(rows - 8, 0)
            repeats: tuple[Index, Index] = (tile.columns if low_rows else 0, tile.columns if high_rows else 0)
        else:
            low_rows, high_rows = kb.min(rows, 8), kb.max(kb.sub(rows, 8), 0)
            repeats = (tile.columns, tile.columns)
        for part, (count, repeat) in enumerate(zip((low_rows, high_rows), repeats, strict=True)):
            if isinstance(repeat, int) and repeat == 0:
                continue
            low, high = self._row_mask(count)
            start = buffer + kb.linear(part * 8 * UNIT, (first, UNIT))
            if s.m * 16 <= MAX_REPEAT:
                kb.op(
                    "vector_dup", "f16", start, value=0, repeat=repeat, dst_rep=tile.m16, mask_lo=low, mask_hi=high,
                    extents=(size,),
                )  # fmt: skip
                continue
            with kb.loop(tile.columns) as column:  # columns lie further apart than a repeat can step
                kb.op(
                    "vector_dup", "f16", start + kb.linear(0, (kb.mul(column, tile.m16), UNIT)), value=0, repeat=1,
                    mask_lo=low, mask_hi=high,
                )  # fmt: skip

    def _row_mask(self, rows: Index) -> tuple[Index, Index]:
        """Lanes of the first `rows` rows of 16, as (mask_lo, mask_hi)."""
        if isinstance(rows, int):
            bits = (1 << (16 * rows)) - 1
            low, high = bits & (2**64 - 1), bits >> 64
            return (low - 2**64 if low >> 63 else low), (high - 2**64 if high >> 63 else high)
        kb = self.kb
        return kb.low_ones(kb.min(kb.mul(rows, 16), 64)), kb.low_ones(kb.max(kb.sub(kb.mul(rows, 16), 64), 0))

    def _zero_rows(self, result: Ref, tile: Tile) -> None:
        """Padding rows of the last fractal of FRACTAL_NZ."""
        kb, p = self.kb, self.p
        surplus = p.c_plane - p.rows
        end = kb.add(tile.position, tile.m)
        if isinstance(end, int):
            if end == p.c_plane:
                self._zero_tail_rows(result, tile, kb.sub(tile.m16, surplus))
            return
        with kb.when(kb.equal(end, p.c_plane)):
            self._zero_tail_rows(result, tile, kb.sub(tile.m16, surplus))

    def _zero_channels(self, result: Ref, tile: Tile, plane: Index) -> None:
        """Padding lanes of the last plane."""
        kb, p, s = self.kb, self.p, self.s
        lanes = sum(((1 << 16) - (1 << (p.channels_out % 16))) << (16 * row) for row in range(4))
        signed = lanes - 2**64 if lanes >> 63 else lanes
        last = kb.add(plane, tile.columns)

        def clear() -> None:
            column = kb.sub(tile.columns, 1)
            step = kb.mul(column, tile.m16)
            kb.op(
                "vector_dup", "f16", result + kb.linear(0, (step, UNIT)), value=0, repeat=kb.div(tile.m16, 8), mask_lo=signed,
                mask_hi=signed, limits={"repeat": s.m * 2},
            )  # fmt: skip

        if isinstance(last, int):
            if last == p.c_planes:
                clear()
            return
        with kb.when(kb.equal(last, p.c_planes)):
            clear()
