"""img2col to UB, its L1 boundary and its second feature map, element by element; what they touch and cost."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.isa.encode import encode_image
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record
from ascend_mlir.runtime.isa.table import TABLE
from ascend_mlir.runtime.sim.costs import costs_of
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.footprint import footprints
from ascend_mlir.runtime.soc import Soc, load_soc
from sim_kernels import hazards

P3 = load_soc("Ascend310P3")
TWO_MAPS = replace(
    P3,
    name="TwoMaps",
    core=replace(P3.core, intrinsics={**P3.core.intrinsics, "fmatrix_b": frozenset(("f16", "s8", "u8"))}),
)
OUT = 1 << 16


def at(space: str, offset: int = 0) -> AddressOperand:
    return AddressOperand(space, offset)


def run(records: list[Record], l1: bytes, size: int, soc: Soc = P3) -> bytes:
    """`size` bytes of UB from OUT on, after the records ran with `l1` as contents of L1."""
    gm = np.zeros(len(l1) + size + 64, np.uint8)
    gm[: len(l1)] = np.frombuffer(l1, np.uint8)
    load = Record(
        "copy_gm_to_cbuf", addresses=[at("l1"), at("gm")], fields={"bursts": 1, "length": len(l1) // 32}
    )
    store = Record("copy_ubuf_to_gm", addresses=[at("gm", len(l1)), at("ub", OUT)],
                   fields={"bursts": 1, "length": size // 32})  # fmt: skip
    run_kernel(soc, encode_image([load, *records, store, Record("end")], 0), gm, ())
    return gm[len(l1) : len(l1) + size].tobytes()


def geometry(rng: random.Random, boundary: int = 0) -> dict[str, int]:
    g = {name: rng.randint(1, 3) for name in ("filter_w", "filter_h")}
    g |= {name: rng.randint(1, 2) for name in ("stride_w", "stride_h", "dilation_w", "dilation_h")}
    g |= {name: rng.randint(0, 2) for name in ("pad_left", "pad_right", "pad_top", "pad_bottom")}
    return g | {"fm_width": rng.randint(7, 9), "fm_height": rng.randint(7, 9), "boundary": boundary}


FILTER = ("stride_w", "stride_h", "filter_w", "filter_h", "dilation_w", "dilation_h")
MAP = ("fm_width", "fm_height", "pad_left", "pad_right", "pad_top", "pad_bottom")


def out_width(g: dict[str, int]) -> int:
    reach = g["dilation_w"] * (g["filter_w"] - 1) + 1
    return (g["fm_width"] + g["pad_left"] + g["pad_right"] - reach) // g["stride_w"] + 1


def positions(g: dict[str, int]) -> int:
    reach = g["dilation_h"] * (g["filter_h"] - 1) + 1
    return out_width(g) * ((g["fm_height"] + g["pad_top"] + g["pad_bottom"] - reach) // g["stride_h"] + 1)


def cell(l1: bytes, g: dict[str, int], source: int, m: int, tap: int, pad: int) -> bytes:
    """The 32 bytes I2C[m][tap]: `tap` counts filter columns, rows, then channel blocks."""
    if m >= positions(g):  # decision 0008: rows beyond the last are padding
        return pad.to_bytes(2, "little") * 16
    kw, kh, c1 = (
        tap % g["filter_w"],
        tap // g["filter_w"] % g["filter_h"],
        tap // (g["filter_w"] * g["filter_h"]),
    )
    w = m % out_width(g) * g["stride_w"] - g["pad_left"] + kw * g["dilation_w"]
    h = m // out_width(g) * g["stride_h"] - g["pad_top"] + kh * g["dilation_h"]
    if not (0 <= w < g["fm_width"] and 0 <= h < g["fm_height"]):
        return pad.to_bytes(2, "little") * 16
    place = source + ((c1 * g["fm_height"] + h) * g["fm_width"] + w) * 32
    if g["boundary"]:
        place %= g["boundary"]
    return l1[place : place + 32]


def version1(
    g: dict[str, int], dtype: str, source: int, mode: int, repeat: int, start: int, tap: int
) -> Record:
    taps = g["filter_w"] * g["filter_h"]
    fields: dict[str, Operand] = {name: g[name] for name in FILTER} | {
        "c1": tap // taps, "fetch_w": tap % g["filter_w"], "fetch_h": tap % taps // g["filter_w"],
        "left_top_w": start % out_width(g) * g["stride_w"] - g["pad_left"],
        "left_top_h": start // out_width(g) * g["stride_h"] - g["pad_top"],
        "repeat_mode": mode, "repeat": repeat, "jump": 2,
    }  # fmt: skip
    return Record("load3dv1", dtype, [at("ub", OUT), at("l1", source)], (), fields)


def state(g: dict[str, int], pad: int, unit: int) -> list[Record]:
    return [
        Record("set_fmatrix", fields={name: g[name] for name in MAP}),
        Record("set_padding", fields={"pad_value": pad}),
        Record("set_l1_3d_size", scalars=[g["boundary"] // unit]),
    ]


@pytest.mark.parametrize("boundary", [0, 6144])
@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("dtype", ["f16", "s8"])
def test_version_1_to_ub(dtype: str, mode: int, boundary: int) -> None:
    """Fractals of 16 positions: the next tap per repeat, or the next positions two fractals further."""
    rng = random.Random(f"{dtype}{mode}{boundary}")
    for _ in range(6):
        g = geometry(rng, boundary)
        l1 = rng.randbytes(16384)
        source, tap, start = 32 * rng.randint(60, 100), g["filter_w"] * g["filter_h"], rng.choice([0, 16])
        load = version1(g, dtype, source, mode, 3, start, tap)
        got = run([*state(g, 0x1234, 32), load], l1, 5 * 512)
        for repeat in range(3):
            for row in range(16):
                m, column = (start + row, tap + repeat) if mode == 0 else (start + 16 * repeat + row, tap)
                if m >= positions(g):
                    continue  # positions below the last one
                where = 512 * repeat * (2 if mode else 1) + 32 * row
                assert got[where : where + 32] == cell(l1, g, source, m, column, 0x1234), (repeat, row)


def slices(g: dict[str, int], dtype: str, source: int, **fields: Operand) -> list[Record]:
    """16 positions × 32 bytes by load3d to L0A, then by a mad with the identity to UB: f16 values."""
    eye = Record("load2d", dtype, [at("l0b"), at("l1", 1 << 15)], (), {"repeat": 1})
    load = Record("load3d", dtype, [at("l0a"), at("l1", source)], (),
                  {"m_extent": 16, "k_extent": 16, "channels": 32, **{name: g[name] for name in FILTER}, **fields})  # fmt: skip
    return [
        eye,
        load,
        Record(
            "mad", "f32f16f16", [at("l0c"), at("l0a"), at("l0b")], (), {"m": 16, "k": 16, "n": 16, "init": 1}
        ),
        Record(
            "copy_matrix_cc_to_ubuf", "f322f16", [at("ub", OUT), at("l0c")], (), {"bursts": 1, "length": 1}
        ),
    ]


def halves(rng: random.Random) -> bytes:
    """L1 with random halves, and the identity at its byte 32768."""
    data = np.array([rng.gauss(0, 1) for _ in range(1 << 14)], np.float16)
    return data.tobytes() + np.eye(16, dtype=np.float16).tobytes()


@pytest.mark.parametrize("boundary", [0, 6144, 4096 + 32])
def test_version_2_wraps_at_the_boundary(boundary: int) -> None:
    rng = random.Random(boundary)
    for _ in range(6):
        g = geometry(rng, boundary)
        l1, source = halves(rng), 32 * rng.randint(80, 110)
        tap = rng.randrange(2 * g["filter_w"] * g["filter_h"])
        got = run([*state(g, 0x3C00, 1), *slices(g, "f16", source, k_start=16 * tap)], l1, 512)
        want = b"".join(cell(l1, g, source, m, tap, 0x3C00) for m in range(16))
        assert np.array_equal(np.frombuffer(got, np.float16), np.frombuffer(want, np.float16))


def test_second_feature_map() -> None:
    rng = random.Random(3)
    first, second = geometry(rng), geometry(rng)
    second |= {name: first[name] for name in FILTER}
    l1 = halves(rng)
    names = {name: f"fmb_{name.removeprefix('fm_')}" for name in MAP}
    setup = [*state(first, 0, 1), Record("set_fmatrix_b", fields={names[n]: second[n] for n in MAP})]
    for number, g in enumerate((first, second)):
        got = run([*setup, *slices(g, "f16", 64, fmatrix=number)], l1, 512, TWO_MAPS)
        want = b"".join(cell(l1, g, 64, m, 0, 0) for m in range(16))
        assert np.array_equal(np.frombuffer(got, np.float16), np.frombuffer(want, np.float16))


@pytest.mark.parametrize("record", [
    Record("set_fmatrix_b", fields={"fmb_width": 4, "fmb_height": 4, "fmb_pad_left": 0, "fmb_pad_right": 0,
                                    "fmb_pad_top": 0, "fmb_pad_bottom": 0}),
    slices(dict.fromkeys(FILTER, 1), "f16", 0, fmatrix=1)[1],
])  # fmt: skip
def test_coupled_cores_have_one_feature_map(record: Record) -> None:
    with pytest.raises(SimulatorFault, match="Ascend310P3 does not have"):
        run([record], bytes(64), 64)


@pytest.mark.parametrize(
    ("boundary", "source", "text"),
    [
        (48, 0, "no multiple of 32"),
        (1 << 20, 1 << 20, "not below|outside"),
        (4096, 4096, "is not below the L1 boundary"),
    ],
)
def test_boundary_faults(boundary: int, source: int, text: str) -> None:
    g = geometry(random.Random(0), boundary)
    with pytest.raises(SimulatorFault, match=text):
        run([*state(g, 0, 1), *slices(g, "f16", source)], halves(random.Random(0)), 512)


def test_a_boundary_beyond_l1_is_a_fault() -> None:
    g = geometry(random.Random(0))
    records = [*state(g, 0, 1), Record("set_l1_3d_size", scalars=[(1 << 20) - 16]), *slices(g, "f16", 0)]
    with pytest.raises(SimulatorFault, match="no multiple of 32"):
        run(records, halves(random.Random(0)), 512)


def _values(g: dict[str, int], row: str, **more: int) -> dict[str, int]:
    values = {spec.name: spec.default or 0 for spec in TABLE[row].fields} | g
    return values | {"pad_value": 0, "l1_boundary": 0, "fmatrix": 0, **more}


def test_wrapped_bytes_are_the_footprint() -> None:
    """The bytes of L1 that matter are those that the footprint names."""
    rng = random.Random(8)
    g = geometry(rng, 3072)
    source = 3072 - 5 * 32
    values = _values(g, "load3d", m_extent=16, k_extent=16, channels=32, l1_boundary=3072, src_at=source)
    values |= {f"fmb_{name.removeprefix('fm_')}": 1 for name in MAP}
    _, read = footprints(TABLE["load3d"], "f16", values)
    touched = {source + read.low + int(i) for i in np.flatnonzero(read.byte_mask)}
    l1 = halves(rng)
    want = {place for m in range(16) for place in _places(g, source, m)}
    assert touched == want and min(touched) < source
    got = run([*state(g, 0, 1), *slices(g, "f16", source)], l1, 512)
    noise = bytearray(rng.randbytes(1 << 15)) + bytearray(l1[1 << 15 :])
    for place in touched:
        noise[place] = l1[place]
    assert run([*state(g, 0, 1), *slices(g, "f16", source)], bytes(noise), 512) == got


def _places(g: dict[str, int], source: int, m: int) -> list[int]:
    names: list[Any] = [bytes([i & 255, i >> 8 & 255, i >> 16, 0]) * 8 for i in range(1 << 10)]
    found = cell(b"".join(names), {**g}, source, m, 0, 0xFFFF)
    if found == b"\xff" * 32:
        return []
    first = 32 * int.from_bytes(found[:4], "little")
    return list(range(first, first + 32))


WRAPPED = """
copy_gm_to_cbuf l1[0x800], gm[0+r0], bursts=1, length=32
{0}
set_flag src=MTE2, dst=MTE1, event=0
wait_flag src=MTE2, dst=MTE1, event=0
set_fmatrix fm_width=8, fm_height=8, pad_left=0, pad_right=0, pad_top=0, pad_bottom=0
set_l1_3d_size 3072
load3d.f16 l0a[0], l1[0x800], m_extent=64, k_extent=16, channels=16
{1}
"""


def test_hazards_follow_the_wrap() -> None:
    """64 cells from 0x800 on, wrapping at 0xC00: the second half comes from the start of L1."""
    low = "copy_gm_to_cbuf l1[0], gm[0+r1], bursts=1, length=32"
    assert hazards(WRAPPED.format(low, "")) == []
    late = hazards(WRAPPED.format(low, low))
    assert {(hazard.rule, hazard.space) for hazard in late} == {("WAW", "l1"), ("WAR", "l1")}
    high = "copy_gm_to_cbuf l1[0xC00], gm[0+r1], bursts=1, length=32"  # behind the boundary: nobody reads it
    assert hazards(WRAPPED.format(low, high)) == []


def test_cost_of_img2col_to_ub() -> None:
    """At most the rate of L1 → UB: 128 bytes per cycle; the overhead is that of every load."""
    costs, row = costs_of(P3), TABLE["load3dv1"]
    values = _values(dict.fromkeys(FILTER, 1) | {"fm_width": 64, "fm_height": 1, "pad_left": 0, "pad_right": 0},
                     "load3dv1", repeat=3, repeat_mode=1)  # fmt: skip
    gap = P3.timing["l0"]["gap_cycles"]
    assert costs.duration(row, "f16", values, "ub").busy == 3 * 512 // 128 + gap
    assert costs.duration(row, "f16", values, "l0a").busy == 3 * 512 // 256 + gap
    across = {**values, "fm_width": 16}  # three output rows: 512 / (3 + 2)
    assert costs.duration(row, "f16", across, "ub").busy == -(-3 * 512 // 102) + gap
