"""Run an offline model on the simulated device, with the interface of onnxruntime's `InferenceSession`.

    session = InferenceSession("resnet18.om")
    (scores,) = session.run(None, {"image": image})
    print(session.report.latency_us)

The session does what the real runtime does around a launch: it copies the caller's arrays into the model's
inputs in device memory, lets the tasks run, and copies the outputs back. It starts from the bytes of the
file and knows nothing about the compiler.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .element_types import NUMPY, ONNX_TYPES
from .errors import AscendError
from .om.model import ATTR_NARROWED, ATTR_SIZED, SIZE_SUFFIX, OmModel, OmTensor
from .om.profiles import OmProfiles
from .om.reader import Source, read_offline
from .soc import load_soc

if TYPE_CHECKING:
    from .sim.device import Device, RunResult
    from .sim.report import Report

Array: TypeAlias = NDArray[Any]

KEPT: Final = 4
"""Profiles of a model that stay loaded; each has device memory and translated kernels of its own here."""


@dataclass(frozen=True)
class NodeArg:
    """Name, shape and type of a model input or output, as onnxruntime describes it."""

    name: str
    shape: list[int]
    type: str


class InferenceSession:
    """A loaded model. `sanitize` checks its kernels for hazards, `trace` names a file for a trace of it.

    With an `order_seed` instructions run in a random order that flags and barriers allow, not in program
    order: outputs that depend on the seed are a race. It is slow, and cycles do not change by it.

    Kernels are translated while the session loads, for numbers and for cycles. Who only wants numbers saves half of
    that with `timing=False`; `report` then translates when it is asked for.

    A model of several sizes (`--dynamic_batch_size` and its like) runs the profile whose sizes the arrays have. What the
    session says of the model (`om`, `report`, …) is said of the profile that ran last or that `select` named, at first of
    the largest.
    """

    def __init__(
        self,
        model: Source | OmModel | OmProfiles,
        *,
        sanitize: bool = False,
        trace: str | os.PathLike[str] | None = None,
        order_seed: int | None = None,
        timing: bool = True,
    ) -> None:
        found = model if isinstance(model, OmModel | OmProfiles) else read_offline(model, digests=False)
        self._profiles = found if isinstance(found, OmProfiles) else None
        self._branches = found.branches if isinstance(found, OmProfiles) else (found,)
        self._order_seed, self._timing = order_seed, timing
        self._trace = trace
        self._sanitized = False
        self._devices: dict[int, Device] = {}
        self._current = found.largest if isinstance(found, OmProfiles) else 0
        self._device = self._loaded(self._current)
        if sanitize:
            self.check_hazards()

    def _loaded(self, number: int) -> Device:
        """The device with that branch; the one that was not used for longest makes room."""
        from .sim.device import Device

        if number in self._devices:
            self._devices[number] = self._devices.pop(number)  # the last in the order of use
            return self._devices[number]
        om = self._branches[number]
        om.require_machine_code()
        for tensor in (*om.inputs, *om.outputs):
            if tensor.dtype not in NUMPY:
                raise AscendError("EH0006", f"{tensor.name!r} is {tensor.dtype}, which numpy does not have")
        soc = load_soc(om.soc)
        needed = om.memory_size + om.weight_size
        if needed > soc.memory_bytes:
            raise AscendError(
                "E13023",
                f"the model needs {needed} bytes of device memory",
                expected=f"at most {soc.memory_bytes}",
            )
        device = Device(soc, order_seed=self._order_seed, timing=self._timing)
        device.load(om)
        while len(self._devices) >= KEPT:
            del self._devices[next(iter(self._devices))]
        self._devices[number] = device
        return device

    @property
    def profiles(self) -> OmProfiles | None:
        """The model of several sizes; None for one of fixed sizes."""
        return self._profiles

    @property
    def input_sets(self) -> tuple[tuple[OmTensor, ...], ...]:
        """The inputs with their sizes: of the model, or of each of its profiles, the one in use first."""
        others = (branch.inputs for number, branch in enumerate(self._branches) if number != self._current)
        return (self._om.inputs, *others)

    @property
    def profile(self) -> int | None:
        """Which profile the session speaks of."""
        return self._current if self._profiles is not None else None

    def select(self, number: int) -> None:
        """Speak of another profile, by its number from 0."""
        if not 0 <= number < len(self._branches):
            raise AscendError(
                "EH0001", f"the model has no profile {number}", expected=f"0 to {len(self._branches) - 1}"
            )
        if number == self._current:
            return
        self._device, self._current = self._loaded(number), number
        for kept in ("report", "detailed_report"):
            self.__dict__.pop(kept, None)
        if self._sanitized:
            self.check_hazards()

    def choose(self, feed: Mapping[str, Array]) -> None:
        """Speak of the profile that the arrays fit; where none does, the error says which there are."""
        if self._profiles is None:
            return
        shapes = {name: np.shape(array) for name, array in feed.items()}
        for number, branch in enumerate(self._branches):
            if all(shapes.get(tensor.name) == tensor.shape for tensor in branch.inputs):
                self.select(number)
                return
        missing = next((tensor for tensor in self._om.inputs if tensor.name not in feed), None)
        if missing is not None:
            raise AscendError("EH0001", f"input {missing.name!r} is missing", expected=describe(missing))
        given = ", ".join(f"{name}{list(shape)}" for name, shape in shapes.items())
        raise AscendError(
            "EH0001",
            f"no profile of the model has the sizes {given}",
            expected=self._profiles.describe(),
            hint="compile the model with a profile of these sizes",
        )

    @property
    def om(self) -> OmModel:
        """The offline model: of several sizes, the profile in use."""
        return self._om

    @property
    def _om(self) -> OmModel:
        return self._branches[self._current]

    @cached_property
    def report(self) -> Report:
        """Cycles per task and in all, latency, what bounds each task. It needs no run."""
        if "detailed_report" in self.__dict__:
            return self.detailed_report  # the same figures
        from .profiling import report_of

        return report_of(self._device, self._om)

    @cached_property
    def detailed_report(self) -> Report:
        """`report` with what each instruction did: a traced timing run, about three times as long."""
        from .profiling import report_of

        return report_of(self._device, self._om, detail=True)

    def write_trace(self, path: str | os.PathLike[str]) -> None:
        """A trace of every instruction for https://ui.perfetto.dev."""
        from .profiling import write_model_trace

        write_model_trace(self._device, self._om, Path(path))

    def write_profile(self, path: str | os.PathLike[str]) -> None:
        """A CSV table, a row per task, with the columns that Ascend profilers print."""
        from .profiling import write_profile

        write_profile(self.detailed_report, Path(path))

    def write_report(self, path: str | os.PathLike[str]) -> None:
        """An HTML page: timeline, roofline, operators, memory, hot instructions. It needs the package jinja2."""
        from .profiling import write_page

        write_page(self.detailed_report, self._om, Path(path), hazards_checked=self._sanitized)

    def check_hazards(self) -> None:
        """Raise if a kernel depends on an order that its flags and barriers do not ensure."""
        from .sanitizer import check_model

        check_model(self._device)
        self._sanitized = True

    @property
    def engine_counts(self) -> dict[str, int]:
        """How many tasks run where."""
        tasks = self._om.tasks
        return {"aicore": sum(t.is_ai_core for t in tasks), "aicpu": sum(t.is_ai_cpu for t in tasks)}

    def get_inputs(self) -> list[NodeArg]:
        """The model's inputs; sizes in which profiles differ are -1."""
        if self._profiles is None:
            return [_node_arg(tensor) for tensor in self._om.inputs]
        pairs = zip(self._om.inputs, self._profiles.shapes, strict=True)
        return [_node_arg(replace(tensor, shape=shape)) for tensor, shape in pairs]

    def get_outputs(self) -> list[NodeArg]:
        """The model's outputs, of several sizes those of the profile in use."""
        hidden = {name + SIZE_SUFFIX for name in self._sized}
        return [_node_arg(tensor) for tensor in self._om.outputs if tensor.name not in hidden]

    def run(
        self, output_names: Sequence[str] | None, feed: Mapping[str, Array], run_options: object = None
    ) -> list[Array]:
        """Outputs by name (all of them for None), in the order asked for. Input types and shapes must fit
        exactly."""
        wanted = self._output_positions(output_names)
        self.choose(feed)
        unknown = sorted(set(feed) - {tensor.name for tensor in self._om.inputs})
        if unknown:
            raise AscendError(
                "EH0001",
                f"the model has no input named {', '.join(map(repr, unknown))}",
                expected=", ".join(tensor.name for tensor in self._om.inputs) or "no inputs",
            )
        arrays = [_checked(tensor, feed) for tensor in self._om.inputs]
        self._check_ranges(arrays)
        result = self._device.run(arrays)
        if self._trace is not None:
            self.write_trace(self._trace)
            self._trace = None  # the next run takes the same time
        return [self._trimmed(result, position) for position in wanted]

    @property
    def _sized(self) -> tuple[str, ...]:
        """Outputs whose size depends on data."""
        names = self._om.attrs.get(ATTR_SIZED, ())
        return tuple(str(name) for name in names) if isinstance(names, tuple) else ()

    def _trimmed(self, result: RunResult, position: int) -> Array:
        """An output, cut to its real size where that depends on data."""
        array, name = result.outputs[position], self._om.outputs[position].name
        if name not in self._sized:
            return array
        shape = tuple(int(extent) for extent in result[name + SIZE_SUFFIX])
        return array.reshape(-1)[: prod(shape)].reshape(shape)

    def _check_ranges(self, arrays: Sequence[Array]) -> None:
        """The cores compute with 32 bits of a 64-bit input: more are refused, not cut off."""
        narrowed = self._om.attrs.get(ATTR_NARROWED, ())
        if not isinstance(narrowed, tuple):
            return
        limits = np.iinfo(np.int32)
        for tensor, array in zip(self._om.inputs, arrays, strict=True):
            if tensor.name not in narrowed or not array.size:
                continue
            low, high = int(array.min()), int(array.max())
            if low < limits.min or high > limits.max:
                raise AscendError(
                    "EH0001",
                    f"input {tensor.name!r} holds values from {low} to {high}",
                    expected="values of 32 bits: the AI Core computes with no more",
                )

    def _output_positions(self, names: Sequence[str] | None) -> list[int]:
        hidden = {name + SIZE_SUFFIX for name in self._sized}
        known = {t.name: position for position, t in enumerate(self._om.outputs) if t.name not in hidden}
        for name in names or ():
            if name not in known:
                raise AscendError(
                    "EH0001", f"the model has no output named {name!r}", expected=f"one of {', '.join(known)}"
                )
        return [known[name] for name in names] if names is not None else list(known.values())


def _node_arg(tensor: OmTensor) -> NodeArg:
    return NodeArg(tensor.name, list(tensor.shape), f"tensor({ONNX_TYPES[tensor.dtype]})")


def _checked(tensor: OmTensor, feed: Mapping[str, Array]) -> Array:
    if tensor.name not in feed:
        raise AscendError("EH0001", f"input {tensor.name!r} is missing", expected=describe(tensor))
    array = np.asarray(feed[tensor.name])
    if array.shape != tensor.shape or array.dtype != np.dtype(NUMPY[tensor.dtype]):
        raise AscendError(
            "EH0001",
            f"input {tensor.name!r} is {array.dtype.name}{list(array.shape)}",
            expected=describe(tensor),
            hint="compile the model for this shape, or convert the array",
        )
    return np.ascontiguousarray(array).reshape(tensor.shape)


def describe(tensor: OmTensor) -> str:
    """`float32[1, 3, 224, 224]`"""
    return f"{np.dtype(NUMPY[tensor.dtype]).name}{list(tensor.shape)}"
