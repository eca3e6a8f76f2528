"""Moves of split chips: nd2nz, padded copies, tables, transposed squares, fills.  The fixpipe is in `fixpipe.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..isa.extents import BLOCK, FRACTAL, extents, operand_types, type_size
from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .floats import DTYPES, Array, bf16_to_single
from .move import accumulate, rows
from .operand_bytes import OperandBytes
from .split_geometry import (
    align_blocks,
    fill_blocks,
    nd2nz_blocks,
    square_sources,
    square_targets,
    turn_squares,
)

if TYPE_CHECKING:
    from .memory import Core

_LONGEST = 2097151  # bytes of a padded burst [ASC DataCopyPad]


class Planned:
    """Checked operands of an instruction with scalars that are sizes, kept by their values."""

    def __init__(self, record: Decoded, soc: Soc) -> None:
        self.rules = Rules(record, soc)
        self.record = record
        self._sizes = [spec.name for spec in record.row.scalars]
        self._known: dict[tuple[Ints, Ints, State], tuple[dict[str, int], Ints]] = {}

    def values(self, scalars: Ints, fields: Ints, state: State) -> tuple[dict[str, int], Ints]:
        """(all operands by name, extents)."""
        key = (scalars, fields, state)
        found = self._known.get(key)
        if found is None:
            v = self.rules.values(fields, state) | dict(zip(self._sizes, scalars, strict=True))
            for name in self._sizes:
                if v[name] < 0 or v[name] >= 1 << 32:
                    self.rules.fault(name, f"{v[name]} is outside 0..{(1 << 32) - 1}")
            sizes = extents(self.record.row, self.record.dtype, v)
            for operand, size in enumerate(sizes):  # before anything of that length is made
                space = self.record.addresses[operand].space
                if space != "gm" and size > self.rules.soc.core.buffers[space].size:
                    self.rules.check_range(operand, 0, size)
            if len(self._known) > 1000:
                self._known.clear()
            found = self._known[key] = (v, sizes)
        return found


def make_nd2nz(record: Decoded, soc: Soc) -> Executor:
    """copy_gm_to_cbuf_multi_nd2nz."""
    plan = Planned(record, soc)
    rules, size = plan.rules, type_size(record.dtype)
    tables: dict[Ints, Array] = {}

    def table(v: dict[str, int], key: Ints) -> Array:
        found = tables.get(key)
        if found is None:
            if v["nd_num"] > 1 and v["dst_nd_stride"] * size % BLOCK:
                rules.fault(
                    "dst_nd_stride", f"{v['dst_nd_stride']} elements are not whole blocks of 32 bytes"
                )
            count = v["nd_num"] * v["n_value"] * -(-v["d_value"] * size // BLOCK)
            if count * BLOCK > soc.core.buffers["l1"].size:
                rules.fault("dst", f"{count} blocks of 32 bytes in L1 overlap or do not fit")
            found = nd2nz_blocks(record.dtype, v)
            if len(np.unique(found)) < found.size:
                rules.fault("dst_c0_stride", "rows or fractal columns overlap in L1")
            tables[key] = found
        return found

    def copy(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v, (dst_extent, src_extent) = plan.values(scalars, fields, state)
        if not src_extent:
            return
        rules.check_range(0, addresses[0], dst_extent, BLOCK)
        blocks = table(v, fields)
        data, at = core.gm.locate(record, "src", addresses[1], src_extent, False)
        strides = (v["src_nd_stride"] * size, v["src_d"] * size, 1)
        length = v["d_value"] * size
        source = np.ndarray((v["nd_num"], v["n_value"], length), np.uint8, data, at, strides)
        padded = np.zeros((v["nd_num"], v["n_value"], blocks.shape[2] * BLOCK), np.uint8)
        padded[:, :, :length] = source
        core.l1.before_write(addresses[0], addresses[0] + dst_extent)
        target = core.l1.data.reshape(-1, BLOCK)
        target[blocks + addresses[0] // BLOCK] = padded.reshape(*blocks.shape, BLOCK)
        core.l1.refresh(addresses[0], addresses[0] + dst_extent)

    return copy


def make_align(record: Decoded, soc: Soc) -> Executor:
    """copy_gm_to_ubuf_align and copy_ubuf_to_gm_align."""
    plan = Planned(record, soc)
    rules, dtype = plan.rules, DTYPES[record.dtype]
    inward = record.addresses[0].space == "ub"

    def check(v: dict[str, int]) -> None:
        if v["length"] > _LONGEST:
            rules.fault("length", f"{v['length']} bytes are more than {_LONGEST}")
        for side in ("left", "right") if inward else ():
            if v[side] * dtype.itemsize > BLOCK:
                rules.fault(side, f"{v[side]} elements are more than 32 bytes")

    def load(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v, (dst_extent, src_extent) = plan.values(scalars, fields, state)
        check(v)
        if not src_extent:
            return
        rules.check_range(0, addresses[0], dst_extent, BLOCK)
        data, at = core.gm.locate(record, "src", addresses[1], src_extent, False)
        length, left = v["length"], v["left"] * dtype.itemsize
        blocks = align_blocks(record.row, record.dtype, v)
        made = np.zeros((v["bursts"], blocks.shape[1] * BLOCK), np.uint8)
        pad = np.frombuffer((v["mov_pad"] & (1 << 64) - 1).to_bytes(8, "little"), np.uint8)[: dtype.itemsize]
        made[:, :left] = np.tile(pad, v["left"])
        made[:, left : left + length] = rows(data, at, v["bursts"], length, length + v["src_gap"])
        right = v["right"] * dtype.itemsize
        made[:, left + length : left + length + right] = np.tile(pad, v["right"])
        core.ub.reshape(-1, BLOCK)[blocks + addresses[0] // BLOCK] = made.reshape(*blocks.shape, BLOCK)

    def store(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v, (dst_extent, src_extent) = plan.values(scalars, fields, state)
        check(v)
        if not src_extent:
            return
        rules.check_range(1, addresses[1], src_extent, BLOCK)
        data, at = core.gm.locate(record, "dst", addresses[0], dst_extent, True)
        blocks = align_blocks(record.row, record.dtype, v)
        held = core.ub.reshape(-1, BLOCK)[blocks + addresses[1] // BLOCK].reshape(v["bursts"], -1)
        target = rows(data, at, v["bursts"], v["length"], v["length"] + v["dst_gap"])
        if state[0][0]:
            if v["length"] % dtype.itemsize:
                rules.fault("length", f"{v['length']} bytes are not whole elements of {record.dtype}")
            accumulate(rules, state[0][0], target, held[:, : v["length"]])
        else:
            target[...] = held[:, : v["length"]]

    return load if inward else store


def make_table(record: Decoded, soc: Soc) -> Executor:
    """copy_cbuf_to_bt and copy_cbuf_to_fbuf."""
    plan = Planned(record, soc)
    rules = plan.rules
    to_bias = record.addresses[0].space == "bt"
    kinds = operand_types(record.row, record.dtype) if record.dtype else ("u8", "u8")

    def copy(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        _, (dst_extent, src_extent) = plan.values(scalars, fields, state)
        if not src_extent:
            return
        rules.check_range(0, addresses[0], dst_extent, 64 if to_bias else 128)
        rules.check_range(1, addresses[1], src_extent, BLOCK)
        raw = core.l1.data[addresses[1] : addresses[1] + src_extent]
        target = core.bt if to_bias else core.fb
        if kinds[0] != kinds[1]:
            values = raw.view(DTYPES[kinds[1]])
            wide = bf16_to_single(values) if kinds[1] == "bf16" else values.astype(np.float32)
            raw = wide.view(np.uint8)
        target[addresses[0] : addresses[0] + dst_extent] = raw

    return copy


def make_squares(record: Decoded, soc: Soc) -> Executor:
    """load2d_transpose."""
    plan = Planned(record, soc)
    rules, size = plan.rules, type_size(record.dtype)

    def load(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v, (dst_extent, _) = plan.values(scalars, fields, state)
        if not v["repeat"]:
            return
        rules.check_range(0, addresses[0], dst_extent, FRACTAL)
        blocks = square_sources(record.dtype, v)
        if blocks.min() < 0:
            rules.fault("base", "walks backwards beyond the source address")
        rules.check_range(1, addresses[1], (int(blocks.max()) + 1) * BLOCK, BLOCK)
        raw = core.l1.data.reshape(-1, BLOCK)[blocks + addresses[1] // BLOCK]
        turned = turn_squares(raw.view(f"u{size}"), size)
        memory = core.l0a if record.addresses[0].space == "l0a" else core.l0b
        assert isinstance(memory, OperandBytes)  # only such chips have the instruction
        targets = square_targets(record.dtype, v)
        if len(np.unique(targets)) < targets.size:
            rules.fault("dst_gap", "fractals of one instruction overlap in L0")
        fractals = np.ascontiguousarray(turned).view(np.uint8).reshape(-1, FRACTAL)
        memory.scatter_bytes(targets.reshape(-1) + addresses[0] // FRACTAL, fractals)

    return load


def make_fill(record: Decoded, soc: Soc) -> Executor:
    """set_l1_2d."""
    rules = Rules(record, soc)
    size = type_size(record.dtype)

    def fill(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        v = rules.values(fields)
        (extent,) = extents(record.row, record.dtype, v)
        if not extent:
            return
        rules.check_range(0, addresses[0], extent, BLOCK)
        core.l1.before_write(addresses[0], addresses[0] + extent)
        blocks = fill_blocks(v) + addresses[0] // BLOCK
        words = core.l1.data.view(f"u{size}").reshape(-1, BLOCK // size)
        words[blocks] = scalars[0] & (1 << 8 * size) - 1
        core.l1.refresh(addresses[0], addresses[0] + extent)

    return fill
