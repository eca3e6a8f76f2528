"""What a kernel of the AI CPU is: a function of arrays, its settings, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..element_types import NUMPY
from .definition import Setting, TensorSpec

Array: TypeAlias = NDArray[Any]
Settings: TypeAlias = Mapping[str, Setting]
Compute: TypeAlias = Callable[[Sequence[Array], Settings, Sequence[TensorSpec]], list[Array]]


@dataclass(frozen=True)
class CpuKernel:
    """One kernel. `work` is what one element of the larger of operands and results costs, in operations."""

    compute: Compute
    work: float = 1.0


def sized(function: Callable[[Sequence[Array], Settings], list[Array]]) -> Compute:
    """A kernel whose results have sizes that depend on data. It comes in two calls with the setting `result`: -1 - i
    gives the shape of result i as a row of numbers, i the result itself, which fills the front of its space."""

    def compute(operands: Sequence[Array], settings: Settings, outputs: Sequence[TensorSpec]) -> list[Array]:
        results = function(operands, settings)
        wanted = integer(settings, "result")
        if wanted < 0:
            return [np.array(results[-1 - wanted].shape, np.int64)]
        return [results[wanted].astype(kind_of(outputs[0]))]

    return compute


def integers(settings: Settings, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """A list setting."""
    value = settings.get(name, default)
    return tuple(int(item) for item in value) if isinstance(value, tuple) else default


def integer(settings: Settings, name: str, default: int = 0) -> int:
    """An integer setting; a flag is 1."""
    value = settings.get(name, default)
    return int(value) if isinstance(value, int | float) else default


def word(settings: Settings, name: str, default: str = "") -> str:
    """A word."""
    value = settings.get(name, default)
    return value if isinstance(value, str) else default


def words(settings: Settings, name: str) -> tuple[str, ...]:
    """A list of texts."""
    value = settings.get(name, ())
    return tuple(str(item) for item in value) if isinstance(value, tuple) else ()


def kind_of(spec: TensorSpec) -> np.dtype[Any]:
    """numpy type of a result."""
    return NUMPY[spec.dtype]
