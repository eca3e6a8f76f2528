"""`onnx.backend` for this compiler: every run goes model → compiler → bytes of an `.om` → simulator.

A prepared model is compiled for the input shapes it is given, at its first run with them, and the session
is kept per set of shapes. Sizes, axes and the like that a model takes as inputs (the `shape` of a Reshape)
are part of what it is compiled for: the offline model holds their values. `ASCEND_SOC` and
`ASCEND_SANITIZE=1` choose the chip and the hazard check; so do
the class attributes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, TypeProto
from onnx.backend.base import Backend, BackendRep

from . import texts
from .border import Given, shapes_of
from .errors import AscendError, Refusal, UnsupportedOpError
from .om.writer import om_bytes
from .session import InferenceSession

Array: TypeAlias = NDArray[Any]
_Key: TypeAlias = tuple[tuple[tuple[str, tuple[int, ...]], ...], tuple[tuple[str, bytes], ...]]

MAX_SETTING = 64
"""Elements of an input that may be a setting (an operand that must be known at compile time)."""


class PreparedModel(BackendRep):
    """One model, compiled once per set of input shapes (and values of inputs that are settings)."""

    def __init__(self, model: ModelProto, soc: str, sanitize: bool) -> None:
        self._model = model
        self._soc = soc
        self._sanitize = sanitize
        self._sessions: dict[_Key, InferenceSession] = {}
        self._settings: set[str] = set()
        initialized = {tensor.name for tensor in model.graph.initializer}
        self._inputs = [value.name for value in model.graph.input if value.name not in initialized]
        self._types = {value.name: value.type for value in model.graph.input}
        self._outputs = [value.name for value in model.graph.output]
        self.engine_counts: dict[str, int] = {"aicore": 0, "aicpu": 0}

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
        """Outputs in graph order; `inputs` are arrays by position (or by name)."""
        feed = self._feed(inputs)
        session = self._session_for(feed)
        known = {argument.name for argument in session.get_inputs()}  # an unused input may be gone
        outputs = session.run(self._outputs, {name: array for name, array in feed.items() if name in known})
        return tuple(outputs)

    def session(
        self, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Array] | None = None
    ) -> InferenceSession:
        """The session for these input shapes, compiled when it is asked for the first time."""
        fixed = dict(values or {})
        key = (
            tuple(sorted(shapes.items())),
            tuple((name, fixed[name].tobytes()) for name in sorted(fixed)),
        )
        if key not in self._sessions:
            from ..lowering.pipelines import CompileOptions, compile_model

            options = CompileOptions(soc=self._soc, input_shapes=dict(shapes), input_values=fixed)
            compiled = compile_model(self._model, options)
            self._sessions[key] = InferenceSession(om_bytes(compiled.om), sanitize=self._sanitize)
        self.engine_counts = self._sessions[key].engine_counts
        return self._sessions[key]

    def _session_for(self, feed: Mapping[str, Given]) -> InferenceSession:
        """The compiler says which inputs it must know; each round finds at least one more."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, value in feed.items():
            shapes |= shapes_of(name, value)
        settings = {n: v for n, v in feed.items() if isinstance(v, np.ndarray) and _may_be_setting(v)}
        while True:
            try:
                return self.session(shapes, {name: settings[name] for name in self._settings & set(settings)})
            except UnsupportedOpError as error:
                wanted = {name for item in error.items for name in item.inputs} - self._settings
                if not wanted or not all(item.inputs for item in error.items):
                    raise
                if not wanted <= set(settings):
                    raise
                self._settings |= wanted

    def _feed(self, inputs: Any) -> dict[str, Given]:
        if isinstance(inputs, Mapping):
            named = cast(Mapping[str, Any], inputs)
            return {
                name: _given(name, value, self._types.get(name, TypeProto())) for name, value in named.items()
            }
        arrays = cast(Sequence[Any], inputs) if isinstance(inputs, list | tuple) else [inputs]
        if len(arrays) > len(self._inputs):
            raise AscendError(
                "EH0001",
                f"{len(arrays)} arrays for {len(self._inputs)} inputs",
                expected=", ".join(self._inputs),
            )
        pairs = zip(self._inputs, arrays, strict=False)
        return {name: _given(name, value, self._types[name]) for name, value in pairs}


def _given(name: str, value: Any, kind: TypeProto) -> Given:
    """An input as the session takes it: an array, a list of arrays, None for an optional that holds nothing."""
    held = kind.optional_type.elem_type if kind.HasField("optional_type") else kind
    if held.HasField("sequence_type") and isinstance(value, list | tuple):
        return [_tensor(name, item) for item in cast(Sequence[Any], value)]
    items = cast(list[object], value) if isinstance(value, list) else []
    if any(isinstance(item, np.ndarray) for item in items):
        raise UnsupportedOpError(
            [Refusal(name, "Input", "Tensors are given as arrays", "it is given as a sequence")],
            code="E13025",
        )
    return None if value is None else _tensor(name, value)


def _tensor(name: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in texts.TEXT_KINDS:
        return array
    try:
        return texts.encode(array)  # bytes of its own: sessions are kept by the bytes of settings
    except texts.TextError as error:
        raise AscendError("EH0001", f"input {name!r} holds {error}", expected="texts") from error


def _may_be_setting(array: Array) -> bool:
    return array.ndim <= 1 and array.size <= MAX_SETTING


class AscendBackend(Backend):
    """The backend class that conformance programs drive."""

    soc: ClassVar[str] = "Ascend310P3"
    sanitize: ClassVar[bool] = False

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "NPU", **kwargs: Any) -> PreparedModel:
        """A model that compiles itself when it meets its first inputs: only then are all sizes known."""
        soc = os.environ.get("ASCEND_SOC", cls.soc)
        sanitize = os.environ.get("ASCEND_SANITIZE", "1" if cls.sanitize else "0") not in ("", "0")
        return PreparedModel(model, soc, sanitize)

    @classmethod
    def run_model(
        cls, model: ModelProto, inputs: Any, device: str = "NPU", **kwargs: Any
    ) -> tuple[Array, ...]:
        """Prepare and run once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "NPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Array, ...]:
        """One node as a model of its own; the inputs' shapes and types are those of the arrays."""
        from onnx import helper

        arrays = [np.asarray(array) for array in inputs]
        names = [name for name in node.input if name]
        described = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in zip(names, arrays, strict=True)
        ]
        known = [(np.dtype(dtype), shape) for dtype, shape in outputs_info or ()]
        outputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
            for name, (dtype, shape) in zip(node.output, known, strict=False)
        ] or [
            helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output if name
        ]
        graph = helper.make_graph([node], "node", described, outputs)
        return cls.run_model(helper.make_model(graph, **kwargs), arrays, device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """The conformance programs ask for CPU; the simulated NPU answers to both names."""
        return device.partition(":")[0] in ("CPU", "NPU")


prepare = AscendBackend.prepare
run_model = AscendBackend.run_model
run_node = AscendBackend.run_node
supports_device = AscendBackend.supports_device
