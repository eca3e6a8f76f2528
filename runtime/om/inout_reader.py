"""The MODEL_INOUT_INFO partition: read, and compared with what the graph says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from . import format as f
from .model import OmTensor
from .parsing import text_of, unpack


@dataclass(frozen=True)
class InOut:
    """What the partition says: tensors by kind of block, and of other blocks the content and its place."""

    tensors: Mapping[int, list[OmTensor]]
    other: Mapping[int, tuple[memoryview, int]]


def read_inout(info: memoryview) -> InOut:
    """All blocks of the partition."""
    at, tensors, other = 0, dict[int, list[OmTensor]](), dict[int, tuple[memoryview, int]]()
    while at < len(info):
        kind, size = unpack(f.TLV, info, at, "MODEL_INOUT_INFO")
        start = at + f.TLV.size
        if size > len(info) - start:
            raise f.OmError("a block runs past the end", partition="MODEL_INOUT_INFO", offset=at)
        content = info[start : start + size]
        if kind in (f.TLV_INPUTS, f.TLV_OUTPUTS):
            tensors[kind] = _io_records(content, start)
        else:
            other[kind] = content, start
        at = start + size
    return InOut(tensors, other)


def check_inout(
    info: memoryview | None, inputs: Sequence[OmTensor], outputs: Sequence[OmTensor], names: Sequence[str]
) -> InOut:
    """The summary of inputs and outputs must say what the graph says: tools read one or the other. `names` are those of the
    outputs."""
    if info is None:
        return InOut({}, {})
    found = read_inout(info)
    renamed = [replace(tensor, name=name) for tensor, name in zip(outputs, names, strict=True)]
    plain = {
        kind: [replace(tensor, offset=0, source="") for tensor in tensors]
        for kind, tensors in ((f.TLV_INPUTS, inputs), (f.TLV_OUTPUTS, renamed))
        if tensors
    }
    if found.tensors != plain:
        raise f.OmError(
            "inputs and outputs are not those of the graph", partition="MODEL_INOUT_INFO", offset=0
        )
    return found


def _io_records(value: memoryview, base: int) -> list[OmTensor]:
    (count,) = unpack(f.COUNT, value, 0, "MODEL_INOUT_INFO", base)
    at = f.COUNT.size
    tensors: list[OmTensor] = []
    for _ in range(count):
        size, format, dtype, *lengths = unpack(f.IO_RECORD, value, at, "MODEL_INOUT_INFO", base)
        start = at + f.IO_RECORD.size
        if sum(lengths) > len(value) - start or lengths[1] % f.WORD_BYTES:
            raise f.OmError(
                "a tensor record runs past its block", partition="MODEL_INOUT_INFO", offset=base + at
            )
        name = text_of(value[start : start + lengths[0]], "MODEL_INOUT_INFO", base + start)
        dims = value[start + lengths[0] : start + lengths[0] + lengths[1]]
        element, layout = f.BY_RUNTIME.get(dtype), f.format_name(format)
        if element is None or layout is None:
            raise f.OmError(
                f"tensor {name!r} has dtype {dtype}, format {format}",
                partition="MODEL_INOUT_INFO",
                offset=base + at,
            )
        shape = tuple(
            int.from_bytes(dims[i : i + f.WORD_BYTES], "little", signed=True)
            for i in range(0, len(dims), f.WORD_BYTES)
        )
        tensors.append(OmTensor(name, element.name, shape, size, 0, layout))
        at = start + sum(lengths)
    if at != len(value):
        raise f.OmError("bytes behind the last tensor record", partition="MODEL_INOUT_INFO", offset=base + at)
    return tensors
