"""Exactly which bytes an instruction touches, operand by operand.

`isa/extents.py` gives the hull; that is enough to allocate.  Two pipes may well work in the same hull
without touching a common byte (interleaved strides, masked lanes, one row each), so the hazard check needs
the real footprint: a hull of 32-byte blocks, which of them are touched, and which bytes where a block is
touched in part. Footprints are relative to the operand's address and do not depend on it; callers cache
them by operand values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.extents import (
    BLOCK,
    FRACTAL,
    PROPOSAL,
    cube_types,
    extents,
    lanes_of,
    operand_types,
    scale_bytes,
    selected_geometry,
    type_size,
    ub_fractal,
    va_blocks,
    va_rows,
)
from ..isa.model import Instruction
from .img2col import positions_table, version1_table, wrapped_cells
from .split_geometry import (
    align_blocks,
    fill_blocks,
    fixpipe_blocks,
    fixpipe_source_bytes,
    matrices,
    nd2nz_blocks,
    square_sources,
    square_targets,
)

Values: TypeAlias = Mapping[str, int]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]

_ALL = (1 << 64) - 1
PATTERNS = {1: (0, 2), 2: (1, 2), 3: (0, 4), 4: (1, 4), 5: (2, 4), 6: (3, 4)}  # vreduce: first lane, step
_PADDING = 1 << 32  # img2col tables name padding by a cell number far behind the end of L1
NO_CELL = -(1 << 40)  # and these functions by one far in front of it


@dataclass(frozen=True, eq=False)
class Footprint:
    """Blocks [first, first+count) of 32 bytes from the address; `blocks` None = all of them; `bytes` None =
    whole ones."""

    first: int
    count: int
    blocks: Bools | None = None
    bytes: Bools | None = None
    met: dict[tuple[Footprint, int], tuple[int, int] | None] = field(
        default_factory=dict["tuple[Footprint, int]", "tuple[int, int] | None"], repr=False
    )
    """What `overlap` found: (other footprint, its distance) → common bytes."""

    @property
    def low(self) -> int:
        return self.first * BLOCK

    @property
    def high(self) -> int:
        return (self.first + self.count) * BLOCK

    @property
    def solid(self) -> bool:
        return self.blocks is None and self.bytes is None

    @cached_property
    def bits(self) -> int:
        """Touched blocks as an integer, bit i = block first + i."""
        if self.blocks is None:
            return (1 << self.count) - 1
        return int.from_bytes(np.packbits(self.blocks, bitorder="little").tobytes(), "little")

    @cached_property
    def byte_mask(self) -> Bools:
        """Touched bytes of the hull."""
        if self.bytes is not None:
            return self.bytes
        if self.blocks is not None:
            return np.repeat(self.blocks, BLOCK)
        return np.ones(self.count * BLOCK, np.bool_)

    @cached_property
    def byte_bits(self) -> int:
        """Touched bytes of the hull as an integer."""
        return int.from_bytes(np.packbits(self.byte_mask, bitorder="little").tobytes(), "little")


EMPTY = Footprint(0, 0)


def overlap(a: Footprint, at_a: int, b: Footprint, at_b: int) -> tuple[int, int] | None:
    """The common bytes (hull, end exclusive) of `a` placed at `at_a` and `b` at `at_b`, None when there are
    none."""
    low, high = max(at_a + a.low, at_b + b.low), min(at_a + a.high, at_b + b.high)
    if low >= high:
        return None
    if a.solid and b.solid:
        return low, high
    # In a loop the same two shapes meet at ever new addresses; only their distance matters.
    key = (b, at_b - at_a)
    if key in a.met:
        met = a.met[key]
    else:
        met = a.met[key] = _common(a, b, at_b - at_a)
    return None if met is None else (met[0] + at_a, met[1] + at_a)


def _common(a: Footprint, b: Footprint, distance: int) -> tuple[int, int] | None:
    """The common bytes of `a` at 0 and `b` at `distance`: by blocks, and by bytes where that is not exact."""
    if distance % BLOCK == 0:
        at_b = distance // BLOCK + b.first
        base = min(a.first, at_b)
        common = (a.bits << (a.first - base)) & (b.bits << (at_b - base))
        if not common:
            return None
        if a.bytes is None and b.bytes is None:
            return _span(common, base * BLOCK, BLOCK)
    base = min(a.low, distance + b.low)
    common = (a.byte_bits << (a.low - base)) & (b.byte_bits << (distance + b.low - base))
    return _span(common, base, 1) if common else None


def _span(common: int, base: int, unit: int) -> tuple[int, int]:
    first = (common & -common).bit_length() - 1
    return base + first * unit, base + common.bit_length() * unit


def solid(length: int) -> Footprint:
    """`length` bytes from the address."""
    if length <= 0:
        return EMPTY
    if length % BLOCK == 0:
        return Footprint(0, length // BLOCK)
    return from_bytes(np.arange(length))


def from_blocks(index: Ints) -> Footprint:
    """The blocks numbered in `index`, relative to the address; they may be negative and repeat."""
    if index.size == 0:
        return EMPTY
    first, last = int(index.min()), int(index.max())
    blocks = np.zeros(last - first + 1, np.bool_)
    blocks[index.ravel() - first] = True
    return Footprint(first, last - first + 1, None if bool(blocks.all()) else blocks)


def from_bytes(index: Ints) -> Footprint:
    """The bytes numbered in `index`, relative to the address."""
    if index.size == 0:
        return EMPTY
    first, last = int(index.min()) // BLOCK, int(index.max()) // BLOCK
    count = last - first + 1
    mask = np.zeros(count * BLOCK, np.bool_)
    mask[index.ravel() - first * BLOCK] = True
    per_block = mask.reshape(count, BLOCK)
    blocks = per_block.any(axis=1)
    whole = bool((per_block.all(axis=1) == blocks).all())
    touched: Bools | None = None if bool(np.all(blocks)) else np.asarray(blocks, np.bool_)
    return Footprint(first, count, touched, None if whole else mask)


def _bursts(bursts: int, length: int, pitch: int) -> Footprint:
    """`bursts` pieces of `length` blocks every `pitch` blocks."""
    if bursts == 0 or length == 0:
        return EMPTY
    if bursts == 1 or pitch == length:
        return Footprint(0, bursts * length)
    return from_blocks(np.arange(bursts)[:, None] * pitch + np.arange(length))


def lane_mask(values: Values, lanes: int) -> Bools:
    """Active lanes of the mask register."""
    high, low = values.get("mask_hi", -1) & _ALL, values.get("mask_lo", -1) & _ALL
    raw = np.frombuffer((high << 64 | low).to_bytes(16, "little"), np.uint8)
    return np.unpackbits(raw, bitorder="little")[:lanes].astype(np.bool_)


def active_lanes(values: Values, lanes: int) -> Bools:
    """(repeats, lanes): which lanes take part; counter mode replaces repeat and mask."""
    count = values.get("count", -1)
    if count >= 0:
        repeats = -(-count // lanes)
        return (np.arange(repeats * lanes) < count).reshape(repeats, lanes)
    return np.broadcast_to(lane_mask(values, lanes), (values.get("repeat", 1), lanes))


def lane_bytes(active: Bools, size: int, blk: int, rep: int) -> Ints:
    """Byte numbers of the active lanes, (n, size): element e of repeat r at r·rep·32 + (e//eb)·blk·32 +
    (e%eb)·size."""
    repeat, lane = np.nonzero(active)
    per_block = BLOCK // size
    at = (repeat * rep + lane // per_block * blk) * BLOCK + lane % per_block * size
    return (at[:, None] + np.arange(size)).astype(np.int64)


def _lanes(active: Bools, size: int, blk: int, rep: int) -> Footprint:
    repeats, lanes = active.shape
    if repeats == 0:
        return EMPTY
    per_block = BLOCK // size
    if active.all() and lanes % per_block == 0:
        blocks: int = lanes // per_block
        if blk == 1 and (rep == blocks or repeats == 1):
            return Footprint(0, repeats * blocks)
        rows: Ints = np.arange(repeats, dtype=np.int64)[:, None] * rep
        columns: Ints = np.arange(blocks, dtype=np.int64) * blk
        return from_blocks(rows + columns)
    return from_bytes(lane_bytes(active, size, blk, rep))


def _vector(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    types = operand_types(row, dtype)
    lanes = lanes_of(types)
    active = active_lanes(v, lanes)
    prints: list[Footprint] = []
    for address, name in zip(row.addresses, types, strict=True):
        if address.name == "bits":
            prints.append(solid(active.shape[0] * lanes // 8))
            continue
        blk, rep = v.get(f"{address.name}_blk", 1), v.get(f"{address.name}_rep", 0)
        prints.append(_lanes(active, type_size(name), blk, rep))
    return tuple(prints)


def reduce_result_bytes(row: Instruction, dtype: str, v: Values) -> Ints:
    """Byte numbers that a reduction writes; where no lane takes part nothing is written."""
    size = type_size(dtype)
    active = active_lanes(v, 256 // size)
    match row.mnemonic:
        case "vcpadd":
            groups, width, pitch = active[:, 0::2] | active[:, 1::2], size, v["dst_rep"] * 128
        case "vcgadd" | "vcgmax" | "vcgmin":
            groups = active.reshape(active.shape[0], 8, BLOCK // size).any(axis=2)
            width, pitch = size, v["dst_rep"] * 8 * size
        case _:
            groups = active.any(axis=1, keepdims=True)
            width = size if row.mnemonic == "vcadd" else 2 * size
            pitch = v["dst_rep"] * width
    repeat, group = np.nonzero(groups)
    return ((repeat * pitch + group * width)[:, None] + np.arange(width)).astype(np.int64)


def _reduce(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    size = type_size(dtype)
    source = _lanes(active_lanes(v, 256 // size), size, v["src_blk"], v["src_rep"])
    return from_bytes(reduce_result_bytes(row, dtype, v)), source


def _compare(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    if row.mnemonic in ("set_cmpmask", "get_cmpmask"):
        return (solid(16),)
    size = type_size(dtype)
    lanes = 256 // size
    masked = row.mnemonic == "vcmp"  # the forms that write bits to UB ignore the mask
    active = active_lanes(v, lanes) if masked else np.ones((v["repeat"], lanes), np.bool_)
    return tuple(
        solid(active.shape[0] * lanes // 8)
        if address.name == "dst"
        else _lanes(active, size, v.get(f"{address.name}_blk", 1), v.get(f"{address.name}_rep", 0))
        for address in row.addresses
    )


def _dma(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    length = v["length"]
    return tuple(_bursts(v["bursts"], length, length + v[gap]) for gap in ("dst_gap", "src_gap"))


def _l0c(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    bursts, length = v["bursts"], v["length"]
    to, source = operand_types(row, dtype)[:2]
    if row.mnemonic == "broadcast_ub_to_cc":
        vector, fractal = 16 * type_size(source) // BLOCK, 256 * type_size(to) // BLOCK
        dst = _bursts(bursts, length * fractal, (length + v["dst_gap"]) * fractal)
        return dst, _bursts(bursts, length * vector, length * vector + v["src_gap"])
    if row.mnemonic.startswith("copy_vector"):
        out, vector = row.mnemonic == "copy_vector_cc_to_ubuf", type_size(to) // 2  # blocks of 16 elements
        l0c_gap, ub_gap = (v["src_gap"], v["dst_gap"]) if out else (v["dst_gap"], v["src_gap"])
        fractals = np.arange(bursts)[:, None] * (length + l0c_gap) + np.arange(length)
        l0c = from_blocks(fractals.reshape(-1, 1) * type_size(to) * 8 + np.arange(vector))
        ub = _bursts(bursts, length * vector, length * vector + ub_gap)
        return (ub, l0c) if out else (l0c, ub)
    out = row.mnemonic.startswith("copy_matrix_cc_to_ubuf")
    in_l0c, in_ub = (type_size(source), type_size(to)) if out else (type_size(to), type_size(source))
    l0c_gap, ub_gap = (v["src_gap"], v["dst_gap"]) if out else (v["dst_gap"], v["src_gap"])
    l0c = _bursts(bursts, length * in_l0c * 8, (length + l0c_gap) * in_l0c * 8)
    blocks = length * ub_fractal(to if out else source, v.get("store", 0)) // BLOCK
    ub = _bursts(bursts, blocks, blocks + ub_gap)
    if in_ub == 1 and v["store"] < 2 and ub.count:  # half blocks
        halves = half_blocks(v)
        ub = from_bytes((halves.reshape(-1, 1) + np.arange(16)).astype(np.int64))
    if row.mnemonic == "copy_matrix_cc_to_ubuf_vdeq":
        return ub, l0c, solid(bursts * scale_bytes(dtype) if length else 0)
    return (ub, l0c) if out else (l0c, ub)


def half_blocks(v: Values) -> Ints:
    """(bursts, length, 16): byte of UB at which each row of each fractal of 8-bit results begins."""
    fractals = np.arange(v["length"]) * 16
    pitch = v["length"] * 16 + v["dst_gap"]
    blocks = (np.arange(v["bursts"])[:, None] * pitch + fractals)[:, :, None] + np.arange(16)
    return (blocks * BLOCK + 16 * v["store"]).astype(np.int64)


def load2d_sources(v: Values) -> Ints:
    """Fractal numbers that load2d reads, in the order of its destination fractals."""
    step = -v["src_stride"] if v["decrement"] else v["src_stride"]
    return v["base"] + np.arange(v["repeat"], dtype=np.int64) * step


def load3d_cells(dtype: str, v: Values) -> Ints:
    """(m rounded up to 16, k cells): number of the 32-byte cell [c1][h][w] that is read, NO_CELL for padding."""
    c0 = BLOCK // type_size(dtype)
    positions = v["m_start"] + np.arange(-(-v["m_extent"] // 16) * 16)
    taps = v["k_start"] // c0 + np.arange(v["k_extent"] // c0)
    return _without_padding(positions_table(selected_geometry(v), positions, taps), v, BLOCK)


def load3dv1_cells(v: Values) -> Ints:
    """(repeat, 16): number of the cell that each row of each fractal is read from, NO_CELL for padding."""
    return _without_padding(version1_table(dict(v)), v, 1)


def _without_padding(table: Ints, v: Values, unit: int) -> Ints:
    """Cells relative to the source address; `src_at` is that address where the L1 boundary makes it matter."""
    end = v.get("l1_boundary", 0) // unit
    if end:
        first = v["src_at"] // BLOCK
        table = np.where(table < _PADDING, wrapped_cells(table, first, end) - first, table)
    return np.where(table < _PADDING, table, NO_CELL)


def _load(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    per_fractal = FRACTAL // BLOCK
    match row.mnemonic:
        case "set_2d":
            return (Footprint(0, v["repeat"] * per_fractal),)
        case "load2d" | "load2d_gm":
            source = from_blocks(load2d_sources(v)[:, None] * per_fractal + np.arange(per_fractal))
            return Footprint(0, v["repeat"] * per_fractal), source
        case "load3d":
            cells = load3d_cells(dtype, v)
            return Footprint(0, cells.size), from_blocks(cells[cells > NO_CELL])
        case _:
            cells = load3dv1_cells(v)
            step = v["jump"] if v["repeat_mode"] else 1
            dst = _bursts(v["repeat"], per_fractal, step * per_fractal)
            return dst, from_blocks(cells[cells > NO_CELL])


def _mad(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    m, k, n = v["m"], v["k"], v["n"]
    if 0 in (m, k, n):
        return (EMPTY,) * len(row.addresses)
    accumulator, operand, _ = cube_types(dtype)
    k0, out = BLOCK // type_size(operand), type_size(accumulator)
    m1, n1, k1 = -(-m // 16), -(-n // 16), -(-k // k0)
    a = Footprint(0, k1) if m == 1 else Footprint(0, m1 * k1 * 16)
    bias = (Footprint(0, n1 * 16 * out // BLOCK),) if row.mnemonic == "mad_bias" else ()
    return Footprint(0, m1 * n1 * 8 * out), a, Footprint(0, k1 * n1 * 16), *bias


def vnchwconv_blocks(v: Values, side: str) -> Ints:
    """(repeat, 16): block number of each row."""
    if f"{side}_va" in v:
        return np.arange(v["repeat"])[:, None] * v[f"{side}_rep"] + np.array(va_rows(v, side))
    return np.arange(v["repeat"])[:, None] * v[f"{side}_rep"] + np.arange(16) * v[f"{side}_row_stride"]


def _transpose(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    if row.mnemonic == "vtranspose":
        return solid(FRACTAL), solid(FRACTAL)
    if row.mnemonic == "v4dtrans":
        return (solid(v["positions"] * v["channels"] * type_size(dtype)),) * 2
    prints: list[Footprint] = []
    for side in ("dst", "src"):
        blocks = vnchwconv_blocks(v, side)
        if type_size(dtype) == 1:  # half blocks
            at = blocks.ravel() * BLOCK + 16 * v[f"{side}_high"]
            prints.append(from_bytes((at[:, None] + np.arange(16)).astype(np.int64)))
        else:
            prints.append(from_blocks(blocks))
    return tuple(prints)


def _gather(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    if row.mnemonic == "vbi":
        return _interpolation(v)
    size = type_size(dtype)
    lanes = 256 // size
    active = active_lanes(v, lanes)
    if row.mnemonic in ("vgather", "vscatter"):
        # Which bytes of the table are touched depends on data: its first block stands for it.
        offsets = lane_bytes(active, 4, 1, lanes * 4 // BLOCK) if active.size else np.zeros((0, 4), np.int64)
        table = solid(BLOCK if active.any() else 0)
        if row.mnemonic == "vscatter":
            return table, _lanes(active, size, 1, v["src_rep"]), from_bytes(offsets)
        return _lanes(active, size, 1, v["dst_rep"]), from_bytes(offsets), table
    if row.mnemonic == "vreducev":
        # How many bytes are written depends on data: at most those of all lanes.
        bits = np.arange(len(active))[:, None] * v["bits_rep"] * BLOCK + np.arange(lanes // 8)
        used = bits[active.reshape(len(active), lanes // 8, 8).any(axis=2)]
        packed = solid(int(np.count_nonzero(active)) * size)
        return packed, _lanes(active, size, v["src_blk"], v["src_rep"]), from_bytes(used.astype(np.int64))
    first, step = PATTERNS[v["pattern"]]
    kept = active & (np.arange(lanes) % step == first)
    return solid(int(np.count_nonzero(kept)) * size), _lanes(kept, size, v["src_blk"], v["src_rep"])


def _interpolation(v: Values) -> tuple[Footprint, ...]:
    """vbi: which blocks of the table are read depends on data, its first one stands for them."""
    active = np.broadcast_to(lane_mask(v, 128), (v["v_repeat"], 128))
    if not active.any():
        return (EMPTY,) * 4
    steps = v["h_repeat"] * v["v_repeat"]
    blocks = np.arange(steps)[:, None] * 8 + np.flatnonzero(active[0].reshape(8, 16).any(axis=1))
    offsets = blocks.reshape(-1, 1) * 4 + np.arange(4)
    factors = blocks.reshape(-1) if v["each_block"] else np.arange(steps)
    dst = _lanes(active, 2, v["dst_blk"], v["v_offset"] * 2 // BLOCK)
    return dst, from_bytes(offsets), solid(BLOCK), from_bytes(factors[:, None] * 2 + np.arange(2))


def padding_sources(width: int, mode: int, side: int) -> Ints:
    """vpadding: which element of its block each of the `width` elements of a block comes from, -1 = none (0)."""
    place = np.arange(width)
    if mode == 0:
        return np.full(width, (width - 1) * side)
    mirrored = width - 1 - place
    if mode == 1:
        return mirrored
    return mirrored - 1 if side else np.where(place == 0, -1, mirrored + 1)


def _padding(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    size = type_size(dtype)
    active = active_lanes(v, 256 // size)
    source = padding_sources(BLOCK // size, v["pad_mode"], v["side"])
    blocks = active.reshape(len(active), 8, len(source))
    used = np.zeros_like(blocks)
    for place, wanted in enumerate(source.tolist()):
        if wanted >= 0:
            used[:, :, wanted] |= blocks[:, :, place]
    read = _lanes(used.reshape(active.shape), size, v["src_blk"], v["src_rep"])
    return _lanes(active, size, v["dst_blk"] or 1, v["dst_rep"]), read


def scattered(v: Values, name: str, size: int, repeats: int) -> Ints:
    """(repeats, lanes): byte of each lane of a VA operand, counted from its address."""
    blocks = np.array(va_blocks(v, v[f"{name}_va"])) + np.arange(repeats)[:, None] * v.get(f"{name}_rep", 0)
    lanes = blocks[:, :, None] * BLOCK + np.arange(BLOCK // size) * size
    return lanes.reshape(repeats, 256 // size).astype(np.int64)


def _scatter(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    size = type_size(dtype)
    active = active_lanes(v, 256 // size)
    prints: list[Footprint] = []
    for address in row.addresses:
        first = scattered(v, address.name, size, len(active))[active]
        prints.append(from_bytes(first[:, None] + np.arange(size)))
    return tuple(prints)


def _sort(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    size = type_size(dtype)
    proposals, plain = (solid(16 * v["repeat"] * n * size) for n in (PROPOSAL, 1))
    if row.mnemonic == "vbitsort":
        return proposals, proposals
    if row.mnemonic in ("vconcat", "vextract"):
        first = (np.arange(16 * v["repeat"]) * PROPOSAL + v["position"]) * size
        element = from_bytes((first[:, None] + np.arange(size)).astype(np.int64))
        return (element, plain) if row.mnemonic == "vconcat" else (plain, element)
    lengths = [v[f"length{i}"] * (v["valid"] >> i & 1) * PROPOSAL * size for i in range(4)]
    whole, repeat = sum(lengths), np.arange(v["repeat"])
    lists = (from_bytes((repeat[:, None] * whole + np.arange(n)).astype(np.int64)) for n in lengths)
    return solid(v["repeat"] * whole), *lists


def _scalar(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    return tuple(solid(v["bytes"]) for _ in row.addresses)


def _nd2nz(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    return from_blocks(nd2nz_blocks(dtype, v)), EMPTY


def _align(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    if not v["bursts"] or not v["length"]:
        return EMPTY, EMPTY
    ub = from_blocks(align_blocks(row, dtype, v))
    return (ub, EMPTY) if row.pipe == "MTE2" else (EMPTY, ub)


def _fixpipe(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    number = matrices(v)
    if 0 in (v["m"], v["n"], number):
        return EMPTY, EMPTY, EMPTY
    size = type_size(operand_types(row, dtype)[1])
    one = from_bytes((fixpipe_source_bytes(row, dtype, v).reshape(-1, 1) + np.arange(size)).astype(np.int64))
    if number > 1:
        step = v["src_nd_stride"] * 256 * size
        mask = np.zeros((number - 1) * step + one.high, np.bool_)
        for matrix in range(number):
            mask[matrix * step + one.low : matrix * step + one.high] |= one.byte_mask
        one = from_bytes(np.flatnonzero(mask))
    to_l1 = row.addresses[0].spaces == ("l1",)
    dst = from_blocks(fixpipe_blocks(row, dtype, v)) if to_l1 else EMPTY
    return dst, one, solid(8 * v["n"] if v["quant"] else 0)


def _hulls(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    """What moves without gaps."""
    return tuple(solid(size) for size in extents(row, dtype, v))


def _squares(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    per_fractal = FRACTAL // BLOCK
    targets = square_targets(dtype, v)[:, :, None] * per_fractal + np.arange(per_fractal)
    return from_blocks(targets), from_blocks(square_sources(dtype, v))


def _fill(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    return (from_blocks(fill_blocks(v)),)


COMPRESSED = {1: (0, 2), 2: (1, 2), 3: (0, 4), 4: (1, 4), 5: (2, 4), 6: (3, 4), 7: (0, 1)}
"""Pattern of vreducev2 → (first lane, step)."""


def _split_vector(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    size = type_size(dtype)
    match row.mnemonic:
        case "vbrcb" | "vgatherb":
            repeats = np.arange(v["repeat"], dtype=np.int64)[:, None]
            dst = from_blocks(repeats * v["dst_rep"] + np.arange(8) * (v["dst_blk"] or 1))
            if row.mnemonic == "vbrcb":
                return dst, solid(8 * v["repeat"] * size)
            # Which blocks of the table are read depends on data: its first one stands for it.
            return dst, solid(32 * v["repeat"]), solid(BLOCK if v["repeat"] else 0)
        case "vbitsort32":
            return _hulls(row, dtype, v)
        case "vmrgsort4v2":
            lengths = [v[f"length{i}"] * (v["valid"] >> i & 1) * 8 for i in range(4)]
            whole, repeat = sum(lengths), np.arange(v["repeat"])
            lists = (from_bytes((repeat[:, None] * whole + np.arange(n)).astype(np.int64)) for n in lengths)
            return solid(v["repeat"] * whole), *lists
        case _:
            lanes = 256 // size
            active = active_lanes(v, lanes)
            if v["pattern"]:
                first, step = COMPRESSED[v["pattern"]]
                active = active & (np.arange(lanes) % step == first)
            source = _lanes(active, size, v["src_blk"], v["src_rep"])
            if v["pattern"]:
                return solid(int(np.count_nonzero(active)) * size), source, EMPTY
            # How many lanes a bit tensor keeps depends on data: all of them, at most.
            at = np.arange(len(active))[:, None] * v["bits_rep"] * BLOCK + np.arange(lanes // 8)
            return solid(int(np.count_nonzero(active)) * size), source, from_bytes(at.astype(np.int64))


_BY_FAMILY: dict[str, Callable[[Instruction, str, Values], tuple[Footprint, ...]]] = {
    "dma": _dma,
    "l0c": _l0c,
    "load": _load,
    "cube": _mad,
    "vector_binary": _vector,
    "vector_unary": _vector,
    "vector_scalar": _vector,
    "vector_dup": _vector,
    "vector_conv": _vector,
    "vector_select": _vector,
    "vector_padding": _padding,
    "vector_scatter": _scatter,
    "vector_reduce": _reduce,
    "vector_compare": _compare,
    "vector_transpose": _transpose,
    "vector_gather": _gather,
    "vector_sort": _sort,
    "scalar": _scalar,
    "nd2nz": _nd2nz,
    "align": _align,
    "fixpipe": _fixpipe,
    "table": _hulls,
    "squares": _squares,
    "fill": _fill,
    "vector_split": _split_vector,
}


_BOUNDED = frozenset(("nd2nz", "align", "fixpipe", "squares", "fill"))
_LARGEST = 1 << 21  # bytes; no memory on a core is larger


def footprints(row: Instruction, dtype: str, values: Values) -> tuple[Footprint, ...]:
    """The footprint of every address operand; `values` holds all fields and state values by name."""
    if row.family in _BOUNDED:
        sizes = extents(row, dtype, values)
        on_chip = (
            size for address, size in zip(row.addresses, sizes, strict=True) if "gm" not in address.spaces
        )
        if max(on_chip, default=0) > _LARGEST:  # outside every memory: another fault's business
            return tuple(Footprint(0, -(-size // BLOCK)) for size in sizes)
    return _BY_FAMILY[row.family](row, dtype, values) if row.addresses else ()
