"""Move kernels: op → kernel → machine code → simulator, byte for byte against numpy; hazards on."""

from __future__ import annotations

import numpy as np
import pytest
from ascend_mlir.dialects import ascend, nn
from ascend_mlir.dialects.dtypes import numpy_dtype
from ascend_mlir.dialects.layouts import ND, Format, Layout
from ascend_mlir.dialects.nn_attrs import tensor_type
from ascend_mlir.lowering import move_kernel
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.interp.nn import run_block
from ascend_mlir.runtime.interp.nn_roots import to_terms
from ascend_mlir.runtime.soc import load_soc
from ascend_mlir.runtime.weights import WeightStore
from move_simulator import simulate
from xdsl.dialects.test import TestOp
from xdsl.ir import Block, Region

BLOCKED = Layout(Format.NC1HWC0, 16)
MATRIX = Layout(Format.FRACTAL_NZ, 16)
NHWC = Layout(Format.NHWC)
SOCS = ["Ascend310P3", "Ascend310", "Ascend910A"]


def value(shape, dtype, layout):
    return TestOp(result_types=[ascend.with_layout(tensor_type(shape, dtype), layout)]).results[0]


def random(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype in ("f16", "f32"):
        return rng.standard_normal(shape).astype(numpy_dtype(dtype))
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(-100, 100, shape).astype(numpy_dtype(dtype))


def run(op, inputs, expected, soc_name, most=None, ops=250):
    """Generates, runs and compares; `most` bounds cycles over the DDR bound, `ops` the size of the kernel."""
    soc = load_soc(soc_name)
    kernel = move_kernel.generate(op, soc, "move")
    kernel.verify()
    count = sum(1 for _ in kernel.walk())
    assert count <= ops
    out = simulate(kernel, soc, inputs, [expected.nbytes])
    assert not out.hazards, out.hazards[:3]
    got = np.frombuffer(out.outputs[0].tobytes(), expected.dtype).reshape(expected.shape)
    assert got.tobytes() == expected.tobytes(), f"{np.count_nonzero(got != expected)} elements differ"
    if most is not None:
        assert out.cycles <= most * out.bound + 1500, f"{out.cycles} cycles, bound {out.bound:.0f}"
    return out


def check_format(shape, source, result, soc_name, dtypes=("f16", "f16"), most=None):
    x = random(shape, dtypes[0])
    src, expected = source.pack(x), result.pack(x.astype(numpy_dtype(dtypes[1])))
    if source.format is Format.NHWC:
        src = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    if result.format is Format.NHWC:
        expected = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    operand = value(shape, dtypes[0], source)
    if dtypes[0] == dtypes[1]:
        op = ascend.TransDataOp(operand, result)
    else:
        block = Block(arg_types=[ascend.logical(operand.type)])
        cast = nn.CastOp(block.args[0], dtypes[1])
        block.add_ops([cast, nn.YieldOp(cast.output)])
        typ = ascend.with_layout(cast.output.type, result)
        op = ascend.GroupOp("Cast", [operand], [typ], "move", Region(block))
    return run(op, [src], expected, soc_name, most)


def check_op(shapes, build, soc_name, dtype="f16", layout=ND, most=None, ops=250):
    arrays = [random(s, dtype, i) for i, s in enumerate(shapes)]
    operands = [value(s, dtype, layout) for s in shapes]
    block = Block(arg_types=[ascend.logical(v.type) for v in operands])
    op = build(*block.args)
    block.add_ops([op, nn.YieldOp(op.output)])
    group = ascend.GroupOp(
        "Move", operands, [ascend.with_layout(op.output.type, layout)], "move", Region(block)
    )
    (expected,) = run_block(group.body.block, arrays, WeightStore())
    expected = np.ascontiguousarray(expected)
    return run(group, [layout.pack(a) for a in arrays], layout.pack(expected), soc_name, most, ops)


FORMAT_SHAPES = [
    (1, 3, 32, 32),
    (1, 1, 13, 7),
    (1, 16, 7, 7),
    (3, 17, 7, 7),
    (16, 5, 1, 1),
    (1, 1000, 1, 1),
    (3, 1000, 1, 1),
    (2, 40, 13, 13),
    (1, 20, 2, 3),
    (3, 3, 1, 225),
    (1, 64, 14, 14),
]


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("shape", FORMAT_SHAPES, ids=str)
def test_feature_maps(shape, soc):
    for dtypes in (("f16", "f16"), ("f32", "f16")):
        check_format(shape, ND, BLOCKED, soc, dtypes)
        check_format(shape, BLOCKED, ND, soc, dtypes[::-1])


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("shape", [(33, 50257), (2, 5, 40003), (1, 50257)], ids=str)
def test_rows_too_long_for_ub(shape, soc):
    check_format(shape, MATRIX, ND, soc)


@pytest.mark.parametrize("shape", [(1, 3, 13, 9), (2, 33, 5, 7), (1, 32, 8, 8)], ids=str)
def test_channels_last(shape):
    check_format(shape, NHWC, BLOCKED, "Ascend310P3")
    check_format(shape, BLOCKED, NHWC, "Ascend310P3")
    check_format(shape, NHWC, ND, "Ascend310P3")
    check_format(shape, ND, NHWC, "Ascend310P3")


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize(
    "shape", [(16, 16), (197, 768), (5, 17), (1, 1000), (3, 50, 33), (2, 3, 40, 64), (31, 15)], ids=str
)
def test_matrices(shape, soc):
    check_format(shape, ND, MATRIX, soc)
    check_format(shape, MATRIX, ND, soc)


TRANSPOSES = [
    ((64, 64), (1, 0)),
    ((197, 77), (1, 0)),
    ((7, 5), (1, 0)),
    ((1000, 3), (1, 0)),
    ((3, 1000), (1, 0)),
    ((5, 37, 41), (0, 2, 1)),
    ((20, 30, 17), (2, 1, 0)),
    ((2, 3, 4, 5), (3, 2, 1, 0)),
    ((12, 7, 9), (1, 2, 0)),
    ((4, 60, 3, 33), (0, 3, 1, 2)),
    ((3, 5, 7, 11), (0, 3, 2, 1)),
    ((197, 12, 64), (1, 0, 2)),
    ((9, 5, 3), (1, 0, 2)),
    ((2, 197, 12, 64), (0, 2, 3, 1)),
    ((6, 13, 13), (2, 0, 1)),
]


@pytest.mark.parametrize("dtype", ["f16", "f32", "bool", "i64"])
@pytest.mark.parametrize(("shape", "perm"), TRANSPOSES, ids=str)
def test_transpose(shape, perm, dtype):
    for soc in SOCS if dtype == "f16" else ("Ascend310",):
        check_op([shape], lambda x: nn.TransposeOp(x, perm), soc, dtype)


MOVES = {
    "slice_rows": ([(10, 33)], lambda x: nn.SliceOp(x, (2, 0), (5, 33))),
    "slice_columns": ([(50, 85)], lambda x: nn.SliceOp(x, (0, 5), (50, 80))),
    "slice_few_columns": ([(300, 85)], lambda x: nn.SliceOp(x, (0, 1), (300, 4))),
    "slice_steps": ([(3, 12, 20)], lambda x: nn.SliceOp(x, (0, 1, 0), (3, 6, 10), (1, 2, 2))),
    "slice_reverse": ([(6, 21)], lambda x: nn.SliceOp(x, (5, 20), (6, 21), (-1, -1))),
    "concat_rows": ([(1, 77), (196, 77)], lambda a, b: nn.ConcatOp([a, b], 0)),
    "concat_columns": ([(40, 13), (40, 20), (40, 1)], lambda a, b, c: nn.ConcatOp([a, b, c], 1)),
    "concat_aligned": ([(40, 64), (40, 32)], lambda a, b: nn.ConcatOp([a, b], 1)),
    "concat_long": ([(2, 3, 45, 45), (2, 2, 45, 45)], lambda a, b: nn.ConcatOp([a, b], 1)),
    "pad_constant": ([(3, 15, 17)], lambda x: nn.PadOp(x, (0, 1, 2, 0, 3, 1), "constant", 1.5)),
    "pad_columns": ([(30, 17)], lambda x: nn.PadOp(x, (0, 1, 0, 2))),
    "pad_reflect": ([(2, 9, 11)], lambda x: nn.PadOp(x, (0, 2, 3, 0, 1, 2), "reflect")),
    "pad_edge": ([(2, 9, 11)], lambda x: nn.PadOp(x, (1, 2, 3, 0, 1, 2), "edge")),
    "crop": ([(4, 20, 20)], lambda x: nn.PadOp(x, (0, -2, -3, 0, -1, -2))),
    "depth_to_space": ([(2, 12, 5, 7)], lambda x: nn.DepthToSpaceOp(x, 2)),
    "depth_to_space_crd": ([(1, 9, 8, 9)], lambda x: nn.DepthToSpaceOp(x, 3, "CRD")),
    "space_to_depth": ([(1, 3, 12, 10)], lambda x: nn.SpaceToDepthOp(x, 2)),
    "expand_rows": ([(1, 40)], lambda x: nn.ExpandOp(x, (30, 40))),
    "expand_columns": ([(30, 1)], lambda x: nn.ExpandOp(x, (30, 50))),
    "expand_middle": ([(3, 1, 7)], lambda x: nn.ExpandOp(x, (3, 20, 7))),
    "tile": ([(3, 5)], lambda x: nn.TileOp(x, (2, 3))),
    "resize_two": ([(1, 3, 9, 11)], lambda x: nn.ResizeOp(x, (1, 3, 18, 22), scales=(1, 1, 2, 2))),
    "resize_any": ([(1, 2, 9, 11)], lambda x: nn.ResizeOp(x, (1, 2, 13, 17), scales=(1, 1, 13 / 9, 17 / 11))),
    "resize_drops_columns": (
        [(2, 5, 18, 6)],
        lambda x: nn.ResizeOp(
            x, (2, 5, 54, 5), scales=(1, 1, 3, 5 / 6), coordinate="asymmetric", nearest="floor"
        ),
    ),
    "reshape": ([(7, 11, 3)], lambda x: nn.ReshapeOp(x, (77, 3))),
    "channel_shuffle": ([(2, 2, 29, 49)], lambda x: nn.TransposeOp(x, (0, 2, 1, 3))),
    "slice_one_column": ([(256, 5, 4)], lambda x: nn.SliceOp(x, (0, 0, 2), (256, 5, 1))),
    "concat_many_columns": ([(9, 150), (9, 300), (9, 800)], lambda *x: nn.ConcatOp(list(x), 1)),
    "pixel_shuffle": ([(1, 64, 16, 17)], lambda x: nn.DepthToSpaceOp(x, 2, "CRD")),
    "window": ([(1, 2, 7, 2, 7, 24)], lambda x: nn.TransposeOp(x, (0, 1, 3, 2, 4, 5))),
}


@pytest.mark.parametrize("dtype", ["f16", "f32", "bool"])
@pytest.mark.parametrize("name", MOVES)
def test_moves(name, dtype):
    shapes, build = MOVES[name]
    if dtype == "bool" and name == "pad_constant":
        return
    for soc in SOCS if dtype == "f16" else ("Ascend310P3",):
        check_op(shapes, build, soc, dtype)


BLOCKED_MOVES = {
    "concat": ([(1, 32, 9, 9), (1, 17, 9, 9)], lambda a, b: nn.ConcatOp([a, b], 1)),
    "concat_batch": ([(3, 16, 5, 5), (3, 32, 5, 5)], lambda a, b: nn.ConcatOp([a, b], 1)),
    "pad": ([(1, 20, 7, 9)], lambda x: nn.PadOp(x, (0, 0, 1, 2, 0, 0, 3, 1))),
    "pad_rows": ([(2, 20, 7, 9)], lambda x: nn.PadOp(x, (0, 0, 1, 0, 0, 0, 2, 0))),
    "pad_reflect": ([(1, 20, 7, 9)], lambda x: nn.PadOp(x, (0, 0, 1, 2, 0, 0, 3, 1), "reflect")),
    "slice": ([(1, 48, 9, 9)], lambda x: nn.SliceOp(x, (0, 16, 2, 1), (1, 32, 5, 6))),
    "slice_steps": ([(1, 20, 10, 12)], lambda x: nn.SliceOp(x, (0, 0, 0, 1), (1, 20, 5, 6), (1, 1, 2, 2))),
    "resize_two": ([(1, 20, 9, 11)], lambda x: nn.ResizeOp(x, (1, 20, 18, 22), scales=(1, 1, 2, 2))),
    "resize_rows": ([(1, 20, 9, 11)], lambda x: nn.ResizeOp(x, (1, 20, 27, 11), scales=(1, 1, 3, 1))),
    "resize_any": (
        [(1, 20, 9, 11)],
        lambda x: nn.ResizeOp(x, (1, 20, 13, 17), scales=(1, 1, 13 / 9, 17 / 11)),
    ),
    "depth_to_space": ([(1, 64, 9, 11)], lambda x: nn.DepthToSpaceOp(x, 2)),
    "space_to_depth": ([(2, 32, 10, 12)], lambda x: nn.SpaceToDepthOp(x, 2)),
    "resize_down": ([(1, 20, 12, 20)], lambda x: nn.ResizeOp(x, (1, 20, 6, 10), scales=(1, 1, 0.5, 0.5))),
}


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("name", BLOCKED_MOVES)
def test_moves_in_blocks_of_channels(name, soc):
    shapes, build = BLOCKED_MOVES[name]
    check_op(shapes, build, soc, layout=BLOCKED)


SIZES = (1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 20, 31, 32, 33, 48, 65, 100)


@pytest.mark.parametrize("seed", range(12))
def test_random_transposes_and_slices(seed):
    rng = np.random.default_rng(seed)
    soc, dtype = SOCS[seed % 3], ("f16", "f32", "bool", "i32")[seed % 4]
    for _ in range(3):
        rank = int(rng.integers(2, 5))
        shape = tuple(int(rng.choice(SIZES)) for _ in range(rank))
        while np.prod(shape) > 40000:
            shape = tuple(max(1, n // 2) for n in shape)
        perm = tuple(int(i) for i in rng.permutation(rank))
        check_op([shape], lambda x, perm=perm: nn.TransposeOp(x, perm), soc, dtype)
        starts = tuple(int(rng.integers(0, n)) for n in shape)
        steps = tuple(int(rng.choice([1, 1, 2, 3])) for _ in shape)
        sizes = tuple((n - 1 - a) // k + 1 for n, a, k in zip(shape, starts, steps, strict=True))
        check_op([shape], lambda x, a=(starts, sizes, steps): nn.SliceOp(x, *a), soc, dtype)


@pytest.mark.parametrize("shape", [(1, 1000, 1, 1), (5, 33, 1, 1), (16, 1000, 1, 1)], ids=str)
def test_one_pixel_is_a_row(shape):
    check_format(shape, BLOCKED, ND, "Ascend310P3", ("f16", "f32"))
    check_format(shape, BLOCKED, ND, "Ascend310")


def test_schedule_replaces_tile_sizes():
    block = Block(arg_types=[tensor_type((64, 64), "f16")])
    op = nn.TransposeOp(block.args[0], (1, 0))
    block.add_ops([op, nn.YieldOp(op.output)])
    x = random((64, 64), "f16")
    group = ascend.GroupOp("Move", [value((64, 64), "f16", ND)], [op.output.type], "move", Region(block))
    soc = load_soc("Ascend310P3")
    chosen = move_kernel.choose_schedule(group, soc)
    assert chosen["kind"] == "transpose"
    group.properties["schedule"] = ascend.ScheduleAttr.of(chosen | {"columns": 32})
    out = run(group, [x], np.ascontiguousarray(x.T), "Ascend310P3")
    assert out.cycles > 0


def test_speed():
    """Near the DDR bound of 17 bytes per cycle and core (310P3)."""
    check_format((1, 3, 224, 224), ND, BLOCKED, "Ascend310P3", ("f32", "f16"), most=1.3)
    check_format((1, 64, 112, 112), ND, BLOCKED, "Ascend310P3", most=1.3)
    check_format((1, 64, 112, 112), BLOCKED, ND, "Ascend310P3", most=1.3)
    check_format((1024, 768), ND, MATRIX, "Ascend310P3", most=2)
    check_format((1024, 768), MATRIX, ND, "Ascend310P3", most=2)
    check_op([(1024, 1024)], lambda x: nn.TransposeOp(x, (1, 0)), "Ascend310P3", most=1.5)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 3, 17, 9), (1, 5, 1, 3), (3, 1, 64, 65)])
def test_terms_of_a_model_input(soc, shape):
    """f32 planes become one block whose lanes hold all terms, bit for bit."""
    x = 100 * random(shape, "f32", 1)
    source = value(shape, "f32", ND)
    result = ascend.with_layout(tensor_type((shape[0], 3 * shape[1], *shape[2:]), "f16"), BLOCKED)
    block = Block(arg_types=[ascend.logical(source.type)])
    op = nn.ToTermsOp(block.args[0])
    block.add_ops([op, nn.YieldOp(op.output)])
    group = ascend.GroupOp("ToTerms", [source], [result], "move", Region(block))
    run(group, [x], BLOCKED.pack(to_terms(x)), soc)


def check_gather(length, row, indices, soc_name, dtype="f16", index_dtype="i64"):
    table = random((length, *row), dtype)
    wanted = np.asarray(indices, numpy_dtype(index_dtype))
    shapes = [table.shape, wanted.shape]
    operands = [value(s, d, ND) for s, d in zip(shapes, (dtype, index_dtype), strict=True)]
    block = Block(arg_types=[v.type for v in operands])
    op = nn.GatherOp(*block.args, 0)
    block.add_ops([op, nn.YieldOp(op.output)])
    group = ascend.GroupOp("Gather", operands, [op.output.type], "move", Region(block))
    # an index outside of the table takes the nearest row
    inside = np.clip(wanted.astype(np.int64), -length, length - 1) % length
    return run(group, [table, wanted], table[inside], soc_name)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("count", [1, 3, 8, 45, 700, 20000])
def test_rows_by_indices_from_memory(soc, count):
    indices = np.random.default_rng(count).integers(-100, 100, count)
    check_gather(100, (32,), indices, soc)
    check_gather(100, (3, 16), indices.reshape(1, -1), soc, "f32", "i32")


@pytest.mark.parametrize("count", [1, 5, 20])
def test_long_rows_by_indices_are_shared_in_pieces(count):
    """Every core takes pieces of rows where there are few rows, or rows that do not fit a tile."""
    indices = np.random.default_rng(count).integers(-7, 7, count)
    out = check_gather(7, (50000,), indices, "Ascend310P3", "i32", "i64")
    assert out.cycles < 3 * out.bound + 4000
    check_gather(7, (4064,), indices, "Ascend310P3", "i8", "i64")


@pytest.mark.parametrize("dtype", ["i32", "i64"])
def test_indices_outside_of_the_table_take_the_nearest_row(dtype):
    low, high = (-(2**31), 2**31 - 1) if dtype == "i32" else (-(2**63), 2**63 - 1)
    check_gather(10, (16,), [low, -11, -10, -1, 0, 9, 10, high], "Ascend310P3", "f16", dtype)


def test_rows_that_are_no_whole_blocks_are_refused():
    with pytest.raises(AscendError, match="rows of 10 bytes"):
        check_gather(10, (5,), [1, 2], "Ascend310P3")


def concat_of(*parts):
    return nn.ConcatOp(parts, 0)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("dtype", ["f16", "f32", "bool"])
@pytest.mark.parametrize(
    "sizes", [[66, 462] * 8, [1000, 17, 33, 900], [300] * 3, [4000, 40], [33] * 20], ids=str
)
def test_runs_side_by_side_are_shared_by_place(sizes, dtype, soc):
    """Cores get ranges of the output: runs that are too short to be shared each are shared together."""
    out = check_op([(n,) for n in sizes], concat_of, soc, dtype, ops=400)
    assert out.cycles < (
        9000 if dtype == "bool" else 4000
    )  # rows of 33 bytes: each store waits for the one before


def test_short_runs_use_all_cores():
    soc = load_soc("Ascend310P3")
    block = Block(arg_types=[tensor_type((n,), "f16") for n in [66, 462] * 8])
    op = concat_of(*block.args)
    block.add_ops([op, nn.YieldOp(op.output)])
    operands = [value((n,), "f16", ND) for n in [66, 462] * 8]
    group = ascend.GroupOp("Concat", operands, [op.output.type], "move", Region(block))
    kernel = move_kernel.generate(group, soc, "move")
    assert kernel.blocks.value.data == soc.cores


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("pads", [(3, 5), (0, 254), (100, 0), (128, 400)])
@pytest.mark.parametrize("size", [5000, 43844])
def test_pads_of_one_row_are_shared(size, pads, soc):
    check_op([(1, size)], lambda x: nn.PadOp(x, (0, pads[0], 0, pads[1]), "constant", 2.0), soc)


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("count", [16, 20, 2740, 5001])
def test_one_plane_of_one_channel(count, soc):
    """A single row of the output may end anywhere: behind it nothing begins."""
    check_format((1, 1, 1, count), BLOCKED, ND, soc)
    check_format((1, 1, 1, count), BLOCKED, ND, soc, ("f16", "f32"))
    check_op([(count, 3)], lambda x: nn.SliceOp(x, (0, 1), (count, 1)), soc, "f32")
