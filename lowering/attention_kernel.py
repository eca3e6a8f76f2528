"""Attention kernels: scores, softmax and the product with the values in one task, nothing of the scores in GM.

One core's program, outermost first:

    items (heads of images)                 keys, values: GM → L1, fractals as the cube takes them (MTE2)
      blocks of q fractals of query rows    query rows GM → L1 → L0B (MTE2, MTE1)
        pieces of k fractals of keys        scoresᵀ = K · Qᵀ (M), L0C → UB (V), scale, mask, softmax (V)
          products of `step` fractals       probabilities UB → L1 → L0A (MTE3, MTE1), values L1 → L0B (MTE1)
                                            result += Pᵀᵀ · V, sums += Pᵀᵀ · 1 (M)
        result / sums (V), UB → GM (MTE3)

Where the scores of a block do not fit UB, pieces of keys pass twice: once for the maximum, once for the rest
(decision 0026).  Every fractal is turned where it is loaded into L0A or L0B, so nothing else rearranges bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import SSAValue

from ..dialects import ascend
from ..dialects.davinci import KernelOp
from ..runtime.soc import Soc
from .attention_problem import AttentionProblem, problem_of, root_of
from .attention_schedule import AttentionSchedule
from .attention_softmax import WIDE, Softmax
from .cube_problem import FRACTAL, UNIT
from .kernel_builder import Index, KernelBuilder, Linear, Ref, mark_disjoint


@dataclass(frozen=True)
class _Item:
    """One head: where its operands begin, and its keys and values if they stay in L1."""

    query: Ref
    key: Ref
    value: Ref
    mask: Ref | None
    result: Ref
    held: tuple[Ref, Ref] | None


@dataclass(frozen=True)
class _Block:
    """Some query rows of an item; sizes in fractals."""

    item: _Item
    row: Index
    q: Index
    rows: Ref  # in L0B


@dataclass(frozen=True)
class _Piece:
    """Some keys: first and count in fractals, whether they are the last, and where they are in L1."""

    first: Index
    count: Index
    last: Index  # 0 or 1
    key: Ref
    value: Ref


def generate(group: ascend.GroupOp, soc: Soc, name: str) -> KernelOp:
    """The kernel of an attention group; without a schedule it gets the one that `attention_tuning` chooses."""
    from .attention_tuning import choose_schedule

    values = group.schedule.values or choose_schedule(group, soc)
    return AttentionKernel(group, AttentionSchedule(**values), soc, name).build()  # pyright: ignore[reportArgumentType]


class AttentionKernel:
    """Builds one kernel; method order follows the loop nest."""

    def __init__(self, group: ascend.GroupOp, schedule: AttentionSchedule, soc: Soc, name: str) -> None:
        self.p: AttentionProblem = problem_of(root_of(group))
        self.s = schedule
        self.kb = KernelBuilder(name, soc, len(group.inputs) + 1, schedule.blocks)
        root = root_of(group)
        arguments: dict[SSAValue, Ref] = dict(zip(group.body.block.args, self.kb.args, strict=False))
        self.query, self.key, self.value = (arguments[v] for v in (root.query, root.key, root.value))
        self.mask = arguments[root.mask] if root.mask is not None else None
        self.result = self.kb.args[-1]
        self.softmax = Softmax(self.kb, self.p, schedule, soc)
        self.whole = schedule.k == self.p.n1  # all scores of a block at once

    def build(self) -> KernelOp:
        kb, s, p = self.kb, self.s, self.p
        part_rows = kb.rem(kb.block_idx, s.split_rows) if s.split_items > 1 else kb.block_idx
        part_items = kb.div(kb.block_idx, s.split_rows) if s.split_items > 1 else 0
        first_item, items = kb.share(p.items, part_items, s.split_items)
        first_row, rows = kb.share(p.m1, part_rows, s.split_rows)
        kb.note_granules(p.items * p.m1)
        self.ones = self._ones()
        with kb.loop(items) as number:
            item = self._item(kb.add(first_item, number))
            with kb.loop(kb.ceil_div(rows, s.q)) as i:
                q = self._tail(s.q, rows, i)
                self._block(item, kb.add(first_row, kb.mul(i, s.q)), q)
        return kb.kernel

    def _tail(self, tile: int, size: Index, i: Index) -> Index:
        """Size of tile number i."""
        kb = self.kb
        if isinstance(size, int) and size % tile == 0:
            return tile
        return kb.min(tile, kb.sub(size, kb.mul(i, tile)))

    # ------------------------------------------------------------------ what all blocks share
    def _ones(self) -> Ref:
        """Ones by which probabilities are summed, in L0B: `step` fractals, and one with zeros where keys are padding."""
        kb, s, p = self.kb, self.s, self.p
        count = 2 if p.key_tail else 1
        tile, source = kb.alloc("ub", count * FRACTAL), kb.alloc("l1", count * FRACTAL)
        kb.op("vector_dup", "f16", tile, value=0x3C00, repeat=2 * count)
        if p.key_tail:  # a fractal in L0B has its k as lanes
            lanes = sum(((1 << 16) - (1 << p.key_tail)) << (16 * row) for row in range(4))
            signed = lanes - 2**64 if lanes >> 63 else lanes
            kb.op("vector_dup", "f16", tile + FRACTAL, value=0, repeat=2, mask_lo=signed, mask_hi=signed)
        kb.op("copy_ubuf_to_cbuf", "", source, tile, bursts=1, length=count * 16)
        ones = kb.alloc("l0b", (s.step + count - 1) * FRACTAL)
        kb.op("load2d", "f16", ones, source, repeat=s.step, src_stride=0)
        if p.key_tail:
            kb.op("load2d", "f16", ones + s.step * FRACTAL, source, base=1, repeat=1)
        return ones

    def _item(self, number: Index) -> _Item:
        kb, p, s = self.kb, self.p, self.s
        shared = kb.div(number, p.shared)
        planes = p.n1 * FRACTAL
        key = self.key + kb.linear(0, (shared, p.d1 * planes))
        value = self.value + kb.linear(0, (shared, p.e1 * planes))
        mask = None
        if self.mask is not None:
            mask = self.mask + self._mask_offset(number)
        held = None
        if s.resident:
            held = self._load_keys(key, 0, p.n1, p.n1), self._load_values(value, 0, p.n1, p.n1)
        return _Item(
            self.query + kb.linear(0, (number, p.d1 * p.m1 * FRACTAL)), key, value, mask,
            self.result + kb.linear(0, (number, p.e1 * p.m1 * FRACTAL)), held,
        )  # fmt: skip

    def _mask_offset(self, number: Index) -> Linear:
        kb, p = self.kb, self.p
        total, rest = Linear(), number
        for size, step in zip(reversed(p.lead), reversed(p.mask_strides or ()), strict=True):
            digit, rest = kb.rem(rest, size), kb.div(rest, size)
            total += kb.linear(0, (digit, step))
        return total

    def _load_keys(self, source: Ref, first: Index, count: Index, most: int) -> Ref:
        return self._load_columns(source, self.p.d1, first, count, most)

    def _load_values(self, source: Ref, first: Index, count: Index, most: int) -> Ref:
        return self._load_columns(source, self.p.e1, first, count, most)

    def _load_columns(self, source: Ref, columns: int, first: Index, count: Index, most: int) -> Ref:
        """Fractals [column][row] in GM → [row][column] in L1: one plane after the other, spread out."""
        kb, p, s = self.kb, self.p, self.s
        buffer = kb.alloc("l1", most * columns * FRACTAL, s.depth)
        for column in kb.few(columns):
            plane = source + kb.linear(0, (column, p.n1 * FRACTAL), (first, FRACTAL))
            kb.op(
                "copy_gm_to_cbuf", "", buffer + kb.linear(0, (column, FRACTAL)), plane, bursts=count, length=16,
                dst_gap=(columns - 1) * 16, limits={"bursts": most},
            )  # fmt: skip
        return buffer

    # ------------------------------------------------------------------ one block of query rows
    def _block(self, item: _Item, row: Index, q: Index) -> None:
        kb, p, s, softmax = self.kb, self.p, self.s, self.softmax
        block = _Block(item, row, q, self._load_queries(item, row, q))
        result = kb.alloc("l0c", s.q * p.e1 * WIDE, 2)
        sums = kb.alloc("l0c", s.q * WIDE, 2)
        largest = softmax.begin_maximum(q)
        if self.whole:
            piece = self._piece(item, 0, p.n1)
            scores = self._scores(block, piece)
            softmax.take_maximum(largest, scores, q, p.n1, 1)
            spread = softmax.end_maximum(largest, q)
            tile = kb.alloc("l1", s.q * s.k * FRACTAL, s.depth)
            self._keep_powers(block, piece, softmax.probabilities(scores, spread, q, p.n1), tile)
            self._accumulate(block, piece, tile, result, sums)
        else:
            self._in_pieces(block, largest, result, sums)
        self._finish(block, result, sums)

    def _load_queries(self, item: _Item, row: Index, q: Index) -> Ref:
        """Query rows as the right operand: planes of d lie in L0B as they lie in GM."""
        kb, p, s = self.kb, self.p, self.s
        tile, rows = kb.alloc("l1", s.q * p.d1 * FRACTAL, 2), kb.alloc("l0b", s.q * p.d1 * FRACTAL, 2)
        kb.op(
            "copy_gm_to_cbuf", "", tile, item.query + kb.linear(0, (row, FRACTAL)), bursts=p.d1, length=kb.mul(q, 16),
            src_gap=kb.mul(kb.sub(p.m1, q), 16), limits={"length": s.q * 16, "src_gap": p.m1 * 16},
            extents=(s.q * p.d1 * FRACTAL, ((p.d1 - 1) * p.m1 + s.q) * FRACTAL),
        )  # fmt: skip
        kb.op("load2d", "f16", rows, tile, repeat=kb.mul(q, p.d1), limits={"repeat": s.q * p.d1})
        return rows

    def _in_pieces(self, block: _Block, largest: Ref, result: Ref, sums: Ref) -> None:
        """Keys pass twice: for the maximum, and for the rest.

        The product with the values stays one piece behind the scores: the cube, which runs in order, then never waits for
        probabilities before it computes the scores that the vector unit needs next.
        """
        kb, p, s, softmax = self.kb, self.p, self.s, self.softmax
        count = -(-p.n1 // s.k)
        with kb.loop(count) as number:
            piece = self._piece(block.item, kb.mul(number, s.k), self._tail(s.k, p.n1, number), values=False)
            scores = self._scores(block, piece)
            softmax.take_maximum(largest, scores, block.q, piece.count, piece.last)
        spread = softmax.end_maximum(largest, block.q)
        if not s.resident:
            with kb.loop(count) as number:
                piece = self._piece(block.item, kb.mul(number, s.k), self._tail(s.k, p.n1, number))
                powers = softmax.probabilities(self._scores(block, piece), spread, block.q, piece.count)
                tile = kb.alloc("l1", s.q * s.k * FRACTAL, s.depth)
                self._keep_powers(block, piece, powers, tile)
                self._accumulate(block, piece, tile, result, sums)
            return
        clock = kb.clock(2)
        ring = kb.ring(clock, "l1", s.q * s.k * FRACTAL)
        with kb.loop(count + 1) as number:
            own = kb.max(0, kb.min(s.k, kb.sub(p.n1, kb.mul(number, s.k))))
            piece = self._piece(block.item, kb.mul(number, s.k), own)
            scores = self._scores(block, piece)
            there = kb.min(kb.mul(number, s.k), kb.min(s.k, kb.sub(p.n1 + s.k, kb.mul(number, s.k))))
            before = self._piece(block.item, kb.mul(kb.sub(number, 1), s.k), there)
            self._accumulate(block, before, ring.now, result, sums)
            powers = softmax.probabilities(scores, spread, block.q, piece.count)
            self._keep_powers(block, piece, powers, ring.ahead)
            kb.tick(clock)

    def _piece(self, item: _Item, first: Index, count: Index, *, values: bool = True) -> _Piece:
        kb, p, s = self.kb, self.p, self.s
        end = kb.add(first, count)
        last = self._flag(end, p.n1)
        if item.held is not None:
            key, value = (
                held + kb.linear(0, (first, columns * FRACTAL))
                for held, columns in zip(item.held, (p.d1, p.e1), strict=True)
            )
            return _Piece(first, count, last, key, value)
        key = self._load_keys(item.key, first, count, s.k)
        value = self._load_values(item.value, first, count, s.k) if values else key
        return _Piece(first, count, last, key, value)

    def _flag(self, a: Index, b: Index) -> Index:
        """1 if a = b, else 0."""
        if isinstance(a, int) and isinstance(b, int):
            return int(a == b)
        return self.kb.select(self.kb.equal(a, b), 1, 0)

    # ------------------------------------------------------------------ scores of one piece
    def _scores(self, block: _Block, piece: _Piece) -> Ref:
        """K · Qᵀ in UB, with a mask scaled and masked: [query fractal][key fractal] in f32."""
        kb, p, s, q = self.kb, self.p, self.s, block.q
        mask = self._load_mask(block, piece)
        scores = kb.alloc("ub", s.q * s.k * WIDE)
        with kb.loop(kb.ceil_div(piece.count, s.step)) as number:
            inside, count = kb.mul(number, s.step), self._tail(s.step, piece.count, number)
            a0 = kb.alloc("l0a", s.step * p.d1 * FRACTAL, 2)
            product = kb.alloc("l0c", s.q * s.step * WIDE, 2)
            kb.op(
                "load2d", "f16", a0, piece.key + kb.linear(0, (inside, p.d1 * FRACTAL)), repeat=kb.mul(count, p.d1),
                limits={"repeat": s.step * p.d1},
            )  # fmt: skip
            kb.op(
                "mad", "f32f16f16", product, a0, block.rows, m=kb.mul(count, 16), k=p.d1 * 16, n=kb.mul(q, 16), init=1,
                limits={"m": s.step * 16, "n": s.q * 16},
            )  # fmt: skip
            kb.op(
                "copy_matrix_cc_to_ubuf", "f32", scores + kb.linear(0, (inside, WIDE)), product, bursts=q, length=count,
                dst_gap=kb.mul(kb.sub(piece.count, count), 32),
                limits={"bursts": s.q, "length": s.step, "dst_gap": s.k * 32},
                extents=(((s.q - 1) * s.k + s.step) * WIDE, s.q * s.step * WIDE),
            )  # fmt: skip
        if mask is not None:
            self.softmax.mask(scores, mask, q, piece.count)
        return scores

    def _load_mask(self, block: _Block, piece: _Piece) -> Ref | None:
        kb, p, s = self.kb, self.p, self.s
        if block.item.mask is None:
            return None
        mask = kb.alloc("ub", s.q * s.k * FRACTAL, s.depth)
        source = block.item.mask + kb.linear(0, (block.row, p.n1 * FRACTAL), (piece.first, FRACTAL))
        kb.op(
            "copy_gm_to_ubuf", "", mask, source, bursts=block.q, length=kb.mul(piece.count, 16),
            src_gap=kb.mul(kb.sub(p.n1, piece.count), 16),
            limits={"bursts": s.q, "length": s.k * 16, "src_gap": p.n1 * 16},
            extents=(s.q * s.k * FRACTAL, ((s.q - 1) * p.n1 + s.k) * FRACTAL),
        )  # fmt: skip
        return mask

    # ------------------------------------------------------------------ probabilities · values
    def _keep_powers(self, block: _Block, piece: _Piece, powers: Ref, tile: Ref) -> None:
        """Probabilities UB → L1, one product behind the other."""
        kb, s, q = self.kb, self.s, block.q
        with kb.loop(kb.ceil_div(piece.count, s.step)) as number:
            inside, count = kb.mul(number, s.step), self._tail(s.step, piece.count, number)
            kb.op(
                "copy_ubuf_to_cbuf", "", tile + self._product_offset(inside, q), powers + kb.linear(0, (inside, FRACTAL)),
                bursts=q, length=kb.mul(count, 16), src_gap=kb.mul(kb.sub(piece.count, count), 16),
                limits={"bursts": s.q, "length": s.step * 16, "src_gap": s.k * 16},
                extents=(s.q * s.step * FRACTAL, ((s.q - 1) * s.k + s.step) * FRACTAL),
            )  # fmt: skip

    def _product_offset(self, inside: Index, q: Index) -> Linear:
        """Where probabilities of keys from `inside` on begin."""
        return self.kb.linear(0, (self._count(inside, q), FRACTAL))

    def _accumulate(self, block: _Block, piece: _Piece, tile: Ref, result: Ref, sums: Ref) -> None:
        """result += probabilities · values, sums += probabilities · ones.

        Probabilities stand keys first, so each fractal is turned on its way into L0A.
        """
        kb, p, s, q = self.kb, self.p, self.s, block.q
        with kb.loop(kb.ceil_div(piece.count, s.step)) as number:
            inside, count = kb.mul(number, s.step), self._tail(s.step, piece.count, number)
            fresh = self._flag(kb.add(piece.first, inside), 0)
            a0 = kb.alloc("l0a", s.q * s.step * FRACTAL, 2)
            kb.op(
                "load2d", "f16", a0, tile + self._product_offset(inside, q), repeat=self._count(q, count), transpose=1,
                limits={"repeat": s.q * s.step},
            )  # fmt: skip
            b0 = kb.alloc("l0b", s.step * p.e1 * FRACTAL, 2)
            kb.op(
                "load2d", "f16", b0, piece.value + kb.linear(0, (inside, p.e1 * FRACTAL)), repeat=kb.mul(count, p.e1),
                transpose=1, limits={"repeat": s.step * p.e1},
            )  # fmt: skip
            limits = {"m": s.q * 16, "k": s.step * 16, "init": 1}
            sizes: dict[str, Index] = {"m": kb.mul(q, 16), "k": kb.mul(count, 16), "init": fresh}
            kb.op("mad", "f32f16f16", result, a0, b0, n=p.e1 * 16, limits=limits, extents=None, **sizes)
            kb.op("mad", "f32f16f16", sums, a0, self.ones + self._ones_offset(piece, inside, count), n=16,
                  limits=limits, extents=None, **sizes)  # fmt: skip

    def _count(self, a: Index, b: Index) -> Index:
        """a · b, where both may be values."""
        kb = self.kb
        return kb.mul(a, b) if isinstance(a, int) or isinstance(b, int) else kb.mul(kb.value(a), kb.value(b))

    def _ones_offset(self, piece: _Piece, inside: Index, count: Index) -> Linear:
        """Where ones for `count` fractals of keys begin: the last keys end with the fractal that has zeros."""
        kb, s, p = self.kb, self.s, self.p
        if not p.key_tail:
            return Linear()
        last = self._flag(kb.add(kb.add(piece.first, inside), count), p.n1)
        skipped = kb.sub(s.step + 1, count)
        if isinstance(last, int):
            return kb.linear(0, (skipped if last else 0, FRACTAL))
        return kb.linear(0, (self._count(last, skipped), FRACTAL))

    # ------------------------------------------------------------------ result
    def _finish(self, block: _Block, result: Ref, sums: Ref) -> None:
        """result / sums → f16 → GM; rows that are padding become zeros."""
        kb, p, s, q = self.kb, self.p, self.s, block.q
        wide, total = kb.alloc("ub", s.q * p.e1 * WIDE), kb.alloc("ub", s.q * WIDE)
        for target, source, columns in ((wide, result, p.e1), (total, sums, 1)):
            kb.op(
                "copy_matrix_cc_to_ubuf", "f32", target, source, bursts=1, length=kb.mul(q, columns),
                limits={"length": s.q * columns},
            )  # fmt: skip
        self.softmax.divide(wide, total, q)
        halves = kb.alloc("ub", s.q * p.e1 * FRACTAL, s.depth)
        limit = s.q * 4
        for column in range(p.e1):
            kb.op(
                "vconv", "f322f16", halves + kb.linear(0, (q, column * FRACTAL)), wide + kb.linear(0, (q, column * WIDE)),
                repeat=kb.mul(q, 4), dst_rep=4, limits={"repeat": limit},
            )  # fmt: skip
        if p.padding_rows:
            self._zero_padding(block, halves)
        store = kb.op(
            "copy_ubuf_to_gm", "", block.item.result + kb.linear(0, (block.row, FRACTAL)), halves, bursts=p.e1,
            length=kb.mul(q, 16), dst_gap=kb.mul(kb.sub(p.m1, q), 16),
            limits={"length": s.q * 16, "dst_gap": p.m1 * 16},
            extents=(((p.e1 - 1) * p.m1 + s.q) * FRACTAL, s.q * p.e1 * FRACTAL),
        )  # fmt: skip
        mark_disjoint(store)

    def _zero_padding(self, block: _Block, halves: Ref) -> None:
        kb, p = self.kb, self.p
        end = kb.add(block.row, block.q)
        if isinstance(end, int):
            if end == p.m1:
                self._zero_rows(block, halves)
            return
        with kb.when(kb.equal(end, p.m1)):
            self._zero_rows(block, halves)

    def _zero_rows(self, block: _Block, halves: Ref) -> None:
        """The last rows of every column: two instructions of at most 8 rows."""
        kb, p, s = self.kb, self.p, self.s
        for part in range(0, p.padding_rows, 8):
            lanes = (1 << 16 * min(p.padding_rows - part, 8)) - 1
            low, high = lanes & (2**64 - 1), lanes >> 64
            signed = [bits - 2**64 if bits >> 63 else bits for bits in (low, high)]
            first = kb.add(kb.mul(block.q, 16), part - p.padding_rows)
            kb.op(
                "vector_dup", "f16", halves + kb.linear(0, (first, UNIT)), value=0, repeat=p.e1, dst_rep=kb.mul(block.q, 16),
                mask_lo=signed[0], mask_hi=signed[1], extents=(s.q * p.e1 * FRACTAL,),
            )  # fmt: skip
