"""A model compiled for several sizes of its inputs: once per profile, then joined (`runtime/om/profiles.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp

from ..runtime.errors import AscendError
from ..runtime.om.profiles import FEWEST, OmProfiles, ProfileKind, join
from .pipelines import CompiledModel, CompileOptions, compile_model

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class CompiledProfiles:
    """The offline model of all profiles, and what the compiler can tell about each."""

    om: OmProfiles
    models: tuple[CompiledModel, ...]

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the `.om` file."""
        from ..runtime.om.writer import write_om

        write_om(self.om, Path(path))

    @cached_property
    def bytes(self) -> bytes:
        """The file's bytes."""
        from ..runtime.om.writer import om_bytes

        return om_bytes(self.om)


def compile_profiles(
    source: ModelProto | Path | str | bytes | PathLike[str],
    options: CompileOptions,
    kind: ProfileKind,
    sizes: Sequence[tuple[int, ...]],
    order: Sequence[str],
    shapes: Sequence[Mapping[str, tuple[int, ...]]],
) -> CompiledProfiles:
    """Compiles an ONNX model for each of `shapes`, sizes by input name; `sizes[j]` are the numbers that profile j is known
    by, `order` the inputs as the user names them. What the user can change raises AscendError."""
    models: list[CompiledModel] = []
    for number, given in enumerate(shapes, 1):
        watch = _numbered(options.watch, f"profile {number} of {len(shapes)}")
        compiled = compile_model(source, replace(options, input_shapes=given, watch=watch))
        models.append(replace(compiled, module=ModuleOp([])))  # a module of each would be most of the memory
    return CompiledProfiles(join(kind, sizes, order, [model.om for model in models]), tuple(models))


def compile_shapes(
    source: ModelProto | Path | str | bytes | PathLike[str],
    options: CompileOptions,
    shapes: Sequence[Mapping[str, tuple[int, ...]]],
) -> CompiledProfiles:
    """The same where only the sizes are given: a profile is known by the sizes in which they differ. E10035, E10037 and E10039
    for fewer than two, unlike and equal ones."""
    if len(shapes) < FEWEST:
        raise AscendError("E10035", f"{len(shapes)} profiles of sizes", expected="at least 2")
    first = shapes[0]
    ranks = {name: len(shape) for name, shape in first.items()}
    if any({name: len(shape) for name, shape in entry.items()} != ranks for entry in shapes):
        raise AscendError(
            "E10037", "the profiles name unlike inputs or ranks", expected="the same inputs in each"
        )
    places = [
        (name, axis)
        for name, shape in first.items()
        for axis in range(len(shape))
        if len({entry[name][axis] for entry in shapes}) > 1
    ]
    sizes = [tuple(entry[name][axis] for name, axis in places) for entry in shapes]
    if len(set(sizes)) < len(sizes):
        raise AscendError("E10039", "a profile of sizes is given twice", expected="every profile once")
    return compile_profiles(source, options, "dims", sizes, tuple(first), shapes)


def _numbered(watch: Callable[[str, str], None] | None, label: str) -> Callable[[str, str], None] | None:
    if watch is None:
        return None
    return lambda phase, step: watch(phase, f"{step} ({label})" if phase == "import" else step)
