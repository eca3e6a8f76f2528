"""Profiles of sizes: one offline model that was compiled for several sizes of its inputs.

`--dynamic_batch_size=1,4,8` asks for a model that takes a batch of 1, of 4 or of 8. The device knows no open
sizes: the file holds a *branch* per profile, each a model of its own with tasks, graph and addresses, and the
runtime launches the branch whose sizes the caller's arrays have. What branches have in common stands in the file
once: equal weights, equal kernels; and since one branch runs at a time they use the same feature-map region.

Layout in the file: om-format.md §6.1 (`profile_writer.py`, `profile_reader.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Final, Literal, TypeAlias

from . import format as f
from .consistency import InconsistentModelError, check
from .model import (
    ALIGNMENT,
    SPARE,
    Address,
    Arg,
    AttrValue,
    OmKernel,
    OmModel,
    OmTask,
    OmTensor,
    OmWeight,
    align_up,
    place_weights,
)

ProfileKind: TypeAlias = Literal["batch", "image", "dims"]
KINDS: Final[dict[str, ProfileKind]] = {"batch": "batch", "image": "image", "dims": "dims"}
FEWEST: Final = 2
"""Profiles; a model of one profile is a plain model."""
SIZE_BYTES: Final = 4
OPEN: Final = -1


@dataclass(frozen=True)
class OmProfiles:
    """A model of several sizes.

    `sizes[j]` are the numbers of profile j: the batch, height and width, or one per open dimension in the order of
    `order`, the inputs' names as the user gave them. `branches[j]` is the model compiled for it. `table` is where the
    numbers of all profiles lie in the weight region, behind all weights.
    """

    kind: ProfileKind
    sizes: tuple[tuple[int, ...], ...]
    order: tuple[str, ...]
    table: int
    branches: tuple[OmModel, ...]

    @property
    def name(self) -> str:
        """The model's name."""
        return self.branches[0].name

    @cached_property
    def largest(self) -> int:
        """The profile of the most elements: what a caller gets who does not choose."""
        counts = [sum(prod(tensor.shape) for tensor in branch.inputs) for branch in self.branches]
        return counts.index(max(counts))

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The inputs' shapes, -1 where branches differ."""
        return tuple(_open_shape([b.inputs[i].shape for b in self.branches]) for i in range(self.inputs))

    @property
    def inputs(self) -> int:
        """How many inputs."""
        return len(self.branches[0].inputs)

    @property
    def weight_size(self) -> int:
        """Bytes of the weight region, which all branches share."""
        return align_up(self.table + len(self.table_bytes) + SPARE)

    @cached_property
    def table_bytes(self) -> bytes:
        """The numbers of all profiles, 32-bit integers, row by row."""
        return b"".join(size.to_bytes(SIZE_BYTES, "little") for row in self.sizes for size in row)

    @cached_property
    def kernels(self) -> tuple[OmKernel, ...]:
        """The kernel images of all branches, each once."""
        found = {kernel.name: kernel for branch in self.branches for kernel in branch.kernels}
        return tuple(found[name] for name in sorted(found))

    @cached_property
    def weights(self) -> tuple[OmWeight, ...]:
        """One weight per stored byte range, by rising offset."""
        found = {weight.offset: weight for branch in reversed(self.branches) for weight in branch.weights}
        return tuple(found[offset] for offset in sorted(found))

    def describe(self) -> str:
        """`batch 1, 4, 8`"""
        word = {"batch": "batch", "image": "height and width", "dims": "sizes"}[self.kind]
        return f"{word} {'; '.join(','.join(map(str, row)) for row in self.sizes)}"


def _open_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    first = shapes[0]
    if any(len(shape) != len(first) for shape in shapes):
        raise InconsistentModelError("an input has another rank in another profile")
    return tuple(extents[0] if len(set(extents)) == 1 else OPEN for extents in zip(*shapes, strict=True))


def join(
    kind: ProfileKind, sizes: Sequence[tuple[int, ...]], order: Sequence[str], models: Sequence[OmModel]
) -> OmProfiles:
    """Models that were compiled apart, as branches of one: weights get places in one region, where equal bytes share
    one; kernels of equal names and unequal code get names of their own."""
    placed = place_weights(weight for model in models for weight in model.weights)
    end = max((weight.offset + max(weight.size, 1) for weight in placed), default=ALIGNMENT)
    table = align_up(end)
    taken: dict[str, bytes] = {}
    rest = iter(placed)
    memory = max(model.memory_size for model in models)
    branches: list[OmModel] = []
    for number, model in enumerate(models):
        own = tuple(next(rest) for _ in model.weights)
        moved = _with_weights(_with_kernels(model, number, taken), own)
        branches.append(replace(moved, memory_size=memory, name=models[0].name))
    return with_region(OmProfiles(kind, tuple(sizes), tuple(order), table, tuple(branches)))


def with_region(profiles: OmProfiles) -> OmProfiles:
    """The same, branches told how large the region is that they share."""
    size = profiles.weight_size
    return replace(
        profiles, branches=tuple(replace(branch, weight_region=size) for branch in profiles.branches)
    )


def _with_weights(model: OmModel, placed: tuple[OmWeight, ...]) -> OmModel:
    """The model with its weights at other places; arguments of tasks follow."""
    moves = sorted((old.offset, new.offset) for old, new in zip(model.weights, placed, strict=True))

    def moved(arg: Arg) -> Arg:
        if isinstance(arg, int) or arg.region != "weights":
            return arg
        old, new = max(move for move in moves if move[0] <= arg.offset)
        return Address("weights", new + arg.offset - old)

    tasks = tuple(replace(task, args=tuple(map(moved, task.args))) for task in model.tasks)
    return replace(model, weights=placed, tasks=tasks)


def _with_kernels(model: OmModel, number: int, taken: dict[str, bytes]) -> OmModel:
    """The model with kernels renamed whose names mean other code in `taken`, which they join."""
    names: dict[str, str] = {}
    for kernel in model.kernels:
        same = taken.setdefault(kernel.name, kernel.code) == kernel.code
        names[kernel.name] = kernel.name if same else f"{kernel.name}{f.BRANCH_SUFFIX}{number}"
        taken.setdefault(names[kernel.name], kernel.code)
    if all(old == new for old, new in names.items()):
        return model

    def attrs(values: Iterable[tuple[str, AttrValue]]) -> dict[str, AttrValue]:
        return {
            key: names.get(value, value) if key == f.ATTR_KERNEL_NAME and isinstance(value, str) else value
            for key, value in values
        }

    def renamed(task: OmTask) -> OmTask:
        return replace(task, kernel=names[task.kernel]) if task.is_ai_core else task

    return replace(
        model,
        kernels=tuple(replace(kernel, name=names[kernel.name]) for kernel in model.kernels),
        tasks=tuple(map(renamed, model.tasks)),
        graph=tuple(replace(op, attrs=attrs(op.attrs.items())) for op in model.graph),
    )


# ------------------------------------------------------------------------------------------------------ rules


def check_profiles(profiles: OmProfiles) -> None:
    """Raise `InconsistentModelError` unless branches are consistent models that agree in what they share."""
    _check_sizes(profiles)
    first = profiles.branches[0]
    for number, branch in enumerate(profiles.branches):
        check(branch)
        if branch.other:
            raise InconsistentModelError(f"branch {number} has partitions of its own")
        if _shared(branch) != _shared(first):
            raise InconsistentModelError(f"branch {number} differs from the first in name, chip or regions")
        for what, own, others in (
            ("inputs", branch.inputs, first.inputs),
            ("outputs", branch.outputs, first.outputs),
        ):
            if [_kind_of(tensor) for tensor in own] != [_kind_of(tensor) for tensor in others]:
                raise InconsistentModelError(f"branch {number} has other {what} than the first")
    if len({tuple(x.shape for x in branch.inputs) for branch in profiles.branches}) < len(profiles.branches):
        raise InconsistentModelError("two profiles have the same input shapes")
    clash = {f.SHAPE_DATA, f.SHAPE_TABLE, f.MAP_INDEX, f.CASE} & {tensor.name for tensor in first.inputs}
    if clash:
        raise InconsistentModelError(f"input {min(clash)!r} has the name of a node that chooses the profile")
    _check_shared(profiles)


def _shared(branch: OmModel) -> tuple[object, ...]:
    return (
        branch.name, branch.soc, branch.memory_size, branch.weight_size, branch.feature_map_base, branch.weight_base,
        branch.machine_code,
    )  # fmt: skip


def _kind_of(tensor: OmTensor) -> tuple[str, str, str, int]:
    return tensor.name, tensor.dtype, tensor.format, len(tensor.shape)


def _check_sizes(profiles: OmProfiles) -> None:
    sizes, count = profiles.sizes, len(profiles.branches)
    if not FEWEST <= count <= f.MAX_PROFILES or len(sizes) != count:
        raise InconsistentModelError(f"{count} branches for {len(sizes)} profiles")
    if len({len(row) for row in sizes}) != 1 or not sizes[0] or len(set(sizes)) < count:
        raise InconsistentModelError("profiles have unequal lengths, no numbers, or are equal")
    if any(not 0 < size < 1 << 31 for row in sizes for size in row):
        raise InconsistentModelError("a profile has a size that is not positive")
    if profiles.kind not in f.PROFILE_KINDS:
        raise InconsistentModelError(f"profiles of kind {profiles.kind!r}")


def _check_shared(profiles: OmProfiles) -> None:
    """What lies at one place in two branches is the same."""
    places: dict[int, OmWeight] = {}
    codes: dict[str, bytes] = {}
    for branch in profiles.branches:
        for weight in branch.weights:
            known = places.setdefault(weight.offset, weight)
            if (known.size, known.payload.digest) != (weight.size, weight.payload.digest):
                raise InconsistentModelError(f"weight {weight.name!r} shares its place with other bytes")
        for kernel in branch.kernels:
            if codes.setdefault(kernel.name, kernel.code) != kernel.code:
                raise InconsistentModelError(f"kernel {kernel.name!r} has other code in another branch")
    end = ALIGNMENT
    for weight in profiles.weights:
        if weight.offset < end:
            raise InconsistentModelError(f"weight {weight.name!r} overlaps that of another branch")
        end = weight.offset + weight.size
    if profiles.table < end or profiles.table % ALIGNMENT:
        raise InconsistentModelError(f"the table of sizes lies at {profiles.table}")
