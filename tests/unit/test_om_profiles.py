"""Models of several sizes: in memory, in the file, as text; and every way in which a file of them can be wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ascend_mlir.dialects.om import om_to_profiles, payloads_of, profiles_to_om
from ascend_mlir.runtime.errors import AscendError
from ascend_mlir.runtime.om import format as f
from ascend_mlir.runtime.om import ge_ir_pb2 as ge
from ascend_mlir.runtime.om import task_pb2 as domi
from ascend_mlir.runtime.om.consistency import InconsistentModelError
from ascend_mlir.runtime.om.container import read_container
from ascend_mlir.runtime.om.format import OmError
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.profiles import OmProfiles, check_profiles, join
from ascend_mlir.runtime.om.reader import read_offline, read_om
from ascend_mlir.runtime.om.writer import om_bytes
from ascend_mlir.tools.ascend_translate import model_of_text, offline_op
from om_foreign import file, partitions_of
from om_samples import ADD, ADD_DONE, LOAD_DONE, add_model, conv_model


def sized(model: OmModel, batch: int) -> OmModel:
    """The same model for another batch; its code is not looked at here."""

    def bigger(tensor: Any) -> Any:
        shape = (batch, *tensor.shape[1:])
        return dataclasses.replace(tensor, shape=shape, size=tensor.size // tensor.shape[0] * batch)

    grown = model.memory_size * batch
    return dataclasses.replace(
        model,
        memory_size=grown,
        inputs=tuple(map(bigger, model.inputs)),
        outputs=tuple(map(bigger, model.outputs)),
    )


def profiles() -> OmProfiles:
    base = dataclasses.replace(conv_model(), outputs=())
    other = dataclasses.replace(sized(base, 3), attrs={**base.attrs, "list": ("a",)})
    changed = dataclasses.replace(other.kernels[0], code=other.kernels[0].code[::-1])
    other = dataclasses.replace(other, kernels=(changed, *other.kernels[1:]))
    return join("batch", [(1,), (3,)], ["x"], [base, other])


def add_profiles() -> OmProfiles:
    """Two that run: one is the other without its second row."""
    add = add_model(ADD.format(load_done=LOAD_DONE, add_done=ADD_DONE))
    half = dataclasses.replace(
        add,
        inputs=tuple(dataclasses.replace(t, shape=(1, 64), size=128) for t in add.inputs),
        outputs=tuple(dataclasses.replace(t, shape=(1, 64), size=128) for t in add.outputs),
    )
    return join("batch", [(2,), (1,)], ["x"], [add, half])


DATA = om_bytes(add_profiles())


def test_branches_share_what_is_equal() -> None:
    joined = profiles()
    first, second = joined.branches
    assert [w.offset for w in first.weights] == [w.offset for w in second.weights]
    assert first.memory_size == second.memory_size == 3 * conv_model().memory_size
    assert first.weight_size == second.weight_size == joined.weight_size > joined.table
    assert joined.shapes == ((-1, 64, 56, 56),) and joined.largest == 1
    # the kernel of another code got another name, where it is launched and where it is shown
    assert [k.name for k in second.kernels] == ["conv_7c1e_ascend_mbatch_batch_1", "unused_0"]
    assert second.tasks[0].kernel == "conv_7c1e_ascend_mbatch_batch_1"
    assert len(joined.kernels) == 3


def test_weights_move_with_the_arguments() -> None:
    base = conv_model()
    other = dataclasses.replace(base, weights=base.weights[1:2], tasks=(), graph=(), outputs=())
    joined = join("batch", [(1,), (2,)], ["x"], [other, base])  # the bias comes first now
    for before, after in zip(base.tasks[0].args, joined.branches[1].tasks[0].args, strict=True):
        if isinstance(before, int) or before.region == "feature_map":
            assert before == after
    moved = {w.name: w.offset for w in joined.branches[1].weights}
    assert [a.offset for a in joined.branches[1].tasks[0].args[1:3] if not isinstance(a, int)] == [
        moved["conv.weight"],
        moved["conv.bias"],
    ]
    assert moved["conv.bias"] < moved["conv.weight"]


def test_written_and_read(tmp_path: Path) -> None:
    read = read_offline(DATA)
    assert read == add_profiles() and isinstance(read, OmProfiles)
    assert om_bytes(read) == DATA
    assert [read_om(DATA, part=part) for part in (0, 1)] == list(read.branches)
    (tmp_path / "m.om").write_bytes(DATA)
    assert read_offline(tmp_path / "m.om", digests=False).name == "add"


def test_a_branch_becomes_a_file_of_its_own() -> None:
    for part in (0, 1):
        alone = om_bytes(read_om(DATA, part=part))
        assert om_bytes(read_om(alone)) == alone
        assert read_om(alone).inputs == read_om(DATA, part=part).inputs


def test_as_text() -> None:
    read = read_offline(DATA)
    assert isinstance(read, OmProfiles)
    op = offline_op(str(profiles_to_om(read)))
    assert op.name == "om.profiles"
    again = om_to_profiles(op, [payloads_of(branch) for branch in read.branches])  # pyright: ignore[reportArgumentType]
    assert om_bytes(again) == DATA
    with pytest.raises(AscendError, match=r"om\.profiles"):
        model_of_text(str(profiles_to_om(read)))


def test_the_public_form() -> None:
    """om-format.md §6.1, read without the loader."""
    parts = partitions_of(DATA)
    message = ge.ModelDef.FromString(parts[f.Partition.MODEL_DEF])
    root, *branches = message.graph
    assert [node.type for node in root.op] == ["Data", "Data", "Const", "MapIndex", "Case", "NetOutput"]
    by_name = {node.name: node for node in root.op}
    numbers = by_name["ascend_mbatch_shape_data"]
    assert numbers.attr["_is_multi_batch_shape_data"].b and numbers.attr["index"].i == 1
    assert list(numbers.output_desc[0].shape.dim) == [1]
    assert list(by_name["x"].attr["_mbatch_origin_input_dims"].list.i) == [-1, 64]
    case = by_name["ascend_mbatch_shape_case"]
    assert case.attr["_batch_num"].i == 2 and case.attr["mbatch_dynamic_type"].i == 1
    assert [list(case.attr[f"_pred_value_{j}"].list.i) for j in (0, 1)] == [[2], [1]]
    assert list(case.subgraph_name) == [graph.name for graph in branches] == ["Batch_0", "Batch_1"]
    assert list(case.input) == ["ascend_mbatch_shape_mapindex:0", "x:0"]
    for number, graph in enumerate(branches):
        names = [node.name for node in graph.op]
        assert all(name.endswith(f"_ascend_mbatch_batch_{number}") for name in names)
        assert len(set(names)) == len(names)
    ids = [node.id for graph in message.graph for node in graph.op]
    assert ids == list(range(len(ids)))
    tasks = domi.ModelTaskDef.FromString(parts[f.Partition.TASK_INFO]).task
    assert [task.type for task in tasks] == [23, 9, 0, 24, 9, 0, 24, 9]
    assert tasks[0].label_switch_by_index.label_max == 2 and message.attr["label_num"].i == 3


def test_a_file_of_profiles_is_no_single_model() -> None:
    with pytest.raises(AscendError, match="2 profiles of sizes, batch 2; 1") as found:
        read_om(DATA)
    assert "--part 0 to 1" in found.value.hint
    with pytest.raises(OmError, match="no profile 2"):
        read_om(DATA, part=2)


# ------------------------------------------------------------------------------------------ what is wrong


def _changed(value: OmProfiles, **fields: Any) -> OmProfiles:
    return dataclasses.replace(value, **fields)


def _branch(value: OmProfiles, number: int, **fields: Any) -> OmProfiles:
    branches = list(value.branches)
    branches[number] = dataclasses.replace(branches[number], **fields)
    return dataclasses.replace(value, branches=tuple(branches))


WRONG: list[tuple[str, Callable[[OmProfiles], OmProfiles], str]] = [
    ("one", lambda p: _changed(p, branches=p.branches[:1], sizes=p.sizes[:1]), "1 branches for 1 profiles"),
    ("sizes", lambda p: _changed(p, sizes=((2,), (1, 1))), "unequal lengths"),
    ("equal", lambda p: _changed(p, sizes=((2,), (2,))), "are equal"),
    ("zero", lambda p: _changed(p, sizes=((2,), (0,))), "not positive"),
    ("kind", lambda p: _changed(p, kind="depth"), "profiles of kind 'depth'"),
    ("shapes", lambda p: _branch(p, 1, inputs=p.branches[0].inputs), "same input shapes"),
    ("soc", lambda p: _branch(p, 1, soc="Ascend310"), "differs from the first"),
    ("memory", lambda p: _branch(p, 1, memory_size=4096), "differs from the first"),
    ("outputs", lambda p: _branch(p, 1, outputs=()), "other outputs"),
    ("table", lambda p: _changed(p, table=512), "table of sizes lies at 512"),
    ("code", lambda p: _branch(p, 1, kernels=(dataclasses.replace(p.branches[1].kernels[0], code=bytes(32)),)), "other code"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_inconsistent(change: Callable[[OmProfiles], OmProfiles], text: str) -> None:
    with pytest.raises(InconsistentModelError, match=text):
        check_profiles(change(add_profiles()))
    with pytest.raises(InconsistentModelError):
        om_bytes(change(add_profiles()))


def _message(data: bytes, change: Callable[[Any], None]) -> bytes:
    parts = partitions_of(data)
    message = ge.ModelDef.FromString(parts[f.Partition.MODEL_DEF])
    change(message)
    return file([{**parts, f.Partition.MODEL_DEF: message.SerializeToString(deterministic=True)}])


def _tasks(data: bytes, change: Callable[[Any], None]) -> bytes:
    parts = partitions_of(data)
    message = domi.ModelTaskDef.FromString(parts[f.Partition.TASK_INFO])
    change(message)
    return file([{**parts, f.Partition.TASK_INFO: message.SerializeToString(deterministic=True)}])


def _case(message: Any) -> Any:
    return next(node for node in message.graph[0].op if node.type == "Case")


def _set(target: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(target, name, value)


DAMAGE: list[tuple[str, bytes, str]] = [
    ("a row of Case", _message(DATA, lambda m: _case(m).attr["_pred_value_0"].list.i.__setitem__(0, 9)), "numbers of Case"),
    ("no row", _message(DATA, lambda m: _case(m).attr.pop("_pred_value_1")), "a profile has the numbers None"),
    ("count", _message(DATA, lambda m: _set(_case(m).attr["_batch_num"], i=3)), "2 branches, Case announces 3"),
    ("kind", _message(DATA, lambda m: _set(_case(m).attr["mbatch_dynamic_type"], i=7)), "profiles of kind 7"),
    ("branch name", _message(DATA, lambda m: _set(m.graph[1], name="Batch_1")), "branch 0 is called 'Batch_1'"),
    ("owner", _message(DATA, lambda m: _case(m).subgraph_name.__setitem__(0, "x")), "does not name the graphs"),
    ("node name", _message(DATA, lambda m: _set(m.graph[1].op[0], name="x")), "is no node of"),
    ("no choice", _message(DATA, lambda m: _set(m.graph[0].op[3], type="Relu")), "no choice of a profile"),
    ("other size", _message(DATA, lambda m: m.graph[1].op[0].output_desc[0].attr["origin_shape"].list.i.__setitem__(0, 5)), "'x'"),
    ("a graph more", _message(DATA, lambda m: m.graph.add().CopyFrom(m.graph[2])), "3 branches, Case announces 2"),
    ("no switch", _tasks(DATA, lambda m: m.task.__delitem__(0)), "labels do not divide"),
    ("a label less", _tasks(DATA, lambda m: m.task.__delitem__(4)), "labels do not divide"),
    ("label number", _tasks(DATA, lambda m: _set(m.task[4].label_set, label_id=5)), "labels do not divide"),
    ("goto elsewhere", _tasks(DATA, lambda m: _set(m.task[3].label_goto_ex, label_id=1)), "labels do not divide"),
    ("no goto", _tasks(DATA, lambda m: m.task.__delitem__(3)), "labels do not divide"),
    ("switch of three", _tasks(DATA, lambda m: _set(m.task[0].label_switch_by_index, label_max=3)), "labels do not divide"),
    ("task of another", _tasks(DATA, lambda m: _set(m.task[2].kernel.context, op_index=99)), "task 2 names node 99"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "text"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_damaged(data: bytes, text: str) -> None:
    with pytest.raises(OmError, match=text) as found:
        read_offline(data)
    assert found.value.offset is not None and found.value.partition


@pytest.mark.parametrize("kind", [0, 1, 2, 5, 6])
def test_the_summary_says_what_the_graph_says(kind: int) -> None:
    parts = partitions_of(DATA)
    info = bytearray(parts[f.Partition.MODEL_INOUT_INFO])
    at = 0
    while f.TLV.unpack_from(info, at)[0] != kind:
        at += f.TLV.size + f.TLV.unpack_from(info, at)[1]
    size = f.TLV.unpack_from(info, at)[1]
    first_size = at + f.TLV.size + f.COUNT.size  # of a tensor; other blocks end with what counts
    info[first_size if kind < 2 else at + f.TLV.size + size - 1] ^= 1
    with pytest.raises(OmError, match="MODEL_INOUT_INFO"):
        read_offline(file([{**parts, f.Partition.MODEL_INOUT_INFO: bytes(info)}]))
    without = {number: content for number, content in parts.items() if number != f.Partition.MODEL_INOUT_INFO}
    assert read_offline(file([without])) == read_offline(DATA)  # it may be absent


def test_partitions_are_the_usual_ones() -> None:
    assert list(read_container(DATA).partitions) == [8, 0, 1, 3, 2]
