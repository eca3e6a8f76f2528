"""The cube core of split chips: every number rule against a plain scalar definition, every layout element by element."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.sim.floats import bf16_to_single, single_to_bf16
from split_programs import OUT, Array, matmul, run
from split_scalars import bf16_value, hf32, parameter, quantised, single, to_float

RNG = np.random.default_rng(7)


def _operands(kind: str, m: int, k: int) -> tuple[Array, list[list[Any]]]:
    """(what lies in memory, the numbers it stands for)."""
    if kind == "bf16":
        bits = single_to_bf16(RNG.standard_normal((m, k)).astype(np.float32) * 3)
        return bits, [[bf16_value(int(x)) for x in row] for row in bits]
    if kind in ("s8", "u8"):
        low, high = (-128, 128) if kind == "s8" else (0, 256)
        values = RNG.integers(low, high, (m, k)).astype(np.int8 if kind == "s8" else np.uint8)
        return values, values.tolist()
    dtype = np.float16 if kind == "f16" else np.float32
    values = (RNG.standard_normal((m, k)) * 2.0 ** RNG.integers(-6, 6, (m, k))).astype(dtype)
    return values, values.astype(np.float64).tolist()


def _product(a: list[list[Any]], b: list[list[Any]], start: list[float] | None = None) -> Array:
    """fp32(start + Σk a·b), b transposed: exact sums for halves, fp64 sums in the order of k for wider types."""
    rows: list[list[float]] = []
    for x in a:
        row: list[float] = []
        for j, y in enumerate(b):
            total = 0.0
            for p, q in zip(x, y, strict=True):
                total += p * q
            row.append(single(Fraction(total) + Fraction(start[j] if start else 0)))
        rows.append(row)
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("mad", "operand", "m", "k", "n"),
    [
        ("mad.f32f16f16", "f16", 33, 40, 17),
        ("mad.f32bf16bf16", "bf16", 33, 40, 17),
        ("mad.f32f32f32", "f32", 18, 21, 35),
        ("mad.h322f32", "f32", 18, 21, 35),
        ("mad.f32f32f32", "f32", 16, 8, 16),
    ],
)
def test_mad(mad: str, operand: str, m: int, k: int, n: int) -> None:
    a, a_numbers = _operands(operand, m, k)
    b, b_numbers = _operands(operand, n, k)
    if mad.startswith("mad.h32"):
        a_numbers, b_numbers = ([[hf32(x) for x in row] for row in part] for part in (a_numbers, b_numbers))
    stride = -(-m // 16) * 16
    store = (
        f"copy_matrix_cc_to_gm.f32 gm[{OUT}], l0c[0], fb[0], {n}, n={n}, m={m}, src_stride={stride}, nz2nd=1"
    )
    out = run(matmul(mad, operand, m, k, n, store), {0: a, 0x40000: b}, m * n * 4).view(np.float32)
    np.testing.assert_array_equal(out.reshape(m, n), _product(a_numbers, b_numbers))


def test_hf32_rounds_to_ten_bits() -> None:
    """Ties, subnormals, infinities, nan and the step to infinity, against fractions."""
    from ascend_mlir.runtime.sim.floats import to_hf32

    edges = [
        0x3F801000,
        0x3F803000,
        0x3F800FFF,
        0x7F7FFFFF,
        0x7F800000,
        0xFF800000,
        1,
        0x1000,
        0x80001000,
        0x007FF000,
    ]
    bits = np.array([*edges, *RNG.integers(0, 1 << 32, 4000)], np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    for value, got in zip(values.tolist(), to_hf32(values).tolist(), strict=True):
        assert math.isnan(got) if math.isnan(value) else got == hf32(value), value


@pytest.mark.parametrize(
    ("kind", "to"), [("f32", "f32"), ("f162f32", "f16"), ("bf162f32", "bf16"), ("s32", "s32")]
)
def test_bias_table(kind: str, to: str) -> None:
    """Biases of each type go through L1 and the table into the first sum."""
    m, k, n = 17, 32, 40
    integers = to == "s32"
    a, a_numbers = _operands("s8" if integers else "f16", m, k)
    b, b_numbers = _operands("s8" if integers else "f16", n, k)
    bias = RNG.integers(-(1 << 20), 1 << 20, n).astype(np.int32) if integers else RNG.standard_normal(n)
    stored = {"f32": np.float32, "f16": np.float16, "s32": np.int32, "bf16": np.float32}[to]
    raw = single_to_bf16(bias.astype(np.float32)) if to == "bf16" else bias.astype(stored)
    numbers = bf16_to_single(raw) if to == "bf16" else raw
    size = -(-n // 32) * 64 if to in ("f16", "bf16") else -(-n // 16) * 64
    padded = np.zeros(size, np.uint8)
    padded[: raw.nbytes] = raw.view(np.uint8)
    mad = "mad_bias.s32s8s8" if integers else "mad_bias.f32f16f16"
    result = "s32" if integers else "f32"
    text = matmul(
        mad, "s8" if integers else "f16", m, k, n,
        f"copy_matrix_cc_to_gm.{result} gm[{OUT}], l0c[0], fb[0], {n}, n={n}, m={m}, src_stride=32, nz2nd=1",
        more=f"copy_gm_to_cbuf l1[0x40000], gm[0x60000], bursts=1, length={size // 32}",
        tables=f"copy_cbuf_to_bt.{kind} bt[0], l1[0x40000], length={size // 64}",
    )  # fmt: skip
    out = run(text, {0: a, 0x40000: b, 0x60000: padded}, m * n * 4)
    if integers:
        want = np.array(a_numbers, np.int64) @ np.array(b_numbers, np.int64).T + raw
        np.testing.assert_array_equal(out.view(np.int32).reshape(m, n), want)
    else:
        want_float = _product(a_numbers, b_numbers, [float(x) for x in numbers])
        np.testing.assert_array_equal(out.view(np.float32).reshape(m, n), want_float)


def _accumulators(kind: str, count: int) -> Array:
    """Random accumulators with edges: what may stand in L0C."""
    if kind == "s32":
        values = RNG.integers(-40000, 40000, count).astype(np.int32)
        edges = [0, -1, 1, (1 << 31) - 1, -(1 << 31), 32767, 32768, -32769, 8388609, 16777217, -200, 300]
    else:
        values = (RNG.standard_normal(count) * 2.0 ** RNG.integers(-4, 9, count)).astype(np.float32)
        edges = [0.0, 65504.0, 65519.9, 65520.0, -1e9, 3.4e38, 2.0**-25, 2.0**-24, 1e-40, 0.5, 1.5, -2.5, 127.5,
                 255.5, -256.5, 3.39e38, -3.4e38, math.inf, -math.inf, math.nan]  # fmt: skip
    values[: len(edges)] = edges
    return values


def _fixpipe(values: Array, dtype: str, fields: str, size: int, *, m: int = 16, table: Array | None = None,
             before: str = "", stride: int = 0, at: int = OUT) -> Array:  # fmt: skip
    """`m` equal rows of accumulators through the fixpipe: they are the biases of a product of zeros."""
    n = len(values)
    kind = "s32" if values.dtype == np.int32 else "f32"
    mad = "mad_bias.s32s8s8" if kind == "s32" else "mad_bias.f32f32f32"
    lines = [".kernel args=0 core=aic", f"copy_gm_to_cbuf l1[0], gm[0], bursts=1, length={n * 4 // 32}"]
    lines.append("set_l1_2d.f16 l1[0x4000], 0, repeat=4, blocks=256, dst_gap=0")
    if table is not None:
        lines.append(
            f"copy_gm_to_cbuf l1[0x2000], gm[0x4000], bursts=1, length={-(-table.nbytes // 128) * 4}"
        )
        lines.append("set_flag src=MTE2, dst=FIX, event=0")
    lines += ["set_flag src=MTE2, dst=MTE1, event=0", "wait_flag src=MTE2, dst=MTE1, event=0"]
    m1, n1 = -(-m // 16), -(-n // 16)
    lines += [f"load2d.s8 l0a[0], l1[0x4000], repeat={m1}", f"load2d.s8 l0b[0], l1[0x4000], repeat={n1}"]
    lines.append(f"copy_cbuf_to_bt.{kind} bt[0], l1[0], length={n // 16}")
    lines += ["set_flag src=MTE1, dst=M, event=0", "wait_flag src=MTE1, dst=M, event=0"]
    lines.append(f"{mad} l0c[0], l0a[0], l0b[0], bt[0], m={max(m, 2)}, k=8, n={n}")
    lines += ["set_flag src=M, dst=FIX, event=0", "wait_flag src=M, dst=FIX, event=0"]
    if table is not None:
        lines.append("wait_flag src=MTE2, dst=FIX, event=0")
        lines.append(f"copy_cbuf_to_fbuf fb[0x100], l1[0x2000], length={-(-table.nbytes // 128)}")
        lines.append("pipe_barrier pipe=FIX")
    lines.append(before)
    lines.append(
        f"copy_matrix_cc_to_gm.{dtype} gm[{at}], l0c[0], fb[0x100], {stride or n}, n={n}, m={m}, src_stride={m1 * 16}, {fields}"
    )
    memory: dict[int, Array] = {0: values}
    if table is not None:
        padded = np.zeros(-(-table.nbytes // 128) * 128, np.uint8)
        padded[: table.nbytes] = table.view(np.uint8)
        memory[0x4000] = padded
    return run("\n".join([*lines, "end"]), memory, size)


def _same(got: list[Any], want: list[Any]) -> None:
    for place, (x, y) in enumerate(zip(got, want, strict=True)):
        nan = isinstance(x, float) and math.isnan(x)
        assert (nan and math.isnan(y)) or x == y, (place, x, y)


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize(
    ("dtype", "kind"), [("f32", "f32"), ("f322f16", "f16"), ("f322bf16", "bf16"), ("s32", "s32")]
)
def test_casts(dtype: str, kind: str, relu: int) -> None:
    values = _accumulators("s32" if kind == "s32" else "f32", 240)
    size = 2 if kind in ("f16", "bf16") else 4
    out = _fixpipe(values, dtype, f"nz2nd=1, relu={relu}", 240 * size, m=1)
    got = {"f32": np.float32, "s32": np.int32, "f16": np.float16, "bf16": np.uint16}[kind]
    numbers: list[Any] = out.view(got).tolist()
    if kind == "bf16":
        numbers = [bf16_value(x) for x in numbers]
    kept = [
        0 * x if relu and x < 0 and math.isfinite(x) else (0.0 if relu and x < 0 else x)
        for x in values.tolist()
    ]
    _same(numbers, kept if kind in ("f32", "s32") else [to_float(x, kind, "r") for x in kept])


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("dtype", ["f322s8", "f322u8", "s322f16", "s322s8", "s322u8"])
def test_quantisation(dtype: str, vector: bool, relu: int) -> None:
    """Scalar and per-column parameters: factor, shift, offset, sign, clamps, ties."""
    source, to = dtype[:3], dtype[4:]
    count = 224
    values = _accumulators(source, count)
    signed = to == "s8"
    scales = [1.0, 0.5, -0.25, 0.0073, 3.1415926, 1e-5, 60000.0]
    words = [
        parameter(
            scales[i % 7],
            shift=i % 17 if source == "s32" and i % 3 else 0,
            offset=(i * 37) % 512,
            signed=signed,
        )
        for i in range(count)
    ]
    if vector:
        out = _fixpipe(
            values,
            dtype,
            f"nz2nd=1, relu={relu}, quant=vector",
            count * 2,
            m=1,
            table=np.array(words, np.uint64),
        )
        used = words
        results = [(used, out)]
    else:
        results = []
        for word in words[:9]:
            text = f"mov r9, {word}\nset_quant_pre r9"
            out = _fixpipe(values, dtype, f"nz2nd=1, relu={relu}", count * 2, m=1, before=text)
            results.append(([word] * count, out))
    got_type = {"f16": np.float16, "s8": np.int8, "u8": np.uint8}[to]
    for used, out in results:
        got = out[: count * np.dtype(got_type).itemsize].view(got_type).tolist()
        want = [quantised(x, word, to, bool(relu)) for x, word in zip(values.tolist(), used, strict=True)]
        _same(got, want)


@pytest.mark.parametrize(
    ("dtype", "c0", "split"), [("f32", 16, 0), ("f32", 8, 1), ("f322f16", 16, 0), ("f322s8", 32, 0)]
)
def test_fractal_results(dtype: str, c0: int, split: int) -> None:
    """Without nz2nd columns of C0 go dst_stride blocks apart; element by element."""
    m, n = 21, 64
    values = np.arange(n, dtype=np.float32)
    size = {"f32": 4, "f322f16": 2, "f322s8": 1}[dtype]
    pitch = m * c0 * size // 32 + 3
    total = (n // c0 - 1) * pitch * 32 + m * c0 * size
    before = f"mov r9, {parameter(1.0, signed=True)}\nset_quant_pre r9"
    out = _fixpipe(values, dtype, f"split={split}", total, m=m, stride=pitch, before=before)
    kind = {4: np.float32, 2: np.float16, 1: np.int8}[size]
    for j in range(n):
        for i in range(m):
            at = j // c0 * pitch * 32 + (i * c0 + j % c0) * size
            assert out[at : at + size].view(kind)[0] == values[j]
    gap = out[m * c0 * size : pitch * 32]
    assert not gap.any()


def test_several_matrices() -> None:
    """nd_para: matrices are so many fractals of L0C and elements of the result apart."""
    m, n = 32, 32
    values = np.arange(n, dtype=np.float32)
    before = "set_nd_para nd_num=2, src_nd_stride=1, dst_nd_stride=1000"
    text_fields = "nz2nd=1"
    out = _fixpipe(values, "f32", text_fields, 8000, m=m, before=before, stride=40)
    got = out.view(np.float32)
    # Fractal 1 holds rows 16..31 of the first 16 columns; all rows are equal, so matrix 1 starts with column 0 too,
    # and its columns 16..31 are 32 rows further: fractal 3.
    np.testing.assert_array_equal(got[: 40 * 8].reshape(8, 40)[:, :n], np.broadcast_to(values, (8, n)))
    np.testing.assert_array_equal(got[1000 : 1000 + n], values)


@pytest.mark.parametrize("dtype", ["f322f16", "f322s8"])
def test_to_l1_and_back_out(dtype: str) -> None:
    m, n = 32, 64
    size = 2 if dtype == "f322f16" else 1
    values = np.arange(n, dtype=np.float32) - 20
    word = parameter(1.0, signed=True)
    c0 = 32 // size
    total = n * m * size
    body = f"""
mov r9, {word}
set_quant_pre r9
copy_matrix_cc_to_cbuf.{dtype} l1[0x10000], l0c[0], fb[0], {m * c0 * size // 32}, n={n}, m={m}, src_stride={m}
set_flag src=FIX, dst=MTE3, event=0
wait_flag src=FIX, dst=MTE3, event=0
copy_cbuf_to_gm gm[{OUT}], l1[0x10000], bursts=2, length={total // 64}, dst_gap=1
set_flag src=MTE3, dst=FIX, event=0
wait_flag src=MTE3, dst=FIX, event=0
"""
    # The last store of the program only shows that it goes on; it lies behind what is looked at.
    out = _fixpipe(values, "f32", "nz2nd=1", total + 32, m=m, before=body, at=OUT + 0x10000)
    kind = np.float16 if size == 2 else np.int8
    both = np.concatenate([out[: total // 2], out[total // 2 + 32 : total + 32]]).view(kind)
    grid = both.reshape(n // c0, m, c0)
    for j in range(n):
        assert (grid[j // c0, :, j % c0] == kind(values[j])).all()


@pytest.mark.parametrize(
    ("line", "operand", "rule"),
    [
        ("FIXPIPE.f32 gm[0], l0c[32], fb[0], 16, n=16, m=16, src_stride=16, nz2nd=1", "src", "64-byte"),
        ("FIXPIPE.f32 gm[0], l0c[0], fb[0], 16, n=17, m=16, src_stride=16", "n", "multiple of 16"),
        ("FIXPIPE.f32 gm[0], l0c[0], fb[0], 32, n=17, m=16, src_stride=8, nz2nd=1", "src_stride", "multiple of 16"),
        ("FIXPIPE.f32 gm[0], l0c[0], fb[0], 8, n=16, m=16, src_stride=16, nz2nd=1", "dst_stride", "overlap below 16"),
        ("FIXPIPE.f32 gm[0], l0c[0], fb[0], 8, n=16, m=8193, src_stride=16, nz2nd=1", "src", "outside l0c"),
        ("FIXPIPE.s32 gm[0], l0c[0], fb[0], 32, n=16, m=16, src_stride=16, split=1", "split", "only f32"),
        ("FIXPIPE.f322s8 gm[0], l0c[0], fb[0], 32, n=32, m=16, src_stride=16, nz2nd=1", "quant", "bit 46"),
        ("FIXPIPE.f322u8 gm[0], l0c[0], fb[64], 32, n=32, m=16, src_stride=16, nz2nd=1, quant=vector", "table", "128-byte"),
        ("FIXPIPE.f322f16 gm[0], l0c[0], fb[0], 32, n=32, m=16, src_stride=16, nz2nd=1, quant=vector", "quant", "no parameters"),
        ("copy_cbuf_to_bt.f32 bt[32], l1[0], length=1", "dst", "64-byte"),
        ("copy_cbuf_to_bt.f32 bt[0], l1[0], length=17", "dst", "outside bt (0x400 bytes)"),
        ("copy_cbuf_to_bt.f162f32 bt[0], l1[0], length=9", "dst", "outside bt"),
        ("copy_cbuf_to_fbuf fb[0], l1[0], length=57", "dst", "outside fb (0x1c00 bytes)"),
        ("mad_bias.f32f16f16 l0c[0], l0a[0], l0b[0], bt[64], m=16, k=16, n=256", "bias", "outside bt"),
        ("ND2NZ.f16 l1[0], gm[0], nd_num=1, n_value=4, d_value=64, src_d=64, dst_c0_stride=1", "dst_c0_stride", "overlap"),
        ("ND2NZ.f16 l1[16], gm[0], nd_num=1, n_value=4, d_value=16, src_d=64, dst_c0_stride=4", "dst", "32-byte"),
        ("load2d_transpose.f16 l0a[0], l1[0], repeat=2, decrement=1", "base", "backwards"),
        ("load2d_transpose.f32 l0a[0], l1[0], repeat=2", "dst_gap", "overlap in L0"),
    ],
)  # fmt: skip
def test_faults(line: str, operand: str, rule: str) -> None:
    line = line.replace("FIXPIPE", "copy_matrix_cc_to_gm").replace("ND2NZ", "copy_gm_to_cbuf_multi_nd2nz")
    with pytest.raises(SimulatorFault) as info:
        run(f".kernel args=0 core=aic\n{line}\nend", {}, 4, check=False)
    assert info.value.operand == operand and rule in info.value.rule, str(info.value)
    assert "kernel test, block 0, at 0000" in str(info.value)


@pytest.mark.parametrize(("kind", "size"), [("f32", 4), ("bf16", 2), ("u8", 1)])
def test_nd2nz(kind: str, size: int) -> None:
    """Two matrices, gaps everywhere; tails are zeros, other bytes of L1 stay."""
    count, rows, columns, pitch, apart = 2, 5, 19, 23, 200
    c0 = 32 // size
    c1 = -(-columns // c0)
    n_stride, c0_stride, nd_stride = 2, 2 * rows + 3, (2 * rows + 3) * c1 * c0
    source = RNG.integers(1, 255, 512 * size).astype(np.uint8)
    length = (nd_stride * size * 2) // 32
    shape = f"nd_num={count}, n_value={rows}, d_value={columns}, src_nd_stride={apart}, src_d={pitch}, "
    shape += f"dst_c0_stride={c0_stride}, dst_n_stride={n_stride}, dst_nd_stride={nd_stride}"
    text = f"""
.kernel args=0 core=aic
set_l1_2d.f16 l1[0], 0x7777, repeat=1, blocks={length}
pipe_barrier pipe=MTE2
copy_gm_to_cbuf_multi_nd2nz.{kind} l1[0], gm[0], {shape}
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_cbuf_to_gm gm[{OUT}], l1[0], bursts=1, length={length}
end
"""
    got = run(text, {0: source}, length * 32)
    want = np.full(length * 32, 0x77, np.uint8)
    for i in range(count):
        for row in range(rows):
            for d in range(c1 * c0):
                at = i * nd_stride * size + (row * n_stride + d // c0 * c0_stride) * 32 + d % c0 * size
                place = (i * apart + row * pitch + d) * size
                want[at : at + size] = source[place : place + size] if d < columns else 0
    np.testing.assert_array_equal(got, want)


def _squares_of_b(kind: str, size: int, b: Array) -> tuple[Array, str, list[str]]:
    """(what lies in device memory, its way into L1, the loads that turn its squares into L0B).

    L0B wants [K1][N1] fractals of n rows and k0 columns of k, so a square of k rows and n columns, turned.
    """
    k, n = b.shape
    if size == 4:  # a square is two fractals side by side, which nd2nz does not put there
        squares = b.reshape(k // 16, 16, n // 16, 2, 8).transpose(0, 2, 3, 1, 4)
        copy = f"copy_gm_to_cbuf l1[0x20000], gm[0x40000], bursts=1, length={b.nbytes // 32}"
        loads = [
            f"load2d_transpose.f32 l0b[{2 * i * (n // 16) * 512}], l1[0x20000], base={i * (n // 16)}, "
            f"repeat={n // 16}, frac_gap={n // 16 - 1}"
            for i in range(k // 16)
        ]
        return np.ascontiguousarray(squares), copy, loads
    side = 32 // size  # also k0
    copy = (
        f"copy_gm_to_cbuf_multi_nd2nz.{kind} l1[0x20000], gm[0x40000], nd_num=1, n_value={k}, d_value={n}, "
    )
    copy += f"src_d={n}, dst_c0_stride={k}"
    loads = [  # square (i, j) lies at j·k/side + i
        f"load2d_transpose.{kind} l0b[{i * (n // 16) * 512}], l1[0x20000], base={i}, repeat={n // side}, "
        f"src_stride={k // side}, dst_gap={side // 16 - 1}"
        for i in range(k // side)
    ]
    return b, copy, loads


@pytest.mark.parametrize(
    ("kind", "mad", "size"),
    [("f16", "mad.f32f16f16", 2), ("f32", "mad.f32f32f32", 4), ("s8", "mad.s32s8s8", 1)],
)
def test_transposed_squares(kind: str, mad: str, size: int) -> None:
    """B of a product given as rows of k: its squares, turned, are what L0B wants."""
    m, k, n = 32, 64, 32
    dtype = {"f16": np.float16, "f32": np.float32, "s8": np.int8}[kind]
    a, b = (RNG.integers(-9, 9, shape).astype(dtype) for shape in ((m, k), (k, n)))
    stored, copy, loads = _squares_of_b(kind, size, b)
    k1, newline = k * size // 32, "\n"
    text = f"""
.kernel args=0 core=aic
copy_gm_to_cbuf_multi_nd2nz.{kind} l1[0], gm[0], nd_num=1, n_value={m}, d_value={k}, src_d={k}, dst_c0_stride={m}
{copy}
set_flag src=MTE2, dst=MTE1, event=0
wait_flag src=MTE2, dst=MTE1, event=0
loop r5, {m // 16}
  mul r6, r5, {k1 * 512}
  load2d.{kind} l0a[r6], l1[0], base=r5, repeat={k1}, src_stride={m // 16}
end_loop
{newline.join(loads)}
set_flag src=MTE1, dst=M, event=0
wait_flag src=MTE1, dst=M, event=0
{mad} l0c[0], l0a[0], l0b[0], m={m}, k={k}, n={n}, init=1
set_flag src=M, dst=FIX, event=0
wait_flag src=M, dst=FIX, event=0
copy_matrix_cc_to_gm.{mad[4:7]} gm[{OUT}], l0c[0], fb[0], {n}, n={n}, m={m}, src_stride={m}, nz2nd=1
end
"""
    out = run(text, {0: a, 0x40000: stored}, m * n * 4).view(np.int32 if kind == "s8" else np.float32)
    np.testing.assert_array_equal(out.reshape(m, n), a.astype(np.float64) @ b.astype(np.float64))


def test_the_fixpipe_accumulates() -> None:
    """A second store of the same accumulators adds to the first; a maximum leaves it alone."""
    values = _accumulators("f32", 32)
    values[~np.isfinite(values)] = 1.0
    again = f"copy_matrix_cc_to_gm.f322f16 gm[{OUT}], l0c[0], fb[0], 32, n=32, m=16, src_stride=16, nz2nd=1\npipe_barrier pipe=FIX\n"
    out = _fixpipe(
        values, "f322f16", "nz2nd=1", 64, m=1, before=again.replace("m=16", "m=1") + "set_atomic atomic=2"
    )
    once = [to_float(x, "f16", "r") for x in values.tolist()]
    _same(out.view(np.float16).tolist(), [to_float(x + x, "f16", "r") for x in once])
    out = _fixpipe(
        values, "f322f16", "nz2nd=1", 64, m=1, before=again.replace("m=16", "m=1") + "set_atomic atomic=8"
    )
    _same(out.view(np.float16).tolist(), once)
    out = _fixpipe(
        values,
        "f32",
        "",
        32 * 4 * 16,
        before=again.replace("f322f16", "f32").replace(", nz2nd=1", "") + "set_atomic atomic=1",
    )
    grid = out.view(np.float32).reshape(2, 16, 16)
    np.testing.assert_array_equal(grid[0, 5], (values + values)[:16])


@pytest.mark.parametrize("name", ["add_f32", "add_bf16", "max_s8", "min_f16", "add_s32", "add_s8"])
def test_atomic_stores(name: str) -> None:
    """The fixpipe and padded copies accumulate in device memory, by the type that set_atomic names."""
    from ascend_mlir.runtime.isa.table import ATOMIC_NAMES
    from ascend_mlir.runtime.sim.move import atomic_result

    operation, kind = name.split("_")
    dtype = {"f32": np.float32, "bf16": np.uint16, "s8": np.int8, "f16": np.float16, "s32": np.int32}[kind]
    old = RNG.integers(-100, 100, 64)
    new = RNG.integers(-100, 100, 64)
    if kind == "bf16":
        held, added = (single_to_bf16(x.astype(np.float32) / 3) for x in (old, new))
    else:
        held, added = old.astype(dtype), new.astype(dtype)
    raw = "u16" if kind == "bf16" else kind
    size = held.nbytes
    text = f"""
.kernel args=0 core=aiv
copy_gm_to_ubuf_align.{raw} ub[0], gm[0], {size}, 0, 0, bursts=1
copy_gm_to_ubuf_align.{raw} ub[0x1000], gm[0x1000], {size}, 0, 0, bursts=1
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_ubuf_to_gm_align.{raw} gm[{OUT}], ub[0], {size}, 0, 0, bursts=1
pipe_barrier pipe=MTE3
set_atomic atomic={ATOMIC_NAMES.index(name)}
copy_ubuf_to_gm_align.{raw} gm[{OUT}], ub[0x1000], {size}, 0, 0, bursts=1
end
"""
    got = run(text, {0: held, 0x1000: added}, size).view(dtype)
    want: list[Any] = []
    for x, y in zip(held.tolist(), added.tolist(), strict=True):
        pair = [bf16_value(x), bf16_value(y)] if kind == "bf16" else [x, y]
        total = {"add": sum, "max": max, "min": min}[operation](pair)
        want.append(
            (total + 128) % 256 - 128
            if kind == "s8"
            else to_float(total, "bf16", "r")
            if kind == "bf16"
            else total
        )
    numbers = [bf16_value(x) for x in got.tolist()] if kind == "bf16" else got.tolist()
    _same(numbers, want)
    assert atomic_result("max", "s8", np.int8([3]), np.int8([-3])).tolist() == [3]


def _cube(lines: str, memory: dict[int, Array], m: int, n: int) -> Array:
    """Loads A and B by `lines`, multiplies halves of k = 32 and returns the fp32 product."""
    text = f"""
.kernel args=0 core=aic
{lines}
set_flag src=MTE1, dst=M, event=0
wait_flag src=MTE1, dst=M, event=0
mad.f32f16f16 l0c[0], l0a[0], l0b[0], m={m}, k=32, n={n}, init=1
set_flag src=M, dst=FIX, event=0
wait_flag src=M, dst=FIX, event=0
copy_matrix_cc_to_gm.f32 gm[{OUT}], l0c[0], fb[0], {n}, n={n}, m={m}, src_stride={-(-m // 16) * 16}, nz2nd=1
end
"""
    return run(text, memory, m * n * 4).view(np.float32).reshape(m, n)


def test_vector_times_matrix() -> None:
    """m = 1: A is a plain vector of k halves in L0A."""
    a = RNG.integers(-9, 9, 32).astype(np.float16)
    b = RNG.integers(-9, 9, (16, 32)).astype(np.float16)
    lines = """
copy_gm_to_cbuf l1[0], gm[0], bursts=1, length=16
copy_gm_to_cbuf_multi_nd2nz.f16 l1[0x1000], gm[0x4000], nd_num=1, n_value=16, d_value=32, src_d=32, dst_c0_stride=16
set_flag src=MTE2, dst=MTE1, event=0
wait_flag src=MTE2, dst=MTE1, event=0
load2d.f16 l0a[0], l1[0], repeat=1
load2d.f16 l0b[0], l1[0x1000], repeat=2
"""
    np.testing.assert_array_equal(
        _cube(lines, {0: a, 0x4000: b}, 1, 16)[0], b.astype(np.float32) @ a.astype(np.float32)
    )


def test_fractals_from_device_memory() -> None:
    """load2d_gm to L0A, backwards; L0B filled with ones by set_2d."""
    a = RNG.integers(-9, 9, (2, 16, 16)).astype(np.float16)
    lines = """
load2d_gm.f16 l0a[0], gm[0], base=1, repeat=2, decrement=1
set_2d.f16 l0b[0], 0x3c00, repeat=2
set_flag src=MTE2, dst=M, event=1
wait_flag src=MTE2, dst=M, event=1
"""
    want = a.astype(np.float32).sum(axis=(0, 2))
    np.testing.assert_array_equal(_cube(lines, {0: a}, 16, 16), np.broadcast_to(want[:, None], (16, 16)))


def test_img2col() -> None:
    """load3d of a 6 × 5 map of 16 channels, two taps of a 1 × 2 filter, one pixel of padding on the left."""
    height, width, pad = 6, 5, 1.5
    image = RNG.integers(-9, 9, (height, width, 16)).astype(np.float16)
    b = RNG.integers(-9, 9, (16, 32)).astype(np.float16)
    lines = f"""
copy_gm_to_cbuf l1[0], gm[0], bursts=1, length={height * width}
copy_gm_to_cbuf_multi_nd2nz.f16 l1[0x1000], gm[0x4000], nd_num=1, n_value=16, d_value=32, src_d=32, dst_c0_stride=16
set_flag src=MTE2, dst=MTE1, event=0
wait_flag src=MTE2, dst=MTE1, event=0
set_fmatrix fm_width={width}, fm_height={height}, pad_left=1, pad_right=0, pad_top=0, pad_bottom=0
set_padding pad_value={int(np.float16(pad).view(np.uint16))}
load3d.f16 l0a[0], l1[0], m_extent={height * width}, k_extent=32, filter_w=2, channels=16
load2d.f16 l0b[0], l1[0x1000], repeat=2
"""
    padded = np.concatenate([np.full((height, 1, 16), pad), image.astype(np.float64)], axis=1)
    patches = np.concatenate([padded[:, :width], padded[:, 1:]], axis=2).reshape(height * width, 32)
    np.testing.assert_array_equal(
        _cube(lines, {0: image, 0x4000: b}, height * width, 16), patches @ b.astype(np.float64).T
    )


@pytest.mark.parametrize(("kind", "value"), [("f16", 0x7E01), ("u32", 0xDEADBEEF)])
def test_fill_of_l1(kind: str, value: int) -> None:
    size = 2 if kind == "f16" else 4
    text = f"""
.kernel args=0 core=aic
set_l1_2d.f16 l1[0], 0, repeat=1, blocks=12
pipe_barrier pipe=MTE2
set_l1_2d.{kind} l1[32], {value}, repeat=3, blocks=2, dst_gap=1
set_flag src=MTE2, dst=MTE3, event=0
wait_flag src=MTE2, dst=MTE3, event=0
copy_cbuf_to_gm gm[{OUT}], l1[0], bursts=1, length=12
end
"""
    got = run(text, {}, 384)
    want = np.zeros(384, np.uint8)
    for repeat in range(3):
        at = 32 + repeat * 96
        want[at : at + 64] = np.frombuffer(value.to_bytes(size, "little") * (64 // size), np.uint8)
    np.testing.assert_array_equal(got, want)


def test_bits_of_a_half_that_is_no_number_survive() -> None:
    """bf16 loaded as halves: patterns that are nan as halves are numbers as bf16."""
    a = np.full((16, 32), 0x7E81, np.uint16)  # nan of a half, 8.57e37 as bf16
    b = np.full((16, 32), 0x0180, np.uint16)  # 4.7e-38
    text = matmul("mad.f32bf16bf16", "f16", 16, 32, 16, f"copy_matrix_cc_to_gm.f32 gm[{OUT}], l0c[0], fb[0], 16, "
                  "n=16, m=16, src_stride=16, nz2nd=1")  # fmt: skip
    out = run(text, {0: a, 0x40000: b}, 1024).view(np.float32)
    assert out[0] == single(32 * Fraction(bf16_value(0x7E81)) * Fraction(bf16_value(0x0180)))
