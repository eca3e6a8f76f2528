"""Loading the input rows of a tile whose rows are counted along several output axes.

UB rows stand in output order, so that the rest of a generator sees one sequence of rows.  An axis along
which the input address is a constant step becomes the bursts of a DMA; the axes around it become loops.
Rows whose step is not whole 32-byte blocks come in phases when there is one axis (`tails.load_rows`), else
one DMA per row. A repeated row (input step 0) is loaded again: the second time it comes from L2.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

from .kernel_builder import Index, KernelBuilder, Ref
from .move_problem import Axis
from .tails import BLOCK, MAX_GAP, UbRows, ceil_div, dma, load_rows


@dataclass(frozen=True)
class Quotient:
    """An axis whose input index is `min(max(i · scale + add, 0) // den, most)`: nearest-neighbour
    resampling.
    """

    extent: int
    out: int
    src: int
    scale: int
    add: int
    den: int
    most: int

    def source(self, kb: KernelBuilder, i: Index) -> Index:
        numerator = kb.add(kb.mul(i, self.scale), self.add)
        return kb.min(kb.div(kb.max(numerator, 0) if self.add < 0 else numerator, self.den), self.most)


@dataclass(frozen=True)
class Fold:
    """An axis of padding that repeats the input: input index i - before, brought back into the input by
    `mode`.
    """

    extent: int
    out: int
    src: int
    before: int
    size: int
    mode: str

    def source(self, kb: KernelBuilder, i: Index) -> Index:
        at = kb.sub(i, self.before)
        if self.mode == "edge":
            return kb.max(0, kb.min(at, self.size - 1))
        if self.mode == "wrap":
            return kb.rem(kb.add(i, self.size * ceil_div(self.before, self.size) - self.before), self.size)
        at = kb.max(at, kb.sub(0, at))
        return kb.min(at, kb.sub(2 * (self.size - 1), at))


@dataclass(frozen=True)
class Window:
    """An axis of constant padding: input index i - before where that exists, else the row is left as it
    is.
    """

    extent: int
    out: int
    src: int
    before: int
    size: int

    def source(self, kb: KernelBuilder, i: Index) -> Index:
        return kb.sub(i, self.before)


RowAxis = Axis | Quotient | Fold | Window


@dataclass(frozen=True)
class RowSource:
    """Where the rows of one input are: `axes` outermost first, the first of them cut to `count` steps from
    `first`.
    """

    axes: Sequence[RowAxis]
    size: int  # bytes of an element in GM
    blocks: int  # blocks of a row


def load_row_axes(
    kb: KernelBuilder,
    raw: Ref,
    src: Ref,
    rows: RowSource,
    first: Index,
    count: Index,
    most: int,
    *,
    lanes: int,
) -> UbRows:
    """`count` ≤ `most` steps of the first axis, all steps of the others; `src` is the address of index 0."""
    axes = rows.axes
    pitch = rows.blocks
    if len(axes) == 1 and isinstance(axes[0], Axis) and axes[0].src > 0:
        start = src + kb.linear(0, (first, axes[0].src * rows.size))
        gm_pitch = axes[0].src * rows.size
        return load_rows(
            kb, raw, start, count, blocks=pitch, gm_pitch=gm_pitch, max_rows=most, lanes=lanes, ub_pitch=pitch
        )
    burst = _burst_axis(rows, most)
    loops = [i for i in range(len(axes)) if i != burst]
    _nest(kb, raw, src, rows, loops, burst, first, count, most)
    return UbRows(raw, pitch)


@contextmanager
def placed(kb: KernelBuilder, axis: RowAxis, i: Index) -> Generator[Index]:
    """The input index of step i; what stands inside runs only where there is one."""
    if isinstance(axis, Axis):
        yield i
        return
    index = axis.source(kb, i)
    if not isinstance(axis, Window):
        yield index
        return
    with kb.when(kb.less(-1, index)), kb.when(kb.less(index, axis.size)):
        yield index


def _burst_axis(rows: RowSource, most: int) -> int:
    """The axis that becomes the bursts of a DMA, -1 when each row is a DMA of its own.

    The innermost one keeps the DMAs of neighbouring iterations apart in UB (no barrier between them); an
    outer one is taken when it is much longer.
    """
    extents = [most if i == 0 else axis.extent for i, axis in enumerate(rows.axes)]
    usable = [i for i, axis in enumerate(rows.axes) if _is_burst(axis, rows)]
    if not usable:
        return -1
    last = len(rows.axes) - 1
    best = max(usable, key=lambda i: extents[i])
    if last in usable and extents[last] * 8 >= extents[best]:
        return last
    return best if extents[best] >= 8 else -1


def _is_burst(axis: RowAxis, rows: RowSource) -> bool:
    step = axis.src * rows.size
    if not isinstance(axis, Axis) or step % BLOCK or step // BLOCK < rows.blocks:
        return False
    return step // BLOCK - rows.blocks <= MAX_GAP


def _nest(
    kb: KernelBuilder,
    to: Ref,
    of: Ref,
    rows: RowSource,
    loops: list[int],
    burst: int,
    first: Index,
    count: Index,
    most: int,
) -> None:
    """Loops over `loops`, outermost first, around one DMA."""
    axes, pitch = rows.axes, rows.blocks
    inner = [prod(a.extent for a in axes[i + 1 :]) for i in range(len(axes))]
    if loops:
        at, rest = loops[0], loops[1:]
        axis = axes[at]
        start = first if at == 0 else 0
        with kb.loop(count if at == 0 else axis.extent) as i, placed(kb, axis, kb.add(start, i)) as index:
            here = to + kb.linear(0, (i, inner[at] * pitch * BLOCK))
            there = of + kb.linear(0, (index, axis.src * rows.size))
            _nest(kb, here, there, rows, rest, burst, first, count, most)
        return
    if burst < 0:
        dma(kb, "copy_gm_to_ubuf", to, of, 1, pitch)
        return
    start = of + kb.linear(0, (first, axes[burst].src * rows.size)) if burst == 0 else of
    bursts = count if burst == 0 else axes[burst].extent
    dma(
        kb, "copy_gm_to_ubuf", to, start, bursts, pitch, dst_step=inner[burst] * pitch,
        src_step=axes[burst].src * rows.size // BLOCK, max_bursts=most if burst == 0 else axes[burst].extent,
    )  # fmt: skip


def row_elements(axes: Sequence[RowAxis], most: int) -> int:
    """Rows of a tile that takes `most` steps of the first axis."""
    return most * prod(a.extent for a in axes[1:])


def blocks_of(elements: int, size: int) -> int:
    return ceil_div(elements * size, BLOCK)
