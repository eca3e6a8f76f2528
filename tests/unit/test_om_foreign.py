"""Files as other tools write them: what they hold is the same, and what cannot be understood is said or kept."""

from __future__ import annotations

import dataclasses
import random

import pytest
from ascend_mlir.runtime.om import format as f
from ascend_mlir.runtime.om import ge_ir_pb2 as ge
from ascend_mlir.runtime.om.compression import expand, index_of
from ascend_mlir.runtime.om.consistency import InconsistentModelError
from ascend_mlir.runtime.om.container import read_container
from ascend_mlir.runtime.om.model import OmPartition
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.om.writer import om_bytes
from om_foreign import bundle, changed, compress, file, header, partitions_of, short
from om_samples import ADD, ADD_DONE, LOAD_DONE, add_model, conv_model

DATA = om_bytes(conv_model())
ADDS = om_bytes(add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE)))


def test_tables_of_both_widths() -> None:
    parts = partitions_of(DATA)
    assert read_om(file([parts], wide=False)) == read_om(file([parts])) == conv_model()


def test_partitions_in_the_order_of_older_writers() -> None:
    parts = partitions_of(DATA)
    assert read_om(file([{number: parts[number] for number in (0, 1, 3, 2)}])) == conv_model()


def test_several_models_behind_one_header() -> None:
    data = file([partitions_of(DATA), partitions_of(ADDS)])
    container = read_container(data)
    assert container.header.dynamic and len(container.blocks) == 2
    assert read_om(data, part=0) == conv_model()
    assert om_bytes(read_om(data, part=1)) == ADDS
    with pytest.raises(f.OmError, match="holds 2 models"):
        read_om(data)
    with pytest.raises(f.OmError, match="no model 2"):
        read_om(data, part=2)


def test_bundle_of_files() -> None:
    data = bundle([DATA, ADDS])
    assert not read_container(data).header.dynamic
    assert [om_bytes(read_om(data, part=part)) for part in (0, 1)] == [DATA, ADDS]


def test_bundle_in_a_bundle_is_refused() -> None:
    with pytest.raises(f.OmError, match="is a bundle"):
        read_container(bundle([bundle([DATA])]))


def test_damaged_bundles() -> None:
    data = bundle([DATA])
    with pytest.raises(f.OmError, match="announces"):
        read_container(data + b"x")
    with pytest.raises(f.OmError, match="starts at"):
        read_container(data[:272] + b"\1" + data[273:])
    with pytest.raises(f.OmError, match="holds no model"):
        read_container(bundle([]))


def test_dynamic_model_is_refused_by_name() -> None:
    flagged = bytearray(DATA)
    flagged[193] = 1
    with pytest.raises(f.OmError, match="only when it runs"):
        read_om(bytes(flagged))


def test_partitions_that_nobody_reads_are_kept() -> None:
    tiling, host = OmPartition(12, b"tiling data"), OmPartition(5, b"\0\0\0\0")
    unknown = OmPartition(77, b"from the future")
    model = dataclasses.replace(conv_model(), other=(host, tiling, unknown))
    data = om_bytes(model)
    assert list(read_container(data).partitions) == [5, 12, 8, 0, 1, 3, 2, 77]
    assert read_om(data) == model
    assert om_bytes(read_om(data)) == data


def test_sizes_of_kept_stores_are_announced() -> None:
    host, cpu = OmPartition(5, b"\0\0\0\0"), OmPartition(4, b"custom")
    data = om_bytes(dataclasses.replace(conv_model(), other=(cpu, host)))
    message = ge.ModelDef.FromString(partitions_of(data)[0])
    sizes = list(message.attr["om_info_list"].list.i)
    assert sizes == [len(partitions_of(data).get(number, b"")) for number in (1, 3, 4, 2, 5)]


def test_a_partition_of_ours_is_no_unknown_one() -> None:
    with pytest.raises(InconsistentModelError, match="partition 1 "):
        om_bytes(dataclasses.replace(conv_model(), other=(OmPartition(1, b"x"),)))


# ---------------------------------------------------------------------------------------------- compression
def test_compressed_attributes_are_what_they_were() -> None:
    data = changed(DATA, compress)
    names = {name for op in ge.ModelDef.FromString(partitions_of(data)[0]).graph[0].op for name in op.attr}
    assert all(name.startswith("\0") for name in names)
    read = read_om(data)
    assert read == conv_model()
    assert om_bytes(read) == DATA


def test_only_the_first_model_has_the_dictionary() -> None:
    both = [partitions_of(DATA), partitions_of(DATA)]
    first = ge.ModelDef.FromString(both[0][0])
    compress(first)
    second = ge.ModelDef.FromString(both[1][0])
    compress(second)
    dictionary = ("om_compress_version", "attr_name_enum", "attr_value_enum", "attrs_use_string_value")
    for key in dictionary:
        del second.attr[key]
    both[0][0], both[1][0] = first.SerializeToString(), second.SerializeToString()
    assert [read_om(file(both), part=part) for part in (0, 1)] == [conv_model()] * 2


def test_indices_of_names() -> None:
    assert [index_of(short(index)) for index in (0, 126, 127, 20000)] == [0, 126, 127, 20000]
    assert index_of("name") == index_of("\0") == index_of("") == -1


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("om_compress_version", "method 2"),
        ("attr_name_enum", "marks of texts"),
        ("attr_value_enum", "stands for text"),
        ("attrs_use_string_value", "marks of texts"),
    ],
)
def test_damaged_dictionaries(key: str, text: str) -> None:
    def damage(message: ge.ModelDef) -> None:
        compress(message)
        if key == "om_compress_version":
            message.attr[key].i = 2
        else:
            del message.attr[key]

    with pytest.raises(f.OmError, match=text):
        read_om(changed(DATA, damage))


def test_name_outside_the_dictionary() -> None:
    def damage(message: ge.ModelDef) -> None:
        compress(message)
        message.graph[0].op[0].attr["\0~~~"].i = 1

    with pytest.raises(f.OmError, match="not in the dictionary"):
        read_om(changed(DATA, damage))


def test_a_dictionary_is_no_bomb() -> None:
    """Two bytes that stand for a megabyte, twenty thousand times."""
    message = ge.ModelDef()
    compress_version, kinds = 1, ge.AttrDef.ListValue
    message.attr["om_compress_version"].i = compress_version
    message.attr["attr_name_enum"].list.s.append(b"x")
    message.attr["attr_value_enum"].list.s.append(b"y" * 1_000_000)
    message.attr["attrs_use_string_value"].list.b.append(True)
    value = message.graph.add().op.add().attr[short(0)].list
    value.i.extend([0] * 20_000)
    value.val_type = kinds.VT_LIST_INT
    with pytest.raises(f.OmError, match="out of all proportion"):
        expand(message)


# ---------------------------------------------------------------------------------------------- graph
def test_nodes_may_stand_in_any_order() -> None:
    def shuffle(message: ge.ModelDef) -> None:
        nodes = list(message.graph[0].op)
        random.Random(3).shuffle(nodes)
        compute = sorted((n for n in nodes if n.type in ("FusedConvBNReLU", "Pool")), key=lambda n: n.id)
        others = [n for n in nodes if n not in compute]
        constants = sorted((n for n in others if n.type == "Const"), key=lambda n: n.id)
        rest = [n for n in others if n.type != "Const"]
        del message.graph[0].op[:]
        message.graph[0].op.extend([rest[0], compute[0], constants[0], rest[1], compute[1], *constants[1:]])

    assert read_om(changed(DATA, shuffle)) == conv_model()


def test_two_nodes_with_one_id() -> None:
    def damage(message: ge.ModelDef) -> None:
        message.graph[0].op[1].id = message.graph[0].op[2].id

    with pytest.raises(f.OmError, match="same id"):
        read_om(changed(DATA, damage))


def test_a_task_of_no_operator() -> None:
    def damage(message: ge.ModelDef) -> None:
        message.graph[0].op[4].id = 77

    with pytest.raises(f.OmError, match="which is no operator") as caught:
        read_om(changed(DATA, damage))
    assert caught.value.partition == "TASK_INFO"


def test_outputs_without_names_get_those_of_the_public_tool() -> None:
    def forget(message: ge.ModelDef) -> None:
        del message.attr["attr_model_out_nodes_name"]

    parts = partitions_of(changed(DATA, forget))
    del parts[f.Partition.MODEL_INOUT_INFO]
    assert [output.name for output in read_om(file([parts])).outputs] == ["output_0_pool_0"]


def test_header_of_version_1() -> None:
    parts = partitions_of(DATA)
    data = bytearray(file([parts], wide=False))
    data[8:12] = (0x10000000).to_bytes(4, "little")
    data[156:160] = b"1.0\0"  # the platform's version stands there
    assert read_om(bytes(data)) == conv_model()


def test_header_of_an_empty_file() -> None:
    with pytest.raises(f.OmError, match="before the partition table"):
        read_container(header(b""))
