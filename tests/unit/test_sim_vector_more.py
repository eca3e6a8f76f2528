"""Reductions, compare and select, transposes and gathers against plain Python definitions."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record
from ascend_mlir.runtime.isa.table import TABLE
from lanes import SIZES, get, lanes_active, place, random_ub, run_on_ub, same, to_half, to_single

UB_SIZE = 32768


def at(offset: int) -> AddressOperand:
    return AddressOperand("ub", offset)


def mask_record(mask: int) -> Record:
    return Record("set_vector_mask", scalars=[_signed(mask >> 64), _signed(mask & (1 << 64) - 1)])


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def fields(**values: Operand) -> dict[str, Operand]:
    return values


MASKS = ["full", "prefix", "ragged", "counter"]


def masking(kind: str, lanes: int, rng: random.Random) -> tuple[list[Record], int, int]:
    """Records, mask and count."""
    if kind == "counter":
        return [Record("set_mask_count", scalars=[2 * lanes + 5])], 0, 2 * lanes + 5
    mask = {"full": (1 << lanes) - 1, "prefix": (1 << 19) - 1}.get(kind, rng.getrandbits(lanes))
    return [mask_record(mask)], mask, -1


def tree(values: list[float]) -> float:
    while len(values) > 1:
        values = [to_single(a + b) for a, b in zip(values[0::2], values[1::2], strict=True)]
    return values[0]


def round_to(value: float, kind: str) -> float:
    return to_half(value) if kind == "f16" else to_single(value)


def active_of(lanes: int, repeat: int, mask: int, count: int) -> list[list[int]]:
    groups: list[list[int]] = [[] for _ in range(max(repeat, -(-count // lanes)))]
    for r, e in lanes_active(lanes, repeat, mask, count):
        groups[r].append(e)
    return groups


@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("blk", [1, 2])
@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("name", ["vcadd", "vcmax", "vcmin", "vcgadd", "vcgmax", "vcgmin", "vcpadd"])
def test_reduce(name: str, dtype: str, blk: int, masked: str) -> None:
    rng = random.Random(f"{name}{dtype}{blk}{masked}")
    size = SIZES[dtype]
    lanes = 256 // size
    setup, mask, count = masking(masked, lanes, rng)
    dst_rep = 2 if name in ("vcadd", "vcmax") else 1
    ub = random_ub([(0, 4096, dtype), (8192, 16384, dtype)], UB_SIZE, rng)
    extra = fields(repeat=3, dst_rep=dst_rep, src_blk=blk, src_rep=8 * blk)
    got = run_on_ub([*setup, Record(name, dtype, [at(0), at(8192)], (), extra)], bytes(ub))
    expected = bytearray(ub)

    def check(where: int, kind: str, want: Any) -> None:
        have = get(got, where, kind)
        assert same(have, want), (where, have, want)
        expected[where : where + SIZES[kind]] = got[where : where + SIZES[kind]]

    for r, active in enumerate(active_of(lanes, 3, mask, count)):
        values = {e: get(ub, 8192 + place(r, e, dtype, blk, 8 * blk), dtype) for e in active}
        zeroed = [values.get(e, 0.0) for e in range(lanes)]
        if not active:
            continue
        if name == "vcadd":
            check(r * dst_rep * size, dtype, round_to(tree(zeroed), dtype))
        elif name in ("vcmax", "vcmin"):
            best = (max if name == "vcmax" else min)(values.values())
            lane = min(e for e in active if values[e] == best)
            check(r * dst_rep * 2 * size, dtype, best)
            check(r * dst_rep * 2 * size + size, "u16" if size == 2 else "u32", lane)
        elif name == "vcpadd":
            for i in range(lanes // 2):
                if {2 * i, 2 * i + 1} & set(active):
                    check(
                        r * dst_rep * 128 + i * size,
                        dtype,
                        round_to(to_single(zeroed[2 * i] + zeroed[2 * i + 1]), dtype),
                    )
        else:
            _check_blocks(name, dtype, zeroed, values, r * 8 * dst_rep * size, check)
    assert got == bytes(expected)


def _check_blocks(
    name: str, dtype: str, zeroed: list[float], values: dict[int, float], where: int, check: Any
) -> None:
    width = 32 // SIZES[dtype]
    for block in range(8):
        mine = [values[e] for e in range(block * width, (block + 1) * width) if e in values]
        if mine:
            total = round_to(tree(zeroed[block * width : (block + 1) * width]), dtype)
            want = {"vcgadd": total, "vcgmax": max(mine), "vcgmin": min(mine)}[name]
            check(where + block * SIZES[dtype], dtype, want)


CONDITIONS = [lambda a, b: a == b, lambda a, b: a != b, lambda a, b: a < b, lambda a, b: a > b,
              lambda a, b: a <= b, lambda a, b: a >= b]  # fmt: skip


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("condition", range(6))
def test_compare_and_select(condition: int, dtype: str) -> None:
    rng = random.Random(f"{condition}{dtype}")
    size = SIZES[dtype]
    lanes = 256 // size
    ub = random_ub([(0, 8192, dtype), (8192, 8192, dtype), (16384, 8192, dtype)], UB_SIZE, rng)
    ub[8192 : 8192 + 64] = ub[16384 : 16384 + 64]  # some equal lanes
    ub[8192 + 64 : 8192 + 64 + size] = np.array([math.nan], f"<f{size}").tobytes()
    rest = fields(repeat=3, src0_rep=8, src1_rep=8)
    records = [
        Record("vcmpv", dtype, [at(0), at(8192), at(16384)], (), rest | {"condition": condition}),
        Record("vselv", dtype, [at(4096), at(8192), at(16384), at(0)], (), rest | {"dst_rep": 8}),
        Record("vcmp", dtype, [at(8192), at(16384)], (), {"condition": condition}),
        Record("vsel", dtype, [at(24576), at(8192), at(16384)], (), rest | {"dst_rep": 8}),
        Record(
            "vcmpvs", dtype, [at(2048), at(8192)], [0], {"condition": condition, "repeat": 2, "src_rep": 8}
        ),
    ]
    got = run_on_ub(records, bytes(ub))
    for e in range(3 * lanes):
        a, b = get(ub, 8192 + e * size, dtype), get(ub, 16384 + e * size, dtype)
        bit = CONDITIONS[condition](a, b)
        assert (got[e // 8] >> e % 8 & 1) == bit
        assert same(get(got, 4096 + e * size, dtype), a if bit else b)
        first = CONDITIONS[condition](*(get(ub, x + e % lanes * size, dtype) for x in (8192, 16384)))
        assert same(get(got, 24576 + e * size, dtype), a if first else b)
        if e < 2 * lanes:
            assert (got[2048 + e // 8] >> e % 8 & 1) == CONDITIONS[condition](a, 0.0)


@pytest.mark.parametrize("dtype", TABLE["vnchwconv"].types)
def test_vnchwconv(dtype: str) -> None:
    rng = random.Random(dtype)
    size = SIZES[dtype]
    ub = bytearray(rng.randbytes(UB_SIZE))
    extra = fields(repeat=3, dst_rep=16, src_rep=1, dst_row_stride=1, src_row_stride=5, src_high=1)
    got = run_on_ub([Record("vnchwconv", dtype, [at(0), at(8192)], (), extra)], bytes(ub))

    def source(r: int, i: int, j: int) -> bytes:
        start = 8192 + r * 32 + i * 160 + j * size
        return bytes(ub[start : start + size])

    for r in range(3):
        for i in range(16):
            for j in range(32 // size if size > 1 else 16):
                where = (2 * j + i // 8) * 32 + i % 8 * 4 if size == 4 else j * 32 + i * size
                want = source(r, i, j + 16 if size == 1 else j)
                assert got[r * 512 + where : r * 512 + where + size] == want


def test_vtranspose() -> None:
    matrix = np.arange(256, dtype=np.uint16).reshape(16, 16)
    got = run_on_ub([Record("vtranspose", "u16", [at(0), at(0)])], matrix.tobytes())
    np.testing.assert_array_equal(np.frombuffer(got, np.uint16).reshape(16, 16), matrix.T)


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("pattern", range(1, 7))
def test_vreduce(pattern: int, dtype: str) -> None:
    rng = random.Random(pattern)
    size = SIZES[dtype]
    lanes = 256 // size
    ub = bytes(random_ub([(8192, 4096, dtype)], UB_SIZE, rng))
    got = run_on_ub([Record("vreduce", dtype, [at(0), at(8192)], (), {"repeat": 2, "pattern": pattern})], ub)
    step, first = (2, pattern - 1) if pattern < 3 else (4, pattern - 3)
    kept = [ub[8192 + e * size : 8192 + (e + 1) * size] for e in range(2 * lanes) if e % step == first]
    assert got[: len(kept) * size] == b"".join(kept)
    assert got[len(kept) * size : 4096] == ub[len(kept) * size : 4096]


@pytest.mark.parametrize("masked", MASKS)
def test_vgather_and_ramp(masked: str) -> None:
    rng = random.Random(masked)
    setup, mask, count = masking(masked, 128, rng)
    ub = random_ub([], UB_SIZE, rng)
    offsets = [2 * rng.randrange(1000) for _ in range(512)]
    ub[8192 : 8192 + 2048] = np.array(offsets, np.uint32).tobytes()
    records = [
        *setup,
        Record("vgather", "u16", [at(0), at(8192), at(16384)], (), {"repeat": 3}),
        Record("vci", "s16", [at(4096)], [100], {"repeat": 3}),
    ]
    got = run_on_ub(records, bytes(ub))
    expected = bytearray(ub)
    for r, e in lanes_active(128, 3, mask, count):
        where = (r * 128 + e) * 2
        source = 16384 + offsets[r * 128 + e]
        expected[where : where + 2] = ub[source : source + 2]
        expected[4096 + where : 4096 + where + 2] = (100 + r * 128 + e).to_bytes(2, "little")
    assert got == bytes(expected)


def test_set_cmpmask() -> None:
    rng = random.Random(0)
    ub = random_ub([(8192, 8192, "f16")], UB_SIZE, rng)
    records = [
        Record("set_cmpmask", "", [at(0)]),
        Record("vsel", "f16", [at(4096), at(8192), at(12288)], (), {"repeat": 1}),
    ]
    got = run_on_ub(records, bytes(ub))
    for e in range(128):
        bit = ub[e // 8] >> e % 8 & 1
        assert same(get(got, 4096 + 2 * e, "f16"), get(ub, (8192 if bit else 12288) + 2 * e, "f16"))


@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("name", ["vsel", "vselv"])
def test_select_strides_and_masks(name: str, dtype: str, masked: str) -> None:
    rng = random.Random(f"{name}{dtype}{masked}")
    lanes = 256 // SIZES[dtype]
    setup, mask, count = masking(masked, lanes, rng)
    ub = random_ub([(0, 24576, dtype)], UB_SIZE, rng)
    bits = [at(24576)] if name == "vselv" else []
    how = fields(repeat=3, dst_blk=2, dst_rep=16, src0_blk=1, src0_rep=8, src1_blk=3, src1_rep=1)
    places = [at(0), at(8192), at(16384)]
    records = [*setup, Record("set_cmpmask", "", [at(24576)]), Record(name, dtype, places + bits, (), how)]
    got = run_on_ub(records, bytes(ub))
    expected = bytearray(ub)
    for r, e in lanes_active(lanes, 3, mask, count):
        number = r * lanes + e if name == "vselv" else e
        bit = ub[24576 + number // 8] >> number % 8 & 1
        source = 8192 + place(r, e, dtype, 1, 8) if bit else 16384 + place(r, e, dtype, 3, 1)
        where = place(r, e, dtype, 2, 16)
        expected[where : where + SIZES[dtype]] = ub[source : source + SIZES[dtype]]
    assert got == bytes(expected)
