"""`OmModel` → bytes of a `.om` file.

Partitions stand in the order the public tool writes them: MODEL_INOUT_INFO, MODEL_DEF, WEIGHTS_DATA,
TBE_KERNELS, TASK_INFO. Everything but the weights is small and made in memory; weights are streamed one
after the other, so the peak is the largest single weight. The same model gives the same bytes: attribute
maps are serialized in key order, kernels are sorted by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import AscendError
from . import format as f
from . import ge_ir_pb2 as ge
from .consistency import InconsistentModelError, check
from .container import release
from .graph_writer import definition, fill_graph, output_node_names
from .inout_writer import inout_info
from .model import AttrValue, OmKernel, OmModel, OmWeight, stored_weights
from .profile_writer import profile_definition, profile_inout, profile_tasks, table_weight
from .profiles import OmProfiles, check_profiles
from .task_writer import task_info

_AT_ONCE: Final = 16 << 20
"""Bytes of a weight that are written, and hashed, at once."""


def write_om(model: OmModel | OmProfiles, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`: to a temporary file beside it first, so that there is never half a file under
    that name."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream_om(model, stream)
        temporary.replace(target)
    except OSError as error:
        raise AscendError(
            "E13004",
            f"cannot write {str(target)!r}: {error.strerror or error}",
            expected="a path in a folder that exists and may be written",
            hint="check --output, the permissions of its folder and the free disk space",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def om_bytes(model: OmModel | OmProfiles) -> bytes:
    """The file as bytes (weights included, so for small models and tests)."""
    stream = BytesIO()
    stream_om(model, stream)
    return stream.getvalue()


def stream_om(model: OmModel | OmProfiles, stream: BinaryIO) -> None:
    """Write the file to an open binary stream."""
    content = _content(model)
    kernels, other = _kernel_store(content.kernels), content.other
    kept = [len(other.get(number, b"")) for number in (f.Partition.CUST_AICPU_KERNELS, f.Partition.SO_BINS)]
    sizes = (content.weight_size, len(kernels), kept[0], len(content.tasks), kept[1])
    small = {
        **other,
        f.Partition.MODEL_INOUT_INFO: content.inout,
        f.Partition.MODEL_DEF: content.define(sizes).SerializeToString(deterministic=True),
        f.Partition.TBE_KERNELS: kernels,
        f.Partition.TASK_INFO: content.tasks,
    }
    order = [*f.ORDER, *sorted(set(other) - set(f.ORDER))]
    lengths = {
        **{number: len(content) for number, content in small.items()},
        f.Partition.WEIGHTS_DATA: content.weight_size,
    }
    rows = [(number, lengths[number]) for number in order if lengths.get(number)]
    for number, size in rows:
        if size > f.MAX_UINT32 and number not in f.MAY_EXCEED_4_GIB:
            raise AscendError(
                "E13023", f"partition {f.partition_name(number)} has {size} bytes", expected="less than 4 GiB"
            )
    table = _table(rows)
    stream.write(_header(content.name, len(table) + sum(size for _, size in rows)))
    stream.write(table)
    for number, _ in rows:
        if number == f.Partition.WEIGHTS_DATA:
            _stream_weights(content.weights, content.weight_size, stream)
        else:
            stream.write(small[number])


@dataclass(frozen=True)
class _Content:
    """What a file holds: small partitions as bytes, the definition given their sizes, weights to stream."""

    name: str
    inout: bytes
    tasks: bytes
    kernels: tuple[OmKernel, ...]
    weights: tuple[OmWeight, ...]
    weight_size: int
    other: Mapping[int, bytes]
    define: Callable[[tuple[int, ...]], ge.ModelDef]


def _content(model: OmModel | OmProfiles) -> _Content:
    if isinstance(model, OmProfiles):
        check_profiles(model)
        return _Content(
            model.name,
            profile_inout(model),
            profile_tasks(model),
            model.kernels,
            (*model.weights, table_weight(model)),
            model.weight_size,
            {},
            lambda sizes: profile_definition(model, sizes),
        )
    model = replace(model, weight_region=0)  # a branch that becomes a file has its weights alone
    check(model)
    return _Content(
        model.name,
        inout_info(model),
        task_info(model),
        model.kernels,
        stored_weights(model),
        model.weight_size,
        {partition.number: partition.content for partition in model.other},
        lambda sizes: _definition(model, sizes),
    )


def _definition(model: OmModel, sizes: tuple[int, ...]) -> ge.ModelDef:
    derived: dict[str, AttrValue] = {
        f.ATTR_OUT_NAMES: tuple(output_node_names(model)),
        f.ATTR_SIZES: sizes,
    }
    message = definition(model, model.weight_size, model.attrs, derived)
    fill_graph(message.graph.add(name=model.name), model)
    return message


def _header(name: str, body: int) -> bytes:
    return f.HEADER.pack(
        f.MAGIC,
        f.HEADER_SIZE,
        f.VERSION_2,
        b"",  # checksum: a signature area, unused
        0,  # 32-bit length: model_length is used
        *(0, 0, 0, 0),  # plain, unchecked, IR model, offline
        name.encode()[: f.NAME_BYTES].decode(errors="ignore").encode(),
        0,
        b"",
        f.IR_VERSION,
        1,  # one model
        f.PLATFORM_VERSION.encode(),
        1,
        body,
        *(0, 0),  # no host libraries, static shapes
        b"",
    )


def _table(rows: Sequence[tuple[int, int]]) -> bytes:
    table = bytearray(f.TABLE_HEAD_64.pack(len(rows)))
    offset = 0
    for partition, size in rows:
        table += f.TABLE_ROW_64.pack(partition, offset, size)
        offset += size
    return bytes(table)


def _stream_weights(weights: Sequence[OmWeight], size: int, stream: BinaryIO) -> None:
    at = 0
    for weight in weights:
        stream.write(bytes(weight.offset - at))
        data = memoryview(weight.payload.load()).cast("B")
        digest = hashlib.sha256()
        if len(data) == weight.size:
            for start in range(0, len(data), _AT_ONCE):
                piece = data[start : start + _AT_ONCE]
                digest.update(piece)
                stream.write(piece)
                if len(data) > _AT_ONCE:
                    release(data)  # of a model that was read from a file, as large as that may be
        if len(data) != weight.size or weight.payload.digest not in ("", digest.hexdigest()):
            raise InconsistentModelError(f"weight {weight.name!r} gave other bytes than were measured")
        at = weight.offset + weight.size
    stream.write(bytes(size - at))


def _kernel_store(kernels: Sequence[OmKernel]) -> bytes:
    store = bytearray()
    for kernel in sorted(kernels, key=lambda k: k.name):
        name = kernel.name.encode()
        store += f.KERNEL_ITEM.pack(f.KERNEL_MAGIC, len(name), len(kernel.code)) + name + kernel.code
    return bytes(store)
