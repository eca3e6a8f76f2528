"""Sort kernels: group → kernel → machine code → simulator with hazards, against numpy's stable sort."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.dialects import nn
from ascend_mlir.lowering import sort_kernel
from ascend_mlir.lowering.sort_problem import (
    block_of,
    levels,
    problem_of,
    root_of,
    schedule_of,
    ub_bytes,
    whole,
)
from ascend_mlir.lowering.sort_schedule import Cut, Rows, cut_of, sort_group
from ascend_mlir.passes.davinci_pipeline import lower_kernel
from ascend_mlir.runtime.interp.nn_roots import sort, top_k
from ascend_mlir.runtime.soc import load_soc
from group_kernels import run_group
from hypothesis import given, settings
from hypothesis import strategies as st

SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]
KINDS = {"f16": np.float16, "f32": np.float32}


def problem(
    rows, length, count, dtype="f16", *, pieces=1, positions=True, carried=0, block=0, soc="Ascend310P3"
):
    block = block or block_of(
        dtype, rows, length, count, load_soc(soc), pieces=pieces, positions=positions, carried=carried
    )
    return sort_group(Rows(dtype, rows, length, count, positions, carried), Cut(block, pieces))


def arrays_for(group, seed=0, distinct=20, special=False):
    """Keys with many ties, the places of a block, numbers to carry; `special` adds zeros of both signs, infinities, NaN."""
    rng, p = np.random.default_rng(seed), problem_of(root_of(group))
    shape, kind = (p.rows, p.length), KINDS[p.dtype]
    keys = (rng.integers(-distinct, distinct + 1, shape) / 4).astype(kind)
    if special:
        odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], kind)
        keys = np.where(rng.random(shape) < 0.3, rng.choice(odd, shape), keys).astype(kind)
    places = [np.arange(p.list_length, dtype=kind)] if p.positions else []
    return [keys, *places, *(rng.standard_normal(shape).astype(kind) for _ in range(p.carried))]


def check(group, soc_name="Ascend310P3", seed=0, order=None, **kwargs):
    """Runs the kernel with hazards on, and in a random order if asked."""
    soc, root = load_soc(soc_name), root_of(group)
    group.verify()
    arrays = arrays_for(group, seed, **kwargs)
    got = run_group(group, sort_kernel.generate(group, soc, "test"), arrays, soc, order)
    want = sort(*arrays, **root.values)
    np.testing.assert_array_equal(got, want.astype(np.float32))


def test_the_reference_is_a_stable_sort():
    """The planes of the op, put together, are what `nn.top_k` says."""
    x = arrays_for(problem(3, 5000, 100))[0]
    block = 512
    keys, place, number = sort(
        x, np.arange(block, dtype=np.float16), count=100, block=block, pieces=1, positions=True
    )
    found = (number.astype(int) * block + place.astype(int))[:, :100]
    np.testing.assert_array_equal(keys[:, :100], top_k(x, count=100))
    np.testing.assert_array_equal(found, top_k(x, count=100, positions=True))


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("length", [1, 15, 16, 17, 64, 65, 80, 100, 1000, 2048])
def test_lengths_of_one_block(length, soc):
    check(problem(3, length, length, soc=soc), soc, order=1)


@pytest.mark.parametrize("length", [1, 17, 1000, 1017, 1023, 2032, 2041, 2047, 2048])
def test_lengths_of_one_block_of_words(length):
    check(problem(20, length, length, "f32"))


@pytest.mark.parametrize("count", [1, 16, 17, 300, 2049, 4096])
@pytest.mark.parametrize("length", [4096, 5001])
def test_several_blocks(length, count):
    check(problem(2, length, count))


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("carried", [0, 1, 3])
def test_carried_rows(dtype, carried):
    check(problem(5, 77, 20, dtype, carried=carried), order=2)
    check(problem(1, 3000, 30, dtype, carried=carried, positions=carried < 3))


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize(("length", "pieces"), [(1000, 8), (1001, 3), (9000, 8), (25200, 4)])
def test_pieces_of_rows(dtype, length, pieces):
    check(problem(1, length, 40, dtype, pieces=pieces), order=3 if length < 2000 else None)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 100])
@pytest.mark.parametrize("length", [8, 16, 40, 300])
def test_many_rows(rows, length):
    check(problem(rows, length, min(length, 10)))


@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_zeros_infinities_and_nan(dtype):
    """Zeros are equal, NaN and minus infinity come last, in the order they had, before what fills up a block."""
    check(problem(4, 203, 203, dtype), special=True)
    check(problem(1, 3001, 3001, dtype), special=True)
    check(problem(1, 3001, 200, dtype, pieces=4), special=True)


def test_blocks_change_places():
    """A full sort in several passes, in a random order too: blocks pass through the workspace."""
    check(problem(1, 200, 200, block=32), order=4)
    check(problem(3, 333, 333, "f32", block=64, carried=1), "Ascend310P3", order=5)
    check(problem(2, 333, 100, block=64, pieces=3), order=6)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_sizes(data):
    draw = data.draw
    soc = draw(st.sampled_from(SOCS))
    dtype = draw(st.sampled_from(["f16", "f32"] if soc == "Ascend310P3" else ["f16"]))
    length, rows = draw(st.integers(1, 3000)), draw(st.integers(1, 12))
    count, carried = draw(st.integers(1, length)), draw(st.integers(0, 3))
    block = 16 * draw(st.integers(1, 40))
    block = block if block < length else length
    group = problem(rows, length, count, dtype, carried=carried, block=block)
    check(group, soc, seed=draw(st.integers(0, 9)), distinct=draw(st.sampled_from([1, 30, 2000])))


@pytest.mark.parametrize("keep", [16, 48, 5000])
@pytest.mark.parametrize("length", [16, 32, 48, 80, 112, 272, 1024, 1040, 2048])
def test_levels_merge_every_list_once(length, keep):
    lists = dict.fromkeys(range(0, length, 16), 16)
    for level in levels(length, keep):
        after = {}
        for merge in level:
            for turn in range(merge.repeat):
                taken = [(first + turn * merge.total, size) for first, size in merge.lists]
                assert 2 <= len(taken) <= 4 and all(0 < lists.pop(first) >= size for first, size in taken)
                after[taken[0][0]] = min(merge.total, keep)
        assert not lists, "a list is left over"
        lists = after
    assert lists == {0: min(length, keep) if length > 16 else 16}


@pytest.mark.parametrize("soc", SOCS)
def test_blocks_fit_memory(soc):
    chip = load_soc(soc)
    for length in (1, 100, 4095, 4096, 8400, 100000, 1 << 20):
        for count in {1, min(length, 300), length}:
            p = problem_of(root_of(problem(1, length, count, soc=soc)))
            assert ub_bytes(p, 1) <= chip.core.buffers["ub"].size and p.blocks <= 2048
            assert schedule_of(p, chip) is not None


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("count", [300, 2000, 10000])
@pytest.mark.parametrize(("positions", "carried"), [(False, 0), (True, 0), (False, 5), (True, 3)])
def test_estimated_memory_is_what_kernels_take(positions, carried, count, soc):
    """Kernels of the largest blocks are lowered: buffers that do not fit are refused there."""
    chip = load_soc(soc)
    for length, pieces in ((10000, 1), (40000, 4), (80001, 1)):
        if length // pieces >= count:
            group = problem(1, length, count, pieces=pieces, positions=positions, carried=carried, soc=soc)
            lower_kernel(sort_kernel.generate(group, chip, "test"), chip)
    for rows, length in ((1000, 17), (50, 2048), (9, 300)):
        group = problem(rows, length, min(count, length), positions=positions, carried=carried, soc=soc)
        lower_kernel(sort_kernel.generate(group, chip, "test"), chip)


def test_code_does_not_grow_with_rows():
    soc = load_soc("Ascend310P3")
    sizes = []
    for rows, length in ((64, 20480), (640, 20480), (64, 204800)):
        group = problem(rows, length, 100, block=2048)
        sizes.append(len(lower_kernel(sort_kernel.generate(group, soc, "test"), soc)))
    assert max(sizes) - min(sizes) <= 64 * 4


def test_idle_cores_get_pieces():
    soc = load_soc("Ascend310P3")

    def cut(rows, length, count):
        found = cut_of(Rows("f16", rows, length, count, True, 0), soc)
        assert isinstance(found, Cut)
        return found.pieces

    assert cut(1, 25200, 300) == 8
    assert cut(1, 1000, 10) == 1
    assert cut(8, 25200, 300) == 1
    assert cut(1, 5000, 5000) == 1


def test_what_no_kernel_sorts():
    assert "Ascend310 sorts no f32" in str(cut_of(Rows("f32", 1, 100, 5, True, 0), load_soc("Ascend310")))
    with pytest.raises(ValueError, match="Ascend310 sorts no f32"):
        sort_kernel.choose_schedule(problem(1, 100, 5, "f32"), load_soc("Ascend310"))
    assert whole(17) == 32 and nn.SortOp in nn.ROOT_OPS
