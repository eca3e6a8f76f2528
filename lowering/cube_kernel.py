"""Cube kernels: matmul and convolution as implicit GEMM, with bias, activation and residual fused before the store.

One core's program, outermost first:

    items (batch · group)                  weights of the item's group → L1 when they stay there
      slabs (a few output rows)            planes of A under these rows: GM → L1 (MTE2)
        columns (n tile) × rows (m tile)   residual GM → UB (MTE2), bias (M)
          L1 loads of k                    weights GM → L1 (MTE2), when they are streamed or this is the first tile
            L0 steps of k                  img2col L1 → L0A, fractals L1 → L0B (MTE1), mad (M)
          L0C → UB with f32 → f16 (V), elementwise epilogue (V), UB → GM (MTE3)

A tile's m is rounded up to 16 for the cube (m = 1 would switch it to GEMV); the store leaves the surplus rows out.
The bias is in L0C before the first step (`cube_bias.py`), so that it is added before the only rounding.  Chips with
load3d version 1 build one row of fractals per instruction instead of a whole tile.
"""

from __future__ import annotations

from dataclasses import replace

from xdsl.ir import SSAValue

from ..dialects import ascend
from ..dialects.davinci import KernelOp
from ..runtime.soc import Soc
from .cube_bias import CubeBias, WideBias
from .cube_epilogue import Epilogue
from .cube_image import CubeImage
from .cube_problem import FRACTAL, UNIT, CubeGroup, CubeProblem, analyse, ceil_div
from .cube_schedule import CubeSchedule, bias_planes, row_units, turns
from .cube_step import StepLoads
from .cube_tile import Item, Slab, Tile
from .kernel_builder import Clock, Index, KernelBuilder, Linear, Ref, Ring, mark_disjoint


def generate(group: ascend.GroupOp, soc: Soc, name: str) -> KernelOp:
    """The kernel of a cube group; without a schedule it gets the one that `cube_tuning` chooses."""
    from .cube_tuning import schedule_of

    return CubeKernel(group, analyse(group), schedule_of(group, soc), soc, name).build()


class CubeKernel:
    """Builds one kernel; method order follows the loop nest."""

    def __init__(
        self, group: ascend.GroupOp, found: CubeGroup, schedule: CubeSchedule, soc: Soc, name: str
    ) -> None:
        self.p: CubeProblem = found.problem
        self.s = schedule
        self.soc = soc
        self.found = found
        self.width = schedule.pitch or self.p.out_width  # positions between output rows in L0
        self.kb = KernelBuilder(name, soc, len(group.inputs) + len(group.outputs), schedule.blocks)
        arguments: dict[SSAValue, Ref] = dict(zip(group.body.block.args, self.kb.args, strict=False))
        root = found.root
        self.a, self.b = (arguments[found.image or root.operands[0]], arguments[root.operands[1]])
        self.bias_argument = arguments[found.bias] if found.bias is not None else None
        self.c = self.kb.args[len(group.inputs)]
        self.later = self.kb.args[len(group.inputs) - len(schedule.prefetch) : len(group.inputs)]
        count = turns(self.p, schedule)
        self.loads = StepLoads(self.kb, self.p, self.s, soc, self.width, self._slab_limits()[0])
        self.scratch = [self.kb.alloc("l1", count * units * UNIT) for units in schedule.prefetch]
        self.epilogue = Epilogue(self.kb, self.p, self.s, found, arguments)
        self.partial = self.p.groups > 1 and (
            self.p.groups * self.p.k1 > self.p.a_planes or self.p.groups * self.p.n1 > self.p.c_planes
        )

    def build(self) -> KernelOp:
        kb, s, p = self.kb, self.s, self.p
        block = kb.block_idx
        # the outermost part needs no remainder: blocks are as many as parts
        self.part_columns = kb.rem(block, s.split_columns) if s.split_items * s.split_rows > 1 else block
        rest = kb.div(block, s.split_columns) if s.split_items * s.split_rows > 1 else 0
        self.part_rows = kb.rem(rest, s.split_rows) if s.split_items > 1 else rest
        part_items = kb.div(rest, s.split_rows) if s.split_items > 1 else 0
        self.first_column, columns = kb.share(p.n1, self.part_columns, s.split_columns)
        self._columns_of_core = columns
        units = row_units(p)
        self.first_unit, self.unit_count = kb.share(units, self.part_rows, s.split_rows)
        # positions of this core if they are shared: the last core's end with the plane
        self.positions: Index = kb.mul(self.unit_count, 16)
        if p.by_positions and p.out_width % 16:
            self.positions = kb.min(self.positions, kb.sub(p.out_width, kb.mul(self.first_unit, 16)))
        first_item, items = kb.share(p.items * p.groups, part_items, s.split_items)
        kb.note_granules(p.items * p.groups * units * p.n1)
        self.image = CubeImage(kb, self.a, p.image_channels, p.a_plane, p.width) if p.image_channels else None
        self.slabs = kb.ceil_div(self.unit_count, s.rows)
        self.first_item, self.items = first_item, items
        self.bias = self._fetch_bias(first_item, items, columns)
        self._begin_ahead()
        if self.bias is not None:
            self.bias.split()
        bias = self.bias and self.bias.load(0, columns, s.n, 1) if self._one_column() else None
        self.shared_weights = p.groups == 1 and not any(p.b_batch)
        weights = self._resident_buffer() if self.shared_weights else None
        with kb.loop(items) as number:
            item_number = kb.add(first_item, number)
            item = self._item(item_number, columns, bias)
            held = weights if self.shared_weights else self._resident_buffer()
            with kb.loop(self.slabs) as slab_number:
                self._slab_loop(item, held, number, slab_number)
                self._prefetch(number, slab_number)
                if self.clock is not None:
                    kb.tick(self.clock)
        return kb.kernel

    def _prefetch(self, number: Index, slab_number: Index) -> None:
        """This turn's pieces of later groups' weights: into L1 bytes that nobody reads, so that they are in L2."""
        kb, s = self.kb, self.s
        per_item = ceil_div(ceil_div(row_units(self.p), s.split_rows), s.rows)
        count = turns(self.p, s)
        for source, scratch, units, start in zip(
            self.later, self.scratch, s.prefetch, s.prefetch_from, strict=True
        ):
            size = units * UNIT
            turn = kb.linear(0, (number, per_item * size), (slab_number, size))
            own = kb.linear(start, (kb.block_idx, count * size)) + turn
            mark_disjoint(kb.op("copy_gm_to_cbuf", "", scratch + turn, source + own, bursts=1, length=units))

    def _columns(self) -> int:
        """Columns of one core at most."""
        return ceil_div(self.p.n1, self.s.split_columns)

    def _one_column(self) -> bool:
        """Whether all tiles have the same columns."""
        return self.p.groups == 1 and self._columns() <= self.s.n

    # ------------------------------------------------------------------ the bias
    def _fetch_bias(self, first_item: Index, items: Index, columns: Index) -> CubeBias | None:
        """The bias of this core's columns (of its groups, or of all if items are batches of groups)."""
        if self.bias_argument is None:
            return None
        kb, p = self.kb, self.p
        self.bias_first: Index = self.first_column if p.groups == 1 else 0
        planes, most = columns, bias_planes(p, self.s)
        if p.groups > 1:
            planes = p.c_planes
            if p.items == 1:
                self.bias_first = kb.mul(first_item, p.n1)
                planes = kb.mul(items, p.n1)
                if self.partial:
                    planes = kb.min(planes, kb.sub(p.c_planes, self.bias_first))
        kind = CubeBias if self.found.bias_in_terms else WideBias
        bias = kind(kb, self.bias_argument, self.s.m, most)
        bias.fetch(self.bias_first, planes)
        return bias

    def _bias_plane(self, plane0: Index, column: Index) -> Index:
        """Number of a column's first fractal among those in L1."""
        if self.p.groups == 1:
            return column
        return self.kb.sub(self.kb.add(self.kb.add(plane0, self.first_column), column), self.bias_first)

    # ------------------------------------------------------------------ per item
    def _resident_buffer(self) -> Ref | None:
        if self.s.weights != "resident":
            return None
        return self.kb.alloc("l1", self.p.k_steps * ceil_div(self.p.n1, self.s.split_columns) * FRACTAL)

    def _offsets(self, number: Index) -> tuple[Index, Linear, Linear, Linear]:
        """The group of an item and the byte offsets of its A, B and C."""
        kb, p = self.kb, self.p
        group = kb.rem(number, p.groups)
        rest = kb.div(number, p.groups)
        a = kb.linear(0, (group, p.k1 * p.a_plane * UNIT))
        b = kb.linear(0, (group, p.k_steps * p.n1 * FRACTAL))
        c = kb.linear(0, (group, p.n1 * p.c_plane * UNIT))
        for size, sa, sb, sc in zip(
            reversed(p.batch), reversed(p.a_batch), reversed(p.b_batch), reversed(p.c_batch), strict=True
        ):
            digit = kb.rem(rest, size)
            rest = kb.div(rest, size)
            a, b, c = (x + kb.linear(0, (digit, step)) for x, step in ((a, sa), (b, sb), (c, sc)))
        return group, a, b, c

    def _k_steps(self, group: Index) -> Index:
        """k of a group in fractals: the last group may have fewer planes."""
        kb, p = self.kb, self.p
        if not self.partial:
            return p.k_steps
        return kb.mul(kb.min(p.k1, kb.sub(p.a_planes, kb.mul(group, p.k1))), p.window.taps)

    def _item(self, number: Index, columns: Index, bias: Ref | None) -> Item:
        kb, p = self.kb, self.p
        group, a, b, c = self._offsets(number)
        plane0 = kb.mul(group, p.n1)
        if self.partial:
            left = kb.sub(kb.sub(p.c_planes, plane0), self.first_column)
            columns = kb.max(0, kb.min(columns, left))
        if p.groups > 1 and self.bias is not None and self._columns() <= self.s.n:
            bias = self.bias.load(self._bias_plane(plane0, 0), columns, self.s.n, 2)
        return Item(a, b, c, plane0, self._k_steps(group), columns, bias)

    # ------------------------------------------------------------------ slabs of A
    def _begin_ahead(self) -> None:
        """Slabs that stay for all of k are loaded one turn ahead; the first one here, before anything else is waited for.

        The scalar unit dispatches in order and stops at a full queue: a load that stands behind the img2cols of the turn
        before would start late.
        """
        kb, p, s = self.kb, self.p, self.s
        self.clock: Clock | None = None
        self.weights_ring: Ring | None = None
        if (
            self.image is not None
            or s.k_piece < p.k_steps
            or s.slab_depth < 2
            or (self.items == 1 and self.slabs == 1)
        ):
            return
        self.clock = kb.clock(s.slab_depth)
        self.slab_ring = kb.ring(self.clock, "l1", self._slab_bytes(p.k1))
        if (
            p.groups > 1
            and not self.partial
            and s.weights == "stream"
            and s.k_load == p.k_steps
            and self._columns() <= s.n
        ):
            self.weights_ring = kb.ring(self.clock, "l1", s.k_load * s.n * FRACTAL)
        self._fill(
            self.slab_ring.first, self.weights_ring and self.weights_ring.first, self.first_item, 0, None
        )

    def _fill(
        self, slab: Ref, weights: Ref | None, item: Index, number: Index, exists: SSAValue | None
    ) -> None:
        """Loads a slab (and its group's weights); nothing if it does not exist."""
        group, a, b, _ = self._offsets(item)
        self._load_slab(a, self._k_steps(group), self._slab(number), 0, self.p.k1, slab, exists=exists)
        if weights is not None:
            self._copy_weights(
                weights, b, (self.first_column, self._columns_of_core), (0, self.p.k_steps), exists
            )

    def _fill_next(self, item: Index, number: Index) -> None:
        """The slab of the next turn: of the next rows, or the first of the next item."""
        kb = self.kb
        following = kb.add(number, 1)
        if self.slabs == 1:
            item, following = kb.add(item, 1), 0
        elif self.items != 1:
            last = kb.equal(following, self.slabs)
            item, following = kb.add(item, kb.select(last, 1, 0)), kb.select(last, 0, following)
        exists = kb.less(following, self.slabs) if self.items == 1 else kb.less(item, self.items)
        if self.items == 1:
            following = kb.min(
                following, kb.sub(self.slabs, 1)
            )  # sizes of what does not exist must be legal, too
        weights = self.weights_ring and self.weights_ring.ahead
        self._fill(self.slab_ring.ahead, weights, kb.add(self.first_item, item), following, exists)

    def _slab_loop(self, item: Item, held: Ref | None, item_number: Index, number: Index) -> None:
        kb, p, s = self.kb, self.p, self.s
        slab = self._slab(number)
        if self.clock is not None:
            self._fill_next(item_number, number)
            slab = replace(slab, buffer=self.slab_ring.now)
        elif s.k_piece == p.k_steps:
            buffer = kb.alloc("l1", self._slab_bytes(p.k1), s.slab_depth)
            self._load_slab(item.a, item.k_steps, slab, 0, p.k1, buffer)
            slab = replace(slab, buffer=buffer)
        tiles_n = kb.ceil_div(item.columns, s.n)
        most_positions = min(s.rows * 16, p.out_width) if p.by_positions else s.rows * self.width
        tiles_m: Index = 1 if most_positions <= s.m * 16 else kb.ceil_div(slab.positions, s.m * 16)
        start = kb.add(number, item_number) if self.shared_weights else number
        with kb.loop(tiles_n) as j:
            columns, inside = self._tail(s.n, item.columns, j), kb.mul(j, s.n)
            if self.bias is not None and item.bias is None:
                plane = self._bias_plane(item.c_plane0, inside)
                item = replace(item, bias=self.bias.load(plane, columns, s.n, 2))
            with kb.loop(tiles_m) as i:
                self._tile(item, slab, held, kb.add(start, i), (inside, columns), i)

    def _slab(self, number: Index) -> Slab:
        kb, p, s, window = self.kb, self.p, self.s, self.p.window
        unit0 = kb.add(self.first_unit, kb.mul(number, s.rows))
        count = self._tail(s.rows, self.unit_count, number)
        if window.is_point:
            first = kb.mul(unit0, 16)
            positions = self._tail(s.rows * 16, self.positions, number)
            return Slab(None, first, 1, 0, 0, 0, 0, positions, positions, first, count)
        if p.is_line:
            return self._line(kb.mul(unit0, 16), self._tail(s.rows * 16, self.positions, number), count)
        top = kb.sub(kb.mul(unit0, window.stride_h), window.top)
        end = kb.add(top, kb.add(kb.mul(kb.sub(count, 1), window.stride_h), window.reach_h))
        first, last = kb.max(top, 0), kb.min(end, p.height)
        inside = (p.out_height - 1) * window.stride_h - window.top < p.height and window.reach_h > window.top
        if not inside:  # some output rows see padding only
            first = kb.min(first, p.height - 1)
            last = kb.max(last, kb.add(first, 1))
        return Slab(
            None, first, kb.sub(last, first), kb.max(kb.sub(first, top), 0), kb.max(kb.sub(end, last), 0),
            window.left, None, p.width, kb.mul(count, self.width), kb.mul(unit0, p.out_width), count,
        )  # fmt: skip

    def _line(self, position0: Index, positions: Index, units: Index) -> Slab:
        """The columns of the one row of A under some positions of the output."""
        kb, p, window = self.kb, self.p, self.p.window
        start = kb.sub(kb.mul(position0, window.stride_w), window.left)
        end = kb.add(start, kb.add(kb.mul(kb.sub(positions, 1), window.stride_w), window.reach_w))
        first, last = kb.max(start, 0), kb.min(end, p.width)
        return Slab(
            None, first, 1, 0, 0, kb.sub(first, start), kb.sub(end, last), kb.sub(last, first), positions, position0, units,
        )  # fmt: skip

    def _tail(self, step: int, total: Index, number: Index) -> Index:
        """min(step, total - number·step), constant when the tiles divide evenly."""
        if isinstance(total, int) and total % step == 0:
            return step
        return self.kb.min(step, self.kb.sub(total, self.kb.mul(number, step)))

    def _slab_limits(self) -> tuple[int, int]:
        """Most units of 32 bytes in one plane of a slab, and the smallest gap behind it."""
        p, s = self.p, self.s
        if p.by_positions:
            return min(p.columns_under(s.rows * 16), p.width), p.a_plane
        rows = min((s.rows - 1) * p.window.stride_h + p.window.reach_h, p.height)
        return rows * p.width, p.a_plane

    def _slab_bytes(self, planes: int) -> int:
        """Bytes of `planes` planes (transposed: columns of fractals) of a slab in L1."""
        if self.p.a_transposed:
            return self.s.rows * planes * FRACTAL
        return self._slab_limits()[0] * planes * UNIT

    def _load_slab(
        self,
        a: Linear,
        k_steps: Index,
        slab: Slab,
        plane0: Index,
        planes: Index,
        buffer: Ref,
        most_planes: int = 0,
        exists: SSAValue | None = None,
    ) -> None:
        """Planes [plane0, plane0 + planes) of the slab: GM → L1, one burst per plane."""
        kb, p = self.kb, self.p
        most_units, _ = self._slab_limits()
        most_planes = most_planes or (planes if isinstance(planes, int) else p.k1)
        if self.image is not None:
            start = kb.mul(slab.first_row, p.width)
            self.image.load(a, start, kb.mul(slab.in_rows, p.width), most_units, buffer)
            return
        if p.a_transposed:
            self._load_transposed(a, slab, plane0, planes, buffer, most_planes, exists)
            return
        row = UNIT if p.by_positions else p.width * UNIT
        source = self.a + a + kb.linear(0, (slab.first_row, row), (plane0, p.a_plane * UNIT))
        length = slab.width if p.by_positions else kb.mul(slab.in_rows, p.width)
        if self.partial and isinstance(planes, int):
            planes = kb.min(planes, kb.div(k_steps, p.window.taps))
        if exists is not None:
            planes = kb.select(exists, planes, 0)
        limits = {"length": most_units, "bursts": most_planes, "src_gap": p.a_plane - 1}
        if p.a_plane - (length if isinstance(length, int) else 1) <= 65535:
            extents = (most_units * most_planes * UNIT, ((most_planes - 1) * p.a_plane + most_units) * UNIT)
            kb.op(
                "copy_gm_to_cbuf", "", buffer, source, bursts=planes, length=length, src_gap=kb.sub(p.a_plane, length),
                limits=limits, extents=extents,
            )  # fmt: skip
            return
        with kb.loop(planes) as plane:  # a plane of more than 65535 positions cannot be strided over
            kb.op(
                "copy_gm_to_cbuf", "", buffer + self.kb.scaled(plane, length, UNIT), source + kb.linear(0, (plane, p.a_plane * UNIT)),
                bursts=1, length=length, limits=limits,
            )  # fmt: skip

    def _load_transposed(
        self,
        a: Linear,
        slab: Slab,
        k0: Index,
        k_count: Index,
        buffer: Ref,
        most: int,
        exists: SSAValue | None,
    ) -> None:
        """A stored [K, M]: fractals [M1][K1] of the slab's rows."""
        kb, p, s = self.kb, self.p, self.s
        rows = kb.ceil_div(slab.positions, 16)
        if exists is not None:
            rows = kb.select(exists, rows, 0)
        source = self.a + a + kb.linear(0, (kb.div(slab.first_row, 16), p.k1 * FRACTAL), (k0, FRACTAL))
        kb.op(
            "copy_gm_to_cbuf", "", buffer, source, bursts=rows, length=kb.mul(k_count, 16), src_gap=kb.mul(kb.sub(p.k1, k_count), 16),
            limits={"bursts": s.rows, "length": most * 16, "src_gap": p.k1 * 16},
            extents=(s.rows * most * FRACTAL, ((s.rows - 1) * p.k1 + most) * FRACTAL),
        )  # fmt: skip

    # ------------------------------------------------------------------ one output tile
    def _tile(
        self,
        item: Item,
        slab: Slab,
        held: Ref | None,
        start: Index,
        n_range: tuple[Index, Index],
        i: Index,
    ) -> None:
        kb, s = self.kb, self.s
        inside, columns = n_range
        width = 16 if self.p.by_positions else self.width
        m0 = kb.mul(i, s.m * 16)
        m = slab.positions if s.rows * width <= s.m * 16 else self._tail(s.m * 16, slab.positions, i)
        m16 = kb.mul(kb.ceil_div(m, 16), 16)
        column0 = kb.add(self.first_column, inside)
        tile = Tile(column0, columns, inside, m0, m, m16, kb.add(slab.position0, m0), slab.rows)
        offset = Linear() + item.c + kb.linear(0, (column0, self.p.c_plane * UNIT), (tile.position, UNIT))
        self.epilogue.prefetch(tile, offset, kb.add(item.c_plane0, column0))
        accumulator = kb.alloc("l0c", s.m * s.n * 1024, depth=2)
        if self.bias is not None and item.bias is not None:
            self.bias.begin(accumulator, item.bias, m16, columns, (s.m, s.n))
        self._accumulate(item, slab, held, start, tile, accumulator)
        self.epilogue.finish(tile, accumulator, self.c + offset, kb.add(item.c_plane0, column0))

    def _accumulate(
        self, item: Item, slab: Slab, held: Ref | None, start: Index, tile: Tile, accumulator: Ref
    ) -> None:
        kb, s, p = self.kb, self.s, self.p
        taps = p.window.taps
        with kb.loop(kb.ceil_div(item.k_steps, s.k_piece)) as number:
            first = kb.mul(number, s.k_piece)
            total = self._tail(s.k_piece, item.k_steps, number)
            piece, k_total = slab.buffer, p.k_steps
            if piece is None:
                planes = s.k_piece // taps
                piece = kb.alloc("l1", self._slab_bytes(planes), s.slab_depth)
                self._load_slab(
                    item.a, item.k_steps, slab, kb.div(first, taps), kb.div(total, taps), piece, planes
                )
                k_total = total
            with kb.loop(kb.ceil_div(total, s.k_load)) as load:
                inside = kb.mul(load, s.k_load)
                count = self._tail(s.k_load, total, load)
                weights, base = self._load_weights(item, held, start, tile, kb.add(first, inside), count)
                with kb.loop(kb.ceil_div(count, s.k)) as step:
                    k = self._tail(s.k, count, step)
                    a0 = kb.alloc("l0a", s.m * s.k * FRACTAL, depth=s.l0_depth)
                    b0 = kb.alloc("l0b", s.k * s.n * FRACTAL, depth=s.l0_depth)
                    inner = kb.mul(step, s.k)
                    in_piece = kb.add(inside, inner)
                    k0 = in_piece if slab.buffer is None else kb.add(first, in_piece)
                    self.loads.a(a0, piece, slab, tile, k0, k, k_total)
                    self.loads.b(b0, weights, base, tile, inner, k, count)
                    init = 0 if item.bias is not None else self._is_zero(kb.add(first, in_piece))
                    kb.op(
                        "mad", "f32f16f16", accumulator, a0, b0, m=tile.m16, k=kb.mul(k, 16), n=kb.mul(tile.columns, 16), init=init,
                        limits={"m": s.m * 16, "k": s.k * 16, "n": s.n * 16, "init": 1},
                    )  # fmt: skip

    def _is_zero(self, value: Index) -> Index:
        if isinstance(value, int):
            return int(value == 0)
        return self.kb.select(self.kb.equal(value, 0), 1, 0)

    # ------------------------------------------------------------------ operands of one step
    def _load_weights(
        self, item: Item, held: Ref | None, start: Index, tile: Tile, k0: Index, count: Index
    ) -> tuple[Ref, Index]:
        """The k range [k0, k0 + count) of the tile's columns in L1, and where it begins."""
        kb, s, p = self.kb, self.s, self.p
        if self.weights_ring is not None:
            return self.weights_ring.now, 0
        kept = held is not None
        base: Index = 0
        if held is None:
            buffer = kb.alloc("l1", s.k_load * s.n * FRACTAL, s.weight_depth)
        else:  # [column tile][k][columns of the tile]
            buffer = held + kb.linear(0, (tile.column_in_core, p.k_steps * FRACTAL))
            base = kb.mul(k0, tile.columns)
        first_tile = None
        if kept and start != 0:  # filled during the first tile: later loads move nothing
            first_tile = kb.equal(start, 0)
        target = buffer if not kept else buffer + kb.linear(0, (base, FRACTAL))
        self._copy_weights(target, item.b, (tile.column0, tile.columns), (k0, count), first_tile)
        return buffer, base

    def _copy_weights(
        self,
        target: Ref,
        b: Linear,
        columns: tuple[Index, Index],
        k: tuple[Index, Index],
        when: SSAValue | None,
    ) -> None:
        """Weights of (first, count) columns and (first, count) fractals of k → L1, if `when` holds."""
        kb, s, p = self.kb, self.s, self.p
        if p.b_transposed:
            source = self.b + b + kb.linear(0, (k[0], p.n1 * FRACTAL), (columns[0], FRACTAL))
            bursts, length, gap = k[1], kb.mul(columns[1], 16), kb.mul(kb.sub(p.n1, columns[1]), 16)
            limits = {"bursts": s.k_load, "length": s.n * 16, "src_gap": p.n1 * 16}
            reach = ((s.k_load - 1) * p.n1 + s.n) * FRACTAL
        else:
            source = self.b + b + kb.linear(0, (columns[0], p.k1 * FRACTAL), (k[0], FRACTAL))
            bursts, length, gap = columns[1], kb.mul(k[1], 16), kb.mul(kb.sub(p.k1, k[1]), 16)
            limits = {"bursts": s.n, "length": s.k_load * 16, "src_gap": p.k1 * 16}
            reach = ((s.n - 1) * p.k1 + s.k_load) * FRACTAL
        kb.op(
            "copy_gm_to_cbuf", "", target, source, bursts=bursts if when is None else kb.select(when, bursts, 0),
            length=length, src_gap=gap, limits=limits, extents=(s.k_load * s.n * FRACTAL, reach),
        )  # fmt: skip
