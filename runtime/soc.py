"""Hardware as data: one TOML file per SoC, loaded into frozen records (invariant 4).

A chip has cores of one or more core types.  A core type says which buffers and paths exist, which instruction
takes which data type, and the limits that kernels must respect.  Units are in the key names: bytes, cycles, MHz.
A file may name a `base` file; tables are merged key by key.  Each number's source stands beside it in the TOML.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from .errors import AscendError

_FOLDER = Path(__file__).parent / "socs"


@dataclass(frozen=True)
class Buffer:
    """An on-chip memory: size in bytes and start alignment of instruction operands in bytes."""

    size: int
    align: int


@dataclass(frozen=True)
class CoreType:
    """What one kind of core can do.  `intrinsics[name]` are the data types an instruction takes."""

    name: str
    buffers: Mapping[str, Buffer]
    intrinsics: Mapping[str, frozenset[str]]
    load3d: int  # img2col version: 1 (310, 910) or 2 (310P, 910B)
    event_ids: int  # usable ids per ordered pipe pair
    queue_depth: int  # instructions waiting per pipe
    mad_overlap_fractals: int  # accumulating mads of at least so many fractals need no barrier between them
    has_counter_mode: bool

    def supports(self, intrinsic: str, dtype: str = "") -> bool:
        """Whether the chip has `intrinsic` (for `dtype`); "" as intrinsic is on every chip."""
        if not intrinsic:
            return True
        types = self.intrinsics.get(intrinsic)
        return types is not None and (not dtype or dtype in types)


@dataclass(frozen=True)
class Soc:
    """One chip.  `timing` is the raw table of the timing model (`runtime/sim/timing.py` reads it)."""

    name: str
    short_name: str
    arch: str
    cores: int
    clock_mhz: int
    l2_bytes: int
    memory_bytes: int
    core: CoreType
    timing: Mapping[str, Any]

    def microseconds(self, cycles: float) -> float:
        return cycles / self.clock_mhz


def soc_names() -> list[str]:
    """Names of all SoCs there are files for, as `--soc_version` takes them."""
    return sorted(path.stem for path in _FOLDER.glob("Ascend*.toml"))


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merge(cast(dict[str, Any], old), cast(dict[str, Any], value))
        else:
            merged[key] = value
    return merged


def _read(name: str) -> dict[str, Any]:
    data = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    base = data.pop("base", None)
    return _merge(_read(base), data) if base else data


@cache
def load_soc(name: str) -> Soc:
    """The SoC called `name`; E10001-style error when there is none."""
    if name not in soc_names():
        raise AscendError(
            "E10001", f"--soc_version={name} is not a known SoC", expected=", ".join(soc_names())
        )
    data = _read(name)
    core = data["core"]
    buffers = {space: Buffer(entry["bytes"], entry["align"]) for space, entry in core["buffers"].items()}
    intrinsics = {key: frozenset(str(types).split()) for key, types in core["intrinsics"].items()}
    return Soc(
        name=name,
        short_name=data["short_name"],
        arch=data["arch"],
        cores=data["cores"],
        clock_mhz=data["clock_mhz"],
        l2_bytes=data["l2_bytes"],
        memory_bytes=data["memory_bytes"],
        core=CoreType(
            core["name"],
            buffers,
            intrinsics,
            core["load3d"],
            core["event_ids"],
            core["queue_depth"],
            core["mad_overlap_fractals"],
            core["has_counter_mode"],
        ),
        timing=data["timing"],
    )
