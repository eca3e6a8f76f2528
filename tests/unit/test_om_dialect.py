"""The `om` dialect says the same as the plain description, through text and back."""

from __future__ import annotations

import dataclasses

import pytest
from ascend_mlir.dialects.om import OM, FileAttr, ModelOp, model_to_om, om_to_model, payloads_of
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.om.writer import om_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from om_samples import conv_model
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.parser import Parser
from xdsl.utils.exceptions import VerifyException


def parse(text: str) -> ModelOp:
    context = Context()
    context.load_dialect(Builtin)
    context.load_dialect(OM)
    op = Parser(context, text).parse_op()
    assert isinstance(op, ModelOp)
    op.verify()
    return op


def through_text(model: OmModel) -> OmModel:
    return om_to_model(parse(str(model_to_om(model))), payloads_of(model))


def test_text_keeps_everything() -> None:
    model = conv_model()
    assert through_text(model) == model
    assert om_bytes(through_text(model)) == om_bytes(model)


def test_file_to_text_to_file_gives_the_same_bytes() -> None:
    data = om_bytes(conv_model())
    assert om_bytes(through_text(read_om(data))) == data


def test_weights_name_the_file_they_came_from() -> None:
    assert FileAttr("sample") in {
        op.properties["source"] for op in model_to_om(conv_model()).walk() if op.name == "om.weight"
    }


def test_verifier_applies_the_rules_of_the_container() -> None:
    with pytest.raises(VerifyException, match="outside the feature map"):
        model_to_om(dataclasses.replace(conv_model(), memory_size=512)).verify()


def test_a_weight_that_the_file_lacks() -> None:
    model = conv_model()
    with pytest.raises(VerifyException, match="no weight named"):
        om_to_model(model_to_om(model), payloads_of(dataclasses.replace(model, weights=())))


_VALUES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)).map(tuple)
    | st.lists(st.text(max_size=4), min_size=1).map(tuple)
)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=8), st.lists(_VALUES, max_size=4))
def test_any_names_and_attributes_survive(name: str, values: list[object]) -> None:
    attrs = {f"a{i}": value for i, value in enumerate(values)}
    changed = dataclasses.replace(conv_model(), name=name, attrs=attrs)  # pyright: ignore[reportArgumentType]
    assert through_text(changed) == changed
