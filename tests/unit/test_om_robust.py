"""The loader on damaged and hostile files. `benchmarks/fuzz_loader.py` does the same with hundreds of thousands."""

from __future__ import annotations

import dataclasses
import importlib
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ascend_mlir.runtime.om import format as f
from ascend_mlir.runtime.om import ge_ir_pb2 as ge
from ascend_mlir.runtime.om import task_pb2 as domi
from ascend_mlir.runtime.om import wire
from ascend_mlir.runtime.om.consistency import InconsistentModelError
from ascend_mlir.runtime.om.container import read_container
from ascend_mlir.runtime.om.model import OmDesc, OmModel, OmTensor
from ascend_mlir.runtime.om.reader import read_om
from ascend_mlir.runtime.om.wire import BASE, FACTOR, scan
from ascend_mlir.runtime.om.writer import om_bytes
from om_foreign import changed, file, partitions_of
from om_samples import conv_model

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DATA = om_bytes(conv_model())


def _module(name: str) -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


fuzz, mutations = _module("fuzz_loader"), _module("loader_mutations")


@pytest.mark.parametrize("kind", list(mutations.MUTATIONS))
def test_any_damage(kind: str) -> None:
    """It loads, or one error says where; in time, in bounds."""
    rng, seeds, outcome = random.Random(11), fuzz.sample_seeds(), fuzz.Outcome()
    for _ in range(150):
        fuzz.run_file(outcome, mutations.MUTATIONS[kind][0](rng, seeds))
    assert not outcome.failures, outcome.failures[0]
    assert outcome.files == 150 and outcome.rejected


# --------------------------------------------------------------------------------------- places of errors
def graph_error(change: object) -> f.OmError:
    with pytest.raises(f.OmError) as caught:
        read_om(changed(DATA, change))  # pyright: ignore[reportArgumentType]
    return caught.value


def node_start(name: bytes, data: bytes) -> int:
    """Where a node begins: its field's tag, its length and its name's tag stand before its name."""
    content = partitions_of(data)[0]
    places = scan(content, ge.ModelDef, "MODEL_DEF", (("graph", "op"),)).starts[("graph", "op")]
    found = content.index(b"\n" + bytes([len(name)]) + name)
    return max(place for place in places if place < found)


def test_an_error_in_a_node_says_at_which_byte_the_node_begins() -> None:
    def damage(message: ge.ModelDef) -> None:
        message.graph[0].op[5].input[0] = "nobody:0"

    error = graph_error(damage)
    assert "nobody:0" in error.what and error.partition == "MODEL_DEF"
    assert error.offset == node_start(b"pool", changed(DATA, damage)) > 0


def test_an_error_in_a_task_says_at_which_byte_the_task_begins() -> None:
    parts = partitions_of(DATA)
    damaged = bytearray(parts[2])
    start = scan(parts[2], domi.ModelTaskDef, "TASK_INFO", (("task",),)).start(("task",), 1)
    args = damaged.index(b"\x6a\x10", start) + 2  # field 13 of the kernel: two words
    damaged[args + 7] = 0xFF  # the first address is in no region
    with pytest.raises(f.OmError, match="an address in no region") as caught:
        read_om(file([{**parts, 2: bytes(damaged)}]))
    assert (caught.value.partition, caught.value.offset) == ("TASK_INFO", start)


def test_a_kernel_store_that_ends_early_says_where() -> None:
    parts = partitions_of(DATA)
    with pytest.raises(f.OmError, match="a kernel runs past the end") as caught:
        read_om(file([{**parts, 3: parts[3][:-1]}]))
    assert caught.value.partition == "TBE_KERNELS" and caught.value.offset == 12 + 9 + 320


# ------------------------------------------------------------------------------------------------- limits
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x3a\x05\x32", "runs past the end of its message"),
        (b"\x3a", "a number runs past its end"),
        (b"\x80" * 11, "a number runs past its end"),
        (b"\x00\x01", "number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x09\x01", "a number runs past its end"),
    ],
)
def test_wire_format(content: bytes, text: str) -> None:
    with pytest.raises(f.OmError, match=text):
        scan(content, ge.ModelDef, "MODEL_DEF")


def test_messages_do_not_nest_without_end() -> None:
    content = b""
    for _ in range(40):  # an attribute whose value is a graph whose node has an attribute
        for number in (2, 10, 6, 13):
            length = bytes([len(content) & 127 | 128, len(content) >> 7])
            content = bytes([number << 3 | 2]) + length + content
    with pytest.raises(f.OmError, match="more than 100 deep"):
        scan(content, ge.AttrDef, "MODEL_DEF")


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = b"\x32\x00" * (1 << 20)  # a million empty nodes in two megabytes
    content = b"\x3a" + b"\x80\x80\x80\x01" + bomb
    with pytest.raises(f.OmError, match=f"would take more than {BASE + FACTOR * len(content)} bytes"):
        read_om(file([{**partitions_of(DATA), 0: content}]))


def test_honest_graphs_stay_far_below_the_limit() -> None:
    """The estimate is what the limit compares: a graph of ours comes to a tenth of the file's size at most."""
    content = partitions_of(DATA)[0]
    walk = wire._Scan(content * 40, "MODEL_DEF", ())
    walk.message(0, len(walk.data), wire._described(ge.ModelDef.DESCRIPTOR), (), 1)
    assert BASE + FACTOR * len(walk.data) - walk.left < 12 * len(walk.data)


# ----------------------------------------------------------------------------------------------- relations
def refused(model: OmModel, text: str) -> InconsistentModelError:
    with pytest.raises(InconsistentModelError, match=text) as caught:
        om_bytes(model)
    return caught.value


def test_sizes_follow_from_shapes() -> None:
    model = conv_model()
    wrong = dataclasses.replace(model.outputs[0], shape=(1, 65))
    assert refused(dataclasses.replace(model, outputs=(wrong,)), "its shape says 260").place == ("outputs", 0)
    endless = OmTensor("x", "f16", (2**40,) * 40, 401408, 0, "NCHW")
    refused(dataclasses.replace(model, inputs=(endless,)), "more than 2.64 bytes")
    negative = OmTensor("x", "f16", (-2, -2), 8, 0, "NCHW")
    refused(dataclasses.replace(model, inputs=(negative,)), "an extent of -2")


def test_offsets_of_operators_lie_in_their_region() -> None:
    model = conv_model()
    conv = dataclasses.replace(model.graph[0], output_offsets=(model.memory_size,))
    error = refused(dataclasses.replace(model, graph=(conv, model.graph[1])), "of outputs at 805888")
    assert error.place == ("graph", 0)
    short = dataclasses.replace(model.graph[0], input_offsets=(0,))
    refused(dataclasses.replace(model, graph=(short, model.graph[1])), "3 inputs and 1 offsets")
    work = dataclasses.replace(model.graph[0], workspace_offsets=(0,), workspace_bytes=(1 << 40,))
    refused(dataclasses.replace(model, graph=(work, model.graph[1])), "of workspaces at 0")


def test_every_workspace_has_an_offset() -> None:
    """Found by the fuzzer: sizes without offsets met a reader of both."""
    model = conv_model()
    sizes = dataclasses.replace(model.graph[0], workspace_offsets=(), workspace_bytes=(512,))
    refused(dataclasses.replace(model, graph=(sizes, model.graph[1])), "1 workspaces and 0 offsets")


@pytest.mark.parametrize(
    "edge", ["pool:0:1", "pool:1", "pool:-2", "pool:٣", "pool", ":", "pool:99999999999999"]
)
def test_edges_name_outputs_that_exist(edge: str) -> None:
    model = conv_model()
    output = dataclasses.replace(model.outputs[0], source=edge)
    refused(dataclasses.replace(model, outputs=(output,)), "which no node of the graph produces")


def test_outputs_of_a_model_without_a_graph_name_nodes_too() -> None:
    """Found by the fuzzer: the writer met an edge that nobody had checked."""
    tensors = (OmTensor("x", "f32", (), 4, 0),), (OmTensor("y", "f32", (), 4, 512, source="x:é"),)
    refused(OmModel("tiny", "Ascend310P3", *tensors, 1024), "which no node of the graph produces")


def test_streams_can_be_counted() -> None:
    """Found by the fuzzer: the number of streams did not fit its field."""
    model = conv_model()
    task = dataclasses.replace(model.tasks[0], stream=2**32 - 1)
    refused(dataclasses.replace(model, tasks=(task, model.tasks[1])), "stream 4294967295")


@pytest.mark.parametrize("name", ["FRACTAL_Z:65536", "FRACTAL_Z:٣", "FRACTAL_Z:-1", "NOTHING", ""])
def test_formats_are_known(name: str) -> None:
    model = conv_model()
    desc = OmDesc("f16", (1,), (1,), name, "ND", 2)
    pool = dataclasses.replace(model.graph[1], output_descs=(desc,))
    refused(dataclasses.replace(model, graph=(model.graph[0], pool)), "unknown format")


def test_memory_is_mapped_and_not_read(tmp_path: Path) -> None:
    """A sparse file of 3 GiB is opened in the memory of its table."""
    parts = partitions_of(DATA)
    small = file([parts])
    size = 3 << 30
    row = f.HEADER_SIZE + 8 + 24 * 4
    header = bytearray(small[: f.HEADER_SIZE + 8 + 24 * 5])
    header[row : row + 24] = f.TABLE_ROW_64.pack(77, sum(len(c) for n, c in parts.items() if n != 2), size)
    body = b"".join(content for number, content in parts.items() if number != 2)
    header[184:192] = (len(header) - f.HEADER_SIZE + len(body) + size).to_bytes(8, "little")
    path = tmp_path / "large.om"
    with path.open("wb") as stream:
        stream.write(bytes(header) + body)
        stream.truncate(len(header) + len(body) + size)
    container = read_container(path)
    assert len(container.partitions[77]) == size and bytes(container.partitions[77][-4:]) == bytes(4)
