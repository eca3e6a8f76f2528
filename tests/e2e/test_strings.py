"""String operators from ONNX to outputs on the simulator, hazards checked, all chips, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from ascend_mlir.lowering.pipelines import CompileOptions, compile_model
from ascend_mlir.runtime.errors import UnsupportedOpError
from ascend_mlir.runtime.session import InferenceSession
from onnx import NodeProto, TensorProto, helper, numpy_helper

CHIPS = ["Ascend310", "Ascend310P3", "Ascend910A"]
node = helper.make_node


def words(*shape: int) -> np.ndarray:
    return np.array([f"word {i} é" for i in range(int(np.prod(shape)))], object).reshape(shape)


def texts(*items: str) -> np.ndarray:
    return np.array(items, object)


def i64(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


TFIDF = dict(
    mode="TF", min_gram_length=1, max_gram_length=2, max_skip_count=1, ngram_counts=[0, 3],
    ngram_indexes=[0, 1, 2, 3, 4], pool_strings=["a", "b", "é", "a", "b", "b", "a"],
)  # fmt: skip
X = words(2, 3)

CASES: dict[str, tuple[NodeProto, dict[str, np.ndarray], dict[str, np.ndarray]]] = {
    "reshape": (node("Reshape", ["x", "s"], ["y"]), {"x": X}, {"s": i64(3, 2)}),
    "transpose": (node("Transpose", ["x"], ["y"], perm=[2, 0, 1]), {"x": words(2, 3, 5)}, {}),
    "concat": (node("Concat", ["x", "k"], ["y"], axis=1), {"x": X}, {"k": words(2, 2)}),
    "slice": (
        node("Slice", ["x", "b", "e", "a", "t"], ["y"]),
        {"x": words(7, 5)},
        {"b": i64(1, 4), "e": i64(6, 0), "a": i64(0, 1), "t": i64(2, -2)},
    ),
    "split": (node("Split", ["x"], ["y", "z"], axis=1, num_outputs=2), {"x": words(4, 6)}, {}),
    "tile": (node("Tile", ["x", "r"], ["y"]), {"x": X}, {"r": i64(2, 2)}),
    "expand": (node("Expand", ["x", "r"], ["y"]), {"x": words(2, 1)}, {"r": i64(2, 3)}),
    "gather-known": (node("Gather", ["x", "i"], ["y"], axis=1), {"x": words(2, 5)}, {"i": i64(3, 0, -1)}),
    "gather-computed": (node("Gather", ["x", "i"], ["y"], axis=1), {"x": words(2, 5), "i": i64(3, 0, -1)}, {}),
    "gather-table": (node("Gather", ["k", "i"], ["y"]), {"i": i64(3, 0)}, {"k": words(5)}),
    "gather-nd": (node("GatherND", ["x", "i"], ["y"]), {"x": words(2, 5), "i": np.array([[1, 0], [0, 1]])}, {}),
    "where": (
        node("Where", ["c", "x", "z"], ["y"]),
        {"c": np.array([[True], [False]]), "x": X, "z": texts("q")},
        {},
    ),
    "equal": (node("Equal", ["x", "z"], ["y"]), {"x": X, "z": texts("word 2 é")}, {}),
    "equal-weight": (node("Equal", ["x", "k"], ["y"]), {"x": X}, {"k": texts("word 2 é", "", "word 5 é")}),
    "compress": (node("Compress", ["x", "c"], ["y"], axis=0), {"x": words(3), "c": np.array([True, False, True])}, {}),
    "unique": (node("Unique", ["x"], ["y", "f", "i", "c"]), {"x": texts("b", "a", "b", "é", "")}, {}),
    "one-hot": (node("OneHot", ["i", "d", "v"], ["y"]), {"i": i64(0, 2), "v": texts("off", "on")}, {"d": i64(3)}),
    "reverse": (node("ReverseSequence", ["x", "l"], ["y"]), {"x": words(3, 2)}, {"l": i64(2, 3)}),
    "f32-to-text": (
        node("Cast", ["x"], ["y"], to=TensorProto.STRING),
        {"x": np.array([0.1, -2, 3e10, np.nan, -np.inf, 1e-5, 1 / 3], np.float32)},
        {},
    ),
    "f64-to-text": (node("Cast", ["x"], ["y"], to=TensorProto.STRING), {"x": np.array([1 / 3, 1e300])}, {}),
    "i64-to-text": (node("Cast", ["x"], ["y"], to=TensorProto.STRING), {"x": i64(1, -2, 2**62)}, {}),
    "bool-to-text": (node("Cast", ["x"], ["y"], to=TensorProto.STRING), {"x": np.array([True, False])}, {}),
    "text-to-f32": (node("Cast", ["x"], ["y"], to=TensorProto.FLOAT), {"x": texts("1.5", " -2 ", "1e5", "INF", "nan")}, {}),
    "text-to-u8": (node("Cast", ["x"], ["y"], to=TensorProto.UINT8), {"x": texts("7", "300", "-1", "3.7")}, {}),
    "string-concat": (node("StringConcat", ["x", "z"], ["y"]), {"x": words(2, 1), "z": words(3)}, {}),
    "string-split": (node("StringSplit", ["x"], ["y", "n"]), {"x": np.array([["a b", "c"], ["", " d  e f "]], object)}, {}),
    "string-split-most": (node("StringSplit", ["x"], ["y", "n"], maxsplit=1), {"x": texts("a b  c ", " d ")}, {}),
    "string-split-by": (
        node("StringSplit", ["x"], ["y", "n"], delimiter="--", maxsplit=3),
        {"x": texts("a--b----c", "--", "é--------")},
        {},
    ),
    "normalizer": (
        node("StringNormalizer", ["x"], ["y"], stopwords=["é", "b"], is_case_sensitive=1),
        {"x": texts("a", "b", "é", "B", "")},
        {},
    ),
    "normalizer-all": (
        node("StringNormalizer", ["x"], ["y"], stopwords=["b"], is_case_sensitive=1),
        {"x": np.array([["b", "b"]], object)},
        {},
    ),
    "regex": (node("RegexFullMatch", ["x"], ["y"], pattern=r'(?i)[é"]+\d{2,}'), {"x": texts("é12", 'É"123', "x1")}, {}),
    "tf-idf": (node("TfIdfVectorizer", ["x"], ["y"], **TFIDF), {"x": texts("a", "é", "b", "a", "a", "b", "zz")}, {}),
    "tf-idf-rows": (
        node("TfIdfVectorizer", ["x"], ["y"], **{**TFIDF, "mode": "TFIDF", "weights": [2.0, 3, 0.5, 1, 1]}),
        {"x": np.array([["a", "b", "b"], ["é", "", "a"]], object)},
        {},
    ),
}  # fmt: skip


def kind_of(array: np.ndarray) -> int:
    return TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)


def model_of(
    nodes: list[NodeProto], inputs: dict[str, np.ndarray], weights: dict[str, np.ndarray], outputs: list[Any]
) -> Any:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind_of(x), x.shape) for name, x in inputs.items()],
        outputs,
        [numpy_helper.from_array(x, name) for name, x in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def compare(
    nodes: list[NodeProto], inputs: dict[str, np.ndarray], weights: dict[str, np.ndarray], soc: str
) -> InferenceSession:
    names = list(nodes[-1].output)
    untyped = model_of(nodes, inputs, weights, [helper.make_empty_tensor_value_info(name) for name in names])
    session = InferenceSession(compile_model(untyped, CompileOptions(soc=soc)).bytes, sanitize=True)
    found = session.run(None, inputs)
    typed = [helper.make_tensor_value_info(n, kind_of(x), None) for n, x in zip(names, found, strict=True)]
    reference = ort.InferenceSession(model_of(nodes, inputs, weights, typed).SerializeToString())
    for ours, theirs in zip(found, reference.run(None, inputs), strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, theirs)
    return session


@pytest.mark.parametrize("case", CASES)
def test_as_onnxruntime(case: str) -> None:
    operation, inputs, weights = CASES[case]
    compare([operation], inputs, weights, "Ascend310P3")


@pytest.mark.parametrize("soc", CHIPS)
def test_a_model_of_texts_on_every_chip(soc: str) -> None:
    """Tokens are cut, one column of them is taken, compared and counted: what moves or counts runs on the AI Core."""
    nodes = [
        node("StringConcat", ["x", "k"], ["a"]),
        node("Transpose", ["a"], ["b"]),
        node("Slice", ["b", "from", "to"], ["c"]),
        node("Equal", ["c", "wanted"], ["d"]),
        node("Cast", ["d"], ["e"], to=TensorProto.FLOAT),
        node("ReduceSum", ["e"], ["y"], keepdims=0),
    ]
    weights = {"k": texts("!"), "from": i64(1), "to": i64(3), "wanted": texts("word 2 é!", "word 4 é!")}
    session = compare(nodes, {"x": X}, weights, soc)
    assert session.engine_counts["aicpu"] == 2 and session.engine_counts["aicore"] >= 2


def test_cleaned_words_are_counted() -> None:
    """How many are left depends on data, what they count to does not: empty texts behind them match nothing."""
    clean = node("StringNormalizer", ["x"], ["a"], stopwords=["b", "q"], is_case_sensitive=1)
    for words_in in (
        texts("a", "b", "é", "q", "a", "b"),
        texts("b", "q"),
        np.array([["b", "a", "é", "q"]], object),
    ):
        compare([clean, node("TfIdfVectorizer", ["a"], ["y"], **TFIDF)], {"x": words_in}, {}, "Ascend310P3")
    other = node("TfIdfVectorizer", ["a"], ["y"], **{**TFIDF, "pool_strings": ["", *"abcdef"]})
    with pytest.raises(UnsupportedOpError, match="the pool has it"):
        compare([clean, other], {"x": texts("a")}, {}, "Ascend310P3")
