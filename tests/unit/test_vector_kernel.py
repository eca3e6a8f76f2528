"""Vector groups through the generator, all passes, the encoder and the simulator with hazard checks, against the nn
interpreter; on each SoC, because they lack different instructions."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.dialects import nn
from ascend_mlir.dialects.layouts import ND, fractal_nz, nc1hwc0
from ascend_mlir.lowering.vector_kernel import choose_schedule
from ascend_mlir.runtime.soc import load_soc
from vector_cases import Case, check, random

SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]
HALF = nc1hwc0("f16")
NZ = fractal_nz("f16")


def run(soc, operands, build, layout=ND, *, ulps=2.0, absolute=0.0, low=-4.0, high=4.0):
    case = Case(operands, build, layout)
    case.simulate = True
    inputs = [random(s, d, i + 1, low, high) for i, (s, d, _) in enumerate(operands)]
    check(case, inputs, soc, ulps=ulps, absolute=absolute)
    return case


@pytest.mark.parametrize("soc", SOCS)
class TestElementwise:
    @pytest.mark.parametrize("shape", [(3, 100), (64, 1000), (5,), (1, 1)])
    def test_flat(self, soc, shape):
        run(soc, [(shape, "f16", ND)] * 2, lambda a, x: a(nn.AddOp(*x)))

    def test_padding_stays_zero(self, soc):
        run(soc, [((2, 20, 7, 7), "f16", HALF)], lambda a, x: a(nn.SigmoidOp(x[0])), HALF, absolute=3e-5)

    def test_matrix_padding_stays_zero(self, soc):
        run(soc, [((37, 50), "f16", NZ)], lambda a, x: a(nn.SigmoidOp(x[0])), NZ, absolute=3e-5)

    def test_matrix_with_row_vector(self, soc):
        operands = [((2, 37, 50), "f16", NZ), ((50,), "f16", HALF)]
        run(soc, operands, lambda a, x: a(nn.ReluOp(a(nn.AddOp(*x)))), NZ)

    @pytest.mark.parametrize(
        "other", [(1, 20, 1, 1), (2, 20, 1, 1), (1, 20, 7, 9), (2, 20, 7, 1), (2, 20, 1, 9)]
    )
    def test_channel_broadcast(self, soc, other):
        run(soc, [((2, 20, 7, 9), "f16", HALF), (other, "f16", HALF)], lambda a, x: a(nn.MulOp(*x)), HALF)

    def test_channel_broadcast_in_f32(self, soc):
        operands = [((2, 20, 9, 9), "f16", HALF), ((1, 20, 1, 1), "f16", HALF)]
        run(soc, operands, lambda a, x: a(nn.SigmoidOp(a(nn.AddOp(*x)))), HALF, absolute=3e-5)

    @pytest.mark.parametrize("other", [(1, 5, 1, 1), (2, 1, 7, 9), (1, 1, 1, 9), (2, 1, 7, 1), (1, 1, 1, 1)])
    @pytest.mark.parametrize("dtype", ["f16", "f32"])
    def test_broadcast(self, soc, other, dtype):
        run(soc, [((2, 5, 7, 9), dtype, ND), (other, dtype, ND)], lambda a, x: a(nn.AddOp(*x)))

    def test_where(self, soc):
        operands = [((10, 48), "bool", ND), ((10, 48), "f16", ND), ((10, 48), "f16", ND)]
        run(soc, operands, lambda a, x: a(nn.WhereOp(*x)))

    def test_where_keeps_infinities_apart(self, soc):
        """f16 results of an instruction that rounds saturate on these chips; bits that are only moved do not."""
        case = Case([((4, 48), t, ND) for t in ("bool", "f16", "f16")], lambda a, x: a(nn.WhereOp(*x)))
        case.simulate = True
        chosen, value = random((4, 48), "bool", 1), random((4, 48), "f16", 2)
        (got,) = case.run([chosen, value, np.full((4, 48), -np.inf, np.float16)], soc)
        np.testing.assert_array_equal(got[chosen], value[chosen])
        assert (got[~chosen] <= -65504).all()

    def test_integers(self, soc):
        run(soc, [((10, 50), "i32", ND)] * 2, lambda a, x: a(nn.MulOp(*x)))

    @pytest.mark.parametrize(
        "source,target", [("i64", "i32"), ("i32", "i64"), ("i64", "f16"), ("bool", "i64")]
    )
    def test_long_integers(self, soc, source, target):
        run(soc, [((7, 50), source, ND)], lambda a, x: a(nn.CastOp(x[0], target)))


@pytest.mark.parametrize("soc", SOCS)
class TestReductions:
    @pytest.mark.parametrize("shape", [(64, 1024), (40, 197), (2, 3, 40, 64), (3, 10), (1, 1000), (200, 49)])
    def test_softmax(self, soc, shape):
        build = lambda a, x: a(nn.SoftmaxOp(x[0], len(shape) - 1))  # noqa: E731
        run(soc, [(shape, "f16", ND)], build, absolute=3e-4 if soc == "Ascend310" else 1e-6)

    def test_softmax_longer_than_ub(self, soc):
        case = run(soc, [((3, 40000), "f16", ND)], lambda a, x: a(nn.SoftmaxOp(x[0], 1)), absolute=1e-6)
        assert choose_schedule(case.group, load_soc(soc))["mode"] == "split"

    def test_masked_softmax(self, soc):
        operands = [((2, 3, 20, 33), "f16", ND), ((2, 1, 1, 33), "f16", ND)]
        build = lambda a, x: a(nn.SoftmaxOp(a(nn.AddOp(*x)), 3))  # noqa: E731
        run(soc, operands, build, absolute=1e-3)

    @pytest.mark.parametrize("width", [768, 50])
    def test_layer_norm(self, soc, width):
        operands = [((37, width), "f16", ND), ((width,), "f16", ND), ((width,), "f16", ND)]
        run(soc, operands, lambda a, x: a(nn.LayerNormOp(*x, axis=1)), absolute=2e-3, ulps=4)

    @pytest.mark.parametrize("size", [12, 80])
    def test_instance_norm(self, soc, size):
        operands = [((2, 20, size, size), "f16", HALF), ((20,), "f16", HALF), ((20,), "f16", HALF)]
        run(soc, operands, lambda a, x: a(nn.InstanceNormOp(*x)), HALF, absolute=2e-3, ulps=4)

    @pytest.mark.parametrize("kind", ["mean", "max", "min", "sum", "l2"])
    def test_global_pool(self, soc, kind):
        build = lambda a, x: a(nn.ReduceOp(x[0], kind, [2, 3], True))  # noqa: E731
        run(soc, [((2, 40, 7, 7), "f16", HALF)], build, HALF, absolute=2e-3)

    @pytest.mark.parametrize("kind", ["mean", "max", "min", "log_sum_exp"])
    @pytest.mark.parametrize("dtype", ["f16", "f32"])
    def test_rows(self, soc, kind, dtype):
        build = lambda a, x: a(nn.ReduceOp(x[0], kind, [1], True))  # noqa: E731
        run(soc, [((100, 48), dtype, ND)], build, absolute=2e-2 if soc == "Ascend310" else 2e-4)


WINDOWS = [
    {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    {"kernel": (2, 2), "strides": (2, 2)},
    {"kernel": (5, 5), "strides": (1, 1), "pads": (2, 2, 2, 2)},
    {"kernel": (3, 3), "strides": (2, 2), "pads": (0, 0, 1, 1)},
    {"kernel": (1, 1), "strides": (2, 2)},
    {"kernel": (1, 3), "strides": (1, 2), "pads": (0, 1, 0, 1), "dilations": (1, 2)},
]


@pytest.mark.parametrize("soc", SOCS)
class TestWindows:
    @pytest.mark.parametrize("window", WINDOWS, ids=str)
    @pytest.mark.parametrize("op", [nn.MaxPoolOp, nn.AvgPoolOp])
    def test_pool(self, soc, op, window):
        run(soc, [((2, 20, 15, 22), "f16", HALF)], lambda a, x: a(op(x[0], **window)), HALF)

    def test_padding_counts(self, soc):
        build = lambda a, x: a(nn.AvgPoolOp(x[0], **WINDOWS[0], count_include_pad=True))  # noqa: E731
        run(soc, [((1, 20, 15, 22), "f16", HALF)], build, HALF)

    def test_epilogue(self, soc):
        operands = [((1, 20, 15, 22), "f16", HALF), ((1, 20, 1, 1), "f16", HALF)]
        build = lambda a, x: a(nn.SigmoidOp(a(nn.AddOp(a(nn.MaxPoolOp(x[0], **WINDOWS[0])), x[1]))))  # noqa: E731
        run(soc, operands, build, HALF, absolute=3e-5)
