"""Scalar unit, control flow, scalar memory access, DMA bursts and atomic stores on the simulator."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from ascend_mlir.runtime.isa.assembler import assemble
from ascend_mlir.runtime.isa.encode import encode_image
from ascend_mlir.runtime.isa.record import AddressOperand, Operand, Record, Reg
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.fault import SimulatorFault
from ascend_mlir.runtime.soc import load_soc
from hypothesis import given, settings
from hypothesis import strategies as st

SOC = load_soc("Ascend310P3")


def words(text: str, args: tuple[int, ...] = (), blocks: int = 1, size: int = 64) -> list[int]:
    """GM as 64-bit words after running `text`."""
    gm = np.zeros(size, np.int64)
    run_kernel(SOC, assemble(f".kernel args={len(args)}\n{text}\nend\n"), gm, args, blocks)
    return gm.tolist()


def signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


ALU: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a // b if b else 0,
    "rem": lambda a, b: a - b * (a // b) if b else 0,
    "min": min,
    "max": max,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << (b & 63),
    "shr": lambda a, b: a >> (b & 63),
    "lt": lambda a, b: int(a < b),
    "eq": lambda a, b: int(a == b),
}
EDGES = st.sampled_from([0, 1, -1, 2, 63, 64, (1 << 63) - 1, -(1 << 63), 1 << 40])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(ALU)), EDGES | st.integers(-(1 << 63), (1 << 63) - 1), EDGES | st.integers(-9, 9)
)
def test_scalar_arithmetic(name: str, a: int, b: int) -> None:
    text = (
        f"mov r1, {a}\nmov r2, {b}\n{name} r3, r1, r2\nstore_scalar gm[0], r3, bytes=8\n{name} r4, r1, {b}\n"
    )
    text += f"{name} r5, {a}, r2\nstore_scalar gm[8], r4, bytes=8\nstore_scalar gm[16], r5, bytes=8"
    expected = signed(ALU[name](a, b))
    assert words(text)[:3] == [expected] * 3


def test_loops_branches_and_breaks() -> None:
    text = """
    mov r9, 0
    loop r1, 10
      loop r2, r1
        if r2
          add r9, r9, 1
        else
          add r9, r9, 100
        end_if
      end_loop
      eq r3, r1, 7
      break_if r3
      add r8, r8, 1
    end_loop
    loop r4, -3
      add r9, r9, 1000000
    end_loop
    store_scalar gm[0], r9, bytes=8
    store_scalar gm[8], r8, bytes=8
    store_scalar gm[16], r1, bytes=8
    """
    assert words(text)[:3] == [700 + sum(range(7)), 7, 7]


@pytest.mark.parametrize(
    ("trip", "start", "step"),
    [(3, 7, -5), (0, 9, 2), (-2, 9, 2), (4, 11, 0), (2, (1 << 63) - 2, 3), (3, -(1 << 63), -1), (1, (1 << 63) - 1, 1)],
)  # fmt: skip
def test_index_of_a_loop_starts_and_steps(trip: int, start: int, step: int) -> None:
    """Immediates and registers, wrapping at 64 bits; the sum of iteration · index shows every value in order."""
    total, last, number = 0, 5, 0
    for number in range(max(0, trip)):
        last = signed(start + number * step)
        total = signed(total + signed((number + 1) * last))
    for operands in (f"{trip}, {start}, {step}", "r4, r5, r6"):
        text = f"""
        mov r4, {trip}
        mov r5, {start}
        mov r6, {step}
        mov r1, 5
        mov r2, 0
        loop r1, {operands}
          mov r5, 77
          mov r6, 78
          add r2, r2, 1
          mul r7, r2, r1
          add r3, r3, r7
        end_loop
        store_scalar gm[0], r1, bytes=8
        store_scalar gm[8], r3, bytes=8
        """
        assert words(text)[:2] == [last, total]


def test_arguments_blocks_and_scalar_memory() -> None:
    text = """
    arg r1, number=0
    arg r2, number=1
    block_idx r3
    block_num r4
    mul r5, r3, 32
    store_scalar ub[0], r2, bytes=4
    load_scalar r6, ub[2], bytes=2
    load_scalar r7, ub[0], bytes=1
    store_scalar gm[r1+r5], r3, bytes=8
    store_scalar gm[0x8+r1+r5], r4, bytes=8
    store_scalar gm[0x10+r1+r5], r6, bytes=8
    store_scalar gm[0x18+r1+r5], r7, bytes=8
    """
    got = words(text, (64, 0x8001_0080), blocks=3)
    for block in range(3):
        assert got[8 + 4 * block : 12 + 4 * block] == [block, 3, -0x7FFF, -0x80]


def copy(name: str, dst: str, src: str, at: tuple[int, int], **fields: Operand) -> Record:
    return Record(name, "", [AddressOperand(dst, at[0]), AddressOperand(src, at[1])], (), fields)


PATHS = [
    ("copy_gm_to_ubuf", "ub", "copy_ubuf_to_gm"),
    ("copy_gm_to_cbuf", "l1", "copy_cbuf_to_ubuf"),
]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("l1", [False, True])
def test_bursts(seed: int, l1: bool) -> None:
    rng = random.Random(seed)
    bursts, length = rng.randint(1, 9), rng.randint(1, 5)
    gaps = [rng.randint(0, 3) for _ in range(2)]
    gm = np.random.default_rng(seed).integers(0, 256, 16384).astype(np.uint8)
    before = gm.copy()
    whole = {"bursts": 1, "length": 128}
    hop = {"bursts": bursts, "length": length, "src_gap": gaps[0], "dst_gap": gaps[1]}
    source = 7  # device memory needs no alignment
    if l1:
        records = [
            copy("copy_gm_to_cbuf", "l1", "gm", (0, 8192), **whole),
            copy("copy_gm_to_cbuf", "l1", "gm", (0, source), **hop),
            copy("copy_cbuf_to_ubuf", "ub", "l1", (0, 0), **whole),
            copy("copy_ubuf_to_cbuf", "l1", "ub", (32768, 0), **whole),
            copy("copy_cbuf_to_ubuf", "ub", "l1", (0, 32768), **whole),
        ]
    else:
        records = [
            copy("copy_gm_to_ubuf", "ub", "gm", (4096, 8192), **whole),
            copy("copy_ubuf_to_ubuf", "ub", "ub", (0, 4096), **whole),
            copy("copy_gm_to_ubuf", "ub", "gm", (0, source), **hop),
        ]
    records += [copy("copy_ubuf_to_gm", "gm", "ub", (12287, 0), bursts=1, length=128), Record("end")]
    run_kernel(SOC, encode_image(records, 0), gm, ())
    want = before.copy()
    piece = before[8192 : 8192 + 4096].copy()
    for i in range(bursts):
        start = source + i * (length + gaps[0]) * 32
        to = i * (length + gaps[1]) * 32
        piece[to : to + length * 32] = before[start : start + length * 32]
    want[12287 : 12287 + 4096] = piece
    np.testing.assert_array_equal(gm, want)


@pytest.mark.parametrize(("mode", "dtype"), [(1, np.float32), (2, np.float16), (3, np.int16)])
def test_atomic_store(mode: int, dtype: type[np.generic]) -> None:
    values = np.arange(64 // np.dtype(dtype).itemsize).astype(dtype)
    gm = np.concatenate([values, values]).view(np.uint8).copy()
    records = [
        copy("copy_gm_to_ubuf", "ub", "gm", (0, 0), bursts=1, length=2),
        Record("set_atomic", fields={"atomic": mode}),
        copy("copy_ubuf_to_gm", "gm", "ub", (64, 0), bursts=1, length=2),
        Record("set_atomic", fields={"atomic": 0}),
        copy("copy_ubuf_to_gm", "gm", "ub", (0, 0), bursts=0, length=2),
        Record("end"),
    ]
    image = encode_image(records, 0)
    run_kernel(SOC, image, gm, ())
    np.testing.assert_array_equal(gm.view(dtype), np.concatenate([values, values + values]))
    if mode != 1:
        with pytest.raises(SimulatorFault, match="cannot accumulate"):
            run_kernel(load_soc("Ascend310"), image, gm, ())


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("mov r1, 256\nvadd.f16 ub[0], ub[0], ub[0], repeat=r1", "repeat: 256 is outside 0..255"),
        ("mov r1, 8\nset_flag src=V, dst=MTE3, event=r1", "event: 8: Ascend310P3 has 8 ids"),
        ("set_flag src=V, dst=MTE3, event=8", "event 8: Ascend310P3 has 8 ids"),
        (
            "set_fmatrix fm_width=r1, fm_height=1, pad_left=0, pad_right=0, pad_top=0, pad_bottom=0",
            "fm_width: 0",
        ),
        ("set_mask_count -2", "count: -2"),
        ("mad.f32f16f16 l0c[512], l0a[0], l0b[0], m=16, k=16, n=16", "not 1024-byte aligned"),
        ("mad.f32f16f16 l0c[0], l0a[32], l0b[0], m=16, k=16, n=16", "not 512-byte aligned"),
        ("mad.f32f16f16 l0c[0], l0a[0], l0b[0], m=4095, k=4095, n=16", "outside l0"),
        ("load2d.f32 l0a[0], l1[0], repeat=1, transpose=1", "only 16-bit types"),
        ("load2d.f16 l0a[0], l1[0], repeat=3, decrement=1", "walks backwards"),
        ("load2d.f16 l0a[0], l1[0x100], repeat=1", "not 512-byte aligned"),
        ("load3d.f16 l0a[0], l1[0], m_extent=16, k_extent=20, channels=32", "multiple of C0"),
        ("load3d.f16 l0a[0], l1[0], m_extent=16, k_extent=32, channels=16", "beyond 16 columns"),
        ("load3d.s8 l0b[0], l1[0], m_extent=16, k_extent=32, channels=32", "only 16-bit types"),
        ("vgather.f16 ub[0], ub[0x100], ub[0x1000], repeat=1", "outside ub"),
        ("copy_gm_to_ubuf ub[16], gm[0], bursts=1, length=1", "not 32-byte aligned"),
        ("copy_gm_to_ubuf ub[0], gm[-1], bursts=1, length=1", "not inside one allocation"),
        ("store_scalar gm[0xfff9], 1, bytes=8", "not inside one allocation"),
    ],
)
def test_rules(text: str, rule: str) -> None:
    gm = np.full(65536, 255, np.uint8)
    if "vgather" in text:
        text = "copy_gm_to_ubuf ub[0x100], gm[0], bursts=1, length=16\nmov r1, 2\n" + text.replace(
            "vgather.f16", "vgather.u16"
        )
        gm[1023:] = 254
        gm[0:512:4] = 254
    with pytest.raises(SimulatorFault, match=rule):
        run_kernel(SOC, assemble(f".kernel args=0\n{text}\nend\n"), gm, ())


def test_state_is_captured_per_instruction() -> None:
    text = """
    set_vector_mask 0, 0xff
    vector_dup.f16 ub[0], 0x3c00, repeat=1
    set_vector_mask -1, -1
    vector_dup.f16 ub[0x100], 0x4000, repeat=1
    copy_ubuf_to_gm gm[0], ub[0], bursts=1, length=16
    """
    gm = np.zeros(512, np.uint8)
    run_kernel(SOC, assemble(f".kernel args=0\n{text}\nend\n"), gm, ())
    halves = gm.view(np.float16)
    assert (halves[:8] == 1).all() and (halves[8:128] == 0).all() and (halves[128:] == 2).all()


def test_registers_hold_event_ids_and_trip_counts() -> None:
    program = [
        Record("mov", scalars=[Reg(1), 3]),
        Record("loop", scalars=[Reg(2), Reg(1)]),
        Record("set_flag", fields={"src": 1, "dst": 5, "event": Reg(2)}),
        Record("wait_flag", fields={"src": 1, "dst": 5, "event": Reg(2)}),
        Record("end_loop"),
        Record("end"),
    ]
    run_kernel(SOC, encode_image(program, 0), bytearray(64), ())
    program[0] = Record(
        "mov", scalars=[Reg(1), SOC.core.event_ids + 1]
    )  # one turn too many for the chip's events
    with pytest.raises(SimulatorFault, match="event"):
        run_kernel(SOC, encode_image(program, 0), bytearray(64), ())
