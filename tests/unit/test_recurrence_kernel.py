"""Recurrence kernels: group → kernel → machine code → simulator with hazards, against the nn interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.dialects import ascend, nn
from ascend_mlir.dialects.layouts import Format, Layout
from ascend_mlir.dialects.nn_attrs import tensor_type
from ascend_mlir.dialects.nn_shapes import DIRECTIONS, RECURRENCES
from ascend_mlir.lowering import recurrence_kernel
from ascend_mlir.lowering.recurrence_problem import problem_of, refusal, root_of, schedule_of
from ascend_mlir.runtime.interp.nn_roots import recurrence
from ascend_mlir.runtime.soc import load_soc
from group_kernels import run_group
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.test import TestOp
from xdsl.ir import Block, Region

MATRIX = Layout(Format.FRACTAL_NZ, 16)
SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]


def group_of(kind, steps, batch, hidden, direction="forward", *, initial=False, last_cell=False):
    groups, gates, states = RECURRENCES[kind]
    directions = DIRECTIONS[direction]
    shapes = [(steps * batch, directions * groups * hidden), (directions * gates * hidden, hidden)]
    if initial:
        shapes.append((batch, states * directions * hidden))
    operands = [
        TestOp(result_types=[ascend.with_layout(tensor_type(s, "f16"), MATRIX)]).results[0] for s in shapes
    ]
    block = Block(arg_types=[ascend.logical(v.type) for v in operands])
    root = nn.RecurrenceOp(*block.args, kind=kind, direction=direction, steps=steps, last_cell=last_cell)
    block.add_ops([root, nn.YieldOp(root.output)])
    typ = ascend.with_layout(root.output.type, MATRIX)
    return ascend.GroupOp("Recurrence", operands, [typ], "recurrence", Region(block))


def arrays_for(group, seed=0):
    """Parts that drive gates to both ends, weights that keep states within reach."""
    rng = np.random.default_rng(seed)
    spread = [3.0, 1.5 / np.sqrt(ascend.shape_of(group.inputs[1])[1]), 1.0]
    return [
        (by * rng.standard_normal(ascend.shape_of(v))).astype(np.float16)
        for v, by in zip(group.inputs, spread, strict=False)
    ]


def check(group, soc_name="Ascend310P3", seed=0, order=None):
    """Runs the kernel with hazards on, and in a random order if asked; the result's padding must be zero (D9)."""
    soc = load_soc(soc_name)
    group.verify()
    arrays = arrays_for(group, seed)
    kernel = recurrence_kernel.generate(group, soc, "test")
    got = run_group(group, kernel, arrays, soc, order)
    root = root_of(group)
    want = recurrence(
        *(a.astype(np.float32) for a in arrays), kind=root.kind.data, direction=root.direction.data,
        steps=root.steps.value.data, last_cell=root.last_cell is not None,
    )  # fmt: skip
    assert np.abs(got - want).max() <= 2e-3 * max(1.0, np.abs(want).max())


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("direction", list(DIRECTIONS))
@pytest.mark.parametrize("kind", list(RECURRENCES))
def test_kinds_and_directions(kind, direction, soc):
    check(group_of(kind, 5, 3, 32, direction, initial=True, last_cell=kind == "lstm"), soc, order=1)


@pytest.mark.parametrize("kind", list(RECURRENCES))
@pytest.mark.parametrize("batch", [1, 3, 16, 17, 33])
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_steps_and_batches(kind, steps, batch):
    check(group_of(kind, steps, batch, 16))


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("hidden", [64, 128, 160])
def test_weights_that_fit_l0b_and_such_that_do_not(hidden, soc):
    check(group_of("lstm", 4, 1, hidden, "bidirectional"), soc, order=2)
    check(group_of("gru", 3, 20, hidden), soc)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_random_sizes(data):
    draw = data.draw
    kind = draw(st.sampled_from(list(RECURRENCES)))
    group = group_of(
        kind, draw(st.integers(1, 9)), draw(st.integers(1, 70)), 16 * draw(st.integers(1, 5)), draw(st.sampled_from(list(DIRECTIONS))),
        initial=draw(st.booleans()), last_cell=kind == "lstm" and draw(st.booleans()),
    )  # fmt: skip
    check(group, draw(st.sampled_from(SOCS)), seed=draw(st.integers(0, 9)))


SLOW = "its steps take longer on the cores that can share them than as tasks for all cores"


def sized(kind="lstm", steps=50, batch=1, hidden=128, direction="forward"):
    return problem_of(root_of(group_of(kind, steps, batch, hidden, direction)))


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (sized(), None),
        (sized(steps=1), "there is one step only"),
        (sized(hidden=2048), "weight and states do not fit the memories of a core"),
        (sized(hidden=352), SLOW),
        (sized(steps=2), None),
        (sized(hidden=256), SLOW),
        (sized(hidden=256, direction="bidirectional"), None),
        (sized(steps=65536, hidden=16), "there are more steps than a copy can skip"),
        (sized("gru", batch=9000, steps=4, hidden=64), SLOW),
    ],
)
def test_what_is_written_out(problem, reason):
    assert refusal(problem, [load_soc(name) for name in SOCS]) == reason


@pytest.mark.parametrize(("batch", "tiles"), [(1, 1), (4, 1), (5, 2), (16, 4), (33, 7), (300, 19)])
def test_sequences_are_spread_over_cores(batch, tiles):
    """8 cores: at least four sequences each, at most 16 at a time."""
    schedule = schedule_of(sized(batch=batch, hidden=32), load_soc("Ascend310P3"))
    assert (
        schedule.tiles == tiles and (tiles - 1) * schedule.rows < batch <= tiles * schedule.rows <= 16 * tiles
    )
