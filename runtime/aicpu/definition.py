"""What an AI CPU task carries in `kernel_ext_info`: a serialized operator definition of the graph format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

from ..element_types import NUMPY
from ..errors import AscendError
from ..om import ge_ir_pb2 as ge
from ..om.format import BY_NAME, BY_PROTO

Setting: TypeAlias = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
"""An attribute of a kernel."""


@dataclass(frozen=True)
class TensorSpec:
    """Element type and shape of a dense tensor (row-major, no padding)."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def byte_size(self) -> int:
        return prod(self.shape) * NUMPY[self.dtype].itemsize


@dataclass(frozen=True)
class CpuDefinition:
    """One call of a library kernel: its name, its operands and results, its attributes."""

    kernel: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])

    def to_bytes(self) -> bytes:
        """The serialized operator definition."""
        op = ge.OpDef(name=self.kernel, type=self.kernel)
        for specs, target in ((self.inputs, op.input_desc), (self.outputs, op.output_desc)):
            for spec in specs:
                desc = target.add(dtype=BY_NAME[spec.dtype].proto, layout="ND")  # pyright: ignore[reportArgumentType]
                desc.shape.SetInParent()
                desc.shape.dim.extend(spec.shape)
        for name in sorted(self.settings):
            _write(op.attr[name], self.settings[name])
        return op.SerializeToString(deterministic=True)

    @staticmethod
    def from_bytes(data: bytes) -> CpuDefinition:
        """Reads one back; E43007 for bytes that are none."""
        try:
            op = ge.OpDef.FromString(data)
            inputs, outputs = (
                tuple(TensorSpec(BY_PROTO[d.dtype].name, tuple(d.shape.dim)) for d in descs)
                for descs in (op.input_desc, op.output_desc)
            )
            settings = {name: _read(op.attr[name]) for name in sorted(op.attr)}
        except Exception as error:
            raise AscendError(
                "E43007", f"the definition of an AI CPU task cannot be read: {error}"
            ) from error
        return CpuDefinition(op.type, inputs, outputs, settings)


def _write(attr: ge.AttrDef, value: Setting) -> None:
    match value:
        case int():
            attr.i = int(value)  # a flag is 1
        case float():
            attr.f = value
        case str():
            attr.s = value.encode()
        case _:
            _write_list(attr.list, value)


def _write_list(target: ge.AttrDef.ListValue, items: tuple[int | float | str, ...]) -> None:
    kinds = ge.AttrDef.ListValue
    if any(isinstance(item, str) for item in items):
        target.val_type = kinds.VT_LIST_STRING
        target.s.extend(str(item).encode() for item in items)
    elif any(isinstance(item, float) for item in items):
        target.val_type = kinds.VT_LIST_FLOAT
        target.f.extend(float(item) for item in items)
    else:
        target.val_type = kinds.VT_LIST_INT
        target.i.extend(int(item) for item in items)


def _read(attr: ge.AttrDef) -> Setting:
    match attr.WhichOneof("value"):
        case "i":
            return attr.i
        case "f":
            return attr.f
        case "s":
            return attr.s.decode()
        case _:
            return _read_list(attr.list)


def _read_list(found: ge.AttrDef.ListValue) -> Setting:
    kinds = ge.AttrDef.ListValue
    if found.val_type == kinds.VT_LIST_STRING:
        return tuple(item.decode() for item in found.s)
    return tuple(found.f) if found.val_type == kinds.VT_LIST_FLOAT else tuple(found.i)
