"""The fixpipe: accumulators leave L0C converted, quantised, rectified and rearranged (davinci.md §3.5).

Numbers.  A cast rounds fp32 to nearest even and saturates.  With a parameter (QUANT_PRE, or one per column in the
fixpipe buffer) everything is fp32 arithmetic, one rounding per step:

1. an s32 accumulator is shifted right by 1..16 and saturated to s16 if bit 36 says so, then becomes fp32;
2. times the factor, of which bits 31:13 count (1-8-10 bits); ReLU makes a negative value 0;
3. to f16: rounded to nearest even, saturating; to 8 bits: clamped to [-256, 255], rounded to nearest even, plus the
   signed offset in bits 45:37, saturated to the result type.  Bit 46 must say whether that is signed.

nan stays nan in casts and becomes 0 in 8 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..isa.extents import BLOCK, operand_types, result_c0
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array, saturate, single_to_bf16
from .move import accumulate
from .split_geometry import fixpipe_blocks, matrices
from .split_move import Planned

if TYPE_CHECKING:
    from .memory import Core

_MOST_ROWS = 8192  # with nz2nd [ASC-IMPL fixpipe_v2]
_PARAMETER = 8  # bytes


def _check(rules: Rules, v: dict[str, int], kinds: tuple[str, ...]) -> None:
    nz2nd, split = v.get("nz2nd", 0), v.get("split", 0)
    if split and (nz2nd or kinds[0] != "f32"):
        rules.fault("split", "only f32 results as fractals can be split")
    unit = 1 if nz2nd else result_c0(DTYPES[kinds[0]].itemsize, split)
    if v["n"] % unit:
        rules.fault("n", f"{v['n']} is not a multiple of {unit}, a fractal column of the result")
    if nz2nd and v["m"] > _MOST_ROWS:
        rules.fault("m", f"{v['m']} rows are more than {_MOST_ROWS}")
    if v["src_stride"] % 16 or (v["n"] > 16 and v["src_stride"] == 0):
        rules.fault("src_stride", f"{v['src_stride']} is not a multiple of 16 from 16 on")
    least = v["n"] if nz2nd else -(-v["m"] * unit * DTYPES[kinds[0]].itemsize // BLOCK)
    if (v["m"] if nz2nd else v["n"] // unit) > 1 and v["dst_stride"] < least:
        rules.fault("dst_stride", f"{v['dst_stride']}: rows or columns of the result overlap below {least}")
    if matrices(v) > 1 and not (v["src_nd_stride"] and v["dst_nd_stride"]):
        rules.fault("nd_num", "more than one matrix needs distances: set_nd_para")


def make_fixpipe(record: Decoded, soc: Soc) -> Executor:
    """copy_matrix_cc_to_gm and copy_matrix_cc_to_cbuf."""
    plan = Planned(record, soc)
    rules = plan.rules
    kinds = operand_types(record.row, record.dtype)[:2]
    to_gm = record.addresses[0].space == "gm"
    size = DTYPES[kinds[0]].itemsize

    def store(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v, sizes = plan.values(scalars, fields, state)
        if not sizes[1]:
            return
        _check(rules, v, kinds)
        rules.check_range(1, addresses[1], sizes[1], 64)
        parameters = _parameters(core, rules, addresses[2], v, kinds)
        mode = state[2][0] if to_gm else 0
        for number in range(matrices(v)):
            start = addresses[1] + number * v.get("src_nd_stride", 0) * 256 * DTYPES[kinds[1]].itemsize
            values = core.l0c.elements(start, v["m"], v["n"], v["src_stride"], kinds[1])
            result = convert(values, record.dtype, kinds, parameters, v["relu"])
            if to_gm:
                far = addresses[0] + number * v.get("dst_nd_stride", 0) * size
                _to_gm(core, rules, far, result, v, mode)
            else:
                _to_l1(core, rules, addresses[0], result, v)

    def _to_l1(core: Core, rules: Rules, at: int, result: Array, v: dict[str, int]) -> None:
        blocks = fixpipe_blocks(record.row, record.dtype, v)
        extent = (int(blocks.max()) + 1) * BLOCK
        rules.check_range(0, at, extent, BLOCK)
        raw = _columns(result, result_c0(size, 0)).view(np.uint8)
        core.l1.before_write(at, at + extent)
        core.l1.data.reshape(-1, BLOCK)[blocks + at // BLOCK] = raw.reshape(*blocks.shape, BLOCK)
        core.l1.refresh(at, at + extent)

    return store


def _columns(result: Array, c0: int) -> Array:
    """(m, n) → (n/c0, m, c0)."""
    m, n = result.shape
    return np.ascontiguousarray(result.reshape(m, n // c0, c0).transpose(1, 0, 2))


def _to_gm(core: Core, rules: Rules, at: int, result: Array, v: dict[str, int], mode: int) -> None:
    size = result.itemsize
    if v["nz2nd"]:
        pieces, pitch = np.ascontiguousarray(result).view(np.uint8), v["dst_stride"] * size
    else:
        columns = _columns(result, result_c0(size, v["split"]))
        pieces, pitch = columns.view(np.uint8).reshape(len(columns), -1), v["dst_stride"] * BLOCK
    count, length = pieces.shape
    data, offset = core.gm.locate(rules.record, "dst", at, (count - 1) * pitch + length, True)
    target = np.ndarray((count, length), np.uint8, data, offset, (pitch, 1))
    if mode:
        accumulate(rules, mode, target, pieces)
    else:
        target[...] = pieces


def _parameters(
    core: Core, rules: Rules, address: int, v: dict[str, int], kinds: tuple[str, ...]
) -> Array | None:
    """64-bit parameters, one or one per column; None for results that need none."""
    if kinds[0] == kinds[1] or (kinds[1] == "f32" and kinds[0] in ("f16", "bf16")):
        if v["quant"]:
            rules.fault("quant", f"{rules.record.dtype} takes no parameters")
        return None
    if v["quant"]:
        rules.check_range(2, address, _PARAMETER * v["n"], 128)
        found = core.fb[address : address + _PARAMETER * v["n"]].view("<u8")
    else:
        found = np.array([v["quant_pre"] & (1 << 64) - 1], np.uint64)
    signed = (found >> np.uint64(46)) & np.uint64(1)
    if kinds[0] in ("s8", "u8") and bool((signed != (kinds[0] == "s8")).any()):
        rules.fault("quant", f"bit 46 of a parameter does not say that the result is {kinds[0]}")
    return found


def convert(values: Array, dtype: str, kinds: tuple[str, ...], parameters: Array | None, relu: int) -> Array:
    """Accumulators (m, n) to result elements; `parameters` (n,) or (1,)."""
    to, source = kinds
    if parameters is None:
        kept = np.where(values < 0, values.dtype.type(0), values) if relu else values
        if to == source:
            return kept.astype(DTYPES[to]) if source == "f16" else kept
        single = np.array(kept, np.float32)
        return single_to_bf16(single) if to == "bf16" else saturate(single).astype(np.float16)
    factor = (parameters & np.uint64(0xFFFFE000)).astype(np.uint32).view(np.float32)
    scaled = _shifted(values, parameters).astype(np.float32) * factor
    if relu:
        scaled = np.where(scaled < 0, np.float32(0), scaled)
    if to == "f16":
        return saturate(np.array(scaled)).astype(np.float16)
    whole = np.rint(np.clip(np.where(np.isnan(scaled), np.float32(0), scaled), -256, 255)).astype(np.int64)
    raw = (parameters >> np.uint64(37) & np.uint64(0x1FF)).astype(np.int64)
    offset = np.where(raw >= 256, raw - 512, raw)
    info = np.iinfo(DTYPES[to])
    return np.clip(whole + offset, info.min, info.max).astype(DTYPES[to])


def _shifted(values: Array, parameters: Array) -> Array:
    """s32 accumulators after the optional shift to s16; others as they are."""
    if values.dtype != np.int32:
        return values
    amount = ((parameters >> np.uint64(32)) & np.uint64(15)).astype(np.int64) + 1
    shifted = np.clip(values.astype(np.int64) >> amount, -32768, 32767)
    return np.where(parameters >> np.uint64(36) & np.uint64(1), shifted, values)
