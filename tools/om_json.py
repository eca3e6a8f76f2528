"""An offline model as JSON: header, partitions, graph, tasks, kernels, and the schedule with its cycles.

Messages keep the field names and kinds of the file, so nothing is lost but the bytes of weights and kernels: of these
stand sizes and digests. Any file that the container allows is shown, those of other writers too; attributes are
uncompressed.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ..runtime.om import format as f
from ..runtime.om.container import Block, Source
from ..runtime.om.model import OmModel
from ..runtime.om.reader import read_container, read_definition, read_kernels, read_offline, read_tasks
from .om_cycles import cycles_by_task
from .om_picture import picture_of

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def om_json(source: Source, *, cycles: bool = True) -> Json:
    """The whole file. With `cycles` the timing model says how long tasks take."""
    container = read_container(source)
    models: list[Json] = []
    for part, block in enumerate(container.blocks):
        definition, _ = read_definition(container, part)
        entry: dict[str, Json] = {
            "partitions": _partitions(block),
            "definition": message_json(definition),
        }
        if f.Partition.TASK_INFO in block:
            entry["tasks"] = message_json(read_tasks(block)[0])
        kernels, _ = read_kernels(block)
        entry["kernels"] = [
            {
                "name": kernel.name,
                "bytes": len(kernel.code),
                "sha256": hashlib.sha256(kernel.code).hexdigest(),
            }
            for kernel in kernels
        ]
        entry["schedule"], entry["note"] = _schedule(source, part, len(container.blocks) > 1, cycles)
        models.append(entry)
    return {"header": _plain(asdict(container.header)), "models": models}


def _partitions(block: Block) -> Json:
    return [
        {"type": number, "name": f.partition_name(number), "bytes": len(content)}
        for number, content in block.items()
    ]


def _schedule(source: Source, part: int, several: bool, cycles: bool) -> tuple[Json, str]:
    """The tasks in order, or why there is no more to say than the messages do."""
    try:
        found = read_offline(source, digests=False, part=part if several else None)
    except f.OmError as error:
        return None, f"not a static model of this compiler: {error.what}"
    if isinstance(found, OmModel):
        return _steps(found, cycles)
    schedules = [
        (row, *_steps(branch, cycles)) for row, branch in zip(found.sizes, found.branches, strict=True)
    ]
    parts: list[Json] = [{"sizes": list(row), "tasks": steps} for row, steps, _ in schedules]
    return {"profiles": found.kind, "schedules": parts}, schedules[0][2]


def _steps(model: OmModel, cycles: bool) -> tuple[list[Json], str]:
    took, reason = cycles_by_task(model) if cycles else (None, "")
    return [_plain(asdict(step)) for step in picture_of(model, took).steps], reason


def _plain(values: dict[str, Any]) -> dict[str, Json]:
    return dict(values)


def message_json(message: Message) -> Json:
    """A message by its field names; maps as objects, enums by name, bytes as text where they are text."""
    found: dict[str, Json] = {}
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            inner = kind.fields_by_name["value"]
            found[field.name] = {str(key): _value(inner, value[key]) for key in sorted(value)}
        elif field.is_repeated:
            found[field.name] = [_value(field, item) for item in value]
        else:
            found[field.name] = _value(field, value)
    return found


def _value(field: Any, value: Any) -> Json:
    if field.message_type is not None:
        return message_json(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return octets_json(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no number for it
    return value


def octets_json(data: bytes) -> Json:
    """Text, or hexadecimal digits where it is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}
    return text if text.isprintable() else {"hex": data.hex()}
