"""The TASK_INFO partition → tasks of an `OmModel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from . import format as f
from . import task_pb2 as domi
from .container import Block, require
from .graph_reader import Graph
from .model import KERNEL_TYPE_NONE, MEMCPY, Arg, OmModel, OmTask
from .parsing import parse
from .wire import Places

TASK: Final = ("task",)
"""Path of the field that `read_tasks` finds the places of."""


def read_tasks(block: Block) -> tuple[domi.ModelTaskDef, Places]:
    """The tasks of one model, and where each begins."""
    data = bytes(require(block, f.Partition.TASK_INFO))
    return parse(domi.ModelTaskDef, data, f.Partition.TASK_INFO, (TASK,))


def check_regions(model: OmModel, message: domi.ModelTaskDef) -> None:
    """The regions that tasks' addresses lie in are the model's."""
    announced = (message.memory_size, message.weight_size, message.base_addr, message.weight_addr)
    expected = (model.memory_size, model.weight_size, model.feature_map_base, model.weight_base)
    if announced != expected:
        raise f.OmError(
            f"its regions {announced} are not the model's",
            partition="TASK_INFO",
            offset=0,
            expected=str(expected),
        )


def tasks_of(
    model: OmModel, entries: Sequence[domi.TaskDef], graph: Graph, places: Places, first: int = 0
) -> tuple[OmTask, ...]:
    """The tasks of a model; `first` is the position of the first one in the partition."""
    tasks: list[OmTask] = []
    for index, task in enumerate(entries, first):
        try:
            tasks.append(_task(model, index, task, graph))
        except f.OmError as error:
            raise error.at(places.start(TASK, index)) from None
    return tuple(tasks)


def _task(model: OmModel, index: int, task: domi.TaskDef, graph: Graph) -> OmTask:
    if task.type == f.TASK_MEMCPY and task.HasField("memcpy_async"):
        return _copy(model, index, task, graph)
    if task.type != f.TASK_KERNEL or not task.HasField("kernel"):
        raise f.OmError(
            f"task {index} has type {task.type}",
            partition="TASK_INFO",
            expected="kernel launches (0) and copies (13)",
        )
    kernel = task.kernel
    if kernel.args_size != len(kernel.args) or len(kernel.args) % f.WORD_BYTES:
        raise f.OmError(
            f"task {index} has {len(kernel.args)} bytes of arguments, announces {kernel.args_size}",
            partition="TASK_INFO",
            expected="whole 64-bit words",
        )
    if kernel.kernel_ext_info_size != len(kernel.kernel_ext_info):
        raise f.OmError(
            f"task {index} announces another size of its extra information", partition="TASK_INFO"
        )
    try:
        sources, _ = parse(domi.TaskSources, task.private_def, f.Partition.TASK_INFO)
    except f.OmError as error:  # its bytes count from the task's private_def
        raise f.OmError(f"the sources of task {index}: {error.what}", partition="TASK_INFO") from None
    return OmTask(
        kernel=kernel.kernel_name,
        block_dim=kernel.block_dim,
        args=_args(model, index, kernel),
        op_index=_operator(index, kernel.context.op_index, graph),
        stream=task.stream_id,
        kernel_type=kernel.context.kernel_type,
        kernel_ext_info=kernel.kernel_ext_info,
        sources=tuple(tuple(entry.node) for entry in sources.body_op),
    )


def _operator(index: int, node: int, graph: Graph) -> int:
    """The operator that a task computes; a model without a graph has none, and its tasks name the place behind
    inputs and constants, where the output node stands."""
    if not graph.ops and node == graph.end_id:
        return 0
    if node not in graph.op_by_id:
        raise f.OmError(f"task {index} names node {node}, which is no operator", partition="TASK_INFO")
    return graph.op_by_id[node]


def _copy(model: OmModel, index: int, task: domi.TaskDef, graph: Graph) -> OmTask:
    copy = task.memcpy_async
    target, source = model.address(copy.dst), model.address(copy.src)
    if target is None or source is None or copy.dst_max < copy.count:
        raise f.OmError(f"task {index} copies outside the model's regions", partition="TASK_INFO")
    args = (target, source, copy.count)
    op_index = _operator(index, copy.op_index, graph)
    return OmTask(MEMCPY, 1, args, op_index, task.stream_id, kernel_type=KERNEL_TYPE_NONE)


def _args(model: OmModel, index: int, kernel: domi.KernelDef) -> tuple[Arg, ...]:
    starts = range(0, len(kernel.args), f.WORD_BYTES)
    words = [int.from_bytes(kernel.args[at : at + f.WORD_BYTES], "little") for at in starts]
    addresses = kernel.context.args_count
    if addresses > len(words):
        raise f.OmError(
            f"task {index} has {len(words)} arguments, {addresses} of them addresses", partition="TASK_INFO"
        )
    args: list[Arg] = []
    for word in words[:addresses]:
        address = model.address(word)
        if address is None:
            raise f.OmError(f"task {index} has an address in no region: {word:#x}", partition="TASK_INFO")
        args.append(address)
    return (*args, *words[addresses:])
