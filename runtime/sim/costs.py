"""How long one instruction keeps its pipe busy: the formulas of the timing model with the SoC file's numbers.

An instruction occupies the front of its pipe for `busy` cycles; the next one of the same pipe may start
then. Its result is there `fixed` cycles later.  A stream of independent instructions therefore costs the
sum of the busy times plus one fixed part, a drained (barrier) sequence the sum of both (timing.md §1).

The schedulers of the compiler ask the same object, so that what they optimise is what the simulator counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import prod
from typing import Any, NamedTuple

from ..isa.extents import (
    BLOCK,
    FRACTAL,
    PROPOSAL,
    cube_types,
    lanes_of,
    operand_types,
    square_bytes,
    type_size,
)
from ..isa.model import Instruction
from ..soc import Soc
from .split_costs import RECORD, SPLIT_OPERANDS, split_duration, split_operands, split_transfer
from .ub_banks import conflict_cycles, group_name, repeat_cycles

Values = Mapping[str, int]

_VECTOR_FAMILIES = "vector_"
_TIMES = ("repeat", "h_repeat", "v_repeat")  # fields that say how often an instruction works on 256 bytes
_REPEAT_BYTES = 256  # one operand of one repeat: 8 blocks of 32 bytes, the same on every chip (vec_calc_size)
_STATE_OF_LOAD3D = ("fm_width", "pad_left", "pad_right")
SECOND_MAP = ("fmb_width", "fmb_pad_left", "fmb_pad_right")  # matter when the field `fmatrix` is not 0


class Duration(NamedTuple):
    """Cycles at the front of the pipe, and from there to the result."""

    busy: int
    fixed: int


class Transfer(NamedTuple):
    """A copy between GM and the core: front-end slots, cycles at the core's ports, bytes and bursts in GM."""

    slots: int
    port: int
    bursts: int
    length: int  # bytes of a burst
    pitch: int  # bytes from burst to burst, head to head
    sheets: int = 1  # the bursts again so often, and the bytes from one time to the next
    sheet_pitch: int = 0


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def moves_gm(row: Instruction) -> bool:
    """Whether a DMA of this row crosses the border between core and global memory."""
    return row.pipe in ("MTE2", "MTE3", "FIX") and any(address.spaces == ("gm",) for address in row.addresses)


@cache
def cost_operands(row: Instruction) -> tuple[str, ...]:
    """Names of the fields and state values that the cost of `row` depends on."""
    names = [field.name for field in row.fields]
    if row.mnemonic == "v4dtrans":
        return ("positions", "channels")
    if row.mnemonic in ("vmrgsort4", "vmrgsort4v2"):
        return ("repeat", "valid", *(name for name in names if name.startswith("length")))
    if row.family.startswith(_VECTOR_FAMILIES):
        wanted = [name for name in names if name in _TIMES]
        return (*wanted, "count") if wanted and "count" in row.state else tuple(wanted)
    if row.family == "load" and row.timing == "load3d":
        skip = (
            "filter_h",
            "dilation_h",
            "stride_h",
            "channels",
            "transpose",
            "k_start",
            "fetch_w",
            "fetch_h",
            "c1",
            "jump",
        )
        second = SECOND_MAP if "fmatrix" in names else ()
        return (*(name for name in names if name not in skip), *_STATE_OF_LOAD3D, *second)
    if row.family == "load":
        return tuple(name for name in names if name in ("repeat", "src_stride"))
    if row.family == "cube":
        return ("m", "k", "n")
    if row.family in ("dma", "l0c"):
        return ("bursts", "length", "src_gap", "dst_gap")
    return split_operands(row) if row.family in SPLIT_OPERANDS else ()


class Costs:
    """The timing table of a SoC as functions."""

    def __init__(self, soc: Soc) -> None:
        table = soc.timing
        self.dispatch: int = table["dispatch_cycles"]
        self.flag: int = table["flag_cycles"]
        self.barrier: int = table["barrier_cycles"]
        self.launch: int = table["launch_cycles"]
        self.cross: int = table.get("cross_core_cycles", 0)  # from a set to the other cores
        self.queue_depth = soc.core.queue_depth
        self._scalar = {
            "scalar": table["scalar_cycles"],
            "scalar_load": table["scalar_load_cycles"],
            "scalar_store": table["scalar_store_cycles"],
        }
        self._path: Mapping[str, Any] = table["path"]
        self._l0: Mapping[str, int] = table["l0"]
        self._cube: Mapping[str, int] = table["cube"]
        self._vector: Mapping[str, Mapping[str, tuple[int, int, int]]] = table["vector"]
        self._gm: Mapping[str, Any] = table["gm"]
        self.bank_groups: int = (
            table["ub"]["bank_groups"] if "ub" in table else 0
        )  # 0: conflicts not documented

    def scalar(self, row: Instruction) -> int:
        """Cycles of the scalar unit; what is not scalar work, loops included, costs it one dispatch."""
        if row.family == "control":
            return self.dispatch
        return self._scalar.get(row.timing, self.dispatch)

    def duration(self, row: Instruction, dtype: str, values: Values, space: str = "") -> Duration:
        """Cost of an on-chip instruction; `space` is the memory of its first address."""
        if row.family.startswith(_VECTOR_FAMILIES):
            return self._vector_duration(row, dtype, values)
        match row.family:
            case "cube":
                return self._mad(dtype, values)
            case "dma":
                return self._copy(row, values)
            case "l0c":
                return self._l0c(row, dtype, values)
            case "load":
                return self._load(row, dtype, values, space)
            case "squares":
                cycles = _ceil(values["repeat"] * square_bytes(dtype), self._l0[f"{space}_rate"])
                gap = self._l0["gap_cycles"]
                return Duration(cycles + gap, max(0, self._l0["load2d_fixed"] - gap))
            case "table" | "fill" | "fixpipe":
                return Duration(*split_duration(self._path[row.timing], row, dtype, values))
            case _:
                raise ValueError(f"{row.mnemonic} has no duration of its own")

    def transfer(self, row: Instruction, dtype: str, values: Values, space: str) -> Transfer:
        """Cost of a DMA between GM and the core; `space` is the memory on the core's side."""
        if row.family in SPLIT_OPERANDS:
            return Transfer(*split_transfer(self._gm, self._path[row.timing]["rate"], row, dtype, values))
        if row.family == "load":
            repeat, stride = values["repeat"], values["src_stride"]
            bursts, length = (1, repeat * FRACTAL) if stride == 1 else (repeat, FRACTAL)
            gm_gap, core_gap = (stride - 1) * FRACTAL, 0
            rate = self._l0[f"{space}_rate"] if space in ("l0a", "l0b") else self._path["gm_to_l1"]["rate"]
            writes = False
        else:
            bursts, length = values["bursts"], values["length"] * BLOCK
            writes = row.addresses[0].spaces == ("gm",)
            gaps = (values["dst_gap"], values["src_gap"])
            gm_gap, core_gap = (gap * BLOCK for gap in (gaps if writes else gaps[::-1]))
            rate = self._path[row.timing]["rate"]
        if bursts == 0 or length == 0:
            return Transfer(1, 0, 0, 0, 0)
        if bursts == 1:
            gm_gap = core_gap = 0
        gm_rate = self._gm["l2_write_rate" if writes else "l2_read_rate"]
        port = max(
            _burst_cycles(bursts, length, gm_gap, gm_rate), _burst_cycles(bursts, length, core_gap, rate)
        )
        slots = _burst_cycles(bursts, length, gm_gap or core_gap, self._gm["issue_bytes_per_cycle"])
        return Transfer(slots, port, bursts, length, length + gm_gap)

    def _vector_duration(self, row: Instruction, dtype: str, values: Values) -> Duration:
        rows = self._vector[row.timing]
        types = operand_types(row, dtype)
        entry = rows.get(dtype) or rows.get(types[0]) or rows.get("any") or next(iter(rows.values()))
        per_cycle, factor, fixed = entry
        count = values.get("count", -1)
        repeat = prod(values.get(name, 1) for name in _TIMES) if count < 0 else _ceil(count, lanes_of(types))
        if row.mnemonic == "v4dtrans":
            volume = values["positions"] * values["channels"] * type_size(dtype)
            return Duration(max(1, _ceil(volume, per_cycle) * factor), fixed)
        if row.mnemonic == "vmrgsort4v2":  # by the bytes of all records
            number = sum(values[f"length{i}"] * (values["valid"] >> i & 1) for i in range(4))
            return Duration(max(1, _ceil(repeat * number * RECORD, per_cycle) * factor), fixed)
        if row.family == "vector_sort":  # by the bytes of all proposals
            proposal = PROPOSAL * type_size(dtype)
            number = 16
            if row.mnemonic in ("vmrgsort4", "vmrgsort4v2"):
                number = sum(values[f"length{i}"] * (values["valid"] >> i & 1) for i in range(4))
            return Duration(max(1, _ceil(repeat * number * proposal, per_cycle) * factor), fixed)
        busy = max(1, _ceil(repeat * _REPEAT_BYTES, per_cycle) * factor)
        if group_name(0) in values:
            own = max(1, _ceil(_REPEAT_BYTES, per_cycle) * factor)
            busy += conflict_cycles(repeat_cycles(row, dtype, values, repeat, self.bank_groups), own)
        return Duration(busy, fixed)

    def _mad(self, dtype: str, values: Values) -> Duration:
        m, k, n = values["m"], values["k"], values["n"]
        if 0 in (m, k, n):
            return Duration(self._cube["noop"], 0)
        operand = cube_types(dtype)[1]
        name = {"s8": "8", "u8": "8", "f32": "f32", "h32": "hf32"}.get(operand, "16")
        steps = _ceil(m, 16) * _ceil(n, 16) * _ceil(k, self._cube[f"kstep_{name}"])
        # The overhead delays the next mad, the fixed part the result of this one; they run side by side.
        overhead = self._cube["overhead"]
        return Duration(steps + overhead, max(0, self._cube["fixed"] - overhead))

    def _copy(self, row: Instruction, values: Values) -> Duration:
        path = self._path[row.timing]
        bursts, length = values["bursts"], values["length"] * BLOCK
        gap = (values["src_gap"] or values["dst_gap"]) if bursts > 1 else 0
        return Duration(max(1, _burst_cycles(bursts, length, gap, path["rate"])), path["fixed"])

    def _l0c(self, row: Instruction, dtype: str, values: Values) -> Duration:
        path = self._path[row.timing]
        wide = max(type_size(name) for name in operand_types(row, dtype))
        gap = (values["src_gap"] or values["dst_gap"]) if values["bursts"] > 1 else 0
        elements = 16 if row.mnemonic.startswith("copy_vector") else 256
        cycles = _burst_cycles(values["bursts"], values["length"] * elements * wide, gap, path["rate"])
        return Duration(max(1, cycles), path["fixed"])

    def _load(self, row: Instruction, dtype: str, values: Values, space: str) -> Duration:
        gap = self._l0["gap_cycles"]
        if row.timing != "load3d":
            cycles = _ceil(values["repeat"] * FRACTAL, self._l0[f"{space}_rate"])
            return Duration(cycles + gap, max(0, self._l0["load2d_fixed"] - gap))
        size = type_size(dtype)
        if values.get("fmatrix"):
            second = {first: values[name] for first, name in zip(_STATE_OF_LOAD3D, SECOND_MAP, strict=True)}
            values = {**values, **second}
        if row.mnemonic == "load3d":
            rows = _output_rows(values, values["m_start"], values["m_extent"])
            volume = _ceil(values["m_extent"], 16) * 16 * values["k_extent"] * size
        else:
            positions = 16 * (values["repeat"] if values["repeat_mode"] else 1)
            start = max(0, (values["left_top_w"] + values["pad_left"]) // values["stride_w"])
            rows = _output_rows(values, start, positions)
            volume = values["repeat"] * FRACTAL
        cycles = _ceil(volume, self._load3d_rate(space, values["stride_w"], rows))
        return Duration(cycles + gap, max(0, self._l0["load3d_fixed"] - gap))

    def _load3d_rate(self, space: str, stride: int, rows: int) -> int:
        """Bytes per cycle of img2col: full rate on one output row of stride 1, less on several (§3.9)."""
        table = self._l0
        spanned = rows if rows > 1 else 0
        if stride == 1:
            if not spanned:
                return table[f"{space}_rate"]
            divisor = spanned + table[f"{space}_rows"]
        elif stride in (2, 4, 8):
            divisor = 2 * stride + table[f"{space}_stride"] + spanned
        else:
            return table[f"{space}_floor"]
        return max(table[f"{space}_floor"], min(table["load3d_span"] // divisor, table[f"{space}_rate"]))


def _burst_cycles(bursts: int, length: int, gap: int, rate: int) -> int:
    """Contiguous data moves as one piece; behind a gap every burst starts a new cycle (timing.md §4)."""
    if gap == 0:
        return _ceil(bursts * length, rate)
    return bursts * _ceil(length, rate)


def _output_rows(values: Values, start: int, positions: int) -> int:
    """How many rows of the output map the positions start … start+positions-1 touch."""
    reach = values["dilation_w"] * (values["filter_w"] - 1) + 1
    width = (values["fm_width"] + values["pad_left"] + values["pad_right"] - reach) // values["stride_w"] + 1
    if width < 1 or positions < 1:
        return 1
    return (start % width + positions - 1) // width + 1


_MADE: dict[int, tuple[Soc, Costs]] = {}


def costs_of(soc: Soc) -> Costs:
    """The costs of `soc`, made once per SoC object (which is kept, so its id stays its own)."""
    made = _MADE.get(id(soc.timing))
    if made is None:
        made = _MADE[id(soc.timing)] = (soc, Costs(soc))
    return made[1]


__all__ = ["Costs", "Duration", "Transfer", "cost_operands", "costs_of", "moves_gm"]
