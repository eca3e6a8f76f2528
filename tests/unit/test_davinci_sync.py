"""Sync insertion on random kernels, judged by vector clocks; and what the flags of known shapes must be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ascend_mlir.dialects.davinci import KernelOp
from ascend_mlir.lowering.davinci_to_code import kernel_records
from ascend_mlir.lowering.kernel_builder import KernelBuilder
from ascend_mlir.passes.davinci_pipeline import PIPELINE
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.isa.record import Record
from ascend_mlir.runtime.soc import Buffer, Soc, load_soc
from davinci_order import Judge
from davinci_programs import RandomKernel

SOC = load_soc("Ascend310P3")
ARGUMENTS = (0, 1 << 20, 1 << 21)


def chip(ids: int = 8, capacity: int = 1 << 20) -> Soc:
    """The default chip with other limits."""
    buffers = {name: Buffer(max(b.align, capacity), b.align) for name, b in SOC.core.buffers.items()}
    return replace(SOC, core=replace(SOC.core, buffers=buffers, event_ids=ids))


def lower(kernel: KernelOp, soc: Soc = SOC) -> list[Record]:
    for _, run in PIPELINE:
        run(kernel, soc)
    kernel.verify()
    return kernel_records(kernel)


def problems(records: list[Record]) -> list[str]:
    return [text for block in (0, 1) for text in Judge(ARGUMENTS, block, 2).run(records)]


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_kernels_are_ordered(first: int) -> None:
    for seed in range(first, first + 10):
        assert problems(lower(RandomKernel(seed, SOC, breaks=True).make())) == [], seed


@pytest.mark.parametrize("capacity", [24576, 16384, 10240])
def test_buffers_that_share_bytes_are_ordered(capacity: int) -> None:
    soc, done = chip(capacity=capacity), 0
    for seed in range(40):
        try:
            records = lower(RandomKernel(seed, SOC).make(), soc)
        except AscendError as error:
            assert error.code == "E40010"
            continue
        done += 1
        assert problems(records) == [], seed
    assert done > 3


@pytest.mark.parametrize("ids", [1, 2, 4])
def test_few_event_ids_are_enough(ids: int) -> None:
    reported = 0
    for seed in range(20):
        kernel = RandomKernel(seed, SOC).make()
        records = lower(kernel, chip(ids))
        reported += "sync_relaxed" in kernel.attributes
        events = [r.fields["event"] for r in records if r.mnemonic == "set_flag"]
        assert all(e < ids for e in events if isinstance(e, int))
        assert problems(records) == [], seed
    assert reported or ids == 4


def test_most_flags_are_needed() -> None:
    """One flag or barrier removed must be noticed, but for those that only other trip counts need."""
    noticed = total = 0
    for seed in range(4):
        records = lower(RandomKernel(seed, SOC).make())
        for i, record in enumerate(records):
            if record.mnemonic in ("set_flag", "wait_flag", "pipe_barrier"):
                total += 1
                noticed += bool(problems(records[:i] + records[i + 1 :]))
    assert noticed > 0.7 * total, (noticed, total)


# ----------------------------------------------------------------------------------- known shapes


def elementwise(depth: int) -> KernelOp:
    kb = KernelBuilder("relu", SOC, gm_args=2, blocks=8)
    x, y = kb.args
    with kb.loop(10) as i:
        tile = kb.alloc("ub", 4096, depth)
        place = kb.linear(0, (kb.block_idx, 40960), (i, 4096))
        kb.op("copy_gm_to_ubuf", "", tile, x + place, bursts=1, length=128)
        kb.op("vrelu", "f16", tile, tile, repeat=16)
        kb.op("copy_ubuf_to_gm", "", y + place, tile, bursts=1, length=128)
    return kb.kernel


def flags(records: list[Record], mnemonic: str) -> list[tuple[object, object]]:
    return [(r.fields["src"], r.fields["dst"]) for r in records if r.mnemonic == mnemonic]


V, MTE2, MTE3 = 1, 4, 5


def test_a_ring_needs_three_flags_per_tile() -> None:
    records = lower(elementwise(2))
    start = next(i for i, r in enumerate(records) if r.mnemonic == "loop")
    end = next(i for i, r in enumerate(records) if r.mnemonic == "end_loop")
    assert flags(records[start:end], "set_flag") == [(MTE2, V), (V, MTE3), (MTE3, MTE2)]
    assert flags(records[:start], "set_flag") == [(MTE3, MTE2)] * 2
    assert not any(r.mnemonic == "pipe_barrier" for r in records)
    assert problems(records) == []


def test_strided_stores_of_neighbouring_tiles_do_not_meet() -> None:
    """Tiles of rows of an NC1HWC0 plane: the hulls of the bursts overlap, the bursts do not."""
    kb = KernelBuilder("rows", SOC, gm_args=1, blocks=1)
    with kb.loop(7) as i:
        tile = kb.alloc("ub", 4096, 2)
        kb.op("vector_dup", "f16", tile, value=0, repeat=16)
        kb.op(
            "copy_ubuf_to_gm",
            "",
            kb.args[0] + kb.linear(0, (i, 1024)),
            tile,
            bursts=4,
            length=32,
            dst_gap=192,
        )
    assert not any(r.mnemonic == "pipe_barrier" for r in lower(kb.kernel))


def test_rows_that_overlap_get_a_barrier() -> None:
    """A row's surplus is overwritten by the next row's store."""
    kb = KernelBuilder("rows", SOC, gm_args=1, blocks=1)
    tile = kb.alloc("ub", 4096)
    kb.op("vector_dup", "f16", tile, value=0, repeat=16)
    with kb.loop(7) as i:
        kb.op("copy_ubuf_to_gm", "", kb.args[0] + kb.linear(0, (i, 450)), tile, bursts=1, length=15)
    assert sum(r.mnemonic == "pipe_barrier" for r in lower(kb.kernel)) == 1


@pytest.mark.parametrize(("m", "barriers"), [(16, 1), (80, 0)])
def test_accumulating_mads_need_a_barrier_only_when_small(m: int, barriers: int) -> None:
    kb = KernelBuilder("mads", SOC, gm_args=0, blocks=1)
    c = kb.alloc("l0c", 16384)
    a, b = kb.alloc("l0a", 8192), kb.alloc("l0b", 8192)
    with kb.loop(4):
        kb.op("mad", "f32f16f16", c, a, b, m=m, k=16, n=32)
    assert sum(r.mnemonic == "pipe_barrier" for r in lower(kb.kernel)) == barriers


def test_what_is_read_and_refilled_closes_itself() -> None:
    """Loads into disjoint parts of a resident buffer have no way back: a credit flag bounds the loader."""
    kb = KernelBuilder("credit", SOC, gm_args=1, blocks=1)
    slab = kb.alloc("l1", 4 * 512)
    with kb.loop(4) as i:
        part = kb.linear(0, (i, 512))
        kb.op("copy_gm_to_cbuf", "", slab + part, kb.args[0] + part, bursts=1, length=16)
        tile = kb.alloc("l0a", 512, 2)
        kb.op("load2d", "f16", tile, slab + part, repeat=1)
    records = lower(kb.kernel)
    assert problems(records) == []
    assert len(flags(records, "set_flag")) == len(flags(records, "wait_flag"))


def test_a_loop_that_may_be_left_early_is_cut_by_barriers() -> None:
    kb = KernelBuilder("early", SOC, gm_args=2, blocks=1)
    from ascend_mlir.dialects.davinci import BreakIfOp
    from xdsl.dialects import scf

    x, y = kb.args
    with kb.loop(5) as i:
        tile = kb.alloc("ub", 512)
        kb.op("copy_gm_to_ubuf", "", tile, x + kb.linear(0, (i, 512)), bursts=1, length=16)
        kb.op("vrelu", "f16", tile, tile, repeat=2)
        condition = kb.div(i, 3)
        kb.op("copy_ubuf_to_gm", "", y + kb.linear(0, (i, 512)), tile, bursts=1, length=16)
    loop = next(op for op in kb.kernel.walk() if isinstance(op, scf.ForOp))
    store = next(op for op in kb.kernel.walk() if op.name == "davinci.copy_ubuf_to_gm")
    assert not isinstance(condition, int) and loop.body.block is store.parent
    loop.body.block.insert_op_before(BreakIfOp(condition), store)
    assert problems(lower(kb.kernel)) == []


def test_work_of_the_first_iteration_does_not_throttle_later_ones() -> None:
    """Weights filled during the first tile: no flag makes a load wait for the tile before."""
    kb = KernelBuilder("resident", SOC, gm_args=2, blocks=1)
    weights = kb.alloc("l1", 4 * 512)
    with kb.loop(5) as tile:
        first = kb.equal(tile, 0)
        with kb.loop(4) as k:
            x = kb.alloc("l1", 512, 4)
            kb.op(
                "copy_gm_to_cbuf",
                "",
                x,
                kb.args[0] + kb.linear(0, (tile, 2048), (k, 512)),
                bursts=1,
                length=16,
            )
            with kb.loop(2) as half:
                part = kb.linear(0, (k, 512), (half, 256))
                bursts = kb.select(first, 1, 0)
                source = kb.args[1] + part
                kb.op(
                    "copy_gm_to_cbuf",
                    "",
                    weights + part,
                    source,
                    bursts=bursts,
                    length=8,
                    limits={"bursts": 1},
                )
                a, b = kb.alloc("l0a", 512, 2), kb.alloc("l0b", 512, 2)
                kb.op("load2d", "f16", a, x, repeat=1)
                kb.op("copy_cbuf_to_ubuf", "", kb.alloc("ub", 256, 2), weights + part, bursts=1, length=8)
                kb.op("load2d", "f16", b, x, repeat=1)
    records = lower(kb.kernel)
    assert problems(records) == []
    conditional = [
        records[i + 1].mnemonic
        for i, r in enumerate(records)
        if r.mnemonic == "if" and "flag" in records[i + 1].mnemonic
    ]
    assert sorted(conditional) == ["set_flag", "set_flag", "wait_flag", "wait_flag"]


def test_what_does_not_fit_is_named() -> None:
    kb = KernelBuilder("large", SOC, gm_args=1, blocks=1)
    tile = kb.alloc("ub", 200000)
    other = kb.alloc("ub", 100000)
    kb.op("copy_gm_to_ubuf", "", tile, kb.args[0], bursts=1, length=6250)
    kb.op("copy_ubuf_to_ubuf", "", other, tile, bursts=1, length=3125)
    tile.base.name_hint = "slab"
    with pytest.raises(AscendError, match="buffers of ub need 300000 bytes: %slab 1 x 200000"):
        lower(kb.kernel)
