"""Vector lanes in plain Python: formats, rounding, lane places, and a way to run records on a piece of UB."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import numpy as np
from ascend_mlir.runtime.isa.encode import encode_image
from ascend_mlir.runtime.isa.record import Record
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.soc import load_soc

SOC = load_soc("Ascend310P3")
FORMATS = {"f16": "e", "f32": "f", "s8": "b", "u8": "B", "s16": "h", "u16": "H", "s32": "i", "u32": "I"}
SIZES = {name: struct.calcsize(code) for name, code in FORMATS.items()}


def run_on_ub(records: list[Record], ub: bytes, soc: Any = SOC) -> bytes:
    """UB after the records ran on `ub` (copied in and out by DMA)."""
    blocks = len(ub) // 32
    gm = np.concatenate([np.frombuffer(ub, np.uint8), np.zeros(64, np.uint8)])
    copy = {"bursts": 1, "length": blocks}
    program = [
        Record("copy_gm_to_ubuf", addresses=[("ub", 0, None, None), ("gm", 0, None, None)], fields=copy),
        *records,
        Record("copy_ubuf_to_gm", addresses=[("gm", 0, None, None), ("ub", 0, None, None)], fields=copy),
        Record("end"),
    ]
    run_kernel(soc, encode_image(program, 0), gm, ())
    return gm[: len(ub)].tobytes()


def get(ub: bytes | bytearray, at: int, kind: str) -> Any:
    return struct.unpack_from("<" + FORMATS[kind], ub, at)[0]


def put(ub: bytearray, at: int, kind: str, value: Any) -> None:
    struct.pack_into("<" + FORMATS[kind], ub, at, value)


def to_half(value: float, *, saturated: bool = True) -> float:
    """Round a double to fp16 (ties to even), saturating."""
    if math.isnan(value):
        return math.nan
    if abs(value) >= 65520:
        return math.copysign(65504.0 if saturated else math.inf, value)
    return struct.unpack("<e", struct.pack("<e", value))[0]


def to_single(value: float) -> float:
    if math.isnan(value) or math.isinf(value):
        return value
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def rounded(value: Any, kind: str) -> Any:
    if kind == "f16":
        return to_half(to_single(value)) if abs(value) < 1e30 or math.isnan(value) else to_half(value)
    if kind == "f32":
        return to_single(value)
    bits = 8 * SIZES[kind]
    value = int(value) & ((1 << bits) - 1)
    return value - (1 << bits) if kind[0] == "s" and value >> (bits - 1) else value


def same(got: Any, expected: Any) -> bool:
    if isinstance(expected, float) and math.isnan(expected):
        return math.isnan(got)
    return got == expected


def random_value(kind: str, rng: random.Random) -> Any:
    if kind[0] == "f":
        edges = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 65504.0, -65504.0, 6e-8, 6.1e-5, 2049.0, 1e-3]
        value = rng.choice(edges) if rng.random() < 0.2 else rng.gauss(0, 1) * 2.0 ** rng.randint(-8, 8)
        return to_half(value) if kind == "f16" else to_single(value)
    bits = 8 * SIZES[kind]
    low = -(1 << (bits - 1)) if kind[0] == "s" else 0
    return rng.randint(low, low + (1 << bits) - 1)


def random_ub(layout: list[tuple[int, int, str]], size: int, rng: random.Random) -> bytearray:
    ub = bytearray(rng.randbytes(size))
    for start, length, kind in layout:
        for at in range(start, start + length, SIZES[kind]):
            put(ub, at, kind, random_value(kind, rng))
    return ub


def lanes_active(lanes: int, repeat: int, mask: int, count: int) -> list[tuple[int, int]]:
    if count >= 0:
        return [(e // lanes, e % lanes) for e in range(count)]
    return [(r, e) for r in range(repeat) for e in range(lanes) if mask >> e & 1]


def place(r: int, e: int, kind: str, blk: int, rep: int) -> int:
    per_block = 32 // SIZES[kind]
    return r * rep * 32 + e // per_block * blk * 32 + e % per_block * SIZES[kind]
