"""Instructions added for quantised models and tables, and the rest of the scalar unit, against plain Python."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from ascend_mlir.runtime.isa.extents import operand_types
from ascend_mlir.runtime.isa.record import Record, Reg
from ascend_mlir.runtime.isa.table import TABLE
from ascend_mlir.runtime.sim.checks import chip_reason
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.soc import load_soc
from lanes import (
    FORMATS,
    SIZES,
    get,
    lanes_active,
    place,
    put,
    random_ub,
    run_on_ub,
    same,
    to_half,
    to_single,
)

SIZE = 16384
STARTS = [0, 4096, 8192]


def at(offset: int) -> tuple[str, int, None, None]:
    return ("ub", offset, None, None)


def _saturated(value: float, kind: str) -> int:
    """Nearest even, into the range of the type."""
    low = -128 if kind == "s8" else 0
    return 0 if math.isnan(value) else min(max(round(value), low), low + 255)


def narrow(value: float, kind: str) -> Any:
    return to_half(value) if kind == "f16" else _saturated(value, kind)


def _sum(a: Any, b: Any) -> Any:
    return a + b if isinstance(a, int) else to_single(a + b)


DEFINITIONS: dict[str, Callable[[Any, Any, float], Any]] = {
    "vmulconv": lambda a, b, scale: to_single(a * b),
    "vaddreluconv": lambda a, b, scale: max(_sum(a, b), 0),
    "vsubreluconv": lambda a, b, scale: max(_sum(a, -b), 0),
    "vadddeqrelu": lambda a, b, scale: max((a + b) * scale, 0.0),
    "vconv_deq": lambda a, b, scale: a * scale,
}
CASES = [(name, dtype) for name in DEFINITIONS for dtype in TABLE[name].types]


def _shape(
    shape: str, lanes: int, kinds: list[str], rng: random.Random
) -> tuple[int, int, list[int], list[int]]:
    """mask, count, block strides, repeat strides."""
    blk, rep = [1] * len(kinds), [lanes * SIZES[kind] // 32 for kind in kinds]
    match shape:
        case "strided":
            return (1 << lanes) - 1, -1, [2, 1, 3][: len(kinds)], [17, 9, 25][: len(kinds)]
        case "ragged":
            return rng.getrandbits(lanes) | 1, -1, blk, rep
        case "counter":
            return -1, 2 * lanes + 13, blk, rep
        case _:
            return (1 << lanes) - 1, -1, blk, rep


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


@pytest.mark.parametrize("shape", ["plain", "strided", "ragged", "counter"])
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_narrowing(name: str, dtype: str, shape: str) -> None:
    rng = random.Random(f"{name}{dtype}{shape}")
    row = TABLE[name]
    kinds = list(operand_types(row, dtype))
    lanes = min(128, 256 // max(SIZES[kind] for kind in kinds))
    mask, count, blk, rep = _shape(shape, lanes, kinds, rng)
    starts = STARTS[: len(kinds)]
    ub = random_ub([(start, 4096, kind) for start, kind in zip(starts, kinds, strict=True)], SIZE, rng)
    edges = {"f16": [0.5, 1.5, 2.5, -0.5, 65504.0, -0.0], "f32": [2049.0, 65520.0, 1e-7, -1.0]}
    for number, value in enumerate(edges.get(kinds[1], [2**31 - 1, -(2**31), 32767, -1])):
        limit = (1 << 8 * SIZES[kinds[1]] - 1) - 1
        put(ub, 4096 + number * SIZES[kinds[1]], kinds[1], min(value, limit) if kinds[1][0] == "s" and value > 0 else
            max(value, -limit - 1) if kinds[1][0] == "s" else value)  # fmt: skip
    scale = 0.0123291015625  # a half
    fields = {"repeat": 1 if count >= 0 else 3}
    for address, b, r in zip(row.addresses, blk, rep, strict=True):
        fields[f"{address.name}_blk"], fields[f"{address.name}_rep"] = b, r
    high, low = mask >> 64, mask & (1 << 64) - 1
    setup = Record("set_mask_count", scalars=[count]) if count >= 0 else Record(
        "set_vector_mask", scalars=[_signed(high & (1 << 64) - 1), _signed(low)])  # fmt: skip
    raw = int.from_bytes(struct.pack("<e", scale), "little") | 0xABCD0000  # only the low half counts
    records = [
        setup,
        Record("set_deqscale", scalars=[raw]),
        Record(name, dtype, [at(s) for s in starts], (), fields),
    ]
    got = run_on_ub(records, bytes(ub))
    expected = bytearray(ub)
    for r, e in lanes_active(lanes, 3, mask, count):
        places = [start + place(r, e, *how) for start, *how in zip(starts, kinds, blk, rep, strict=True)]
        values = [get(ub, where, kind) for where, kind in zip(places[1:], kinds[1:], strict=True)]
        want = narrow(DEFINITIONS[name](values[0], values[-1], scale), kinds[0])
        have = get(got, places[0], kinds[0])
        assert same(have, want), (name, dtype, values, have, want)
        put(expected, places[0], kinds[0], have)
    assert got == bytes(expected)


@pytest.mark.parametrize("dtype", TABLE["vscatter"].types)
def test_scatter_is_the_inverse_of_gather(dtype: str) -> None:
    rng = random.Random(dtype)
    size = SIZES[dtype]
    lanes = 256 // size
    ub = random_ub([(0, SIZE, dtype)], SIZE, rng)
    order = rng.sample(range(2 * lanes), 2 * lanes)
    order[7] = order[5]  # the highest lane wins
    for lane, target in enumerate(order):
        put(ub, 8192 + 4 * lane, "u32", target * size)
    mask = rng.getrandbits(lanes) | 0xFF
    setup = Record("set_vector_mask", scalars=[_signed(mask >> 64), _signed(mask & (1 << 64) - 1)])
    got = run_on_ub(
        [setup, Record("vscatter", dtype, [at(4096), at(0), at(8192)], (), {"repeat": 2})], bytes(ub)
    )
    expected = bytearray(ub)
    for r, e in lanes_active(lanes, 2, mask, -1):
        source, target = place(r, e, dtype, 1, 8), 4096 + order[r * lanes + e] * size
        expected[target : target + size] = ub[source : source + size]
    assert got == bytes(expected)


def test_scatter_checks_offsets() -> None:
    ub = bytearray(1024)
    put(ub, 512, "u32", 3)
    with pytest.raises(SimulatorFault, match="offset: a byte offset is not a multiple of 2"):
        run_on_ub([Record("vscatter", "f16", [at(0), at(256), at(512)], (), {"repeat": 1})], bytes(ub))
    put(ub, 512, "u32", 1 << 20)
    with pytest.raises(SimulatorFault, match="outside ub"):
        run_on_ub([Record("vscatter", "f16", [at(0), at(256), at(512)], (), {"repeat": 1})], bytes(ub))


@pytest.mark.parametrize("condition", range(6))
def test_compare_of_integers_and_the_way_of_cmpmask_to_ub(condition: int) -> None:
    rng = random.Random(condition)
    ub = random_ub([(0, 1024, "s16")], 2048, rng)
    for lane in range(0, 128, 3):  # some equal lanes
        put(ub, 256 + 2 * lane, "s16", get(ub, 2 * lane, "s16"))
    records = [
        Record("vcmp", "s16", [at(0), at(256)], (), {"condition": condition}),
        Record("get_cmpmask", "", [at(1024)]),
    ]
    got = run_on_ub(records, bytes(ub))
    compare = [int.__eq__, int.__ne__, int.__lt__, int.__gt__, int.__le__, int.__ge__][condition]
    for lane in range(128):
        want = compare(get(ub, 2 * lane, "s16"), get(ub, 256 + 2 * lane, "s16"))
        assert got[1024 + lane // 8] >> lane % 8 & 1 == want
    assert got[1040:] == bytes(ub[1040:])


def _bits(value: int) -> str:
    return f"{value & (1 << 64) - 1:064b}"


SCALAR: dict[str, Callable[[int], int]] = {
    "abs": lambda a: abs(a) if a > -(1 << 63) else a,
    "sqrt": lambda a: next((n for n in range(1 << 32) if (n + 1) ** 2 > a), 0) if 0 < a < 10**6 else
    math.isqrt(max(a, 0)),
    "bcnt0": lambda a: _bits(a).count("0"),
    "bcnt1": lambda a: _bits(a).count("1"),
    "clz": lambda a: len(_bits(a)) - len(_bits(a).lstrip("0")),
}  # fmt: skip


@pytest.mark.parametrize("name", list(SCALAR))
def test_scalar_unit(name: str) -> None:
    rng = random.Random(name)
    values = [
        0,
        1,
        -1,
        2,
        99,
        100,
        10**6 - 1,
        (1 << 63) - 1,
        -(1 << 63),
        *(rng.getrandbits(64) - (1 << 63) for _ in range(20)),
    ]
    records: list[Record] = []
    for number, value in enumerate(values):
        records.append(Record("mov", scalars=[Reg(1), value]))
        records.append(Record(name, scalars=[Reg(2), Reg(1)]))
        records.append(
            Record("store_scalar", scalars=[Reg(2)], addresses=[at(8 * number)], fields={"bytes": 8})
        )
    got = run_on_ub(records, bytes(512))
    found = [struct.unpack_from("<q", got, 8 * number)[0] for number in range(len(values))]
    assert found == [SCALAR[name](value) for value in values]


@pytest.mark.parametrize(
    ("name", "dtype", "chips"),
    [
        ("vmulconv", "s8f16f16", {"Ascend310P3", "Ascend910A"}),
        ("vadddeqrelu", "f16s32s32", {"Ascend310P3", "Ascend910A"}),
        ("vaddreluconv", "s162s8", {"Ascend310P3"}),
        ("vscatter", "u16", {"Ascend310P3"}),
        ("vconv_deq", "deq", {"Ascend310", "Ascend310P3", "Ascend910A"}),
        ("vcmp", "s16", {"Ascend310P3"}),
    ],
)
def test_chips(name: str, dtype: str, chips: set[str]) -> None:
    from ascend_mlir.runtime.isa.record import resolve

    row = TABLE[name]
    decoded = resolve(
        Record(name, dtype, [at(0)] * len(row.addresses), (), {f.name: f.default or 0 for f in row.fields})
    )
    assert not isinstance(decoded, str)
    names = ("Ascend310", "Ascend310P3", "Ascend910A")
    assert {soc for soc in names if not chip_reason(decoded, load_soc(soc))} == chips


def test_formats_are_those_of_the_type_names() -> None:
    for name, dtype in CASES:
        assert all(kind in FORMATS for kind in operand_types(TABLE[name], dtype))
