"""Numbers of the cube, of bias broadcasts and of accumulating stores, element by element in plain Python."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.isa.encode import encode_image
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.soc import load_soc
from lanes import SIZES, get, put, rounded, run_on_ub, same, to_half, to_single

UB_SIZE = 65536
SOC = load_soc("Ascend310P3")


def at(space: str, offset: int = 0) -> AddressOperand:
    return AddressOperand(space, offset)


def op(name: str, dtype: str, places: list[AddressOperand], **fields: Operand) -> Record:
    return Record(name, dtype, places, (), fields)


OPERANDS = {
    "f32f16f16": ("f16", "f16", "f32"),
    "f16f16f16": ("f16", "f16", "f16"),
    "s32s8s8": ("s8", "s8", "s32"),
    "s32u8s8": ("u8", "s8", "s32"),
    "s32u8u8": ("u8", "u8", "s32"),
    "u32u8u8": ("u8", "u8", "u32"),
}
FLOATS = {
    "ordinary": [0.0, -0.0, 1.0, -1.0, 0.333, -2.5, 17.0],
    "tiny": [6e-8, -6e-8, 1.2e-7, 6.1e-5, -6.1e-5, 1.0, 0.0, -0.0],  # subnormal, and the least normal numbers
    "huge": [65504.0, -65504.0, 60000.0, 1.0, 0.0],
    "special": [math.inf, -math.inf, math.nan, 0.0, 1.0, -1.0],
}


def value(kind: str, values: str, rng: random.Random) -> Any:
    if kind[0] == "f":
        chosen = rng.choice(FLOATS[values]) if values != "special" or rng.random() < 0.03 else rng.gauss(0, 1)
        return to_half(chosen, saturated=False)
    low, high = (-128, 127) if kind == "s8" else (0, 255)
    return rng.choice([low, high, 0, 1]) if values == "huge" else rng.randint(low, high)


def total(c: Any, terms: list[tuple[Any, Any]], kind: str) -> Any:
    """C + Σ a·b: exact, then rounded once (fp16 saturates, integers wrap)."""
    if kind[0] != "f":
        return rounded(c + sum(a * b for a, b in terms), kind)
    products = [a * b for a, b in terms]
    if not all(math.isfinite(number) for number in (c, *products)):
        return (
            sum((n for n in (c, *products) if not math.isfinite(n)), 0.0)
            if kind == "f32"
            else _special([c, *products])
        )
    exact = Fraction(c) + sum((Fraction(a) * Fraction(b) for a, b in terms), Fraction(0))
    return to_single(float(exact)) if kind == "f32" else to_half(float(exact))


def _special(numbers: list[float]) -> float:
    result = sum(n for n in numbers if not math.isfinite(n))
    return math.nan if math.isnan(result) else math.copysign(65504.0, result)


def mad_case(dtype: str, m: int, k: int, n: int, values: str) -> tuple[list[Record], bytearray, Any]:
    """Records, UB and a function (i, j) → (C, terms).  A, B and C go to the cube through L1 and UB."""
    rng = random.Random(f"{dtype}{m}{k}{n}{values}")
    a_kind, b_kind, c_kind = OPERANDS[dtype]
    k0 = 32 // SIZES[a_kind]
    ub = bytearray(rng.randbytes(UB_SIZE))
    a, b = {}, {}
    for q in range(k):
        for i in range(m):  # Zz, or with one row a plain vector
            a[i, q] = value(a_kind, values, rng)
            place = q if m == 1 else ((i // 16 * -(-k // k0) + q // k0) * 16 + i % 16) * k0 + q % k0
            put(ub, place * SIZES[a_kind], a_kind, a[i, q])
        for j in range(n):  # Zn
            b[q, j] = value(b_kind, values, rng)
            place = ((q // k0 * -(-n // 16) + j // 16) * 16 + j % 16) * k0 + q % k0
            put(ub, 16384 + place * SIZES[b_kind], b_kind, b[q, j])
    c: dict[tuple[int, int], Any] = {}
    m16, n16 = -(-m // 16) * 16, -(-n // 16) * 16
    for j in range(n16):
        for i in range(m16):  # Nz
            start = rng.choice(FLOATS[values]) if c_kind[0] == "f" else rng.randint(-(1 << 31), (1 << 31) - 1)
            c[i, j] = rounded(start, c_kind) if c_kind[0] != "f" else to_half(start, saturated=False)
            put(ub, 32768 + (j // 16 * m16 * 16 + i * 16 + j % 16) * SIZES[c_kind], c_kind, c[i, j])
    moved = "f16" if c_kind == "f16" else "s32"
    fractals = m16 * n16 // 256
    records = [
        *(Record("copy_ubuf_to_cbuf", addresses=[at("l1", 16384 * x), at("ub", 16384 * x)],
                 fields={"bursts": 1, "length": 512}) for x in range(2)),
        op("load2d", a_kind, [at("l0a"), at("l1")], repeat=16),
        op("load2d", b_kind, [at("l0b"), at("l1", 16384)], repeat=32),
        op("copy_matrix_ubuf_to_cc", moved, [at("l0c"), at("ub", 32768)], bursts=1, length=fractals),
        op("mad", dtype, [at("l0c"), at("l0a"), at("l0b")], m=m, k=k, n=n),
        op("copy_matrix_cc_to_ubuf", moved, [at("ub", 32768), at("l0c")], bursts=1, length=fractals),
        op("mad", dtype, [at("l0c"), at("l0a"), at("l0b")], m=m, k=k, n=n, init=1),
        op("copy_matrix_cc_to_ubuf", moved, [at("ub", 49152), at("l0c")], bursts=1, length=fractals),
    ]  # fmt: skip
    return records, ub, lambda i, j: (c[i, j], [(a[i, q], b[q, j]) for q in range(k)])


@pytest.mark.parametrize("values", list(FLOATS))
@pytest.mark.parametrize(("m", "k", "n"), [(17, 23, 18), (1, 40, 19), (1, 300, 5)])
@pytest.mark.parametrize("dtype", list(OPERANDS))
def test_mad(dtype: str, m: int, k: int, n: int, values: str) -> None:
    """With one row, A is a plain vector (GEMV); what lies outside m and n stays."""
    records, ub, terms = mad_case(dtype, m, k, n, values)
    got = run_on_ub(records, bytes(ub))
    kind = OPERANDS[dtype][2]
    m16, n16 = -(-m // 16) * 16, -(-n // 16) * 16
    for j in range(n16):
        for i in range(m16):
            place = (j // 16 * m16 * 16 + i * 16 + j % 16) * SIZES[kind]
            if i >= m or j >= n:
                assert got[32768 + place : 32768 + place + SIZES[kind]] == bytes(
                    ub[32768 + place : 32768 + place + SIZES[kind]]
                )
                continue
            c, products = terms(i, j)
            assert same(get(got, 32768 + place, kind), total(c, products, kind)), (i, j)
            fresh = total(0.0 if kind[0] == "f" else 0, products, kind)
            assert same(get(got, 49152 + place, kind), fresh), (i, j)


@pytest.mark.parametrize("dtype", ["f16", "f32", "s32", "f162f32"])
def test_bias_broadcast(dtype: str) -> None:
    """Each vector of 16 stands in all 16 rows of its fractal; gaps of blocks here, of fractals there."""
    rng = random.Random(dtype)
    source, kind = ("f16", "f32") if dtype == "f162f32" else (dtype, dtype)
    size, wide = SIZES[source], SIZES[kind]
    ub = bytearray(rng.randbytes(UB_SIZE))
    specials = [math.inf, -math.inf, math.nan, 6e-8, -0.0, 65504.0]
    for i in range(256):
        if source == "f16":
            put(ub, 2 * i, "f16", to_half(specials[i % 8] if i % 8 < 6 else rng.gauss(0, 1), saturated=False))
    moved = "f16" if kind == "f16" else "s32"
    records = [
        op("copy_matrix_ubuf_to_cc", moved, [at("l0c"), at("ub", 16384)], bursts=1, length=9),
        op("broadcast_ub_to_cc", dtype, [at("l0c"), at("ub")], bursts=2, length=3, src_gap=1, dst_gap=2),
        op("copy_matrix_cc_to_ubuf", moved, [at("ub", 32768), at("l0c")], bursts=1, length=9),
    ]
    got = run_on_ub(records, bytes(ub))
    for fractal in range(9):
        burst, vector = divmod(fractal, 5)
        for row in range(16):
            for lane in range(16):
                place = (fractal * 256 + row * 16 + lane) * wide
                raw = bytes(ub[16384 + place : 16384 + place + wide])
                if vector < 3:
                    start = burst * (3 * 16 * size + 32) + (vector * 16 + lane) * size
                    raw = bytes(ub[start : start + size])
                if vector < 3 and dtype == "f162f32":
                    assert same(get(got, 32768 + place, "f32"), get(raw, 0, "f16"))
                else:
                    assert got[32768 + place : 32768 + place + wide] == raw


@pytest.mark.parametrize(("mode", "kind"), [(1, "f32"), (2, "f16"), (3, "s16")])
def test_accumulating_stores(mode: int, kind: str) -> None:
    """UB → GM adds to what is there: fp16 saturates, integers wrap, bursts and gaps as without."""
    rng = random.Random(kind)
    size = SIZES[kind]
    specials = [math.inf, -math.inf, math.nan, 65504.0, -65504.0, 6e-8, -6e-8, 0.0, -0.0, 3.4e38, 1e-45]
    memory = bytearray(rng.randbytes(1024))
    for i in range(1024 // size):
        if kind == "s16":
            put(memory, 2 * i, kind, rng.choice([32767, -32768, 1, -1, rng.randint(-32768, 32767)]))
        else:
            chosen = rng.choice(specials) if rng.random() < 0.6 else rng.gauss(0, 10)
            put(
                memory,
                size * i,
                kind,
                to_half(chosen, saturated=False) if kind == "f16" else to_single(chosen),
            )
    gm = np.frombuffer(bytes(memory), np.uint8).copy()
    copy = {"bursts": 1, "length": 16}
    records = [
        Record("copy_gm_to_ubuf", addresses=[at("ub"), at("gm")], fields=copy),
        Record("set_atomic", fields={"atomic": mode}),
        Record("copy_ubuf_to_gm", addresses=[at("gm", 512), at("ub")],
               fields={"bursts": 3, "length": 2, "src_gap": 1, "dst_gap": 2}),
        Record("end"),
    ]  # fmt: skip
    run_kernel(SOC, encode_image(records, 0), gm, ())
    expected = bytearray(memory)
    for burst in range(3):
        for i in range(64 // size):
            to, source = 512 + burst * 128 + i * size, burst * 96 + i * size
            result = get(memory, to, kind) + get(memory, source, kind)
            if kind == "f16":
                result = to_half(result)
            put(expected, to, kind, result if kind == "f16" else rounded(result, kind))
    for i in range(1024 // size):
        assert same(get(gm.tobytes(), i * size, kind), get(expected, i * size, kind)), i
