"""Shifts, selection by bits, compression, padding, interpolation and read-backs against plain Python definitions."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import pytest
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record, Reg, resolve
from ascend_mlir.runtime.isa.table import TABLE
from ascend_mlir.runtime.sim.checks import chip_reason
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.soc import load_soc
from lanes import SIZES, get, lanes_active, place, put, random_ub, run_on_ub, same, to_half, to_single
from sim_kernels import rules

UB_SIZE = 32768
WORDS = ["f16", "f32", "s16", "s32", "u16", "u32"]


def at(offset: int) -> AddressOperand:
    return AddressOperand("ub", offset)


def mask_record(mask: int) -> Record:
    return Record("set_vector_mask", scalars=[signed(mask >> 64), signed(mask & (1 << 64) - 1)])


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def one(
    name: str, dtype: str, places: list[int], scalars: list[Operand] | None = None, **fields: Operand
) -> Record:
    return Record(name, dtype, [at(offset) for offset in places], scalars or [], fields)


def read(name: str, where: int) -> list[Record]:
    """A read-back and its store to UB."""
    return [Record(name, scalars=[Reg(1)]),
            Record("store_scalar", scalars=[Reg(1)], addresses=[at(where)], fields={"bytes": 8})]  # fmt: skip


# ------------------------------------------------------------------------------------------------ shifts


def shifted(value: int, amount: int, bits: int, *, left: bool, rounds: bool, negative: bool) -> int:
    """By the bits of the number, as long as wanted to the left."""
    digit = [value >> min(i, bits - 1 if negative else bits) & 1 for i in range(3 * bits)]
    if not negative:
        digit = [value >> i & 1 for i in range(3 * bits)]
    if left:
        return sum(digit[i] << i + amount for i in range(bits)) % (1 << bits)
    result = sum(digit[i + amount] << i for i in range(bits))
    if rounds and negative and amount:
        result += digit[amount - 1]
    return result % (1 << bits)


@pytest.mark.parametrize("dtype", ["s16", "s32", "u16", "u32"])
@pytest.mark.parametrize(("name", "rounds"), [("vshl", 0), ("vshr", 0), ("vshr", 1)])
def test_shifts(name: str, rounds: int, dtype: str) -> None:
    rng = random.Random(f"{name}{rounds}{dtype}")
    bits, size = 8 * SIZES[dtype], SIZES[dtype]
    ub = random_ub([(0, 256, dtype)], UB_SIZE, rng)
    edges = [0, 1, -1, 2, 3, -2, -3, (1 << bits - 1) - 1, -(1 << bits - 1)]
    for i, edge in enumerate(edges):
        put(ub, i * size, f"u{bits}", edge % (1 << bits))
    extra = {"round": rounds} if name == "vshr" else {}
    amounts = [0, 1, 2, 5, bits - 1, bits]
    records = [one(name, dtype, [1024 + 256 * i, 0], [n], repeat=1, **extra) for i, n in enumerate(amounts)]
    got = run_on_ub(records, bytes(ub))
    for i, amount in enumerate(amounts):
        for lane in range(256 // size):
            value = get(ub, lane * size, f"u{bits}")
            wanted = shifted(
                value, amount, bits, left=name == "vshl", rounds=bool(rounds), negative=dtype[0] == "s"
            )
            assert get(got, 1024 + 256 * i + lane * size, f"u{bits}") == wanted, (value, amount)


def test_rounding_shift_in_place() -> None:
    ub = bytearray(UB_SIZE)
    for lane in range(128):
        put(ub, 2 * lane, "s16", 2 * lane - 127)
    got = run_on_ub([one("vshr", "s16", [0, 0], [1], repeat=1, round=1)], bytes(ub))
    assert [get(got, 2 * lane, "s16") for lane in range(128)] == [lane - 63 for lane in range(128)]


# -------------------------------------------------------------------------------- extremes, index first


@pytest.mark.parametrize("dtype", ["f16", "f32", "s16"])
@pytest.mark.parametrize("name", ["vcmax", "vcmin"])
def test_extremes_with_the_index_first(name: str, dtype: str) -> None:
    rng = random.Random(f"{name}{dtype}")
    size = SIZES[dtype]
    lanes = 256 // size
    mask = rng.getrandbits(lanes) | 1
    ub = random_ub([(8192, 1024, dtype)], UB_SIZE, rng)
    put(ub, 8192 + 8 * size, dtype, get(ub, 8192, dtype))
    pick = max if name == "vcmax" else min
    records = [
        mask_record(mask),
        one(name, dtype, [0, 8192], repeat=4, dst_rep=2, order=1),
        *read("get_max_min_cnt", 4096),
        one(name, dtype, [1024, 8192], repeat=4),
    ]
    got = run_on_ub(records, bytes(ub))
    every: list[Any] = []
    for r in range(4):
        active = [e for e in range(lanes) if mask >> e & 1]
        values = [get(ub, 8192 + 256 * r + e * size, dtype) for e in active]
        best = pick(values)
        every.append(best)
        first = 4 * r * size
        index = "u16" if size == 2 else "u32"
        assert get(got, first, index) == active[values.index(best)]
        assert get(got, first + size, dtype) == best
        assert get(got, 1024 + 2 * r * size, dtype) == best
    assert get(got, 4096, dtype) == pick(every) and got[4096 + size : 4104] == bytes(8 - size)


# ---------------------------------------------------------------------------------- selection by bits


@pytest.mark.parametrize("masked", ["full", "ragged", "counter"])
@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_select_tensor_or_scalar(dtype: str, masked: str) -> None:
    rng = random.Random(f"{dtype}{masked}")
    size = SIZES[dtype]
    lanes = 256 // size
    mask = rng.getrandbits(lanes) if masked == "ragged" else (1 << lanes) - 1
    count = 2 * lanes + 7 if masked == "counter" else -1
    setup = Record("set_mask_count", scalars=[count]) if masked == "counter" else mask_record(mask)
    ub = random_ub([(8192, 4096, dtype)], UB_SIZE, rng)
    scalar = struct.unpack("<H", struct.pack("<e", -0.0))[0] if size == 2 else 0x7F800000
    got = run_on_ub(
        [setup, one("vselvs", dtype, [0, 8192, 16384], [scalar], repeat=3, src_blk=2, src_rep=17)], bytes(ub)
    )
    expected = bytearray(ub)
    for r, e in lanes_active(lanes, 3, mask, count):
        where, bit = (r * lanes + e) * size, r * lanes + e
        source = 8192 + place(r, e, dtype, 2, 17)
        chosen = ub[16384 + bit // 8] >> bit % 8 & 1
        expected[where : where + size] = (
            ub[source : source + size] if chosen else scalar.to_bytes(size, "little")
        )
    assert got == bytes(expected)


@pytest.mark.parametrize("count", [-1, 1, 300])
@pytest.mark.parametrize("bits_rep", [0, 1, 2])
@pytest.mark.parametrize("dtype", WORDS)
def test_compress_by_bits(dtype: str, bits_rep: int, count: int) -> None:
    """The mask plays no part; the packed lanes and their number come out."""
    rng = random.Random(f"{dtype}{bits_rep}{count}")
    size = SIZES[dtype]
    lanes = 256 // size
    ub = bytearray(rng.randbytes(UB_SIZE))
    setup = [mask_record(5), *([Record("set_mask_count", scalars=[count])] if count >= 0 else [])]
    extra: dict[str, Operand] = {"repeat": 3, "src_blk": 2, "src_rep": 20, "bits_rep": bits_rep}
    records = [*setup, one("vreducev", dtype, [0, 8192, 24576], **extra), *read("get_rsvd_cnt", 32000)]
    got = run_on_ub(records, bytes(ub))
    kept: list[bytes] = []
    for r, e in lanes_active(lanes, 3, (1 << lanes) - 1, count):
        if ub[24576 + 32 * bits_rep * r + e // 8] >> e % 8 & 1:
            source = 8192 + place(r, e, dtype, 2, 20)
            kept.append(bytes(ub[source : source + size]))
    packed = b"".join(kept)
    assert got[: len(packed)] == packed and got[len(packed) : 32000] == bytes(ub[len(packed) : 32000])
    assert int.from_bytes(got[32000:32008], "little") == len(kept)


@pytest.mark.parametrize("count", [-1, 0, 70])
@pytest.mark.parametrize("pattern", range(1, 7))
def test_compress_counts_and_ignores_the_mask(pattern: int, count: int) -> None:
    ub = random.Random(pattern).randbytes(UB_SIZE)
    setup = [mask_record(3), *([Record("set_mask_count", scalars=[count])] if count >= 0 else [])]
    records = [
        *setup,
        one("vreduce", "u32", [0, 8192], repeat=2, pattern=pattern),
        *read("get_rsvd_cnt", 4096),
    ]
    got = run_on_ub(records, ub)
    step, first = (2, pattern - 1) if pattern < 3 else (4, pattern - 3)
    kept = [ub[8192 + 4 * e : 8196 + 4 * e] for e in range(128 if count < 0 else count) if e % step == first]
    assert got[:4096] == b"".join(kept) + ub[4 * len(kept) : 4096]
    assert int.from_bytes(got[4096:4104], "little") == len(kept)


# ---------------------------------------------------------------------- padding, transposition, interpolation


@pytest.mark.parametrize("masked", ["full", "ragged", "counter"])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["f16", "s32"])
def test_padding(dtype: str, mode: int, side: int, masked: str) -> None:
    """Beyond the block a b … p: a a a | a b c, c b a | a b c and 0 … c b | a b c, or the same to the right."""
    rng = random.Random(f"{dtype}{mode}{side}{masked}")
    size = SIZES[dtype]
    lanes, width = 256 // size, 32 // size
    mask = rng.getrandbits(lanes) if masked == "ragged" else (1 << lanes) - 1
    count = lanes + 9 if masked == "counter" else -1
    setup = Record("set_mask_count", scalars=[count]) if masked == "counter" else mask_record(mask)
    ub = bytearray(rng.randbytes(UB_SIZE))
    fields: dict[str, Operand] = {
        "repeat": 2,
        "pad_mode": mode,
        "side": side,
        "dst_blk": 3,
        "dst_rep": 25,
        "src_rep": 9,
    }
    got = run_on_ub([setup, one("vpadding", dtype, [0, 8192], **fields)], bytes(ub))
    expected = bytearray(ub)
    for r, e in lanes_active(lanes, 2, mask, count):
        start = 8192 + place(r, e - e % width, dtype, 1, 9)
        block = [bytes(ub[start + i * size : start + (i + 1) * size]) for i in range(width)]
        outward = block if side else block[::-1]  # from far to near the edge
        beyond = {0: [outward[-1]] * width, 1: outward[::-1], 2: [*outward[-2::-1], bytes(size)]}[mode]
        line = beyond if side else beyond[::-1]
        where = place(r, e, dtype, 3, 25)
        expected[where : where + size] = line[e % width]
    assert got == bytes(expected)


@pytest.mark.parametrize("forth", [0, 1])
@pytest.mark.parametrize(("dtype", "positions", "channels"),
                         [("f16", 48, 3), ("u8", 32, 5), ("s32", 8, 1), ("f32", 16, 17), ("s8", 0, 4)])  # fmt: skip
def test_channels_first_and_last(dtype: str, positions: int, channels: int, forth: int) -> None:
    ub = random.Random(dtype).randbytes(UB_SIZE)
    size = SIZES[dtype]
    got = run_on_ub(
        [one("v4dtrans", dtype, [0, 8192], positions=positions, channels=channels, chw_to_hwc=forth)], ub
    )
    expected = bytearray(ub)
    for i in range(positions):
        for c in range(channels):
            last, first = i * channels + c, c * positions + i
            to, source = (last, first) if forth else (first, last)
            expected[to * size : (to + 1) * size] = ub[8192 + source * size : 8192 + (source + 1) * size]
    assert got == bytes(expected)


@pytest.mark.parametrize("masked", ["full", "ragged"])
@pytest.mark.parametrize("each", [0, 1])
def test_interpolation(each: int, masked: str) -> None:
    rng = random.Random(f"{each}{masked}")
    mask = rng.getrandbits(128) if masked == "ragged" else (1 << 128) - 1
    steps = 3 * 2
    ub = random_ub([(8192, 2048, "f16"), (16384, 256, "f16")], UB_SIZE, rng)
    for i, edge in enumerate([math.inf, -math.inf, math.nan, 65504.0, -0.0]):
        put(ub, 8192 + 64 * i, "f16", edge)
    offsets = [32 * rng.randrange(64) for _ in range(8 * steps)]
    for i, offset in enumerate(offsets):
        put(ub, 20480 + 4 * i, "u32", offset)
    extra: dict[str, Operand] = {
        "h_repeat": 3,
        "v_repeat": 2,
        "each_block": each,
        "dst_blk": 2,
        "v_offset": 272,
    }
    got = run_on_ub([mask_record(mask), one("vbi", "f16", [0, 20480, 8192, 16384], **extra)], bytes(ub))
    expected = bytearray(ub)
    for v in range(2):
        for e in range(128):
            if not mask >> e & 1:
                continue
            total = 0.0
            for h in range(3):
                step = v * 3 + h
                value = get(ub, 8192 + offsets[8 * step + e // 16] + 2 * (e % 16), "f16")
                factor = get(ub, 16384 + 2 * (8 * step + e // 16 if each else step), "f16")
                product = to_half(to_single(value * factor))
                total = product if h == 0 else to_half(to_single(total + product))
            where = 2 * 272 * v + e // 16 * 64 + 2 * (e % 16)
            assert same(get(got, where, "f16"), total)
            expected[where : where + 2] = got[where : where + 2]
    assert got == bytes(expected)


# ------------------------------------------------------------------------------------------ read-backs, scalars


@pytest.mark.parametrize("suspend", [0, 1])
def test_merge_tells_how_much_it_took(suspend: int) -> None:
    ub = bytearray(UB_SIZE)
    lists = [[9.0, 5.0, 1.0], [8.0, 7.0], [6.0, 5.5, 5.25, 0.5]]
    for number, scores in enumerate(lists):
        for i, score in enumerate(scores):
            put(ub, 1024 * (number + 1) + 16 * i + 8, "f16", score)
    fields: dict[str, Operand] = {
        "repeat": 1,
        "valid": 7,
        "suspend": suspend,
        "length0": 3,
        "length1": 2,
        "length2": 4,
    }
    merge = one("vmrgsort4", "f16", [0, 1024, 2048, 3072, 0], **fields)
    got = run_on_ub([merge, *read("get_vms4_sr", 8192)], bytes(ub))
    taken = [0, 0, 0]
    while all(n < len(scores) for n, scores in zip(taken, lists, strict=True)) or (
        not suspend and sum(taken) < 9
    ):
        best = max((i for i in range(3) if taken[i] < len(lists[i])), key=lambda i: lists[i][taken[i]])
        taken[best] += 1
    word = int.from_bytes(got[8192:8200], "little")
    assert [word >> 13 * i & 0x1FFF for i in range(4)] == [*taken, 0]


FLOATS = [0.0, -0.0, 1.0, -1.0, 2.0, 3.0, 1e-45, -1e-45, 1.1754943e-38, 3.4028235e38, -3.4028235e38, math.inf,
          -math.inf, math.nan]  # fmt: skip


def bits_of(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def _wanted(name: str, a: float, b: float) -> float:
    if math.isnan(a) or (math.isnan(b) and name in ("fmax", "fmin")):
        return math.nan if name != "fabs" else a
    match name:
        case "fabs":
            return math.copysign(a, 1.0)
        case "fsqrt":
            return math.nan if a < 0 else to_single(math.sqrt(a))
        case "fmax":
            return a if (a, math.copysign(1, a)) > (b, math.copysign(1, b)) else b
        case _:
            return a if (a, math.copysign(1, a)) < (b, math.copysign(1, b)) else b


@pytest.mark.parametrize("name", ["fabs", "fsqrt", "fmax", "fmin"])
def test_single_scalars(name: str) -> None:
    rng = random.Random(name)
    values = [
        *map(to_single, FLOATS),
        *(to_single(rng.gauss(0, 1) * 2.0 ** rng.randint(-120, 120)) for _ in range(30)),
    ]
    binary = len(TABLE[name].scalars) == 3
    pairs = [(a, b) for a in values for b in (rng.sample(values, 6) if binary else [0.0])]
    for start in range(0, len(pairs), 200):
        records: list[Record] = []
        part = pairs[start : start + 200]
        for number, (a, b) in enumerate(part):
            second = [signed(bits_of(b) | rng.getrandbits(32) << 32)] if binary else []
            records.append(
                Record(name, "f32", scalars=[Reg(2), signed(bits_of(a) | rng.getrandbits(32) << 32), *second])
            )
            records.append(
                Record("store_scalar", scalars=[Reg(2)], addresses=[at(8 * number)], fields={"bytes": 8})
            )
        got = run_on_ub(records, bytes(8192))
        for number, (a, b) in enumerate(part):
            found, wanted = get(got, 8 * number, "f32"), _wanted(name, a, b)
            assert get(got, 8 * number + 4, "u32") == 0
            assert (
                same(found, wanted) and math.copysign(1, found) == math.copysign(1, wanted)
            ) or math.isnan(wanted)
            assert math.isnan(found) == math.isnan(wanted)


# ------------------------------------------------------------------------------------------- rules and order


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (one("v4dtrans", "f16", [0, 8192], positions=8, channels=2, chw_to_hwc=1), "no multiple of 32 bytes"),
        (one("v4dtrans", "f16", [0, 64], positions=32, channels=2, chw_to_hwc=1), "overlaps the destination"),
        (one("vreducev", "f16", [0, 128, 8192], repeat=1), "overlaps the destination"),
        (
            one("vbi", "f16", [0, 8192, 4096, 2048], h_repeat=1, v_repeat=2, v_offset=129),
            "no multiple of 32 bytes",
        ),
        (one("vselvs", "f16", [0, 8192, 16392], [0], repeat=1), "not 16-byte aligned"),
        (one("vpadding", "f16", [32, 0], repeat=2, pad_mode=0, side=0), "a repeat would read"),
    ],
)
def test_faults(record: Record, text: str) -> None:
    ub = bytearray(b"\xff" * UB_SIZE)
    with pytest.raises(SimulatorFault, match=text):
        run_on_ub([record], bytes(ub))


def test_a_gathered_block_must_be_aligned_and_inside() -> None:
    for offset, text in ((16, "not a multiple of 32"), (1 << 20, "outside ub")):
        ub = bytearray(UB_SIZE)
        put(ub, 8192 + 12, "u32", offset)
        with pytest.raises(SimulatorFault, match=text):
            run_on_ub([one("vbi", "f16", [0, 8192, 4096, 2048], h_repeat=1, v_repeat=1)], bytes(ub))


@pytest.mark.parametrize(
    ("name", "dtype", "fields", "chips"),
    [
        ("vcmax", "f16", {}, {"Ascend310", "Ascend310P3", "Ascend910A"}),
        ("vcmax", "f16", {"order": 1}, {"Ascend310P3"}),
        ("vselvs", "f16", {}, {"Ascend310P3"}),
        ("vreducev", "s16", {}, {"Ascend310P3"}),
        ("vpadding", "u32", {}, {"Ascend310P3"}),
        ("v4dtrans", "s8", {}, {"Ascend310P3"}),
        ("vbi", "f16", {}, {"Ascend310P3"}),
        ("get_rsvd_cnt", "", {}, {"Ascend310P3"}),
        ("fsqrt", "f32", {}, {"Ascend310P3", "Ascend910A"}),
        ("fabs", "f32", {}, {"Ascend310P3"}),
    ],
)
def test_chips(name: str, dtype: str, fields: dict[str, Operand], chips: set[str]) -> None:
    row = TABLE[name]
    filled = {f.name: f.default if f.default is not None else f.low for f in row.fields} | fields
    decoded = resolve(Record(name, dtype, [at(0)] * len(row.addresses), [Reg(1)] * len(row.scalars), filled))
    assert not isinstance(decoded, str)
    names = ("Ascend310", "Ascend310P3", "Ascend910A")
    assert {soc for soc in names if not chip_reason(decoded, load_soc(soc))} == chips


def test_an_order_in_a_register_is_checked_when_it_runs() -> None:
    records = [Record("mov", scalars=[Reg(3), 1]), one("vcmax", "f16", [0, 512], repeat=1, order=Reg(3))]
    with pytest.raises(SimulatorFault, match="Ascend310 does not have vcmax with order = index"):
        run_on_ub(records, bytes(2048), load_soc("Ascend310"))


FILL = "vector_dup.f16 ub[0], 0, repeat=2\npipe_barrier pipe=V\n"


def test_registers_of_the_vector_unit_need_order() -> None:
    compare = (
        FILL + "vcmp.f16 ub[0], ub[0x100], condition=lt\n{0}vsel.f16 ub[0x400], ub[0], ub[0x100], repeat=1"
    )
    assert rules(compare.format("")) == ["RAW"]
    assert rules(compare.format("pipe_barrier pipe=V\n")) == []
    count = (
        FILL
        + "vreduce.f16 ub[0x400], ub[0], repeat=1, pattern=1\n{0}get_rsvd_cnt r5\nstore_scalar r5, ub[0x800], bytes=4"
    )
    flags = "set_flag src=V, dst=S, event=0\nwait_flag src=V, dst=S, event=0\n"
    with pytest.raises(Exception, match="depends on data"):
        rules(count.format(flags))


def test_read_backs_wait_for_the_vector_unit() -> None:
    """A scalar read of RSVD_CNT without a flag is a hazard; the values come from `loads`."""
    from ascend_mlir.runtime.sim.hazards import check_block
    from sim_kernels import ARGS, program

    text = (
        FILL + "vreduce.f16 ub[0x400], ub[0], repeat=1, pattern=1\n{0}get_rsvd_cnt r5\nloop r6, r5\nend_loop"
    )
    flags = "set_flag src=V, dst=S, event=0\nwait_flag src=V, dst=S, event=0\n"
    soc = load_soc("Ascend310P3")
    found = {
        flag: check_block(soc, program(text.format(flag)), ARGS, 0, 1, loads=[64]) for flag in ("", flags)
    }
    assert [(hazard.rule, hazard.space) for hazard in found[""]] == [("RAW", "RSVD_CNT")]
    assert found[flags] == []
    # nobody reads the count: two compressions need no barrier for its sake
    both = (
        FILL
        + "vreduce.f16 ub[0x400], ub[0], repeat=1, pattern=1\nvreduce.f16 ub[0x800], ub[0], repeat=1, pattern=1"
    )
    assert rules(both) == []
