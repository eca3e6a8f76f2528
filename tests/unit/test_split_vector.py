"""The vector core of split chips: conversions against exact fractions, the rest element by element in plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.isa.extents import split_conversion, type_size
from ascend_mlir.runtime.isa.rows_split_vector import SPLIT_VCONV_TYPES
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.floats import DTYPES
from split_programs import OUT, Array, on_vector_core, run
from split_scalars import FORMATS, bf16_value, to_float, to_integer

RNG = np.random.default_rng(11)
DST = 0x20000


def _sources(kind: str, count: int, target: str) -> Array:
    """Random values of the type, and the edges: zeros, ties, subnormals, limits, infinities, nan."""
    if kind in ("s16", "s32", "s64"):
        info = np.iinfo(DTYPES[kind])
        wide = RNG.integers(info.min, info.max, count, dtype=np.int64, endpoint=True)
        small = RNG.integers(-5000, 5000, count)
        values = np.where(np.arange(count) % 2 == 0, wide, small).astype(DTYPES[kind])
        edges = [0, 1, -1, 2049, 2051, -2049, 4098, 16777217, 16777219, -16777217, 33554434, info.max, info.min,
                 (1 << 53) + 1, (1 << 62) + (1 << 38), (1 << 62) + (1 << 38) + 1, 40000, -40000]  # fmt: skip
        kept = [edge for edge in edges if info.min <= edge <= info.max]
        values[: len(kept)] = kept
        return values
    bits = RNG.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)
    values = np.where(
        np.arange(count) % 3 == 0,
        bits.view(np.float32),
        (RNG.standard_normal(count) * 300).astype(np.float32),
    )
    if target in ("f16", "bf16"):  # close to numbers of the result type, and half-way between them
        spread = 2.0 ** RNG.integers(-26, 17, count)
        near = (RNG.integers(-4096, 4096, count) / 4096.0 * spread).astype(np.float32)
        values = np.where(np.arange(count) % 3 == 1, near, values)
    edges = [0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, 0.49999997, -0.99999994, 65504.0, 65519.0, 65520.0, 65536.0, -65520.0,
             2.0**-14, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25, -(2.0**-26), 1e-45, 3.4028235e38, 3.3961776e38, 3.39e38,
             2147483648.0, -2147483648.0, 9.223372e18, -9.223372e18, 1e19, 32767.5, -32768.5, 127.5, 255.5, 1.00390625,
             1.01171875, math.inf, -math.inf, math.nan]  # fmt: skip
    values[: len(edges)] = np.array(edges, np.float32)
    if kind == "f16":
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float16)
    if kind == "bf16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values


@pytest.mark.parametrize("dtype", SPLIT_VCONV_TYPES)
def test_conversions(dtype: str) -> None:
    source, target = split_conversion(dtype)
    mode = dtype.removeprefix(f"{source}2{target}")
    widths = type_size(source), type_size(target)
    lanes = min(128, 256 // max(widths))
    repeat = 6
    values = _sources(source, lanes * repeat, target)
    reps = [8 * width // max(widths) for width in widths]
    body = f"vconv.{dtype} ub[{DST}], ub[0], repeat={repeat}, src_rep={reps[0]}, dst_rep={reps[1]}"
    out = on_vector_core(body, {0: values}, lanes * repeat * widths[1])
    numbers: list[Any] = [bf16_value(x) for x in values.tolist()] if source == "bf16" else values.tolist()
    got: list[Any] = out.view(DTYPES[target]).tolist()
    if target == "bf16":
        got = [bf16_value(x) for x in got]
    for x, y in zip(numbers, got, strict=True):
        if (source, target) == ("f32", "f32"):
            want: Any = (
                x if not math.isfinite(x) else float(to_integer(x, "s64", mode)) if abs(x) < 1e18 else x
            )
        elif target in FORMATS:
            want = to_float(x, target, mode)
        else:
            want = to_integer(x, target, mode)
        nan = isinstance(want, float) and math.isnan(want)
        assert (nan and math.isnan(y)) or want == y, (dtype, x, y, want)


def test_negative_zero_and_the_sign_of_what_becomes_zero() -> None:
    values = np.array([-0.0, -1e-45, -(2.0**-26), -0.4] * 16, np.float32)
    for dtype in ("f322f16r", "f322f16z", "f322bf16r", "f322f32z"):
        out = on_vector_core(f"vconv.{dtype} ub[{DST}], ub[0], repeat=1", {0: values}, 8)
        top = out.view(np.uint32)[0] >> 31 if dtype.endswith("f32z") else out.view(np.uint16)[0] >> 15
        assert top == 1, dtype


@pytest.mark.parametrize("kind", ["f16", "u32"])
def test_vbrcb(kind: str) -> None:
    values = RNG.integers(0, 60000, 24).astype(DTYPES[kind])
    body = f"vbrcb.{kind} ub[{DST}], ub[0], repeat=3, dst_blk=2, dst_rep=17"
    out = on_vector_core(
        f"vector_dup.{kind} ub[{DST}], 0, repeat=8\npipe_barrier pipe=V\n{body}",
        {0: values},
        (2 * 17 + 15) * 32,
    ).view(DTYPES[kind])
    per = 32 // type_size(kind)
    for repeat in range(3):
        for block in range(8):
            at = (repeat * 17 + block * 2) * per
            assert out[at : at + per].tolist() == [values[repeat * 8 + block]] * per


def test_vcopy_copies_active_lanes_with_strides() -> None:
    values = np.arange(512, dtype=np.uint16)
    body = (
        f"vector_dup.u16 ub[{DST}], 9, repeat=5\npipe_barrier pipe=V\nset_vector_mask 0x5, -1\n"
        f"vcopy.u16 ub[{DST}], ub[0], repeat=2, dst_blk=2, dst_rep=18, src_rep=9"
    )
    out = on_vector_core(body, {0: values}, 1280).view(np.uint16)
    want = np.full(640, 9, np.uint16)
    for repeat in range(2):
        for lane in range(128):
            if lane < 64 or lane in (64, 66):
                want[(repeat * 18 + lane // 16 * 2) * 16 + lane % 16] = values[repeat * 144 + lane]
    np.testing.assert_array_equal(out, want)


def test_vgatherb() -> None:
    table = RNG.integers(0, 255, 64 * 32).astype(np.uint8)
    offsets = (RNG.integers(0, 64, 16) * 32).astype(np.uint32)
    body = f"vgatherb.f16 ub[{DST}], ub[0x8000], ub[0], repeat=2, dst_rep=9"
    out = on_vector_core(
        f"vector_dup.f16 ub[{DST}], 0, repeat=3\npipe_barrier pipe=V\n{body}",
        {0: table, 0x8000: offsets},
        17 * 32,
    )
    for repeat in range(2):
        for block in range(8):
            at, place = (repeat * 9 + block) * 32, int(offsets[repeat * 8 + block])
            assert out[at : at + 32].tolist() == table[place : place + 32].tolist()
    with pytest.raises(SimulatorFault, match="offset: a byte offset is not a multiple of 32"):
        on_vector_core(body, {0: table, 0x8000: offsets + 2}, 32)
    with pytest.raises(SimulatorFault, match=r"src: bytes .* are outside ub"):
        on_vector_core(body, {0: table, 0x8000: offsets + np.uint32(0x30000)}, 32)


def _sorted_records(scores: list[float], index: list[int]) -> list[tuple[float, int]]:
    """Falling scores, equal ones in their order, nan last."""
    keyed = [(math.inf if math.isnan(s) else -s, place) for place, s in enumerate(scores)]
    return [(scores[place], index[place]) for _, place in sorted(keyed)]


@pytest.mark.parametrize("kind", ["f16", "f32"])
def test_sort_and_merge(kind: str) -> None:
    count = 128
    scores = RNG.integers(-20, 20, count).astype(DTYPES[kind])
    scores[5], scores[40], scores[41] = math.inf, math.nan, -math.inf
    index = RNG.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)
    body = f"""
vbitsort32.{kind} ub[0x10000], ub[0], ub[0x4000], repeat=4
pipe_barrier pipe=V
vmrgsort4v2.{kind} ub[{DST}], ub[0x10000], ub[0x10100], ub[0x10200], ub[0x10300], length0=32, length1=32, length2=32, length3=32, repeat=1
"""
    out = on_vector_core(body, {0: scores, 0x4000: index}, count * 8).view(np.uint32).reshape(count, 2)
    got = [(float(w), int(i)) for w, i in zip(_scores(out[:, 0], kind), out[:, 1], strict=True)]
    want: list[tuple[float, int]] = []
    lists = [
        _sorted_records(scores[i : i + 32].tolist(), index[i : i + 32].tolist()) for i in range(0, count, 32)
    ]
    while any(lists):
        best = max(
            (part for part in lists if part),
            key=lambda part: -math.inf if math.isnan(part[0][0]) else part[0][0],
        )
        want.append(best.pop(0))
    assert [(repr(s), i) for s, i in got] == [(repr(float(s)), i) for s, i in want]
    if kind == "f16":
        assert not (out[:, 0] >> 16).any()


def _scores(words: Array, kind: str) -> Array:
    return (
        words.astype(np.uint16).view(np.float16)
        if kind == "f16"
        else np.ascontiguousarray(words).view(np.float32)
    )


def test_merge_stops_when_a_list_is_exhausted() -> None:
    records = np.zeros((2, 32, 2), np.uint32)
    for part, values in enumerate((range(64, 0, -2), range(95, 31, -2))):
        records[part, :, 0] = np.array(list(values), np.float32).view(np.uint32)
        records[part, :, 1] = part
    body = (
        f"vector_dup.u32 ub[{DST}], 7, repeat=2\npipe_barrier pipe=V\n"
        f"vmrgsort4v2.f32 ub[{DST}], ub[0], ub[0x100], ub[0], ub[0], length0=32, length1=32, valid=3, suspend=1, repeat=1"
    )
    out = on_vector_core(body, {0: records}, 512).view(np.uint32).reshape(-1, 2)
    merged = out[: np.flatnonzero(out[:, 0] == 7)[0]]
    values = merged[:, 0].copy().view(np.float32).tolist()
    assert values == sorted(values, reverse=True) and (merged[:, 1] == 1).sum() == 32 and values[-1] == 33.0


@pytest.mark.parametrize("pattern", range(8))
def test_vreducev2(pattern: int) -> None:
    values = RNG.integers(0, 65535, 384).astype(np.uint16)
    bits = RNG.integers(0, 256, 96).astype(np.uint8)
    body = (
        f"vector_dup.u16 ub[{DST}], 0, repeat=3\npipe_barrier pipe=V\nset_vector_mask 0x0FFFFFFFFFFFFFFF, -1\n"
        f"vreducev2.u16 ub[{DST}], ub[0], ub[0x4000], repeat=3, pattern={pattern}"
    )
    out = on_vector_core(body, {0: values, 0x4000: bits}, 768).view(np.uint16)
    step, first = {0: (1, 0), 7: (1, 0), 1: (2, 0), 2: (2, 1)}.get(pattern, (4, pattern - 3))
    kept: list[int] = []
    for repeat in range(3):
        for lane in range(124):
            chosen = lane % step == first if pattern else bits[repeat * 32 + lane // 8] >> lane % 8 & 1
            if chosen:
                kept.append(int(values[repeat * 128 + lane]))
    assert out[: len(kept)].tolist() == kept
    if pattern:  # what a bit tensor leaves out of its hull keeps its old value as well
        assert not out[len(kept) :].any()


def test_integers_compare_for_equality_only() -> None:
    a = RNG.integers(0, 3, 64).astype(np.int32)
    b = RNG.integers(0, 3, 64).astype(np.int32)
    out = on_vector_core(
        f"vcmpv.s32 ub[{DST}], ub[0], ub[0x1000], condition=eq, repeat=1", {0: a, 0x1000: b}, 8
    )
    assert np.unpackbits(out, bitorder="little").astype(bool).tolist() == (a == b).tolist()
    with pytest.raises(SimulatorFault, match="condition: integers are compared for equality only"):
        on_vector_core(
            f"vcmpv.s32 ub[{DST}], ub[0], ub[0x1000], condition=lt, repeat=1", {0: a, 0x1000: b}, 8
        )


@pytest.mark.parametrize(
    ("kind", "length", "left", "right"),
    [("u8", 33, 3, 5), ("f16", 7, 1, 0), ("f32", 64, 0, 2), ("s8", 1, 0, 0)],
)
def test_padded_loads(kind: str, length: int, left: int, right: int) -> None:
    """Rows of odd bytes; padding counts in elements, rows start at whole blocks."""
    size = type_size(kind)
    bursts, src_gap, dst_gap = 3, 5, 1
    source = RNG.integers(1, 255, 400).astype(np.uint8)
    row = -(-(length + (left + right) * size) // 32) * 32
    total = bursts * row + (bursts - 1) * dst_gap * 32
    pad = 0x3C007B01
    store = "\n".join(  # only bytes that hold a value
        f"copy_ubuf_to_gm_align.u8 gm[{OUT + i * (row + dst_gap * 32)}], ub[{i * (row + dst_gap * 32)}], "
        f"{length + (left + right) * size}, 0, 0, bursts=1"
        for i in range(bursts)
    )
    text = f"""
.kernel args=0 core=aiv
mov r9, {pad}
set_mov_pad_val r9
copy_gm_to_ubuf_align.{kind} ub[0], gm[13], {length}, {src_gap}, {dst_gap}, bursts={bursts}, left={left}, right={right}
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
{store}
end
"""
    out = run(text, {13: source}, total)
    value = list(pad.to_bytes(4, "little")[:size])
    for i in range(bursts):
        at = i * (row + dst_gap * 32)
        start = i * (length + src_gap)
        want = value * left + source[start : start + length].tolist() + value * right
        assert out[at : at + len(want)].tolist() == want


def test_padded_stores() -> None:
    """Bursts of 5 bytes from block rows two blocks apart to rows 8 bytes apart; bytes between them stay."""
    source = np.arange(1, 1 + 7 * 32, dtype=np.uint8)
    text = f"""
.kernel args=0 core=aiv
copy_gm_to_ubuf ub[0], gm[0], bursts=1, length=7
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_ubuf_to_gm_align.u8 gm[{OUT + 3}], ub[0], 5, 2, 3, bursts=3
end
"""
    out = run(text, {0: source}, 40, fill=0xEE)
    want = np.full(40, 0xEE, np.uint8)
    for i in range(3):
        want[3 + i * 8 : 8 + i * 8] = source[i * 96 : i * 96 + 5]
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (
            "copy_gm_to_ubuf_align.f32 ub[0], gm[0], 4, 0, 0, bursts=1, left=9",
            "left: 9 elements are more than 32 bytes",
        ),
        ("copy_gm_to_ubuf_align.u8 ub[0], gm[0], 2097152, 0, 0, bursts=1", "dst: bytes .* are outside ub"),
        (
            "copy_gm_to_ubuf_align.u8 ub[8], gm[0], 4, 0, 0, bursts=1",
            "dst: ub address 0x8 is not 32-byte aligned",
        ),
        ("copy_gm_to_ubuf_align.u8 ub[0], gm[0], -4, 0, 0, bursts=1", "length: -4 is outside"),
        ("vbrcb.f16 ub[0], ub[32], repeat=1", "src: overlaps the destination"),
        ("vbitsort32.f32 ub[0], ub[32], ub[0x1000], repeat=1", "src: overlaps the destination"),
        (
            "vmrgsort4v2.f32 ub[0x8000], ub[0], ub[64], ub[0], ub[0], length0=1, length1=1, valid=5, repeat=1",
            "valid: 5",
        ),
    ],
)
def test_faults(line: str, rule: str) -> None:
    with pytest.raises(SimulatorFault, match=rule):
        run(f".kernel args=0 core=aiv\n{line}\nend", {}, 4, check=False)
