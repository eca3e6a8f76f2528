"""Every nn pass keeps the meaning: the interpreter before and after, on random values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from ascend_mlir.dialects import nn
from ascend_mlir.dialects.blobs import Blob
from ascend_mlir.passes.nn_convert_precision import NNConvertPrecisionPass
from ascend_mlir.passes.nn_decompose import NNDecomposePass
from ascend_mlir.passes.nn_fold_batch_norm import NNFoldBatchNormPass
from ascend_mlir.passes.nn_fold_constants import NNFoldConstantsPass
from ascend_mlir.passes.nn_fuse_groups import NNFuseGroupsPass
from ascend_mlir.passes.nn_simplify import NNSimplifyPass
from ascend_mlir.runtime.interp.nn import run_module
from ascend_mlir.runtime.weights import WeightStore
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.builder import Builder as OpBuilder
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

Array = npt.NDArray[np.generic]


class Model:
    """A main function under construction, with its weights."""

    def __init__(self, *shapes: Sequence[int], seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.shapes = [tuple(s) for s in shapes]
        self.block = Block(arg_types=[nn.tensor_type(s, "f32") for s in shapes])
        self.builder = OpBuilder(InsertPoint.at_end(self.block))
        self.store = WeightStore()

    def __call__(self, op: Operation) -> SSAValue:
        return self.builder.insert(op).results[0]

    @property
    def x(self) -> SSAValue:
        return self.block.args[0]

    def weight(self, *shape: int, low: float = -1.0, high: float = 1.0) -> SSAValue:
        values = self.rng.uniform(low, high, shape).astype(np.float32)
        return self(nn.ConstantOp(self.store.add(f"w{len(self.store)}", values)))

    def scalar(self, value: float, *shape: int) -> SSAValue:
        return self(nn.ConstantOp(Blob.splat(value, shape, "f32")))

    def module(self, *results: SSAValue) -> ModuleOp:
        self.builder.insert(ReturnOp(*results))
        types = [a.type for a in self.block.args], [r.type for r in results]
        return ModuleOp([FuncOp("main", types, Region(self.block))])

    def inputs(self) -> list[Array]:
        return [self.rng.standard_normal(s).astype(np.float32) for s in self.shapes]


def names(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("nn.") for op in module.walk() if op.name.startswith("nn.")]


def check(model: Model, module: ModuleOp, passes: Sequence[ModulePass], tolerance: float = 2e-5) -> list[str]:
    """Names of the ops that are left."""
    module.verify()
    inputs = model.inputs()
    expected = run_module(module, inputs, model.store)
    for step in passes:
        step.apply(Context(), module)
        module.verify()
        for want, got in zip(expected, run_module(module, inputs, model.store), strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_allclose(
                got, want, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(want).max()))
            )
    return names(module)


BACK_END: list[ModulePass] = [NNConvertPrecisionPass(), NNFuseGroupsPass()]


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_conv_transpose(data: st.DataObject) -> None:
    draw = data.draw
    two = st.tuples(st.integers(1, 3), st.integers(1, 3))
    stride, dilation, kernel = draw(two), draw(two), draw(two)
    group = draw(st.sampled_from([1, 2]))
    size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    full = [(size[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 for i in range(2)]
    output_padding = tuple(draw(st.integers(0, stride[i] - 1)) for i in range(2))
    begins = [draw(st.integers(0, (full[i] - 1) // 2)) for i in range(2)]
    ends = [draw(st.integers(0, (full[i] - 1) // 2)) for i in range(2)]
    model = Model((2, 2 * group, *size))
    y = nn.ConvTransposeOp(
        model.x,
        model.weight(2 * group, 3, *kernel),
        model.weight(3 * group) if draw(st.booleans()) else None,
        strides=stride,
        pads=(*begins, *ends),
        dilations=dilation,
        output_padding=output_padding,
        group=group,
    )
    left = check(model, model.module(model(y)), [NNDecomposePass(), NNSimplifyPass()])
    assert "conv_transpose" not in left


def conv(model: Model, x: SSAValue, channels: int, **options: int) -> SSAValue:
    group = options.get("group", 1)
    weight = model.weight(channels, nn.shape_of(x)[1] // group, 3, 3)
    return model(nn.ConvOp(x, weight, model.weight(channels), pads=(1, 1, 1, 1), group=group))


def batch_norm(model: Model, x: SSAValue) -> SSAValue:
    c = nn.shape_of(x)[1]
    parameters = [model.weight(c), model.weight(c), model.weight(c), model.weight(c, low=0.5, high=2.0)]
    return model(nn.BatchNormOp(x, *parameters))


def test_fold_batch_norm() -> None:
    model = Model((1, 4, 8, 8))
    y = batch_norm(model, conv(model, model.x, 6))
    up = nn.ConvTransposeOp(y, model.weight(6, 4, 2, 2), None, strides=(2, 2), group=2)
    y = batch_norm(model, model(up))
    flat = model(nn.ReshapeOp(y, (8, 256)))
    y = batch_norm(model, model(nn.MatMulOp(flat, model.weight(256, 5))))
    left = check(model, model.module(y), [NNFoldBatchNormPass()])
    assert [n for n in left if n != "constant"] == ["conv", "conv_transpose", "reshape", "matmul"]


def test_batch_norm_stays_when_the_convolution_has_other_uses() -> None:
    model = Model((1, 4, 8, 8))
    y = conv(model, model.x, 4)
    z = batch_norm(model, y)
    left = check(model, model.module(model(nn.AddOp(y, z))), [NNFoldBatchNormPass()])
    assert [n for n in left if n != "constant"] == ["conv", "mul", "add", "add"]


def test_simplify() -> None:
    model = Model((1, 4, 8, 8))
    x = model(nn.AddOp(model.scalar(0.0), model.x))
    x = model(nn.PadOp(x, (0, 0, 1, 1, 0, 0, 1, 2)))
    y = model(nn.ConvOp(x, model.weight(4, 4, 3, 3)))
    y = model(nn.MulOp(y, model.weight(1, 4, 1, 1)))
    y = model(nn.SubOp(y, model.weight(4, 1, 1)))
    y = model(nn.DivOp(y, model.scalar(3.0)))
    y = model(nn.MaxOp(y, model.scalar(0.0)))
    y = model(nn.TransposeOp(model(nn.TransposeOp(y, (0, 2, 3, 1))), (0, 3, 1, 2)))
    y = model(nn.ReshapeOp(model(nn.ReshapeOp(y, (4, 72))), (1, 4, 8, 9)))
    left = check(model, model.module(y), [NNSimplifyPass()])
    assert [n for n in left if n != "constant"] == ["conv", "relu"]


def test_matmul_forms() -> None:
    model = Model((2, 3, 8), (2, 5, 8))
    a, b = model.block.args
    scores = model(nn.MatMulOp(a, model(nn.TransposeOp(b, (0, 2, 1)))))
    y = model(nn.MatMulOp(a, model(nn.TransposeOp(model.weight(6, 8), (1, 0))), model.weight(1, 6)))
    y = model(nn.AddOp(y, model.weight(6)))
    row = model(nn.ReshapeOp(model(nn.SliceOp(y, (0, 0, 0), (1, 1, 6))), (1, 6)))
    row = model(nn.MatMulOp(row, model.weight(6, 7), model.weight(7)))
    passes = [NNFoldConstantsPass(), NNSimplifyPass(), NNDecomposePass(), NNSimplifyPass()]
    left = check(model, model.module(scores, y, row), passes)
    assert (
        left.count("matmul") == 2
        and left.count("conv") == 1
        and "transpose" not in left
        and "add" not in left
    )


def test_channel_shuffle_is_a_convolution() -> None:
    model = Model((1, 32, 4, 6))
    y = conv(model, model.x, 32)
    y = model(nn.TransposeOp(model(nn.ReshapeOp(y, (16, 2, 24))), (1, 0, 2)))
    y = model(nn.ReshapeOp(y, (2, 1, 16, 4, 6)))
    halves = [
        model(nn.ReshapeOp(model(nn.SliceOp(y, (i, 0, 0, 0, 0), (1, 1, 16, 4, 6))), (1, 16, 4, 6)))
        for i in range(2)
    ]
    y = model(nn.ConcatOp([halves[0], conv(model, halves[1], 16)], 1))
    left = check(model, model.module(y), FRONT)
    assert [n for n in left if n != "constant"] == ["conv", "conv", "conv", "concat"]


def test_attention_projections() -> None:
    model = Model((1, 16, 32))

    def heads(perm: tuple[int, ...]) -> SSAValue:
        y = model(nn.AddOp(model(nn.MatMulOp(model.x, model.weight(32, 32))), model.weight(32)))
        y = model(nn.TransposeOp(model(nn.ReshapeOp(y, (1, 16, 2, 16))), perm))
        return model(nn.MulOp(y, model.scalar(0.5)))

    scores = model(nn.MatMulOp(heads((0, 2, 1, 3)), heads((0, 2, 3, 1))))
    module = model.module(scores)
    left = check(model, module, FRONT)
    assert "mul" not in left and "add" not in left and left.count("transpose") == 2
    check(model, module, BACK_END, tolerance=2e-2)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinate", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
def test_resize_is_two_products(mode: str, coordinate: str) -> None:
    model = Model((2, 3, 5, 7))
    y = nn.ResizeOp(model.x, (2, 3, 10, 4), scales=(1.0, 1.0, 2.0, 4 / 7), mode=mode, coordinate=coordinate)
    module = model.module(model(y))
    left = check(model, module, FRONT)
    assert left.count("matmul") == 2 and "resize" not in left
    check(model, module, BACK_END, tolerance=2e-2)


LONG_ROWS: dict[str, tuple[tuple[int, ...], Callable[[Model], Operation], str]] = {
    "stride": (
        (1, 1, 1, 20001), lambda m: nn.ConvOp(m.x, m.weight(3, 1, 1, 9), m.weight(3), strides=(1, 2)), "conv",
    ),
    "pads and dilation": (
        (2, 3, 1, 12000),
        lambda m: nn.ConvOp(m.x, m.weight(4, 3, 1, 5), pads=(0, 7, 0, 5), dilations=(1, 3)),
        "conv",
    ),
    "rows": ((1, 2, 4, 6000), lambda m: nn.ConvOp(m.x, m.weight(2, 2, 3, 3), pads=(1, 1, 1, 1)), "conv"),
    "reflect": ((1, 1, 2, 3001), lambda m: nn.PadOp(m.x, (0, 0, 1, 40, 0, 0, 0, 33), "reflect"), "pad"),
    "edge": ((1, 1, 1, 3001), lambda m: nn.PadOp(m.x, (0, 0, 0, 3, 0, 0, 0, 5), "edge"), "pad"),
    "wrap": ((1, 1, 1, 3001), lambda m: nn.PadOp(m.x, (0, 0, 0, 3, 0, 0, 0, 0), "wrap"), "pad"),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG_ROWS)
def test_long_rows_are_cut(name: str) -> None:
    shape, build, op = LONG_ROWS[name]
    model = Model(shape)
    module = model.module(model(build(model)))
    left = check(model, module, FRONT)
    assert left.count("concat") >= 1
    if op == "conv":
        assert left.count("conv") == 1
        (found,) = (o for o in module.walk() if isinstance(o, nn.ConvOp))
        assert nn.shape_of(found.input)[2] * nn.shape_of(found.input)[3] < 10240


def test_short_rows_are_left_alone() -> None:
    model = Model((1, 1, 1, 4000))
    y = model(nn.PadOp(model.x, (0, 0, 0, 0, 0, 0, 0, 96)))
    left = check(model, model.module(model(nn.ConvOp(y, model.weight(3, 1, 1, 9), strides=(1, 2)))), FRONT)
    assert "concat" not in left


COMPOSITES: dict[str, Callable[[Model], Operation]] = {
    "softmax": lambda m: nn.SoftmaxOp(m.x, 3),
    "softmax channels": lambda m: nn.SoftmaxOp(m.x, 1),
    "log_softmax": lambda m: nn.LogSoftmaxOp(m.x, 3),
    "layer_norm": lambda m: nn.LayerNormOp(m.x, m.weight(9), m.weight(9), axis=3),
    "instance_norm": lambda m: nn.InstanceNormOp(m.x, m.weight(5), m.weight(5)),
    "batch_norm": lambda m: nn.BatchNormOp(m.x, *(m.weight(5, low=0.5, high=1.5) for _ in range(4))),
    "lrn": lambda m: nn.LRNOp(m.x, size=3, alpha=0.1, beta=0.75, bias=1.0),
    "hard_swish": lambda m: nn.HardSwishOp(m.x),
    "hard_sigmoid": lambda m: nn.HardSigmoidOp(m.x, 0.2, 0.5),
    **{
        f"reduce {kind}": lambda m, k=kind: nn.ReduceOp(m(nn.ExpOp(m.x)), k, (1,), keepdims=False)
        for kind in nn.REDUCE_KINDS
    },
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_composites(name: str) -> None:
    model = Model((2, 5, 4, 9))
    y = model(COMPOSITES[name](model))
    module = model.module(y)
    left = check(model, module, [NNDecomposePass(), NNSimplifyPass()])
    assert name.split(maxsplit=1)[0] not in left or name.startswith("reduce")
    check(model, module, BACK_END, tolerance=2e-2)


def groups(module: ModuleOp) -> list[str]:
    return [op.kind.data for op in module.walk() if isinstance(op, nn.GroupOp)]


FRONT: list[ModulePass] = [
    NNFoldConstantsPass(),
    NNFoldBatchNormPass(),
    NNSimplifyPass(),
    NNDecomposePass(),
    NNSimplifyPass(),
]


def test_residual_block() -> None:
    model = Model((1, 16, 8, 8))
    y = model(nn.ReluOp(batch_norm(model, conv(model, model.x, 16))))
    y = batch_norm(model, conv(model, y, 16))
    y = model(nn.ReluOp(model(nn.AddOp(y, conv(model, model.x, 16)))))
    module = model.module(y)
    check(model, module, FRONT)
    check(model, module, BACK_END, tolerance=2e-2)
    assert groups(module) == ["Cast", "ConvRelu", "Conv", "ConvAddRelu", "Cast"]


def test_silu_and_squeeze_excite() -> None:
    model = Model((1, 16, 8, 8))
    y = conv(model, model.x, 16)
    y = model(nn.MulOp(y, model(nn.SigmoidOp(y))))
    s = model(nn.ReduceOp(y, "mean", (2, 3), keepdims=True))
    s = model(nn.SigmoidOp(model(nn.ConvOp(s, model.weight(16, 16, 1, 1)))))
    module = model.module(model(nn.MulOp(y, s)))
    check(model, module, FRONT)
    check(model, module, BACK_END, tolerance=2e-2)
    assert groups(module) == ["CastConvSigmoidMul", "CastReduceMulCast", "ConvSigmoid", "MulCast"]


def test_softmax_is_one_group() -> None:
    model = Model((4, 10, 33))
    module = model.module(model(nn.SoftmaxOp(model.x, 2)))
    check(model, module, FRONT)
    check(model, module, BACK_END, tolerance=2e-2)
    assert len(groups(module)) == 1


def test_two_statistics_do_not_share_a_kernel() -> None:
    model = Model((4, 10, 33))
    y = model(nn.SoftmaxOp(model(nn.SoftmaxOp(model.x, 2)), 1))
    module = model.module(y)
    check(model, module, FRONT)
    check(model, module, BACK_END, tolerance=2e-2)
    assert len(groups(module)) >= 2
