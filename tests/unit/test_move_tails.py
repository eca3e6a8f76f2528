"""Loading and storing rows of every width: bytes, ownership and definedness, checked on the plain kernel
IR.
"""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.lowering import tails
from ascend_mlir.lowering.kernel_builder import KernelBuilder
from ascend_mlir.runtime.soc import load_soc
from move_interpreter import run

SOC = load_soc("Ascend310P3")


def _copy_kernel(
    row_bytes: int, rows: int, gm_pitch: int, lanes: int, blocks: int, tile: int
) -> KernelBuilder:
    """Each block copies a share of the rows, tile by tile; the destination is dense."""
    kb = KernelBuilder("copy", SOC, 2, blocks)
    x, y = kb.args
    period = tails.row_period(row_bytes, lanes)
    first, granules = kb.partition(tails.ceil_div(rows, period))
    first = kb.mul(first, period)
    last = kb.min(kb.add(first, kb.mul(granules, period)), rows)
    held = (
        tails.ceil_div(tile, tails.pack_unit(lanes)) * tails.pack_unit(lanes)
        if tails.is_packed(row_bytes, lanes)
        else tile
    )
    held = tails.ceil_div(held, lanes) * lanes
    width = tails.ceil_div(row_bytes, 32)
    with kb.loop(kb.ceil_div(kb.sub(last, first), tile)) as i:
        start = kb.add(first, kb.mul(i, tile))
        count = kb.min(tile, kb.sub(last, start))
        buffer = kb.alloc("ub", held * width * 32)
        source = tails.load_rows(
            kb,
            buffer,
            x + kb.linear(0, (start, gm_pitch)),
            count,
            blocks=width,
            gm_pitch=gm_pitch,
            max_rows=held,
            lanes=lanes,
        )
        tails.store_rows(
            kb, y + kb.linear(0, (start, row_bytes)), source, count, tile, row_bytes=row_bytes, lanes=lanes
        )
    return kb


@pytest.mark.parametrize("width", range(1, 131))
def test_fp16_rows_of_every_width(width: int) -> None:
    rng = np.random.default_rng(width)
    rows = 300
    x = rng.integers(0, 65536, (rows, width)).astype(np.uint16)
    for pitch in (width, width + 5):
        padded = np.zeros((rows, pitch), np.uint16)
        padded[:, :width] = x
        kb = _copy_kernel(2 * width, rows, 2 * pitch, 16, 3, 64)
        (y,), _ = run(kb.kernel, [padded], [x.nbytes])
        assert np.array_equal(y.view(np.uint16).reshape(x.shape), x)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 16, 31, 32, 33, 64, 97, 127, 130, 200])
def test_byte_rows(width: int) -> None:
    rng = np.random.default_rng(width)
    rows = 1500
    x = rng.integers(0, 256, (rows, width)).astype(np.uint8)
    kb = _copy_kernel(width, rows, width, 32, 2, 64 if width > 64 else 1024)
    (y,), _ = run(kb.kernel, [x], [x.nbytes], 1 << 20)
    assert np.array_equal(y.reshape(x.shape), x)


@pytest.mark.parametrize("width", [16, 17, 23, 32, 50, 77, 128, 130])
@pytest.mark.parametrize("pitch", [130, 131, 144])
def test_separate_rows_keep_what_is_between(width: int, pitch: int) -> None:
    rows = 40
    x = np.arange(rows * width, dtype=np.uint16).reshape(rows, width)
    kb = KernelBuilder("columns", SOC, 2, 1)
    a, y = kb.args
    blocks = tails.ceil_div(width, 16)
    fill = kb.alloc("ub", 12032)
    kb.op("vector_dup", "u16", fill, value=7, repeat=47)
    tails.dma(kb, "copy_ubuf_to_gm", y, fill, 1, tails.ceil_div(rows * pitch * 2, 32))
    buffer = kb.alloc("ub", 48 * blocks * 32)
    source = tails.load_rows(kb, buffer, a, rows, blocks=blocks, gm_pitch=2 * width, max_rows=48, lanes=16)
    tails.store_separate_rows(kb, y, source, rows, rows, row_bytes=2 * width, gm_pitch=2 * pitch, lanes=16)
    (out,), _ = run(kb.kernel, [x], [rows * pitch * 2])
    expected = np.full((rows, pitch), 7, np.uint16)
    expected[:, :width] = x
    assert np.array_equal(out.view(np.uint16).reshape(rows, pitch), expected)
