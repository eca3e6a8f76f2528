"""A model of several sizes in one file, in the public form (om-format.md §6.1).

MODEL_DEF holds a root graph and a graph per branch. In the root stands the choice: `MapIndex` looks the numbers that
the caller sets (the extra input `ascend_mbatch_shape_data`) up in a table of all profiles, `Case` runs the branch of
that number. TASK_INFO has the tasks of all branches, with labels between them:

    label_switch_by_index   go on at label j
    label_set j             the tasks of branch j, then label_goto to the end; for each branch
    label_set n             the end
"""

from __future__ import annotations

from dataclasses import replace

from . import format as f
from . import ge_ir_pb2 as ge
from . import task_pb2 as domi
from .graph_writer import (
    add_nodes,
    const_node,
    data_node,
    definition,
    desc_of,
    fill_graph,
    io_desc,
    set_attrs,
)
from .inout_writer import block, tensor_block
from .model import AttrValue, OmDesc, OmModel, OmTensor, OmWeight, WeightPayload
from .profiles import OmProfiles
from .task_writer import add_tasks, task_list


def profile_definition(profiles: OmProfiles, sizes: tuple[int, ...]) -> ge.ModelDef:
    """MODEL_DEF. Attributes in which branches differ stand in their graphs, the others in the model."""
    common = common_attrs(profiles)
    derived: dict[str, AttrValue] = {
        f.ATTR_OUT_NAMES: tuple(output_names(profiles)),
        f.ATTR_SIZES: sizes,
        "label_num": len(profiles.branches) + 1,
    }
    message = definition(profiles.branches[0], profiles.weight_size, common, derived)
    root = message.graph.add(name=profiles.name)
    _fill_root(root, profiles)
    for number, first in enumerate(first_ids(profiles)):
        branch = profiles.branches[number]
        graph = message.graph.add(name=branch_name(number))
        fill_graph(graph, branch, first)
        _as_branch(graph, branch, number)
        set_attrs(graph.attr, {key: value for key, value in branch.attrs.items() if key not in common})
    return message


def common_attrs(profiles: OmProfiles) -> dict[str, AttrValue]:
    """Model attributes that all branches have alike."""
    first, *others = profiles.branches
    return {
        key: value
        for key, value in first.attrs.items()
        if all(key in branch.attrs and branch.attrs[key] == value for branch in others)
    }


def branch_name(number: int) -> str:
    """The graph of a branch."""
    return f"Batch_{number}"


def output_names(profiles: OmProfiles) -> list[str]:
    """Names of the outputs; their producer is `Case`."""
    return [f"{f.CASE}:{i}:{tensor.name}" for i, tensor in enumerate(profiles.branches[0].outputs)]


def first_ids(profiles: OmProfiles) -> list[int]:
    """Node ids count through the file: the first one of each branch."""
    starts = [profiles.inputs + 5]  # the root: inputs, their sizes, the table, MapIndex, Case, NetOutput
    for branch in profiles.branches:
        starts.append(starts[-1] + len(branch.inputs) + len(branch.weights) + len(branch.graph) + 1)
    return starts[:-1]


def table_weight(profiles: OmProfiles) -> OmWeight:
    """The numbers of all profiles, a constant behind all others."""
    shape = (len(profiles.sizes), len(profiles.sizes[0]))
    payload = WeightPayload.of(profiles.table_bytes)
    return OmWeight(f.SHAPE_TABLE, "i32", shape, shape, "ND", payload, profiles.table)


def root_inputs(profiles: OmProfiles) -> tuple[OmTensor, ...]:
    """The inputs as a caller sees them, open sizes -1, and the numbers that choose the profile. Sizes in bytes are those of
    the largest profile."""
    largest = profiles.branches[profiles.largest]
    count = len(profiles.sizes[0])
    numbers = OmTensor(f.SHAPE_DATA, "i32", (count,), 4 * count, 0)
    shown = zip(largest.inputs, profiles.shapes, strict=True)
    return (*(replace(tensor, shape=shape) for tensor, shape in shown), numbers)


def _fill_root(graph: ge.GraphDef, profiles: OmProfiles) -> None:
    largest = profiles.branches[profiles.largest]
    seen = root_inputs(profiles)
    given = (*largest.inputs, seen[-1])
    nodes: list[ge.OpDef] = []
    for i, (tensor, shown) in enumerate(zip(given, seen, strict=True)):
        node = data_node(i, tensor)
        attrs: dict[str, AttrValue] = {f.ATTR_ORIGIN_DIMS: shown.shape, f.ATTR_CASE_NAME: f.CASE}
        if tensor.name == f.SHAPE_DATA:
            attrs = dict.fromkeys((f.ATTR_SHAPE_DATA, f.ATTR_INSERTED, f.ATTR_HOST_TENSOR), True)
        set_attrs(node.attr, attrs)
        nodes.append(node)
    table = const_node(table_weight(profiles))
    nodes += [table, _map_index(nodes[-1], table), _case(profiles, largest)]
    nodes.append(_net_output(profiles, largest))
    graph.input.extend(f"{tensor.name}:0" for tensor in given)
    graph.output.extend(f"{f.CASE}:{i}" for i in range(len(largest.outputs)))
    add_nodes(graph, nodes)


def _map_index(numbers: ge.OpDef, table: ge.OpDef) -> ge.OpDef:
    node = ge.OpDef(name=f.MAP_INDEX, type=f.OP_MAP_INDEX, input=[f"{f.SHAPE_DATA}:0", f"{f.SHAPE_TABLE}:0"])
    node.input_name.extend(("x", "data_seq"))
    node.is_input_const.extend((False, True))
    node.input_desc.extend((numbers.output_desc[0], table.output_desc[0]))
    node.output_desc.append(_branch_index())
    set_attrs(node.attr, {f.ATTR_INSERTED: True})
    return node


def _branch_index() -> ge.TensorDescriptor:
    return desc_of(OmDesc("i32", (), (), size=4))


def _case(profiles: OmProfiles, largest: OmModel) -> ge.OpDef:
    inputs = [f"{f.MAP_INDEX}:0", *(f"{tensor.name}:0" for tensor in largest.inputs)]
    node = ge.OpDef(name=f.CASE, type=f.OP_CASE, input=inputs)
    node.input_name.extend(("branch_index", *(f"input{i}" for i in range(profiles.inputs))))
    node.is_input_const.extend([False] * len(inputs))
    node.input_desc.append(_branch_index())
    node.input_desc.extend(io_desc(tensor) for tensor in largest.inputs)
    node.output_desc.extend(io_desc(tensor) for tensor in largest.outputs)
    node.subgraph_name.extend(branch_name(number) for number in range(len(profiles.branches)))
    attrs: dict[str, AttrValue] = {
        f.ATTR_BRANCHES: len(profiles.branches),
        f.ATTR_ORDER: profiles.order,
        f.ATTR_INSERTED: True,
        f.ATTR_PROFILE_KIND: f.PROFILE_KINDS[profiles.kind],
    }
    attrs |= {f"{f.ATTR_SIZES_OF}{number}": row for number, row in enumerate(profiles.sizes)}
    set_attrs(node.attr, attrs)
    return node


def output_dims(profiles: OmProfiles) -> tuple[str, ...]:
    """The shapes of all outputs in all profiles: "profile,output,sizes"."""
    return tuple(
        ",".join(map(str, (number, i, *tensor.shape)))
        for number, branch in enumerate(profiles.branches)
        for i, tensor in enumerate(branch.outputs)
    )


def _net_output(profiles: OmProfiles, largest: OmModel) -> ge.OpDef:
    node = ge.OpDef(name=f.OP_OUTPUT, type=f.OP_OUTPUT)
    for i, tensor in enumerate(largest.outputs):
        node.input.append(f"{f.CASE}:{i}")
        node.input_i.append(tensor.offset)
        node.input_desc.append(io_desc(tensor))
        node.is_input_const.append(False)
    set_attrs(node.attr, {f.ATTR_OUTPUT_DIMS: output_dims(profiles)})
    return node


def _as_branch(graph: ge.GraphDef, branch: OmModel, number: int) -> None:
    """Names that are no other branch's, and what the graph's border stands for at `Case`."""
    suffix = f"{f.BRANCH_SUFFIX}{number}"
    for node in graph.op:
        if node.type == f.OP_DATA:
            set_attrs(node.attr, {f.ATTR_PARENT: 1 + node.attr[f.ATTR_INDEX].i})  # 0 is the branch's number
        elif node.type == f.OP_OUTPUT:
            for i, desc in enumerate(node.input_desc):
                set_attrs(desc.attr, {f.ATTR_PARENT: i})
        node.name += suffix
        for names in (node.src_name, node.dst_name):
            names[:] = [name + suffix for name in names]
        node.input[:] = [renamed(edge, suffix) for edge in node.input]
    for edges in (graph.input, graph.output):
        edges[:] = [renamed(edge, suffix) for edge in edges]


def renamed(edge: str, suffix: str) -> str:
    """ "producer:output" with the suffix behind the producer."""
    producer, colon, output = edge.rpartition(":")
    return f"{producer}{suffix}:{output}" if colon else edge


def profile_tasks(profiles: OmProfiles) -> bytes:
    """TASK_INFO: the tasks of all branches between labels."""
    message = task_list(profiles.branches[0])
    message.stream_num = max(branch.stream_num for branch in profiles.branches)
    case, end = profiles.inputs + 3, len(profiles.branches)
    switch = message.task.add(id=0, type=f.TASK_LABEL_SWITCH)
    switch.label_switch_by_index.op_index = case
    switch.label_switch_by_index.label_max = end
    for number, first in enumerate(first_ids(profiles)):
        _set_label(message, number, case)
        add_tasks(message, profiles.branches[number], first)
        goto = message.task.add(id=len(message.task), type=f.TASK_LABEL_GOTO, label_id=end)
        goto.label_goto_ex.op_index, goto.label_goto_ex.label_id = case, end
    _set_label(message, end, case)
    return message.SerializeToString(deterministic=True)


def _set_label(message: domi.ModelTaskDef, label: int, op_index: int) -> None:
    entry = message.task.add(id=len(message.task), type=f.TASK_LABEL_SET, label_id=label)
    entry.label_set.op_index, entry.label_set.label_id = op_index, label


def profile_inout(profiles: OmProfiles) -> bytes:
    """MODEL_INOUT_INFO: inputs with open sizes, outputs of the largest profile, the profiles, the outputs' shapes."""
    inputs = root_inputs(profiles)
    outputs = profiles.branches[profiles.largest].outputs
    info = tensor_block(f.TLV_INPUTS, inputs, [tensor.name for tensor in inputs])
    info += tensor_block(f.TLV_OUTPUTS, outputs, output_names(profiles))
    info += block(f.TLV_PROFILES[profiles.kind], _numbers(profiles))
    info += _texts(f.TLV_OUTPUT_SHAPES, output_dims(profiles))
    return info + _texts(f.TLV_INPUT_ORDER, profiles.order)


def _numbers(profiles: OmProfiles) -> bytes:
    """Batches as 64-bit numbers; other profiles with how many numbers each has before them."""
    rows = profiles.sizes
    numbers = b"".join(size.to_bytes(f.WORD_BYTES, "little") for row in rows for size in row)
    counts = b"" if profiles.kind == "batch" else b"".join(f.COUNT.pack(len(row)) for row in rows)
    return f.COUNT.pack(len(rows)) + counts + numbers


def _texts(kind: int, texts: tuple[str, ...]) -> bytes:
    words = [text.encode() for text in texts]
    if not words:
        return b""
    return block(
        kind, f.COUNT.pack(len(words)) + b"".join(f.COUNT.pack(len(word)) for word in words) + b"".join(words)
    )
