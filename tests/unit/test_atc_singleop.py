"""Single operators by the public tool's descriptor files: compiled, run on the simulator, compared with numpy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ascend_mlir.lowering.single_op_table import OPERATORS
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.tools.atc import main
from numpy.typing import NDArray

Array = NDArray[Any]
SOC = "--soc_version=Ascend310P3"


def atc(*words: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(words))
    assert isinstance(done.value.code, int)
    return done.value.code


def desc(shape: list[int], dtype: str = "float16", layout: str = "ND", **more: Any) -> dict[str, Any]:
    return {"format": layout, "shape": shape, "type": dtype, **more}


def const(values: list[int], dtype: str = "int32", **more: Any) -> dict[str, Any]:
    return desc([len(values)], dtype, is_const=True, const_value=values, **more)


ABSENT = desc([], "UNDEFINED", "RESERVED")


def attrs(**values: Any) -> list[dict[str, Any]]:
    def kind(value: Any) -> str:
        names = {bool: "bool", int: "int", float: "float", str: "string"}
        return f"list_{names[type(value[0])]}" if isinstance(value, list) else names[type(value)]

    return [{"name": name, "type": kind(value), "value": value} for name, value in values.items()]


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def conv(x: Array, w: Array) -> Array:
    """3 × 3, padding 1, stride 1, N × H × W × C and filters O × C × 3 × 3."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    parts = [
        np.einsum("nhwc,oc->nhwo", padded[:, i : i + height, j : j + width], w[:, :, i, j])
        for i in range(3)
        for j in range(3)
    ]
    return np.sum(parts, 0)


Case = tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]], Callable[..., Array]]
M = [16, 32]
CASES: dict[str, Case] = {
    "Add": ([desc(M), desc(M)], [desc(M)], [], lambda a, b: a + b),
    "RealDiv": ([desc(M, "float"), desc([1, 32], "float")], [desc(M, "float")], [], lambda a, b: a / b),
    "Maximum": ([desc(M), desc(M)], [desc(M)], [], np.maximum),
    "Sigmoid": ([desc(M)], [desc(M)], [], lambda a: 1 / (1 + np.exp(-a))),
    "Relu6": ([desc(M)], [desc(M)], [], lambda a: np.clip(a, 0, 6)),
    "Square": ([desc(M)], [desc(M)], [], lambda a: a * a),
    "LeakyRelu": ([desc(M)], [desc(M)], attrs(negative_slope=0.1), lambda a: np.where(a > 0, a, 0.1 * a)),
    "Swish": ([desc(M)], [desc(M)], attrs(scale=2.0), lambda a: a / (1 + np.exp(-2 * a))),
    "Cast": ([desc(M)], [desc(M, "float")], attrs(dst_type=0), lambda a: a),
    "AddN": ([desc(M, name="x0"), desc(M, name="x1"), desc(M, name="x2")], [desc(M)], attrs(N=3), lambda *x: sum(x)),
    "BiasAdd": (
        [desc([1, 8, 4, 6], layout="NCHW"), desc([8])], [desc([1, 8, 4, 6], layout="NCHW")], attrs(data_format="NCHW"),
        lambda a, b: a + b[:, None, None],
    ),
    "MatMulV2": (
        [desc([64, 128]), desc([128, 256]), ABSENT, ABSENT], [desc([64, 256])], attrs(transpose_x1=False, transpose_x2=False),
        lambda a, b: a @ b,
    ),
    "BatchMatMulV2": (
        [desc([3, 16, 32]), desc([3, 48, 32])], [desc([3, 16, 48])], attrs(adj_x1=False, adj_x2=True),
        lambda a, b: a @ b.transpose(0, 2, 1),
    ),
    "FullyConnection": (
        [desc([4, 8, 2, 2]), desc([16, 32]), desc([16])], [desc([4, 16])], attrs(num_output=16, transpose=False),
        lambda x, w, b: x.reshape(4, 32) @ w.T + b,
    ),
    "SoftmaxV2": ([desc([4, 100])], [desc([4, 100])], attrs(axes=[-1]), softmax),
    "ReduceMean": (
        [desc([4, 6, 32]), const([2])], [desc([4, 6])], attrs(keep_dims=False), lambda a: a.mean(2)
    ),
    "ReduceSumD": ([desc([4, 32])], [desc([4, 1])], attrs(axes=[1], keep_dims=True), lambda a: a.sum(1, keepdims=True)),
    "LayerNorm": (
        [desc(M), desc([32]), desc([32])], [desc(M), desc([16, 1]), desc([16, 1])],
        attrs(begin_norm_axis=-1, begin_params_axis=-1, epsilon=1e-5),
        lambda x, g, b: (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * g + b,
    ),
    "TransposeD": ([desc([4, 16, 32])], [desc([16, 4, 32])], attrs(perm=[1, 0, 2]), lambda a: a.transpose(1, 0, 2)),
    "Reshape": ([desc(M), const([8, 64])], [desc([8, 64])], [], lambda a: a.reshape(8, 64)),
    "ConcatD": (
        [desc(M, name="x0", dynamic_input="x"), desc(M, name="x1", dynamic_input="x")], [desc([16, 64])],
        attrs(concat_dim=1, N=2), lambda a, b: np.concatenate([a, b], 1),
    ),
    "PadD": ([desc(M)], [desc([18, 32])], [{"name": "paddings", "type": "list_list_int", "value": [[1, 1], [0, 0]]}],
             lambda a: np.pad(a, ((1, 1), (0, 0)))),
    "SliceD": ([desc(M)], [desc([4, 16])], attrs(offsets=[2, 16], size=[4, -1]), lambda a: a[2:6, 16:]),
    "Conv2D": (
        [desc([1, 8, 8, 16], layout="NHWC"), desc([32, 16, 3, 3], layout="NCHW")], [desc([1, 8, 8, 32], layout="NHWC")],
        attrs(strides=[1, 1, 1, 1], pads=[1, 1, 1, 1], dilations=[1, 1, 1, 1], data_format="NHWC"), conv,
    ),
    "MaxPoolV3": (
        [desc([1, 16, 8, 8], layout="NCHW")], [desc([1, 16, 4, 4], layout="NCHW")],
        attrs(ksize=[1, 1, 2, 2], strides=[1, 1, 2, 2], pads=[0, 0, 0, 0], data_format="NCHW"),
        lambda a: a.reshape(1, 16, 4, 2, 4, 2).max((3, 5)),
    ),
    "ResizeNearestNeighborV2": (
        [desc([1, 8, 8, 16], layout="NHWC", name="x"), const([16, 16], name="size")], [desc([1, 16, 16, 16], layout="NHWC")],
        attrs(align_corners=False), lambda a: a.repeat(2, 1).repeat(2, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_operator_computes_what_numpy_does(kind: str, tmp_path: Path) -> None:
    inputs, outputs, attributes, reference = CASES[kind]
    op = {"op": kind, "name": "one", "input_desc": inputs, "output_desc": outputs, "attr": attributes}
    (tmp_path / "op.json").write_text(json.dumps([op]))
    assert atc(f"--singleop={tmp_path / 'op.json'}", f"--output={tmp_path / 'out'}", SOC) == 0
    session = InferenceSession(tmp_path / "out" / "one.om")
    rng = np.random.default_rng(5)
    feed = {
        item.name: (rng.normal(size=item.shape) + (2.5 if kind == "RealDiv" else 0)).astype(
            np.float32 if item.type == "tensor(float)" else np.float16
        )
        for item in session.get_inputs()
    }
    found = session.run(None, feed)[0]
    names = [
        d.get("name") or f"x{i if len(inputs) > 1 else ''}"
        for i, d in enumerate(inputs)
        if d["type"] != "UNDEFINED"
    ]
    expected = reference(*(feed[name].astype(np.float64) for name in names if name in feed))
    assert list(found.shape) == outputs[0]["shape"]
    assert found.dtype == (np.float32 if outputs[0]["type"] == "float" else np.float16)
    assert np.abs(found - expected).max() <= 4e-3 * max(1.0, float(np.abs(expected).max()))


def test_names_of_files(tmp_path: Path) -> None:
    add = {"op": "Add", "input_desc": [desc([3, 3], "int32")] * 2, "output_desc": [desc([3, 3], "int32")]}
    named = {**add, "name": "mine"}
    (tmp_path / "ops.json").write_text(json.dumps([add, named]))
    assert atc(f"--singleop={tmp_path / 'ops.json'}", f"--output={tmp_path / 'out'}", SOC) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "0_Add_3_2_3_3_3_2_3_3_3_2_3_3.om",
        "mine.om",
    ]
    assert str(read_om(tmp_path / "out" / "mine.om").attrs["atc_cmdline"]) == f"atc --singleop=ops.json {SOC}"


ADD: dict[str, Any] = {"op": "Add", "input_desc": [desc(M), desc(M)], "output_desc": [desc(M)]}
WRONG: list[tuple[Any, str, str]] = [
    ("{", "E10025", "not JSON"),
    ({}, "E10025", "list of operators"),
    ([], "E10025", "list of operators"),
    ([{}], "E10026", "no type"),
    ([{**ADD, "name": "a/b"}], "E10026", "file's name"),
    ([{**ADD, "op": "Ad"}], "E10501", "did you mean Add"),
    ([{**ADD, "op": "Frobnicate"}], "E10501", "not known"),
    ([{**ADD, "output_desc": []}], "E10027", "output_desc"),
    ([{**ADD, "output_desc": [desc([16, 31])]}], "E10027", "[16, 32]"),
    ([{**ADD, "input_desc": [desc(M), desc([5, 7])]}], "E10027", "do not fit"),
    ([{**ADD, "input_desc": [desc(M)]}], "E10027", "operand 1 is missing"),
    ([{**ADD, "input_desc": [desc(M, "float15"), desc(M)]}], "E10027", "float15"),
    ([{**ADD, "input_desc": [desc(M, layout="NCWH"), desc(M)]}], "E10027", "NCWH"),
    ([{**ADD, "input_desc": [desc(M, layout="NC1HWC0"), desc(M)]}], "E10055", "NC1HWC0"),
    ([{**ADD, "input_desc": [desc([-1, 32]), desc(M)]}], "E10055", "open size"),
    ([{**ADD, "input_desc": [{"type": "float16", "format": "ND"}, desc(M)]}], "E10027", "shape"),
    ([{**ADD, "attr": [{"type": "int", "value": 1}]}], "E10029", "no name"),
    ([{**ADD, "attr": [{"name": "a", "type": "number", "value": 1}]}], "E10029", "number"),
    ([{**ADD, "attr": [{"name": "a", "type": "int", "value": "x"}]}], "E10030", "'x'"),
    ([{**ADD, "name": "a"}, {**ADD, "name": "a"}], "E13009", "two operators"),
    ([{**ADD}, {**ADD, "op": "Frobnicate"}], "E10501", "Frobnicate"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[1]} {case[2]}")
def test_wrong_files(case: tuple[Any, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, code, text = case
    (tmp_path / "op.json").write_text(content if isinstance(content, str) else json.dumps(content))
    assert atc(f"--singleop={tmp_path / 'op.json'}", f"--output={tmp_path / 'out'}", SOC) == 1
    out = capsys.readouterr().out
    assert out.count(f"\n{code}: ") == 1 and text in out and "Traceback" not in out
    assert [path.name for path in tmp_path.iterdir()] == ["op.json"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--singleop=nowhere.json", "--output=out", SOC], "E10023"),
        (["--singleop=x.json", SOC], "E10054"),
        (["--singleop=x.json", "--output=out"], "E10054"),
        (["--singleop=x.json", "--output=out", SOC, "--framework=5"], "E10001"),
        (["--singleop=x.json", "--output=out", SOC, "--mode=1"], "E10001"),
        (["--singleop=x.json", "--output=out", SOC, "--insert_op_conf=a.cfg"], "E10001"),
        (["--singleop=x.json", "--output=out", SOC, "--display_model_info=1"], "E10001"),
    ],
)
def test_flags_beside(words: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert atc(*words) == 1
    assert f"\n{code}: " in capsys.readouterr().out


def test_table() -> None:
    assert len(OPERATORS) >= 80 and set(CASES) <= set(OPERATORS)
