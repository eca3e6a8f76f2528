"""img2col: the loads that turn a feature map in L1 into the matrix of a convolution (load3d, load3dv1).

A table says for every 32-byte cell of the result which cell of the feature map it is; cells outside the
image name the padding cell behind the end of L1. A load is then one `np.take`. Tables depend on geometry
only and count from the source address, so all slots of a ring share them.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, Rules, State
from .cube import FRACTAL, NUMBERS, OperandMemory
from .floats import DTYPES, Array

if TYPE_CHECKING:
    from .memory import Core

_TOKENS = count()
_PAD = np.int64(1 << 40)  # clipped to the last cell of the view: the padding cell


def wrapped_cells(index: Array, first: int, end: int) -> Array:
    """Cell numbers from the start of L1 of `index`, which counts from cell `first`; from `end` on they start at 0
    again.  Padding must be kept apart by the caller."""
    return (index + first) % end


def _wrapped(rules: Rules, index: Array, source: int, boundary: int) -> Array:
    """A table that counts from the start of L1 and wraps at byte `boundary`."""
    size = rules.soc.core.buffers["l1"].size
    if boundary % 32 or boundary > size:
        rules.fault("l1_boundary", f"{boundary} bytes are no multiple of 32 or more than L1 has ({size})")
    rules.check_range(1, source, 0, 32)
    if source >= boundary:
        rules.fault("src", f"address {source:#x} is not below the L1 boundary of {boundary:#x} bytes")
    return np.where(index == _PAD, _PAD, wrapped_cells(index, source // 32, boundary // 32))


def _output_size(extent: int, padding: int, kernel: int, stride: int) -> int:
    return (extent + padding - kernel) // stride + 1


def positions_table(v: dict[str, int], positions: Array, taps: Array) -> Array:
    """Cell numbers (positions, taps) for load3d: output positions m, column blocks (c1·Kh + kh)·Kw + kw."""
    width, height = v["fm_width"], v["fm_height"]
    span_w = (v["filter_w"] - 1) * v["dilation_w"] + 1
    span_h = (v["filter_h"] - 1) * v["dilation_h"] + 1
    out_w = _output_size(width, v["pad_left"] + v["pad_right"], span_w, v["stride_w"])
    out_h = _output_size(height, v["pad_top"] + v["pad_bottom"], span_h, v["stride_h"])
    if out_w < 1 or out_h < 1:
        return np.full((len(positions), len(taps)), _PAD)
    kw, kh, c1 = (
        taps % v["filter_w"],
        taps // v["filter_w"] % v["filter_h"],
        taps // (v["filter_w"] * v["filter_h"]),
    )
    wo, ho = positions % out_w, positions // out_w
    w = (wo * v["stride_w"] - v["pad_left"])[:, None] + kw * v["dilation_w"]
    h = (ho * v["stride_h"] - v["pad_top"])[:, None] + kh * v["dilation_h"]
    inside = (w >= 0) & (w < width) & (h >= 0) & (h < height) & (ho < out_h)[:, None]
    return np.where(inside, (c1 * height + h) * width + w, _PAD)


def version1_table(v: dict[str, int], c0_taps: int = 1) -> Array:
    """Cell numbers (repeat, 16) for load3dv1: 16 successive positions for one tap per repeat."""
    width, height = v["fm_width"], v["fm_height"]
    span = (v["filter_w"] - 1) * v["dilation_w"] + 1
    out_w = _output_size(width, v["pad_left"] + v["pad_right"], span, v["stride_w"])
    repeat = np.arange(v["repeat"])
    taps = v["filter_w"] * v["filter_h"]
    first = v["fetch_h"] * v["filter_w"] + v["fetch_w"]
    tap = first + (0 if v["repeat_mode"] else 1) * repeat
    c1 = v["c1"] + tap // taps
    kh, kw = tap % taps // v["filter_w"], tap % v["filter_w"]
    step = np.arange(16)[None, :] + (16 if v["repeat_mode"] else 0) * repeat[:, None]
    # column of the first position, counted in output steps from the padded left edge
    column = (v["left_top_w"] + v["pad_left"]) // v["stride_w"] + step
    w0 = column % max(out_w, 1) * v["stride_w"] - v["pad_left"]
    h0 = v["left_top_h"] + column // max(out_w, 1) * v["stride_h"]
    w = w0 + (kw * v["dilation_w"])[:, None]
    h = h0 + (kh * v["dilation_h"])[:, None]
    inside = (w >= 0) & (w < width) & (h >= 0) & (h < height)
    return np.where(inside, (c1[:, None] * height + h) * width + w, _PAD)


class _Step(NamedTuple):
    """A load of halves to a concrete address: cells `table` from the source on, which lie in its bytes [low, high), go
    to `out`, a part of `matrix`."""

    matrix: Any
    low: int
    high: int
    table: Array
    out: Array


def _take(
    core: Core, source: int, index: Array, hull: tuple[int, int], pad: int, *, kind: str, out: Array | None
) -> Array:
    """Cells `index` from L1 address `source` as fp64 (…, cells · k0)."""
    l1 = core.l1
    if kind == "f16":
        low, high = hull
        view = l1.values(source + low, source + high, pad)[source // 32 :]
        if out is not None:
            shaped = out.reshape(*index.shape, 16)
            view.take(index, 0, shaped, "clip")
            return out
        return np.take(view, index, axis=0, mode="clip").reshape(index.shape[0], -1)
    raw = np.take(l1.padded_cells(pad)[source // 32 :], index, axis=0, mode="clip").reshape(
        index.shape[0], -1
    )
    values = raw.view(DTYPES[kind]).astype(NUMBERS[kind])
    if out is None:
        return values
    out[...] = values
    return out


def _hull(index: Array) -> tuple[int, int]:
    """The bytes [low, high) from the source address that a table reads."""
    used = index[index != _PAD]
    return (int(used.min()) * 32, (int(used.max()) + 1) * 32) if used.size else (0, 0)


def _version2_plan(
    rules: Rules, record: Decoded, fields: Ints, geometry: Ints
) -> tuple[Array, tuple[int, int], bool]:
    """(positions to fetch, first and last byte of them, transposed) of one choice of fields; what is forbidden faults."""
    kind, to_a = record.dtype, record.addresses[0].space == "l0a"
    c0 = 32 // DTYPES[kind].itemsize
    v = rules.values(fields, (geometry, (0,), geometry, (0,)))
    for name in ("k_extent", "k_start"):
        if v[name] % c0:
            rules.fault(name, f"{v[name]} is not a multiple of C0 = {c0}")
    if v["m_start"] % 16:
        rules.fault("m_start", f"{v['m_start']} is not a multiple of 16")
    turned = bool(v["transpose"]) if to_a else True
    if (turned and kind != "f16") or (v["transpose"] and not to_a):
        rules.fault("transpose", "only 16-bit types can be transposed, and only on the way to L0A")
    cells = v["filter_w"] * v["filter_h"] * -(-v["channels"] // c0)
    if v["k_start"] + v["k_extent"] > cells * c0:
        rules.fault(
            "k_extent", f"k {v['k_start']}..{v['k_start'] + v['k_extent']} is beyond {cells * c0} columns"
        )
    rows = -(-v["m_extent"] // 16) * 16
    limit = 65536 // 32
    if rows * v["k_extent"] // c0 > limit:
        rules.fault(
            "m_extent", f"{rows} x {v['k_extent']} elements do not fit into {record.addresses[0].space}"
        )
    taps = np.arange(v["k_extent"] // c0) + v["k_start"] // c0
    index = positions_table(v, np.arange(rows) + v["m_start"], taps)
    return index, _hull(index), turned


def make_load3d(record: Decoded, soc: Soc) -> Executor:
    """load3d version 2: a slice of the virtual matrix I2C[m][k]."""
    rules = Rules(record, soc)
    kind = record.dtype
    to_a = record.addresses[0].space == "l0a"
    tables: dict[tuple[Ints, Ints], tuple[Array, tuple[int, int], bool]] = {}
    token = next(_TOKENS)
    l1_size = soc.core.buffers["l1"].size if "l1" in soc.core.buffers else 0

    def load(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        memory = core.l0a if to_a else core.l0b
        source = addresses[1]
        step = memory.repeats.get((token, addresses[0], fields, state))
        if step is not None and not source & 31 and 0 <= source <= l1_size - step.high:
            step.matrix.stored = False
            values = core.l1.values(source + step.low, source + step.high, state[1][0])
            values[source >> 5 :].take(step.table, 0, step.out, "clip")
            return
        geometry = state[2] if fields[-1] else state[0]
        found = tables.get((fields, geometry))
        if found is None:
            found = tables[fields, geometry] = _version2_plan(rules, record, fields, geometry)
        index, hull, turned = found
        if not index.size:
            return
        if state[3][0]:
            index = _wrapped(rules, index, source, state[3][0])
            source, hull = 0, _hull(index)
        if source & 31 or source < 0 or source + hull[1] > len(core.l1.data):
            rules.check_range(1, source, hull[1], 32)
        if addresses[0] & 511 or not 0 <= addresses[0] <= 65536 - index.size * 32:
            rules.check_range(0, addresses[0], index.size * 32, FRACTAL)
        m1, k1 = index.shape[0] // 16, index.shape[1]
        first = addresses[0] // FRACTAL
        if turned:
            matrix = memory.slot(first, k1, m1, kind, transposed=True).T
        else:
            matrix = memory.slot(first, m1, k1, kind, transposed=False)
        _take(core, source, index, hull, state[1][0], kind=kind, out=matrix)
        if kind == "f16" and not state[3][0] and isinstance(memory, OperandMemory):
            step = _Step(memory.filled, *hull, index, matrix.reshape(*index.shape, 16))
            memory.repeats[token, addresses[0], fields, state] = step

    return load


def make_load3dv1(record: Decoded, soc: Soc) -> Executor:
    """load3d version 1: fractals of 16 positions × C0 for one filter tap each, to L0A, L0B or UB."""
    rules = Rules(record, soc)
    kind = record.dtype
    to_ub = record.addresses[0].space == "ub"
    tables: dict[tuple[Ints, Ints], tuple[Array, tuple[int, int], int]] = {}

    def plan(fields: Ints, geometry: Ints) -> tuple[Array, tuple[int, int], int]:
        v = rules.values(fields, (geometry, (0,), (0,)))
        if (v["left_top_w"] + v["pad_left"]) % v["stride_w"] or v["left_top_w"] < -v["pad_left"]:
            rules.fault("left_top_w", f"{v['left_top_w']} is not a filter position of the padded row")
        index = version1_table(v)
        return index, _hull(index), v["jump"] if v["repeat_mode"] else 1

    def load(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> None:
        geometry, padding, boundary = state
        key = (fields, geometry)
        found = tables.get(key)
        if found is None:
            found = tables[key] = plan(fields, geometry)
        index, hull, step = found
        if not index.size:
            return
        source = addresses[1]
        if boundary[0]:
            index = _wrapped(rules, index, source, boundary[0] * 32)
            source, hull = 0, _hull(index)
        rules.check_range(1, source, hull[1], 32)
        extent = ((len(index) - 1) * step + 1) * FRACTAL
        rules.check_range(0, addresses[0], extent, 32 if to_ub else FRACTAL)
        if to_ub:
            cells = np.take(core.l1.padded_cells(padding[0])[source // 32 :], index, axis=0, mode="clip")
            target = np.ndarray(
                (len(index), 16, 32), np.uint8, core.ub, addresses[0], (step * FRACTAL, 32, 1)
            )
            target[...] = cells
            return
        memory = core.l0a if record.addresses[0].space == "l0a" else core.l0b
        values = _take(core, source, index, hull, padding[0], kind=kind, out=None)
        memory.write(addresses[0] // FRACTAL, values, kind, step)

    return load
