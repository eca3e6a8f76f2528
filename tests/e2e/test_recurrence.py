"""LSTM, GRU and RNN through the whole compiler and the simulator, with hazards checked, against onnxruntime."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ascend_mlir.lowering import onnx_recurrence
from ascend_mlir.runtime.onnx_backend import AscendBackend
from ascend_mlir.runtime.session import InferenceSession
from ascend_mlir.tools import atc
from onnx import TensorProto, helper, numpy_helper

CHIPS = ("Ascend310P3", "Ascend310", "Ascend910A")
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OPERANDS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c")
OUTPUTS = ("Y", "Y_h", "Y_c")


def build(
    op: str, steps: int, batch: int, hidden: int, direction: str = "forward", *, width: int = 8, states: str = "",
    biased: bool = True, outputs: tuple[str, ...] = ("Y",), **attributes: Any,
) -> tuple[onnx.ModelProto, list[np.ndarray]]:  # fmt: skip
    """A model of one node.  `states`: where initial states come from, "" for none, "input" or "constant"."""
    rng = np.random.default_rng(steps * 1000 + batch * 10 + hidden)
    count, rows = 2 if direction == "bidirectional" else 1, GATES[op] * hidden
    spread = 1 / np.sqrt(hidden)
    constants = {
        "W": rng.uniform(-1, 1, (count, rows, width)) / np.sqrt(width) * 2,
        "R": rng.uniform(-spread, spread, (count, rows, hidden)) * 1.5,
    }
    if biased:
        constants["B"] = rng.uniform(-spread, spread, (count, 2 * rows))
    inputs = {"X": rng.standard_normal((steps, batch, width)).astype(np.float16)}
    for name in ("initial_h", "initial_c")[: 2 if op == "LSTM" else 1] if states else ():
        values = rng.standard_normal((count, batch, hidden)).astype(np.float16)
        (inputs if states == "input" else constants)[name] = values
    given = {**inputs, **constants}
    names = [name if name in given else "" for name in OPERANDS]
    while not names[-1]:
        names.pop()
    results = [name if name in outputs else "" for name in OUTPUTS]
    while not results[-1]:
        results.pop()
    if op == "GRU":
        attributes.setdefault("linear_before_reset", 1)
    node = helper.make_node(
        op, names, results, name="cell", hidden_size=hidden, direction=direction, **attributes
    )
    graph = helper.make_graph(
        [node], "recurrence",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in results if name],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model, [value.astype(np.float32) for value in inputs.values()]


def reference(model: onnx.ModelProto, inputs: list[np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {given.name: x for given, x in zip(model.graph.input, inputs, strict=True)})


def check(
    monkeypatch: pytest.MonkeyPatch, soc: str, *args: Any, tasks: int | None = None, **kwargs: Any
) -> float:
    """Largest error of a model's outputs; `tasks` is how many it may take at most."""
    monkeypatch.setenv("ASCEND_SOC", soc)
    monkeypatch.setenv("ASCEND_SANITIZE", "1")
    model, inputs = build(*args, **kwargs)
    wanted = reference(model, inputs)
    prepared = AscendBackend.prepare(model)
    found = prepared.run(inputs)
    assert len(found) == len(wanted)
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=4e-3, atol=4e-3)
    assert tasks is None or prepared.engine_counts["aicore"] <= tasks
    return max(float(np.abs(got - want).max()) for got, want in zip(found, wanted, strict=True))


@pytest.mark.parametrize("soc", CHIPS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
def test_all_outputs_in_all_directions(
    op: str, direction: str, soc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = OUTPUTS if op == "LSTM" else OUTPUTS[:2]
    check(monkeypatch, soc, op, 3, 2, 20, direction, states="input", outputs=outputs, tasks=30)


@pytest.mark.parametrize("batch", [1, 3, 17, 33])
@pytest.mark.parametrize("steps", [1, 2, 50])
@pytest.mark.parametrize("op", GATES)
def test_steps_and_batches(op: str, steps: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of tasks does not grow with the number of steps."""
    check(monkeypatch, "Ascend310P3", op, steps, batch, 16, tasks=12)


@pytest.mark.parametrize("hidden", [4, 8, 16, 64, 128])
@pytest.mark.parametrize("op", GATES)
def test_hidden_sizes(op: str, hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, "Ascend310P3", op, 6, 2, hidden, "bidirectional", tasks=12)


@pytest.mark.parametrize("soc", CHIPS)
@pytest.mark.parametrize("hidden", [4, 16, 128])
def test_gru_that_resets_first(hidden: int, soc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """linear_before_reset = 0, ONNX's default: the last gate's product is of r · h."""
    check(
        monkeypatch, soc, "GRU", 20, 5, hidden, "bidirectional", states="input", outputs=OUTPUTS[:2], tasks=30,
        linear_before_reset=0,
    )  # fmt: skip


@pytest.mark.parametrize("outputs", [("Y_h",), ("Y_c",), ("Y", "Y_c"), ("Y_h", "Y_c")], ids="+".join)
@pytest.mark.parametrize("states", ["", "constant"])
def test_outputs_that_are_used(
    outputs: tuple[str, ...], states: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(
        monkeypatch,
        "Ascend310P3",
        "LSTM",
        4,
        3,
        16,
        "bidirectional",
        outputs=outputs,
        states=states,
        biased=False,
    )


@pytest.mark.parametrize("op", GATES)
def test_no_less_accurate_than_written_out(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 steps: states are rounded to f16 on their way to the next product in both forms."""
    kernel = check(monkeypatch, "Ascend310P3", op, 50, 2, 32, tasks=12)
    monkeypatch.setattr(onnx_recurrence, "refusal_of", lambda *_, **__: "asked for")
    written = check(monkeypatch, "Ascend310P3", op, 50, 2, 32)
    assert kernel <= 1.2 * written + 1e-4


def test_batch_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """layout = 1, which onnxruntime does not have: the same numbers with axes exchanged."""
    monkeypatch.setenv("ASCEND_SANITIZE", "1")
    model, inputs = build("LSTM", 4, 3, 16, "bidirectional", outputs=OUTPUTS, states="input")
    y, h, c = reference(model, inputs)
    model.graph.node[0].attribute.append(helper.make_attribute("layout", 1))
    for given in model.graph.input:
        dims = given.type.tensor_type.shape.dim
        dims[0].dim_value, dims[1].dim_value = dims[1].dim_value, dims[0].dim_value
    found = AscendBackend.prepare(model).run([x.transpose(1, 0, 2) for x in inputs])
    wanted = [y.transpose(2, 0, 1, 3), h.transpose(1, 0, 2), c.transpose(1, 0, 2)]
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=4e-3, atol=4e-3)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("LSTM", {"clip": 0.5}),
        ("GRU", {"linear_before_reset": 0, "activations": ["HardSigmoid", "Tanh"]}),
        ("RNN", {"activations": ["Relu"]}),
    ],
)
def test_what_is_written_out(op: str, attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, "Ascend310P3", op, 4, 3, 16, **attributes)


def test_large_inputs_of_a_node_that_keeps_its_type(tmp_path: Path) -> None:
    """--keep_dtype: the product with the input leaves fp16; gates saturate long before."""
    model, (x,) = build("LSTM", 5, 2, 16)
    x = x * np.float32(1e6)
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "keep.txt").write_text("cell\n")
    with contextlib.suppress(SystemExit):
        flags = {
            "framework": 5,
            "model": tmp_path / "m.onnx",
            "output": tmp_path / "m",
            "soc_version": "Ascend310P3",
        }
        flags["keep_dtype"] = tmp_path / "keep.txt"
        atc.main([f"--{name}={value}" for name, value in flags.items()])
    got = InferenceSession(str(tmp_path / "m.om")).run(None, {"X": x})[0]
    np.testing.assert_allclose(got, reference(model, [x])[0], atol=4e-3)
