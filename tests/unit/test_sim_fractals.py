"""load2d from GM and from L1, and set_2d, read back fractal by fractal as products with the identity."""

from __future__ import annotations

import random

import pytest
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record
from lanes import SIZES, get, put, run_on_ub

# layout of UB (run_on_ub copies it from GM and back): what is loaded, the identity, then the results
IDENTITY, RESULTS, SIZE = 16384, 32768, 98304
COUNT = 24  # fractals to load from


def at(space: str, offset: int = 0) -> AddressOperand:
    return AddressOperand(space, offset)


def op(name: str, dtype: str, places: list[AddressOperand], **fields: Operand) -> Record:
    return Record(name, dtype, places, (), fields)


def picture(dtype: str, seed: str) -> bytearray:
    """Random fractals, small whole numbers, and an identity of k0 × k0."""
    rng = random.Random(seed)
    ub = bytearray(rng.randbytes(SIZE))
    size = SIZES[dtype]
    for i in range(IDENTITY // size):
        put(ub, i * size, dtype, rng.randint(0 if dtype == "u8" else -100, 100))
    width = 32 // size
    for n in range(width):
        for k in range(width):  # of L0A and L0B: 16 rows of k0 elements
            put(ub, IDENTITY + (n * width + k) * size, dtype, int(n == k))
    return ub


def read_back(side: str, dtype: str, count: int) -> list[Record]:
    """C of each fractal times the identity, to UB."""
    width = 32 // SIZES[dtype]
    kind = "f32f16f16" if dtype == "f16" else f"s32{dtype}{dtype}"
    m, n = (16, width) if side == "l0a" else (width, 16)
    other = "l0b" if side == "l0a" else "l0a"
    moved = "f32" if dtype == "f16" else "s32"
    fractals = width // 16
    records = [
        op("copy_ubuf_to_cbuf", "", [at("l1", 524288), at("ub", IDENTITY)], bursts=1, length=32),
        op("load2d", dtype, [at(other), at("l1", 524288)], repeat=2),
    ]
    for i in range(count):
        operands = [at("l0a", 512 * i), at("l0b")] if side == "l0a" else [at("l0a"), at("l0b", 512 * i)]
        records += [
            op("mad", kind, [at("l0c"), *operands], m=m, k=width, n=n, init=1),
            op("copy_matrix_cc_to_ubuf", moved, [at("ub", RESULTS + 2048 * i), at("l0c")], bursts=1, length=fractals),
        ]  # fmt: skip
    return records


def element(got: bytes, side: str, dtype: str, fractal: int, row: int, column: int) -> int:
    """What a fractal's element was: C is in Nz order."""
    width = 32 // SIZES[dtype]
    i, j = (row, column) if side == "l0a" else (column, row)
    rows = 16 if side == "l0a" else width
    place = (j // 16 * rows + i) * 16 + j % 16
    return int(get(got, RESULTS + 2048 * fractal + 4 * place, "f32" if dtype == "f16" else "s32"))


@pytest.mark.parametrize("decrement", [0, 1])
@pytest.mark.parametrize("stride", [0, 1, 3])
@pytest.mark.parametrize("dtype", ["f16", "s8", "u8"])
@pytest.mark.parametrize("side", ["l1", "l0a", "l0b"])
def test_load2d_gm(side: str, dtype: str, stride: int, decrement: int) -> None:
    ub = picture(dtype, f"{side}{dtype}{stride}{decrement}")
    base, repeat = (20, 6) if decrement else (2, 7)
    fields = {"base": base, "repeat": repeat, "src_stride": stride, "decrement": decrement}
    records = [op("load2d_gm", dtype, [at(side, 1024), at("gm")], **fields)]
    through = "l0a" if side == "l1" else side
    if side == "l1":
        records.append(op("load2d", dtype, [at("l0a"), at("l1", 1024)], repeat=repeat))
    else:
        records = [op("load2d_gm", dtype, [at(side), at("gm")], **fields)]
    got = run_on_ub([*records, *read_back(through, dtype, repeat)], bytes(ub))
    size = SIZES[dtype]
    width = 32 // size
    for i in range(repeat):
        source = base + (-i if decrement else i) * stride
        for row in range(16):
            for column in range(width):
                want = get(ub, 512 * source + (row * width + column) * size, dtype)
                assert element(got, through, dtype, i, row, column) == want, (i, row, column)


@pytest.mark.parametrize("side", ["l0a", "l0b"])
@pytest.mark.parametrize("repeat", [0, 1, 5])
def test_set_2d(side: str, repeat: int) -> None:
    """The fractals behind keep what they held."""
    ub = picture("f16", f"{side}{repeat}")
    records = [
        op("load2d_gm", "f16", [at(side), at("gm")], repeat=8),
        Record("set_2d", "f16", [at(side, 512)], [0xD640], {"repeat": repeat}),  # -100
    ]
    got = run_on_ub([*records, *read_back(side, "f16", 8)], bytes(ub))
    for i in range(8):
        for row in range(16):
            for column in range(16):
                old = int(get(ub, 512 * i + (row * 16 + column) * 2, "f16"))
                want = -100 if 1 <= i <= repeat else old
                assert element(got, side, "f16", i, row, column) == want, (i, row, column)
