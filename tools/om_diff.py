"""What is different between two offline models: graph, weights, code, schedule, predicted cycles.

Things are matched by name. A name that only one model has was added or removed; of one that both have is said what
changed. Tasks are matched by the operators they compute, in order, as two texts are matched line by line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any, Final, TypeVar

import numpy as np

from ..runtime.element_types import NUMPY
from ..runtime.errors import AscendError
from ..runtime.om.model import OmGraphOp, OmKernel, OmModel, OmTensor, OmWeight
from .om_picture import desc_text, shape_text

SECTIONS: Final = ("model", "inputs", "outputs", "graph", "weights", "code", "schedule", "cycles")
_AT_ONCE: Final = 1 << 22
_LONGEST: Final = 4000
"""Instructions up to which two kernels are compared line by line."""

_ADDRESS: Final = re.compile(r"^[0-9a-f]{4,}  ")

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Change:
    """One difference. `before` or `after` is empty for what was added or removed; `detail` says how much."""

    section: str
    name: str
    before: str = ""
    after: str = ""
    detail: str = ""

    @property
    def kind(self) -> str:
        """added, removed or changed"""
        return "changed" if self.before and self.after else "added" if self.after else "removed"


def differences(
    one: OmModel, other: OmModel, cycles: tuple[Sequence[int] | None, Sequence[int] | None] = (None, None)
) -> tuple[Change, ...]:
    """Every difference, section by section; `cycles` are those of the tasks of both models."""
    return (
        *_model(one, other),
        *_named("inputs", one.inputs, other.inputs, _tensor),
        *_named("outputs", one.outputs, other.outputs, _tensor),
        *_named("graph", one.graph, other.graph, _operator),
        *_weights(one.weights, other.weights),
        *_code(one, other),
        *_schedule(one, other),
        *_cycles(one, other, *cycles),
    )


def _pairs(
    one: Sequence[_Part], other: Sequence[_Part], name: Callable[[_Part], str]
) -> Iterator[tuple[str, _Part | None, _Part | None]]:
    """Parts of one name, in the order of the first model, then what only the second has."""
    first, second = {name(part): part for part in one}, {name(part): part for part in other}
    for key in dict.fromkeys((*first, *second)):
        yield key, first.get(key), second.get(key)


def _named(
    section: str,
    one: Sequence[OmTensor] | Sequence[OmGraphOp],
    other: Sequence[OmTensor] | Sequence[OmGraphOp],
    told: Callable[[OmTensor | OmGraphOp], str],
) -> Iterator[Change]:
    for key, first, second in _pairs(tuple(one), tuple(other), lambda part: part.name):
        before, after = told(first) if first else "", told(second) if second else ""
        if before != after:
            yield Change(section, key, before, after)


def _model(one: OmModel, other: OmModel) -> Iterator[Change]:
    pairs: list[tuple[str, object, object]] = [
        (key, getattr(one, key), getattr(other, key))
        for key in ("name", "soc", "memory_size", "weight_size", "stream_num", "machine_code")
    ]
    pairs += [
        (key, one.attrs.get(key, ""), other.attrs.get(key, "")) for key in sorted({*one.attrs, *other.attrs})
    ]
    for key, before, after in pairs:
        if before != after:
            yield Change("model", key, str(before), str(after))
    for number, first, second in _pairs(one.other, other.other, lambda part: str(part.number)):
        if first != second:
            before, after = (f"{len(part.content)} bytes" if part else "" for part in (first, second))
            yield Change("model", f"partition {number}", before, after)


def _tensor(part: OmTensor | OmGraphOp) -> str:
    assert isinstance(part, OmTensor)
    return f"{part.dtype} {shape_text(part.shape)} {part.format}, {part.size} bytes"


def _operator(part: OmTensor | OmGraphOp) -> str:
    assert isinstance(part, OmGraphOp)
    inputs = ", ".join(
        f"{edge or 'none'} {desc_text(d)}" for edge, d in zip(part.inputs, part.input_descs, strict=False)
    )
    outputs = ", ".join(map(desc_text, part.output_descs))
    sources = part.attrs.get("_datadump_original_op_names", ())
    named = f" for {', '.join(map(str, sources))}" if isinstance(sources, tuple) and sources else ""
    return f"{part.type}({inputs}) -> {outputs}{named}"


# ------------------------------------------------------------------------------------------------- weights
def _weights(one: Sequence[OmWeight], other: Sequence[OmWeight]) -> Iterator[Change]:
    for key, first, second in _pairs(one, other, lambda weight: weight.name):
        before, after = _weight(first), _weight(second)
        if first is None or second is None or before != after:
            yield Change("weights", key, before, after)
        elif _digest(first) != _digest(second):
            yield Change("weights", key, before, after, _numbers(first, second))


def _weight(weight: OmWeight | None) -> str:
    if weight is None:
        return ""
    return f"{weight.dtype} {shape_text(weight.shape)} {weight.format}, {weight.size} bytes"


def _digest(weight: OmWeight) -> str:
    return weight.payload.digest or hashlib.sha256(weight.payload.load()).hexdigest()


def _numbers(first: OmWeight, second: OmWeight) -> str:
    """How far the numbers of two weights are apart, piece by piece."""
    if first.dtype not in NUMPY:
        return "other bytes"
    kind = np.dtype(NUMPY[first.dtype])
    arrays = [np.frombuffer(weight.payload.load(), kind) for weight in (first, second)]
    differing, largest = 0, 0.0
    for at in range(0, arrays[0].size, _AT_ONCE):
        pieces = [array[at : at + _AT_ONCE] for array in arrays]
        unequal = pieces[0] != pieces[1]
        differing += int(unequal.sum())
        if kind.kind in "fiu" and unequal.any():
            gap = np.abs(pieces[0][unequal].astype(np.float64) - pieces[1][unequal].astype(np.float64))
            largest = max(largest, float(np.nanmax(gap, initial=0.0)))
    return f"{differing} of {arrays[0].size} numbers differ, by {largest:.6g} at most"


# ---------------------------------------------------------------------------------------------------- code
def _listing(kernel: OmKernel) -> list[str]:
    """The instructions without their addresses, or nothing when the encoding is another."""
    from ..runtime.isa.disassembler import disassemble

    try:
        return [_ADDRESS.sub("", line) for line in disassemble(kernel.code).splitlines()]
    except AscendError:
        return []


def _code(one: OmModel, other: OmModel) -> Iterator[Change]:
    for key, first, second in _pairs(one.kernels, other.kernels, lambda kernel: kernel.name):
        if first == second:
            continue
        listings = [_listing(kernel) if kernel else [] for kernel in (first, second)]
        before, after = (
            f"{len(kernel.code)} bytes, {len(lines)} lines" if kernel else ""
            for kernel, lines in zip((first, second), listings, strict=True)
        )
        detail = _lines(*listings) if first and second else _users(key, one, other)
        yield Change("code", key, before, after, detail)


def _users(kernel: str, one: OmModel, other: OmModel) -> str:
    """The operators that a kernel computes, in the model that has it."""
    model = one if one.kernel(kernel) else other
    names = [model.graph[task.op_index].name for task in model.tasks if task.kernel == kernel and model.graph]
    return f"computes {', '.join(dict.fromkeys(names))}" if names else ""


def _lines(one: Sequence[str], other: Sequence[str]) -> str:
    if max(len(one), len(other)) > _LONGEST:
        return "other instructions"
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    gone = sum(to - at for tag, at, to, _, _ in blocks if tag != "equal")
    new = sum(to - at for tag, _, _, at, to in blocks if tag != "equal")
    first = next((other[at] if at < to else one[was] for tag, was, _, at, to in blocks if tag != "equal"), "")
    return f"{gone} lines gone, {new} new, from: {first.strip()}"


# ------------------------------------------------------------------------------------------------ schedule
def _steps(model: OmModel) -> list[str]:
    return [_operator_name(model, number) for number in range(len(model.tasks))]


def _operator_name(model: OmModel, number: int) -> str:
    task = model.tasks[number]
    return model.graph[task.op_index].name if model.graph else task.kernel


def _schedule(one: OmModel, other: OmModel) -> Iterator[Change]:
    first, second = _steps(one), _steps(other)
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    for tag, low, high, other_low, other_high in matcher.get_opcodes():
        if tag == "equal":
            for mine, theirs in zip(range(low, high), range(other_low, other_high), strict=True):
                before, after = _task(one, mine), _task(other, theirs)
                if before != after:
                    yield Change("schedule", first[mine], before, after)
            continue
        for number in range(low, high):
            yield Change("schedule", first[number], f"task {number}: {_task(one, number)}")
        for number in range(other_low, other_high):
            yield Change("schedule", second[number], "", f"task {number}: {_task(other, number)}")


def _task(model: OmModel, number: int) -> str:
    task = model.tasks[number]
    where = "AI CPU" if task.is_ai_cpu else "copy" if task.is_copy else f"{task.block_dim} blocks"
    return f"{task.kernel}, {where}, stream {task.stream}, {len(task.args)} arguments"


def _cycles(
    one: OmModel, other: OmModel, first: Sequence[int] | None, second: Sequence[int] | None
) -> Iterator[Change]:
    """The sum, then the operators, greatest change first. Silent where nobody can predict both."""
    if first is None or second is None or list(first) == list(second):
        return
    yield Change("cycles", "all tasks", str(sum(first)), str(sum(second)), _ratio(sum(first), sum(second)))
    sums = [_sum_by_operator(model, took) for model, took in ((one, first), (other, second))]
    names = sorted({*sums[0], *sums[1]}, key=lambda name: -abs(sums[0].get(name, 0) - sums[1].get(name, 0)))
    for name in names:
        before, after = (found.get(name) for found in sums)
        if before != after:
            detail = _ratio(before, after) if before and after else ""
            shown = ["" if took is None else str(took) for took in (before, after)]
            yield Change("cycles", name, shown[0], shown[1], detail)


def _sum_by_operator(model: OmModel, cycles: Sequence[int]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for number, took in enumerate(cycles):
        name = _operator_name(model, number)
        found[name] = found.get(name, 0) + took
    return found


def _ratio(before: int, after: int) -> str:
    return f"{100 * (after - before) / before:+.1f} %" if before else ""


# ---------------------------------------------------------------------------------------------------- text
def diff_text(changes: Sequence[Change], names: tuple[str, str], most: int = 40) -> str:
    """For people: a heading for each section, its changes below; at most `most` of a section."""
    if not changes:
        return f"{names[0]} and {names[1]}: no difference\n"
    lines = [f"--- {names[0]}", f"+++ {names[1]}"]
    for section in SECTIONS:
        found = [change for change in changes if change.section == section]
        if not found:
            continue
        lines.append(f"\n{section}: {len(found)} difference{'s' if len(found) != 1 else ''}")
        for change in found[:most]:
            lines += _change_lines(change)
        if len(found) > most:
            lines.append(f"  … {len(found) - most} more")
    return "\n".join([*lines, ""])


def _change_lines(change: Change) -> list[str]:
    detail = f"  ({change.detail})" if change.detail else ""
    if change.section == "cycles" and change.kind == "changed":
        return [f"  {change.name}: {change.before} → {change.after}{detail}"]
    lines = [f"  {change.name}{detail}"]
    lines += [f"    - {change.before}"] if change.before else []
    return lines + ([f"    + {change.after}"] if change.after else [])


def changes_json(changes: Sequence[Change]) -> dict[str, Any]:
    """For programs: a list of changes."""
    rows = [{**asdict(change), "kind": change.kind} for change in changes]
    return {"same": not changes, "changes": rows}


def diff_json(changes: Sequence[Change]) -> str:
    """The same as text."""
    return json.dumps(changes_json(changes), indent=1, ensure_ascii=False) + "\n"
