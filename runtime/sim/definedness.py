"""Which bytes of the on-chip memories hold a value (decision D10).

Every byte starts undefined.  Copies, loads, transposes and moves between L0C and UB carry undefined bytes
along; arithmetic on an undefined *active* lane, or inside m, k, n of a mad, is an error.  Padding that
nobody computes with may hold anything, so it is carried and not reported.

In a loop the same instruction meets the same state again and again.  `epoch` counts the moments when a
defined byte became undefined: an instruction whose operands were all defined need not be looked at again
before the next one.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.extents import BLOCK, FRACTAL, cube_types, operand_types, type_size
from ..isa.model import Instruction
from ..soc import Soc
from .byte_sets import Bools, Footprint, Ints, Values
from .footprint import NO_CELL, half_blocks, load2d_sources, load3d_cells, load3dv1_cells, vnchwconv_blocks

Bytes: TypeAlias = NDArray[np.uint8]

CARRIES = frozenset(("dma", "l0c", "load", "vector_transpose"))
_CUBE_ROWS = 16


class Step(NamedTuple):
    """An instruction with concrete operands: one entry per address in `spaces`, `at` and `prints`."""

    row: Instruction
    dtype: str
    spaces: tuple[str, ...]
    at: tuple[int, ...]
    prints: tuple[Footprint, ...]
    values: Values


class Undefined(NamedTuple):
    """Operand number, memory and first undefined byte that an instruction computes with."""

    operand: int
    space: str
    address: int


class OnChip:
    """Definedness of the buffers of one core: one byte, 0 or 1, per byte."""

    def __init__(self, soc: Soc) -> None:
        self.raw = {space: bytearray(buffer.size) for space, buffer in soc.core.buffers.items()}
        self.view = {space: np.frombuffer(raw, np.uint8) for space, raw in self.raw.items()}
        self.epoch = 0

    def first_undefined(
        self, space: str, address: int, footprint: Footprint, mask: Bools | None = None
    ) -> int:
        """Address of the first undefined byte of the footprint, -1 when there is none."""
        low, high = address + footprint.low, address + footprint.high
        if high <= low or low < 0 or high > len(self.raw[space]):
            return -1  # an access outside the buffer is another fault's business
        found = self.raw[space].find(0, low, high)
        if found < 0 or (footprint.solid and mask is None):
            return found
        wanted = footprint.byte_mask if mask is None else mask
        missing = np.flatnonzero(wanted & (self.view[space][low:high] == 0))
        return low + int(missing[0]) if missing.size else -1

    def define(self, space: str, address: int, footprint: Footprint) -> None:
        """Every byte of the footprint holds a value now."""
        low, high = address + footprint.low, address + footprint.high
        if high <= low or low < 0 or high > len(self.raw[space]):
            return
        if footprint.solid:
            self.raw[space][low:high] = b"\1" * (high - low)
        else:
            self.view[space][low:high][footprint.byte_mask] = 1

    def copy_of(self, space: str, address: int, footprint: Footprint) -> Bytes:
        """Definedness of the bytes of the footprint, in order."""
        return self.view[space][address + footprint.low : address + footprint.high][footprint.byte_mask]

    def store(self, space: str, index: Ints | slice, values: Bytes) -> None:
        """Write the definedness `values` to the 32-byte rows `index` of the memory."""
        rows = self.view[space].reshape(-1, BLOCK)
        if not isinstance(index, slice) and index.size and (index.min() < 0 or index.max() >= len(rows)):
            return  # outside the buffer: another fault's business
        if isinstance(index, slice) and index.stop > len(rows):
            return
        old = rows[index]
        values = values.reshape(old.shape)
        if bool((old > values).any()):
            self.epoch += 1
        rows[index] = values

    def rows(self, space: str, index: Ints) -> Bytes:
        """Definedness of the 32-byte rows `index`; rows outside the memory count as undefined."""
        table = self.view[space].reshape(-1, BLOCK)
        inside = (index >= 0) & (index < len(table))
        if inside.all():
            return table[index]
        return table[np.where(inside, index, 0)] * inside[..., None].astype(np.uint8)


@cache
def mad_masks(dtype: str, m: int, k: int, n: int) -> tuple[Bools | None, Bools | None, Bools | None]:
    """Bytes of c, a and b that lie inside m, k, n; None = all of them."""
    accumulator, operand, _ = cube_types(dtype)
    out, size = type_size(accumulator), type_size(operand)
    k0 = BLOCK // size
    m_in, n_in, k_in = _inside(m, 16), _inside(n, 16), _inside(k, k0)
    c = (n_in[:, None, None, :] & m_in[None, :, :, None])[..., None].repeat(out, -1)
    if m == 1:  # GEMV: a plain vector of k elements
        a = np.repeat(k_in.ravel(), size)
    else:
        a = (m_in[:, None, :, None] & k_in[None, :, None, :])[..., None].repeat(size, -1)
    b = (k_in[:, None, None, :] & n_in[None, :, :, None])[..., None].repeat(size, -1)
    return _or_none(c), _or_none(a), _or_none(b)


def _inside(count: int, unit: int) -> Bools:
    outer = -(-count // unit)
    return (np.arange(outer * unit) < count).reshape(outer, unit)


def _or_none(mask: Bools) -> Bools | None:
    return None if mask.all() else mask.ravel()


def compute(memory: OnChip, step: Step) -> tuple[list[Undefined], bool]:
    """An arithmetic instruction: what it wrongly reads, and whether looking once is enough."""
    if step.row.family == "cube":
        return _mad(memory, step)
    problems: list[Undefined] = []
    for number, address in enumerate(step.row.addresses):
        if not address.reads or step.spaces[number] == "gm":
            continue
        found = memory.first_undefined(step.spaces[number], step.at[number], step.prints[number])
        if found >= 0:
            problems.append(Undefined(number, step.spaces[number], found))
    for number, address in enumerate(step.row.addresses):
        if address.writes and step.spaces[number] != "gm":
            memory.define(step.spaces[number], step.at[number], step.prints[number])
    return problems, True


def _mad(memory: OnChip, step: Step) -> tuple[list[Undefined], bool]:
    values, at, prints = step.values, step.at, step.prints
    m, k, n = values["m"], values["k"], values["n"]
    if 0 in (m, k, n):
        return [], True
    masks = mad_masks(step.dtype, m, k, n)
    problems: list[Undefined] = []
    bias = step.row.mnemonic == "mad_bias"
    if bias:  # only the n sums that exist need a bias
        out = type_size(cube_types(step.dtype)[0])
        found = memory.first_undefined("bt", at[3], prints[3], np.arange(prints[3].count * BLOCK) < n * out)
        if found >= 0:
            problems.append(Undefined(3, "bt", found))
    for number, space in enumerate(("l0c", "l0a", "l0b")):
        if number == 0 and (bias or values["init"]):
            continue
        found = memory.first_undefined(space, at[number], prints[number], masks[number])
        if found >= 0:
            problems.append(Undefined(number, space, found))
    inside = masks[0]
    if inside is None:
        memory.define("l0c", at[0], prints[0])
        return problems, True
    first = at[0] // BLOCK
    memory.store("l0c", slice(first, first + prints[0].count), inside.astype(np.uint8))
    return problems, False


def carry(memory: OnChip, step: Step, source: Bytes | None = None) -> bool:
    """A moving instruction; `source` are the source bytes of a load from GM.  True if looking once is
    enough."""
    spaces, at, prints = step.spaces, step.at, step.prints
    if step.row.mnemonic == "set_2d":
        memory.define(spaces[0], at[0], prints[0])
        return True
    if prints[0].count == 0:
        return True
    if source is None and memory.first_undefined(spaces[1], at[1], prints[1]) < 0:
        memory.define(spaces[0], at[0], prints[0])
        return True
    index, moved = (_row_numbers(prints[0]), source) if source is not None else _moved(memory, step)
    memory.store(spaces[0], index + at[0] // BLOCK, moved)
    return False


def _moved(memory: OnChip, step: Step) -> tuple[Ints, Bytes]:
    """32-byte rows of the destination (relative), and the definedness that arrives there."""
    base = step.at[1] // BLOCK
    if step.row.family == "dma":
        return _row_numbers(step.prints[0]), memory.rows(step.spaces[1], _row_numbers(step.prints[1]) + base)
    if step.row.family == "l0c":
        return _moved_l0c(memory, step, base)
    if step.row.family == "load":
        return _row_numbers(step.prints[0]), _moved_load(memory, step, base)
    if step.row.mnemonic == "v4dtrans":
        size, wanted = type_size(step.dtype), _row_numbers(step.prints[0])
        shape = [step.values["channels"], step.values["positions"]]
        if shape[1] * size % BLOCK:  # the machine refuses it: another fault's business
            return wanted, memory.rows("ub", base + wanted)
        found = memory.rows("ub", base + wanted).reshape(
            *shape[:: 1 if step.values["chw_to_hwc"] else -1], size
        )
        return wanted, np.ascontiguousarray(found.swapaxes(0, 1)).reshape(-1, BLOCK)
    if step.row.mnemonic == "vtranspose":
        block = memory.rows("ub", base + np.arange(16)).reshape(16, 16, 2)
        return np.arange(16), np.ascontiguousarray(block.swapaxes(0, 1))
    return _moved_rows(memory, step)


def _row_numbers(footprint: Footprint) -> Ints:
    if footprint.blocks is None:
        return np.arange(footprint.first, footprint.first + footprint.count)
    return footprint.first + np.flatnonzero(footprint.blocks)


def _moved_load(memory: OnChip, step: Step, base: int) -> Bytes:
    row, values = step.row, step.values
    size = type_size(step.dtype)
    if row.mnemonic == "load2d":
        rows = load2d_sources(values)[:, None] * (FRACTAL // BLOCK) + np.arange(16)
        fractals = memory.rows("l1", rows + base)
        if values["transpose"]:
            fractals = fractals.reshape(-1, 16, 16, 2).swapaxes(1, 2)
        return np.ascontiguousarray(fractals).reshape(-1, BLOCK)
    if row.mnemonic == "load3dv1":
        return _cells(memory, load3dv1_cells(values), base).reshape(-1, BLOCK)
    cells = load3d_cells(step.dtype, values)
    c0 = BLOCK // size
    block = _cells(memory, cells, base).reshape(cells.shape[0] // 16, 16, cells.shape[1], c0, size)
    if step.spaces[0] == "l0b":  # [M1][K1][C0][16]
        block = block.transpose(0, 2, 3, 1, 4)
    elif values["transpose"]:  # [K1][M1][C0][16]
        block = block.transpose(2, 0, 3, 1, 4)
    else:  # [M1][K1][16][C0]
        block = block.transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(block).reshape(-1, BLOCK)


def _cells(memory: OnChip, cells: Ints, base: int) -> Bytes:
    """Definedness of img2col cells; padding is a value."""
    padding = cells == NO_CELL
    found = memory.rows("l1", np.where(padding, base, cells + base))
    return np.where(padding[..., None], np.uint8(1), found)


def _moved_l0c(memory: OnChip, step: Step, base: int) -> tuple[Ints, Bytes]:
    """Fractal by fractal; a converted element is defined when all its bytes were."""
    row, values = step.row, step.values
    to, source = operand_types(row, step.dtype)[:2]
    wide, narrow = type_size(to), type_size(source)
    piece = np.arange(values["bursts"])[:, None], np.arange(values["length"])[None, :]
    length = values["length"]
    if row.mnemonic == "broadcast_ub_to_cc":
        rows_in, rows_out = 16 * narrow // BLOCK, 8 * wide
        start_in = piece[0] * (length * rows_in + values["src_gap"]) + piece[1] * rows_in
        start_out = (piece[0] * (length + values["dst_gap"]) + piece[1]) * rows_out
    elif row.mnemonic.startswith("copy_vector"):
        rows_in = rows_out = 16 * wide // BLOCK
        out = row.mnemonic == "copy_vector_cc_to_ubuf"
        l0c_gap, ub_gap = (values["src_gap"], values["dst_gap"])[:: 1 if out else -1]
        fractal = (piece[0] * (length + l0c_gap) + piece[1]) * 8 * wide
        vector = piece[0] * (length * rows_in + ub_gap) + piece[1] * rows_in
        start_in, start_out = (fractal, vector) if out else (vector, fractal)
    else:
        rows_in, rows_out = 8 * narrow, 8 * wide
        out = row.mnemonic.startswith("copy_matrix_cc_to_ubuf")
        gap_in = values["src_gap"] * (rows_in if out else 1)
        gap_out = values["dst_gap"] * (1 if out else rows_out)
        start_in = piece[0] * (length * rows_in + gap_in) + piece[1] * rows_in
        start_out = piece[0] * (length * rows_out + gap_out) + piece[1] * rows_out
        if wide == 1:
            return _moved_bytes(memory, step, base + start_in)
    found = memory.rows(step.spaces[1], base + start_in.reshape(-1, 1) + np.arange(rows_in))
    elements = found.reshape(start_in.size, -1, narrow).min(axis=2)
    if row.mnemonic == "broadcast_ub_to_cc":
        elements = np.repeat(elements[:, None, :], _CUBE_ROWS, axis=1).reshape(start_in.size, -1)
    index = (start_out.reshape(-1, 1) + np.arange(rows_out)).ravel()
    return index, np.repeat(elements, wide, axis=1).reshape(-1, BLOCK)


def _moved_bytes(memory: OnChip, step: Step, fractals: Ints) -> tuple[Ints, Bytes]:
    """8-bit results of L0C fractals (bursts, length): half blocks, whose other half stays, or two side by side."""
    v = step.values
    found = memory.rows("l0c", fractals.reshape(-1, 1) + np.arange(32))
    results = found.reshape(v["bursts"], v["length"], _CUBE_ROWS, 16, 4).min(axis=4)
    if v["store"] < 2:
        halves = half_blocks(v).ravel()
        index = halves // BLOCK
        moved = memory.rows("ub", index + step.at[0] // BLOCK).copy()
        low = 16 * v["store"]
        moved[:, low : low + 16] = results.reshape(-1, 16)
        return index, moved
    pairs = results[:, : v["length"] // 2 * 2].reshape(v["bursts"], v["length"] // 2, 2, _CUBE_ROWS, 16)
    index = np.arange(v["bursts"])[:, None] * (v["length"] * 8 + v["dst_gap"]) + np.arange(
        v["length"] // 2 * 16
    )
    return index.ravel(), np.ascontiguousarray(pairs.transpose(0, 1, 3, 2, 4)).reshape(-1, BLOCK)


def parameters(memory: OnChip, step: Step) -> list[Undefined]:
    """What a moving instruction computes with beside its source: undefined scales."""
    problems: list[Undefined] = []
    for number in range(2, len(step.row.addresses)):
        found = memory.first_undefined(step.spaces[number], step.at[number], step.prints[number])
        if found >= 0:
            problems.append(Undefined(number, step.spaces[number], found))
    return problems


def _moved_rows(memory: OnChip, step: Step) -> tuple[Ints, Bytes]:
    """vnchwconv: 16 rows of one block in, 16 rows out."""
    values, at = step.values, step.at
    source = memory.rows("ub", vnchwconv_blocks(values, "src") + at[1] // BLOCK)
    target = vnchwconv_blocks(values, "dst")
    repeats, size = source.shape[0], type_size(step.dtype)
    if size == 1:  # half blocks; the other half of the destination row stays
        low_in, low_out = 16 * values["src_high"], 16 * values["dst_high"]
        result = memory.rows("ub", target + at[0] // BLOCK).copy()
        result[:, :, low_out : low_out + 16] = source[:, :, low_in : low_in + 16].swapaxes(1, 2)
    else:
        elements = source.reshape(repeats, 16, BLOCK // size, size).swapaxes(1, 2)
        result = np.ascontiguousarray(elements).reshape(repeats, 16, BLOCK)
    return target.ravel(), result.reshape(-1, BLOCK)
