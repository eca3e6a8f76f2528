"""Cube kernels: group → kernel → machine code → simulator, against the nn interpreter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ascend_mlir.dialects import ascend, nn
from ascend_mlir.dialects.blobs import Blob
from ascend_mlir.dialects.dtypes import numpy_dtype
from ascend_mlir.dialects.layouts import Format, Layout
from ascend_mlir.dialects.nn_attrs import tensor_type
from ascend_mlir.lowering import cube_kernel
from ascend_mlir.lowering.cube_epilogue_ops import ub_tiles, vector_passes
from ascend_mlir.lowering.cube_problem import analyse
from ascend_mlir.lowering.cube_schedule import Behind, rank
from ascend_mlir.passes.davinci_pipeline import lower_kernel
from ascend_mlir.runtime.interp.nn import run_block
from ascend_mlir.runtime.interp.nn_roots import to_terms
from ascend_mlir.runtime.sim.device import run_kernel
from ascend_mlir.runtime.sim.hazards import check_task
from ascend_mlir.runtime.sim.program import load_program
from ascend_mlir.runtime.soc import load_soc
from ascend_mlir.runtime.weights import WeightStore
from xdsl.dialects.test import TestOp
from xdsl.ir import Block, Region

BLOCKED = Layout(Format.NC1HWC0, 16)
WEIGHT = Layout(Format.FRACTAL_Z, 16)
MATRIX = Layout(Format.FRACTAL_NZ, 16)
SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]


def value(shape, dtype, layout):
    return TestOp(result_types=[ascend.with_layout(tensor_type(shape, dtype), layout)]).results[0]


def group_of(operands, build, layout):
    """An ascend.group of engine cube: `build` adds the body ops to a block and returns the result."""
    block = Block(arg_types=[ascend.logical(v.type) for v in operands])
    result = build(block)
    block.add_op(nn.YieldOp(result))
    typ = ascend.with_layout(result.type, layout)
    return ascend.GroupOp("Test", operands, [typ], "cube", Region(block))


def check(group, arrays, soc_name, rtol=2e-3):
    """Runs the group's kernel with hazards on and compares with the interpreter; padding must be zero."""
    soc = load_soc(soc_name)
    group.verify()
    kernel = cube_kernel.generate(group, soc, "test")
    kernel.verify()
    assert sum(1 for _ in kernel.walk()) <= 250
    blocks = kernel.blocks.value.data
    image = lower_kernel(kernel, soc)
    out = group.outputs[0]
    layout = ascend.layout_of(out)
    base, args, gm = 512, [], []
    for operand, array in zip(group.inputs, arrays, strict=True):
        data = ascend.layout_of(operand).pack(array).tobytes()
        args.append(base + sum(len(g) for g in gm))
        gm.append(data + bytes(-(len(data) + 32) % 512 + 32))
    size = ascend.bytes_of(out)
    args.append(base + sum(len(g) for g in gm))
    gm.append(bytes([0xFF]) * size + bytes(-(size + 32) % 512 + 32))
    memory = np.frombuffer(bytes(base) + b"".join(gm), np.uint8).copy()
    assert not check_task(soc, load_program(image), args, blocks)
    run_kernel(soc, image, memory, args, blocks)
    raw = memory[args[-1] : args[-1] + size].view(numpy_dtype(ascend.dtype_of(out)))
    shape = ascend.shape_of(out)
    got = layout.unpack(raw, shape).astype(np.float32)
    (want,) = run_block(group.body.block, arrays, WeightStore())
    want = want.astype(np.float32)
    peak = max(np.abs(want).max(), 1e-3)
    assert np.abs(got - want).max() <= rtol * peak
    np.testing.assert_array_equal(raw, layout.pack(layout.unpack(raw, shape)).reshape(-1))  # D9


def conv_group(
    x, w, *, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1, bias=True, tail=(), residual=False
):
    cout = w[0]
    weight = Layout(Format.FRACTAL_Z, 16, group) if group > 1 else WEIGHT
    operands = [value(x, "f16", BLOCKED), value(w, "f16", weight)]
    if bias:
        operands.append(value((cout,), "f32", BLOCKED))

    def build(block):
        args = list(block.args)
        conv = nn.ConvOp(
            args[0],
            args[1],
            args[2] if bias else None,
            strides=strides,
            pads=pads,
            dilations=dilations,
            group=group,
        )
        block.add_op(conv)
        last = conv.output
        for make in tail:
            op = make(last, block)
            block.add_op(op)
            last = op.results[0]
        return last

    if residual:
        kh = [(w[i + 2] - 1) * dilations[i] + 1 for i in range(2)]
        ho, wo = ((x[2 + i] + pads[i] + pads[i + 2] - kh[i]) // strides[i] + 1 for i in range(2))
        operands.append(value((x[0], cout, ho, wo), "f16", BLOCKED))
    return group_of(operands, build, BLOCKED)


def data(group, seed=0):
    rng = np.random.default_rng(seed)
    arrays = []
    for v in group.inputs:
        shape = ascend.shape_of(v)
        fan = math.prod(shape[1:]) if ascend.layout_of(v).format is Format.FRACTAL_Z else 1
        arrays.append((rng.standard_normal(shape) / math.sqrt(fan)).astype(numpy_dtype(ascend.dtype_of(v))))
    return arrays


CONVS = {
    "line": dict(x=(1, 20, 1, 77), w=(40, 20, 1, 5), strides=(1, 2), pads=(0, 3, 0, 4)),
    "line-long-filter": dict(x=(1, 3, 1, 700), w=(16, 3, 1, 200), strides=(1, 3)),
    "line-batch": dict(x=(3, 16, 1, 50), w=(16, 16, 1, 7), dilations=(1, 3), pads=(0, 9, 0, 9)),
    "line-groups": dict(x=(2, 48, 1, 35), w=(48, 1, 1, 3), group=48, pads=(0, 1, 0, 1)),
    "line-wide-pads": dict(x=(1, 16, 1, 30), w=(16, 16, 1, 3), pads=(0, 40, 0, 20)),
    "3x3": dict(x=(1, 32, 14, 14), w=(48, 32, 3, 3), pads=(1, 1, 1, 1)),
    "stride2": dict(x=(1, 16, 15, 13), w=(32, 16, 3, 3), strides=(2, 2), pads=(1, 1, 1, 1)),
    "7x7": dict(x=(1, 3, 32, 40), w=(64, 3, 7, 7), strides=(2, 2), pads=(3, 3, 3, 3)),
    "point": dict(x=(1, 64, 7, 7), w=(96, 64, 1, 1)),
    "point-stride": dict(x=(1, 64, 14, 14), w=(96, 64, 1, 1), strides=(2, 2)),
    "dilated": dict(x=(1, 16, 20, 20), w=(16, 16, 3, 3), dilations=(2, 2), pads=(2, 2, 2, 2)),
    "odd": dict(x=(3, 17, 13, 7), w=(17, 17, 3, 3), pads=(1, 1, 1, 1)),
    "wide": dict(x=(1, 1, 5, 225), w=(3, 1, 3, 3), pads=(1, 1, 1, 1)),
    "width1": dict(x=(1, 16, 40, 1), w=(16, 16, 3, 1), pads=(1, 0, 1, 0)),
    "many": dict(x=(1, 1000, 3, 3), w=(1000, 1000, 1, 1)),
    "batch": dict(x=(16, 8, 9, 9), w=(24, 8, 3, 3), pads=(0, 0, 0, 0)),
    "asymmetric": dict(x=(1, 16, 11, 12), w=(16, 16, 2, 3), pads=(0, 1, 1, 1)),
    "depthwise": dict(x=(1, 40, 12, 12), w=(40, 1, 3, 3), group=40, pads=(1, 1, 1, 1)),
    "grouped": dict(x=(1, 32, 10, 10), w=(64, 8, 3, 3), group=4, pads=(1, 1, 1, 1)),
    "grouped-odd": dict(x=(1, 60, 6, 6), w=(40, 3, 3, 3), group=20, pads=(1, 1, 1, 1)),
    "row": dict(x=(1, 300, 1, 1), w=(10, 300, 1, 1)),
    "no-bias": dict(x=(1, 32, 14, 14), w=(32, 32, 3, 3), pads=(1, 1, 1, 1), bias=False),
}


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("case", CONVS)
def test_convolution(case, soc):
    group = conv_group(**CONVS[case])
    check(group, data(group), soc)


PITCHED = {
    "14": dict(x=(1, 32, 14, 14), w=(32, 32, 3, 3), pads=(1, 1, 1, 1)),
    "7": dict(x=(1, 16, 7, 7), w=(48, 16, 3, 3), pads=(1, 1, 1, 1)),
    "stride": dict(x=(2, 16, 15, 21), w=(32, 16, 3, 3), strides=(2, 2), pads=(1, 1, 1, 1)),
    "depthwise": dict(x=(1, 40, 12, 12), w=(40, 1, 3, 3), group=40, pads=(1, 1, 1, 1)),
    "residual": dict(x=(1, 16, 9, 11), w=(40, 16, 3, 3), pads=(1, 1, 1, 1), residual=True),
}


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("case", PITCHED)
def test_output_rows_with_a_pitch(case, soc):
    """Output rows padded to whole img2cols, one or two rows each, with all ring depths that are candidates."""
    arguments = PITCHED[case]
    tail = TAILS["residual"] if arguments.get("residual") else TAILS["relu"]
    group = conv_group(**arguments, tail=tail)
    chip = load_soc(soc)
    found = analyse(group)
    behind = Behind(vector_passes(found), found.has_residual, ub_tiles(found, chip), True)
    chosen = {}
    for _, schedule in rank(found.problem, chip, behind):
        if schedule.pitch:
            chosen.setdefault(
                (schedule.strip, schedule.slab_depth > 1, schedule.weights, schedule.rows), schedule
            )
    assert {schedule.strip for schedule in chosen.values()} >= {1}
    for schedule in list(chosen.values())[:6]:
        group.schedule = ascend.ScheduleAttr.of(schedule.as_dict())
        check(group, data(group), soc, rtol=4e-3)


def scalar(number, block):
    op = nn.ConstantOp(Blob.splat(number, (), "f16"))
    block.add_op(op)
    return op.output


TAILS = {
    "relu": [lambda v, b: nn.ReluOp(v)],
    "clip": [lambda v, b: nn.ClipOp(v, min=0.0, max=6.0)],
    "residual": [lambda v, b: nn.AddOp(v, b.args[3]), lambda v, b: nn.ReluOp(v)],
    "sigmoid": [lambda v, b: nn.SigmoidOp(v)],
    "silu": [lambda v, b: nn.SigmoidOp(v), lambda v, b: nn.MulOp(v.owner.operands[0], v)],
    "hard_swish": [lambda v, b: nn.HardSwishOp(v)],
    "leaky": [lambda v, b: nn.LeakyReluOp(v, alpha=0.1)],
    "add-scalar": [lambda v, b: nn.AddOp(v, scalar(1.5, b))],
}


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("shape", [(1, 24, 14, 14), (1, 20, 7, 7)])
def test_epilogue(tail, shape, soc):
    cout = shape[1]
    group = conv_group(
        shape, (cout, cout, 3, 3), pads=(1, 1, 1, 1), tail=TAILS[tail], residual=tail == "residual"
    )
    check(group, data(group), soc, rtol=4e-3)


MATMULS = {
    "square": dict(a=(64, 64), b=(64, 64)),
    "odd": dict(a=(50, 33), b=(33, 70)),
    "tall": dict(a=(300, 48), b=(48, 16)),
    "deep": dict(a=(32, 1500), b=(1500, 40)),
    "batched": dict(a=(3, 40, 24), b=(3, 24, 56)),
    "broadcast": dict(a=(2, 3, 17, 20), b=(20, 30)),
    "trans_b": dict(a=(2, 35, 40), b=(2, 50, 40), trans_b=True),
    "trans_a": dict(a=(2, 40, 35), b=(2, 40, 50), trans_a=True),
}


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("case", MATMULS)
def test_matmul(case, constant, soc):
    spec = MATMULS[case]
    a, b = spec["a"], spec["b"]
    if constant and len(b) != 2:
        pytest.skip("only matrices are packed at compile time")
    operands = [value(a, "f16", MATRIX), value(b, "f16", WEIGHT if constant else MATRIX)]
    n = b[-2] if spec.get("trans_b") else b[-1]
    if constant:
        operands.append(value((n,), "f32", BLOCKED))

    def build(block):
        op = nn.MatMulOp(
            block.args[0],
            block.args[1],
            block.args[2] if constant else None,
            trans_a=spec.get("trans_a", False),
            trans_b=spec.get("trans_b", False),
        )
        block.add_op(op)
        return op.output

    group = group_of(operands, build, MATRIX)
    check(group, data(group), soc, rtol=3e-3)


BEHIND_RELU = {
    "relu, then add": lambda block, y, r: chain(block, nn.AddOp, (chain(block, nn.ReluOp, (y,)), r)),
    "relu, then sigmoid": lambda block, y, r: chain(block, nn.SigmoidOp, (chain(block, nn.ReluOp, (y,)),)),
    "relu, and the operand": lambda block, y, r: chain(block, nn.AddOp, (chain(block, nn.ReluOp, (y,)), y)),
    "residual first": lambda block, y, r: chain(
        block, nn.ReluOp, (chain(block, nn.AddOp, (r, chain(block, nn.ReluOp, (y,)))),)
    ),
}


def chain(block, kind, operands):
    op = kind(*operands)
    block.add_op(op)
    return op.results[0]


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("tail", BEHIND_RELU)
def test_ops_behind_relu(soc, tail):
    """The ReLU of the copy from L0C gives its tile to what follows, and is not taken where the tile is needed."""
    operands = [value((1, 16, 9, 9), "f16", BLOCKED), value((16, 16, 1, 1), "f16", WEIGHT)]
    if tail in ("relu, then add", "residual first"):
        operands.append(value((1, 16, 9, 9), "f16", BLOCKED))

    def build(block):
        conv = nn.ConvOp(*block.args[:2])
        block.add_op(conv)
        return BEHIND_RELU[tail](block, conv.output, block.args[-1])

    arrays = [normal(ascend.shape_of(v), 7 + i).astype(np.float16) for i, v in enumerate(operands)]
    check(group_of(operands, build, BLOCKED), arrays, soc, rtol=4e-3)


def normal(shape, seed, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def wide_conv(x, cout, kernel, *, strides, pads, residual, relu):
    """conv → (add_terms) → (relu) → to_terms as one group."""
    size = [(x[2 + i] + 2 * pads - kernel) // strides + 1 for i in range(2)]
    operands = [value(x, "f16", BLOCKED), value((cout, x[1], kernel, kernel), "f16", WEIGHT)]
    operands.append(value((cout,), "f32", BLOCKED))
    if residual:
        operands.append(value((x[0], 3 * cout, *size), "f16", BLOCKED))

    def build(block):
        args = list(block.args)
        conv = nn.ConvOp.create(
            operands=args[:3],
            properties=nn.ConvOp(args[0], args[1], strides=(strides,) * 2, pads=(pads,) * 4).properties,
            result_types=[tensor_type((x[0], cout, *size), "f32")],
        )
        ops = [conv]
        if residual:
            ops.append(nn.AddTermsOp(ops[-1].results[0], args[3]))
        if relu:
            ops.append(nn.ReluOp(ops[-1].results[0]))
        ops.append(nn.ToTermsOp(ops[-1].results[0]))
        block.add_ops(ops)
        return ops[-1].results[0]

    return group_of(operands, build, BLOCKED)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_result_in_terms(soc, residual, relu):
    group = wide_conv((2, 48, 9, 11), 32, 3, strides=1, pads=1, residual=residual, relu=relu)
    arrays = [to_terms(normal((2, 16, 9, 11), 3)), normal((32, 48, 3, 3), 4, 0.05).astype(np.float16)]
    arrays.append(normal((32,), 5))
    if residual:
        arrays.append(to_terms(normal((2, 32, 9, 11), 6)))
    check(group, arrays, soc, rtol=1e-3)


@pytest.mark.parametrize("soc", SOCS)
def test_one_position_in_terms(soc):
    group = wide_conv((1, 16, 1, 1), 16, 1, strides=1, pads=0, residual=True, relu=True)
    arrays = [normal((1, 16, 1, 1), 3).astype(np.float16), normal((16, 16, 1, 1), 4).astype(np.float16)]
    check(group, [*arrays, normal((16,), 5), to_terms(normal((1, 16, 1, 1), 6))], soc, rtol=1e-3)
