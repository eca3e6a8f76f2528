"""Dequantising L0C copies against a definition element by element, and what they touch."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.isa.extents import extents
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record
from ascend_mlir.runtime.isa.table import TABLE
from ascend_mlir.runtime.sim.definedness import OnChip, Step, carry, parameters
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.footprint import footprints
from ascend_mlir.runtime.soc import load_soc
from lanes import get, put, run_on_ub, same, to_half, to_single

UB_SIZE = 65536
ACC, OUT, SCALES = 0, 0x8000, 0xF000  # accumulators, results, parameters in UB
BURSTS, LENGTH = 2, 4
P3 = load_soc("Ascend310P3")
FACTORS = [1.0, -1.0, 0.5, 0.00390625, 3e-5, -0.037, 1e-40, 1e30, 0.0, -0.0, math.inf, -math.inf, math.nan]


def at(space: str, offset: int) -> AddressOperand:
    return AddressOperand(space, offset)


def word(factor: float, shift: int, mcb: int, offset: int, sign: int, relu: int, noise: int = 0) -> int:
    bits = struct.unpack("<I", struct.pack("<f", factor))[0]
    if not math.isnan(factor):
        bits |= noise & 0x1FFF  # these count for nothing
    return bits | shift - 1 << 32 | mcb << 36 | (offset & 0x1FF) << 37 | sign << 46 | relu << 47


def factor_of(parameter: int) -> float:
    return struct.unpack("<f", struct.pack("<I", parameter & 0xFFFFE000))[0]


def to_16(value: int) -> int:
    return max(-32768, min(32767, value))


def times(a: float, b: float) -> float:
    """The fp32 product."""
    return to_single(a * b)


def wanted(x: int, parameter: int, relu: int, dtype: str) -> Any:
    shift, mcb = (parameter >> 32 & 15) + 1, parameter >> 36 & 1
    if dtype == "s322s16":
        result = to_16(x >> shift)
        return max(result, 0) if relu else result
    y = times(to_single(float(to_16(x >> shift) if mcb else x)), factor_of(parameter))
    if relu and y <= 0:
        y = 0.0
    if dtype == "s322f16d":
        return to_half(y)
    offset = parameter >> 37 & 0x1FF
    offset -= offset >> 8 << 9
    low, high = (-128, 127) if dtype == "s322s8" else (0, 255)
    whole = 0 if math.isnan(y) else round(max(-256.0, min(255.0, y)))  # Python rounds to even
    return max(low, min(high, whole + offset))


def accumulators(rng: random.Random) -> bytearray:
    ub = bytearray(rng.randbytes(UB_SIZE))
    edges = [
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        255,
        256,
        32767,
        32768,
        -32768,
        -32769,
        (1 << 31) - 1,
        -(1 << 31),
    ]
    for i in range(BURSTS * LENGTH * 256):
        value = (
            rng.choice(edges)
            if rng.random() < 0.2
            else rng.randint(-(1 << 31), (1 << 31) - 1) >> rng.randint(0, 31)
        )
        put(ub, ACC + 4 * i, "s32", value)
    return ub


def copies(name: str, dtype: str, setup: list[Record], **fields: Operand) -> list[Record]:
    """Accumulators to L0C with a fractal between the bursts, then back."""
    to_l0c = Record("copy_matrix_ubuf_to_cc", "s32", [at("l0c", 0), at("ub", ACC)], (),
                    {"bursts": BURSTS, "length": LENGTH, "dst_gap": 1})  # fmt: skip
    places = [at("ub", OUT), at("l0c", 0)] + [at("ub", SCALES)] * (name == "copy_matrix_cc_to_ubuf_vdeq")
    back = {"bursts": BURSTS, "length": LENGTH, "src_gap": 1, "dst_gap": 3, **fields}
    return [to_l0c, *setup, Record(name, dtype, places, (), back)]


def place(dtype: str, store: int, burst: int, fractal: int, row: int, column: int) -> int:
    """Byte of a result behind OUT."""
    if dtype in ("s322s8", "s322u8"):
        if store == 2:
            return burst * (LENGTH * 256 + 96) + fractal // 2 * 512 + row * 32 + fractal % 2 * 16 + column
        return burst * (LENGTH * 512 + 96) + fractal * 512 + row * 32 + store * 16 + column
    return burst * (LENGTH * 512 + 96) + fractal * 512 + row * 32 + column * 2


def compare(ub: bytearray, got: bytes, dtype: str, store: int, value: Callable[[int, int, int], Any]) -> None:
    """`value(x, burst, column)` of every accumulator must stand at its place, and nothing else be written."""
    kind = {"s322s8": "s8", "s322u8": "u8", "s322s16": "s16"}.get(dtype, "f16")
    expected = bytearray(ub)
    for burst in range(BURSTS):
        for fractal in range(LENGTH):
            for row in range(16):
                for column in range(16):
                    number = ((burst * LENGTH + fractal) * 16 + row) * 16 + column
                    where = OUT + place(dtype, store, burst, fractal, row, column)
                    result = value(get(ub, ACC + 4 * number, "s32"), burst, column)
                    if isinstance(result, float) and math.isnan(result):
                        assert math.isnan(get(got, where, "f16"))
                        expected[where : where + 2] = got[where : where + 2]
                    else:
                        put(expected, where, kind, result)
    assert got == bytes(expected)


CASES = [
    ("s322s8", 0),
    ("s322s8", 1),
    ("s322s8", 2),
    ("s322u8", 0),
    ("s322u8", 2),
    ("s322f16d", 0),
    ("s322s16", 0),
]


@pytest.mark.parametrize("relu", [0, 1, 2])  # 2: by bit 47
@pytest.mark.parametrize(("dtype", "store"), CASES)
def test_one_parameter(dtype: str, store: int, relu: int) -> None:
    rng = random.Random(f"{dtype}{store}{relu}")
    sign = int(dtype == "s322s8")
    for trial in range(7):
        ub = accumulators(rng)
        offset = (-128 if sign else 0) if relu else rng.choice([0, 1, -1, 255, -256, 17])
        factor = FACTORS[(2 * trial + store) % len(FACTORS)]
        parameter = word(
            factor, rng.randint(1, 16), trial % 2, offset, sign, int(relu == 2), rng.getrandbits(13)
        )
        setup = [Record("set_deqscale", scalars=[parameter])]
        extra = {"relu": int(relu == 1)} | ({"store": store} if store else {})
        got = run_on_ub(copies("copy_matrix_cc_to_ubuf", dtype, setup, **extra), bytes(ub))
        compare(ub, got, dtype, store, lambda x, b, c, p=parameter: wanted(x, p, relu, dtype))


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize(("dtype", "store"), CASES)
def test_a_parameter_per_column(dtype: str, store: int, relu: int) -> None:
    rng = random.Random(f"{dtype}{store}{relu}columns")
    sign = int(dtype == "s322s8")
    for trial in range(4):
        ub = accumulators(rng)
        scales: list[int] = []
        for _ in range(BURSTS * 16):
            offset = (-128 if sign else 0) if relu else rng.randint(-256, 255)
            # bit 47 means nothing here; MCB is that of the whole burst
            mcb = trial >> len(scales) // 16 & 1
            scales.append(
                word(rng.choice(FACTORS), rng.randint(1, 16), mcb, offset, sign, rng.getrandbits(1))
            )
            put(ub, SCALES + 8 * (len(scales) - 1), "u32", scales[-1] & 0xFFFFFFFF)
            put(ub, SCALES + 8 * (len(scales) - 1) + 4, "u32", scales[-1] >> 32)
        extra = {"relu": relu} | ({"store": store} if store else {})
        got = run_on_ub(copies("copy_matrix_cc_to_ubuf_vdeq", dtype, [], **extra), bytes(ub))
        compare(ub, got, dtype, store, lambda x, b, c, s=scales: wanted(x, s[16 * b + c], relu, dtype))


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("columns", [False, True])
def test_half_scales(columns: bool, relu: int) -> None:
    """s32 times a half: exact, rounded once."""
    rng = random.Random(f"{columns}{relu}")
    ub = accumulators(rng)
    halves = [to_half(rng.choice([1.0, -2.0, 6e-8, 65504.0, 0.1, -0.0])) for _ in range(16 * BURSTS)]
    for i, half in enumerate(halves):
        put(ub, SCALES + 2 * i, "f16", half)
    name = "copy_matrix_cc_to_ubuf" + "_vdeq" * columns
    bits = struct.unpack("<H", struct.pack("<e", halves[0]))[0]
    got = run_on_ub(copies(name, "s322f16", [Record("set_deqscale", scalars=[bits])], relu=relu), bytes(ub))

    def value(x: int, burst: int, column: int) -> float:
        product = x * (halves[16 * burst + column] if columns else halves[0])
        return to_half(product if product > 0 or not relu else 0.0)

    compare(ub, got, "s322f16", 0, value)


@pytest.mark.parametrize("relu", [0, 1])
def test_halves_times_a_half(relu: int) -> None:
    rng = random.Random(relu)
    ub = bytearray(UB_SIZE)
    values = [0.0, -0.0, 6e-8, -6e-8, 65504.0, -65504.0, math.inf, -math.inf, math.nan, 1.0, 0.333]
    for i in range(512):
        put(ub, 2 * i, "f16", to_half(rng.choice(values) if i % 3 else rng.gauss(0, 100), saturated=False))
    for scale in (1.5, -0.001, 6e-8, math.inf, 0.0):
        bits = struct.unpack("<H", struct.pack("<e", scale))[0]
        records = [
            Record("copy_matrix_ubuf_to_cc", "f16", [at("l0c", 0), at("ub", 0)], (), {"bursts": 1, "length": 2}),
            Record("set_deqscale", scalars=[bits]),
            Record("copy_matrix_cc_to_ubuf", "f162f16", [at("ub", OUT), at("l0c", 0)], (),
                   {"bursts": 1, "length": 2, "relu": relu}),
        ]  # fmt: skip
        got = run_on_ub(records, bytes(ub))
        for i in range(512):
            product = get(ub, 2 * i, "f16") * to_half(scale, saturated=False)
            result = to_half(0.0 if relu and product <= 0 else product)
            assert same(get(got, OUT + 2 * i, "f16"), result)


def test_unsigned_accumulators_move_as_they_are() -> None:
    ub = bytearray(random.Random(1).randbytes(UB_SIZE))
    records = [
        Record("copy_matrix_ubuf_to_cc", "s32", [at("l0c", 0), at("ub", 0)], (), {"bursts": 1, "length": 3}),
        Record("copy_matrix_cc_to_ubuf", "u32", [at("ub", OUT), at("l0c", 0)], (),
               {"bursts": 1, "length": 3, "relu": 1}),
    ]  # fmt: skip
    got = run_on_ub(records, bytes(ub))
    assert got[OUT : OUT + 3072] == bytes(ub[:3072])


GOOD = word(1.0, 1, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("dtype", "parameter", "fields", "text"),
    [
        ("s322f16d", GOOD, {"store": 1}, "only 8-bit results"),
        ("f322f16", GOOD, {"store": 2}, "only 8-bit results"),
        ("s322s8", GOOD, {"store": 2, "length": 3}, "two make one"),
        ("s322u8", GOOD, {}, "bit 46 is not that of s322u8"),
        ("s322s8", GOOD, {"relu": 1}, "needs the offset -128"),
        ("s322s8", GOOD | 1 << 47, {}, "needs the offset -128"),
        ("s322u8", word(1.0, 1, 0, 1, 0, 1), {}, "needs the offset 0"),
    ],
)
def test_faults(dtype: str, parameter: int, fields: dict[str, Operand], text: str) -> None:
    setup = [Record("set_deqscale", scalars=[parameter])]
    with pytest.raises(SimulatorFault, match=text):
        run_on_ub(copies("copy_matrix_cc_to_ubuf", dtype, setup, **fields), bytes(UB_SIZE))


def test_parameters_of_a_burst_agree_in_mcb() -> None:
    ub = bytearray(UB_SIZE)
    for i in range(32):
        put(ub, SCALES + 8 * i + 4, "u32", word(1.0, 1, int(i == 5), 0, 1, 0) >> 32)
    with pytest.raises(SimulatorFault, match="the same MCB"):
        run_on_ub(copies("copy_matrix_cc_to_ubuf_vdeq", "s322s8", []), bytes(ub))


@pytest.mark.parametrize("name", ["copy_matrix_cc_to_ubuf", "copy_matrix_cc_to_ubuf_vdeq"])
@pytest.mark.parametrize("store", [0, 1, 2])
def test_bytes_touched_and_carried(name: str, store: int) -> None:
    """What the footprint says is written, and an undefined accumulator makes one undefined byte."""
    row, memory = TABLE[name], OnChip(P3)
    values = {"bursts": 2, "length": 4, "src_gap": 1, "dst_gap": 3, "relu": 0, "store": store, "deqscale": 0}
    prints = footprints(row, "s322s8", values)
    hull = extents(row, "s322s8", values)
    where = {
        place("s322s8", store, b, f, r, c)
        for b in range(2)
        for f in range(4)
        for r in range(16)
        for c in range(16)
    }
    assert {int(i) + prints[0].low for i in np.flatnonzero(prints[0].byte_mask)} == where
    assert hull[0] == -(-(max(where) + 1) // 32) * 32 and hull[1] == 9 * 1024
    memory.view["l0c"][: 9 * 1024] = 1
    broken = (5 * 1024 + 4 * (3 * 16 + 7)) + 1024 * 1  # burst 1 (behind the gap), fractal 1, row 3, column 7
    memory.view["l0c"][broken + 2] = 0
    spaces = ("ub", "l0c", "ub")[: len(row.addresses)]
    step = Step(row, "s322s8", spaces, (OUT, 0, SCALES)[: len(spaces)], prints, values)
    memory.view["ub"][OUT : OUT + hull[0]] = 0
    carry(memory, step)
    defined = {int(i) for i in np.flatnonzero(memory.view["ub"][OUT : OUT + hull[0]])}
    assert defined == where - {place("s322s8", store, 1, 1, 3, 7)}
    if len(spaces) == 3:
        assert [problem.operand for problem in parameters(memory, step)] == [2]
        memory.view["ub"][SCALES : SCALES + 256] = 1
    assert parameters(memory, step) == []
