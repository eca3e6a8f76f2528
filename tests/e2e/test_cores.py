"""Work is split over all cores of the chip, and the split writes no block of memory from two cores.

Granules are those of decision D6 (`Layout.granules`): 32 bytes row-major, a position of a C1 plane, a row of a fractal
column.  Every case runs on the simulator with the hazard check, which reports bytes that two blocks write and bytes of
the result that none writes, and is compared with numpy.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from ascend_mlir.dialects import ascend, davinci
from ascend_mlir.lowering.pipelines import CompiledModel, CompileOptions, compile_model
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.runtime.soc import load_soc
from onnx import TensorProto, helper, numpy_helper

CHIP = "Ascend310P3"
FEWEST = 8


def build(nodes, inputs, weights=()) -> bytes:
    """A model in f16 whose last node makes the output."""
    graph = helper.make_graph(
        nodes,
        "cores",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT16, a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT16, None)],
        [numpy_helper.from_array(array, name) for name, array in weights],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def run(model: bytes, inputs, soc: str) -> tuple[np.ndarray, CompiledModel, InferenceSession]:
    compiled = compile_model(model, CompileOptions(soc=soc, verify=True))
    session = InferenceSession(compiled.bytes, sanitize=True)
    return session.run(None, inputs)[0], compiled, session


def idle(compiled: CompiledModel, soc: str) -> list[str]:
    """Tasks with at least 8 granules that leave cores without work."""
    kernels = {op.sym_name.data: op for op in compiled.module.walk() if isinstance(op, davinci.KernelOp)}
    found: list[str] = []
    for launch in compiled.module.walk():
        if isinstance(launch, davinci.LaunchOp):
            granules = max(ascend.granules_of(v) for v in launch.outputs)
            blocks = kernels[launch.kernel.string_value()].blocks.value.data
            if granules >= FEWEST and blocks < min(load_soc(soc).cores, granules):
                found.append(f"{launch.kernel.string_value()}: {granules} granules, {blocks} blocks")
    return found


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float16)


MOVES = [
    ("Transpose", (2, 256, 4, 2), {"perm": [0, 2, 1, 3]}),  # pairs of elements
    ("Transpose", (80, 22, 22), {"perm": [1, 2, 0]}),
    ("Transpose", (2, 16, 4, 8), {"perm": [0, 2, 1, 3]}),  # tiles of less than 2 KB
    ("Transpose", (189, 128), {"perm": [1, 0]}),  # 16 rows of 378 bytes are whole blocks
    ("Transpose", (33, 128), {"perm": [1, 0]}),
    ("Transpose", (8, 64, 4), {"perm": [0, 2, 1]}),
    ("Transpose", (2, 256, 7), {"perm": [0, 2, 1]}),
    ("DepthToSpace", (1, 64, 22, 22), {"blocksize": 2}),
]


@pytest.mark.parametrize("soc", [CHIP, "Ascend310"])
@pytest.mark.parametrize(("op", "shape", "attributes"), MOVES)
def test_moves(op: str, shape: tuple[int, ...], attributes: dict, soc: str) -> None:
    x = random(*shape)
    got, compiled, _ = run(build([helper.make_node(op, ["x"], ["y"], **attributes)], {"x": x}), {"x": x}, soc)
    if op == "Transpose":
        want = x.transpose(attributes["perm"])
    else:
        n, c, h, w = shape
        want = x.reshape(n, 2, 2, c // 4, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)
    assert np.array_equal(got, want)
    assert idle(compiled, soc) == []


JOINS = [
    [(1, 4, 189), (1, 4, 189)],  # runs of 1512 bytes that meet inside of a block
    [(1, 48, 22, 22), (1, 48, 22, 22)],
    [(2, 8, 16, 16), (2, 8, 16, 16)],
    [(1, 20, 144), (1, 20, 48)],
    [(1, 3600, 2), (1, 800, 2)],
]


@pytest.mark.parametrize("shapes", JOINS, ids=str)
def test_concatenations(shapes: list[tuple[int, ...]]) -> None:
    arrays = {f"x{i}": random(*shape) for i, shape in enumerate(shapes)}
    axis = next((i for i, (a, b) in enumerate(zip(*shapes, strict=True)) if a != b), 1)
    node = helper.make_node("Concat", list(arrays), ["y"], axis=axis)
    got, compiled, _ = run(build([node], arrays), arrays, CHIP)
    assert np.array_equal(got, np.concatenate(list(arrays.values()), axis))
    assert idle(compiled, CHIP) == []


BROADCASTS = [
    ((4, 189), (1, 189)),  # rows of 378 bytes
    ((3, 1001), (3, 1)),
    ((9, 257), (9, 1)),
    ((2, 3, 5003), (2, 1, 5003)),
    ((3, 33, 70), (1, 33, 70)),
    ((32, 600), (32, 1)),  # two rows are whole blocks
    ((64, 24), (1, 24)),
    ((5, 1024), (1, 1024)),  # fewer rows than cores
    ((1, 130), (1, 1)),  # less than a repeat for each core
    ((16, 8, 12, 12), (16, 1, 12, 12)),  # rows of 24 bytes
    ((2, 1, 4, 1000), (1, 1, 1, 1000)),
]


@pytest.mark.parametrize(("whole", "part"), BROADCASTS, ids=str)
def test_broadcasts(whole: tuple[int, ...], part: tuple[int, ...]) -> None:
    feed = {"x": random(*whole), "w": random(*part)}
    got, compiled, _ = run(build([helper.make_node("Mul", ["x", "w"], ["y"])], feed), feed, CHIP)
    assert np.array_equal(got, feed["x"] * feed["w"])
    assert idle(compiled, CHIP) == []


SUMS = [(1, 1_000_000), (4, 60_000), (16, 100_000), (1, 640, 480), (3, 7, 30_000)]


@pytest.mark.parametrize("soc", [CHIP, "Ascend310", "Ascend910A"])
@pytest.mark.parametrize("shape", SUMS, ids=str)
def test_long_reductions(shape: tuple[int, ...], soc: str) -> None:
    """Rows longer than UB, to few numbers: pieces on all cores, then one launch that joins them."""
    x = random(*shape)
    axes = np.array([len(shape) - 1] if len(shape) != 3 or shape[0] == 3 else [1, 2])
    for op, exact in (("ReduceMean", np.mean), ("ReduceMax", np.max)):
        node = helper.make_node(op, ["x"], ["y"], axes=axes.tolist(), keepdims=1)
        got, compiled, session = run(build([node], {"x": x}), {"x": x}, soc)
        want = exact(x.astype(np.float64), axis=tuple(axes), keepdims=True)
        assert np.abs(got - want).max() <= (0 if op == "ReduceMax" else 1e-5)
        assert session.report.tasks[0].blocks == load_soc(soc).cores
        assert idle(compiled, soc) == []


def test_long_softmax() -> None:
    x = random(1, 120_000)
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    got, compiled, session = run(build([node], {"x": x}), {"x": x}, CHIP)
    want = np.exp(x.astype(np.float64) - x.max())
    assert np.abs(got - want / want.sum()).max() <= 2e-3 * (want / want.sum()).max() + 2**-24
    assert [task.blocks for task in session.report.tasks] == [8, 1, 8, 1, 8]
    assert idle(compiled, CHIP) == []


@pytest.mark.parametrize("soc", [CHIP, "Ascend310", "Ascend910A"])
def test_instance_norm_of_one_plane(soc: str) -> None:
    """Sixteen channels are one C1 plane: one core's, if it is not cut."""
    x = random(1, 16, 203, 211) + np.float16(3)
    eye = np.eye(16, dtype=np.float16)[:, :, None, None]
    scale, bias = np.full(16, 2, np.float16), np.ones(16, np.float16)
    nodes = [
        helper.make_node("Conv", ["x", "eye"], ["a"]),
        helper.make_node("InstanceNormalization", ["a", "scale", "bias"], ["b"]),
        helper.make_node("Conv", ["b", "eye"], ["y"]),
    ]
    model = build(nodes, {"x": x}, [("eye", eye), ("scale", scale), ("bias", bias)])
    got, _, session = run(model, {"x": x}, soc)
    wide = x.astype(np.float64)
    mean, variance = wide.mean((2, 3), keepdims=True), wide.var((2, 3), keepdims=True)
    want = (wide - mean) / np.sqrt(variance + 1e-5) * 2 + 1
    assert np.abs(got - want).max() <= 0.02
    blocks = [t.blocks for t in session.report.tasks if t.nodes and "Instance" in t.nodes[0]]
    cores = load_soc(soc).cores
    assert blocks == [cores, 1, cores, 1, cores]


def test_same_input_same_bytes() -> None:
    model = build([helper.make_node("Softmax", ["x"], ["y"], axis=1)], {"x": random(1, 120_000)})
    first, second = (compile_model(model, CompileOptions(soc=CHIP)).bytes for _ in range(2))
    assert first == second
    assert onnx.load_from_string(model).graph.node[0].op_type == "Softmax"


@pytest.mark.parametrize("soc", ["Ascend310P3", "Ascend910A"])
@pytest.mark.parametrize(
    ("sizes", "width"), [((3600, 600, 160, 60), 2), ((64, 32, 7), 16), ((1000, 3, 16), 16), ((16, 4421), 2)]
)
def test_runs_that_begin_at_whole_blocks_are_shared_each(sizes, width, soc) -> None:
    """A short last run does not keep the cores from the long ones (the output of ultraface)."""
    generator = np.random.default_rng(3)
    inputs = {
        f"x{i}": generator.standard_normal((1, n, width)).astype(np.float16) for i, n in enumerate(sizes)
    }
    model = build([helper.make_node("Concat", list(inputs), ["y"], axis=1)], inputs)
    result, compiled, _ = run(model, inputs, soc)
    np.testing.assert_array_equal(result, np.concatenate(list(inputs.values()), axis=1))
    kernels = [op for op in compiled.module.walk() if isinstance(op, davinci.KernelOp)]
    assert [op.blocks.value.data for op in kernels] in ([], [load_soc(soc).cores])
