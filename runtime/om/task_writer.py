"""The tasks of a model as TASK_INFO has them."""

from __future__ import annotations

from . import format as f
from . import task_pb2 as domi
from .graph_writer import graph_id_base
from .model import Address, OmModel, OmTask


def task_info(model: OmModel) -> bytes:
    """The partition of a plain model."""
    message = task_list(model)
    add_tasks(message, model)
    return message.SerializeToString(deterministic=True)


def task_list(model: OmModel) -> domi.ModelTaskDef:
    """The regions that the addresses of tasks lie in, and no task yet."""
    return domi.ModelTaskDef(
        version=f.PLATFORM_VERSION,
        memory_size=model.memory_size,
        stream_num=model.stream_num,
        weight_size=model.weight_size,
        base_addr=model.feature_map_base,
        weight_addr=model.weight_base,
    )


def add_tasks(message: domi.ModelTaskDef, model: OmModel, first_id: int = 0) -> None:
    """The tasks behind those that are there; `first_id` is the node id of the graph's first node."""
    first = first_id + graph_id_base(model)
    for number, task in enumerate(model.tasks, len(message.task)):
        if task.is_copy:
            _add_copy(message, number, model, task, first)
        else:
            _add_kernel(message, number, model, task, first)


def _add_kernel(message: domi.ModelTaskDef, number: int, model: OmModel, task: OmTask, first: int) -> None:
    args = b"".join(model.word(a).to_bytes(f.WORD_BYTES, "little") for a in task.args)
    entry = message.task.add(id=number, type=f.TASK_KERNEL, stream_id=task.stream)
    entry.kernel.stub_func = task.kernel
    entry.kernel.kernel_name = task.kernel
    entry.kernel.block_dim = task.block_dim
    entry.kernel.args = args
    entry.kernel.args_size = len(args)
    entry.kernel.kernel_ext_info = task.kernel_ext_info
    entry.kernel.kernel_ext_info_size = len(task.kernel_ext_info)
    entry.kernel.context.kernel_type = task.kernel_type
    entry.kernel.context.op_index = first + task.op_index
    entry.kernel.context.args_count = sum(isinstance(arg, Address) for arg in task.args)
    sources = domi.TaskSources()
    for nodes in task.sources:
        sources.body_op.add(node=nodes)
    entry.private_def = sources.SerializeToString(deterministic=True)


def _add_copy(message: domi.ModelTaskDef, number: int, model: OmModel, task: OmTask, first: int) -> None:
    target, source, size = (model.word(arg) for arg in task.args)
    entry = message.task.add(id=number, type=f.TASK_MEMCPY, stream_id=task.stream)
    entry.memcpy_async.dst = target
    entry.memcpy_async.dst_max = size
    entry.memcpy_async.src = source
    entry.memcpy_async.count = size
    entry.memcpy_async.kind = f.MEMCPY_DEVICE_TO_DEVICE
    entry.memcpy_async.op_index = first + task.op_index
