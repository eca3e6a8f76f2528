"""Cube data path against direct formulas: load2d, load3d, mad, L0C copies, DMA bursts."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.isa.encode import encode_image
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.soc import load_soc

SOC = load_soc("Ascend310P3")
Array = np.ndarray[Any, np.dtype[Any]]


def at(space: str, offset: int = 0) -> AddressOperand:
    return AddressOperand(space, offset)


def op(name: str, dtype: str, addresses: list[AddressOperand], **fields: Operand) -> Record:
    return Record(name, dtype, addresses, (), fields)


def run(records: list[Record], gm: Array, **options: Any) -> None:
    run_kernel(SOC, encode_image([*records, Record("end")], 0), gm, (), **options)


def dma(name: str, dst: AddressOperand, src: AddressOperand, size: int) -> Record:
    return op(name, "", [dst, src], bursts=1, length=-(-size // 32))


class Gm:
    """Device memory with named pieces."""

    def __init__(self, **pieces: Array) -> None:
        self.offset: dict[str, int] = {}
        self.size: dict[str, int] = {}
        end = 0
        for name, piece in pieces.items():
            self.offset[name], self.size[name] = end, piece.nbytes
            end += -(-(piece.nbytes + 32) // 512) * 512
        self.data = np.zeros(end, np.uint8)
        self.pieces = pieces
        for name, piece in pieces.items():
            raw = np.ascontiguousarray(piece).view(np.uint8).reshape(-1)
            self.data[self.offset[name] : self.offset[name] + piece.nbytes] = raw

    def load(self, name: str, to: AddressOperand) -> Record:
        copy = "copy_gm_to_cbuf" if to.space == "l1" else "copy_gm_to_ubuf"
        return dma(copy, to, at("gm", self.offset[name]), self.size[name])

    def store(self, name: str, src: AddressOperand) -> Record:
        return dma("copy_ubuf_to_gm", at("gm", self.offset[name]), src, self.size[name])

    def __getitem__(self, name: str) -> Array:
        piece = self.pieces[name]
        raw = self.data[self.offset[name] : self.offset[name] + piece.nbytes]
        return raw.view(piece.dtype).reshape(piece.shape)


def fractals(matrix: Array, k0: int, order: str) -> Array:
    """(rows, cols) as fractals of 16 × k0, padded with junk: "Zz" row of fractals first, "Zn" column."""
    r1, c1 = -(-matrix.shape[0] // 16), -(-matrix.shape[1] // k0)
    full = np.full((r1 * 16, c1 * k0), 7, matrix.dtype)
    full[: matrix.shape[0], : matrix.shape[1]] = matrix
    blocks = full.reshape(r1, 16, c1, k0)
    return np.ascontiguousarray(blocks.transpose((0, 2, 1, 3) if order == "Zz" else (2, 0, 1, 3)))


TYPES = {
    "f32f16f16": (np.float16, np.float16, np.float32, "f16", "f32"),
    "f16f16f16": (np.float16, np.float16, np.float16, "f16", "f16"),
    "s32s8s8": (np.int8, np.int8, np.int32, "s8", "s32"),
    "s32u8s8": (np.uint8, np.int8, np.int32, "u8", "s32"),
    "s32u8u8": (np.uint8, np.uint8, np.int32, "u8", "s32"),
}


def random_matrix(shape: tuple[int, int], dtype: Any, rng: np.random.Generator) -> Array:
    if dtype is np.float16:
        return rng.standard_normal(shape).astype(np.float16)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


@pytest.mark.parametrize("dtype", list(TYPES))
@pytest.mark.parametrize(
    ("m", "k", "n"), [(16, 32, 16), (48, 64, 32), (37, 50, 23), (2, 100, 17), (1, 70, 40)]
)
def test_mad(dtype: str, m: int, k: int, n: int) -> None:
    rng = np.random.default_rng(m * 1000 + k)
    a_type, b_type, c_type, load_type, out_type = TYPES[dtype]
    k0 = 32 // np.dtype(a_type).itemsize
    a, b = random_matrix((m, k), a_type, rng), random_matrix((n, k), b_type, rng)
    m16, n16 = -(-m // 16) * 16, -(-n // 16) * 16
    a_bytes = np.pad(a[0], (0, -k % (k0 * 16))) if m == 1 else fractals(a, k0, "Zz")
    out = np.zeros((n16 // 16, m16, 16), c_type)
    gm = Gm(a=a_bytes, b=fractals(b, k0, "Zn"), out=out)
    a_count, b_count = -(-gm.size["a"] // 512), gm.size["b"] // 512
    records = [
        gm.load("a", at("l1")),
        gm.load("b", at("l1", 1 << 19)),
        op("load2d", load_type, [at("l0a"), at("l1")], repeat=a_count),
        op(
            "load2d", "s8" if load_type == "u8" else load_type, [at("l0b"), at("l1", 1 << 19)], repeat=b_count
        ),
        op("mad", dtype, [at("l0c"), at("l0a"), at("l0b")], m=m, k=k, n=n, init=1),
        op("mad", dtype, [at("l0c"), at("l0a"), at("l0b")], m=m, k=k, n=n),
        op("copy_matrix_cc_to_ubuf", out_type, [at("ub"), at("l0c")], bursts=1, length=m16 * n16 // 256),
        gm.store("out", at("ub")),
    ]
    run(records, gm.data)
    got = gm["out"].transpose(1, 0, 2).reshape(m16, n16)[:m, :n]
    product = a.astype(np.float64) @ b.astype(np.float64).T
    once = product.astype(c_type)
    want = (once.astype(np.float64) + product).astype(c_type)
    np.testing.assert_array_equal(got, want)


def im2col(image: Array, g: dict[str, int], pad: Any) -> Array:
    """I2C[m][k] by its definition; `image` is [C1][H][W][C0]."""
    c1, h, w, c0 = image.shape
    ho = (h + g["pad_top"] + g["pad_bottom"] - (g["dilation_h"] * (g["filter_h"] - 1) + 1)) // g[
        "stride_h"
    ] + 1
    wo = (w + g["pad_left"] + g["pad_right"] - (g["dilation_w"] * (g["filter_w"] - 1) + 1)) // g[
        "stride_w"
    ] + 1
    out = np.empty((ho * wo, c1 * g["filter_h"] * g["filter_w"] * c0), image.dtype)
    for m in range(ho * wo):
        for c in range(c1):
            for kh in range(g["filter_h"]):
                for kw in range(g["filter_w"]):
                    y = m // wo * g["stride_h"] - g["pad_top"] + kh * g["dilation_h"]
                    x = m % wo * g["stride_w"] - g["pad_left"] + kw * g["dilation_w"]
                    cell = image[c, y, x] if 0 <= y < h and 0 <= x < w else pad
                    first = ((c * g["filter_h"] + kh) * g["filter_w"] + kw) * c0
                    out[m, first : first + c0] = cell
    return out


GEOMETRY = ("stride_w", "stride_h", "filter_w", "filter_h", "dilation_w", "dilation_h")
PADS = ("pad_left", "pad_right", "pad_top", "pad_bottom")


def geometry(rng: random.Random) -> dict[str, int]:
    g = {name: rng.randint(1, 3 if "filter" in name else 2) for name in GEOMETRY}
    g |= {name: rng.randint(0, 2) for name in PADS}
    return g | {"fm_width": rng.randint(12, 15), "fm_height": rng.randint(12, 15), "pad_value": 0x3C00}


def state_records(g: dict[str, int]) -> list[Record]:
    fm = {name: g[name] for name in ("fm_width", "fm_height", *PADS)}
    return [Record("set_fmatrix", fields=fm), Record("set_padding", fields={"pad_value": g["pad_value"]})]


def identity_out(gm: Gm, space: str, m: int, k: int, kind: str = "f16") -> list[Record]:
    """Reads L0A (or L0B) back by a mad with the identity: C = A · I or C = I · B."""
    eye = at("l0b") if space == "l0a" else at("l0a")
    size = k if space == "l0a" else m
    dims = {"m": m, "k": k, "n": k} if space == "l0a" else {"m": m, "k": m, "n": k}
    operands = [at("l0c"), at("l0a"), at("l0b")]
    return [
        gm.load("eye", at("l1", 1 << 19)),
        op("load2d", kind, [eye, at("l1", 1 << 19)], repeat=(size // 16) ** 2),
        op("mad", "f32f16f16", operands, init=1, **dims),
        op("copy_matrix_cc_to_ubuf", "f322f16", [at("ub"), at("l0c")], bursts=1, length=m * k // 256),
        gm.store("out", at("ub")),
    ]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("target", ["l0a", "l0b", "l0a_t"])
@pytest.mark.parametrize("seed", range(6))
def test_load3d(seed: int, target: str, mixed: bool) -> None:
    rng = random.Random(seed)
    g = geometry(rng)
    image = (
        np.random.default_rng(seed).standard_normal((2, g["fm_height"], g["fm_width"], 16)).astype(np.float16)
    )
    matrix = im2col(image, g, np.float16(1.0))
    m, k = min(len(matrix), 64) // 16 * 16, min(matrix.shape[1], 80)
    m_start, k_start = (len(matrix) - m) // 16 * 16, (matrix.shape[1] - k) // 16 * 16
    want = matrix[m_start : m_start + m, k_start : k_start + k]
    if target != "l0a":
        want = want.T
    space = "l0b" if target == "l0b" else "l0a"
    rows, cols = (m, k) if target != "l0a_t" else (k, m)
    eye = fractals(np.eye(k if target == "l0a" else m, dtype=np.float16), 16, "Zz")
    gm = Gm(image=image, eye=eye, out=np.zeros((cols // 16, rows, 16), np.float16))
    load = op(
        "load3d", "f16", [at(space), at("l1")], m_extent=m, k_extent=k, m_start=m_start, k_start=k_start,
        channels=32, transpose=int(target == "l0a_t"), **{name: g[name] for name in GEOMETRY},
    )  # fmt: skip
    extra = [op("load2d", "s8", [at("l0b"), at("l1")], repeat=0)] * mixed  # L1 without converted halves
    run(
        [*state_records(g), *extra, gm.load("image", at("l1")), load, *identity_out(gm, space, rows, cols)],
        gm.data,
    )
    got = gm["out"].transpose(1, 0, 2).reshape(rows, cols)
    np.testing.assert_array_equal(got, want.T if target == "l0b" else want)


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_load3dv1(seed: int, mode: int) -> None:
    rng = random.Random(seed)
    g = geometry(rng)
    image = (
        np.random.default_rng(seed).standard_normal((2, g["fm_height"], g["fm_width"], 16)).astype(np.float16)
    )
    matrix = im2col(image, g, np.float16(1.0))
    wo = (g["fm_width"] + g["pad_left"] + g["pad_right"] - (g["dilation_w"] * (g["filter_w"] - 1) + 1)) // g[
        "stride_w"
    ] + 1
    taps = g["filter_w"] * g["filter_h"]
    if mode == 0:  # one row of fractals: positions 16.., all taps of the second channel block
        m, k, start, tap = 16, min(taps, 4) * 16, min(16, (len(matrix) - 1) // 16 * 16), taps
    else:
        m, k, start, tap = len(matrix) // 16 * 16, 16, 0, taps + taps - 1
    fields = {name: g[name] for name in GEOMETRY} | {
        "c1": tap // taps, "fetch_w": tap % taps % g["filter_w"], "fetch_h": tap % taps // g["filter_w"],
        "left_top_w": start % wo * g["stride_w"] - g["pad_left"],
        "left_top_h": start // wo * g["stride_h"] - g["pad_top"],
        "repeat_mode": mode, "repeat": k // 16 if mode == 0 else m // 16,
    }  # fmt: skip
    gm = Gm(
        image=image,
        eye=fractals(np.eye(k, dtype=np.float16), 16, "Zz"),
        out=np.zeros((k // 16, m, 16), np.float16),
    )
    load = op("load3dv1", "f16", [at("l0a"), at("l1")], **fields)
    run([*state_records(g), gm.load("image", at("l1")), load, *identity_out(gm, "l0a", m, k)], gm.data)
    got = gm["out"].transpose(1, 0, 2).reshape(m, k)
    valid = min(m, len(matrix) - start)
    np.testing.assert_array_equal(got[:valid], matrix[start : start + valid, tap * 16 : tap * 16 + k])


@pytest.mark.parametrize(("transpose", "decrement"), [(0, 0), (1, 0), (0, 1)])
def test_load2d_strides(transpose: int, decrement: int) -> None:
    source = np.random.default_rng(0).standard_normal((20, 16, 16)).astype(np.float16)
    eye = fractals(np.eye(64, dtype=np.float16), 16, "Zz")
    gm = Gm(source=source, eye=eye, out=np.zeros((4, 16, 16), np.float16))
    base = 15 if decrement else 2
    load = op(
        "load2d",
        "f16",
        [at("l0a"), at("l1")],
        base=base,
        repeat=4,
        src_stride=5,
        transpose=transpose,
        decrement=decrement,
    )
    run([gm.load("source", at("l1")), load, *identity_out(gm, "l0a", 16, 64)], gm.data)
    for i in range(4):
        piece = source[base + (-5 if decrement else 5) * i]
        np.testing.assert_array_equal(gm["out"][i], piece.T if transpose else piece)


def test_l0c_copies_with_gaps_bias_and_relu() -> None:
    rng = np.random.default_rng(1)
    bias = rng.standard_normal(48).astype(np.float32)
    a, b = rng.standard_normal((32, 16)).astype(np.float16), rng.standard_normal((48, 16)).astype(np.float16)
    gm = Gm(
        a=fractals(a, 16, "Zz"), b=fractals(b, 16, "Zn"), bias=bias, out=np.zeros((3, 48, 16), np.float16)
    )
    records = [
        gm.load("a", at("l1")), gm.load("b", at("l1", 65536)), gm.load("bias", at("ub", 65536)),
        op("load2d", "f16", [at("l0a"), at("l1")], repeat=2),
        op("load2d", "f16", [at("l0b"), at("l1", 65536)], repeat=3),
        *[op("broadcast_ub_to_cc", "f32", [at("l0c", 1024 * mo), at("ub", 65536)],
             bursts=3, length=1, dst_gap=1)
          for mo in range(2)],
        op("mad", "f32f16f16", [at("l0c"), at("l0a"), at("l0b")], m=32, k=16, n=48),
        op("copy_matrix_cc_to_ubuf", "f322f16", [at("ub", 512), at("l0c", 1024)],
           bursts=3, length=1, src_gap=1, dst_gap=32, relu=1),
        gm.store("out", at("ub")),
    ]  # fmt: skip
    run(records, gm.data)
    exact = a.astype(np.float64) @ b.astype(np.float64).T + bias
    want = np.maximum(exact.astype(np.float32), 0).astype(np.float16)[16:]
    np.testing.assert_array_equal(gm["out"][:, 16:32].transpose(1, 0, 2).reshape(16, 48), want)


def test_gm_allocation_and_buffer_faults() -> None:
    gm = np.zeros(4096, np.uint8)
    store = dma("copy_ubuf_to_gm", at("gm", 512), at("ub"), 544)
    run([store], gm, allocations=[(0, 100), (512, 512)])
    with pytest.raises(SimulatorFault, match="not inside one allocation"):
        run([dma("copy_ubuf_to_gm", at("gm", 512), at("ub"), 576)], gm, allocations=[(0, 100), (512, 512)])
    with pytest.raises(SimulatorFault, match="outside ub"):
        run([dma("copy_gm_to_ubuf", at("ub", 262144 - 32), at("gm"), 64)], gm)
    with pytest.raises(SimulatorFault, match="does not have vdiv"):
        program = encode_image([op("vdiv", "f16", [at("ub")] * 3, repeat=1), Record("end")], 0)
        run_kernel(load_soc("Ascend310"), program, gm, ())


@pytest.mark.parametrize("dtype", ["f16", "f32", "s32"])
@pytest.mark.parametrize("gaps", [(0, 0), (3, 2)])
def test_first_rows_of_fractals(dtype: str, gaps: tuple[int, int]) -> None:
    """UB → L0C → UB: row 0 of each fractal is exchanged, the other rows stay."""
    kind = {"f16": np.float16, "f32": np.float32, "s32": np.int32}[dtype]
    rng = np.random.default_rng(5)
    (bursts, length), (l0c_gap, ub_gap) = (2, 3), gaps
    count = (bursts - 1) * (length + l0c_gap) + length
    pad = ub_gap * 32 // np.dtype(kind).itemsize
    whole = rng.integers(-9, 9, (count, 16, 16)).astype(kind)
    rows = rng.integers(-9, 9, (bursts, length * 16 + pad)).astype(kind)
    gm = Gm(whole=whole, rows=rows, back=np.zeros_like(whole), first=np.zeros_like(rows))
    one = {"bursts": 1, "length": count}
    records = [
        gm.load("whole", at("ub")),
        gm.load("rows", at("ub", 65536)),
        op("copy_matrix_ubuf_to_cc", dtype, [at("l0c"), at("ub")], **one),
        op("copy_vector_ubuf_to_cc", dtype, [at("l0c"), at("ub", 65536)], bursts=bursts, length=length,
           src_gap=ub_gap, dst_gap=l0c_gap),
        op("copy_matrix_cc_to_ubuf", dtype, [at("ub"), at("l0c")], **one),
        gm.load("first", at("ub", 131072)),
        op("copy_vector_cc_to_ubuf", dtype, [at("ub", 131072), at("l0c")], bursts=bursts, length=length,
           src_gap=l0c_gap, dst_gap=ub_gap),
        gm.store("back", at("ub")),
        gm.store("first", at("ub", 131072)),
    ]  # fmt: skip
    run(records, gm.data)
    want, first = whole.copy(), np.zeros_like(rows)
    for i in range(bursts):
        for j in range(length):
            vector = rows[i, 16 * j : 16 * j + 16]
            want[i * (length + l0c_gap) + j, 0] = vector
            first[i, 16 * j : 16 * j + 16] = vector
    np.testing.assert_array_equal(gm["back"], want)
    np.testing.assert_array_equal(gm["first"], first)
