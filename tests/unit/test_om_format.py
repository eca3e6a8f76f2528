"""The `.om` container: same model after writing and reading, same bytes every time, and no surprise from
damaged files."""

from __future__ import annotations

import dataclasses
import random
import struct
from pathlib import Path

import pytest
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om import format as f
from ascend_mlir.runtime.om.consistency import InconsistentModelError
from ascend_mlir.runtime.om.model import (
    Address,
    OmModel,
    OmTensor,
    OmWeight,
    WeightPayload,
    place_weights,
    stored_weights,
)
from ascend_mlir.runtime.om.reader import read_container, read_om
from ascend_mlir.runtime.om.writer import om_bytes, write_om
from hypothesis import given, settings
from hypothesis import strategies as st
from om_samples import conv_model


def test_round_trip_keeps_everything() -> None:
    model = conv_model()
    data = om_bytes(model)
    assert read_om(data) == model
    assert om_bytes(read_om(data)) == data


def test_partitions_follow_the_public_order() -> None:
    container = read_container(om_bytes(conv_model()))
    assert list(container.partitions) == [
        f.Partition.MODEL_INOUT_INFO,
        f.Partition.MODEL_DEF,
        f.Partition.WEIGHTS_DATA,
        f.Partition.TBE_KERNELS,
        f.Partition.TASK_INFO,
    ]


def test_header_fields_at_their_public_offsets() -> None:
    data = om_bytes(conv_model())
    assert data[:4] == b"IMOD"
    assert struct.unpack_from("<II", data, 4) == (256, 0x20000000)
    assert data[84:116].rstrip(b"\0") == b"sample"
    assert struct.unpack_from("<I", data, 156) == (1,)
    assert struct.unpack_from("<Q", data, 184) == (len(data) - 256,)


def test_equal_weights_share_one_offset() -> None:
    model = conv_model()
    assert model.weights[1].offset == model.weights[2].offset != model.weights[0].offset == 512
    assert all(weight.offset % 512 == 0 for weight in model.weights)
    assert len(stored_weights(model)) == 2


def test_empty_weight_does_not_hide_its_neighbour() -> None:
    empty = OmWeight("none", "f16", (0,), (0,), "ND", WeightPayload.of(b""))
    other = OmWeight("one", "f16", (1,), (1,), "ND", WeightPayload.of(b"ab"))
    assert len({weight.offset for weight in place_weights((empty, other))}) == 2


def test_weight_bytes_come_from_the_file_on_demand(tmp_path: Path) -> None:
    model = conv_model()
    write_om(model, tmp_path / "m.om")
    read = read_om(tmp_path / "m.om", digests=False)
    assert read.weights[0].payload.digest == ""
    assert bytes(read.weights[0].payload.load()) == bytes(model.weights[0].payload.load())


def test_old_table_with_32_bit_rows_is_read() -> None:
    model = conv_model()
    partitions = read_container(om_bytes(model)).partitions
    rows, offset = b"", 0
    for number, content in partitions.items():
        rows += f.TABLE_ROW_32.pack(number, offset, len(content))
        offset += len(content)
    body = f.TABLE_HEAD_32.pack(len(partitions)) + rows + b"".join(partitions.values())
    header = bytearray(om_bytes(model)[: f.HEADER_SIZE])
    struct.pack_into("<I", header, 76, len(body))
    struct.pack_into("<Q", header, 184, 0)
    assert read_om(bytes(header) + body) == model


def test_model_without_weights_kernels_or_tasks() -> None:
    model = OmModel(
        "tiny", "Ascend310P3", (OmTensor("x", "f32", (), 4, 0),), (OmTensor("y", "f32", (), 4, 512),), 1024
    )
    assert read_om(om_bytes(model)) == model


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    model = conv_model()
    broken = dataclasses.replace(model.weights[0].payload, load=lambda: b"short")
    weights = (dataclasses.replace(model.weights[0], payload=broken), *model.weights[1:])
    with pytest.raises(InconsistentModelError, match="gave other bytes"):
        write_om(dataclasses.replace(model, weights=weights), tmp_path / "m.om")
    assert list(tmp_path.iterdir()) == []


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AscendError) as caught:
        write_om(conv_model(), tmp_path / "file" / "m.om")
    assert caught.value.code == "E13004"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"memory_size": 1024}, "outside the feature map"),
        ({"weight_base": 0x1000000000}, "overlap"),
        ({"kernels": ()}, "does not hold"),
        ({"graph": ()}, "which no node of the graph produces"),
        ({"attrs": {"soc_version": "x"}}, "derived"),
        ({"attrs": {"mixed": (1, "a")}}, "mixes types"),
    ],
)
def test_contradictions_are_refused(change: dict[str, object], text: str) -> None:
    model = dataclasses.replace(conv_model(), **change)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InconsistentModelError, match=text):
        om_bytes(model)


def test_address_behind_a_size_is_refused() -> None:
    model = conv_model()
    task = dataclasses.replace(model.tasks[0], args=(3, Address("weights", 0)))
    with pytest.raises(InconsistentModelError, match="behind a size"):
        om_bytes(dataclasses.replace(model, tasks=(task,)))


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (0, 0, "IMOD"),
        (4, 255, "header size"),
        (8, 3, "header version"),
        (80, 1, "encrypted"),
        (82, 3, "model type"),
        (156, 2, "before the partition table .partition table of model 1"),
        (184, 1, "announces"),
        (256, 9, "9 partitions"),
        (256, 4, "behind|starts|past"),
        (272, 8, "starts at 8"),
        (280, 255, "starts|past"),
    ],
)
def test_damaged_header_or_table(at: int, value: int, text: str) -> None:
    data = bytearray(om_bytes(conv_model()))
    data[at : at + 4] = bytes([value, *data[at + 1 : at + 4]])
    with pytest.raises(f.OmError, match=text) as caught:
        read_om(bytes(data))
    assert caught.value.code == "E10041"


def test_every_truncation_is_an_error() -> None:
    data = om_bytes(conv_model())
    marks = sorted({*range(0, 600, 13), *range(600, len(data), 997), len(data) - 1})
    for end in marks:
        with pytest.raises(f.OmError):
            read_om(data[:end])


def test_flipped_bytes_never_surprise() -> None:
    """A changed byte is either an `OmError` or a model (a weight, a name): never another exception."""
    data = om_bytes(conv_model())
    container = read_container(data)
    weights = len(container.partitions[f.Partition.WEIGHTS_DATA])
    rng = random.Random(5)
    positions = [p for p in range(len(data)) if not 3000 < p < 3000 + weights]
    for position in rng.sample(positions, 1500):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.randrange(8)
        try:
            read_om(bytes(damaged), digests=False)
        except f.OmError as error:
            assert error.partition


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=700))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(f.OmError):
        read_om(data)


_SCALARS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(width=32, allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
_VALUES = (
    _SCALARS
    | st.lists(st.integers(-(2**63), 2**63 - 1)).map(tuple)
    | st.lists(st.text(max_size=4), min_size=1).map(tuple)
    | st.lists(st.lists(st.integers(0, 99)).map(tuple), min_size=1).map(tuple)
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda k: k not in f.DERIVED_ATTRS), _VALUES, max_size=6
    )
)
def test_attributes_of_every_kind_survive(attrs: dict[str, object]) -> None:
    model = dataclasses.replace(conv_model(), attrs=attrs)  # pyright: ignore[reportArgumentType]
    assert read_om(om_bytes(model), digests=False).attrs == attrs


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=8))
def test_weight_regions_of_any_sizes(sizes: list[int]) -> None:
    weights = place_weights(
        OmWeight(f"w{i}", "u8", (size,), (size,), "ND", WeightPayload.of(bytes([i]) * size))
        for i, size in enumerate(sizes)
    )
    model = OmModel("w", "Ascend310P3", (), (), 512, weights=weights)
    read = read_om(om_bytes(model))
    assert read == model
    assert [bytes(w.payload.load()) for w in read.weights] == [
        bytes([i]) * size for i, size in enumerate(sizes)
    ]
