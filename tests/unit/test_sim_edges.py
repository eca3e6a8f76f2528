"""Edge values through every lane-by-lane instruction on floats: subnormals, infinities, NaN, both zeros, saturation.

Definitions are plain Python on one lane; results are compared bit by bit, NaN as NaN.  The rules are those of
decision 0006: rounded fp16 results saturate, instructions that pass bits on keep infinities, of two zeros the positive
one is the greater, ReLU gives +0.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from ascend_mlir.runtime.isa.record import AddressOperand, Record
from ascend_mlir.runtime.isa.table import TABLE
from lanes import SIZES, get, put, run_on_ub, to_half, to_single

HALVES = [0.0, -0.0, 2**-24, -(2**-24), 2**-14, -(2**-14), 2**-14 - 2**-24, 1.0, -1.0, 0.333251953125, 2048.0, -2049.0,
          65504.0, -65504.0, math.inf, -math.inf, math.nan, 3.5]  # fmt: skip
SINGLES = [0.0, -0.0, 2**-149, -(2**-149), 2**-126, -(2**-126), 2**-126 - 2**-149, 1.0, -1.0, 0.3333333432674408, 16777216.0,
           -16777215.0, 3.4028234663852886e38, -3.4028234663852886e38, math.inf, -math.inf, math.nan, 3.5]  # fmt: skip
EDGES = {
    "f16": [to_half(value, saturated=False) for value in HALVES],
    "f32": [to_single(value) for value in SINGLES],
}
COPIES = [1, 3, 40]  # how often all pairs stand in UB: few lanes and many take different ways


def at(offset: int) -> AddressOperand:
    return AddressOperand("ub", offset)


def special(function: Callable[..., float], *values: float) -> float:
    """Python raises where IEEE has a result."""
    try:
        return function(*values)
    except OverflowError:
        return math.inf
    except (ValueError, ZeroDivisionError):
        return math.nan


def divide(a: float, b: float) -> float:
    if b == 0:
        return (
            math.nan
            if a == 0 or math.isnan(a)
            else math.copysign(math.inf, math.copysign(1, a) * math.copysign(1, b))
        )
    return a / b


def greater(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return math.nan
    if a == b:
        return a if math.copysign(1, a) > 0 else b
    return max(a, b)


def lesser(a: float, b: float) -> float:
    return -greater(-a, -b)


def relu(a: float) -> float:
    return greater(a, 0.0)


def coarse(value: float) -> float:
    """Down to nine bits."""
    if math.isinf(value) or math.isnan(value) or value == 0:
        return value
    m, e = math.frexp(value)
    return math.ldexp(math.floor(m * 512), e - 9)


def reciprocal(x: float) -> float:
    return math.copysign(coarse(special(divide, 1.0, abs(x))), x)


def reciprocal_root(x: float) -> float:
    if x == 0:
        return math.inf
    if x < 0 or math.isnan(x):
        return math.nan
    true = 1 / math.sqrt(x) if x < math.inf else 0.0
    return true * 511 / 512 if true and math.frexp(true)[0] == 0.5 else coarse(true)


def wide(a: float) -> float:
    """An intermediate result: fp32."""
    return to_single(a)


# rounds: whether an fp16 result is rounded (and saturates) or its bits pass
UNARY: dict[str, tuple[Callable[[float], float], bool]] = {
    "vabs": (lambda x: math.copysign(x, 1.0), False),
    "vexp": (lambda x: special(math.exp, x), True),
    "vln": (lambda x: -math.inf if x == 0 else special(math.log, x), True),
    "vsqrt": (lambda x: special(math.sqrt, x) if x != 0 else x, True),
    "vrsqrt": (reciprocal_root, True),
    "vrec": (reciprocal, True),
    "vrelu": (relu, False),
}
BINARY: dict[str, tuple[Callable[[float, float, float], float], bool]] = {
    "vadd": (lambda d, a, b: a + b, True),
    "vsub": (lambda d, a, b: a - b, True),
    "vmul": (lambda d, a, b: a * b, True),
    "vdiv": (lambda d, a, b: divide(a, b), True),
    "vmax": (lambda d, a, b: greater(a, b), False),
    "vmin": (lambda d, a, b: lesser(a, b), False),
    "vmla": (lambda d, a, b: a * b + d, True),
    "vmadd": (lambda d, a, b: a * d + b, True),
    "vmaddrelu": (lambda d, a, b: relu(a * d + b), True),
    "vaddrelu": (lambda d, a, b: relu(a + b), True),
    "vsubrelu": (lambda d, a, b: relu(a - b), True),
}
SCALAR: dict[str, tuple[Callable[[float, float, float], float], bool]] = {
    "vadds": (lambda d, a, s: a + s, True),
    "vmuls": (lambda d, a, s: a * s, True),
    "vmaxs": (lambda d, a, s: greater(a, s), False),
    "vmins": (lambda d, a, s: lesser(a, s), False),
    "vaxpy": (lambda d, a, s: a * s + d, True),
}


def finish(value: float, dtype: str, *, rounds: bool) -> float:
    if dtype == "f32":
        return to_single(value)
    return to_half(wide(value)) if rounds else value


def bits(value: float, dtype: str) -> int:
    code, word = ("<e", "<H") if dtype == "f16" else ("<f", "<I")
    return struct.unpack(word, struct.pack(code, value))[0]


def compare(got: bytes, start: int, wanted: list[float], dtype: str, what: Any) -> None:
    size = SIZES[dtype]
    for i, want in enumerate(wanted):
        have = get(got, start + i * size, dtype)
        if math.isnan(want):
            assert math.isnan(have), (what, i)
        else:
            assert bits(have, dtype) == bits(want, dtype), (what, i, have, want)


def lists(name: str, dtype: str, copies: int) -> tuple[list[list[float]], int]:
    """Operand lists (destination first) with all pairs of edges, whole repeats of them, and the repeats."""
    edges = EDGES[dtype]
    pairs = list(product(edges, edges)) * copies
    lanes = 256 // SIZES[dtype]
    pairs += [(1.0, 1.0)] * (-len(pairs) % lanes)
    old = [edges[(i * 7 + i // 18) % len(edges)] for i in range(len(pairs))]
    return [old, [a for a, _ in pairs], [b for _, b in pairs]], len(pairs) // lanes


CASES = [(n, t) for n in (*UNARY, *BINARY) for t in TABLE[n].types if t in EDGES]


@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_lanes(name: str, dtype: str, copies: int) -> None:
    operands, repeat = lists(name, dtype, copies)
    used = len(TABLE[name].addresses)
    size, span = SIZES[dtype], 65536
    ub = bytearray(3 * span)
    for number, values in enumerate(operands):
        for i, value in enumerate(values):
            put(ub, number * span + i * size, dtype, value)
    records: list[Record] = []
    for first in range(0, repeat, 250):
        places = [at(number * span + 256 * first) for number in range(used)]
        records.append(Record(name, dtype, places, (), {"repeat": min(250, repeat - first)}))
    got = run_on_ub(records, bytes(ub))
    if name in UNARY:
        one, rounds = UNARY[name]
        wanted = [finish(one(a), dtype, rounds=rounds) for a in operands[1]]
    else:
        two, rounds = BINARY[name]
        wanted = []
        for d, a, b in zip(*operands, strict=True):
            value = two(d, a, b)
            if dtype == "f16" and name in ("vmla", "vmadd", "vmaddrelu"):  # fp32 product, fp32 sum
                value = wide(a * b) + d if name == "vmla" else wide(a * d) + b
                value = relu(value) if name == "vmaddrelu" else value
            wanted.append(finish(value, dtype, rounds=rounds))
    compare(got, 0, wanted, dtype, name)


@pytest.mark.parametrize("copies", [1, 60])
@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("name", [*SCALAR, "vlrelu"])
def test_with_scalar(name: str, dtype: str, copies: int) -> None:
    edges = EDGES[dtype]
    size = SIZES[dtype]
    line = edges * copies
    line += [1.0] * (-len(line) % (256 // size))
    old = [edges[(5 * i + i // 18) % len(edges)] for i in range(len(line))]
    for scalar in edges:
        ub = bytearray(32768)
        for i, (d, value) in enumerate(zip(old, line, strict=True)):
            put(ub, i * size, dtype, d)
            put(ub, 16384 + i * size, dtype, value)
        fields = {"repeat": len(line) * size // 256}
        got = run_on_ub([Record(name, dtype, [at(0), at(16384)], [bits(scalar, dtype)], fields)], bytes(ub))
        wanted: list[float] = []
        for d, a in zip(old, line, strict=True):
            if name == "vlrelu":
                wanted.append(finish(a * scalar, dtype, rounds=True) if a < 0 else a)
                continue
            function, rounds = SCALAR[name]
            value = wide(a * scalar) + d if name == "vaxpy" and dtype == "f16" else function(d, a, scalar)
            wanted.append(finish(value, dtype, rounds=rounds))
        compare(got, 0, wanted, dtype, (name, scalar))


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("name", ["vcmax", "vcmin", "vcgmax", "vcgmin"])
def test_extremes_of_edges(name: str, dtype: str) -> None:
    """A NaN wins; of equal lanes the first is the result of vcmax and vcmin, +0 is above -0 in a block."""
    size = SIZES[dtype]
    lanes, width = 256 // size, 32 // size
    edges = [value for value in EDGES[dtype] if not math.isnan(value)]
    ub = bytearray(32768)
    rows = [[edges[(i * (r + 1) + r) % len(edges)] for i in range(lanes)] for r in range(20)]
    rows += [
        [0.0, -0.0] * (lanes // 2),
        [-0.0, 0.0] * (lanes // 2),
        [-0.0] * lanes,
        [-1.0] * (lanes - 1) + [-0.0],
    ]
    for r, row in enumerate(rows):
        for i, value in enumerate(row):
            put(ub, 8192 + 256 * r + i * size, dtype, value)
    got = run_on_ub([Record(name, dtype, [at(0), at(8192)], (), {"repeat": len(rows)})], bytes(ub))
    high = name.endswith("max")
    for r, row in enumerate(rows):
        if name.startswith("vcg"):
            for block in range(8):
                best = row[block * width]
                for value in row[block * width : (block + 1) * width]:
                    best = greater(best, value) if high else lesser(best, value)
                compare(got, (8 * r + block) * size, [best], dtype, (name, r, block))
        else:
            best = max(row) if high else min(row)
            lane = row.index(best)
            compare(got, 2 * r * size, [row[lane]], dtype, (name, r))
            assert get(got, (2 * r + 1) * size, "u16" if size == 2 else "u32") == lane
