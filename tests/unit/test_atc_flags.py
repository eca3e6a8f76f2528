"""Command lines as users of the public tool type them."""

from __future__ import annotations

import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.tools.atc_flags import BY_NAME, FLAGS, UsageError, parse_flags
from ascend_mlir.tools.atc_shapes import parse_input_shape, parse_out_nodes
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "words",
    [
        ["--soc_version=Ascend310P3"],
        ["--soc_version", "Ascend310P3"],
        ["-soc_version=Ascend310P3"],
        ["--soc-version=Ascend310P3"],
        ["-soc-version", "Ascend310P3"],
        ["--soc=Ascend310P3"],
    ],
)
def test_spellings(words: list[str]) -> None:
    assert parse_flags(words).values == {"soc_version": "Ascend310P3"}


def test_hyphens_in_values_stay() -> None:
    assert parse_flags(["--out-nodes=a-b:0"]).values == {"out_nodes": "a-b:0"}


def test_real_prefix_of_a_model_zoo_readme() -> None:
    assert "op_precision_mode" in parse_flags(["--op_precision=x.ini"])


def test_an_exact_name_wins_over_longer_ones() -> None:
    assert "precision_mode" in parse_flags(["--precision_mode=force_fp16"])


def test_later_value_wins() -> None:
    assert parse_flags(["--output=a", "--output=b"]).get("output") == "b"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--nonsense=1"], "unknown command line flag 'nonsense'"),
        (["--mod=1"], "ambiguous"),
        (["--output"], "flag 'output' is missing its argument; flag description: output path"),
        (["resnet.onnx"], "'resnet.onnx' is not a flag"),
        (["-o"], "'-o' is not a flag"),
        (["--"], "is not a flag"),
    ],
)
def test_wrong_form(words: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_flags(words)
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("--framework=7", "E10001"),
        ("--framework=x", "E10001"),
        ("--precision_mode=fp32", "E10001"),
        ("--sparsity=2", "E10001"),
        ("--log=loud", "E10010"),
        ("--enable_single_stream=maybe", "E10005"),
        ("--output=", "E10004"),
    ],
)
def test_wrong_value(word: str, code: str) -> None:
    with pytest.raises(AscendError) as caught:
        parse_flags([word])
    assert caught.value.code == code


def test_the_public_range_text() -> None:
    with pytest.raises(AscendError, match=r"The valid range is \[0\] \[1\] \."):
        parse_flags(["--sparsity=3"])


def test_flags_are_unique_and_described() -> None:
    assert len(BY_NAME) == len(FLAGS)
    assert all(flag.help for flag in FLAGS)


def test_input_shape() -> None:
    assert parse_input_shape("image:8,3,224,224") == {"image": (8, 3, 224, 224)}
    assert parse_input_shape("a:1,2; b:3;") == {"a": (1, 2), "b": (3,)}
    assert parse_input_shape("scope/x:0:1,2") == {"scope/x:0": (1, 2)}
    assert parse_input_shape("scalar:") == {"scalar": ()}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("image", "E10002"),
        (":1,2", "E10002"),
        ("image:1,a", "E10002"),
        ("image:1,,2", "E10002"),
        ("a:1;a:2", "E10002"),
        ("image:1,²", "E10002"),
        ("image:0,3", "E10011"),
        ("image:-1,3", "E10011"),
        ("image:1~8,3", "E10011"),
    ],
)
def test_wrong_input_shape(text: str, code: str) -> None:
    with pytest.raises(AscendError) as caught:
        parse_input_shape(text)
    assert caught.value.code == code


@given(st.text(max_size=30))
def test_any_text_as_a_shape_is_a_result_or_an_error(text: str) -> None:
    try:
        assert all(extent > 0 for shape in parse_input_shape(text).values() for extent in shape)
    except AscendError as error:
        assert error.code in ("E10002", "E10011")


def test_out_nodes() -> None:
    assert parse_out_nodes("Reshape_1:0;Reshape_2:0") == ("Reshape_1:0", "Reshape_2:0")
    with pytest.raises(AscendError, match="malformed"):
        parse_out_nodes("a;;b")


def test_every_flag_without_effect_says_why() -> None:
    assert [flag.name for flag in FLAGS if flag.effect == "ignored" and not flag.note] == []
