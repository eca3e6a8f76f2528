"""Each vector instruction against a plain Python definition, lane by lane: strides, masks, counter mode."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.isa.record import Record
from ascend_mlir.runtime.isa.rows_vector import VCONV_TYPES
from ascend_mlir.runtime.isa.table import TABLE
from ascend_mlir.runtime.sim.fault import SimulatorFault
from lanes import (
    FORMATS,
    SIZES,
    SOC,
    get,
    lanes_active,
    place,
    put,
    random_ub,
    random_value,
    rounded,
    run_on_ub,
    same,
    to_half,
    to_single,
)


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _ln(x: float) -> float:
    return math.nan if x < 0 else -math.inf if x == 0 else math.log(x)


def _divide(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 else math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


def _coarse(value: float) -> float:
    if math.isinf(value) or value == 0:
        return value
    m, e = math.frexp(value)
    return math.ldexp(math.floor(m * 512), e - 9)


def _rec(x: float) -> float:
    return math.copysign(math.inf, x) if x == 0 else math.copysign(_coarse(1 / abs(x)), x)


def _rsqrt(x: float) -> float:
    if x == 0:
        return math.inf
    if x < 0:
        return math.nan
    true = 1 / math.sqrt(x)
    return true * 511 / 512 if math.frexp(true)[0] == 0.5 else _coarse(true)


UNARY: dict[str, Callable[[Any], Any]] = {
    "vabs": abs,
    "vexp": _exp,
    "vln": _ln,
    "vsqrt": lambda x: math.nan if x < 0 else math.sqrt(x),
    "vrsqrt": _rsqrt,
    "vrec": _rec,
    "vrelu": lambda x: max(x, 0),
    "vnot": lambda x: ~x,
}
BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "vadd": lambda d, a, b: a + b,
    "vsub": lambda d, a, b: a - b,
    "vmul": lambda d, a, b: a * b,
    "vdiv": lambda d, a, b: _divide(a, b),
    "vmax": lambda d, a, b: max(a, b),
    "vmin": lambda d, a, b: min(a, b),
    "vand": lambda d, a, b: a & b,
    "vor": lambda d, a, b: a | b,
    "vmla": lambda d, a, b: a * b + d,
    "vmadd": lambda d, a, b: a * d + b,
    "vmaddrelu": lambda d, a, b: max(a * d + b, 0),
    "vaddrelu": lambda d, a, b: max(a + b, 0),
    "vsubrelu": lambda d, a, b: max(a - b, 0),
}
SCALAR: dict[str, Callable[[Any, Any, Any], Any]] = {
    "vadds": lambda d, a, s: a + s,
    "vmuls": lambda d, a, s: a * s,
    "vmaxs": lambda d, a, s: max(a, s),
    "vmins": lambda d, a, s: min(a, s),
    "vlrelu": lambda d, a, s: a if a >= 0 else a * s,
    "vaxpy": lambda d, a, s: d + a * s,
}
WRAPPING = ("vaddrelu", "vsubrelu")  # integers: relu of the wrapped sum


def types_of(name: str, dtype: str, operands: int) -> list[str]:
    return ["f32", *["f16"] * (operands - 1)] if dtype == "f32f16f16" else [dtype] * operands


CASES = [(name, dtype) for table in (BINARY, UNARY, SCALAR) for name in table for dtype in TABLE[name].types]
SHAPES = ["plain", "strided", "masked", "ragged", "counter"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_elementwise(name: str, dtype: str, shape: str) -> None:
    rng = random.Random(f"{name}{dtype}{shape}")
    row = TABLE[name]
    operands = len(row.addresses)
    kinds = types_of(name, dtype, operands)
    lanes = min(128, 256 // max(SIZES[kind] for kind in kinds))
    repeat, blk, mask, count = 3, [1] * operands, (1 << lanes) - 1, -1
    rep = [lanes * SIZES[kind] // 32 for kind in kinds]
    if shape == "strided":
        blk, rep = [2, 1, 3][:operands], [17, 9, 25][:operands]
    elif shape == "masked":
        mask = (1 << 21) - 1
    elif shape == "ragged":
        mask = rng.getrandbits(lanes) | 1
        blk = [1, 2, 1][:operands]
        rep = [8, 17, 8][:operands]
    elif shape == "counter":
        count = 2 * lanes + 13
    starts = [0, 4096, 8192][:operands]
    ub = random_ub([(start, 4096, kind) for start, kind in zip(starts, kinds, strict=True)], 12288, rng)
    scalars, value = [], None
    if row.scalars:
        value = random_value(kinds[-1], rng)
        scalars = [int.from_bytes(struct.pack("<" + FORMATS[kinds[-1]], value), "little")]
    fields = {"repeat": 1 if count >= 0 else repeat}
    for address, b, r in zip(row.addresses, blk, rep, strict=True):
        fields[f"{address.name}_blk"], fields[f"{address.name}_rep"] = b, r
    signed = [x - (1 << 64) if x >> 63 else x for x in (mask >> 64, mask & (1 << 64) - 1)]
    records = [Record("set_vector_mask", scalars=signed)]
    if count >= 0:
        records = [Record("set_mask_count", scalars=[count])]
    records.append(Record(name, dtype, [("ub", at, None, None) for at in starts], scalars, fields))
    got = run_on_ub(records, bytes(ub))
    expected = bytearray(ub)
    for r, e in lanes_active(lanes, repeat, mask, count):
        places = [start + place(r, e, *how) for start, *how in zip(starts, kinds, blk, rep, strict=True)]
        values = [get(ub, at, kind) for at, kind in zip(places, kinds, strict=True)]
        result = _result(name, values, value)
        if name in WRAPPING and dtype[0] == "s":
            result = max(
                rounded(values[1] + values[2] if name == "vaddrelu" else values[1] - values[2], dtype), 0
            )
        want = rounded(result, kinds[0])
        have = get(got, places[0], kinds[0])
        assert same(have, want), (name, dtype, shape, r, e, values, value, have, want)
        put(expected, places[0], kinds[0], have)
    assert got == bytes(expected)  # nothing else changed


def _result(name: str, values: list[Any], scalar: Any) -> Any:
    if name in UNARY:
        return UNARY[name](values[1])
    if name in SCALAR:
        return SCALAR[name](values[0], values[1], scalar)
    return BINARY[name](*values)


def _integer(value: float, how: str) -> int:
    match how:
        case "f":
            return math.floor(value)
        case "c":
            return math.ceil(value)
        case "z":
            return math.trunc(value)
        case "a":
            return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)
        case _:
            return round(value)


def convert(value: Any, to: str, how: str) -> Any:
    if to == "f32":
        return to_single(float(value))
    if to == "f16":
        nearest = to_half(float(value))
        if how != "o" or nearest == value or abs(value) >= 65504:
            return nearest
        bits = struct.unpack("<H", struct.pack("<e", nearest))[0]
        bits = bits - 1 if abs(nearest) > abs(value) else bits
        return struct.unpack("<e", struct.pack("<H", bits | 1))[0]
    if math.isnan(value):
        return 0
    low = -(1 << (8 * SIZES[to] - 1)) if to[0] == "s" else 0
    high = low + (1 << 8 * SIZES[to]) - 1
    return (
        high
        if value == math.inf
        else low
        if value == -math.inf
        else min(max(_integer(value, how), low), high)
    )


@pytest.mark.parametrize("dtype", VCONV_TYPES)
def test_conversion(dtype: str) -> None:
    rng = random.Random(dtype)
    if not SOC.core.supports("vconv", dtype):
        pytest.skip("not on this chip")
    source = next(kind for kind in FORMATS if dtype.startswith(kind + "2"))
    to = next(
        kind for kind in ("f16", "f32", "s16", "s32", "s8", "u8") if dtype[len(source) + 1 :].startswith(kind)
    )
    how = dtype[len(source) + 1 + len(to) :]
    lanes = min(128, 256 // max(SIZES[source], SIZES[to]))
    ub = random_ub([(4096, 4096, source)], 8192, rng)
    for number, half in enumerate((0.5, 1.5, 2.5, -0.5, -2.5, 100.5, 3.0, -7.0)):
        if source[0] == "f":
            put(ub, 4096 + number * SIZES[source], source, half)
    if source[0] == "f":
        for number, value in enumerate((math.inf, -math.inf, math.nan)):
            put(ub, 4096 + (20 + number) * SIZES[source], source, value)
    fields = {"repeat": 4, "dst_rep": lanes * SIZES[to] // 32, "src_rep": lanes * SIZES[source] // 32}
    got = run_on_ub(
        [Record("vconv", dtype, [("ub", 0, None, None), ("ub", 4096, None, None)], (), fields)], bytes(ub)
    )
    for number in range(4 * lanes):
        value = get(ub, 4096 + number * SIZES[source], source)
        want = convert(value, to, how)
        have = get(got, number * SIZES[to], to)
        if to == "f32" and source == "f16" and isinstance(want, float) and math.isinf(want):
            assert have == want
            continue
        assert same(have, want), (dtype, value, have, want)


def test_fault_names_instruction_and_rule() -> None:
    record = Record(
        "vadd",
        "f16",
        [("ub", 8, None, None), ("ub", 0, None, None), ("ub", 0, None, None)],
        (),
        {"repeat": 1},
    )
    with pytest.raises(SimulatorFault, match=r"vadd\.f16.*dst: ub address 0x8 is not 32-byte aligned"):
        run_on_ub([record], bytes(64))


def test_overlap_is_a_fault_but_accumulation_is_not() -> None:
    at = [("ub", 256, None, None), ("ub", 0, None, None), ("ub", 4096, None, None)]
    with pytest.raises(SimulatorFault, match="overlaps"):
        run_on_ub([Record("vadd", "f16", at, (), {"repeat": 2})], bytes(8192))
    ub = np.ones(4096, np.float16)
    at = [("ub", 0, None, None), ("ub", 256, None, None), ("ub", 0, None, None)]
    fields = {"repeat": 5, "dst_rep": 0, "src1_rep": 0}
    got = np.frombuffer(run_on_ub([Record("vadd", "f16", at, (), fields)], ub.tobytes()), np.float16)
    assert (got[:128] == 6).all() and (got[128:] == 1).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["vmax", "vmin"])
def test_accumulated_extremes_are_those_of_repeats_in_turn(name: str, seed: int) -> None:
    """Zeros of both signs and odd numbers of repeats included; with a partial mask the other lanes stay."""
    rng = np.random.default_rng(seed)
    dtype, lanes = (("f16", 128), ("f32", 64))[seed % 2]
    kind = {"f16": np.float16, "f32": np.float32}[dtype]
    repeats, active = int(rng.integers(2, 23)), int(rng.choice([16, 48, lanes]))
    ub = rng.integers(-2, 3, (32, lanes)).astype(kind)
    ub[ub == 0] *= rng.choice(np.array([-1.0, 1.0], kind), np.count_nonzero(ub == 0))
    at = [("ub", 0, None, None), ("ub", 1024, None, None), ("ub", 0, None, None)]
    whole, turn = {"repeat": repeats, "dst_rep": 0, "src1_rep": 0}, {"repeat": 1}
    bits = (1 << active) - 1
    low, high = (word - (1 << 64) if word >> 63 else word for word in (bits & (1 << 64) - 1, bits >> 64))
    mask = Record("set_vector_mask", scalars=[high, low])
    at_once = run_on_ub([mask, Record(name, dtype, at, (), whole)], ub.tobytes())
    steps = [
        Record(name, dtype, [at[0], ("ub", 1024 + 256 * r, None, None), at[2]], (), turn)
        for r in range(repeats)
    ]
    barrier = Record("pipe_barrier", fields={"pipe": 1})
    in_turn = run_on_ub([mask, *(r for step in steps for r in (step, barrier))], ub.tobytes())
    assert at_once == in_turn
