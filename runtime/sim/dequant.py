"""L0C → UB copies that dequantise: by one parameter (DEQSCALE) or by one per column of each burst.

A 64-bit parameter holds an fp32 factor M of which the upper 19 bits count, a shift N of 1 to 16, MCB (shift first, to
16 bits), a 9-bit offset, the sign of the result and ReLU (`isa/rows_move.py` has the bits). Operand, product and sum
are fp32; integers are rounded to nearest even; what is not a number becomes 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..isa.extents import extents, operand_types, scale_bytes, ub_fractal
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .cube import fractal_bytes
from .floats import DTYPES, Array, rectify, store_half

if TYPE_CHECKING:
    from .memory import Core

BLOCK = 32
DEQUANTISING = ("f162f16", "s322s8", "s322u8", "s322f16d", "s322s16")
_LOWEST_OFFSET = {"s322s8": -128, "s322u8": 0}


def fractal_index(bursts: int, length: int, gap: int) -> Array:
    """Numbers (bursts, length) of the fractals of a burst copy, counted from the address."""
    return np.arange(bursts)[:, None] * (length + gap) + np.arange(length)


@dataclass(frozen=True)
class _Parameters:
    """One value per parameter: arrays that broadcast against (bursts, length, 16, 16)."""

    factor: Array
    shift: Array
    first: Array  # MCB: shift to 16 bits before the product
    offset: Array
    signed: Array
    relu: Array

    @staticmethod
    def of(words: Array) -> _Parameters:
        """From uint64 words."""
        factor = (words & 0xFFFFE000).astype(np.uint32).view(np.float32)
        offset = (words >> np.uint64(37) & np.uint64(0x1FF)).astype(np.int64)
        return _Parameters(
            factor,
            (words >> np.uint64(32) & np.uint64(15)).astype(np.int32) + 1,
            _bit(words, 36),
            offset - (offset >> 8 << 9),
            _bit(words, 46),
            _bit(words, 47),
        )


def _bit(words: Array, place: int) -> Array:
    return (words >> np.uint64(place) & np.uint64(1)).astype(np.bool_)


def make_dequant(record: Decoded, soc: Soc) -> Executor:
    """The dequantising types of copy_matrix_cc_to_ubuf, and copy_matrix_cc_to_ubuf_vdeq."""
    rules = Rules(record, soc)
    by_column = record.mnemonic == "copy_matrix_cc_to_ubuf_vdeq"
    halves = record.dtype in ("f162f16", "s322f16")  # the scale is a half
    in_ub, in_l0c = operand_types(record.row, record.dtype)[:2]
    unit = fractal_bytes(in_l0c)

    def checked(fields: Ints) -> tuple[dict[str, int], Ints]:
        v = rules.values(fields, () if by_column else ((0,),))
        if v["store"] and DTYPES[in_ub].itemsize > 1:
            rules.fault("store", "only 8-bit results can be stored otherwise")
        if v["store"] == 2 and v["length"] % 2:
            rules.fault("length", f"{v['length']} fractals do not fill whole blocks: two make one")
        return v, extents(record.row, record.dtype, v)

    def words(core: Core, addresses: Ints, v: dict[str, int], state: State) -> Array:
        """The scales as halves or words: one, or (bursts, 1, 1, 16)."""
        kind = np.dtype("<f2") if halves else np.dtype("<u8")
        if by_column:
            size = scale_bytes(record.dtype)
            raw = core.ub[addresses[2] : addresses[2] + v["bursts"] * size]
            return raw.view(kind).reshape(v["bursts"], 1, 1, 16)
        word = state[0][0] & (0xFFFF if halves else (1 << 64) - 1)
        return np.frombuffer(word.to_bytes(kind.itemsize, "little"), kind)

    def run(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v, sizes = checked(fields)
        for operand, size in enumerate(sizes):
            rules.check_range(operand, addresses[operand], size, unit if operand == 1 else BLOCK)
        if not sizes[0]:
            return
        index = fractal_index(v["bursts"], v["length"], v["src_gap"])
        values = core.l0c.read(addresses[1], index, in_l0c)
        target = _target(core, addresses[0], v, in_ub)
        scales = words(core, addresses, v, state)
        if halves:
            _scale(values, scales, target, relu=v["relu"])
            return
        parameters = _Parameters.of(scales)
        relu = np.bool_(v["relu"]) if by_column else parameters.relu | np.bool_(v["relu"])
        _check(rules, parameters, relu)
        _dequantise(values, parameters, relu, record.dtype, target)

    return run


def _target(core: Core, address: int, v: dict[str, int], kind: str) -> Array:
    """The results in UB as (bursts, length, 16, 16)."""
    dtype = DTYPES[kind]
    size = dtype.itemsize
    piece = ub_fractal(kind, v["store"])
    burst = v["length"] * piece + v["dst_gap"] * BLOCK
    shape = (v["bursts"], v["length"], 16, 16)
    if size > 1:
        return np.ndarray(shape, dtype, core.ub, address, (burst, piece, 16 * size, size))
    if v["store"] < 2:
        return np.ndarray(shape, dtype, core.ub, address + 16 * v["store"], (burst, piece, BLOCK, 1))
    pairs = (v["bursts"], v["length"] // 2, 2, 16, 16)
    return np.ndarray(pairs, dtype, core.ub, address, (burst, 2 * piece, 16, BLOCK, 1))


def _check(rules: Rules, parameters: _Parameters, relu: Array | np.bool_) -> None:
    dtype = rules.record.dtype
    if len(np.unique(parameters.first)) > 1:
        first = parameters.first.reshape(-1, 16)
        if bool((first != first[:, :1]).any()):
            rules.fault("scales", "the 16 parameters of a burst must have the same MCB (bit 36)")
    if dtype not in _LOWEST_OFFSET:
        return
    if bool((parameters.signed != (dtype == "s322s8")).any()):
        rules.fault("scales" if len(parameters.signed) > 1 else "deqscale", f"bit 46 is not that of {dtype}")
    if bool((relu & (parameters.offset != _LOWEST_OFFSET[dtype])).any()):
        rules.fault("relu", f"needs the offset {_LOWEST_OFFSET[dtype]}")


def _scale(values: Array, scales: Array, target: Array, *, relu: int) -> None:
    """Times a half: exact in fp64, rounded once, saturating."""
    product = values.astype(np.float64) * scales.astype(np.float64)
    if relu:
        rectify(product)
    target[...] = np.clip(product, -65504.0, 65504.0)


def _dequantise(
    values: Array, parameters: _Parameters, relu: Array | np.bool_, dtype: str, target: Array
) -> None:
    shifted = np.clip(values >> parameters.shift, -32768, 32767)
    if dtype == "s322s16":
        target[...] = np.where(relu, np.maximum(shifted, 0), shifted)
        return
    single = np.where(parameters.first, shifted, values).astype(np.float32) * parameters.factor
    single = np.where(relu, rectify(single.copy()), single)
    if dtype == "s322f16d":
        store_half(np.ascontiguousarray(single), target)
        return
    rounded = np.rint(np.nan_to_num(np.clip(single, -256, 255), nan=0.0)).astype(np.int64)
    info = np.iinfo(target.dtype)
    target[...] = np.clip(rounded + parameters.offset, info.min, info.max).reshape(target.shape)
