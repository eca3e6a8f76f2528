"""Data movement between memories: DMA bursts, fractal loads (load2d), fills, L0C copies, scalar loads and
stores.

A burst copy is one numpy assignment of a (bursts, bytes) view. A contiguous load2d of halves copies nothing:
L0 then refers to the bytes in L1 (`OperandMemory.link`) until one of the two is overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..isa.extents import extents, operand_types
from ..isa.record import Decoded
from ..isa.table import ATOMIC_NAMES
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .cube import FRACTAL, OperandMemory, fractal_bytes
from .dequant import DEQUANTISING, fractal_index, make_dequant
from .floats import (
    DTYPES,
    Array,
    bf16_to_single,
    half_to_double,
    rectify,
    saturate,
    single_to_bf16,
    store_half,
)
from .operand_bytes import OperandBytes

if TYPE_CHECKING:
    from .memory import Core

BLOCK = 32


def rows(data: Array, at: int, count: int, length: int, pitch: int) -> Array:
    """`count` pieces of `length` bytes, `pitch` apart, from byte `at` of `data`."""
    return np.ndarray((count, length), np.uint8, data, at, (pitch, 1))


def make_copy(record: Decoded, soc: Soc) -> Executor:
    """Burst DMA between GM, L1 and UB."""
    rules = Rules(record, soc)
    to, source_space = record.addresses[0].space, record.addresses[1].space
    to_l1 = to == "l1"
    plans: dict[Ints, tuple[int, int, int, int, int, int]] = {}

    def plan(fields: Ints) -> tuple[int, int, int, int, int, int]:
        rules.check_fields(fields)
        bursts, length, src_gap, dst_gap = fields
        if not bursts or not length:
            return (0, 0, 0, 0, 0, 0)
        size, src_pitch, dst_pitch = length * BLOCK, (length + src_gap) * BLOCK, (length + dst_gap) * BLOCK
        if src_pitch == dst_pitch == size or bursts == 1:
            bursts, size, src_pitch, dst_pitch = 1, size * bursts, size * bursts, size * bursts
        return (
            bursts,
            size,
            dst_pitch,
            src_pitch,
            (bursts - 1) * dst_pitch + size,
            (bursts - 1) * src_pitch + size,
        )

    def copy(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        found = plans.get(fields)
        if found is None:
            found = plans[fields] = plan(fields)
        bursts, size, dst_pitch, src_pitch, dst_extent, src_extent = found
        if not bursts:
            return
        dst, src = addresses
        if to == "gm":
            target, dst = core.gm.locate(record, "dst", dst, dst_extent, True)
        else:
            target = core.l1.data if to_l1 else core.ub
            if dst & 31 or dst < 0 or dst + dst_extent > len(target):
                rules.check_range(0, dst, dst_extent, BLOCK)
        if source_space == "gm":
            source, src = core.gm.locate(record, "src", src, src_extent, False)
        else:
            source = core.l1.data if source_space == "l1" else core.ub
            if src & 31 or src < 0 or src + src_extent > len(source):
                rules.check_range(1, src, src_extent, BLOCK)
        if to_l1:
            core.l1.before_write(dst, dst + dst_extent)
        if state and state[0][0]:
            pieces = rows(target, dst, bursts, size, dst_pitch)
            accumulate(rules, state[0][0], pieces, rows(source, src, bursts, size, src_pitch))
        elif bursts == 1:
            target[dst : dst + size] = source[src : src + size]
        else:
            rows(target, dst, bursts, size, dst_pitch)[...] = rows(source, src, bursts, size, src_pitch)
        if to_l1:
            core.l1.refresh_bursts(dst, bursts, size, dst_pitch)

    return copy


def accumulate(rules: Rules, mode: int, target: Array, source: Array) -> None:
    """Rows of bytes `source` accumulate on those of device memory, as the atomic mode says."""
    name = ATOMIC_NAMES[mode]
    if name not in rules.soc.core.atomics:
        rules.fault("atomic", f"{rules.soc.name} cannot accumulate {name.replace('_', ' ')}")
    operation, kind = name.split("_")
    dtype = DTYPES[kind]
    for to, piece in zip(target, source, strict=True):
        raw = np.ascontiguousarray(to)  # device memory of byte-granular stores may lie anywhere
        old, new = raw.view(dtype), np.ascontiguousarray(piece).view(dtype)
        to[...] = atomic_result(operation, kind, old, new).view(np.uint8)


def atomic_result(operation: str, kind: str, old: Array, new: Array) -> Array:
    """add, max or min of two arrays; integers wrap, f16 and bf16 are rounded once and saturate."""
    function = {"add": np.add, "max": np.maximum, "min": np.minimum}[operation]
    if kind == "bf16":
        return single_to_bf16(function(bf16_to_single(old), bf16_to_single(new)))
    if kind == "f16":
        result = function(old.astype(np.float32), new.astype(np.float32))
        return (saturate(result) if operation == "add" else result).astype(np.float16)
    return function(old, new)


def _operand_memory(core: Core, space: str) -> OperandMemory | OperandBytes:
    return core.l0a if space == "l0a" else core.l0b


def _decode(raw: Array, kind: str) -> Array:
    """Fractal bytes (count, 512) as fp64 numbers (count, elements)."""
    if kind != "f16":
        return raw.view(DTYPES[kind]).astype(np.float32)
    out = np.empty((len(raw), 256))
    half_to_double(raw.view("<f2"), out)
    return out


def _cube_kind(dtype: str) -> str:
    """The type whose numbers L0 keeps for `dtype`: other types than halves and bytes are only moved."""
    return dtype if dtype in ("f16", "s8", "u8") else "u8"


def make_load2d(record: Decoded, soc: Soc) -> Executor:
    """Fractals from L1 (load2d) or GM (load2d_gm) to L0A, L0B or, from GM, to L1."""
    rules = Rules(record, soc)
    space = record.addresses[0].space
    kind = _cube_kind(record.dtype)
    from_gm = record.mnemonic == "load2d_gm"
    names = [spec.name for spec in record.row.fields]
    plans: dict[Ints, tuple[int, int, int, bool]] = {}

    def plan(fields: Ints) -> tuple[int, int, int, bool]:
        v = rules.values(fields)
        assert list(v) == names
        if v.get("transpose") and DTYPES[record.dtype].itemsize != 2:
            rules.fault("transpose", f"only 16-bit types, not {record.dtype}")
        step = -v["src_stride"] if v["decrement"] else v["src_stride"]
        if v["repeat"] and v["base"] + step * (v["repeat"] - 1) < 0:
            rules.fault("base", "walks backwards beyond the source address")
        return v["base"], v["repeat"], step, bool(v.get("transpose"))

    def load(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        found = plans.get(fields)
        if found is None:
            found = plans[fields] = plan(fields)
        base, count, step, transpose = found
        if not count:
            return
        rules.check_range(0, addresses[0], count * FRACTAL, FRACTAL if space != "l1" else BLOCK)
        low = min(base, base + step * (count - 1))
        high = max(base, base + step * (count - 1)) + 1
        if from_gm:
            data, at = core.gm.locate(
                record, "src", addresses[1] + low * FRACTAL, (high - low) * FRACTAL, False
            )
            at += (base - low) * FRACTAL
        else:
            rules.check_range(1, addresses[1], high * FRACTAL, FRACTAL)
            data, at = core.l1.data, addresses[1] + base * FRACTAL
        raw = np.ndarray((count, FRACTAL), np.uint8, data, at, (step * FRACTAL, 1))
        if space == "l1":
            core.l1.before_write(addresses[0], addresses[0] + count * FRACTAL)
            core.l1.data[addresses[0] : addresses[0] + count * FRACTAL].reshape(count, FRACTAL)[...] = raw
            core.l1.refresh(addresses[0], addresses[0] + count * FRACTAL)
            return
        if step == 1 and kind == "f16" and not transpose and not from_gm:
            _operand_memory(core, space).link(addresses[0] // FRACTAL, count, at, core.l1)
            return
        raw = np.ascontiguousarray(raw)
        if transpose:
            turned = raw.view(np.uint16).reshape(count, 16, 16).transpose(0, 2, 1)
            raw = np.ascontiguousarray(turned).reshape(count, 256).view(np.uint8)
        memory = _operand_memory(core, space)
        if isinstance(memory, OperandBytes):
            memory.write_bytes(addresses[0] // FRACTAL, raw)
        else:
            memory.write(addresses[0] // FRACTAL, _decode(raw, kind), kind)

    return load


def make_set_2d(record: Decoded, soc: Soc) -> Executor:
    """Fills fractals of L0A or L0B with one 16-bit value."""
    rules = Rules(record, soc)

    def fill(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        rules.check_fields(fields)
        if not fields[0]:
            return
        rules.check_range(0, addresses[0], fields[0] * FRACTAL, FRACTAL)
        half = np.full((1, 1), scalars[0] & 0xFFFF, "<u2")
        shape = (fields[0], 256)
        memory = _operand_memory(core, record.addresses[0].space)
        if isinstance(memory, OperandBytes):
            memory.write_bytes(addresses[0] // FRACTAL, np.broadcast_to(half, shape).copy().view(np.uint8))
        else:
            number = half.view("<f2").astype(np.float64)
            memory.write(addresses[0] // FRACTAL, np.broadcast_to(number, shape), "f16")

    return fill


def make_l0c_vector(record: Decoded, soc: Soc) -> Executor:
    """copy_vector_cc_to_ubuf and copy_vector_ubuf_to_cc: row 0 of each fractal."""
    rules = Rules(record, soc)
    to_ub = record.addresses[0].space == "ub"
    dtype, unit = DTYPES[record.dtype], fractal_bytes(record.dtype)
    vector = 16 * dtype.itemsize

    def copy(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        sizes = extents(record.row, record.dtype, v)
        for operand, size in enumerate(sizes):
            rules.check_range(operand, addresses[operand], size, BLOCK if (operand == 0) == to_ub else unit)
        if not v["bursts"] or not v["length"]:
            return
        l0c_gap, ub_gap = (v["src_gap"], v["dst_gap"]) if to_ub else (v["dst_gap"], v["src_gap"])
        index = fractal_index(v["bursts"], v["length"], l0c_gap)
        strides = (v["length"] * vector + ub_gap * BLOCK, vector, dtype.itemsize)
        flat = np.ndarray((*index.shape, 16), dtype, core.ub, addresses[0 if to_ub else 1], strides)
        l0c = addresses[1 if to_ub else 0]
        fractals = core.l0c.read(l0c, index, record.dtype)
        if to_ub:
            flat[...] = fractals[:, :, 0, :]
            return
        changed = fractals.copy()
        changed[:, :, 0, :] = flat
        core.l0c.write(l0c, index, record.dtype, changed)

    return copy


def make_l0c_copy(record: Decoded, soc: Soc) -> Executor:
    """copy_matrix_cc_to_ubuf, copy_matrix_ubuf_to_cc and broadcast_ub_to_cc."""
    if record.mnemonic.startswith("copy_vector"):
        return make_l0c_vector(record, soc)
    if record.mnemonic == "copy_matrix_cc_to_ubuf_vdeq" or record.dtype in DEQUANTISING:
        return make_dequant(record, soc)
    rules = Rules(record, soc)
    row = record.row
    to_ub = record.mnemonic == "copy_matrix_cc_to_ubuf"
    broadcast = record.mnemonic == "broadcast_ub_to_cc"
    to, source = operand_types(row, record.dtype)
    in_l0c, in_ub = (source, to) if to_ub else (to, source)
    ub_type = DTYPES[in_ub]
    piece = (16 if broadcast else 256) * ub_type.itemsize
    plans: dict[Ints, tuple[Array, tuple[int, ...], Ints]] = {}

    def plan(fields: Ints) -> tuple[Array, tuple[int, ...], Ints]:
        v = rules.values(fields, ((0,),) if to_ub else ())
        if v.get("store"):
            rules.fault("store", "only 8-bit results can be stored otherwise")
        sizes = extents(row, record.dtype, v)
        for operand, size in enumerate(sizes):  # before the index is made: it may be gigabytes long
            if size > soc.core.buffers[record.addresses[operand].space].size:
                rules.check_range(operand, 0, size)
        l0c_gap, ub_gap = (v["src_gap"], v["dst_gap"]) if to_ub else (v["dst_gap"], v["src_gap"])
        index = fractal_index(v["bursts"], v["length"], l0c_gap)
        strides = (v["length"] * piece + ub_gap * BLOCK, piece, 16 * ub_type.itemsize, ub_type.itemsize)
        return index, strides, sizes

    def copy(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        found = plans.get(fields)
        if found is None:
            found = plans[fields] = plan(fields)
        index, strides, (dst_extent, src_extent) = found
        if not index.size:
            return
        unit = fractal_bytes(in_l0c)
        rules.check_range(0, addresses[0], dst_extent, BLOCK if to_ub else unit)
        rules.check_range(1, addresses[1], src_extent, unit if to_ub else BLOCK)
        shape = (*index.shape, 1 if broadcast else 16, 16)
        if not to_ub:
            values = np.ndarray(shape, ub_type, core.ub, addresses[1], strides)
            core.l0c.write(addresses[0], index, in_l0c, values)
            return
        values = core.l0c.read(addresses[1], index, in_l0c)
        target = np.ndarray(shape, ub_type, core.ub, addresses[0], strides)
        _convert(values, target, record.dtype, fields[4], state[0][0] if state else 0)

    return copy


def _convert(values: Array, target: Array, dtype: str, relu: int, deqscale: int) -> None:
    """L0C numbers to UB numbers: scale, ReLU, then one rounding."""
    if dtype == "s322f16":
        scale = np.array([deqscale & 0xFFFF], np.uint16).view("<f2").astype(np.float64)
        values = np.clip(values * scale, -65504.0, 65504.0)
    elif dtype == "f322f16":
        single = np.array(values, order="C")
        store_half(rectify(single) if relu else single, target)
        return
    if relu:
        values = np.maximum(values, 0) + 0  # -0 becomes +0
    target[...] = values


def make_load_scalar(record: Decoded, soc: Soc) -> Executor:
    """Returns a sign-extended little-endian word."""
    rules = Rules(record, soc)

    def load(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> int:
        rules.check_fields(fields)
        data, at = _word(core, rules, addresses[0], fields[0], False)
        return int.from_bytes(data[at : at + fields[0]].tobytes(), "little", signed=True)

    return load


def make_store_scalar(record: Decoded, soc: Soc) -> Executor:
    """Stores the low bytes of a scalar."""
    rules = Rules(record, soc)

    def store(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        rules.check_fields(fields)
        data, at = _word(core, rules, addresses[0], fields[0], True)
        word = (scalars[0] & (1 << 64) - 1).to_bytes(8, "little")[: fields[0]]
        data[at : at + fields[0]] = np.frombuffer(word, np.uint8)

    return store


def _word(core: Core, rules: Rules, address: int, size: int, write: bool) -> tuple[Array, int]:
    place = rules.record.addresses[0]
    if place.space == "gm":
        return core.gm.locate(rules.record, rules.record.row.addresses[0].name, address, size, write)
    rules.check_range(0, address, size, 1)
    return core.ub, address
