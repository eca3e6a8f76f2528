"""How many bytes from its address an instruction touches: the hull [0, extent) per address operand.

Compiler and simulator share this arithmetic: allocation, sync insertion and range checks all ask it.  Values that
are only known at run time must be given as their upper bounds (every extent grows with every value).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .model import Instruction

BLOCK = 32
FRACTAL = 512
PROPOSAL = 8  # elements of a region proposal
GEOMETRY = ("fm_width", "fm_height", "pad_left", "pad_right", "pad_top", "pad_bottom")

Values = Mapping[str, int]

_RESULT_AND_SOURCES = {
    "f32f16f16": ("f32", "f16"),
    "s8f16f16": ("s8", "f16"),
    "u8f16f16": ("u8", "f16"),
    "f16s32s32": ("f16", "s32"),
}


def type_size(name: str) -> int:
    """Bytes of one element of a simple type such as "f16"."""
    return _SIZES[name]


def cube_types(dtype: str) -> tuple[str, str, str]:
    """Accumulator type and the types of A and B of a mad; h32 is fp32 that the cube rounds to HF32."""
    return _CUBE_TYPES[dtype]


_SIZES = {
    "f16": 2, "bf16": 2, "s16": 2, "u16": 2, "f32": 4, "h32": 4, "s32": 4, "u32": 4, "s8": 1, "u8": 1, "s64": 8,
}  # fmt: skip
_CUBE_TYPES = {
    "f32f16f16": ("f32", "f16", "f16"),
    "f16f16f16": ("f16", "f16", "f16"),
    "s32s8s8": ("s32", "s8", "s8"),
    "s32u8s8": ("s32", "u8", "s8"),
    "s32u8u8": ("s32", "u8", "u8"),
    "u32u8u8": ("u32", "u8", "u8"),
    "f32bf16bf16": ("f32", "bf16", "bf16"),
    "f32f32f32": ("f32", "f32", "f32"),
    "h322f32": ("f32", "h32", "h32"),
}
_SIMPLE = ("bf16", "f16", "f32", "s64", "s16", "u16", "s32", "u32", "s8", "u8")


def split_conversion(dtype: str) -> tuple[str, str]:
    """("f16", "s32") of "f162s32r": source and result type without the rounding suffix."""
    for head in _SIMPLE:
        if dtype.startswith(head + "2"):
            tail = dtype[len(head) + 1 :]
            for to in _SIMPLE:
                if tail.startswith(to):
                    return head, to
    raise ValueError(f"not a conversion: {dtype}")


def operand_types(row: Instruction, dtype: str) -> tuple[str, ...]:
    """Element type of each address operand of a vector or L0C instruction.

    Names are one type for all operands, a conversion ("f162s8": sources f16, result s8), or the types of
    result and sources in a row ("s8f16f16").
    """
    if dtype == "deq":
        return ("f16", "s32")
    converts = row.family in ("vector_conv", "l0c", "fixpipe", "table") or row.mnemonic.endswith("reluconv")
    if converts and "2" in dtype and dtype not in ("f32", "s32", "u32"):
        src, dst = split_conversion(dtype)
        return (dst,) + (src,) * (len(row.addresses) - 1)
    if dtype in _RESULT_AND_SOURCES:
        dst, src = _RESULT_AND_SOURCES[dtype]
        return (dst,) + (src,) * (len(row.addresses) - 1)
    return (dtype,) * len(row.addresses)


def lanes_of(types: tuple[str, ...]) -> int:
    """Lanes per repeat: the widest operand decides (256 bytes of it), at most 128."""
    return min(128, 256 // max(type_size(t) for t in types))


def active_lanes(values: Values, lanes: int) -> int:
    """One more than the highest active lane of the mask."""
    high = values.get("mask_hi", -1) & (2**64 - 1) if lanes > 64 else 0
    low = values.get("mask_lo", -1) & (2**64 - 1)
    return min(lanes, (high << 64 | low).bit_length())


def repeats_of(values: Values, lanes: int) -> tuple[int, int]:
    """(repeats, active lanes): from counter mode when `count` ≥ 0, else from repeat and mask."""
    count = values.get("count", -1)
    if count >= 0:
        return -(-count // lanes), min(lanes, count)
    return values["repeat"], active_lanes(values, lanes)


def _vector(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    types = operand_types(row, dtype)
    lanes = lanes_of(types)
    repeats, active = repeats_of(v, lanes)
    if repeats == 0 or active == 0:
        return (0,) * len(row.addresses)
    extents: list[int] = []
    for address, name in zip(row.addresses, types, strict=True):
        if address.name == "bits":
            extents.append(repeats * lanes // 8)
            continue
        per_block = BLOCK // type_size(name)
        blocks = -(-active // per_block)
        blk, rep = v.get(f"{address.name}_blk", 1), v.get(f"{address.name}_rep", 0)
        extents.append(((repeats - 1) * rep + (blocks - 1) * blk + 1) * BLOCK)
    return tuple(extents)


def va_blocks(v: Values, register: int) -> list[int]:
    """The eight block numbers of a VA register."""
    words = (v[f"va{register}_low"], v[f"va{register}_high"])
    return [words[i // 4] >> 16 * (i % 4) & 0xFFFF for i in range(8)]


def va_rows(v: Values, side: str) -> list[int]:
    """The 16 block numbers of a pair of VA registers (the machine refuses a pair that begins with VA7)."""
    register = v[f"{side}_va"]
    return va_blocks(v, register) + va_blocks(v, min(register + 1, 7))


def _scatter(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    size = type_size(dtype)
    lanes = 256 // size
    repeats, active = repeats_of({"repeat": 1, **v}, lanes)
    if repeats == 0 or active == 0:
        return (0,) * len(row.addresses)
    used = -(-active * size // BLOCK)
    return tuple(
        (
            max(va_blocks(v, v[f"{address.name}_va"])[:used])
            + (repeats - 1) * v.get(f"{address.name}_rep", 0)
            + 1
        )
        * BLOCK
        for address in row.addresses
    )


def _reduce(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    size = type_size(dtype)
    lanes = 256 // size
    repeats, active = repeats_of(v, lanes)
    if repeats == 0 or active == 0:
        return (0, 0)
    blocks = -(-active * size // BLOCK)
    src = ((repeats - 1) * v["src_rep"] + (blocks - 1) * v["src_blk"] + 1) * BLOCK
    step = v["dst_rep"]
    match row.mnemonic:
        case "vcadd":
            dst = ((repeats - 1) * step + 1) * size
        case "vcmax" | "vcmin":
            dst = ((repeats - 1) * step + 1) * 2 * size
        case "vcpadd":
            dst = (repeats - 1) * step * 128 + 128
        case _:
            dst = ((repeats - 1) * step + 1) * 8 * size
    return (dst, src)


def _compare(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    if row.mnemonic in ("set_cmpmask", "get_cmpmask"):
        return (16,)
    size = type_size(dtype)
    lanes = 256 // size
    repeats = v.get("repeat", 1)
    if repeats == 0:
        return (0,) * len(row.addresses)
    extents: list[int] = []
    for address in row.addresses:
        if address.name == "dst":
            extents.append(repeats * lanes // 8)
        else:
            blk, rep = v.get(f"{address.name}_blk", 1), v.get(f"{address.name}_rep", 0)
            extents.append(((repeats - 1) * rep + 7 * blk + 1) * BLOCK)
    return tuple(extents)


def _dma(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    bursts, length = v["bursts"], v["length"]
    if bursts == 0 or length == 0:
        return (0, 0)
    return tuple(((bursts - 1) * (length + v[gap]) + length) * BLOCK for gap in ("dst_gap", "src_gap"))


def _l0c(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    bursts, length = v["bursts"], v["length"]
    if bursts == 0 or length == 0:
        return (0,) * len(row.addresses)
    to, source = operand_types(row, dtype)[:2]
    if row.mnemonic == "broadcast_ub_to_cc":
        vector, fractal = 16 * type_size(source), 256 * type_size(to)
        src = (bursts - 1) * (length * vector + v["src_gap"] * BLOCK) + length * vector
        return (((bursts - 1) * (length + v["dst_gap"]) + length) * fractal, src)
    if row.mnemonic.startswith("copy_vector"):
        size, out = type_size(to), row.mnemonic == "copy_vector_cc_to_ubuf"
        l0c_gap, ub_gap = (v["src_gap"], v["dst_gap"]) if out else (v["dst_gap"], v["src_gap"])
        l0c = (((bursts - 1) * (length + l0c_gap) + length - 1) * 256 + 16) * size
        ub = (bursts - 1) * (length * 16 * size + ub_gap * BLOCK) + length * 16 * size
        return (ub, l0c) if out else (l0c, ub)
    in_l0c, in_ub, l0c_gap, ub_gap = (
        (source, to, v["src_gap"], v["dst_gap"])
        if row.mnemonic.startswith("copy_matrix_cc_to_ubuf")
        else (to, source, v["dst_gap"], v["src_gap"])
    )
    l0c = ((bursts - 1) * (length + l0c_gap) + length) * 256 * type_size(in_l0c)
    piece = length * ub_fractal(in_ub, v.get("store", 0))
    ub = (bursts - 1) * (piece + ub_gap * BLOCK) + piece
    if row.mnemonic == "copy_matrix_cc_to_ubuf_vdeq":
        return (ub, l0c, bursts * scale_bytes(dtype))
    return (ub, l0c) if row.mnemonic == "copy_matrix_cc_to_ubuf" else (l0c, ub)


def ub_fractal(kind: str, store: int) -> int:
    """Bytes that a 16×16 fractal takes in UB: rows of bytes fill half blocks unless two fractals share them."""
    size = type_size(kind)
    return 256 * size if size > 1 or store == 2 else 16 * BLOCK


def scale_bytes(dtype: str) -> int:
    """Bytes of the parameters of a burst: 16 halves or 16 words."""
    return 32 if dtype == "s322f16" else 128


def selected_geometry(v: Values) -> dict[str, int]:
    """`v` of a load3d with the feature map that its field `fmatrix` chooses as fm_width, fm_height and pad_…"""
    chosen = dict(v)
    if v.get("fmatrix"):
        chosen |= {name: v[f"fmb_{name.removeprefix('fm_')}"] for name in GEOMETRY}
    return chosen


def _load(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    match row.mnemonic:
        case "set_2d":
            return (v["repeat"] * FRACTAL,)
        case "load2d" | "load2d_gm":
            if v["repeat"] == 0:
                return (0, 0)
            reach = 0 if v["decrement"] else (v["repeat"] - 1) * v["src_stride"]
            return (v["repeat"] * FRACTAL, (v["base"] + reach + 1) * FRACTAL)
        case "load3d":
            size = type_size(dtype)
            c0 = BLOCK // size
            v = selected_geometry(v)
            plane = v["fm_width"] * v["fm_height"] * BLOCK
            return (-(-v["m_extent"] // 16) * 16 * v["k_extent"] * size, plane * -(-v["channels"] // c0))
        case _:
            plane = v["fm_width"] * v["fm_height"] * BLOCK
            if v["repeat"] == 0:
                return (0, 0)
            taps = v["filter_w"] * v["filter_h"]
            last = v["fetch_h"] * v["filter_w"] + v["fetch_w"] + (0 if v["repeat_mode"] else v["repeat"] - 1)
            span = (v["repeat"] - 1) * v["jump"] + 1 if v["repeat_mode"] else v["repeat"]
            return (span * FRACTAL, (v["c1"] + last // taps + 1) * plane)


def _mad(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    m, k, n = v["m"], v["k"], v["n"]
    if 0 in (m, k, n):
        return (0,) * len(row.addresses)
    accumulator, operand, _ = cube_types(dtype)
    out, size = type_size(accumulator), type_size(operand)
    k0 = BLOCK // size
    m16, n16, kk = -(-m // 16) * 16, -(-n // 16) * 16, -(-k // k0) * k0
    bias = (n16 * out,) if row.mnemonic == "mad_bias" else ()
    return (m16 * n16 * out, kk * size if m == 1 else m16 * kk * size, kk * n16 * size, *bias)


def _transpose(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    if row.mnemonic == "vtranspose":
        return (FRACTAL, FRACTAL)
    if row.mnemonic == "v4dtrans":
        return (v["positions"] * v["channels"] * type_size(dtype),) * 2
    if v["repeat"] == 0:
        return (0, 0)
    if row.mnemonic == "scatter_vnchwconv":
        return tuple(
            ((v["repeat"] - 1) * v[f"{side}_rep"] + max(va_rows(v, side)) + 1) * BLOCK
            for side in ("dst", "src")
        )
    return tuple(
        ((v["repeat"] - 1) * v[f"{side}_rep"] + 15 * v[f"{side}_row_stride"] + 1) * BLOCK
        for side in ("dst", "src")
    )


def _gather(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    if row.mnemonic == "vbi":
        return _interpolation(v)
    size = type_size(dtype)
    lanes = 256 // size
    repeats, active = repeats_of(v, lanes)
    if row.mnemonic in ("vgather", "vscatter"):  # the table's size is not a field: the op declares it
        side = "dst" if row.mnemonic == "vgather" else "src"
        data = ((repeats - 1) * v[f"{side}_rep"] + -(-active * size // BLOCK)) * BLOCK
        offsets = ((repeats - 1) * lanes + active) * 4
        return (data, offsets, 0) if side == "dst" else (0, data, offsets)
    if repeats == 0:
        return (0,) * len(row.addresses)
    blocks = -(-active * size // BLOCK)
    source = ((repeats - 1) * v["src_rep"] + (blocks - 1) * v["src_blk"] + 1) * BLOCK
    if row.mnemonic == "vreducev":
        count = v.get("count", -1)
        most = repeats * lanes if count < 0 else count
        return (most * size, source, (repeats - 1) * v["bits_rep"] * BLOCK + lanes // 8)
    kept = lanes // (2 if v["pattern"] < 3 else 4)
    return (repeats * kept * size, source)


def _interpolation(v: Values) -> tuple[int, ...]:
    active = active_lanes(v, 128)
    if not active:
        return (0, 0, 0, 0)
    steps, blocks = v["h_repeat"] * v["v_repeat"], -(-active * 2 // BLOCK)
    dst = (v["v_repeat"] - 1) * v["v_offset"] * 2 + ((blocks - 1) * v["dst_blk"] + 1) * BLOCK
    return (dst, steps * 8 * 4, 0, steps * (8 if v["each_block"] else 1) * 2)


def _sort(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    size, repeat = type_size(dtype), v["repeat"]
    proposals, plain = 16 * repeat * PROPOSAL * size, 16 * repeat * size
    match row.mnemonic:
        case "vbitsort":
            return (proposals, proposals)
        case "vconcat":
            return (proposals, plain)
        case "vextract":
            return (plain, proposals)
        case _:
            lengths = [v[f"length{i}"] * (v["valid"] >> i & 1) for i in range(4)]
            whole = sum(lengths) * PROPOSAL * size
            reach = (repeat - 1) * whole if repeat else 0
            return (repeat * whole, *(reach + n * PROPOSAL * size if n and repeat else 0 for n in lengths))


def _scalar(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    return tuple(v["bytes"] for _ in row.addresses)


def _nd2nz(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    number, rows, columns, size = v["nd_num"], v["n_value"], v["d_value"], type_size(dtype)
    if 0 in (number, rows, columns):
        return (0, 0)
    c0 = BLOCK // size
    last = (rows - 1) * v["dst_n_stride"] + (-(-columns // c0) - 1) * v["dst_c0_stride"]
    src = ((number - 1) * v["src_nd_stride"] + (rows - 1) * v["src_d"] + columns) * size
    return ((number - 1) * v["dst_nd_stride"] * size + (last + 1) * BLOCK, src)


def align_row(row: Instruction, dtype: str, v: Values) -> int:
    """Bytes in UB of one burst of a padded copy, up to the end of its last block."""
    pads = (v.get("left", 0) + v.get("right", 0)) * type_size(dtype)
    return -(-(v["length"] + pads) // BLOCK) * BLOCK


def _align(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    bursts, length = v["bursts"], v["length"]
    if not bursts or not length:
        return (0, 0)
    inward = row.pipe == "MTE2"
    gaps = (v["dst_gap"], v["src_gap"]) if inward else (v["src_gap"], v["dst_gap"])
    block_row = align_row(row, dtype, v)
    ub = (bursts - 1) * (block_row + gaps[0] * BLOCK) + block_row
    gm = (bursts - 1) * (length + gaps[1]) + length
    return (ub, gm) if inward else (gm, ub)


def result_c0(size: int, split: int) -> int:
    """Columns of a fractal column that the fixpipe writes: 32 bytes, but 16 columns of 32-bit results."""
    return 8 if split else max(16, BLOCK // size)


def _fixpipe(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    m, n = v["m"], v["n"]
    rows_out = v.get("nz2nd", 0)
    number = v.get("nd_num", 1) if rows_out else 1
    if 0 in (m, n, number):
        return (0, 0, 0)
    to, source = (type_size(name) for name in operand_types(row, dtype)[:2])
    l0c = (((n - 1) // 16 * v["src_stride"] + m - 1) * 16 + min(n, 16)) * source
    l0c += (number - 1) * v.get("src_nd_stride", 0) * 256 * source
    if rows_out:
        dst = ((number - 1) * v["dst_nd_stride"] + (m - 1) * v["dst_stride"] + n) * to
    else:
        c0 = result_c0(to, v.get("split", 0))
        columns = -(-n // c0)
        dst = (columns - 1) * v["dst_stride"] * BLOCK + ((m - 1) * c0 + min(n, c0)) * to
    return (dst, l0c, 8 * n if v["quant"] else 0)


def _table(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    size = v["length"] * (64 if row.mnemonic == "copy_cbuf_to_bt" else 128)
    return (2 * size if dtype.endswith("162f32") else size, size)


def square_bytes(dtype: str) -> int:
    """Bytes of a square that load2d_transpose turns: 16×16 elements, 32×32 of 8-bit types."""
    size = type_size(dtype)
    return 1024 if size == 1 else 256 * size


def _squares(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    repeat = v["repeat"]
    if repeat == 0:
        return (0, 0)
    unit = square_bytes(dtype)
    reach = 0 if v["decrement"] else (repeat - 1) * v["src_stride"]
    last = (unit // FRACTAL - 1) * (v["frac_gap"] + 1)
    return (((repeat - 1) * (v["dst_gap"] + 1) + last + 1) * FRACTAL, (v["base"] + reach + 1) * unit)


def _fill(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    repeat, blocks = v["repeat"], v["blocks"]
    return (((repeat - 1) * (blocks + v["dst_gap"]) + blocks) * BLOCK if repeat and blocks else 0,)


def _split_vector(row: Instruction, dtype: str, v: Values) -> tuple[int, ...]:
    size, repeat = type_size(dtype), v["repeat"]
    match row.mnemonic:
        case "vbrcb" | "vgatherb":
            dst = ((repeat - 1) * v["dst_rep"] + 7 * v["dst_blk"] + 1) * BLOCK if repeat else 0
            return (dst, 8 * repeat * size) if row.mnemonic == "vbrcb" else (dst, 32 * repeat, 0)
        case "vbitsort32":
            return (256 * repeat, 32 * repeat * size, 128 * repeat)
        case "vmrgsort4v2":
            lengths = [v[f"length{i}"] * (v["valid"] >> i & 1) * 8 for i in range(4)]
            reach = (repeat - 1) * sum(lengths) if repeat else 0
            return (repeat * sum(lengths), *(reach + n if n and repeat else 0 for n in lengths))
        case _:
            lanes = 256 // size
            repeats, _ = repeats_of(v, lanes)
            src = ((repeats - 1) * v["src_rep"] + 7 * v["src_blk"] + 1) * BLOCK if repeats else 0
            bits = ((repeats - 1) * v["bits_rep"] * BLOCK + lanes // 8) if repeats and not v["pattern"] else 0
            return (repeats * 256, src, bits)


_BY_FAMILY: dict[str, Callable[[Instruction, str, Values], tuple[int, ...]]] = {
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
    "vector_padding": _vector,
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
    "table": _table,
    "squares": _squares,
    "fill": _fill,
    "vector_split": _split_vector,
}


def extents(row: Instruction, dtype: str, values: Values) -> tuple[int, ...]:
    """Bytes touched from each address operand of `row`; `values` holds all fields and state values by name."""
    if not row.addresses:
        return ()
    return _BY_FAMILY[row.family](row, dtype, values)
