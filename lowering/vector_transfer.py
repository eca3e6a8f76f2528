"""Tiles between GM and UB for the vector generator.

A DMA moves whole 32-byte blocks, so a piece of a tensor is loaded with the bytes behind it (harmless,
decision D8) and stored so that only its own bytes, or the spare ones behind the tensor, change; rows of other
widths are the business of `tails.py`.  In ND a value per row is packed in GM, 2 or 4 bytes each, but vector
instructions broadcast whole blocks: `expand` makes a block of equal lanes of each element by transposing 16
times the same block, and `pack` goes back by summing one lane per row.
"""

from __future__ import annotations

from ..runtime.isa.extents import type_size
from .kernel_builder import Index, KernelBuilder, Ref
from .tails import UbRows, is_packed, pack_unit, store_rows, store_separate_rows
from .vector_program import SIZES
from .vector_tiles import BLOCK, LANES, REPEAT_BYTES, Tile, Value, mask_bits


def blocks_of(kb: KernelBuilder, elements: Index, size: int) -> Index:
    """Blocks that hold `elements`."""
    if isinstance(elements, int):
        return -(-elements * size // BLOCK)
    if BLOCK % size == 0 and size < BLOCK:
        return kb.ceil_div(elements, BLOCK // size)
    return kb.ceil_div(kb.mul(elements, size), BLOCK)


def copy_run(
    kb: KernelBuilder, mnemonic: str, dst: Ref, src: Ref, elements: Index, limit: int, size: int
) -> None:
    """One burst of `elements`, rounded up to blocks."""
    kb.op(
        mnemonic,
        "",
        dst,
        src,
        limits={"length": -(-limit * size // BLOCK)},
        bursts=1,
        length=blocks_of(kb, elements, size),
    )


def load_full(kb: KernelBuilder, dst: Ref, src: Ref, tile: Tile, gm_size: int, pitch: int) -> None:
    """The tile's elements from consecutive rows in GM to rows `pitch` bytes apart in UB."""
    if not tile.padded:
        copy_run(kb, "copy_gm_to_ubuf", dst, src, tile.columns.n, tile.columns.limit, gm_size)
        return
    row_bytes = tile.exact * gm_size
    blocks = -(-row_bytes // BLOCK)
    if tile.rows_limit == 1:
        kb.op("copy_gm_to_ubuf", "", dst, src, bursts=1, length=blocks)
    elif row_bytes == pitch:
        length = kb.mul(tile.rows, blocks)
        kb.op(
            "copy_gm_to_ubuf",
            "",
            dst,
            src,
            limits={"length": tile.rows_limit * blocks},
            bursts=1,
            length=length,
        )
    elif row_bytes % BLOCK == 0:
        kb.op(
            "copy_gm_to_ubuf",
            "",
            dst,
            src,
            limits={"bursts": tile.rows_limit},
            bursts=tile.rows,
            length=blocks,
            dst_gap=pitch // BLOCK - blocks,
        )
    else:
        with kb.loop(tile.rows) as r:
            kb.op(
                "copy_gm_to_ubuf",
                "",
                dst + kb.linear(0, (r, pitch)),
                src + kb.linear(0, (r, row_bytes)),
                bursts=1,
                length=blocks,
            )


def store_full(
    kb: KernelBuilder, dst: Ref, src: Ref, tile: Tile, gm_size: int, pitch: int, *, exact: bool = False
) -> None:
    """The inverse of `load_full`; `exact`: the rows end with foreign bytes, nothing may be written there."""
    if not tile.padded:
        copy_run(kb, "copy_ubuf_to_gm", dst, src, tile.columns.n, tile.columns.limit, gm_size)
        return
    row_bytes = tile.exact * gm_size
    if tile.rows_limit == 1:
        copy_run(kb, "copy_ubuf_to_gm", dst, src, tile.exact, tile.exact, gm_size)
        return
    rows = UbRows(src, pitch // BLOCK)
    lanes = BLOCK if gm_size == 1 else LANES
    if exact and row_bytes % BLOCK and row_bytes > BLOCK:
        store_separate_rows(
            kb, dst, rows, tile.rows, tile.rows_limit, row_bytes=row_bytes, gm_pitch=row_bytes, lanes=lanes
        )
        return
    store_rows(kb, dst, rows, tile.rows, tile.rows_limit, row_bytes=row_bytes, lanes=lanes)


def ub_buffer(kb: KernelBuilder, size: int, depth: int = 1) -> Ref:
    """A buffer of whole repeats: in counter mode the declared extent of an instruction ends with a repeat."""
    return kb.alloc("ub", -(-size // REPEAT_BYTES) * REPEAT_BYTES, depth)


def store_room(tile: Tile, gm_size: int, pitch: int) -> int:
    """Bytes of a buffer that `store_full` may take rows from (`tails.py` works on whole squares of rows)."""
    row_bytes = tile.exact * gm_size
    if not tile.padded or tile.rows_limit == 1 or row_bytes % BLOCK == 0:
        return 0
    lanes = BLOCK if gm_size == 1 else LANES
    unit = pack_unit(lanes) if is_packed(row_bytes, lanes) else lanes
    return -(-tile.rows_limit // unit) * unit * pitch


def packed_buffer(kb: KernelBuilder, limit: int, dtype: str, depth: int = 1) -> Ref:
    """Room for one packed element per row, in whole blocks."""
    return ub_buffer(kb, limit * SIZES[dtype], depth)


def expand(kb: KernelBuilder, packed: Ref, dtype: str, rows: Index, limit: int) -> Ref:
    """Packed elements → one 16-lane block value of equal lanes per element (f32: 64 bytes each)."""
    size = SIZES[dtype]
    groups = LANES if size == 2 else 8
    out = ub_buffer(kb, -(-limit // groups) * groups * LANES * size)
    if size == 2 or kb.soc.core.supports("vnchwconv", dtype):
        _spread(kb, out, packed, dtype, rows, limit, groups)
        return out
    _expand_halves(kb, out, packed, rows, limit)
    return out


def _spread(
    kb: KernelBuilder, out: Ref, packed: Ref, dtype: str, rows: Index, limit: int, group: int
) -> None:
    kb.op(
        "vnchwconv",
        dtype,
        out,
        packed,
        limits={"repeat": -(-limit // group)},
        repeat=kb.ceil_div(rows, group),
        dst_rep=16,
        src_rep=1,
        dst_row_stride=1,
        src_row_stride=0,
    )


def _expand_halves(kb: KernelBuilder, out: Ref, packed: Ref, rows: Index, limit: int) -> None:
    """Without 32-bit transposes: spread 16-bit halves, then every second lane of the low half's block and of
    the high half's block make the block of whole elements."""
    spread = ub_buffer(kb, -(-limit // 8) * 16 * BLOCK)
    _spread(kb, spread, packed, "u16", rows, limit, 8)
    lanes = ub_buffer(kb, 2 * BLOCK)
    for first in (0, 1):
        for value, start in ((0xFFFF, first), (0, 1 - first)):
            bits = sum(1 << i for i in range(start, LANES, 2))
            kb.op("vector_dup", "u16", lanes + first * BLOCK, repeat=1, value=value, mask_hi=0, mask_lo=bits)
    one = {"repeat": rows, "dst_rep": 2, "src0_rep": 2, **mask_bits(0, LANES)}
    for half in (0, 1):
        at = spread + half * BLOCK
        kb.op(
            "vand",
            "u16",
            at,
            at,
            lanes + half * BLOCK,
            limits={"repeat": limit},
            src1_rep=0,
            extents=None,
            **one,
        )
    for half in (0, 1):
        kb.op(
            "vor",
            "u16",
            out + half * BLOCK,
            spread,
            spread + BLOCK,
            limits={"repeat": limit},
            src1_rep=2,
            extents=None,
            **one,
        )


def pack(kb: KernelBuilder, value: Value, rows: Index, limit: int, depth: int) -> Ref:
    """Lane 0 of each row's block, packed: the sum of one lane is that lane."""
    size = type_size(value.dtype)
    if value.dtype not in ("f16", "f32"):
        if limit > 1:
            raise ValueError(f"packing {value.dtype} values")
        return value.ref  # one row is packed as it is
    out = ub_buffer(kb, limit * size, depth=depth)
    kb.op(
        "vcadd",
        value.dtype,
        out,
        value.ref,
        limits={"repeat": limit},
        repeat=rows,
        src_rep=value.pitch // BLOCK,
        extents=None,
        **mask_bits(0, 1),
    )
    return out
