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


def kind_of(spec: TensorSpec) -> np.dtype[Any]:
    """numpy type of a result."""
    return NUMPY[spec.dtype]
