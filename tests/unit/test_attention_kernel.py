"""Attention kernels: group → kernel → machine code → simulator with hazards, against the nn interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.dialects import ascend, nn
from ascend_mlir.dialects.layouts import Format, Layout
from ascend_mlir.dialects.nn_attrs import tensor_type
from ascend_mlir.lowering import attention_kernel
from ascend_mlir.lowering.attention_problem import problem_of, refusal, root_of
from ascend_mlir.lowering.attention_schedule import AttentionSchedule, fits, fitting
from ascend_mlir.runtime.interp.nn_roots import attention
from ascend_mlir.runtime.soc import load_soc
from group_kernels import run_group
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.test import TestOp
from xdsl.ir import Block, Region

MATRIX = Layout(Format.FRACTAL_NZ, 16)
SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]


def group_of(shapes, scale, zero_empty=False):
    operands = [
        TestOp(result_types=[ascend.with_layout(tensor_type(s, "f16"), MATRIX)]).results[0] for s in shapes
    ]
    block = Block(arg_types=[ascend.logical(v.type) for v in operands])
    root = nn.AttentionOp(*block.args, scale=scale, zero_empty=zero_empty)
    block.add_ops([root, nn.YieldOp(root.output)])
    typ = ascend.with_layout(root.output.type, MATRIX)
    return ascend.GroupOp("Attention", operands, [typ], "attention", Region(block))


def arrays_for(shapes, seed=0, spread=1.5):
    """Random operands; a mask is 0 or far below, with at least one key for every query."""
    rng = np.random.default_rng(seed)
    arrays = [(spread * rng.standard_normal(shape)).astype(np.float16) for shape in shapes]
    if len(arrays) == 4:
        arrays[3] = np.where(rng.random(shapes[3]) < 0.3, np.float16(-60000), arrays[3])
        arrays[3][..., -1, :] = 0
    return arrays


def check(shapes, soc_name="Ascend310P3", schedule=None, scale=None, seed=0, order=None):
    """Runs the kernel with hazards on, and in a random order if asked; the result's padding must be zero (D9)."""
    soc = load_soc(soc_name)
    group = group_of(shapes, shapes[0][-1] ** -0.5 if scale is None else scale)
    group.verify()
    if schedule is not None:
        assert fits(problem_of(root_of(group)), schedule, soc)
        group.schedule = ascend.ScheduleAttr.of(schedule.as_dict())
    arrays = arrays_for(shapes, seed)
    kernel = attention_kernel.generate(group, soc, "test")
    assert sum(1 for _ in kernel.walk()) <= 280
    got = run_group(group, kernel, arrays, soc, order)
    wide = [a.astype(np.float32) for a in arrays]
    want = attention(*wide, scale=root_of(group).scale.value.data)
    assert np.abs(got - want).max() <= 1e-3 * np.abs(want).max()


def heads(queries, keys, width, count=2, groups=None):
    return [(1, count, queries, width), *[(1, groups or count, keys, width)] * 2]


SIZES = {
    "one query": heads(1, 33, 64),
    "seven queries": heads(7, 77, 64),
    "one key": heads(20, 1, 64),
    "cross attention of diffusion": heads(128, 77, 40),
    "BERT": heads(128, 128, 64, 3),
    "ViT": heads(197, 197, 64),
    "ViT at 384": heads(577, 577, 64, 1),
    "width 32, other width of values": [(1, 2, 60, 32), (1, 2, 130, 32), (1, 2, 130, 48)],
    "width 80": heads(50, 50, 80, 3),
    "width 128": heads(64, 64, 128),
    "width 160": heads(33, 256, 160),
    "groups of heads": heads(40, 40, 32, 4, 2),
    "one head of keys for all": heads(1, 129, 64, 8, 1),
    "batch": [(3, 2, 40, 32)] * 3,
    "rank 3": [(3, 97, 64)] * 3,
    "mask for all heads": [(2, 4, 40, 32), *[(2, 2, 70, 32)] * 2, (2, 1, 70, 40)],
    "mask for all images": [(2, 4, 40, 32), *[(2, 4, 70, 32)] * 2, (1, 4, 70, 40)],
    "mask for all": [(2, 4, 40, 32), *[(2, 4, 70, 32)] * 2, (1, 1, 70, 40)],
}


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("name", SIZES)
def test_sizes(name, soc):
    check(SIZES[name], soc)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("masked", [False, True])
def test_keys_in_pieces(soc, masked):
    """Scores that do not fit UB at once: 70 fractals of keys, the last one with 5 keys."""
    shapes = heads(40, 1109, 40, 1) + [(1, 1, 1109, 40)] * masked
    check(shapes, soc, AttentionSchedule(1, 2, 2, 16, 8, 1, 1), order=3)


def test_keys_that_are_not_kept():
    """Pieces of keys and values come from GM for every block of query rows."""
    check(heads(50, 200, 64, 1), schedule=AttentionSchedule(1, 2, 1, 4, 2, 0, 2), order=1)


@pytest.mark.parametrize("soc", SOCS)
def test_random_orders(soc):
    check(SIZES["mask for all heads"], soc, order=11)
    check(heads(100, 90, 48), soc, order=12)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_random_sizes(data):
    draw = data.draw
    groups, shared = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    queries, keys = draw(st.integers(1, 150)), draw(st.integers(1, 200))
    width, values = draw(st.integers(1, 96)), draw(st.integers(1, 96))
    shapes = [(groups * shared, queries, width), (groups, keys, width), (groups, keys, values)]
    if draw(st.booleans()):
        shapes.append((draw(st.sampled_from([1, groups * shared])), keys, queries))
    check(shapes, draw(st.sampled_from(SOCS)), seed=draw(st.integers(0, 9)))


def test_all_fitting_schedules_are_right():
    shapes = [*heads(70, 150, 32, 2), (1, 2, 150, 70)]
    found = fitting(problem_of(root_of(group_of(shapes, 0.5))), load_soc("Ascend310P3"))
    assert len(found) >= 2
    for schedule in found:
        check(shapes, schedule=schedule)


def result_of(group, arrays, soc):
    """What the kernel gives, in f32."""
    return run_group(group, attention_kernel.generate(group, soc, "test"), arrays, soc)


def test_far_scores():
    """Largest scores far below zero: padded keys, whose scores are 0, must not count."""
    shapes = heads(20, 21, 16)
    arrays = [np.full(shapes[0], 5, np.float16), np.full(shapes[1], -6, np.float16), arrays_for(shapes)[2]]
    got = result_of(group_of(shapes, 1.0), arrays, load_soc("Ascend310P3"))
    want = np.broadcast_to(arrays[2].astype(np.float32).mean(axis=-2, keepdims=True), shapes[0])
    assert np.abs(got - want).max() < 2e-3


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("zero_empty", [False, True])
def test_queries_that_see_no_key(zero_empty, soc):
    """Equal shares of all values, as f32 gives with a mask of -3.4e38, or zeros; others as always, also at -10000."""
    shapes = [*heads(24, 21, 16), (1, 1, 21, 24)]
    arrays = arrays_for(shapes)
    arrays[3][..., 5] = -65504
    arrays[3][..., 6] = -10000
    got = result_of(group_of(shapes, 0.25, zero_empty), arrays, load_soc(soc))
    wide = [a.astype(np.float32) for a in arrays]
    want = attention(*wide, scale=0.25, zero_empty=zero_empty)
    mean = wide[2].mean(axis=-2)
    assert np.abs(want[..., 5, :] - (0 if zero_empty else mean)).max() < 1e-5
    assert np.abs(got - want).max() < 3e-3
    assert not zero_empty or not got[..., 5, :].any()
    assert np.abs(got[..., 6, :] - mean).max() > 0.05


def test_what_is_refused():
    soc = load_soc("Ascend310P3")
    fine = root_of(group_of(heads(20, 20, 16), 1.0))
    assert refusal(fine, soc) is None
    assert refusal(root_of(group_of(heads(20, 20, 16), -1.0)), soc) == "the scale is not positive"
    one = root_of(group_of(heads(1, 4096, 128, 1), 1.0))  # all keys on one core
    assert refusal(one, soc) == "products and a softmax use more cores for it"
    wide = root_of(group_of(heads(20, 20, 5000), 1.0))
    assert refusal(wide, soc) == "no tiles of it fit the memories of a core"
