"""Vector instructions over whole tiles in UB.

A tile is `rows` x `columns` elements; a value of the program covers it in one of four ways (`Value`): every
element, one 16-lane block per row, one row for all rows, or one block.  One instruction reaches 255 repeats
of 256 bytes with free strides, so a tile is covered by very few of them:

* contiguous against contiguous is one run: in counter mode a single instruction with the element count, else
  one with `repeat` and one masked tail;
* against a row or block broadcast either the repeats walk over the rows (a loop over 256-byte column chunks,
  the last chunk masked) or along one row (a loop over rows); whichever needs fewer instructions and keeps row
  pitches within the 8-bit stride fields.

A block broadcast has block stride 0: all 8 blocks of a repeat read the same 32 bytes.  16 lanes of f32 are
two blocks; where the lanes differ (channels of a blocked layout) even and odd blocks are two instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..runtime.isa.extents import lanes_of, operand_types, type_size
from ..runtime.isa.table import TABLE
from .kernel_builder import Index, KernelBuilder, Ref
from .vector_program import SIZES, raw_bits

BLOCK = 32
REPEAT_BYTES = 256
MAX_REPEAT = 255
MAX_STRIDE = 255
DRAIN = 25
"""Cycles until a dependent vector instruction may start [PYPTO].  Instructions on interleaved columns of the
same rows count as dependent: the sync pass compares hulls of bytes."""
ISSUE = 4
"""Scalar cycles of one iteration of a loop around one instruction."""
LANES = 16  # elements per row of a per-row value


@dataclass(frozen=True)
class Value:
    """Bytes in UB. `pitch` is the byte distance of rows (0: the same for all rows); `uniform`: all lanes of a
    block value are equal."""

    ref: Ref
    dtype: str
    rows: bool
    cols: bool
    pitch: int
    uniform: bool = True

    @property
    def size(self) -> int:
        return SIZES[self.dtype]


@dataclass(frozen=True)
class Count:
    """A number of elements: `n` (at most `limit`); for chips without counter mode also as `groups` whole
    groups of 128 and a static tail that is there when `has_tail` is 1."""

    n: Index
    limit: int
    groups: Index = 0
    tail: int = 0
    has_tail: Index = 0

    @staticmethod
    def of(n: int) -> Count:
        return Count(n, n)


@dataclass
class Tile:
    """The current tile: `rows` (at most `rows_limit`) of `columns`; `padded` is the static row length in UB
    when whole rows are held, 0 when a tile is a piece of one row."""

    rows: Index
    rows_limit: int
    columns: Count
    padded: int
    lanes: int

    @property
    def exact(self) -> int:
        """Columns of a whole row."""
        return self.columns.limit


def mask_bits(first: int, last: int) -> dict[str, int]:
    """Mask operands for lanes first … last-1."""
    bits = ((1 << last) - 1) & ~((1 << first) - 1)
    signed = [(b ^ (1 << 63)) - (1 << 63) for b in (bits >> 64, bits & (2**64 - 1))]
    return {"mask_hi": signed[0], "mask_lo": signed[1]}


@dataclass(frozen=True)
class _Form:
    """One operand of an instruction: address, element bytes, row pitch, and whether it is a repeated
    block."""

    ref: Ref
    size: int
    pitch: int
    block: bool
    step: int = 1  # every how many-th 16-lane position is taken (strided windows)


class TileEmitter:
    """Emits instructions on tiles of one shape."""

    def __init__(self, kb: KernelBuilder, tile: Tile) -> None:
        self.kb = kb
        self.soc = kb.soc
        self.tile = tile
        self.counter = kb.soc.core.has_counter_mode

    # ------------------------------------------------------------------ public
    def apply(
        self,
        op: str,
        optype: str,
        dst: Value,
        srcs: Sequence[Value],
        imm: float | None = None,
        exact: bool = False,
    ) -> None:
        """dst = op(srcs) over the part of the tile that dst covers; `exact` leaves row padding out."""
        types = operand_types(TABLE[op], optype) if op != "vector_dup" else (optype,)
        scale = max(1, dst.size // type_size(types[0]))  # bitwise ops: 16-bit lanes of wider elements
        forms = [self._form(v, type_size(t)) for v, t in zip((dst, *srcs), types, strict=True)]
        scalar: dict[str, int] = {}
        if imm is not None:
            scalar["value" if op == "vector_dup" else "scalar"] = raw_bits(imm, types[-1])
        emit = _Instruction(self, op, optype, types, scalar)
        halves = 1
        if self.tile.lanes and any(f.block and not v.uniform for f, v in zip(forms[1:], srcs, strict=True)):
            halves = LANES * max(type_size(t) for t in types) * scale // BLOCK
        if not dst.cols:
            self._per_row(emit, dst, forms, halves, scale)
        elif not dst.rows:
            columns = self.tile.columns
            if self.tile.padded:
                columns = Count.of(self.tile.exact if exact else self.tile.padded)
            emit.run(forms, self._scaled(columns, scale), halves)
        else:
            self._full(emit, forms, halves, scale, exact)

    def fill(self, dst: Value, value: float, first: int, last: int) -> None:
        """Fills columns first … last-1 of every row."""
        per = BLOCK // dst.size
        start = first // per * per
        while start < last:
            stop = min(last, start + REPEAT_BYTES // dst.size)
            forms = [_Form(dst.ref + start * dst.size, dst.size, dst.pitch, False)]
            emit = _Instruction(
                self, "vector_dup", dst.dtype, (dst.dtype,), {"value": raw_bits(value, dst.dtype)}
            )
            emit.rows_piece(
                forms, self.tile.rows, self.tile.rows_limit, max(0, first - start), stop - start, 1
            )
            start = stop

    def rows2d(
        self,
        op: str,
        dtype: str,
        operands: Sequence[tuple[Ref, int]],
        columns: int,
        imm: float | None = None,
        steps: Sequence[int] = (),
    ) -> None:
        """op over `columns` elements of each row; operands are (address, row pitch), destination first.

        `steps`: every how many-th 16-lane position of an operand is taken.
        """
        types = operand_types(TABLE[op], dtype)
        scalar = {} if imm is None else {"scalar": raw_bits(imm, types[-1])}
        emit = _Instruction(self, op, dtype, types, scalar)
        taken = steps or (1,) * len(operands)
        forms = [
            _Form(r, type_size(t), p, False, s) for (r, p), t, s in zip(operands, types, taken, strict=True)
        ]
        halves = LANES * max(type_size(t) for t in types) // BLOCK if any(s > 1 for s in taken) else 1
        emit.rows(forms, self.tile.rows, self.tile.rows_limit, columns, halves)

    # ------------------------------------------------------------------ cases
    def _form(self, v: Value, size: int) -> _Form:
        return _Form(v.ref, size, v.pitch, not v.cols)

    def _scaled(self, count: Count, scale: int) -> Count:
        if scale == 1:
            return count
        return Count(
            self.kb.mul(count.n, scale),
            count.limit * scale,
            self.kb.mul(count.groups, scale),
            count.tail * scale,
            count.has_tail,
        )

    def _per_row(self, emit: _Instruction, dst: Value, forms: list[_Form], halves: int, scale: int) -> None:
        """One 16-lane block per row: repeats walk over the rows, or a run when counter mode takes any
        count."""
        if not dst.rows:
            emit.run([replace(f, block=False) for f in forms], Count.of(LANES * scale), 1)
            return
        rows, limit = self.tile.rows, self.tile.rows_limit
        flat = all(f.pitch == LANES * f.size * scale for f in forms)
        if self.counter and flat:
            n = self.kb.mul(rows, LANES * scale)
            emit.run([replace(f, block=False) for f in forms], Count(n, limit * LANES * scale), 1)
            return
        emit.rows_piece([replace(f, block=False) for f in forms], rows, limit, 0, LANES * scale, 1)

    def _full(self, emit: _Instruction, forms: list[_Form], halves: int, scale: int, exact: bool) -> None:
        tile = self.tile
        if not tile.padded:  # a piece of one row
            emit.run(forms, self._scaled(tile.columns, scale), halves)
            return
        columns = (tile.exact if exact else tile.padded) * scale
        flat = all(not f.block and f.pitch == columns * f.size for f in forms)
        if tile.rows_limit == 1:
            emit.run(forms, Count.of(columns), halves)
        elif flat and self.counter:
            emit.run(forms, Count(self.kb.mul(tile.rows, columns), tile.rows_limit * columns), 1)
        else:
            emit.rows(forms, tile.rows, tile.rows_limit, columns, halves)


class _Instruction:
    """One mnemonic with its types and immediate, emitted over runs or rows."""

    def __init__(
        self, emitter: TileEmitter, op: str, optype: str, types: Sequence[str], scalar: dict[str, int]
    ) -> None:
        self.kb = emitter.kb
        self.counter = emitter.counter
        self.op, self.optype, self.scalar = op, optype, scalar
        self.lanes = lanes_of(tuple(types))
        self.names = [a.name for a in TABLE[op].addresses]

    def _emit(self, forms: Sequence[_Form], strides: dict[str, int], **values: Index) -> None:
        limits = {
            k.removeprefix("limit_"): v
            for k, v in values.items()
            if k.startswith("limit_") and isinstance(v, int)
        }
        plain = {k: v for k, v in values.items() if not k.startswith("limit_")}
        self.kb.op(
            self.op,
            self.optype,
            *(f.ref for f in forms),
            limits=limits,
            extents=None,
            **self.scalar,
            **strides,
            **plain,
        )

    def _strides(self, blocks: Sequence[int], reps: Sequence[int]) -> dict[str, int]:
        out: dict[str, int] = {}
        for name, blk, rep in zip(self.names, blocks, reps, strict=True):
            out[f"{name}_blk"], out[f"{name}_rep"] = blk, rep
        return out

    def run(self, forms: Sequence[_Form], count: Count, halves: int) -> None:
        """A contiguous run of elements; blocks repeat."""
        for half in range(halves):
            moved = [replace(f, ref=f.ref + half * BLOCK) for f in forms] if halves > 1 else list(forms)
            blocks = [0 if f.block else halves * f.step for f in moved]
            reps = [0 if f.block else halves * f.step * self.lanes * f.size // BLOCK for f in moved]
            self._run(moved, self._strides(blocks, reps), reps, count, halves)

    def _run(
        self, forms: list[_Form], strides: dict[str, int], reps: list[int], count: Count, halves: int
    ) -> None:
        if isinstance(count.n, int) and (not self.counter or count.n // halves <= MAX_REPEAT * self.lanes):
            self._static_run(forms, strides, reps, count.n // halves)
            return
        if self.counter:
            n = self.kb.div(count.n, halves)
            self._emit(forms, strides, repeat=1, count=n, limit_count=count.limit // halves)
            return
        per_group = 128 // self.lanes
        repeat = self.kb.div(self.kb.mul(count.groups, per_group), halves)
        limit = -(-count.limit // (self.lanes * halves))
        self._emit(forms, strides, repeat=repeat, limit_repeat=min(MAX_REPEAT, limit))
        if count.tail:
            self._dynamic_tail(forms, strides, reps, count, halves)

    def _dynamic_tail(
        self, forms: list[_Form], strides: dict[str, int], reps: list[int], count: Count, halves: int
    ) -> None:
        """The static tail behind a dynamic number of whole groups: repeat is 1 in the tile that has it,
        else 0."""
        done = self.kb.div(self.kb.mul(count.groups, 128 // self.lanes), halves)
        left = count.tail // halves
        whole, rest = divmod(left, self.lanes)
        for first, lanes, repeat in ((0, self.lanes, whole), (whole, rest, 1)):
            if not (repeat and lanes):
                continue
            moved = [
                f if f.block else replace(f, ref=f.ref + self.kb.linear(first * r * BLOCK, (done, r * BLOCK)))
                for f, r in zip(forms, reps, strict=True)
            ]
            times = self.kb.mul(count.has_tail, repeat)
            self._emit(moved, strides, repeat=times, limit_repeat=repeat, **mask_bits(0, lanes))

    def _static_run(self, forms: list[_Form], strides: dict[str, int], reps: list[int], n: int) -> None:
        whole, rest = divmod(n, self.lanes)
        chunks, last = divmod(whole, MAX_REPEAT)
        if chunks:
            with self.kb.loop(chunks) as i:
                moved = [
                    replace(f, ref=f.ref + self.kb.linear(0, (i, MAX_REPEAT * r * BLOCK)))
                    for f, r in zip(forms, reps, strict=True)
                ]
                self._emit(moved, strides, repeat=MAX_REPEAT)
        done = chunks * MAX_REPEAT
        for repeat, lanes in ((last, self.lanes), (1 if rest else 0, rest)):
            if not repeat:
                continue
            moved = [replace(f, ref=f.ref + done * r * BLOCK) for f, r in zip(forms, reps, strict=True)]
            self._emit(moved, strides, repeat=repeat, **(mask_bits(0, lanes) if lanes < self.lanes else {}))
            done += repeat

    def rows(self, forms: Sequence[_Form], rows: Index, limit: int, columns: int, halves: int) -> None:
        """The same columns of every row."""
        if limit == 1:
            self.run(forms, Count.of(columns), halves)
            return
        step = self.lanes * halves  # columns that one repeat advances
        chunks, rest = divmod(columns, step)
        fits = all(f.pitch // BLOCK <= MAX_STRIDE for f in forms) and limit <= MAX_REPEAT
        pieces = chunks + (1 if rest else 0)
        over = pieces * (limit + DRAIN) if pieces > 1 else limit
        along = limit * (max(chunks, ISSUE) + (ISSUE if rest and chunks else 0)) * halves + DRAIN
        if not fits or over > along:
            with self.kb.loop(rows) as r:
                self.run(
                    [replace(f, ref=f.ref + self.kb.linear(0, (r, f.pitch))) for f in forms],
                    Count.of(columns),
                    halves,
                )
            return
        if chunks:
            with self.kb.loop(chunks) as c:
                moved = [
                    f if f.block else replace(f, ref=f.ref + self.kb.linear(0, (c, step * f.step * f.size)))
                    for f in forms
                ]
                self.rows_piece(moved, rows, limit, 0, step, halves)
        if rest:
            moved = [f if f.block else replace(f, ref=f.ref + chunks * step * f.step * f.size) for f in forms]
            self.rows_piece(moved, rows, limit, 0, rest, halves)

    def rows_piece(
        self, forms: Sequence[_Form], rows: Index, limit: int, first: int, last: int, halves: int
    ) -> None:
        """Columns first … last-1 (within one repeat) of every row: one repeat per row."""
        for half in range(halves):
            moved = [replace(f, ref=f.ref + half * BLOCK) for f in forms] if halves > 1 else list(forms)
            blocks = [0 if f.block else halves * f.step for f in moved]
            masks = mask_bits(first, last // halves) if first or last // halves < self.lanes else {}
            if limit > MAX_REPEAT or any(f.pitch // BLOCK > MAX_STRIDE for f in moved):
                with self.kb.loop(rows) as r:
                    at = [replace(f, ref=f.ref + self.kb.linear(0, (r, f.pitch))) for f in moved]
                    self._emit(at, self._strides(blocks, [0] * len(at)), repeat=1, **masks)
                continue
            strides = self._strides(blocks, [f.pitch // BLOCK for f in moved])
            self._emit(moved, strides, repeat=rows, limit_repeat=limit, **masks)
