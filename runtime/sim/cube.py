"""The cube: L0A, L0B, L0C and `mad`.

L0A and L0B hold numbers, not bytes: fp64 (bytes: fp32) values of each 512-byte fractal, converted once by
the load that writes them. `mad` needs matrices; the matrix of an operand is built at its first use (or
delivered complete by load3d) and kept until a load overwrites one of its fractals. L0C keeps each
accumulator as an (m, n) matrix behind its address and turns it into bytes only for reads of another shape
or type.

Numbers (decision D22): products and their sum are exact in fp64 for all ordinary fp16 values, so one mad
is fp32(C + exact sum), rounded once, whatever the BLAS library. int8 needs no fp64: sums of up to `_EXACT`
products stay below 2^24, so fp32 holds them exactly; longer ones are added as integers. Operands of bf16, fp32
and HF32 (split chips) have so wide a range that fp64 sums depend on their order: they are added in the order of k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..isa.extents import cube_types
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array, half_to_double

if TYPE_CHECKING:
    from .memory import Core, L1Memory

FRACTAL = 512
_K0 = {"f16": 16, "s8": 32, "u8": 32, "bf16": 16, "f32": 8, "h32": 8}
_IN_ORDER = frozenset(("bf16", "f32", "h32"))  # operands whose sums are not exact in fp64 whatever the order
NUMBERS = {"f16": np.float64, "s8": np.float32, "u8": np.float32}  # what L0 keeps: see module docstring


@dataclass(slots=True, eq=False)
class _Matrix:
    """Fractals [first, first + rows·cols) as a matrix of rows × cols fractals."""

    first: int
    rows: int
    cols: int
    kind: str
    values: Array
    stored: bool  # the fractals hold the same values
    transposed: bool  # in memory
    end: int


def _rows_of(matrix: _Matrix, first: int, rows: int) -> Array:
    """The values of `rows` rows of fractals, those from fractal `first` on."""
    if rows == matrix.rows:
        return matrix.values
    top = (first - matrix.first) // matrix.cols
    return matrix.values[top * 16 : (top + rows) * 16]


@dataclass(slots=True, eq=False)
class Link:
    """Fractals [first, first + count) are those at byte `at` of L1, not copied yet.  L1 calls `settle` when
    it is about to overwrite them."""

    owner: OperandMemory
    first: int
    count: int
    at: int
    l1: L1Memory

    @property
    def end(self) -> int:
        return self.first + self.count

    def settle(self) -> None:
        """Copy the values after all."""
        self.owner.settle_link(self)


class OperandMemory:
    """L0A (`rows_outer`: fractal = row·cols + col, Zz) or L0B (fractal = col·rows + row, Zn)."""

    def __init__(self, size: int, *, rows_outer: bool) -> None:
        self._rows_outer = rows_outer
        count = size // FRACTAL
        self._halves = np.zeros((count, 256), np.float64)
        self._bytes: Array | None = None
        self._count = count
        self._kinds = ["f16"] * count
        self._matrices: list[_Matrix] = []
        self._links: list[Link] = []
        self.filled: _Matrix | None = None
        """The matrix that the last slot is part of."""
        self.repeats: dict[object, Any] = {}
        """What loads into slots keep, to do the same again; forgotten when a matrix or link comes or goes."""

    def link(self, first: int, count: int, at: int, l1: L1Memory) -> None:
        """Fractals of halves from `first` on become those at byte `at` of L1, without a copy."""
        for link in self._links:
            if link.first == first and link.count == count and link.l1 is l1:
                link.at = at
                if self._matrices:
                    self._drop_matrices(first, first + count, overwritten=True)
                return
        self._drop(first, first + count, overwritten=True)
        self._kinds[first : first + count] = ["f16"] * count
        self.repeats.clear()
        made = Link(self, first, count, at, l1)
        self._links.append(made)
        l1.links.append(made)

    def settle_link(self, link: Link) -> None:
        """Copy what `link` stands for and forget it."""
        self._unlink(link)
        halves = link.l1.data[link.at : link.at + link.count * FRACTAL].view("<f2").reshape(-1, 256)
        half_to_double(halves, self._halves[link.first : link.end])

    def _unlink(self, link: Link) -> None:
        self.repeats.clear()
        self._links.remove(link)
        link.l1.links.remove(link)

    def write(self, first: int, values: Array, kind: str, step: int = 1) -> None:
        """`values` (fractals × elements, fp64) become fractals first, first + step, …"""
        count = len(values)
        end = first + (count - 1) * step + 1
        self._drop(first, end, overwritten=step == 1)
        self._plane(kind)[first:end:step] = values
        self._kinds[first:end:step] = [kind] * count

    def slot(self, first: int, rows: int, cols: int, kind: str, *, transposed: bool) -> Array:
        """An fp64 matrix (rows·16, cols·k0) to fill for the fractals from `first` on."""
        end = first + rows * cols
        reuse: _Matrix | None = None
        others = bool(self._links)
        for matrix in self._matrices:
            if matrix.end <= first or end <= matrix.first:
                continue
            if (
                reuse is None
                and matrix.transposed == transposed
                and self._holds(matrix, first, rows, cols, kind)
            ):
                reuse = matrix
            else:
                others = True
        if others:
            self._drop(first, end, overwritten=True, keep=reuse)
        if reuse is not None:
            reuse.stored = False
            self.filled = reuse
            return _rows_of(reuse, first, rows)
        shape = (rows * 16, cols * _K0[kind])
        dtype = NUMBERS[kind]
        values = np.empty(shape[::-1], dtype).T if transposed else np.empty(shape, dtype)
        self.repeats.clear()
        self.filled = _Matrix(first, rows, cols, kind, values, False, transposed, end)
        self._matrices.append(self.filled)
        self._kinds[first:end] = [kind] * (end - first)
        return values

    def matrix(self, first: int, rows: int, cols: int, kind: str) -> Array:
        """The (rows·16, cols·k0) matrix that lies in the fractals from `first` on."""
        for matrix in self._matrices:
            if self._holds(matrix, first, rows, cols, kind):
                return _rows_of(matrix, first, rows)
        end = first + rows * cols
        for link in self._links:
            if link.first <= first and end <= link.first + link.count and kind == "f16":
                return self._linked(link.l1, link.at + (first - link.first) * FRACTAL, rows, cols)
        fractals = self.read(first, rows * cols, kind).reshape(rows * cols, 16, -1)
        made = np.ascontiguousarray(self.blocks(fractals, rows, cols)).reshape(rows * 16, -1)
        self.repeats.clear()
        # Loads may have delivered it in parts: from now on they write into the whole.
        self._matrices = [part for part in self._matrices if part.first < first or end < part.end]
        self._matrices.append(_Matrix(first, rows, cols, kind, made, True, False, end))
        return made

    def _holds(self, matrix: _Matrix, first: int, rows: int, cols: int, kind: str) -> bool:
        """Whether rows × cols fractals from `first` on are `matrix`, or some of its rows where rows lie together."""
        if matrix.kind != kind or matrix.cols != cols:
            return False
        if matrix.first == first and matrix.rows == rows:
            return True
        inside = matrix.first <= first and first + rows * cols <= matrix.end
        return self._rows_outer and inside and not (first - matrix.first) % cols and not matrix.transposed

    def _linked(self, l1: L1Memory, at: int, rows: int, cols: int) -> Array:
        """The matrix of fractals that lie in L1: made once for all who use these bytes."""
        found = l1.matrix(at, rows, cols, self._rows_outer)
        if found is None:
            found = self._convert(l1.data[at : at + rows * cols * FRACTAL], rows, cols)
            l1.keep_matrix(at, rows, cols, self._rows_outer, found)
        return found

    def _convert(self, raw: Array, rows: int, cols: int) -> Array:
        """The fp64 matrix of the bytes of fractals of halves."""
        blocks = self.blocks(raw.view("<f2").reshape(rows * cols, 16, 16), rows, cols)
        if self._rows_outer:
            return np.array(blocks, np.float64, order="C").reshape(rows * 16, cols * 16)
        # L0B lies as k × n: BLAS is 1.6 times as fast on small tiles then.
        turned = np.array(blocks.transpose(2, 3, 0, 1), np.float64, order="C")
        return turned.reshape(cols * 16, rows * 16).T

    def read(self, first: int, count: int, kind: str) -> Array:
        """Fractals as fp64 values (count, elements)."""
        self._store(first, first + count)
        for link in [link for link in self._links if link.first < first + count and first < link.end]:
            self.settle_link(link)
        wrong = {other for other in self._kinds[first : first + count] if other != kind}
        if wrong:
            self._drop_matrices(first, first + count, overwritten=False)  # they are of the other type
            self._reinterpret(first, count, kind)
        return self._plane(kind)[first : first + count]

    def _plane(self, kind: str) -> Array:
        if kind == "f16":
            return self._halves
        if self._bytes is None:
            self._bytes = np.zeros((self._count, 512), np.float32)
        return self._bytes

    def blocks(self, fractals: Array, rows: int, cols: int) -> Array:
        """(fractal, 16, k0) → (row, 16, col, k0)."""
        if self._rows_outer:
            return fractals.reshape(rows, cols, 16, -1).transpose(0, 2, 1, 3)
        return fractals.reshape(cols, rows, 16, -1).transpose(1, 2, 0, 3)

    def _store(self, first: int, end: int) -> None:
        for matrix in self._matrices:
            if matrix.stored or matrix.end <= first or matrix.first >= end:
                continue
            blocks = matrix.values.reshape(matrix.rows, 16, matrix.cols, -1)
            order = (0, 2, 1, 3) if self._rows_outer else (2, 0, 1, 3)
            plane = self._plane(matrix.kind)[matrix.first : matrix.end]
            plane[...] = blocks.transpose(order).reshape(matrix.rows * matrix.cols, -1)
            matrix.stored = True

    def _drop(self, first: int, end: int, *, overwritten: bool, keep: _Matrix | None = None) -> None:
        """Forget matrices but `keep` that overlap [first, end); what is not overwritten goes to the fractals first."""
        for link in self._links[:] if self._links else ():
            if first < link.end and link.first < end:
                if overwritten and first <= link.first and link.end <= end:
                    self._unlink(link)
                else:
                    self.settle_link(link)
        self._drop_matrices(first, end, overwritten=overwritten, keep=keep)

    def _drop_matrices(self, first: int, end: int, *, overwritten: bool, keep: _Matrix | None = None) -> None:
        for matrix in self._matrices[:] if self._matrices else ():
            last = matrix.end
            if first < last and matrix.first < end and matrix is not keep:
                if not (overwritten and first <= matrix.first and last <= end):
                    self._store(matrix.first, last)
                self.repeats.clear()
                self._matrices.remove(matrix)

    def _reinterpret(self, first: int, count: int, kind: str) -> None:
        """Fractals loaded as one type are used as another: go through their bytes."""
        for at in range(first, first + count):
            old = self._kinds[at]
            if old != kind:
                raw = self._plane(old)[at].astype(DTYPES[old]).view(DTYPES[kind])
                self._plane(kind)[at] = raw
                self._kinds[at] = kind


@dataclass(slots=True)
class _Accumulator:
    """L0C bytes [low, high) as an (m1·16, n1·16) matrix of `kind`; f16 accumulators are kept as fp32."""

    low: int
    high: int
    m1: int
    n1: int
    kind: str
    values: Array

    def fractals(self) -> Array:
        """The same values as (n1, m1, 16, 16), a view."""
        return self.values.reshape(self.m1, 16, self.n1, 16).transpose(2, 0, 1, 3)


def fractal_bytes(kind: str) -> int:
    """Bytes of a 16×16 accumulator fractal."""
    return 256 * DTYPES[kind].itemsize


class AccumulatorMemory:
    """L0C, layout Nz: fractal (no, mo) of an accumulator is number no·m1 + mo."""

    def __init__(self, size: int) -> None:
        self._data = np.zeros(size, np.uint8)
        self._tiles: list[_Accumulator] = []

    def accumulator(self, low: int, m1: int, n1: int, kind: str) -> Array:
        """The matrix at address `low`, to be changed in place."""
        for tile in self._tiles:
            if tile.low == low and tile.m1 == m1 and tile.n1 == n1 and tile.kind == kind:
                return tile.values
        high = low + m1 * n1 * fractal_bytes(kind)
        self._settle(low, high)
        stored = self._data[low:high].view(DTYPES[kind]).reshape(n1, m1, 16, 16).transpose(1, 2, 0, 3)
        dtype = np.float32 if kind == "f16" else DTYPES[kind]
        values = np.array(stored, dtype, order="C").reshape(m1 * 16, n1 * 16)
        self._tiles.append(_Accumulator(low, high, m1, n1, kind, values))
        return values

    def read(self, low: int, index: Array, kind: str) -> Array:
        """Fractals (bursts, length, 16, 16) number `index` (bursts, length) counted from `low`."""
        inside = self._inside(low, index, kind)
        if inside is not None:
            return inside[0][inside[1:]]
        high = low + (int(index[-1, -1]) + 1) * fractal_bytes(kind)
        self._settle(low, high)
        return self._data[low:high].view(DTYPES[kind]).reshape(-1, 16, 16)[index]

    def write(self, low: int, index: Array, kind: str, values: Array) -> None:
        """`values`, broadcast to (bursts, length, 16, 16), become the fractals `index` from `low` on."""
        inside = self._inside(low, index, kind)
        if inside is not None:
            inside[0][inside[1:]] = values
            return
        high = low + (int(index[-1, -1]) + 1) * fractal_bytes(kind)
        self._settle(low, high)
        self._data[low:high].view(DTYPES[kind]).reshape(-1, 16, 16)[index] = values

    def elements(self, low: int, m: int, n: int, stride: int, kind: str) -> Array:
        """(m, n) values from byte `low` on; columns of 16 are `stride` rows of 16 elements apart."""
        size = DTYPES[kind].itemsize
        columns = -(-n // 16)
        high = low + (((columns - 1) * stride + m - 1) * 16 + min(n, 16)) * size
        self._settle(low, high)
        end = min(len(self._data), high + 16 * size)
        found = np.empty((m, columns * 16), DTYPES[kind])
        for column in range(columns):
            at = low + column * stride * 16 * size
            width = min(16, n - column * 16)
            rows = np.ndarray((m, width), DTYPES[kind], self._data[:end], at, (16 * size, size))
            found[:, column * 16 : column * 16 + width] = rows
        return found[:, :n]

    def _inside(self, low: int, index: Array, kind: str) -> tuple[Array, slice | Array, slice | Array] | None:
        """(view, no, mo) when one tile of `kind` holds all the fractals."""
        unit = fractal_bytes(kind)
        high = low + (int(index[-1, -1]) + 1) * unit
        for tile in self._tiles:
            if tile.low <= low and high <= tile.high and tile.kind == kind and (low - tile.low) % unit == 0:
                first = (low - tile.low) // unit
                bursts, length = index.shape
                mo = first % tile.m1
                step = int(index[1, 0]) if bursts > 1 else tile.m1
                if step == tile.m1 and mo + length <= tile.m1:
                    no = first // tile.m1
                    return tile.fractals(), slice(no, no + bursts), slice(mo, mo + length)
                number = index + first
                return tile.fractals(), number // tile.m1, number % tile.m1
        return None

    def _settle(self, low: int, high: int) -> None:
        """Tiles that overlap [low, high) become bytes."""
        kept: list[_Accumulator] = []
        for tile in self._tiles:
            if tile.high <= low or tile.low >= high:
                kept.append(tile)
                continue
            stored = self._data[tile.low : tile.high].view(DTYPES[tile.kind])
            stored.reshape(tile.n1, tile.m1, 16, 16)[...] = tile.fractals()
        self._tiles = kept


_EXACT = {"s32s8s8": 1024, "s32u8s8": 512, "s32u8u8": 256, "u32u8u8": 256}  # k whose sums stay within 2^24


def make_mad(record: Decoded, soc: Soc) -> Executor:
    """C[m, n] (+)= A[m, k] · B[k, n]."""
    rules = Rules(record, soc)
    kind, a_kind, b_kind = cube_types(record.dtype)
    k0 = _K0[a_kind]
    in_order = a_kind in _IN_ORDER
    with_bias = record.mnemonic == "mad_bias"
    exact = _EXACT.get(record.dtype, 0)
    checked: set[tuple[Ints, Ints]] = set()
    scratch: dict[tuple[int, int], Array] = {}

    def check(addresses: Ints, fields: Ints) -> None:
        rules.check_fields(fields)
        m, k, n = fields[:3]
        m1, k1, n1 = -(-m // 16), -(-k // k0), -(-n // 16)
        rules.check_range(0, addresses[0], m1 * n1 * fractal_bytes(kind), fractal_bytes(kind))
        rules.check_range(1, addresses[1], -(-k1 // 16) * FRACTAL if m == 1 else m1 * k1 * FRACTAL, FRACTAL)
        rules.check_range(2, addresses[2], k1 * n1 * FRACTAL, FRACTAL)
        if with_bias:
            rules.check_range(3, addresses[3], n1 * 16 * DTYPES[kind].itemsize, 64)
        checked.add((addresses, fields))

    def mad(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        if (addresses, fields) not in checked:
            check(addresses, fields)
        m, k, n = fields[:3]
        if not (m and k and n):
            return
        m1, k1, n1 = m + 15 >> 4, -(-k // k0), n + 15 >> 4
        if m == 1:  # GEMV: A is a plain vector
            a = core.l0a.read(addresses[1] >> 9, -(-k1 // 16), a_kind).reshape(1, -1)
        else:
            a = core.l0a.matrix(addresses[1] >> 9, m1, k1, a_kind)
        b = core.l0b.matrix(addresses[2] >> 9, n1, k1, b_kind)
        c = core.l0c.accumulator(addresses[0], m1, n1, kind)
        total = scratch.get((m, n))
        if total is None:
            if len(scratch) > 8:
                scratch.clear()
            total = scratch[m, n] = np.empty((m, n))
        if m & 15 or n & 15 or k % k0:
            a, b, c = a[:m, :k], b[:n, :k], c[:m, :n]
        if with_bias:
            size = n * DTYPES[kind].itemsize
            c[...] = core.bt[addresses[3] : addresses[3] + size].view(DTYPES[kind])
            init = 0
        else:
            init = fields[3]
        if exact:
            _add_bytes(a, b, c, exact, init)
            return
        if in_order:
            _sum_in_order(a, b, total)
        else:
            np.matmul(a, b.T, out=total)
        _accumulate(c, total, kind, init)

    return mad


def _sum_in_order(a: Array, b: Array, total: Array) -> None:
    """Σk a[m, k] · b[n, k] in fp64: products are exact, sums are taken in the order of k, so no library decides."""
    total[...] = 0.0
    for k in range(a.shape[1]):
        total += a[:, k, None] * b[:, k]


def _add_bytes(a: Array, b: Array, c: Array, exact: int, init: int) -> None:
    total: Array = np.matmul(a[:, :exact], b[:, :exact].T).astype(np.int64)
    for low in range(exact, a.shape[1], exact):
        total += np.matmul(a[:, low : low + exact], b[:, low : low + exact].T).astype(np.int64)
    c[...] = total if init else total + c  # a sum beyond 32 bits wraps


def _accumulate(c: Array, total: Array, kind: str, init: int) -> None:
    if not init:
        total += c.astype(np.float64)
    if kind == "f32":
        c[...] = total
        return
    np.clip(total, -65504.0, 65504.0, out=total)
    c[...] = total.astype(np.float16)
