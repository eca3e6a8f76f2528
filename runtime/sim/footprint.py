"""Exactly which bytes an instruction touches, operand by operand.

`isa/extents.py` gives the hull; that is enough to allocate.  Two pipes may well work in the same hull
without touching a common byte (interleaved strides, masked lanes, one row each), so the hazard check needs
the real footprint: a hull of 32-byte blocks, which of them are touched, and which bytes where a block is
touched in part. Footprints are relative to the operand's address and do not depend on it; callers cache
them by operand values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
from .byte_sets import (
    EMPTY,
    Footprint,
    Ints,
    Values,
    active_lanes,
    burst_footprint,
    from_blocks,
    from_bytes,
    lane_bytes,
    lane_footprint,
    lane_mask,
    solid,
)
from .img2col import positions_table, version1_table, wrapped_cells
from .split_footprint import SPLIT_FOOTPRINTS

PATTERNS = {1: (0, 2), 2: (1, 2), 3: (0, 4), 4: (1, 4), 5: (2, 4), 6: (3, 4)}  # vreduce: first lane, step
_PADDING = 1 << 32  # img2col tables name padding by a cell number far behind the end of L1
NO_CELL = -(1 << 40)  # and these functions by one far in front of it


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
        prints.append(lane_footprint(active, type_size(name), blk, rep))
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
    source = lane_footprint(active_lanes(v, 256 // size), size, v["src_blk"], v["src_rep"])
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
        else lane_footprint(active, size, v.get(f"{address.name}_blk", 1), v.get(f"{address.name}_rep", 0))
        for address in row.addresses
    )


def _dma(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    length = v["length"]
    return tuple(burst_footprint(v["bursts"], length, length + v[gap]) for gap in ("dst_gap", "src_gap"))


def _l0c(row: Instruction, dtype: str, v: Values) -> tuple[Footprint, ...]:
    bursts, length = v["bursts"], v["length"]
    to, source = operand_types(row, dtype)[:2]
    if row.mnemonic == "broadcast_ub_to_cc":
        vector, fractal = 16 * type_size(source) // BLOCK, 256 * type_size(to) // BLOCK
        dst = burst_footprint(bursts, length * fractal, (length + v["dst_gap"]) * fractal)
        return dst, burst_footprint(bursts, length * vector, length * vector + v["src_gap"])
    if row.mnemonic.startswith("copy_vector"):
        out, vector = row.mnemonic == "copy_vector_cc_to_ubuf", type_size(to) // 2  # blocks of 16 elements
        l0c_gap, ub_gap = (v["src_gap"], v["dst_gap"]) if out else (v["dst_gap"], v["src_gap"])
        fractals = np.arange(bursts)[:, None] * (length + l0c_gap) + np.arange(length)
        l0c = from_blocks(fractals.reshape(-1, 1) * type_size(to) * 8 + np.arange(vector))
        ub = burst_footprint(bursts, length * vector, length * vector + ub_gap)
        return (ub, l0c) if out else (l0c, ub)
    out = row.mnemonic.startswith("copy_matrix_cc_to_ubuf")
    in_l0c, in_ub = (type_size(source), type_size(to)) if out else (type_size(to), type_size(source))
    l0c_gap, ub_gap = (v["src_gap"], v["dst_gap"]) if out else (v["dst_gap"], v["src_gap"])
    l0c = burst_footprint(bursts, length * in_l0c * 8, (length + l0c_gap) * in_l0c * 8)
    blocks = length * ub_fractal(to if out else source, v.get("store", 0)) // BLOCK
    ub = burst_footprint(bursts, blocks, blocks + ub_gap)
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
            dst = burst_footprint(v["repeat"], per_fractal, step * per_fractal)
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
            return table, lane_footprint(active, size, 1, v["src_rep"]), from_bytes(offsets)
        return lane_footprint(active, size, 1, v["dst_rep"]), from_bytes(offsets), table
    if row.mnemonic == "vreducev":
        # How many bytes are written depends on data: at most those of all lanes.
        bits = np.arange(len(active))[:, None] * v["bits_rep"] * BLOCK + np.arange(lanes // 8)
        used = bits[active.reshape(len(active), lanes // 8, 8).any(axis=2)]
        packed = solid(int(np.count_nonzero(active)) * size)
        return (
            packed,
            lane_footprint(active, size, v["src_blk"], v["src_rep"]),
            from_bytes(used.astype(np.int64)),
        )
    first, step = PATTERNS[v["pattern"]]
    kept = active & (np.arange(lanes) % step == first)
    return solid(int(np.count_nonzero(kept)) * size), lane_footprint(kept, size, v["src_blk"], v["src_rep"])


def _interpolation(v: Values) -> tuple[Footprint, ...]:
    """vbi: which blocks of the table are read depends on data, its first one stands for them."""
    active = np.broadcast_to(lane_mask(v, 128), (v["v_repeat"], 128))
    if not active.any():
        return (EMPTY,) * 4
    steps = v["h_repeat"] * v["v_repeat"]
    blocks = np.arange(steps)[:, None] * 8 + np.flatnonzero(active[0].reshape(8, 16).any(axis=1))
    offsets = blocks.reshape(-1, 1) * 4 + np.arange(4)
    factors = blocks.reshape(-1) if v["each_block"] else np.arange(steps)
    dst = lane_footprint(active, 2, v["dst_blk"], v["v_offset"] * 2 // BLOCK)
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
    read = lane_footprint(used.reshape(active.shape), size, v["src_blk"], v["src_rep"])
    return lane_footprint(active, size, v["dst_blk"] or 1, v["dst_rep"]), read


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
    **SPLIT_FOOTPRINTS,
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
