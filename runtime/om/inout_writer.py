"""MODEL_INOUT_INFO: inputs and outputs as the runtime describes them to its callers."""

from __future__ import annotations

from collections.abc import Sequence

from . import format as f
from .graph_writer import output_node_names
from .model import OmModel, OmTensor


def inout_info(model: OmModel) -> bytes:
    """The partition of a plain model."""
    return tensor_block(f.TLV_INPUTS, model.inputs, [x.name for x in model.inputs]) + tensor_block(
        f.TLV_OUTPUTS, model.outputs, output_node_names(model)
    )


def tensor_block(kind: int, tensors: Sequence[OmTensor], names: Sequence[str]) -> bytes:
    """All inputs, or all outputs, under the names that are shown; nothing where there are none."""
    if not tensors:
        return b""
    value = f.COUNT.pack(len(tensors))
    return block(kind, value + b"".join(map(_io_record, tensors, names)))


def block(kind: int, value: bytes) -> bytes:
    """A block of the partition: kind, length, content."""
    return f.TLV.pack(kind, len(value)) + value


def _io_record(tensor: OmTensor, shown: str) -> bytes:
    name = shown.encode()
    dims = b"".join(extent.to_bytes(8, "little", signed=True) for extent in tensor.shape)
    head = f.IO_RECORD.pack(
        tensor.size,
        f.format_word(tensor.format),
        f.BY_NAME[tensor.dtype].runtime,
        len(name),
        len(dims),
        len(dims),
        0,
    )
    return head + name + dims + dims
