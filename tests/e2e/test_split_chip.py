"""Programs for Ascend910B1 from the assembler to numbers: products, odd bytes, a mixed kernel, a model of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.om.model import Address, OmKernel, OmModel, OmTask, OmTensor
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.runtime.sim.floats import bf16_to_single, single_to_bf16, to_hf32
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.sim.timing import time_task
from split_programs import B1, OUT, matmul, product_and_epilogue, run
from split_scalars import parameter

RNG = np.random.default_rng(910)
M, K, N = 100, 72, 88


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize(
    ("mad", "operand", "store"),
    [
        ("mad.f32f16f16", "f16", "f322f16"),
        ("mad.f32bf16bf16", "bf16", "f322bf16"),
        ("mad.h322f32", "f32", "f32"),
        ("mad.f32f32f32", "f32", "f32"),
    ],
)
def test_product(mad: str, operand: str, store: str, relu: int) -> None:
    """nd2nz, mad, fixpipe with ReLU and NZ→ND against numpy, sizes no multiple of 16 in m."""
    raw = [RNG.standard_normal(shape).astype(np.float32) for shape in ((M, K), (N, K))]
    match operand:
        case "f16":
            held: list[Any] = [x.astype(np.float16) for x in raw]
            numbers = [x.astype(np.float64) for x in held]
        case "bf16":
            held = [single_to_bf16(x) for x in raw]
            numbers = [bf16_to_single(x).astype(np.float64) for x in held]
        case _:
            held = raw
            numbers = [(to_hf32(x) if mad == "mad.h322f32" else x).astype(np.float64) for x in raw]
    size = 4 if store == "f32" else 2
    line = f"copy_matrix_cc_to_gm.{store} gm[{OUT}], l0c[0], fb[0], {N}, n={N}, m={M}, src_stride=112, nz2nd=1, relu={relu}"
    out = run(matmul(mad, operand, M, K, N, line), {0: held[0], 0x40000: held[1]}, M * N * size)
    want = (numbers[0] @ numbers[1].T).astype(np.float32)
    want = np.maximum(want, 0) if relu else want
    match store:
        case "f322f16":
            np.testing.assert_array_equal(out.view(np.float16).reshape(M, N), want.astype(np.float16))
        case "f322bf16":
            np.testing.assert_array_equal(out.view(np.uint16).reshape(M, N), single_to_bf16(want))
        case _:  # sums in another order than numpy's
            np.testing.assert_allclose(out.view(np.float32).reshape(M, N), want, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("vector", [False, True])
def test_quantised_product(vector: bool) -> None:
    """s8 · s8 → s32 → s8, with one scale or one per column from the fixpipe buffer."""
    a = RNG.integers(-128, 128, (M, 64)).astype(np.int8)
    b = RNG.integers(-128, 128, (96, 64)).astype(np.int8)
    scales = (RNG.random(96) / 300 + 1e-4).astype(np.float32)
    words = np.array([parameter(float(s), offset=3, signed=True) for s in scales], np.uint64)
    n = 96
    line = f"copy_matrix_cc_to_gm.s322s8 gm[{OUT}], l0c[0], fb[0], {n}, n={n}, m={M}, src_stride=112, nz2nd=1, relu=1"
    if vector:
        more = "copy_gm_to_cbuf l1[0x40000], gm[0x60000], bursts=1, length=24\nset_flag src=MTE2, dst=FIX, event=0"
        line = (
            "wait_flag src=MTE2, dst=FIX, event=0\ncopy_cbuf_to_fbuf fb[0], l1[0x40000], length=6\n"
            f"pipe_barrier pipe=FIX\n{line}, quant=vector"
        )
    else:
        more = ""
        line = f"mov r20, {int(words[0])}\nset_quant_pre r20\n{line}"
    text = matmul("mad.s32s8s8", "s8", M, 64, n, line, more=more)
    out = run(text, {0: a, 0x40000: b, 0x60000: words}, M * n).view(np.int8).reshape(M, n)
    used = (words if vector else np.full(n, words[0])) & np.uint64(0xFFFFE000)
    factor = used.astype(np.uint32).view(np.float32)
    product = (a.astype(np.int64) @ b.astype(np.int64).T).astype(np.float32) * factor
    want = np.clip(np.rint(np.clip(np.maximum(product, 0), -256, 255)) + 3, -128, 127)
    np.testing.assert_array_equal(out, want.astype(np.int8))


ADD = """
.kernel args=3 core=aiv
arg r0, number=0
arg r1, number=1
arg r2, number=2
block_idx r3
mul r4, r3, 514
copy_gm_to_ubuf_align.f16 ub[0], gm[r0+r4], 514, 0, 0, bursts=1
copy_gm_to_ubuf_align.f16 ub[0x1000], gm[r1+r4], 514, 0, 0, bursts=1
set_flag src=MTE2, dst=V, event=0
wait_flag src=MTE2, dst=V, event=0
set_mask_count 257
vadd.f16 ub[0x2000], ub[0], ub[0x1000], repeat=0
set_flag src=V, dst=MTE3, event=0
wait_flag src=V, dst=MTE3, event=0
copy_ubuf_to_gm_align.f16 gm[r2+r4], ub[0x2000], 514, 0, 0, bursts=1
end
"""


def test_odd_vectors() -> None:
    """257 halves per block: neither a multiple of 32 bytes nor aligned in device memory, nothing else is written."""
    from ascend_mlir.runtime.sim.device import run_kernel

    blocks = 5
    x, y = (RNG.standard_normal(257 * blocks).astype(np.float16) for _ in range(2))
    gm = np.full(1 << 14, 0xAB, np.uint8)
    gm[:2570], gm[4096 : 4096 + 2570] = x.view(np.uint8), y.view(np.uint8)
    image = assemble(ADD)
    args = (0, 4096, 8193 + 14)
    run_kernel(B1, image, gm, args, blocks)
    at = args[2]
    np.testing.assert_array_equal(gm[at : at + 2570].copy().view(np.float16), (x + y).astype(np.float16))
    assert (gm[at + 2570 :] == 0xAB).all() and (gm[8192:at] == 0xAB).all()
    assert check_task(B1, load_program(image), args, blocks) == []
    assert time_task(B1, load_program(image), args, blocks).cycles > 300


def test_a_mixed_model() -> None:
    """An offline model of a mixed and a vector kernel: written, read, checked, run in order and out of order, timed."""
    m, k, n, blocks = 64, 48, 80, 3
    a = RNG.standard_normal((blocks * m, k)).astype(np.float16)
    b = RNG.standard_normal((n, k)).astype(np.float16)
    y = RNG.standard_normal((blocks * m, n)).astype(np.float16)
    place = {"a": 0, "b": 0x8000, "y": 0x10000, "c": 0x20000, "d": 0x30000, "out": 0x40000}
    size = blocks * m * n * 2
    whole = (size // 514) * 514  # the vector kernel takes 514 bytes per block
    model = OmModel(
        "mixed",
        "Ascend910B1",
        tuple(
            OmTensor(name, "f16", array.shape, array.nbytes, place[name])
            for name, array in (("a", a), ("b", b), ("y", y))
        ),
        (OmTensor("out", "f16", (whole // 2,), whole, place["out"]),),
        0x60000,
        (),
        (OmKernel("product", assemble(product_and_epilogue(m, k, n))), OmKernel("add", assemble(ADD))),
        (
            OmTask(
                "product", blocks, tuple(Address("feature_map", place[name]) for name in ("a", "b", "c", "d"))
            ),
            OmTask(
                "add", whole // 514, tuple(Address("feature_map", place[name]) for name in ("d", "y", "out"))
            ),
        ),
    )
    loaded = read_om(om_bytes(model))
    feed = {"a": a, "b": b, "y": y}
    session = InferenceSession(loaded, sanitize=True)
    (out,) = session.run(None, feed)
    product = np.maximum((a.astype(np.float64) @ b.astype(np.float64).T).astype(np.float32), 0).astype(
        np.float16
    )
    scaled = (product.astype(np.float32) * np.float32(0.5)).astype(np.float16)
    epilogue = (scaled.astype(np.float32) + np.float32(1)).astype(np.float16)
    want = (epilogue.astype(np.float32) + y.astype(np.float32)).astype(np.float16).reshape(-1)[: whole // 2]
    np.testing.assert_array_equal(out, want)
    for seed in range(3):
        np.testing.assert_array_equal(InferenceSession(loaded, order_seed=seed).run(None, feed)[0], want)
    report = session.report
    assert report.cycles == InferenceSession(loaded).report.cycles
    assert report.tasks[0].timing is not None and len(report.tasks[0].timing.blocks) == 3 * blocks
    assert all(0 < task.bound(B1)[1] <= 1 for task in report.tasks)
