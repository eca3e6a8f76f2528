"""Vector groups through the generator, all passes, the encoder and the simulator with hazard checks, against
the nn interpreter; on each SoC, because they lack different instructions."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.dialects import ascend, nn
from ascend_mlir.dialects.blobs import Blob
from ascend_mlir.dialects.layouts import ND, fractal_nz, nc1hwc0
from ascend_mlir.lowering.vector_kernel import choose_schedule, generate
from ascend_mlir.runtime.interp.nn_roots import to_terms
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
        """f16 results of an instruction that rounds saturate on these chips; bits that are only moved do
        not."""
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

    @pytest.mark.parametrize("axes", [[2], [3]])
    @pytest.mark.parametrize("kind", ["mean", "max", "sum"])
    def test_one_side_of_a_plane(self, soc, axes, kind):
        build = lambda a, x: a(nn.ReduceOp(x[0], kind, axes, True))  # noqa: E731
        run(soc, [((2, 20, 8, 6), "f16", HALF)], build, HALF, absolute=1e-3)

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


def number(a, value, dtype="f16"):
    return a(nn.ConstantOp(Blob.splat(value, (), dtype)))


def rms_norm(a, x):
    mean = a(nn.ReduceOp(a(nn.MulOp(x[0], x[0])), "mean", [2], True))
    factor = a(nn.RsqrtOp(a(nn.AddOp(mean, number(a, 1e-5)))))
    return a(nn.MulOp(a(nn.MulOp(x[0], factor)), x[1]))


def masked_attention(a, x):
    scaled = a(nn.MulOp(x[0], number(a, 0.125)))
    return a(nn.SoftmaxOp(a(nn.WhereOp(x[1], scaled, number(a, -60000.0))), 3))


def residual_layer_norm(a, x):
    total = a(nn.AddOp(x[0], x[1]))
    return [total, a(nn.LayerNormOp(total, x[2], x[3], axis=2))]


def rotary(a, x):
    return a(nn.AddOp(a(nn.MulOp(x[0], x[2])), a(nn.MulOp(x[1], x[3]))))


def half(*shapes):
    return [(s, "f16", ND) for s in shapes]


COMPOSITES = {
    "rms_norm": (half((1, 33, 256), (1, 1, 256)), rms_norm),
    "masked_attention": ([*half((1, 4, 20, 20)), ((1, 1, 20, 20), "bool", ND)], masked_attention),
    "residual_layer_norm": (half((2, 16, 768), (2, 16, 768), (768,), (768,)), residual_layer_norm),
    "rotary": (half((1, 4, 12, 64), (1, 4, 12, 64), (1, 1, 12, 64), (1, 1, 12, 64)), rotary),
    "group_norm": (half((2, 32, 500), (32,), (32,)), lambda a, x: a(nn.InstanceNormOp(*x))),
    "group_norm_in_pieces": (half((1, 4, 50000), (4,), (4,)), lambda a, x: a(nn.InstanceNormOp(*x))),
    "reduce_without_dims": (half((4, 33, 256)), lambda a, x: a(nn.ReduceOp(x[0], "mean", [2]))),
    "reduce_all": (half((4, 33, 25)), lambda a, x: a(nn.ReduceOp(x[0], "max", [0, 1, 2], True))),
    "dynamic_scalar": (half((3, 100), (1, 1)), lambda a, x: a(nn.MulOp(*x))),
    "mask_from_tokens": (
        [((1, 128), "i64", ND)],
        lambda a, x: a(nn.SubOp(number(a, 1.0), a(nn.CastOp(x[0], "f16")))),
    ),
}


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("name", COMPOSITES)
def test_composite(soc, name):
    operands, build = COMPOSITES[name]
    run(soc, operands, build, ulps=8, absolute=5e-3)


def test_schedule_is_followed():
    """A schedule that was chosen, printed and edited gives the kernel it describes."""
    case = Case(half((64, 1000)), lambda a, x: a(nn.ReluOp(x[0])))
    soc = load_soc("Ascend310P3")
    chosen = choose_schedule(case.group, soc)
    plain = str(generate(case.group, soc, "k"))
    case.group.properties["schedule"] = ascend.ScheduleAttr.of(chosen)
    assert str(generate(case.group, soc, "k")) == plain
    case.group.properties["schedule"] = ascend.ScheduleAttr.of({**chosen, "columns": 1024, "blocks": 2})
    assert "blocks 2" in str(generate(case.group, soc, "k"))


def test_kernels_stay_small():
    """Code size does not grow with the tensor."""
    sizes = {
        rows: len(list(Case(half((rows, 1024)), lambda a, x: a(nn.SoftmaxOp(x[0], 1))).kernel().walk()))
        for rows in (512, 65536)
    }
    assert sizes[65536] <= sizes[512] <= 250


TERM_WINDOWS = [
    {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    {"kernel": (2, 2), "strides": (2, 2)},
    {"kernel": (3, 1), "strides": (1, 2), "pads": (1, 0, 1, 0), "dilations": (2, 1)},
]


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("window", TERM_WINDOWS, ids=str)
def test_pool_of_terms(soc, window):
    """The maximum of both terms together, bit for bit; many of the first terms are equal."""
    close = 1.0 + 1e-3 * random((2, 32, 15, 22), "f32", 2) * np.array([1, -1000])[:, None, None, None]
    x = to_terms(close.astype(np.float32))
    case = Case([(x.shape, "f16", HALF)], lambda a, v: a(nn.MaxPoolOp(v[0], **window, terms=True)), HALF)
    case.simulate = True
    (got,), (want,) = case.run([x], soc), case.reference([x])
    np.testing.assert_array_equal(got, want)
