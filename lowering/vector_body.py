"""Runs a program on tiles: which nodes in which scope, buffers, loads and stores.

Nodes that depend neither on the row nor on the outer indices (a LayerNorm's scale, a dynamic scalar) are
computed once per kernel (`hoist`); the others per tile (`tile`), or, for rows longer than UB, in phases
(`phases`).  Temporaries are reused as soon as their last reader is done, in place where an instruction
allows; tiles that a DMA fills or drains are buffers of their own with two instances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..dialects import dtypes
from ..runtime.errors import AscendError
from .kernel_builder import Index, KernelBuilder, Ref
from .tails import row_period
from .vector_long import LONG_BYTES, long_room, narrow, widen
from .vector_program import NEUTRAL, REDUCTIONS, SIZES, Node
from .vector_reduce import reduce_rows
from .vector_space import Operand, Space
from .vector_tiles import BLOCK, LANES, Count, Tile, TileEmitter, Value
from .vector_transfer import (
    copy_run,
    expand,
    load_full,
    pack,
    packed_buffer,
    store_full,
    store_room,
    ub_buffer,
)
from .vector_window import Scales, pool_windows, window_scales

GM_ON_CHIP = {"bool": "u8", "u8": "u8", "i8": "s8", "f16": "f16", "f32": "f32", "i32": "s32", "i64": "s64"}
"""Element type of a tile as the DMA brings it."""


@dataclass(frozen=True)
class Place:
    """Where a tile lies in the iteration space."""

    outer: Sequence[Index]
    row: Index
    column: Index


@dataclass
class _Scope:
    """Values and free buffers of one block of the kernel."""

    emitter: TileEmitter
    padded: int
    depth: int
    values: dict[int, Value] = field(default_factory=dict[int, Value])
    free: dict[int, list[Ref]] = field(default_factory=dict[int, list[Ref]])
    owned: dict[int, int] = field(default_factory=dict[int, int])  # node → bytes of its reusable buffer
    uses: dict[int, int] = field(default_factory=dict[int, int])


class Body:
    """The program of a group on one kernel builder."""

    def __init__(self, kb: KernelBuilder, space: Space) -> None:
        self.kb = kb
        self.space = space
        self.nodes = space.nodes
        self.stores: dict[int, list[Operand]] = {}
        for node, operand in space.results:
            self.stores.setdefault(node, []).append(operand)
        self.fixed: dict[int, Value] = {}
        self.window_scales: Scales | None = None
        self.live = self._ancestors([n for n, _ in space.results], lambda _: True)

    # ------------------------------------------------------------------ which nodes
    def _ancestors(self, targets: Iterable[int], inside: Callable[[int], bool]) -> list[int]:
        """Targets and what they need, in program order, not looking behind nodes that are not `inside`."""
        seen: set[int] = set()
        stack = [t for t in targets if inside(t)]
        while stack:
            n = stack.pop()
            if n not in seen:
                seen.add(n)
                stack += [a for a in self.nodes[n].args if inside(a)]
        return sorted(seen)

    def _varies(self, n: int) -> tuple[bool, bool, bool]:
        return self.space.varies(self.nodes[n].mask)

    def _is_fixed(self, n: int, whole: bool) -> bool:
        outer, rows, cols = self._varies(n)
        if any(self._reduces_before(n)):
            return False
        return self.nodes[n].op == "splat" or (not outer and not rows and (whole or not cols))

    def _reduces_before(self, n: int) -> Iterable[bool]:
        return (self.nodes[a].is_reduction for a in self._ancestors([n], lambda _: True))

    # ------------------------------------------------------------------ entry points
    def hoist(self, tile: Tile, padded: int) -> None:
        """Computes what is the same for all tiles."""
        chosen = [n for n in self.live if self._is_fixed(n, padded > 0) or self.nodes[n].op == "lanes"]
        if self.space.reduced:
            chosen = [n for n in chosen if n not in self.stores]
        needed = {a for n in self.live for a in self.nodes[n].args if n not in chosen} | set(self.stores)
        scope = _Scope(TileEmitter(self.kb, tile), padded, 1)
        self.window_scales = (
            window_scales(self.kb, self.space.window) if self.space.window is not None else None
        )
        place = Place([0] * max(0, len(self.space.dims) - 2), 0, 0)
        self._count_uses(scope, chosen, needed)
        self._run(scope, chosen, place)
        self.fixed = {n: scope.values[n] for n in chosen if n in scope.values}

    def tile(self, tile: Tile, place: Place) -> None:
        """Loads, computes and stores one tile."""
        scope = _Scope(TileEmitter(self.kb, tile), tile.padded, 2, dict(self.fixed))
        self._place_lanes(scope, place)
        chosen = [n for n in self.live if n not in self.fixed]
        self._count_uses(scope, chosen, set(self.stores))
        self._run(scope, chosen, place)

    def phases(
        self, pieces: int, piece: Callable[[Index], tuple[Tile, Index]], outer: Sequence[Index], row: Index
    ) -> None:
        """One row in pieces: a pass over it for each generation of reductions, and one for the results."""
        kb = self.kb
        level = self._levels()
        place = Place(outer, row, 0)
        row_tile = Tile(1, 1, Count.of(LANES), LANES, self.space.lanes)
        row_scope = _Scope(TileEmitter(kb, row_tile), 0, 2, dict(self.fixed))
        self._place_lanes(row_scope, place)
        row_nodes = [
            n
            for n in self.live
            if n not in self.fixed and not self._varies(n)[2] and not self.nodes[n].is_reduction
        ]
        self._count_uses(row_scope, row_nodes, set(self.live))
        for current in range(max(level.values(), default=0) + 1):
            self._run(row_scope, [n for n in row_nodes if level[n] == current], place)
            targets = [n for n in self.live if self.nodes[n].is_reduction and level[n] == current + 1]
            if targets:
                self._accumulate(row_scope, targets, pieces, piece, outer, row)
        final = [n for n in self.stores if self._varies(n)[2]]
        if final:
            self._pass(row_scope, final, pieces, piece, outer, row, {})

    # ------------------------------------------------------------------ phases
    def _levels(self) -> dict[int, int]:
        """How many reductions stand one behind the other before each node."""
        level: dict[int, int] = {}
        for n in self.live:
            node = self.nodes[n]
            level[n] = max((level[a] for a in node.args), default=0) + (1 if node.is_reduction else 0)
        return level

    def _accumulate(
        self,
        row_scope: _Scope,
        targets: list[int],
        pieces: int,
        piece: Callable[[Index], tuple[Tile, Index]],
        outer: Sequence[Index],
        row: Index,
    ) -> None:
        tile, _ = piece(0)
        limit = -(-tile.columns.limit // LANES) * LANES
        emitter = TileEmitter(self.kb, Tile(1, 1, Count.of(limit), limit, self.space.lanes))
        sums: dict[int, Value] = {}
        for n in targets:
            dtype = self.nodes[n].dtype
            sums[n] = Value(ub_buffer(self.kb, limit * SIZES[dtype]), dtype, True, True, limit * SIZES[dtype])
            emitter.apply("vector_dup", dtype, sums[n], [], NEUTRAL[self.nodes[n].op])
        self._pass(row_scope, [self.nodes[n].args[0] for n in targets], pieces, piece, outer, row, sums)
        for n in targets:
            row_scope.values[n] = reduce_rows(emitter, self.nodes[n].op, sums[n], limit, limit, in_place=True)
            for operand in self.stores.get(n, ()):
                self._store(row_scope, row_scope.values[n], operand, Place(outer, row, 0))

    def _pass(
        self,
        row_scope: _Scope,
        targets: list[int],
        pieces: int,
        piece: Callable[[Index], tuple[Tile, Index]],
        outer: Sequence[Index],
        row: Index,
        sums: dict[int, Value],
    ) -> None:
        chosen = self._ancestors(targets, lambda n: n not in row_scope.values)
        with self.kb.loop(pieces) as j:
            tile, start = piece(j)
            place = Place(outer, row, start)
            scope = _Scope(TileEmitter(self.kb, tile), 0, 2, dict(row_scope.values))
            self._place_lanes(scope, place)
            self._count_uses(scope, chosen, set(targets))
            self._run(scope, chosen, place, store=not sums)
            for n, total in sums.items():
                source = scope.values[self.nodes[n].args[0]]
                scope.emitter.apply(REDUCTIONS[self.nodes[n].op], total.dtype, total, [total, source])

    # ------------------------------------------------------------------ running
    def _count_uses(self, scope: _Scope, chosen: list[int], kept: Iterable[int]) -> None:
        for n in chosen:
            for a in self.nodes[n].args:
                scope.uses[a] = scope.uses.get(a, 0) + 1
        for n in kept:
            scope.uses[n] = scope.uses.get(n, 0) + 1_000_000

    def _run(self, scope: _Scope, chosen: list[int], place: Place, store: bool = True) -> None:
        for n in chosen:
            if n in scope.values:
                continue
            node = self.nodes[n]
            self.kb.body_op = node.body_op
            if node.op == "load":
                scope.values[n] = self._load(scope, node, place)
            elif node.op == "window":
                scope.values[n] = self._windows(scope, n, place)
            elif node.op == "splat":
                scope.values[n] = self._splat(scope, node)
            elif node.op == "lanes":
                scope.values[n] = self._lane_mask(scope, node)
            elif node.is_reduction:
                self._reduce(scope, n, node)
            else:
                self._compute(scope, n, node)
            for a in dict.fromkeys(node.args):
                self._release(scope, a, node.args.count(a))
            if store and n in self.stores:
                for operand in self.stores[n]:
                    self._store(scope, scope.values[n], operand, place)

    def _release(self, scope: _Scope, n: int, times: int) -> None:
        scope.uses[n] = scope.uses.get(n, 0) - times
        size = scope.owned.get(n)
        if scope.uses[n] <= 0 and size is not None and n in scope.values:
            scope.free.setdefault(size, []).append(scope.values[n].ref)
            del scope.owned[n]

    def _shape(self, scope: _Scope, n: int, dtype: str) -> tuple[bool, bool, int, int]:
        """(varies along rows, along columns, row pitch, bytes) of a value in this scope's tile."""
        _, rows, cols = self._varies(n)
        tile, size = scope.emitter.tile, SIZES[dtype]
        if cols:
            length = tile.padded or -(-tile.columns.limit // LANES) * LANES
            full = rows or len(self.space.dims) == 1 or tile.rows_limit == 1
            pitch = length * size
            return full, True, pitch if full else 0, pitch * (tile.rows_limit if full else 1)
        pitch = LANES * size
        return rows, False, pitch if rows else 0, pitch * (tile.rows_limit if rows else 1)

    def _temporary(self, scope: _Scope, n: int, dtype: str) -> Value:
        rows, cols, pitch, size = self._shape(scope, n, dtype)
        spare = scope.free.get(size)
        ref = spare.pop() if spare else ub_buffer(self.kb, size)
        scope.owned[n] = size
        return Value(ref, dtype, rows, cols, pitch, not self.space.lanes or cols)

    def _compute(self, scope: _Scope, n: int, node: Node) -> None:
        sources = [scope.values[a] for a in node.args]
        stored = self.stores.get(n) if scope.depth == 2 else None
        if stored and any(self._varies(n)[2:]) and GM_ON_CHIP[stored[0].gm_type] == node.dtype:
            rows, cols, pitch, size = self._shape(scope, n, node.dtype)
            room = store_room(scope.emitter.tile, dtypes.size_of(stored[0].gm_type), pitch)
            target = Value(ub_buffer(self.kb, max(size, room), depth=2), node.dtype, rows, cols, pitch)
        else:
            target = self._in_place(scope, n, node) or self._temporary(scope, n, node.dtype)
        if node.op == "vconv":
            scope.emitter.apply("vconv", str(node.imm), target, sources)
        else:
            imm = float(node.imm) if isinstance(node.imm, int | float) else None
            scope.emitter.apply(node.op, node.optype, target, sources, imm)
        scope.values[n] = target

    def _in_place(self, scope: _Scope, n: int, node: Node) -> Value | None:
        """The buffer of an operand that dies here and has the same form."""
        want = self._shape(scope, n, node.dtype)
        for a in dict.fromkeys(node.args):
            value = scope.values[a]
            dies = scope.uses.get(a, 0) == node.args.count(a)
            if dies and a in scope.owned and self._shape(scope, a, value.dtype) == want:
                scope.owned[n] = scope.owned.pop(a)
                return Value(value.ref, node.dtype, value.rows, value.cols, value.pitch, value.uniform)
        return None

    def _reduce(self, scope: _Scope, n: int, node: Node) -> None:
        a = node.args[0]
        dies = scope.uses.get(a, 0) == 1 and a in scope.owned
        scope.values[n] = reduce_rows(
            scope.emitter, node.op, scope.values[a], self.space.columns, scope.padded, in_place=dies
        )

    # ------------------------------------------------------------------ constants
    def _splat(self, scope: _Scope, node: Node) -> Value:
        ref = ub_buffer(self.kb, LANES * SIZES[node.dtype])
        value = Value(ref, node.dtype, False, False, 0)
        scope.emitter.apply(
            "vector_dup", node.dtype, value, [], float(node.imm) if isinstance(node.imm, int | float) else 0.0
        )
        return value

    def _lane_mask(self, scope: _Scope, node: Node) -> Value:
        """All-ones where lanes (or rows of a matrix) hold data, zero in padding, for the whole varying
        dim."""
        space, size = self.space, SIZES[node.dtype]
        varying = [i for i, m in enumerate(node.mask) if m]
        blocks = space.dims[varying[0]] if varying else 1
        valid = (blocks - 1) * LANES + space.lane_tail if node.imm == "lanes" else space.row_tail * LANES
        ref = ub_buffer(self.kb, blocks * LANES * size)
        run = TileEmitter(self.kb, Tile(1, 1, Count.of(blocks * LANES), 0, 0))
        value = Value(ref, node.dtype, False, True, 0)
        run.apply("vector_dup", node.dtype, value, [], 0.0)
        run = TileEmitter(self.kb, Tile(1, 1, Count.of(valid), 0, 0))
        run.apply("vector_dup", node.dtype, value, [], -1.0)
        return Value(ref, node.dtype, False, False, 0, uniform=False)

    def _place_lanes(self, scope: _Scope, place: Place) -> None:
        """Lane masks cover a whole dimension: the tile sees its part."""
        for n, value in self.fixed.items():
            node = self.nodes[n]
            if node.op != "lanes":
                continue
            outer, rows, cols = self._varies(n)
            size = SIZES[node.dtype]
            indices: list[Index] = [*place.outer, place.row]
            block = LANES * size
            terms = [(i, block) for i, m in zip(indices, node.mask[:-1], strict=False) if m]
            column = [(place.column, size)] if cols else []
            ref = value.ref + self.kb.linear(0, *terms, *column)
            pitch = block if rows else 0
            if cols and not outer and not rows:
                scope.values[n] = Value(ref, node.dtype, scope.emitter.tile.rows_limit == 1, True, 0)
            else:
                scope.values[n] = Value(ref, node.dtype, rows, cols, pitch, uniform=False)

    def _windows(self, scope: _Scope, n: int, place: Place) -> Value:
        assert self.space.window is not None
        if n in self.stores:
            rows, cols, pitch, size = self._shape(scope, n, "f16")
            target = Value(ub_buffer(self.kb, size, depth=2), "f16", rows, cols, pitch)
        else:
            target = self._temporary(scope, n, "f16")
        pool_windows(scope.emitter, self.space, place.outer, place.row, target, self.window_scales)
        return target

    # ------------------------------------------------------------------ transfers
    def _address(self, operand: Operand, place: Place) -> Ref:
        size = dtypes.size_of(operand.gm_type)
        strides = self.space.strides(operand.mask)
        indices: list[Index] = [*place.outer, place.row] if len(self.space.dims) > 1 else []
        terms = [(i, s * size) for i, s in zip(indices, strides[:-1], strict=True) if s]
        if strides[-1]:
            terms.append((place.column, size))
        return self.kb.args[operand.argument] + self.kb.linear(0, *terms)

    def _load(self, scope: _Scope, node: Node, place: Place) -> Value:
        operand = self.space.operands[int(node.imm or 0)]
        dtype = GM_ON_CHIP.get(operand.gm_type)
        if dtype is None:
            raise AscendError("E40021", f"vector groups load no {operand.gm_type} data")
        n = self.nodes.index(node)
        source = self._address(operand, place)
        _, rows, cols = self._varies(n)
        if cols or dtype == "s64":  # a single i64 number varies along nothing
            return self._load_columns(scope, n, node, source, dtype)
        if self.space.lanes:
            return self._load_blocks(scope, n, node, source, dtype)
        return self._load_packed(scope, node, source, dtype, rows)

    def _load_columns(self, scope: _Scope, n: int, node: Node, source: Ref, dtype: str) -> Value:
        tile = scope.emitter.tile
        if dtype == "s64":
            return self._load_long(scope, n, source)
        rows, cols, pitch, size = self._shape(scope, n, dtype)
        raw = Value(ub_buffer(self.kb, size, depth=scope.depth), dtype, rows, cols, pitch)
        part = tile if rows else Tile(1, 1, tile.columns, tile.padded, tile.lanes)
        load_full(self.kb, raw.ref, source, part, 1 if dtype in ("u8", "s8") else SIZES[dtype], pitch)
        value = raw
        if dtype != node.dtype:
            value = self._temporary(scope, n, node.dtype)
            scope.emitter.apply("vconv", f"{dtype}2{node.dtype}", value, [raw], exact=True)
        if tile.padded > tile.exact:
            filler = scope.emitter if rows else TileEmitter(self.kb, part)
            filler.fill(value, 0.0, tile.exact, tile.padded)
        return value

    def _load_long(self, scope: _Scope, n: int, source: Ref) -> Value:
        """i64 numbers as s32."""
        columns = self._long_columns(scope)
        raw = ub_buffer(self.kb, long_room(columns.limit), scope.depth)
        copy_run(self.kb, "copy_gm_to_ubuf", raw, source, columns.n, columns.limit, LONG_BYTES)
        out = ub_buffer(self.kb, long_room(columns.limit) // 2)
        narrow(self.kb, raw, out, columns.limit)
        rows, cols, pitch, _ = self._shape(scope, n, "s32")
        if not cols:  # one number: a block of equal lanes
            out = expand(self.kb, out, "s32", 1, 1)
        return Value(out, "s32", rows, cols, pitch)

    def _long_columns(self, scope: _Scope) -> Count:
        if len(self.space.dims) > 1 or self.space.lanes:
            raise AscendError("E40021", "i64 data that is broadcast in a vector group")
        if self.space.columns == 1:
            return Count.of(1)
        return scope.emitter.tile.columns

    def _store_long(self, scope: _Scope, value: Value, target: Ref) -> None:
        columns = self._long_columns(scope)
        room = long_room(columns.limit)
        numbers, signs = ub_buffer(self.kb, room // 2), ub_buffer(self.kb, room // 2)
        copy, sign = (Value(ref, "s32", True, True, value.pitch) for ref in (numbers, signs))
        limits: list[Value] = []
        for bound in (-1.0, 0.0):
            splat = Value(ub_buffer(self.kb, LANES * 4), "s32", False, False, 0)
            scope.emitter.apply("vector_dup", "s32", splat, [], bound)
            limits.append(splat)
        scope.emitter.apply("vor", "u16", copy, [value, value])
        scope.emitter.apply("vmax", "s32", sign, [value, limits[0]])
        scope.emitter.apply("vmin", "s32", sign, [sign, limits[1]])
        out = ub_buffer(self.kb, room, 2)
        widen(self.kb, numbers, signs, out, columns.limit)
        copy_run(self.kb, "copy_ubuf_to_gm", target, out, columns.n, columns.limit, LONG_BYTES)

    def _load_blocks(self, scope: _Scope, n: int, node: Node, source: Ref, dtype: str) -> Value:
        """One 16-lane block per row of a blocked layout."""
        rows, _, pitch, size = self._shape(scope, n, dtype)
        value = Value(ub_buffer(self.kb, size, depth=scope.depth), dtype, rows, False, pitch, uniform=False)
        tile = scope.emitter.tile
        count = self.kb.mul(tile.rows, LANES) if rows else LANES
        copy_run(
            self.kb,
            "copy_gm_to_ubuf",
            value.ref,
            source,
            count,
            tile.rows_limit * LANES if rows else LANES,
            SIZES[dtype],
        )
        if dtype != node.dtype:
            raise AscendError("E40021", f"{dtype} data in a blocked layout")
        return value

    def _load_packed(self, scope: _Scope, node: Node, source: Ref, dtype: str, rows: bool) -> Value:
        """One element per row in ND."""
        kb, tile = self.kb, scope.emitter.tile
        count, limit = (tile.rows, tile.rows_limit) if rows else (1, 1)
        size = 1 if dtype in ("u8", "s8") else SIZES[dtype]
        if dtype == node.dtype:
            packed = packed_buffer(kb, limit, dtype, scope.depth)
            copy_run(kb, "copy_gm_to_ubuf", packed, source, count, limit, size)
        else:
            raw = ub_buffer(kb, -(-limit // BLOCK) * BLOCK, scope.depth)
            if not isinstance(count, int) and not kb.soc.core.has_counter_mode:
                # a number of elements that is known at run time only would need a mask that is too
                raise AscendError("E40021", f"{dtype} numbers per row, in rows that cores share")
            copy_run(kb, "copy_gm_to_ubuf", raw, source, count, limit, size)
            packed = packed_buffer(kb, limit, node.dtype)
            strip = TileEmitter(kb, Tile(1, 1, Count(count, limit), 0, 0))
            strip.apply(
                "vconv",
                f"{dtype}2{node.dtype}",
                Value(packed, node.dtype, False, True, 0),
                [Value(raw, dtype, False, True, 0)],
            )
        pitch = LANES * SIZES[node.dtype]
        return Value(
            expand(kb, packed, node.dtype, count, limit), node.dtype, rows, False, pitch if rows else 0
        )

    def _store(self, scope: _Scope, value: Value, operand: Operand, place: Place) -> None:
        kb, tile = self.kb, scope.emitter.tile
        target = self._address(operand, place)
        dtype = GM_ON_CHIP[operand.gm_type]
        size = dtypes.size_of(operand.gm_type)
        _, rows, cols = self.space.varies(operand.mask)
        if dtype == "s64":
            self._store_long(scope, value, target)
            return
        if cols:
            value = self._for_store(scope, value, dtype)
            store_full(kb, target, value.ref, tile, size, value.pitch, exact=self._ends_inside(tile, size))
            return
        count, limit = (tile.rows, tile.rows_limit) if rows else (1, 1)
        if self.space.lanes:
            value = self._for_store(scope, value, dtype)
            copy_run(kb, "copy_ubuf_to_gm", target, value.ref, kb.mul(count, LANES), limit * LANES, size)
            return
        packed = pack(kb, value, count, limit, 2)
        if dtype != value.dtype:
            if not isinstance(count, int) and not kb.soc.core.has_counter_mode:
                raise AscendError("E40021", f"a reduced result of type {operand.gm_type} in several rows")
            out = ub_buffer(kb, -(-limit * size // BLOCK) * BLOCK, 2)
            strip = TileEmitter(kb, Tile(1, 1, Count(count, limit), 0, 0))
            source = Value(packed, value.dtype, False, True, 0)
            strip.apply("vconv", f"{value.dtype}2{dtype}", Value(out, dtype, False, True, 0), [source])
            packed = out
        copy_run(kb, "copy_ubuf_to_gm", target, packed, count, limit, size)

    def _ends_inside(self, tile: Tile, size: int) -> bool:
        """Whether other rows of the tensor follow a tile that is no whole period of `tails.row_period`."""
        rows = self.space.rows
        period = row_period(self.space.columns * size, BLOCK if size == 1 else LANES)
        return (len(self.space.dims) > 2 and rows % period > 0) or (
            tile.rows_limit < rows and tile.rows_limit % period > 0
        )

    def _for_store(self, scope: _Scope, value: Value, dtype: str) -> Value:
        """In a buffer with two instances, in the type of the tensor."""
        owner = value.ref.base.owner
        depth = getattr(owner, "ring_depth", 1)
        if dtype == value.dtype and depth == 2 and not self._is_load(scope, value):
            return value
        tile = scope.emitter.tile
        size = SIZES[dtype]
        length = tile.padded or -(-tile.columns.limit // LANES) * LANES
        if not value.cols:
            length = LANES
        room = store_room(tile, size, length * size) if value.cols else 0
        ref = ub_buffer(self.kb, max(room, length * size * (tile.rows_limit if value.rows else 1)), depth=2)
        out = Value(ref, dtype, value.rows, value.cols, length * size if value.rows else 0, value.uniform)
        if dtype == value.dtype:
            scope.emitter.apply("vor", "u16", out, [value, value])
        else:
            scope.emitter.apply("vconv", f"{value.dtype}2{dtype}", out, [value])
        return out

    def _is_load(self, scope: _Scope, value: Value) -> bool:
        return any(self.nodes[n].op == "load" and v is value for n, v in scope.values.items())
