"""Blob expressions: text, types, values, laziness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ascend_mlir.dialects import layouts
from ascend_mlir.dialects.blobs import BLOB_OPS, Blob
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.weights import Source, WeightStore
from xdsl.context import Context
from xdsl.parser import Parser

RNG = np.random.default_rng(7)


def parse(text: str) -> Blob:
    from ascend_mlir.dialects import nn

    context = Context()
    context.load_dialect(nn.NN)
    attribute = Parser(context, f"#nn.blob<{text}>").parse_attribute()
    assert isinstance(attribute, nn.BlobAttr)
    return attribute.data


def store_of(**arrays: np.ndarray) -> tuple[WeightStore, dict[str, Blob]]:
    store = WeightStore()
    return store, {key: store.bind(key, Source.of_array(array)) for key, array in arrays.items()}


def test_text_round_trip() -> None:
    w = Blob.source('a "quoted" name', (4, 3, 2, 2), "f32")
    k = Blob.source("k", (4,), "f32")
    blobs = [
        w,
        w.apply("transpose", (1, 0, 2, 3)).apply("cast", "f16"),
        w.apply("mul0", k.apply("div", Blob.splat(0.1, (), "f32"))),
        w.apply("pad", (0, 0, 0, 0), (0, 1, 0, 0), float("-inf")),
        w.apply("cast", "f16").apply("pack", "FRACTAL_Z", 16, 1),
        Blob.dense(np.array([[1.5, -2.0], [np.inf, np.nan]], np.float16)),
        Blob.dense(np.array([True, False])),
        Blob.dense(np.arange(3, dtype=np.uint8)),
        Blob.splat(1e-12, (1000, 1000), "f32"),
    ]
    for blob in blobs:
        again = parse(blob.text)
        assert again == blob and hash(again) == hash(blob)
        assert (again.shape, again.dtype) == (blob.shape, blob.dtype)


def test_equal_by_text_only() -> None:
    a, b = Blob.source("w", (2, 2), "f32"), Blob.source("w", (2, 2), "f32")
    assert a == b
    assert a.apply("neg") == b.apply("neg")
    assert a != b.apply("neg")
    assert Blob.splat(0.1, (2,), "f32").text == "splat 0.1 : tensor<2xf32>"


def test_shape_and_type_need_no_data() -> None:
    def explode() -> np.ndarray:
        raise AssertionError("read")

    store = WeightStore()
    w = store.bind("w", Source((64, 3, 7, 7), "f32", explode))
    packed = w.apply("cast", "f16").apply("pack", "FRACTAL_Z", 16, 1)
    assert packed.dtype == "f16"
    assert packed.shape == tuple(
        layouts.Layout(layouts.Format.FRACTAL_Z, c0=16).physical_shape((64, 3, 7, 7))
    )
    assert w.byte_size == 64 * 3 * 49 * 4
    assert packed.sources() == {"w"}


def test_values() -> None:
    w, k = RNG.normal(size=(4, 3, 2, 2)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
    store, blobs = store_of(w=w, k=k)
    scaled = blobs["w"].apply("mul0", blobs["k"])
    np.testing.assert_array_equal(store.evaluate(scaled), w * k[:, None, None, None])
    half = store.evaluate(scaled.apply("cast", "f16"))
    np.testing.assert_array_equal(half, (w * k[:, None, None, None]).astype(np.float16))
    sliced = blobs["w"].apply("slice", (3, 0, 1, 0), (2, 3, 1, 2), (-3, 1, 1, 1))
    np.testing.assert_array_equal(store.evaluate(sliced), w[::-3, :, 1:2])
    np.testing.assert_array_equal(store.evaluate(blobs["w"].apply("flip", (2, 3))), w[:, :, ::-1, ::-1])
    both = blobs["k"].apply("concat", 0, blobs["k"])
    np.testing.assert_array_equal(store.evaluate(both), np.concatenate([k, k]))


def test_pack_is_the_layout_algebra() -> None:
    w = RNG.normal(size=(20, 5, 3, 3)).astype(np.float16)
    store, blobs = store_of(w=w)
    packed = store.evaluate(blobs["w"].apply("pack", "FRACTAL_Z", 16, 1))
    np.testing.assert_array_equal(packed, layouts.Layout(layouts.Format.FRACTAL_Z, c0=16).pack(w))


def test_half_is_computed_in_single() -> None:
    a = np.full(3, 60000, np.float16)
    store, blobs = store_of(a=a, b=a)
    mean = blobs["a"].apply("mul", blobs["b"]).apply("sqrt")
    assert not np.isfinite(store.evaluate(mean)).any()  # each step rounds to its type
    np.testing.assert_array_equal(
        store.evaluate(blobs["a"].apply("sqrt")), np.sqrt(np.float32(a[0])).astype(np.float16)
    )


@pytest.mark.parametrize(
    "name", ["neg", "abs", "exp", "sqrt", "rsqrt", "reciprocal", "square", "relu", "floor"]
)
def test_unary_operations(name: str) -> None:
    if name not in BLOB_OPS:
        pytest.skip(f"{name} is not a blob operation")
    store, blobs = store_of(a=np.array([0.25, 4.0], np.float32))
    result = store.evaluate(blobs["a"].apply(name))
    assert result.dtype == np.float32 and result.shape == (2,)


def test_refused_expressions() -> None:
    w = Blob.source("w", (4, 3), "f32")
    with pytest.raises(ValueError, match="permutation"):
        w.apply("transpose", (0, 2))
    with pytest.raises(ValueError, match="one type"):
        w.apply("add", Blob.source("h", (4, 3), "f16"))
    with pytest.raises(ValueError, match="one factor per row"):
        w.apply("mul0", Blob.source("k", (3,), "f32"))
    with pytest.raises(ValueError, match="element type"):
        w.apply("cast", "f17")


def test_store_names_missing_and_changed_keys() -> None:
    store, _ = store_of(w=np.zeros(3, np.float32))
    with pytest.raises(AscendError, match="not bound"):
        store.evaluate(Blob.source("v", (3,), "f32"))
    with pytest.raises(AscendError, match="f32") as error:
        store.evaluate(Blob.source("w", (4,), "f32"))
    assert error.value.expected == "f32[4]"
    with pytest.raises(ValueError, match="bound twice"):
        store.bind("w", Source.of_array(np.ones(3, np.float32)))


def test_computed_constants() -> None:
    store = WeightStore()
    assert store.add("s", np.full((100, 100), 2.0, np.float32)).is_splat
    assert store.add("d", np.arange(5)).text == "dense [0, 1, 2, 3, 4] : tensor<5xi64>"
    first, second = store.add("big", np.arange(100)), store.add("big", np.arange(100) + 1)
    assert first != second
    np.testing.assert_array_equal(store.evaluate(second), np.arange(100) + 1)


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", w=np.arange(6, dtype=np.float32).reshape(2, 3))
    store = WeightStore.of_npz(tmp_path / "w.npz")
    np.testing.assert_array_equal(
        store.evaluate(store.blob("w").apply("transpose", (1, 0))), [[0, 3], [1, 4], [2, 5]]
    )


def test_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(b"head" + np.arange(6, dtype=np.float16).tobytes())
    store = WeightStore()
    blob = store.bind("w", Source.of_file(path, 4, (2, 3), "f16"))
    assert isinstance(store.evaluate(blob).base, np.memmap)
    short = store.bind("v", Source.of_file(path, 8, (2, 3), "f16"))
    with pytest.raises(AscendError, match="cannot read"):
        store.evaluate(short)
