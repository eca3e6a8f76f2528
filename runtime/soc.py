"""Hardware as data: one TOML file per SoC, loaded into frozen records (invariant 4).

A chip has cores of one or more core types.  A core type says which buffers and paths exist, which instruction
takes which data type, and the limits that kernels must respect.  Units are in the key names: bytes, cycles, MHz.
A file may name a `base` file; tables are merged key by key, all of them or those that `base_tables` lists.  Each
number's source stands beside it in the TOML.

A coupled chip has one table `[core]`.  A split chip has `[core_types.aic]` and `[core_types.aiv]`, each with its
`count`.  A kernel runs on one core type and sees the chip through it: `soc.seen_by("aiv")` is the same chip with
the vector core as its `core`.  Where no kernel is concerned the first core type of the file stands there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    """What one kind of core can do.  `intrinsics[name]` are the data types an instruction takes.

    `pipes` are the pipes it has beside S.
    """

    name: str
    buffers: Mapping[str, Buffer]
    intrinsics: Mapping[str, frozenset[str]]
    load3d: int  # img2col version: 1 (310, 910) or 2 (310P, 910B)
    event_ids: int  # usable ids per ordered pipe pair
    queue_depth: int  # instructions waiting per pipe
    mad_overlap_fractals: int  # accumulating mads of at least so many fractals need no barrier between them
    has_counter_mode: bool
    pipes: tuple[str, ...] = ("V", "M", "MTE1", "MTE2", "MTE3")
    atomics: frozenset[str] = frozenset()  # "add f32", …: what stores to device memory may accumulate
    cross_core_flags: int = 0  # flag ids between cores; 0 = the cores of the chip cannot synchronise
    cross_core_count: int = 0  # sets of one flag that may be pending

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
    core_types: Mapping[str, CoreType] = field(default_factory=dict[str, CoreType])
    counts: Mapping[str, int] = field(default_factory=dict[str, int])

    def microseconds(self, cycles: float) -> float:
        return cycles / self.clock_mhz

    @property
    def is_split(self) -> bool:
        """Whether cube and vector cores run instruction streams of their own."""
        return len(self.core_types) > 1

    @property
    def vectors_per_cube(self) -> int:
        """Vector cores beside each cube core of a split chip."""
        return self.counts["aiv"] // self.counts["aic"]

    @property
    def memories(self) -> dict[str, Buffer]:
        """On-chip memories of all core types; no two types have one of the same name."""
        return {space: buffer for core in self.core_types.values() for space, buffer in core.buffers.items()}

    def cores_with(self, pipe: str) -> int:
        """How many cores have a pipe; every core has S."""
        kinds = [kind for kind, core in self.core_types.items() if pipe in ("S", *core.pipes)]
        return sum(self.counts[kind] for kind in kinds)

    def first_core(self, core_type: str) -> int:
        """The number of the first core of a type; types follow each other in the order of the SoC file."""
        kinds = list(self.counts)
        return sum(self.counts[kind] for kind in kinds[: kinds.index(core_type)])

    def seen_by(self, core_type: str) -> Soc:
        """This chip with the core type of that name as `core`, and its number as `cores`."""
        if core_type == self.core.name:
            return self
        core = self.core_types.get(core_type)
        if core is None:
            raise AscendError(
                "E43007",
                f"the kernel is made for cores of type {core_type}, which {self.name} does not have",
                expected=" or ".join(self.core_types),
            )
        return replace(self, core=core, cores=self.counts[core_type])


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
    wanted: list[str] | None = data.pop("base_tables", None)
    if base is None:
        return data
    below = _read(base)
    return _merge(below if wanted is None else {key: below[key] for key in wanted}, data)


def _core_type(name: str, table: Mapping[str, Any]) -> CoreType:
    return CoreType(
        name,
        {space: Buffer(entry["bytes"], entry["align"]) for space, entry in table["buffers"].items()},
        {key: frozenset(str(types).split()) for key, types in table["intrinsics"].items()},
        table["load3d"],
        table["event_ids"],
        table["queue_depth"],
        table["mad_overlap_fractals"],
        table["has_counter_mode"],
        tuple(str(table["pipes"]).split()),
        frozenset(str(table["atomics"]).split()),
        table.get("cross_core_flags", 0),
        table.get("cross_core_count", 0),
    )


@cache
def load_soc(name: str) -> Soc:
    """The SoC called `name`; E10001-style error when there is none."""
    if name not in soc_names():
        raise AscendError(
            "E10001", f"--soc_version={name} is not a known SoC", expected=", ".join(soc_names())
        )
    data = _read(name)
    tables: dict[str, Any] = data.get("core_types") or {data["core"]["name"]: data["core"]}
    core_types = {kind: _core_type(kind, table) for kind, table in tables.items()}
    counts = {kind: table.get("count", data.get("cores", 0)) for kind, table in tables.items()}
    first = next(iter(core_types))
    return Soc(
        name=name,
        short_name=data["short_name"],
        arch=data["arch"],
        cores=counts[first],
        clock_mhz=data["clock_mhz"],
        l2_bytes=data["l2_bytes"],
        memory_bytes=data["memory_bytes"],
        core=core_types[first],
        timing=data["timing"],
        core_types=core_types,
        counts=counts,
    )


def compile_target(name: str) -> Soc:
    """The SoC called `name` as a target of the compiler: an error for chips that only the simulator knows."""
    soc = load_soc(name)
    if soc.is_split:
        known = (other for other in soc_names() if not load_soc(other).is_split)
        raise AscendError(
            "E10001",
            f"--soc_version={name}: models cannot be compiled for split-core chips yet",
            expected=", ".join(known),
            hint="programs for it come from the assembler: ascend-translate --assemble",
        )
    return soc
