"""Independent viewers open the file: the rules that Netron 9 applies to a DaVinci model, written down once
more here.

Source: `om-format.md` section 8 of the reference notes; observed there on hand-made files.
"""

from __future__ import annotations

import math
import struct

import pytest
from ascend_mlir.runtime.om import ge_ir_pb2 as ge
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.reader import read_container
from ascend_mlir.runtime.om.writer import om_bytes
from om_samples import ADD, ADD_DONE, LOAD_DONE, add_model, conv_model

MODELS = [conv_model(), add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE))]
SKIPPED_OR_READ = {0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 20, 21, 22, 23, 24}


def rows(data: bytes, wide: bool) -> list[tuple[int, int, int]] | None:
    """A viewer's attempt to read the table; None when it drops the attempt."""
    head, row = ("<I4x", "<QQQ") if wide else ("<I", "<III")
    (count,) = struct.unpack_from(head, data, 256)
    start, found = 256 + struct.calcsize(head), list[tuple[int, int, int]]()
    for index in range(count):
        kind, offset, size = struct.unpack_from(row, data, start + index * struct.calcsize(row))
        if kind >= 32 or kind in {k for k, _, _ in found} or offset + size >= len(data):
            return None
        found.append((kind, offset, size))
    return found


def definition(data: bytes) -> ge.ModelDef:
    message = ge.ModelDef()
    message.ParseFromString(bytes(read_container(data).partitions[0]))
    return message


@pytest.mark.parametrize("model", MODELS)
def test_table_is_not_taken_for_an_old_one(model: OmModel) -> None:
    data = om_bytes(model)
    assert rows(data, wide=False) is None
    wide = rows(data, wide=True)
    assert wide is not None and {kind for kind, _, _ in wide} <= SKIPPED_OR_READ


@pytest.mark.parametrize("model", MODELS)
def test_edges_agree_at_both_ends(model: OmModel) -> None:
    (graph,) = definition(om_bytes(model)).graph
    made = {f"{op.name}:{i}": desc for op in graph.op for i, desc in enumerate(op.output_desc)}
    for op in graph.op:
        for edge, desc in zip(op.input, op.input_desc, strict=True):
            if edge:
                assert desc.dtype == made[edge].dtype and desc.HasField("shape")
                assert math.prod(desc.shape.dim) == math.prod(made[edge].shape.dim)


@pytest.mark.parametrize("model", MODELS)
def test_weights_become_initializers(model: OmModel) -> None:
    data = om_bytes(model)
    region = read_container(data).partitions[1]
    constants = [op for op in definition(data).graph[0].op if op.type == "Const"]
    assert [op.name for op in constants] == [weight.name for weight in model.weights]
    for op, weight in zip(constants, model.weights, strict=True):
        tensor = op.attr["value"].t
        place = slice(tensor.desc.data_offset, tensor.desc.data_offset + tensor.desc.weight_size)
        assert not tensor.data and bytes(region[place]) == bytes(weight.payload.load())


@pytest.mark.parametrize("model", MODELS)
def test_attributes_are_of_kinds_that_are_shown(model: OmModel) -> None:
    for op in definition(om_bytes(model)).graph[0].op:
        for attr in (
            *op.attr.values(),
            *(a for d in (*op.input_desc, *op.output_desc) for a in d.attr.values()),
        ):
            assert attr.WhichOneof("value") in {"s", "i", "f", "b", "bt", "list", "list_list_int", "t"}
